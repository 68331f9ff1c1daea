//! The archives of a run: WARC files with requests and responses, or tar files with bodies and their records.
//!
//! The response of an attempt is spooled in memory or in a file of `PREFIX.fetch/work` (`capture.rs`); in mode `processes`,
//! a child process spools it and hands it to its parent. Once the body is verified, one writer appends it to the newest
//! archive (`writer.rs`) and queues its entry in the manifest, `PREFIX.fetch/manifest.jsonl`. One lock covers both steps, so
//! entries are in archive order, and the known part of an archive ends with its last entry. A run may be killed between any
//! two steps; the next run truncates the newest archive to that end and continues there. The entry of an archive is written
//! before its file is created: a file of that name without an entry belongs to somebody else.

mod capture;
mod cdxj;
mod child;
mod gzip;
mod load;
mod read;
mod spool_folder;
mod surt;
mod tar;
mod unit;
mod warc;
mod writer;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use super::claim::{
    ChecksumMatch, Claim, ClaimResult, SkipReason, TargetIdentity, checksum_match, digest_of,
};
use super::commit::saved;
use super::destination::{Destination, Pending, is_whole_body, take_gathered};
use super::entry::{AppendedEntry, ArchivedEntry, HexSha256, ManifestEntry, RecordEntry};
use super::failpoint;
use super::lock::Lock;
use super::manifest::{Manifest, PendingEntry};
use super::name_index::{HashKind, IndexedOwner, NameCheck, NameIndex, NameKey};
use super::outputs::OutputError;
use super::sink::Sink;
use super::work_dir::ChildStoreConfig;
use crate::digest::{Algorithm, ExpectedDigests};
use crate::model::{
    Attempt, AttemptOutcome, CapturedData, CapturedEnd, CapturedExchange, Failure, FailureClass,
    Job, JobKind, OverwriteRule, Record, SavePlace, Target,
};
use crate::naming;
use crate::plan::{ArchiveFormat, ArchiveOptions, Durability, ExistingPolicy, NamingScheme};
use crate::sync::lock;
pub(super) use capture::ExchangeCapture;
use cdxj::RunLines;
pub(super) use child::{ChildArchive, ChildArchiveConfig};
pub(super) use read::SavedArchive;
pub(super) use spool_folder::SpoolFolder;
#[cfg(feature = "object-store")]
pub(super) use spool_folder::SpooledFile;
use spool_folder::failure;
use unit::AppendUnit;
use warc::RecordForm;
#[cfg(feature = "object-store")]
pub(super) use writer::StoredArchives;
pub(super) use writer::prefix_of;
use writer::{ArchiveNames, ArchiveWriter};

/// The archives of one prefix, with their manifest.
#[derive(Debug)]
pub(super) struct OpenArchive {
    options: ArchiveOptions,
    names: ArchiveNames,
    expected: Arc<ExpectedDigests>,
    /// The algorithms of the digests that the manifest keeps of a body; the first one is reported.
    digests: Vec<Algorithm>,
    work: Arc<SpoolFolder>,
    manifest: Manifest,
    /// The folder with the manifest and the lock.
    bookkeeping: PathBuf,
    index: Mutex<NameIndex>,
    /// The length of each archive when the run began.
    lengths: HashMap<String, u64>,
    /// Archives that were shorter than the manifest says, each with the end of its last complete unit.
    lost: HashMap<String, u64>,
    writer: Mutex<ArchiveWriter>,
    /// The index lines of this run; `None` if the index is made from the whole manifest, or there is none.
    indexed: Mutex<Option<RunLines>>,
    /// Skipped bodies whose wanted checksum could not be compared.
    unchecked: AtomicU64,
    /// `None` in a dry run, which may not write.
    lock: Option<Lock>,
}

/// The key of a target that this run has claimed.
fn listed_key(identity: &TargetIdentity) -> NameKey {
    NameKey::of_hash(HashKind::Target, &identity.whole)
}

/// The key of a target that an earlier run has saved.
fn saved_key(target: &HexSha256) -> NameKey {
    NameKey::of_hash(HashKind::Saved, &target.0)
}

/// The key of a body in an archive, by its digest.
fn payload_key(payload: &HexSha256) -> NameKey {
    NameKey::of_hash(HashKind::Payload, &payload.0)
}

/// Identifies a target across runs: by its URL without signatures, which change from run to run, and by the userinfo, the
/// file name and the headers of its line, if it has any.
fn identity_of(target: &Target) -> HexSha256 {
    let id = HexSha256(naming::identity(target.url()));
    let (url, options) = (target.url(), &target.options);
    let has_userinfo = !url.username().is_empty() || url.password().is_some();
    if options.out.is_none() && options.headers.is_empty() && !has_userinfo {
        return id;
    }
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    let mut text = format!("{id}\n{user}:{password}").into_bytes();
    text.extend(options.out.iter().flat_map(|out| [b"\n", out.as_bytes()].concat()));
    for (name, value) in &options.headers {
        text.extend([b"\n", name.as_str().as_bytes(), b":", value.as_bytes()].concat());
    }
    HexSha256::of(text)
}

impl Destination for OpenArchive {
    fn claim(&self, target: &Target) -> ClaimResult {
        let name: Arc<str> = file_name(target).into();
        self.claim_named(target, &name)
            .unwrap_or_else(|error| {
                Claim::Settled(name, SkipReason::Failed(self.manifest_failure(&error)))
            })
            .into()
    }

    fn sink(&self, job: &Job) -> Sink {
        sink(&self.work, job)
    }

    fn enter(
        &self,
        job: &Job,
        attempt: &mut Attempt,
        record: &dyn Fn(&Attempt) -> Record,
    ) -> Result<Pending, Failure> {
        let is_whole = is_whole_body(job, attempt);
        let Some(exchange) = take_gathered(job, attempt)? else { return Ok(Pending::Nothing) };
        if let CapturedEnd::Broken(_) = exchange.ended {
            // It is not known yet whether another attempt follows.
            attempt.exchange = Some(exchange);
            return Ok(Pending::Nothing);
        }
        let spool_file = self.guard_spool_file(&exchange);
        let entered = match self.options.format {
            ArchiveFormat::Warc => self.enter_exchange(job, attempt, *exchange, is_whole),
            ArchiveFormat::Tar if is_whole => self.enter_sample(job, attempt, *exchange, record),
            ArchiveFormat::Tar => Ok(Pending::Nothing),
        };
        drop(spool_file);
        entered
    }

    fn commit(&self, _: &Job, _: &Attempt, pending: Pending) -> Result<Option<Arc<str>>, Failure> {
        self.commit_entry(pending)
    }

    fn note_failure(
        &self,
        record: &Record,
        exchange: Option<Box<CapturedExchange>>,
    ) -> Result<(), Failure> {
        let spool_file = exchange.as_ref().map(|exchange| self.guard_spool_file(exchange));
        let noted = match self.options.format {
            ArchiveFormat::Warc if needs_failure_record(record) => {
                self.enter_failure(record, exchange)
            }
            ArchiveFormat::Warc | ArchiveFormat::Tar => Ok(()),
        };
        drop(spool_file);
        noted
    }

    fn drop_exchange(&self, exchange: Box<CapturedExchange>) {
        drop(self.guard_spool_file(&exchange));
    }

    fn claim_outputs(&self, paths: &[PathBuf]) -> Result<(), OutputError> {
        match paths.iter().find(|path| self.names.has(path)) {
            Some(path) => Err(OutputError::Saved(path.clone())),
            None => Ok(()),
        }
    }

    fn unchecked(&self) -> u64 {
        self.unchecked.load(Relaxed)
    }

    fn child_config(&self) -> Option<ChildStoreConfig> {
        let config = ChildArchiveConfig::new(&self.work, &self.bookkeeping);
        Some(ChildStoreConfig::Archive(config))
    }

    fn finish(&self) -> Result<(), Failure> {
        let mut writer = self.writer();
        let has_archives = writer.current().is_some();
        if has_archives && self.options.format == ArchiveFormat::Tar {
            let name = writer.current().map(|current| current.name.clone()).unwrap_or_default();
            let ended = self.end_tar(&mut writer);
            ended.map_err(|error| failure(&self.names.path(&name), &error))?;
        }
        drop(writer);
        let _ = self.work.clear();
        let (path, due) = (self.names.beside("cdxj"), self.index_due_path());
        let is_due = has_archives && (due.exists() || !path.exists());
        if self.options.format == ArchiveFormat::Warc && is_due {
            let run_lines = lock(&self.indexed).take();
            let length = |name: &str| self.names.length(name);
            cdxj::write(&self.manifest, run_lines, length, &self.bookkeeping, &path)
                .and_then(|()| remove_if_there(&due))
                .map_err(|error| failure(&path, &error))?;
        }
        Ok(())
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The sink of a job. Only the bodies of targets are archived, not robots.txt.
pub(super) fn sink(work: &Arc<SpoolFolder>, job: &Job) -> Sink {
    match job.kind {
        JobKind::Body => Sink::to_archive(ExchangeCapture::new(work)),
        JobKind::Segment { .. } | JobKind::Assemble(_) | JobKind::Robots { .. } => Sink::nowhere(),
    }
}

/// The name that the target's file would have in a directory: checksum files refer to it.
fn file_name(target: &Target) -> String {
    match &target.options.out {
        Some(out) => naming::of_option(out),
        None => naming::of_url(NamingScheme::Flat, target.url(), target.index),
    }
}

/// Whether the archive gets a record of this failure: a request was made, or would have been.
fn needs_failure_record(record: &Record) -> bool {
    let unattempted = [FailureClass::Cancelled, FailureClass::Quota, FailureClass::InvalidUrl];
    record.error.as_ref().is_some_and(|error| !unattempted.contains(&error.class))
}

/// Removes the spool file of an exchange when dropped, if the exchange has one.
struct SpoolFileGuard<'a> {
    work: &'a SpoolFolder,
    name: Option<String>,
}

impl Drop for SpoolFileGuard<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.work.remove(name);
        }
    }
}

impl OpenArchive {
    /// Commits the queued entry of a body. Returns the name of its archive; `None` if nothing was appended.
    pub(super) fn commit_entry(&self, pending: Pending) -> Result<Option<Arc<str>>, Failure> {
        let Pending::Archived { entry, name, payload } = pending else { return Ok(None) };
        let fault = |error: &io::Error| self.manifest_failure(error);
        let at = self.manifest.commit(entry).map_err(|error| fault(&error))?;
        if self.options.durability == Durability::Power {
            self.manifest.sync().map_err(|error| fault(&error))?;
        }
        failpoint::hit("archive_entered");
        if let Some(payload) = payload {
            // From here on, equal bodies refer to this one.
            let owner = IndexedOwner::Recorded { check: NameCheck::of_hash(&payload.0), at };
            let set = lock(&self.index).set(&payload_key(&payload), owner);
            set.map_err(|error| fault(&error))?;
        }
        Ok(Some(name))
    }

    fn claim_named(&self, target: &Target, name: &Arc<str>) -> io::Result<Claim> {
        let (identity, saved) = (TargetIdentity::of(target), identity_of(target));
        let mut index = lock(&self.index);
        let key = listed_key(&identity);
        if let Some(IndexedOwner::Listed { index, .. }) = index.get(&key) {
            return Ok(Claim::Settled(Arc::clone(name), SkipReason::Duplicate(index)));
        }
        let check = NameCheck::of_hash(&identity.whole);
        index.set(&key, IndexedOwner::Listed { check, index: target.index })?;
        let recorded = index.get(&saved_key(&saved));
        drop(index);
        let Some(IndexedOwner::Recorded { at, .. }) = recorded else { return Ok(fetch(name)) };
        let Some(entry) = self.read_archived(at)? else { return Ok(fetch(name)) };
        Ok(self.claim_archived(target, name, entry))
    }

    fn claim_archived(
        &self,
        target: &Target,
        name: &Arc<str>,
        entry: ArchivedEntry<'static>,
    ) -> Claim {
        let checksums = checksum_match(&self.expected, target, name, &entry.saved);
        if checksums == ChecksumMatch::Other {
            return fetch(name);
        }
        let version = entry.saved.version();
        let known = |algorithm: &Algorithm| digest_of(&entry.saved, *algorithm);
        let digest = self.digests.first().and_then(known);
        let mut claim = match self.options.again {
            ExistingPolicy::Skip => {
                if checksums == ChecksumMatch::Unknown {
                    self.unchecked.fetch_add(1, Relaxed);
                }
                let archive: Arc<str> = (&*entry.saved.path).into();
                Claim::Settled(archive, SkipReason::Skipped(version))
            }
            ExistingPolicy::Force => fetch(name),
            ExistingPolicy::Refresh => {
                Claim::Fetch(Some(SavePlace { saved: Some(version), ..place(name) }))
            }
        };
        if let Some(digest) = digest {
            claim.set_digest(&digest);
        }
        claim
    }

    /// Reads the entry at this byte of the manifest. `None` if it is not about a body, or if the body, or the record that it
    /// refers to, is missing from its archive.
    fn read_archived(&self, at: u64) -> io::Result<Option<ArchivedEntry<'static>>> {
        let ManifestEntry::Archived(entry) = self.manifest.read(at)? else { return Ok(None) };
        let length = self.lengths.get(&*entry.saved.path).copied().unwrap_or(0);
        let original = entry.record.as_ref().filter(|record| record.is_revisit);
        let is_there = entry.offset + entry.length <= length
            && original.is_none_or(|record| self.record_with_payload(&record.payload).is_some());
        Ok(Some(entry).filter(|_| is_there))
    }

    /// The record that holds the body with this digest; `None` if none is known.
    fn record_with_payload(&self, payload: &HexSha256) -> Option<RecordEntry> {
        let owner = lock(&self.index).get(&payload_key(payload));
        let Some(IndexedOwner::Recorded { at, .. }) = owner else { return None };
        // An entry that cannot be read is no reason to fail: the body is archived once more.
        let record = match self.manifest.read(at).ok()? {
            ManifestEntry::Archived(entry) => entry.record,
            ManifestEntry::Appended(entry) => entry.record,
            _ => None,
        };
        record.filter(|record| record.payload == *payload)
    }

    /// Appends the request and the response of an attempt to a WARC file.
    fn enter_exchange(
        &self,
        job: &Job,
        attempt: &Attempt,
        exchange: CapturedExchange,
        is_whole: bool,
    ) -> Result<Pending, Failure> {
        let target = identity_of(&job.target);
        let payload = HexSha256(exchange.body.payload[..].try_into().unwrap_or_default());
        let is_unchanged = attempt.outcome == AttemptOutcome::Unchanged;
        let is_complete = exchange.ended == CapturedEnd::Whole && exchange.body.bytes > 0;
        let known = match is_unchanged {
            true => self.saved_record(&target),
            false if is_complete => self.record_with_payload(&payload),
            false => None,
        };
        let form = match &known {
            known if is_unchanged => RecordForm::NotModified(known.as_ref()),
            Some(known) => RecordForm::Identical(known),
            None => RecordForm::Response,
        };
        let is_original = matches!(form, RecordForm::Response) && is_complete;
        let built = warc::exchange(&self.work.compressors, exchange, form);
        let (unit, record) = built.map_err(|error| self.work.failure(&error))?;
        let kind = if is_whole { UnitKind::Body(None) } else { UnitKind::Other };
        let indexed = record.clone();
        let (entry, name, offset) = self.append(&unit, kind, |path, offset| {
            let (length, record) = (unit.length(), Some(record));
            if !is_whole {
                let id = HexSha256(naming::identity(job.target.url()));
                return self.enter_appended(AppendedEntry {
                    path: path.into(),
                    id,
                    offset,
                    length,
                    record,
                    object_etag: None,
                });
            }
            self.manifest.enter(&ManifestEntry::Archived(ArchivedEntry {
                saved: saved(job, path, OverwriteRule::Nothing, attempt),
                target,
                offset,
                length,
                payload,
                record,
                member: None,
            }))
        })?;
        self.index_record(&name, offset, &indexed)?;
        Ok(Pending::Archived { entry, name, payload: is_original.then_some(payload) })
    }

    /// The response record of a target that an earlier run has saved.
    fn saved_record(&self, target: &HexSha256) -> Option<RecordEntry> {
        let owner = lock(&self.index).get(&saved_key(target));
        let Some(IndexedOwner::Recorded { at, .. }) = owner else { return None };
        self.read_archived(at).ok()??.record
    }

    /// Appends a body and its record to a tar archive.
    fn enter_sample(
        &self,
        job: &Job,
        attempt: &mut Attempt,
        exchange: CapturedExchange,
        record: &dyn Fn(&Attempt) -> Record,
    ) -> Result<Pending, Failure> {
        let payload = HexSha256(exchange.body.payload[..].try_into().unwrap_or_default());
        let member = tar::member_name(&job.target, exchange.heads.media_type.as_deref());
        attempt.name = Some(member.as_str().into());
        let record = record(attempt);
        let column = self.options.text_column.as_deref();
        let text = column.and_then(|column| record.carried.as_ref()?.text_of(column));
        let unit = tar::sample(&member, exchange, &record, text);
        let kind = UnitKind::Body(tar::key_of_member(&member));
        let (entry, name, _) = self.append(&unit, kind, |path, offset| {
            self.manifest.enter(&ManifestEntry::Archived(ArchivedEntry {
                saved: saved(job, path, OverwriteRule::Nothing, attempt),
                target: identity_of(&job.target),
                offset,
                length: unit.length(),
                payload,
                record: None,
                member: Some(member.as_str().into()),
            }))
        })?;
        Ok(Pending::Archived { entry, name, payload: None })
    }

    /// Appends a record of a failure to a WARC file, and the messages of the last attempt if there are any.
    fn enter_failure(
        &self,
        record: &Record,
        exchange: Option<Box<CapturedExchange>>,
    ) -> Result<(), Failure> {
        let pool = &self.work.compressors;
        let reply = exchange.map(|exchange| warc::exchange(pool, *exchange, RecordForm::Response));
        let fault = |error: io::Error| self.work.failure(&error);
        let (mut unit, reply) = match reply.transpose().map_err(fault)? {
            Some((unit, reply)) => (unit, Some(reply)),
            None => (AppendUnit::default(), None),
        };
        unit.push(warc::failure(pool, record, reply.as_ref()).map_err(fault)?);
        let id = HexSha256::of(&*record.url);
        let indexed = reply.clone();
        let (entry, name, offset) = self.append(&unit, UnitKind::Other, |path, offset| {
            let (path, length) = (path.into(), unit.length());
            let entry =
                AppendedEntry { path, id, offset, length, record: reply, object_etag: None };
            self.enter_appended(entry)
        })?;
        if let Some(indexed) = indexed {
            self.index_record(&name, offset, &indexed)?;
        }
        let committed = self.manifest.commit(entry);
        committed.map(drop).map_err(|error| self.manifest_failure(&error))
    }

    /// Appends a unit to the newest archive, or to the next one if that is full. Then `enter` queues its entry, given the name
    /// of the archive and the byte at which the unit begins. Returns the entry, the name and the byte.
    fn append(
        &self,
        unit: &AppendUnit,
        kind: UnitKind,
        enter: impl FnOnce(&str, u64) -> io::Result<PendingEntry>,
    ) -> Result<(PendingEntry, Arc<str>, u64), Failure> {
        let mut writer = self.writer();
        self.make_room(&mut writer, unit.length(), kind)?;
        let name: Arc<str> = match writer.current() {
            Some(current) => current.name.as_str().into(),
            None => unreachable!("room was made"),
        };
        let fault = |error: &io::Error| failure(&self.names.path(&name), error);
        let offset = writer.append(unit, &self.work).map_err(|error| fault(&error))?;
        if self.options.durability == Durability::Power {
            writer.sync().map_err(|error| fault(&error))?;
        }
        failpoint::hit("archived");
        if let UnitKind::Body(key) = kind {
            writer.count_body(key);
        }
        let queued = enter(&name, offset);
        Ok((queued.map_err(|error| self.manifest_failure(&error))?, name, offset))
    }

    /// Opens the newest archive. Begins the next one if that has no room for `more` bytes or another body, or already has a
    /// sample with this key.
    fn make_room(
        &self,
        writer: &mut ArchiveWriter,
        more: u64,
        kind: UnitKind,
    ) -> Result<(), Failure> {
        let max_bodies = self.options.max_bodies;
        let has_room = writer.current().is_some_and(|current| {
            let fits = current.length.saturating_add(more) <= self.options.max_bytes.get();
            let takes_more = max_bodies.is_none_or(|max| current.bodies < max.get());
            let is_new = match kind {
                UnitKind::Body(Some(key)) => !current.keys.contains(&key),
                UnitKind::Body(None) | UnitKind::Other => true,
            };
            current.length == 0 || fits && takes_more && is_new
        });
        if has_room && writer.is_open() {
            return Ok(());
        }
        let fault = |error: &io::Error| failure(&self.names.folder, error);
        if has_room && writer.reopen().map_err(|error| fault(&error))? {
            return self.append_info(writer);
        }
        if self.options.format == ArchiveFormat::Tar {
            self.end_tar(writer).map_err(|error| fault(&error))?;
        }
        let name = writer.next_name().map_err(|error| fault(&error))?;
        // A file without an entry is somebody else's, so the entry comes first.
        let begun = AppendedEntry {
            path: name.as_str().into(),
            id: HexSha256::of(&name),
            offset: 0,
            length: 0,
            record: None,
            object_etag: None,
        };
        let noted = self.manifest.append(&ManifestEntry::Appended(begun));
        noted.map_err(|error| self.manifest_failure(&error))?;
        failpoint::hit("archive_noted");
        let path = self.names.path(&name);
        writer.create(name).map_err(|error| failure(&path, &error))?;
        if self.options.durability == Durability::Power {
            let synced = File::open(&self.names.folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| fault(&error))?;
        }
        self.append_info(writer)
    }

    /// Writes the end marker of the newest archive. It is missing if this run appended to the archive, removed the marker when
    /// it began, or follows a run that was killed.
    fn end_tar(&self, writer: &mut ArchiveWriter) -> io::Result<()> {
        if writer.is_open() || writer.reopen().is_ok_and(|is_there| is_there) {
            writer.write_end(&tar::END)?;
        }
        Ok(())
    }

    /// Appends a `warcinfo` record, which names the program that writes the records after it, and marks the index as out of
    /// date.
    fn append_info(&self, writer: &mut ArchiveWriter) -> Result<(), Failure> {
        if self.options.format == ArchiveFormat::Tar {
            return Ok(());
        }
        let name = writer.current().map(|current| current.name.clone()).unwrap_or_default();
        let fault = |error: io::Error| failure(&self.names.path(&name), &error);
        let due = self.index_due_path();
        File::create(&due).map_err(|error| failure(&due, &error))?;
        let unit = warc::file_info(&self.work.compressors, &name).map_err(fault)?;
        let offset = writer.append(&unit, &self.work).map_err(fault)?;
        let (id, length) = (HexSha256::of(&name), unit.length());
        let path = name.as_str().into();
        let entry = AppendedEntry { path, id, offset, length, record: None, object_etag: None };
        // It is only queued: the commit of the next entry writes it.
        let queued = self.enter_appended(entry);
        queued.map(drop).map_err(|error| self.manifest_failure(&error))
    }

    fn enter_appended(&self, entry: AppendedEntry<'_>) -> io::Result<PendingEntry> {
        self.manifest.enter(&ManifestEntry::Appended(entry))
    }

    /// The marker file that exists while the index is out of date.
    fn index_due_path(&self) -> PathBuf {
        self.bookkeeping.join("cdxj.due")
    }

    /// Takes the names and paths of the archives that were completed since the last call.
    #[cfg(feature = "object-store")]
    pub(super) fn take_complete(&self) -> Vec<(String, PathBuf)> {
        let names = self.writer().take_complete().into_iter();
        names.map(|name| (name.clone(), self.names.path(&name))).collect()
    }

    /// Completes the newest archive.
    #[cfg(feature = "object-store")]
    pub(super) fn close(&self) {
        self.writer().close();
    }

    /// The manifest of all archives.
    #[cfg(feature = "object-store")]
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The path of the index.
    #[cfg(feature = "object-store")]
    pub(super) fn index_path(&self) -> PathBuf {
        self.names.beside("cdxj")
    }

    /// Adds a line about a record to the index, unless that is made from the manifest.
    fn index_record(&self, name: &str, offset: u64, record: &RecordEntry) -> Result<(), Failure> {
        if lock(&self.indexed).is_none() {
            return Ok(());
        }
        let line = cdxj::line(name, offset, record);
        let added = lock(&self.indexed).as_mut().map_or(Ok(()), |indexed| indexed.add(&line));
        added.map_err(|error| failure(&self.names.beside("cdxj"), &error))
    }

    fn guard_spool_file(&self, exchange: &CapturedExchange) -> SpoolFileGuard<'_> {
        let name = match &exchange.body.data {
            CapturedData::File(name) => Some(name.clone()),
            CapturedData::Memory(_) => None,
        };
        SpoolFileGuard { work: &self.work, name }
    }

    fn writer(&self) -> MutexGuard<'_, ArchiveWriter> {
        lock(&self.writer)
    }

    fn manifest_failure(&self, error: &io::Error) -> Failure {
        // What is not in the manifest must not be in the index either.
        *lock(&self.indexed) = None;
        failure(&self.bookkeeping.join("manifest.jsonl"), error)
    }
}

/// Whether an appended unit counts as a body.
#[derive(Debug, Clone, Copy)]
enum UnitKind {
    /// A body, with its key in a tar archive.
    Body(Option<u64>),
    /// Anything else.
    Other,
}

/// The claim of a target that is fetched as if nothing were saved of it.
fn fetch(name: &Arc<str>) -> Claim {
    Claim::Fetch(Some(place(name)))
}

fn place(name: &Arc<str>) -> SavePlace {
    let (name, over) = (Arc::clone(name), OverwriteRule::Nothing);
    SavePlace { name, over, noted: false, saved: None, part: None }
}
