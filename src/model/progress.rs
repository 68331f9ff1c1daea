//! The progress of each worker, for a display that samples it. Progress is not an event: nothing waits for it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use url::Url;

use super::redacted;

/// The progress of one worker.
#[derive(Debug, Default)]
pub struct WorkerProgress {
    url: Mutex<Option<Url>>,
    bytes: AtomicU64,
    promised: AtomicU64,
}

impl WorkerProgress {
    /// Starts a request.
    pub fn begin(&self, url: &Url) {
        self.bytes.store(0, Relaxed);
        self.promised.store(0, Relaxed);
        *self.url.lock().expect("lock poisoned") = Some(url.clone());
    }

    /// Sets the body bytes that the reply promises.
    pub fn promise(&self, bytes: u64) {
        self.promised.store(bytes, Relaxed);
    }

    /// Adds body bytes that arrived.
    pub fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Ends the request.
    pub fn end(&self) {
        *self.url.lock().expect("lock poisoned") = None;
        self.bytes.store(0, Relaxed);
    }

    /// The URL that the worker is fetching, redacted; `None` while it waits.
    pub fn url(&self) -> Option<String> {
        self.url.lock().expect("lock poisoned").as_ref().map(redacted)
    }

    /// Whether a request is in progress.
    pub fn is_busy(&self) -> bool {
        self.url.lock().expect("lock poisoned").is_some()
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

/// The progress of all workers.
#[derive(Debug)]
pub struct ProgressBoard(Box<[WorkerProgress]>);

impl ProgressBoard {
    /// A board for this number of workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| WorkerProgress::default()).collect())
    }

    /// The progress of a worker, numbered from 1.
    pub fn worker(&self, worker: usize) -> &WorkerProgress {
        &self.0[worker - 1]
    }

    /// The progress of each worker, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &WorkerProgress> {
        self.0.iter()
    }
}
