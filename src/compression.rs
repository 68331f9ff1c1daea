//! Undoes the compression of an input file, gzip or zstd, which is recognized by its first bytes. Several members or
//! frames are one file.

use std::io::{self, Chain, Cursor, ErrorKind, Read};
use std::ops::RangeInclusive;

/// Bytes that are looked at first.
const CHUNK: usize = 16 * 1024;

/// The largest window of zstd, as a power of two: 128 MiB, which no level exceeds.
const WINDOW: u32 = 27;

/// The bytes of a file, not compressed.
pub(crate) struct DecodedReader(DecoderState);

enum DecoderState {
    /// Nothing has been read. Standard input may be silent for long.
    Unread(Box<dyn Read + Send>),
    /// It is not compressed.
    Plain(Box<dyn Read + Send>),
    /// It is compressed.
    Compressed { decoder: Box<dyn Read + Send>, coding: FileCoding, progress: DecoderProgress },
    /// It cannot be read.
    Broken,
}

/// What a decoder has returned.
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
    const ALL: [(Self, &[u8]); 2] =
        [(Self::Gzip, b"\x1f\x8b\x08"), (Self::Zstd, b"\x28\xb5\x2f\xfd")];

    /// The first byte of a frame that zstd passes over, of which there are 16, and the others (RFC 8878, section 3.1.2). What
    /// compresses in blocks puts one first.
    const SKIPPABLE: (RangeInclusive<u8>, &[u8]) = (0x50..=0x5f, b"\x2a\x4d\x18");

    /// The coding of a file that begins with these bytes.
    fn of(start: &[u8]) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|(_, magic)| start.starts_with(magic));
        let (first, others) = Self::SKIPPABLE;
        let is_skippable = || {
            start
                .split_first()
                .is_some_and(|(byte, rest)| first.contains(byte) && rest.starts_with(others))
        };
        known.map(|(coding, _)| coding).or_else(|| is_skippable().then_some(Self::Zstd))
    }

    /// Whether more bytes decide about these.
    fn is_open(start: &[u8]) -> bool {
        let begins = |magic: &[u8]| start.len() < magic.len() && magic.starts_with(start);
        let (first, others) = Self::SKIPPABLE;
        Self::ALL.into_iter().any(|(_, magic)| begins(magic))
            || start.split_first().is_some_and(|(byte, rest)| {
                first.contains(byte) && rest.len() < others.len() && others.starts_with(rest)
            })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// How the name of a compressed file ends.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// A member or frame of these bytes. Several of them are one file.
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

    fn decoder(self, bytes: Beginning) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(bytes)?;
                decoder.window_log_max(WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

/// The bytes that were looked at, and the rest.
type Beginning = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

impl DecodedReader {
    /// The file with these bytes. Nothing is read yet.
    pub(crate) fn new(bytes: impl Read + Send + 'static) -> Self {
        Self(DecoderState::Unread(Box::new(bytes)))
    }

    /// How it is compressed; `None` if it is not, or nothing has been read.
    pub(crate) fn coding(&self) -> Option<FileCoding> {
        match self.0 {
            DecoderState::Compressed { coding, .. } => Some(coding),
            _ => None,
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        let DecoderState::Unread(bytes) = &mut self.0 else { return Ok(()) };
        let mut start = Vec::new();
        // A read of fewer bytes would lose the rest of a message where the source is a socket of messages.
        let mut buffer = vec![0; CHUNK];
        while start.is_empty() || FileCoding::is_open(&start) {
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
                let length =
                    decoder.read(buffer).map_err(|error| damage(error, *coding, *progress))?;
                if length > 0 {
                    *progress = DecoderProgress::Bytes;
                }
                Ok(length)
            }
            DecoderState::Unread(_) | DecoderState::Broken => Ok(0),
        }
    }
}

/// The error of a file whose compressed data cannot be undone; an error of its source is left as it is.
fn damage(error: io::Error, coding: FileCoding, progress: DecoderProgress) -> io::Error {
    let (coding, text) = (coding.name(), error.to_string());
    // The words of the libraries about what should be the beginning of a member or a frame.
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

    /// A source that gives one byte at a time.
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
