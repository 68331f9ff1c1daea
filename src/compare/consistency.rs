//! Whether all samples did the same: each row is held against the first one of its place in the list. Keeps some 50
//! bytes for each URL.

use crate::model::{FailureClass, Record};
use crate::report::printable;

/// Differences that are told; there may be more.
const TOLD: usize = 3;

/// What the first sample saw, and where others saw something else.
#[derive(Default)]
pub(super) struct ConsistencyCheck {
    names: Vec<String>,
    first: Vec<Option<RowFingerprint>>,
    differences: Vec<String>,
}

/// What is to be the same of a row.
struct RowFingerprint {
    contestant: usize,
    status: Option<u16>,
    class: Option<FailureClass>,
    bytes: u64,
    digest: Option<Box<str>>,
}

impl ConsistencyCheck {
    /// `names` is what the contestants are called.
    pub(super) fn of(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// Holds a row of a contestant against the first one.
    pub(super) fn check(&mut self, record: &Record, contestant: usize) {
        // What a run that ended early left undone says nothing of the rest.
        let class = record.error.as_ref().map(|error| error.class);
        if class == Some(FailureClass::Cancelled) {
            return;
        }
        let seen = RowFingerprint {
            contestant,
            status: record.http_status,
            class,
            bytes: record.bytes,
            digest: record.digest.as_deref().map(Into::into),
        };
        let place = record.index as usize;
        if self.first.len() <= place {
            self.first.resize_with(place + 1, || None);
        }
        let Some(first) = &self.first[place] else {
            self.first[place] = Some(seen);
            return;
        };
        let Some((was, is)) = difference(first, &seen) else { return };
        if self.differences.len() < TOLD {
            let (one, other) = (&self.names[first.contestant], &self.names[contestant]);
            let url = printable(&record.url);
            self.differences.push(format!("{url} differs: {was} ({one}), {is} ({other})"));
        }
    }

    /// What differed first, a sentence each.
    pub(super) fn differences(&self) -> &[String] {
        &self.differences
    }
}

/// The first thing in which two rows differ, as each has it.
fn difference(one: &RowFingerprint, other: &RowFingerprint) -> Option<(String, String)> {
    let parts: [fn(&RowFingerprint) -> String; 3] = [
        |seen| match (seen.status, seen.class) {
            (Some(status), None) => format!("HTTP {status}"),
            (Some(status), Some(class)) => format!("HTTP {status}, {class}"),
            (None, Some(class)) => class.to_string(),
            (None, None) => "no reply".to_owned(),
        },
        |seen| format!("{} bytes", seen.bytes),
        |seen| seen.digest.as_deref().map_or("no digest".to_owned(), |text| printable(text).into()),
    ];
    parts.iter().map(|part| (part(one), part(other))).find(|(one, other)| one != other)
}
