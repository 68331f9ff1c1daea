//! Parses lists into numbered entries: one for every URL, and one for every invalid line or row. Pure: the caller feeds
//! bytes as they arrive, and takes the entries that they complete.

mod columns;
mod delimited;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod header;
mod jsonl;
mod line_kind;
mod lines;
mod options;
mod other_formats;
mod pending;
mod rows;
mod scheme;
mod text_list;
mod urls;
mod wrapping;

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::model::Entry;
use crate::plan::ListOptions;
use delimited::CsvReader;
use format::{FirstLines, FormatRule, SourceFormat};
use jsonl::JsonlReader;
use other_formats::file_argument;
use pending::PendingTarget;
use text_list::TextReader;

#[cfg(feature = "parquet")]
pub(crate) use columns::{missing_column, position_of_column, url_column_by_name};
pub use format::StreamKind;
pub(crate) use header::{MAX_FIELDS, field};

/// Numbers the entries of a run from 1, across all its sources.
#[derive(Debug, Default)]
pub struct Numbering {
    given: u64,
}

impl Numbering {
    /// The number of entries so far.
    pub fn given(&self) -> u64 {
        self.given
    }

    fn give(&mut self) -> u64 {
        self.given += 1;
        self.given
    }
}

/// Whether the parser needs more of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a source that is no list need not be read to its end"]
pub enum ParserStatus {
    /// There may be more entries.
    More,
    /// The source is not a list; the last entry says so. Further bytes are ignored.
    Enough,
}

/// Whether a text begins with `scheme://`, with any scheme, and so is meant to be a URL.
pub(crate) fn begins_with_a_scheme(text: &str) -> bool {
    scheme::split_scheme(text).is_some()
}

/// The URL that was meant by a text without `scheme://`; `None` if that is in doubt.
pub(crate) fn meant_url(text: &str) -> Option<String> {
    urls::meant_url(text)
}

/// The entry of a URL that was typed on the command line.
pub(crate) fn argument(text: &str, numbering: &mut Numbering) -> Entry {
    PendingTarget::of_argument(text).finish(numbering.give(), Arc::from("argument"))
}

/// Reads one source. Feed it chunks as they arrive, then [`finish`](Self::finish) it, once.
///
/// An entry of a text list is handed out as soon as the next one begins, since option lines may follow it; if no next line
/// is available yet, [`flush_pending`](Self::flush_pending) hands it out. One chunk yields at most 20 entries more than it
/// has lines, so the size of a chunk bounds how many entries a caller gets at once.
#[derive(Debug)]
pub struct Parser {
    source: Arc<str>,
    reader: ListReader,
    status: ParserStatus,
    /// Whether column options were given but the list has no columns; reset once a notice about that was returned.
    lacks_columns: bool,
}

/// The reader of the source, by its format.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each list")]
enum ListReader {
    /// Nothing yet: the format is decided by the first lines, which are kept.
    Undecided(FirstLines, Arc<ListOptions>),
    Text(TextReader),
    Csv(Box<CsvReader>),
    Jsonl(Box<JsonlReader>),
}

impl Parser {
    /// A parser for the text list of this name.
    pub fn new(source: Arc<str>) -> Self {
        let reader = ListReader::Text(TextReader::new(Arc::clone(&source)));
        Self { source, reader, status: ParserStatus::More, lacks_columns: false }
    }

    /// A parser for the list of this name, whose format is decided by the options, the name and the first lines.
    pub fn of(source: Arc<str>, options: &Arc<ListOptions>, arrival: StreamKind) -> Self {
        let reader = match FormatRule::of(&source, options, arrival) {
            FormatRule::Text => ListReader::Text(TextReader::new(Arc::clone(&source))),
            rule => ListReader::Undecided(FirstLines::new(rule), Arc::clone(options)),
        };
        Self { source, reader, status: ParserStatus::More, lacks_columns: false }
    }

    /// Takes the next bytes of the source, cut anywhere, and hands out every entry that they complete.
    pub fn feed(
        &mut self,
        chunk: &[u8],
        numbering: &mut Numbering,
        mut out: impl FnMut(Entry),
    ) -> ParserStatus {
        self.feed_at(chunk, numbering, |entry, _| out(entry))
    }

    /// Like [`feed`](Self::feed), and passes the byte of the source at which each entry begins, not counting a byte order mark.
    pub(crate) fn feed_at(
        &mut self,
        chunk: &[u8],
        numbering: &mut Numbering,
        mut out: impl FnMut(Entry, u64),
    ) -> ParserStatus {
        if self.status == ParserStatus::More && !chunk.is_empty() {
            self.status = status_after(self.take(chunk, numbering, &mut out));
        }
        self.status
    }

    fn take(
        &mut self,
        chunk: &[u8],
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        match &mut self.reader {
            ListReader::Undecided(first, _) => {
                let Some(format) = first.add(chunk) else { return ControlFlow::Continue(()) };
                self.begin(format, numbering, out)
            }
            ListReader::Text(reader) => reader.feed(chunk, numbering, out),
            ListReader::Csv(reader) => reader.feed(chunk, numbering, out),
            ListReader::Jsonl(reader) => reader.feed(chunk, numbering, out),
        }
    }

    /// Reads the first lines, now that their format is known.
    fn begin(
        &mut self,
        format: SourceFormat,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let ListReader::Undecided(first, options) = &mut self.reader else {
            return ControlFlow::Continue(());
        };
        let (bytes, options) = (first.take(), Arc::clone(options));
        let is_text = format == SourceFormat::Text && !bytes.is_empty();
        self.lacks_columns = is_text && options.are_about_tables();
        let source = || Arc::clone(&self.source);
        self.reader = match format {
            SourceFormat::Text => ListReader::Text(TextReader::new(source())),
            SourceFormat::Csv(delimiter) => {
                ListReader::Csv(Box::new(CsvReader::new(source(), options, delimiter)))
            }
            SourceFormat::Jsonl => ListReader::Jsonl(Box::new(JsonlReader::new(source(), options))),
            SourceFormat::Parquet => {
                return self.refuse(format::why_not_parquet(&self.source), numbering, out);
            }
            SourceFormat::NoList(reason) => {
                let reason = reason.replace(line_kind::FILE, &file_argument(&self.source));
                return self.refuse(reason, numbering, out);
            }
        };
        self.take(&bytes, numbering, out)
    }

    /// Hands out the one entry of a source that is not a list, which says why.
    fn refuse(
        &self,
        reason: String,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let draft = PendingTarget::of_no_list(1, &self.source, reason);
        draft.hand_out(numbering.give(), &self.source, out);
        ControlFlow::Break(())
    }

    /// Hands out an entry that option lines could still follow, because no more input is available at the moment. Does
    /// nothing if the next line has begun with whitespace, as an option line does.
    pub fn flush_pending(&mut self, numbering: &mut Numbering, mut out: impl FnMut(Entry)) {
        if let ListReader::Text(reader) = &mut self.reader {
            reader.flush_pending(numbering, &mut |entry, _| out(entry));
        }
    }

    /// Takes the notices about ignored options that were not returned before, each with the option's name.
    pub(crate) fn take_ignored(&mut self) -> Vec<(&'static str, String)> {
        let source = &self.source;
        let lacks_columns = std::mem::take(&mut self.lacks_columns).then(|| {
            let said = "a text list has no columns; options for columns do not apply to it";
            ("", format!("{source}: {said}"))
        });
        let ListReader::Text(reader) = &mut self.reader else { return Vec::new() };
        let ignored = reader.take_ignored().iter();
        let ignored = ignored.map(|((name, instead), line)| {
            let instead =
                if instead.is_empty() { String::new() } else { format!("; use {instead}") };
            (*name, format!("{source}:{line}: option '{name}' of aria2 is ignored{instead}"))
        });
        lacks_columns.into_iter().chain(ignored).collect()
    }

    /// Hands out what is left, at the end of the source. Returns `Enough` if it was not a list.
    pub fn finish(
        &mut self,
        numbering: &mut Numbering,
        mut out: impl FnMut(Entry),
    ) -> ParserStatus {
        self.finish_at(numbering, |entry, _| out(entry))
    }

    /// Like [`finish`](Self::finish), and passes the byte of the source at which each entry begins.
    pub(crate) fn finish_at(
        &mut self,
        numbering: &mut Numbering,
        mut out: impl FnMut(Entry, u64),
    ) -> ParserStatus {
        if self.status == ParserStatus::More {
            self.status = status_after(self.end(numbering, &mut out));
        }
        self.status
    }

    fn end(
        &mut self,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        if let ListReader::Undecided(first, _) = &mut self.reader {
            let format = first.decide_at_the_end();
            self.begin(format, numbering, out)?;
        }
        match &mut self.reader {
            ListReader::Undecided(..) => ControlFlow::Continue(()),
            ListReader::Text(reader) => reader.finish(numbering, out),
            ListReader::Csv(reader) => reader.finish(numbering, out),
            ListReader::Jsonl(reader) => reader.finish(numbering, out),
        }
    }
}

fn status_after(flow: ControlFlow<()>) -> ParserStatus {
    if flow.is_continue() { ParserStatus::More } else { ParserStatus::Enough }
}

#[cfg(test)]
mod tests;
