//! Option lines: `key=value`, indented below a URL, with the names that aria2 uses.

use super::header::field;
use crate::digest::{Digest, ParseDigestError};
use crate::model::{CarriedColumns, EntryOptions};
use crate::redaction::redacted_line;

const KEYS: [&str; 5] = ["out", "checksum", "header", "id", "carry"];

/// What to use in place of options of aria2 that are no options of an entry.
const ARIA2_KEYS: [(&str, &str); 14] = [
    ("all-proxy", "use --proxy"),
    ("continue", "always on with --dir"),
    ("dir", "use --dir, or a path in out="),
    ("gid", "remove the line"),
    ("http-proxy", "use --proxy"),
    ("https-proxy", "use --proxy"),
    ("max-connection-per-server", "use --per-host"),
    ("max-download-limit", "use --limit-rate"),
    ("max-tries", "use --retry"),
    ("min-split-size", "use --min-split-size"),
    ("pause", "remove the line"),
    ("referer", "use header=Referer: URL"),
    ("split", "use --split"),
    ("user-agent", "use header=User-Agent: NAME"),
];

/// Separators of path components on any system.
pub(super) const SEPARATORS: [char; 2] = ['/', '\\'];

/// Whether an indented line is meant as an option: a word and `=`, only a word, or a known key and anything after it.
/// Any other line is meant as a URL.
pub(super) fn is_option(text: &str) -> bool {
    let (_, rest) = split_key(text);
    rest.is_empty() || rest.starts_with('=') || is_known(text)
}

/// Whether a line begins with a known key, and not with a host such as `out.example`.
pub(super) fn is_known(text: &str) -> bool {
    let (key, rest) = split_key(text);
    KEYS.contains(&key) && !rest.starts_with(['.', '/'])
}

/// The line without its value, which may be a secret.
pub(super) fn shown(text: &str) -> String {
    format!("{}=…", redacted_line(split_key(text).0))
}

/// Adds an option line.
///
/// # Errors
/// A message for the user, without secrets.
pub(super) fn add(options: &mut EntryOptions, text: &str) -> Result<(), String> {
    let (key, rest) = split_key(text);
    if !KEYS.contains(&key) {
        let known = ARIA2_KEYS.iter().find(|(name, _)| *name == key);
        let advice = known.map_or_else(
            || format!("expected {}", KEYS.join(", ")),
            |(_, advice)| (*advice).to_owned(),
        );
        return Err(format!("unknown option '{}' ({advice})", redacted_line(key)));
    }
    let value = rest.strip_prefix('=').map(str::trim).filter(|value| !value.is_empty());
    let value =
        value.ok_or_else(|| format!("option '{key}' has no value (expected {key}=VALUE)"))?;
    match key {
        "out" => set_once(&mut options.out, key, name(value)?),
        "checksum" => set_once(&mut options.checksum, key, checksum(value)?),
        "id" => set_once(&mut options.id, key, value.into()),
        "carry" => set_once(&mut options.carried, key, carried(value)?),
        _ => {
            options.headers.push(field(value)?);
            Ok(())
        }
    }
}

fn set_once<T>(place: &mut Option<T>, key: &str, value: T) -> Result<(), String> {
    if place.is_some() {
        return Err(format!("duplicate option '{key}'"));
    }
    *place = Some(value);
    Ok(())
}

/// A path below `--dir`. Both separators count on every system, since lists are copied between systems.
pub(super) fn name(value: &str) -> Result<String, String> {
    let (first, last) = (value.split(SEPARATORS).next(), value.rsplit(SEPARATORS).next());
    let is_absolute = first == Some("") || begins_with_a_drive(value);
    let climbs = value.split(SEPARATORS).any(|component| component == "..");
    let is_directory = matches!(last, Some("" | "."));
    if !(is_absolute || climbs || is_directory) {
        return Ok(value.to_owned());
    }
    let shown = redacted_line(value);
    Err(format!("invalid out={shown}: expected a relative path inside --dir, e.g. docs/page.html"))
}

/// `C:/` or `C:\`, as on Windows.
fn begins_with_a_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic())
}

pub(super) fn checksum(value: &str) -> Result<Digest, String> {
    value.parse().map_err(|complaint: ParseDigestError| {
        format!("invalid checksum {}: {complaint}", redacted_line(value))
    })
}

/// The columns that a row had.
fn carried(value: &str) -> Result<CarriedColumns, String> {
    let columns = CarriedColumns::parse(value);
    columns.ok_or_else(|| "invalid carry, expected a JSON object of at most 32 KiB".to_owned())
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
    use crate::digest::Algorithm;

    const DIGITS: &str = "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00FF";

    fn read(lines: &[&str]) -> Result<EntryOptions, String> {
        let mut options = EntryOptions::default();
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
        assert_eq!(options.checksum.unwrap().bytes(), [0, 255].repeat(16));
        assert_eq!(options.headers.len(), 2);
        assert_eq!(options.headers[1].1, "http://a.b");
    }

    #[test]
    fn a_checksum_may_be_of_any_algorithm() {
        for algorithm in Algorithm::ALL {
            let digits = "0f".repeat(algorithm.length());
            let options = read(&[&format!("checksum={}={digits}", algorithm.name())]).unwrap();
            assert_eq!(options.checksum, Digest::parse_hex(algorithm, &digits));
        }
    }

    #[test]
    fn a_bad_option_says_what_is_wrong() {
        let table: [(&[&str], &str); 10] = [
            (&["outt=x"], "unknown option 'outt' (expected out, checksum, header, id, carry)"),
            (&["=x"], "unknown option ''"),
            (&["out="], "option 'out' has no value (expected out=VALUE)"),
            (&["header: X: 1"], "option 'header' has no value"),
            (&["out=a", "out=b"], "duplicate option 'out'"),
            (&["checksum=md5=00"], "invalid checksum md5=00: expected md5=<32 hex digits>"),
            (
                &["checksum=adler32=00"],
                ": unknown algorithm (expected one of md5, sha-1, sha-256, ",
            ),
            (&["checksum=SHA256=00"], "expected sha-256=<64 hex digits>"),
            (&["checksum=00"], "invalid checksum 00"),
            (&["header=Host: a.b"], "--connect-to"),
        ];
        for (lines, complaint) in table {
            let message = read(lines).unwrap_err();
            assert!(message.contains(complaint), "{lines:?}: {message}");
        }
        assert!(read(&[&format!("checksum=sha-256={}g", &DIGITS[1..])]).is_err());
    }

    #[test]
    fn a_name_stays_below_the_folder() {
        for name in ["/etc/passwd", "/", r"\etc\passwd", r"\\host\x", "C:/x", r"c:\x"] {
            let message = read(&[&format!("out={name}")]).unwrap_err();
            assert!(
                message.starts_with(&format!("invalid out={name}: expected a relative path")),
                "{message}"
            );
        }
        for name in ["..", "../x", "a/../x", "a/..", r"..\x", r"a\..\x", r"a/..\x", "../"] {
            let message = read(&[&format!("out={name}")]).unwrap_err();
            assert!(
                message.starts_with(&format!("invalid out={name}: expected a relative path")),
                "{message}"
            );
        }
        for name in ["a/", "a//", r"a\", ".", "a/.", "./"] {
            let message = read(&[&format!("out={name}")]).unwrap_err();
            assert!(
                message.starts_with(&format!("invalid out={name}: expected a relative path")),
                "{message}"
            );
        }
    }

    #[test]
    fn a_name_is_kept_as_it_was_written() {
        for name in
            ["a", "a/b", "./a", "a//b", "...", "a..b", "..a", ".a", r"a\b", "C:x", "a/ ../b"]
        {
            assert_eq!(read(&[&format!("out={name}")]).unwrap().out.as_deref(), Some(name));
        }
    }

    #[test]
    fn a_shown_option_hides_its_value() {
        assert_eq!(shown("header=Authorization: hunter2"), "header=…");
    }
}
