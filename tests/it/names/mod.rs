//! The names of files: the same in every mode, nobody's twice, and never a way out of the folder.

mod dry_run;
mod hostile_names;
mod obstacles;
mod reproducible;
mod reruns;
mod schemes;
mod server_names;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::support::folder::{There, all_in};
use crate::support::saved_files::saved_in;
use crate::support::{End, Origin, Reply, Run, Seen};

/// An origin whose bodies are the paths that were asked for.
fn echo() -> Origin {
    Origin::new(|request| Reply::ok(&request.path))
}

/// The same, but the server proposes these names: for `/n` the nth of these Content-Disposition fields.
fn proposing(fields: &[Vec<u8>]) -> Origin {
    let fields = fields.to_vec();
    Origin::new(move |request| {
        let number = request.path.trim_matches(|letter: char| !letter.is_ascii_digit());
        let Some(field) = number.parse::<usize>().ok().and_then(|number| fields.get(number)) else {
            return Reply::ok(&request.path);
        };
        let length = request.path.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Disposition: ");
        let bytes = [head.as_bytes(), field, b"\r\n\r\n", request.path.as_bytes()].concat();
        Reply::raw(bytes, End::KeepAlive)
    })
}

fn list_of(origin: &Origin, paths: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    paths.into_iter().map(|path| origin.url(path.as_ref()) + "\n").collect()
}

/// A list of these names that are asked for, each for another URL.
fn list_with(origin: &Origin, outs: &[impl AsRef<str>]) -> String {
    let entry = |(number, out): (usize, &_)| {
        let out: &str = AsRef::as_ref(out);
        format!("{}\n out={out}\n", origin.url(&format!("/{number}")))
    };
    outs.iter().enumerate().map(entry).collect()
}

/// One try at each URL.
fn saving(mode: &str, folder: &Path) -> Run {
    Run::json(mode).args(["--retry", "0", "-d"]).arg(folder)
}

/// The names told, in the order of the list.
fn names(seen: &Seen) -> Vec<String> {
    let name = |row: &Value| row["path"].as_str().unwrap_or_else(|| panic!("{row}")).to_owned();
    seen.rows_in_list_order().iter().map(name).collect()
}

fn outcomes(seen: &Seen) -> BTreeSet<String> {
    let outcome = |row: &Value| row["outcome"].as_str().unwrap().to_owned();
    seen.rows().iter().map(outcome).collect()
}

/// The name with the mark of eight digits that keeps it from another one.
fn is_marked(name: &str, stem: &str, extension: &str) -> bool {
    let mark = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(extension));
    let digits = mark.and_then(|mark| mark.strip_prefix('.')).unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// A folder to save into, among others that are nobody's business.
struct Ground {
    ground: TempDir,
    before: BTreeMap<String, There>,
}

impl Ground {
    fn new() -> Self {
        let ground = tempdir().unwrap();
        fs::create_dir(ground.path().join("elsewhere")).unwrap();
        for name in ["beside.txt", "elsewhere/kept.txt"] {
            fs::write(ground.path().join(name), "kept").unwrap();
        }
        let before = all_in(ground.path());
        Self { ground, before }
    }

    /// The folder to save into.
    fn dir(&self) -> PathBuf {
        self.ground.path().join("dir")
    }

    fn ensure_nothing_was_touched_outside(&self) {
        let mut now = all_in(self.ground.path());
        now.retain(|name, _| name != "dir" && !name.starts_with("dir/"));
        assert_eq!(now, self.before);
    }

    /// What was saved is what the rows say, where they say it, under names that do no harm; nothing else is there, and
    /// the bookkeeping is sound.
    fn ensure_it_holds_what_the_rows_say(&self, seen: &Seen, origin: &Origin) {
        self.ensure_nothing_was_touched_outside();
        let mut told = BTreeMap::new();
        for row in seen.rows().iter().filter(|row| row["outcome"] == "ok") {
            let (path, url) = (row["path"].as_str().unwrap(), row["url"].as_str().unwrap());
            let asked = url.strip_prefix(&origin.url("")).unwrap().split('#').next().unwrap();
            assert!(path.split('/').all(is_tame), "{row}");
            let before = told.insert(path.to_owned(), asked.as_bytes().to_vec());
            assert_eq!(before, None, "{row}");
        }
        assert_eq!(saved_in(&self.dir()), told);
        self.ensure_the_bookkeeping_is_sound();
    }

    fn ensure_the_bookkeeping_is_sound(&self) {
        let kept = all_in(&self.dir().join(".fetch"));
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["lock", "manifest.jsonl"]);
        assert_eq!(kept["lock"], There::File(Vec::new()));
        let There::File(manifest) = &kept["manifest.jsonl"] else { panic!("{kept:?}") };
        for line in String::from_utf8_lossy(manifest).lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(["saved", "partial", "dropped"].contains(&entry["type"].as_str().unwrap()));
        }
    }
}

/// Whether a component of a name does no harm on any system, as far as these tests make harmful ones.
fn is_tame(component: &str) -> bool {
    let hidden = |letter: char| {
        letter.is_control() || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
    };
    let stem = component.split('.').next().unwrap().to_ascii_uppercase();
    !component.is_empty()
        && component.len() + ".part".len() <= 255
        && !component.starts_with('.')
        && !component.ends_with(['.', ' '])
        && !component.to_ascii_lowercase().ends_with(".part")
        && !component.contains(hidden)
        && !component.contains(['\\', ':', '"', '*', '?', '<', '>', '|'])
        && !["CON", "PRN", "AUX", "NUL", "COM1", "LPT9"].contains(&stem.as_str())
}

/// What a dry run tells of each target.
fn told(seen: &Seen) -> Vec<Value> {
    let objects = seen.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects.filter(|object| object["type"] == "target").collect()
}
