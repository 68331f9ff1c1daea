//! A folder that was saved to, opened to see what has become of it: what its manifest says last of each name, and what
//! stands there. Never removes a file, writes to none but the manifest, and reads none outside the folder.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_std::fs::Dir;

use super::each_entry;
use super::entry::{Entry, Kind, Marked, Saved, Sha256, Why};
use super::folder::{Folder, Found, Listed, Missing, NoSeat, PART, Placed, Seat};
use super::index::{Check, Holder, Index, Key};
use super::lock::{Lock, LockError};
use super::manifest::{Line, Manifest};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::policy::naming;
use crate::record::Over;

/// Bytes that are read at once.
const CHUNK: usize = 128 * 1024;

/// A folder that was saved to. Nobody saves to it meanwhile; threads may share it.
#[derive(Debug)]
pub struct Archive {
    folder: Folder,
    manifest: Manifest,
    names: Index,
    bad_lines: u64,
    purpose: Purpose,
    /// `None` where only looking is possible.
    _lock: Option<Lock>,
}

/// Why a folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is not there, or is no folder.
    #[error("{}: {reason}", dir.display())]
    NoFolder {
        /// The folder.
        dir: PathBuf,
        /// The system's words.
        reason: io::Error,
    },
    /// Nothing was ever saved to it.
    #[error("{}: nothing was saved here by fetch: there is no .fetch/manifest.jsonl", .0.display())]
    NoManifest(PathBuf),
    /// A run saves to it.
    #[error("{}: another run is at work in this folder; wait for it", .0.display())]
    Busy(PathBuf),
    /// The system does not let it be used.
    #[error("{}: {reason}", dir.display())]
    Unusable {
        /// The folder.
        dir: PathBuf,
        /// The system's words.
        reason: io::Error,
    },
}

/// What has become of a file that was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// In a word.
    pub standing: Standing,
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
pub enum Standing {
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
pub enum Purpose {
    /// To look at what is there, and leave everything as it is.
    Look,
    /// To give whole files their names too that a killed run did not give them, and to mark what must be fetched again.
    Repair,
}

impl Archive {
    /// Opens the folder at `dir`. `notice` is told of lines of its manifest that tell nothing. To only look, it need
    /// not be possible to write there.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn open(
        dir: &Path,
        purpose: Purpose,
        notice: impl FnMut(&str),
    ) -> Result<Self, ArchiveError> {
        let unusable = |reason| ArchiveError::Unusable { dir: dir.to_owned(), reason };
        let folder = Folder::open(dir, Missing::Refuse).map_err(|reason| match reason.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                ArchiveError::NoFolder { dir: dir.to_owned(), reason }
            }
            _ => unusable(reason),
        })?;
        let (bookkeeping, manifest) = recorded(&folder)
            .map_err(unusable)?
            .ok_or_else(|| ArchiveError::NoManifest(dir.to_owned()))?;
        let lock = match (Lock::take(&bookkeeping), purpose) {
            (Ok(lock), _) => Some(lock),
            (Err(LockError::Busy), _) => return Err(ArchiveError::Busy(dir.to_owned())),
            (Err(LockError::Io(_)), Purpose::Look) => None,
            (Err(LockError::Io(reason)), Purpose::Repair) => return Err(unusable(reason)),
        };
        let manifest = match purpose {
            Purpose::Look => manifest,
            Purpose::Repair => Manifest::open(&bookkeeping).map_err(unusable)?.0,
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
        mut visit: impl FnMut(&str, Option<Entry<'static>>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.manifest.visit(|line: Line<'_>| {
            let Ok(brief) = line.brief else { return Ok(()) };
            let holder = self.names.get(&key(&brief.path))?;
            if !matches!(holder, Some(Holder::Recorded { at, .. }) if at == line.at) {
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
    pub fn compare(&self, saved: &Saved<'_>) -> io::Result<Compared> {
        let seat = match self.folder.seat_if_there(&saved.path) {
            Ok(Some(seat)) => seat,
            Ok(None) => return Ok(Compared::plain(Standing::Missing)),
            Err(NoSeat::Disk(_, error)) => return Err(error),
            Err(why) => return Ok(Compared::without_a_seat(&why)),
        };
        match self.unnamed(saved, &seat)? {
            Some(compared) => Ok(compared),
            None => looked_at(seat.found()?, || seat.open_file(), saved),
        }
    }

    /// The same of a file that is whole under its unfinished name, for lack of a rename. `None` if there is none, or if
    /// what has the final name is whole as well.
    fn unnamed(&self, saved: &Saved<'_>, seat: &Seat) -> io::Result<Option<Compared>> {
        let part = seat.part()?;
        if !matches!(part, Found::File { bytes, .. } if bytes == saved.bytes) {
            return Ok(None);
        }
        let whole = looked_at(part, || seat.open_part(), saved)?;
        if whole.standing != Standing::Whole {
            return Ok(None);
        }
        let over = if saved.replaces { Over::File } else { Over::Nothing };
        let is_free = seat.found()? == Found::Nothing || over == Over::File;
        if is_free && self.purpose == Purpose::Look {
            let message = Some("the next run gives it its name".to_owned());
            let under = Some(naming::part_of(&saved.path));
            return Ok(Some(Compared { message, under, ..whole }));
        }
        if is_free && seat.place(over)? == Placed::Done {
            return Ok(Some(whole));
        }
        let there = looked_at(seat.found()?, || seat.open_file(), saved)?;
        if there.standing == Standing::Whole {
            return Ok(None);
        }
        let message = "a file that was not saved by fetch has its name; move it away";
        let compared = Compared::changed(there.bytes, message.to_owned());
        Ok(Some(Compared { standing: Standing::Displaced, ..compared }))
    }

    /// All files that the manifest does not tell of. After an error it goes on with what follows.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn extras(&self) -> io::Result<impl Iterator<Item = io::Result<Listed>>> {
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
        if let Some(Holder::Recorded { check, at }) = self.names.get(&key(name))? {
            if check == Check::of(name) {
                return Ok(true);
            }
            // While a new version is unfinished, the one that it is to replace still stands there.
            let replaced =
                |entry| matches!(entry, Entry::Partial(it) if it.path == name && it.replaces);
            if self.manifest.read(at).is_ok_and(replaced) {
                return Ok(true);
            }
        }
        let Some(whole) = name.strip_suffix(PART) else { return Ok(false) };
        let holder = self.names.get(&key(whole))?;
        Ok(matches!(holder, Some(Holder::Recorded { check, .. }) if check == Check::of(name)))
    }

    /// Writes down that the file of this name must be fetched again.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn mark(&self, path: &str, id: Sha256, why: Why) -> io::Result<()> {
        let entry = Marked { path: path.into(), id, why, marked_at: SystemTime::now() };
        self.manifest.append(&Entry::Marked(entry)).map(drop)
    }
}

impl Compared {
    fn plain(standing: Standing) -> Self {
        Self { standing, bytes: None, by: None, message: None, under: None }
    }

    fn without_a_seat(why: &NoSeat) -> Self {
        let standing = match why {
            NoSeat::Name(_) => Standing::Nameless,
            NoSeat::Outside(_) => Standing::Changed,
            NoSeat::Taken(_) | NoSeat::Disk(..) => Standing::Missing,
        };
        Self { message: Some(why.to_string()), ..Self::plain(standing) }
    }

    fn changed(bytes: Option<u64>, message: String) -> Self {
        Self { bytes, message: Some(message), ..Self::plain(Standing::Changed) }
    }
}

/// Compares what stands under a name with what was saved. It is opened only if there is a digest to take.
fn looked_at(
    found: Found,
    open: impl FnOnce() -> io::Result<File>,
    saved: &Saved<'_>,
) -> io::Result<Compared> {
    let bytes = match found {
        Found::Nothing => return Ok(Compared::plain(Standing::Missing)),
        Found::Other => return Ok(Compared::changed(None, "it is no regular file".to_owned())),
        Found::File { bytes, .. } => bytes,
    };
    if bytes != saved.bytes {
        let message = format!("{bytes} bytes instead of {}", saved.bytes);
        return Ok(Compared::changed(Some(bytes), message));
    }
    let digest = saved.version().digest.and_then(|text| text.parse::<Digest>().ok());
    let by = digest.map(|digest| digest.algorithm());
    if let Some(digest) = digest
        && digest_of(open()?, digest.algorithm())? != digest
    {
        let message = format!("its {} is another", digest.algorithm().name());
        return Ok(Compared::changed(Some(bytes), message));
    }
    Ok(Compared { bytes: Some(bytes), by, ..Compared::plain(Standing::Whole) })
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
fn recorded(folder: &Folder) -> io::Result<Option<(Dir, Manifest)>> {
    let Some(bookkeeping) = folder.bookkeeping_if_there()? else { return Ok(None) };
    let manifest = Manifest::look(&bookkeeping)?;
    Ok(manifest.map(|manifest| (bookkeeping, manifest)))
}

/// Which line is the last about each name, and how many lines tell nothing.
fn last_lines(
    dir: &Path,
    manifest: &Manifest,
    mut notice: impl FnMut(&str),
) -> io::Result<(Index, u64)> {
    let mut names = Index::in_memory();
    let bad = each_entry(
        dir,
        manifest,
        |text| notice(&text),
        |at, brief| {
            // Told by the name that is expected to stand there: the check is not of a URL here.
            let expected = match brief.kind {
                Kind::Saved | Kind::Marked => Check::of(&*brief.path),
                Kind::Partial => Check::of(naming::part_of(&brief.path)),
                Kind::Dropped => return names.set(&key(&brief.path), Holder::Folder),
            };
            names.set(&key(&brief.path), Holder::Recorded { check: expected, at })
        },
    )?;
    Ok((names, bad))
}

fn key(name: &str) -> Key {
    Key::of(&naming::key(name))
}
