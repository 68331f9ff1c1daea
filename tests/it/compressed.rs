//! `--compressed`: bodies that come in a content coding are decoded, and are whole or not saved.

use std::io::{BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::support::coded::{brotli, gzip, zstd};
use crate::support::raw::{HeadOf, Raw};
use crate::support::saved_files::{entry, names, saved_in};
use crate::support::{
    End, Origin, Reply, Run, Seen, class_of, in_all_modes_at_once, in_every_mode, until,
};

/// Text that compresses well, and is large enough to be on the disk before it is whole.
fn text() -> Vec<u8> {
    (0..10_000).flat_map(|number| format!("line {number}\n").into_bytes()).collect()
}

fn run(mode: &str) -> Run {
    Run::json(mode).args(["--compressed", "--retry-delay", "1ms"])
}

fn saving(mode: &str, folder: &Path) -> Run {
    run(mode).arg("-d").arg(folder)
}

/// A reply whose body is in these codings, framed by its length.
fn coded(codings: &str, body: &[u8]) -> Reply {
    Reply::of("200 OK", &format!("Content-Encoding: {codings}\r\nETag: \"a\"\r\n"), body)
}

/// An origin whose path `/n` is answered by the nth reply.
fn origin_of(replies: Vec<Reply>) -> Origin {
    Origin::new(move |request| replies[request.path[1..].parse::<usize>().unwrap()].clone())
}

fn list_of(origin: &Origin, number: usize) -> String {
    (0..number).map(|number| origin.url(&format!("/{number}")) + "\n").collect()
}

#[test]
fn what_is_saved_is_the_source_whatever_it_was_sent_in() {
    let text = text();
    let half = text.len() / 2;
    let members = [gzip(&text[..half]), gzip(&text[half..])].concat();
    let chunked = {
        let body = gzip(&text);
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n";
        let mut bytes = format!("{head}\r\n{:x}\r\n", body.len()).into_bytes();
        bytes.extend([&body[..], b"\r\n0\r\n\r\n"].concat());
        Reply::raw(bytes, End::KeepAlive)
    };
    let bodies = [
        ("gzip", gzip(&text)),
        ("br", brotli(&text)),
        ("zstd", zstd(&text)),
        ("x-gzip", gzip(&text)),
        ("GZip", gzip(&text)),
        ("X-GZIP", gzip(&text)),
        ("Br", brotli(&text)),
        ("ZStd", zstd(&text)),
        ("gzip", members),
        ("gzip, br", brotli(gzip(&text))),
        ("zstd,gzip", gzip(zstd(&text))),
        ("gzip\r\nContent-Encoding: br", brotli(gzip(&text))),
        (", gzip,", gzip(&text)),
        ("identity", text.clone()),
        ("gzip, identity", gzip(&text)),
    ];
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let mut replies: Vec<_> =
            bodies.iter().map(|(codings, body)| coded(codings, body)).collect();
        replies.push(chunked.clone());
        let count = replies.len();
        let origin = origin_of(replies);
        let seen = saving(mode, folder.path()).list(list_of(&origin, count)).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let saved = saved_in(folder.path());
        assert_eq!(saved.len(), count);
        for (row, place) in seen.rows_in_list_order().iter().zip(0..) {
            assert!(saved[&place.to_string()] == text, "{row}");
            assert_eq!((&row["bytes"], &row["attempts"]), (&text.len().into(), &1.into()));
            let sent = bodies.get(place).unwrap_or(&bodies[0]).1.len();
            assert_eq!(row["wire_bytes"], sent, "{row}");
            assert_eq!(entry(folder.path(), &place.to_string())["bytes"], text.len());
        }
        let sent: usize = bodies.iter().map(|(_, body)| body.len()).sum();
        assert_eq!(seen.summary()["bytes"], text.len() * count);
        assert_eq!(seen.summary()["wire_bytes"], sent + bodies[0].1.len());
        for request in origin.seen() {
            assert_eq!(request.header("accept-encoding"), Some("gzip, br, zstd"));
        }
    });
}

#[test]
fn it_is_decoded_where_nothing_is_saved_too_and_digests_are_of_what_is_decoded() {
    in_every_mode(|mode| {
        let body = gzip("hello");
        let length = body.len();
        let origin = origin_of(vec![coded("gzip", &body)]);
        let seen = run(mode).args(["--digest", "crc32", &origin.url("/0")]).seen();
        let row = seen.row();
        assert_eq!((&row["bytes"], &row["wire_bytes"]), (&5.into(), &length.into()), "{seen:?}");
        assert_eq!(row["digest"], "crc32=3610a686");
    });
}

#[test]
fn an_accept_encoding_of_ones_own_counts_more() {
    in_every_mode(|mode| {
        let origin = origin_of(vec![coded("gzip", &gzip("hello"))]);
        let args = ["-H", "Accept-Encoding: zstd", &origin.url("/0")];
        let seen = run(mode).args(args).seen();
        assert_eq!(seen.row()["bytes"], 5, "it is decoded all the same: {seen:?}");
        let request = &origin.seen()[0];
        let fields = request.headers.iter().filter(|(name, _)| name == "accept-encoding");
        assert_eq!(fields.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["zstd"]);
    });
}

#[test]
fn without_it_a_coded_body_is_saved_as_it_is_sent() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let body = gzip(text());
        let odd = coded("rot13", b"uryyb");
        let origin = origin_of(vec![coded("gzip", &body), odd]);
        let run = Run::json(mode).arg("-d").arg(folder.path());
        let seen = run.list(list_of(&origin, 2)).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(
            saved_in(folder.path()).into_values().collect::<Vec<_>>(),
            [body, b"uryyb".into()]
        );
        assert!(origin.seen().iter().all(|request| request.header("accept-encoding").is_none()));
    });
}

#[test]
fn a_coded_body_that_ends_early_in_whole_framing_is_truncated_tried_again_and_never_saved() {
    let text = text();
    let cut = |body: Vec<u8>| body[..body.len() - 5].to_vec();
    let bodies = [
        ("gzip", cut(gzip(&text))),
        ("br", cut(brotli(&text))),
        ("zstd", cut(zstd(&text))),
        ("gzip", gzip(&text)[..9].to_vec()),
        ("gzip, br", brotli(cut(gzip(&text)))),
        ("gzip, br", cut(brotli(gzip(&text)))),
        ("gzip", [gzip(&text), cut(gzip(&text))].concat()),
    ];
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let replies: Vec<_> = bodies.iter().map(|(codings, body)| coded(codings, body)).collect();
        let count = replies.len();
        let origin = origin_of(replies);
        let run = saving(mode, folder.path()).args(["--retry", "2"]);
        let seen = run.list(list_of(&origin, count)).seen();
        for row in seen.rows_in_list_order() {
            assert_eq!(
                (class_of(&row), &row["attempts"]),
                ("truncated".into(), &3.into()),
                "{row}"
            );
        }
        assert_eq!((seen.code, names(folder.path())), (Some(1), vec![]), "{seen:?}");
        assert_eq!(origin.requests(), 3 * count);
        assert!(origin.seen().iter().all(|request| request.header("range").is_none()));
    });
}

#[test]
fn a_coded_body_that_is_cut_is_asked_for_as_a_whole_and_saved_at_last() {
    // Enough that some is on the disk when it is cut.
    let text: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(300_000).collect();
    let body = gzip(&text);
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let reply = coded("gzip", &body);
        let origin = Origin::new(move |request| match request.nth {
            0 => reply.clone().but(100_000, End::Reset),
            1 => reply.clone().but(50_000, End::Close),
            _ => reply.clone(),
        });
        let seen = saving(mode, folder.path()).arg(origin.url("/a")).seen();
        assert_eq!((seen.code, &seen.row()["attempts"]), (Some(0), &3.into()), "{seen:?}");
        assert!(origin.seen().iter().all(|request| request.header("range").is_none()));
        assert!(saved_in(folder.path()) == [("a".to_owned(), text.clone())].into());
    });
}

#[test]
fn a_part_of_a_run_without_it_is_continued_uncoded() {
    in_every_mode(|mode| {
        let (folder, body) = (tempfile::tempdir().unwrap(), text());
        let origin = Origin::new(move |request| {
            let Some(range) = request.header("range") else {
                return Reply::of("200 OK", "ETag: \"a\"\r\n", &body).but(20_000, End::Close);
            };
            let first: usize = range["bytes=".len()..].trim_end_matches('-').parse().unwrap();
            let (last, length) = (body.len() - 1, body.len());
            let range = format!("ETag: \"a\"\r\nContent-Range: bytes {first}-{last}/{length}\r\n");
            Reply::of("206 Partial Content", &range, &body[first..])
        });
        let run = Run::json(mode).args(["--retry", "0"]).arg("-d").arg(folder.path());
        assert_eq!(class_of(&run.arg(origin.url("/a")).seen().row()), "truncated");
        let seen = saving(mode, folder.path()).arg(origin.url("/a")).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let request = origin.seen().pop().unwrap();
        assert!(request.header("range").is_some());
        assert_eq!(request.header("accept-encoding"), None);
        assert!(saved_in(folder.path())["a"] == text());
    });
}

#[test]
fn a_damaged_coded_body_is_protocol_and_is_not_tried_again() {
    let text = text();
    // The second member starts with a block of the reserved type (RFC 1951 section 3.2.3).
    let mut damaged = gzip(&text).repeat(2);
    let block = damaged.len() / 2 + 10;
    damaged[block] |= 0b110;
    let mut wrong_sum = gzip(&text);
    let length = wrong_sum.len();
    wrong_sum[length - 8] ^= 0xff;
    let bodies = [
        ("gzip", damaged),
        ("gzip", wrong_sum),
        ("gzip", text.clone()),
        ("br", gzip(&text)),
        ("zstd", gzip(&text)),
        ("zstd", text.clone()),
    ];
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let replies: Vec<_> = bodies.iter().map(|(codings, body)| coded(codings, body)).collect();
        let count = replies.len();
        let origin = origin_of(replies);
        let seen = saving(mode, folder.path()).list(list_of(&origin, count)).seen();
        for (row, (codings, _)) in seen.rows_in_list_order().iter().zip(&bodies) {
            assert_eq!(class_of(row), "protocol", "{row}");
            let message = row["error"]["message"].as_str().unwrap();
            assert!(message.contains(&format!("invalid HTTP response: {codings}: ")), "{message}");
        }
        assert_eq!((seen.code, names(folder.path())), (Some(1), vec![]), "{seen:?}");
        assert_eq!(origin.requests(), count);
    });
}

#[test]
fn a_coding_that_is_not_known_is_protocol_and_named() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let replies = ["rot13", "gzip, rot13", "rot13, br"].map(|codings| coded(codings, b"x"));
        let origin = origin_of(replies.to_vec());
        let seen = saving(mode, folder.path()).list(list_of(&origin, 3)).seen();
        for row in seen.rows() {
            assert_eq!((class_of(&row), &row["attempts"]), ("protocol".into(), &1.into()));
            let message = row["error"]["message"].as_str().unwrap();
            assert!(message.ends_with("unsupported content encoding 'rot13'"), "{message}");
        }
        assert_eq!((seen.code, names(folder.path())), (Some(1), vec![]), "{seen:?}");
    });
}

#[test]
fn what_a_reply_says_of_a_coded_body_is_held_against_what_is_sent() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let body = gzip("hello");
        let digest = |bytes: &[u8]| {
            use sha2::Digest;

            data_encoding::BASE64.encode(&sha2::Sha256::digest(bytes))
        };
        let claiming = |field: &str, bytes: &[u8]| {
            let fields =
                format!("Content-Encoding: gzip\r\n{field}: sha-256=:{}:\r\n", digest(bytes));
            Reply::of("200 OK", &fields, &body)
        };
        let origin = origin_of(vec![
            claiming("Content-Digest", &body),
            claiming("Repr-Digest", &body),
            claiming("Repr-Digest", b"hello"),
        ]);
        let seen = saving(mode, folder.path()).list(list_of(&origin, 3)).seen();
        assert_eq!(seen.classes_in_list_order(), ["ok", "ok", "checksum"], "{seen:?}");
        assert_eq!(names(folder.path()), ["0", "1"]);
    });
}

/// A run that saves these coded bodies, each of which is too large: requested once, with nothing kept.
fn too_large(mode: &str, bodies: &[(&str, Vec<u8>)], options: &[&str]) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let replies: Vec<_> = bodies.iter().map(|(codings, body)| coded(codings, body)).collect();
    let count = replies.len();
    let origin = origin_of(replies);
    let seen = saving(mode, folder.path()).args(options).list(list_of(&origin, count)).seen();
    assert_eq!(seen.classes_in_list_order(), vec!["too_large"; count], "{seen:?}");
    assert_eq!((origin.requests(), names(folder.path())), (count, vec![]));
    seen
}

#[test]
fn a_few_bytes_that_become_very_many_are_stopped_at_the_largest_size_with_memory_flat() {
    let zeros = vec![0; 80 << 20];
    // Twice coded, they are a few hundred bytes.
    let bodies =
        [("gzip", gzip(&zeros)), ("br", brotli(&zeros)), ("gzip, zstd", zstd(gzip(&zeros)))];
    drop(zeros);
    in_every_mode(|mode| {
        let seen = too_large(mode, &bodies, &["-j1", "--max-filesize", "1M"]);
        for row in seen.rows() {
            assert!(row["bytes"].as_u64().unwrap() <= 1 << 20, "{row}");
        }
        let peak = seen.summary()["resources"]["peak_memory"].as_u64().unwrap();
        assert!(peak < 80 << 20, "{peak} bytes at the peak");
    });
}

#[test]
fn a_body_that_decodes_to_more_than_1000_times_its_size_is_given_up() {
    let zeros = vec![0; 80 << 20];
    let bodies =
        [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros)), ("gzip, br", brotli(gzip(&zeros)))];
    drop(zeros);
    in_every_mode(|mode| {
        let seen = too_large(mode, &bodies, &[]);
        let last = &seen.rows_in_list_order()[2];
        let message = format!(
            "{} compressed bytes decode to more than 1000 times as many; to save them as sent, leave \
             out --compressed",
            bodies[2].1.len()
        );
        assert_eq!(last["error"]["message"], message);
        assert!(last["bytes"].as_u64().unwrap() >> 20 == 64, "{last}");
    });
}

#[test]
fn a_quota_bounds_what_is_decoded_too() {
    let zeros = vec![0; 4 << 20];
    in_every_mode(|mode| {
        let origin = origin_of(vec![coded("gzip", &gzip(&zeros)), coded("gzip", &gzip(&zeros))]);
        let asking = |quota| {
            let run = run(mode).args(["-j1", "--quota", quota]).list(list_of(&origin, 2));
            run.seen().classes_in_list_order()
        };
        assert_eq!(asking("6M"), ["ok", "quota"]);
        assert_eq!(asking("8M"), ["ok", "ok"], "the bytes received are fewer, and not added");
    });
}

#[test]
fn more_than_three_codings_are_refused() {
    let text = b"text";
    let thrice = gzip(gzip(zstd(text)));
    in_every_mode(|mode| {
        let four = coded("zstd, gzip, gzip, gzip", &gzip(&thrice));
        let origin = origin_of(vec![coded("zstd, gzip, gzip", &thrice), four]);
        let seen = run(mode).list(list_of(&origin, 2)).seen();
        assert_eq!(seen.classes_in_list_order(), ["ok", "protocol"], "{seen:?}");
        let message = seen.rows_in_list_order()[1]["error"]["message"].clone();
        assert_eq!(message, "invalid HTTP response: more than 3 content encodings");
    });
}

#[test]
fn codings_that_need_several_of_the_largest_windows_are_refused() {
    let text = b"text";
    in_every_mode(|mode| {
        let twice = coded("br, br", &brotli(brotli(text)));
        let mixed = coded("br, gzip", &gzip(brotli(text)));
        let origin = origin_of(vec![twice, mixed]);
        let seen = run(mode).list(list_of(&origin, 2)).seen();
        assert_eq!(seen.classes_in_list_order(), ["protocol", "ok"], "{seen:?}");
        let message = seen.rows_in_list_order()[0]["error"]["message"].clone();
        let words = "content encodings that need more than 16 MiB of memory to decode";
        assert_eq!(message, format!("invalid HTTP response: {words}"));
    });
}

#[test]
fn bodies_whose_windows_are_more_than_the_budget_wait_for_each_other() {
    // Twice 8 MiB for each body, of 128 MiB; in the other, 16 MiB. Dense ones are decoded one after another as well, unless
    // that takes long, as on a busy machine.
    let random = (0..1_u32 << 20).map(|place| (place.wrapping_mul(place) >> 7) as u8);
    let zeros = vec![0; 24 << 20];
    let bodies = [("zstd, zstd", zstd(zstd(random.collect::<Vec<u8>>()))), ("br", brotli(&zeros))];
    drop(zeros);
    in_every_mode(|mode| {
        for ((codings, body), bytes) in bodies.iter().zip([1 << 20, 24 << 20]) {
            let origin = origin_of(vec![coded(codings, body); 16]);
            let run = run(mode).args(["-j", if mode == "sequential" { "1" } else { "16" }]);
            let seen = run.list(list_of(&origin, 16)).seen();
            assert_eq!(seen.classes_in_list_order(), vec!["ok"; 16], "{seen:?}");
            assert!(seen.rows().iter().all(|row| row["bytes"] == bytes), "{seen:?}");
            let peak = seen.summary()["resources"]["peak_memory"].as_u64().unwrap() >> 20;
            assert!(mode == "processes" || peak < 128 + 32, "{peak} MiB at the peak");
        }
    });
}

#[test]
fn memory_is_flat_where_a_bomb_is_let_through() {
    let zeros = vec![0; 64 << 20];
    let body = gzip(gzip(&zeros));
    let origin = origin_of(vec![coded("gzip, gzip", &body)]);
    let seen = run("async").arg(origin.url("/0")).seen();
    assert_eq!(seen.row()["bytes"], zeros.len(), "{seen:?}");
    let peak = seen.summary()["resources"]["peak_memory"].as_u64().unwrap();
    assert!(peak < 40 << 20, "{peak} bytes at the peak");
}

#[test]
fn names_that_stand_for_no_coding_leave_the_body_as_it_is() {
    let names =
        ["", "identity", "none", "None", "utf-8", "UTF-8", "aws-chunked", "identity, none", ","];
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let replies = names.iter().map(|name| coded(name, b"hello")).collect();
        let origin = origin_of(replies);
        let seen = saving(mode, folder.path()).list(list_of(&origin, names.len())).seen();
        for (row, name) in seen.rows_in_list_order().iter().zip(names) {
            assert_eq!((class_of(row).as_str(), &row["bytes"]), ("ok", &5.into()), "{name}: {row}");
        }
    });
}

#[test]
#[ignore = "takes half a minute: a body is slow for ten seconds before it is given up"]
fn a_slow_body_is_given_up_if_others_wait_for_the_memory_of_its_decoder() {
    // Windows of 16 MiB, of 128 MiB in all.
    const SLOW: usize = 8;
    let body = brotli(text());
    in_all_modes_at_once(|mode| {
        if mode == "sequential" {
            return;
        }
        let dripped = Arc::<AtomicUsize>::default();
        let (body, count) = (body.clone(), Arc::clone(&dripped));
        let raw = Raw::new(move |mut stream, _| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let Some(head) = HeadOf::read(&mut reader) else { return };
            let begun = if head.target.contains("slow") { 100 } else { body.len() };
            let fields = format!("Content-Encoding: br\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{fields}").as_bytes());
            let _ = stream.write_all(&body[..begun]);
            for byte in body[begun..].chunks(1) {
                std::thread::sleep(Duration::from_millis(200));
                count.fetch_add(1, SeqCst);
                if stream.write_all(byte).is_err() {
                    return;
                }
            }
        });
        let list = |name: &str, count| -> String {
            let url = |number| format!("http://{}/{name}/{number}\n", raw.address());
            (0..count).map(url).collect()
        };
        let args = ["--jobs", "12", "--per-host", "0", "--retry", "0", "--deadline", "60s"];
        let mut live = run(mode).args(args).arg("-").live();
        live.write(&list("slow", SLOW));
        // By then each has the memory of its decoder.
        until("slow bodies", || dripped.load(SeqCst) >= 10 * SLOW);
        live.write(&list("quick", 4));
        let seen = live.seen();
        let classes = seen.classes_in_list_order();
        assert_eq!(classes[SLOW..], ["ok"; 4], "{seen:?}");
        let rows = seen.rows_in_list_order();
        let messages = rows.iter().filter_map(|row| row["error"]["message"].as_str());
        let rule = "(others waited for the memory of its decoder)";
        assert!(messages.clone().any(|message| message.contains(rule)), "{seen:?}");
    });
}
