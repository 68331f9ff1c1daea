//! Manners, through the program and over real sockets, in every mode: how many requests a host sees at once, who waits
//! for whom, and what becomes of hosts that refuse or cannot be reached. Order and gates prove it, not clocks; rates are
//! proved where time is made up, with the schedule.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    End, Gate, Origin, Reply, Run, Seen, class_of, in_all_modes_at_once, in_every_mode,
    with_a_clock,
};

/// So many URLs of an origin: `/1`, `/2`...
fn urls(origin: &Origin, number: usize) -> String {
    (1..=number).map(|path| origin.url(&format!("/{path}\n"))).collect()
}

/// So many URLs of an address where nobody is, and nobody else comes: other tests are at 127.0.0.1.
fn dead(number: usize) -> (SocketAddr, String) {
    let address = TcpListener::bind("127.0.0.3:0").unwrap().local_addr().unwrap();
    (address, (1..=number).map(|path| format!("http://{address}/{path}\n")).collect())
}

fn hello() -> Origin {
    Origin::new(|_| Reply::ok("hello"))
}

/// How many rows there are of each class; `ok` for those without a failure.
fn classes(seen: &Seen) -> BTreeMap<String, usize> {
    let mut classes = BTreeMap::new();
    seen.rows().iter().for_each(|row| *classes.entry(class_of(row)).or_default() += 1);
    classes
}

fn ensure_classes<const N: usize>(seen: &Seen, expected: [(&str, usize); N]) {
    let expected = expected.map(|(class, number)| (class.to_owned(), number)).into();
    assert_eq!(classes(seen), expected, "{}", seen.stderr);
}

/// The row of the host at this address in the summary's table.
fn host_row(seen: &Seen, address: SocketAddr) -> Value {
    let summary = seen.summary();
    let rows = summary["hosts"].as_array().unwrap();
    let host = format!("http://{address}");
    rows.iter().find(|row| row["host"] == *host).unwrap_or_else(|| panic!("{summary}")).clone()
}

/// Each of so many entries has one row.
fn ensure_one_row_each(rows: &[Value], number: usize) {
    let mut indexes: Vec<_> = rows.iter().map(|row| row["index"].as_u64().unwrap()).collect();
    indexes.sort_unstable();
    assert!(indexes.iter().copied().eq(1..=number as u64), "{} rows of {number}", indexes.len());
}

/// How many jobs are at work at once in a mode that is asked for so many.
fn jobs(mode: &str, number: usize) -> usize {
    if mode == "sequential" { 1 } else { number }
}

// How many at once.

#[test]
fn a_host_never_has_more_than_its_limit_in_progress_retries_redirects_and_mirrors_included() {
    in_every_mode(|mode| {
        let most = jobs(mode, 3);
        // The first requests wait for each other, so that the limit is known to be used.
        let together = Gate::of(most);
        let strict =
            Origin::new(move |request| match (request.path.split('-').next(), request.nth) {
                (Some("/first"), _) => {
                    together.pass();
                    Reply::ok("hello")
                }
                (Some("/moved"), _) => {
                    Reply::redirect(302, &request.path.replace("moved", "there"))
                }
                (Some("/retried"), 0) => Reply::of("500 Oops", "", ""),
                (Some("/gone"), _) => Reply::of("404 Gone", "", ""),
                _ => Reply::ok("hello"),
            });
        let address = strict.address();
        let door = Origin::new(move |request| {
            Reply::redirect(302, &format!("http://{address}/from-{}", &request.path[1..]))
        });
        let mut list = String::new();
        for number in 0..20 {
            let strict = |path: &str| strict.url(&format!("/{path}-{number}"));
            if number < most {
                list += &format!("{}\n", strict("first"));
            }
            list += &format!("{}\n{}\n", strict("moved"), strict("retried"));
            list += &format!(
                "{}\n{}\t{}\n",
                door.url(&format!("/{number}")),
                strict("gone"),
                strict("mirror")
            );
        }
        let args = ["-j", "12", "--per-host", "3", "--retry-delay", "0"];
        let seen = Run::json(mode).args(args).list(list).seen();
        assert_eq!((seen.code, strict.peak()), (Some(0), most), "{seen:?}");
        assert_eq!(host_row(&seen, address)["peak"], most);
        assert_eq!(host_row(&seen, address)["requests"], strict.requests());
    });
}

#[test]
fn by_default_a_name_has_six_at_once_and_an_address_of_this_machine_any_number() {
    for mode in ["threads", "async"] {
        for (named, most) in [(true, 6), (false, 16)] {
            let together = Gate::of(most);
            let origin = Origin::new(move |_| {
                together.pass();
                Reply::ok("hello")
            });
            let there = origin.address().to_string();
            let name = if named { "site.test" } else { &there };
            let list: String = (0..32).map(|path| format!("http://{name}/{path}\n")).collect();
            let pin = format!("site.test:80:{there}");
            let args = ["-j", "16", "--connect-to", &pin];
            let seen = Run::json(mode).args(args).list(list).seen();
            assert_eq!((seen.code, origin.peak()), (Some(0), most), "in mode {mode}");
            assert_eq!(seen.summary()["hosts"][0]["peak"], most);
        }
    }
}

// Who waits for whom.

#[test]
fn a_host_that_is_slow_and_listed_first_does_not_hold_up_one_that_is_fast() {
    for mode in ["threads", "async"] {
        // Of the slow host some replies are sent, and then none before all that is fast is done.
        let done = Gate::of(20);
        let opens = done.clone();
        let slow = Origin::new(move |request| {
            if request.path.len() > 2 || request.path.ends_with('9') {
                opens.wait();
            }
            Reply::ok("slow")
        });
        let fast = Origin::new(|_| Reply::ok("fast"));
        let list = urls(&slow, 80) + &urls(&fast, 20);
        let mut run = Run::json(mode).args(["-j", "16", "--per-host", "6"]).list(list).live();
        let (mut rows, mut quick) = (Vec::new(), 0);
        while quick < 20 {
            let row = run.row();
            quick += usize::from(row["index"].as_u64().unwrap() > 80);
            rows.push(row);
        }
        assert!(rows.len() - quick <= 8, "{} of the slow ones went ahead", rows.len() - quick);
        (0..20).for_each(|_| done.pass_by());
        let seen = run.seen();
        assert_eq!(seen.code, Some(0), "in mode {mode}");
        assert!(slow.peak() <= 6, "{} at once in mode {mode}", slow.peak());
        rows.extend(seen.rows());
        ensure_one_row_each(&rows, 100);
    }
}

#[test]
fn a_list_sorted_by_host_asks_all_hosts_before_the_first_is_through() {
    const HOSTS: usize = 10;
    // More in all than is read ahead.
    const EACH: usize = 400;
    in_every_mode(|mode| {
        for order in [&[][..], &["--ordered"]] {
            // With rows in order 1,024 targets are begun at most past the oldest that is not told.
            let each = if order.is_empty() { EACH } else { 100 };
            let all = Gate::of(jobs(mode, HOSTS));
            let origins: Vec<_> = (0..HOSTS)
                .map(|_| {
                    let all = all.clone();
                    Origin::new(move |request| {
                        // The first page of each host waits for the first pages of all.
                        if request.path == "/1" {
                            all.pass();
                        }
                        Reply::ok("hello")
                    })
                })
                .collect();
            let list: String = origins.iter().map(|origin| urls(origin, each)).collect();
            let args = ["-j", "40", "--per-host", "1"];
            let seen = Run::json(mode).args(args).args(order).list(list).seen();
            assert_eq!(seen.code, Some(0), "{}", seen.stderr);
            ensure_one_row_each(&seen.rows(), HOSTS * each);
            for origin in &origins {
                let paths = origin.seen().into_iter().map(|request| request.path);
                assert!(paths.eq((1..=each).map(|path| format!("/{path}"))), "not in list order");
            }
        }
    });
}

#[test]
fn a_signal_leaves_each_target_that_was_put_aside_one_row() {
    for mode in ["threads", "async"] {
        let (arrived, open) = (Gate::of(5), Gate::of(1));
        let [slow, other] = [(); 2].map(|()| {
            let (at_origin, held) = (arrived.clone(), open.clone());
            Origin::new(move |_| {
                at_origin.pass();
                held.wait();
                Reply::ok("hello")
            })
        });
        let run = Run::json(mode).patient().args(["-j", "5", "--per-host", "4"]);
        let mut run = run.live();
        // The last of these lines can only be reached if most of the others have been put aside.
        run.write(&(urls(&slow, 6000) + &urls(&other, 1)));
        arrived.wait();
        // Now that nobody is free nothing more is, so these wait to be begun until the signal is heard.
        run.write(&format!("a bad line\n{}", urls(&slow, 20)));
        let mut rows = vec![run.row()];
        assert_eq!(class_of(&rows[0]), "invalid_url");
        run.signal(Signal::SIGINT);
        rows.push(run.row());
        assert_eq!(class_of(&rows[1]), "cancelled");
        open.pass();
        let seen = run.seen();
        assert_eq!(seen.code, Some(130), "in mode {mode}: {}", seen.stderr);
        rows.extend(seen.rows());
        assert!(rows.len() > 6020, "{} rows", rows.len());
        ensure_one_row_each(&rows, rows.len());
        let begun: Vec<_> = rows.iter().filter(|row| row["attempts"] != 0).collect();
        assert!(begun.iter().all(|row| row["outcome"] == "ok"), "{begun:?}");
        assert_eq!((begun.len(), slow.requests(), other.requests()), (5, 4, 1));
    }
}

// Hosts that ask for less.

#[test]
fn retry_after_holds_its_whole_host_and_no_other() {
    let args = ["-j", "1", "--per-host", "1", "--max-retry-after", "2h"];
    let strict = |seconds: u32| {
        Origin::new(move |request| match (request.path.as_str(), request.nth) {
            ("/1", 0) => Reply::of("429 Slow", &format!("Retry-After: {seconds}\r\n"), ""),
            _ => Reply::ok("hello"),
        })
    };
    let waited = |seen: &Seen, origin: &Origin| {
        host_row(seen, origin.address())["waited"].get("retry_after").and_then(Value::as_f64)
    };
    in_all_modes_at_once(|mode| {
        let (strict, other) = (strict(3600), hello());
        let list = urls(&strict, 5) + &urls(&other, 50);
        let mut run = Run::json(mode).args(args).list(list).live();
        for index in 6..=55 {
            let row = run.row();
            assert_eq!((class_of(&row).as_str(), &row["index"]), ("ok", &index.into()), "{row}");
        }
        run.signal(Signal::SIGINT);
        let seen = run.seen();
        ensure_classes(&seen, [("cancelled", 5)]);
        assert_eq!(strict.requests(), 1);
        assert!(waited(&seen, &strict).is_some_and(|wait| wait > 0.0), "{seen:?}");
        assert_eq!(waited(&seen, &other), None);
    });
    in_all_modes_at_once(|mode| {
        let strict = strict(1);
        let seen = Run::json(mode).args(args).list(urls(&strict, 5)).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let paths: Vec<_> = strict.seen().into_iter().map(|request| request.path).collect();
        assert_eq!((paths.len(), paths[0].as_str()), (6, "/1"), "{paths:?}");
        assert!(waited(&seen, &strict).is_some_and(|wait| wait >= 1.0), "{seen:?}");
    });
}

#[test]
fn a_429_without_a_wait_halves_what_its_host_is_asked_at_once() {
    for mode in ["threads", "async"] {
        // All eight are refused together; then half as many wait for each other, and are all that there are.
        let (refused, half) = (Gate::of(8), Gate::of(4));
        let (inside, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let peak = Arc::clone(&most);
        let origin = Origin::new(move |request| {
            if request.nth == 0 {
                refused.pass();
                return Reply::of("429 Slow", "", "");
            }
            most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
            half.pass();
            inside.fetch_sub(1, SeqCst);
            Reply::ok("hello")
        });
        let args = ["-j", "16", "--per-host", "8", "--retry-delay", "0"];
        let seen = Run::json(mode).args(args).list(urls(&origin, 8)).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!((origin.peak(), peak.load(SeqCst)), (8, 4));
        let row = host_row(&seen, origin.address());
        assert_eq!((&row["limit"], &row["failures"]["rate_limited"]), (&4.into(), &8.into()));
    }
}

#[test]
fn a_wait_beyond_the_longest_ends_all_urls_of_its_host_with_few_requests() {
    in_every_mode(|mode| {
        let strict = Origin::new(|_| Reply::of("429 Slow", "Retry-After: 86400\r\n", ""));
        let good = hello();
        let list = urls(&strict, 500) + &urls(&good, 50);
        let seen = Run::json(mode).args(["-j", "8", "--per-host", "4"]).list(list).seen();
        assert_eq!(seen.code, Some(1), "{}", seen.stderr);
        ensure_classes(&seen, [("ok", 50), ("rate_limited", 500)]);
        assert!(strict.requests() <= jobs(mode, 4), "{} requests", strict.requests());
    });
}

// Hosts that cannot be reached.

#[test]
fn a_dead_host_costs_few_connections_and_no_other_host_anything() {
    in_every_mode(|mode| {
        let good = hello();
        let (address, nobody) = dead(10_000);
        let mut good_ones =
            urls(&good, 1000).lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
        let mut list = String::new();
        for (at, url) in nobody.lines().enumerate() {
            list += &format!("{url}\n");
            if at % 10 == 0 {
                list += &format!("{}\n", good_ones.next().unwrap());
            }
        }
        let seen = Run::json(mode).args(["--host-patience", "600ms"]).list(list).seen();
        assert_eq!(seen.code, Some(1), "{}", seen.stderr);
        ensure_one_row_each(&seen.rows(), 11_000);
        let classes = classes(&seen);
        let [connect, down] = ["connect", "host_down"].map(|class| classes[class]);
        assert_eq!((classes["ok"], connect + down), (1000, 10_000), "{classes:?}");
        let row = host_row(&seen, address);
        let attempts = row["requests"].as_u64().unwrap();
        // Those that were under way with the first; three; and probes.
        assert!(attempts <= 16 + 3 + 2, "{row}");
        assert!(connect as u64 <= attempts && connect > 0, "{classes:?} {row}");
        for row in seen.rows() {
            let tried = row["attempts"].as_u64().unwrap();
            assert_eq!(tried == 0, class_of(&row) == "host_down", "{row}");
        }
    });
}

#[test]
fn a_host_that_comes_back_loses_nothing() {
    in_all_modes_at_once(|mode| {
        let (address, list) = dead(40);
        let late = Arc::new(Mutex::new(None));
        let place = Arc::clone(&late);
        // Somebody comes up there once the other host is asked.
        let other = Origin::new(move |_| {
            let mut late = place.lock().unwrap();
            if late.is_none() {
                *late = Some(Origin::at(address, |_| Reply::ok("hello")));
            }
            Reply::ok("hello")
        });
        let mut run = Run::json(mode).args(["-j", "1"]).list(list + &other.url("/")).live();
        let mut rows = vec![run.row()];
        let seen = run.seen();
        assert_eq!(seen.code, Some(0), "{}", seen.stderr);
        rows.extend(seen.rows());
        ensure_one_row_each(&rows, 41);
        assert_eq!(rows[0]["index"], 41, "the first host was dead at first");
        assert_eq!(late.lock().unwrap().as_ref().unwrap().requests(), 40);
        assert!(host_row(&seen, address)["failures"]["connect"].as_u64().unwrap() >= 1);
    });
}

#[test]
fn with_no_retries_each_url_of_a_dead_host_is_tried_once_at_most_and_nobody_waits() {
    in_every_mode(|mode| {
        let (_, list) = dead(30);
        let args = ["--retry", "0", "--host-patience", "0"];
        let seen = Run::json(mode).args(args).list(list).seen();
        assert_eq!((seen.code, seen.rows().len()), (Some(1), 30), "{seen:?}");
        for row in seen.rows() {
            let tried = class_of(&row) == "connect";
            assert!(tried || class_of(&row) == "host_down", "{row}");
            assert_eq!(row["attempts"], u64::from(tried), "{row}");
        }
    });
}

#[test]
fn a_mirror_stands_in_for_a_dead_host() {
    in_every_mode(|mode| {
        let (address, _) = dead(0);
        let good = hello();
        let list: String = (0..100)
            .map(|path| format!("http://{address}/{path}\t{}\n", good.url(&format!("/{path}"))))
            .collect();
        let seen = Run::json(mode).args(["--host-patience", "100ms"]).list(list).seen();
        assert_eq!((seen.code, good.requests()), (Some(0), 100), "{seen:?}");
    });
}

#[test]
fn a_name_that_does_not_exist_is_looked_up_once_and_not_waited_for() {
    in_every_mode(|mode| {
        let list: String = (0..500).map(|path| format!("http://name.invalid/{path}\n")).collect();
        // With the patience of an hour the test would not end.
        let seen = Run::json(mode).args(["--host-patience", "1h"]).list(list).seen();
        ensure_classes(&seen, [("dns", 500)]);
        assert_eq!(seen.summary()["resources"]["lookups"], 1);
    });
}

#[test]
fn a_warning_says_once_that_no_host_can_be_reached() {
    in_all_modes_at_once(|mode| {
        let ((_, one), (_, other)) = (dead(20), dead(20));
        let lines = one.lines().zip(other.lines());
        let list: String = lines.map(|(one, other)| format!("{one}\n{other}\n")).collect();
        let words = "warning: 2 hosts unreachable; retrying for up to ";
        with_a_clock(|patience| {
            let seen = Run::json(mode).args(["--host-patience", patience]).list(&list).seen();
            assert_eq!(seen.code, Some(1));
            let told = seen.stderr.matches(words).count();
            assert!(!seen.stderr.contains("network"), "they refused: {}", seen.stderr);
            assert!(told <= 1, "{}", seen.stderr);
            told == 1
        });
        let (_, alone) = dead(20);
        let seen = Run::json(mode).args(["--host-patience", "600ms"]).list(alone).seen();
        assert_eq!(seen.code, Some(1));
        assert!(!seen.stderr.contains(words), "one host is not the network: {}", seen.stderr);
    });
}

// Too many failures.

#[test]
fn more_failures_than_are_tolerated_end_the_run_with_4_and_what_is_left_is_cancelled() {
    in_every_mode(|mode| {
        for (args, least) in [
            (&["--max-failures", "3"][..], 4),
            (&["--max-failures", "10%"], 100),
            (&["--fail-fast"], 1),
        ] {
            let origin = Origin::new(|_| Reply::of("404 Gone", "", ""));
            let args = [args, &["-j", "4", "--per-host", "4"]].concat();
            let seen = Run::json(mode).args(&args).list(urls(&origin, 1000)).seen();
            assert_eq!(seen.code, Some(4), "{args:?}: {}", seen.stderr);
            let rows = seen.rows();
            ensure_one_row_each(&rows, rows.len());
            let classes = classes(&seen);
            let failed = classes["http_4xx"];
            // What was under way is finished.
            assert!((least..least + jobs(mode, 4)).contains(&failed), "{args:?}: {classes:?}");
            assert_eq!(classes.get("cancelled"), Some(&(rows.len() - failed)), "{classes:?}");
            assert_eq!(origin.requests(), failed);
            assert!(seen.summary()["stopped"].is_string());
        }
    });
}

#[test]
fn as_many_failures_as_are_tolerated_do_not_end_the_run() {
    in_every_mode(|mode| {
        for args in [["--max-failures", "30"], ["--max-failures", "10%"]] {
            let origin = Origin::new(|request| match request.path.ends_with('0') {
                true => Reply::of("404 Gone", "", ""),
                false => Reply::ok("hello"),
            });
            let seen = Run::json(mode).args(args).args(["-j", "1"]).list(urls(&origin, 300)).seen();
            assert_eq!(seen.code, Some(1), "{args:?}: {}", seen.stderr);
            ensure_classes(&seen, [("http_4xx", 30), ("ok", 270)]);
        }
    });
}

#[test]
fn what_failed_is_a_list_that_the_next_run_fetches() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match (&request.path[..2], request.nth) {
            ("/1", 0) => Reply::of("404 Gone", "", ""),
            ("/2", 0) => Reply::of("500 Oops", "", ""),
            _ => Reply::ok("hello"),
        });
        let folder = tempfile::tempdir().unwrap();
        let [failed, some] = ["failed.txt", "some.txt"].map(|name| folder.path().join(name));
        let first = Run::json(mode).args(["--retry", "0", "--failed"]).arg(&failed);
        let seen = first.list(urls(&origin, 29)).seen();
        assert_eq!(seen.code, Some(1));
        ensure_classes(&seen, [("http_4xx", 11), ("http_5xx", 11), ("ok", 7)]);
        let again = Run::json(mode).arg(&failed).seen();
        assert_eq!(again.code, Some(0), "{again:?}");
        ensure_classes(&again, [("ok", 22)]);
        let bad: String = (0..5).map(|path| origin.url(&format!("/1{path}-\n"))).collect();
        let worse: String = (0..4).map(|path| origin.url(&format!("/2{path}-\n"))).collect();
        let run = Run::json(mode).args(["--retry", "0", "--failed-class", "http_5xx", "--failed"]);
        assert_eq!(run.arg(&some).list(bad + &worse).seen().code, Some(1));
        ensure_classes(&Run::json(mode).arg(&some).seen(), [("ok", 4)]);
    });
}

// Rates reach the schedule.

#[test]
fn a_rate_in_all_lets_one_request_through_and_then_waits() {
    in_all_modes_at_once(|mode| {
        with_a_clock(|deadline| {
            let (origin, other) = (hello(), hello());
            let list = urls(&origin, 2) + &urls(&other, 1);
            let args = ["--rate", "1/h", "--deadline", deadline];
            let seen = Run::json(mode).args(args).list(list).seen();
            assert_eq!((seen.code, other.requests()), (Some(4), 0), "{seen:?}");
            assert!(origin.requests() <= 1, "{seen:?}");
            if !classes(&seen).contains_key("ok") || seen.rows().len() < 3 {
                return false;
            }
            ensure_classes(&seen, [("cancelled", 2), ("ok", 1)]);
            true
        });
    });
}

#[test]
fn a_delay_and_a_rate_of_hosts_let_one_request_through_for_each() {
    in_all_modes_at_once(|mode| {
        for pace in [["--host-delay", "1h"], ["--host-rate", "1/h"]] {
            with_a_clock(|deadline| {
                let (origin, other) = (hello(), hello());
                let list = urls(&origin, 3) + &urls(&other, 3);
                let args = [&pace[..], &["--deadline", deadline]].concat();
                let seen = Run::json(mode).args(args).list(list).seen();
                assert_eq!(seen.code, Some(4), "{pace:?}: {seen:?}");
                let requests = [origin.requests(), other.requests()];
                assert!(requests.iter().all(|requests| *requests <= 1), "{pace:?}: {seen:?}");
                let ok = classes(&seen).get("ok").copied().unwrap_or_default();
                if ok < 2 || seen.rows().len() < 6 {
                    return false;
                }
                ensure_classes(&seen, [("cancelled", 4), ("ok", 2)]);
                let waited = &host_row(&seen, origin.address())["waited"];
                assert!(waited["gap"].as_f64().is_some_and(|wait| wait > 0.0), "{waited}");
                true
            });
        }
    });
}

// The table of hosts.

#[test]
fn the_table_of_hosts_counts_what_was_asked_of_each() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match (request.path.as_str(), request.nth) {
            ("/1", 0) => Reply::of("500 Oops", "", "oops"),
            ("/2", _) => Reply::redirect(302, "/there"),
            ("/3", _) => Reply::of("404 Gone", "", "gone"),
            _ => Reply::ok("hello"),
        });
        let other = Origin::new(|_| Reply::ok("hello").then(End::Close));
        let list = || urls(&origin, 4) + &urls(&other, 2);
        let args = ["--retry-delay", "0", "--per-host", "2"];
        let seen = Run::json(mode).args(args).list(list()).seen();
        let table = seen.summary()["hosts"].clone();
        assert_eq!(table.as_array().unwrap().len(), 2, "{table}");
        let row = &table[0];
        assert_eq!(row["host"], origin.url(""));
        // Five for four URLs and a redirect, and the body of each reply.
        assert_eq!((&row["requests"], &row["limit"]), (&6.into(), &2.into()), "{row}");
        assert_eq!(row["bytes"], 4 + 5 + 5 + 5 + 4 + 5, "{row}");
        assert_eq!(row["failures"], serde_json::json!({"http_4xx": 1, "http_5xx": 1}), "{row}");
        assert_eq!((&table[1]["requests"], &table[1]["bytes"]), (&2.into(), &10.into()));

        let seen = Run::new().args(["-v", "--mode", mode]).args(args).list(list()).seen();
        let told = format!("{}\n{}", seen.stdout, seen.stderr);
        assert!(told.contains("Host  ") && told.contains("failed attempts: 1 http_4xx"), "{told}");
        let quiet = Run::new().args(["--mode", mode]).args(args).list(list()).seen();
        assert!(!quiet.stdout.contains("Requests"), "{quiet:?}");
    });
}
