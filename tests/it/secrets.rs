//! Secrets: that they are sent, and shown nowhere but where the manual says.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::folder::{There, all_in};
use crate::support::processes::children_of;
use crate::support::{Origin, Reply, Request, Run, Seen, holding, in_every_mode};

/// What every secret of the tests begins with.
const SECRET: &str = "hunter2";

/// A place where a run is given a secret.
struct Place {
    /// The secret.
    secret: &'static str,
    /// Options that hold it.
    options: &'static [&'static str],
    /// Variables of the environment that hold it. `ORIGIN` is the address of the origin.
    variables: &'static [(&'static str, &'static str)],
    /// Lines of the list that hold it, `ORIGIN` as above.
    lines: &'static str,
    /// Whether a server gets to see it, in its own spelling or in Base64.
    is_sent: bool,
}

const NOWHERE: Place = Place { secret: "", options: &[], variables: &[], lines: "", is_sent: true };

/// Every place, each with a secret of its own. Kinds that are added to the program are added here.
const PLACES: &[Place] = &[
    Place { secret: "hunter2-pw", lines: "http://me:hunter2-pw@ORIGIN/user", ..NOWHERE },
    Place { secret: "hunter2-name", lines: "http://hunter2-name@ORIGIN/alone", ..NOWHERE },
    Place {
        secret: "hunter2-amz",
        lines: "http://ORIGIN/s3?X-Amz-Credential=A&X-Amz-Date=1&X-Amz-Signature=hunter2-amz",
        ..NOWHERE
    },
    Place {
        secret: "hunter2-cred",
        lines: "http://ORIGIN/s4?X-Amz-Credential=hunter2-cred&X-Amz-Signature=x",
        ..NOWHERE
    },
    Place { secret: "hunter2-sig", lines: "http://ORIGIN/a.zip?se=1&sig=hunter2-sig", ..NOWHERE },
    Place { secret: "hunter2-key", lines: "http://ORIGIN/b?api_key=hunter2-key", ..NOWHERE },
    Place { secret: "hunter2-esc", lines: "http://ORIGIN/c?to%6Ben=hunter2-esc", ..NOWHERE },
    Place {
        secret: "hunter2-frag",
        lines: "http://ORIGIN/d#access_token=hunter2-frag",
        is_sent: false,
        ..NOWHERE
    },
    Place {
        secret: "hunter2-nested",
        lines: "http://ORIGIN/e?to=http%3A%2F%2Fx.test%2F%3Ftoken%3Dhunter2-nested",
        ..NOWHERE
    },
    Place {
        secret: "hunter2-mirror",
        lines: "http://ORIGIN/gone?key=hunter2-mirror\thttp://ORIGIN/f?key=hunter2-mirror2",
        ..NOWHERE
    },
    Place { secret: "hunter2-retry", lines: "http://ORIGIN/again?auth=hunter2-retry", ..NOWHERE },
    Place { secret: "hunter2-fail", lines: "http://ORIGIN/gone?password=hunter2-fail", ..NOWHERE },
    Place { secret: "hunter2-loc", lines: "http://ORIGIN/moved", ..NOWHERE },
    Place { secret: "hunter2-badloc", lines: "http://ORIGIN/nowhere", is_sent: false, ..NOWHERE },
    Place {
        secret: "hunter2-field",
        lines: "http://ORIGIN/g\n  header=X-Api-Key: hunter2-field",
        ..NOWHERE
    },
    Place { secret: "hunter2-header", options: &["-H", "X-Auth-Token: hunter2-header"], ..NOWHERE },
    Place { secret: "hunter2-user", options: &["--user", "me:hunter2-user"], ..NOWHERE },
    Place {
        secret: "hunter2-cookie",
        options: &["-b", "login=hunter2-cookie", "--cookie-jar", "jar.txt"],
        ..NOWHERE
    },
    Place {
        secret: "hunter2-variable",
        variables: &[("HTTPS_PROXY", "http://me:hunter2-variable@ORIGIN")],
        is_sent: false,
        ..NOWHERE
    },
    Place {
        secret: "hunter2-proxy",
        variables: &[("http_proxy", "http://me:hunter2-proxy@ORIGIN"), ("no_proxy", "127.0.0.1")],
        lines: "http://proxied.test/",
        ..NOWHERE
    },
    Place {
        secret: "hunter2-bad",
        lines: "htp://me:hunter2-bad@a.test/?sig=hunter2-bad2",
        is_sent: false,
        ..NOWHERE
    },
    Place {
        secret: "hunter2-option",
        lines: "http://ORIGIN/h\n  header: hunter2-option",
        is_sent: false,
        ..NOWHERE
    },
];

/// What a server answers that hands out secrets itself.
fn reply(request: &Request) -> Reply {
    let path = request.path.split('?').next().unwrap();
    match path {
        "/gone" => Reply::of("404 Not Found", "", ""),
        "/again" if request.nth == 0 => Reply::of("503 Busy", "Retry-After: 0\r\n", ""),
        "/moved" => Reply::redirect(302, "/landing?token=hunter2-loc"),
        "/nowhere" => Reply::redirect(302, "http://me:hunter2-badloc@:80/?sig=hunter2-badloc"),
        "/s3" => Reply::of("200 OK", "Set-Cookie: a=hunter2-set\r\n", "hello"),
        _ => Reply::ok("hello"),
    }
}

/// A run with a secret in every place.
fn run_with_secrets(mode: &str, origin: &Origin, folder: &Path, words: &[&str]) -> Run {
    let address = origin.address().to_string();
    let mut run =
        Run::new().inside(folder).args(["--mode", mode, "--retry-delay", "1ms"]).args(words);
    let mut list = String::new();
    for place in PLACES {
        run = run.args(place.options);
        for (name, value) in place.variables {
            run = run.env(name, value.replace("ORIGIN", &address));
        }
        list.push_str(&place.lines.replace("ORIGIN", &address));
        list.push('\n');
    }
    run.list(list)
}

/// Files that keep secrets, because a later run needs them.
const KEPT: [&str; 2] = ["failed.txt", "jar.txt"];

const REPORTS: [&str; 5] = ["r.html", "r.har", "r.csv", "r.jsonl", "r.md"];

fn report_words() -> Vec<&'static str> {
    REPORTS.iter().flat_map(|name| ["--report", *name]).collect()
}

fn ensure_no_secret(what: &str, text: &str) {
    if let Some(at) = text.find(SECRET) {
        let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
        panic!("a secret in {what}: {}", &text[start..end]);
    }
}

fn ensure_no_secret_was_printed(seen: &Seen) {
    ensure_no_secret("stdout", &seen.stdout);
    ensure_no_secret("stderr", &seen.stderr);
}

/// Looks at every name, and at every file that is not to keep secrets.
fn ensure_no_secret_was_kept(folder: &Path) -> BTreeMap<String, There> {
    let all = all_in(folder);
    for (name, there) in &all {
        ensure_no_secret("a name", name);
        if let There::File(bytes) = there
            && !KEPT.contains(&name.as_str())
        {
            ensure_no_secret(name, &String::from_utf8_lossy(bytes));
        }
    }
    all
}

/// A secret that no server has seen has not been given in the right place.
fn ensure_every_secret_was_sent(requests: &[Request]) {
    let encode = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
    for Place { secret, is_sent, .. } in PLACES.iter().filter(|place| place.is_sent) {
        let spellings =
            [(*secret).to_owned(), encode(&format!("me:{secret}")), encode(&format!("{secret}:"))];
        let has = |text: &str| spellings.iter().any(|spelling| text.contains(spelling));
        let was_sent = requests.iter().any(|request| {
            has(&request.path) || request.headers.iter().any(|(_, value)| has(value))
        });
        assert_eq!(was_sent, *is_sent, "{secret} was not sent");
    }
}

#[test]
fn no_secret_is_shown_or_kept_but_where_the_manual_says() {
    in_every_mode(|mode| {
        for words in [
            &["-vv", "--dir", "saved", "--failed", "failed.txt"][..],
            &["-vv", "--dir", "saved", "--json", "--names", "tree"],
            &["--format", "csv", "-v"],
            &["--dry-run", "--dir", "saved"],
            &["--dry-run", "--json"],
        ] {
            let (origin, folder) = (Origin::new(reply), tempfile::tempdir().unwrap());
            let is_dry = words.contains(&"--dry-run");
            let reports = if is_dry { Vec::new() } else { report_words() };
            let run = run_with_secrets(mode, &origin, folder.path(), words).args(reports);
            let seen = run.seen();
            assert_eq!(seen.code, Some(1), "{seen:?}");
            ensure_no_secret_was_printed(&seen);
            let all = ensure_no_secret_was_kept(folder.path());
            if is_dry {
                continue;
            }
            assert!(seen.stdout.contains("***"), "{seen:?}");
            ensure_every_secret_was_sent(&origin.seen());
            assert!(REPORTS.iter().all(|name| all.contains_key(*name)));
            if words.contains(&"--dir") {
                let seen = Run::new().inside(folder.path()).args(["verify", "-v", "saved"]).seen();
                ensure_no_secret_was_printed(&seen);
            }
            if words.contains(&"--failed") {
                let failed = folder.path().join("failed.txt");
                assert_eq!(fs::metadata(&failed).unwrap().permissions().mode() & 0o777, 0o600);
                let text = fs::read_to_string(&failed).unwrap();
                assert!(text.contains("/gone?password=hunter2-fail\n"), "{text}");
            }
        }
    });
}

#[test]
fn children_have_no_secret_in_their_arguments_or_their_environment() {
    let (origin, arrived, open) = holding(|request| request.path.starts_with("/user"));
    let folder = tempfile::tempdir().unwrap();
    let live = run_with_secrets("processes", &origin, folder.path(), &["--jobs", "2"]).live();
    arrived.pass();
    let children = children_of(live.id());
    assert!(!children.is_empty());
    for child in children {
        for what in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{child}/{what}")).unwrap();
            ensure_no_secret(what, &String::from_utf8_lossy(&bytes));
        }
    }
    open.pass();
    live.seen();
}

#[test]
fn an_argument_that_is_no_url_is_shown_without_its_secrets() {
    let origin = Origin::new(reply);
    for argument in [
        "me:hunter2@a.test/x",
        "me:hunter2@a.test/?token=hunter2",
        "a.test/?sig=hunter2",
        "htp://me:hunter2@a.test/",
        "http:/me:hunter2@a.test/?key=hunter2",
        "--proxy=http://me:hunter2@:80",
        "--proxy=me:hunter2@p.test:x",
        "--proxy=ftp://me:hunter2@p.test",
        "--header=hunter2",
    ] {
        for words in [&[][..], &["--json"], &["--dry-run"], &["report"]] {
            let seen = Run::new().args(words).args([argument, &origin.url("/")]).seen();
            assert_ne!(seen.code, Some(0), "{seen:?}");
            ensure_no_secret_was_printed(&seen);
        }
    }
}

#[test]
fn secrets_are_shown_on_demand_and_masked_in_what_was_saved() {
    in_every_mode(|mode| {
        let (origin, folder) = (Origin::new(reply), tempfile::tempdir().unwrap());
        let address = origin.address();
        let list = format!(
            "http://me:hunter2@{address}/a?sig=hunter2&x=1\nhtp://me:hunter2@a.test/\n\
             http://{address}/moved\n"
        );
        let run =
            |words: &[&str]| Run::json(mode).inside(folder.path()).args(words).list(&list).seen();
        let whole = format!("http://me:hunter2@{address}/a?sig=hunter2&x=1");
        let seen = run(&["--no-redact", "-vv", "--dir", "saved"]);
        let rows = seen.rows_in_list_order();
        assert_eq!(
            (&rows[0]["url"], &rows[0]["listed"]),
            (&whole.as_str().into(), &whole.as_str().into())
        );
        assert_eq!(rows[1]["url"], "htp://me:hunter2@a.test/");
        assert_eq!(rows[2]["final_url"], format!("http://{address}/landing?token=hunter2-loc"));
        assert!(seen.stderr.contains("> GET /a?sig=hunter2&x=1\n"), "{}", seen.stderr);
        ensure_no_secret_was_kept(folder.path());

        fs::write(folder.path().join("run.jsonl"), &seen.stdout).unwrap();
        let report = |words: &[&str]| {
            let words =
                [&["report", "--to", "r.csv", "--to", "r.html", "run.jsonl"], words].concat();
            let seen = Run::new().inside(folder.path()).args(words).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            ["r.csv", "r.html"].map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
        };
        for text in report(&[]) {
            ensure_no_secret("a report", &text);
            assert!(text.contains("***"), "{text}");
        }
        assert!(report(&["--no-redact"]).iter().all(|text| text.contains(SECRET)));
        let mode = fs::metadata(folder.path().join("r.csv")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only its owner may read it");
    });
}

#[test]
fn an_object_is_found_again_when_its_url_is_signed_anew() {
    in_every_mode(|mode| {
        let (origin, folder) = (Origin::new(|_| Reply::ok("hello")), tempfile::tempdir().unwrap());
        let signed = |date: u32, signature: &str| {
            let query = format!("X-Amz-Credential=A&X-Amz-Date={date}&X-Amz-Signature={signature}");
            origin.url(&format!("/a.zip?{query}"))
        };
        let run = |urls: &[String]| {
            let dir = folder.path().join("saved");
            let seen = Run::json(mode).arg("--dir").arg(dir).args(urls).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            seen.rows_in_list_order()
        };
        let first = run(&[signed(1, "x")]);
        let again = run(&[signed(2, "y")]);
        assert_eq!(
            (&again[0]["outcome"], &again[0]["path"]),
            (&"skipped".into(), &first[0]["path"])
        );
        assert_eq!(origin.requests(), 1);
        // In one list, each is asked for: the one that was signed first may have expired.
        let both = run(&[
            signed(2, "y"),
            signed(3, "z"),
            origin.url("/a.zip?key=1"),
            origin.url("/a.zip?key=2"),
        ]);
        assert_eq!(both[0]["outcome"], "skipped");
        let mut names: Vec<_> = both.iter().map(|row| row["path"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(origin.requests(), 4);
    });
}
