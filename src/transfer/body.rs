//! The body, chunk by chunk: counted as it arrives, never believed from a header.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderValue, TRANSFER_ENCODING};
use reqwest::{Response, StatusCode, Version};

use super::checksum::BodyVerifier;
use super::classify;
use super::client::TransferContext;
use super::decode::BodyDecoder;
use super::rate_limit::RateLimiter;
use super::request_state::RequestState;
use crate::model::{Failure, WorkerProgress};
use crate::policy::robots;
use crate::store::Sink;

/// How much is read of a body that is not kept, so that its connection can serve again.
const DISCARDED_AT_MOST: u64 = 64 * 1024;

/// How long that may take; a new connection takes less.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that are read at once of a body that was begun.
const READ_BACK: usize = 256 * 1024;

/// After so many decoded pieces of one chunk others have their turn.
const PIECES: u32 = 16;

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

/// What happens to the bytes of one body.
pub struct BodyReceiver<'a> {
    /// Undoes content codings, if there are any.
    pub decoder: Option<BodyDecoder>,
    /// What it must hash to.
    pub verifier: BodyVerifier,
    /// Where it goes.
    pub sink: &'a mut Sink,
    /// Bytes that it may have.
    pub most: Option<u64>,
    /// Bytes of the whole, if known.
    pub length: Option<u64>,
    /// The byte behind the last one that may come, if known.
    pub end: Option<u64>,
    /// Bytes of it so far.
    pub bytes: &'a mut u64,
    /// Bytes that are to be shown as there before.
    pub before: u64,
    /// Its text, where that is wanted.
    pub text: Option<Vec<u8>>,
}

impl BodyReceiver<'_> {
    /// Takes what is there of the body already, for its digests.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn read_back(&mut self, request_state: &RequestState) -> Result<(), Failure> {
        if !self.verifier.needs_saved_bytes() {
            return Ok(());
        }
        let mut buffer = vec![0; READ_BACK];
        let mut at = 0;
        while at < *self.bytes {
            let wanted = buffer.len().min((*self.bytes - at) as usize);
            let read = self.sink.read_back(at, &mut buffer[..wanted])?;
            if read == 0 {
                break;
            }
            self.verifier.update_saved(&buffer[..read]);
            at += read as u64;
            // It is us who take that long.
            request_state.on_bytes(0);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Refuses a body of so many bytes if that is too long.
    ///
    /// # Errors
    /// [`Failure::TooLarge`].
    pub fn ensure_size_allowed(&self, bytes: u64) -> Result<(), Failure> {
        match self.most {
            Some(limit) if bytes > limit => Err(Failure::TooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// Takes the next chunk.
    async fn take_chunk(&mut self, chunk: Bytes) -> Result<(), Failure> {
        self.verifier.update_sent(&chunk);
        let Some(mut decoder) = self.decoder.take() else { return self.take_decoded(chunk) };
        decoder.take_in(chunk);
        let mut pieces = 0;
        while let Some(piece) = decoder.next_piece()? {
            if !piece.is_empty() {
                self.take_decoded(Bytes::copy_from_slice(piece))?;
            }
            pieces += 1;
            // A few bytes may become gigabytes, and others are waiting.
            if pieces % PIECES == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.decoder = Some(decoder);
        Ok(())
    }

    fn take_decoded(&mut self, piece: Bytes) -> Result<(), Failure> {
        let bytes = *self.bytes + piece.len() as u64;
        self.ensure_size_allowed(bytes)?;
        if self.end.is_some_and(|end| bytes > end) {
            let words = "more bytes than the range that the reply names";
            return Err(Failure::Protocol(words.to_owned()));
        }
        *self.bytes = bytes;
        self.verifier.update_saved(&piece);
        if let Some(text) = &mut self.text {
            text.extend_from_slice(&piece);
        }
        self.sink.write(piece)
    }

    fn has_enough(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.len() > robots::MOST_BYTES)
    }

    /// The message has ended.
    fn ensure_complete(&mut self, received: u64, promised: Option<u64>) -> Result<(), Failure> {
        let decoded = self.decoder.take().map_or(Ok(()), BodyDecoder::finish);
        decoded.map_err(|_| Failure::Truncated { received, promised })?;
        match self.length {
            Some(length) if *self.bytes < length => {
                Err(Failure::Truncated { received: *self.bytes, promised: Some(length) })
            }
            _ => Ok(()),
        }
    }
}

/// Receives the body of a reply to its end.
///
/// # Errors
/// A body that ends early, breaks off, is larger than it may be, or cannot be written.
pub async fn receive(
    response: &mut Response,
    receiver: &mut BodyReceiver<'_>,
    request_state: &RequestState,
    progress: &WorkerProgress,
    context: &TransferContext,
) -> Result<(), Failure> {
    let promised = response.content_length();
    progress.promise(promised.map_or(0, |promised| receiver.before.saturating_add(promised)));
    progress.received(receiver.before);
    loop {
        let leave = request_state.waited(&context.rate_limiter, promised).await;
        let chunk = response.chunk().await;
        let length = match &chunk {
            Ok(Some(chunk)) => chunk.len(),
            _ => 0,
        };
        context.rate_limiter.correct(leave, length as u64);
        let Some(chunk) =
            chunk.map_err(|error| classify::body(&error, request_state.bytes(), promised))?
        else {
            break;
        };
        request_state.on_bytes(length);
        progress.received(length as u64);
        receiver.take_chunk(chunk).await?;
        context.quota.take(length as u64)?;
        if receiver.has_enough() {
            return Ok(());
        }
    }
    receiver.ensure_complete(request_state.bytes(), promised)
}

/// Reads the rest of a body that nobody wants, if it is short and comes soon; how it ends does not matter.
pub async fn discard(
    response: &mut Response,
    request_state: &RequestState,
    rate_limiter: &RateLimiter,
) {
    let is_long = response.content_length().is_some_and(|length| length > DISCARDED_AT_MOST);
    if is_long || ensure_can_be_decoded(response).is_err() {
        return;
    }
    let rest = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = DISCARDED_AT_MOST.saturating_sub(request_state.bytes());
            request_state.on_bytes(chunk.len().min(room as usize));
            rate_limiter.charge(chunk.len() as u64);
            if chunk.len() as u64 >= room {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, rest).await;
}
