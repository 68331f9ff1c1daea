//! Answers one request: counts it, applies the fault policy, then serves it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HOST, HeaderName,
    LAST_MODIFIED, LOCATION, PROXY_AUTHENTICATE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::bandwidth::Bandwidth;
use super::body::Body;
use super::conditions::{self, ConditionalResponse, ServedValidators};
use super::faults::{FaultDecision, FaultPolicy, ReplyKind, whole_seconds};
use super::random_body;
use super::routes::{self, LocationForm, NotFound, Route};
use super::stats::{Connection, ServerStats};
use crate::sync::lock;

/// The length of the bodies of `/etag/TAG` in bytes.
const ETAG_BODY_LENGTH: u64 = 1024;

const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The state that all connections share.
pub(super) struct ServerState {
    /// The seed of every body.
    pub seed: u64,
    /// The rate limit of each connection.
    pub bandwidth: Option<Bandwidth>,
    /// Delays, errors and rate limit.
    pub faults: Mutex<FaultPolicy>,
    /// The counts.
    pub stats: Arc<ServerStats>,
    /// The Last-Modified time of all bodies.
    pub last_modified: SystemTime,
    /// `last_modified` as a header value.
    pub last_modified_field: HeaderValue,
}

/// Answers a request, without reading its body.
pub(super) async fn answer<B>(
    state: Arc<ServerState>,
    connection: Arc<Connection>,
    request: Request<B>,
) -> Result<Response<Body>, Infallible> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads && request.uri().path() == "/stats" {
        return Ok(text(StatusCode::OK, JSON, state.stats.json()));
    }
    let host = host(&request);
    let guard = connection.begin(host.unwrap_or_default());
    let key = random_body::key(state.seed, target(&request));
    let decision = state.decide(key);
    pause(decision.delay).await;
    let response = match decision.reply {
        ReplyKind::Refuse(wait) => {
            guard.refused();
            refusal(wait)
        }
        ReplyKind::Fail => {
            guard.failed();
            text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "injected failure (--error-rate)\n")
        }
        ReplyKind::Serve if !reads => not_allowed(),
        ReplyKind::Serve => match host {
            None => text(StatusCode::BAD_REQUEST, TEXT, "missing or duplicate Host header\n"),
            Some(host) => {
                Responder { state: &state, connection: &connection, host, key, request: &request }
                    .serve()
                    .await
            }
        },
    };
    Ok(response.map(|body| match state.bandwidth {
        Some(bandwidth) => body.with_rate(bandwidth).with_guard(guard),
        None => body.with_guard(guard),
    }))
}

impl ServerState {
    fn decide(&self, key: u64) -> FaultDecision {
        lock(&self.faults).decide(key, Instant::now())
    }
}

/// The host of a request: that of an absolute URL in the request line, or else of the Host header, which HTTP/1.1
/// requires exactly once (RFC 9112 section 3.2); `None` if the header is missing or repeated.
fn host<B>(request: &Request<B>) -> Option<&str> {
    let mut fields = request.headers().get_all(HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(field), None) => field.to_str().ok()?,
        (None, _) if request.version() == Version::HTTP_10 => "",
        _ => return None,
    };
    let of_url =
        request.uri().authority().and_then(|authority| authority.as_str().rsplit('@').next());
    Some(of_url.unwrap_or(field))
}

/// The path and query of a request.
fn target<B>(request: &Request<B>) -> &str {
    request.uri().path_and_query().map_or("", |target| target.as_str())
}

async fn pause(delay: Duration) {
    if !delay.is_zero() {
        sleep(delay).await;
    }
}

/// A request to be served.
struct Responder<'a, B> {
    state: &'a ServerState,
    connection: &'a Connection,
    host: &'a str,
    key: u64,
    request: &'a Request<B>,
}

impl<B> Responder<'_, B> {
    async fn serve(&self) -> Response<Body> {
        let uri = self.request.uri();
        let route = match routes::find(uri.path(), uri.query().unwrap_or_default()) {
            Ok(route) => route,
            Err(NotFound::Unknown) => {
                return text(
                    StatusCode::NOT_FOUND,
                    TEXT,
                    "not found; see / for available endpoints\n",
                );
            }
            Err(NotFound::Malformed(why)) => {
                return text(
                    StatusCode::BAD_REQUEST,
                    TEXT,
                    format!("{why}; see / for available endpoints\n"),
                );
            }
        };
        match route {
            Route::Index => text(StatusCode::OK, TEXT, routes::INDEX),
            Route::Stats => text(StatusCode::OK, JSON, self.state.stats.json()),
            Route::Get => self.echo(),
            Route::Headers => {
                text(StatusCode::OK, JSON, format!("{}\n", json!({"headers": self.fields()})))
            }
            Route::Bytes { length, cut } => {
                let body = Body::random(self.key, length);
                self.conditional(body, length, cut, &format!("\"{:016x}\"", self.key))
            }
            Route::Etag(tag) => {
                // A tag identifies its body, so the body does not depend on the seed.
                let body =
                    Body::random(random_body::key(0, target(self.request)), ETAG_BODY_LENGTH);
                self.conditional(body, ETAG_BODY_LENGTH, None, &format!("\"{tag}\""))
            }
            Route::StreamBytes { length, chunk } => {
                reply(StatusCode::OK, BINARY, Body::random(self.key, length).in_chunks(chunk))
            }
            Route::Drip { length, over, delay, status } => {
                pause(delay).await;
                let body = Body::random(self.key, length);
                reply(status, BINARY, body.with_rate(Bandwidth::spread(length, over)))
            }
            Route::Delay(delay) => {
                pause(delay).await;
                self.echo()
            }
            Route::Status { status, retry_after } => status_only(status, retry_after.as_deref()),
            Route::Redirect { path, form } => self.redirect(&path, form),
            Route::RedirectTo { url, status } => redirect_response(status, &url),
        }
    }

    /// The response to a conditional or range request, with validators: the whole body, a range of it, or none.
    fn conditional(&self, body: Body, length: u64, cut: Option<u64>, etag: &str) -> Response<Body> {
        let validators = ServedValidators { etag, last_modified: self.state.last_modified };
        let wanted =
            conditions::evaluate(self.request.method(), self.request.headers(), validators, length);
        let mut response = match wanted {
            ConditionalResponse::Failed => {
                return text(
                    StatusCode::PRECONDITION_FAILED,
                    TEXT,
                    "precondition failed: the current version differs\n",
                );
            }
            ConditionalResponse::Unsatisfiable => return unsatisfiable(length),
            ConditionalResponse::NotModified => empty(StatusCode::NOT_MODIFIED),
            ConditionalResponse::Whole => reply(StatusCode::OK, BINARY, body),
            ConditionalResponse::Part(range) => {
                let mut response = reply(StatusCode::PARTIAL_CONTENT, BINARY, body.part(range));
                let range = format!("bytes {}-{}/{length}", range.first, range.last);
                set(&mut response, CONTENT_RANGE, &range);
                response
            }
        };
        set(&mut response, ETAG, etag);
        let fields = response.headers_mut();
        fields.insert(LAST_MODIFIED, self.state.last_modified_field.clone());
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        match cut {
            None => response,
            Some(bytes) => response.map(|body| body.cut_after(bytes)),
        }
    }

    /// The request as JSON, in the format of httpbin.
    fn echo(&self) -> Response<Body> {
        let uri = self.request.uri();
        let query = uri.query().unwrap_or_default();
        let arguments: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let echo = json!({
            "args": arguments,
            "headers": self.fields(),
            "origin": self.connection.peer.ip(),
            "url": format!("http://{}{}", self.host, target(self.request)),
        });
        text(StatusCode::OK, JSON, format!("{echo}\n"))
    }

    /// The request headers: names in lower case, the values of one name joined by commas (RFC 9110 section 5.2).
    fn fields(&self) -> BTreeMap<&str, String> {
        let headers: &HeaderMap = self.request.headers();
        let mut fields: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            match fields.get_mut(name.as_str()) {
                Some(known) => write!(known, ", {value}").expect("a string takes all"),
                None => drop(fields.insert(name.as_str(), value.into_owned())),
            }
        }
        fields
    }

    /// A redirect that preserves the query.
    fn redirect(&self, path: &str, form: LocationForm) -> Response<Body> {
        let mut location = match form {
            LocationForm::Relative => path.to_owned(),
            LocationForm::Absolute => format!("http://{}{path}", self.host),
        };
        if let Some(query) = self.request.uri().query() {
            location.push('?');
            location.push_str(query);
        }
        redirect_response(StatusCode::FOUND, &location)
    }
}

fn reply(status: StatusCode, kind: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().reserve(8);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn text(status: StatusCode, kind: HeaderValue, text: impl Into<bytes::Bytes>) -> Response<Body> {
    reply(status, kind, Body::text(text))
}

/// Sets a header; an invalid value is ignored.
fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A 429 response that asks to wait this long.
fn refusal(wait: Duration) -> Response<Body> {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, TEXT, "rate limit exceeded (--rate)\n");
    response.headers_mut().insert(RETRY_AFTER, whole_seconds(wait).into());
    response
}

/// The 405 response to methods other than GET and HEAD.
fn not_allowed() -> Response<Body> {
    let mut response =
        text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "method not allowed; use GET or HEAD\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The 416 response for a body of this length.
fn unsatisfiable(length: u64) -> Response<Body> {
    let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, TEXT, "range not satisfiable\n");
    set(&mut response, CONTENT_RANGE, &format!("bytes */{length}"));
    response
}

/// An empty response, with the header that its status requires.
fn status_only(status: StatusCode, retry_after: Option<&str>) -> Response<Body> {
    let mut response = empty(status);
    match status.as_u16() {
        301 | 302 | 303 | 305 | 307 | 308 => set(&mut response, LOCATION, "/redirect/1"),
        401 => set(&mut response, WWW_AUTHENTICATE, "Basic realm=\"local\""),
        407 => set(&mut response, PROXY_AUTHENTICATE, "Basic realm=\"local\""),
        405 => set(&mut response, ALLOW, "GET, HEAD"),
        _ => {}
    }
    if let Some(retry_after) = retry_after {
        set(&mut response, RETRY_AFTER, retry_after);
    }
    response
}

/// A response without a body. Content-Length is sent unless the status forbids it, also in response to HEAD.
fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::text(""));
    *response.status_mut() = status;
    if !matches!(status.as_u16(), 204 | 304) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

/// A redirect to this location.
fn redirect_response(status: StatusCode, location: &str) -> Response<Body> {
    let Ok(location) = HeaderValue::from_str(location) else {
        return text(StatusCode::BAD_REQUEST, TEXT, "url is not a valid header value\n");
    };
    let mut response = empty(status);
    response.headers_mut().insert(LOCATION, location);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{Options, server_state};
    use crate::units;
    use http_body_util::BodyExt;

    /// An origin and one connection to it, without sockets.
    struct RequestContext {
        state: Arc<ServerState>,
        connection: Arc<Connection>,
    }

    impl RequestContext {
        fn to(options: Options) -> Self {
            let state = Arc::new(server_state(&options));
            let connection = Connection::new(([127, 0, 0, 1], 1).into(), Arc::clone(&state.stats));
            Self { state, connection }
        }

        async fn get(&self, target: &str) -> Response<Body> {
            let request = Request::get(target).header(HOST, "a").body(()).unwrap();
            answer(Arc::clone(&self.state), Arc::clone(&self.connection), request).await.unwrap()
        }
    }

    /// The seconds that the work takes on the paused clock.
    async fn seconds_of(work: impl Future) -> f64 {
        let start = Instant::now();
        work.await;
        start.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn latency_comes_before_every_reply_but_that_of_stats() {
        let context =
            RequestContext::to(Options { latency: Duration::from_secs(3), ..Options::default() });
        for target in ["/bytes/1", "/nothing", "/status/500"] {
            assert_eq!(seconds_of(context.get(target)).await, 3.0, "{target}");
        }
        assert_eq!(seconds_of(context.get("/stats")).await, 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_is_added_to_the_latency() {
        let context =
            RequestContext::to(Options { latency: Duration::from_secs(3), ..Options::default() });
        assert_eq!(seconds_of(context.get("/delay/0.5")).await, 3.5);
        assert_eq!(seconds_of(context.get("/drip?delay=2")).await, 5.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_takes_its_duration_and_the_limit_of_the_rate_slows_it_further() {
        let free = RequestContext::to(Options::default());
        let drip = free.get("/drip?numbytes=100&duration=4").await;
        assert_eq!(seconds_of(drip.into_body().collect()).await, 4.0);
        let limited = RequestContext::to(Options {
            limit_rate: std::num::NonZero::new(10),
            ..Options::default()
        });
        let drip = limited.get("/drip?numbytes=100&duration=4").await;
        assert_eq!(seconds_of(drip.into_body().collect()).await, 10.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waits_as_told_is_served() {
        let rate = Some(units::rate("1/90s").unwrap());
        let context = RequestContext::to(Options { rate, ..Options::default() });
        assert_eq!(context.get("/bytes/1").await.status(), 200);
        sleep(Duration::from_millis(100)).await;
        let refused = context.get("/bytes/1").await;
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()[RETRY_AFTER], "90");
        sleep(Duration::from_secs(90)).await;
        assert_eq!(context.get("/bytes/1").await.status(), 200);
    }

    #[tokio::test]
    async fn the_host_is_that_of_a_whole_url_or_else_of_the_field() {
        let context = RequestContext::to(Options::default());
        for (target, host) in [("/get", "a"), ("http://me:secret@b:1/get", "b:1")] {
            let body = context.get(target).await.into_body().collect().await.unwrap().to_bytes();
            let echo: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(echo["url"], format!("http://{host}/get"));
        }
    }

    #[tokio::test]
    async fn without_its_one_host_a_request_is_bad() {
        let context = RequestContext::to(Options::default());
        let hosts = |count| {
            let request = Request::get("/bytes/1");
            let request = (0..count).fold(request, |request, _| request.header(HOST, "a"));
            answer(
                Arc::clone(&context.state),
                Arc::clone(&context.connection),
                request.body(()).unwrap(),
            )
        };
        assert_eq!(hosts(0).await.unwrap().status(), 400);
        assert_eq!(hosts(1).await.unwrap().status(), 200);
        assert_eq!(hosts(2).await.unwrap().status(), 400);
    }
}
