//! Each mode is what it says: its threads are looked at from outside, while its requests are held at a gate.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use crate::support::{Gate, Origin, Reply, Run, Seen};

/// Holds so many requests at once, and shows the names of the program's threads meanwhile, sorted.
fn threads_at_a_gate(requests: usize, args: &str) -> Vec<String> {
    let (all_there, may_go) = (Gate::of(requests), Gate::of(requests + 1));
    let (arrive, leave) = (all_there.clone(), may_go.clone());
    let origin = Origin::new(move |_| {
        arrive.pass();
        leave.pass();
        Reply::ok("hello")
    });
    let mut child = Run::new().arg("--json").args(args.split(' ')).arg("-").start();
    // The list stays open, so that what reads it is there to be counted.
    let mut list = child.stdin.take().unwrap();
    list.write_all(format!("{}\n", origin.url("/")).repeat(requests).as_bytes()).unwrap();
    all_there.wait();
    let mut names: Vec<_> = fs::read_dir(format!("/proc/{}/task", child.id()))
        .unwrap()
        .map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap())
        .map(|name| name.trim_end().to_owned())
        .collect();
    may_go.pass();
    drop(list);
    let seen = Seen::from(child.wait_with_output().unwrap());
    assert_eq!((seen.code, seen.rows().len()), (Some(0), requests), "{seen:?}");
    names.sort();
    names
}

/// The threads that carry workers, and how many others there are.
fn workers_and_others(names: &[String]) -> (Vec<&str>, usize) {
    let names = names.iter().map(String::as_str);
    let (workers, others): (Vec<_>, Vec<_>) = names.partition(|name| name.starts_with("worker-"));
    (workers, others.len())
}

#[test]
fn threads_are_as_many_as_jobs_and_a_few_others_whose_number_is_fixed() {
    let four = threads_at_a_gate(4, "--mode threads -j 4");
    let (workers, others) = workers_and_others(&four);
    assert_eq!(workers, ["worker-1", "worker-2", "worker-3", "worker-4"]);
    assert!(others <= 5, "{four:?}");
    let twelve = threads_at_a_gate(12, "--mode threads -j 12");
    let (workers, others_of_twelve) = workers_and_others(&twelve);
    assert_eq!((workers.len(), others_of_twelve), (12, others), "{twelve:?}");
}

#[test]
fn each_thread_has_connections_of_its_own_and_keeps_them() {
    let gates = [Gate::of(4), Gate::of(4), Gate::of(4)];
    let origin = Origin::new(move |request| {
        let round: usize = request.path[1..2].parse().unwrap();
        gates[round].pass();
        Reply::ok("hello")
    });
    let urls: Vec<_> =
        (0..12).map(|number| origin.url(&format!("/{}/{number}", number / 4))).collect();
    let seen = Run::json("threads").args(["-j", "4", "-"]).list(urls.join("\n")).seen();
    assert_eq!((seen.code, seen.rows().len()), (Some(0), 12), "{seen:?}");
    assert_eq!((origin.connections(), &seen.summary()["resources"]["connections"]), (4, &4.into()));
    let rows = seen.rows_in_list_order();
    let mut worker_of = BTreeMap::new();
    for request in origin.seen() {
        let place = urls.iter().position(|url| url.ends_with(&request.path)).unwrap();
        let worker = rows[place]["worker"].as_u64().unwrap();
        let first = *worker_of.entry(request.connection).or_insert(worker);
        assert_eq!(first, worker, "connection {} serves two workers", request.connection);
    }
    assert_eq!(worker_of.into_values().collect::<std::collections::BTreeSet<_>>().len(), 4);
}

#[test]
fn tasks_share_their_loops_however_many_they_are() {
    let two = threads_at_a_gate(2, "--mode async -j 2");
    let many = threads_at_a_gate(64, "--mode async -j 64");
    assert_eq!(two, many);
    assert_eq!(workers_and_others(&many).0, ["worker-1"]);
    let on_three_loops = threads_at_a_gate(64, "--mode async -j 64 --loops 3");
    let (workers, others) = workers_and_others(&on_three_loops);
    assert_eq!((workers.len(), others), (3, workers_and_others(&many).1), "{on_three_loops:?}");
}

#[test]
fn sequential_is_one_worker_whatever_the_number_of_jobs() {
    let names = threads_at_a_gate(1, "--mode sequential -j 64");
    assert_eq!(workers_and_others(&names).0, ["worker-1"]);
    let list = |origin: &Origin| format!("{}\n", origin.url("/")).repeat(20);
    let origin = Origin::new(|_| Reply::ok("hello"));
    let seen = Run::json("sequential").args(["-j", "64", "-"]).list(list(&origin)).seen();
    assert_eq!((seen.code, origin.peak(), origin.connections()), (Some(0), 1, 1), "{seen:?}");
}
