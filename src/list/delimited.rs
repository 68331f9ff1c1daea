//! Reads CSV (RFC 4180), with any delimiter, with a header or without. One row is in memory.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use memchr::{memchr_iter, memchr2_iter};

use super::Numbering;
use super::columns::{Columns, TableHead, column_number, distinct_names};
use super::format::delimiter_line;
use super::other_formats::{names_urls, position_of_url};
use super::pending::PendingTarget;
use super::rows::{CellValue, MAX_ROW_BYTES, RowPlace};
use super::urls::names_a_host;
use crate::model::Entry;
use crate::plan::ListOptions;

/// The most columns of a table.
const MAX_COLUMNS: usize = 16 * 1024;

/// Reads a source of comma-separated values.
#[derive(Debug)]
pub(super) struct CsvReader {
    source: Arc<str>,
    options: Arc<ListOptions>,
    delimiter: char,
    core: Reader,
    row: PartialRow,
    /// The line number of the next byte.
    line: u64,
    /// The number of rows so far, including the header.
    rows: u64,
    /// The bytes of the source from the beginning of the current row to the next byte to read.
    at: Range<u64>,
    state: TableState,
}

/// How much is known about the columns.
#[derive(Debug)]
enum TableState {
    /// Nothing.
    Start,
    /// Their names. The first row may show which column has the URLs.
    Named(Vec<Box<str>>),
    /// Everything.
    Known(Columns),
}

/// The row that is being read.
#[derive(Debug)]
struct PartialRow {
    /// The cells, one after another, without delimiters and quotes around them.
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    /// Bytes of `text` that are used.
    length: usize,
    /// Cells that are complete.
    cells: usize,
    /// The last byte of the source that was read.
    last: u8,
    /// The number of quotes in the bytes of the row; it is even if all are closed.
    quotes: usize,
    /// The line at which the row begins, if the row is too long to be kept.
    too_long: Option<u64>,
}

impl PartialRow {
    fn new() -> Self {
        Self {
            text: vec![0; 1024],
            ends: vec![0; 16],
            length: 0,
            cells: 0,
            last: 0,
            quotes: 0,
            too_long: None,
        }
    }

    /// The cell of this column; `None` if the row ends before it.
    fn cell(&self, column: usize) -> Option<&[u8]> {
        let end = *self.ends[..self.cells].get(column)?;
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        Some(&self.text[start..end])
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.cells).filter_map(|column| self.cell(column))
    }

    /// The number of line ends within its cells.
    fn inner_line_ends(&self) -> u64 {
        count_line_ends(&self.text[..self.length], 0)
    }

    /// Makes room for more, or gives up on the row. `line` is the current line of the reader.
    fn grow(&mut self, result: &ReadRecordResult, line: u64) {
        let has_room = match result {
            ReadRecordResult::OutputFull => self.text.len() < MAX_ROW_BYTES,
            _ => self.ends.len() < MAX_COLUMNS,
        };
        match (self.too_long, result) {
            (None, ReadRecordResult::OutputFull) if has_room => {
                self.text.resize(2 * self.text.len(), 0);
            }
            (None, _) if has_room => self.ends.resize(2 * self.ends.len(), 0),
            (too_long, _) => {
                self.too_long = too_long.or_else(|| Some(line - self.inner_line_ends()));
                (self.length, self.cells) = (0, 0);
            }
        }
    }

    fn clear(&mut self) {
        (self.length, self.cells, self.quotes, self.too_long) = (0, 0, 0, None);
        // The memory of one long row is not kept.
        if self.text.len() > 64 * 1024 {
            self.text = vec![0; 1024];
        }
    }
}

impl CsvReader {
    /// A reader of the source of this name.
    pub(super) fn new(source: Arc<str>, options: Arc<ListOptions>, delimiter: u8) -> Self {
        let core = ReaderBuilder::new().delimiter(delimiter).build();
        let (row, state, delimiter) = (PartialRow::new(), TableState::Start, delimiter.into());
        Self { source, options, delimiter, core, row, line: 1, rows: 0, at: 0..0, state }
    }

    /// Takes the next bytes. Breaks if the source is not a table of URLs.
    pub(super) fn feed(
        &mut self,
        chunk: &[u8],
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let mut rest = chunk;
        while !rest.is_empty() {
            rest = &rest[self.read(rest, numbering, out)?..];
        }
        ControlFlow::Continue(())
    }

    /// Hands out the last row, if it has no end. Breaks if the source is not a table, or ends within quotes.
    pub(super) fn finish(
        &mut self,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        // An open quote has swallowed the rows after it.
        let row = &self.row;
        let lines = row.inner_line_ends();
        if row.quotes % 2 == 1 && (lines > 0 || row.too_long.is_some()) {
            let line = row.too_long.unwrap_or(self.line - lines);
            let fault = "a quote is not closed; the rows after it are not read".to_owned();
            return self.refuse(line, format!("row {}: {fault}", self.rows + 1), numbering, out);
        }
        // Each call returns a row or the end.
        while self.read(b"", numbering, out)? > 0 {}
        ControlFlow::Continue(())
    }

    /// Reads up to the end of a row. Returns the number of bytes that it took; at the end of the source (no bytes), 0 if
    /// there was no further row.
    fn read(
        &mut self,
        bytes: &[u8],
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<(), usize> {
        let row = &mut self.row;
        let (text, ends) = (&mut row.text[row.length..], &mut row.ends[row.cells..]);
        let (result, taken, length, cells) = self.core.read_record(bytes, text, ends);
        self.at.end += taken as u64;
        row.length += length;
        row.cells += cells;
        row.quotes += memchr_iter(b'"', &bytes[..taken]).count();
        self.line += count_line_ends(&bytes[..taken], row.last);
        row.last = bytes[..taken].last().copied().unwrap_or(row.last);
        match result {
            ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                row.grow(&result, self.line);
                return ControlFlow::Continue(if bytes.is_empty() { 1 } else { taken });
            }
            ReadRecordResult::Record => {
                self.rows += 1;
                let flow = self.take_row(numbering, out);
                self.row.clear();
                self.at.start = self.at.end;
                flow?;
                return ControlFlow::Continue(if bytes.is_empty() { 1 } else { taken });
            }
        }
        ControlFlow::Continue(taken)
    }

    fn take_row(
        &mut self,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let (row, source, at) = (&self.row, Arc::clone(&self.source), self.at.start);
        let mut hand_out = |draft: PendingTarget, numbering: &mut Numbering| {
            draft.at(at).hand_out(numbering.give(), &source, out);
        };
        let own_end = u64::from(matches!(row.last, b'\n' | b'\r'));
        let line = row.too_long.unwrap_or(self.line - row.inner_line_ends() - own_end);
        let place = RowPlace { line, row: self.rows };
        if row.too_long.is_some() {
            hand_out(place.fault(&source, "exceeds 1 MiB; is a quote left open?"), numbering);
            return ControlFlow::Continue(());
        }
        // Spreadsheets leave rows of empty cells below the last row.
        if row.length == 0 {
            return ControlFlow::Continue(());
        }
        if let TableState::Known(columns) = &self.state {
            hand_out(row_entry(row, columns, place, self.delimiter), numbering);
            return ControlFlow::Continue(());
        }
        match self.begin(place) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(columns)) => {
                hand_out(row_entry(&self.row, &columns, place, self.delimiter), numbering);
                self.state = TableState::Known(columns);
                ControlFlow::Continue(())
            }
            Err(reason) => self.refuse(line, reason, numbering, out),
        }
    }

    /// Takes a row while the columns are not known: a comment, the header, or the first row. Returns the columns if the row has
    /// data.
    fn begin(&mut self, place: RowPlace) -> Result<Option<Columns>, String> {
        let row = &self.row;
        let cells: Result<Vec<_>, _> = row.cells().map(str::from_utf8).collect();
        let cells = cells.map_err(|_| {
            format!("row {}: is not valid UTF-8; convert the list to UTF-8", place.row)
        })?;
        let columns = |names| {
            let first: Vec<_> = cells.iter().copied().map(Some).collect();
            TableHead { names, first: &first, is_open: false }.columns(&self.options).map(Some)
        };
        if let TableState::Named(names) = &mut self.state {
            return columns(std::mem::take(names));
        }
        let is_comment = matches!(cells[..], [comment] if comment.starts_with('#'));
        if is_comment || place.row == 1 && self.names_delimiter(&cells) {
            return Ok(None);
        }
        if !is_header(&cells, &self.options) {
            return columns((1..=cells.len()).map(|number| number.to_string().into()).collect());
        }
        let names = distinct_names(cells.iter().map(|name| name.trim().to_owned()));
        // If the header alone shows the columns, no first row is needed.
        let head = TableHead { names: names.clone(), first: &[], is_open: false };
        self.state = match head.columns(&self.options) {
            Ok(columns) => TableState::Known(columns),
            Err(_) => TableState::Named(names),
        };
        Ok(None)
    }

    /// Whether a row is a line such as `sep=;`, which is cut in two if it names the delimiter in use.
    fn names_delimiter(&self, cells: &[&str]) -> bool {
        match cells {
            [line] => delimiter_line(line).is_some(),
            [line, ""] => delimiter_line(&format!("{line}{}", self.delimiter)).is_some(),
            _ => false,
        }
    }

    /// Hands out the one entry of a source that is not a table of URLs, which says why.
    fn refuse(
        &self,
        line: u64,
        reason: String,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let draft = PendingTarget::of_no_list(line, &self.source, reason);
        draft.hand_out(numbering.give(), &self.source, out);
        ControlFlow::Break(())
    }
}

/// The number of line ends in these bytes: LF, CR LF, or CR. `last` is the byte before them.
fn count_line_ends(bytes: &[u8], last: u8) -> u64 {
    let before = |at: usize| if at == 0 { last } else { bytes[at - 1] };
    let is_end = |at: &usize| bytes[*at] == b'\r' || before(*at) != b'\r';
    memchr2_iter(b'\n', b'\r', bytes).filter(is_end).count() as u64
}

/// The entry of a row in a table with these columns.
fn row_entry(
    row: &PartialRow,
    columns: &Columns,
    place: RowPlace,
    delimiter: char,
) -> PendingTarget {
    let (cells, expected) = (row.cells, columns.names.len());
    if cells > expected {
        let first = row.cell(columns.url).map(String::from_utf8_lossy).unwrap_or_default();
        let fault = format!(
            "{cells} columns, expected {expected}; put quotes around a cell with '{}'",
            delimiter.escape_default()
        );
        return place.fault(&first, &fault);
    }
    columns.entry(place, |column| row.cell(column).map_or(CellValue::Missing, CellValue::Text), &[])
}

/// Whether the first row is a header: an option names a column, or no cell looks like a URL.
fn is_header(cells: &[&str], options: &ListOptions) -> bool {
    if options.columns().any(|(_, name)| column_number(name).is_none()) {
        return true;
    }
    let is_data = |cell: &str| {
        let cell = cell.trim();
        position_of_url(cell) == Some(0)
            || cell.contains("://")
            || names_a_host(cell) && cell.contains('.') && !names_urls(cell)
    };
    let url = options.url_column.as_deref().and_then(column_number);
    match url.and_then(|number| cells.get(number - 1)) {
        Some(cell) => !is_data(cell),
        None => !cells.iter().any(|cell| is_data(cell)),
    }
}
