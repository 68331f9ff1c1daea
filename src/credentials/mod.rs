//! Credentials: which Authorization a request sends, and the users and passwords of netrc files. Pure.

mod netrc;
#[cfg(test)]
mod netrc_cases;

use data_encoding::BASE64;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use url::Url;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use netrc::fuzzing;
pub(crate) use netrc::{Netrc, ParsedNetrc};

/// The netrc file, and the precedence of the Authorization fields that options give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Whether the Authorization for all requests takes precedence over that of a host.
    pub precedence: GeneralAuthorization,
    /// The content of the netrc file; `None` if none is used.
    pub(crate) netrc: Option<Netrc>,
}

/// The precedence of the Authorization for all requests relative to that of a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GeneralAuthorization {
    /// It takes precedence: it was given for this run.
    #[default]
    OverHosts,
    /// That of the host takes precedence: both are in the configuration file.
    UnderHosts,
}

type Fields = [(HeaderName, HeaderValue)];

impl Credentials {
    /// The Authorization of a request to `url`, which is at a listed origin. `listed` are the fields from the list, `general`
    /// those for all requests, `of_host` those for its host. The first source that has one is used: the user in the URL, the
    /// list, all requests, the host (or the host before all requests, see [`GeneralAuthorization`]), the netrc file. If a
    /// source has several, the last one is used.
    ///
    /// `None` if no source has one, or if the URL has a password: the HTTP library then makes the field from the URL.
    pub(crate) fn authorization(
        &self,
        url: &Url,
        listed: &Fields,
        general: &Fields,
        of_host: &Fields,
    ) -> Option<HeaderValue> {
        if !url.username().is_empty() || url.password().is_some() {
            return self.authorization_of_user(url);
        }
        let (first, second) = match self.precedence {
            GeneralAuthorization::OverHosts => (general, of_host),
            GeneralAuthorization::UnderHosts => (of_host, general),
        };
        let given = [listed, first, second].into_iter().find_map(last_authorization);
        given.or_else(|| {
            let (user, password) = self.netrc.as_ref()?.user_at(host(url)?)?;
            Some(basic(user, password))
        })
    }

    /// The Authorization of a URL with a user but no password, if the netrc file has the password; otherwise `None`.
    fn authorization_of_user(&self, url: &Url) -> Option<HeaderValue> {
        if url.password().is_some() {
            return None;
        }
        let user: Vec<u8> = percent_decode_str(url.username()).collect();
        let password = self.netrc.as_ref()?.password_at(host(url)?, &user)?;
        Some(basic(&user, password))
    }
}

fn last_authorization(fields: &Fields) -> Option<HeaderValue> {
    let last = fields.iter().rfind(|(name, _)| *name == AUTHORIZATION);
    last.map(|(_, value)| value.clone())
}

/// The host of a URL as netrc files write it: an IPv6 address without brackets.
fn host(url: &Url) -> Option<&str> {
    url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']'))
}

/// The value of an Authorization field with the Basic scheme (RFC 7617).
pub(crate) fn basic(user: &[u8], password: &[u8]) -> HeaderValue {
    let text = BASE64.encode(&[user, b":", password].concat());
    let mut value = HeaderValue::try_from(format!("Basic {text}")).expect("it is ASCII");
    value.set_sensitive(true);
    value
}

/// Parses `USER[:PASSWORD]` into the user and, if given, the password.
///
/// # Errors
/// A message for the user, without secrets.
pub(crate) fn parse_user(text: &str) -> Result<(&str, Option<&str>), String> {
    if text.is_empty() {
        return Err("expected USER or USER:PASSWORD".to_owned());
    }
    if text.contains(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    Ok(match text.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    })
}

#[cfg(test)]
mod tests {
    use super::netrc_cases::{CASES, CurlResult, REFUSED};
    use super::*;

    fn fields(value: &str) -> Vec<(HeaderName, HeaderValue)> {
        let values = Some(value).filter(|value| !value.is_empty());
        values.map(|value| (AUTHORIZATION, value.parse().unwrap())).into_iter().collect()
    }

    fn with_netrc(text: &str) -> Credentials {
        let netrc = Some(Netrc::parse(text.as_bytes()).unwrap().netrc);
        Credentials { netrc, ..Credentials::default() }
    }

    #[test]
    fn what_is_more_specific_counts_more() {
        let mut credentials = with_netrc("machine a.test login n password n");
        let mut choose = |url: &str, given: [&str; 3], precedence| {
            credentials.precedence = precedence;
            let [listed, general, of_host] = given.map(fields);
            let url = url.parse().unwrap();
            let value = credentials.authorization(&url, &listed, &general, &of_host);
            value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
        };
        use GeneralAuthorization::*;
        assert!(choose("http://u:p@a.test/", ["list", "all", "host"], OverHosts).is_empty());
        assert!(choose("http://u@a.test/", ["list", "all", "host"], OverHosts).is_empty());
        for precedence in [OverHosts, UnderHosts] {
            let mut of = |given| choose("http://a.test/", given, precedence);
            assert_eq!(of(["list", "all", "host"]), "list");
            assert_eq!(of(["", "all", ""]), "all");
            assert_eq!(of(["", "", "host"]), "host");
            assert_eq!(of(["", "", ""]), "Basic bjpu");
        }
        assert_eq!(choose("http://a.test/", ["", "all", "host"], OverHosts), "all");
        assert_eq!(choose("http://a.test/", ["", "all", "host"], UnderHosts), "host");
        assert_eq!(choose("http://n@a.test/", ["list", "all", ""], OverHosts), "Basic bjpu");
        assert!(choose("http://b.test/", [""; 3], OverHosts).is_empty());
    }

    #[test]
    fn of_several_the_last_one_counts() {
        let all = [fields("first"), fields("last")].concat();
        let url = "http://a.test/".parse().unwrap();
        for given in [[&all[..], &[], &[]], [&[], &all, &[]], [&[], &[], &all]] {
            let [listed, general, of_host] = given;
            let value = Credentials::default().authorization(&url, listed, general, of_host);
            assert_eq!(value.unwrap(), "last");
        }
    }

    #[test]
    fn what_a_netrc_file_gives_is_sent() {
        for case in CASES {
            let url = case.url.parse().unwrap();
            let value = with_netrc(case.file).authorization(&url, &[], &[], &[]);
            let in_url = || format!("{}:{}", url.username(), url.password().unwrap_or_default());
            let sent = match &value {
                Some(value) => {
                    let text = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
                    Some(String::from_utf8(BASE64.decode(text.as_bytes()).unwrap()).unwrap())
                }
                // The HTTP library makes it.
                None => Some(in_url()).filter(|text| text != ":"),
            };
            assert_eq!(sent.as_deref(), case.sent, "{} with {:?}", case.url, case.file);
            assert!(case.curl.is_none_or(|(result, reason)| {
                result != CurlResult::Sends(case.sent) && !reason.is_empty()
            }));
        }
        for (file, line, curl, reason) in REFUSED {
            let complaint = Netrc::parse(file.as_bytes()).unwrap_err().to_string();
            assert!(complaint.starts_with(&format!("{line}: ")), "{file:?}: {complaint}");
            assert!(*curl == CurlResult::Fails || !reason.is_empty());
        }
        assert!(CASES.len() + REFUSED.len() >= 60);
    }

    #[test]
    fn a_user_is_typed_with_or_without_a_password() {
        assert_eq!(parse_user("u:p:q"), Ok(("u", Some("p:q"))));
        assert_eq!(parse_user("u:"), Ok(("u", Some(""))));
        assert_eq!(parse_user("u"), Ok(("u", None)));
        assert!(parse_user("").is_err() && parse_user("u:p\n").is_err());
    }

    #[test]
    fn no_secret_is_in_debug_output() {
        let shown = format!("{:?}", with_netrc("machine a.test login u password hunter2"));
        assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
        assert!(!format!("{:?}", basic(b"u", b"p")).contains("Basic"));
    }
}
