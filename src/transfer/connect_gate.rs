//! One connection where one is enough. An HTTP/2 connection carries many requests, but which version a server speaks
//! is known only after the handshake; so of the tasks that need a connection to the same origin at the same moment,
//! one goes first, and the others wait to see whether they can share. Without it, each would shake hands for nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use url::{Origin, Url};

use super::request_state::CURRENT_REQUEST;
use crate::plan::HttpVersions;

/// The origins that one client makes connections to. One stays in it only where a connection came about, so that there
/// are no more of them than connections.
#[derive(Debug)]
pub struct ConnectGate {
    versions: HttpVersions,
    origins: Mutex<HashMap<Origin, OriginState>>,
}

#[derive(Debug)]
enum OriginState {
    /// Somebody is about to learn what is spoken there; gone if that fails.
    Connecting(watch::Receiver<()>),
    /// Each request under way needs a connection of its own.
    NotShared,
}

/// The connection is not needed any more: its request was given another one meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("the connection is not needed any more")]
pub struct Superseded;

/// Who goes first.
#[derive(Debug)]
pub struct ConnectLeader {
    connect_gate: Arc<ConnectGate>,
    origin: Origin,
    opened: watch::Sender<()>,
    /// What was found; `None` if nothing came about.
    can_be_shared: Option<bool>,
}

enum GateResult {
    Lead(ConnectLeader),
    Proceed,
    Wait(watch::Receiver<()>),
}

impl ConnectGate {
    pub fn new(versions: HttpVersions) -> Self {
        Self { versions, origins: Mutex::default() }
    }

    /// Waits until a connection for `url` should be opened. Whoever goes first has to say what it finds.
    ///
    /// # Errors
    /// If the request that it is for does not need it any more.
    pub async fn pass(self: &Arc<Self>, url: &Url) -> Result<Option<ConnectLeader>, Superseded> {
        if url.scheme() != "https" || self.versions == HttpVersions::Http1 {
            return Ok(None);
        }
        loop {
            match self.enter(url.origin()) {
                GateResult::Lead(opener) => return Ok(Some(opener)),
                GateResult::Proceed => return Ok(None),
                GateResult::Wait(mut opened) => {
                    let failed = opened.changed().await.is_err();
                    // The library hands out a connection that can be shared before anybody is woken here, and
                    // leaves the attempts that have lost to a task of its own, which makes no request. Seen,
                    // not promised; where it is not so, a connection more is opened.
                    CURRENT_REQUEST.try_with(|_| ()).map_err(|_| Superseded)?;
                    // Where nothing came about, nobody waits for the next one to fail.
                    if failed {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn enter(self: &Arc<Self>, origin: Origin) -> GateResult {
        let mut origins = self.origins.lock().expect("no holder panics");
        match origins.get(&origin) {
            Some(OriginState::NotShared) => return GateResult::Proceed,
            Some(OriginState::Connecting(opened)) => return GateResult::Wait(opened.clone()),
            None => {}
        }
        let (opened, is_opened) = watch::channel(());
        origins.insert(origin.clone(), OriginState::Connecting(is_opened));
        GateResult::Lead(ConnectLeader {
            connect_gate: Arc::clone(self),
            origin,
            opened,
            can_be_shared: None,
        })
    }
}

impl ConnectLeader {
    /// The connection is there, and can be shared or not.
    pub fn finish(mut self, can_be_shared: bool) {
        self.can_be_shared = Some(can_be_shared);
    }
}

impl Drop for ConnectLeader {
    /// Lets the others go. Whoever needs a connection once a shared one has ended, or none came about, goes first.
    fn drop(&mut self) {
        let mut origins = self.connect_gate.origins.lock().expect("no holder panics");
        match self.can_be_shared {
            Some(false) => origins.insert(self.origin.clone(), OriginState::NotShared),
            Some(true) | None => origins.remove(&self.origin),
        };
        if self.can_be_shared.is_some() {
            self.opened.send_replace(());
        }
    }
}
