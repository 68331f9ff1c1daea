//! Continuing what was begun, within a run and between runs, and what a second run does about what the first one
//! saved. Whatever the server does meanwhile, a file is one version of the body, from its first byte to its last.

mod any_order;
mod between_runs;
mod bookkeeping;
mod duplicates;
mod random_server;
mod refused_ranges;
mod reruns;
mod server_replies;
mod unknown_length;
mod within_a_run;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::versions::{asked_from, body};
use crate::support::{Run, Seen, Version, Versions, class_of};

/// Lengths of a body: one that is gathered in memory, and one that is written as it comes.
const LENGTHS: [usize; 2] = [11, (1 << 20) + 4321];

/// The name that `/file.bin` is saved under.
const NAME: &str = "file.bin";

/// A folder to save to.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn manifest(&self) -> PathBuf {
        self.at(".fetch/manifest.jsonl")
    }

    /// A run that saves to it.
    fn run(&self, mode: &str) -> Run {
        Run::json(mode).args(["--retry-delay", "1ms", "-d"]).arg(self.path())
    }

    /// Such a run for the server's `/file.bin`, and what is seen of it.
    fn fetch(&self, mode: &str, server: &Versions, args: &[&str]) -> Seen {
        self.run(mode).args(args).arg(server.url("/file.bin")).seen()
    }

    /// Leaves the beginning of the body, in a run that fails.
    fn begin(&self, mode: &str, server: &Versions, bytes: usize) {
        server.then_cut(bytes);
        let seen = self.fetch(mode, server, &["--retry", "0"]);
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(1), "truncated"), "{seen:?}");
        server.forget();
    }

    /// What is saved as `/file.bin`.
    fn file(&self) -> Vec<u8> {
        fs::read(self.at(NAME)).unwrap()
    }

    /// How many bytes of it are there unfinished.
    fn begun(&self) -> usize {
        fs::metadata(self.at("file.bin.part")).map_or(0, |part| part.len() as usize)
    }

    /// All that is there but the bookkeeping.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != ".fetch").collect();
        names.sort();
        names
    }

    fn entries(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.manifest()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The kinds of the entries in their order.
    fn kinds(&self) -> Vec<String> {
        let kind = |entry: &Value| entry["type"].as_str().unwrap().to_owned();
        self.entries().iter().map(kind).collect()
    }

    /// The file is this version and nothing else is there; row and manifest tell so.
    fn assert_holds(&self, version: &Version, seen: &Seen, what: &str) {
        assert_eq!(seen.code, Some(0), "{what}: {seen:?}");
        self.assert_saved(NAME, version, &seen.row(), what);
        assert_eq!(self.names(), [NAME], "{what}");
    }

    /// The file of this name is this version; row and manifest tell so.
    fn assert_saved(&self, name: &str, version: &Version, row: &Value, what: &str) {
        assert_eq!(told(row, &["outcome", "path"]), json!(["ok", name]), "{what}: {row}");
        let is_it = fs::read(self.at(name)).unwrap() == version.body;
        assert!(is_it, "{what}: it is not the version: {row}");
        let entries = self.entries();
        let entry = entries.iter().rfind(|entry| entry["path"] == name).unwrap();
        assert_eq!(entry["type"], "saved", "{what}: {entry}");
        let expected = json!([version.length(), version.etag, version.modified]);
        for tells in [row, entry] {
            let fields = ["bytes", "etag", "last_modified"];
            assert_eq!(told(tells, &fields), expected, "{what}: {tells}");
        }
    }
}

fn first(length: usize) -> Version {
    Version::of(body(1, length)).tagged("\"v1\"")
}

fn second(length: usize) -> Version {
    Version::of(body(2, length)).tagged("\"v2\"")
}

/// From where on each request asked for the body; `None` for all of it.
fn asked(server: &Versions) -> Vec<Option<usize>> {
    server.heard().iter().map(asked_from).collect()
}

/// Bytes of a body of this length that are there when it is to be continued.
fn beginning(length: usize) -> usize {
    length * 2 / 3
}

/// These fields of a row.
fn told(row: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|field| row[field].clone()).collect()
}

fn outcomes(seen: &Seen) -> Vec<String> {
    let outcome = |row: &Value| row["outcome"].as_str().unwrap().to_owned();
    seen.rows_in_list_order().iter().map(outcome).collect()
}
