//! `--netrc` and `--netrc-file`: the same files as curl reads.

use super::*;

#[path = "../../../src/credentials/netrc_cases.rs"]
mod cases;

use cases::{CASES, CurlResult, REFUSED};

/// The user and password that each request brought.
fn users(origin: &Origin) -> Vec<Option<String>> {
    let decode = |value: &str| {
        let text = value.strip_prefix("Basic ").unwrap();
        String::from_utf8(BASE64.decode(text.as_bytes()).unwrap()).unwrap()
    };
    origin.take_seen().iter().map(|one| one.header("authorization").map(decode)).collect()
}

/// What curl sends for a file and a URL, seen at the server.
fn with_curl(file: &Path, url: &str, origin: &Origin) -> CurlResult {
    let port = origin.address().port();
    let mut curl = Command::new("curl");
    curl.args(["-q", "-sS", "--netrc-optional", "--resolve", &format!("*:{port}:127.0.0.1"), url]);
    curl.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", "C.UTF-8");
    let output = curl.arg("--netrc-file").arg(file).output().expect("curl can be started");
    match users(origin).as_slice() {
        [] if !output.status.success() => CurlResult::Fails,
        [user] => CurlResult::Sends(user.clone().map(|user| &*user.leak())),
        other => panic!("{url}: {other:?} {output:?}"),
    }
}

#[test]
#[ignore = "needs curl; run with --run-ignored all"]
fn a_netrc_file_gives_what_it_gives_curl_or_there_is_a_reason() {
    let origin = hello();
    let port = origin.address().port();
    let resolve = format!("*:{port}:127.0.0.1");
    let mut different = Vec::new();
    for case in CASES {
        let files = Files::new().with("netrc", case.file);
        let url = format!("{}:{port}/", case.url);
        let run = Run::json("async").args(["--resolve", &resolve, &url]);
        let seen = run.arg("--netrc-file").arg(files.path("netrc")).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(users(&origin), [case.sent.map(str::to_owned)], "{url} {:?}", case.file);
        let expected = case.curl.map_or(CurlResult::Sends(case.sent), |(result, _)| result);
        let curl = with_curl(&files.path("netrc"), &url, &origin);
        if curl != expected {
            different.push(format!("{url} {:?}: curl {curl:?}", case.file));
        }
    }
    for (file, line, expected, _) in REFUSED {
        let files = Files::new().with("netrc", file);
        let url = format!("http://a.test:{port}/");
        let seen = Run::new().arg("--netrc-file").arg(files.path("netrc")).arg(&url).seen();
        let place = format!("error: {}:{line}: ", files.path("netrc").display());
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.starts_with(&place), "{seen:?}");
        let curl = with_curl(&files.path("netrc"), &url, &origin);
        if curl != *expected {
            different.push(format!("{file:?}: curl {curl:?}"));
        }
    }
    assert!(different.is_empty(), "{different:#?}");
}

#[test]
fn a_file_gives_each_listed_host_its_own_user_in_every_mode() {
    let files = Files::new().with(
        "netrc",
        "machine a.test login a password \"p q\" # x\nmachine ::1 login six password 6\n\
         machine b.test\n  login b\n  password b\n",
    );
    in_every_mode(|mode| {
        let origin = hello();
        let port = origin.address().port();
        let hosts = ["a.test", "b.test", "B.TEST", "c.test", "x.a.test", "b@b.test", "c@b.test"];
        let list: String = hosts.map(|host| format!("http://{host}:{port}/{host}\n")).concat();
        let run = Run::json(mode).args(["-j", "1", "--resolve", &format!("*:{port}:127.0.0.1")]);
        let seen = run.arg("--netrc-file").arg(files.path("netrc")).arg("-").list(list).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let mut by_path: Vec<_> = origin.seen();
        by_path.sort_by(|one, other| one.path.cmp(&other.path));
        let expected = [
            ("/B.TEST", Some(basic("b:b"))),
            ("/a.test", Some(basic("a:p q"))),
            ("/b.test", Some(basic("b:b"))),
            ("/b@b.test", Some(basic("b:b"))),
            ("/c.test", None),
            ("/c@b.test", Some(basic("c:"))),
            ("/x.a.test", None),
        ];
        for (request, (path, user)) in by_path.iter().zip(&expected) {
            assert_eq!((&*request.path, request.header("authorization")), (*path, user.as_deref()));
        }
        assert_eq!(by_path.len(), expected.len());
    });
    let origin = Origin::at((std::net::Ipv6Addr::LOCALHOST, 0).into(), |_| Reply::ok("hello"));
    let run = Run::new().arg("--netrc-file").arg(files.path("netrc"));
    assert_eq!(run.arg(origin.url("/")).seen().code, Some(0));
    assert_eq!(sent(&origin.seen()), [Some(&*basic("six:6"))]);
}

#[test]
fn the_usual_file_is_that_of_the_variable_or_of_the_home_and_may_be_missing() {
    let files = Files::new()
        .with(".netrc", "default login home password h")
        .with("other", "default login other password o");
    let origin = hello();
    let url = origin.url("/");
    let run = |words: &[&str]| Run::new().args(words).arg(&url).env("HOME", files.0.path());
    assert_eq!(
        run(&["-n"]).seen().stderr,
        "note: bodies were read and discarded; use --dir DIR to save them\n"
    );
    assert_eq!(run(&["--netrc"]).env("NETRC", files.path("other")).seen().code, Some(0));
    assert_eq!(run(&[]).env("FETCH_NETRC", "1").seen().code, Some(0));
    assert_eq!(run(&[]).env("FETCH_NETRC_FILE", files.path("other")).seen().code, Some(0));
    let named = files.path("other").display().to_string();
    assert_eq!(run(&["-n", "--netrc-file", &named]).seen().code, Some(0));
    let sent = users(&origin);
    let sent: Vec<_> = sent.iter().map(|user| user.as_deref().unwrap()).collect();
    assert_eq!(sent, ["home:h", "other:o", "home:h", "other:o", "other:o"]);

    let missing = files.path("missing").display().to_string();
    let seen = run(&["-n"]).env("NETRC", &missing).seen();
    assert_eq!(seen.code, Some(0), "curl goes on as well: {seen:?}");
    assert!(
        seen.stderr.contains(&format!("warning: --netrc: {missing}: no such file")),
        "{seen:?}"
    );
    assert_eq!(users(&origin), [None]);
    let seen = run(&["--netrc-file", &missing]).seen();
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""));
    assert_eq!(seen.stderr, format!("error: cannot read {missing}: No such file or directory\n"));
}

#[test]
fn a_file_or_an_entry_without_effect_is_a_warning() {
    let origin = hello();
    for (text, expected) in [
        ("", ": no entry in this file (expected machine HOST login USER password WORD)"),
        ("127.0.0.1:hidden:hidden\n", ": no entry in this file (expected machine HOST"),
        ("{ \"login\" : \"hidden\" }\n", ": no entry in this file (expected machine HOST"),
        ("\nmachine 127.0.0.1:80 login hidden\n", ":2: this machine fits no host (expected a name"),
        ("machine http://127.0.0.1 login hidden\n", ":1: this machine fits no host"),
        (
            "machine 127.0.0.1 login hidden passwd hidden\n",
            ":1: ignoring an unknown word (expected machine, default, login or password; quote",
        ),
    ] {
        let files = Files::new().with("netrc", text);
        let path = files.path("netrc");
        let seen = Run::new().arg("--netrc-file").arg(&path).arg(origin.url("/")).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let warning = format!("warning: {}{expected}", path.display());
        assert_eq!(seen.stderr.matches("warning: ").count(), 1, "{text}: {seen:?}");
        assert!(seen.stderr.contains(&warning) && !seen.stderr.contains("hidden"), "{seen:?}");
    }
}

#[test]
fn a_file_that_others_can_read_or_with_unknown_words_is_used_with_a_warning() {
    let files = Files::new().with("netrc", "machine 127.0.0.1\nlogin u password hidden phrase\n");
    let path = files.path("netrc");
    let origin = hello();
    let run = || Run::new().arg("--netrc-file").arg(&path).arg(origin.url("/")).seen();
    for (mode, warns) in [(0o600, false), (0o620, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let seen = run();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let warning = format!("warning: {}: other users can read", path.display());
        assert_eq!(seen.stderr.contains(&warning), warns, "{mode:o}: {seen:?}");
        let ignored = format!("warning: {}:2: ignoring an unknown word", path.display());
        assert!(seen.stderr.contains(&ignored), "{seen:?}");
        assert!(!seen.stderr.contains("hidden") && !seen.stderr.contains("phrase"), "{seen:?}");
    }
    assert_eq!(users(&origin), vec![Some("u:hidden".to_owned()); 4]);
}
