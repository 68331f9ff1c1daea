//! Digest claims: the digests that response headers claim for the body.
//!
//! Every claim refers to the bytes as they are sent, with the Content-Encoding applied and the transfer coding removed,
//! never to the decoded body. A claim that is invalid or unreliable is ignored.

use data_encoding::BASE64;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_RANGE};
use sfv::{Dictionary, ListEntry, Parser};

use super::{Algorithm, Digest};

/// The maximum number of claims of one response.
const MAX_CLAIMS: usize = 16;

/// The maximum length of one header in bytes, all its lines together; longer ones are ignored.
const MAX_FIELD_BYTES: usize = 4096;

/// A digest that a response claims for its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DigestClaim {
    /// The digest.
    pub digest: Digest,
    /// The bytes that the claim refers to.
    pub of: ClaimScope,
    /// The name of the header, in its usual spelling.
    pub field: &'static str,
}

/// The bytes that a claim refers to. Unless the response is partial (206), both are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClaimScope {
    /// The content of the message (RFC 9110 section 6.4): for a 206, the range.
    Content,
    /// The whole selected representation (RFC 9110 section 8.1), even if the message contains only a range of it.
    Representation,
}

/// Collects the claims of a response, in this order: `Repr-Digest`, `Content-Digest`, `x-goog-hash`,
/// `x-amz-checksum-…`, `x-ms-blob-content-md5`, `Content-MD5`. Returns at most 16 claims, and ignores headers longer
/// than 4 KiB. Contradictory claims are all returned, so that the check of the body fails.
pub(crate) fn claims(fields: &HeaderMap) -> Vec<DigestClaim> {
    if !fields.keys().any(|name| may_claim(name.as_str())) {
        return Vec::new();
    }
    let mut claims = Vec::new();
    claims.extend(dictionary(fields, "Repr-Digest", ClaimScope::Representation));
    claims.extend(dictionary(fields, "Content-Digest", ClaimScope::Content));
    claims.extend(google(fields));
    claims.extend(amazon(fields));
    claims.extend(azure(fields));
    claims.extend(content_md5(fields));
    claims.truncate(MAX_CLAIMS);
    claims
}

/// Whether a header may contain claims. Most responses have no such header, and are not parsed further.
fn may_claim(field: &str) -> bool {
    let names =
        ["repr-digest", "content-digest", "x-goog-hash", "x-ms-blob-content-md5", "content-md5"];
    names.contains(&field) || field.starts_with("x-amz-checksum-")
}

/// The claims of RFC 9530: `sha-256=:BASE64:, sha-512=:BASE64:`, a dictionary of RFC 9651. A malformed dictionary is
/// ignored as a whole (RFC 9651 section 4.2). All algorithms except the two that are not deprecated (RFC 9530 section 7.2)
/// are ignored, as its section 5 requires: they are weak, or have other names than here.
fn dictionary(fields: &HeaderMap, field: &'static str, of: ClaimScope) -> Vec<DigestClaim> {
    let text = lines(fields, field).join(&b", "[..]);
    let Ok(members) = Parser::new(&text).parse::<Dictionary>() else { return Vec::new() };
    let claim = |algorithm: Algorithm| {
        let ListEntry::Item(item) = members.get(algorithm.name())? else { return None };
        let digest = Digest::new(algorithm, item.bare_item.as_byte_sequence()?)?;
        Some(DigestClaim { digest, of, field })
    };
    [Algorithm::Sha256, Algorithm::Sha512].into_iter().filter_map(claim).collect()
}

/// The claims of Google Cloud Storage (XML API, "HTTP headers"): `x-goog-hash: crc32c=BASE64, md5=BASE64`, possibly on
/// several lines. They refer to the object as it is stored.
fn google(fields: &HeaderMap) -> Vec<DigestClaim> {
    const FIELD: &str = "x-goog-hash";
    if !is_sent_as_stored(fields) {
        return Vec::new();
    }
    let members =
        lines(fields, FIELD).into_iter().flat_map(|line| line.split(|byte| *byte == b','));
    let claim = |member: &[u8]| {
        let (name, text) = str::from_utf8(member).ok()?.split_once('=')?;
        let algorithm = [Algorithm::Crc32c, Algorithm::Md5]
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name.trim()))?;
        Some(DigestClaim {
            digest: parse_base64(algorithm, text)?,
            of: ClaimScope::Representation,
            field: FIELD,
        })
    };
    members.filter_map(claim).take(MAX_CLAIMS).collect()
}

/// Whether Google sends an object in the coding in which it is stored. For clients that do not accept gzip, it decodes
/// objects that are stored with gzip, but still sends the hash of the stored bytes (Google Cloud Storage, "Transcoding of
/// gzip-compressed files").
fn is_sent_as_stored(fields: &HeaderMap) -> bool {
    let coding = |field: &str| {
        let text = lines(fields, field).join(&b","[..]).trim_ascii().to_ascii_lowercase();
        Some(text).filter(|coding| !coding.is_empty() && coding != b"identity")
    };
    !fields.contains_key("x-goog-stored-content-encoding")
        || coding("x-goog-stored-content-encoding") == coding(CONTENT_ENCODING.as_str())
}

/// The claims of Amazon S3 (User Guide, "Checking object integrity"): `x-amz-checksum-sha256: BASE64`, of the object. A
/// composite checksum (`BASE64-N`, or according to `x-amz-checksum-type`) is computed from the checksums of the parts. In
/// a response to a range request, the header may contain the checksum of an uploaded part with exactly this range, or an
/// unmarked composite one (seen in 2025). All of these are ignored.
fn amazon(fields: &HeaderMap) -> Vec<DigestClaim> {
    const FIELDS: [(&str, Algorithm); 5] = [
        ("x-amz-checksum-sha256", Algorithm::Sha256),
        ("x-amz-checksum-sha1", Algorithm::Sha1),
        ("x-amz-checksum-crc32", Algorithm::Crc32),
        ("x-amz-checksum-crc32c", Algorithm::Crc32c),
        ("x-amz-checksum-crc64nvme", Algorithm::Crc64Nvme),
    ];
    let is_composite = lines(fields, "x-amz-checksum-type")
        .iter()
        .any(|kind| !kind.trim_ascii().eq_ignore_ascii_case(b"FULL_OBJECT"));
    if is_composite || fields.contains_key(CONTENT_RANGE) {
        return Vec::new();
    }
    let claim =
        |(field, algorithm)| single_digests(fields, field, algorithm, ClaimScope::Representation);
    FIELDS.into_iter().flat_map(claim).collect()
}

/// The claim of Azure Blob Storage ("Get Blob"): the MD5 of the whole blob, even in a response to a range request.
fn azure(fields: &HeaderMap) -> Vec<DigestClaim> {
    single_digests(fields, "x-ms-blob-content-md5", Algorithm::Md5, ClaimScope::Representation)
}

/// The Content-MD5 claim (RFC 2616 section 14.15). It was removed from HTTP because servers interpreted it differently in
/// a 206 (RFC 7231 appendix B), where it is ignored.
fn content_md5(fields: &HeaderMap) -> Vec<DigestClaim> {
    if fields.contains_key(CONTENT_RANGE) {
        return Vec::new();
    }
    single_digests(fields, "Content-MD5", Algorithm::Md5, ClaimScope::Content)
}

/// The claims of a header whose lines each consist of one digest in base64.
fn single_digests(
    fields: &HeaderMap,
    field: &'static str,
    algorithm: Algorithm,
    of: ClaimScope,
) -> Vec<DigestClaim> {
    let claim = |line: &[u8]| {
        let digest = parse_base64(algorithm, str::from_utf8(line).ok()?)?;
        Some(DigestClaim { digest, of, field })
    };
    lines(fields, field).into_iter().filter_map(claim).take(MAX_CLAIMS).collect()
}

/// Parses a digest in padded base64 (RFC 4648 section 4); `None` if it is invalid.
fn parse_base64(algorithm: Algorithm, text: &str) -> Option<Digest> {
    let text = text.trim();
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    // The library also accepts several padded texts in a row.
    let is_single =
        BASE64.encode_len(bytes.len()) == text.len() && !text.trim_end_matches('=').contains('=');
    Digest::new(algorithm, &bytes).filter(|_| is_single)
}

/// The lines of a header; none if they are too long.
fn lines<'a>(fields: &'a HeaderMap, field: &str) -> Vec<&'a [u8]> {
    let lines: Vec<_> = fields.get_all(field).iter().map(|line| line.as_bytes()).collect();
    let length: usize = lines.iter().map(|line| line.len()).sum();
    if length > MAX_FIELD_BYTES { Vec::new() } else { lines }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    // The digests of `hello`.
    const SHA256: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    const SHA512: &str =
        "m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==";
    const SHA1: &str = "qvTGHdzF6KLavt4PO0gs2a6pQ00=";
    const MD5: &str = "XUFAKrxLKna5cZ2REBfFkg==";
    const CRC32: &str = "NhCmhg==";
    const CRC32C: &str = "mnG7TA==";
    const CRC64NVME: &str = "M3eFcAZSQlc=";

    fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&str, &str)| {
            let name: HeaderName = name.to_ascii_lowercase().parse().unwrap();
            (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        let mut fields = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            fields.append(name, value);
        }
        fields
    }

    /// The claims as `field: algorithm of scope`, after checking that they are correct for `hello`.
    fn claims_of(lines: &[(&str, &str)]) -> Vec<String> {
        let claims = claims(&fields(lines));
        claims
            .iter()
            .map(|DigestClaim { digest, of, field }| {
                let mut hasher = crate::digest::Hasher::new(digest.algorithm());
                hasher.update(b"hello");
                assert_eq!(hasher.finish(), *digest, "{field}");
                format!("{field}: {} of {of:?}", digest.algorithm().name())
            })
            .collect()
    }

    fn assert_no_claims(lines: &[(&str, &str)]) {
        assert_eq!(claims(&fields(lines)), [], "{lines:?}");
    }

    #[test]
    fn the_fields_of_rfc_9530_are_heard() {
        let both = format!("sha-512=:{SHA512}:, sha-256=:{SHA256}:");
        assert_eq!(
            claims_of(&[("Repr-Digest", &both), ("Content-Digest", &both)]),
            [
                "Repr-Digest: sha-256 of Representation",
                "Repr-Digest: sha-512 of Representation",
                "Content-Digest: sha-256 of Content",
                "Content-Digest: sha-512 of Content",
            ]
        );
    }

    #[test]
    fn a_dictionary_on_several_lines_is_one() {
        let (first, second) = (format!("sha-256=:{SHA256}:"), format!("sha-512=:{SHA512}:;x=1"));
        let lines = [("Content-Digest", first.as_str()), ("Content-Digest", &second)];
        assert_eq!(
            claims_of(&lines),
            ["Content-Digest: sha-256 of Content", "Content-Digest: sha-512 of Content"]
        );
        assert_no_claims(&[("Content-Digest", &first), ("Content-Digest", "sha-512=:")]);
    }

    #[test]
    fn what_rfc_9530_deprecates_and_what_is_not_known_is_passed_over() {
        let text = format!(
            "md5=:{MD5}:, sha=:{SHA1}:, crc32c=:{CRC32C}:, unixsum=:AAE=:, unixcksum=:AAE=:, adler=:{CRC32}:, \
             sha-256=:{SHA256}:, id-sha-256=:{SHA256}:, sha-999=:AA==:, blake3=:{SHA256}:, word, list=(1 2)"
        );
        assert_eq!(
            claims_of(&[("Repr-Digest", &text)]),
            ["Repr-Digest: sha-256 of Representation"]
        );
    }

    #[test]
    fn a_malformed_dictionary_is_passed_over_whole() {
        let good = format!("sha-256=:{SHA256}:");
        for bad in [
            format!("{good},"),
            format!("{good} sha-512=:{SHA512}:"),
            format!("{good}, sha-512=:{SHA512}"),
            format!("{good}, sha-512=:not base64:"),
            format!("{good}, SHA-512=:{SHA512}:"),
            format!("{good}, sha-512="),
            format!("{good}, \u{e9}"),
            format!("sha-256={SHA256}"),
        ] {
            assert_no_claims(&[("Repr-Digest", &bad)]);
        }
    }

    #[test]
    fn a_member_that_is_no_digest_of_its_algorithm_says_nothing() {
        for bad in ["sha-256=10", "sha-256", "sha-256=:AAAA:", "sha-256=::", "sha-256=(:AAAA:)"] {
            let text = format!("{bad}, sha-512=:{SHA512}:");
            let found = claims_of(&[("Repr-Digest", &text)]);
            assert_eq!(found, ["Repr-Digest: sha-512 of Representation"], "{bad}");
        }
    }

    #[test]
    fn the_hashes_of_google_are_heard_joined_and_on_lines_of_their_own() {
        let (crc, md5) = (format!("crc32c={CRC32C}"), format!("md5={MD5}"));
        let expected =
            ["x-goog-hash: crc32c of Representation", "x-goog-hash: md5 of Representation"];
        assert_eq!(claims_of(&[("x-goog-hash", &format!("{crc},{md5}"))]), expected);
        assert_eq!(claims_of(&[("x-goog-hash", &format!("{crc} , {md5}"))]), expected);
        assert_eq!(claims_of(&[("x-goog-hash", &crc), ("x-goog-hash", &md5)]), expected);
        let mixed = format!("crc32={CRC32},new=AAAA,,crc32c=AA,{md5},md5=-");
        assert_eq!(claims_of(&[("x-goog-hash", &mixed)]), expected[1..]);
    }

    #[test]
    fn a_hash_of_google_is_not_believed_where_the_store_has_changed_the_coding() {
        let hash = format!("md5={MD5}");
        let lines = |stored, sent: Option<&'static str>| {
            let mut lines =
                vec![("x-goog-hash", hash.as_str()), ("x-goog-stored-content-encoding", stored)];
            lines.extend(sent.map(|sent| ("Content-Encoding", sent)));
            lines
        };
        for (stored, sent) in
            [("identity", None), ("gzip", Some("gzip")), ("GZIP", Some(" gzip")), ("", None)]
        {
            assert_eq!(claims_of(&lines(stored, sent)).len(), 1, "{stored} {sent:?}");
        }
        for (stored, sent) in [("gzip", None), ("identity", Some("gzip")), ("gzip", Some("br"))] {
            assert_no_claims(&lines(stored, sent));
        }
        assert_eq!(claims_of(&[("x-goog-hash", &hash), ("Content-Encoding", "gzip")]).len(), 1);
    }

    #[test]
    fn the_checksums_of_amazon_are_heard() {
        let mut lines = vec![
            ("x-amz-checksum-crc32c", CRC32C),
            ("x-amz-checksum-crc32", CRC32),
            ("x-amz-checksum-sha1", SHA1),
            ("x-amz-checksum-sha256", SHA256),
            ("x-amz-checksum-crc64nvme", CRC64NVME),
        ];
        let expected = [
            "x-amz-checksum-sha256: sha-256 of Representation",
            "x-amz-checksum-sha1: sha-1 of Representation",
            "x-amz-checksum-crc32: crc32 of Representation",
            "x-amz-checksum-crc32c: crc32c of Representation",
            "x-amz-checksum-crc64nvme: crc64nvme of Representation",
        ];
        assert_eq!(claims_of(&lines), expected);
        lines.push(("x-amz-checksum-type", "FULL_OBJECT"));
        assert_eq!(claims_of(&lines), expected);
    }

    #[test]
    fn a_composite_checksum_of_amazon_and_that_of_a_part_are_passed_over() {
        let of_parts = format!("{CRC32}-7");
        assert_no_claims(&[("x-amz-checksum-crc32", &of_parts)]);
        let plain = ("x-amz-checksum-crc32", CRC32);
        assert_no_claims(&[plain, ("x-amz-checksum-type", "COMPOSITE")]);
        assert_no_claims(&[plain, ("Content-Range", "bytes 0-4/5")]);
    }

    #[test]
    fn the_md5_of_a_blob_is_of_the_whole_and_that_of_a_message_of_what_it_carries() {
        let lines = [("Content-MD5", MD5), ("x-ms-blob-content-md5", MD5)];
        let whole = "x-ms-blob-content-md5: md5 of Representation";
        assert_eq!(claims_of(&lines), [whole, "Content-MD5: md5 of Content"]);
        let part = ("Content-Range", "bytes 0-4/10");
        assert_eq!(claims_of(&[lines[0], lines[1], part]), [whole]);
    }

    #[test]
    fn a_digest_that_cannot_be_read_is_passed_over() {
        for bad in [
            "",
            "AAAA",
            "XUFAKrxLKna5cZ2REBfFkg",
            "5d41402abc4b2a76b9719d911017c592",
            "\u{e9}",
            "AA==AAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_no_claims(&[("Content-MD5", bad)]);
        }
    }

    #[test]
    fn contradicting_claims_are_all_kept() {
        let other = "AAAAAAAAAAAAAAAAAAAAAA==";
        let claims = claims(&fields(&[("Content-MD5", MD5), ("Content-MD5", other)]));
        assert_eq!(claims.len(), 2);
        assert_ne!(claims[0].digest, claims[1].digest);
    }

    #[test]
    fn neither_many_claims_nor_long_fields_are_heard() {
        let hash = format!("md5={MD5}");
        assert_eq!(claims_of(&vec![("x-goog-hash", hash.as_str()); 40]).len(), MAX_CLAIMS);
        assert_no_claims(&vec![("x-goog-hash", hash.as_str()); 4000]);
        let long = format!("sha-256=:{SHA256}:;x=\"{}\"", "y".repeat(MAX_FIELD_BYTES));
        assert_no_claims(&[("Repr-Digest", &long)]);
    }

    proptest! {
        #[test]
        fn no_field_whatever_is_in_it_gives_more_than_the_bound(
            texts in prop::collection::vec("[ -~]{0,60}|(sha-256=:[A-Za-z0-9+/]{43}=:[,;a]{0,2}){1,2}", 0..4),
            field in prop::sample::select(vec!["Repr-Digest", "x-goog-hash", "Content-MD5"]),
        ) {
            let lines: Vec<_> = texts.iter().map(|text| (field, text.as_str())).collect();
            prop_assert!(claims(&fields(&lines)).len() <= MAX_CLAIMS);
        }
    }
}
