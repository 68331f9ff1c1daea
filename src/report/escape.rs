//! Text from a list or a server, made safe to print: what would move a cursor, reorder a line or hide in it is shown
//! as `\u{…}` instead. Pure.
//!
//! Plain ASCII comes back as it is, a backslash too: the escapes are for eyes, not for reading back.

use std::borrow::Cow;

use crate::text::is_unprintable;

/// The text with all that does not show escaped; borrowed where there is nothing to escape.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    printable_but(text, |_| false)
}

/// The same, but the characters chosen stay as they are.
pub(crate) fn printable_but(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let escaped = |character: char| is_unprintable(character) && !stays(character);
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
        assert_eq!(printable_but("a\nb\u{7}", |character| character == '\n'), "a\nb\\u{7}");
    }

    proptest! {
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
