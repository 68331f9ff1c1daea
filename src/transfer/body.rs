//! The body, chunk by chunk: counted as it arrives, never believed from a header.

use std::time::Duration;

use reqwest::header::{HeaderValue, TRANSFER_ENCODING};
use reqwest::{Response, StatusCode, Version};

use super::call::Call;
use super::classify;
use super::throttle::Throttle;
use crate::digest::{Digest, Hasher};
use crate::policy::robots;
use crate::record::{Failure, Job, Purpose, Slot};

/// How much is read of a body that is not kept, so that its connection can serve again.
const DISCARDED_AT_MOST: u64 = 64 * 1024;

/// How long that may take; a new connection takes less.
const PATIENCE: Duration = Duration::from_secs(1);

/// Refuses a body in a transfer coding that cannot be undone (RFC 9112 section 6.1): only `chunked`, once, can. The
/// library would hand the coded bytes on as if they were the content.
///
/// # Errors
/// [`Failure::Protocol`] naming the coding.
pub fn ensure_can_be_decoded(response: &Response) -> Result<(), Failure> {
    let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless || response.version() >= Version::HTTP_2 {
        return Ok(());
    }
    let fields = response.headers().get_all(TRANSFER_ENCODING);
    let codings: Vec<_> = fields.iter().map(HeaderValue::as_bytes).collect();
    match codings[..] {
        [] => Ok(()),
        [coding] if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => {
            let codings = codings.join(&b", "[..]);
            let codings = String::from_utf8_lossy(&codings);
            Err(Failure::Protocol(format!("transfer coding {codings:?} cannot be undone")))
        }
    }
}

/// Receives the body of a target to its end. Of robots.txt the text is given back, as far as it counts.
///
/// # Errors
/// A body that ends early, breaks off or does not have the checksum asked for.
pub async fn receive(
    response: &mut Response,
    job: &Job,
    call: &Call,
    slot: &Slot,
    throttle: &Throttle,
) -> Result<Option<Vec<u8>>, Failure> {
    let promised = response.content_length();
    slot.promise(promised.unwrap_or_default());
    let mut check = job.target.options.checksum.as_ref().map(Check::new);
    let mut text = matches!(job.purpose, Purpose::Robots(_)).then(Vec::new);
    loop {
        let leave = call.held_up(throttle, promised).await;
        let chunk = response.chunk().await;
        throttle.settle(
            leave,
            chunk.as_ref().map_or(0, |chunk| chunk.as_ref().map_or(0, |chunk| chunk.len() as u64)),
        );
        let Some(chunk) = chunk.map_err(|error| classify::body(&error, call.bytes(), promised))?
        else {
            break;
        };
        call.receives(chunk.len());
        slot.received(chunk.len() as u64);
        if let Some(check) = &mut check {
            check.hasher.update(&chunk);
        }
        if let Some(text) = &mut text {
            text.extend_from_slice(&chunk);
            if text.len() > robots::MOST_BYTES {
                break;
            }
        }
    }
    check.map_or(Ok(()), Check::ensure_it_fits)?;
    Ok(text)
}

/// Reads the rest of a body that nobody wants, if it is short and comes soon; how it ends does not matter.
pub async fn discard(response: &mut Response, call: &Call, throttle: &Throttle) {
    let is_long = response.content_length().is_some_and(|length| length > DISCARDED_AT_MOST);
    if is_long || ensure_can_be_decoded(response).is_err() {
        return;
    }
    let rest = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = DISCARDED_AT_MOST.saturating_sub(call.bytes());
            call.receives(chunk.len().min(room as usize));
            throttle.owe(chunk.len() as u64);
            if chunk.len() as u64 >= room {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, rest).await;
}

/// What the list says of a body that is on its way.
struct Check<'a> {
    hasher: Hasher,
    expected: &'a Digest,
}

impl<'a> Check<'a> {
    fn new(expected: &'a Digest) -> Self {
        Self { hasher: Hasher::new(expected.algorithm()), expected }
    }

    fn ensure_it_fits(self) -> Result<(), Failure> {
        let actual = self.hasher.finish();
        if actual == *self.expected {
            return Ok(());
        }
        Err(Failure::Checksum {
            algorithm: actual.algorithm().name(),
            claimed_by: "the list".to_owned(),
            expected: self.expected.hex(),
            actual: actual.hex(),
        })
    }
}
