//! Receives a body chunk by chunk: counts, decodes, verifies and writes it. The counts are of bytes that arrived, not of
//! those that a header announces.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as _;
use reqwest::header::{HeaderValue, TRANSFER_ENCODING};
use reqwest::{Response, StatusCode, Version};

use super::checksum::BodyVerifier;
use super::classify;
use super::context::TransferContext;
use super::decode::BodyDecoder;
use super::request_state::RequestState;
use super::run_services::{DecoderNeed, MemoryPermit};
use crate::model::{Failure, SpeedRule, WorkerProgress};
use crate::plan::MinSpeed;
use crate::policy::robots;
use crate::store::Sink;

/// The maximum number of bytes that are read and discarded of an unwanted body, so that its connection can be reused.
const MAX_DISCARDED_BYTES: u64 = 64 * 1024;

/// The maximum time spent on discarding a body; opening another connection takes less.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// The size of the buffer in which a partial file is read back, bytes.
const READ_BACK_BYTES: usize = 256 * 1024;

/// The number of decoded pieces of one chunk after which other tasks get a turn.
const PIECES_PER_TURN: u32 = 16;

/// The maximum ratio of decoded bytes to received bytes, for content of more than [`RATIO_CHECKED_FROM`] bytes.
/// gzip can reach 1,032.
const MAX_RATIO: u64 = 1000;

/// The size of decoded content, in bytes, above which [`MAX_RATIO`] applies.
const RATIO_CHECKED_FROM: u64 = 64 * 1024 * 1024;

/// Decoder windows of up to this many bytes are not counted against the memory of the run; those of gzip are smaller.
const SMALL_WINDOW_BYTES: u64 = 512 * 1024;

/// The least number of decoded bytes of a dense body: one that takes much decoder memory for few received bytes. Fewer bytes
/// fill little of a window.
const DENSE_FROM: u64 = 256 * 1024;

/// The least ratio of decoded bytes to received bytes of a dense body. Pages, logs and tables rarely compress that well.
const DENSE_RATIO: u64 = 64;

/// The minimum speed of a body whose decoder holds memory of the run while other bodies wait for it.
const SPEED_FOR_MEMORY: MinSpeed =
    MinSpeed { rate: NonZeroU64::new(10 * 1024).unwrap(), over: Duration::from_secs(10) };

/// Fails if the body has any transfer coding other than a single `chunked` (RFC 9112 section 6.1). The library would pass the
/// coded bytes on as if they were the content.
///
/// # Errors
/// [`Failure::Protocol`] naming the coding.
pub(super) fn ensure_can_be_decoded(response: &Response) -> Result<(), Failure> {
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
            Err(Failure::Protocol(format!("unsupported transfer encoding '{codings}'")))
        }
    }
}

/// Receives one body.
pub(super) struct BodyReceiver<'a> {
    pub context: &'a TransferContext,
    pub request_state: &'a RequestState,
    pub progress: &'a WorkerProgress,
    /// The decoder of its content codings, if there are any.
    pub decoder: Option<BodyDecoder>,
    /// Computes its digests, and compares them with those that it must have.
    pub verifier: BodyVerifier,
    /// Where the body is written.
    pub sink: &'a mut Sink,
    /// The maximum length of the body (`--max-filesize`), if there is one.
    pub max_bytes: Option<u64>,
    /// The length of the complete body, if known.
    pub length: Option<u64>,
    /// The offset after the last byte that the reply may bring, if known.
    pub end: Option<u64>,
    /// Bytes of the body received so far, including those of earlier attempts.
    pub bytes: &'a mut u64,
    /// Bytes of earlier attempts that the progress display shows as received.
    pub before: u64,
    /// The text of the body, if it is kept in memory (robots.txt).
    pub text: Option<Vec<u8>>,
    /// The size of its decoder's windows in bytes; `None` before the first chunk, or without a decoder.
    pub windows: Option<u64>,
    /// The memory reserved for the windows; `None` if they are small.
    pub windows_permit: Option<MemoryPermit>,
    /// Its permit to be decoded as a dense body; `None` if it has not proved dense.
    pub turn: Option<MemoryPermit>,
}

impl BodyReceiver<'_> {
    /// Reads back the part of the body that earlier attempts have saved, if its digests need it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn read_back(&mut self) -> Result<(), Failure> {
        if !self.verifier.needs_saved_bytes() {
            return Ok(());
        }
        let mut buffer = vec![0; READ_BACK_BYTES];
        let mut at = 0;
        while at < *self.bytes {
            let wanted = buffer.len().min((*self.bytes - at) as usize);
            let read = self.sink.read_back(at, &mut buffer[..wanted])?;
            if read == 0 {
                break;
            }
            self.verifier.update_saved(&buffer[..read]);
            at += read as u64;
            // The time that this takes is not the server's.
            self.request_state.on_bytes(0);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Fails if `bytes` exceeds `--max-filesize`.
    ///
    /// # Errors
    /// [`Failure::TooLarge`].
    pub(super) fn ensure_size_allowed(&self, bytes: u64) -> Result<(), Failure> {
        match self.max_bytes {
            Some(limit) if bytes > limit => Err(Failure::TooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// Fails if the body is slow and its decoder holds memory that other bodies wait for.
    ///
    /// # Errors
    /// [`Failure::TooSlow`].
    fn ensure_worth_its_memory(&self) -> Result<(), Failure> {
        let MinSpeed { rate, over } = SPEED_FOR_MEMORY;
        let has_memory = self.windows_permit.is_some() || self.turn.is_some();
        let is_slow = has_memory && self.request_state.is_slower_than(SPEED_FOR_MEMORY);
        if is_slow && self.context.services().is_memory_wanted() {
            return Err(Failure::TooSlow { rate: rate.get(), over, rule: SpeedRule::Memory });
        }
        Ok(())
    }

    /// Processes the next chunk, and counts its bytes against the quota: those received or those decoded, whichever are
    /// more.
    async fn take_chunk(&mut self, chunk: Bytes) -> Result<(), Failure> {
        self.verifier.update_sent(&chunk);
        self.sink.take_received(&chunk)?;
        let received = chunk.len() as u64;
        let Some(mut decoder) = self.decoder.take() else {
            self.take_decoded(chunk)?;
            return self.context.reserve_bytes(received);
        };
        self.ensure_worth_its_memory()?;
        decoder.take_in(chunk);
        if self.windows.is_none() && received > 0 {
            let bytes = decoder.windows()?;
            self.windows = Some(bytes);
            if bytes > SMALL_WINDOW_BYTES {
                self.windows_permit = Some(self.reserve(DecoderNeed::Windows(bytes)).await);
            }
        }
        let mut turn = None;
        let may_fill_window = self.may_fill_window(&decoder);
        if may_fill_window && self.turn.is_none() {
            turn = Some(self.reserve(DecoderNeed::Turn).await);
        }
        let (mut pieces, mut decoded) = (0, 0);
        loop {
            let is_dense = self.is_dense(&decoder);
            if is_dense && self.turn.is_none() {
                self.turn = match turn.take() {
                    Some(turn) => Some(turn),
                    None => Some(self.reserve(DecoderNeed::Turn).await),
                };
            }
            let Some(piece) = decoder.next_piece()? else { break };
            if !piece.is_empty() {
                decoded += piece.len() as u64;
                self.context.reserve_bytes(piece.len() as u64)?;
                self.take_decoded(Bytes::copy_from_slice(piece))?;
            }
            self.ensure_ratio_allowed(decoder.expanded())?;
            pieces += 1;
            // A few bytes may expand to gigabytes, and other tasks are waiting.
            if pieces % PIECES_PER_TURN == 0 {
                // The time that this takes is not the server's.
                self.request_state.on_bytes(0);
                tokio::task::yield_now().await;
            }
        }
        if let Some(turn) = turn {
            self.context.services().end_turn(turn);
        }
        self.decoder = Some(decoder);
        self.context.reserve_bytes(received.saturating_sub(decoded))
    }

    /// Waits for memory of the run. The wait is not counted as the server's time.
    async fn reserve(&mut self, need: DecoderNeed) -> MemoryPermit {
        let reserved = self.context.services().reserve_memory(need);
        self.request_state.hold_clocks(reserved).await
    }

    /// Whether the decoder may fill a large window from the next chunk before it returns content that shows whether the
    /// body is dense.
    fn may_fill_window(&self, decoder: &BodyDecoder) -> bool {
        decoder.decodes_ahead() && decoder.expanded() < DENSE_FROM && self.has_large_windows()
    }

    fn has_large_windows(&self) -> bool {
        self.windows > Some(SMALL_WINDOW_BYTES)
    }

    /// Whether the body is dense: its decoder has large windows, and it expands a lot or has several codings.
    fn is_dense(&self, decoder: &BodyDecoder) -> bool {
        let expands = || {
            let decoded = decoder.expanded();
            decoded >= DENSE_FROM && decoded / self.request_state.bytes().max(1) >= DENSE_RATIO
        };
        self.has_large_windows() && (decoder.is_stacked() || expands())
    }

    /// Fails if `decoded` is more than [`MAX_RATIO`] times the bytes received.
    fn ensure_ratio_allowed(&self, decoded: u64) -> Result<(), Failure> {
        let received = self.request_state.bytes();
        if decoded > RATIO_CHECKED_FROM && decoded / MAX_RATIO > received {
            return Err(Failure::TooDense { received, ratio: MAX_RATIO });
        }
        Ok(())
    }

    fn take_decoded(&mut self, piece: Bytes) -> Result<(), Failure> {
        let bytes = *self.bytes + piece.len() as u64;
        self.ensure_size_allowed(bytes)?;
        if self.end.is_some_and(|end| bytes > end) {
            let message = "more bytes than its Content-Range names";
            return Err(Failure::Protocol(message.to_owned()));
        }
        *self.bytes = bytes;
        self.verifier.update_saved(&piece);
        if let Some(text) = &mut self.text {
            text.extend_from_slice(&piece);
        }
        self.sink.write(piece)
    }

    /// Whether the text kept in memory has all bytes of a robots.txt that count.
    fn has_enough_text(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.len() > robots::MAX_BYTES)
    }

    /// Fails if the body is not complete at the end of the message.
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

    /// Receives the body of a reply to its end.
    ///
    /// # Errors
    /// If the body ends early, breaks off, is larger than allowed, or cannot be written.
    pub(super) async fn receive(&mut self, response: &mut Response) -> Result<(), Failure> {
        let (context, request_state) = (self.context, self.request_state);
        let promised = response.content_length();
        let shown = promised.map_or(0, |promised| self.before.saturating_add(promised));
        self.progress.promise(shown);
        self.progress.received(self.before);
        request_state.start_body();
        loop {
            let charged = request_state.wait_for_rate(context, promised).await;
            let chunk = response.chunk().await;
            let length = match &chunk {
                Ok(Some(chunk)) => chunk.len(),
                _ => 0,
            };
            context.report_read(length as u64, charged);
            let chunk =
                chunk.map_err(|error| classify::body(&error, request_state.bytes(), promised));
            let Some(chunk) = chunk? else { break };
            request_state.on_bytes(length);
            self.progress.received(length as u64);
            self.take_chunk(chunk).await?;
            if self.has_enough_text() {
                return Ok(());
            }
        }
        if response.version() == Version::HTTP_2 && !has_marked_end(response) {
            return Err(Failure::Truncated { received: request_state.bytes(), promised });
        }
        self.ensure_complete(request_state.bytes(), promised)
    }
}

/// Whether the sender has marked the end of the body. The library also ends a body without an error if its HTTP/2 stream is
/// reset with NO_ERROR, or is beyond the last stream of a GOAWAY with NO_ERROR.
fn has_marked_end(response: &mut Response) -> bool {
    let empty = Response::from(http::Response::new(reqwest::Body::default()));
    let body = reqwest::Body::from(std::mem::replace(response, empty));
    body.is_end_stream()
}

/// Reads the rest of a body that is not the target's, if it is short and arrives soon, so that its connection can be reused.
/// Errors in reading it are ignored.
///
/// # Errors
/// If an archive keeps the body and it cannot be written.
pub(super) async fn discard(
    response: &mut Response,
    request_state: &RequestState,
    context: &TransferContext,
    sink: &mut Sink,
) -> Result<(), Failure> {
    let is_long = response.content_length().is_some_and(|length| length > MAX_DISCARDED_BYTES);
    if is_long || ensure_can_be_decoded(response).is_err() {
        sink.cut_off();
        return Ok(());
    }
    let rest = async {
        while let Some(chunk) = response.chunk().await.map_err(|_| None)? {
            let room = MAX_DISCARDED_BYTES.saturating_sub(request_state.bytes());
            request_state.on_bytes(chunk.len().min(room as usize));
            context.report_read(chunk.len() as u64, 0);
            sink.take_received(&chunk).map_err(Some)?;
            if chunk.len() as u64 >= room {
                return Err(None);
            }
        }
        Ok(())
    };
    match tokio::time::timeout(DISCARD_TIMEOUT, rest).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Some(failure))) => Err(failure),
        Ok(Err(None)) | Err(_) => {
            sink.cut_off();
            Ok(())
        }
    }
}
