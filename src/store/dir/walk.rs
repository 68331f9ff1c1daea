//! The files that are there.

use std::ffi::OsString;
use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;

use super::is_bookkeeping;
use crate::text::io_message;

/// A regular file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// From the folder, with `/`. What is not UTF-8 is told as U+FFFD.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// The files in a folder and below. After an error it goes on with what follows; a file that goes away meanwhile is
/// no error.
#[derive(Debug)]
pub struct WalkFiles {
    /// From the root to the folder that is being read.
    levels: Vec<WalkLevel>,
}

#[derive(Debug)]
struct WalkLevel {
    dir: Dir,
    /// The name of the folder with a `/` behind it; empty for the root.
    prefix: String,
    /// What is still to come, last first.
    names: Vec<OsString>,
}

impl WalkFiles {
    pub(super) fn of(root: &Dir) -> io::Result<Self> {
        let mut level = WalkLevel::read(root.try_clone()?, String::new())?;
        level.names.retain(|name| !name.to_str().is_some_and(is_bookkeeping));
        Ok(Self { levels: vec![level] })
    }

    /// Looks at an entry of the deepest level: a file to tell of, or a folder to go on in.
    fn look_at(&mut self, name: &OsString, told: &str) -> io::Result<Option<FileEntry>> {
        let Some(WalkLevel { dir, .. }) = self.levels.last() else { return Ok(None) };
        let there = dir.symlink_metadata(name)?;
        if there.is_file() {
            return Ok(Some(FileEntry { name: told.to_owned(), bytes: there.len() }));
        }
        if there.is_dir() {
            let below = WalkLevel::read(dir.open_dir_nofollow(name)?, format!("{told}/"))?;
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
            let told = format!("{}{}", level.prefix, name.to_string_lossy());
            match self.look_at(&name, &told) {
                Ok(None) => {}
                Ok(Some(listed)) => return Some(Ok(listed)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Some(Err(about(&told, &error))),
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
