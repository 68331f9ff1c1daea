//! Makes names unique if several targets want one. Pure: the caller says who owns a name.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use super::sanitize::marked;
use super::{DIGITS, MARK, hex, sha256};

/// The owner of a name, as seen by one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameOwner {
    /// Nobody.
    Nobody,
    /// It is a directory.
    Folder,
    /// This target, from earlier.
    Mine,
    /// Another file.
    Other,
}

/// The name that a target gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueName {
    /// The name. None of its directories is a file, nor is the file a directory.
    pub name: String,
    /// Whether the target owned it before.
    pub whose: Ownership,
}

/// Whether a target owned its name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Nobody owned it.
    New,
    /// The target did.
    Own,
}

/// The name that a target gets: `wanted`, or the same with a mark added to each component that is taken. `None` if
/// even the longest mark is taken, which is no accident.
///
/// `identity` is that of the target; a file name of another owner gets a mark of 8 digits from it
/// (`name.1a2b3c4d.html`), then 16, 32 and 64. A folder whose name is that of a file gets such a mark from its own
/// path, so that what belongs together stays together. `owner_of` is called with the `key` of the name and of each
/// folder above it, from the outermost in, and at most five times a component.
pub fn unique_name(
    wanted: &str,
    identity: &[u8; 32],
    mut owner_of: impl FnMut(&str) -> NameOwner,
) -> Option<UniqueName> {
    let (folders, file) = wanted.rsplit_once('/').unwrap_or(("", wanted));
    let mut path = NamedTarget::with_capacity(wanted.len());
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

/// The form in which names are compared: two names with one key may be one file on some system. Case is folded and
/// accents are composed, a little more broadly than any system does. A key has the same number of components as its
/// name.
pub(crate) fn key(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let apart = DecomposingNormalizerBorrowed::new_nfd().normalize(name);
    // Lower, upper, lower: a single step leaves ẞ beside ß, ß beside ss and ς beside σ.
    let folded: String = apart
        .chars()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    ComposingNormalizerBorrowed::new_nfc().normalize(&folded).into_owned()
}

/// Appends a component to the path, with the shortest mark that makes it fit; `None` if none does. The digits of the
/// mark are made of the key that did not fit.
fn push_unique<T>(
    path: &mut NamedTarget,
    component: &str,
    digits: impl FnOnce(&str) -> [u8; 32],
    mut fits: impl FnMut(&str) -> Option<T>,
) -> Option<T> {
    let parent = path.ends();
    path.push(component);
    if let Some(fit) = fits(&path.key) {
        return Some(fit);
    }
    let digits = hex(&digits(&path.key));
    [MARK, 16, 32, DIGITS].into_iter().find_map(|length| {
        path.cut_to(parent);
        path.push(&marked(component, &digits[..length]));
        fits(&path.key)
    })
}

/// A name and its key, up to the component that was appended last.
struct NamedTarget {
    name: String,
    key: String,
}

impl NamedTarget {
    fn with_capacity(bytes: usize) -> Self {
        Self { name: String::with_capacity(bytes), key: String::with_capacity(bytes) }
    }

    fn ends(&self) -> (usize, usize) {
        (self.name.len(), self.key.len())
    }

    fn cut_to(&mut self, (name, key): (usize, usize)) {
        self.name.truncate(name);
        self.key.truncate(key);
    }

    fn push(&mut self, component: &str) {
        super::push(&mut self.name, component);
        super::push(&mut self.key, &key(component));
    }
}
