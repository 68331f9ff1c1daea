//! Access to object stores: credentials, the client, and the thread of its requests. A build without the feature
//! `object-store` cannot reach any.

#[cfg(feature = "object-store")]
mod profile;
#[cfg(feature = "object-store")]
mod put;
#[cfg(feature = "object-store")]
mod remote;

#[cfg(not(feature = "object-store"))]
use std::convert::Infallible;
use std::fs::File;
use std::io;
#[cfg(feature = "object-store")]
use std::time::Duration;

use crate::plan::ObjectUrl;
#[cfg(feature = "object-store")]
pub(crate) use put::{PART, PutFault, put_file, put_in_parts, read_part};
#[cfg(feature = "object-store")]
pub(crate) use remote::{ObjectFault, Remote};

/// How long requests to a store that does not answer are repeated, unless an option says otherwise.
#[cfg(feature = "object-store")]
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Why an object store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// This build cannot reach object stores.
    #[error("{0}: object stores need a fetch that was built with --features object-store")]
    Unbuilt(String),
    /// The store refuses to do its work, for a reason that the user can change.
    #[error("{url}: {reason}")]
    Refused {
        /// The URL of the store or the object.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The store cannot be reached, or fails.
    #[error("cannot use {url}: {reason}")]
    Unusable {
        /// The URL of the store or the object.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

impl ObjectError {
    /// Whether the user has to change something about the command.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Unbuilt(_) | Self::Refused { .. })
    }
}

impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> Self {
        let kind =
            if error.is_usage() { io::ErrorKind::InvalidInput } else { io::ErrorKind::Other };
        Self::new(kind, error.to_string())
    }
}

/// One object that is put when its content is complete. A build that cannot reach object stores cannot create one.
#[derive(Debug)]
pub(crate) struct ObjectFile {
    #[cfg(feature = "object-store")]
    remote: Remote,
    #[cfg(feature = "object-store")]
    name: String,
    #[cfg(not(feature = "object-store"))]
    never: Infallible,
}

#[cfg(feature = "object-store")]
impl ObjectFile {
    /// The object at this URL; nothing is put yet.
    ///
    /// # Errors
    /// If there are no credentials, or the URL names no object.
    pub(crate) fn open(url: &ObjectUrl) -> Result<Self, ObjectError> {
        let (remote, name) = Remote::open_beside(url, PATIENCE)?;
        Ok(Self { remote, name })
    }

    /// Puts a file, from its beginning.
    ///
    /// # Errors
    /// If it cannot be read, or the store does not take it.
    pub(crate) fn put(self, mut file: File) -> io::Result<()> {
        use std::io::Seek;

        file.rewind()?;
        let Self { remote, name } = self;
        let path = remote.path(&name).ok_or(io::ErrorKind::InvalidFilename)?;
        let task_remote = remote.clone();
        let put = remote.wait(async move { put_file(&*task_remote.store, &path, file).await });
        put.map(drop).map_err(|fault| match fault {
            PutFault::Local(error) => error,
            PutFault::Store(fault) => fault.into(),
        })
    }
}

#[cfg(not(feature = "object-store"))]
impl ObjectFile {
    pub(crate) fn open(url: &ObjectUrl) -> Result<Self, ObjectError> {
        Err(ObjectError::Unbuilt(url.to_string()))
    }

    pub(crate) fn put(self, _: File) -> io::Result<()> {
        match self.never {}
    }
}
