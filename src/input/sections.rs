//! Splits a list into sections: the texts of its entries, as they are in the source.

use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use super::{OpenError, OpenInput, OpenList, ReadError, StreamKind, open_file};
use crate::compression::FileCoding;
use crate::list::{Numbering, Parser, ParserStatus};
use crate::model::Entry;
use crate::plan::{CarryChoice, ListOptions, Source};
use crate::streams::stdin;

/// Bytes per read.
const CHUNK: usize = 64 * 1024;

/// The longest section that is read, in bytes.
const MAX_SECTION_BYTES: usize = 64 * 1024 * 1024;

/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of one entry of a list.
#[derive(Debug)]
pub(crate) struct ListSection<'a> {
    /// The entry; `None` for the text before the first one, such as the header of a table.
    pub entry: Option<&'a Entry>,
    /// Its lines, and the comments and blank lines after it, without the end of the last line.
    pub text: &'a [u8],
}

/// Reads the sections of a list.
pub(crate) struct SectionReader {
    list: OpenList,
    parser: Parser,
    numbering: Numbering,
    /// The bytes of the incomplete section.
    text: Vec<u8>,
    /// The offset of the first of them in the list.
    start: u64,
    /// The entry of that section.
    entry: Option<Entry>,
    /// Whether the list is Parquet, whose rows are read as JSON lines.
    is_parquet: bool,
}

/// Opens a list to read its sections.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open_sections(
    source: &Source,
    options: &ListOptions,
) -> Result<SectionReader, OpenError> {
    // The rows of Parquet keep all their columns.
    let with_all_columns = Arc::new(ListOptions { carry: CarryChoice::All, ..options.clone() });
    let path = match source {
        Source::File(path) => path.as_path(),
        Source::Argument(text) => Path::new(text),
        Source::RemoteList(url) => Path::new(url.as_str()),
        Source::Stdin => Path::new("-"),
    };
    let input = match source {
        // Nobody waits for single entries: it is read to its end.
        Source::Stdin => OpenList::input("-", stdin(), StreamKind::AtRest, &with_all_columns),
        _ => open_file(path, &with_all_columns)?,
    };
    let OpenInput::List(list) = input else { unreachable!("a file is a list") };
    let is_parquet = list.options.format != options.format;
    let options = Arc::new(ListOptions { format: list.options.format, ..options.clone() });
    let parser = Parser::of(Arc::clone(&list.name), &options, StreamKind::AtRest);
    let (numbering, text, start, entry) = (Numbering::default(), Vec::new(), 0, None);
    Ok(SectionReader { list, parser, numbering, text, start, entry, is_parquet })
}

impl SectionReader {
    /// Whether the list is Parquet, whose rows are read as JSON lines.
    pub(crate) fn is_parquet(&self) -> bool {
        self.is_parquet
    }

    /// How the list is compressed, once it has been read; `None` if it is not.
    pub(crate) fn coding(&self) -> Option<FileCoding> {
        self.list.bytes.coding()
    }

    /// Reads the list to its end, and passes its sections to `take`, in their order.
    ///
    /// # Errors
    /// The first error of `take`; or if the list cannot be read, or is not a list.
    pub(crate) fn read<E: From<ReadError>>(
        &mut self,
        mut take: impl FnMut(ListSection<'_>, Option<FileCoding>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut chunk = vec![0; CHUNK];
        let mut entries = Vec::new();
        let mut is_first = true;
        loop {
            let length = self.fill(&mut chunk).map_err(|reason| self.error(reason))?;
            let bytes = &chunk[..length];
            let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).filter(|_| is_first).unwrap_or(bytes);
            is_first = false;
            let status = match length {
                0 => self
                    .parser
                    .finish_at(&mut self.numbering, |entry, at| entries.push((entry, at))),
                _ => {
                    self.text.extend_from_slice(bytes);
                    self.parser
                        .feed_at(bytes, &mut self.numbering, |entry, at| entries.push((entry, at)))
                }
            };
            if status == ParserStatus::Enough {
                return Err(self.not_a_list(entries.pop().map(|(entry, _)| entry)).into());
            }
            let coding = self.coding();
            let mut used = 0;
            for (entry, at) in entries.drain(..) {
                let end = (at - self.start) as usize;
                let section = ListSection {
                    entry: self.entry.as_ref(),
                    text: trimmed(&self.text[used..end]),
                };
                take(section, coding)?;
                (self.entry, used) = (Some(entry), end);
            }
            if length == 0 {
                return take(
                    ListSection { entry: self.entry.as_ref(), text: trimmed(&self.text[used..]) },
                    coding,
                );
            }
            self.text.drain(..used);
            self.start += used as u64;
            if self.text.len() > MAX_SECTION_BYTES {
                let reason = format!("more than {} MiB without an entry", MAX_SECTION_BYTES >> 20);
                return Err(self.error(io::Error::other(reason)).into());
            }
        }
    }

    /// Reads the next bytes, and returns their number; 0 at the end.
    fn fill(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.list.bytes.read(chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn error(&self, reason: io::Error) -> ReadError {
        ReadError { name: Arc::clone(&self.list.name), reason }
    }

    fn not_a_list(&self, entry: Option<Entry>) -> ReadError {
        let message = match entry {
            Some(Entry::Invalid(line)) => line.message,
            _ => "not a list of URLs".to_owned(),
        };
        self.error(io::Error::new(ErrorKind::InvalidData, message))
    }
}

/// A text without the ends of lines at its beginning and end.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let start = text.iter().position(|byte| !is_end(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_end(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}
