//! The manifest: an append-only log of the files saved to a directory, one JSON object a line. A run that is killed
//! while it writes a line leaves it truncated, at the end; the next run removes it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard};

use cap_std::fs::{Dir, OpenOptions};

use super::entry::{EntrySummary, ManifestEntry};
use super::{failpoint, lock};
use crate::sync;

/// The name of the manifest in the `.fetch` directory.
const NAME: &str = "manifest.jsonl";

/// The longest line in bytes, newline included.
const MAX_LINE: usize = 64 * 1024;

/// Bytes read at once to read one entry; most are shorter.
const ENTRY_CHUNK: usize = 1024;

/// Bytes read at once to read all lines.
const CHUNK: usize = 256 * 1024;

/// The manifest of a directory. Threads may share it.
#[derive(Debug)]
pub(super) struct Manifest {
    file: File,
    writer: Mutex<ManifestWriter>,
}

#[derive(Debug)]
struct ManifestWriter {
    /// Bytes of complete lines.
    length: u64,
    /// Whether a failed write may have left bytes after them.
    truncated: bool,
    /// Lines that are queued.
    queued: Vec<u8>,
    /// The number of the batch that they belong to.
    batch: u64,
    /// The batches that could not be written, with the error.
    failed: Vec<(u64, io::ErrorKind)>,
}

/// An entry that is queued, not yet written.
#[derive(Debug)]
#[must_use]
pub(crate) struct PendingEntry {
    batch: u64,
    at: u64,
}

/// The state of the last line of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TailState {
    /// Complete, or there is none.
    Whole,
    /// It had no newline, which was added. It is an entry, or too long to be one.
    Ended,
    /// It was truncated, and its bytes, this many, were removed.
    CutOff(u64),
}

/// One line of the manifest.
#[derive(Debug)]
pub(super) struct ManifestLine<'a> {
    /// From 1.
    pub number: u64,
    /// The byte at which it starts, for [`Manifest::read`].
    pub at: u64,
    /// Its entry.
    pub summary: Result<EntrySummary<'a>, BadManifestLine>,
}

/// Why a line is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadManifestLine {
    /// It is longer than any entry.
    #[error("longer than 64 KiB")]
    TooLong,
    /// It is not JSON, or lacks a field that every entry has.
    #[error("{0}")]
    Unreadable(String),
}

/// Refuses what is no file under this name of the `.fetch` directory (`IsADirectory`, else `InvalidInput`): opening a fifo, a device or a
/// socket may block for ever, and the system's error about a directory does not say which. A name that nothing has is
/// all right.
///
/// # Errors
/// If it is no file.
pub(super) fn ensure_regular(dir: &Dir, name: &str) -> io::Result<()> {
    match dir.metadata(name) {
        Ok(found) if !found.is_file() => {
            let error = format!(".fetch/{name} is not a regular file; move it away");
            let is_dir = found.is_dir();
            let kind =
                if is_dir { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
            Err(io::Error::new(kind, error))
        }
        _ => Ok(()),
    }
}

/// Marks the run that has the manifest in `dir` as still running, for as long as the returned file is open. For child
/// processes, which may outlive their parent for a moment.
///
/// # Errors
/// If the file cannot be opened or locked.
pub(super) fn mark_running(dir: &Dir) -> io::Result<File> {
    ensure_regular(dir, NAME)?;
    let file = dir.open(NAME)?.into_std();
    lock::share(dir, &file)?;
    Ok(file)
}

impl Manifest {
    /// Opens or creates the manifest in `dir`, the `.fetch` directory, and repairs its last line. The caller holds the
    /// directory's [`Lock`](super::lock::Lock): two writers would undo each other's work.
    ///
    /// # Errors
    /// If it cannot be opened, read or repaired.
    pub(super) fn open(dir: &Dir) -> io::Result<(Self, TailState)> {
        ensure_regular(dir, NAME)?;
        let options = OpenOptions::new().create(true).read(true).append(true).clone();
        let file = dir.open_with(NAME, &options)?.into_std();
        // Waits for the children of a killed run, which need a moment to notice.
        lock::wait_until_unlocked(&file)?;
        let tail = repair(&file)?;
        let length = file.metadata()?.len();
        Ok((Self::of(file, length), tail))
    }

    /// Opens the manifest in `dir` read-only, up to its last complete line; another run may be appending to it. `None`
    /// if there is none.
    ///
    /// # Errors
    /// If it exists and cannot be opened or read.
    pub(super) fn look(dir: &Dir) -> io::Result<Option<Self>> {
        ensure_regular(dir, NAME)?;
        let file = match dir.open(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?.into_std(),
        };
        let length = file.metadata()?.len();
        let truncated = last_line(&file, length)?.len() as u64;
        Ok(Some(Self::of(file, length - truncated)))
    }

    /// An empty manifest that belongs to no directory.
    ///
    /// # Errors
    /// If no temporary file can be created.
    pub(super) fn empty() -> io::Result<Self> {
        Ok(Self::of(crate::temporary_file::create()?, 0))
    }

    /// `length`: the bytes of complete lines in the file.
    fn of(file: File, length: u64) -> Self {
        let writer = ManifestWriter {
            length,
            truncated: false,
            queued: Vec::new(),
            batch: 0,
            failed: Vec::new(),
        };
        Self { file, writer: Mutex::new(writer) }
    }

    /// Appends an entry and returns the byte at which its line starts. If this fails, the manifest is unchanged.
    ///
    /// # Errors
    /// As those of [`enter`](Self::enter) and [`commit`](Self::commit).
    pub(super) fn append(&self, entry: &ManifestEntry<'_>) -> io::Result<u64> {
        self.commit(self.enter(entry)?)
    }

    /// Queues an entry. It is written with all other queued ones by the first caller of [`commit`](Self::commit).
    ///
    /// # Errors
    /// If it is longer than 64 KiB (`InvalidInput`), which a long path can cause.
    pub(super) fn enter(&self, entry: &ManifestEntry<'_>) -> io::Result<PendingEntry> {
        let mut writer = self.writer();
        let before = writer.queued.len();
        let written = serde_json::to_writer(&mut writer.queued, entry);
        writer.queued.push(b'\n');
        let is_too_long = writer.queued.len() - before > MAX_LINE;
        if written.is_err() || is_too_long {
            writer.queued.truncate(before);
            written?;
            let error = "the manifest entry would exceed 64 KiB";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        Ok(PendingEntry { batch: writer.batch, at: writer.length + before as u64 })
    }

    /// Writes a queued entry, if another thread has not yet, and returns the byte at which its line starts. A batch
    /// that cannot be written leaves the manifest unchanged.
    ///
    /// # Errors
    /// If its batch cannot be written.
    pub(super) fn commit(&self, pending: PendingEntry) -> io::Result<u64> {
        let mut writer = self.writer();
        if writer.batch == pending.batch {
            writer.write(&self.file)?;
        } else if let Some((_, kind)) =
            writer.failed.iter().find(|(batch, _)| *batch == pending.batch)
        {
            return Err((*kind).into());
        }
        Ok(pending.at)
    }

    /// Appends lines that were written elsewhere.
    ///
    /// # Errors
    /// If they cannot be written.
    #[cfg(feature = "object-store")]
    pub(super) fn adopt(&self, lines: &[u8]) -> io::Result<()> {
        let mut writer = self.writer();
        writer.queued.extend_from_slice(lines);
        if writer.queued.last().is_some_and(|last| *last != b'\n') {
            writer.queued.push(b'\n');
        }
        writer.write(&self.file)
    }

    /// The bytes of all lines that are written.
    pub(super) fn length(&self) -> u64 {
        self.writer().length
    }

    /// The lines from this byte on of which `is_wanted` is true, up to the first of which it is not, at most so many, and
    /// their number.
    ///
    /// # Errors
    /// If they cannot be read.
    #[cfg(feature = "object-store")]
    pub(super) fn lines_from(
        &self,
        from: u64,
        most: usize,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> io::Result<(Vec<u8>, usize)> {
        let rest = self.length().saturating_sub(from);
        let mut reader = BufReader::new(OffsetReader { file: &self.file, at: from }.take(rest));
        let (mut lines, mut number) = (Vec::new(), 0);
        while number < most {
            let before = lines.len();
            if reader.read_until(b'\n', &mut lines)? == 0 || !is_wanted(&lines[before..]) {
                lines.truncate(before);
                break;
            }
            number += 1;
        }
        Ok((lines, number))
    }

    /// Waits until all appended entries are on the disk.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn sync(&self) -> io::Result<()> {
        failpoint::check("sync_manifest")?;
        self.file.sync_data()
    }

    /// The entry whose line starts at this byte.
    ///
    /// # Errors
    /// If it cannot be read, or no entry starts there (`InvalidData`, `UnexpectedEof`).
    pub(super) fn read(&self, at: u64) -> io::Result<ManifestEntry<'static>> {
        let mut line = Vec::new();
        let reader = BufReader::with_capacity(ENTRY_CHUNK, OffsetReader { file: &self.file, at });
        reader.take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice(&line)?)
    }

    /// Calls `visit` with every line, in the order in which they were appended, until it returns an error. Keeps one
    /// line in memory.
    ///
    /// # Errors
    /// If the file cannot be read, and what `visit` returns.
    pub(super) fn visit(
        &self,
        mut visit: impl FnMut(ManifestLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.visit_lines(|number, at, line| {
            let summary = line
                .ok_or(BadManifestLine::TooLong)
                .and_then(|line| serde_json::from_slice(line).map_err(BadManifestLine::from));
            visit(ManifestLine { number, at, summary })
        })
    }

    /// Calls `visit` with the number of every line, the byte at which it starts, and its text; `None` if it is longer
    /// than any entry.
    ///
    /// # Errors
    /// If the file cannot be read, and what `visit` returns.
    pub(super) fn visit_lines(
        &self,
        visit: impl FnMut(u64, u64, Option<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.visit_lines_before(u64::MAX, visit)
    }

    /// The same of the lines that start before this byte.
    ///
    /// # Errors
    /// As those of [`visit_lines`](Self::visit_lines).
    pub(super) fn visit_lines_before(
        &self,
        end: u64,
        mut visit: impl FnMut(u64, u64, Option<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        let whole = OffsetReader { file: &self.file, at: 0 }.take(self.writer().length);
        let mut reader = BufReader::with_capacity(CHUNK, whole);
        let mut line = Vec::new();
        let (mut at, mut number) = (0, 0);
        while at < end {
            line.clear();
            number += 1;
            let mut length = reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
            if length == 0 {
                break;
            }
            let text = line.strip_suffix(b"\n");
            if text.is_none() {
                length += reader.skip_until(b'\n')?;
            }
            visit(number, at, text)?;
            at += length as u64;
        }
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, ManifestWriter> {
        sync::lock(&self.writer)
    }
}

impl ManifestWriter {
    /// Writes all queued lines, or none.
    fn write(&mut self, mut file: &File) -> io::Result<()> {
        let batch = self.batch;
        self.batch += 1;
        let lines = std::mem::take(&mut self.queued);
        let written = self.repair(file).and_then(|()| {
            self.truncated = true;
            if let Some(error) = failpoint::error_at("append") {
                file.write_all(&lines[..lines.len() / 2])?;
                return Err(error);
            }
            file.write_all(&lines)
        });
        match &written {
            Ok(()) => {
                self.truncated = false;
                self.length += lines.len() as u64;
            }
            Err(error) => {
                self.failed.push((batch, error.kind()));
                // If this fails too, it is repeated before the next batch is written.
                let _ = self.repair(file);
            }
        }
        self.queued = lines;
        self.queued.clear();
        written
    }

    /// Truncates what a failed write has left.
    fn repair(&mut self, file: &File) -> io::Result<()> {
        if self.truncated {
            failpoint::check("repair")?;
            file.set_len(self.length)?;
            self.truncated = false;
        }
        Ok(())
    }
}

impl From<serde_json::Error> for BadManifestLine {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        // The parser sees one line only, so its line number is always 1.
        let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason);
        Self::Unreadable(reason.to_owned())
    }
}

/// Adds a missing newline to the last line of the file, or removes the line if it is truncated.
fn repair(mut file: &File) -> io::Result<TailState> {
    let length = file.metadata()?.len();
    let line = last_line(file, length)?;
    if line.is_empty() {
        return Ok(TailState::Whole);
    }
    // A line without a newline that is longer than any entry was not written by fetch. With a newline it is an invalid
    // line among others.
    if line.len() == MAX_LINE || serde_json::from_slice::<ManifestEntry<'_>>(&line).is_ok() {
        file.write_all(b"\n")?;
        return Ok(TailState::Ended);
    }
    let truncated = line.len() as u64;
    file.set_len(length - truncated)?;
    Ok(TailState::CutOff(truncated))
}

/// The bytes after the last newline in the first `length` bytes of the file; at most the last 64 KiB of them.
fn last_line(file: &File, length: u64) -> io::Result<Vec<u8>> {
    let start = length.saturating_sub(MAX_LINE as u64);
    let mut end = vec![0; (length - start) as usize];
    file.read_exact_at(&mut end, start)?;
    Ok(match end.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => end.split_off(newline + 1),
        None => end,
    })
}

/// Reads a file from a given byte on, without moving the file's own position.
struct OffsetReader<'a> {
    file: &'a File,
    at: u64,
}

impl Read for OffsetReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(into, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::{env, fs, thread};

    use cap_std::ambient_authority;
    use tempfile::TempDir;

    use super::*;
    use crate::store::entry::tests::{every_entry, saved};
    use crate::store::entry::{EntryKind, HexSha256, SavedEntry};

    fn open(folder: &TempDir) -> (Manifest, TailState) {
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        Manifest::open(&dir).unwrap()
    }

    fn text(folder: &TempDir) -> String {
        fs::read_to_string(folder.path().join(NAME)).unwrap()
    }

    /// A folder with a manifest of these bytes.
    fn folder_with(bytes: impl AsRef<[u8]>) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), bytes).unwrap();
        folder
    }

    type ManifestNotices = Result<(EntryKind, String), BadManifestLine>;

    /// What a pass finds, as far as it can be kept.
    fn lines(manifest: &Manifest) -> Vec<(u64, u64, ManifestNotices)> {
        let mut lines = Vec::new();
        let keep = |line: ManifestLine<'_>| {
            let summary = line.summary.map(|summary| (summary.kind, summary.path.into_owned()));
            lines.push((line.number, line.at, summary));
            Ok(())
        };
        manifest.visit(keep).unwrap();
        lines
    }

    #[test]
    fn every_entry_is_read_back_from_where_it_was_put() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, tail) = open(&folder);
        assert_eq!(tail, TailState::Whole);
        let places = every_entry().map(|entry| manifest.append(&entry).unwrap());
        let (again, tail) = open(&folder);
        assert_eq!(tail, TailState::Whole);
        for manifest in [&manifest, &again] {
            assert_eq!(places.map(|at| manifest.read(at).unwrap()), every_entry());
            let found: Vec<_> = lines(manifest).into_iter().map(|(_, at, _)| at).collect();
            assert_eq!(found, places);
        }
        assert_eq!(again.append(&every_entry()[0]).unwrap(), lines_end(&folder, 3));
        assert_eq!(text(&folder).lines().count(), 4);
    }

    /// The byte behind so many lines.
    fn lines_end(folder: &TempDir, count: usize) -> u64 {
        text(folder).split_inclusive('\n').take(count).map(|line| line.len() as u64).sum()
    }

    #[test]
    fn where_no_entry_starts_none_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, _) = open(&folder);
        manifest.append(&every_entry()[0]).unwrap();
        for nowhere in [1, lines_end(&folder, 1), 1 << 40] {
            assert!(manifest.read(nowhere).is_err(), "{nowhere}");
        }
    }

    #[test]
    fn a_line_torn_at_any_byte_is_cut_off_and_a_whole_one_is_ended() {
        let [first, second, _] = every_entry().map(|entry| serde_json::to_string(&entry).unwrap());
        for length in 0..=second.len() {
            let folder =
                folder_with([first.as_bytes(), b"\n", &second.as_bytes()[..length]].concat());
            let (manifest, tail) = open(&folder);
            let (expected, kept) = match length {
                0 => (TailState::Whole, format!("{first}\n")),
                _ if length == second.len() => (TailState::Ended, format!("{first}\n{second}\n")),
                _ => (TailState::CutOff(length as u64), format!("{first}\n")),
            };
            assert_eq!((tail, text(&folder)), (expected, kept.clone()), "{length}");
            let at = manifest.append(&every_entry()[2]).unwrap();
            assert_eq!(at, kept.len() as u64);
            assert_eq!(manifest.read(at).unwrap(), every_entry()[2]);
        }
    }

    #[test]
    fn a_manifest_of_one_torn_line_is_empty_again() {
        let folder = folder_with(b"{\"type\":\"sav");
        assert_eq!(open(&folder).1, TailState::CutOff(12));
        assert_eq!(text(&folder), "");
    }

    #[test]
    fn bad_lines_are_told_with_their_number_and_passed_over() {
        let [saved, ..] = every_entry().map(|entry| serde_json::to_string(&entry).unwrap());
        let long = "x".repeat(3 * MAX_LINE);
        let nearly = format!("{saved}{}", " ".repeat(MAX_LINE - 1 - saved.len()));
        let folder = folder_with(format!(
            "{saved}\n\u{0}\n{long}\n{{}}\n\n{nearly}\n{nearly} \n{saved}\n{long}"
        ));
        let (manifest, tail) = open(&folder);
        assert_eq!(tail, TailState::Ended);
        let found = lines(&manifest);
        let numbers: Vec<_> = found.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers, (1..=9).collect::<Vec<_>>());
        let good: Vec<_> = found.iter().filter(|(.., summary)| summary.is_ok()).collect();
        assert_eq!(good.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [1, 6, 8]);
        for (_, at, _) in good {
            assert_eq!(manifest.read(*at).unwrap(), every_entry()[0]);
        }
        let bad = |number: usize| found[number - 1].2.clone().unwrap_err();
        assert_eq!(
            [3, 7, 9].map(bad),
            [BadManifestLine::TooLong, BadManifestLine::TooLong, BadManifestLine::TooLong]
        );
        assert_eq!(bad(4).to_string(), "missing field `type`");
    }

    #[test]
    fn a_pass_ends_with_the_first_error_of_who_looks() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, _) = open(&folder);
        manifest.append(&every_entry()[0]).unwrap();
        manifest.append(&every_entry()[1]).unwrap();
        let mut seen = 0;
        let stopped = manifest.visit(|_| {
            seen += 1;
            Err(io::Error::other("enough"))
        });
        assert_eq!((seen, stopped.unwrap_err().to_string()), (1, "enough".to_owned()));
    }

    #[test]
    fn threads_that_add_at_once_write_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, _) = open(&folder);
        let mut places: Vec<(u64, String)> = thread::scope(|scope| {
            let add = |thread| {
                let manifest = &manifest;
                move || {
                    let add = |number| {
                        let path = format!("{thread}/{}", "x".repeat(number));
                        let entry = ManifestEntry::Saved(SavedEntry {
                            path: path.clone().into(),
                            ..saved()
                        });
                        (manifest.append(&entry).unwrap(), path)
                    };
                    (0..200).map(add).collect::<Vec<_>>()
                }
            };
            let threads: Vec<_> = (0..8).map(|thread| scope.spawn(add(thread))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        places.sort_unstable();
        let found: Vec<_> =
            lines(&manifest).into_iter().map(|(_, at, summary)| (at, summary.unwrap().1)).collect();
        assert_eq!(found, places);
    }

    #[test]
    fn entries_that_wait_are_written_together_by_whoever_commits_first() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, _) = open(&folder);
        let pending = every_entry().map(|entry| manifest.enter(&entry).unwrap());
        assert_eq!(text(&folder), "");
        let places = pending.map(|pending| {
            let at = manifest.commit(pending).unwrap();
            assert_eq!(text(&folder).lines().count(), 3);
            at
        });
        for (at, entry) in places.into_iter().zip(every_entry()) {
            assert_eq!(manifest.read(at).unwrap(), entry);
        }
    }

    #[test]
    fn all_of_a_batch_hear_that_it_could_not_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let (mut manifest, _) = open(&folder);
        let read_only = File::open(folder.path().join(NAME)).unwrap();
        let writable = std::mem::replace(&mut manifest.file, read_only);
        let [first, second, third] = every_entry();
        let lost = [manifest.enter(&first).unwrap(), manifest.enter(&second).unwrap()];
        assert!(lost.map(|pending| manifest.commit(pending)).iter().all(Result::is_err));
        manifest.file = writable;
        assert_eq!(manifest.append(&third).unwrap(), 0);
        assert_eq!(text(&folder).lines().count(), 1);
    }

    #[test]
    fn an_entry_that_is_too_long_is_refused_and_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, _) = open(&folder);
        let entry =
            ManifestEntry::Saved(SavedEntry { path: "p".repeat(MAX_LINE).into(), ..saved() });
        assert_eq!(manifest.append(&entry).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(manifest.append(&every_entry()[0]).unwrap(), 0);
    }

    #[test]
    fn an_entry_fits_however_long_its_url_and_validators_are() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, _) = open(&folder);
        let long = || "\"".repeat(1 << 20).into();
        let saved =
            SavedEntry { url: long(), etag: Some(long()), last_modified: Some(long()), ..saved() };
        assert_eq!(manifest.append(&ManifestEntry::Saved(saved)).unwrap(), 0);
    }

    /// Names the folder to the process in which the next test really happens.
    const LIMITED: &str = "FETCH_TEST_LIMITED_FOLDER";

    /// The limit of a file's size stands in for a disk that is full: the write that crosses it is cut short, and the
    /// next fails. It binds a whole process, so the test runs itself in one of its own.
    #[test]
    fn a_write_that_was_cut_short_is_undone() {
        if let Some(folder) = env::var_os(LIMITED) {
            return fill(&Dir::open_ambient_dir(folder, ambient_authority()).unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        let test = "store::manifest::tests::a_write_that_was_cut_short_is_undone";
        let limited = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact \"$1\""])
            .arg(env::current_exe().unwrap())
            .arg(test)
            .env(LIMITED, folder.path())
            .output()
            .unwrap();
        assert!(limited.status.success(), "{}", String::from_utf8_lossy(&limited.stdout));
        let (manifest, tail) = open(&folder);
        assert_eq!(tail, TailState::Whole, "nothing was left to repair");
        let kinds = lines(&manifest).into_iter().map(|(.., summary)| summary.unwrap().0);
        assert_eq!(kinds.collect::<Vec<_>>(), [EntryKind::Saved, EntryKind::Marked]);
    }

    /// Adds an entry, one that does not fit, and another that does.
    fn fill(dir: &Dir) {
        let (manifest, _) = Manifest::open(dir).unwrap();
        let length = || manifest.file.metadata().unwrap().len();
        manifest.append(&every_entry()[0]).unwrap();
        let before = length();
        let large =
            ManifestEntry::Saved(SavedEntry { path: "p".repeat(MAX_LINE / 2).into(), ..saved() });
        let refused = manifest.append(&large).unwrap_err();
        assert_eq!((refused.kind(), length()), (io::ErrorKind::FileTooLarge, before));
        assert_eq!(manifest.append(&every_entry()[2]).unwrap(), before);
    }

    #[test]
    fn what_a_failed_write_left_is_cut_off_before_the_next_even_if_it_could_not_be_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, _) = open(&folder);
        manifest.append(&every_entry()[0]).unwrap();
        (&manifest.file).write_all(b"{\"type\":").unwrap();
        manifest.writer().truncated = true;
        let at = manifest.append(&every_entry()[1]).unwrap();
        assert_eq!(at, lines_end(&folder, 1));
        assert_eq!(manifest.read(at).unwrap(), every_entry()[1]);
    }

    /// `cargo test --release --lib a_million -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn a_million_lines_are_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, _) = open(&folder);
        let start = std::time::Instant::now();
        for number in 0..1_000_000 {
            let path = format!("a.test/{number}.html");
            let saved = SavedEntry { path: path.into(), id: HexSha256([7; 32]), ..saved() };
            manifest.append(&ManifestEntry::Saved(saved)).unwrap();
        }
        let written = start.elapsed();
        let start = std::time::Instant::now();
        let mut count = 0;
        let counted = manifest.visit(|line| {
            count += u64::from(line.summary.is_ok());
            Ok(())
        });
        counted.unwrap();
        let bytes = manifest.writer().length;
        println!("{count} lines, {bytes} bytes: written {written:?}, read {:?}", start.elapsed());
    }
}
