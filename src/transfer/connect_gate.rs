//! Lets only one request at a time connect to an origin that may speak HTTP/2. An HTTP/2 connection carries many requests, but
//! which version a server speaks is known only after the TLS handshake. Without this, N workers that start on one origin at the
//! same moment would make N connections and handshakes, of which the library keeps one and closes the others. So one of them,
//! the leader, connects first. If that yields HTTP/2, the others share the connection. If it yields HTTP/1.1, where each
//! request in progress needs a connection of its own, the origin is remembered and no request waits for it again. If it fails,
//! the waiting requests proceed at once, each on its own, so that the delays of slow failures do not add up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use url::{Origin, Url};

use super::request_state::CURRENT_REQUEST;
use crate::plan::HttpVersions;

/// Decides per origin whether a request must wait for another one's connection (HTTP/2) or may open its own. An entry is
/// kept only while its leader connects, or if the origin speaks HTTP/1.1; so the map is bounded by the number of connections.
#[derive(Debug)]
pub(super) struct ConnectGate {
    versions: HttpVersions,
    origins: Mutex<HashMap<Origin, OriginState>>,
}

#[derive(Debug)]
enum OriginState {
    /// A leader is connecting. The channel changes when it has connected, and closes if it fails.
    Connecting(watch::Receiver<()>),
    /// The server speaks HTTP/1.1: each request in progress needs a connection of its own.
    NotShared,
}

/// The error of a connection that is no longer needed, because its request got another one meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("the connection is not needed any more")]
pub(super) struct Superseded;

/// The right to connect first. Dropping it lets the waiting requests go on.
#[derive(Debug)]
pub(super) struct ConnectLeader {
    connect_gate: Arc<ConnectGate>,
    origin: Origin,
    opened: watch::Sender<()>,
    /// Whether the connection can be shared; `None` if none was made.
    can_be_shared: Option<bool>,
}

/// What a request that needs a connection has to do.
enum GateResult {
    /// Connect first.
    Lead(ConnectLeader),
    /// Connect.
    Proceed,
    /// Wait for the leader.
    Wait(watch::Receiver<()>),
}

impl ConnectGate {
    pub(super) fn new(versions: HttpVersions) -> Self {
        Self { versions, origins: Mutex::default() }
    }

    pub(super) fn versions(&self) -> HttpVersions {
        self.versions
    }

    /// Waits until a connection for `url` should be opened. Returns a [`ConnectLeader`] if the caller is to connect first; the
    /// caller then reports the result by [`ConnectLeader::finish`].
    ///
    /// # Errors
    /// [`Superseded`] if the request no longer needs the connection.
    pub(super) async fn pass(
        self: &Arc<Self>,
        url: &Url,
    ) -> Result<Option<ConnectLeader>, Superseded> {
        if url.scheme() != "https" || self.versions == HttpVersions::Http1 {
            return Ok(None);
        }
        loop {
            match self.enter(url.origin()) {
                GateResult::Lead(leader) => return Ok(Some(leader)),
                GateResult::Proceed => return Ok(None),
                GateResult::Wait(mut opened) => {
                    let failed = opened.changed().await.is_err();
                    // The library gives a shared connection to its waiting requests before this task is woken, and moves
                    // the superseded connects to a task of its own, which has no current request. It does not promise this;
                    // if it changes, one more connection is opened.
                    CURRENT_REQUEST.try_with(|_| ()).map_err(|_| Superseded)?;
                    // After a failure there is no next leader to wait for: it might fail as slowly.
                    if failed {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether requests for `url` may share a connection: over https, unless the origin is known to speak HTTP/1.1.
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

    /// Ends the lead without a connection, because the request will connect again: one of the waiting requests leads next.
    pub(super) fn step_back(self) {
        self.finish(true);
    }
}

impl Drop for ConnectLeader {
    /// Wakes the waiting requests. The entry of a shared connection is removed like that of a failed one: a request that needs
    /// a connection after the shared one has ended becomes the leader.
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
