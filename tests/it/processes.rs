//! Workers in child processes: what the processes are, and what becomes of the run when one of them dies.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use nix::sys::signal::Signal;

use crate::support::processes::{children_of, is_stopped, is_there, send};
use crate::support::saved_files::saved_in;
use crate::support::{
    End, Gate, Live, Origin, Reply, Run, class_of, holding, in_every_mode, until,
};

/// A run in this mode whose list stays open.
fn run(args: &[&str]) -> Run {
    Run::json("processes").args(["--retry-delay", "1ms"]).args(args)
}

/// Its only child.
fn only_child(run: &Live) -> u32 {
    let children = children_of(run.id());
    assert_eq!(children.len(), 1, "{children:?}");
    children[0]
}

/// An origin of one body of a MiB; its first reply stops in the middle and stays so.
fn origin_that_stalls_once(body: &[u8]) -> Origin {
    let whole = Reply::ok(body).with("ETag: \"v1\"");
    let first = AtomicBool::new(true);
    Origin::new(move |_| match first.swap(false, SeqCst) {
        true => whole.clone().up_to(300_000, End::Stall),
        false => whole.clone(),
    })
}

/// Waits until so many files in the folder have grown.
fn wait_for_parts(number: usize, folder: &Path) {
    let has_grown = |part: &&Vec<u8>| part.len() >= 100_000;
    until("files that grow", || saved_in(folder).values().filter(has_grown).count() >= number);
}

/// An origin that holds the first request.
fn held_origin() -> (Origin, Gate, Gate) {
    let first = AtomicBool::new(true);
    holding(move |_| first.swap(false, SeqCst))
}

#[test]
fn each_worker_has_a_child_with_connections_of_its_own_and_keeps_both() {
    let rounds = [Gate::of(3), Gate::of(3), Gate::of(3), Gate::of(2), Gate::of(2)];
    let (shown, go) = (rounds[3].clone(), rounds[4].clone());
    let origin = Origin::new(move |request| {
        let round: usize = request.path[1..2].parse().unwrap();
        rounds[round].pass();
        if request.path == "/1/3" {
            rounds[3].pass();
            rounds[4].pass();
        }
        Reply::ok("hello")
    });
    let urls: Vec<_> =
        (0..9).map(|number| origin.url(&format!("/{}/{number}", number / 3))).collect();
    let live = run(&["-j", "3", "-"]).list(urls.join("\n")).live();
    shown.pass();
    let children = children_of(live.id());
    go.pass();
    let seen = live.seen();
    assert_eq!((seen.code, seen.rows().len(), children.len()), (Some(0), 9, 3), "{seen:?}");
    let resources = &seen.summary()["resources"];
    assert_eq!((origin.connections(), &resources["connections"]), (3, &3.into()));
    assert_eq!((&resources["requests"], &resources["worker_threads"]), (&9.into(), &3.into()));
    let worker_of = |path: &str| {
        let place = urls.iter().position(|url| url.ends_with(path)).unwrap();
        seen.rows_in_list_order()[place]["worker"].as_u64().unwrap()
    };
    let pairs: BTreeSet<_> = origin
        .seen()
        .iter()
        .map(|request| (request.connection, worker_of(&request.path)))
        .collect();
    assert_eq!(pairs.len(), 3, "a connection serves one worker: {pairs:?}");
    assert!(children.into_iter().all(|child| !is_there(child)), "none outlives the run");
}

#[test]
fn the_peaks_of_all_children_are_in_the_summary() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let list: String = (0..8).map(|number| origin.url(&format!("/{number}\n"))).collect();
    let peak = |run: Run| {
        let summary = run.arg("-").list(&list).seen().summary();
        summary["resources"]["peak_memory"].as_u64().unwrap()
    };
    let (alone, with_children) = (peak(Run::json("sequential")), peak(run(&["-j", "4"])));
    assert!(with_children > 2 * alone, "{with_children} bytes, and {alone} without children");
}

#[test]
fn a_child_that_dies_costs_one_try_of_its_one_url_and_is_replaced() {
    for signal in [Signal::SIGKILL, Signal::SIGUSR1] {
        let (origin, arrived, open) = held_origin();
        let urls = [origin.url("/1"), origin.url("/2")].join("\n");
        let live = run(&["-j", "1", "-"]).list(urls).live();
        arrived.pass();
        let child = only_child(&live);
        send(child, signal);
        let seen = live.seen();
        open.pass();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let attempts: Vec<_> =
            seen.rows_in_list_order().iter().map(|row| row["attempts"].as_u64()).collect();
        assert_eq!(attempts, [Some(2), Some(1)]);
        assert_eq!(seen.summary()["resources"]["requests"], 3);
        assert!(!is_there(child));
    }
}

#[test]
fn without_tries_left_its_url_fails_as_worker_and_the_others_do_not() {
    let (origin, arrived, open) = held_origin();
    let urls = [origin.url("/1"), origin.url("/2")].join("\n");
    let live = run(&["-j", "1", "--retry", "0", "-"]).list(urls).live();
    arrived.pass();
    send(only_child(&live), Signal::SIGKILL);
    let seen = live.seen();
    open.pass();
    assert_eq!(
        (seen.code, seen.classes_in_list_order()),
        (Some(1), vec!["worker".to_owned(), "ok".to_owned()])
    );
    let message = seen.rows_in_list_order()[0]["error"]["message"].clone();
    assert_eq!(message, "worker process exited: signal: 9 (SIGKILL)");
}

#[test]
fn a_child_leaves_a_request_to_end_to_its_parent() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (origin, arrived, open) = held_origin();
        let live = run(&["-j", "1", "-"]).patient().list(origin.url("/")).live();
        arrived.pass();
        send(only_child(&live), signal);
        open.pass();
        let seen = live.seen();
        assert_eq!((seen.code, seen.row()["attempts"].as_u64()), (Some(0), Some(1)), "{seen:?}");
    }
}

#[test]
fn a_transfer_under_way_is_finished_when_all_processes_are_asked_to_end() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let (origin, arrived, open) = held_origin();
        // The input stays open: only the signal ends the run.
        let mut live = run(&["-j", "1", "-"]).patient().live();
        live.write(&origin.url("/\n"));
        arrived.pass();
        let child = only_child(&live);
        live.signal(signal);
        send(child, signal);
        open.pass();
        // The list is closed only afterwards: its end would end the run as well.
        until("the end of the run", || live.has_ended());
        let seen = live.seen();
        assert_eq!((seen.code, class_of(&seen.row())), (Some(code), "ok".to_owned()), "{seen:?}");
        assert!(!is_there(child));
    }
}

#[test]
fn no_child_outlives_a_parent_that_is_killed_in_the_middle_of_a_body() {
    let whole = Reply::ok(vec![b'a'; 1 << 20]);
    let origin = Origin::new(move |_| whole.clone().up_to(300_000, End::Stall));
    let urls: String = (0..3).map(|number| origin.url(&format!("/{number}\n"))).collect();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let live = run(&["-j", "3", "-d", dir, "-"]).list(urls).live();
    wait_for_parts(3, folder.path());
    let children = children_of(live.id());
    assert_eq!(children.len(), 3);
    live.signal(Signal::SIGKILL);
    assert_eq!(live.seen().code, None);
    until("the end of all children", || !children.iter().any(|child| is_there(*child)));
}

#[test]
fn the_next_run_waits_for_a_child_that_a_killed_run_has_left_behind() {
    let origin = origin_that_stalls_once(&[b'a'; 1 << 20]);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let live = run(&["-j", "1", "-d", dir, "-"]).list(origin.url("/a")).live();
    wait_for_parts(1, folder.path());
    let child = only_child(&live);
    send(child, Signal::SIGSTOP);
    until("the stop of the child", || is_stopped(child));
    live.signal(Signal::SIGKILL);
    until("the end of the parent", || !is_there(live.id()));
    let manifest = File::open(folder.path().join(".fetch/manifest.jsonl")).unwrap();
    assert!(matches!(manifest.try_lock(), Err(TryLockError::WouldBlock)), "the child is there");
    let next = run(&["-j", "1", "-d", dir, "-"]).list(origin.url("/a")).live();
    send(child, Signal::SIGCONT);
    assert_eq!(live.seen().code, None);
    let seen = next.seen();
    assert_eq!((seen.code, class_of(&seen.row())), (Some(0), "ok".to_owned()), "{seen:?}");
    assert!(!is_there(child));
    assert_eq!(saved_in(folder.path()), [("a".to_owned(), vec![b'a'; 1 << 20])].into());
}

#[test]
fn a_body_whose_child_dies_is_whole_in_the_end() {
    let body: Vec<u8> = (0..1u32 << 20).map(|byte| (byte % 251) as u8).collect();
    let origin = origin_that_stalls_once(&body);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let live = run(&["-j", "1", "-d", dir, "-"]).list(origin.url("/a")).live();
    wait_for_parts(1, folder.path());
    send(only_child(&live), Signal::SIGKILL);
    let seen = live.seen();
    assert_eq!((seen.code, seen.row()["attempts"].as_u64()), (Some(0), Some(2)), "{seen:?}");
    assert_eq!(saved_in(folder.path()), [("a".to_owned(), body)].into());
}

#[test]
fn where_no_child_can_be_started_any_more_the_run_ends_with_3_and_says_so() {
    let (origin, arrived, open) = held_origin();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("fetch");
    // Written by another process: children that other tests start meanwhile would inherit the file open for writing, and what
    // is open for writing cannot be started.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_fetch")).arg(&program).status();
    assert!(copied.unwrap().success());
    let urls = [origin.url("/1"), origin.url("/2")].join("\n");
    let live = Run::of(program.to_str().unwrap())
        .args(["--json", "--mode", "processes", "-j", "1", "--retry-delay", "1ms", "-"])
        .list(urls)
        .live();
    arrived.pass();
    fs::remove_file(&program).unwrap();
    send(only_child(&live), Signal::SIGKILL);
    let seen = live.seen();
    open.pass();
    assert_eq!(seen.code, Some(3), "{seen:?}");
    assert!(seen.stderr.contains("error: cannot start a worker process: "), "{seen:?}");
    assert_eq!(seen.rows().len(), 2, "{seen:?}");
}

#[test]
fn no_secret_is_among_the_words_or_the_surroundings_of_a_child() {
    let (origin, arrived, open) = held_origin();
    let url = origin.url("/").replace("http://", "http://user:hidden@");
    let args = ["-j", "1", "-H", "Authorization: hidden", "-x", "", "-"];
    let list = format!("{url}\n  header=X-Key: hidden\n");
    let live = run(&args).list(list).live();
    arrived.pass();
    let child = only_child(&live);
    for file in ["cmdline", "environ"] {
        let told = fs::read(format!("/proc/{child}/{file}")).unwrap();
        assert!(!told.is_empty());
        assert!(!String::from_utf8_lossy(&told).contains("hidden"), "{file}");
    }
    open.pass();
    assert_eq!(live.seen().code, Some(0));
    assert_eq!(origin.seen()[0].header("x-key"), Some("hidden"), "it went another way");
}

#[test]
fn the_quota_and_the_rate_are_those_of_the_whole_run() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let urls: String = (0..12).map(|number| origin.url(&format!("/{number}\n"))).collect();
        for jobs in ["1", "3"] {
            let args = ["-j", jobs, "--quota", "20", "--limit-rate", "1G", "-"];
            let seen = Run::json(mode).args(args).list(&urls).seen();
            let classes = seen.classes_in_list_order();
            let ok = classes.iter().filter(|class| *class == "ok").count();
            assert_eq!((seen.code, classes.len()), (Some(4), 12), "{seen:?}");
            assert!(classes.contains(&"quota".to_owned()), "{classes:?}");
            // What is under way when it is used up is cut.
            assert!(ok <= 4 && (jobs != "1" || ok == 4), "{classes:?}");
        }
    });
}

#[test]
fn a_file_of_sums_is_kept_in_every_mode() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let folder = tempfile::tempdir().unwrap();
        let sums = folder.path().join("sums");
        let sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        fs::write(&sums, format!("{sum}  right\n{}  wrong\n", "0".repeat(64))).unwrap();
        let urls = ["right", "wrong", "other"].map(|path| origin.url(&format!("/{path}\n")));
        let run = Run::json(mode).args(["-j", "1", "--retry", "0", "--sha256sums"]).arg(&sums);
        let seen = run.arg("-").list(urls.concat()).seen();
        assert_eq!(seen.classes_in_list_order(), ["ok", "checksum", "ok"], "{seen:?}");
    });
}

#[test]
fn who_types_the_word_that_children_are_started_with_is_told_what_to_type() {
    let seen = Run::new().args(["__child"]).list("hello\n").seen();
    assert_eq!(seen.code, Some(3), "{seen:?}");
    assert!(seen.stderr.contains("use --mode processes"), "{seen:?}");
}
