//! Bodies in object stores: S3 at SeaweedFS, looked into with boto3, and odd replies of a server of ours. Nearly all needs
//! the feature.

#[cfg(not(feature = "object-store"))]
use crate::support::Run;

#[cfg(not(feature = "object-store"))]
#[test]
fn without_the_feature_an_object_store_is_refused_with_its_name() {
    let reason =
        "s3://bucket/a: object stores need a fetch that was built with --features object-store";
    let url = "http://127.0.0.1:9/";
    for words in [
        &["--dir", "s3://bucket/a/", url][..],
        &["--dir", "s3://bucket/a", "--dry-run", url],
        &["verify", "S3://bucket/a"],
    ] {
        let seen = Run::new().args(words).seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.contains(reason), "{seen:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    for (option, place) in [
        ("--warc", "gs://bucket/a"),
        ("--tar", "gs://bucket/a"),
        ("--report", "gs://bucket/a.html"),
    ] {
        let seen = Run::new().args([option, place, url]).inside(folder.path()).seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        let reason = reason.replace("s3://bucket/a", place);
        assert!(seen.stderr.contains(&reason), "{seen:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let seen = Run::new().args(["--dir", "az://c", "--split", "4", url]).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("--split requires a local --dir"), "{seen:?}");
}

#[cfg(feature = "object-store")]
#[path = "object_stores"]
mod with_the_feature {
    mod archives;

    use std::collections::BTreeMap;

    use nix::sys::signal::Signal;
    use serde_json::Value;
    use sha2::{Digest, Sha256};

    use crate::support::seaweed::{BUCKET, Seaweed, with_keys, without_profile};
    use crate::support::{MODES, Origin, Reply, Request, Run, Seen, holding, in_every_mode};

    /// Lengths of bodies that are kept in memory, in a file, and that are put in parts.
    const LENGTHS: [(&str, usize); 4] =
        [("small", 10), ("empty", 0), ("long", 1_200_000), ("parts", 17 << 20)];

    fn body_of(path: &str) -> Vec<u8> {
        let name = path.trim_start_matches('/');
        let known = LENGTHS.iter().find(|(known, _)| name.starts_with(known));
        let length = known.map_or(100, |(_, length)| *length);
        name.bytes().cycle().take(length).collect()
    }

    fn every_kind(request: &Request) -> Reply {
        match request.path.as_str() {
            "/gone" => Reply::of("404 Not Found", "", "gone"),
            path => Reply::of("200 OK", "Content-Type: image/png\r\n", body_of(path)),
        }
    }

    const PATHS: [&str; 7] = [
        "/small.png",
        "/empty",
        "/long.bin",
        "/parts.bin",
        "/gone",
        "/a%20b%25c.png",
        "/%C3%BC.png",
    ];

    fn list(origin: &Origin, paths: &[&str]) -> String {
        paths.iter().map(|path| origin.url(path) + "\n").collect()
    }

    fn saved(server: &Seaweed, prefix: &str) -> BTreeMap<String, Value> {
        let objects = server.objects(&format!("{prefix}/")).into_iter();
        let names = objects.map(|(name, object)| (name[prefix.len() + 1..].to_owned(), object));
        names.filter(|(name, _)| !name.starts_with(".fetch/")).collect()
    }

    fn outcomes(seen: &Seen) -> Vec<String> {
        let rows = seen.rows_in_list_order().into_iter();
        rows.map(|row| row["outcome"].as_str().unwrap().to_owned()).collect()
    }

    fn is_tidy(server: &Seaweed, prefix: &str) {
        let own = server.objects(&format!("{prefix}/.fetch/"));
        assert!(own.keys().all(|name| name.contains("/.fetch/manifest/")), "{:?}", own.keys());
    }

    #[test]
    #[ignore = "needs SeaweedFS and boto3"]
    fn only_bodies_of_more_than_8_mib_need_a_file() {
        let (server, origin) = (Seaweed::start(), Origin::new(every_kind));
        for mode in ["sequential", "threads", "async"] {
            let url = format!("s3://{BUCKET}/{mode}");
            let put = |path| {
                let run = server.run(mode).args(["--dir", &url, "--retry", "0"]);
                run.env("FETCH_FAIL_AT", "gather:1+:28").list(list(&origin, &[path])).seen()
            };
            let (long, parts) = (put("/long.bin"), put("/parts.bin"));
            assert_eq!(long.code, Some(0), "{long:?}");
            assert_eq!(parts.code, Some(3), "{parts:?}");
            assert_eq!(saved(&server, mode).into_keys().collect::<Vec<_>>(), ["long.bin"]);
        }
    }

    #[test]
    #[ignore = "needs SeaweedFS and boto3"]
    fn bodies_are_objects_that_another_client_finds_and_a_rerun_skips() {
        let server = Seaweed::start();
        in_every_mode(|mode| {
            let origin = Origin::new(every_kind);
            let url = format!("s3://{BUCKET}/{mode}/a b");
            let run = || {
                let run = server.run(mode).args(["--dir", &url, "--retry", "0"]);
                run.list(list(&origin, &PATHS)).seen()
            };
            let seen = run();
            assert_eq!(seen.code, Some(1), "{seen:?}");
            let prefix = format!("{mode}/a b");
            let objects = saved(&server, &prefix);
            let names: Vec<_> = objects.keys().map(String::as_str).collect();
            let expected = ["a b%c.png", "empty", "long.bin", "parts.bin", "small.png", "ü.png"];
            assert_eq!(names, expected);
            for (row, path) in seen.rows_in_list_order().iter().zip(PATHS) {
                let Some(object) = row["path"].as_str().and_then(|file| objects.get(file)) else {
                    assert_eq!(path, "/gone", "{row}");
                    continue;
                };
                let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(body_of(path)));
                assert_eq!(object["sha256"], digest, "{path}");
                assert_eq!(object["type"], "image/png");
                assert_eq!(object["mark"].as_str().map(str::len), Some(64), "{object}");
                if path != "/parts.bin" {
                    assert_eq!(object["checksum"], digest, "{path}");
                }
            }
            is_tidy(&server, &prefix);
            origin.take_seen();
            let seen = run();
            assert_eq!(seen.code, Some(1), "{seen:?}");
            assert_eq!(outcomes(&seen).iter().filter(|outcome| *outcome == "skipped").count(), 6);
            assert_eq!(origin.take_seen().len(), 1);

            let verify = |words: &[&str]| {
                with_keys(Run::new(), &server.endpoint()).arg("verify").args(words).arg(&url).seen()
            };
            let seen = verify(&["--json"]);
            assert_eq!(seen.code, Some(0), "{seen:?}");
            assert!(seen.stdout.contains(r#""checked_by":"etag""#), "{seen:?}");
            server.delete(&format!("{prefix}/empty"));
            server.put(&format!("{prefix}/small.png"), "not so sml");
            server.put(&format!("{prefix}/extra"), "x");
            for words in [&["--no-mark"][..], &[]] {
                let seen = verify(words);
                assert_eq!(seen.code, Some(1), "{seen:?}");
                for line in ["Missing empty", "Changed small.png", "Extra extra"] {
                    assert!(seen.stdout.contains(line), "{seen:?}");
                }
            }
            let seen = run();
            assert_eq!(outcomes(&seen)[..3], ["ok", "ok", "skipped"], "{seen:?}");
            assert_eq!(verify(&[]).code, Some(0));
        });
    }

    #[test]
    #[ignore = "needs SeaweedFS and boto3"]
    fn what_a_killed_run_has_put_is_put_again_under_the_same_name() {
        let server = Seaweed::start();
        in_every_mode(|mode| {
            let origin = Origin::new(every_kind);
            let url = format!("s3://{BUCKET}/{mode}");
            let paths = ["/small.png", "/long.bin", "/parts.bin", "/a", "/b"];
            let run = || {
                let run = server.run(mode).args(["--dir", &url, "-j", "2"]);
                run.list(list(&origin, &paths))
            };
            let seen = run().env("FETCH_KILL_AT", "object_put:3").seen();
            assert_eq!(seen.code, None, "{seen:?}");
            assert!(saved(&server, mode).len() >= 3);
            let seen = run().seen();
            assert_eq!(
                (seen.code, outcomes(&seen)),
                (Some(0), vec!["ok".to_owned(); 5]),
                "{seen:?}"
            );
            let objects = saved(&server, mode);
            assert_eq!(objects.len(), 5, "{:?}", objects.keys());
            for path in paths {
                assert_eq!(objects[&path[1..]]["bytes"], body_of(path).len());
            }
            is_tidy(&server, mode);
            assert_eq!(outcomes(&run().seen()), ["skipped"; 5]);
        });
    }

    #[test]
    #[ignore = "needs SeaweedFS and boto3"]
    fn one_run_at_a_time_saves_to_a_place_and_a_dead_one_does_not_keep_it() {
        let server = Seaweed::start();
        for mode in MODES {
            let (origin, asked, go) = holding(|_| true);
            let url = format!("s3://{BUCKET}/{mode}");
            let run = || server.run(mode).args(["--dir", &url]).list(list(&origin, &["/a"]));
            let first = run().live();
            asked.pass();
            let seen = run().seen();
            assert_eq!(seen.code, Some(2), "{seen:?}");
            let reason =
                format!("{url} is in use by another fetch process (process {} on ", first.id());
            assert!(seen.stderr.contains(&reason), "{seen:?}");
            first.signal(Signal::SIGKILL);
            assert_eq!(first.seen().code, None);
            go.pass_by();
            let seen = run().seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
        }
        // Of another machine, it is known only when its time has passed.
        let origin = Origin::new(every_kind);
        for (until, code) in [("2100-01-01T00:00:00Z", 2), ("2020-01-01T00:00:00Z", 0)] {
            let lease = format!(r#"{{"host":"other","pid":1,"until":"{until}"}}"#);
            server.put("other/.fetch/lease.json", &lease);
            let run = server.run("async").args(["--dir", &format!("s3://{BUCKET}/other")]);
            let seen = run.arg(origin.url("/a")).seen();
            assert_eq!(seen.code, Some(code), "{seen:?}");
            let reason =
                format!("process 1 on other, whose lease ends at {}", until.trim_end_matches('Z'));
            assert_eq!(seen.stderr.contains(&reason), code == 2, "{seen:?}");
        }
    }

    #[test]
    #[ignore = "needs SeaweedFS and boto3"]
    fn a_name_of_the_server_and_one_of_the_list_are_those_of_objects() {
        let server = Seaweed::start();
        let origin = Origin::new(|_| {
            let fields = "Content-Disposition: attachment; filename=theirs.txt\r\n";
            Reply::of("200 OK", fields, "hello")
        });
        let list = format!("{}\n  out=x/y.txt\n{}\n", origin.url("/a"), origin.url("/b"));
        for outcome in ["ok", "skipped"] {
            let run = server.run("async").args(["-J", "--dir", "s3://bucket"]).list(&list);
            let seen = run.seen();
            assert_eq!((seen.code, outcomes(&seen)), (Some(0), vec![outcome.to_owned(); 2]));
            let rows = seen.rows_in_list_order();
            assert_eq!(
                (&rows[0]["path"], &rows[1]["path"]),
                (&"x/y.txt".into(), &"theirs.txt".into())
            );
        }
        for name in ["x/y.txt", "theirs.txt"] {
            assert_eq!(server.objects(name)[name]["text"], "hello");
        }
    }

    #[test]
    #[ignore = "needs SeaweedFS and boto3"]
    fn what_is_wrong_with_credentials_or_the_bucket_is_said() {
        let server = Seaweed::start();
        let run = |run: Run, url: &str| {
            let seen = run.args(["--dir", url, "http://127.0.0.1:9/"]).seen();
            assert_eq!(seen.code, Some(2), "{seen:?}");
            seen.stderr
        };
        let url = format!("s3://{BUCKET}/a");
        let said = run(without_profile(Run::new(), &server.endpoint()), &url);
        assert!(
            said.contains("no credentials found") && said.contains("set AWS_ACCESS_KEY_ID"),
            "{said}"
        );
        let wrong = server.run("async").env("AWS_SECRET_ACCESS_KEY", "other");
        let said = run(wrong, &url);
        assert!(said.contains("refuses the credentials (SignatureDoesNotMatch"), "{said}");
        let wrong = server.run("async").env("AWS_ACCESS_KEY_ID", "other");
        let said = run(wrong, &url);
        assert!(said.contains("refuses the credentials (InvalidAccessKeyId"), "{said}");
        let said = run(server.run("async").env("AWS_PROFILE", "other"), &url);
        assert!(said.contains("AWS_PROFILE names no profile: 'other'"), "{said}");
        let said = run(server.run("async"), "s3:///a");
        assert!(said.contains("expected a bucket"), "{said}");

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        std::fs::write(&file, "[p]\naws_access_key_id = key\naws_secret_access_key = secret\n")
            .unwrap();
        let origin = Origin::new(every_kind);
        let seen = without_profile(Run::new(), &server.endpoint())
            .env("AWS_SHARED_CREDENTIALS_FILE", &file)
            .env("AWS_PROFILE", "p")
            .args(["--dir", &url, &origin.url("/x")])
            .seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
    }

    /// SeaweedFS answers what Google Cloud Storage is asked, which is nearly what S3 is asked.
    #[test]
    #[ignore = "needs SeaweedFS and boto3"]
    fn google_cloud_storage_is_written_read_and_verified() {
        let server = Seaweed::start_for_all();
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.json");
        let facts = serde_json::json!({
            "gcs_base_url": server.endpoint(), "disable_oauth": true,
            "client_email": "", "private_key": "", "private_key_id": "",
        });
        std::fs::write(&key, facts.to_string()).unwrap();
        in_every_mode(|mode| {
            let origin = Origin::new(every_kind);
            let url = format!("gs://{BUCKET}/{mode}");
            let of_store = |run: Run| run.env("GOOGLE_SERVICE_ACCOUNT", &key);
            let run = || {
                let run = of_store(Run::json(mode)).args(["--dir", &url, "--retry", "0"]);
                run.list(list(&origin, &PATHS)).seen()
            };
            let expected = ["ok", "ok", "ok", "ok", "failed", "ok", "ok"];
            let first = run();
            assert_eq!(outcomes(&first), expected, "{first:?}");
            assert_eq!(saved(&server, mode).len(), 6);
            assert_eq!(outcomes(&run()), expected.map(|outcome| outcome.replace("ok", "skipped")));
            let seen = of_store(Run::new()).args(["verify", &url]).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
        });
        std::fs::write(&key, "{}").unwrap();
        let run = Run::new().env("GOOGLE_SERVICE_ACCOUNT", &key);
        let seen = run.args(["--dir", "gs://bucket/a", "http://127.0.0.1:9/"]).seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.contains("invalid credentials or settings (missing field"), "{seen:?}");
    }

    #[test]
    fn a_container_that_azure_does_not_have_is_the_users_to_create() {
        let reason =
            "<Error><Code>ContainerNotFound</Code><Message>It does not exist.</Message></Error>";
        let store = Origin::new(move |_| Reply::of("404 Not Found", "", reason));
        let run = |key: &str| {
            let run = Run::new().env("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1");
            let run = run.env("AZURE_STORAGE_ACCOUNT_KEY", key);
            let run = run.env("AZURE_STORAGE_USE_EMULATOR", "true");
            let run = run.env("AZURITE_BLOB_STORAGE_URL", store.url(""));
            let seen = run.args(["--dir", "az://box/a", "http://127.0.0.1:9/"]).seen();
            assert_eq!(seen.code, Some(2), "{seen:?}");
            seen.stderr
        };
        let said = run("a2V5");
        assert!(said.contains("no such bucket (ContainerNotFound: It does not exist.)"), "{said}");
        let said = run("no key");
        assert!(said.contains("invalid credentials or settings ("), "{said}");
        assert!(said.contains("set AZURE_STORAGE_ACCOUNT_NAME"), "{said}");
    }

    #[test]
    #[ignore = "needs SeaweedFS and boto3"]
    fn a_server_that_goes_ends_the_run_and_loses_nothing() {
        let mut server = Seaweed::start();
        let runs = MODES.map(|mode| (mode, holding(|request| request.path == "/b")));
        let run = |server: &Seaweed, mode: &str, origin: &Origin| {
            let run = server.run(mode).args(["--dir", &format!("s3://{BUCKET}/{mode}")]);
            let run = run.args(["--host-patience", "1s", "-j", "1"]);
            run.list(list(origin, &["/a", "/b", "/c"]))
        };
        let lives: Vec<_> =
            runs.iter().map(|(mode, (origin, ..))| run(&server, mode, origin).live()).collect();
        runs.iter().for_each(|(_, (_, asked, _))| asked.pass());
        server.stop();
        runs.iter().for_each(|(_, (_, _, go))| go.pass_by());
        for (live, (mode, _)) in lives.into_iter().zip(&runs) {
            let seen = live.seen();
            assert_eq!(seen.code, Some(3), "{seen:?}");
            let row = &seen.rows_in_list_order()[1];
            let message = row["error"]["message"].as_str().unwrap();
            let reason = "cannot reach the object store: Connection refused";
            assert_eq!(message, format!("cannot save: s3://{BUCKET}/{mode}/b: {reason}"));
        }
        server.start_again();
        for (mode, (origin, ..)) in &runs {
            let seen = run(&server, mode, origin).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            assert_eq!(saved(&server, mode).len(), 3);
        }
    }

    #[test]
    #[ignore = "needs SeaweedFS and boto3"]
    fn an_object_of_others_is_replaced_only_if_that_is_said() {
        let server = Seaweed::start();
        for name in ["small", "parts"] {
            server.put(name, "theirs");
        }
        in_every_mode(|mode| {
            let origin = Origin::new(every_kind);
            let url = format!("s3://{BUCKET}");
            let run = |words: &[&str]| {
                let run = server.run(mode).args(["--dir", &url]).args(words);
                run.list(list(&origin, &["/small", "/parts"])).seen()
            };
            let seen = run(&[]);
            assert_eq!(seen.code, Some(1), "{seen:?}");
            for (row, name) in seen.rows_in_list_order().iter().zip(["small", "parts"]) {
                let reason = format!("cannot save: {url}/{name} already exists and was not saved");
                assert_eq!(row["error"]["class"], "name", "{row}");
                assert!(row["error"]["message"].as_str().unwrap().starts_with(&reason), "{row}");
            }
        });
        let origin = Origin::new(every_kind);
        assert_eq!(server.objects("small")["small"]["text"], "theirs");
        for word in ["--overwrite", "--force"] {
            let run = server.run("async").args(["--dir", "s3://bucket/", word]);
            let seen = run.list(list(&origin, &["/small", "/parts"])).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
        }
        for name in ["small", "parts"] {
            assert_eq!(server.objects(name)[name]["bytes"], body_of(name).len());
        }
    }

    #[test]
    fn odd_replies_of_a_store_are_said_and_no_more_is_asked() {
        for (reply, reason, code) in [
            (Reply::of("403 Forbidden", "", "<Error><Code>Odd</Code></Error>"), "(Odd)", 2),
            (Reply::of("403 Forbidden", "", "\u{0}\u{1b}[2J"), "refuses the credentials", 2),
            (Reply::of("500 Oh", "", "x".repeat(100_000)), "cannot use s3://bucket/a", 3),
            (Reply::of("503 Slow", "", "<Error><Code>SlowDown</Code></Error>"), "SlowDown", 3),
            (Reply::of("200 OK", "", "no xml"), "cannot use s3://bucket/a", 3),
            (Reply::of("302 Found", "Location: /\r\n", ""), "s3://bucket/a", 3),
        ] {
            let store = Origin::new(move |_| reply.clone());
            let target = Origin::new(every_kind);
            let run = with_keys(Run::new(), store.url("").trim_end_matches('/'));
            let run = run.args(["--dir", "s3://bucket/a", "--host-patience", "300ms"]);
            let seen = run.arg(target.url("/a")).seen();
            assert_eq!(seen.code, Some(code), "{reason}: {seen:?}");
            assert!(seen.stderr.contains(reason) && seen.stderr.len() < 1000, "{seen:?}");
            assert!(!seen.stderr.contains(['\u{0}', '\u{1b}']), "{seen:?}");
            assert_eq!(target.requests(), 0);
        }
    }
}
