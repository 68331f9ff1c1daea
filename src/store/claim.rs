//! Claims a file name for each target, in the order of the list, and finds out what is saved under it already.
//!
//! The order of checks for one target:
//!
//! 1. the wanted name: `out=`, else (with `-J`) the name that an earlier run recorded for the URL, else the one made of
//!    the URL;
//! 2. the same target earlier in this list: a duplicate, which claims nothing;
//! 3. the owner of the name in the index: another target's name gets a mark until it is unique; the name of this very
//!    target, from the manifest, leads to its entry;
//! 4. by the last entry about the name: `saved` first completes a rename that a killed run did not make, then compares
//!    length and digests; `partial` looks for the partial file; `marked` and `dropped` fetch again;
//! 5. only then the file system: a file under the name that no entry accounts for belongs to somebody else.
//!
//! The manifest is asked before the file system because only the manifest tells whether an existing file was saved by
//! fetch; and a name is claimed before its file is looked at, so that no two targets look at one file.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::dir::{DirFile, FileKind, PlaceResult};
use super::entry::{HexSha256, ManifestEntry, MarkReason, PartialEntry, SavedEntry};
use super::errors::{NO_FREE_NAME, NOT_A_FILE, NOT_OURS};
use super::names::NameState;
use super::{OpenFolder, Store};
use crate::digest::{Algorithm, Digest, ExpectedDigests};
use crate::model::{
    Failure, OverwriteRule, PartialBody, SavePlace, SavedVersion, Target, Validator, resource,
};
use crate::naming;
use crate::plan::{Durability, ExistingPolicy, ForeignFilePolicy};
use crate::redaction::{masked, masked_field, without_signature};

/// What to do about a target.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Fetch it and save the body there; `None` if bodies are discarded.
    Fetch(Option<SavePlace>),
    /// Make no request; the file name and the reason.
    Settled(Arc<str>, SkipReason),
}

/// What to do about a target, and about what is saved of it.
#[derive(Debug)]
pub(crate) struct ClaimResult {
    /// What to do about the target.
    pub claim: Claim,
    /// The saved file that the claim is about, if the manifest lacks a digest of it that is asked for.
    pub undigested: Option<UndigestedFile>,
}

impl From<Claim> for ClaimResult {
    fn from(claim: Claim) -> Self {
        Self { claim, undigested: None }
    }
}

/// A saved file for which the manifest lacks digests that are asked for.
#[derive(Debug)]
pub(crate) struct UndigestedFile {
    /// Its manifest entry.
    pub(super) saved: Box<SavedEntry<'static>>,
    /// The digests to compute.
    pub(super) wanted: Vec<Algorithm>,
}

impl Claim {
    /// Sets the digest of the saved version.
    pub(crate) fn set_digest(&mut self, digest: &Digest) {
        if let Self::Settled(_, SkipReason::Skipped(version))
        | Self::Fetch(Some(SavePlace { saved: Some(version), .. })) = self
        {
            version.digest = Some(digest.to_string());
        }
    }
}

/// Why a target needs no request.
#[derive(Debug)]
pub(crate) enum SkipReason {
    /// It is already saved.
    Skipped(SavedVersion),
    /// It is equal to the target of this index.
    Duplicate(u64),
    /// Its body cannot be saved.
    Failed(Failure),
}

/// Identifies a target.
pub(super) struct TargetIdentity {
    /// The hash of its URL, as the manifest records it.
    pub id: HexSha256,
    /// The hash of the URL and everything else that distinguishes targets of a list: user, name, checksum, signature,
    /// headers.
    pub whole: [u8; 32],
}

impl TargetIdentity {
    pub(super) fn of(target: &Target) -> Self {
        let id = HexSha256(naming::identity(target.url()));
        let options = &target.options;
        let url = target.url();
        let is_named = !url.username().is_empty() || url.password().is_some();
        // If one signature has expired, another one has not.
        let signature =
            url.query().filter(|query| matches!(without_signature(query), Cow::Owned(_)));
        let is_plain =
            options.out.is_none() && options.checksum.is_none() && options.headers.is_empty();
        if is_plain && !is_named && signature.is_none() {
            return Self { whole: id.0, id };
        }
        let mut text = format!("{id}\n{}:{}", url.username(), url.password().unwrap_or_default());
        let checksum = options.checksum.map(|sum| sum.to_string());
        let signature = signature.map(str::to_owned);
        for part in options.out.iter().cloned().chain(checksum).chain(signature) {
            text.push_str(&format!("\n{part}"));
        }
        let mut bytes = text.into_bytes();
        for (name, value) in &options.headers {
            bytes.extend([b"\n", name.as_str().as_bytes(), b":", value.as_bytes()].concat());
        }
        Self { whole: HexSha256::of(bytes).0, id }
    }
}

/// Whether a saved file has the expected digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChecksumMatch {
    /// It has all of them, or none is expected.
    Same,
    /// It has a different one.
    Other,
    /// The manifest has no digest of that algorithm.
    Unknown,
}

impl Store {
    /// Claims a name for `target` and returns what to do about it. Must be called in the order of the list.
    pub(crate) fn claim(&self, target: &Target) -> ClaimResult {
        self.0.claim(target)
    }
}

impl OpenFolder {
    pub(super) fn claim(&self, target: &Target) -> ClaimResult {
        let identity = TargetIdentity::of(target);
        let view = self.name_view();
        let wanted = view.wanted_name(target, &identity.id);
        let named = wanted.and_then(|wanted| view.claim_name(target, &identity, &wanted));
        let (name, state) = match named {
            Ok(Some(named)) => named,
            Ok(None) => return fail("", Failure::Name(NO_FREE_NAME.to_owned())).into(),
            Err(error) => return fail("", self.work_dir.io_failure("", &error, 0)).into(),
        };
        let claim = match state {
            NameState::New => {
                self.rule_for_unknown(&name).map(|over| fetch(&name, over, false).into())
            }
            NameState::Duplicate(first) => {
                return Claim::Settled(name, SkipReason::Duplicate(first)).into();
            }
            NameState::Recorded(at) => self.claim_recorded(target, &name, at),
        };
        claim.unwrap_or_else(|failure| fail(&name, failure).into())
    }

    /// What may be overwritten at a name that the manifest does not know.
    fn rule_for_unknown(&self, name: &str) -> Result<OverwriteRule, Failure> {
        if self.was_empty {
            return Ok(OverwriteRule::Nothing);
        }
        let Some(file) = self.file_if_exists(name)? else { return Ok(OverwriteRule::Nothing) };
        match file.kind().map_err(|error| self.work_dir.io_failure(name, &error, 0))? {
            FileKind::Nothing => Ok(OverwriteRule::Nothing),
            FileKind::File { .. } if self.options.foreign == ForeignFilePolicy::Replaced => {
                Ok(OverwriteRule::File)
            }
            FileKind::File { .. } => Err(self.work_dir.name_conflict(name, NOT_OURS)),
            FileKind::Other => Err(self.work_dir.name_conflict(name, NOT_A_FILE)),
        }
    }

    /// Decides by the last manifest entry about the name.
    fn claim_recorded(
        &self,
        target: &Target,
        name: &Arc<str>,
        at: u64,
    ) -> Result<ClaimResult, Failure> {
        let claim = match self
            .name_view()
            .entry(at)
            .map_err(|error| self.work_dir.io_failure(name, &error, 0))?
        {
            Some(ManifestEntry::Saved(saved)) => return self.claim_saved(target, name, saved),
            Some(ManifestEntry::Partial(partial)) => self.claim_partial(target, name, &partial)?,
            Some(ManifestEntry::Marked(marked)) => {
                fetch(name, self.rule_for_marked(name, marked.why)?, true)
            }
            Some(
                ManifestEntry::Dropped(_) | ManifestEntry::Archived(_) | ManifestEntry::Appended(_),
            )
            | None => fetch(name, self.rule_for_unknown(name)?, true),
        };
        Ok(claim.into())
    }

    /// What may be overwritten by a file that `fetch verify` marked.
    fn rule_for_marked(&self, name: &str, why: MarkReason) -> Result<OverwriteRule, Failure> {
        let there = match (why, self.file_if_exists(name)?) {
            (MarkReason::Changed, Some(file)) => {
                file.kind().map_err(|error| self.work_dir.io_failure(name, &error, 0))?
            }
            // A file that appeared in place of a missing one is not ours.
            _ => return self.rule_for_unknown(name),
        };
        match there {
            FileKind::Nothing => Ok(OverwriteRule::Nothing),
            FileKind::File { .. } => Ok(OverwriteRule::File),
            FileKind::Other => Err(self.work_dir.name_conflict(name, NOT_A_FILE)),
        }
    }

    fn claim_saved(
        &self,
        target: &Target,
        name: &Arc<str>,
        saved: SavedEntry<'static>,
    ) -> Result<ClaimResult, Failure> {
        let there = match self.file_if_exists(name)? {
            None => FileKind::Nothing,
            Some(file) if self.is_dry() => self.predicted_claim(name, &saved, &file)?,
            Some(file) => {
                self.complete_rename(name, &saved, &file)?;
                file.kind().map_err(|error| self.work_dir.io_failure(name, &error, 0))?
            }
        };
        let is_whole = match there {
            // A file that appears there from now on is not ours.
            FileKind::Nothing => return Ok(fetch(name, OverwriteRule::Nothing, true).into()),
            FileKind::File { bytes, .. } => bytes == saved.bytes,
            FileKind::Other => {
                return Err(self.work_dir.name_conflict(name, NOT_A_FILE));
            }
        };
        let checksums = checksum_match(&self.expected, target, name, &saved);
        if !is_whole || checksums == ChecksumMatch::Other {
            return Ok(fetch(name, OverwriteRule::File, true).into());
        }
        let version = saved.version();
        let claim = match self.options.again {
            ExistingPolicy::Skip => {
                if checksums == ChecksumMatch::Unknown {
                    self.unchecked.fetch_add(1, Relaxed);
                }
                Claim::Settled(Arc::clone(name), SkipReason::Skipped(version))
            }
            ExistingPolicy::Force => return Ok(fetch(name, OverwriteRule::File, true).into()),
            ExistingPolicy::Refresh => {
                let (name, saved) = (Arc::clone(name), Some(version));
                Claim::Fetch(Some(SavePlace {
                    name,
                    over: OverwriteRule::File,
                    noted: true,
                    saved,
                    part: None,
                }))
            }
        };
        Ok(self.with_digest(claim, saved))
    }

    /// The claim of a saved file that is kept, with the digest that is asked for first, or with the order to compute it.
    fn with_digest(&self, mut claim: Claim, saved: SavedEntry<'static>) -> ClaimResult {
        let known = |algorithm: &Algorithm| digest_of(&saved, *algorithm);
        if let Some(digest) = self.digests.first().and_then(known) {
            claim.set_digest(&digest);
        }
        let lacks = |algorithm: &&Algorithm| known(algorithm).is_none();
        let wanted: Vec<_> = self.digests.iter().filter(lacks).copied().collect();
        let is_undigested = !wanted.is_empty() && !self.is_dry();
        let undigested = is_undigested.then(|| UndigestedFile { saved: Box::new(saved), wanted });
        ClaimResult { claim, undigested }
    }

    /// Completes the rename of a file that the manifest records as saved, if a killed run did not make it.
    fn complete_rename(
        &self,
        name: &str,
        saved: &SavedEntry<'_>,
        file: &DirFile,
    ) -> Result<(), Failure> {
        let fault = |error: std::io::Error| self.work_dir.io_failure(name, &error, 0);
        let FileKind::File { bytes, .. } = file.part_kind().map_err(fault)? else { return Ok(()) };
        if bytes != saved.bytes || file.has_both_names().map_err(fault)? {
            return file.remove_part().map_err(fault);
        }
        let may_replace = saved.replaces || self.options.foreign == ForeignFilePolicy::Replaced;
        let over = if may_replace { OverwriteRule::File } else { OverwriteRule::Nothing };
        match file.place(over).map_err(fault)? {
            PlaceResult::Done if self.options.durability == Durability::Power => {
                file.sync_folder().map_err(fault)
            }
            PlaceResult::Done => Ok(()),
            PlaceResult::Taken => Err(self.work_dir.name_conflict(name, NOT_OURS)),
        }
    }

    fn claim_partial(
        &self,
        target: &Target,
        name: &Arc<str>,
        partial: &PartialEntry<'_>,
    ) -> Result<Claim, Failure> {
        let over =
            if partial.replaces { OverwriteRule::File } else { self.rule_for_unknown(name)? };
        let found = match self.file_if_exists(name)? {
            None => FileKind::Nothing,
            Some(file) => {
                file.part_kind().map_err(|error| self.work_dir.io_failure(name, &error, 0))?
            }
        };
        let part = match found {
            FileKind::File { bytes, .. } if self.options.again != ExistingPolicy::Force => {
                resumable_part(target, partial, bytes)
            }
            _ => None,
        };
        let name = Arc::clone(name);
        Ok(Claim::Fetch(Some(SavePlace { name, over, noted: true, saved: None, part })))
    }

    fn file_if_exists(&self, name: &str) -> Result<Option<DirFile>, Failure> {
        self.work_dir
            .folder
            .file_if_exists(name)
            .map_err(|why| self.work_dir.path_failure(name, why))
    }
}

/// The part of a body that can be resumed; `None` if nothing can. If all bytes are there, the last one is left out: the
/// run may have been killed before it compared the body with what the server claimed, and requesting that byte yields
/// the claim again.
fn resumable_part(target: &Target, partial: &PartialEntry<'_>, bytes: u64) -> Option<PartialBody> {
    let (etag, last_modified) = match &partial.split {
        Some(split) => (&split.etag, &split.last_modified),
        None => (&partial.etag, &partial.last_modified),
    };
    let validator = match (etag, last_modified) {
        (Some(tag), _) => Validator::Etag(tag.to_string()),
        (None, Some(date)) => Validator::LastModified(date.to_string()),
        (None, None) => return None,
    };
    let mirror = mirror_of(target, partial)?;
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

/// The mirror that a partial file comes from; `None` if it is not listed. An older manifest has only the URL as it is
/// shown, which had its signature then.
fn mirror_of(target: &Target, partial: &PartialEntry<'_>) -> Option<usize> {
    let shown = masked_field(&partial.url);
    target.urls.iter().position(|url| match partial.mirror {
        Some(mirror) => naming::identity(url) == mirror.0,
        None => masked(url) == shown,
    })
}

/// Compares the digests in the manifest with the expected ones.
pub(super) fn checksum_match(
    expected: &ExpectedDigests,
    target: &Target,
    name: &str,
    saved: &SavedEntry<'_>,
) -> ChecksumMatch {
    let others = expected.of(name).map(|(digest, _)| digest);
    let mut checksums = ChecksumMatch::Same;
    for wanted in target.options.checksum.into_iter().chain(others) {
        match digest_of(saved, wanted.algorithm()) {
            Some(digest) if digest != wanted => return ChecksumMatch::Other,
            Some(_) => {}
            None => checksums = ChecksumMatch::Unknown,
        }
    }
    checksums
}

/// The digest of this algorithm; `None` if the manifest has none.
pub(super) fn digest_of(saved: &SavedEntry<'_>, algorithm: Algorithm) -> Option<Digest> {
    let sha256 = saved.sha256.and_then(|sha256| Digest::new(Algorithm::Sha256, &sha256.0));
    let other = saved.digest.as_ref().and_then(|digest| digest.parse().ok());
    sha256.into_iter().chain(other).find(|digest: &Digest| digest.algorithm() == algorithm)
}

/// The claim of a target that is fetched.
pub(super) fn fetch(name: &Arc<str>, over: OverwriteRule, noted: bool) -> Claim {
    let name = Arc::clone(name);
    Claim::Fetch(Some(SavePlace { name, over, noted, saved: None, part: None }))
}

/// The claim of a target whose body cannot be saved.
pub(super) fn fail(name: &str, failure: Failure) -> Claim {
    Claim::Settled(name.into(), SkipReason::Failed(failure))
}
