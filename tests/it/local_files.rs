//! The local machine: file systems without locks, directories that cannot be written, limits on file sizes, system calls
//! that fail, and outputs in the directory that bodies are saved to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::saved_files::saved_in;
use crate::support::{MODES, Origin, Reply, Run, Seen, class_of, in_every_mode};

/// Error numbers of Linux.
const EIO: i32 = 5;
const EACCES: i32 = 13;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const ENOLCK: i32 = 37;
const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;
const EDQUOT: i32 = 122;

/// An origin whose path `/LENGTH/NAME` has so many bytes, and which takes ranges.
fn origin() -> Origin {
    Origin::new(|request| {
        let body = served(&request.path);
        let fields = "ETag: \"a\"\r\nAccept-Ranges: bytes\r\n";
        let Some(range) = request.header("range") else {
            return Reply::of("200 OK", fields, body);
        };
        let (first, last) = range["bytes=".len()..].split_once('-').unwrap();
        let first: usize = first.parse().unwrap();
        let end = last.parse().map_or(body.len(), |last: usize| body.len().min(last + 1));
        let fields = format!("{fields}Content-Range: bytes {first}-{}/{}\r\n", end - 1, body.len());
        Reply::of("206 Partial Content", &fields, &body[first..end])
    })
}

fn served(path: &str) -> Vec<u8> {
    let length = path[1..].split('/').next().unwrap().parse().unwrap();
    path.bytes().cycle().take(length).collect()
}

fn list_of(origin: &Origin, paths: &[&str]) -> String {
    paths.iter().map(|path| origin.url(path) + "\n").collect()
}

fn saving(mode: &str, folder: &Path) -> Run {
    saving_with("1", mode, folder)
}

fn saving_with(jobs: &str, mode: &str, folder: &Path) -> Run {
    Run::json(mode).args(["--retry-delay", "1ms", "-j", jobs, "-d"]).arg(folder)
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// Every file that has no partial name is what the origin serves.
fn all_bodies_are_whole(folder: &Path, paths: &[&str], why: &str) {
    for (name, content) in saved_in(folder) {
        if name.ends_with(".part") {
            continue;
        }
        let path = paths.iter().find(|path| base(path) == name);
        let path = path.unwrap_or_else(|| panic!("{why}: {name} was not listed"));
        assert!(content == served(path), "{why}: {name} has {} bytes", content.len());
    }
}

fn assert_refused(seen: &Seen, origin: &Origin, what: &str) {
    assert_eq!((seen.code, origin.requests()), (Some(2), 0), "{what}: {seen:?}");
    assert!(
        seen.stderr.contains("name another file") || seen.stderr.contains("overwrite"),
        "{seen:?}"
    );
    assert!(!seen.stderr.contains("os error"), "{seen:?}");
}

#[test]
fn a_file_system_without_locks_gets_a_lock_file_that_ends_with_the_run() {
    in_every_mode(|mode| {
        for number in [ENOSYS, ENOLCK, EOPNOTSUPP] {
            let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
            let url = origin.url("/1000/a");
            let without = || {
                saving(mode, folder.path())
                    .env("FETCH_FAIL_AT", format!("flock:1+:{number}"))
                    .arg(&url)
            };
            let held = folder.path().join(".fetch/lock.held");
            let seen = without().seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            assert!(
                seen.stderr.contains("warning: ") && seen.stderr.contains("has no locks"),
                "{seen:?}"
            );
            assert!(!held.exists());

            let killed = without().arg("--force").env("FETCH_KILL_AT", "renamed:1").seen();
            assert_eq!((killed.code, held.exists()), (None, true), "{killed:?}");
            let seen = without().seen();
            assert_eq!((seen.code, held.exists()), (Some(0), false), "taken over: {seen:?}");

            fs::write(&held, "{\"host\":\"elsewhere\",\"boot\":null,\"namespace\":null,\"pid\":7,\"started\":null}\n").unwrap();
            let requests = origin.requests();
            let seen = without().arg("--force").seen();
            assert_eq!((seen.code, origin.requests()), (Some(2), requests), "{seen:?}");
            let advice = format!("remove {}", held.display());
            assert!(seen.stderr.contains("process 7 on elsewhere"), "{seen:?}");
            assert!(seen.stderr.contains(&advice), "{seen:?}");
            assert!(held.exists(), "a lock of another host stays");
        }
    });
}

#[test]
fn a_folder_of_one_host_that_cannot_be_written_fails_its_own_urls_alone() {
    in_every_mode(|mode| {
        for at in ["mkdir", "create", "rename"] {
            for number in [EACCES, EROFS] {
                let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
                let list = list_of(&origin, &["/1000/a", "/1000/b", "/1000/c"]);
                let run = saving(mode, folder.path()).args(["--names", "tree"]);
                let seen = run.env("FETCH_FAIL_AT", format!("{at}:1:{number}")).list(&list).seen();
                let classes = seen.classes_in_list_order();
                assert_eq!(classes, ["name", "ok", "ok"], "{at} {number}: {seen:?}");
                assert_eq!(seen.code, Some(1), "{seen:?}");
            }
            let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
            let list = list_of(&origin, &["/1000/a", "/1000/b", "/1000/c"]);
            let run = saving(mode, folder.path()).args(["--names", "tree"]);
            let seen = run.env("FETCH_FAIL_AT", format!("{at}:1:{ENOSPC}")).list(&list).seen();
            assert_eq!(seen.code, Some(3), "a full disk stops the run: {at}: {seen:?}");
            assert_eq!(seen.classes_in_list_order()[0], "disk", "{seen:?}");
        }
    });
}

#[test]
fn a_report_in_the_folder_of_bodies_has_its_name_and_the_body_has_another() {
    in_every_mode(|mode| {
        for option in ["--report", "--failed"] {
            let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
            let output = folder.path().join("x.csv");
            let asking = || {
                saving(mode, folder.path())
                    .arg(option)
                    .arg(&output)
                    .arg(origin.url("/1000/X.csv"))
                    .seen()
            };
            for _ in 0..2 {
                let seen = asking();
                assert_eq!(seen.code, Some(0), "{seen:?}");
                let saved = saved_in(folder.path());
                assert_eq!(saved.len(), 2, "{:?}", saved.keys());
                assert!(saved["x.csv"] != served("/1000/X.csv"));
                assert!(saved.values().any(|body| *body == served("/1000/X.csv")));
            }
            assert_eq!(origin.requests(), 1, "the second run finds the body");
        }
    });
}

#[test]
fn no_output_replaces_a_saved_file_or_what_a_folder_is_managed_with() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let (dir, beside) = (folder.path().join("d"), folder.path());
        let seen = saving(mode, &dir).arg(origin.url("/1000/x.csv")).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let manifest = dir.join(".fetch/manifest.jsonl");
        symlink(&manifest, beside.join("manifest.csv")).unwrap();
        symlink(dir.join("x.csv"), beside.join("saved.csv")).unwrap();
        symlink(dir.join(".fetch/new.csv"), beside.join("dangling.csv")).unwrap();
        symlink(&dir, beside.join("other")).unwrap();
        let content = || (fs::read(&manifest).unwrap(), fs::read(dir.join("x.csv")).unwrap());
        let before = content();
        let outputs = [
            manifest.clone(),
            dir.join(".fetch/lock"),
            dir.join(".fetch/new.csv"),
            dir.join("x.csv"),
            dir.join("X.csv"),
            beside.join("manifest.csv"),
            beside.join("saved.csv"),
            beside.join("dangling.csv"),
            beside.join("other/x.csv"),
            beside.join("other/.fetch/r.csv"),
        ];
        let fresh = self::origin();
        for output in &outputs {
            for option in ["--report", "--failed"] {
                if option == "--report" && output.ends_with("lock") {
                    continue;
                }
                let run = saving(mode, &dir).arg(option).arg(output);
                let seen = run.arg(fresh.url("/10/y")).seen();
                assert_refused(&seen, &fresh, &format!("{option} {}", output.display()));
                assert_eq!(content(), before);
            }
        }
        let seen = saving(mode, &dir)
            .arg("--failed")
            .arg(dir.join("y.part"))
            .arg(fresh.url("/10/y"))
            .seen();
        assert_refused(&seen, &fresh, "a partial name");

        // A hard link is cut: the other name keeps its content.
        fs::hard_link(dir.join("x.csv"), beside.join("linked.csv")).unwrap();
        for option in ["--failed", "--report"] {
            let run = saving(mode, &dir).arg(option).arg(beside.join("linked.csv"));
            let seen = run.arg(origin.url("/1000/x.csv")).seen();
            assert_eq!((seen.code, content()), (Some(0), before.clone()), "{seen:?}");
        }
    });
}

#[test]
fn no_output_replaces_a_file_that_another_command_has_saved() {
    in_every_mode(|mode| {
        let (origin, other) = (origin(), tempfile::tempdir().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = "/1000/a.csv";
        let saved = saving(mode, folder.path()).arg(origin.url(path)).seen();
        assert_eq!(saved.code, Some(0), "{saved:?}");
        let (body, run) = (folder.path().join(base(path)), other.path().join("run.jsonl"));
        fs::write(&run, &saved.stdout).unwrap();
        let link = other.path().join("link.csv");
        symlink(&body, &link).unwrap();
        let url = origin.url(path);
        for onto in [&body, &link] {
            let commands = [
                Run::new().arg("report").arg(&run).arg("--to").arg(onto),
                Run::json(mode).arg(&url).arg("--report").arg(onto),
                Run::json(mode).arg(&url).arg("--failed").arg(onto),
                saving(mode, other.path()).arg(&url).arg("--report").arg(onto),
                Run::new().args(["compare", "--runs", "3", &url, "--report"]).arg(onto),
            ];
            for (number, command) in commands.into_iter().enumerate() {
                let seen = command.seen();
                let words = "the name belongs to a saved file";
                assert_eq!(seen.code, Some(2), "{number}: {seen:?}");
                assert!(seen.stderr.contains(words), "{number}: {seen:?}");
                all_bodies_are_whole(folder.path(), &[path], &number.to_string());
            }
        }
        // A file that fetch has not saved is replaced, in that folder too.
        let own = folder.path().join("own.csv");
        fs::write(&own, "old").unwrap();
        let seen = Run::new().arg("report").arg(&run).arg("--to").arg(&own).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_ne!(fs::read(&own).unwrap(), b"old");
    });
}

#[test]
fn no_output_replaces_an_input() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let input = folder.path().join("in.csv");
        let linked = folder.path().join("linked.csv");
        let sums = format!("{}  a\n", "0".repeat(64));
        let config = folder.path().join("in.csv");
        let cases = [("--sha256sums", sums.as_str()), ("--config", "retry = 1\n")];
        for (reading, text) in cases {
            fs::write(&input, text).unwrap();
            let _ = fs::remove_file(&linked);
            fs::hard_link(&input, &linked).unwrap();
            for output in [&input, &linked] {
                for option in ["--report", "--failed"] {
                    let dir = folder.path().join("d");
                    let run = saving(mode, &dir).arg(reading).arg(&config).arg(option).arg(output);
                    let seen = run.arg(origin.url("/1000/a")).seen();
                    assert_refused(&seen, &origin, &format!("{reading} {option}"));
                    assert_eq!(fs::read_to_string(&input).unwrap(), text);
                }
            }
        }
    });
}

#[test]
fn a_saved_report_is_not_converted_onto_a_manifest() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    let dir = folder.path().join("d");
    let saved = folder.path().join("run.jsonl");
    let seen = saving(MODES[0], &dir).arg("--report").arg(&saved).arg(origin.url("/10/a")).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let manifest = dir.join(".fetch/manifest.jsonl");
    let before = fs::read(&manifest).unwrap();
    let seen = Run::new().arg("report").arg(&saved).arg("--to").arg(&manifest).seen();
    assert_eq!((seen.code, fs::read(&manifest).unwrap()), (Some(2), before), "{seen:?}");
}

#[test]
fn a_limit_of_file_sizes_ends_the_run_with_its_rows_and_not_with_a_signal() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let paths = ["/1000/a", "/500000/b", "/1000/c"];
        let run = Run::after("ulimit -f 200").args(["--json", "--mode", mode, "-j", "1", "-d"]);
        let report = folder.path().join("report.jsonl");
        let run = run.arg(folder.path().join("d")).arg("--report").arg(&report);
        let seen = run.list(list_of(&origin, &paths)).seen();
        assert_eq!(seen.code, Some(3), "{seen:?}");
        assert_eq!(seen.classes_in_list_order()[..2], ["ok", "disk"], "{seen:?}");
        assert!(fs::read_to_string(report).unwrap().contains("\"disk\""));
    });
}

#[test]
fn a_report_that_exceeds_the_limit_of_file_sizes_takes_no_row_from_standard_output() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let report = folder.path().join("report.jsonl");
        let run = Run::after("ulimit -f 1").args(["--json", "--mode", mode, "--report"]);
        let run = run.arg(&report).list(list_of(&origin, &["/10/a", "/10/b", "/10/c"]));
        let seen = run.seen();
        assert_eq!(seen.code, Some(3), "{seen:?}");
        assert_eq!(seen.classes_in_list_order(), ["ok"; 3], "{seen:?}");
        assert!(seen.stderr.contains("cannot write") && !report.exists(), "{seen:?}");
    });
}

#[test]
fn a_system_call_that_fails_at_any_step_leaves_no_wrong_body_and_a_later_run_finishes() {
    let paths = ["/1000/a", "/20000/b", "/2000000/c", "/1000/d", "/300000/e"];
    let splits: [&[&str]; 2] = [&[], &["--split", "3", "--min-split-size", "64k"]];
    let steps = [
        "create:1+",
        "create:3",
        "write:1+",
        "write:2+",
        "write:5",
        "reserve:1+",
        "append:1+",
        "append:2",
        "append:4+",
        "rename:1",
        "rename:2+",
        "remove:1+",
        "sync:2",
        "sync_manifest:2",
    ];
    in_every_mode(|mode| {
        for (at, step) in steps.iter().enumerate() {
            let number = [ENOSPC, EDQUOT, EFBIG, EIO][at % 4];
            let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
            let list = list_of(&origin, &paths);
            let run = |jobs: &str| {
                let run = saving_with(jobs, mode, folder.path()).args(splits[at % 2]);
                if step.starts_with("sync") { run.arg("--fsync") } else { run }
            };
            let mut failing = format!("{step}:{number}");
            if step.starts_with("append") {
                failing.push_str(&format!(",repair:1+:{number}"));
            }
            let why = format!("{mode} {failing}");
            let many = if mode == MODES[0] { "1" } else { "4" };
            for jobs in ["1", many] {
                let seen = run(jobs).env("FETCH_FAIL_AT", &failing).list(&list).seen();
                assert!(matches!(seen.code, Some(0 | 3)), "{why}: {seen:?}");
                all_bodies_are_whole(folder.path(), &paths, &why);
            }
            let seen = run(many).list(&list).seen();
            assert_eq!(seen.code, Some(0), "{why}: {seen:?}");
            all_bodies_are_whole(folder.path(), &paths, &why);
            assert_eq!(saved_in(folder.path()).len(), paths.len(), "{why}: nothing is left over");
        }
    });
}

#[test]
fn a_continuation_that_cannot_cut_its_partial_file_leaves_it_for_the_next_run() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let url = origin.url("/2000000/c");
        let failing =
            |at: &str| saving(mode, folder.path()).env("FETCH_FAIL_AT", at).arg(&url).seen();
        let seen = failing(&format!("write:3:{ENOSPC}"));
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(3), "disk"), "{seen:?}");
        let seen = failing(&format!("cut:1+:{ENOSPC}"));
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(3), "disk"), "{seen:?}");
        let seen = saving(mode, folder.path()).arg(&url).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert!(saved_in(folder.path())["c"] == served("/2000000/c"));
    });
}
