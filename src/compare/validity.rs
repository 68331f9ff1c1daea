//! Checks whether samples can be compared, and which host limits determined their times. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::conditions;
use super::consistency::ConsistencyCheck;
use super::sample::MeasuredSample;
use crate::compare::export::percent_range;
use crate::compare::result::Sample;
use crate::model::WaitReason;
use crate::report::printable;
use crate::text::counted;

/// The first sample met a cold server if its time to first byte was this many times that of later ones.
const COLD_FACTOR: f64 = 2.0;

/// It must also be longer by this number of seconds; less is noise.
const MIN_COLD_SECONDS: f64 = 0.02;

/// A host limit determines the time of a run if workers waited for it for this share of the time.
const MIN_IDLE_SHARE: f64 = 0.5;

/// Facts about all samples, including warm-ups; the limits are only those of measured samples.
#[derive(Default)]
pub(super) struct ValidityChecks {
    rate_limited: Vec<String>,
    stopped: Option<(String, String)>,
    failed_commands: Vec<String>,
    unasked: u64,
    bound: BTreeMap<(Arc<str>, WaitReason), LimitedShare>,
}

/// How long a limit of a host delayed runs.
struct LimitedShare {
    runs: usize,
    peak: usize,
    least: f64,
    most: f64,
}

impl ValidityChecks {
    /// Adds the facts about a sample.
    pub(super) fn add(&mut self, measured: &MeasuredSample) {
        let sample = &measured.sample;
        if measured.rate_limited && !self.rate_limited.contains(&sample.mode) {
            self.rate_limited.push(sample.mode.clone());
        }
        if let Some(cause) = &measured.stopped {
            self.stopped.get_or_insert_with(|| (sample.mode.clone(), cause.clone()));
        }
        if let Some(failure) = &measured.failed_command
            && !self.failed_commands.contains(failure)
        {
            self.failed_commands.push(failure.clone());
        }
        self.unasked += measured.unasked;
        if sample.block > 0 {
            self.add_limits(measured);
        }
    }

    fn add_limits(&mut self, measured: &MeasuredSample) {
        for host in &measured.hosts {
            for (reason, waited) in &host.waited {
                // A limit that is no lower than the number of workers holds none of them back.
                let can_bind = match reason {
                    WaitReason::Limit => measured.workers > host.peak,
                    WaitReason::Gap => true,
                    _ => false,
                };
                let share = idle_share(measured, waited.as_secs_f64());
                if share < MIN_IDLE_SHARE || !can_bind {
                    continue;
                }
                let bound = LimitedShare { runs: 0, peak: 0, least: share, most: share };
                let key = (Arc::clone(&host.host), *reason);
                let bound = self.bound.entry(key).or_insert(bound);
                bound.runs += 1;
                bound.peak = bound.peak.max(host.peak);
                bound.least = bound.least.min(share);
                bound.most = bound.most.max(share);
            }
        }
    }

    /// Why the samples are not comparable, a sentence each. `warmup`: number of warm-up runs before them.
    pub(super) fn reasons(
        &self,
        samples: &[Sample],
        consistency: &ConsistencyCheck,
        warmup: usize,
    ) -> Vec<String> {
        let mut reasons = consistency.differences().to_vec();
        if !self.rate_limited.is_empty() {
            let modes = self.rate_limited.join(", ");
            reasons.push(format!("a server rate-limited {modes} (HTTP 429)"));
        }
        if let Some((mode, cause)) = &self.stopped {
            reasons.push(format!("a run ended early ({mode}): {}", printable(cause)));
        }
        if self.unasked > 0 {
            reasons.push("duplicate URLs in the list were fetched only once".to_owned());
        }
        reasons.extend_from_slice(&self.failed_commands);
        // The number of targets of a command is not known.
        let targets: BTreeSet<u64> = samples.iter().filter_map(|sample| sample.targets).collect();
        if targets.len() > 1 {
            reasons.push("runs returned different numbers of results".to_owned());
        }
        let mut ok = samples.iter().filter_map(|sample| sample.ok).peekable();
        if targets.contains(&0) {
            reasons.push("there are no URLs in the input".to_owned());
        } else if ok.peek().is_some() && ok.all(|ok| ok == 0) {
            reasons.push("no URL was fetched".to_owned());
        }
        if warmup == 0 {
            reasons.extend(cold_start(samples));
        }
        reasons
    }

    /// Whether the limit of a host determined the time of a run.
    pub(super) fn is_limited(&self) -> bool {
        !self.bound.is_empty()
    }

    /// The limits that determined the times, a sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        let note = |((host, reason), bound): (&(Arc<str>, WaitReason), &LimitedShare)| {
            let host = printable(host);
            let share = percent_range(bound.least, bound.most);
            let runs = counted(bound.runs as u64, "run");
            match reason {
                WaitReason::Limit => format!(
                    "limited by --per-host {} for {host}: workers sat idle {share} of the time in \
                     {runs}, so the limit, not the mode, determines the time",
                    bound.peak
                ),
                _ => format!(
                    "limited by the delay between requests to {host}: workers sat idle {share} of \
                     the time in {runs}, so the delay, not the mode, determines the time"
                ),
            }
        };
        self.bound.iter().map(note).collect()
    }
}

/// The share of the time for which a host held back its next request while a worker had no URL. `waited`: seconds for which
/// it held one back, whether or not a worker was free.
fn idle_share(measured: &MeasuredSample, waited: f64) -> f64 {
    let sample = &measured.sample;
    let workers = measured.workers as f64;
    let busy = sample.waiting.zip(sample.transfer).map(|(waiting, transfer)| waiting + transfer);
    let idle = busy.map_or(waited, |busy| (sample.wall * workers - busy).max(0.0));
    waited.min(idle) / sample.wall
}

/// A sentence if the server was cold for the first sample only.
fn cold_start(samples: &[Sample]) -> Option<String> {
    let (first, later) = samples.split_first()?;
    let later = later.iter().filter(|sample| sample.contestant == first.contestant);
    let longest = later.filter_map(|sample| sample.first_byte.p50).reduce(f64::max)?;
    let time = first.first_byte.p50?;
    // A run that waited for a processor read its replies late, however fast the server was.
    if first.cpu_wait().is_some_and(|share| share > conditions::MAX_CPU_WAIT) {
        return None;
    }
    if time < longest * COLD_FACTOR || time < longest + MIN_COLD_SECONDS {
        return None;
    }
    Some(format!(
        "the first run ({}) met a cold server: its median time to first byte was {time:.3} s, that \
         of later runs at most {longest:.3} s; use --warmup 1 or more",
        first.mode
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::compare::result::LatencyQuantiles;
    use crate::model::HostStats;

    /// A run of one second that waited 0.7 s for the limit of a host, with at most one request at a time.
    fn limited_run(block: usize, workers: usize, reason: WaitReason, busy: f64) -> MeasuredSample {
        let sample = Sample {
            block,
            wall: 1.0,
            waiting: Some(busy),
            transfer: Some(0.0),
            ..Sample::default()
        };
        let mut host = HostStats::of(&Arc::from("http://a.b"));
        (host.peak, host.waited) = (1, [(reason, Duration::from_millis(700))].into());
        MeasuredSample {
            sample,
            stopped: None,
            unasked: 0,
            rate_limited: false,
            workers,
            hosts: vec![host],
            failed_command: None,
        }
    }

    #[test]
    fn a_limit_is_reported_where_it_holds_workers_back_in_measured_runs() {
        use WaitReason::{Gap, Limit};
        // Workers, what the host waited for, how long workers had URLs, and whether the limit bound them.
        let table = [
            (3, Limit, 0.97, true),
            (2, Limit, 0.97, true),
            (1, Limit, 0.97, false),
            (1, Limit, 0.2, false),
            (1, Gap, 0.2, true),
            (1, Gap, 0.97, false),
            (4, Gap, 3.9, false),
            (4, Gap, 1.0, true),
            (3, WaitReason::Lookup, 0.97, false),
        ];
        for (workers, reason, busy, binds) in table {
            let mut checks = ValidityChecks::default();
            for block in 0..=4 {
                checks.add(&limited_run(block, workers, reason, busy));
            }
            let notes = checks.notes().join("\n");
            let said = notes.contains("workers sat idle 70% of the time in 4 runs");
            assert_eq!((said, checks.is_limited()), (binds, binds), "{workers} {reason}: {notes}");
        }
    }

    /// Runs in the order in which they were taken: the contestant, and its median time to first byte.
    fn runs(of: &[(usize, f64)]) -> Vec<Sample> {
        let sample = |(contestant, time): &(usize, f64)| Sample {
            contestant: *contestant,
            mode: ["sequential", "threads"][*contestant].to_owned(),
            first_byte: LatencyQuantiles { p50: Some(*time), ..LatencyQuantiles::default() },
            ..Sample::default()
        };
        of.iter().map(sample).collect()
    }

    #[test]
    fn a_first_run_on_a_cold_server_is_reported() {
        let said = cold_start(&runs(&[(1, 0.3), (0, 0.1), (0, 0.1), (1, 0.12)])).unwrap();
        assert!(said.starts_with("the first run (threads) met a cold server"), "{said}");
        assert!(said.contains("was 0.300 s, that of later runs at most 0.120 s"));
    }

    #[test]
    fn a_mode_that_is_slow_every_time_or_by_a_hair_is_not_cold() {
        assert_eq!(cold_start(&runs(&[(1, 0.3), (0, 0.1), (0, 0.1), (1, 0.28)])), None);
        assert_eq!(cold_start(&runs(&[(1, 0.004), (0, 0.001), (1, 0.001)])), None);
        assert_eq!(cold_start(&runs(&[(0, 0.1), (1, 0.3), (0, 0.1), (1, 0.1)])), None);
        assert_eq!(cold_start(&[]), None);
        let mut runs = runs(&[(1, 0.3), (0, 0.1), (0, 0.1), (1, 0.12)]);
        (runs[0].wall, runs[0].worker_threads, runs[0].run_queue_delay) = (1.0, Some(1), Some(0.2));
        assert_eq!(cold_start(&runs), None, "the machine was busy");
    }
}
