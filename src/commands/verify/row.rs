//! The result of `fetch verify` for a file, and the totals.

use std::io::{self, Write};

use serde::Serialize;

use crate::report::printable;
use crate::store::{
    FileCheck, FileState, HexSha256, ManifestEntry, Mark, MarkReason, SavedBodies, SavedEntry,
};
use crate::text::{io_message, write_json};
use crate::units::human_bytes;

/// The state of one file.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "file")]
pub(super) struct VerifiedFile {
    /// Its name, relative to the directory.
    pub path: String,
    pub state: VerifiedState,
    /// Its URL; `None` if the manifest does not have it.
    pub url: Option<String>,
    /// The length of the file; `None` if it does not exist or was not examined.
    pub bytes: Option<u64>,
    /// By what it was found to be unchanged: a digest algorithm, or `length`.
    pub checked_by: Option<&'static str>,
    /// Why it has this state.
    pub message: Option<String>,
    /// The mark to add to the manifest: the file is to be fetched again.
    #[serde(skip)]
    pub mark: Option<Mark>,
    /// Whether the manifest has a mark of the file already.
    #[serde(skip)]
    pub marked: bool,
    /// The temporary name that it still has.
    #[serde(skip)]
    pub under: Option<String>,
}

/// The state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum VerifiedState {
    Ok,
    Missing,
    Changed,
    Extra,
    /// Not complete.
    #[serde(rename = "unchecked")]
    Unfinished,
    #[serde(rename = "unchecked")]
    Unreadable,
    /// No file can have its name.
    #[serde(rename = "unchecked")]
    Nameless,
}

impl VerifiedState {
    /// Whether it is printed with `--quiet`.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Missing | Self::Changed | Self::Unreadable)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Missing => "Missing",
            Self::Changed => "Changed",
            Self::Extra => "Extra",
            Self::Unfinished => "Partial",
            Self::Unreadable | Self::Nameless => "Unchecked",
        }
    }
}

impl VerifiedFile {
    /// The state of the file of this name and entry.
    pub(super) fn of(
        archive: &SavedBodies,
        path: String,
        entry: Option<ManifestEntry<'_>>,
    ) -> Self {
        let blank = Self::blank(path);
        let Some(entry) = entry else {
            let message = Some("incomplete manifest entry".to_owned());
            return Self { state: VerifiedState::Unreadable, message, ..blank };
        };
        let (saved, target) = match &entry {
            ManifestEntry::Saved(saved) => (Some(saved), None),
            ManifestEntry::Archived(archived) => (Some(&archived.saved), Some(archived.target)),
            _ => (None, None),
        };
        if let Some(saved) = saved {
            return match archive.compare(&entry) {
                Ok(compared) => blank.compared(saved, target, compared),
                Err(error) => {
                    blank.with(&saved.url, VerifiedState::Unreadable, &io_message(&error))
                }
            };
        }
        match entry {
            ManifestEntry::Partial(partial) => {
                blank.with(&partial.url, VerifiedState::Unfinished, "download incomplete")
            }
            ManifestEntry::Marked(marked) => Self {
                state: match marked.why {
                    MarkReason::Changed if !archive.is_missing(&marked.path) => {
                        VerifiedState::Changed
                    }
                    MarkReason::Missing | MarkReason::Changed => VerifiedState::Missing,
                },
                message: Some("marked earlier, not downloaded again yet".to_owned()),
                marked: true,
                ..blank
            },
            ManifestEntry::Saved(_)
            | ManifestEntry::Archived(_)
            | ManifestEntry::Appended(_)
            | ManifestEntry::Dropped(_) => blank,
        }
    }

    /// A file that is not in the manifest.
    pub(super) fn extra(path: String, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..Self::blank(path) }
    }

    fn blank(path: String) -> Self {
        let (url, bytes, checked_by, message, mark, under) = Default::default();
        let (state, marked) = (VerifiedState::Extra, false);
        Self { path, state, url, bytes, checked_by, message, mark, marked, under }
    }

    fn with(self, url: &str, state: VerifiedState, message: &str) -> Self {
        let (url, message) = (Some(url.to_owned()), Some(message.to_owned()));
        Self { url, state, message, ..self }
    }

    fn compared(
        self,
        saved: &SavedEntry<'_>,
        target: Option<HexSha256>,
        compared: FileCheck,
    ) -> Self {
        let FileCheck { state, bytes, by, message, under } = compared;
        let (state, why) = match state {
            FileState::Whole => (VerifiedState::Ok, None),
            FileState::Missing => (VerifiedState::Missing, Some(MarkReason::Missing)),
            FileState::Changed => (VerifiedState::Changed, Some(MarkReason::Changed)),
            // A mark would replace the file that is there, which is not ours.
            FileState::Displaced => (VerifiedState::Changed, None),
            FileState::Nameless => (VerifiedState::Nameless, None),
        };
        let by = by.unwrap_or("length");
        Self {
            state,
            url: Some(saved.url.clone().into_owned()),
            bytes,
            checked_by: (state == VerifiedState::Ok).then_some(by),
            message,
            mark: why.map(|why| Mark { id: saved.id, target, why }),
            under,
            ..self
        }
    }

    pub(super) fn as_json(&self, out: &mut impl Write) -> io::Result<()> {
        object(self, out)
    }

    pub(super) fn as_text(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "{} {}", self.state.word(), printable(&self.path))?;
        if let Some(by) = self.checked_by {
            write!(out, " ({})", if by == "length" { "size" } else { by })?;
        }
        if let Some(message) = &self.message {
            write!(out, ": {}", printable(message))?;
        }
        writeln!(out)
    }
}

/// The totals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "summary")]
pub struct Totals {
    /// Files in the manifest.
    pub files: u64,
    /// Unchanged files.
    pub ok: u64,
    /// Unchanged files that were compared only by length.
    pub by_length: u64,
    /// Bytes of unchanged files.
    pub bytes: u64,
    /// Missing files.
    pub missing: u64,
    /// Changed files.
    pub changed: u64,
    /// Incomplete files.
    pub unfinished: u64,
    /// Files and directories that cannot be read.
    pub unreadable: u64,
    /// Entries with a name that no file can have.
    pub nameless: u64,
    /// Files that are marked to be fetched again.
    pub marked: u64,
    /// Files that are not in the manifest.
    pub extra: u64,
    /// Invalid lines of the manifest.
    pub bad_lines: u64,
}

impl Totals {
    pub(super) fn add(&mut self, row: &VerifiedFile) {
        self.files += u64::from(row.state != VerifiedState::Extra);
        self.marked += u64::from(row.marked);
        *match row.state {
            VerifiedState::Ok => &mut self.ok,
            VerifiedState::Missing => &mut self.missing,
            VerifiedState::Changed => &mut self.changed,
            VerifiedState::Extra => &mut self.extra,
            VerifiedState::Unfinished => &mut self.unfinished,
            VerifiedState::Unreadable => &mut self.unreadable,
            VerifiedState::Nameless => &mut self.nameless,
        } += 1;
        if row.state == VerifiedState::Ok {
            self.bytes += row.bytes.unwrap_or(0);
            self.by_length += u64::from(row.checked_by == Some("length"));
        }
    }

    pub(super) fn as_json(&self, out: &mut impl Write) -> io::Result<()> {
        object(self, out)
    }

    pub(super) fn as_text(&self, out: &mut impl Write) -> io::Result<()> {
        let files = if self.files == 1 { "file" } else { "files" };
        let bytes = human_bytes(self.bytes);
        write!(out, "Verified {} of {} {files} ({bytes})", self.ok, self.files)?;
        let bad_lines =
            if self.bad_lines == 1 { "invalid manifest entry" } else { "invalid manifest entries" };
        let mut separator = ": ";
        for (count, what) in [
            (self.missing, "missing"),
            (self.changed, "changed"),
            (self.unfinished, "partial"),
            (self.unreadable, "unreadable"),
            (self.nameless, "with an invalid name"),
            (self.extra, "extra"),
            (self.bad_lines, bad_lines),
            (self.by_length, "checked by size only"),
        ] {
            if count > 0 {
                write!(out, "{separator}{count} {what}")?;
                separator = ", ";
            }
        }
        if self.marked > 0 {
            write!(out, ". Marked {} for download; run the fetch command again.", self.marked)?;
        }
        writeln!(out)
    }
}

fn object(object: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    write_json(&mut *out, object)?;
    out.write_all(b"\n")
}
