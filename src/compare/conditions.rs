//! The conditions under which samples were taken, as far as they limit what the samples can show: retries, a busy machine,
//! limits of hosts, one URL that takes the whole time. Pure.

use super::result::{ModeStats, Sample, TimedSpan};
use crate::compare::export::percent_range;
use crate::report::readable_url;
use crate::text::counted;

/// Share of the time that workers wait for a processor, above which the machine is reported as busy.
pub(super) const MAX_CPU_WAIT: f64 = 0.05;

/// Share of the wall time from which on one URL determines it.
const ONE_URL_SHARE: f64 = 0.8;

/// The URL must also take this many times as long as the median URL.
const ONE_URL_FACTOR: f64 = 3.0;

/// Share of the time from which on waits between attempts leave nothing to compare.
const MOSTLY_RETRIES: f64 = 0.25;

/// Share of all cores from which on other processes that use them are reported as the cause.
const OTHER_LOAD: f64 = 0.1;

/// The conditions of a comparison.
pub(super) struct Conditions<'a> {
    pub samples: &'a [Sample],
    pub contestants: &'a [ModeStats],
    /// Number of CPU cores of the machine, if it is known.
    pub cores: Option<usize>,
    /// The time that is compared.
    pub span: TimedSpan,
    /// Whether the limit of a host determined the time of a run.
    pub is_limited: bool,
}

impl Conditions<'_> {
    /// Sentences on the conditions.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        notes.extend(self.retries());
        notes.extend(self.busy_machine());
        notes.extend(self.busy_server());
        notes.extend(self.one_url());
        let causes = self.causes();
        if !causes.is_empty() {
            notes.push(format!(
                "the shares of waiting and receiving are not explained, because {}",
                causes.join(", and ")
            ));
        }
        notes
    }

    /// Whether the shares of waiting and receiving show what determines the time.
    pub(super) fn show_where_time_goes(&self) -> bool {
        self.causes().is_empty()
    }

    /// Whether workers or the local server waited too long for a processor.
    pub(super) fn is_busy(&self) -> bool {
        self.busy_machine().is_some() || self.busy_server().is_some()
    }

    /// Why the samples show no difference between contestants, if waits between attempts took most of the time.
    pub(super) fn mostly_retries(&self) -> Option<String> {
        let shares = self.contestants.iter().filter_map(|one| one.retry_wait);
        let (least, most) = range(shares)?;
        (most >= MOSTLY_RETRIES).then(|| {
            format!(
                "waits between attempts at one URL took {} of the time",
                percent_range(least, most)
            )
        })
    }

    fn causes(&self) -> Vec<&'static str> {
        let causes = [
            (self.retried() > 0, "URLs were retried"),
            (self.is_busy(), "the machine was busy"),
            (self.is_limited, "a limit determined the time"),
            (self.one_url().is_some(), "one URL determined the time"),
        ];
        causes.into_iter().filter(|(applies, _)| *applies).map(|(_, cause)| cause).collect()
    }

    /// Number of samples in which a URL was retried.
    fn retried(&self) -> usize {
        self.samples.iter().filter(|sample| sample.retried.unwrap_or(0) > 0).count()
    }

    fn retries(&self) -> Option<String> {
        let retried = self.samples.iter().filter(|sample| sample.retried.unwrap_or(0) > 0);
        let (least, most) = range(retried.filter_map(|sample| sample.retry_share(self.span)))?;
        Some(format!(
            "waits between attempts at one URL took {} of the wall time in {}; fix or remove the \
             failing URLs, or use --retry 0",
            percent_range(least, most),
            counted(self.retried() as u64, "run")
        ))
    }

    fn busy_machine(&self) -> Option<String> {
        let busy = |one: &&ModeStats| one.cpu_wait.is_some_and(|share| share > MAX_CPU_WAIT);
        let busy: Vec<&ModeStats> = self.contestants.iter().filter(busy).collect();
        let (least, most) = range(busy.iter().filter_map(|one| one.cpu_wait))?;
        let names: Vec<_> = busy.iter().map(|one| one.name()).collect();
        let mut note = format!(
            "the machine was busy: workers waited {} of their time for a processor ({})",
            percent_range(least, most),
            names.join(", ")
        );
        if let (Some(cores), Some((_, others))) =
            (self.cores, range(self.samples.iter().filter_map(|sample| sample.other_load)))
        {
            note += &match others {
                others if others >= OTHER_LOAD * cores as f64 => {
                    format!(
                        "; other processes, servers on it included, used up to {others:.1} of its {cores} cores"
                    )
                }
                _ => format!("; the runs themselves used its {cores} cores"),
            };
        }
        Some(note)
    }

    fn busy_server(&self) -> Option<String> {
        let shares = self.samples.iter().filter_map(|sample| sample.server_wait);
        let (least, most) = range(shares.filter(|share| *share > MAX_CPU_WAIT))?;
        Some(format!(
            "the local server waited {} of the time for a processor, so responses came later than \
             the network would bring them",
            percent_range(least, most)
        ))
    }

    /// A sentence if one URL took nearly all of the time of every run of a contestant.
    fn one_url(&self) -> Option<String> {
        if self.mostly_retries().is_some() {
            return None;
        }
        let dominated = |contestant: &usize| {
            let mut of = self.samples.iter().filter(|sample| sample.contestant == *contestant);
            of.all(|sample| share_of_one_url(sample, self.span).is_some())
        };
        let contestants: Vec<usize> = (0..self.contestants.len()).filter(dominated).collect();
        let of = |sample: &&Sample| contestants.contains(&sample.contestant);
        let samples: Vec<&Sample> = self.samples.iter().filter(of).collect();
        let shares = samples.iter().filter_map(|sample| share_of_one_url(sample, self.span));
        let (least, most) = range(shares)?;
        let names: Vec<_> = contestants.iter().map(|one| self.contestants[*one].name()).collect();
        let url = samples.iter().find_map(|sample| sample.longest_url.as_deref())?;
        Some(format!(
            "one URL takes {} of the wall time ({}), which more jobs cannot shorten: {}",
            percent_range(least, most),
            names.join(", "),
            readable_url(url)
        ))
    }
}

/// The share of the compared time that the slowest URL took, if this URL determined the time.
fn share_of_one_url(sample: &Sample, span: TimedSpan) -> Option<f64> {
    let time = sample.timed(span);
    let (longest, median) = (sample.longest?, sample.total.p50?);
    let determines = sample.targets? > 1
        && longest >= ONE_URL_SHARE * time
        && longest >= ONE_URL_FACTOR * median;
    determines.then_some(longest / time)
}

/// The least and the greatest of some values; `None` if there are none.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((least, most)) => Some((least.min(value), most.max(value))),
    })
}
