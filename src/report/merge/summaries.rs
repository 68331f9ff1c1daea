//! Combines the summaries of several runs into one: counts are added up, and values that differ are left out. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{HostStats, OutcomeCounts, Resources, Summary};

/// Maximum number of hosts in a summary.
const MAX_HOSTS: usize = 20;

/// The combination of the summaries added so far.
#[derive(Debug, Default)]
pub(super) struct MergedSummary {
    all: Option<Summary>,
    hosts: BTreeMap<Arc<str>, HostStats>,
    /// When the first run was started, and when the last one ended, in seconds since 1970.
    span: Option<(f64, f64)>,
    /// Whether the span of every run is known.
    is_span_known: bool,
    /// The indexes of the shards, by the number of shards.
    shards: BTreeMap<u32, BTreeSet<u32>>,
    /// Whether there is a run without a summary.
    has_run_without_summary: bool,
}

impl MergedSummary {
    /// Adds the summary of a run; `None` if its report has none.
    pub(super) fn add(&mut self, summary: Option<Summary>) {
        let Some(mut summary) = summary else {
            self.has_run_without_summary = true;
            return;
        };
        for host in std::mem::take(&mut summary.hosts) {
            match self.hosts.get_mut(&host.host) {
                Some(all) => add_host(all, host),
                None => drop(self.hosts.insert(Arc::clone(&host.host), host)),
            }
        }
        let shard = summary.shard.take();
        let shard = shard.as_deref().and_then(|shard| shard.split_once('/'));
        if let Some((Ok(index), Ok(count))) =
            shard.map(|(index, count)| (index.parse(), count.parse()))
        {
            self.shards.entry(count).or_default().insert(index);
        }
        summary.options.retain(|option| !option.starts_with("--shard="));
        let span = span_of(&summary);
        self.is_span_known = span.is_some() && (self.is_span_known || self.all.is_none());
        self.span = match (self.span, span) {
            (Some((begin, end)), Some((other, later))) => Some((begin.min(other), end.max(later))),
            (one, other) => one.or(other),
        };
        match &mut self.all {
            Some(all) => add_run(all, summary),
            None => self.all = Some(summary),
        }
    }

    /// A warning if shards are missing, or if the reports are of different numbers of shards.
    pub(super) fn shard_warning(&self) -> Option<String> {
        let mut all = self.shards.iter();
        let (count, present) = all.next()?;
        if all.next().is_some() {
            return Some("the reports are of different numbers of shards".to_owned());
        }
        let missing = || (0..*count).filter(|index| !present.contains(index));
        let number = missing().count();
        let first: Vec<_> = missing().take(10).map(|index| format!("{index}/{count}")).collect();
        let more = if number > first.len() { ", ..." } else { "" };
        (number > 0).then(|| format!("no report of shard {}{more}", first.join(", ")))
    }

    /// The summary of all runs, with the counts of the merged records; `None` if no report had a summary.
    pub(super) fn finish(self, counts: OutcomeCounts) -> Option<Summary> {
        let is_complete = !self.has_run_without_summary && self.shard_warning().is_none();
        let mut all = self.all?;
        all.list_complete &= is_complete;
        all.read_up_to = all.read_up_to.filter(|_| !all.list_complete);
        all.counts = counts;
        if let (true, Some((begin, end))) = (self.is_span_known, self.span) {
            all.elapsed = (end - begin - all.setup).max(0.0);
        }
        let mut hosts: Vec<_> = self.hosts.into_values().collect();
        hosts.sort_unstable_by(|one, other| {
            other.requests.cmp(&one.requests).then_with(|| one.host.cmp(&other.host))
        });
        hosts.truncate(MAX_HOSTS);
        all.hosts = hosts;
        Some(all)
    }
}

/// When a run was started and when it ended, in seconds since 1970.
fn span_of(summary: &Summary) -> Option<(f64, f64)> {
    let begin = summary.started_at.parse::<Timestamp>().ok()?.as_millisecond() as f64 / 1e3;
    Some((begin, begin + summary.setup + summary.elapsed))
}

fn add_run(all: &mut Summary, run: Summary) {
    all.list_complete &= run.list_complete;
    all.read_up_to = match (all.read_up_to.take(), run.read_up_to) {
        (Some(one), Some(other)) => Some(if other.index < one.index { other } else { one }),
        (one, other) => one.or(other),
    };
    all.saves = all.saves.zip(run.saves).map(|(one, other)| one && other);
    all.elapsed = all.elapsed.max(run.elapsed);
    all.setup = all.setup.max(run.setup);
    all.mode = all.mode.filter(|mode| run.mode == Some(*mode));
    all.jobs += run.jobs;
    all.loops += run.loops;
    all.stopped = all.stopped.take().or(run.stopped);
    add_resources(&mut all.resources, &run.resources);
    if all.program != run.program {
        all.program.clear();
    }
    // RFC 3339 times of equal precision sort as text.
    if run.started_at < all.started_at {
        all.started_at = run.started_at;
    }
    let new = run.sources.into_iter().filter(|source| !all.sources.contains(source));
    let new: Vec<_> = new.collect();
    all.sources.extend(new);
    all.options.retain(|option| run.options.contains(option));
    all.head &= run.head;
}

fn add_resources(all: &mut Resources, run: &Resources) {
    let add = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
    let count = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
    all.cpu_user = add(all.cpu_user, run.cpu_user);
    all.cpu_system = add(all.cpu_system, run.cpu_system);
    all.run_queue_delay = add(all.run_queue_delay, run.run_queue_delay);
    // Each machine has its own memory: keep the highest peak.
    all.peak_memory = all.peak_memory.zip(run.peak_memory).map(|(one, other)| one.max(other));
    all.voluntary_switches = count(all.voluntary_switches, run.voluntary_switches);
    all.involuntary_switches = count(all.involuntary_switches, run.involuntary_switches);
    all.worker_threads += run.worker_threads;
    for (one, other) in [
        (&mut all.requests, run.requests),
        (&mut all.connections, run.connections),
        (&mut all.handshakes, run.handshakes),
        (&mut all.lookups, run.lookups),
    ] {
        *one = one.saturating_add(other);
    }
}

fn add_host(all: &mut HostStats, host: HostStats) {
    all.requests = all.requests.saturating_add(host.requests);
    all.bytes = all.bytes.saturating_add(host.bytes);
    for (class, count) in host.failures {
        *all.failures.entry(class).or_default() += count;
    }
    all.peak = all.peak.max(host.peak);
    all.limit = host.limit;
    for (reason, time) in host.waited {
        let waited = all.waited.entry(reason).or_default();
        *waited = waited.saturating_add(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::test_fixtures::{record, summary};

    fn summary_of_shard(index: u32, started_at: &str) -> Summary {
        Summary {
            shard: Some(format!("{index}/3")),
            started_at: started_at.to_owned(),
            options: vec!["--json".to_owned(), format!("--shard={index}/3")],
            hosts: vec![HostStats { requests: 5, ..HostStats::of(&Arc::from("http://a.b")) }],
            ..summary(&[record("http://a.b/")])
        }
    }

    #[test]
    fn what_can_be_added_is_and_the_time_is_that_from_the_first_start_to_the_last_end() {
        let mut merged = MergedSummary::default();
        merged.add(Some(summary_of_shard(1, "2026-01-01T00:00:10.000Z")));
        merged.add(Some(summary_of_shard(0, "2026-01-01T00:00:00.000Z")));
        assert_eq!(merged.shard_warning().unwrap(), "no report of shard 2/3");
        merged.add(Some(summary_of_shard(2, "2026-01-01T00:00:05.000Z")));
        assert_eq!(merged.shard_warning(), None);
        let all = merged.finish(OutcomeCounts::default()).unwrap();
        assert_eq!((all.jobs, all.loops, all.list_complete), (15, 15, true));
        assert_eq!(all.started_at, "2026-01-01T00:00:00.000Z");
        assert!((all.elapsed - 11.61).abs() < 1e-6, "{}", all.elapsed);
        assert_eq!((all.options, all.shard), (vec!["--json".to_owned()], None));
        assert_eq!((all.hosts.len(), all.hosts[0].requests), (1, 15));
    }

    #[test]
    fn a_report_without_a_summary_or_a_missing_shard_leaves_the_list_incomplete() {
        let mut merged = MergedSummary::default();
        merged.add(Some(summary(&[])));
        merged.add(None);
        assert!(!merged.finish(OutcomeCounts::default()).unwrap().list_complete);
        let mut merged = MergedSummary::default();
        merged.add(Some(summary_of_shard(0, "2026-01-01T00:00:00.000Z")));
        assert!(!merged.finish(OutcomeCounts::default()).unwrap().list_complete);
        assert!(MergedSummary::default().finish(OutcomeCounts::default()).is_none());
    }
}
