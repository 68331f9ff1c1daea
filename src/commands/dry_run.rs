//! `--dry-run`: prints what a run would do: its targets with their file names, its hosts with their limits, its options.
//! Sends no request, resolves no name and does not change the directory. The lists are streamed; of hosts beyond the first
//! thousand, only the targets are counted.

mod hosts;

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::fetch::{RemoteLists, claim_outputs, cookies, predicted_save_options};
use super::{CommandError, conclude, exit_of_run, no_urls_warning, open_error, print_warning};
use crate::cli::{EffectiveOption, OptionValue};
use crate::exit::{Exit, ExitStatus};
use crate::input::{self, EntryBatch, OpenInput, ReadError, StreamKind};
use crate::model::{
    Entry, InvalidLine, Outcome, RecordError, SavePlace, Target, redacted, shown_labels,
};
use crate::plan::{OutputFormat, Plan, Saving, Verbosity};
use crate::report::{printable, readable_message, readable_url};
use crate::store::{Claim, SkipReason, Store, StoreError};
use crate::streams::stdout;
use crate::text::{counted, write_json};
use hosts::{PreviewHost, PreviewHosts};

/// The number of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntryCounts {
    /// Would be fetched.
    pub targets: u64,
    /// Already saved.
    pub skipped: u64,
    /// Listed twice.
    pub duplicate: u64,
    /// Cannot be saved.
    pub failed: u64,
    /// Invalid lines.
    pub invalid: u64,
}

/// Why a dry run failed.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// A list cannot be opened.
    #[error("{0:#}")]
    Unopened(anyhow::Error),
    /// A file with cookies cannot be read.
    #[error("{0:#}")]
    Cookies(anyhow::Error),
    /// A list could not be read to its end.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The directory for files cannot be read.
    #[error(transparent)]
    Unusable(#[from] StoreError),
    /// An output file of the run would replace a file.
    #[error(transparent)]
    Output(anyhow::Error),
    /// The output cannot be written.
    #[error("cannot write output: {0}")]
    Unwritten(#[from] io::Error),
}

impl ExitStatus for EntryCounts {
    fn exit(&self) -> Exit {
        if self.invalid + self.failed > 0 { Exit::SomeFailed } else { Exit::Ok }
    }
}

impl ExitStatus for PreviewError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unopened(_) | Self::Cookies(_) | Self::Unreadable(_) | Self::Output(_) => {
                Exit::Usage
            }
            Self::Unwritten(error) => error.exit(),
            Self::Unusable(error) if error.is_usage() => Exit::Usage,
            Self::Unusable(_) => Exit::Fatal,
        }
    }
}

impl CommandError for PreviewError {
    fn output_error(&self) -> Option<&io::Error> {
        match self {
            Self::Unwritten(error) => Some(error),
            Self::Unopened(_)
            | Self::Cookies(_)
            | Self::Unreadable(_)
            | Self::Unusable(_)
            | Self::Output(_) => None,
        }
    }
}

pub(super) fn execute(plan: &Plan, options: &[EffectiveOption]) -> Exit {
    let mut out = BufWriter::new(stdout());
    let result = preview(plan, options, &mut out);
    exit_of_run(conclude(&result), plan)
}

/// Prints to `out` what a run would do, in the format of the plan.
///
/// # Errors
/// If the directory for files cannot be read; if a list cannot be read, after the entries before it were printed; or
/// those of `out`.
pub fn preview(
    plan: &Plan,
    options: &[EffectiveOption],
    out: &mut impl Write,
) -> Result<EntryCounts, PreviewError> {
    let mut remote = RemoteLists::default();
    let inputs = input::open_all(plan, |url| remote.open(url, plan));
    let inputs = inputs.map_err(|error| PreviewError::Unopened(open_error(error)))?;
    let expected = input::wanted(plan).map_err(|error| PreviewError::Unopened(error.into()))?;
    let (_, warnings) = cookies(plan).map_err(PreviewError::Cookies)?;
    warnings.iter().for_each(|warning| print_warning(&printable(warning)));
    let output =
        predicted_save_options(plan).map_err(|error| PreviewError::Output(error.into()))?;
    let saving = output.as_ref().map_or(plan.saving(), Saving::Directory);
    let (store, notices) = Store::inspect(saving, &Arc::new(expected))?;
    notices.iter().for_each(|notice| print_warning(&printable(notice)));
    claim_outputs(plan, &store).map_err(PreviewError::Output)?;
    let (hosts, counts) = (PreviewHosts::default(), EntryCounts::default());
    let mut preview = Preview { plan, options, out, store, hosts, counts };
    let read = preview.print_entries(inputs);
    preview.out.flush()?;
    let listed = read?;
    preview.conclude()?;
    if preview.counts == EntryCounts::default() {
        print_warning(&no_urls_warning(plan, listed));
    }
    Ok(preview.counts)
}

struct Preview<'a, W> {
    plan: &'a Plan,
    options: &'a [EffectiveOption],
    out: &'a mut W,
    store: Store,
    hosts: PreviewHosts,
    counts: EntryCounts,
}

impl<W: Write> Preview<'_, W> {
    /// Prints the entries, and returns their number in the lists, those of other shards included.
    fn print_entries(&mut self, inputs: Vec<OpenInput>) -> Result<u64, PreviewError> {
        input::entries(inputs, self.plan.shard, |EntryBatch { entries, kind, notices }| {
            notices.iter().for_each(|notice| print_warning(&printable(notice)));
            entries.iter().try_for_each(|entry| self.print_entry(entry))?;
            if kind == StreamKind::Live {
                self.out.flush()?;
            }
            Ok(())
        })
    }

    fn print_entry(&mut self, entry: &Entry) -> Result<(), PreviewError> {
        match entry {
            Entry::Target(target) => self.add_claimed(target, &self.store.claim(target).claim)?,
            Entry::Invalid(invalid) => {
                self.counts.invalid += 1;
                self.print_invalid(invalid)?;
            }
        }
        Ok(())
    }

    /// Counts a target by its claim, and prints it, if the verbosity includes it.
    fn add_claimed(&mut self, target: &Target, claim: &Claim) -> io::Result<()> {
        let mut is_printed = self.plan.report.verbosity > Verbosity::Quiet;
        match claim {
            Claim::Fetch(_) => {
                self.counts.targets += 1;
                self.hosts.count(&self.plan.host_limits, target.url());
            }
            Claim::Settled(_, SkipReason::Failed(_)) => {
                self.counts.failed += 1;
                is_printed = true;
            }
            Claim::Settled(_, SkipReason::Skipped(_)) => self.counts.skipped += 1,
            Claim::Settled(_, SkipReason::Duplicate(_)) => self.counts.duplicate += 1,
        }
        if is_printed { self.print_target(target, &PredictedOutcome::of(claim)) } else { Ok(()) }
    }

    fn print_target(&mut self, target: &Target, outcome: &PredictedOutcome<'_>) -> io::Result<()> {
        let (url, mirrors) = (redacted(target.url()), target.urls.len() - 1);
        let PredictedOutcome { path, outcome, duplicate_of, error, words } = outcome;
        let output = self.plan.output.as_ref().map(|output| output.path.as_deref());
        let output = output.map(|path| path.map(|path| path.display().to_string()));
        let path = match &output {
            Some(output) => output.as_deref(),
            // The archive that it goes to is not known yet.
            None if self.plan.archive.is_some() && outcome.is_none() => None,
            None => *path,
        };
        if self.is_json() {
            let options = &target.options;
            let (id, carried) = shown_labels(options.id.as_ref(), options.carried.as_ref());
            return self.object(&json!({
                "type": "target", "index": target.index, "source": target.source, "line": target.line,
                "url": url, "mirrors": mirrors, "path": path, "outcome": outcome,
                "duplicate_of": duplicate_of, "error": error, "id": id, "carried": carried,
            }));
        }
        write!(self.out, "{} {}", target.index, readable_url(&url))?;
        if mirrors > 0 {
            write!(self.out, " (and {})", counted(mirrors as u64, "mirror"))?;
        }
        if let Some(path) = path {
            write!(self.out, " -> {}", printable(path))?;
        } else if output.is_some() {
            write!(self.out, " -> standard output")?;
        }
        writeln!(self.out, "{}", readable_message(words))
    }

    fn print_invalid(&mut self, invalid: &InvalidLine) -> io::Result<()> {
        let InvalidLine { index, source, line, text, message, id, carried } = invalid;
        if self.is_json() {
            let (id, carried) = shown_labels(id.as_ref(), carried.as_ref());
            return self.object(&json!({
                "type": "invalid", "index": index, "source": source, "line": line, "url": text,
                "message": message, "id": id, "carried": carried,
            }));
        }
        write!(self.out, "Invalid {}", printable(source))?;
        if let Some(line) = line {
            write!(self.out, ":{line}")?;
        }
        writeln!(self.out, ": {}", readable_message(message))
    }

    /// Prints what is known after the last target.
    fn conclude(&mut self) -> io::Result<()> {
        for host in std::mem::take(&mut self.hosts.reported) {
            self.print_host(&host)?;
        }
        self.print_settings()?;
        let EntryCounts { targets, skipped, duplicate, failed, invalid } = self.counts;
        let further = self.hosts.further;
        if self.is_json() {
            self.object(&json!({
                "type": "preview", "targets": targets, "skipped": skipped, "duplicate": duplicate,
                "failed": failed, "invalid": invalid, "targets_of_further_hosts": further,
            }))?;
        } else {
            write!(self.out, "Would fetch {}", counted(targets, "URL"))?;
            for (count, what) in
                [(skipped, "skipped"), (duplicate, "duplicate"), (failed, "failed")]
            {
                if count > 0 {
                    write!(self.out, "; {count} {what}")?;
                }
            }
            if invalid > 0 {
                write!(self.out, "; {} invalid", counted(invalid, "line"))?;
            }
            writeln!(self.out, " (dry run)")?;
        }
        self.out.flush()
    }

    fn print_host(&mut self, host: &PreviewHost) -> io::Result<()> {
        let PreviewHost { name, targets, limits, headers, withheld } = host;
        if self.is_json() {
            return self.object(&json!({
                "type": "host", "host": name, "targets": targets, "per_host": limits.ceiling,
                "gap": limits.gap.as_secs_f64(), "headers": headers, "withheld": withheld,
            }));
        }
        let parallel = limits.ceiling.map_or("unlimited".to_owned(), |most| most.to_string());
        write!(self.out, "Host {}: {}, ", printable(name), counted(*targets, "URL"))?;
        write!(self.out, "{parallel} parallel")?;
        if !limits.gap.is_zero() {
            write!(self.out, ", one request every {} s", limits.gap.as_secs_f64())?;
        }
        for header in headers {
            write!(self.out, ", {header}")?;
        }
        if !withheld.is_empty() {
            write!(self.out, ", without {} (only sent over https)", withheld.join(", "))?;
        }
        writeln!(self.out)
    }

    fn print_settings(&mut self) -> io::Result<()> {
        if self.is_json() {
            let settings = self.options.iter();
            let settings =
                settings.map(|option| (option.name.replace('-', "_"), json_value(&option.value)));
            let mut object: serde_json::Map<_, _> = settings.collect();
            object.insert("type".to_owned(), "settings".into());
            return self.object(&object);
        }
        if self.hosts.further > 0 {
            writeln!(self.out, "and {} on other hosts", counted(self.hosts.further, "URL"))?;
        }
        let set: Vec<_> = self.options.iter().filter(|option| !option.is_default).collect();
        if set.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "Options:")?;
        for option in set {
            let value = json_value(&option.value).to_string();
            writeln!(self.out, "  {} = {}", option.name, printable(&value))?;
        }
        Ok(())
    }

    fn object(&mut self, object: &impl Serialize) -> io::Result<()> {
        write_json(&mut *self.out, object)?;
        self.out.write_all(b"\n")
    }

    fn is_json(&self) -> bool {
        self.plan.report.format == OutputFormat::Jsonl
    }
}

/// The outcome of a target as far as it is known without a request. The fields are named as in a record.
#[derive(Default)]
struct PredictedOutcome<'a> {
    path: Option<&'a str>,
    outcome: Option<Outcome>,
    duplicate_of: Option<u64>,
    error: Option<RecordError>,
    /// What the text format prints after the path.
    words: String,
}

impl<'a> PredictedOutcome<'a> {
    fn of(claim: &'a Claim) -> Self {
        let unknown = Self::default();
        match claim {
            Claim::Fetch(None) => unknown,
            Claim::Fetch(Some(place)) => {
                Self { path: Some(&place.name), words: describe_begun(place), ..unknown }
            }
            Claim::Settled(name, SkipReason::Skipped(_)) => Self {
                path: Some(name),
                outcome: Some(Outcome::Skipped),
                words: " (already saved)".to_owned(),
                ..unknown
            },
            Claim::Settled(_, SkipReason::Duplicate(first)) => Self {
                outcome: Some(Outcome::Duplicate),
                duplicate_of: Some(*first),
                words: format!(" (duplicate of target {first})"),
                ..unknown
            },
            Claim::Settled(_, SkipReason::Failed(failure)) => Self {
                outcome: Some(Outcome::Failed),
                error: Some(RecordError::from(failure)),
                words: format!(" (failed: {failure})"),
                ..unknown
            },
        }
    }
}

/// Describes what exists of a file already.
fn describe_begun(place: &SavePlace) -> String {
    match place {
        SavePlace { part: Some(part), .. } => {
            format!(" (will be resumed: {} already downloaded)", counted(part.bytes, "byte"))
        }
        SavePlace { saved: Some(_), .. } => " (will be revalidated)".to_owned(),
        _ => String::new(),
    }
}

fn json_value(value: &OptionValue) -> Value {
    match value {
        OptionValue::Unset => Value::Null,
        OptionValue::On => json!(true),
        OptionValue::Number(number) => json!(number),
        OptionValue::Text(text) => json!(text),
        OptionValue::List(texts) => json!(texts),
    }
}
