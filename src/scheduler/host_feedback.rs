//! What an attempt says of its host, whatever becomes of its target. Pure.

use std::time::SystemTime;

use super::host_queue::HostFeedback;
use crate::model::{Attempt, AttemptOutcome};
use crate::plan::RetryOptions;
use crate::policy::failure_traits::{HostEvidence, failure_traits};
use crate::policy::retry::{asked_by, too_long};

/// What `attempt` says of its host. `now` is the wall clock, for dates in Retry-After.
pub fn host_feedback(attempt: &Attempt, retry: &RetryOptions, now: SystemTime) -> HostFeedback {
    let asked = asked_by(attempt, now);
    let status = attempt.head.as_ref().map_or(0, |head| head.status);
    match &attempt.outcome {
        AttemptOutcome::Whole
        | AttemptOutcome::Unchanged
        | AttemptOutcome::Restart
        | AttemptOutcome::Divided => HostFeedback::Served(None),
        AttemptOutcome::Redirect { .. } => match too_long(status, asked, retry) {
            Some(failure) => HostFeedback::RefusedPermanently(failure),
            None => HostFeedback::Served(asked),
        },
        AttemptOutcome::Failed(failure) => {
            match (failure_traits(failure).evidence, attempt.head.is_some()) {
                (HostEvidence::Refused, _) => match too_long(status, asked, retry) {
                    Some(failure) => HostFeedback::RefusedPermanently(failure),
                    None if status == 503 && asked.is_none() => HostFeedback::Strained,
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
