//! The record of one target: the schema of every report. Fields are only ever added.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::fmt::temporal::DateTimePrinter;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::carried::shown_labels;
use super::serde_helpers::known;
use super::{CarriedColumns, Failure, FailureClass, InvalidLine};
use crate::redaction::{redacted_field, redacted_name, redacted_text};

/// What became of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A final success whose body arrived complete.
    Ok,
    /// Its body is already saved; no request was made.
    Skipped,
    /// The saved version is still the current one (304).
    Unchanged,
    /// It repeats an earlier target of the list.
    Duplicate,
    /// It failed permanently.
    Failed,
    /// The line is not a URL to fetch.
    Invalid,
}

impl fmt::Display for Outcome {
    /// The name of the outcome in every report.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

/// A version of HTTP, serialized by the name that reports use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // each is the version that it is named after
pub enum HttpVersion {
    #[serde(rename = "HTTP/0.9")]
    Http09,
    #[serde(rename = "HTTP/1.0")]
    Http10,
    #[default]
    #[serde(rename = "HTTP/1.1")]
    Http11,
    #[serde(rename = "HTTP/2")]
    Http2,
    #[serde(rename = "HTTP/3")]
    Http3,
}

impl fmt::Display for HttpVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

/// A request method, serialized by the name that reports use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestMethod {
    /// Requests the complete reply.
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// Requests only the head of the reply.
    #[serde(rename = "HEAD")]
    Head,
}

impl fmt::Display for RequestMethod {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

/// The final record of one target. `None`: unknown or not applicable.
///
/// A record from an older version may lack any field except the four that have always been required: `index`, `source`,
/// `url` and `outcome`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "result")]
pub struct Record {
    /// Position among all entries of all sources, from 1.
    pub index: u64,
    /// The source that lists it.
    pub source: Arc<str>,
    /// Line in that source, from 1; `None` on the command line.
    pub line: Option<u64>,
    /// The first URL of the target, normalized, secrets redacted; for an invalid line its text.
    pub url: Arc<str>,
    /// The URL that sent the last reply, after redirects; `None` if no request was made.
    pub final_url: Option<Arc<str>>,
    /// What became of it.
    pub outcome: Outcome,
    /// Status of the last reply.
    pub http_status: Option<u16>,
    /// Version of the last reply.
    #[serde(default, deserialize_with = "known")]
    pub http_version: Option<HttpVersion>,
    /// Size of the body in bytes: with the bytes of an earlier run if it was resumed, decoded if it was compressed. For a
    /// failure, the size of the partial body.
    #[serde(default)]
    pub bytes: u64,
    /// Body bytes received in all attempts, redirects and mirrors included. At most 64 KiB are read of the body of a
    /// redirect or an error.
    #[serde(default)]
    pub wire_bytes: u64,
    /// Number of attempts; redirect hops belong to the attempt that led to them.
    #[serde(default)]
    pub attempts: u32,
    /// The number of the worker that made the last request, from 1.
    pub worker: Option<usize>,
    /// Peer of the last connection.
    pub remote_addr: Option<SocketAddr>,
    /// Content-Type of the last reply.
    pub content_type: Option<String>,
    /// Name of the saved file, relative to the folder, with `/` as separator.
    pub path: Option<String>,
    /// The mirror that served it, if several were listed.
    pub served_by: Option<String>,
    /// The index of the target that this one duplicates.
    pub duplicate_of: Option<u64>,
    /// Why it failed.
    pub error: Option<RecordError>,
    /// ETag of the last reply.
    pub etag: Option<String>,
    /// Last-Modified of the last reply.
    pub last_modified: Option<String>,
    /// Digest of the body, if one was requested, as `sha-256=HEX`.
    pub digest: Option<String>,
    /// When its first request was started, UTC, to the millisecond (RFC 3339).
    #[serde(default, serialize_with = "as_rfc3339", deserialize_with = "from_rfc3339")]
    pub started_at: Option<SystemTime>,
    /// Where the time went.
    #[serde(default)]
    pub timings: Timings,
    /// The last 100 attempts, in the order in which they ended. For a body in segments, the failed attempts at segments
    /// come first, and the last attempt spans the whole download.
    #[serde(default)]
    pub attempts_detail: Vec<AttemptDetail>,
    /// Whether the file replaced an earlier version, because the server has a new one (`--refresh`).
    #[serde(default)]
    pub updated: bool,
    /// The text of the list's line, without surrounding whitespace, secrets redacted; for an invalid line the same as
    /// `url`.
    #[serde(default)]
    pub listed: Arc<str>,
    /// The method, if only the head was requested (`--head`): `HEAD`, or `GET` without reading the body if the server
    /// refuses `HEAD`.
    #[serde(default, deserialize_with = "known")]
    pub head: Option<RequestMethod>,
    /// If only the head was requested: the Content-Length of the last reply, in bytes.
    #[serde(default)]
    pub length: Option<u64>,
    /// When the certificate of the server that sent the last reply expires, UTC (RFC 3339).
    #[serde(default)]
    pub certificate_expires: Option<Arc<str>>,
    /// The list's own identifier of the target (`--id-column`, `id=`), secrets redacted.
    #[serde(default)]
    pub id: Option<Arc<str>>,
    /// The carried columns of its row (`--carry`, `carry=`), secrets redacted.
    #[serde(default)]
    pub carried: Option<CarriedColumns>,
}

impl Record {
    /// The total length of its texts in bytes, an estimate of its memory use.
    pub(crate) fn text_bytes(&self) -> usize {
        let optional = [&self.content_type, &self.path, &self.served_by, &self.etag];
        let optional: usize = optional.into_iter().flatten().map(String::len).sum();
        let error = self.error.as_ref().map_or(0, |error| error.message.len());
        let last_modified = self.last_modified.as_ref().map_or(0, String::len);
        // For most entries these are the same shared text.
        let mut urls = self.url.len();
        let others = [Some(&self.listed), self.final_url.as_ref()];
        for other in others.into_iter().flatten() {
            urls += if Arc::ptr_eq(other, &self.url) { 0 } else { other.len() };
        }
        let carried = self.carried.as_ref().map_or(0, |carried| carried.as_json().len());
        let labels = carried + self.id.as_ref().map_or(0, |id| id.len());
        urls + optional + last_modified + error + labels
    }

    /// A record with only the position and the URL of an entry.
    pub fn blank(index: u64, source: Arc<str>, line: Option<u64>, url: Arc<str>) -> Self {
        Self {
            listed: Arc::clone(&url),
            index,
            source,
            line,
            url,
            final_url: None,
            outcome: Outcome::Failed,
            http_status: None,
            http_version: None,
            bytes: 0,
            wire_bytes: 0,
            attempts: 0,
            worker: None,
            remote_addr: None,
            content_type: None,
            path: None,
            served_by: None,
            duplicate_of: None,
            error: None,
            etag: None,
            last_modified: None,
            digest: None,
            started_at: None,
            timings: Timings::default(),
            attempts_detail: Vec::new(),
            updated: false,
            head: None,
            length: None,
            certificate_expires: None,
            id: None,
            carried: None,
        }
    }

    /// The seconds of `timings.total` that were not spent in the last attempt: earlier attempts and all waits.
    pub fn outside_last_attempt(&self) -> f64 {
        let total = self.timings.total.unwrap_or_default();
        // An older version wrote no details; its times all count from the first attempt.
        let Some(last) = self.attempts_detail.last() else { return 0.0 };
        (total - (last.total - last.redirect_wait).max(0.0)).max(0.0)
    }

    /// Masks the secrets in a record that was read from a file.
    pub(crate) fn redact(&mut self) {
        replace(&mut self.source, redacted_name);
        let urls = [Some(&mut self.url), Some(&mut self.listed), self.final_url.as_mut()];
        for url in urls.into_iter().flatten() {
            replace(url, redacted_field);
        }
        if let Some(mirror) = &mut self.served_by {
            replace(mirror, redacted_field);
        }
        if let Some(error) = &mut self.error {
            replace(&mut error.message, redacted_text);
        }
        (self.id, self.carried) = shown_labels(self.id.as_ref(), self.carried.as_ref());
    }

    /// The mirror that served it, unless it is the first URL of the target.
    pub(crate) fn other_mirror(&self) -> Option<&str> {
        self.served_by.as_deref().filter(|mirror| *mirror != &*self.url)
    }

    /// Whether the run was stopped before the first attempt.
    pub(crate) fn is_not_started(&self) -> bool {
        let class = self.error.as_ref().map(|error| error.class);
        class == Some(FailureClass::Cancelled) && self.attempts == 0
    }

    /// The record of a line that is not a URL to fetch.
    pub fn invalid(entry: InvalidLine) -> Self {
        let failure = Failure::InvalidUrl(entry.message);
        let mut record = Self {
            outcome: Outcome::Invalid,
            error: Some(RecordError::from(&failure)),
            ..Self::blank(entry.index, entry.source, entry.line, entry.text.into())
        };
        (record.id, record.carried) = shown_labels(entry.id.as_ref(), entry.carried.as_ref());
        record
    }
}

/// Why a target failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordError {
    /// The failure class.
    pub class: FailureClass,
    /// The message for people.
    pub message: String,
    /// The message to use if the partial body is not kept after the run; `None`: the same as `message`.
    #[serde(skip)]
    pub without_part: Option<String>,
}

impl From<&Failure> for RecordError {
    fn from(failure: &Failure) -> Self {
        let message = redacted_text(&failure.to_string()).into_owned();
        Self { class: failure.class(), message, without_part: None }
    }
}

/// One attempt at a target, from its first request to its end, redirects included. Times in seconds, to the microsecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptDetail {
    /// Time from the record's `started_at` to the start of the attempt.
    #[serde(serialize_with = "as_microseconds")]
    pub start: f64,
    /// Time from its start to its end.
    #[serde(serialize_with = "as_microseconds")]
    pub total: f64,
    /// Why it failed; `None` if it did not.
    #[serde(deserialize_with = "known")]
    pub class: Option<FailureClass>,
    /// How long the target waited before the attempt: since the end of the previous one.
    #[serde(serialize_with = "as_microseconds")]
    pub wait: f64,
    /// How long it waited before following redirects, for Retry-After or a host limit; part of `total`.
    #[serde(serialize_with = "as_microseconds")]
    pub redirect_wait: f64,
}

/// The times of a target in seconds, to the microsecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Time in the queue before the first request.
    #[serde(serialize_with = "as_microseconds")]
    pub queued: Option<f64>,
    /// Time from the start of the last attempt to its connection, without waits; `None` if it reused one.
    #[serde(serialize_with = "as_microseconds")]
    pub connect: Option<f64>,
    /// Time from the start of the last attempt to the end of the reply's head, without waits.
    #[serde(serialize_with = "as_microseconds")]
    pub first_byte: Option<f64>,
    /// Time from the record's `started_at` to the end.
    #[serde(serialize_with = "as_microseconds")]
    pub total: Option<f64>,
    /// Time spent waiting between attempts, before redirects, and before the target was given up; part of `total`. For a
    /// body in segments, that of the segment that waited longest.
    #[serde(serialize_with = "as_microseconds")]
    pub retry_wait: Option<f64>,
}

/// Replaces a text by its redacted form, if it differs.
fn replace<T: Deref<Target = str> + From<String>>(text: &mut T, redact: fn(&str) -> Cow<'_, str>) {
    if let Cow::Owned(redacted) = redact(text) {
        *text = T::from(redacted);
    }
}

/// Formats a moment as RFC 3339, UTC, to the millisecond.
pub(crate) fn rfc3339(moment: SystemTime) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    let stamp = jiff::Timestamp::try_from(moment);
    stamp.map(|stamp| PRINTER.timestamp_to_string(&stamp)).unwrap_or_default()
}

fn as_rfc3339<S: Serializer>(moment: &Option<SystemTime>, out: S) -> Result<S::Ok, S::Error> {
    moment.map(rfc3339).serialize(out)
}

fn from_rfc3339<'de, D: Deserializer<'de>>(text: D) -> Result<Option<SystemTime>, D::Error> {
    let Some(text) = Option::<String>::deserialize(text)? else { return Ok(None) };
    let moment = text.parse::<jiff::Timestamp>().and_then(SystemTime::try_from);
    let moment =
        moment.map_err(|_| D::Error::custom(format!("\"{text}\" is not an RFC 3339 time")))?;
    Ok(Some(moment))
}

/// Writes seconds, if known, rounded to the microsecond.
pub(super) fn as_microseconds<S: Serializer>(
    seconds: &(impl Copy + Into<Option<f64>>),
    out: S,
) -> Result<S::Ok, S::Error> {
    let seconds: Option<f64> = (*seconds).into();
    seconds.map(|seconds| (seconds * 1e6).round() / 1e6).serialize(out)
}
