//! Runs blocks of samples until there are enough.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use fastrand::Rng;
use tempfile::TempDir;

use super::builtin_workload::{self, BuiltinWorkload};
use super::consistency::ConsistencyCheck;
use super::request_budget::RequestBudget;
use super::sample::{MeasuredSample, SampleRank, measure};
use super::validity::ValidityChecks;
use super::workload::Workload;
use super::{CompareError, LEAST_RUNS, Options, Variant, explanation, summarize};
use crate::compare::result::Comparison;
use crate::list::{self, Numbering};
use crate::model::{Entry, Mode, redacted, rfc3339};
use crate::plan::Source;
use crate::streams::stderr;

/// The source of the URLs.
pub(super) enum UrlSource {
    Listed(Workload),
    BuiltIn(BuiltinWorkload),
}

/// Runs the samples of a comparison.
pub(super) struct CompareRunner<'a> {
    pub program: PathBuf,
    pub urls: UrlSource,
    pub options: &'a Options,
    pub contestants: Vec<Variant>,
    pub is_stopped: &'a dyn Fn() -> bool,
    pub started_at: SystemTime,
    pub deadline: Option<Instant>,
    pub rng: Rng,
    pub consistency: ConsistencyCheck,
    pub checks: ValidityChecks,
    pub budget: RequestBudget,
}

impl CompareRunner<'_> {
    /// All measured samples, and a note if they are fewer than `runs`.
    pub(super) fn all_blocks(
        &mut self,
        runs: usize,
    ) -> Result<(Vec<MeasuredSample>, Option<String>), CompareError> {
        let mut samples = Vec::new();
        for block in 1..=self.options.warmup + runs {
            let counted = block.saturating_sub(self.options.warmup);
            let end = match self.block(counted, runs)? {
                Ok(_) if counted == 0 => continue,
                Ok(taken) => {
                    samples.extend(taken);
                    continue;
                }
                Err(end) => end,
            };
            let taken = counted.saturating_sub(1);
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

    /// One sample of each variant, or why the comparison ends before. `counted`: number of the block, 0 for a warm-up.
    fn block(
        &mut self,
        counted: usize,
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
            self.progress(counted, runs, contestant);
            // Deleted after this sample.
            let folder = self.options.dir.as_deref().map(fresh_folder).transpose();
            let folder = folder.map_err(CompareError::Fatal)?;
            let variant = &self.contestants[contestant];
            let mut command = self.command(variant, left, folder.as_ref().map(TempDir::path));
            let rank = SampleRank { block: counted, contestant };
            let taken = match measure(&mut command, rank, &mut self.consistency) {
                // What interrupts this process may interrupt its samples too.
                _ if (self.is_stopped)() => return Ok(Err(StopReason::Stopped)),
                taken => taken?,
            };
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

    fn command(
        &self,
        contestant: &Variant,
        left: Option<Duration>,
        folder: Option<&Path>,
    ) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.options.words).arg("--json").arg(format!("--mode={}", contestant.mode));
        if let Some(jobs) = contestant.jobs {
            command.arg(format!("--jobs={jobs}"));
        }
        if let Some(loops) = self.options.loops.filter(|_| contestant.mode == Mode::Async) {
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
        match &self.urls {
            UrlSource::Listed(workload) => command.arg("--").args(workload.arguments()),
            UrlSource::BuiltIn(workload) => {
                self.ignore_configuration(&mut command);
                command.arg("--").args(workload.arguments())
            }
        };
        command
    }

    /// Ignores the configuration and the environment: the built-in workload is the same everywhere.
    fn ignore_configuration(&self, command: &mut Command) {
        let typed = |name: &str| {
            let words = self.options.words.iter().filter_map(|word| word.to_str());
            words.into_iter().any(|word| word.split('=').next() == Some(name))
        };
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("FETCH_")) {
                command.env_remove(name);
            }
        }
        if !typed("--config") && !typed("--no-config") {
            command.arg("--no-config");
        }
        if !typed("--proxy") {
            command.arg("--proxy=");
        }
    }

    fn progress(&self, counted: usize, runs: usize, contestant: usize) {
        let mut stderr = stderr();
        if stderr.is_terminal() {
            let name = self.contestants[contestant].name();
            let run =
                if counted == 0 { "Warm-up".into() } else { format!("Run {counted} of {runs}") };
            let _ = write!(stderr, "\r\x1b[K{run}: {name}");
        }
    }

    pub(super) fn conclude(
        mut self,
        taken: Vec<MeasuredSample>,
        mut notes: Vec<String>,
    ) -> Comparison {
        if stderr().is_terminal() {
            let _ = stderr().write_all(b"\r\x1b[K");
        }
        let samples: Vec<_> = taken.into_iter().map(|taken| taken.sample).collect();
        let contestants = summarize::mode_stats(&samples, self.contestants.len(), &mut self.rng);
        let pairs = summarize::pairs(&samples, self.contestants.len(), &mut self.rng);
        let reasons = self.checks.reasons(&samples, &self.consistency, self.options.warmup);
        notes.extend(self.checks.notes());
        let explanation = explanation::explanation(&contestants, &pairs);
        Comparison {
            program: concat!("fetch/", env!("CARGO_PKG_VERSION")).to_owned(),
            started_at: rfc3339(self.started_at),
            cores: thread::available_parallelism().ok().map(NonZeroUsize::get),
            sources: self.options.sources().iter().map(name_of_source).collect(),
            options: self.options.shown.clone(),
            comparable: reasons.is_empty(),
            reasons,
            notes,
            explanation,
            subject: match &self.urls {
                UrlSource::Listed(_) => "what is listed".to_owned(),
                UrlSource::BuiltIn(_) => builtin_workload::SUBJECT.to_owned(),
            },
            targets: samples.first().map_or(0, |sample| sample.targets),
            bytes: samples.first().map_or(0, |sample| sample.bytes),
            runs: samples.len() / contestants.len(),
            warmup: self.options.warmup,
            seed: self.options.seed,
            contestants,
            pairs,
            samples,
        }
    }
}

/// A list or URL without secrets.
fn name_of_source(source: &Source) -> String {
    match source {
        Source::Stdin => "-".to_owned(),
        Source::File(path) => path.display().to_string(),
        Source::Argument(text) => match list::argument(text, &mut Numbering::default()) {
            Entry::Target(target) => redacted(target.url()),
            Entry::Invalid(invalid) => invalid.text,
        },
    }
}

/// Creates an empty directory within another one.
fn fresh_folder(within: &Path) -> anyhow::Result<TempDir> {
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
