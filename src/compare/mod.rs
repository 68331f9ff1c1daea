//! The same plan under several strategies: samples are taken in blocks, one of each contestant in an order that is
//! drawn for each block, so that whatever changes meanwhile meets all alike. Each sample is a fresh `fetch` of its own.

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
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Context, anyhow};
use fastrand::Rng;

use crate::plan::{Plan, ReportFile, Source};
use builtin_workload::BuiltinWorkload;
use consistency::ConsistencyCheck;
use request_budget::RequestBudget;
use runner::{CompareRunner, Ground};
use sample::SampleError;
use validity::ValidityChecks;
use workload::Workload;

use export::ComparisonReports;
pub use result::Comparison;
pub use table::table;

/// Fewer samples than this say nothing.
pub const LEAST_RUNS: usize = 3;

/// The one mode that has no use for jobs.
const SEQUENTIAL: &str = "sequential";

/// A comparison to be made.
#[derive(Debug)]
pub struct Options {
    /// The modes by their names, the one that the others are measured by first; never empty.
    pub modes: Vec<String>,
    /// Jobs of each mode, a contestant each; empty: as many as the plan has.
    pub jobs: Vec<NonZeroUsize>,
    /// Samples of each contestant.
    pub runs: usize,
    /// Samples of each contestant that are made before and not counted.
    pub warmup: usize,
    /// What the order within the blocks is drawn from.
    pub seed: u64,
    /// Whose servers are asked.
    pub servers: ServerOwner,
    /// What is fetched.
    pub subject: WorkloadKind,
    /// The options of each sample, as they were typed.
    pub words: Vec<OsString>,
    /// They as they may be shown.
    pub shown: Vec<String>,
    /// Event loops of mode async, if that is said.
    pub loops: Option<NonZeroUsize>,
    /// The folder in which each sample saves, into a new one that goes when it is over.
    pub dir: Option<PathBuf>,
    /// The form of the outcome.
    pub format: CompareFormat,
    /// Reports in files of their own.
    pub documents: Vec<ReportFile>,
}

impl Options {
    /// What is read: nothing that may be replaced.
    pub fn sources(&self) -> &[Source] {
        match &self.subject {
            WorkloadKind::Listed(plan) => &plan.sources,
            WorkloadKind::Lesson(_) => &[],
        }
    }
}

/// Whose servers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerOwner {
    /// Those of others, unless a URL says that it is this machine: they are asked little.
    OfOthers,
    /// One's own.
    Own,
}

/// What is fetched.
#[derive(Debug)]
pub enum WorkloadKind {
    /// What a plan lists.
    Listed(Box<Plan>),
    /// The lesson's pages; the plan has the clock that counts.
    Lesson(Box<Plan>),
}

/// The form of the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareFormat {
    /// A table for people.
    Text,
    /// One JSON object.
    Json,
}

/// Why there is no comparison.
#[derive(Debug)]
pub enum CompareError {
    /// What was asked for cannot be done, or would ask too much of a server.
    Usage(anyhow::Error),
    /// The deadline or a signal came before there were enough samples.
    Unfinished(anyhow::Error),
    /// The machine does not let it.
    Fatal(anyhow::Error),
}

impl CompareError {
    /// What to tell.
    pub fn into_inner(self) -> anyhow::Error {
        match self {
            Self::Usage(error) | Self::Unfinished(error) | Self::Fatal(error) => error,
        }
    }
}

impl From<SampleError> for CompareError {
    fn from(unsampled: SampleError) -> Self {
        match unsampled {
            SampleError::Refused(words) => Self::Usage(anyhow!(words)),
            SampleError::Broken(error) => Self::Fatal(error),
        }
    }
}

/// One mode with so many jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Variant {
    mode: String,
    jobs: Option<NonZeroUsize>,
}

impl Variant {
    fn name(&self) -> String {
        match self.jobs {
            Some(jobs) if self.mode != SEQUENTIAL => format!("{}, {jobs} jobs", self.mode),
            _ => self.mode.clone(),
        }
    }
}

/// A comparison, and the files that it is still to be written to.
#[derive(Debug)]
pub struct CompareOutcome {
    /// What the samples came to.
    pub comparison: Comparison,
    /// The reports that were asked for.
    pub files: ComparisonReports,
}

/// Takes all samples and says what they come to. No sample is begun once it `is_stopped`.
///
/// # Errors
/// If there are not enough samples for a comparison, or a report cannot be opened.
pub fn compare(
    options: &Options,
    is_stopped: &dyn Fn() -> bool,
) -> Result<CompareOutcome, CompareError> {
    let files = ComparisonReports::create(&options.documents, options.sources());
    let files = files.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => CompareError::Usage(error.into()),
        _ => CompareError::Fatal(error.into()),
    })?;
    Ok(CompareOutcome { comparison: compared(options, is_stopped)?, files })
}

fn compared(options: &Options, is_stopped: &dyn Fn() -> bool) -> Result<Comparison, CompareError> {
    let (begun, started_at) = (Instant::now(), SystemTime::now());
    let program = env::current_exe().context("cannot find this program");
    let program = program.map_err(CompareError::Fatal)?;
    let (plan, ground) = match &options.subject {
        WorkloadKind::Listed(plan) => {
            (plan, Ground::Lists(Workload::keep(&plan.sources).map_err(CompareError::Usage)?))
        }
        WorkloadKind::Lesson(plan) => {
            (plan, Ground::Lesson(BuiltinWorkload::start(&program).map_err(CompareError::Fatal)?))
        }
    };
    let contestants = contestants(options);
    let names: Vec<String> = contestants.iter().map(Variant::name).collect();
    let budget = RequestBudget::new(options.servers);
    let mut notes = Vec::new();
    let mut runs = options.runs;
    if let Ground::Lists(lists) = &ground {
        let remote = lists.remote(plan).map_err(CompareError::Usage)?;
        let fits = budget.runs(&remote, contestants.len(), options.warmup);
        let fits = fits.map_err(|complaint| CompareError::Usage(anyhow!(complaint)))?;
        if fits < runs {
            notes.push(format!(
                "{fits} runs instead of {runs}, so that no host is asked more than {} times",
                request_budget::MOST_REQUESTS
            ));
            runs = fits;
        }
    }
    let deadline = plan.timeouts.deadline.map(|time| begun + time);
    let mut field = CompareRunner {
        program,
        ground,
        options,
        contestants,
        is_stopped,
        started_at,
        deadline,
        rng: Rng::with_seed(options.seed),
        likeness: ConsistencyCheck::of(names),
        guards: ValidityChecks::default(),
        budget,
    };
    let (samples, note) = field.all_blocks(runs)?;
    notes.extend(note);
    Ok(field.conclude(samples, notes))
}

fn contestants(options: &Options) -> Vec<Variant> {
    let jobs: Vec<Option<NonZeroUsize>> = match (&options.jobs[..], &options.subject) {
        ([], WorkloadKind::Lesson(_)) => vec![NonZeroUsize::new(builtin_workload::JOBS)],
        ([], WorkloadKind::Listed(_)) => vec![None],
        (jobs, _) => jobs.iter().copied().map(Some).collect(),
    };
    let of = |jobs| options.modes.iter().map(move |mode| Variant { mode: mode.clone(), jobs });
    let all = jobs.iter().enumerate().flat_map(|(round, jobs)| {
        of(*jobs).filter(move |contestant| round == 0 || contestant.mode != SEQUENTIAL)
    });
    all.collect()
}
