//! What follows an attempt: retries, redirects, resumed and segmented bodies, robots.txt. Pure: replies, time and chance
//! are arguments; nothing here waits, reads a clock or touches a file.

pub mod failure_traits;
pub mod next_action;
mod redirect;
pub mod resume;
pub mod retry;
pub mod robots;
pub mod segments;
pub mod suspension;

pub use next_action::{
    NextAction, RetryRules, action_without_request, next_action, segment_action_without_request,
};
pub use redirect::carries_secrets;
