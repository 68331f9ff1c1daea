//! `cookies.txt`, the Netscape file format that curl, wget and browser extensions read and write: one cookie per line,
//! seven fields separated by tabs. A line that begins with `#HttpOnly_` is a cookie, any other with `#` a comment.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::SystemTime;

use super::{Cookie, CookieJar, MAX_BYTES, is_public_suffix, seconds, set_cookie::keeps_promise};

/// The header of a file. Some readers require the first line.
const HEAD: &[u8] = b"# Netscape HTTP Cookie File\n\
    # Written by fetch. Keep it secret: these cookies may log in whoever has them.\n\n";

const HTTP_ONLY: &[u8] = b"#HttpOnly_";

/// The result of reading a file.
#[derive(Debug, Default)]
pub(crate) struct CookieFile {
    /// The number of cookies in the file.
    pub cookies: usize,
    /// The number of cookies that were removed because there were too many.
    pub left_out: usize,
    /// The first line with a cookie for all hosts below a public suffix; it is kept for the host of that name only.
    pub for_suffix: Option<usize>,
    /// Invalid lines, with their numbers from 1.
    pub errors: Vec<(usize, CookieFileError)>,
}

/// Why a line is not a cookie. `Display` does not quote the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CookieFileError {
    /// It does not have 7 fields, but this number.
    Fields(usize),
    /// One of its fields is invalid.
    Field(&'static str),
    /// It is a header field.
    Header,
    /// The file is JSON.
    Json,
}

impl fmt::Display for CookieFileError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields(fields) => {
                write!(to, "not a cookie: 7 fields separated by tabs are expected, not {fields}")
            }
            Self::Field(field) => write!(to, "not a cookie: invalid {field}"),
            Self::Header => to.write_str(
                "a Set-Cookie header says not for which host it is; use the format of cookies.txt",
            ),
            Self::Json => to.write_str("it is JSON; export cookies in the format of cookies.txt"),
        }
    }
}

impl CookieJar {
    /// Adds the cookies of a file, which replace those with the same name, domain and path. An expired one only removes the
    /// cookie that it replaces.
    pub(crate) fn read(&mut self, text: &[u8], now: SystemTime) -> CookieFile {
        let mut file = CookieFile::default();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if is_json(text) {
            file.errors.push((1, CookieFileError::Json));
            return file;
        }
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            match parse(line.strip_suffix(b"\r").unwrap_or(line)) {
                Ok(None) => {}
                Ok(Some(cookie)) => {
                    file.cookies += 1;
                    if cookie.host_only && is_for_all(line) {
                        file.for_suffix.get_or_insert(number + 1);
                    }
                    file.left_out += self.insert(cookie, seconds(now));
                }
                Err(error) => file.errors.push((number + 1, error)),
            }
        }
        file
    }

    /// The text of a file with all cookies that have not expired.
    pub(crate) fn to_file(&self, now: SystemTime) -> Vec<u8> {
        let mut text = HEAD.to_vec();
        for cookie in self.sorted(now) {
            write(cookie, &mut text);
        }
        text
    }
}

/// Whether the line marks its cookie as valid for all hosts below its domain.
fn is_for_all(line: &[u8]) -> bool {
    line.split(|byte| *byte == b'\t').nth(1).and_then(flag) == Some(true)
}

/// Whether a text begins like a JSON object or an array of them. A `[` alone may begin an IPv6 address.
fn is_json(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    text.strip_prefix(b"[").unwrap_or(text).trim_ascii_start().starts_with(b"{")
}

/// Parses a line; `None` if it is empty or a comment.
fn parse(line: &[u8]) -> Result<Option<Cookie>, CookieFileError> {
    let (line, http_only) = match line.strip_prefix(HTTP_ONLY) {
        Some(line) => (line, true),
        None => (line, false),
    };
    if line.trim_ascii().is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    if line.get(..11).is_some_and(|start| start.eq_ignore_ascii_case(b"set-cookie:")) {
        return Err(CookieFileError::Header);
    }
    let fields: Vec<_> = line.split(|byte| *byte == b'\t').collect();
    let (fields, value) = match fields[..] {
        [a, b, c, d, e, name] => ([a, b, c, d, e, name], &b""[..]),
        [a, b, c, d, e, name, value] => ([a, b, c, d, e, name], value),
        _ => return Err(CookieFileError::Fields(fields.len())),
    };
    let [domain, is_for_all, path, secure, expires, name] = fields;
    cookie([domain, path, name, value], [is_for_all, secure], expires, http_only)
        .map(Some)
        .map_err(CookieFileError::Field)
}

fn cookie(
    [domain, path, name, value]: [&[u8]; 4],
    [is_for_all, secure]: [&[u8]; 2],
    expires: &[u8],
    http_only: bool,
) -> Result<Cookie, &'static str> {
    let domain = domain.strip_prefix(b".").unwrap_or(domain);
    let domain = str::from_utf8(domain).ok().map(host_of).filter(|domain| is_host(domain));
    let domain = domain.ok_or("domain")?.to_ascii_lowercase();
    let is_for_all = flag(is_for_all).ok_or("second field (TRUE or FALSE)")?;
    let host_only = !is_for_all || is_public_suffix(&domain);
    if !path.starts_with(b"/") {
        return Err("path");
    }
    let is_text = |text: &[u8]| !text.iter().any(u8::is_ascii_control);
    if name.is_empty() && value.is_empty() || !is_text(name) || !is_text(value) || !is_text(path) {
        return Err("name or value");
    }
    if name.len() + value.len() > MAX_BYTES {
        return Err("value (more than 4096 bytes)");
    }
    let cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain,
        host_only,
        path: path.to_owned(),
        secure: flag(secure).ok_or("fourth field (TRUE or FALSE)")?,
        http_only,
        expires: expiry(expires).ok_or("expiry time")?,
        created: 0,
        used: 0,
    };
    if keeps_promise(&cookie, true) { Ok(cookie) } else { Err("name (its prefix promises more)") }
}

/// The host without the port that wget writes, and without the brackets of an IPv6 address.
fn host_of(domain: &str) -> &str {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let host = match domain.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => domain,
    };
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// Whether a text may be a host: an address, or a name that survives being written and read again.
fn is_host(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_graphic() && !b"#:[]".contains(&byte);
    let is_name = text.bytes().all(is_of_name) && !text.starts_with('.');
    (1..=255).contains(&text.len()) && (is_name || text.parse::<Ipv6Addr>().is_ok())
}

fn flag(text: &[u8]) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case(b"TRUE") => Some(true),
        _ if text.eq_ignore_ascii_case(b"FALSE") => Some(false),
        _ => None,
    }
}

/// Parses the expiry time; zero and below mean that the cookie does not expire. Some browsers write fractions of a second,
/// or -1. `None` if it is not a number.
fn expiry(text: &[u8]) -> Option<Option<i64>> {
    let text = str::from_utf8(text).ok()?;
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let seconds = whole.parse::<i128>().ok()?;
    let seconds = seconds.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    Some(Some(seconds).filter(|seconds| *seconds > 0))
}

fn write(cookie: &Cookie, text: &mut Vec<u8>) {
    let flag = |is_set: bool| if is_set { &b"TRUE"[..] } else { b"FALSE" };
    if cookie.http_only {
        text.extend_from_slice(HTTP_ONLY);
    }
    if !cookie.host_only {
        text.push(b'.');
    }
    let expires = cookie.expires.unwrap_or(0).to_string();
    let fields = [
        cookie.domain.as_bytes(),
        flag(!cookie.host_only),
        &cookie.path,
        flag(cookie.secure),
        expires.as_bytes(),
        &cookie.name,
        &cookie.value,
    ];
    text.extend_from_slice(&fields.join(&b'\t'));
    text.push(b'\n');
}
