//! Makes text from a list or a server safe to print: characters that would move a cursor, reorder a line or hide in it are
//! shown as `\u{…}`. Pure.
//!
//! Printable ASCII stays as it is, backslashes included: the escapes are for people, and cannot be decoded unambiguously.

use std::borrow::Cow;

use crate::redaction::redacted_text;
use crate::text::is_unprintable;

/// The text with unprintable characters escaped; borrowed if there are none.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    printable_except(text, |_| false)
}

/// Like [`printable`], but the characters for which `keeps` is true stay as they are.
pub(crate) fn printable_except(text: &str, keeps: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let escaped = |character: char| is_unprintable(character) && !keeps(character);
    let Some(first) = text.find(escaped) else {
        return Cow::Borrowed(text);
    };
    let mut safe = String::with_capacity(text.len() + 16);
    safe.push_str(&text[..first]);
    for character in text[first..].chars() {
        if escaped(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// A message with unprintable characters escaped, and the secrets of URLs in it redacted.
pub(crate) fn readable_message(message: &str) -> Cow<'_, str> {
    match redacted_text(message) {
        Cow::Borrowed(message) => printable(message),
        Cow::Owned(masked) => Cow::Owned(printable(&masked).into_owned()),
    }
}

/// A URL as people write it: percent-encoded UTF-8 beyond ASCII as the characters it stands for (`%E6%97%A5` as `日`,
/// RFC 3987 section 3.2), its secrets redacted, the rest unchanged. If one of the characters is unprintable or the bytes
/// are not UTF-8, the whole URL is left encoded.
pub(crate) fn readable_url(url: &str) -> Cow<'_, str> {
    match decode_non_ascii(url) {
        Some(decoded) => Cow::Owned(readable_message(&decoded).into_owned()),
        None => readable_message(url),
    }
}

/// Decodes percent-encoded UTF-8 beyond ASCII; `None` if there is none, or if some of it is not UTF-8 or not printable.
fn decode_non_ascii(url: &str) -> Option<String> {
    if !url.contains('%') {
        return None;
    }
    let mut decoded = String::new();
    let mut rest = url;
    while let Some(start) = rest.find('%') {
        let (before, encoded) = rest.split_at(start);
        decoded.push_str(before);
        let bytes: Vec<u8> = encoded_bytes(encoded).take_while(|byte| !byte.is_ascii()).collect();
        let text = std::str::from_utf8(&bytes).ok()?;
        if text.chars().any(is_unprintable) {
            return None;
        }
        // A percent sign that stands for itself, or for an ASCII character, is kept.
        let length = (3 * bytes.len()).max(1);
        decoded.push_str(if bytes.is_empty() { "%" } else { text });
        rest = &encoded[length..];
    }
    decoded.push_str(rest);
    (decoded != url).then_some(decoded)
}

/// The bytes that a text begins with, each written as `%` and two hexadecimal digits.
fn encoded_bytes(text: &str) -> impl Iterator<Item = u8> + use<'_> {
    text.as_bytes().chunks_exact(3).map_while(|triplet| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = 16 * digit(triplet[1])? + digit(triplet[2])?;
        (triplet[0] == b'%').then_some(u8::try_from(value).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ansi_escapes_and_line_breaks_are_shown_not_obeyed() {
        assert_eq!(printable("\u{1b}[31mred\r\nnext\t"), r"\u{1b}[31mred\u{d}\u{a}next\u{9}");
        assert_eq!(printable("\u{9b}2J\u{7f}"), r"\u{9b}2J\u{7f}");
        assert_eq!(printable("a\u{2028}b\u{85}c"), r"a\u{2028}b\u{85}c");
    }

    #[test]
    fn marks_that_reorder_a_line_are_shown() {
        for mark in ('\u{202a}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}')
            .chain(['\u{200e}', '\u{200f}', '\u{61c}'])
        {
            assert_eq!(printable(&mark.to_string()), format!("\\u{{{:x}}}", mark as u32));
        }
    }

    #[test]
    fn characters_that_show_nothing_are_shown() {
        for hidden in
            ['\u{ad}', '\u{200b}', '\u{feff}', '\u{3164}', '\u{a0}', '\u{e0041}', '\u{e000}']
        {
            assert!(printable(&hidden.to_string()).starts_with("\\u{"), "{:x}", hidden as u32);
        }
    }

    #[test]
    fn words_of_any_script_stay_as_they_are() {
        for text in ["Größe", "日本語", "e\u{301}", "हिन्दी", "עברית", "😀", r"C:\u{1b}"]
        {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn what_is_to_stay_stays() {
        assert_eq!(printable_except("a\nb\u{7}", |character| character == '\n'), "a\nb\\u{7}");
    }

    #[test]
    fn a_url_is_shown_as_people_write_it() {
        for (url, shown) in [
            (
                "https://a.b/%E6%97%A5%E6%9C%AC/%F0%9F%98%80.html?q=%C3%A9#%d7%a9",
                "https://a.b/日本/😀.html?q=é#ש",
            ),
            ("https://a.b/100%25/a%20b%2F%3F%", "https://a.b/100%25/a%20b%2F%3F%"),
            ("https://a.b/caf%C3%A9%2Fau%20lait", "https://a.b/café%2Fau%20lait"),
        ] {
            assert_eq!(readable_url(url), shown);
        }
    }

    #[test]
    fn what_signs_a_url_is_not_shown() {
        assert_eq!(readable_url("https://a.b/%C3%A9?key=%C3%A9"), "https://a.b/é?key=***");
        assert_eq!(readable_message("no http://a.b/?sig=x\n"), r"no http://a.b/?sig=***\u{a}");
    }

    #[test]
    fn a_url_with_a_character_that_cannot_be_recognized_is_left_encoded() {
        for bad in [
            "%E2%80%AE",    // right-to-left override
            "%E2%80%8B",    // zero width space
            "%C2%9B",       // control sequence introducer
            "%EE%80%80",    // private use
            "%E3%80%80",    // ideographic space
            "%E2%A0%80",    // blank Braille pattern
            "%FF",          // no UTF-8
            "%E6%97",       // cut off
            "%F3%A0%81%81", // a tag
        ] {
            let url = format!("https://a.b/%E6%97%A5/{bad}");
            assert_eq!(readable_url(&url), url);
        }
    }

    proptest! {
        #[test]
        fn no_url_shows_what_is_not_printable(url in "(%[0-9a-fA-F]{2}|[a-z/%]|\\PC){0,20}") {
            prop_assert!(!readable_url(&url).chars().any(is_unprintable));
        }

        #[test]
        fn no_control_character_is_ever_left(text in any::<String>()) {
            prop_assert!(!printable(&text).chars().any(char::is_control));
        }

        #[test]
        fn plain_ascii_is_borrowed_unchanged(text in "[ -~]*") {
            prop_assert!(matches!(printable(&text), Cow::Borrowed(same) if same == text));
        }

        #[test]
        fn what_was_made_printable_is_printable(text in any::<String>()) {
            let once = printable(&text);
            prop_assert_eq!(printable(&once), once.clone());
        }
    }
}
