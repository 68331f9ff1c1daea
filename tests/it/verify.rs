//! What was saved is compared with its manifest, and what is not as it was is fetched again, and nothing else.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::folder::all_in;
use crate::support::saved_files::saved_in;
use crate::support::{End, Gate, Origin, Reply, Request, Run, Seen, in_every_mode, program};

const CHAPTER: &str = include_str!("../../src/manual/integrity.md");

/// A folder to save to, and an origin whose path `/n` is a body of its own.
struct House {
    origin: Origin,
    folder: TempDir,
}

impl House {
    fn new() -> Self {
        Self::of(|request| Reply::ok(body(&request.path[1..])))
    }

    fn of(temper: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self { origin: Origin::new(temper), folder: tempfile::tempdir().unwrap() }
    }

    /// One to which these files were saved, with their digests.
    fn with(names: &[&str]) -> Self {
        let house = Self::new();
        let seen = house.fetch("async", names, &["--digest", "sha256"]);
        assert_eq!(seen.code, Some(0), "{seen:?}");
        house
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("saved")
    }

    fn run(&self, mode: &str, names: &[&str], args: &[&str]) -> Run {
        let list: String =
            names.iter().map(|name| self.origin.url(&format!("/{name}\n"))).collect();
        Run::json(mode).arg("--dir").arg(self.dir()).args(args).list(list)
    }

    fn fetch(&self, mode: &str, names: &[&str], args: &[&str]) -> Seen {
        self.run(mode, names, args).seen()
    }

    fn verify(&self, args: &[&str]) -> Seen {
        Run::new().arg("verify").args(args).arg(self.dir()).seen()
    }

    /// The state of each file, and the summary; nothing is marked.
    fn looked(&self) -> (BTreeMap<String, String>, Value) {
        states(&self.verify(&["--json", "--no-mark"]))
    }

    fn requests(&self) -> Vec<String> {
        let mut paths: Vec<_> = self.origin.seen().into_iter().map(|it| it.path).collect();
        paths.sort();
        paths
    }

    fn manifest(&self) -> String {
        fs::read_to_string(self.at(".fetch/manifest.jsonl")).unwrap()
    }

    /// Adds lines to the manifest.
    fn forge(&self, text: &str) {
        let file = OpenOptions::new().append(true).open(self.at(".fetch/manifest.jsonl"));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }
}

fn body(name: &str) -> String {
    format!("the body of {name}")
}

/// A line of a manifest that says that `body` was saved as `path`.
fn saved(path: &str, body: &str, more: Value) -> String {
    let mut entry = json!({
        "type": "saved", "url": "http://a.test/", "id": "00".repeat(32), "path": path,
        "bytes": body.len(), "saved_at": "2026-01-01T00:00:00Z",
    });
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("{entry}\n")
}

fn objects(seen: &Seen) -> Vec<Value> {
    seen.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn states(seen: &Seen) -> (BTreeMap<String, String>, Value) {
    let mut objects = objects(seen);
    let summary = objects.pop().unwrap_or_else(|| panic!("{seen:?}"));
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let states = objects.iter().map(|row| (text(row, "path"), text(row, "state")));
    (states.collect(), summary)
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, state)| (name.to_owned(), state.to_owned())).into()
}

#[test]
fn what_is_as_it_was_saved_is_found_so() {
    let house = House::with(&["a", "b"]);
    let seen = house.verify(&[]);
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
    assert_eq!(seen.stdout, "Verified 2 of 2 files (26 B)\n");
    let seen = house.verify(&["--verbose"]);
    assert!(seen.stdout.contains("OK a (sha-256)\n"), "{seen:?}");
    assert_eq!(house.verify(&["--quiet"]).stdout, "");
}

#[test]
fn every_file_is_a_row_of_json_and_the_summary_comes_last() {
    let house = House::with(&["a"]);
    let objects = objects(&house.verify(&["--format", "jsonl", "--quiet"]));
    let row = json!({
        "type": "file", "path": "a", "state": "ok", "url": house.origin.url("/a"), "bytes": 13,
        "checked_by": "sha-256", "message": null,
    });
    let summary = json!({
        "type": "summary", "files": 1, "ok": 1, "by_length": 0, "bytes": 13, "missing": 0, "changed": 0,
        "unfinished": 0, "unreadable": 0, "nameless": 0, "marked": 0, "extra": 0, "bad_lines": 0,
    });
    for name in [&row, &summary].into_iter().flat_map(|it| it.as_object().unwrap().keys()) {
        assert!(CHAPTER.contains(&format!("`{name}`")), "{name}");
    }
    assert_eq!(objects, [row, summary]);
}

#[test]
fn what_is_missing_changed_or_extra_is_told_and_only_the_first_two_fail() {
    let house = House::with(&["gone", "kept", "longer", "same-length"]);
    fs::remove_file(house.at("gone")).unwrap();
    fs::write(house.at("longer"), "the body of longer!").unwrap();
    fs::write(house.at("same-length"), "THE BODY OF same-length").unwrap();
    fs::write(house.at("mine"), "").unwrap();
    let seen = house.verify(&["--no-mark"]);
    assert_eq!(seen.code, Some(1), "{seen:?}");
    let mut lines: Vec<_> = seen.stdout.lines().collect();
    assert_eq!(lines.pop(), Some("Verified 1 of 4 files (16 B): 1 missing, 2 changed, 1 extra"));
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "Changed longer: size 19, expected 18",
            "Changed same-length: sha-256 mismatch",
            "Extra mine",
            "Missing gone",
        ]
    );
    let quiet = house.verify(&["--no-mark", "--quiet"]);
    assert_eq!((quiet.code, quiet.stdout.lines().count()), (Some(1), 3), "{quiet:?}");
    let house = House::with(&["kept"]);
    fs::write(house.at("mine"), "").unwrap();
    assert_eq!(house.verify(&[]).code, Some(0));
}

#[test]
fn where_there_is_no_digest_the_length_alone_is_compared_and_that_is_said() {
    let house = House::new();
    house.fetch("async", &["a", "b"], &[]);
    fs::write(house.at("a"), body("A")).unwrap();
    fs::write(house.at("b"), "").unwrap();
    let seen = house.verify(&["--no-mark", "--verbose"]);
    assert_eq!(seen.code, Some(1));
    assert!(seen.stdout.contains("OK a (size)\n"), "{seen:?}");
    assert!(seen.stdout.contains("1 checked by size only"), "{seen:?}");
    assert_eq!(house.looked().1["by_length"], 1);
}

#[test]
fn every_kind_of_digest_is_compared() {
    for algorithm in ["md5", "sha-1", "sha-256", "sha-512", "blake3", "crc32", "crc32c"] {
        let house = House::new();
        house.fetch("async", &["a"], &["--digest", algorithm]);
        let row = &objects(&house.verify(&["--json"]))[0];
        assert_eq!(row["checked_by"], algorithm);
        fs::write(house.at("a"), body("A")).unwrap();
        assert_eq!(house.looked().0, map([("a", "changed")]), "{algorithm}");
    }
}

#[test]
fn a_digest_of_a_kind_that_is_not_known_leaves_the_length() {
    let house = House::with(&["a"]);
    house.forge(&saved("b", "body", json!({"digest": "sha-3=00"})));
    fs::write(house.at("b"), "BODY").unwrap();
    let (states, summary) = house.looked();
    assert_eq!(states, map([("a", "ok"), ("b", "ok")]));
    assert_eq!(summary["by_length"], 1);
}

#[test]
fn the_next_run_fetches_what_is_missing_or_changed_and_nothing_else() {
    in_every_mode(|mode| {
        let house = House::new();
        let names = ["a", "b", "c", "d"];
        let args = &["--digest", "sha256"];
        house.fetch(mode, &names, args);
        fs::remove_file(house.at("b")).unwrap();
        fs::write(house.at("c"), body("C")).unwrap();
        let seen = house.verify(&[]);
        assert_eq!(seen.code, Some(1));
        let marked = ". Marked 2 for download; run the fetch command again.\n";
        assert!(seen.stdout.ends_with(marked), "{seen:?}");
        let before = house.requests();
        let seen = house.fetch(mode, &names, args);
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let mut expected = before;
        expected.extend(["/b".to_owned(), "/c".to_owned()]);
        expected.sort();
        assert_eq!(house.requests(), expected);
        assert_eq!(
            saved_in(&house.dir()),
            names.map(|name| (name.to_owned(), body(name).into_bytes())).into()
        );
        let seen = house.verify(&[]);
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(0), "Verified 4 of 4 files (52 B)\n"));
        house.fetch(mode, &names, args);
        assert_eq!(house.requests(), expected, "and not a third time");
    });
}

#[test]
fn what_has_come_in_place_of_a_missing_file_is_not_ours() {
    in_every_mode(|mode| {
        let house = House::with(&["a", "b"]);
        fs::remove_file(house.at("a")).unwrap();
        fs::write(house.at("b"), "changed").unwrap();
        assert_eq!(house.verify(&[]).code, Some(1));
        fs::write(house.at("a"), "somebody's").unwrap();
        fs::remove_file(house.at("b")).unwrap();
        symlink("a", house.at("b")).unwrap();
        let seen = house.fetch(mode, &["a", "b"], &[]);
        let rows = seen.rows_in_list_order();
        assert!(rows.iter().all(|row| row["error"]["class"] == "name"), "{seen:?}");
        assert_eq!(fs::read_to_string(house.at("a")).unwrap(), "somebody's");
        assert!(house.at("b").is_symlink());
        let seen = house.fetch(mode, &["a"], &["--overwrite"]);
        assert_eq!((seen.code, fs::read_to_string(house.at("a")).unwrap()), (Some(0), body("a")));
    });
}

#[test]
fn an_entry_that_lacks_something_is_as_good_as_none() {
    in_every_mode(|mode| {
        let house = House::with(&["a", "b"]);
        let whole = house.manifest();
        fs::write(house.at(".fetch/manifest.jsonl"), whole.replace("\"bytes\"", "\"lost\""))
            .unwrap();
        fs::remove_file(house.at("b")).unwrap();
        let seen = house.fetch(mode, &["a", "b"], &[]);
        let rows = seen.rows_in_list_order();
        assert_eq!((seen.code, &rows[0]["error"]["class"]), (Some(1), &"name".into()), "{seen:?}");
        assert_eq!(rows[1]["outcome"], "ok", "{seen:?}");
    });
}

#[test]
fn what_was_marked_is_told_again_and_not_marked_again() {
    let house = House::with(&["a", "b"]);
    fs::remove_file(house.at("a")).unwrap();
    house.verify(&[]);
    let before = house.manifest();
    let seen = house.verify(&["--json"]);
    let (states, summary) = states(&seen);
    assert_eq!((seen.code, states), (Some(1), map([("a", "missing"), ("b", "ok")])));
    assert_eq!((&summary["marked"], &summary["missing"]), (&json!(1), &json!(1)));
    assert_eq!(house.manifest(), before);
}

#[test]
fn only_to_look_changes_nothing() {
    let house = House::with(&["a", "b"]);
    fs::remove_file(house.at("a")).unwrap();
    house.forge("{\"type\":\"sav");
    let before = all_in(&house.dir());
    assert_eq!(house.verify(&["--no-mark"]).code, Some(1));
    assert_eq!(all_in(&house.dir()), before);
    assert_eq!(house.verify(&[]).code, Some(1));
    assert_ne!(all_in(&house.dir()), before);
}

#[test]
fn of_several_entries_for_one_file_the_last_counts() {
    let house = House::with(&["a"]);
    for text in ["one", "other"] {
        house.forge(&saved("b", text, json!({})));
    }
    fs::write(house.at("b"), "other").unwrap();
    let (states, summary) = house.looked();
    assert_eq!(states, map([("a", "ok"), ("b", "ok")]));
    assert_eq!(summary["files"], 2);
    fs::write(house.at("b"), "one").unwrap();
    assert_eq!(house.looked().0["b"], "changed");
}

#[test]
fn what_was_begun_and_not_finished_is_told_and_is_no_failure_and_its_part_is_not_extra() {
    let large = "x".repeat(200_000);
    let house = House::of(move |request| {
        let whole = Reply::of("200 OK", "ETag: \"v1\"\r\n", &large);
        if request.path == "/large" { whole.but(50_000, End::Close) } else { Reply::ok("whole") }
    });
    assert_eq!(house.fetch("async", &["large", "a"], &["--retry", "0"]).code, Some(1));
    fs::write(house.at("other.part"), "").unwrap();
    assert!(house.at("large.part").exists());
    let seen = house.verify(&[]);
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let expected = "Partial large: download incomplete\nExtra other.part\n";
    assert_eq!(seen.stdout.split("Verified").next(), Some(expected));
    let (states, summary) = house.looked();
    assert_eq!(states, map([("a", "ok"), ("large", "unchecked"), ("other.part", "extra")]));
    assert_eq!(summary["unfinished"], 1);
    // What has the name of an unfinished file was not saved; unless it is the version before.
    fs::write(house.at("large"), "").unwrap();
    assert_eq!(house.looked().0["large"], "extra");
}

#[test]
fn the_version_before_an_unfinished_one_is_not_extra() {
    let house = House::with(&["a"]);
    let partial = json!({
        "type": "partial", "url": "http://a.test/", "id": "00".repeat(32), "path": "a", "part": "a.part",
        "replaces": true, "started_at": "2026-01-01T00:00:00Z",
    });
    house.forge(&format!("{partial}\n"));
    fs::write(house.at("a.part"), "beginning").unwrap();
    assert_eq!(house.looked().0, map([("a", "unchecked")]));
}

#[test]
fn a_rename_that_a_killed_run_did_not_come_to_is_finished() {
    in_every_mode(|mode| {
        let house = House::new();
        let killed = house.run(mode, &["a"], &["--digest", "sha256"]);
        assert_eq!(killed.env("FETCH_KILL_AT", "appended:1").seen().code, None);
        let part = [("a.part".to_owned(), body("a").into_bytes())].into();
        assert_eq!(saved_in(&house.dir()), part);
        let seen = house.verify(&["--no-mark", "--verbose"]);
        let expected = "OK a (sha-256): complete; will be renamed by the next run\nVerified 1 of 1 file (13 B)\n";
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(0), expected));
        assert_eq!(saved_in(&house.dir()), part);
        let seen = house.verify(&[]);
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(0), "Verified 1 of 1 file (13 B)\n"));
        assert_eq!(saved_in(&house.dir()), [("a".to_owned(), body("a").into_bytes())].into());
    });
}

#[test]
fn a_file_of_somebody_else_keeps_the_name_that_a_killed_run_did_not_give() {
    let house = House::new();
    let killed = house.run("async", &["a"], &["--digest", "sha256"]);
    killed.env("FETCH_KILL_AT", "appended:1").seen();
    fs::write(house.at("a"), "mine").unwrap();
    let seen = house.verify(&[]);
    assert_eq!(seen.code, Some(1));
    let told = "Changed a: a file that was not saved by fetch has this name; move it away\n";
    assert!(seen.stdout.starts_with(told), "{seen:?}");
    assert!(!house.manifest().contains("marked"), "marked, it would be replaced");
    house.fetch("async", &["a"], &[]);
    assert_eq!(fs::read_to_string(house.at("a")).unwrap(), "mine");
}

#[test]
fn an_unfinished_file_that_is_not_what_was_saved_gets_no_name() {
    let house = House::new();
    let killed = house.run("async", &["a"], &["--digest", "sha256"]);
    killed.env("FETCH_KILL_AT", "appended:1").seen();
    fs::write(house.at("a.part"), body("A")).unwrap();
    assert_eq!(house.verify(&[]).code, Some(1));
    assert_eq!(saved_in(&house.dir()), [("a.part".to_owned(), body("A").into_bytes())].into());
    assert!(house.manifest().contains("\"why\":\"missing\""));
}

#[test]
fn what_is_no_regular_file_is_changed_and_no_link_is_followed() {
    let house = House::with(&["link", "folder", "pipe"]);
    let outside = house.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("link"), body("link")).unwrap();
    for name in ["link", "folder", "pipe"] {
        fs::remove_file(house.at(name)).unwrap();
    }
    symlink(outside.join("link"), house.at("link")).unwrap();
    fs::create_dir(house.at("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(house.at("pipe")).status().unwrap().success());
    // Another folder within is a link to a whole one.
    symlink(&outside, house.at("out")).unwrap();
    house.forge(&saved("out/link", &body("link"), json!({})));
    fs::write(house.at("plain"), "").unwrap();
    house.forge(&saved("plain/below", "", json!({})));
    let (states, _) = house.looked();
    let changed = ["link", "folder", "pipe", "out/link"].map(|name| (name, "changed"));
    let mut expected = map(changed);
    expected.extend(map([("plain/below", "missing"), ("plain", "extra")]));
    assert_eq!(states, expected);
}

#[test]
fn a_folder_is_looked_at_through_a_link_to_it() {
    let house = House::with(&["a"]);
    let link = house.folder.path().join("link");
    symlink(house.dir(), &link).unwrap();
    assert_eq!(Run::new().arg("verify").arg(link).seen().code, Some(0));
}

#[test]
fn a_forged_manifest_leads_to_nothing_outside() {
    let house = House::with(&["a"]);
    let outside = house.folder.path().join("secret");
    fs::write(&outside, "secret").unwrap();
    let names = [
        "../secret",
        outside.to_str().unwrap(),
        "a/../../secret",
        "",
        ".",
        "a//b",
        "x\0y",
        ".fetch/lock",
    ];
    for name in names {
        house.forge(&saved(name, "secret", json!({})));
    }
    let seen = house.verify(&["--json"]);
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let (mut states, summary) = states(&seen);
    assert_eq!(states.remove("a").as_deref(), Some("ok"));
    assert!(states.values().all(|state| state == "unchecked"), "{states:?}");
    assert_eq!(summary["nameless"], names.len());
    assert!(!house.manifest().contains("marked"));
}

#[test]
fn hostile_names_and_lines_are_shown_and_not_obeyed() {
    let house = House::with(&["a"]);
    house.forge(&saved("b\u{1b}[2J\u{202e}\n", "", json!({})));
    house.forge("{\"type\":\"\u{1b}[2J\"}\n{\"type\":\"\\u001b[2J\"}\n");
    fs::write(house.at("c\u{1b}[31m\n"), "").unwrap();
    let seen = house.verify(&[]);
    let all = format!("{}{}", seen.stdout, seen.stderr);
    assert!(!all.contains(['\u{1b}', '\u{202e}']), "{seen:?}");
    assert!(seen.stdout.contains(r"Missing b\u{1b}[2J\u{202e}\u{a}"), "{seen:?}");
    assert!(seen.stdout.contains(r"Extra c\u{1b}[31m\u{a}"), "{seen:?}");
    assert_eq!(seen.stderr.lines().count(), 2, "{seen:?}");
    // A run and a dry one read the same manifest.
    for args in [&[][..], &["--dry-run"]] {
        let seen = house.fetch("async", &["a"], args);
        assert!(!seen.stderr.contains('\u{1b}'), "{seen:?}");
        assert_eq!(seen.stderr.lines().count(), 2, "{seen:?}");
    }
}

#[test]
fn lines_that_tell_nothing_are_told_and_counted() {
    let house = House::with(&["a"]);
    house.forge(&"rubbish\n".repeat(7));
    let seen = house.verify(&[]);
    assert_eq!(seen.code, Some(0));
    assert!(seen.stdout.contains(": 7 invalid manifest entries"), "{seen:?}");
    assert_eq!(seen.stderr.lines().count(), 6, "five and how many there are: {seen:?}");
    assert!(seen.stderr.contains("manifest.jsonl:2: ignoring invalid entry"), "{seen:?}");
}

#[test]
fn an_entry_that_lacks_something_is_a_row_and_a_fault_and_the_rest_is_looked_at() {
    let house = House::with(&["a"]);
    house.forge(&format!("{}\n", json!({"type": "saved", "id": "00".repeat(32), "path": "b"})));
    house.forge(&saved("c", "", json!({})));
    fs::write(house.at("B"), "").unwrap();
    let seen = house.verify(&["--json"]);
    assert_eq!(seen.code, Some(3), "{seen:?}");
    let (states, summary) = states(&seen);
    let expected = map([("a", "ok"), ("b", "unchecked"), ("B", "extra"), ("c", "missing")]);
    assert_eq!((states, &summary["unreadable"]), (expected, &json!(1)));
}

#[test]
fn where_nothing_was_saved_there_is_nothing_to_verify_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for (dir, what) in [("", "no manifest in "), ("none", "No such file"), ("file", "Not a")] {
        let seen = Run::new().arg("verify").arg(folder.path().join(dir)).seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert!(seen.stderr.contains(what), "{seen:?}");
    }
    assert_eq!(all_in(folder.path()).len(), 1);
    fs::create_dir(folder.path().join(".fetch")).unwrap();
    assert_eq!(Run::new().arg("verify").arg(folder.path()).seen().code, Some(2));
    assert_eq!(all_in(folder.path()).len(), 2);
    assert_eq!(Run::new().arg("verify").seen().code, Some(2), "no folder is named");
}

#[test]
fn a_folder_that_a_run_is_saving_to_is_left_alone() {
    let (asked, end) = (Gate::of(1), Gate::of(1));
    let house = House::of({
        let (asked, end) = (asked.clone(), end.clone());
        move |_| {
            asked.pass_by();
            end.wait();
            Reply::ok("body")
        }
    });
    let run = house.run("async", &["a"], &[]).start();
    asked.wait();
    // The manifest is there from the beginning of the run on.
    for args in [&[][..], &["--no-mark"]] {
        let seen = house.verify(args);
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.contains(" is in use by another fetch process"), "{seen:?}");
    }
    end.pass_by();
    assert!(run.wait_with_output().unwrap().status.success());
    assert_eq!(house.verify(&[]).code, Some(0));
}

#[test]
fn a_thousand_files_are_told_in_the_order_of_the_manifest_by_any_number_of_jobs() {
    let house = House::with(&["a"]);
    for number in 0..3000 {
        let name = format!("{:04}", (number * 7) % 3000);
        fs::write(house.at(&name), &name).unwrap();
        house.forge(&saved(&name, &name, json!({"digest": format!("crc32={}", crc32(&name))})));
    }
    let one = house.verify(&["--json", "-j", "1"]);
    assert_eq!((one.code, one.stdout.lines().count()), (Some(0), 3002));
    let names: Vec<_> = objects(&one).into_iter().map(|row| row["path"].clone()).collect();
    assert_eq!(names[1..4], ["0000", "0007", "0014"]);
    for jobs in ["2", "16"] {
        assert_eq!(house.verify(&["--json", "-j", jobs]).stdout, one.stdout);
    }
}

fn crc32(text: &str) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(text.as_bytes());
    format!("{:08x}", crc.sum())
}

#[test]
fn a_report_that_cannot_be_written_is_a_fault_and_one_that_nobody_reads_ends_quietly() {
    let house = House::with(&["a"]);
    let verify = |stdout: Stdio| {
        let mut command = program();
        command.arg("verify").arg(house.dir()).stdout(stdout).stderr(Stdio::piped());
        Seen::from(command.spawn().unwrap().wait_with_output().unwrap())
    };
    let full = verify(OpenOptions::new().write(true).open("/dev/full").unwrap().into());
    assert_eq!(full.code, Some(3), "{full:?}");
    assert!(full.stderr.contains("cannot write output"), "{full:?}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let gone = verify(writer.into());
    assert_eq!((gone.code, gone.stderr.as_str()), (Some(4), ""));
}

#[test]
fn a_manifest_that_cannot_be_added_to_is_a_fault_but_can_be_looked_at() {
    let house = House::with(&["a", "b"]);
    fs::remove_file(house.at("b")).unwrap();
    let verify = |args: &str| {
        // A limit of no bytes stands in for a disk that is full.
        let script = format!("trap '' XFSZ; ulimit -f 0; exec \"$0\" verify {args} \"$1\"");
        let run = Run::of("sh").args(["-c", &script, env!("CARGO_BIN_EXE_fetch")]);
        run.arg(house.dir()).seen()
    };
    let seen = verify("");
    assert_eq!(seen.code, Some(3), "{seen:?}");
    assert!(seen.stderr.contains("cannot update the manifest"), "{seen:?}");
    assert_eq!(verify("--no-mark").code, Some(1));
}

#[test]
fn a_folder_that_cannot_be_locked_can_still_be_looked_at() {
    let house = House::with(&["a"]);
    fs::remove_file(house.at(".fetch/lock")).unwrap();
    fs::create_dir(house.at(".fetch/lock")).unwrap();
    assert_eq!(house.verify(&[]).code, Some(2));
    assert_eq!(house.verify(&["--no-mark"]).code, Some(0));
}

#[test]
fn a_file_that_cannot_be_read_is_a_row_and_a_fault_and_the_rest_is_looked_at() {
    let house = House::with(&["a", "b"]);
    // A name that is too long to be looked up, for whoever asks.
    house.forge(&saved(&"x".repeat(300), "", json!({})));
    fs::remove_file(house.at("b")).unwrap();
    let seen = house.verify(&["--quiet"]);
    assert_eq!(seen.code, Some(3), "{seen:?}");
    assert!(seen.stdout.contains("Missing b\n"), "{seen:?}");
    assert!(seen.stdout.contains("Unchecked xxx"), "{seen:?}");
    assert_eq!(house.looked().1["unreadable"], 1);
}
