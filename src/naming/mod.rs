//! File names: makes safe relative paths from URLs, `out=` options and Content-Disposition. Pure.
//!
//! A name is a relative path of components joined by `/`, each safe on all common systems, whatever the list or a
//! server wrote (see [`of_url`], [`of_option`], [`of_disposition`]). If two targets want the same name,
//! [`unique_name()`] resolves the conflict.
//!
//! Bounds: a component has at most [`LONGEST_COMPONENT`] bytes, a path at most [`DEEPEST`] components and, before it is
//! made unique, [`LONGEST_PATH`] bytes. Making it unique may add a mark of 9 bytes (65 at worst) to a component, within
//! the component's bound.

mod conflicts;
mod content_disposition;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod sanitize;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use url::{Position, Url};

use self::sanitize::{extension, marked, safe};
use crate::plan::NamingScheme;
use crate::redaction::{object_of, without_secret_parameters, without_signature};

pub use self::conflicts::{NameOwner, unique_name};
pub(crate) use self::conflicts::{Ownership, UniqueName, key};
pub(crate) use self::content_disposition::of_disposition;

/// The maximum length of a component in bytes: file systems take 255, and [`PART_SUFFIX`] must fit behind it.
pub(crate) const LONGEST_COMPONENT: usize = 240;

/// The maximum length of a path in bytes, before it is made unique: systems take 4,096, the user's directory included.
pub(crate) const LONGEST_PATH: usize = 1024;

/// The maximum number of components of a path.
pub(crate) const DEEPEST: usize = 32;

/// The suffix of the name of a partial file.
pub(crate) const PART_SUFFIX: &str = ".part";

/// Number of hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// Number of digits of the shortest mark that makes a name unique.
const MARK_DIGITS: usize = 8;

/// The name of a target, made of its URL; `index` is its position in the list.
///
/// A path that ends in a slash is named `index.html`. If the name is made of the path, a non-empty query adds a mark
/// before the extension (`page.1a2b3c4d.php`), which does not depend on temporary signatures. Secret parameters of the
/// path are replaced by such a mark. The fragment is ignored. Escapes are decoded once; an escaped `/` does not separate
/// components. In a tree, http and https of one host share a directory, empty components are left out, and the
/// directories beyond the bounds are replaced by one, named by their SHA-256.
pub fn of_url(scheme: NamingScheme, url: &Url, index: u64) -> String {
    match scheme {
        NamingScheme::Flat => file(url),
        NamingScheme::Tree => tree(url),
        NamingScheme::Hash => hashed(url),
        NamingScheme::Index => format!("{index:06}{}", extension(&last(url))),
    }
}

/// The name that a list requests (`out=`), a relative path without escapes. Components that are empty, `.` or `..` are
/// left out.
pub(crate) fn of_option(out: &str) -> String {
    let mut path = String::with_capacity(out.len());
    for component in out.split('/').filter(|name| !matches!(*name, "" | "." | "..")) {
        push(&mut path, &safe(component));
    }
    if path.is_empty() { safe("").into_owned() } else { bounded(path) }
}

/// The name of the partial file. No final name has its suffix.
pub(crate) fn part_of(name: &str) -> String {
    format!("{name}{PART_SUFFIX}")
}

/// Identifies the object that a URL refers to: the SHA-256 of the URL without fragment, user, password and temporary
/// signature.
pub fn identity(url: &Url) -> [u8; 32] {
    Sha256::new()
        .chain_update(&url[..Position::BeforeUsername])
        .chain_update(&*object_of(url))
        .finalize()
        .into()
}

fn tree(url: &Url) -> String {
    let mut path = host(url);
    let folders = url.path().rsplit_once('/').map_or("", |(folders, _)| folders);
    for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
        match without_secret_parameters(folder) {
            Cow::Borrowed(folder) => push(&mut path, &decode(folder)),
            Cow::Owned(shown) => push(&mut path, &marked(&decode(&shown), &mark(folder))),
        }
    }
    push(&mut path, &file(url));
    bounded(path)
}

/// The directory of a host: `example.org`, `example.org_8080`, `2001_db8__1_8080`.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match url.port() {
        Some(port) => safe(&format!("{host}_{port}")).into_owned(),
        None => safe(host).into_owned(),
    }
}

fn hashed(url: &Url) -> String {
    let digits = hex(&identity(url));
    format!("{}/{}/{digits}{}", &digits[..2], &digits[2..4], extension(&last(url)))
}

fn file(url: &Url) -> String {
    let name = last(url);
    let query = url.query().filter(|query| !query.is_empty()).map(without_signature);
    let component = url.path().rsplit_once('/').map_or("", |(_, last)| last);
    match (without_secret_parameters(component), query) {
        (Cow::Borrowed(_), None) => name.into_owned(),
        (Cow::Borrowed(_), Some(query)) => marked(&name, &mark(&query)),
        (Cow::Owned(_), query) => {
            let query = query.unwrap_or_default();
            marked(&name, &mark(&format!("{component}?{query}")))
        }
    }
}

/// The mark that distinguishes names by this text: the first digits of its SHA-256.
fn mark(text: &str) -> String {
    hex(&sha256(text))[..MARK_DIGITS].to_owned()
}

/// The last component of the URL's path, made safe.
fn last(url: &Url) -> Cow<'_, str> {
    let path = url.path();
    match path.rsplit_once('/').map_or(path, |(_, last)| last) {
        "" => Cow::Borrowed("index.html"),
        last => match without_secret_parameters(last) {
            Cow::Borrowed(last) => decode(last),
            Cow::Owned(shown) => Cow::Owned(decode(&shown).into_owned()),
        },
    }
}

/// The component with its escapes decoded, made safe.
fn decode(component: &str) -> Cow<'_, str> {
    match percent_decode_str(component).decode_utf8_lossy() {
        Cow::Borrowed(text) => safe(text),
        Cow::Owned(text) => Cow::Owned(safe(&text).into_owned()),
    }
}

fn push(path: &mut String, component: &str) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(component);
}

/// The path, shortened if it is too long or too deep: its first directories are kept, the others are replaced by one
/// named by their SHA-256. Files of the same directory stay in the same directory.
fn bounded(path: String) -> String {
    let depth = path.bytes().filter(|byte| *byte == b'/').count() + 1;
    if path.len() <= LONGEST_PATH && depth <= DEEPEST {
        return path;
    }
    let Some((folders, file)) = path.rsplit_once('/') else { return path };
    let room = LONGEST_PATH - file.len() - SHA256_DIGITS - 2;
    let ends = folders.match_indices('/').map(|(end, _)| end);
    // Two components of 240 bytes are within the bounds, so at least one directory is kept, and at least one is
    // replaced.
    let kept = ends.take(DEEPEST - 2).take_while(|end| *end <= room).last().unwrap_or(0);
    format!("{}/{}/{file}", &folders[..kept], hex(&sha256(&folders[kept..])))
}

fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn hex(bytes: &[u8; 32]) -> String {
    HEXLOWER.encode(bytes)
}
