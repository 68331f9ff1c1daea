//! Shards: which part of its lists a run takes (`--shard`), by a stable hash of the host.

use std::fmt;
use std::num::NonZeroU32;

use sha2::{Digest, Sha256};
use url::{Position, Url};

use crate::model::Entry;

/// One of the `count` parts that the entries of all lists are divided into. `Display` is `INDEX/COUNT`, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: NonZeroU32,
    by: ShardKey,
}

/// The part of a URL that determines its shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShardKey {
    /// The host, without the port.
    #[default]
    Host,
    /// The URL, without user, password and fragment.
    Url,
}

impl Shard {
    /// The maximum number of shards.
    pub(crate) const MAX_COUNT: u32 = 1_000_000;

    /// Shard `index` of `count`, from 0; `None` if `index` is not below `count`, or `count` exceeds the maximum.
    pub(crate) fn new(index: u32, count: u32, by: ShardKey) -> Option<Self> {
        let count = NonZeroU32::new(count).filter(|count| count.get() <= Self::MAX_COUNT)?;
        (index < count.get()).then_some(Self { index, count, by })
    }

    /// Whether the entry belongs to the shard.
    pub(crate) fn holds(self, entry: &Entry) -> bool {
        shard_of(entry, self.by, self.count) == self.index
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.index, self.count)
    }
}

/// The shard of an entry, from 0, determined by its first URL. An entry without a URL is in shard 0.
pub(crate) fn shard_of(entry: &Entry, by: ShardKey, count: NonZeroU32) -> u32 {
    match entry {
        Entry::Target(target) => jump(by.hash(target.url()), count),
        Entry::Invalid(_) => 0,
    }
}

impl ShardKey {
    /// The hash that determines the shard of a URL.
    fn hash(self, url: &Url) -> u64 {
        match self {
            Self::Host => stable_hash(&[host(url)]),
            Self::Url => stable_hash(&[
                &url[..Position::BeforeUsername],
                &url[Position::BeforeHost..Position::AfterQuery],
            ]),
        }
    }
}

/// The host as URLs write it, in lower case, an international name in its ASCII form, an IPv6 address in brackets;
/// without the dot that a name may end with.
fn host(url: &Url) -> &str {
    let host = url.host_str().unwrap_or_default();
    host.strip_suffix('.').unwrap_or(host)
}

/// The first eight bytes of the SHA-256 of these texts, joined, as a number, the most significant byte first.
fn stable_hash(texts: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    texts.iter().for_each(|text| hasher.update(text));
    let digest = hasher.finalize();
    digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Jump consistent hash (Lamping and Veach, arXiv:1406.2294): the bucket of a key, from 0. When a bucket is added, keys
/// move only to the new bucket, and only as many as it needs for an even share.
fn jump(mut key: u64, buckets: NonZeroU32) -> u32 {
    let (mut bucket, mut next) = (0, 0);
    while next < u64::from(buckets.get()) {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let step = (1_u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((bucket + 1) as f64 * step) as u64;
    }
    bucket as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{EntryOptions, InvalidLine, Target};

    fn count(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn entry(url: &str) -> Entry {
        let (source, options) = (Arc::from("list"), EntryOptions::default());
        let urls = vec![url.parse().unwrap()];
        Entry::Target(Target { index: 1, source, line: Some(1), listed: None, urls, options })
    }

    /// The rows of the table with this heading in the manual's chapter: the first cell, and the others.
    fn test_vectors(heading: &str) -> Vec<(&'static str, Vec<&'static str>)> {
        let chapter = include_str!("../manual/shards.md");
        let (_, table) = chapter.split_once(heading).expect("the chapter has the table");
        let rows = table.trim_start().lines().skip(2).take_while(|line| line.starts_with('|'));
        let cells = |row: &'static str| {
            let cells = row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`'));
            cells.collect::<Vec<_>>()
        };
        rows.map(cells).map(|cells| (cells[0], cells[1..].to_vec())).collect()
    }

    #[test]
    fn the_vectors_of_the_chapter_hold() {
        let tables = [
            ("| `--shard-by host` |", ShardKey::Host, 10),
            ("| `--shard-by url` |", ShardKey::Url, 4),
        ];
        for (heading, by, least) in tables {
            let rows = test_vectors(heading);
            assert!(rows.len() >= least, "{heading}");
            for (url, cells) in rows {
                let hash = by.hash(&url.parse().unwrap());
                let shards = [4, 64, 1000].map(|shards| jump(hash, count(shards)).to_string());
                let found = [&[format!("{hash:016x}")], &shards[..]].concat();
                assert_eq!(found, cells, "{url}");
            }
        }
    }

    #[test]
    fn a_shard_is_one_of_those_that_there_are() {
        let shard = |index, count| Shard::new(index, count, ShardKey::Host);
        assert_eq!(shard(3, 4).unwrap().to_string(), "3/4");
        for (index, count) in [(0, 0), (4, 4), (0, Shard::MAX_COUNT + 1)] {
            assert_eq!(shard(index, count), None, "{index}/{count}");
        }
    }

    #[test]
    fn what_has_no_url_is_in_the_first_shard() {
        let (source, text) = (Arc::from("list"), "x".to_owned());
        let (message, id, carried) = (String::new(), None, None);
        let entry = Entry::Invalid(InvalidLine {
            index: 1,
            source,
            line: None,
            text,
            message,
            id,
            carried,
        });
        assert!((1..100).all(|number| shard_of(&entry, ShardKey::Host, count(number)) == 0));
    }

    #[test]
    fn one_more_shard_moves_hosts_only_there_and_no_more_than_its_share() {
        let hosts = 30_000;
        let host = |number| format!("host{number}.example");
        let hashes: Vec<_> = (0..hosts).map(|number| stable_hash(&[&host(number)])).collect();
        let mut before: Vec<_> = hashes.iter().map(|hash| jump(*hash, count(1))).collect();
        for shards in 1..=64_u32 {
            let after: Vec<_> = hashes.iter().map(|hash| jump(*hash, count(shards + 1))).collect();
            let moved: Vec<_> = before.iter().zip(&after).filter(|(one, two)| one != two).collect();
            assert!(moved.iter().all(|(_, two)| **two == shards), "only to the new one");
            let share = moved.len() as f64 / f64::from(hosts);
            let fair = 1.0 / f64::from(shards + 1);
            assert!((0.8 * fair..=1.2 * fair).contains(&share), "{shards}: {share}");
            before = after;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_url_is_in_one_shard_and_no_host_is_in_two(
            shards in 1..40_u32,
            hosts in prop::collection::vec("[a-zA-Z0-9]{1,12}(\\.[a-z]{2,5}){0,2}\\.?", 1..6),
            paths in prop::collection::vec(("(:8[0-9]{3})?", "/[a-z]{0,8}(\\?[a-z]{0,4})?"), 1..6),
        ) {
            for host in hosts {
                // A name of digits only is an address.
                let host = format!("h{host}");
                let mut own = None;
                for (scheme, (port, path)) in ["http", "https"].into_iter().cycle().zip(&paths) {
                    for host in [host.clone(), host.to_uppercase()] {
                        let entry = entry(&format!("{scheme}://u:p@{host}{port}{path}#f"));
                        for by in [ShardKey::Host, ShardKey::Url] {
                            let holding = (0..shards).filter(|index| {
                                Shard::new(*index, shards, by).unwrap().holds(&entry)
                            });
                            prop_assert_eq!(holding.count(), 1);
                        }
                        let shard = shard_of(&entry, ShardKey::Host, count(shards));
                        prop_assert_eq!(shard, *own.get_or_insert(shard));
                    }
                }
            }
        }
    }
}
