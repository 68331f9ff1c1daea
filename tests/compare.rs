//! Comparing modes: what a comparison is made of, when it is worth nothing, and what it does not do to servers.

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::{MODES, Origin, Reply, Run, Seen};

/// A comparison of three runs after one to warm up, as JSON.
fn small() -> Run {
    Run::new().args(["compare", "--json", "--runs", "3"])
}

fn outcome(seen: &Seen) -> Value {
    let object = serde_json::from_str(&seen.stdout).unwrap_or_else(|_| panic!("{seen:?}"));
    assert_eq!(seen.stdout.lines().count(), 1);
    object
}

fn sentences(of: &Value) -> String {
    let all = of.as_array().expect("sentences");
    all.iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The reasons why a comparison is worth nothing; it ends with exit code 1.
fn not_comparable(seen: &Seen) -> String {
    let outcome = outcome(seen);
    assert_eq!((seen.code, &outcome["comparable"]), (Some(1), &false.into()), "{outcome}");
    sentences(&outcome["reasons"])
}

fn values<'a>(of: &'a Value, field: &str) -> Vec<&'a Value> {
    of.as_array().expect("rows").iter().map(|one| &one[field]).collect()
}

#[test]
fn without_a_source_the_lesson_is_compared_in_every_mode_whatever_the_settings() {
    let seen = small()
        .args(["--jobs", "15"])
        .env("FETCH_PER_HOST", "1")
        .env("http_proxy", "http://127.0.0.1:1")
        .seen();
    let outcome = outcome(&seen);
    assert_eq!((seen.code, &outcome["comparable"]), (Some(0), &true.into()), "{outcome}");
    assert_eq!(values(&outcome["contestants"], "mode"), MODES);
    assert_eq!((&outcome["targets"], &outcome["bytes"]), (&15.into(), &3_795_179.into()));
    assert_eq!(outcome["notes"], Value::Array(vec![]));
    let samples = &outcome["samples"];
    assert_eq!(values(samples, "ok"), vec![&Value::from(15); 3 * MODES.len()]);
    // The origin waits for 100 ms before each of 15 replies, so that one after another takes 1.5 seconds at least.
    for wall in samples.as_array().unwrap().iter().filter(|one| one["mode"] == "sequential") {
        assert!(wall["wall"].as_f64().unwrap() >= 1.5, "{wall}");
    }
}

#[test]
fn each_block_has_a_run_of_each_contestant_in_an_order_of_its_own() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let orders = |seed: &str| {
        let seen = Run::new()
            .args(["compare", "--json", "--runs", "6", "--modes", &MODES.join(",")])
            .args(["--seed", seed, "--jobs", "2", &origin.url("/")])
            .seen();
        let outcome = outcome(&seen);
        let samples = outcome["samples"].as_array().unwrap();
        let blocks = samples.chunks(MODES.len()).enumerate().map(|(place, block)| {
            assert!(block.iter().all(|one| one["block"] == place + 1), "{block:?}");
            block.iter().map(|one| one["contestant"].as_u64().unwrap()).collect::<Vec<_>>()
        });
        blocks.collect::<Vec<_>>()
    };
    let (first, second) = (orders("1"), orders("2"));
    for order in first.iter().chain(&second) {
        assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), (0..4).collect());
    }
    assert_ne!(first, second);
    assert!(first.iter().any(|order| order != &first[0]), "{first:?}");
    assert_eq!(orders("1"), first);
}

#[test]
fn every_run_has_the_options_that_were_typed_and_the_whole_list() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let list = format!("{}\n{}\n", origin.url("/a"), origin.url("/b"));
    let words = ["--modes", "sequential,async", "-j1,2", "-H", "X-Here: a,b", "--digest", "sha256"];
    let seen = Run::new()
        .args(["compare", "--json", "--warmup", "1", "--runs", "3", "-"])
        .args(words)
        .list(list)
        .seen();
    let outcome = outcome(&seen);
    assert_eq!(seen.code, Some(0), "{outcome}");
    // Sequential has one job, however many are asked for.
    assert_eq!(values(&outcome["contestants"], "mode"), ["sequential", "async", "async"]);
    assert_eq!(values(&outcome["contestants"], "jobs"), [1, 1, 2]);
    let requests = origin.seen();
    assert_eq!(requests.len(), 2 * 3 * (1 + 3));
    assert!(requests.iter().all(|request| request.header("x-here") == Some("a,b")));
}

#[test]
fn one_mode_against_itself_shows_no_difference_in_three_runs() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let seen = small().args(["--modes", "async,async", &origin.url("/")]).seen();
    let outcome = outcome(&seen);
    assert!(outcome["pairs"][0]["speed_up"]["p"].as_f64().unwrap() >= 0.1 - 1e-9);
    assert!(sentences(&outcome["explanation"]).contains("no difference is shown"), "{outcome}");
    assert_eq!(outcome["contestants"][1]["speed_up"]["interval"], Value::Null);
}

#[test]
fn runs_that_differ_in_status_are_not_comparable() {
    let origin = Origin::new(|request| match request.nth {
        4 => Reply::of("404 Not Found", "", "gone"),
        _ => Reply::ok("hello"),
    });
    let reasons =
        not_comparable(&small().args(["--modes", "threads,async", &origin.url("/")]).seen());
    assert!(
        reasons.contains("/ differs: HTTP 200 (") && reasons.contains("HTTP 404, http_4xx ("),
        "{reasons}"
    );
}

#[test]
fn runs_that_differ_in_bytes_are_not_comparable() {
    let origin = Origin::new(|request| Reply::ok(if request.nth == 2 { "four" } else { "hello" }));
    let reasons =
        not_comparable(&small().args(["--modes", "threads,async", &origin.url("/")]).seen());
    assert!(reasons.contains("5 bytes (") && reasons.contains("4 bytes ("), "{reasons}");
}

#[test]
fn runs_that_differ_in_digests_are_not_comparable() {
    let origin =
        || Origin::new(|request| Reply::ok(if request.nth == 2 { "jello" } else { "hello" }));
    let words = ["--modes", "threads,async"];
    let reasons = not_comparable(
        &small().args(words).args(["--digest", "sha256", &origin().url("/")]).seen(),
    );
    assert_eq!(reasons.matches("sha-256=").count(), 2, "{reasons}");
    // Nobody can tell without.
    assert_eq!(small().args(words).arg(origin().url("/")).seen().code, Some(0));
}

#[test]
fn a_server_that_asks_for_less_makes_runs_incomparable_though_all_is_fetched_in_the_end() {
    let origin = Origin::new(|request| match request.nth {
        3 => Reply::of("429 Too Many Requests", "Retry-After: 0\r\n", ""),
        _ => Reply::ok("hello"),
    });
    let reasons =
        not_comparable(&small().args(["--modes", "threads,async", &origin.url("/")]).seen());
    assert!(reasons.contains("asked for less (429)"), "{reasons}");
    assert!(!reasons.contains("differs"), "{reasons}");
}

#[test]
fn runs_that_end_early_or_fetch_nothing_are_not_comparable() {
    let origin = Origin::new(|request| match request.path.as_str() {
        "/gone" => Reply::of("404 Not Found", "", ""),
        _ => Reply::ok("hello"),
    });
    let run = || small().args(["--modes", "threads,async"]);
    let reasons = not_comparable(&run().arg(origin.url("/gone")).seen());
    assert!(reasons.contains("not one URL was fetched"), "{reasons}");
    let urls = ["/a", "/b", "/c"].map(|path| origin.url(path));
    let reasons = not_comparable(&run().args(["--quota", "7", "-j1"]).args(urls).seen());
    assert!(reasons.contains("a run ended early"), "{reasons}");
}

#[test]
fn a_limit_that_bounds_all_modes_alike_is_told() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let urls: Vec<String> = (0..40).map(|number| origin.url(&format!("/{number}"))).collect();
    let seen =
        small().args(["--modes", "threads,async", "-j4", "--host-delay", "5ms"]).args(&urls).seen();
    let outcome = outcome(&seen);
    assert_eq!(seen.code, Some(0), "{outcome}");
    assert!(sentences(&outcome["notes"]).contains("the pause bounds it"), "{outcome}");
}

/// Words that let `site.test` be found at an origin.
fn stands_for_a_site(origin: &Origin) -> [String; 2] {
    let port = origin.address().port();
    ["--resolve".to_owned(), format!("site.test:{port}:127.0.0.1")]
}

fn pages(origin: &Origin, number: usize) -> String {
    let port = origin.address().port();
    (0..number).map(|page| format!("http://site.test:{port}/{page}\n")).collect()
}

#[test]
fn hosts_of_others_are_asked_at_most_300_times() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let words = ["compare", "--json", "--modes", "threads,async", "--runs", "10", "-"];
    let run = || Run::new().args(words).args(stands_for_a_site(&origin));
    let seen = run().list(pages(&origin, 30)).seen();
    let outcome = outcome(&seen);
    assert_eq!((seen.code, &outcome["runs"]), (Some(0), &4.into()), "{outcome}");
    assert_eq!(origin.take_seen().len(), 300);
    assert!(sentences(&outcome["notes"]).contains("4 runs instead of 10"), "{outcome}");

    let seen = run().list(pages(&origin, 38)).seen();
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
    assert!(seen.stderr.contains("would be asked 304 times"), "{}", seen.stderr);
    assert_eq!(origin.requests(), 0);
}

#[test]
fn redirects_count_for_what_a_host_is_asked() {
    let origin = Origin::new(|request| match request.path.strip_prefix("/to") {
        None => Reply::redirect(302, &format!("/to{}", request.path)),
        Some(_) => Reply::ok("hello"),
    });
    let words = ["compare", "--modes", "threads,async", "--runs", "10", "-"];
    let run = Run::new().args(words).args(stands_for_a_site(&origin));
    let seen = run.list(pages(&origin, 20)).seen();
    // Four blocks of eighty would be more.
    assert_eq!((seen.code, origin.requests()), (Some(2), 240), "{seen:?}");
    assert!(seen.stderr.contains("2 runs instead of 6"), "{}", seen.stderr);
}

#[test]
fn who_runs_the_server_may_ask_as_often_as_it_takes() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let run = small().args(["--modes", "threads,async", "--i-run-this-server", "-"]);
    let seen = run.args(stands_for_a_site(&origin)).list(pages(&origin, 60)).seen();
    assert_eq!((seen.code, origin.requests()), (Some(0), 60 * 2 * 4), "{seen:?}");
}

#[test]
fn a_deadline_that_leaves_too_few_runs_is_work_left_undone() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let seen = small().args(["--deadline", "1ms", &origin.url("/")]).seen();
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(4), ""), "{seen:?}");
    assert!(seen.stderr.contains("3 are needed to compare"), "{}", seen.stderr);
}

#[test]
fn what_cannot_be_compared_is_wrong_usage() {
    let table: [(&[&str], &str); 5] = [
        (&["--runs", "2"], "write a whole number from 3 to 100"),
        (&["--modes", "fast"], "possible values: sequential, threads, async, processes"),
        (&["no-such-list"], "no such list"),
        (&["--mode", "async"], "unexpected argument"),
        (&["-x", "ftp://a.b"], "invalid value for --proxy"),
    ];
    for (words, part) in table {
        let seen = Run::new().arg("compare").args(words).seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{words:?}: {seen:?}");
        assert!(seen.stderr.contains(part), "{words:?}: {}", seen.stderr);
    }
}

#[test]
fn an_origin_that_is_told_to_leaves_when_its_input_ends() {
    let run = Run::new().args(["serve", "--port", "0", "--until-eof"]).list("");
    let mut origin = run.live();
    assert!(origin.line().starts_with("Listening on http://127.0.0.1:"));
    assert_eq!(origin.seen().code, Some(0));
}

#[test]
#[ignore = "takes time, and is about time; run with --run-ignored all"]
fn a_speed_up_that_is_known_is_found() {
    let mut origin = Run::new().args(["serve", "--port", "0", "--latency", "200ms"]).live();
    let base = origin.line().trim_end().replace("Listening on ", "");
    let urls: Vec<String> = (0..10).map(|number| format!("{base}/bytes/100?{number}")).collect();
    // Ten waits one after another against two.
    let seen = small().args(["--modes", &MODES.join(","), "-j5"]).args(&urls).seen();
    origin.signal(nix::sys::signal::Signal::SIGTERM);
    let outcome = outcome(&seen);
    for contestant in &outcome["contestants"].as_array().unwrap()[1..] {
        let ratio = contestant["speed_up"]["ratio"].as_f64().unwrap();
        assert!((4.75..=5.25).contains(&ratio), "{contestant}");
    }
}

#[test]
#[ignore = "takes time, and is about time; run with --run-ignored all"]
fn the_lesson_shows_what_it_is_to_show_within_a_minute() {
    let begun = std::time::Instant::now();
    let seen = Run::new().args(["compare", "--json"]).seen();
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    let outcome = outcome(&seen);
    assert_eq!(values(&outcome["contestants"], "mode"), MODES);
    for contestant in &outcome["contestants"].as_array().unwrap()[1..] {
        let ratio = contestant["speed_up"]["ratio"].as_f64().unwrap();
        assert!((4.0..=6.0).contains(&ratio), "{contestant}");
    }
}
