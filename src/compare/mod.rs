//! Benchmarks the same plan under several strategies. Samples are taken in blocks, one of each variant in random order, so
//! that changes of the network affect all variants alike. Each sample is a process of its own.

mod against;
mod builtin_workload;
mod command;
mod conditions;
mod consistency;
mod explanation;
pub(crate) mod export;
mod findings;
mod machine;
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
mod verdict;
mod workload;

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Context, anyhow};
use fastrand::Rng;
use tempfile::NamedTempFile;

use crate::model::Mode;
use crate::plan::{OutputFormat, Plan, ReportFile, Source};
use builtin_workload::BuiltinWorkload;
use consistency::ConsistencyCheck;
use request_budget::RequestBudget;
use runner::{CompareRunner, UrlSource};
use sample::SampleError;
use validity::ValidityChecks;
use workload::Workload;

pub(crate) use command::{MEASURE, measure_command};
use export::ComparisonReports;
pub(crate) use result::Comparison;
pub(crate) use table::table;

/// The first argument of a run that reads further arguments from standard input, each ended by a NUL byte, so that secrets
/// are not among the arguments of its process.
pub(crate) const WORDS_ON_STDIN: &str = "--words-on-stdin";

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
    /// The options of each run that may be secret, which are passed on its standard input.
    pub secret_words: Vec<OsString>,
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
    /// Shell commands that are compared too.
    pub commands: Vec<String>,
    /// The shell command before each run.
    pub prepare: Option<String>,
    /// The file of an earlier comparison that this one is compared with.
    pub against: Option<PathBuf>,
}

impl Options {
    /// The lists.
    pub fn sources(&self) -> &[Source] {
        match &self.subject {
            WorkloadKind::Listed(plan) => &plan.sources,
            WorkloadKind::BuiltIn(_) => &[],
        }
    }

    /// The input files, which no report may replace.
    pub fn inputs(&self) -> Vec<Source> {
        let mut inputs = match &self.subject {
            WorkloadKind::Listed(plan) => plan.inputs(),
            WorkloadKind::BuiltIn(_) => Vec::new(),
        };
        inputs.extend(self.against.iter().cloned().map(Source::File));
        inputs
    }
}

/// Who operates the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerOwner {
    /// Somebody else: requests are limited, except those to loopback addresses.
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
    BuiltIn(Box<Plan>),
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

/// A contestant.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Variant {
    /// A mode with a number of jobs; `None`: the default.
    Mode { mode: Mode, jobs: Option<NonZeroUsize> },
    /// A shell command.
    Command(String),
}

impl Variant {
    fn name(&self) -> String {
        match self {
            Self::Mode { mode, jobs: Some(jobs) } if *mode != Mode::Sequential => {
                format!("{mode}, {jobs} jobs")
            }
            Self::Mode { mode, .. } => mode.to_string(),
            Self::Command(text) => command::name_of(text),
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
    let earlier = options.against.as_deref().map(against::read).transpose();
    let earlier = earlier.map_err(CompareError::Usage)?;
    let (plan, urls) = match &options.subject {
        WorkloadKind::Listed(plan) => {
            (plan, UrlSource::Listed(Workload::new(&plan.sources).map_err(CompareError::Usage)?))
        }
        WorkloadKind::BuiltIn(plan) => (
            plan,
            UrlSource::BuiltIn(BuiltinWorkload::start(&program).map_err(CompareError::Fatal)?),
        ),
    };
    let contestants = contestants(options);
    let names: Vec<String> = contestants.iter().map(Variant::name).collect();
    let names = summarize::make_unique(&names);
    let budget = RequestBudget::new(options.servers);
    let mut notes: Vec<String> = dropped_jobs(options).into_iter().collect();
    let mut runs = options.runs;
    if let UrlSource::Listed(workload) = &urls {
        let remote = workload.count_remote_urls(plan).map_err(CompareError::Usage)?;
        let fits = budget.runs(&remote, contestants.len(), options.warmup);
        let fits = fits.map_err(|message| CompareError::Usage(anyhow!(message)))?;
        if fits < runs {
            notes.push(format!(
                "{fits} of {runs} runs, to stay within {} requests per host",
                request_budget::MAX_REQUESTS
            ));
            runs = fits;
        }
    }
    let list = match options.commands.is_empty() {
        true => None,
        false => Some(url_list(&urls, plan).map_err(CompareError::Usage)?),
    };
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
        consistency: ConsistencyCheck::new(names.clone()),
        names,
        list,
        times: Vec::new(),
        checks: ValidityChecks::default(),
        budget,
    };
    let (samples, note) = runner.take_samples(runs)?;
    notes.extend(note);
    Ok(runner.conclude(samples, notes, earlier))
}

/// Writes the URLs to a file, for commands.
fn url_list(urls: &UrlSource, plan: &Plan) -> anyhow::Result<NamedTempFile> {
    match urls {
        UrlSource::Listed(workload) => workload.url_list(plan),
        UrlSource::BuiltIn(workload) => workload.url_list(),
    }
}

/// A note if numbers of jobs have no effect.
fn dropped_jobs(options: &Options) -> Option<String> {
    let jobs = options.jobs.iter().map(NonZeroUsize::to_string).collect::<Vec<_>>().join(",");
    let is_sequential = |mode: &Mode| *mode == Mode::Sequential;
    if !options.modes.iter().any(is_sequential) {
        return None;
    }
    match options.jobs.len() {
        0 => None,
        _ if options.modes.iter().all(is_sequential) => {
            Some(format!("--jobs {jobs} has no effect: sequential mode has one job"))
        }
        1 => None,
        _ => Some(format!(
            "sequential mode has one job, so it runs once, not for each of --jobs {jobs}"
        )),
    }
}

/// The contestants: each mode with each number of jobs, then the commands.
fn contestants(options: &Options) -> Vec<Variant> {
    let jobs: Vec<Option<NonZeroUsize>> = match (&options.jobs[..], &options.subject) {
        ([], WorkloadKind::BuiltIn(_)) => vec![NonZeroUsize::new(builtin_workload::JOBS)],
        ([], WorkloadKind::Listed(_)) => vec![None],
        (jobs, _) => jobs.iter().copied().map(Some).collect(),
    };
    let all = jobs.iter().enumerate().flat_map(|(round, jobs)| {
        let modes = options.modes.iter().copied();
        let modes = modes.filter(move |mode| round == 0 || *mode != Mode::Sequential);
        modes.map(|mode| Variant::Mode { mode, jobs: *jobs })
    });
    all.chain(options.commands.iter().cloned().map(Variant::Command)).collect()
}
