//! Parses the URLs of a line.

use std::net::Ipv6Addr;

use url::{ParseError, Url};

use super::options;
use super::other_formats::names_urls;
use super::scheme::split_scheme;
use super::wrapping::{
    Surrounded, find_surrounded, is_delimiter, is_invisible, is_plain, trimmed, unwrapped,
};
use crate::redaction::redacted_line;

/// Parses the URLs of an entry, separated by TABs: the target and its mirrors. Quotes or angle brackets around the whole
/// entry, or around one of its URLs, are removed.
///
/// # Errors
/// A message for the user about the first invalid URL.
pub(super) fn parse_urls(text: &str) -> Result<Vec<Url>, String> {
    if is_plain(text)
        && let Ok(url) = parse_url(text, BesideUrl::Nothing)
    {
        return Ok(vec![url]);
    }
    let fields =
        || unwrapped(trimmed(text)).split('\t').map(trimmed).filter(|field| !field.is_empty());
    let mut urls = Vec::with_capacity(1);
    for field in fields() {
        let url = parse_url(unwrapped(field), BesideUrl::Unchecked).map_err(|reason| {
            match (urls.len(), fields().nth(1)) {
                (0, None) => reason,
                (1.., _) if field.starts_with('#') => COMMENT_AFTER_URL.to_owned(),
                (1.., _) if split_scheme(field).is_none() && find_surrounded(field).is_none() => {
                    format!("mirror {} is not a URL; to name the file use out=NAME", urls.len() + 1)
                }
                (before, _) => format!("mirror {}: {reason}", before + 1),
            }
        });
        urls.push(
            url.map_err(|reason| format!("invalid URL '{}': {reason}", redacted_line(text)))?,
        );
    }
    if urls.is_empty() {
        return Err("empty URL".to_owned());
    }
    Ok(urls)
}

/// What is beside a URL on its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BesideUrl {
    /// Nothing that would be sent as a part of it.
    Nothing,
    /// That was not checked yet.
    Unchecked,
}

fn parse_url(text: &str, beside: BesideUrl) -> Result<Url, String> {
    let Some((scheme, rest)) = split_scheme(text) else {
        return Err(explain_missing_scheme(text));
    };
    if !is_web(scheme) {
        return Err(unsupported_scheme(scheme));
    }
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'));
    let authority = &rest[..end.unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') {
        return Err("missing host".to_owned());
    }
    if beside == BesideUrl::Unchecked && !is_plain(rest) {
        ensure_nothing_beside(rest, host)?;
    }
    ensure_plausible_end(rest)?;
    let url = Url::parse(text).map_err(explain_parse_error)?;
    if url.host_str().is_some_and(|host| host.bytes().any(is_invalid_in_host)) {
        return Err("invalid host".to_owned());
    }
    Ok(url)
}

const COMMENT_AFTER_URL: &str = "comment after the URL; put it on a line of its own";

/// Whether no host name contains this character, although the parser accepts it.
fn is_invalid_in_host(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'\'' | b'`' | b',' | b';' | b'!' | b'$' | b'&' | b'(' | b')' | b'*' | b'{' | b'}'
    )
}

fn unsupported_scheme(scheme: &str) -> String {
    format!("unsupported scheme '{}' (expected http or https)", redacted_line(scheme))
}

/// Ensures that the URL does not end with a character that is unlikely to belong to it.
fn ensure_plausible_end(rest: &str) -> Result<(), String> {
    match rest.chars().next_back() {
        Some(last) if is_delimiter(last) => {
            Err(format!("quote or bracket {last} after the URL; remove it"))
        }
        Some(last @ (',' | ';')) => {
            let code = u32::from(last);
            Err(format!(
                "'{last}' after the URL; remove it, or write %{code:02X} if it belongs to the URL"
            ))
        }
        _ => Ok(()),
    }
}

/// Ensures that nothing is beside the URL on its line: it would be sent as a part of the URL.
fn ensure_nothing_beside(rest: &str, host: &str) -> Result<(), String> {
    if contains_second_url(rest) {
        return Err(
            "two URLs; put each on its own line, or a TAB between mirrors of one file".to_owned()
        );
    }
    if let Some(character) = rest.chars().find(|character| is_invisible(*character)) {
        return Err(format!("invisible character U+{:04X}; remove it", u32::from(character)));
    }
    if let Some((_, behind)) = rest.split_once(char::is_whitespace) {
        return Err(if behind.trim_start().starts_with('#') {
            COMMENT_AFTER_URL.to_owned()
        } else if host.contains(char::is_whitespace) {
            "space in host name; put one URL per line".to_owned()
        } else {
            "space in the URL; write it as %20, or name the file with out=NAME on an indented line below".to_owned()
        });
    }
    Ok(())
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// Whether another URL follows after a space, quote or invisible character: several URLs may be on one line.
fn contains_second_url(rest: &str) -> bool {
    let is_separator = |character: char| {
        character.is_whitespace() || is_invisible(character) || is_delimiter(character)
    };
    rest.split(is_separator)
        .skip(1)
        .any(|word| split_scheme(word).is_some_and(|(scheme, _)| is_web(scheme)))
}

/// Schemes that are written without `//`, and `file`.
const OTHER_SCHEMES: [&str; 16] = [
    "about",
    "blob",
    "data",
    "file",
    "ftp",
    "geo",
    "javascript",
    "magnet",
    "mailto",
    "news",
    "sip",
    "sms",
    "tel",
    "urn",
    "view-source",
    "xmpp",
];

/// The message about a text that does not begin with `SCHEME://`.
fn explain_missing_scheme(text: &str) -> String {
    if is_header(text) && names_urls(text) {
        return "name of a column; remove the line".to_owned();
    }
    if options::is_known(text) {
        return "option line; indent it to apply it to the URL above".to_owned();
    }
    if let Some((scheme, _)) = text.split_once(':')
        && OTHER_SCHEMES.contains(&scheme.to_ascii_lowercase().as_str())
    {
        return unsupported_scheme(scheme);
    }
    let (may_hold_a_password, host) = (text.contains('@'), first_host(text));
    if !is_host(host)
        && let Some(Surrounded { kind, url }) = find_surrounded(text)
    {
        let advice = if may_hold_a_password || Url::parse(url).is_err() {
            String::new()
        } else {
            format!(": {}", redacted_line(url))
        };
        return format!("{kind}; write only the URL{advice}");
    }
    let advice = meant_url(text)
        .map_or(" (expected https://HOST/PATH)".to_owned(), |url| format!("; did you mean {url}?"));
    match broken_separator(text) {
        Some((scheme, separator, _)) if separator.starts_with(':') => {
            format!("missing '//' after '{scheme}:'{advice}")
        }
        Some((scheme, ..)) => format!("missing '://' after '{scheme}'{advice}"),
        None => format!("missing scheme{advice}"),
    }
}

/// Whether a line may be the header of a list: one word, or two like a title.
fn is_header(text: &str) -> bool {
    let mut words = text.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(_), None, _) => true,
        (Some(first), Some(_), None) => first.starts_with(char::is_uppercase),
        _ => false,
    }
}

/// The URL that was meant by a text without `scheme://`; `None` if that is in doubt.
pub(super) fn meant_url(text: &str) -> Option<String> {
    let (scheme, rest) = match broken_separator(text) {
        Some((scheme, _, rest)) => (scheme, rest),
        None => ("https", text.strip_prefix("//").unwrap_or(text)),
    };
    suggest(&format!("{scheme}://{rest}"), rest)
}

/// Splits a URL with a mistyped `://`: `http` or `https`, what was typed instead of `://`, and the rest.
fn broken_separator(text: &str) -> Option<(&str, &str, &str)> {
    let end = text.find(|character: char| !character.is_ascii_alphanumeric())?;
    let (scheme, behind) = text.split_at(end);
    let rest = behind.trim_start_matches([':', '/', '\\', ';', '.', '\u{ff1a}', '\u{ff0f}']);
    let separator = &behind[..behind.len() - rest.len()];
    let is_meant = separator.chars().any(|character| character != '.');
    (is_web(scheme) && is_meant).then_some((scheme, separator, rest))
}

/// `url` as a suggestion, if it is a URL without an apparent password. `rest` is its part from the host on.
fn suggest(url: &str, rest: &str) -> Option<String> {
    let is_whole = !url.contains(|character: char| {
        character == '@'
            || character.is_whitespace()
            || is_delimiter(character)
            || is_invisible(character)
    }) && !url.ends_with([',', ';']);
    (is_whole && names_a_host(rest) && Url::parse(url).is_ok()).then(|| redacted_line(url))
}

/// Whether a text begins with what looks like a host.
pub(super) fn names_a_host(text: &str) -> bool {
    is_host(first_host(text))
}

fn first_host(text: &str) -> &str {
    text.split(['/', '?', '#', '\\']).next().unwrap_or_default()
}

/// Extensions of files: a name that ends with one of them is not a host.
const FILE_EXTENSIONS: [&str; 20] = [
    "asp", "css", "csv", "gif", "gz", "htm", "html", "jpeg", "jpg", "js", "json", "list", "pdf",
    "php", "png", "svg", "tar", "txt", "xml", "zip",
];

/// Whether a text looks like a host with or without a port: a name with a dot, `localhost`, or an IPv6 address.
fn is_host(text: &str) -> bool {
    if let Some((address, _)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let (name, port) = text.split_once(':').unwrap_or((text, "1"));
    let labels = || name.split('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || "-_".contains(c))
    };
    let is_name = labels().count() > 1
        && labels().all(is_label)
        && labels()
            .next_back()
            .is_some_and(|last| !FILE_EXTENSIONS.contains(&last.to_ascii_lowercase().as_str()));
    (is_name || name.eq_ignore_ascii_case("localhost")) && port.parse::<u16>().is_ok()
}

fn explain_parse_error(error: ParseError) -> String {
    match error {
        ParseError::InvalidPort => "invalid port (expected 1-65535)".to_owned(),
        ParseError::EmptyHost => "missing host".to_owned(),
        ParseError::IdnaError
        | ParseError::InvalidDomainCharacter
        | ParseError::InvalidIpv4Address
        | ParseError::InvalidIpv6Address => "invalid host".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_one(text: &str) -> String {
        let urls = parse_urls(text).unwrap();
        assert_eq!(urls.len(), 1);
        urls[0].to_string()
    }

    #[test]
    fn web_addresses_are_read_as_browsers_read_them() {
        assert_eq!(parse_one("https://example.org"), "https://example.org/");
        assert_eq!(parse_one("HTTP://Example.ORG:80/a#b"), "http://example.org/a#b");
        assert_eq!(parse_one("https://bücher.example/"), "https://xn--bcher-kva.example/");
        assert_eq!(parse_one("http://a.b/Inc.(x)'"), "http://a.b/Inc.(x)'");
        assert_eq!(parse_one("http://u:p@a.b/"), "http://u:p@a.b/");
        assert_eq!(parse_one("http://[::1]:8080/"), "http://[::1]:8080/");
    }

    #[test]
    fn mirrors_are_separated_by_tabs() {
        let urls = parse_urls("http://a.b/x\t\t http://c.d/x\t").unwrap();
        assert_eq!(
            urls.iter().map(Url::as_str).collect::<Vec<_>>(),
            ["http://a.b/x", "http://c.d/x"]
        );
    }

    #[test]
    fn each_way_to_be_wrong_has_its_own_sentence() {
        let table = [
            (
                "htp://a.b",
                "invalid URL 'htp://a.b': unsupported scheme 'htp' (expected http or https)",
            ),
            (
                "ftp://u:p@a.b",
                "invalid URL 'ftp://***@a.b': unsupported scheme 'ftp' (expected http or https)",
            ),
            (
                "example.org/x",
                "invalid URL 'example.org/x': missing scheme; did you mean https://example.org/x?",
            ),
            (
                "localhost:80/x",
                "invalid URL 'localhost:80/x': missing scheme; did you mean https://localhost:80/x?",
            ),
            ("some words", "invalid URL 'some words': missing scheme (expected https://HOST/PATH)"),
            (
                "http:a.b/x",
                "invalid URL 'http:a.b/x': missing '//' after 'http:'; did you mean http://a.b/x?",
            ),
            (
                "http:/a.b",
                "invalid URL 'http:/a.b': missing '//' after 'http:'; did you mean http://a.b?",
            ),
            ("http://", "invalid URL 'http://': missing host"),
            ("http:///a.b", "invalid URL 'http:///a.b': missing host"),
            ("http://:80/", "invalid URL 'http://:80/': missing host"),
            ("http://u@/x", "invalid URL 'http://***@/x': missing host"),
            (
                "http://a.b:99999/",
                "invalid URL 'http://a.b:99999/': invalid port (expected 1-65535)",
            ),
            (
                "http://a b.c/",
                "invalid URL 'http://a b.c/': space in host name; put one URL per line",
            ),
            (
                "http://a.b/ http://c.d/",
                "invalid URL 'http://a.b/ http://c.d/': two URLs; put each on its own line, or a TAB between \
                 mirrors of one file",
            ),
            ("http://300.1.1.1/", "invalid URL 'http://300.1.1.1/': invalid host"),
            ("out=x", "invalid URL 'out=x': option line; indent it to apply it to the URL above"),
            (
                "http://a.b\tftp://c.d",
                "invalid URL 'http://a.b ftp://c.d': mirror 2: unsupported scheme 'ftp' (expected http or https)",
            ),
            (
                "http://a.b\tname.html",
                "invalid URL 'http://a.b name.html': mirror 2 is not a URL; to name the file use out=NAME",
            ),
            (" ", "empty URL"),
            ("\"\"", "empty URL"),
            (
                "http:\\\\a.b/x",
                "invalid URL 'http:\\\\a.b/x': missing '//' after 'http:'; did you mean http://a.b/x?",
            ),
            (
                "http//a.b/x",
                "invalid URL 'http//a.b/x': missing '://' after 'http'; did you mean http://a.b/x?",
            ),
            ("//a.b/x", "invalid URL '//a.b/x': missing scheme; did you mean https://a.b/x?"),
            (
                "mailto:a@b",
                "invalid URL 'mailto:a@b': unsupported scheme 'mailto' (expected http or https)",
            ),
            ("/a.b/x", "invalid URL '/a.b/x': missing scheme (expected https://HOST/PATH)"),
            ("index.html", "invalid URL 'index.html': missing scheme (expected https://HOST/PATH)"),
            (
                "a.b/?u=http://c.d/",
                "invalid URL 'a.b/?u=http://c.d/': missing scheme; did you mean https://a.b/?u=http://c.d/?",
            ),
            ("http://\"a.b\"/", "invalid URL 'http://\"a.b\"/': invalid host"),
        ];
        for (text, message) in table {
            assert_eq!(parse_urls(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn pieces_of_a_password_are_not_quoted() {
        for text in [
            "mailto:u:hunter2@a.b",
            "x=http://u:hunter2\"@a.b",
            "http//u:hunter2@a.b",
            "//u:hunter2@a.b",
        ] {
            let message = parse_urls(text).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
        }
        for text in ["http://u:hunter2/x@a.b", "http://u:hunter2\t@a.b/", "http://u:1hunter2?@a b/"]
        {
            let message = parse_urls(text).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
