//! Aggregates a run of any length in bounded memory: keeps its first [`MAX_ROWS`] records as rows, and of all records what
//! charts and totals need. Pure.

use std::iter;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use super::escape::readable_message;
use super::histogram::Histogram;
use super::timeline::Timeline;
use crate::model::{AttemptDetail, FailureClass, Outcome, OutcomeCounts, Record, Summary, Timings};
use crate::units::grouped;

/// Maximum number of rows that are kept.
pub(crate) const MAX_ROWS: usize = 10_000;

/// Maximum number of failures that are kept, wherever they are in the run.
pub(crate) const MAX_FAILURES: usize = 1_000;

/// Maximum number of waits between attempts that are kept for a row.
const MAX_WAITS: usize = 16;

/// Maximum number of characters that are kept of a text.
const MAX_TEXT_CHARACTERS: usize = 2_048;

/// Minimum seconds of a wait; anything shorter is a rounding error.
const MIN_WAIT_SECONDS: f64 = 1e-3;

/// Maximum seconds of a time; a longer one is taken for a mistake.
const MAX_SECONDS: f64 = 1e9;

/// The aggregated data of a run.
#[derive(Debug, Default)]
pub(crate) struct Aggregate {
    /// The first rows.
    pub(crate) rows: Vec<AggregateRow>,
    /// The first failures, without those that were cancelled before their first attempt.
    pub(crate) failures: Vec<AggregateRow>,
    /// All rows by outcome and class.
    pub(crate) counts: OutcomeCounts,
    /// How many URLs were under way, over time.
    pub(crate) under_way: Timeline,
    /// Durations of the URLs, from their first request on.
    pub(crate) totals: Histogram,
    /// When the first URL was put in the queue, in microseconds since 1970.
    pub(crate) began: Option<i64>,
}

/// The data of a record that charts and tables need. Texts are printable, and truncated if they are very long.
#[derive(Debug)]
pub(crate) struct AggregateRow {
    pub(crate) index: u64,
    pub(crate) url: String,
    /// The mirror that served it, if that is another URL.
    pub(crate) mirror: Option<String>,
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
    pub(crate) class: Option<FailureClass>,
    pub(crate) message: Option<String>,
    pub(crate) worker: Option<usize>,
    /// The size of its body; the announced size if only the head was requested.
    pub(crate) bytes: u64,
    pub(crate) attempts: u32,
    /// When its first request was started, in microseconds since 1970.
    pub(crate) started: Option<i64>,
    pub(crate) timings: Timings,
    /// The last attempt, in seconds since `started`.
    pub(crate) last: Range<f64>,
    /// The waits before and after the last attempt, in seconds since `started`; the longest ones if there are many.
    pub(crate) waits: Vec<Range<f64>>,
}

impl Aggregate {
    /// Adds a record.
    pub(crate) fn add(&mut self, record: &Record) {
        self.counts.add(record);
        let timings = sanitize(record.timings);
        let started = record.started_at.and_then(micros_since_1970);
        if let Some(total) = timings.total {
            self.totals.add(total);
        }
        if let (Some(started), Some(total)) = (started, timings.total) {
            let queued = started - micros(timings.queued.unwrap_or_default());
            for attempt in active_spans(record, total) {
                self.under_way.add(started + attempt.start, started + attempt.end);
            }
            self.began = Some(self.began.map_or(queued, |began| began.min(queued)));
        }
        let is_failure = record.error.is_some() && !record.is_not_started();
        if is_failure && self.failures.len() < MAX_FAILURES {
            self.failures.push(AggregateRow::of(record, started, timings));
        }
        if self.rows.len() < MAX_ROWS {
            self.rows.push(AggregateRow::of(record, started, timings));
        }
    }

    /// A warning if the run lacks records that its summary counts.
    pub(crate) fn missing_records(&self, summary: &Summary) -> Option<String> {
        let (present, all) = (self.counts.targets, summary.counts.targets);
        (present < all).then(|| {
            format!(
                "Records are missing: {} of {} are present; URLs, failures and bytes are counted in these only.",
                grouped(present),
                grouped(all)
            )
        })
    }

    /// Number of records that were counted but not kept as rows.
    pub(crate) fn further(&self) -> u64 {
        self.counts.targets - self.rows.len() as u64
    }
}

impl AggregateRow {
    fn of(record: &Record, started: Option<i64>, timings: Timings) -> Self {
        let error = record.error.as_ref();
        let (last, waits) = last_and_waits(record, timings);
        Self {
            index: record.index,
            url: readable_excerpt(&record.url),
            mirror: record.other_mirror().map(readable_excerpt),
            outcome: record.outcome,
            status: record.http_status,
            class: error.map(|error| error.class),
            message: error.map(|error| readable_excerpt(&error.message)),
            worker: record.worker,
            bytes: match record.head {
                Some(_) => record.length.unwrap_or_default(),
                None => record.bytes,
            },
            attempts: record.attempts,
            started,
            timings,
            last,
            waits,
        }
    }
}

/// The last attempt of a record, and the waits before and after it, in seconds since its first request. The time that an
/// attempt waited for redirects is put at its start, since its actual place is not recorded.
fn last_and_waits(record: &Record, timings: Timings) -> (Range<f64>, Vec<Range<f64>>) {
    let total = timings.total.unwrap_or_default();
    let time = |seconds: f64| sanitize_seconds(Some(seconds)).unwrap_or_default().min(total);
    let Some(last) = record.attempts_detail.last() else { return (0.0..total, Vec::new()) };
    let begin = |attempt: &AttemptDetail| time(attempt.start + attempt.redirect_wait);
    let start = begin(last);
    // Attempts at segments run in parallel to the last attempt, which spans the download; so do their waits.
    let before = record.attempts_detail.iter().filter(|attempt| begin(attempt) <= start);
    let before = before.map(|attempt| time(attempt.start - attempt.wait)..begin(attempt));
    let mut waits: Vec<_> =
        before.filter(|wait| wait.end - wait.start > MIN_WAIT_SECONDS).collect();
    let waits_of = |attempt: &AttemptDetail| attempt.wait + attempt.redirect_wait;
    let waited: f64 = record.attempts_detail.iter().map(waits_of).sum();
    let after = timings.retry_wait.unwrap_or_default() - waited;
    let end = match time(last.start + last.total) {
        end if after > MIN_WAIT_SECONDS && end > start => {
            waits.push(end..total);
            end
        }
        _ => total,
    };
    waits.sort_by(|one, other| (other.end - other.start).total_cmp(&(one.end - one.start)));
    waits.truncate(MAX_WAITS);
    waits.sort_by(|one, other| one.start.total_cmp(&other.start));
    (start..end, waits)
}

/// The time since the first request that was not spent in the last attempt, in seconds: waits and earlier attempts.
pub(crate) fn outside_last_attempt(record: &Record, timings: Timings) -> f64 {
    sanitize_seconds(Some(record.outside_last_attempt()))
        .unwrap_or_default()
        .min(timings.total.unwrap_or_default())
}

/// When a URL was under way, in microseconds since its first request: its attempts, without the waits between them.
/// Those that overlap, at segments of one body, are joined: it is one URL.
fn active_spans(record: &Record, total: f64) -> Vec<Range<i64>> {
    let end = micros(total);
    if record.attempts_detail.is_empty() {
        return iter::once(0..end).collect();
    }
    let time = |seconds: f64| micros(sanitize_seconds(Some(seconds)).unwrap_or_default());
    let mut attempts: Vec<_> = record
        .attempts_detail
        .iter()
        .map(|attempt| {
            let start = time(attempt.start);
            let begin = start + time(attempt.redirect_wait.min(attempt.total));
            (begin.min(end), (start + time(attempt.total)).min(end))
        })
        .collect();
    attempts.sort_unstable();
    let mut spans: Vec<Range<i64>> = Vec::with_capacity(attempts.len());
    for (start, end) in attempts {
        match spans.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => spans.push(start..end),
        }
    }
    spans
}

/// The text made printable, with the secrets of URLs redacted, and truncated if it is very long.
fn readable_excerpt(text: &str) -> String {
    let safe = readable_message(text);
    match safe.char_indices().nth(MAX_TEXT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &safe[..end]),
        None => safe.into_owned(),
    }
}

/// Removes impossible timings, since a saved run may contain anything, and rounds the others to the microsecond, as they are
/// saved.
pub(crate) fn sanitize(timings: Timings) -> Timings {
    Timings {
        queued: sanitize_seconds(timings.queued),
        connect: sanitize_seconds(timings.connect),
        first_byte: sanitize_seconds(timings.first_byte),
        total: sanitize_seconds(timings.total),
        retry_wait: sanitize_seconds(timings.retry_wait),
    }
}

fn sanitize_seconds(seconds: Option<f64>) -> Option<f64> {
    let seconds = seconds.filter(|time| (0.0..=MAX_SECONDS).contains(time));
    seconds.map(|time| micros(time) as f64 / 1e6)
}

/// Microseconds since 1970, rounded down to whole milliseconds, as times are saved; `None` if the time is before 1970 or more
/// than a thousand years after it.
pub(crate) fn micros_since_1970(moment: SystemTime) -> Option<i64> {
    let since = i64::try_from(moment.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    since.checked_mul(1000).filter(|since| *since < i64::MAX / 256)
}

/// Seconds as microseconds.
pub(crate) fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, StopCause, test_fixtures};

    #[test]
    fn a_url_is_under_way_during_its_attempts_and_once_during_those_at_its_segments() {
        let detail = |start, total| AttemptDetail { start, total, ..AttemptDetail::default() };
        let table = [
            (vec![], iter::once(0..31_000_000).collect()),
            (vec![detail(0.0, 1.0), detail(30.0, 1.0)], vec![0..1_000_000, 30_000_000..31_000_000]),
            (
                vec![detail(3.0, 1.0), detail(3.5, 1.0), detail(0.0, 31.0)],
                iter::once(0..31_000_000).collect(),
            ),
            (vec![detail(-1.0, f64::MAX), detail(40.0, 1.0)], vec![0..0, 31_000_000..31_000_000]),
        ];
        for (attempts_detail, spans) in table {
            let record = Record { attempts_detail, ..test_fixtures::record("https://a.b/") };
            assert_eq!(active_spans(&record, 31.0), spans);
        }
    }

    #[test]
    fn waits_are_those_before_and_after_the_last_attempt_and_of_many_the_longest() {
        let detail =
            |start, total, wait| AttemptDetail { start, total, wait, ..AttemptDetail::default() };
        let redirected = AttemptDetail { redirect_wait: 5.0, ..detail(11.0, 20.0, 10.0) };
        let many = (0..40).map(|nth| detail(f64::from(nth) * 0.5, 0.1, 0.4 - f64::from(nth) / 1e3));
        let table = [
            (vec![], 0.0, 0.0..31.0, vec![]),
            (vec![detail(0.0, 31.0, 0.0)], 0.0, 0.0..31.0, vec![]),
            (
                vec![detail(0.0, 1.0, 0.0), detail(11.0, 20.0, 10.0)],
                10.0,
                11.0..31.0,
                vec![1.0..11.0],
            ),
            (
                vec![detail(0.0, 1.0, 0.0), detail(11.0, 1.0, 10.0)],
                29.0,
                11.0..12.0,
                vec![1.0..11.0, 12.0..31.0],
            ),
            (vec![detail(0.0, 1.0, 0.0), redirected], 15.0, 16.0..31.0, vec![1.0..16.0]),
            // Attempts at segments, which the last one spans.
            (vec![detail(3.0, 1.0, 2.0), detail(0.0, 31.0, 0.0)], 2.0, 0.0..31.0, vec![]),
        ];
        let timings =
            |wait| Timings { total: Some(31.0), retry_wait: Some(wait), ..Timings::default() };
        for (attempts_detail, wait, last, waits) in table {
            let record = Record { attempts_detail, ..test_fixtures::record("https://a.b/") };
            assert_eq!(last_and_waits(&record, timings(wait)), (last, waits));
        }
        let record =
            Record { attempts_detail: many.collect(), ..test_fixtures::record("https://a.b/") };
        let (_, waits) = last_and_waits(&record, timings(0.0));
        assert_eq!(waits.len(), MAX_WAITS);
        assert!(waits.is_sorted_by(|one, other| one.end <= other.start), "{waits:?}");
    }

    #[test]
    fn failures_are_kept_wherever_they_are_but_those_that_were_never_started() {
        let mut aggregate = Aggregate::default();
        let ok = test_fixtures::record("https://a.b/");
        (0..MAX_ROWS).for_each(|_| aggregate.add(&ok));
        let failed = test_fixtures::record("https://a.b/gone").failed(&Failure::Status(404), 1);
        (0..MAX_FAILURES + 1).for_each(|_| aggregate.add(&failed));
        let cancelled = Failure::Cancelled(StopCause::Interrupted);
        aggregate.add(&test_fixtures::record("https://a.b/late").failed(&cancelled, 0));
        assert_eq!((aggregate.rows.len(), aggregate.failures.len()), (MAX_ROWS, MAX_FAILURES));
        assert!(aggregate.failures.iter().all(|row| row.url.ends_with("gone")));
        assert_eq!(aggregate.counts.not_started, 1);
    }
}
