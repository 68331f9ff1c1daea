//! `--proxy` -> whom to ask instead of the origin. What it says of a bad one never quotes it: it may hold a password.

use url::Url;

use crate::list;
use crate::plan::Proxy;

const SCHEMES: [&str; 5] = ["http", "https", "socks5", "socks5h", "socks4"];

/// The port of a proxy whose URL has none, as in curl.
const PORT: u16 = 1080;

/// Reads a proxy's URL, `http` if it has no scheme; an empty one means none, whatever the environment says.
pub(super) fn proxy(text: &str) -> Result<Proxy, String> {
    let text = match text.trim() {
        "" => return Ok(Proxy::Direct),
        text if list::begins_with_a_scheme(text) => text.to_owned(),
        text => format!("http://{text}"),
    };
    let mut url = Url::parse(&text).map_err(|error| format!("{error}; write http://HOST:PORT"))?;
    if !SCHEMES.contains(&url.scheme()) {
        return Err(format!("scheme \"{}\"; use {}", url.scheme(), SCHEMES.join(", ")));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("no host; write http://HOST:PORT".to_owned());
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("something after the port; write http://HOST:PORT".to_owned());
    }
    if url.scheme() != "https" && !has_port(&text) {
        url.set_port(Some(PORT)).expect("a URL with a host takes a port");
    }
    Ok(Proxy::Use(url))
}

/// Whether a port is written out, also one that the URL parser drops as the scheme's own.
fn has_port(text: &str) -> bool {
    let authority = text.trim_end_matches('/').rsplit(['/', '@']).next().unwrap_or_default();
    authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(text: &str) -> String {
        match proxy(text) {
            Ok(Proxy::Use(url)) => url.to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_proxy_has_the_scheme_and_port_that_curl_would_give_it() {
        assert_eq!(used("proxy.example:3128"), "http://proxy.example:3128/");
        assert_eq!(used("proxy.example"), "http://proxy.example:1080/");
        assert_eq!(used("http://u:p@proxy.example:80/"), "http://u:p@proxy.example/");
        assert_eq!(used("https://proxy.example"), "https://proxy.example/");
        assert_eq!(used("socks5h://[::1]"), "socks5h://[::1]:1080");
        assert_eq!(used("socks4://127.0.0.1:9050"), "socks4://127.0.0.1:9050");
        assert_eq!(used("SOCKS5://127.0.0.1:9050"), "socks5://127.0.0.1:9050");
    }

    #[test]
    fn an_empty_proxy_means_none() {
        assert_eq!(proxy(""), Ok(Proxy::Direct));
    }

    #[test]
    fn a_bad_proxy_is_refused_without_its_password() {
        let table = [
            ("ftp://u:hunter2@a.b", "scheme \"ftp\"; use http, https, socks5"),
            ("http://u:hunter2@a.b:99999", "invalid port number"),
            ("http://u:hunter2@", "empty host"),
            ("socks5://", "no host"),
            ("http://u:hunter2@a.b:80/x", "after the port"),
            ("u:hunter2@a.b:x", "invalid port number"),
        ];
        for (text, complaint) in table {
            let message = proxy(text).unwrap_err();
            assert!(message.contains(complaint), "{text}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
