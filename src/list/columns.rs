//! What the columns of a table mean: which one has the URLs, and what the others are for.

use super::other_formats::position_of_url;
use crate::digest::Algorithm;
use crate::plan::{CarryChoice, ListOptions};

/// Names of the column of URLs, in lower case, the most certain first.
const URL_NAMES: [&str; 5] = ["url", "link", "href", "address", "uri"];

/// The most columns that a message lists.
const MAX_LISTED: usize = 20;

/// The columns of a table, found once for all rows.
#[derive(Debug)]
pub(super) struct Columns {
    /// All columns, in their order; without a header, their numbers.
    pub names: Vec<Box<str>>,
    /// The column of URLs.
    pub url: usize,
    /// The column with the ids of URLs.
    pub id: Option<usize>,
    /// The column with the names of files.
    pub out: Option<usize>,
    /// The column with checksums.
    pub checksum: Option<usize>,
    /// The algorithm that the name of that column states.
    pub algorithm: Option<Algorithm>,
    /// The columns that are carried, in the order in which they were asked for.
    pub carried: Vec<usize>,
    /// Whether columns that only later rows have are carried too.
    pub carries_all: bool,
}

/// What is known about the columns of a table before their meaning is.
pub(super) struct TableHead<'a> {
    /// Their names; without a header, their numbers.
    pub names: Vec<Box<str>>,
    /// The cells of the first row; `None` for one that is not a text.
    pub first: &'a [Option<&'a str>],
    /// Whether rows may have further columns.
    pub is_open: bool,
}

impl TableHead<'_> {
    /// Finds the columns that these options need.
    ///
    /// # Errors
    /// A message about what is missing, with the names of the columns.
    pub(super) fn columns(self, options: &ListOptions) -> Result<Columns, String> {
        let mut names = self.names;
        let url = match &options.url_column {
            Some(name) => find(&names, "--url-column", name)?,
            None => url_column(&names, self.first)?,
        };
        let mut optional = |option, name: &Option<String>| match name {
            Some(name) => find_or_add(&mut names, self.is_open, option, name).map(Some),
            None => Ok(None),
        };
        let id = optional("--id-column", &options.id_column)?;
        let out = optional("--out-column", &options.out_column)?;
        let checksum = optional("--checksum-column", &options.checksum_column)?;
        let mut carried = Vec::new();
        for (option, name) in options.carried_columns() {
            carried.push(find_or_add(&mut names, self.is_open, option, name)?);
        }
        if options.carry == CarryChoice::All {
            carried = (0..names.len()).filter(|column| *column != url).collect();
        }
        let algorithm = checksum.and_then(|column| names[column].parse().ok());
        let carries_all = options.carry == CarryChoice::All && self.is_open;
        Ok(Columns { names, url, id, out, checksum, algorithm, carried, carries_all })
    }
}

/// The column of this name, or of this number.
fn find(names: &[Box<str>], option: &str, name: &str) -> Result<usize, String> {
    let named = names.iter().position(|known| **known == *name);
    let by_number = || column_number(name).filter(|number| *number <= names.len());
    named.or_else(|| by_number().map(|number| number - 1)).ok_or_else(|| {
        format!(
            "{option}: no column '{}'; the columns are {}",
            display_name(name),
            list_columns(names)
        )
    })
}

/// The position of the column of this name or number.
#[cfg(feature = "parquet")]
pub(crate) fn position_of_column(names: &[Box<str>], name: &str) -> Option<usize> {
    find(names, "", name).ok()
}

/// A message about a column of these options that does not exist; `None` if all do.
#[cfg(feature = "parquet")]
pub(crate) fn missing_column(names: &[Box<str>], options: &ListOptions) -> Option<String> {
    options.columns().find_map(|(option, name)| find(names, option, name).err())
}

/// The column of URLs, by its name.
#[cfg(feature = "parquet")]
pub(crate) fn url_column_by_name(names: &[Box<str>]) -> Option<usize> {
    url_column(names, &[]).ok()
}

/// The column of this name or number. If later rows may have further columns (`is_open`), a missing one is added.
fn find_or_add(
    names: &mut Vec<Box<str>>,
    is_open: bool,
    option: &str,
    name: &str,
) -> Result<usize, String> {
    match find(names, option, name) {
        Err(_) if is_open && column_number(name).is_none() => {
            names.push(name.into());
            Ok(names.len() - 1)
        }
        found => found,
    }
}

/// Parses the number of a column, from 1.
pub(super) fn column_number(name: &str) -> Option<usize> {
    name.parse().ok().filter(|number| *number > 0)
}

/// The column of URLs: by its name, else the only one with a URL in the first row.
fn url_column(names: &[Box<str>], first: &[Option<&str>]) -> Result<usize, String> {
    let named = |wanted: &&str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
    if let Some(column) = URL_NAMES.iter().find_map(named) {
        return Ok(column);
    }
    let is_url =
        |text: &Option<&str>| text.is_some_and(|text| position_of_url(text.trim()) == Some(0));
    let mut columns = (0..first.len()).filter(|column| is_url(&first[*column]));
    let problem = match (columns.next(), columns.next()) {
        (Some(column), None) => return Ok(column),
        (Some(_), Some(_)) => "several columns have URLs",
        (None, _) => "no column has URLs in the first row",
    };
    let columns = list_columns(names);
    Err(format!("{problem}; name one with --url-column; the columns are {columns}"))
}

/// The columns, for a message.
fn list_columns(names: &[Box<str>]) -> String {
    let mut text = names.iter().take(MAX_LISTED).map(|name| display_name(name)).collect::<Vec<_>>();
    if names.len() > MAX_LISTED {
        text.push(format!("and {} more", names.len() - MAX_LISTED));
    }
    text.join(", ")
}

/// The name of a column, for a message.
pub(super) fn display_name(name: &str) -> String {
    crate::redaction::redacted_line(name)
}

/// Distinct names for all columns: an empty name becomes `columnN`, a repeated one gets a number appended.
pub(super) fn distinct_names(names: impl IntoIterator<Item = String>) -> Vec<Box<str>> {
    let mut seen = std::collections::HashSet::new();
    let mut named = Vec::new();
    for (column, name) in names.into_iter().enumerate() {
        let name = if name.is_empty() { format!("column{}", column + 1) } else { name };
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut candidates = std::iter::once(name.clone()).chain(numbered);
        let free = candidates.find(|name| !seen.contains(name)).expect("there is always another");
        seen.insert(free.clone());
        named.push(free.into());
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str], first: &[&str], options: &ListOptions) -> Result<Columns, String> {
        let first: Vec<_> = first.iter().copied().map(Some).collect();
        let names = distinct_names(names.iter().map(|name| (*name).to_owned()));
        TableHead { names, first: &first, is_open: false }.columns(options)
    }

    #[test]
    fn the_column_of_urls_is_found_by_its_name_or_its_first_text() {
        let url = |names: &[&str], first: &[&str]| {
            columns(names, first, &ListOptions::default()).map(|columns| columns.url)
        };
        assert_eq!(url(&["id", "link", "URL"], &[]), Ok(2));
        assert_eq!(url(&["id", "href"], &[]), Ok(1));
        assert_eq!(url(&["id", "image"], &["1", "HTTPS://a.b/"]), Ok(1));
        let two = url(&["page", "image"], &["http://a.b/", "http://a.b/x"]).unwrap_err();
        assert_eq!(
            two,
            "several columns have URLs; name one with --url-column; the columns are page, image"
        );
        let none = url(&["a", "", "a"], &["1", "2", "3"]).unwrap_err();
        assert!(none.ends_with("the columns are a, column2, a_2"), "{none}");
    }

    #[test]
    fn a_column_is_a_name_or_a_number_and_a_name_counts_more() {
        let options = |url: &str, carry: &[&str]| ListOptions {
            url_column: Some(url.to_owned()),
            carry: CarryChoice::Columns(carry.iter().map(|name| (*name).to_owned()).collect()),
            ..ListOptions::default()
        };
        let names = ["a", "b", "1"];
        let found = columns(&names, &[], &options("2", &["1", "a"])).unwrap();
        assert_eq!((found.url, found.carried), (1, vec![2, 0]));
        for wrong in ["4", "0", "c", ""] {
            let error = columns(&names, &[], &options(wrong, &[])).unwrap_err();
            assert!(error.starts_with("--url-column: no column '"), "{error}");
            assert!(columns(&names, &[], &options("a", &[wrong])).is_err());
        }
    }
}
