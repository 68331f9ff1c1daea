//! HTML that needs no script: text, lists of facts, and tables. Pure.

use std::fmt::Write;

use crate::report::escape::printable;
use crate::units::{grouped, human_bytes};

/// Escapes a text for HTML: none of it is markup, and unprintable characters are made visible.
pub(crate) fn text(text: &str) -> String {
    let text = printable(text);
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The content of a `dl`: names and values.
pub(crate) fn facts<N: AsRef<str>, V: AsRef<str>>(
    facts: impl IntoIterator<Item = (N, V)>,
) -> String {
    let fact = |(name, value): (N, V)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>\n", text(name.as_ref()), text(value.as_ref()))
    };
    facts.into_iter().map(fact).collect()
}

/// The content of a `ul`.
pub(crate) fn items(items: &[String]) -> String {
    items.iter().map(|item| format!("<li>{}</li>\n", text(item))).collect()
}

/// A column of a table.
pub(crate) struct HtmlColumn<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether its cells are aligned to the right.
    pub is_number: bool,
}

/// A cell of a table: its text, and the number that it is sorted by; `None` if it is sorted by its text.
pub(crate) struct HtmlCell {
    text: String,
    value: Option<f64>,
}

impl HtmlCell {
    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), value: None }
    }

    /// A number, its digits in groups.
    pub(crate) fn count(count: u64) -> Self {
        Self { text: grouped(count), value: Some(count as f64) }
    }

    /// A number; an empty cell if there is none.
    pub(crate) fn count_if_known(count: Option<u64>) -> Self {
        count.map_or_else(|| Self::text(""), Self::count)
    }

    /// A size in bytes.
    pub(crate) fn bytes(bytes: u64) -> Self {
        Self { text: human_bytes(bytes), value: Some(bytes as f64) }
    }

    /// A share, as a percentage.
    pub(crate) fn share(share: f64) -> Self {
        Self { text: format!("{:.1}%", 100.0 * share), value: Some(share) }
    }
}

/// The columns of these names; a `#` before a name marks a column of numbers.
pub(crate) fn columns<'a>(names: &[&'a str]) -> Vec<HtmlColumn<'a>> {
    let column = |name: &&'a str| match name.strip_prefix('#') {
        Some(name) => HtmlColumn { name, is_number: true },
        None => HtmlColumn { name, is_number: false },
    };
    names.iter().map(column).collect()
}

/// A table in a scrolling region, which has the ID `id`. The first cell of a row is its header.
pub(crate) fn table(
    id: &str,
    caption: &str,
    columns: &[HtmlColumn],
    rows: impl IntoIterator<Item = Vec<HtmlCell>>,
) -> String {
    let mut table = open_table(id, caption, columns);
    table.push_str("<tbody>\n");
    rows.into_iter().for_each(|cells| row(&cells, columns, "", &mut table));
    table.push_str("</tbody>\n</table></div>\n");
    table
}

/// The rows of a table under a common name.
pub(crate) struct HtmlRowGroup {
    /// The name.
    pub name: &'static str,
    /// Its rows; `true` if the row is a detail of the row above.
    pub rows: Vec<(bool, Vec<HtmlCell>)>,
}

/// A table like [`table`], its rows in groups.
pub(crate) fn grouped_table(
    id: &str,
    caption: &str,
    columns: &[HtmlColumn],
    groups: impl IntoIterator<Item = HtmlRowGroup>,
) -> String {
    let mut table = open_table(id, caption, columns);
    for group in groups {
        let (name, span) = (text(group.name), columns.len());
        let _ = writeln!(
            table,
            "<tbody>\n<tr><th scope=\"rowgroup\" colspan=\"{span}\">{name}</th></tr>"
        );
        for (is_part, cells) in group.rows {
            row(&cells, columns, if is_part { " class=\"part\"" } else { "" }, &mut table);
        }
        table.push_str("</tbody>\n");
    }
    table.push_str("</table></div>\n");
    table
}

fn open_table(id: &str, caption: &str, columns: &[HtmlColumn]) -> String {
    let caption = text(caption);
    let mut table = format!(
        "<div id=\"{id}\" class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}: table\">\
         <table>\n<caption class=\"visually-hidden\">{caption}</caption>\n<thead><tr>"
    );
    for column in columns {
        let class = if column.is_number { " class=\"number\"" } else { "" };
        let _ = write!(table, "<th scope=\"col\"{class}>{}</th>", text(column.name));
    }
    table.push_str("</tr></thead>\n");
    table
}

fn row(cells: &[HtmlCell], columns: &[HtmlColumn], head_class: &str, table: &mut String) {
    table.push_str("<tr>");
    for (place, (cell, column)) in cells.iter().zip(columns).enumerate() {
        let value = cell.value.map(|value| format!(" data-value=\"{value}\"")).unwrap_or_default();
        let text = text(&cell.text);
        let _ = match place {
            0 if column.is_number => {
                write!(table, "<th scope=\"row\" class=\"number\"{value}>{text}</th>")
            }
            0 => write!(table, "<th scope=\"row\"{head_class}{value}>{text}</th>"),
            _ if column.is_number => write!(table, "<td class=\"number\"{value}>{text}</td>"),
            _ => write!(table, "<td{value}>{text}</td>"),
        };
    }
    table.push_str("</tr>\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_table_has_heads_for_its_columns_and_rows_and_numbers_to_sort_by() {
        let rows = [vec![
            HtmlCell::text("<b>"),
            HtmlCell::count(1234),
            HtmlCell::bytes(2048),
            HtmlCell::share(0.125),
            HtmlCell::count_if_known(None),
        ]];
        let columns = columns(&["Class", "#URLs", "#Bytes", "#Share", "#Status"]);
        let table = table("x", "All \"x\"", &columns, rows);
        insta::assert_snapshot!(table, @r#"
        <div id="x" class="wide" tabindex="0" role="region" aria-label="All &quot;x&quot;: table"><table>
        <caption class="visually-hidden">All &quot;x&quot;</caption>
        <thead><tr><th scope="col">Class</th><th scope="col" class="number">URLs</th><th scope="col" class="number">Bytes</th><th scope="col" class="number">Share</th><th scope="col" class="number">Status</th></tr></thead>
        <tbody>
        <tr><th scope="row">&lt;b&gt;</th><td class="number" data-value="1234">1,234</td><td class="number" data-value="2048">2.0 KiB</td><td class="number" data-value="0.125">12.5%</td><td class="number"></td></tr>
        </tbody>
        </table></div>
        "#);
    }

    proptest! {
        #[test]
        fn no_text_is_markup_or_ends_an_attribute(hostile in "([<>&\"'\\u{1b}\\u{202e}]|\\PC){0,20}") {
            let escaped = text(&hostile);
            let acts = escaped.contains(['<', '>', '"', '\'', '\u{1b}', '\u{202e}']);
            prop_assert!(!acts);
            let plain = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            let plain = plain.replace("&#39;", "'").replace("&amp;", "&");
            prop_assert_eq!(plain, printable(&hostile));
        }
    }
}
