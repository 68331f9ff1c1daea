//! Lists for several machines: the shards of a list, and tasks of array jobs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Origin, Reply, Run, Seen, in_every_mode};

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
