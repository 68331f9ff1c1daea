//! Limits of a body, of a run and of the disk: a run stops where it must, says why, and goes on later.

use std::fs;
use std::path::Path;

use crate::support::saved_files::{entry, manifest, names, saved_in};
use crate::support::small_disk::SmallDisk;
use crate::support::{End, Origin, Reply, Run, Seen, class_of, in_every_mode};

/// A body of so many bytes, another one for each name.
fn body(name: &str, length: usize) -> Vec<u8> {
    name.bytes().cycle().take(length).collect()
}

/// An origin whose path `/LENGTH/...` has so many bytes.
fn origin() -> Origin {
    Origin::new(|request| {
        let body = served(&request.path);
        let Some(range) = request.header("range") else {
            return Reply::of("200 OK", "ETag: \"a\"\r\n", body);
        };
        let first: usize = range["bytes=".len()..].trim_end_matches('-').parse().unwrap();
        let (last, length) = (body.len() - 1, body.len());
        if first == length {
            let range = format!("Content-Range: bytes */{length}\r\n");
            return Reply::of("416 Range Not Satisfiable", &range, "");
        }
        let range = format!("ETag: \"a\"\r\nContent-Range: bytes {first}-{last}/{length}\r\n");
        Reply::of("206 Partial Content", &range, &body[first..])
    })
}

fn served(path: &str) -> Vec<u8> {
    let length = path[1..].split('/').next().unwrap();
    body(path, length.parse().unwrap())
}

fn list_of(origin: &Origin, paths: &[String]) -> String {
    paths.iter().map(|path| origin.url(path) + "\n").collect()
}

/// The same for a run that stops: the last line is one more that is a duplicate. A line that options could still follow
/// may be left out when a run stops, and that must be none of these.
fn list_of_more_than(origin: &Origin, paths: &[String]) -> String {
    list_of(origin, paths) + &list_of(origin, &paths[..1])
}

/// The classes of the rows of these paths.
fn classes_of(seen: &Seen, paths: &[String]) -> Vec<String> {
    let mut classes = seen.classes_in_list_order();
    assert!(classes.len() >= paths.len(), "rows are missing: {seen:?}");
    classes.truncate(paths.len());
    classes
}

/// Paths of so many bytes each, with a name for each.
fn paths(lengths: impl IntoIterator<Item = usize>) -> Vec<String> {
    (0..).zip(lengths).map(|(number, length)| format!("/{length}/{number:02}")).collect()
}

fn run(mode: &str) -> Run {
    Run::json(mode).args(["--retry-delay", "1ms"])
}

fn saving(mode: &str, folder: &Path) -> Run {
    run(mode).arg("-d").arg(folder)
}

/// What is said to a person, without the rows.
fn said(seen: &Seen) -> Vec<&str> {
    seen.stderr
        .lines()
        .filter(|line| ["error: ", "warning: "].iter().any(|level| line.starts_with(level)))
        .collect()
}

/// Why the folder could not be written, which is said once.
fn disk_failure(seen: &Seen) -> String {
    let rows = seen.rows();
    let row = rows.iter().find(|row| row["error"]["class"] == "disk").expect("a failure");
    let message = row["error"]["message"].as_str().unwrap();
    assert_eq!(seen.stderr.matches(message).count(), 1, "{seen:?}");
    assert_eq!(said(seen), [""; 0], "{seen:?}");
    message.to_owned()
}

/// All that these paths serve is saved, whole, and nothing else is there.
fn all_saved(folder: &Path, paths: &[String]) {
    let saved = saved_in(folder);
    assert_eq!(saved.len(), paths.len(), "{:?}", saved.keys());
    for path in paths {
        let name = path.rsplit('/').next().unwrap();
        assert!(saved[name] == served(path), "{name} is not what it should be");
        let entry = entry(folder, name);
        assert_eq!((&entry["type"], &entry["bytes"]), (&"saved".into(), &saved[name].len().into()));
    }
}

fn count(classes: &[String], class: &str) -> usize {
    classes.iter().filter(|found| *found == class).count()
}

#[test]
fn a_body_that_is_announced_too_long_is_not_read() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\nETag: \"a\"\r\n\r\n";
        let origin = Origin::new(move |_| Reply::raw(head, End::Stall));
        let args = ["--max-filesize", "1M", &origin.url("/a")];
        let seen = saving(mode, folder.path()).args(args).seen();
        let row = seen.row();
        assert_eq!((seen.code, class_of(&row).as_str()), (Some(1), "too_large"), "{seen:?}");
        assert_eq!(row["error"]["message"], "exceeds --max-filesize (1048576 bytes)");
        assert_eq!((&row["attempts"], &row["wire_bytes"]), (&1.into(), &0.into()));
        assert_eq!((origin.requests(), names(folder.path())), (1, vec![]));
    });
}

#[test]
fn a_body_that_becomes_too_long_is_given_up_and_leaves_nothing() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new(|request| {
            let body = String::from_utf8(served(&request.path)).unwrap();
            Reply::chunked([&body[..]])
        });
        let paths = paths([300_000, 300_001, 200_000]);
        let run = saving(mode, folder.path()).args(["--max-filesize", "300000"]);
        let seen = run.list(list_of(&origin, &paths)).seen();
        assert_eq!(seen.classes_in_list_order(), ["ok", "too_large", "ok"], "{seen:?}");
        assert_eq!((seen.code, origin.requests()), (Some(1), 3));
        assert_eq!(names(folder.path()), ["00", "02"]);
    });
}

#[test]
fn what_an_earlier_run_left_of_a_body_that_is_too_long_goes_too() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let cutting = Origin::new(|request| {
            let body = served(&request.path);
            if request.header("range").is_none() {
                return Reply::of("200 OK", "ETag: \"a\"\r\n", body).but(50_000, End::Close);
            }
            let range = "ETag: \"a\"\r\nContent-Range: bytes 150000-199999/200000\r\n";
            Reply::of("206 Partial Content", range, &body[150_000..])
        });
        let url = cutting.url("/200000/a");
        let seen = saving(mode, folder.path()).args(["--retry", "0", &url]).seen();
        assert_eq!(class_of(&seen.row()), "truncated", "{seen:?}");
        assert_eq!(names(folder.path()), ["a.part"]);
        let seen = saving(mode, folder.path()).args(["--max-filesize", "100k", &url]).seen();
        assert_eq!(class_of(&seen.row()), "too_large", "{seen:?}");
        assert_eq!(names(folder.path()), [""; 0]);
        let seen = saving(mode, folder.path()).args(["--max-filesize", "1M", &url]).seen();
        let row = seen.row();
        assert_eq!((seen.code, &row["wire_bytes"]), (Some(0), &200_000.into()), "{seen:?}");
        let asked = cutting.seen();
        let ranges: Vec<_> = asked.iter().map(|asked| asked.header("range").is_some()).collect();
        assert_eq!(ranges, [false, true, false, true], "begun anew, cut and continued");
    });
}

#[test]
fn a_quota_stops_the_run_and_the_same_command_with_more_of_it_finishes() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let paths = paths([100_000; 8]);
        let asking = |quota: &str| {
            let run = saving(mode, folder.path()).args(["-j", "1", "--quota", quota]);
            run.list(list_of_more_than(&origin, &paths)).seen()
        };
        let seen = asking("250k");
        let mut expected = vec!["ok", "ok", "quota"];
        expected.resize(paths.len(), "cancelled");
        assert_eq!(classes_of(&seen, &paths), expected, "{seen:?}");
        assert_eq!((seen.code, origin.requests()), (Some(4), 3));
        assert_eq!(seen.summary()["stopped"], "the quota is used up");
        let message = &seen.rows_in_list_order()[2]["error"]["message"];
        assert_eq!(message, "quota of 256000 bytes exceeded (--quota)");
        let saved = saved_in(folder.path());
        assert!(saved["00"] == served(&paths[0]) && saved["01"] == served(&paths[1]));

        let seen = asking("1M");
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let summary = seen.summary();
        assert_eq!((&summary["ok"], &summary["skipped"]), (&6.into(), &2.into()), "{seen:?}");
        all_saved(folder.path(), &paths);
        assert_eq!(origin.requests(), 9, "what was saved is not fetched again");
    });
}

#[test]
fn a_quota_holds_for_many_transfers_at_once() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let paths = paths([50_000; 40]);
        let run = saving(mode, folder.path()).args(["-j", "8", "--quota", "400k"]);
        let seen = run.list(list_of_more_than(&origin, &paths)).seen();
        let classes = classes_of(&seen, &paths);
        assert_eq!((seen.code, classes.len()), (Some(4), paths.len()), "{seen:?}");
        assert!(count(&classes, "ok") <= 8 && count(&classes, "quota") >= 1, "{classes:?}");
        let done = ["ok", "quota", "cancelled"].map(|class| count(&classes, class));
        assert_eq!(done.into_iter().sum::<usize>(), paths.len(), "{classes:?}");
        assert!(seen.summary()["bytes"].as_u64().unwrap() <= 400 << 10);
        let seen = saving(mode, folder.path()).list(list_of_more_than(&origin, &paths)).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        all_saved(folder.path(), &paths);
    });
}

#[test]
fn a_quota_that_only_the_last_body_crosses_leaves_work_too() {
    in_every_mode(|mode| {
        let origin = origin();
        let list = list_of(&origin, &paths([1000; 2]));
        let asking = |quota: &str| run(mode).args(["-j", "1", "--quota", quota]).list(&list).seen();
        assert_eq!(asking("2000").code, Some(0), "just enough");
        let seen = asking("1999");
        assert_eq!(seen.classes_in_list_order(), ["ok", "quota"], "{seen:?}");
        assert_eq!(seen.code, Some(4));
    });
}

#[test]
fn no_mirror_is_asked_for_what_a_quota_or_the_disk_has_ended() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let list = format!("{}\t{}\n", origin.url("/1000/a"), origin.url("/1000/b"));
        let seen = run(mode).args(["--quota", "10"]).list(&list).seen();
        assert_eq!((seen.code, origin.requests()), (Some(4), 1), "{seen:?}");
        let run = saving(mode, folder.path()).args(["--min-free", "8000000T"]);
        assert_eq!((run.list(list).seen().code, origin.requests()), (Some(3), 2));
    });
}

#[test]
fn an_announced_length_that_no_disk_can_hold_ends_no_run() {
    in_every_mode(|mode| {
        let lengths = ["1000000000000000", "9223372036854775807"];
        let body = "x".repeat(100_000);
        let liar = Origin::new(move |request| match request.path.as_str() {
            "/ok" => Reply::ok("hello"),
            path => {
                let fields = format!("Content-Length: {}\r\n", lengths[path.len() % 2]);
                Reply::raw(format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}"), End::Close)
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let list = ["/a", "/ab", "/ok"].map(|path| liar.url(path) + "\n").concat();
        let run = saving(mode, folder.path()).args(["--retry", "0", "--jobs", "1"]);
        let rows = run.list(list).seen().rows_in_list_order();
        let classes: Vec<_> = rows.iter().map(|row| row["error"]["class"].as_str()).collect();
        assert_eq!(classes, [Some("truncated"), Some("truncated"), None], "{rows:?}");
    });
}

#[test]
fn a_limit_of_zero_is_none() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let args = ["--max-filesize", "0", "--quota", "0", "--min-free", "0"];
        let seen = saving(mode, folder.path()).args(args).arg(origin.url("/100000/a")).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
    });
}

#[test]
fn sizes_are_typed_with_units_and_nothing_else_is_taken() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    let url = origin.url("/2048/a");
    for (size, code) in [("2k", 0), ("2K", 0), ("2048", 0), ("1.9k", 1), ("0.001M", 1), ("1G", 0)] {
        let seen = Run::new().args(["--max-filesize", size, &url]).seen();
        assert_eq!(seen.code, Some(code), "{size}: {seen:?}");
    }
    let requests = origin.requests();
    for option in ["--max-filesize", "--quota", "--min-free"] {
        for nonsense in ["", "-1", "1KB", "k", "1 M", "99999999T"] {
            let run = Run::new().arg("-d").arg(folder.path().join("files"));
            let seen = run.args([option, nonsense, &url]).seen();
            assert_eq!(seen.code, Some(2), "{option} {nonsense}: {seen:?}");
            assert!(seen.stderr.contains(option), "{}", seen.stderr);
        }
    }
    let seen = Run::new().args(["--min-free", "1G", &url]).seen();
    assert_eq!(seen.code, Some(2), "it is about a folder: {seen:?}");
    assert_eq!(origin.requests(), requests);
}

#[test]
fn a_run_that_would_leave_too_little_free_stops_and_says_so() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let paths = paths([1000; 3]);
        let run = saving(mode, folder.path()).args(["-j", "1", "--min-free", "8000000T"]);
        let seen = run.list(list_of_more_than(&origin, &paths)).seen();
        assert_eq!(classes_of(&seen, &paths), ["disk", "cancelled", "cancelled"], "{seen:?}");
        assert_eq!((seen.code, origin.requests()), (Some(3), 1));
        let said = disk_failure(&seen);
        let start = format!("cannot save: not enough disk space in {}: ", folder.path().display());
        assert!(said.starts_with(&start), "{said}");
        assert!(
            said.ends_with(
                " free, '00' needs 1000 B more, --min-free is 7.6 EiB; \
                 free some space, then run the same command again"
            ),
            "{said}"
        );
        assert_eq!(names(folder.path()), [""; 0]);
    });
}

#[test]
fn a_body_of_unknown_length_stops_before_it_takes_what_must_stay_free() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new(|_| Reply::chunked(["hello"]));
        let args = ["--min-free", "8000000T", &origin.url("/a")];
        let seen = saving(mode, folder.path()).args(args).seen();
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(3), "disk"), "{seen:?}");
    });
}

#[test]
fn what_cannot_be_a_folder_is_told_before_anything_is_fetched() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    let places = [file.clone(), file.join("below"), "/dev/full".into(), "/proc/nowhere".into()];
    for place in places {
        let seen = Run::new().arg("-d").arg(&place).arg(origin.url("/10/a")).seen();
        assert_eq!((seen.code, origin.requests()), (Some(3), 0), "{seen:?}");
        let [said] = said(&seen)[..] else { panic!("{seen:?}") };
        let start = format!("error: cannot use {}: ", place.display());
        assert!(said.starts_with(&start), "{said}");
    }
    assert_eq!(fs::read(file).unwrap(), b"mine");
}

/// A run in which no file grows beyond this many blocks of 512 bytes: a stand-in for a disk that refuses.
fn limited(blocks: u32, mode: &str) -> Run {
    Run::after(&format!("ulimit -f {blocks}")).args([
        "--json",
        "--mode",
        mode,
        "--retry-delay",
        "1ms",
    ])
}

#[test]
fn a_file_that_cannot_be_written_stops_the_run_at_once_and_a_later_run_finishes() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let paths = paths([20_000, 20_000, 500_000, 20_000, 20_000]);
        let list = list_of_more_than(&origin, &paths);
        let run = limited(200, mode).args(["-j", "1", "-d"]).arg(folder.path());
        let seen = run.list(&list).seen();
        let classes = ["ok", "ok", "disk", "cancelled", "cancelled"];
        assert_eq!(classes_of(&seen, &paths), classes, "{seen:?}");
        assert_eq!((seen.code, origin.requests()), (Some(3), 3));
        assert_eq!(seen.summary()["stopped"], "the folder is full, or cannot be written");
        let said = disk_failure(&seen);
        let start = format!("cannot save: {}/02: ", folder.path().display());
        assert!(said.starts_with(&start), "{said}");

        let seen = saving(mode, folder.path()).list(&list).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        all_saved(folder.path(), &paths);
        assert_eq!(origin.requests(), 6, "what was saved is not fetched again");
    });
}

#[test]
fn a_single_file_that_cannot_be_written_ends_the_run_as_fatal_too() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
        let run = limited(200, mode).arg("-d").arg(folder.path());
        let seen = run.arg(origin.url("/500000/a")).seen();
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(3), "disk"), "{seen:?}");
    });
}

/// Some targets fit, then one does not: the run stops; and after room was made it goes on.
fn a_disk_runs_full(mode: &str, jobs: &str, large: usize) {
    let (disk, origin) = (SmallDisk::of("8m"), origin());
    let folder = disk.path().join("files");
    let lengths = [20_000, 100_000, 20_000, large, 20_000, 20_000, 100_000, 20_000];
    let paths = paths(lengths);
    let filler = disk.fill_but(400 << 10);
    let asking = || {
        let run = saving(mode, &folder).args(["-j", jobs]);
        run.list(list_of_more_than(&origin, &paths)).seen()
    };
    let seen = asking();
    let classes = classes_of(&seen, &paths);
    assert_eq!((seen.code, classes.len()), (Some(3), paths.len()), "{seen:?}");
    assert!(count(&classes, "disk") >= 1, "{classes:?}");
    let done = ["ok", "disk", "cancelled"].map(|class| count(&classes, class));
    assert_eq!(done.into_iter().sum::<usize>(), paths.len(), "{classes:?}");
    let said = disk_failure(&seen);
    assert!(said.starts_with("cannot save: no space left in "), "{said}");
    assert!(said.ends_with("; free some space, then run the same command again"), "{said}");
    if jobs == "1" {
        assert_eq!(classes[..4], ["ok", "ok", "ok", "disk"], "{seen:?}");
        assert_eq!(count(&classes, "cancelled"), 4, "the run stops at once: {classes:?}");
        assert!(said.contains(": '03' needs ") && said.contains("iB more; "), "{said}");
        // What a server announces is not believed before it has come; the beginning is kept.
        assert!(names(&folder).contains(&"03.part".to_owned()), "{large}");
    }
    let finished = manifest(&folder).iter().filter(|entry| entry["type"] == "saved").count();
    assert_eq!(finished, count(&classes, "ok"), "the manifest says what is there");

    fs::remove_file(filler).unwrap();
    let before = origin.requests();
    let seen = asking();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert_eq!(seen.summary()["skipped"], finished);
    assert_eq!(origin.requests() - before, paths.len() - finished);
    all_saved(&folder, &paths);
}

#[test]
#[ignore = "mounts a small file system; run with --run-ignored all"]
fn a_full_disk_stops_the_run_and_once_there_is_room_the_same_command_finishes() {
    in_every_mode(|mode| {
        for large in [600_000, 2_000_000] {
            a_disk_runs_full(mode, "1", large);
            a_disk_runs_full(mode, "8", large);
        }
    });
}

#[test]
#[ignore = "mounts a small file system; run with --run-ignored all"]
fn a_disk_that_is_full_for_the_manifest_stops_the_run_and_leaves_it_sound() {
    in_every_mode(|mode| {
        let (disk, origin) = (SmallDisk::of("1m"), origin());
        let folder = disk.path().join("files");
        let paths = paths([0; 40]);
        // Empty files take no page; the manifest gets one and no second.
        let filler = disk.fill_but(4096);
        let asking = || {
            saving(mode, &folder).args(["-j", "1"]).list(list_of_more_than(&origin, &paths)).seen()
        };
        let seen = asking();
        assert_eq!(seen.code, Some(3), "{seen:?}");
        let classes = classes_of(&seen, &paths);
        assert_eq!((classes.len(), count(&classes, "disk")), (paths.len(), 1), "{seen:?}");
        let said = disk_failure(&seen);
        assert!(
            said.contains(": cannot write '") && said.contains("; free some space, "),
            "{said}"
        );
        let finished = count(&classes, "ok");
        assert!(finished > 0);
        assert_eq!((manifest(&folder).len(), names(&folder).len()), (finished, finished));
        fs::remove_file(filler).unwrap();
        let seen = asking();
        assert_eq!(
            (seen.code, seen.summary()["skipped"].as_u64()),
            (Some(0), Some(finished as u64))
        );
        all_saved(&folder, &paths);
    });
}

#[test]
#[ignore = "mounts a small file system; run with --run-ignored all"]
fn a_folder_that_cannot_be_begun_is_told_before_anything_is_fetched() {
    let origin = origin();
    for (size, full) in [("1m,ro", false), ("1m", true), ("1m,nr_inodes=2", false)] {
        let disk = SmallDisk::of(size);
        if full {
            disk.fill_but(0);
        }
        let folder = disk.path().join("files");
        let seen = Run::new().arg("-d").arg(&folder).arg(origin.url("/10/a")).seen();
        assert_eq!(seen.code, Some(3), "{size}: {seen:?}");
        let [said] = seen.stderr.lines().collect::<Vec<_>>()[..] else { panic!("{seen:?}") };
        eprintln!("{size}: {said}");
        assert!(said.contains("files"), "{said}");
    }
}

#[test]
#[ignore = "mounts a small file system; run with --run-ignored all"]
fn as_much_stays_free_as_was_asked_for() {
    in_every_mode(|mode| {
        let (disk, origin) = (SmallDisk::of("2m"), origin());
        let folder = disk.path().join("files");
        let paths = paths([100_000; 20]);
        let run = saving(mode, &folder).args(["-j", "1", "--min-free", "1M"]);
        let seen = run.list(list_of(&origin, &paths)).seen();
        assert_eq!(seen.code, Some(3), "{seen:?}");
        assert!(disk.free() >= 1 << 20, "{} are free", disk.free());
        assert!(disk.free() < (1 << 20) + 110_000, "more would have fitted");
        assert_eq!(count(&seen.classes_in_list_order(), "disk"), 1, "{seen:?}");
        let said = disk_failure(&seen);
        assert!(said.contains(" needs 97.7 KiB more, --min-free is 1.0 MiB"), "{said}");
    });
}

#[test]
#[ignore = "mounts a small file system; run with --run-ignored all"]
fn a_body_of_unknown_length_is_given_up_when_it_has_taken_what_must_stay_free() {
    let origin = Origin::new(|_| {
        let body = "x".repeat(40 << 20);
        Reply::chunked([&body[..]])
    });
    in_every_mode(|mode| {
        let disk = SmallDisk::of("64m");
        for (least, code) in [("40M", 3), ("10M", 0)] {
            let folder = disk.path().join(least);
            let args = ["--min-free", least, &origin.url("/a")];
            let seen = saving(mode, &folder).args(args).seen();
            assert_eq!(seen.code, Some(code), "{seen:?}");
            fs::remove_dir_all(folder).unwrap();
        }
    });
}

#[test]
fn what_is_not_fetched_is_counted_apart() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new(|request| match request.header("if-none-match") {
            Some("\"a\"") => Reply::raw("HTTP/1.1 304 Not Modified\r\n\r\n", End::KeepAlive),
            _ => Reply::of("200 OK", "ETag: \"a\"\r\n", served(&request.path)),
        });
        let paths = paths([1000, 2000]);
        let list = list_of(&origin, &paths[..1]) + &list_of_more_than(&origin, &paths);
        let text = |args: &[&str]| {
            let run = Run::new().args(["--mode", mode, "-d"]).arg(folder.path());
            let seen = run.args(args).list(&list).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            seen.stdout.lines().last().unwrap().to_owned()
        };
        let first = text(&[]);
        assert!(first.starts_with("Downloaded 2 of 4 sites, 2.9 KiB in "), "{first}");
        assert!(first.ends_with("); 2 duplicate"), "{first}");
        let second = text(&[]);
        assert!(second.starts_with("Downloaded 0 of 4 sites, 0 B in "), "{second}");
        assert!(second.ends_with("); 2 skipped; 2 duplicate"), "{second}");
        let third = text(&["--refresh"]);
        assert!(third.ends_with("); 2 unchanged; 2 duplicate"), "{third}");

        let summary = saving(mode, folder.path()).arg("--refresh").list(&list).seen().summary();
        let counted = ["targets", "ok", "skipped", "unchanged", "duplicate", "failed", "bytes"];
        assert_eq!(counted.map(|count| summary[count].as_u64()), [4, 0, 0, 2, 2, 0, 0].map(Some));
    });
}
