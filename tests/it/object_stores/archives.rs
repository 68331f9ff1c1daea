//! Archives and reports in an object store, read by programs of others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use super::{body_of, every_kind, list, outcomes};
use crate::support::seaweed::{BUCKET, Seaweed, with_keys};
use crate::support::tools::tool;
use crate::support::{MODES, Origin, Run, Seen, holding, in_every_mode};

/// Some in memory, one in a file, one whose archive is put in parts; one that fails.
const PATHS: [&str; 6] = ["/small.png", "/empty", "/long.bin", "/parts.bin", "/gone", "/a%20b.png"];

const FORMATS: [&str; 2] = ["--warc", "--tar"];

/// Prints the digest of the payload of every response of WARC files by its path, from warcio.
const PAYLOADS: &str = "
import hashlib, sys
from urllib.parse import urlsplit
from warcio.archiveiterator import ArchiveIterator
for path in sys.argv[1:]:
    for record in ArchiveIterator(open(path, 'rb'), check_digests='raise'):
        if record.rec_type == 'response':
            uri = urlsplit(record.rec_headers.get_header('WARC-Target-URI'))
            print(uri.path, hashlib.sha256(record.content_stream().read()).hexdigest())
";

fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

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
    let payloads = output_of(tool("python").args(["-c", PAYLOADS]).args(&files));
    let of_line = |line: &str| line.split_once(' ').map(|(path, hex)| (path.into(), hex.into()));
    payloads.lines().filter_map(of_line).collect()
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
