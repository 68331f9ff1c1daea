//! Replies that bring framing and no body, without end.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::list_of;
use crate::support::raw::{HeadOf, Raw};
use crate::support::{Origin, Reply, Run, class_of, with_a_clock};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// How each flood starts, and what it repeats.
const FLOODS: [(&str, &str); 4] = [
    ("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    ("", "HTTP/1.1 100 Continue\r\n\r\n"),
    (CHUNKED, "0"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", " "),
];

/// A server whose path `/n` is the nth flood, until it is told to end. It counts the bytes that it has sent.
struct Flooder {
    raw: Raw,
    sent: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Flooder {
    fn new() -> Self {
        let (sent, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (count, ends) = (Arc::clone(&sent), Arc::clone(&is_over));
        let raw = Raw::new(move |stream, _| flood(stream, &count, &ends));
        Self { raw, sent, is_over }
    }

    /// The URL of the nth flood.
    fn url(&self, number: usize) -> String {
        format!("http://{}/{number}\n", self.raw.address())
    }
}

fn flood(mut stream: TcpStream, sent: &AtomicU64, is_over: &AtomicBool) {
    let Some(head) = HeadOf::read(&mut BufReader::new(&stream)) else { return };
    let (start, piece) = FLOODS[head.target[1..].parse::<usize>().unwrap()];
    let pieces = piece.repeat(64 * 1024 / piece.len());
    let mut next = start;
    while !is_over.load(SeqCst) && stream.write_all(next.as_bytes()).is_ok() {
        sent.fetch_add(next.len() as u64, SeqCst);
        next = &pieces;
    }
}

#[test]
fn floods_hold_up_no_other_url_of_their_event_loop() {
    let (flooder, origin) = (Flooder::new(), Origin::new(|_| Reply::ok("hello")));
    let others = list_of(&origin, (0..200).map(|number| format!("/{number}")));
    let list = flooder.url(0) + &flooder.url(2) + &others;
    let run = Run::json("async").args(["--loops", "1", "-j", "250", "--retry", "0"]);
    let run = run.args(["--stall-timeout", "1h"]).list(list);
    let mut live = run.live();
    for _ in 0..200 {
        let row = live.row();
        assert_eq!(class_of(&row), "ok", "{row}");
    }
    // Both take less than 50 MiB; without a bound on what they read in a turn, they take more than 300.
    let sent = flooder.sent.load(SeqCst) >> 20;
    assert!(sent < 150, "{sent} MiB of floods were read before 200 small bodies");
    flooder.is_over.store(true, SeqCst);
    let seen = live.seen();
    assert_eq!(seen.rows().len(), 2, "{seen:?}");
    assert!(seen.rows().iter().all(|row| class_of(row) != "ok"), "{seen:?}");
}

#[test]
fn a_flood_is_no_progress_and_the_clocks_end_it() {
    for (option, class) in [("--stall-timeout", "stalled"), ("--max-time", "timeout")] {
        for number in 0..FLOODS.len() {
            with_a_clock(|time| {
                let flooder = Flooder::new();
                let run = Run::json("async").args(["--retry", "0", option, time]);
                let seen = run.list(flooder.url(number)).seen();
                flooder.is_over.store(true, SeqCst);
                assert_eq!(class_of(&seen.row()), class, "{seen:?}");
                flooder.sent.load(SeqCst) > 1 << 20
            });
        }
    }
}
