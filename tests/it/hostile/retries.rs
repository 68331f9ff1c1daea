//! Which failures are tried again, how often and when.

use nix::sys::signal::Signal;

use super::{HELLO_SHA256, closing, count, list_of, origin_of};
use crate::support::raw::refusing_port;
use crate::support::{
    End, Origin, Reply, Run, class_of, in_all_modes_at_once, in_every_mode, with_a_clock,
};

/// An origin that answers the first request for each path by `first`, and every other well.
fn healing(first: &'static str) -> Origin {
    Origin::new(move |request| match request.nth {
        0 => Reply::raw(first, End::KeepAlive),
        _ => Reply::ok("hello"),
    })
}

#[test]
fn a_failure_that_passes_is_tried_again() {
    let past = "HTTP/1.1 503 Busy\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n";
    for first in [
        "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 429 Slow\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 429 Slow\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n",
        past,
    ] {
        in_every_mode(|mode| {
            let origin = healing(first);
            let run = Run::json(mode).args(["--retry-delay", "1ms"]).list(list_of(&origin, ["/a"]));
            let row = run.seen().row();
            assert_eq!(class_of(&row), "ok", "{row}");
            assert_eq!((&row["attempts"], &row["http_status"]), (&2.into(), &200.into()));
            assert_eq!(count(&origin, "/a"), 2);
        });
    }
}

#[test]
fn what_may_pass_is_tried_as_often_as_allowed_and_what_lasts_once() {
    let status =
        |status: &str| Reply::of(status, "Connection: close\r\n", "words").then(End::Close);
    let passing = [
        ("http_2xx", status("202 Accepted")),
        ("http_4xx", status("408 Request Timeout")),
        ("http_4xx", status("425 Too Early")),
        ("rate_limited", status("429 Too Many Requests")),
        ("http_5xx", status("500 Internal Server Error")),
        ("http_5xx", status("502 Bad Gateway")),
        ("http_5xx", status("503 Service Unavailable")),
        ("http_5xx", status("504 Gateway Timeout")),
        ("http_5xx", status("520 Unknown Error")),
        ("http_5xx", status("522 Connection Timed Out")),
        ("http_5xx", status("529 Overloaded")),
        ("http_5xx", status("530 Origin Error")),
        (
            "rate_limited",
            Reply::of("403 Forbidden", "Connection: close\r\nRetry-After: 0\r\n", "")
                .then(End::Close),
        ),
        ("reset", Reply::raw("", End::Close)),
        ("reset", Reply::raw("HTTP/1.1 200 OK\r\n", End::Reset)),
        ("truncated", closing("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")),
    ];
    let lasting = [
        ("http_4xx", status("400 Bad Request")),
        ("http_4xx", status("401 Unauthorized")),
        ("http_4xx", status("403 Forbidden")),
        ("http_4xx", status("404 Not Found")),
        ("http_4xx", status("410 Gone")),
        ("http_4xx", status("451 Unavailable For Legal Reasons")),
        ("http_5xx", status("501 Not Implemented")),
        ("http_5xx", status("505 HTTP Version Not Supported")),
        ("protocol", closing("nonsense\r\n\r\n")),
        ("protocol", closing("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello")),
        ("redirect", status("302 Found")),
    ];
    let all: Vec<_> = passing.iter().chain(&lasting).collect();
    let replies: Vec<_> = all.iter().map(|(_, reply)| reply.clone()).collect();
    in_every_mode(|mode| {
        for (retries, tries) in [("0", 1), ("2", 3)] {
            // Each by a host of its own, since a host that fails is asked less.
            let origins: Vec<_> =
                replies.iter().map(|reply| origin_of(std::slice::from_ref(reply))).collect();
            let list: String = origins.iter().map(|origin| list_of(origin, ["/0"])).collect();
            let args = ["--retry", retries, "--retry-delay", "1ms", "--stall-timeout", "1h"];
            let seen = Run::json(mode).args(args).list(list).seen();
            for (at, row) in seen.rows_in_list_order().iter().enumerate() {
                let expected = if at < passing.len() { tries } else { 1 };
                assert_eq!(class_of(row), all[at].0, "{row}");
                assert_eq!(row["attempts"], expected, "{row}");
                assert_eq!(origins[at].requests(), expected, "{row}");
            }
        }
    });
    let stall = Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", End::Stall);
    in_all_modes_at_once(|mode| {
        for (retries, tries) in [("0", 1), ("2", 3)] {
            with_a_clock(|timeout| {
                let origin = origin_of(std::slice::from_ref(&stall));
                let args = ["--retry", retries, "--retry-delay", "1ms", "--stall-timeout", timeout];
                let row = Run::json(mode).args(args).list(list_of(&origin, ["/0"])).seen().row();
                assert_eq!(class_of(&row), "stalled", "{row}");
                assert_eq!(row["attempts"], tries, "{row}");
                assert!(origin.requests() <= tries, "{row}");
                origin.requests() == tries
            });
        }
    });
}

#[test]
fn a_connection_refused_and_a_wrong_checksum_are_tried_as_their_classes_say() {
    in_all_modes_at_once(|mode| {
        let origin = Origin::new(|_| Reply::ok("other"));
        let closed = format!("127.0.0.1:{}", refusing_port());
        let list =
            format!("http://{closed}/\n{}\n  checksum=sha-256={HELLO_SHA256}\n", origin.url("/a"));
        with_a_clock(|patience| {
            origin.take_seen();
            let run = Run::json(mode).args(["--host-failures", "3", "--host-patience", patience]);
            let rows = run.list(&list).seen().rows_in_list_order();
            let attempts = [&rows[0]["attempts"], &rows[1]["attempts"]];
            assert_eq!((class_of(&rows[1]).as_str(), attempts[1]), ("checksum", &2.into()));
            assert_eq!(count(&origin, "/a"), 2, "it may have been damaged on its way, once");
            assert_eq!(class_of(&rows[0]), "connect");
            attempts[0].as_u64().unwrap() >= 3
        });
    });
}

#[test]
fn a_server_that_asks_for_too_long_a_wait_is_left_at_once() {
    let asks = |status: &str| Reply::of(status, "Retry-After: 3600\r\n", "later");
    let replies = [asks("429 Too Many Requests"), asks("503 Service Unavailable")];
    in_every_mode(|mode| {
        let origin = origin_of(&replies);
        let run =
            Run::json(mode).args(["--max-retry-after", "59m"]).list(list_of(&origin, ["/0", "/1"]));
        let rows = run.seen().rows();
        assert!(rows.iter().all(|row| class_of(row) == "rate_limited"), "{rows:?}");
        let tries: u64 = rows.iter().map(|row| row["attempts"].as_u64().unwrap()).sum();
        assert_eq!(origin.seen().len() as u64, tries);
        // What is under way with the first is not called back; nothing is started after it.
        assert!((1..=2).contains(&tries) && (mode != "sequential" || tries == 1), "{rows:?}");
    });
}

#[test]
fn a_waiting_url_holds_no_worker() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match (request.path.as_str(), request.nth) {
            ("/waits", 0) => Reply::of("503 Busy", "Retry-After: 3600\r\n", "later"),
            _ => Reply::ok("hello"),
        });
        let other = Origin::new(|_| Reply::ok("hello"));
        let list = list_of(&origin, ["/waits"]) + &list_of(&other, ["/b", "/c"]);
        let mut run =
            Run::json(mode).args(["-j", "1", "--max-retry-after", "2h"]).list(list).live();
        let others = [run.row(), run.row()];
        assert_eq!(others.each_ref().map(class_of), ["ok", "ok"], "{others:?}");
        assert_eq!(others.map(|row| row["index"].as_u64()), [Some(2), Some(3)]);
        run.signal(Signal::SIGINT);
        let row = run.seen().row();
        assert_eq!((class_of(&row).as_str(), &row["attempts"]), ("cancelled", &1.into()), "{row}");
        assert_eq!((&row["index"], origin.requests()), (&1.into(), 1), "{row}");
    });
}

#[test]
fn a_url_that_was_never_requested_says_since_when_its_host_asked_to_be_left_alone() {
    in_every_mode(|mode| {
        let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 100000\r\nContent-Length: 0\r\n\r\n";
        let origin = Origin::new(move |_| Reply::raw(busy, End::KeepAlive));
        let run = Run::json(mode).args(["--jobs", "1"]).list(list_of(&origin, ["/a", "/b"]));
        let rows = run.seen().rows_in_list_order();
        assert_eq!(origin.requests(), 1, "{rows:?}");
        let message = |at: usize| rows[at]["error"]["message"].as_str().unwrap();
        assert!(message(0).starts_with("HTTP 503"), "{rows:?}");
        assert!(message(1).starts_with("not attempted: the host asked at 20"), "{rows:?}");
        assert!(message(1).contains(" to be left alone until 20"), "{rows:?}");
        assert_eq!(
            (class_of(&rows[1]).as_str(), &rows[1]["attempts"]),
            ("rate_limited", &0.into())
        );
    });
}
