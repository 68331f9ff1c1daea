//! Whatever a list holds and however its servers behave, the records of all modes are equal up to time and order.

use std::thread;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use crate::support::{End, MODES, Origin, Reply, Request, Run, Seen};

const HELLO_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// The ways of a server that do not depend on time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Small,
    Large,
    Empty,
    Chunked,
    NoContent,
    NotUtf8,
    Interim,
    Chain,
    Loop,
    Nowhere,
    Gone,
    GoneAtLength,
    Unasked,
    WrongChecksum,
    Smuggled,
    ClosedAfter,
    ClosedAtOnce,
    ResetAtOnce,
    HeadCut,
    BodyShort,
    BodyReset,
    BodyStalled,
    ChunkedCut,
    ChunkSizeBad,
    CodingUnknown,
    StatusLineBad,
    LengthBad,
    HeadTooLong,
    BusyOnce,
    SlowDownOnce,
    SlowDownForLong,
}

use Way::*;

const WAYS: [Way; 31] = [
    Small,
    Large,
    Empty,
    Chunked,
    NoContent,
    NotUtf8,
    Interim,
    Chain,
    Loop,
    Nowhere,
    Gone,
    GoneAtLength,
    Unasked,
    WrongChecksum,
    Smuggled,
    ClosedAfter,
    ClosedAtOnce,
    ResetAtOnce,
    HeadCut,
    BodyShort,
    BodyReset,
    BodyStalled,
    ChunkedCut,
    ChunkSizeBad,
    CodingUnknown,
    StatusLineBad,
    LengthBad,
    HeadTooLong,
    BusyOnce,
    SlowDownOnce,
    SlowDownForLong,
];

impl Way {
    /// Whether the second request is made, and answered as the first.
    fn is_steady(self) -> bool {
        !matches!(self, BusyOnce | SlowDownOnce | SlowDownForLong)
    }

    /// Whether a host that does this is asked less, or nothing more: each such URL has a host of its own, so that no
    /// other waits for it.
    fn slows_its_host(self) -> bool {
        let breaks_off = matches!(self, BodyShort | BodyReset | BodyStalled | ChunkedCut);
        breaks_off || matches!(self, BusyOnce | SlowDownOnce | SlowDownForLong)
    }

    fn reply(self, request: &Request) -> Reply {
        let raw = |text: &'static str, end| Reply::raw(text, end);
        let here = request.path.as_str();
        match self {
            Small => Reply::of("200 OK", "ETag: \"a\"\r\nContent-Type: text/plain\r\n", "hello"),
            Large => Reply::ok("x".repeat(300 * 1024)),
            Empty => Reply::ok(""),
            Chunked => Reply::chunked(["he", "llo", " again"]),
            NoContent => raw("HTTP/1.1 204 No Content\r\n\r\n", End::KeepAlive),
            NotUtf8 => Reply::raw(
                b"HTTP/1.1 200 \xff\r\nContent-Type: \xc3(\r\nETag: \xfe\r\nContent-Length: 2\r\n\r\nok",
                End::KeepAlive,
            ),
            Interim => Reply::raw(
                [b"HTTP/1.1 103 Early Hints\r\n\r\n", &Reply::ok("hello").bytes[..]].concat(),
                End::KeepAlive,
            ),
            Chain if here.ends_with("/there") => Reply::ok("there"),
            Chain if here.ends_with("/next") => Reply::redirect(307, "there"),
            Chain => Reply::redirect(302, &format!("{here}/next")),
            Loop => Reply::redirect(302, here),
            Nowhere => Reply::redirect(301, "ftp://127.0.0.1/"),
            Gone => Reply::of("404 Not Found", "", "gone"),
            GoneAtLength => Reply::of("410 Gone", "", "x".repeat(100_000)),
            Unasked => raw("HTTP/1.1 304 Not Modified\r\n\r\n", End::KeepAlive),
            WrongChecksum => Reply::ok("hullo"),
            Smuggled => raw(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 No\r\n\r\n",
                End::Stall,
            ),
            ClosedAfter => Reply::ok("hello").then(End::Close),
            ClosedAtOnce => raw("", End::Close),
            ResetAtOnce => raw("", End::Reset),
            HeadCut => raw("HTTP/1.1 200 OK\r\nContent-", End::Close),
            BodyShort => raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", End::Close),
            BodyReset => raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", End::Reset),
            BodyStalled => raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", End::Stall),
            ChunkedCut => Reply::chunked(["hello", "again"]).but(6, End::Close),
            ChunkSizeBad => {
                let mut reply = Reply::chunked(["hello"]);
                reply.bytes.splice(reply.bytes.len() - 5.., *b"-1\r\n\r\n");
                reply
            }
            CodingUnknown => {
                raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", End::Close)
            }
            StatusLineBad => raw("HTTP/1.1 abc\r\n\r\n", End::Close),
            LengthBad => raw("HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nhello", End::Close),
            HeadTooLong => Reply::raw(
                format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)),
                End::Close,
            ),
            BusyOnce if request.nth == 0 => Reply::of("503 Busy", "", "busy"),
            SlowDownOnce if request.nth == 0 => {
                Reply::of("429 Slow Down", "Retry-After: 0\r\n", "slowly")
            }
            SlowDownForLong => Reply::of("503 Busy", "Retry-After: 86400\r\n", "tomorrow"),
            BusyOnce | SlowDownOnce => Reply::ok("hello"),
        }
    }
}

/// One entry of a list.
#[derive(Debug, Clone)]
enum Line {
    /// A URL, and mirrors of it.
    Urls(Vec<Way>),
    /// An earlier line once more.
    Duplicate(prop::sample::Index),
    /// No URL, or a bad option below one.
    Invalid(&'static str),
    /// A URL with header lines of its own, and user and password.
    Own(Way),
}

fn line() -> impl Strategy<Value = Line> {
    let way = || prop::sample::select(&WAYS[..]);
    let invalid = [
        "htp://a.b",
        "http://",
        "two words",
        "http://a.b/\u{1}",
        "http://127.0.0.1/\n  outt=x",
        "http://127.0.0.1/\n  checksum=md5=1",
        "http://127.0.0.1/\n  header=no colon",
    ];
    prop_oneof![
        12 => way().prop_map(|way| Line::Urls(vec![way])),
        3 => prop::collection::vec(way(), 2..4).prop_map(Line::Urls),
        2 => any::<prop::sample::Index>().prop_map(Line::Duplicate),
        2 => prop::sample::select(invalid.to_vec()).prop_map(Line::Invalid),
        2 => way().prop_map(Line::Own),
    ]
}

/// Lists of up to forty entries, few of which stall.
fn lists() -> impl Strategy<Value = Vec<Line>> {
    let stalls = prop::bool::weighted(0.3);
    (prop::collection::vec(line(), 1..=40), stalls).prop_map(|(mut lines, may_stall)| {
        let mut left = usize::from(may_stall);
        for line in &mut lines {
            let ways = match line {
                Line::Urls(ways) => &mut ways[..],
                Line::Own(way) => std::slice::from_mut(way),
                _ => continue,
            };
            for way in ways.iter_mut().filter(|way| **way == BodyStalled) {
                match left.checked_sub(1) {
                    Some(fewer) => left = fewer,
                    None => *way = BodyShort,
                }
            }
        }
        without_duplicates_of_the_unsteady(lines)
    })
}

/// Which of two equal lines meets a server that heals is a matter of time, so there are none.
fn without_duplicates_of_the_unsteady(mut lines: Vec<Line>) -> Vec<Line> {
    for at in 0..lines.len() {
        let Line::Duplicate(index) = &lines[at] else { continue };
        let steady = |way: &Way| way.is_steady() && *way != BodyStalled;
        let earlier = lines[..at].get(index.index(at.max(1)));
        let steady = matches!(earlier, Some(Line::Urls(ways)) if ways.iter().all(steady));
        if !steady {
            lines[at] = Line::Urls(vec![Small]);
        }
    }
    lines
}

/// The list as text; a path names its way and its line, so that each line has paths of its own.
fn text_of(lines: &[Line], origin: &Origin) -> String {
    let mut entries = Vec::<String>::new();
    for (at, line) in lines.iter().enumerate() {
        let path = |way: Way, mirror: usize| {
            let number = WAYS.iter().position(|known| *known == way).unwrap();
            format!("/{number}/{at}/{mirror}")
        };
        entries.push(match line {
            Line::Urls(ways) => {
                let urls = ways.iter().enumerate().map(|(nth, way)| {
                    let host = format!("slow-{at}-{nth}.test");
                    let host = Some(host).filter(|_| way.slows_its_host());
                    url_of(origin, host, &path(*way, nth))
                });
                let urls = urls.collect::<Vec<_>>().join("\t");
                match ways.contains(&WrongChecksum) {
                    true => format!("{urls}\n  checksum=sha-256={HELLO_SHA256}"),
                    false => urls,
                }
            }
            Line::Duplicate(index) => entries[index.index(at)].clone(),
            Line::Invalid(text) => (*text).to_owned(),
            Line::Own(way) => {
                let host = Some(format!("slow-{at}.test")).filter(|_| way.slows_its_host());
                let url = url_of(origin, host, &path(*way, 0));
                let url = url.replace("http://", "http://user:secret@");
                format!("{url}\n  header=X-Api-Key: {at}\n  out=name-{at}")
            }
        });
    }
    entries.join("\n") + "\n"
}

/// The URL of a path by this name of the origin.
fn url_of(origin: &Origin, host: Option<String>, path: &str) -> String {
    match host {
        Some(host) => format!("http://{host}:{}{path}", origin.address().port()),
        None => origin.url(path),
    }
}

fn origin() -> Origin {
    Origin::new(|request| {
        let number = request.path.split('/').nth(1).unwrap();
        WAYS[number.parse::<usize>().unwrap()].reply(request)
    })
}

/// What a run shows that no clock has a part in: rows in list order, counts, and the exit code.
#[derive(Debug, PartialEq)]
struct Shown {
    rows: Vec<Value>,
    counts: Value,
    code: Option<i32>,
}

fn shown_in(mode: &str, lines: &[Line], stall_timeout: &str) -> Shown {
    let origin = origin();
    let list = text_of(lines, &origin);
    let args = ["-j", "8", "--retry", "1", "--retry-delay", "0s", "--max-redirs", "4"];
    let pin = format!("*:{}:127.0.0.1", origin.address().port());
    let run =
        Run::json(mode).args(args).args(["--stall-timeout", stall_timeout, "--resolve", &pin]);
    let run = run.list(list);
    timeless(&run.seen(), &origin, lines)
}

fn timeless(seen: &Seen, origin: &Origin, lines: &[Line]) -> Shown {
    let address = origin.address().to_string();
    let named = format!(".test:{}", origin.address().port());
    let mut rows = seen.rows_in_list_order();
    assert_eq!(rows.len(), lines.len(), "one row a line: {}", seen.stderr);
    let mut resets = false;
    for (row, line) in rows.iter_mut().zip(lines) {
        let text = row.to_string().replace(&address, "ORIGIN").replace(&named, ".test");
        *row = serde_json::from_str(&text).unwrap();
        let fields = row.as_object_mut().unwrap();
        for timed in ["timings", "started_at", "worker"] {
            fields.remove(timed).unwrap_or_else(|| panic!("{timed} is gone"));
        }
        for attempt in fields["attempts_detail"].as_array_mut().unwrap() {
            attempt.as_object_mut().unwrap().retain(|name, _| name == "class");
        }
        if may_be_reset(line, lines) {
            resets = true;
            fields.remove("bytes");
            fields.remove("wire_bytes");
        }
    }
    let mut counts = seen.summary();
    let fields = counts.as_object_mut().unwrap();
    let of_the_run = [
        "elapsed",
        "setup",
        "resources",
        "mode",
        "jobs",
        "loops",
        "hosts",
        "started_at",
        "options",
    ];
    for timed in of_the_run {
        fields.remove(timed).unwrap_or_else(|| panic!("{timed} is gone"));
    }
    if resets {
        fields.remove("wire_bytes");
    }
    Shown { rows, counts, code: seen.code }
}

/// Whether a reply to this line falls silent.
fn stalls(line: &Line) -> bool {
    match line {
        Line::Urls(ways) => ways.contains(&BodyStalled),
        Line::Own(way) => *way == BodyStalled,
        Line::Duplicate(_) | Line::Invalid(_) => false,
    }
}

/// How much of a body arrives before a reset is a matter of time.
fn may_be_reset(line: &Line, lines: &[Line]) -> bool {
    match line {
        Line::Urls(ways) => ways.contains(&BodyReset),
        Line::Own(way) => *way == BodyReset,
        Line::Duplicate(_) => {
            let is_url = |line: &&Line| !matches!(line, Line::Duplicate(_));
            lines.iter().filter(is_url).any(|line| may_be_reset(line, lines))
        }
        Line::Invalid(_) => false,
    }
}

fn assert_all_modes_agree(lines: &[Line]) {
    let shown = |stall_timeout: &str| {
        thread::scope(|scope| {
            MODES
                .map(|mode| scope.spawn(move || shown_in(mode, lines, stall_timeout)))
                .map(|run| run.join().expect("the run says why"))
        })
    };
    // Where a reply stalls, others may be late for a clock that is short; the longest is long enough for all.
    let clocks: &[&str] = if lines.iter().any(stalls) { &["200ms", "2s", "20s"] } else { &["1h"] };
    let (last, shorter) = clocks.split_last().expect("there is a clock");
    let agreed = shorter.iter().map(|clock| shown(clock)).find(|shown| {
        let [first, rest @ ..] = shown;
        rest.iter().all(|other| other == first)
    });
    let [first, rest @ ..] = &agreed.unwrap_or_else(|| shown(last));
    for (other, mode) in rest.iter().zip(&MODES[1..]) {
        for (row, same) in other.rows.iter().zip(&first.rows) {
            assert_eq!(row, same, "{mode} and {}", MODES[0]);
        }
        assert_eq!(other, first, "{mode} and {}", MODES[0]);
    }
}

#[test]
fn the_records_of_all_modes_are_equal_up_to_time_and_order() {
    let config =
        Config { cases: 12, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&lists(), |lines| {
        assert_all_modes_agree(&lines);
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_way_of_a_server_is_the_same_in_every_mode() {
    let twice = WAYS.iter().chain(&WAYS).filter(|way| **way != BodyStalled);
    let lines: Vec<_> = twice.map(|way| Line::Urls(vec![*way])).collect();
    assert_all_modes_agree(&lines);
}
