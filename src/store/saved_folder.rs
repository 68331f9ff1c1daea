//! A folder that was saved to, opened to see what has become of it: what its manifest says last of each name, and what
//! stands there. Never removes a file, writes to none but the manifest, and reads none outside the folder.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_std::fs::Dir;

use super::dir::{DirFile, FileEntry, FileKind, IfMissing, PathError, PlaceResult, SaveDir};
use super::each_entry;
use super::entry::{EntryKind, HexSha256, ManifestEntry, MarkReason, MarkedEntry, SavedEntry};
use super::lock::{Lock, LockError};
use super::manifest::{Manifest, ManifestLine};
use super::name_index::{IndexedOwner, NameCheck, NameIndex, NameKey};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::model::OverwriteRule;
use crate::naming;
use crate::text::io_message;

/// Bytes that are read at once.
const CHUNK: usize = 128 * 1024;

/// A folder that was saved to. Nobody saves to it meanwhile; threads may share it.
#[derive(Debug)]
pub struct SavedFolder {
    folder: SaveDir,
    manifest: Manifest,
    names: NameIndex,
    bad_lines: u64,
    purpose: OpenMode,
    /// `None` where only looking is possible.
    _lock: Option<Lock>,
}

/// Why a folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SavedFolderError {
    /// It is not there, or is no folder.
    #[error("{}: {}", dir.display(), io_message(reason))]
    NoFolder {
        /// The folder.
        dir: PathBuf,
        /// The system's words.
        reason: io::Error,
    },
    /// Nothing was ever saved to it.
    #[error("no manifest in {} (.fetch/manifest.jsonl); was it created with fetch --dir?", .0.display())]
    NoManifest(PathBuf),
    /// A run saves to it.
    #[error("{} is in use by another fetch process", .0.display())]
    Busy(PathBuf),
    /// The system does not let it be used.
    #[error("{}: {}", dir.display(), io_message(reason))]
    Unusable {
        /// The folder.
        dir: PathBuf,
        /// The system's words.
        reason: io::Error,
    },
}

/// What has become of a file that was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    /// In a word.
    pub standing: FileState,
    /// The length of the file that stands there; `None` where none does, or it was not looked at.
    pub bytes: Option<u64>,
    /// What it was compared by, beside its length; `None`: by nothing.
    pub by: Option<Algorithm>,
    /// What there is to say about it.
    pub message: Option<String>,
    /// The unfinished name that it still goes by, from the folder, where it does.
    pub under: Option<String>,
}

/// How a file that was saved stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It is as it was saved.
    Whole,
    /// It is not there.
    Missing,
    /// It is there, and not as it was saved.
    Changed,
    /// It is whole, but a file that is not ours has its name.
    Displaced,
    /// Its name can be that of no file: fetch did not write this entry.
    Nameless,
}

/// What a folder is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To look at what is there, and leave everything as it is.
    Look,
    /// To give whole files their names too that a killed run did not give them, and to mark what must be fetched again.
    Repair,
}

impl SavedFolder {
    /// Opens the folder at `dir`. `notice` is told of lines of its manifest that tell nothing. To only look, it need
    /// not be possible to write there.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn open(
        dir: &Path,
        purpose: OpenMode,
        notice: impl FnMut(&str),
    ) -> Result<Self, SavedFolderError> {
        let unusable = |reason| SavedFolderError::Unusable { dir: dir.to_owned(), reason };
        let folder =
            SaveDir::open(dir, IfMissing::Refuse).map_err(|reason| match reason.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => {
                    SavedFolderError::NoFolder { dir: dir.to_owned(), reason }
                }
                _ => unusable(reason),
            })?;
        let (bookkeeping, manifest) = recorded(&folder)
            .map_err(unusable)?
            .ok_or_else(|| SavedFolderError::NoManifest(dir.to_owned()))?;
        let lock = match (Lock::take(&bookkeeping), purpose) {
            (Ok(lock), _) => Some(lock),
            (Err(LockError::Busy), _) => return Err(SavedFolderError::Busy(dir.to_owned())),
            (Err(LockError::Io(_)), OpenMode::Look) => None,
            (Err(LockError::Io(reason)), OpenMode::Repair) => return Err(unusable(reason)),
        };
        let manifest = match purpose {
            OpenMode::Look => manifest,
            OpenMode::Repair => Manifest::open(&bookkeeping).map_err(unusable)?.0,
        };
        let (names, bad_lines) = last_lines(dir, &manifest, notice).map_err(unusable)?;
        Ok(Self { folder, manifest, names, bad_lines, purpose, _lock: lock })
    }

    /// Lines of the manifest that tell nothing.
    pub fn bad_lines(&self) -> u64 {
        self.bad_lines
    }

    /// Shows each name and the last entry about it to `visit`, in the order in which they were written, until it errs;
    /// for an entry that lacks something, `None`. Names that something else than ours has are left out.
    ///
    /// # Errors
    /// If the manifest cannot be read, and what `visit` returns.
    pub fn each(
        &self,
        mut visit: impl FnMut(&str, Option<ManifestEntry<'static>>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.manifest.visit(|line: ManifestLine<'_>| {
            let Ok(brief) = line.brief else { return Ok(()) };
            let holder = self.names.get(&key(&brief.path));
            if !matches!(holder, Some(IndexedOwner::Recorded { at, .. }) if at == line.at) {
                return Ok(());
            }
            match self.manifest.read(line.at) {
                Err(error) if error.kind() != ErrorKind::InvalidData => Err(error),
                entry => visit(&brief.path, entry.ok()),
            }
        })
    }

    /// What has become of a file that was saved.
    ///
    /// # Errors
    /// If it is there and cannot be read, or a whole file cannot be given its name.
    pub fn compare(&self, saved: &SavedEntry<'_>) -> io::Result<FileCheck> {
        let seat = match self.folder.seat_if_there(&saved.path) {
            Ok(Some(seat)) => seat,
            Ok(None) => return Ok(FileCheck::plain(FileState::Missing)),
            Err(PathError::Disk(_, error)) => return Err(error),
            Err(why) => return Ok(FileCheck::without_a_seat(&why)),
        };
        match self.unnamed(saved, &seat)? {
            Some(compared) => Ok(compared),
            None => looked_at(seat.found()?, || seat.open_file(), saved),
        }
    }

    /// The same of a file that is whole under its unfinished name, for lack of a rename. `None` if there is none, or if
    /// what has the final name is whole as well.
    fn unnamed(&self, saved: &SavedEntry<'_>, seat: &DirFile) -> io::Result<Option<FileCheck>> {
        let part = seat.part()?;
        if !matches!(part, FileKind::File { bytes, .. } if bytes == saved.bytes) {
            return Ok(None);
        }
        let whole = looked_at(part, || seat.open_part(), saved)?;
        if whole.standing != FileState::Whole {
            return Ok(None);
        }
        let over = if saved.replaces { OverwriteRule::File } else { OverwriteRule::Nothing };
        let is_free = seat.found()? == FileKind::Nothing || over == OverwriteRule::File;
        if is_free && self.purpose == OpenMode::Look {
            let message = Some("complete; will be renamed by the next run".to_owned());
            let under = Some(naming::part_of(&saved.path));
            return Ok(Some(FileCheck { message, under, ..whole }));
        }
        if is_free && seat.place(over)? == PlaceResult::Done {
            return Ok(Some(whole));
        }
        let there = looked_at(seat.found()?, || seat.open_file(), saved)?;
        if there.standing == FileState::Whole {
            return Ok(None);
        }
        let message = "a file that was not saved by fetch has this name; move it away";
        let compared = FileCheck::changed(there.bytes, message.to_owned());
        Ok(Some(FileCheck { standing: FileState::Displaced, ..compared }))
    }

    /// All files that the manifest does not tell of. After an error it goes on with what follows.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn extras(&self) -> io::Result<impl Iterator<Item = io::Result<FileEntry>>> {
        let files = self.folder.files()?;
        Ok(files.filter_map(|listed| {
            let knows = listed.and_then(|listed| Ok((self.knows(&listed.name)?, listed)));
            match knows {
                Ok((true, _)) => None,
                Ok((false, listed)) => Some(Ok(listed)),
                Err(error) => Some(Err(error)),
            }
        }))
    }

    fn knows(&self, name: &str) -> io::Result<bool> {
        if let Some(IndexedOwner::Recorded { check, at }) = self.names.get(&key(name)) {
            if check == NameCheck::of(name) {
                return Ok(true);
            }
            // While a new version is unfinished, the one that it is to replace still stands there.
            let replaced = |entry| matches!(entry, ManifestEntry::Partial(it) if it.path == name && it.replaces);
            if self.manifest.read(at).is_ok_and(replaced) {
                return Ok(true);
            }
        }
        let Some(whole) = name.strip_suffix(naming::PART_SUFFIX) else { return Ok(false) };
        let holder = self.names.get(&key(whole));
        Ok(
            matches!(holder, Some(IndexedOwner::Recorded { check, .. }) if check == NameCheck::of(name)),
        )
    }

    /// Writes down that the file of this name must be fetched again.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn mark(&self, path: &str, id: HexSha256, why: MarkReason) -> io::Result<()> {
        let entry = MarkedEntry { path: path.into(), id, why, marked_at: SystemTime::now() };
        self.manifest.append(&ManifestEntry::Marked(entry)).map(drop)
    }
}

impl FileCheck {
    fn plain(standing: FileState) -> Self {
        Self { standing, bytes: None, by: None, message: None, under: None }
    }

    fn without_a_seat(why: &PathError) -> Self {
        let standing = match why {
            PathError::Name(_) => FileState::Nameless,
            PathError::Outside(_) => FileState::Changed,
            PathError::Taken(_) | PathError::Disk(..) => FileState::Missing,
        };
        Self { message: Some(why.to_string()), ..Self::plain(standing) }
    }

    fn changed(bytes: Option<u64>, message: String) -> Self {
        Self { bytes, message: Some(message), ..Self::plain(FileState::Changed) }
    }
}

/// Compares what stands under a name with what was saved. It is opened only if there is a digest to take.
fn looked_at(
    found: FileKind,
    open: impl FnOnce() -> io::Result<File>,
    saved: &SavedEntry<'_>,
) -> io::Result<FileCheck> {
    let bytes = match found {
        FileKind::Nothing => return Ok(FileCheck::plain(FileState::Missing)),
        FileKind::Other => return Ok(FileCheck::changed(None, "not a regular file".to_owned())),
        FileKind::File { bytes, .. } => bytes,
    };
    if bytes != saved.bytes {
        let message = format!("size {bytes}, expected {}", saved.bytes);
        return Ok(FileCheck::changed(Some(bytes), message));
    }
    let digest = saved.version().digest.and_then(|text| text.parse::<Digest>().ok());
    let by = digest.map(|digest| digest.algorithm());
    if let Some(digest) = digest
        && digest_of(open()?, digest.algorithm())? != digest
    {
        let message = format!("{} mismatch", digest.algorithm().name());
        return Ok(FileCheck::changed(Some(bytes), message));
    }
    Ok(FileCheck { bytes: Some(bytes), by, ..FileCheck::plain(FileState::Whole) })
}

fn digest_of(mut file: File, algorithm: Algorithm) -> io::Result<Digest> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The folder of bookkeeping and the manifest in it, as it is; `None` where there is none.
fn recorded(folder: &SaveDir) -> io::Result<Option<(Dir, Manifest)>> {
    let Some(bookkeeping) = folder.bookkeeping_if_there()? else { return Ok(None) };
    let manifest = Manifest::look(&bookkeeping)?;
    Ok(manifest.map(|manifest| (bookkeeping, manifest)))
}

/// Which line is the last about each name, and how many lines tell nothing.
fn last_lines(
    dir: &Path,
    manifest: &Manifest,
    mut notice: impl FnMut(&str),
) -> io::Result<(NameIndex, u64)> {
    let mut names = NameIndex::new();
    let bad = each_entry(
        dir,
        manifest,
        |text| notice(&text),
        |at, brief| {
            // Told by the name that is expected to stand there: the check is not of a URL here.
            let expected = match brief.kind {
                EntryKind::Saved | EntryKind::Marked => NameCheck::of(&*brief.path),
                EntryKind::Partial => NameCheck::of(naming::part_of(&brief.path)),
                EntryKind::Dropped => return names.set(&key(&brief.path), IndexedOwner::Folder),
            };
            names.set(&key(&brief.path), IndexedOwner::Recorded { check: expected, at })
        },
    )?;
    Ok((names, bad))
}

fn key(name: &str) -> NameKey {
    NameKey::of(&naming::key(name))
}
