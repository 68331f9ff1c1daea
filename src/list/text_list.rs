//! Combines the lines of a text list into entries: URLs with the option lines below them.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::line_kind::{self, LineKind, LineText, classify};
use super::lines::{Lines, TextLine};
use super::options::IgnoredOption;
use super::other_formats::{FirstEntries, file_argument};
use super::pending::PendingTarget;
use super::{Numbering, format};
use crate::model::Entry;

/// The message about the control file that aria2 keeps beside an unfinished download.
const ARIA2_CONTROL: &str =
    "aria2 control file, expected text with one URL per line; use the list that aria2 was given";

/// Reads a text list.
///
/// An entry is handed out as soon as the next one begins, since option lines may follow it. Until it is clear that the source
/// is a list, entries are kept back: a source that is not a list has a single entry that says so.
#[derive(Debug)]
pub(super) struct TextReader {
    lines: Lines,
    entries: Entries,
}

impl TextReader {
    /// A reader of the source of this name.
    pub(super) fn new(source: Arc<str>) -> Self {
        let entries = Entries {
            source,
            above: PreviousEntry::Nothing,
            kind: SourceKind::default(),
            ignored: Vec::new(),
            returned: 0,
        };
        Self { lines: Lines::default(), entries }
    }

    /// Takes the next bytes. Breaks if the source is not a list.
    pub(super) fn feed(
        &mut self,
        chunk: &[u8],
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let entries = &mut self.entries;
        self.lines.feed(chunk, &mut |line| entries.take(&line, numbering, out))
    }

    /// Hands out an entry that option lines could still follow. Does nothing if the next line has begun with whitespace, as
    /// an option line does.
    pub(super) fn flush_pending(
        &mut self,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) {
        if !self.lines.may_continue_the_line_above() {
            self.entries.release(numbering, out);
            self.entries.accept_urls(numbering, out);
        }
    }

    /// Takes the ignored options that were not returned before, each with its line.
    pub(super) fn take_ignored(&mut self) -> &[(IgnoredOption, u64)] {
        let Entries { ignored, returned, .. } = &mut self.entries;
        let new = &ignored[*returned..];
        *returned = ignored.len();
        new
    }

    /// Hands out what is left. Breaks if the source is not a list.
    pub(super) fn finish(
        &mut self,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let entries = &mut self.entries;
        self.lines.finish(&mut |line| entries.take(&line, numbering, out))?;
        entries.end(numbering, out)
    }
}

/// Combines lines into entries.
#[derive(Debug)]
struct Entries {
    source: Arc<str>,
    above: PreviousEntry,
    kind: SourceKind,
    /// Ignored options, each with the line where it is first used.
    ignored: Vec<(IgnoredOption, u64)>,
    /// How many of them were returned.
    returned: usize,
}

/// Whether the source is known to be a list.
#[derive(Debug)]
enum SourceKind {
    /// Not yet. The entries so far are kept back.
    Undecided { first: FirstEntries, kept: Vec<PendingTarget> },
    /// It is. Entries are handed out.
    List,
}

impl Default for SourceKind {
    fn default() -> Self {
        Self::Undecided { first: FirstEntries::default(), kept: Vec::new() }
    }
}

/// The entry above the line that comes next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, and a box for each entry costs time")]
enum PreviousEntry {
    /// There has been none.
    Nothing,
    /// It can still be given options.
    Pending(PendingTarget),
    /// It has been handed out.
    Released,
}

impl Entries {
    fn take(
        &mut self,
        line: &TextLine<'_>,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        match classify(line) {
            LineKind::Nothing => ControlFlow::Continue(()),
            LineKind::Option(line_text) => {
                self.take_option(line, &line_text, numbering, out);
                self.decide(line.number, &line_text, false, numbering, out)
            }
            LineKind::Entry(line_text) => {
                self.release(numbering, out);
                let draft = PendingTarget::of_line(line.number, &line_text).at(line.offset);
                let is_url = draft.is_url();
                self.above = PreviousEntry::Pending(draft);
                self.decide(line.number, &line_text, is_url, numbering, out)
            }
            LineKind::NotAList(reason) => {
                self.release(numbering, out);
                self.accept(numbering, out);
                let reason = match reason.as_str() {
                    _ if self.source.ends_with(".aria2") => ARIA2_CONTROL.to_owned(),
                    line_kind::PARQUET => format::why_not_parquet(&self.source),
                    _ => reason.replace(line_kind::FILE, &file_argument(&self.source)),
                };
                self.refuse(line.number, reason, numbering, out)
            }
        }
    }

    /// Decides whether the source is a list, if this line and those before it suffice for that.
    fn decide(
        &mut self,
        number: u64,
        line_text: &LineText<'_>,
        is_url: bool,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        let SourceKind::Undecided { first, .. } = &mut self.kind else {
            return ControlFlow::Continue(());
        };
        if is_url && !first.begins_another_format() && !first.may_be_next_row(&line_text.text) {
            self.accept(numbering, out);
            return ControlFlow::Continue(());
        }
        first.add(number, &line_text.text, is_url);
        if first.is_full() { self.conclude(numbering, out) } else { ControlFlow::Continue(()) }
    }

    /// Decides whether the source is a list by the lines so far.
    fn conclude(
        &mut self,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        if let SourceKind::Undecided { first, .. } = &self.kind
            && let Some(reason) = first.why_not_a_list(&self.source)
        {
            return self.refuse(first.first_line(), reason, numbering, out);
        }
        self.accept(numbering, out);
        ControlFlow::Continue(())
    }

    /// The source is a list: hands out the entries that were kept back.
    fn accept(&mut self, numbering: &mut Numbering, out: &mut impl FnMut(Entry, u64)) {
        if let SourceKind::Undecided { kept, .. } =
            std::mem::replace(&mut self.kind, SourceKind::List)
        {
            kept.into_iter().for_each(|draft| self.hand_out(draft, numbering, out));
        }
    }

    /// Hands out entries that were kept back only because the rows of a table may follow.
    fn accept_urls(&mut self, numbering: &mut Numbering, out: &mut impl FnMut(Entry, u64)) {
        if let SourceKind::Undecided { first, .. } = &self.kind
            && first.are_only_urls()
        {
            self.accept(numbering, out);
        }
    }

    /// The source is not a list: one entry says why, instead of those that were kept back.
    fn refuse(
        &mut self,
        line: u64,
        reason: String,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        (self.above, self.kind) = (PreviousEntry::Released, SourceKind::List);
        let draft = PendingTarget::of_no_list(line, &self.source, reason);
        self.hand_out(draft, numbering, out);
        ControlFlow::Break(())
    }

    /// The source has ended: hands out what is left.
    fn end(
        &mut self,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) -> ControlFlow<()> {
        self.release(numbering, out);
        self.conclude(numbering, out)
    }

    fn take_option(
        &mut self,
        line: &TextLine<'_>,
        line_text: &LineText<'_>,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) {
        let number = line.number;
        let why = match &mut self.above {
            PreviousEntry::Pending(draft) => {
                let ignored = draft.add_option(number, line_text).map(|option| (option, number));
                let is_known = |new: &(IgnoredOption, u64)| {
                    self.ignored.iter().any(|(known, _)| *known == new.0)
                };
                self.ignored.extend(ignored.filter(|new| !is_known(new)));
                return;
            }
            PreviousEntry::Nothing => "appears before any URL",
            PreviousEntry::Released => "arrived after its URL had started; write both together",
        };
        let draft = PendingTarget::of_stray_option(number, line_text, why).at(line.offset);
        self.hand_out(draft, numbering, out);
    }

    fn release(&mut self, numbering: &mut Numbering, out: &mut impl FnMut(Entry, u64)) {
        if let PreviousEntry::Pending(_) = self.above
            && let PreviousEntry::Pending(draft) =
                std::mem::replace(&mut self.above, PreviousEntry::Released)
        {
            self.hand_out(draft, numbering, out);
        }
    }

    fn hand_out(
        &mut self,
        draft: PendingTarget,
        numbering: &mut Numbering,
        out: &mut impl FnMut(Entry, u64),
    ) {
        match &mut self.kind {
            SourceKind::Undecided { kept, .. } => kept.push(draft),
            SourceKind::List => draft.hand_out(numbering.give(), &self.source, out),
        }
    }
}
