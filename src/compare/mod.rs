//! Benchmarks the same plan under several strategies. Samples are taken in blocks, one of each variant in random order, so
//! that changes of the network affect all variants alike. Each sample is a process of its own.

mod builtin_workload;
mod consistency;
mod explanation;
pub(crate) mod export;
mod request_budget;
pub(crate) mod result;
mod runner;
mod sample;
mod statistics;
mod summarize;
mod table;
#[cfg(test)]
mod test_fixtures;
mod validity;
mod workload;

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Context, anyhow};
use fastrand::Rng;

use crate::model::Mode;
use crate::plan::{OutputFormat, Plan, ReportFile, Source};
use builtin_workload::BuiltinWorkload;
use consistency::ConsistencyCheck;
use request_budget::RequestBudget;
use runner::{CompareRunner, UrlSource};
use sample::SampleError;
use validity::ValidityChecks;
use workload::Workload;

use export::ComparisonReports;
pub(crate) use result::Comparison;
pub(crate) use table::table;

/// Minimum number of runs per mode.
pub(crate) const LEAST_RUNS: usize = 3;

/// The configuration of a comparison.
#[derive(Debug)]
pub struct Options {
    /// The modes; the first one is the baseline. Never empty.
    pub modes: Vec<Mode>,
    /// Numbers of jobs, each of which makes a variant of each mode; empty: as the plan.
    pub jobs: Vec<NonZeroUsize>,
    /// Measured runs per variant.
    pub runs: usize,
    /// Warm-up runs per variant, not measured.
    pub warmup: usize,
    /// Random seed for the order within the blocks.
    pub seed: u64,
    /// Who operates the servers; decides the request budget.
    pub servers: ServerOwner,
    /// What is downloaded.
    pub subject: WorkloadKind,
    /// The options of each run, as typed.
    pub words: Vec<OsString>,
    /// The options without secrets.
    pub shown: Vec<String>,
    /// Event loops of mode async; `None`: the default.
    pub loops: Option<NonZeroUsize>,
    /// The directory in which each run saves to a new directory, which is deleted after it.
    pub dir: Option<PathBuf>,
    /// The output format.
    pub format: OutputFormat,
    /// Report files.
    pub documents: Vec<ReportFile>,
}

impl Options {
    /// The lists.
    pub fn sources(&self) -> &[Source] {
        match &self.subject {
            WorkloadKind::Listed(plan) => &plan.sources,
            WorkloadKind::Lesson(_) => &[],
        }
    }

    /// The input files, which no report may replace.
    pub fn inputs(&self) -> Vec<Source> {
        match &self.subject {
            WorkloadKind::Listed(plan) => plan.inputs(),
            WorkloadKind::Lesson(_) => Vec::new(),
        }
    }
}

/// Who operates the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerOwner {
    /// Somebody else: requests are limited, but for loopback addresses.
    OfOthers,
    /// The user.
    Own,
}

/// What is downloaded.
#[derive(Debug)]
pub enum WorkloadKind {
    /// The sources of a plan.
    Listed(Box<Plan>),
    /// The built-in workload; the plan has the timeouts.
    Lesson(Box<Plan>),
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    /// The options or sources cannot be used, or a server would get too many requests.
    #[error("{0:#}")]
    Usage(anyhow::Error),
    /// The deadline or a signal came before there were enough samples.
    #[error("{0:#}")]
    Unfinished(anyhow::Error),
    /// A local error: no process, no temporary file.
    #[error("{0:#}")]
    Fatal(anyhow::Error),
    /// The comparison cannot be written.
    #[error("{0}")]
    Unwritten(io::Error),
}

impl From<SampleError> for CompareError {
    fn from(unsampled: SampleError) -> Self {
        match unsampled {
            SampleError::Refused(words) => Self::Usage(anyhow!(words)),
            SampleError::Broken(error) => Self::Fatal(error),
        }
    }
}

/// A mode with a number of jobs; `None`: the default.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Variant {
    mode: Mode,
    jobs: Option<NonZeroUsize>,
}

impl Variant {
    fn name(&self) -> String {
        match self.jobs {
            Some(jobs) if self.mode != Mode::Sequential => format!("{}, {jobs} jobs", self.mode),
            _ => self.mode.to_string(),
        }
    }
}

/// A comparison, and its report files, which are not written yet.
#[derive(Debug)]
pub(crate) struct CompareOutcome {
    /// The result.
    pub comparison: Comparison,
    /// The report files.
    pub files: ComparisonReports,
}

/// Runs all samples and summarizes them. No sample starts once `is_stopped`.
///
/// # Errors
/// If there are not enough samples for a comparison, or a report cannot be opened.
pub(crate) fn compare(
    options: &Options,
    is_stopped: &dyn Fn() -> bool,
) -> Result<CompareOutcome, CompareError> {
    let files = ComparisonReports::create(&options.documents, &options.inputs());
    let files = files.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => CompareError::Usage(error.into()),
        _ => CompareError::Fatal(error.into()),
    })?;
    Ok(CompareOutcome { comparison: run(options, is_stopped)?, files })
}

fn run(options: &Options, is_stopped: &dyn Fn() -> bool) -> Result<Comparison, CompareError> {
    let (started, started_at) = (Instant::now(), SystemTime::now());
    let program = env::current_exe().context("cannot find this program");
    let program = program.map_err(CompareError::Fatal)?;
    let (plan, urls) = match &options.subject {
        WorkloadKind::Listed(plan) => {
            (plan, UrlSource::Listed(Workload::new(&plan.sources).map_err(CompareError::Usage)?))
        }
        WorkloadKind::Lesson(plan) => (
            plan,
            UrlSource::BuiltIn(BuiltinWorkload::start(&program).map_err(CompareError::Fatal)?),
        ),
    };
    let contestants = contestants(options);
    let names: Vec<String> = contestants.iter().map(Variant::name).collect();
    let budget = RequestBudget::new(options.servers);
    let mut notes = Vec::new();
    let mut runs = options.runs;
    if let UrlSource::Listed(workload) = &urls {
        let remote = workload.remote(plan).map_err(CompareError::Usage)?;
        let fits = budget.runs(&remote, contestants.len(), options.warmup);
        let fits = fits.map_err(|message| CompareError::Usage(anyhow!(message)))?;
        if fits < runs {
            notes.push(format!(
                "{fits} of {runs} runs, to stay within {} requests per host",
                request_budget::MOST_REQUESTS
            ));
            runs = fits;
        }
    }
    let deadline = plan.timeouts.deadline.map(|time| started + time);
    let mut runner = CompareRunner {
        program,
        urls,
        options,
        contestants,
        is_stopped,
        started_at,
        deadline,
        rng: Rng::with_seed(options.seed),
        consistency: ConsistencyCheck::new(names),
        checks: ValidityChecks::default(),
        budget,
    };
    let (samples, note) = runner.all_blocks(runs)?;
    notes.extend(note);
    Ok(runner.conclude(samples, notes))
}

fn contestants(options: &Options) -> Vec<Variant> {
    let jobs: Vec<Option<NonZeroUsize>> = match (&options.jobs[..], &options.subject) {
        ([], WorkloadKind::Lesson(_)) => vec![NonZeroUsize::new(builtin_workload::JOBS)],
        ([], WorkloadKind::Listed(_)) => vec![None],
        (jobs, _) => jobs.iter().copied().map(Some).collect(),
    };
    let of = |jobs| options.modes.iter().map(move |mode| Variant { mode: *mode, jobs });
    let all = jobs.iter().enumerate().flat_map(|(round, jobs)| {
        of(*jobs).filter(move |contestant| round == 0 || contestant.mode != Mode::Sequential)
    });
    all.collect()
}
