//! Fuzz targets for saved runs, and for text made printable.

use std::borrow::Cow;
use std::io::Cursor;

use super::aggregate::Aggregate;
use super::escape::{printable, readable_message, readable_url};
use super::har::HarArchive;
use super::replay::ReplayResult;
use super::text::TextStyle;
use super::{csv, failed_list, html, jsonl, markdown, text};
use crate::model::{FailureClass, Record, RecordError, Summary, Target};
use crate::text::{is_unprintable, shell_word};

/// A saved run: every line is a record, the summary or an invalid line; what was read stays the same when it is written and
/// read again; and no format contains unprintable characters.
pub fn report(data: &[u8]) {
    let Some((records, summary)) = replayed(data) else { return };
    let page = saved(&records, summary.as_ref());
    let (again, summary_again) = replayed(&page).expect("it is a saved run");
    assert_eq!(again.len(), records.len());
    assert_eq!(saved(&again, summary_again.as_ref()), page);
    check_formats(&records, summary.as_ref());
}

/// A text from a list or a server: no unprintable character is left, no cell is a formula, no cell of a Markdown table ends
/// early, and a shell reads it as one word.
pub fn terminal(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for shown in [printable(&text), readable_message(&text), readable_url(&text)] {
        assert!(!shown.contains(is_unprintable), "{shown:?}");
        assert_eq!(printable(&shown), shown, "once is enough");
    }
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        assert!(matches!(printable(&text), Cow::Borrowed(_)));
    }
    check_cell(&text);
    let cell = markdown::cell(&text);
    assert!(!cell.contains(is_unprintable));
    assert!(!cell.replace("\\|", "").contains('|'), "{cell}");
    check_shell_word(&text);
}

/// An entry of the list of failures.
pub(crate) fn failed_entry(target: &Target, name: Option<&str>, message: &str) -> Vec<u8> {
    let class = FailureClass::Connect;
    let error = RecordError { class, message: message.to_owned(), without_part: None };
    let mut page = Vec::new();
    failed_list::entry(target, name, &error, &mut page).expect("memory takes all");
    page
}

/// The records and the summary of a saved run; `None` if it is something else.
fn replayed(data: &[u8]) -> Option<(Vec<Record>, Option<Summary>)> {
    let mut saved = ReplayResult::new("run.jsonl".to_owned(), Box::new(Cursor::new(data.to_vec())));
    if saved.comparison().ok()?.is_some() {
        return None;
    }
    let (mut records, mut warnings) = (Vec::new(), Vec::new());
    while let Some(record) = saved.record(&mut warnings).expect("memory can be read") {
        records.push(record);
    }
    saved.report_end(&mut warnings);
    let warnings = String::from_utf8(warnings).expect("text");
    assert!(!warnings.replace('\n', "").contains(is_unprintable), "{warnings:?}");
    let reread = saved.reread;
    assert_eq!((reread.rows, reread.has_summary), (records.len() as u64, saved.summary.is_some()));
    let text = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let lines = lines.count() as u64;
    assert_eq!(reread.rows + reread.bad_lines + u64::from(reread.has_summary), lines);
    Some((records, saved.summary))
}

fn saved(records: &[Record], summary: Option<&Summary>) -> Vec<u8> {
    let mut page = Vec::new();
    records.iter().for_each(|record| jsonl::row(record, &mut page).expect("memory takes all"));
    summary.into_iter().for_each(|all| jsonl::total(all, &mut page).expect("memory takes all"));
    page
}

/// Writes all formats, and checks what they contain.
fn check_formats(records: &[Record], summary: Option<&Summary>) {
    let (mut aggregate, mut archive) = (Aggregate::default(), HarArchive::default());
    let [mut lines, mut table, mut har, mut cells, mut page] = [const { Vec::new() }; 5];
    for record in records {
        aggregate.add(record);
        text::row(record, TextStyle::Plain, &mut lines).expect("memory takes all");
        csv::row(record, &mut cells).expect("memory takes all");
        archive.row(record, &mut har).expect("memory takes all");
    }
    if let Some(summary) = summary {
        text::total(summary, TextStyle::Plain, &mut lines).expect("memory takes all");
        text::write_details(summary, &mut lines).expect("memory takes all");
    }
    archive.end(&mut har).expect("memory takes all");
    markdown::page(&aggregate, summary, &mut table).expect("memory takes all");
    html::page(&aggregate, summary, &mut page).expect("memory takes all");
    for shown in [lines, table, page] {
        let shown = String::from_utf8(shown).expect("text");
        let hidden = |character| is_unprintable(character) && !matches!(character, '\n' | '\t');
        assert!(!shown.contains(hidden), "{shown:?}");
    }
    let _: serde_json::Value = serde_json::from_slice(&har).expect("an archive is JSON");
    for row in ::csv::ReaderBuilder::new().has_headers(false).from_reader(&cells[..]).records() {
        let row = row.expect("all rows have as many cells");
        assert!(!row.iter().any(is_formula), "{row:?}");
    }
}

fn is_formula(cell: &str) -> bool {
    cell != "-" && cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

fn check_cell(text: &str) {
    let mut page = Vec::new();
    let mut row = csv::CsvRow::on(&mut page);
    row.text(Some(text)).expect("memory takes all");
    row.text(Some("next")).expect("memory takes all");
    row.end().expect("memory takes all");
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(&page[..]);
    let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
    assert!(rows.len() == 1 && rows[0].len() == 2, "{rows:?}");
    assert!(!is_formula(&rows[0][0]), "{rows:?}");
}

/// Checks that a shell reads the quoted word as the name.
fn check_shell_word(name: &str) {
    let word = shell_word(name);
    assert!(!word.is_empty() && !word.starts_with('-'));
    let (mut read, mut characters, mut is_quoted) = (String::new(), word.chars(), false);
    while let Some(character) = characters.next() {
        match character {
            '\'' => is_quoted = !is_quoted,
            '\\' if !is_quoted => read.extend(characters.next()),
            _ => {
                let is_plain =
                    character.is_ascii_alphanumeric() || "/._-+,:@%=".contains(character);
                assert!(is_quoted || is_plain, "{word}");
                read.push(character);
            }
        }
    }
    assert!(!is_quoted && (read == name || read == format!("./{name}")), "{word}");
}
