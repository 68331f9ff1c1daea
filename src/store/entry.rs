//! Manifest entries, one JSON object a line. Fields are only ever added; unknown ones are ignored.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest;

use crate::model::{ByteRanges, CarriedColumns, SavedVersion};

/// The longest URL that is written in full, in bytes. It is for people: an entry is identified by its `id`.
const MAX_URL: usize = 8 * 1024;

/// The longest validator that is written, in bytes. A server may send any; a file without one is not resumed but
/// fetched anew.
const MAX_VALIDATOR: usize = 4 * 1024;

/// One line of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant)] // few are in memory at a time
pub(crate) enum ManifestEntry<'a> {
    /// A file is complete.
    Saved(SavedEntry<'a>),
    /// A partial file was created: the body is too large to arrive at once.
    Partial(PartialEntry<'a>),
    /// A file must be fetched again: `fetch verify` found it missing or changed.
    Marked(MarkedEntry<'a>),
    /// A saved file could not be renamed: somebody else's file has the name.
    Dropped(DroppedEntry<'a>),
    /// A body is complete, in an archive.
    Archived(ArchivedEntry<'a>),
    /// Something else was appended to an archive.
    Appended(AppendedEntry<'a>),
}

impl ManifestEntry<'_> {
    /// The file's name.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Saved(saved) => &saved.path,
            Self::Partial(partial) => &partial.path,
            Self::Marked(marked) => &marked.path,
            Self::Dropped(dropped) => &dropped.path,
            Self::Archived(archived) => &archived.saved.path,
            Self::Appended(appended) => &appended.path,
        }
    }
}

/// A complete file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedEntry<'a> {
    /// The URL it came from, redacted, and truncated if very long. For people only.
    #[serde(serialize_with = "truncated")]
    pub url: Cow<'a, str>,
    /// The hash of its URL.
    pub id: HexSha256,
    /// Its path, relative to the directory, with `/`.
    pub path: Cow<'a, str>,
    /// Its length in bytes.
    pub bytes: u64,
    /// The ETag of the response, as sent; `None` if it had none, or one too long to keep.
    #[serde(default, serialize_with = "unless_too_long")]
    pub etag: Option<Cow<'a, str>>,
    /// The Last-Modified of the response, as sent; `None` if it had none, or one too long to keep.
    #[serde(default, serialize_with = "unless_too_long")]
    pub last_modified: Option<Cow<'a, str>>,
    /// The SHA-256 of its content, if computed.
    #[serde(default)]
    pub sha256: Option<HexSha256>,
    /// Another digest of its content, if computed: `ALGORITHM=HEX`.
    #[serde(default)]
    pub digest: Option<Cow<'a, str>>,
    /// What the list called its URL, secrets masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_id: Option<Cow<'a, str>>,
    /// The columns that the row of its URL carried, secrets masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<CarriedColumns>,
    /// Whether it overwrites an existing file.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replaces: bool,
    /// The ETag of the object, if it is in an object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_etag: Option<Box<str>>,
    /// When it was complete; written to the millisecond.
    #[serde(with = "rfc3339_time")]
    pub saved_at: SystemTime,
}

impl SavedEntry<'_> {
    /// The same entry, which borrows nothing.
    #[cfg(feature = "object-store")]
    pub(crate) fn into_owned(self) -> SavedEntry<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        SavedEntry {
            url: owned(self.url),
            path: owned(self.path),
            etag: self.etag.map(owned),
            last_modified: self.last_modified.map(owned),
            digest: self.digest.map(owned),
            listed_id: self.listed_id.map(owned),
            ..self
        }
    }

    /// The saved version, as requests need it.
    pub(crate) fn version(&self) -> SavedVersion {
        let owned = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let sha256 = self.sha256.map(|hash| format!("sha-256={hash}"));
        SavedVersion {
            bytes: self.bytes,
            etag: owned(&self.etag),
            last_modified: owned(&self.last_modified),
            digest: sha256.or(owned(&self.digest)),
        }
    }
}

/// A partial file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartialEntry<'a> {
    /// The URL it comes from, redacted, and truncated if very long. For people only.
    #[serde(serialize_with = "truncated")]
    pub url: Cow<'a, str>,
    /// The hash of its URL.
    pub id: HexSha256,
    /// The hash of the URL it comes from; `None` if the target has no mirrors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<HexSha256>,
    /// The resource that its bytes come from, after redirects; `None`: that of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Cow<'a, str>>,
    /// Its final path, relative to the directory, with `/`.
    pub path: Cow<'a, str>,
    /// The path of the partial file, relative to the directory, with `/`.
    pub part: Cow<'a, str>,
    /// The ETag of the response, as sent; `None` if it had none, or one too long to keep.
    #[serde(default, serialize_with = "unless_too_long")]
    pub etag: Option<Cow<'a, str>>,
    /// The Last-Modified of the response, as sent; `None` if it had none, or one too long to keep.
    #[serde(default, serialize_with = "unless_too_long")]
    pub last_modified: Option<Cow<'a, str>>,
    /// The length of the complete body in bytes, if known.
    #[serde(default)]
    pub length: Option<u64>,
    /// The byte ranges received, if it is downloaded in segments; `None`: the first bytes, as many as the file has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitEntry<'a>>,
    /// Whether it will overwrite an existing file.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replaces: bool,
    /// When its first byte arrived; written to the millisecond.
    #[serde(with = "rfc3339_time")]
    pub started_at: SystemTime,
}

/// The received byte ranges of a segmented download. The validators are in here and not in the entry: a reader that
/// ignores this field must not take the file for a beginning that it can resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SplitEntry<'a> {
    /// The ETag of the response, as sent; `None` if it had none, or one too long to keep.
    #[serde(default, serialize_with = "unless_too_long")]
    pub etag: Option<Cow<'a, str>>,
    /// The Last-Modified of the response, as sent; `None` if it had none, or one too long to keep.
    #[serde(default, serialize_with = "unless_too_long")]
    pub last_modified: Option<Cow<'a, str>>,
    /// The ranges received: the first byte of each, and the one after its last.
    pub spans: ByteRanges,
}

/// A file that `fetch verify` found missing or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MarkedEntry<'a> {
    /// Its path, relative to the directory, with `/`.
    pub path: Cow<'a, str>,
    /// The hash of its URL.
    pub id: HexSha256,
    /// Identifies the target; `None` in a directory, where the path does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<HexSha256>,
    /// What is wrong.
    pub why: MarkReason,
    /// When that was found; written to the millisecond.
    #[serde(with = "rfc3339_time")]
    pub marked_at: SystemTime,
}

/// What a mark in the manifest is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// The hash of the URL.
    pub id: HexSha256,
    /// Identifies the target, for an archive.
    pub target: Option<HexSha256>,
    /// What is wrong.
    pub why: MarkReason,
}

impl<'a> ManifestEntry<'a> {
    /// The entry, made now, about the body of this name.
    pub(super) fn marked(path: &'a str, mark: Mark) -> Self {
        let Mark { id, target, why } = mark;
        let marked_at = SystemTime::now();
        Self::Marked(MarkedEntry { path: path.into(), id, target, why, marked_at })
    }
}

/// A file that could not be renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DroppedEntry<'a> {
    /// The name, relative to the directory, with `/`.
    pub path: Cow<'a, str>,
    /// The hash of its URL.
    pub id: HexSha256,
    /// When that was found; written to the millisecond.
    #[serde(with = "rfc3339_time")]
    pub dropped_at: SystemTime,
}

/// A complete body in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArchivedEntry<'a> {
    /// The body; its path is the name of the archive.
    #[serde(flatten)]
    pub saved: SavedEntry<'a>,
    /// Identifies the target.
    pub target: HexSha256,
    /// The byte of the archive at which begins what was appended for it.
    pub offset: u64,
    /// How many bytes that is.
    pub length: u64,
    /// The SHA-256 of the body as it is in the archive: with its content coding, if the archive keeps that.
    pub payload: HexSha256,
    /// The record of the response; `None` if the archive has no such records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordEntry>,
    /// The name of the body in the archive; `None` if bodies have no names there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Cow<'a, str>>,
}

/// What was appended to an archive besides the body of a target: the response of a redirect or an error, a record about a
/// failure; nothing, if the archive was only begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppendedEntry<'a> {
    /// The name of the archive.
    pub path: Cow<'a, str>,
    /// The hash of the URL, or of the name of the archive.
    pub id: HexSha256,
    /// The byte at which it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
    /// The record of the response, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordEntry>,
    /// What an object store has called the version of the archive, where it was put there and this is its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_etag: Option<Cow<'a, str>>,
}

/// The record of a response in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordEntry {
    /// Its WARC-Record-ID: a UUID.
    #[serde(rename = "record_id")]
    pub id: String,
    /// Its WARC-Target-URI.
    pub uri: String,
    /// Its WARC-Date; written to the millisecond.
    #[serde(with = "rfc3339_time")]
    pub at: SystemTime,
    /// The status of the response.
    pub status: u16,
    /// The media type of the response.
    #[serde(default)]
    pub media_type: Option<String>,
    /// The SHA-256 of its payload.
    pub payload: HexSha256,
    /// The length of its payload, bytes.
    pub bytes: u64,
    /// Whether it has all of its payload.
    pub is_whole: bool,
    /// Whether another record has its payload.
    pub is_revisit: bool,
    /// The byte at which it begins, from where that begins which was appended with it.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// Why a file must be fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MarkReason {
    /// It is missing.
    Missing,
    /// Its length or digest differs.
    Changed,
}

/// The fields of an entry that loading a manifest needs; they borrow from the line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct EntrySummary<'a> {
    /// The kind of entry.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// The hash of the URL.
    pub id: HexSha256,
    /// The path of the file, relative to the directory, with `/`.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
}

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EntryKind {
    /// [`ManifestEntry::Saved`].
    Saved,
    /// [`ManifestEntry::Partial`].
    Partial,
    /// [`ManifestEntry::Marked`].
    Marked,
    /// [`ManifestEntry::Dropped`].
    Dropped,
    /// [`ManifestEntry::Archived`].
    Archived,
    /// [`ManifestEntry::Appended`].
    Appended,
}

/// A SHA-256 (FIPS 180-4), printed and serialized as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct HexSha256(pub [u8; 32]);

impl HexSha256 {
    /// Hashes these bytes.
    pub(crate) fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for HexSha256 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0).fmt(out)
    }
}

impl Serialize for HexSha256 {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(HEXLOWER.encode_mut_str(&self.0, &mut [0; 64]))
    }
}

impl<'de> Deserialize<'de> for HexSha256 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(HexDigits)
    }
}

/// Parses 64 hexadecimal digits without copying them.
struct HexDigits;

impl de::Visitor<'_> for HexDigits {
    type Value = HexSha256;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("64 hexadecimal digits")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<HexSha256, E> {
        let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
        let mut hash = [0; 32];
        if text.len() != 2 * hash.len() {
            return Err(wrong());
        }
        HEXLOWER_PERMISSIVE.decode_mut(text.as_bytes(), &mut hash).map_err(|_| wrong())?;
        Ok(HexSha256(hash))
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn truncated<S: Serializer>(url: &str, out: S) -> Result<S::Ok, S::Error> {
    if url.len() <= MAX_URL {
        return out.serialize_str(url);
    }
    out.serialize_str(&format!("{}…", &url[..url.floor_char_boundary(MAX_URL)]))
}

/// A truncated validator would be a wrong one, so a long one is left out.
fn unless_too_long<S: Serializer>(
    validator: &Option<Cow<'_, str>>,
    out: S,
) -> Result<S::Ok, S::Error> {
    validator.as_deref().filter(|text| text.len() <= MAX_VALIDATOR).serialize(out)
}

/// Serializes times as RFC 3339, UTC.
pub(super) mod rfc3339_time {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::model::rfc3339;

    pub(in crate::store) fn serialize<S: Serializer>(
        moment: &SystemTime,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        rfc3339(*moment).serialize(out)
    }

    pub(in crate::store) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        let timestamp: jiff::Timestamp = text.parse().map_err(de::Error::custom)?;
        timestamp.try_into().map_err(de::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;

    fn a_moment() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_767_225_600_123)
    }

    /// One entry of every kind, with all that they can hold.
    pub(crate) fn every_entry() -> [ManifestEntry<'static>; 3] {
        let (url, id) = ("https://a.test/a/b?q=\"ü\"".into(), HexSha256::of("https://a.test/a/b"));
        let saved = SavedEntry {
            url,
            id,
            path: "a.test/a/b\n\u{2028}\"".into(),
            bytes: u64::MAX,
            etag: Some("W/\"x\"".into()),
            last_modified: Some("Thu, 01 Jan 2026 00:00:00 GMT".into()),
            sha256: Some(HexSha256::of("body")),
            digest: Some("blake3=00ff".into()),
            listed_id: Some("17".into()),
            carried: CarriedColumns::parse("{\"caption\":\"a \\\"b\\\"\",\"n\":1}"),
            replaces: true,
            object_etag: Some("\"x\"".into()),
            saved_at: a_moment(),
        };
        let partial = PartialEntry {
            url: saved.url.clone(),
            id,
            mirror: Some(id),
            from: Some("https://b.test/a".into()),
            path: "a.test/a/b".into(),
            part: "a.test/a/.b.part".into(),
            etag: saved.etag.clone(),
            last_modified: saved.last_modified.clone(),
            length: Some(7),
            split: Some(SplitEntry {
                etag: saved.etag.clone(),
                last_modified: None,
                spans: vec![(0, 2), (5, 7)].into(),
            }),
            replaces: false,
            started_at: a_moment(),
        };
        let marked = MarkedEntry {
            path: "a.test/a/b".into(),
            id,
            target: None,
            why: MarkReason::Changed,
            marked_at: a_moment(),
        };
        [
            ManifestEntry::Saved(saved),
            ManifestEntry::Partial(partial),
            ManifestEntry::Marked(marked),
        ]
    }

    pub(crate) fn saved() -> SavedEntry<'static> {
        let [ManifestEntry::Saved(saved), ..] = every_entry() else { panic!("it is the first") };
        saved
    }

    #[test]
    fn an_entry_reads_as_one_flat_object_that_names_its_type_first() {
        let [.., marked] = every_entry();
        let text = serde_json::to_string(&marked).unwrap();
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = json!({
            "type": "marked", "path": "a.test/a/b", "id": HexSha256::of("https://a.test/a/b").to_string(), "why": "changed",
            "marked_at": "2026-01-01T00:00:00.123Z",
        });
        assert_eq!(object, expected);
        assert!(text.starts_with("{\"type\":\"marked\","));
    }

    #[test]
    fn a_hash_is_written_as_its_digits_and_read_in_either_case() {
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(HexSha256::of("abc").to_string(), digits);
        assert_eq!(serde_json::to_value(HexSha256::of("abc")).unwrap(), digits);
        for text in [digits.to_owned(), digits.to_uppercase()] {
            assert_eq!(
                serde_json::from_value::<HexSha256>(text.into()).unwrap(),
                HexSha256::of("abc")
            );
        }
        for wrong in ["", &digits[1..], &digits.replace('b', "g")] {
            assert!(serde_json::from_value::<HexSha256>(wrong.into()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_missing_is_none_and_what_is_not_known_is_passed_over() {
        let id = HexSha256::of("").to_string();
        let line = json!({
            "type": "partial", "url": "http://a.test/", "id": id, "path": "a", "part": "a.part",
            "started_at": "2026-01-01T00:00:00Z", "spans": [[0, 7]], "mood": {"good": true},
        });
        let ManifestEntry::Partial(partial) = serde_json::from_str(&line.to_string()).unwrap()
        else {
            panic!("it is partial");
        };
        assert_eq!((partial.etag, partial.last_modified, partial.length), (None, None, None));
        assert_eq!(partial.started_at, UNIX_EPOCH + Duration::from_secs(1_767_225_600));
    }

    #[test]
    fn a_brief_entry_borrows_its_path_from_the_line() {
        let line = serde_json::to_string(&every_entry()[1]).unwrap();
        let brief: EntrySummary<'_> = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (brief.kind, brief.id),
            (EntryKind::Partial, HexSha256::of("https://a.test/a/b"))
        );
        assert!(matches!(brief.path, Cow::Borrowed("a.test/a/b")));
    }

    #[test]
    fn what_a_server_sends_too_long_is_left_out_and_a_long_url_is_cut() {
        let whole = SavedEntry {
            url: "é".repeat(MAX_URL).into(),
            etag: Some("e".repeat(MAX_VALIDATOR + 1).into()),
            last_modified: Some("m".repeat(MAX_VALIDATOR).into()),
            ..saved()
        };
        let text = serde_json::to_string(&whole).unwrap();
        let back: SavedEntry<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(back.url, format!("{}…", "é".repeat(MAX_URL / 2)));
        assert_eq!((back.etag, back.last_modified), (None, whole.last_modified));
    }
}
