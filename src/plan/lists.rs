//! List options: the format of lists, and what the columns of tables mean.

/// How lists are read. A column is given by its name, or by its number from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// The format of all lists.
    pub format: ListFormat,
    /// The separator of CSV columns; `None`: determined from the first line.
    pub delimiter: Option<u8>,
    /// The column with URLs; `None`: determined from the column names and the first row.
    pub url_column: Option<String>,
    /// The column with the list's own identifier of each URL.
    pub id_column: Option<String>,
    /// The column with the names of files.
    pub out_column: Option<String>,
    /// The column with checksums.
    pub checksum_column: Option<String>,
    /// The columns that are copied into every record.
    pub carry: CarryChoice,
    /// The column whose text is saved beside each body; it is carried as well.
    pub text_column: Option<String>,
}

impl ListOptions {
    /// The columns that options name, each with its option.
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

    /// The carried columns that options name, each once and with its option. With [`CarryChoice::All`], only the text
    /// column is named.
    pub fn carried_columns(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let carried = match &self.carry {
            CarryChoice::Columns(names) => &names[..],
            CarryChoice::Nothing | CarryChoice::All => &[],
        };
        let text = self.text_column.iter().filter(|name| !carried.contains(name));
        let carried = carried.iter().map(|name| ("--carry", &**name));
        carried.chain(text.map(|name| ("--text-column", &**name)))
    }

    /// Whether any option applies to tables only.
    pub fn are_about_tables(&self) -> bool {
        self.columns().next().is_some() || self.carry == CarryChoice::All
    }
}

/// The format of lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListFormat {
    /// Determined from the name and content of each list.
    #[default]
    Auto,
    /// One URL per line, with option lines.
    Text,
    /// Comma-separated values (RFC 4180), or with another delimiter.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One JSON string or object per line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

/// The columns that are copied into every record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CarryChoice {
    /// None.
    #[default]
    Nothing,
    /// These.
    Columns(Vec<String>),
    /// All except the URL column.
    All,
}
