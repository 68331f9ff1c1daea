//! A fuzz target for saved comparisons.

use super::{csv, html, jsonl, markdown, parse};
use crate::text::is_hidden;

/// A saved comparison: it stays the same when it is written and read again, and no format contains hidden characters.
pub fn comparison(data: &[u8]) {
    let Ok(comparison) = parse(data) else { return };
    let mut page = Vec::new();
    jsonl(&comparison, &mut page).expect("memory takes all");
    assert_eq!(parse(&page), Ok(comparison.clone()));
    for write in [csv::page, html::page, markdown::page] {
        page.clear();
        write(&comparison, &mut page).expect("memory takes all");
        let shown = str::from_utf8(&page).expect("text");
        let hidden = |character| is_hidden(character) && !"\r\n\t".contains(character);
        assert!(!shown.contains(hidden), "{shown:?}");
    }
}
