//! Waits: back-off between attempts, and what a server asks for with Retry-After. Pure.

use std::time::{Duration, SystemTime};

use super::failure_traits::{HostEvidence, failure_traits};
use crate::model::{Attempt, AttemptOutcome, Failure};
use crate::plan::RetryOptions;

/// Upper bound of the back-off.
const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// The wait before the attempt after `failed` failed ones: exponential with full jitter, between zero and a bound that
/// starts at `base` and doubles with each attempt, up to a minute. `chance` is uniform in 0..1.
pub(crate) fn backoff(base: Duration, failed: u32, chance: f64) -> Duration {
    let doubled = base.saturating_mul(2u32.saturating_pow(failed.saturating_sub(1)));
    doubled.min(MAX_BACK_OFF.max(base)).mul_f64(chance)
}

/// The wait that a Retry-After field asks for, in seconds or as a date (RFC 9110 section 10.2.3); `None` if it
/// says neither.
pub(crate) fn asked_wait(retry_after: &str, now: SystemTime) -> Option<Duration> {
    let text = retry_after.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The wait that a reply asks for; `None` if there is no reply, or none it asks for.
pub(crate) fn asked_by(attempt: &Attempt, now: SystemTime) -> Option<Duration> {
    let head = attempt.head.as_ref()?;
    let retry_after = head.retry_after.as_deref()?;
    // A date is of the server's clock; ours may be years off.
    let servers = head.date.as_deref().and_then(|date| httpdate::parse_http_date(date).ok());
    let wait = asked_wait(retry_after, servers.unwrap_or(now));
    // Zero, or a moment that has passed, asks for no wait: the usual back-off applies.
    wait.filter(|wait| !wait.is_zero())
}

/// The failure of a reply that asks for a longer wait than `--max-retry-after`; `None` if it does not.
pub(crate) fn too_long(
    status: u16,
    asked: Option<Duration>,
    retry: &RetryOptions,
) -> Option<Failure> {
    let wait = asked.filter(|asked| *asked > retry.max_retry_after)?;
    Some(Failure::RateLimited { status, wait: Some(wait) })
}

/// Whether nothing was sent, because the host could not be reached.
pub(crate) fn is_not_reached(attempt: &Attempt) -> bool {
    match &attempt.outcome {
        AttemptOutcome::Failed(failure) if attempt.head.is_none() => {
            failure_traits(failure).evidence == HostEvidence::Unreachable
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_a_minute_and_jitter_covers_it_whole() {
        let upper = |failed| backoff(Duration::from_secs(1), failed, 1.0).as_secs();
        assert_eq!([1, 2, 3, 4, 7, 40].map(upper), [1, 2, 4, 8, 60, 60]);
        assert_eq!(backoff(Duration::from_secs(1), 5, 0.0), Duration::ZERO);
        assert_eq!(backoff(Duration::from_secs(1), 2, 0.5), Duration::from_secs(1));
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_each_kind_of_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:07 GMT").unwrap();
        let asked = |text| asked_wait(text, now).map(|wait| wait.as_secs());
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked(" 0 "), Some(0));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        assert_eq!(asked("Sunday, 06-Nov-94 08:49:37 GMT"), Some(30));
        assert_eq!(asked("Sun Nov  6 08:49:37 1994"), Some(30));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "a date that has passed");
        assert_eq!(asked("99999999999999999999999"), Some(u64::from(u32::MAX)));
        for nonsense in ["", "soon", "-1", "1.5", "1 s"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }
}
