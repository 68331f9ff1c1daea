//! Reads Parquet as the JSON lines of its rows, so that the columns mean what they mean in other tables. Only the columns
//! that are needed are read, a row group after another, page by page.

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

/// Whether a file is to be read as Parquet: that was said, or it begins so.
pub(super) fn is_parquet(file: &File, options: &ListOptions) -> bool {
    let mut start = [0; MAGIC.len()];
    let mut begins_so = || file.read_exact_at(&mut start, 0).is_ok() && start == MAGIC;
    match options.format {
        ListFormat::Parquet => true,
        ListFormat::Auto => begins_so(),
        _ => false,
    }
}

/// Rows that are decoded of each column at a time.
const BATCH: usize = 256;

/// The rows of a file, as JSON lines.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    line: Vec<u8>,
    /// Bytes of the line that were read.
    read: usize,
}

impl ParquetRows {
    /// Opens a file.
    ///
    /// # Errors
    /// If it is no Parquet file, or lacks a column that is needed.
    pub(super) fn open(file: File, options: &ListOptions) -> io::Result<Self> {
        guarded(|| {
            let reader = SerializedFileReader::new(file)?;
            let schema = reader.metadata().file_metadata().schema();
            let names: Vec<Box<str>> =
                schema.get_fields().iter().map(|field| field.name().into()).collect();
            if let Some(missing) = missing_column(&names, options) {
                return Err(ParquetError::General(missing));
            }
            let needed = needed(schema, &names, options)?;
            let rows = RowIter::from_file_into(Box::new(reader)).project(needed)?;
            Ok(Self { rows: rows.with_batch_size(BATCH), line: Vec::new(), read: 0 })
        })
    }

    /// Makes the line of the next row. Returns whether there is one.
    fn next_line(&mut self) -> io::Result<bool> {
        let Some(row) = guarded(|| self.rows.next().transpose())? else { return Ok(false) };
        self.line.clear();
        self.read = 0;
        write_line(&row, &mut self.line)?;
        Ok(true)
    }
}

impl Read for ParquetRows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.line.len() && !self.next_line()? {
            return Ok(0);
        }
        let length = buffer.len().min(self.line.len() - self.read);
        buffer[..length].copy_from_slice(&self.line[self.read..self.read + length]);
        self.read += length;
        Ok(length)
    }
}

/// The columns that are needed; `None` if that is all of them, or if they are known only by the first row.
fn needed(
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

/// Does this with a file that may be damaged: the library gives up on some damage with a panic.
fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> io::Result<T> {
    let damaged = |reason: String| io::Error::other(format!("damaged Parquet file ({reason})"));
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(ParquetError::General(reason))) => Err(io::Error::other(reason)),
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("its pages do not fit together".to_owned())),
    }
}
