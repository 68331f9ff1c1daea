//! What an attempt says of its host, whatever becomes of its target. Pure.

use std::time::SystemTime;

use super::host_queue::HostFeedback;
use crate::model::{Attempt, AttemptOutcome, Failure, rfc3339};
use crate::plan::RetryOptions;
use crate::policy::failure_traits::{HostEvidence, failure_traits};
use crate::policy::retry::{asked_by, too_long};

/// What `attempt` says of its host. `now` is the wall clock, for dates in Retry-After.
pub(crate) fn host_feedback(
    attempt: &Attempt,
    retry: &RetryOptions,
    now: SystemTime,
) -> HostFeedback {
    let asked = asked_by(attempt, now);
    let status = attempt.head.as_ref().map_or(0, |head| head.status);
    match &attempt.outcome {
        AttemptOutcome::Whole
        | AttemptOutcome::Unchanged
        | AttemptOutcome::Head
        | AttemptOutcome::HeadRefused
        | AttemptOutcome::Restart
        | AttemptOutcome::Divided => HostFeedback::Served(None),
        AttemptOutcome::Accepted => {
            HostFeedback::Served(asked.filter(|wait| *wait <= retry.max_retry_after))
        }
        AttemptOutcome::Redirect { .. } => match too_long(status, asked, retry) {
            Some(failure) => HostFeedback::RefusedPermanently(refused_since(failure, now)),
            None => HostFeedback::Served(asked),
        },
        AttemptOutcome::Failed(failure) => {
            match (failure_traits(failure).evidence, attempt.head.is_some()) {
                (HostEvidence::Refused, _) => match too_long(status, asked, retry) {
                    Some(failure) => HostFeedback::RefusedPermanently(refused_since(failure, now)),
                    None if matches!(failure, Failure::Status(_)) && asked.is_none() => {
                        HostFeedback::Strained
                    }
                    None => HostFeedback::Refused(asked),
                },
                (HostEvidence::Unreachable, false) => HostFeedback::Unreachable(failure.clone()),
                (HostEvidence::Replied, _) => HostFeedback::Served(None),
                (HostEvidence::BrokeOff | HostEvidence::FellSilent, true) => HostFeedback::Strained,
                (HostEvidence::BrokeOff, false) | (HostEvidence::Garbled, _) => {
                    HostFeedback::Reached
                }
                (HostEvidence::Unreachable, true)
                | (HostEvidence::FellSilent, false)
                | (HostEvidence::Nothing, _) => HostFeedback::Neutral,
            }
        }
    }
}

/// What the other URLs of a host fail with that asked, at `now`, for a wait that is too long.
fn refused_since(failure: Failure, now: SystemTime) -> Failure {
    let Failure::RateLimited { status, wait: Some(wait) } = failure else { return failure };
    let until =
        now.checked_add(wait).map_or_else(String::new, |end| format!(" until {}", rfc3339(end)));
    Failure::HostRefused(format!(
        "the host asked at {} to be left alone{until} (HTTP {status} with Retry-After)",
        rfc3339(now)
    ))
}
