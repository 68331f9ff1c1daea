//! What follows an attempt: retries, redirects, resumed and segmented bodies, robots.txt. Pure: replies, time and chance
//! are arguments; nothing here waits, reads a clock or touches a file.

pub(crate) mod failure_traits;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub(crate) mod next_action;
mod redirect;
pub(crate) mod resume;
pub(crate) mod retry;
pub(crate) mod robots;
pub(crate) mod segments;
mod special_addresses;
pub(crate) mod suspension;
pub(crate) mod target_rules;

pub(crate) use next_action::{
    NextAction, RetryRules, action_without_request, next_action, segment_action_without_request,
};
pub(crate) use redirect::carries_secrets;
