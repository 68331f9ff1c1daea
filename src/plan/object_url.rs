//! Object store URLs, as `--dir` accepts them: `s3://BUCKET/PREFIX`.

use std::fmt;
use std::path::Path;

/// A place in an object store: `s3://BUCKET/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectUrl {
    /// The kind of object store.
    pub service: ObjectService,
    /// The bucket, or the container.
    pub bucket: String,
    /// The prefix of all object names, without a slash at either end; may be empty.
    pub prefix: String,
}

/// A kind of object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectService {
    /// Amazon S3 and compatible stores.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl ObjectService {
    const ALL: [Self; 3] = [Self::S3, Self::Gcs, Self::Azure];

    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }
}

impl ObjectUrl {
    /// Parses a path that is an object store URL; `None` if it is a path of the file system.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let (scheme, rest) = path.to_str()?.split_once("://")?;
        let has_scheme = |service: &ObjectService| service.scheme().eq_ignore_ascii_case(scheme);
        let service = ObjectService::ALL.into_iter().find(has_scheme)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/').to_owned();
        Some(Self { service, bucket: bucket.to_owned(), prefix })
    }
}

impl fmt::Display for ObjectUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.service.scheme(), self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(out, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(ObjectService, String, String)> {
        ObjectUrl::of(Path::new(text)).map(|url| (url.service, url.bucket, url.prefix))
    }

    #[test]
    fn a_url_of_a_store_is_told_from_a_path() {
        let of = |service, bucket: &str, prefix: &str| {
            Some((service, bucket.to_owned(), prefix.to_owned()))
        };
        assert_eq!(read("s3://b/a/c/"), of(ObjectService::S3, "b", "a/c"));
        assert_eq!(read("GS://b"), of(ObjectService::Gcs, "b", ""));
        assert_eq!(read("az://b//a"), of(ObjectService::Azure, "b", "a"));
        assert_eq!(read("s3:///a"), of(ObjectService::S3, "", "a"));
        for path in ["s3", "s3:/b", "./s3://b", "ftp://b/a", "/s3://b"] {
            assert_eq!(read(path), None, "{path}");
        }
        let url = ObjectUrl::of(Path::new("S3://b/a/")).unwrap();
        assert_eq!(url.to_string(), "s3://b/a");
    }
}
