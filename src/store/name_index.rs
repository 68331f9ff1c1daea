//! Who holds which name: a table that keeps at most 24 bytes a name in memory, or none at all in an unnamed temporary
//! file. It keeps no names but bits of their hashes: two names are taken for one about once in 2⁵⁶ pairs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

/// Tables that grow each for itself, so that little is there twice while one does.
const SHARDS: usize = 1 << 10;

/// Bits of a key that are kept in its slot; ten more choose the shard.
const KEY_BITS: u32 = 46;

/// Bits of a check that are kept.
const CHECK_BITS: u32 = 42;

/// Bits for a position.
const POSITION_BITS: u32 = 38;

/// Bits for what holds a name.
const KIND_BITS: u32 = 2;

/// Slots of each shard of a table in a file that has just been made.
const FIRST_IN_FILE: usize = 8;

/// Bytes of a slot.
const SLOT: usize = size_of::<u128>();

/// A name, as the table knows it; equal between runs and machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameKey(u64);

impl NameKey {
    /// The key of a name. Names that a file system takes for one must be given as one.
    pub fn of(name_key: &str) -> Self {
        let [first, _] = halves(name_key.as_bytes());
        Self(first >> (64 - SHARDS.ilog2() - KEY_BITS))
    }

    fn shard(self) -> usize {
        (self.0 >> KEY_BITS) as usize
    }

    fn kept(self) -> u64 {
        low(self.0.into(), KEY_BITS)
    }
}

/// Whose a name is, in a few bits; equal between runs and machines. Of two URLs one in 2⁴² passes for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameCheck(u64);

impl NameCheck {
    /// The check of what a name is for. Other bits than in a [`Key`], should both be taken of the same bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        let [_, second] = halves(bytes.as_ref());
        Self(second >> (64 - CHECK_BITS))
    }
}

/// Who holds a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexedOwner {
    /// A file that was there and that no manifest tells of.
    Folder,
    /// A target of this run.
    Listed {
        /// Of its URL.
        check: NameCheck,
        /// Its place in the list.
        index: u64,
    },
    /// An entry of the manifest.
    Recorded {
        /// Of its URL.
        check: NameCheck,
        /// The byte at which its line starts.
        at: u64,
    },
}

/// The table.
#[derive(Debug)]
pub struct NameIndex {
    shards: Shards,
    names: u64,
}

#[derive(Debug)]
enum Shards {
    Memory(Vec<Shard>),
    File(FileTable),
}

impl NameIndex {
    /// An empty table in memory.
    pub fn in_memory() -> Self {
        let shards = Shards::Memory((0..SHARDS).map(|_| Shard::default()).collect());
        Self { shards, names: 0 }
    }

    /// An empty table in an unnamed temporary file. Once names are many, each takes about 21 to 43 bytes of it, and 64
    /// while it grows.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn in_file() -> io::Result<Self> {
        Ok(Self { shards: Shards::File(FileTable::new(FIRST_IN_FILE)?), names: 0 })
    }

    /// Names that are held.
    #[cfg(test)]
    pub fn len(&self) -> u64 {
        self.names
    }

    /// Whether no name is held.
    pub fn is_empty(&self) -> bool {
        self.names == 0
    }

    /// Who holds a name.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn get(&self, key: &NameKey) -> io::Result<Option<IndexedOwner>> {
        let place = match &self.shards {
            Shards::Memory(shards) => probe(&shards[key.shard()].slots, key.kept())?,
            Shards::File(scratch) => probe(&scratch.region(key.shard()), key.kept())?,
        };
        let IndexProbe::Found(_, slot) = place else { return Ok(None) };
        Ok(Some(holder_in(slot)))
    }

    /// Gives a name to a holder, whoever held it before. If that fails, nothing has changed.
    ///
    /// # Errors
    /// If the index or the byte of the holder is beyond 2³⁸ - 1 (`InvalidInput`), or the temporary file cannot be
    /// written.
    pub fn set(&mut self, key: &NameKey, holder: IndexedOwner) -> io::Result<()> {
        let slot = packed(key, holder)?;
        let is_new = match &mut self.shards {
            Shards::Memory(shards) => shards[key.shard()].set(slot)?,
            Shards::File(scratch) => scratch.set(key.shard(), slot)?,
        };
        self.names += u64::from(is_new);
        Ok(())
    }
}

/// A part of the table in memory.
#[derive(Debug, Default)]
struct Shard {
    slots: Vec<u128>,
    names: usize,
}

impl Shard {
    /// Slots that may be taken before there must be more. A handful is full only when all are.
    fn room(&self) -> usize {
        self.slots.len() - self.slots.len() / 8
    }

    /// Whether the name is new.
    fn set(&mut self, slot: u128) -> io::Result<bool> {
        match probe(&self.slots, key_in(slot))? {
            IndexProbe::Found(at, _) => {
                self.slots[at] = slot;
                return Ok(false);
            }
            IndexProbe::Free(at) if self.names < self.room() => self.slots[at] = slot,
            IndexProbe::Free(_) | IndexProbe::Full => {
                // From 7/8 to 7/10 full: 16 bytes a slot are never more than 23 a name.
                let mut larger = spread(&self.slots, self.slots.len() * 5 / 4 + 1)?;
                put(&mut larger, slot)?;
                self.slots = larger;
            }
        }
        self.names += 1;
        Ok(true)
    }
}

/// The whole table in a file: every shard has as many slots, and they all grow when one must.
#[derive(Debug)]
struct FileTable {
    file: File,
    /// Slots of a shard.
    slots: usize,
    /// Names in each shard.
    names: Vec<usize>,
}

impl FileTable {
    fn new(slots: usize) -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        file.set_len((SHARDS * slots * SLOT) as u64)?;
        Ok(Self { file, slots, names: vec![0; SHARDS] })
    }

    fn region(&self, shard: usize) -> FileShard<'_> {
        FileShard { file: &self.file, first: shard * self.slots, slots: self.slots }
    }

    /// Whether the name is new.
    fn set(&mut self, shard: usize, slot: u128) -> io::Result<bool> {
        match probe(&self.region(shard), key_in(slot))? {
            IndexProbe::Found(at, _) => {
                self.region(shard).put(at, slot)?;
                return Ok(false);
            }
            // A quarter stays free: every slot that is passed is a read.
            IndexProbe::Free(at) if self.names[shard] < self.slots / 4 * 3 => {
                self.region(shard).put(at, slot)?;
            }
            IndexProbe::Free(_) | IndexProbe::Full => {
                let larger = self.doubled()?;
                put(&mut larger.region(shard), slot)?;
                *self = larger;
            }
        }
        self.names[shard] += 1;
        Ok(true)
    }

    /// The same names in another file.
    fn doubled(&self) -> io::Result<Self> {
        let mut larger = Self::new(self.slots * 2)?;
        for shard in (0..SHARDS).filter(|shard| self.names[*shard] > 0) {
            let slots = self.region(shard).load()?;
            larger.region(shard).save(&spread(&slots, larger.slots)?)?;
        }
        larger.names.clone_from(&self.names);
        Ok(larger)
    }
}

/// One shard of a table in a file.
struct FileShard<'a> {
    file: &'a File,
    /// Slots of the file before it.
    first: usize,
    slots: usize,
}

impl FileShard<'_> {
    fn byte(&self, at: usize) -> u64 {
        ((self.first + at) * SLOT) as u64
    }

    fn load(&self) -> io::Result<Vec<u128>> {
        let mut bytes = vec![0; self.slots * SLOT];
        self.file.read_exact_at(&mut bytes, self.byte(0))?;
        Ok(bytes.as_chunks().0.iter().map(|slot| u128::from_le_bytes(*slot)).collect())
    }

    fn save(&self, slots: &[u128]) -> io::Result<()> {
        let bytes: Vec<u8> = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
        self.file.write_all_at(&bytes, self.byte(0))
    }
}

/// Slots in a row, wherever they are. Zero is a free one.
trait SlotArray {
    fn count(&self) -> usize;
    fn get(&self, at: usize) -> io::Result<u128>;
    fn put(&mut self, at: usize, slot: u128) -> io::Result<()>;
}

impl SlotArray for Vec<u128> {
    fn count(&self) -> usize {
        self.len()
    }

    fn get(&self, at: usize) -> io::Result<u128> {
        Ok(self[at])
    }

    fn put(&mut self, at: usize, slot: u128) -> io::Result<()> {
        self[at] = slot;
        Ok(())
    }
}

impl SlotArray for FileShard<'_> {
    fn count(&self) -> usize {
        self.slots
    }

    fn get(&self, at: usize) -> io::Result<u128> {
        let mut bytes = [0; SLOT];
        self.file.read_exact_at(&mut bytes, self.byte(at))?;
        Ok(u128::from_le_bytes(bytes))
    }

    fn put(&mut self, at: usize, slot: u128) -> io::Result<()> {
        self.file.write_all_at(&slot.to_le_bytes(), self.byte(at))
    }
}

/// What is known of a key.
enum IndexProbe {
    /// It is in this slot, which holds this.
    Found(usize, u128),
    /// It is not there; this slot would be its own.
    Free(usize),
    /// It is not there, and no slot is free.
    Full,
}

/// Looks from a key's own slot on until there is a free one (linear probing).
fn probe(slots: &impl SlotArray, key: u64) -> io::Result<IndexProbe> {
    let count = slots.count();
    let own = ((u128::from(key) * count as u128) >> KEY_BITS) as usize;
    for at in (own..count).chain(0..own) {
        match slots.get(at)? {
            0 => return Ok(IndexProbe::Free(at)),
            slot if key_in(slot) == key => return Ok(IndexProbe::Found(at, slot)),
            _ => {}
        }
    }
    Ok(IndexProbe::Full)
}

/// Puts in what is not there yet; there is room.
fn put(slots: &mut impl SlotArray, slot: u128) -> io::Result<()> {
    match probe(slots, key_in(slot))? {
        IndexProbe::Free(at) => slots.put(at, slot),
        IndexProbe::Found(..) | IndexProbe::Full => unreachable!("it is new, and there is room"),
    }
}

/// The same slots among more.
fn spread(slots: &[u128], count: usize) -> io::Result<Vec<u128>> {
    let mut larger = vec![0; count];
    slots.iter().filter(|slot| **slot != 0).try_for_each(|slot| put(&mut larger, *slot))?;
    Ok(larger)
}

/// A slot, from its upper end: key, check, position, kind. The kind is never zero.
fn packed(key: &NameKey, holder: IndexedOwner) -> io::Result<u128> {
    let (kind, check, position) = match holder {
        IndexedOwner::Folder => (1, 0, 0),
        IndexedOwner::Listed { check, index } => (2, check.0, index),
        IndexedOwner::Recorded { check, at } => (3, check.0, at),
    };
    if position >> POSITION_BITS != 0 {
        let most = (1u64 << POSITION_BITS) - 1;
        let error = format!("the table of names counts to {most}; {position} is beyond");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    let fields = [(CHECK_BITS, check), (POSITION_BITS, position), (KIND_BITS, kind)].into_iter();
    Ok(fields.fold(key.kept().into(), |slot, (bits, field)| slot << bits | u128::from(field)))
}

fn key_in(slot: u128) -> u64 {
    low(slot >> (CHECK_BITS + POSITION_BITS + KIND_BITS), KEY_BITS)
}

fn holder_in(slot: u128) -> IndexedOwner {
    let check = NameCheck(low(slot >> (POSITION_BITS + KIND_BITS), CHECK_BITS));
    let position = low(slot >> KIND_BITS, POSITION_BITS);
    match low(slot, KIND_BITS) {
        1 => IndexedOwner::Folder,
        2 => IndexedOwner::Listed { check, index: position },
        _ => IndexedOwner::Recorded { check, at: position },
    }
}

fn low(slot: u128, bits: u32) -> u64 {
    (slot & ((1 << bits) - 1)) as u64
}

/// The first 16 bytes of the SHA-256.
fn halves(bytes: &[u8]) -> [u64; 2] {
    let hash = Sha256::digest(bytes);
    let half = |at| u64::from_be_bytes(std::array::from_fn(|byte| hash[at + byte]));
    [half(0), half(8)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const MOST: u64 = (1 << POSITION_BITS) - 1;

    fn both() -> [NameIndex; 2] {
        [NameIndex::in_memory(), NameIndex::in_file().unwrap()]
    }

    /// As random as a hash, and quicker.
    fn key(number: u64) -> NameKey {
        NameKey(fastrand::Rng::with_seed(number).u64(..1 << (SHARDS.ilog2() + KEY_BITS)))
    }

    fn listed(index: u64) -> IndexedOwner {
        IndexedOwner::Listed { check: NameCheck(index % 7), index }
    }

    /// Keys of few shards, some of them neighbours, so that shards grow and keys get into each other's way.
    fn some_key() -> impl Strategy<Value = NameKey> {
        let shard = prop_oneof![Just(0), Just(1), Just(SHARDS as u64 - 1)];
        let kept =
            prop_oneof![0..40u64, (1u64 << KEY_BITS) - 40..1 << KEY_BITS, 0..1u64 << KEY_BITS];
        (shard, kept).prop_map(|(shard, kept)| NameKey(shard << KEY_BITS | kept))
    }

    fn some_holder() -> impl Strategy<Value = IndexedOwner> {
        let check = (0..1u64 << CHECK_BITS).prop_map(NameCheck);
        let position = prop_oneof![Just(0), Just(MOST), 0..=MOST];
        prop_oneof![
            Just(IndexedOwner::Folder),
            (check.clone(), position.clone())
                .prop_map(|(check, index)| IndexedOwner::Listed { check, index }),
            (check, position).prop_map(|(check, at)| IndexedOwner::Recorded { check, at }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_tells_what_a_map_would_tell(
            steps in prop::collection::vec((some_key(), some_key(), some_holder()), 0..300),
        ) {
            for mut index in both() {
                let mut model = HashMap::new();
                for (set, get, holder) in &steps {
                    index.set(set, *holder).unwrap();
                    model.insert(*set, *holder);
                    prop_assert_eq!(index.len(), model.len() as u64);
                    prop_assert_eq!(index.get(get).unwrap(), model.get(get).copied());
                }
                for (key, holder) in &model {
                    prop_assert_eq!(index.get(key).unwrap(), Some(*holder));
                }
            }
        }
    }

    #[test]
    fn an_empty_table_holds_no_name() {
        for index in both() {
            assert!(index.is_empty());
            assert_eq!(index.get(&NameKey::of("a")).unwrap(), None);
        }
    }

    #[test]
    fn many_names_are_found_again_and_no_others() {
        const NAMES: u64 = 30_000;
        for mut index in both() {
            (0..NAMES).for_each(|number| index.set(&key(number), listed(number)).unwrap());
            assert_eq!(index.len(), NAMES);
            for number in 0..2 * NAMES {
                let expected = (number < NAMES).then(|| listed(number));
                assert_eq!(index.get(&key(number)).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_position_that_does_not_fit_is_refused_and_changes_nothing() {
        for mut index in both() {
            let key = NameKey::of("name");
            let check = NameCheck::of("url");
            for holder in [
                IndexedOwner::Listed { check, index: MOST + 1 },
                IndexedOwner::Recorded { check, at: u64::MAX },
            ] {
                let error = index.set(&key, holder).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                assert!(error.to_string().contains("counts to 274877906943"), "{error}");
            }
            assert_eq!((index.len(), index.get(&key).unwrap()), (0, None));
        }
    }

    #[test]
    fn keys_and_checks_are_the_same_in_every_run_and_share_no_bits() {
        // SHA-256 of "abc": ba7816bf 8f01cfea 414140de 5dae2223 ...
        assert_eq!(NameKey::of("abc"), NameKey(0x00ba_7816_bf8f_01cf));
        assert_eq!(NameCheck::of("abc"), NameCheck(0x4141_40de_5dae_2223 >> 22));
        assert_eq!(
            (NameKey::of("abc").shard(), NameKey::of("abc").kept()),
            (745, 0x3816_bf8f_01cf)
        );
    }

    /// Beyond 24 bytes a name: the shards themselves, and one that is there twice while it grows.
    const BESIDES: usize = 48 * 1024;

    #[test]
    fn in_memory_a_name_takes_24_bytes_at_most_at_every_step_of_growth() {
        let mut index = NameIndex::in_memory();
        let mut bytes = SHARDS * size_of::<Shard>();
        for number in 0..1_000_000 {
            let key = key(number);
            let before = slots_of(&index, key);
            index.set(&key, IndexedOwner::Folder).unwrap();
            let after = slots_of(&index, key);
            let most = if after == before { bytes } else { bytes + after * SLOT };
            bytes += (after - before) * SLOT;
            let names = number as usize + 1;
            assert!(most <= 24 * names + BESIDES, "{most} bytes for {names} names");
            if names == 1000 {
                assert!(most < 64 * 1024, "a small list stays small: {most}");
            }
        }
    }

    fn slots_of(index: &NameIndex, key: NameKey) -> usize {
        let Shards::Memory(shards) = &index.shards else { panic!("it is in memory") };
        shards[key.shard()].slots.capacity()
    }

    /// `cargo test --release --lib millions_of_names -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn millions_of_names_are_put_and_found() {
        const NAMES: u64 = 4_000_000;
        for mut index in both() {
            let start = std::time::Instant::now();
            (0..NAMES).for_each(|number| index.set(&key(number), listed(number)).unwrap());
            let put = start.elapsed() / NAMES as u32;
            let start = std::time::Instant::now();
            let found = (0..2 * NAMES).filter(|number| index.get(&key(*number)).unwrap().is_some());
            assert_eq!(found.count() as u64, NAMES);
            println!("put {put:?}, looked up {:?}", start.elapsed() / (2 * NAMES) as u32);
        }
    }
}
