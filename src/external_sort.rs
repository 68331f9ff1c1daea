//! Sorts any number of items in bounded memory: sorted runs go to an unnamed temporary file and are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

use crate::temporary_file;

/// Runs that are merged at once.
const FAN_IN: usize = 512;

/// Bytes that are read of a run at once.
const CHUNK: usize = 64 * 1024;

/// Items on their way to being sorted.
#[derive(Debug)]
pub(crate) struct ExternalSort {
    /// Items that are not sorted, one after another.
    items: Vec<u8>,
    /// Where each of them begins.
    starts: Vec<usize>,
    /// Bytes at the beginning that the keys of all of them have in common.
    common: usize,
    memory: usize,
    fan_in: usize,
    spilled: Option<SpilledRuns>,
}

/// Sorted runs in a file.
#[derive(Debug)]
struct SpilledRuns {
    file: File,
    end: u64,
    /// The first byte and the length of each, and how often it was merged.
    runs: Vec<(u64, u64, u32)>,
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SortItem {
    /// What is sorted by first.
    pub key: Vec<u8>,
    /// What is sorted by among equal keys.
    pub order: u64,
    /// What it is.
    pub text: Vec<u8>,
}

/// Bytes of the lengths and the order before the texts of an item.
const HEAD: usize = 16;

impl SortItem {
    fn read(mut from: impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; HEAD];
        match from.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let (key, text, order) = lengths(&head);
        let mut item = Self { key: vec![0; key], order, text: vec![0; text] };
        from.read_exact(&mut item.key)?;
        from.read_exact(&mut item.text)?;
        Ok(Some(item))
    }
}

fn lengths(head: &[u8]) -> (usize, usize, u64) {
    let half = |at| u64::from_be_bytes(std::array::from_fn(|byte| head[at + byte]));
    let lengths = half(0);
    ((lengths >> 32) as usize, (lengths & u64::from(u32::MAX)) as usize, half(8))
}

/// The first bytes as a number, which is no greater than that of a greater text.
fn leading(text: &[u8]) -> u64 {
    let mut first = [0; 8];
    let known = text.len().min(first.len());
    first[..known].copy_from_slice(&text[..known]);
    u64::from_be_bytes(first)
}

/// The number of bytes at the beginning that are equal.
fn equal_bytes(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn write_head(key: usize, text: usize, order: u64, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&(key as u32).to_be_bytes())?;
    out.write_all(&(text as u32).to_be_bytes())?;
    out.write_all(&order.to_be_bytes())
}

impl ExternalSort {
    /// No items. Those that have more than so many bytes are sorted in parts.
    pub(crate) fn new(memory: usize) -> Self {
        Self::within(memory, FAN_IN)
    }

    fn within(memory: usize, fan_in: usize) -> Self {
        Self { items: Vec::new(), starts: Vec::new(), common: 0, memory, fan_in, spilled: None }
    }

    /// Adds an item. Key and text have less than 4 GiB.
    ///
    /// # Errors
    /// If the temporary file cannot be created or written.
    pub(crate) fn add(&mut self, key: &[u8], order: u64, text: &[u8]) -> io::Result<()> {
        let more = HEAD + key.len() + text.len();
        if !self.items.is_empty() && self.items.len() + more > self.memory {
            self.spill()?;
        }
        // At once: a vector that doubles would take twice as much.
        if self.items.capacity() == 0 {
            self.items.reserve_exact(self.memory);
        }
        self.common = match self.starts.first() {
            Some(first) => equal_bytes(&self.key_at(*first)[..self.common], key),
            None => key.len(),
        };
        self.starts.push(self.items.len());
        write_head(key.len(), text.len(), order, &mut self.items)?;
        self.items.extend_from_slice(key);
        self.items.extend_from_slice(text);
        Ok(())
    }

    /// Passes on all items, sorted by key and order.
    ///
    /// # Errors
    /// Those of the temporary file, and the first one of `take`.
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
        let (key, ..) = lengths(&self.items[start..]);
        &self.items[start + HEAD..start + HEAD + key]
    }

    fn item_at(&self, start: usize) -> SortItem {
        let (key, text, order) = lengths(&self.items[start..]);
        let text = &self.items[start + HEAD + key..start + HEAD + key + text];
        SortItem { key: self.key_at(start).to_vec(), order, text: text.to_vec() }
    }

    /// Sorts the items in memory. Nearly all comparisons are decided by the bytes of a key behind what all have in common,
    /// which are kept beside the places of the items: those are all over the memory.
    fn sort(&mut self) {
        let in_full = |start: usize| (self.key_at(start), lengths(&self.items[start..]).2);
        let lead = |start: &usize| (leading(&self.key_at(*start)[self.common..]), *start);
        let mut places: Vec<_> = self.starts.iter().map(lead).collect();
        places.sort_unstable_by(|(one, start), (other, there)| {
            one.cmp(other).then_with(|| in_full(*start).cmp(&in_full(*there)))
        });
        self.starts = places.into_iter().map(|(_, start)| start).collect();
    }

    /// Writes the items in memory as a run.
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
                let (key, text, _) = lengths(&items[*start..]);
                out.write_all(&items[*start..start + HEAD + key + text])
            })
        })?;
        self.items.clear();
        self.starts.clear();
        spilled.join(self.fan_in)
    }
}

impl SpilledRuns {
    fn write_run(
        &mut self,
        merged: u32,
        write: impl FnOnce(&mut BufWriter<RunWriter<'_>>) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = self.end;
        let mut out = BufWriter::with_capacity(CHUNK, RunWriter { file: &self.file, at: start });
        write(&mut out)?;
        out.flush()?;
        self.end = out.get_ref().at;
        self.runs.push((start, self.end - start, merged));
        Ok(())
    }

    /// Merges the last runs to one, where as many as can be read at once have been merged equally often.
    fn join(&mut self, fan_in: usize) -> io::Result<()> {
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

/// Writes to a file from a byte on.
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

/// Reads the bytes of a run.
struct RunReader<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for RunReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min((self.end - self.at) as usize);
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Passes on the items of sorted runs, sorted.
fn merge(
    file: &File,
    runs: &[(u64, u64, u32)],
    mut take: impl FnMut(SortItem) -> io::Result<()>,
) -> io::Result<()> {
    let reader = |(start, length, _): &(u64, u64, u32)| {
        let run = RunReader { file, at: *start, end: start + length };
        BufReader::with_capacity(CHUNK, run)
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
            let mut sort = ExternalSort::within(memory, fan_in);
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
