//! Whatever becomes of thousands of URLs, nothing grows with their number: descriptors, threads, children, memory.

use std::collections::BTreeSet;
use std::fs;

use crate::support::coded::gzip;
use crate::support::folder::{all_in, quick_folder};
use crate::support::processes::children_of;
use crate::support::raw::{Raw, refusing_port, sip};
use crate::support::tls::{Authority, TlsOrigin, whole};
use crate::support::{End, Live, Origin, Reply, Run, class_of, in_every_mode};

/// Jobs of the run.
const JOBS: usize = 16;

/// URLs that are written before their records are read.
const BATCH: usize = 100;

/// What a run holds, its children included.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    threads: usize,
    children: usize,
    /// Bytes.
    memory: u64,
}

impl Held {
    fn by(run: u32) -> Self {
        let children = children_of(run);
        let all: Vec<u32> = children.iter().copied().chain([run]).collect();
        let count = |what: &str| {
            let of = |process: &u32| {
                fs::read_dir(format!("/proc/{process}/{what}")).map_or(0, Iterator::count)
            };
            all.iter().map(of).sum()
        };
        let memory = all.iter().map(|process| resident(*process)).sum();
        let (descriptors, threads) = (count("fd"), count("task"));
        Self { descriptors, threads, children: children.len(), memory }
    }
}

/// Bytes of a process that are in memory.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10)
}

/// The servers of the faults. A fault that says something of its host has a host of its own each time, or the host would
/// be asked less, and in the end not at all.
struct Faults {
    origin: Origin,
    refused: u16,
    silent: Raw,
    untrusted: TlsOrigin,
    no_tls: Raw,
}

/// The faults of the server for plain HTTP, with the class of each. The last is none.
const REPLIES: [(&str, &str); 14] = [
    ("closed", "reset"),
    ("reset", "reset"),
    ("reset-in-header", "reset"),
    ("nonsense", "protocol"),
    ("lengths", "protocol"),
    ("chunk", "protocol"),
    ("cut-chunk", "truncated"),
    ("cut", "truncated"),
    ("reset-in-body", "reset"),
    ("gzip", "protocol"),
    ("gone", "http_4xx"),
    ("busy", "http_5xx"),
    ("circle", "redirect"),
    ("ok", "ok"),
];

/// The others, which need servers of their own.
const CONNECTIONS: [(&str, &str); 4] =
    [("refused", "connect"), ("silent", "connect"), ("untrusted", "tls"), ("no-tls", "tls")];

fn reply(kind: &str) -> Reply {
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let long = format!("{ok}Content-Length: 20000\r\n\r\n{}", "x".repeat(10_000));
    match kind {
        "closed" => Reply::raw("", End::Close),
        "reset" => Reply::raw("", End::Reset),
        "reset-in-header" => Reply::raw(format!("{ok}Content-Le"), End::Reset),
        "nonsense" => Reply::raw("complete nonsense\r\n\r\n", End::Close),
        "lengths" => Reply::raw(format!("{ok}Content-Length: 5, 6\r\n\r\nhello"), End::Close),
        "chunk" => Reply::raw(chunked + "xyz\r\n", End::Close),
        "cut-chunk" => Reply::raw(chunked + "fffff\r\n", End::Close),
        "cut" => Reply::raw(long, End::Close),
        "reset-in-body" => Reply::raw(long, End::Reset),
        "gzip" => {
            let mut body = gzip("hello".repeat(1000));
            let end = body.len() - 6;
            body[end] ^= 0xff;
            Reply::of("200 OK", "Content-Encoding: gzip\r\n", body).then(End::Close)
        }
        "gone" => Reply::of("404 Not Found", "", "words"),
        "busy" => Reply::of("500 Internal Server Error", "", "words"),
        "circle" => Reply::redirect(302, "/circle/again"),
        _ => Reply::ok("hello"),
    }
}

impl Faults {
    fn new() -> Self {
        let untrusted = Authority::new().identity(&["*.test"]);
        Self {
            origin: Origin::new(|request| reply(request.path.split('/').nth(1).unwrap())),
            refused: refusing_port(),
            silent: Raw::new(|mut stream, _| sip(&mut stream)),
            untrusted: TlsOrigin::new(&untrusted, |_| whole("hello")),
            no_tls: Raw::new(|mut stream, _| {
                sip(&mut stream);
                let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 No\r\n\r\n");
            }),
        }
    }

    fn ports(&self) -> [u16; 5] {
        let origin = self.origin.address().port();
        [origin, self.refused, self.silent.port(), self.untrusted.port(), self.no_tls.port()]
    }

    /// The nth URL of a list without end, and the class that it ends in.
    fn url(&self, number: usize) -> (String, &'static str) {
        let all = REPLIES.len() + CONNECTIONS.len();
        let (kind, class) = *REPLIES.iter().chain(&CONNECTIONS).nth(number % all).unwrap();
        let (scheme, port) = match kind {
            "refused" => ("http", self.refused),
            "silent" => ("https", self.silent.port()),
            "untrusted" => ("https", self.untrusted.port()),
            "no-tls" => ("https", self.no_tls.port()),
            _ => ("http", self.origin.address().port()),
        };
        let host = match kind {
            "gone" | "busy" | "circle" | "ok" => "same".to_owned(),
            _ => format!("h{number}"),
        };
        (format!("{scheme}://{host}.test:{port}/{kind}/{number}"), class)
    }

    /// Writes these URLs and reads their records: then all of them are done.
    fn pass(&self, run: &mut Live, numbers: std::ops::Range<usize>) {
        let end = numbers.end;
        for start in numbers.step_by(BATCH) {
            let batch: Vec<_> = (start..end.min(start + BATCH)).map(|at| self.url(at)).collect();
            run.write(&batch.iter().map(|(url, _)| format!("{url}\n")).collect::<String>());
            let mut expected: BTreeSet<_> = batch.into_iter().collect();
            while !expected.is_empty() {
                let row = run.row();
                let url = row["url"].as_str().unwrap().to_owned();
                let class = class_of(&row);
                expected.retain(|(one, as_told)| *one != url || *as_told != class);
                assert!(!expected.iter().any(|(one, _)| *one == url), "{row}");
            }
        }
    }
}

/// Between the first URLs and the last, nothing grows.
fn nothing_grows(first: usize, last: usize) {
    in_every_mode(|mode| {
        let (faults, folder) = (Faults::new(), quick_folder());
        let mut run = Run::json(mode).args(["--jobs", &JOBS.to_string(), "--retry", "0"]);
        run = run.args(["--host-patience", "0", "--compressed", "--dir"]).arg(folder.path());
        for port in faults.ports() {
            run = run.args(["--resolve", &format!("*:{port}:127.0.0.1")]);
        }
        let mut run = run.arg("-").live();
        faults.pass(&mut run, 0..first);
        let before = Held::by(run.id());
        faults.pass(&mut run, first..last);
        let after = Held::by(run.id());
        let files = all_in(folder.path()).into_keys().filter(|name| !name.starts_with(".fetch"));
        let wrong: Vec<_> = files.filter(|name| name.parse::<usize>().is_err()).collect();
        assert_eq!(wrong, Vec::<String>::new(), "left behind");
        run.close();
        let seen = run.seen();
        println!("{mode:<10} after {first}: {before:?}\n{mode:<10} after {last}: {after:?}");
        assert_eq!(seen.code, Some(1), "{}", seen.stderr);
        assert_eq!(seen.summary()["targets"], last);
        assert_eq!(after.children, before.children, "children");
        assert!(after.threads <= before.threads + JOBS, "threads: {before:?} {after:?}");
        assert!(after.descriptors <= before.descriptors + 2 * JOBS, "{before:?} {after:?}");
        // 24 bytes for the name of each URL, and what the allocator keeps.
        assert!(after.memory <= before.memory + (8 << 20), "memory: {before:?} {after:?}");
    });
}

#[test]
fn nothing_grows_over_a_thousand_faults() {
    nothing_grows(400, 1_200);
}

#[test]
#[ignore = "takes minutes: 10,000 URLs in each mode"]
fn nothing_grows_over_ten_thousand_faults() {
    nothing_grows(2_000, 10_000);
}
