//! Large files in segments: several at once where that is safe, one stream where it is not, and never a file that is
//! put together of two versions.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::processes::{children_of, send};
use crate::support::saved_files::{entry, manifest, names};
use crate::support::versions::{A_MINUTE_LATER, MODIFIED, asked_span, body};
use crate::support::{
    End, Gate, Origin, Reply, Request, Run, Seen, Version, class_of, in_all_modes_at_once,
    in_every_mode, until, with_a_clock,
};

/// Bytes of the file.
const LENGTH: usize = (1 << 20) + 4321;

/// Bytes of a file that is large enough to be entered while its segments are on their way.
const LONG: usize = 40 << 20;

/// What asks for four segments.
const FOUR: [&str; 4] = ["--split", "4", "--min-split-size", "64k"];

/// What a run after a killed one calls itself: requests of that one may still come while it is under way.
const AGAIN: [&str; 2] = ["--user-agent", "again"];

/// The requests of such a run.
fn of_again(server: &Origin) -> Vec<Request> {
    let is_its = |request: &Request| request.header("user-agent") == Some("again");
    server.seen().into_iter().filter(is_its).collect()
}

/// The segments of a body of so many bytes.
fn quarters(length: usize) -> [Range<usize>; 4] {
    let at = |quarter: usize| quarter * (length / 4) + quarter.min(length % 4);
    [0, 1, 2, 3].map(|quarter| at(quarter)..at(quarter + 1))
}

fn first() -> Version {
    Version::of(body(1, LENGTH)).tagged("\"v1\"")
}

fn second() -> Version {
    Version::of(body(2, LENGTH)).tagged("\"v2\"")
}

/// A server that takes ranges.
fn server(version: Version) -> Origin {
    odd_server(version, |_, _| None)
}

/// The same, but for requests that are answered otherwise.
fn odd_server(
    version: Version,
    odd: impl Fn(&Request, &Version) -> Option<Reply> + Send + Sync + 'static,
) -> Origin {
    Origin::new(move |request| odd(request, &version).unwrap_or_else(|| fair(request, &version)))
}

/// What the rules ask for.
fn fair(request: &Request, version: &Version) -> Reply {
    version.answer(request).with("Accept-Ranges: bytes")
}

/// The first byte of the segment that a request asks for, if it does.
fn segment(request: &Request) -> Option<usize> {
    asked_span(request).map(|(first, _)| first)
}

/// The ranges that were asked for, in their order; `None` for the whole.
fn asked(requests: &[Request]) -> Vec<Option<Range<usize>>> {
    let mut asked: Vec<_> = requests
        .iter()
        .map(|request| {
            asked_span(request).map(|(first, last)| first..last.map_or(0, |last| last + 1))
        })
        .collect();
    asked.sort_by_key(|span| span.as_ref().map(|span| span.start));
    asked
}

/// How many bytes of ranges were asked for.
fn bytes_asked(requests: &[Request]) -> usize {
    asked(requests).into_iter().flatten().map(|span| span.len()).sum()
}

/// How often the file was asked for without a range.
fn whole(server: &Origin) -> usize {
    server.seen().iter().filter(|request| segment(request).is_none()).count()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A run that saves the server's file here.
    fn run(&self, mode: &str, server: &Origin, args: &[&str]) -> Run {
        let run = Run::json(mode).args(["--retry-delay", "1ms", "-d"]).arg(self.0.path());
        run.args(args).arg(server.url("/file"))
    }

    fn fetch(&self, mode: &str, server: &Origin, args: &[&str]) -> Seen {
        self.run(mode, server, args).seen()
    }

    /// The file is this version and nothing else is there; row and manifest tell so.
    fn assert_holds(&self, version: &Version, seen: &Seen, what: &str) {
        assert_eq!(seen.code, Some(0), "{what}: {seen:?}");
        assert_eq!(names(self.0.path()), ["file"], "{what}");
        assert!(
            fs::read(self.at("file")).unwrap() == version.body,
            "{what}: it is not the version"
        );
        let entry = entry(self.0.path(), "file");
        assert_eq!(
            (&entry["type"], &entry["etag"]),
            (&json!("saved"), &json!(version.etag)),
            "{what}"
        );
        let row = seen.row();
        let told = [&row["outcome"], &row["path"], &row["bytes"], &row["etag"]];
        assert_eq!(
            told,
            [&json!("ok"), &json!("file"), &json!(version.length()), &json!(version.etag)],
            "{what}"
        );
    }

    /// The spans that the manifest tells of.
    fn spans(&self) -> Vec<Range<usize>> {
        let entry = entry(self.0.path(), "file");
        let number = |value: &Value| value.as_u64().unwrap() as usize;
        let spans = entry["split"]["spans"].as_array().unwrap_or_else(|| panic!("{entry}"));
        spans.iter().map(|span| number(&span[0])..number(&span[1])).collect()
    }
}

#[test]
fn all_segments_of_a_file_are_under_way_at_once() {
    in_every_mode(|mode| {
        let at_once = if mode == "sequential" { 1 } else { 4 };
        let gate = Gate::of(at_once);
        let server = odd_server(first(), move |request, _| {
            if segment(request).is_some() {
                gate.pass();
            }
            None
        });
        let folder = Folder::new();
        let seen = folder.fetch(mode, &server, &[&FOUR[..], &["-j", "4"]].concat());
        folder.assert_holds(&first(), &seen, mode);
        let requests = server.seen();
        let [one, two, three, four] = quarters(LENGTH).map(Some);
        assert_eq!(asked(&requests), [None, one, two, three, four]);
        for request in requests.iter().filter(|request| segment(request).is_some()) {
            assert_eq!(request.header("if-range"), Some("\"v1\""));
        }
        let row = seen.row();
        assert_eq!(row["http_status"], 200);
        assert_eq!((&row["wire_bytes"], &row["attempts"]), (&json!(LENGTH), &json!(1)));
        let host = &seen.summary()["hosts"][0];
        assert_eq!((&host["requests"], &host["peak"]), (&json!(5), &json!(at_once)));
    });
}

#[test]
fn what_the_manifest_tells_of_segments_is_no_beginning_to_who_does_not_know_of_them() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), server(first()));
        folder.assert_holds(&first(), &folder.fetch(mode, &server, &FOUR), mode);
        let entries = manifest(folder.0.path());
        assert_eq!(entries.len(), 6, "{entries:?}");
        let mut held = 0;
        for (number, entry) in entries[..5].iter().enumerate() {
            assert_eq!(entry["type"], "partial");
            assert_eq!((&entry["etag"], &entry["last_modified"]), (&Value::Null, &Value::Null));
            assert_eq!(
                (&entry["length"], &entry["split"]["etag"]),
                (&json!(LENGTH), &json!("\"v1\""))
            );
            let spans = entry["split"]["spans"].as_array().unwrap();
            let bytes = |span: &Value| span[1].as_u64().unwrap() - span[0].as_u64().unwrap();
            let bytes: u64 = spans.iter().map(bytes).sum();
            assert!(number == 0 || bytes > held, "{entry}");
            held = bytes;
        }
        assert_eq!(held, LENGTH as u64);
    });
}

#[test]
fn segments_keep_the_limit_of_their_host() {
    in_every_mode(|mode| {
        let gate = Gate::of(if mode == "sequential" { 1 } else { 2 });
        let server = odd_server(first(), move |request, _| {
            if segment(request).is_some() {
                gate.pass();
            }
            None
        });
        let folder = Folder::new();
        let seen = folder.fetch(mode, &server, &[&FOUR[..], &["--per-host", "2"]].concat());
        folder.assert_holds(&first(), &seen, mode);
        assert_eq!(server.peak(), if mode == "sequential" { 1 } else { 2 });
    });
}

#[test]
fn a_file_of_which_it_is_not_sure_that_segments_fit_comes_in_one() {
    in_every_mode(|mode| {
        let plain = || Version::of(body(1, LENGTH));
        let takes = "Accept-Ranges: bytes";
        let both: Vec<&str> = [&FOUR[..], &["--compressed"]].concat();
        let given: Vec<&str> = [&FOUR[..], &["-H", "If-Range: \"v0\""]].concat();
        let cases: [(&str, Version, &str, &[&str]); 11] = [
            ("nobody asked for it", first(), takes, &[]),
            ("one segment", first(), takes, &["--split", "1", "--min-split-size", "64k"]),
            ("too small", first(), takes, &["--split", "4", "--min-split-size", "1M"]),
            ("no ranges", first(), "Accept-Ranges: none", &FOUR),
            ("nothing said of ranges", first(), "X-Other: bytes", &FOUR),
            ("a weak tag", plain().tagged("W/\"v1\""), takes, &FOUR),
            ("no validator", plain(), takes, &FOUR),
            ("a fresh date", plain().dated(MODIFIED, MODIFIED), takes, &FOUR),
            ("coded", first(), "Accept-Ranges: bytes\r\nContent-Encoding: br", &FOUR),
            ("may be coded", first(), takes, &both),
            ("fields given by hand", first(), takes, &given),
        ];
        for (what, version, fields, args) in cases {
            let (folder, fields) = (Folder::new(), fields.to_owned());
            let server = odd_server(version.clone(), move |request, version| {
                Some(version.answer(request).with(&fields))
            });
            let seen = folder.fetch(mode, &server, args);
            folder.assert_holds(&version, &seen, what);
            assert_eq!(asked(&server.seen()), [None], "{what}");
        }
    });
}

#[test]
fn a_date_that_is_strong_holds_segments_together_too() {
    in_every_mode(|mode| {
        let version = Version::of(body(1, LENGTH)).dated(MODIFIED, A_MINUTE_LATER);
        let (folder, server) = (Folder::new(), server(version.clone()));
        folder.assert_holds(&version, &folder.fetch(mode, &server, &FOUR), mode);
        let requests = server.seen();
        assert_eq!(requests.len(), 5);
        assert!(requests.iter().skip(1).all(|it| it.header("if-range") == Some(MODIFIED)));
    });
}

#[test]
fn a_reply_that_does_not_fit_its_segment_makes_the_file_come_in_one() {
    in_every_mode(|mode| {
        type Odd = fn(&Request, &Version, Range<usize>) -> Reply;
        let cases: [(&str, Odd); 14] = [
            ("the whole", |_, version, _| version.whole()),
            ("another tag", |_, version, span| version.clone().tagged("\"v2\"").span(span)),
            ("no tag", |_, version, span| version.clone().untagged().span(span)),
            ("a weak tag", |_, version, span| version.clone().tagged("W/\"v1\"").span(span)),
            ("another length", |_, version, span| {
                let range = format!("bytes {}-{}/{}", span.start, span.end - 1, LENGTH + 1);
                version.part(span, &range)
            }),
            ("no length", |_, version, span| {
                let range = format!("bytes {}-{}/*", span.start, span.end - 1);
                version.part(span, &range)
            }),
            ("another start", |_, version, span| version.span(span.start + 1..span.end)),
            ("an earlier end", |_, version, span| version.span(span.start..span.end - 1)),
            ("a later end", |_, version, span| version.span(span.start..LENGTH.min(span.end + 1))),
            ("several parts", |_, version, span| {
                version.span(span).with("Content-Type: multipart/byteranges; boundary=x")
            }),
            ("coded", |_, version, span| version.span(span).with("Content-Encoding: gzip")),
            ("a redirect", |_, _, _| Reply::redirect(302, "/elsewhere")),
            ("beyond its end", |_, version, _| version.beyond()),
            ("no HTTP", |_, _, _| Reply::raw("220 ready\r\n\r\n", End::Close)),
        ];
        for (what, odd) in cases {
            let third = quarters(LENGTH)[2].clone();
            let server = odd_server(first(), move |request, version| {
                let is_it = segment(request) == Some(third.start);
                is_it.then(|| odd(request, version, third.clone()))
            });
            let folder = Folder::new();
            let seen = folder.fetch(mode, &server, &FOUR);
            folder.assert_holds(&first(), &seen, what);
            assert_eq!(seen.row()["attempts"], 1, "{what}");
            assert_eq!(whole(&server), 2, "{what}: once as a whole, once again in one");
        }
    });
}

#[test]
fn more_bytes_than_a_segment_has_are_never_written_over_the_next_one() {
    in_every_mode(|mode| {
        let second = quarters(LENGTH)[1].clone();
        let server = odd_server(first(), move |request, version| {
            let is_it = segment(request) == Some(second.start);
            is_it.then(|| {
                let head = format!(
                    "HTTP/1.1 206 Some\r\nETag: \"v1\"\r\nContent-Range: bytes {}-{}/{LENGTH}\r\nTransfer-Encoding: chunked\r\n\r\n",
                    second.start, second.end - 1,
                );
                let junk = vec![b'x'; 1000];
                let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
                let text = [head.as_bytes(), &chunk(&version.body[second.clone()]), &chunk(&junk), b"0\r\n\r\n"];
                Reply::raw(text.concat(), End::KeepAlive)
            })
        });
        let folder = Folder::new();
        folder.assert_holds(&first(), &folder.fetch(mode, &server, &FOUR), mode);
        assert_eq!(whole(&server), 2);
    });
}

#[test]
fn a_segment_whose_bytes_are_all_there_is_whole_however_its_message_ends() {
    in_every_mode(|mode| {
        let second = quarters(LENGTH)[1].clone();
        let server = odd_server(first(), move |request, version| {
            let is_it = segment(request) == Some(second.start);
            is_it.then(|| {
                let (start, last, bytes) = (second.start, second.end - 1, second.len());
                let head = format!(
                    "HTTP/1.1 206 Some\r\nETag: \"v1\"\r\nContent-Range: bytes {start}-{last}/{LENGTH}\r\n\
                     Transfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n"
                );
                Reply::raw([head.as_bytes(), &version.body[second.clone()]].concat(), End::Close)
            })
        });
        let folder = Folder::new();
        let seen = folder.fetch(mode, &server, &FOUR);
        folder.assert_holds(&first(), &seen, mode);
        assert_eq!((&seen.row()["attempts"], server.requests()), (&json!(1), 5));
    });
}

#[test]
fn a_file_that_changes_between_two_segments_is_fetched_anew_in_one() {
    in_every_mode(|mode| {
        for before in 1..5 {
            let requests = AtomicUsize::new(0);
            let server = odd_server(first(), move |request, version| {
                let now = if requests.fetch_add(1, SeqCst) < before { version } else { &second() };
                Some(fair(request, now))
            });
            let folder = Folder::new();
            let seen = folder.fetch(mode, &server, &FOUR);
            folder.assert_holds(&second(), &seen, &format!("after {before}"));
            assert_eq!(whole(&server), 2);
        }
    });
}

#[test]
fn a_file_that_changes_all_the_time_is_divided_once() {
    in_every_mode(|mode| {
        let number = |number| Version::of(body(number, LENGTH)).tagged(&format!("\"{number}\""));
        // A request for a segment that is called off may come after the one for the whole.
        let last_whole = Arc::new(AtomicUsize::new(0));
        let (requests, came) = (AtomicUsize::new(0), Arc::clone(&last_whole));
        let server = Origin::new(move |request| {
            let now = requests.fetch_add(1, SeqCst);
            if segment(request).is_none() {
                came.store(now, SeqCst);
            }
            fair(request, &number(now))
        });
        let folder = Folder::new();
        let seen = folder.fetch(mode, &server, &FOUR);
        assert_eq!(seen.code, Some(0), "{seen:?}");
        folder.assert_holds(&number(last_whole.load(SeqCst)), &seen, mode);
        assert_eq!(whole(&server), 2);
    });
}

#[test]
fn a_segment_that_breaks_off_goes_on_where_it_was() {
    in_every_mode(|mode| {
        let second = quarters(LENGTH)[1].clone();
        let at = second.start;
        let server = odd_server(first(), move |request, version| {
            (segment(request) == Some(at))
                .then(|| fair(request, version).up_to(100_000, End::Close))
        });
        let folder = Folder::new();
        let seen = folder.fetch(mode, &server, &FOUR);
        folder.assert_holds(&first(), &seen, mode);
        let row = seen.row();
        assert_eq!((&row["attempts"], &row["wire_bytes"]), (&json!(2), &json!(LENGTH)));
        let requests = server.seen();
        assert!(asked(&requests).contains(&Some(second.start + 100_000..second.end)));
        assert_eq!(requests.len(), 6);
    });
}

#[test]
fn a_segment_is_tried_again_as_often_and_as_late_as_its_server_asks() {
    in_every_mode(|mode| {
        let tries = Arc::new(AtomicUsize::new(0));
        let (at, count) = (quarters(LENGTH)[3].start, Arc::clone(&tries));
        let server = odd_server(first(), move |request, _| {
            let is_it = segment(request) == Some(at) && count.fetch_add(1, SeqCst) < 2;
            is_it.then(|| Reply::of("503 Busy", "Retry-After: 0\r\n", ""))
        });
        let folder = Folder::new();
        let seen = folder.fetch(mode, &server, &FOUR);
        folder.assert_holds(&first(), &seen, mode);
        assert_eq!(seen.row()["attempts"], 3);
        assert_eq!(tries.load(SeqCst), 3);
    });
}

#[test]
fn a_segment_that_fails_for_good_fails_its_file_once_and_the_next_run_goes_on() {
    in_every_mode(|mode| {
        let healed = Arc::new(AtomicUsize::new(0));
        let (quarters, is_healed) = (quarters(LENGTH), Arc::clone(&healed));
        // In sequential mode nothing is under way that could be cut.
        let is_there = Gate::of(if mode == "sequential" { 2 } else { 3 });
        let starts = quarters.clone().map(|span| span.start);
        let server = odd_server(first(), move |request, version| {
            if is_healed.load(SeqCst) != 0 {
                return None;
            }
            let Some(at) = segment(request) else {
                // Nor is the whole served once it has been refused in segments.
                return (request.nth > 0).then(|| Reply::of("404 Gone", "", ""));
            };
            let quarter = starts.iter().position(|start| *start == at)?;
            Some(match quarter {
                0 => {
                    is_there.pass_by();
                    fair(request, version)
                }
                1 => {
                    is_there.pass_by();
                    is_there.wait();
                    Reply::of("404 Gone", "", "")
                }
                _ => {
                    is_there.pass_by();
                    fair(request, version).up_to(50_000, End::Stall)
                }
            })
        });
        let folder = Folder::new();
        let seen = folder.fetch(mode, &server, &[&FOUR[..], &["-j", "4"]].concat());
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(1), "http_4xx"), "{seen:?}");
        assert_eq!(seen.rows().len(), 1);
        assert_eq!(names(folder.0.path()), ["file.part"]);
        let spans = folder.spans();
        let held: usize = spans.iter().map(|span| span.len()).sum();
        assert!(held > 0, "{spans:?}");
        assert!(!spans.iter().any(|span| span.contains(&quarters[1].start)), "{spans:?}");
        healed.store(1, SeqCst);
        let before = server.requests();
        let again = folder.fetch(mode, &server, &FOUR);
        folder.assert_holds(&first(), &again, mode);
        assert_eq!(again.row()["wire_bytes"], LENGTH - held);
        assert_eq!(bytes_asked(&server.seen()[before..]), LENGTH - held);
    });
}

#[test]
fn what_one_run_began_in_segments_the_next_ends_in_any_number_of_them() {
    in_every_mode(|mode| {
        for args in [&[][..], &["--split", "3", "--min-split-size", "64k"], &["--split", "16"]] {
            let (folder, server) = (Folder::new(), server(first()));
            let killed = folder.run(mode, &server, &FOUR).env("FETCH_KILL_AT", "held:2").seen();
            assert_eq!(killed.code, None, "{killed:?}");
            let spans = folder.spans();
            let held: usize = spans.iter().map(|span| span.len()).sum();
            assert!(held > LENGTH / 4, "{spans:?}");
            let seen = folder.fetch(mode, &server, &[args, &AGAIN].concat());
            folder.assert_holds(&first(), &seen, mode);
            let row = seen.row();
            assert_eq!((&row["http_status"], &row["attempts"]), (&json!(206), &json!(1)));
            assert_eq!(row["wire_bytes"], LENGTH - held);
            for span in asked(&of_again(&server)).into_iter().flatten() {
                let known =
                    spans.iter().find(|held| held.start < span.end && span.start < held.end);
                assert_eq!(known, None, "{span:?} was there");
            }
        }
    });
}

#[test]
fn what_was_begun_in_one_goes_on_in_segments() {
    in_every_mode(|mode| {
        const BEGUN: usize = 300_000;
        let server = odd_server(first(), |request, version| {
            (request.nth == 0).then(|| fair(request, version).up_to(BEGUN, End::Close))
        });
        let folder = Folder::new();
        let seen = folder.fetch(mode, &server, &["--retry", "0"]);
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(1), "truncated"), "{seen:?}");
        let killed = folder.run(mode, &server, &FOUR).env("FETCH_KILL_AT", "joined:1").seen();
        assert_eq!(killed.code, None, "{killed:?}");
        assert_eq!(folder.spans(), vec![0..BEGUN]);
        let seen = folder.fetch(mode, &server, &[&FOUR[..], &AGAIN].concat());
        folder.assert_holds(&first(), &seen, mode);
        let row = seen.row();
        assert_eq!((&row["attempts"], &row["wire_bytes"]), (&json!(1), &json!(LENGTH - BEGUN)));
        let asked = asked(&of_again(&server));
        assert_eq!((asked.len(), asked[0].as_ref().unwrap().start), (4, BEGUN));
    });
}

#[test]
fn one_run_is_enough_to_go_on_in_segments() {
    in_every_mode(|mode| {
        let server = odd_server(first(), |request, version| {
            let begin = |request| version.answer(request).up_to(300_000, End::Close);
            (request.nth == 0).then(|| begin(request))
        });
        let folder = Folder::new();
        let seen = folder.fetch(mode, &server, &FOUR);
        folder.assert_holds(&first(), &seen, mode);
        let row = seen.row();
        assert_eq!((&row["attempts"], &row["wire_bytes"]), (&json!(2), &json!(LENGTH)));
        assert_eq!(server.requests(), 1 + 1 + 4);
    });
}

#[test]
fn what_was_begun_in_segments_is_told_by_its_length_and_by_its_version() {
    in_every_mode(|mode| {
        for what in ["changed", "cut", "gone", "longer", "linked"] {
            let (folder, version) = (Folder::new(), Arc::new(Mutex::new(first())));
            let shared = Arc::clone(&version);
            let server = Origin::new(move |request| fair(request, &shared.lock().unwrap()));
            let killed = folder.run(mode, &server, &FOUR).env("FETCH_KILL_AT", "held:3").seen();
            assert_eq!(killed.code, None, "{killed:?}");
            let part = folder.at("file.part");
            let file = fs::File::options().append(true).open(&part).unwrap();
            match what {
                "changed" => *version.lock().unwrap() = second(),
                "cut" => file.set_len(folder.spans().last().unwrap().end as u64 - 1).unwrap(),
                "gone" => fs::remove_file(&part).unwrap(),
                "longer" => file.set_len(2 * LENGTH as u64).unwrap(),
                _ => fs::hard_link(&part, folder.at("file.other")).unwrap(),
            }
            let seen = folder.fetch(mode, &server, &[]);
            let _ = fs::remove_file(folder.at("file.other"));
            folder.assert_holds(&version.lock().unwrap(), &seen, what);
        }
    });
}

#[test]
fn a_manifest_whose_spans_cannot_be_true_is_not_believed() {
    in_every_mode(|mode| {
        let odd = [
            json!([[0, LENGTH + 1]]),
            json!([]),
            json!([[5, 5], [9, 2]]),
            json!([[0, 10], ["a", 3]]),
            json!("all"),
        ];
        for spans in odd {
            let (folder, server) = (Folder::new(), server(first()));
            let killed = folder.run(mode, &server, &FOUR).env("FETCH_KILL_AT", "held:2").seen();
            assert_eq!(killed.code, None, "{killed:?}");
            fs::write(folder.at("file.part"), vec![b'x'; LENGTH]).unwrap();
            let path = folder.at(".fetch/manifest.jsonl");
            let mut entry = entry(folder.0.path(), "file");
            entry["split"]["spans"] = spans.clone();
            fs::write(path, format!("{entry}\n")).unwrap();
            let seen = folder.fetch(mode, &server, &FOUR);
            folder.assert_holds(&first(), &seen, &spans.to_string());
        }
    });
}

#[test]
fn what_is_there_of_a_long_segment_is_known_before_it_is_whole() {
    in_every_mode(|mode| {
        let version = Version::of(body(1, LONG)).tagged("\"v1\"");
        let (folder, server) = (Folder::new(), server(version.clone()));
        let killed = folder.run(mode, &server, &["--split", "2", "--min-split-size", "1M"]);
        let killed = killed.env("FETCH_KILL_AT", "held:1").seen();
        assert_eq!(killed.code, None, "{killed:?}");
        let spans = folder.spans();
        assert_eq!(spans.len(), 1);
        assert!((8 << 20..LONG / 2).contains(&spans[0].len()), "{spans:?}");
        let seen = folder.fetch(mode, &server, &["--split", "2"]);
        folder.assert_holds(&version, &seen, mode);
        assert_eq!(seen.row()["wire_bytes"], LONG - spans[0].len());
    });
}

#[test]
fn a_run_that_is_ended_keeps_every_byte_of_every_segment() {
    in_all_modes_at_once(|mode| {
        with_a_clock(|deadline| {
            let is_over = Arc::new(AtomicUsize::new(0));
            let over = Arc::clone(&is_over);
            let server = odd_server(first(), move |request, version| {
                segment(request).filter(|_| over.load(SeqCst) == 0)?;
                Some(fair(request, version).up_to(70_000, End::Stall))
            });
            let folder = Folder::new();
            let args = [&FOUR[..], &["-j", "4", "--deadline", deadline]].concat();
            let seen = folder.fetch(mode, &server, &args);
            let end = (seen.code, class_of(&seen.row()));
            assert_eq!(end, (Some(4), "cancelled".to_owned()), "{seen:?}");
            if seen.row()["bytes"] == 0 {
                return false;
            }
            is_over.store(1, SeqCst);
            let spans = folder.spans();
            let held: usize = spans.iter().map(|span| span.len()).sum();
            assert_eq!(seen.row()["bytes"], held);
            assert_nothing_else_was_written(&folder, &spans);
            let again = folder.fetch(mode, &server, &FOUR);
            folder.assert_holds(&first(), &again, mode);
            assert_eq!(again.row()["wire_bytes"], LENGTH - held);
            held >= 70_000
        });
    });
}

/// The unfinished file has the bytes of the first version where the manifest says so, and was not written elsewhere: there
/// it reads as zeros. A byte of the body may be zero too, so that the bytes alone do not tell.
fn assert_nothing_else_was_written(folder: &Folder, spans: &[Range<usize>]) {
    let mut written = fs::read(folder.at("file.part")).unwrap();
    let body = first().body;
    for span in spans {
        assert_eq!(written[span.clone()], body[span.clone()], "{span:?}");
        written[span.clone()].fill(0);
    }
    let stray = written.iter().position(|byte| *byte != 0);
    assert_eq!(stray, None, "a byte was written and is not in the manifest");
}

#[test]
fn a_file_in_segments_is_hashed_as_the_whole_that_it_is() {
    in_every_mode(|mode| {
        let sum = hex(&Sha256::digest(&first().body));
        let (folder, server) = (Folder::new(), server(first()));
        let seen = folder.fetch(mode, &server, &[&FOUR[..], &["--digest", "sha256"]].concat());
        folder.assert_holds(&first(), &seen, mode);
        assert_eq!(seen.row()["digest"], format!("sha-256={sum}"));
        assert_eq!(entry(folder.0.path(), "file")["sha256"], sum);
        assert_eq!(server.requests(), 5);
        let folder = Folder::new();
        let right = format!("sha-256={sum}");
        let seen = folder.fetch(mode, &server, &[&FOUR[..], &["--checksum", &right]].concat());
        folder.assert_holds(&first(), &seen, mode);
        let folder = Folder::new();
        let wrong = format!("sha-256={}", "0".repeat(64));
        let seen = folder.fetch(mode, &server, &[&FOUR[..], &["--checksum", &wrong]].concat());
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(1), "checksum"), "{seen:?}");
        assert_eq!((names(folder.0.path()), &seen.row()["attempts"]), (vec![], &json!(2)));
    });
}

#[test]
fn what_a_server_claims_of_a_file_is_looked_at_once_its_segments_are_in() {
    in_every_mode(|mode| {
        let claim = |bytes: &[u8]| {
            let sum = data_encoding::BASE64.encode(&Sha256::digest(bytes));
            format!("Repr-Digest: sha-256=:{sum}:")
        };
        let (right, wrong) = (claim(&first().body), claim(b"other"));
        for (field, class) in [(right, "ok"), (wrong, "checksum")] {
            let server = odd_server(first(), move |request, version| {
                Some(fair(request, version).with(&field))
            });
            let folder = Folder::new();
            // What was in before the kill is hashed too, whoever says what it must be.
            let killed = folder.run(mode, &server, &FOUR).env("FETCH_KILL_AT", "held:4").seen();
            assert_eq!(killed.code, None, "{killed:?}");
            let seen = folder.fetch(mode, &server, &[&FOUR[..], &["--retry", "0"]].concat());
            assert_eq!(class_of(&seen.row()), class, "{seen:?}");
            let folder = Folder::new();
            let seen = folder.fetch(mode, &server, &[&FOUR[..], &["--retry", "0"]].concat());
            assert_eq!(class_of(&seen.row()), class, "{seen:?}");
            let left = if class == "ok" { vec!["file"] } else { vec![] };
            assert_eq!(names(folder.0.path()), left);
        }
    });
}

#[test]
fn a_segment_that_is_not_what_its_own_reply_claims_makes_the_file_come_in_one() {
    in_every_mode(|mode| {
        let at = quarters(LENGTH)[2].start;
        let server = odd_server(first(), move |request, version| {
            let sum = data_encoding::BASE64.encode(&Sha256::digest(b"other"));
            let field = format!("Content-Digest: sha-256=:{sum}:");
            (segment(request) == Some(at)).then(|| fair(request, version).with(&field))
        });
        let folder = Folder::new();
        folder.assert_holds(&first(), &folder.fetch(mode, &server, &FOUR), mode);
        assert_eq!(whole(&server), 2);
    });
}

#[test]
fn a_segment_whose_process_ends_is_made_by_another_one() {
    let is_under_way = Gate::of(1);
    let (under_way, at) = (is_under_way.clone(), quarters(LENGTH)[1].start);
    let tries = AtomicUsize::new(0);
    let server = odd_server(first(), move |request, version| {
        let is_it = segment(request) == Some(at) && tries.fetch_add(1, SeqCst) == 0;
        is_it.then(|| {
            under_way.pass_by();
            fair(request, version).up_to(1000, End::Stall)
        })
    });
    let folder = Folder::new();
    let args = [&FOUR[..], &["-j", "1"]].concat();
    let live = folder.run("processes", &server, &args).live();
    is_under_way.wait();
    let child = children_of(live.id())[0];
    send(child, Signal::SIGKILL);
    let seen = live.seen();
    folder.assert_holds(&first(), &seen, "another child");
    assert_eq!(seen.row()["attempts"], 2);
}

#[test]
fn a_segment_of_which_its_process_has_told_is_made_by_another_one() {
    let version = Version::of(body(1, LONG)).tagged("\"v1\"");
    let tries = AtomicUsize::new(0);
    let server = odd_server(version.clone(), move |request, version| {
        let is_it = segment(request) == Some(0) && tries.fetch_add(1, SeqCst) == 0;
        is_it.then(|| fair(request, version).up_to(10 << 20, End::Stall))
    });
    let folder = Folder::new();
    let args = ["--split", "2", "--min-split-size", "1M", "-j", "1"];
    let live = folder.run("processes", &server, &args).live();
    let manifest = folder.at(".fetch/manifest.jsonl");
    until("an entry about the first segment", || {
        fs::read_to_string(&manifest).is_ok_and(|text| text.contains("\"spans\":[[0,"))
    });
    send(children_of(live.id())[0], Signal::SIGKILL);
    let seen = live.seen();
    folder.assert_holds(&version, &seen, "another child");
    assert_eq!((&seen.row()["attempts"], server.requests()), (&json!(2), 4));
    assert_eq!(whole(&server), 1);
}

#[test]
fn a_run_that_stops_between_two_segments_has_one_row_for_their_file() {
    in_every_mode(|mode| {
        if mode == "sequential" {
            // Nothing else is under way that could stop it there.
            return;
        }
        let (is_asked, may_end) = (Gate::of(1), Gate::of(1));
        let (asked, end) = (is_asked.clone(), may_end.clone());
        let server = odd_server(first(), move |request, _| {
            if segment(request).is_some() {
                asked.pass_by();
                end.wait();
            }
            None
        });
        let bad = Origin::new(move |_| {
            is_asked.wait();
            Reply::of("404 Gone", "", "")
        });
        let folder = Folder::new();
        let args = [&FOUR[..], &["-j", "2", "--per-host", "1", "--fail-fast"]].concat();
        let mut live = folder.run(mode, &server, &args).arg(bad.url("/bad")).live();
        assert_eq!(class_of(&live.row()), "http_4xx");
        may_end.pass_by();
        let row = live.row();
        assert_eq!(
            (&row["url"], class_of(&row).as_str()),
            (&json!(server.url("/file")), "cancelled")
        );
        let quarter = quarters(LENGTH)[0].len();
        assert_eq!((&row["attempts"], &row["wire_bytes"]), (&json!(1), &json!(quarter)));
        let seen = live.seen();
        assert_eq!((seen.code, seen.rows().len()), (Some(4), 0), "{seen:?}");
        assert_eq!(folder.spans(), vec![0..quarter]);
        let again = folder.fetch(mode, &server, &FOUR);
        folder.assert_holds(&first(), &again, mode);
        assert_eq!(again.row()["wire_bytes"], LENGTH - quarter);
    });
}

#[test]
fn a_host_that_goes_down_between_two_segments_fails_their_file_once() {
    in_every_mode(|mode| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let host = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let head = BufReader::new(stream.try_clone().unwrap()).lines();
            head.map_while(Result::ok).find(|line| line.is_empty());
            drop(listener);
            let _ = stream.write_all(&first().whole().with("Accept-Ranges: bytes").bytes);
        });
        let folder = Folder::new();
        let run = Run::json(mode).args(FOUR).args(["--host-patience", "0s", "-d"]);
        let seen = run.arg(folder.0.path()).arg(&url).seen();
        host.join().unwrap();
        assert_eq!((seen.code, seen.rows().len()), (Some(1), 1), "{seen:?}");
        assert_eq!(class_of(&seen.row()), "connect");
    });
}

#[test]
fn segments_are_asked_for_where_a_redirect_has_led() {
    in_every_mode(|mode| {
        let server = odd_server(first(), |request, _| {
            (request.path == "/file").then(|| Reply::redirect(302, "/there?signature=1"))
        });
        let folder = Folder::new();
        let killed = folder.run(mode, &server, &FOUR).env("FETCH_KILL_AT", "held:2").seen();
        assert_eq!(killed.code, None, "{killed:?}");
        let held: usize = folder.spans().iter().map(|span| span.len()).sum();
        let seen = folder.fetch(mode, &server, &FOUR);
        folder.assert_holds(&first(), &seen, mode);
        assert_eq!(seen.row()["wire_bytes"], LENGTH - held + "moved".len());
        let requests = server.seen();
        assert!(requests.iter().all(|it| segment(it).is_none() || it.path == "/there?signature=1"));
        let to_file = requests.iter().filter(|request| request.path == "/file");
        assert_eq!(to_file.count(), 2, "one redirect a run");
    });
}

#[test]
fn where_a_segment_fails_for_good_the_next_mirror_has_its_turn() {
    in_every_mode(|mode| {
        let at = quarters(LENGTH)[1].start;
        let all = if mode == "sequential" { 1 } else { 4 };
        let (there, again) = (Gate::of(all), Gate::of(all));
        let one = odd_server(first(), move |request, version| {
            let Some(at_here) = segment(request) else {
                // Nor is the whole served once it has been refused in segments.
                return (request.nth > 0).then(|| Reply::of("404 Gone", "", ""));
            };
            there.pass_by();
            if at_here != at {
                // Where nothing else is under way, nothing is cut.
                let end = if all == 1 { End::KeepAlive } else { End::Stall };
                let most = if all == 1 { usize::MAX } else { 1000 };
                let reply = fair(request, version);
                let most = most.min(reply.body_bytes());
                return Some(reply.up_to(most, end));
            }
            there.wait();
            Some(Reply::of("404 Gone", "", ""))
        });
        // All workers are free for it, those too whose segments were cut.
        let other = odd_server(second(), move |request, _| {
            if segment(request).is_some() {
                again.pass();
            }
            None
        });
        let folder = Folder::new();
        let list = format!("{}\t{}", one.url("/file"), other.url("/file"));
        let run = Run::json(mode).args(FOUR).args(["-j", "4", "-d"]).arg(folder.0.path());
        let seen = run.arg("-").list(list).seen();
        folder.assert_holds(&second(), &seen, mode);
        let row = seen.row();
        assert_eq!((&row["served_by"], &row["attempts"]), (&json!(other.url("/file")), &json!(2)));
    });
}

#[test]
fn limits_on_size_hold_for_files_in_segments() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), server(first()));
        let seen = folder.fetch(mode, &server, &[&FOUR[..], &["--max-filesize", "1M"]].concat());
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(1), "too_large"));
        assert_eq!((names(folder.0.path()), server.requests()), (vec![], 1));
        let seen = folder.fetch(mode, &server, &[&FOUR[..], &["--quota", "500k"]].concat());
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(4), "quota"), "{seen:?}");
        assert_eq!(seen.rows().len(), 1);
        folder.assert_holds(&first(), &folder.fetch(mode, &server, &FOUR), mode);
    });
}

#[test]
fn a_file_in_segments_is_named_replaced_and_made_to_last_as_any_other() {
    in_every_mode(|mode| {
        let version = Arc::new(Mutex::new(first()));
        let shared = Arc::clone(&version);
        let server = Origin::new(move |request| {
            let field = "Content-Disposition: attachment; filename=wished";
            fair(request, &shared.lock().unwrap()).with(field)
        });
        let folder = Folder::new();
        let named = folder.fetch(mode, &server, &[&FOUR[..], &["-J", "--fsync"]].concat());
        assert_eq!((named.code, &named.row()["path"]), (Some(0), &json!("wished")));
        assert_eq!(names(folder.0.path()), ["wished"]);
        let folder = Folder::new();
        folder.assert_holds(&first(), &folder.fetch(mode, &server, &FOUR), mode);
        let same = folder.fetch(mode, &server, &[&FOUR[..], &["--refresh"]].concat());
        assert_eq!(same.row()["outcome"], "unchanged");
        *version.lock().unwrap() = second();
        let before = server.requests();
        let seen = folder.fetch(mode, &server, &[&FOUR[..], &["--refresh"]].concat());
        folder.assert_holds(&second(), &seen, mode);
        assert_eq!(server.requests() - before, 5);
    });
}

#[test]
fn files_in_segments_and_others_are_reported_in_the_order_of_the_list() {
    in_every_mode(|mode| {
        let server = odd_server(first(), |request, _| {
            request.path.starts_with("/small").then(|| Reply::ok("small"))
        });
        let folder = Folder::new();
        let paths = ["/small1", "/large1", "/small2", "/large2", "/small3"];
        let list: String = paths.iter().map(|path| server.url(path) + "\n").collect();
        let run = Run::json(mode).args(FOUR).args(["--ordered", "-d"]).arg(folder.0.path());
        let seen = run.arg("-").list(list).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let urls: Vec<_> = seen.rows().iter().map(|row| row["url"].clone()).collect();
        assert_eq!(urls, paths.map(|path| json!(server.url(path))));
        for name in ["large1", "large2"] {
            assert!(fs::read(folder.at(name)).unwrap() == first().body, "{name}");
        }
        assert_eq!(server.requests(), 3 + 2 * 5);
    });
}

#[test]
fn verify_and_a_dry_run_tell_of_a_file_that_was_begun_in_segments() {
    let (folder, server) = (Folder::new(), server(first()));
    let killed = folder.run("async", &server, &FOUR).env("FETCH_KILL_AT", "held:2").seen();
    assert_eq!(killed.code, None, "{killed:?}");
    let verify = Run::new().arg("verify").arg(folder.0.path()).seen();
    assert_eq!(verify.code, Some(0), "{verify:?}");
    assert!(verify.stdout.contains("download incomplete"), "{verify:?}");
    let held: usize = folder.spans().iter().map(|span| span.len()).sum();
    let dry = Run::new().args(["--dry-run", "-d"]).arg(folder.0.path()).arg(server.url("/file"));
    let dry = dry.seen();
    assert!(
        dry.stdout.contains(&format!("will be resumed: {held} bytes already downloaded")),
        "{dry:?}"
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
