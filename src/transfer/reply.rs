//! Sends a request until there is a reply, or a failure that counts as an attempt. A request that the server has apparently not
//! processed is sent again and not counted: it was sent over a connection that the server had
//! closed (RFC 9112 section 9.3.1), or the server reports that it has not processed it (RFC 9113 sections 6.8 and 8.7), or
//! that it requires HTTP/1.1 (section 7).

use std::sync::atomic::Ordering::Relaxed;

use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response, StatusCode, Version};

use super::attempt::method_of;
use super::classify::{self, Unanswered};
use super::client::{Client, ProxyRoute};
use super::proxy_status;
use super::request_state::RequestState;
use super::tls;
use crate::model::{Failure, Job, RequestMethod};
use crate::plan::NetworkInterface;

/// The number of stale connections after which the request gets a connection of its own; also how often it is sent again after
/// a request for a client certificate.
const MAX_STALE: u32 = 8;

/// How often a server may report that it has not processed the request before the request gets a connection of its own.
const MAX_UNPROCESSED: u32 = 4;

/// How often a connection is made again because the process was suspended meanwhile. Without a limit, connecting would never
/// time out on a machine whose alarms are always late.
const MAX_STOPPED: u32 = 2;

/// How often a request was sent again without being counted, by reason.
#[derive(Debug, Default)]
struct Resends {
    stale: u32,
    unprocessed: u32,
    stopped: u32,
    after_certificate: u32,
    /// Whether it was sent again over HTTP/1.1.
    is_http1: bool,
    /// Whether it was sent on a connection of its own.
    is_alone: bool,
}

/// The client that sends a request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextClient {
    /// The client of all requests, with its idle connections.
    Shared,
    /// A new client, whose connection no other request uses.
    Alone,
}

impl Resends {
    /// Counts the failure `why` and returns the client to send the request again with; `None` if it counts as an attempt.
    fn next_client(&mut self, why: Unanswered) -> Option<NextClient> {
        match why {
            Unanswered::Unprocessed if self.unprocessed < MAX_UNPROCESSED => {
                self.unprocessed += 1;
                Some(NextClient::Shared)
            }
            Unanswered::Stale if self.stale < MAX_STALE => {
                self.stale += 1;
                Some(NextClient::Shared)
            }
            Unanswered::Stopped => {
                self.stopped += 1;
                (self.stopped <= MAX_STOPPED).then_some(NextClient::Shared)
            }
            Unanswered::AfterCertificateRequest => {
                self.after_certificate += 1;
                (self.after_certificate <= MAX_STALE).then_some(NextClient::Alone)
            }
            Unanswered::RequiresHttp1 => {
                let is_first = !std::mem::replace(&mut self.is_http1, true);
                is_first.then_some(NextClient::Shared)
            }
            _ if !self.is_alone => {
                self.is_alone = true;
                Some(NextClient::Alone)
            }
            _ => None,
        }
    }
}

impl Client {
    /// Sends the request for `job` with the header fields `fields`, and returns the reply.
    ///
    /// # Errors
    /// The failure of the attempt.
    pub(super) async fn reply(
        &self,
        job: &Job,
        fields: &HeaderMap,
        request_state: &RequestState,
    ) -> Result<Response, Failure> {
        let mut resends = Resends::default();
        let mut client = self.http_client(request_state)?;
        loop {
            let (why, failure) = match self.send(&client, job, fields).await {
                Ok(response) if is_late_timeout(&response, request_state) => {
                    (Some(Unanswered::Stale), Ok(response))
                }
                Ok(response) => {
                    if self.context.awaits_certificate(&job.url) {
                        self.context.satisfied_origins.insert(job.url.origin());
                    }
                    return Ok(response);
                }
                Err(error) => {
                    let timeouts = &self.context.config.timeouts;
                    let awaits = self.context.awaits_certificate(&job.url);
                    let why = classify::why_unanswered(&error, request_state, timeouts, awaits);
                    if why != Some(Unanswered::Unprocessed) || resends.unprocessed > 0 {
                        classify::retire_connection(&error);
                    }
                    (why, Err(error))
                }
            };
            if why == Some(Unanswered::RequiresHttp1) {
                self.context.http1_origins.insert(job.url.origin());
            }
            let next = why.and_then(|why| resends.next_client(why));
            client = match (next, failure) {
                (Some(NextClient::Shared), _) => self.http_client(request_state)?,
                (Some(NextClient::Alone), _) => self.separate_client(request_state)?,
                (None, Ok(response)) => return Ok(response),
                (None, Err(_)) if why == Some(Unanswered::AfterCertificateRequest) => {
                    let shown = self.context.config.identities.shown_to(job);
                    return Err(Failure::Tls(tls::describe_silent_refusal(shown)));
                }
                (None, Err(error)) => {
                    return Err(self.failure(&error, job, request_state).await);
                }
            };
            request_state.forget_own_connection();
        }
    }

    /// The failure of a request for `job` that got no reply.
    async fn failure(
        &self,
        error: &reqwest::Error,
        job: &Job,
        request_state: &RequestState,
    ) -> Failure {
        let (context, url, route) = (&*self.context, &job.url, request_state.route());
        if error.is_connect()
            && let Some(name) = request_state.take_looked_up()
        {
            context.resolver.forget(&name);
        }
        if route == ProxyRoute::ByProxy && classify::is_refused_tunnel(error) {
            let status = proxy_status::connect_status(context, url).await;
            return Failure::ProxyStatus(status.filter(|status| *status >= 300));
        }
        let has_asked_for_certificate = context.certificate_origins.contains(url);
        let certificate =
            has_asked_for_certificate.then(|| context.config.identities.shown_to(job));
        let failure = classify::request(error, url, route, &context.config.timeouts, certificate);
        match &context.config.http.interface {
            Some(interface) => with_interface(failure, interface),
            None => failure,
        }
    }

    /// Sends the request once, over a connection to whichever address of its host answers.
    async fn send(
        &self,
        client: &reqwest::Client,
        job: &Job,
        fields: &HeaderMap,
    ) -> Result<Response, reqwest::Error> {
        self.context.counters.requests.fetch_add(1, Relaxed);
        loop {
            // The builder makes an Authorization field of the user and password in the URL, unless `fields` has one.
            let method = match method_of(self.context.config.http.method, job) {
                RequestMethod::Get => Method::GET,
                RequestMethod::Head => Method::HEAD,
            };
            let request = client.request(method, job.url.clone()).headers(fields.clone());
            match request.send().await {
                Err(error) if classify::is_other_address(&error) => {}
                sent => return sent,
            }
        }
    }
}

/// Names the interface in a failure to connect, of which it may be the cause.
fn with_interface(failure: Failure, interface: &NetworkInterface) -> Failure {
    let with_option = |message: String| format!("{message} (--interface {interface})");
    match failure {
        Failure::Connect(message) => Failure::Connect(with_option(message)),
        Failure::ProxyLost(message) => Failure::ProxyLost(with_option(message)),
        other => other,
    }
}

/// Whether this is a 408 that the server sent because a reused connection was idle, before it got the request (RFC 9110 section
/// 15.5.9).
fn is_late_timeout(response: &Response, request_state: &RequestState) -> bool {
    let connection = response.extensions().get().map(HttpInfo::local_addr);
    response.status() == StatusCode::REQUEST_TIMEOUT
        && response.version() < Version::HTTP_2
        && connection.is_some_and(|used| !request_state.is_own_connection(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_again_a_limited_number_of_times() {
        for (why, expected) in [
            (Unanswered::Stale, (9, 1)),
            (Unanswered::Unprocessed, (5, 1)),
            (Unanswered::BrokenByAny, (1, 1)),
            (Unanswered::RequiresHttp1, (1, 0)),
            (Unanswered::Stopped, (2, 0)),
            (Unanswered::AfterCertificateRequest, (8, 8)),
        ] {
            let mut resends = Resends::default();
            let all: Vec<_> = std::iter::from_fn(|| resends.next_client(why)).take(100).collect();
            let alone = all.iter().filter(|client| **client == NextClient::Alone).count();
            assert_eq!((all.len(), alone), expected, "{why:?}");
        }
    }
}
