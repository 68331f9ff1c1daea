//! Locks, and budgets of bytes.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which bytes are counted.
const UNIT: usize = 1024;

/// Locks a mutex.
///
/// # Panics
/// If a thread panicked while it held the lock: what the lock protects may be half changed then.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("lock poisoned")
}

/// A budget of bytes, which clones share: a task that takes more than is left waits until others give back theirs.
#[derive(Debug, Clone)]
pub(crate) struct ByteBudget {
    left: Arc<Semaphore>,
    /// Tasks that ask for some and do not have it yet.
    asking: Arc<AtomicUsize>,
    /// Units of the whole budget.
    all: usize,
}

impl ByteBudget {
    /// A budget of this many bytes, of which none is taken.
    pub(crate) fn new(bytes: usize) -> Self {
        let all = bytes.div_ceil(UNIT);
        Self { left: Arc::new(Semaphore::new(all)), asking: Arc::default(), all }
    }

    /// Waits until this many bytes are left, and takes them until the permit is dropped. For more bytes than the budget has it
    /// waits until nothing else is taken.
    pub(crate) async fn take(&self, bytes: usize) -> OwnedSemaphorePermit {
        let units = bytes.div_ceil(UNIT).clamp(1, self.all);
        let left = Arc::clone(&self.left);
        let _asking = Asking::new(&self.asking);
        left.acquire_many_owned(units as u32).await.expect("it is never closed")
    }

    /// Whether a task waits for some.
    pub(crate) fn is_wanted(&self) -> bool {
        self.asking.load(Relaxed) > 0
    }
}

/// Counts a task that asks, until it is dropped.
struct Asking<'a>(&'a AtomicUsize);

impl<'a> Asking<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
