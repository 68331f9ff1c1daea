//! Which class of failure an error of the HTTP library is. The library tells by types where it can and by nested
//! causes where it cannot; everything that depends on how it does so is here.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use hyper_util::client::legacy;
use rustls::pki_types::InvalidDnsNameError;
use url::Url;

use super::client::{ProxyRoute, local_address};
use super::resolver::LookupFailed;
use crate::model::Failure;
use crate::plan::Timeouts;

/// What the library says of a proxy that did not refuse, but was not there.
const LOST: [&str; 3] =
    ["failed to create underlying connection", "io error", "unexpected end of file"];

/// What an error chain holds.
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
            // An io::Error that wraps another error passes it over in `source`.
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
        // The errors of tunnels and SOCKS have no public type.
        let text = cause.to_string();
        if self.proxy.is_none() && (text.contains("tunnel error") || text.contains("SOCKS error")) {
            self.proxy = Some(text);
        }
        self.last = Some(cause);
    }

    fn words(&self) -> String {
        self.last.map_or_else(|| "unknown error".to_owned(), ToString::to_string)
    }

    fn io_kind(&self) -> Option<ErrorKind> {
        self.io.map(io::Error::kind)
    }
}

/// Whether the server closes the connection in good order and says that this request came too late for it (RFC 9113
/// section 6.8). Those that it has looked at are answered, and do not fail with this.
pub fn was_not_processed(error: &reqwest::Error) -> bool {
    ErrorChain::of(error).h2.is_some_and(|h2| {
        h2.is_remote() && h2.is_go_away() && h2.reason() == Some(h2::Reason::NO_ERROR)
    })
}

/// The connection that the request went over, by its local address; `None` if it came to none.
pub fn connection(error: &reqwest::Error) -> Option<SocketAddr> {
    local_address(ErrorChain::of(error).client?.connect_info()?)
}

/// Whether a connection that was open had no reply to give: it was closed before a head was complete, or what it
/// carried is none, which may be the rest of an earlier reply. Asking again asks once, as far as anyone can tell.
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

/// Why no reply arrived from `url`, by this route.
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
        return Failure::Tls(tls.to_string());
    }
    if causes.bad_name.is_some() {
        return Failure::Tls("no certificate can be for a host of this name".to_owned());
    }
    if error.is_connect() {
        return Failure::Connect(connect_message(error, &causes, timeouts));
    }
    if error.is_builder() {
        return Failure::InvalidUrl(causes.words());
    }
    exchange(&causes)
}

/// What of it is the proxy's failure; `None` if the origin may as well have failed behind it.
fn proxy(
    error: &reqwest::Error,
    causes: &ErrorChain<'_>,
    url: &Url,
    timeouts: &Timeouts,
) -> Option<Failure> {
    if let Some(lookup) = causes.lookup {
        let origins = url.host_str() == Some(lookup.host.as_str());
        return (!origins).then(|| Failure::Proxy(format!("cannot resolve {lookup}")));
    }
    if let Some(words) = &causes.proxy {
        let last = causes.words();
        let words = if last == *words { last } else { format!("{words}: {last}") };
        let is_lost = causes.tls.is_none() && LOST.iter().any(|lost| words.contains(lost));
        return Some(if is_lost { Failure::ProxyLost(words) } else { Failure::Proxy(words) });
    }
    // Without a tunnel every connection is the proxy's, and its handshake too.
    let tunnelled = url.scheme() == "https";
    match causes.tls {
        Some(tls) if !tunnelled => Some(Failure::Proxy(tls.to_string())),
        None if error.is_connect() && (error.is_timeout() || !tunnelled) => {
            Some(Failure::ProxyLost(connect_message(error, causes, timeouts)))
        }
        _ => None,
    }
}

fn connect_message(error: &reqwest::Error, causes: &ErrorChain<'_>, timeouts: &Timeouts) -> String {
    if error.is_timeout() {
        format!("no connection within {} s", timeouts.connect.as_secs_f64())
    } else {
        causes.words()
    }
}

/// Why a body did not arrive whole.
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
            _ => Failure::Reset(h2.to_string()),
        };
    }
    if let Some(tls) = causes.tls {
        return Failure::Tls(tls.to_string());
    }
    if let Some(hyper) = causes.hyper {
        if hyper.is_parse() {
            return Failure::Protocol(causes.words());
        }
        if hyper.is_incomplete_message() {
            return Failure::Reset("closed before the head of the reply was complete".to_owned());
        }
    }
    match causes.io_kind() {
        Some(ErrorKind::UnexpectedEof) => {
            Failure::Reset("closed before the head of the reply was complete".to_owned())
        }
        Some(ErrorKind::InvalidData | ErrorKind::InvalidInput) => Failure::Protocol(causes.words()),
        _ => Failure::Reset(causes.words()),
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
