//! Fuzz targets for digest headers and checksum files.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{ChecksumFile, claims};

/// Input: header fields, one per line. The number of claims is bounded, and each digest is unchanged after it was written
/// and parsed.
pub fn digest_fields(data: &[u8]) {
    let mut fields = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(100) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line[colon..].get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    let claims = claims(&fields);
    assert!(claims.len() <= 16);
    for claim in claims {
        assert_eq!(claim.digest.to_string().parse(), Ok(claim.digest));
        assert!(fields.contains_key(claim.field), "{}", claim.field);
    }
}

/// Input: a checksum file. Its content, repeated, is parsed to the same result, and an error message has no control
/// characters.
pub fn checksum_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.ends_with('\r') {
        // Followed by a newline, it would no longer be part of a name.
        return;
    }
    match ChecksumFile::parse(&text) {
        Ok(sums) => {
            let twice = format!("{text}\n{}", text.strip_prefix('\u{feff}').unwrap_or(&text));
            assert_eq!(ChecksumFile::parse(&twice), Ok(sums));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
    }
}
