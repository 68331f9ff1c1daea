//! Test fixtures: targets, records and summaries that tests build in one line each.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{
    AttemptDetail, EntryOptions, Failure, HttpVersion, InvalidLine, Mode, Outcome, OutcomeCounts,
    Record, RecordError, Resources, Summary, Target, Timings,
};

/// The target of a URL without options, the first entry of `sites.txt`.
pub(crate) fn target(url: &str) -> Target {
    Target {
        index: 1,
        source: Arc::from("sites.txt"),
        line: Some(1),
        listed: None,
        urls: vec![url.parse().expect("a URL")],
        options: EntryOptions::default(),
    }
}

/// The record of a successful URL with an empty body, the first entry of `sites.txt`.
pub(crate) fn record(url: &str) -> Record {
    Record {
        final_url: Some(url.into()),
        outcome: Outcome::Ok,
        http_status: Some(200),
        http_version: Some(HttpVersion::Http11),
        attempts: 1,
        worker: Some(1),
        remote_addr: Some("192.0.2.1:443".parse().expect("an address")),
        content_type: Some("text/html".to_owned()),
        started_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)),
        timings: Timings {
            queued: Some(0.01),
            connect: Some(0.02),
            first_byte: Some(0.1),
            total: Some(0.41),
            retry_wait: Some(0.0),
        },
        attempts_detail: vec![AttemptDetail { total: 0.41, ..AttemptDetail::default() }],
        ..Record::blank(1, Arc::from("sites.txt"), Some(1), url.into())
    }
}

/// The record of an invalid line.
pub(crate) fn invalid(source: &str, line: Option<u64>, text: &str, message: &str) -> Record {
    let (text, message) = (text.to_owned(), message.to_owned());
    let (id, carried) = (None, None);
    let source = Arc::from(source);
    Record::invalid(InvalidLine { index: 1, source, line, text, message, id, carried })
}

impl Record {
    /// The same record at another position of the list.
    pub(crate) fn at(self, index: u64) -> Self {
        Self { index, line: self.line.map(|_| index), ..self }
    }

    /// The same record with a body of `bytes` bytes.
    pub(crate) fn read(self, bytes: u64) -> Self {
        Self { bytes, wire_bytes: bytes, ..self }
    }

    /// The same record, failed after this number of attempts.
    pub(crate) fn failed(self, failure: &Failure, attempts: u32) -> Self {
        let http_status = match failure {
            Failure::Status(status) | Failure::RateLimited { status, .. } => Some(*status),
            _ => None,
        };
        let error = Some(RecordError::from(failure));
        Self { outcome: Outcome::Failed, error, attempts, http_status, ..self }
    }
}

/// The summary of a run with five threads and these records; the list was read to its end.
pub(crate) fn summary<'a>(records: impl IntoIterator<Item = &'a Record>) -> Summary {
    let mut counts = OutcomeCounts::default();
    records.into_iter().for_each(|record| counts.add(record));
    Summary {
        list_complete: true,
        read_up_to: None,
        saves: Some(true),
        counts,
        elapsed: 1.61,
        setup: 0.02,
        mode: Some(Mode::Threads),
        jobs: 5,
        loops: 5,
        stopped: None,
        resources: Resources::default(),
        hosts: Vec::new(),
        program: "fetch/0.1.0".to_owned(),
        started_at: "2026-01-01T00:00:00.000Z".to_owned(),
        sources: vec!["sites.txt".to_owned()],
        options: vec!["--mode=threads".to_owned()],
        head: false,
        shard: None,
    }
}
