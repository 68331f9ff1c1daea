//! A line as it may be printed: secrets cut out, nothing that a terminal would obey, of a readable length.

use super::scheme::split_scheme;

/// The longest text that is shown, in characters.
const LONGEST: usize = 200;

/// The text as it may be printed. Whatever stands before its last `@` may be a password, also where the text is too
/// broken to tell, and is shown as `***`; only a scheme before it is kept.
pub(super) fn shown(text: &str) -> String {
    let (scheme, rest) = scheme_and_rest(text);
    match rest.rsplit_once('@') {
        Some((_, rest)) => readable([scheme, "***@", rest]),
        None => readable([scheme, rest, ""]),
    }
}

/// The same for the start of a text whose end is unknown: an `@` may still come, so that what does not provably lie
/// behind the host is left out.
pub(super) fn start_shown(text: &str) -> String {
    let (scheme, rest) = scheme_and_rest(text);
    let tail = rest.rsplit_once('@').map_or(rest, |(_, tail)| tail);
    if tail.contains(['/', '?', '#', '\\']) { shown(text) } else { readable([scheme, "…", ""]) }
}

fn scheme_and_rest(text: &str) -> (&str, &str) {
    match split_scheme(text) {
        Some((_, rest)) => text.split_at(text.len() - rest.len()),
        None => ("", text),
    }
}

fn readable(parts: [&str; 3]) -> String {
    let mut characters = parts.into_iter().flat_map(str::chars).map(harmless);
    let mut text: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        text.pop();
        text.push('…');
    }
    text
}

fn harmless(character: char) -> char {
    match character {
        '\t' => ' ',
        // These turn the direction of the text around them.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        character if character.is_control() => '\u{fffd}',
        character => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_password_is_not_shown() {
        assert_eq!(shown("htp://bob:secret@a.b/x"), "htp://***@a.b/x");
        assert_eq!(shown("http://bob:se/cr@et@a.b/x"), "http://***@a.b/x");
        assert_eq!(shown("bob:secret@a.b//x"), "***@a.b//x");
        assert_eq!(shown("http:bob:secret@a.b"), "***@a.b");
        assert_eq!(shown("http://a.b/\thttp://bob:secret@c.d"), "http://***@c.d");
        assert_eq!(shown("http://a.b/x"), "http://a.b/x");
    }

    #[test]
    fn of_a_start_only_what_lies_behind_the_host_is_shown() {
        assert_eq!(start_shown("http://bob:sec"), "http://…");
        assert_eq!(start_shown("http://bob:sec@ret"), "http://…");
        assert_eq!(start_shown("http://bob:secret@a.b/x"), "http://***@a.b/x");
        assert_eq!(start_shown("http://a.b/xxx"), "http://a.b/xxx");
    }

    #[test]
    fn a_long_text_is_cut_and_control_characters_are_replaced() {
        let text = shown(&"ü".repeat(500));
        assert_eq!(text.chars().count(), LONGEST);
        assert!(text.ends_with('…'));
        assert_eq!(shown(&"ü".repeat(LONGEST)), "ü".repeat(LONGEST));
        assert_eq!(shown("a\u{1b}[2J\u{202e}b\tc"), "a\u{fffd}[2J\u{fffd}b c");
    }
}
