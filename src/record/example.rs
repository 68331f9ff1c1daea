//! Targets, records and summaries for tests: a story of what became of a URL, told in a line.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{
    Comparison, Counts, Failure, Interval, Invalid, Options, Outcome, Pair, Record, RecordError,
    Resources, Sample, SpeedUp, Spread, Standing, Summary, Target, Timings, Wall,
};

/// A URL without options, the first of `sites.txt`.
pub(crate) fn target(url: &str) -> Target {
    Target {
        index: 1,
        source: Arc::from("sites.txt"),
        line: Some(1),
        urls: vec![url.parse().expect("a URL")],
        options: Options::default(),
    }
}

/// The record of a URL that was read, 0 bytes long, the first of `sites.txt`.
pub(crate) fn record(url: &str) -> Record {
    Record {
        final_url: Some(url.to_owned()),
        outcome: Outcome::Ok,
        http_status: Some(200),
        http_version: Some("HTTP/1.1"),
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
        },
        ..Record::blank(1, Arc::from("sites.txt"), Some(1), url.to_owned())
    }
}

/// The record of a line that is no URL.
pub(crate) fn invalid(source: &str, line: Option<u64>, text: &str, message: &str) -> Record {
    let (text, message) = (text.to_owned(), message.to_owned());
    Record::invalid(Invalid { index: 1, source: Arc::from(source), line, text, message })
}

impl Record {
    /// The same at another place of the list.
    pub(crate) fn at(self, index: u64) -> Self {
        Self { index, line: self.line.map(|_| index), ..self }
    }

    /// The same with a body of so many bytes.
    pub(crate) fn read(self, bytes: u64) -> Self {
        Self { bytes, wire_bytes: bytes, ..self }
    }

    /// The same, failed after so many attempts.
    pub(crate) fn failed(self, failure: &Failure, attempts: u32) -> Self {
        let http_status = match failure {
            Failure::Status(status) | Failure::RateLimited { status, .. } => Some(*status),
            _ => None,
        };
        let error = Some(RecordError::from(failure));
        Self { outcome: Outcome::Failed, error, attempts, http_status, ..self }
    }
}

/// The summary of a run of five threads over these records, the whole list read.
pub(crate) fn summary<'a>(records: impl IntoIterator<Item = &'a Record>) -> Summary {
    let mut counts = Counts::default();
    let (mut bytes, mut wire_bytes) = (0, 0);
    for record in records {
        counts.add(record);
        wire_bytes += record.wire_bytes;
        if record.outcome == Outcome::Ok {
            bytes += record.bytes;
        }
    }
    Summary {
        list_complete: true,
        counts,
        bytes,
        wire_bytes,
        elapsed: 1.61,
        setup: 0.02,
        mode: "threads",
        jobs: 5,
        loops: 5,
        stopped: None,
        resources: Resources::default(),
        hosts: Vec::new(),
    }
}

/// A comparison of two modes in three runs each; all words that may come from elsewhere are these.
pub(crate) fn comparison(words: &str) -> Comparison {
    let modes = [format!("sequential{words}"), format!("async{words}")];
    let samples = (0..6).map(|order| sample(1 + order / 2, order % 2, &modes[order % 2]));
    let speed_up =
        SpeedUp { ratio: 4.9, interval: Some(Interval { low: 4.8, high: 5.0 }), p: 0.0001 };
    Comparison {
        program: format!("fetch/0.1.0{words}"),
        started_at: format!("2026-01-01T00:00:00.000Z{words}"),
        cores: Some(2),
        sources: vec![format!("sites.txt{words}")],
        options: vec![format!("--digest=sha256{words}")],
        comparable: false,
        reasons: vec![format!("it is an example{words}")],
        notes: vec![format!("it is short{words}")],
        explanation: vec![format!("async is ahead{words}.")],
        subject: format!("what is listed{words}"),
        targets: 15,
        bytes: 3_795_179,
        runs: 3,
        warmup: 1,
        seed: 7,
        contestants: vec![standing(&modes[0], 1, None), standing(&modes[1], 5, Some(speed_up))],
        pairs: vec![Pair { first: 0, second: 1, speed_up }],
        samples: samples.collect(),
    }
}

fn standing(mode: &str, jobs: usize, speed_up: Option<SpeedUp>) -> Standing {
    Standing {
        mode: mode.to_owned(),
        jobs,
        wall: Wall { median: 1.5, interval: None, min: 1.4, max: 1.6 },
        speed_up,
        setup: 0.01,
        bytes_per_second: 2_530_119.0,
        urls_per_second: 10.0,
        first_byte: Spread::default(),
        total: Spread { p50: Some(0.1), p90: Some(0.11), p99: Some(0.12) },
        waiting: Some(0.9),
        cpu_user: Some(0.02),
        cpu_system: None,
        cpu_share: None,
        peak_memory: Some(20_971_520.0),
        worker_threads: 1.0,
        voluntary_switches: Some(60.5),
        involuntary_switches: None,
        requests: 15.0,
        connections: jobs as f64,
        handshakes: 0.0,
        lookups: 0.0,
        retries: 0.0,
    }
}

/// No two of its figures are the same.
fn sample(block: usize, contestant: usize, mode: &str) -> Sample {
    let spread = |p50: f64| Spread { p50: Some(p50), p90: Some(2.0 * p50), p99: None };
    Sample {
        block,
        contestant,
        mode: mode.to_owned(),
        jobs: 5 + contestant,
        wall: 1.0 + 0.25 * block as f64,
        setup: 0.01,
        targets: 15,
        ok: 14,
        bytes: 3_795_179,
        wire_bytes: 3_795_180,
        first_byte: spread(0.1),
        total: spread(0.15),
        waiting: 1.1,
        transfer: 0.7,
        retries: 7,
        cpu_user: Some(0.02),
        cpu_system: Some(0.03),
        peak_memory: Some(20 << 20),
        worker_threads: 8,
        voluntary_switches: Some(60),
        involuntary_switches: None,
        requests: 17,
        connections: 9,
        handshakes: 10,
        lookups: 11,
    }
}
