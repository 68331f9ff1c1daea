//! Mirrors, checksums and repeated URLs of a list, and lists in which some replies are hostile.

use serde_json::Value;

use super::{HELLO_SHA256, assert_all_ok, closing, count, list_of, number, paths};
use crate::support::{
    End, Origin, Reply, Run, class_of, in_all_modes_at_once, in_every_mode, with_a_clock,
};

#[test]
fn mirrors_are_tried_in_turn_and_the_record_says_which_one_served() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match (request.path.as_str(), request.nth) {
            ("/gone" | "/lost", _) => Reply::of("404 Not Found", "", "gone"),
            ("/busy", 0) => Reply::of("503 Busy", "", "busy"),
            ("/moved", _) => Reply::redirect(302, "/there"),
            _ => Reply::ok("hello"),
        });
        let mirrors = |paths: &[&str]| {
            paths.iter().map(|path| origin.url(path)).collect::<Vec<_>>().join("\t") + "\n"
        };
        let row_of = |paths: &[&str]| {
            let run = Run::json(mode).args(["--retry-delay", "1ms"]).list(mirrors(paths));
            run.seen().row()
        };
        let row = row_of(&["/gone", "/busy"]);
        assert_eq!((class_of(&row).as_str(), &row["attempts"]), ("ok", &3.into()), "{row}");
        assert_eq!(row["served_by"], origin.url("/busy"));
        assert_eq!(row["url"], origin.url("/gone"));
        assert_eq!(
            paths(&origin),
            ["/gone", "/busy", "/busy"],
            "a mirror that is gone is left out"
        );

        let seen = Run::new()
            .args(["--mode", mode, "--retry-delay", "1ms"])
            .list(mirrors(&["/gone", "/there"]))
            .seen();
        let line = format!("from {} (mirror {})\n", origin.url("/gone"), origin.url("/there"));
        assert!(seen.stdout.contains(&line), "{seen:?}");

        let row = row_of(&["/first", "/second"]);
        assert_eq!(
            (&row["served_by"], &row["attempts"]),
            (&origin.url("/first").into(), &1.into())
        );
        assert_eq!(count(&origin, "/second"), 0);

        let row = row_of(&["/lost", "/moved"]);
        assert_eq!(row["served_by"], origin.url("/moved"));
        assert_eq!(row["final_url"], origin.url("/there"));

        let row = row_of(&["/gone", "/lost"]);
        assert_eq!((class_of(&row).as_str(), &row["attempts"]), ("http_4xx", &2.into()), "{row}");
        assert_eq!((&row["outcome"], &row["served_by"]), (&"failed".into(), &Value::Null));
    });
}

#[test]
fn a_body_without_the_checksum_asked_for_is_a_failure() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/wrong" => Reply::ok("hullo"),
            "/chunked" => Reply::chunked(["he", "llo"]),
            _ => Reply::ok("hello"),
        });
        let sum = format!("  checksum=sha-256={HELLO_SHA256}\n");
        let crc = "  checksum=crc32c=9a71bb4c\n";
        let list: String = [("/wrong", sum.as_str()), ("/chunked", &sum), ("/right", crc)]
            .iter()
            .map(|(path, sum)| format!("{}\n{sum}", origin.url(path)))
            .collect();
        let seen = Run::json(mode).list(list).seen();
        assert_eq!(seen.classes_in_list_order(), ["checksum", "ok", "ok"]);
        assert_eq!((seen.code, &seen.summary()["ok"]), (Some(1), &2.into()));
        let row = &seen.rows_in_list_order()[0];
        assert_eq!((&row["outcome"], &row["bytes"]), (&"failed".into(), &5.into()));
        assert!(row["error"]["message"].as_str().unwrap().contains(HELLO_SHA256), "{row}");
    });
}

#[test]
fn a_url_is_fetched_as_often_as_it_is_listed() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let list = list_of(&origin, ["/a", "/b", "/a", "/a"]);
        assert_all_ok(&Run::json(mode).list(list).seen(), 4);
        assert_eq!((count(&origin, "/a"), count(&origin, "/b")), (3, 1));
    });
}

#[test]
fn one_hostile_reply_ends_one_url() {
    let hostile = [
        Reply::raw("", End::Close),
        Reply::raw("", End::Reset),
        Reply::raw("", End::Stall),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Le", End::Close),
        closing("nonsense\r\n\r\n"),
        closing("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        closing("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello"),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello", End::Reset),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello", End::Stall),
        Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", End::KeepAlive),
        Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", End::KeepAlive),
        Reply::raw("HTTP/1.1 304 Not Modified\r\n\r\n", End::KeepAlive),
        Reply::raw("HTTP/1.1 101 Switching Protocols\r\n\r\n", End::KeepAlive),
        Reply::raw(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)), End::Close),
        Reply::redirect(302, "/1"),
        Reply::redirect(302, "file:///etc/passwd"),
        Reply::of("404 Not Found", "", "x".repeat(200_000)),
    ];
    in_all_modes_at_once(|mode| {
        let hostile = hostile.clone();
        let total = 3 * hostile.len();
        let origin = Origin::new(move |request| {
            let number = number(&request.path);
            match number % 3 {
                0 => hostile[number / 3].clone(),
                1 => Reply::ok("x".repeat(50_000)),
                _ => Reply::chunked(["hello"]),
            }
        });
        let list = list_of(&origin, (0..total).map(|number| format!("/{number}")));
        // Where the second redirect leads is fine.
        let is_good = |at: usize| !at.is_multiple_of(3) || at == 14 * 3;
        with_a_clock(|timeout| {
            let args = ["--retry", "0", "--stall-timeout", timeout, "-j", "6"];
            let seen = Run::json(mode).args(args).list(&list).seen();
            let classes = seen.classes_in_list_order();
            assert_eq!(classes.len(), total);
            let mut late = 0;
            for (at, class) in classes.iter().enumerate() {
                match (class.as_str(), is_good(at)) {
                    ("stalled", true) => late += 1,
                    (class, is_good) => assert_eq!(class == "ok", is_good, "{at}: {class}"),
                }
            }
            late == 0
        });
    });
}
