//! Temporary files and folders, with errors that name the folder they belong in.

use std::env;
use std::fs::File;
use std::io;

use tempfile::NamedTempFile;

use crate::text::io_message;

/// Creates an unnamed temporary file in the folder that `TMPDIR` names, else in the system's.
///
/// # Errors
/// If it cannot be created; the error names the folder.
pub(crate) fn create() -> io::Result<File> {
    tempfile::tempfile().map_err(|error| uncreatable(&error))
}

/// Creates a temporary file whose name begins with `prefix`, for other processes to read. Dropping it deletes the file.
///
/// # Errors
/// If it cannot be created; the error names the folder.
pub(crate) fn named(prefix: &str) -> io::Result<NamedTempFile> {
    NamedTempFile::with_prefix(prefix).map_err(|error| uncreatable(&error))
}

/// Creates a temporary folder whose name begins with `prefix`. Dropping it deletes the folder.
///
/// # Errors
/// If it cannot be created; the error names the folder.
#[cfg(feature = "object-store")]
pub(crate) fn folder(prefix: &str) -> io::Result<tempfile::TempDir> {
    tempfile::TempDir::with_prefix(prefix).map_err(|error| uncreatable(&error))
}

/// Adds the folder to an error of creating a temporary file. The kind is kept.
fn uncreatable(error: &io::Error) -> io::Error {
    with_folder("create", error)
}

/// Adds the folder to an error of writing to a temporary file. The kind is kept.
pub(crate) fn unwritable(error: &io::Error) -> io::Error {
    with_folder("write", error)
}

fn with_folder(verb: &str, error: &io::Error) -> io::Error {
    let folder = env::temp_dir();
    // The library adds the path of the file, which does not exist, to the system's message.
    let reason = match innermost(error).raw_os_error() {
        Some(code) => io_message(&io::Error::from_raw_os_error(code)),
        None => io::Error::from(error.kind()).to_string(),
    };
    let text = format!("cannot {verb} a temporary file in {} (TMPDIR): {reason}", folder.display());
    io::Error::new(error.kind(), text)
}

/// The error that `error` wraps, if it wraps I/O errors; else `error` itself.
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
