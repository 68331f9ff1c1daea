//! Targets put aside: the lines of hosts that have their share of the queue, in an unnamed temporary file, so that
//! the list can be read on for hosts that have not. In memory stays a note for each block of targets.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::model::{Destination, EntryOptions, Target, host_of};

/// Bytes that the file may hold. Then reading waits.
const MOST: u64 = 1 << 30;

/// Bytes of one host's targets that are written at once.
const BLOCK: usize = 16 * 1024;

/// The targets that were put aside, by host.
#[derive(Debug, Default)]
pub struct Spill {
    file: Option<File>,
    length: u64,
    hosts: HashMap<Arc<str>, HostSpill>,
    sources: Vec<Arc<str>>,
}

/// One host's targets: blocks in the file, and those that come after them.
#[derive(Debug, Default)]
struct HostSpill {
    blocks: VecDeque<(u64, usize)>,
    tail: Vec<u8>,
}

/// A target as it is written, without what all have in common.
#[derive(Serialize, Deserialize)]
struct StoredTarget<'a> {
    index: u64,
    source: usize,
    line: Option<u64>,
    #[serde(borrow)]
    urls: Vec<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    out: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, Vec<u8>, bool)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Cow<'a, Destination>>,
}

/// A target, and where its body goes.
pub type ClaimedTarget = (Target, Option<Destination>);

impl Spill {
    /// Whether more can be put aside.
    pub fn has_room(&self) -> bool {
        self.length < MOST
    }

    /// Puts a target aside, behind those of its host.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn put(&mut self, target: &Target, place: Option<&Destination>) -> io::Result<()> {
        let source = self.source(&target.source);
        let host = host_of(target.url());
        if !self.hosts.contains_key(host.as_ref()) {
            self.hosts.insert(host.as_ref().into(), HostSpill::default());
        }
        let spilled = self.hosts.get_mut(host.as_ref()).expect("it was just put there");
        let length = spilled.tail.len();
        serde_json::to_writer(&mut spilled.tail, &to_stored(target, place, source))?;
        spilled.tail.push(b'\n');
        if spilled.tail.len() < BLOCK {
            return Ok(());
        }
        let written = self.write_tail_of(&host);
        if written.is_err()
            && let Some(spilled) = self.hosts.get_mut(host.as_ref())
        {
            spilled.tail.truncate(length);
        }
        written
    }

    /// Makes a block of what has gathered for a host.
    fn write_tail_of(&mut self, host: &str) -> io::Result<()> {
        let Some(spilled) = self.hosts.get_mut(host) else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        file.seek(SeekFrom::Start(self.length))?;
        file.write_all(&spilled.tail)?;
        spilled.blocks.push_back((self.length, spilled.tail.len()));
        self.length += spilled.tail.len() as u64;
        spilled.tail.clear();
        Ok(())
    }

    /// Takes the next targets of a host, in the order in which they were put aside.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn take(&mut self, host: &str) -> io::Result<Vec<ClaimedTarget>> {
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
            .map(|line| self.from_stored(line))
            .collect()
    }

    /// Takes all that is left.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn take_all(&mut self) -> io::Result<Vec<ClaimedTarget>> {
        let hosts: Vec<_> = self.hosts.keys().cloned().collect();
        let mut all = Vec::new();
        for host in hosts {
            while self.hosts.contains_key(&host) {
                all.extend(self.take(&host)?);
            }
        }
        Ok(all)
    }

    fn source(&mut self, name: &Arc<str>) -> usize {
        match self.sources.iter().rposition(|known| known == name) {
            Some(at) => at,
            None => {
                self.sources.push(Arc::clone(name));
                self.sources.len() - 1
            }
        }
    }

    fn from_stored(&self, line: &[u8]) -> io::Result<ClaimedTarget> {
        let stored: StoredTarget<'_> = serde_json::from_slice(line)?;
        let urls: Result<_, _> = stored.urls.iter().map(|url| url.parse()).collect();
        let headers = stored.headers.iter().map(|(name, value, sensitive)| {
            let name = HeaderName::from_bytes(name.as_bytes());
            let mut value = HeaderValue::from_bytes(value).map_err(io::Error::other)?;
            value.set_sensitive(*sensitive);
            Ok((name.map_err(io::Error::other)?, value))
        });
        let checksum = stored.checksum.map(|digest| digest.parse()).transpose();
        let target = Target {
            index: stored.index,
            source: Arc::clone(&self.sources[stored.source]),
            line: stored.line,
            urls: urls.map_err(io::Error::other)?,
            options: EntryOptions {
                headers: headers.collect::<io::Result<_>>()?,
                checksum: checksum.map_err(io::Error::other)?,
                out: stored.out,
            },
        };
        Ok((target, stored.place.map(Cow::into_owned)))
    }
}

fn to_stored<'a>(
    target: &'a Target,
    place: Option<&'a Destination>,
    source: usize,
) -> StoredTarget<'a> {
    let EntryOptions { out, checksum, headers } = &target.options;
    let headers = headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec(), value.is_sensitive())
    });
    StoredTarget {
        index: target.index,
        source,
        line: target.line,
        urls: target.urls.iter().map(|url| url.as_str().into()).collect(),
        out: out.clone(),
        checksum: checksum.as_ref().map(ToString::to_string),
        headers: headers.collect(),
        place: place.map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OverwriteRule, PartialBody, Validator};

    fn target(index: u64, url: &str) -> Target {
        let options = EntryOptions::default();
        Target {
            index,
            source: "list".into(),
            line: Some(index),
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
    fn a_target_that_cannot_be_written_is_not_put_aside() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read_only = File::open(file.path()).unwrap();
        let mut spill = Spill { file: Some(read_only), ..Spill::default() };
        let put = (0..)
            .map(|index| spill.put(&target(index, "http://a.test/"), None))
            .take_while(Result::is_ok);
        let put = put.count();
        assert_eq!(spill.take_all().unwrap().len(), put);
    }

    #[test]
    fn options_mirrors_and_places_survive() {
        let mut whole = target(7, "https://user:secret@a.test/x");
        whole.urls.push("http://b.test/".parse().unwrap());
        let mut secret = HeaderValue::from_bytes(b"\xff key").unwrap();
        secret.set_sensitive(true);
        whole.options = EntryOptions {
            out: Some("näme".to_owned()),
            checksum: Some(format!("sha-512={}", "07".repeat(64)).parse().unwrap()),
            headers: vec![(HeaderName::from_static("x-key"), secret)],
        };
        let validator = Validator::Etag("\"v1\"".to_owned());
        let place = Destination {
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
