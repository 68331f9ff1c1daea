//! Serde helpers: serialization of types of other crates for child processes and the spill file, and of names that a
//! newer version may have added.

use std::collections::BTreeMap;

use ::url::Url;
use http::{HeaderName, HeaderValue};
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, Error, IntoDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a digest algorithm.
pub(super) type StaticName = &'static str;

/// Deserializes a name; `None` if it is missing or unknown, since a newer version may have added it.
pub(super) fn known<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    line: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<String>::deserialize(line)?.and_then(from_name))
}

/// Deserializes a map with names as keys; entries with unknown names are dropped.
pub(super) fn known_keys<'de, D: Deserializer<'de>, K: DeserializeOwned + Ord>(
    line: D,
) -> Result<BTreeMap<K, u64>, D::Error> {
    let named = BTreeMap::<String, u64>::deserialize(line)?;
    Ok(named.into_iter().filter_map(|(name, value)| Some((from_name(name)?, value))).collect())
}

/// The unit variant with this name; `None` if the enum has none.
pub(super) fn from_name<T: DeserializeOwned>(name: String) -> Option<T> {
    let name: StringDeserializer<serde::de::value::Error> = name.into_deserializer();
    T::deserialize(name).ok()
}

/// Deserializes the name of a digest algorithm.
pub(super) fn algorithm<'de, D: Deserializer<'de>>(line: D) -> Result<StaticName, D::Error> {
    let name = String::deserialize(line)?;
    name.parse().map(crate::digest::Algorithm::name).map_err(D::Error::custom)
}

/// Header fields: name, value, and whether the value is a secret.
pub(crate) mod fields {
    use super::*;

    type HeaderLine = (String, Vec<u8>, bool);

    /// Serializes the fields.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(crate) fn serialize<S: Serializer>(
        fields: &[(HeaderName, HeaderValue)],
        line: S,
    ) -> Result<S::Ok, S::Error> {
        let written = fields.iter().map(|(name, value)| -> HeaderLine {
            (name.as_str().to_owned(), value.as_bytes().to_vec(), value.is_sensitive())
        });
        written.collect::<Vec<_>>().serialize(line)
    }

    /// Deserializes the fields.
    ///
    /// # Errors
    /// If one is not a valid header field.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
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

/// A URL: as text, or in its parsed form if the format is binary, which only this program reads.
pub(crate) mod url {
    use super::*;

    /// Serializes the URL.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(crate) fn serialize<S: Serializer>(url: &Url, line: S) -> Result<S::Ok, S::Error> {
        match line.is_human_readable() {
            true => url.serialize(line),
            false => url.serialize_internal(line),
        }
    }

    /// Deserializes the URL.
    ///
    /// # Errors
    /// If it is not a URL.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(line: D) -> Result<Url, D::Error> {
        match line.is_human_readable() {
            true => Url::deserialize(line),
            false => Url::deserialize_internal(line),
        }
    }
}

/// A list of URLs.
pub(crate) mod urls {
    use super::*;

    #[derive(Serialize)]
    struct UrlRef<'a>(#[serde(serialize_with = "url::serialize")] &'a Url);

    #[derive(Deserialize)]
    struct ReadUrl(#[serde(deserialize_with = "url::deserialize")] Url);

    /// Serializes the URLs.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(crate) fn serialize<S: Serializer>(urls: &[Url], line: S) -> Result<S::Ok, S::Error> {
        line.collect_seq(urls.iter().map(UrlRef))
    }

    /// Deserializes the URLs.
    ///
    /// # Errors
    /// If any of them is not a URL.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(line: D) -> Result<Vec<Url>, D::Error> {
        let read = Vec::<ReadUrl>::deserialize(line)?;
        Ok(read.into_iter().map(|ReadUrl(url)| url).collect())
    }
}

/// Bytes as Base64: an array of numbers would be several times as long.
pub(crate) mod encoded_bytes {
    use data_encoding::BASE64;

    use super::*;

    /// Serializes the bytes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], line: S) -> Result<S::Ok, S::Error> {
        line.serialize_str(&BASE64.encode(bytes))
    }

    /// Deserializes the bytes.
    ///
    /// # Errors
    /// If it is not Base64.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(line: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(line)?;
        BASE64.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

/// An optional header value, which is marked as a secret when it is read.
pub(crate) mod secret_value {
    use super::*;

    /// Serializes the value.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<HeaderValue>,
        line: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(HeaderValue::as_bytes).serialize(line)
    }

    /// Deserializes the value.
    ///
    /// # Errors
    /// If it is not a valid header value.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        line: D,
    ) -> Result<Option<HeaderValue>, D::Error> {
        let Some(bytes) = Option::<Vec<u8>>::deserialize(line)? else { return Ok(None) };
        let mut value = HeaderValue::from_bytes(&bytes).map_err(D::Error::custom)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// The value of a header field.
pub(crate) mod value {
    use super::*;

    /// Serializes the value.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(crate) fn serialize<S: Serializer>(
        value: &HeaderValue,
        line: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_bytes().serialize(line)
    }

    /// Deserializes the value.
    ///
    /// # Errors
    /// If it is not a valid header value.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(line: D) -> Result<HeaderValue, D::Error> {
        HeaderValue::from_bytes(&Vec::<u8>::deserialize(line)?).map_err(D::Error::custom)
    }
}
