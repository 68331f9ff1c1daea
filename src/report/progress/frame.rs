//! One frame of the progress display: what has been counted and what is going on, as lines that fit a width. Pure:
//! time is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use console::measure_text_width;

use super::super::escape::readable_url;
use super::super::text::TextStyle;
use crate::model::{Event, ProgressBoard};
use crate::units::human_bytes;

/// Transfers shown at most.
const SHOWN: usize = 8;
/// The rate is that of the last so many seconds.
const RATE_OVER: Duration = Duration::from_secs(5);
/// The bar's columns, ends included.
const BAR: std::ops::RangeInclusive<usize> = 12..=32;
/// With fewer columns there is room for a URL and nothing else.
const NARROW: usize = 10;
/// Between two facts.
const GAP: &str = "  ";

/// What has been counted so far.
#[derive(Debug, Default)]
pub(super) struct ProgressCounts {
    /// Settled targets.
    done: u64,
    /// All targets; `None` until the list has been read.
    total: Option<u64>,
    /// Body bytes of settled targets.
    settled_bytes: u64,
    /// Body bytes shown last: a transfer leaves the board before its record arrives, and they must not fall.
    shown_bytes: u64,
    /// Recent values of `shown_bytes`.
    samples: VecDeque<(Instant, u64)>,
    /// The first look.
    started: Option<Instant>,
}

impl ProgressCounts {
    /// Counts what has happened.
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Finished { record, .. } => {
                self.done += 1;
                self.settled_bytes += record.wire_bytes;
            }
            Event::ListRead { entries } => self.total = Some(*entries),
            Event::Retrying { .. }
            | Event::Redirected { .. }
            | Event::Notice(_)
            | Event::Stopping { .. } => {}
        }
    }

    fn sample(&mut self, in_flight: u64, now: Instant) {
        self.started.get_or_insert(now);
        self.shown_bytes = self.shown_bytes.max(self.settled_bytes + in_flight);
        self.samples.push_back((now, self.shown_bytes));
        while self.samples.len() > 2 && now - self.samples[1].0 >= RATE_OVER {
            self.samples.pop_front();
        }
    }

    /// Bytes a second of late; `None` before there is anything to compare.
    fn rate(&self) -> Option<u64> {
        let ((then, before), (now, after)) = (self.samples.front()?, self.samples.back()?);
        let seconds = (*now - *then).as_secs_f64();
        (seconds > 0.0).then(|| ((after - before) as f64 / seconds) as u64)
    }

    /// How long the rest takes if it takes as long as what is done; `None` while nobody can say.
    fn time_left(&self, now: Instant) -> Option<Duration> {
        let left = self.total?.checked_sub(self.done).filter(|left| *left > 0)?;
        if self.done == 0 {
            return None;
        }
        let seconds = (now - self.started?).as_secs_f64() * left as f64 / self.done as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// What one frame shows.
#[derive(Debug, Default)]
pub(super) struct FrameView {
    done: u64,
    total: Option<u64>,
    bytes: u64,
    rate: Option<u64>,
    time_left: Option<Duration>,
    active: Vec<ActiveTransfer>,
    /// Transfers that are not shown.
    more: usize,
}

/// A transfer in progress.
#[derive(Debug)]
struct ActiveTransfer {
    url: String,
    bytes: u64,
    promised: Option<u64>,
}

impl FrameView {
    /// A look at the tally and the board.
    pub(super) fn of(tally: &mut ProgressCounts, slots: &ProgressBoard, now: Instant) -> Self {
        let mut busy = slots.iter().filter_map(|slot| {
            Some(ActiveTransfer {
                url: slot.url()?,
                bytes: slot.bytes(),
                promised: slot.promised(),
            })
        });
        let active = busy.by_ref().take(SHOWN).collect();
        let more = busy.count();
        tally.sample(slots.iter().map(|slot| slot.bytes()).sum(), now);
        Self {
            done: tally.done,
            total: tally.total,
            bytes: tally.shown_bytes,
            rate: tally.rate(),
            time_left: tally.time_left(now),
            active,
            more,
        }
    }

    /// The lines to draw, none longer than so many columns.
    pub(super) fn frame(&self, width: usize, paint: TextStyle) -> String {
        let mut frame = self.overall(width, paint);
        for active in &self.active {
            frame.push('\n');
            frame.push_str(&active.line(width));
        }
        if self.more > 0 && width >= NARROW {
            frame.push('\n');
            frame.push_str(&shortened(&format!("  and {} more", self.more), width));
        }
        frame
    }

    /// The line for the whole run; what there is no room for is left out, the least wanted first.
    fn overall(&self, width: usize, paint: TextStyle) -> String {
        let counts = match self.total {
            Some(total) => format!("{}/{total}", self.done),
            None => format!("{} done", self.done),
        };
        let mut facts = vec![counts, human_bytes(self.bytes)];
        facts.extend(self.rate.map(|rate| format!("{}/s", human_bytes(rate))));
        facts.extend(self.time_left.map(|left| format!("ETA {}", clock(left))));
        while facts.len() > 1 && columns(&facts) > width {
            facts.pop();
        }
        let room = width.saturating_sub(columns(&facts) + GAP.len()).min(*BAR.end());
        match self.total {
            Some(total) if BAR.contains(&room) => {
                facts.insert(1, bar(self.done, total, room, paint));
                facts.join(GAP)
            }
            _ => shortened(&facts.join(GAP), width),
        }
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
        let url = shortened(&self.url, width - numbers.len());
        format!("{numbers}{url}")
    }
}

fn columns(facts: &[String]) -> usize {
    facts.iter().map(|fact| fact.len()).sum::<usize>() + GAP.len() * (facts.len() - 1)
}

/// A bar of so many columns, ends included.
fn bar(done: u64, total: u64, columns: usize, paint: TextStyle) -> String {
    let inside = columns - 2;
    let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let filled = (inside as f64 * share) as usize;
    let head = if filled < inside { ">" } else { "" };
    let body = format!("{}{head}", "=".repeat(filled));
    let rest = " ".repeat(inside - body.len());
    match paint {
        TextStyle::Plain => format!("[{body}{rest}]"),
        TextStyle::Colours => format!("[\u{1b}[36m{body}\u{1b}[0m{rest}]"),
    }
}

/// `0:12`, `1:02:03`.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A URL in at most so many columns, its middle left out where it is longer.
fn shortened(url: &str, columns: usize) -> String {
    let text = readable_url(url);
    if measure_text_width(&text) <= columns {
        return text.into_owned();
    }
    let kept = columns.saturating_sub("...".len());
    if kept < 2 {
        return fitting(text.chars(), columns).collect();
    }
    let tail: Vec<char> = fitting(text.chars().rev(), kept / 2).collect();
    let tail_width: usize = tail.iter().copied().map(width_of).sum();
    let head = fitting(text.chars(), kept - tail_width);
    head.chain("...".chars()).chain(tail.iter().rev().copied()).collect()
}

/// The first characters, as many as fit in so many columns. A mark that joins the character before it takes none.
fn fitting(characters: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
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
        let slots = ProgressBoard::new(100);
        for worker in 1..=100 {
            slots.worker(worker).begin(&format!("https://a.b/{worker}").parse().unwrap());
        }
        let view = FrameView::of(&mut ProgressCounts::default(), &slots, Instant::now());
        assert_eq!(view.active.len(), 8);
        assert_eq!(view.more, 92);
        let frame = view.frame(80, TextStyle::Plain);
        assert_eq!(frame.lines().count(), 10);
        assert!(frame.ends_with("  and 92 more"), "{frame}");
    }

    #[test]
    fn the_bytes_shown_never_fall() {
        let mut tally = ProgressCounts::default();
        let start = Instant::now();
        tally.sample(500, start);
        tally.sample(0, start + Duration::from_secs(1));
        assert_eq!(tally.shown_bytes, 500);
        assert_eq!(tally.rate(), Some(0));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut tally = ProgressCounts::default();
        let start = Instant::now();
        assert_eq!(tally.rate(), None);
        for second in 0..60 {
            tally.sample(
                if second < 30 { 0 } else { (second - 30) * 1000 },
                start + Duration::from_secs(second),
            );
        }
        assert_eq!(tally.rate(), Some(1000));
        assert!(tally.samples.len() <= 7);
    }

    #[test]
    fn the_middle_of_a_long_url_is_left_out() {
        assert_eq!(shortened("https://example.org/a/b/c", 15), "https:.../a/b/c");
        assert_eq!(shortened("https://a.b/", 12), "https://a.b/");
        assert_eq!(shortened("https://a.b/", 4), "http");
        assert_eq!(shortened("https://a.b/", 0), "");
        assert_eq!(shortened("https://a.b/%E6%97%A5%E6%9C%AC", 16), "https://a.b/日本");
        assert_eq!(shortened("https://a.b/%E6%97%A5%E6%9C%AC", 15), "https:...b/日本");
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
                total,
                bytes,
                rate: Some(bytes),
                time_left: seconds.map(|seconds| Duration::from_secs(seconds.into())),
                active: vec![ActiveTransfer { url, bytes, promised: Some(promised) }],
                more: 7,
            };
            let paint = if colours { TextStyle::Colours } else { TextStyle::Plain };
            let frame = view.frame(width, paint);
            for line in frame.split('\n') {
                prop_assert!(console::measure_text_width(line) <= width, "{}", line);
                prop_assert_ne!(line.trim(), "");
            }
        }
    }
}
