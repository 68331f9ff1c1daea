//! The findings of a comparison: the verdict, notes on the conditions, and an explanation if the conditions allow one. Pure.

use super::conditions::Conditions;
use super::result::{ModeStats, PairwiseResult, Sample, TimedSpan};
use super::{explanation, verdict};

/// The data that the findings are derived from.
pub(super) struct Evidence<'a> {
    pub samples: &'a [Sample],
    pub contestants: &'a [ModeStats],
    pub pairs: &'a [PairwiseResult],
    /// Why the samples are not comparable.
    pub reasons: &'a [String],
    /// Number of CPU cores of the machine.
    pub cores: Option<usize>,
    /// The time that is compared.
    pub span: TimedSpan,
    /// Whether the limit of a host determined the time of a run.
    pub is_limited: bool,
}

/// The findings, except the notes on host limits.
pub(super) struct Findings {
    pub verdict: String,
    pub notes: Vec<String>,
    pub explanation: Vec<String>,
}

impl Findings {
    pub(super) fn from(evidence: &Evidence<'_>) -> Self {
        let Evidence { samples, contestants, pairs, reasons, cores, span, is_limited } = *evidence;
        let conditions = Conditions { samples, contestants, cores, span, is_limited };
        let runs = samples.len() / contestants.len();
        let shows_differences = verdict::too_few(runs, contestants.len()).is_none()
            && conditions.mostly_retries().is_none();
        let pairs_shown = if shows_differences { pairs } else { &[] };
        Self {
            verdict: verdict::verdict(contestants, pairs, runs, reasons, &conditions),
            notes: conditions.notes(),
            explanation: match reasons.is_empty() {
                true => explanation::explanation(
                    contestants,
                    pairs_shown,
                    conditions.show_where_time_goes(),
                ),
                false => Vec::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
