//! The body bytes that a run may read in all.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::record::Failure;

/// What has been read of what may be.
#[derive(Debug)]
pub struct Quota {
    limit: Option<u64>,
    read: AtomicU64,
}

impl Quota {
    /// So many bytes, or any number.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit, read: AtomicU64::new(0) }
    }

    /// So many more have been read.
    ///
    /// # Errors
    /// [`Failure::Quota`] if these are too many.
    pub fn take(&self, bytes: u64) -> Result<(), Failure> {
        let Some(limit) = self.limit else { return Ok(()) };
        let before = self.read.fetch_add(bytes, Relaxed);
        if before + bytes > limit { Err(Failure::Quota { limit }) } else { Ok(()) }
    }
}
