//! The reporter as a whole, on streams and terminals in memory.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::InMemoryTerm;
use insta::assert_snapshot;

use super::*;
use crate::model::{Failure, HostStats, StopCause, test_fixtures};
use crate::plan::{Plan, ReportOrder};

/// A stream that can be read while it is written.
#[derive(Clone, Default)]
struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl SharedBuffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).expect("text")
    }
}

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe that its reader has closed.
struct BrokenWriter;

impl Write for BrokenWriter {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer to the terminal that the progress display is drawn on.
struct TerminalWriter(InMemoryTerm);

impl Write for TerminalWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use indicatif::TermLike;
        let text = std::str::from_utf8(bytes).expect("text");
        text.lines().try_for_each(|line| self.0.write_line(line))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn piped(writer: impl Write + Send + 'static) -> OutputStream {
    OutputStream { writer: Box::new(writer), is_terminal: false, colours: false }
}

fn plan(format: OutputFormat, verbosity: Verbosity) -> plan::OutputOptions {
    plan::OutputOptions { format, verbosity, ..Plan::default().report }
}

fn finished(record: Record) -> Event {
    Event::Finished { record: Box::new(record), target: None, name: None }
}

/// A reporter that writes no files.
fn without_files(report: plan::OutputOptions, outputs: Outputs) -> Box<dyn Reporter> {
    let (failed, board) = (FailedListWriter::nowhere(), Arc::new(ProgressBoard::new(1)));
    reporter(report, outputs, failed, ReportFiles::none(), board)
}

/// Reports three lines, one read, one failed and one invalid. Returns stdout and stderr.
fn outputs_of(report: plan::OutputOptions) -> (String, String) {
    let (stdout, stderr) = (SharedBuffer::default(), SharedBuffer::default());
    let (rows, words) = (piped(stdout.clone()), piped(stderr.clone()));
    report_three_lines(
        report,
        Outputs { stdout: rows, stderr: words, is_one: false, body_to_terminal: false },
    );
    (stdout.text(), stderr.text())
}

fn report_three_lines(report: plan::OutputOptions, outputs: Outputs) {
    let mut reporter = without_files(report, outputs);
    let records = [
        test_fixtures::record("https://a.b/old").read(2048),
        test_fixtures::record("https://a.b/gone").at(2).failed(&Failure::Status(404), 1),
        test_fixtures::invalid("sites.txt", Some(1), "htp://c", "not a web address").at(3),
    ];
    let events = [
        Event::Redirected {
            from: "https://a.b/old".to_owned(),
            to: "https://a.b/new".to_owned(),
            status: 301,
        },
        Event::Retrying {
            url: "https://a.b/new".to_owned(),
            failure: Failure::Status(503),
            next: "https://a.b/new".to_owned(),
            wait: Duration::from_millis(700),
            starts_in: Some(Duration::from_millis(1200)),
        },
        finished(records[2].clone()),
        Event::ListRead { entries: 3 },
        finished(records[0].clone()),
        finished(records[1].clone()),
    ];
    for event in &events {
        reporter.event(event).expect("memory takes all");
    }
    let mut summary = test_fixtures::summary(&records);
    summary.hosts = vec![HostStats { requests: 4, ..HostStats::of(&Arc::from("https://a.b")) }];
    reporter.finish(&summary).expect("memory takes all");
}

const FAILURES: &str = "Invalid sites.txt:3: not a web address
Failed https://a.b/gone: HTTP 404 Not Found (1 attempt)
";

#[test]
fn text_is_rows_and_a_total_on_stdout_and_failures_on_stderr_too() {
    let (stdout, stderr) = outputs_of(plan(OutputFormat::Text, Verbosity::Normal));
    assert_snapshot!(stdout, @"
    Invalid sites.txt:3: not a web address
    Read 2048 from https://a.b/old
    Failed https://a.b/gone: HTTP 404 Not Found (1 attempt)
    Downloaded 1 of 3 sites, 2.0 KiB in 1.61 seconds (threads, 5 jobs)
    2 failed: 1 http_4xx, 1 invalid_url
    ");
    assert_eq!(stderr, FAILURES);
}

#[test]
fn failures_are_written_once_where_both_streams_are_one_or_stdout_is_a_terminal() {
    for format in [OutputFormat::Text, OutputFormat::Jsonl] {
        for (is_terminal, is_one) in [(false, true), (true, false)] {
            let (stdout, stderr) = (SharedBuffer::default(), SharedBuffer::default());
            let outputs = Outputs {
                stdout: OutputStream { is_terminal, ..piped(stdout.clone()) },
                stderr: piped(stderr.clone()),
                is_one,
                body_to_terminal: false,
            };
            report_three_lines(plan(format, Verbosity::Normal), outputs);
            assert_eq!(stderr.text(), "");
            assert_eq!(stdout.text().matches("Not Found").count(), 1);
        }
    }
}

#[test]
fn quiet_text_is_failures_on_stderr_and_the_total() {
    let (stdout, stderr) = outputs_of(plan(OutputFormat::Text, Verbosity::Quiet));
    assert_snapshot!(stdout, @"
    Downloaded 1 of 3 sites, 2.0 KiB in 1.61 seconds (threads, 5 jobs)
    2 failed: 1 http_4xx, 1 invalid_url
    ");
    assert_eq!(stderr, FAILURES);
}

#[test]
fn silent_text_is_nothing_and_silent_data_is_the_data() {
    let silent = |format| outputs_of(plan(format, Verbosity::Silent));
    assert_eq!(silent(OutputFormat::Text), (String::new(), String::new()));
    for format in [OutputFormat::Jsonl, OutputFormat::Csv] {
        let (stdout, _) = outputs_of(plan(format, Verbosity::Normal));
        assert_eq!(silent(format), (stdout, String::new()));
    }
}

#[test]
fn at_the_level_of_errors_a_folder_that_cannot_be_written_is_one() {
    for format in [OutputFormat::Text, OutputFormat::Jsonl] {
        let stderr = SharedBuffer::default();
        let outputs = Outputs {
            stdout: piped(io::sink()),
            stderr: piped(stderr.clone()),
            is_one: false,
            body_to_terminal: false,
        };
        let mut reporter = without_files(plan(format, Verbosity::Silent), outputs);
        for failure in [Failure::Status(404), Failure::Disk("the disk is full".to_owned())] {
            let record = test_fixtures::record("https://a.b/").failed(&failure, 1);
            reporter.event(&finished(record)).expect("memory takes all");
        }
        reporter.finish(&test_fixtures::summary([])).expect("memory takes all");
        let said = "Failed https://a.b/: cannot save: the disk is full (1 attempt)\n";
        assert_eq!(stderr.text(), said);
    }
}

#[test]
fn targets_that_were_not_started_are_a_number_in_text_and_records_in_data() {
    let outputs_of = |format| {
        let (stdout, stderr) = (SharedBuffer::default(), SharedBuffer::default());
        let (rows, words) = (piped(stdout.clone()), piped(stderr.clone()));
        let outputs =
            Outputs { stdout: rows, stderr: words, is_one: false, body_to_terminal: false };
        let mut reporter = without_files(plan(format, Verbosity::Normal), outputs);
        let cancelled = Failure::Cancelled(StopCause::Interrupted);
        let record = test_fixtures::record("https://a.b/").failed(&cancelled, 0);
        reporter.event(&finished(record.clone())).expect("memory takes all");
        reporter.finish(&test_fixtures::summary([&record])).expect("memory takes all");
        (stdout.text(), stderr.text())
    };
    let (stdout, stderr) = outputs_of(OutputFormat::Text);
    assert_eq!(stdout.lines().nth(1), Some("1 not started"));
    assert_eq!((stdout.lines().count(), stderr.as_str()), (2, ""));
    let (stdout, stderr) = outputs_of(OutputFormat::Jsonl);
    assert_eq!((stdout.lines().count(), stderr.as_str()), (2, ""));
}

#[test]
fn verbose_text_tells_retries_redirects_and_details_on_stderr() {
    let (stdout, stderr) = outputs_of(plan(OutputFormat::Text, Verbosity::Verbose));
    assert_eq!(stdout.lines().count(), 5);
    assert_snapshot!(stderr, @"
    Redirected https://a.b/old -> https://a.b/new (301)
    Retrying https://a.b/new in 1.2 s: HTTP 503 Service Unavailable
    Invalid sites.txt:3: not a web address
    Failed https://a.b/gone: HTTP 404 Not Found (1 attempt)
    Requests: 0 (0 connections, 0 DNS lookups)
    Transferred: 2.0 KiB
    Workers: 0 threads (setup 20 ms)
    Host         Requests       Bytes  Max parallel  Limit
    https://a.b         4         0 B             0   none
    ");
}

#[test]
fn a_notice_is_told_on_stderr_unless_quiet() {
    let outputs_of = |format, verbosity| {
        let (stdout, stderr) = (SharedBuffer::default(), SharedBuffer::default());
        let outputs = Outputs {
            stdout: piped(stdout.clone()),
            stderr: piped(stderr.clone()),
            is_one: false,
            body_to_terminal: false,
        };
        let mut reporter = without_files(plan(format, verbosity), outputs);
        reporter.event(&Event::Notice("a.b is down\u{1b}\n".to_owned())).unwrap();
        reporter.flush().unwrap();
        assert!(!stdout.text().contains("down"));
        stderr.text()
    };
    for format in [OutputFormat::Text, OutputFormat::Jsonl, OutputFormat::Csv] {
        for verbosity in [Verbosity::Normal, Verbosity::Verbose] {
            assert_eq!(outputs_of(format, verbosity), "warning: a.b is down\\u{1b}\\u{a}\n");
        }
        assert_eq!(outputs_of(format, Verbosity::Quiet), "");
    }
}

#[test]
fn rows_by_list_come_in_its_order() {
    let report = plan::OutputOptions {
        order: ReportOrder::List,
        ..plan(OutputFormat::Text, Verbosity::Normal)
    };
    let (stdout, _) = outputs_of(report);
    let verbs: Vec<_> = stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(verbs, ["Read", "Failed", "Invalid", "Downloaded", "2"]);
}

#[test]
fn json_is_every_record_and_the_summary_and_failures_are_told_apart() {
    for verbosity in [Verbosity::Normal, Verbosity::Quiet] {
        let (stdout, stderr) = outputs_of(plan(OutputFormat::Jsonl, verbosity));
        let objects: Vec<serde_json::Value> =
            stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let kinds: Vec<_> = objects.iter().map(|object| object["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["result", "result", "result", "summary"]);
        assert_eq!(stderr, FAILURES);
    }
}

#[test]
fn beside_json_the_total_is_written_if_only_stderr_is_in_sight() {
    for (rows, words, total) in [(false, true, true), (false, false, false), (true, true, false)] {
        let stderr = SharedBuffer::default();
        let outputs = Outputs {
            stdout: OutputStream { is_terminal: rows, ..piped(io::sink()) },
            stderr: OutputStream { is_terminal: words, ..piped(stderr.clone()) },
            is_one: false,
            body_to_terminal: false,
        };
        let options = plan::OutputOptions {
            progress: ProgressChoice::Never,
            ..plan(OutputFormat::Jsonl, Verbosity::Quiet)
        };
        report_three_lines(options, outputs);
        assert_eq!(stderr.text().contains("\n2 failed: 1 http_4xx"), total);
    }
}

#[test]
fn csv_is_a_header_and_every_record_with_the_total_on_stderr() {
    for verbosity in [Verbosity::Normal, Verbosity::Quiet] {
        let (stdout, stderr) = outputs_of(plan(OutputFormat::Csv, verbosity));
        assert_eq!(stdout.lines().count(), 4);
        assert!(stdout.starts_with("index,source,line,url,"));
        let total = stderr.strip_prefix(FAILURES).expect("failures come first");
        assert!(total.starts_with("Downloaded 1 of 3 sites, 2.0 KiB in "), "{total}");
        assert!(total.ends_with("\n2 failed: 1 http_4xx, 1 invalid_url\n"), "{total}");
    }
}

#[test]
fn a_stream_that_cannot_be_written_is_an_error() {
    let outputs = || Outputs {
        stdout: piped(BrokenWriter),
        stderr: piped(io::sink()),
        is_one: false,
        body_to_terminal: false,
    };
    let new = || without_files(plan(OutputFormat::Jsonl, Verbosity::Normal), outputs());
    let event = finished(test_fixtures::record("https://a.b/"));
    let kind = |result: io::Result<()>| result.unwrap_err().kind();

    let mut flushed = new();
    flushed.event(&event).expect("it waits in memory");
    assert_eq!(kind(flushed.flush()), io::ErrorKind::BrokenPipe);
    assert_eq!(kind(new().finish(&test_fixtures::summary([]))), io::ErrorKind::BrokenPipe);
    let mut busy = new();
    let error = (0..10_000).find_map(|_| busy.event(&event).err()).expect("an error in time");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn without_a_display_a_flush_writes_and_nobody_asks_for_the_time() {
    let stdout = SharedBuffer::default();
    let outputs = Outputs {
        stdout: piped(stdout.clone()),
        stderr: piped(io::sink()),
        is_one: false,
        body_to_terminal: false,
    };
    let report = plan(OutputFormat::Text, Verbosity::Normal);
    let mut reporter = without_files(report, outputs);
    assert!(!reporter.wants_ticks());
    reporter.event(&finished(test_fixtures::record("https://a.b/"))).unwrap();
    assert_eq!(stdout.text(), "");
    reporter.flush().unwrap();
    assert_eq!(stdout.text(), "Read 0 from https://a.b/\n");
}

/// A reporter whose rows and display share a terminal.
fn on_one_terminal(term: &InMemoryTerm, board: Arc<ProgressBoard>) -> RunReporter {
    let shared = || OutputStream {
        writer: Box::new(TerminalWriter(term.clone())),
        is_terminal: true,
        colours: false,
    };
    let outputs =
        Outputs { stdout: shared(), stderr: shared(), is_one: true, body_to_terminal: false };
    let report = plan(OutputFormat::Text, Verbosity::Normal);
    let progress = super::super::progress::tests::on_a_terminal(term, board);
    let streams = StreamReporter::new(report, outputs);
    RunReporter {
        rows: OrderedRows::by(report.order),
        streams,
        failed: FailedListWriter::nowhere(),
        files: ReportFiles::none(),
        progress,
        heartbeat: Heartbeat::new(None),
    }
}

#[test]
fn rows_scroll_by_above_the_display_and_remain_when_it_is_gone() {
    let term = InMemoryTerm::new(10, 80);
    let board = Arc::new(ProgressBoard::new(1));
    board.worker(1).begin(&"https://a.b/two".parse().unwrap());
    let mut reporter = on_one_terminal(&term, board);
    let start = Instant::now();
    assert!(reporter.wants_ticks());
    reporter.tick(start).unwrap();
    let one = test_fixtures::record("https://a.b/one").read(7);
    reporter.event(&finished(one.clone())).unwrap();
    reporter.flush().unwrap();
    assert!(!term.contents().contains("Read"), "rows wait for the tick");
    reporter.tick(start + Duration::from_secs(1)).unwrap();
    assert_snapshot!(term.contents(), @r"
    Read 7 from https://a.b/one
    1 done  7 B  7 B/s
                   0 B  https://a.b/two
    ");
    reporter.finish(&test_fixtures::summary([&one])).unwrap();
    assert_snapshot!(term.contents(), @r"
    Read 7 from https://a.b/one
    Downloaded 1 of 1 site, 7 B in 1.61 seconds (threads, 5 jobs)
    ");
}

#[test]
fn a_notice_scrolls_by_above_the_display_and_remains_when_it_is_gone() {
    let term = InMemoryTerm::new(10, 80);
    let board = Arc::new(ProgressBoard::new(1));
    let mut reporter = on_one_terminal(&term, board);
    let start = Instant::now();
    reporter.tick(start).unwrap();
    reporter.event(&Event::Notice("a.b is down".to_owned())).unwrap();
    reporter.flush().unwrap();
    reporter.tick(start + Duration::from_secs(1)).unwrap();
    assert_snapshot!(term.contents(), @r"
    warning: a.b is down
    0 done  0 B  0 B/s
    ");
    reporter.event(&Event::Notice("c.d is down".to_owned())).unwrap();
    reporter.finish(&test_fixtures::summary([])).unwrap();
    assert_snapshot!(term.contents(), @r"
    warning: a.b is down
    warning: c.d is down
    Downloaded 0 of 0 sites, 0 B in 1.61 seconds (threads, 5 jobs)
    ");
}

#[test]
fn what_failed_is_in_its_list_whenever_nothing_is_happening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.txt");
    let list = plan::FailedList { path: path.clone(), classes: Vec::new(), keeps_names: true };
    let term = InMemoryTerm::new(10, 80);
    let mut reporter = on_one_terminal(&term, Arc::new(ProgressBoard::new(1)));
    reporter.failed = FailedListWriter::create(Some(&list), &[]).unwrap();
    let target = Some(Arc::new(test_fixtures::target("https://a.b/gone")));
    let record = test_fixtures::record("https://a.b/gone").failed(&Failure::Status(404), 1);
    let event = Event::Finished { record: Box::new(record), target, name: None };
    reporter.event(&event).unwrap();
    reporter.flush().unwrap();
    let written = "# http_4xx: HTTP 404 Not Found\nhttps://a.b/gone\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    reporter.event(&event).unwrap();
    reporter.finish(&test_fixtures::summary([])).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written.repeat(2));
}
