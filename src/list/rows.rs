//! Turns the rows of a table into entries.

use std::borrow::Cow;
use std::sync::Arc;

use super::columns::{Columns, display_name};
use super::line_kind::control_fault;
use super::options;
use super::pending::{PendingTarget, RowTarget};
use super::wrapping::trimmed;
use crate::digest::Digest;
use crate::model::{CarriedColumns, CarriedWriter};
use crate::redaction::redacted_line;

/// The longest row that is read, in bytes.
pub(super) const MAX_ROW_BYTES: usize = 1024 * 1024;

/// The content of a cell.
#[derive(Debug, Clone, Copy)]
pub(super) enum CellValue<'a> {
    /// Nothing: the row ends before it, or has no such key.
    Missing,
    /// Text, as bytes.
    Text(&'a [u8]),
    /// A JSON value, on one line.
    Json(&'a str),
}

impl<'a> CellValue<'a> {
    /// The text; `None` if the cell is missing, null or blank.
    fn text(self) -> Result<Option<Cow<'a, str>>, String> {
        let text = match self {
            Self::Missing | Self::Json("null") => return Ok(None),
            Self::Text(bytes) => {
                Cow::Borrowed(str::from_utf8(bytes).map_err(|_| NOT_UTF8.to_owned())?)
            }
            Self::Json(json) if json.starts_with('"') => {
                Cow::Owned(serde_json::from_str(json).map_err(|error| error.to_string())?)
            }
            Self::Json(json) if json.starts_with(['{', '[', 't', 'f']) => {
                return Err("is not a text".to_owned());
            }
            Self::Json(number) => Cow::Borrowed(number),
        };
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
    }

    /// Adds the cell to the carried columns.
    fn carry(self, name: &str, carried: &mut CarriedWriter) -> Result<(), String> {
        match self {
            Self::Missing => carried.json(name, "null"),
            Self::Text(bytes) => {
                carried.text(name, str::from_utf8(bytes).map_err(|_| NOT_UTF8.to_owned())?);
            }
            Self::Json(json) => carried.json(name, ensure_unicode(json)?),
        }
        Ok(())
    }
}

/// Ensures that the strings of a JSON value are Unicode: escapes may be unpaired surrogates, which no reader accepts.
fn ensure_unicode(json: &str) -> Result<&str, String> {
    let has_escape = json.contains("\\u");
    match has_escape && serde_json::from_str::<serde_json::Value>(json).is_err() {
        true => Err("is not valid Unicode".to_owned()),
        false => Ok(json),
    }
}

const NOT_UTF8: &str = "is not valid UTF-8; convert the list to UTF-8";

/// Where a row is.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowPlace {
    /// The line of the source on which it begins.
    pub line: u64,
    /// Its number among the rows, the header included.
    pub row: u64,
}

impl RowPlace {
    /// The invalid entry of a row with this fault.
    pub(super) fn fault(self, text: &str, fault: &str) -> PendingTarget {
        PendingTarget::of_bad_row(
            self.line,
            redacted_line(text),
            format!("row {}: {fault}", self.row),
        )
    }

    /// The message about a fault of a column.
    fn at_column(self, columns: &Columns, column: usize, fault: &str) -> String {
        format!("row {}, column '{}': {fault}", self.row, display_name(&columns.names[column]))
    }
}

impl Columns {
    /// The entry of a row. `further` are carried columns that are not among `names`.
    pub(super) fn entry<'a>(
        &self,
        place: RowPlace,
        cell: impl Fn(usize) -> CellValue<'a>,
        further: &[(Cow<'_, str>, &str)],
    ) -> PendingTarget {
        let mut target = RowTarget::default();
        let labels = self.read_labels(place, &cell, further, &mut target);
        let url = cell(self.url).text();
        let text = url.as_ref().ok().and_then(Option::as_deref).unwrap_or_default();
        let read = labels.and_then(|()| {
            let at_column = |column, fault: &str| place.at_column(self, column, fault);
            match &url {
                Ok(Some(text)) => {
                    target.read_url(text).map_err(|fault| at_column(self.url, &fault))?;
                }
                Ok(None) => return Err(at_column(self.url, "is empty, expected a URL")),
                Err(fault) => return Err(at_column(self.url, fault)),
            }
            self.read_options(place, &cell, &mut target)
        });
        PendingTarget::of_row(place.line, text, target, read)
    }

    /// Reads the id and the carried columns, which the record of an invalid row has too.
    fn read_labels<'a>(
        &self,
        place: RowPlace,
        cell: impl Fn(usize) -> CellValue<'a>,
        further: &[(Cow<'_, str>, &str)],
        target: &mut RowTarget,
    ) -> Result<(), String> {
        if let Some(column) = self.id {
            let id = cell(column).text().and_then(trimmed_text);
            let id = id.map_err(|fault| place.at_column(self, column, &fault))?;
            if id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
                return Err(place.at_column(self, column, "exceeds 4 KiB"));
            }
            target.options.id = id.as_deref().map(Arc::from);
        }
        if self.carried.is_empty() && !self.carries_all {
            return Ok(());
        }
        let mut carried = CarriedWriter::default();
        let too_long = || format!("row {}: the carried columns exceed 32 KiB", place.row);
        for column in &self.carried {
            cell(*column)
                .carry(&self.names[*column], &mut carried)
                .map_err(|fault| place.at_column(self, *column, &fault))?;
            if carried.length() > CarriedColumns::MAX_BYTES {
                return Err(too_long());
            }
        }
        for (name, value) in further {
            let value = ensure_unicode(value).map_err(|fault| {
                format!("row {}, column '{}': {fault}", place.row, display_name(name))
            })?;
            carried.json(name, value);
        }
        target.options.carried = Some(carried.finish().ok_or_else(too_long)?);
        Ok(())
    }

    /// Reads the name of the file and the checksum.
    fn read_options<'a>(
        &self,
        place: RowPlace,
        cell: impl Fn(usize) -> CellValue<'a>,
        target: &mut RowTarget,
    ) -> Result<(), String> {
        let text = |column: usize| cell(column).text().and_then(trimmed_text);
        if let Some(column) = self.out {
            let name =
                text(column).and_then(|name| name.as_deref().map(options::parse_out).transpose());
            target.options.out = name.map_err(|fault| place.at_column(self, column, &fault))?;
        }
        if let Some(column) = self.checksum {
            let digest =
                text(column).and_then(|text| text.map(|text| self.digest(&text)).transpose());
            target.options.checksum =
                digest.map_err(|fault| place.at_column(self, column, &fault))?;
        }
        Ok(())
    }

    /// The checksum of a cell: `ALGORITHM=HEX`, or the digits alone if the column is named after the algorithm.
    fn digest(&self, text: &str) -> Result<Digest, String> {
        match self.algorithm {
            Some(algorithm) if !text.contains('=') => Digest::parse_hex(algorithm, text)
                .ok_or_else(|| {
                    let digits = 2 * algorithm.length();
                    format!("invalid checksum, expected {digits} hex digits")
                }),
            _ => options::parse_checksum(text),
        }
    }
}

/// The text without whitespace around it, as in a text list.
///
/// # Errors
/// If it has a control character.
fn trimmed_text(text: Option<Cow<'_, str>>) -> Result<Option<String>, String> {
    let Some(text) = text else { return Ok(None) };
    let text = trimmed(&text);
    control_fault(text).map_or_else(|| Ok(Some(text.to_owned())), |fault| Err(fault.to_owned()))
}

/// The longest id, in bytes.
const MAX_ID_BYTES: usize = 4 * 1024;
