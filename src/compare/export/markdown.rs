//! A comparison as a table of GitHub Flavored Markdown: a column per mode, and the findings. Pure.
//!
//! Text that could be markup is written as a code span.

use std::io::{self, Write};

use super::figures::FIGURES;
use super::{against, head, remarks};
use crate::compare::result::Comparison;
use crate::report::markdown::{cell, code};

/// Writes the page.
pub(crate) fn page(comparison: &Comparison, page: &mut Vec<u8>) -> io::Result<()> {
    for reason in &comparison.reasons {
        writeln!(page, "**Not comparable:** {}\n", words(reason))?;
    }
    if comparison.reasons.is_empty() && !comparison.verdict.is_empty() {
        writeln!(page, "{}\n", words(&comparison.verdict))?;
    }
    let head = head(comparison);
    writeln!(page, "{}: {}  ", words(&head.workload), words(&head.extent))?;
    for line in &head.lines {
        writeln!(page, "{}", words(line))?;
    }
    let contestants = &comparison.contestants;
    let names = contestants.iter().map(|one| words_in_a_cell(&one.name()));
    let title = if comparison.comparable { "Median" } else { "Median (not comparable)" };
    writeln!(page, "\n| {title} | {} |", names.collect::<Vec<_>>().join(" | "))?;
    writeln!(page, "|---|{}", "---:|".repeat(contestants.len()))?;
    for figure in FIGURES.iter().flat_map(|group| group.figures) {
        let values = contestants.iter().map(|one| words_in_a_cell(&(figure.text)(one)));
        writeln!(page, "| {} | {} |", figure.name, values.collect::<Vec<_>>().join(" | "))?;
    }
    let remarks = remarks(comparison);
    let explained = comparison.explanation.iter().map(|sentence| words(sentence));
    let remarked = remarks.iter().map(|remark| format!("Note: {}", words(remark)));
    let earlier = against(comparison);
    let earlier = earlier.iter().map(|sentence| words(sentence));
    for (place, point) in explained.chain(remarked).chain(earlier).enumerate() {
        writeln!(page, "{}- {point}", if place == 0 { "\n" } else { "" })?;
    }
    Ok(())
}

/// The text as it is, if nothing in it can be markup, else as a code span.
fn words(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { code(text) }
}

fn words_in_a_cell(text: &str) -> String {
    if is_plain(text) || text == "-" { text.to_owned() } else { cell(text) }
}

/// Whether a text is letters, numbers and marks that mean nothing to any reader of Markdown. Of marks that do, a few
/// mean nothing before a space; a reader that makes links of `www.a.b` or `a.b` finds none.
fn is_plain(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    characters.iter().enumerate().all(|(place, character)| {
        let next = characters.get(place + 1).copied().unwrap_or(' ');
        match character {
            ' ' | ',' | ';' | '(' | ')' | '%' | '/' | '\'' | '=' => true,
            '.' => next == ' ' || next.is_ascii_digit(),
            ':' | '<' => next == ' ',
            '-' => place > 0,
            character => character.is_ascii_alphanumeric(),
        }
    })
}
