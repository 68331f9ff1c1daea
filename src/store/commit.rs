//! Commits a complete body: appends its manifest entry, then renames the partial file.
//!
//! The entry comes first. A renamed file without an entry would look like somebody else's file, which fetch never
//! overwrites, and its target would fail in every later run; an entry without its rename is completed by the next run
//! (`claim.rs`). With `--fsync` the file is synced before the entry is appended, the manifest before the rename, and
//! the directory after it, so that a loss of power keeps the same order.

use std::sync::Arc;
use std::time::SystemTime;

use super::destination::{Pending, is_whole_body};
use super::dir::{DirFile, PlaceResult};
use super::entry::{DroppedEntry, HexSha256, ManifestEntry, SavedEntry};
use super::errors::{NO_FREE_NAME, NOT_OURS};
use super::manifest::PendingEntry;
use super::{OpenFolder, Store, failpoint};
use crate::digest::Algorithm;
use crate::model::{
    Attempt, CarriedColumns, Failure, Job, OverwriteRule, Record, SavePlace, Validator,
};
use crate::naming;
use crate::plan::Durability;
use crate::redaction::{masked, masked_text};

impl Store {
    /// Queues the manifest entry of what this attempt has brought, if there is one. It is written with all other queued
    /// entries when the first of them is committed, for each write costs as much as the body of a small file. `record`
    /// is the record that the target will have if the body can be committed.
    ///
    /// # Errors
    /// If the entry cannot be made.
    pub(crate) fn enter(
        &self,
        job: &Job,
        attempt: &mut Attempt,
        record: &dyn Fn(&Attempt) -> Record,
    ) -> Result<Pending, Failure> {
        self.0.enter(job, attempt, record)
    }

    /// Writes what is queued, and gives a file its final name. Returns the name of what the body was saved in, if it is
    /// not the claimed one.
    ///
    /// # Errors
    /// If either fails.
    pub(crate) async fn commit(
        &self,
        job: &Job,
        attempt: &Attempt,
        pending: Pending,
    ) -> Result<Option<Arc<str>>, Failure> {
        #[cfg(feature = "object-store")]
        if let Pending::Upload(upload) = pending {
            return upload.done().await;
        }
        self.0.commit(job, attempt, pending)
    }
}

impl OpenFolder {
    /// See [`Store::enter`].
    pub(super) fn enter_body(&self, job: &Job, attempt: &Attempt) -> Result<Pending, Failure> {
        let Some(place) = job.place.as_ref().filter(|_| is_whole_body(job, attempt)) else {
            return Ok(Pending::Nothing);
        };
        if self.name_view().server_name(job, place, attempt).is_some() {
            return Ok(Pending::ServerNamed);
        }
        if place.name.contains('/') {
            // A queued entry will be written, so the file must have a directory first.
            self.work_dir
                .folder
                .file(&place.name)
                .map_err(|why| self.work_dir.path_failure(&place.name, why))?;
        }
        self.enter(job, place, &place.name, attempt).map(Pending::Entry)
    }

    /// See [`Store::commit`].
    pub(super) fn commit_body(
        &self,
        job: &Job,
        attempt: &Attempt,
        pending: Pending,
    ) -> Result<Option<Arc<str>>, Failure> {
        let Some(place) = &job.place else { return Ok(None) };
        match pending {
            Pending::Entry(pending) => self.commit(job, place, attempt, pending).map(|()| None),
            Pending::ServerNamed => self.commit_with_server_name(job, place, attempt),
            _ => Ok(None),
        }
    }

    fn commit(
        &self,
        job: &Job,
        destination: &SavePlace,
        attempt: &Attempt,
        pending: PendingEntry,
    ) -> Result<(), Failure> {
        let file = self
            .work_dir
            .folder
            .file(&destination.name)
            .map_err(|why| self.work_dir.path_failure(&destination.name, why))?;
        match self.place(job, destination, &destination.name, &file, attempt, pending)? {
            PlaceResult::Done => Ok(()),
            PlaceResult::Taken => Err(self.drop_unnamed(&destination.name, &file)),
        }
    }

    /// Commits under the name that the server proposes.
    fn commit_with_server_name(
        &self,
        job: &Job,
        destination: &SavePlace,
        attempt: &Attempt,
    ) -> Result<Option<Arc<str>>, Failure> {
        let view = self.name_view();
        let Some(wanted) = view.server_name(job, destination, attempt) else { return Ok(None) };
        let file = self
            .work_dir
            .folder
            .file(&destination.name)
            .map_err(|why| self.work_dir.path_failure(&destination.name, why))?;
        let (mut file, mut taken) = (file, None);
        loop {
            let name = view
                .named_by_server(job, &wanted, taken.as_deref())
                .map_err(|error| self.work_dir.io_failure(&wanted, &error, 0))?
                .ok_or_else(|| Failure::Name(NO_FREE_NAME.to_owned()))?;
            file = file
                .move_part_to(&name)
                .map_err(|error| self.work_dir.io_failure(&name, &error, 0))?;
            failpoint::hit("moved");
            let pending = self.enter(job, destination, &name, attempt)?;
            match self.place(job, destination, &name, &file, attempt, pending)? {
                PlaceResult::Done => return Ok(Some(name)),
                // Somebody else's file of that name was not known before.
                PlaceResult::Taken if taken.is_none() => taken = Some(name),
                PlaceResult::Taken => return Err(self.drop_unnamed(&name, &file)),
            }
        }
    }

    /// Removes a body that cannot have its name, which somebody else's file has.
    fn drop_unnamed(&self, name: &str, file: &DirFile) -> Failure {
        // If this fails, the file is removed before the name is used again.
        let _ = file.remove_part();
        self.work_dir.name_conflict(name, NOT_OURS)
    }

    fn enter(
        &self,
        job: &Job,
        destination: &SavePlace,
        name: &str,
        attempt: &Attempt,
    ) -> Result<PendingEntry, Failure> {
        let entry = ManifestEntry::Saved(saved(job, name, destination.over, attempt));
        self.manifest.enter(&entry).map_err(|error| self.work_dir.manifest_failure(name, &error, 0))
    }

    fn place(
        &self,
        job: &Job,
        destination: &SavePlace,
        name: &str,
        file: &DirFile,
        attempt: &Attempt,
        pending: PendingEntry,
    ) -> Result<PlaceResult, Failure> {
        let fault = |error: &_| self.work_dir.io_failure(name, error, 0);
        let manifest_fault = |error: &_| self.work_dir.manifest_failure(name, error, 0);
        let durable = self.options.durability == Durability::Power;
        if let Err(error) = self.manifest.commit(pending) {
            if !attempt.begun && !destination.noted {
                // Without an entry the next run could not use the file.
                let _ = file.remove_part();
            }
            return Err(manifest_fault(&error));
        }
        if durable {
            self.manifest.sync().map_err(|error| manifest_fault(&error))?;
        }
        failpoint::hit("appended");
        let placed = file.place(destination.over).map_err(|error| fault(&error))?;
        if placed == PlaceResult::Taken {
            let id = HexSha256(naming::identity(job.target.url()));
            let entry = DroppedEntry { path: name.into(), id, dropped_at: SystemTime::now() };
            self.manifest
                .append(&ManifestEntry::Dropped(entry))
                .map_err(|error| manifest_fault(&error))?;
            failpoint::hit("dropped");
            return Ok(PlaceResult::Taken);
        }
        failpoint::hit("renamed");
        if durable {
            file.sync_folder().map_err(|error| fault(&error))?;
        }
        Ok(PlaceResult::Done)
    }
}

/// The manifest entry of a whole body that is saved under `name`.
pub(super) fn saved<'a>(
    job: &'a Job,
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
    // A 416, which only confirms that nothing is missing, may leave out the validators.
    let part = job.part.as_ref().filter(|_| head.is_some_and(|head| head.status == 416));
    match part.map(|part| &part.validator) {
        Some(Validator::Etag(tag)) if etag.is_none() => etag = Some(tag.clone().into()),
        Some(Validator::LastModified(date)) if last_modified.is_none() => {
            last_modified = Some(date.clone().into());
        }
        _ => {}
    }
    SavedEntry {
        url: masked(&job.target.urls[job.mirror]).into(),
        id: HexSha256(naming::identity(job.target.url())),
        path: name.into(),
        bytes: attempt.bytes,
        etag,
        last_modified,
        sha256: digest(true).and_then(|digest| digest.bytes().try_into().ok()).map(HexSha256),
        digest: digest(false).map(|digest| digest.to_string().into()),
        listed_id: job.target.options.id.as_deref().map(masked_text),
        carried: job.target.options.carried.as_ref().map(CarriedColumns::masked),
        replaces: over == OverwriteRule::File,
        object_etag: None,
        saved_at: SystemTime::now(),
    }
}
