//! The reporter of a run: records in order on stdout, notices and the progress display on stderr, report files.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use super::buffered::Buffered;
use super::heartbeat::Heartbeat;
use super::ordered::OrderedRows;
use super::progress::{self, Progress};
use super::text::{self, TextStyle};
use super::{
    FailedListWriter, ReportFiles, Reporter, cannot_write_output, csv, host_table, jsonl,
    keep_first,
};
use crate::model::{Event, FailureClass, ProgressBoard, Record, Summary};
use crate::plan::{self, OutputFormat, ProgressChoice, Verbosity};
use crate::streams::{self, stderr, stdout};

/// Columns of the host table if stderr is not a terminal.
const PIPE_COLUMNS: usize = 80;

/// The streams that a run is reported to.
pub struct Outputs {
    /// Records.
    pub stdout: OutputStream,
    /// Notices and the progress display.
    pub stderr: OutputStream,
    /// Whether both are the same file, pipe or terminal: what is written to one need not be written to the other.
    pub is_one: bool,
    /// Whether a body is written to a terminal: the progress display is then hidden.
    pub body_to_terminal: bool,
}

/// A stream. It is written in large pieces, and needs no buffer of its own.
pub struct OutputStream {
    /// The stream.
    pub writer: Box<dyn Write + Send>,
    /// Whether it is a terminal.
    pub is_terminal: bool,
    /// Whether its text is coloured.
    pub colours: bool,
}

impl Outputs {
    /// The streams of this process. `colours` says of a stream whether its text is coloured, given whether it is a
    /// terminal.
    pub fn of_process(colours: impl Fn(bool) -> bool) -> Self {
        let (stdout, stderr) = (stdout(), stderr());
        let (stdout_is_terminal, stderr_is_terminal) = (stdout.is_terminal(), stderr.is_terminal());
        let stream = |writer, is_terminal| OutputStream {
            writer,
            is_terminal,
            colours: colours(is_terminal),
        };
        Self {
            stdout: stream(Box::new(stdout), stdout_is_terminal),
            stderr: stream(Box::new(stderr), stderr_is_terminal),
            is_one: streams::stdout_is_stderr(),
            body_to_terminal: false,
        }
    }

    /// Sends what would go to standard output to standard error, because a body is written to standard output.
    pub(crate) fn without_stdout(self) -> Self {
        let body_to_terminal = self.stdout.is_terminal;
        let OutputStream { is_terminal, colours, .. } = self.stderr;
        let stdout = OutputStream { writer: Box::new(stderr()), is_terminal, colours };
        Self { stdout, is_one: true, body_to_terminal, ..self }
    }
}

/// Builds the reporter that a plan asks for. The progress display samples `board`; it is shown if stderr is a terminal,
/// unless the plan says otherwise or a body is written there.
pub fn reporter(
    options: plan::OutputOptions,
    outputs: Outputs,
    failed: FailedListWriter,
    files: ReportFiles,
    board: Arc<ProgressBoard>,
) -> Box<dyn Reporter> {
    let wants_progress = options.progress == ProgressChoice::OnTerminal
        && options.verbosity > Verbosity::Silent
        && !outputs.body_to_terminal;
    let heartbeat = Heartbeat::new(options.heartbeat);
    let streams = StreamReporter::new(options, outputs);
    let progress = if streams.stderr.is_terminal && wants_progress {
        Progress::on_stderr(board, streams.stderr.style)
    } else {
        Progress::hidden()
    };
    let rows = OrderedRows::by(options.order);
    Box::new(RunReporter { rows, streams, failed, files, progress, heartbeat })
}

/// Puts records in order, and keeps lines and the progress display apart.
struct RunReporter {
    rows: OrderedRows,
    streams: StreamReporter,
    failed: FailedListWriter,
    files: ReportFiles,
    progress: Progress,
    heartbeat: Heartbeat,
}

impl Reporter for RunReporter {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let Self { rows, streams, failed, files, progress, heartbeat } = self;
        progress.count(event);
        heartbeat.count(event);
        match event {
            Event::Finished { record, target, name } => {
                let list_result = failed.add(record, target.as_deref(), name.as_deref());
                let mut file_result = Ok(());
                rows.take(record, |record| write_row(record, files, streams, &mut file_result))?;
                list_result.and(file_result)?;
            }
            Event::OtherShards(indexes) => {
                let mut file_result = Ok(());
                rows.pass_over(indexes, |record| {
                    write_row(record, files, streams, &mut file_result)
                })?;
                file_result?;
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
        let list_result = failed.write_out();
        if !progress.is_shown() {
            return streams.write_out().and(list_result);
        }
        // Lines for the terminal wait for the next tick, or the display would flicker.
        if streams.stdout.is_terminal {
            list_result
        } else {
            streams.stdout.write_out().and(list_result)
        }
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let Self { rows, streams, failed, files, progress, .. } = self;
        progress.clear();
        let list_result = failed.finish(text::unread_list(summary).as_deref());
        let mut file_result = Ok(());
        rows.end(|record| write_row(record, files, streams, &mut file_result))?;
        keep_first(&mut file_result, files.finish(Some(summary)));
        // To some callers a closed stdout is not an error, so an error of a file comes first.
        file_result.and(list_result).and(streams.finish(summary))
    }

    fn wants_ticks(&self) -> bool {
        self.progress.is_shown() || self.heartbeat.is_wanted()
    }

    fn tick(&mut self, now: Instant) -> io::Result<()> {
        if self.heartbeat.add_line(now, &mut self.streams.stderr.buffer.lines)? {
            self.write_out()?;
        }
        if self.progress.is_due(now) {
            // The frame comes first: it is drawn again after the lines, and must be up to date then.
            self.progress.draw(now);
            self.write_out()?;
        }
        Ok(())
    }
}

/// Writes a record to all reports. An error of a report file goes to `file_result`, so that the streams still get the record.
fn write_row(
    record: &Record,
    files: &mut ReportFiles,
    streams: &mut StreamReporter,
    file_result: &mut io::Result<()>,
) -> io::Result<()> {
    keep_first(file_result, files.row(record));
    streams.row(record)
}

impl RunReporter {
    /// Writes all lines. If some are for a terminal, the progress display is removed meanwhile.
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
    /// Whether failures are written to stderr as well, or instead.
    failures_to_stderr: bool,
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
    fn new(stream: OutputStream) -> Self {
        let OutputStream { writer, is_terminal, colours } = stream;
        let style = if colours { TextStyle::Colours } else { TextStyle::Plain };
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
        let Outputs { stdout, stderr, is_one, .. } = outputs;
        let (mut stdout, stderr) = (BufferedStream::new(stdout), BufferedStream::new(stderr));
        if format == OutputFormat::Csv {
            csv::head(&mut stdout.buffer.lines);
        }
        let failures_to_stderr = match (format, verbosity) {
            (_, Verbosity::Silent) => false,
            (OutputFormat::Text, Verbosity::Quiet) => true,
            _ => !stdout.is_terminal && !is_one,
        };
        Self { format, verbosity, failures_to_stderr, stdout, stderr }
    }

    /// Stops writing to the streams if one of them has failed. After an error of a file they are still written.
    fn mute(&mut self) {
        if !self.stdout.is_broken && !self.stderr.is_broken {
            return;
        }
        for stream in [&mut self.stdout, &mut self.stderr] {
            let writer = Box::new(io::sink());
            *stream =
                BufferedStream::new(OutputStream { writer, is_terminal: false, colours: false });
        }
    }

    /// Adds the line of a record, and a line on stderr if it failed and stdout may not be visible. Text has no lines for
    /// targets that were not started: the total counts them.
    fn row(&mut self, record: &Record) -> io::Result<()> {
        let is_not_started = record.is_not_started();
        let class = record.error.as_ref().map(|error| error.class);
        // A folder that cannot be written ends the run, so this failure is reported even with the level `Silent`.
        let is_error_of_run = class == Some(FailureClass::Disk);
        let to_stderr =
            self.failures_to_stderr || (is_error_of_run && self.verbosity == Verbosity::Silent);
        if to_stderr && class.is_some() && !is_not_started {
            text::row(record, self.stderr.style, &mut self.stderr.buffer.lines)?;
        }
        let lines = &mut self.stdout.buffer.lines;
        match self.format {
            OutputFormat::Text if self.verbosity <= Verbosity::Quiet || is_not_started => Ok(()),
            OutputFormat::Text => text::row(record, self.stdout.style, lines),
            OutputFormat::Jsonl => jsonl::row(record, lines),
            OutputFormat::Csv => csv::row(record, lines),
        }
    }

    /// Adds a line about an event that is no record: a notice, and with `--verbose` a retry or a redirect.
    fn notice(&mut self, event: &Event) -> io::Result<()> {
        let lines = &mut self.stderr.buffer.lines;
        match event {
            Event::Stopping { cause, transfers, grace } if self.verbosity > Verbosity::Silent => {
                text::write_stopping(*cause, *transfers, *grace, lines)
            }
            Event::Notice(text) if self.verbosity >= Verbosity::Normal => {
                text::write_notice(text, lines)
            }
            Event::Heads(head) if self.verbosity >= Verbosity::Trace => {
                text::write_heads(head, lines)
            }
            Event::Retrying { url, failure, next, starts_in: Some(wait), .. }
                if self.verbosity >= Verbosity::Verbose =>
            {
                text::write_retry(url, next, *wait, failure, lines)
            }
            Event::Redirected { from, to, status } if self.verbosity >= Verbosity::Verbose => {
                text::write_redirect(from, to, *status, lines)
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

    /// Adds the summary: as the last line of JSON Lines or text; as text on stderr beside CSV, and beside JSON Lines if only
    /// stderr is a terminal.
    fn total(&mut self, summary: &Summary) -> io::Result<()> {
        let Self { format, verbosity, stdout, stderr, .. } = self;
        if *format == OutputFormat::Jsonl {
            jsonl::total(summary, &mut stdout.buffer.lines)?;
        }
        if *verbosity == Verbosity::Silent {
            return Ok(());
        }
        let stderr_lines = &mut stderr.buffer.lines;
        match format {
            OutputFormat::Text => text::total(summary, stdout.style, &mut stdout.buffer.lines)?,
            OutputFormat::Jsonl if stdout.is_terminal || !stderr.is_terminal => return Ok(()),
            OutputFormat::Jsonl | OutputFormat::Csv => {
                text::total(summary, stderr.style, stderr_lines)?
            }
        }
        if *verbosity >= Verbosity::Verbose {
            text::write_details(summary, stderr_lines)?;
            let columns = if stderr.is_terminal { progress::columns() } else { PIPE_COLUMNS };
            host_table::table(&summary.hosts, columns, stderr_lines)?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.stdout.buffer.is_full() || self.stderr.buffer.is_full()
    }

    fn has_lines_for_a_terminal(&self) -> bool {
        let has_lines =
            |stream: &BufferedStream| stream.is_terminal && !stream.buffer.lines.is_empty();
        has_lines(&self.stdout) || has_lines(&self.stderr)
    }

    /// Writes all lines, those of stderr first, because they are about what happened before the records. An error of one
    /// stream does not keep the other from being written.
    fn write_out(&mut self) -> io::Result<()> {
        let stderr_result = self.stderr.write_out();
        self.stdout.write_out().and(stderr_result)
    }
}

#[cfg(test)]
mod tests;
