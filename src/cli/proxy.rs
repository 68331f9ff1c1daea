//! Parses `--proxy` and the proxy variables of the environment into a [`Proxy`]. Names, precedence and values of the
//! variables are curl's (curl(1), "ENVIRONMENT"), but a value that cannot be used is an error, never a direct connection.

use std::ffi::OsString;

use url::Url;

use crate::list;
use crate::plan::{Proxy, ProxyUrls};

pub(super) const SCHEMES: [&str; 6] = ["http", "https", "socks5", "socks5h", "socks4", "socks4a"];

/// The port of a proxy whose URL has none, as in curl.
const DEFAULT_PORT: u16 = 1080;

const EXPECTED: &str = "expected http://HOST:PORT";

/// Reads a variable of the environment.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The proxies of a run: those of `--proxy` if it was typed, even if empty; else those of the environment. The hosts of
/// `no_proxy` are excepted from either.
///
/// # Errors
/// The variable that cannot be used, and why, without its value: that may hold a password.
pub(super) fn choose(typed: Option<Option<Url>>, variable: Variable<'_>) -> Result<Proxy, String> {
    let (http, https) = match typed {
        Some(url) => (url.clone(), url),
        None => proxies_of_environment(variable)?,
    };
    if http.is_none() && https.is_none() {
        return Ok(Proxy::Direct);
    }
    Ok(match read_exceptions(variable)? {
        Exceptions::All => Proxy::Direct,
        Exceptions::Hosts(exceptions) => Proxy::Use(ProxyUrls { http, https, exceptions }),
    })
}

/// The proxies for `http` and `https` URLs.
fn proxies_of_environment(variable: Variable<'_>) -> Result<(Option<Url>, Option<Url>), String> {
    // HTTP_PROXY is not read: a CGI server sets it from the header "Proxy" of a request.
    let http = first_set(&["http_proxy", "all_proxy", "ALL_PROXY"], variable)?;
    let https = first_set(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"], variable)?;
    let url = |(name, text): (&'static str, String)| {
        proxy(&text).map_err(|complaint| invalid(name, &complaint))
    };
    Ok((http.map(url).transpose()?.flatten(), https.map(url).transpose()?.flatten()))
}

fn invalid(name: &str, complaint: &str) -> String {
    format!("invalid value of the environment variable {name}: {complaint}")
}

/// The first of these variables that is set and not empty, with its value.
fn first_set(
    names: &[&'static str],
    variable: Variable<'_>,
) -> Result<Option<(&'static str, String)>, String> {
    let set = names.iter().find_map(|name| {
        variable(name).filter(|value| !value.is_empty()).map(|value| (*name, value))
    });
    let Some((name, value)) = set else { return Ok(None) };
    let value = value.into_string().map_err(|_| invalid(name, "not valid UTF-8"))?;
    Ok(Some((name, value)))
}

/// Hosts that no proxy is used for.
enum Exceptions {
    All,
    /// Separated by commas.
    Hosts(String),
}

/// Reads `no_proxy`: names, addresses and networks (CIDR), separated by commas, spaces or tabs. IPv6 addresses may be in
/// brackets. `*` is any host, name or address.
fn read_exceptions(variable: Variable<'_>) -> Result<Exceptions, String> {
    let Some((name, text)) = first_set(&["no_proxy", "NO_PROXY"], variable)? else {
        return Ok(Exceptions::Hosts(String::new()));
    };
    ensure_plain(&text.replace([' ', '\t'], ",")).map_err(|complaint| invalid(name, &complaint))?;
    let hosts = text.split([',', ' ', '\t']).filter(|host| !host.is_empty());
    let hosts: Vec<_> = hosts.map(bare_host).collect();
    if hosts.contains(&"*") {
        return Ok(Exceptions::All);
    }
    Ok(Exceptions::Hosts(hosts.join(",")))
}

fn bare_host(host: &str) -> &str {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).trim_end_matches('.')
}

/// Reads a proxy's URL, `http` if it has no scheme; an empty one means none.
pub(super) fn proxy(text: &str) -> Result<Option<Url>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    ensure_plain(text)?;
    let text = match list::begins_with_a_scheme(text) {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    ensure_the_host_is_no_number(&text)?;
    let mut url = Url::parse(&text).map_err(|error| format!("{error} ({EXPECTED})"))?;
    if !SCHEMES.contains(&url.scheme()) {
        return Err(format!(
            "unsupported proxy scheme '{}' (expected {})",
            url.scheme(),
            SCHEMES.join(", ")
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("missing proxy host ({EXPECTED})"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("unexpected text after the port ({EXPECTED})"));
    }
    if url.port() == Some(0) {
        return Err(format!("invalid port number ({EXPECTED})"));
    }
    if url.scheme() != "https" && !has_port(&text) {
        url.set_port(Some(DEFAULT_PORT)).expect("a URL with a host takes a port");
    }
    Ok(Some(url))
}

/// Rejects whitespace, control characters and quotes, which come from a badly quoted line of a script.
fn ensure_plain(text: &str) -> Result<(), String> {
    let is_quote =
        |character: char| matches!(character, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}');
    let host = authority(text).rsplit('@').next().unwrap_or_default();
    let found = if text.contains(['\r', '\n']) {
        "contains a line break"
    } else if text.contains(char::is_whitespace) {
        "contains a blank"
    } else if text.contains(char::is_control) {
        "contains a control character"
    } else if text.starts_with(is_quote) || text.ends_with(is_quote) || host.contains(is_quote) {
        "contains a quote"
    } else {
        return Ok(());
    };
    Err(found.to_owned())
}

/// Rejects a bare number, which in a URL is an IPv4 address: `-x 16` of aria2 is a number of connections.
fn ensure_the_host_is_no_number(text: &str) -> Result<(), String> {
    let host = authority(text).rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(format!(
        "'{host}' is a number, not a proxy host ({EXPECTED}); for parallel transfers use --jobs, --per-host or --split"
    ))
}

/// User, password, host and port.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether a URL names a port, even the default port of its scheme, which the URL parser drops.
fn has_port(text: &str) -> bool {
    let host = authority(text).rsplit('@').next().unwrap_or_default();
    let rest = host.rsplit(']').next().unwrap_or_default();
    rest.split_once(':').is_some_and(|(_, port)| !port.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(text: &str) -> String {
        proxy(text).unwrap().unwrap().to_string()
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
        assert_eq!(proxy(""), Ok(None));
    }

    #[test]
    fn a_bad_proxy_is_refused_without_its_password() {
        let table = [
            ("ftp://u:hunter2@a.b", "unsupported proxy scheme 'ftp' (expected http, https, socks5"),
            ("http://u:hunter2@a.b:99999", "invalid port number"),
            ("http://u:hunter2@", "empty host"),
            ("socks5://", "missing proxy host"),
            ("http://u:hunter2@a.b:80/x", "after the port"),
            ("u:hunter2@a.b:x", "invalid port number"),
        ];
        for (text, complaint) in table {
            let message = proxy(text).unwrap_err();
            assert!(message.contains(complaint), "{text}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
    fn environment(variables: &[(&str, &str)]) -> Result<Proxy, String> {
        choose(None, &|name| {
            variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into())
        })
    }

    /// The ports of the proxies for `http` and `https`.
    fn ports(variables: &[(&str, &str)]) -> [Option<u16>; 2] {
        match environment(variables).unwrap() {
            Proxy::Direct => [None, None],
            Proxy::Use(proxies) => {
                [proxies.http, proxies.https].map(|url| url.map(|url| url.port().unwrap()))
            }
        }
    }

    #[test]
    fn variables_take_precedence_as_in_curl() {
        for (variables, expected) in [
            (&[][..], [None, None]),
            (&[("http_proxy", "p:1"), ("ALL_PROXY", "p:9")], [Some(1), Some(9)]),
            (&[("http_proxy", ""), ("all_proxy", "p:9")], [Some(9), Some(9)]),
            (&[("HTTP_PROXY", "p:1")], [None, None]),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "p:2")], [None, Some(2)]),
            (&[("HTTPS_PROXY", "p:2"), ("https_proxy", "")], [None, Some(2)]),
            (&[("HTTPS_PROXY", "p:2"), ("https_proxy", "p:3")], [None, Some(3)]),
            (&[("all_proxy", "p:1"), ("ALL_PROXY", "p:2")], [Some(1), Some(1)]),
            (&[("all_proxy", "p:1"), ("NO_PROXY", "*")], [None, None]),
            (&[("all_proxy", "p:1"), ("NO_PROXY", ""), ("no_proxy", "a.b, *")], [None, None]),
        ] {
            assert_eq!(ports(variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn a_variable_that_is_not_needed_is_not_read() {
        assert_eq!(
            ports(&[("http_proxy", "p:1"), ("https_proxy", "p:1"), ("all_proxy", "\"")]),
            [Some(1), Some(1)]
        );
        assert_eq!(environment(&[("no_proxy", "\"")]), Ok(Proxy::Direct));
    }

    #[test]
    fn exceptions_are_separated_by_commas_or_blanks_and_addresses_may_be_in_brackets() {
        let Proxy::Use(proxies) =
            environment(&[("all_proxy", "p:1"), ("no_proxy", " a.b., [::1]\t10.0.0.0/8 ,")])
                .unwrap()
        else {
            panic!("no proxy");
        };
        assert_eq!(proxies.exceptions, "a.b,::1,10.0.0.0/8");
    }
}
