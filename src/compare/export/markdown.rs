//! A comparison as a table of GitHub Flavored Markdown: a column per mode, and the findings. Pure.
//!
//! Text that could be markup is written as a code span.

use std::io::{self, Write};

use super::figures::FIGURES;
use super::{against, head, remarks};
use crate::compare::result::Comparison;
use crate::report::markdown::{cell, code};

/// Writes the page.
pub(crate) fn page(comparison: &Comparison, out: &mut Vec<u8>) -> io::Result<()> {
    for reason in &comparison.reasons {
        writeln!(out, "**Not comparable:** {}\n", plain_or_code(reason))?;
    }
    if comparison.reasons.is_empty() && !comparison.verdict.is_empty() {
        writeln!(out, "{}\n", plain_or_code(&comparison.verdict))?;
    }
    let head = head(comparison);
    writeln!(out, "{}: {}  ", plain_or_code(&head.workload), plain_or_code(&head.extent))?;
    for line in &head.lines {
        writeln!(out, "{}", plain_or_code(line))?;
    }
    let contestants = &comparison.contestants;
    let names = contestants.iter().map(|one| plain_or_cell(&one.name()));
    let title = if comparison.comparable { "Median" } else { "Median (not comparable)" };
    writeln!(out, "\n| {title} | {} |", names.collect::<Vec<_>>().join(" | "))?;
    writeln!(out, "|---|{}", "---:|".repeat(contestants.len()))?;
    for figure in FIGURES.iter().flat_map(|group| group.figures) {
        let values = contestants.iter().map(|one| plain_or_cell(&(figure.text)(one)));
        writeln!(out, "| {} | {} |", figure.name, values.collect::<Vec<_>>().join(" | "))?;
    }
    let remarks = remarks(comparison);
    let explained = comparison.explanation.iter().map(|sentence| plain_or_code(sentence));
    let remarked = remarks.iter().map(|remark| format!("Note: {}", plain_or_code(remark)));
    let earlier = against(comparison);
    let earlier = earlier.iter().map(|sentence| plain_or_code(sentence));
    for (place, point) in explained.chain(remarked).chain(earlier).enumerate() {
        writeln!(out, "{}- {point}", if place == 0 { "\n" } else { "" })?;
    }
    Ok(())
}

/// The text as it is if nothing in it can be markup, else as a code span.
fn plain_or_code(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { code(text) }
}

fn plain_or_cell(text: &str) -> String {
    if is_plain(text) || text == "-" { text.to_owned() } else { cell(text) }
}

/// Whether a text has only ASCII letters, digits and punctuation that no Markdown renderer takes for markup. Some punctuation
/// is harmless only before a space, since renderers make links of `www.a.b` and `a.b`.
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
