//! The writer of archive files: appends units to the newest archive, and creates the next one.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::io::{pwritev, retry_on_intr};

use super::spool_folder::SpoolFolder;
use super::unit::{AppendUnit, Piece};
use crate::plan::ArchiveFormat;
use crate::store::failpoint;
use crate::sync::lock;

/// The names of the archives in an object store, with their lengths in bytes.
pub(in crate::store) type StoredArchives = Arc<Mutex<HashMap<String, u64>>>;

/// How the archives of one prefix are named, and where they are.
#[derive(Debug, Clone)]
pub(super) struct ArchiveNames {
    /// The folder that they are in.
    pub folder: PathBuf,
    /// What their names begin with, before the number.
    pub stem: String,
    /// Their extension, without the dot in front.
    pub extension: &'static str,
    /// The complete archives, in an object store; `None` if all archives are in the folder.
    pub stored: Option<StoredArchives>,
}

/// The archive that is appended to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Current {
    /// The name of its file.
    pub name: String,
    /// The length of its known part, in bytes.
    pub length: u64,
    /// Bodies in it.
    pub bodies: u64,
    /// The keys of its samples, if it is a tar archive.
    pub keys: HashSet<u64>,
}

impl Current {
    /// An archive of this name, with nothing in it.
    pub(super) fn new(name: String) -> Self {
        Self { name, length: 0, bodies: 0, keys: HashSet::new() }
    }
}

/// Writes the newest archive.
#[derive(Debug)]
pub(super) struct ArchiveWriter {
    names: ArchiveNames,
    /// The newest archive; `None` if there is none that can be continued.
    current: Option<Current>,
    /// The highest number of an archive by the manifest; `None` if there is none.
    newest: Option<u64>,
    /// Its file, once this run has opened it.
    file: Option<File>,
    /// Whether a failed write may have left bytes after its end.
    is_torn: bool,
    /// The names of archives that are complete, for an object store.
    complete: Vec<String>,
}

impl ArchiveNames {
    /// The path of the archive of this name, always inside the folder: the name may come from a manifest.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(Path::new(name).file_name().unwrap_or_default())
    }

    /// Whether a path without symbolic links is that of an archive or of the index, or is in the folder of the manifest.
    pub(super) fn has(&self, path: &Path) -> bool {
        let Ok(folder) = self.folder.canonicalize() else { return false };
        let Ok(rest) = path.strip_prefix(folder) else { return false };
        let first = rest.components().next().and_then(|first| first.as_os_str().to_str());
        first.is_some_and(|first| {
            let beside = ["cdxj", "fetch"].map(|extension| format!("{}.{extension}", self.stem));
            beside.iter().any(|name| name == first) || self.number(first).is_some()
        })
    }

    /// The path of the file beside the archives that has this extension instead of a number and theirs.
    pub(super) fn beside(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.stem))
    }

    /// The length of the archive of this name, in bytes; `None` if there is none.
    pub(super) fn length(&self, name: &str) -> Option<u64> {
        let stored = self.stored.as_ref().and_then(|stored| lock(stored).get(name).copied());
        stored.or_else(|| fs::metadata(self.path(name)).ok().map(|file| file.len()))
    }

    /// Whether anything has this name.
    fn is_taken(&self, name: &str) -> bool {
        let is_stored = self.stored.as_ref().is_some_and(|stored| lock(stored).contains_key(name));
        is_stored || fs::symlink_metadata(self.path(name)).is_ok()
    }

    fn name(&self, number: u64) -> String {
        format!("{}-{number:05}.{}", self.stem, self.extension)
    }

    /// The number of the archive of this name.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let rest = name.strip_prefix(&self.stem)?.strip_prefix('-')?;
        rest.strip_suffix(self.extension)?.strip_suffix('.')?.parse().ok()
    }
}

/// The prefix of the archive with this path; `None` if the file name is not that of an archive.
pub(in crate::store) fn prefix_of(archive: &Path) -> Option<PathBuf> {
    let name = archive.file_name()?.to_str()?;
    let numbered = [ArchiveFormat::Warc, ArchiveFormat::Tar]
        .iter()
        .find_map(|format| name.strip_suffix(format.extension())?.strip_suffix('.'));
    let (stem, number) = numbered?.rsplit_once('-')?;
    let is_number = number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| archive.with_file_name(stem))
}

impl ArchiveWriter {
    /// A writer that continues `current`, or else begins with the number after `newest`.
    pub(super) fn new(names: ArchiveNames, current: Option<Current>, newest: Option<u64>) -> Self {
        Self { names, current, newest, file: None, is_torn: false, complete: Vec::new() }
    }

    /// The newest archive.
    pub(super) fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// Whether this run has opened the newest archive.
    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Removes the bytes after the known part of the newest archive. Returns whether they were anything but an end marker, so
    /// that a killed run has left them.
    ///
    /// # Errors
    /// If the file cannot be read or cut.
    pub(super) fn cut_torn_tail(&self) -> io::Result<bool> {
        let Some(current) = &self.current else { return Ok(false) };
        let path = self.names.path(&current.name);
        let length = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found?.len(),
        };
        if length <= current.length {
            return Ok(false);
        }
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let is_end = super::tar::is_end(&file, current.length, length)?;
        file.set_len(current.length)?;
        Ok(!is_end)
    }

    /// The name of the next archive. It is that of the newest one if its file was never created.
    pub(super) fn next_name(&self) -> io::Result<String> {
        let newest = self.current.as_ref();
        let is_unused =
            |current: &&Current| current.length == 0 && !self.names.path(&current.name).exists();
        if let Some(unused) = newest.filter(is_unused) {
            return Ok(unused.name.clone());
        }
        let mut number = self.newest.map_or(0, |newest| newest + 1);
        // Files of other programs are kept.
        while self.names.is_taken(&self.names.name(number)) {
            number += 1;
        }
        Ok(self.names.name(number))
    }

    /// Begins the archive of this name.
    ///
    /// # Errors
    /// If it exists or cannot be created.
    pub(super) fn create(&mut self, name: String) -> io::Result<()> {
        let path = self.names.path(&name);
        self.file = Some(OpenOptions::new().read(true).write(true).create_new(true).open(path)?);
        self.newest = self.newest.max(self.names.number(&name));
        let previous = self.current.replace(Current::new(name));
        if self.names.stored.is_some() {
            self.complete.extend(previous.map(|previous| previous.name));
        }
        failpoint::hit("archive_created");
        Ok(())
    }

    /// Opens the newest archive. Returns `false` if its file is missing, or shorter than its known part.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(super) fn reopen(&mut self) -> io::Result<bool> {
        let Some(current) = &self.current else { return Ok(false) };
        let path = self.names.path(&current.name);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        if file.metadata()?.len() < current.length {
            return Ok(false);
        }
        self.file = Some(file);
        Ok(true)
    }

    /// Appends a unit to the newest archive, which is open. Returns the byte at which the unit starts. If this fails, the
    /// archive is as it was before.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn append(&mut self, unit: &AppendUnit, work: &SpoolFolder) -> io::Result<u64> {
        let (Some(file), Some(current)) = (&mut self.file, &mut self.current) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let start = current.length;
        if self.is_torn {
            file.set_len(start)?;
            self.is_torn = false;
        }
        self.is_torn = true;
        let written = write_unit(file, start, unit, work);
        match written {
            Ok(()) => {
                current.length += unit.length();
                self.is_torn = false;
                Ok(start)
            }
            Err(error) => {
                // If this fails too, it is repeated before the next append.
                self.is_torn = file.set_len(start).is_err();
                Err(error)
            }
        }
    }

    /// Takes the names of the archives that were completed since the last call.
    #[cfg(feature = "object-store")]
    pub(super) fn take_complete(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complete)
    }

    /// Completes the newest archive.
    #[cfg(feature = "object-store")]
    pub(super) fn close(&mut self) {
        self.file = None;
        self.complete.extend(self.current.take().map(|current| current.name));
    }

    /// Counts a body in the newest archive, with its key.
    pub(super) fn count_body(&mut self, key: Option<u64>) {
        if let Some(current) = &mut self.current {
            current.bodies += 1;
            current.keys.extend(key);
        }
    }

    /// Writes an end marker, which the next unit overwrites.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write_end(&mut self, end: &[u8]) -> io::Result<()> {
        let (Some(file), Some(current)) = (&mut self.file, &self.current) else { return Ok(()) };
        file.seek(SeekFrom::Start(current.length))?;
        file.write_all(end)
    }

    /// Waits until the newest archive is on the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}

fn write_unit(
    file: &mut File,
    start: u64,
    unit: &AppendUnit,
    work: &SpoolFolder,
) -> io::Result<()> {
    let mut at = start;
    let mut slices = Vec::with_capacity(unit.pieces().len());
    for piece in unit.pieces() {
        match piece {
            Piece::Bytes(piece) => slices.push(IoSlice::new(piece)),
            Piece::File(name, length) => {
                at = write_slices(file, &mut std::mem::take(&mut slices), at)?;
                file.seek(SeekFrom::Start(at))?;
                failpoint::check("archive")?;
                let copied = io::copy(&mut work.open(name)?, file)?;
                if copied != *length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                at += length;
                failpoint::hit("archive_grown");
            }
        }
    }
    write_slices(file, &mut slices, at).map(drop)
}

/// Writes slices from the byte `at` on, as many per call as the system takes. Returns the byte after them.
fn write_slices(file: &File, mut slices: &mut [IoSlice<'_>], mut at: u64) -> io::Result<u64> {
    // Tests make this fail, or kill the process, between two slices.
    let at_once = if cfg!(debug_assertions) { 1 } else { slices.len() };
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        failpoint::check("archive")?;
        let next = &slices[..at_once.min(slices.len())];
        match retry_on_intr(|| pwritev(file, next, at))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                at += written as u64;
                IoSlice::advance_slices(&mut slices, written);
            }
        }
        failpoint::hit("archive_grown");
    }
    Ok(at)
}

/// The names of the archives with this prefix and extension, in a folder.
///
/// # Errors
/// `InvalidInput` if no file name can begin with the last part of the prefix.
pub(super) fn names_of(prefix: &Path, extension: &'static str) -> io::Result<ArchiveNames> {
    let stem = prefix.file_name().and_then(|name| name.to_str());
    let is_folder = prefix.as_os_str().as_encoded_bytes().ends_with(b"/");
    let Some(stem) = stem.filter(|_| !is_folder) else {
        let error = "expected the beginning of a file name in UTF-8, e.g. archives/crawl";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    };
    let folder = match prefix.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let (folder, stem) = (folder.to_owned(), stem.to_owned());
    Ok(ArchiveNames { folder, stem, extension, stored: None })
}
