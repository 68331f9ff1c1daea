//! The text of one line -> the URLs it names.

use url::{ParseError, Url};

use super::options;
use super::redact::shown;
use super::scheme::split_scheme;

/// Reads the URLs of an entry, separated by TABs: the target and its mirrors.
///
/// # Errors
/// What is wrong with the first bad one, for the user.
pub(super) fn addresses(text: &str) -> Result<Vec<Url>, String> {
    let fields = || text.split('\t').map(str::trim).filter(|field| !field.is_empty());
    let mut urls = Vec::with_capacity(1);
    for field in fields() {
        let url = address(field).map_err(|reason| match (urls.len(), fields().nth(1)) {
            (0, None) => reason,
            (1.., _) if split_scheme(field).is_none() => {
                format!("mirror {} is not a URL; to name the file use out=NAME", urls.len() + 1)
            }
            (before, _) => format!("mirror {}: {reason}", before + 1),
        });
        urls.push(url.map_err(|reason| format!("invalid URL '{}': {reason}", shown(text)))?);
    }
    if urls.is_empty() {
        return Err("empty URL".to_owned());
    }
    Ok(urls)
}

fn address(text: &str) -> Result<Url, String> {
    let Some((scheme, rest)) = split_scheme(text) else {
        return Err(without_scheme(text));
    };
    if !is_web(scheme) {
        return Err(format!("unsupported scheme '{}' (expected http or https)", shown(scheme)));
    }
    if holds_a_second_address(rest) {
        return Err(
            "two URLs; put each on its own line, or a TAB between mirrors of one file".to_owned()
        );
    }
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') {
        return Err("missing host".to_owned());
    }
    Url::parse(text).map_err(|error| unparsable(error, host))
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// Whether another URL follows after a space, as in a list with several URLs on one line.
fn holds_a_second_address(rest: &str) -> bool {
    rest.split(' ').skip(1).any(|word| split_scheme(word).is_some_and(|(scheme, _)| is_web(scheme)))
}

fn without_scheme(text: &str) -> String {
    if let Some((scheme, rest)) = text.split_once(':')
        && is_web(scheme)
    {
        let rest = rest.trim_start_matches('/');
        return format!(
            "missing '//' after '{scheme}:'{}",
            did_you_mean(&format!("{scheme}://{rest}"))
        );
    }
    if options::is_known(text) {
        return "option line; indent it to apply it to the URL above".to_owned();
    }
    format!("missing scheme{}", did_you_mean(&format!("https://{text}")))
}

/// A guess that is a URL and, as far as can be seen, holds no password.
fn did_you_mean(guess: &str) -> String {
    if guess.contains([' ', '@']) || Url::parse(guess).is_err() {
        return " (expected https://HOST/PATH)".to_owned();
    }
    format!("; did you mean {}?", shown(guess))
}

fn unparsable(error: ParseError, host: &str) -> String {
    match error {
        ParseError::InvalidPort => "invalid port (expected 1-65535)".to_owned(),
        ParseError::EmptyHost => "missing host".to_owned(),
        _ if host.contains(' ') => "space in host name; put one URL per line".to_owned(),
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

    fn one(text: &str) -> String {
        let urls = addresses(text).unwrap();
        assert_eq!(urls.len(), 1);
        urls[0].to_string()
    }

    #[test]
    fn web_addresses_are_read_as_browsers_read_them() {
        assert_eq!(one("https://example.org"), "https://example.org/");
        assert_eq!(one("HTTP://Example.ORG:80/a#b"), "http://example.org/a#b");
        assert_eq!(one("https://bücher.example/"), "https://xn--bcher-kva.example/");
        assert_eq!(one("http://a.b/two words?q=1 2"), "http://a.b/two%20words?q=1%202");
        assert_eq!(one("http://u:p@a.b/"), "http://u:p@a.b/");
        assert_eq!(one("http://[::1]:8080/"), "http://[::1]:8080/");
    }

    #[test]
    fn mirrors_are_separated_by_tabs() {
        let urls = addresses("http://a.b/x\t\t http://c.d/x\t").unwrap();
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
        ];
        for (text, message) in table {
            assert_eq!(addresses(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn pieces_of_a_password_are_not_quoted() {
        for text in ["http://u:hunter2/x@a.b", "http://u:hunter2\t@a.b/", "http://u:1hunter2?@a b/"]
        {
            let message = addresses(text).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
