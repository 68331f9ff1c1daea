//! Checks that all samples had the same results: each record is compared with the first one of the same entry. Memory use is
//! about 50 bytes per URL.

use crate::model::{FailureClass, Record};
use crate::report::{printable, readable_url};

/// Maximum number of differences that are reported.
const MAX_REPORTED: usize = 3;

/// The results of the first sample, and the differences of later ones.
#[derive(Default)]
pub(super) struct ConsistencyCheck {
    names: Vec<String>,
    first: Vec<Option<RecordFingerprint>>,
    differences: Vec<String>,
}

/// The fields of a record that must be equal.
struct RecordFingerprint {
    contestant: usize,
    status: Option<u16>,
    class: Option<FailureClass>,
    bytes: u64,
    digest: Option<Box<str>>,
}

impl ConsistencyCheck {
    /// A check of variants with these names.
    pub(super) fn new(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// Compares a record of a variant with the first one of its entry.
    pub(super) fn check(&mut self, record: &Record, contestant: usize) {
        // A target that was cancelled says nothing about the server.
        let class = record.error.as_ref().map(|error| error.class);
        if class == Some(FailureClass::Cancelled) {
            return;
        }
        let fingerprint = RecordFingerprint {
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
            self.first[place] = Some(fingerprint);
            return;
        };
        let Some((was, is)) = difference(first, &fingerprint) else { return };
        if self.differences.len() < MAX_REPORTED {
            let (one, other) = (&self.names[first.contestant], &self.names[contestant]);
            let url = readable_url(&record.url);
            self.differences.push(format!("{url} differs: {was} ({one}), {is} ({other})"));
        }
    }

    /// The first differences, a sentence each.
    pub(super) fn differences(&self) -> &[String] {
        &self.differences
    }
}

/// The first field in which two records differ, with both values.
fn difference(one: &RecordFingerprint, other: &RecordFingerprint) -> Option<(String, String)> {
    let parts: [fn(&RecordFingerprint) -> String; 3] = [
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
