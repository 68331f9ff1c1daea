//! Opens places in object stores, in a build that can reach them.

use std::sync::Arc;

#[cfg(feature = "object-store")]
use super::destination::Destination;
#[cfg(feature = "object-store")]
use super::objects::{ObjectArchives, OpenObjects};
use super::{Store, StoreError};
use crate::digest::{Algorithm, ExpectedDigests};
#[cfg(not(feature = "object-store"))]
use crate::object_access::ObjectError;
use crate::plan::{ArchiveOptions, ObjectUrl, SaveOptions};

/// A store, and warnings about its manifest.
type Opened = Result<(Store, Vec<String>), StoreError>;

/// Opens a place for bodies that are an object each, with these digests in the manifest; `None`: for claims only.
#[cfg(feature = "object-store")]
pub(super) fn open(
    url: &ObjectUrl,
    options: &SaveOptions,
    expected: Arc<ExpectedDigests>,
    digests: Option<Vec<Algorithm>>,
) -> Opened {
    opened(match digests {
        Some(digests) => OpenObjects::open(url, options, expected, digests),
        None => OpenObjects::inspect(url, options, expected),
    })
}

/// Opens the archives of a prefix, in the same way.
#[cfg(feature = "object-store")]
pub(super) fn open_archives(
    url: &ObjectUrl,
    options: &ArchiveOptions,
    expected: Arc<ExpectedDigests>,
    digests: Option<Vec<Algorithm>>,
) -> Opened {
    opened(match digests {
        Some(digests) => ObjectArchives::open(url, options, expected, digests),
        None => ObjectArchives::inspect(url, options, expected),
    })
}

#[cfg(feature = "object-store")]
fn opened<D: Destination + 'static>(open: Result<(D, Vec<String>), StoreError>) -> Opened {
    open.map(|(open, notices)| (Store(Arc::new(open)), notices))
}

#[cfg(not(feature = "object-store"))]
pub(super) fn open(
    url: &ObjectUrl,
    _: &SaveOptions,
    _: Arc<ExpectedDigests>,
    _: Option<Vec<Algorithm>>,
) -> Opened {
    Err(ObjectError::Unbuilt(url.to_string()).into())
}

#[cfg(not(feature = "object-store"))]
pub(super) fn open_archives(
    url: &ObjectUrl,
    _: &ArchiveOptions,
    _: Arc<ExpectedDigests>,
    _: Option<Vec<Algorithm>>,
) -> Opened {
    Err(ObjectError::Unbuilt(url.to_string()).into())
}
