//! What makes samples unfit to be compared, and what bounds all of them alike. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::consistency::ConsistencyCheck;
use super::sample::MeasuredSample;
use crate::compare::result::Sample;
use crate::model::WaitReason;
use crate::report::printable;

/// The first sample met a cold server if its replies took this many times longer to begin than later ones.
const COLD: f64 = 2.0;

/// And by at least so many seconds: less is noise.
const COLD_AT_LEAST: f64 = 0.02;

/// A host that holds the run up for this share of the time bounds it.
const BOUND: f64 = 0.5;

/// What was seen in the samples, warm-ups included.
#[derive(Default)]
pub(super) struct ValidityChecks {
    rate_limited: Vec<String>,
    stopped: Option<(String, String)>,
    unasked: u64,
    bound: BTreeMap<(Arc<str>, WaitReason), LimitedShare>,
}

/// How a host held runs up.
struct LimitedShare {
    runs: usize,
    peak: usize,
    least: f64,
    most: f64,
}

impl ValidityChecks {
    pub(super) fn look_at(&mut self, taken: &MeasuredSample) {
        let sample = &taken.sample;
        if taken.rate_limited && !self.rate_limited.contains(&sample.mode) {
            self.rate_limited.push(sample.mode.clone());
        }
        if let Some(cause) = &taken.stopped {
            self.stopped.get_or_insert_with(|| (sample.mode.clone(), cause.clone()));
        }
        self.unasked += taken.unasked;
        for host in &taken.hosts {
            for (reason, waited) in &host.waited {
                let share = waited.as_secs_f64() / sample.wall;
                if share < BOUND || !matches!(reason, WaitReason::Limit | WaitReason::Gap) {
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

    /// Why the samples are not comparable, a sentence each; before them came so many to warm up.
    pub(super) fn reasons(
        &self,
        samples: &[Sample],
        likeness: &ConsistencyCheck,
        warmup: usize,
    ) -> Vec<String> {
        let mut reasons = likeness.differences().to_vec();
        if !self.rate_limited.is_empty() {
            let modes = self.rate_limited.join(", ");
            reasons.push(format!(
                "a server asked for less (429) in {modes}: what was measured is its patience"
            ));
        }
        if let Some((mode, cause)) = &self.stopped {
            reasons.push(format!("a run ended early ({mode}): {}", printable(cause)));
        }
        if self.unasked > 0 {
            reasons.push("some URLs were not fetched, for they are listed twice".to_owned());
        }
        let Some(first) = samples.first() else { return reasons };
        if samples.iter().any(|sample| sample.targets != first.targets) {
            reasons.push("runs differ in how many URLs they have rows for".to_owned());
        }
        if samples.iter().all(|sample| sample.ok == 0) {
            reasons.push("not one URL was fetched".to_owned());
        }
        if warmup == 0 {
            reasons.extend(one_was_cold(samples));
        }
        reasons
    }

    /// What binds all modes alike, a sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        let note = |((host, reason), bound): (&(Arc<str>, WaitReason), &LimitedShare)| {
            let host = printable(host);
            let share = share(bound.least, bound.most);
            match reason {
                WaitReason::Limit => format!(
                    "{host} is asked at most {} at a time (--per-host): in {} runs a free worker \
                     waited for that for {share} of the time, so the limit bounds it rather than \
                     the mode",
                    bound.peak, bound.runs
                ),
                _ => format!(
                    "{host} is asked with a pause in between: in {} runs a free worker waited for \
                     that for {share} of the time, so the pause bounds it rather than the mode",
                    bound.runs
                ),
            }
        };
        self.bound.iter().map(note).collect()
    }
}

fn share(least: f64, most: f64) -> String {
    let (least, most) = ((least * 100.0).min(100.0), (most * 100.0).min(100.0));
    match (format!("{least:.0}"), format!("{most:.0}")) {
        (least, most) if least == most => format!("{most} %"),
        (least, most) => format!("{least} to {most} %"),
    }
}

/// Whoever came first met a server that had yet to warm up, and others did not.
fn one_was_cold(samples: &[Sample]) -> Option<String> {
    let (first, later) = samples.split_first()?;
    let later = later.iter().filter(|sample| sample.contestant == first.contestant);
    let longest = later.filter_map(|sample| sample.first_byte.p50).reduce(f64::max)?;
    let time = first.first_byte.p50?;
    if time < longest * COLD || time < longest + COLD_AT_LEAST {
        return None;
    }
    Some(format!(
        "the first run of all, in mode {}, met a cold server and later ones a warm one: half of \
         its replies took longer than {time:.3} s to begin, later never longer than {longest:.3} \
         s; use --warmup 1 or more",
        first.mode
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::result::LatencyQuantiles;

    /// Runs in the order in which they were taken: whose, and when half of the replies had begun.
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
    fn a_mode_that_came_first_to_a_cold_server_is_told_of() {
        let told = one_was_cold(&runs(&[(1, 0.3), (0, 0.1), (0, 0.1), (1, 0.12)])).unwrap();
        assert!(told.starts_with("the first run of all, in mode threads, met a cold"), "{told}");
        assert!(told.contains("longer than 0.300 s to begin, later never longer than 0.120 s"));
    }

    #[test]
    fn a_mode_that_is_slow_every_time_or_by_a_hair_is_not_cold() {
        assert_eq!(one_was_cold(&runs(&[(1, 0.3), (0, 0.1), (0, 0.1), (1, 0.28)])), None);
        assert_eq!(one_was_cold(&runs(&[(1, 0.004), (0, 0.001), (1, 0.001)])), None);
        assert_eq!(one_was_cold(&runs(&[(0, 0.1), (1, 0.3), (0, 0.1), (1, 0.1)])), None);
        assert_eq!(one_was_cold(&[]), None);
    }

    #[test]
    fn shares_are_told_from_the_least_to_the_most() {
        assert_eq!(
            (share(0.5, 0.734), share(0.9, 1.2)),
            ("50 to 73 %".into(), "90 to 100 %".into())
        );
        assert_eq!(share(0.7, 0.7), "70 %");
    }
}
