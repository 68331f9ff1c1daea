//! The progress display: how far the run is, and what it is busy with, redrawn in place on a terminal's stderr.
//!
//! Each frame samples the [`ProgressBoard`] and never blocks a worker. A pure function makes the text of the frame; indicatif
//! draws it over the previous one. It is one message of many lines rather than a bar per transfer, so that a frame is drawn
//! whole.

mod frame;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use console::{Term, measure_text_width};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::text::TextStyle;
use crate::model::{Event, ProgressBoard};
use frame::{FrameView, ProgressCounts};

/// Minimum time between frames: a little less than the interval of the ticks, 100 ms, because a tick may come early.
const FRAME_INTERVAL: Duration = Duration::from_millis(95);

/// Columns that stay free at the end of a line. The terminal itself echoes `^C` there, and if that took another row, the next
/// frame would be drawn one row too low.
const ECHO_COLUMNS: usize = 2;

/// The progress display; `None` if it is hidden.
pub(super) struct Progress(Option<ProgressDisplay>);

struct ProgressDisplay {
    canvas: ProgressBar,
    width: Box<dyn Fn() -> usize + Send>,
    style: TextStyle,
    board: Arc<ProgressBoard>,
    counts: ProgressCounts,
    next_frame: Option<Instant>,
}

/// The width of the terminal on stderr, in columns.
pub(super) fn columns() -> usize {
    Term::stderr().size().1.into()
}

impl Progress {
    /// No display.
    pub(super) fn hidden() -> Self {
        Self(None)
    }

    /// A display on stderr; hidden if stderr is not a terminal, or one that cannot move its cursor (`TERM=dumb`).
    pub(super) fn on_stderr(board: Arc<ProgressBoard>, style: TextStyle) -> Self {
        let term = Term::buffered_stderr();
        if ProgressDrawTarget::term(term.clone(), 1).is_hidden() {
            return Self::hidden();
        }
        let width = term.clone();
        Self::on(term, move || width.width().into(), board, style)
    }

    fn on(
        term: impl TermLike + 'static,
        width: impl Fn() -> usize + Send + 'static,
        board: Arc<ProgressBoard>,
        style: TextStyle,
    ) -> Self {
        let target = ProgressDrawTarget::term_like(Box::new(Screen::new(term)));
        let template = ProgressStyle::with_template("{msg}").expect("a template");
        let canvas = ProgressBar::with_draw_target(None, target).with_style(template);
        let (counts, width) = (ProgressCounts::default(), Box::new(width));
        board.watch();
        Self(Some(ProgressDisplay { canvas, width, style, board, counts, next_frame: None }))
    }

    /// Whether there is a display, which needs regular calls of [`draw`](Self::draw).
    pub(super) fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Counts an event; draws nothing.
    pub(super) fn count(&mut self, event: &Event) {
        if let Some(display) = &mut self.0 {
            display.counts.count(event);
        }
    }

    /// Whether it is time for the next frame.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let next = self.0.as_ref().and_then(|display| display.next_frame);
        next.is_none_or(|next| now >= next)
    }

    /// Draws a frame of the current state.
    pub(super) fn draw(&mut self, now: Instant) {
        if let Some(display) = &mut self.0 {
            display.next_frame = Some(now + FRAME_INTERVAL);
            let view = FrameView::of(&mut display.counts, &display.board, now);
            let columns = (display.width)().saturating_sub(ECHO_COLUMNS).max(1);
            display.canvas.set_message(view.frame(columns, display.style));
        }
    }

    /// Calls `write` while the display is removed from the terminal.
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

/// A terminal on which every line of a frame ends where its text ends.
///
/// indicatif fills lines with spaces and lets the terminal wrap them, so that to the terminal a frame is one long line.
/// Most terminals re-wrap long lines when they are resized, and the next frame would be drawn over other rows, or
/// below the remains of the last one. Here the lines stay apart, and on a terminal that became narrower the rows that
/// they now take are cleared. (A terminal that cuts lines off instead loses as many rows above, once.)
#[derive(Debug)]
struct Screen<T> {
    term: T,
    drawn: Mutex<DrawnFrame>,
}

/// The frame on the screen, or the part of it that has been drawn.
#[derive(Debug, Default)]
struct DrawnFrame {
    /// Columns of each line.
    lines: Vec<usize>,
    /// Columns of the terminal when it was drawn.
    width: usize,
    /// How much of it has been drawn.
    stage: Stage,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The frame is complete; further output belongs to the next one.
    #[default]
    Complete,
    /// Within a line, or before the first one.
    InLine,
    /// After a line; another one may follow.
    AfterLine,
}

impl<T: TermLike> Screen<T> {
    fn new(term: T) -> Self {
        Self { term, drawn: Mutex::default() }
    }

    fn drawn(&self) -> MutexGuard<'_, DrawnFrame> {
        self.drawn.lock().expect("no holder panics")
    }
}

impl DrawnFrame {
    /// Rows that the lines take on a terminal of `width` columns, beyond those that they took when they were drawn.
    fn extra_rows_at(&self, width: usize) -> usize {
        self.rows_at(width).saturating_sub(self.rows_at(self.width))
    }

    fn rows_at(&self, width: usize) -> usize {
        self.lines.iter().map(|columns| columns.div_ceil(width.max(1)).max(1)).sum()
    }
}

impl<T: TermLike> TermLike for Screen<T> {
    fn width(&self) -> u16 {
        self.term.width()
    }

    fn height(&self) -> u16 {
        self.term.height()
    }

    /// indicatif begins every frame with this call, which moves to the first line of the previous frame.
    fn move_cursor_up(&self, rows: usize) -> io::Result<()> {
        let mut drawn = self.drawn();
        if drawn.stage != Stage::Complete {
            return self.term.move_cursor_up(rows);
        }
        let width = self.term.width().into();
        let extra = drawn.extra_rows_at(width);
        *drawn = DrawnFrame { lines: Vec::new(), width, stage: Stage::InLine };
        self.term.move_cursor_up(rows + extra)?;
        if extra > 0 { self.term.write_str("\r\u{1b}[J") } else { Ok(()) }
    }

    fn move_cursor_down(&self, rows: usize) -> io::Result<()> {
        self.term.move_cursor_down(rows)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.term.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.term.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.term.write_line(text)
    }

    /// Receives either the text of a line or the spaces after it.
    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut drawn = self.drawn();
        if text.bytes().all(|byte| byte == b' ') {
            drawn.stage = Stage::AfterLine;
            return Ok(());
        }
        if drawn.stage == Stage::AfterLine {
            self.term.write_str("\r\n")?;
        }
        drawn.stage = Stage::InLine;
        drawn.lines.push(measure_text_width(text));
        self.term.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.term.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.drawn().stage = Stage::Complete;
        self.term.flush()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use indicatif::InMemoryTerm;
    use insta::assert_snapshot;

    use super::*;
    use crate::model::test_fixtures;

    /// A display on a terminal in memory.
    pub(in crate::report) fn on_a_terminal(
        term: &InMemoryTerm,
        board: Arc<ProgressBoard>,
    ) -> Progress {
        let width = term.clone();
        Progress::on(term.clone(), move || width.width().into(), board, TextStyle::Plain)
    }

    fn finish_records(progress: &mut Progress, records: u64, bytes: u64) {
        let record = test_fixtures::record("https://a.b/").read(bytes);
        for _ in 0..records {
            progress.count(&Event::Finished {
                record: Box::new(record.clone()),
                target: None,
                name: None,
            });
        }
    }

    /// Draws a frame of `width` columns: three of ten workers busy, twelve of fifteen sites done in ten seconds.
    fn draw_at(width: u16) -> String {
        let term = InMemoryTerm::new(12, width + ECHO_COLUMNS as u16);
        let board = Arc::new(ProgressBoard::new(10));
        let mut progress = on_a_terminal(&term, Arc::clone(&board));
        let start = Instant::now();
        progress.draw(start);
        finish_records(&mut progress, 12, 100_000);
        progress.count(&Event::ListRead { entries: 15 });
        board.worker(1).begin(&"https://en.wikipedia.org/wiki/Portal:Arts".parse().unwrap());
        board.worker(1).promise(400_000);
        board.worker(1).received(168_000);
        board.worker(4).begin(
            &format!("https://example.org/{}/last-part.iso", "a/".repeat(40)).parse().unwrap(),
        );
        board.worker(4).received(2_500_000);
        board.worker(10).begin(&"https://example.org/\u{1b}[2J".parse().unwrap());
        progress.draw(start + Duration::from_secs(10));
        term.contents()
    }

    #[test]
    fn a_frame_of_80_columns_tells_all() {
        assert_snapshot!(draw_at(80), @r"
        12/15  [========================>     ]  3.7 MiB  377.7 KiB/s  ETA 0:02
           42%   164.1 KiB  https://en.wikipedia.org/wiki/Portal:Arts
                   2.4 MiB  https://example.org/a/a/a/a/a...a/a/a/a/a/a/a//last-part.iso
                       0 B  https://example.org/%1B[2J
        ");
    }

    #[test]
    fn a_frame_of_40_columns_tells_what_fits() {
        assert_snapshot!(draw_at(40), @r"
        12/15  3.7 MiB  377.7 KiB/s  ETA 0:02
           42%  https://en.wiki...ki/Portal:Arts
                https://example.../last-part.iso
                https://example.org/%1B[2J
        ");
    }

    #[test]
    fn a_frame_of_20_columns_still_tells_something() {
        assert_snapshot!(draw_at(20), @r"
        12/15  3.7 MiB
          https://...al:Arts
          https://...art.iso
          https://.../%1B[2J
        ");
    }

    #[test]
    fn until_the_list_is_read_there_is_no_bar_and_no_estimate() {
        let term = InMemoryTerm::new(4, 80);
        let mut progress = on_a_terminal(&term, Arc::new(ProgressBoard::new(1)));
        finish_records(&mut progress, 3, 1000);
        progress.draw(Instant::now());
        assert_snapshot!(term.contents(), @"3 done  2.9 KiB");
    }

    #[test]
    fn the_display_leaves_nothing_behind() {
        let term = InMemoryTerm::new(12, 40);
        let board = Arc::new(ProgressBoard::new(2));
        board.worker(1).begin(&"https://a.b/".parse().unwrap());
        let mut progress = on_a_terminal(&term, board);
        progress.draw(Instant::now());
        assert_ne!(term.contents(), "");
        progress.clear();
        assert_eq!(term.contents(), "");
        assert!(!progress.is_shown());
    }

    #[test]
    fn a_display_that_is_dropped_in_the_middle_leaves_nothing_behind() {
        let term = InMemoryTerm::new(12, 40);
        let mut progress = on_a_terminal(&term, Arc::new(ProgressBoard::new(1)));
        progress.draw(Instant::now());
        assert_ne!(term.contents(), "");
        drop(progress);
        assert_eq!(term.contents(), "");
    }

    #[test]
    fn a_frame_with_fewer_lines_leaves_none_of_the_one_before() {
        let term = InMemoryTerm::new(12, 40);
        let board = Arc::new(ProgressBoard::new(3));
        (1..=3).for_each(|worker| {
            board.worker(worker).begin(&format!("https://a.b/{worker}").parse().unwrap())
        });
        let mut progress = on_a_terminal(&term, Arc::clone(&board));
        let start = Instant::now();
        progress.draw(start);
        (1..=2).for_each(|worker| board.worker(worker).end());
        progress.draw(start);
        assert_snapshot!(term.contents(), @r"
        0 done  0 B
                https://a.b/3
        ");
    }

    #[test]
    fn frames_are_a_tenth_of_a_second_apart() {
        let mut progress =
            on_a_terminal(&InMemoryTerm::new(4, 40), Arc::new(ProgressBoard::new(1)));
        let start = Instant::now();
        assert!(progress.is_due(start));
        progress.draw(start);
        assert!(!progress.is_due(start + Duration::from_millis(50)));
        assert!(progress.is_due(start + Duration::from_millis(100)));
    }

    #[test]
    fn on_a_terminal_that_became_narrower_the_re_wrapped_rows_are_cleared() {
        let term = InMemoryTerm::new(12, 40);
        let first_move = |width| {
            let drawn = DrawnFrame { lines: vec![41, 10, 100], width, stage: Stage::Complete };
            let screen = Screen { term: term.clone(), drawn: Mutex::new(drawn) };
            screen.move_cursor_up(2).unwrap();
            term.moves_since_last_check()
        };
        assert_eq!(first_move(120), "Up(5)\nStr(\"\\r\\u{1b}[J\")\n");
        assert_eq!(first_move(40), "Up(2)\n");
        assert_eq!(first_move(20), "Up(2)\n");
    }

    #[test]
    fn the_lines_of_a_frame_are_not_one_long_line() {
        let term = InMemoryTerm::new(12, 80);
        let board = Arc::new(ProgressBoard::new(1));
        board.worker(1).begin(&"https://a.b/".parse().unwrap());
        on_a_terminal(&term, board).draw(Instant::now());
        let moves = term.moves_since_last_check();
        assert!(moves.contains("Str(\"\\r\\n\")"), "{moves}");
        assert!(!moves.contains(&" ".repeat(40)), "{moves}");
    }
}
