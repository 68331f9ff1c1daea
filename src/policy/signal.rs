//! What an attempt says of its host, whatever becomes of its target. Pure.

use std::time::SystemTime;

use super::lane::Signal;
use super::retry::{asked_by, too_long};
use crate::plan::Retry;
use crate::record::{Attempt, Ending, Failure};

/// Whether nothing was sent, because the host could not be reached.
pub fn is_not_reached(attempt: &Attempt) -> bool {
    let failed = match &attempt.ending {
        Ending::Failed(failure) => failure,
        _ => return false,
    };
    attempt.head.is_none()
        && matches!(failed, Failure::Connect(_) | Failure::Tls(_) | Failure::ProxyLost(_))
}

/// What `attempt` says of its host. `now` is the wall's clock, for dates.
pub fn signal(attempt: &Attempt, retry: &Retry, now: SystemTime) -> Signal {
    let asked = asked_by(attempt, now);
    let status = attempt.head.as_ref().map_or(0, |head| head.status);
    match &attempt.ending {
        Ending::Failed(failure) if is_not_reached(attempt) => Signal::NotReached(failure.clone()),
        Ending::Failed(Failure::Status(503) | Failure::RateLimited { .. }) => {
            match too_long(status, asked, retry) {
                Some(failure) => Signal::RefusedForGood(failure),
                None if status == 503 && asked.is_none() => Signal::Strained,
                None => Signal::Refused(asked),
            }
        }
        Ending::Redirect { .. } => match too_long(status, asked, retry) {
            Some(failure) => Signal::RefusedForGood(failure),
            None => Signal::Served(asked),
        },
        Ending::Whole
        | Ending::Unchanged
        | Ending::Anew
        | Ending::Divided
        | Ending::Failed(
            Failure::Status(_)
            | Failure::Checksum { .. }
            | Failure::TooLarge { .. }
            | Failure::Quota { .. },
        ) => Signal::Served(None),
        Ending::Failed(Failure::Reset(_) | Failure::Stalled(_)) if attempt.head.is_some() => {
            Signal::Strained
        }
        Ending::Failed(Failure::Reset(_) | Failure::Truncated { .. } | Failure::Protocol(_)) => {
            Signal::Reached
        }
        Ending::Failed(_) => Signal::Nothing,
    }
}
