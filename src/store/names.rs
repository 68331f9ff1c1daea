//! Gives targets the names of their files: by the list, by the URL, or by the server, with a mark where a name is taken.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use super::claim::TargetIdentity;
use super::entry::{HexSha256, ManifestEntry};
use super::manifest::Manifest;
use super::name_index::{HashKind, IndexedOwner, NameCheck, NameIndex, NameKey};
use super::{set_owner, url_key};
use crate::model::{Attempt, Job, OverwriteRule, SavePlace, Target};
use crate::naming::{self, Ownership};
use crate::plan::{NameSource, NamingScheme, SaveOptions};
use crate::sync::lock;

/// The names of a place that bodies are saved to, and what is known of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameView<'a> {
    pub options: &'a SaveOptions,
    pub names: &'a Mutex<NameIndex>,
    pub manifest: &'a Manifest,
    /// Whether the manifest had entries when it was opened.
    pub was_known: bool,
}

/// What the index knows about the name of a target.
pub(super) enum NameState {
    /// Nothing.
    New,
    /// An earlier target of the list, the one of this index, is equal.
    Duplicate(u64),
    /// The manifest has an entry about it, which starts at this byte.
    Recorded(u64),
}

impl NameView<'_> {
    fn names(&self) -> MutexGuard<'_, NameIndex> {
        lock(self.names)
    }

    /// Whether duplicates must be looked up by target, because equal targets may have different names.
    fn looks_up_targets(&self) -> bool {
        self.options.named_by == NameSource::Server || self.options.names == NamingScheme::Index
    }

    /// The name that the target has unless another target owns it.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub(super) fn wanted_name(&self, target: &Target, id: &HexSha256) -> io::Result<String> {
        if let Some(out) = &target.options.out {
            return Ok(naming::of_option(out));
        }
        if self.options.named_by == NameSource::Server
            && let Some(IndexedOwner::Recorded { check, at }) = self.names().get(&url_key(id))
            && check == NameCheck::of_hash(&id.0)
            && let Some(
                entry @ (ManifestEntry::Saved(_)
                | ManifestEntry::Partial(_)
                | ManifestEntry::Marked(_)),
            ) = self.entry(at)?
        {
            return Ok(entry.path().to_owned());
        }
        Ok(naming::of_url(self.options.names, target.url(), target.index))
    }

    /// Claims the name of the target; `None` if every marked name is taken as well.
    ///
    /// # Errors
    /// If the index cannot take it.
    pub(super) fn claim_name(
        &self,
        target: &Target,
        identity: &TargetIdentity,
        wanted: &str,
    ) -> io::Result<Option<(Arc<str>, NameState)>> {
        let mut names = self.names();
        let listed = IndexedOwner::Listed {
            check: NameCheck::of_hash(&identity.whole),
            index: target.index,
        };
        if self.looks_up_targets() {
            let key = NameKey::of_hash(HashKind::Target, &identity.whole);
            if let Some(IndexedOwner::Listed { index, .. }) = names.get(&key) {
                return Ok(Some((wanted.into(), NameState::Duplicate(index))));
            }
            names.set(&key, listed)?;
        }
        let unique = assign_name(&names, identity, wanted, self.was_known);
        let Some(unique) = unique else { return Ok(None) };
        let key = NameKey::of(&naming::key(&unique.name));
        let state = match (unique.whose, names.get(&key)) {
            (Ownership::Own, Some(IndexedOwner::Recorded { at, .. })) => NameState::Recorded(at),
            (Ownership::Own, Some(IndexedOwner::Listed { index, .. })) => {
                NameState::Duplicate(index)
            }
            _ => NameState::New,
        };
        if !matches!(state, NameState::Duplicate(_)) {
            set_owner(&mut names, &unique.name, listed)?;
        }
        Ok(Some((unique.name.into(), state)))
    }

    /// The entry that starts at this byte; `None` if it is incomplete.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub(super) fn entry(&self, at: u64) -> io::Result<Option<ManifestEntry<'static>>> {
        match self.manifest.read(at) {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidData) => Ok(None),
            entry => entry.map(Some),
        }
    }

    /// The name that the server proposes, if it may name this file and proposes another than the claimed one.
    pub(super) fn server_name(
        &self,
        job: &Job,
        destination: &SavePlace,
        attempt: &Attempt,
    ) -> Option<String> {
        let has_a_say = self.options.named_by == NameSource::Server
            && job.target.options.out.is_none()
            && destination.over == OverwriteRule::Nothing;
        let field = attempt.head.as_ref()?.content_disposition.as_ref().filter(|_| has_a_say)?;
        let wished = naming::of_disposition(field)?;
        let wanted = match destination.name.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{wished}"),
            None => wished,
        };
        (wanted != *destination.name).then_some(wanted)
    }

    /// Claims the name that the server proposes, with a mark if it is taken; `None` if every marked name is taken as well.
    ///
    /// # Errors
    /// If the index cannot take it.
    pub(super) fn named_by_server(
        &self,
        job: &Job,
        wanted: &str,
        taken: Option<&str>,
    ) -> io::Result<Option<Arc<str>>> {
        let identity = TargetIdentity::of(&job.target);
        let taken = taken.map(naming::key);
        let mut names = self.names();
        let unique = naming::unique_name(wanted, &identity.whole, |key| {
            match taken.as_deref() == Some(key) {
                true => naming::NameOwner::Other,
                false => owner(&names, &identity, key),
            }
        });
        let Some(unique) = unique else { return Ok(None) };
        if unique.whose == Ownership::New {
            let listed = IndexedOwner::Listed {
                check: NameCheck::of_hash(&identity.whole),
                index: job.target.index,
            };
            set_owner(&mut names, &unique.name, listed)?;
        }
        Ok(Some(unique.name.into()))
    }
}

/// The owner of a name, as seen by the target of this identity.
fn owner(names: &NameIndex, identity: &TargetIdentity, key: &str) -> naming::NameOwner {
    match names.get(&NameKey::of(key)) {
        None => naming::NameOwner::Nobody,
        Some(IndexedOwner::Folder) => naming::NameOwner::Folder,
        Some(IndexedOwner::Listed { check, .. })
            if check == NameCheck::of_hash(&identity.whole) =>
        {
            naming::NameOwner::Mine
        }
        Some(IndexedOwner::Recorded { check, .. })
            if check == NameCheck::of_hash(&identity.id.0) =>
        {
            naming::NameOwner::Mine
        }
        Some(_) => naming::NameOwner::Other,
    }
}

/// The name of a target that wants `wanted`; `None` if there is none left. If it may have another one from an earlier
/// run, whose list was in another order or was not read to this point, it keeps that.
fn assign_name(
    names: &NameIndex,
    identity: &TargetIdentity,
    wanted: &str,
    may_have_another: bool,
) -> Option<naming::UniqueName> {
    let unique = naming::unique_name(wanted, &identity.whole, |key| owner(names, identity, key))?;
    if !may_have_another || unique.whose != Ownership::New || unique.name != wanted {
        return Some(unique);
    }
    let wanted_key = naming::key(wanted);
    let other = naming::unique_name(wanted, &identity.whole, |key| match key == wanted_key {
        true => naming::NameOwner::Other,
        false => owner(names, identity, key),
    });
    other.filter(|other| other.whose == Ownership::Own).or(Some(unique))
}
