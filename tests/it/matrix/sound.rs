//! Servers that do as they should: the body that a later run gets whole.

use std::sync::LazyLock;

use super::network::Certificates;
use crate::support::tls::{Then, TlsOrigin};
use crate::support::{Origin, Reply};

/// Bytes of the body.
pub const LENGTH: usize = 1_000_000;

static BODY: LazyLock<String> = LazyLock::new(|| {
    let mut body: String = (0..100_000).map(|number| format!("line {number:06}\n")).collect();
    body.truncate(LENGTH);
    body
});

/// The body, which does not come at once, and is therefore begun on the disk before it is whole.
pub fn body() -> &'static [u8] {
    BODY.as_bytes()
}

/// The whole body, or the rest of it from the byte that is asked for.
pub fn reply(range: Option<&str>) -> String {
    let start =
        range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let (status, content_range) = match start {
        None => ("200 OK", String::new()),
        Some(start) => {
            let last = LENGTH - 1;
            ("206 Partial Content", format!("Content-Range: bytes {start}-{last}/{LENGTH}\r\n"))
        }
    };
    let rest = &BODY[start.unwrap_or(0)..];
    let length = rest.len();
    format!(
        "HTTP/1.1 {status}\r\nETag: \"v1\"\r\nAccept-Ranges: bytes\r\n{content_range}Content-Length: {length}\r\n\r\n{rest}"
    )
}

/// A server without TLS and one with it, which have the body under every path and name.
pub struct Servers {
    plain: Origin,
    secure: TlsOrigin,
}

impl Servers {
    pub fn new(certificates: &Certificates) -> Self {
        let plain = Origin::new(|request| {
            Reply::raw(reply(request.header("range")), crate::support::End::KeepAlive)
        });
        let secure = TlsOrigin::new(&certificates.good, |asked| {
            (reply(asked.head.field("range")), Then::KeepAlive)
        });
        Self { plain, secure }
    }

    /// The port of the server for a scheme.
    pub fn port(&self, scheme: &str) -> u16 {
        if scheme == "https" { self.secure.port() } else { self.plain.address().port() }
    }
}
