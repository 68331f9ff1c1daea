//! The content of folders, to compare.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// The content of a directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum There {
    File(Vec<u8>),
    Folder,
    Link(String),
    Device,
}

/// Everything in a folder and below, by relative paths with `/`. Links are not followed.
pub fn all_in(folder: &Path) -> BTreeMap<String, There> {
    let mut all = BTreeMap::new();
    collect(folder, "", &mut all);
    all
}

fn collect(folder: &Path, prefix: &str, all: &mut BTreeMap<String, There>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        let kind = entry.file_type().unwrap();
        let there = if kind.is_dir() {
            collect(&path, &format!("{name}/"), all);
            There::Folder
        } else if kind.is_symlink() {
            There::Link(fs::read_link(&path).unwrap().display().to_string())
        } else if kind.is_file() {
            There::File(fs::read(&path).unwrap())
        } else {
            There::Device
        };
        all.insert(name, there);
    }
}

/// A temporary folder for thousands of files: in memory, if the machine has `/dev/shm`.
pub fn quick_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
