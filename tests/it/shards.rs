//! Lists for several machines: the shards of a list, and tasks of array jobs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::processes::send;
use crate::support::{Origin, Reply, Run, Seen, coded, holding, in_every_mode};

/// An origin for any host, where some paths are not there.
fn origin() -> Origin {
    Origin::new(|request| match request.path.contains("gone") {
        true => Reply::of("404 Not Found", "", "gone"),
        false => Reply::ok(request.path.clone()),
    })
}

/// Hosts that are in every shard of two, three and four.
const HOSTS: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

/// A URL of a host at this origin.
fn url(origin: &Origin, host: &str, path: &str) -> String {
    format!("http://{host}.test:{}/{path}", origin.address().port())
}

/// Lets all names lead to the origin.
fn at(run: Run, origin: &Origin) -> Run {
    run.arg("--resolve").arg(format!("*:{}:127.0.0.1", origin.address().port()))
}

/// A list with whatever a list may have.
fn list(origin: &Origin) -> String {
    let mut list = "# a comment\n".to_owned();
    for number in 0..60 {
        let host = HOSTS[number * 7 % HOSTS.len()];
        list += &format!("{}\n", url(origin, host, &format!("{number}")));
        list += &match number % 10 {
            1 => format!("{}\n", url(origin, &host.to_uppercase(), &format!("gone{number}"))),
            3 => "not a url\n\n".to_owned(),
            5 => "  id=five\n".to_owned(),
            6 => "  checksum=sha-256=0\n".to_owned(),
            // A duplicate, in any shard.
            7 => format!("{}#again\n", url(origin, host, &format!("{number}"))),
            8 => format!("{}\t{}\n", url(origin, host, "gone"), url(origin, "mirror", "8")),
            _ => String::new(),
        };
    }
    list
}

/// What of a record does not depend on time, worker and order, by index.
fn lasting(rows: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        for key in ["timings", "attempts_detail", "started_at", "worker"] {
            row.remove(key);
        }
    }
    rows.sort_by_key(|row| row["index"].as_u64());
    rows
}

fn shard(mode: &str, origin: &Origin, list: &Path, dir: &Path, shard: &str) -> Seen {
    let run = at(Run::json(mode), origin).args(["--names", "tree", "--shard", shard, "--dir"]);
    run.arg(dir).arg(list).seen()
}

#[test]
fn the_records_of_all_shards_are_those_of_one_machine() {
    in_every_mode(|mode| {
        let origin = origin();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list");
        fs::write(&file, list(&origin)).unwrap();
        let one = shard(mode, &origin, &file, &folder.path().join("one"), "0/1");
        assert_eq!(one.code, Some(1), "{}", one.stderr);
        let all = lasting(one.rows());
        assert_eq!(all.len() as u64, one.summary()["targets"].as_u64().unwrap());
        for outcome in ["ok", "failed", "invalid", "duplicate"] {
            assert!(all.iter().any(|row| row["outcome"] == outcome), "{outcome}");
        }
        let mut rows = Vec::new();
        let mut hosts = BTreeSet::new();
        for index in 0..4 {
            let name = format!("{index}/4");
            let dir = folder.path().join(index.to_string());
            let seen = shard(mode, &origin, &file, &dir, &name);
            assert_eq!(seen.summary()["shard"], name);
            let own = seen.rows();
            assert_eq!(own.len() as u64, seen.summary()["targets"].as_u64().unwrap());
            assert!(!own.is_empty() && own.len() < all.len(), "{name}");
            let of_shard: BTreeSet<_> = own
                .iter()
                .filter(|row| row["outcome"] != "invalid")
                .map(|row| row["url"].as_str().unwrap().split('/').nth(2).unwrap().to_owned())
                .collect();
            assert!(hosts.is_disjoint(&of_shard), "a host is in two shards");
            hosts.extend(of_shard);
            rows.extend(own);
        }
        assert_eq!(lasting(rows), all);
    });
}

#[test]
fn records_in_list_order_wait_for_none_of_another_shard() {
    in_every_mode(|mode| {
        let origin = origin();
        let by_shard = |shard: &str, list: &str| {
            let run = at(Run::json(mode), &origin).args(["--ordered", "--shard", shard]);
            run.list(list).seen()
        };
        let all: String = HOSTS.iter().map(|host| url(&origin, host, "") + "\n").collect();
        let own = by_shard("1/2", &all).rows();
        let last = own.last().unwrap()["index"].as_u64().unwrap();
        assert!(own.len() < last as usize, "there is another shard's entry before it");
        let run = at(Run::json(mode), &origin).args(["--ordered", "--shard", "1/2"]);
        let mut live = run.live();
        live.write(&all);
        for row in own {
            assert_eq!(live.row()["index"], row["index"]);
        }
        assert_eq!(live.seen().code, Some(0));
    });
}

#[test]
fn the_shard_of_an_array_job_is_that_of_its_environment() {
    let origin = origin();
    let all: String = HOSTS.iter().map(|host| url(&origin, host, "") + "\n").collect();
    let rows = |run: Run| {
        let seen = at(run, &origin).arg("--json").list(&all).seen();
        assert_eq!(seen.code, Some(0), "{}", seen.stderr);
        lasting(seen.rows())
    };
    let typed = rows(Run::new().args(["--shard=1/3"]));
    assert!(!typed.is_empty());
    let auto = || Run::new().args(["--shard", "auto"]);
    let slurm = auto().env("SLURM_ARRAY_TASK_ID", "6").env("SLURM_ARRAY_TASK_MIN", "4");
    let slurm = slurm.env("SLURM_ARRAY_TASK_COUNT", "3").env("SLURM_ARRAY_TASK_STEP", "2");
    let kubernetes = auto().env("JOB_COMPLETION_INDEX", "1").env("JOB_COMPLETIONS", "3");
    for run in [
        kubernetes,
        slurm,
        auto().env("FETCH_SHARD", "1/3"),
        Run::new().env("FETCH_SHARD", "1/3"),
        Run::new().env("FETCH_SHARD", "0/7").args(["--shard=1/3"]),
    ] {
        assert_eq!(rows(run), typed);
    }
    let by_url = rows(Run::new().args(["--shard=1/3", "--shard-by=url"]));
    assert_ne!(by_url, typed);
}

#[test]
fn a_shard_that_cannot_be_is_a_usage_error() {
    for (args, part) in [
        (&["--shard=4/4"][..], "shards are numbered from 0; the last of 4 is 3"),
        (&["--shard=1"], "expected INDEX/COUNT with INDEX from 0, e.g. 0/4, or 'auto'"),
        (&["--shard=auto"], "--shard auto: set FETCH_SHARD, or JOB_COMPLETION_INDEX"),
        (&["--shard-by=url"], "--shard-by requires --shard"),
    ] {
        let run = Run::new().args(args);
        let seen = run.list("http://127.0.0.1:1/\n").seen();
        assert_eq!(seen.code, Some(2), "{args:?}");
        assert!(seen.stderr.contains(part), "{}", seen.stderr);
    }
}

#[test]
fn a_dry_run_shows_the_shard_and_its_targets_only() {
    let origin = origin();
    let all: String = HOSTS.iter().map(|host| url(&origin, host, "") + "\n").collect();
    let mut seen = BTreeSet::new();
    for index in 0..2 {
        let run = Run::new().args(["--dry-run", "--json", "--shard=auto"]);
        let run = run.env("FETCH_SHARD", format!("{index}/2")).list(&all).seen();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let objects: Vec<Value> =
            run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for object in &objects {
            match object["type"].as_str().unwrap() {
                "target" => assert!(seen.insert(object["index"].as_u64().unwrap())),
                "settings" => assert_eq!(object["shard"], format!("{index}/2")),
                _ => {}
            }
        }
    }
    assert_eq!(seen.len(), HOSTS.len());
}

#[test]
fn failed_urls_are_no_failure_of_a_task_and_other_errors_are() {
    in_every_mode(|mode| {
        let origin = origin();
        let list = format!("{}\n{}\nnot a url\n", origin.url("/gone"), origin.url("/a"));
        let run = || Run::json(mode).arg("--exit-zero");
        let seen = run().list(&list).seen();
        assert_eq!((seen.code, seen.summary()["failed"].as_u64()), (Some(0), Some(1)));
        assert_eq!(run().args(["--jobs", "1", "--fail-fast"]).list(&list).seen().code, Some(4));
        assert_eq!(run().arg("/nonexistent/list").seen().code, Some(2));
        assert_eq!(run().args(["--report", "/nonexistent/a.csv"]).list(&list).seen().code, Some(3));
        assert_eq!(run().arg("--dry-run").list(&list).seen().code, Some(0));
    });
}

#[test]
fn a_shard_without_urls_is_named_if_the_list_has_some() {
    let url = "http://a.test/";
    for shards in ["0/4", "1/4", "2/4", "3/4"] {
        let dry =
            |list: &str| Run::new().args(["--dry-run", "--shard", shards]).list(list).seen().stderr;
        let is_own = !dry(url).contains("no URLs");
        if !is_own {
            let expected = format!("no URLs in shard {shards}\n");
            assert!(dry(url).ends_with(&expected), "{}", dry(url));
            in_every_mode(|mode| {
                let seen = Run::json(mode).args(["--shard", shards]).list(url).seen();
                assert_eq!(seen.code, Some(0));
                assert!(seen.stderr.contains(&expected), "{}", seen.stderr);
            });
        }
        assert!(dry("# none\n").contains("no URLs in the input"), "{}", dry("# none\n"));
    }
}

// fetch split.

/// What a dry run would fetch of a list: URLs with what the list says of them, or the text of an invalid line.
fn entries(list: &Path, args: &[&str]) -> Vec<(String, Value, Value)> {
    let seen = Run::new().args(["--dry-run", "--json"]).args(args).arg(list).seen();
    let objects = seen.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let entries =
        objects.filter(|object| object["type"] == "target" || object["type"] == "invalid");
    let text = |object: &Value| object["url"].as_str().unwrap().to_owned();
    entries.map(|object| (text(&object), object["id"].clone(), object["carried"].clone())).collect()
}

fn split(args: &[&str], list: &Path, dir: &Path) -> Seen {
    Run::new().arg("split").args(args).arg("-d").arg(dir).arg(list).seen()
}

/// The files of a directory that are not hidden, by their names.
fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.to_str().unwrap().to_owned());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// A list in each format, with the options that it needs.
fn lists() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let hosts = || HOSTS.iter().cycle().take(30).enumerate();
    let text: String = hosts()
        .map(|(number, host)| match number % 5 {
            0 => format!("# about {number}\r\nhttp://{host}.test/{number}\r\n  id=n{number}\r\n"),
            1 => format!("http://{host}.test/{number}\n\n  checksum=sha-256=0\n"),
            2 => format!("   http://{host}.test/{number}\thttp://mirror.test/\n  id=x\n # more\n"),
            3 => "not a url\n".to_owned(),
            _ => format!("http://{host}.test/{number}\n"),
        })
        .collect();
    let table = |delimiter: char| -> String {
        let mut table = format!("# export\r\nid{delimiter}url{delimiter}note\r\n");
        for (number, host) in hosts() {
            table += &format!("{number}{delimiter}http://{host}.test/{number}{delimiter}");
            table += ["plain\r\n", "\"two\nlines\"\r\n", "\"a \"\"quote\"\"\"\n", "\r\n\r\n"]
                [number % 4];
        }
        table
    };
    let columns: &[&str] = &["--id-column", "id", "--carry", "note"];
    let rows: String = hosts()
        .map(|(number, host)| match number % 3 {
            0 => format!("{{\"url\": \"http://{host}.test/{number}\", \"id\": {number}}}\n"),
            1 => format!(
                "{{\"id\":{number},\"url\":\"http://{host}.test/{number}\",\"note\":[1]}}\n\n"
            ),
            _ => format!("\"http://{host}.test/{number}\"\n"),
        })
        .collect();
    let mark = |text: &str| [b"\xef\xbb\xbf", text.as_bytes()].concat();
    vec![
        ("a.txt", text.clone().into(), &[][..]),
        ("marked", mark(&text), &[]),
        ("a.txt.gz", coded::gzip(text.as_bytes()), &[]),
        ("a.csv", mark(&table(',')), columns),
        ("a.tsv.zst", coded::zstd(table('\t').as_bytes()), columns),
        ("a.jsonl", rows.into(), &["--id-column", "id"]),
    ]
}

#[test]
fn the_files_of_a_split_have_the_entries_of_its_shards_as_they_were() {
    for (name, bytes, args) in lists() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join(name);
        fs::write(&list, bytes).unwrap();
        let dir = folder.path().join("new/shards");
        let seen = split(&[&["-n", "4"], args].concat(), &list, &dir);
        assert_eq!(seen.code, Some(0), "{name}: {}", seen.stderr);
        assert!(seen.stdout.starts_with("Split 3"), "{}", seen.stdout);
        let names = files(&dir);
        assert_eq!(names.len(), 4, "{names:?}");
        let ending = name.strip_prefix("a").unwrap_or("");
        for (index, file) in names.iter().enumerate() {
            let stem = if ending.is_empty() { name } else { "a" };
            assert_eq!(*file, format!("{stem}-{index:05}-of-00004{ending}"));
            let shard = format!("{index}/4");
            let expected = entries(&list, &[args, &["--shard", &shard]].concat());
            assert_eq!(entries(&dir.join(file), args), expected, "{name}: {shard}");
        }
    }
}

#[test]
fn a_split_replaces_its_own_files_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let (list, dir) = (folder.path().join("list.txt"), folder.path().join("shards"));
    let text: String = HOSTS.iter().map(|host| format!("http://{host}.test/\n")).collect();
    fs::write(&list, &text).unwrap();
    assert_eq!(split(&["-n", "3"], &list, &dir).code, Some(0));
    fs::write(&list, text.repeat(2)).unwrap();
    assert_eq!(split(&["-n", "2"], &list, &dir).code, Some(0));
    let names = ["list-00000-of-00002.txt", "list-00001-of-00002.txt"];
    assert_eq!(files(&dir), names, "those of three are gone");
    let all: usize =
        names.map(|name| fs::read_to_string(dir.join(name)).unwrap().len()).iter().sum();
    assert_eq!(all, 2 * text.len());

    fs::write(dir.join("list-00001-of-00003.txt"), "mine").unwrap();
    fs::write(dir.join(names[0]), "changed").unwrap();
    for shards in ["2", "3"] {
        let seen = split(&["-n", shards], &list, &dir);
        assert_eq!(seen.code, Some(2));
        assert!(
            seen.stderr.contains("and is not as fetch split has written it"),
            "{}",
            seen.stderr
        );
    }
    assert_eq!(fs::read(dir.join(names[0])).unwrap(), b"changed");
    assert_eq!(files(&dir).len(), 3);
    assert_eq!(split(&["-n", "3", "--overwrite"], &list, &dir).code, Some(0));
    assert_ne!(fs::read(dir.join("list-00001-of-00003.txt")).unwrap(), b"mine");
    assert!(names.iter().all(|name| !dir.join(name).exists()), "those of two are gone");
}

#[test]
fn a_file_of_an_earlier_split_that_was_changed_is_not_left_beside_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (list, dir) = (folder.path().join("L.txt"), folder.path().join("shards"));
    let text: String = HOSTS.iter().map(|host| format!("http://{host}.test/\n")).collect();
    fs::write(&list, &text).unwrap();
    let changed = dir.join("L-00001-of-00002.txt");
    let longer = |text: &str| format!("{text}extra\n");
    let as_long = |text: &str| text.replace(".test", ".tset");
    for change in [&longer as &dyn Fn(&str) -> String, &as_long] {
        assert_eq!(split(&["-n", "2"], &list, &dir).code, Some(0));
        let own = fs::read_to_string(&changed).unwrap();
        fs::write(&changed, change(&own)).unwrap();
        let seen = split(&["-n", "3"], &list, &dir);
        assert_eq!(seen.code, Some(2), "{}", seen.stderr);
        assert!(seen.stderr.contains("L-00001-of-00002.txt exists, and is not as"));
        assert_eq!(files(&dir).len(), 2, "nothing was written");
        assert_eq!(split(&["-n", "3", "--overwrite"], &list, &dir).code, Some(0));
        assert!(!changed.exists());
        assert_eq!(files(&dir).len(), 3);
    }
}

#[test]
fn the_files_of_another_list_are_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("shards");
    let refused = |seen: &Seen, list: &str| {
        assert_eq!(seen.code, Some(2), "{}", seen.stderr);
        let text = format!("has files of an earlier split of {list}");
        assert!(seen.stderr.contains(&text), "{}", seen.stderr);
    };
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("other")).unwrap();
    for name in ["L.csv", "other/L.csv"] {
        fs::write(path(name), format!("url\nhttp://a.test/{name}\n")).unwrap();
    }
    fs::write(path("L.csv.gz"), coded::gzip(b"url\nhttp://a.test/\n")).unwrap();
    let mut last = path("L.csv");
    assert_eq!(split(&["-n", "2"], &last, &dir).code, Some(0));
    for name in ["other/L.csv", "L.csv.gz", "L.csv"] {
        let before = files(&dir);
        refused(&split(&["-n", "3"], &path(name), &dir), last.to_str().unwrap());
        assert_eq!(files(&dir), before);
        last = path(name);
        assert_eq!(split(&["-n", "3", "--overwrite"], &last, &dir).code, Some(0));
        assert_eq!(split(&["-n", "3"], &last, &dir).code, Some(0), "it is the same list");
        assert_eq!(files(&dir).len(), 3);
    }
    let stdin = |args: &[&str]| {
        let run = Run::new().args(["split", "-", "-n", "2", "-d"]).arg(path("of-stdin"));
        run.args(args).list("http://a.test/\n").seen()
    };
    assert_eq!(stdin(&[]).code, Some(0));
    refused(&stdin(&[]), "stdin, which may have been another list");
    assert_eq!(stdin(&["--overwrite"]).code, Some(0));
    files(&path("of-stdin")).iter().for_each(|name| {
        fs::remove_file(path("of-stdin").join(name)).unwrap();
    });
    assert_eq!(stdin(&[]).code, Some(0), "no files are there");
}

#[test]
fn a_split_that_a_signal_ends_leaves_no_files() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("shards");
        let count = || fs::read_dir(&dir).map_or(0, Iterator::count);
        let mut child = Run::new().args(["split", "-", "-n", "3", "-d"]).arg(&dir).start();
        // Its end is not read before the pipe is closed, which it is not.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"http://a.test/\nhttp://b.test/\n").unwrap();
        while count() < 3 {
            assert!(child.try_wait().unwrap().is_none(), "it waits for the rest of its list");
            thread::yield_now();
        }
        send(child.id(), signal);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(count(), 0, "{signal}");
        drop(stdin);
    }
}

#[test]
fn a_split_removes_what_killed_ones_have_left() {
    let folder = tempfile::tempdir().unwrap();
    let (list, dir) = (folder.path().join("list"), folder.path().join("shards"));
    fs::write(&list, "http://a.test/\n").unwrap();
    fs::create_dir(&dir).unwrap();
    for name in [".fetch-split-aB3xYz", ".fetch-split-notes", ".fetch-split-of-mine"] {
        fs::write(dir.join(name), "").unwrap();
    }
    assert_eq!(split(&["-n", "2"], &list, &dir).code, Some(0));
    assert!(!dir.join(".fetch-split-aB3xYz").exists());
    assert!(dir.join(".fetch-split-notes").exists() && dir.join(".fetch-split-of-mine").exists());
}

#[test]
fn what_is_no_list_is_not_split() {
    let folder = tempfile::tempdir().unwrap();
    let (list, dir) = (folder.path().join("list"), folder.path().join("shards"));
    for text in ["<html>\n<a href=x>\n", "\0\0\0\0binary"] {
        fs::write(&list, text).unwrap();
        let seen = split(&["-n", "2"], &list, &dir);
        assert_eq!(seen.code, Some(2), "{}", seen.stderr);
        assert!(!dir.exists() || fs::read_dir(&dir).unwrap().next().is_none());
    }
    let none = split(&["-n", "2"], &folder.path().join("none"), &dir);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.trim_end().ends_with("/none: no such file"), "{}", none.stderr);
    let seen = split(&["-n", "2"], Path::new("http://a.test/list.csv"), &dir);
    assert_eq!(seen.code, Some(2));
    assert!(seen.stderr.contains("not URLs: curl URL | fetch split -"), "{}", seen.stderr);
    let seen = split(&["-n", "2"], &list, &list);
    assert_eq!(seen.code, Some(2), "it is no list: {}", seen.stderr);
    fs::write(&list, "http://a.test/\n").unwrap();
    let seen = split(&["-n", "2"], &list, &list);
    assert_eq!(seen.code, Some(3));
    assert!(seen.stderr.contains("list: is not a directory"), "{}", seen.stderr);
}

#[test]
fn a_shard_of_a_compressed_list_is_a_compressed_file_also_without_entries() {
    let folder = tempfile::tempdir().unwrap();
    let text = "http://a.test/\n";
    for (name, bytes) in [("list.gz", coded::gzip(text)), ("list.zst", coded::zstd(text))] {
        let (list, dir) = (folder.path().join(name), folder.path().join(format!("of {name}")));
        fs::write(&list, &bytes).unwrap();
        assert_eq!(split(&["-n", "2"], &list, &dir).code, Some(0));
        let files = files(&dir).into_iter().map(|file| fs::read(dir.join(file)).unwrap());
        let files: Vec<_> = files.collect();
        assert_eq!(files.len(), 2, "{name}");
        assert!(files.iter().all(|file| file.starts_with(&bytes[..2])), "{name}: {files:?}");
    }
}

#[test]
fn a_split_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (list, dir) = (folder.path().join("a.csv"), folder.path().join("dir"));
    fs::write(&list, "url,a\nhttp://a.test/,1\nhttp://b.test/,\"2\nhttp://c.test/,3\n").unwrap();
    let seen = split(&["-n", "2"], &list, &dir);
    assert_eq!(seen.code, Some(2), "{}", seen.stderr);
    let left = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().file_name());
    let left: Vec<_> =
        left.filter(|name| name.to_string_lossy().starts_with(".fetch-split-")).collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
}

// fetch merge.

fn merge(args: &[&str], files: &[PathBuf]) -> Seen {
    Run::new().arg("merge").args(files).args(args).seen()
}

/// The reports of four shards, in this format, and that of one machine. The files of the shards are in `0` to `3`.
fn reports(origin: &Origin, folder: &Path, format: &str) -> (Vec<PathBuf>, Seen) {
    let file = folder.join("list");
    fs::write(&file, list(origin)).unwrap();
    let run = |dir: &str, shard: &str| {
        let run = at(Run::new(), origin).args(["--format", format, "--shard", shard]);
        run.args(["--names", "tree", "-d"]).arg(folder.join(dir)).arg(&file).seen()
    };
    let of_shard = |index: usize| {
        let seen = run(&index.to_string(), &format!("{index}/4"));
        let report = folder.join(format!("{index}.{format}"));
        fs::write(&report, seen.stdout).unwrap();
        report
    };
    ((0..4).map(of_shard).collect(), run("one", "0/1"))
}

#[test]
fn merged_reports_of_shards_are_that_of_one_machine() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    let (files, one) = reports(&origin, folder.path(), "jsonl");
    let seen = merge(&[], &files);
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    assert!(seen.stderr.contains("of 4 files"), "{}", seen.stderr);
    assert!(seen.stderr.contains("time per URL: "), "{}", seen.stderr);
    let indexes: Vec<_> = seen.rows().iter().map(|row| row["index"].as_u64().unwrap()).collect();
    assert!(indexes.is_sorted(), "they are in list order");
    assert_eq!(lasting(seen.rows()), lasting(one.rows()));
    let (all, own) = (seen.summary(), one.summary());
    for key in [
        "targets",
        "ok",
        "failed",
        "invalid",
        "duplicate",
        "failures",
        "bytes",
        "wire_bytes",
        "list_complete",
        "sources",
        "mode",
        "head",
        "saves",
        "stopped",
        "read_up_to",
        "program",
    ] {
        assert_eq!(all[key], own[key], "{key}");
    }
    assert_eq!(all["resources"]["requests"], own["resources"]["requests"]);
    let hosts = |summary: &Value| -> BTreeSet<(String, u64)> {
        let hosts = summary["hosts"].as_array().unwrap().iter();
        let host = |host: &Value| {
            (host["host"].as_str().unwrap().to_owned(), host["requests"].as_u64().unwrap())
        };
        hosts.map(host).collect()
    };
    assert_eq!(hosts(&all), hosts(&own));

    let again = merge(&[], &[&files[..], &files[1..2]].concat());
    assert_eq!(again.rows(), seen.rows(), "each record is there once");
    assert!(again.stderr.contains(" repeated"), "{}", again.stderr);
    let lacking = merge(&[], &files[..2]);
    assert!(lacking.stderr.contains("no report of shard 2/4, 3/4"), "{}", lacking.stderr);
    assert_eq!(lacking.summary()["list_complete"], false);

    let to = ["a.html", "a.csv", "a.md", "a.jsonl"].map(|name| folder.path().join(name));
    let args: Vec<_> = to.iter().flat_map(|path| ["--to", path.to_str().unwrap()]).collect();
    let written = merge(&args, &files);
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(&to[3]).unwrap(), seen.stdout);
    assert!(to.iter().all(|path| fs::metadata(path).unwrap().len() > 1000));
}

#[test]
fn merged_tables_have_each_row_once_in_list_order() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    let (files, one) = reports(&origin, folder.path(), "csv");
    let seen = merge(&[], &[&files[..], &files[..1]].concat());
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    let rows = |text: &str| -> Vec<Vec<String>> {
        let mut table = csv::Reader::from_reader(text.as_bytes());
        let rows =
            table.records().map(|row| row.unwrap().iter().take(11).map(str::to_owned).collect());
        rows.collect()
    };
    let mut own = rows(&one.stdout);
    own.sort_by_key(|row| row[0].parse::<u64>().unwrap());
    assert_eq!(rows(&seen.stdout), own);
    assert_eq!(seen.stdout.lines().next(), one.stdout.lines().next());
}

#[test]
fn compressed_reports_are_merged_as_others_are() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    for format in ["jsonl", "csv"] {
        let (files, _) = reports(&origin, folder.path(), format);
        let plain = merge(&[], &files);
        let codings: [fn(Vec<u8>) -> Vec<u8>; 2] = [coded::gzip, coded::zstd];
        for (file, code) in files.iter().zip(codings) {
            fs::write(file, code(fs::read(file).unwrap())).unwrap();
        }
        let seen = merge(&[], &files);
        assert_eq!((seen.code, seen.stdout), (plain.code, plain.stdout), "{}", seen.stderr);
        let cut = fs::read(&files[0]).unwrap();
        fs::write(&files[0], &cut[..cut.len() - 3]).unwrap();
        let seen = merge(&[], &files);
        assert_eq!(seen.code, Some(2), "{}", seen.stderr);
        assert!(seen.stderr.contains("the gzip data ends early"), "{}", seen.stderr);
    }
}

#[test]
fn the_directories_of_shards_become_one_with_their_merged_manifest() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    let (_, one) = reports(&origin, folder.path(), "jsonl");
    let manifest = |dir: usize| folder.path().join(dir.to_string()).join(".fetch/manifest.jsonl");
    let merged = merge(&[], &(0..4).map(manifest).collect::<Vec<_>>());
    assert_eq!(merged.code, Some(0), "{}", merged.stderr);
    let all = folder.path().join("all");
    fs::create_dir_all(all.join(".fetch")).unwrap();
    fs::write(all.join(".fetch/manifest.jsonl"), &merged.stdout).unwrap();
    for dir in 0..4 {
        for host in files(&folder.path().join(dir.to_string())) {
            fs::rename(folder.path().join(dir.to_string()).join(&host), all.join(&host)).unwrap();
        }
    }
    origin.take_seen();
    let again = shard("async", &origin, &folder.path().join("list"), &all, "0/1");
    assert_eq!(again.summary()["skipped"], one.summary()["ok"], "{}", again.stderr);
    assert_eq!(again.summary()["ok"], 0);
    let verified = Run::new().arg("verify").arg(&all).seen();
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
    // The manifest of one more directory has another URL for a file.
    let other = folder.path().join("other.jsonl");
    let line = merged.stdout.lines().find(|line| line.contains("\"type\":\"saved\"")).unwrap();
    let (start, rest) = line.split_once("\"id\":\"").unwrap();
    fs::write(&other, format!("{start}\"id\":\"{}{}\n", "0".repeat(64), &rest[64..])).unwrap();
    let file = folder.path().join("all/.fetch/manifest.jsonl");
    let contradicted = merge(&[], &[file, other]);
    assert_eq!(contradicted.code, Some(1));
    assert!(contradicted.stderr.contains("is of two URLs; the first one counts"));
}

#[test]
fn of_several_records_of_an_entry_the_one_that_got_furthest_counts() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    let (files, _) = reports(&origin, folder.path(), "jsonl");
    let text = fs::read_to_string(&files[0]).unwrap();
    let failed = text.replace("\"outcome\":\"ok\"", "\"outcome\":\"failed\"");
    let again = folder.path().join("again.jsonl");
    fs::write(&again, format!("{failed}not json\n")).unwrap();
    let expected = merge(&[], &files[..1]).rows();
    for files in [[files[0].clone(), again.clone()], [again, files[0].clone()]] {
        let seen = merge(&[], &files);
        assert_eq!(seen.code, Some(1), "a line was left out");
        assert_eq!(seen.rows(), expected);
    }
    let table = folder.path().join("0.csv");
    fs::write(&table, "index,source,outcome\r\n1,-,ok\r\n").unwrap();
    let seen = merge(&[], &[files[0].clone(), table]);
    assert_eq!(seen.code, Some(2));
    assert!(seen.stderr.contains("is of another kind than"), "{}", seen.stderr);
}

#[test]
fn records_of_different_lists_with_the_same_name_are_all_kept() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let urls = |names: [&str; 2]| names.map(|name| origin.url(&format!("/{name}")));
    let lists = [urls(["a", "gone"]), urls(["b", "c"])];
    for format in ["jsonl", "csv"] {
        for source in ["-", "list.txt", "argument"] {
            let report = |number: usize| {
                let (urls, dir) = (&lists[number], path(&number.to_string()));
                let run = Run::new().args(["--format", format]);
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join("list.txt"), urls.join("\n")).unwrap();
                let run = match source {
                    "-" => run.arg("-").list(urls.join("\n")),
                    "argument" => run.args(urls),
                    source => run.inside(&dir).arg(source),
                };
                let report = path(&format!("{number}.{format}"));
                fs::write(&report, run.seen().stdout).unwrap();
                report
            };
            let files = [report(0), report(1)];
            let seen = merge(&[], &[&files[..], &files[..1]].concat());
            assert_eq!(seen.code, Some(1), "{source}: {}", seen.stderr);
            for url in lists.iter().flatten() {
                assert!(seen.stdout.contains(url.as_str()), "{source}: {url}");
            }
            let (first, second) = (&lists[0][0], &lists[1][0]);
            let text =
                format!("entry 1 of {source} is {first} and {second}; all records were kept");
            assert!(seen.stderr.contains(&text), "{}", seen.stderr);
            assert!(seen.stderr.contains(&format!("1.{format} are of different lists")));
            assert_eq!(seen.stderr.matches("different lists").count(), 1);
            assert!(seen.stderr.contains("merged 4 rows"), "{}", seen.stderr);
            if format == "jsonl" {
                let all = seen.summary();
                assert_eq!((all["ok"].as_u64(), all["failed"].as_u64()), (Some(3), Some(1)));
            }
        }
    }
}

#[test]
fn secrets_are_masked_in_merged_reports_unless_they_are_asked_for() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    let secret =
        |path: &str| origin.url(path).replace("http://", "http://user:hunter2@") + "?token=hunter2";
    let list = folder.path().join("list.csv");
    let row = |path: &str| format!("{0},{0},{0}\n", secret(path));
    fs::write(&list, format!("id,url,note\n{}{}", row("/a"), row("/gone"))).unwrap();
    for format in ["jsonl", "csv"] {
        let report = |name: &str, args: &[&str]| {
            let run = Run::new().args(["--id-column", "id", "--carry", "note", "--url-column"]);
            let run = run.args(["url", "--format", format]).args(args).arg(&list);
            let report = folder.path().join(name);
            fs::write(&report, run.seen().stdout).unwrap();
            report
        };
        let files = [report("shown", &["--no-redact"]), report("masked", &[])];
        assert!(fs::read_to_string(&files[0]).unwrap().contains("hunter2"));
        let seen = merge(&[], &files[..1]);
        assert_eq!(seen.code, Some(0), "{}", seen.stderr);
        assert!(!seen.stdout.contains("hunter2"), "{}", seen.stdout);
        assert!(seen.stdout.contains("***"));
        let seen = merge(&["--no-redact"], &files[..1]);
        assert!(seen.stdout.contains("user:hunter2@") && seen.stdout.contains("token=hunter2"));
        let seen = merge(&[], &files);
        assert_eq!(seen.code, Some(0), "they are of one list: {}", seen.stderr);
        assert!(seen.stderr.contains("merged 2 rows of 2 files, 2 repeated"), "{}", seen.stderr);
    }
}

#[test]
fn manifests_of_a_directory_and_of_an_archive_are_not_merged() {
    let (origin, folder) = (origin(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let run = |option: &str, value: &str| {
        let run = Run::new().args([option]).arg(path(value)).arg(origin.url("/a"));
        assert_eq!(run.seen().code, Some(0));
    };
    run("--dir", "d");
    run("--warc", "w");
    let manifests = [path("d/.fetch/manifest.jsonl"), path("w.fetch/manifest.jsonl")];
    let all = path("all.jsonl");
    let reversed = [manifests[1].clone(), manifests[0].clone()];
    for files in [&manifests, &reversed] {
        let seen = merge(&["--to", all.to_str().unwrap()], files);
        assert_eq!(seen.code, Some(2), "{}", seen.stderr);
        for part in ["d/.fetch/manifest.jsonl", "w.fetch/manifest.jsonl", "merge them separately"] {
            assert!(seen.stderr.contains(part), "{}", seen.stderr);
        }
        assert!(!all.exists());
    }
}

// A task of a cluster.

#[test]
fn a_task_that_is_asked_to_end_loses_nothing_and_the_next_one_continues() {
    in_every_mode(|mode| {
        let (origin, arrived, open) = holding(|request| request.path == "/held");
        let folder = tempfile::tempdir().unwrap();
        let is_own = |host: &&str| {
            let run = Run::new().args(["--dry-run", "--json", "--shard", "1/2"]);
            run.list(url(&origin, host, "")).seen().stdout.contains("\"type\":\"target\"")
        };
        let (own, others): (Vec<_>, Vec<_>) = HOSTS.into_iter().partition(is_own);
        let of = |hosts: &[&str], number: usize| {
            url(&origin, hosts[number % hosts.len()], &format!("{number}")) + "\n"
        };
        let mut list: String = (0..20).map(|number| of(&others, number)).collect();
        list += &url(&origin, own[0], "held\n");
        list.extend((0..60).map(|number| of(&own, number)));
        let file = folder.path().join("list");
        fs::write(&file, &list).unwrap();
        let task = || {
            let run = at(Run::json(mode), &origin);
            let run = run.args(["--shard=auto", "--exit-zero", "--grace=1h"]);
            let run = run.env("JOB_COMPLETION_INDEX", "1").env("JOB_COMPLETIONS", "2");
            run.args(["--names", "tree", "-d"]).arg(folder.path().join("dir")).arg(&file)
        };
        let mut child = task().arg("-j1").start();
        arrived.pass();
        send(child.id(), Signal::SIGTERM);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut lines = stderr.lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("finishing 1 transfer")), "the signal is heard");
        open.pass();
        lines.for_each(drop);
        let first = Seen::from(child.wait_with_output().unwrap());
        assert_eq!((first.code, &first.summary()["stopped"]), (Some(143), &"terminated".into()));
        let (rows, all) = (first.rows(), 61);
        assert_eq!(rows.len() as u64, first.summary()["targets"].as_u64().unwrap());
        let urls_done = rows.iter().filter(|row| row["outcome"] == "ok").map(|row| &row["url"]);
        let done = urls_done.clone().count();
        let is_held = |url: &Value| url.as_str().is_some_and(|url| url.ends_with("/held"));
        assert!(urls_done.into_iter().any(is_held), "it was let finish");
        let second = task().seen();
        assert_eq!(second.code, Some(0), "{}", second.stderr);
        assert_eq!(second.summary()["skipped"].as_u64(), Some(done as u64));
        assert_eq!(second.summary()["ok"].as_u64(), Some((all - done) as u64));
        assert_eq!(origin.requests(), all, "nothing is fetched twice");
    });
}

#[test]
fn a_heartbeat_says_what_is_done_while_a_transfer_takes_long() {
    in_every_mode(|mode| {
        let (origin, arrived, open) = holding(|request| request.path == "/held");
        let list = [origin.url("/a"), "not a url".to_owned(), origin.url("/held")].join("\n");
        let run = Run::json(mode).args(["-qq", "-j1", "--heartbeat", "50ms"]).list(list);
        let mut child = run.start();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        arrived.pass();
        let mut beats = lines.filter(|line| line.starts_with("heartbeat: "));
        assert!(
            beats
                .any(|line| line.starts_with("heartbeat: 2 done, 1 failed, ")
                    && line.ends_with("/s"))
        );
        open.pass();
        beats.for_each(drop);
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(1));
    });
}
