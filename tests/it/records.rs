//! Records: the attempts and waits of a URL, the text of its line, and what a later run changes of what is saved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{End, Origin, Reply, Request, Run, Seen, in_every_mode};

/// How far sums of times that are rounded to the microsecond may be apart.
const ROUNDED: f64 = 5e-6;

fn seconds(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn ensure_equal(one: f64, other: f64, row: &Value) {
    assert!((one - other).abs() < ROUNDED, "{one} and {other}: {row}");
}

/// An origin that resets, refuses and then sends `hello`.
fn hesitant() -> Origin {
    Origin::new(|request| match request.nth {
        0 => Reply::raw("", End::Reset),
        1 => Reply::of("503 Service Unavailable", "", ""),
        _ => Reply::ok("hello"),
    })
}

#[test]
fn waits_between_attempts_are_told_apart_from_connecting_and_from_the_reply() {
    in_every_mode(|mode| {
        let (origin, folder) = (hesitant(), tempdir().unwrap());
        let (har, csv) = (folder.path().join("run.har"), folder.path().join("run.csv"));
        let files = ["--report", har.to_str().unwrap(), "--report", csv.to_str().unwrap()];
        let url = origin.url("/a?x=1&y=a%20b");
        let seen = Run::json(mode).args(files).args(["--retry-delay", "50ms", &url]).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let row = seen.row();
        let attempts = row["attempts_detail"].as_array().unwrap();
        let classes: Vec<_> = attempts.iter().map(|attempt| &attempt["class"]).collect();
        assert_eq!(json!(classes), json!(["reset", "http_5xx", null]));
        assert_eq!(row["attempts"], 3);

        let timings = &row["timings"];
        let (mut end, mut waited) = (0.0, 0.0);
        for attempt in attempts {
            ensure_equal(seconds(&attempt["start"]), end + seconds(&attempt["wait"]), &row);
            end = seconds(&attempt["start"]) + seconds(&attempt["total"]);
            waited += seconds(&attempt["wait"]);
        }
        ensure_equal(seconds(&timings["total"]), end, &row);
        ensure_equal(seconds(&timings["retry_wait"]), waited, &row);
        let last = seconds(&attempts[2]["total"]);
        assert!(seconds(&timings["first_byte"]) <= last + ROUNDED, "{row}");
        assert!(timings["connect"].is_null() || seconds(&timings["connect"]) <= last, "{row}");

        let archive: Value = serde_json::from_slice(&fs::read(har).unwrap()).unwrap();
        let entry = &archive["log"]["entries"][0];
        let blocked = seconds(&timings["queued"]) + seconds(&timings["total"]) - last;
        assert!((seconds(&entry["timings"]["blocked"]) / 1e3 - blocked).abs() < 1e-4, "{entry}");
        assert!(seconds(&entry["timings"]["wait"]) <= 1e3 * last + 0.01, "{entry}");
        assert_eq!(entry["response"]["statusText"], "OK");
        let query = json!([{"name": "x", "value": "1"}, {"name": "y", "value": "a b"}]);
        assert_eq!(entry["request"]["queryString"], query);

        let table = fs::read_to_string(csv).unwrap();
        let cells: BTreeMap<String, String> =
            csv::Reader::from_reader(table.as_bytes()).deserialize().next().unwrap().unwrap();
        let detail: Value = serde_json::from_str(&cells["attempts_detail"]).unwrap();
        assert_eq!(&detail, &row["attempts_detail"]);
        assert_eq!(cells["retry_wait"].parse::<f64>().unwrap(), seconds(&timings["retry_wait"]));
        let again = Run::new().args(["report", "--to", "again.csv", "-"]).inside(folder.path());
        assert_eq!(again.list(&seen.stdout).seen().code, Some(0));
        assert_eq!(fs::read_to_string(folder.path().join("again.csv")).unwrap(), table);
    });
}

#[test]
fn the_wait_that_a_redirect_asks_for_is_no_time_of_its_reply() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.nth {
            0 => Reply::of("302 Found", "Location: /b\r\nRetry-After: 1\r\n", ""),
            _ => Reply::ok("hello"),
        });
        let folder = tempdir().unwrap();
        let har = folder.path().join("run.har");
        let files = ["--report", har.to_str().unwrap()];
        let row = Run::json(mode).args(files).arg(origin.url("/a")).seen().row();
        let (timings, attempt) = (&row["timings"], &row["attempts_detail"][0]);
        let waited = seconds(&attempt["redirect_wait"]);
        assert!(waited >= 1.0, "{row}");
        assert_eq!(attempt["wait"], 0.0);
        ensure_equal(seconds(&timings["retry_wait"]), waited, &row);
        let spent = seconds(&attempt["total"]) - waited;
        assert!(seconds(&timings["first_byte"]) <= spent + ROUNDED, "{row}");
        let archive: Value = serde_json::from_slice(&fs::read(har).unwrap()).unwrap();
        let entry = &archive["log"]["entries"][0];
        let blocked = seconds(&timings["queued"]) + waited;
        assert!((seconds(&entry["timings"]["blocked"]) / 1e3 - blocked).abs() < 1e-4, "{entry}");
    });
}

#[test]
fn a_url_that_is_given_up_has_its_attempts_too() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::raw("", End::Reset));
        let args = ["--retry", "2", "--retry-delay", "1ms", &origin.url("/")];
        let row = Run::json(mode).args(args).seen().row();
        let classes: Vec<_> =
            row["attempts_detail"].as_array().unwrap().iter().map(|one| &one["class"]).collect();
        assert_eq!(json!(classes), json!(["reset", "reset", "reset"]));
        assert_eq!(row["attempts"], 3);
    });
}

#[test]
fn no_more_urls_are_under_way_than_there_are_jobs() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.nth {
            0 | 1 => Reply::of("500 Internal Server Error", "", ""),
            _ => Reply::ok("hello"),
        });
        let folder = tempdir().unwrap();
        let page = folder.path().join("run.html");
        let list: String = (0..20).map(|path| origin.url(&format!("/{path}\n"))).collect();
        let run = Run::json(mode).args(["-j", "1", "--retry-delay", "50ms", "--report"]);
        let seen = run.arg(&page).list(list).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let page = fs::read_to_string(page).unwrap();
        let (_, data) = page.split_once("id=\"data\">").unwrap();
        let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
        let under_way = data["under_way"].as_array().unwrap();
        assert!(!under_way.is_empty());
        assert!(under_way.iter().all(|mean| seconds(&mean[1]) <= 1.0), "{under_way:?}");
    });
}

#[test]
fn the_text_of_a_line_is_in_its_record_as_it_stood() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let (host, good) = (origin.address(), origin.url("/good"));
        let mirrors = format!("{good}\thttp://me:secret@{host}/other");
        let lines = [
            (good.clone(), good.clone()),
            (format!("HTTP://{host}"), format!("HTTP://{host}")),
            (format!("  <http://{host}/日本> "), format!("<http://{host}/日本>")),
            (format!("http://me:se@cret@{host}/a@b"), format!("http://me:***@{host}/a@b")),
            (format!("http://token@{host}/b"), format!("http://***@{host}/b")),
            (mirrors, format!("{good}\thttp://me:***@{host}/other")),
            ("htp://me:secret@a.b/".to_owned(), "htp://***@a.b/".to_owned()),
        ];
        let list: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
        let seen = Run::json(mode).list(list).seen();
        let rows = seen.rows_in_list_order();
        let listed: Vec<_> = rows.iter().map(|row| row["listed"].as_str().unwrap()).collect();
        assert_eq!(listed, lines.each_ref().map(|(_, shown)| shown.as_str()));
        assert!(!format!("{seen:?}").contains("cret"), "{seen:?}");
    });
}

#[test]
fn a_file_that_was_replaced_by_another_version_is_updated() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match (request.path.as_str(), request.nth) {
            ("/same", 1..) => Reply::of("304 Not Modified", "ETag: \"1\"\r\n", ""),
            (_, 0) => Reply::of("200 OK", "ETag: \"1\"\r\n", "first"),
            _ => Reply::of("200 OK", "ETag: \"2\"\r\n", "second"),
        });
        let folder = tempdir().unwrap();
        let list = format!("{}\n{}\n", origin.url("/same"), origin.url("/new"));
        let run = |args: &[&str]| {
            let run = Run::json(mode).args(args).arg("--dir").arg(folder.path());
            let seen = run.list(&list).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            let rows = seen.rows_in_list_order();
            let updated: Vec<_> = rows.iter().map(|row| row["updated"].clone()).collect();
            (updated, seen.summary()["updated"].clone(), seen.summary()["ok"].clone())
        };
        assert_eq!(run(&[]), (vec![json!(false); 2], json!(0), json!(2)));
        assert_eq!(run(&["--refresh"]), (vec![json!(false), json!(true)], json!(1), json!(1)));
        assert_eq!(run(&[]), (vec![json!(false); 2], json!(0), json!(0)));
    });
}

/// What each attempt brings of the body below.
const PIECE: usize = 1000;

/// A server that closes the connection after each piece of a body of five.
fn cutting(request: &Request) -> Reply {
    let body: Vec<u8> = (0..5 * PIECE).map(|place| place as u8).collect();
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
    let from = range.and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0);
    let (last, length) = (body.len() - 1, body.len());
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let place = format!("ETag: \"1\"\r\nContent-Range: bytes {from}-{last}/{length}\r\n");
    let fields = if from > 0 { place.as_str() } else { "ETag: \"1\"\r\n" };
    let missing = (length - from).saturating_sub(PIECE);
    Reply::of(status, fields, &body[from..]).but(missing, End::Close)
}

#[test]
fn attempts_that_bring_bytes_which_are_kept_use_up_no_retry() {
    in_every_mode(|mode| {
        let (origin, folder) = (Origin::new(cutting), tempdir().unwrap());
        let run = |args: &[&str]| -> Seen {
            let run = Run::json(mode).args(["--retry-delay", "1ms"]).args(args);
            run.arg("--dir").arg(folder.path()).arg(origin.url("/big")).seen()
        };
        let seen = run(&["--retry", "0"]);
        let words = "connection closed early; 1000 B of 4.9 KiB saved; \
                     run the same command to continue";
        assert_eq!(seen.row()["error"], json!({"class": "truncated", "message": words}));
        let seen = run(&["--retry", "1"]);
        assert_eq!((seen.code, origin.requests()), (Some(0), 5), "{seen:?}");
        assert_eq!(seen.row()["attempts"], 4);
        let saved = fs::read(folder.path().join("big")).unwrap();
        assert!(saved.len() == 5 * PIECE && saved.iter().enumerate().all(|(n, b)| *b == n as u8));
    });
    // Without a folder nothing is kept, so that each attempt uses one up.
    let origin = Origin::new(cutting);
    let args = ["--retry", "1", "--retry-delay", "1ms", &origin.url("/big")];
    let seen = Run::json("async").args(args).seen();
    assert_eq!((seen.code, origin.requests()), (Some(1), 2), "{seen:?}");
    assert_eq!(seen.row()["error"]["message"], "connection closed after 1000 of 5000 bytes");
}

#[test]
fn a_digest_that_is_asked_for_later_is_computed_from_the_saved_file() {
    const SHA256: &str = "sha-256=2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    in_every_mode(|mode| {
        let (origin, folder) = (Origin::new(|_| Reply::ok("hello")), tempdir().unwrap());
        let run = |args: &[&str]| {
            let run = Run::json(mode).args(args).arg("--dir").arg(folder.path());
            let seen = run.arg(origin.url("/a")).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            (seen.row()["outcome"].clone(), seen.row()["digest"].clone())
        };
        let manifest = || fs::read(folder.path().join(".fetch/manifest.jsonl")).unwrap();
        let checked_by = || {
            let seen = Run::new().args(["verify", "--json"]).arg(folder.path()).seen();
            let line: Value = serde_json::from_str(seen.stdout.lines().next().unwrap()).unwrap();
            line["checked_by"].clone()
        };
        assert_eq!(run(&[]), (json!("ok"), Value::Null));
        assert_eq!(checked_by(), "length");
        assert_eq!(run(&["--digest", "sha256"]), (json!("skipped"), json!(SHA256)));
        assert_eq!(checked_by(), "sha-256");
        let (_, other) = run(&["--digest", "md5"]);
        assert_eq!(other, "md5=5d41402abc4b2a76b9719d911017c592");
        let before = manifest();
        assert_eq!(run(&["--digest", "md5"]).1, other);
        assert_eq!(run(&["--digest", "sha256"]).1, SHA256);
        assert_eq!((manifest(), origin.requests()), (before, 1), "nothing is computed twice");

        fs::write(folder.path().join("a"), "Hello").unwrap();
        let seen = Run::new().args(["verify"]).arg(folder.path()).seen();
        assert!(seen.stdout.contains("Changed a"), "{seen:?}");
    });
}

#[test]
fn a_changed_file_that_was_deleted_since_is_missing() {
    let (origin, folder) = (Origin::new(|_| Reply::ok("hello")), tempdir().unwrap());
    let seen = Run::new().arg("--dir").arg(folder.path()).arg(origin.url("/a")).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let verify = || Run::new().arg("verify").arg(folder.path()).seen().stdout;
    fs::write(folder.path().join("a"), "hi").unwrap();
    assert!(verify().starts_with("Changed a"));
    assert!(verify().starts_with("Changed a"), "marked");
    fs::remove_file(folder.path().join("a")).unwrap();
    let told = verify();
    assert!(told.starts_with("Missing a"), "{told}");
}

#[test]
fn a_saved_run_without_all_its_records_is_reported_as_such() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let list: String = (0..5).map(|path| origin.url(&format!("/{path}\n"))).collect();
    let whole = Run::json("async").list(list).seen().stdout;
    let report = |text: &str| Run::new().args(["report", "-"]).list(text).seen();
    let tail: Vec<_> = whole.lines().skip(2).collect();
    let seen = report(&tail.join("\n"));
    assert_eq!(seen.stderr, "warning: -: summary of 5 URLs, 3 records present\n");
    assert_eq!((seen.code, report(&whole).stderr.as_str()), (Some(0), ""));
    let seen = Run::new().args(["report", "/dev/null"]).seen();
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(1), ""));
    assert_eq!(seen.stderr, "warning: /dev/null: no records\n");
}

#[test]
fn nobody_at_stderr_is_no_reason_to_end_a_run() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::of("404 Not Found", "", ""));
        let list: String = (0..300).map(|path| origin.url(&format!("/{path}\n"))).collect();
        let mut child = Run::json(mode).args(["-v"]).list(list).start();
        drop(child.stderr.take());
        let output = child.wait_with_output().unwrap();
        let seen = Seen::from(output);
        assert_eq!((seen.code, seen.rows().len()), (Some(1), 300));
        assert_eq!(seen.summary()["failed"], 300);
    });
}

/// The commands of the chapter about reports that read a saved run, one after the other.
fn recipes() -> Vec<&'static str> {
    let chapter = include_str!("../../src/manual/reports.md");
    let (_, rest) = chapter.split_once("failed attempts by class").unwrap();
    let block = rest.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let starts: Vec<_> = block.match_indices("jq ").map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([block.len()]);
    starts.iter().zip(ends).map(|(start, end)| &block[*start..end]).collect()
}

#[test]
fn the_questions_of_the_manual_are_answered_from_a_list_with_retries() {
    if Command::new("jq").arg("--version").output().is_err() {
        eprintln!("SKIPPED, for there is no jq");
        return;
    }
    let (origin, other) = (hesitant(), Origin::new(|_| Reply::ok("other")));
    let gone = Origin::new(|_| Reply::of("404 Not Found", "", ""));
    let urls = [origin.url("/a"), other.url("/b"), gone.url("/c"), "no url".to_owned()];
    let seen = Run::json("async").args(["--retry-delay", "1ms", "-"]).list(urls.join("\n")).seen();
    assert_eq!(seen.code, Some(1), "{seen:?}");
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("run.jsonl"), &seen.stdout).unwrap();
    let answers = recipes().into_iter().map(|recipe| {
        let output = Command::new("sh").args(["-c", recipe]).current_dir(folder.path()).output();
        let output = output.unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{recipe}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    });
    let answers: Vec<_> = answers.collect();
    let slowest: BTreeSet<_> =
        answers[0].lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert_eq!(slowest, urls[..3].iter().map(String::as_str).collect());
    let value = |answer: &str| serde_json::from_str::<Value>(answer).unwrap();
    let host = |origin: &Origin| origin.url("").trim_start_matches("http://").to_owned();
    assert_eq!(value(&answers[1]), json!({ host(&origin): 5, host(&other): 5, host(&gone): 0 }));
    assert_eq!(value(&answers[2]), json!({ "http_4xx": 1, "invalid_url": 1 }));
    assert_eq!(value(&answers[3]), json!({ "reset": 1, "http_5xx": 1, "http_4xx": 1 }));
}
