//! Connections that are reused, closed or shared.

use std::collections::HashSet;
use std::sync::Mutex;

use super::{assert_all_ok, list_of, number};
use crate::support::{End, Gate, Origin, Reply, Run, class_of, in_every_mode};

#[test]
fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    for end in [End::Close, End::Reset] {
        in_every_mode(|mode| {
            let served = Mutex::new(HashSet::new());
            let origin = Origin::new(move |request| {
                let first = served.lock().unwrap().insert(request.connection);
                if first { Reply::ok("hello") } else { Reply::raw("", end) }
            });
            let list = list_of(&origin, (0..60).map(|number| format!("/{number}")));
            let seen = Run::json(mode).args(["-j", "4", "--retry", "0"]).list(list).seen();
            assert_all_ok(&seen, 60);
            assert!(seen.rows().iter().all(|row| row["attempts"] == 1), "{seen:?}");
        });
    }
}

#[test]
fn a_reply_that_closes_its_connection_unannounced_is_no_failure_of_the_next() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello").then(End::Close));
        let list = list_of(&origin, (0..60).map(|number| format!("/{number}")));
        let seen = Run::json(mode).args(["-j", "4", "--retry", "0"]).list(list).seen();
        assert_all_ok(&seen, 60);
    });
}

#[test]
fn an_origin_that_never_answers_ends_as_reset_after_the_tries() {
    for end in [End::Close, End::Reset] {
        in_every_mode(|mode| {
            let origin = Origin::new(move |_| Reply::raw("", end));
            let run = Run::json(mode).args(["--retry", "2", "--retry-delay", "0s"]);
            let row = run.list(list_of(&origin, ["/a"])).seen().row();
            assert_eq!((class_of(&row).as_str(), &row["attempts"]), ("reset", &3.into()), "{row}");
            assert_eq!(origin.seen().len(), 3);
        });
    }
}

#[test]
fn connections_are_used_again() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match number(&request.path) % 4 {
            0 => Reply::chunked(["hello", "again"]),
            1 => Reply::of("404 Not Found", "", "words"),
            2 => Reply::raw("HTTP/1.1 204 No Content\r\n\r\n", End::KeepAlive),
            _ => Reply::ok("x".repeat(100_000)),
        });
        let list = list_of(&origin, (0..200).map(|number| format!("/{number}")));
        let seen = Run::json(mode).args(["-j", "4"]).list(list).seen();
        assert_eq!(seen.summary()["ok"], 150, "{seen:?}");
        let most = if mode == "sequential" { 1 } else { 4 };
        assert!(origin.connections() <= most, "{mode}: {} connections", origin.connections());
    });
}

#[test]
fn as_many_requests_are_made_at_once_as_there_are_jobs() {
    in_every_mode(|mode| {
        let jobs = if mode == "sequential" { 1 } else { 4 };
        let gate = Gate::of(jobs);
        let origin = Origin::new(move |_| {
            gate.pass();
            Reply::ok("hello")
        });
        let list = list_of(&origin, (0..16).map(|number| format!("/{number}")));
        assert_all_ok(&Run::json(mode).args(["-j", "4"]).list(list).seen(), 16);
        assert_eq!(origin.peak(), jobs);
    });
}
