//! The index of WARC files (CDXJ): a line for each response, sorted by the key of its URL and its time, which says where its
//! record is. Lines are made as records are appended, and for those of earlier runs of the manifest, at the end of a run;
//! memory holds a bounded part of them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use data_encoding::HEXLOWER;
use http::Uri;
use serde::{Deserialize, Serialize, Serializer};

use super::read::name_of;
use super::warc::DIGEST_LABEL;
use crate::external_sort::ExternalSort;
use crate::model::rfc3339;
use crate::store::entry::{EntryKind, RecordEntry};
use crate::store::manifest::Manifest;

/// Bytes of lines that are sorted in memory.
const MOST_IN_MEMORY: usize = 4 << 20;

/// Bytes of the index that are written at once.
const WRITTEN_AT_ONCE: usize = 64 * 1024;

/// Bytes of a line beside two URLs and a file name; a few more are no harm.
const FIELDS_OF_LINE: usize = 256;

/// The lines of the records of a run.
#[derive(Debug)]
pub(super) struct RunLines {
    /// The length of the manifest when the run began: what it has before that is of earlier runs.
    earlier: u64,
    lines: ExternalSort,
}

impl RunLines {
    /// None of a run that begins with a manifest of this length.
    pub(super) fn new(earlier: u64) -> Self {
        Self { earlier, lines: ExternalSort::new(MOST_IN_MEMORY) }
    }

    /// Adds one.
    ///
    /// # Errors
    /// If a temporary file cannot be created or written.
    pub(super) fn add(&mut self, line: &[u8]) -> io::Result<()> {
        self.lines.add(line, 0, b"")
    }
}

/// The line of a record in a unit that begins at this byte of an archive.
pub(super) fn line(archive: &str, offset: u64, record: &RecordEntry) -> Vec<u8> {
    let indexed = IndexedRecord {
        uri: record.uri.as_str().into(),
        at: rfc3339(record.at).into(),
        status: record.status,
        media_type: record.media_type.as_deref().map(Cow::Borrowed),
        payload: HEXLOWER.encode(&record.payload.0).into(),
        is_revisit: record.is_revisit,
        offset: record.offset,
        length: record.length,
    };
    line_of(archive, offset + record.offset, &indexed)
}

/// The fields of an entry of the manifest that the index is made of.
#[derive(Deserialize)]
struct IndexedEntry<'a> {
    #[serde(rename = "type")]
    kind: EntryKind,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(default)]
    offset: u64,
    #[serde(borrow, default)]
    record: Option<IndexedRecord<'a>>,
}

/// What an entry of the manifest is about.
#[derive(Deserialize)]
struct NamedEntry<'a> {
    #[serde(rename = "type")]
    kind: EntryKind,
    #[serde(borrow)]
    path: Cow<'a, str>,
}

/// The fields of a record that the index has. They stay texts, as they are written in both.
#[derive(Deserialize)]
struct IndexedRecord<'a> {
    #[serde(borrow)]
    uri: Cow<'a, str>,
    #[serde(borrow)]
    at: Cow<'a, str>,
    status: u16,
    #[serde(borrow, default)]
    media_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Cow<'a, str>,
    is_revisit: bool,
    offset: u64,
    length: u64,
}

/// What a line says behind the key and the time.
#[derive(Serialize)]
struct IndexLine<'a> {
    url: &'a str,
    mime: &'a str,
    #[serde(serialize_with = "as_text")]
    status: u16,
    #[serde(serialize_with = "as_text")]
    digest: fmt::Arguments<'a>,
    #[serde(serialize_with = "as_text")]
    length: u64,
    #[serde(serialize_with = "as_text")]
    offset: u64,
    filename: &'a str,
}

fn as_text<S: Serializer>(value: &impl fmt::Display, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(value)
}

/// Writes the index of what the manifest lists to `path`, by way of a file in `folder`. `of_run` has the lines of this run;
/// `None` if they are not known. `length` is the length of an archive; what it does not have any more is left out, and what
/// `fetch verify` has found damaged.
///
/// # Errors
/// If the manifest cannot be read, or a file not written.
pub(super) fn write(
    manifest: &Manifest,
    of_run: Option<RunLines>,
    length: impl Fn(&str) -> Option<u64>,
    folder: &Path,
    path: &Path,
) -> io::Result<()> {
    let RunLines { earlier, mut lines } = of_run.unwrap_or_else(|| RunLines::new(u64::MAX));
    let mut lengths: HashMap<String, u64> = HashMap::new();
    let damaged = damaged(manifest, earlier)?;
    manifest.visit_lines_before(earlier, |_, _, line| {
        let entry = line.and_then(|line| serde_json::from_slice::<IndexedEntry<'_>>(line).ok());
        let is_of_archive = |entry: &IndexedEntry<'_>| {
            matches!(entry.kind, EntryKind::Archived | EntryKind::Appended)
        };
        let Some(entry) = entry.filter(is_of_archive) else { return Ok(()) };
        let (path, Some(record)) = (&*entry.path, &entry.record) else { return Ok(()) };
        let known = lengths.get(path).copied();
        let most = known.unwrap_or_else(|| {
            let length = length(path).unwrap_or(0);
            lengths.insert(path.to_owned(), length);
            length
        });
        let start = entry.offset + record.offset;
        let is_damaged = !damaged.is_empty() && damaged.contains(&name_of(path, entry.offset));
        match start + record.length <= most && !is_damaged {
            true => lines.add(&line_of(path, start, record), 0, b""),
            false => Ok(()),
        }
    })?;
    let temporary = folder.join("cdxj.new");
    let mut out = BufWriter::with_capacity(WRITTEN_AT_ONCE, File::create(&temporary)?);
    lines.finish(|line| out.write_all(&line.key))?;
    out.into_inner().map_err(|error| error.into_error())?;
    fs::rename(temporary, path)
}

/// The names of the bodies that are marked as damaged in the lines of a manifest before this byte.
fn damaged(manifest: &Manifest, end: u64) -> io::Result<HashSet<String>> {
    let mut names = HashSet::new();
    manifest.visit_lines_before(end, |_, _, line| {
        let entry = line.and_then(|line| serde_json::from_slice::<NamedEntry<'_>>(line).ok());
        let marked = entry.filter(|entry| entry.kind == EntryKind::Marked);
        names.extend(marked.map(|entry| entry.path.into_owned()));
        Ok(())
    })?;
    Ok(names)
}

fn line_of(path: &str, offset: u64, record: &IndexedRecord<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(2 * record.uri.len() + path.len() + FIELDS_OF_LINE);
    push_key(&mut line, &record.uri);
    line.push(b' ');
    line.extend(record.at.bytes().filter(u8::is_ascii_digit).take(14));
    line.push(b' ');
    let mime = match record.is_revisit {
        true => "warc/revisit",
        false => record.media_type.as_deref().unwrap_or("unk"),
    };
    let indexed = IndexLine {
        url: &record.uri,
        mime,
        status: record.status,
        digest: format_args!("{DIGEST_LABEL}{}", record.payload),
        length: record.length,
        offset,
        filename: path,
    };
    serde_json::to_writer(&mut line, &indexed).expect("a line can be serialized");
    line.push(b'\n');
    line
}

/// Appends the key that URLs of one page have in common (SURT, as the tools for such indexes make it, except that session IDs
/// stay): the host from its end on, without `www`, then the path and the sorted query, in lower case.
fn push_key(line: &mut Vec<u8>, url: &str) {
    let start = line.len();
    match Uri::try_from(url) {
        Ok(parsed) => push_canonical(line, &parsed),
        Err(_) => line.extend(url.as_bytes()),
    }
    line[start..].make_ascii_lowercase();
}

fn push_canonical(line: &mut Vec<u8>, url: &Uri) {
    let host = url.host().unwrap_or_default();
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ipv6) => line.extend(ipv6.as_bytes()),
        None => join(line, b',', without_www(host).rsplit('.')),
    }
    let is_default =
        |port: u16| matches!((url.scheme_str(), port), (Some("http"), 80) | (Some("https"), 443));
    if let Some(port) = url.port().filter(|port| !is_default(port.as_u16())) {
        line.push(b':');
        line.extend(port.as_str().as_bytes());
    }
    line.extend(b")/");
    join(line, b'/', url.path().split('/').filter(|component| !component.is_empty()));
    if let Some(query) = url.query().filter(|query| !query.is_empty()) {
        let query = query.to_ascii_lowercase();
        let mut parameters: Vec<_> = query.split('&').collect();
        parameters.sort_unstable();
        line.push(b'?');
        join(line, b'&', parameters);
    }
}

/// Appends parts with `separator` between them.
fn join<'a>(line: &mut Vec<u8>, separator: u8, parts: impl IntoIterator<Item = &'a str>) {
    for (at, part) in parts.into_iter().enumerate() {
        line.extend((at > 0).then_some(separator));
        line.extend(part.as_bytes());
    }
}

/// The host without `www.`, `www1.` and so on.
fn without_www(host: &str) -> &str {
    let Some(rest) = host.strip_prefix("www") else { return host };
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    rest.strip_prefix('.').filter(|rest| !rest.is_empty()).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_for_urls_of_one_page() {
        for (uri, key) in [
            ("http://example.org/", "org,example)/"),
            ("https://www.example.org/A/B/?b=2&a=1", "org,example)/a/b?a=1&b=2"),
            ("http://www2.example.co.uk:8080/x", "uk,co,example:8080)/x"),
            ("http://127.0.0.1:81/x?", "1,0,0,127:81)/x"),
            ("http://[::1]:81/x", "::1:81)/x"),
            ("http://a.b/x//y/?B=1&a=2&b=0", "b,a)/x/y?a=2&b=0&b=1"),
            ("https://a.b:443/?", "b,a)/"),
            ("https://a.b/?", "b,a)/"),
            ("http://a.b/|?`={|}^[\\]", "b,a)/|?`={|}^[\\]"),
            ("http://a.b/x%20y?a&b=", "b,a)/x%20y?a&b="),
            ("http://www.com/", "com)/"),
        ] {
            let mut line = Vec::new();
            push_key(&mut line, uri);
            assert_eq!(String::from_utf8(line).unwrap(), key, "{uri}");
        }
    }
}
