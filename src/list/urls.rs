//! The text of one line -> the URLs it names.

use url::{ParseError, Url};

use super::options;
use super::redact::shown;
use super::scheme::split_scheme;

/// Why a text is not a web address, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
struct UrlError {
    why: String,
    advice: String,
}

impl UrlError {
    fn new(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { why: why.into(), advice: advice.into() }
    }
}

/// Reads the addresses of one file, separated by TAB; empty ones are passed over.
///
/// # Errors
/// A sentence about the first that is bad.
pub(super) fn addresses(text: &str) -> Result<Vec<Url>, String> {
    let fields = || text.split('\t').map(str::trim).filter(|field| !field.is_empty());
    let mut urls = Vec::with_capacity(1);
    for field in fields() {
        // The whole text is quoted: what belongs to one address may, by a stray TAB, stand in two fields.
        urls.push(address(field).map_err(|UrlError { why, advice }| {
            let place = match fields().nth(1) {
                Some(_) => format!("mirror {} in ", urls.len() + 1),
                None => String::new(),
            };
            format!("{place}\"{}\" is not a web address ({why}); {advice}", shown(text))
        })?);
    }
    if urls.is_empty() {
        return Err("an empty text is not a web address; write https://HOST/PATH".to_owned());
    }
    Ok(urls)
}

fn address(text: &str) -> Result<Url, UrlError> {
    let Some((scheme, rest)) = split_scheme(text) else {
        return Err(without_scheme(text));
    };
    if !is_web(scheme) {
        return Err(UrlError::new(format!("scheme \"{}\"", shown(scheme)), "use http or https"));
    }
    if holds_a_second_address(rest) {
        return Err(UrlError::new(
            "a second address after a space",
            "give each its own line, or a TAB between two mirrors of one file",
        ));
    }
    // The URL standard would pass over missing parts ("http:///a.b" is "http://a.b" to it); in a list they are slips.
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') {
        return Err(UrlError::new("no host", "write https://HOST/PATH"));
    }
    Url::parse(text).map_err(|error| unparsable(error, host))
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

fn holds_a_second_address(rest: &str) -> bool {
    rest.split(' ').skip(1).any(|word| split_scheme(word).is_some_and(|(scheme, _)| is_web(scheme)))
}

fn without_scheme(text: &str) -> UrlError {
    if let Some((scheme, _)) = text.split_once(':')
        && is_web(scheme)
    {
        return UrlError::new(format!("no \"//\" after \"{scheme}:\""), "write https://HOST/PATH");
    }
    if options::is_known(text) {
        return UrlError::new("an option line", "indent it to give it to the URL above");
    }
    let likely = format!("https://{text}");
    let parses = !text.contains([' ', '@']) && Url::parse(&likely).is_ok();
    let advice = if parses { shown(&likely) } else { "https://HOST/PATH".to_owned() };
    UrlError::new("no scheme", format!("write {advice}"))
}

/// Neither the host nor the port is quoted: where a text does not parse, they may be pieces of a password.
fn unparsable(error: ParseError, host: &str) -> UrlError {
    match error {
        ParseError::InvalidPort => UrlError::new("bad port", "use a port from 1 to 65535"),
        ParseError::EmptyHost => UrlError::new("no host", "write https://HOST/PATH"),
        _ if host.contains(' ') => {
            UrlError::new("a space in the host", "give each URL its own line")
        }
        ParseError::IdnaError
        | ParseError::InvalidDomainCharacter
        | ParseError::InvalidIpv4Address
        | ParseError::InvalidIpv6Address => {
            UrlError::new("bad host", "write a host name or an address, [...] around IPv6")
        }
        other => UrlError::new(other.to_string(), "write https://HOST/PATH"),
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
            ("htp://a.b", r#""htp://a.b" is not a web address (scheme "htp"); use http or https"#),
            (
                "ftp://u:p@a.b",
                r#""ftp://***@a.b" is not a web address (scheme "ftp"); use http or https"#,
            ),
            (
                "example.org/x",
                r#""example.org/x" is not a web address (no scheme); write https://example.org/x"#,
            ),
            (
                "localhost:80/x",
                r#""localhost:80/x" is not a web address (no scheme); write https://localhost:80/x"#,
            ),
            (
                "some words",
                r#""some words" is not a web address (no scheme); write https://HOST/PATH"#,
            ),
            (
                "http:a.b/x",
                r#""http:a.b/x" is not a web address (no "//" after "http:"); write https://HOST/PATH"#,
            ),
            ("http://", r#""http://" is not a web address (no host); write https://HOST/PATH"#),
            (
                "http:///a.b",
                r#""http:///a.b" is not a web address (no host); write https://HOST/PATH"#,
            ),
            (
                "http://:80/",
                r#""http://:80/" is not a web address (no host); write https://HOST/PATH"#,
            ),
            (
                "http://u@/x",
                r#""http://***@/x" is not a web address (no host); write https://HOST/PATH"#,
            ),
            (
                "http://a.b:99999/",
                r#""http://a.b:99999/" is not a web address (bad port); use a port from 1 to 65535"#,
            ),
            (
                "http://a b.c/",
                r#""http://a b.c/" is not a web address (a space in the host); give each URL its own line"#,
            ),
            (
                "http://a.b/ http://c.d/",
                r#""http://a.b/ http://c.d/" is not a web address (a second address after a space); give each its own line, or a TAB between two mirrors of one file"#,
            ),
            (
                "http://300.1.1.1/",
                r#""http://300.1.1.1/" is not a web address (bad host); write a host name or an address, [...] around IPv6"#,
            ),
            (
                "out=x",
                r#""out=x" is not a web address (an option line); indent it to give it to the URL above"#,
            ),
            (
                "http://a.b\tftp://c.d",
                r#"mirror 2 in "http://a.b ftp://c.d" is not a web address (scheme "ftp"); use http or https"#,
            ),
            (" ", "an empty text is not a web address; write https://HOST/PATH"),
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
