//! Puts files into an object store: large ones in parts, others in one request.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Attributes, Error, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutResult, WriteMultipart,
};
use tokio::task::spawn_blocking;

use super::remote::ObjectFault;

/// The most bytes that are put in one request, and the least number of bytes in a part of a larger file.
pub(crate) const PART: u64 = 8 << 20;

/// The most parts of an object.
const MAX_PARTS: u64 = 10_000;

/// Why a file was not put.
#[derive(Debug)]
pub(crate) enum PutFault {
    /// The file cannot be read.
    Local(io::Error),
    /// The store does not take it.
    Store(ObjectFault),
}

impl From<Error> for PutFault {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

/// Puts a file that is too large for one request.
pub(crate) async fn put_in_parts(
    store: &dyn ObjectStore,
    path: &Path,
    attributes: Attributes,
    mut file: File,
    length: u64,
) -> Result<PutResult, PutFault> {
    let part = PART.max(length.div_ceil(MAX_PARTS));
    let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
    let upload = store.put_multipart_opts(path, options).await?;
    let mut writer = WriteMultipart::new_with_chunk_size(upload, part as usize);
    loop {
        let next = match writer.wait_for_capacity(1).await {
            Ok(()) => read_part(file, part).await,
            Err(error) => Err(error.into()),
        };
        match next {
            Ok((_, bytes)) if bytes.is_empty() => return Ok(writer.finish().await?),
            Ok((rest, bytes)) => {
                file = rest;
                writer.put(bytes);
            }
            Err(fault) => {
                // If the parts cannot be removed now, a lifecycle rule of the bucket may remove them.
                let _ = writer.abort().await;
                return Err(fault);
            }
        }
    }
}

/// Reads the next bytes of a file: `length`, or all that are left. Returns the file too.
pub(crate) async fn read_part(mut file: File, length: u64) -> Result<(File, Bytes), PutFault> {
    let read = spawn_blocking(move || {
        let mut bytes = Vec::new();
        file.by_ref().take(length).read_to_end(&mut bytes)?;
        Ok((file, Bytes::from(bytes)))
    });
    read.await.map_err(io::Error::other).and_then(|read| read).map_err(PutFault::Local)
}

/// Puts a whole file, and replaces the object at `path` if there is one.
pub(crate) async fn put_file(
    store: &dyn ObjectStore,
    path: &Path,
    file: File,
) -> Result<PutResult, PutFault> {
    let length = file.metadata().map_err(PutFault::Local)?.len();
    if length > PART {
        return put_in_parts(store, path, Attributes::new(), file, length).await;
    }
    let (_, bytes) = read_part(file, PART).await?;
    Ok(store.put(path, bytes.into()).await?)
}
