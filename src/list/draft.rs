//! An entry whose option lines may still come.

use std::sync::Arc;

use url::Url;

use super::address::addresses;
use super::meaning::{Said, control_fault};
use super::options;
use super::shown::shown;
use crate::record::{Entry, Invalid, Options, Target, redacted};

/// How many bytes of option lines one entry may have: it is kept in memory.
const MOST_OPTION_BYTES: usize = 64 * 1024;

/// An entry that is not numbered yet.
#[derive(Debug)]
pub(super) struct Draft {
    line: Option<u64>,
    state: State,
}

#[derive(Debug)]
enum State {
    Good { urls: Vec<Url>, options: Options, option_bytes: usize },
    Bad { text: String, message: String },
}

impl Draft {
    /// The entry that this line says.
    pub(super) fn of_line(number: u64, said: &Said<'_>) -> Self {
        let state = match said.fault {
            None => State::of_text(&said.text),
            Some(fault) => State::of_fault(said.shown(), fault),
        };
        Self { line: Some(number), state }
    }

    /// The entry that is typed on the command line.
    pub(super) fn of_argument(text: &str) -> Self {
        let state = match control_fault(text) {
            None => State::of_text(text),
            Some(fault) => State::of_fault(shown(text), fault),
        };
        Self { line: None, state }
    }

    /// An option line that belongs to no entry, and why.
    pub(super) fn of_stray_option(number: u64, said: &Said<'_>, why: &str) -> Self {
        let text = options::shown(&said.text);
        let message = format!("option \"{text}\" {why}");
        Self { line: Some(number), state: State::Bad { text, message } }
    }

    /// The one entry of a source that is no list; its name stands in for a text that cannot be shown.
    pub(super) fn of_no_list(number: u64, source: &str, reason: String) -> Self {
        Self { line: Some(number), state: State::Bad { text: shown(source), message: reason } }
    }

    /// Adds an option line. A bad one spoils the entry: to download with half of what was asked would be wrong.
    pub(super) fn add_option(&mut self, number: u64, said: &Said<'_>) {
        let State::Good { urls, options, option_bytes } = &mut self.state else {
            return;
        };
        *option_bytes += said.text.len();
        let added = if let Some(fault) = said.fault {
            Err(format!("option \"{}\" {fault}", options::shown(&said.text)))
        } else if *option_bytes > MOST_OPTION_BYTES {
            Err("the options of this URL are longer than 64 KiB in all; shorten them".to_owned())
        } else {
            options::add(options, &said.text)
        };
        if let Err(complaint) = added {
            self.state = State::Bad {
                text: shown(&redacted(&urls[0])),
                message: format!("line {number}: {complaint}"),
            };
        }
    }

    /// The finished entry.
    pub(super) fn finish(self, index: u64, source: Arc<str>) -> Entry {
        let line = self.line;
        match self.state {
            State::Good { urls, options, .. } => {
                Entry::Target(Target { index, source, line, urls, options })
            }
            State::Bad { text, message } => {
                Entry::Invalid(Invalid { index, source, line, text, message })
            }
        }
    }
}

impl State {
    fn of_text(text: &str) -> Self {
        match addresses(text) {
            Ok(urls) => Self::Good { urls, options: Options::default(), option_bytes: 0 },
            Err(message) => Self::Bad { text: shown(text), message },
        }
    }

    fn of_fault(text: String, fault: &str) -> Self {
        let message = format!("\"{text}\" {fault}");
        Self::Bad { text, message }
    }
}
