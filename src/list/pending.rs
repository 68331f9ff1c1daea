//! An entry that option lines may still follow.

use std::sync::Arc;

use url::Url;

use super::line_kind::{LineText, control_fault};
use super::options::{self, IgnoredOption, LineOptions};
use super::rows::RowPlace;
use super::urls::parse_urls;
use super::wrapping::trimmed;
use crate::model::{CarriedColumns, Entry, EntryOptions, InvalidLine, Target};
use crate::redaction::{redacted, redacted_field, redacted_line};

/// The most bytes in the option lines of an entry, which are kept in memory.
const MAX_OPTION_BYTES: usize = 64 * 1024;

/// An entry that is not numbered yet.
#[derive(Debug)]
pub(super) struct PendingTarget {
    line: Option<u64>,
    /// The byte of the source at which it begins.
    at: u64,
    state: PendingState,
}

#[derive(Debug)]
enum PendingState {
    Good { listed: Option<Arc<str>>, urls: Vec<Url>, options: LineOptions, option_bytes: usize },
    Bad { text: String, message: String, labels: Labels },
}

/// What the record of an entry repeats from the list: its id and its carried columns.
type Labels = (Option<Arc<str>>, Option<CarriedColumns>);

/// The target of a row, as far as the row has been read.
#[derive(Debug, Default)]
pub(super) struct RowTarget {
    listed: Option<Arc<str>>,
    urls: Vec<Url>,
    /// What the other columns say.
    pub options: EntryOptions,
}

impl RowTarget {
    /// Reads the cell of the URL.
    ///
    /// # Errors
    /// A message about what is wrong with it.
    pub(super) fn read_url(&mut self, text: &str) -> Result<(), String> {
        if let Some(fault) = control_fault(text) {
            return Err(fault.to_owned());
        }
        self.urls = parse_urls(text)?;
        self.listed = listed_text(text, &self.urls);
        Ok(())
    }
}

impl PendingTarget {
    /// The entry of this line.
    pub(super) fn of_line(number: u64, line_text: &LineText<'_>) -> Self {
        let state = match line_text.fault {
            None => PendingState::of_text(&line_text.text),
            Some(fault) => PendingState::of_fault(line_text.redact(), fault),
        };
        Self { line: Some(number), at: 0, state }
    }

    /// The entry of an argument.
    pub(super) fn of_argument(text: &str) -> Self {
        let state = match control_fault(text) {
            None => PendingState::of_text(text),
            Some(fault) => PendingState::of_fault(redacted_line(text), fault),
        };
        Self { line: None, at: 0, state }
    }

    /// The invalid entry of an option line that belongs to no URL; `why` follows the option in its message.
    pub(super) fn of_stray_option(number: u64, line_text: &LineText<'_>, why: &str) -> Self {
        let text = options::redact_value(&line_text.text);
        let message = format!("option '{text}' {why}");
        Self { line: Some(number), at: 0, state: PendingState::bad(text, message) }
    }

    /// The one entry of a source that is not a list. Its text is the name of the source.
    pub(super) fn of_no_list(number: u64, source: &str, reason: String) -> Self {
        Self { line: Some(number), at: 0, state: PendingState::bad(redacted_line(source), reason) }
    }

    /// The invalid entry of a row.
    pub(super) fn of_bad_row(line: u64, text: String, message: String) -> Self {
        Self { line: Some(line), at: 0, state: PendingState::bad(text, message) }
    }

    /// The entry of a row that is only a URL.
    pub(super) fn of_text_row(place: RowPlace, text: &str) -> Self {
        Self { line: Some(place.line), ..Self::of_argument(text) }
    }

    /// The entry of a row: `target`, or an invalid one with `text` instead of a URL if `read` is an error.
    pub(super) fn of_row(
        line: u64,
        text: &str,
        target: RowTarget,
        read: Result<(), String>,
    ) -> Self {
        let RowTarget { listed, urls, options } = target;
        let state = match read {
            Ok(()) => {
                let options = LineOptions::from(options);
                PendingState::Good { listed, urls, options, option_bytes: 0 }
            }
            Err(message) => {
                let labels = (options.id, options.carried);
                PendingState::Bad { text: redacted_line(text), message, labels }
            }
        };
        Self { line: Some(line), at: 0, state }
    }

    /// Sets the byte of the source at which it begins.
    pub(super) fn at(self, at: u64) -> Self {
        Self { at, ..self }
    }

    /// Whether it is valid so far.
    pub(super) fn is_url(&self) -> bool {
        matches!(self.state, PendingState::Good { .. })
    }

    /// Adds an option line. A bad one makes the entry invalid, at the line of the option: a download with half of the
    /// options would be wrong. Returns the option if it is ignored.
    pub(super) fn add_option(
        &mut self,
        number: u64,
        line_text: &LineText<'_>,
    ) -> Option<IgnoredOption> {
        let PendingState::Good { urls, options, option_bytes, .. } = &mut self.state else {
            return None;
        };
        *option_bytes += line_text.text.len();
        let added = if let Some(fault) = line_text.fault {
            Err(format!("option '{}' {fault}", options::redact_value(&line_text.text)))
        } else if *option_bytes > MAX_OPTION_BYTES {
            Err("the options of this URL exceed 64 KiB".to_owned())
        } else {
            options.add(&line_text.text)
        };
        match added {
            Ok(ignored) => ignored,
            Err(message) => {
                let labels = (options.entry.id.take(), options.entry.carried.take());
                let text = redacted_line(&redacted(&urls[0]));
                self.line = Some(number);
                self.state = PendingState::Bad { text, message, labels };
                None
            }
        }
    }

    /// Passes the finished entry to `out`, with the byte of the source at which it begins.
    pub(super) fn hand_out(self, index: u64, source: &Arc<str>, out: &mut impl FnMut(Entry, u64)) {
        let at = self.at;
        out(self.finish(index, Arc::clone(source)), at);
    }

    /// The finished entry.
    pub(super) fn finish(self, index: u64, source: Arc<str>) -> Entry {
        let line = self.line;
        match self.state {
            PendingState::Good { listed, urls, options, .. } => {
                let options = options.finish(&urls[0]);
                Entry::Target(Target { index, source, line, listed, urls, options })
            }
            PendingState::Bad { text, message, labels: (id, carried) } => {
                Entry::Invalid(InvalidLine { index, source, line, text, message, id, carried })
            }
        }
    }
}

impl PendingState {
    fn of_text(text: &str) -> Self {
        match parse_urls(text) {
            Ok(urls) => Self::Good {
                listed: listed_text(text, &urls),
                urls,
                options: LineOptions::default(),
                option_bytes: 0,
            },
            Err(message) => Self::bad(redacted_line(text), message),
        }
    }

    fn of_fault(text: String, fault: &str) -> Self {
        let message = format!("line '{text}' {fault}");
        Self::bad(text, message)
    }

    fn bad(text: String, message: String) -> Self {
        Self::Bad { text, message, labels: (None, None) }
    }
}

/// The text of a line with these URLs, redacted and trimmed; `None` if it is the text of the first URL.
fn listed_text(text: &str, urls: &[Url]) -> Option<Arc<str>> {
    let text = trimmed(text);
    if text == urls[0].as_str() {
        return None;
    }
    let shown = redacted_field(text);
    (shown != redacted(&urls[0])).then(|| shown.into())
}
