//! A seat: where a worker's jobs are carried out, be it in this process or in a child of it.

use std::future::Future;
use std::sync::Arc;

use super::processes;
use crate::record::{Attempt, Cause, Job, Slot};
use crate::transfer::Client;

/// Where jobs are carried out.
#[derive(Debug)]
pub enum Seat {
    /// A client of this process, which may serve several workers.
    Here(Arc<Client>),
    /// A child process.
    There(Box<processes::Seat>),
}

impl Seat {
    /// Makes one attempt at `job`; it never fails, for failing is an outcome. `cut` ends it early; `slot` shows how it
    /// goes; `worker` is who makes it.
    pub async fn transfer(
        &mut self,
        job: &Job,
        worker: usize,
        slot: &Slot,
        cut: impl Future<Output = Cause>,
    ) -> Attempt {
        match self {
            Self::Here(client) => client.transfer(job, worker, slot, cut).await,
            Self::There(seat) => seat.transfer(job, slot, cut).await,
        }
    }

    /// Waits until the connection of a transfer that has just ended can serve again. A child does so by itself;
    /// meanwhile others have their turn, whose bodies may have ended too.
    pub async fn take_back(&self) {
        match self {
            Self::Here(client) => client.take_back().await,
            Self::There(_) => tokio::task::yield_now().await,
        }
    }

    /// There is nothing left to do.
    pub async fn leave(self) {
        if let Self::There(seat) = self {
            seat.leave().await;
        }
    }
}
