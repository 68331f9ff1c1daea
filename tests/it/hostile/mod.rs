//! HTTP is read strictly, whoever answers, and every mode reads it alike.

mod support;

use std::collections::HashSet;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use support::raw::refusing_port;
use support::{End, Gate, Origin, Reply, Run, Seen, class_of, in_every_mode};

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const HELLO_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// An origin whose path `/n` is answered by the nth reply, as often as it is asked.
fn origin_of(replies: &[Reply]) -> Origin {
    let replies = replies.to_vec();
    Origin::new(move |request| replies[number(&request.path)].clone())
}

fn number(path: &str) -> usize {
    path[1..].parse().unwrap()
}

fn closing(text: impl AsRef<[u8]>) -> Reply {
    Reply::raw(text, End::Close)
}

/// The rows of one try at each reply.
fn rows_of(mode: &str, replies: &[Reply], args: &[&str]) -> Vec<Value> {
    let origin = origin_of(replies);
    let list = list_of(&origin, (0..replies.len()).map(|number| format!("/{number}")));
    let once = if args.contains(&"--retry") { &[][..] } else { &["--retry", "0"] };
    let run = Run::json(mode).args(["--retry-delay", "1ms"]).args(once).args(args).list(list);
    let seen = run.seen();
    let rows = seen.rows_in_list_order();
    assert_eq!(rows.len(), replies.len(), "{seen:?}");
    rows
}

fn list_of(origin: &Origin, paths: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    paths.into_iter().map(|path| origin.url(path.as_ref()) + "\n").collect()
}

/// Each of these replies ends its URL in this class, in every mode; no body is believed.
fn each_ends_as(class: &str, replies: &[Reply]) {
    in_every_mode(|mode| {
        for (row, reply) in rows_of(mode, replies, &[]).iter().zip(replies) {
            assert_eq!(class_of(row), class, "{row} for {}", start_of(reply));
        }
    });
}

/// Each of these replies is fine and has so many bytes of body.
fn each_is_ok(replies: &[(Reply, u64)]) {
    let only: Vec<_> = replies.iter().map(|(reply, _)| reply.clone()).collect();
    in_every_mode(|mode| {
        for (row, (reply, bytes)) in rows_of(mode, &only, &[]).iter().zip(replies) {
            assert_eq!(class_of(row), "ok", "{row} for {}", start_of(reply));
            assert_eq!(row["bytes"], *bytes, "{row} for {}", start_of(reply));
        }
    });
}

fn start_of(reply: &Reply) -> String {
    let end = reply.bytes.len().min(200);
    format!("{:?}", String::from_utf8_lossy(&reply.bytes[..end]))
}

fn paths(origin: &Origin) -> Vec<String> {
    origin.seen().into_iter().map(|request| request.path).collect()
}

fn count(origin: &Origin, path: &str) -> usize {
    paths(origin).iter().filter(|seen| *seen == path).count()
}

fn assert_all_ok(seen: &Seen, number: usize) {
    let rows = seen.rows();
    let failed: Vec<_> = rows.iter().filter(|row| class_of(row) != "ok").collect();
    assert!(failed.is_empty(), "{} of {number}: {}", failed.len(), failed[0]);
    assert_eq!((rows.len(), seen.code), (number, Some(0)), "{}", seen.stderr);
}

// Framing.

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
        assert_eq!(message, "body cut short after 5 bytes of 100");
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

// The head.

#[test]
fn a_head_that_ends_early_is_a_connection_broken_off() {
    each_ends_as(
        "reset",
        &["", "H", "HTTP/1.1", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Le"].map(closing),
    );
    each_ends_as(
        "reset",
        &["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "HTTP/1.1 100 Continue\r\n\r\n"].map(closing),
    );
}

#[test]
fn a_reply_without_a_valid_status_line_is_refused() {
    each_ends_as(
        "protocol",
        &[
            "complete nonsense\r\n\r\n",
            "<html>as HTTP/0.9 had it</html>\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 -20 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/9 200 OK\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "SSH-2.0-Server\r\n",
            "\0\0\0\0\0\0\0\0\r\n\r\n",
            "\x16\x03\x01\x02\0\x01\0\x01\r\n",
        ]
        .map(closing),
    );
}

#[test]
fn a_status_that_is_out_of_range_is_refused() {
    let statuses = ["000", "001", "099", "600", "999"];
    let replies = statuses
        .map(|status| closing(format!("HTTP/1.1 {status} Odd\r\nContent-Length: 5\r\n\r\nhello")));
    each_ends_as("protocol", &replies);
}

#[test]
fn a_head_of_more_than_a_mebibyte_is_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many =
        format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("X: {}\r\n", "x".repeat(30_000)).repeat(40));
    let name = format!("HTTP/1.1 200 OK\r\n{}: x\r\n\r\n", "x".repeat(1 << 20));
    let endless = Reply::raw(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20)), End::Drip);
    each_ends_as("protocol", &[closing(long), closing(many), closing(name), endless]);
}

#[test]
fn a_head_of_more_than_a_hundred_lines_is_refused() {
    let head = |lines: usize| {
        let fields: String = (1..lines).map(|number| format!("X-{number}: x\r\n")).collect();
        closing(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 5\r\n\r\nhello"))
    };
    each_is_ok(&[(head(100), 5)]);
    each_ends_as("protocol", &[head(101), head(2000)]);
}

#[test]
fn field_lines_that_are_none_are_refused() {
    each_ends_as(
        "protocol",
        &[
            "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nETag : \"a\"\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nETag: \"a\0b\"\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nE\0Tag: \"a\"\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\n: empty\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 O\0K\r\nContent-Length: 5\r\n\r\nhello",
        ]
        .map(closing),
    );
}

#[test]
fn a_folded_field_line_is_unfolded() {
    let reply = closing(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html;\r\n\t charset=utf-8\r\nETag:\r\n \"a\r\n b\"\r\n\
         Content-Length:\r\n 5\r\n\r\nhello",
    );
    in_every_mode(|mode| {
        let row = &rows_of(mode, std::slice::from_ref(&reply), &[])[0];
        assert_eq!(class_of(row), "ok", "{row}");
        assert_eq!(row["content_type"], "text/html; charset=utf-8");
        assert_eq!(row["etag"].as_str().unwrap().trim(), "\"a b\"");
        assert_eq!(row["bytes"], 5);
    });
}

#[test]
fn fields_that_are_not_utf_8_do_no_harm() {
    let ok = closing(
        b"HTTP/1.1 200 \xff\xfe\r\nContent-Type: text/\xff\r\nETag: \"\xc3\x28\"\r\nLast-Modified: \x80\r\n\
          X: \xff\r\nContent-Length: 5\r\n\r\nhello",
    );
    in_every_mode(|mode| {
        let row = &rows_of(mode, std::slice::from_ref(&ok), &[])[0];
        assert_eq!(class_of(row), "ok", "{row}");
        assert_eq!(row["content_type"], "text/\u{fffd}");
        assert_eq!(row["etag"], "\"\u{fffd}(\"");
        assert_eq!(row["last_modified"], "\u{fffd}");
    });
}

#[test]
fn a_location_that_is_not_utf_8_is_asked_for_byte_by_byte() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/latin" => Reply::raw(
                b"HTTP/1.1 302 Found\r\nLocation: /caf\xe9?\xff#\xfe\r\nContent-Length: 0\r\n\r\n",
                End::KeepAlive,
            ),
            "/utf8" => Reply::redirect(302, "/café"),
            _ => Reply::ok("coffee"),
        });
        let seen = Run::json(mode).list(list_of(&origin, ["/latin", "/utf8"])).seen();
        assert_all_ok(&seen, 2);
        assert_eq!((count(&origin, "/caf%E9?%FF"), count(&origin, "/caf%C3%A9")), (1, 1));
    });
}

// Statuses.

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
    in_every_mode(|mode| {
        for clock in ["--stall-timeout", "--max-time"] {
            for (row, reply) in rows_of(mode, &ends, &[clock, "300ms"]).iter().zip(&ends) {
                assert_eq!(class_of(row), "http_4xx", "{clock}: {row} for {}", start_of(reply));
                assert_eq!(row["bytes"], 0);
            }
        }
    });
}

// Broken connections and clocks.

#[test]
fn a_connection_that_is_reset_is_a_reset_wherever_it_happens() {
    each_ends_as(
        "reset",
        &[
            Reply::raw("", End::Reset),
            Reply::raw("HTTP/1.1 200 OK\r\nContent-", End::Reset),
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", End::Reset),
            Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", End::Reset),
            Reply::raw("HTTP/1.1 200 OK\r\n\r\nhello", End::Reset),
        ],
    );
}

#[test]
fn a_stalled_body_ends_as_stalled_and_keeps_the_bytes_counted() {
    let replies = [
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", End::Stall),
        Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", End::Stall),
        Reply::raw("HTTP/1.1 200 OK\r\n\r\nhello", End::Stall),
    ];
    in_every_mode(|mode| {
        for row in rows_of(mode, &replies, &["--stall-timeout", "200ms"]) {
            assert_eq!(class_of(&row), "stalled", "{row}");
            assert_eq!((&row["bytes"], &row["wire_bytes"]), (&5.into(), &5.into()));
        }
    });
}

#[test]
fn a_head_that_never_comes_ends_as_stalled() {
    let replies = [
        Reply::raw("", End::Stall),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-", End::Stall),
        Reply::raw("HTTP/1.1 200 OK\r\nX: ", End::Drip),
        Reply::raw("HTTP/1.1 100 Continue\r\n\r\n", End::Stall),
    ];
    in_every_mode(|mode| {
        for row in rows_of(mode, &replies, &["--stall-timeout", "200ms"]) {
            assert_eq!((class_of(&row).as_str(), &row["http_status"]), ("stalled", &Value::Null));
        }
    });
}

#[test]
fn a_dripping_body_ends_with_the_time_of_its_attempt() {
    let replies = [
        Reply::raw("HTTP/1.1 200 OK\r\n\r\n", End::Drip),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", End::Drip),
    ];
    in_every_mode(|mode| {
        let args = ["--max-time", "300ms", "--stall-timeout", "60s", "--retry", "1"];
        for row in rows_of(mode, &replies, &args) {
            assert_eq!(
                (class_of(&row).as_str(), &row["attempts"]),
                ("timeout", &2.into()),
                "{row}"
            );
            assert!(row["bytes"].as_u64() <= row["wire_bytes"].as_u64(), "{row}");
        }
    });
}

#[test]
fn a_connection_that_does_not_come_about_ends_as_connect() {
    let (_full, address, _waiting) = full_backlog();
    let closed = format!("127.0.0.1:{}", refusing_port());
    in_every_mode(|mode| {
        let list = format!("http://{address}/\nhttp://{closed}/\n");
        let run = Run::json(mode).args(["--connect-timeout", "200ms", "--retry", "0"]).list(list);
        let rows = run.seen().rows_in_list_order();
        assert_eq!(class_of(&rows[0]), "connect", "{}", rows[0]);
        assert_eq!(rows[0]["error"]["message"], "cannot connect: no connection within 0.2 s");
        assert_eq!(class_of(&rows[1]), "connect", "{}", rows[1]);
    });
}

/// A listening socket that takes no more connections, as nobody accepts those that wait.
fn full_backlog() -> (Socket, std::net::SocketAddr, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(stream);
    }
    (socket, address, waiting)
}

// Redirects.

#[test]
fn a_redirect_is_followed_by_requests_of_their_own_and_the_record_says_where_it_led() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/a" => Reply::redirect(301, "/b"),
            "/b" => Reply::redirect(302, "c?d"),
            "/c?d" => Reply::redirect(
                303,
                "//HOST/e".replace("HOST", request.header("host").unwrap()).as_str(),
            ),
            "/e" => Reply::redirect(307, "#part"),
            _ => unreachable!("{request:?}"),
        });
        let run = Run::json(mode).args(["--max-redirs", "4"]).list(list_of(&origin, ["/a"]));
        let row = run.seen().row();
        assert_eq!(class_of(&row), "redirect", "{row}");
        assert_eq!(paths(&origin), ["/a", "/b", "/c?d", "/e", "/e"]);

        let origin = Origin::new(|request| match request.path.as_str() {
            "/a" => Reply::redirect(308, "/b"),
            "/b" => Reply::redirect(300, "c?d"),
            _ => Reply::ok("here"),
        });
        let row = Run::json(mode).list(list_of(&origin, ["/a#part"])).seen().row();
        assert_eq!(row["final_url"], origin.url("/c?d#part"));
        assert_eq!(row["url"], origin.url("/a#part"));
        let counts =
            ["attempts", "bytes", "wire_bytes", "http_status"].map(|name| row[name].clone());
        assert_eq!(counts, [1, 4, 14, 200]);
        assert_eq!(paths(&origin), ["/a", "/b", "/c?d"]);
    });
}

#[test]
fn a_redirect_that_leads_nowhere_ends_as_redirect() {
    let to = |location: &str| Reply::redirect(302, location);
    let mut replies: Vec<_> = [300, 301, 302, 303, 307, 308]
        .iter()
        .map(|status| Reply::of(&format!("{status} Moved"), "", "moved"))
        .collect();
    let locations = [
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/plain,x",
        "http://",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://a b/",
        "https://",
    ];
    replies.extend(locations.map(to));
    replies.push(closing(
        b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n",
    ));
    each_ends_as("redirect", &replies);
}

#[test]
fn a_redirect_counts_whatever_becomes_of_its_body() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| {
            let head = "HTTP/1.1 302 Found\r\nLocation: /to\r\nContent-Length: 50\r\n\r\nwords";
            match request.path.as_str() {
                "/close" => Reply::raw(head, End::Close),
                "/reset" => Reply::raw(head, End::Reset),
                "/stall" => Reply::raw(head, End::Stall),
                _ => Reply::ok("here"),
            }
        });
        let list = list_of(&origin, ["/close", "/reset", "/stall"]);
        let seen = Run::json(mode).args(["--stall-timeout", "500ms"]).list(list).seen();
        assert_all_ok(&seen, 3);
    });
}

#[test]
fn redirects_in_a_circle_end_after_as_many_as_allowed() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/ping" => Reply::redirect(302, "/pong"),
            "/pong" => Reply::redirect(302, "/ping"),
            _ => Reply::redirect(302, "/self"),
        });
        for (path, limit, requests) in [("/self", "3", 4), ("/ping", "10", 11), ("/self", "0", 1)] {
            let before = origin.seen().len();
            let run = Run::json(mode).args(["--max-redirs", limit]).list(list_of(&origin, [path]));
            let row = run.seen().row();
            assert_eq!(
                (class_of(&row).as_str(), &row["attempts"]),
                ("redirect", &1.into()),
                "{row}"
            );
            assert_eq!(origin.seen().len() - before, requests);
        }
    });
}

const SECRETS: [&str; 3] = ["authorization", "cookie", "x-api-key"];

/// Another origin that sends whoever comes back to where the path says.
fn elsewhere() -> Origin {
    Origin::new(|request| match request.path.split_once("/back/") {
        Some((_, to)) => Reply::redirect(302, &format!("http://{to}")),
        None => Reply::ok("elsewhere"),
    })
}

#[test]
fn secrets_reach_the_listed_origin_and_no_other() {
    in_every_mode(|mode| {
        let other = elsewhere();
        let (away, back) = (other.url("/away"), other.url("/back/"));
        let origin = Origin::new(move |request| match request.path.as_str() {
            "/away" => Reply::redirect(302, &away),
            "/round" => {
                Reply::redirect(302, &format!("{back}{}/home", request.header("host").unwrap()))
            }
            "/near" => Reply::redirect(302, "/home"),
            _ => Reply::ok("home"),
        });
        let given =
            ["Authorization: Bearer s3cret", "Cookie: s=3cret", "X-Api-Key: s3cret", "Accept: a/b"];
        let list = list_of(&origin, ["/away", "/round", "/near"]);
        // Once for the run, once for each target.
        let run = given.iter().fold(Run::json(mode), |run, field| run.args(["-H", field]));
        let lines: String = given.iter().map(|field| format!("  header={field}\n")).collect();
        let own = list.lines().map(|url| format!("{url}\n{lines}")).collect::<String>();
        for run in [run.list(&list), Run::json(mode).list(own)] {
            let (before, elsewhere_before) = (origin.seen().len(), other.seen().len());
            assert_all_ok(&run.seen(), 3);
            let (here, there) = (origin.seen(), other.seen());
            assert_eq!((here.len() - before, there.len() - elsewhere_before), (5, 2));
            for request in &here[before..] {
                for secret in SECRETS {
                    assert!(request.header(secret).is_some(), "{secret}: {request:?}");
                }
            }
            for request in &there[elsewhere_before..] {
                assert!(!format!("{request:?}").contains("3cret"), "{request:?}");
                assert_eq!(request.header("accept"), Some("a/b"));
            }
        }
    });
}

#[test]
fn credentials_in_a_url_reach_its_origin_and_no_other() {
    in_every_mode(|mode| {
        let other = elsewhere();
        let away = other.url("/away");
        let origin = Origin::new(move |request| match request.path.as_str() {
            "/away" => Reply::redirect(302, &away),
            "/near" => Reply::redirect(302, "/home"),
            _ => Reply::ok("home"),
        });
        let host = origin.address();
        let list = format!("http://us%65r:p%40ss@{host}/away\nhttp://user:p%40ss@{host}/near\n");
        let seen = Run::json(mode).list(list).seen();
        assert_all_ok(&seen, 2);
        assert!(!seen.stdout.contains("p%40ss"), "{seen:?}");
        for request in origin.seen() {
            assert_eq!(request.header("authorization"), Some("Basic dXNlcjpwQHNz"), "{request:?}");
            assert_eq!(request.header("host"), Some(host.to_string().as_str()));
        }
        assert_eq!(paths(&other), ["/away"]);
        assert_eq!(other.seen()[0].header("authorization"), None);
        // A field that is given counts more than the URL.
        let run = Run::json(mode).args(["-H", "Authorization: Bearer x"]);
        assert_all_ok(&run.list(format!("http://a:b@{host}/home")).seen(), 1);
        assert_eq!(origin.seen().last().unwrap().header("authorization"), Some("Bearer x"));
    });
}

// Retries.

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
        ("http_4xx", status("408 Request Timeout")),
        ("http_4xx", status("425 Too Early")),
        ("rate_limited", status("429 Too Many Requests")),
        ("http_5xx", status("500 Internal Server Error")),
        ("http_5xx", status("502 Bad Gateway")),
        ("http_5xx", status("503 Service Unavailable")),
        ("http_5xx", status("504 Gateway Timeout")),
        ("reset", Reply::raw("", End::Close)),
        ("reset", Reply::raw("HTTP/1.1 200 OK\r\n", End::Reset)),
        ("truncated", closing("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")),
        ("stalled", Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", End::Stall)),
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
            let args = ["--retry", retries, "--retry-delay", "1ms", "--stall-timeout", "400ms"];
            let seen = Run::json(mode).args(args).list(list).seen();
            for (at, row) in seen.rows_in_list_order().iter().enumerate() {
                let expected = if at < passing.len() { tries } else { 1 };
                assert_eq!(class_of(row), all[at].0, "{row}");
                assert_eq!(row["attempts"], expected, "{row}");
                assert_eq!(origins[at].requests(), expected, "{row}");
            }
        }
    });
}

#[test]
fn a_connection_refused_and_a_wrong_checksum_are_tried_as_their_classes_say() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("other"));
        let closed = format!("127.0.0.1:{}", refusing_port());
        let list =
            format!("http://{closed}/\n{}\n  checksum=sha-256={HELLO_SHA256}\n", origin.url("/a"));
        let run = Run::json(mode).args(["--host-failures", "3", "--host-patience", "400ms"]);
        let rows = run.list(list).seen().rows_in_list_order();
        assert_eq!((class_of(&rows[0]).as_str(), &rows[0]["attempts"]), ("connect", &3.into()));
        assert_eq!((class_of(&rows[1]).as_str(), &rows[1]["attempts"]), ("checksum", &2.into()));
        assert_eq!(count(&origin, "/a"), 2, "it may have been damaged on its way, once");
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
            ("/waits", 0) => Reply::of("503 Busy", "Retry-After: 1\r\n", "later"),
            _ => Reply::ok("hello"),
        });
        let other = Origin::new(|_| Reply::ok("hello"));
        let list = list_of(&origin, ["/waits"]) + &list_of(&other, ["/b", "/c"]);
        let seen = Run::json(mode).args(["-j", "1"]).list(list).seen();
        assert_all_ok(&seen, 3);
        let order: Vec<_> = seen.rows().iter().map(|row| row["index"].as_u64().unwrap()).collect();
        assert_eq!((order, origin.requests()), (vec![2, 3, 1], 2));
    });
}

// Connections.

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

// What a list asks for.

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
    in_every_mode(|mode| {
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
        let args = ["--retry", "0", "--stall-timeout", "1s", "-j", "6"];
        let seen = Run::json(mode).args(args).list(list).seen();
        for (at, class) in seen.classes_in_list_order().iter().enumerate() {
            // Where the second redirect leads is fine.
            let good = at % 3 != 0 || at == 14 * 3;
            assert_eq!(class == "ok", good, "{at}: {class}");
        }
        assert_eq!(seen.rows().len(), total);
    });
}
