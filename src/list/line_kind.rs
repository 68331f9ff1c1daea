//! Classifies the lines of a text list, each regardless of the lines around it.

use std::borrow::Cow;

use super::lines::{LineLength, TextLine};
use super::options;
use super::scheme::split_scheme;
use super::wrapping::trimmed;
use crate::redaction::{redacted_line, redacted_start};

/// A NUL byte before this offset makes the source a binary file; after it, the line is invalid.
const BINARY_CHECK_BYTES: u64 = 8 * 1024;

/// The placeholder for the source in the command of a message, with the space before it.
pub(super) const FILE: &str = " FILE";

const UTF_16: &str = "UTF-16, expected UTF-8; use: iconv -f UTF-16 -t UTF-8 FILE | fetch -";

/// The same for text without a byte order mark: `iconv` needs the byte order.
const UTF_16LE: &str = "UTF-16, expected UTF-8; use: iconv -f UTF-16LE -t UTF-8 FILE | fetch -";
const UTF_16BE: &str = "UTF-16, expected UTF-8; use: iconv -f UTF-16BE -t UTF-8 FILE | fetch -";

/// The placeholder for the message about Parquet, which is made elsewhere.
pub(super) const PARQUET: &str = "Parquet";

/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The first bytes of files that are not lists, with the message about each.
const SIGNATURES: [(&[u8], &str); 7] = [
    (b"PAR1", PARQUET),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
    (b"\x1f\x8b", "gzip-compressed; use: gzip -dc FILE | fetch -"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed; use: zstd -dc FILE | fetch -"),
    (b"\xfd7zXZ", "xz-compressed; use: xz -dc FILE | fetch -"),
    (b"\x89PNG", "PNG image, expected text with one URL per line"),
];

/// The kind of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineKind<'a> {
    /// A blank line or a comment.
    Nothing,
    /// An entry of its own.
    Entry(LineText<'a>),
    /// An option of the entry above.
    Option(LineText<'a>),
    /// The whole source is not a list, for this reason.
    NotAList(String),
}

/// The text of a line, trimmed, and whether it can be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineText<'a> {
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: Cow<'a, str>,
    /// Whether its end is missing.
    pub extent: LineLength,
    /// Why it cannot be used; `None` if it can.
    pub fault: Option<&'static str>,
}

impl LineText<'_> {
    /// The text without secrets, for messages.
    pub(super) fn redact(&self) -> String {
        match self.extent {
            LineLength::Whole => redacted_line(&self.text),
            LineLength::Start => redacted_start(&self.text),
        }
    }
}

/// Classifies a line.
pub(super) fn classify<'a>(line: &TextLine<'a>) -> LineKind<'a> {
    if let Some(reason) = why_not_a_list(line) {
        return LineKind::NotAList(reason);
    }
    let line_text = line_text(line);
    match line_text.text.as_bytes() {
        [] if line_text.fault.is_none() => LineKind::Nothing,
        [b'#', ..] => LineKind::Nothing,
        _ if is_indented(line) && means_an_option(&line_text.text) => LineKind::Option(line_text),
        _ => LineKind::Entry(line_text),
    }
}

/// Why the whole source is not a list, by a signature in its first line or an early NUL byte; `None` if this line does not
/// show that.
pub(super) fn why_not_a_list(line: &TextLine<'_>) -> Option<String> {
    if line.number == 1
        && let Some((_, reason)) =
            SIGNATURES.iter().find(|(start, _)| line.bytes.starts_with(start))
    {
        return Some((*reason).to_owned());
    }
    if line.offset >= BINARY_CHECK_BYTES {
        return None;
    }
    let early = line.bytes.len().min((BINARY_CHECK_BYTES - line.offset) as usize);
    let nuls = line.bytes[..early].iter().filter(|byte| **byte == 0).count();
    match nuls {
        0 => None,
        // Every other byte, the newline's among them.
        _ if line.number <= 2 && early > 2 && nuls.abs_diff(early - nuls) <= 1 => {
            let is_big_endian = line.number == 1 && line.bytes[0] == 0;
            Some(if is_big_endian { UTF_16BE } else { UTF_16LE }.to_owned())
        }
        _ => Some(format!(
            "binary file (NUL byte in line {}), expected text with one URL per line",
            line.number
        )),
    }
}

fn line_text<'a>(line: &TextLine<'a>) -> LineText<'a> {
    let bytes = without_mark(line.bytes);
    let (text, fault) = match str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(trimmed(text)), None),
        Err(_) => (
            Cow::Owned(trimmed(&String::from_utf8_lossy(bytes)).to_owned()),
            Some("is not valid UTF-8; convert the list to UTF-8"),
        ),
    };
    let fault = match line.extent {
        LineLength::Start => Some("exceeds 64 KiB; put one URL per line"),
        LineLength::Whole => fault.or_else(|| control_fault(&text)),
    };
    LineText { text, extent: line.extent, fault }
}

/// The fault of a text with a control character other than TAB.
pub(super) fn control_fault(text: &str) -> Option<&'static str> {
    text.bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
        .then_some("contains a control character")
}

/// The bytes of a line without a byte order mark, which may begin any line if lists were concatenated.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

fn is_indented(line: &TextLine<'_>) -> bool {
    without_mark(line.bytes).first().is_some_and(u8::is_ascii_whitespace)
}

/// Whether an indented line is an option.
pub(super) fn means_an_option(text: &str) -> bool {
    split_scheme(text).is_none() && options::is_option(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> LineKind<'_> {
        classify(&TextLine { number: 2, offset: 0, bytes, extent: LineLength::Whole })
    }

    fn fault_of(bytes: &[u8]) -> Option<&'static str> {
        match of(bytes) {
            LineKind::Entry(line_text) | LineKind::Option(line_text) => line_text.fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn blank_lines_and_comments_mean_nothing() {
        for bytes in [&b""[..], b"\r", b" \t\r", b"# note", b"\t# note\r", b"#\xff"] {
            assert_eq!(of(bytes), LineKind::Nothing, "{bytes:?}");
        }
    }

    #[test]
    fn only_an_indented_line_without_a_scheme_can_be_an_option() {
        assert!(matches!(of(b"\tout=x"), LineKind::Option(_)));
        assert!(matches!(of(b" header=Referer: http://a.b"), LineKind::Option(_)));
        assert!(matches!(of(b"out=x"), LineKind::Entry(_)));
        assert!(matches!(of(b" http://a.b/?out=x"), LineKind::Entry(_)));
        assert!(matches!(of(b" a.b/?out=x"), LineKind::Entry(_)));
    }

    #[test]
    fn a_line_that_is_no_text_has_a_fault() {
        assert_eq!(fault_of(b"http://a.b#c"), None);
        assert_eq!(fault_of(b"http://a.b\thttp://c.d"), None);
        assert!(fault_of(b"http://a.b/\xff").unwrap().contains("UTF-8"));
        assert!(fault_of(b" out=\xff").unwrap().contains("UTF-8"));
        assert!(fault_of(b"http://a.b/\x1b[2J").unwrap().contains("control"));
    }

    #[test]
    fn an_early_nul_or_a_known_signature_is_no_list() {
        let first =
            |bytes| classify(&TextLine { number: 1, offset: 0, bytes, extent: LineLength::Whole });
        assert!(
            matches!(first(b"\x1f\x8b\x08"), LineKind::NotAList(why) if why.contains("gzip -dc"))
        );
        assert!(matches!(first(b"\xff\xfeh\0"), LineKind::NotAList(why) if why.contains("UTF-16")));
        assert!(matches!(of(b"http\0"), LineKind::NotAList(why) if why.contains("line 2")));
        let late = TextLine {
            number: 9,
            offset: BINARY_CHECK_BYTES - 1,
            bytes: b"h\0",
            extent: LineLength::Whole,
        };
        assert!(matches!(classify(&late), LineKind::Entry(line_text) if line_text.fault.is_some()));
    }

    #[test]
    fn a_byte_order_mark_may_begin_any_line() {
        assert_eq!(of(b"\xef\xbb\xbf# note"), LineKind::Nothing);
        assert!(matches!(of(b"\xef\xbb\xbf  out=x"), LineKind::Option(_)));
        assert!(
            matches!(of(b"\xef\xbb\xbfhttp://a.b"), LineKind::Entry(line_text) if line_text.text == "http://a.b")
        );
    }

    #[test]
    fn utf_16_is_recognized_without_a_byte_order_mark() {
        for bytes in [&b"h\0t\0t\0p\0"[..], b"\0h\0t\0t\0p\0"] {
            let first = TextLine { number: 1, offset: 0, bytes, extent: LineLength::Whole };
            assert!(matches!(classify(&first), LineKind::NotAList(why) if why.contains("UTF-16")));
        }
    }
}
