//! Opens the sources of a plan (inputs) and reads entries from them.

#[cfg(feature = "parquet")]
mod parquet_rows;
mod sections;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use url::Url;

use crate::compression::DecodedReader;
use crate::digest::{ChecksumFile, ChecksumFileError, ExpectedDigests};
pub(crate) use crate::list::StreamKind;
use crate::list::{self, Numbering, Parser, ParserStatus};
use crate::model::{Entry, redacted};
#[cfg(feature = "parquet")]
use crate::plan::ListFormat;
use crate::plan::{ListOptions, Plan, Shard, Source};
use crate::redaction::redacted_name;
use crate::streams::stdin;
use crate::text::io_message;
pub(crate) use sections::open_sections;

/// Bytes per read, which bounds how far reading is ahead of the parser.
const CHUNK: usize = 16 * 1024;

/// An open source.
pub(crate) enum OpenInput {
    /// A URL given on the command line.
    Argument(String),
    /// A list.
    List(OpenList),
}

/// A list whose bytes can be read.
pub(crate) struct OpenList {
    /// What it is called in reports.
    name: Arc<str>,
    /// Its bytes, decompressed.
    bytes: DecodedReader,
    /// Whether somebody may still be writing it.
    kind: StreamKind,
    /// How it is read.
    options: Arc<ListOptions>,
}

impl OpenList {
    fn input(
        name: &str,
        bytes: impl Read + Send + 'static,
        kind: StreamKind,
        options: &Arc<ListOptions>,
    ) -> OpenInput {
        let (name, bytes) = (name.into(), DecodedReader::new(bytes));
        OpenInput::List(Self { name, bytes, kind, options: Arc::clone(options) })
    }
}

/// A list that could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {name}: {}", io_message(reason))]
pub struct ReadError {
    /// What the list is called in reports.
    pub name: Arc<str>,
    /// The error of the system, or why it is not a list.
    pub reason: io::Error,
}

impl ReadError {
    /// Whether it is not a list; its record has the same reason.
    pub(crate) fn is_no_list(&self) -> bool {
        self.reason.kind() == ErrorKind::InvalidData
    }
}

/// Why the sources of a plan cannot be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // name: of the file; reason: the error of the system
pub(crate) enum OpenError {
    /// Nothing has this name.
    #[error("{}: no such file; {}", redacted_name(name), did_you_mean(name))]
    Missing { name: String },
    /// It is a directory.
    #[error("{name}: is a directory, expected a list file")]
    Directory { name: String },
    /// The system does not let it be read.
    #[error("cannot read {}: {}", redacted_name(name), io_message(reason))]
    Refused { name: String, reason: io::Error },
    /// It is not a valid checksum file.
    #[error("{name}:{reason}")]
    Sums { name: String, reason: ChecksumFileError },
    /// The file for failed entries is this list.
    #[error("--failed would overwrite the input list '{name}'")]
    Overwritten { name: String },
}

/// A hint about a source that is not a file: a URL without a scheme, or the value of an option.
fn did_you_mean(name: &str) -> String {
    if name.contains("http://") || name.contains("https://") {
        return "remove what stands before http:// or https:// to fetch a URL".to_owned();
    }
    let number = name.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return "the option before it takes no value (aria2's -k SIZE is --min-split-size here, \
                -s N is --split)"
            .to_owned();
    }
    list::meant_url(name).map_or_else(
        || "to fetch a URL, include https://".to_owned(),
        |url| format!("did you mean {url}?"),
    )
}

/// The checksums that bodies must have: that of the plan, and those of its checksum file.
///
/// # Errors
/// If the checksum file cannot be read or is invalid.
pub(crate) fn wanted(plan: &Plan) -> Result<ExpectedDigests, OpenError> {
    let sums = plan.bodies.sums.as_deref().map(read_checksum_file).transpose()?;
    Ok(ExpectedDigests { checksum: plan.bodies.checksum, sums })
}

fn read_checksum_file(path: &Path) -> Result<ChecksumFile, OpenError> {
    let name = || path.display().to_string();
    let text = fs::read_to_string(path);
    let text = text.map_err(|reason| OpenError::Refused { name: name(), reason })?;
    ChecksumFile::parse(&text).map_err(|reason| OpenError::Sums { name: name(), reason })
}

/// Opens the sources of a plan without lists at URLs.
///
/// # Errors
/// As for [`open_all`].
pub(crate) fn open_local(plan: &Plan) -> Result<Vec<OpenInput>, OpenError> {
    open_all(plan, |_| -> io::Result<io::Empty> { Err(ErrorKind::Unsupported.into()) })
}

/// Opens the sources of a plan, in its order. `open_remote` opens the list at a URL.
///
/// # Errors
/// If one cannot be opened, or the run would write over it.
pub(crate) fn open_all<L: Read + Send + 'static>(
    plan: &Plan,
    mut open_remote: impl FnMut(&Url) -> io::Result<L>,
) -> Result<Vec<OpenInput>, OpenError> {
    let options = Arc::new(plan.lists.clone());
    let open = |source: &Source| match source {
        Source::Argument(text) => Ok(OpenInput::Argument(text.clone())),
        Source::Stdin => Ok(OpenList::input("-", stdin(), StreamKind::Live, &options)),
        Source::File(path) => open_file(path, &options),
        Source::RemoteList(url) => {
            let name = redacted(url);
            match open_remote(url) {
                Ok(list) => Ok(OpenList::input(&name, list, StreamKind::AtRest, &options)),
                Err(reason) => Err(OpenError::Refused { name, reason }),
            }
        }
    };
    let inputs = plan.sources.iter().map(open).collect::<Result<_, _>>()?;
    if let Some(failed) = &plan.failed {
        ensure_it_is_not_a_list(&failed.path, &plan.sources)?;
    }
    Ok(inputs)
}

fn open_file(path: &Path, options: &Arc<ListOptions>) -> Result<OpenInput, OpenError> {
    let name = path.display().to_string();
    let refused = |reason: io::Error| match reason.kind() {
        ErrorKind::NotFound => OpenError::Missing { name: name.clone() },
        _ => OpenError::Refused { name: name.clone(), reason },
    };
    let file = File::open(path).map_err(refused)?;
    let metadata = file.metadata().map_err(refused)?;
    if metadata.is_dir() {
        return Err(OpenError::Directory { name });
    }
    let kind = if metadata.is_file() { StreamKind::AtRest } else { StreamKind::Live };
    #[cfg(feature = "parquet")]
    if kind == StreamKind::AtRest && parquet_rows::is_parquet(&file, options) {
        let rows = parquet_rows::ParquetRows::open(file, options).map_err(refused)?;
        let options = ListOptions { format: ListFormat::Jsonl, ..ListOptions::clone(options) };
        return Ok(OpenList::input(&name, rows, kind, &Arc::new(options)));
    }
    Ok(OpenList::input(&name, file, kind, options))
}

/// Ensures that an output file is not one of the lists, also under another name.
fn ensure_it_is_not_a_list(path: &Path, sources: &[Source]) -> Result<(), OpenError> {
    let Ok(written) = fs::canonicalize(path) else { return Ok(()) };
    for source in sources {
        if let Source::File(list) = source
            && fs::canonicalize(list).is_ok_and(|list| list == written)
        {
            return Err(OpenError::Overwritten { name: list.display().to_string() });
        }
    }
    Ok(())
}

/// Reads all inputs, in their order, and passes their entries to `take`, except for those of other shards. Returns the
/// number of all entries.
///
/// # Errors
/// The first error of `take`, or if an input cannot be read; entries before that were passed. If an input is not a list, the
/// others are read before the error is returned.
pub(crate) fn entries<E: From<ReadError>>(
    inputs: Vec<OpenInput>,
    shard: Option<Shard>,
    mut take: impl FnMut(EntryBatch) -> Result<(), E>,
) -> Result<u64, E> {
    let mut parser = EntryParser::of_shard(shard);
    InputReader::new(inputs).try_for_each(|chunk| take(parser.push(chunk?)))?;
    parser.take_unreadable().map_or(Ok(parser.numbered()), |error| Err(error.into()))
}

/// The entries that one chunk completes.
pub(crate) struct EntryBatch {
    /// The entries, numbered.
    pub entries: Vec<Entry>,
    /// The kind of the input they are from.
    pub kind: StreamKind,
    /// Warnings about the list.
    pub notices: Vec<String>,
}

/// A piece of the inputs. The bytes of a list come between `Start` and `End`.
pub(crate) enum InputChunk {
    /// A URL given on the command line.
    Argument(String),
    /// A list starts.
    Start(ListStart),
    /// Bytes of the list, cut anywhere.
    Bytes(Vec<u8>),
    /// The list ends.
    End,
}

/// The list that starts.
pub(crate) struct ListStart {
    name: Arc<str>,
    kind: StreamKind,
    options: Arc<ListOptions>,
    stop: StopReading,
}

/// Set by the parser to end the reading of a list early, because it is not a list. Each list has its own, since the
/// reader may have come to the next one by then.
type StopReading = Arc<AtomicBool>;

/// Reads inputs one after another, in chunks. Ends after an error.
pub(crate) struct InputReader {
    inputs: std::vec::IntoIter<OpenInput>,
    list: Option<(OpenList, StopReading)>,
}

impl InputReader {
    /// A reader of these inputs. Nothing is read yet.
    pub(crate) fn new(inputs: Vec<OpenInput>) -> Self {
        Self { inputs: inputs.into_iter(), list: None }
    }

    fn open_next(&mut self) -> Option<InputChunk> {
        Some(match self.inputs.next()? {
            OpenInput::Argument(text) => InputChunk::Argument(text),
            OpenInput::List(list) => {
                let (name, options) = (Arc::clone(&list.name), Arc::clone(&list.options));
                let (kind, stop) = (list.kind, StopReading::default());
                self.list = Some((list, Arc::clone(&stop)));
                InputChunk::Start(ListStart { name, kind, options, stop })
            }
        })
    }
}

impl Iterator for InputReader {
    type Item = Result<InputChunk, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some((list, stop)) = &mut self.list else { return self.open_next().map(Ok) };
        match list.read(stop) {
            Ok(bytes) if bytes.is_empty() => {
                self.list = None;
                Some(Ok(InputChunk::End))
            }
            Ok(bytes) => Some(Ok(InputChunk::Bytes(bytes))),
            Err(reason) => {
                let name = Arc::clone(&list.name);
                (self.list, self.inputs) = (None, Vec::new().into_iter());
                Some(Err(ReadError { name, reason }))
            }
        }
    }
}

impl OpenList {
    /// The next bytes; none at the end.
    fn read(&mut self, stop: &AtomicBool) -> io::Result<Vec<u8>> {
        let mut buffer = [0; CHUNK];
        while !stop.load(Relaxed) {
            match self.bytes.read(&mut buffer) {
                Ok(length) => return Ok(buffer[..length].to_vec()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Vec::new())
    }
}

/// Turns the chunks of all inputs into entries, which it numbers from 1.
#[derive(Default)]
pub(crate) struct EntryParser {
    numbering: Numbering,
    list: Option<(Parser, StreamKind, StopReading)>,
    /// The first input that was not read to its end, because it is not a list.
    unreadable: Option<ReadError>,
    /// Ignored options about which a notice was returned.
    ignored: BTreeSet<&'static str>,
    /// The shard whose entries are returned; `None` returns all.
    shard: Option<Shard>,
    /// The number of entries that were returned.
    kept: u64,
}

impl EntryParser {
    /// A parser that numbers all entries and returns those of this shard, or all if there is none.
    pub(crate) fn of_shard(shard: Option<Shard>) -> Self {
        Self { shard, ..Self::default() }
    }

    /// Takes the next chunk; returns the entries that it completes.
    pub(crate) fn push(&mut self, chunk: InputChunk) -> EntryBatch {
        let (mut entries, mut notices) = (Vec::new(), Vec::new());
        let (numbering, reported) = (&mut self.numbering, &mut self.ignored);
        let mut note = |ignored: Vec<(&'static str, String)>| {
            let new = ignored.into_iter().filter(|(name, _)| reported.insert(name));
            notices.extend(new.map(|(_, text)| text));
        };
        let kind = self.list.as_ref().map_or(StreamKind::AtRest, |(_, kind, _)| *kind);
        match (chunk, &mut self.list) {
            (InputChunk::Argument(text), _) => entries.push(list::argument(&text, numbering)),
            (InputChunk::Start(ListStart { name, kind, options, stop }), list) => {
                *list = Some((Parser::of(name, &options, kind), kind, stop));
            }
            (InputChunk::Bytes(bytes), Some((parser, _, stop))) => {
                let status = parser.feed(&bytes, numbering, |entry| entries.push(entry));
                stop.store(status == ParserStatus::Enough, Relaxed);
                note(parser.take_ignored());
                note_unreadable(&mut self.unreadable, status, &entries);
            }
            (InputChunk::End, list) => {
                if let Some((mut parser, ..)) = list.take() {
                    let status = parser.finish(numbering, |entry| entries.push(entry));
                    note(parser.take_ignored());
                    note_unreadable(&mut self.unreadable, status, &entries);
                }
            }
            (InputChunk::Bytes(_), None) => unreachable!("a list starts before its bytes"),
        }
        EntryBatch { entries: self.keep_own_shard(entries), kind, notices }
    }

    /// Returns the entry that option lines could still follow, because no more input is at hand.
    pub(crate) fn flush_pending(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        if let Some((parser, ..)) = &mut self.list {
            parser.flush_pending(&mut self.numbering, |entry| entries.push(entry));
        }
        self.keep_own_shard(entries)
    }

    fn keep_own_shard(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        if let Some(shard) = self.shard {
            entries.retain(|entry| shard.holds(entry));
        }
        self.kept += entries.len() as u64;
        entries
    }

    /// Whether the current list is one that somebody may be writing while it is read.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.list, Some((_, StreamKind::Live, _)))
    }

    /// Takes the first input that was not read to its end, because it is not a list.
    pub(crate) fn take_unreadable(&mut self) -> Option<ReadError> {
        self.unreadable.take()
    }

    /// The number of entries that were read so far, including those of other shards.
    pub(crate) fn numbered(&self) -> u64 {
        self.numbering.given()
    }

    /// The number of entries that were returned so far.
    pub(crate) fn kept(&self) -> u64 {
        self.kept
    }
}

/// Keeps the reason why a list ended early, which its last entry states.
fn note_unreadable(first: &mut Option<ReadError>, status: ParserStatus, entries: &[Entry]) {
    if status == ParserStatus::Enough
        && first.is_none()
        && let Some(Entry::Invalid(line)) = entries.last()
    {
        let reason = io::Error::new(ErrorKind::InvalidData, line.message.clone());
        *first = Some(ReadError { name: Arc::clone(&line.source), reason });
    }
}

/// The name of a list, or the redacted URL of an argument.
pub(crate) fn source_name(source: &Source) -> String {
    match source {
        Source::Stdin => "-".to_owned(),
        Source::RemoteList(url) => redacted(url),
        Source::File(path) => path.display().to_string(),
        Source::Argument(text) => match list::argument(text, &mut Numbering::default()) {
            Entry::Target(target) => redacted(target.url()),
            Entry::Invalid(invalid) => invalid.text,
        },
    }
}
