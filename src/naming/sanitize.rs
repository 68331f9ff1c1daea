//! Sanitizes one component of a name, so that it stays in its directory, has no hidden characters, names a plain file on
//! every system, and cannot be mistaken for a partial file. Pure.

use std::borrow::Cow;

use super::{LONGEST_COMPONENT, PART_SUFFIX};
use crate::text::is_hidden;

/// The maximum length of an extension, without its dot.
const LONGEST_EXTENSION: usize = 16;

/// The name of an empty component.
const PLACEHOLDER: &str = "_";

/// The text as a component; `_` if nothing is left of it. Safe text is returned unchanged.
pub(super) fn safe(text: &str) -> Cow<'_, str> {
    safe_if_any(text).unwrap_or(Cow::Borrowed(PLACEHOLDER))
}

/// The text as a component; `None` if nothing is left of it.
pub(super) fn safe_if_any(text: &str) -> Option<Cow<'_, str>> {
    if is_plain(text) {
        return Some(Cow::Borrowed(text));
    }
    let shown: String =
        text.chars().filter(|character| !is_hidden(*character)).map(without_forbidden).collect();
    let mut name = trimmed(shown.trim_start()).to_owned();
    if name.is_empty() {
        return None;
    }
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    escape_special(&mut name);
    if name.len() > LONGEST_COMPONENT {
        // Two less: what is left may have to be escaped at either end.
        let (stem, extension) = split(&name);
        name = format!("{}{extension}", cut(stem, LONGEST_COMPONENT - 2 - extension.len()));
        escape_special(&mut name);
    }
    Some(Cow::Owned(name))
}

/// Inserts a mark before the extension: `page.1a2b3c4d.php`. If it gets too long, the stem is shortened.
pub(super) fn marked(name: &str, mark: &str) -> String {
    let (stem, extension) = split(name);
    let stem = cut(stem, LONGEST_COMPONENT - 1 - mark.len() - extension.len());
    let marked = format!("{stem}.{mark}{extension}");
    // What is left of a shortened stem may be unsafe.
    if let Cow::Owned(marked) = safe(&marked) {
        return marked;
    }
    marked
}

/// The extension with its dot: up to 16 ASCII letters and digits; empty if there is none.
pub(super) fn extension(name: &str) -> &str {
    split(name).1
}

fn split(name: &str) -> (&str, &str) {
    let dot = name.rfind('.').filter(|dot| {
        let extension = &name[dot + 1..];
        *dot > 0
            && (1..=LONGEST_EXTENSION).contains(&extension.len())
            && extension.bytes().all(|character| character.is_ascii_alphanumeric())
    });
    name.split_at(dot.unwrap_or(name.len()))
}

/// Whether the text is certainly safe, as most are. A quick check.
fn is_plain(text: &str) -> bool {
    (1..=LONGEST_COMPONENT).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !text.starts_with('.')
        && !text.ends_with('.')
        && !is_reserved(text)
        && !has_part_suffix(text)
}

/// Replaces separators and the characters that Windows forbids by `_`.
fn without_forbidden(character: char) -> char {
    if matches!(character, '/' | '\\' | '<' | '>' | ':' | '"' | '|' | '?' | '*') {
        '_'
    } else {
        character
    }
}

/// The first bytes of the stem, at most `most`, cut between characters.
fn cut(stem: &str, most: usize) -> &str {
    trimmed(&stem[..stem.floor_char_boundary(most)])
}

/// Removes dots and white space at the end, as Windows does.
fn trimmed(text: &str) -> &str {
    text.trim_end_matches(|character: char| character == '.' || character.is_whitespace())
}

/// Adds a `_` to a name that has a special meaning.
fn escape_special(name: &mut String) {
    if is_reserved(name) {
        name.insert(0, '_');
    }
    if has_part_suffix(name) {
        name.push('_');
    }
}

/// Whether Windows takes the name for a device, whatever the extension ("Naming Files, Paths, and Namespaces").
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    if !(3..=7).contains(&stem.len()) {
        return false;
    }
    let is_one_of =
        |text: &str, names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    if is_one_of(stem, &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]) {
        return true;
    }
    let Some((port, number)) = stem.split_at_checked(3) else { return false };
    is_one_of(port, &["COM", "LPT"])
        && (matches!(number.as_bytes(), [b'0'..=b'9']) || matches!(number, "¹" | "²" | "³"))
}

/// Whether the name ends like that of a partial file ([`super::part_of`]).
fn has_part_suffix(name: &str) -> bool {
    let end = name.as_bytes().last_chunk::<{ PART_SUFFIX.len() }>();
    end.is_some_and(|end| end.eq_ignore_ascii_case(PART_SUFFIX.as_bytes()))
}
