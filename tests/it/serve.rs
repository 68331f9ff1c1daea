//! The local origin as clients meet it: over sockets.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use serde_json::Value;

use crate::support::{LocalOrigin, Run, until};

/// A reply as it came off the wire.
struct Reply {
    status: u16,
    /// Names in lower case.
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
    /// Whether the body came to the end that was promised.
    whole: bool,
}

impl Reply {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn to(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn ask(&mut self, method: &str, target: &str, fields: &str) -> Reply {
        self.send(&format!("{method} {target} HTTP/1.1\r\nHost: origin.test\r\n{fields}\r\n"));
        self.receive(method)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn receive(&mut self, method: &str) -> Reply {
        let status = self.line().split(' ').nth(1).expect("a status line").parse().unwrap();
        let mut fields = BTreeMap::new();
        while let Some((name, value)) = self.line().split_once(": ") {
            fields.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut reply = Reply { status, fields, body: Vec::new(), whole: true };
        if method == "HEAD" || matches!(status, 204 | 304) {
            return reply;
        }
        if reply.field("transfer-encoding") == "chunked" {
            while self.chunk(&mut reply.body) > 0 {}
        } else {
            let length: u64 = reply.field("content-length").parse().unwrap();
            let read = self.0.by_ref().take(length).read_to_end(&mut reply.body);
            reply.whole = read.is_ok_and(|count| count as u64 == length);
        }
        reply
    }

    fn chunk(&mut self, body: &mut Vec<u8>) -> u64 {
        let length = u64::from_str_radix(&self.line(), 16).unwrap();
        self.0.by_ref().take(length).read_to_end(body).unwrap();
        self.line();
        length
    }
}

fn get(origin: &LocalOrigin, target: &str) -> Reply {
    get_with(origin, target, "")
}

fn get_with(origin: &LocalOrigin, target: &str, fields: &str) -> Reply {
    Client::to(origin.address()).ask("GET", target, fields)
}

fn stats(origin: &LocalOrigin) -> Value {
    get(origin, "/stats").json()
}

/// Asks for the counts until they are as expected.
fn wait_for(origin: &LocalOrigin, expected: impl Fn(&Value) -> bool) -> Value {
    let mut client = Client::to(origin.address());
    let mut stats = Value::Null;
    until("counts as expected", || {
        stats = client.ask("GET", "/stats", "").json();
        expected(&stats)
    });
    stats
}

#[test]
fn a_body_has_its_length_and_depends_on_seed_path_and_query_alone() {
    let (one, same) = (LocalOrigin::new(&[]), LocalOrigin::new(&[]));
    let other = LocalOrigin::new(&["--seed", "1"]);
    let reply = get(&one, "/bytes/100000?n=17");
    assert_eq!((reply.status, reply.body.len()), (200, 100_000));
    assert_eq!(reply.field("content-length"), "100000");
    let again = get(&same, "/bytes/100000?n=17");
    assert_eq!((again.field("etag"), &again.body), (reply.field("etag"), &reply.body));
    for different in [get(&one, "/bytes/100000?n=18"), get(&other, "/bytes/100000?n=17")] {
        assert_ne!(different.body, reply.body);
        assert_ne!(different.field("etag"), reply.field("etag"));
    }
    assert_ne!(get(&other, "/bytes/1").field("last-modified"), reply.field("last-modified"));
}

#[test]
fn a_part_is_the_same_as_in_the_whole() {
    let origin = LocalOrigin::new(&[]);
    let whole = get(&origin, "/range/70000").body;
    for (asked, first, end) in [
        ("3-65540", 3, 65541),
        ("69990-", 69990, 70000),
        ("-7", 69993, 70000),
        ("0-99999", 0, 70000),
    ] {
        let part = get_with(&origin, "/range/70000", &format!("Range: bytes={asked}\r\n"));
        assert_eq!(part.status, 206, "{asked}");
        assert_eq!(part.field("content-range"), format!("bytes {first}-{}/70000", end - 1));
        assert!(part.body == whole[first..end], "{asked}");
    }
}

#[test]
fn the_last_bytes_of_a_tebibyte_come_at_once() {
    let origin = LocalOrigin::new(&[]);
    let part = get_with(&origin, "/bytes/1099511627776", "Range: bytes=-5\r\n");
    assert_eq!((part.status, part.body.len()), (206, 5));
    assert_eq!(part.field("content-range"), "bytes 1099511627771-1099511627775/1099511627776");
    let head = Client::to(origin.address()).ask("HEAD", "/bytes/1099511627776", "");
    assert_eq!(head.field("content-length"), "1099511627776");
}

#[test]
fn a_range_beyond_the_end_is_told_the_length() {
    let origin = LocalOrigin::new(&[]);
    let reply = get_with(&origin, "/bytes/10", "Range: bytes=10-\r\n");
    assert_eq!((reply.status, reply.field("content-range")), (416, "bytes */10"));
    let reply = get_with(&origin, "/bytes/10", "Range: bytes=0-1,4-5\r\n");
    assert_eq!((reply.status, reply.body.len()), (200, 10));
}

#[test]
fn a_known_version_is_not_sent_again_and_a_changed_one_is_not_continued() {
    let origin = LocalOrigin::new(&[]);
    for target in ["/bytes/10", "/range/10", "/etag/v1"] {
        let first = get(&origin, target);
        let (tag, date) = (first.field("etag"), first.field("last-modified"));
        assert_eq!(first.field("accept-ranges"), "bytes");
        let status = |fields: &str| get_with(&origin, target, fields).status;
        assert_eq!(status(&format!("If-None-Match: {tag}\r\n")), 304, "{target}");
        assert_eq!(status(&format!("If-Modified-Since: {date}\r\n")), 304, "{target}");
        assert_eq!(status("If-Match: \"other\"\r\n"), 412, "{target}");
        assert_eq!(status(&format!("Range: bytes=1-\r\nIf-Range: {tag}\r\n")), 206, "{target}");
        assert_eq!(status(&format!("Range: bytes=1-\r\nIf-Range: {date}\r\n")), 206, "{target}");
        assert_eq!(status("Range: bytes=1-\r\nIf-Range: \"other\"\r\n"), 200, "{target}");
    }
    assert_eq!(get(&origin, "/etag/v1").field("etag"), "\"v1\"");
}

#[test]
fn a_tag_names_the_same_body_under_every_seed() {
    let bodies = ["0", "1"].map(|seed| {
        let origin = LocalOrigin::new(&["--seed", seed]);
        get(&origin, "/etag/v1").body
    });
    assert_eq!(bodies[0], bodies[1]);
}

#[test]
fn a_streamed_body_comes_in_chunks_without_a_length() {
    let origin = LocalOrigin::new(&[]);
    let mut client = Client::to(origin.address());
    for length in [0, 1, 25, 30] {
        let reply = client.ask("GET", &format!("/stream-bytes/{length}?chunk_size=10"), "");
        assert_eq!(reply.field("transfer-encoding"), "chunked");
        assert_eq!((reply.field("content-length"), reply.body.len()), ("", length));
    }
}

#[test]
fn head_has_the_head_of_get_and_no_body_on_a_connection_that_stays_open() {
    let origin = LocalOrigin::new(&[]);
    let mut client = Client::to(origin.address());
    for target in [
        "/",
        "/bytes/10",
        "/etag/a",
        "/nothing",
        "/redirect/1",
        "/status/503",
        "/drip?duration=0",
        "/stats",
    ] {
        let mut got = client.ask("GET", target, "");
        let mut head = client.ask("HEAD", target, "");
        assert_eq!((head.status, head.body.len()), (got.status, 0), "{target}");
        // The second may turn between the two, and the counts do.
        for reply in [&mut got, &mut head] {
            reply.fields.remove("date").expect("every reply has its date");
            if target == "/stats" {
                reply.fields.remove("content-length").expect("known before");
            }
        }
        assert_eq!(head.fields, got.fields, "{target}");
    }
}

#[test]
fn a_cut_body_ends_early_and_can_be_continued() {
    let origin = LocalOrigin::new(&[]);
    let target = "/bytes/100000?cut=40000";
    let mut body = Vec::new();
    for whole in [false, false, true] {
        let reply = get_with(&origin, target, &format!("Range: bytes={}-\r\n", body.len()));
        assert_eq!(reply.whole, whole);
        body.extend(reply.body);
    }
    assert_eq!(body.len(), 100_000);
    for (number, quarter) in body.chunks(25_000).enumerate() {
        let (first, last) = (number * 25_000, number * 25_000 + 24_999);
        let part = get_with(&origin, target, &format!("Range: bytes={first}-{last}\r\n"));
        assert!(part.whole && part.body == quarter);
    }
}

#[test]
fn redirects_lead_to_get_and_take_the_query_along() {
    let origin = LocalOrigin::new(&[]);
    let place = |target: &str| {
        let reply = get(&origin, target);
        (reply.status, reply.field("location").to_owned())
    };
    assert_eq!(place("/redirect/2?n=1"), (302, "/redirect/1?n=1".to_owned()));
    assert_eq!(place("/redirect/1?n=1"), (302, "/get?n=1".to_owned()));
    assert_eq!(place("/absolute-redirect/1"), (302, "http://origin.test/get".to_owned()));
    assert_eq!(
        place("/redirect-to?url=http%3A%2F%2Fb%2F&status_code=307"),
        (307, "http://b/".to_owned())
    );
    assert_eq!(place("/redirect-to?url=%0d%0aX-Evil:1").0, 400);
}

#[test]
fn every_status_asked_for_is_sent() {
    let origin = LocalOrigin::new(&[]);
    let mut client = Client::to(origin.address());
    for code in [200, 204, 299, 301, 304, 404, 418, 429, 500, 599] {
        assert_eq!(client.ask("GET", &format!("/status/{code}"), "").status, code);
    }
    assert_eq!(client.ask("GET", "/status/503?retry_after=7", "").field("retry-after"), "7");
}

#[test]
fn the_request_is_echoed() {
    let origin = LocalOrigin::new(&[]);
    let headers = get_with(&origin, "/headers", "X-One: 1\r\nX-One: 2\r\n").json();
    assert_eq!(headers["headers"]["x-one"], "1, 2");
    let echo = get(&origin, "/get?a=b%20c").json();
    assert_eq!(echo["args"]["a"], "b c");
    assert_eq!(echo["url"], "http://origin.test/get?a=b%20c");
    assert_eq!(echo["origin"], "127.0.0.1");
    assert!(get(&origin, "/").text().contains("/stream-bytes/N"));
}

#[test]
fn what_is_not_served_is_refused_in_words() {
    let origin = LocalOrigin::new(&[]);
    assert_eq!(get(&origin, "/nothing").status, 404);
    assert_eq!(get(&origin, "/bytes/many").status, 400);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let reply = Client::to(origin.address()).ask(method, "/bytes/1", "");
        assert_eq!((reply.status, reply.field("allow")), (405, "GET, HEAD"), "{method}");
    }
}

#[test]
fn errors_fall_on_the_same_requests_whatever_the_order() {
    let statuses = |order: &mut dyn Iterator<Item = u32>| {
        let origin = LocalOrigin::new(&["--error-rate", "30%"]);
        let mut client = Client::to(origin.address());
        let mut statuses: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
        for number in order {
            let status = client.ask("GET", &format!("/bytes/1?n={number}"), "").status;
            statuses.entry(number).or_default().push(status);
        }
        let failed = statuses.values().flatten().filter(|status| **status == 503).count();
        assert_eq!(stats(&origin)["errors"], failed);
        assert!((60..120).contains(&failed), "{failed}");
        statuses
    };
    let round_by_round = statuses(&mut (0..3).flat_map(|_| 0..100));
    let one_by_one = statuses(&mut (0..100).rev().flat_map(|number| [number; 3]));
    assert_eq!(round_by_round, one_by_one);
}

#[test]
fn requests_beyond_the_rate_are_told_when_to_come_back() {
    let origin = LocalOrigin::new(&["--rate", "2/1h"]);
    let mut client = Client::to(origin.address());
    let replies: Vec<_> = (0..4).map(|n| client.ask("GET", &format!("/bytes/{n}"), "")).collect();
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200, 200, 429, 429]);
    let wait: u64 = replies[2].field("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    assert_eq!(stats(&origin)["rate_limited"], 2);
}

#[test]
fn requests_and_connections_are_counted_by_host_at_their_peak() {
    let origin = LocalOrigin::new(&[]);
    let mut clients: Vec<_> = (0..5).map(|_| Client::to(origin.address())).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let host = if number < 2 { "a.test" } else { "b.test:81" };
        client.send(&format!("GET /delay/3600 HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    }
    let during = wait_for(&origin, |stats| stats["requests"]["now"] == 5);
    assert_eq!(during["connections"]["now"], 5);
    assert_eq!(during["hosts"]["a.test"]["requests"]["now"], 2);
    drop(clients);
    let after = wait_for(&origin, |stats| stats["connections"]["now"] == 0);
    assert_eq!(after["requests"]["now"], 0);
    assert_eq!(after["requests"]["peak"], 5);
    assert_eq!(after["hosts"]["a.test"]["connections"]["peak"], 2);
    assert_eq!(after["hosts"]["b.test:81"]["connections"]["total"], 3);
}

#[test]
fn a_connection_serves_many_requests_and_counts_once() {
    let origin = LocalOrigin::new(&[]);
    let mut client = Client::to(origin.address());
    for _ in 0..10 {
        assert_eq!(client.ask("GET", "/bytes/10", "").status, 200);
    }
    let stats = client.ask("GET", "/stats", "").json();
    assert_eq!(stats["requests"]["total"], 10);
    assert_eq!(stats["connections"]["total"], 1);
}

#[test]
fn no_more_connections_are_served_at_a_time_than_allowed() {
    let origin = LocalOrigin::new(&["--max-connections", "2"]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let reply = get_with(&origin, "/bytes/10", "Connection: close\r\n");
                assert_eq!(reply.status, 200);
            });
        }
    });
    let connections = &get_with(&origin, "/stats", "Connection: close\r\n").json()["connections"];
    assert_eq!(connections["total"], 8);
    assert!(connections["peak"].as_u64().unwrap() <= 2, "{connections}");
}

#[test]
fn broken_clients_hurt_nobody_else() {
    let origin = LocalOrigin::new(&[]);
    for nonsense in [
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "\u{16}\u{3}\u{1}",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /bytes/10 HT",
    ] {
        Client::to(origin.address()).send(nonsense);
    }
    let mut reader_of_one_byte = Client::to(origin.address());
    reader_of_one_byte.send("GET /bytes/1099511627776 HTTP/1.1\r\nHost: a\r\n\r\n");
    reader_of_one_byte.0.fill_buf().unwrap();
    let _silent = Client::to(origin.address());
    assert_eq!(get(&origin, "/bytes/10").status, 200);
    drop(reader_of_one_byte);
    wait_for(&origin, |stats| stats["requests"]["now"] == 0);
}

#[test]
fn a_client_that_asks_on_without_reading_is_left_to_itself() {
    let origin = LocalOrigin::new(&[]);
    let mut client = Client::to(origin.address());
    let request = "GET /bytes/1099511627776 HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(&request.repeat(2));
    wait_for(&origin, |stats| stats["requests"]["now"] == 1);
    assert_eq!(get(&origin, "/bytes/10").status, 200);
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let origin = LocalOrigin::new(&[]);
    let mut client = Client::to(origin.address());
    let requests = (1..=50).map(|n| format!("GET /bytes/{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.send(&requests.collect::<String>());
    for length in 1..=50 {
        assert_eq!(client.receive("GET").body.len(), length);
    }
}

#[test]
fn an_old_client_is_served_until_the_connection_closes() {
    let origin = LocalOrigin::new(&[]);
    let mut client = Client::to(origin.address());
    client.send("GET /stream-bytes/25 HTTP/1.0\r\n\r\n");
    let mut reply = Vec::new();
    client.0.read_to_end(&mut reply).unwrap();
    let head = reply.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(reply.len() - head, 25);
}

#[test]
fn a_stopped_origin_is_gone_with_its_connections() {
    let origin = LocalOrigin::new(&[]);
    let mut client = Client::to(origin.address());
    client.send("GET /delay/3600 HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&origin, |stats| stats["requests"]["now"] == 1);
    drop(origin);
    let mut rest = Vec::new();
    assert!(client.0.read_to_end(&mut rest).map_or(true, |count| count == 0));
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let first = LocalOrigin::new(&[]);
    let port = first.address().port().to_string();
    let second = Run::new().args(["serve", "--until-eof", "--port", &port]).seen();
    assert_eq!(second.code, Some(3), "one port, one origin: {second:?}");
    assert!(second.stderr.contains(&first.address().to_string()), "{second:?}");
}
