//! What is told of a run, and where: rows on stdout in the form asked for, words and the progress display on stderr,
//! what failed in a list of its own if one was asked for, and further reports in files of their own.
//! Hears events and the summary; reads no clock, waits for nobody but its streams, ends nothing. Every line is whole
//! and is written whole; what cannot be written is an error.

pub(crate) mod aggregate;
pub(crate) mod atomic_file;
mod buffered;
pub(crate) mod csv;
pub(crate) mod escape;
mod failed_list;
pub(crate) mod files;
mod har;
mod histogram;
mod host_table;
pub(crate) mod html;
mod jsonl;
pub(crate) mod markdown;
mod ordered;
mod progress;
pub(crate) mod replay;
mod same;
mod text;
mod timeline;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Instant;

use crate::model::{Event, ProgressBoard, Record, Summary};
use crate::plan::{self, OutputFormat, Verbosity};
use buffered::Buffered;
pub use escape::printable;
pub use failed_list::FailedListWriter;
pub use files::ReportFiles;
use ordered::OrderedRows;
use progress::Progress;

/// Who hears of a run. All of its errors are those of writing. After one it is to be told the rest all the same: what
/// one stream does not take, a file may.
pub trait Reporter: Send {
    /// Something happened. What there is to tell of it may wait in memory (64 KiB a stream, and rows that are not
    /// their turn yet) until [`flush`](Self::flush), [`tick`](Self::tick) or [`finish`](Self::finish).
    ///
    /// # Errors
    /// A stream could not be written.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// A stream cannot be written any more: from now on nobody is told, and only files of their own are written.
    fn mute(&mut self);

    /// Nothing is happening just now: a moment to write what waits.
    ///
    /// # Errors
    /// A stream could not be written.
    fn flush(&mut self) -> io::Result<()>;

    /// The run is over: no event follows. Writes everything and takes the display away.
    ///
    /// # Errors
    /// A stream could not be written.
    fn finish(&mut self, summary: &Summary) -> io::Result<()>;

    /// Whether [`tick`](Self::tick) is to be called every tenth of a second.
    fn wants_ticks(&self) -> bool;

    /// Tells the time to the display, which draws itself anew, ten times a second at most.
    ///
    /// # Errors
    /// A stream could not be written.
    fn tick(&mut self, now: Instant) -> io::Result<()>;
}

/// Where reports go.
pub struct Outputs {
    /// Data: the rows.
    pub stdout: OutputStream,
    /// Words: notices and the progress display.
    pub stderr: OutputStream,
    /// Whether a terminal may be sent colours (`NO_COLOR`).
    pub colour: bool,
}

/// One of them. It is written in large pieces, and needs no buffer of its own.
pub struct OutputStream {
    /// The stream.
    pub writer: Box<dyn Write + Send>,
    /// Whether it is a terminal.
    pub is_terminal: bool,
}

impl Outputs {
    /// The streams of this process.
    pub fn of_process(colour: bool) -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        Self {
            stdout: OutputStream { is_terminal: stdout.is_terminal(), writer: Box::new(stdout) },
            stderr: OutputStream { is_terminal: stderr.is_terminal(), writer: Box::new(stderr) },
            colour,
        }
    }
}

/// The reporter that a plan asks for. The progress display looks at `slots`; it is there if stderr is a terminal and
/// nobody asked for quiet.
pub fn reporter(
    report: plan::OutputOptions,
    outputs: Outputs,
    failed: FailedListWriter,
    documents: ReportFiles,
    slots: Arc<ProgressBoard>,
) -> Box<dyn Reporter> {
    let teller = StreamReporter::new(report, outputs);
    let progress = if teller.stderr.is_terminal && report.verbosity != Verbosity::Quiet {
        Progress::on_stderr(slots, teller.stderr.paint)
    } else {
        Progress::hidden()
    };
    Box::new(RunReporter {
        rows: OrderedRows::by(report.order),
        teller,
        failed,
        documents,
        progress,
    })
}

/// Where rows are put in order and the display is kept out of the way of lines.
struct RunReporter {
    rows: OrderedRows,
    teller: StreamReporter,
    failed: FailedListWriter,
    documents: ReportFiles,
    progress: Progress,
}

impl Reporter for RunReporter {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let Self { rows, teller, failed, documents, progress } = self;
        progress.count(event);
        match event {
            Event::Finished { record, target, name } => {
                let kept = failed.take(record, target.as_deref(), name.as_deref());
                let mut documented = Ok(());
                rows.take(record, |record| {
                    keep_first(&mut documented, documents.row(record));
                    teller.row(record)
                })?;
                kept.and(documented)?;
            }
            event => teller.notice(event)?,
        }
        if teller.is_full() { self.write_out() } else { Ok(()) }
    }

    fn mute(&mut self) {
        self.teller.mute();
    }

    fn flush(&mut self) -> io::Result<()> {
        let Self { teller, failed, progress, .. } = self;
        let kept = failed.write_out();
        if !progress.is_shown() {
            return teller.write_out().and(kept);
        }
        // Lines for the terminal wait for the next tick, or the display would flicker.
        if teller.stdout.is_terminal { kept } else { teller.stdout.write_out().and(kept) }
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let Self { rows, teller, failed, documents, progress } = self;
        progress.clear();
        let kept = failed.write_out();
        let mut documented = Ok(());
        rows.end(|record| {
            keep_first(&mut documented, documents.row(record));
            teller.row(record)
        })?;
        keep_first(&mut documented, documents.finish(Some(summary)));
        // A reader who has gone is no error to some: what is wrong with a file is told before.
        documented.and(kept).and(teller.finish(summary))
    }

    fn wants_ticks(&self) -> bool {
        self.progress.is_shown()
    }

    fn tick(&mut self, now: Instant) -> io::Result<()> {
        if self.progress.is_due(now) {
            // The frame first: after the lines it is drawn once more, and has to fit by then.
            self.progress.draw(now);
            self.write_out()?;
        }
        Ok(())
    }
}

pub(crate) fn keep_first(first: &mut io::Result<()>, next: io::Result<()>) {
    if first.is_ok() {
        *first = next;
    }
}

impl RunReporter {
    /// Writes what waits; a terminal that the display is on is cleared of it meanwhile.
    fn write_out(&mut self) -> io::Result<()> {
        let Self { teller, progress, .. } = self;
        if teller.has_lines_for_a_terminal() {
            progress.suspend(|| teller.write_out())
        } else {
            teller.write_out()
        }
    }
}

/// What is said, in which form and on which page.
struct StreamReporter {
    format: OutputFormat,
    verbosity: Verbosity,
    stdout: Buffered,
    stderr: Buffered,
}

impl StreamReporter {
    fn new(report: plan::OutputOptions, outputs: Outputs) -> Self {
        let plan::OutputOptions { format, verbosity, .. } = report;
        let Outputs { stdout, stderr, colour } = outputs;
        let mut stdout = Buffered::of(stdout, colour);
        if format == OutputFormat::Csv {
            csv::head(&mut stdout.lines);
        }
        Self { format, verbosity, stdout, stderr: Buffered::of(stderr, colour) }
    }

    /// Speaks to nobody from now on.
    fn mute(&mut self) {
        let nobody = || OutputStream { writer: Box::new(io::sink()), is_terminal: false };
        (self.stdout, self.stderr) = (Buffered::of(nobody(), false), Buffered::of(nobody(), false));
    }

    /// Tells of a record: in its row, and in words on stderr where it went wrong and the row is not words.
    fn row(&mut self, record: &Record) -> io::Result<()> {
        let quiet = self.verbosity == Verbosity::Quiet;
        let in_words_apart = match self.format {
            OutputFormat::Text => quiet,
            OutputFormat::Jsonl | OutputFormat::Csv => !quiet,
        };
        if in_words_apart && record.error.is_some() {
            text::row(record, self.stderr.paint, &mut self.stderr.lines)?;
        }
        let Buffered { lines, paint, .. } = &mut self.stdout;
        match self.format {
            OutputFormat::Text if quiet => Ok(()),
            OutputFormat::Text => text::row(record, *paint, lines),
            OutputFormat::Jsonl => jsonl::row(record, lines),
            OutputFormat::Csv => csv::row(record, lines),
        }
    }

    /// Tells of what is not a row: words for the person who waits, and each step to those who asked for it.
    fn notice(&mut self, event: &Event) -> io::Result<()> {
        let lines = &mut self.stderr.lines;
        match (self.verbosity, event) {
            (Verbosity::Normal | Verbosity::Verbose, Event::Notice(text)) => {
                text::notice(text, lines)
            }
            (Verbosity::Verbose, Event::Retrying { url, failure, next, wait }) => {
                text::retrying(url, next, *wait, failure, lines)
            }
            (Verbosity::Verbose, Event::Redirected { from, to, status }) => {
                text::redirected(from, to, *status, lines)
            }
            _ => Ok(()),
        }
    }

    /// Writes what waits, and the total after it.
    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.write_out()?;
        self.total(summary)?;
        self.stdout.write_out()?;
        self.stderr.write_out()
    }

    /// Tells of the whole run: as the last row where the form has one, else on stderr.
    fn total(&mut self, summary: &Summary) -> io::Result<()> {
        let quiet = self.verbosity == Verbosity::Quiet;
        match self.format {
            OutputFormat::Jsonl => return jsonl::total(summary, &mut self.stdout.lines),
            _ if quiet => return Ok(()),
            OutputFormat::Text => text::total(summary, &mut self.stdout.lines)?,
            OutputFormat::Csv => text::total(summary, &mut self.stderr.lines)?,
        }
        match self.verbosity {
            Verbosity::Verbose => {
                text::details(summary, &mut self.stderr.lines)?;
                host_table::table(&summary.hosts, &mut self.stderr.lines)
            }
            _ => Ok(()),
        }
    }

    fn is_full(&self) -> bool {
        self.stdout.is_full() || self.stderr.is_full()
    }

    fn has_lines_for_a_terminal(&self) -> bool {
        let waits = |page: &Buffered| page.is_terminal && !page.lines.is_empty();
        waits(&self.stdout) || waits(&self.stderr)
    }

    /// Writes what waits: words first, for they tell of what came before the rows. One stream's error does not keep
    /// the other from being written.
    fn write_out(&mut self) -> io::Result<()> {
        let words = self.stderr.write_out();
        self.stdout.write_out().and(words)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use indicatif::InMemoryTerm;
    use insta::assert_snapshot;

    use super::*;
    use crate::model::{Failure, HostStats, test_fixtures};
    use crate::plan::ReportOrder;

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

    /// A stream that nobody reads any more.
    struct BrokenWriter;

    impl Write for BrokenWriter {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A terminal, seen as the stream of rows that shares it with the display.
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
        OutputStream { writer: Box::new(writer), is_terminal: false }
    }

    fn plan(format: OutputFormat, verbosity: Verbosity) -> plan::OutputOptions {
        plan::OutputOptions { format, order: ReportOrder::Completion, verbosity }
    }

    fn finished(record: Record) -> Event {
        Event::Finished { record: Box::new(record), target: None, name: None }
    }

    /// A reporter that writes no files.
    fn alone(report: plan::OutputOptions, outputs: Outputs) -> Box<dyn Reporter> {
        let (failed, slots) = (FailedListWriter::nowhere(), Arc::new(ProgressBoard::new(1)));
        reporter(report, outputs, failed, ReportFiles::none(), slots)
    }

    /// Tells the story of three lines, one read, one failed and one invalid; gives back stdout and stderr.
    fn told(report: plan::OutputOptions) -> (String, String) {
        let (stdout, stderr) = (SharedBuffer::default(), SharedBuffer::default());
        let outputs =
            Outputs { stdout: piped(stdout.clone()), stderr: piped(stderr.clone()), colour: true };
        let mut reporter = alone(report, outputs);
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
                wait: Duration::from_millis(1200),
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
        (stdout.text(), stderr.text())
    }

    #[test]
    fn text_is_rows_and_a_total_on_stdout_alone() {
        let (stdout, stderr) = told(plan(OutputFormat::Text, Verbosity::Normal));
        assert_snapshot!(stdout, @"
        Invalid sites.txt:3: not a web address
        Read 2048 from https://a.b/old
        Failed https://a.b/gone: HTTP 404 Not Found (1 attempt)
        Downloaded 1 of 3 sites, 2.0 KiB in 1.61 seconds (threads, 5 jobs)
        ");
        assert_eq!(stderr, "");
    }

    #[test]
    fn quiet_text_tells_what_went_wrong_on_stderr_and_nothing_else() {
        let (stdout, stderr) = told(plan(OutputFormat::Text, Verbosity::Quiet));
        assert_eq!(stdout, "");
        assert_snapshot!(stderr, @"
        Invalid sites.txt:3: not a web address
        Failed https://a.b/gone: HTTP 404 Not Found (1 attempt)
        ");
    }

    #[test]
    fn verbose_text_tells_retries_redirects_and_details_on_stderr() {
        let (stdout, stderr) = told(plan(OutputFormat::Text, Verbosity::Verbose));
        assert_eq!(stdout.lines().count(), 4);
        assert_snapshot!(stderr, @"
        Redirected https://a.b/old -> https://a.b/new (301)
        Retrying https://a.b/new in 1.2 s: HTTP 503 Service Unavailable
        Failures: 1 http_4xx, 1 invalid_url
        Network: 0 requests, 0 connections, 0 name lookups
        Wire: 2.0 KiB of bodies
        Workers: 0 worker threads, built in 0.020 seconds
        Host         Requests       Bytes  Peak  Limit
        https://a.b         4         0 B     0   none
        ");
    }

    #[test]
    fn a_notice_is_told_on_stderr_unless_quiet() {
        let told = |format, verbosity| {
            let (stdout, stderr) = (SharedBuffer::default(), SharedBuffer::default());
            let outputs = Outputs {
                stdout: piped(stdout.clone()),
                stderr: piped(stderr.clone()),
                colour: true,
            };
            let mut reporter = alone(plan(format, verbosity), outputs);
            reporter.event(&Event::Notice("a.b is down\u{1b}\n".to_owned())).unwrap();
            reporter.flush().unwrap();
            assert!(!stdout.text().contains("down"));
            stderr.text()
        };
        for format in [OutputFormat::Text, OutputFormat::Jsonl, OutputFormat::Csv] {
            for verbosity in [Verbosity::Normal, Verbosity::Verbose] {
                assert_eq!(told(format, verbosity), "fetch: a.b is down\\u{1b}\\u{a}\n");
            }
            assert_eq!(told(format, Verbosity::Quiet), "");
        }
    }

    #[test]
    fn rows_by_list_come_in_its_order() {
        let report = plan::OutputOptions {
            order: ReportOrder::List,
            ..plan(OutputFormat::Text, Verbosity::Normal)
        };
        let (stdout, _) = told(report);
        let verbs: Vec<_> = stdout.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(verbs, ["Read", "Failed", "Invalid", "Downloaded"]);
    }

    #[test]
    fn json_is_every_record_and_the_summary_and_failures_are_told_apart() {
        let (stdout, stderr) = told(plan(OutputFormat::Jsonl, Verbosity::Normal));
        let objects: Vec<serde_json::Value> =
            stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let kinds: Vec<_> = objects.iter().map(|object| object["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["result", "result", "result", "summary"]);
        assert_snapshot!(stderr, @"
        Invalid sites.txt:3: not a web address
        Failed https://a.b/gone: HTTP 404 Not Found (1 attempt)
        ");
    }

    #[test]
    fn csv_is_a_header_and_every_record_with_the_total_on_stderr() {
        let (stdout, stderr) = told(plan(OutputFormat::Csv, Verbosity::Normal));
        assert_eq!(stdout.lines().count(), 4);
        assert!(stdout.starts_with("index,source,line,url,"));
        assert_snapshot!(stderr, @"
        Invalid sites.txt:3: not a web address
        Failed https://a.b/gone: HTTP 404 Not Found (1 attempt)
        Downloaded 1 of 3 sites, 2.0 KiB in 1.61 seconds (threads, 5 jobs)
        ");
    }

    #[test]
    fn quiet_data_is_the_same_data_and_no_words() {
        for format in [OutputFormat::Jsonl, OutputFormat::Csv] {
            let (loud, _) = told(plan(format, Verbosity::Normal));
            assert_eq!(told(plan(format, Verbosity::Quiet)), (loud, String::new()));
        }
    }

    #[test]
    fn a_stream_that_cannot_be_written_is_an_error() {
        let outputs =
            || Outputs { stdout: piped(BrokenWriter), stderr: piped(io::sink()), colour: false };
        let new = || alone(plan(OutputFormat::Jsonl, Verbosity::Normal), outputs());
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
        let outputs =
            Outputs { stdout: piped(stdout.clone()), stderr: piped(io::sink()), colour: false };
        let report = plan(OutputFormat::Text, Verbosity::Normal);
        let mut reporter = alone(report, outputs);
        assert!(!reporter.wants_ticks());
        reporter.event(&finished(test_fixtures::record("https://a.b/"))).unwrap();
        assert_eq!(stdout.text(), "");
        reporter.flush().unwrap();
        assert_eq!(stdout.text(), "Read 0 from https://a.b/\n");
    }

    /// A desk whose rows and display share a terminal.
    fn on_one_terminal(term: &InMemoryTerm, slots: Arc<ProgressBoard>) -> RunReporter {
        let shared =
            || OutputStream { writer: Box::new(TerminalWriter(term.clone())), is_terminal: true };
        let outputs = Outputs { stdout: shared(), stderr: shared(), colour: false };
        let report = plan(OutputFormat::Text, Verbosity::Normal);
        let progress = progress::tests::on_a_terminal(term, slots);
        let teller = StreamReporter::new(report, outputs);
        RunReporter {
            rows: OrderedRows::by(report.order),
            teller,
            failed: FailedListWriter::nowhere(),
            documents: ReportFiles::none(),
            progress,
        }
    }

    #[test]
    fn rows_scroll_by_above_the_display_and_remain_when_it_is_gone() {
        let term = InMemoryTerm::new(10, 80);
        let slots = Arc::new(ProgressBoard::new(1));
        slots.worker(1).begin(&"https://a.b/two".parse().unwrap());
        let mut desk = on_one_terminal(&term, slots);
        let start = Instant::now();
        assert!(desk.wants_ticks());
        desk.tick(start).unwrap();
        let one = test_fixtures::record("https://a.b/one").read(7);
        desk.event(&finished(one.clone())).unwrap();
        desk.flush().unwrap();
        assert!(!term.contents().contains("Read"), "rows wait for the tick");
        desk.tick(start + Duration::from_secs(1)).unwrap();
        assert_snapshot!(term.contents(), @r"
        Read 7 from https://a.b/one
        1 done  7 B  7 B/s
                       0 B  https://a.b/two
        ");
        desk.finish(&test_fixtures::summary([&one])).unwrap();
        assert_snapshot!(term.contents(), @r"
        Read 7 from https://a.b/one
        Downloaded 1 of 1 site, 7 B in 1.61 seconds (threads, 5 jobs)
        ");
    }

    #[test]
    fn a_notice_scrolls_by_above_the_display_and_remains_when_it_is_gone() {
        let term = InMemoryTerm::new(10, 80);
        let slots = Arc::new(ProgressBoard::new(1));
        let mut desk = on_one_terminal(&term, slots);
        let start = Instant::now();
        desk.tick(start).unwrap();
        desk.event(&Event::Notice("a.b is down".to_owned())).unwrap();
        desk.flush().unwrap();
        desk.tick(start + Duration::from_secs(1)).unwrap();
        assert_snapshot!(term.contents(), @r"
        fetch: a.b is down
        0 done  0 B  0 B/s
        ");
        desk.event(&Event::Notice("c.d is down".to_owned())).unwrap();
        desk.finish(&test_fixtures::summary([])).unwrap();
        assert_snapshot!(term.contents(), @r"
        fetch: a.b is down
        fetch: c.d is down
        Downloaded 0 of 0 sites, 0 B in 1.61 seconds (threads, 5 jobs)
        ");
    }

    #[test]
    fn what_failed_is_in_its_list_whenever_nothing_is_happening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.txt");
        let list = plan::FailedList { path: path.clone(), classes: Vec::new() };
        let term = InMemoryTerm::new(10, 80);
        let mut desk = on_one_terminal(&term, Arc::new(ProgressBoard::new(1)));
        desk.failed = FailedListWriter::create(Some(&list), &[]).unwrap();
        let target = Some(Arc::new(test_fixtures::target("https://a.b/gone")));
        let record = test_fixtures::record("https://a.b/gone").failed(&Failure::Status(404), 1);
        let event = Event::Finished { record: Box::new(record), target, name: None };
        desk.event(&event).unwrap();
        desk.flush().unwrap();
        let written = "# http_4xx: HTTP 404 Not Found\nhttps://a.b/gone\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
        desk.event(&event).unwrap();
        desk.finish(&test_fixtures::summary([])).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), written.repeat(2));
    }
}
