//! The manifest in an object store: numbered objects below `.fetch/manifest/` (`STEM.fetch/manifest/` for archives), its
//! pieces, each with some lines. Together, in the order of their numbers, they are what `manifest.jsonl` is for a directory.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::object_access::{ObjectFault, Remote};
use crate::store::entry::ManifestEntry;
use crate::store::manifest::Manifest;

/// The folder of the pieces, below that of fetch's own objects.
pub(super) const FOLDER: &str = "manifest";

/// The most entries of a piece, and how long the first of them waits for others.
pub(super) const MAX_ENTRIES: usize = 1000;
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Pieces that are read at a time.
const READ_AHEAD: usize = 16;

/// Collects lines, and puts them as pieces.
#[derive(Debug)]
pub(super) struct PieceWriter {
    /// The number of the next piece.
    next: u64,
    /// Lines that are not in the store yet.
    lines: Vec<u8>,
    /// Their number.
    entries: usize,
    /// When the first of them was added.
    since: Instant,
}

impl PieceWriter {
    /// A writer of pieces from this number on.
    pub(super) fn new(next: u64) -> Self {
        let (lines, entries) = Default::default();
        Self { next, lines, entries, since: Instant::now() }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// If it cannot be serialized.
    pub(super) fn push(&mut self, entry: &ManifestEntry<'_>) -> io::Result<()> {
        if self.entries == 0 {
            self.since = Instant::now();
        }
        let length = self.lines.len();
        let written = serde_json::to_writer(&mut self.lines, entry);
        if written.is_err() {
            self.lines.truncate(length);
        }
        written?;
        self.lines.push(b'\n');
        self.entries += 1;
        Ok(())
    }

    /// Adds `number` lines of another manifest.
    pub(super) fn push_lines(&mut self, lines: &[u8], number: usize) {
        self.lines.extend_from_slice(lines);
        self.entries += number;
    }

    /// Whether the lines should be put now.
    pub(super) fn is_due(&self) -> bool {
        let is_old = self.entries > 0 && self.since.elapsed() >= MAX_WAIT;
        self.entries >= MAX_ENTRIES || is_old
    }

    /// Puts all lines that are not in the store. If that fails, the next call puts them.
    ///
    /// # Errors
    /// If the store does not take them.
    pub(super) async fn flush(&mut self, remote: &Remote) -> Result<(), ObjectFault> {
        while self.entries > 0 {
            let path = remote.own_path(&format!("{FOLDER}/{:08}.jsonl", self.next));
            self.next += 1;
            let payload = PutPayload::from(self.lines.clone());
            let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let put = match remote.store.put_opts(&path, payload.clone(), create).await {
                Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                    remote.store.put(&path, payload).await
                }
                put => put,
            };
            match put {
                // The reply to an earlier try was lost, or another run was faster. The lines are put under the next number,
                // so that they may be there twice.
                Err(Error::AlreadyExists { .. }) => {}
                Err(error) => {
                    self.next -= 1;
                    return Err(error.into());
                }
                Ok(_) => {
                    self.lines.clear();
                    self.entries = 0;
                }
            }
        }
        Ok(())
    }
}

/// Reads all pieces into `manifest`, and returns the number of the next one; `None` if there are none.
///
/// # Errors
/// If they cannot be read, or written to the local file of the manifest.
pub(super) async fn read_all(
    remote: &Remote,
    manifest: &Manifest,
) -> Result<Option<u64>, ObjectFault> {
    let folder = remote.own_path(FOLDER);
    let listed = remote.store.list(Some(&folder)).map_ok(|object| object.location);
    let mut paths: Vec<_> = listed.try_collect().await?;
    paths.sort_unstable_by(|one, other| {
        (one.as_ref().len(), one.as_ref()).cmp(&(other.as_ref().len(), other.as_ref()))
    });
    let next = paths.last().map(|last| piece_number(last).unwrap_or(paths.len() as u64) + 1);
    let store = Arc::clone(&remote.store);
    let read = move |path: Path| {
        let store = Arc::clone(&store);
        async move { store.get(&path).await?.bytes().await }
    };
    let mut pieces = stream::iter(paths).map(read).buffered(READ_AHEAD);
    while let Some(piece) = pieces.try_next().await? {
        manifest.adopt(&piece).map_err(|error| {
            ObjectFault::Broken(format!("cannot keep the manifest in a temporary file: {error}"))
        })?;
    }
    Ok(next)
}

fn piece_number(path: &Path) -> Option<u64> {
    path.filename()?.strip_suffix(".jsonl")?.parse().ok()
}
