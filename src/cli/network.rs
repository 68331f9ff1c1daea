//! Parses `--resolve` and `--connect-to` (curl's syntax) into [`ResolveOverride`]s, and the values of `--interface`,
//! `--referer` and `--accept`.
//!
//! The HTTP library resolves names through our resolver but always connects to the port in the URL, and never resolves
//! a host that is an IP address. So an override cannot apply to an IP address, and only a URL without an explicit port
//! can be sent to another one. Overrides that could not be honored are rejected here.

use std::net::IpAddr;

use http::HeaderValue;
use url::{Host, Url};

use crate::plan::{NetworkInterface, OverrideTarget, ResolveOverride, StatusRange};

const RESOLVE: &str = "expected HOST:PORT:ADDR[,ADDR]..., IPv6 addresses in brackets";
const STATUSES: &str = "expected statuses from 200 to 599, e.g. 200,404,500-503 or 2xx";
const CONNECT_TO: &str = "expected HOST1:PORT1:HOST2:PORT2, IPv6 addresses in brackets";

/// Reads `HOST:PORT:ADDRESS[,ADDRESS]...`.
pub(super) fn resolve(text: &str) -> Result<ResolveOverride, String> {
    if text.starts_with('-') {
        return Err("'-HOST:PORT' is not supported".to_owned());
    }
    if text.starts_with('+') {
        return Err("'+HOST:PORT:ADDR' is not supported".to_owned());
    }
    let (host, rest) = split_host(text).ok_or(RESOLVE)?;
    let (port, addresses) = rest.split_once(':').ok_or(RESOLVE)?;
    let host = match host {
        "" => return Err(RESOLVE.to_owned()),
        "*" => None,
        host => Some(host_name(host)?),
    };
    let addresses = addresses.split(',').map(address).collect::<Result<_, _>>()?;
    Ok(ResolveOverride {
        host,
        port: Some(self::port(port)?),
        to: OverrideTarget::Addresses(addresses),
    })
}

/// Reads the name of a network interface, or an address.
pub(super) fn interface(text: &str) -> Result<NetworkInterface, String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match inner.parse() {
        Ok(address) => Ok(NetworkInterface::Address(address)),
        Err(_) if text.is_empty() || text.contains(['!', '/', '\0']) => {
            Err("expected the name of an interface or an address, e.g. eth0 or 192.0.2.1"
                .to_owned())
        }
        Err(_) => Ok(NetworkInterface::Name(text.to_owned())),
    }
}

/// Reads the URL of a referring page: without user, password and fragment, which must not be sent (RFC 9110 section
/// 10.1.3).
pub(super) fn referer(text: &str) -> Result<HeaderValue, String> {
    if text.ends_with(";auto") {
        return Err(
            "';auto' is not supported: redirects are followed without a new Referer".to_owned()
        );
    }
    let mut url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or("expected a URL, e.g. https://example.org/")?;
    // Neither can fail: such a URL has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    HeaderValue::from_str(url.as_str()).map_err(|error| error.to_string())
}

/// Reads a status, a range of statuses or a class of statuses, as in `404`, `500-503` and `2xx`.
pub(super) fn statuses(text: &str) -> Result<StatusRange, String> {
    if text.trim().is_empty() {
        return Err(format!("a status is missing beside a comma; {STATUSES}"));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Some((first, _)), Some((_, last))) = (class_or_status(first), class_or_status(last))
    else {
        return Err(STATUSES.to_owned());
    };
    if first > last {
        return Err("the first status of a range must not exceed the last".to_owned());
    }
    match (first, last) {
        (200.., ..=599) => Ok(StatusRange { first, last }),
        _ => Err(STATUSES.to_owned()),
    }
}

/// The first and the last status of a class (`2xx`) or of a single status (`404`).
fn class_or_status(text: &str) -> Option<(u16, u16)> {
    let digits = text.trim();
    let is_number =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(class) = digits.strip_suffix("xx").or_else(|| digits.strip_suffix("XX")) {
        let first = is_number(class, 1).then(|| class.parse::<u16>().ok()).flatten()? * 100;
        return Some((first, first + 99));
    }
    let status = is_number(digits, 3).then(|| digits.parse().ok()).flatten()?;
    Some((status, status))
}

/// Reads `HOST1:PORT1:HOST2:PORT2`; an empty part means any host, any port, the same host, the same port.
pub(super) fn connect_to(text: &str) -> Result<ResolveOverride, String> {
    let (host, rest) = split_host(text).ok_or(CONNECT_TO)?;
    let (port, rest) = rest.split_once(':').ok_or(CONNECT_TO)?;
    let (to_host, to_port) = split_host(rest).ok_or(CONNECT_TO)?;
    let host = non_empty(host).map(host_name).transpose()?;
    let port = non_empty(port).map(self::port).transpose()?;
    let to_host = non_empty(to_host).map(endpoint).transpose()?;
    let to_port = non_empty(to_port).map(self::port).transpose()?;
    if to_host.is_none() && to_port.is_none() {
        return Err("HOST2 and PORT2 cannot both be empty".to_owned());
    }
    ensure_the_port_can_be_changed(port, to_port)?;
    Ok(ResolveOverride {
        host,
        port,
        to: OverrideTarget::Endpoint { host: to_host, port: to_port },
    })
}

fn ensure_the_port_can_be_changed(port: Option<u16>, to_port: Option<u16>) -> Result<(), String> {
    match (port, to_port) {
        (Some(port), Some(to_port)) if port != to_port && port != 80 && port != 443 => {
            Err(format!(
                "a URL with :{port} in it is always sent to port {port}; leave PORT2 empty, or write URLs without a port \
             and PORT1 as 80 or 443"
            ))
        }
        _ => Ok(()),
    }
}

/// The host in front of a colon, its brackets kept, and what comes after the colon.
fn split_host(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with('[') {
        return text.split_once(':');
    }
    let (host, rest) = text.split_at(text.find(']')? + 1);
    Some((host, rest.strip_prefix(':')?))
}

fn non_empty(part: &str) -> Option<&str> {
    Some(part).filter(|part| !part.is_empty())
}

/// A host name in the form of a parsed URL: lower case, punycode.
fn host_name(text: &str) -> Result<String, String> {
    match parse_host(text)? {
        Host::Domain(name) => Ok(name),
        Host::Ipv4(_) | Host::Ipv6(_) => {
            Err(format!("{text} is an IP address; only host names can be overridden"))
        }
    }
}

/// A host name in the form of a parsed URL, or an address without brackets.
fn endpoint(text: &str) -> Result<String, String> {
    Ok(match parse_host(text)? {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    })
}

fn parse_host(text: &str) -> Result<Host, String> {
    Host::parse(text).map_err(|_| format!("invalid host '{text}'"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| format!("'{text}' is not an IP address"))
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("invalid port '{text}' (expected 1-65535)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(
        host: Option<&str>,
        port: Option<u16>,
        to: OverrideTarget,
    ) -> Result<ResolveOverride, String> {
        Ok(ResolveOverride { host: host.map(str::to_owned), port, to })
    }

    fn at(addresses: &[&str]) -> OverrideTarget {
        OverrideTarget::Addresses(
            addresses.iter().map(|address| address.parse().unwrap()).collect(),
        )
    }

    fn through(host: Option<&str>, port: Option<u16>) -> OverrideTarget {
        OverrideTarget::Endpoint { host: host.map(str::to_owned), port }
    }

    #[test]
    fn resolve_pins_a_host_and_port_to_addresses() {
        assert_eq!(
            resolve("Example.ORG:8443:127.0.0.1,[::1],::2"),
            pinned(Some("example.org"), Some(8443), at(&["127.0.0.1", "::1", "::2"]))
        );
        assert_eq!(resolve("*:80:127.0.0.1"), pinned(None, Some(80), at(&["127.0.0.1"])));
        assert_eq!(
            resolve("bücher.example:80:127.0.0.1"),
            pinned(Some("xn--bcher-kva.example"), Some(80), at(&["127.0.0.1"]))
        );
    }

    #[test]
    fn a_resolve_that_cannot_be_kept_is_refused_with_the_reason() {
        let table = [
            ("", "expected HOST:PORT:ADDR"),
            ("a.b", "expected HOST:PORT:ADDR"),
            ("a.b:80", "expected HOST:PORT:ADDR"),
            (":80:127.0.0.1", "expected HOST:PORT:ADDR"),
            ("a.b:80:", "'' is not an IP address"),
            ("a.b:80:c.d", "'c.d' is not an IP address"),
            ("a.b:80:127.0.0.1,", "'' is not an IP address"),
            ("a.b:0:127.0.0.1", "invalid port '0'"),
            ("a.b:99999:127.0.0.1", "invalid port '99999'"),
            ("a b:80:127.0.0.1", "invalid host 'a b'"),
            ("127.0.0.1:80:127.0.0.2", "only host names can be overridden"),
            ("[::1]:80:127.0.0.2", "only host names can be overridden"),
            ("-a.b:80", "'-HOST:PORT' is not supported"),
            ("+a.b:80:127.0.0.1", "is not supported"),
        ];
        for (text, complaint) in table {
            let message = resolve(text).unwrap_err();
            assert!(message.contains(complaint), "{text}: {message}");
        }
    }

    #[test]
    fn connect_to_pins_a_host_and_port_to_another() {
        assert_eq!(
            connect_to("A.b:443:C.d:8443"),
            pinned(Some("a.b"), Some(443), through(Some("c.d"), Some(8443)))
        );
        assert_eq!(
            connect_to("::[::1]:8080"),
            pinned(None, None, through(Some("::1"), Some(8080)))
        );
        assert_eq!(connect_to("a.b::c.d:"), pinned(Some("a.b"), None, through(Some("c.d"), None)));
        assert_eq!(connect_to(":80::8080"), pinned(None, Some(80), through(None, Some(8080))));
        assert_eq!(
            connect_to("a.b:8000:c.d:8000"),
            pinned(Some("a.b"), Some(8000), through(Some("c.d"), Some(8000)))
        );
        assert_eq!(
            connect_to("a.b:8000:127.0.0.1:"),
            pinned(Some("a.b"), Some(8000), through(Some("127.0.0.1"), None))
        );
    }

    #[test]
    fn a_connect_to_that_cannot_be_kept_is_refused_with_the_reason() {
        let table = [
            ("", "expected HOST1:PORT1:HOST2:PORT2"),
            ("a.b:80:c.d", "expected HOST1:PORT1:HOST2:PORT2"),
            ("[::1", "expected HOST1:PORT1:HOST2:PORT2"),
            ("a.b:80:c.d:80:80", "invalid port '80:80'"),
            ("a.b:80:c.d:x", "invalid port 'x'"),
            ("a.b:80:c d:80", "invalid host 'c d'"),
            ("a.b:80::", "cannot both be empty"),
            ("a.b:8000:c.d:9000", "always sent to port 8000"),
            ("127.0.0.1:80:c.d:80", "only host names can be overridden"),
            ("[::1]:80:c.d:80", "only host names can be overridden"),
        ];
        for (text, complaint) in table {
            let message = connect_to(text).unwrap_err();
            assert!(message.contains(complaint), "{text}: {message}");
        }
    }
}
