//! The lease of a place in an object store, so that one run at a time saves to it: an object that names its run and says
//! until when it counts. A run renews its lease while it works, and removes it at the end. One that a killed run has left
//! is taken over once its time has passed, or at once if its process is known to be gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use object_store::path::Path;
use object_store::{
    Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, PutResult, UpdateVersion,
};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::model::rfc3339;
use crate::object_access::{ObjectFault, Remote};
use crate::store::entry::rfc3339_time;
use crate::store::lock_file::{Holder, HolderState};

/// The name of the object, below the folder of fetch's own objects.
const NAME: &str = "lease.json";

/// How long a lease is valid, and how often it is renewed.
const TERM: Duration = Duration::from_secs(60);
const RENEWAL: Duration = Duration::from_secs(20);

/// The most attempts to take a lease that other runs take or give up at the same time.
const MAX_TRIES: usize = 4;

/// The content of the object.
#[derive(Debug, Serialize, Deserialize)]
struct LeaseText {
    #[serde(flatten)]
    holder: Holder,
    /// When it ends, unless it is renewed.
    #[serde(with = "rfc3339_time")]
    until: SystemTime,
}

/// Why a lease cannot be taken.
#[derive(Debug)]
pub(super) enum LeaseError {
    /// Another run has it; the text describes that run.
    Held(String),
    /// The store fails.
    Fault(ObjectFault),
}

impl From<Error> for LeaseError {
    fn from(error: Error) -> Self {
        Self::Fault(error.into())
    }
}

/// A lease that this process has.
#[derive(Debug)]
pub(super) struct Lease {
    remote: Remote,
    path: Path,
    state: Arc<LeaseState>,
}

/// Whether a lease is still held.
#[derive(Debug, Default)]
pub(super) struct LeaseState {
    /// Another run has taken it, as it was not renewed in time.
    is_lost: AtomicBool,
    /// It was given up.
    is_over: AtomicBool,
}

impl Lease {
    /// Takes the lease, and renews it until it is dropped.
    ///
    /// # Errors
    /// If another run has it, or the store fails.
    pub(super) fn take(remote: &Remote) -> Result<Self, LeaseError> {
        let path = remote.own_path(NAME);
        let (store, at) = (Arc::clone(&remote.store), path.clone());
        let version = remote.wait(async move { acquire(&*store, &at).await })?;
        let state = Arc::<LeaseState>::default();
        let renewal = renew(Arc::clone(&remote.store), path.clone(), version, Arc::clone(&state));
        drop(remote.spawn(renewal));
        Ok(Self { remote: remote.clone(), path, state })
    }

    /// Shows whether it is still held.
    pub(super) fn state(&self) -> Arc<LeaseState> {
        Arc::clone(&self.state)
    }
}

impl LeaseState {
    /// Whether another run has taken it.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Relaxed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.state.is_over.store(true, Relaxed);
        if self.state.is_lost() {
            return;
        }
        let (store, path) = (Arc::clone(&self.remote.store), self.path.clone());
        // If that fails, the lease expires by itself.
        let _ = self.remote.wait(async move { store.delete(&path).await });
    }
}

/// The content of a lease of this process that begins now.
fn lease_text() -> PutPayload {
    let until = SystemTime::now() + TERM;
    let text = LeaseText { holder: Holder::this_process(), until };
    serde_json::to_vec(&text).expect("a lease can be serialized").into()
}

async fn put(store: &dyn ObjectStore, path: &Path, mode: PutMode) -> Result<PutResult, Error> {
    store.put_opts(path, lease_text(), PutOptions { mode, ..PutOptions::default() }).await
}

async fn acquire(store: &dyn ObjectStore, path: &Path) -> Result<PutResult, LeaseError> {
    for _ in 0..MAX_TRIES {
        match put(store, path, PutMode::Create).await {
            Err(Error::AlreadyExists { .. }) => {}
            // Without conditional requests, two runs that start at the same moment do not notice each other.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                if let Some((text, _)) = read(store, path).await? {
                    ensure_expired(text.as_ref())?;
                }
                return Ok(put(store, path, PutMode::Overwrite).await?);
            }
            taken => return Ok(taken?),
        }
        let Some((text, version)) = read(store, path).await? else { continue };
        ensure_expired(text.as_ref())?;
        match put(store, path, PutMode::Update(version)).await {
            Err(Error::Precondition { .. } | Error::NotFound { .. }) => {}
            taken => return Ok(taken?),
        }
    }
    Err(LeaseError::Held("another run was faster".to_owned()))
}

/// Reads the lease and its version; `None` if there is none. The text is `None` if the object is not a lease.
async fn read(
    store: &dyn ObjectStore,
    path: &Path,
) -> Result<Option<(Option<LeaseText>, UpdateVersion)>, LeaseError> {
    let found = match store.get(path).await {
        Err(Error::NotFound { .. }) => return Ok(None),
        found => found?,
    };
    let version =
        UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    let bytes = found.bytes().await?;
    Ok(Some((serde_json::from_slice(&bytes).ok(), version)))
}

/// Ensures that a lease may be taken over: its time has passed, or its process is gone.
fn ensure_expired(lease: Option<&LeaseText>) -> Result<(), LeaseError> {
    let Some(LeaseText { holder, until }) = lease else {
        return Err(LeaseError::Held(format!("its {NAME} was not written by fetch; remove it")));
    };
    if *until < SystemTime::now() || holder.state() == HolderState::Gone {
        return Ok(());
    }
    let (holder, until) = (holder.described(), rfc3339(*until));
    Err(LeaseError::Held(format!("{holder}, whose lease ends at {until} unless it is renewed")))
}

/// Renews a lease until it is given up or lost.
async fn renew(
    store: Arc<dyn ObjectStore>,
    path: Path,
    mut version: PutResult,
    state: Arc<LeaseState>,
) {
    loop {
        sleep(RENEWAL).await;
        if state.is_over.load(Relaxed) {
            return;
        }
        match put(&*store, &path, PutMode::Update(version.clone().into())).await {
            Ok(renewed) => version = renewed,
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                let _ = put(&*store, &path, PutMode::Overwrite).await;
            }
            // Another run has it, or it was removed by hand.
            Err(Error::Precondition { .. } | Error::NotFound { .. })
                if !state.is_over.load(Relaxed) =>
            {
                return state.is_lost.store(true, Relaxed);
            }
            // The next renewal may succeed. If the store stays unreachable, the next upload ends the run.
            Err(_) => {}
        }
    }
}
