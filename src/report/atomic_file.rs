//! Where a report that is a file of its own comes to be: under a name of no meaning beside its place, which it takes in one step
//! when it is whole. What stood there before is there until then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::same::ensure_it_is_none_of;
use crate::plan::Source;

/// So much may wait before it has to be written.
const FULL: usize = 64 * 1024;

/// A file in the making.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    /// The name as it was given.
    path: PathBuf,
    /// What waits to be written.
    pub(crate) waiting: Vec<u8>,
    target: ReplaceTarget,
}

#[derive(Debug)]
enum ReplaceTarget {
    /// A file that is to take the name of another.
    Beside(NamedTempFile, PathBuf),
    /// What cannot be replaced: a pipe, a device.
    Straight(File),
}

impl AtomicFile {
    /// Opens a file to be written, and leaves what goes by its name as it is.
    ///
    /// # Errors
    /// Of the kind `InvalidInput` if it is one of `sources`, else those of opening it; they name the file.
    pub(crate) fn open(path: &Path, sources: &[Source]) -> io::Result<Self> {
        let target = ReplaceTarget::open(path, sources).map_err(|error| about(path, &error))?;
        Ok(Self { path: path.to_owned(), waiting: Vec::new(), target })
    }

    /// Writes what waits, if it is much.
    ///
    /// # Errors
    /// Those of the file; they name it.
    pub(crate) fn write_if_full(&mut self) -> io::Result<()> {
        if self.waiting.len() < FULL { Ok(()) } else { self.write_out() }
    }

    /// Writes what waits, and gives the file its name.
    ///
    /// # Errors
    /// Those of the file; they name it. It has not got its name then.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.write_out()?;
        let ReplaceTarget::Beside(file, path) = self.target else { return Ok(()) };
        file.persist(path).map(drop).map_err(|error| about(&self.path, &error.error))
    }

    fn write_out(&mut self) -> io::Result<()> {
        let written = match &mut self.target {
            ReplaceTarget::Beside(file, _) => file.write_all(&self.waiting),
            ReplaceTarget::Straight(file) => file.write_all(&self.waiting),
        };
        self.waiting.clear();
        written.map_err(|error| about(&self.path, &error))
    }
}

impl ReplaceTarget {
    fn open(path: &Path, sources: &[Source]) -> io::Result<Self> {
        // A link stays a link: it is the file it leads to that is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let there = match fs::metadata(&path) {
            Ok(there) if there.is_file() => Some(there),
            Ok(_) => return OpenOptions::new().write(true).open(&path).map(Self::Straight),
            Err(_) => None,
        };
        if there.is_some() {
            let file = OpenOptions::new().write(true).open(&path)?;
            let advice = "this is being read; write the report to another file";
            ensure_it_is_none_of(sources, &path, &file, advice)?;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        let permissions = there.map(|there| there.permissions()).or_else(usual);
        if let Some(permissions) = permissions {
            builder.permissions(permissions);
        }
        let file =
            builder.prefix(".fetch-report-").tempfile_in(folder.unwrap_or(Path::new(".")))?;
        Ok(Self::Beside(file, path))
    }
}

/// The permissions that new files get, the umask aside, which the system takes off.
#[cfg(unix)]
fn usual() -> Option<fs::Permissions> {
    use std::os::unix::fs::PermissionsExt;

    Some(fs::Permissions::from_mode(0o666))
}

/// The permissions that new files get are for the system to say.
#[cfg(not(unix))]
fn usual() -> Option<fs::Permissions> {
    None
}

/// The error as one of this file. A reader of it who has gone is not the reader of the rows on stdout.
fn about(path: &Path, error: &io::Error) -> io::Error {
    let kind = match error.kind() {
        ErrorKind::InvalidInput => ErrorKind::InvalidInput,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, format!("{}: {error}", path.display()))
}
