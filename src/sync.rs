//! Synchronization: mutexes and byte budgets.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of bytes per permit of a budget's semaphore.
const UNIT_BYTES: usize = 1024;

/// Locks a mutex.
///
/// # Panics
/// If a thread panicked while it held the lock, since the protected data may then be inconsistent.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("lock poisoned")
}

/// A budget of bytes, shared by its clones. A task that takes more than is left waits until others release theirs.
#[derive(Debug, Clone)]
pub(crate) struct ByteBudget {
    left: Arc<Semaphore>,
    /// The number of tasks in [`take`](Self::take).
    waiting: Arc<AtomicUsize>,
    /// The whole budget in units.
    total_units: usize,
}

impl ByteBudget {
    /// A budget of this many bytes, rounded up to a multiple of 1,024.
    pub(crate) fn new(bytes: usize) -> Self {
        let total_units = bytes.div_ceil(UNIT_BYTES);
        let left = Arc::new(Semaphore::new(total_units));
        Self { left, waiting: Arc::default(), total_units }
    }

    /// Waits until this many bytes are left, and takes them until the permit is dropped. A request for more bytes than the
    /// budget takes the whole budget.
    pub(crate) async fn take(&self, bytes: usize) -> OwnedSemaphorePermit {
        let units = bytes.div_ceil(UNIT_BYTES).clamp(1, self.total_units);
        let left = Arc::clone(&self.left);
        let _waiting = WaitingTask::new(&self.waiting);
        left.acquire_many_owned(units as u32).await.expect("it is never closed")
    }

    /// Whether a task waits for bytes.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }
}

/// Counts a waiting task until it is dropped.
struct WaitingTask<'a>(&'a AtomicUsize);

impl<'a> WaitingTask<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for WaitingTask<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
