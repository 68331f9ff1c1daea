//! The peak of memory under each flood that a server or a list can bring, in each mode, beside that of a plain run of as
//! many URLs. Slow; it prints a table.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use crate::support::coded::{brotli, gzip};
use crate::support::http2::{Asked, Http2Origin, Settings, Talk, code, setting};
use crate::support::raw::{HeadOf, Raw, refusing_port};
use crate::support::tls::Authority;
use crate::support::{MODES, Run, Seen};

/// What a run may take beyond a plain one: this, and for each job that, bytes.
const SLACK: u64 = 16 << 20;
const SLACK_PER_JOB: u64 = 64 << 10;

const JOBS: usize = 16;

/// What ends a flood that does not end by itself.
const CLOCK: [&str; 4] = ["--retry", "0", "--max-time", "1s"];

/// A flood over HTTP/1.1: its name, more arguments, and how it answers a request.
type Http1Flood = (&'static str, &'static [&'static str], Box<Answer>);

type Answer = dyn Fn(&mut TcpStream, &HeadOf) -> io::Result<()> + Send + Sync;

/// The same over HTTP/2.
type Http2Flood = (&'static str, &'static [&'static str], &'static Settings, Script);

type Script = for<'a> fn(&'a mut Talk, &Asked) -> &'a mut Talk;

/// A row of the table: in each mode, bytes beyond the plain run, and those that are allowed.
#[derive(Default)]
struct Table(BTreeMap<String, Vec<(i64, u64)>>);

impl Table {
    fn enter(&mut self, name: &str, mode: &str, jobs: usize, plain: u64, peak: u64) {
        let allowed = SLACK + SLACK_PER_JOB * jobs as u64 + stated(name, mode, jobs as u64);
        let beyond = peak as i64 - plain as i64;
        let mib = |bytes: i64| bytes as f64 / f64::from(1 << 20);
        println!("| {name} | {mode} | {:.1} | {:.1} |", mib(plain as i64), mib(beyond));
        self.0.entry(name.to_owned()).or_default().push((beyond, allowed));
    }

    /// Prints the largest of each row, and fails if one is more than is allowed.
    fn judge(&self) {
        let mut beyond_bounds = Vec::new();
        for (name, row) in &self.0 {
            let worst = row.iter().map(|(beyond, _)| *beyond).max().unwrap();
            println!("{name}: {:.1} MiB", worst as f64 / f64::from(1 << 20));
            if row.iter().any(|(beyond, allowed)| *beyond > *allowed as i64) {
                beyond_bounds.push(name);
            }
        }
        assert!(beyond_bounds.is_empty(), "more than is allowed: {beyond_bounds:?}");
    }
}

/// What the chapter `limits` states beside that, bytes.
fn stated(name: &str, mode: &str, jobs: u64) -> u64 {
    let of_body = match name {
        // The largest window of one body.
        "bomb: brotli" => 3,
        // What the allocator keeps of the decoders of others.
        "bomb: brotli in gzip in gzip" | "bomb: zstd in zstd in gzip" => 16,
        _ => 0,
    };
    let mib = of_body + if mode == "processes" { jobs } else { 1 };
    mib << 20
}

fn jobs_of(mode: &str) -> usize {
    if mode == "sequential" { 1 } else { JOBS }
}

/// As many URLs as are under way at once, or a few in turn.
fn count_of(mode: &str) -> usize {
    if mode == "sequential" { 4 } else { JOBS }
}

fn run_of(mode: &str) -> Run {
    Run::json(mode).args(["-j", &jobs_of(mode).to_string()])
}

/// The peak of the resident memory of a run and its children together, bytes.
fn peak_of(run: Run) -> (u64, Seen) {
    let live = run.live();
    let (id, is_over) = (live.id(), Arc::<AtomicBool>::default());
    let over = Arc::clone(&is_over);
    let watch = thread::spawn(move || {
        let mut peak = 0;
        while !over.load(SeqCst) {
            let family = family_of(id);
            // That of one process is known exactly; of several, only what they have at one moment counts, and what they
            // share counts once.
            let sizes = family.iter().filter_map(|process| match family.len() {
                1 => memory_of(*process, "status", "VmHWM:"),
                _ => memory_of(*process, "smaps_rollup", "Pss:"),
            });
            peak = sizes.sum::<u64>().max(peak);
            thread::sleep(Duration::from_millis(2));
        }
        peak
    });
    let seen = live.seen();
    is_over.store(true, SeqCst);
    (watch.join().unwrap(), seen)
}

/// A process and its children.
fn family_of(process: u32) -> Vec<u32> {
    let mut family = vec![process];
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return family };
    for task in tasks.flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    family
}

/// A size from what the system knows of a process, bytes.
fn memory_of(process: u32, file: &str, field: &str) -> Option<u64> {
    let known = fs::read_to_string(format!("/proc/{process}/{file}")).ok()?;
    let line = known.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

fn list_at(raw: &Raw, count: usize) -> String {
    (0..count).map(|number| format!("http://{}/{number}\n", raw.address())).collect()
}

/// A server that gives this answer to each request.
fn server(
    answer: impl Fn(&mut TcpStream, &HeadOf) -> io::Result<()> + Send + Sync + 'static,
) -> Raw {
    Raw::new(move |mut stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = HeadOf::read(&mut reader) {
            if answer(&mut stream, &head).is_err() {
                return;
            }
        }
    })
}

fn plain(stream: &mut TcpStream, _: &HeadOf) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
}

/// Sends the start, and then a piece without end.
fn endless(start: &'static str, piece: &'static str) -> Box<Answer> {
    Box::new(move |stream, _| {
        stream.write_all(start.as_bytes())?;
        let pieces = piece.repeat(64 * 1024 / piece.len() + 1);
        loop {
            stream.write_all(pieces.as_bytes())?;
        }
    })
}

/// Sends these bytes.
fn always(reply: impl Into<Vec<u8>>) -> Box<Answer> {
    let reply = reply.into();
    Box::new(move |stream, _| stream.write_all(&reply))
}

/// A whole reply with these fields.
fn with_fields(fields: &str) -> Box<Answer> {
    always(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 5\r\n\r\nhello"))
}

/// A whole body in these codings.
fn coded(codings: &str, body: &[u8]) -> Box<Answer> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: {codings}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    always([head.as_bytes(), body].concat())
}

/// Zstandard with the largest window that is taken.
fn zstd(body: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(23).unwrap();
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that no coding makes shorter.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn http1_floods() -> Vec<Http1Flood> {
    let many: String =
        (0..250).map(|number| format!("X-{number}: {}\r\n", "x".repeat(1000))).collect();
    let cookies: String =
        (0..50).map(|number| format!("Set-Cookie: c{number}={}\r\n", "x".repeat(4000))).collect();
    let zeros = vec![0; 24 << 20];
    let noise = noise(20 << 20);
    let compressed = &["--compressed"];
    vec![
        ("head of 250 KiB", &[], with_fields(&many)),
        ("head of 200 KiB of cookies", &["--cookie", "a=b"], with_fields(&cookies)),
        ("head without end", &[], endless("HTTP/1.1 200 OK\r\n", "X: y\r\n")),
        ("line without end", &[], endless("HTTP/1.1 200 OK\r\nX: ", "yyyy")),
        ("interim replies", &[], endless("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")),
        ("zeros in a chunk size", &[], endless(CHUNKED, "0")),
        ("chunk extensions", &[], endless(CHUNKED, "1;x=yyyyyyyyyyyyyyy\r\nx\r\n")),
        ("chunks of one byte", &[], endless(CHUNKED, "1\r\nx\r\n")),
        (
            "trailers, HTTP/1.1",
            &[],
            endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"),
        ),
        ("body without end", &[], endless("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxxxxxxxxxx")),
        (
            "body without end, read slowly",
            &["--limit-rate", "100k"],
            endless("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxxxxxxxxxx"),
        ),
        (
            "redirects to long URLs",
            &[],
            Box::new(|stream, head| {
                let hop = head.target.matches('x').count();
                let to = format!("/{}{}", "x".repeat(hop + 1), "y".repeat(30_000));
                stream.write_all(
                    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
                        .as_bytes(),
                )
            }),
        ),
        ("bomb: gzip", compressed, coded("gzip", &gzip(&zeros))),
        ("bomb: brotli", compressed, coded("br", &brotli(&zeros))),
        ("bomb: zstd", compressed, coded("zstd", &zstd(&zeros))),
        (
            "bomb: gzip in gzip in gzip",
            compressed,
            coded("gzip, gzip, gzip", &gzip(gzip(gzip(&zeros)))),
        ),
        (
            "bomb: brotli in gzip in gzip",
            compressed,
            coded("gzip, gzip, br", &brotli(gzip(gzip(&noise)))),
        ),
        (
            "bomb: zstd in zstd in gzip",
            compressed,
            coded("gzip, zstd, zstd", &zstd(&zstd(&gzip(&noise)))),
        ),
    ]
}

fn http2_floods() -> Vec<Http2Flood> {
    const NO_WINDOW: &Settings = &[(setting::INITIAL_WINDOW_SIZE, 0)];
    fn large_trailers<'a>(talk: &'a mut Talk, asked: &Asked) -> &'a mut Talk {
        let value = "x".repeat(1000);
        talk.head(asked, "200", &[]).trailers(asked, &[("x-trailer", &value[..]); 2000])
    }
    fn large_head<'a>(talk: &'a mut Talk, asked: &Asked) -> &'a mut Talk {
        let value = "x".repeat(1000);
        talk.only_head(asked, "200", &[("x-head", &value[..]); 250])
    }
    vec![
        ("HTTP/2: head of 250 KiB", &[], &[], large_head),
        ("HTTP/2: CONTINUATION", &[], &[], |talk, asked| talk.endless_head(asked, 20_000)),
        ("HTTP/2: SETTINGS and PING", &[], &[], |talk, _| talk.questions(20_000)),
        ("HTTP/2: RST_STREAM", &[], &[], |talk, asked| {
            talk.head(asked, "200", &[]).data(asked, "x").reset(asked, code::CANCEL)
        }),
        ("HTTP/2: empty DATA", &[], &[], |talk, asked| {
            talk.head(asked, "200", &[]).empty_data(asked, 20_000)
        }),
        ("HTTP/2: trailers", &[], &[], large_trailers),
        ("HTTP/2: window never opened", &[], NO_WINDOW, |talk, asked| talk.answer(asked, "hello")),
        (
            "HTTP/2: more than the window, read slowly",
            &["--limit-rate", "10k"],
            &[],
            |talk, asked| talk.head(asked, "200", &[]).data(asked, vec![0; 4 << 20]),
        ),
    ]
}

fn http1_peaks(table: &mut Table) {
    let floods: Vec<_> = http1_floods()
        .into_iter()
        .map(|(name, args, answer)| (name, args, server(answer)))
        .collect();
    for mode in MODES {
        let raw = server(plain);
        let run = run_of(mode).list(list_at(&raw, count_of(mode)));
        let (plain, seen) = peak_of(run);
        assert_eq!(seen.code, Some(0), "{seen:?}");
        for (name, args, raw) in &floods {
            let run = run_of(mode).args(CLOCK).args(*args).list(list_at(raw, count_of(mode)));
            let (peak, seen) = peak_of(run);
            assert_eq!(seen.rows().len(), count_of(mode), "{name}: {seen:?}");
            table.enter(name, mode, jobs_of(mode), plain, peak);
        }
    }
}

fn http2_peaks(table: &mut Table) {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    let run = |mode: &str, settings: &Settings, script: Script, args: &[&str]| {
        let origin = Http2Origin::with_settings(&identity, settings, script);
        let list: String =
            (0..count_of(mode)).map(|number| format!("https://site.test/{number}\n")).collect();
        let run = run_of(mode).arg("--cacert").arg(authority.file()).args(["--per-host", "0"]);
        peak_of(run.args(origin.stands_for("site.test")).args(CLOCK).args(args).list(list))
    };
    for mode in MODES {
        let (plain, seen) = run(mode, &[], |talk, asked| talk.answer(asked, "hello"), &[]);
        assert_eq!(seen.code, Some(0), "{seen:?}");
        for (name, args, settings, script) in http2_floods() {
            let (peak, seen) = run(mode, settings, script, args);
            assert_eq!(seen.rows().len(), count_of(mode), "{name}: {seen:?}");
            table.enter(name, mode, jobs_of(mode), plain, peak);
        }
    }
}

/// Lists that are floods by themselves.
fn list_peaks(table: &mut Table) {
    const COUNT: usize = 600;
    let raw = server(|stream, head| {
        if head.target.starts_with("/0x") {
            thread::sleep(Duration::from_secs(2));
        }
        plain(stream, head)
    });
    let long = "x".repeat(60_000);
    let long: String =
        (0..COUNT).map(|number| format!("http://{}/{number}{long}\n", raw.address())).collect();
    let refusing = refusing_port();
    let dead: String = (0..COUNT * 10)
        .map(|number| format!("http://127.1.{}.{}:{refusing}/\n", number / 250, number % 250 + 1))
        .collect();
    for mode in MODES {
        let plain = |count: usize, args: &[&str]| {
            peak_of(run_of(mode).args(args).list(list_at(&raw, count))).0
        };
        let few = plain(COUNT, &[]);
        for (name, args) in
            [("URLs of 60 KB", &[][..]), ("URLs of 60 KB, --ordered", &["--ordered"])]
        {
            let (peak, seen) = peak_of(run_of(mode).args(args).list(&long));
            assert_eq!((seen.rows().len(), seen.code), (COUNT, Some(0)));
            table.enter(name, mode, jobs_of(mode), few, peak);
        }
        let many = plain(COUNT * 10, &[]);
        let args = ["--retry", "0", "--host-patience", "0"];
        let (peak, seen) = peak_of(run_of(mode).args(args).list(&dead));
        assert_eq!(seen.rows().len(), COUNT * 10);
        table.enter("6,000 hosts that cannot be reached", mode, jobs_of(mode), many, peak);
    }
    let jobs = 512;
    let run = |list: &str| peak_of(Run::json("async").args(["-j", &jobs.to_string()]).list(list));
    let few = run(&list_at(&raw, COUNT)).0;
    table.enter("URLs of 60 KB, 512 jobs", "async", jobs, few, run(&long).0);
}

#[test]
#[ignore = "takes minutes: the peak of memory under each flood"]
fn no_flood_takes_more_memory_than_a_plain_run_and_a_little() {
    let mut table = Table::default();
    println!("| flood | mode | plain, MiB | more, MiB |");
    http1_peaks(&mut table);
    http2_peaks(&mut table);
    list_peaks(&mut table);
    table.judge();
}
