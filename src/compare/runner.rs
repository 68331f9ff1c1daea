//! Runs blocks of samples until there are enough.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use fastrand::Rng;
use tempfile::{NamedTempFile, TempDir};

use super::against::SavedComparison;
use super::builtin_workload::{self, BuiltinWorkload};
use super::command::{self, CommandVariant};
use super::consistency::ConsistencyCheck;
use super::findings::{Evidence, Findings};
use super::machine::MachineReadings;
use super::request_budget::RequestBudget;
use super::sample::{MeasuredSample, SampleError, SampleRank, measure};
use super::validity::ValidityChecks;
use super::workload::Workload;
use super::{CompareError, LEAST_RUNS, Options, Variant, WORDS_ON_STDIN, summarize};
use crate::compare::result::{Comparison, ModeStats, Sample, TimedSpan};
use crate::input::source_name;
use crate::model::{Mode, rfc3339};
use crate::report::printable;
use crate::streams::stderr;

/// The source of the URLs.
pub(super) enum UrlSource {
    Listed(Workload),
    BuiltIn(BuiltinWorkload),
}

/// The measured samples, and a note if they are fewer than planned.
type TakenSamples = (Vec<MeasuredSample>, Option<String>);

/// Runs the samples of a comparison.
pub(super) struct CompareRunner<'a> {
    pub program: PathBuf,
    pub urls: UrlSource,
    pub options: &'a Options,
    pub contestants: Vec<Variant>,
    /// The unique name of each.
    pub names: Vec<String>,
    /// The URLs in a file, if there are commands.
    pub list: Option<NamedTempFile>,
    /// How long each sample took, warm-ups included, by contestant.
    pub times: Vec<(usize, Duration)>,
    pub is_stopped: &'a dyn Fn() -> bool,
    pub started_at: SystemTime,
    pub deadline: Option<Instant>,
    pub rng: Rng,
    pub consistency: ConsistencyCheck,
    pub checks: ValidityChecks,
    pub budget: RequestBudget,
}

impl CompareRunner<'_> {
    /// Takes all samples. Returns the measured ones, and a note if they are fewer than `runs` per contestant.
    pub(super) fn take_samples(&mut self, runs: usize) -> Result<TakenSamples, CompareError> {
        let taken = self.run_blocks(runs);
        self.clear_progress();
        taken
    }

    fn run_blocks(&mut self, runs: usize) -> Result<TakenSamples, CompareError> {
        let mut samples = Vec::new();
        for block in 1..=self.options.warmup + runs {
            let block_number = block.saturating_sub(self.options.warmup);
            let end = match self.run_block(block_number, runs)? {
                Ok(_) if block_number == 0 => continue,
                Ok(taken) => {
                    samples.extend(taken);
                    continue;
                }
                Err(end) => end,
            };
            let taken = block_number.saturating_sub(1);
            let note = format!("{end} after {taken} of {runs} runs");
            if taken >= LEAST_RUNS {
                return Ok((samples, Some(note)));
            }
            let error = anyhow!("{note}; at least {LEAST_RUNS} are needed");
            return Err(match end {
                StopReason::NoRequests => CompareError::Usage(error),
                StopReason::Stopped | StopReason::NoTime => CompareError::Unfinished(error),
            });
        }
        Ok((samples, None))
    }

    /// Takes one sample of each contestant, or returns why the comparison ends before that. `block_number` is 0 for a warm-up.
    fn run_block(
        &mut self,
        block_number: usize,
        runs: usize,
    ) -> Result<Result<Vec<MeasuredSample>, StopReason>, CompareError> {
        if !self.budget.has_room_for_a_block() {
            return Ok(Err(StopReason::NoRequests));
        }
        let mut order: Vec<usize> = (0..self.contestants.len()).collect();
        self.rng.shuffle(&mut order);
        let mut block = Vec::new();
        for contestant in order {
            let left = self.deadline.map(|end| end.saturating_duration_since(Instant::now()));
            if (self.is_stopped)() {
                return Ok(Err(StopReason::Stopped));
            }
            if left == Some(Duration::ZERO) {
                return Ok(Err(StopReason::NoTime));
            }
            self.show_progress(block_number, runs, contestant, block.len());
            let started = Instant::now();
            let taken = match self.take_sample(SampleRank { block: block_number, contestant }, left)
            {
                // What interrupts this process may interrupt its samples too.
                _ if (self.is_stopped)() => return Ok(Err(StopReason::Stopped)),
                taken => taken?,
            };
            let Some(taken) = taken else { return Ok(Err(StopReason::NoTime)) };
            self.times.push((contestant, started.elapsed()));
            if taken.stopped.is_some() && self.deadline.is_some_and(|end| Instant::now() >= end) {
                return Ok(Err(StopReason::NoTime));
            }
            self.budget.add(&taken.hosts);
            self.checks.add(&taken);
            block.push(taken);
        }
        self.budget.end_block();
        Ok(Ok(block))
    }

    /// Takes one sample; `None` if the comparison was ended while a command ran.
    fn take_sample(
        &mut self,
        rank: SampleRank,
        left: Option<Duration>,
    ) -> Result<Option<MeasuredSample>, CompareError> {
        if let Some(text) = &self.options.prepare {
            command::prepare(text)?;
        }
        // Deleted after this sample.
        let folder = self.options.dir.as_deref().map(create_run_folder).transpose();
        let folder = folder.map_err(CompareError::Fatal)?;
        let folder = folder.as_ref().map(TempDir::path);
        let server = match &self.urls {
            UrlSource::BuiltIn(workload) => Some(workload.process()),
            UrlSource::Listed(_) => None,
        };
        let before = MachineReadings::now(server);
        let taken = match &self.contestants[rank.contestant] {
            Variant::Mode { mode, jobs } => {
                let mut command = self.build_command(*mode, *jobs, left, folder);
                measure(&mut command, &self.words_on_stdin(), rank, &mut self.consistency).map(Some)
            }
            Variant::Command(text) => self.take_command_sample(text, rank, folder),
        };
        let Some(mut taken) = taken? else { return Ok(None) };
        let load = MachineReadings::now(server).since(&before);
        taken.sample.cpu_pressure = load.pressure;
        taken.sample.other_load = load.other_load;
        taken.sample.server_wait = load.server_wait;
        Ok(Some(taken))
    }

    fn take_command_sample(
        &self,
        text: &str,
        rank: SampleRank,
        folder: Option<&Path>,
    ) -> Result<Option<MeasuredSample>, SampleError> {
        let urls = self.list.as_ref().expect("there is a list for commands").path();
        let name = &self.names[rank.contestant];
        let is_over =
            || (self.is_stopped)() || self.deadline.is_some_and(|end| Instant::now() >= end);
        let contestant = CommandVariant { name, text, urls, folder };
        command::measure(&self.program, &contestant, rank, &is_over)
    }

    fn build_command(
        &self,
        mode: Mode,
        jobs: Option<NonZeroUsize>,
        left: Option<Duration>,
        folder: Option<&Path>,
    ) -> Command {
        let mut command = Command::new(&self.program);
        // First, because the child looks for it there.
        command
            .arg(WORDS_ON_STDIN)
            .args(&self.options.words)
            .arg("--json")
            .arg(format!("--mode={mode}"));
        if let Some(jobs) = jobs {
            command.arg(format!("--jobs={jobs}"));
        }
        if let Some(loops) = self.options.loops.filter(|_| mode == Mode::Async) {
            command.arg(format!("--loops={loops}"));
        }
        if let Some(folder) = folder {
            let mut word = OsString::from("--dir=");
            word.push(folder);
            command.arg(word);
        }
        if let Some(left) = left {
            command.arg(format!("--deadline={:.3}s", left.as_secs_f64().max(0.001)));
        }
        if let UrlSource::BuiltIn(_) = self.urls {
            self.ignore_configuration(&mut command);
        }
        command
    }

    /// The last arguments of a run, which it reads from its standard input: options that may be secret, and the sources,
    /// since a URL may contain a password.
    fn words_on_stdin(&self) -> Vec<u8> {
        let sources: Vec<_> = match &self.urls {
            UrlSource::Listed(workload) => workload.arguments().collect(),
            UrlSource::BuiltIn(workload) => workload.arguments().collect(),
        };
        let before = [OsString::from("--")];
        let words = self.options.secret_words.iter().chain(&before).chain(&sources);
        words.flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect()
    }

    /// Makes a run ignore the user's configuration and environment, so that the built-in workload is the same everywhere.
    fn ignore_configuration(&self, command: &mut Command) {
        let is_typed = |name: &str| {
            let words = self.options.words.iter().chain(&self.options.secret_words);
            let words = words.filter_map(|word| word.to_str());
            words.into_iter().any(|word| word.split('=').next() == Some(name))
        };
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("FETCH_")) {
                command.env_remove(name);
            }
        }
        if !is_typed("--config") && !is_typed("--no-config") {
            command.arg("--no-config");
        }
        if !is_typed("--proxy") {
            command.arg("--proxy=");
        }
    }

    /// Shows on a terminal which run is in progress, and the time left. `taken`: number of samples of this block so far.
    fn show_progress(&self, block_number: usize, runs: usize, contestant: usize, taken: usize) {
        let mut stderr = stderr();
        if !stderr.is_terminal() {
            return;
        }
        let name = printable(&self.names[contestant]).into_owned();
        let run = if block_number == 0 {
            "Warm-up".into()
        } else {
            format!("Run {block_number} of {runs}")
        };
        let blocks = match block_number {
            0 => runs + 1,
            _ => runs - block_number + 1,
        };
        let left = blocks * self.contestants.len() - taken;
        let left = time_left(&self.times, self.contestants.len(), left);
        let left =
            left.map_or(String::new(), |time| format!(", about {} left", format_duration(time)));
        let _ = write!(stderr, "\r\x1b[K{run}: {name}{left}");
    }

    /// Clears the line that shows the progress.
    fn clear_progress(&self) {
        if stderr().is_terminal() {
            let _ = stderr().write_all(b"\r\x1b[K");
        }
    }

    /// Summarizes the samples.
    pub(super) fn conclude(
        mut self,
        taken: Vec<MeasuredSample>,
        mut notes: Vec<String>,
        earlier: Option<SavedComparison>,
    ) -> Comparison {
        let samples: Vec<_> = taken.into_iter().map(|taken| taken.sample).collect();
        let count = self.contestants.len();
        let span = match self.options.commands.is_empty() {
            true => TimedSpan::Run,
            false => TimedSpan::Process,
        };
        let pairs = summarize::pairs(&samples, count, span, &mut self.rng);
        let mut contestants = summarize::mode_stats(&samples, count, span, &pairs);
        self.assign_names(&mut contestants);
        let reasons = self.checks.reasons(&samples, &self.consistency, self.options.warmup);
        notes.extend(self.checks.notes());
        let cores = thread::available_parallelism().ok().map(NonZeroUsize::get);
        let evidence = Evidence {
            samples: &samples,
            contestants: &contestants,
            pairs: &pairs,
            reasons: &reasons,
            cores,
            span,
            is_limited: self.checks.is_limited(),
        };
        let findings = Findings::from(&evidence);
        notes.extend(findings.notes);
        // A command does not report what it fetches.
        let known = |figure: fn(&Sample) -> Option<u64>| samples.iter().find_map(figure);
        let mut comparison = Comparison {
            program: concat!("fetch/", env!("CARGO_PKG_VERSION")).to_owned(),
            started_at: rfc3339(self.started_at),
            cores,
            sources: self.options.sources().iter().map(source_name).collect(),
            options: self.options.shown.clone(),
            verdict: findings.verdict,
            comparable: reasons.is_empty(),
            reasons,
            notes,
            explanation: findings.explanation,
            subject: match &self.urls {
                UrlSource::Listed(_) => "what is listed".to_owned(),
                UrlSource::BuiltIn(_) => builtin_workload::SUBJECT.to_owned(),
            },
            targets: known(|sample| sample.targets).unwrap_or_default(),
            bytes: known(|sample| sample.bytes).unwrap_or_default(),
            runs: samples.len() / count,
            warmup: self.options.warmup,
            seed: self.options.seed,
            timed: span,
            contestants,
            pairs,
            samples,
            against: None,
        };
        comparison.against =
            earlier.map(|earlier| earlier.compare_with(&comparison, &mut self.rng));
        comparison
    }

    /// Gives the contestants unique names.
    fn assign_names(&self, stats: &mut [ModeStats]) {
        let names = stats.iter().zip(&self.contestants).map(|(one, variant)| match variant {
            Variant::Mode { .. } => one.name(),
            Variant::Command(_) => variant.name(),
        });
        let names = summarize::make_unique(&names.collect::<Vec<_>>());
        for ((one, variant), name) in stats.iter_mut().zip(&self.contestants).zip(names) {
            one.name = name;
            one.command = match variant {
                Variant::Mode { .. } => None,
                Variant::Command(text) => Some(command::redact(text)),
            };
        }
    }
}

/// The estimated time of `left` more samples, by the mean time of each contestant's samples; `None` until each has had one.
fn time_left(times: &[(usize, Duration)], contestants: usize, left: usize) -> Option<Duration> {
    let mean = |contestant: usize| {
        let of = times.iter().filter(|(of, _)| *of == contestant);
        let (count, sum) = of.fold((0, Duration::ZERO), |(n, sum), (_, time)| (n + 1, sum + *time));
        sum.checked_div(count)
    };
    let block: Duration = (0..contestants).map(mean).sum::<Option<Duration>>()?;
    Some(block.mul_f64(left as f64 / contestants as f64))
}

/// Formats a time in seconds or minutes, rounded up.
fn format_duration(time: Duration) -> String {
    match time.as_secs_f64().ceil() as u64 {
        seconds @ ..=99 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

/// Creates an empty directory for a run.
fn create_run_folder(within: &Path) -> anyhow::Result<TempDir> {
    fs::create_dir_all(within)
        .and_then(|()| TempDir::with_prefix_in("fetch-run-", within))
        .with_context(|| format!("cannot create a directory in {}", within.display()))
}

/// Why a comparison ends before all its samples are taken.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum StopReason {
    #[error("interrupted")]
    Stopped,
    #[error("deadline reached")]
    NoTime,
    #[error("request limit of a host reached")]
    NoRequests,
}
