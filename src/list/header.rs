//! Parses a header field as it is typed. No message contains its value, which may be a secret.

use http::header::{self, HeaderName, HeaderValue};

use crate::redaction::redacted_line;

/// Fields that frame a message or belong to a single connection (RFC 9110 section 7.6.1).
const FRAMING: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Fields whose values are left out of debug output.
const SECRET: [HeaderName; 3] =
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// The maximum number of header fields for all requests, and for one host. No server accepts that many; and together with
/// those of a URL, whose options have at most 64 KiB, they are within the limit of the HTTP library.
pub(crate) const MAX_FIELDS: usize = 8000;

/// Parses a request header field, `Name: value`, or `Name;` for one with an empty value, as curl does.
///
/// # Errors
/// A message for the user, without the value.
pub(crate) fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = split(text)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| invalid_name(name))?;
    ensure_may_be_set(&name)?;
    let mut value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| format!("the value of {name} contains a control character"))?;
    value.set_sensitive(SECRET.contains(&name));
    Ok((name, value))
}

/// The message about an invalid name. If a `:` is missing, the value may be in it: text with other characters than names is
/// left out, and so is all that follows the first word.
fn invalid_name(name: &str) -> String {
    let is_shown =
        name.chars().all(|character| character.is_alphanumeric() || " -_".contains(character));
    let shown = match name.trim().split_once(' ') {
        _ if !is_shown => String::new(),
        Some((first, _)) => format!(" \"{} …\"", redacted_line(first)),
        None => format!(" {:?}", redacted_line(name)),
    };
    format!("invalid header name{shown} (expected 'Name: value')")
}

fn split(text: &str) -> Result<(&str, &str), String> {
    let Some((name, value)) = text.split_once(':') else {
        return match text.trim_end().strip_suffix(';') {
            Some(name) => Ok((name, "")),
            None => Err("invalid header: missing colon (expected 'Name: value')".to_owned()),
        };
    };
    match value.trim() {
        "" => Err("invalid header: empty value (use 'Name;' to send an empty value)".to_owned()),
        value => Ok((name, value)),
    }
}

fn ensure_may_be_set(name: &HeaderName) -> Result<(), String> {
    if name == header::HOST {
        return Err("Host cannot be overridden; use --connect-to or --resolve".to_owned());
    }
    if FRAMING.contains(name) {
        return Err(format!("{name} cannot be overridden"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String) {
        let (name, value) = field(text).unwrap();
        (name.to_string(), String::from_utf8(value.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn a_field_is_a_name_and_a_value() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("Accept: text/html"), pair("accept", "text/html"));
        assert_eq!(read("X-Time:12:30"), pair("x-time", "12:30"));
        assert_eq!(read(" X-Word :  grün "), pair("x-word", "grün"));
        assert_eq!(read("X-Nothing;"), pair("x-nothing", ""));
    }

    #[test]
    fn a_field_that_cannot_be_read_is_refused_without_its_value() {
        let complaints = [
            ("Accept", "missing colon"),
            ("Accept:", "'Name;'"),
            ("", "missing colon"),
            (": hunter2", "invalid header name"),
            ("my name: hunter2", "invalid header name \"my …\""),
            ("Authorization Basic hunter2:x", "invalid header name \"Authorization …\""),
            ("@file: hunter2", "invalid header name"),
            ("X: hunter2\r\nY: 1", "the value of x contains a control character"),
            ("X: hunter2\0", "the value of x contains a control character"),
        ];
        for (text, complaint) in complaints {
            let message = field(text).unwrap_err();
            assert!(message.contains(complaint), "{text}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_field_that_would_break_the_connection_is_refused() {
        for name in ["Content-Length", "transfer-encoding", "Connection", "TE", "Upgrade"] {
            let message = field(&format!("{name}: 1")).unwrap_err();
            assert!(message.contains("cannot be overridden"), "{message}");
        }
        assert!(field("Host: a.b").unwrap_err().contains("--connect-to"));
    }

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let (_, value) = field("Authorization: Bearer hunter2").unwrap();
        assert!(!format!("{value:?}").contains("hunter2"));
    }
}
