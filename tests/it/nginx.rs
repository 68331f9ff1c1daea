//! Against nginx, as Debian ships it: the lesson's list, HTTP/2, and a server that ends connections as servers do.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::nginx::Nginx;
use crate::support::tls::{Authority, Identity};
use crate::support::{Run, Seen, in_every_mode};

const HOST: &str = "en.wikipedia.org";

/// What the lesson read of each page, in the order of the list.
const LESSON: [u64; 15] = [
    189658, 195629, 242087, 335213, 143121, 170746, 194867, 160215, 344283, 431421, 327230, 491525,
    183878, 62420, 322886,
];

/// nginx with the lesson's pages, each of the lesson's length.
fn encyclopedia(inside: &str) -> Nginx {
    let nginx = Nginx::start(&[HOST], inside);
    let list = fs::read_to_string("sites.txt").unwrap();
    let urls = list.lines().filter(|line| line.starts_with("https://"));
    let mut pages = 0;
    for (url, length) in urls.zip(LESSON) {
        let path = url.strip_prefix(&format!("https://{HOST}/")).unwrap();
        let file = nginx.pages().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text(length)).unwrap();
        pages += 1;
    }
    assert_eq!(pages, LESSON.len());
    nginx
}

/// So much text that compresses well.
fn text(length: u64) -> Vec<u8> {
    b"the quick brown fox jumps over the lazy dog\n"
        .iter()
        .copied()
        .cycle()
        .take(length as usize)
        .collect()
}

/// nginx with one page of 1000 bytes.
fn one_page(inside: &str) -> Nginx {
    let nginx = Nginx::start(&[HOST], inside);
    fs::write(nginx.pages().join("page"), text(1000)).unwrap();
    nginx
}

/// A run that takes nginx for the encyclopedia.
fn reading(nginx: &Nginx, mode: &str) -> Run {
    Run::json(mode)
        .arg("--cacert")
        .arg(nginx.authority())
        .args(["--connect-to", &format!("{HOST}:443:{}", nginx.secure)])
}

/// A list of the one page, so many times.
fn pages(base: &str, number: usize) -> String {
    (0..number).map(|number| format!("{base}/page?{number}\n")).collect()
}

fn field<'a>(rows: &'a [Value], name: &str) -> Vec<&'a Value> {
    rows.iter().map(|row| &row[name]).collect()
}

/// All rows are ok, whole and tried once.
fn all_ok(seen: &Seen, number: usize) {
    let rows = seen.rows();
    assert_eq!((seen.code, rows.len()), (Some(0), number), "{}", seen.stderr);
    for row in rows {
        let seen = (&row["outcome"], &row["bytes"], &row["attempts"]);
        assert_eq!(seen, (&"ok".into(), &1000.into(), &1.into()), "{row}");
    }
}

#[test]
#[ignore = "needs nginx; run with --run-ignored all"]
fn the_lessons_list_is_read_to_the_byte_in_every_mode_and_version() {
    let nginx = encyclopedia("");
    in_every_mode(|mode| {
        for (args, version) in [(&[][..], "HTTP/2"), (&["--http1"], "HTTP/1.1")] {
            let seen = reading(&nginx, mode).args(args).arg("sites.txt").seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            let rows = seen.rows_in_list_order();
            assert_eq!(field(&rows, "bytes"), LESSON);
            assert_eq!(field(&rows, "http_version"), [version; 15]);
            assert_eq!(field(&rows, "attempts"), [1; 15]);
            assert_eq!(seen.summary()["bytes"], LESSON.iter().sum::<u64>());
        }
    });
}

#[test]
#[ignore = "needs nginx; run with --run-ignored all"]
fn every_mode_waits_out_the_latency_of_each_page() {
    let inside = "location /wiki/ { echo_sleep 0.2; echo_exec @page; }\nlocation @page { }";
    let nginx = encyclopedia(inside);
    for version in [&[][..], &["--http1"]] {
        for (mode, jobs) in [("sequential", "1"), ("threads", "5"), ("async", "5"), ("async", "15")]
        {
            let seen = reading(&nginx, mode).args(version).args(["-j", jobs, "sites.txt"]).seen();
            let rows = seen.rows_in_list_order();
            assert_eq!(field(&rows, "bytes"), LESSON, "{}", seen.stderr);
            let elapsed = &seen.summary()["elapsed"];
            eprintln!("{mode} -j {jobs} {version:?}: {elapsed} s");
        }
    }
}

#[test]
#[ignore = "needs nginx; run with --run-ignored all"]
fn nothing_is_asked_to_be_compressed_so_bytes_are_plain() {
    let inside =
        "gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any; gzip_http_version 1.0;";
    let nginx = encyclopedia(inside);
    in_every_mode(|mode| {
        let seen = reading(&nginx, mode).arg("sites.txt").seen();
        let rows = seen.rows_in_list_order();
        assert_eq!(field(&rows, "bytes"), LESSON);
        assert_eq!(field(&rows, "wire_bytes"), LESSON);
        // The server does compress for who asks for it, and what is counted is what crossed the wire.
        let run = reading(&nginx, mode).args(["-H", "Accept-Encoding: gzip", "sites.txt"]);
        let asked = run.seen().rows_in_list_order();
        assert!(
            asked.iter().zip(LESSON).all(|(row, length)| row["bytes"].as_u64() < Some(length / 10))
        );
    });
}

#[test]
#[ignore = "needs nginx; run with --run-ignored all"]
fn many_tasks_share_one_connection_of_http2() {
    let nginx = one_page("");
    let list = pages(&format!("https://{HOST}"), 500);
    let seen = reading(&nginx, "async").args(["-j", "32", "-"]).list(list).seen();
    all_ok(&seen, 500);
    assert_eq!(seen.rows()[0]["http_version"], "HTTP/2");
    assert_eq!(seen.summary()["resources"]["connections"], 1, "{}", seen.summary());
}

#[test]
#[ignore = "needs nginx; run with --run-ignored all"]
fn a_server_that_ends_each_connection_after_ten_requests_costs_no_attempt() {
    let nginx = one_page("keepalive_requests 10;");
    in_every_mode(|mode| {
        for jobs in ["1", "4", "16"] {
            for version in [&[][..], &["--http1"]] {
                let list = pages(&format!("https://{HOST}"), 200);
                let run = reading(&nginx, mode).args(version).args(["-j", jobs, "-"]);
                let seen = run.list(list).seen();
                all_ok(&seen, 200);
                eprintln!(
                    "-j {jobs} {version:?}: {} connections",
                    seen.summary()["resources"]["connections"]
                );
            }
            let list = pages(&format!("http://{}", nginx.plain), 200);
            all_ok(&Run::json(mode).args(["-j", jobs, "-"]).list(list).seen(), 200);
        }
    });
}

#[test]
#[ignore = "needs nginx; run with --run-ignored all"]
fn a_reload_in_the_middle_costs_no_row_and_no_attempt() {
    use std::io::{BufRead, BufReader};
    let nginx = one_page("");
    in_every_mode(|mode| {
        for version in [&[][..], &["--http1"]] {
            let list = pages(&format!("https://{HOST}"), 600);
            let run = reading(&nginx, mode).args(version).args(["-j", "4", "-"]);
            let mut child = run.list(list).start();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            let mut stdout = String::new();
            // Three times, each after a hundred rows.
            for _ in 0..3 {
                for _ in 0..100 {
                    out.read_line(&mut stdout).unwrap();
                }
                nginx.reload();
            }
            while out.read_line(&mut stdout).unwrap() > 0 {}
            let mut seen = Seen::from(child.wait_with_output().unwrap());
            seen.stdout = stdout;
            all_ok(&seen, 600);
            eprintln!("{version:?}: {} connections", seen.summary()["resources"]["connections"]);
        }
    });
}

/// Runs the command of the recipe, as the manual has it, for nginx in the place of the deployment. Its list has these paths.
fn smoke_test(nginx: &Nginx, paths: &[&str]) -> Seen {
    let chapter = fs::read_to_string("src/manual/recipes.md").unwrap();
    let (_, recipe) = chapter.split_once("## Smoke-test a deployment").unwrap();
    let (_, command) = recipe.split_once("```sh\n").unwrap();
    let (command, _) = command.split_once("```").unwrap();
    assert!(command.starts_with("fetch "), "{command}");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("fetch")).unwrap();
    let config = format!(
        "cacert = \"{}\"\nconnect-to = \"{HOST}:443:{}\"\n",
        nginx.authority().display(),
        nginx.secure
    );
    fs::write(folder.path().join("fetch/config.toml"), config).unwrap();
    let list: String = paths.iter().map(|path| format!("https://{HOST}{path}\n")).collect();
    if !paths.is_empty() {
        fs::write(folder.path().join("deployed.txt"), list).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_fetch")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let run = Run::of("sh").args(["-c", command]).env("PATH", path).inside(folder.path());
    let seen = run.env("XDG_CONFIG_HOME", folder.path()).seen();
    eprintln!("{paths:?}: {seen:?}");
    if !paths.is_empty() {
        let table = fs::read_to_string(folder.path().join("smoke.md")).unwrap();
        assert!(table.starts_with("Checked "), "{table}");
    }
    seen
}

#[test]
#[ignore = "needs nginx; run with --run-ignored all"]
fn the_smoke_test_of_the_manual_tells_a_good_deployment_from_others() {
    let inside =
        "location /slow { echo_sleep 60; echo late; }\nlocation /moved { return 302 /page; }";
    let nginx = one_page(inside);
    let good = smoke_test(&nginx, &["/page", "/page?again"]);
    assert_eq!(good.code, Some(0));
    assert!(good.stdout.starts_with("Checked 2 of 2 sites in "));
    let bad = smoke_test(&nginx, &["/page", "/gone", "/slow", "/moved"]);
    assert_eq!(bad.code, Some(1));
    for reason in ["HTTP 404 Not Found", "timed out after 2s (--max-time)", "too many redirects"] {
        assert!(bad.stderr.contains(reason), "{reason}");
    }
    assert_eq!(smoke_test(&nginx, &[]).code, Some(2), "there is no list");
    let authority = Authority::new();
    let identity = authority.identity_until(&[HOST], 10);
    let nginx = Nginx::with_identity(authority, &identity, "");
    fs::write(nginx.pages().join("page"), "hello").unwrap();
    let expiring = smoke_test(&nginx, &["/page"]);
    assert_eq!(expiring.code, Some(1));
    assert!(expiring.stderr.contains("certificate expires on "));
    assert!(expiring.stderr.contains("(--min-cert-days 20)"));
}

#[test]
#[ignore = "needs nginx; run with --run-ignored all"]
fn a_client_certificate_is_what_nginx_wants_or_the_message_says_what_it_is_not() {
    let (clients, strangers) = (Authority::named("clients"), Authority::named("strangers"));
    let inside =
        format!("ssl_client_certificate {};\nssl_verify_client on;", clients.file().display());
    let nginx = one_page(&inside);
    let (good, expired) = (clients.identity(&["a"]), clients.expired_identity(&["a"]));
    let wrong = strangers.identity(&["a"]);
    let bad_request = |reason: &str| format!("HTTP 400 Bad Request: {reason}");
    let none = bad_request("the server requires a client certificate; use --cert FILE");
    let table: [(Option<&Identity>, &str); 4] = [
        (Some(&good), "null"),
        (None, &none),
        (Some(&expired), &bad_request("the client certificate expired on 2020-12-31")),
        (Some(&wrong), &bad_request("the server may not accept the client certificate")),
    ];
    in_every_mode(|mode| {
        for version in [&[][..], &["--http1"]] {
            for (shown, expected) in table {
                let mut run = reading(&nginx, mode).args(version);
                if let Some(identity) = shown {
                    run = run.arg("--cert").arg(&identity.certificate_file);
                    run = run.arg("--key").arg(&identity.key_file);
                }
                let seen =
                    run.args(["-j", "2", "-"]).list(pages(&format!("https://{HOST}"), 3)).seen();
                for row in seen.rows() {
                    let message = row["error"]["message"].as_str().unwrap_or("null");
                    assert_eq!(message, expected, "{row}");
                }
                assert_eq!(seen.rows().len(), 3);
            }
        }
    });
}
