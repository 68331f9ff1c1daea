//! Where a body is saved, and what is saved there already: a complete version, or byte ranges of a partial one.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

/// Where the body of a target is saved. Determined when its name is claimed, in list order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavePlace {
    /// The name of the file, relative to the save directory, with `/` as separator.
    pub name: Arc<str>,
    /// What may be overwritten.
    pub over: OverwriteRule,
    /// Whether the manifest has an entry for the name. If so, a new entry must be written before a partial file is
    /// created.
    pub noted: bool,
    /// The version that is already saved, if it is to be revalidated.
    pub saved: Option<SavedVersion>,
    /// The partial body of an earlier run, if it can be resumed.
    pub part: Option<PartialBody>,
}

/// What may be overwritten at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverwriteRule {
    /// Nothing: an existing file was not saved by fetch.
    Nothing,
    /// An existing file: it was saved by fetch, or `--overwrite` was given.
    File,
}

/// The version of a saved body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedVersion {
    /// The length in bytes.
    pub bytes: u64,
    /// The ETag of the response, as sent.
    pub etag: Option<String>,
    /// The Last-Modified of the response, as sent.
    pub last_modified: Option<String>,
    /// A digest of the body, if one was computed: `ALGORITHM=HEX`.
    pub digest: Option<String>,
}

/// The received part of an incomplete body, in a partial file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialBody {
    /// The number of bytes received: the first ones, unless `spans` says otherwise.
    pub bytes: u64,
    /// The received ranges of a segmented download; `None`: the first bytes.
    pub spans: Option<ByteRanges>,
    /// The length of the complete body in bytes; `None` if the server did not say.
    pub length: Option<u64>,
    /// The validator of the version that these bytes belong to.
    pub validator: Validator,
    /// The index of the mirror among the target's URLs, from 0.
    pub mirror: usize,
    /// The [`resource`] that it came from. Validators of different resources cannot be compared (RFC 9110 section
    /// 8.8.1), and a redirect may lead to another one next time.
    pub from: String,
}

/// Identifies the resource of a URL, for resuming: the URL without user, fragment and query. The query is left out
/// because in many redirects it is a signature that changes each time.
pub(crate) fn resource(url: &Url) -> String {
    let (scheme, path) = (url.scheme(), url.path());
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{scheme}://{host}:{port}{path}"),
        None => format!("{scheme}://{host}{path}"),
    }
}

/// Identifies a version byte by byte: a strong validator (RFC 9110 section 8.8.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validator {
    /// A strong entity tag, as sent.
    Etag(String),
    /// A Last-Modified date that is strong, as sent.
    LastModified(String),
}

/// Byte ranges: sorted, not empty, and not touching each other. Serialized as a list of pairs: the first byte, and the
/// one after the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>")]
pub struct ByteRanges(Vec<(u64, u64)>);

impl ByteRanges {
    /// The first `bytes` bytes.
    pub fn of_beginning(bytes: u64) -> Self {
        Self::from(vec![(0, bytes)])
    }

    /// Adds a range, which may overlap others. Returns whether any byte of it is new.
    pub fn add(&mut self, span: Range<u64>) -> bool {
        let (mut start, mut end) = (span.start, span.end);
        if start >= end {
            return false;
        }
        let first = self.0.partition_point(|(_, known)| *known < start);
        let after = self.0.partition_point(|(known, _)| *known <= end);
        if let Some((known_start, _)) = self.0[first..after].first() {
            start = start.min(*known_start);
        }
        if let Some((_, known_end)) = self.0[first..after].last() {
            end = end.max(*known_end);
        }
        let is_known = self.0[first..after] == [(start, end)];
        self.0.splice(first..after, [(start, end)]);
        !is_known
    }

    /// The total number of bytes.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    /// The position after the last byte; 0 if there is none.
    pub fn end(&self) -> u64 {
        self.0.last().map_or(0, |(_, end)| *end)
    }

    /// The ranges that a body of `length` bytes still lacks.
    pub fn missing(&self, length: u64) -> Vec<Range<u64>> {
        let starts = self.0.iter().map(|(start, _)| *start).chain([length]);
        let ends = [0].into_iter().chain(self.0.iter().map(|(_, end)| *end));
        ends.zip(starts).filter(|(from, to)| from < to).map(|(from, to)| from..to).collect()
    }
}

impl From<Vec<(u64, u64)>> for ByteRanges {
    /// The pairs may be in any order.
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        let mut spans = Self::default();
        for (start, end) in pairs {
            spans.add(start..end);
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_that_touch_become_one() {
        let mut spans = ByteRanges::default();
        assert!(spans.add(10..20));
        assert!(spans.add(30..40));
        assert_eq!(spans, ByteRanges(vec![(10, 20), (30, 40)]));
        assert!(spans.add(20..25));
        assert!(!spans.add(12..25), "nothing new");
        assert!(!spans.add(7..7), "nothing");
        assert_eq!((spans.bytes(), spans.end()), (25, 40));
        assert_eq!(spans.missing(50), [0..10, 25..30, 40..50]);
        assert!(spans.add(0..30));
        assert_eq!(spans, ByteRanges(vec![(0, 40)]));
        assert_eq!(spans.missing(40), []);
    }

    #[test]
    fn whatever_is_read_is_put_in_order() {
        let read = |text: &str| serde_json::from_str::<ByteRanges>(text).unwrap();
        assert_eq!(read("[[5,9],[0,3],[2,4],[9,9],[8,1]]"), ByteRanges(vec![(0, 4), (5, 9)]));
        assert_eq!(serde_json::to_string(&read("[[0,4],[5,9]]")).unwrap(), "[[0,4],[5,9]]");
        assert_eq!(read(&format!("[[0,{}],[1,2]]", u64::MAX)).bytes(), u64::MAX);
    }

    proptest! {
        #[test]
        fn they_hold_the_bytes_that_were_added_and_no_others(
            pairs in prop::collection::vec((0u64..40, 0u64..40), 0..12)
        ) {
            let mut spans = ByteRanges::default();
            let mut bytes = [false; 40];
            for (start, end) in pairs {
                let before = bytes;
                bytes[start.min(end) as usize..end as usize].fill(true);
                prop_assert_eq!(spans.add(start..end), bytes != before);
            }
            let held = bytes.iter().filter(|there| **there).count() as u64;
            prop_assert_eq!(spans.bytes(), held);
            let missing = spans.missing(40);
            prop_assert_eq!(missing.iter().map(|gap| gap.end - gap.start).sum::<u64>(), 40 - held);
            for gap in missing {
                prop_assert!(bytes[gap.start as usize..gap.end as usize].iter().all(|there| !there));
            }
        }
    }
}
