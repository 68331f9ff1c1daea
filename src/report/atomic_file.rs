//! Report files that appear only when they are complete. Each is written under a temporary name in its folder, then renamed;
//! an existing file of its name stays until then. A report for an object store is uploaded when it is complete. No report
//! replaces an input of the same command, or a file that a run has saved.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::buffered::Buffered;
use crate::object_access::ObjectFile;
use crate::plan::{ObjectUrl, Source};
use crate::redaction::shows_secrets;
use crate::temporary_file;
use crate::text::io_message;

/// A report file that is not complete yet.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    /// The path as it was given.
    path: PathBuf,
    buffer: Buffered<ReplaceTarget>,
}

#[derive(Debug)]
enum ReplaceTarget {
    /// A temporary file, and the path that it is renamed to.
    Renamed(NamedTempFile, PathBuf),
    /// A pipe or a device, which cannot be replaced.
    Direct(File),
    /// An unnamed temporary file, and the object that it is uploaded as.
    Object(File, ObjectFile),
}

impl Write for ReplaceTarget {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Renamed(file, _) => file.write(bytes),
            Self::Direct(file) | Self::Object(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AtomicFile {
    /// Creates the temporary file; an existing file `path` is left as it is.
    ///
    /// # Errors
    /// `InvalidInput` if `path` is one of `sources`, else those of opening it. They name the file.
    pub(crate) fn create(path: &Path, sources: &[Source]) -> io::Result<Self> {
        // With `--no-redact`, any report may contain passwords.
        if shows_secrets() {
            return Self::create_private(path, sources);
        }
        Self::open(path, sources, None)
    }

    /// Like [`create`](Self::create), but only for local files. Only the owner may read and write the file, whatever the
    /// permissions of the file that it replaces.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub(crate) fn create_private(path: &Path, sources: &[Source]) -> io::Result<Self> {
        if ObjectUrl::of(path).is_some() {
            let advice = "it may hold secrets; name a local file";
            let error = io::Error::new(ErrorKind::InvalidInput, advice);
            return Err(cannot_write(path, &error));
        }
        Self::open(path, sources, Some(fs::Permissions::from_mode(0o600)))
    }

    fn open(
        path: &Path,
        sources: &[Source],
        permissions: Option<fs::Permissions>,
    ) -> io::Result<Self> {
        let target = ReplaceTarget::open(path, sources, permissions);
        let target = target.map_err(|error| cannot_write(path, &error))?;
        Ok(Self { path: path.to_owned(), buffer: Buffered::new(target) })
    }

    /// The buffer, for more lines.
    pub(crate) fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.buffer.lines
    }

    /// Writes the buffer if it is full.
    ///
    /// # Errors
    /// Those of the file; they name it.
    pub(crate) fn write_if_full(&mut self) -> io::Result<()> {
        if self.buffer.is_full() { self.write_out() } else { Ok(()) }
    }

    /// Writes the buffer and renames the file.
    ///
    /// # Errors
    /// Those of the file; they name it. It is not renamed then.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.write_out()?;
        let done = match self.buffer.into_writer() {
            ReplaceTarget::Renamed(file, path) => {
                file.persist(path).map(drop).map_err(|error| error.error)
            }
            ReplaceTarget::Object(file, object) => object.put(file),
            ReplaceTarget::Direct(_) => Ok(()),
        };
        done.map_err(|error| cannot_write(&self.path, &error))
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.buffer.write_out().map_err(|error| cannot_write(&self.path, &error))
    }
}

impl ReplaceTarget {
    /// `permissions`: those of the new file; `None`: those of the file that it replaces, or the usual ones.
    fn open(
        path: &Path,
        sources: &[Source],
        permissions: Option<fs::Permissions>,
    ) -> io::Result<Self> {
        if let Some(url) = ObjectUrl::of(path) {
            return Ok(Self::Object(temporary_file::create()?, ObjectFile::open(&url)?));
        }
        let path = written_path(path);
        let existing = match kind_of(&path, sources)? {
            OutputKind::New => None,
            OutputKind::Replaced => Some(fs::metadata(&path)?),
            OutputKind::Special => {
                return OpenOptions::new().write(true).open(&path).map(Self::Direct);
            }
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // A new file gets the usual permissions, from which the system takes the umask.
        let usual = || fs::Permissions::from_mode(0o666);
        let permissions = permissions.or(existing.map(|existing| existing.permissions()));
        let file = tempfile::Builder::new()
            .permissions(permissions.unwrap_or_else(usual))
            .prefix(".fetch-report-")
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        Ok(Self::Renamed(file, path))
    }
}

/// How an output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputKind {
    /// There is no file of its name.
    New,
    /// It replaces a regular file.
    Replaced,
    /// It is a pipe or a device, which is written to directly.
    Special,
}

/// How the output `path` is written.
///
/// # Errors
/// `InvalidInput` if it is a directory or one of `sources`, else those of opening it. They name the file.
pub(crate) fn ensure_replaceable(path: &Path, sources: &[Source]) -> io::Result<OutputKind> {
    let place = written_path(path);
    let kind = match fs::metadata(&place) {
        Ok(existing) if existing.is_dir() => {
            Err(io::Error::new(ErrorKind::InvalidInput, "it is a directory"))
        }
        _ => kind_of(&place, sources),
    };
    kind.map_err(|error| cannot_write(path, &error))
}

/// How the output whose [`written_path`] is `path` is written.
fn kind_of(path: &Path, sources: &[Source]) -> io::Result<OutputKind> {
    ensure_it_is_no_bookkeeping(path)?;
    match fs::metadata(path) {
        Ok(existing) if existing.is_file() => {
            let file = OpenOptions::new().write(true).open(path)?;
            ensure_it_is_no_input(&file, sources)?;
            ensure_it_is_no_saved_file(path)?;
            Ok(OutputKind::Replaced)
        }
        Ok(_) => Ok(OutputKind::Special),
        Err(_) => Ok(OutputKind::New),
    }
}

/// Maximum number of symbolic links that are followed, as on Linux.
const MAX_LINKS: usize = 40;

/// The path of the file that is written for `path`. A symbolic link is followed and kept: the file that it leads to is
/// replaced or created. The result has no links or `..` if its folder exists.
pub(crate) fn written_path(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")));
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// Ensures that the file whose [`written_path`] is `path` is not in the bookkeeping directory of saved files.
///
/// # Errors
/// `InvalidInput` if it is.
pub(super) fn ensure_it_is_no_bookkeeping(path: &Path) -> io::Result<()> {
    let is_bookkeeping = |folder: &Path| {
        // `.fetch` of a directory, `PREFIX.fetch` of archives.
        let name = folder.file_name().and_then(|name| name.to_str()).map(str::to_ascii_lowercase);
        name.is_some_and(|name| name.ends_with(".fetch")) && folder.join("manifest.jsonl").exists()
    };
    if path.ancestors().skip(1).any(is_bookkeeping) {
        let advice = "it is in the .fetch directory of saved files; name another file";
        return Err(io::Error::new(ErrorKind::InvalidInput, advice));
    }
    Ok(())
}

/// Ensures that the existing file whose [`written_path`] is `path` was not saved by a run: it is not an archive or its index,
/// and no save directory above it has an entry for it in its manifest.
///
/// # Errors
/// `InvalidInput` if it was; those of reading the manifest.
pub(super) fn ensure_it_is_no_saved_file(path: &Path) -> io::Result<()> {
    if is_archive(path) {
        let advice = "it is an archive of earlier runs, or its index; name another file";
        return Err(io::Error::new(ErrorKind::InvalidInput, advice));
    }
    for folder in path.ancestors().skip(1) {
        let manifest = folder.join(".fetch/manifest.jsonl");
        let name = path.strip_prefix(folder).ok().and_then(Path::to_str);
        let Some(name) = name.filter(|_| manifest.is_file()) else { continue };
        if has_entry(BufReader::new(File::open(manifest)?), name)? {
            let advice = "the name belongs to a saved file; name another file";
            return Err(io::Error::new(ErrorKind::InvalidInput, advice));
        }
    }
    Ok(())
}

/// Whether a file has the name of an archive, or of an index, and the manifest of its prefix is beside it.
fn is_archive(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let has_manifest = |stem: &str| {
        let bookkeeping = path.with_file_name(format!("{stem}.fetch"));
        !stem.is_empty() && bookkeeping.join("manifest.jsonl").is_file()
    };
    let numbered = [".warc.gz", ".tar"].iter().find_map(|end| name.strip_suffix(end));
    let stem = match numbered.and_then(|numbered| numbered.rsplit_once('-')) {
        Some((stem, number)) => {
            Some(stem).filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))
        }
        None => name.strip_suffix(".cdxj"),
    };
    stem.is_some_and(has_manifest)
}

/// Whether the last entry for `name` says that the file is saved or begun, not dropped.
fn has_entry(mut manifest: impl BufRead, name: &str) -> io::Result<bool> {
    #[derive(serde::Deserialize)]
    struct AnyEntry<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        path: Cow<'a, str>,
    }

    let (mut line, mut has) = (Vec::new(), false);
    while manifest.read_until(b'\n', &mut line)? > 0 {
        if let Ok(AnyEntry { kind, path }) = serde_json::from_slice(&line)
            && path == name
        {
            has = kind != "dropped";
        }
        line.clear();
    }
    Ok(has)
}

/// Ensures that a file to be written is not one of `sources`, whatever their names: devices and inodes are compared.
///
/// # Errors
/// `InvalidInput` if it is one of them.
pub(super) fn ensure_it_is_no_input(file: &File, sources: &[Source]) -> io::Result<()> {
    let written = file.metadata()?;
    let is_written = |input: &Path| {
        fs::metadata(input)
            .is_ok_and(|input| (input.dev(), input.ino()) == (written.dev(), written.ino()))
    };
    let is_input = sources.iter().any(|source| match source {
        Source::Argument(_) | Source::RemoteList(_) => false,
        Source::File(list) => is_written(list),
        Source::Stdin => is_written(Path::new("/dev/stdin")),
    });
    if is_input {
        let advice = "it is an input of this command; name another file";
        return Err(io::Error::new(ErrorKind::InvalidInput, advice));
    }
    Ok(())
}

/// Whether the cause of an error may be that `folder` does not exist.
fn is_missing(folder: &Path, error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound && !folder.exists()
}

/// Adds the name of the file to an error. Only the kind of a user's mistake (`InvalidInput`) is kept: a broken pipe here is
/// not that of standard output.
pub(super) fn cannot_write(path: &Path, error: &io::Error) -> io::Error {
    let kind = match error.kind() {
        ErrorKind::InvalidInput => ErrorKind::InvalidInput,
        _ => ErrorKind::Other,
    };
    // The name of a temporary file is of no use to the user.
    let message = io_message(error);
    let message = message.split(" at path \"").next().unwrap_or_default();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let message = match folder.filter(|folder| is_missing(folder, error)) {
        Some(folder) => format!("there is no directory {}", folder.display()),
        None => message.to_owned(),
    };
    io::Error::new(kind, format!("cannot write {}: {message}", path.display()))
}
