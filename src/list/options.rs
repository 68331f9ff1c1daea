//! Option lines: `key=value`, indented below a URL, with the names that aria2 uses.

use http::HeaderName;
use http::header::{REFERER, USER_AGENT};
use percent_encoding::percent_decode_str;
use url::Url;

use super::header::field;
use crate::digest::{Digest, ParseDigestError};
use crate::model::{CarriedColumns, EntryOptions};
use crate::redaction::redacted_line;

const KEYS: [&str; 8] =
    ["out", "dir", "checksum", "header", "referer", "user-agent", "id", "carry"];

/// Options of aria2 for one download that are ignored here, each with what to use instead, or an empty string. They are from
/// the manual of aria2 1.37.
const ARIA2_KEYS: [(&str, &str); 92] = [
    ("all-proxy", "--proxy"),
    ("all-proxy-passwd", "--proxy"),
    ("all-proxy-user", "--proxy"),
    ("allow-overwrite", "--force"),
    ("allow-piece-length-change", ""),
    ("always-resume", ""),
    ("async-dns", ""),
    ("auto-file-renaming", ""),
    ("bt-enable-hook-after-hash-check", ""),
    ("bt-enable-lpd", ""),
    ("bt-exclude-tracker", ""),
    ("bt-external-ip", ""),
    ("bt-force-encryption", ""),
    ("bt-hash-check-seed", ""),
    ("bt-load-saved-metadata", ""),
    ("bt-max-peers", ""),
    ("bt-metadata-only", ""),
    ("bt-min-crypto-level", ""),
    ("bt-prioritize-piece", ""),
    ("bt-remove-unselected-file", ""),
    ("bt-request-peer-speed-limit", ""),
    ("bt-require-crypto", ""),
    ("bt-save-metadata", ""),
    ("bt-seed-unverified", ""),
    ("bt-stop-timeout", ""),
    ("bt-tracker", ""),
    ("bt-tracker-connect-timeout", ""),
    ("bt-tracker-interval", ""),
    ("bt-tracker-timeout", ""),
    ("check-integrity", ""),
    ("conditional-get", "--refresh"),
    ("connect-timeout", "--connect-timeout"),
    ("content-disposition-default-utf8", ""),
    ("continue", ""),
    ("dry-run", "--head"),
    ("enable-http-keep-alive", ""),
    ("enable-http-pipelining", ""),
    ("enable-mmap", ""),
    ("enable-peer-exchange", ""),
    ("file-allocation", ""),
    ("follow-metalink", ""),
    ("follow-torrent", ""),
    ("force-save", ""),
    ("ftp-passwd", ""),
    ("ftp-pasv", ""),
    ("ftp-proxy", ""),
    ("ftp-proxy-passwd", ""),
    ("ftp-proxy-user", ""),
    ("ftp-reuse-connection", ""),
    ("ftp-type", ""),
    ("ftp-user", ""),
    ("gid", ""),
    ("hash-check-only", "fetch verify"),
    ("http-accept-gzip", "--compressed"),
    ("http-auth-challenge", ""),
    ("http-no-cache", ""),
    ("http-passwd", "a netrc file"),
    ("http-proxy", "--proxy"),
    ("http-proxy-passwd", "--proxy"),
    ("http-proxy-user", "--proxy"),
    ("http-user", "a netrc file"),
    ("https-proxy", "--proxy"),
    ("https-proxy-passwd", "--proxy"),
    ("https-proxy-user", "--proxy"),
    ("index-out", ""),
    ("lowest-speed-limit", "--min-speed"),
    ("max-connection-per-server", "--per-host"),
    ("max-download-limit", "--limit-rate"),
    ("max-file-not-found", ""),
    ("max-mmap-limit", ""),
    ("max-resume-failure-tries", ""),
    ("max-tries", "--retry"),
    ("max-upload-limit", ""),
    ("min-split-size", "--min-split-size"),
    ("no-file-allocation-limit", ""),
    ("no-netrc", ""),
    ("no-proxy", "no_proxy"),
    ("parameterized-uri", ""),
    ("pause", ""),
    ("pause-metadata", ""),
    ("piece-length", ""),
    ("proxy-method", ""),
    ("realtime-chunk-checksum", ""),
    ("remote-time", ""),
    ("remove-control-file", ""),
    ("retry-wait", "--retry-delay"),
    ("reuse-uri", ""),
    ("save-not-found", ""),
    ("split", "--split"),
    ("stream-piece-selector", ""),
    ("timeout", "--stall-timeout"),
    ("uri-selector", ""),
];

/// The separators of path components on all systems.
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
pub(super) fn redact_value(text: &str) -> String {
    format!("{}=…", redacted_line(split_key(text).0))
}

/// An ignored option of aria2, and what to use instead; see [`ARIA2_KEYS`].
pub(super) type IgnoredOption = (&'static str, &'static str);

/// The option lines of an entry so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LineOptions {
    /// The options of the target, except for what `dir` changes.
    pub entry: EntryOptions,
    /// The directory below `--dir`.
    dir: Option<String>,
}

impl LineOptions {
    /// Adds an option line. Returns the option if it is ignored.
    ///
    /// # Errors
    /// A message for the user, without secrets.
    pub(super) fn add(&mut self, text: &str) -> Result<Option<IgnoredOption>, String> {
        let (key, rest) = split_key(text);
        if !KEYS.contains(&key) {
            let ignored = ARIA2_KEYS.into_iter().find(|(name, _)| *name == key);
            let expected = || {
                let (shown, keys) = (redacted_line(key), KEYS.join(", "));
                format!("unknown option '{shown}' (expected {keys})")
            };
            return ignored.map(Some).ok_or_else(expected);
        }
        let value = rest.strip_prefix('=').map(str::trim).filter(|value| !value.is_empty());
        let value =
            value.ok_or_else(|| format!("option '{key}' has no value (expected {key}=VALUE)"))?;
        let entry = &mut self.entry;
        match key {
            "out" => set_once(&mut entry.out, key, parse_out(value)?)?,
            "dir" => set_once(&mut self.dir, key, parse_dir(value)?)?,
            "checksum" => set_once(&mut entry.checksum, key, parse_checksum(value)?)?,
            "id" => set_once(&mut entry.id, key, value.into())?,
            "carry" => set_once(&mut entry.carried, key, parse_carry(value)?)?,
            "referer" => set_header(entry, REFERER, value)?,
            "user-agent" => set_header(entry, USER_AGENT, value)?,
            _ => entry.headers.push(field(value)?),
        }
        Ok(None)
    }

    /// The options of the target with this URL.
    pub(super) fn finish(self, url: &Url) -> EntryOptions {
        let Self { mut entry, dir } = self;
        if let Some(dir) = dir {
            let name = entry.out.unwrap_or_else(|| file_name(url));
            entry.out = Some(format!("{dir}/{name}"));
        }
        entry
    }
}

impl From<EntryOptions> for LineOptions {
    fn from(entry: EntryOptions) -> Self {
        Self { entry, dir: None }
    }
}

/// The name that aria2 gives the file of a URL: the last part of its path.
fn file_name(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    let decoded = percent_decode_str(last).decode_utf8_lossy();
    let is_name = parse_out(&decoded).is_ok() && !decoded.contains(SEPARATORS);
    match last {
        "" => "index.html".to_owned(),
        _ if is_name && !decoded.contains(char::is_control) => decoded.into_owned(),
        _ => last.to_owned(),
    }
}

/// Adds a header field that an entry may have only once.
fn set_header(entry: &mut EntryOptions, name: HeaderName, value: &str) -> Result<(), String> {
    if entry.headers.iter().any(|(known, _)| *known == name) {
        return Err(format!("duplicate option '{name}'"));
    }
    entry.headers.push(field(&format!("{name}: {value}"))?);
    Ok(())
}

fn set_once<T>(place: &mut Option<T>, key: &str, value: T) -> Result<(), String> {
    if place.is_some() {
        return Err(format!("duplicate option '{key}'"));
    }
    *place = Some(value);
    Ok(())
}

/// Parses the path of a file below `--dir`. Both separators count on every system, since lists are copied between systems.
pub(super) fn parse_out(value: &str) -> Result<String, String> {
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

/// Parses the path of a directory below `--dir`. Slashes at its ends are removed, so that an absolute path becomes relative.
fn parse_dir(value: &str) -> Result<String, String> {
    let relative = value.trim_matches('/');
    let relative = if relative.is_empty() { "." } else { relative };
    parse_out(&format!("{relative}/x"))
        .map(|_| relative.to_owned())
        .map_err(|_| format!("invalid dir={}: expected a path inside --dir", redacted_line(value)))
}

/// Whether a path begins with a drive of Windows: `C:/` or `C:\`.
fn begins_with_a_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic())
}

pub(super) fn parse_checksum(value: &str) -> Result<Digest, String> {
    value.parse().map_err(|complaint: ParseDigestError| {
        format!("invalid checksum {}: {complaint}", redacted_line(value))
    })
}

/// Parses the columns that an entry carries, a JSON object.
fn parse_carry(value: &str) -> Result<CarriedColumns, String> {
    let columns = CarriedColumns::parse(value);
    columns.ok_or_else(|| "invalid carry, expected a JSON object of at most 32 KiB".to_owned())
}

/// Splits a line into its key and what follows the key.
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
        let mut options = LineOptions::default();
        lines.iter().try_for_each(|line| options.add(line).map(drop))?;
        Ok(options.finish(&"https://a.b/c/d%20e?f".parse().unwrap()))
    }

    #[test]
    fn the_options_of_aria2_are_read_or_ignored() {
        let options =
            read(&["dir=/a/b/", "referer=http://a.b", "user-agent=c/1", "gid=1"]).unwrap();
        assert_eq!(options.out.as_deref(), Some("a/b/d e"));
        let names: Vec<_> = options.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["referer", "user-agent"]);
        assert_eq!(read(&["out=x", "dir=/"]).unwrap().out.as_deref(), Some("./x"));
        for (lines, complaint) in [
            (["dir=../a", "out=x"], "invalid dir=../a: expected a path inside --dir"),
            (["dir=C:/a", "out=x"], "invalid dir=C:/a"),
            (["dir=a", "dir=b"], "duplicate option 'dir'"),
            (["referer=a", "referer=b"], "duplicate option 'referer'"),
        ] {
            let message = read(&lines).unwrap_err();
            assert!(message.starts_with(complaint), "{message}");
        }
        let ignored = LineOptions::default().add("max-tries=5").unwrap();
        assert_eq!(ignored, Some(("max-tries", "--retry")));
        assert!(ARIA2_KEYS.is_sorted());
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
            (
                &["outt=x"],
                "unknown option 'outt' (expected out, dir, checksum, header, referer, user-agent, id, carry)",
            ),
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
        assert_eq!(redact_value("header=Authorization: hunter2"), "header=…");
    }
}
