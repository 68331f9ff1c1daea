//! Where the bodies of a run go: nowhere, to the files of a directory, into archives, or to an object store. What differs between these is
//! behind one trait.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
#[cfg(feature = "object-store")]
use std::{fmt, future::Future, pin::Pin};

use super::claim::{Claim, ClaimResult, UndigestedFile};
use super::entry::HexSha256;
use super::manifest::PendingEntry;
use super::outputs::OutputError;
use super::sink::{BodyInfo, BodyStart, Sink};
use super::work_dir::ChildStoreConfig;
use crate::digest::Digest;
use crate::model::{
    Attempt, AttemptOutcome, CapturedExchange, Failure, Job, JobKind, Record, Target,
};

/// Where the bodies of a run go. What a destination does not do, it leaves to these methods: then bodies are discarded.
pub(super) trait Destination: Debug + Send + Sync {
    /// See [`Store::claim`](super::Store::claim).
    fn claim(&self, _target: &Target) -> ClaimResult {
        Claim::Fetch(None).into()
    }

    /// See [`Store::sink`](super::Store::sink).
    fn sink(&self, _job: &Job) -> Sink {
        Sink::nowhere()
    }

    /// See [`PartialRecorder`](super::PartialRecorder).
    fn record_partial(
        &self,
        _body: &BodyInfo,
        _begin: &BodyStart,
        _bytes: u64,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// See [`Store::enter`](super::Store::enter).
    fn enter(
        &self,
        _job: &Job,
        _attempt: &mut Attempt,
        _record: &dyn Fn(&Attempt) -> Record,
    ) -> Result<Pending, Failure> {
        Ok(Pending::Nothing)
    }

    /// See [`Store::commit`](super::Store::commit).
    fn commit(
        &self,
        _job: &Job,
        _attempt: &Attempt,
        _pending: Pending,
    ) -> Result<Option<Arc<str>>, Failure> {
        Ok(None)
    }

    /// See [`Store::note_failure`](super::Store::note_failure).
    fn note_failure(
        &self,
        _record: &Record,
        _exchange: Option<Box<CapturedExchange>>,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// See [`Store::drop_exchange`](super::Store::drop_exchange).
    fn drop_exchange(&self, _exchange: Box<CapturedExchange>) {}

    /// See [`Store::add_digests`](super::Store::add_digests).
    fn add_digests(
        &self,
        _file: UndigestedFile,
        _is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Digest>, Failure> {
        Ok(None)
    }

    /// See [`Store::claim_outputs`](super::Store::claim_outputs).
    fn claim_outputs(&self, _paths: &[PathBuf]) -> Result<(), OutputError> {
        Ok(())
    }

    /// See [`Store::unchecked`](super::Store::unchecked).
    fn unchecked(&self) -> u64 {
        0
    }

    /// See [`Store::child_config`](super::Store::child_config).
    fn child_config(&self) -> Option<ChildStoreConfig> {
        None
    }

    /// See [`Store::finish`](super::Store::finish).
    fn finish(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// The destination that discards all bodies.
#[derive(Debug)]
pub(super) struct Discard;

impl Destination for Discard {}

/// What is queued of a body until it is committed.
#[derive(Debug)]
#[must_use]
pub(crate) enum Pending {
    /// Nothing: there is nothing to commit.
    Nothing,
    /// Its manifest entry.
    Entry(PendingEntry),
    /// Nothing yet, because the server names the file.
    ServerNamed,
    /// The entry of something that is in an archive.
    Archived {
        /// The entry.
        entry: PendingEntry,
        /// The name of the archive.
        name: Arc<str>,
        /// The digest of a body that equal ones may refer to from now on.
        payload: Option<HexSha256>,
    },
    /// What puts it into an object store.
    #[cfg(feature = "object-store")]
    Upload(Upload),
}

/// The name of a body, if it is not the claimed one.
#[cfg(feature = "object-store")]
type NewName = Result<Option<Arc<str>>, Failure>;

/// A body on its way to an object store.
#[cfg(feature = "object-store")]
pub(crate) struct Upload(Pin<Box<dyn Future<Output = NewName> + Send>>);

#[cfg(feature = "object-store")]
impl Upload {
    /// The upload that this does. It resolves with the name of the body, if it is not the claimed one.
    pub(super) fn new(work: impl Future<Output = NewName> + Send + 'static) -> Self {
        Self(Box::pin(work))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If the body is not in the store.
    pub(super) async fn done(self) -> NewName {
        self.0.await
    }
}

#[cfg(feature = "object-store")]
impl fmt::Debug for Upload {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Upload")
    }
}

/// Takes what was gathered of the exchange of an attempt; `None` if nothing was.
///
/// # Errors
/// If the attempt has brought a whole body, which must be there.
pub(super) fn take_gathered(
    job: &Job,
    attempt: &mut Attempt,
) -> Result<Option<Box<CapturedExchange>>, Failure> {
    match attempt.exchange.take() {
        None if is_whole_body(job, attempt) => {
            Err(Failure::Worker("the body was not gathered".to_owned()))
        }
        gathered => Ok(gathered),
    }
}

/// Whether the attempt has brought the whole body of a target, verified.
pub(super) fn is_whole_body(job: &Job, attempt: &Attempt) -> bool {
    let is_body = matches!(job.kind, JobKind::Body | JobKind::Assemble(_));
    is_body && attempt.outcome == AttemptOutcome::Whole
}
