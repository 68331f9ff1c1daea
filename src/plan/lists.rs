//! How lists are read: their format, and what the columns of tables mean.

/// How lists are read. A column is given by its name, or by its number from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// The format of all lists.
    pub format: ListFormat,
    /// What separates the columns of CSV; `None` is decided by the first line.
    pub delimiter: Option<u8>,
    /// The column of URLs; `None` is decided by the names and the first row.
    pub url_column: Option<String>,
    /// The column with what the list calls a URL.
    pub id_column: Option<String>,
    /// The column with the names of files.
    pub out_column: Option<String>,
    /// The column with checksums.
    pub checksum_column: Option<String>,
    /// The columns that come back in every record.
    pub carry: CarryChoice,
    /// The column whose text is saved beside each body; it is carried as well.
    pub text_column: Option<String>,
}

impl ListOptions {
    /// The columns that are named, with the options that name them.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let single = [
            ("--url-column", &self.url_column),
            ("--id-column", &self.id_column),
            ("--out-column", &self.out_column),
            ("--checksum-column", &self.checksum_column),
        ];
        let single =
            single.into_iter().filter_map(|(option, name)| Some((option, name.as_deref()?)));
        single.chain(self.carried_columns())
    }

    /// The columns that are carried, each once, with the options that name them; if all are, the one of texts.
    pub fn carried_columns(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let carried = match &self.carry {
            CarryChoice::Columns(names) => &names[..],
            CarryChoice::Nothing | CarryChoice::All => &[],
        };
        let text = self.text_column.iter().filter(|name| !carried.contains(name));
        let carried = carried.iter().map(|name| ("--carry", &**name));
        carried.chain(text.map(|name| ("--text-column", &**name)))
    }

    /// Whether the options mean something for tables only.
    pub fn are_about_tables(&self) -> bool {
        self.columns().next().is_some() || self.carry == CarryChoice::All
    }
}

/// The format of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListFormat {
    /// By the name and the content of each list.
    #[default]
    Auto,
    /// One URL a line, with option lines.
    Text,
    /// Comma-separated values (RFC 4180), also with another delimiter.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One JSON string or object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

/// The columns that come back in every record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CarryChoice {
    /// None.
    #[default]
    Nothing,
    /// These.
    Columns(Vec<String>),
    /// All but the one of URLs.
    All,
}
