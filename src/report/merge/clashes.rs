//! Detects clashes: records with the same place in a list but different URLs. The reports are then of different lists with
//! the same name.

use super::super::escape::printable;
use super::{KEY_SEPARATOR, number_of};
use crate::external_sort::SortItem;

/// The clashes of a merge.
#[derive(Debug, Default)]
pub(super) struct Clashes {
    /// The number of the first record of each file, and the name of the file.
    files: Vec<(u64, String)>,
    count: u64,
    /// The warning about the first clash.
    first: Option<String>,
}

impl Clashes {
    /// Notes that the records from `number` on are from the file `name`.
    pub(super) fn begin_file(&mut self, name: &str, number: u64) {
        self.files.push((number, printable(name).into_owned()));
    }

    /// Counts a clash if two successive items have the same place in the list.
    pub(super) fn note(&mut self, one: &SortItem, other: &SortItem) {
        let ((place, url), (other_place, other_url)) = (split_key(&one.key), split_key(&other.key));
        if place != other_place {
            return;
        }
        self.count += 1;
        if self.first.is_some() {
            return;
        }
        let (index, source) = place.split_at(size_of::<u64>());
        let index = index.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let to_printable = |bytes| printable(&String::from_utf8_lossy(bytes)).into_owned();
        let (file, other_file) = (self.file_of(one), self.file_of(other));
        let files = match file == other_file {
            true => format!("{file} has records of different lists"),
            false => format!("{file} and {other_file} are of different lists"),
        };
        self.first = Some(format!(
            "{files} with the same name: entry {index} of {} is {} and {}; all records were kept; fetch list files \
             with different names, or --shard I/N of one list",
            to_printable(source),
            to_printable(url),
            to_printable(other_url)
        ));
    }

    /// Number of records with the same place as the record before them, but a different URL.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The warning about the first clash; `None` if there is none.
    pub(super) fn first_warning(&self) -> Option<&str> {
        self.first.as_deref()
    }

    fn file_of(&self, item: &SortItem) -> &str {
        let number = number_of(item.order);
        let after = self.files.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).map_or("", |place| &self.files[place].1)
    }
}

/// Splits a key into the place in the list (index and source) and the listed text.
fn split_key(key: &[u8]) -> (&[u8], &[u8]) {
    let (_, source) = key.split_at(size_of::<u64>());
    let end = source.iter().position(|byte| *byte == KEY_SEPARATOR).unwrap_or(source.len());
    let end = size_of::<u64>() + end;
    (&key[..end], key.get(end + 1..).unwrap_or_default())
}
