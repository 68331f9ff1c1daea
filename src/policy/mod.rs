//! Decisions, pure: replies, time and chance are arguments; nothing here waits, reads a clock or touches a file.

mod redirect;
pub mod resume;
pub mod retry;
pub mod robots;
pub mod segments;
pub mod next_action;

pub use redirect::carries_secrets;
pub use next_action::{RetryRules, NextAction, action_without_request, segment_action_without_request, next_action};
