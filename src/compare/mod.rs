//! The same plan under several strategies: samples are taken in blocks, one of each contestant in an order that is
//! drawn for each block, so that whatever changes meanwhile meets all alike. Each sample is a fresh `fetch` of its own.

mod budget;
mod explanation;
mod guards;
mod lesson;
mod likeness;
mod lists;
mod sample;
mod standing;
mod statistics;
mod table;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use fastrand::Rng;
use tempfile::TempDir;

use crate::list::{self, Numbering};
use crate::plan::{Document, Plan, Source};
use crate::record::{Comparison, Entry, redacted, rfc3339};
use crate::report::ComparisonFiles;
use budget::Budget;
use guards::Guards;
use lesson::Lesson;
use likeness::Likeness;
use lists::Lists;
use sample::{Place, Taken, Unsampled, take};

pub use table::table;

/// Fewer samples than this say nothing.
pub const LEAST_RUNS: usize = 3;

/// The one mode that has no use for jobs.
const SEQUENTIAL: &str = "sequential";

/// The one mode that has use for event loops.
const ASYNC: &str = "async";

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
    pub servers: Servers,
    /// What is fetched.
    pub subject: Subject,
    /// The options of each sample, as they were typed.
    pub words: Vec<OsString>,
    /// They as they may be shown.
    pub shown: Vec<String>,
    /// Event loops of mode async, if that is said.
    pub loops: Option<NonZeroUsize>,
    /// The folder in which each sample saves, into a new one that goes when it is over.
    pub dir: Option<PathBuf>,
    /// The form of the outcome.
    pub format: Format,
    /// Reports in files of their own.
    pub documents: Vec<Document>,
}

impl Options {
    /// What is read: nothing that may be replaced.
    pub fn sources(&self) -> &[Source] {
        match &self.subject {
            Subject::Listed(plan) => &plan.sources,
            Subject::Lesson(_) => &[],
        }
    }
}

/// Whose servers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Servers {
    /// Those of others, unless a URL says that it is this machine: they are asked little.
    OfOthers,
    /// One's own.
    Own,
}

/// What is fetched.
#[derive(Debug)]
pub enum Subject {
    /// What a plan lists.
    Listed(Box<Plan>),
    /// The lesson's pages; the plan has the clock that counts.
    Lesson(Box<Plan>),
}

/// The form of the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
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

impl From<Unsampled> for CompareError {
    fn from(unsampled: Unsampled) -> Self {
        match unsampled {
            Unsampled::Refused(words) => Self::Usage(anyhow!(words)),
            Unsampled::Broken(error) => Self::Fatal(error),
        }
    }
}

/// One mode with so many jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Contestant {
    mode: String,
    jobs: Option<NonZeroUsize>,
}

impl Contestant {
    fn name(&self) -> String {
        match self.jobs {
            Some(jobs) if self.mode != SEQUENTIAL => format!("{}, {jobs} jobs", self.mode),
            _ => self.mode.clone(),
        }
    }
}

/// A comparison, and the files that it is still to be written to.
#[derive(Debug)]
pub struct Compared {
    /// What the samples came to.
    pub comparison: Comparison,
    /// The reports that were asked for.
    pub files: ComparisonFiles,
}

/// Takes all samples and says what they come to. No sample is begun once it `is_stopped`.
///
/// # Errors
/// If there are not enough samples for a comparison, or a report cannot be opened.
pub fn compare(options: &Options, is_stopped: &dyn Fn() -> bool) -> Result<Compared, CompareError> {
    let files = ComparisonFiles::create(&options.documents, options.sources());
    let files = files.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => CompareError::Usage(error.into()),
        _ => CompareError::Fatal(error.into()),
    })?;
    Ok(Compared { comparison: compared(options, is_stopped)?, files })
}

fn compared(options: &Options, is_stopped: &dyn Fn() -> bool) -> Result<Comparison, CompareError> {
    let (begun, started_at) = (Instant::now(), SystemTime::now());
    let program = env::current_exe().context("cannot find this program");
    let program = program.map_err(CompareError::Fatal)?;
    let (plan, ground) = match &options.subject {
        Subject::Listed(plan) => {
            (plan, Ground::Lists(Lists::keep(&plan.sources).map_err(CompareError::Usage)?))
        }
        Subject::Lesson(plan) => {
            (plan, Ground::Lesson(Lesson::start(&program).map_err(CompareError::Fatal)?))
        }
    };
    let contestants = contestants(options);
    let names: Vec<String> = contestants.iter().map(Contestant::name).collect();
    let budget = Budget::new(options.servers);
    let mut notes = Vec::new();
    let mut runs = options.runs;
    if let Ground::Lists(lists) = &ground {
        let remote = lists.remote(plan).map_err(CompareError::Usage)?;
        let fits = budget.runs(&remote, contestants.len(), options.warmup);
        let fits = fits.map_err(|complaint| CompareError::Usage(anyhow!(complaint)))?;
        if fits < runs {
            notes.push(format!(
                "{fits} runs instead of {runs}, so that no host is asked more than {} times",
                budget::MOST_REQUESTS
            ));
            runs = fits;
        }
    }
    let deadline = plan.clocks.deadline.map(|time| begun + time);
    let mut field = Field {
        program,
        ground,
        options,
        contestants,
        is_stopped,
        started_at,
        deadline,
        rng: Rng::with_seed(options.seed),
        likeness: Likeness::of(names),
        guards: Guards::default(),
        budget,
    };
    let (samples, note) = field.all_blocks(runs)?;
    notes.extend(note);
    Ok(field.conclude(samples, notes))
}

fn contestants(options: &Options) -> Vec<Contestant> {
    let jobs: Vec<Option<NonZeroUsize>> = match (&options.jobs[..], &options.subject) {
        ([], Subject::Lesson(_)) => vec![NonZeroUsize::new(lesson::JOBS)],
        ([], Subject::Listed(_)) => vec![None],
        (jobs, _) => jobs.iter().copied().map(Some).collect(),
    };
    let of = |jobs| options.modes.iter().map(move |mode| Contestant { mode: mode.clone(), jobs });
    let all = jobs.iter().enumerate().flat_map(|(round, jobs)| {
        of(*jobs).filter(move |contestant| round == 0 || contestant.mode != SEQUENTIAL)
    });
    all.collect()
}

/// Where the URLs come from.
enum Ground {
    Lists(Lists),
    Lesson(Lesson),
}

/// Where the samples are taken.
struct Field<'a> {
    program: PathBuf,
    ground: Ground,
    options: &'a Options,
    contestants: Vec<Contestant>,
    is_stopped: &'a dyn Fn() -> bool,
    started_at: SystemTime,
    deadline: Option<Instant>,
    rng: Rng,
    likeness: Likeness,
    guards: Guards,
    budget: Budget,
}

impl Field<'_> {
    /// All samples that count, and why they are fewer than was wanted.
    fn all_blocks(&mut self, runs: usize) -> Result<(Vec<Taken>, Option<String>), CompareError> {
        let mut samples = Vec::new();
        for block in 1..=self.options.warmup + runs {
            let counted = block.saturating_sub(self.options.warmup);
            let why = match self.block(counted, runs)? {
                Block::Whole(taken) if counted == 0 => {
                    drop(taken);
                    continue;
                }
                Block::Whole(taken) => {
                    samples.extend(taken);
                    continue;
                }
                Block::Stopped => "it was interrupted",
                Block::NoTime => "the deadline passed",
                Block::NoRequests => "a host had been asked as often as it may be",
            };
            let taken = counted.saturating_sub(1);
            let told = format!("{taken} runs instead of {runs}: {why}");
            if taken >= LEAST_RUNS {
                return Ok((samples, Some(told)));
            }
            let error = anyhow!("{told}; {LEAST_RUNS} are needed to compare");
            return Err(match why {
                "a host had been asked as often as it may be" => CompareError::Usage(error),
                _ => CompareError::Unfinished(error),
            });
        }
        Ok((samples, None))
    }

    /// One sample of each contestant; `counted` is the block's number, 0 for a warm-up.
    fn block(&mut self, counted: usize, runs: usize) -> Result<Block, CompareError> {
        if !self.budget.has_room_for_a_block() {
            return Ok(Block::NoRequests);
        }
        let mut order: Vec<usize> = (0..self.contestants.len()).collect();
        self.rng.shuffle(&mut order);
        let mut block = Vec::new();
        for contestant in order {
            let left = self.deadline.map(|end| end.saturating_duration_since(Instant::now()));
            if (self.is_stopped)() {
                return Ok(Block::Stopped);
            }
            if left == Some(Duration::ZERO) {
                return Ok(Block::NoTime);
            }
            self.progress(counted, runs, contestant);
            // It goes when this sample is over.
            let folder = self.options.dir.as_deref().map(fresh_folder).transpose();
            let folder = folder.map_err(CompareError::Fatal)?;
            let whose = &self.contestants[contestant];
            let mut command = self.command(whose, left, folder.as_ref().map(TempDir::path));
            let place = Place { block: counted, contestant };
            let taken = match take(&mut command, place, &mut self.likeness) {
                // What interrupts this process may interrupt its samples too.
                _ if (self.is_stopped)() => return Ok(Block::Stopped),
                taken => taken?,
            };
            if taken.stopped.is_some() && self.deadline.is_some_and(|end| Instant::now() >= end) {
                return Ok(Block::NoTime);
            }
            self.budget.spend(&taken.hosts);
            self.guards.look_at(&taken);
            block.push(taken);
        }
        self.budget.end_of_block();
        Ok(Block::Whole(block))
    }

    fn command(
        &self,
        contestant: &Contestant,
        left: Option<Duration>,
        folder: Option<&Path>,
    ) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.options.words).args(["--json", "--mode", &contestant.mode]);
        if let Some(jobs) = contestant.jobs {
            command.arg(format!("--jobs={jobs}"));
        }
        if let Some(loops) = self.options.loops.filter(|_| contestant.mode == ASYNC) {
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
        match &self.ground {
            Ground::Lists(lists) => command.arg("--").args(lists.words()),
            Ground::Lesson(lesson) => {
                self.shield(&mut command);
                command.arg("--").args(lesson.words())
            }
        };
        command
    }

    /// The lesson is the same whatever a configuration or the environment says.
    fn shield(&self, command: &mut Command) {
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
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            let name = self.contestants[contestant].name();
            let run =
                if counted == 0 { "Warm-up".into() } else { format!("Run {counted} of {runs}") };
            let _ = write!(stderr, "\r\x1b[K{run}: {name}");
        }
    }

    fn conclude(mut self, taken: Vec<Taken>, mut notes: Vec<String>) -> Comparison {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        let samples: Vec<_> = taken.into_iter().map(|taken| taken.sample).collect();
        let contestants = standing::standings(&samples, self.contestants.len(), &mut self.rng);
        let pairs = standing::pairs(&samples, self.contestants.len(), &mut self.rng);
        let reasons = self.guards.reasons(&samples, &self.likeness, self.options.warmup);
        notes.extend(self.guards.notes());
        let explanation = explanation::explanation(&contestants, &pairs);
        Comparison {
            program: concat!("fetch/", env!("CARGO_PKG_VERSION")).to_owned(),
            started_at: rfc3339(self.started_at).to_string(),
            cores: thread::available_parallelism().ok().map(NonZeroUsize::get),
            sources: self.options.sources().iter().map(name_of_source).collect(),
            options: self.options.shown.clone(),
            comparable: reasons.is_empty(),
            reasons,
            notes,
            explanation,
            subject: match &self.ground {
                Ground::Lists(_) => "what is listed".to_owned(),
                Ground::Lesson(_) => lesson::SUBJECT.to_owned(),
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

/// A list or URL as it may be shown.
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

/// A folder that nothing has been saved in.
fn fresh_folder(within: &Path) -> anyhow::Result<TempDir> {
    fs::create_dir_all(within)
        .and_then(|()| TempDir::with_prefix_in("fetch-run-", within))
        .with_context(|| format!("cannot make a folder in {}", within.display()))
}

/// What became of a block.
enum Block {
    /// A sample of each contestant.
    Whole(Vec<Taken>),
    /// It was to stop first.
    Stopped,
    /// The deadline came first.
    NoTime,
    /// A host would be asked too often.
    NoRequests,
}
