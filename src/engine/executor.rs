//! Where a worker's jobs are carried out: in this process, or in a child process.

use std::future::Future;
use std::sync::Arc;

use super::processes;
use crate::model::{Attempt, Job, StopCause, WorkerProgress};
use crate::transfer::Client;

/// Where jobs are carried out.
#[derive(Debug)]
pub(super) enum Executor {
    /// A client of this process, which may serve several workers.
    Local(Arc<Client>),
    /// A child process.
    Child(Box<processes::ChildExecutor>),
}

impl Executor {
    /// Makes one attempt at `job`. Failing is an outcome of it, not an error. `worker` is the number of the worker;
    /// `progress` shows how it goes; `cancel` resolves when the attempt must end, with the cause.
    pub(super) async fn transfer(
        &mut self,
        job: &Job,
        worker: usize,
        progress: &WorkerProgress,
        cancel: impl Future<Output = StopCause>,
    ) -> Box<Attempt> {
        match self {
            Self::Local(client) => {
                let expected = client.context().expected_digests();
                client.transfer(job, expected, worker, progress, cancel).await
            }
            // Boxed, or the futures of all workers would have room for it.
            Self::Child(executor) => Box::pin(executor.transfer(job, progress, cancel)).await,
        }
    }

    /// Waits until the connection of a transfer that has just ended can be used again. A child does that by itself; meanwhile
    /// other workers get a turn, whose transfers may have ended too.
    pub(super) async fn release_client(&self) {
        match self {
            Self::Local(client) => client.release().await,
            Self::Child(_) => tokio::task::yield_now().await,
        }
    }

    /// Ends the child process, if there is one.
    pub(super) async fn shutdown(self) {
        if let Self::Child(executor) = self {
            executor.shutdown().await;
        }
    }
}
