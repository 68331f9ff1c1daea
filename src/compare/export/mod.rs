//! Report files of a comparison, new or saved. The text of a saved one is untrusted and never written as markup.

pub(crate) mod csv;
mod figures;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod html;
pub(crate) mod markdown;
mod outcomes;

use std::io;

use super::result::{Comparison, TimedSpan};
use super::{against, builtin_workload};
use crate::plan::{ReportFile, ReportFormat, ReportSubject, Source};
use crate::redaction::redacted_text;
use crate::report::atomic_file::AtomicFile;
use crate::report::files::ensure_format_fits;
use crate::report::keep_first;
use crate::text::{counted, write_json};
use crate::units::human_bytes;

pub(crate) use figures::{FIGURES, MetricGroup, MetricRow, interval, p_is, percent_range, seconds};

/// Minimum number of runs for an interval of the wall time.
const RUNS_FOR_INTERVALS: usize = 6;

/// The report files of a comparison.
#[derive(Debug)]
pub(crate) struct ComparisonReports(Vec<(AtomicFile, ReportFormat)>);

impl ComparisonReports {
    /// Creates the files, under temporary names until they are complete.
    ///
    /// # Errors
    /// `InvalidInput` if one would replace one of `sources` or has no format for comparisons, else those of creating
    /// it. They name the file.
    pub(crate) fn create(files: &[ReportFile], sources: &[Source]) -> io::Result<Self> {
        let create = |report: &ReportFile| {
            ensure_format_fits(report, ReportSubject::Comparison)?;
            Ok((AtomicFile::create(&report.path, sources)?, report.kind))
        };
        files.iter().map(create).collect::<io::Result<_>>().map(Self)
    }

    /// Writes all of them.
    ///
    /// # Errors
    /// The first one; it names the file, which is as it was before. The other files are still completed.
    pub(crate) fn finish(self, comparison: &Comparison) -> io::Result<()> {
        let mut first = Ok(());
        for (file, kind) in self.0 {
            keep_first(&mut first, write(file, kind, comparison));
        }
        first
    }
}

fn write(mut file: AtomicFile, kind: ReportFormat, comparison: &Comparison) -> io::Result<()> {
    let out = file.lines();
    match kind {
        ReportFormat::Html => html::page(comparison, out)?,
        ReportFormat::Csv => csv::page(comparison, out)?,
        ReportFormat::Json => json(comparison, out)?,
        ReportFormat::Jsonl => jsonl(comparison, out)?,
        ReportFormat::Markdown => markdown::page(comparison, out)?,
        ReportFormat::Har => unreachable!("only a run is an archive"),
    }
    file.finish()
}

fn json(comparison: &Comparison, out: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, comparison)?;
    out.push(b'\n');
    Ok(())
}

/// The head of a report: what was measured, and how.
pub(crate) struct Head {
    /// The workload in words.
    pub workload: String,
    /// Its number of URLs and bytes.
    pub extent: String,
    /// The runs, the outcomes of their URLs, the commands and the method; a line each.
    pub lines: Vec<String>,
}

/// Builds the head of a report.
pub(crate) fn head(comparison: &Comparison) -> Head {
    let Comparison { targets, bytes, runs, warmup, seed, .. } = comparison;
    let (urls, runs) = (counted(*targets, "URL"), counted(*runs as u64, "run"));
    let mut lines = vec![format!(
        "{runs} each after {warmup} warm-up, in randomized blocks (seed {seed}). Values are medians."
    )];
    lines.extend(outcomes::sentences(comparison));
    lines.extend(
        comparison
            .contestants
            .iter()
            .filter_map(|one| Some(format!("{}: {}", one.name(), one.command.as_deref()?))),
    );
    if comparison.timed == TimedSpan::Process {
        lines.push(
            "Wall time, throughput and URLs/s are those of whole processes, from start to exit, \
             because commands report no other."
                .to_owned(),
        );
    }
    let pairs = comparison.pairs.len();
    if pairs > 1 && comparison.pairs.iter().all(|pair| pair.speed_up.p_adjusted.is_some()) {
        lines.push(format!("p-values are adjusted for {pairs} pairs (Holm); intervals are not."));
    }
    let extent = format!("{urls}, {}", human_bytes(*bytes));
    Head { workload: workload(comparison), extent, lines }
}

/// The workload in words: its sources, if they are known.
fn workload(comparison: &Comparison) -> String {
    let Comparison { subject, sources, .. } = comparison;
    match &sources[..] {
        [] if subject == builtin_workload::SUBJECT => {
            "Built-in workload (local server, 100 ms latency)".to_owned()
        }
        [] => subject.clone(),
        [first, second, third, _, ..] => {
            format!("{first}, {second}, {third} and {} more", sources.len() - 3)
        }
        few => few.join(", "),
    }
}

/// The comparison with an earlier one, a sentence each.
pub(crate) fn against(comparison: &Comparison) -> Vec<String> {
    comparison.against.as_ref().map(against::sentences).unwrap_or_default()
}

/// Notes on how to read the metrics, a line each.
pub(crate) fn remarks(comparison: &Comparison) -> Vec<String> {
    let mut remarks = comparison.notes.clone();
    if comparison.runs < RUNS_FOR_INTERVALS {
        remarks.push(
            "confidence intervals need at least 6 runs (wall time) and 4 runs (speedup)".to_owned(),
        );
    }
    remarks
}

/// Why a saved comparison cannot be reported; `None` if it can.
pub(crate) fn flaw(comparison: &Comparison) -> Option<&'static str> {
    let count = comparison.contestants.len();
    if count == 0 {
        return Some("no contestants");
    }
    if comparison.samples.iter().any(|sample| sample.contestant >= count) {
        return Some("a sample of an unknown contestant");
    }
    if comparison.pairs.iter().any(|pair| pair.first >= count || pair.second >= count) {
        return Some("a pair with an unknown contestant");
    }
    None
}

/// Reads a saved comparison.
///
/// # Errors
/// If it is not a comparison, or one that cannot be reported; a message that says why.
pub(crate) fn parse(text: &[u8]) -> Result<Comparison, String> {
    let mut comparison: Comparison =
        serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let sources = comparison.sources.iter().map(|source| redacted_text(source).into());
    comparison.sources = sources.collect();
    for command in comparison.contestants.iter_mut().filter_map(|one| one.command.as_mut()) {
        *command = redacted_text(command).into_owned();
    }
    match flaw(&comparison) {
        Some(flaw) => Err(flaw.to_owned()),
        None => Ok(comparison),
    }
}

/// Writes the comparison as one line of JSON.
pub(crate) fn jsonl(comparison: &Comparison, out: &mut Vec<u8>) -> io::Result<()> {
    write_json(&mut *out, comparison)?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests;
