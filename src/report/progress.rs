//! The progress display: how far the run is, and what it is busy with, redrawn in place on a terminal's stderr.
//!
//! It samples the board of [`Slots`] when told the time and waits for nobody. A frame is text made by a pure function
//! for a width in columns; indicatif's part is to draw one over the other and to leave nothing behind. One message
//! of many lines rather than a bar per transfer, so that a frame is drawn whole or not at all. A terminal that
//! re-wraps what is already drawn when it is resized may keep parts of one old frame; the next one fits.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::printable::printable;
use super::text::Paint;
use crate::record::{Event, Slots};
use crate::units::human_bytes;

/// Transfers shown at most.
const SHOWN: usize = 8;
/// The rate is that of the last so many seconds.
const RATE_OVER: Duration = Duration::from_secs(5);
/// A little less than the beat of a tenth of a second that the display is driven at, which may come early.
const BETWEEN_FRAMES: Duration = Duration::from_millis(95);
/// The bar's columns, ends included.
const BAR: std::ops::RangeInclusive<usize> = 12..=32;

/// The display, or none.
pub(super) struct Progress(Option<Display>);

struct Display {
    canvas: ProgressBar,
    width: Box<dyn Fn() -> usize + Send>,
    paint: Paint,
    slots: Arc<Slots>,
    tally: Tally,
    next_frame: Option<Instant>,
}

impl Progress {
    /// No display.
    pub(super) fn hidden() -> Self {
        Self(None)
    }

    /// A display on stderr; none where that is no terminal, or one that cannot move its cursor (`TERM=dumb`).
    pub(super) fn on_stderr(slots: Arc<Slots>, paint: Paint) -> Self {
        let term = Term::buffered_stderr();
        // Twice the beat: the limit must not swallow frames that are a moment early.
        let target = ProgressDrawTarget::term(term.clone(), 20);
        if target.is_hidden() {
            return Self::hidden();
        }
        Self::on(target, move || usize::from(term.size().1), slots, paint)
    }

    fn on(
        target: ProgressDrawTarget,
        width: impl Fn() -> usize + Send + 'static,
        slots: Arc<Slots>,
        paint: Paint,
    ) -> Self {
        let style = ProgressStyle::with_template("{msg}").expect("a template");
        let canvas = ProgressBar::with_draw_target(None, target).with_style(style);
        let width = Box::new(width);
        Self(Some(Display {
            canvas,
            width,
            paint,
            slots,
            tally: Tally::default(),
            next_frame: None,
        }))
    }

    /// Whether there is a display, which has to be told the time.
    pub(super) fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Counts what has happened; draws nothing.
    pub(super) fn count(&mut self, event: &Event) {
        if let Some(display) = &mut self.0 {
            display.tally.count(event);
        }
    }

    /// Whether it is time for the next frame.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let next = self.0.as_ref().and_then(|display| display.next_frame);
        next.is_none_or(|next| now >= next)
    }

    /// Draws how things are now.
    pub(super) fn draw(&mut self, now: Instant) {
        if let Some(display) = &mut self.0 {
            display.next_frame = Some(now + BETWEEN_FRAMES);
            let view = View::of(&mut display.tally, &display.slots, now);
            display.canvas.set_message(view.frame((display.width)(), display.paint));
        }
    }

    /// Does something to the terminal while the display is out of the way.
    pub(super) fn suspend(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match &self.0 {
            Some(display) => display.canvas.suspend(write),
            None => write(),
        }
    }

    /// Removes the display for good.
    pub(super) fn clear(&mut self) {
        if let Some(display) = self.0.take() {
            display.canvas.finish_and_clear();
        }
    }
}

/// What has been counted so far.
#[derive(Debug, Default)]
struct Tally {
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

impl Tally {
    fn count(&mut self, event: &Event) {
        match event {
            Event::Finished(record) => {
                self.done += 1;
                self.settled_bytes += record.wire_bytes;
            }
            Event::ListRead { entries } => self.total = Some(*entries),
            Event::Retrying { .. } | Event::Redirected { .. } => {}
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
struct View {
    done: u64,
    total: Option<u64>,
    bytes: u64,
    rate: Option<u64>,
    time_left: Option<Duration>,
    active: Vec<Active>,
    /// Transfers that are not shown.
    more: usize,
}

/// A transfer in progress.
#[derive(Debug)]
struct Active {
    url: String,
    bytes: u64,
    promised: Option<u64>,
}

impl View {
    fn of(tally: &mut Tally, slots: &Slots, now: Instant) -> Self {
        let mut busy = slots.iter().filter_map(|slot| {
            Some(Active { url: slot.url()?, bytes: slot.bytes(), promised: slot.promised() })
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
    fn frame(&self, width: usize, paint: Paint) -> String {
        let mut frame = self.overall(width, paint);
        for active in &self.active {
            frame.push('\n');
            frame.push_str(&active.line(width));
        }
        if self.more > 0 {
            frame.push('\n');
            frame.push_str(&shortened(&format!("  and {} more", self.more), width));
        }
        frame
    }

    /// The line for the whole run; what there is no room for is left out, the least wanted first.
    fn overall(&self, width: usize, paint: Paint) -> String {
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

impl Active {
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
            10.. => "  ".to_owned(),
            _ => String::new(),
        };
        let url = shortened(&self.url, width - numbers.len());
        format!("{numbers}{url}")
    }
}

const GAP: &str = "  ";

fn columns(facts: &[String]) -> usize {
    facts.iter().map(|fact| fact.len()).sum::<usize>() + GAP.len() * (facts.len() - 1)
}

/// A bar of so many columns, ends included.
fn bar(done: u64, total: u64, columns: usize, paint: Paint) -> String {
    let inside = columns - 2;
    let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let filled = (inside as f64 * share) as usize;
    let head = if filled < inside { ">" } else { "" };
    let body = format!("{}{head}", "=".repeat(filled));
    let rest = " ".repeat(inside - body.len());
    match paint {
        Paint::Plain => format!("[{body}{rest}]"),
        Paint::Colours => format!("[\u{1b}[36m{body}\u{1b}[0m{rest}]"),
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

/// The text in at most so many columns, its middle left out where it is longer. A URL is ASCII (RFC 3986); what is not
/// is shown as `?`, for then a character is a column.
fn shortened(text: &str, columns: usize) -> String {
    let safe = printable(text).replace(|character: char| !character.is_ascii(), "?");
    if safe.len() <= columns {
        return safe;
    }
    let Some(kept) = columns.checked_sub("...".len()).filter(|kept| *kept >= 2) else {
        return safe[..columns].to_owned();
    };
    let tail = kept / 2;
    format!("{}...{}", &safe[..kept - tail], &safe[safe.len() - tail..])
}

#[cfg(test)]
pub(super) mod tests {
    use indicatif::InMemoryTerm;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;
    use crate::record::example;

    /// A display on a made-up terminal.
    pub(in crate::report) fn on_a_terminal(term: &InMemoryTerm, slots: Arc<Slots>) -> Progress {
        use indicatif::TermLike;
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let term = term.clone();
        Progress::on(target, move || usize::from(term.width()), slots, Paint::Plain)
    }

    fn finished(progress: &mut Progress, records: u64, bytes: u64) {
        let record = example::record("https://a.b/").read(bytes);
        for _ in 0..records {
            progress.count(&Event::Finished(Box::new(record.clone())));
        }
    }

    /// Three of ten workers busy, twelve of fifteen sites done in ten seconds.
    fn drawn_at(width: u16) -> String {
        let term = InMemoryTerm::new(12, width);
        let slots = Arc::new(Slots::new(10));
        let mut progress = on_a_terminal(&term, Arc::clone(&slots));
        let start = Instant::now();
        progress.draw(start);
        finished(&mut progress, 12, 100_000);
        progress.count(&Event::ListRead { entries: 15 });
        slots.of(1).begin(&"https://en.wikipedia.org/wiki/Portal:Arts".parse().unwrap());
        slots.of(1).promise(400_000);
        slots.of(1).received(168_000);
        slots.of(4).begin(
            &format!("https://example.org/{}/last-part.iso", "a/".repeat(40)).parse().unwrap(),
        );
        slots.of(4).received(2_500_000);
        slots.of(10).begin(&"https://example.org/\u{1b}[2J".parse().unwrap());
        progress.draw(start + Duration::from_secs(10));
        term.contents()
    }

    #[test]
    fn a_frame_of_80_columns_tells_all() {
        assert_snapshot!(drawn_at(80), @r"
        12/15  [========================>     ]  3.7 MiB  377.7 KiB/s  ETA 0:02
           42%   164.1 KiB  https://en.wikipedia.org/wiki/Portal:Arts
                   2.4 MiB  https://example.org/a/a/a/a/a...a/a/a/a/a/a/a//last-part.iso
                       0 B  https://example.org/\u{1b}[2J
        ");
    }

    #[test]
    fn a_frame_of_40_columns_tells_what_fits() {
        assert_snapshot!(drawn_at(40), @r"
        12/15  3.7 MiB  377.7 KiB/s  ETA 0:02
           42%  https://en.wiki...ki/Portal:Arts
                https://example.../last-part.iso
                https://example.org/\u{1b}[2J
        ");
    }

    #[test]
    fn a_frame_of_20_columns_still_tells_something() {
        assert_snapshot!(drawn_at(20), @r"
        12/15  3.7 MiB
          https://...al:Arts
          https://...art.iso
          https://...{1b}[2J
        ");
    }

    #[test]
    fn until_the_list_is_read_there_is_no_bar_and_no_estimate() {
        let term = InMemoryTerm::new(4, 80);
        let mut progress = on_a_terminal(&term, Arc::new(Slots::new(1)));
        finished(&mut progress, 3, 1000);
        progress.draw(Instant::now());
        assert_snapshot!(term.contents(), @"3 done  2.9 KiB");
    }

    #[test]
    fn at_most_eight_transfers_are_shown() {
        let slots = Slots::new(100);
        for worker in 1..=100 {
            slots.of(worker).begin(&format!("https://a.b/{worker}").parse().unwrap());
        }
        let view = View::of(&mut Tally::default(), &slots, Instant::now());
        assert_eq!(view.active.len(), 8);
        assert_eq!(view.more, 92);
        let frame = view.frame(80, Paint::Plain);
        assert_eq!(frame.lines().count(), 10);
        assert!(frame.ends_with("  and 92 more"), "{frame}");
    }

    #[test]
    fn the_display_leaves_nothing_behind() {
        let term = InMemoryTerm::new(12, 40);
        let slots = Arc::new(Slots::new(2));
        slots.of(1).begin(&"https://a.b/".parse().unwrap());
        let mut progress = on_a_terminal(&term, slots);
        progress.draw(Instant::now());
        assert_ne!(term.contents(), "");
        progress.clear();
        assert_eq!(term.contents(), "");
        assert!(!progress.is_shown());
    }

    #[test]
    fn a_frame_with_fewer_lines_leaves_none_of_the_one_before() {
        let term = InMemoryTerm::new(12, 40);
        let slots = Arc::new(Slots::new(3));
        (1..=3).for_each(|worker| {
            slots.of(worker).begin(&format!("https://a.b/{worker}").parse().unwrap())
        });
        let mut progress = on_a_terminal(&term, Arc::clone(&slots));
        let start = Instant::now();
        progress.draw(start);
        (1..=2).for_each(|worker| slots.of(worker).end());
        progress.draw(start);
        assert_snapshot!(term.contents(), @r"
        0 done  0 B
                https://a.b/3
        ");
    }

    #[test]
    fn frames_are_a_tenth_of_a_second_apart() {
        let mut progress = on_a_terminal(&InMemoryTerm::new(4, 40), Arc::new(Slots::new(1)));
        let start = Instant::now();
        assert!(progress.is_due(start));
        progress.draw(start);
        assert!(!progress.is_due(start + Duration::from_millis(50)));
        assert!(progress.is_due(start + Duration::from_millis(100)));
    }

    #[test]
    fn the_bytes_shown_never_fall() {
        let mut tally = Tally::default();
        let start = Instant::now();
        tally.sample(500, start);
        tally.sample(0, start + Duration::from_secs(1));
        assert_eq!(tally.shown_bytes, 500);
        assert_eq!(tally.rate(), Some(0));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut tally = Tally::default();
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
        assert_eq!(shortened("日本", 9), "??");
    }

    #[test]
    fn colours_take_no_columns() {
        let plain = bar(3, 10, 20, Paint::Plain);
        assert_eq!(plain, "[=====>            ]");
        let coloured = bar(3, 10, 20, Paint::Colours);
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
        assert_eq!(bar(10, 10, 12, Paint::Plain), "[==========]");
        assert_eq!(bar(0, 0, 12, Paint::Plain), "[==========]");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            width in 0_usize..200,
            done in any::<u64>(),
            total in any::<Option<u64>>(),
            bytes in any::<u64>(),
            seconds in any::<Option<u32>>(),
            promised in 1_u64..,
            url in any::<String>(),
            colours in any::<bool>(),
        ) {
            let view = View {
                done,
                total,
                bytes,
                rate: Some(bytes),
                time_left: seconds.map(|seconds| Duration::from_secs(seconds.into())),
                active: vec![Active { url, bytes, promised: Some(promised) }],
                more: 7,
            };
            let paint = if colours { Paint::Colours } else { Paint::Plain };
            let frame = view.frame(width, paint);
            prop_assert_eq!(frame.split('\n').count(), 3);
            for line in frame.split('\n') {
                prop_assert!(console::measure_text_width(line) <= width, "{}", line);
            }
        }
    }
}
