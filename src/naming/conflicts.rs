//! Name conflicts: makes names unique if several targets want the same one. Pure: the caller says who owns a name.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use super::sanitize::marked;
use super::{MARK_DIGITS, SHA256_DIGITS, hex, sha256};

/// The owner of a name, as seen by one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameOwner {
    /// Nobody.
    Nobody,
    /// It is a directory.
    Folder,
    /// The target itself, from an earlier run or claim.
    Mine,
    /// Another file.
    Other,
}

/// The name that a target gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueName {
    /// The name. No directory in it is an existing file, and its file is not an existing directory.
    pub name: String,
    /// Whether the target owned it before.
    pub whose: Ownership,
}

/// Whether a target owned its name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// It did not; nobody owned it.
    New,
    /// It did.
    Own,
}

/// The name that a target gets: `wanted`, with a mark added to each component that is taken. `None` if even the longest
/// mark is taken, which does not happen by chance.
///
/// If another file owns the name, the mark is the first 8 digits of `identity`, which is that of the target
/// (`name.1a2b3c4d.html`), then 16, 32 and 64. If a folder has the name of a file, its mark is taken from the hash of its
/// own path, so that all files in it stay together. `owner_of` is called with the `key` of each folder, from the
/// outermost in, and then of the file, at most five times per component.
pub fn unique_name(
    wanted: &str,
    identity: &[u8; 32],
    mut owner_of: impl FnMut(&str) -> NameOwner,
) -> Option<UniqueName> {
    let (folders, file) = wanted.rsplit_once('/').unwrap_or(("", wanted));
    let mut path = NameBuilder::with_capacity(wanted.len());
    for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
        push_unique(&mut path, folder, sha256, |key| match owner_of(key) {
            NameOwner::Nobody | NameOwner::Folder => Some(()),
            NameOwner::Mine | NameOwner::Other => None,
        })?;
    }
    let whose = push_unique(
        &mut path,
        file,
        |_| *identity,
        |key| match owner_of(key) {
            NameOwner::Nobody => Some(Ownership::New),
            NameOwner::Mine => Some(Ownership::Own),
            NameOwner::Folder | NameOwner::Other => None,
        },
    )?;
    Some(UniqueName { name: path.name, whose })
}

/// The form in which names are compared: two names with the same key may be the same file on some system. Case is folded
/// and accents are composed, slightly more broadly than any file system does. A key has as many components as its name.
pub(crate) fn key(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(name);
    // Lower, upper, lower: a single step does not make ẞ and ß, ß and ss, ς and σ equal.
    let folded: String = decomposed
        .chars()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    ComposingNormalizerBorrowed::new_nfc().normalize(&folded).into_owned()
}

/// Appends a component to the path, with the shortest mark for which `fits` returns a value; `None` if there is none.
/// `digits` computes the hash that marks are taken from; its argument is the key that did not fit.
fn push_unique<T>(
    path: &mut NameBuilder,
    component: &str,
    digits: impl FnOnce(&str) -> [u8; 32],
    mut fits: impl FnMut(&str) -> Option<T>,
) -> Option<T> {
    let parent = path.lengths();
    path.push(component);
    if let Some(fit) = fits(&path.key) {
        return Some(fit);
    }
    let digits = hex(&digits(&path.key));
    [MARK_DIGITS, 16, 32, SHA256_DIGITS].into_iter().find_map(|length| {
        path.truncate(parent);
        path.push(&marked(component, &digits[..length]));
        fits(&path.key)
    })
}

/// A name and its key, built component by component.
struct NameBuilder {
    name: String,
    key: String,
}

impl NameBuilder {
    fn with_capacity(bytes: usize) -> Self {
        Self { name: String::with_capacity(bytes), key: String::with_capacity(bytes) }
    }

    fn lengths(&self) -> (usize, usize) {
        (self.name.len(), self.key.len())
    }

    fn truncate(&mut self, (name, key): (usize, usize)) {
        self.name.truncate(name);
        self.key.truncate(key);
    }

    fn push(&mut self, component: &str) {
        super::push(&mut self.name, component);
        super::push(&mut self.key, &key(component));
    }
}
