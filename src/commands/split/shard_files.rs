//! The files of `fetch split`: written under temporary names, and renamed together once all of them are complete. A hidden
//! index beside them lists the files that splits have written; other files are not replaced.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{self, Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::SplitError;
use crate::compression::FileCoding;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::plan::{ForeignFilePolicy, ListFormat, Source, SplitCommand};
use crate::text::io_message;

/// Bytes buffered in memory for all files together.
const MAX_BUFFERED_BYTES: usize = 64 * 1024 * 1024;

/// Bytes buffered for one file, at least and at most. If the files are compressed, they become one member or frame.
const BUFFER_BYTES: std::ops::RangeInclusive<usize> = 16 * 1024..=256 * 1024;

/// What the names of incomplete files begin with, and how many random characters follow.
const UNFINISHED: (&str, usize) = (".fetch-split-", 6);

/// The files of a split that is not complete.
pub(super) struct ShardFiles {
    names: ShardNames,
    coding: Option<FileCoding>,
    files: Vec<ShardFile>,
    /// Bytes of a file that are buffered before they are written.
    buffer_bytes: usize,
    /// The index of earlier splits.
    own: SplitIndex,
    /// The list, as the index names it.
    list: String,
    /// Whether existing files are replaced that no split has written, or that were changed since.
    foreign: ForeignFilePolicy,
    /// Held until the files are renamed.
    _lock: File,
}

struct ShardFile {
    name: String,
    file: NamedTempFile,
    /// Lines that are not written yet.
    lines: Vec<u8>,
    bytes: u64,
    digest: Hasher,
    entries: u64,
}

/// The index of the files of a split, which the next split reads.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SplitIndex {
    /// The path of the list, or `-` for stdin.
    #[serde(default)]
    list: Option<String>,
    files: BTreeSet<OwnFile>,
}

/// A file as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct OwnFile {
    name: String,
    bytes: u64,
    #[serde(default)]
    sha256: Option<String>,
}

/// The name of stdin in the index.
const STDIN: &str = "-";

/// The names of the files: `sites-00003-of-00064.txt.gz`.
#[derive(Debug)]
pub(super) struct ShardNames {
    dir: PathBuf,
    stem: String,
    extension: String,
}

impl ShardNames {
    /// The names of the shards of a list. `is_parquet`: its rows are written as JSON lines.
    pub(super) fn of(command: &SplitCommand, is_parquet: bool) -> Self {
        let name = match &command.source {
            Source::File(path) => {
                path.file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
            _ => "list".to_owned(),
        };
        let plain = [".gz", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end));
        let name = plain.unwrap_or(&name);
        let (stem, extension) = match name.rfind('.').filter(|dot| *dot > 0) {
            Some(dot) => name.split_at(dot),
            None => match command.lists.format {
                ListFormat::Csv => (name, ".csv"),
                ListFormat::Tsv => (name, ".tsv"),
                ListFormat::Jsonl => (name, ".jsonl"),
                _ => (name, ""),
            },
        };
        let extension = if is_parquet { ".jsonl" } else { extension };
        Self { dir: command.dir.clone(), stem: stem.to_owned(), extension: extension.to_owned() }
    }

    fn file(&self, shard: u32, shards: u32, coding: Option<FileCoding>) -> String {
        let Self { stem, extension, .. } = self;
        let coding = coding.map_or("", FileCoding::extension);
        format!("{stem}-{shard:05}-of-{shards:05}{extension}{coding}")
    }

    /// The name of the index, a hidden file.
    fn index(&self) -> String {
        format!(".{}{}.split.json", self.stem, self.extension)
    }
}

impl ShardFiles {
    /// Creates the files under temporary names; existing files stay as they are. `head` is the beginning of each file, such as
    /// the header line; it may be empty.
    ///
    /// # Errors
    /// If a file would be replaced that no split has written, another split is writing, or a file cannot be created.
    pub(super) fn create(
        command: &SplitCommand,
        names: ShardNames,
        coding: Option<FileCoding>,
        head: &[u8],
    ) -> Result<Self, SplitError> {
        let dir = &names.dir;
        let create = |error: io::Error| match dir.exists() && !dir.is_dir() {
            true => SplitError::Fatal(anyhow!("{}: is not a directory", dir.display())),
            false => unwritable(dir, &error),
        };
        fs::create_dir_all(dir).map_err(create)?;
        let lock = File::open(dir).map_err(|error| unwritable(dir, &error))?;
        if lock.try_lock().is_err() {
            return Err(SplitError::Usage(anyhow!(
                "another fetch split is writing {}",
                dir.display()
            )));
        }
        let own = SplitIndex::read(&dir.join(names.index())).map_err(SplitError::Usage)?;
        let list = list_name(&command.source);
        let shards = command.shards.get();
        let all: Vec<_> = (0..shards).map(|shard| names.file(shard, shards, coding)).collect();
        if command.foreign == ForeignFilePolicy::Stays {
            own.ensure_it_is_of(&list, dir).map_err(SplitError::Usage)?;
            let replaced: BTreeSet<_> =
                all.iter().chain(own.files.iter().map(|file| &file.name)).collect();
            let ensure =
                replaced.into_iter().try_for_each(|name| own.ensure_replaceable(dir, name));
            ensure.map_err(SplitError::Usage)?;
        }
        let per_file = MAX_BUFFERED_BYTES / shards as usize;
        let buffer_bytes = per_file.clamp(*BUFFER_BYTES.start(), *BUFFER_BYTES.end());
        let file = |name: String| -> io::Result<ShardFile> {
            let file = unfinished_file(dir)?;
            let mut lines = head.to_vec();
            if !head.is_empty() {
                lines.push(b'\n');
            }
            let digest = Hasher::new(Algorithm::Sha256);
            Ok(ShardFile { name, file, lines, bytes: 0, digest, entries: 0 })
        };
        let files = all.into_iter().map(file).collect::<io::Result<_>>();
        let files = files.map_err(|error| unwritable(dir, &error))?;
        let foreign = command.foreign;
        Ok(Self { coding, files, buffer_bytes, own, list, foreign, _lock: lock, names })
    }

    /// Adds the lines of an entry to a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn add(&mut self, shard: u32, lines: &[u8]) -> Result<(), SplitError> {
        let file = &mut self.files[shard as usize];
        file.entries += 1;
        file.lines.extend_from_slice(lines);
        file.lines.push(b'\n');
        if file.lines.len() < self.buffer_bytes {
            return Ok(());
        }
        file.write_out(self.coding).map_err(|error| unwritable(&self.names.dir, &error))
    }

    /// The number of entries of each file.
    pub(super) fn entries(&self) -> impl Iterator<Item = u64> {
        self.files.iter().map(|file| file.entries)
    }

    /// Completes and renames the files. Then deletes the other files of earlier splits of the list, and temporary files of
    /// killed splits.
    ///
    /// # Errors
    /// If one cannot be written or renamed: it has not replaced what was there.
    pub(super) fn finish(self) -> Result<(), SplitError> {
        let Self { names, coding, mut files, own, list, foreign, _lock, .. } = self;
        let dir = &names.dir;
        let mut unwritten = files.iter_mut().filter(|file| file.needs_write());
        let written = unwritten.try_for_each(|file| file.write_out(coding));
        written.map_err(|error| unwritable(dir, &error))?;
        let new: BTreeSet<_> = files.iter().map(ShardFile::index_entry).collect();
        let index = |files| SplitIndex { list: Some(list.clone()), files };
        // If this is interrupted, the next split finds all files of both splits in the index.
        let both = new.union(&own.files).cloned().collect();
        index(both).write(dir, &names.index()).map_err(|error| unwritable(dir, &error))?;
        for file in files {
            let path = dir.join(&file.name);
            let renamed = file.file.persist(&path);
            renamed.map_err(|error| unwritable(&path, &error.error))?;
        }
        let kept: BTreeSet<_> = new.iter().map(|file| &file.name).collect();
        for old in own.files.iter().filter(|old| !kept.contains(&old.name)) {
            let path = dir.join(&old.name);
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            let is_its_own = found.is_file() && found.len() == old.bytes;
            if is_its_own || foreign == ForeignFilePolicy::Replaced {
                fs::remove_file(&path).map_err(|error| unwritable(&path, &error))?;
            }
        }
        index(new).write(dir, &names.index()).map_err(|error| unwritable(dir, &error))?;
        // No other split uses them: it would hold the lock.
        remove_unfinished(dir);
        Ok(())
    }
}

impl ShardFile {
    /// Whether something is still to be written. A compressed file has a member or frame even if it has no lines.
    fn needs_write(&self) -> bool {
        self.bytes == 0 || !self.lines.is_empty()
    }

    fn write_out(&mut self, coding: Option<FileCoding>) -> io::Result<()> {
        let bytes = match coding {
            Some(coding) => &coding.encode(&self.lines)?,
            None => &self.lines,
        };
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
        self.lines.clear();
        Ok(())
    }

    /// The entry of the file in the index.
    fn index_entry(&self) -> OwnFile {
        let sha256 = Some(self.digest.clone().finish().hex());
        OwnFile { name: self.name.clone(), bytes: self.bytes, sha256 }
    }
}

impl SplitIndex {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let foreign = || format!("{} is not of fetch split; move it away", path.display());
        serde_json::from_slice(&text).with_context(foreign)
    }

    fn write(&self, dir: &Path, name: &str) -> io::Result<()> {
        let mut file = unfinished_file(dir)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.persist(dir.join(name)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Ensures that the files in the index, if any of them exist, are those of this list. Stdin may be another list each time.
    fn ensure_it_is_of(&self, list: &str, dir: &Path) -> anyhow::Result<()> {
        let Some(own) = &self.list else { return Ok(()) };
        let is_there = |file: &OwnFile| fs::symlink_metadata(dir.join(&file.name)).is_ok();
        if own == list && list != STDIN || !self.files.iter().any(is_there) {
            return Ok(());
        }
        let own = match own.as_str() {
            STDIN => "stdin, which may have been another list",
            own => own,
        };
        bail!(
            "{} has files of an earlier split of {own}; use another directory, or --overwrite",
            dir.display()
        )
    }

    /// Ensures that nothing is lost if a file of this name is replaced or deleted.
    fn ensure_replaceable(&self, dir: &Path, name: &str) -> anyhow::Result<()> {
        let path = dir.join(name);
        let Ok(found) = fs::symlink_metadata(&path) else { return Ok(()) };
        let own = self.files.iter().filter(|own| own.name == name && own.bytes == found.len());
        let own: Vec<_> = own.collect();
        if found.is_file() && !own.is_empty() {
            let sha256 = Some(sha256_of(&path)?);
            if own.iter().any(|own| own.sha256.is_none() || own.sha256 == sha256) {
                return Ok(());
            }
        }
        bail!(
            "{} exists, and is not as fetch split has written it; use another directory, or --overwrite",
            path.display()
        )
    }
}

/// The name of the list in the index: its absolute path, or [`STDIN`].
fn list_name(source: &Source) -> String {
    match source {
        Source::File(path) => {
            path::absolute(path).as_ref().unwrap_or(path).to_string_lossy().into_owned()
        }
        _ => STDIN.to_owned(),
    }
}

fn sha256_of(path: &Path) -> anyhow::Result<String> {
    let digest = File::open(path).and_then(|file| Digest::of_reader(Algorithm::Sha256, file));
    Ok(digest.with_context(|| format!("cannot read {}", path.display()))?.hex())
}

/// A file under a temporary name, which is deleted when it is dropped.
fn unfinished_file(dir: &Path) -> io::Result<NamedTempFile> {
    let (prefix, length) = UNFINISHED;
    tempfile::Builder::new().prefix(prefix).rand_bytes(length).tempfile_in(dir)
}

/// Deletes all files under temporary names. Errors are ignored.
fn remove_unfinished(dir: &Path) {
    let (prefix, length) = UNFINISHED;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(prefix));
        let is_unfinished = rest.is_some_and(|rest| rest.len() == length);
        if is_unfinished && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> SplitError {
    SplitError::Fatal(anyhow!("cannot write {}: {}", path.display(), io_message(error)))
}
