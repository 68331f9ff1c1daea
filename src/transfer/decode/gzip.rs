//! `gzip`: members, one after another (RFC 1952 section 2.2). Zeros may follow the last one, as gzip(1) has it;
//! anything else there is damage, where gzip(1) warns and browsers look away: it may have been a member.

use flate2::Crc;

use super::chain::{DecodeStep, Decoder};
use super::deflate::Inflate;

/// What a member begins with: two bytes to know it by, and the compression method.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Bits of the flags (RFC 1952 section 2.3.1).
const HEADER_CHECK: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// The parts of a member, in their order, and what may follow the last one. A number counts the bytes still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GzipPart {
    Start,
    ExtraLength,
    Extra(u16),
    Name,
    Comment,
    HeaderCheck,
    Content,
    Trailer,
    Zeros,
}

pub struct Gzip {
    part: GzipPart,
    /// The bytes of a part of fixed length, as far as they have come.
    held: Vec<u8>,
    flags: u8,
    header: Crc,
    content: Crc,
    stream: Inflate,
    members: u64,
}

impl Gzip {
    pub fn new() -> Self {
        Self {
            part: GzipPart::Start,
            held: Vec::new(),
            flags: 0,
            header: Crc::new(),
            content: Crc::new(),
            stream: Inflate::raw(),
            members: 0,
        }
    }

    fn is_between_members(&self) -> bool {
        self.members > 0 && self.part == GzipPart::Start && self.held.is_empty()
    }

    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodeStep, String> {
        let step = self.stream.step(input, output)?;
        self.content.update(&output[..step.written]);
        if self.stream.has_ended() {
            self.part = GzipPart::Trailer;
        }
        Ok(step)
    }

    /// Takes a byte of what is around the content.
    fn frame(&mut self, byte: u8) -> Result<(), String> {
        if !matches!(self.part, GzipPart::HeaderCheck | GzipPart::Trailer) {
            self.header.update(&[byte]);
        }
        match self.part {
            GzipPart::Start => self.start(byte)?,
            GzipPart::ExtraLength => match self.hold(byte).map(u16::from_le_bytes) {
                Some(0) => self.go_on(),
                Some(length) => self.part = GzipPart::Extra(length),
                None => {}
            },
            GzipPart::Extra(left @ 2..) => self.part = GzipPart::Extra(left - 1),
            GzipPart::Extra(_) => self.go_on(),
            GzipPart::Name | GzipPart::Comment if byte == 0 => self.go_on(),
            GzipPart::HeaderCheck => self.check_header(byte)?,
            GzipPart::Trailer => self.trailer(byte)?,
            GzipPart::Zeros if byte != 0 => return Err("bytes after its end".to_owned()),
            GzipPart::Name | GzipPart::Comment | GzipPart::Zeros | GzipPart::Content => {}
        }
        Ok(())
    }

    fn start(&mut self, byte: u8) -> Result<(), String> {
        if self.is_between_members() && byte == 0 {
            self.part = GzipPart::Zeros;
            return Ok(());
        }
        if MAGIC.get(self.held.len()).is_some_and(|magic| byte != *magic) {
            let words = if self.members > 0 { "bytes after its end" } else { "does not begin so" };
            return Err(words.to_owned());
        }
        let Some::<[u8; 10]>(start) = self.hold(byte) else {
            return Ok(());
        };
        self.flags = start[3];
        if self.flags & RESERVED != 0 {
            return Err("has flags that nobody knows".to_owned());
        }
        self.go_on();
        Ok(())
    }

    /// On to the next part of the header that there is, or to the content. The flags are struck off one by one.
    fn go_on(&mut self) {
        let parts = [
            (EXTRA, GzipPart::ExtraLength),
            (NAME, GzipPart::Name),
            (COMMENT, GzipPart::Comment),
            (HEADER_CHECK, GzipPart::HeaderCheck),
        ];
        let next = parts.into_iter().find(|(flag, _)| self.flags & flag != 0);
        let (flag, part) = next.unwrap_or((0, GzipPart::Content));
        self.flags &= !flag;
        self.part = part;
    }

    fn check_header(&mut self, byte: u8) -> Result<(), String> {
        let Some(check) = self.hold(byte).map(u16::from_le_bytes) else {
            return Ok(());
        };
        if check != self.header.sum() as u16 {
            return Err("the checksum of its header does not fit".to_owned());
        }
        self.go_on();
        Ok(())
    }

    fn trailer(&mut self, byte: u8) -> Result<(), String> {
        let Some(trailer) = self.hold(byte).map(u64::from_le_bytes) else {
            return Ok(());
        };
        // The check, then the length modulo 2^32; the library counts so too.
        let found = u64::from(self.content.sum()) | u64::from(self.content.amount()) << 32;
        if trailer != found {
            return Err("its checksum does not fit".to_owned());
        }
        self.header.reset();
        self.content.reset();
        self.stream.reset();
        self.members += 1;
        self.part = GzipPart::Start;
        Ok(())
    }

    /// The bytes of a part of this length, once they are all there.
    fn hold<const LENGTH: usize>(&mut self, byte: u8) -> Option<[u8; LENGTH]> {
        self.held.push(byte);
        let all = self.held.as_slice().try_into().ok()?;
        self.held.clear();
        Some(all)
    }
}

impl Decoder for Gzip {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodeStep, String> {
        if self.part == GzipPart::Content {
            return self.inflate(input, output);
        }
        let mut read = 0;
        while let Some(byte) = input.get(read)
            && self.part != GzipPart::Content
        {
            self.frame(*byte)?;
            read += 1;
        }
        Ok(DecodeStep { read, written: 0 })
    }

    fn is_whole(&self) -> bool {
        self.is_between_members() || self.part == GzipPart::Zeros
    }
}
