//! The report as comma-separated values (RFC 4180): a header row, then a row per record. Pure.
//!
//! A table is opened in spreadsheets, which take a cell that starts like a formula for one. Such text (`=`, `+`, `-`,
//! `@`, their full-width forms, TAB, CR or LF in front) gets a `'` before it, which a spreadsheet reads as "text
//! follows"; a lone `-`, the name of standard input, is no formula and stays. A cell keeps the control characters that
//! quoting covers (CR, LF) and TAB; others are escaped as in the text report.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::io;

use csv::{Terminator, WriterBuilder};
use serde::Serialize;

use super::escape::printable_except;
use crate::model::{CarriedColumns, Record, rfc3339};
use crate::redaction::{redacted_field, redacted_name, redacted_text};

/// A column: its name, and how it writes the cell of a record.
type Column = (&'static str, fn(&Record, &mut CsvRow) -> io::Result<()>);

/// The columns: the fields of a record in their order, those of `error` and `timings` flattened. Columns are only
/// ever added.
const COLUMNS: [Column; 36] = [
    ("index", |record, row| row.value(Some(record.index))),
    ("source", |record, row| row.text(Some(&record.source))),
    ("line", |record, row| row.value(record.line)),
    ("url", |record, row| row.text(Some(&record.url))),
    ("final_url", |record, row| row.text(record.final_url.as_deref())),
    ("outcome", |record, row| row.value(Some(record.outcome))),
    ("http_status", |record, row| row.value(record.http_status)),
    ("http_version", |record, row| row.value(record.http_version)),
    ("bytes", |record, row| row.value(Some(record.bytes))),
    ("wire_bytes", |record, row| row.value(Some(record.wire_bytes))),
    ("attempts", |record, row| row.value(Some(record.attempts))),
    ("worker", |record, row| row.value(record.worker)),
    ("remote_addr", |record, row| row.value(record.remote_addr)),
    ("content_type", |record, row| row.text(record.content_type.as_deref())),
    ("path", |record, row| row.text(record.path.as_deref())),
    ("served_by", |record, row| row.text(record.served_by.as_deref())),
    ("duplicate_of", |record, row| row.value(record.duplicate_of)),
    ("error_class", |record, row| row.value(record.error.as_ref().map(|error| error.class))),
    ("error_message", |record, row| row.text(record.error.as_ref().map(|error| &*error.message))),
    ("etag", |record, row| row.text(record.etag.as_deref())),
    ("last_modified", |record, row| row.text(record.last_modified.as_deref())),
    ("digest", |record, row| row.text(record.digest.as_deref())),
    ("started_at", |record, row| row.value(record.started_at.map(rfc3339))),
    ("queued", |record, row| row.seconds(record.timings.queued)),
    ("connect", |record, row| row.seconds(record.timings.connect)),
    ("first_byte", |record, row| row.seconds(record.timings.first_byte)),
    ("total", |record, row| row.seconds(record.timings.total)),
    ("retry_wait", |record, row| row.seconds(record.timings.retry_wait)),
    ("attempts_detail", |record, row| row.json(&record.attempts_detail)),
    ("updated", |record, row| row.value(Some(record.updated))),
    ("listed", |record, row| row.text(Some(&record.listed))),
    ("head", |record, row| row.value(record.head)),
    ("length", |record, row| row.value(record.length)),
    ("certificate_expires", |record, row| row.text(record.certificate_expires.as_deref())),
    ("id", |record, row| row.text(record.id.as_deref())),
    ("carried", |record, row| row.text(record.carried.as_ref().map(CarriedColumns::as_json))),
];

/// Writes the header row.
pub(crate) fn head(out: &mut Vec<u8>) {
    header(&COLUMNS.map(|(name, _)| name), out);
}

/// Writes the header row of any table.
pub(crate) fn header(columns: &[&str], out: &mut Vec<u8>) {
    out.extend_from_slice(columns.join(",").as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes the row of one record.
pub(crate) fn row(record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
    let mut row = CsvRow::on(out);
    COLUMNS.iter().try_for_each(|(_, cell)| cell(record, &mut row))?;
    row.end()
}

/// Redacts the secrets in a cell that is read back, in the same way as [`Record::redact`].
pub(super) fn redact_cell<'a>(column: &[u8], cell: &'a str) -> Cow<'a, str> {
    match column {
        b"source" => redacted_name(cell),
        b"url" | b"listed" | b"final_url" | b"served_by" => redacted_field(cell),
        b"error_message" | b"id" => redacted_text(cell),
        b"carried" => match CarriedColumns::parse(cell) {
            Some(carried) => Cow::Owned(carried.redacted().as_json().to_owned()),
            None => redacted_text(cell),
        },
        _ => Cow::Borrowed(cell),
    }
}

/// Writes one row.
pub(crate) struct CsvRow<'a> {
    writer: csv::Writer<&'a mut Vec<u8>>,
    scratch: String,
}

impl<'a> CsvRow<'a> {
    /// An empty row at the end of `out`.
    pub(crate) fn on(out: &'a mut Vec<u8>) -> Self {
        let mut builder = WriterBuilder::new();
        builder.terminator(Terminator::CRLF).buffer_capacity(1024);
        Self { writer: builder.from_writer(out), scratch: String::new() }
    }

    /// Adds a cell of untrusted text; an empty one for `None`.
    pub(crate) fn text(&mut self, text: Option<&str>) -> io::Result<()> {
        Ok(self.writer.write_field(escape_formula(text.unwrap_or_default()).as_bytes())?)
    }

    /// Adds a cell with a value that needs no escaping; an empty one for `None`.
    pub(crate) fn value(&mut self, value: Option<impl Display>) -> io::Result<()> {
        self.scratch.clear();
        if let Some(value) = value {
            write!(self.scratch, "{value}").map_err(io::Error::other)?;
        }
        Ok(self.writer.write_field(&self.scratch)?)
    }

    /// Adds a cell with seconds to the microsecond, as the JSON report has them.
    pub(crate) fn seconds(&mut self, seconds: Option<f64>) -> io::Result<()> {
        self.value(seconds.map(|seconds| (seconds * 1e6).round() / 1e6))
    }

    /// Adds a cell with a list in JSON.
    fn json(&mut self, list: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(list)?;
        self.text(Some(&text))
    }

    /// Ends the row.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.writer.write_record(None::<&[u8]>)?;
        self.writer.flush()
    }
}

/// Escapes a text so that no spreadsheet takes the cell for a formula.
fn escape_formula(text: &str) -> Cow<'_, str> {
    let shown = printable_except(text, |character| matches!(character, '\r' | '\n' | '\t'));
    let starts_a_formula = |first: char| {
        matches!(first, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '\t' | '\r' | '\n')
    };
    if shown.starts_with(starts_a_formula) && shown != "-" {
        return Cow::Owned(format!("'{shown}"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Failure, test_fixtures};

    fn table(records: &[Record]) -> Vec<u8> {
        let mut out = Vec::new();
        head(&mut out);
        for record in records {
            row(record, &mut out).expect("memory takes all");
        }
        out
    }

    fn read_back(out: &[u8]) -> Vec<BTreeMap<String, String>> {
        csv::Reader::from_reader(out).deserialize().map(|row| row.expect("a row")).collect()
    }

    #[test]
    fn a_record_is_a_row_under_the_header() {
        let records = [test_fixtures::record("https://example.org/a,b").read(189_658)];
        insta::assert_snapshot!(String::from_utf8(table(&records)).unwrap().replace('\r', "␍"), @r#"
        index,source,line,url,final_url,outcome,http_status,http_version,bytes,wire_bytes,attempts,worker,remote_addr,content_type,path,served_by,duplicate_of,error_class,error_message,etag,last_modified,digest,started_at,queued,connect,first_byte,total,retry_wait,attempts_detail,updated,listed,head,length,certificate_expires,id,carried␍
        1,sites.txt,1,"https://example.org/a,b","https://example.org/a,b",ok,200,HTTP/1.1,189658,189658,1,1,192.0.2.1:443,text/html,,,,,,,,,2026-01-01T00:00:00.000Z,0.01,0.02,0.1,0.41,0,"[{""start"":0.0,""total"":0.41,""class"":null,""wait"":0.0,""redirect_wait"":0.0}]",false,"https://example.org/a,b",,,,,␍
        "#);
    }

    #[test]
    fn the_columns_are_the_fields_of_the_json_report() {
        let record = test_fixtures::record("https://a.b/").failed(&Failure::Status(404), 1);
        let json = serde_json::to_value(&record).unwrap();
        let mut fields = Vec::new();
        for (name, value) in json.as_object().unwrap() {
            match (name.as_str(), value.as_object()) {
                ("type", _) => {}
                ("error", Some(error)) => {
                    fields.extend(error.keys().map(|key| format!("error_{key}")));
                }
                (_, Some(inner)) => fields.extend(inner.keys().cloned()),
                (name, None) => fields.push(name.to_owned()),
            }
        }
        fields.sort();
        let mut columns = COLUMNS.map(|(name, _)| name.to_owned()).to_vec();
        columns.sort();
        assert_eq!(columns, fields);
    }

    #[test]
    fn values_come_back_as_the_json_report_has_them() {
        let record = test_fixtures::record("https://a.b/\"q\"")
            .at(9)
            .failed(&Failure::Redirect("a, \"b\"\r\nc".to_owned()), 2);
        let rows = read_back(&table(std::slice::from_ref(&record)));
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0]["index"], "9");
        assert_eq!(rows[0]["url"], "https://a.b/\"q\"");
        assert_eq!(rows[0]["http_status"], "");
        assert_eq!(rows[0]["error_class"], "redirect");
        assert_eq!(rows[0]["error_message"], "a, \"b\"\r\nc");
        assert_eq!(rows[0]["total"], "0.41");
    }

    #[test]
    fn formulas_escapes_and_markup_stay_inert() {
        let mut record = test_fixtures::record("=HYPERLINK(\"https://evil\")");
        record.content_type = Some("\u{1b}[2J<script>".to_owned());
        record.etag = Some("@SUM(A1)".to_owned());
        record.last_modified = Some("\t=1".to_owned());
        record.digest = Some("\r=1".to_owned());
        record.path = Some("+1".to_owned());
        record.served_by = Some("-1".to_owned());
        record.final_url = Some("＝1".into());
        let row = &read_back(&table(&[record]))[0];
        assert_eq!(row["url"], "'=HYPERLINK(\"https://evil\")");
        assert_eq!(row["content_type"], "\\u{1b}[2J<script>");
        assert_eq!(row["etag"], "'@SUM(A1)");
        assert_eq!(row["last_modified"], "'\t=1");
        assert_eq!(row["digest"], "'\r=1");
        assert_eq!(row["path"], "'+1");
        assert_eq!(row["served_by"], "'-1");
        assert_eq!(row["final_url"], "'＝1");
    }

    #[test]
    fn a_cell_that_is_read_back_is_redacted_like_the_record() {
        let url = "http://u:p@a.b/?token=abc";
        let mut record = test_fixtures::record(url).failed(&Failure::Redirect(url.to_owned()), 1);
        (record.source, record.listed) = (url.into(), url.into());
        (record.final_url, record.served_by) = (Some(url.into()), Some(url.to_owned()));
        let carried = format!("{{\"note\":\"{url}\"}}");
        (record.id, record.carried) = (Some(url.into()), CarriedColumns::parse(&carried));
        let shown = read_back(&table(std::slice::from_ref(&record)));
        record.redact();
        let redacted = read_back(&table(std::slice::from_ref(&record)));
        for (column, cell) in &shown[0] {
            let cell = redact_cell(column.as_bytes(), cell);
            assert_eq!(cell, redacted[0][column], "{column}");
            assert!(!cell.contains("abc") && !cell.contains("p@"), "{column}: {cell}");
        }
    }

    #[test]
    fn the_name_of_standard_input_stays() {
        assert_eq!(escape_formula("-"), "-");
        assert_eq!(escape_formula("--"), "'--");
    }
}
