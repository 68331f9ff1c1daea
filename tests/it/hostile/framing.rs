//! Message framing: transfer codings, chunked bodies, Content-Length.

use super::{HELLO, assert_all_ok, closing, each_ends_as, each_is_ok, list_of, rows_of};
use crate::support::{End, Origin, Reply, Run, class_of, in_every_mode};

#[test]
fn a_body_in_a_transfer_coding_that_cannot_be_undone_is_refused() {
    let one =
        |field: &str| closing(format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
    let codings = [
        "gzip, chunked",
        "gzip",
        "chunked, gzip",
        "identity",
        "identity, chunked",
        "chunked, chunked",
        "chunked;q=1",
        "x-unheard-of",
        "",
    ];
    let mut replies: Vec<_> =
        codings.iter().map(|coding| one(&format!("Transfer-Encoding: {coding}"))).collect();
    replies.push(one("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"));
    replies.push(one("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"));
    replies.push(one("transfer-ENCODING: GZIP\r\nContent-Length: 15"));
    each_ends_as("protocol", &replies);
}

#[test]
fn a_transfer_coding_is_refused_in_a_reply_of_http_1_0() {
    let coded = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    each_ends_as("protocol", &[closing(coded)]);
}

#[test]
fn a_chunked_body_is_read_however_it_is_spelled() {
    let coded = |fields: &str, body: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        (Reply::raw(head + body, End::KeepAlive), 5)
    };
    let plain = "5\r\nhello\r\n0\r\n\r\n";
    each_is_ok(&[
        coded("Transfer-Encoding: chunked", plain),
        coded("Transfer-Encoding: Chunked", plain),
        coded("transfer-encoding:\t CHUNKED \t", plain),
        coded("Transfer-Encoding: chunked\r\nContent-Length: 3", plain),
        coded("Transfer-Encoding: chunked", "2;name=value\r\nhe\r\n03 ; x\r\nllo\r\n0;end\r\n\r\n"),
        coded("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nDigest: x\r\nExpires: 0\r\n\r\n"),
        coded(
            "Trailer: X\r\nTransfer-Encoding: chunked",
            "1\r\nh\r\n4\r\nello\r\n000\r\nX: y\r\n\r\n",
        ),
    ]);
}

#[test]
fn a_body_without_a_length_ends_with_its_connection() {
    each_is_ok(&[
        (closing("HTTP/1.1 200 OK\r\n\r\nhello"), 5),
        (closing("HTTP/1.0 200 OK\r\n\r\nhello"), 5),
        (closing("HTTP/1.1 200 OK\r\n\r\n"), 0),
    ]);
}

#[test]
fn a_body_shorter_than_promised_is_truncated_and_its_bytes_are_counted() {
    let replies = [
        closing("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"),
        closing("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"),
        closing("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nhello"),
    ];
    in_every_mode(|mode| {
        let rows = rows_of(mode, &replies, &[]);
        for (row, bytes) in rows.iter().zip([5, 0, 5]) {
            assert_eq!(class_of(row), "truncated", "{row}");
            assert_eq!((&row["bytes"], &row["wire_bytes"]), (&bytes.into(), &bytes.into()));
            assert_eq!(row["http_status"], 200);
        }
        let message = rows[0]["error"]["message"].as_str().unwrap();
        assert_eq!(message, "connection closed after 5 of 100 bytes");
    });
}

#[test]
fn a_chunked_body_that_ends_before_its_last_chunk_is_truncated() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cut = [
        "",
        "5",
        "5\r\nhe",
        "5\r\nhello",
        "5\r\nhello\r\n",
        "5\r\nhello\r\n0",
        "5\r\nhello\r\n0\r\n",
    ];
    each_ends_as("truncated", &cut.map(|body| closing(format!("{head}{body}"))));
}

#[test]
fn a_chunk_size_that_is_none_is_refused() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let sizes = ["xyz", "-5", "+5", "0x5", "", " 5", "5 5", "5\n", "FFFFFFFFFFFFFFFFF"];
    let mut replies: Vec<_> =
        sizes.iter().map(|size| closing(format!("{head}{size}\r\nhello\r\n0\r\n\r\n"))).collect();
    replies.push(closing(format!("{head}3\r\nhello\r\n0\r\n\r\n")));
    replies.push(closing(format!("{head}5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000))));
    each_ends_as("protocol", &replies);
}

#[test]
fn content_lengths_that_contradict_or_are_no_number_are_refused() {
    let of = |fields: &str| closing(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello"));
    each_ends_as(
        "protocol",
        &[
            of("Content-Length: 5\r\nContent-Length: 6"),
            of("Content-Length: 5, 6"),
            of("Content-Length: -5"),
            of("Content-Length: +5"),
            of("Content-Length: five"),
            of("Content-Length: 5x"),
            of("Content-Length: 0x5"),
            of("Content-Length: 5.0"),
            of("Content-Length: "),
            of("Content-Length: 99999999999999999999999999"),
            of("Content-Length: 18446744073709551615"),
        ],
    );
}

#[test]
fn content_lengths_that_agree_are_one() {
    each_is_ok(&[
        (closing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 5),
        (closing("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"), 5),
    ]);
}

#[test]
fn bytes_past_the_end_of_a_reply_never_become_the_next_one() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            path if path.starts_with("/split") => {
                let second = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsmuggle";
                Reply::raw(HELLO.to_owned() + second, End::KeepAlive)
            }
            "/none" => {
                Reply::raw("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 X\r\n\r\n", End::KeepAlive)
            }
            _ => Reply::ok("mine"),
        });
        let list = list_of(&origin, ["/split1", "/a", "/split2", "/b", "/none", "/c", "/d"]);
        let seen = Run::json(mode).args(["-j", "1"]).list(list).seen();
        assert_all_ok(&seen, 7);
        let bytes: Vec<_> =
            seen.rows_in_list_order().iter().map(|row| row["bytes"].clone()).collect();
        assert_eq!(bytes, [5, 4, 5, 4, 0, 4, 4]);
    });
}
