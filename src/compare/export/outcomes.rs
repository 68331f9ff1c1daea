//! Describes the outcomes of each run's URLs in sentences. Pure.

use std::collections::BTreeMap;

use crate::compare::result::{Comparison, ModeStats, Sample};
use crate::report::printable;

/// One sentence if all runs with known outcomes had the same ones, else one for each contestant. None for a comparison of an
/// older version, which has no number of failures.
pub(super) fn sentences(comparison: &Comparison) -> Vec<String> {
    let Comparison { contestants, samples, .. } = comparison;
    let of = |place: usize| {
        let of = samples.iter().filter(move |sample| sample.contestant == place);
        outcomes_of(&of.collect::<Vec<_>>())
    };
    let outcomes: Vec<_> = (0..contestants.len()).map(of).collect();
    let mut known = outcomes.iter().flatten();
    let Some(first) = known.next() else { return Vec::new() };
    if known.all(|other| other == first) && !first.contains('-') {
        let runs = match outcomes.iter().all(Option::is_some) {
            true => "Every run".to_owned(),
            false => format!("Every run of {}", known_names(contestants, &outcomes)),
        };
        return vec![format!("{runs}: {first}.")];
    }
    let named = contestants.iter().zip(outcomes);
    named.filter_map(|(one, outcomes)| Some(format!("{}: {}.", one.name(), outcomes?))).collect()
}

/// The names of the contestants whose outcomes are known.
fn known_names(contestants: &[ModeStats], outcomes: &[Option<String>]) -> String {
    let known = contestants.iter().zip(outcomes).filter(|(_, outcomes)| outcomes.is_some());
    let names: Vec<_> = known.map(|(one, _)| one.name()).collect();
    match &names[..] {
        [few @ .., last] if !few.is_empty() => format!("{} and {last}", few.join(", ")),
        names => names.concat(),
    }
}

/// The outcomes of the runs of a contestant; `None` if they are not known.
fn outcomes_of(samples: &[&Sample]) -> Option<String> {
    let ok = range(samples, |sample| sample.ok)?;
    let failed = range(samples, |sample| sample.failed)?;
    let mut text = format!("{ok} ok");
    if failed != "0" {
        text += &format!(", {failed} failed");
        let kinds = failures_by_kind(samples);
        if !kinds.is_empty() {
            text += &format!(" ({kinds})");
        }
    }
    match range(samples, |sample| sample.retried) {
        Some(retried) if retried != "0" => text += &format!(", {retried} retried"),
        _ => {}
    }
    Some(text)
}

/// The failures by kind, each with its highest count in a single run.
fn failures_by_kind(samples: &[&Sample]) -> String {
    let mut most = BTreeMap::<&str, u64>::new();
    for (kind, count) in samples.iter().flat_map(|sample| &sample.failures) {
        let most = most.entry(kind).or_default();
        *most = (*most).max(*count);
    }
    let mut kinds: Vec<_> = most.into_iter().collect();
    kinds.sort_unstable_by_key(|(kind, count)| (u64::MAX - count, *kind));
    let named = kinds.into_iter().map(|(kind, count)| {
        let is_status = kind.bytes().all(|byte| byte.is_ascii_digit());
        let kind = printable(kind);
        if is_status { format!("{count} x HTTP {kind}") } else { format!("{count} x {kind}") }
    });
    named.collect::<Vec<_>>().join(", ")
}

/// A count, or a range if the runs differ; `None` if the count of a run is not known.
fn range(samples: &[&Sample], count: impl Fn(&Sample) -> Option<u64>) -> Option<String> {
    let counts = samples.iter().map(|sample| count(sample)).collect::<Option<Vec<u64>>>()?;
    let (least, most) = (counts.iter().min()?, counts.iter().max()?);
    Some(if least == most { most.to_string() } else { format!("{least}-{most}") })
}
