//! The last steps of a body that is whole: its entry in the manifest, and its final name, in this order.

use std::sync::Arc;
use std::time::SystemTime;

use super::claim::{TargetIdentity, owner};
use super::dir::{DirFile, PlaceResult};
use super::entry::{DroppedEntry, HexSha256, ManifestEntry, SavedEntry};
use super::errors::{NO_FREE_NAME, NOT_OURS};
use super::manifest::PendingEntry;
use super::{IndexedOwner, NameCheck, OpenFolder, Store, enter, failpoint};
use crate::digest::Algorithm;
use crate::model::{Attempt, Destination, Failure, Job, OverwriteRule, Validator, redacted};
use crate::naming::{self, Ownership};
use crate::plan::{Durability, NameSource};

impl Store {
    /// Enters the body of this attempt, which is whole, in the manifest. The entry is written when one of those that
    /// were entered is kept: all at once, for each write costs as much as the body of a small file. `None` where there
    /// is nothing to wait for.
    ///
    /// # Errors
    /// If there can be no such entry.
    pub fn enter(&self, job: &Job, attempt: &Attempt) -> Result<Option<PendingEntry>, Failure> {
        let (Some(open), Some(place)) = (self.local(), &job.place) else { return Ok(None) };
        if open.server_name(job, place, attempt).is_some() {
            return Ok(None);
        }
        if place.name.contains('/') {
            // Once entered it will be written down, so it had better have a place.
            open.work_dir
                .folder
                .seat(&place.name)
                .map_err(|why| open.work_dir.no_seat(&place.name, why))?;
        }
        open.enter(job, place, &place.name, attempt).map(Some)
    }

    /// Gives the body of this attempt, which is whole, its entry and its final name. The name is told where it is not
    /// the one of its place.
    ///
    /// # Errors
    /// If either cannot be had.
    pub fn commit(
        &self,
        job: &Job,
        attempt: &Attempt,
        entered: Option<PendingEntry>,
    ) -> Result<Option<Arc<str>>, Failure> {
        let (Some(open), Some(place)) = (self.local(), &job.place) else { return Ok(None) };
        match entered {
            Some(entered) => open.commit(job, place, attempt, entered).map(|()| None),
            None => open.commit_with_server_name(job, place, attempt),
        }
    }
}

impl OpenFolder {
    fn commit(
        &self,
        job: &Job,
        place: &Destination,
        attempt: &Attempt,
        entered: PendingEntry,
    ) -> Result<(), Failure> {
        let seat = self
            .work_dir
            .folder
            .seat(&place.name)
            .map_err(|why| self.work_dir.no_seat(&place.name, why))?;
        match self.place(job, place, &place.name, &seat, attempt, entered)? {
            PlaceResult::Done => Ok(()),
            PlaceResult::Taken => Err(self.without_a_name(&place.name, &seat)),
        }
    }

    /// The same under the name that the server wishes.
    fn commit_with_server_name(
        &self,
        job: &Job,
        place: &Destination,
        attempt: &Attempt,
    ) -> Result<Option<Arc<str>>, Failure> {
        let Some(wanted) = self.server_name(job, place, attempt) else { return Ok(None) };
        let seat = self
            .work_dir
            .folder
            .seat(&place.name)
            .map_err(|why| self.work_dir.no_seat(&place.name, why))?;
        let (mut seat, mut taken) = (seat, None);
        loop {
            let name = self.named_by_server(job, &wanted, taken.as_deref())?;
            seat = seat.moved_to(&name).map_err(|error| self.work_dir.fault(&name, &error, 0))?;
            failpoint::pass("moved");
            let entered = self.enter(job, place, &name, attempt)?;
            match self.place(job, place, &name, &seat, attempt, entered)? {
                PlaceResult::Done => return Ok(Some(name)),
                // A file of that name, which is not ours, was not known of before.
                PlaceResult::Taken if taken.is_none() => taken = Some(name),
                PlaceResult::Taken => return Err(self.without_a_name(&name, &seat)),
            }
        }
    }

    /// What came is of no use: what has its name is not ours.
    fn without_a_name(&self, name: &str, seat: &DirFile) -> Failure {
        // What stays is removed before the name is used again.
        let _ = seat.remove_part();
        self.work_dir.in_the_way(name, NOT_OURS)
    }

    fn enter(
        &self,
        job: &Job,
        place: &Destination,
        name: &str,
        attempt: &Attempt,
    ) -> Result<PendingEntry, Failure> {
        let entry = ManifestEntry::Saved(saved(job, name, place.over, attempt));
        self.manifest.enter(&entry).map_err(|error| self.work_dir.fault(name, &error, 0))
    }

    fn place(
        &self,
        job: &Job,
        place: &Destination,
        name: &str,
        seat: &DirFile,
        attempt: &Attempt,
        entered: PendingEntry,
    ) -> Result<PlaceResult, Failure> {
        let fault = |error: &_| self.work_dir.fault(name, error, 0);
        let durable = self.keep.durability == Durability::Power;
        if let Err(error) = self.manifest.commit(entered) {
            if !attempt.begun && !place.noted {
                // No entry tells of the file: the next run could make nothing of it.
                let _ = seat.remove_part();
            }
            return Err(fault(&error));
        }
        if durable {
            self.manifest.sync().map_err(|error| fault(&error))?;
        }
        failpoint::pass("appended");
        let placed = seat.place(place.over).map_err(|error| fault(&error))?;
        if placed == PlaceResult::Taken {
            let id = HexSha256(naming::identity(job.target.url()));
            let entry = DroppedEntry { path: name.into(), id, dropped_at: SystemTime::now() };
            self.manifest.append(&ManifestEntry::Dropped(entry)).map_err(|error| fault(&error))?;
            failpoint::pass("dropped");
            return Ok(PlaceResult::Taken);
        }
        failpoint::pass("renamed");
        if durable {
            seat.sync_folder().map_err(|error| fault(&error))?;
        }
        Ok(PlaceResult::Done)
    }

    /// The name that the server wishes, where it has a say.
    fn server_name(&self, job: &Job, place: &Destination, attempt: &Attempt) -> Option<String> {
        let has_a_say = self.keep.named_by == NameSource::Server
            && job.target.options.out.is_none()
            && place.over == OverwriteRule::Nothing;
        let field = attempt.head.as_ref()?.content_disposition.as_ref().filter(|_| has_a_say)?;
        let wished = naming::of_disposition(field)?;
        let wanted = match place.name.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{wished}"),
            None => wished,
        };
        (wanted != *place.name).then_some(wanted)
    }

    /// The name that the server wishes, or the same with the mark of the URL where it is taken.
    fn named_by_server(
        &self,
        job: &Job,
        wanted: &str,
        taken: Option<&str>,
    ) -> Result<Arc<str>, Failure> {
        let identity = TargetIdentity::of(&job.target);
        let taken = taken.map(naming::key);
        let mut names = self.names();
        let settled = naming::unique_name(wanted, &identity.whole, |key| {
            match taken.as_deref() == Some(key) {
                true => naming::NameOwner::Other,
                false => owner(&names, &identity, key),
            }
        });
        let every = || Failure::Name(NO_FREE_NAME.to_owned());
        let settled = settled.ok_or_else(every)?;
        if settled.whose == Ownership::New {
            let listed = IndexedOwner::Listed {
                check: NameCheck::of(identity.whole),
                index: job.target.index,
            };
            enter(&mut names, &settled.name, listed)
                .map_err(|error| self.work_dir.fault(wanted, &error, 0))?;
        }
        Ok(settled.name.into())
    }
}

fn saved<'a>(
    job: &Job,
    name: &'a str,
    over: OverwriteRule,
    attempt: &'a Attempt,
) -> SavedEntry<'a> {
    let head = attempt.head.as_ref();
    let of_head = |field: Option<&'a String>| field.map(|text| text.as_str().into());
    let digest = |wanted: bool| {
        let mut digests = attempt.digests.iter();
        digests.find(|digest| (digest.algorithm() == Algorithm::Sha256) == wanted)
    };
    let (mut etag, mut last_modified) = (
        of_head(head.and_then(|head| head.etag.as_ref())),
        of_head(head.and_then(|head| head.last_modified.as_ref())),
    );
    // A reply that says only that nothing is missing may leave out what tells the version.
    let part = job.part.as_ref().filter(|_| head.is_some_and(|head| head.status == 416));
    match part.map(|part| &part.validator) {
        Some(Validator::Etag(tag)) if etag.is_none() => etag = Some(tag.clone().into()),
        Some(Validator::LastModified(date)) if last_modified.is_none() => {
            last_modified = Some(date.clone().into());
        }
        _ => {}
    }
    SavedEntry {
        url: redacted(&job.target.urls[job.mirror]).into(),
        id: HexSha256(naming::identity(job.target.url())),
        path: name.into(),
        bytes: attempt.bytes,
        etag,
        last_modified,
        sha256: digest(true).and_then(|digest| digest.bytes().try_into().ok()).map(HexSha256),
        digest: digest(false).map(|digest| digest.to_string().into()),
        replaces: over == OverwriteRule::File,
        saved_at: SystemTime::now(),
    }
}
