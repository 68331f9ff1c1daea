//! A reply that is not the resource: a range that is refused, a slice with the status of the whole, a success without a
//! body. What the server serves as a whole is had in the same run, and nothing that is there is given up for less.

use std::fs;

use super::{Folder, NAME};
use crate::support::versions::body;
use crate::support::{End, Origin, Reply, Request, class_of, in_all_modes_at_once};

/// Long enough to be written as it comes, and what of it arrives before the cut.
const LENGTH: usize = (1 << 20) + 4321;
const CUT: usize = 90_000;

fn whole() -> Vec<u8> {
    body(1, LENGTH)
}

fn served(fields: &str) -> Reply {
    Reply::of("200 OK", &format!("ETag: \"v1\"\r\nAccept-Ranges: bytes\r\n{fields}"), whole())
}

fn first_byte(request: &Request) -> Option<usize> {
    request.header("range")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}

/// An origin that cuts the first reply, answers ranges by `refusal`, and serves the whole to every other request.
fn origin(refusal: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Origin {
    Origin::new(move |request| match first_byte(request) {
        Some(first) => refusal(first),
        None if request.nth == 0 => {
            let mut reply = served("").bytes;
            reply.truncate(reply.len() - LENGTH + CUT);
            Reply::raw(reply, End::Close)
        }
        None => served(""),
    })
}

/// In a folder with the beginning of the body, the same command ends with the whole, though ranges are answered so.
fn ends_whole(what: &str, refusal: impl Fn(usize) -> Reply + Clone + Send + Sync + 'static) {
    in_all_modes_at_once(|mode| {
        let folder = Folder::new();
        let origin = origin(refusal.clone());
        let run = || {
            let run = folder.run(mode).args(["--retry", "0"]);
            run.arg(origin.url("/file.bin")).seen()
        };
        let begun = run();
        assert_eq!(class_of(&begun.row()), "truncated", "{what}: {begun:?}");
        assert!(folder.begun() > 0, "{what}: a part is left");
        let seen = run();
        assert_eq!(seen.code, Some(0), "{what}: {seen:?}");
        assert!(folder.file() == whole(), "{what}: the file is the body");
        assert_eq!(folder.names(), [NAME], "{what}");
    });
}

#[test]
fn a_slice_with_the_status_of_the_whole_is_not_taken_for_the_whole() {
    let rest = |first: usize| whole()[first..].to_vec();
    for status in ["200 OK", "203 Non-Authoritative Information"] {
        ends_whole("a slice without a word", move |first| Reply::of(status, "", rest(first)));
        ends_whole("a slice with the tag of the version", move |first| {
            Reply::of(status, "ETag: \"v1\"\r\n", rest(first))
        });
        ends_whole("a slice with another tag", move |first| {
            Reply::of(status, "ETag: \"v2\"\r\n", rest(first))
        });
        ends_whole("a slice with its range", move |first| {
            let range = format!("Content-Range: bytes {first}-{}/{LENGTH}\r\n", LENGTH - 1);
            Reply::of(status, &range, rest(first))
        });
        ends_whole("another length with the tag of the version", move |_| {
            Reply::of(status, "ETag: \"v1\"\r\n", body(1, 777))
        });
    }
}

#[test]
fn a_range_that_is_refused_does_not_lose_a_body_that_is_served_as_a_whole() {
    for status in [
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "405 Method Not Allowed",
        "412 Precondition Failed",
        "416 Range Not Satisfiable",
        "500 Internal Server Error",
        "501 Not Implemented",
        "502 Bad Gateway",
        "503 Service Unavailable",
    ] {
        ends_whole(status, move |_| Reply::of(status, "", "no"));
    }
    ends_whole("a reset", |_| Reply::raw("", End::Reset));
    ends_whole("a close", |_| Reply::raw("", End::Close));
    ends_whole("a reply that is not HTTP", |_| Reply::raw("what?\r\n\r\n", End::Close));
}

#[test]
fn a_success_without_a_body_is_no_answer_to_a_range() {
    for status in [
        "201 Created",
        "202 Accepted",
        "204 No Content",
        "205 Reset Content",
        "207 Multi-Status",
        "226 IM Used",
        "299 X",
    ] {
        ends_whole(status, move |_| Reply::of(status, "", ""));
    }
}

#[test]
fn nothing_that_is_there_is_replaced_by_a_success_that_brings_no_body() {
    for status in
        ["202 Accepted", "204 No Content", "205 Reset Content", "207 Multi-Status", "299 X"]
    {
        in_all_modes_at_once(|mode| {
            let folder = Folder::new();
            let origin = Origin::new(move |request| match request.nth {
                0 => served(""),
                _ => Reply::of(status, "", ""),
            });
            let run = |args: &[&str]| {
                let run = folder.run(mode).args(["--retry", "0"]).args(args);
                run.arg(origin.url("/file.bin")).seen()
            };
            assert_eq!(run(&[]).code, Some(0));
            for how in ["--refresh", "--force"] {
                let seen = run(&[how]);
                assert_eq!(class_of(&seen.row()), "http_2xx", "{status} {how}: {seen:?}");
                assert_eq!(seen.code, Some(1), "{status} {how}");
                assert!(folder.file() == whole(), "{status} {how}: the file stays");
            }
        });
    }
}

#[test]
fn a_part_stays_where_neither_the_rest_nor_the_whole_is_served() {
    for status in ["204 No Content", "403 Forbidden"] {
        in_all_modes_at_once(|mode| {
            let folder = Folder::new();
            let origin = Origin::new(move |request| match request.nth {
                0 => {
                    let mut reply = served("").bytes;
                    reply.truncate(reply.len() - LENGTH + CUT);
                    Reply::raw(reply, End::Close)
                }
                1 | 2 => Reply::of(status, "", ""),
                _ => match first_byte(request) {
                    Some(first) => {
                        let range = format!(
                            "ETag: \"v1\"\r\nContent-Range: bytes {first}-{}/{LENGTH}\r\n",
                            LENGTH - 1
                        );
                        Reply::of("206 Partial Content", &range, &whole()[first..])
                    }
                    None => panic!("the part is continued"),
                },
            });
            let run = || {
                let run = folder.run(mode).args(["--retry", "0"]);
                run.arg(origin.url("/file.bin")).seen()
            };
            run();
            let begun = folder.begun();
            assert_eq!(run().code, Some(1), "{status}");
            assert_eq!(folder.begun(), begun, "{status}: the part stays");
            assert_eq!(run().code, Some(0), "{status}: and is continued");
            assert!(folder.file() == whole());
        });
    }
}

#[test]
fn a_server_that_sends_the_first_bytes_again_and_again_is_asked_as_often_as_retries_say() {
    let cut = served("").but(LENGTH - CUT, End::Close);
    for refusal in [Reply::of("416 Range Not Satisfiable", "", ""), cut.clone()] {
        in_all_modes_at_once(|mode| {
            let (folder, replies) = (Folder::new(), [cut.clone(), refusal.clone()]);
            let origin = Origin::new(move |request| {
                replies[usize::from(first_byte(request).is_some())].clone()
            });
            let run = folder.run(mode).args(["--retry", "2"]);
            let seen = run.arg(origin.url("/file.bin")).seen();
            assert_eq!(seen.code, Some(1), "{seen:?}");
            // One request and two retries, each of which may ask for the whole too, and once more for bytes that came.
            assert!(origin.requests() <= 7, "{} requests: {seen:?}", origin.requests());
        });
    }
}

#[test]
fn a_202_is_tried_again_and_in_the_end_a_failure() {
    in_all_modes_at_once(|mode| {
        let folder = Folder::new();
        let origin = Origin::new(|request| match (request.path.as_str(), request.nth) {
            ("/ready", 2) => Reply::of("200 OK", "", "ready"),
            _ => Reply::of("202 Accepted", "", "a challenge"),
        });
        let list = ["/ready", "/never"].map(|path| origin.url(path) + "\n").concat();
        let seen = folder.run(mode).args(["--retry", "2"]).list(list).seen();
        let rows = seen.rows_in_list_order();
        assert_eq!((&rows[0]["outcome"], &rows[0]["attempts"]), (&"ok".into(), &3.into()));
        assert_eq!((class_of(&rows[1]).as_str(), seen.code), ("http_2xx", Some(1)), "{seen:?}");
        assert_eq!(fs::read(folder.at("ready")).unwrap(), b"ready");
        assert_eq!(folder.names(), ["ready"]);
    });
}

#[test]
fn one_refused_segment_does_not_lose_a_file_that_one_stream_gets() {
    for status in [
        "403 Forbidden",
        "416 Range Not Satisfiable",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ] {
        in_all_modes_at_once(|mode| {
            let folder = Folder::new();
            let origin = Origin::new(move |request| match first_byte(request) {
                Some(_) => Reply::of(status, "", "no"),
                None => served(""),
            });
            let run = folder.run(mode).args(["--retry", "1", "--split", "4"]);
            let run = run.args(["--min-split-size", "64k", "--jobs", "4"]);
            let run = if mode == "sequential" { folder.run(mode) } else { run };
            let seen = run.arg(origin.url("/file.bin")).seen();
            assert_eq!(seen.code, Some(0), "{status} {mode}: {seen:?}");
            assert!(folder.file() == whole(), "{status} {mode}");
        });
    }
}

#[test]
fn a_206_that_nobody_asked_for_is_taken_if_it_is_provably_the_whole() {
    let reply = |range: &str| {
        Reply::of("206 Partial Content", &format!("Content-Range: bytes {range}\r\n"), "hello")
    };
    in_all_modes_at_once(|mode| {
        let folder = Folder::new();
        let replies = ["0-4/5", "0-4/9", "0-4/*", "1-5/6"].map(reply);
        let origin = Origin::new(move |request| {
            replies[request.path[1..].parse::<usize>().unwrap()].clone()
        });
        let list: String = (0..4).map(|number| origin.url(&format!("/{number}")) + "\n").collect();
        let rows = folder.run(mode).args(["--retry", "0"]).list(list).seen().rows_in_list_order();
        assert_eq!(rows[0]["outcome"], "ok");
        assert!(rows[1..].iter().all(|row| class_of(row) == "protocol"), "{rows:?}");
        assert_eq!(folder.names(), ["0"]);
    });
}

#[test]
fn fewer_bytes_than_the_range_of_the_whole_are_not_the_whole() {
    let reply = |status: &str, sent: &str| {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Range: bytes 0-4/5\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let chunk = format!("{:x}\r\n{sent}\r\n0\r\n\r\n", sent.len());
        Reply::raw(head + &chunk, End::KeepAlive)
    };
    in_all_modes_at_once(|mode| {
        let folder = Folder::new();
        let origin = Origin::new(move |request| match request.path.as_str() {
            "/206-all" => reply("206 Partial Content", "hello"),
            "/206-less" => reply("206 Partial Content", "hell"),
            "/206-more" => reply("206 Partial Content", "hello!"),
            "/200-all" => reply("200 OK", "hello"),
            _ => reply("200 OK", "hell"),
        });
        let paths = ["/206-all", "/206-less", "/206-more", "/200-all", "/200-less"];
        let list = paths.map(|path| origin.url(path) + "\n").concat();
        let seen = folder.run(mode).args(["--retry", "0"]).list(list).seen();
        let expected = ["ok", "truncated", "protocol", "ok", "truncated"];
        assert_eq!(seen.classes_in_list_order(), expected, "{seen:?}");
        assert_eq!(folder.names(), ["200-all", "206-all"]);
    });
}

#[test]
fn a_range_with_another_length_than_its_own_continues_nothing() {
    let range = |first: usize| {
        format!("ETag: \"v1\"\r\nContent-Range: bytes {first}-{}/{LENGTH}\r\n", LENGTH - 1)
    };
    let of = move |first: usize, sent: &[u8]| Reply::of("206 Partial Content", &range(first), sent);
    // What is sent would be written behind what is there, and be continued later.
    ends_whole("the whole, cut", move |first| of(first, &whole()).but(LENGTH / 2, End::Close));
    ends_whole("the whole", move |first| of(first, &whole()));
    ends_whole("less", move |first| of(first, &whole()[first + 10..]));
}

#[test]
fn a_200_whose_range_is_a_part_of_the_whole_is_refused() {
    in_all_modes_at_once(|mode| {
        let folder = Folder::new();
        let origin =
            Origin::new(|_| Reply::of("200 OK", "Content-Range: bytes 0-4/9\r\n", "hello"));
        let seen = folder.run(mode).args(["--retry", "0"]).arg(origin.url("/x")).seen();
        assert_eq!(class_of(&seen.row()), "protocol", "{seen:?}");
        assert_eq!(folder.names(), Vec::<String>::new());
    });
}
