//! Contestants that are shell commands. A separate process runs and measures each, so that the resource usage of its child
//! processes is that of the command.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::result::Sample;
use super::sample::{MeasuredSample, SampleError, SampleRank, usable_workers};
use crate::model::Summary;
use crate::redaction::redacted_text;
use crate::report::replay::ReportLine;
use crate::resource_usage::usage_of_children;

/// The name of the hidden command that measures a shell command.
pub(crate) const MEASURE: &str = "__measure";

/// The mode of a command in results.
pub(super) const MODE: &str = "command";

/// Minimum number of bytes that are kept of the end of a long output.
const TAIL_BYTES: usize = 1 << 20;

/// How often it is checked whether a running command must be ended.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a command may take to exit after SIGTERM.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// Exit codes of a shell that could not start a command.
const NOT_STARTED_CODES: [i32; 2] = [126, 127];

/// The resource usage of a shell command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CommandMeasurement {
    /// Its exit code; `None` if a signal ended it.
    code: Option<i32>,
    /// Seconds from its start to its exit.
    wall: f64,
    cpu_user: Option<f64>,
    cpu_system: Option<f64>,
    /// The peak memory of its largest process.
    peak_memory: Option<u64>,
    voluntary_switches: Option<u64>,
    involuntary_switches: Option<u64>,
    /// The summary in its last line of output, if it is a `fetch --json`.
    summary: Option<Box<Summary>>,
}

/// Runs a shell command and measures it. The calling process must have had no other child processes.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn measure_command(text: &OsStr) -> io::Result<CommandMeasurement> {
    let mut command = shell(text);
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let tail = read_tail(child.stdout.take().expect("it is piped"))?;
    let status = child.wait()?;
    let wall = started.elapsed().as_secs_f64();
    let used = usage_of_children();
    Ok(CommandMeasurement {
        code: status.code(),
        wall,
        cpu_user: used.cpu_user.map(|time| time.as_secs_f64()),
        cpu_system: used.cpu_system.map(|time| time.as_secs_f64()),
        peak_memory: used.peak_memory,
        voluntary_switches: used.voluntary_switches,
        involuntary_switches: used.involuntary_switches,
        summary: summary_in(&tail),
    })
}

fn shell(text: &OsStr) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(text).stdin(Stdio::null());
    command
}

/// Reads to the end, and returns the last bytes: all of a short output, else [`TAIL_BYTES`] to twice as many.
fn read_tail(mut from: impl Read) -> io::Result<Vec<u8>> {
    let (mut tail, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(tail),
            Ok(read) => tail.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if tail.len() > 2 * TAIL_BYTES {
            tail.drain(..tail.len() - TAIL_BYTES);
        }
    }
}

/// The summary of a run, if the last line is one.
fn summary_in(tail: &[u8]) -> Option<Box<Summary>> {
    let last = tail.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?;
    match serde_json::from_slice(last) {
        Ok(ReportLine::Summary(summary)) => Some(summary),
        _ => None,
    }
}

/// Runs the shell command of `--prepare`.
///
/// # Errors
/// If it fails.
pub(super) fn prepare(text: &str) -> Result<(), SampleError> {
    let output = shell(OsStr::new(text)).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.context("cannot start sh for --prepare")?;
    if output.status.success() {
        return Ok(());
    }
    let reason = last_line(&output.stderr);
    Err(SampleError::Refused(format!("--prepare failed ({}){reason}", output.status)))
}

/// Takes a sample of a shell command, which gets the variable `COMPARE_URLS`, and `COMPARE_DIR` with `--dir`. `None` if it
/// was ended because `is_over`.
///
/// # Errors
/// If it cannot be started or measured.
pub(super) fn measure(
    program: &Path,
    contestant: &CommandVariant<'_>,
    rank: SampleRank,
    is_over: &dyn Fn() -> bool,
) -> Result<Option<MeasuredSample>, SampleError> {
    let mut command = Command::new(program);
    command.arg(MEASURE).arg("--").arg(contestant.text).env("COMPARE_URLS", contestant.urls);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(folder) = contestant.folder {
        command.env("COMPARE_DIR", folder);
    }
    // A process group of its own, so that all of its processes can be ended.
    let child = command.process_group(0).spawn().context("cannot start a benchmark run")?;
    let group = Pid::from_child(&child);
    let (done, output) = mpsc::channel();
    let reader = thread::Builder::new().spawn(move || drop(done.send(child.wait_with_output())));
    if let Err(error) = reader {
        let _ = kill_process_group(group, Signal::KILL);
        return Err(anyhow!(error).context("cannot start a thread").into());
    }
    let mut ended_at = None;
    let output = loop {
        match output.recv_timeout(POLL_INTERVAL) {
            Ok(output) => break output,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(anyhow!("lost a benchmark run").into());
            }
            Err(RecvTimeoutError::Timeout) if !is_over() => {}
            Err(RecvTimeoutError::Timeout) => {
                let since = *ended_at.get_or_insert_with(Instant::now);
                let signal = if since.elapsed() < TERM_GRACE { Signal::TERM } else { Signal::KILL };
                let _ = kill_process_group(group, signal);
            }
        }
    };
    if ended_at.is_some() {
        return Ok(None);
    }
    let output = output.context("lost a benchmark run")?;
    let name = contestant.name;
    let reason = last_line(&output.stderr);
    let measured = serde_json::from_slice::<CommandMeasurement>(&output.stdout);
    let measured = measured.map_err(|_| anyhow!("cannot measure {name}{reason}"))?;
    if let Some(code) = measured.code.filter(|code| NOT_STARTED_CODES.contains(code)) {
        return Err(SampleError::Refused(format!("{name} failed with exit code {code}{reason}")));
    }
    Ok(Some(sample(measured, name, rank)))
}

/// A command with what it needs to be run.
pub(super) struct CommandVariant<'a> {
    pub name: &'a str,
    pub text: &'a str,
    /// The file with the URLs.
    pub urls: &'a Path,
    pub folder: Option<&'a Path>,
}

fn sample(measured: CommandMeasurement, name: &str, rank: SampleRank) -> MeasuredSample {
    let failed_command = match (measured.code, &measured.summary) {
        (Some(0), _) => None,
        // A run in which URLs failed is valid.
        (Some(1), Some(_)) => None,
        (Some(code), _) => Some(format!("{name} failed with exit code {code}")),
        (None, _) => Some(format!("{name} was ended by a signal")),
    };
    let mut sample = Sample {
        block: rank.block,
        contestant: rank.contestant,
        mode: MODE.to_owned(),
        wall: measured.wall,
        process: Some(measured.wall),
        cpu_user: measured.cpu_user,
        cpu_system: measured.cpu_system,
        peak_memory: measured.peak_memory,
        voluntary_switches: measured.voluntary_switches,
        involuntary_switches: measured.involuntary_switches,
        ..Sample::default()
    };
    let (mut stopped, mut workers, mut hosts) = (None, 0, Vec::new());
    if let Some(summary) = measured.summary {
        let used = &summary.resources;
        sample.setup = Some(summary.setup);
        sample.targets = Some(summary.counts.targets);
        sample.ok = Some(summary.counts.ok);
        sample.failed = Some(summary.counts.failed + summary.counts.invalid);
        sample.bytes = Some(summary.counts.bytes);
        sample.wire_bytes = Some(summary.counts.wire_bytes);
        sample.run_queue_delay = used.run_queue_delay;
        sample.worker_threads = Some(used.worker_threads as u64);
        sample.requests = Some(used.requests);
        sample.connections = Some(used.connections);
        sample.handshakes = Some(used.handshakes);
        sample.lookups = Some(used.lookups);
        workers = usable_workers(&summary);
        (stopped, hosts) = (summary.stopped, summary.hosts);
    }
    MeasuredSample {
        sample,
        stopped,
        unasked: 0,
        rate_limited: false,
        workers,
        hosts,
        failed_command,
    }
}

/// The last line of an error output, as the end of a message.
fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let last = text.trim().lines().last().unwrap_or_default();
    let last = last.trim_start_matches("error: ");
    if last.is_empty() { String::new() } else { format!(": {last}") }
}

/// The name of a command: its program.
pub(super) fn name_of(text: &str) -> String {
    let is_assignment = |word: &&str| word.contains('=') && !word.starts_with(['/', '-']);
    let program = text.split_whitespace().find(|word| !is_assignment(word)).unwrap_or(MODE);
    let characters = program.rsplit('/').next().unwrap_or(program).chars();
    let name: String = characters
        .filter(|character| character.is_alphanumeric() || "-_.+".contains(*character))
        .collect();
    if name.is_empty() { MODE.to_owned() } else { name }
}

/// Masks what may be secret in a command: the values of its variables and of options for credentials, headers, cookies and
/// data, and the user names and passwords in URLs.
pub(super) fn redact(text: &str) -> String {
    const SECRET_OPTIONS: [&str; 14] = [
        "-u",
        "--user",
        "-U",
        "--proxy-user",
        "-H",
        "--header",
        "-b",
        "--cookie",
        "-d",
        "--data",
        "-x",
        "--proxy",
        "--password",
        "--http-password",
    ];
    let (mut words, mut masks_next) = (Vec::new(), false);
    for word in shell_words(text) {
        let assigned = word.split_once('=').filter(|(name, _)| {
            SECRET_OPTIONS.contains(name) || words.is_empty() && !name.starts_with('-')
        });
        let attached = SECRET_OPTIONS.iter().find(|name| {
            !name.starts_with("--") && word.len() > name.len() && word.starts_with(**name)
        });
        words.push(match (masks_next, assigned, attached) {
            (true, ..) => "***".to_owned(),
            (_, Some((name, _)), _) => format!("{name}=***"),
            (_, None, Some(name)) => format!("{name}***"),
            // A command in a command: `sh -c "curl -u ..."`.
            (_, None, None) if has_secret_within(&word) => "***".to_owned(),
            (_, None, None) => redacted_text(&word).into_owned(),
        });
        masks_next = !masks_next && SECRET_OPTIONS.contains(&word.as_str());
    }
    words.join(" ")
}

fn has_secret_within(word: &str) -> bool {
    let within = word.trim_matches(['\'', '"']);
    within.len() < word.len() && within.contains(char::is_whitespace) && {
        let words: Vec<_> = within.split_whitespace().collect();
        redact(within) != words.join(" ")
    }
}

/// Splits a shell command into words, which keep their quotes.
fn shell_words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in text.chars() {
        match quote {
            Some(open) if character == open => quote = None,
            None if character == '\'' || character == '"' => quote = Some(character),
            None if character.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                continue;
            }
            _ => {}
        }
        word.push(character);
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_by_its_program() {
        let table = [
            ("curl -Z -K list", "curl"),
            ("/usr/bin/wget2 -i list", "wget2"),
            ("A=b C=d ./get.sh x", "get.sh"),
            ("'my program' x", "my"),
            ("$(x)", "x"),
            ("", "command"),
            ("=''", "command"),
        ];
        for (text, name) in table {
            assert_eq!(name_of(text), name, "{text}");
        }
    }

    #[test]
    fn nothing_secret_of_a_command_is_shown() {
        let table = [
            ("curl -Z -o /dev/null http://a.b/c?d=e", "curl -Z -o /dev/null http://a.b/c?d=e"),
            ("curl -u me:secret http://me:secret@a.b/", "curl -u *** http://me:***@a.b/"),
            ("curl -ume:secret --user=me:secret x", "curl -u*** --user=*** x"),
            ("KEY=secret curl -H 'Authorization: secret' x", "KEY=*** curl -H *** x"),
            ("sh -c 'curl -u me:secret x'", "sh -c ***"),
            ("sh -c 'curl  -Z x'", "sh -c 'curl  -Z x'"),
            ("curl --header \"a: secret b\" -HX:secret x", "curl --header *** -H*** x"),
            (
                "wget --http-password=secret --password secret x",
                "wget --http-password=*** --password *** x",
            ),
        ];
        for (text, shown) in table {
            assert_eq!(redact(text), shown);
        }
    }

    #[test]
    fn a_summary_is_read_from_the_last_line_only() {
        assert!(summary_in(b"").is_none() && summary_in(b"100 files\n").is_none());
        let summary = br#"{"type":"summary","list_complete":true,"stopped":null}"#;
        assert!(summary_in(&[b"{}\n", &summary[..], b"\n"].concat()).is_some());
        assert!(summary_in(&[&summary[..], b"\nbye\n"].concat()).is_none());
    }

    #[test]
    fn the_end_of_a_long_output_is_kept() {
        let text = [vec![b'a'; 5 << 20], b"\nlast".to_vec()].concat();
        let tail = read_tail(&text[..]).unwrap();
        assert!(tail.ends_with(b"a\nlast") && tail.len() <= 2 * TAIL_BYTES);
    }
}
