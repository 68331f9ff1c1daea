//! Fuzz targets for header fields with digests, and checksum files.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{ChecksumFile, claims};

/// Header fields, one a line: no more claims than are allowed, each a digest that is written and read as it is.
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

/// A checksum file: what it says does not depend on how its lines end, and it says the same twice.
pub fn checksum_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.ends_with('\r') {
        // With the end of a line behind it, it is no part of a name.
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
