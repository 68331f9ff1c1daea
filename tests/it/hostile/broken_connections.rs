//! Connections that are reset, stall, drip or are not made: timeouts and their failure classes.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::{each_ends_as, rows_of};
use crate::support::raw::refusing_port;
use crate::support::{End, Reply, Run, class_of, in_all_modes_at_once, with_a_clock};

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
    in_all_modes_at_once(|mode| {
        with_a_clock(|timeout| {
            let rows = rows_of(mode, &replies, &["--stall-timeout", timeout]);
            assert!(rows.iter().all(|row| class_of(row) == "stalled"), "{rows:?}");
            // With its head comes what there is of the body.
            let begun: Vec<_> = rows.iter().filter(|row| row["http_status"] == 200).collect();
            for row in &begun {
                assert_eq!((&row["bytes"], &row["wire_bytes"]), (&5.into(), &5.into()), "{row}");
            }
            begun.len() == rows.len()
        });
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
    in_all_modes_at_once(|mode| {
        for row in rows_of(mode, &replies, &["--stall-timeout", "100ms"]) {
            assert_eq!((class_of(&row).as_str(), &row["http_status"]), ("stalled", &Value::Null));
        }
    });
}

#[test]
fn a_body_slower_than_the_least_speed_is_stalled() {
    let slow = Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", End::Drip);
    in_all_modes_at_once(|mode| {
        let args = ["--min-speed", "1G", "--min-speed-time", "50ms", "--stall-timeout", "1h"];
        let row = &rows_of(mode, std::slice::from_ref(&slow), &args)[0];
        assert_eq!(class_of(row), "stalled", "{row}");
        let message = "slower than 1073741824 bytes/s for 0.05s (--min-speed)";
        assert_eq!(row["error"]["message"], message, "{row}");
        // Faster than that, it is read until the attempt is over. Where the origin got no turn for a whole stretch, the
        // stretch is longer the next time.
        with_a_clock(|stretch| {
            let args = ["--min-speed", "1", "--min-speed-time", stretch, "--max-time", "1s"];
            let row = &rows_of(mode, std::slice::from_ref(&slow), &args)[0];
            class_of(row) == "timeout"
        });
    });
}

#[test]
fn a_dripping_body_ends_with_the_time_of_its_attempt() {
    let replies = [
        Reply::raw("HTTP/1.1 200 OK\r\n\r\n", End::Drip),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", End::Drip),
    ];
    in_all_modes_at_once(|mode| {
        let args = ["--max-time", "100ms", "--stall-timeout", "1h", "--retry", "1"];
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
    in_all_modes_at_once(|mode| {
        let list = format!("http://{address}/\nhttp://{closed}/\n");
        let run = Run::json(mode).args(["--connect-timeout", "200ms", "--retry", "0"]).list(list);
        let rows = run.seen().rows_in_list_order();
        assert_eq!(class_of(&rows[0]), "connect", "{}", rows[0]);
        assert_eq!(rows[0]["error"]["message"], "connect timed out after 0.2s");
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
