//! What each worker is busy with, for a display to look at. Progress is not an event: nobody waits for it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use url::Url;

use super::redacted;

/// One worker's place on the board.
#[derive(Debug, Default)]
pub struct WorkerProgress {
    url: Mutex<Option<Url>>,
    bytes: AtomicU64,
    promised: AtomicU64,
}

impl WorkerProgress {
    /// The worker starts a request.
    pub fn begin(&self, url: &Url) {
        self.bytes.store(0, Relaxed);
        self.promised.store(0, Relaxed);
        *self.url.lock().expect("no holder panics") = Some(url.clone());
    }

    /// The reply promises so many body bytes.
    pub fn promise(&self, bytes: u64) {
        self.promised.store(bytes, Relaxed);
    }

    /// So many more body bytes have arrived.
    pub fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// The worker is done with the request.
    pub fn end(&self) {
        *self.url.lock().expect("no holder panics") = None;
        self.bytes.store(0, Relaxed);
    }

    /// What the worker is busy with, redacted; `None` while it waits.
    pub fn url(&self) -> Option<String> {
        self.url.lock().expect("no holder panics").as_ref().map(redacted)
    }

    /// Body bytes of the request in progress so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Body bytes promised by its Content-Length; `None` if none was sent.
    pub fn promised(&self) -> Option<u64> {
        Some(self.promised.load(Relaxed)).filter(|bytes| *bytes > 0)
    }
}

/// The board: one slot a worker.
#[derive(Debug)]
pub struct ProgressBoard(Box<[WorkerProgress]>);

impl ProgressBoard {
    /// A board for so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| WorkerProgress::default()).collect())
    }

    /// The slot of a worker, numbered from 1.
    pub fn worker(&self, worker: usize) -> &WorkerProgress {
        &self.0[worker - 1]
    }

    /// All slots, in the order of the workers.
    pub fn iter(&self) -> impl Iterator<Item = &WorkerProgress> {
        self.0.iter()
    }
}
