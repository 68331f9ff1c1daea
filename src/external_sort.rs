//! External sorting: sorts any number of items in bounded memory. Sorted runs are written to an unnamed temporary file and
//! merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

use crate::temporary_file;

/// Maximum number of runs that are merged at once.
const FAN_IN: usize = 512;

/// The size of the buffer that a run is read or written with, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// Collects items and sorts them.
#[derive(Debug)]
pub(crate) struct ExternalSort {
    /// The items in memory, serialized one after another.
    items: Vec<u8>,
    /// The position of each item in `items`.
    starts: Vec<usize>,
    /// The length of the common prefix of their keys.
    common: usize,
    /// The maximum length of `items`.
    memory: usize,
    fan_in: usize,
    spilled: Option<SpilledRuns>,
}

/// Sorted runs in a file.
#[derive(Debug)]
struct SpilledRuns {
    file: File,
    end: u64,
    /// The start and length of each run in bytes, and the number of merges it has gone through.
    runs: Vec<(u64, u64, u32)>,
}

/// An item to sort, by key and then by order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SortItem {
    /// The primary sort key.
    pub key: Vec<u8>,
    /// The sort key among equal primary keys.
    pub order: u64,
    /// The content.
    pub text: Vec<u8>,
}

/// The size of an item's head in bytes: the lengths of key and text (4 bytes each), and the order.
const HEAD_BYTES: usize = 16;

impl SortItem {
    /// Reads the next item; `None` at the end.
    fn read(mut from: impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; HEAD_BYTES];
        match from.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let (key, text, order) = parse_head(&head);
        let mut item = Self { key: vec![0; key], order, text: vec![0; text] };
        from.read_exact(&mut item.key)?;
        from.read_exact(&mut item.text)?;
        Ok(Some(item))
    }
}

/// Parses the head of an item: the lengths of key and text, and the order.
fn parse_head(head: &[u8]) -> (usize, usize, u64) {
    let half = |at| u64::from_be_bytes(std::array::from_fn(|byte| head[at + byte]));
    let lengths = half(0);
    ((lengths >> 32) as usize, (lengths & u64::from(u32::MAX)) as usize, half(8))
}

/// The first eight bytes as a number: if one text sorts before another, its number is not greater.
fn leading_number(text: &[u8]) -> u64 {
    let mut first = [0; 8];
    let known = text.len().min(first.len());
    first[..known].copy_from_slice(&text[..known]);
    u64::from_be_bytes(first)
}

/// The length of the common prefix in bytes.
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn write_head(key: usize, text: usize, order: u64, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&(key as u32).to_be_bytes())?;
    out.write_all(&(text as u32).to_be_bytes())?;
    out.write_all(&order.to_be_bytes())
}

impl ExternalSort {
    /// A sort without items, which keeps at most `memory` bytes of items in memory.
    pub(crate) fn new(memory: usize) -> Self {
        Self::with_fan_in(memory, FAN_IN)
    }

    fn with_fan_in(memory: usize, fan_in: usize) -> Self {
        Self { items: Vec::new(), starts: Vec::new(), common: 0, memory, fan_in, spilled: None }
    }

    /// Adds an item. Key and text have less than 4 GiB.
    ///
    /// # Errors
    /// If the temporary file cannot be created or written.
    pub(crate) fn add(&mut self, key: &[u8], order: u64, text: &[u8]) -> io::Result<()> {
        let more = HEAD_BYTES + key.len() + text.len();
        if !self.items.is_empty() && self.items.len() + more > self.memory {
            self.spill()?;
        }
        // Reserved at once, because a vector that grows by doubling may take twice as much.
        if self.items.capacity() == 0 {
            self.items.reserve_exact(self.memory);
        }
        self.common = match self.starts.first() {
            Some(first) => common_prefix(&self.key_at(*first)[..self.common], key),
            None => key.len(),
        };
        self.starts.push(self.items.len());
        write_head(key.len(), text.len(), order, &mut self.items)?;
        self.items.extend_from_slice(key);
        self.items.extend_from_slice(text);
        Ok(())
    }

    /// Passes all items to `take`, sorted by key and order.
    ///
    /// # Errors
    /// Those of the temporary file, and the first error of `take`.
    pub(crate) fn finish(
        mut self,
        mut take: impl FnMut(SortItem) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.spilled.is_none() {
            self.sort();
            return self.starts.iter().try_for_each(|start| take(self.item_at(*start)));
        }
        self.spill()?;
        let Some(spilled) = self.spilled else { return Ok(()) };
        (self.items, self.starts) = (Vec::new(), Vec::new());
        merge(&spilled.file, &spilled.runs, take)
    }

    fn key_at(&self, start: usize) -> &[u8] {
        let (key, ..) = parse_head(&self.items[start..]);
        &self.items[start + HEAD_BYTES..start + HEAD_BYTES + key]
    }

    fn item_at(&self, start: usize) -> SortItem {
        let (key, text, order) = parse_head(&self.items[start..]);
        let text = &self.items[start + HEAD_BYTES + key..start + HEAD_BYTES + key + text];
        SortItem { key: self.key_at(start).to_vec(), order, text: text.to_vec() }
    }

    /// Sorts the items in memory. Most comparisons only need the first eight bytes of a key after the common prefix. These
    /// are kept next to the item's position, because access to the items themselves is random access to memory.
    fn sort(&mut self) {
        let in_full = |start: usize| (self.key_at(start), parse_head(&self.items[start..]).2);
        let lead = |start: &usize| (leading_number(&self.key_at(*start)[self.common..]), *start);
        let mut places: Vec<_> = self.starts.iter().map(lead).collect();
        places.sort_unstable_by(|(one, start), (other, there)| {
            one.cmp(other).then_with(|| in_full(*start).cmp(&in_full(*there)))
        });
        self.starts = places.into_iter().map(|(_, start)| start).collect();
    }

    /// Writes the items in memory to the file as a sorted run.
    fn spill(&mut self) -> io::Result<()> {
        if self.starts.is_empty() {
            return Ok(());
        }
        self.sort();
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            none => none.insert(SpilledRuns {
                file: temporary_file::create()?,
                end: 0,
                runs: Vec::new(),
            }),
        };
        let (items, starts) = (&self.items, &self.starts);
        spilled.write_run(0, |out| {
            starts.iter().try_for_each(|start| {
                let (key, text, _) = parse_head(&items[*start..]);
                out.write_all(&items[*start..start + HEAD_BYTES + key + text])
            })
        })?;
        self.items.clear();
        self.starts.clear();
        spilled.merge_last(self.fan_in)
    }
}

impl SpilledRuns {
    /// Appends a run to the file.
    fn write_run(
        &mut self,
        merged: u32,
        write: impl FnOnce(&mut BufWriter<RunWriter<'_>>) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = self.end;
        let mut out =
            BufWriter::with_capacity(BUFFER_BYTES, RunWriter { file: &self.file, at: start });
        write(&mut out)?;
        out.flush()?;
        self.end = out.get_ref().at;
        self.runs.push((start, self.end - start, merged));
        Ok(())
    }

    /// Merges the last runs into one, as long as `fan_in` of them have gone through the same number of merges.
    fn merge_last(&mut self, fan_in: usize) -> io::Result<()> {
        while let Some((_, _, merged)) = self.runs.last().copied()
            && let equal = self.runs.iter().rev().take_while(|run| run.2 == merged).count()
            && equal >= fan_in
        {
            let runs = self.runs.split_off(self.runs.len() - equal);
            let file = self.file.try_clone()?;
            self.write_run(merged + 1, |out| {
                merge(&file, &runs, |item| {
                    write_head(item.key.len(), item.text.len(), item.order, out)?;
                    out.write_all(&item.key)?;
                    out.write_all(&item.text)
                })
            })?;
        }
        Ok(())
    }
}

/// Writes a run to the file, from byte `at` on.
struct RunWriter<'a> {
    file: &'a File,
    at: u64,
}

impl Write for RunWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.at);
        let written = written.map_err(|error| temporary_file::unwritable(&error))?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a run, from byte `at` to `end`.
struct RunReader<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for RunReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min((self.end - self.at) as usize);
        let read = self.file.read_at(&mut buffer[..length], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Passes the items of all sorted runs to `take`, in sorted order.
fn merge(
    file: &File,
    runs: &[(u64, u64, u32)],
    mut take: impl FnMut(SortItem) -> io::Result<()>,
) -> io::Result<()> {
    let reader = |(start, length, _): &(u64, u64, u32)| {
        let run = RunReader { file, at: *start, end: start + length };
        BufReader::with_capacity(BUFFER_BYTES, run)
    };
    let mut readers: Vec<_> = runs.iter().map(reader).collect();
    let mut next = BinaryHeap::new();
    for (place, reader) in readers.iter_mut().enumerate() {
        next.extend(SortItem::read(reader)?.map(|item| Reverse((item, place))));
    }
    while let Some(Reverse((item, place))) = next.pop() {
        take(item)?;
        next.extend(SortItem::read(&mut readers[place])?.map(|item| Reverse((item, place))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn items_come_sorted_however_many_runs_they_make(
            items in prop::collection::vec((".{0,3}", 0..5_u64, ".{0,9}"), 0..200),
            memory in 1..2000_usize,
            fan_in in 2..5_usize,
        ) {
            let mut sort = ExternalSort::with_fan_in(memory, fan_in);
            for (key, order, text) in &items {
                sort.add(key.as_bytes(), *order, text.as_bytes()).unwrap();
            }
            let mut seen = Vec::new();
            sort.finish(|item| { seen.push(item); Ok(()) }).unwrap();
            let by_key = |item: &SortItem| (item.key.clone(), item.order);
            prop_assert!(seen.is_sorted_by_key(by_key));
            let item = |(key, order, text): (String, u64, String)| {
                SortItem { key: key.into(), order, text: text.into() }
            };
            let mut all: Vec<_> = items.into_iter().map(item).collect();
            all.sort();
            seen.sort();
            prop_assert_eq!(seen, all);
        }
    }
}
