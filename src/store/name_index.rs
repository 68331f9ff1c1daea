//! Which target or manifest entry owns which file name: an in-memory hash table of at most 20 bytes a name.
//!
//! The table stores no names, only bits of their SHA-256. A slot has 128 bits, from the upper end:
//!
//! ```text
//! | key 46 | check 42 | position 38 | kind 2 |
//! ```
//!
//! - key: identifies the name within its shard. Ten further bits of the hash choose the shard, so two names are
//!   confused about once in 2⁵⁶ pairs;
//! - check: identifies the target that owns the name; the table can tell another target from it without reading the
//!   manifest;
//! - position: the index of that target in the list, or the byte of the manifest at which its entry starts: lists and
//!   manifests are bounded at 2³⁸ (256 GiB);
//! - kind: 1 a folder, 2 a target of this run, 3 an entry of the manifest. It is never 0, so an empty slot is 0.
//!
//! The upper bits of the key are the slot's own place in its shard (linear probing), which keeps a rehash in order. The
//! slots of a shard are in blocks of one size: one that grows takes more of them and gives none back, so the allocator
//! is left with no gaps that nothing fits into.

use std::io;

use sha2::{Digest, Sha256};

/// Parts of the table that grow on their own, so that only a small part of it is in memory twice while it grows.
const SHARDS: usize = 1 << 10;

/// Slots of a block; the last block of a shard may have fewer.
const BLOCK: usize = 64;

/// Bits of a key that a slot stores; ten more choose the shard.
const KEY_BITS: u32 = 46;

/// Bits of a check.
const CHECK_BITS: u32 = 42;

/// Bits of a position.
const POSITION_BITS: u32 = 38;

/// Bits of the kind of an owner.
const KIND_BITS: u32 = 2;

/// The hash of a name; equal between runs and machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NameKey(u64);

impl NameKey {
    /// The key of a name, which must be a [`naming::key`](crate::naming::key): names that a file system takes for
    /// one file have one key.
    pub(super) fn of(name_key: &str) -> Self {
        let [first, _] = halves(name_key.as_bytes());
        Self::from_bits(first)
    }

    /// The key of what this SHA-256 identifies.
    pub(super) fn of_hash(kind: HashKind, hash: &[u8; 32]) -> Self {
        Self::from_bits(part(hash, kind as usize))
    }

    fn from_bits(bits: u64) -> Self {
        Self(bits >> (64 - SHARDS.ilog2() - KEY_BITS))
    }

    fn shard(self) -> usize {
        (self.0 >> KEY_BITS) as usize
    }

    /// The bits that the slot stores.
    fn in_slot(self) -> u64 {
        low(self.0.into(), KEY_BITS)
    }
}

/// What a SHA-256 identifies that has a key without having a name. Each kind takes its keys from another part of the hash.
#[derive(Debug, Clone, Copy)]
pub(super) enum HashKind {
    /// A target of the list.
    Target,
    /// What is saved of a URL.
    Saved,
    /// The bytes of a body.
    Payload,
}

/// Identifies the target that owns a name; equal between runs and machines. Two targets are confused once in 2⁴²
/// pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NameCheck(u64);

impl NameCheck {
    /// The check of these bytes. It shares no bits with the [`NameKey`] of the same bytes.
    pub(super) fn of(bytes: impl AsRef<[u8]>) -> Self {
        let [_, second] = halves(bytes.as_ref());
        Self::from_bits(second)
    }

    /// The check of what this SHA-256 identifies. It shares no bits with the [`NameKey`] of the same hash.
    pub(super) fn of_hash(hash: &[u8; 32]) -> Self {
        Self::from_bits(part(hash, 3))
    }

    fn from_bits(bits: u64) -> Self {
        Self(bits >> (64 - CHECK_BITS))
    }
}

/// The owner of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexedOwner {
    /// No target: the name is a folder's, or a file's that fetch did not save.
    Folder,
    /// A target of this run.
    Listed {
        /// Identifies the target.
        check: NameCheck,
        /// Its index in the list.
        index: u64,
    },
    /// An entry of the manifest.
    Recorded {
        /// Identifies the target, or what the entry expects under the name.
        check: NameCheck,
        /// The byte at which its line starts.
        at: u64,
    },
}

/// Maps the key of a name to its owner.
#[derive(Debug)]
pub(super) struct NameIndex {
    shards: Vec<NameShard>,
    names: u64,
}

impl NameIndex {
    /// An empty index.
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| NameShard::default()).collect(), names: 0 }
    }

    /// The number of names.
    #[cfg(test)]
    pub(super) fn len(&self) -> u64 {
        self.names
    }

    /// Whether the index has no name.
    pub(super) fn is_empty(&self) -> bool {
        self.names == 0
    }

    /// The owner of a name; `None` if it has none.
    pub(super) fn get(&self, key: &NameKey) -> Option<IndexedOwner> {
        let slots = &self.shards[key.shard()].slots;
        match slots.probe(key.in_slot()) {
            IndexProbe::Found(at) => Some(owner_in(slots.at(at))),
            IndexProbe::Free(_) | IndexProbe::Full => None,
        }
    }

    /// Sets the owner of a name, replacing an earlier one.
    ///
    /// # Errors
    /// If the position of the owner (index or byte) is beyond 2³⁸ - 1 (`InvalidInput`). Nothing has changed then.
    pub(super) fn set(&mut self, key: &NameKey, owner: IndexedOwner) -> io::Result<()> {
        let slot = packed(key, owner)?;
        self.names += u64::from(self.shards[key.shard()].set(slot));
        Ok(())
    }
}

/// One part of the index.
#[derive(Debug, Default)]
struct NameShard {
    slots: Slots,
    names: usize,
}

impl NameShard {
    /// The number of slots that may be taken before the shard must grow.
    fn capacity(&self) -> usize {
        self.slots.count() - self.slots.count() / 16
    }

    /// Stores a slot, replacing one of the same key. Returns whether the key is new.
    fn set(&mut self, slot: u128) -> bool {
        match self.slots.probe(key_in(slot)) {
            IndexProbe::Found(at) => {
                *self.slots.at_mut(at) = slot;
                return false;
            }
            IndexProbe::Free(at) if self.names < self.capacity() => *self.slots.at_mut(at) = slot,
            IndexProbe::Free(_) | IndexProbe::Full => {
                // From 15/16 to 5/6 full: 16 bytes a slot are never more than 20 a name.
                self.slots.grow(self.slots.count() * 9 / 8 + 1);
                self.slots.insert(slot);
            }
        }
        self.names += 1;
        true
    }
}

/// Where a key is in a shard.
enum IndexProbe {
    /// In this slot.
    Found(usize),
    /// It is missing; this free slot would be its own.
    Free(usize),
    /// It is missing, and no slot is free.
    Full,
}

/// An open-addressing hash table. Zero is a free slot.
#[derive(Debug, Default)]
struct Slots {
    /// All have [`BLOCK`] slots, but for the last.
    blocks: Vec<Box<[u128]>>,
}

impl Slots {
    fn count(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.len())
    }

    fn at(&self, at: usize) -> u128 {
        self.blocks[at / BLOCK][at % BLOCK]
    }

    fn at_mut(&mut self, at: usize) -> &mut u128 {
        &mut self.blocks[at / BLOCK][at % BLOCK]
    }

    /// Looks for a key from its own slot on, up to the first free one (linear probing).
    fn probe(&self, key: u64) -> IndexProbe {
        let count = self.count();
        let own = ((u128::from(key) * count as u128) >> KEY_BITS) as usize;
        for at in (own..count).chain(0..own) {
            match self.at(at) {
                0 => return IndexProbe::Free(at),
                slot if key_in(slot) == key => return IndexProbe::Found(at),
                _ => {}
            }
        }
        IndexProbe::Full
    }

    /// Stores a slot whose key is missing. There must be a free one.
    fn insert(&mut self, slot: u128) {
        match self.probe(key_in(slot)) {
            IndexProbe::Free(at) => *self.at_mut(at) = slot,
            IndexProbe::Found(_) | IndexProbe::Full => {
                unreachable!("the key is new, and a slot is free")
            }
        }
    }

    /// Makes this a table of `count` slots, which are more than now.
    fn grow(&mut self, count: usize) {
        let slots = self.blocks.iter().flatten();
        let taken: Vec<u128> = slots.copied().filter(|slot| *slot != 0).collect();
        self.blocks.pop_if(|last| last.len() < BLOCK);
        self.blocks.iter_mut().for_each(|block| block.fill(0));
        self.blocks.reserve_exact(count.div_ceil(BLOCK) - self.blocks.len());
        while self.count() < count {
            let missing = count - self.count();
            self.blocks.push(vec![0; missing.min(BLOCK)].into());
        }
        taken.into_iter().for_each(|slot| self.insert(slot));
    }
}

/// The slot of an owner, as the head of this module draws it.
fn packed(key: &NameKey, owner: IndexedOwner) -> io::Result<u128> {
    let (kind, check, position) = match owner {
        IndexedOwner::Folder => (1, 0, 0),
        IndexedOwner::Listed { check, index } => (2, check.0, index),
        IndexedOwner::Recorded { check, at } => (3, check.0, at),
    };
    if position >> POSITION_BITS != 0 {
        let most = (1u64 << POSITION_BITS) - 1;
        let error = format!("position {position} exceeds {most}, the limit of the name index");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    let fields = [(CHECK_BITS, check), (POSITION_BITS, position), (KIND_BITS, kind)].into_iter();
    Ok(fields.fold(key.in_slot().into(), |slot, (bits, field)| slot << bits | u128::from(field)))
}

fn key_in(slot: u128) -> u64 {
    low(slot >> (CHECK_BITS + POSITION_BITS + KIND_BITS), KEY_BITS)
}

fn owner_in(slot: u128) -> IndexedOwner {
    let check = NameCheck(low(slot >> (POSITION_BITS + KIND_BITS), CHECK_BITS));
    let position = low(slot >> KIND_BITS, POSITION_BITS);
    match low(slot, KIND_BITS) {
        1 => IndexedOwner::Folder,
        2 => IndexedOwner::Listed { check, index: position },
        _ => IndexedOwner::Recorded { check, at: position },
    }
}

/// The lowest `bits` bits.
fn low(slot: u128, bits: u32) -> u64 {
    (slot & ((1 << bits) - 1)) as u64
}

/// The first 16 bytes of the SHA-256, as two numbers.
fn halves(bytes: &[u8]) -> [u64; 2] {
    let hash = Sha256::digest(bytes).into();
    [0, 1].map(|at| part(&hash, at))
}

/// The part with this index, of four, of a SHA-256.
fn part(hash: &[u8; 32], index: usize) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|byte| hash[8 * index + byte]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const LAST_POSITION: u64 = (1 << POSITION_BITS) - 1;

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

    fn some_owner() -> impl Strategy<Value = IndexedOwner> {
        let check = (0..1u64 << CHECK_BITS).prop_map(NameCheck);
        let position = prop_oneof![Just(0), Just(LAST_POSITION), 0..=LAST_POSITION];
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
            steps in prop::collection::vec((some_key(), some_key(), some_owner()), 0..300),
        ) {
            let mut index = NameIndex::new();
            let mut model = HashMap::new();
            for (set, get, owner) in &steps {
                index.set(set, *owner).unwrap();
                model.insert(*set, *owner);
                prop_assert_eq!(index.len(), model.len() as u64);
                prop_assert_eq!(index.get(get), model.get(get).copied());
            }
            for (key, owner) in &model {
                prop_assert_eq!(index.get(key), Some(*owner));
            }
        }
    }

    #[test]
    fn an_empty_table_holds_no_name() {
        let index = NameIndex::new();
        assert!(index.is_empty());
        assert_eq!(index.get(&NameKey::of("a")), None);
    }

    #[test]
    fn many_names_are_found_again_and_no_others() {
        const NAMES: u64 = 30_000;
        let mut index = NameIndex::new();
        (0..NAMES).for_each(|number| index.set(&key(number), listed(number)).unwrap());
        assert_eq!(index.len(), NAMES);
        for number in 0..2 * NAMES {
            let expected = (number < NAMES).then(|| listed(number));
            assert_eq!(index.get(&key(number)), expected);
        }
    }

    #[test]
    fn a_position_that_does_not_fit_is_refused_and_changes_nothing() {
        let mut index = NameIndex::new();
        let key = NameKey::of("name");
        let check = NameCheck::of("url");
        for owner in [
            IndexedOwner::Listed { check, index: LAST_POSITION + 1 },
            IndexedOwner::Recorded { check, at: u64::MAX },
        ] {
            let error = index.set(&key, owner).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("exceeds 274877906943"), "{error}");
        }
        assert_eq!((index.len(), index.get(&key)), (0, None));
    }

    #[test]
    fn keys_and_checks_are_the_same_in_every_run_and_share_no_bits() {
        // SHA-256 of "abc": ba7816bf 8f01cfea 414140de 5dae2223 ...
        assert_eq!(NameKey::of("abc"), NameKey(0x00ba_7816_bf8f_01cf));
        assert_eq!(NameCheck::of("abc"), NameCheck(0x4141_40de_5dae_2223 >> 22));
        assert_eq!(
            (NameKey::of("abc").shard(), NameKey::of("abc").in_slot()),
            (745, 0x3816_bf8f_01cf)
        );
    }

    #[test]
    fn keys_and_checks_of_one_hash_share_no_bits() {
        let hash = std::array::from_fn(|at| at as u8);
        let keys = [HashKind::Target, HashKind::Saved, HashKind::Payload]
            .map(|kind| NameKey::of_hash(kind, &hash));
        assert_eq!(
            keys.map(|key| key.0),
            [0x0000_0102_0304_0506, 0x0008_090a_0b0c_0d0e, 0x0010_1112_1314_1516]
        );
        assert_eq!(NameCheck::of_hash(&hash), NameCheck(0x1819_1a1b_1c1d_1e1f >> 22));
    }

    /// Beyond 20 bytes a name: the shards themselves, and one that is there twice while it grows.
    const BESIDES: usize = 48 * 1024;

    #[test]
    fn a_name_takes_20_bytes_at_most_at_every_step_of_growth() {
        let mut index = NameIndex::new();
        let mut bytes = SHARDS * size_of::<NameShard>();
        for number in 0..1_000_000 {
            let key = key(number);
            let before = bytes_of(&index, key);
            index.set(&key, IndexedOwner::Folder).unwrap();
            let after = bytes_of(&index, key);
            let most = if after == before { bytes } else { bytes + after };
            bytes += after - before;
            let names = number as usize + 1;
            assert!(most <= 20 * names + BESIDES, "{most} bytes for {names} names");
            if names == 1000 {
                assert!(most < 64 * 1024, "a small list stays small: {most}");
            }
        }
    }

    fn bytes_of(index: &NameIndex, key: NameKey) -> usize {
        let slots = &index.shards[key.shard()].slots;
        slots.count() * size_of::<u128>() + slots.blocks.capacity() * size_of::<Box<[u128]>>()
    }

    /// `cargo test --release --lib millions_of_names -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn millions_of_names_are_put_and_found() {
        const NAMES: u64 = 4_000_000;
        let mut index = NameIndex::new();
        let start = std::time::Instant::now();
        (0..NAMES).for_each(|number| index.set(&key(number), listed(number)).unwrap());
        let put = start.elapsed() / NAMES as u32;
        let start = std::time::Instant::now();
        let found = (0..2 * NAMES).filter(|number| index.get(&key(*number)).is_some());
        assert_eq!(found.count() as u64, NAMES);
        println!("put {put:?}, looked up {:?}", start.elapsed() / (2 * NAMES) as u32);
    }
}
