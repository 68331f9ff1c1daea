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

use super::body::{self, Intake};
use super::call::{CALL, Call, watched};
use super::classify;
use super::client::Client;
use super::proof::{Message, claims_of_the_whole};
use super::reading::{Reading, begin_at, is_segment, name_of};
use super::request::fields;
use super::route::Route;
use crate::digest::{Digest, Wanted};
use crate::policy::resume::{self, Answer, Asked};
use crate::policy::segments::{Offer, is_divided};
use crate::record::{
    Attempt, Cause, Claimed, Ending, Failure, Head, Job, Part, Phases, Purpose, Seal, Slot,
};
use crate::store::{Begin, Course, Left, Ready, Sink};

/// How many stale connections may be found in a row before it counts as a failure.
const STALE_AT_MOST: usize = 64;

/// How often a server may say that it has not looked at a request that came on a new connection.
const UNSEEN_AT_MOST: usize = 3;

/// What an attempt has yielded so far.
struct Yield {
    head: Option<Head>,
    first_byte: Option<std::time::Duration>,
    /// How it ends, where the head has told.
    told: Option<Ending>,
    /// Bytes that there are of the body.
    bytes: u64,
    text: Option<Vec<u8>>,
    digests: Vec<Digest>,
    claims: Vec<Claimed>,
    sink: Sink,
}

impl Yield {
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
        slot: &Slot,
        cut: impl Future<Output = Cause>,
    ) -> Attempt {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let call = Arc::new(Call::new(job, started));
        let mut seen = Yield::new(self.kit.store.sink(job));
        slot.begin(&job.url);
        let work = CALL.scope(Arc::clone(&call), self.exchange(job, &call, slot, &mut seen));
        let ending = match watched(&call, &self.kit.clocks, cut, work).await {
            Ok(Ok(ending)) => ending,
            Ok(Err(failure)) => Ending::Failed(failure),
            // Where the head has told how it ends, only the server's words about it are missing.
            Err(failure @ (Failure::Stalled(_) | Failure::Timeout(_))) => {
                seen.told.take().unwrap_or(Ending::Failed(failure))
            }
            Err(failure) => Ending::Failed(failure),
        };
        let ending = match ending {
            // Whoever answers for a segment like that may do well with the whole.
            Ending::Failed(Failure::Protocol(_) | Failure::Checksum { .. }) if is_segment(job) => {
                Ending::Anew
            }
            ending => ending,
        };
        slot.end();
        let phases = Phases {
            started,
            started_at,
            connect: call.connect_time(),
            first_byte: seen.first_byte,
            total: started.elapsed(),
        };
        let part = left(&mut seen.sink, &ending, job);
        Attempt {
            ending,
            head: seen.head,
            bytes: seen.bytes,
            wire_bytes: call.bytes(),
            text: seen.text,
            begun: seen.sink.begun(),
            part,
            name: None,
            digests: seen.digests,
            claims: seen.claims,
            phases,
            worker,
        }
    }

    /// Waits until the connection of a transfer that has just ended can serve again: its two tasks have their turns to
    /// take it back. Else the next request would open another one.
    pub async fn take_back(&self) {
        let_others_run().await;
        let_others_run().await;
    }

    async fn exchange(
        &self,
        job: &Job,
        call: &Call,
        slot: &Slot,
        seen: &mut Yield,
    ) -> Result<Ending, Failure> {
        if let (Purpose::Seal(seal), Some(part)) = (&job.purpose, &job.part) {
            return self.seal(job, seal, part, call, slot, seen).await;
        }
        let route = self.kit.routes.of(&job.url);
        self.kit.resolver.ensure_can_place(&job.url, route)?;
        let (fields, asked) = fields(&self.kit, job);
        if is_segment(job) && !matches!(asked, Asked::Segment(..)) {
            // A field given by hand asks for something else.
            return Ok(Ending::Anew);
        }
        let mut response = self.reply(job, &fields, call, route).await?;
        seen.first_byte = Some(call.elapsed());
        let head = seen.head.insert(head_of(&response));
        let answer = resume::answer(asked, head);
        seen.told = match answer {
            Answer::Whole | Answer::Rest(_) | Answer::Complete => None,
            Answer::Unchanged => Some(Ending::Unchanged),
            Answer::Anew => Some(Ending::Anew),
            Answer::Other => Some(told(&response)),
        };
        if let Some(ending) = seen.told.clone() {
            body::discard(&mut response, call, &self.kit.throttle).await;
            return Ok(ending);
        }
        if answer == Answer::Complete {
            body::discard(&mut response, call, &self.kit.throttle).await;
        }
        let bodies = &self.kit.bodies;
        if bodies.split.most.get() > 1
            && is_divided(job, offer(&response, asked, answer, head), bodies)
        {
            return divide(&response, job, answer, seen);
        }
        self.body(&mut response, job, answer, call, slot, seen).await
    }

    /// Looks at a body whose segments are all in as the whole that it is.
    async fn seal(
        &self,
        job: &Job,
        seal: &Seal,
        part: &Part,
        call: &Call,
        slot: &Slot,
        seen: &mut Yield,
    ) -> Result<Ending, Failure> {
        seen.head = Some(seal.head.clone());
        let reading = Reading::of_segments(job, seal, part, &self.kit);
        self.take_in(reading, None, job, call, slot, seen).await
    }

    /// Receives the body of a reply that is the target's, or what is missing of it.
    async fn body(
        &self,
        response: &mut Response,
        job: &Job,
        answer: Answer,
        call: &Call,
        slot: &Slot,
        seen: &mut Yield,
    ) -> Result<Ending, Failure> {
        body::ensure_can_be_decoded(response)?;
        let reading = Reading::of(response, job, answer, &self.kit, seen.head.as_ref())?;
        if is_segment(job) {
            seen.claims = claims_of_the_whole(response.headers(), Message::Segment);
        }
        let response = (answer != Answer::Complete).then_some(response);
        self.take_in(reading, response, job, call, slot, seen).await
    }

    /// Takes in a body: what there is of it, and what the reply brings.
    async fn take_in(
        &self,
        reading: Reading,
        response: Option<&mut Response>,
        job: &Job,
        call: &Call,
        slot: &Slot,
        seen: &mut Yield,
    ) -> Result<Ending, Failure> {
        let Reading { begin, end, decoder, proof } = reading;
        let is_text = matches!(job.purpose, Purpose::Robots(_));
        seen.bytes = begin.at;
        let mut intake = Intake {
            decoder,
            proof,
            sink: &mut seen.sink,
            most: self.kit.bodies.max_filesize.filter(|_| !is_text),
            length: if is_segment(job) { end } else { begin.length },
            end,
            before: if is_segment(job) { 0 } else { begin.at },
            bytes: &mut seen.bytes,
            text: is_text.then(Vec::new),
        };
        intake.ensure_it_may_have(begin.length.unwrap_or(0))?;
        if intake.sink.begin(begin)? == Ready::Lost {
            return Ok(Ending::Anew);
        }
        intake.read_back(call).await?;
        let received = match response {
            None => Ok(()),
            Some(response) => body::receive(response, &mut intake, call, slot, &self.kit).await,
        };
        let Intake { proof, text, .. } = intake;
        received?;
        seen.text = text;
        seen.digests = proof.check()?;
        let is_whole = matches!(job.purpose, Purpose::Body | Purpose::Seal(_));
        let leaves_out = |wanted: Arc<Wanted>| wanted.leaves_out(&name_of(job));
        if is_whole && self.kit.wanted().is_some_and(leaves_out) {
            self.kit.unlisted.fetch_add(1, Relaxed);
        }
        let modified = seen.head.as_ref().and_then(|head| head.last_modified.as_deref());
        let modified = modified.and_then(|date| httpdate::parse_http_date(date).ok());
        seen.sink.finish(modified)?;
        Ok(Ending::Whole)
    }

    /// The reply to the request. A connection that was kept open may have been closed by the server meanwhile, or
    /// still carry the rest of an earlier reply; it has no reply to this request then, which is sent again and not
    /// counted (RFC 9112 section 9.3.1). So is one that the server says it has not looked at, on whatever connection.
    async fn reply(
        &self,
        job: &Job,
        fields: &HeaderMap,
        call: &Call,
        route: Route,
    ) -> Result<Response, Failure> {
        let (mut stale, mut unseen) = (0, 0);
        loop {
            // The builder makes an Authorization field of the user and password in the URL; a field given counts more.
            let request = self.library().get(job.url.clone()).headers(fields.clone());
            self.kit.requests.fetch_add(1, Relaxed);
            match request.send().await {
                Ok(response) => return Ok(response),
                Err(error) if stale < STALE_AT_MOST && is_stale(&error, call) => stale += 1,
                Err(error) if unseen < UNSEEN_AT_MOST && classify::was_never_looked_at(&error) => {
                    unseen += 1;
                }
                Err(error) => {
                    return Err(classify::request(&error, &job.url, route, &self.kit.clocks));
                }
            }
            call.disowns();
        }
    }
}

/// Gives a turn to each task of this loop that is ready. The runtime's own way to yield looks at all sockets first, which
/// is a system call, and waits for what that brings.
async fn let_others_run() {
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
fn is_stale(error: &reqwest::Error, call: &Call) -> bool {
    classify::connection(error).is_some_and(|used| !call.owns(used))
        && (classify::was_never_answered(error) || classify::was_never_looked_at(error))
}

/// What a reply offers to whoever would rather have its body in segments.
fn offer<'a>(response: &Response, asked: Asked<'a>, answer: Answer, head: &'a Head) -> Offer<'a> {
    let (length, takes_ranges) = (response.content_length(), takes_ranges(response));
    Offer { asked, answer, head, length, takes_ranges }
}

/// Makes the file of a body that is to be asked for in segments. The reply is left, and its connection with it: only its
/// head tells whether there are to be any.
fn divide(
    response: &Response,
    job: &Job,
    answer: Answer,
    seen: &mut Yield,
) -> Result<Ending, Failure> {
    let (begin, message) = match (answer, &job.part) {
        (Answer::Rest(span), Some(part)) => {
            (Begin { length: Some(span.length), ..begin_at(part) }, Message::Segment)
        }
        _ => {
            let validator = seen.head.as_ref().and_then(resume::validator);
            let length = response.content_length();
            (Begin { at: 0, length, validator, course: Course::InOne }, Message::Whole)
        }
    };
    if seen.sink.begin(begin)? == Ready::Lost {
        return Ok(Ending::Anew);
    }
    seen.sink.divide()?;
    seen.claims = claims_of_the_whole(response.headers(), message);
    Ok(Ending::Divided)
}

/// Whether the server says that it honours ranges of bytes (RFC 9110 section 14.3).
fn takes_ranges(response: &Response) -> bool {
    let lines = response.headers().get_all(ACCEPT_RANGES).iter();
    let mut units = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    units.any(|unit| unit.trim_ascii().eq_ignore_ascii_case(b"bytes"))
}

/// What an attempt leaves of a body that is not whole.
fn left(sink: &mut Sink, ending: &Ending, job: &Job) -> Option<Part> {
    let left = match ending {
        Ending::Whole => return None,
        Ending::Anew if is_segment(job) => Left::AsBefore,
        _ if is_segment(job) => sink.leave(),
        Ending::Failed(Failure::Checksum { .. } | Failure::TooLarge { .. }) => sink.discard(),
        // What came is of no use; where none came, what was there before still is.
        Ending::Failed(Failure::Protocol(_)) if sink.has_begun() => sink.discard(),
        _ => sink.leave(),
    };
    match left {
        Left::AsBefore => job.part.clone(),
        Left::Nothing => None,
        Left::Part(part) => Some(part),
    }
}

/// How a reply ends whose body is not the target's: a redirect or a failure.
fn told(response: &Response) -> Ending {
    match response.status().as_u16() {
        206 => unasked("a part (206) of what was asked for as a whole"),
        300 | 301 | 302 | 303 | 307 | 308 => {
            let location = response.headers().get(LOCATION);
            Ending::Redirect { location: location.map(|value| value.as_bytes().to_vec()) }
        }
        304 => unasked("304 Not Modified to an unconditional request"),
        429 => Ending::Failed(Failure::RateLimited { status: 429, wait: None }),
        status @ 400..=599 => Ending::Failed(Failure::Status(status)),
        status => unasked(&format!("a final status of {status}")),
    }
}

fn unasked(what: &str) -> Ending {
    Ending::Failed(Failure::Protocol(what.to_owned()))
}

fn head_of(response: &Response) -> Head {
    let headers = response.headers();
    Head {
        status: response.status().as_u16(),
        version: match response.version() {
            Version::HTTP_09 => "HTTP/0.9",
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_3 => "HTTP/3",
            _ => "HTTP/1.1",
        },
        remote_addr: response.remote_addr(),
        content_type: text(headers, CONTENT_TYPE),
        content_encoding: all_of(headers, CONTENT_ENCODING),
        etag: text(headers, ETAG),
        last_modified: text(headers, LAST_MODIFIED),
        date: text(headers, DATE),
        content_range: text(headers, CONTENT_RANGE),
        content_disposition: text(headers, CONTENT_DISPOSITION),
        retry_after: text(headers, RETRY_AFTER),
    }
}

/// A field of several lines as one (RFC 9110 section 5.3).
fn all_of(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// A field as text; what is not UTF-8 in it shows as U+FFFD.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
