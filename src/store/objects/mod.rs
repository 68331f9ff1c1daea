//! Saves bodies as objects of an object store, under the names that files of a directory would have.
//!
//! A body is spooled in memory or, if it is long, in a file of a temporary folder; in mode `processes`, a child process spools
//! it and hands it to its parent. Once the body is verified, it is put, in one request or in parts that become an object
//! together: no object has half a body. The metadata of each object identifies its target. Then an entry is added to the
//! manifest, whose pieces are put from time to time (`pieces.rs`). A run that is killed leaves objects without an entry; the
//! next one fetches their targets again, and may overwrite an object of the same target. All requests are made on one thread
//! (`object_access/remote.rs`), and one run at a time has the lease (`lease.rs`).

mod archives;
mod lease;
mod marks;
mod pieces;
mod saved;
mod saved_archives;

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use object_store::path::Path as ObjectPath;
use object_store::{
    Attribute, AttributeValue, Attributes, Error, GetOptions, ObjectStore, PutMode, PutOptions,
    PutPayload, PutResult,
};
use tempfile::TempDir;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::sleep;

use super::archive::{ChildArchiveConfig, SpoolFolder, SpooledFile, sink};
use super::claim::{
    ChecksumMatch, Claim, ClaimResult, SkipReason, TargetIdentity, checksum_match, digest_of, fail,
    fetch,
};
use super::commit::saved;
use super::destination::{Destination, Pending, Upload, is_whole_body, take_gathered};
use super::entry::{HexSha256, ManifestEntry, MarkReason, SavedEntry};
use super::errors::NO_FREE_NAME;
use super::manifest::Manifest;
use super::name_index::NameIndex;
use super::names::{NameState, NameView};
use super::sink::Sink;
use super::work_dir::ChildStoreConfig;
use super::{StoreError, load_names};
use crate::digest::{Algorithm, ExpectedDigests};
use crate::model::{
    Attempt, CapturedData, CapturedExchange, Failure, Job, OverwriteRule, Record, SavePlace, Target,
};
use crate::naming;
use crate::object_access::{
    ObjectError, ObjectFault, PART, PutFault, Remote, put_in_parts, read_part,
};
use crate::plan::{ArchiveFormat, ExistingPolicy, ForeignFilePolicy, ObjectUrl, SaveOptions};
use crate::temporary_file;
pub(super) use archives::ObjectArchives;
use lease::{Lease, LeaseError, LeaseState};
use pieces::PieceWriter;
pub(super) use saved::SavedObjects;
pub(super) use saved_archives::SavedObjectArchives;

/// The most bodies in files that are put at a time, each with at most two parts in memory.
const MAX_LARGE_UPLOADS: usize = 4;

/// How often the age of the pending piece of the manifest is checked.
const FLUSH_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The metadata field of an object with the hash of its URL, as in the manifest. It has only letters, which every service
/// accepts in such a name.
const TARGET_FIELD: &str = "fetchid";

/// A place in an object store that bodies are saved to.
#[derive(Debug)]
pub(super) struct OpenObjects {
    shared: Arc<SharedObjects>,
    expected: Arc<ExpectedDigests>,
    /// The algorithms of the digests that the manifest keeps of a body; the first one is reported.
    digests: Vec<Algorithm>,
    /// Skipped bodies whose wanted checksum could not be compared.
    unchecked: AtomicU64,
    /// `None` in a dry run, which may not write. It is dropped on a thread that may wait for the store.
    _lease: Option<Lease>,
}

/// The state that uploads share.
#[derive(Debug)]
struct SharedObjects {
    options: SaveOptions,
    remote: Remote,
    lease: Option<Arc<LeaseState>>,
    /// A local copy of the manifest, with all pieces.
    manifest: Manifest,
    names: Mutex<NameIndex>,
    /// Whether the manifest had entries when it was opened.
    was_known: bool,
    pieces: AsyncMutex<PieceWriter>,
    large_uploads: Semaphore,
    work: Arc<SpoolFolder>,
    /// The temporary folder of that copy and of spool files.
    local: TempDir,
}

/// A body to be put.
#[derive(Debug)]
struct BodyUpload {
    name: Arc<str>,
    is_renamed: bool,
    over: OverwriteRule,
    attributes: Attributes,
    entry: SavedEntry<'static>,
    body: UploadData,
}

/// The bytes of a body.
#[derive(Debug)]
enum UploadData {
    Memory(Bytes),
    /// A file, with its length in bytes.
    File(SpooledFile, u64),
}

/// Why a body was not put.
#[derive(Debug)]
enum BodyFault {
    /// The name belongs to an object that is not of the same target.
    Taken,
    Put(PutFault),
}

impl From<PutFault> for BodyFault {
    fn from(fault: PutFault) -> Self {
        Self::Put(fault)
    }
}

impl From<Error> for BodyFault {
    fn from(error: Error) -> Self {
        Self::Put(error.into())
    }
}

impl OpenObjects {
    /// Takes the lease of the place, and reads its manifest. Returns warnings about the manifest too.
    ///
    /// # Errors
    /// If another run saves there, or the store cannot be used.
    pub(super) fn open(
        url: &ObjectUrl,
        options: &SaveOptions,
        expected: Arc<ExpectedDigests>,
        digests: Vec<Algorithm>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let remote = Remote::open(url, options.patience)?;
        let lease = take_lease(&remote)?;
        let (mut open, notices) = Self::load(options, expected, remote, Some(lease))?;
        open.digests = digests;
        let shared = Arc::downgrade(&open.shared);
        drop(open.shared.remote.spawn(flush_periodically(shared)));
        Ok((open, notices))
    }

    /// Reads the manifest of the place, for claims only; nothing is written.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub(super) fn inspect(
        url: &ObjectUrl,
        options: &SaveOptions,
        expected: Arc<ExpectedDigests>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let remote = Remote::open(url, options.patience)?;
        Self::load(options, expected, remote, None)
    }

    fn load(
        options: &SaveOptions,
        expected: Arc<ExpectedDigests>,
        remote: Remote,
        lease: Option<Lease>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let unusable =
            |reason: io::Error| StoreError::Unusable { dir: options.dir.clone(), reason };
        let local = temporary_file::folder("fetch-objects-").map_err(unusable)?;
        let folder = Dir::open_ambient_dir(local.path(), ambient_authority()).map_err(unusable)?;
        let (manifest, _) = Manifest::open(&folder).map_err(unusable)?;
        let (manifest, next) = read_manifest(&remote, manifest)?;
        let mut notices = Vec::new();
        let names = load_names(options, &manifest, &mut notices).map_err(unusable)?;
        let was_known = !names.is_empty();
        let work =
            SpoolFolder::new(local.path().join("work"), ArchiveFormat::Tar, options.min_free)
                .with_memory(PART as usize);
        let shared = SharedObjects {
            options: options.clone(),
            remote,
            lease: lease.as_ref().map(Lease::state),
            manifest,
            names: Mutex::new(names),
            was_known,
            pieces: AsyncMutex::new(PieceWriter::new(next)),
            large_uploads: Semaphore::new(MAX_LARGE_UPLOADS),
            work: Arc::new(work),
            local,
        };
        let (shared, unchecked) = (Arc::new(shared), AtomicU64::new(0));
        Ok((Self { shared, expected, digests: Vec::new(), unchecked, _lease: lease }, notices))
    }

    fn claim_recorded(&self, target: &Target, name: &Arc<str>, at: u64) -> Result<Claim, Failure> {
        let entry = self.shared.view().entry(at);
        match entry.map_err(|error| self.shared.local_failure(name, &error))? {
            Some(ManifestEntry::Saved(saved)) => Ok(self.claim_saved(target, name, saved)),
            Some(ManifestEntry::Marked(marked)) if marked.why == MarkReason::Changed => {
                Ok(fetch(name, OverwriteRule::File, true))
            }
            _ => Ok(fetch(name, self.shared.rule_for_unknown(), true)),
        }
    }

    fn claim_saved(&self, target: &Target, name: &Arc<str>, saved: SavedEntry<'static>) -> Claim {
        let checksums = checksum_match(&self.expected, target, name, &saved);
        let over = OverwriteRule::File;
        if checksums == ChecksumMatch::Other {
            return fetch(name, over, true);
        }
        let version = saved.version();
        let mut claim = match self.shared.options.again {
            ExistingPolicy::Skip => {
                if checksums == ChecksumMatch::Unknown {
                    self.unchecked.fetch_add(1, Relaxed);
                }
                Claim::Settled(Arc::clone(name), SkipReason::Skipped(version))
            }
            ExistingPolicy::Force => return fetch(name, over, true),
            ExistingPolicy::Refresh => {
                let (name, saved) = (Arc::clone(name), Some(version));
                Claim::Fetch(Some(SavePlace { name, over, noted: true, saved, part: None }))
            }
        };
        let known = |algorithm: &Algorithm| digest_of(&saved, *algorithm);
        if let Some(digest) = self.digests.first().and_then(known) {
            claim.set_digest(&digest);
        }
        claim
    }
}

impl Destination for OpenObjects {
    fn claim(&self, target: &Target) -> ClaimResult {
        let identity = TargetIdentity::of(target);
        let view = self.shared.view();
        let wanted = view.wanted_name(target, &identity.id);
        let named = wanted.and_then(|wanted| view.claim_name(target, &identity, &wanted));
        let (name, state) = match named {
            Ok(Some(named)) => named,
            Ok(None) => return fail("", Failure::Name(NO_FREE_NAME.to_owned())).into(),
            Err(error) => return fail("", self.shared.local_failure("", &error)).into(),
        };
        let claim = match state {
            NameState::New => Ok(fetch(&name, self.shared.rule_for_unknown(), false)),
            NameState::Duplicate(first) => {
                return Claim::Settled(name, SkipReason::Duplicate(first)).into();
            }
            NameState::Recorded(at) => self.claim_recorded(target, &name, at),
        };
        claim.unwrap_or_else(|failure| fail(&name, failure)).into()
    }

    fn sink(&self, job: &Job) -> Sink {
        sink(&self.shared.work, job)
    }

    fn enter(
        &self,
        job: &Job,
        attempt: &mut Attempt,
        _: &dyn Fn(&Attempt) -> Record,
    ) -> Result<Pending, Failure> {
        let is_whole = is_whole_body(job, attempt);
        let Some(exchange) = take_gathered(job, attempt)? else { return Ok(Pending::Nothing) };
        let length = exchange.body.length;
        let body = match exchange.body.data {
            CapturedData::Memory(bytes) => UploadData::Memory(bytes.into()),
            CapturedData::File(name) => {
                UploadData::File(SpooledFile::new(&self.shared.work, name), length)
            }
        };
        let Some(place) = job.place.as_ref().filter(|_| is_whole) else {
            return Ok(Pending::Nothing);
        };
        let view = self.shared.view();
        let name = match view.server_name(job, place, attempt) {
            None => Arc::clone(&place.name),
            Some(wanted) => view
                .named_by_server(job, &wanted, None)
                .map_err(|error| self.shared.local_failure(&wanted, &error))?
                .ok_or_else(|| Failure::Name(NO_FREE_NAME.to_owned()))?,
        };
        let id = HexSha256(naming::identity(job.target.url()));
        let media_type = exchange.heads.media_type;
        let entry = saved(job, &name, place.over, attempt).into_owned();
        let upload = BodyUpload {
            is_renamed: name != place.name,
            name,
            over: place.over,
            attributes: attributes(&id, media_type),
            entry,
            body,
        };
        let shared = Arc::clone(&self.shared);
        let task = self.shared.remote.spawn(async move { shared.upload(upload).await });
        Ok(Pending::Upload(Upload::new(task)))
    }

    fn note_failure(
        &self,
        _: &Record,
        exchange: Option<Box<CapturedExchange>>,
    ) -> Result<(), Failure> {
        if let Some(exchange) = exchange {
            self.drop_exchange(exchange);
        }
        Ok(())
    }

    fn drop_exchange(&self, exchange: Box<CapturedExchange>) {
        if let CapturedData::File(name) = exchange.body.data {
            drop(SpooledFile::new(&self.shared.work, name));
        }
    }

    fn unchecked(&self) -> u64 {
        self.unchecked.load(Relaxed)
    }

    fn child_config(&self) -> Option<ChildStoreConfig> {
        let config = ChildArchiveConfig::new(&self.shared.work, self.shared.local.path());
        Some(ChildStoreConfig::Archive(config))
    }

    fn finish(&self) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        let flushed = self.shared.remote.wait(async move {
            let mut pieces = shared.pieces.lock().await;
            pieces.flush(&shared.remote).await
        });
        flushed.map_err(|fault| self.shared.manifest_failure(&fault))
    }
}

fn attributes(id: &HexSha256, media_type: Option<String>) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::Metadata(Cow::Borrowed(TARGET_FIELD)), id.to_string().into());
    if let Some(media_type) = media_type {
        attributes.insert(Attribute::ContentType, media_type.into());
    }
    attributes
}

/// Takes the lease of a place.
fn take_lease(remote: &Remote) -> Result<Lease, StoreError> {
    let url = || remote.url().to_string();
    Lease::take(remote).map_err(|error| match error {
        LeaseError::Held(holder) => StoreError::ObjectsLeased { url: url(), holder },
        LeaseError::Fault(fault) => unusable(remote, fault),
    })
}

fn unusable(remote: &Remote, fault: ObjectFault) -> StoreError {
    let url = remote.url().to_string();
    match fault {
        ObjectFault::Refused(reason) => ObjectError::Refused { url, reason }.into(),
        ObjectFault::Broken(reason) => ObjectError::Unusable { url, reason }.into(),
    }
}

/// Copies the manifest of the store into the local `manifest`. Returns that, and the number of the next piece.
fn read_manifest(remote: &Remote, manifest: Manifest) -> Result<(Manifest, u64), StoreError> {
    let task_remote = remote.clone();
    let read = remote.wait(async move {
        let next = pieces::read_all(&task_remote, &manifest).await?;
        Ok((manifest, next.unwrap_or(0)))
    });
    read.map_err(|fault| unusable(remote, fault))
}

async fn flush_periodically(shared: Weak<SharedObjects>) {
    loop {
        sleep(FLUSH_CHECK_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut pieces = shared.pieces.lock().await;
        if pieces.is_due() {
            // If that fails, the lines stay, and the flush at the end of the run reports what is still wrong.
            let _ = pieces.flush(&shared.remote).await;
        }
    }
}

impl SharedObjects {
    fn view(&self) -> NameView<'_> {
        NameView {
            options: &self.options,
            names: &self.names,
            manifest: &self.manifest,
            was_known: self.was_known,
        }
    }

    /// What may be overwritten at a name that is not in the manifest. Whether the name is free is known only once the object
    /// is put.
    fn rule_for_unknown(&self) -> OverwriteRule {
        match self.options.foreign {
            ForeignFilePolicy::Replaced => OverwriteRule::File,
            ForeignFilePolicy::Stays => OverwriteRule::Nothing,
        }
    }

    /// The failure of a target because of a local file.
    fn local_failure(&self, name: &str, error: &io::Error) -> Failure {
        self.work.failure_of(name, error)
    }

    /// The failure of a target because of the store.
    fn store_failure(&self, name: &str, fault: &ObjectFault) -> Failure {
        Failure::Disk(format!("{}/{name}: {fault}", self.remote.url()))
    }

    fn manifest_failure(&self, fault: &ObjectFault) -> Failure {
        self.store_failure(&self.remote.own_name(pieces::FOLDER), fault)
    }

    /// Puts a body and adds its entry. Returns the name if it is not the claimed one.
    async fn upload(&self, upload: BodyUpload) -> Result<Option<Arc<str>>, Failure> {
        let BodyUpload { name, is_renamed, over, attributes, mut entry, body } = upload;
        let url = self.remote.url();
        if self.lease.as_ref().is_some_and(|lease| lease.is_lost()) {
            return Err(Failure::Disk(format!("another run has taken over {url}")));
        }
        let Some(path) = self.remote.path(&name) else {
            return Err(Failure::Name(format!("{url}/{name}: no object can have this name")));
        };
        let put = self.put(&path, over, attributes, body).await.map_err(|fault| match fault {
            BodyFault::Taken => Failure::Name(format!(
                "{url}/{name} already exists and was not saved by fetch; use --overwrite to replace it"
            )),
            BodyFault::Put(PutFault::Local(error)) => self.local_failure(&name, &error),
            BodyFault::Put(PutFault::Store(fault)) => self.store_failure(&name, &fault),
        })?;
        super::failpoint::hit("object_put");
        entry.object_etag = put.e_tag.map(String::into_boxed_str);
        let entry = ManifestEntry::Saved(entry);
        let local = |error: &io::Error| self.local_failure(&name, error);
        self.manifest.append(&entry).map_err(|error| local(&error))?;
        let mut pieces = self.pieces.lock().await;
        pieces.push(&entry).map_err(|error| local(&error))?;
        if pieces.is_due() {
            let flushed = pieces.flush(&self.remote).await;
            flushed.map_err(|fault| self.manifest_failure(&fault))?;
        }
        Ok(is_renamed.then_some(name))
    }

    async fn put(
        &self,
        path: &ObjectPath,
        over: OverwriteRule,
        attributes: Attributes,
        body: UploadData,
    ) -> Result<PutResult, BodyFault> {
        let (file, length) = match body {
            UploadData::Memory(bytes) => {
                return self.put_in_one_request(path, over, attributes, bytes).await;
            }
            UploadData::File(file, length) => (file, length),
        };
        let _permit = self.large_uploads.acquire().await;
        let open = file.open().map_err(PutFault::Local)?;
        if length <= PART {
            let (_, bytes) = read_part(open, PART).await?;
            return self.put_in_one_request(path, over, attributes, bytes).await;
        }
        if over == OverwriteRule::Nothing {
            self.ensure_free_or_ours(path, &attributes).await?;
        }
        Ok(put_in_parts(&*self.remote.store, path, attributes, open, length).await?)
    }

    async fn put_in_one_request(
        &self,
        path: &ObjectPath,
        over: OverwriteRule,
        attributes: Attributes,
        bytes: Bytes,
    ) -> Result<PutResult, BodyFault> {
        let store = &self.remote.store;
        let payload = PutPayload::from(bytes);
        let put = |mode| {
            let attributes = attributes.clone();
            let options = PutOptions { mode, attributes, ..PutOptions::default() };
            store.put_opts(path, payload.clone(), options)
        };
        if over == OverwriteRule::Nothing {
            match put(PutMode::Create).await {
                // The object may be ours, if the reply to an earlier try was lost.
                Err(
                    Error::AlreadyExists { .. }
                    | Error::NotImplemented { .. }
                    | Error::NotSupported { .. },
                ) => self.ensure_free_or_ours(path, &attributes).await?,
                put => return Ok(put?),
            }
        }
        Ok(put(PutMode::Overwrite).await?)
    }

    /// Ensures that a name is free, or has an object of the same target, which a killed run may have put.
    async fn ensure_free_or_ours(
        &self,
        path: &ObjectPath,
        attributes: &Attributes,
    ) -> Result<(), BodyFault> {
        let field = Attribute::Metadata(Cow::Borrowed(TARGET_FIELD));
        let head = GetOptions { head: true, ..GetOptions::default() };
        let existing = match self.remote.store.get_opts(path, head).await {
            Err(Error::NotFound { .. }) => return Ok(()),
            existing => existing?,
        };
        let id_of = |attributes: &Attributes| {
            attributes.get(&field).map(AttributeValue::as_ref).map(str::to_owned)
        };
        match id_of(&existing.attributes) {
            Some(id) if id_of(attributes).as_ref() == Some(&id) => Ok(()),
            _ => Err(BodyFault::Taken),
        }
    }
}
