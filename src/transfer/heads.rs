//! Formats the heads of a request and of its reply as `-vv` prints them, secrets masked: `> ` before lines of the request, `< `
//! before those of the reply.

use std::borrow::Cow;

use reqwest::Response;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, RANGE, REFERER, USER_AGENT,
};
use url::{Position, Url};

use super::context::TransferContext;
use super::request;
use crate::model::{Failure, RequestMethod};
use crate::redaction::{MASK, redacted_field, redacted_text};

/// The message for a head that exceeds [`MAX_HEAD_BYTES`].
pub(super) const TOO_LARGE: &str = "response headers larger than 256 KiB";

/// The maximum size of the field lines of a reply, bytes. For HTTP/2 the library has the same limit.
const MAX_HEAD_BYTES: usize = 256 * 1024;

/// Further fields of a request whose values are not secret, beside [`request::HARMLESS`]. Any other field that the user gives
/// may be secret, whatever its name.
const HARMLESS_IN_REQUESTS: [HeaderName; 5] =
    [IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, REFERER];

/// Words in the name of a field that mark its value as secret.
const SECRET_WORDS: [&str; 9] =
    ["auth", "cookie", "credential", "key", "passw", "secret", "session", "sign", "token"];

/// Names of fields that contain one of [`SECRET_WORDS`] but whose values are not secret.
const HARMLESS_NAMES: [&str; 3] = ["authority", "proxy-authenticate", "www-authenticate"];

/// The head of the request for `url` with these fields, and with those that the library adds if they are missing.
pub(super) fn of_request(
    context: &TransferContext,
    method: RequestMethod,
    url: &Url,
    fields: &HeaderMap,
) -> Vec<String> {
    let target = redacted_field(&url[Position::BeforePath..Position::AfterQuery]);
    let mut head = vec![
        format!("> {method} {target}"),
        format!("> host: {}", &url[Position::BeforeHost..Position::AfterPort]),
    ];
    let has_user = !url.username().is_empty() || url.password().is_some();
    let any_type = HeaderValue::from_static("*/*");
    let masked = HeaderValue::from_static(MASK);
    let added = [
        (USER_AGENT, Some(&context.config.http.user_agent)),
        (ACCEPT, Some(&any_type)),
        (AUTHORIZATION, Some(&masked).filter(|_| has_user)),
    ];
    for (name, value) in added {
        let value = value.filter(|_| !fields.contains_key(&name));
        head.extend(value.map(|value| format_request_field(&name, value)));
    }
    head.extend(fields.iter().map(|(name, value)| format_request_field(name, value)));
    head
}

fn format_request_field(name: &HeaderName, value: &HeaderValue) -> String {
    match is_harmless_in_request(name) {
        true => format_field("> ", name.as_str(), value),
        false => format!("> {name}: {MASK}"),
    }
}

/// Whether the value of a request field of this name is not secret.
pub(super) fn is_harmless_in_request(name: &HeaderName) -> bool {
    request::HARMLESS.contains(name) || HARMLESS_IN_REQUESTS.contains(name)
}

/// Fails if the head of a reply is larger than [`MAX_HEAD_BYTES`].
///
/// # Errors
/// [`Failure::Protocol`].
pub(super) fn ensure_size_allowed(fields: &HeaderMap) -> Result<(), Failure> {
    let line_length = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + ": ".len() + value.len() + "\r\n".len()
    };
    match fields.iter().map(line_length).sum::<usize>() > MAX_HEAD_BYTES {
        true => Err(Failure::Protocol(TOO_LARGE.to_owned())),
        false => Ok(()),
    }
}

/// The head of a reply.
pub(super) fn of_reply(response: &Response) -> Vec<String> {
    let status = response.status();
    let reason = status.canonical_reason().map_or(String::new(), |reason| format!(" {reason}"));
    let (version, code) = (response.version(), status.as_u16());
    let mut head = vec![format!("< {version:?} {code}{reason}")];
    let fields = response.headers().iter();
    head.extend(fields.map(|(name, value)| format_field("< ", name.as_str(), value)));
    head
}

/// A line of a head, `direction` first, secrets masked.
fn format_field(direction: &str, name: &str, value: &HeaderValue) -> String {
    let value = String::from_utf8_lossy(value.as_bytes());
    let value = match name {
        _ if is_secret(name) => Cow::Borrowed(MASK),
        "location" | "content-location" => redacted_field(&value),
        _ => redacted_text(&value),
    };
    format!("{direction}{name}: {value}")
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !HARMLESS_NAMES.contains(&&*name) && SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_are() {
        let shown = |name: &str, value: &str| format_field("< ", name, &value.parse().unwrap());
        for name in ["Authorization", "set-cookie", "cookie", "Proxy-Authorization", "x-api-key"] {
            assert_eq!(shown(name, "hunter2"), format!("< {name}: ***"));
        }
        let sent = |name| format_request_field(&name, &HeaderValue::from_static("1"));
        assert_eq!(sent(HeaderName::from_static("x-odd")), "> x-odd: ***");
        assert_eq!(sent(RANGE), "> range: 1");
        for (name, value, expected) in [
            ("www-authenticate", "Basic realm=\"a\"", "Basic realm=\"a\""),
            ("etag", "\"a?b\"", "\"a?b\""),
            ("location", "https://u:hunter2@a.b/x", "https://u:***@a.b/x"),
            (
                "location",
                "https://a.b/x?id=7&X-Amz-Signature=abc&sig=def&x=1",
                "https://a.b/x?id=7&X-Amz-Signature=***&sig=***&x=1",
            ),
            ("location", "/next?access_token=a'bc&page=2", "/next?access_token=***&page=2"),
            ("link", "<https://a.b/?token=abc>; rel=next", "<https://a.b/?token=***>; rel=next"),
            ("content-type", "text/html; charset=utf-8", "text/html; charset=utf-8"),
        ] {
            assert_eq!(shown(name, value), format!("< {name}: {expected}"));
        }
    }
}
