//! Compares archives with their manifest, for `fetch verify`: reads the record of each body and computes its digest.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use flate2::bufread::GzDecoder;

use super::load::{EntryFacts, LoadedManifest, Presence, bookkeeping_of, load, look};
use super::writer::{ArchiveNames, names_of};
use super::{payload_key, saved_key, tar};
use crate::digest::{Algorithm, Digest};
use crate::plan::ArchiveFormat;
use crate::store::dir::FileEntry;
use crate::store::entry::{ArchivedEntry, EntryKind, HexSha256, ManifestEntry, Mark, RecordEntry};
use crate::store::lock::{Lock, LockError};
use crate::store::manifest::Manifest;
use crate::store::name_index::IndexedOwner;
use crate::store::saved_folder::{FileCheck, FileState, OpenMode, SavedFolderError};

/// Bytes read at once.
const CHUNK: usize = 128 * 1024;

/// The longest head of a record or a reply, in bytes.
const MAX_HEAD_BYTES: u64 = 1 << 20;

/// The archives of one prefix, locked. Threads may share it.
#[derive(Debug)]
pub(crate) struct SavedArchive {
    names: ArchiveNames,
    manifest: Manifest,
    loaded: LoadedManifest,
    /// `None` if they cannot be locked and are opened read-only.
    _lock: Option<Lock>,
}

impl SavedArchive {
    /// Opens the archives of this prefix; `None` if there is no manifest of any. Calls `notice` with a warning about each
    /// invalid line of the manifest.
    ///
    /// # Errors
    /// See [`SavedFolderError`].
    pub(in crate::store) fn open(
        prefix: &Path,
        mode: OpenMode,
        notice: impl FnMut(&str),
    ) -> Result<Option<Self>, SavedFolderError> {
        let Ok(names) = names_of(prefix, ArchiveFormat::Warc.extension()) else { return Ok(None) };
        let unusable = |reason| SavedFolderError::Unusable { dir: prefix.to_owned(), reason };
        let path = bookkeeping_of(&names);
        let Some(manifest) = look(&path).map_err(unusable)? else { return Ok(None) };
        Self::open_with_manifest(prefix, names, &path, manifest, mode, notice).map(Some)
    }

    fn open_with_manifest(
        prefix: &Path,
        mut names: ArchiveNames,
        path: &Path,
        manifest: Manifest,
        mode: OpenMode,
        mut notice: impl FnMut(&str),
    ) -> Result<Self, SavedFolderError> {
        let unusable = |reason| SavedFolderError::Unusable { dir: prefix.to_owned(), reason };
        let bookkeeping = Dir::open_ambient_dir(path, ambient_authority()).map_err(unusable)?;
        let lock = match (Lock::take(&bookkeeping), mode) {
            (Ok(lock), _) => Some(lock),
            (Err(LockError::Busy), _) => return Err(SavedFolderError::Busy(prefix.to_owned())),
            (Err(LockError::Held(holder)), _) => {
                let (dir, bookkeeping) = (prefix.to_owned(), path.to_owned());
                return Err(SavedFolderError::Held { dir, bookkeeping, holder });
            }
            (Err(LockError::Io(_)), OpenMode::Look) => None,
            (Err(LockError::Io(reason)), OpenMode::Repair) => return Err(unusable(reason)),
        };
        let manifest = match mode {
            OpenMode::Look => manifest,
            OpenMode::Repair => Manifest::open(&bookkeeping).map_err(unusable)?.0,
        };
        names.extension = format_of(&manifest).map_err(unusable)?.extension();
        let notice = |text: String| notice(&text);
        let loaded = load(&names, &manifest, Presence::Any, notice).map_err(unusable)?;
        Ok(Self { names, manifest, loaded, _lock: lock })
    }

    /// Archives of this stem in an object store, as their manifest lists them. They are not locked.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    #[cfg(feature = "object-store")]
    pub(in crate::store) fn of_stored(
        stem: &str,
        manifest: Manifest,
        mut notice: impl FnMut(&str),
    ) -> io::Result<Self> {
        let names = names_of(Path::new(stem), format_of(&manifest)?.extension())?;
        let loaded = load(&names, &manifest, Presence::Any, |text: String| notice(&text))?;
        Ok(Self { names, manifest, loaded, _lock: None })
    }

    /// The number of invalid lines in the manifest.
    pub(in crate::store) fn bad_lines(&self) -> u64 {
        self.loaded.bad_lines
    }

    /// Calls `visit` with a name for the body of each target and the last entry about it (`None` if that cannot be parsed), in
    /// the order of the manifest.
    ///
    /// # Errors
    /// If the manifest cannot be read, and what `visit` returns.
    pub(in crate::store) fn each(
        &self,
        mut visit: impl FnMut(&str, Option<ManifestEntry<'static>>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.manifest.visit_lines(|_, at, line| {
            let facts = line.and_then(|line| serde_json::from_slice::<EntryFacts<'_>>(line).ok());
            let Some(EntryFacts { target: Some(target), path, .. }) = facts else { return Ok(()) };
            let owner = self.loaded.index.get(&saved_key(&target));
            if !matches!(owner, Some(IndexedOwner::Recorded { at: last, .. }) if last == at) {
                return Ok(());
            }
            match self.manifest.read(at) {
                Err(error) if error.kind() != ErrorKind::InvalidData => Err(error),
                Ok(ManifestEntry::Archived(entry)) => {
                    let name = body_name(&entry);
                    visit(&name, Some(ManifestEntry::Archived(entry)))
                }
                entry => visit(&path, entry.ok()),
            }
        })
    }

    /// Reads a body and compares it with its entry.
    ///
    /// # Errors
    /// If its archive exists and cannot be read.
    pub(in crate::store) fn compare(&self, entry: &ArchivedEntry<'_>) -> io::Result<FileCheck> {
        let path = self.names.path(&entry.saved.path);
        let length = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(FileCheck::plain(FileState::Missing));
            }
            found => found?.len(),
        };
        if entry.offset.saturating_add(entry.length) > length {
            let message = format!("the archive has {length} bytes");
            return Ok(FileCheck {
                message: Some(message),
                ..FileCheck::plain(FileState::Missing)
            });
        }
        let found = match &entry.record {
            Some(record) => self.check_record(&path, entry.offset, record, &entry.payload)?,
            None => check_member(&path, entry.offset, &entry.payload)?,
        };
        Ok(match found {
            Ok(()) => FileCheck {
                bytes: Some(entry.saved.bytes),
                by: Some(Algorithm::Sha256.name()),
                ..FileCheck::plain(FileState::Whole)
            },
            Err(message) => FileCheck::changed(None, message.to_owned()),
        })
    }

    /// Checks the record of a response and, if that is a revisit, the record with the body.
    fn check_record(
        &self,
        path: &Path,
        offset: u64,
        record: &RecordEntry,
        payload: &HexSha256,
    ) -> io::Result<Result<(), &'static str>> {
        let start = offset + record.offset;
        let own = read_record(path, start, record.length, !record.is_revisit)?;
        match own {
            Err(message) => Ok(Err(message)),
            Ok(digest) if !record.is_revisit => Ok(compare_digest(digest, payload)),
            Ok(_) => self.check_original(payload),
        }
    }

    /// Checks the record with the body that a revisit record refers to.
    fn check_original(&self, payload: &HexSha256) -> io::Result<Result<(), &'static str>> {
        const MISSING: &str = "the record that it refers to is missing";
        const DAMAGED: &str = "the record that it refers to is damaged";
        let owner = self.loaded.index.get(&payload_key(payload));
        let Some(IndexedOwner::Recorded { at, .. }) = owner else { return Ok(Err(MISSING)) };
        let (path, offset, record) = match self.manifest.read(at)? {
            ManifestEntry::Archived(entry) => (entry.saved.path, entry.offset, entry.record),
            ManifestEntry::Appended(entry) => (entry.path, entry.offset, entry.record),
            _ => return Ok(Err(MISSING)),
        };
        let Some(record) = record else { return Ok(Err(MISSING)) };
        let path = self.names.path(&path);
        let found = match read_record(&path, offset + record.offset, record.length, true) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Err(MISSING)),
            found => found?,
        };
        Ok(found.and_then(|digest| compare_digest(digest, payload)).map_err(|_| DAMAGED))
    }

    /// Bytes at the ends of archives that the manifest does not list: left by a killed run, or appended by another program.
    /// Each is named by its archive and the byte at which it begins.
    pub(in crate::store) fn extras(&self) -> Vec<io::Result<FileEntry>> {
        let mut ends: Vec<_> = self.loaded.ends.iter().collect();
        ends.sort_unstable();
        let unlisted = |(name, end): (&String, &u64)| match self.unlisted_length(name, *end) {
            Ok(0) => None,
            Ok(bytes) => Some(Ok(FileEntry { name: format!("{name}:{end}"), bytes })),
            Err(error) => Some(Err(error)),
        };
        ends.into_iter().filter_map(unlisted).collect()
    }

    fn unlisted_length(&self, name: &str, end: u64) -> io::Result<u64> {
        let file = match File::open(self.names.path(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            file => file?,
        };
        let length = file.metadata()?.len();
        let is_known = length <= end || self.is_tar() && tar::is_end(&file, end, length)?;
        Ok(if is_known { 0 } else { length - end })
    }

    fn is_tar(&self) -> bool {
        self.names.extension == ArchiveFormat::Tar.extension()
    }

    /// Records in the manifest that a body must be fetched again.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub(in crate::store) fn mark(&self, path: &str, mark: Mark) -> io::Result<()> {
        self.manifest.append(&ManifestEntry::marked(path, mark)).map(drop)
    }

    /// Whether the archive of the body with this name is missing.
    pub(in crate::store) fn is_missing(&self, name: &str) -> bool {
        let archive = name.split_once(':').map_or(name, |(archive, _)| archive);
        !self.names.path(archive).exists()
    }
}

/// The name of a body: `ARCHIVE:MEMBER` in a tar archive, else `ARCHIVE:OFFSET`.
fn body_name(entry: &ArchivedEntry<'_>) -> String {
    match &entry.member {
        Some(member) => format!("{}:{member}", entry.saved.path),
        None => name_at(&entry.saved.path, entry.offset),
    }
}

/// The name of the body that begins at this byte of an archive without member names.
pub(super) fn name_at(archive: &str, offset: u64) -> String {
    format!("{archive}:{offset}")
}

/// The format of the archives that a manifest lists.
fn format_of(manifest: &Manifest) -> io::Result<ArchiveFormat> {
    let mut is_tar = false;
    let tar = ArchiveFormat::Tar;
    manifest.visit_lines(|_, _, line| {
        let facts = line.and_then(|line| serde_json::from_slice::<EntryFacts<'_>>(line).ok());
        let is_of_archive = |facts: &EntryFacts<'_>| {
            matches!(facts.kind, EntryKind::Archived | EntryKind::Appended)
        };
        if let Some(facts) = facts.filter(is_of_archive) {
            is_tar |= facts.path.ends_with(&format!(".{}", tar.extension()));
        }
        Ok(())
    })?;
    Ok(if is_tar { tar } else { ArchiveFormat::Warc })
}

fn compare_digest(digest: Digest, payload: &HexSha256) -> Result<(), &'static str> {
    if digest.bytes() == payload.0 { Ok(()) } else { Err("sha-256 mismatch") }
}

/// Reads the record of `length` bytes at `start`. Returns the SHA-256 of its payload, or of its whole block unless
/// `has_payload`; or what is wrong with the record.
fn read_record(
    path: &Path,
    start: u64,
    length: u64,
    has_payload: bool,
) -> io::Result<Result<Digest, &'static str>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let member = BufReader::with_capacity(CHUNK, file.take(length));
    let mut content = BufReader::with_capacity(CHUNK, GzDecoder::new(member));
    match digest_of_record(&mut content, has_payload) {
        Ok(Some(digest)) => Ok(Ok(digest)),
        Ok(None) => Ok(Err("no record of a response")),
        Err(error) => match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                Ok(Err("the record is damaged"))
            }
            _ => Err(error),
        },
    }
}

/// The SHA-256 of the payload of a record, or of its whole block unless `has_payload`; `None` if it is not the record of a
/// response. Reads to the end, so that the checksum of the gzip member is verified.
fn digest_of_record(content: &mut impl BufRead, has_payload: bool) -> io::Result<Option<Digest>> {
    let (mut length, mut is_record) = (None, false);
    let mut left = MAX_HEAD_BYTES;
    loop {
        let mut line = Vec::new();
        left -= content.by_ref().take(left).read_until(b'\n', &mut line)? as u64;
        let line = line.strip_suffix(b"\r\n").ok_or(ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            break;
        }
        is_record |= line == b"WARC/1.1";
        if let Some(value) = line.strip_prefix(b"Content-Length: ") {
            length = str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok());
        }
    }
    let Some(length) = length.filter(|_| is_record) else { return Ok(None) };
    let mut block = content.by_ref().take(length);
    if has_payload {
        let mut left = MAX_HEAD_BYTES;
        loop {
            let mut line = Vec::new();
            left -= block.by_ref().take(left).read_until(b'\n', &mut line)? as u64;
            match &*line {
                b"\r\n" => break,
                _ if line.ends_with(b"\n") => {}
                _ => return Ok(None),
            }
        }
    }
    let digest = Digest::of_reader(Algorithm::Sha256, &mut block)?;
    let is_whole = block.limit() == 0;
    io::copy(content, &mut io::sink())?;
    Ok(Some(digest).filter(|_| is_whole))
}

/// Checks the member of a tar archive that starts at this byte.
fn check_member(
    path: &Path,
    start: u64,
    payload: &HexSha256,
) -> io::Result<Result<(), &'static str>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut header = [0; 512];
    file.read_exact(&mut header)?;
    let Some(length) = tar::length_of_member(&header) else {
        return Ok(Err("no file starts there"));
    };
    Ok(compare_digest(Digest::of_reader(Algorithm::Sha256, file.take(length))?, payload))
}
