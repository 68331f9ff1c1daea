//! Where targets are read from: opens what a plan names, reads nothing of it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use crate::digest::{ChecksumFile, ChecksumFileError, ExpectedDigests};
use crate::plan::{Plan, Source};

/// Where targets are read from.
pub enum OpenInput {
    /// A URL given on the command line.
    Argument(String),
    /// The text of a list.
    List {
        /// What the list is called in reports.
        name: Arc<str>,
        /// Its bytes.
        bytes: Box<dyn Read + Send>,
        /// How they come.
        pace: StreamKind,
    },
}

/// How the bytes of a list come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// All are there, as in a file.
    AtRest,
    /// Somebody may be writing them as we read, as in a pipe.
    Live,
}

/// A list that could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {name}: {reason}")]
pub struct ReadError {
    /// What the list is called.
    pub name: Arc<str>,
    /// The system's words.
    pub reason: io::Error,
}

/// Why the sources of a plan cannot be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the name is the list's; the reason the system's words
pub enum OpenError {
    /// Nothing has this name.
    #[error(
        "{name}: no such list; give a file with one URL a line, or a URL that starts with https:// or http://"
    )]
    Missing { name: String },
    /// It is a directory.
    #[error("{name}: is a directory; give a file with one URL a line")]
    Directory { name: String },
    /// The system does not let it be read.
    #[error("{name}: {reason}")]
    Refused { name: String, reason: io::Error },
    /// It is no file of sums.
    #[error("{name}: {reason}")]
    Sums { name: String, reason: ChecksumFileError },
    /// The file for failures is this list.
    #[error("--failed would overwrite the list \"{name}\"; name another file")]
    Overwritten { name: String },
}

/// What bodies must hash to, as a plan says and the file of sums that it names.
///
/// # Errors
/// If that file cannot be read, or is none.
pub fn wanted(plan: &Plan) -> Result<ExpectedDigests, OpenError> {
    let sums = plan.bodies.sums.as_deref().map(sums).transpose()?;
    Ok(ExpectedDigests { checksum: plan.bodies.checksum, sums })
}

fn sums(path: &Path) -> Result<ChecksumFile, OpenError> {
    let name = || path.display().to_string();
    let text = fs::read_to_string(path);
    let text = text.map_err(|reason| OpenError::Refused { name: name(), reason })?;
    ChecksumFile::parse(&text).map_err(|reason| OpenError::Sums { name: name(), reason })
}

/// Opens the sources of a plan, in its order.
///
/// # Errors
/// If one cannot be opened, or the run would write over it.
pub fn open_all(plan: &Plan) -> Result<Vec<OpenInput>, OpenError> {
    let inputs = plan.sources.iter().map(open).collect::<Result<_, _>>()?;
    if let Some(failed) = &plan.failed {
        ensure_it_is_not_a_list(&failed.path, &plan.sources)?;
    }
    Ok(inputs)
}

fn open(source: &Source) -> Result<OpenInput, OpenError> {
    match source {
        Source::Argument(text) => Ok(OpenInput::Argument(text.clone())),
        Source::Stdin => Ok(OpenInput::List {
            name: "-".into(),
            bytes: Box::new(io::stdin()),
            pace: StreamKind::Live,
        }),
        Source::File(path) => open_file(path),
    }
}

fn open_file(path: &Path) -> Result<OpenInput, OpenError> {
    let name = path.display().to_string();
    let refused = |reason: io::Error| match reason.kind() {
        ErrorKind::NotFound => OpenError::Missing { name: name.clone() },
        _ => OpenError::Refused { name: name.clone(), reason },
    };
    let file = File::open(path).map_err(refused)?;
    let kind = file.metadata().map_err(refused)?;
    if kind.is_dir() {
        return Err(OpenError::Directory { name });
    }
    let pace = if kind.is_file() { StreamKind::AtRest } else { StreamKind::Live };
    Ok(OpenInput::List { name: name.into(), bytes: Box::new(file), pace })
}

/// Whatever the names that both go by; a file that is not there yet is no list.
fn ensure_it_is_not_a_list(path: &Path, sources: &[Source]) -> Result<(), OpenError> {
    let Ok(written) = fs::canonicalize(path) else { return Ok(()) };
    for source in sources {
        if let Source::File(list) = source
            && fs::canonicalize(list).is_ok_and(|list| list == written)
        {
            return Err(OpenError::Overwritten { name: list.display().to_string() });
        }
    }
    Ok(())
}
