//! The keys of an index of archives: SURT, the form of a URL that sorts by domain, as the Internet Archive's tools make it
//! (the Python package `surt`, with its default canonicalization). Pure.
//!
//! URLs of one page have one key: the host from its end on, without `www`, then the path and the sorted query, all in lower
//! case, unescaped as often as possible and escaped once. Userinfo, fragments, default ports and session IDs are left out.

use std::borrow::Cow;

use memchr::memchr;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

/// Returns what follows a session ID that a text begins with; `None` if it begins with none.
type SessionParser = fn(&[u8]) -> Option<&[u8]>;

/// The ASCII characters that are escaped in keys.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'%');

/// Appends the key of a URL. Text that is no URL is its own key, in lower case.
pub(super) fn push_key(line: &mut Vec<u8>, url: &str) {
    let start = line.len();
    match url.split_once("://") {
        Some((scheme, rest)) => push_parts(line, scheme, rest),
        None => line.extend(url.as_bytes()),
    }
    line[start..].make_ascii_lowercase();
}

fn push_parts(line: &mut Vec<u8>, scheme: &str, rest: &str) {
    let rest = rest.split('#').next().unwrap_or(rest);
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = before.split_at(before.find('/').unwrap_or(before.len()));
    push_authority(line, scheme, authority);
    line.push(b')');
    line.extend(canonical_path(path));
    let query = canonical_query(query);
    if !query.is_empty() {
        line.push(b'?');
        line.extend(query);
    }
}

fn push_authority(line: &mut Vec<u8>, scheme: &str, authority: &str) {
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (address, ""),
    };
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ipv6) => line.extend(ipv6.as_bytes()),
        None => {
            let host = unescaped(host).to_ascii_lowercase();
            let host = String::from_utf8_lossy(&host).replace("..", ".");
            let host = escaped(without_www(host.trim_matches('.')).as_bytes()).into_owned();
            join(line, b',', host.rsplit('.').map(str::as_bytes));
        }
    }
    if !matches!((scheme, port), (_, "") | ("http", "80") | ("https", "443")) {
        line.push(b':');
        line.extend(port.as_bytes());
    }
}

/// The host without `www.`, `www1.` and so on.
fn without_www(host: &str) -> &str {
    let Some(rest) = host.strip_prefix("www") else { return host };
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    rest.strip_prefix('.').unwrap_or(host)
}

/// The path without empty segments, dot segments and session IDs, and without a slash at its end unless it is just that.
fn canonical_path(path: &str) -> Vec<u8> {
    let path = unescaped(path);
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/').skip(1) {
        match segment {
            b"." => {}
            b".." if !segments.is_empty() => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut path = Vec::with_capacity(path.len() + 1);
    path.push(b'/');
    join(&mut path, b'/', segments.into_iter().filter(|segment| !segment.is_empty()));
    let mut path = escaped(&path).to_ascii_lowercase().into_bytes();
    for session in [session_of_letters, session_of_digits] {
        path = without_path_session(path, session);
    }
    path
}

/// The path without the session ID of ASP.NET, a segment somewhere before `.aspx`.
fn without_path_session(path: Vec<u8>, session: SessionParser) -> Vec<u8> {
    let slashes = (0..path.len()).rev().filter(|at| path[*at] == b'/');
    let found = slashes.map(|at| at + 1).find_map(|at| {
        let rest = session(&path[at..])?;
        let name = rest.split(|byte| *byte == b'?').next().unwrap_or(rest);
        let is_page = name.windows(5).skip(1).any(|window| window == b".aspx");
        is_page.then(|| [&path[..at], rest].concat())
    });
    found.unwrap_or(path)
}

/// What follows a segment like `(s(0123456789abcdefghijklmn))/`.
fn session_of_letters(path: &[u8]) -> Option<&[u8]> {
    let mut rest = path.strip_prefix(b"(")?;
    let mut count = 0;
    while let Some((first, id)) = rest.split_first()
        && first.is_ascii_alphabetic()
    {
        rest = session_id(id)?;
        count += 1;
    }
    rest.strip_prefix(b")/").filter(|_| count > 0)
}

/// What follows a segment like `(0123456789abcdefghijklmn)/`.
fn session_of_digits(path: &[u8]) -> Option<&[u8]> {
    session_id(path)?.strip_prefix(b"/")
}

/// What follows 24 letters and digits in parentheses.
fn session_id(text: &[u8]) -> Option<&[u8]> {
    let (id, rest) = text.strip_prefix(b"(")?.split_at_checked(24)?;
    rest.strip_prefix(b")").filter(|_| id.iter().all(u8::is_ascii_alphanumeric))
}

/// The query without session IDs, its parameters sorted by name and value.
fn canonical_query(query: &str) -> Vec<u8> {
    let mut query = escaped(&unescaped(query)).to_ascii_lowercase().into_bytes();
    let sessions: [SessionParser; 5] = [
        |text| parameter(text, b"jsessionid=", 32),
        |text| parameter(text, b"phpsessid=", 32),
        |text| parameter(text, b"sid=", 32),
        asp_session,
        coldfusion_session,
    ];
    for session in sessions {
        query = without_query_session(query, session);
    }
    let mut parameters: Vec<_> = query.split(|byte| *byte == b'&').collect();
    parameters.sort_by_key(|parameter| {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=');
        (parts.next(), parts.next())
    });
    let mut sorted = Vec::with_capacity(query.len());
    join(&mut sorted, b'&', parameters);
    sorted
}

/// The query without the last session ID that a parameter ends with.
fn without_query_session(query: Vec<u8>, session: SessionParser) -> Vec<u8> {
    let found = (0..query.len()).rev().find_map(|at| match session(&query[at..])? {
        b"" => Some(query[..at].to_vec()),
        rest => Some([&query[..at], rest.strip_prefix(b"&")?].concat()),
    });
    found.unwrap_or(query)
}

/// What follows a parameter with this name and a value of `length` letters and digits.
fn parameter<'a>(text: &'a [u8], name: &[u8], length: usize) -> Option<&'a [u8]> {
    let (value, rest) = text.strip_prefix(name)?.split_at_checked(length)?;
    value.iter().all(u8::is_ascii_alphanumeric).then_some(rest)
}

/// What follows a parameter of ASP: `aspsessionid`, eight letters, `=` and 24 letters.
fn asp_session(text: &[u8]) -> Option<&[u8]> {
    let (name, rest) = text.strip_prefix(b"aspsessionid")?.split_at_checked(8)?;
    let (value, rest) = rest.strip_prefix(b"=")?.split_at_checked(24)?;
    name.iter().chain(value).all(u8::is_ascii_alphabetic).then_some(rest)
}

/// What follows two parameters of ColdFusion: `cfid=...&cftoken=...`.
fn coldfusion_session(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"cfid=")?;
    let (id, rest) = rest.split_at(memchr(b'&', rest)?);
    let rest = rest.strip_prefix(b"&cftoken=")?;
    let end = memchr(b'&', rest).unwrap_or(rest.len());
    (!id.is_empty() && end > 0).then(|| &rest[end..])
}

/// The text without percent-encoding, also if it was encoded repeatedly. Escapes never overlap, so each can be decoded as
/// soon as it is complete: in one pass, however often a hostile URL was encoded.
fn unescaped(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut decoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        decoded.push(byte);
        while let Some(escape @ [b'%', digits @ ..]) = decoded.last_chunk::<3>()
            && digits.iter().all(u8::is_ascii_hexdigit)
            && let Some(byte) = percent_decode(escape).next()
        {
            decoded.truncate(decoded.len() - 3);
            decoded.push(byte);
        }
    }
    Cow::Owned(decoded)
}

fn escaped(text: &[u8]) -> Cow<'_, str> {
    percent_encode(text, ESCAPED).into()
}

/// Appends parts with `separator` between them.
fn join<'a>(line: &mut Vec<u8>, separator: u8, parts: impl IntoIterator<Item = &'a [u8]>) {
    for (at, part) in parts.into_iter().enumerate() {
        line.extend((at > 0).then_some(separator));
        line.extend(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(url: &str) -> String {
        let mut line = Vec::new();
        push_key(&mut line, url);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_key_is_the_same_for_urls_of_one_page() {
        for (uri, key) in [
            ("http://example.org/", "org,example)/"),
            ("https://www.example.org/A/B/?b=2&a=1", "org,example)/a/b?a=1&b=2"),
            ("http://www2.example.co.uk:8080/x", "uk,co,example:8080)/x"),
            ("http://127.0.0.1:81/x?", "1,0,0,127:81)/x"),
            ("http://[::1]:81/x", "::1:81)/x"),
            ("http://a.b/x//y/?B=1&a=2&b=0", "b,a)/x/y?a=2&b=0&b=1"),
            ("https://a.b:443/?", "b,a)/"),
            ("https://a.b/?", "b,a)/"),
            ("http://a.b/|?`={|}^[\\]", "b,a)/|?`={|}^[\\]"),
            ("http://a.b/x%20y?a&b=", "b,a)/x%20y?a&b="),
            ("http://www.com/", "com)/"),
        ] {
            assert_eq!(key_of(uri), key, "{uri}");
        }
    }

    #[test]
    fn a_url_that_was_encoded_many_times_is_decoded_in_one_pass() {
        let url = format!("http://a.b/%{}41?%%32%35{}", "25".repeat(1_000_000), "%2535".repeat(3));
        assert_eq!(key_of(&url), "b,a)/a?u5");
    }

    /// What the package `surt` 0.3.1 makes of these URLs.
    #[test]
    fn keys_are_those_that_readers_of_archives_look_up() {
        for (uri, key) in [
            ("http://a.b/a/%7Euser/%c3%a4/%20x/%2F/b", "b,a)/a/~user/%c3%a4/%20x/b"),
            ("http://a.b/?utm_source=1&Z=%41%5a", "b,a)/?utm_source=1&z=az"),
            ("http://a.b/?x=%2B+%20y&z=[1]", "b,a)/?x=++%20y&z=[1]"),
            ("http://a.b/a/%zz/%25/%2525", "b,a)/a/%25zz/%25/%25"),
            ("http://a.b/|b^c`{d}%22e", "b,a)/|b^c`{d}\"e"),
            ("http://a.b/?q=%27%22%3C%3E|^`{}\\", "b,a)/?q='\"<>|^`{}\\"),
            ("http://example.com./x/9", "com,example)/x/9"),
            ("http://example..com/", "com,example)/"),
            ("http://a.b/x?url=http%3A%2F%2Fc.d%2F%3Fe%3Df%26g", "b,a)/x?g&url=http://c.d/?e=f"),
            ("http://a.b/%2e%2e/x/%2E/y/../z/", "b,a)/../x/z"),
            ("http://a.b/x/%3Fy", "b,a)/x/?y"),
            ("http://a.b/x%23y#z", "b,a)/x%23y"),
            ("http://user:secret@a.b:80/x", "b,a)/x"),
            ("https://a.b:80/x", "b,a:80)/x"),
            ("http://a.b/x/(S(0123456789abcdefghijklmn))/y.aspx?z", "b,a)/x/y.aspx?z"),
            ("http://a.b/x/(0123456789abcdefghijklmn)/y.aspx", "b,a)/x/y.aspx"),
            (
                "http://a.b/x/(0123456789abcdefghijklmn)/y.html",
                "b,a)/x/(0123456789abcdefghijklmn)/y.html",
            ),
            (
                "http://a.b/x/(a(0123456789abcdefghijklmn)b(0123456789abcdefghijklmn))/c/y.aspx",
                "b,a)/x/c/y.aspx",
            ),
            ("http://a.b/?a=1&sid=0123456789abcdef0123456789abcdef", "b,a)/?&a=1"),
            ("http://a.b/?sid=0123456789abcdef0123456789abcdef&a=1", "b,a)/?a=1"),
            ("http://a.b/?JSESSIONID=0123456789abcdef0123456789abcdef", "b,a)/"),
            (
                "http://a.b/?PHPSESSID=0123456789abcdef0123456789abcdef&phpsessid=0123456789abcdef0123456789abcdef&b",
                "b,a)/?phpsesb",
            ),
            (
                "http://a.b/?sid=0123456789abcdef0123456789abcdef0",
                "b,a)/?sid=0123456789abcdef0123456789abcdef0",
            ),
            ("http://a.b/?ASPSESSIONIDABCDEFGH=ABCDEFGHIJKLMNOPQRSTUVWX&a", "b,a)/?a"),
            ("http://a.b/?z=1&cfid=1&cftoken=2&a=3", "b,a)/?a=3&z=1"),
            ("http://a.b/?a-b=1&a=2&a&a=", "b,a)/?a&a=&a=2&a-b=1"),
            ("http://a.b/?&&a", "b,a)/?&&a"),
            ("http://a.b/%FF?%FF=%00", "b,a)/%ff?%ff=%00"),
            ("http://xn--bcher-kva.de/B%C3%BCcher", "de,xn--bcher-kva)/b%c3%bccher"),
            ("http://a.b", "b,a)/"),
            ("http://a.b?x", "b,a)/?x"),
        ] {
            assert_eq!(key_of(uri), key, "{uri}");
        }
    }
}
