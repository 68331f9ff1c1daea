//! Option lines: `key=value`, indented below the entry they are for, in the words of aria2.

use super::field::field;
use crate::record::{Checksum, Options};

const KEYS: [&str; 3] = ["out", "checksum", "header"];

/// Whether an indented line means an option: a word and `=`, a word alone, or a known key with whatever behind it.
/// Anything else is meant to be an address.
pub(super) fn is_option(text: &str) -> bool {
    let (_, rest) = split_key(text);
    rest.is_empty() || rest.starts_with('=') || is_known(text)
}

/// Whether a line begins with a key that is known, and not with an address that looks like one.
pub(super) fn is_known(text: &str) -> bool {
    let (key, rest) = split_key(text);
    KEYS.contains(&key) && !rest.starts_with(['.', '/'])
}

/// The line as it may be shown: the value may be a secret.
pub(super) fn shown(text: &str) -> String {
    format!("{}=…", super::shown::shown(split_key(text).0))
}

/// Adds what one option line asks for.
///
/// # Errors
/// A sentence for the person who wrote it, without secrets.
pub(super) fn add(options: &mut Options, text: &str) -> Result<(), String> {
    let (key, rest) = split_key(text);
    if !KEYS.contains(&key) {
        return Err(format!(
            "unknown option \"{}\"; known are {}",
            super::shown::shown(key),
            KEYS.join(", ")
        ));
    }
    let value = rest.strip_prefix('=').map(str::trim).filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| format!("option {key} has no value; write {key}=VALUE"))?;
    match key {
        "out" => set_once(&mut options.out, key, value.to_owned()),
        "checksum" => set_once(&mut options.checksum, key, checksum(value)?),
        _ => {
            options.headers.push(field(value)?);
            Ok(())
        }
    }
}

fn set_once<T>(place: &mut Option<T>, key: &str, value: T) -> Result<(), String> {
    if place.is_some() {
        return Err(format!("option {key} is given twice; keep one"));
    }
    *place = Some(value);
    Ok(())
}

fn checksum(value: &str) -> Result<Checksum, String> {
    let complaint = || {
        format!(
            "checksum={} is not a checksum; write checksum=sha-256= and 64 hexadecimal digits",
            super::shown::shown(value)
        )
    };
    let (kind, digits) = value.split_once('=').ok_or_else(complaint)?;
    if !kind.trim().eq_ignore_ascii_case("sha-256") {
        return Err(complaint());
    }
    sha256(digits.trim()).map(Checksum::Sha256).ok_or_else(complaint)
}

fn sha256(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

fn split_key(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_alphanumeric() && !"-_".contains(character))
        .unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    (key, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00FF";

    fn read(lines: &[&str]) -> Result<Options, String> {
        let mut options = Options::default();
        lines.iter().try_for_each(|line| add(&mut options, line))?;
        Ok(options)
    }

    #[test]
    fn options_are_told_from_addresses() {
        for text in
            ["out=x", "out = x", "x=http://a.b", "out", "header: X", "checksum", "=x", "out x"]
        {
            assert!(is_option(text), "{text}");
        }
        for text in
            ["example.org", "example.org/x?a=b", "localhost:80", "out.example", "two words", "/x"]
        {
            assert!(!is_option(text), "{text}");
        }
    }

    #[test]
    fn every_known_option_is_read() {
        let digits = format!("checksum=SHA-256={DIGITS}");
        let options =
            read(&["out = a=b ", &digits, "header=X: 1", "header=Referer: http://a.b"]).unwrap();
        assert_eq!(options.out.as_deref(), Some("a=b"));
        let Some(Checksum::Sha256(digest)) = options.checksum else { panic!() };
        assert_eq!(digest, [0, 255].repeat(16)[..]);
        assert_eq!(options.headers.len(), 2);
        assert_eq!(options.headers[1].1, "http://a.b");
    }

    #[test]
    fn a_bad_option_says_what_is_wrong() {
        let table: [(&[&str], &str); 9] = [
            (&["outt=x"], "unknown option \"outt\"; known are out, checksum, header"),
            (&["=x"], "unknown option \"\""),
            (&["out="], "option out has no value; write out=VALUE"),
            (&["header: X: 1"], "option header has no value"),
            (&["out=a", "out=b"], "option out is given twice"),
            (&["checksum=md5=00"], "checksum=md5=00 is not a checksum"),
            (&["checksum=sha-256=00"], "64 hexadecimal digits"),
            (&["checksum=00"], "is not a checksum"),
            (&["header=Host: a.b"], "--connect-to"),
        ];
        for (lines, complaint) in table {
            let message = read(lines).unwrap_err();
            assert!(message.contains(complaint), "{lines:?}: {message}");
        }
        assert!(read(&[&format!("checksum=sha-256={}g", &DIGITS[1..])]).is_err());
    }

    #[test]
    fn a_shown_option_hides_its_value() {
        assert_eq!(shown("header=Authorization: hunter2"), "header=…");
    }
}
