//! Makes a line printable: without secrets and control characters, and not longer than 200 characters.

use std::borrow::Cow;

use url::Url;

use super::scheme::split_scheme;
use super::wrapping::trimmed;
use crate::model::redacted;
use crate::text::is_address;

/// The longest text that is shown, in characters.
const LONGEST: usize = 200;

/// The text as it may be printed. What precedes its last `@` may be a password and is replaced by `***`, except for a
/// scheme.
pub(super) fn shown(text: &str) -> String {
    let (scheme, rest) = scheme_and_rest(text);
    match rest.rsplit_once('@') {
        Some((name, _)) if is_address(name) => readable([text, "", ""]),
        Some((_, rest)) => readable([scheme, "***@", rest]),
        None => readable([scheme, rest, ""]),
    }
}

/// The same for the start of a text whose end is unknown and may contain an `@`: only what certainly follows the host is
/// shown.
pub(super) fn start_shown(text: &str) -> String {
    let (scheme, rest) = scheme_and_rest(text);
    let tail = rest.rsplit_once('@').map_or(rest, |(_, tail)| tail);
    if tail.contains(['/', '?', '#', '\\']) { shown(text) } else { readable([scheme, "…", ""]) }
}

/// The text of a line that names these URLs, without the blanks around it and with the passwords in it redacted as in
/// [`redacted`]; `None` if it is the text of the first URL.
pub(super) fn listed(text: &str, urls: &[Url]) -> Option<Box<str>> {
    let text = trimmed(text);
    if text == urls[0].as_str() && urls[0].username().is_empty() && urls[0].password().is_none() {
        return None;
    }
    let fields: Vec<_> = text.split('\t').map(without_user).collect();
    let shown = fields.join("\t");
    (shown != redacted(&urls[0])).then(|| shown.into())
}

/// A URL as it is written, its password or the user name that stands for one replaced.
fn without_user(field: &str) -> Cow<'_, str> {
    let (before, rest) = scheme_and_rest(field);
    let authority = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
    let Some((user, _)) = authority.rsplit_once('@') else { return Cow::Borrowed(field) };
    let shown = user.split_once(':').map_or("***".to_owned(), |(name, _)| format!("{name}:***"));
    Cow::Owned(format!("{before}{shown}{}", &rest[user.len()..]))
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
        assert_eq!(shown("mailto:u:secret@a.b"), "***@a.b");
        assert_eq!(shown("mailto:secret@a.b@c.d"), "***@c.d");
    }

    #[test]
    fn an_address_without_a_password_is_shown() {
        assert_eq!(shown("mailto:bob@a.b"), "mailto:bob@a.b");
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
