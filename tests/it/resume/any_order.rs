//! Properties: any sequence of runs, replies, versions and kills.
//!
//! A batch is a list of many URLs and a sequence of runs of it into one folder. Each URL is a case: its server follows a
//! script of its own. `SAVING_SEED` and `SAVING_CASES` in the environment choose the cases and how many there are.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::random_server::{RandomServer, Script};
use super::told;
use crate::support::folder::quick_folder;
use crate::support::saved_files::names;
use crate::support::{MODES, Run, Seen, Version};

/// The most runs of a batch before the server keeps the rules.
const RUNS: usize = 4;

/// Cases of a batch.
const BATCH: usize = 100;

/// Cases in the suite, in every mode together.
const CASES: usize = 2_000;

/// Runs of a case alone to find a smaller one.
const TRIES: usize = 300;

/// One of the runs of a batch.
#[derive(Debug, Clone)]
struct Round {
    mode: &'static str,
    args: Vec<&'static str>,
    /// The failpoint at which it is killed, and which time, counted over all its URLs.
    kill: Option<(&'static str, usize)>,
}

fn round() -> impl Strategy<Value = Round> {
    let places =
        ["created", "noted", "begun", "written", "appended", "renamed", "reopened", "grown"];
    let kill = (proptest::sample::select(places.to_vec()), 1..60usize);
    let kill = proptest::option::weighted(0.2, kill);
    let again: [&[&str]; 3] = [&[], &["--refresh"], &["--force"]];
    let retry: [&[&str]; 3] = [&[], &["--retry", "0"], &["--retry", "1"]];
    let how: [&[&str]; 6] = [
        &[],
        &[],
        &["--split", "4", "--min-split-size", "64k"],
        &["--compressed"],
        &["--digest", "sha256"],
        &["--http1", "--jobs", "3"],
    ];
    let mode = proptest::sample::select(&MODES);
    let chosen = [again.to_vec(), retry.to_vec(), how.to_vec()].map(proptest::sample::select);
    (mode, chosen, kill).prop_map(|(mode, args, kill)| Round { mode, args: args.concat(), kill })
}

impl Round {
    /// A run of the server that keeps the rules.
    fn honest(mode: &'static str, args: &[&'static str]) -> Self {
        Self { mode, args: [args, &["--retry", "0"]].concat(), kill: None }
    }

    /// Whether a whole reply must have become the file: nothing ends the run, and no reply is given up for segments.
    fn takes_what_is_offered(&self) -> bool {
        self.kill.is_none() && !self.args.contains(&"--split")
    }

    fn run(&self, number: usize, folder: &Path, list: &str) -> Seen {
        let mut run = Run::json(self.mode).args(&self.args).args(["--retry-delay", "1ms", "-A"]);
        if let Some((place, time)) = self.kill {
            run = run.env("FETCH_KILL_AT", format!("{place}:{time}"));
        }
        run.arg(number.to_string()).arg("-d").arg(folder).list(list).seen()
    }
}

/// What is wrong with a case.
struct Fault {
    case: usize,
    what: String,
    /// What its server was asked for, and what it did.
    log: Vec<String>,
}

impl Fault {
    fn told(&self) -> String {
        format!("case {}: {}\n  {}", self.case, self.what, self.log.join("\n  "))
    }
}

/// Makes the runs of `rounds`, then those of a server that keeps the rules, for all cases at once.
fn faults(rounds: &[Round], scripts: Vec<Script>) -> Vec<Fault> {
    let (folder, cases) = (quick_folder(), scripts.len());
    let server = RandomServer::of(scripts);
    let list = server.list();
    let mut faults = Vec::new();
    let last = rounds.last().expect("there is a run").mode;
    let honest = [&[][..], &["--refresh"], &[]].map(|args| Round::honest(last, args));
    for (number, round) in rounds.iter().chain(&honest).enumerate() {
        let seen = round.run(number, folder.path(), &list);
        let mut judge = |case: usize, verdict: Result<(), String>| {
            let Err(what) = verdict else { return };
            let what = format!("run {number}, {round:?}: {what}");
            faults.push(Fault { case, what, log: server.resource(case).log.clone() });
        };
        let rows = rows(&seen, cases);
        for (case, row) in rows.iter().enumerate() {
            let file = fs::read(folder.path().join(case.to_string())).ok();
            judge(case, ensure_a_version(&server, case, file.as_deref(), row));
            if round.takes_what_is_offered() {
                judge(case, ensure_taken(&server, case, number, file.as_deref(), row));
            }
            if number >= rounds.len() {
                let nth = number - rounds.len();
                judge(case, ensure_had(&server, case, number, nth, file.as_deref(), row));
            }
        }
        if round.kill.is_none() && !matches!(seen.code, Some(0 | 1)) {
            judge(0, Err(format!("{:?}: {}", seen.code, seen.stderr)));
        }
        if !faults.is_empty() {
            return faults;
        }
    }
    let mut expected: Vec<_> = (0..cases).map(|case| case.to_string()).collect();
    expected.sort();
    assert_eq!(names(folder.path()), expected, "nothing else is there");
    let verified = Run::new().args(["verify", "--json"]).arg(folder.path()).seen();
    assert_eq!(verified.code, Some(0), "{verified:?}");
    faults
}

/// The row of each case; null where the run was killed before.
fn rows(seen: &Seen, cases: usize) -> Vec<Value> {
    let mut rows = vec![Value::Null; cases];
    let lines = seen.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for row in lines.filter(|row| row["type"] == "result") {
        let index = row["index"].as_u64().unwrap() as usize;
        rows[index - 1] = row;
    }
    rows
}

fn is_success(row: &Value) -> bool {
    row.is_object() && row["error"].is_null()
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// A file is a version of the resource, from its first byte to its last, and the row of a success describes it.
/// Nobody but the server knows the bytes of a version, so all of them were sent.
fn ensure_a_version(
    server: &RandomServer,
    case: usize,
    file: Option<&[u8]>,
    row: &Value,
) -> Result<(), String> {
    let Some(file) = file else {
        return ensure(!is_success(row), || format!("there is no file: {row}"));
    };
    let versions = server.resource(case).versions_of(file);
    ensure(!versions.is_empty(), || format!("{} bytes of no version: {row}", file.len()))?;
    let fields = told(row, &["bytes", "etag", "last_modified"]);
    let is_told = |held: &Version| fields == json!([held.length(), held.etag, held.modified]);
    ensure(!is_success(row) || versions.iter().any(is_told), || {
        format!("the file is {:?}: {row}", versions[0].fields())
    })
}

/// A whole version that was sent where no range was asked for is the file, and the target is `ok`.
fn ensure_taken(
    server: &RandomServer,
    case: usize,
    run: usize,
    file: Option<&[u8]>,
    row: &Value,
) -> Result<(), String> {
    let resource = server.resource(case);
    let Some(offered) = resource.offered(run) else { return Ok(()) };
    ensure(row["outcome"] == "ok", || format!("a whole version was sent: {row}"))?;
    ensure(file == Some(&offered.body), || format!("another version was sent whole: {row}"))
}

/// A server that keeps the rules is asked: first every target is had, then the newest version of each, and then nothing
/// is asked for any more.
fn ensure_had(
    server: &RandomServer,
    case: usize,
    run: usize,
    nth: usize,
    file: Option<&[u8]>,
    row: &Value,
) -> Result<(), String> {
    let resource = server.resource(case);
    ensure(is_success(row), || format!("the server keeps the rules: {row}"))?;
    let requests = resource.requests(run);
    match nth {
        0 => Ok(()),
        1 => {
            let newest = resource.current();
            // The other resource, which it redirected to before, has the same validators.
            let is_like_it = || {
                let held = resource.versions_of(file.unwrap_or_default());
                held.iter().any(|held| held.fields() == newest.fields())
            };
            let holds = match row["outcome"].as_str() {
                Some("unchanged") => is_like_it(),
                _ => file == Some(&newest.body),
            };
            ensure(holds, || format!("it is not the newest: {row}"))
        }
        _ => ensure(row["outcome"] == "skipped" && requests == 0, || {
            format!("{requests} requests: {row}")
        }),
    }
}

/// The number in a variable of the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Tries this many cases in batches whose first run is in this mode. In every second batch the later runs are in others.
fn try_cases(mode: &'static str, cases: usize, seed: u64) {
    for batch in 0..cases.div_ceil(BATCH) {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&(batch as u64).to_le_bytes());
        bytes[16..16 + mode.len()].copy_from_slice(mode.as_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), random);
        let rounds = proptest::collection::vec(round(), 2..=RUNS);
        let mut rounds = rounds.new_tree(&mut runner).unwrap().current();
        for (nth, round) in rounds.iter_mut().enumerate() {
            if nth == 0 || batch % 2 == 0 {
                round.mode = mode;
            }
            if round.mode == "sequential" {
                round.args.retain(|arg| {
                    !["--split", "4", "--min-split-size", "64k", "--jobs", "3"].contains(arg)
                });
            }
        }
        let script = Script::any(rounds.len());
        let mut trees: Vec<_> =
            (0..BATCH.min(cases)).map(|_| script.new_tree(&mut runner).unwrap()).collect();
        let faults = faults(&rounds, trees.iter().map(ValueTree::current).collect());
        if let Some(fault) = faults.first() {
            let smallest = smallest(&rounds, &mut trees[fault.case]);
            let smallest = smallest.as_ref().map_or("none".to_owned(), Fault::told);
            panic!(
                "SAVING_SEED={seed}, mode {mode}, batch {batch}: {} faults, the first:\n{}\n\nalone, and made \
                 smaller: {smallest}",
                faults.len(),
                fault.told(),
            );
        }
    }
}

/// The fault of the case alone, made as small as it gets; `None` if there is none.
fn smallest(rounds: &[Round], tree: &mut impl ValueTree<Value = Script>) -> Option<Fault> {
    let alone = |script: Script| faults(rounds, vec![script]).pop();
    let mut smallest = alone(tree.current())?;
    let mut goes_on = tree.simplify();
    for _ in 0..TRIES {
        if !goes_on {
            break;
        }
        goes_on = match alone(tree.current()) {
            Some(fault) => {
                smallest = fault;
                tree.simplify()
            }
            None => tree.complicate(),
        };
    }
    Some(smallest)
}

/// The same cases each time, unless the environment chooses others.
fn try_a_quarter(mode: &'static str) {
    let cases = number("SAVING_CASES").map_or(CASES, |cases| cases as usize);
    try_cases(mode, cases / MODES.len(), number("SAVING_SEED").unwrap_or(1));
}

#[test]
fn after_any_runs_a_file_is_a_version_and_what_was_offered_whole_is_had_sequentially() {
    try_a_quarter("sequential");
}

#[test]
fn after_any_runs_a_file_is_a_version_and_what_was_offered_whole_is_had_in_threads() {
    try_a_quarter("threads");
}

#[test]
fn after_any_runs_a_file_is_a_version_and_what_was_offered_whole_is_had_in_async() {
    try_a_quarter("async");
}

#[test]
fn after_any_runs_a_file_is_a_version_and_what_was_offered_whole_is_had_in_processes() {
    try_a_quarter("processes");
}
