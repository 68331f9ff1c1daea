//! The services of the run that a transfer depends on: the byte quota, the byte rate and the manifest of partial files.
//! Each exists once per run, in the parent process; a child process reaches them over its pipe.

use std::fmt::Debug;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;

use super::rate_limit::{Quota, RateLimiter};
use crate::model::Failure;
use crate::store::{BodyInfo, BodyStart, PartialRecorder, Store};

/// What a transfer asks of the run. Implemented by the process that carries the run and, over the pipe, by its children.
/// The manifest's part of it is [`PartialRecorder`], which the store declares because it is below this module.
pub(crate) trait RunServices: PartialRecorder {
    /// Counts body bytes that were read. Returns whether the quota covers them.
    fn reserve_bytes(&self, bytes: u64) -> bool;

    /// Waits until the caller may read from the network. `left` is the number of bytes that it still expects, if known.
    /// Returns the number of bytes that were charged in advance, for [`RunServices::report_read`].
    fn wait_for_rate(&self, left: Option<u64>) -> Pin<Box<dyn Future<Output = u64> + Send + '_>>;

    /// Charges bytes that were read, less those that were charged in advance.
    fn report_read(&self, bytes: u64, charged: u64);
}

/// The services in the process that carries the run.
#[derive(Debug)]
pub(super) struct LocalServices {
    rate_limiter: Option<RateLimiter>,
    quota: Option<Quota>,
    store: Store,
}

impl LocalServices {
    /// Services with a byte rate and a quota, each `None` if there is no limit.
    pub(super) fn new(rate: Option<NonZeroU64>, quota: Option<u64>, store: Store) -> Self {
        Self { rate_limiter: rate.map(RateLimiter::new), quota: quota.map(Quota::new), store }
    }
}

impl RunServices for LocalServices {
    fn reserve_bytes(&self, bytes: u64) -> bool {
        self.quota.as_ref().is_none_or(|quota| quota.reserve(bytes))
    }

    fn wait_for_rate(&self, left: Option<u64>) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        Box::pin(async move {
            match &self.rate_limiter {
                Some(rate_limiter) => rate_limiter.wait(left).await,
                None => 0,
            }
        })
    }

    fn report_read(&self, bytes: u64, charged: u64) {
        if let Some(rate_limiter) = &self.rate_limiter {
            rate_limiter.charge(bytes, charged);
        }
    }
}

impl PartialRecorder for LocalServices {
    fn record_partial(
        &self,
        body: &BodyInfo,
        begin: &BodyStart,
        bytes: u64,
    ) -> Result<(), Failure> {
        self.store.record_partial(body, begin, bytes)
    }
}
