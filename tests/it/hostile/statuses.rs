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
        (Reply::of("205 Reset Content", "", ""), 0),
        (Reply::of("200 OK", "", ""), 0),
        (Reply::of("299 Miscellaneous", "", "hello"), 5),
    ]);
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
