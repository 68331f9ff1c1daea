//! Reads the rows of Parquet as JSON lines, so that columns mean the same as in other tables. Only the columns that are needed
//! are read, one row group after another, page by page.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use crate::list::{missing_column, position_of_column, url_column_by_name};
use crate::plan::{CarryChoice, ListFormat, ListOptions};

/// How Parquet files begin.
const MAGIC: [u8; 4] = *b"PAR1";

/// Whether a file is to be read as Parquet: an option says so, or it begins like Parquet.
pub(super) fn is_parquet(file: &File, options: &ListOptions) -> bool {
    let mut start = [0; MAGIC.len()];
    let mut has_magic = || file.read_exact_at(&mut start, 0).is_ok() && start == MAGIC;
    match options.format {
        ListFormat::Parquet => true,
        ListFormat::Auto => has_magic(),
        _ => false,
    }
}

/// Rows that are decoded at a time, of each column.
const BATCH_ROWS: usize = 256;

/// The rows of a file, as JSON lines.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    line: Vec<u8>,
    /// Bytes of the line that were read.
    position: usize,
}

impl ParquetRows {
    /// Opens a file.
    ///
    /// # Errors
    /// If it is not a Parquet file, or lacks a column that is needed.
    pub(super) fn open(file: File, options: &ListOptions) -> io::Result<Self> {
        catch_panic(|| {
            let reader = SerializedFileReader::new(file)?;
            let schema = reader.metadata().file_metadata().schema();
            let names: Vec<Box<str>> =
                schema.get_fields().iter().map(|field| field.name().into()).collect();
            if let Some(missing) = missing_column(&names, options) {
                return Err(ParquetError::General(missing));
            }
            let needed = needed_columns(schema, &names, options)?;
            let rows = RowIter::from_file_into(Box::new(reader)).project(needed)?;
            Ok(Self { rows: rows.with_batch_size(BATCH_ROWS), line: Vec::new(), position: 0 })
        })
    }

    /// Makes the line of the next row. Returns whether there is one.
    fn next_line(&mut self) -> io::Result<bool> {
        let Some(row) = catch_panic(|| self.rows.next().transpose())? else { return Ok(false) };
        self.line.clear();
        self.position = 0;
        write_line(&row, &mut self.line)?;
        Ok(true)
    }
}

impl Read for ParquetRows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.line.len() && !self.next_line()? {
            return Ok(0);
        }
        let length = buffer.len().min(self.line.len() - self.position);
        buffer[..length].copy_from_slice(&self.line[self.position..self.position + length]);
        self.position += length;
        Ok(length)
    }
}

/// The columns that are needed; `None` if all are, or if only the first row will tell.
fn needed_columns(
    schema: &Type,
    names: &[Box<str>],
    options: &ListOptions,
) -> Result<Option<Type>, ParquetError> {
    let url = options.url_column.as_deref().map(|name| position_of_column(names, name));
    let Some(url) = url.unwrap_or_else(|| url_column_by_name(names)) else { return Ok(None) };
    let is_by_number = |(_, name): (_, &str)| !names.iter().any(|known| **known == *name);
    if options.carry == CarryChoice::All || options.columns().any(is_by_number) {
        return Ok(None);
    }
    let named = options.columns().filter_map(|(_, name)| position_of_column(names, name));
    let mut columns: Vec<_> = named.chain([url]).collect();
    columns.sort_unstable();
    columns.dedup();
    let fields = columns.into_iter().map(|column| schema.get_fields()[column].clone()).collect();
    Type::group_type_builder(schema.name()).with_fields(fields).build().map(Some)
}

fn write_line(row: &Row, line: &mut Vec<u8>) -> io::Result<()> {
    for (number, (name, field)) in row.get_column_iter().enumerate() {
        line.push(if number == 0 { b'{' } else { b',' });
        serde_json::to_writer(&mut *line, name)?;
        line.push(b':');
        match field {
            // Older writers do not say which bytes are text.
            Field::Bytes(bytes) => match str::from_utf8(bytes.data()) {
                Ok(text) => serde_json::to_writer(&mut *line, text)?,
                Err(_) => serde_json::to_writer(&mut *line, &field.to_json_value())?,
            },
            _ => serde_json::to_writer(&mut *line, &field.to_json_value())?,
        }
    }
    line.extend_from_slice(b"}\n");
    Ok(())
}

/// Runs `work` on a file that may be damaged: the library panics on some damage.
fn catch_panic<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> io::Result<T> {
    let damaged = |reason: String| io::Error::other(format!("damaged Parquet file ({reason})"));
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(ParquetError::General(reason))) => Err(io::Error::other(reason)),
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("its pages do not fit together".to_owned())),
    }
}
