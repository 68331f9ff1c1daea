//! Converts errors of the HTTP library to failures. The library distinguishes errors partly by type, partly by nested causes
//! and partly by text; only this file depends on that.

use std::error::Error;
use std::io::{self, ErrorKind};

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::Connected;
use rustls::pki_types::InvalidDnsNameError;
use url::Url;

use super::client::{OtherAddress, ProxyRoute, local_address};
use super::client_certificate::ShownCertificate;
use super::heads;
use super::request_state::RequestState;
use super::resolver::{AddressBlocked, LookupFailed};
use super::tls;
use crate::model::Failure;
use crate::plan::Timeouts;
use crate::text::{io_message, without_os_codes};

/// Parts of the library's messages about a proxy that could not be reached or closed the connection. Other messages mean that
/// the proxy refused.
const PROXY_LOST: [&str; 3] =
    ["failed to create underlying connection", "io error", "unexpected end of file"];

/// The message for a connection that was closed before the head of the reply was complete.
const CLOSED_EARLY: &str = "connection closed before the response headers were complete";

/// The message for an HTTP/2 connection that was closed without an error code.
const CONNECTION_CUT: &str = "connection closed before the response was complete";

/// The message for a head beyond a limit of the library for HTTP/1.1.
const HEAD_TOO_LARGE: &str =
    "response headers of more than 256 lines or 256 KiB, or a Content-Length out of range";

/// Parts of the library's messages about a reply that exceeds one of its limits, each with the message to give instead.
const LIMITS: [(&str, &str); 9] = [
    ("message head is too large", HEAD_TOO_LARGE),
    ("chunk extensions over limit", "chunk extensions larger than 16 KiB"),
    ("chunk trailers bytes over limit", "trailers larger than 16 KiB"),
    ("chunk trailers count overflow", "more than 256 trailer lines"),
    ("header_list_way_too_large", heads::TOO_LARGE),
    (
        "too_many_continuations",
        "response headers larger than 256 KiB, or in too many HTTP/2 CONTINUATION frames",
    ),
    ("too_many_data_frames", "too many HTTP/2 DATA frames with little or no data"),
    ("too_many_resets", "too many HTTP/2 stream resets"),
    ("too_many_internal_resets", "too many invalid HTTP/2 frames"),
];

/// The message to give instead of the library's, if that is about a limit.
fn exceeded_limit(message: &str) -> Option<&'static str> {
    LIMITS.iter().find(|(part, _)| message.contains(part)).map(|(_, plain)| *plain)
}

/// The causes of one error, sorted by type: the outermost of each, but the innermost `io::Error`.
#[derive(Default)]
struct ErrorChain<'a> {
    lookup: Option<&'a LookupFailed>,
    blocked: Option<&'a AddressBlocked>,
    tls: Option<&'a rustls::Error>,
    bad_name: Option<&'a InvalidDnsNameError>,
    io: Option<&'a io::Error>,
    hyper: Option<&'a hyper::Error>,
    h2: Option<&'a h2::Error>,
    client: Option<&'a legacy::Error>,
    /// The message of an error of a tunnel or of SOCKS.
    proxy: Option<String>,
    /// The innermost cause.
    last: Option<&'a (dyn Error + 'static)>,
}

impl<'a> ErrorChain<'a> {
    fn of(error: &'a reqwest::Error) -> Self {
        let mut causes = Self::default();
        let mut next: Option<&'a (dyn Error + 'static)> = Some(error);
        while let Some(cause) = next {
            causes.note(cause);
            // `source` of an io::Error that wraps another error skips that error.
            next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => cause.source(),
            };
        }
        causes
    }

    fn note(&mut self, cause: &'a (dyn Error + 'static)) {
        self.lookup = self.lookup.or(cause.downcast_ref());
        self.blocked = self.blocked.or(cause.downcast_ref());
        self.tls = self.tls.or(cause.downcast_ref());
        self.bad_name = self.bad_name.or(cause.downcast_ref());
        self.io = cause.downcast_ref().or(self.io);
        self.hyper = self.hyper.or(cause.downcast_ref());
        self.h2 = self.h2.or(cause.downcast_ref());
        self.client = self.client.or(cause.downcast_ref());
        // Errors of tunnels and SOCKS have no public type.
        let text = cause.to_string();
        if self.proxy.is_none() && (text.contains("tunnel error") || text.contains("SOCKS error")) {
            self.proxy = Some(text);
        }
        self.last = Some(cause);
    }

    /// The message of the innermost cause.
    fn message(&self) -> String {
        let Some(last) = self.last else { return "unknown error".to_owned() };
        let message = last.to_string();
        let plain = exceeded_limit(&message).or_else(|| invalid_part(&message));
        plain.map_or_else(|| without_os_codes(&message), str::to_owned)
    }

    /// The message of an error in connecting. Before there is a connection, only a TLS handshake reads; so an unexpected end
    /// is one of the handshake.
    fn connect_message(&self) -> String {
        match self.io_kind() {
            Some(ErrorKind::UnexpectedEof) => {
                "connection closed during the TLS handshake".to_owned()
            }
            _ => self.message(),
        }
    }

    /// The TLS error, if there is one. Of some errors the HTTP and HTTP/2 libraries keep only the text.
    fn tls_error(&self) -> Option<rustls::Error> {
        let by_text = || tls::alert_in(&self.io?.to_string());
        let by_text_of_h2 = || tls::alert_in(&self.h2?.get_io()?.to_string());
        self.tls.cloned().or_else(by_text).or_else(by_text_of_h2)
    }

    fn io_kind(&self) -> Option<ErrorKind> {
        self.io.map(io::Error::kind)
    }

    /// Whether the server reports that it has not processed the request: it is beyond the last stream of a GOAWAY (RFC 9113
    /// section 6.8), or was refused (section 8.7).
    fn is_unprocessed(&self) -> bool {
        self.h2.is_some_and(|h2| {
            let refused = h2.reason() == Some(h2::Reason::REFUSED_STREAM);
            h2.is_remote() && (h2.is_go_away() || refused)
        })
    }

    /// Whether the server requires HTTP/1.1 for the request.
    fn requires_http1(&self) -> bool {
        let has_code = |h2: &h2::Error| h2.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED);
        self.h2.is_some_and(|h2| h2.is_remote() && has_code(h2))
    }

    /// Whether the connection was closed before the request was sent.
    fn is_unsent(&self) -> bool {
        self.h2.is_none() && self.hyper.is_some_and(|hyper| hyper.is_canceled() || hyper.is_user())
    }

    /// Whether the connection brought no reply to the request: it was closed before a head was complete, did not answer a PING,
    /// or brought something else, which may be the rest of an earlier reply. If the connection was open before the request,
    /// sending the request again is safe: as far as can be known, the server has not processed it.
    fn is_unanswered(&self) -> bool {
        if let Some(h2) = self.h2 {
            return h2.is_io();
        }
        let unanswered = self.hyper.is_some_and(|hyper| {
            let is_not_a_head = hyper.is_parse() && !hyper.is_parse_too_large();
            hyper.is_incomplete_message() || hyper.is_timeout() || is_not_a_head
        });
        unanswered || self.io_kind().is_some_and(is_connection_loss)
    }
}

/// Why a request without a reply may be sent again without being counted as an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It was sent over a connection that was already open, and that proved to be dead or to carry the rest of an earlier
    /// reply.
    Stale,
    /// It was not sent, or the server reports that it has not processed it.
    Unprocessed,
    /// The library has closed its connection because of invalid data from the server, for this request or another one.
    BrokenByAny,
    /// The connect timeout ran out while the process was suspended.
    Stopped,
    /// The server requires HTTP/1.1 (HTTP_1_1_REQUIRED, RFC 9113 section 7).
    RequiresHttp1,
    /// The server has asked for a client certificate, has never replied, and has closed the connection. An alert with its
    /// reason is lost if the request is written before the alert is read.
    AfterCertificateRequest,
}

/// Whether a proxy has refused a tunnel, with a status that the library does not report.
pub(super) fn is_refused_tunnel(error: &reqwest::Error) -> bool {
    let refused = |message: &String| message.contains("tunnel error: unsuccessful");
    ErrorChain::of(error).proxy.as_ref().is_some_and(refused)
}

/// Whether the request has to be sent again at once, over a connection to another address of its host.
pub(super) fn is_other_address(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.is::<OtherAddress>() {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Why the request got no reply, if that does not count as an attempt; `None` if it counts. `awaits_certificate` is whether the
/// server has asked for a client certificate and has never replied.
pub(super) fn why_unanswered(
    error: &reqwest::Error,
    request_state: &RequestState,
    timeouts: &Timeouts,
    awaits_certificate: bool,
) -> Option<Unanswered> {
    if error.is_connect() {
        let is_stopped = error.is_timeout() && request_state.is_connect_late(timeouts.connect);
        return is_stopped.then_some(Unanswered::Stopped);
    }
    let causes = ErrorChain::of(error);
    if causes.tls_error().is_some_and(|error| tls::is_about_certificate(&error)) {
        return None;
    }
    if awaits_certificate && (causes.is_unsent() || causes.is_unanswered()) {
        return Some(Unanswered::AfterCertificateRequest);
    }
    let connection = causes.client.and_then(legacy::Error::connect_info);
    let is_http2 = connection.is_some_and(Connected::is_negotiated_h2);
    let is_reused = connection
        .and_then(local_address)
        .is_some_and(|used| !request_state.is_own_connection(used));
    if causes.requires_http1() {
        return Some(Unanswered::RequiresHttp1);
    }
    if causes.is_unprocessed() || (is_http2 && causes.is_unsent()) {
        return Some(Unanswered::Unprocessed);
    }
    if causes.h2.is_some_and(|h2| h2.is_library() && h2.is_go_away()) {
        return Some(Unanswered::BrokenByAny);
    }
    let is_stale = is_reused && (causes.is_unsent() || causes.is_unanswered());
    is_stale.then_some(Unanswered::Stale)
}

/// Keeps other requests from using the connection on which this one failed, unless only the reply to this one is at fault.
pub(super) fn retire_connection(error: &reqwest::Error) {
    let causes = ErrorChain::of(error);
    if causes.h2.is_some_and(|h2| h2.is_library() && h2.is_reset()) {
        return;
    }
    if let Some(connected) = causes.client.and_then(legacy::Error::connect_info) {
        connected.poison();
    }
}

/// The failure of a request to `url` that got no reply, over this route. `certificate` is what was shown to the server if it
/// has asked for a client certificate.
pub(super) fn request(
    error: &reqwest::Error,
    url: &Url,
    route: ProxyRoute,
    timeouts: &Timeouts,
    certificate: Option<ShownCertificate>,
) -> Failure {
    let causes = ErrorChain::of(error);
    if let Some(AddressBlocked(failure)) = causes.blocked {
        return failure.clone();
    }
    if route == ProxyRoute::ByProxy
        && let Some(failure) = proxy_failure(error, &causes, url, timeouts)
    {
        return failure;
    }
    if let Some(lookup) = causes.lookup {
        let LookupFailed { host, reason, .. } = lookup.clone();
        return Failure::Dns { host, reason };
    }
    if let Some(tls) = causes.tls_error() {
        return Failure::Tls(match certificate {
            Some(shown) => tls::describe_with_certificate(&tls, shown),
            None => tls::describe(&tls),
        });
    }
    if causes.bad_name.is_some() {
        return Failure::Tls("invalid host name for TLS".to_owned());
    }
    if error.is_connect() {
        return Failure::Connect(match error.is_timeout() {
            true => connect_timeout(timeouts),
            false => {
                format!("could not connect to {}: {}", authority(url), causes.connect_message())
            }
        });
    }
    if error.is_builder() {
        return Failure::InvalidUrl(causes.message());
    }
    exchange_failure(&causes)
}

/// The failure of the proxy; `None` if the error may be the origin's behind it.
fn proxy_failure(
    error: &reqwest::Error,
    causes: &ErrorChain<'_>,
    url: &Url,
    timeouts: &Timeouts,
) -> Option<Failure> {
    if let Some(lookup) = causes.lookup {
        let is_origin = url.host_str() == Some(lookup.host.as_str());
        return (!is_origin).then(|| {
            Failure::Proxy(format!("could not resolve host: {} ({})", lookup.host, lookup.reason))
        });
    }
    if let Some(message) = &causes.proxy {
        let last = causes.message();
        let message = if last == *message { last } else { format!("{message}: {last}") };
        if message.contains("proxy authorization required") {
            return Some(Failure::ProxyStatus(Some(407)));
        }
        let is_lost = causes.tls.is_none() && PROXY_LOST.iter().any(|lost| message.contains(lost));
        return Some(if is_lost { Failure::ProxyLost(message) } else { Failure::Proxy(message) });
    }
    // Without a tunnel every connection and every handshake is with the proxy.
    let is_tunnelled = url.scheme() == "https";
    match causes.tls {
        Some(tls) if !is_tunnelled => Some(Failure::Proxy(tls::describe(tls))),
        None if error.is_connect() && (error.is_timeout() || !is_tunnelled) => {
            let timed_out = || connect_timeout(timeouts);
            let reason = error.is_timeout().then(timed_out);
            Some(Failure::ProxyLost(reason.unwrap_or_else(|| causes.connect_message())))
        }
        _ => None,
    }
}

fn connect_timeout(timeouts: &Timeouts) -> String {
    format!("connect timed out after {}s", timeouts.connect.as_secs_f64())
}

/// The host and port of `url`.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or(host.to_owned(), |port| format!("{host}:{port}"))
}

/// The failure of a reply whose body did not arrive completely.
pub(super) fn body(error: &reqwest::Error, received: u64, promised: Option<u64>) -> Failure {
    let causes = ErrorChain::of(error);
    let is_cut = causes.io_kind() == Some(ErrorKind::UnexpectedEof)
        || causes.hyper.is_some_and(hyper::Error::is_incomplete_message);
    // The library reports a stream that ends before its Content-Length only as a violation of the protocol.
    let ends_early = causes.h2.is_some_and(|h2| h2.is_library() && h2.is_reset())
        && promised.is_some_and(|promised| received < promised);
    if is_cut || ends_early {
        return Failure::Truncated { received, promised };
    }
    match causes.h2 {
        // It is not known which reply on the connection was at fault.
        Some(h2) if h2.is_library() && h2.is_go_away() => Failure::Reset(h2_message(h2)),
        _ => exchange_failure(&causes),
    }
}

/// Our message for a part of the reply that the library could not parse.
fn invalid_part(message: &str) -> Option<&'static str> {
    Some(match message {
        "invalid HTTP status-code parsed" => "invalid status line",
        "invalid HTTP version parsed" => "invalid HTTP version in the status line",
        "invalid HTTP header parsed" => "invalid header field",
        "invalid content-length parsed" => "invalid Content-Length",
        _ => return None,
    })
}

/// The failure of a request or its reply on a connection that was open.
fn exchange_failure(causes: &ErrorChain<'_>) -> Failure {
    if let Some(h2) = causes.h2 {
        return if h2.is_library() { h2_violation(h2) } else { Failure::Reset(h2_message(h2)) };
    }
    if let Some(tls) = causes.tls {
        return Failure::Tls(tls::describe(tls));
    }
    if let Some(hyper) = causes.hyper {
        if hyper.is_parse() {
            return Failure::Protocol(causes.message());
        }
        if hyper.is_timeout() {
            return Failure::Reset("HTTP/2 connection lost: no answer to PING".to_owned());
        }
        if hyper.is_incomplete_message() {
            return Failure::Reset(CLOSED_EARLY.to_owned());
        }
    }
    match causes.io_kind() {
        Some(ErrorKind::UnexpectedEof) => Failure::Reset(CLOSED_EARLY.to_owned()),
        Some(ErrorKind::ConnectionReset) => Failure::Reset("connection reset by peer".to_owned()),
        Some(ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
            Failure::Protocol(causes.message())
        }
        _ => Failure::Reset(format!("connection lost: {}", causes.message())),
    }
}

/// The failure of a reply that the library has rejected. A head beyond its limits is rejected with one of several codes.
fn h2_violation(error: &h2::Error) -> Failure {
    if let Some(limit) = exceeded_limit(&error.to_string()) {
        return Failure::Protocol(limit.to_owned());
    }
    Failure::Protocol(match error.reason() {
        Some(h2::Reason::COMPRESSION_ERROR | h2::Reason::ENHANCE_YOUR_CALM) => {
            heads::TOO_LARGE.to_owned()
        }
        Some(h2::Reason::PROTOCOL_ERROR) if error.is_reset() => {
            "response headers malformed, or larger than 256 KiB".to_owned()
        }
        _ => h2_message(error),
    })
}

/// The message for an HTTP/2 error. For an I/O error of its connection, that is the operating system's message.
fn h2_message(error: &h2::Error) -> String {
    let by = if error.is_remote() { " by the server" } else { "" };
    if let Some(limit) = exceeded_limit(&error.to_string()).filter(|_| error.is_library()) {
        return limit.to_owned();
    }
    match (error.reason(), error.get_io()) {
        (Some(reason), _) if error.is_go_away() => {
            format!("HTTP/2 connection closed{by}: {}", reason.description())
        }
        (Some(reason), _) => format!("HTTP/2 stream reset{by}: {}", reason.description()),
        // The library's text would be about a missing close_notify.
        (None, Some(io)) if io.kind() == ErrorKind::UnexpectedEof => CONNECTION_CUT.to_owned(),
        (None, Some(io)) => format!("connection lost: {}", io_message(io)),
        (None, None) => format!("HTTP/2 error: {error}"),
    }
}

fn is_connection_loss(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof
    )
}
