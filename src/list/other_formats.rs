//! Recognizes the format of a source that is not a list of URLs, such as a page, JSON or a table, and suggests a command that
//! converts it to a list, or reads it.

use super::urls::names_a_host;
use crate::text::shell_word;

/// Entries without a URL after which a source does not count as a list.
const ENOUGH: usize = 20;

/// URLs with a comma and a word after them that count as rows of a table.
const ENOUGH_ROWS: usize = 3;

/// Bytes of an entry that are kept.
const MAX_LINE_START: usize = 1024;

/// The delimiters of tables that are recognized.
const DELIMITERS: [char; 4] = ['\t', ',', ';', '|'];

/// Names that the column of URLs has in a table.
const URL_COLUMNS: [&str; 6] = ["url", "uri", "link", "href", "loc", "website"];

/// The beginnings of markup.
const MARKUP: [&str; 8] =
    ["<!doctype", "<html", "<head", "<!--", "<?xml", "<urlset", "<sitemapindex", "<rss"];

/// Prints the URLs in a text, each up to whitespace, a quote or a bracket; parentheses in pairs belong to it.
const ANY_URL: &str =
    r#"grep -oE "https?://([^][:space:]\"'<>()\`]|\([^][:space:]\"'<>()\`]*\))+""#;

/// Removes punctuation after a URL at the end of a sentence.
const WITHOUT_PUNCTUATION: &str = "sed 's/[.,;:!?]*$//'";

/// Prints the URLs in markup.
const URL_IN_MARKUP: &str = r#"grep -oE "https?://[^\"'<> ]+""#;

/// Replaces `&amp;` by `&`.
const UNESCAPE: &str = "sed 's/&amp;/\\&/g'";

/// The first entries of a source that may not be a list.
#[derive(Debug, Default)]
pub(super) struct FirstEntries {
    first_line: u64,
    lines: Vec<String>,
    /// The number of entries that are valid URLs as they are.
    urls: usize,
}

impl FirstEntries {
    /// Adds the entry on this line; `is_url` if it is a valid URL as it is.
    pub(super) fn add(&mut self, line: u64, text: &str, is_url: bool) {
        self.urls += usize::from(is_url);
        if self.lines.is_empty() {
            self.first_line = line;
        }
        self.lines.push(text[..text.floor_char_boundary(MAX_LINE_START)].to_owned());
    }

    /// The line of the first entry.
    pub(super) fn first_line(&self) -> u64 {
        self.first_line
    }

    /// Whether these entries are enough to decide that the source is not a list.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= ENOUGH
            || self.urls > 0 && self.lines.len() >= ENOUGH_ROWS && self.are_rows()
    }

    /// Whether a URL may be the row of a table without a header, `URL,word`, like the entries before it. A URL may contain a
    /// comma, so several such rows are needed to decide that.
    pub(super) fn may_be_next_row(&self, text: &str) -> bool {
        let columns =
            |line: &str| cells_after_url(line).map(|(delimiter, cells)| (delimiter, cells.len()));
        cells_after_url(text).is_some_and(|(_, cells)| cells.iter().all(|cell| is_word(cell)))
            && self.lines.iter().all(|line| columns(line) == columns(text))
    }

    /// Whether the entries are kept back only because they may be rows of a table.
    pub(super) fn are_only_urls(&self) -> bool {
        self.urls > 0 && self.urls == self.lines.len() && !self.begins_another_format()
    }

    fn are_rows(&self) -> bool {
        self.lines.iter().all(|line| cells_after_url(line).is_some())
    }

    /// Whether the first entry begins another format, so that a URL further on does not make the source a list.
    pub(super) fn begins_another_format(&self) -> bool {
        let Some(first) = self.lines.first() else { return false };
        is_markup(first) || is_json(first) || header_delimiter(first).is_some()
    }

    /// Why the source is not a list, with a command that converts or reads it; `None` if it may be a list whose lines are all
    /// invalid.
    pub(super) fn why_not_a_list(&self, source: &str) -> Option<String> {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let format = OtherFormat::of(&lines);
        if self.are_only_urls() && self.lines.len() < ENOUGH_ROWS {
            return None;
        }
        let is_hopeless = self.is_full() && self.urls == 0;
        if !is_hopeless && !format.as_ref().is_some_and(|format| format.has_own_syntax) {
            return None;
        }
        let Some(OtherFormat { what, command, .. }) = format else {
            return Some(format!(
                "no URL in the first {ENOUGH} lines, expected one URL per line (https://HOST/PATH)"
            ));
        };
        let command = command.for_source(source);
        Some(format!("looks like {what}, not a list of URLs; use: {command}"))
    }
}

/// A format other than a list of URLs.
struct OtherFormat {
    what: &'static str,
    command: ListCommand,
    /// Whether it is recognized by its syntax, even in a few lines.
    has_own_syntax: bool,
}

/// A command that converts a source to a list, or reads it.
struct ListCommand {
    /// The programs before `fetch`, of which the first reads the source; empty if `fetch` reads it.
    pipeline: Vec<String>,
    /// The options of `fetch` that the list needs.
    options: &'static str,
}

impl<T: Into<String>, const N: usize> From<[T; N]> for ListCommand {
    fn from(pipeline: [T; N]) -> Self {
        Self { pipeline: pipeline.map(Into::into).into(), options: "" }
    }
}

impl ListCommand {
    /// A command that reads the source with `fetch` itself, with these options.
    fn fetch(options: &'static str) -> Self {
        Self { pipeline: Vec::new(), options }
    }

    /// The command line that reads this source.
    fn for_source(&self, source: &str) -> String {
        let file = file_argument(source);
        let Some((first, others)) = self.pipeline.split_first() else {
            let file = if file.is_empty() { " -" } else { &file };
            return format!("fetch{}{file}", self.options);
        };
        let others: String = others.iter().map(|program| format!(" | {program}")).collect();
        format!("{first}{file}{others} | fetch{} -", self.options)
    }
}

/// The source as the last argument of a program, with a space before it; empty for standard input.
pub(super) fn file_argument(source: &str) -> String {
    if source == "-" { String::new() } else { format!(" {}", shell_word(source)) }
}

impl OtherFormat {
    fn of(lines: &[&str]) -> Option<Self> {
        let first = lines.first()?;
        if is_markup(first) || count(lines, |line| line.starts_with('<')) * 2 > lines.len() {
            return Some(Self::markup(lines));
        }
        if is_json(first) {
            return Some(Self::json(lines));
        }
        if lines.iter().any(|line| is_wget_entry(line)) {
            return Some(Self::strict("a wget log", ["sed -nE 's/^--[0-9: -]+--  //p'"]));
        }
        if let Some(table) = UrlTable::of(lines) {
            return Some(table.format());
        }
        if lines.iter().any(|line| is_curl_url(line)) {
            let command = r#"sed -nE "s/^[ -]*url[ =:]+[\"']?([^\"' ]+).*/\1/p""#;
            return Some(Self::strict("a curl configuration (-K)", [command]));
        }
        if lines.iter().any(|line| is_markdown_link(line)) {
            return Some(Self::strict("Markdown", [ANY_URL, WITHOUT_PUNCTUATION]));
        }
        Self::loose(lines)
    }

    /// Formats that are recognized only by what many lines have in common.
    fn loose(lines: &[&str]) -> Option<Self> {
        let most = |matches: fn(&str) -> bool| count(lines, matches) * 2 > lines.len();
        let (what, command) = if most(is_bullet) {
            ("a bulleted list (Markdown or YAML)", [ANY_URL, WITHOUT_PUNCTUATION].into())
        } else if most(is_commented) {
            ("URLs with comments", ["sed 's/[[:space:]]#.*//'"].into())
        } else if most(is_named) {
            ("URLs with file names", command_with_names())
        } else if lines.iter().any(|line| position_of_url(line).is_some()) {
            ("text with URLs in it", [ANY_URL, WITHOUT_PUNCTUATION].into())
        } else if most(names_a_host) {
            ("URLs without a scheme", ["sed 's|^|https://|'"].into())
        } else {
            return None;
        };
        Some(Self { what, command, has_own_syntax: false })
    }

    fn strict(what: &'static str, command: impl Into<ListCommand>) -> Self {
        Self { what, command: command.into(), has_own_syntax: true }
    }

    fn markup(lines: &[&str]) -> Self {
        let has = |tag: &str| lines.iter().any(|line| find(line, tag).is_some());
        let elements = |name: &str| {
            [format!("grep -oE '<{name}>[^<]+'"), "cut -d'>' -f2".to_owned(), UNESCAPE.to_owned()]
        };
        if has("<urlset") || has("<sitemapindex") || has("<loc>") {
            Self::strict("a sitemap", elements("loc"))
        } else if has("<rss") {
            Self::strict("an RSS feed", elements("link"))
        } else if has("<?xml") && !has("<html") {
            Self::strict("XML", [URL_IN_MARKUP, UNESCAPE])
        } else {
            Self::strict("HTML", [URL_IN_MARKUP, UNESCAPE])
        }
    }

    fn json(lines: &[&str]) -> Self {
        let is_object = |line: &&str| line.starts_with('{') && line.ends_with('}');
        if lines.iter().all(is_object) {
            let what = if lines.len() == 1 { "JSON" } else { "JSON Lines" };
            if lines.iter().any(|line| key_of_url(line).is_some()) {
                return Self::strict(what, ListCommand::fetch(" --input-format jsonl"));
            }
        }
        Self::strict("JSON", [r#"jq -r '.. | strings | select(test("^https?://"))'"#])
    }
}

/// A table in which most rows have a URL in the same column.
struct UrlTable {
    delimiter: char,
}

impl UrlTable {
    fn of(lines: &[&str]) -> Option<Self> {
        let rows = whole_rows(lines);
        let rows: Vec<_> = rows.iter().map(String::as_str).collect();
        DELIMITERS.into_iter().find_map(|delimiter| Self::with(delimiter, &rows))
    }

    fn with(delimiter: char, lines: &[&str]) -> Option<Self> {
        let rows: Vec<_> = lines.iter().map(|line| cells(line, delimiter)).collect();
        let has_header = position_of_url_cell(rows.first()?).is_none();
        let is_named = header_delimiter(lines.first()?) == Some(delimiter);
        let rows = &rows[usize::from(has_header)..];
        let first = rows.first()?;
        let (columns, at) = (first.len(), position_of_url_cell(first)?);
        // Under a header, text with a delimiter in it may make a row longer.
        let is_row = |row: &&Vec<&str>| {
            (is_named || row.len() == columns) && row.get(at).is_some_and(|cell| is_url(cell))
        };
        let is_table =
            columns > 1 && lines.len() > 1 && rows.iter().filter(is_row).count() * 2 > rows.len();
        is_table.then_some(Self { delimiter })
    }

    fn format(&self) -> OtherFormat {
        match self.delimiter {
            '\t' => OtherFormat::strict(
                "tab-separated values",
                ListCommand::fetch(" --input-format tsv"),
            ),
            _ => OtherFormat::strict("CSV", ListCommand::fetch(" --input-format csv")),
        }
    }
}

/// The rows of these lines: a line that ends within quotes is joined with the next. An incomplete last row is left out.
fn whole_rows(lines: &[&str]) -> Vec<String> {
    let (mut rows, mut row) = (Vec::new(), String::new());
    for line in lines {
        row.push_str(line);
        if row.matches('"').count() % 2 == 0 {
            rows.push(std::mem::take(&mut row));
        } else {
            row.push('\n');
        }
    }
    rows
}

/// The delimiter of a row that begins with a URL, and the cells after the URL.
fn cells_after_url(line: &str) -> Option<(char, Vec<&str>)> {
    [',', ';', '|'].into_iter().find_map(|delimiter| {
        let cells = cells(line, delimiter);
        (cells.len() > 1 && is_url(cells[0])).then(|| (delimiter, cells[1..].to_vec()))
    })
}

/// Whether a cell is only letters, which the part of a URL after a comma hardly is.
fn is_word(cell: &str) -> bool {
    !cell.is_empty() && cell.chars().all(char::is_alphabetic)
}

/// A command that takes the second word of a line as the name of the file.
fn command_with_names() -> ListCommand {
    let program = "awk '{print $1; print \"  out=\" $2}'".to_owned();
    ListCommand { pipeline: vec![program], options: " --dir DIR" }
}

/// The cells of a line of a table, without quotes.
fn cells(line: &str, delimiter: char) -> Vec<&str> {
    let mut is_quoted = false;
    let ends = |character: char| {
        is_quoted ^= character == '"';
        character == delimiter && !is_quoted
    };
    line.split(ends).map(|cell| cell.trim().trim_matches('"').trim()).collect()
}

/// The delimiter of the header of a table with a column of URLs; `None` if a line is not such a header.
pub(super) fn header_delimiter(line: &str) -> Option<char> {
    let is_name = |cell: &&str| {
        cell.chars().all(|c| c.is_alphanumeric() || " _-.()".contains(c)) && !cell.is_empty()
    };
    DELIMITERS.into_iter().find(|delimiter| {
        let cells = cells(line, *delimiter);
        cells.len() > 1 && cells.iter().all(is_name) && cells.iter().any(|cell| names_urls(cell))
    })
}

/// Whether this is the name of a column of URLs, such as `url` or `image_url`.
pub(super) fn names_urls(name: &str) -> bool {
    let name = name.trim_matches('"').to_ascii_lowercase();
    let last = name.rsplit(['_', '-', ' ', '.']).next().unwrap_or_default();
    URL_COLUMNS.contains(&last.strip_suffix('s').unwrap_or(last))
}

fn position_of_url_cell(cells: &Vec<&str>) -> Option<usize> {
    cells.iter().position(|cell| is_url(cell))
}

fn count(lines: &[&str], matches: impl Fn(&str) -> bool) -> usize {
    lines.iter().filter(|line| matches(line)).count()
}

fn is_markup(line: &str) -> bool {
    MARKUP.iter().any(|tag| find(line, tag) == Some(0))
}

fn is_json(line: &str) -> bool {
    let inside = |open| line.strip_prefix(open).map(str::trim_start);
    let begins_with =
        |rest: &str, next: &str| rest.is_empty() || rest.starts_with(|c| next.contains(c));
    inside('{').is_some_and(|rest| begins_with(rest, "\"}"))
        || inside('[').is_some_and(|rest| begins_with(rest, "\"{[]"))
}

/// Whether a line contains a Markdown link. A URL, or a name made of one, may contain the second half of a link.
fn is_markdown_link(line: &str) -> bool {
    let link = ["](http", "](<http"].iter().find_map(|start| line.find(start));
    let is_entry = ["http://", "https://"].iter().any(|scheme| line.starts_with(scheme));
    !is_entry && link.is_some_and(|at| line[..at].contains('['))
}

/// `--2026-01-31 12:00:00--  URL`
fn is_wget_entry(line: &str) -> bool {
    let behind = line.strip_prefix("--").and_then(|line| line.split_once("--  "));
    behind.is_some_and(|(time, url)| time.starts_with(|c: char| c.is_ascii_digit()) && is_url(url))
}

/// `url = "URL"` or `--url URL`, but not `url=URL`, which many programs print.
fn is_curl_url(line: &str) -> bool {
    let name = line.trim_start_matches('-');
    let Some(rest) = name.strip_prefix("url") else { return false };
    let value = rest.trim_start_matches([' ', '\t', '=', ':']);
    let plain = value.trim_start_matches(['"', '\'']);
    let is_marked = name.len() < line.len() || plain.len() < value.len() || rest.starts_with(' ');
    value.len() < rest.len() && is_url(plain) && is_marked
}

/// `- URL`, `* URL`
fn is_bullet(line: &str) -> bool {
    let rest = line.strip_prefix(['-', '*', '+', '\u{2022}']).map(str::trim_start);
    rest.is_some_and(|rest| is_url(rest.trim_start_matches(['"', '\'', '<'])))
}

/// `URL # comment`
fn is_commented(line: &str) -> bool {
    is_url(line)
        && line
            .split_once(char::is_whitespace)
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('#'))
}

/// `URL name`
fn is_named(line: &str) -> bool {
    let mut words = line.split_whitespace();
    is_url(line) && words.nth(1).is_some_and(|name| !is_url(name)) && words.next().is_none()
}

fn is_url(text: &str) -> bool {
    position_of_url(text) == Some(0)
}

/// The byte at which the first URL of a text begins.
pub(super) fn position_of_url(text: &str) -> Option<usize> {
    ["http://", "https://"].iter().filter_map(|scheme| find(text, scheme)).min()
}

/// The byte at which `what` is first found in a text, regardless of case.
fn find(text: &str, what: &str) -> Option<usize> {
    text.as_bytes().windows(what.len()).position(|part| part.eq_ignore_ascii_case(what.as_bytes()))
}

/// The key of the first URL in a JSON object, if it is a key of the outermost object and needs no quotes in jq.
pub(super) fn key_of_url(object: &str) -> Option<&str> {
    let before = object[..position_of_url(object)?].strip_suffix('"')?.trim_end();
    let (outside, key) =
        before.strip_suffix(':')?.trim_end().strip_suffix('"')?.rsplit_once('"')?;
    let is_identifier = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_of_the_object = outside.matches(['{', '[']).count() == 1;
    (is_identifier && is_of_the_object).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> Option<String> {
        let mut sample = FirstEntries::default();
        for (number, line) in text.lines().enumerate() {
            sample.add(number as u64 + 1, line.trim(), false);
        }
        sample.why_not_a_list("my list")
    }

    #[test]
    fn a_table_is_recognized_also_in_quotes() {
        for (text, format) in [
            ("id,url\n1,http://a.b/\n2,http://a.b/x", "csv"),
            ("\"1\";\"http://a.b/\"\n\"2\";\"http://a.b/x\"", "csv"),
            ("a,\"x,y\",http://a.b/\nb,\"z\",http://a.b/x", "csv"),
            ("a,\"x\ny\",http://a.b/\nb,z,http://a.b/x\nc,\"z\n", "csv"),
            ("http://a.b/,\"x, y\"\nhttp://a.b/x,z", "csv"),
            ("a\tb\thttp://a.b/\nc\td\thttp://a.b/", "tsv"),
            ("http://a.b/\ta.html\nhttp://a.b/x\tb.html", "tsv"),
            ("{\"id\": 1, \"link\": \"http://a.b/\"}\n", "jsonl"),
        ] {
            let why = why(text).unwrap();
            let command = format!("use: fetch --input-format {format} 'my list'");
            assert!(why.ends_with(&command), "{text}: {why}");
        }
    }

    #[test]
    fn a_few_wrong_lines_are_no_other_format() {
        for text in [
            "a.b",
            "a.b/x\na.b/y",
            "url=http://a.b",
            "http://a.b/ x.html",
            "ftp://a.b, ftp://c.d",
            "- http://a.b",
            "some words",
            "key: value, other",
        ] {
            assert_eq!(why(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_of_a_column_of_urls_is_recognized() {
        for name in ["url", "URLs", "\"Link\"", "image_url", "Final URL"] {
            assert!(names_urls(name), "{name}");
        }
        for name in ["", "s", "curl", "name", "a.b"] {
            assert!(!names_urls(name), "{name}");
        }
    }
}
