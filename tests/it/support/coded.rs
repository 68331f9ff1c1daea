//! Bodies in a content coding.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// One member of gzip.
pub fn gzip(body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// Brotli, at a quality that is quick, with the largest window.
pub fn brotli(body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut coded = Vec::new();
    let parameters =
        brotli::enc::BrotliEncoderParams { quality: 2, lgwin: 24, ..Default::default() };
    brotli::BrotliCompress(&mut body.as_ref(), &mut coded, &parameters).unwrap();
    coded
}

/// Zstandard.
pub fn zstd(body: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(body.as_ref(), 0).unwrap()
}
