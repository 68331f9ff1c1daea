//! An entry of the list: a target to fetch, or a line that cannot be one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use super::carried::{self, CarriedColumns};
use crate::digest::Digest;

/// An entry of a list, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A URL to fetch.
    Target(Target),
    /// A line that is not a URL to fetch. It is reported like any other entry.
    Invalid(InvalidLine),
}

impl Entry {
    /// Its position among all entries of all sources, from 1.
    pub fn index(&self) -> u64 {
        match self {
            Self::Target(target) => target.index,
            Self::Invalid(invalid) => invalid.index,
        }
    }
}

/// One URL to fetch, with its mirrors and options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its position among all entries of all sources, from 1.
    pub index: u64,
    /// The source that lists it: a file's name, `-` for standard input, `argument` for the command line.
    pub source: Arc<str>,
    /// Line in that source, from 1; `None` on the command line.
    pub line: Option<u64>,
    /// The text of the list's line, without a password and surrounding whitespace; `None` if it equals the first URL.
    pub listed: Option<Arc<str>>,
    /// Its URL and the mirrors, in the order in which they are tried; never empty.
    #[serde(with = "super::serde_helpers::urls")]
    pub urls: Vec<Url>,
    /// Its options.
    pub options: EntryOptions,
}

impl Target {
    /// The first URL, which identifies the target.
    pub fn url(&self) -> &Url {
        &self.urls[0]
    }

    /// The total length of its texts in bytes, an estimate of its memory use.
    pub(crate) fn text_bytes(&self) -> usize {
        let urls: usize = self.urls.iter().map(|url| url.as_str().len()).sum();
        let fields = self.options.headers.iter();
        let headers: usize = fields.map(|(name, value)| name.as_str().len() + value.len()).sum();
        let length = |text: Option<&str>| text.map_or(0, str::len);
        let carried = self.options.carried.as_ref().map(CarriedColumns::as_json);
        let labels = length(self.options.id.as_deref()) + length(carried);
        let names = length(self.listed.as_deref()) + length(self.options.out.as_deref());
        urls + headers + names + labels
    }
}

/// The options of one entry, from its option lines or the columns of its row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryOptions {
    /// Name to save under; it has no effect without `--dir`.
    pub out: Option<String>,
    /// The expected digest of the body.
    pub checksum: Option<Digest>,
    /// Request header fields of this target only, name and value, in the order listed.
    #[serde(with = "super::serde_helpers::fields")]
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// The list's own identifier of the entry (`--id-column`, `id=`).
    #[serde(default)]
    pub id: Option<Arc<str>>,
    /// The columns of its row that are copied into its record.
    #[serde(default, with = "carried::as_text")]
    pub carried: Option<CarriedColumns>,
}

/// A line that is not a URL to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLine {
    /// Its position among all entries of all sources, from 1.
    pub index: u64,
    /// The source that lists it, as for a target.
    pub source: Arc<str>,
    /// Line in that source, from 1; `None` on the command line.
    pub line: Option<u64>,
    /// The text of the line in printable form, cut to a readable length, secrets redacted.
    pub text: String,
    /// What is wrong with it and what to write instead.
    pub message: String,
    /// The list's own identifier of the entry (`--id-column`, `id=`).
    pub id: Option<Arc<str>>,
    /// The columns of its row that are copied into its record.
    pub carried: Option<CarriedColumns>,
}
