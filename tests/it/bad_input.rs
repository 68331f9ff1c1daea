//! What is typed or listed wrongly: a sentence that says what to write instead, or a row with its line number.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Origin, Reply, Run, in_every_mode};

/// A list file of its own.
fn file(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.txt");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn hello() -> Origin {
    Origin::new(|_| Reply::ok("hello"))
}

fn message(row: &Value) -> &str {
    row["error"]["message"].as_str().unwrap_or_else(|| panic!("no error: {row}"))
}

/// Line, outcome and class of each row, in list order.
fn outcomes(rows: &[Value]) -> Vec<(u64, &str, &str)> {
    let line = |row: &Value| row["line"].as_u64().expect("it was listed");
    let of = |row: &'_ Value, name: &str| row[name].as_str().unwrap_or("").to_owned();
    rows.iter()
        .map(|row| {
            let class = row["error"]["class"].as_str().unwrap_or("");
            assert_eq!(of(row, "type"), "result");
            (line(row), row["outcome"].as_str().unwrap(), class)
        })
        .collect()
}

#[test]
fn a_value_out_of_range_is_refused_with_option_value_and_advice() {
    let whole = |least: &str, most: &str| format!("expected an integer between {least} and {most}");
    let (jobs, thousand) = (whole("1", "10000"), whole("0", "1000"));
    let duration = "invalid duration (expected e.g. 500ms, 10s, 2m, 1h)";
    let table: &[(&str, &[&str], &str)] = &[
        ("--mode", &["fast", ""], "possible values: sequential, threads, async, processes"),
        ("--jobs", &["0", "10001", "-1", "1.5", "many", "99999999999999999999"], &jobs),
        ("--loops", &["0", "10001", "-1", "many"], &jobs),
        ("--max-redirs", &["-1", "1001", "x"], &thousand),
        ("--retry", &["-1", "1001", "x"], &thousand),
        ("--retry-delay", &["61s", "2m"], "must be at most 60s"),
        ("--retry-delay", &["-1", "x", "1d"], duration),
        ("--max-retry-after", &["-1", "x"], duration),
        ("--max-retry-after", &["9999h"], "must be at most 8784h"),
        ("--connect-timeout", &["-1", "x", "nan", "inf", "1e3"], duration),
        ("--connect-timeout", &["0", "0ms", "0.0h"], "must be greater than zero"),
        ("--stall-timeout", &["0"], "must be greater than zero"),
        ("--max-time", &["0"], "must be greater than zero"),
        ("--deadline", &["0"], "must be greater than zero"),
        ("--deadline", &["99999999999999999999h"], "must be at most 8784h"),
        ("--format", &["xml"], "possible values: text, jsonl, csv"),
        ("--resolve", &["a.b", "a.b:80", "a.b:x:127.0.0.1", "a.b:80:c.d"], "invalid value"),
        ("--connect-to", &["a.b", "a.b:80:", "a.b:0:c.d:"], "invalid value"),
    ];
    for (option, values, advice) in table {
        for value in *values {
            let seen = Run::new().args([option, value, "http://127.0.0.1:9/"]).seen();
            let case = format!("{option} {value}: {}", seen.stderr);
            assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{case}");
            assert!(seen.stderr.contains(option), "{case}");
            assert!(seen.stderr.contains(&format!("'{value}'")) || value.is_empty(), "{case}");
            assert!(seen.stderr.contains(advice), "{case}");
            assert!(!seen.stderr.contains("panicked"), "{case}");
        }
    }
}

#[test]
fn an_origin_that_cannot_be_is_refused_with_option_value_and_advice() {
    let table = [
        ("--port", "65536", "expected an integer between 0 and 65535"),
        ("--bind", "example.org", "expected an IP address"),
        ("--latency", "x", "expected e.g. 500ms"),
        ("--jitter", "-1", "expected e.g. 500ms"),
        ("--limit-rate", "0", "must be greater than zero"),
        ("--limit-rate", "99999999T", "at most"),
        ("--error-rate", "101%", "between 0% and 100%"),
        ("--rate", "20", "expected e.g. 20/s"),
        ("--max-connections", "0", "expected an integer between 1 and 100000"),
        ("--seed", "-1", "expected an integer between 0 and 18446744073709551615"),
    ];
    for (option, value, advice) in table {
        let seen = Run::new().args(["serve", option, value]).seen();
        let case = format!("{option} {value}: {}", seen.stderr);
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{case}");
        for part in [option, &format!("'{value}'"), advice] {
            assert!(seen.stderr.contains(part), "{case}");
        }
    }
}

#[test]
fn a_value_that_may_be_a_secret_is_not_repeated() {
    let table: [(&[&str], &str); 7] = [
        (&["--header", "Authorization Bearer hunter2"], "--header"),
        (&["--header", "Host: hunter2"], "--connect-to"),
        (&["--header", "X: a\u{1}hunter2"], "--header"),
        (&["--proxy", "http://bob:hunter2@a.b:99999"], "--proxy"),
        (&["--proxy", "ftp://bob:hunter2@a.b"], "--proxy"),
        (&["--resolve", "http://bob:hunter2@a.b"], "--resolve"),
        (&["--connect-to", "a.b:80:http://bob:hunter2@a.b:1"], "--connect-to"),
    ];
    for (words, option) in table {
        let seen = Run::new().args(words).arg("http://127.0.0.1:9/").seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{words:?}: {seen:?}");
        assert!(seen.stderr.contains(option), "{words:?}: {seen:?}");
        assert!(!seen.stderr.contains("hunter2"), "{words:?}: {seen:?}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let table: [(&[&str], [&str; 2]); 6] = [
        (&["--json", "--format", "text"], ["--json", "--format"]),
        (&["--quiet", "--verbose"], ["--quiet", "--verbose"]),
        (&["-4", "-6"], ["--ipv4", "--ipv6"]),
        (&["-m", "threads", "--loops", "2"], ["--loops", "--mode async"]),
        (&["-A", "a", "-H", "User-Agent: b"], ["--user-agent", "--header"]),
        (&["-", "-"], ["stdin (-)", "only be given once"]),
    ];
    for (words, parts) in table {
        let seen = Run::new().args(words).arg("http://127.0.0.1:9/").seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{words:?}: {seen:?}");
        assert!(parts.iter().all(|part| seen.stderr.contains(part)), "{words:?}: {seen:?}");
    }
}

#[test]
fn a_certificate_file_that_is_of_no_use_ends_the_run_before_it_begins() {
    in_every_mode(|mode| {
        let origin = hello();
        let (folder, path) = file("no certificate");
        let missing = folder.path().join("missing.pem");
        for (path, reason) in [(path, "no PEM certificate found"), (missing, "No such file")] {
            let run = Run::json(mode).arg("--cacert").arg(&path).arg(origin.url("/"));
            let seen = run.seen();
            assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
            assert!(seen.stderr.contains("--cacert"), "{seen:?}");
            assert!(seen.stderr.contains(&*path.to_string_lossy()), "{seen:?}");
            assert!(seen.stderr.contains(reason), "{seen:?}");
        }
        assert_eq!(origin.connections(), 0);
    });
}

#[test]
fn a_list_that_cannot_be_opened_ends_the_run_before_it_begins() {
    in_every_mode(|mode| {
        let origin = hello();
        let (folder, secret) = file(origin.url("/"));
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
        let missing = folder.path().join("missing.txt");
        let mut table =
            vec![(missing, "no such file"), (folder.path().to_owned(), "is a directory")];
        // Root may read everything.
        if fs::File::open(&secret).is_err() {
            table.push((secret, "Permission denied"));
        }
        for (path, reason) in table {
            let seen = Run::json(mode).arg(origin.url("/")).arg(&path).seen();
            assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
            assert!(seen.stderr.contains(&*path.to_string_lossy()), "{seen:?}");
            assert!(seen.stderr.contains(reason), "{seen:?}");
        }
        assert_eq!(origin.connections(), 0);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_list_that_breaks_while_it_is_read_ends_the_run_after_what_was_read() {
    in_every_mode(|mode| {
        let origin = hello();
        // It can be opened, but not read from its start: nothing is mapped there.
        let broken = "/proc/self/mem";
        let run = Run::json(mode).arg(origin.url("/1")).arg(broken).arg(origin.url("/2"));
        let seen = run.seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert_eq!(seen.row()["outcome"], "ok");
        assert_eq!(seen.summary()["list_complete"], false);
        assert!(seen.stderr.contains("cannot read /proc/self/mem"), "{seen:?}");
    });
}

#[test]
fn an_empty_list_is_no_failure_but_is_told() {
    in_every_mode(|mode| {
        for list in ["", "\n \n# nothing\n", "\u{feff}", "\r\n"] {
            let seen = Run::json(mode).list(list).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            assert!(seen.stderr.contains("no URLs in the input"), "{seen:?}");
            assert_eq!(seen.rows().len(), 0);
            assert_eq!(seen.summary()["targets"], 0);
        }
        let seen = Run::json(mode).arg("--quiet").list("").seen();
        assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
    });
}

#[test]
fn a_file_that_is_no_list_is_one_row_that_says_so() {
    in_every_mode(|mode| {
        let origin = hello();
        let url = origin.url("/");
        let binary = [b"\x7fELF\x02\x01\x01\0\0\0\n", url.as_bytes(), b"\n"].concat();
        for (bytes, reason) in [(binary, "binary file"), (b"\xff\xfeh\0t\0".to_vec(), "UTF-16")] {
            let (_folder, path) = file(bytes);
            let seen = Run::json(mode).arg(&path).seen();
            assert_eq!(seen.code, Some(2), "{seen:?}");
            assert_eq!(outcomes(&[seen.row()]), [(1, "invalid", "invalid_url")]);
            assert!(message(&seen.row()).contains(reason), "{seen:?}");
        }
        assert_eq!(origin.connections(), 0);
    });
}

#[test]
fn each_bad_line_is_a_row_with_its_number_and_the_good_ones_are_fetched() {
    in_every_mode(|mode| {
        let origin = hello();
        let [a, b] = ["/a", "/b"].map(|path| origin.url(path));
        let long = format!("http://a.b/{}", "x".repeat(1 << 20));
        let lines: Vec<Vec<u8>> = vec![
            a.clone().into(),
            b"ftp://a.b/x".into(),
            b"htp://a.b".into(),
            b"example.org/x".into(),
            b"http://a b.c/".into(),
            b"http://a.b:99999/".into(),
            b"http://".into(),
            b"http://[::1/".into(),
            b"http://a.b/\xff\xfe".into(),
            long.into(),
            format!("{a} {b}").into(),
            b"http://a.b/\x07".into(),
            b.clone().into(),
        ];
        let seen = Run::json(mode).list(lines.join(&b'\n')).seen();
        assert_eq!(seen.code, Some(1), "{}", seen.stderr);
        let rows = seen.rows_in_list_order();
        let expected: Vec<_> = (1..=13)
            .map(|line| match line {
                1 | 13 => (line, "ok", ""),
                _ => (line, "invalid", "invalid_url"),
            })
            .collect();
        assert_eq!(outcomes(&rows), expected);
        for (row, part) in rows[1..].iter().zip([
            "unsupported scheme 'ftp'",
            "unsupported scheme 'htp'",
            "did you mean https://example.org/x?",
            "space in host name",
            "invalid port (expected 1-65535)",
            "missing host",
            "invalid host",
            "convert the list to UTF-8",
            "exceeds 64 KiB",
            "two URLs",
            "control character",
        ]) {
            assert!(message(row).contains(part), "{row}");
        }
        assert!(seen.stdout.len() < 16 * 1024, "the long line is not repeated in full");
        assert_eq!(seen.summary()["invalid"], 11);
        assert_eq!(origin.seen().len(), 2);
    });
}

#[test]
fn an_argument_that_is_no_web_address_is_a_row_too() {
    in_every_mode(|mode| {
        let origin = hello();
        let seen = Run::json(mode).args(["ftp://a.b/", &origin.url("/"), "http://a b/"]).seen();
        assert_eq!(seen.code, Some(1));
        let rows = seen.rows_in_list_order();
        let outcomes: Vec<_> = rows.iter().map(|row| row["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["invalid", "ok", "invalid"]);
        assert_eq!((&rows[0]["source"], &rows[0]["line"]), (&"argument".into(), &Value::Null));
    });
}

#[test]
fn a_bad_option_line_spoils_its_url_and_no_other() {
    in_every_mode(|mode| {
        let origin = hello();
        let url = |path| origin.url(path);
        let list = [
            "  header=X-Early: 1".to_owned(),
            url("/1"),
            "  outt=x".to_owned(),
            url("/2"),
            "  header=X-Two: yes".to_owned(),
            url("/3"),
            "\tchecksum=md5=00".to_owned(),
            "  header=Authorization hunter2".to_owned(),
        ]
        .join("\n");
        let seen = Run::json(mode).arg("-v").list(list).seen();
        assert_eq!(seen.code, Some(1));
        let rows = seen.rows_in_list_order();
        let invalid = |line| (line, "invalid", "invalid_url");
        assert_eq!(outcomes(&rows), [invalid(1), invalid(3), (4, "ok", ""), invalid(7)]);
        assert!(message(&rows[0]).contains("before any URL"), "{}", rows[0]);
        assert!(message(&rows[1]).starts_with("unknown option 'outt'"), "{}", rows[1]);
        let requests = origin.seen();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].header("x-two"), Some("yes"));
        assert!(!seen.stdout.contains("hunter2") && !seen.stderr.contains("hunter2"));
    });
}

#[test]
fn a_list_from_another_system_is_read_as_it_is_meant() {
    in_every_mode(|mode| {
        let origin = hello();
        let [a, b] = ["/a", "/b"].map(|path| origin.url(path));
        let list = format!("\u{feff}# from elsewhere\r\n{a}\r\n  header=X-A: 1\r\n\r\n  \r\n{b}");
        let seen = Run::json(mode).list(list).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(outcomes(&seen.rows_in_list_order()), [(2, "ok", ""), (6, "ok", "")]);
        let requests = origin.seen();
        let of_a = requests.iter().find(|request| request.path == "/a").unwrap();
        assert_eq!(of_a.header("x-a"), Some("1"));
    });
}

#[test]
fn without_a_source_a_pipe_is_the_list() {
    in_every_mode(|mode| {
        let origin = hello();
        let seen = Run::json(mode).list(origin.url("/a")).seen();
        assert_eq!((seen.code, &seen.row()["source"]), (Some(0), &"-".into()));
        let seen = Run::json(mode).arg("-").list(origin.url("/b")).seen();
        assert_eq!((seen.code, &seen.row()["source"]), (Some(0), &"-".into()));
    });
}

#[test]
fn an_international_host_goes_out_as_punycode() {
    in_every_mode(|mode| {
        let origin = hello();
        let port = origin.address().port();
        let host = format!("xn--bcher-kva.example:{port}");
        let url = format!("http://BÜCHER.example:{port}/ä");
        let pin = format!("bücher.example:{port}:127.0.0.1");
        let seen = Run::json(mode).args(["--resolve", &pin, &url]).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(seen.row()["url"], format!("http://{host}/%C3%A4"));

        let pin = format!("bücher.example:80:127.0.0.1:{port}");
        let seen = Run::json(mode).args(["--connect-to", &pin, "http://bücher.example/"]).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let hosts: Vec<_> = origin
            .seen()
            .iter()
            .map(|request| request.header("host").unwrap().to_owned())
            .collect();
        assert_eq!(hosts, [host.as_str(), "xn--bcher-kva.example"]);
    });
}

#[test]
fn a_host_that_no_certificate_can_be_for_fails_at_once() {
    in_every_mode(|mode| {
        let origin = hello();
        let port = origin.address().port();
        for host in ["x".repeat(64), "a..b".to_owned()] {
            // Neither name could be looked up.
            let pin = format!("{host}:{port}:127.0.0.1");
            let url = format!("https://{host}:{port}/");
            let row = Run::json(mode).args(["--resolve", &pin, &url]).seen().row();
            assert_eq!(
                (&row["error"]["class"], &row["attempts"]),
                (&"tls".into(), &1.into()),
                "{row}"
            );
        }
    });
}

#[test]
fn the_password_of_a_url_is_sent_and_never_shown() {
    // In every form that might slip through: as written, decoded, and as sent.
    const SECRETS: [&str; 3] = ["hunter%40two", "hunter@two", "Ym9iOmh1bnRlckB0d28="];
    in_every_mode(|mode| {
        for format in ["text", "jsonl", "csv"] {
            let origin = Origin::new(|request| match (request.path.as_str(), request.nth) {
                ("/moved", _) => Reply::redirect(301, "/ok"),
                ("/away", _) => Reply::redirect(302, "http://bob:hunter%40two@127.0.0.1:1/"),
                ("/retried", 0) => Reply::of("503 Busy", "Retry-After: 0\r\n", "busy"),
                ("/gone", _) => Reply::of("404 Gone", "", "gone"),
                _ => Reply::ok("hello"),
            });
            let base = format!("http://bob:hunter%40two@{}", origin.address());
            let mut list: String = ["/ok", "/moved", "/away", "/retried", "/gone"]
                .map(|path| format!("{base}{path}\n"))
                .concat();
            list += "http://bob:hunter%40two@127.0.0.1:1/\nhttp://bob:hunter%40two@a.b:99999/\n";
            list += &format!("{base}/spoilt\n  outt=hunter%40two\n");
            list += &format!("{base}/ok\tftp://bob:hunter%40two@a.b/\n");
            let run = Run::new().args(["-v", "--retry", "1", "--retry-delay", "0", "--mode", mode]);
            let run = run.args(["--host-patience", "100ms"]);
            let seen = run.args(["--format", format]).list(list).seen();
            assert_eq!(seen.code, Some(1), "{seen:?}");
            for secret in SECRETS {
                let shown = [&seen.stdout, &seen.stderr].map(|text| text.contains(secret));
                assert_eq!(shown, [false; 2], "{secret}: {seen:?}");
            }
            let rows = seen.stdout.lines().count();
            assert!(rows >= 9, "{seen:?}");
            let requests = origin.seen();
            assert!(requests.iter().any(|request| request.path == "/retried" && request.nth == 1));
            for request in requests {
                let sent = request.header("authorization");
                assert_eq!(sent, Some("Basic Ym9iOmh1bnRlckB0d28="), "{request:?}");
            }
        }
    });
}

#[test]
fn what_signs_a_url_is_sent_and_kept_for_a_later_run_and_not_shown() {
    const SECRET: &str = "hunter2";
    let query = "id=7&X-Amz-Signature=hunter2&TOKEN=hunter2";
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match (request.path.split('?').next(), request.nth) {
            (Some("/moved"), _) => Reply::redirect(301, "/ok?sig=hunter2"),
            (Some("/badly"), _) => Reply::redirect(302, "ftp://a.b/?sig=hunter2"),
            (Some("/retried"), 0) => Reply::of("503 Busy", "Retry-After: 0\r\n", "busy"),
            (Some("/gone"), _) => Reply::of("404 Gone", "", "gone"),
            _ => Reply::ok("hello"),
        });
        let list: String = ["/ok", "/moved", "/badly", "/retried", "/gone", "/ok"]
            .map(|path| origin.url(&format!("{path}?{query}\n")))
            .concat();
        let list = format!("{list}htp://a.b/?key=hunter2\nhttp://a.b:99999/?auth=hunter2\n");
        let folder = tempfile::tempdir().unwrap();
        let run = |options: &[&str]| {
            let run = Run::new().args(["--retry", "1", "--retry-delay", "0", "--mode", mode]);
            run.args(options).inside(folder.path()).list(&list).seen()
        };
        let pages = ["--report", "run.html", "--report", "run.md"];
        let data = ["--report", "run.csv", "--report", "run.har", "--failed", "failed.txt"];
        let seen = run(&[&["-vv", "--report", "run.jsonl"], &pages[..], &data].concat());
        assert_eq!(seen.code, Some(1), "{seen:?}");
        let file = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let dry = run(&["--dry-run"]).stdout;
        let files = ["run.html", "run.md", "run.jsonl", "run.csv", "run.har"].map(file);
        for shown in [&seen.stdout, &seen.stderr, &dry].into_iter().chain(&files) {
            assert!(!shown.contains(SECRET), "{shown}");
            assert!(
                shown.contains("?id=7&X-Amz-Signature=***&TOKEN=***")
                    || shown.contains("\\u0026TOKEN=***"),
                "{shown}"
            );
        }
        for word in ["Read 5 from", "Failed", "Invalid"] {
            assert!(seen.stdout.contains(word), "{seen:?}");
        }
        for word in ["> GET", "Retrying", "Redirected"] {
            assert!(seen.stderr.contains(word), "{seen:?}");
        }
        assert!(file("failed.txt").contains(query), "failed.txt");
        let later = Run::new().args(["report", "run.jsonl"]).inside(folder.path()).seen();
        assert!(later.stdout.contains("TOKEN=***") && !later.stdout.contains(SECRET), "{later:?}");
        assert!(origin.seen().iter().any(|request| request.path.contains(query)));
    });
}

#[test]
fn the_password_of_the_url_goes_before_a_given_authorization() {
    in_every_mode(|mode| {
        let origin = hello();
        let url = format!("http://bob:hunter2@{}/", origin.address());
        let list = format!("{url}\n  header=Authorization: Bearer token\n");
        assert_eq!(Run::json(mode).list(list).seen().code, Some(0));
        let seen = Run::json(mode).args(["-H", "authorization: Basic x", &url]).seen();
        assert_eq!(seen.code, Some(0));
        let sent: Vec<_> = origin
            .seen()
            .iter()
            .map(|request| request.header("authorization").map(str::to_owned))
            .collect();
        assert_eq!(sent, vec![Some("Basic Ym9iOmh1bnRlcjI=".to_owned()); 2]);
    });
}

#[test]
fn a_proxy_is_told_the_url_without_its_password_and_its_own_password_is_not_shown() {
    in_every_mode(|mode| {
        for format in ["text", "jsonl", "csv"] {
            let proxy = Origin::new(|request| match request.header("proxy-authorization") {
                Some("Basic YWxpY2U6cGFzc3dvcmQ=") => Reply::ok("hello"),
                _ => Reply::of("407 Proxy Authentication Required", "", ""),
            });
            let through = |password: &str| {
                let at = format!("http://alice:{password}@{}", proxy.address());
                let run = Run::new().args(["-v", "--mode", mode, "--format", format, "-x", &at]);
                run.arg("http://bob:hunter2@a.test/x").seen()
            };
            for (password, code) in [("password", 0), ("wrongword", 1)] {
                let seen = through(password);
                assert_eq!(seen.code, Some(code), "{seen:?}");
                for secret in [password, "hunter2", "YWxpY2U6", "Ym9iOmh1bnRlcjI="] {
                    let shown = [&seen.stdout, &seen.stderr].map(|text| text.contains(secret));
                    assert_eq!(shown, [false; 2], "{secret}: {seen:?}");
                }
            }
            for request in proxy.seen() {
                assert_eq!(request.path, "http://a.test/x");
                assert_eq!(request.header("host"), Some("a.test"));
                assert_eq!(request.header("authorization"), Some("Basic Ym9iOmh1bnRlcjI="));
            }
        }
    });
}

#[test]
fn a_word_that_is_no_file_is_answered_with_what_was_meant() {
    for (words, meant) in [
        (["compair"].as_slice(), "compair: no such file; did you mean 'fetch compare'?"),
        (&["Verify", "x"], "Verify: no such file; did you mean 'fetch verify'?"),
        (&["version"], "version: no such file; did you mean 'fetch --version'?"),
        (&["man"], "man: no such file; did you mean 'fetch help --man'?"),
        (&["helpp"], "helpp: no such file; did you mean 'fetch help'?"),
        (&["--dry-run", "servre"], "servre: no such file; did you mean 'fetch serve'?"),
        (&["plain.txt"], "plain.txt: no such file; to fetch a URL, include https://"),
        (&["example.org"], "example.org: no such file; did you mean https://example.org?"),
        (&["//a.test/x"], "//a.test/x: no such file; did you mean https://a.test/x?"),
        (&["http//a.test/x"], "http//a.test/x: no such file; did you mean http://a.test/x?"),
        (&["mailto:a@b.test"], "mailto:a@b.test: no such file; to fetch a URL, include https://"),
        (
            &["me:secret@a.test/a"],
            "me:***@a.test/a: no such file; to fetch a URL, include https://",
        ),
        (
            &["a.test/?sig=x"],
            "a.test/?sig=***: no such file; did you mean https://a.test/?sig=***?",
        ),
        (&["links.txt"], "links.txt: no such file; to fetch a URL, include https://"),
    ] {
        let seen = Run::new().args(words).seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert_eq!(seen.stderr, format!("error: {meant}\n"));
    }
}

#[test]
fn an_option_that_does_not_exist_is_answered_with_what_to_use() {
    let tip = |option: &str, tip: &str| {
        format!(
            "error: unexpected argument '{option}' found\n\n  tip: {tip}\n\n\
             For more information, try '--help'.\n"
        )
    };
    for (words, expected) in [
        (
            ["-O"].as_slice(),
            tip("-O", "-O is --dir DIR here: every body gets a file of its own name"),
        ),
        (&["-sw"], tip("-w", "use --host-delay (wget), or --json for what curl writes out")),
        (
            &["--max-connection-per-server=5"],
            tip(
                "--max-connection-per-server",
                "use --per-host (files) or --split (parts of a file)",
            ),
        ),
        (&["--insecur"], tip("--insecur", "see --help")),
        (&["--versoin"], tip("--versoin", "a similar argument exists: '--version'")),
        (&["compair", "--runs", "3"], tip("--runs", "did you mean 'fetch compare'?")),
        (&["serve", "--lat"], tip("--lat", "a similar argument exists: '--latency'")),
    ] {
        let seen = Run::new().args(words).arg("http://127.0.0.1:9/").seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert_eq!(seen.stderr, expected, "{words:?}");
    }
    let seen = Run::new().args(["-5", "http://127.0.0.1:9/"]).seen();
    assert!(
        seen.stderr.starts_with("error: unexpected argument '-5' found\n\nUsage: "),
        "{seen:?}"
    );
}

#[test]
fn a_mistake_that_is_found_late_is_one_line_and_no_system_error_has_its_number() {
    let (folder, list) = file("http://127.0.0.1:9/\n");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let list = list.display().to_string();
    let (none, below) = (at("none"), at("list.txt/below"));
    let blocked = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = blocked.local_addr().unwrap().port().to_string();
    fs::create_dir(folder.path().join("bad")).unwrap();
    fs::write(folder.path().join("bad/.fetch"), "").unwrap();
    let table: [(&[&str], u8); 16] = [
        (&["--failed", &list, &list], 2),
        (&["--failed", &below, &list], 3),
        (&["--report", "/proc/x.html", &list], 3),
        (&["--report", &format!("{below}.html"), &list], 3),
        (&["--config", &none, &list], 2),
        (&["--config", folder.path().to_str().unwrap(), &list], 2),
        (&["--cacert", &none, &list], 2),
        (&["--sha256sums", &none, "--dir", &at("d"), &list], 2),
        (&["--dir", &below, &list], 3),
        (&["--digest", "sha257", &list], 2),
        (&["--failed", "x", "--failed-class", "none", &list], 2),
        (&["--mode", "threads", "--loops", "2", &list], 2),
        (&["-q", "-v", &list], 2),
        (&["report", &none], 2),
        (&["verify", &none], 2),
        (&["serve", "--port", &port], 3),
    ];
    for (words, code) in table {
        let seen = Run::new().args(words).seen();
        assert_eq!(seen.code, Some(code.into()), "{words:?}: {seen:?}");
        assert_eq!(seen.stderr.lines().count(), 1, "{words:?}: {seen:?}");
        assert!(seen.stderr.starts_with("error: "), "{words:?}: {seen:?}");
        assert!(!seen.stderr.contains("(os error"), "{words:?}: {seen:?}");
        assert!(!seen.stderr.contains(".fetch-report"), "{words:?}: {seen:?}");
    }
}
