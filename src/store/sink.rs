//! Writes one body to its partial file: a small one is buffered and written at once, a large one as it arrives.

use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use url::Url;

use super::archive::ExchangeCapture;
use super::dir::{DirFile, PartialFile};
use super::entry::{HexSha256, ManifestEntry, PartialEntry, SplitEntry};
use super::errors::NOT_A_FILE;
use super::{OpenFolder, PartialRecorder, Store, WorkDir, failpoint};
use crate::digest::{Algorithm, Digest};
use crate::model::{
    AttemptOutcome, ByteRanges, CapturedExchange, CapturedHeads, Failure, Job, JobKind,
    OverwriteRule, PartialBody, SavePlace, SharedRanges, Target, Validator, resource,
};
use crate::naming;
use crate::plan::Durability;
use crate::redaction::masked;

/// Bytes buffered before the partial file is created. A body that is shorter, or arrives at once, is written when it is
/// complete.
const BUFFER_LIMIT: usize = 64 * 1024;

/// The minimum length in bytes of a body for which disk space is allocated in advance.
const PREALLOCATE_FROM: u64 = 1 << 20;

/// The number of bytes after which the free disk space is checked again.
const FREE_SPACE_INTERVAL: u64 = 16 << 20;

/// The number of bytes of a segment after which its progress is recorded.
const RECORD_INTERVAL: u64 = 8 << 20;

/// Takes one body, and for an archive the messages that bring it. If bodies are discarded, every method does nothing.
#[derive(Debug)]
pub(crate) struct Sink(SinkKind);

#[derive(Debug)]
#[expect(clippy::large_enum_variant)] // nearly all are files, which need no allocation like this
enum SinkKind {
    Nowhere,
    File(OpenSink),
    Archive(Box<ExchangeCapture>),
}

/// The facts about a body that are known before its first byte arrives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BodyStart {
    /// The offset of the first byte that will arrive.
    pub at: u64,
    /// The length of the complete body in bytes, if known.
    pub length: Option<u64>,
    /// Identifies the version; `None` if the body cannot be resumed.
    pub validator: Option<Validator>,
    /// How the body is written.
    pub course: WriteMode,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WriteMode {
    /// From its first byte to its last.
    Sequential,
    /// In segments, in parallel.
    Segmented,
}

/// Whether a sink can take the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkState {
    /// It can.
    Yes,
    /// The partial file to resume is gone.
    Lost,
}

/// What an incomplete body leaves on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leftover {
    /// What was there before the attempt.
    Unchanged,
    /// Nothing that can be resumed.
    Nothing,
    /// This part of the body.
    Part(PartialBody),
}

#[derive(Debug)]
struct OpenSink {
    work_dir: Arc<WorkDir>,
    recorder: Arc<dyn PartialRecorder>,
    job: BodyInfo,
    begin: Option<BodyStart>,
    /// The bytes of the body so far, including those before `begin.at`.
    bytes: u64,
    to: SinkTarget,
    next_space_check: u64,
    /// The offset up to which the segment is recorded.
    recorded: u64,
}

/// The facts about the body of a job that the manifest records.
#[derive(Debug)]
pub(crate) struct BodyInfo {
    role: BodyRole,
    place: Arc<SavePlace>,
    target: Arc<Target>,
    /// The URL of the request.
    url: Url,
    mirror: usize,
    /// Whether this run has recorded that the body was begun.
    begun: bool,
    received: Option<Arc<dyn SharedRanges>>,
}

/// What a job does with the body of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyRole {
    /// It downloads all of it, or the rest.
    Body,
    /// It downloads one segment.
    Segment,
    /// It checks the segments that other jobs have downloaded.
    Assembly,
}

#[derive(Debug)]
enum SinkTarget {
    Memory(Vec<Bytes>),
    File(PartialFile, DirFile),
}

impl Store {
    /// The sink for the body of this job.
    pub(crate) fn sink(&self, job: &Job) -> Sink {
        self.0.sink(job)
    }
}

impl PartialRecorder for Store {
    fn record_partial(
        &self,
        body: &BodyInfo,
        begin: &BodyStart,
        bytes: u64,
    ) -> Result<(), Failure> {
        self.0.record_partial(body, begin, bytes)
    }
}

impl PartialRecorder for OpenFolder {
    /// A body that continues a recorded one needs no entry, nor does the check of an assembled one.
    fn record_partial(
        &self,
        body: &BodyInfo,
        begin: &BodyStart,
        bytes: u64,
    ) -> Result<(), Failure> {
        match body.role {
            BodyRole::Body if begin.at == 0 || begin.course == WriteMode::Segmented => {
                self.note(body, begin, bytes)
            }
            BodyRole::Segment => self.record_segment(body, begin, bytes),
            BodyRole::Body | BodyRole::Assembly => Ok(()),
        }
    }
}

impl BodyInfo {
    /// The facts about the body of `job`; `None` if it is not saved.
    pub(crate) fn of(job: &Job) -> Option<Self> {
        let role = match job.kind {
            JobKind::Body => BodyRole::Body,
            JobKind::Segment { .. } => BodyRole::Segment,
            JobKind::Assemble(_) => BodyRole::Assembly,
            JobKind::Robots { .. } => return None,
        };
        let place = job.place.as_ref()?;
        Some(Self {
            role,
            place: Arc::clone(place),
            target: Arc::clone(&job.target),
            url: job.url.clone(),
            mirror: job.mirror,
            begun: job.begun,
            received: job.received.clone(),
        })
    }
}

impl Sink {
    /// A sink that discards what is written.
    pub(crate) fn nowhere() -> Self {
        Self(SinkKind::Nowhere)
    }

    /// The sink of a job whose body is saved to a file.
    pub(super) fn to_file(
        work_dir: &Arc<WorkDir>,
        recorder: Arc<dyn PartialRecorder>,
        job: &Job,
    ) -> Self {
        let Some(job) = BodyInfo::of(job) else { return Self::nowhere() };
        let to = SinkTarget::Memory(Vec::new());
        let (begin, bytes, next_space_check, recorded) = Default::default();
        Self(SinkKind::File(OpenSink {
            work_dir: Arc::clone(work_dir),
            recorder,
            job,
            begin,
            bytes,
            to,
            next_space_check,
            recorded,
        }))
    }

    /// The sink of a job whose messages go to an archive.
    pub(super) fn to_archive(capture: ExchangeCapture) -> Self {
        Self(SinkKind::Archive(Box::new(capture)))
    }

    fn file(&self) -> Option<&OpenSink> {
        match &self.0 {
            SinkKind::File(sink) => Some(sink),
            SinkKind::Nowhere | SinkKind::Archive(_) => None,
        }
    }

    fn file_mut(&mut self) -> Option<&mut OpenSink> {
        match &mut self.0 {
            SinkKind::File(sink) => Some(sink),
            SinkKind::Nowhere | SinkKind::Archive(_) => None,
        }
    }

    fn capture(&self) -> Option<&ExchangeCapture> {
        match &self.0 {
            SinkKind::Archive(capture) => Some(capture),
            SinkKind::Nowhere | SinkKind::File(_) => None,
        }
    }

    fn capture_mut(&mut self) -> Option<&mut ExchangeCapture> {
        match &mut self.0 {
            SinkKind::Archive(capture) => Some(capture),
            SinkKind::Nowhere | SinkKind::File(_) => None,
        }
    }

    /// Whether this run has entered in the manifest that the body was begun.
    pub(crate) fn begun(&self) -> bool {
        self.file().is_some_and(|sink| sink.job.begun)
    }

    /// Takes the heads of the messages, if they are kept.
    pub(crate) fn take_heads(&mut self, heads: impl FnOnce() -> CapturedHeads) {
        if let Some(capture) = self.capture_mut() {
            capture.take_heads(heads());
        }
    }

    /// Takes bytes of a body as they have arrived: any transfer coding is undone, content codings are not.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn take_received(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.capture_mut().map_or(Ok(()), |capture| capture.take_received(bytes))
    }

    /// The algorithm of the digest that is computed of the bytes as they have arrived; `None` if none is.
    pub(crate) fn payload_algorithm(&self) -> Option<Algorithm> {
        self.capture().and_then(ExchangeCapture::payload_algorithm)
    }

    /// That digest of the bytes so far.
    pub(crate) fn payload_digest(&self) -> Option<Digest> {
        self.capture().and_then(ExchangeCapture::payload_digest)
    }

    /// Notes that the rest of the body is not read.
    pub(crate) fn cut_off(&mut self) {
        if let Some(capture) = self.capture_mut() {
            capture.cut_off();
        }
    }

    /// Notes that the body that arrives is counted and not saved.
    pub(crate) fn set_unsaved(&mut self) {
        if self.file().is_some() {
            *self = Self::nowhere();
        }
    }

    /// The messages of the attempt, which has ended like this; `None` if they are not kept.
    ///
    /// # Errors
    /// If the end of the body cannot be written.
    pub(crate) fn into_exchange(
        self,
        outcome: &AttemptOutcome,
    ) -> Result<Option<Box<CapturedExchange>>, Failure> {
        match self.0 {
            SinkKind::Archive(capture) => capture.into_exchange(outcome),
            SinkKind::Nowhere | SinkKind::File(_) => Ok(None),
        }
    }

    /// Prepares for a body that is about to arrive.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn begin(&mut self, begin: BodyStart) -> Result<SinkState, Failure> {
        match &mut self.0 {
            SinkKind::Nowhere => Ok(SinkState::Yes),
            SinkKind::File(sink) => sink.begin(begin),
            SinkKind::Archive(capture) => capture.begin(&begin),
        }
    }

    /// Prepares the partial file for the segments of a body that has begun.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(crate) fn divide(&mut self) -> Result<(), Failure> {
        self.file_mut().map_or(Ok(()), OpenSink::divide)
    }

    /// Reads bytes of the partial file from `at` on.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn read_back(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Failure> {
        let Some(sink) = self.file_mut() else { return Ok(0) };
        let SinkTarget::File(file, _) = &mut sink.to else { return Ok(0) };
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read(into));
        let back = file.seek(SeekFrom::End(0));
        read.and_then(|read| back.map(|_| read)).map_err(|error| sink.io_failure(&error))
    }

    /// Writes the next bytes of the body, decoded if it is to be.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn write(&mut self, piece: Bytes) -> Result<(), Failure> {
        match &mut self.0 {
            SinkKind::Nowhere => Ok(()),
            SinkKind::File(sink) => sink.write(piece),
            SinkKind::Archive(capture) => capture.take_decoded(&piece),
        }
    }

    /// Completes the partial file. `modified` is the modification time that the server sent.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn finish(
        &mut self,
        modified: impl FnOnce() -> Option<SystemTime>,
    ) -> Result<(), Failure> {
        match &mut self.0 {
            SinkKind::Nowhere => Ok(()),
            SinkKind::File(sink) => sink.finish(modified()),
            SinkKind::Archive(_) => Ok(()),
        }
    }

    /// Whether a body was about to arrive.
    pub(crate) fn has_begun(&self) -> bool {
        self.file().is_some_and(|sink| sink.begin.is_some())
    }

    /// Ends an incomplete body, and returns what is left of it.
    pub(crate) fn finish_partial(&mut self) -> Leftover {
        self.file_mut().map_or(Leftover::Nothing, OpenSink::finish_partial)
    }

    /// Removes a body that is of no use.
    pub(crate) fn discard(&mut self) -> Leftover {
        let Some(sink) = self.file() else { return Leftover::Nothing };
        failpoint::hit("refused");
        // If this fails, the file is removed before the name is used again.
        let _ = match &sink.to {
            SinkTarget::File(_, dir_file) => dir_file.remove_part(),
            // An earlier attempt or run may have left a partial file.
            SinkTarget::Memory(_) if sink.is_noted() => {
                sink.dir_file().map_or(Ok(()), |dir_file| dir_file.remove_part())
            }
            SinkTarget::Memory(_) => Ok(()),
        };
        Leftover::Nothing
    }
}

impl OpenSink {
    fn begin(&mut self, begin: BodyStart) -> Result<SinkState, Failure> {
        let (at, length) = (begin.at, begin.length);
        self.bytes = at;
        self.begin = Some(begin);
        if self.job.role == BodyRole::Segment {
            return self.begin_segment(at);
        }
        if at == 0 {
            self.ensure_enough_stays_free(length.unwrap_or(0))?;
            return Ok(SinkState::Yes);
        }
        self.record()?;
        let dir_file = self.dir_file()?;
        let Some(mut file) = dir_file.reopen_part(at).map_err(|error| self.io_failure(&error))?
        else {
            return Ok(SinkState::Lost);
        };
        file.cut(at).map_err(|error| self.io_failure(&error))?;
        failpoint::hit("reopened");
        self.to = SinkTarget::File(file, dir_file);
        // Space that was allocated for it before is free again now.
        self.ensure_enough_stays_free(length.map_or(0, |length| length.saturating_sub(at)))?;
        Ok(SinkState::Yes)
    }

    /// Records the bytes so far as a range, before other segments can record theirs.
    fn divide(&mut self) -> Result<(), Failure> {
        if let Some(begin) = &mut self.begin {
            begin.course = WriteMode::Segmented;
        }
        match self.to {
            SinkTarget::Memory(_) => self.write_out(true),
            SinkTarget::File(..) => self.note(),
        }
    }

    /// Opens the partial file without changing what other segments have written.
    fn begin_segment(&mut self, at: u64) -> Result<SinkState, Failure> {
        let dir_file = self.dir_file()?;
        let Some(mut file) = dir_file.reopen_part(0).map_err(|error| self.io_failure(&error))?
        else {
            return Ok(SinkState::Lost);
        };
        file.seek(SeekFrom::Start(at)).map_err(|error| self.io_failure(&error))?;
        failpoint::hit("joined");
        self.recorded = at;
        self.next_space_check = at;
        self.to = SinkTarget::File(file, dir_file);
        Ok(SinkState::Yes)
    }

    /// Records the progress of the segment.
    fn record_segment(&mut self) -> Result<(), Failure> {
        let (SinkTarget::File(file, _), Some(begin)) = (&self.to, &self.begin) else {
            return Ok(());
        };
        if self.bytes == self.recorded {
            return Ok(());
        }
        if self.work_dir.durability == Durability::Power {
            file.sync().map_err(|error| self.io_failure(&error))?;
        }
        self.recorder.record_partial(&self.job, begin, self.bytes)?;
        self.recorded = self.bytes;
        Ok(())
    }

    fn write(&mut self, piece: Bytes) -> Result<(), Failure> {
        let length = piece.len() as u64;
        match &mut self.to {
            SinkTarget::File(file, _) => {
                let written = file.write_all(&piece);
                written.map_err(|error| self.io_failure(&error))?;
                self.bytes += length;
                failpoint::hit("grown");
            }
            SinkTarget::Memory(pieces) => {
                pieces.push(piece);
                self.bytes += length;
                if self.bytes >= BUFFER_LIMIT as u64 && !self.seems_whole() {
                    self.write_out(true)?;
                }
            }
        }
        if self.bytes >= self.next_space_check {
            self.next_space_check = self.bytes + FREE_SPACE_INTERVAL;
            self.ensure_enough_stays_free(0)?;
        }
        if self.job.role == BodyRole::Segment && self.bytes - self.recorded >= RECORD_INTERVAL {
            self.record_segment()?;
        }
        Ok(())
    }

    /// Whether the body has the announced length, so that it is about to be completed.
    fn seems_whole(&self) -> bool {
        self.begin.as_ref().and_then(|begin| begin.length) == Some(self.bytes)
    }

    fn finish(&mut self, modified: Option<SystemTime>) -> Result<(), Failure> {
        if self.job.role == BodyRole::Segment {
            return self.record_segment();
        }
        if let SinkTarget::Memory(_) = self.to {
            self.write_out(self.is_noted())?;
        }
        let SinkTarget::File(file, _) = &self.to else { return Ok(()) };
        self.ensure_length(file)?;
        if let Some(modified) = modified {
            // A file system that cannot store this time is no reason to fail.
            let _ = file.set_modified(modified);
        }
        if self.work_dir.durability == Durability::Power {
            file.sync().map_err(|error| self.io_failure(&error))?;
        }
        failpoint::hit("written");
        Ok(())
    }

    /// Ensures that the file holds as many bytes as were written, whatever the file system did on the way.
    fn ensure_length(&self, file: &PartialFile) -> Result<(), Failure> {
        let length = file.length().map_err(|error| self.io_failure(&error))?;
        if length == self.bytes {
            return Ok(());
        }
        let (dir, name) = (self.work_dir.dir.display(), &self.job.place.name);
        Err(Failure::Disk(format!(
            "{dir}/{name}: the file has {length} bytes after {} were written",
            self.bytes
        )))
    }

    fn finish_partial(&mut self) -> Leftover {
        let Some(BodyStart { length, validator, course, .. }) = self.begin.clone() else {
            return Leftover::Unchanged;
        };
        if self.job.role == BodyRole::Assembly {
            return Leftover::Unchanged;
        }
        if let (WriteMode::Segmented, Some(validator)) = (course, &validator) {
            return self.finish_segment(length, validator.clone());
        }
        if let (SinkTarget::Memory(pieces), Some(_)) = (&self.to, &validator)
            && !pieces.is_empty()
        {
            // An error here loses the buffered bytes only, and will show again.
            let _ = self.write_out(true);
        }
        let SinkTarget::File(file, dir_file) = &mut self.to else { return Leftover::Nothing };
        let bytes = file.seek(SeekFrom::End(0)).unwrap_or(0);
        match validator {
            Some(validator) if bytes > 0 => {
                let (mirror, from) = (self.job.mirror, resource(&self.job.url));
                Leftover::Part(PartialBody { bytes, spans: None, length, validator, mirror, from })
            }
            _ => {
                let _ = dir_file.remove_part();
                Leftover::Nothing
            }
        }
    }

    /// What is left of a segment, or of a segmented body without any segment yet.
    fn finish_segment(&mut self, length: Option<u64>, validator: Validator) -> Leftover {
        if self.job.role == BodyRole::Segment && self.record_segment().is_err() {
            // The bytes since the last record are lost.
            return Leftover::Unchanged;
        }
        let spans = (self.job.role == BodyRole::Body).then(|| ByteRanges::of_beginning(self.bytes));
        let (mirror, from) = (self.job.mirror, resource(&self.job.url));
        Leftover::Part(PartialBody { bytes: self.bytes, spans, length, validator, mirror, from })
    }

    /// Creates the partial file and writes the buffered bytes. `noted`: whether the manifest must record it, because it
    /// has another entry about the name, or because the rest of the body is still to come.
    fn write_out(&mut self, noted: bool) -> Result<(), Failure> {
        let SinkTarget::Memory(pieces) = &mut self.to else { return Ok(()) };
        let pieces = std::mem::take(pieces);
        let dir_file = self.dir_file()?;
        if noted {
            // An empty partial file next to an older entry could be mistaken for the file that the entry describes.
            dir_file.clear_part().map_err(|error| self.io_failure(&error))?;
            self.note()?;
        }
        let file = dir_file.create_part().map_err(|error| self.create_failure(&error))?;
        failpoint::hit("created");
        let length = self.begin.as_ref().and_then(|begin| begin.length).unwrap_or(0);
        self.reserve(&file, length);
        self.to = SinkTarget::File(file, dir_file);
        let SinkTarget::File(file, _) = &mut self.to else { return Ok(()) };
        write_all(file, &pieces).map_err(|error| self.io_failure(&error))?;
        failpoint::hit("begun");
        Ok(())
    }

    /// Allocates disk space for a large body, if there is enough. A length that a server announces is no reason to end
    /// a run; if the bytes do arrive, writing them fails.
    fn reserve(&self, file: &PartialFile, length: u64) {
        let fits = || self.work_dir.folder.free().is_ok_and(|free| length <= free);
        if length >= PREALLOCATE_FROM && fits() {
            let _ = file.reserve(length);
        }
    }

    /// Records in the manifest that the body was begun.
    fn note(&mut self) -> Result<(), Failure> {
        self.record()?;
        self.job.begun = true;
        Ok(())
    }

    /// Has the manifest record the body as far as it is there. A child process changes nothing on disk before its
    /// parent knows of it, so that the parent can undo it if the child dies.
    fn record(&self) -> Result<(), Failure> {
        let Some(begin) = &self.begin else { return Ok(()) };
        self.recorder.record_partial(&self.job, begin, self.bytes)
    }

    /// Whether the manifest has an entry about the name.
    fn is_noted(&self) -> bool {
        self.job.begun || self.job.place.noted
    }

    fn dir_file(&self) -> Result<DirFile, Failure> {
        let name = &self.job.place.name;
        self.work_dir.folder.file(name).map_err(|why| self.work_dir.path_failure(name, why))
    }

    fn create_failure(&self, error: &io::Error) -> Failure {
        if error.kind() != io::ErrorKind::AlreadyExists {
            return self.io_failure(error);
        }
        let part = naming::part_of(&self.job.place.name);
        self.work_dir.name_conflict(&part, NOT_A_FILE)
    }

    fn io_failure(&self, error: &io::Error) -> Failure {
        let length = self.begin.as_ref().and_then(|begin| begin.length);
        let written = match &self.to {
            SinkTarget::File(file, _) => file.length().unwrap_or(self.bytes),
            SinkTarget::Memory(_) => 0,
        };
        let wanted = length.unwrap_or(self.bytes).saturating_sub(written);
        self.work_dir.io_failure(&self.job.place.name, error, wanted)
    }

    /// Fails if `wanted` further bytes would reduce the free space below `--min-free`.
    fn ensure_enough_stays_free(&self, wanted: u64) -> Result<(), Failure> {
        let Some(least) = self.work_dir.min_free else { return Ok(()) };
        let free = self.work_dir.folder.free().map_err(|error| self.io_failure(&error))?;
        if free.saturating_sub(wanted) >= least {
            return Ok(());
        }
        Err(self.work_dir.low_space(&self.job.place.name, wanted, free, least))
    }
}

impl OpenFolder {
    /// Records that a body was begun.
    fn note(&self, job: &BodyInfo, begin: &BodyStart, bytes: u64) -> Result<(), Failure> {
        let spans =
            (begin.course == WriteMode::Segmented).then(|| ByteRanges::of_beginning(begin.at));
        self.append(job, begin, bytes, spans)?;
        failpoint::hit("noted");
        Ok(())
    }

    /// Records that a segment has arrived from its start up to this byte, with all ranges of other segments. The ranges
    /// are added and recorded under one lock: the last entry of a name counts, so entries must be written in the order
    /// in which the ranges grow.
    fn record_segment(&self, job: &BodyInfo, begin: &BodyStart, bytes: u64) -> Result<(), Failure> {
        let Some(received) = &job.received else { return Ok(()) };
        received.add(begin.at..bytes, &mut |with_this| {
            self.append(job, begin, bytes, Some(with_this.clone()))?;
            failpoint::hit("held");
            Ok(())
        })
    }

    fn append(
        &self,
        job: &BodyInfo,
        begin: &BodyStart,
        bytes: u64,
        spans: Option<ByteRanges>,
    ) -> Result<(), Failure> {
        let (place, length) = (&job.place, begin.length);
        let (etag, last_modified) = match &begin.validator {
            Some(Validator::Etag(tag)) => (Some(tag.as_str().into()), None),
            Some(Validator::LastModified(date)) => (None, Some(date.as_str().into())),
            None => (None, None),
        };
        let (etag, last_modified, split) = match spans {
            None => (etag, last_modified, None),
            Some(spans) => (None, None, Some(SplitEntry { etag, last_modified, spans })),
        };
        let (target, url) = (&job.target, &job.target.urls[job.mirror]);
        let has_mirrors = target.urls.len() > 1;
        let entry = ManifestEntry::Partial(PartialEntry {
            url: masked(url).into(),
            id: HexSha256(naming::identity(target.url())),
            mirror: has_mirrors.then(|| HexSha256(naming::identity(url))),
            from: Some(resource(&job.url).into()),
            path: (&*place.name).into(),
            part: naming::part_of(&place.name).into(),
            etag,
            last_modified,
            length,
            split,
            replaces: place.over == OverwriteRule::File,
            started_at: SystemTime::now(),
        });
        let wanted = length.unwrap_or(bytes);
        let entered = self.manifest.append(&entry);
        entered
            .map(drop)
            .map_err(|error| self.work_dir.manifest_failure(&place.name, &error, wanted))
    }
}

/// Writes all pieces, with as few system calls as possible.
fn write_all(file: &mut PartialFile, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
