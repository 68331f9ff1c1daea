//! The body bytes that a run may read in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::parent::Parent;
use crate::record::Failure;

/// What has been read of what may be.
#[derive(Debug)]
pub struct Quota {
    limit: Option<u64>,
    read: Count,
}

/// Who counts.
#[derive(Debug)]
enum Count {
    Here(AtomicU64),
    There(Arc<dyn Parent>),
}

impl Quota {
    /// So many bytes, or any number.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit, read: Count::Here(AtomicU64::new(0)) }
    }

    /// The same where `parent` counts.
    pub fn of(limit: Option<u64>, parent: Arc<dyn Parent>) -> Self {
        Self { limit, read: Count::There(parent) }
    }

    /// So many more have been read.
    ///
    /// # Errors
    /// [`Failure::Quota`] if these are too many.
    pub fn take(&self, bytes: u64) -> Result<(), Failure> {
        let Some(limit) = self.limit else { return Ok(()) };
        let may_have = match &self.read {
            Count::Here(read) => read.fetch_add(bytes, Relaxed) + bytes <= limit,
            Count::There(parent) => parent.may_have(bytes),
        };
        if may_have { Ok(()) } else { Err(Failure::Quota { limit }) }
    }
}
