//! Decides the format of a list: by the options, by the name of the source, and by its first line.

use super::line_kind::{self, without_mark};
use super::lines::{LineLength, TextLine};
use super::other_formats::{file_argument, header_delimiter, key_of_url, position_of_url};
use crate::plan::{ListFormat, ListOptions};
use crate::text::shell_word;

/// Bytes at the beginning of a source that are kept to decide its format.
const MAX_FIRST_BYTES: usize = 64 * 1024;

/// The delimiters of CSV that are recognized, the most likely first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Whether a source may still be written while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// All its bytes are there.
    AtRest,
    /// More bytes may be written to it.
    Live,
}

/// The format of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceFormat {
    /// One URL a line.
    Text,
    /// Columns with this delimiter between them.
    Csv(u8),
    /// One JSON value a line.
    Jsonl,
    /// Apache Parquet, a binary format.
    Parquet,
    /// It is not a list, for this reason.
    NoList(String),
}

/// What the options and the name say about the format, before the first line is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormatRule {
    /// It is text.
    Text,
    /// It is CSV, with this delimiter.
    Csv(Option<u8>),
    /// It is CSV by its name, with this delimiter; it may be a text list with such a name.
    NamedCsv(Option<u8>),
    /// It is JSON lines.
    Jsonl,
    /// Options for columns were given: it is a table, unless its first line is a URL.
    AnyTable,
    /// It may be anything.
    Unknown,
    /// It is Parquet, which cannot be read from a stream.
    Parquet,
}

impl FormatRule {
    /// The rule for the source of this name.
    pub(super) fn of(source: &str, options: &ListOptions, arrival: StreamKind) -> Self {
        match options.format {
            ListFormat::Text => Self::Text,
            ListFormat::Csv => Self::Csv(options.delimiter),
            ListFormat::Tsv => Self::Csv(Some(options.delimiter.unwrap_or(b'\t'))),
            ListFormat::Jsonl => Self::Jsonl,
            ListFormat::Parquet => Self::Parquet,
            ListFormat::Auto if options.delimiter.is_some() => Self::Csv(options.delimiter),
            ListFormat::Auto => match extension(source).as_str() {
                "csv" => Self::NamedCsv(None),
                "tsv" | "tab" => Self::NamedCsv(Some(b'\t')),
                "jsonl" | "ndjson" => Self::Jsonl,
                _ if options.are_about_tables() => Self::AnyTable,
                _ if arrival == StreamKind::Live => Self::Text,
                _ => Self::Unknown,
            },
        }
    }

    /// The format by a trimmed line that is not empty; `None` if the line does not decide it.
    fn by_line(self, line: &str) -> Option<SourceFormat> {
        let has_one_cell = cells_of(line) == 1;
        let is_comment = line.starts_with('#') && has_one_cell;
        let may_be_named = matches!(self, Self::Csv(None) | Self::NamedCsv(None) | Self::AnyTable);
        if let Some(delimiter) = delimiter_line(line).filter(|_| may_be_named) {
            return Some(SourceFormat::Csv(delimiter));
        }
        Some(match self {
            Self::Csv(_) | Self::NamedCsv(_) | Self::AnyTable | Self::Unknown if is_comment => {
                return None;
            }
            Self::NamedCsv(_) | Self::AnyTable if has_one_cell && begins_with_url(line) => {
                SourceFormat::Text
            }
            Self::Csv(delimiter) | Self::NamedCsv(delimiter) => {
                SourceFormat::Csv(delimiter.unwrap_or_else(|| delimiter_of(line)))
            }
            Self::Jsonl => SourceFormat::Jsonl,
            Self::AnyTable if line.starts_with(['{', '[']) => SourceFormat::Jsonl,
            Self::AnyTable => SourceFormat::Csv(delimiter_of(line)),
            Self::Unknown if is_object_with_url(line) => SourceFormat::Jsonl,
            Self::Unknown => match header_delimiter(line) {
                Some(delimiter) => SourceFormat::Csv(delimiter as u8),
                None => SourceFormat::Text,
            },
            Self::Text => SourceFormat::Text,
            Self::Parquet => SourceFormat::Parquet,
        })
    }

    /// The format if no line decides it.
    fn default_format(self) -> SourceFormat {
        match self {
            Self::Csv(Some(delimiter)) => SourceFormat::Csv(delimiter),
            Self::Csv(None) => SourceFormat::Csv(b','),
            Self::Jsonl => SourceFormat::Jsonl,
            Self::Parquet => SourceFormat::Parquet,
            _ => SourceFormat::Text,
        }
    }
}

/// The extension of the name of a source, in lower case, without the dot. That of a compressed file is skipped.
fn extension(source: &str) -> String {
    let is_url = source.contains("://");
    let path = source.split(['?', '#']).next().filter(|_| is_url).unwrap_or(source);
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let plain = [".gz", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end));
    let name = plain.unwrap_or(&name);
    name.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_owned())
}

/// The number of cells of a line, for the delimiter that yields the most.
fn cells_of(line: &str) -> usize {
    DELIMITERS
        .into_iter()
        .map(|delimiter| count_unquoted(line, delimiter))
        .max()
        .unwrap_or_default()
        + 1
}

/// The delimiter that a line names as spreadsheets do: `sep=;`. A TAB at its end may have been trimmed.
pub(super) fn delimiter_line(line: &str) -> Option<u8> {
    match line.trim_matches('"').as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter @ ..] => match delimiter {
            [] => Some(b'\t'),
            [delimiter] => Some(*delimiter),
            _ => None,
        },
        _ => None,
    }
}

/// The most likely delimiter of a line: the one that yields the most cells.
fn delimiter_of(line: &str) -> u8 {
    let most = cells_of(line) - 1;
    let fits = |delimiter: &u8| count_unquoted(line, *delimiter) == most;
    DELIMITERS.into_iter().find(fits).unwrap_or(b',')
}

/// The number of delimiters outside quotes.
fn count_unquoted(line: &str, delimiter: u8) -> usize {
    let mut is_quoted = false;
    let separates = |byte: &u8| {
        is_quoted ^= *byte == b'"';
        *byte == delimiter && !is_quoted
    };
    line.bytes().filter(separates).count()
}

fn begins_with_url(line: &str) -> bool {
    let line = line.trim_start_matches(['"', '\'', '<']);
    position_of_url(line) == Some(0)
}

fn is_object_with_url(line: &str) -> bool {
    line.starts_with('{') && line.ends_with('}') && key_of_url(line).is_some()
}

/// The first lines of a source, kept until one of them decides its format.
#[derive(Debug)]
pub(super) struct FirstLines {
    rule: FormatRule,
    bytes: Vec<u8>,
    /// Bytes of the lines that decided nothing.
    seen: usize,
}

impl FirstLines {
    /// No lines yet.
    pub(super) fn new(rule: FormatRule) -> Self {
        Self { rule, bytes: Vec::new(), seen: 0 }
    }

    /// Adds bytes. Returns the format once it is decided.
    pub(super) fn add(&mut self, chunk: &[u8]) -> Option<SourceFormat> {
        self.bytes.extend_from_slice(chunk);
        self.decide().or_else(|| {
            let is_full = self.bytes.len() >= MAX_FIRST_BYTES;
            is_full.then(|| self.decide_at_the_end())
        })
    }

    /// The format by all bytes, once the source has no more.
    pub(super) fn decide_at_the_end(&mut self) -> SourceFormat {
        let decided = self.decide();
        decided.unwrap_or_else(|| {
            let rest = &self.bytes[self.seen..];
            let rest = rest.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
            self.by_line(rest).unwrap_or_else(|| self.rule.default_format())
        })
    }

    /// The bytes so far, without a byte order mark.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mark = bytes.len() - without_mark(&bytes).len();
        bytes.drain(..mark);
        bytes
    }

    fn decide(&mut self) -> Option<SourceFormat> {
        loop {
            let rest = &self.bytes[self.seen..];
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
            if let Some(format) = self.by_line(&rest[..end]) {
                return Some(format);
            }
            self.seen += end + 1;
        }
    }

    fn by_line(&self, line: &[u8]) -> Option<SourceFormat> {
        if self.seen == 0 && line.starts_with(b"PAR1") {
            return Some(SourceFormat::Parquet);
        }
        let number = if self.seen == 0 { 1 } else { 2 };
        let line = TextLine { number, offset: 0, bytes: line, extent: LineLength::Whole };
        if let Some(reason) = line_kind::why_not_a_list(&line) {
            // The reader of text reports it with its line and, for files of other programs, the program.
            return Some(match self.rule {
                FormatRule::Unknown | FormatRule::NamedCsv(_) => SourceFormat::Text,
                _ => SourceFormat::NoList(reason),
            });
        }
        let text = String::from_utf8_lossy(without_mark(line.bytes));
        let text = text.trim();
        if text.is_empty() { None } else { self.rule.by_line(text) }
    }
}

/// Why a source that is Parquet is not read, with a command that converts it to CSV.
pub(super) fn why_not_parquet(source: &str) -> String {
    let reason = match cfg!(feature = "parquet") {
        true => "is read from a file only",
        false => "needs a fetch that was built with --features parquet",
    };
    let file = if source == "-" { "FILE" } else { source };
    let query = format!("FROM '{}'", file.replace('\'', "''"));
    let query = shell_word(&query);
    format!("Parquet {reason}; use: duckdb -csv -c {query} | fetch --input-format csv -")
}

/// Why a source that is another kind of JSON is not read, with a command that converts it to JSON lines.
pub(super) fn why_not_other_json(what: &str, filter: &str, source: &str) -> String {
    format!(
        "{what}, expected one JSON string or object per line; use: jq -c '{filter}'{} | fetch \
         --input-format jsonl -",
        file_argument(source)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(source: &str, arrival: StreamKind, text: &str) -> SourceFormat {
        let rule = FormatRule::of(source, &ListOptions::default(), arrival);
        let mut first = FirstLines::new(rule);
        first.add(text.as_bytes()).unwrap_or_else(|| first.decide_at_the_end())
    }

    #[test]
    fn the_name_and_the_first_line_decide() {
        let (text, jsonl, csv) = (SourceFormat::Text, SourceFormat::Jsonl, SourceFormat::Csv);
        for (source, line, expected) in [
            ("a.csv", "url,title", csv(b',')),
            ("a.csv.gz", "url;a,b;c", csv(b';')),
            ("a.CSV", "url", csv(b',')),
            ("a.csv", "# export\nid|url\n", csv(b'|')),
            ("a.csv", "#id,url\n", csv(b',')),
            ("a.csv", "sep=|\nid,url|a\n", csv(b'|')),
            ("a.csv", "\"sep=;\"\r\nid,url;a\n", csv(b';')),
            ("a.csv", "sep=\t\r\nid,url\ta\n", csv(b'\t')),
            ("a.csv", "https://a.b/x", text.clone()),
            ("a.csv", "https://a.b/x,y", csv(b',')),
            ("a.csv", "\"https://a.b/x,y\"", text.clone()),
            ("a.csv", "# note\n\nhttps://a.b/x\n", text.clone()),
            ("a.tsv.zst", "a,b", csv(b'\t')),
            ("a.ndjson", "", jsonl.clone()),
            ("https://a.b/c.csv.gz?d=/e.txt", "url", csv(b',')),
            ("a?b.csv", "url", csv(b',')),
            ("a", "https://a.b/x", text.clone()),
            ("a", "\u{feff}id,url\n", csv(b',')),
            ("a", "{\"link\": \"https://a.b/\"}\n", jsonl.clone()),
            ("a", "{\"a\": {\"link\": \"https://a.b/\"}}\n", text.clone()),
            ("a", "", text.clone()),
        ] {
            assert_eq!(format(source, StreamKind::AtRest, line), expected, "{source}: {line}");
        }
        for line in ["id,url\n", "{\"link\": \"https://a.b/\"}\n", "a\n"] {
            assert_eq!(format("-", StreamKind::Live, line), text, "{line}");
        }
    }
}
