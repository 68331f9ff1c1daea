//! Text helpers for file names and messages: hidden characters, system errors, counted nouns, shell words. Pure.

use std::io::{self, Write};

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Whether a character is invisible, or changes how others are displayed: control characters, format characters
/// (including bidi marks, overrides and isolates), line and paragraph separators, and all other characters that a program
/// may ignore in display (Default_Ignorable_Code_Point, UAX #44).
pub(crate) fn is_hidden(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || matches!(
            category(character),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
        )
}

/// Whether a character cannot be recognized when it is printed: a hidden one, a space other than the ASCII space, the
/// blank Braille pattern, or one without a standard glyph (private use, unassigned).
pub(crate) fn is_unprintable(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    character == '\u{2800}'
        || is_hidden(character)
        || matches!(
            category(character),
            GeneralCategory::SpaceSeparator
                | GeneralCategory::PrivateUse
                | GeneralCategory::Unassigned
        )
}

/// Writes an object as JSON, with the characters for which [`is_hidden`] is true escaped (`\u202e`).
///
/// # Errors
/// Those of writing.
pub(crate) fn write_json(out: impl Write, object: &impl Serialize) -> io::Result<()> {
    Ok(object.serialize(&mut Serializer::with_formatter(out, EscapesHidden))?)
}

/// Formats compact JSON with hidden characters escaped.
struct EscapesHidden;

impl Formatter for EscapesHidden {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return out.write_all(fragment.as_bytes());
        }
        let mut written = 0;
        for (at, hidden) in fragment.match_indices(is_hidden) {
            out.write_all(&fragment.as_bytes()[written..at])?;
            for unit in hidden.encode_utf16() {
                write!(out, "\\u{unit:04x}")?;
            }
            written = at + hidden.len();
        }
        out.write_all(&fragment.as_bytes()[written..])
    }

    /// A raw fragment is JSON, which has non-ASCII characters only in its strings.
    fn write_raw_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.write_string_fragment(out, fragment)
    }
}

fn category(character: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(character)
}

/// A system error as users read it: `Permission denied`, without the number that the standard library adds.
pub(crate) fn io_message(error: &io::Error) -> String {
    without_os_codes(&error.to_string())
}

/// The text without any ` (os error N)`. For text that is composed of error messages, such as that of an error chain.
pub(crate) fn without_os_codes(text: &str) -> String {
    const START: &str = " (os error ";
    let mut pieces = text.split(START);
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.find(')').filter(|end| piece[..*end].parse::<i32>().is_ok());
        match code {
            Some(end) => plain.push_str(&piece[end + 1..]),
            None => plain.extend([START, piece]),
        }
    }
    plain
}

/// A number with a noun that forms its plural with `s`: `1 file`, `2 files`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A file name as a word of a shell command: quoted if necessary, and with `./` before a leading `-`.
pub(crate) fn shell_word(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    match name {
        _ if name.starts_with('-') => shell_word(&format!("./{name}")),
        "" => "''".to_owned(),
        _ if name.chars().all(is_plain) => name.to_owned(),
        _ => format!("'{}'", name.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_hides_no_character_and_says_the_same() {
        let text = "a\u{202e}b\u{200b}\u{7f}\u{e0041}\u{2028}\u{e9}\u{1f600}\"\n";
        let mut json = Vec::new();
        write_json(&mut json, &[text]).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert_eq!(
            json,
            "[\"a\\u202eb\\u200b\\u007f\\udb40\\udc41\\u2028\u{e9}\u{1f600}\\\"\\n\"]"
        );
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [text]);
        let raw = serde_json::value::RawValue::from_string("\"\u{202e}\"".to_owned()).unwrap();
        let mut json = Vec::new();
        write_json(&mut json, &raw).unwrap();
        assert_eq!(json, b"\"\\u202e\"");
    }

    #[test]
    fn what_is_not_drawn_is_hidden_and_words_of_any_script_are_not() {
        for hidden in "\0\n\u{7f}\u{85}\u{ad}\u{34f}\u{61c}\u{115f}\u{200b}\u{202e}\u{2028}\u{2029}\u{2066}\u{3164}\
                       \u{fe0f}\u{feff}\u{ffa0}\u{e0041}"
            .chars()
        {
            assert!(is_hidden(hidden) && is_unprintable(hidden), "{hidden:?}");
        }
        for shown in "a Z~é日ह\u{301}😀א".chars() {
            assert!(!is_hidden(shown) && !is_unprintable(shown), "{shown:?}");
        }
    }

    #[test]
    fn a_blank_or_a_character_without_a_glyph_is_unprintable_and_not_hidden() {
        for character in "\u{a0}\u{2003}\u{3000}\u{2800}\u{e000}\u{378}\u{10ffff}".chars() {
            assert!(!is_hidden(character) && is_unprintable(character), "{character:?}");
        }
    }

    #[test]
    fn a_system_error_is_told_without_its_number() {
        let error = io::Error::from_raw_os_error(2);
        assert!(error.to_string().ends_with(" (os error 2)"));
        assert_eq!(io_message(&error), "No such file or directory");
        assert_eq!(io_message(&io::Error::other("odd")), "odd");
        let table = [
            ("a: b (os error 13) at path \"c\"", "a: b at path \"c\""),
            ("a (os error 1): b (os error -2)", "a: b"),
            ("a (os error x) (os error 1", "a (os error x) (os error 1"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(without_os_codes(text), expected);
        }
    }

    #[test]
    fn the_name_of_a_file_is_one_word_of_a_shell() {
        for (name, word) in [
            ("a/b.txt", "a/b.txt"),
            ("-x", "./-x"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("a\nb", "'a\nb'"),
        ] {
            assert_eq!(shell_word(name), word);
        }
    }

    #[test]
    fn a_noun_is_in_the_plural_unless_there_is_one() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "file")), ["0 files", "1 file", "2 files"]);
    }
}
