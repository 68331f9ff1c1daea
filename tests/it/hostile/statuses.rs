//! Status codes: interim replies, empty replies, errors.

use super::{HELLO, closing, each_ends_as, each_is_ok, rows_of, start_of};
use crate::support::{End, Reply, class_of, in_all_modes_at_once};

#[test]
fn interim_replies_are_passed_over() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    each_is_ok(&[
        (Reply::raw(format!("{go_on}{HELLO}"), End::KeepAlive), 5),
        (Reply::raw(format!("{early}{go_on}{early}{HELLO}"), End::KeepAlive), 5),
    ]);
}

#[test]
fn a_reply_that_nobody_asked_for_is_refused() {
    each_ends_as(
        "protocol",
        &[
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",
            "HTTP/1.1 305 Use Proxy\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        ]
        .map(closing),
    );
}

#[test]
fn a_reply_of_no_content_is_fine() {
    each_is_ok(&[
        (Reply::raw("HTTP/1.1 204 No Content\r\n\r\n", End::KeepAlive), 0),
        (Reply::raw("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", End::KeepAlive), 0),
        (
            Reply::raw(
                "HTTP/1.1 204 No Content\r\nTransfer-Encoding: gzip\r\n\r\n",
                End::KeepAlive,
            ),
            0,
        ),
        (Reply::of("200 OK", "", ""), 0),
        (Reply::of("203 Non-Authoritative Information", "", "hello"), 5),
    ]);
}

#[test]
fn a_success_that_brings_no_resource_is_a_failure() {
    let statuses = [
        "201 Created",
        "202 Accepted",
        "205 Reset Content",
        "207 Multi-Status",
        "208 Already Reported",
        "226 IM Used",
        "299 Miscellaneous",
    ];
    each_ends_as("http_2xx", &statuses.map(|status| Reply::of(status, "", "hello")));
}

#[test]
fn a_redirect_without_a_destination_is_one_broken_reply() {
    let statuses = ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"];
    in_all_modes_at_once(|mode| {
        for location in ["", "Location:\r\n", "Location:   \r\n"] {
            let replies = statuses.map(|status| Reply::of(status, location, ""));
            for row in rows_of(mode, &replies, &[]) {
                assert_eq!(class_of(&row), "redirect", "{row}");
                let message = row["error"]["message"].as_str().unwrap();
                assert!(message.contains("Location header"), "{message}");
            }
        }
    });
}

#[test]
fn a_redirect_loop_that_sets_a_cookie_which_is_refused_says_so() {
    let back = |fields: &str| Reply::of("302 Found", &format!("Location: /0\r\n{fields}"), "");
    in_all_modes_at_once(|mode| {
        let refused = back("Set-Cookie: seen=1; Domain=example.org\r\n");
        let [row] = &rows_of(mode, &[refused], &[])[..] else { panic!() };
        let message = row["error"]["message"].as_str().unwrap();
        assert_eq!(class_of(row), "redirect");
        assert!(message.contains("cookie"), "{message}");
        for kept in ["", "Set-Cookie: seen=1\r\n"] {
            let [row] = &rows_of(mode, &[back(kept)], &[])[..] else { panic!() };
            assert!(!row["error"]["message"].as_str().unwrap().contains("cookie"), "{row}");
        }
    });
}

#[test]
fn an_error_keeps_its_status_whatever_becomes_of_its_body() {
    let ends: Vec<_> = ["404 Not Found", "410 Gone"]
        .iter()
        .flat_map(|status| {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 50\r\n\r\nwords");
            [End::Close, End::Reset, End::Stall, End::Drip].map(|end| Reply::raw(&head, end))
        })
        .chain([
            Reply::raw("HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", End::Close),
            Reply::raw("HTTP/1.1 404 No\r\nTransfer-Encoding: gzip\r\n\r\nwords", End::Stall),
            Reply::raw("HTTP/1.1 404 No\r\n\r\n", End::Drip),
            Reply::raw("HTTP/1.1 404 No\r\nContent-Length: 99999999\r\n\r\nx", End::Stall),
        ])
        .collect();
    in_all_modes_at_once(|mode| {
        for clock in ["--stall-timeout", "--max-time"] {
            // An error ends its URL at once; what is tried again is a head that was late.
            let args = [clock, "100ms", "--retry", "50"];
            for (row, reply) in rows_of(mode, &ends, &args).iter().zip(&ends) {
                assert_eq!(class_of(row), "http_4xx", "{clock}: {row} for {}", start_of(reply));
                assert_eq!(row["bytes"], 0);
            }
        }
    });
}
