//! Where a body is saved, and what is there already.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use super::ByteRanges;

/// Where the body of a target is saved, settled when the target's turn in the list came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The file's name, relative to the folder, with `/` between its parts.
    pub name: Arc<str>,
    /// What may be replaced there.
    pub over: OverwriteRule,
    /// Whether the manifest has an entry about the name, which a new beginning must replace.
    pub noted: bool,
    /// What was saved there before, where the server is to be asked whether it has changed.
    pub saved: Option<SavedVersion>,
    /// What was begun there by an earlier run.
    pub part: Option<PartialBody>,
}

/// What may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverwriteRule {
    /// Nothing: a file that stands there is not ours.
    Nothing,
    /// The file that stands there: it is ours, or may be overwritten.
    File,
}

/// A version of a body that is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedVersion {
    /// Its length in bytes.
    pub bytes: u64,
    /// ETag that it came with.
    pub etag: Option<String>,
    /// Last-Modified that it came with.
    pub last_modified: Option<String>,
    /// A digest of it, where one was computed.
    pub digest: Option<String>,
}

/// What there is of a body that is not whole, saved beside its final name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialBody {
    /// Bytes that there are of it: its first ones, unless it was begun in several places.
    pub bytes: u64,
    /// Where they are, if it was begun in several places; `None`: at its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spans: Option<ByteRanges>,
    /// Bytes that it will have; `None` if the server did not say.
    pub length: Option<u64>,
    /// What tells its version.
    pub validator: Validator,
    /// Which of the target's URLs led to it, from 0.
    pub mirror: usize,
    /// The [`resource`] that it came from: a validator says nothing of another one (RFC 9110 section 8.8.1), to which a
    /// redirect may lead the next time.
    pub from: String,
}

/// What a URL is the address of, as far as bodies are continued: without the user, without the query, which is a fresh
/// signature in many a redirect, and without the fragment.
pub fn resource(url: &Url) -> String {
    let (scheme, path) = (url.scheme(), url.path());
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{scheme}://{host}:{port}{path}"),
        None => format!("{scheme}://{host}{path}"),
    }
}

/// What tells a version from another one byte by byte: a strong validator (RFC 9110 section 8.8.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validator {
    /// A strong entity tag, as sent.
    Etag(String),
    /// A Last-Modified date that is strong, as sent.
    LastModified(String),
}
