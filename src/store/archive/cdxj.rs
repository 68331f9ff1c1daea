//! The CDXJ index of WARC files: one line per response with the place of its record, sorted by URL key and time. Lines are
//! made as records are appended; those of earlier runs are made from the manifest at the end of a run. They are sorted with
//! bounded memory.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize, Serializer};

use super::read::name_at;
use super::surt::push_key;
use super::warc::DIGEST_LABEL;
use crate::external_sort::ExternalSort;
use crate::model::rfc3339;
use crate::store::entry::{EntryKind, RecordEntry};
use crate::store::manifest::Manifest;

/// Bytes of lines that are kept in memory for sorting.
const SORT_BUFFER_BYTES: usize = 4 << 20;

/// Bytes of the index per write.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Expected bytes of a line besides its key, URL and file name.
const LINE_OVERHEAD: usize = 256;

/// The index lines of the current run.
#[derive(Debug)]
pub(super) struct RunLines {
    /// The length of the manifest when the run began; entries before that are of earlier runs.
    run_start: u64,
    lines: ExternalSort,
}

impl RunLines {
    /// No lines yet. `run_start` is the length of the manifest when the run begins.
    pub(super) fn new(run_start: u64) -> Self {
        Self { run_start, lines: ExternalSort::new(SORT_BUFFER_BYTES) }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If a temporary file cannot be created or written.
    pub(super) fn add(&mut self, line: &[u8]) -> io::Result<()> {
        self.lines.add(line, 0, b"")
    }
}

/// The index line of a record whose unit begins at this byte of an archive.
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
    format_line(archive, offset + record.offset, &indexed)
}

/// The fields of a manifest entry that the index needs.
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

/// The kind and the path of a manifest entry.
#[derive(Deserialize)]
struct NamedEntry<'a> {
    #[serde(rename = "type")]
    kind: EntryKind,
    #[serde(borrow)]
    path: Cow<'a, str>,
}

/// The fields of a record that the index needs. They stay strings, since the manifest and the index write them alike.
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

/// The JSON object of a line, after the key and the time.
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

/// Writes the index of all records in the manifest to `path`, through a temporary file in `folder`. `run_lines` are the lines
/// of this run; if `None`, they are made from the manifest too. `length` returns the length of an archive: records past its
/// end are left out, and so are bodies that `fetch verify` has found damaged.
///
/// # Errors
/// If the manifest cannot be read, or a file not written.
pub(super) fn write(
    manifest: &Manifest,
    run_lines: Option<RunLines>,
    length: impl Fn(&str) -> Option<u64>,
    folder: &Path,
    path: &Path,
) -> io::Result<()> {
    let RunLines { run_start, mut lines } = run_lines.unwrap_or_else(|| RunLines::new(u64::MAX));
    let mut lengths: HashMap<String, u64> = HashMap::new();
    let damaged = damaged_bodies(manifest, run_start)?;
    manifest.visit_lines_before(run_start, |_, _, line| {
        let entry = line.and_then(|line| serde_json::from_slice::<IndexedEntry<'_>>(line).ok());
        let is_of_archive = |entry: &IndexedEntry<'_>| {
            matches!(entry.kind, EntryKind::Archived | EntryKind::Appended)
        };
        let Some(entry) = entry.filter(is_of_archive) else { return Ok(()) };
        let (path, Some(record)) = (&*entry.path, &entry.record) else { return Ok(()) };
        let known = lengths.get(path).copied();
        let archive_length = known.unwrap_or_else(|| {
            let length = length(path).unwrap_or(0);
            lengths.insert(path.to_owned(), length);
            length
        });
        let start = entry.offset + record.offset;
        let is_damaged = !damaged.is_empty() && damaged.contains(&name_at(path, entry.offset));
        match start + record.length <= archive_length && !is_damaged {
            true => lines.add(&format_line(path, start, record), 0, b""),
            false => Ok(()),
        }
    })?;
    let temporary = folder.join("cdxj.new");
    let mut out = BufWriter::with_capacity(WRITE_BUFFER_BYTES, File::create(&temporary)?);
    lines.finish(|line| out.write_all(&line.key))?;
    out.into_inner().map_err(|error| error.into_error())?;
    fs::rename(temporary, path)
}

/// The names of the bodies that are marked as damaged in the lines of a manifest before this byte.
fn damaged_bodies(manifest: &Manifest, end: u64) -> io::Result<HashSet<String>> {
    let mut names = HashSet::new();
    manifest.visit_lines_before(end, |_, _, line| {
        let entry = line.and_then(|line| serde_json::from_slice::<NamedEntry<'_>>(line).ok());
        let marked = entry.filter(|entry| entry.kind == EntryKind::Marked);
        names.extend(marked.map(|entry| entry.path.into_owned()));
        Ok(())
    })?;
    Ok(names)
}

fn format_line(path: &str, offset: u64, record: &IndexedRecord<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(2 * record.uri.len() + path.len() + LINE_OVERHEAD);
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
