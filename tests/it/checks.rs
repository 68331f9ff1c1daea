//! Looking without fetching, in every mode: `--head`, `--accept`, `--min-cert-days`, `--referer`.

use std::fs;

use serde_json::{Value, json};

use crate::support::tls::{Authority, TlsOrigin, whole};
use crate::support::{End, Origin, Reply, Request, Run, Seen, class_of, in_every_mode};

/// A reply to HEAD: a head without a body.
fn head(status: &str, fields: &str) -> Reply {
    Reply::raw(format!("HTTP/1.1 {status}\r\n{fields}\r\n"), End::KeepAlive)
}

/// The methods and paths of all requests.
fn asked(origin: &Origin) -> Vec<String> {
    let seen = origin.take_seen().into_iter();
    seen.map(|request| format!("{} {}", request.method, request.path)).collect()
}

fn ok(seen: &Seen) -> Value {
    let row = seen.row();
    assert_eq!((seen.code, &row["outcome"]), (Some(0), &"ok".into()), "{seen:?}");
    row
}

#[test]
fn the_head_of_a_reply_is_a_record_without_a_body() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| {
            head(
                "200 OK",
                "Content-Type: text/plain\r\nETag: \"v1\"\r\nContent-Length: 12345\r\n\
                 Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            )
        });
        let seen = Run::json(mode).args(["--head", &origin.url("/a")]).seen();
        let row = ok(&seen);
        for (key, value) in [
            ("http_status", json!(200)),
            ("content_type", json!("text/plain")),
            ("etag", json!("\"v1\"")),
            ("last_modified", json!("Sun, 06 Nov 1994 08:49:37 GMT")),
            ("head", json!("HEAD")),
            ("length", json!(12345)),
            ("bytes", json!(0)),
            ("wire_bytes", json!(0)),
            ("certificate_expires", Value::Null),
        ] {
            assert_eq!(row[key], value, "{key}");
        }
        assert_eq!((&seen.summary()["head"], &seen.summary()["bytes"]), (&json!(true), &json!(0)));
        assert_eq!(asked(&origin), ["HEAD /a"]);
        let seen = Run::new().args(["--mode", mode, "-I", &origin.url("/a")]).seen();
        let lines: Vec<_> = seen.stdout.lines().collect();
        let url = origin.url("/a");
        assert_eq!(lines[0], format!("Headers of {url}: 200, 12,345 bytes announced"));
        assert!(lines[1].starts_with("Checked 1 of 1 site in "), "{seen:?}");
        assert_eq!(seen.stderr, "");
    });
}

#[test]
fn a_server_that_refuses_head_is_asked_by_get_whose_body_is_not_read() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match (&*request.method, &*request.path) {
            ("HEAD", "/moved") => head("301 Moved", "Location: /plain\r\n"),
            ("HEAD", "/other") => head("501 Not Implemented", "Content-Length: 5\r\n"),
            ("HEAD", _) => head("405 Method Not Allowed", "Content-Length: 5\r\n"),
            // More than is read of a body that nobody wants.
            _ => Reply::ok(vec![b'x'; 1 << 20]),
        });
        for (path, requests) in [
            ("/plain", &["HEAD /plain", "GET /plain"][..]),
            ("/other", &["HEAD /other", "GET /other"]),
            ("/moved", &["HEAD /moved", "HEAD /plain", "GET /plain"]),
        ] {
            let row = ok(&Run::json(mode).args(["--head", &origin.url(path)]).seen());
            let facts = ["head", "length", "bytes", "attempts"].map(|key| row[key].clone());
            assert_eq!(facts, [json!("GET"), json!(1 << 20), json!(0), json!(1)]);
            assert_eq!(asked(&origin), requests);
        }
        let refusing = Origin::new(|_| head("405 Method Not Allowed", "Content-Length: 0\r\n"));
        let seen = Run::json(mode).args(["--head", &refusing.url("/")]).seen();
        assert_eq!((seen.code, &*class_of(&seen.row())), (Some(1), "http_4xx"));
        assert_eq!(asked(&refusing), ["HEAD /", "GET /"]);
    });
}

#[test]
fn heads_obey_robots_redirects_retries_and_mirrors() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match (&*request.path, request.nth) {
            ("/robots.txt", _) => Reply::ok("User-agent: *\nDisallow: /private"),
            ("/busy", 0) => head("503 Service Unavailable", "Content-Length: 0\r\n"),
            ("/from", _) => head("302 Found", "Location: /to\r\nContent-Length: 0\r\n"),
            ("/gone", _) => head("404 Not Found", "Content-Length: 9\r\n"),
            _ => head("200 OK", "Content-Length: 7\r\n"),
        });
        let list = ["/private", "/busy", "/from"].map(|path| origin.url(path)).join("\n");
        let list = format!(
            "{list}\n{}\t{}\n{}\n",
            origin.url("/gone"),
            origin.url("/mirror"),
            origin.url("/gone")
        );
        let run =
            Run::json(mode).args(["--head", "--robots", "--retry-delay", "0s", "-j", "1", "-"]);
        let seen = run.list(list).seen();
        assert_eq!(seen.classes_in_list_order(), ["robots", "ok", "ok", "ok", "http_4xx"]);
        let rows = seen.rows_in_list_order();
        assert_eq!(rows[1]["attempts"], 2);
        assert_eq!(rows[2]["final_url"], origin.url("/to"));
        assert_eq!(rows[3]["served_by"], origin.url("/mirror"));
        let asked = asked(&origin);
        let gets: Vec<_> = asked.iter().filter(|asked| asked.starts_with("GET ")).collect();
        assert_eq!(gets, ["GET /robots.txt"]);
    });
}

#[test]
fn replies_to_head_that_are_not_as_they_should_be_spoil_no_other_reply() {
    let bodies = |request: &Request| match &*request.path {
        // A body that looks like a reply, where there must be none.
        "/with-body" => Reply::raw(
            "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nHTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n",
            End::KeepAlive,
        ),
        "/junk" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\njunk", End::KeepAlive),
        "/two-lengths" => head("200 OK", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        "/no-length" => head("200 OK", "Content-Length: five\r\n"),
        "/chunked" => head("200 OK", "Transfer-Encoding: chunked\r\n"),
        "/nothing" => head("204 No Content", ""),
        "/not-modified" => head("304 Not Modified", "Content-Length: 5\r\n"),
        _ => head("200 OK", "Content-Length: 8\r\n"),
    };
    let paths = [
        "/with-body",
        "/a",
        "/junk",
        "/b",
        "/two-lengths",
        "/c",
        "/no-length",
        "/d",
        "/chunked",
        "/e",
        "/nothing",
        "/f",
        "/not-modified",
        "/g",
    ];
    in_every_mode(|mode| {
        let origin = Origin::new(bodies);
        let list = paths.map(|path| origin.url(path)).join("\n");
        let seen = Run::json(mode).args(["--head", "-j", "1", "-"]).list(list).seen();
        let expected: Vec<_> =
            paths.map(|path| if path == "/not-modified" { "protocol" } else { "ok" }).to_vec();
        assert_eq!(seen.classes_in_list_order(), expected, "{seen:?}");
        let rows = seen.rows_in_list_order();
        let lengths: Vec<_> = rows.iter().map(|row| row["length"].as_u64()).collect();
        let plain = Some(8);
        let expected = [
            Some(40),
            plain,
            Some(4),
            plain,
            None,
            plain,
            None,
            plain,
            None,
            plain,
            None,
            plain,
            Some(5),
            plain,
        ];
        assert_eq!(lengths, expected);
        assert!(rows.iter().all(|row| row["attempts"] == 1), "{rows:?}");
    });
}

#[test]
fn heads_are_in_every_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let origin = Origin::new(|_| head("200 OK", "Content-Length: 2048\r\n"));
    let mut run = Run::new().args(["--head", "--format", "csv"]);
    for name in ["run.har", "run.md", "run.html", "run.jsonl"] {
        run = run.arg("--report").arg(path(name));
    }
    let seen = run.arg(origin.url("/")).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let mut lines = seen.stdout.lines();
    assert!(lines.next().unwrap().contains(",listed,head,length,certificate_expires,"));
    assert!(lines.next().unwrap().contains(",HEAD,2048,,"));
    let text = |name: &str| fs::read_to_string(path(name)).unwrap();
    let har: Value = serde_json::from_str(&text("run.har")).unwrap();
    assert_eq!(har["log"]["entries"][0]["request"]["method"], "HEAD");
    assert!(text("run.md").starts_with("Checked 1 of 1 site in "));
    assert!(text("run.md").contains("| # | Outcome | Status | Announced |"));
    assert!(text("run.md").contains("| 1 | ok | 200 | 2048 |"));
    assert!(text("run.html").contains("</html>"));
    let again = Run::new().arg("report").arg(path("run.jsonl")).seen();
    assert_eq!(again.stdout, text("run.md"));
}

#[test]
fn heads_cannot_be_saved_or_verified() {
    for (option, value) in [
        ("--dir", "d"),
        ("--output", "f"),
        ("--split", "4"),
        ("--digest", "md5"),
        ("--checksum", "md5=00000000000000000000000000000000"),
        ("--sha256sums", "s"),
    ] {
        let seen = Run::new().args(["--head", option, value, "http://127.0.0.1:1/"]).seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(
            seen.stderr.contains("'--head'") && seen.stderr.contains(option),
            "{}",
            seen.stderr
        );
        assert!(seen.stderr.contains("cannot be used with"), "{}", seen.stderr);
    }
}

#[test]
fn an_announced_length_that_is_too_large_is_a_failure() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| head("200 OK", "Content-Length: 2048\r\n"));
        let run = |most: &str| {
            let args = ["--head", "--max-filesize", most, &origin.url("/")];
            class_of(&Run::json(mode).args(args).seen().row())
        };
        assert_eq!([run("2k"), run("2047")], ["ok", "too_large"]);
    });
}

#[test]
fn a_comparison_of_heads_is_made() {
    let origin = Origin::new(|_| head("200 OK", "Content-Length: 2048\r\n"));
    let run = Run::new().args(["compare", "--head", "--runs", "3", "--warmup", "0", "-j", "1"]);
    let seen = run.arg(origin.url("/")).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let asked = asked(&origin);
    assert_eq!(asked.len(), 12);
    assert!(asked.iter().all(|asked| asked == "HEAD /"), "{asked:?}");
}

/// An origin whose paths are the statuses that it replies with.
fn statuses() -> Origin {
    Origin::new(|request| {
        let status = request.path.trim_start_matches('/');
        let fields = match status {
            "302" => "Location: /200\r\n",
            "503" => "Retry-After: 3600\r\n",
            _ => "",
        };
        Reply::of(&format!("{status} Status"), fields, "hello")
    })
}

#[test]
fn accepted_statuses_are_ok_and_no_others_are() {
    in_every_mode(|mode| {
        let origin = statuses();
        let list = |paths: &[&str]| {
            let urls: Vec<_> = paths.iter().map(|path| origin.url(path)).collect();
            urls.join("\n")
        };
        let run =
            |accept: &str| Run::json(mode).args(["--accept", accept, "--retry-delay", "0s", "-"]);
        let paths = ["/200", "/203", "/404", "/503", "/302", "/410", "/429"];
        let seen = run("200,404,500-503,302,429").list(list(&paths)).seen();
        let classes = seen.classes_in_list_order();
        assert_eq!(classes, ["ok", "http_2xx", "ok", "ok", "ok", "http_4xx", "ok"], "{seen:?}");
        let rows = seen.rows_in_list_order();
        for accepted in [0, 2, 3, 4, 6] {
            let row = &rows[accepted];
            let facts = ["bytes", "wire_bytes", "attempts"].map(|key| row[key].as_u64());
            assert_eq!(facts, [Some(5), Some(5), Some(1)], "{row}");
        }
        assert_eq!(
            rows[1]["error"]["message"],
            "HTTP 203 Non Authoritative Information is not accepted (--accept)"
        );
        assert_eq!(
            origin.requests(),
            paths.len(),
            "no accepted status is tried again, no redirect followed"
        );
        // A redirect that is not accepted is followed.
        let seen = run("404").list(list(&["/302", "/404"])).seen();
        assert_eq!(seen.classes_in_list_order(), ["http_2xx", "ok"], "{seen:?}");
        let args = ["--mode", mode, "--accept", "404", &origin.url("/404")];
        let text = Run::new().args(args).seen().stdout;
        let line = format!("Read 5 from {} (HTTP 404)", origin.url("/404"));
        assert_eq!(text.lines().next(), Some(&*line));
        let seen = run("200-404").arg("--head").list(list(&["/404"])).seen();
        assert_eq!(seen.classes_in_list_order(), ["ok"], "{seen:?}");
    });
}

#[test]
fn an_accepted_status_replaces_and_creates_no_file() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new(|request| match request.nth {
            0 => Reply::ok("hello"),
            _ => Reply::of("404 Not Found", "", "gone"),
        });
        let run = |options: &[&str]| {
            let run = Run::json(mode).arg("--dir").arg(folder.path()).args(options);
            run.args(["--accept", "200,404", &origin.url("/page")]).seen()
        };
        assert_eq!(ok(&run(&[]))["path"], "page");
        for option in ["--refresh", "--force"] {
            let row = ok(&run(&[option]));
            let facts = ["http_status", "bytes", "path"].map(|key| row[key].clone());
            assert_eq!(facts, [json!(404), json!(4), Value::Null]);
            assert_eq!(fs::read(folder.path().join("page")).unwrap(), b"hello");
        }
        let row = ok(&{
            let run = Run::json(mode).arg("--dir").arg(folder.path()).args(["--accept", "404"]);
            let _ = Run::new().arg(origin.url("/other")).seen();
            run.arg(origin.url("/other")).seen()
        });
        assert_eq!(row["path"], Value::Null);
        assert!(!folder.path().join("other").exists());
    });
}

#[test]
fn a_class_of_statuses_is_accepted_and_a_redirect_that_is_not_followed_says_where_it_leads() {
    in_every_mode(|mode| {
        let origin = statuses();
        let run = |path: &str| {
            let args = ["--head", "--max-redirs", "0", "--accept", "2xx, 404", &origin.url(path)];
            Run::json(mode).args(args).seen()
        };
        for path in ["/202", "/404"] {
            ok(&run(path));
        }
        let row = run("/302").row();
        let leads = format!("the last one, 302, leads to {}", origin.url("/200"));
        let message = format!("too many redirects (limit 0); {leads}");
        assert_eq!((&*class_of(&row), &row["error"]["message"]), ("redirect", &json!(message)));
    });
}

#[test]
fn statuses_that_are_none_are_an_error() {
    for wrong in ["600", "99", "abc", "503-500", "200-", "1xx", "200,,404"] {
        let seen = Run::new().args(["--accept", wrong, "http://127.0.0.1:1/"]).seen();
        assert_eq!(seen.code, Some(2), "{wrong}: {seen:?}");
        assert!(seen.stderr.contains("for '--accept <STATUS,...>': "), "{}", seen.stderr);
    }
}

#[test]
fn a_certificate_that_expires_too_soon_is_a_failure() {
    let authority = Authority::new();
    let identity = authority.identity_until(&["site.test"], 30);
    in_every_mode(|mode| {
        let origin = TlsOrigin::new(&identity, |_| whole("hello"));
        let run = |days: &str| {
            let run = Run::json(mode).arg("--cacert").arg(authority.file());
            let run = run.args(origin.stands_for("site.test")).args(["--min-cert-days", days]);
            run.arg("https://site.test/").seen()
        };
        let expires = ok(&run("20"))["certificate_expires"].as_str().unwrap().to_owned();
        let date = expires.split('T').next().unwrap().to_owned();
        let row = run("40").row();
        assert_eq!((&*class_of(&row), &row["http_status"]), ("tls", &json!(200)), "{row}");
        let message = row["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("certificate expires on {date}, in ")), "{message}");
        assert!(message.ends_with(" days (--min-cert-days 40)"), "{message}");
        assert_eq!(row["certificate_expires"], *expires);
    });
}

#[test]
fn plain_http_has_no_certificate_that_could_expire_which_is_said() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/from" => Reply::redirect(302, "/to"),
            _ => Reply::ok("hello"),
        });
        let run = |words: &[&str]| Run::json(mode).args(words).arg(origin.url("/from")).seen();
        let seen = run(&["--min-cert-days", "20"]);
        ok(&seen);
        let warning = "warning: 1 reply over http has no certificate to check (--min-cert-days)\n";
        assert_eq!(seen.stderr, warning);
        assert_eq!(run(&[]).stderr, "");
    });
}

#[test]
fn a_referer_goes_to_listed_origins_without_what_is_secret() {
    in_every_mode(|mode| {
        let other = Origin::new(|_| Reply::ok("hello"));
        let there = other.url("/");
        let origin = Origin::new(move |_| Reply::redirect(302, &there));
        let run =
            Run::json(mode).args(["-e", "https://u:hunter2@a.test/x?q#part", &origin.url("/")]);
        let seen = run.seen();
        ok(&seen);
        assert_eq!(origin.seen()[0].header("referer"), Some("https://a.test/x?q"));
        assert_eq!(other.seen()[0].header("referer"), None);
        assert!(!seen.stdout.contains("hunter2"), "{}", seen.stdout);
    });
    for (arguments, expected) in [
        (&["-e", ";auto"][..], "';auto' is not supported"),
        (&["-e", "a.test"], "expected a URL"),
        (
            &["-e", "http://a.test/", "-H", "Referer: b"],
            "Referer set by both --referer and --header",
        ),
    ] {
        let seen = Run::new().args(arguments).arg("http://127.0.0.1:1/").seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.contains(expected), "{}", seen.stderr);
    }
}
