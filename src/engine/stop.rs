//! How a run is told to end before its list is done.

use tokio::sync::watch;

use crate::record::Cause;

/// How far a run is from being told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Go on.
    GoOn,
    /// Start nothing new; what is under way may finish.
    Drain(Cause),
    /// End what is under way too.
    Cut(Cause),
}

/// The wish that a run end, told once to all who work for it. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Wish>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(Wish::GoOn))
    }
}

impl Stop {
    /// Asks to start nothing new. The first cause counts.
    pub fn drain(&self, cause: Cause) {
        self.0.send_if_modified(|wish| {
            let first = *wish == Wish::GoOn;
            if first {
                *wish = Wish::Drain(cause);
            }
            first
        });
    }

    /// Asks to end what is under way too. The first cause counts.
    pub fn cut(&self, cause: Cause) {
        self.0.send_if_modified(|wish| {
            let cause = match *wish {
                Wish::GoOn => cause,
                Wish::Drain(first) => first,
                Wish::Cut(_) => return false,
            };
            *wish = Wish::Cut(cause);
            true
        });
    }

    /// Why the run is to end; `None` while it is not.
    pub fn cause(&self) -> Option<Cause> {
        match *self.0.borrow() {
            Wish::GoOn => None,
            Wish::Drain(cause) | Wish::Cut(cause) => Some(cause),
        }
    }

    /// Waits until the run is to start nothing new.
    pub async fn drained(&self) -> Cause {
        self.wished(|wish| match wish {
            Wish::GoOn => None,
            Wish::Drain(cause) | Wish::Cut(cause) => Some(cause),
        })
        .await
    }

    /// Waits until the run is to end what is under way.
    pub async fn cut_short(&self) -> Cause {
        self.wished(|wish| match wish {
            Wish::Cut(cause) => Some(cause),
            _ => None,
        })
        .await
    }

    async fn wished(&self, cause: impl Fn(Wish) -> Option<Cause>) -> Cause {
        let mut wishes = self.0.subscribe();
        let wish = *wishes
            .wait_for(|wish| cause(*wish).is_some())
            .await
            .expect("the sender lives as long as the borrow of it");
        cause(wish).expect("that was waited for")
    }
}
