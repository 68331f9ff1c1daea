//! The body bytes that a run may read in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::run_services::RunServices;
use crate::model::Failure;

/// What has been read of what may be.
#[derive(Debug)]
pub struct Quota {
    limit: Option<u64>,
    read: QuotaCount,
}

/// Who counts.
#[derive(Debug)]
enum QuotaCount {
    Local(AtomicU64),
    Parent(Arc<dyn RunServices>),
}

impl Quota {
    /// So many bytes, or any number.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit, read: QuotaCount::Local(AtomicU64::new(0)) }
    }

    /// The same where `parent` counts.
    pub fn remote(limit: Option<u64>, parent: Arc<dyn RunServices>) -> Self {
        Self { limit, read: QuotaCount::Parent(parent) }
    }

    /// So many more have been read.
    ///
    /// # Errors
    /// [`Failure::Quota`] if these are too many.
    pub fn take(&self, bytes: u64) -> Result<(), Failure> {
        let Some(limit) = self.limit else { return Ok(()) };
        let may_have = match &self.read {
            QuotaCount::Local(read) => read.fetch_add(bytes, Relaxed) + bytes <= limit,
            QuotaCount::Parent(parent) => parent.reserve(bytes),
        };
        if may_have { Ok(()) } else { Err(Failure::Quota { limit }) }
    }
}
