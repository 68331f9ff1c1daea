//! How some of the nouns are written to a line and read back where another process has to know them too.

use http::{HeaderName, HeaderValue};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of an algorithm or of a version of HTTP, out of a closed set.
pub(super) type StaticName = &'static str;

/// Reads a version of HTTP back.
pub(super) fn version<'de, D: Deserializer<'de>>(line: D) -> Result<StaticName, D::Error> {
    let name = String::deserialize(line)?;
    let known = ["HTTP/0.9", "HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3"];
    let found = known.into_iter().find(|known| *known == name);
    found.ok_or_else(|| D::Error::custom("not a version of HTTP"))
}

/// Reads the name of an algorithm back.
pub(super) fn algorithm<'de, D: Deserializer<'de>>(line: D) -> Result<StaticName, D::Error> {
    let name = String::deserialize(line)?;
    name.parse().map(crate::digest::Algorithm::name).map_err(D::Error::custom)
}

/// Header fields: name, value, and whether the value is a secret.
pub mod fields {
    use super::*;

    type HeaderLine = (String, Vec<u8>, bool);

    /// Writes them.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn serialize<S: Serializer>(
        fields: &[(HeaderName, HeaderValue)],
        line: S,
    ) -> Result<S::Ok, S::Error> {
        let written = fields.iter().map(|(name, value)| -> HeaderLine {
            (name.as_str().to_owned(), value.as_bytes().to_vec(), value.is_sensitive())
        });
        written.collect::<Vec<_>>().serialize(line)
    }

    /// Reads them back.
    ///
    /// # Errors
    /// If they are none.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        line: D,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, D::Error> {
        let written = Vec::<HeaderLine>::deserialize(line)?;
        let read = written.into_iter().map(|(name, value, is_secret)| {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(D::Error::custom)?;
            let mut value = HeaderValue::from_bytes(&value).map_err(D::Error::custom)?;
            value.set_sensitive(is_secret);
            Ok((name, value))
        });
        read.collect()
    }
}

/// The value of a header field.
pub mod value {
    use super::*;

    /// Writes it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn serialize<S: Serializer>(value: &HeaderValue, line: S) -> Result<S::Ok, S::Error> {
        value.as_bytes().serialize(line)
    }

    /// Reads it back.
    ///
    /// # Errors
    /// If it is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(line: D) -> Result<HeaderValue, D::Error> {
        HeaderValue::from_bytes(&Vec::<u8>::deserialize(line)?).map_err(D::Error::custom)
    }
}
