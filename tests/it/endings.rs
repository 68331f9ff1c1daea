//! How a run begins, waits and ends: exit codes, signals, deadlines, readers that stall or leave, lists that come
//! slowly, and machines with few descriptors.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::support::{
    End, Gate, Live, LocalOrigin, Origin, Reply, Run, Seen, in_all_modes_at_once, in_every_mode,
    program, until, with_a_clock,
};

/// So many URLs of an origin, one a line: `/1`, `/2`...
fn list(origin: &Origin, number: usize) -> String {
    (1..=number).map(|path| format!("{}\n", origin.url(&format!("/{path}")))).collect()
}

/// The workers that a mode has when asked for two.
fn two_jobs(mode: &str) -> usize {
    if mode == "sequential" { 1 } else { 2 }
}

fn class(row: &Value) -> &str {
    row["error"]["class"].as_str().unwrap_or("none")
}

/// Counts the rows of a class; `none` for those that are ok.
fn of_class(rows: &[Value], name: &str) -> usize {
    rows.iter().filter(|row| class(row) == name).count()
}

/// Every entry from the first to the last that was read has one row.
fn assert_one_row_for_each_entry(rows: &[Value]) {
    let indexes: BTreeSet<_> = rows.iter().map(|row| row["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes.len(), rows.len(), "no entry has two rows");
    assert_eq!(indexes.last().copied().unwrap_or(0), rows.len() as u64, "no entry is left out");
}

/// Waits until a number has come to `least` and then stopped growing. What is then found to be small enough may not be
/// the end of it, but what is found to be too large is too large.
fn settled(least: usize, number: impl Fn() -> usize) -> usize {
    let (mut last, mut looks, mut unchanged) = (0, 0, 0);
    while last < least || unchanged < 50 {
        thread::sleep(Duration::from_millis(10));
        let now = number();
        unchanged = if now == last { unchanged + 1 } else { 0 };
        last = now;
        looks += 1;
        assert!(looks < 6000, "no more than {last} of {least}");
    }
    last
}

// Exit codes.

#[test]
fn a_list_that_is_fetched_in_full_ends_with_0() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let seen = Run::json(mode).list(list(&origin, 3)).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(seen.summary()["stopped"], Value::Null);
        assert_eq!(seen.summary()["list_complete"], true);
    });
}

#[test]
fn one_failure_or_one_bad_line_ends_with_1_wherever_it_stands() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/gone" => Reply::of("404 Not Found", "", ""),
            _ => Reply::ok("hello"),
        });
        let [good, gone] = ["/good", "/gone"].map(|path| origin.url(path));
        for sources in [[&good, &gone], [&gone, &good]] {
            assert_eq!(Run::json(mode).args(sources).seen().code, Some(1));
        }
        for list in [format!("{good}\nftp://a.b\n"), format!("ftp://a.b\n{good}\n")] {
            assert_eq!(Run::json(mode).list(list).seen().code, Some(1));
        }
    });
}

#[test]
fn without_a_network_every_page_of_the_list_is_a_row_of_class_dns() {
    // A label of more than 63 characters has no address anywhere, and no server is asked for it (RFC 1035).
    let nowhere = format!("http://{}", "x".repeat(64));
    let list = include_str!("../../sites.txt").replace("https://en.wikipedia.org", &nowhere);
    in_every_mode(|mode| {
        let seen = Run::json(mode).list(&list).seen();
        assert_eq!(seen.code, Some(1), "{seen:?}");
        let rows = seen.rows();
        assert_one_row_for_each_entry(&rows);
        assert_eq!((rows.len(), of_class(&rows, "dns")), (15, 15), "{seen:?}");
        assert_eq!(seen.summary()["resources"]["lookups"], 1);
        assert_eq!(seen.summary()["list_complete"], true);
    });
}

#[test]
fn an_unreadable_list_is_more_serious_than_a_failure() {
    in_every_mode(|mode| {
        let seen = Run::json(mode).args(["http://127.0.0.1:1/", "/nowhere/list.txt"]).seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written_ends_with_3() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/1" => Reply::ok("hello"),
            _ => Reply::raw("", End::Stall),
        });
        let run = Run::after("exec >/dev/full").args(["--mode", mode]).list(list(&origin, 2000));
        let seen = run.seen();
        assert_eq!(seen.code, Some(3), "{seen:?}");
        assert!(seen.stderr.contains("cannot write output"), "{seen:?}");
        assert_eq!(seen.stderr.lines().count(), 1, "{seen:?}");
    });
}

#[test]
fn a_deadline_ends_with_4_and_a_row_for_every_target_that_was_read() {
    let ends = |mode: &str, number, deadline: &str| {
        let origin = Origin::new(|_| Reply::raw("", End::Stall));
        let run = Run::json(mode).args(["-j", "2", "--deadline", deadline]);
        let seen = run.list(list(&origin, number)).seen();
        assert_eq!(seen.code, Some(4), "{}", seen.stderr);
        let rows = seen.rows();
        assert_one_row_for_each_entry(&rows);
        assert_eq!(of_class(&rows, "cancelled"), rows.len());
        assert!(rows.iter().all(|row| row["outcome"] == "failed"));
        assert!(rows.iter().all(|row| row["error"]["message"] == "cancelled: the deadline passed"));
        let summary = seen.summary();
        assert_eq!(summary["stopped"], "the deadline passed");
        assert_eq!(summary["targets"], rows.len());
        if rows.is_empty() {
            return (0, false);
        }
        assert_eq!(summary["failures"]["cancelled"], rows.len());
        // Those that were under way were tried, those that were not were not.
        let tried = rows.iter().filter(|row| row["attempts"] == 1).count();
        assert!(tried <= two_jobs(mode), "{tried} were tried");
        assert!(origin.requests() <= tried, "{} requests", origin.requests());
        (rows.len(), summary["list_complete"] == true)
    };
    in_all_modes_at_once(|mode| {
        with_a_clock(|deadline| ends(mode, 3, deadline) == (3, true));
        with_a_clock(|deadline| {
            let (rows, is_complete) = ends(mode, 5000, deadline);
            assert!(!is_complete, "what is read ahead is bounded");
            rows > two_jobs(mode)
        });
    });
}

#[test]
fn a_deadline_ends_retries_and_an_open_pipe_too() {
    in_all_modes_at_once(|mode| {
        with_a_clock(|deadline| {
            let origin = Origin::new(|_| Reply::of("503 Busy", "Retry-After: 100\r\n", ""));
            let mut run = Run::json(mode).args(["--deadline", deadline]).live();
            run.write(&list(&origin, 2));
            // Its standard input stays open until it has told all.
            let mut rows = vec![run.row()];
            while rows.last().is_some_and(|row| row["type"] != "summary") {
                rows.push(run.row());
            }
            let summary = rows.pop().unwrap();
            assert_eq!(run.seen().code, Some(4));
            assert_eq!(of_class(&rows, "cancelled"), rows.len(), "{rows:?}");
            assert_eq!(summary["list_complete"], false);
            rows.len() == 2 && origin.requests() > 0
        });
    });
}

#[test]
fn a_deadline_that_is_kept_is_no_ending() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let seen = Run::json(mode).args(["--deadline", "1h"]).list(list(&origin, 2)).seen();
        assert_eq!((seen.code, &seen.summary()["stopped"]), (Some(0), &Value::Null));
    });
}

#[test]
fn a_run_that_ends_early_says_so_in_words() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::raw("", End::Stall));
        let run = Run::new().args(["-m", mode, "--deadline", "100ms"]).arg(origin.url("/"));
        let seen = run.seen();
        assert_eq!(seen.code, Some(4));
        assert!(seen.stdout.contains("; stopped early: the deadline passed\n"), "{seen:?}");
    });
}

// Signals.

/// Entries of the list below.
const LISTED: usize = 20;

/// A run with two jobs, if the mode has so many, that are held at the origin until somebody passes the gate. Its list
/// has more entries and stays open: only a signal ends the run.
struct Held {
    run: Live,
    origin: Origin,
    open: Gate,
}

impl Held {
    fn in_mode(mode: &str) -> Self {
        let (arrived, open) = (Gate::of(two_jobs(mode)), Gate::of(1));
        let (at_origin, held) = (arrived.clone(), open.clone());
        let origin = Origin::new(move |_| {
            at_origin.pass();
            held.wait();
            Reply::ok("hello")
        });
        let mut run = Run::json(mode).patient().args(["-j", "2"]).live();
        run.write(&list(&origin, LISTED));
        arrived.wait();
        Self { run, origin, open }
    }

    /// Sends a signal and waits until it is heard.
    fn signal(&mut self, signal: Signal) {
        self.run.signal(signal);
        self.run.says(": finishing ");
    }
}

#[test]
fn the_first_signal_starts_nothing_new_and_lets_what_is_under_way_finish() {
    for (signal, code, words) in
        [(Signal::SIGINT, 130, "interrupted"), (Signal::SIGTERM, 143, "terminated")]
    {
        in_every_mode(|mode| {
            let mut held = Held::in_mode(mode);
            held.signal(signal);
            held.open.pass();
            let Held { mut run, origin, .. } = held;
            // Its input is still open; only the signal ends it.
            until("the end of the run", || run.has_ended());
            let seen = run.seen();
            assert_eq!(seen.code, Some(code), "{}", seen.stderr);
            assert_eq!(seen.stderr.matches("panicked").count(), 0);
            let rows = seen.rows();
            // Options of the last entry could still follow, for a moment.
            assert!((LISTED - 1..=LISTED).contains(&rows.len()), "{rows:?}");
            assert_one_row_for_each_entry(&rows);
            let cancelled: Vec<_> = rows.iter().filter(|row| class(row) == "cancelled").collect();
            assert_eq!(cancelled.len(), rows.len() - two_jobs(mode));
            let message = format!("cancelled: {words}");
            assert!(cancelled.iter().all(|row| row["error"]["message"] == message), "{rows:?}");
            let begun: Vec<_> = rows.iter().filter(|row| row["attempts"] != 0).collect();
            assert!(begun.iter().all(|row| row["outcome"] == "ok"), "{begun:?}");
            assert_eq!((begun.len(), origin.seen().len()), (two_jobs(mode), two_jobs(mode)));
            assert_eq!(seen.summary()["stopped"], words);
            assert_eq!(seen.summary()["list_complete"], false);
        });
    }
}

#[test]
fn the_second_signal_leaves_at_once() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        in_every_mode(|mode| {
            let mut held = Held::in_mode(mode);
            held.signal(signal);
            held.run.signal(signal);
            assert_eq!(held.run.seen().code, Some(code));
            // Nobody has passed the gate: it did not wait for what was under way.
            held.open.pass();
        });
    }
}

#[test]
fn a_signal_after_the_last_target_was_begun_still_shows_in_the_exit_code() {
    in_every_mode(|mode| {
        let (arrived, open) = (Gate::of(1), Gate::of(1));
        let (at_origin, held) = (arrived.clone(), open.clone());
        let origin = Origin::new(move |request| {
            if request.path == "/1" {
                at_origin.pass();
                held.wait();
            }
            Reply::ok("hello")
        });
        // The open input shows when the signal has been heard: the list is given up.
        let mut run = Run::json(mode).patient().live();
        run.write(&list(&origin, 1));
        arrived.wait();
        run.signal(Signal::SIGINT);
        open.pass();
        assert_eq!(run.row()["outcome"], "ok");
        // Its input is still open; only the signal ends it.
        let summary = run.row();
        assert_eq!(summary["stopped"], "interrupted");
        assert_eq!(run.seen().code, Some(130));
    });
}

// Readers of the report.

#[test]
fn a_reader_that_leaves_ends_the_run_quietly_and_what_is_left_is_not_done() {
    in_every_mode(|mode| {
        for format in ["text", "jsonl", "csv"] {
            let origin = Origin::new(|_| Reply::ok("hello"));
            let run = Run::new().args(["--mode", mode, "--format", format]);
            let mut run = run.list(list(&origin, 20_000)).live();
            run.stop_reading();
            let seen = run.seen();
            assert_eq!((seen.code, seen.stderr.as_str()), (Some(4), ""));
            assert!(origin.seen().len() < 10_000, "{} requests", origin.seen().len());
        }
    });
}

#[test]
fn a_reader_that_leaves_does_not_wait_for_what_is_under_way() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/1" => Reply::ok("hello"),
            _ => Reply::raw("", End::Stall),
        });
        let mut run = Run::json(mode).list(list(&origin, 3)).live();
        run.stop_reading();
        let seen = run.seen();
        assert_eq!((seen.code, seen.stderr.as_str()), (Some(4), ""), "work was left");
    });
}

#[test]
fn a_reader_that_has_nothing_to_read_may_leave() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let mut run = Run::new().args(["--quiet", "--mode", mode]).list(list(&origin, 3)).live();
        run.stop_reading();
        let seen = run.seen();
        assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
        assert_eq!(origin.seen().len(), 3);
    });
}

#[test]
fn a_reader_that_stalls_slows_the_run_and_fills_no_memory() {
    const TARGETS: usize = 6000;
    in_all_modes_at_once(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let run = Run::json(mode).list(list(&origin, TARGETS)).live();
        // Those whose rows fit in a pipe and on the report's page, and as many events as may wait for that.
        let requests = settled(256, || origin.requests());
        assert!(requests <= 1200, "{requests} requests while nobody reads");
        let seen = run.seen();
        assert_eq!(seen.code, Some(0), "{}", seen.stderr);
        let rows = seen.rows();
        assert_eq!(rows.len(), TARGETS);
        assert_one_row_for_each_entry(&rows);
        assert_eq!(origin.seen().len(), TARGETS);
        let peak = |seen: &Seen| seen.summary()["resources"]["peak_memory"].as_u64().unwrap();
        let short = Run::json(mode).list(list(&origin, 1000)).seen();
        let (long, short) = (peak(&seen), peak(&short));
        // The peaks of all processes are added up, and each of them varies by itself.
        let processes = if mode == "processes" { 1 + 16 } else { 1 };
        let spread = processes * (4 << 20);
        assert!(long < short + spread, "{long} bytes for a long list, {short} for a short one");
    });
}

// Lists that come slowly, and rows in order.

#[test]
fn a_row_arrives_while_the_list_is_still_open() {
    in_every_mode(|mode| {
        for order in [&[][..], &["--ordered"]] {
            let origin = Origin::new(|_| Reply::ok("hello"));
            let mut run = Run::json(mode).args(order).live();
            for path in ["/a", "/b", "/c"] {
                run.write(&format!("{}\n", origin.url(path)));
                assert_eq!(run.row()["url"], origin.url(path));
            }
            // A line is not begun before it has ended, however long that takes.
            run.write(&origin.url("/d"));
            run.close();
            let seen = run.seen();
            assert_eq!(seen.code, Some(0));
            assert_eq!(seen.row()["url"], origin.url("/d"));
        }
    });
}

#[test]
fn an_option_line_that_comes_by_itself_right_behind_its_url_is_honoured() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        // Each piece is read by itself from such a socket, and both are there before the program is.
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        ours.send(format!("{}\n", origin.url("/a")).as_bytes()).unwrap();
        ours.send(b"  header=X-A: 1\n").unwrap();
        drop(ours);
        let mut command = program();
        command.args(["--json", "--mode", mode]).stdin(Stdio::from(OwnedFd::from(theirs)));
        let seen = Seen::from(command.output().unwrap());
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(origin.seen()[0].header("x-a"), Some("1"));
    });
}

#[test]
fn an_option_line_that_has_begun_is_waited_for() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let mut run = Run::json(mode).live();
        run.write(&format!("{}\n{}\n ", origin.url("/a"), origin.url("/b")));
        assert_eq!(run.row()["url"], origin.url("/a"));
        run.write(" header=X-B: 1\n");
        assert_eq!(run.row()["url"], origin.url("/b"));
        assert_eq!(run.seen().code, Some(0));
        assert_eq!(origin.seen()[1].header("x-b"), Some("1"));
    });
}

#[test]
fn ordered_rows_come_in_the_order_of_the_list_whatever_the_order_of_the_replies() {
    const TARGETS: usize = 8;
    in_every_mode(|mode| {
        let together = mode != "sequential";
        let answered: Arc<Vec<Gate>> = Arc::new((0..=TARGETS).map(|_| Gate::of(1)).collect());
        answered[TARGETS].pass();
        let turns = Arc::clone(&answered);
        let origin = Origin::new(move |request| {
            let number: usize = request.path[1..].parse().unwrap();
            if together {
                turns[number].wait();
                turns[number - 1].pass();
            }
            Reply::ok("hello")
        });
        let run = Run::json(mode).args(["--ordered", "-j", "8"]).list(list(&origin, TARGETS));
        let seen = run.seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let order: Vec<_> = seen.rows().iter().map(|row| row["index"].as_u64().unwrap()).collect();
        assert_eq!(order, (1..=TARGETS as u64).collect::<Vec<_>>());
    });
}

#[test]
fn ordered_rows_let_no_target_further_than_1024_past_a_slow_one() {
    in_all_modes_at_once(|mode| {
        let open = Gate::of(1);
        let held = open.clone();
        let origin = Origin::new(move |request| {
            if request.path == "/1" {
                held.wait();
            }
            Reply::ok("hello")
        });
        let run = Run::json(mode).args(["--ordered", "-j", "4"]).list(list(&origin, 3000)).live();
        let most = if mode == "sequential" { 1 } else { 1024 };
        assert_eq!(settled(most, || origin.requests()), most);
        open.pass();
        let seen = run.seen();
        assert_eq!(seen.code, Some(0));
        let order: Vec<_> = seen.rows().iter().map(|row| row["index"].as_u64().unwrap()).collect();
        assert_eq!(order, (1..=3000).collect::<Vec<_>>());
    });
}

#[test]
fn ordered_rows_of_a_run_that_is_stopped_are_in_order_too() {
    in_all_modes_at_once(|mode| {
        with_a_clock(|deadline| {
            let origin = Origin::new(|request| match request.path.as_str() {
                "/2" => Reply::raw("", End::Stall),
                _ => Reply::ok("hello"),
            });
            let args = ["--ordered", "--deadline", deadline];
            let seen = Run::json(mode).args(args).list(list(&origin, 5)).seen();
            assert_eq!(seen.code, Some(4));
            let rows = seen.rows();
            let order: Vec<_> = rows.iter().map(|row| row["index"].as_u64().unwrap()).collect();
            assert_eq!(order, (1..=rows.len() as u64).collect::<Vec<_>>());
            assert!(rows.get(1).is_none_or(|row| class(row) == "cancelled"), "{rows:?}");
            rows.len() == 5 && class(&rows[0]) == "none"
        });
    });
}

// Descriptors.

/// So many hosts, each by a name of its own, all of them this origin.
fn hosts(origin: &LocalOrigin, number: usize) -> (String, String) {
    let port = origin.address().port();
    let list = (1..=number).map(|host| format!("http://h{host}.test:{port}/bytes/100\n")).collect();
    (list, format!("*:{port}:127.0.0.1"))
}

/// Lets this process have as many as it may.
fn allow_many_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum.map_or(20_000, |most| most.min(20_000));
    setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit }).unwrap();
}

#[test]
fn a_soft_limit_on_descriptors_is_raised_for_all_the_jobs() {
    for mode in ["threads", "async"] {
        allow_many_descriptors();
        // Each request waits for all the others.
        let gate = Gate::of(1000);
        let origin = Origin::new(move |_| {
            gate.pass();
            Reply::ok("hello")
        });
        let run = Run::after("ulimit -Sn 256").args(["--json", "-j", "1000", "--mode", mode]);
        let seen = run.list(list(&origin, 1000)).seen();
        assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""), "in mode {mode}");
        assert_eq!(seen.summary()["jobs"], 1000);
        assert_eq!(origin.peak(), 1000);
    }
}

#[test]
fn under_a_hard_limit_on_descriptors_there_are_fewer_jobs_and_that_is_told() {
    for mode in ["threads", "async"] {
        let origin = LocalOrigin::new(&[]);
        let (list, pin) = hosts(&origin, 600);
        let run = Run::after("ulimit -n 256").args(["--json", "-j", "1000", "--mode", mode]);
        let seen = run.args(["--resolve", &pin]).list(list).seen();
        assert_eq!(seen.code, Some(0), "in mode {mode}: {}", seen.stderr);
        let jobs = seen.summary()["jobs"].as_u64().unwrap();
        assert!((10..256).contains(&jobs), "{jobs} jobs");
        assert_eq!(
            seen.stderr,
            format!(
                "warning: using {jobs} jobs instead of 1000 (open-file limit is 256; see ulimit -n)\n"
            )
        );
    }
}

#[test]
fn connections_kept_open_to_many_hosts_never_use_up_the_descriptors() {
    in_every_mode(|mode| {
        for limit in ["ulimit -n 128", "ulimit -n 256"] {
            let origin = LocalOrigin::new(&[]);
            let (list, pin) = hosts(&origin, 600);
            let run = Run::after(limit).args(["--json", "-j", "16", "--retry", "0", "-m", mode]);
            let seen = run.args(["--resolve", &pin]).list(list).seen();
            assert_eq!(seen.code, Some(0), "{limit}: {}", seen.stderr);
            assert_eq!(seen.summary()["ok"], 600);
        }
    });
}

#[test]
fn with_hardly_any_descriptors_the_run_does_not_begin_and_says_why() {
    in_every_mode(|mode| {
        let seen = Run::after("ulimit -n 24").args(["-m", mode, "http://127.0.0.1:1/"]).seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(3), ""), "{seen:?}");
        assert!(seen.stderr.contains("ulimit -n"), "{seen:?}");
    });
}

// The progress display.

#[test]
fn no_progress_is_drawn_where_nobody_looks() {
    in_every_mode(|mode| {
        for format in ["text", "jsonl"] {
            let origin = Origin::new(|_| Reply::ok("hello"));
            let run = Run::new().args(["-m", mode, "--format", format]).env("TERM", "xterm");
            let seen = run.arg("-q").list(list(&origin, 100)).seen();
            assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
            assert!(!seen.stdout.contains('\u{1b}'), "{seen:?}");
        }
    });
}
