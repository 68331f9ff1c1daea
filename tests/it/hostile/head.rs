//! Status lines and field lines.

use super::{assert_all_ok, closing, count, each_ends_as, each_is_ok, list_of, rows_of};
use crate::support::{End, Origin, Reply, Run, class_of, in_every_mode};

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
fn a_head_of_256_lines_and_256_kib_is_taken_and_one_of_more_lines_is_refused() {
    let head = |lines: usize, value: &str| {
        let fields: String = (1..lines).map(|number| format!("X-{number}: {value}\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 5\r\n\r\nhello")
    };
    let interim = head(256, "x").replace("200 OK", "103 Early Hints").replace("hello", "");
    let interim = interim.replace("Content-Length: 5", "Link: </a>");
    let long = "x".repeat(1000);
    let one = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(256 * 1024 - 100));
    each_is_ok(&[
        (closing(head(150, "x")), 5),
        (closing(head(256, "x")), 5),
        (closing(head(256, &long)), 5),
        (closing(format!("{one}Content-Length: 5\r\n\r\nhello")), 5),
        (closing(interim.repeat(20) + &head(256, "x")), 5),
    ]);
    each_ends_as("protocol", &[closing(head(257, "x")), closing(head(2000, "x"))]);
}

#[test]
fn what_is_larger_than_a_limit_ends_with_a_message_that_names_the_limit() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let lines = "X: y\r\n".repeat(300);
    let value = "y".repeat(300 << 10);
    let head =
        "response headers of more than 256 lines or 256 KiB, or a Content-Length out of range";
    let cases = [
        (format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), head),
        ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n".to_owned(), head),
        (
            format!("HTTP/1.1 200 OK\r\nX: {value}\r\nContent-Length: 0\r\n\r\n"),
            "response headers larger than 256 KiB",
        ),
        (format!("{chunked}0\r\n{lines}\r\n"), "more than 256 trailer lines"),
        (format!("{chunked}0\r\nX: {value}\r\n\r\n"), "trailers larger than 16 KiB"),
        (
            format!("{chunked}5;{value}\r\nhello\r\n0\r\n\r\n"),
            "chunk extensions larger than 16 KiB",
        ),
    ];
    let location = "/".to_owned() + &"y".repeat(64 << 10);
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let mut replies: Vec<_> = cases.iter().map(|(reply, _)| closing(reply)).collect();
    replies.push(closing(redirect));
    in_every_mode(|mode| {
        let rows = rows_of(mode, &replies, &[]);
        let messages: Vec<_> = rows.iter().map(|row| row["error"]["message"].as_str()).collect();
        for (message, (_, limit)) in messages.iter().zip(&cases) {
            assert_eq!(*message, Some(&*format!("invalid HTTP response: {limit}")));
        }
        let longer = "redirect with a Location header of 65537 bytes (limit 32768)";
        assert_eq!(messages[cases.len()], Some(longer));
    });
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
