//! Cancelling a run: `drain` starts nothing new, `abort` also ends transfers in progress.

use tokio::sync::watch;

use crate::model::StopCause;

/// Whether a run is stopped, and how urgently. It only moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopState {
    /// It goes on.
    Running,
    /// Nothing new is started; transfers in progress may finish.
    Drain(StopCause),
    /// Transfers in progress are ended too.
    Abort(StopCause),
}

/// Stops a run. Clones share one state.
#[derive(Debug, Clone)]
pub struct CancelToken(watch::Sender<StopState>);

impl Default for CancelToken {
    fn default() -> Self {
        Self(watch::Sender::new(StopState::Running))
    }
}

impl CancelToken {
    /// Starts nothing new. The first cause counts.
    pub fn drain(&self, cause: StopCause) {
        self.0.send_if_modified(|state| {
            let first = *state == StopState::Running;
            if first {
                *state = StopState::Drain(cause);
            }
            first
        });
    }

    /// Ends transfers in progress too. The first cause counts.
    pub fn abort(&self, cause: StopCause) {
        self.0.send_if_modified(|state| {
            let cause = match *state {
                StopState::Running => cause,
                StopState::Drain(first) => first,
                StopState::Abort(_) => return false,
            };
            *state = StopState::Abort(cause);
            true
        });
    }

    /// Why the run is stopped; `None` while it is not.
    pub fn cause(&self) -> Option<StopCause> {
        match *self.0.borrow() {
            StopState::Running => None,
            StopState::Drain(cause) | StopState::Abort(cause) => Some(cause),
        }
    }

    /// Resolves when nothing new may be started, with the cause.
    pub async fn draining(&self) -> StopCause {
        self.wait_for(|state| match state {
            StopState::Running => None,
            StopState::Drain(cause) | StopState::Abort(cause) => Some(cause),
        })
        .await
    }

    /// Resolves when transfers in progress must be aborted, with the cause.
    pub async fn aborted(&self) -> StopCause {
        self.wait_for(|state| match state {
            StopState::Abort(cause) => Some(cause),
            _ => None,
        })
        .await
    }

    async fn wait_for(&self, cause: impl Fn(StopState) -> Option<StopCause>) -> StopCause {
        let mut states = self.0.subscribe();
        let state = *states
            .wait_for(|state| cause(*state).is_some())
            .await
            .expect("the sender lives as long as the borrow of it");
        cause(state).expect("that was waited for")
    }
}
