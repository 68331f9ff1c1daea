//! Connections that are kept open, in every mode: one that a server closes meanwhile costs no URL and no try.

use std::collections::HashSet;
use std::io::{BufReader, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use crate::support::raw::{HeadOf, Raw};
use crate::support::{End, Origin, Reply, Run, Seen, class_of, in_every_mode};

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// What a server may say to a connection on which nothing has come for a while (RFC 9110 section 15.5.9).
const TOO_LATE: &str =
    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate";

fn list(port: u16, count: usize) -> String {
    (0..count).map(|number| format!("http://127.0.0.1:{port}/{number}\n")).collect()
}

fn ensure_no_try_was_lost(seen: &Seen, count: usize) {
    let odd: Vec<_> = seen
        .rows()
        .into_iter()
        .filter(|row| row["outcome"] != "ok" || row["attempts"] != 1 || row["bytes"] != 5)
        .collect();
    assert!(odd.is_empty(), "{} of {count}: {odd:?}", odd.len());
    assert_eq!((seen.code, seen.rows().len()), (Some(0), count));
}

#[test]
fn a_408_that_crosses_a_request_on_a_kept_connection_costs_no_try() {
    in_every_mode(|mode| {
        let served = Mutex::new(HashSet::new());
        let origin = Origin::new(move |request| {
            let first = served.lock().unwrap().insert(request.connection);
            if first { Reply::ok("hello") } else { Reply::raw(TOO_LATE, End::Close) }
        });
        let list = list(origin.address().port(), 60);
        let seen = Run::json(mode).args(["-j", "4", "--retry", "0"]).list(list).seen();
        ensure_no_try_was_lost(&seen, 60);
    });
}

#[test]
fn a_408_to_the_first_request_of_a_connection_is_a_reply() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::raw(TOO_LATE, End::Close));
        let run = Run::json(mode).args(["--retry", "2", "--retry-delay", "0s"]);
        let row = run.arg(origin.url("/")).seen().row();
        assert_eq!((class_of(&row).as_str(), &row["attempts"]), ("http_4xx", &3.into()), "{row}");
        assert_eq!(origin.requests(), 3);
    });
}

/// A server that closes each connection a random moment after a reply, if no request has come by then: in good order, by a
/// reset, or with a 408 before.
fn impatient() -> Raw {
    Raw::new(|mut stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut random = fastrand::Rng::new();
        while let Some(_head) = HeadOf::read(&mut reader) {
            if stream.write_all(HELLO.as_bytes()).is_err() {
                return;
            }
            let patience = Duration::from_micros(random.u64(1..3_000));
            stream.set_read_timeout(Some(patience)).unwrap();
            match stream.peek(&mut [0]) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return hang_up(stream, random.u8(..));
                }
                _ => stream.set_read_timeout(None).unwrap(),
            }
        }
    })
}

fn hang_up(mut stream: TcpStream, how: u8) {
    match how % 3 {
        0 => {}
        1 => drop(stream.write_all(TOO_LATE.as_bytes())),
        _ => return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// Fetches this many URLs from servers that lose patience.
fn from_the_impatient(count: usize) {
    in_every_mode(|mode| {
        let origin = impatient();
        let run = Run::json(mode).args(["-j", "8", "--retry", "0"]);
        let seen = run.list(list(origin.port(), count)).seen();
        ensure_no_try_was_lost(&seen, count);
    });
}

#[test]
fn connections_closed_at_random_moments_between_requests_cost_no_url_and_no_try() {
    from_the_impatient(1_000);
}

#[test]
#[ignore = "takes minutes: run it with --run-ignored all"]
fn connections_closed_at_random_moments_between_20_000_requests_cost_no_url_and_no_try() {
    from_the_impatient(20_000);
}
