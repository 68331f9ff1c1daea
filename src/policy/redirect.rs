//! Redirects: where they lead, and which header fields may be sent there. Pure.

use std::borrow::Cow;

use url::Url;

use crate::model::{Failure, Job, JobKind, QueuedJob};
use crate::redaction::redacted_line;

/// The longest Location that is followed, bytes: several times what servers take as a request line.
const MAX_LOCATION_BYTES: usize = 32 * 1024;

/// The URL that a redirect of `job` with this status leads to (RFC 9110 section 10.2.2). A fragment is inherited; userinfo is kept
/// as long as the origin stays the same, and that of the listed URL is back at its origin.
///
/// # Errors
/// [`Failure::Redirect`] if the Location is missing, empty or unusable, or `max_redirects` have been followed.
pub(super) fn hop(
    queued: &QueuedJob,
    status: u16,
    location: Option<&[u8]>,
    max_redirects: u32,
) -> Result<Url, Failure> {
    let Some(location) = location else {
        return Err(Failure::Redirect("redirect without Location header".to_owned()));
    };
    if location.len() > MAX_LOCATION_BYTES {
        let length = location.len();
        return Err(Failure::Redirect(format!(
            "redirect with a Location header of {length} bytes (limit {MAX_LOCATION_BYTES})"
        )));
    }
    let text = text_of(location);
    if text.trim().is_empty() {
        return Err(Failure::Redirect("redirect with an empty Location header".to_owned()));
    }
    let job = &queued.request;
    let mut next = job.url.join(&text).map_err(|error| {
        Failure::Redirect(format!("redirect to invalid URL '{}': {error}", redacted_line(&text)))
    })?;
    if !matches!(next.scheme(), "http" | "https") {
        return Err(Failure::Redirect(format!(
            "redirect to unsupported scheme '{}'",
            next.scheme()
        )));
    }
    if queued.hops >= max_redirects {
        let mut message = format!("too many redirects (limit {max_redirects})");
        message.push_str(&match queued.refused_cookie {
            Some(reason) => format!("; the last one sets a cookie that is not kept: {reason}"),
            None => format!("; the last one, {status}, leads to {}", redacted_line(next.as_str())),
        });
        return Err(Failure::Redirect(message));
    }
    if next.fragment().is_none() {
        next.set_fragment(job.url.fragment());
    }
    let listed = &job.target.urls[job.mirror];
    let known = [&job.url, listed].into_iter().find(|known| known.origin() == next.origin());
    if let Some(known) = known.filter(|_| next.username().is_empty()) {
        // Neither can fail: an http URL has a host.
        let _ = next.set_username(known.username());
        let _ = next.set_password(known.password());
    }
    Ok(next)
}

/// A Location as text. If it is not UTF-8, bytes outside of ASCII are percent-encoded one by one, as browsers do.
fn text_of(location: &[u8]) -> Cow<'_, str> {
    let escaped = |byte: &u8| match byte {
        0..=0x7f => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    match str::from_utf8(location) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => location.iter().map(escaped).collect(),
    }
}

/// Whether the request may carry all header fields that were given for its target: only at the listed origin. Elsewhere,
/// only fields that cannot be a secret are sent. A robots.txt has the listed origin of the request that waits for it.
pub(crate) fn carries_secrets(job: &Job) -> bool {
    let is_listed = !matches!(job.kind, JobKind::Robots { is_listed: false, .. });
    let listed = &job.target.urls[job.mirror];
    // An origin is made of copies of its parts, and nearly every request is for the listed URL.
    is_listed && (job.url == *listed || job.url.origin() == listed.origin())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::next_action::tests::{job, queued_job};

    #[test]
    fn a_relative_location_is_resolved_against_the_url_that_sent_it() {
        let next = hop(&queued_job("http://a.test/x/y?q#part"), 302, Some(b"../z"), 10).unwrap();
        assert_eq!(next.as_str(), "http://a.test/z#part");
    }

    #[test]
    fn userinfo_stays_within_its_origin() {
        let job = queued_job("http://user:secret@a.test/");
        assert_eq!(
            hop(&job, 302, Some(b"/x"), 10).unwrap().as_str(),
            "http://user:secret@a.test/x"
        );
        for elsewhere in ["http://b.test/x", "https://a.test/x", "http://a.test:81/x"] {
            let mut away = job.clone();
            away.request.url = hop(&job, 302, Some(elsewhere.as_bytes()), 10).unwrap();
            assert_eq!(away.request.url.as_str(), elsewhere);
            let back = hop(&away, 302, Some(b"http://a.test/back"), 10).unwrap();
            assert_eq!(back.as_str(), "http://user:secret@a.test/back");
        }
    }

    #[test]
    fn a_redirect_that_leads_nowhere_is_a_failure() {
        for location in
            [None, Some(&b"ftp://a.test/"[..]), Some(b"http://"), Some(b"http://a:99999/")]
        {
            let failure = hop(&queued_job("http://a.test/"), 302, location, 10).unwrap_err();
            assert!(matches!(failure, Failure::Redirect(_)), "{location:?}");
        }
    }

    #[test]
    fn a_location_that_is_not_utf_8_is_taken_byte_by_byte() {
        let next = |location| hop(&queued_job("http://a.test/"), 302, Some(location), 10).unwrap();
        assert_eq!(next(b"/caf\xe9?\xff").as_str(), "http://a.test/caf%E9?%FF");
        assert_eq!(next("/café".as_bytes()).as_str(), "http://a.test/caf%C3%A9");
    }

    #[test]
    fn no_more_redirects_are_followed_than_allowed() {
        let mut job = queued_job("http://a.test/");
        job.hops = 3;
        assert!(hop(&job, 302, Some(b"/x"), 4).is_ok());
        let failure = hop(&job, 302, Some(b"/x"), 3).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "too many redirects (limit 3); the last one, 302, leads to http://a.test/x"
        );
        let failure = hop(&job, 307, Some(b"//me:hunter2@b.test/?token=hunter2"), 3).unwrap_err();
        let text = failure.to_string();
        assert!(
            text.contains("307, leads to http://***@b.test/") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn secrets_are_carried_only_at_the_listed_origin() {
        let mut job = job("https://a.test/");
        assert!(carries_secrets(&job));
        job.url = "https://a.test/elsewhere".parse().unwrap();
        assert!(carries_secrets(&job));
        for other in ["http://a.test/", "https://b.test/", "https://a.test:444/"] {
            job.url = other.parse().unwrap();
            assert!(!carries_secrets(&job), "{other}");
        }
    }
}
