//! Computes a digest that is asked for after a file was saved, and records it in the manifest.

use std::fs::File;
use std::io::{self, ErrorKind, Read};

use super::claim::{UndigestedFile, digest_of};
use super::entry::{HexSha256, ManifestEntry, SavedEntry};
use super::{OpenFolder, Store};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::model::Failure;

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

impl Store {
    /// Computes the missing digests of a saved file and adds them to the manifest. Returns the one that is asked for
    /// first; `None` if there is none or no local directory, if `is_cancelled` returns true before the file was read, or
    /// if its length has changed. This reads the whole file and must not run on the thread of an event loop.
    ///
    /// # Errors
    /// If the file cannot be read, or the manifest cannot be written.
    pub(crate) fn add_digests(
        &self,
        file: UndigestedFile,
        is_cancelled: impl Fn() -> bool,
    ) -> Result<Option<Digest>, Failure> {
        self.0.add_digests(file, &is_cancelled)
    }
}

impl OpenFolder {
    pub(super) fn add_digests(
        &self,
        file: UndigestedFile,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Digest>, Failure> {
        let UndigestedFile { mut saved, wanted } = file;
        let fault = |error: &io::Error| self.work_dir.io_failure(&saved.path, error, 0);
        let file = self
            .work_dir
            .folder
            .file(&saved.path)
            .map_err(|why| self.work_dir.path_failure(&saved.path, why))?;
        let file = file.open_file().map_err(|error| fault(&error))?;
        let digests =
            digests(file, saved.bytes, &wanted, is_cancelled).map_err(|error| fault(&error))?;
        let Some(digests) = digests else { return Ok(None) };
        digests.iter().for_each(|digest| set_digest(&mut saved, digest));
        let (name, first) = (saved.path.clone(), self.digests.first());
        let first = first.and_then(|algorithm| digest_of(&saved, *algorithm));
        let added = self.manifest.append(&ManifestEntry::Saved(*saved));
        added.map_err(|error| self.work_dir.manifest_failure(&name, &error, 0))?;
        Ok(first)
    }
}

/// The digests of a file; `None` if it is not `length` bytes long, or if `is_cancelled` returns true first.
fn digests(
    mut file: File,
    length: u64,
    wanted: &[Algorithm],
    is_cancelled: impl Fn() -> bool,
) -> io::Result<Option<Vec<Digest>>> {
    let mut hashers: Vec<_> = wanted.iter().map(|algorithm| Hasher::new(*algorithm)).collect();
    let (mut buffer, mut read) = (vec![0; CHUNK], 0);
    while !is_cancelled() {
        let piece = match file.read(&mut buffer) {
            Ok(0) => {
                let digests = hashers.into_iter().map(Hasher::finish);
                return Ok((read == length).then(|| digests.collect()));
            }
            Ok(piece) => &buffer[..piece],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        read += piece.len() as u64;
        hashers.iter_mut().for_each(|hasher| hasher.update(piece));
    }
    Ok(None)
}

/// Stores a digest in the field that a download would use. An entry has room for SHA-256 and one other.
fn set_digest(saved: &mut SavedEntry<'static>, digest: &Digest) {
    match digest.algorithm() {
        Algorithm::Sha256 => saved.sha256 = digest.bytes().try_into().ok().map(HexSha256),
        _ => saved.digest = Some(digest.to_string().into()),
    }
}
