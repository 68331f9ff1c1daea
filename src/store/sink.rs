//! A body on its way into the folder: small ones are gathered and written at once, large ones as they come.

use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use url::Url;

use super::dir::{DirFile, PartialFile as Unfinished};
use super::entry::{ManifestEntry, PartialEntry, SplitEntry};
use super::errors::NOT_A_FILE;
use super::{OpenFolder, PartialRecorder, Store, StoreKind, WorkDir, failpoint};
use crate::model::{
    ByteRanges, Destination, Failure, Job, JobKind, OverwriteRule, PartialBody, SharedRanges,
    Target, Validator, redacted, resource,
};
use crate::naming;
use crate::plan::Durability;

/// So many bytes are gathered before a file is begun: a body that is shorter, or arrives at once, is written when it is
/// whole.
const GATHERED: usize = 64 * 1024;

/// Room is made at once for a body of at least so many bytes.
const LARGE: u64 = 1 << 20;

/// After so many bytes it is looked again whether enough of the disk is free.
const LOOK: u64 = 16 << 20;

/// After so many bytes of a segment it is entered what there is of it.
const HELD: u64 = 8 << 20;

/// Where one body goes. Where it goes nowhere, all of this does nothing.
#[derive(Debug)]
pub struct Sink(Option<OpenSink>);

/// What is known of a body before its first byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BodyStart {
    /// Where its first byte belongs.
    pub at: u64,
    /// Bytes of the whole, if known.
    pub length: Option<u64>,
    /// What tells its version; `None` if it cannot be continued.
    pub validator: Option<Validator>,
    /// In which way it is written.
    pub course: WriteMode,
}

/// In which way a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteMode {
    /// From its first byte to its last.
    Sequential,
    /// In several places at once.
    Segmented,
}

/// Whether a body can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkState {
    /// Yes.
    Yes,
    /// What it should continue is not there any more.
    Lost,
}

/// What an unfinished body leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// What was there before.
    Unchanged,
    /// Nothing that could be continued.
    Nothing,
    /// This.
    Part(PartialBody),
}

#[derive(Debug)]
struct OpenSink {
    desk: Arc<WorkDir>,
    recorder: Arc<dyn PartialRecorder>,
    job: BodyInfo,
    begin: Option<BodyStart>,
    /// Bytes of the body so far, those before `begin.at` included.
    bytes: u64,
    to: SinkTarget,
    next_look: u64,
    /// Bytes of a segment that are known to be there.
    held: u64,
}

/// The facts about the body of a job that the manifest records.
#[derive(Debug)]
pub struct BodyInfo {
    role: BodyRole,
    place: Arc<Destination>,
    target: Arc<Target>,
    /// Where its bytes come from.
    url: Url,
    mirror: usize,
    /// Whether this run has entered that it was begun.
    begun: bool,
    received: Option<Arc<dyn SharedRanges>>,
}

/// What a job does about its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyRole {
    /// It brings all of it, or the rest.
    Body,
    /// It brings some of it.
    Segment,
    /// It looks at what others have brought.
    Assembly,
}

#[derive(Debug)]
enum SinkTarget {
    Memory(Vec<Bytes>),
    File(Unfinished, DirFile),
}

impl Store {
    /// Where the body of this job goes.
    pub fn sink(&self, job: &Job) -> Sink {
        let (desk, recorder): (_, Arc<dyn PartialRecorder>) = match &self.0 {
            StoreKind::Discard => return Sink(None),
            StoreKind::Directory(open) => {
                let open: Arc<OpenFolder> = Arc::clone(open);
                (Arc::clone(&open.work_dir), open)
            }
            StoreKind::Child(child) => (Arc::clone(&child.desk), Arc::clone(&child.recorder)),
        };
        let Some(job) = BodyInfo::of(job) else { return Sink(None) };
        let to = SinkTarget::Memory(Vec::new());
        let (begin, bytes, next_look, held) = Default::default();
        Sink(Some(OpenSink { desk, recorder, job, begin, bytes, to, next_look, held }))
    }
}

impl PartialRecorder for Store {
    fn record_partial(
        &self,
        body: &BodyInfo,
        begin: &BodyStart,
        bytes: u64,
    ) -> Result<(), Failure> {
        match &self.0 {
            StoreKind::Discard => Ok(()),
            StoreKind::Directory(open) => open.record_partial(body, begin, bytes),
            StoreKind::Child(child) => child.recorder.record_partial(body, begin, bytes),
        }
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
            BodyRole::Segment => self.hold(body, begin, bytes),
            BodyRole::Body | BodyRole::Assembly => Ok(()),
        }
    }
}

impl BodyInfo {
    /// The facts about the body of `job`; `None` if it is not saved.
    pub fn of(job: &Job) -> Option<Self> {
        let role = match job.kind {
            JobKind::Body => BodyRole::Body,
            JobKind::Segment { .. } => BodyRole::Segment,
            JobKind::Assemble(_) => BodyRole::Assembly,
            JobKind::Robots(_) => return None,
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
    /// Whether this run has entered in the manifest that the body was begun.
    pub fn begun(&self) -> bool {
        self.0.as_ref().is_some_and(|writing| writing.job.begun)
    }

    /// The body is about to come.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(&mut self, begin: BodyStart) -> Result<SinkState, Failure> {
        self.0.as_mut().map_or(Ok(SinkState::Yes), |writing| writing.begin(begin))
    }

    /// The body, which has begun, is to come in segments.
    ///
    /// # Errors
    /// If there can be no file for them.
    pub fn divide(&mut self) -> Result<(), Failure> {
        self.0.as_mut().map_or(Ok(()), OpenSink::divide)
    }

    /// Reads what there is of the body, from `at` on.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_back(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Failure> {
        let Some(writing) = &mut self.0 else { return Ok(0) };
        let SinkTarget::File(file, _) = &mut writing.to else { return Ok(0) };
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read(into));
        let back = file.seek(SeekFrom::End(0));
        read.and_then(|read| back.map(|_| read)).map_err(|error| writing.fault(&error))
    }

    /// The next bytes of the body.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, piece: Bytes) -> Result<(), Failure> {
        self.0.as_mut().map_or(Ok(()), |writing| writing.write(piece))
    }

    /// The body is whole. `modified` is when it was last changed, by its server.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&mut self, modified: Option<SystemTime>) -> Result<(), Failure> {
        self.0.as_mut().map_or(Ok(()), |writing| writing.finish(modified))
    }

    /// Whether anything of a body was about to come.
    pub fn has_begun(&self) -> bool {
        self.0.as_ref().is_some_and(|writing| writing.begin.is_some())
    }

    /// The body is not whole.
    pub fn finish_partial(&mut self) -> Leftover {
        self.0.as_mut().map_or(Leftover::Nothing, OpenSink::finish_partial)
    }

    /// The body is of no use.
    pub fn discard(&mut self) -> Leftover {
        let Some(writing) = &self.0 else { return Leftover::Nothing };
        failpoint::hit("refused");
        // What stays all the same is removed before the name is used again.
        let _ = match &writing.to {
            SinkTarget::File(_, dir_file) => dir_file.remove_part(),
            // An earlier attempt, or run, may have left something.
            SinkTarget::Memory(_) if writing.is_noted() => {
                writing.dir_file().map_or(Ok(()), |dir_file| dir_file.remove_part())
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
        let Some(mut file) = dir_file.reopen_part(at).map_err(|error| self.fault(&error))? else {
            return Ok(SinkState::Lost);
        };
        file.cut(at).map_err(|error| self.fault(&error))?;
        failpoint::hit("reopened");
        self.to = SinkTarget::File(file, dir_file);
        // What was reserved for it before is free again now.
        self.ensure_enough_stays_free(length.map_or(0, |length| length.saturating_sub(at)))?;
        Ok(SinkState::Yes)
    }

    /// What there is of the body is entered as a span before there can be others.
    fn divide(&mut self) -> Result<(), Failure> {
        if let Some(begin) = &mut self.begin {
            begin.course = WriteMode::Segmented;
        }
        match self.to {
            SinkTarget::Memory(_) => self.write_out(true),
            SinkTarget::File(..) => self.note(),
        }
    }

    /// What others have written into the file stays.
    fn begin_segment(&mut self, at: u64) -> Result<SinkState, Failure> {
        let dir_file = self.dir_file()?;
        let Some(mut file) = dir_file.reopen_part(0).map_err(|error| self.fault(&error))? else {
            return Ok(SinkState::Lost);
        };
        file.seek(SeekFrom::Start(at)).map_err(|error| self.fault(&error))?;
        failpoint::hit("joined");
        self.held = at;
        self.next_look = at;
        self.to = SinkTarget::File(file, dir_file);
        Ok(SinkState::Yes)
    }

    /// Enters how far the segment is there.
    fn hold(&mut self) -> Result<(), Failure> {
        let (SinkTarget::File(file, _), Some(begin)) = (&self.to, &self.begin) else {
            return Ok(());
        };
        if self.bytes == self.held {
            return Ok(());
        }
        if self.desk.durability == Durability::Power {
            file.sync().map_err(|error| self.fault(&error))?;
        }
        self.recorder.record_partial(&self.job, begin, self.bytes)?;
        self.held = self.bytes;
        Ok(())
    }

    fn write(&mut self, piece: Bytes) -> Result<(), Failure> {
        let length = piece.len() as u64;
        match &mut self.to {
            SinkTarget::File(file, _) => {
                let written = file.write_all(&piece);
                written.map_err(|error| self.fault(&error))?;
                self.bytes += length;
                failpoint::hit("grown");
            }
            SinkTarget::Memory(pieces) => {
                pieces.push(piece);
                self.bytes += length;
                if self.bytes >= GATHERED as u64 && !self.seems_whole() {
                    self.write_out(true)?;
                }
            }
        }
        if self.bytes >= self.next_look {
            self.next_look = self.bytes + LOOK;
            self.ensure_enough_stays_free(0)?;
        }
        if self.job.role == BodyRole::Segment && self.bytes - self.held >= HELD {
            self.hold()?;
        }
        Ok(())
    }

    /// Whether there is as much of the body as was announced. Then it is about to be finished, at once.
    fn seems_whole(&self) -> bool {
        self.begin.as_ref().and_then(|begin| begin.length) == Some(self.bytes)
    }

    fn finish(&mut self, modified: Option<SystemTime>) -> Result<(), Failure> {
        if self.job.role == BodyRole::Segment {
            return self.hold();
        }
        if let SinkTarget::Memory(_) = self.to {
            self.write_out(self.is_noted())?;
        }
        let SinkTarget::File(file, _) = &self.to else { return Ok(()) };
        if let Some(modified) = modified {
            // A file system that cannot hold this time has the file all the same.
            let _ = file.set_modified(modified);
        }
        if self.desk.durability == Durability::Power {
            file.sync().map_err(|error| self.fault(&error))?;
        }
        failpoint::hit("written");
        Ok(())
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
            // An error here costs what is written already, and will show again.
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

    /// What is left of a segment, or of a body of which there is none yet.
    fn finish_segment(&mut self, length: Option<u64>, validator: Validator) -> Leftover {
        if self.job.role == BodyRole::Segment && self.hold().is_err() {
            // Nobody knows of what came since.
            return Leftover::Unchanged;
        }
        let spans = (self.job.role == BodyRole::Body).then(|| ByteRanges::of_beginning(self.bytes));
        let (mirror, from) = (self.job.mirror, resource(&self.job.url));
        Leftover::Part(PartialBody { bytes: self.bytes, spans, length, validator, mirror, from })
    }

    /// Begins the file and writes what was gathered. `noted` is whether the manifest is to know of it: it must, where
    /// it has another entry of that name, or where the body is still to come.
    fn write_out(&mut self, noted: bool) -> Result<(), Failure> {
        let SinkTarget::Memory(pieces) = &mut self.to else { return Ok(()) };
        let pieces = std::mem::take(pieces);
        let dir_file = self.dir_file()?;
        if noted {
            // An empty file beside an entry that is not about it could pass for what that entry tells.
            dir_file.clear_part().map_err(|error| self.fault(&error))?;
            self.note()?;
        }
        let file = dir_file.create_part().map_err(|error| self.no_part(&error))?;
        failpoint::hit("created");
        let length = self.begin.as_ref().and_then(|begin| begin.length).unwrap_or(0);
        self.reserve(&file, length);
        self.to = SinkTarget::File(file, dir_file);
        let SinkTarget::File(file, _) = &mut self.to else { return Ok(()) };
        write_all(file, &pieces).map_err(|error| self.fault(&error))?;
        failpoint::hit("begun");
        Ok(())
    }

    /// Makes room for a large body, if there is as much. What a server announces is no reason to end a run; if it then
    /// sends all that, the disk says so.
    fn reserve(&self, file: &Unfinished, length: u64) {
        let fits = || self.desk.folder.free().is_ok_and(|free| length <= free);
        if length >= LARGE && fits() {
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
        self.desk.folder.file(name).map_err(|why| self.desk.path_failure(name, why))
    }

    fn no_part(&self, error: &io::Error) -> Failure {
        if error.kind() != io::ErrorKind::AlreadyExists {
            return self.fault(error);
        }
        let part = naming::part_of(&self.job.place.name);
        self.desk.name_conflict(&part, NOT_A_FILE)
    }

    fn fault(&self, error: &io::Error) -> Failure {
        let length = self.begin.as_ref().and_then(|begin| begin.length);
        let written = match &self.to {
            SinkTarget::File(file, _) => file.length().unwrap_or(self.bytes),
            SinkTarget::Memory(_) => 0,
        };
        let wanted = length.unwrap_or(self.bytes).saturating_sub(written);
        self.desk.io_failure(&self.job.place.name, error, wanted)
    }

    /// Refuses what would leave less of the disk free than was asked for.
    fn ensure_enough_stays_free(&self, wanted: u64) -> Result<(), Failure> {
        let Some(least) = self.desk.min_free else { return Ok(()) };
        let free = self.desk.folder.free().map_err(|error| self.fault(&error))?;
        if free.saturating_sub(wanted) >= least {
            return Ok(());
        }
        Err(self.desk.low_space(&self.job.place.name, wanted, free, least))
    }
}

impl OpenFolder {
    /// Enters that a body was begun.
    fn note(&self, job: &BodyInfo, begin: &BodyStart, bytes: u64) -> Result<(), Failure> {
        let spans =
            (begin.course == WriteMode::Segmented).then(|| ByteRanges::of_beginning(begin.at));
        self.append(job, begin, bytes, spans)?;
        failpoint::hit("noted");
        Ok(())
    }

    /// Enters that a segment is there from where it began up to this byte, and all that is there beside it.
    fn hold(&self, job: &BodyInfo, begin: &BodyStart, bytes: u64) -> Result<(), Failure> {
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
        let entry = ManifestEntry::Partial(PartialEntry {
            url: redacted(&job.target.urls[job.mirror]).into(),
            id: super::entry::HexSha256(naming::identity(job.target.url())),
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
        entered.map(drop).map_err(|error| self.work_dir.io_failure(&place.name, &error, wanted))
    }
}

/// Writes all of several pieces, with as few calls as it takes.
fn write_all(file: &mut Unfinished, pieces: &[Bytes]) -> io::Result<()> {
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
