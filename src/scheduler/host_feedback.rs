//! What an attempt says of its host, whatever becomes of its target. Pure.

use std::time::SystemTime;

use super::host_queue::HostFeedback;
use crate::model::{Attempt, AttemptOutcome, Failure};
use crate::plan::RetryOptions;
use crate::policy::retry::{asked_by, is_not_reached, too_long};

/// What `attempt` says of its host. `now` is the wall's clock, for dates.
pub fn host_feedback(attempt: &Attempt, retry: &RetryOptions, now: SystemTime) -> HostFeedback {
    let asked = asked_by(attempt, now);
    let status = attempt.head.as_ref().map_or(0, |head| head.status);
    match &attempt.outcome {
        AttemptOutcome::Failed(failure) if is_not_reached(attempt) => {
            HostFeedback::Unreachable(failure.clone())
        }
        AttemptOutcome::Failed(Failure::Status(503) | Failure::RateLimited { .. }) => {
            match too_long(status, asked, retry) {
                Some(failure) => HostFeedback::RefusedPermanently(failure),
                None if status == 503 && asked.is_none() => HostFeedback::Strained,
                None => HostFeedback::Refused(asked),
            }
        }
        AttemptOutcome::Redirect { .. } => match too_long(status, asked, retry) {
            Some(failure) => HostFeedback::RefusedPermanently(failure),
            None => HostFeedback::Served(asked),
        },
        AttemptOutcome::Whole
        | AttemptOutcome::Unchanged
        | AttemptOutcome::Restart
        | AttemptOutcome::Divided
        | AttemptOutcome::Failed(
            Failure::Status(_)
            | Failure::Checksum { .. }
            | Failure::TooLarge { .. }
            | Failure::Quota { .. },
        ) => HostFeedback::Served(None),
        AttemptOutcome::Failed(Failure::Reset(_) | Failure::Stalled(_))
            if attempt.head.is_some() =>
        {
            HostFeedback::Strained
        }
        AttemptOutcome::Failed(
            Failure::Reset(_) | Failure::Truncated { .. } | Failure::Protocol(_),
        ) => HostFeedback::Reached,
        AttemptOutcome::Failed(_) => HostFeedback::Neutral,
    }
}
