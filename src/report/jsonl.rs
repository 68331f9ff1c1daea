//! The report as JSON, one object a line (jsonlines.org): each record as it is, the summary last. Pure.

use std::io;

use serde::Serialize;

use crate::model::{Record, Summary};
use crate::text::write_json;

/// Writes the line of one record.
pub(super) fn row(record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
    line(record, out)
}

/// Writes the summary, which is the last line.
pub(super) fn total(summary: &Summary, out: &mut Vec<u8>) -> io::Result<()> {
    line(summary, out)
}

fn line(object: &impl Serialize, out: &mut Vec<u8>) -> io::Result<()> {
    write_json(&mut *out, object)?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::model::{Failure, FailureClass, HostStats, WaitReason, test_fixtures};

    fn read_back(out: &[u8]) -> Value {
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        serde_json::from_slice(out).expect("one object")
    }

    fn row_of(record: &Record) -> Value {
        let mut out = Vec::new();
        row(record, &mut out).expect("memory takes all");
        read_back(&out)
    }

    #[test]
    fn a_record_is_written_with_every_field() {
        let record = test_fixtures::record("https://example.org/").at(3).read(189_658);
        assert_eq!(
            row_of(&record),
            json!({
                "type": "result", "index": 3, "source": "sites.txt", "line": 3,
                "url": "https://example.org/", "final_url": "https://example.org/",
                "outcome": "ok", "http_status": 200, "http_version": "HTTP/1.1",
                "bytes": 189_658, "wire_bytes": 189_658, "attempts": 1, "worker": 1,
                "remote_addr": "192.0.2.1:443", "content_type": "text/html", "path": null,
                "served_by": null, "duplicate_of": null, "error": null, "etag": null,
                "last_modified": null, "digest": null, "started_at": "2026-01-01T00:00:00.000Z",
                "timings": {"queued": 0.01, "connect": 0.02, "first_byte": 0.1, "total": 0.41, "retry_wait": 0.0},
                "attempts_detail": [{"start": 0.0, "total": 0.41, "class": null, "wait": 0.0, "redirect_wait": 0.0}],
                "updated": false, "listed": "https://example.org/",
                "head": null, "length": null, "certificate_expires": null,
                "id": null, "carried": null,
            })
        );
    }

    #[test]
    fn a_failure_is_written_with_its_class() {
        let record = test_fixtures::record("https://example.org/").failed(&Failure::Status(404), 1);
        let row = row_of(&record);
        assert_eq!(row["outcome"], "failed");
        assert_eq!(row["error"], json!({"class": "http_4xx", "message": "HTTP 404 Not Found"}));
    }

    #[test]
    fn an_invalid_line_is_a_row_too() {
        let row = row_of(&test_fixtures::invalid("argument", None, "htp://a.b", "use http"));
        assert_eq!(row["outcome"], "invalid");
        assert_eq!(row["line"], Value::Null);
        assert_eq!(row["started_at"], Value::Null);
        assert_eq!(row["error"]["class"], "invalid_url");
    }

    #[test]
    fn hostile_text_comes_back_as_it_was_from_one_line() {
        let mut record = test_fixtures::record("https://a.b/\"</script>\u{1b}[2J\r\n{}");
        record.content_type = Some("=1+1\",\n\u{2028}".to_owned());
        let row = row_of(&record);
        assert_eq!(row["url"], *record.url);
        assert_eq!(row["content_type"], record.content_type.as_deref().unwrap());
    }

    #[test]
    fn the_summary_is_one_flat_object() {
        let record = test_fixtures::record("https://a.b/").read(10);
        let gone = record.clone().failed(&Failure::Status(404), 1);
        let mut out = Vec::new();
        total(&test_fixtures::summary([&record, &gone]), &mut out).expect("memory takes all");
        let summary = read_back(&out);
        assert_eq!(summary["type"], "summary");
        assert_eq!(summary["list_complete"], true);
        assert_eq!(summary["targets"], 2);
        assert_eq!(summary["ok"], 1);
        assert_eq!(summary["failures"], json!({"http_4xx": 1}));
        assert_eq!(summary["bytes"], 10);
        assert_eq!(summary["mode"], "threads");
        assert_eq!(summary["resources"]["requests"], 0);
    }
    #[test]
    fn the_summary_tells_of_each_host() {
        let mut summary = test_fixtures::summary([]);
        let host = HostStats {
            requests: 31,
            bytes: 2048,
            failures: [(FailureClass::Http4xx, 2), (FailureClass::Reset, 1)].into(),
            peak: 6,
            limit: Some(3),
            waited: [(WaitReason::RetryAfter, Duration::from_nanos(1_500_000_700))].into(),
            ..HostStats::of(&Arc::from("https://a.b:8443"))
        };
        summary.hosts = vec![host, HostStats::of(&Arc::from("https://c.d"))];
        let mut out = Vec::new();
        total(&summary, &mut out).expect("memory takes all");
        assert_eq!(
            read_back(&out)["hosts"],
            json!([
                {
                    "host": "https://a.b:8443", "requests": 31, "bytes": 2048,
                    "failures": {"http_4xx": 2, "reset": 1}, "peak": 6, "limit": 3,
                    "waited": {"retry_after": 1.5},
                },
                {
                    "host": "https://c.d", "requests": 0, "bytes": 0, "failures": {}, "peak": 0,
                    "limit": null, "waited": {},
                },
            ])
        );
    }
}
