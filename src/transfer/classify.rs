//! Which class of failure an error of the HTTP library is. The library tells by types where it can and by nested
//! causes where it cannot; everything that depends on how it does so is here.

use std::error::Error;
use std::io::{self, ErrorKind};

use super::resolver::LookupFailed;
use crate::plan::Clocks;
use crate::record::Failure;

/// What an error chain holds.
#[derive(Default)]
struct Causes<'a> {
    lookup: Option<&'a LookupFailed>,
    tls: Option<&'a rustls::Error>,
    io: Option<&'a io::Error>,
    hyper: Option<&'a hyper::Error>,
    h2: Option<&'a h2::Error>,
    proxy: Option<String>,
    last: Option<&'a (dyn Error + 'static)>,
}

impl<'a> Causes<'a> {
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
        self.io = cause.downcast_ref().or(self.io);
        self.hyper = self.hyper.or(cause.downcast_ref());
        self.h2 = self.h2.or(cause.downcast_ref());
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

/// Whether the connection was closed before any of the reply was seen, so that asking again asks once.
pub fn was_never_answered(error: &reqwest::Error) -> bool {
    let causes = Causes::of(error);
    if let Some(h2) = causes.h2 {
        return h2.is_remote()
            && (h2.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (h2.is_go_away() && h2.reason() == Some(h2::Reason::NO_ERROR)));
    }
    let closed =
        causes.hyper.is_some_and(|hyper| hyper.is_incomplete_message() || hyper.is_canceled());
    closed || causes.io_kind().is_some_and(breaks_off)
}

/// Why no reply arrived.
pub fn request(error: &reqwest::Error, clocks: &Clocks) -> Failure {
    let causes = Causes::of(error);
    if let Some(lookup) = causes.lookup {
        let LookupFailed { host, reason, .. } = lookup.clone();
        return Failure::Dns { host, reason };
    }
    if let Some(words) = &causes.proxy {
        return Failure::Proxy(format!("{words}: {}", causes.words()));
    }
    if let Some(tls) = causes.tls {
        return Failure::Tls(tls.to_string());
    }
    if error.is_connect() {
        return Failure::Connect(if error.is_timeout() {
            format!("no connection within {} s", clocks.connect.as_secs_f64())
        } else {
            causes.words()
        });
    }
    if error.is_builder() {
        return Failure::InvalidUrl(causes.words());
    }
    exchange(&causes)
}

/// Why a body did not arrive whole.
pub fn body(error: &reqwest::Error, received: u64, promised: Option<u64>) -> Failure {
    let causes = Causes::of(error);
    if causes.io_kind() == Some(ErrorKind::UnexpectedEof)
        || causes.hyper.is_some_and(hyper::Error::is_incomplete_message)
    {
        return Failure::Truncated { received, promised };
    }
    exchange(&causes)
}

fn exchange(causes: &Causes<'_>) -> Failure {
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

fn breaks_off(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof
    )
}
