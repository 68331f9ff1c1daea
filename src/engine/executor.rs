//! A seat: where a worker's jobs are carried out, be it in this process or in a child of it.

use std::future::Future;
use std::sync::Arc;

use super::processes;
use crate::model::{Attempt, Job, StopCause, WorkerProgress};
use crate::transfer::Client;

/// Where jobs are carried out.
#[derive(Debug)]
pub enum Executor {
    /// A client of this process, which may serve several workers.
    Local(Arc<Client>),
    /// A child process.
    Child(Box<processes::ChildExecutor>),
}

impl Executor {
    /// Makes one attempt at `job`; it never fails, for failing is an outcome. `cut` ends it early; `slot` shows how it
    /// goes; `worker` is who makes it.
    pub async fn transfer(
        &mut self,
        job: &Job,
        worker: usize,
        progress: &WorkerProgress,
        cut: impl Future<Output = StopCause>,
    ) -> Attempt {
        match self {
            Self::Local(client) => client.transfer(job, worker, progress, cut).await,
            Self::Child(executor) => executor.transfer(job, progress, cut).await,
        }
    }

    /// Waits until the connection of a transfer that has just ended can serve again. A child does so by itself;
    /// meanwhile others have their turn, whose bodies may have ended too.
    pub async fn release_client(&self) {
        match self {
            Self::Local(client) => client.release().await,
            Self::Child(_) => tokio::task::yield_now().await,
        }
    }

    /// There is nothing left to do.
    pub async fn shutdown(self) {
        if let Self::Child(executor) = self {
            executor.shutdown().await;
        }
    }
}
