//! Decompresses input files, gzip or zstd, which are recognized by their first bytes. A file may consist of several gzip
//! members or zstd frames.

use std::io::{self, Chain, Cursor, ErrorKind, Read};

/// The size of a read while the coding is not known, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// The maximum window of zstd, as a power of two: 128 MiB, which no compression level exceeds.
const MAX_WINDOW_LOG: u32 = 27;

/// Reads the content of a file, decompressed if it is compressed.
pub(crate) struct DecodedReader(DecoderState);

enum DecoderState {
    /// Nothing has been read yet; standard input may not send anything for a long time.
    Unread(Box<dyn Read + Send>),
    /// It is not compressed.
    Plain(Box<dyn Read + Send>),
    /// It is compressed.
    Compressed { decoder: Box<dyn Read + Send>, coding: FileCoding, progress: DecoderProgress },
    /// The decoder could not be created; reads return end of file.
    Broken,
}

/// What a decoder has returned so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DecoderProgress {
    Nothing,
    Bytes,
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileCoding {
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl FileCoding {
    /// The first bytes of a file, with a mask for the first byte. zstd also has skippable frames, whose first byte is one of
    /// 16 (RFC 8878 section 3.1.2); files of tools that compress in blocks begin with one.
    const MAGIC: [(Self, u8, &[u8]); 3] = [
        (Self::Gzip, 0xff, b"\x1f\x8b\x08"),
        (Self::Zstd, 0xff, b"\x28\xb5\x2f\xfd"),
        (Self::Zstd, 0xf0, b"\x50\x2a\x4d\x18"),
    ];

    /// The coding of a file that begins with these bytes.
    fn of(start: &[u8]) -> Option<Self> {
        let is_whole = |magic: &[u8]| start.len() >= magic.len();
        let mut all = Self::MAGIC.into_iter();
        all.find(|(_, mask, magic)| is_whole(magic) && has_prefix(start, *mask, magic))
            .map(|(coding, ..)| coding)
    }

    /// Whether more bytes are needed to determine the coding.
    fn needs_more(start: &[u8]) -> bool {
        let is_part = |magic: &[u8]| start.len() < magic.len();
        Self::MAGIC
            .into_iter()
            .any(|(_, mask, magic)| is_part(magic) && has_prefix(start, mask, magic))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The extension of a compressed file's name, with its dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// Compresses these bytes to one member or frame; several of them in a row are a valid file.
    ///
    /// # Errors
    /// Those of the library.
    pub(crate) fn encode(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoded = Vec::new();
                flate2::read::GzEncoder::new(bytes, flate2::Compression::default())
                    .read_to_end(&mut encoded)?;
                Ok(encoded)
            }
            Self::Zstd => zstd::encode_all(bytes, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }

    fn decoder(self, bytes: ProbedFile) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(bytes)?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// Whether the shorter of the two is a prefix of the other; of the first byte, only the bits of `mask` are compared.
fn has_prefix(start: &[u8], mask: u8, magic: &[u8]) -> bool {
    let masks = std::iter::once(mask).chain(std::iter::repeat(0xff));
    start.iter().zip(magic).zip(masks).all(|((byte, known), mask)| byte & mask == *known)
}

/// The bytes that were read to determine the coding, and the rest of the file.
type ProbedFile = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

impl DecodedReader {
    /// A reader of this file. Nothing is read yet.
    pub(crate) fn new(bytes: impl Read + Send + 'static) -> Self {
        Self(DecoderState::Unread(Box::new(bytes)))
    }

    /// The coding of the file; `None` if it is not compressed, or nothing has been read yet.
    pub(crate) fn coding(&self) -> Option<FileCoding> {
        match self.0 {
            DecoderState::Compressed { coding, .. } => Some(coding),
            _ => None,
        }
    }

    /// Determines the coding before the first read.
    fn begin(&mut self) -> io::Result<()> {
        let DecoderState::Unread(bytes) = &mut self.0 else { return Ok(()) };
        let mut start = Vec::new();
        // With a smaller buffer, a source that is a datagram socket would lose the rest of each message.
        let mut buffer = vec![0; CHUNK_BYTES];
        while start.is_empty() || FileCoding::needs_more(&start) {
            match bytes.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => start.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let DecoderState::Unread(bytes) = std::mem::replace(&mut self.0, DecoderState::Broken)
        else {
            return Ok(());
        };
        let coding = FileCoding::of(&start);
        let bytes = Cursor::new(start).chain(bytes);
        self.0 = match coding {
            None => DecoderState::Plain(Box::new(bytes)),
            Some(coding) => {
                let (decoder, progress) = (coding.decoder(bytes)?, DecoderProgress::Nothing);
                DecoderState::Compressed { decoder, coding, progress }
            }
        };
        Ok(())
    }
}

impl Read for DecodedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.begin()?;
        match &mut self.0 {
            DecoderState::Plain(bytes) => bytes.read(buffer),
            DecoderState::Compressed { decoder, coding, progress } => {
                let length = decoder
                    .read(buffer)
                    .map_err(|error| decoding_error(error, *coding, *progress))?;
                if length > 0 {
                    *progress = DecoderProgress::Bytes;
                }
                Ok(length)
            }
            DecoderState::Unread(_) | DecoderState::Broken => Ok(0),
        }
    }
}

/// The error of a file that cannot be decompressed; an error of its source is returned unchanged.
fn decoding_error(error: io::Error, coding: FileCoding, progress: DecoderProgress) -> io::Error {
    let (coding, text) = (coding.name(), error.to_string());
    // The messages of the libraries if a member or frame does not begin where it should.
    let is_no_beginning =
        text == "invalid gzip header" || text.contains("Unknown frame descriptor");
    match error.kind() {
        _ if is_no_beginning && progress == DecoderProgress::Bytes => {
            io::Error::other(format!("other data follows the {coding} data"))
        }
        ErrorKind::UnexpectedEof => io::Error::other(format!("the {coding} data ends early")),
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other => {
            io::Error::other(format!("the {coding} data is damaged ({error})"))
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that returns one byte per read.
    struct Slow(Cursor<Vec<u8>>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    fn decoded(bytes: impl Into<Vec<u8>>) -> io::Result<String> {
        let mut text = String::new();
        DecodedReader::new(Slow(Cursor::new(bytes.into()))).read_to_string(&mut text)?;
        Ok(text)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder =
            flate2::read::GzEncoder::new(text.as_bytes(), flate2::Compression::fast());
        let mut bytes = Vec::new();
        encoder.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn several_members_are_one_file_and_what_is_not_compressed_stays() {
        for text in ["", "a", "\u{1f}\n", "(\n", "P", "P*M\n", "http://a.b/\n"] {
            assert_eq!(decoded(text).unwrap(), text);
        }
        assert_eq!(
            decoded([gzip("http://"), gzip(""), gzip("a.b\n")].concat()).unwrap(),
            "http://a.b\n"
        );
        let frame = |text: &str| zstd::encode_all(text.as_bytes(), 3).unwrap();
        assert_eq!(decoded([frame("http://"), frame("a.b\n")].concat()).unwrap(), "http://a.b\n");
        for first in 0x50..=0x5f {
            let passed_over = [&[first, 0x2a, 0x4d, 0x18, 3, 0, 0, 0], &b"abc"[..]].concat();
            let file = [&passed_over[..], &frame("http://a.b\n"), &passed_over].concat();
            assert_eq!(decoded(file).unwrap(), "http://a.b\n");
        }
    }

    #[test]
    fn damage_is_an_error_that_names_the_compression() {
        let whole = gzip("http://a.b\n");
        let message = |bytes: &[u8]| decoded(bytes).unwrap_err().to_string();
        assert_eq!(message(&whole[..whole.len() - 1]), "the gzip data ends early");
        let mut wrong = whole.clone();
        wrong[whole.len() - 5] ^= 1;
        assert!(message(&wrong).starts_with("the gzip data is damaged"), "{}", message(&wrong));
        let frame = zstd::encode_all(&b"http://a.b\n"[..], 3).unwrap();
        assert_eq!(message(&frame[..frame.len() - 1]), "the zstd data ends early");
        for (whole, coding) in [(whole, "gzip"), (frame, "zstd")] {
            let followed = [&whole[..], b"http://c.d/ and more\n"].concat();
            assert_eq!(message(&followed), format!("other data follows the {coding} data"));
        }
    }
}
