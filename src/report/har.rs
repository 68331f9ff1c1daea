//! The report as an HTTP archive (HAR 1.2), which the network panels of browsers show as a waterfall. Pure.
//!
//! There is an entry for each URL for which a request was made. Unknown values are -1 or empty; header fields of requests
//! and replies are not recorded. An entry begins when the URL was put in the queue. Its phases are those of the last attempt;
//! everything before, including earlier attempts and the waits between them, is `blocked`. The status text is the registered
//! one, because HTTP/2 sends none.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use url::Url;

use super::aggregate::{micros, micros_since_1970, outside_last_attempt, sanitize};
use crate::model::{Outcome, Record, reason_phrase, rfc3339};
use crate::text::write_json;

/// Writes an archive entry by entry.
#[derive(Debug, Default)]
pub(super) struct HarArchive {
    has_begun: bool,
}

impl HarArchive {
    /// Writes the entry of one URL.
    pub(super) fn row(&mut self, record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(entry) = entry(record) else { return Ok(()) };
        self.write_separator(out)?;
        write_json(out, &entry)
    }

    /// Ends the archive.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.has_begun {
            head(out)?;
        }
        writeln!(out, "\n]}}}}")
    }

    /// Writes what comes before an entry: the head of the archive, or a comma.
    fn write_separator(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if self.has_begun {
            return writeln!(out, ",");
        }
        self.has_begun = true;
        head(out)
    }
}

fn head(out: &mut Vec<u8>) -> io::Result<()> {
    let creator = json!({"name": "fetch", "version": env!("CARGO_PKG_VERSION")});
    writeln!(out, r#"{{"log":{{"version":"1.2","creator":{creator},"pages":[],"entries":["#)
}

fn entry(record: &Record) -> Option<Value> {
    let timings = HarPhases::of(record);
    let began = micros_since_1970(record.started_at?)? - micros(timings.queued);
    let began = UNIX_EPOCH + Duration::from_micros(u64::try_from(began).ok()?);
    let version = record.http_version.map_or(String::new(), |version| version.to_string());
    // The body size of a reply is known only if there was just one reply.
    let is_only_reply = record.attempts == 1 && record.final_url.as_ref() == Some(&record.url);
    let content_type = record.content_type.as_deref().unwrap_or_default();
    let url = record.final_url.as_ref().unwrap_or(&record.url);
    let mut entry = json!({
        "startedDateTime": rfc3339(began),
        "time": timings.sum(),
        "request": {
            "method": record.head.unwrap_or_default(),
            "url": url,
            "httpVersion": version,
            "cookies": [],
            "headers": [],
            "queryString": query(url),
            "headersSize": -1,
            "bodySize": 0,
        },
        "response": {
            "status": record.http_status.unwrap_or(0),
            "statusText": record.http_status.and_then(reason_phrase).unwrap_or_default(),
            "httpVersion": version,
            "cookies": [],
            "headers": [],
            "content": {
                "size": if record.outcome == Outcome::Unchanged { 0 } else { record.bytes },
                "mimeType": content_type,
            },
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": if is_only_reply { json!(record.wire_bytes) } else { json!(-1) },
        },
        "cache": {},
        "timings": {
            "blocked": timings.blocked,
            "dns": -1,
            "connect": timings.connect,
            "ssl": -1,
            "send": 0,
            "wait": timings.wait,
            "receive": timings.receive,
        },
    });
    if let Some(address) = record.remote_addr {
        entry["serverIPAddress"] = json!(address.ip().to_string());
    }
    // Names that begin with an underscore are for fields of one's own (HAR 1.2).
    if let Some(id) = &record.id {
        entry["_id"] = json!(id);
    }
    if let Some(carried) = &record.carried {
        entry["_carried"] = json!(carried);
    }
    if let Some(error) = &record.error {
        entry["comment"] = json!(format!("{}: {}", error.class, error.message));
    }
    Some(entry)
}

/// The parameters of a URL's query, decoded, in their order.
fn query(url: &str) -> Vec<Value> {
    let Ok(url) = Url::parse(url) else { return Vec::new() };
    url.query_pairs().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// The phases of an entry, in milliseconds; -1 if not known.
struct HarPhases {
    /// In the queue before the first request, in seconds; the first part of `blocked`.
    queued: f64,
    blocked: f64,
    connect: f64,
    wait: f64,
    receive: f64,
}

impl HarPhases {
    fn of(record: &Record) -> Self {
        let timings = sanitize(record.timings);
        let known = |seconds: Option<f64>| seconds.map_or(-1.0, millis);
        let before = outside_last_attempt(record, timings);
        let total = timings.total.unwrap_or_default() - before;
        let connected = timings.connect.unwrap_or_default();
        let answered = timings.first_byte.unwrap_or(total);
        Self {
            queued: timings.queued.unwrap_or_default(),
            blocked: match timings.queued {
                None if before == 0.0 => -1.0,
                queued => millis(queued.unwrap_or_default() + before),
            },
            connect: known(timings.connect),
            wait: millis(answered - connected),
            receive: millis(total - answered),
        }
    }

    fn sum(&self) -> f64 {
        let all = [self.blocked, self.connect, self.wait, self.receive];
        rounded(all.into_iter().filter(|time| *time > 0.0).sum())
    }
}

fn millis(seconds: f64) -> f64 {
    rounded((seconds * 1e3).max(0.0))
}

/// Milliseconds, rounded to the microsecond.
fn rounded(millis: f64) -> f64 {
    (millis * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, test_fixtures};

    fn archive(records: &[Record]) -> har::v1_2::Log {
        let (mut archive, mut out) = (HarArchive::default(), Vec::new());
        for record in records {
            archive.row(record, &mut out).expect("memory takes all");
        }
        archive.end(&mut out).expect("memory takes all");
        match har::from_slice(&out).expect("an archive").log {
            har::Spec::V1_2(log) => log,
            other => panic!("another version: {other:?}"),
        }
    }

    #[test]
    fn an_archive_without_entries_is_one() {
        assert!(archive(&[]).entries.is_empty());
        assert!(
            archive(&[test_fixtures::invalid("sites.txt", Some(1), "htp", "no")])
                .entries
                .is_empty()
        );
    }

    #[test]
    fn an_entry_begins_in_the_queue_and_its_phases_make_up_its_time() {
        let log = archive(&[test_fixtures::record("https://a.b/").read(1000)]);
        let entry = &log.entries[0];
        assert_eq!(entry.started_date_time, "2025-12-31T23:59:59.990Z");
        let timings = &entry.timings;
        assert_eq!((timings.blocked, timings.connect), (Some(10.0), Some(20.0)));
        assert_eq!((timings.send, timings.wait, timings.receive), (0.0, 80.0, 310.0));
        assert_eq!((timings.dns, timings.ssl), (Some(-1.0), Some(-1.0)));
        assert_eq!(entry.time, 420.0);
        assert_eq!((entry.response.body_size, entry.response.content.size), (1000, 1000));
    }

    #[test]
    fn what_is_not_known_is_minus_one() {
        let mut record = test_fixtures::record("https://a.b/").failed(&Failure::Status(503), 3);
        (record.timings.queued, record.timings.connect) = (None, None);
        let log = archive(&[record]);
        let entry = &log.entries[0];
        let timings = &entry.timings;
        assert_eq!((timings.blocked, timings.connect), (Some(-1.0), Some(-1.0)));
        assert_eq!((timings.wait, timings.receive, entry.time), (100.0, 310.0, 410.0));
        let response = &entry.response;
        assert_eq!((response.status, response.headers_size, response.body_size), (503, -1, -1));
        assert_eq!(entry.comment.as_deref(), Some("http_5xx: HTTP 503 Service Unavailable"));
    }

    #[test]
    fn hostile_text_comes_back_as_it_was() {
        let text = "https://a.b/\"</script>\u{1b}[2J\r\n\\{},";
        let log = archive(&[test_fixtures::record(text), test_fixtures::record(text)]);
        let urls: Vec<_> = log.entries.iter().map(|entry| entry.request.url.as_str()).collect();
        assert_eq!(urls, [text, text]);
    }
}
