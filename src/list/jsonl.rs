//! Reads JSON lines: a string with a URL, or an object whose keys are columns, on each line.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Numbering;
use super::columns::{Columns, TableHead};
use super::format::why_not_other_json;
use super::line_kind::without_mark;
use super::lines::{LineLength, Lines, TextLine};
use super::pending::PendingTarget;
use super::rows::{CellValue, MAX_ROW_BYTES, RowPlace};
use crate::model::Entry;
use crate::plan::ListOptions;

/// The most keys of an object.
const MAX_KEYS: usize = 4096;

/// Reads a source of JSON lines.
#[derive(Debug)]
pub(super) struct JsonlReader {
    lines: Lines,
    rows: JsonRows,
}

/// Turns lines into entries.
#[derive(Debug)]
struct JsonRows {
    source: Arc<str>,
    options: Arc<ListOptions>,
    /// The columns, as the first object shows them.
    columns: Option<Columns>,
    /// Whether there has been a row.
    has_begun: bool,
}

impl JsonlReader {
    /// A reader of the source of this name.
    pub(super) fn new(source: Arc<str>, options: Arc<ListOptions>) -> Self {
        let rows = JsonRows { source, options, columns: None, has_begun: false };
        Self { lines: Lines::with_max_length(MAX_ROW_BYTES), rows }
    }

    /// Takes the next bytes. Breaks if the source is not a list.
    pub(super) fn feed(
        &mut self,
        chunk: &[u8],
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let rows = &mut self.rows;
        self.lines.feed(chunk, &mut |line| rows.take(&line, numbering, out))
    }

    /// Hands out the last row, if it has no end. Breaks if the source is not a list.
    pub(super) fn finish(
        &mut self,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let rows = &mut self.rows;
        self.lines.finish(&mut |line| rows.take(&line, numbering, out))
    }
}

impl JsonRows {
    fn take(
        &mut self,
        line: &TextLine<'_>,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let bytes = without_mark(line.bytes).trim_ascii();
        if bytes.is_empty() {
            return ControlFlow::Continue(());
        }
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let place = RowPlace { line: line.number, row: line.number };
        let (draft, flow) = match self.row(bytes, line.extent, is_first, place) {
            Ok(draft) => (draft, ControlFlow::Continue(())),
            Err(reason) => {
                let draft = PendingTarget::of_no_list(line.number, &self.source, reason);
                (draft, ControlFlow::Break(()))
            }
        };
        draft.at(line.offset).hand_out(numbering.give(), &self.source, out);
        flow
    }

    /// The entry of a line.
    ///
    /// # Errors
    /// Why the source is not a list of URLs, by its first line or object.
    fn row(
        &mut self,
        bytes: &[u8],
        extent: LineLength,
        is_first: bool,
        place: RowPlace,
    ) -> Result<PendingTarget, String> {
        let fault = |fault: &str| Ok(place.fault(&String::from_utf8_lossy(bytes), fault));
        if extent == LineLength::Start {
            return fault("exceeds 1 MiB");
        }
        let Ok(text) = str::from_utf8(bytes) else {
            return fault("is not valid UTF-8; convert the list to UTF-8");
        };
        match text.as_bytes()[0] {
            b'"' => match serde_json::from_str::<String>(text) {
                Ok(url) => Ok(PendingTarget::of_text_row(place, &url)),
                Err(error) => fault(&explain_error(&error)),
            },
            b'[' if is_first => Err(why_not_other_json("a JSON array", ".[]", &self.source)),
            b'{' => match self.object(text, place) {
                Ok(draft) => draft,
                Err(error) if is_first && error.is_eof() => {
                    Err(why_not_other_json("JSON over several lines", ".", &self.source))
                }
                Err(error) => fault(&explain_error(&error)),
            },
            _ => fault("expected a JSON string or object"),
        }
    }

    /// The entry of an object.
    ///
    /// # Errors
    /// The outer error is about the JSON; the inner one says which column is missing.
    fn object(
        &mut self,
        text: &str,
        place: RowPlace,
    ) -> Result<Result<PendingTarget, String>, serde_json::Error> {
        if self.columns.is_none() {
            let object: JsonObject<'_> = parse_object(text, ObjectVisitor { columns: None })?;
            let texts: Vec<_> = object.further.iter().map(|(_, value)| text_of(value)).collect();
            let first: Vec<_> = texts.iter().map(Option::as_deref).collect();
            let names = object.further.iter().map(|(name, _)| name.as_ref().into()).collect();
            let head = TableHead { names, first: &first, is_open: true };
            match head.columns(&self.options) {
                Ok(columns) => self.columns = Some(columns),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let columns = self.columns.as_ref().expect("it was just set");
        let object = parse_object(text, ObjectVisitor { columns: Some(columns) })?;
        let cell =
            |column: usize| object.values[column].map_or(CellValue::Missing, CellValue::Json);
        Ok(Ok(columns.entry(place, cell, &object.further)))
    }
}

/// What is wrong with the JSON of a line. The number of the line is left out, as the parser always reports 1.
fn explain_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.replace(" at line 1 column ", " at byte ");
    format!("invalid JSON: {text}")
}

/// The text of a JSON string; `None` if it is another value.
fn text_of(json: &str) -> Option<String> {
    if json.starts_with('"') { serde_json::from_str(json).ok() } else { None }
}

fn parse_object<'a>(
    text: &'a str,
    visitor: ObjectVisitor<'_>,
) -> Result<JsonObject<'a>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let object = json.deserialize_map(visitor)?;
    json.end()?;
    Ok(object)
}

/// An object of one line.
struct JsonObject<'a> {
    /// The JSON of each column's value.
    values: Vec<Option<&'a str>>,
    /// Keys that are not columns, with the JSON of their values.
    further: Vec<(Cow<'a, str>, &'a str)>,
}

/// Reads an object: its columns, and the other keys if they are carried or the columns are not known.
struct ObjectVisitor<'c> {
    columns: Option<&'c Columns>,
}

/// A key, borrowed if it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Visitor<'a> for ObjectVisitor<'_> {
    type Value = JsonObject<'a>;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<JsonObject<'a>, A::Error> {
        let names = self.columns.map_or(&[][..], |columns| &columns.names);
        let keeps_others = self.columns.is_none_or(|columns| columns.carries_all);
        let mut object = JsonObject { values: vec![None; names.len()], further: Vec::new() };
        // The keys of most lines are in the same order.
        let mut next = 0;
        while let Some(Key(key)) = map.next_key()? {
            let column = match names.get(next) {
                Some(name) if **name == *key => Some(next),
                _ => names.iter().position(|name| **name == *key),
            };
            next = column.map_or(next, |column| column + 1);
            match column {
                Some(column) => object.values[column] = Some(map.next_value::<&RawValue>()?.get()),
                None if keeps_others => {
                    let value = map.next_value::<&RawValue>()?.get();
                    match object.further.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, known)) => *known = value,
                        None => object.further.push((key, value)),
                    }
                    if object.further.len() > MAX_KEYS {
                        return Err(A::Error::custom("more than 4096 keys"));
                    }
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(object)
    }
}
