//! Claims: targets, in the order of the list, get their names and learn what is there already.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::dir::{DirFile, FileKind, PlaceResult};
use super::entry::{HexSha256, ManifestEntry, MarkReason, PartialEntry, SavedEntry};
use super::errors::{NO_FREE_NAME, NOT_A_FILE, NOT_OURS};
use super::{IndexedOwner, NameCheck, NameIndex, NameKey, OpenFolder, Store, by_url, enter};
use crate::digest::{Algorithm, Digest};
use crate::model::{
    Destination, Failure, OverwriteRule, PartialBody, SavedVersion, Target, Validator, redacted,
    resource,
};
use crate::naming::{self, Ownership};
use crate::plan::{Durability, ExistingPolicy, ForeignFilePolicy, NameSource};

/// What is to be done about a target.
#[derive(Debug)]
pub enum Claim {
    /// It is to be fetched, and its body goes to this place; `None` if nowhere.
    Fetch(Option<Destination>),
    /// Nothing: the file of this name settles it.
    Settled(Arc<str>, SkipReason),
}

/// How a target is settled without a request.
#[derive(Debug)]
pub enum SkipReason {
    /// It was saved before.
    Skipped(SavedVersion),
    /// It is the same as an earlier one, of this index.
    Duplicate(u64),
    /// It has no place.
    Failed(Failure),
}

/// What a target is told by.
pub(super) struct TargetIdentity {
    /// The hash of its URL, which the manifest knows.
    pub id: HexSha256,
    /// The hash of all that makes it differ from other targets of the list.
    pub whole: [u8; 32],
}

impl TargetIdentity {
    pub fn of(target: &Target) -> Self {
        let id = HexSha256(naming::identity(target.url()));
        let options = &target.options;
        let url = target.url();
        let is_named = !url.username().is_empty() || url.password().is_some();
        let is_plain =
            options.out.is_none() && options.checksum.is_none() && options.headers.is_empty();
        if is_plain && !is_named {
            return Self { whole: id.0, id };
        }
        let mut text = format!("{id}\n{}:{}", url.username(), url.password().unwrap_or_default());
        for part in options.out.iter().cloned().chain(options.checksum.map(|sum| sum.to_string())) {
            text.push_str(&format!("\n{part}"));
        }
        let mut bytes = text.into_bytes();
        for (name, value) in &options.headers {
            bytes.extend([b"\n", name.as_str().as_bytes(), b":", value.as_bytes()].concat());
        }
        Self { whole: HexSha256::of(bytes).0, id }
    }
}

/// Whether what was saved is what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChecksumMatch {
    /// Yes, as far as anything is wanted.
    Same,
    /// No.
    Other,
    /// Its digest of the algorithm is not in the manifest.
    Unknown,
}

/// What is known of a name that a target has got.
enum NameState {
    /// Nothing.
    New,
    /// An earlier target of the list is the same: the one of this index.
    Duplicate(u64),
    /// The manifest has an entry, which starts at this byte.
    Recorded(u64),
}

impl Store {
    /// Gives `target` its name and tells what is to be done. To be called in the order of the list.
    pub fn claim(&self, target: &Target) -> Claim {
        self.local().map_or(Claim::Fetch(None), |open| open.claim(target))
    }
}

impl OpenFolder {
    fn claim(&self, target: &Target) -> Claim {
        let identity = TargetIdentity::of(target);
        let wanted = self.wanted(target, &identity.id);
        let named = wanted.and_then(|wanted| self.named(target, &identity, &wanted));
        let (name, standing) = match named {
            Ok(Some(named)) => named,
            Ok(None) => return failed("", Failure::Name(NO_FREE_NAME.to_owned())),
            Err(error) => return failed("", self.work_dir.fault("", &error, 0)),
        };
        let claim = match standing {
            NameState::New => self.fresh(&name).map(|over| fetch(&name, over, false)),
            NameState::Duplicate(first) => {
                return Claim::Settled(name, SkipReason::Duplicate(first));
            }
            NameState::Recorded(at) => self.recorded(target, &name, at),
        };
        claim.unwrap_or_else(|failure| failed(&name, failure))
    }

    /// The name that the target would have if it were alone.
    fn wanted(&self, target: &Target, id: &HexSha256) -> io::Result<String> {
        if let Some(out) = &target.options.out {
            return Ok(naming::of_option(out));
        }
        if self.keep.named_by == NameSource::Server
            && let Some(IndexedOwner::Recorded { check, at }) = self.names().get(&by_url(id))
            && check == NameCheck::of(id.0)
            && let Some(
                entry @ (ManifestEntry::Saved(_)
                | ManifestEntry::Partial(_)
                | ManifestEntry::Marked(_)),
            ) = self.entry(at)?
        {
            return Ok(entry.path().to_owned());
        }
        Ok(naming::of_url(self.keep.names, target.url(), target.index))
    }

    /// The name that it has; `None` if there is none left.
    fn named(
        &self,
        target: &Target,
        identity: &TargetIdentity,
        wanted: &str,
    ) -> io::Result<Option<(Arc<str>, NameState)>> {
        let mut names = self.names();
        let listed =
            IndexedOwner::Listed { check: NameCheck::of(identity.whole), index: target.index };
        if self.looks_up_targets() {
            let key = NameKey::of(&format!("target:{}", HexSha256(identity.whole)));
            if let Some(IndexedOwner::Listed { index, .. }) = names.get(&key) {
                return Ok(Some((wanted.into(), NameState::Duplicate(index))));
            }
            names.set(&key, listed)?;
        }
        let settled = assign_name(&names, identity, wanted, self.was_known);
        let Some(settled) = settled else { return Ok(None) };
        let key = NameKey::of(&naming::key(&settled.name));
        let standing = match (settled.whose, names.get(&key)) {
            (Ownership::Own, Some(IndexedOwner::Recorded { at, .. })) => NameState::Recorded(at),
            (Ownership::Own, Some(IndexedOwner::Listed { index, .. })) => {
                NameState::Duplicate(index)
            }
            _ => NameState::New,
        };
        if !matches!(standing, NameState::Duplicate(_)) {
            enter(&mut names, &settled.name, listed)?;
        }
        Ok(Some((settled.name.into(), standing)))
    }

    /// What a file of this name, which the manifest does not know, may take the place of.
    fn fresh(&self, name: &str) -> Result<OverwriteRule, Failure> {
        if self.was_empty {
            return Ok(OverwriteRule::Nothing);
        }
        let Some(seat) = self.seat_if_there(name)? else { return Ok(OverwriteRule::Nothing) };
        match seat.found().map_err(|error| self.work_dir.fault(name, &error, 0))? {
            FileKind::Nothing => Ok(OverwriteRule::Nothing),
            FileKind::File { .. } if self.keep.foreign == ForeignFilePolicy::Replaced => {
                Ok(OverwriteRule::File)
            }
            FileKind::File { .. } => Err(self.work_dir.in_the_way(name, NOT_OURS)),
            FileKind::Other => Err(self.work_dir.in_the_way(name, NOT_A_FILE)),
        }
    }

    /// What is to be done about a target whose name has an entry in the manifest.
    fn recorded(&self, target: &Target, name: &Arc<str>, at: u64) -> Result<Claim, Failure> {
        match self.entry(at).map_err(|error| self.work_dir.fault(name, &error, 0))? {
            Some(ManifestEntry::Saved(saved)) => self.saved(target, name, &saved),
            Some(ManifestEntry::Partial(partial)) => self.partial(target, name, &partial),
            Some(ManifestEntry::Marked(marked)) => {
                Ok(fetch(name, self.marked(name, marked.why)?, true))
            }
            Some(ManifestEntry::Dropped(_)) | None => Ok(fetch(name, self.fresh(name)?, true)),
        }
    }

    /// The entry that starts at this byte; `None` if it lacks what it should have.
    fn entry(&self, at: u64) -> io::Result<Option<ManifestEntry<'static>>> {
        match self.manifest.read(at) {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidData) => Ok(None),
            entry => entry.map(Some),
        }
    }

    /// What a file that is to be fetched again may take the place of.
    fn marked(&self, name: &str, why: MarkReason) -> Result<OverwriteRule, Failure> {
        let there = match (why, self.seat_if_there(name)?) {
            (MarkReason::Changed, Some(seat)) => {
                seat.found().map_err(|error| self.work_dir.fault(name, &error, 0))?
            }
            // What has come in place of a missing file is not ours.
            _ => return self.fresh(name),
        };
        match there {
            FileKind::Nothing => Ok(OverwriteRule::Nothing),
            FileKind::File { .. } => Ok(OverwriteRule::File),
            FileKind::Other => Err(self.work_dir.in_the_way(name, NOT_A_FILE)),
        }
    }

    fn saved(
        &self,
        target: &Target,
        name: &Arc<str>,
        saved: &SavedEntry<'_>,
    ) -> Result<Claim, Failure> {
        let there = match self.seat_if_there(name)? {
            None => FileKind::Nothing,
            Some(seat) if self.is_dry() => self.predicted_claim(name, saved, &seat)?,
            Some(seat) => {
                self.finish(name, saved, &seat)?;
                seat.found().map_err(|error| self.work_dir.fault(name, &error, 0))?
            }
        };
        let is_whole = match there {
            // What comes there from now on is not ours.
            FileKind::Nothing => return Ok(fetch(name, OverwriteRule::Nothing, true)),
            FileKind::File { bytes, .. } => bytes == saved.bytes,
            FileKind::Other => {
                return Err(self.work_dir.in_the_way(name, NOT_A_FILE));
            }
        };
        let likeness = self.checksum_match(target, name, saved);
        if !is_whole || likeness == ChecksumMatch::Other {
            return Ok(fetch(name, OverwriteRule::File, true));
        }
        let version = saved.version();
        Ok(match self.keep.again {
            ExistingPolicy::Skip => {
                if likeness == ChecksumMatch::Unknown {
                    self.unchecked.fetch_add(1, Relaxed);
                }
                Claim::Settled(Arc::clone(name), SkipReason::Skipped(version))
            }
            ExistingPolicy::Force => fetch(name, OverwriteRule::File, true),
            ExistingPolicy::Refresh => {
                let (name, saved) = (Arc::clone(name), Some(version));
                Claim::Fetch(Some(Destination {
                    name,
                    over: OverwriteRule::File,
                    noted: true,
                    saved,
                    part: None,
                }))
            }
        })
    }

    /// What the digests in the manifest say of the one that is wanted.
    fn checksum_match(&self, target: &Target, name: &str, saved: &SavedEntry<'_>) -> ChecksumMatch {
        let others = self.wanted.of(name).map(|(digest, _)| digest);
        let mut likeness = ChecksumMatch::Same;
        for wanted in target.options.checksum.into_iter().chain(others) {
            match digest_of(saved, wanted.algorithm()) {
                Some(digest) if digest != wanted => return ChecksumMatch::Other,
                Some(_) => {}
                None => likeness = ChecksumMatch::Unknown,
            }
        }
        likeness
    }

    /// Makes up for a rename that was written down and did not come about.
    fn finish(&self, name: &str, saved: &SavedEntry<'_>, seat: &DirFile) -> Result<(), Failure> {
        let fault = |error: io::Error| self.work_dir.fault(name, &error, 0);
        let FileKind::File { bytes, .. } = seat.part().map_err(fault)? else { return Ok(()) };
        if bytes != saved.bytes || seat.has_both_names().map_err(fault)? {
            return seat.remove_part().map_err(fault);
        }
        let may_replace = saved.replaces || self.keep.foreign == ForeignFilePolicy::Replaced;
        let over = if may_replace { OverwriteRule::File } else { OverwriteRule::Nothing };
        match seat.place(over).map_err(fault)? {
            PlaceResult::Done if self.keep.durability == Durability::Power => {
                seat.sync_folder().map_err(fault)
            }
            PlaceResult::Done => Ok(()),
            PlaceResult::Taken => Err(self.work_dir.in_the_way(name, NOT_OURS)),
        }
    }

    fn partial(
        &self,
        target: &Target,
        name: &Arc<str>,
        partial: &PartialEntry<'_>,
    ) -> Result<Claim, Failure> {
        let over = if partial.replaces { OverwriteRule::File } else { self.fresh(name)? };
        let found = match self.seat_if_there(name)? {
            None => FileKind::Nothing,
            Some(seat) => seat.part().map_err(|error| self.work_dir.fault(name, &error, 0))?,
        };
        let part = match found {
            FileKind::File { bytes, .. } if self.keep.again != ExistingPolicy::Force => {
                part(target, partial, bytes)
            }
            _ => None,
        };
        let name = Arc::clone(name);
        Ok(Claim::Fetch(Some(Destination { name, over, noted: true, saved: None, part })))
    }

    fn seat_if_there(&self, name: &str) -> Result<Option<DirFile>, Failure> {
        self.work_dir.folder.seat_if_there(name).map_err(|why| self.work_dir.no_seat(name, why))
    }
}

/// The owner of a name, as the target of this identity sees it.
pub(super) fn owner(names: &NameIndex, identity: &TargetIdentity, key: &str) -> naming::NameOwner {
    match names.get(&NameKey::of(key)) {
        None => naming::NameOwner::Nobody,
        Some(IndexedOwner::Folder) => naming::NameOwner::Folder,
        Some(IndexedOwner::Listed { check, .. }) if check == NameCheck::of(identity.whole) => {
            naming::NameOwner::Mine
        }
        Some(IndexedOwner::Recorded { check, .. }) if check == NameCheck::of(identity.id.0) => {
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

/// What there is of a body that was begun, if it can be continued. Where that is all, its last byte is left out: the
/// run may have been killed before it knew that it was not what the server claims, and says again with that byte.
fn part(target: &Target, partial: &PartialEntry<'_>, bytes: u64) -> Option<PartialBody> {
    let (etag, last_modified) = match &partial.split {
        Some(split) => (&split.etag, &split.last_modified),
        None => (&partial.etag, &partial.last_modified),
    };
    let validator = match (etag, last_modified) {
        (Some(tag), _) => Validator::Etag(tag.to_string()),
        (None, Some(date)) => Validator::LastModified(date.to_string()),
        (None, None) => return None,
    };
    let mirror = target.urls.iter().position(|url| redacted(url) == partial.url)?;
    let from = partial.from.as_deref().map(str::to_owned);
    let from = from.unwrap_or_else(|| resource(&target.urls[mirror]));
    if let Some(split) = &partial.split {
        let (length, spans) = (partial.length, split.spans.clone());
        let is_there = spans.end() <= bytes && length.is_some_and(|length| spans.end() <= length);
        let bytes = spans.bytes();
        let part = PartialBody { bytes, spans: Some(spans), length, validator, mirror, from };
        return Some(part).filter(|_| is_there && bytes > 0);
    }
    let is_a_beginning = bytes > 0 && partial.length.is_none_or(|length| bytes <= length);
    let bytes = if partial.length == Some(bytes) { bytes.saturating_sub(1) } else { bytes };
    let is_a_beginning = is_a_beginning && bytes > 0;
    let length = partial.length;
    is_a_beginning.then_some(PartialBody { bytes, spans: None, length, validator, mirror, from })
}

/// The digest of this algorithm, if the manifest has it.
fn digest_of(saved: &SavedEntry<'_>, algorithm: Algorithm) -> Option<Digest> {
    let sha256 = saved.sha256.and_then(|sha256| Digest::new(Algorithm::Sha256, &sha256.0));
    let other = saved.digest.as_ref().and_then(|digest| digest.parse().ok());
    sha256.into_iter().chain(other).find(|digest: &Digest| digest.algorithm() == algorithm)
}

fn fetch(name: &Arc<str>, over: OverwriteRule, noted: bool) -> Claim {
    let name = Arc::clone(name);
    Claim::Fetch(Some(Destination { name, over, noted, saved: None, part: None }))
}

fn failed(name: &str, failure: Failure) -> Claim {
    Claim::Settled(name.into(), SkipReason::Failed(failure))
}
