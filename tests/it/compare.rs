//! Comparing modes: what a comparison is made of, when it is worth nothing, and what it does not do to servers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::coded::gzip;
use crate::support::html::ensure_it_asks_nobody;
use crate::support::processes::send;
use crate::support::{
    Gate, MODES, Origin, Reply, Run, Seen, holding, in_every_mode, program, pseudoterminal,
    shown_on,
};

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
    // Neither the environment nor its proxy bears on it; the machine may be busy.
    assert!(!sentences(&outcome["notes"]).contains("per-host"), "{outcome}");
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
fn three_runs_are_too_few_for_a_verdict_and_nothing_is_said_of_differences() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let run = || Run::new().args(["compare", "--runs", "3", &origin.url("/")]);
    let text = run().seen().stdout;
    let first = "No verdict: 3 runs each are too few for any difference between 4 contestants";
    assert!(text.starts_with(first), "{text}");
    assert!(text.contains("use --runs 5 or") && !text.contains("significant"), "{text}");
    assert!(!text.contains("x as fast"), "{text}");
    let outcome = outcome(&run().args(["--json", "--modes", "async,threads"]).seen());
    let speed_up = &outcome["pairs"][0]["speed_up"];
    assert!(speed_up["p"].as_f64().unwrap() >= 0.1 - 1e-9);
    assert_eq!((&speed_up["interval"], &speed_up["p_adjusted"]), (&Value::Null, &speed_up["p"]));
}

#[test]
fn contestants_of_one_name_are_told_apart_and_dropped_jobs_are_reported() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let run = |words: &[&str]| outcome(&small().args(words).arg(origin.url("/")).seen());
    let twice = run(&["--modes", "async,async", "-j2"]);
    let names = values(&twice["contestants"], "name");
    assert_eq!(names, ["async (2 jobs) #1", "async (2 jobs) #2"]);
    let sequential = run(&["--modes", "sequential", "-j2,3"]);
    let notes = sentences(&sequential["notes"]);
    assert!(notes.contains("--jobs 2,3 has no effect: sequential mode has one job"), "{notes}");
    let verdict = sequential["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("No verdict: a single contestant"), "{verdict}");
    let both = sentences(&run(&["--modes", "sequential,async", "-j2,3"])["notes"]);
    assert!(both.contains("it runs once, not for each of --jobs 2,3"), "{both}");
}

#[test]
fn failures_and_retries_are_reported_and_take_the_place_of_an_explanation() {
    let origin = Origin::new(|request| match request.path.as_str() {
        "/gone" | "/lost" => Reply::of("404 Not Found", "", ""),
        "/broken" => Reply::of("500 Internal Server Error", "", ""),
        _ => Reply::ok("hello"),
    });
    let folder = tempdir().unwrap();
    let paths = ["/a", "/b", "/gone", "/lost", "/broken"];
    fs::write(folder.path().join("a.txt"), paths.map(|path| origin.url(path)).join("\n")).unwrap();
    let run = |retry: &str| {
        let words = ["compare", "--modes", "threads,async", "--runs", "4"];
        let run = Run::new().inside(folder.path()).args(words);
        let seen = run.args(["--retry", retry, "--retry-delay", "20ms", "a.txt"]).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        seen.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let text = run("1");
    assert!(text.contains("a.txt: 5 URLs, 10 B 4 runs each after 1 warm-up"), "{text}");
    let runs = "Every run: 2 ok, 3 failed (2 x HTTP 404, 1 x HTTP 500), 1 retried.";
    assert!(text.contains(runs), "{text}");
    assert!(
        text.contains("% of the wall time in 8 runs; fix or remove the failing URLs"),
        "{text}"
    );
    assert!(text.contains("are not explained, because URLs were retried"), "{text}");
    assert!(!text.contains("of the time per URL is spent"), "{text}");
    let text = run("0");
    let runs = "Every run: 2 ok, 3 failed (2 x HTTP 404, 1 x HTTP 500). ";
    assert!(text.contains(runs) && !text.contains("retried"), "{text}");
}

#[test]
fn what_is_not_comparable_comes_first_and_explains_nothing() {
    let origin = Origin::new(|request| match request.nth {
        4 => Reply::of("404 Not Found", "", "gone"),
        _ => Reply::ok("hello"),
    });
    let words = ["compare", "--runs", "4", "--modes", "threads,async", &origin.url("/")];
    let seen = Run::new().args(words).seen();
    assert_eq!(seen.code, Some(1), "{seen:?}");
    assert!(seen.stdout.starts_with("Not comparable: http://"), "{}", seen.stdout);
    assert!(seen.stdout.contains("\n(not comparable) "), "{}", seen.stdout);
    for claim in ["significant", "x as fast", "determines", "CPU-bound"] {
        assert!(!seen.stdout.contains(claim), "{}", seen.stdout);
    }
}

#[test]
fn both_quantiles_are_those_of_the_urls_that_had_a_reply() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let closed = "http://127.0.0.1:1/";
    let words = ["--modes", "threads,async", "--retry", "0", "--host-patience", "0"];
    let outcome = outcome(&small().args(words).args([closed, &origin.url("/")]).seen());
    for sample in outcome["samples"].as_array().unwrap() {
        assert_eq!((&sample["ok"], &sample["failed"]), (&json!(1), &json!(1)), "{sample}");
        for quantile in ["p50", "p90", "p99"] {
            let at = |time: &str| sample[time][quantile].as_f64().unwrap();
            assert!(at("first_byte") <= at("total"), "{sample}");
        }
        // Of one URL.
        assert_eq!(sample["first_byte"]["p50"], sample["first_byte"]["p99"]);
    }
}

#[test]
fn a_wait_for_a_processor_is_measured_in_every_mode() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    in_every_mode(|mode| {
        let summary = Run::json(mode).arg(origin.url("/")).seen().summary();
        let delay = summary["resources"]["run_queue_delay"].as_f64();
        assert!(delay.is_some_and(|delay| delay >= 0.0), "{summary}");
    });
}

/// A summary as a run writes it last, on a machine on which its only worker has waited for so many seconds.
fn summary_after_waiting(seconds: f64) -> String {
    let resources = json!({ "run_queue_delay": seconds, "worker_threads": 1 });
    let summary = json!({
        "type": "summary", "list_complete": true, "targets": 1, "ok": 1, "bytes": 5, "mode": "async",
        "elapsed": 1.0, "stopped": null, "resources": resources,
    });
    format!("{summary}\n")
}

#[test]
fn a_busy_machine_is_reported_instead_of_bandwidth() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = tempdir().unwrap();
    for (seconds, is_busy) in [(1000.0, true), (0.0, false)] {
        // The command is one of ours, as far as can be seen, and has waited as it says.
        fs::write(folder.path().join("summary"), summary_after_waiting(seconds)).unwrap();
        let run =
            small().inside(folder.path()).args(["--modes", "async", "--command", "cat summary"]);
        let outcome = outcome(&run.arg(origin.url("/")).seen());
        let (notes, said) = (sentences(&outcome["notes"]), sentences(&outcome["explanation"]));
        let command = &outcome["contestants"][1];
        assert_eq!(command["cpu_wait"], if is_busy { 1.0 } else { 0.0 }, "{command}");
        assert_eq!(values(&outcome["samples"], "targets"), vec![&json!(1); 6]);
        if is_busy {
            assert!(notes.contains("the machine was busy: workers waited "), "{notes}");
            assert!(notes.contains("100% of their time for a processor ("), "{notes}");
            assert!(notes.contains("not explained, because the machine was busy"), "{notes}");
            assert!(!said.contains("determines") && !said.contains("is spent"), "{said}");
        } else {
            // The machine of this test may be busy for its own reasons, but the command was not kept waiting.
            assert!(!notes.contains("cat"), "{notes}");
        }
    }
}

#[test]
fn a_command_is_a_contestant_whose_urls_are_unknown() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = tempdir().unwrap();
    let url = origin.url("/").replace("//", "//me:secret@");
    let log = "echo x >> runs; cat \"$COMPARE_URLS\" >> urls; ls -d \"$COMPARE_DIR\" >> dirs";
    let quiet = "KEY=secret sh -c 'exit 0' -H 'a: secret'";
    let reports = Reports::new();
    let seen = small()
        .inside(folder.path())
        .args(reports.words("--report"))
        .args(["--modes", "async", "--command", log, "--command", quiet, "--dir", "saved"])
        .args(["--prepare", "echo x >> prepared", &url])
        .seen();
    let outcome = outcome(&seen);
    assert_eq!((seen.code, &outcome["comparable"]), (Some(0), &json!(true)), "{outcome}");
    assert_eq!(values(&outcome["contestants"], "name"), ["async (16 jobs)", "echo", "sh"]);
    assert_eq!(outcome["contestants"][2]["command"], "KEY=*** sh -c 'exit 0' -H ***");
    assert_eq!((&outcome["timed"], &outcome["targets"]), (&json!("process"), &json!(1)));
    let text = reports.text("md");
    assert!(text.contains("Every run of async (16 jobs): 1 ok."), "{text}");
    for sample in outcome["samples"].as_array().unwrap() {
        let is_command = sample["mode"] == "command";
        for unknown in ["ok", "bytes", "requests", "waiting", "setup"] {
            assert_eq!(sample[unknown].is_null(), is_command, "{unknown}: {sample}");
        }
        for known in ["wall", "process", "cpu_user", "peak_memory"] {
            assert!(
                sample[known].as_f64().is_some_and(|figure| figure >= 0.0),
                "{known}: {sample}"
            );
        }
        let at_least = |name: &str| sample["process"].as_f64() >= sample[name].as_f64();
        assert!(at_least("wall") && at_least("setup"), "{sample}");
    }
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(text("runs").lines().count(), 4, "the warm-up, too");
    assert_eq!(text("prepared").lines().count(), 3 * 4);
    assert_eq!(text("urls"), format!("{url}\n").repeat(4));
    assert_eq!(text("dirs").lines().collect::<BTreeSet<_>>().len(), 4, "a new one each");
    assert_eq!(names_in(&folder.path().join("saved")), Vec::<String>::new());
    assert!(KINDS.iter().all(|kind| !reports.text(kind).contains("secret")));
}

#[test]
fn commands_have_the_urls_of_the_built_in_workload_too() {
    let folder = tempdir().unwrap();
    let log = "cat \"$COMPARE_URLS\" >> urls";
    let run = small().inside(folder.path()).args(["--modes", "async", "--warmup", "0"]);
    let seen = run.args(["-j15", "--command", log]).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let urls = fs::read_to_string(folder.path().join("urls")).unwrap();
    assert_eq!(urls.lines().count(), 3 * 15, "{urls}");
    assert!(urls.lines().all(|url| url.starts_with("http://127.0.0.1:")), "{urls}");
}

#[test]
fn a_command_that_fails_is_not_comparable_and_one_that_is_not_there_is_wrong_usage() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let run =
        |words: &[&str]| small().args(["--modes", "async"]).args(words).arg(origin.url("/")).seen();
    let reasons = not_comparable(&run(&["--command", "exit 22"]));
    assert_eq!(reasons, "exit failed with exit code 22");
    let reasons = not_comparable(&run(&["--command", "kill -9 $$"]));
    assert_eq!(reasons, "kill was ended by a signal");
    let table = [
        (["--command", "no-such-program-here x"], "no-such-program-here failed with exit code 127"),
        (["--prepare", "echo no room >&2; exit 3"], "--prepare failed (exit status: 3): no room"),
    ];
    for (words, complaint) in table {
        let seen = run(&words);
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert!(seen.stderr.contains(complaint), "{}", seen.stderr);
    }
}

#[test]
fn a_command_ends_with_the_deadline_and_with_a_signal() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let words = |command: &str| {
        let words = ["--modes", "async", "--warmup", "0", "--command", command, &origin.url("/")];
        small().args(words)
    };
    let seen = words("sleep 1000").args(["--deadline", "300ms"]).seen();
    assert_eq!(seen.code, Some(4), "{seen:?}");
    assert!(seen.stderr.contains("deadline reached after 0 of 3 runs"), "{}", seen.stderr);
    // It reports that it has started where this test waits for it.
    let started = Gate::of(1);
    let arrive = started.clone();
    let listener = Origin::new(move |_| {
        arrive.pass_by();
        Reply::ok("")
    });
    let program = env!("CARGO_BIN_EXE_fetch");
    let command = format!("'{program}' --no-config {}; sleep 1000", listener.url("/"));
    let run = words(&command).live();
    started.wait();
    run.signal(Signal::SIGTERM);
    let seen = run.seen();
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(143), ""), "{seen:?}");
}

#[test]
fn an_earlier_comparison_is_compared_with() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let reports = Reports::new();
    let run = |words: &[&str]| {
        let run = Run::new().args(["compare", "--runs", "4", "-j2"]);
        run.args(["--modes", "threads,async"]).args(words).arg(origin.url("/")).seen()
    };
    let path = |kind: &str| reports.path(kind).to_str().unwrap().to_owned();
    let first = run(&["--report", &path("json"), "--report", &path("jsonl")]);
    assert_eq!(first.code, Some(0), "{first:?}");
    for kind in ["json", "jsonl"] {
        let seen = run(&["--json", "--against", &path(kind)]);
        let against = &outcome(&seen)["against"];
        assert_eq!(against["reasons"], json!([]), "{against}");
        let names = values(&against["contestants"], "name");
        assert_eq!(names, ["threads (2 jobs)", "async (2 jobs)"]);
        assert_eq!(values(&against["contestants"], "runs_before"), [4, 4]);
    }
    let text = run(&["--against", &path("json")]).stdout;
    assert!(text.contains(&format!("Compared with {}", path("json"))), "{text}");
    assert!(text.contains(" s before, ") && text.contains("were not run in turn"), "{text}");
    // Another workload is no matter of speed.
    let text = run(&["--against", &path("json"), &origin.url("/other")]).stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("the workload differs: 1 URL and 5 bytes before, 2 URLs"), "{text}");
    assert!(!text.contains(" s before, "), "{text}");
    // Earlier versions wrote fewer fields.
    let mut old = reports.document("json");
    for field in ["verdict", "timed", "against"] {
        old.as_object_mut().unwrap().remove(field);
    }
    for one in old["contestants"].as_array_mut().unwrap() {
        for field in ["name", "command", "process", "cpu_wait", "retry_wait", "failed"] {
            one.as_object_mut().unwrap().remove(field);
        }
    }
    let file = reports.0.path().join("old.json");
    fs::write(&file, old.to_string()).unwrap();
    let seen = run(&["--json", "--against", file.to_str().unwrap()]);
    assert_eq!(values(&outcome(&seen)["against"]["contestants"], "runs_now"), [4, 4]);
    let asked = origin.requests();
    fs::write(&file, "{}").unwrap();
    for (words, complaint) in [
        (["--against", file.to_str().unwrap()], "not fetch compare --json output: missing field"),
        (["--against", "no-such.json"], "--against: cannot read no-such.json: No such file"),
    ] {
        let seen = run(&words);
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert!(seen.stderr.contains(complaint), "{}", seen.stderr);
    }
    let seen = run(&["--against", &path("json"), "--report", &path("json")]);
    assert_eq!((seen.code, origin.requests()), (Some(2), asked), "{seen:?}");
}

/// What is shown on a terminal of so many columns.
fn on_a_terminal(columns: u16, words: &[&str]) -> String {
    let (code, shown) = ended_on_a_terminal(columns, words, |_| ());
    assert_eq!(code, Some(0));
    shown
}

/// The exit code, and what is shown on a terminal. `meanwhile` gets the process.
fn ended_on_a_terminal(
    columns: u16,
    words: &[&str],
    meanwhile: impl FnOnce(u32),
) -> (Option<i32>, String) {
    let (terminal, stdout) = pseudoterminal(columns);
    let stderr = stdout.try_clone().unwrap();
    let shown = shown_on(terminal);
    let mut command = program();
    command.args(words).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    let mut child = command.spawn().unwrap();
    meanwhile(child.id());
    let code = child.wait().unwrap().code();
    drop(command);
    (code, shown.join().unwrap())
}

#[test]
fn an_interrupted_comparison_ends_with_a_clean_line() {
    let (origin, is_there, may_end) = holding(|request| request.nth == 0);
    let url = origin.url("/");
    let words = ["compare", "--modes", "async", "--no-config", &url];
    let (code, shown) = ended_on_a_terminal(80, &words, |process| {
        is_there.pass();
        send(process, Signal::SIGINT);
        may_end.pass();
    });
    assert_eq!(code, Some(130), "{shown:?}");
    assert!(shown.contains("Warm-up: async"), "{shown:?}");
    let shown = shown.replace("\x1b[1;31m", "").replace("\x1b[0m", "");
    assert!(shown.contains("\r\x1b[Kerror: interrupted after 0 of "), "{shown:?}");
}

#[test]
fn a_terminal_gets_lines_of_its_width_and_sees_how_long_it_takes() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let url = origin.url("/");
    let words = ["compare", "--runs", "4", "--modes", "threads,async", "--no-config", &url];
    let shown = on_a_terminal(50, &words);
    assert!(shown.contains("\r\x1b[KWarm-up: "), "{shown:?}");
    assert!(shown.contains("\r\x1b[KRun 4 of 4: ") && shown.contains(" left"), "{shown:?}");
    let (_, table) = shown.rsplit_once("\x1b[K").unwrap();
    let fits = |line: &str| line.chars().count() <= 50;
    assert!(table.lines().filter(|line| !line.starts_with("http")).all(fits), "{table}");
    assert_eq!(table.matches("Wall time ").count(), 2, "one below the other: {table}");
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
    assert!(reasons.contains("(HTTP 429)"), "{reasons}");
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
    assert!(reasons.contains("no URL was fetched"), "{reasons}");
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
    assert!(
        sentences(&outcome["notes"]).contains("the delay, not the mode, determines the time"),
        "{outcome}"
    );
    let explanation = sentences(&outcome["explanation"]);
    assert!(!explanation.contains("is spent"), "{explanation}");
}

#[test]
fn a_limit_of_one_holds_no_single_worker_back() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let urls: Vec<String> = (0..20).map(|number| origin.url(&format!("/{number}"))).collect();
    let words = ["--modes", "sequential,sequential", "--per-host", "1"];
    let outcome = outcome(&small().args(words).args(&urls).seen());
    let notes = sentences(&outcome["notes"]);
    assert!(!notes.contains("limited by") && !notes.contains("idle"), "{notes}");
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
    assert!(
        sentences(&outcome["notes"]).contains("4 of 10 runs, to stay within 300 requests"),
        "{outcome}"
    );

    let seen = run().list(pages(&origin, 38)).seen();
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
    assert!(seen.stderr.contains("would send 304 requests"), "{}", seen.stderr);
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
    assert!(
        seen.stderr.contains("request limit of a host reached after 2 of 6 runs"),
        "{}",
        seen.stderr
    );
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
    assert!(seen.stderr.contains("at least 3 are needed"), "{}", seen.stderr);
}

#[test]
fn what_cannot_be_compared_is_wrong_usage() {
    let table: [(&[&str], &str); 7] = [
        (&["--config", "x"], "--config has no effect on the built-in workload; name a list"),
        (&["--fsync"], "--fsync requires --dir"),
        (&["--runs", "2"], "expected an integer between 3 and 100"),
        (&["--modes", "fast"], "possible values: sequential, threads, async, processes"),
        (&["no-such-list"], "no such file"),
        (&["--mode", "async"], "unexpected argument"),
        (&["-x", "ftp://a.b"], "invalid value for --proxy"),
    ];
    for (words, part) in table {
        let seen = Run::new().arg("compare").args(words).seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{words:?}: {seen:?}");
        assert!(seen.stderr.contains(part), "{words:?}: {}", seen.stderr);
    }
}

/// What a report of a comparison may be.
const KINDS: [&str; 5] = ["html", "csv", "json", "jsonl", "md"];

/// What a hostile list and a hostile server may say.
const HOSTILE: &str = "</script><script>alert(1)</script><!--\u{1b}[2J'\"|`&=1+1";

/// A folder with room for one report of each kind.
struct Reports(TempDir);

impl Reports {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.0.path().join(format!("modes.{kind}"))
    }

    /// The words that ask for all of them.
    fn words(&self, option: &str) -> Vec<PathBuf> {
        KINDS.iter().flat_map(|kind| [PathBuf::from(option), self.path(kind)]).collect()
    }

    fn text(&self, kind: &str) -> String {
        fs::read_to_string(self.path(kind)).unwrap()
    }

    /// The only object of a document.
    fn document(&self, kind: &str) -> Value {
        serde_json::from_str(&self.text(kind)).unwrap()
    }
}

/// What is in a folder.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Reports a saved comparison again, from standard input.
fn again(reports: &Reports, saved: &str) -> Seen {
    Run::new().arg("report").args(reports.words("--to")).arg("-").list(saved).seen()
}

#[test]
fn a_saved_comparison_is_told_later_as_it_was_told_at_once() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let at_once = Reports::new();
    let words = ["--modes", "sequential,async", "-j1,2", "--digest", "md5", &origin.url("/")];
    let seen = small().args(at_once.words("--report")).args(words).seen();
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
    assert_eq!(seen.stdout, at_once.text("jsonl"));
    assert_eq!(outcome(&seen), at_once.document("json"));
    assert_eq!(names_in(at_once.0.path()).len(), KINDS.len());
    for saved in ["json", "jsonl"] {
        let later = Reports::new();
        let seen = again(&later, &at_once.text(saved));
        assert_eq!((seen.code, seen.stdout.as_str(), seen.stderr.as_str()), (Some(0), "", ""));
        for kind in KINDS {
            assert_eq!(later.text(kind), at_once.text(kind), "{kind} of {saved}");
        }
        let seen = Run::new().arg("report").arg(at_once.path(saved)).seen();
        assert_eq!((seen.code, seen.stdout), (Some(0), at_once.text("md")));
    }
}

#[test]
fn a_document_tells_every_run_in_its_order_and_how_it_was_made() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let reports = Reports::new();
    let url = origin.url("/").replace("//", "//me:secret@");
    let words = ["--modes", "threads,async", "--seed", "7", "-H", "X-Key: secret", &url];
    let seen = small().args(reports.words("--report")).args(words).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let all = reports.document("json");
    assert_eq!((&all["type"], &all["seed"]), (&json!("comparison"), &json!(7)));
    assert_eq!(all["options"], json!(["--header=***"]));
    assert_eq!(all["sources"], json!([url.replace("secret", "***")]));
    assert!(KINDS.iter().all(|kind| !reports.text(kind).contains("secret")));
    let mut rows = csv::Reader::from_path(reports.path("csv")).unwrap();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let samples = all["samples"].as_array().unwrap();
    assert_eq!(rows.len(), samples.len());
    for (order, (row, sample)) in rows.iter().zip(samples).enumerate() {
        let told = [&row[0], &row[1], &row[3], &row[5]];
        let wall = sample["wall"].to_string();
        let (order, block) = ((order + 1).to_string(), sample["block"].to_string());
        assert_eq!(told, [&order, &block, sample["mode"].as_str().unwrap(), &wall]);
    }
}

#[test]
fn hostile_text_stays_inert_in_every_report_of_a_comparison() {
    let path = format!("/?{}", HOSTILE.replace('\u{1b}', ""));
    let origin = Origin::new(|request| match request.nth {
        4 => Reply::of("404 Not Found", "", "gone"),
        _ => Reply::ok("hello"),
    });
    let at_once = Reports::new();
    let words = ["--modes", "threads,async", &origin.url(&path)];
    let seen = small().args(at_once.words("--report")).args(words).seen();
    assert_eq!(seen.code, Some(1), "{seen:?}");
    assert!(not_comparable(&seen).contains("differs"));
    // The same as a saved comparison that nobody has looked at says it.
    let mut saved = at_once.document("json");
    for field in ["reasons", "notes", "explanation", "sources", "options"] {
        saved[field] = json!([HOSTILE, "=1+1"]);
    }
    for field in ["subject", "program", "started_at", "verdict"] {
        saved[field] = json!(HOSTILE);
    }
    for one in ["contestants", "samples"] {
        saved[one][0]["mode"] = json!("=cmd|' /C calc'!A0");
        saved[one][1]["mode"] = json!(HOSTILE);
    }
    saved["contestants"][0]["name"] = json!("=1+1");
    saved["contestants"][1]["name"] = json!(HOSTILE);
    saved["contestants"][1]["command"] = json!(HOSTILE);
    saved["samples"][0]["longest_url"] = json!("=1+1");
    saved["samples"][0]["failures"] = json!({ "=1+1": 1, HOSTILE: 2 });
    let speed_up = saved["pairs"][0]["speed_up"].clone();
    saved["against"] = json!({
        "file": HOSTILE, "program": HOSTILE, "started_at": HOSTILE, "reasons": [], "contestants": [
            { "name": HOSTILE, "runs_before": 4, "runs_now": 4, "before": 1, "now": 1, "speed_up": speed_up },
        ],
    });
    let later = Reports::new();
    assert_eq!(again(&later, &saved.to_string()).code, Some(0));
    for reports in [&at_once, &later] {
        for kind in KINDS {
            assert!(!reports.text(kind).contains('\u{1b}'), "{kind}");
        }
        let page = reports.text("html");
        let scripts = page.matches("<script").count();
        assert_eq!((scripts, page.matches("</script>").count()), (3, 3), "data and two scripts");
        assert!(!page.contains("<script>alert"), "the page has it as markup");
        let mut rows = csv::Reader::from_path(reports.path("csv")).unwrap();
        for row in rows.records().map(Result::unwrap) {
            assert!(!row.iter().any(|cell| cell.starts_with(['=', '+', '@', '-'])), "{row:?}");
        }
        let table = reports.text("md");
        for line in table.lines().filter(|line| line.contains("alert")) {
            assert!(line.contains('`'), "no code span holds it: {line}");
        }
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        assert!(table.lines().filter(|line| line.starts_with('|')).all(|line| cells(line) == 4));
    }
    // Whoever reads the document gets it as it was said.
    assert_eq!(later.document("json")["subject"], HOSTILE);
}

#[test]
fn a_page_of_a_comparison_asks_nobody_for_anything() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let reports = Reports::new();
    let words = ["--modes", "threads,async", &origin.url("/")];
    assert_eq!(small().args(reports.words("--report")).args(words).seen().code, Some(0));
    ensure_it_asks_nobody(&reports.text("html"));
}

#[test]
fn reports_that_there_are_not_are_wrong_usage_that_says_what_now() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let reports = Reports::new();
    let run = Run::json("async").arg(origin.url("/")).seen().stdout;
    let seen = small().args(["--modes", "threads,async", &origin.url("/")]).seen();
    let (asked, comparison) = (origin.requests(), seen.stdout);
    let har = reports.path("har");
    let har = har.to_str().unwrap();
    let document = reports.path("json");
    let document = document.to_str().unwrap();
    let table: [(&[&str], &str, &str); 4] = [
        (
            &["compare", "--report", har, &origin.url("/")],
            "",
            "fetch --mode MODE --report FILE.har",
        ),
        (&["report", "--to", har, "-"], &comparison, "fetch --mode MODE --report FILE.har"),
        (&["--report", document, &origin.url("/")], "", "use .jsonl"),
        (&["report", "--to", document, "-"], &run, "use .jsonl"),
    ];
    for (words, list, now) in table {
        let seen = Run::new().args(words).list(list).seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{words:?}: {seen:?}");
        assert!(seen.stderr.contains(now), "{words:?}: {}", seen.stderr);
    }
    assert_eq!((origin.requests(), names_in(reports.0.path())), (asked, vec![]));
}

#[test]
fn what_is_no_whole_comparison_is_told_as_what_it_is() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let reports = Reports::new();
    let words = ["--modes", "threads,async", &origin.url("/")];
    let whole = small().args(reports.words("--report")).args(words).seen().stdout;
    let document = reports.text("json");
    let mut flawed = reports.document("json");
    flawed["pairs"][0]["second"] = json!(2);
    let table = [
        (whole[..whole.len() / 2].to_owned(), "-: not fetch compare --json output: EOF"),
        (document[..document.len() / 2].to_owned(), "not fetch compare --json output"),
        (flawed.to_string(), "a pair with an unknown contestant"),
        ("{\n\"type\": \"summary\"\n}\n".to_owned(), "another kind of document"),
        ("{\n}\n".to_owned(), "missing field"),
    ];
    for (saved, told) in &table {
        let later = Reports::new();
        let seen = again(&later, saved);
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert!(seen.stderr.contains(told), "{told}: {}", seen.stderr);
        assert_eq!(names_in(later.0.path()), Vec::<String>::new());
    }
    let later = Reports::new();
    let seen = again(&later, &format!("\n{whole}{whole}"));
    assert_eq!(seen.code, Some(1), "{seen:?}");
    assert!(seen.stderr.contains("-:3: text after the comparison"), "{seen:?}");
    assert_eq!(later.text("jsonl"), whole);
}

#[test]
fn a_report_that_cannot_be_written_is_a_local_fault_before_anybody_is_asked() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = tempdir().unwrap();
    let missing = folder.path().join("missing").join("modes.html");
    let seen = small().arg("--report").arg(missing).arg(origin.url("/")).seen();
    assert_eq!((seen.code, origin.requests()), (Some(3), 0), "{seen:?}");
    assert!(seen.stderr.contains("modes.html"), "{seen:?}");
}

#[test]
fn a_shell_loop_over_the_modes_and_a_comparison_agree() {
    let origin = Origin::new(|request| match request.path.as_str() {
        "/gone" => Reply::of("404 Not Found", "", "gone"),
        "/moved" => Reply::redirect(302, "/there"),
        path => Reply::ok(path.repeat(1000)),
    });
    let folder = tempdir().unwrap();
    let list = folder.path().join("list");
    let paths = ["/a", "/bc", "/gone", "/moved", "/def", "/ghij"];
    fs::write(&list, paths.map(|path| origin.url(path)).join("\n")).unwrap();
    let modes = MODES.join(" ");
    let script = format!(
        "for mode in {modes}; do \"$0\" --mode $mode --jobs 3 --digest md5 --json \"$1\"; done"
    );
    let program = env!("CARGO_BIN_EXE_fetch");
    let by_hand = Run::of("sh").args(["-c", &script, program]).arg(&list).seen();
    let words = ["--jobs", "3", "--digest", "md5", "--warmup", "0"];
    let compared = outcome(&small().args(words).arg(&list).seen());

    assert_eq!(compared["comparable"], true, "{}", compared["reasons"]);
    let lines: Vec<Value> =
        by_hand.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summaries: Vec<_> = lines.iter().filter(|line| line["type"] == "summary").collect();
    assert_eq!(summaries.len(), MODES.len(), "{by_hand:?}");
    assert_eq!(values(&compared["contestants"], "mode"), MODES);
    for (place, summary) in summaries.iter().enumerate() {
        let all = compared["samples"].as_array().unwrap().iter();
        let samples: Vec<_> = all.filter(|sample| sample["contestant"] == place).collect();
        assert_eq!(samples.len(), 3);
        for sample in samples {
            // How many connections several workers need is a matter of time.
            for name in ["mode", "jobs", "targets", "ok", "bytes", "wire_bytes"] {
                assert_eq!(sample[name], summary[name], "{name}: {sample}");
            }
            for name in ["worker_threads", "requests", "handshakes", "lookups"] {
                assert_eq!(sample[name], summary["resources"][name], "{name}: {sample}");
            }
        }
    }
    // A comparison that is comparable says that the rows are the same; by hand they are too.
    let of_a_row = |row: &Value| {
        [&row["url"], &row["http_status"], &row["bytes"], &row["digest"], &row["error"]["class"]]
            .map(Clone::clone)
    };
    let rows_of_a_mode = lines.split(|line| line["type"] == "summary").map(|rows| {
        let mut rows: Vec<_> = rows.iter().collect();
        rows.sort_by_key(|row| row["index"].as_u64());
        rows.into_iter().map(of_a_row).collect::<Vec<_>>()
    });
    let rows: BTreeSet<String> =
        rows_of_a_mode.take(MODES.len()).map(|rows| json!(rows).to_string()).collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
}

#[test]
fn work_on_bodies_is_part_of_what_is_compared() {
    let body = gzip("a".repeat(100_000));
    let on_the_wire = body.len();
    let origin = Origin::new(move |_| Reply::of("200 OK", "Content-Encoding: gzip\r\n", &body));
    let words = ["--compressed", "--digest", "sha256", &origin.url("/")];
    let outcome = outcome(&small().args(words).seen());
    assert_eq!(outcome["options"], json!(["--compressed", "--digest=sha256"]));
    assert!(values(&outcome["samples"], "bytes").iter().all(|bytes| **bytes == 100_000));
    assert!(values(&outcome["samples"], "wire_bytes").iter().all(|bytes| **bytes == on_the_wire));
}

#[test]
fn each_run_saves_into_a_folder_that_is_new_and_goes_after_it() {
    let folder = tempdir().unwrap();
    let (within, seen_there) = (folder.path().join("runs"), folder.path().join("runs"));
    let origin = Origin::new(move |_| {
        assert_eq!(names_in(&seen_there).len(), 1);
        Reply::ok("hello")
    });
    let words = ["--modes", "threads,async", "-j4", "--loops", "3", "--dir"];
    let seen = small().args(words).arg(&within).arg("--fsync").arg(origin.url("/")).seen();
    let outcome = outcome(&seen);
    assert_eq!((seen.code, &outcome["comparable"]), (Some(0), &json!(true)), "{outcome}");
    // Nothing is skipped for having been saved before.
    assert_eq!(origin.requests(), 2 * (1 + 3));
    assert_eq!(values(&outcome["samples"], "bytes"), vec![&json!(5); 6]);
    assert_eq!(values(&outcome["contestants"], "worker_threads"), [4.0, 3.0]);
    assert_eq!(names_in(&within), Vec::<String>::new());
}

#[test]
fn a_comparison_that_is_interrupted_leaves_nothing_behind() {
    let (origin, is_there, may_end) = holding(|request| request.nth == 0);
    let reports = Reports::new();
    let words = ["--runs", "100", "--modes", "threads,async", "--dir"];
    let run = Run::new()
        .args(["compare", "--json"])
        .args(words)
        .arg(reports.0.path())
        .args(reports.words("--report"));
    let run = run.arg(origin.url("/")).live();
    is_there.pass();
    run.signal(Signal::SIGTERM);
    may_end.pass();
    let seen = run.seen();
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(143), ""), "{seen:?}");
    // The first run may end before the signal is heard.
    let is_said = |runs| seen.stderr.contains(&format!("interrupted after {runs} of 100 runs"));
    assert!((0..100).any(is_said), "{seen:?}");
    assert_eq!(names_in(reports.0.path()), Vec::<String>::new());
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
    let mut origin = Run::new().args(["serve", "--port", "0", "--latency", "400ms"]).live();
    let base = origin.line().trim_end().replace("Listening on ", "");
    let urls: Vec<String> = (0..10).map(|number| format!("{base}/bytes/100?{number}")).collect();
    // Ten waits one after another against two.
    let seen = small().args(["--modes", &MODES.join(","), "-j5"]).args(&urls).seen();
    origin.signal(Signal::SIGTERM);
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
