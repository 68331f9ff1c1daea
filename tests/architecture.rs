//! The arrows between rooms: each room knows only what is below it, and the engine and the reports do not know each
//! other. Reads the code as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every room from the door down, and the rooms that it may know.
const ARROWS: &[(&str, &[&str])] = &[
    ("exit", &["compare", "run", "preview", "verify", "report", "engine", "record"]),
    ("cli", &["serve", "compare", "verify", "list", "plan", "record", "units", "digest"]),
    ("serve", &["units"]),
    ("compare", &["report", "policy", "source", "list", "plan", "record"]),
    ("run", &["report", "engine", "transfer", "store", "source", "plan", "record", "process"]),
    ("preview", &["report", "store", "policy", "source", "list", "plan", "record"]),
    ("verify", &["report", "store", "plan", "units"]),
    ("report", &["plan", "record", "units"]),
    (
        "engine",
        &["transfer", "store", "policy", "source", "list", "plan", "record", "digest", "process"],
    ),
    ("transfer", &["store", "policy", "plan", "record", "digest"]),
    ("store", &["policy", "plan", "record", "units", "digest"]),
    ("policy", &["plan", "record", "units"]),
    ("source", &["plan", "digest"]),
    ("list", &["record", "digest"]),
    ("plan", &["record", "units", "digest"]),
    ("record", &["digest"]),
    ("units", &[]),
    ("digest", &[]),
    ("process", &[]),
];

/// Crates that live in some rooms alone.
const RESIDENTS: &[(&str, &[&str])] = &[
    ("anyhow", &["run", "compare", "serve", "main"]),
    ("blake3", &["digest"]),
    ("cap_fs_ext", &["store"]),
    ("cap_std", &["store"]),
    ("brotli_decompressor", &["transfer"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("crc32c", &["digest"]),
    ("crc32fast", &["digest"]),
    ("csv", &["report"]),
    ("flate2", &["transfer"]),
    ("indicatif", &["report"]),
    ("md5", &["digest"]),
    ("nix", &["process"]),
    ("reqwest", &["transfer"]),
    ("rlimit", &["process"]),
    ("robotxt", &["policy"]),
    ("rustix", &["store"]),
    ("rustls", &["transfer"]),
    ("sfv", &["digest"]),
    ("sha1", &["digest"]),
    ("toml", &["cli"]),
    ("tokio", &["exit", "serve", "run", "engine", "transfer", "main"]),
    ("zstd", &["transfer"]),
];

#[test]
fn every_arrow_points_down_and_is_agreed() {
    let allowed: BTreeMap<_, BTreeSet<_>> =
        ARROWS.iter().map(|(room, below)| (*room, below.iter().copied().collect())).collect();
    for (room, text) in rooms() {
        let Some(below) = allowed.get(room.as_str()) else {
            panic!("src/{room} is not in the table of arrows");
        };
        for known in rooms_named_in(&text) {
            assert!(
                known == room || below.contains(known.as_str()),
                "{room} must not know {known}"
            );
        }
    }
}

#[test]
fn the_table_has_no_circle_for_each_room_names_only_rooms_after_it() {
    for (place, (room, below)) in ARROWS.iter().enumerate() {
        for known in *below {
            let later = ARROWS[place + 1..].iter().any(|(other, _)| other == known);
            assert!(later, "{room} -> {known} points up, or nowhere");
        }
    }
}

#[test]
fn the_table_names_no_room_and_no_arrow_that_is_not_there() {
    let rooms = rooms();
    for (room, below) in ARROWS {
        let text = rooms.get(*room).unwrap_or_else(|| panic!("there is no room {room}"));
        let known = rooms_named_in(text);
        for arrow in *below {
            assert!(known.contains(*arrow), "{room} -> {arrow} is allowed and not used");
        }
    }
}

#[test]
fn some_crates_live_in_some_rooms_alone() {
    let main = fs::read_to_string(source().join("main.rs")).unwrap();
    for (room, text) in rooms().into_iter().chain([("main".to_owned(), main)]) {
        for (resident, homes) in RESIDENTS {
            let named = code_of(&text).any(|line| mentions(line, &format!("{resident}::")));
            assert!(!named || homes.contains(&room.as_str()), "{resident} does not live in {room}");
        }
    }
}

#[test]
fn what_decides_knows_no_clock_no_files_and_no_tasks() {
    let rooms = rooms();
    for pure in ["policy", "list", "plan", "record", "digest"] {
        for line in code_of(&rooms[pure]) {
            for forbidden in ["std::fs", "std::net::Tcp", "thread::spawn", "tokio::"] {
                assert!(!mentions(line, forbidden), "{pure}: {line}");
            }
        }
    }
}

/// The text of each room, its files joined.
fn rooms() -> BTreeMap<String, String> {
    let mut rooms = BTreeMap::<String, String>::new();
    for file in rust_files(&source()) {
        let inside = file.strip_prefix(source()).unwrap().to_owned();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs").to_owned();
        if !["main", "lib"].contains(&room.as_str()) {
            rooms.entry(room).or_default().push_str(&fs::read_to_string(file).unwrap());
        }
    }
    rooms
}

fn rooms_named_in(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for line in code_of(text) {
        for (at, found) in line.match_indices("crate::") {
            let rest = &line[at + found.len()..];
            named.extend(heads(rest));
        }
    }
    named
}

/// The first names of a path or of a braced group of paths.
fn heads(path: &str) -> Vec<String> {
    let head = |text: &str| {
        text.trim()
            .chars()
            .take_while(|letter| letter.is_ascii_lowercase() || *letter == '_')
            .collect::<String>()
    };
    match path.strip_prefix('{') {
        Some(group) => group.split(',').map(head).filter(|head| !head.is_empty()).collect(),
        None => vec![head(path)],
    }
}

fn code_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

/// Whether a line names something that is not the end of a longer name.
fn mentions(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        !line[..at]
            .ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
    })
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
