//! Lists the files of the save directory.

use std::ffi::OsString;
use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;

use super::is_bookkeeping;
use crate::text::io_message;

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileEntry {
    /// Its path relative to the save directory, with `/`. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// An iterator over the files in a directory and below. It continues after an error; a file that is removed meanwhile
/// is not an error.
#[derive(Debug)]
pub(crate) struct WalkFiles {
    /// From the save directory to the one that is being read.
    levels: Vec<WalkLevel>,
}

#[derive(Debug)]
struct WalkLevel {
    dir: Dir,
    /// The path of the directory with a `/` at the end; empty for the save directory.
    prefix: String,
    /// Entries still to visit, last first.
    names: Vec<OsString>,
}

impl WalkFiles {
    pub(super) fn of(root: &Dir) -> io::Result<Self> {
        let mut level = WalkLevel::read(root.try_clone()?, String::new())?;
        level.names.retain(|name| !name.to_str().is_some_and(is_bookkeeping));
        Ok(Self { levels: vec![level] })
    }

    /// Visits an entry of the deepest level: returns a file, or enters a directory.
    fn visit(&mut self, name: &OsString, path: &str) -> io::Result<Option<FileEntry>> {
        let Some(WalkLevel { dir, .. }) = self.levels.last() else { return Ok(None) };
        let metadata = dir.symlink_metadata(name)?;
        if metadata.is_file() {
            return Ok(Some(FileEntry { name: path.to_owned(), bytes: metadata.len() }));
        }
        if metadata.is_dir() {
            let below = WalkLevel::read(dir.open_dir_nofollow(name)?, format!("{path}/"))?;
            self.levels.push(below);
        }
        Ok(None)
    }
}

impl Iterator for WalkFiles {
    type Item = io::Result<FileEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            let path = format!("{}{}", level.prefix, name.to_string_lossy());
            match self.visit(&name, &path) {
                Ok(None) => {}
                Ok(Some(listed)) => return Some(Ok(listed)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Some(Err(about(&path, &error))),
            }
        }
    }
}

impl WalkLevel {
    fn read(dir: Dir, prefix: String) -> io::Result<Self> {
        let names = dir.entries()?.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names: Vec<_> = names.collect::<io::Result<_>>()?;
        names.sort_unstable_by(|one, other| other.cmp(one));
        Ok(Self { dir, prefix, names })
    }
}

fn about(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name:?}: {}", io_message(error)))
}
