//! One attempt, from the request to the end of the body. It never fails: failing is an outcome.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Instant, SystemTime};

use reqwest::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    HeaderMap, HeaderName, LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use reqwest::{Response, Version};

use super::body::{self, BodyReceiver};
use super::body_plan::{BodyPlan, begin_at, is_segment, name_of};
use super::checksum::{MessageKind, claims_of_the_whole};
use super::classify;
use super::client::Client;
use super::proxy_route::ProxyRoute;
use super::request::fields;
use super::request_state::{CURRENT_REQUEST, RequestState, with_timeouts};
use crate::digest::{Digest, ExpectedDigests};
use crate::model::{
    Assembly, Attempt, AttemptOutcome, AttemptTimings, ExpectedDigest, Failure, Job, JobKind,
    PartialBody, ResponseHead, StopCause, WorkerProgress,
};
use crate::policy::resume::{self, RangeReply, RangeRequest};
use crate::policy::segments::{ReplyInfo, should_split};
use crate::store::{BodyStart, Leftover, Sink, SinkState, WriteMode};

/// How many stale connections may be found in a row before it counts as a failure.
const STALE_AT_MOST: usize = 64;

/// How often a server may say that it has not looked at a request that came on a new connection.
const UNSEEN_AT_MOST: usize = 3;

/// What an attempt has yielded so far.
struct AttemptProgress {
    head: Option<ResponseHead>,
    first_byte: Option<std::time::Duration>,
    /// How it ends, where the head has told.
    told: Option<AttemptOutcome>,
    /// Bytes that there are of the body.
    bytes: u64,
    text: Option<Vec<u8>>,
    digests: Vec<Digest>,
    claims: Vec<ExpectedDigest>,
    sink: Sink,
}

impl AttemptProgress {
    fn new(sink: Sink) -> Self {
        let (head, first_byte, told, text, digests, claims) = Default::default();
        Self { head, first_byte, told, bytes: 0, text, digests, claims, sink }
    }
}

impl Client {
    /// Makes one attempt at `job`. `cut` ends it early; `slot` shows how it goes; `worker` is who makes it.
    pub async fn transfer(
        &self,
        job: &Job,
        worker: usize,
        progress: &WorkerProgress,
        cut: impl Future<Output = StopCause>,
    ) -> Attempt {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let request_state = Arc::new(RequestState::new(job, started));
        let mut seen = AttemptProgress::new(self.context.store.sink(job));
        progress.begin(&job.url);
        let work = CURRENT_REQUEST.scope(
            Arc::clone(&request_state),
            self.exchange(job, &request_state, progress, &mut seen),
        );
        let ending = match with_timeouts(&request_state, &self.context.timeouts, cut, work).await {
            Ok(Ok(ending)) => ending,
            Ok(Err(failure)) => AttemptOutcome::Failed(failure),
            // Where the head has told how it ends, only the server's words about it are missing.
            Err(failure @ (Failure::Stalled(_) | Failure::Timeout(_))) => {
                seen.told.take().unwrap_or(AttemptOutcome::Failed(failure))
            }
            Err(failure) => AttemptOutcome::Failed(failure),
        };
        let ending = match ending {
            // Whoever answers for a segment like that may do well with the whole.
            AttemptOutcome::Failed(Failure::Protocol(_) | Failure::Checksum { .. })
                if is_segment(job) =>
            {
                AttemptOutcome::Restart
            }
            ending => ending,
        };
        progress.end();
        let phases = AttemptTimings {
            started,
            started_at,
            connect: request_state.connect_time(),
            first_byte: seen.first_byte,
            total: started.elapsed(),
        };
        let part = remaining_part(&mut seen.sink, &ending, job);
        Attempt {
            outcome: ending,
            head: seen.head,
            bytes: seen.bytes,
            wire_bytes: request_state.bytes(),
            text: seen.text,
            begun: seen.sink.begun(),
            part,
            name: None,
            digests: seen.digests,
            claims: seen.claims,
            timings: phases,
            worker,
        }
    }

    /// Waits until the connection of a transfer that has just ended can serve again: its two tasks have their turns to
    /// take it back. Else the next request would open another one.
    pub async fn release(&self) {
        yield_to_others().await;
        yield_to_others().await;
    }

    async fn exchange(
        &self,
        job: &Job,
        request_state: &RequestState,
        progress: &WorkerProgress,
        seen: &mut AttemptProgress,
    ) -> Result<AttemptOutcome, Failure> {
        if let (JobKind::Assemble(seal), Some(part)) = (&job.kind, &job.part) {
            return self.assemble(job, seal, part, request_state, progress, seen).await;
        }
        let route = self.context.routes.route_to(&job.url);
        self.context.resolver.ensure_can_redirect(&job.url, route)?;
        let (fields, asked) = fields(&self.context, job);
        if is_segment(job) && !matches!(asked, RangeRequest::Segment(..)) {
            // A field given by hand asks for something else.
            return Ok(AttemptOutcome::Restart);
        }
        let mut response = self.reply(job, &fields, request_state, route).await?;
        seen.first_byte = Some(request_state.elapsed());
        let head = seen.head.insert(response_head(&response));
        let reply = resume::range_reply(asked, head);
        seen.told = match reply {
            RangeReply::Whole | RangeReply::Rest(_) | RangeReply::Complete => None,
            RangeReply::Unchanged => Some(AttemptOutcome::Unchanged),
            RangeReply::Restart => Some(AttemptOutcome::Restart),
            RangeReply::Other => Some(sent_length(&response)),
        };
        if let Some(ending) = seen.told.clone() {
            body::discard(&mut response, request_state, &self.context.rate_limiter).await;
            return Ok(ending);
        }
        if reply == RangeReply::Complete {
            body::discard(&mut response, request_state, &self.context.rate_limiter).await;
        }
        let bodies = &self.context.bodies;
        if bodies.split.most.get() > 1
            && should_split(job, reply_info(&response, asked, reply, head), bodies)
        {
            return start_split(&response, job, reply, seen);
        }
        self.body(&mut response, job, reply, request_state, progress, seen).await
    }

    /// Looks at a body whose segments are all in as the whole that it is.
    async fn assemble(
        &self,
        job: &Job,
        seal: &Assembly,
        part: &PartialBody,
        request_state: &RequestState,
        progress: &WorkerProgress,
        seen: &mut AttemptProgress,
    ) -> Result<AttemptOutcome, Failure> {
        seen.head = Some(seal.head.clone());
        let reading = BodyPlan::for_assembly(job, seal, part, &self.context);
        self.receive_body(reading, None, job, request_state, progress, seen).await
    }

    /// Receives the body of a reply that is the target's, or what is missing of it.
    async fn body(
        &self,
        response: &mut Response,
        job: &Job,
        reply: RangeReply,
        request_state: &RequestState,
        progress: &WorkerProgress,
        seen: &mut AttemptProgress,
    ) -> Result<AttemptOutcome, Failure> {
        body::ensure_can_be_decoded(response)?;
        let reading = BodyPlan::for_reply(response, job, reply, &self.context, seen.head.as_ref())?;
        if is_segment(job) {
            seen.claims = claims_of_the_whole(response.headers(), MessageKind::Segment);
        }
        let response = (reply != RangeReply::Complete).then_some(response);
        self.receive_body(reading, response, job, request_state, progress, seen).await
    }

    /// Takes in a body: what there is of it, and what the reply brings.
    async fn receive_body(
        &self,
        reading: BodyPlan,
        response: Option<&mut Response>,
        job: &Job,
        request_state: &RequestState,
        progress: &WorkerProgress,
        seen: &mut AttemptProgress,
    ) -> Result<AttemptOutcome, Failure> {
        let BodyPlan { begin, end, decoder, verifier } = reading;
        let is_text = matches!(job.kind, JobKind::Robots(_));
        seen.bytes = begin.at;
        let mut receiver = BodyReceiver {
            decoder,
            verifier,
            sink: &mut seen.sink,
            most: self.context.bodies.max_filesize.filter(|_| !is_text),
            length: if is_segment(job) { end } else { begin.length },
            end,
            before: if is_segment(job) { 0 } else { begin.at },
            bytes: &mut seen.bytes,
            text: is_text.then(Vec::new),
        };
        receiver.ensure_size_allowed(begin.length.unwrap_or(0))?;
        if receiver.sink.begin(begin)? == SinkState::Lost {
            return Ok(AttemptOutcome::Restart);
        }
        receiver.read_back(request_state).await?;
        let received = match response {
            None => Ok(()),
            Some(response) => {
                body::receive(response, &mut receiver, request_state, progress, &self.context).await
            }
        };
        let BodyReceiver { verifier, text, .. } = receiver;
        received?;
        seen.text = text;
        seen.digests = verifier.check()?;
        let is_whole = matches!(job.kind, JobKind::Body | JobKind::Assemble(_));
        let leaves_out = |wanted: Arc<ExpectedDigests>| wanted.leaves_out(&name_of(job));
        if is_whole && self.context.expected_digests().is_some_and(leaves_out) {
            self.context.unlisted.fetch_add(1, Relaxed);
        }
        let modified = seen.head.as_ref().and_then(|head| head.last_modified.as_deref());
        let modified = modified.and_then(|date| httpdate::parse_http_date(date).ok());
        seen.sink.finish(modified)?;
        Ok(AttemptOutcome::Whole)
    }

    /// The reply to the request. A connection that was kept open may have been closed by the server meanwhile, or
    /// still carry the rest of an earlier reply; it has no reply to this request then, which is sent again and not
    /// counted (RFC 9112 section 9.3.1). So is one that the server says it has not looked at, on whatever connection.
    async fn reply(
        &self,
        job: &Job,
        fields: &HeaderMap,
        request_state: &RequestState,
        route: ProxyRoute,
    ) -> Result<Response, Failure> {
        let (mut stale, mut unseen) = (0, 0);
        loop {
            // The builder makes an Authorization field of the user and password in the URL; a field given counts more.
            let request = self.http_client().get(job.url.clone()).headers(fields.clone());
            self.context.requests.fetch_add(1, Relaxed);
            match request.send().await {
                Ok(response) => return Ok(response),
                Err(error) if stale < STALE_AT_MOST && is_stale(&error, request_state) => {
                    stale += 1
                }
                Err(error) if unseen < UNSEEN_AT_MOST && classify::was_not_processed(&error) => {
                    unseen += 1;
                }
                Err(error) => {
                    return Err(classify::request(&error, &job.url, route, &self.context.timeouts));
                }
            }
            request_state.release_connection();
        }
    }
}

/// Gives a turn to each task of this loop that is ready. The runtime's own way to yield looks at all sockets first, which
/// is a system call, and waits for what that brings.
async fn yield_to_others() {
    let mut is_back = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_back, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Whether the request went over a connection that was open before, and had no reply to give.
fn is_stale(error: &reqwest::Error, request_state: &RequestState) -> bool {
    classify::connection(error).is_some_and(|used| !request_state.claim_connection(used))
        && (classify::was_never_answered(error) || classify::was_not_processed(error))
}

/// What a reply offers to whoever would rather have its body in segments.
fn reply_info<'a>(
    response: &Response,
    request: RangeRequest<'a>,
    reply: RangeReply,
    head: &'a ResponseHead,
) -> ReplyInfo<'a> {
    let (length, takes_ranges) = (response.content_length(), takes_ranges(response));
    ReplyInfo { asked: request, answer: reply, head, length, takes_ranges }
}

/// Makes the file of a body that is to be asked for in segments. The reply is left, and its connection with it: only its
/// head tells whether there are to be any.
fn start_split(
    response: &Response,
    job: &Job,
    reply: RangeReply,
    seen: &mut AttemptProgress,
) -> Result<AttemptOutcome, Failure> {
    let (begin, message) = match (reply, &job.part) {
        (RangeReply::Rest(span), Some(part)) => {
            (BodyStart { length: Some(span.length), ..begin_at(part) }, MessageKind::Segment)
        }
        _ => {
            let validator = seen.head.as_ref().and_then(resume::validator);
            let length = response.content_length();
            (
                BodyStart { at: 0, length, validator, course: WriteMode::Sequential },
                MessageKind::Whole,
            )
        }
    };
    if seen.sink.begin(begin)? == SinkState::Lost {
        return Ok(AttemptOutcome::Restart);
    }
    seen.sink.divide()?;
    seen.claims = claims_of_the_whole(response.headers(), message);
    Ok(AttemptOutcome::Divided)
}

/// Whether the server says that it honours ranges of bytes (RFC 9110 section 14.3).
fn takes_ranges(response: &Response) -> bool {
    let lines = response.headers().get_all(ACCEPT_RANGES).iter();
    let mut units = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    units.any(|unit| unit.trim_ascii().eq_ignore_ascii_case(b"bytes"))
}

/// What an attempt leaves of a body that is not whole.
fn remaining_part(sink: &mut Sink, ending: &AttemptOutcome, job: &Job) -> Option<PartialBody> {
    let left = match ending {
        AttemptOutcome::Whole => return None,
        AttemptOutcome::Restart if is_segment(job) => Leftover::Unchanged,
        _ if is_segment(job) => sink.finish_partial(),
        AttemptOutcome::Failed(Failure::Checksum { .. } | Failure::TooLarge { .. }) => {
            sink.discard()
        }
        // What came is of no use; where none came, what was there before still is.
        AttemptOutcome::Failed(Failure::Protocol(_)) if sink.has_begun() => sink.discard(),
        _ => sink.finish_partial(),
    };
    match left {
        Leftover::Unchanged => job.part.clone(),
        Leftover::Nothing => None,
        Leftover::Part(part) => Some(part),
    }
}

/// How a reply ends whose body is not the target's: a redirect or a failure.
fn sent_length(response: &Response) -> AttemptOutcome {
    match response.status().as_u16() {
        206 => unexpected_reply("a part (206) of what was asked for as a whole"),
        300 | 301 | 302 | 303 | 307 | 308 => {
            let location = response.headers().get(LOCATION);
            AttemptOutcome::Redirect { location: location.map(|value| value.as_bytes().to_vec()) }
        }
        304 => unexpected_reply("304 Not Modified to an unconditional request"),
        429 => AttemptOutcome::Failed(Failure::RateLimited { status: 429, wait: None }),
        status @ 400..=599 => AttemptOutcome::Failed(Failure::Status(status)),
        status => unexpected_reply(&format!("a final status of {status}")),
    }
}

fn unexpected_reply(what: &str) -> AttemptOutcome {
    AttemptOutcome::Failed(Failure::Protocol(what.to_owned()))
}

fn response_head(response: &Response) -> ResponseHead {
    let headers = response.headers();
    ResponseHead {
        status: response.status().as_u16(),
        version: match response.version() {
            Version::HTTP_09 => "HTTP/0.9",
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_3 => "HTTP/3",
            _ => "HTTP/1.1",
        },
        remote_addr: response.remote_addr(),
        content_type: header_text(headers, CONTENT_TYPE),
        content_encoding: joined_values(headers, CONTENT_ENCODING),
        etag: header_text(headers, ETAG),
        last_modified: header_text(headers, LAST_MODIFIED),
        date: header_text(headers, DATE),
        content_range: header_text(headers, CONTENT_RANGE),
        content_disposition: header_text(headers, CONTENT_DISPOSITION),
        retry_after: header_text(headers, RETRY_AFTER),
    }
}

/// A field of several lines as one (RFC 9110 section 5.3).
fn joined_values(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// A field as text; what is not UTF-8 in it shows as U+FFFD.
fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
