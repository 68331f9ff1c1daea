//! Converts errors of the HTTP library to failures. The library distinguishes errors partly by type and partly by nested
//! causes; everything that depends on that is here.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use hyper_util::client::legacy;
use rustls::pki_types::InvalidDnsNameError;
use url::Url;

use super::client::{ProxyRoute, local_address};
use super::resolver::LookupFailed;
use super::tls;
use crate::model::Failure;
use crate::plan::Timeouts;
use crate::text::{io_message, without_os_codes};

/// Parts of the library's messages about a proxy that could not be reached, or closed the connection; others mean that it
/// refused.
const LOST: [&str; 3] =
    ["failed to create underlying connection", "io error", "unexpected end of file"];

/// The message for a connection that was closed before the head of the reply was complete.
const CLOSED_EARLY: &str = "connection closed before the response headers were complete";

/// The causes of one error, by type.
#[derive(Default)]
struct ErrorChain<'a> {
    lookup: Option<&'a LookupFailed>,
    tls: Option<&'a rustls::Error>,
    bad_name: Option<&'a InvalidDnsNameError>,
    io: Option<&'a io::Error>,
    hyper: Option<&'a hyper::Error>,
    h2: Option<&'a h2::Error>,
    client: Option<&'a legacy::Error>,
    proxy: Option<String>,
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
        self.last.map_or("unknown error".to_owned(), |last| without_os_codes(&last.to_string()))
    }

    fn io_kind(&self) -> Option<ErrorKind> {
        self.io.map(io::Error::kind)
    }
}

/// Whether the server has closed the connection in good order, without having processed this request (GOAWAY, RFC 9113
/// section 6.8). Requests that it has processed are answered, and do not fail with this.
pub fn was_not_processed(error: &reqwest::Error) -> bool {
    ErrorChain::of(error).h2.is_some_and(|h2| {
        h2.is_remote() && h2.is_go_away() && h2.reason() == Some(h2::Reason::NO_ERROR)
    })
}

/// The local address of the connection over which the request was sent; `None` if there was none.
pub fn connection(error: &reqwest::Error) -> Option<SocketAddr> {
    local_address(ErrorChain::of(error).client?.connect_info()?)
}

/// Whether a connection had no reply to the request: it was closed before a head was complete, or carried something else,
/// which may be the rest of an earlier reply. For a connection that was already open, sending the request again is safe: as
/// far as the server can tell it is sent once.
pub fn was_never_answered(error: &reqwest::Error) -> bool {
    if error.is_connect() {
        return false;
    }
    let causes = ErrorChain::of(error);
    if let Some(h2) = causes.h2 {
        return h2.is_io() || (h2.is_remote() && h2.reason() == Some(h2::Reason::REFUSED_STREAM));
    }
    let unanswered = causes.hyper.is_some_and(|hyper| {
        hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_parse()
    });
    unanswered || causes.io_kind().is_some_and(is_connection_loss)
}

/// The failure of a request to `url` that got no reply, over this route.
pub fn request(
    error: &reqwest::Error,
    url: &Url,
    route: ProxyRoute,
    timeouts: &Timeouts,
) -> Failure {
    let causes = ErrorChain::of(error);
    if route == ProxyRoute::ByProxy
        && let Some(failure) = proxy(error, &causes, url, timeouts)
    {
        return failure;
    }
    if let Some(lookup) = causes.lookup {
        let LookupFailed { host, reason, .. } = lookup.clone();
        return Failure::Dns { host, reason };
    }
    if let Some(tls) = causes.tls {
        return Failure::Tls(tls::describe(tls));
    }
    if causes.bad_name.is_some() {
        return Failure::Tls("invalid host name for TLS".to_owned());
    }
    if error.is_connect() {
        return Failure::Connect(match error.is_timeout() {
            true => connect_timeout(timeouts),
            false => format!("could not connect to {}: {}", authority(url), causes.message()),
        });
    }
    if error.is_builder() {
        return Failure::InvalidUrl(causes.message());
    }
    exchange(&causes)
}

/// The failure, if it is the proxy's; `None` if it may be the origin's behind the proxy.
fn proxy(
    error: &reqwest::Error,
    causes: &ErrorChain<'_>,
    url: &Url,
    timeouts: &Timeouts,
) -> Option<Failure> {
    if let Some(lookup) = causes.lookup {
        let origins = url.host_str() == Some(lookup.host.as_str());
        return (!origins).then(|| {
            Failure::Proxy(format!("could not resolve host: {} ({})", lookup.host, lookup.reason))
        });
    }
    if let Some(message) = &causes.proxy {
        let last = causes.message();
        let message = if last == *message { last } else { format!("{message}: {last}") };
        let is_lost = causes.tls.is_none() && LOST.iter().any(|lost| message.contains(lost));
        return Some(if is_lost { Failure::ProxyLost(message) } else { Failure::Proxy(message) });
    }
    // Without a tunnel every connection and every handshake is with the proxy.
    let tunnelled = url.scheme() == "https";
    match causes.tls {
        Some(tls) if !tunnelled => Some(Failure::Proxy(tls::describe(tls))),
        None if error.is_connect() && (error.is_timeout() || !tunnelled) => {
            let timed_out = || connect_timeout(timeouts);
            let reason = error.is_timeout().then(timed_out);
            Some(Failure::ProxyLost(reason.unwrap_or_else(|| causes.message())))
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
pub fn body(error: &reqwest::Error, received: u64, promised: Option<u64>) -> Failure {
    let causes = ErrorChain::of(error);
    if causes.io_kind() == Some(ErrorKind::UnexpectedEof)
        || causes.hyper.is_some_and(hyper::Error::is_incomplete_message)
    {
        return Failure::Truncated { received, promised };
    }
    exchange(&causes)
}

fn exchange(causes: &ErrorChain<'_>) -> Failure {
    if let Some(h2) = causes.h2 {
        return match h2.reason() {
            Some(h2::Reason::PROTOCOL_ERROR) if !h2.is_remote() => {
                Failure::Protocol(h2.to_string())
            }
            _ => Failure::Reset(h2_message(h2)),
        };
    }
    if let Some(tls) = causes.tls {
        return Failure::Tls(tls::describe(tls));
    }
    if let Some(hyper) = causes.hyper {
        if hyper.is_parse() {
            return Failure::Protocol(causes.message());
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

/// The message of an HTTP/2 error; the connection's own errors have the operating system's message.
fn h2_message(error: &h2::Error) -> String {
    let by = if error.is_remote() { " by the server" } else { "" };
    match (error.reason(), error.get_io()) {
        (Some(reason), _) if error.is_go_away() => {
            format!("HTTP/2 connection closed{by}: {}", reason.description())
        }
        (Some(reason), _) => format!("HTTP/2 stream reset{by}: {}", reason.description()),
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
