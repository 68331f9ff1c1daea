//! Finds the status with which a proxy refuses a tunnel. The library reports only that the tunnel was refused; so the proxy is
//! asked once more, without the library.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::Scheme;
use hyper_util::client::proxy::matcher::Intercept;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::context::TransferContext;
use super::outgoing;
use super::tls;
use crate::plan::HttpVersions;

/// The maximum length of a status line in bytes.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// Asks the proxy for a tunnel to the origin of `url` and returns the status of the answer. `None` if there is no answer, or
/// the proxy is not an HTTP proxy.
pub(super) async fn connect_status(context: &TransferContext, url: &Url) -> Option<u16> {
    timeout(context.config.timeouts.connect, ask(context, url)).await.ok()?
}

async fn ask(context: &TransferContext, url: &Url) -> Option<u16> {
    let proxy = context.proxy_rules.proxy_for(url)?;
    let address = proxy.uri();
    let usual_port = match address.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => 80,
        Some(scheme) if *scheme == Scheme::HTTPS => 443,
        _ => return None,
    };
    let host = address.host()?.trim_matches(['[', ']']);
    let port = address.port_u16().unwrap_or(usual_port);
    let addresses = context.resolver.resolve_proxy(host).await?;
    let addresses: Vec<_> = addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
    let stream = connect_to_first(context, &addresses).await?;
    let request = tunnel_request(context, url, &proxy)?;
    if usual_port == 80 {
        return exchange(stream, &request).await;
    }
    let tls = tls::with_http_versions(&context.tls[0], HttpVersions::Http1);
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.ok()?;
    exchange(stream, &request).await
}

/// Connects to the first of the addresses that can be reached.
async fn connect_to_first(
    context: &TransferContext,
    addresses: &[SocketAddr],
) -> Option<TcpStream> {
    for address in addresses {
        let connected = outgoing::connect(context.config.http.interface.as_ref(), *address).await;
        if let Ok(stream) = connected {
            return Some(stream);
        }
    }
    None
}

fn tunnel_request(context: &TransferContext, url: &Url, proxy: &Intercept) -> Option<Vec<u8>> {
    let origin = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
    let mut request = format!("CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n").into_bytes();
    let user_agent = ("User-Agent", Some(&context.config.http.user_agent));
    let credentials = ("Proxy-Authorization", proxy.basic_auth());
    for (name, value) in [user_agent, credentials] {
        if let Some(value) = value {
            request
                .extend_from_slice(&[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    request.extend_from_slice(b"\r\n");
    Some(request)
}

/// Sends `request`, and returns the status of the answer.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Option<u16> {
    stream.write_all(request).await.ok()?;
    stream.flush().await.ok()?;
    let mut line = Vec::new();
    let mut reader = stream.take(MAX_LINE_BYTES as u64);
    while !line.contains(&b'\n') {
        if reader.read_buf(&mut line).await.ok()? == 0 {
            return None;
        }
    }
    status_of(&line)
}

/// The status in a status line (RFC 9112 section 4).
fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?.get(1..)?.strip_prefix(b" ")?;
    let digits = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let ends = rest.get(3).is_some_and(u8::is_ascii_whitespace);
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_status_line_has_a_status() {
        assert_eq!(status_of(b"HTTP/1.1 403 Forbidden\r\n"), Some(403));
        assert_eq!(status_of(b"HTTP/1.0 502\r\nX: y"), Some(502));
        assert_eq!(status_of(b"HTTP/1.1 200 \n"), Some(200));
        for other in ["", "HTTP/1.", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000 OK\r\n"] {
            assert_eq!(status_of(other.as_bytes()), None, "{other}");
        }
        for other in ["SSH-2.0-x\r\n", "HTTP/2 200\r\n", "HTTP/1.1 +20 x\r\n", "HTTP/1.1 4x3 \n"] {
            assert_eq!(status_of(other.as_bytes()), None, "{other}");
        }
    }
}
