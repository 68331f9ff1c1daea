//! One run: opens the lists and the outputs, connects the engine to the reports, and returns how it ended.

mod cookie_files;
mod remote_list;
mod single_output;

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow, ensure};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::timeout;

use super::{
    COLOR, colours, exit_of_run, fail_without_handlers, no_urls_warning, open_error, print_error,
    print_note, print_warning,
};
use crate::cli;
use crate::engine::{
    self, CancelToken, EngineError, EngineResult, EventReceiver, RunCookies, event_channel,
};
use crate::exit::{Exit, ExitStatus};
use crate::input::{self, ReadError};
use crate::model::{
    Event, FailureClass, ListPosition, OutcomeCounts, ProgressBoard, RequestMethod, Resources,
    StopCause, Summary, rfc3339,
};
use crate::plan::{OutputFormat, Plan, Saving, Strategy, Verbosity};
use crate::report::{
    FailedListWriter, Outputs, ReportFiles, Reporter, printable, reporter, written_path,
};
use crate::resource_usage::{self, ResourceUsage};
use crate::signals::cancel_on_signals;
use crate::store::{Store, StoreError};
use crate::text::{counted, shell_word};
use crate::transfer::{Resolver, TransferContext, TransferCounts};
pub(super) use cookie_files::read as cookies;
pub(super) use remote_list::RemoteLists;
use single_output::PendingOutput;
pub(super) use single_output::predicted_save_options;

/// If the report thread is woken again within this time, it sleeps for [`GATHER_TIME`], so that events gather: waking it for
/// each one costs the workers more than the event itself.
const BUSY_INTERVAL: Duration = Duration::from_millis(5);

/// How long events gather, unless the work ends meanwhile.
const GATHER_TIME: Duration = Duration::from_millis(2);

/// How often the progress display is updated.
const TICK: Duration = Duration::from_millis(100);

/// The maximum number of name lookups at once.
const MAX_LOOKUPS: usize = 16;

/// Bytes of address space that a run needs beside its loops. The allocator of the C library reserves much for lookups.
const BASE_ADDRESS_SPACE: u64 = 192 << 20;

/// Bytes of address space of the thread of a loop: its stack, and what the allocator reserves for it.
const LOOP_ADDRESS_SPACE: u64 = 12 << 20;

/// How long an idle lookup thread is kept: longer than any run.
const KEEP_ALIVE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The maximum number of idle connections in all; fewer if descriptors are scarce.
const MAX_IDLE: usize = 256;

/// The message if the system refuses a thread or an event loop.
const NO_THREAD: &str = "cannot start a thread (see ulimit -u and ulimit -v)";

/// How a run ended.
#[derive(Debug)]
pub struct RunOutcome {
    /// The totals of the run.
    pub summary: Summary,
    /// Why work was left undone; a signal also if none was.
    pub stopped: Option<StopCause>,
    /// Why a list could not be read to its end.
    pub unreadable: Option<anyhow::Error>,
}

/// Why a run could not begin, or failed as a whole.
#[derive(Debug)]
pub enum RunError {
    /// What was asked for cannot be done: an unreadable list or certificate.
    Usage(anyhow::Error),
    /// The system does not allow it: no thread, no room for the report.
    Fatal(anyhow::Error),
}

impl ExitStatus for RunOutcome {
    fn exit(&self) -> Exit {
        if self.unreadable.is_some() {
            return Exit::Usage;
        }
        match self.stopped {
            Some(StopCause::Interrupted) => Exit::Interrupted,
            Some(StopCause::Terminated) => Exit::Terminated,
            Some(StopCause::HungUp) => Exit::HungUp,
            Some(StopCause::Fatal | StopCause::Disk) => Exit::Fatal,
            Some(
                StopCause::Deadline
                | StopCause::TooManyFailures
                | StopCause::Quota
                | StopCause::ReaderGone
                | StopCause::Sibling,
            ) => Exit::Unfinished,
            None if self.summary.counts.failed + self.summary.counts.invalid > 0 => {
                Exit::SomeFailed
            }
            None => Exit::Ok,
        }
    }
}

impl ExitStatus for RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Fatal(_) => Exit::Fatal,
        }
    }
}

pub(super) fn execute(plan: &Plan) -> Exit {
    let cancel = CancelToken::default();
    if let Err(error) = cancel_on_signals(&cancel, plan.timeouts.grace) {
        return fail_without_handlers(&error);
    }
    let choice = *COLOR.get_or_init(|| plan.report.color);
    let mut outputs = Outputs::of_process(|is_terminal| colours(choice, is_terminal));
    if plan.output.as_ref().is_some_and(|output| output.path.is_none()) {
        outputs = outputs.without_stdout();
    }
    let result = run(plan, outputs, &cancel);
    let error = match &result {
        // What could not be saved is in the record of its URL, and in the summary.
        Ok(outcome) => outcome.unreadable.as_ref(),
        Err(RunError::Usage(error) | RunError::Fatal(error)) => Some(error),
    };
    if let Some(error) = error {
        match error.downcast_ref::<ReadError>() {
            // The reason is in the record of the list, which was printed as a failure.
            Some(error) if error.is_no_list() && plan.report.verbosity >= Verbosity::Quiet => {
                print_error(&format!("{}: not a list of URLs", error.name));
            }
            _ => print_error(error),
        }
    }
    exit_of_run(result.exit(), plan)
}

/// Runs `plan` and reports it to `outputs`. `cancel` may end it early.
///
/// # Errors
/// If it cannot begin, or the report cannot be written. A URL that fails is a record, not an error.
pub fn run(plan: &Plan, outputs: Outputs, cancel: &CancelToken) -> Result<RunOutcome, RunError> {
    run_with(plan, outputs, cancel, print_warning)
}

/// As [`run`], with warnings about saved files, cookies and options of transfers passed to `warn`.
fn run_with(
    plan: &Plan,
    outputs: Outputs,
    cancel: &CancelToken,
    warn: fn(&str),
) -> Result<RunOutcome, RunError> {
    let start = StartSnapshot {
        at: Instant::now(),
        time: SystemTime::now(),
        usage: resource_usage::usage(),
    };
    let mut remote = RemoteLists::default();
    let inputs = input::open_all(plan, |url| remote.open(url, plan));
    let inputs = inputs.map_err(|error| RunError::Usage(open_error(error)))?;
    let (mut plan, idle) = fit_to_limits(plan, inputs.len()).map_err(RunError::Fatal)?;
    let output = PendingOutput::prepare(&mut plan).map_err(unwritable)?.map(Arc::new);
    let runtime = build_coordinator().context(NO_THREAD).map_err(RunError::Fatal)?;
    let handle = runtime.handle().clone();
    let resolver = Arc::new(Resolver::new(&plan.http, handle));
    let expected = input::wanted(&plan).map_err(|error| RunError::Usage(error.into()))?;
    let expected = Arc::new(expected);
    let (store, notices) =
        Store::open(plan.saving(), &expected, &plan.bodies.digests).map_err(store_error)?;
    notices.iter().for_each(|notice| warn(&printable(notice)));
    claim_outputs(&plan, &store).map_err(RunError::Usage)?;
    let transfer_context = TransferContext::new(&plan, resolver, expected, store, idle);
    let transfer_context =
        Arc::new(transfer_context.map_err(|error| RunError::Usage(error.into()))?);
    let (cookies, warnings) = cookies(&plan).map_err(RunError::Usage)?;
    warnings.iter().for_each(|warning| warn(&printable(warning)));
    let jar = cookie_files::create_jar(&plan).map_err(unwritable)?;
    let cookies = Arc::new(RunCookies::new(cookies, jar.is_some()));
    transfer_context.warnings().iter().for_each(|warning| warn(&printable(warning)));
    let board = Arc::new(ProgressBoard::new(plan.strategy.jobs()));
    let failed =
        FailedListWriter::create(plan.failed.as_ref(), &plan.inputs()).map_err(unwritable)?;
    let documents = ReportFiles::create(&plan.documents, &plan.inputs()).map_err(unwritable)?;
    let reporter = reporter(plan.report, outputs, failed, documents, Arc::clone(&board));

    let (events, received) = event_channel();
    let (work_guard, end_of_work) = mpsc::channel();
    let reports = thread::Builder::new().name("reports".into()).spawn({
        let (cancel, output) = (cancel.clone(), output.clone());
        move || report_events(reporter, received, &end_of_work, &cancel, output)
    });
    let reports = reports.context(NO_THREAD).map_err(RunError::Fatal)?;
    let work = engine::run(
        &plan,
        inputs,
        Arc::clone(&transfer_context),
        Arc::clone(&cookies),
        board,
        events,
        cancel.clone(),
    );
    let finished = runtime.block_on(work);
    drop(work_guard);
    // Nobody waits for the names that are still being looked up.
    runtime.shutdown_background();
    let jar_written = jar.map_or(Ok(()), |jar| cookie_files::write_jar(jar, &cookies));
    let reported = reports.join().map_err(|_| RunError::Fatal(anyhow!("the report failed")))?;
    let finished = finished.map_err(engine_error)?;
    let completed = transfer_context.store().finish();
    let outcome = conclude(&plan, &transfer_context, &start, finished, reported, cancel.cause())?;
    completed.map_err(|failure| RunError::Fatal(failure.into()))?;
    jar_written.map(|()| outcome).map_err(|error| RunError::Fatal(error.into()))
}

/// Ensures that the outputs of a run are different files and replace no saved one, and claims their names.
///
/// # Errors
/// If two are one file, or one is a saved file or one that fetch needs.
pub(super) fn claim_outputs(plan: &Plan, store: &Store) -> anyhow::Result<()> {
    let paths: Vec<_> = plan.outputs().map(written_path).collect();
    for (at, path) in paths.iter().enumerate() {
        let is_regular = !path.exists() || path.is_file();
        ensure!(
            !is_regular || !paths[..at].contains(path),
            "two outputs would write {}; name another file",
            path.display()
        );
    }
    Ok(store.claim_outputs(&paths)?)
}

/// Times and resource usage at the start of the run.
struct StartSnapshot {
    at: Instant,
    time: SystemTime,
    usage: ResourceUsage,
}

/// Builds the summary, finishes the report with it, and prints the last warnings and notes.
fn conclude(
    plan: &Plan,
    transfer_context: &TransferContext,
    start: &StartSnapshot,
    finished: EngineResult,
    mut reported: ReportedCounts,
    cause: Option<StopCause>,
) -> Result<RunOutcome, RunError> {
    let EngineResult { list_complete, listed, unreadable, hosts, ready, elapsed, peak_of_children } =
        finished;
    // Targets that a limit or the disk ended are left undone, as are those that were not started.
    let undone = [FailureClass::Cancelled, FailureClass::Quota, FailureClass::Disk];
    let work_left = !list_complete || undone.iter().any(|class| reported.counts.of(*class) > 0);
    let signalled = cause.is_some_and(StopCause::is_signal);
    let stopped = cause.filter(|_| work_left || signalled);
    let summary = Summary {
        list_complete,
        read_up_to: reported.last_read.filter(|_| !list_complete),
        saves: Some(plan.saving().option().is_some()),
        counts: reported.counts,
        elapsed: elapsed.as_secs_f64(),
        setup: (ready - start.at).as_secs_f64(),
        mode: Some(plan.strategy.mode()),
        jobs: plan.strategy.jobs(),
        loops: plan.strategy.loops(),
        stopped: stopped.map(|cause| cause.to_string()),
        resources: resources(plan, transfer_context, start.usage, peak_of_children),
        hosts,
        program: concat!("fetch/", env!("CARGO_PKG_VERSION")).to_owned(),
        started_at: rfc3339(start.time),
        sources: plan.sources.iter().map(input::source_name).collect(),
        options: plan.options.clone(),
        head: plan.http.method == RequestMethod::Head,
        shard: plan.shard.map(|shard| shard.to_string()),
    };
    let finished = reported.reporter.finish(&summary);
    let written = match reported.written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        // Report files may have failed even if standard output was closed early.
        _ => finished,
    };
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(RunError::Fatal(error.into()));
        }
        _ => {}
    }
    if plan.report.verbosity >= Verbosity::Normal {
        if summary.counts.targets == 0 && list_complete {
            print_warning(&no_urls_warning(plan, listed));
        }
        warn_of_unverified(plan, transfer_context);
        warn_of_plain_http(transfer_context.counts());
        if stopped != Some(StopCause::ReaderGone) {
            notes(plan, &summary).iter().for_each(|note| print_note(note));
        }
    }
    Ok(RunOutcome { summary, stopped, unreadable: unreadable.map(anyhow::Error::from) })
}

/// Notes for the user: that bodies were discarded (with the text format only), and how to retry the failed URLs.
fn notes(plan: &Plan, summary: &Summary) -> Vec<String> {
    let is_text = plan.report.format == OutputFormat::Text;
    let saves = plan.saving().option().is_some();
    let discarded = !saves && summary.counts.ok > 0 && is_text && !summary.head;
    let discarded =
        discarded.then(|| "bodies were read and discarded; use --dir DIR to save them".to_owned());
    discarded.into_iter().chain(retry_note(plan, summary)).collect()
}

/// The note about the list of failed URLs, with the command that retries them. `None` if there are none, or if the same command
/// has to run again because the list was not read to its end.
fn retry_note(plan: &Plan, summary: &Summary) -> Option<String> {
    let failed = plan.failed.as_ref().filter(|_| plan.output.is_none())?;
    let listed = listed_failures(&failed.classes, &summary.counts)?;
    if !summary.list_complete {
        return None;
    }
    let Some(command) = retry_arguments(plan.saving(), &failed.path) else {
        let name = failed.path.display().to_string();
        return Some(format!("{listed} written to '{}'", printable(&name)));
    };
    let is_other = |option: &String| !NOT_REPEATED.contains(&option_name(option));
    let is_table_option = |option: &String| TABLE_OPTIONS.contains(&option_name(option));
    let but = match plan.options.iter().any(is_table_option) {
        true => ", but for those of the table",
        false => "",
    };
    Some(match plan.options.iter().any(is_other) {
        true => format!("to retry {listed} with the same options{but}: fetch [OPTIONS] {command}"),
        false => format!("to retry {listed}: fetch {command}"),
    })
}

/// The arguments that fetch the URLs of this list; `None` if they cannot be typed, or the list cannot be read again.
fn retry_arguments(saving: Saving<'_>, list: &Path) -> Option<String> {
    let list = is_regular_file(list).then(|| list.to_str().map(cli::file_argument))??;
    let list = word_of_path(Path::new(&*list))?;
    let Some((option, path)) = saving.option() else { return Some(list) };
    Some(format!("{option} {} {list}", word_of_path(path)?))
}

/// Options that do not fit the list of failed URLs, which is a text list.
const TABLE_OPTIONS: [&str; 2] = ["input-format", "delimiter"];

/// Options that the command which retries the failed URLs has anyway, or that only change its output.
const NOT_REPEATED: [&str; 20] = [
    "dir",
    "warc",
    "tar",
    "failed",
    "failed-class",
    "format",
    "json",
    "ordered",
    "report",
    "quiet",
    "verbose",
    "no-progress",
    "color",
    // The list of failed URLs is a text list, which has the values of the columns.
    "input-format",
    "delimiter",
    "url-column",
    "id-column",
    "out-column",
    "checksum-column",
    "carry",
];

/// The name in an option with its value: `jobs` of `--jobs=8`.
fn option_name(option: &str) -> &str {
    let option = option.trim_start_matches('-');
    option.split_once('=').map_or(option, |(name, _)| name)
}

/// Describes the list of failed URLs, which has those of `classes`, or of all classes if that is empty. `None` if the list is
/// empty. URLs that were not started are among the cancelled ones; invalid lines are not listed.
fn listed_failures(classes: &[FailureClass], counts: &OutcomeCounts) -> Option<String> {
    let is_listed = |class| classes.is_empty() || classes.contains(&class);
    let listed = counts.failures.iter().filter(|(class, _)| is_listed(**class));
    let all: u64 = listed.map(|(_, count)| count).sum();
    let part = |class, count| if is_listed(class) { count } else { 0 };
    let not_started = part(FailureClass::Cancelled, counts.not_started);
    let invalid = part(FailureClass::InvalidUrl, counts.invalid);
    let urls = |count, noun| (count > 0).then(|| counted(count, noun));
    let failed = urls(all.saturating_sub(not_started + invalid), "failed URL");
    let rest = urls(not_started, "URL").map(|urls| format!("{urls} not started"));
    let parts: Vec<_> = failed.into_iter().chain(rest).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// A path as a word of a shell command; `None` if it cannot be typed as it is shown.
fn word_of_path(path: &Path) -> Option<String> {
    path.to_str().filter(|name| printable(name) == *name).map(shell_word)
}

/// Whether this path is a regular file, which can be read again: no device, pipe or socket.
fn is_regular_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file())
}

/// Warns of files that were not verified although a checksum was given.
fn warn_of_unverified(plan: &Plan, transfer_context: &TransferContext) {
    if let (Some(sums), unlisted @ 1..) = (&plan.bodies.sums, transfer_context.counts().unlisted) {
        let sums = sums.display();
        let (files, were) = if unlisted == 1 { ("file", "was") } else { ("files", "were") };
        print_warning(&format!("{unlisted} {files} not listed in {sums} {were} not verified"));
    }
    if let unchecked @ 1.. = transfer_context.store().unchecked() {
        let (files, have, them) =
            if unchecked == 1 { ("file", "has", "it") } else { ("files", "have", "them") };
        print_warning(&format!(
            "{unchecked} already saved {files} {have} no recorded digest to verify; use --force to download {them} again"
        ));
    }
}

/// Warns of header fields that were not sent and certificates that were not checked because requests were over plain http.
fn warn_of_plain_http(counts: TransferCounts) {
    if let withheld @ 1.. = counts.withheld {
        let (requests, their) =
            if withheld == 1 { ("request was", "its") } else { ("requests were", "their") };
        print_warning(&format!(
            "{withheld} {requests} sent without header fields of {their} [hosts] section, which are only sent over https"
        ));
    }
    if let uncertified @ 1.. = counts.uncertified {
        let (replies, have) = if uncertified == 1 { ("reply", "has") } else { ("replies", "have") };
        print_warning(&format!(
            "{uncertified} {replies} over http {have} no certificate to check (--min-cert-days)"
        ));
    }
}

fn resources(
    plan: &Plan,
    transfer_context: &TransferContext,
    before: ResourceUsage,
    peak_of_children: u64,
) -> Resources {
    let now = resource_usage::usage();
    let spent = |now: Option<Duration>, before: Option<Duration>| {
        Some(now?.saturating_sub(before?).as_secs_f64())
    };
    let more = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?));
    let TransferCounts { requests, connections, handshakes, lookups, run_queue_delay, .. } =
        transfer_context.counts();
    Resources {
        cpu_user: spent(now.cpu_user, before.cpu_user),
        cpu_system: spent(now.cpu_system, before.cpu_system),
        peak_memory: now.peak_memory.map(|peak| peak + peak_of_children),
        voluntary_switches: more(now.voluntary_switches, before.voluntary_switches),
        involuntary_switches: more(now.involuntary_switches, before.involuntary_switches),
        run_queue_delay: resource_usage::run_queue_delay()
            .map(|_| Duration::from_nanos(run_queue_delay).as_secs_f64()),
        worker_threads: plan.strategy.loops(),
        requests,
        connections,
        handshakes,
        lookups,
    }
}

/// The error if an output file or the cookie jar cannot be created: of usage, or of the system.
fn unwritable(error: io::Error) -> RunError {
    match error.kind() {
        ErrorKind::InvalidInput => RunError::Usage(error.into()),
        _ => RunError::Fatal(error.into()),
    }
}

fn store_error(error: StoreError) -> RunError {
    if error.is_usage() { RunError::Usage(error.into()) } else { RunError::Fatal(error.into()) }
}

fn engine_error(error: EngineError) -> RunError {
    match error {
        EngineError::Context(error) => RunError::Usage(error.into()),
        other => RunError::Fatal(other.into()),
    }
}

/// Builds the runtime of everything but transfers: the feeder, the clocks of the run, and name lookups. Starts one thread for
/// lookups, which stays, so that no lookup fails later for want of a thread.
fn build_coordinator() -> io::Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(MAX_LOOKUPS).thread_keep_alive(KEEP_ALIVE);
    let runtime = builder.build()?;
    Resolver::ensure_thread()?;
    drop(runtime.handle().spawn_blocking(|| ()));
    Ok(runtime)
}

/// Reduces the jobs of a plan to what memory and descriptors allow. Returns it with the number of idle connections that each
/// client may keep.
fn fit_to_limits(plan: &Plan, inputs: usize) -> anyhow::Result<(Plan, usize)> {
    let mut plan = plan.clone();
    fit_into_memory(&mut plan)?;
    let asked = plan.strategy.jobs();
    let need = FdBudget::of(plan.strategy, inputs);
    let limit = resource_usage::raise_fd_limit((need.total() + MAX_IDLE) as u64);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    while FdBudget::of(plan.strategy, inputs).total() > limit {
        let fewer = NonZeroUsize::new(plan.strategy.jobs() - 1);
        plan.strategy = plan.strategy.cut_to(fewer.with_context(|| {
            format!("open-file limit too low ({limit}); raise it with ulimit -n")
        })?);
    }
    let need = FdBudget::of(plan.strategy, inputs);
    if plan.strategy.jobs() < asked {
        print_warning(&format!(
            "using {} jobs instead of {asked} (open-file limit is {limit}; see ulimit -n)",
            plan.strategy.jobs()
        ));
    }
    let spare = (limit - need.total()).min(MAX_IDLE);
    let loops = plan.strategy.loops();
    Ok((plan, spare.div_ceil(loops)))
}

/// Reduces the jobs until the threads of the loops fit into the address space, if `ulimit -v` limits it: a failed allocation
/// ends the process.
fn fit_into_memory(plan: &mut Plan) -> anyhow::Result<()> {
    let Some(left) = resource_usage::address_space_left() else { return Ok(()) };
    let asked = plan.strategy.jobs();
    // Jobs of one loop share its memory; a child has an address space of its own.
    let loops = |strategy: Strategy| match strategy {
        Strategy::Processes(_) => 1,
        strategy => strategy.loops(),
    };
    while BASE_ADDRESS_SPACE + LOOP_ADDRESS_SPACE * loops(plan.strategy) as u64 > left {
        let fewer = if loops(plan.strategy) > 1 { plan.strategy.jobs() - 1 } else { 0 };
        plan.strategy = plan.strategy.cut_to(NonZeroUsize::new(fewer).with_context(|| {
            format!("too little address space ({} MiB left); raise it with ulimit -v", left >> 20)
        })?);
    }
    if plan.strategy.jobs() < asked {
        print_warning(&format!(
            "using {} jobs instead of {asked} (little address space; see ulimit -v)",
            plan.strategy.jobs()
        ));
    }
    Ok(())
}

/// The file descriptors that a run needs at most, with only one idle connection for each loop.
struct FdBudget {
    fixed: usize,
    loops: usize,
    jobs: usize,
    /// Descriptors of each job.
    per_job: usize,
}

impl FdBudget {
    fn of(strategy: Strategy, inputs: usize) -> Self {
        // Streams, the coordinating runtime, signals and the files that a lookup opens.
        let fixed = 32 + 2 * MAX_LOOKUPS + inputs;
        let (loops, per_job) = match strategy {
            // The pipes of a child, and a handle of it. The child has its own limit.
            Strategy::Processes(_) => (1, 3),
            // The connection in use, and one that is being closed or was opened in vain.
            _ => (strategy.loops(), 2),
        };
        Self { fixed, loops, jobs: strategy.jobs(), per_job }
    }

    fn total(&self) -> usize {
        // A loop: its poller, waker and signal pipe, and one idle connection.
        self.fixed + 4 * self.loops + self.per_job * self.jobs
    }
}

/// The reporter, and what was counted from its events.
struct ReportedCounts {
    reporter: Box<dyn Reporter>,
    counts: OutcomeCounts,
    written: io::Result<()>,
    /// Where the body of the only URL goes.
    output: Option<Arc<PendingOutput>>,
    /// The entry with the highest index that has a record: all entries that were read have one.
    last_read: Option<ListPosition>,
}

/// Passes every event to the reporter, until the channel is closed. If something cannot be written, the run is ended; later
/// events are still reported, for the files that can be written, and counted, because the counts say whether work is left.
fn report_events(
    reporter: Box<dyn Reporter>,
    mut events: EventReceiver,
    end_of_work: &mpsc::Receiver<Infallible>,
    cancel: &CancelToken,
    output: Option<Arc<PendingOutput>>,
) -> ReportedCounts {
    let (counts, written) = (OutcomeCounts::default(), Ok(()));
    let mut reported = ReportedCounts { reporter, counts, written, output, last_read: None };
    reported.written = match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime.block_on(reported.run(&mut events, end_of_work)),
        Err(error) => Err(error),
    };
    if let Err(error) = &reported.written {
        cancel.abort(match error.kind() {
            ErrorKind::BrokenPipe => StopCause::ReaderGone,
            _ => StopCause::Fatal,
        });
        reported.reporter.mute();
        while let Some(event) = events.blocking_recv() {
            // The first error is the one that counts.
            let _ = reported.handle(&event);
        }
    }
    reported
}

impl ReportedCounts {
    /// Handles events until the channel is closed.
    async fn run(
        &mut self,
        events: &mut EventReceiver,
        end_of_work: &mpsc::Receiver<Infallible>,
    ) -> io::Result<()> {
        let ticks = self.reporter.wants_ticks();
        let mut last_woken: Option<Instant> = None;
        loop {
            match events.try_recv() {
                Ok(event) => self.handle(&event)?,
                Err(TryRecvError::Disconnected) => return self.reporter.flush(),
                Err(TryRecvError::Empty) => {
                    self.reporter.flush()?;
                    match timeout(if ticks { TICK } else { Duration::MAX }, events.recv()).await {
                        Ok(Some(event)) => {
                            self.handle(&event)?;
                            if last_woken.is_some_and(|last| last.elapsed() < BUSY_INTERVAL) {
                                let _ = end_of_work.recv_timeout(GATHER_TIME);
                            }
                            last_woken = Some(Instant::now());
                        }
                        Ok(None) => return self.reporter.flush(),
                        Err(_) => {}
                    }
                }
            }
            if ticks {
                self.reporter.tick(Instant::now())?;
            }
        }
    }

    fn handle(&mut self, event: &Event) -> io::Result<()> {
        let (Some(output), Event::Finished { record, target, name }) = (&self.output, event) else {
            return self.report(event);
        };
        let (record, moved) = output.publish(record);
        let (record, target, name) = (Box::new(record), target.clone(), name.clone());
        self.report(&Event::Finished { record, target, name }).and(moved)
    }

    fn report(&mut self, event: &Event) -> io::Result<()> {
        self.count(event);
        self.reporter.event(event)
    }

    fn count(&mut self, event: &Event) {
        if let Event::Finished { record, .. } = event {
            self.counts.add(record);
            if self.last_read.as_ref().is_none_or(|last| last.index < record.index) {
                self.last_read = Some(ListPosition::from(&**record));
            }
        }
    }
}
