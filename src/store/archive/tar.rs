//! The members of a tar archive (POSIX ustar): the body of a URL and its record, under one name with two extensions, as
//! WebDataset reads them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::unit::{AppendUnit, Piece};
use crate::model::{CapturedExchange, Record, Target};
use crate::naming;
use crate::plan::NamingScheme;

/// The size of a block, bytes.
const BLOCK: usize = 512;

/// What ends an archive: two blocks of zeros.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The most bytes of a name that one field has room for.
const LONGEST_NAME: usize = 100;

/// Extensions of names whose URL has none, by media type.
const EXTENSIONS: [(&str, &str); 14] = [
    ("application/json", "json"),
    ("application/pdf", "pdf"),
    ("application/xml", "xml"),
    ("audio/mpeg", "mp3"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/webp", "webp"),
    ("text/css", "css"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("video/mp4", "mp4"),
];

/// The extension of a body of which no type is known.
const UNKNOWN: &str = "bin";

/// The name of the body of a target: its position in the list, and the extension of its URL, else that of its media type.
pub(super) fn member_name(target: &Target, media_type: Option<&str>) -> String {
    let key = format!("{:06}", target.index);
    let name = naming::of_url(NamingScheme::Index, target.url(), target.index);
    let extension = name.strip_prefix(&*key).and_then(|rest| rest.strip_prefix('.'));
    let is_plain = |extension: &&str| {
        extension.len() < LONGEST_NAME / 2 && extension.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let known = |media_type| EXTENSIONS.iter().find(|(known, _)| *known == media_type);
    let extension = extension
        .filter(is_plain)
        .or_else(|| media_type.and_then(known).map(|(_, extension)| *extension))
        .unwrap_or(UNKNOWN)
        .to_ascii_lowercase();
    match &*extension {
        // `.json` is the record, and `.txt` the text of `--text-column`.
        "json" | "txt" => format!("{key}.body.{extension}"),
        _ => format!("{key}.{extension}"),
    }
}

/// The key of the sample of a body with this name: its position in the list.
pub(super) fn key_of_member(name: &str) -> Option<u64> {
    name.split('.').next().unwrap_or(name).parse().ok()
}

/// The files of one target: its body, its record, and its text if it has one.
pub(super) fn sample(
    member: &str,
    exchange: CapturedExchange,
    record: &Record,
    text: Option<String>,
) -> AppendUnit {
    let at = exchange.heads.at;
    let body = exchange.body;
    let mut unit = AppendUnit::default();
    unit.push(Piece::Bytes(header(member, body.bytes, at)));
    unit.push(Piece::of(body.data, body.length));
    unit.push(Piece::Bytes(padding(body.bytes)));
    let key = member.split('.').next().unwrap_or(member);
    let json = serde_json::to_vec(record).expect("a record can be serialized");
    push_file(&mut unit, &format!("{key}.json"), json, at);
    if let Some(text) = text {
        push_file(&mut unit, &format!("{key}.txt"), text.into_bytes(), at);
    }
    unit
}

/// Adds a file that is in memory.
fn push_file(unit: &mut AppendUnit, name: &str, content: Vec<u8>, at: SystemTime) {
    let length = content.len() as u64;
    unit.push(Piece::Bytes(header(name, length, at)));
    unit.push(Piece::Bytes(content));
    unit.push(Piece::Bytes(padding(length)));
}

/// Whether these bytes of an archive are only what ends it.
///
/// # Errors
/// If they cannot be read.
pub(super) fn is_end(file: &File, from: u64, to: u64) -> io::Result<bool> {
    if to - from != END.len() as u64 {
        return Ok(false);
    }
    let mut bytes = END;
    bytes[0] = 1;
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes == END)
}

/// The length of the member whose header this is; `None` if it is no header.
pub(super) fn length_of_member(header: &[u8; BLOCK]) -> Option<u64> {
    let sum = octal(&header[148..156])?;
    let is_header = sum == u64::from(checksum(header));
    match header[124] {
        _ if !is_header => None,
        0x80 => Some(u64::from_be_bytes(header[128..136].try_into().ok()?)),
        _ => octal(&header[124..136]),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok()
}

fn header(name: &str, length: u64, at: SystemTime) -> Vec<u8> {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(LONGEST_NAME)]);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    match length {
        0..0o100_000_000_000 => put(124, format!("{length:011o}\0").as_bytes()),
        // The binary form of GNU tar, which every reader of such sizes knows.
        _ => put(124, &[&[0x80, 0, 0, 0][..], &length.to_be_bytes()].concat()),
    }
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    put(136, format!("{:011o}\0", seconds.min(0o77_777_777_777)).as_bytes());
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum = checksum(&header);
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.to_vec()
}

/// The sum of the bytes of a header, with blanks in the field of the sum.
fn checksum(header: &[u8; BLOCK]) -> u32 {
    let bytes = header.iter().enumerate();
    bytes.map(|(at, byte)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte })).sum()
}

fn padding(length: u64) -> Vec<u8> {
    vec![0; length.next_multiple_of(BLOCK as u64).wrapping_sub(length) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::test_fixtures;

    #[test]
    fn a_member_is_named_by_its_position_and_an_extension() {
        let name = |url: &str, media_type| {
            let target = test_fixtures::target(url);
            member_name(&target, media_type).split_once('.').unwrap().1.to_owned()
        };
        assert_eq!(name("http://a.b/x.JPG", None), "jpg");
        assert_eq!(name("http://a.b/x", Some("image/png")), "png");
        assert_eq!(name("http://a.b/x", Some("application/x-odd")), "bin");
        assert_eq!(name("http://a.b/x", None), "bin");
        assert_eq!(name("http://a.b/x.json", None), "body.json");
        assert_eq!(name("http://a.b/x", Some("text/plain")), "body.txt");
    }

    #[test]
    fn a_header_says_how_long_its_member_is() {
        for length in [0, 1, 511, 512, 0o77_777_777_777, 0o100_000_000_000, 1 << 50] {
            let header: [u8; BLOCK] =
                header("000001.bin", length, SystemTime::now()).try_into().unwrap();
            assert_eq!(length_of_member(&header), Some(length));
            assert_eq!((length + padding(length).len() as u64) % 512, 0);
        }
        assert_eq!(length_of_member(&[0; BLOCK]), None);
    }
}
