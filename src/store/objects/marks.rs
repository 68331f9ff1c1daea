//! Marks of bodies that must be fetched again, for `fetch verify`: manifest entries that are put together at the end.

use std::io;
use std::mem;
use std::sync::Mutex;

use super::pieces::PieceWriter;
use crate::object_access::Remote;
use crate::store::entry::{ManifestEntry, Mark};
use crate::sync::lock;

/// Marks that are not in the store yet. Threads may share them.
#[derive(Debug)]
pub(super) struct PendingMarks(Mutex<PieceWriter>);

impl PendingMarks {
    /// Marks that will be put from the piece with this number on.
    pub(super) fn new(next: u64) -> Self {
        Self(Mutex::new(PieceWriter::new(next)))
    }

    /// Records that the body of this name must be fetched again.
    ///
    /// # Errors
    /// If the entry cannot be serialized.
    pub(super) fn add(&self, path: &str, mark: Mark) -> io::Result<()> {
        lock(&self.0).push(&ManifestEntry::marked(path, mark))
    }

    /// Puts the marks, once.
    ///
    /// # Errors
    /// If the store does not take them.
    pub(super) fn put(&self, remote: &Remote) -> io::Result<()> {
        let mut marks = mem::replace(&mut *lock(&self.0), PieceWriter::new(0));
        let task_remote = remote.clone();
        let put = remote.wait(async move { marks.flush(&task_remote).await });
        put.map_err(io::Error::from)
    }
}
