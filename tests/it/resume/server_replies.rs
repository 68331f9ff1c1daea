//! Everything that a server may reply to the request for the rest of a body.

use std::fs;

use serde_json::Value;

use super::{Folder, LENGTHS, asked, beginning, first, second};
use crate::support::versions::asked_from;
use crate::support::{End, Reply, Seen, Version, Versions, in_every_mode};

/// What a server does about the request for the rest, and what the client must do then.
pub(super) struct Turn {
    pub(super) what: &'static str,
    /// Whether the body is another one by then, and how much longer.
    changes: Option<isize>,
    /// The reply: what was begun, what there is now, and the byte asked for.
    pub(super) reply: fn(&Version, &Version, usize) -> Reply,
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
pub(super) fn range(first: usize, last: usize, length: impl ToString) -> String {
    format!("bytes {first}-{last}/{}", length.to_string())
}

pub(super) const TURNS: &[Turn] = &[
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

/// A server for each turn, as a list that they take their turns in, all in one run.
pub(super) struct Turns {
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
            folder.assert_holds(&first(length), &seen, "the whole was asked for");
            assert_eq!(asked(&server), [Some(begun), None]);
        }
    });
}

#[test]
fn a_server_that_lies_about_the_version_is_found_out_by_a_checksum() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let right = first(length);
            let sum = format!("blake3={}", blake3::hash(&right.body));
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
