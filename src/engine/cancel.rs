//! How a run is told to end before its list is done.

use tokio::sync::watch;

use crate::model::StopCause;

/// How far a run is from being told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopState {
    /// Go on.
    Running,
    /// Start nothing new; what is under way may finish.
    Drain(StopCause),
    /// End what is under way too.
    Abort(StopCause),
}

/// The wish that a run end, told once to all who work for it. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct CancelToken(watch::Sender<StopState>);

impl Default for CancelToken {
    fn default() -> Self {
        Self(watch::Sender::new(StopState::Running))
    }
}

impl CancelToken {
    /// Asks to start nothing new. The first cause counts.
    pub fn drain(&self, cause: StopCause) {
        self.0.send_if_modified(|wish| {
            let first = *wish == StopState::Running;
            if first {
                *wish = StopState::Drain(cause);
            }
            first
        });
    }

    /// Asks to end what is under way too. The first cause counts.
    pub fn abort(&self, cause: StopCause) {
        self.0.send_if_modified(|wish| {
            let cause = match *wish {
                StopState::Running => cause,
                StopState::Drain(first) => first,
                StopState::Abort(_) => return false,
            };
            *wish = StopState::Abort(cause);
            true
        });
    }

    /// Why the run is to end; `None` while it is not.
    pub fn cause(&self) -> Option<StopCause> {
        match *self.0.borrow() {
            StopState::Running => None,
            StopState::Drain(cause) | StopState::Abort(cause) => Some(cause),
        }
    }

    /// Waits until the run is to start nothing new.
    pub async fn draining(&self) -> StopCause {
        self.wait_for(|wish| match wish {
            StopState::Running => None,
            StopState::Drain(cause) | StopState::Abort(cause) => Some(cause),
        })
        .await
    }

    /// Waits until the run is to end what is under way.
    pub async fn aborted(&self) -> StopCause {
        self.wait_for(|wish| match wish {
            StopState::Abort(cause) => Some(cause),
            _ => None,
        })
        .await
    }

    async fn wait_for(&self, cause: impl Fn(StopState) -> Option<StopCause>) -> StopCause {
        let mut wishes = self.0.subscribe();
        let wish = *wishes
            .wait_for(|wish| cause(*wish).is_some())
            .await
            .expect("the sender lives as long as the borrow of it");
        cause(wish).expect("that was waited for")
    }
}
