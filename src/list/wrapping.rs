//! Characters around a URL: whitespace, invisible characters, quotes, brackets. They are removed if the meaning is clear, and
//! described in a message otherwise.

use crate::text::is_hidden;

/// Quotes and brackets around a URL: the opening character, and those that close it.
const PAIRS: [(char, &[char]); 15] = [
    ('<', &['>']),
    ('"', &['"']),
    ('\'', &['\'']),
    ('`', &['`', '\'']),
    ('\u{201c}', &['\u{201d}']),
    ('\u{201d}', &['\u{201d}']),
    ('\u{201e}', &['\u{201c}', '\u{201d}']),
    ('\u{2018}', &['\u{2019}']),
    ('\u{201a}', &['\u{2018}', '\u{2019}']),
    ('\u{ab}', &['\u{bb}']),
    ('\u{bb}', &['\u{ab}']),
    ('\u{ff02}', &['\u{ff02}']),
    ('\u{ff07}', &['\u{ff07}']),
    ('\u{ff1c}', &['\u{ff1e}']),
    ('\u{300c}', &['\u{300d}']),
];

/// The text without whitespace and invisible characters at its ends.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || is_invisible(character))
}

/// Whether a character is drawn as nothing and has no meaning in a URL. Joiners and variation selectors are left out:
/// emoji and some scripts need them.
pub(super) fn is_invisible(character: char) -> bool {
    let may_be_meant = matches!(character, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    !character.is_ascii() && !may_be_meant && is_hidden(character)
}

/// The text without quotes or angle brackets around all of it, and without the `URL:` that may begin what is in angle
/// brackets (RFC 3986 appendix C). Quotes that occur inside too are left: they are not around one thing.
pub(super) fn unwrapped(text: &str) -> &str {
    let mut text = text;
    while let Some(inside) = strip_pair(text) {
        text = inside;
    }
    text
}

fn strip_pair(text: &str) -> Option<&str> {
    let (open, closers) = PAIRS.iter().find(|(open, _)| text.starts_with(*open))?;
    let inside = text[open.len_utf8()..].strip_suffix(*closers)?;
    if inside.contains(*open) || inside.contains(*closers) {
        return None;
    }
    let inside = trimmed(inside);
    let is_labelled =
        *open == '<' && inside.get(..4).is_some_and(|label| label.eq_ignore_ascii_case("url:"));
    Some(if is_labelled { trimmed(&inside[4..]) } else { inside })
}

/// The ASCII characters of `PAIRS` except for the apostrophe, one bit for each.
const ASCII_DELIMITERS: u128 = {
    let mut bits = 0;
    let mut pair = 0;
    while pair < PAIRS.len() {
        let (open, closers) = PAIRS[pair];
        bits |= bit_of(open);
        let mut closer = 0;
        while closer < closers.len() {
            bits |= bit_of(closers[closer]);
            closer += 1;
        }
        pair += 1;
    }
    bits & !bit_of('\'')
};

const fn bit_of(character: char) -> u128 {
    if character.is_ascii() { 1 << character as u32 } else { 0 }
}

/// Whether a byte is a printable ASCII character other than a space, quote or angle bracket.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte: u8 = b'!';
    while byte <= b'~' {
        plain[byte as usize] = ASCII_DELIMITERS >> byte & 1 == 0 && byte != b'\'';
        byte += 1;
    }
    plain
};

/// Whether a text is only printable ASCII without spaces, quotes and angle brackets, as most URLs are: then nothing is around
/// or beside it.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// Whether a character is a quote or an angle bracket, which no URL contains unencoded. The apostrophe may be in one.
pub(super) fn is_delimiter(character: char) -> bool {
    // Nearly all characters of a list are ASCII.
    if character.is_ascii() {
        return ASCII_DELIMITERS >> character as u32 & 1 == 1;
    }
    PAIRS.iter().any(|(open, closers)| *open == character || closers.contains(&character))
}

/// A URL in a text that does not start with it.
pub(super) struct Surrounded<'a> {
    /// The kind of text around it, for the message.
    pub kind: &'static str,
    pub url: &'a str,
}

/// Finds the URL in a text that does not start with one.
pub(super) fn find_surrounded(text: &str) -> Option<Surrounded<'_>> {
    let lower = text.to_ascii_lowercase();
    let start = [lower.find("http://"), lower.find("https://")].into_iter().flatten().min()?;
    let (before, rest) = text.split_at(start);
    let url = &rest[..end_of_url(before, rest)];
    Some(Surrounded { kind: describe_prefix(before), url: url.trim_end_matches([',', ';']) })
}

fn end_of_url(before: &str, rest: &str) -> usize {
    let closer = match before.chars().next_back() {
        Some('(') => Some(')'),
        Some('[') => Some(']'),
        Some('{') => Some('}'),
        Some('\'') => Some('\''),
        _ => None,
    };
    rest.find(|character: char| {
        character.is_whitespace() || is_delimiter(character) || Some(character) == closer
    })
    .unwrap_or(rest.len())
}

fn describe_prefix(before: &str) -> &'static str {
    let marker = before.trim_end();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if before.ends_with("](") || before.ends_with("](<") {
        "Markdown link"
    } else if before.starts_with('<') && before.contains('=') {
        "HTML"
    } else if matches!(marker, "-" | "*" | "+" | "\u{2022}" | "\u{2013}" | "\u{2014}")
        || marker.strip_suffix(['.', ')']).is_some_and(is_number)
    {
        "list marker before the URL"
    } else if before.chars().all(|character| is_delimiter(character) || "'[({ ".contains(character))
    {
        "quotes or brackets around the URL"
    } else {
        "text before the URL"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_all_of_it_is_taken_off() {
        for text in [
            "<http://a.b>",
            "<URL:http://a.b>",
            "\"http://a.b\"",
            "'http://a.b'",
            "`http://a.b`",
            "\u{201c}http://a.b\u{201d}",
            "\u{ff02}http://a.b\u{ff02}",
            "\u{ab} http://a.b \u{bb}",
            "<\"http://a.b\">",
            "\" http://a.b\t\"",
            "`http://a.b'",
            "http://a.b",
        ] {
            assert_eq!(unwrapped(text), "http://a.b", "{text}");
        }
        for text in ["\"http://a.b", "http://a.b\"", "\"http://a.b\",", "\"a\" \"b\"", "\"", "<"] {
            assert_eq!(unwrapped(text), text);
        }
        assert_eq!(unwrapped("\"\""), "");
    }

    #[test]
    fn the_url_within_a_text_is_found() {
        for (text, what, url) in [
            ("url=http://a.b/x", "text before the URL", "http://a.b/x"),
            ("URL: HTTPS://a.b/x", "text before the URL", "HTTPS://a.b/x"),
            ("[name](http://a.b/x)", "Markdown link", "http://a.b/x"),
            ("[http://a.b/x](http://a.b/x)", "quotes or brackets around the URL", "http://a.b/x"),
            ("<a href=\"http://a.b/x\">name</a>", "HTML", "http://a.b/x"),
            ("href='http://a.b/x'", "text before the URL", "http://a.b/x"),
            ("- http://a.b/x", "list marker before the URL", "http://a.b/x"),
            ("12. http://a.b/x", "list marker before the URL", "http://a.b/x"),
            ("\"http://a.b/x\",", "quotes or brackets around the URL", "http://a.b/x"),
            ("{\"url\": \"http://a.b/x\"}", "text before the URL", "http://a.b/x"),
        ] {
            let found = find_surrounded(text).unwrap();
            assert_eq!((found.kind, found.url), (what, url), "{text}");
        }
        assert!(find_surrounded("a.b").is_none());
    }
}
