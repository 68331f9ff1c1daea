//! The fault matrix: every fault ends in every mode, reading and saving, as the chapter `faults` says.
//!
//! The tables of the chapter are what is expected. Here is how each fault is made, what is seen of it, and what a later run
//! makes of what is left. Each test prints what it has seen:
//!
//! ```sh
//! cargo test --test it matrix:: -- --include-ignored --nocapture
//! ```

mod leaks;
mod network;
mod runs;
mod sound;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Seen, class_of};

/// What is seen of a fault, in the words of the chapter's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    /// The class of the record; `ok` if it is a success, `none` if there is no record.
    class: String,
    /// The exit code; `killed` if a signal has ended the run.
    code: String,
    /// The option whose clock has ended it; `-` if it ended by itself.
    clock: String,
    /// What is left in the directory; `-` if nothing is saved.
    left: String,
    /// Whether there was more than one attempt.
    retried: String,
}

/// The options of clocks, and what a message says if it was that one.
const CLOCKS: [(&str, &str); 6] = [
    ("--connect-timeout", "connect timed out after"),
    ("--stall-timeout", "stalled: no data for"),
    ("--min-speed", "(--min-speed)"),
    ("--max-time", "(--max-time)"),
    ("--deadline", "the deadline passed"),
    ("--host-patience", "host unreachable: "),
];

/// Words of libraries, which no message has.
const INTERNAL: [&str; 12] = [
    "hyper",
    "h2:",
    "reqwest",
    "rustls",
    "tokio",
    "os error",
    "Error {",
    "kind:",
    "Some(",
    "Kind(",
    "error sending request",
    "panicked",
];

impl Outcome {
    /// What a record says, and the run that it is of; what is left is added by [`Outcome::leaving`].
    fn of(record: Option<&Value>, code: Option<i32>) -> Self {
        let message = record.and_then(|record| record["error"]["message"].as_str()).unwrap_or("");
        let is_plain = !INTERNAL.iter().any(|word| message.contains(word));
        let clock = CLOCKS.iter().find(|(_, words)| message.contains(words));
        let attempts = record.map_or(0, |record| record["attempts"].as_u64().unwrap());
        Self {
            class: match record {
                Some(record) if is_plain => class_of(record),
                Some(_) => format!("in words of a library: {message}"),
                None => "none".to_owned(),
            },
            code: code.map_or("killed".to_owned(), |code| code.to_string()),
            clock: clock.map_or("-", |(option, _)| option).to_owned(),
            left: "-".to_owned(),
            retried: if attempts > 1 { "yes" } else { "no" }.to_owned(),
        }
    }

    fn leaving(self, left: impl Into<String>) -> Self {
        Self { left: left.into(), ..self }
    }

    /// Whether it is what a row of the chapter says, which may name two classes. Where nothing is saved, nothing is left.
    fn is(&self, row: &Self) -> bool {
        let left = if self.left == "-" { &self.left } else { &row.left };
        let is_class = row.class.split(", ").any(|class| class == self.class);
        let class = if is_class { &self.class } else { &row.class };
        *self == Self { class: class.clone(), ..row.clone() }.leaving(left)
    }
}

/// What of the sound body stands in a folder under a name: `nothing`, `part`, `file`, or something that is none of them.
fn left_under(name: &str, folder: &Path) -> String {
    let bytes = |name: &str| fs::read(folder.join(name)).ok();
    let part = bytes(&format!("{name}.part"));
    match (bytes(name), part) {
        (None, None) => "nothing",
        (Some(bytes), None) if bytes == sound::body() => "file",
        (None, Some(bytes)) if !bytes.is_empty() && sound::body().starts_with(&bytes) => "part",
        (None, Some(_)) => "a part that is none of the body",
        (Some(_), None) => "a file that is not the body",
        (Some(_), Some(_)) => "a file and a part",
    }
    .to_owned()
}

/// All that is seen: by fault, mode and whether it saves.
#[derive(Default)]
struct Matrix {
    faults: Vec<String>,
    cells: BTreeMap<(usize, &'static str, bool), Outcome>,
}

impl Matrix {
    fn add(&mut self, fault: &str, mode: &'static str, saves: bool, outcome: Outcome) {
        let place = self.faults.iter().position(|name| name == fault).unwrap_or_else(|| {
            self.faults.push(fault.to_owned());
            self.faults.len() - 1
        });
        self.cells.insert((place, mode, saves), outcome);
    }

    /// Prints the matrix, and fails if a cell is not what the chapter says.
    fn check(&self) {
        let chapter = chapter();
        let mut text = String::new();
        let mut wrong = Vec::new();
        for ((place, mode, saves), outcome) in &self.cells {
            let fault = &self.faults[*place];
            let Outcome { class, code, clock, left, retried } = outcome;
            let how = if *saves { "save" } else { "read" };
            let cell = format!(
                "{fault:<42} {mode:<10} {how}  {class:<13} {code:>6}  {clock:<17} {left:<9} {retried}"
            );
            text += &format!("{cell}\n");
            let row = chapter.iter().find(|(name, _)| name == fault).map(|(_, row)| row);
            if !row.is_some_and(|row| outcome.is(row)) {
                wrong.push(format!("{cell}\n    chapter: {row:?}"));
            }
        }
        println!("{text}{} cells", self.cells.len());
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// The rows of the chapter's tables, each with its fault.
fn chapter() -> Vec<(String, Outcome)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/faults.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Fault "));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim));
    let rows = cells.map(|mut cells| {
        let mut next = || cells.next().unwrap_or_default().trim_matches('`').to_owned();
        let fault = next();
        let (class, code, clock, left, retried) = (next(), next(), next(), next(), next());
        (fault, Outcome { class, code, clock, left, retried })
    });
    rows.collect()
}

/// The only record of a run, or the first of the list.
fn first_record(seen: &Seen) -> Option<Value> {
    seen.rows_in_list_order().into_iter().next()
}

#[test]
fn every_row_of_the_chapter_is_a_fault_that_is_made_here() {
    let network = network::faults();
    let network = network.all.iter().map(|fault| fault.name);
    let mut made: Vec<_> = network.chain(runs::names()).chain([network::NO_ANSWER]).collect();
    let mut rows: Vec<_> = chapter().into_iter().map(|(fault, _)| fault).collect();
    made.sort_unstable();
    rows.sort_unstable();
    assert_eq!(rows, made);
}
