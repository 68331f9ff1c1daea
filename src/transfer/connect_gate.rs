//! Single-flight of HTTP/2 connections. An HTTP/2 connection carries many requests, but which version a server speaks is
//! known only after the TLS handshake. Without this, N workers that start on one origin at the same moment would make N
//! connections and handshakes, of which the library keeps one and closes the others. So one of them, the leader, connects
//! first. If that yields HTTP/2, the others share it. If it yields HTTP/1.1, where each request in progress needs a connection
//! of its own, the origin is remembered as such and nobody waits again. If it fails, those who waited proceed at once, each on
//! its own, so that a slow failure does not add up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use url::{Origin, Url};

use super::request_state::CURRENT_REQUEST;
use crate::plan::HttpVersions;

/// Decides per origin whether a request must wait for another one's connection (HTTP/2) or may open its own. Entries of failed
/// connects are removed, so the map is bounded by the number of connections.
#[derive(Debug)]
pub(super) struct ConnectGate {
    versions: HttpVersions,
    origins: Mutex<HashMap<Origin, OriginState>>,
}

#[derive(Debug)]
enum OriginState {
    /// A leader is connecting. The channel changes when it has, and closes if it fails.
    Connecting(watch::Receiver<()>),
    /// The server speaks HTTP/1.1: each request in progress needs a connection of its own.
    NotShared,
}

/// The connection is not needed any more, because its request got another one meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("the connection is not needed any more")]
pub(super) struct Superseded;

/// The right to connect first. Dropping it lets the others go on.
#[derive(Debug)]
pub(super) struct ConnectLeader {
    connect_gate: Arc<ConnectGate>,
    origin: Origin,
    opened: watch::Sender<()>,
    /// Whether the connection can be shared; `None` if there is none.
    can_be_shared: Option<bool>,
}

enum GateResult {
    Lead(ConnectLeader),
    Proceed,
    Wait(watch::Receiver<()>),
}

impl ConnectGate {
    pub(super) fn new(versions: HttpVersions) -> Self {
        Self { versions, origins: Mutex::default() }
    }

    pub(super) fn versions(&self) -> HttpVersions {
        self.versions
    }

    /// Waits until a connection for `url` should be opened. Returns the leader's right if the caller is to connect first; it
    /// must report the result by [`ConnectLeader::finish`].
    ///
    /// # Errors
    /// [`Superseded`] if the request does not need the connection any more.
    pub(super) async fn pass(
        self: &Arc<Self>,
        url: &Url,
    ) -> Result<Option<ConnectLeader>, Superseded> {
        if url.scheme() != "https" || self.versions == HttpVersions::Http1 {
            return Ok(None);
        }
        loop {
            match self.enter(url.origin()) {
                GateResult::Lead(opener) => return Ok(Some(opener)),
                GateResult::Proceed => return Ok(None),
                GateResult::Wait(mut opened) => {
                    let failed = opened.changed().await.is_err();
                    // The library gives a shared connection to its waiting requests before this task is woken, and moves
                    // the connects that have lost to a task of its own, which has no current request. This is its
                    // behavior, not its promise; if it changes, one more connection is opened.
                    CURRENT_REQUEST.try_with(|_| ()).map_err(|_| Superseded)?;
                    // After a failure nobody waits for another leader, which may fail as slowly.
                    if failed {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether requests for `url` may share a connection, as far as known.
    pub(super) fn may_share(&self, url: &Url) -> bool {
        if url.scheme() != "https" || self.versions == HttpVersions::Http1 {
            return false;
        }
        let origins = self.origins.lock().expect("lock poisoned");
        !matches!(origins.get(&url.origin()), Some(OriginState::NotShared))
    }

    fn enter(self: &Arc<Self>, origin: Origin) -> GateResult {
        let mut origins = self.origins.lock().expect("lock poisoned");
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
    /// Reports that the connection is open, and whether it can be shared.
    pub(super) fn finish(mut self, can_be_shared: bool) {
        self.can_be_shared = Some(can_be_shared);
    }

    /// There is no connection yet, but it will be tried again: of those who wait, one leads.
    pub(super) fn step_back(self) {
        self.finish(true);
    }
}

impl Drop for ConnectLeader {
    /// Wakes those who wait. The entry of a shared connection is removed, as that of a failed one: whoever needs a connection
    /// after it has ended becomes the leader.
    fn drop(&mut self) {
        let mut origins = self.connect_gate.origins.lock().expect("lock poisoned");
        match self.can_be_shared {
            Some(false) => origins.insert(self.origin.clone(), OriginState::NotShared),
            Some(true) | None => origins.remove(&self.origin),
        };
        if self.can_be_shared.is_some() {
            self.opened.send_replace(());
        }
    }
}
