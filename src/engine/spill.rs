//! Spilled targets: those of hosts that have their share of the memory, in an unnamed temporary file, so that the list can
//! be read on for other hosts.
//!
//! # File format
//!
//! A target is a line of JSON, `[target, place]`. Lines gather in memory per host (`tail`) and are appended to the
//! file as a block of about 16 KiB that holds one host's targets only; so a host is refilled with one read. Memory holds
//! 16 bytes per block, and a tail per host. Blocks are not reused one by one: the file is written from its start
//! again once all blocks have been taken. Nothing outlives the run, so the format has no version.
//!
//! If the file cannot be created or written, the tails stay in memory until they are taken, nothing more is spilled, and
//! reading the list waits for room in the queue instead.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use crate::model::{SavePlace, Target, host_of};
use crate::temporary_file;

/// Bytes that the file may hold; when it is full, reading the list waits.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Bytes of one host's targets that are written as a block.
const BLOCK: usize = 16 * 1024;

/// The spilled targets, by host.
#[derive(Debug, Default)]
pub(super) struct Spill {
    /// Created with the first block.
    file: Option<File>,
    /// Where the next block is written.
    length: u64,
    hosts: HashMap<Arc<str>, HostSpill>,
    /// Whether the file cannot be created or written.
    is_broken: bool,
    /// The warning about that, until it is shown.
    notice: Option<String>,
    /// The names of the inputs, so that targets that are read back share them.
    sources: Vec<Arc<str>>,
}

/// One host's targets: blocks in the file, as start and length, and the lines that come after them.
#[derive(Debug, Default)]
struct HostSpill {
    blocks: VecDeque<(u64, usize)>,
    tail: Vec<u8>,
}

/// A target, and where its body goes.
pub(super) type ClaimedTarget = (Target, Option<SavePlace>);

impl Spill {
    /// Whether more targets can be spilled.
    pub(super) fn has_room(&self) -> bool {
        !self.is_broken && self.length < MAX_FILE_BYTES
    }

    /// Why reading waits instead of spilling; `None` if it does not, or that was returned before.
    pub(super) fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// Adds a target behind those of its host.
    ///
    /// # Errors
    /// If the target cannot be written as JSON.
    pub(super) fn put(&mut self, target: &Target, place: Option<&SavePlace>) -> io::Result<()> {
        self.intern_source(&target.source);
        let host = host_of(target.url());
        if !self.hosts.contains_key(host.as_ref()) {
            self.hosts.insert(host.as_ref().into(), HostSpill::default());
        }
        let spilled = self.hosts.get_mut(host.as_ref()).expect("it was just put there");
        serde_json::to_writer(&mut spilled.tail, &(target, place))?;
        spilled.tail.push(b'\n');
        if spilled.tail.len() >= BLOCK
            && !self.is_broken
            && let Err(error) = self.write_tail_of(&host)
        {
            self.is_broken = true;
            self.notice = Some(format!("{error}; reading the list waits for the queue instead"));
        }
        Ok(())
    }

    /// Appends a host's tail to the file, as a block.
    fn write_tail_of(&mut self, host: &str) -> io::Result<()> {
        let Some(spilled) = self.hosts.get_mut(host) else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(temporary_file::create()?),
        };
        let unwritable = |error| temporary_file::unwritable(&error);
        file.seek(SeekFrom::Start(self.length)).map_err(unwritable)?;
        file.write_all(&spilled.tail).map_err(unwritable)?;
        spilled.blocks.push_back((self.length, spilled.tail.len()));
        self.length += spilled.tail.len() as u64;
        spilled.tail.clear();
        Ok(())
    }

    /// Takes the next block of targets of a host, in the order in which they were added; empty if there are none.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(super) fn take(&mut self, host: &str) -> io::Result<Vec<ClaimedTarget>> {
        let Some(spilled) = self.hosts.get_mut(host) else { return Ok(Vec::new()) };
        let block = match spilled.blocks.pop_front() {
            None => std::mem::take(&mut spilled.tail),
            Some((start, length)) => {
                let file = self.file.as_mut().expect("a block was written to it");
                let mut block = vec![0; length];
                file.seek(SeekFrom::Start(start))?;
                file.read_exact(&mut block)?;
                block
            }
        };
        if spilled.blocks.is_empty() && spilled.tail.is_empty() {
            self.hosts.remove(host);
        }
        if self.hosts.values().all(|spilled| spilled.blocks.is_empty()) {
            self.length = 0;
        }
        block
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| self.parse(line))
            .collect()
    }

    /// Takes all targets that are left.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(super) fn take_all(&mut self) -> io::Result<Vec<ClaimedTarget>> {
        let hosts: Vec<_> = self.hosts.keys().cloned().collect();
        let mut all = Vec::new();
        for host in hosts {
            while self.hosts.contains_key(&host) {
                all.extend(self.take(&host)?);
            }
        }
        Ok(all)
    }

    fn parse(&mut self, line: &[u8]) -> io::Result<ClaimedTarget> {
        let (mut target, place): ClaimedTarget = serde_json::from_slice(line)?;
        target.source = self.intern_source(&target.source);
        Ok((target, place))
    }

    /// The one copy in memory of an input's name.
    fn intern_source(&mut self, name: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.sources.iter().rfind(|known| *known == name) {
            return Arc::clone(known);
        }
        self.sources.push(Arc::clone(name));
        Arc::clone(name)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::model::{CarriedColumns, EntryOptions, OverwriteRule, PartialBody, Validator};

    fn target(index: u64, url: &str) -> Target {
        let options = EntryOptions::default();
        Target {
            index,
            source: "list".into(),
            line: Some(index),
            listed: None,
            urls: vec![url.parse().unwrap()],
            options,
        }
    }

    #[test]
    fn targets_come_back_by_host_in_their_order_and_unchanged() {
        let mut spill = Spill::default();
        for index in 0..2000 {
            spill.put(&target(2 * index, &format!("http://a.test/{index}")), None).unwrap();
            spill.put(&target(2 * index + 1, &format!("http://b.test/{index}")), None).unwrap();
        }
        assert!(spill.length > 0, "some are in the file");
        for (host, first) in [("http://b.test", 1), ("http://a.test", 0)] {
            let mut seen = Vec::new();
            loop {
                let some = spill.take(host).unwrap();
                if some.is_empty() {
                    break;
                }
                seen.extend(some);
            }
            let expected: Vec<_> = (0..2000)
                .map(|index| (target(2 * index + first, &format!("{host}/{index}")), None))
                .collect();
            assert_eq!(seen, expected);
        }
        assert_eq!(spill.length, 0, "an empty file is written anew from its start");
    }

    #[test]
    fn targets_that_cannot_be_written_stay_in_memory_and_no_more_are_wanted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read_only = File::open(file.path()).unwrap();
        let mut spill = Spill { file: Some(read_only), ..Spill::default() };
        let mut put = 0;
        while spill.has_room() {
            spill.put(&target(put, "http://a.test/"), None).unwrap();
            put += 1;
        }
        spill.put(&target(put, "http://a.test/"), None).unwrap();
        assert!(spill.take_notice().unwrap().contains("reading the list waits"));
        assert_eq!(spill.take_notice(), None);
        assert_eq!(spill.take_all().unwrap().len() as u64, put + 1);
        assert!(!spill.has_room());
    }

    #[test]
    fn options_mirrors_and_destinations_survive() {
        let mut whole = target(7, "https://user:secret@a.test/x");
        whole.urls.push("http://b.test/".parse().unwrap());
        let mut secret = HeaderValue::from_bytes(b"\xff key").unwrap();
        secret.set_sensitive(true);
        whole.options = EntryOptions {
            out: Some("näme".to_owned()),
            checksum: Some(format!("sha-512={}", "07".repeat(64)).parse().unwrap()),
            headers: vec![(HeaderName::from_static("x-key"), secret)],
            id: Some("7".into()),
            carried: CarriedColumns::parse("{\"n\":1.50,\"c\":\"a\\nb\"}"),
        };
        let validator = Validator::Etag("\"v1\"".to_owned());
        let place = SavePlace {
            name: "a/näme".into(),
            over: OverwriteRule::File,
            noted: true,
            saved: None,
            part: Some(PartialBody {
                bytes: 7,
                spans: Some(vec![(3, 10)].into()),
                length: None,
                validator,
                mirror: 1,
                from: "http://b.test/".to_owned(),
            }),
        };
        let mut spill = Spill::default();
        spill.put(&whole, Some(&place)).unwrap();
        let back = spill.take_all().unwrap();
        assert!(back[0].0.options.headers[0].1.is_sensitive());
        assert_eq!(back, [(whole, Some(place))]);
    }
}
