//! Makes one attempt, from the request to the end of the body. A failure is an outcome of the attempt, not an error.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, LOCATION, RETRY_AFTER,
    SET_COOKIE,
};
use reqwest::tls::TlsInfo;
use reqwest::{Response, Version};
use url::Url;

use super::body::{self, BodyReceiver};
use super::body_plan::{BodyPlan, BodyPlanner, begin_at, is_segment, name_of};
use super::captured_heads;
use super::certificate::CertificateFields;
use super::checksum::{MessageKind, claims_of_the_whole};
use super::client::Client;
use super::client_certificate::reason_of_refusal;
use super::heads;
use super::request::{fields, is_withheld, sent_credentials};
use super::request_state::{CURRENT_REQUEST, RequestState, with_timeouts};
use super::trust::{date, now, rfc3339};
use super::unauthorized;
use crate::digest::{Digest, ExpectedDigests};
use crate::model::{
    Assembly, Attempt, AttemptOutcome, AttemptTimings, ExpectedDigest, Failure, HttpVersion, Job,
    JobKind, PartialBody, RequestMethod, ResponseHead, StopCause, WorkerProgress,
};
use crate::policy::resume::{self, RangeReply, RangeRequest, has_something_to_lose};
use crate::policy::retry::asked_wait;
use crate::policy::segments::{ReplyInfo, should_split};
use crate::policy::target_rules::ensure_job_allowed;
use crate::store::{BodyStart, Leftover, Sink, SinkState, WriteMode};
use crate::text::counted;

/// One attempt in progress: its inputs, and its results so far.
struct Exchange<'a> {
    client: &'a Client,
    job: &'a Job,
    expected: Option<&'a ExpectedDigests>,
    request_state: &'a RequestState,
    progress: &'a WorkerProgress,
    head: Option<ResponseHead>,
    first_byte: Option<Duration>,
    /// The outcome, once the head of the reply has decided it.
    decided: Option<AttemptOutcome>,
    /// Bytes of the body received so far, including those of earlier attempts that this one continues.
    bytes: u64,
    text: Option<Vec<u8>>,
    digests: Vec<Digest>,
    claims: Vec<ExpectedDigest>,
    heads: Vec<String>,
    set_cookies: Vec<Vec<u8>>,
    sink: Sink,
}

impl Client {
    /// Makes one attempt at `job`. `expected` are the digests that bodies must have; `progress` is updated for the
    /// display; `cancel` resolves with the cause when the attempt must end; `worker` is the number of the worker.
    pub(crate) async fn transfer(
        &self,
        job: &Job,
        expected: Option<&ExpectedDigests>,
        worker: usize,
        progress: &WorkerProgress,
        cancel: impl Future<Output = StopCause>,
    ) -> Box<Attempt> {
        let started = Instant::now();
        let route = self.context.proxy_rules.route_to(&job.url);
        let certificate = self.context.config.identities.of(job);
        let request_state = Arc::new(RequestState::new(job, route, certificate, started));
        let mut exchange = Exchange::new(self, job, expected, &request_state, progress);
        progress.begin(&job.url);
        // Boxed, because its several kilobytes would otherwise be copied into each of the futures around it.
        let work = CURRENT_REQUEST.scope(Arc::clone(&request_state), Box::pin(exchange.run()));
        let timeouts = &self.context.config.timeouts;
        let outcome = match with_timeouts(&request_state, timeouts, cancel, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => AttemptOutcome::Failed(failure),
            // If the head has decided the outcome already, only an unused body was missing.
            Err(
                failure @ (Failure::Stalled(_) | Failure::TooSlow { .. } | Failure::Timeout(_)),
            ) => exchange.decided.take().unwrap_or(AttemptOutcome::Failed(failure)),
            Err(failure) => AttemptOutcome::Failed(failure),
        };
        if shows_bad_connection(&outcome, exchange.head.is_some()) {
            self.leave_connection(&request_state);
        }
        progress.end();
        exchange.into_attempt(outcome, worker)
    }

    /// Waits until the connection of a transfer that has just ended can be reused: yields twice, so that the library's
    /// two tasks for it can return it to the pool. Without this the next request would open another connection.
    pub(crate) async fn release(&self) {
        yield_to_others().await;
        yield_to_others().await;
    }
}

impl<'a> Exchange<'a> {
    fn new(
        client: &'a Client,
        job: &'a Job,
        expected: Option<&'a ExpectedDigests>,
        request_state: &'a RequestState,
        progress: &'a WorkerProgress,
    ) -> Self {
        let (head, first_byte, decided, bytes, text, digests, claims, heads, set_cookies) =
            Default::default();
        Self {
            client,
            job,
            expected,
            request_state,
            progress,
            head,
            first_byte,
            decided,
            bytes,
            text,
            digests,
            claims,
            heads,
            set_cookies,
            sink: client.context.store.sink(job),
        }
    }

    fn into_attempt(mut self, outcome: AttemptOutcome, worker: usize) -> Box<Attempt> {
        let outcome = match outcome {
            // A server that fails on a segment in one of these ways may still serve the whole body.
            AttemptOutcome::Failed(Failure::Protocol(_) | Failure::Checksum { .. })
                if is_segment(self.job) =>
            {
                AttemptOutcome::Restart
            }
            outcome => outcome,
        };
        let timings = AttemptTimings {
            connect: self.request_state.connect_time(),
            first_byte: self.first_byte,
            total: self.request_state.elapsed(),
        };
        let part = remaining_part(&mut self.sink, &outcome, self.job);
        let begun = self.sink.begun();
        let (outcome, exchange) = match self.sink.into_exchange(&outcome) {
            Ok(exchange) => (outcome, exchange),
            Err(failure) => (AttemptOutcome::Failed(failure), None),
        };
        Box::new(Attempt {
            outcome,
            head: self.head,
            bytes: self.bytes,
            wire_bytes: self.request_state.bytes(),
            text: self.text,
            begun,
            part,
            name: None,
            digests: self.digests,
            claims: self.claims,
            timings,
            heads: self.heads,
            exchange,
            set_cookies: self.set_cookies,
            head_by: method_of_head(self.client.context.config.http.method, self.job),
            worker,
        })
    }

    async fn run(&mut self) -> Result<AttemptOutcome, Failure> {
        let (job, context) = (self.job, &*self.client.context);
        if let (JobKind::Assemble(assembly), Some(part)) = (&job.kind, &job.part) {
            return self.assemble(assembly, part).await;
        }
        ensure_job_allowed(&context.config.http.targets, job)?;
        context.resolver.ensure_can_redirect(&job.url, self.request_state.route())?;
        let (fields, request) = fields(context, job);
        if job.kind == JobKind::Body && is_withheld(context, job, &fields) {
            context.counters.withheld.fetch_add(1, Relaxed);
        }
        if is_segment(job) && !matches!(request, RangeRequest::Segment(..)) {
            // A header field given by the user asks for something else.
            return Ok(AttemptOutcome::Restart);
        }
        let records_heads = context.config.records_heads;
        if records_heads {
            let method = method_of(context.config.http.method, job);
            self.heads = heads::of_request(context, method, &job.url, &fields);
        }
        let mut response = self.client.reply(job, &fields, self.request_state).await?;
        heads::ensure_size_allowed(response.headers())?;
        if records_heads {
            self.heads.extend(heads::of_reply(&response));
        }
        self.first_byte = Some(self.request_state.elapsed());
        self.pass_heads_to_sink(&fields, &response);
        self.set_cookies = set_cookies(&response, job, context.config.keeps_cookies);
        let method = method_of(context.config.http.method, job);
        let expiry = certificate_expiry(&response, &job.url);
        self.head = Some(response_head(&response, method, expiry));
        self.ensure_certificate_lasts(&response, expiry)?;
        let Some(head) = &self.head else { unreachable!("it was set above") };
        let reply = match (&job.kind, head.status) {
            // RFC 9309 section 2.3.1.1: any successful status.
            (JobKind::Robots { .. }, 200..=299) => RangeReply::Whole,
            (_, 204) if has_something_to_lose(job) => RangeReply::Other,
            _ => resume::range_reply(request, head),
        };
        if job.kind == JobKind::Body
            && let Some(outcome) = self.outcome_by_status(reply, head.status)?
        {
            return match outcome {
                AttemptOutcome::Accepted => self.read_accepted_body(&mut response).await,
                outcome => {
                    self.decided = Some(outcome.clone());
                    let sink = &mut self.sink;
                    body::discard(&mut response, self.request_state, context, sink).await?;
                    Ok(outcome)
                }
            };
        }
        self.decided = match reply {
            RangeReply::Whole | RangeReply::Rest(_) | RangeReply::Complete => None,
            RangeReply::Unchanged => Some(AttemptOutcome::Unchanged),
            RangeReply::Restart => Some(AttemptOutcome::Restart),
            RangeReply::Other => Some(self.outcome_without_body(&response)),
        };
        if let Some(outcome) = self.decided.clone() {
            body::discard(&mut response, self.request_state, context, &mut self.sink).await?;
            return Ok(outcome);
        }
        if reply == RangeReply::Complete {
            body::discard(&mut response, self.request_state, context, &mut self.sink).await?;
        }
        let bodies = &context.config.bodies;
        if bodies.split.most.get() > 1
            && should_split(job, reply_info(&response, request, reply, head), bodies)
        {
            return self.start_split(&response, reply);
        }
        self.receive_reply(&mut response, reply).await
    }

    /// Passes the heads of the request and of its reply to the sink, if it keeps them.
    fn pass_heads_to_sink(&mut self, fields: &HeaderMap, response: &Response) {
        let (context, job, request_state) = (&*self.client.context, self.job, self.request_state);
        let method = method_of(context.config.http.method, job);
        let heads = || captured_heads::heads(context, method, job, fields, response, request_state);
        self.sink.take_heads(heads);
    }

    /// The outcome that `--accept` or `--head` gives to a reply with this status; `None` if neither option decides it, so that
    /// the reply brings a body or is a failure as usual.
    ///
    /// # Errors
    /// If the length announced in reply to HEAD exceeds `--max-filesize`.
    fn outcome_by_status(
        &self,
        reply: RangeReply,
        status: u16,
    ) -> Result<Option<AttemptOutcome>, Failure> {
        let http = &self.client.context.config.http;
        let accepts = |status| http.accept.iter().any(|range| range.contains(status));
        let is_from_proxy = status == 407 && self.request_state.is_answered_by_proxy();
        let wants_head = http.method == RequestMethod::Head;
        let is_success = match reply {
            RangeReply::Whole if status != 206 => http.accept.is_empty() || accepts(status),
            // A 206 with the requested range counts as a 200.
            RangeReply::Whole | RangeReply::Rest(_) | RangeReply::Complete => {
                http.accept.is_empty() || accepts(200)
            }
            RangeReply::Other if accepts(status) && !is_from_proxy => {
                return Ok(Some(match wants_head {
                    true => AttemptOutcome::Head,
                    false => AttemptOutcome::Accepted,
                }));
            }
            RangeReply::Other if wants_head && !self.job.head_refused => {
                return Ok(matches!(status, 405 | 501).then_some(AttemptOutcome::HeadRefused));
            }
            RangeReply::Unchanged | RangeReply::Restart | RangeReply::Other => return Ok(None),
        };
        if !is_success {
            return Ok(Some(AttemptOutcome::Failed(Failure::NotAccepted(status))));
        }
        if !wants_head {
            return Ok(None);
        }
        let announced = self.head.as_ref().and_then(|head| head.content_length);
        match self.client.context.config.bodies.max_filesize {
            Some(limit) if announced > Some(limit) => Err(Failure::TooLarge { limit }),
            _ => Ok(Some(AttemptOutcome::Head)),
        }
    }

    /// Fails if `expiry`, when the server's certificate expires, is sooner than `--min-cert-days` allows. Counts replies over
    /// plain http, which have no certificate.
    fn ensure_certificate_lasts(
        &self,
        response: &Response,
        expiry: Option<i64>,
    ) -> Result<(), Failure> {
        let Some(days) = self.client.context.config.http.min_cert_days else { return Ok(()) };
        let is_checked = matches!(self.job.kind, JobKind::Body | JobKind::Segment { .. });
        let is_plain = self.job.url.scheme() == "http" && self.job.kind == JobKind::Body;
        if is_plain && !response.status().is_redirection() {
            self.client.context.counters.uncertified.fetch_add(1, Relaxed);
        }
        match expiry.filter(|_| is_checked) {
            Some(last) => ensure_lasts(last, days),
            None => Ok(()),
        }
    }

    /// Reads the body of a reply with a status of `--accept`. It is counted and not saved.
    async fn read_accepted_body(
        &mut self,
        response: &mut Response,
    ) -> Result<AttemptOutcome, Failure> {
        body::ensure_can_be_decoded(response)?;
        self.sink.set_unsaved();
        let plan = self.body_planner().for_accepted(response, self.head.as_ref())?;
        self.receive_body(plan, Some(response)).await?;
        Ok(AttemptOutcome::Accepted)
    }

    /// The outcome of a reply whose body is not the target's: a redirect or a failure.
    fn outcome_without_body(&self, response: &Response) -> AttemptOutcome {
        let outcome = outcome_without_body(response, self.request_state);
        let AttemptOutcome::Failed(Failure::Status(status)) = outcome else { return outcome };
        let (job, context) = (self.job, &*self.client.context);
        // The status of a robots.txt is interpreted by the rules of RFC 9309 instead.
        if matches!(job.kind, JobKind::Robots { .. }) {
            return outcome;
        }
        let reason = match status {
            400 | 403 if context.certificate_origins.contains(&job.url) => {
                Some(reason_of_refusal(context.config.identities.shown_to(job)))
            }
            401 => Some(unauthorized::reason(response.headers(), sent_credentials(context, job))),
            _ => None,
        };
        match reason {
            Some(reason) => AttemptOutcome::Failed(Failure::ExplainedStatus { status, reason }),
            None => outcome,
        }
    }

    fn body_planner(&self) -> BodyPlanner<'a> {
        let bodies = &self.client.context.config.bodies;
        BodyPlanner { job: self.job, bodies, expected: self.expected }
    }

    /// Verifies a body of which all segments have arrived.
    async fn assemble(
        &mut self,
        assembly: &Assembly,
        part: &PartialBody,
    ) -> Result<AttemptOutcome, Failure> {
        self.head = Some(assembly.head.clone());
        let plan = self.body_planner().for_assembly(assembly, part);
        self.receive_body(plan, None).await
    }

    /// Receives the body of a reply that brings the target's body, a segment of it or the missing rest.
    async fn receive_reply(
        &mut self,
        response: &mut Response,
        reply: RangeReply,
    ) -> Result<AttemptOutcome, Failure> {
        body::ensure_can_be_decoded(response)?;
        let plan = self.body_planner().for_reply(response, reply, self.head.as_ref())?;
        if is_segment(self.job) {
            self.claims = claims_of_the_whole(response.headers(), MessageKind::Segment);
        }
        let response = (reply != RangeReply::Complete).then_some(response);
        self.receive_body(plan, response).await
    }

    /// Reads back the part of the body that was saved before, if it is needed for digests, then receives `response`,
    /// unless the body is complete already.
    async fn receive_body(
        &mut self,
        plan: BodyPlan,
        response: Option<&mut Response>,
    ) -> Result<AttemptOutcome, Failure> {
        let BodyPlan { begin, end, decoder, verifier, is_accepted } = plan;
        let (job, context) = (self.job, &*self.client.context);
        let is_text = matches!(job.kind, JobKind::Robots { .. });
        self.bytes = begin.at;
        let mut receiver = BodyReceiver {
            context,
            request_state: self.request_state,
            progress: self.progress,
            decoder,
            verifier,
            sink: &mut self.sink,
            max_bytes: context.config.bodies.max_filesize.filter(|_| !is_text),
            length: if is_segment(job) { end } else { begin.length },
            end,
            before: if is_segment(job) { 0 } else { begin.at },
            bytes: &mut self.bytes,
            text: is_text.then(Vec::new),
            windows: None,
            windows_permit: None,
            turn: None,
        };
        receiver.ensure_size_allowed(begin.length.unwrap_or(0))?;
        if receiver.sink.begin(begin)? == SinkState::Lost {
            return Ok(AttemptOutcome::Restart);
        }
        if receiver.decoder.is_none()
            && let Some(algorithm) = receiver.sink.payload_algorithm()
        {
            receiver.verifier.leave_to_sink(algorithm);
        }
        receiver.read_back().await?;
        if let Some(response) = response {
            receiver.receive(response).await?;
        }
        let BodyReceiver { verifier, text, .. } = receiver;
        self.text = text;
        self.digests = verifier.check(|| self.sink.payload_digest())?;
        let is_whole = matches!(job.kind, JobKind::Body | JobKind::Assemble(_)) && !is_accepted;
        let leaves_out = |expected: &ExpectedDigests| expected.leaves_out(&name_of(job));
        if is_whole && self.expected.is_some_and(leaves_out) {
            context.counters.unlisted.fetch_add(1, Relaxed);
        }
        let date = self.head.as_ref().and_then(|head| head.last_modified.as_deref());
        self.sink.finish(|| httpdate::parse_http_date(date?).ok())?;
        Ok(AttemptOutcome::Whole)
    }

    /// Creates the partial file of a body that is to be fetched in segments. Only the head of the reply shows that it is; the
    /// body of this reply is not read, and its connection is given up.
    fn start_split(
        &mut self,
        response: &Response,
        reply: RangeReply,
    ) -> Result<AttemptOutcome, Failure> {
        let (begin, message) = match (reply, &self.job.part) {
            (RangeReply::Rest(range), Some(part)) => {
                (BodyStart { length: Some(range.length), ..begin_at(part) }, MessageKind::Segment)
            }
            _ => {
                let validator = self.head.as_ref().and_then(resume::validator);
                let length = response.content_length();
                let course = WriteMode::Sequential;
                (BodyStart { at: 0, length, validator, course }, MessageKind::Whole)
            }
        };
        if self.sink.begin(begin)? == SinkState::Lost {
            return Ok(AttemptOutcome::Restart);
        }
        self.sink.divide()?;
        self.claims = claims_of_the_whole(response.headers(), message);
        Ok(AttemptOutcome::Divided)
    }
}

/// Lets the other ready tasks of this event loop run once. Unlike [`tokio::task::yield_now`], it does not poll the sockets
/// first, which is a system call, nor run the tasks that this wakes.
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

/// Whether the outcome shows that the connection is bad, so that no other request should use it.
fn shows_bad_connection(outcome: &AttemptOutcome, has_head: bool) -> bool {
    match outcome {
        AttemptOutcome::Failed(Failure::Stalled(_) | Failure::TooSlow { .. }) => true,
        AttemptOutcome::Failed(Failure::Timeout(_)) => !has_head,
        // Without a head, `Client::reply` has retired the connection already.
        AttemptOutcome::Failed(Failure::Reset(_)) => has_head,
        _ => false,
    }
}

/// The facts of a reply that decide whether its body is fetched in segments.
fn reply_info<'a>(
    response: &Response,
    request: RangeRequest<'a>,
    reply: RangeReply,
    head: &'a ResponseHead,
) -> ReplyInfo<'a> {
    let (length, takes_ranges) = (response.content_length(), takes_ranges(response));
    ReplyInfo { asked: request, answer: reply, head, length, takes_ranges }
}

/// Whether the server supports byte ranges (RFC 9110 section 14.3).
fn takes_ranges(response: &Response) -> bool {
    let lines = response.headers().get_all(ACCEPT_RANGES).iter();
    let mut units = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    units.any(|unit| unit.trim_ascii().eq_ignore_ascii_case(b"bytes"))
}

/// The partial body that an incomplete attempt leaves; `None` if it cannot be continued.
fn remaining_part(sink: &mut Sink, outcome: &AttemptOutcome, job: &Job) -> Option<PartialBody> {
    let left = match outcome {
        AttemptOutcome::Whole => return None,
        AttemptOutcome::Restart if is_segment(job) => Leftover::Unchanged,
        _ if is_segment(job) => sink.finish_partial(),
        AttemptOutcome::Failed(
            Failure::Checksum { .. } | Failure::TooLarge { .. } | Failure::TooDense { .. },
        ) => sink.discard(),
        // The bytes of this attempt are useless; if it received none, those of an earlier attempt are still good.
        AttemptOutcome::Failed(Failure::Protocol(_)) if sink.has_begun() => sink.discard(),
        _ => sink.finish_partial(),
    };
    match left {
        Leftover::Unchanged => job.part.clone(),
        Leftover::Nothing => None,
        Leftover::Part(part) => Some(part),
    }
}

/// The outcome of a reply whose body is not the target's: a redirect or a failure.
fn outcome_without_body(response: &Response, request_state: &RequestState) -> AttemptOutcome {
    match response.status().as_u16() {
        407 if request_state.is_answered_by_proxy() => {
            AttemptOutcome::Failed(Failure::ProxyStatus(Some(407)))
        }
        200 | 203 => unexpected_reply("Content-Range of a part in a reply with the whole"),
        206 => unexpected_reply("206 Partial Content"),
        300 | 301 | 302 | 303 | 307 | 308 => {
            let location = response.headers().get(LOCATION);
            AttemptOutcome::Redirect { location: location.map(|value| value.as_bytes().to_vec()) }
        }
        304 => unexpected_reply("304 Not Modified"),
        429 => AttemptOutcome::Failed(Failure::RateLimited { status: 429, wait: None }),
        403 if asks_to_wait(response) => {
            AttemptOutcome::Failed(Failure::RateLimited { status: 403, wait: None })
        }
        status @ (200..=299 | 400..=599) => AttemptOutcome::Failed(Failure::Status(status)),
        status => unexpected_reply(&format!("status {status}")),
    }
}

/// Whether a reply has a valid Retry-After field.
fn asks_to_wait(response: &Response) -> bool {
    let field = header_text(response.headers(), RETRY_AFTER);
    field.is_some_and(|field| asked_wait(&field, SystemTime::now()).is_some())
}

fn unexpected_reply(what: &str) -> AttemptOutcome {
    AttemptOutcome::Failed(Failure::Protocol(format!("unexpected {what}")))
}

fn response_head(
    response: &Response,
    method: RequestMethod,
    certificate_expiry: Option<i64>,
) -> ResponseHead {
    let headers = response.headers();
    ResponseHead {
        status: response.status().as_u16(),
        version: match response.version() {
            Version::HTTP_09 => HttpVersion::Http09,
            Version::HTTP_10 => HttpVersion::Http10,
            Version::HTTP_2 => HttpVersion::Http2,
            Version::HTTP_3 => HttpVersion::Http3,
            _ => HttpVersion::Http11,
        },
        remote_addr: response.remote_addr(),
        content_type: header_text(headers, CONTENT_TYPE),
        content_encoding: joined_values(headers, CONTENT_ENCODING),
        content_length: match method {
            RequestMethod::Get => response.content_length(),
            RequestMethod::Head => announced_length(headers),
        },
        etag: header_text(headers, ETAG),
        last_modified: header_text(headers, LAST_MODIFIED),
        date: header_text(headers, DATE),
        content_range: header_text(headers, CONTENT_RANGE),
        content_disposition: header_text(headers, CONTENT_DISPOSITION),
        retry_after: header_text(headers, RETRY_AFTER),
        certificate_expires: certificate_expiry.map(|last| rfc3339(last).into()),
    }
}

/// The Set-Cookie fields of a reply that the run uses: those of redirects, or of all replies if `keeps_all`. Those of a
/// robots.txt are ignored.
fn set_cookies(response: &Response, job: &Job, keeps_all: bool) -> Vec<Vec<u8>> {
    let is_redirect = response.status().is_redirection();
    if !(keeps_all || is_redirect) || matches!(job.kind, JobKind::Robots { .. }) {
        return Vec::new();
    }
    let fields = response.headers().get_all(SET_COOKIE).iter();
    fields.map(|field| field.as_bytes().to_vec()).collect()
}

/// The length of the body that a reply to HEAD announces; `None` if it announces none, or several. The library
/// reports the length of the body itself, which such a reply does not have.
fn announced_length(headers: &HeaderMap) -> Option<u64> {
    let lines = headers.get_all(CONTENT_LENGTH).iter();
    let mut lengths = lines.map(|line| line.to_str().ok()?.trim().parse::<u64>().ok());
    lengths.next()?.filter(|first| lengths.all(|other| other == Some(*first)))
}

/// The method by which the job asks for the head only (GET if the server refused HEAD); `None` if the job is for a body.
fn method_of_head(method: RequestMethod, job: &Job) -> Option<RequestMethod> {
    let is_for_head = method == RequestMethod::Head && job.kind == JobKind::Body;
    is_for_head.then(|| method_of(method, job))
}

/// The method of the request for a job in a run whose requests for targets have `method`.
pub(super) fn method_of(method: RequestMethod, job: &Job) -> RequestMethod {
    match (method, &job.kind) {
        (RequestMethod::Head, JobKind::Body) if !job.head_refused => RequestMethod::Head,
        _ => RequestMethod::Get,
    }
}

/// When the certificate of the origin expires, in seconds of Unix time; `None` if the URL is not https, or it cannot be read.
fn certificate_expiry(response: &Response, url: &Url) -> Option<i64> {
    if url.scheme() != "https" {
        return None;
    }
    let connection = response.extensions().get::<TlsInfo>()?;
    CertificateFields::read(connection.peer_certificate()?).map(|fields| fields.validity.1)
}

/// Fails if a certificate that expires at `last`, in seconds of Unix time, is valid for less than `days` from now.
fn ensure_lasts(last: i64, days: u32) -> Result<(), Failure> {
    let left = last.saturating_sub(now()).div_euclid(86_400);
    if left >= i64::from(days) {
        return Ok(());
    }
    let date = date(last);
    let when = match left {
        ..0 => format!("certificate expired on {date}"),
        0 => format!("certificate expires on {date}, within a day"),
        left => format!("certificate expires on {date}, in {}", counted(left as u64, "day")),
    };
    Err(Failure::Tls(format!("{when} (--min-cert-days {days})")))
}

/// The lines of a header field as one value (RFC 9110 section 5.3); `None` if there is no such field.
fn joined_values(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// The first line of a header field as text, with U+FFFD in place of what is not UTF-8.
fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let bytes = headers.get(name)?.as_bytes();
    // Nearly all are UTF-8, and then one copy is enough.
    Some(match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    })
}
