//! The reporter of a run: records in order on stdout, notices and the progress display on stderr, report files.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use super::buffered::Buffered;
use super::ordered::OrderedRows;
use super::progress::Progress;
use super::text::{self, TextStyle};
use super::{
    FailedListWriter, ReportFiles, Reporter, cannot_write_output, csv, host_table, jsonl,
    keep_first,
};
use crate::model::{Event, ProgressBoard, Record, Summary};
use crate::plan::{self, OutputFormat, Verbosity};
use crate::streams::{stderr, stdout};

/// The streams that a run is reported to.
pub struct Outputs {
    /// Records.
    pub stdout: OutputStream,
    /// Notices and the progress display.
    pub stderr: OutputStream,
    /// Whether colours may be sent to a terminal (`NO_COLOR`).
    pub colour: bool,
}

/// A stream. It is written in large pieces, and needs no buffer of its own.
pub struct OutputStream {
    /// The stream.
    pub writer: Box<dyn Write + Send>,
    /// Whether it is a terminal.
    pub is_terminal: bool,
}

impl Outputs {
    /// The streams of this process.
    pub fn of_process(colour: bool) -> Self {
        let (stdout, stderr) = (stdout(), stderr());
        Self {
            stdout: OutputStream { is_terminal: stdout.is_terminal(), writer: Box::new(stdout) },
            stderr: OutputStream { is_terminal: stderr.is_terminal(), writer: Box::new(stderr) },
            colour,
        }
    }
}

/// Builds the reporter that a plan asks for. The progress display samples `board`; it is shown if stderr is a terminal,
/// unless the user asked for quiet.
pub fn reporter(
    options: plan::OutputOptions,
    outputs: Outputs,
    failed: FailedListWriter,
    files: ReportFiles,
    board: Arc<ProgressBoard>,
) -> Box<dyn Reporter> {
    let streams = StreamReporter::new(options, outputs);
    let progress = if streams.stderr.is_terminal && options.verbosity != Verbosity::Quiet {
        Progress::on_stderr(board, streams.stderr.style)
    } else {
        Progress::hidden()
    };
    Box::new(RunReporter { rows: OrderedRows::by(options.order), streams, failed, files, progress })
}

/// Puts records in order, and keeps lines and the progress display apart.
struct RunReporter {
    rows: OrderedRows,
    streams: StreamReporter,
    failed: FailedListWriter,
    files: ReportFiles,
    progress: Progress,
}

impl Reporter for RunReporter {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let Self { rows, streams, failed, files, progress } = self;
        progress.count(event);
        match event {
            Event::Finished { record, target, name } => {
                let listed = failed.add(record, target.as_deref(), name.as_deref());
                let mut filed = Ok(());
                rows.take(record, |record| {
                    keep_first(&mut filed, files.row(record));
                    streams.row(record)
                })?;
                listed.and(filed)?;
            }
            event => streams.notice(event)?,
        }
        if streams.is_full() { self.write_out() } else { Ok(()) }
    }

    fn mute(&mut self) {
        self.streams.mute();
    }

    fn flush(&mut self) -> io::Result<()> {
        let Self { streams, failed, progress, .. } = self;
        let listed = failed.write_out();
        if !progress.is_shown() {
            return streams.write_out().and(listed);
        }
        // Lines for the terminal wait for the next tick, or the display would flicker.
        if streams.stdout.is_terminal { listed } else { streams.stdout.write_out().and(listed) }
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let Self { rows, streams, failed, files, progress } = self;
        progress.clear();
        let listed = failed.write_out();
        let mut filed = Ok(());
        rows.end(|record| {
            keep_first(&mut filed, files.row(record));
            streams.row(record)
        })?;
        keep_first(&mut filed, files.finish(Some(summary)));
        // A closed stdout is no error to some callers, so an error of a file comes first.
        filed.and(listed).and(streams.finish(summary))
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

impl RunReporter {
    /// Writes all lines. If some are for the terminal, the progress display is removed meanwhile.
    fn write_out(&mut self) -> io::Result<()> {
        let Self { streams, progress, .. } = self;
        if streams.has_lines_for_a_terminal() {
            progress.suspend(|| streams.write_out())
        } else {
            streams.write_out()
        }
    }
}

/// Writes records and notices to stdout and stderr.
struct StreamReporter {
    format: OutputFormat,
    verbosity: Verbosity,
    stdout: BufferedStream,
    stderr: BufferedStream,
}

/// A stream with its buffer.
struct BufferedStream {
    buffer: Buffered<Box<dyn Write + Send>>,
    is_terminal: bool,
    style: TextStyle,
    /// Whether it could not be written.
    is_broken: bool,
}

impl BufferedStream {
    fn new(stream: OutputStream, colour: bool) -> Self {
        let OutputStream { writer, is_terminal } = stream;
        let style = if is_terminal && colour { TextStyle::Colours } else { TextStyle::Plain };
        Self { buffer: Buffered::new(writer), is_terminal, style, is_broken: false }
    }

    fn write_out(&mut self) -> io::Result<()> {
        let written = self.buffer.write_out();
        self.is_broken |= written.is_err();
        written.map_err(|error| cannot_write_output(&error))
    }
}

impl StreamReporter {
    fn new(options: plan::OutputOptions, outputs: Outputs) -> Self {
        let plan::OutputOptions { format, verbosity, .. } = options;
        let Outputs { stdout, stderr, colour } = outputs;
        let mut stdout = BufferedStream::new(stdout, colour);
        if format == OutputFormat::Csv {
            csv::head(&mut stdout.buffer.lines);
        }
        Self { format, verbosity, stdout, stderr: BufferedStream::new(stderr, colour) }
    }

    /// Writes to no stream from now on.
    /// Stops writing to the streams if one has failed: what a file does not take, they may.
    fn mute(&mut self) {
        if !self.stdout.is_broken && !self.stderr.is_broken {
            return;
        }
        for stream in [&mut self.stdout, &mut self.stderr] {
            let sink = OutputStream { writer: Box::new(io::sink()), is_terminal: false };
            *stream = BufferedStream::new(sink, false);
        }
    }

    /// Adds the row of a record; and a line on stderr if it failed and its row is not text on stdout.
    fn row(&mut self, record: &Record) -> io::Result<()> {
        let quiet = self.verbosity == Verbosity::Quiet;
        let failure_to_stderr = match self.format {
            OutputFormat::Text => quiet,
            OutputFormat::Jsonl | OutputFormat::Csv => !quiet,
        };
        if failure_to_stderr && record.error.is_some() {
            text::row(record, self.stderr.style, &mut self.stderr.buffer.lines)?;
        }
        let lines = &mut self.stdout.buffer.lines;
        match self.format {
            OutputFormat::Text if quiet => Ok(()),
            OutputFormat::Text => text::row(record, self.stdout.style, lines),
            OutputFormat::Jsonl => jsonl::row(record, lines),
            OutputFormat::Csv => csv::row(record, lines),
        }
    }

    /// Adds a line about an event that is no record: a notice, and with `--verbose` a retry or a redirect.
    fn notice(&mut self, event: &Event) -> io::Result<()> {
        let lines = &mut self.stderr.buffer.lines;
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

    /// Writes all lines, and the summary after them.
    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.write_out()?;
        self.total(summary)?;
        self.stdout.write_out()?;
        self.stderr.write_out()
    }

    /// Adds the summary: as the last record of JSON Lines or text, on stderr beside CSV.
    fn total(&mut self, summary: &Summary) -> io::Result<()> {
        let quiet = self.verbosity == Verbosity::Quiet;
        let (rows, words) = (&mut self.stdout.buffer.lines, &mut self.stderr.buffer.lines);
        match self.format {
            OutputFormat::Jsonl => return jsonl::total(summary, rows),
            _ if quiet => return Ok(()),
            OutputFormat::Text => text::total(summary, rows)?,
            OutputFormat::Csv => text::total(summary, words)?,
        }
        match self.verbosity {
            Verbosity::Verbose => {
                text::details(summary, words)?;
                host_table::table(&summary.hosts, words)
            }
            _ => Ok(()),
        }
    }

    fn is_full(&self) -> bool {
        self.stdout.buffer.is_full() || self.stderr.buffer.is_full()
    }

    fn has_lines_for_a_terminal(&self) -> bool {
        let waits = |stream: &BufferedStream| stream.is_terminal && !stream.buffer.lines.is_empty();
        waits(&self.stdout) || waits(&self.stderr)
    }

    /// Writes all lines: those of stderr first, for they are about what came before the rows. An error of one stream
    /// does not keep the other from being written.
    fn write_out(&mut self) -> io::Result<()> {
        let words = self.stderr.write_out();
        self.stdout.write_out().and(words)
    }
}

#[cfg(test)]
mod tests;
