//! Rows: what is told of a file, and of all of them.

use std::io::{self, Write};

use serde::Serialize;

use crate::report::printable;
use crate::store::{
    FileCheck, FileState, HexSha256, ManifestEntry, MarkReason, SavedEntry, SavedFolder,
};
use crate::units::human_bytes;

/// What has become of one file.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "file")]
pub(super) struct VerifiedFile {
    /// Its name, from the folder.
    pub path: String,
    pub state: VerifiedState,
    /// Where it came from; `None` where the manifest does not say, or does not know the file.
    pub url: Option<String>,
    /// The length of the file that stands there; `None` where none does, or it was not looked at.
    pub bytes: Option<u64>,
    /// What it was found to be as it was saved by: an algorithm, or `length`.
    pub checked_by: Option<&'static str>,
    /// What there is to say about it.
    pub message: Option<String>,
    /// That it is to be fetched again.
    #[serde(skip)]
    pub mark: Option<(HexSha256, MarkReason)>,
    /// Whether that was said before.
    #[serde(skip)]
    pub marked: bool,
    /// The unfinished name that it still goes by.
    #[serde(skip)]
    pub under: Option<String>,
}

/// What has become of a file, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum VerifiedState {
    Ok,
    Missing,
    Changed,
    Extra,
    /// Begun, and not finished yet.
    #[serde(rename = "unchecked")]
    Unfinished,
    #[serde(rename = "unchecked")]
    Unreadable,
    /// Its name can be that of no file.
    #[serde(rename = "unchecked")]
    Nameless,
}

impl VerifiedState {
    /// Whether it is to be told even to those who want to hear little.
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
    /// What has become of the file of this name, which this entry is about.
    pub(super) fn of(
        archive: &SavedFolder,
        path: String,
        entry: Option<ManifestEntry<'_>>,
    ) -> Self {
        let blank = Self::blank(path);
        let Some(entry) = entry else {
            let message = Some("incomplete manifest entry".to_owned());
            return Self { state: VerifiedState::Unreadable, message, ..blank };
        };
        match entry {
            ManifestEntry::Saved(saved) => match archive.compare(&saved) {
                Ok(compared) => blank.compared(&saved, compared),
                Err(error) => blank.told(&saved.url, VerifiedState::Unreadable, &error.to_string()),
            },
            ManifestEntry::Partial(partial) => {
                blank.told(&partial.url, VerifiedState::Unfinished, "download incomplete")
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
            ManifestEntry::Dropped(_) => blank,
        }
    }

    /// A file that the manifest does not know.
    pub(super) fn extra(path: String, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..Self::blank(path) }
    }

    fn blank(path: String) -> Self {
        let (url, bytes, checked_by, message, mark, under) = Default::default();
        let (state, marked) = (VerifiedState::Extra, false);
        Self { path, state, url, bytes, checked_by, message, mark, marked, under }
    }

    fn told(self, url: &str, state: VerifiedState, message: &str) -> Self {
        let (url, message) = (Some(url.to_owned()), Some(message.to_owned()));
        Self { url, state, message, ..self }
    }

    fn compared(self, saved: &SavedEntry<'_>, compared: FileCheck) -> Self {
        let FileCheck { state, bytes, by, message, under } = compared;
        let (state, why) = match state {
            FileState::Whole => (VerifiedState::Ok, None),
            FileState::Missing => (VerifiedState::Missing, Some(MarkReason::Missing)),
            FileState::Changed => (VerifiedState::Changed, Some(MarkReason::Changed)),
            // Marked, the file in the way would be replaced; it is not ours.
            FileState::Displaced => (VerifiedState::Changed, None),
            FileState::Nameless => (VerifiedState::Nameless, None),
        };
        let by = by.map_or("length", |algorithm| algorithm.name());
        Self {
            state,
            url: Some(saved.url.clone().into_owned()),
            bytes,
            checked_by: (state == VerifiedState::Ok).then_some(by),
            message,
            mark: why.map(|why| (saved.id, why)),
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

/// What was found in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "summary")]
pub struct Totals {
    /// Files that the manifest tells of.
    pub files: u64,
    /// Those that are as they were saved.
    pub ok: u64,
    /// Those of them that were compared by length alone.
    pub by_length: u64,
    /// Bytes of those that are as they were saved.
    pub bytes: u64,
    /// Those that are not there.
    pub missing: u64,
    /// Those that are there, and not as they were saved.
    pub changed: u64,
    /// Those that were begun and not finished.
    pub unfinished: u64,
    /// Files and folders that cannot be read.
    pub unreadable: u64,
    /// Entries whose name can be that of no file.
    pub nameless: u64,
    /// Those that are to be fetched again, whenever that was found.
    pub marked: u64,
    /// Files that the manifest does not tell of.
    pub extra: u64,
    /// Lines of the manifest that tell nothing.
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
    serde_json::to_writer(&mut *out, object)?;
    out.write_all(b"\n")
}
