//! What a body is called in the folder it is saved in. Pure.
//!
//! A name is a relative path: components joined by `/`, each safe on the systems in use, whatever the list or a
//! server wrote (see [`of_url`], [`of_option`], [`of_disposition`]). Two targets may want one name: [`unique_name()`].
//!
//! Bounds: a component has at most [`LONGEST_COMPONENT`] bytes, a path at most [`DEEPEST`] components and, before it
//! is settled, [`LONGEST_PATH`] bytes; settling may add a mark of 9 bytes (65 at worst) to a component within its
//! bound.

mod conflicts;
mod content_disposition;
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

pub use self::conflicts::{NameOwner, Ownership, UniqueName, key, unique_name};
pub use self::content_disposition::of_disposition;

/// Bytes of a component, at most: file systems take 255, and `.part` must fit behind it.
pub const LONGEST_COMPONENT: usize = 240;

/// Bytes of a path before it is settled, at most: systems take 4,096, the user's folder included.
pub const LONGEST_PATH: usize = 1024;

/// Components of a path, at most.
pub const DEEPEST: usize = 32;

/// What follows the final name of a file while it is partial.
pub const PART_SUFFIX: &str = ".part";

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// Digits of a mark that tells two names apart.
const MARK: usize = 8;

/// The name that the URL gives; `index` is the target's place in the list.
///
/// A path that ends in a slash is an `index.html`. Where the name is made of the path, a query that is not empty
/// leaves a mark before the extension (`page.1a2b3c4d.php`). The fragment never counts. Escapes are decoded once;
/// an escaped `/` is a character of its component. In a tree, http and https of one host share a folder; empty
/// components are left out, and the folders beyond the bounds become one, named by their SHA-256.
pub fn of_url(scheme: NamingScheme, url: &Url, index: u64) -> String {
    match scheme {
        NamingScheme::Flat => file(url),
        NamingScheme::Tree => tree(url),
        NamingScheme::Hash => hashed(url),
        NamingScheme::Index => format!("{index:06}{}", extension(&last(url))),
    }
}

/// The name that the list asks for (`out=`): a relative path, nothing in it escaped. What is no name in it (empty,
/// `.`, `..`) is dropped.
pub fn of_option(out: &str) -> String {
    let mut path = String::with_capacity(out.len());
    for component in out.split('/').filter(|name| !matches!(*name, "" | "." | "..")) {
        push(&mut path, &safe(component));
    }
    if path.is_empty() { safe("").into_owned() } else { bounded(path) }
}

/// The name that a file has until it is whole. No other name ends like this.
pub fn part_of(name: &str) -> String {
    format!("{name}{PART_SUFFIX}")
}

/// What was saved is known by this: the SHA-256 of the URL without fragment, user and password.
pub fn identity(url: &Url) -> [u8; 32] {
    Sha256::new()
        .chain_update(&url[..Position::BeforeUsername])
        .chain_update(&url[Position::BeforeHost..Position::AfterQuery])
        .finalize()
        .into()
}

fn tree(url: &Url) -> String {
    let mut path = host(url);
    let folders = url.path().rsplit_once('/').map_or("", |(folders, _)| folders);
    for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
        push(&mut path, &decoded(folder));
    }
    push(&mut path, &file(url));
    bounded(path)
}

/// The folder of a host: `example.org`, `example.org_8080`, `2001_db8__1_8080`.
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
    match url.query() {
        None | Some("") => name.into_owned(),
        Some(query) => marked(&name, &hex(&sha256(query))[..MARK]),
    }
}

/// The last component of the path, safe.
fn last(url: &Url) -> Cow<'_, str> {
    let path = url.path();
    match path.rsplit_once('/').map_or(path, |(_, last)| last) {
        "" => Cow::Borrowed("index.html"),
        last => decoded(last),
    }
}

fn decoded(component: &str) -> Cow<'_, str> {
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

/// The path, or where it is too long or too deep: its first folders, one named by the SHA-256 of those after them,
/// and the file. Whatever shared a folder still does.
fn bounded(path: String) -> String {
    let depth = path.bytes().filter(|byte| *byte == b'/').count() + 1;
    if path.len() <= LONGEST_PATH && depth <= DEEPEST {
        return path;
    }
    let Some((folders, file)) = path.rsplit_once('/') else { return path };
    let room = LONGEST_PATH - file.len() - DIGITS - 2;
    let ends = folders.match_indices('/').map(|(end, _)| end);
    // Two components of 240 bytes are within the bounds: there is a first folder, and there are some after it.
    let kept = ends.take(DEEPEST - 2).take_while(|end| *end <= room).last().unwrap_or(0);
    format!("{}/{}/{file}", &folders[..kept], hex(&sha256(&folders[kept..])))
}

fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn hex(bytes: &[u8; 32]) -> String {
    HEXLOWER.encode(bytes)
}
