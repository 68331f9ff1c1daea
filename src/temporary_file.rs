//! Temporary files, whose errors name the folder.

use std::env;
use std::fs::File;
use std::io;

use tempfile::NamedTempFile;

use crate::text::io_message;

/// Creates an unnamed temporary file in the folder that `TMPDIR` names, else in the system's.
///
/// # Errors
/// If there can be none; the error says where.
pub(crate) fn create() -> io::Result<File> {
    tempfile::tempfile().map_err(|error| uncreatable(&error))
}

/// Creates a temporary file with a name that begins with `prefix`, for other processes to read. It is deleted when it is
/// dropped.
///
/// # Errors
/// If there can be none; the error says where.
pub(crate) fn named(prefix: &str) -> io::Result<NamedTempFile> {
    NamedTempFile::with_prefix(prefix).map_err(|error| uncreatable(&error))
}

/// Creates a temporary folder with a name that begins with `prefix`. It is deleted when it is dropped.
///
/// # Errors
/// If there can be none; the error says where.
#[cfg(feature = "object-store")]
pub(crate) fn folder(prefix: &str) -> io::Result<tempfile::TempDir> {
    tempfile::TempDir::with_prefix(prefix).map_err(|error| uncreatable(&error))
}

/// The error of creating a temporary file, with its place. The kind is kept.
fn uncreatable(error: &io::Error) -> io::Error {
    in_place("create", error)
}

/// The error of writing to such a file, with its place. The kind is kept.
pub(crate) fn unwritable(error: &io::Error) -> io::Error {
    in_place("write", error)
}

fn in_place(verb: &str, error: &io::Error) -> io::Error {
    let folder = env::temp_dir();
    // What the library adds to the system's words is the path of a file that is not there.
    let reason = match innermost(error).raw_os_error() {
        Some(code) => io_message(&io::Error::from_raw_os_error(code)),
        None => io::Error::from(error.kind()).to_string(),
    };
    let text = format!("cannot {verb} a temporary file in {} (TMPDIR): {reason}", folder.display());
    io::Error::new(error.kind(), text)
}

fn innermost(error: &io::Error) -> &io::Error {
    let inner = error.get_ref().and_then(std::error::Error::source);
    inner.and_then(|source| source.downcast_ref::<io::Error>()).map_or(error, innermost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_folder_and_the_systems_words() {
        let text = unwritable(&io::Error::from_raw_os_error(28)).to_string();
        assert!(text.starts_with("cannot write a temporary file in /"), "{text}");
        assert!(text.ends_with("(TMPDIR): No space left on device"), "{text}");
        assert_eq!(
            unwritable(&io::Error::from_raw_os_error(28)).kind(),
            io::ErrorKind::StorageFull
        );
    }
}
