//! Whether a file that is about to be written is one that is being read, whatever the names that it goes by.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::plan::Source;

/// Makes sure that an open file is none of the sources. `advice` says what to do instead.
///
/// # Errors
/// Of the kind `InvalidInput` if it is one.
pub(super) fn ensure_it_is_none_of(
    sources: &[Source],
    path: &Path,
    file: &File,
    advice: &str,
) -> io::Result<()> {
    let is_read = sources.iter().any(|source| match source {
        Source::Argument(_) => false,
        Source::File(list) => is_same(path, file, list),
        Source::Stdin => is_same(path, file, Path::new("/dev/stdin")),
    });
    if is_read {
        return Err(io::Error::new(ErrorKind::InvalidInput, advice));
    }
    Ok(())
}

/// Whether an open file and the one of another name are one.
#[cfg(unix)]
fn is_same(_: &Path, file: &File, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    match (file.metadata(), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// Whether an open file and the one of another name are one, as far as names tell.
#[cfg(not(unix))]
fn is_same(path: &Path, _: &File, other: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
