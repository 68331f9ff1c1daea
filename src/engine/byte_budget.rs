//! A budget of bytes: a task that takes more than is left waits until others give back theirs.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which bytes are counted.
const UNIT: usize = 1024;

/// A budget; clones share it.
#[derive(Debug, Clone)]
pub(super) struct ByteBudget {
    left: Arc<Semaphore>,
    /// Units of the whole budget.
    all: usize,
}

impl ByteBudget {
    /// A budget of this many bytes, of which none is taken.
    pub(super) fn new(bytes: usize) -> Self {
        let all = bytes.div_ceil(UNIT);
        Self { left: Arc::new(Semaphore::new(all)), all }
    }

    /// Waits until this many bytes are left, and takes them until the permit is dropped. For more bytes than the budget has it
    /// waits until nothing else is taken.
    pub(super) async fn take(&self, bytes: usize) -> OwnedSemaphorePermit {
        let units = (bytes / UNIT).clamp(1, self.all);
        let left = Arc::clone(&self.left);
        left.acquire_many_owned(units as u32).await.expect("it is never closed")
    }
}
