//! Archives in an object store. Nothing can be appended to an object, so an archive is written in a temporary folder and put
//! as a whole when it is complete: when the next one is begun, or at the end of the run. Then the entries about it are put as
//! pieces of the manifest, and its local file is removed. Each run begins an archive of its own. A killed run loses the
//! bodies of the archives that it has not put; the next one fetches them again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::future::ready;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::{StreamExt, TryStreamExt};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::lease::{Lease, LeaseState};
use super::pieces::{MAX_ENTRIES, PieceWriter};
use super::{read_manifest, take_lease, unusable};
use crate::digest::{Algorithm, ExpectedDigests};
use crate::model::{Attempt, CapturedExchange, Failure, Job, Record, Target};
use crate::object_access::{ObjectError, ObjectFault, PutFault, Remote, put_file};
use crate::plan::{ArchiveOptions, ObjectUrl};
use crate::store::StoreError;
use crate::store::archive::{OpenArchive, StoredArchives};
use crate::store::claim::ClaimResult;
use crate::store::destination::{Destination, Pending, Upload};
use crate::store::entry::{AppendedEntry, HexSha256, ManifestEntry};
use crate::store::failpoint;
use crate::store::manifest::Manifest;
use crate::store::sink::Sink;
use crate::store::work_dir::ChildStoreConfig;
use crate::sync::lock;
use crate::temporary_file;

/// Complete archives that may wait in the temporary folder before bodies wait for them.
const MAX_WAITING_ARCHIVES: usize = 1;

/// The archives of one prefix in an object store.
#[derive(Debug)]
pub(in crate::store) struct ObjectArchives {
    shared: Arc<SharedArchives>,
    /// `None` in a dry run, which may not write.
    _lease: Option<Lease>,
}

/// The state that uploads share.
#[derive(Debug)]
struct SharedArchives {
    remote: Remote,
    lease: Option<Arc<LeaseState>>,
    /// Writes archives in the temporary folder until they are complete.
    local: OpenArchive,
    stored: StoredArchives,
    /// Locked while an archive is put, so that one is put at a time.
    manifest: AsyncMutex<StoredManifest>,
    /// The number of complete archives that are not in the store yet.
    waiting: watch::Sender<usize>,
    /// Why an archive could not be put: the first failure.
    fault: Mutex<Option<Failure>>,
    _folder: TempDir,
}

/// The manifest as it is in the store.
#[derive(Debug)]
struct StoredManifest {
    pieces: PieceWriter,
    /// The length of the part of the local manifest that was handed to `pieces`, in bytes.
    copied: u64,
}

impl ObjectArchives {
    /// Takes the lease of the archives of this prefix, and reads their manifest. Returns warnings about the manifest too.
    ///
    /// # Errors
    /// If another run writes them, or the store cannot be used.
    pub(in crate::store) fn open(
        url: &ObjectUrl,
        options: &ArchiveOptions,
        expected: Arc<ExpectedDigests>,
        digests: Vec<Algorithm>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let (remote, stem) = Remote::open_beside(url, options.patience)?;
        let lease = take_lease(&remote)?;
        Self::load(remote, &stem, options, expected, digests, Some(lease))
    }

    /// Reads the manifest of the archives of this prefix, for claims only; nothing is written.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub(in crate::store) fn inspect(
        url: &ObjectUrl,
        options: &ArchiveOptions,
        expected: Arc<ExpectedDigests>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let (remote, stem) = Remote::open_beside(url, options.patience)?;
        Self::load(remote, &stem, options, expected, Vec::new(), None)
    }

    fn load(
        remote: Remote,
        stem: &str,
        options: &ArchiveOptions,
        expected: Arc<ExpectedDigests>,
        digests: Vec<Algorithm>,
        lease: Option<Lease>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let unusable =
            |reason: io::Error| StoreError::Unusable { dir: options.prefix.clone(), reason };
        let folder = temporary_file::folder("fetch-objects-").map_err(unusable)?;
        let prefix = folder.path().join(stem);
        let (manifest, next) = local_manifest(&remote, &prefix, options)?;
        let stored = stored_archives(&remote, stem)?;
        if next == 0 {
            ensure_no_index(&remote, stem)?;
        }
        let copied = manifest.length();
        let of_folder = ArchiveOptions { prefix, ..options.clone() };
        let opened =
            OpenArchive::open_stored(&of_folder, expected, digests, Arc::clone(&stored), manifest);
        let (local, notices) = opened.map_err(unusable)?;
        let shared = SharedArchives {
            remote,
            lease: lease.as_ref().map(Lease::state),
            local,
            stored,
            manifest: AsyncMutex::new(StoredManifest { pieces: PieceWriter::new(next), copied }),
            waiting: watch::Sender::new(0),
            fault: Mutex::new(None),
            _folder: folder,
        };
        Ok((Self { shared: Arc::new(shared), _lease: lease }, notices))
    }

    /// Starts to put the archives that were completed since the last call.
    fn put_complete(&self) {
        for (name, path) in self.shared.local.take_complete() {
            self.shared.waiting.send_modify(|waiting| *waiting += 1);
            let shared = Arc::clone(&self.shared);
            drop(self.shared.remote.spawn(async move {
                if let Err(failure) = shared.put_archive(&name, &path).await {
                    lock(&shared.fault).get_or_insert(failure);
                }
                shared.waiting.send_modify(|waiting| *waiting -= 1);
            }));
        }
    }
}

impl Destination for ObjectArchives {
    fn claim(&self, target: &Target) -> ClaimResult {
        self.shared.local.claim(target)
    }

    fn sink(&self, job: &Job) -> Sink {
        self.shared.local.sink(job)
    }

    fn enter(
        &self,
        job: &Job,
        attempt: &mut Attempt,
        record: &dyn Fn(&Attempt) -> Record,
    ) -> Result<Pending, Failure> {
        self.shared.ensure_sound()?;
        let pending = self.shared.local.enter(job, attempt, record)?;
        self.put_complete();
        if *self.shared.waiting.borrow() <= MAX_WAITING_ARCHIVES {
            return Ok(pending);
        }
        let shared = Arc::clone(&self.shared);
        Ok(Pending::Upload(Upload::new(async move {
            shared.wait_until_waiting(MAX_WAITING_ARCHIVES).await;
            shared.ensure_sound()?;
            shared.local.commit_entry(pending)
        })))
    }

    fn commit(&self, _: &Job, _: &Attempt, pending: Pending) -> Result<Option<Arc<str>>, Failure> {
        self.shared.local.commit_entry(pending)
    }

    fn note_failure(
        &self,
        record: &Record,
        exchange: Option<Box<CapturedExchange>>,
    ) -> Result<(), Failure> {
        let noted = self.shared.local.note_failure(record, exchange);
        self.put_complete();
        noted
    }

    fn drop_exchange(&self, exchange: Box<CapturedExchange>) {
        self.shared.local.drop_exchange(exchange);
    }

    fn unchecked(&self) -> u64 {
        self.shared.local.unchecked()
    }

    fn child_config(&self) -> Option<ChildStoreConfig> {
        self.shared.local.child_config()
    }

    fn finish(&self) -> Result<(), Failure> {
        self.shared.local.finish()?;
        self.shared.local.close();
        self.put_complete();
        let shared = Arc::clone(&self.shared);
        self.shared.remote.wait(async move {
            shared.wait_until_waiting(0).await;
            shared.ensure_sound()?;
            shared.put_index().await
        })
    }
}

impl SharedArchives {
    /// Waits until at most `most` complete archives are not in the store yet.
    async fn wait_until_waiting(&self, most: usize) {
        let mut waiting = self.waiting.subscribe();
        waiting.wait_for(|waiting| *waiting <= most).await.expect("the sender is ours");
    }

    /// Fails if an archive could not be put, or another run writes these.
    fn ensure_sound(&self) -> Result<(), Failure> {
        if self.lease.as_ref().is_some_and(|lease| lease.is_lost()) {
            let url = self.remote.url();
            return Err(Failure::Disk(format!("another run has taken over the archives in {url}")));
        }
        lock(&self.fault).clone().map_or(Ok(()), Err)
    }

    /// Puts an archive and the entries about it, and removes its local file.
    async fn put_archive(&self, name: &str, path: &Path) -> Result<(), Failure> {
        let mut manifest = self.manifest.lock().await;
        self.ensure_sound()?;
        let local = |error: &io::Error| self.failure(name, &error.to_string());
        let file = File::open(path).map_err(|error| local(&error))?;
        let length = file.metadata().map_err(|error| local(&error))?.len();
        let put = self.put(name, file).await?;
        failpoint::hit("object_put");
        lock(&self.stored).insert(name.to_owned(), length);
        let noted = self.local.manifest().append(&ManifestEntry::Appended(AppendedEntry {
            path: name.into(),
            id: HexSha256::of(name),
            offset: length,
            length: 0,
            record: None,
            object_etag: put.e_tag.map(Into::into),
        }));
        noted.map_err(|error| local(&error))?;
        let flushed = manifest.put_entries(self).await;
        flushed.map_err(|fault| {
            self.failure(&self.remote.own_name(super::pieces::FOLDER), &fault.to_string())
        })?;
        fs::remove_file(path).map_err(|error| local(&error))
    }

    /// Puts the index, if there is one.
    async fn put_index(&self) -> Result<(), Failure> {
        let path = self.local.index_path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failure(name, &error.to_string())),
            Ok(file) => self.put(name, file).await.map(drop),
        }
    }

    async fn put(&self, name: &str, file: File) -> Result<object_store::PutResult, Failure> {
        let Some(path) = self.remote.path(name) else {
            let url = self.remote.url();
            return Err(Failure::Name(format!("{url}/{name}: no object can have this name")));
        };
        put_file(&*self.remote.store, &path, file).await.map_err(|fault| match fault {
            PutFault::Local(error) => self.failure(name, &error.to_string()),
            PutFault::Store(fault) => self.failure(name, &fault.to_string()),
        })
    }

    fn failure(&self, name: &str, reason: &str) -> Failure {
        Failure::Disk(format!("{}/{name}: {reason}", self.remote.url()))
    }
}

impl StoredManifest {
    /// Puts further entries, up to the first one about an archive that is not in the store.
    async fn put_entries(&mut self, archives: &SharedArchives) -> Result<(), ObjectFault> {
        loop {
            let is_stored = |line: &[u8]| match serde_json::from_slice::<OnlyPath>(line) {
                Ok(entry) => lock(&archives.stored).contains_key(&entry.path),
                Err(_) => true,
            };
            let read = archives.local.manifest().lines_from(self.copied, MAX_ENTRIES, is_stored);
            let (lines, number) = read.map_err(|error| ObjectFault::Broken(error.to_string()))?;
            if number > 0 {
                self.copied += lines.len() as u64;
                self.pieces.push_lines(&lines, number);
            }
            self.pieces.flush(&archives.remote).await?;
            if number < MAX_ENTRIES {
                return Ok(());
            }
        }
    }
}

/// The path of a manifest entry.
#[derive(Deserialize)]
struct OnlyPath {
    path: String,
}

/// Copies the manifest into a local one for archives with this prefix. Returns the number of its next piece too.
fn local_manifest(
    remote: &Remote,
    prefix: &Path,
    options: &ArchiveOptions,
) -> Result<(Manifest, u64), StoreError> {
    let unusable = |reason: io::Error| StoreError::Unusable { dir: options.prefix.clone(), reason };
    let bookkeeping = prefix.with_added_extension("fetch");
    fs::create_dir_all(&bookkeeping).map_err(unusable)?;
    let opened = Dir::open_ambient_dir(&bookkeeping, ambient_authority());
    let (manifest, _) = opened.and_then(|folder| Manifest::open(&folder)).map_err(unusable)?;
    read_manifest(remote, manifest)
}

/// The archives of this stem that are in the store.
fn stored_archives(remote: &Remote, stem: &str) -> Result<StoredArchives, StoreError> {
    let found = list(remote, stem)?;
    let lengths: HashMap<_, _> =
        found.into_iter().map(|(name, listed)| (name, listed.bytes)).collect();
    Ok(Arc::new(Mutex::new(lengths)))
}

/// What a listing says of an archive.
#[derive(Debug)]
pub(super) struct ListedArchive {
    pub bytes: u64,
    pub etag: Option<String>,
}

/// The objects whose names begin like those of archives of this stem. Stores list objects in the order of their names.
pub(super) fn list(
    remote: &Remote,
    stem: &str,
) -> Result<HashMap<String, ListedArchive>, StoreError> {
    let task_remote = remote.clone();
    let first = remote.path(&format!("{stem}-")).unwrap_or_default();
    let listed = remote.wait(async move {
        let objects = task_remote.store.list_with_offset(task_remote.root(), &first);
        let is_of_stem = |object: &object_store::ObjectMeta| {
            object.location.as_ref().starts_with(first.as_ref())
        };
        let own = objects.try_take_while(|object| ready(Ok(is_of_stem(object)))).boxed();
        own.try_collect::<Vec<_>>().await.map_err(ObjectFault::from)
    });
    let listed = listed.map_err(|fault| unusable(remote, fault))?;
    let named = listed.into_iter().filter_map(|object| {
        let name = remote.name(&object.location)?.to_owned();
        Some((name, ListedArchive { bytes: object.size, etag: object.e_tag }))
    });
    Ok(named.collect())
}

/// Fails if there is an index that fetch has not written.
fn ensure_no_index(remote: &Remote, stem: &str) -> Result<(), StoreError> {
    let name = format!("{stem}.cdxj");
    let (store, path) = (Arc::clone(&remote.store), remote.path(&name).unwrap_or_default());
    let found = remote.wait(async move {
        use object_store::ObjectStoreExt;
        match store.head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(ObjectFault::from(error)),
        }
    });
    match found.map_err(|fault| unusable(remote, fault))? {
        false => Ok(()),
        true => Err(StoreError::Objects(ObjectError::Refused {
            url: format!("{}/{name}", remote.url()),
            reason: "it was not written by fetch; move it away".to_owned(),
        })),
    }
}
