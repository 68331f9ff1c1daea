//! One attempt, from the request to the end of the body. It never fails: failing is an outcome.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime};

use reqwest::header::{
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use reqwest::{Method, Request, Response, Version};

use super::body;
use super::call::{CALL, Call, watched};
use super::classify;
use super::client::Client;
use super::request::fields;
use crate::record::{Attempt, Cause, Ending, Failure, Head, Job, Phases, Slot};

/// How many stale connections may be found in a row before it counts as a failure.
const STALE_AT_MOST: usize = 64;

/// What an attempt has yielded so far.
#[derive(Default)]
struct Yield {
    head: Option<Head>,
    first_byte: Option<std::time::Duration>,
    kept: bool,
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
        let mut seen = Yield::default();
        slot.begin(&job.url);
        let work = CALL.scope(Arc::clone(&call), self.exchange(job, &call, slot, &mut seen));
        let ending = match watched(&call, &self.kit.clocks, cut, work).await {
            Ok(Ok(ending)) => ending,
            Ok(Err(failure)) => Ending::Failed(failure),
            // The head of an error has told how it ends; what is missing is only the server's words about it.
            Err(Failure::Stalled(_)) if !seen.kept => match seen.head.as_ref().and_then(told) {
                Some(ending) => ending,
                None => Ending::Failed(Failure::Stalled(self.kit.clocks.stall)),
            },
            Err(failure) => Ending::Failed(failure),
        };
        slot.end();
        let phases = Phases {
            started,
            started_at,
            connect: call.connect_time(),
            first_byte: seen.first_byte,
            total: started.elapsed(),
        };
        let bytes = if seen.kept { call.bytes() } else { 0 };
        Attempt { ending, head: seen.head, bytes, wire_bytes: call.bytes(), phases, worker }
    }

    async fn exchange(
        &self,
        job: &Job,
        call: &Call,
        slot: &Slot,
        seen: &mut Yield,
    ) -> Result<Ending, Failure> {
        self.kit.resolver.ensure_can_place(&job.url)?;
        let mut response = self.reply(job, call).await?;
        seen.first_byte = Some(call.elapsed());
        let head = head_of(&response);
        let verdict = told(&head);
        seen.head = Some(head);
        body::ensure_can_be_decoded(&response)?;
        match verdict {
            Some(ending) => {
                body::discard(&mut response, call).await;
                Ok(with_location(ending, response.headers()))
            }
            None => {
                seen.kept = true;
                body::receive(&mut response, job, call, slot).await?;
                Ok(Ending::Whole)
            }
        }
    }

    /// The reply to the request. A connection that was kept open may have been closed by the server meanwhile;
    /// nothing of the reply has been seen then, so the request is sent again and not counted (RFC 9112 section
    /// 9.3.1).
    async fn reply(&self, job: &Job, call: &Call) -> Result<Response, Failure> {
        let mut stale = 0;
        loop {
            let mut request = Request::new(Method::GET, job.url.clone());
            *request.headers_mut() = fields(&self.kit.http, job);
            self.kit.requests.fetch_add(1, Relaxed);
            match self.library().execute(request).await {
                Ok(response) => return Ok(response),
                Err(error)
                    if !call.dialled()
                        && stale < STALE_AT_MOST
                        && classify::was_never_answered(&error) =>
                {
                    stale += 1;
                }
                Err(error) => return Err(classify::request(&error, &self.kit.clocks)),
            }
        }
    }
}

/// How a reply ends whose body is not the target's: a redirect or a failure; `None` if it is.
fn told(head: &Head) -> Option<Ending> {
    Some(match head.status {
        206 => unasked("a part (206) of what was asked for as a whole"),
        200..=299 => return None,
        300 | 301 | 302 | 303 | 307 | 308 => Ending::Redirect { location: None },
        304 => unasked("304 Not Modified to an unconditional request"),
        429 => Ending::Failed(Failure::RateLimited { status: 429, wait: None }),
        status @ 400..=599 => Ending::Failed(Failure::Status(status)),
        status => unasked(&format!("a final status of {status}")),
    })
}

fn unasked(what: &str) -> Ending {
    Ending::Failed(Failure::Protocol(what.to_owned()))
}

fn with_location(ending: Ending, headers: &HeaderMap) -> Ending {
    match ending {
        Ending::Redirect { .. } => {
            let location = headers.get(LOCATION).map(|value| value.as_bytes().to_vec());
            Ending::Redirect { location }
        }
        other => other,
    }
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
        etag: text(headers, ETAG),
        last_modified: text(headers, LAST_MODIFIED),
        retry_after: text(headers, RETRY_AFTER),
    }
}

/// A field as text; what is not UTF-8 in it shows as U+FFFD.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
