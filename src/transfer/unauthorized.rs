//! Explains a 401: why the server may have refused the request, from the schemes that it offers (RFC 9110 section 11.6.1) and
//! the credentials that it got.

use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

/// The maximum number of schemes that a message names.
const MAX_SCHEMES: usize = 3;

/// The maximum length of a scheme that a message names, in bytes; registered ones are shorter.
const MAX_SCHEME_BYTES: usize = 20;

/// The credentials that a request had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentCredentials {
    /// A user and a password.
    Basic,
    /// Those of another scheme, given as a header.
    Other,
    /// None: none were given.
    None,
    /// None: a redirect led to another origin than the listed one.
    NotAfterRedirect,
    /// None: those of the host are only sent over https.
    NotOverHttp,
}

impl SentCredentials {
    /// The kind of credentials in an Authorization field.
    pub(super) fn of(authorization: &HeaderValue) -> Self {
        let scheme = authorization.as_bytes().get(..6);
        match scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic ")) {
            true => Self::Basic,
            false => Self::Other,
        }
    }
}

/// Why a request with the credentials `sent` was refused by a reply with the fields `reply`, and what to do about it.
pub(super) fn reason(reply: &HeaderMap, sent: SentCredentials) -> String {
    let schemes = offered_schemes(reply);
    let takes_basic =
        schemes.is_empty() || schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
    match sent {
        SentCredentials::Other => "the server does not accept the Authorization header".to_owned(),
        SentCredentials::NotAfterRedirect => {
            "no credentials are sent to another origin after a redirect; list this URL".to_owned()
        }
        SentCredentials::NotOverHttp => {
            "the credentials of its [hosts] section are only sent over https".to_owned()
        }
        SentCredentials::Basic | SentCredentials::None if !takes_basic => {
            let schemes = schemes.join(" or ");
            format!(
                "the server requires {schemes}, users are sent as Basic; other schemes need --header 'Authorization: ...'"
            )
        }
        SentCredentials::Basic => "the server does not accept the user and password".to_owned(),
        SentCredentials::None => "use --user or --netrc".to_owned(),
    }
}

/// The names of the first schemes that a reply offers.
fn offered_schemes(reply: &HeaderMap) -> Vec<&str> {
    let lines = reply.get_all(WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok());
    let parts = lines.flat_map(|line| line.split(','));
    let words = parts.filter_map(|part| part.split_whitespace().next());
    let is_scheme = |word: &&str| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        word.len() <= MAX_SCHEME_BYTES && word.bytes().all(is_name)
    };
    words.filter(is_scheme).take(MAX_SCHEMES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_what_the_server_offers_and_what_it_got() {
        use SentCredentials::*;
        for (offered, sent, expected) in [
            (&["Basic realm=\"a\""][..], None, "use --user or --netrc"),
            (&[], None, "use --user or --netrc"),
            (&["basic realm=\"a\""], Basic, "the server does not accept the user and password"),
            (&["Digest realm=\"a, b\", qop=auth", "Basic"], None, "use --user or --netrc"),
            (
                &["Digest realm=\"a, b\", qop=\"auth, x\""],
                Basic,
                "the server requires Digest, users",
            ),
            (&["Negotiate", "NTLM"], None, "the server requires Negotiate or NTLM, users"),
            (&["Bearer"], Other, "the server does not accept the Authorization header"),
            (&["Basic"], NotAfterRedirect, "no credentials are sent to another origin"),
            (&["Basic"], NotOverHttp, "the credentials of its [hosts] section are only sent over"),
        ] {
            let fields = offered.iter().map(|value| (WWW_AUTHENTICATE, value.parse().unwrap()));
            let reason = reason(&fields.collect(), sent);
            assert!(reason.starts_with(expected), "{offered:?} {sent:?}: {reason}");
        }
        let of = |value: &str| SentCredentials::of(&value.parse().unwrap());
        assert_eq!((of("basic YTpi"), of("Bearer x"), of("Basic")), (Basic, Other, Other));
    }
}
