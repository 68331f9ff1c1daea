//! Cookies by RFC 6265bis (draft-ietf-httpbis-rfc6265bis): those that replies set, those that requests send, and the file
//! format of browsers and curl. Pure: the time is an argument.
//!
//! - [`set_cookie`] parses a `Set-Cookie` field and decides whether its cookie is kept.
//! - [`jar`] stores the cookies of a run and those of one target; both are bounded.
//! - [`netscape`] reads and writes `cookies.txt`.
//!
//! Every request of this program is a navigation to a listed URL, so `SameSite` withholds no cookie. There are no scripts
//! that `HttpOnly` could protect cookies from.

mod date;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod jar;
mod netscape;
mod set_cookie;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use url::{Host, Url};

pub(crate) use jar::{CookieJar, MAX_PER_DOMAIN, MAX_PER_JAR, TargetCookies, cookie_field};
pub(crate) use netscape::CookieFile;
pub(crate) use set_cookie::CookieRefusal;

/// The maximum length of a cookie's name and value together, in bytes.
const MAX_BYTES: usize = 4096;

/// The maximum length of an attribute's value in bytes; an attribute with a longer one is ignored.
const MAX_ATTRIBUTE_BYTES: usize = 1024;

/// The maximum lifetime of a cookie that a server sets, in seconds: 400 days.
const LONGEST_LIFE: i64 = 400 * 24 * 3600;

/// One cookie.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Cookie {
    /// May be empty: only the value is sent then.
    name: Vec<u8>,
    value: Vec<u8>,
    /// Lower case, without a leading dot.
    domain: String,
    /// Whether it is sent to the host `domain` only, not to hosts below it.
    host_only: bool,
    path: Vec<u8>,
    secure: bool,
    http_only: bool,
    /// Seconds since 1970; `None`: it does not expire.
    expires: Option<i64>,
    /// Its position in the order in which cookies were first set.
    created: u64,
    /// Its position in the order in which cookies were last set or sent; the same count as `created`.
    used: u64,
}

/// Does not show the name and value: a cookie is a secret.
impl fmt::Debug for Cookie {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Cookie(*** of {})", self.domain)
    }
}

impl Cookie {
    /// Whether `other` replaces it: name, domain, host-only flag and path are the same.
    fn is_replaced_by(&self, other: &Self) -> bool {
        let key = |cookie: &Self| (cookie.domain.len(), cookie.host_only);
        key(self) == key(other)
            && self.name == other.name
            && self.domain == other.domain
            && self.path == other.path
    }

    fn is_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Whether it is sent with the request.
    fn is_for(&self, request: &CookieOrigin<'_>, now: i64) -> bool {
        let is_of_host = match self.host_only {
            true => self.domain == request.host,
            false => domain_matches(&request.host, &self.domain),
        };
        is_of_host
            && path_matches(request.path.as_bytes(), &self.path)
            && (!self.secure || request.is_secure)
            && !self.is_expired(now)
    }

    /// Its size in bytes: the length of its texts.
    fn size(&self) -> usize {
        self.name.len() + self.value.len() + self.domain.len() + self.path.len()
    }
}

/// The parts of a URL that determine its cookies.
#[derive(Debug)]
pub(crate) struct CookieOrigin<'a> {
    /// The host: a name, or an address without brackets.
    host: String,
    is_address: bool,
    path: &'a str,
    /// Whether nobody can read the request on its way: it uses https, or the server is on this machine.
    is_secure: bool,
}

impl<'a> CookieOrigin<'a> {
    /// The parts of this URL; `None` if it has no host.
    pub(crate) fn of(url: &'a Url) -> Option<Self> {
        let (host, is_address, is_local) = match url.host()? {
            Host::Domain(name) => {
                let is_local = name == "localhost" || name.ends_with(".localhost");
                (name.to_owned(), false, is_local)
            }
            Host::Ipv4(address) => (address.to_string(), true, address.is_loopback()),
            Host::Ipv6(address) => (address.to_string(), true, address.is_loopback()),
        };
        let is_secure = is_local || url.scheme() == "https";
        Some(Self { host, is_address, path: url.path(), is_secure })
    }
}

/// A moment as seconds since 1970; 0 if it is earlier.
fn seconds(moment: SystemTime) -> i64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Whether a host name is `domain`, or below it. An address only matches itself.
fn domain_matches(host: &str, domain: &str) -> bool {
    if host == domain {
        return true;
    }
    let is_below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    is_below && host.parse::<std::net::IpAddr>().is_err()
}

/// Whether the path of a request is the path of a cookie, or below it.
fn path_matches(path: &[u8], of_cookie: &[u8]) -> bool {
    path.strip_prefix(of_cookie)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || of_cookie.ends_with(b"/"))
}

/// Whether anybody may register names below this one (<https://publicsuffix.org>), so that no cookie may be set for all
/// of them.
fn is_public_suffix(domain: &str) -> bool {
    // A name with a trailing dot is another host of the same owner.
    let domain = domain.trim_end_matches('.');
    domain.is_empty() || psl2::lookup(domain).is_some_and(|name| name.is_public_suffix())
}

#[cfg(test)]
mod tests;
