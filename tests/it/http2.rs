//! HTTP/2 in every mode, with a server that does what it should not: no fault of a connection costs a URL.

use std::fs;
use std::sync::Mutex;

use serde_json::Value;

use crate::support::http2::{Asked, Http2Origin, Settings, Talk, code, setting};
use crate::support::tls::{Authority, Identity};
use crate::support::{
    Gate, Run, Seen, class_of, in_all_modes_at_once, in_every_mode, with_a_clock,
};

/// A clock that a test does not wait for.
const NEVER: &str = "1h";

/// Who vouches for `site.test`, and a server's certificate for it.
fn site() -> (Authority, Identity) {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    (authority, identity)
}

/// A run that finds `site.test` at the origin and trusts it.
fn run(mode: &str, authority: &Authority, origin: &Http2Origin) -> Run {
    let run = Run::json(mode).args(["--retry-delay", "0s", "--cacert"]).arg(authority.file());
    run.args(origin.stands_for("site.test"))
}

fn urls(paths: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    paths.into_iter().map(|path| format!("https://site.test{}\n", path.as_ref())).collect()
}

fn numbered(count: usize) -> String {
    urls((0..count).map(|number| format!("/{number}")))
}

fn are_all_ok(seen: &Seen, count: usize) -> bool {
    let rows = seen.rows();
    rows.len() == count && rows.iter().all(|row| row["outcome"] == "ok")
}

fn ensure_all_ok(seen: &Seen, count: usize) {
    let rows = seen.rows();
    assert_eq!((seen.code, rows.len()), (Some(0), count), "{seen:?}");
    assert!(rows.iter().all(|row| row["outcome"] == "ok"), "{seen:?}");
    assert!(rows.iter().all(|row| row["http_version"] == "HTTP/2"), "{seen:?}");
}

fn ensure_no_try_was_counted(seen: &Seen) {
    assert!(seen.rows().iter().all(|row| row["attempts"] == 1), "{seen:?}");
}

/// Fetches this many URLs one after another from a server with this script, in every mode.
fn in_turn(
    count: usize,
    script: impl for<'a> Fn(&'a mut Talk, &Asked) -> &'a mut Talk + Send + Sync + Clone + 'static,
    prove: impl Fn(&Seen, &Http2Origin),
) {
    let (authority, identity) = site();
    in_every_mode(|mode| {
        let origin = Http2Origin::new(&identity, script.clone());
        let run = run(mode, &authority, &origin).args(["-j", "1", "--retry", "3"]);
        let seen = run.args(["--stall-timeout", NEVER]).list(numbered(count)).seen();
        prove(&seen, &origin);
    });
}

// Whole replies.

#[test]
fn a_server_that_does_as_it_should_is_asked_over_one_connection() {
    in_turn(
        10,
        |talk, asked| talk.answer(asked, "hello"),
        |seen, origin| {
            ensure_all_ok(seen, 10);
            ensure_no_try_was_counted(seen);
            assert_eq!(origin.connections(), 1);
        },
    );
}

#[test]
fn interim_replies_are_passed_over() {
    in_turn(
        3,
        |talk, asked| {
            let hint = [("link", "</style.css>; rel=preload"); 200];
            for _ in 0..20 {
                talk.head(asked, "103", &hint);
            }
            talk.answer(asked, "hello")
        },
        |seen, _| ensure_all_ok(seen, 3),
    );
}

#[test]
fn a_body_needs_no_length() {
    in_turn(
        3,
        |talk, asked| talk.head(asked, "200", &[]).data(asked, "hello").end(asked, ""),
        |seen, _| {
            ensure_all_ok(seen, 3);
            assert!(seen.rows().iter().all(|row| row["bytes"] == 5), "{seen:?}");
        },
    );
}

#[test]
fn a_reply_without_a_body_ends_with_its_head() {
    in_turn(
        3,
        |talk, asked| match asked.path.as_str() {
            "/0" => talk.only_head(asked, "204", &[]),
            "/1" => talk.only_head(asked, "200", &[("content-length", "0")]),
            _ => talk.only_head(asked, "200", &[("content-length", "5")]),
        },
        |seen, _| {
            let classes = seen.classes_in_list_order();
            assert_eq!(classes[..2], ["ok", "ok"], "{seen:?}");
            assert_ne!(classes[2], "ok", "five bytes are missing: {seen:?}");
        },
    );
}

// Connections that are dead.

#[test]
fn a_connection_on_which_a_request_has_stalled_is_asked_nothing_more() {
    let (authority, identity) = site();
    in_all_modes_at_once(|mode| {
        with_a_clock(|clock| {
            let origin = Http2Origin::new(&identity, |talk, asked| match asked.connection {
                0 => talk.fall_silent(),
                _ => talk.answer(asked, "hello"),
            });
            let run = run(mode, &authority, &origin).args(["-j", "1", "--retry", "9"]);
            let seen = run.args(["--stall-timeout", clock]).list(numbered(8)).seen();
            assert!(origin.paths_on(0).len() <= 1, "{:?}", origin.paths_on(0));
            origin.paths_on(0).len() == 1 && are_all_ok(&seen, 8)
        });
    });
}

#[test]
fn requests_that_stall_together_leave_their_connection_together() {
    let (authority, identity) = site();
    with_a_clock(|clock| {
        let origin = Http2Origin::new(&identity, |talk, asked| match asked.connection {
            0 => talk.fall_silent(),
            _ => talk.answer(asked, "hello"),
        });
        let run = run("async", &authority, &origin).args(["-j", "4", "--retry", "9"]);
        let seen = run.args(["--stall-timeout", clock]).list(numbered(20)).seen();
        assert!(origin.paths_on(0).len() <= 4, "{:?}", origin.paths_on(0));
        origin.paths_on(0).len() == 4 && are_all_ok(&seen, 20)
    });
}

#[test]
fn a_connection_that_goes_dead_in_a_body_is_left_and_the_body_continued() {
    let (authority, identity) = site();
    in_all_modes_at_once(|mode| {
        with_a_clock(|clock| {
            let origin = Http2Origin::new(&identity, |talk, asked| match asked.connection {
                0 => half(talk, asked).fall_silent(),
                _ => rest(talk, asked),
            });
            let folder = tempfile::tempdir().unwrap();
            let run = run(mode, &authority, &origin).args(["-j", "1", "--retry", "9", "--dir"]);
            let run = run.arg(folder.path()).args(["--stall-timeout", clock]);
            let seen = run.list(urls(["/file", "/other"])).seen();
            if origin.paths_on(0).is_empty() || !are_all_ok(&seen, 2) {
                return false;
            }
            assert_eq!(origin.paths_on(0), ["/file"]);
            assert_eq!(fs::read(folder.path().join("file")).unwrap(), body());
            true
        });
    });
}

#[test]
fn a_connection_with_requests_is_pinged_and_left_if_nothing_answers() {
    let (authority, identity) = site();
    in_all_modes_at_once(|mode| {
        with_a_clock(|clock| {
            let origin = Http2Origin::new(&identity, |talk, asked| {
                if (asked.connection, asked.nth) == (0, 1) {
                    talk.fall_silent()
                } else {
                    talk.answer(asked, "hello")
                }
            });
            let run = run(mode, &authority, &origin).args(["-j", "1", "--retry", "9"]);
            let seen = run.args(["--stall-timeout", clock]).list(numbered(6)).seen();
            assert!(origin.paths_on(0).len() <= 2, "{:?}", origin.paths_on(0));
            // A short clock runs out before a connection is asked whether it is alive.
            origin.pings_on(0) > 0 && are_all_ok(&seen, 6)
        });
    });
}

// GOAWAY.

#[test]
fn a_goaway_with_the_reply_of_its_last_stream_costs_nothing() {
    for why in [code::NO_ERROR, code::INTERNAL_ERROR, code::ENHANCE_YOUR_CALM] {
        in_turn(
            6,
            move |talk, asked| match asked.nth {
                1 => talk.go_away(asked.stream, why).answer(asked, "the last"),
                _ => talk.answer(asked, "hello"),
            },
            |seen, origin| {
                ensure_all_ok(seen, 6);
                ensure_no_try_was_counted(seen);
                assert_eq!(origin.paths_on(0), ["/0", "/1"]);
                assert_eq!(origin.paths_on(1), ["/2", "/3"]);
            },
        );
    }
}

#[test]
fn a_request_beyond_the_last_stream_costs_no_try() {
    for why in [code::NO_ERROR, code::INTERNAL_ERROR, code::ENHANCE_YOUR_CALM] {
        for nth in [0, 1] {
            in_turn(
                4,
                move |talk, asked| match (asked.connection, asked.nth) {
                    // Streams of a client are odd; the one before this has been answered.
                    (0, at) if at == nth => {
                        talk.go_away(asked.stream.saturating_sub(2), why).close()
                    }
                    _ => talk.answer(asked, "hello"),
                },
                |seen, origin| {
                    ensure_all_ok(seen, 4);
                    ensure_no_try_was_counted(seen);
                    assert_eq!(origin.paths_on(0).len(), nth + 1);
                },
            );
        }
    }
}

#[test]
fn a_goaway_in_the_middle_of_a_body_lets_it_end() {
    for why in [code::NO_ERROR, code::INTERNAL_ERROR] {
        in_turn(
            3,
            move |talk, asked| {
                talk.head(asked, "200", &[("content-length", "10")]).data(asked, "hello");
                talk.go_away(asked.stream, why).end(asked, "again").close()
            },
            |seen, origin| {
                ensure_all_ok(seen, 3);
                ensure_no_try_was_counted(seen);
                assert_eq!(origin.connections(), 3);
            },
        );
    }
}

#[test]
fn a_goaway_and_a_close_in_the_middle_of_a_body_is_continued() {
    for why in [code::NO_ERROR, code::INTERNAL_ERROR] {
        continued(move |talk, asked| half(talk, asked).go_away(asked.stream, why).close(), "reset");
    }
}

#[test]
fn a_goaway_between_requests_at_once_costs_only_those_beyond_it_and_no_try() {
    let (authority, identity) = site();
    let origin = Http2Origin::new(&identity, |talk, asked| {
        match (asked.connection, talk.requests().len()) {
            (0, 1..=3) => talk,
            (0, _) => {
                let [first, second] = [0, 1].map(|at| talk.requests()[at].clone());
                talk.go_away(second.stream, code::NO_ERROR);
                talk.answer(&second, "hello").answer(&first, "hello").close()
            }
            _ => talk.answer(asked, "hello"),
        }
    });
    let run = run("async", &authority, &origin).args(["-j", "4", "--retry", "0"]);
    let seen = run.args(["--stall-timeout", NEVER]).list(numbered(12)).seen();
    ensure_all_ok(&seen, 12);
    ensure_no_try_was_counted(&seen);
    assert_eq!(origin.paths_on(0).len(), 4);
}

#[test]
fn a_server_that_goes_away_each_time_is_given_up_after_the_tries() {
    in_turn(
        1,
        |talk, _| talk.go_away(0, code::NO_ERROR).close(),
        |seen, origin| {
            let row = seen.row();
            assert_eq!((class_of(&row).as_str(), &row["attempts"]), ("reset", &4.into()), "{row}");
            assert!(origin.seen().len() <= 4 * 20, "{} requests", origin.seen().len());
        },
    );
}

// Streams that end early.

#[test]
fn a_stream_that_is_refused_costs_no_try() {
    for nth in [0, 1] {
        in_turn(
            4,
            move |talk, asked| match (asked.connection, asked.nth) {
                (0, at) if at == nth => talk.reset(asked, code::REFUSED_STREAM),
                _ => talk.answer(asked, "hello"),
            },
            |seen, _| {
                ensure_all_ok(seen, 4);
                ensure_no_try_was_counted(seen);
            },
        );
    }
}

#[test]
fn a_server_that_refuses_each_stream_is_given_up_after_the_tries() {
    in_turn(
        1,
        |talk, asked| talk.reset(asked, code::REFUSED_STREAM),
        |seen, origin| {
            let row = seen.row();
            assert_eq!((class_of(&row).as_str(), &row["attempts"]), ("reset", &4.into()), "{row}");
            assert!(origin.seen().len() <= 4 * 20, "{} requests", origin.seen().len());
        },
    );
}

#[test]
fn streams_refused_at_once_cost_no_try() {
    let (authority, identity) = site();
    // As by a server that takes two at a time, and says so only after the client has sent more.
    let origin = Http2Origin::new(&identity, |talk, asked| match talk.requests().len() {
        3 if asked.connection == 0 => {
            talk.settings(&[(setting::MAX_CONCURRENT_STREAMS, 2)])
                .reset(asked, code::REFUSED_STREAM);
            let [first, second] = [0, 1].map(|at| talk.requests()[at].clone());
            talk.answer(&first, "hello").answer(&second, "hello")
        }
        1..=2 if asked.connection == 0 => talk,
        _ => talk.answer(asked, "hello"),
    });
    let run = run("async", &authority, &origin).args(["-j", "6", "--retry", "0"]);
    let seen = run.args(["--stall-timeout", NEVER]).list(numbered(20)).seen();
    ensure_all_ok(&seen, 20);
    ensure_no_try_was_counted(&seen);
}

#[test]
fn a_server_that_requires_http_1_1_is_asked_so_and_no_try_is_counted() {
    type Script = for<'a> fn(&'a mut Talk, &Asked) -> &'a mut Talk;
    let refusals: [Script; 2] = [
        |talk, asked| talk.reset(asked, code::HTTP_1_1_REQUIRED),
        |talk, _| talk.go_away(0, code::HTTP_1_1_REQUIRED).close(),
    ];
    for refusal in refusals {
        in_turn(10, refusal, |seen, origin| {
            let rows = seen.rows();
            assert_eq!((seen.code, rows.len()), (Some(0), 10), "{seen:?}");
            let is_so = |row: &Value| row["http_version"] == "HTTP/1.1" && row["bytes"] == 13;
            assert!(rows.iter().all(is_so), "{seen:?}");
            ensure_no_try_was_counted(seen);
            // The host is asked over HTTP/2 once, and then over one connection of HTTP/1.1.
            assert_eq!((origin.seen().len(), origin.connections()), (1, 2));
        });
    }
}

#[test]
fn a_stream_reset_before_its_head_is_tried_again_on_another_connection() {
    for why in [code::INTERNAL_ERROR, code::CANCEL, code::ENHANCE_YOUR_CALM] {
        in_turn(
            4,
            move |talk, asked| match (asked.connection, asked.nth) {
                (0, 1) => talk.reset(asked, why),
                _ => talk.answer(asked, "hello"),
            },
            |seen, origin| {
                ensure_all_ok(seen, 4);
                assert_eq!(origin.paths_on(0), ["/0", "/1"]);
            },
        );
    }
}

#[test]
fn a_body_that_is_reset_is_continued_on_another_connection() {
    for why in [code::INTERNAL_ERROR, code::CANCEL] {
        continued(move |talk, asked| half(talk, asked).reset(asked, why), "reset");
    }
}

#[test]
fn a_stream_that_ends_before_its_content_length_is_truncated_and_continued() {
    continued(|talk, asked| half(talk, asked).end(asked, ""), "truncated");
}

#[test]
fn a_connection_that_is_cut_in_a_body_is_continued() {
    continued(|talk, asked| half(talk, asked).cut(), "reset");
    continued(|talk, asked| half(talk, asked).close(), "reset");
}

/// A body whose first half alone comes, and then this, is of this class; its first half is kept and the rest asked for.
fn continued(
    broken: impl for<'a> Fn(&'a mut Talk, &Asked) -> &'a mut Talk + Send + Sync + Copy + 'static,
    class: &str,
) {
    let (authority, identity) = site();
    in_every_mode(|mode| {
        let origin = Http2Origin::new(&identity, move |talk, asked| {
            if asked.field("range").is_none() { broken(talk, asked) } else { rest(talk, asked) }
        });
        let folder = tempfile::tempdir().unwrap();
        let fetch = |retry: &str| {
            let run = run(mode, &authority, &origin).args(["--retry", retry, "--dir"]);
            let run =
                run.arg(folder.path()).args(["--stall-timeout", NEVER, "https://site.test/file"]);
            run.seen().row()
        };
        let once = fetch("0");
        assert_eq!(class_of(&once), class, "{once}");
        assert_eq!(once["bytes"], 50_000, "{once}");
        let part = folder.path().join("file.part");
        assert_eq!(fs::read(&part).unwrap(), body()[..50_000]);
        assert_eq!(fetch("0")["outcome"], "ok");
        let file = folder.path().join("file");
        assert_eq!(fs::read(&file).unwrap(), body());
        let whole = origin.seen().len();
        fs::remove_file(&file).unwrap();
        let row = fetch("3");
        assert_eq!((&row["outcome"], &row["attempts"]), (&"ok".into(), &2.into()), "{row}");
        assert_eq!(fs::read(&file).unwrap(), body());
        let asked = origin.seen();
        assert_eq!(asked.len(), whole + 2);
        assert_eq!(asked[whole + 1].field("range"), Some("bytes=50000-"));
    });
}

/// 100,000 bytes.
fn body() -> Vec<u8> {
    (0..100_000u32).map(|at| (at % 251) as u8).collect()
}

/// The head and the first half of the body.
fn half<'a>(talk: &'a mut Talk, asked: &Asked) -> &'a mut Talk {
    let fields = [("content-length", "100000"), ("etag", "\"one\""), ("accept-ranges", "bytes")];
    talk.head(asked, "200", &fields).data(asked, &body()[..50_000])
}

/// The second half, if that is asked for; else a whole reply.
fn rest<'a>(talk: &'a mut Talk, asked: &Asked) -> &'a mut Talk {
    if asked.field("range").is_none() {
        return talk.answer(asked, "hello");
    }
    let fields = [
        ("content-length", "50000"),
        ("content-range", "bytes 50000-99999/100000"),
        ("etag", "\"one\""),
    ];
    talk.head(asked, "206", &fields).end(asked, &body()[50_000..])
}

#[test]
fn a_body_without_a_length_whose_stream_is_reset_is_never_taken_for_whole() {
    for why in [code::NO_ERROR, code::CANCEL, code::INTERNAL_ERROR, code::REFUSED_STREAM] {
        never_whole(move |talk, asked| talk.reset(asked, why));
    }
}

#[test]
fn a_body_without_a_length_beyond_a_goaway_is_never_taken_for_whole() {
    for why in [code::NO_ERROR, code::INTERNAL_ERROR] {
        never_whole(move |talk, asked| talk.go_away(asked.stream - 2, why).close());
    }
}

#[test]
fn a_body_without_a_length_whose_connection_is_closed_is_never_taken_for_whole() {
    never_whole(|talk, _| talk.close());
    never_whole(|talk, _| talk.cut());
    never_whole(|talk, asked| talk.go_away(asked.stream, code::NO_ERROR).close());
}

/// A body without a length that begins, and then this, is a failure.
fn never_whole(
    broken: impl for<'a> Fn(&'a mut Talk, &Asked) -> &'a mut Talk + Send + Sync + Copy + 'static,
) {
    let (authority, identity) = site();
    in_every_mode(|mode| {
        let origin = Http2Origin::new(&identity, move |talk, asked| match asked.path.as_str() {
            "/cut" => broken(talk.head(asked, "200", &[]).data(asked, "hello"), asked),
            _ => talk.answer(asked, "hello"),
        });
        let folder = tempfile::tempdir().unwrap();
        let run = run(mode, &authority, &origin).args(["-j", "1", "--retry", "1", "--dir"]);
        let run = run.arg(folder.path()).args(["--stall-timeout", NEVER]);
        let seen = run.list(urls(["/before", "/cut", "/after"])).seen();
        let classes = seen.classes_in_list_order();
        assert!(["truncated", "reset"].contains(&classes[1].as_str()), "{seen:?}");
        assert_eq!((&*classes[0], &*classes[2]), ("ok", "ok"), "{seen:?}");
        assert!(!folder.path().join("cut").exists());
    });
}

#[test]
fn requests_that_wait_for_a_free_stream_when_the_server_goes_away_cost_no_try() {
    let (authority, identity) = site();
    let settings: &Settings = &[(setting::MAX_CONCURRENT_STREAMS, 1)];
    // The first reply comes after the client had time to line up more; whether it did does not matter.
    let origin = Http2Origin::with_settings(&identity, settings, |talk, asked| {
        talk.answer(asked, "hello").go_away(asked.stream, code::NO_ERROR).close()
    });
    let run = run("async", &authority, &origin).args(["-j", "6", "--retry", "0"]);
    let seen = run.args(["--stall-timeout", NEVER]).list(numbered(30)).seen();
    ensure_all_ok(&seen, 30);
    ensure_no_try_was_counted(&seen);
}

// Heads.

#[test]
fn a_flood_of_frames_ends_at_a_limit_that_the_message_names() {
    let (authority, identity) = site();
    in_every_mode(|mode| {
        let origin = Http2Origin::new(&identity, |talk, asked| match asked.path.as_str() {
            "/head" => talk.endless_head(asked, 1000),
            "/data" => talk.head(asked, "200", &[]).empty_data(asked, 1000),
            _ => talk.questions(5000).answer(asked, "hello"),
        });
        let run = run(mode, &authority, &origin).args(["-j", "1", "--retry", "0"]);
        let run = run.args(["--stall-timeout", NEVER]);
        let seen = run.list(urls(["/head", "/data", "/questions"])).seen();
        assert_eq!(seen.classes_in_list_order(), ["protocol", "reset", "ok"], "{seen:?}");
        let rows = seen.rows_in_list_order();
        let messages = [
            "invalid HTTP response: response headers larger than 256 KiB, or in too many HTTP/2 \
             CONTINUATION frames",
            "too many HTTP/2 DATA frames with little or no data",
        ];
        for (row, message) in rows.iter().zip(messages) {
            assert_eq!(row["error"]["message"], message, "{row}");
        }
    });
}

#[test]
fn a_head_of_64_kib_is_taken() {
    let (authority, identity) = site();
    let long = "x".repeat(64 * 1024);
    let short = "x".repeat(64 * 1024 / 250 - "x-0".len());
    in_every_mode(|mode| {
        let (long, short) = (long.clone(), short.clone());
        let origin = Http2Origin::new(&identity, move |talk, asked| match asked.path.as_str() {
            "/one" => talk.head(asked, "200", &[("x-long", &long)]).end(asked, "hello"),
            _ => talk.head(asked, "200", &[("x-0", &short[..]); 250]).end(asked, "hello"),
        });
        let run = run(mode, &authority, &origin).args(["-j", "1", "--retry", "0"]);
        let seen = run.list(urls(["/one", "/many", "/one"])).seen();
        ensure_all_ok(&seen, 3);
        assert_eq!(origin.connections(), 1);
    });
}

/// One of many requests at once is answered with a head of this many fields of this size each, after all have arrived.
fn with_a_head_that_is_too_large(lines: usize, size: usize) {
    let (authority, identity) = site();
    let gate = Gate::of(16);
    let value = "x".repeat(size);
    let origin = Http2Origin::new(&identity, move |talk, asked| {
        gate.pass_by();
        match asked.path.as_str() {
            // The others wait for it on the same connection, as long as there is one.
            _ if asked.connection == 0 && talk.requests().len() < 16 => talk,
            _ if asked.connection == 0 => {
                let all = talk.requests().to_vec();
                for one in &all {
                    too_large_or_hello(talk, one, lines, &value);
                }
                talk
            }
            _ => too_large_or_hello(talk, asked, lines, &value),
        }
    });
    let run = run("async", &authority, &origin).args(["-j", "16", "--per-host", "16"]);
    let run = run.args(["--retry", "0", "--stall-timeout", NEVER]);
    let seen = run.list(numbered(16)).seen();
    let rows = seen.rows_in_list_order();
    for (number, row) in rows.iter().enumerate() {
        let expected = if number == 3 { "protocol" } else { "ok" };
        assert_eq!(
            (class_of(row).as_str(), &row["attempts"]),
            (expected, &1.into()),
            "{lines} of {size}: {row}"
        );
    }
    let message = rows[3]["error"]["message"].as_str().unwrap();
    assert!(message.contains("256 KiB"), "{message}");
}

fn too_large_or_hello<'a>(
    talk: &'a mut Talk,
    asked: &Asked,
    lines: usize,
    value: &str,
) -> &'a mut Talk {
    match asked.path.as_str() {
        "/3" => talk.head(asked, "200", &vec![("x-long", value); lines]).end(asked, "hello"),
        _ => talk.answer(asked, "hello"),
    }
}

#[test]
fn a_head_that_is_too_large_fails_its_own_url_alone() {
    with_a_head_that_is_too_large(300, 1024);
    with_a_head_that_is_too_large(1, 300 * 1024);
    with_a_head_that_is_too_large(600, 1024);
    with_a_head_that_is_too_large(2_000, 1024);
    with_a_head_that_is_too_large(1, 2 * 1024 * 1024);
}

#[test]
fn a_head_that_is_too_large_is_refused_in_every_mode_and_the_next_is_asked_for() {
    in_turn(
        4,
        |talk, asked| too_large_or_hello(talk, asked, 2_000, &"x".repeat(1024)),
        |seen, _| {
            let expected = ["ok", "ok", "ok", "protocol"];
            assert_eq!(seen.classes_in_list_order(), expected, "{seen:?}");
        },
    );
}

// Settings.

#[test]
fn a_window_that_is_never_opened_holds_up_no_request() {
    let (authority, identity) = site();
    in_every_mode(|mode| {
        let settings: &Settings = &[(setting::INITIAL_WINDOW_SIZE, 0)];
        let origin = Http2Origin::with_settings(&identity, settings, |talk, asked| {
            talk.answer(asked, "hello")
        });
        let run = run(mode, &authority, &origin).args(["--retry", "0", "--stall-timeout", NEVER]);
        ensure_all_ok(&run.list(numbered(6)).seen(), 6);
    });
}

#[test]
fn settings_may_change_between_requests() {
    let changes: [&'static Settings; 6] = [
        &[(setting::INITIAL_WINDOW_SIZE, 0)],
        &[(setting::INITIAL_WINDOW_SIZE, 1 << 20)],
        &[(setting::MAX_CONCURRENT_STREAMS, 1)],
        &[(setting::HEADER_TABLE_SIZE, 0)],
        &[(setting::HEADER_TABLE_SIZE, 4096)],
        &[(setting::HEADER_TABLE_SIZE, 100), (setting::HEADER_TABLE_SIZE, 65_536)],
    ];
    in_turn(
        20,
        move |talk, asked| {
            let change = changes[asked.nth % changes.len()];
            talk.settings(change).answer(asked, "hello").settings(change)
        },
        |seen, origin| {
            ensure_all_ok(seen, 20);
            ensure_no_try_was_counted(seen);
            assert_eq!(origin.connections(), 1);
        },
    );
}

#[test]
fn a_smaller_header_table_is_honoured() {
    let (authority, identity) = site();
    in_every_mode(|mode| {
        let sizes = std::sync::Arc::<Mutex<Vec<usize>>>::default();
        let noted = std::sync::Arc::clone(&sizes);
        let settings: &Settings = &[(setting::HEADER_TABLE_SIZE, 0)];
        let origin = Http2Origin::with_settings(&identity, settings, move |talk, asked| {
            noted.lock().unwrap().push(talk.table_size());
            talk.answer(asked, "hello")
        });
        let run = run(mode, &authority, &origin).args(["-j", "1", "--retry", "0"]);
        ensure_all_ok(&run.list(numbered(6)).seen(), 6);
        assert_eq!(sizes.lock().unwrap().last(), Some(&0));
    });
}

#[test]
fn fewer_streams_at_once_are_honoured_in_the_middle_of_a_run() {
    let (authority, identity) = site();
    // How many were under way at the arrival of each request, after the client has been told that one is enough.
    let origin = Http2Origin::new(&identity, |talk, asked| match talk.requests().len() {
        1..=3 => talk,
        4 => {
            let all = talk.requests().to_vec();
            talk.settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)]);
            all.iter().fold(talk, |talk, asked| talk.answer(asked, "hello"))
        }
        _ => talk.answer(asked, "hello"),
    });
    let run = run("async", &authority, &origin).args(["-j", "4", "--retry", "0"]);
    let seen = run.args(["--stall-timeout", NEVER]).list(numbered(24)).seen();
    ensure_all_ok(&seen, 24);
    ensure_no_try_was_counted(&seen);
    assert_eq!(origin.connections(), 1);
}
