//! One component of a name, made safe: it stays where it is put, shows what it is, is a plain file on every system,
//! and can be told from an unfinished one. Pure.

use std::borrow::Cow;

use super::{LONGEST_COMPONENT, PART_SUFFIX};
use crate::text::is_hidden;

/// Letters of an extension, at most.
const LONGEST_EXTENSION: usize = 16;

/// What an empty component is called.
const NOTHING: &str = "_";

/// The text as a component; `_` where nothing is left of it. What is safe comes back as it is.
pub(super) fn safe(text: &str) -> Cow<'_, str> {
    safe_if_any(text).unwrap_or(Cow::Borrowed(NOTHING))
}

/// The text as a component; `None` where nothing is left of it.
pub(super) fn safe_if_any(text: &str) -> Option<Cow<'_, str>> {
    if is_plain(text) {
        return Some(Cow::Borrowed(text));
    }
    let shown: String = text.chars().filter(|letter| !is_hidden(*letter)).map(allowed).collect();
    let mut name = trimmed(shown.trim_start()).to_owned();
    if name.is_empty() {
        return None;
    }
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    guard(&mut name);
    if name.len() > LONGEST_COMPONENT {
        // Two less: what is left may need a guard on either side.
        let (stem, extension) = split(&name);
        name = format!("{}{extension}", cut(stem, LONGEST_COMPONENT - 2 - extension.len()));
        guard(&mut name);
    }
    Some(Cow::Owned(name))
}

/// The component with a mark before its extension: `page.1a2b3c4d.php`. Where there is no room, the stem gives way.
pub(super) fn marked(name: &str, mark: &str) -> String {
    let (stem, extension) = split(name);
    let stem = cut(stem, LONGEST_COMPONENT - 1 - mark.len() - extension.len());
    let marked = format!("{stem}.{mark}{extension}");
    // Cutting may bring to light what was safe only as a part.
    if let Cow::Owned(marked) = safe(&marked) {
        return marked;
    }
    marked
}

/// The extension with its dot, or nothing: up to 16 ASCII letters and digits.
pub(super) fn extension(name: &str) -> &str {
    split(name).1
}

fn split(name: &str) -> (&str, &str) {
    let dot = name.rfind('.').filter(|dot| {
        let extension = &name[dot + 1..];
        *dot > 0
            && (1..=LONGEST_EXTENSION).contains(&extension.len())
            && extension.bytes().all(|letter| letter.is_ascii_alphanumeric())
    });
    name.split_at(dot.unwrap_or(name.len()))
}

/// Whether it is safe at a glance, as most are.
fn is_plain(text: &str) -> bool {
    (1..=LONGEST_COMPONENT).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !text.starts_with('.')
        && !text.ends_with('.')
        && !is_reserved(text)
        && !looks_unfinished(text)
}

/// What separates components, and what Windows forbids, is replaced.
fn allowed(letter: char) -> char {
    if matches!(letter, '/' | '\\' | '<' | '>' | ':' | '"' | '|' | '?' | '*') {
        '_'
    } else {
        letter
    }
}

/// At most so many bytes, cut between characters.
fn cut(stem: &str, most: usize) -> &str {
    trimmed(&stem[..stem.floor_char_boundary(most)])
}

/// Without the dots and blanks at the end, which Windows drops.
fn trimmed(text: &str) -> &str {
    text.trim_end_matches(|letter: char| letter == '.' || letter.is_whitespace())
}

/// Adds what keeps a name from meaning something else.
fn guard(name: &mut String) {
    if is_reserved(name) {
        name.insert(0, '_');
    }
    if looks_unfinished(name) {
        name.push('_');
    }
}

/// Whether Windows takes it for a device, whatever the extension ("Naming Files, Paths, and Namespaces").
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

/// Whether it ends as unfinished files do ([`super::part_of`]).
fn looks_unfinished(name: &str) -> bool {
    let end = name.as_bytes().last_chunk::<{ PART_SUFFIX.len() }>();
    end.is_some_and(|end| end.eq_ignore_ascii_case(PART_SUFFIX.as_bytes()))
}
