//! One frame of the progress display: counts, transfers and waits as lines that fit a width. Pure: time is an argument.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use console::measure_text_width;

use super::super::escape::readable_url;
use super::super::text::TextStyle;
use crate::model::{Event, Failure, HostWait, ProgressBoard, WaitReason, WorkerProgress, host_of};
use crate::units::human_bytes;

/// Maximum number of transfers shown.
const MAX_TRANSFERS: usize = 8;
/// Maximum number of waits shown.
const MAX_WAITS: usize = 4;
/// The time over which the rate is averaged.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// The width of the bar, ends included.
const BAR_COLUMNS: std::ops::RangeInclusive<usize> = 12..=32;
/// With fewer columns, transfers are shown as URLs without figures, and waits not at all.
const NARROW: usize = 10;
/// Separates the facts in a line.
const GAP: &str = "  ";

/// The counts so far.
#[derive(Debug, Default)]
pub(super) struct ProgressCounts {
    /// Settled targets.
    done: u64,
    /// Settled targets that failed.
    failed: u64,
    /// All targets; `None` until the list has been read.
    total: Option<u64>,
    /// Body bytes of settled targets.
    settled_bytes: u64,
    /// Body bytes shown last: a transfer leaves the board before its record arrives, and they must not fall.
    shown_bytes: u64,
    /// Recent values of `shown_bytes`.
    samples: VecDeque<(Instant, u64)>,
    /// When the first sample was taken.
    started: Option<Instant>,
    /// Whether a signal has stopped the run.
    is_stopping: bool,
    /// Retries that have been scheduled since the last sample, with their waits.
    scheduled: Vec<(Duration, RetryReason)>,
    /// Retries that are not due yet.
    retries: Vec<(Instant, RetryReason)>,
}

/// Why a target is tried again.
#[derive(Debug, Clone)]
struct RetryReason {
    /// The host of its next request.
    host: String,
    /// Why the last attempt failed.
    failure: String,
    /// The status that it failed with, if it did.
    status: Option<u16>,
}

impl ProgressCounts {
    /// Counts an event.
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Finished { record, .. } => {
                self.done += 1;
                self.failed += u64::from(record.error.is_some());
                self.settled_bytes += record.wire_bytes;
            }
            Event::ListRead { entries } => self.total = Some(*entries),
            Event::Retrying { failure, next, wait, .. } if !wait.is_zero() => {
                self.scheduled.push((*wait, RetryReason::new(failure, next)));
            }
            Event::Retrying { .. }
            | Event::Heads(_)
            | Event::Redirected { .. }
            | Event::Notice(_)
            | Event::OtherShards(_) => {}
            Event::Stopping { .. } => self.is_stopping = true,
        }
    }

    /// Notes the bytes and the retries at this moment. `in_flight`: body bytes of the transfers in progress.
    fn sample(&mut self, in_flight: u64, now: Instant) {
        self.started.get_or_insert(now);
        self.shown_bytes = self.shown_bytes.max(self.settled_bytes + in_flight);
        self.samples.push_back((now, self.shown_bytes));
        while self.samples.len() > 2 && now - self.samples[1].0 >= RATE_WINDOW {
            self.samples.pop_front();
        }
        let scheduled = self.scheduled.drain(..).map(|(wait, reason)| (now + wait, reason));
        self.retries.extend(scheduled);
        self.retries.retain(|(due, _)| *due > now);
    }

    /// Recent bytes per second; `None` before there are samples of two moments.
    fn rate(&self) -> Option<u64> {
        let ((then, before), (now, after)) = (self.samples.front()?, self.samples.back()?);
        let seconds = (*now - *then).as_secs_f64();
        (seconds > 0.0).then(|| ((after - before) as f64 / seconds) as u64)
    }

    /// The estimated time for the remaining targets at the mean pace so far; `None` if it is not known.
    fn time_left(&self, now: Instant) -> Option<Duration> {
        let left = self.total?.checked_sub(self.done).filter(|left| *left > 0)?;
        if self.done == 0 {
            return None;
        }
        let seconds = (now - self.started?).as_secs_f64() * left as f64 / self.done as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Body bytes of the whole run; known only if every remaining target is in progress and its length is known.
    fn all_bytes(&self, board: &ProgressBoard) -> Option<u64> {
        let left = usize::try_from(self.total?.checked_sub(self.done)?).ok()?;
        let busy = || board.iter().filter(|worker| worker.is_busy());
        if left == 0 || busy().count() != left {
            return None;
        }
        let urls: BTreeSet<_> = busy().filter_map(WorkerProgress::url).collect();
        let promised: u64 = busy().map(WorkerProgress::promised).sum::<Option<u64>>()?;
        // Segments of one file do not add up to it.
        (urls.len() == left).then(|| self.settled_bytes.saturating_add(promised))
    }

    /// The lines about waits: one for each waiting host, then one for the retries at other hosts. Empty once the run is
    /// stopped.
    fn waits(&self, board: &ProgressBoard, now: Instant) -> Vec<WaitLine> {
        if self.is_stopping {
            return Vec::new();
        }
        let hosts = board.waits();
        let status = |host: &str| {
            let retries = self.retries.iter().rev();
            retries.map(|(_, reason)| reason).find(|reason| reason.host == host)?.status
        };
        let mut waits: Vec<_> = hosts.iter().map(|wait| host_wait(wait, status, now)).collect();
        let is_elsewhere =
            |reason: &RetryReason| hosts.iter().all(|wait| *wait.host != reason.host);
        let retries = self.retries.iter().filter(|(_, reason)| is_elsewhere(reason));
        if let Some((due, reason)) = retries.clone().min_by_key(|(due, _)| *due) {
            let (count, wait) = (retries.count(), seconds_until(*due, now));
            let failure = &reason.failure;
            let what = format!("next retry in {wait} s ({failure})");
            waits.push(WaitLine { jobs: count as u64, name: String::new(), what });
        }
        waits
    }
}

impl RetryReason {
    fn new(failure: &Failure, next: &str) -> Self {
        let status = match failure {
            Failure::Status(status) | Failure::RateLimited { status, .. } => Some(*status),
            _ => None,
        };
        let failure = status.map_or_else(|| failure.to_string(), |status| format!("HTTP {status}"));
        let host = next.parse().map(|url| host_of(&url).into_owned()).unwrap_or_default();
        Self { host, failure, status }
    }
}

/// The line about a waiting host. `status` returns the status of the last failed attempt at a host.
fn host_wait(wait: &HostWait, status: impl Fn(&str) -> Option<u16>, now: Instant) -> WaitLine {
    let HostWait { host, reason, until, jobs } = wait;
    let until = until.map(|moment| seconds_until(moment, now));
    let name = host.split_once("://").map_or(&**host, |(_, name)| name);
    let what = match (reason, until) {
        (WaitReason::RetryAfter, Some(seconds)) => match status(host) {
            Some(status) => format!("asked to wait {seconds} s ({status})"),
            None => format!("asked to wait {seconds} s"),
        },
        (WaitReason::Unreachable, Some(seconds)) => {
            format!("unreachable, giving up in {seconds} s")
        }
        (WaitReason::Lookup, _) => "waits for its DNS lookup".to_owned(),
        (WaitReason::Robots, _) => "waits for its robots.txt".to_owned(),
        (_, Some(seconds)) => format!("next request in {seconds} s"),
        (_, None) => "waits".to_owned(),
    };
    WaitLine { jobs: *jobs, name: name.to_owned(), what }
}

/// A line about jobs that wait.
#[derive(Debug)]
struct WaitLine {
    jobs: u64,
    /// The host without its scheme; empty if the line is not about one host.
    name: String,
    /// What they wait for.
    what: String,
}

impl WaitLine {
    /// The line in at most `width` columns. The host's name is shortened first.
    fn line(&self, width: usize) -> String {
        let start = format!("  {} waiting: ", self.jobs);
        let fixed = measure_text_width(&start) + measure_text_width(&self.what) + 1;
        let name = match width.saturating_sub(fixed) {
            room if room < NARROW || self.name.is_empty() => String::new(),
            room => format!("{} ", shorten(&self.name, room)),
        };
        shorten(&format!("{start}{name}{}", self.what), width)
    }
}

/// Seconds from `now` until `then`, rounded up: a wait that is not over is never shown as 0.
fn seconds_until(then: Instant, now: Instant) -> u64 {
    let left = then.saturating_duration_since(now);
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

/// What one frame shows.
#[derive(Debug, Default)]
pub(super) struct FrameView {
    done: u64,
    failed: u64,
    total: Option<u64>,
    bytes: u64,
    all_bytes: Option<u64>,
    rate: Option<u64>,
    time_left: Option<Duration>,
    active: Vec<ActiveTransfer>,
    /// Transfers that are not shown.
    more: usize,
    waits: Vec<WaitLine>,
}

/// A transfer in progress.
#[derive(Debug)]
struct ActiveTransfer {
    url: String,
    bytes: u64,
    promised: Option<u64>,
}

impl FrameView {
    /// Samples the counts and the board.
    pub(super) fn of(counts: &mut ProgressCounts, board: &ProgressBoard, now: Instant) -> Self {
        let mut busy = board.iter().filter_map(|worker| {
            Some(ActiveTransfer {
                url: worker.url()?,
                bytes: worker.bytes(),
                promised: worker.promised(),
            })
        });
        let active: Vec<_> = busy.by_ref().take(MAX_TRANSFERS).collect();
        let more = busy.count();
        counts.sample(board.iter().map(|worker| worker.bytes()).sum(), now);
        let (rate, all_bytes) = (counts.rate(), counts.all_bytes(board));
        let waits = counts.waits(board, now);
        let time_left = match all_bytes {
            _ if counts.is_stopping || (active.is_empty() && !waits.is_empty()) => None,
            Some(all) => rate
                .filter(|rate| *rate > 0)
                .map(|rate| Duration::from_secs(all.saturating_sub(counts.shown_bytes) / rate)),
            None => counts.time_left(now),
        };
        Self {
            done: counts.done,
            failed: counts.failed,
            total: counts.total,
            bytes: counts.shown_bytes,
            all_bytes,
            rate,
            time_left,
            active,
            more,
            waits,
        }
    }

    /// The lines to draw, of at most `width` columns each.
    pub(super) fn frame(&self, width: usize, style: TextStyle) -> String {
        let mut lines = vec![self.overall(width, style)];
        lines.extend(self.active.iter().map(|active| active.line(width)));
        if width >= NARROW {
            let more = Some(self.more).filter(|more| *more > 0);
            lines.extend(more.map(|more| shorten(&format!("  and {more} more"), width)));
            let waits = self.waits.iter().take(MAX_WAITS);
            lines.extend(waits.map(|wait| wait.line(width)));
        }
        lines.join("\n")
    }

    /// The line for the whole run. Facts that do not fit are left out, the least important first.
    fn overall(&self, width: usize, style: TextStyle) -> String {
        let mut facts = vec![match self.total {
            Some(total) => format!("{}/{total}", self.done),
            None => format!("{} done", self.done),
        }];
        if self.failed > 0 {
            let (on, off) = style.red();
            facts.push(format!("{on}{} failed{off}", self.failed));
        }
        let before_the_bar = facts.len();
        facts.push(human_bytes(self.bytes));
        facts.extend(self.rate.map(|rate| format!("{}/s", human_bytes(rate))));
        facts.extend(self.time_left.map(|left| format!("ETA {}", clock(left))));
        while facts.len() > 1 && columns(&facts) > width {
            facts.pop();
        }
        if columns(&facts) > width {
            return shorten(&facts.join(GAP), width);
        }
        let room = width.saturating_sub(columns(&facts) + GAP.len()).min(*BAR_COLUMNS.end());
        if let Some(total) = self.total
            && BAR_COLUMNS.contains(&room)
        {
            let (done, all) = match self.all_bytes {
                Some(all) => (self.bytes, all),
                None => (self.done, total),
            };
            facts.insert(before_the_bar.min(facts.len()), bar(done, all, room, style));
        }
        facts.join(GAP)
    }
}

impl ActiveTransfer {
    /// The line for one transfer; a narrow terminal keeps the URL and loses the numbers.
    fn line(&self, width: usize) -> String {
        let percent = match self.promised {
            Some(promised) => {
                format!("{}%", (u128::from(self.bytes) * 100 / u128::from(promised)).min(100))
            }
            None => String::new(),
        };
        let numbers = match width {
            50.. => format!("  {percent:>4}  {:>10}  ", human_bytes(self.bytes)),
            30.. => format!("  {percent:>4}  "),
            NARROW.. => "  ".to_owned(),
            _ => String::new(),
        };
        let url = shorten(&self.url, width - numbers.len());
        format!("{numbers}{url}")
    }
}

fn columns(facts: &[String]) -> usize {
    facts.iter().map(|fact| measure_text_width(fact)).sum::<usize>() + GAP.len() * (facts.len() - 1)
}

/// A bar of this many columns, ends included.
fn bar(done: u64, total: u64, columns: usize, style: TextStyle) -> String {
    let inside = columns - 2;
    let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let filled = (inside as f64 * share) as usize;
    let head = if filled < inside { ">" } else { "" };
    let body = format!("{}{head}", "=".repeat(filled));
    let rest = " ".repeat(inside - body.len());
    match style {
        TextStyle::Plain => format!("[{body}{rest}]"),
        TextStyle::Colours => format!("[\u{1b}[36m{body}\u{1b}[0m{rest}]"),
    }
}

/// A duration as `0:12` or `1:02:03`.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Shortens a text to at most this many columns by leaving out its middle.
fn shorten(url: &str, columns: usize) -> String {
    let text = readable_url(url);
    if measure_text_width(&text) <= columns {
        return text.into_owned();
    }
    let kept = columns.saturating_sub("...".len());
    if kept < 2 {
        return take_columns(text.chars(), columns).collect();
    }
    let tail: Vec<char> = take_columns(text.chars().rev(), kept / 2).collect();
    let tail_width: usize = tail.iter().copied().map(width_of).sum();
    let head = take_columns(text.chars(), kept - tail_width);
    head.chain("...".chars()).chain(tail.iter().rev().copied()).collect()
}

/// The first characters that fit in this many columns. A combining mark takes none.
fn take_columns(
    characters: impl Iterator<Item = char>,
    columns: usize,
) -> impl Iterator<Item = char> {
    let mut left = columns;
    characters.map_while(move |character| {
        left = left.checked_sub(width_of(character))?;
        Some(character)
    })
}

fn width_of(character: char) -> usize {
    measure_text_width(character.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn at_most_eight_transfers_are_shown() {
        let board = ProgressBoard::new(100);
        for worker in 1..=100 {
            board.worker(worker).begin(&format!("https://a.b/{worker}").parse().unwrap());
        }
        let view = FrameView::of(&mut ProgressCounts::default(), &board, Instant::now());
        assert_eq!(view.active.len(), 8);
        assert_eq!(view.more, 92);
        let frame = view.frame(80, TextStyle::Plain);
        assert_eq!(frame.lines().count(), 10);
        assert!(frame.ends_with("  and 92 more"), "{frame}");
    }

    #[test]
    fn the_bytes_shown_never_fall() {
        let mut counts = ProgressCounts::default();
        let start = Instant::now();
        counts.sample(500, start);
        counts.sample(0, start + Duration::from_secs(1));
        assert_eq!(counts.shown_bytes, 500);
        assert_eq!(counts.rate(), Some(0));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut counts = ProgressCounts::default();
        let start = Instant::now();
        assert_eq!(counts.rate(), None);
        for second in 0..60 {
            counts.sample(
                if second < 30 { 0 } else { (second - 30) * 1000 },
                start + Duration::from_secs(second),
            );
        }
        assert_eq!(counts.rate(), Some(1000));
        assert!(counts.samples.len() <= 7);
    }

    #[test]
    fn the_middle_of_a_long_url_is_left_out() {
        assert_eq!(shorten("https://example.org/a/b/c", 15), "https:.../a/b/c");
        assert_eq!(shorten("https://a.b/", 12), "https://a.b/");
        assert_eq!(shorten("https://a.b/", 4), "http");
        assert_eq!(shorten("https://a.b/", 0), "");
        assert_eq!(shorten("https://a.b/%E6%97%A5%E6%9C%AC", 16), "https://a.b/日本");
        assert_eq!(shorten("https://a.b/%E6%97%A5%E6%9C%AC", 15), "https:...b/日本");
    }

    /// The frame at `now`, 80 columns wide.
    fn frame_of(counts: &mut ProgressCounts, board: &ProgressBoard, now: Instant) -> String {
        FrameView::of(counts, board, now).frame(80, TextStyle::Plain)
    }

    #[test]
    fn once_all_lengths_are_known_the_bar_and_the_estimate_count_bytes() {
        let (board, start) = (ProgressBoard::new(2), Instant::now());
        let mut counts = ProgressCounts::default();
        counts.count(&Event::ListRead { entries: 2 });
        for worker in [1, 2] {
            board.worker(worker).begin(&format!("https://a.b/{worker}").parse().unwrap());
            board.worker(worker).promise(500_000);
        }
        frame_of(&mut counts, &board, start);
        board.worker(1).received(500_000);
        let frame = frame_of(&mut counts, &board, start + Duration::from_secs(5));
        let first = frame.lines().next().unwrap();
        assert_eq!(first, "0/2  [===============>              ]  488.3 KiB  97.7 KiB/s  ETA 0:05");
        // Two segments of one file.
        board.worker(2).begin(&"https://a.b/1".parse().unwrap());
        board.worker(2).promise(500_000);
        let frame = frame_of(&mut counts, &board, start + Duration::from_secs(5));
        assert!(frame.starts_with("0/2  [>   ") && !frame.contains("ETA"), "{frame}");
    }

    #[test]
    fn failures_are_counted_and_red() {
        let mut counts =
            ProgressCounts { failed: 40, total: Some(50), done: 40, ..Default::default() };
        let (board, now) = (ProgressBoard::new(1), Instant::now());
        assert!(frame_of(&mut counts, &board, now).starts_with("40/50  40 failed  [====="));
        let frame = FrameView::of(&mut counts, &board, now).frame(80, TextStyle::Colours);
        assert!(frame.starts_with("40/50  \u{1b}[31m40 failed\u{1b}[0m  ["), "{frame:?}");
    }

    #[test]
    fn what_is_waited_for_is_shown_with_the_time_and_no_estimate_while_all_wait() {
        let (board, now) = (ProgressBoard::new(2), Instant::now());
        let mut counts = ProgressCounts { done: 1, total: Some(9), ..Default::default() };
        let after = |seconds| Some(now + Duration::from_secs(seconds));
        let wait =
            |host: &str, reason, until| HostWait { host: host.into(), reason, until, jobs: 5 };
        let retrying = |next: &str, failure, seconds| Event::Retrying {
            url: next.to_owned(),
            failure,
            next: next.to_owned(),
            wait: Duration::from_secs(seconds),
            starts_in: None,
        };
        board.set_waits(vec![
            wait("http://127.0.0.2:9300", WaitReason::RetryAfter, after(18)),
            wait("https://a.b", WaitReason::Unreachable, after(22)),
            wait("https://c.d", WaitReason::Lookup, None),
        ]);
        let refused = Failure::RateLimited { status: 429, wait: None };
        counts.count(&retrying("http://127.0.0.2:9300/x", refused, 18));
        counts.count(&retrying("https://e.f/x", Failure::Status(503), 3));
        counts.count(&retrying(
            "https://e.f/y",
            Failure::Truncated { received: 1, promised: None },
            9,
        ));
        counts.sample(0, now - Duration::from_secs(10));
        counts.sample(0, now);
        counts.count(&retrying("http://127.0.0.2:9300/x", Failure::Status(429), 18));
        counts.count(&retrying("https://e.f/x", Failure::Status(503), 3));
        let frame = frame_of(&mut counts, &board, now);
        let lines: Vec<_> = frame.lines().collect();
        assert!(!lines[0].contains("ETA"), "{frame}");
        assert_eq!(
            lines[1..],
            [
                "  5 waiting: 127.0.0.2:9300 asked to wait 18 s (429)",
                "  5 waiting: a.b unreachable, giving up in 22 s",
                "  5 waiting: c.d waits for its DNS lookup",
                "  1 waiting: next retry in 3 s (HTTP 503)",
            ]
        );
        let frame = frame_of(&mut counts, &board, now + Duration::from_secs(4));
        assert!(!frame.contains("retry") && frame.contains("giving up in 18 s"), "{frame}");
        board.worker(1).begin(&"https://g.h/".parse().unwrap());
        assert!(frame_of(&mut counts, &board, now + Duration::from_secs(4)).contains("ETA"));
    }

    #[test]
    fn colours_take_no_columns() {
        let plain = bar(3, 10, 20, TextStyle::Plain);
        assert_eq!(plain, "[=====>            ]");
        let coloured = bar(3, 10, 20, TextStyle::Colours);
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
        assert_eq!(bar(10, 10, 12, TextStyle::Plain), "[==========]");
        assert_eq!(bar(0, 0, 12, TextStyle::Plain), "[==========]");
    }

    proptest! {
        #[test]
        fn no_line_is_blank_or_wider_than_the_terminal(
            width in 1_usize..200,
            done in any::<u64>(),
            total in any::<Option<u64>>(),
            bytes in any::<u64>(),
            seconds in any::<Option<u32>>(),
            promised in 1_u64..,
            url in "https://(.|%E6%97%A5|%F0%9F%98%80|e%CC%81)*",
            colours in any::<bool>(),
        ) {
            let view = FrameView {
                done,
                failed: done / 2,
                total,
                bytes,
                all_bytes: total,
                rate: Some(bytes),
                time_left: seconds.map(|seconds| Duration::from_secs(seconds.into())),
                active: vec![ActiveTransfer { url, bytes, promised: Some(promised) }],
                more: 7,
                waits: vec![WaitLine {
                    jobs: 5,
                    name: "a.b:80".to_owned(),
                    what: "asked to wait 18 s (429)".to_owned(),
                }],
            };
            let style = if colours { TextStyle::Colours } else { TextStyle::Plain };
            let frame = view.frame(width, style);
            for line in frame.split('\n') {
                prop_assert!(console::measure_text_width(line) <= width, "{}", line);
                prop_assert_ne!(line.trim(), "");
            }
        }
    }
}
