//! Archives and reports in an object store, read by programs of others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{body_of, every_kind, list, outcomes};
use crate::support::folder::all_in;
use crate::support::seaweed::{BUCKET, Seaweed, with_keys};
use crate::support::tools::{output_of, tool};
use crate::support::{End, MODES, Origin, Reply, Request, Run, Seen, holding, in_every_mode};

/// Some in memory, one in a file, one whose archive is put in parts; one that fails.
const PATHS: [&str; 6] = ["/small.png", "/empty", "/long.bin", "/parts.bin", "/gone", "/a%20b.png"];

const FORMATS: [&str; 2] = ["--warc", "--tar"];

/// What programs of others read.
const READ_BODIES: &str = include_str!("../support/read_bodies.py");

fn verify(server: &Seaweed, prefix: &str) -> Seen {
    let url = format!("s3://{BUCKET}/{prefix}");
    with_keys(Run::new(), &server.endpoint()).args(["verify", "--json", &url]).seen()
}

/// The objects of archives, without those of the manifest.
fn archives_of(server: &Seaweed, prefix: &str) -> Vec<String> {
    let names = server.objects(prefix).into_keys();
    names.filter(|name| !name.contains(".fetch/")).collect()
}

/// The digests of bodies in these WARC files by their paths, after all checks of others.
fn read_warcs(folder: &Path, names: &[&str]) -> BTreeMap<String, String> {
    let files: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
    output_of(tool("warcio").arg("check").args(&files));
    let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    read_by("warcio", &files)
}

/// The digests of bodies by their paths, as another program reads them. A run that is killed between an archive and the
/// manifest leaves bodies that are there twice.
fn read_by(program: &str, words: &[&str]) -> BTreeMap<String, String> {
    let read = output_of(tool("python").args(["-c", READ_BODIES, program]).args(words));
    let mut bodies = BTreeMap::new();
    for line in read.lines() {
        let (path, digest) = line.split_once(' ').unwrap();
        let before = bodies.insert(path.to_owned(), digest.to_owned());
        assert!(before.is_none_or(|before| before == digest), "{program}: {path}");
    }
    bodies
}

#[test]
#[ignore = "needs SeaweedFS, boto3, warcio and cdxj-indexer"]
fn archives_are_put_whole_and_a_rerun_skips_what_is_in_them() {
    let server = Seaweed::start();
    in_every_mode(|mode| {
        for format in FORMATS {
            let origin = Origin::new(every_kind);
            let prefix = format!("{mode}/{}/crawl", &format[2..]);
            let url = format!("s3://{BUCKET}/{prefix}");
            let run = |paths: &[&str]| {
                let run = server.run(mode).args([format, &url, "--retry", "0"]);
                run.args(["--archive-count", "3"]).list(list(&origin, paths)).seen()
            };
            let seen = run(&PATHS);
            assert_eq!(seen.code, Some(1), "{seen:?}");
            let end = if format == "--tar" { "tar" } else { "warc.gz" };
            let mut expected: Vec<_> =
                (0..2).map(|number| format!("{prefix}-{number:05}.{end}")).collect();
            if format == "--warc" {
                expected.push(format!("{prefix}.cdxj"));
            }
            assert_eq!(archives_of(&server, &prefix), expected);

            // What is there is skipped; what is new goes to an archive of its own.
            origin.take_seen();
            let more = [&PATHS[..], &["/new"]].concat();
            let seen = run(&more);
            assert_eq!(seen.code, Some(1), "{seen:?}");
            assert_eq!(outcomes(&seen).iter().filter(|outcome| *outcome == "skipped").count(), 5);
            assert_eq!(origin.take_seen().len(), 2);
            expected.insert(2, format!("{prefix}-00002.{end}"));
            assert_eq!(archives_of(&server, &prefix), expected);
            let own = server.objects(&format!("{prefix}.fetch/"));
            assert!(own.keys().all(|name| name.contains(".fetch/manifest/")), "{:?}", own.keys());

            let folder = tempfile::tempdir().unwrap();
            server.save(&prefix, folder.path());
            let names: Vec<_> =
                expected[..3].iter().map(|name| &name[prefix.len() - 5..]).collect();
            if format == "--warc" {
                let bodies = read_warcs(folder.path(), &names);
                for path in more.iter().filter(|path| **path != "/gone") {
                    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(body_of(path)));
                    assert_eq!(bodies.get(*path), Some(&digest), "{path} of {:?}", bodies.keys());
                }
                let files = names.iter().map(|name| folder.path().join(name));
                let theirs = output_of(tool("cdxj-indexer").arg("-s").args(files));
                let ours = fs::read_to_string(folder.path().join("crawl.cdxj")).unwrap();
                assert_eq!(ours.lines().count(), theirs.lines().count());
            } else {
                let members: String = names
                    .iter()
                    .map(|name| {
                        output_of(Command::new("tar").arg("tf").arg(folder.path().join(name)))
                    })
                    .collect();
                assert_eq!(members.lines().count(), 2 * 6, "{members}");
            }

            let seen = verify(&server, &prefix);
            assert_eq!(seen.code, Some(0), "{seen:?}");
            assert!(seen.stdout.contains(r#""checked_by":"etag""#), "{seen:?}");
            server.put(&expected[0], "not an archive");
            server.delete(&expected[2]);
            let seen = verify(&server, &prefix);
            assert_eq!(seen.code, Some(1), "{seen:?}");
            let seen = run(&more);
            let skipped = outcomes(&seen).iter().filter(|outcome| *outcome == "skipped").count();
            assert_eq!((seen.code, skipped), (Some(1), 2), "{seen:?}");
            assert_eq!(verify(&server, &prefix).code, Some(0));
        }
    });
}

#[test]
#[ignore = "needs SeaweedFS, boto3, warcio and cdxj-indexer"]
fn a_killed_run_loses_the_archives_that_it_has_not_put() {
    let server = Seaweed::start();
    in_every_mode(|mode| {
        let origin = Origin::new(every_kind);
        let prefix = format!("{mode}/crawl");
        let url = format!("s3://{BUCKET}/{prefix}");
        let paths: Vec<_> = (0..12).map(|number| format!("/page-{number}")).collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let run = || {
            let run = server.run(mode).args(["--warc", &url, "-j", "2", "--archive-count", "2"]);
            run.list(list(&origin, &paths))
        };
        for nth in ["1", "2"] {
            let seen = run().env("FETCH_KILL_AT", format!("object_put:{nth}")).seen();
            assert_eq!(seen.code, None, "{seen:?}");
        }
        let seen = run().seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert!(outcomes(&seen).contains(&"skipped".to_owned()), "{seen:?}");
        assert_eq!(verify(&server, &prefix).code, Some(0));
        origin.take_seen();
        assert_eq!(outcomes(&run().seen()), ["skipped"; 12]);
        assert_eq!(origin.take_seen().len(), 0);
        let folder = tempfile::tempdir().unwrap();
        server.save(&prefix, folder.path());
        let names = archives_of(&server, &prefix);
        let names: Vec<_> = names.iter().map(|name| &name[mode.len() + 1..]).collect();
        let warcs: Vec<_> = names.into_iter().filter(|name| name.ends_with(".gz")).collect();
        assert_eq!(read_warcs(folder.path(), &warcs).len(), 12);
    });
}

#[test]
#[ignore = "needs SeaweedFS and boto3"]
fn a_store_that_goes_ends_a_run_that_archives_and_the_next_one_has_all() {
    let mut server = Seaweed::start();
    let runs = MODES.map(|mode| (mode, holding(|request| request.path == "/b")));
    let run = |server: &Seaweed, mode: &str, origin: &Origin| {
        let run = server.run(mode).args(["--tar", &format!("s3://{BUCKET}/{mode}")]);
        let run = run.args(["--host-patience", "1s", "-j", "1", "--archive-count", "1"]);
        run.list(list(origin, &["/a", "/b", "/c", "/d", "/e"]))
    };
    let lives: Vec<_> =
        runs.iter().map(|(mode, (origin, ..))| run(&server, mode, origin).live()).collect();
    runs.iter().for_each(|(_, (_, asked, _))| asked.pass());
    server.stop();
    runs.iter().for_each(|(_, (_, _, go))| go.pass_by());
    for live in lives {
        let seen = live.seen();
        assert_eq!(seen.code, Some(3), "{seen:?}");
        assert!(seen.stderr.contains("cannot reach the object store"), "{seen:?}");
    }
    server.start_again();
    for (mode, (origin, ..)) in &runs {
        let seen = run(&server, mode, origin).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(verify(&server, mode).code, Some(0));
        assert_eq!(outcomes(&run(&server, mode, origin).seen()), ["skipped"; 5]);
    }
}

#[test]
#[ignore = "needs SeaweedFS and boto3"]
fn archives_of_another_run_and_an_index_of_others_are_left_alone() {
    let server = Seaweed::start();
    let (origin, asked, go) = holding(|_| true);
    let run = |prefix: &str| {
        let run = server.run("async").args(["--warc", &format!("s3://{BUCKET}/{prefix}")]);
        run.list(list(&origin, &["/a"]))
    };
    let first = run("x/crawl").live();
    asked.pass();
    let seen = run("x/crawl").seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("is in use by another fetch process"), "{seen:?}");
    go.pass_by();
    assert_eq!(first.seen().code, Some(0));

    server.put("theirs.cdxj", "theirs");
    server.put("y-00000.warc.gz", "theirs");
    let seen = run("theirs").seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("theirs.cdxj: it was not written by fetch"), "{seen:?}");
    assert_eq!(run("y").seen().code, Some(0));
    let objects = server.objects("y-");
    assert_eq!(objects["y-00000.warc.gz"]["text"], "theirs");
    assert!(objects.contains_key("y-00001.warc.gz"), "{:?}", objects.keys());
    let seen = run("z/../../").seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
}

#[test]
#[ignore = "needs SeaweedFS and boto3"]
fn reports_are_objects_that_are_put_when_they_are_complete() {
    let server = Seaweed::start();
    in_every_mode(|mode| {
        let origin = Origin::new(every_kind);
        let url = |name: &str| format!("s3://{BUCKET}/{mode}/{name}");
        let run = |server: &Seaweed, words: &[&str]| {
            let run = server.run(mode).args(words);
            run.args(["--report", &url("run.html"), "--report", &url("run.jsonl")])
        };
        let seen = run(&server, &[]).list(list(&origin, &["/a", "/gone"])).seen();
        assert_eq!(seen.code, Some(1), "{seen:?}");
        let objects = server.objects(&format!("{mode}/"));
        let text =
            |name: &str| objects[&format!("{mode}/{name}")]["text"].as_str().unwrap().to_owned();
        assert!(
            text("run.html").starts_with("<!doctype html>")
                || text("run.html").starts_with("<!DOCTYPE html>")
        );
        assert_eq!(text("run.jsonl").lines().count(), 3);

        let wrong = run(&server, &[]).env("AWS_SECRET_ACCESS_KEY", "other");
        let seen = wrong.list(list(&origin, &["/a"])).seen();
        assert_eq!(seen.code, Some(3), "{seen:?}");
        assert!(seen.stderr.contains("refuses the credentials"), "{seen:?}");
        assert_eq!(server.objects(&format!("{mode}/")).len(), 2);
    });
    let origin = Origin::new(every_kind);
    let jar =
        server.run("async").args(["--cookie-jar", "s3://bucket/jar", &origin.url("/a")]).seen();
    assert_eq!(jar.code, Some(2), "{jar:?}");
    assert!(jar.stderr.contains("it may hold secrets"), "{jar:?}");
    let no_name = server.run("async").args(["--report", "s3://bucket", &origin.url("/a")]).seen();
    assert_eq!(no_name.code, Some(2), "{no_name:?}");
}

/// How many URLs the list of all kinds of replies has.
const MANY: usize = 2000;

/// All kinds of replies; one in 20 is a failure.
fn many_kinds(request: &Request) -> Reply {
    let path = request.path.as_str();
    let number: usize = path.rsplit('-').next().unwrap().parse().unwrap();
    match number % 40 {
        0 => Reply::of("404 Not Found", "", "gone"),
        20 => Reply::ok(body_of(path)).but(10, End::Close),
        1 if path.starts_with("/page") => Reply::redirect(302, &format!("/to-{number}")),
        2 => Reply::chunked(["first ", path]),
        3 => Reply::ok(""),
        4 => Reply::of("200 OK", "Content-Type: text/plain\r\n", "the same in all of these"),
        5 => Reply::of("200 OK", "Content-Type: image/png\r\n", path.repeat(3000)),
        6 if number == 6 => Reply::ok(body_of("/long")),
        _ => Reply::ok(path.repeat(40)),
    }
}

/// What of a record does not depend on time, on the order, and on where bodies go.
fn lasting(row: &Value) -> [String; 7] {
    ["url", "final_url", "outcome", "bytes", "http_status", "digest", "carried"]
        .map(|name| row[name].to_string())
}

#[test]
#[ignore = "needs SeaweedFS, boto3, warcio, fastwarc, webdataset and GNU tar"]
fn the_same_bodies_are_in_every_destination_as_others_read_them() {
    let server = Seaweed::start();
    let origin = Origin::new(many_kinds);
    let paths: Vec<_> = (0..MANY).map(|number| format!("/page-{number}")).collect();
    let list = list(&origin, &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let mut known: Option<(Vec<_>, BTreeMap<String, String>)> = None;
    for mode in MODES {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let stored = format!("s3://{BUCKET}/{mode}/bodies");
        for (option, place) in [
            ("--dir", at("dir")),
            ("--warc", at("crawl")),
            ("--tar", at("images")),
            ("--dir", stored.clone()),
        ] {
            let run = server.run(mode).args([option, &place, "--digest", "sha256", "--retry", "0"]);
            let seen = run.list(&list).seen();
            assert_eq!(seen.code, Some(1), "{mode} {option}: {}", seen.stderr);
            let records: Vec<_> = seen.rows_in_list_order().iter().map(lasting).collect();
            let read: Vec<_> = match option {
                "--dir" if place == stored => {
                    let prefix = format!("{mode}/bodies/");
                    vec![read_by("s3", &[&server.endpoint(), BUCKET, &prefix])]
                }
                "--dir" => {
                    let files = all_in(Path::new(&place)).into_keys();
                    let files = files.filter(|name| name.starts_with("page-"));
                    let digest = |name: &str| {
                        let bytes = fs::read(Path::new(&place).join(name)).unwrap();
                        data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
                    };
                    vec![files.map(|name| (format!("/{name}"), digest(&name))).collect()]
                }
                "--warc" => ["warcio", "fastwarc"]
                    .map(|program| read_by(program, &[&(place.clone() + "-00000.warc.gz")]))
                    .to_vec(),
                _ => ["tarfile", "webdataset"]
                    .map(|program| read_by(program, &[&(place.clone() + "-00000.tar")]))
                    .to_vec(),
            };
            for bodies in read {
                // In a WARC, the body of a redirect has the URL that it leads to.
                let named = |path: String| path.replace("/to-", "/page-");
                let bodies: BTreeMap<_, _> =
                    bodies.into_iter().map(|(path, digest)| (named(path), digest)).collect();
                assert_eq!(bodies.len(), MANY * 19 / 20, "{mode} {option}");
                let (all_records, all_bodies) =
                    known.get_or_insert_with(|| (records.clone(), bodies.clone()));
                assert!(*all_records == records, "{mode} {option}");
                assert!(*all_bodies == bodies, "{mode} {option}");
            }
        }
        let listed = output_of(Command::new("tar").arg("tf").arg(at("images-00000.tar")));
        assert_eq!(listed.lines().count(), 2 * MANY * 19 / 20);
    }
}
