//! The services of the run that a transfer depends on: the byte quota, the byte rate, the memory for decoders and the
//! manifest of partial files. Each exists once per run, in the parent process; a child process reaches them over its pipe.

use std::fmt::Debug;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::rate_limit::{Quota, RateLimiter};
use crate::model::Failure;
use crate::store::{BodyInfo, BodyStart, PartialRecorder, Store};
use crate::sync::ByteBudget;

/// Bytes of memory for the windows of all decoders of the run; more than those of one body may take.
const WINDOW_BUDGET: usize = 128 * 1024 * 1024;

/// How long a dense body waits for its turn; after that it is decoded at the same time as the body that has the turn.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// The memory of the run that the decoder of a body needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DecoderNeed {
    /// Windows of this many bytes.
    Windows(u64),
    /// To be the only dense body that is decoded: one that expands to many times its size, or has several codings.
    Turn,
}

/// The memory of the run that a decoder holds until this is dropped. In a child process it is empty: the parent holds the
/// memory until the task is done.
#[derive(Debug, Default)]
pub(crate) struct MemoryPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

/// The services that a transfer uses. Implemented by the process that carries the run and, over the pipe, by its children.
/// The service of the manifest is [`PartialRecorder`], which is declared in the store because that is below this module.
pub(crate) trait RunServices: PartialRecorder {
    /// Counts body bytes that were read. Returns whether the quota covers them.
    fn reserve_bytes(&self, bytes: u64) -> bool;

    /// Waits until the caller may read from the network. `left` is the number of bytes that it still expects, if known.
    /// Returns the number of bytes that were charged in advance, for [`RunServices::report_read`].
    fn wait_for_rate(&self, left: Option<u64>) -> Pin<Box<dyn Future<Output = u64> + Send + '_>>;

    /// Waits until the memory that a decoder needs is free, and reserves it. The wait for a turn is limited.
    fn reserve_memory(
        &self,
        need: DecoderNeed,
    ) -> Pin<Box<dyn Future<Output = MemoryPermit> + Send + '_>>;

    /// Whether any decoder is waiting for memory.
    fn is_memory_wanted(&self) -> bool;

    /// Ends the turn of a body that turned out not to be dense.
    fn end_turn(&self, turn: MemoryPermit);

    /// Charges `bytes` that were read, less the `charged` ones that were charged in advance.
    fn report_read(&self, bytes: u64, charged: u64);
}

/// The services in the process that carries the run.
#[derive(Debug)]
pub(super) struct LocalServices {
    rate_limiter: Option<RateLimiter>,
    quota: Option<Quota>,
    windows: ByteBudget,
    dense_turn: ByteBudget,
    store: Store,
}

impl LocalServices {
    /// Services with a byte rate and a quota, each `None` if there is no limit.
    pub(super) fn new(rate: Option<NonZeroU64>, quota: Option<u64>, store: Store) -> Self {
        Self {
            rate_limiter: rate.map(RateLimiter::new),
            quota: quota.map(Quota::new),
            windows: ByteBudget::new(WINDOW_BUDGET),
            dense_turn: ByteBudget::new(1),
            store,
        }
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

    fn reserve_memory(
        &self,
        need: DecoderNeed,
    ) -> Pin<Box<dyn Future<Output = MemoryPermit> + Send + '_>> {
        Box::pin(async move {
            let permit = match need {
                DecoderNeed::Windows(bytes) => Some(self.windows.take(bytes as usize).await),
                DecoderNeed::Turn => timeout(TURN_PATIENCE, self.dense_turn.take(1)).await.ok(),
            };
            MemoryPermit { _permit: permit }
        })
    }

    fn is_memory_wanted(&self) -> bool {
        self.windows.is_wanted() || self.dense_turn.is_wanted()
    }

    fn end_turn(&self, turn: MemoryPermit) {
        drop(turn);
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
