//! Compares a comparison with an earlier, saved one (`--against`): each contestant that both have, before and now.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow};
use fastrand::Rng;

use super::result::{BeforeAndNow, Comparison, EarlierComparison};
use super::statistics::{can_be_significant, is_significant, median, speed_up};
use super::summarize::{adjust, times};
use crate::compare::export::{self, interval, p_is, seconds};
use crate::report::printable;
use crate::text::{counted, io_message};

/// Maximum bytes of a saved comparison.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// An earlier comparison, and the name of its file.
pub(super) struct SavedComparison {
    file: String,
    comparison: Comparison,
}

/// Reads an earlier comparison.
///
/// # Errors
/// If it cannot be read, or is not a comparison.
pub(super) fn read(path: &Path) -> anyhow::Result<SavedComparison> {
    let file = path.display().to_string();
    let mut text = Vec::new();
    File::open(path)
        .and_then(|opened| opened.take(MAX_FILE_BYTES).read_to_end(&mut text))
        .map_err(|error| anyhow!("cannot read {}: {}", printable(&file), io_message(&error)))
        .context("--against")?;
    let comparison = export::parse(&text).map_err(|reason| {
        let (file, reason) = (printable(&file), printable(&reason));
        anyhow!("--against {file}: not fetch compare --json output: {reason}")
    })?;
    Ok(SavedComparison { file, comparison })
}

impl SavedComparison {
    /// Compares the samples of each contestant that is also in `now` with those in `now`.
    pub(super) fn compare_with(&self, now: &Comparison, rng: &mut Rng) -> EarlierComparison {
        let before = &self.comparison;
        let mut contestants = Vec::new();
        for (place, one) in now.contestants.iter().enumerate() {
            let name = one.name();
            let Some(same) = before.contestants.iter().position(|other| other.name() == name)
            else {
                continue;
            };
            let times_before = times(&before.samples, same, before.timed);
            let times_now = times(&now.samples, place, now.timed);
            if times_before.is_empty() {
                continue;
            }
            contestants.push(BeforeAndNow {
                name,
                runs_before: times_before.len(),
                runs_now: times_now.len(),
                before: median(&times_before),
                now: median(&times_now),
                speed_up: speed_up(&times_before, &times_now, rng),
            });
        }
        adjust(contestants.iter_mut().map(|one| &mut one.speed_up).collect());
        let mut reasons = differences(before, now);
        if contestants.is_empty() {
            reasons.push("no contestant is in both".to_owned());
        }
        EarlierComparison {
            file: self.file.clone(),
            program: before.program.clone(),
            started_at: before.started_at.clone(),
            reasons,
            contestants,
        }
    }
}

/// Why an earlier comparison cannot be compared with this one.
fn differences(before: &Comparison, now: &Comparison) -> Vec<String> {
    let mut reasons = Vec::new();
    if !before.comparable {
        reasons.push("the runs of the earlier one were not comparable".to_owned());
    }
    if !now.comparable {
        reasons.push("the runs of this one are not comparable".to_owned());
    }
    if (before.targets, before.bytes) != (now.targets, now.bytes) {
        reasons.push(format!(
            "the workload differs: {} and {} bytes before, {} and {} bytes now",
            counted(before.targets, "URL"),
            before.bytes,
            counted(now.targets, "URL"),
            now.bytes
        ));
    }
    if before.options != now.options {
        let list = |options: &[String]| match options {
            [] => "none".to_owned(),
            options => options.join(" "),
        };
        reasons.push(format!(
            "the options differ: {} before, {} now",
            list(&before.options),
            list(&now.options)
        ));
    }
    if before.timed != now.timed {
        reasons.push("one of them compares whole processes, because of a --command".to_owned());
    }
    if let (Some(before), Some(now)) = (before.cores, now.cores)
        && before != now
    {
        reasons.push(format!("the number of CPU cores differs: {before} before, {now} now"));
    }
    reasons
}

/// What the comparison with an earlier one shows, a sentence each.
pub(crate) fn sentences(earlier: &EarlierComparison) -> Vec<String> {
    let EarlierComparison { file, program, started_at, reasons, contestants } = earlier;
    let mut sentences = vec![format!("Compared with {file} ({program}, {started_at}):")];
    sentences.extend(reasons.iter().map(|reason| format!("Not comparable with {file}: {reason}.")));
    if reasons.is_empty() {
        sentences.extend(contestants.iter().map(|one| sentence(one, contestants.len())));
        sentences.push(
            "The two were not run in turn: a change of the machine, the network or the server in \
             between counts as well."
                .to_owned(),
        );
    }
    sentences
}

fn sentence(one: &BeforeAndNow, pairs: usize) -> String {
    let BeforeAndNow { name, before, now, speed_up, .. } = one;
    let (before, now) = (seconds(*before), seconds(*now));
    if !can_be_significant(one.runs_before, one.runs_now, pairs) {
        let runs = format!("{} runs before and {} now", one.runs_before, one.runs_now);
        return format!(
            "{name}: {before} before, {now} now; {runs} are too few to reach the 5% level."
        );
    }
    let p = p_is(speed_up.deciding_p());
    if !is_significant(speed_up.deciding_p()) {
        return format!("{name}: {before} before, {now} now; no significant difference ({p}).");
    }
    let within = speed_up.interval.map_or(String::new(), |of| format!(", 95% CI {}", interval(of)));
    format!(
        "{name}: {before} before, {now} now; {:.2}x as fast as before{within} ({p}).",
        speed_up.ratio
    )
}
