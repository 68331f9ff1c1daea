//! Response bodies, generated piece by piece when the socket has room.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::bandwidth::Bandwidth;
use super::random_body;
use super::ranges::ServedRange;
use super::stats::InFlightGuard;

/// The default maximum length of a piece in bytes.
const MAX_PIECE_BYTES: usize = 64 * 1024;

/// A response body that is being sent.
pub(super) struct Body {
    source: BodySource,
    /// The next byte to send.
    at: u64,
    /// The first byte not to send.
    end: u64,
    /// Where to close the connection before `end`; `None`: not before.
    cut: Option<CutAfter>,
    /// The maximum length of a piece.
    piece: usize,
    framing: Framing,
    pacer: Option<BodyPacer>,
    /// Counts the request as in flight until the body is dropped, sent or not.
    _guard: Option<InFlightGuard>,
}

enum BodySource {
    /// Generated from this key.
    Random(u64),
    /// In memory.
    Text(Bytes),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunks,
}

/// How far a body that is cut off has got.
enum CutAfter {
    /// The position of the cut has not been reached.
    At(u64),
    /// All bytes before the cut were passed to the connection, which has since been able to write them.
    Flushed,
}

/// Delays the pieces of a body to limit its rate.
struct BodyPacer {
    bandwidth: Bandwidth,
    sleep: Pin<Box<Sleep>>,
    /// The length of the piece that is not due yet; `None` between two pieces.
    waiting: Option<usize>,
}

impl Body {
    /// A body with these bytes.
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self::new(text.len() as u64, BodySource::Text(text))
    }

    /// A body of `length` bytes, generated from this key.
    pub(super) fn random(key: u64, length: u64) -> Self {
        Self::new(length, BodySource::Random(key))
    }

    fn new(end: u64, source: BodySource) -> Self {
        Self {
            source,
            at: 0,
            end,
            cut: None,
            piece: MAX_PIECE_BYTES,
            framing: Framing::Length,
            pacer: None,
            _guard: None,
        }
    }

    /// Restricts the body to a range.
    pub(super) fn part(self, range: ServedRange) -> Self {
        Self { at: range.first, end: range.last + 1, ..self }
    }

    /// Sends the body without a length, in chunks of this size.
    pub(super) fn in_chunks(self, size: usize) -> Self {
        Self { piece: size, framing: Framing::Chunks, ..self }
    }

    /// Closes the connection after this many bytes, if the body has more.
    pub(super) fn cut_after(self, bytes: u64) -> Self {
        let at = self.at.saturating_add(bytes);
        Self { cut: (at < self.end).then_some(CutAfter::At(at)), ..self }
    }

    /// Limits the rate from now on. Of two limits, the slower one applies.
    pub(super) fn with_rate(mut self, bandwidth: Bandwidth) -> Self {
        let bandwidth =
            self.pacer.take().map_or(bandwidth, |pacer| pacer.bandwidth.or_slower(bandwidth));
        let sleep = Box::pin(tokio::time::sleep_until(Instant::now()));
        Self { pacer: Some(BodyPacer { bandwidth, sleep, waiting: None }), ..self }
    }

    /// Keeps the guard until the body is dropped.
    pub(super) fn with_guard(self, guard: InFlightGuard) -> Self {
        Self { _guard: Some(guard), ..self }
    }

    /// Returns the next piece of the body once it is due; `None` at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let stop = match self.cut {
            Some(CutAfter::At(stop)) if self.at == stop => {
                self.cut = Some(CutAfter::Flushed);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(CutAfter::Flushed) => {
                return Poll::Ready(Some(Err(io::Error::other("cut as asked"))));
            }
            Some(CutAfter::At(stop)) => stop,
            None => self.end,
        };
        let left = stop - self.at;
        if left == 0 {
            return Poll::Ready(None);
        }
        let max_length = usize::try_from(left).unwrap_or(usize::MAX).min(self.piece);
        let length = match &mut self.pacer {
            None => max_length,
            Some(pacer) => ready!(pacer.poll_length(max_length, context)),
        };
        let piece = self.source.bytes(self.at, length);
        self.at += length as u64;
        Poll::Ready(Some(Ok(piece)))
    }
}

impl BodySource {
    fn bytes(&self, at: u64, length: usize) -> Bytes {
        match self {
            Self::Random(key) => random_body::bytes(*key, at, length),
            Self::Text(text) => text.slice(at as usize..at as usize + length),
        }
    }
}

impl BodyPacer {
    /// Returns the length of the next piece, at most `max_length`, once it is due.
    fn poll_length(&mut self, max_length: usize, context: &mut Context<'_>) -> Poll<usize> {
        let length = match self.waiting {
            Some(length) => length,
            None => {
                let length = self.bandwidth.piece(max_length);
                let due = self.bandwidth.due(self.sleep.deadline(), Instant::now(), length);
                self.sleep.as_mut().reset(due);
                *self.waiting.insert(length)
            }
        };
        ready!(self.sleep.as_mut().poll(context));
        self.waiting = None;
        Poll::Ready(length)
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.get_mut().poll_piece(context).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.framing == Framing::Length && self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::Length => SizeHint::with_exact(self.end - self.at),
            Framing::Chunks => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::num::NonZeroU64;
    use std::time::Duration;

    async fn pieces(mut body: Body) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            pieces.push(frame.unwrap().into_data().unwrap());
        }
        pieces
    }

    #[tokio::test]
    async fn a_large_body_comes_in_pieces_and_a_part_of_it_is_a_part_of_it() {
        let whole = pieces(Body::random(1, 200_000)).await;
        assert_eq!(whole.iter().map(Bytes::len).collect::<Vec<_>>(), [65536, 65536, 65536, 3392]);
        let part =
            pieces(Body::random(1, 200_000).part(ServedRange { first: 65_535, last: 65_536 }))
                .await;
        assert_eq!(part.concat(), whole.concat()[65_535..=65_536]);
    }

    #[tokio::test]
    async fn a_tebibyte_is_promised_without_being_made() {
        use hyper::body::Body as _;
        let mut body = Body::random(1, 1 << 40);
        assert_eq!(body.size_hint().exact(), Some(1 << 40));
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap().len(),
            MAX_PIECE_BYTES
        );
    }

    #[tokio::test]
    async fn chunks_have_the_size_asked_for_and_promise_no_length() {
        use hyper::body::Body as _;
        let body = Body::random(1, 25).in_chunks(10);
        assert_eq!(body.size_hint().exact(), None);
        assert_eq!(pieces(body).await.iter().map(Bytes::len).collect::<Vec<_>>(), [10, 10, 5]);
    }

    #[tokio::test]
    async fn a_cut_body_ends_in_an_error_after_the_bytes_before_the_cut() {
        let mut body = Body::random(1, 25).cut_after(10);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 10);
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!(pieces(Body::random(1, 25).cut_after(25)).await.concat().len(), 25);
    }

    #[tokio::test(start_paused = true)]
    async fn a_paced_body_takes_its_time_to_the_millisecond() {
        let start = Instant::now();
        let bandwidth = Bandwidth::per_second(NonZeroU64::new(1000).unwrap());
        let sizes: Vec<_> = pieces(Body::random(1, 2990).with_rate(bandwidth))
            .await
            .iter()
            .map(Bytes::len)
            .collect();
        assert_eq!(start.elapsed(), Duration::from_millis(2990));
        assert!(sizes.iter().all(|size| *size <= 20));
        assert_eq!(sizes.iter().sum::<usize>(), 2990);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_paces_the_slower_one_counts() {
        let start = Instant::now();
        let bandwidth = |bytes| Bandwidth::per_second(NonZeroU64::new(bytes).unwrap());
        let body = Body::text(vec![b'x'; 100]).with_rate(bandwidth(50)).with_rate(bandwidth(1000));
        assert_eq!(pieces(body).await.concat().len(), 100);
        assert_eq!(start.elapsed(), Duration::from_secs(2));
    }
}
