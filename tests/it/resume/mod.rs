//! Continuing what was begun, within a run and between runs, and what a second run does about what the first one
//! saved. Whatever the server does meanwhile, a file is one version of the body, from its first byte to its last.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::versions::{A_MINUTE_LATER, MODIFIED, asked_from, body};
use support::{
    End, Gate, MODES, Origin, Reply, Request, Run, Seen, Version, Versions, class_of, in_every_mode,
};
use tempfile::TempDir;

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

/// Looks until something has come about.
fn until(what: &str, has_come: impl Fn() -> bool) {
    for _ in 0..6000 {
        if has_come() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} did not come about");
}

// Within a run.

#[test]
fn a_body_cut_short_is_continued_by_the_next_try_on_a_strong_validator() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let plain = Version::of(body(1, length));
            let dated = plain.clone().dated(MODIFIED, A_MINUTE_LATER);
            let both = dated.clone().tagged("\"v1\"");
            let tagged = plain.tagged("\"v1\"");
            for (version, validator) in [(tagged, "\"v1\""), (both, "\"v1\""), (dated, MODIFIED)] {
                let (folder, server) = (Folder::new(), Versions::of(version.clone()));
                let (half, most) = (length / 2, length - 1);
                server.then_cut(half);
                server.then_cut(most - half);
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&version, &seen, validator);
                let row = seen.row();
                assert_eq!((&row["wire_bytes"], &row["attempts"]), (&length.into(), &3.into()));
                assert_eq!(server.sent(), length, "no byte is sent twice");
                let heard = server.heard();
                let fields = |request: &Request| {
                    let field = |name| request.header(name).map(str::to_owned);
                    (field("range"), field("if-range"), field("if-none-match"))
                };
                let range =
                    |from| (Some(format!("bytes={from}-")), Some(validator.to_owned()), None);
                let fields: Vec<_> = heard.iter().map(fields).collect();
                assert_eq!(fields, [(None, None, None), range(half), range(most)]);
                assert_eq!(folder.kinds(), ["partial", "saved"]);
                let entries = folder.entries();
                for entry in &entries {
                    assert_eq!((&entry["path"], &entry["id"]), (&NAME.into(), &entries[0]["id"]));
                    assert_eq!(entry["url"], server.url("/file.bin"));
                }
                assert_eq!(
                    (&entries[0]["length"], &entries[0]["part"]),
                    (&length.into(), &"file.bin.part".into())
                );
            }
        }
    });
}

#[test]
fn a_body_that_nothing_strong_tells_from_others_is_begun_anew() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let plain = || Version::of(body(1, length));
            for version in [
                plain(),
                plain().tagged("W/\"v1\""),
                plain().tagged("v1"),
                plain().tagged("\"é\""),
                plain().tagged("W/\"v1\"").dated(MODIFIED, A_MINUTE_LATER),
                plain().dated(MODIFIED, "Tue, 03 Mar 2026 10:00:59 GMT"),
                plain().dated(A_MINUTE_LATER, MODIFIED),
                plain().dated("yesterday", A_MINUTE_LATER),
            ] {
                let (folder, server) = (Folder::new(), Versions::of(version.clone()));
                folder.begin(mode, &server, length / 2);
                assert_eq!(folder.names().len(), 0, "what is of no use does not stay: {version:?}");
                server.then_cut(length / 2);
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&version, &seen, "anew");
                assert_eq!(seen.row()["wire_bytes"], length / 2 + length);
                for request in server.heard() {
                    let conditions = ["range", "if-range", "if-none-match", "if-modified-since"];
                    let given = conditions.map(|name| request.header(name));
                    assert_eq!(given, [None; 4], "{request:?}");
                }
            }
        }
    });
}

// What the server may do between a beginning and the rest.

/// What a server does about the request for the rest, and what the client must do then.
struct Turn {
    what: &'static str,
    /// Whether the body is another one by then, and how much longer.
    changes: Option<isize>,
    /// The reply: what was begun, what there is now, and the byte asked for.
    reply: fn(&Version, &Version, usize) -> Reply,
    /// From where on the body is asked for after that, where it is: `None` for all of it.
    then: &'static [Then],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Whole,
    /// From so many bytes behind where it was continued.
    From(usize),
    /// From where it was continued.
    Again,
}

const WHOLE: &[Then] = &[Then::Whole];

/// The field of a range with other bounds.
fn range(first: usize, last: usize, length: impl ToString) -> String {
    format!("bytes {first}-{last}/{}", length.to_string())
}

const TURNS: &[Turn] = &[
    Turn { what: "nothing", changes: None, reply: |old, _, from| old.rest(from), then: &[] },
    Turn {
        what: "another version of the same length, by the rules",
        changes: Some(0),
        reply: |_, new, _| new.whole(),
        then: &[],
    },
    Turn {
        what: "a longer version, by the rules",
        changes: Some(3),
        reply: |_, new, _| new.whole(),
        then: &[],
    },
    Turn {
        what: "a shorter version, by the rules",
        changes: Some(-3),
        reply: |_, new, _| new.whole(),
        then: &[],
    },
    Turn {
        what: "a version that is shorter than what was begun",
        changes: Some(-9),
        reply: |_, new, _| new.whole(),
        then: &[],
    },
    Turn { what: "Range is ignored", changes: None, reply: |old, _, _| old.whole(), then: &[] },
    Turn {
        what: "the rest of another version",
        changes: Some(0),
        reply: |_, new, from| new.rest(from),
        then: WHOLE,
    },
    Turn {
        what: "the rest of another version, untagged",
        changes: Some(0),
        reply: |_, new, from| new.clone().untagged().rest(from),
        then: WHOLE,
    },
    Turn {
        what: "the rest of another version, with the tag turned weak",
        changes: Some(0),
        reply: |_, new, from| new.clone().tagged("W/\"v1\"").rest(from),
        then: WHOLE,
    },
    Turn {
        what: "the rest of a longer version that has the length of the first",
        changes: Some(3),
        reply: |old, new, from| new.part(from..old.length(), &old.range(from)),
        then: WHOLE,
    },
    Turn {
        what: "the rest of a longer version under the tag of the first",
        changes: Some(3),
        reply: |_, new, from| new.clone().tagged("\"v1\"").rest(from),
        then: WHOLE,
    },
    Turn {
        what: "the rest of the first version, untagged",
        changes: None,
        reply: |old, _, from| old.clone().untagged().rest(from),
        then: WHOLE,
    },
    Turn {
        what: "a range that begins before",
        changes: None,
        reply: |old, _, from| old.rest(from - 1),
        then: WHOLE,
    },
    Turn {
        what: "a range that begins with the first byte",
        changes: None,
        reply: |old, _, _| old.rest(0),
        then: WHOLE,
    },
    Turn {
        what: "a range that begins behind",
        changes: None,
        reply: |old, _, from| old.rest(from + 1),
        then: WHOLE,
    },
    Turn {
        what: "a range of a longer whole",
        changes: None,
        reply: |old, _, from| {
            let length = old.length();
            old.part(from..length, &range(from, length - 1, length + 1))
        },
        then: WHOLE,
    },
    Turn {
        what: "a range of a shorter whole",
        changes: None,
        reply: |old, _, from| {
            let length = old.length() - 1;
            old.part(from..length, &range(from, length - 1, length))
        },
        then: WHOLE,
    },
    Turn {
        what: "a range of a whole that is not told",
        changes: None,
        reply: |old, _, from| {
            let length = old.length();
            old.part(from..length, &range(from, length - 1, "*"))
        },
        then: WHOLE,
    },
    Turn {
        what: "a range that is not told",
        changes: None,
        reply: |old, _, from| Reply::of("206 Partial", &old.fields(), &old.body[from..]),
        then: WHOLE,
    },
    Turn {
        what: "several parts, which name no range",
        changes: None,
        reply: |old, _, from| several_parts(old, from),
        then: WHOLE,
    },
    Turn {
        what: "several parts, which name the range too",
        changes: None,
        reply: |old, _, from| {
            several_parts(old, from).with(&format!("Content-Range: {}", old.range(from)))
        },
        then: WHOLE,
    },
    Turn {
        what: "the rest, coded",
        changes: None,
        reply: |old, _, from| old.rest(from).with("Content-Encoding: gzip"),
        then: WHOLE,
    },
    Turn {
        what: "less than was asked for",
        changes: None,
        reply: |old, _, from| old.part(from..from + 2, &range(from, from + 1, old.length())),
        then: &[Then::From(2)],
    },
    Turn {
        what: "the rest, cut short",
        changes: None,
        reply: |old, _, from| old.rest(from).up_to(2, End::Close),
        then: &[Then::From(2)],
    },
    Turn {
        what: "the rest, broken off",
        changes: None,
        reply: |old, _, from| old.rest(from).up_to(0, End::Close),
        then: &[Then::Again],
    },
    Turn {
        what: "no such range, of the same length",
        changes: None,
        reply: |old, _, _| old.beyond(),
        then: WHOLE,
    },
    Turn {
        what: "no such range, of the length that was begun",
        changes: None,
        reply: |old, _, from| {
            let field = format!("{}Content-Range: bytes */{from}\r\n", old.fields());
            Reply::of("416 Range Not Satisfiable", &field, "")
        },
        then: WHOLE,
    },
    Turn {
        what: "no such range, of another version",
        changes: Some(-9),
        reply: |_, new, _| new.beyond(),
        then: WHOLE,
    },
    Turn {
        what: "no such range, of no length",
        changes: None,
        reply: |_, _, _| Reply::of("416 Range Not Satisfiable", "", "no"),
        then: WHOLE,
    },
    Turn { what: "not modified", changes: None, reply: |old, _, _| old.unchanged(), then: WHOLE },
    Turn {
        what: "a redirect",
        changes: None,
        reply: |_, _, _| Reply::redirect(302, "/elsewhere"),
        then: WHOLE,
    },
    Turn {
        what: "no time",
        changes: None,
        reply: |_, _, _| Reply::of("503 Busy", "", "busy"),
        then: &[Then::Again],
    },
];

fn several_parts(version: &Version, from: usize) -> Reply {
    let text = format!("--x\r\nContent-Range: {}\r\n\r\n", version.range(from));
    let body = [text.as_bytes(), &version.body[from..], b"\r\n--x--\r\n"].concat();
    let fields = version.fields() + "Content-Type: multipart/byteranges; boundary=x\r\n";
    Reply::of("206 Partial Content", &fields, body)
}

/// Lets the server take its turn at the request for the rest, before which it has `change`d where it does. Tells what
/// is to be found in the end and what is to be asked for.
fn take(
    turn: &Turn,
    server: &Versions,
    begun: usize,
    change: impl Fn(&Versions, Version),
) -> (Version, Vec<Option<usize>>) {
    let old = server.version();
    let now = match turn.changes {
        None => old.clone(),
        Some(longer) => second(old.length().strict_add_signed(longer)),
    };
    change(server, now.clone());
    let reply = turn.reply;
    server.then(move |request, now| match asked_from(request) {
        Some(from) => reply(&old, now, from),
        None => now.whole(),
    });
    let then = turn.then.iter().map(|then| match then {
        Then::Whole => None,
        Then::Again => Some(begun),
        Then::From(more) => Some(begun + more),
    });
    (now, [Some(begun)].into_iter().chain(then).collect())
}

/// Bytes of a body of this length that are there when it is to be continued.
fn beginning(length: usize) -> usize {
    length * 2 / 3
}

/// A server for each turn, as a list that they take their turns in, all in one run.
struct Turns {
    length: usize,
    servers: Vec<Versions>,
}

impl Turns {
    fn of(length: usize) -> Self {
        let servers = TURNS.iter().map(|_| Versions::of(first(length))).collect();
        Self { length, servers }
    }

    fn each(&self) -> impl Iterator<Item = (&'static Turn, &Versions)> {
        TURNS.iter().zip(&self.servers)
    }

    fn list(&self) -> String {
        let line = |(at, server): (usize, &Versions)| server.url(&format!("/{at}.bin\n"));
        self.servers.iter().enumerate().map(line).collect()
    }

    /// All files are what they must be; before what was expected each server was asked for this.
    fn assert_right(
        &self,
        folder: &Folder,
        seen: &Seen,
        before: &[Option<usize>],
        expected: &[(Version, Vec<Option<usize>>)],
    ) {
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let rows = seen.rows_in_list_order();
        for (at, (turn, server)) in self.each().enumerate() {
            let (version, then) = &expected[at];
            folder.assert_saved(&format!("{at}.bin"), version, &rows[at], turn.what);
            assert_eq!(asked(server), [before, then].concat(), "{}", turn.what);
            assert_counted(&rows[at], server.sent(), self.length, turn);
        }
        assert_eq!(folder.names().len(), TURNS.len(), "{:?}", folder.names());
    }
}

#[test]
fn whatever_the_server_does_within_a_run_the_file_is_one_version() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let (folder, turns, begun) = (Folder::new(), Turns::of(length), beginning(length));
            let prepare = |(turn, server): (&Turn, &Versions)| {
                server.then_cut(begun);
                take(turn, server, begun, Versions::then_change)
            };
            let expected: Vec<_> = turns.each().map(prepare).collect();
            let seen = folder.run(mode).list(turns.list()).seen();
            turns.assert_right(&folder, &seen, &[None], &expected);
        }
    });
}

#[test]
fn whatever_the_server_does_between_runs_the_file_is_one_version() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let (folder, turns, begun) = (Folder::new(), Turns::of(length), beginning(length));
            turns.servers.iter().for_each(|server| server.then_cut(begun));
            let seen = folder.run(mode).args(["--retry", "0"]).list(turns.list()).seen();
            assert_eq!(seen.classes_in_list_order(), vec!["truncated"; TURNS.len()]);
            for at in 0..TURNS.len() {
                let part = fs::metadata(folder.at(&format!("{at}.bin.part"))).unwrap();
                assert_eq!(part.len(), begun as u64);
            }
            let prepare = |(turn, server): (&Turn, &Versions)| {
                server.forget();
                take(turn, server, begun, Versions::change)
            };
            let expected: Vec<_> = turns.each().map(prepare).collect();
            let seen = folder.run(mode).list(turns.list()).seen();
            turns.assert_right(&folder, &seen, &[], &expected);
        }
    });
}

/// What crossed the wire is told: all that was sent, but for the rest of a large body that nobody wants.
fn assert_counted(row: &Value, sent: usize, length: usize, turn: &Turn) {
    let wire = row["wire_bytes"].as_u64().unwrap() as usize;
    let is_refused = turn.then == WHOLE;
    if length == LENGTHS[0] || !is_refused {
        assert_eq!(wire, sent, "{}: {row}", turn.what);
    } else {
        assert!(wire <= sent, "{}: {row}", turn.what);
    }
}

#[test]
fn a_rest_that_is_longer_than_it_says_is_no_part_of_any_file() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            let begun = beginning(length);
            folder.begin(mode, &server, begun);
            // Its own end is well marked, so that only the range contradicts it.
            server.then(move |_, version| {
                let range = range(begun, length - 2, length);
                version.part(begun..length, &range)
            });
            let seen = folder.fetch(mode, &server, &[]);
            assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(1), "protocol"));
            assert_eq!(folder.names().len(), 0, "nor of a later one");
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "the next run");
        }
    });
}

#[test]
fn a_server_that_lies_about_the_version_is_found_out_by_a_checksum() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let right = first(length);
            let digest = fetch::digest::Algorithm::Blake3;
            let sum = sum_of(digest, &right.body);
            let (folder, server) = (Folder::new(), Versions::of(right.clone()));
            let list = format!("{}\n  checksum={sum}\n", server.url("/file.bin"));
            let begun = beginning(length);
            server.then_cut(begun);
            server.then(move |_, _| second(length).tagged("\"v1\"").rest(begun));
            let seen = folder.run(mode).args(["--digest", "blake3"]).list(&list).seen();
            folder.assert_holds(&right, &seen, "it was fetched once more");
            assert_eq!(seen.row()["digest"], sum);
            assert_eq!(asked(&server), [None, Some(begun), None]);

            let (folder, server) = (Folder::new(), Versions::of(right.clone()));
            let list = format!("{}\n  checksum={sum}\n", server.url("/file.bin"));
            server.then_cut(begun);
            let seen = folder.run(mode).args(["--digest", "blake3"]).list(&list).seen();
            folder.assert_holds(&right, &seen, "what is continued has the sum of the whole");
            assert_eq!(seen.row()["digest"], sum);
            assert_eq!(asked(&server), [None, Some(begun)]);
        }
    });
}

/// The digest of these bytes as the list writes it.
fn sum_of(algorithm: fetch::digest::Algorithm, bytes: &[u8]) -> String {
    let mut hashers = fetch::digest::Hashers::default();
    hashers.add(algorithm);
    hashers.update(bytes);
    hashers.finish()[0].to_string()
}

// Bodies whose length is not told.

#[test]
fn a_body_of_unknown_length_is_continued_up_to_the_length_that_the_rest_tells() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            for between_runs in [false, true] {
                let (folder, server) = (Folder::new(), Versions::of(first(length)));
                let begun = beginning(length);
                server.then(move |_, version| version.endless(begun));
                if between_runs {
                    let seen = folder.fetch(mode, &server, &["--retry", "0"]);
                    assert_eq!(seen.code, Some(1), "{seen:?}");
                    assert_eq!(folder.begun(), begun);
                }
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&first(length), &seen, "continued");
                assert_eq!(asked(&server), [None, Some(begun)]);
                assert_eq!(folder.entries()[0]["length"], Value::Null);
            }
        }
    });
}

#[test]
fn a_body_of_unknown_length_that_lacks_only_its_end_is_complete_where_that_is_proven() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            // The rules alone.
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            server.then(move |_, version| version.endless(length));
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "all of it was there");
            assert_eq!(asked(&server), [None, Some(length)]);

            // Another version is as long as what is there of the first one, and no tag tells.
            let begun = beginning(length);
            let other = second(begun).untagged();
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            server.then(move |_, version| version.endless(begun));
            server.then_change(other.clone());
            server.then(|_, version| version.beyond());
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&other, &seen, "another version");
            assert_eq!(asked(&server), [None, Some(begun), None]);
        }
    });
}

#[test]
fn a_whole_body_that_was_not_entered_yet_is_completed_with_its_last_byte() {
    in_every_mode(|mode| {
        let length = LENGTHS[1];
        let (folder, server) = (Folder::new(), Versions::of(first(length)));
        let run = folder.run(mode).env("FETCH_KILL_AT", "written:1");
        let seen = run.arg(server.url("/file.bin")).seen();
        assert_eq!((seen.code, folder.begun()), (None, length), "{seen:?}");
        server.forget();
        let seen = folder.fetch(mode, &server, &[]);
        assert_eq!((asked(&server), server.sent()), (vec![Some(length - 1)], 1));
        assert_eq!((seen.code, folder.file() == first(length).body), (Some(0), true));
        let row = seen.row();
        assert_eq!((&row["bytes"], &row["wire_bytes"]), (&length.into(), &1.into()));
        let last = folder.entries().pop().unwrap();
        assert_eq!((&last["type"], &last["etag"]), (&"saved".into(), &"\"v1\"".into()));
        assert_eq!(folder.names(), [NAME]);
        // Nothing that the tag contradicts is complete.
        let (folder, server) = (Folder::new(), Versions::of(first(length)));
        let run = folder.run(mode).env("FETCH_KILL_AT", "written:1");
        run.arg(server.url("/file.bin")).seen();
        server.change(second(length));
        server.then(|_, version| version.beyond());
        let seen = folder.fetch(mode, &server, &[]);
        folder.assert_holds(&second(length), &seen, "the other version");
    });
}

#[test]
fn an_empty_body_is_an_empty_file() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(0)));
        let seen = folder.fetch(mode, &server, &[]);
        folder.assert_holds(&first(0), &seen, "empty");
        let again = folder.fetch(mode, &server, &[]);
        assert_eq!((again.row()["outcome"].as_str(), server.heard().len()), (Some("skipped"), 1));
        server.change(second(11));
        let seen = folder.fetch(mode, &server, &["--refresh"]);
        folder.assert_holds(&second(11), &seen, "no more");
        server.change(first(0));
        let seen = folder.fetch(mode, &server, &["--refresh"]);
        folder.assert_holds(&first(0), &seen, "again");
    });
}

#[test]
fn a_file_is_as_old_as_the_body() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let version = Version::of(body(1, length)).dated(MODIFIED, A_MINUTE_LATER);
            let (folder, server) = (Folder::new(), Versions::of(version.clone()));
            server.then_cut(length / 2);
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&version, &seen, "dated");
            let modified = fs::metadata(folder.at(NAME)).unwrap().modified().unwrap();
            assert_eq!(modified, httpdate::parse_http_date(MODIFIED).unwrap());
            assert_eq!(folder.entries().pop().unwrap()["last_modified"], MODIFIED);
        }
    });
}

// Between runs.

/// How a run is ended in the middle of a body.
#[derive(Debug, Clone, Copy)]
enum Stopped {
    Failed,
    Deadline,
    Interrupted,
    InterruptedTwice,
    Killed,
}

#[test]
fn a_run_that_is_ended_in_the_middle_is_continued_by_the_same_command() {
    use Stopped::{Deadline, Failed, Interrupted, InterruptedTwice, Killed};
    in_every_mode(|mode| {
        let (length, sent) = (LENGTHS[1], LENGTHS[1] / 2);
        for stopped in [Failed, Deadline, Interrupted, InterruptedTwice, Killed] {
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            let end = if matches!(stopped, Failed) { End::Close } else { End::Stall };
            server.then(move |_, version| version.whole().up_to(sent, end));
            if matches!(stopped, Interrupted) {
                // Tries that find nothing new, until the signal is heard.
                (0..1000).for_each(|_| {
                    server.then(|request, version| version.answer(request).up_to(0, End::Stall));
                });
            }
            let args: &[&str] = match stopped {
                Failed => &["--retry", "0"],
                Deadline => &["--deadline", "2s"],
                Interrupted => &["--stall-timeout", "1s", "--retry", "1000"],
                _ => &[],
            };
            let live = folder.run(mode).args(args).arg(server.url("/file.bin")).live();
            until("what was sent", || folder.begun() == sent);
            let (signals, code): (&[Signal], _) = match stopped {
                Failed => (&[], Some(1)),
                Deadline => (&[], Some(4)),
                Interrupted => (&[Signal::SIGINT], Some(130)),
                InterruptedTwice => (&[Signal::SIGINT, Signal::SIGTERM], Some(143)),
                Killed => (&[Signal::SIGKILL], None),
            };
            signals.iter().for_each(|signal| live.signal(*signal));
            let seen = live.seen();
            if !matches!(stopped, InterruptedTwice) {
                assert_eq!(seen.code, code, "{stopped:?}: {seen:?}");
            }
            assert_eq!((folder.begun(), folder.kinds()), (sent, vec!["partial".to_owned()]));
            server.behave();
            server.forget();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "the same command");
            assert_eq!((asked(&server), server.sent()), (vec![Some(sent)], length - sent));
            assert_eq!(seen.row()["wire_bytes"], length - sent);
            assert_eq!(folder.kinds(), ["partial", "saved"]);
        }
    });
}

#[test]
fn what_someone_did_to_an_unfinished_file_does_not_get_into_a_whole_one() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let begun = beginning(length);
            let prepared = || {
                let (folder, server) = (Folder::new(), Versions::of(first(length)));
                folder.begin(mode, &server, begun);
                let part = folder.at("file.bin.part");
                (folder, server, part)
            };

            let (folder, server, part) = prepared();
            fs::File::options().write(true).open(&part).unwrap().set_len(3).unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "cut");
            assert_eq!(asked(&server), [Some(3)]);

            let (folder, server, part) = prepared();
            fs::write(&part, "").unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "empty");
            assert_eq!(asked(&server), [None]);

            let (folder, server, part) = prepared();
            fs::write(&part, body(2, length + 1)).unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "longer than the whole");
            assert_eq!(asked(&server), [None]);

            let (folder, server, part) = prepared();
            fs::remove_file(&part).unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "removed");
            assert_eq!(asked(&server), [None]);

            let (folder, server, part) = prepared();
            let elsewhere = tempfile::tempdir().unwrap();
            let other = elsewhere.path().join("other");
            fs::hard_link(&part, &other).unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "with another name");
            assert!(fs::read(&other).unwrap() == first(length).body[..begun], "it is not ours");

            for make in [
                (|to: &Path, part: &Path| symlink(to, part).unwrap()) as fn(&Path, &Path),
                |_, part| fs::create_dir(part).unwrap(),
            ] {
                let (folder, server, part) = prepared();
                fs::rename(&part, &other).unwrap();
                make(&other, &part);
                let seen = folder.fetch(mode, &server, &[]);
                let row = seen.row();
                assert_eq!((seen.code, class_of(&row).as_str()), (Some(1), "name"), "{row}");
                let message = row["error"]["message"].as_str().unwrap();
                assert!(message.contains("file.bin.part is there"), "{message}");
                assert!(fs::read(&other).unwrap() == first(length).body[..begun]);
                assert_eq!(folder.names(), ["file.bin.part"]);
                let _ = fs::remove_file(&part).or_else(|_| fs::remove_dir(&part));
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&first(length), &seen, "once it is moved away");
            }
        }
    });
}

#[test]
fn what_one_mirror_began_is_never_continued_by_another() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let begun = beginning(length);
            // Each has its own body under the same tag.
            let here = Versions::of(first(length));
            let there = Versions::of(second(length).tagged("\"v1\""));
            let list = format!("{}\t{}\n", here.url("/file.bin"), there.url("/other.bin"));
            let fetch =
                |folder: &Folder, args: &[&str]| folder.run(mode).args(args).list(&list).seen();

            let folder = Folder::new();
            here.then_cut(begun);
            let seen = fetch(&folder, &[]);
            folder.assert_holds(&there.version(), &seen, "the other one");
            assert_eq!((asked(&here), asked(&there)), (vec![None], vec![None]));
            assert_eq!(seen.row()["served_by"], there.url("/other.bin"));
            assert_eq!(seen.row()["wire_bytes"], begun + length);

            let folder = Folder::new();
            here.then_cut(begun);
            there.then(|_, _| Reply::of("404 Not Found", "", ""));
            let seen = fetch(&folder, &[]);
            folder.assert_holds(&here.version(), &seen, "the first one again");
            assert_eq!((asked(&here), asked(&there)), (vec![None, Some(begun)], vec![None]));

            let folder = Folder::new();
            here.then_cut(begun);
            there.then_cut(begun + 1);
            let seen = fetch(&folder, &[]);
            folder.assert_holds(&here.version(), &seen, "the other one's beginning is dropped");
            assert_eq!((asked(&here), asked(&there)), (vec![None, None], vec![None]));

            let folder = Folder::new();
            here.then(|_, _| Reply::of("404 Not Found", "", ""));
            there.then_cut(begun);
            assert_eq!(fetch(&folder, &["--retry", "0"]).code, Some(1));
            assert_eq!(folder.begun(), begun);
            here.forget();
            there.forget();
            let seen = fetch(&folder, &[]);
            folder.assert_holds(&here.version(), &seen, "the first one in the next run");
            assert_eq!((asked(&here), asked(&there).len()), (vec![None], 0));

            let folder = Folder::new();
            here.then(|_, _| Reply::of("404 Not Found", "", ""));
            there.then_cut(begun);
            assert_eq!(fetch(&folder, &["--retry", "0"]).code, Some(1));
            here.forget();
            there.forget();
            here.then(|_, _| Reply::of("404 Not Found", "", ""));
            let seen = fetch(&folder, &[]);
            folder.assert_holds(&there.version(), &seen, "its own in the next run");
            assert_eq!((asked(&here), asked(&there)), (vec![None], vec![Some(begun)]));
        }
    });
}

#[test]
fn what_a_redirect_led_to_is_continued_where_the_next_one_leads_there_too() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let begun = beginning(length);
            let (here, there) = (Versions::of(first(length)), Versions::of(first(length)));
            let folder = Folder::new();
            let signed = |signature: usize| there.url(&format!("/v1.bin?signature={signature}"));
            let (once, again) = (signed(1), signed(2));
            here.then(move |_, _| Reply::redirect(302, &once));
            there.then_cut(begun);
            assert_eq!(folder.fetch(mode, &here, &["--retry", "0"]).code, Some(1));
            here.then(move |_, _| Reply::redirect(302, &again));
            let seen = folder.fetch(mode, &here, &[]);
            folder.assert_holds(&first(length), &seen, "there");
            assert_eq!(asked(&there), [None, Some(begun)]);
            assert_eq!(seen.row()["final_url"], there.url("/v1.bin?signature=2"));
        }
    });
}

#[test]
fn what_one_resource_began_is_never_continued_by_another_that_a_redirect_leads_to() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let begun = beginning(length);
            // Another body that goes by the same tag.
            let other = second(length).tagged("\"v1\"");
            let (here, there) = (Versions::of(first(length)), Versions::of(other.clone()));
            let to = [there.url("/v1.bin"), there.url("/v2.bin")];
            let led_to = |place: usize| {
                let to = to[place].clone();
                here.then(move |_, _| Reply::redirect(302, &to));
            };
            let folder = Folder::new();
            folder.begin(mode, &here, begun);
            led_to(0);
            let seen = folder.fetch(mode, &here, &[]);
            folder.assert_holds(&other, &seen, "begun here");
            assert_eq!(asked(&there), [None]);

            let folder = Folder::new();
            there.change(first(length));
            there.then_cut(begun);
            there.then_change(other.clone());
            led_to(0);
            led_to(1);
            let seen = folder.fetch(mode, &here, &[]);
            folder.assert_holds(&other, &seen, "begun there, within a run");
        }
    });
}

#[test]
fn a_reply_that_is_no_http_leaves_what_was_there_before() {
    in_every_mode(|mode| {
        let length = LENGTHS[1];
        let begun = beginning(length);
        let (folder, server) = (Folder::new(), Versions::of(first(length)));
        folder.begin(mode, &server, begun);
        server.then(|_, _| Reply::raw("garbage\r\n\r\n", End::Close));
        let seen = folder.fetch(mode, &server, &[]);
        assert_eq!(
            (class_of(&seen.row()).as_str(), folder.begun()),
            ("protocol", begun),
            "{seen:?}"
        );
        let seen = folder.fetch(mode, &server, &[]);
        folder.assert_holds(&first(length), &seen, "after garbage");
        assert_eq!(asked(&server).last(), Some(&Some(begun)));
    });
}

#[test]
fn one_url_under_two_users_is_two_bodies() {
    in_every_mode(|mode| {
        let origin =
            Origin::new(|request| Reply::ok(request.header("authorization").unwrap_or("nobody")));
        let folder = Folder::new();
        let url = origin.url("/who");
        let named = |user: &str| url.replace("http://", &format!("http://{user}@")) + "\n";
        let list = named("alice:1") + &named("bob:2");
        let seen = folder.run(mode).list(list).seen();
        assert_eq!(outcomes(&seen), ["ok", "ok"], "{seen:?}");
        let bodies: BTreeSet<_> =
            folder.names().iter().map(|name| fs::read(folder.at(name)).unwrap()).collect();
        assert_eq!(bodies.len(), 2);
    });
}

// Reruns.

#[test]
fn what_is_complete_is_not_asked_for_again_and_what_is_missing_is_fetched() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        let list = |paths: &[&str]| -> String {
            paths.iter().map(|path| format!("{}\n", server.url(path))).collect()
        };
        let paths = ["/a", "/b", "/c", "/d"];
        assert_eq!(folder.run(mode).list(list(&paths[..2])).seen().code, Some(0));
        assert_eq!(server.heard().len(), 2);
        let seen = folder.run(mode).list(list(&paths)).seen();
        assert_eq!(seen.code, Some(0));
        let mut fetched: Vec<_> = server.heard().into_iter().map(|request| request.path).collect();
        fetched.sort();
        assert_eq!(fetched, ["/c", "/d"]);
        assert_eq!(outcomes(&seen), ["skipped", "skipped", "ok", "ok"]);
        let fields = ["path", "bytes", "etag", "wire_bytes", "attempts", "http_status"];
        let told = told(&seen.rows_in_list_order()[0], &fields);
        assert_eq!(told, json!(["a", 11, "\"v1\"", 0, 0, null]));

        fs::remove_file(folder.at("a")).unwrap();
        fs::write(folder.at("b"), body(2, 12)).unwrap();
        let seen = folder.run(mode).list(list(&paths)).seen();
        assert_eq!(outcomes(&seen), ["ok", "ok", "skipped", "skipped"]);
        for path in paths {
            assert!(fs::read(folder.at(&path[1..])).unwrap() == server.version().body);
        }
        server.heard();
        let seen = folder.run(mode).list(list(&paths)).seen();
        assert_eq!((outcomes(&seen), server.heard().len()), (vec!["skipped".to_owned(); 4], 0));
        assert_eq!((seen.code, &seen.summary()["skipped"]), (Some(0), &4.into()));
        let saved = folder.kinds().iter().filter(|kind| *kind == "saved").count();
        assert_eq!(saved, 6, "nothing is entered about what is skipped");
    });
}

/// These fields of a row.
fn told(row: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|field| row[field].clone()).collect()
}

fn outcomes(seen: &Seen) -> Vec<String> {
    let outcome = |row: &Value| row["outcome"].as_str().unwrap().to_owned();
    seen.rows_in_list_order().iter().map(outcome).collect()
}

#[test]
fn refresh_keeps_what_has_not_changed_and_replaces_what_has() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let plain = |seed| Version::of(body(seed, length));
            let dated = |seed, date| plain(seed).dated(date, A_MINUTE_LATER);
            let tag = |version: Version, tag: &str| version.tagged(tag);
            let none = "if-none-match";
            let since = "if-modified-since";
            for (old, new, name, value) in [
                (tag(plain(1), "\"v1\""), tag(plain(2), "\"v2\""), none, "\"v1\""),
                (tag(plain(1), "W/\"v1\""), tag(plain(2), "W/\"v2\""), none, "W/\"v1\""),
                (tag(dated(1, MODIFIED), "\"v1\""), dated(2, MODIFIED), none, "\"v1\""),
                (dated(1, MODIFIED), dated(2, A_MINUTE_LATER), since, MODIFIED),
            ] {
                let (folder, server) = (Folder::new(), Versions::of(old.clone()));
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&old, &seen, "first");
                server.forget();
                let entries = folder.entries();

                let seen = folder.fetch(mode, &server, &["--refresh"]);
                let row = seen.row();
                assert_eq!((seen.code, row["outcome"].as_str()), (Some(0), Some("unchanged")));
                let told = told(&row, &["path", "bytes", "wire_bytes", "http_status"]);
                assert_eq!(told, json!([NAME, length, 0, 304]));
                assert_eq!(row["etag"].as_str(), old.etag.as_deref());
                assert_eq!(row["last_modified"].as_str(), old.modified.as_deref());
                assert!(folder.file() == old.body && folder.entries() == entries);
                let heard = server.heard();
                let conditions = [none, since, "range", "if-range"];
                let given = conditions.map(|name| heard[0].header(name).is_some());
                assert_eq!(
                    (heard[0].header(name), given.map(usize::from).iter().sum()),
                    (Some(value), 1)
                );

                server.change(new.clone());
                let seen = folder.fetch(mode, &server, &["--refresh"]);
                folder.assert_holds(&new, &seen, "changed");
                assert_eq!(server.heard()[0].header(name), Some(value));
            }
            let (folder, server) = (Folder::new(), Versions::of(plain(1)));
            folder.fetch(mode, &server, &[]);
            let seen = folder.fetch(mode, &server, &["--refresh"]);
            folder.assert_holds(&plain(1), &seen, "nothing tells the version");
            assert_eq!(server.heard().len(), 2);
        }
    });
}

#[test]
fn a_condition_given_by_hand_says_nothing_about_what_was_saved() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        folder.fetch(mode, &server, &[]);
        server.change(second(LENGTHS[0]));
        let seen = folder.fetch(mode, &server, &["--refresh", "-H", "If-None-Match: \"v2\""]);
        assert_eq!((seen.code, outcomes(&seen)), (Some(1), vec!["failed".to_owned()]));
        assert!(folder.file() == first(LENGTHS[0]).body);
        let seen = folder.fetch(mode, &server, &["--refresh", "-H", "If-None-Match: \"v3\""]);
        folder.assert_holds(&second(LENGTHS[0]), &seen, "it is not that one either");
    });
}

#[test]
fn force_fetches_everything_again_as_a_whole() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            folder.fetch(mode, &server, &[]);
            for version in [first(length), second(length)] {
                server.change(version.clone());
                server.forget();
                let seen = folder.fetch(mode, &server, &["--force"]);
                folder.assert_holds(&version, &seen, "all again");
                assert_eq!((asked(&server), server.sent()), (vec![None], length));
            }
            let folder = Folder::new();
            folder.begin(mode, &server, beginning(length));
            let seen = folder.fetch(mode, &server, &["--force"]);
            folder.assert_holds(&second(length), &seen, "also what was begun");
            assert_eq!(asked(&server), [None]);
        }
    });
}

#[test]
fn a_file_stays_as_it_is_until_the_next_version_is_whole() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            for again in ["--refresh", "--force"] {
                let (folder, server) = (Folder::new(), Versions::of(first(length)));
                folder.fetch(mode, &server, &[]);
                server.change(second(length));
                let begun = beginning(length);
                server.then_cut(begun);
                let seen = folder.fetch(mode, &server, &["--retry", "0", again]);
                assert_eq!(seen.code, Some(1), "{seen:?}");
                assert!(folder.file() == first(length).body, "the old one is still whole");
                server.heard();
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(
                    &second(length),
                    &seen,
                    "continued by a run without the option",
                );
                assert_eq!(asked(&server), [Some(begun)]);
            }
        }
    });
}

#[test]
fn a_version_that_comes_back_while_the_next_one_is_fetched_stays() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            for new in [second(length), second(length).tagged("W/\"v2\"")] {
                let (folder, server) = (Folder::new(), Versions::of(first(length)));
                folder.fetch(mode, &server, &[]);
                server.change(new);
                server.then_cut(beginning(length));
                server.then_change(first(length));
                server.then(|request, version| match asked_from(request) {
                    Some(_) => version.beyond(),
                    None => version.answer(request),
                });
                let seen = folder.fetch(mode, &server, &["--refresh"]);
                assert_eq!(seen.code, Some(0), "{seen:?}");
                assert!(folder.file() == first(length).body);
                assert_eq!(folder.names(), [NAME]);
                server.heard();
                let seen = folder.fetch(mode, &server, &[]);
                assert_eq!(outcomes(&seen), ["skipped"]);
                assert_eq!((server.heard().len(), folder.names()), (0, vec![NAME.to_owned()]));
            }
        }
    });
}

#[test]
fn a_checksum_that_contradicts_what_was_saved_causes_a_new_fetch() {
    in_every_mode(|mode| {
        let (old, new) = (first(LENGTHS[0]), second(LENGTHS[0]));
        let sha256 = |version: &Version| sum_of(fetch::digest::Algorithm::Sha256, &version.body);
        let (folder, server) = (Folder::new(), Versions::of(old.clone()));
        let url = server.url("/file.bin");
        let seen = folder.fetch(mode, &server, &["--digest", "sha256"]);
        folder.assert_holds(&old, &seen, "first");
        let entry = folder.entries().pop().unwrap();
        assert_eq!(format!("sha-256={}", entry["sha256"].as_str().unwrap()), sha256(&old));

        let with = |sum: &str| folder.run(mode).list(format!("{url}\n  checksum={sum}\n")).seen();
        assert_eq!(outcomes(&with(&sha256(&old))), ["skipped"]);
        server.change(new.clone());
        server.heard();
        let seen = with(&sha256(&new));
        folder.assert_holds(&new, &seen, "another one is wanted");
        assert_eq!(asked(&server), [None]);
        assert_eq!(seen.row()["digest"], sha256(&new));

        let seen = with(&sha256(&old));
        assert_eq!(class_of(&seen.row()), "checksum");
        assert!(folder.file() == new.body, "what is wrong replaces nothing");
        assert_eq!(folder.names(), [NAME]);
    });
}

#[test]
fn a_version_is_entered_with_its_own_validators_alone() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let dated = |seed| Version::of(body(seed, length)).dated(MODIFIED, A_MINUTE_LATER);
            let bare = || Version::of(body(2, length));
            for (old, new) in [
                (first(length), bare()),
                (first(length), dated(2)),
                (dated(1), second(length)),
                (dated(1), bare()),
            ] {
                let (folder, server) = (Folder::new(), Versions::of(old));
                folder.begin(mode, &server, beginning(length));
                server.change(new.clone());
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&new, &seen, "the new one");
            }
        }
    });
}

#[test]
fn what_a_killed_run_left_of_one_version_is_not_taken_for_another() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let begun = beginning(length);
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            server.then_cut(begun);
            server.then_change(second(length - 3));
            let run = folder.run(mode).env("FETCH_KILL_AT", "written:1");
            let seen = run.arg(server.url("/file.bin")).seen();
            assert_eq!((seen.code, folder.begun()), (None, length - 3), "{seen:?}");
            server.change(first(length));
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "the first version came back");
        }
    });
}

// The bookkeeping.

#[test]
fn a_second_run_into_the_same_folder_says_so_and_leaves_it_alone() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        let (arrived, open) = (Gate::of(1), Gate::of(1));
        let (at_origin, held) = (arrived.clone(), open.clone());
        server.then(move |_, version| {
            at_origin.pass();
            held.wait();
            version.whole()
        });
        let live = folder.run(mode).arg(server.url("/file.bin")).live();
        arrived.wait();
        let other = folder.fetch(mode, &server, &[]);
        assert_eq!((other.code, other.stdout.as_str()), (Some(2), ""));
        assert!(other.stderr.contains("another run is saving to this folder"), "{other:?}");
        open.pass();
        folder.assert_holds(&first(LENGTHS[0]), &live.seen(), "the first run");
        assert_eq!(server.heard().len(), 1);
        assert_eq!(outcomes(&folder.fetch(mode, &server, &[])), ["skipped"], "afterwards");
    });
}

#[test]
fn a_torn_line_of_the_manifest_is_mended_and_told() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        folder.fetch(mode, &server, &[]);
        let whole = fs::read(folder.manifest()).unwrap();
        for torn in [&whole[..whole.len() / 2], b"{", b"nonsense"] {
            fs::write(folder.manifest(), [&whole, torn].concat()).unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            assert_eq!((seen.code, outcomes(&seen)), (Some(0), vec!["skipped".to_owned()]));
            assert!(seen.stderr.contains("torn"), "{seen:?}");
            assert_eq!(fs::read(folder.manifest()).unwrap(), whole);
        }
        fs::write(folder.manifest(), &whole[..whole.len() - 1]).unwrap();
        let seen = folder.fetch(mode, &server, &[]);
        assert_eq!(
            (outcomes(&seen), seen.stderr.contains("torn")),
            (vec!["skipped".to_owned()], false)
        );
        assert_eq!(fs::read(folder.manifest()).unwrap(), whole, "a whole line lacks only its end");

        // With the only line the file is not known any more; it may be anyone's.
        fs::write(folder.manifest(), &whole[..whole.len() / 2]).unwrap();
        server.change(second(LENGTHS[0]));
        let seen = folder.fetch(mode, &server, &[]);
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(1), "name"), "{seen:?}");
        assert!(folder.file() == first(LENGTHS[0]).body);
        let seen = folder.fetch(mode, &server, &["--overwrite"]);
        folder.assert_holds(&second(LENGTHS[0]), &seen, "--overwrite");
    });
}

#[test]
fn a_line_of_the_manifest_that_is_no_entry_is_told_and_passed_over() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        folder.fetch(mode, &server, &[]);
        let whole = fs::read_to_string(folder.manifest()).unwrap();
        for odd in [
            "nonsense",
            "{}",
            "",
            "{\"type\":\"saved\"}",
            "[1]",
            "{\"type\":\"other\",\"path\":\"x\"}",
        ] {
            for (text, line) in [(format!("{odd}\n{whole}"), 1), (format!("{whole}{odd}\n"), 2)] {
                fs::write(folder.manifest(), &text).unwrap();
                let seen = folder.fetch(mode, &server, &[]);
                assert_eq!((seen.code, outcomes(&seen)), (Some(0), vec!["skipped".to_owned()]));
                let told = format!(".fetch/manifest.jsonl:{line}: ");
                assert!(seen.stderr.contains(&told), "{odd:?}: {}", seen.stderr);
                assert_eq!(fs::read_to_string(folder.manifest()).unwrap(), text);
            }
        }
    });
}

// Duplicates.

#[test]
fn what_is_listed_twice_is_saved_once() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        let url = server.url("/file.bin");
        let list = format!(
            "{url}\n{url}\n{url}\n  header=X-A: 1\n{url}\n  header=X-A: 1\n{url}\n  out=other\n{url}\n  out=other\n{url}#fragment\n"
        );
        let seen = folder.run(mode).list(&list).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let expected = ["ok", "duplicate", "ok", "duplicate", "ok", "duplicate", "duplicate"];
        assert_eq!(outcomes(&seen), expected);
        let rows = seen.rows_in_list_order();
        let first_of: Vec<_> = rows.iter().map(|row| row["duplicate_of"].as_u64()).collect();
        assert_eq!(first_of, [None, Some(1), None, Some(3), None, Some(5), Some(1)]);
        assert_eq!((server.heard().len(), folder.names().len()), (3, 3));
        assert_eq!((&rows[0]["path"], &rows[4]["path"]), (&NAME.into(), &"other".into()));
        for name in folder.names() {
            assert!(fs::read(folder.at(&name)).unwrap() == server.version().body);
        }
        let duplicate = &rows[1];
        assert_eq!((&duplicate["bytes"], &duplicate["attempts"]), (&0.into(), &0.into()));
        assert_eq!(seen.summary()["duplicate"], 4);

        let again = folder.run(mode).list(&list).seen();
        let expected = expected.map(|outcome| if outcome == "ok" { "skipped" } else { outcome });
        assert_eq!(
            (outcomes(&again), server.heard().len()),
            (expected.map(str::to_owned).to_vec(), 0)
        );

        let seen = Run::json(mode).list(format!("{url}\n{url}\n")).seen();
        assert_eq!(
            (outcomes(&seen), server.heard().len()),
            (vec!["ok".to_owned(); 2], 2),
            "not saved"
        );
    });
}

// All of it, in any order.

/// What a server does about one request, after which the body may change.
#[derive(Debug, Clone)]
struct Step {
    does: Does,
    then: Option<Change>,
}

#[derive(Debug, Clone)]
enum Does {
    /// What the rules ask for.
    Right,
    /// The same, cut at this share of it, in 256ths.
    Cut(usize),
    /// This share of the body, without its length or its end.
    Endless(usize),
    /// What the turn of this number does about a request for the rest.
    Turn(usize),
}

#[derive(Debug, Clone)]
enum Change {
    /// To another version: how much longer it is, and what tells it from others.
    New(usize, Mark),
    /// Back to one of those before.
    Back(proptest::sample::Index),
}

#[derive(Debug, Clone)]
enum Mark {
    Strong,
    Weak,
    Dated,
    None,
}

/// A run: its mode, its arguments, where it is killed, and what the server does meanwhile.
#[derive(Debug, Clone)]
struct Round {
    mode: &'static str,
    args: &'static [&'static str],
    kill: Option<(&'static str, usize)>,
    steps: Vec<Step>,
}

fn round() -> impl Strategy<Value = Round> {
    let mark = prop_oneof![
        4 => Just(Mark::Strong), 1 => Just(Mark::Weak), 2 => Just(Mark::Dated), 1 => Just(Mark::None)
    ];
    let does = prop_oneof![
        1 => Just(Does::Right),
        4 => (0..256usize).prop_map(Does::Cut),
        1 => (0..256usize).prop_map(Does::Endless),
        4 => (0..TURNS.len()).prop_map(Does::Turn),
    ];
    let new = (0..5usize, mark).prop_map(|(longer, mark)| Some(Change::New(longer, mark)));
    let back = any::<proptest::sample::Index>().prop_map(|index| Some(Change::Back(index)));
    let change = prop_oneof![6 => Just(None), 2 => new, 1 => back];
    let step = (does, change).prop_map(|(does, then)| Step { does, then });
    let places = ["created", "noted", "begun", "written", "appended", "renamed"];
    let kill = proptest::option::of((proptest::sample::select(places.to_vec()), 1..3usize));
    let args: [&[&str]; 4] = [&[], &["--retry", "0"], &["--refresh"], &["--force"]];
    let mode = proptest::sample::select(&MODES);
    (mode, proptest::sample::select(args.to_vec()), kill, proptest::collection::vec(step, 0..5))
        .prop_map(|(mode, args, kill, steps)| Round { mode, args, kill, steps })
}

/// The version of this number.
fn version(number: usize, length: usize, mark: &Mark) -> Version {
    let version = Version::of(body(number, length));
    match mark {
        Mark::Strong => version.tagged(&format!("\"{number}\"")),
        Mark::Weak => version.tagged(&format!("W/\"{number}\"")),
        Mark::Dated => {
            let modified = format!("Tue, 03 Mar 2026 09:00:{number:02} GMT");
            version.dated(&modified, A_MINUTE_LATER)
        }
        Mark::None => version,
    }
}

/// Turns that tell an untruth under the tag of the version, which only a known length or a checksum finds out.
const UNTRUE: [&str; 2] =
    ["a range of a shorter whole", "no such range, of the length that was begun"];

fn reply(does: &Does, request: &Request, old: &Version, now: &Version) -> Reply {
    let right = now.answer(request);
    match does {
        Does::Right => right,
        Does::Cut(share) => {
            let bytes = right.body_bytes() * share / 256;
            right.up_to(bytes, End::Close)
        }
        Does::Endless(_) if asked_from(request).is_some() => right,
        Does::Endless(share) => now.endless(now.length() * share / 256 + 1),
        Does::Turn(number) => {
            let turn = &TURNS[*number];
            let shortest = old.length().min(now.length()) - 2;
            match asked_from(request) {
                Some(from) if from < shortest && !UNTRUE.contains(&turn.what) => {
                    (turn.reply)(old, now, from)
                }
                _ => right,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_rounds_the_file_is_a_version_and_after_one_by_the_rules_the_newest(
        length in proptest::sample::select(&LENGTHS),
        rounds in proptest::collection::vec(round(), 1..5),
    ) {
        let mut versions = vec![version(0, length, &Mark::Strong)];
        let mut now = versions[0].clone();
        let mut old = now.clone();
        let (folder, server) = (Folder::new(), Versions::of(now.clone()));
        for round in &rounds {
            for step in &round.steps {
                let (does, before) = (step.does.clone(), old.clone());
                server.then(move |request, now| reply(&does, request, &before, now));
                let next = match &step.then {
                    None => continue,
                    Some(Change::New(longer, mark)) => {
                        versions.push(version(versions.len(), length + longer, mark));
                        versions[versions.len() - 1].clone()
                    }
                    Some(Change::Back(index)) => index.get(&versions).clone(),
                };
                server.then_change(next.clone());
                old = std::mem::replace(&mut now, next);
            }
            let mut run = folder.run(round.mode).args(round.args);
            if let Some((place, time)) = round.kill {
                run = run.env("FETCH_KILL_AT", format!("{place}:{time}"));
            }
            let seen = run.arg(server.url("/file.bin")).seen();
            server.behave();
            server.change(now.clone());
            let whole = fs::read(folder.at(NAME)).ok();
            let held = whole.map(|whole| {
                versions.iter().find(|version| version.body == whole).expect("it is a version")
            });
            for row in seen.rows().iter().filter(|row| row["error"].is_null()) {
                let held = held.expect("what is told is there");
                let held = json!([held.length(), held.etag, held.modified]);
                assert_eq!(told(row, &["bytes", "etag", "last_modified"]), held, "{row}");
            }
        }
        let seen = folder.fetch("async", &server, &["--refresh"]);
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert!(folder.file() == now.body, "it is not the newest: {seen:?}");
        assert_eq!(folder.names(), [NAME]);
        server.heard();
        let seen = folder.fetch("async", &server, &[]);
        assert_eq!((outcomes(&seen), server.heard().len()), (vec!["skipped".to_owned()], 0));
    }
}
