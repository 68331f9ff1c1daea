//! Records of one place in a list that have different URLs: the reports are those of different lists with the same name.

use super::super::escape::printable;
use super::{LISTED, number_of};
use crate::external_sort::SortItem;

/// The clashes of a merge.
#[derive(Debug, Default)]
pub(super) struct Clashes {
    /// The number of the first record of each file, and its name.
    files: Vec<(u64, String)>,
    count: u64,
    first: Option<String>,
}

impl Clashes {
    /// The records from this number on are in a file of this name.
    pub(super) fn begin_file(&mut self, name: &str, number: u64) {
        self.files.push((number, printable(name).into_owned()));
    }

    /// Notes two items that follow one another, if they have one place in the list.
    pub(super) fn note(&mut self, one: &SortItem, other: &SortItem) {
        let ((place, url), (other_place, other_url)) = (split(&one.key), split(&other.key));
        if place != other_place {
            return;
        }
        self.count += 1;
        if self.first.is_some() {
            return;
        }
        let (index, source) = place.split_at(size_of::<u64>());
        let index = index.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let shown = |bytes| printable(&String::from_utf8_lossy(bytes)).into_owned();
        let (file, other_file) = (self.file_of(one), self.file_of(other));
        let files = match file == other_file {
            true => format!("{file} has records of different lists"),
            false => format!("{file} and {other_file} are of different lists"),
        };
        self.first = Some(format!(
            "{files} with the same name: entry {index} of {} is {} and {}; all records were kept; fetch list files \
             with different names, or --shard I/N of one list",
            shown(source),
            shown(url),
            shown(other_url)
        ));
    }

    /// Records that have the place of one before them, and another URL.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// A sentence about the first two; `None` if there are none.
    pub(super) fn about_first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    fn file_of(&self, item: &SortItem) -> &str {
        let number = number_of(item.order);
        let after = self.files.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).map_or("", |place| &self.files[place].1)
    }
}

/// The place in the list that a key is of, and the text there.
fn split(key: &[u8]) -> (&[u8], &[u8]) {
    let (_, source) = key.split_at(size_of::<u64>());
    let end = source.iter().position(|byte| *byte == LISTED).unwrap_or(source.len());
    let end = size_of::<u64>() + end;
    (&key[..end], key.get(end + 1..).unwrap_or_default())
}
