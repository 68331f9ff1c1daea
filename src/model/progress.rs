//! The progress board: the state of each worker and the hosts that wait, for a display that samples it. Unlike events,
//! progress is overwritten, not queued.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use url::Url;

use super::{WaitReason, redacted};

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

/// A host whose next request waits, whether or not a worker is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostWait {
    /// The host.
    pub host: Arc<str>,
    /// Why it waits.
    pub reason: WaitReason,
    /// When the wait ends; for an unreachable host, when it is given up. `None` if unknown.
    pub until: Option<Instant>,
    /// The number of its jobs that are not in progress.
    pub jobs: u64,
}

/// The progress of all workers, and the hosts that wait.
#[derive(Debug)]
pub struct ProgressBoard {
    workers: Box<[WorkerProgress]>,
    waits: Mutex<Vec<HostWait>>,
    is_watched: AtomicBool,
}

impl ProgressBoard {
    /// A board for this number of workers.
    pub fn new(workers: usize) -> Self {
        let workers = (0..workers).map(|_| WorkerProgress::default()).collect();
        Self { workers, waits: Mutex::default(), is_watched: AtomicBool::new(false) }
    }

    /// The progress of a worker, numbered from 1.
    pub fn worker(&self, worker: usize) -> &WorkerProgress {
        &self.workers[worker - 1]
    }

    /// The progress of each worker, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &WorkerProgress> {
        self.workers.iter()
    }

    /// Marks the board as sampled by a display; waits are only published if it is.
    pub fn watch(&self) {
        self.is_watched.store(true, Relaxed);
    }

    /// Whether a display samples the board.
    pub fn is_watched(&self) -> bool {
        self.is_watched.load(Relaxed)
    }

    /// Publishes the hosts that wait.
    pub fn set_waits(&self, waits: Vec<HostWait>) {
        *self.waits.lock().expect("lock poisoned") = waits;
    }

    /// The hosts that waited when they were last published.
    pub fn waits(&self) -> Vec<HostWait> {
        self.waits.lock().expect("lock poisoned").clone()
    }
}
