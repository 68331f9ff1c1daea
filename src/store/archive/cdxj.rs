//! The index of WARC files (CDXJ): a line for each response, sorted by the key of its URL and its time, which says where its
//! record is. Lines are made as records are appended, and for those of earlier runs of the manifest, at the end of a run;
//! memory holds a bounded part of them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::warc::labelled;
use crate::external_sort::ExternalSort;
use crate::model::rfc3339;
use crate::store::entry::{EntryKind, RecordEntry};
use crate::store::manifest::Manifest;

/// Bytes of lines that are sorted in memory.
const MOST_IN_MEMORY: usize = 4 << 20;

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

    /// Adds that of a record in a unit that begins at this byte of an archive.
    ///
    /// # Errors
    /// If a temporary file cannot be created or written.
    pub(super) fn add(
        &mut self,
        archive: &str,
        offset: u64,
        record: &RecordEntry,
    ) -> io::Result<()> {
        let indexed = IndexedRecord {
            uri: record.uri.as_str().into(),
            at: rfc3339(record.at).into(),
            status: record.status,
            media_type: record.media_type.as_deref().map(Cow::Borrowed),
            payload: record.payload.to_string().into(),
            is_revisit: record.is_revisit,
            offset: record.offset,
            length: record.length,
        };
        let line = line_of(archive, offset + record.offset, &indexed);
        self.lines.add(line.as_bytes(), 0, b"")
    }
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
    status: String,
    digest: String,
    length: String,
    offset: String,
    filename: &'a str,
}

/// Writes the index of what the manifest lists to `path`, by way of a file in `folder`. `of_run` has the lines of this run;
/// `None` if they are not known. `length` is the length of an archive; what it does not have any more is left out.
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
    manifest.visit_lines(|_, at, line| {
        let line = line.filter(|_| at < earlier);
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
        match start + record.length <= most {
            true => lines.add(line_of(path, start, record).as_bytes(), 0, b""),
            false => Ok(()),
        }
    })?;
    let temporary = folder.join("cdxj.new");
    let mut out = BufWriter::new(File::create(&temporary)?);
    lines.finish(|line| out.write_all(&line.key))?;
    out.into_inner().map_err(|error| error.into_error())?;
    fs::rename(temporary, path)
}

fn line_of(path: &str, offset: u64, record: &IndexedRecord<'_>) -> String {
    let digits: String = record.at.chars().filter(char::is_ascii_digit).take(14).collect();
    let mime = match record.is_revisit {
        true => "warc/revisit",
        false => record.media_type.as_deref().unwrap_or("unk"),
    };
    let indexed = IndexLine {
        url: &record.uri,
        mime,
        status: record.status.to_string(),
        digest: labelled(&record.payload),
        length: record.length.to_string(),
        offset: offset.to_string(),
        filename: path,
    };
    let indexed = serde_json::to_string(&indexed).expect("a line can be serialized");
    format!("{} {digits} {indexed}\n", key_of(&record.uri))
}

/// The key that URLs of one page have in common (SURT, as the tools for such indexes make it, except that session IDs stay):
/// the host from its end on, without `www`, then the path and the sorted query, in lower case.
fn key_of(uri: &str) -> String {
    let uri = uri.to_ascii_lowercase();
    let Ok(url) = Url::parse(&uri) else { return uri };
    let mut key = match url.host() {
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(host) => {
            let host = host.to_string();
            without_www(&host).rsplit('.').collect::<Vec<_>>().join(",")
        }
        None => String::new(),
    };
    if let Some(port) = url.port() {
        key.push_str(&format!(":{port}"));
    }
    key.push(')');
    for component in url.path().split('/').filter(|component| !component.is_empty()) {
        key.push('/');
        key.push_str(component);
    }
    if key.ends_with(')') {
        key.push('/');
    }
    if let Some(query) = url.query().filter(|query| !query.is_empty()) {
        let mut parameters: Vec<_> = query.split('&').collect();
        parameters.sort_unstable();
        key.push('?');
        key.push_str(&parameters.join("&"));
    }
    key.to_ascii_lowercase()
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
            ("http://a.b/x%20y?a&b=", "b,a)/x%20y?a&b="),
            ("http://www.com/", "com)/"),
        ] {
            assert_eq!(key_of(uri), key, "{uri}");
        }
    }
}
