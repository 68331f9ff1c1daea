//! Rows a second, in each form.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, Throughput};
use fetch::bench::model::{HttpVersion, ProgressBoard};
use fetch::bench::plan::{OutputFormat, OutputOptions};
use fetch::bench::report::{self, FailedListWriter, ReportFiles};
use fetch::{Event, Outcome, OutputStream, Outputs, Plan, Record, Reporter, Timings};

use crate::urls;

const ROWS: u64 = 1000;

pub fn writing(criterion: &mut Criterion) {
    let events: Vec<_> = (1..=ROWS).map(finished).collect();
    let mut group = criterion.benchmark_group("records");
    group.throughput(Throughput::Elements(ROWS));
    for format in [OutputFormat::Jsonl, OutputFormat::Csv, OutputFormat::Text] {
        let mut reporter = reporter(format);
        group.bench_function(format!("{format:?}").to_lowercase(), |bench| {
            bench.iter(|| {
                for event in &events {
                    reporter.event(event).expect("a sink takes all");
                }
            });
        });
    }
    group.finish();
}

fn reporter(format: OutputFormat) -> Box<dyn Reporter> {
    let nowhere =
        || OutputStream { writer: Box::new(io::sink()), is_terminal: false, colours: false };
    let outputs =
        Outputs { stdout: nowhere(), stderr: nowhere(), is_one: true, body_to_terminal: false };
    let report = OutputOptions { format, ..Plan::default().report };
    let slots = Arc::new(ProgressBoard::new(16));
    report::reporter(report, outputs, FailedListWriter::nowhere(), ReportFiles::none(), slots)
}

fn finished(index: u64) -> Event {
    let url: Arc<str> = urls::nth(index as usize, 1000).into();
    let record = Record {
        final_url: Some(url.clone()),
        outcome: Outcome::Ok,
        http_status: Some(200),
        http_version: Some(HttpVersion::Http11),
        bytes: 10_240,
        wire_bytes: 10_240,
        attempts: 1,
        worker: Some(3),
        remote_addr: Some("192.0.2.1:443".parse().expect("an address")),
        content_type: Some("text/html; charset=utf-8".to_owned()),
        path: Some("list.bc7c7eb0.html".to_owned()),
        etag: Some("\"686897696a7c876b7e\"".to_owned()),
        last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        started_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)),
        timings: Timings {
            queued: Some(0.010_203),
            connect: None,
            first_byte: Some(0.100_405),
            total: Some(0.410_607),
            retry_wait: Some(0.0),
        },
        ..Record::blank(index, Arc::from("sites.txt"), Some(index), url)
    };
    Event::Finished { record: Box::new(record), target: None, name: None }
}
