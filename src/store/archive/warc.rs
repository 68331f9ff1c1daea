//! The records of a WARC file (ISO 28500, version 1.1), each a gzip member of its own.

use std::fmt::Write as _;
use std::io;
use std::time::SystemTime;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::gzip::{CompressorPool, HeadCoding, combine_crc, end_of_member};
use super::unit::{AppendUnit, Piece};
use crate::model::{
    CapturedBody, CapturedEnd, CapturedExchange, CapturedHeads, HttpVersion, Record,
    TruncationReason, rfc3339,
};
use crate::store::entry::{HexSha256, RecordEntry};

/// The profile of a revisit record whose body is in another record.
const IDENTICAL: &str = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest";

/// The profile of a revisit record of a body that has not changed.
const NOT_MODIFIED: &str = "http://netpreserve.org/warc/1.1/revisit/server-not-modified";

/// The prefix of a digest. The digits are hexadecimal, since readers do not agree on the padding of Base32.
pub(super) const DIGEST_LABEL: &str = "sha256:";

/// The initial capacity for the fixed fields of a record's head, in bytes; most heads need no more.
const HEAD_CAPACITY: usize = 512;

/// The standard that the files conform to.
const STANDARD: &str =
    "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/";

/// The form in which a reply is recorded.
#[derive(Debug, Clone, Copy)]
pub(super) enum RecordForm<'a> {
    /// With its body.
    Response,
    /// A revisit record without the body, which this earlier record has.
    Identical(&'a RecordEntry),
    /// A revisit record of a body that has not changed; this earlier record has it, if it still exists.
    NotModified(Option<&'a RecordEntry>),
}

/// The `warcinfo` record of a file of this name.
///
/// # Errors
/// If it cannot be compressed.
pub(super) fn file_info(pool: &CompressorPool, name: &str) -> io::Result<AppendUnit> {
    let block = format!(
        "software: {}\r\nformat: WARC File Format 1.1\r\nconformsTo: {STANDARD}\r\n",
        concat!("fetch/", env!("CARGO_PKG_VERSION"))
    );
    let common = RecordHead::common(SystemTime::now(), None);
    let mut head = RecordHead::new("warcinfo", &new_id(), &common);
    head.field("WARC-Filename", name);
    head.field("WARC-Block-Digest", &digest_value(&Sha256::digest(&block)));
    let content = head.with_block("application/warc-fields", block.as_bytes());
    Ok(AppendUnit::of([Piece::Bytes(pool.member(&content, HeadCoding::Deflated)?)]))
}

/// The records of a request and its reply. Returns what the manifest keeps of the reply too, with its place in the unit.
///
/// # Errors
/// If they cannot be compressed.
pub(super) fn exchange(
    pool: &CompressorPool,
    exchange: CapturedExchange,
    form: RecordForm<'_>,
) -> io::Result<(AppendUnit, RecordEntry)> {
    let CapturedExchange { heads, body, ended } = exchange;
    let id = new_id();
    let coding = match form {
        RecordForm::Response => HeadCoding::beside(body.plain, body.length),
        RecordForm::Identical(_) | RecordForm::NotModified(_) => HeadCoding::Deflated,
    };
    let mut common = RecordHead::common(heads.at, Some(&heads.uri));
    if let Some(address) = heads.address {
        common.field("WARC-IP-Address", &address.to_string());
    }
    if heads.version == HttpVersion::Http2 {
        common.field("WARC-Protocol", "h2");
    }
    let request = pool.member(&request(&heads, &common, &id), coding)?;
    let offset = request.len() as u64;
    let mut record = RecordEntry {
        id: id.clone(),
        uri: heads.uri.clone(),
        at: heads.at,
        status: heads.status,
        media_type: heads.media_type.clone(),
        payload: digest_of(&body.payload),
        bytes: body.bytes,
        is_whole: ended == CapturedEnd::Whole,
        is_revisit: !matches!(form, RecordForm::Response),
        offset,
        length: 0,
    };
    let kind = if record.is_revisit { "revisit" } else { "response" };
    let mut head = RecordHead::new(kind, &id, &common);
    let mut unit = AppendUnit::of([Piece::Bytes(request)]);
    match form {
        RecordForm::Response => {
            head.field("WARC-Payload-Digest", &digest_value(&body.payload));
            head.field("WARC-Block-Digest", &digest_value(&body.block));
            if let Some(reason) = truncation(ended) {
                head.field("WARC-Truncated", reason);
            }
            let content = head.with_start_of_block(&heads.response, body.bytes);
            unit.push(Piece::Bytes(pool.start_member(&content, coding)?));
            let CapturedBody { crc, plain, length, data, .. } = body;
            unit.push(Piece::of(data, length));
            let crc = combine_crc(&content, crc, plain);
            let end = end_of_member(crc, content.len() as u64 + plain);
            unit.push(Piece::Bytes(end.to_vec()));
        }
        RecordForm::Identical(first) => {
            head.field("WARC-Profile", IDENTICAL);
            head.refers_to(first);
            head.field("WARC-Payload-Digest", &digest_value(&body.payload));
            unit.push(head_only(pool, head, &heads)?);
        }
        RecordForm::NotModified(first) => {
            head.field("WARC-Profile", NOT_MODIFIED);
            if let Some(first) = first {
                head.refers_to(first);
                head.field("WARC-Payload-Digest", &digest_value(&first.payload.0));
                record.payload = first.payload;
            }
            unit.push(head_only(pool, head, &heads)?);
        }
    }
    record.length = unit.length() - offset;
    Ok((unit, record))
}

/// The metadata record of a failed target. `reply` is the record of the reply to its last attempt, if there was one.
///
/// # Errors
/// If it cannot be compressed.
pub(super) fn failure(
    pool: &CompressorPool,
    record: &Record,
    reply: Option<&RecordEntry>,
) -> io::Result<Piece> {
    let mut block = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = write!(block, "{name}: {}\r\n", value.replace(['\r', '\n'], " "));
    };
    line("outcome", "failed");
    if let Some(error) = &record.error {
        line("errorClass", error.class.name());
        line("error", &error.message);
    }
    if let Some(status) = record.http_status {
        line("httpStatus", &status.to_string());
    }
    line("attempts", &record.attempts.to_string());
    let common = RecordHead::common(SystemTime::now(), Some(&record.url));
    let mut head = RecordHead::new("metadata", &new_id(), &common);
    if let Some(reply) = reply {
        head.field("WARC-Concurrent-To", &urn_of(&reply.id));
    }
    head.field("WARC-Block-Digest", &digest_value(&Sha256::digest(&block)));
    let content = head.with_block("application/warc-fields", block.as_bytes());
    Ok(Piece::Bytes(pool.member(&content, HeadCoding::Deflated)?))
}

fn request(heads: &CapturedHeads, common: &RecordHead, reply: &str) -> Vec<u8> {
    let mut head = RecordHead::new("request", &new_id(), common);
    head.field("WARC-Concurrent-To", &urn_of(reply));
    head.field("WARC-Block-Digest", &digest_value(&Sha256::digest(&heads.request)));
    head.with_block("application/http;msgtype=request", &heads.request)
}

/// A record whose block is only the head of a reply.
fn head_only(
    pool: &CompressorPool,
    mut head: RecordHead,
    heads: &CapturedHeads,
) -> io::Result<Piece> {
    head.field("WARC-Block-Digest", &digest_value(&Sha256::digest(&heads.response)));
    let content = head.with_block("application/http;msgtype=response", &heads.response);
    Ok(Piece::Bytes(pool.member(&content, HeadCoding::Deflated)?))
}

/// The head of a record.
struct RecordHead(String);

impl RecordHead {
    /// The fields that all records of one exchange have in common.
    fn common(at: SystemTime, url: Option<&str>) -> Self {
        let mut fields = Self(String::with_capacity(HEAD_CAPACITY + url.map_or(0, str::len)));
        fields.field("WARC-Date", &rfc3339(at));
        if let Some(url) = url {
            fields.field("WARC-Target-URI", url);
        }
        fields
    }

    /// The head of a record of this type, with the common fields; others may be added.
    fn new(kind: &str, id: &str, common: &Self) -> Self {
        let mut head = Self(String::with_capacity(HEAD_CAPACITY + common.0.len()));
        head.0.push_str("WARC/1.1\r\n");
        head.field("WARC-Type", kind);
        head.field("WARC-Record-ID", &urn_of(id));
        head.0.push_str(&common.0);
        head
    }

    fn field(&mut self, name: &str, value: &str) {
        for part in [name, ": ", value, "\r\n"] {
            self.0.push_str(part);
        }
    }

    fn refers_to(&mut self, record: &RecordEntry) {
        self.field("WARC-Refers-To", &urn_of(&record.id));
        self.field("WARC-Refers-To-Target-URI", &record.uri);
        self.field("WARC-Refers-To-Date", &rfc3339(record.at));
    }

    /// The record with this block.
    fn with_block(mut self, media_type: &str, block: &[u8]) -> Vec<u8> {
        self.field("Content-Type", media_type);
        self.field("Content-Length", &block.len().to_string());
        [self.0.as_bytes(), b"\r\n", block, b"\r\n\r\n"].concat()
    }

    /// The record of a reply up to its body, which has `bytes` bytes.
    fn with_start_of_block(mut self, head: &[u8], bytes: u64) -> Vec<u8> {
        self.field("Content-Type", "application/http;msgtype=response");
        self.field("Content-Length", &(head.len() as u64 + bytes).to_string());
        [self.0.as_bytes(), b"\r\n", head].concat()
    }
}

/// The value of WARC-Truncated.
fn truncation(ended: CapturedEnd) -> Option<&'static str> {
    match ended {
        CapturedEnd::Whole => None,
        CapturedEnd::CutOff | CapturedEnd::Broken(TruncationReason::Length) => Some("length"),
        CapturedEnd::Broken(TruncationReason::Time) => Some("time"),
        CapturedEnd::Broken(TruncationReason::Disconnect) => Some("disconnect"),
        CapturedEnd::Broken(TruncationReason::Unspecified) => Some("unspecified"),
    }
}

/// The value of a digest field with this SHA-256.
fn digest_value(digest: &[u8]) -> String {
    [DIGEST_LABEL, &HEXLOWER.encode(digest)].concat()
}

fn digest_of(bytes: &[u8]) -> HexSha256 {
    HexSha256(bytes.try_into().unwrap_or_default())
}

/// A random UUID (RFC 9562 section 5.4).
fn new_id() -> String {
    let bits = fastrand::u128(..);
    let bits = bits & !(0xf << 76) | 4 << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    let digits = HEXLOWER.encode(&bits.to_be_bytes());
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

fn urn_of(id: &str) -> String {
    ["<urn:uuid:", id, ">"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_random_uuid() {
        for _ in 0..100 {
            let id = new_id();
            let parts: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12]);
            assert_eq!(&id[14..15], "4", "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
        assert_ne!(new_id(), new_id());
    }
}
