//! Cookies: what a redirect sets, what is given, what is kept; and curl with the same cases.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::tls::{Authority, Then, TlsOrigin};
use crate::support::{
    Gate, Origin, Reply, Request, Run, class_of, holding, in_every_mode, program,
};

const SECRET: &str = "hunter2";

/// A redirect that sets a cookie.
fn redirect(to: &str, cookie: &str) -> Reply {
    Reply::of("302 Found", &format!("Location: {to}\r\nSet-Cookie: {cookie}\r\n"), "moved")
}

fn cookie(request: &Request) -> &str {
    request.header("cookie").unwrap_or_default()
}

/// The name and path that a request is for: `host/path`.
fn place(request: &Request) -> String {
    let host = request.header("host").unwrap();
    format!("{}{}", host.split(':').next().unwrap(), request.path)
}

/// A shop whose files are behind a login: the host of the files sends to that of the login, which sends back with a
/// ticket, for which there is a session at all hosts of the shop.
fn shop() -> Origin {
    Origin::new(|request| {
        let port = request.header("host").unwrap().split(':').nth(1).unwrap();
        let at = |rest: &str| {
            let (host, path) = rest.split_once('/').unwrap();
            format!("http://{host}:{port}/{path}")
        };
        let place = place(request);
        let (path, query) = place.split_once('?').unwrap_or((&place, ""));
        let has = |wanted: &str| cookie(request).split("; ").any(|cookie| cookie == wanted);
        match path {
            "files.shop.test/report" | "files.shop.test/other" if has("session=hunter2") => {
                Reply::redirect(302, &at("cdn.shop.test/report"))
            }
            "files.shop.test/report" | "files.shop.test/other" => {
                Reply::redirect(302, &at("login.sso.test/start"))
            }
            "login.sso.test/start" => redirect("/check", "sso=hunter2; HttpOnly; Max-Age=600"),
            "login.sso.test/check" if has("sso=hunter2") => {
                Reply::redirect(302, &at("files.shop.test/back?ticket=7"))
            }
            "files.shop.test/back" if query == "ticket=7" => redirect(
                &at("files.shop.test/report"),
                "session=hunter2; Domain=shop.test; Path=/; HttpOnly",
            ),
            "cdn.shop.test/report" if has("session=hunter2") => Reply::ok("the report"),
            _ => Reply::of("403 Forbidden", "", "no"),
        }
    })
}

/// The arguments that send the requests for every name to this server.
fn everywhere(port: u16) -> [String; 2] {
    ["--resolve".to_owned(), format!("*:{port}:127.0.0.1")]
}

fn names_of(origin: &Origin) -> (String, [String; 2]) {
    let port = origin.address().port();
    (format!("http://files.shop.test:{port}"), everywhere(port))
}

#[test]
fn a_login_that_bounces_over_three_hosts_leads_to_the_file_and_is_forgotten() {
    in_every_mode(|mode| {
        let origin = shop();
        let (base, resolve) = names_of(&origin);
        let list = format!("{base}/report\n{base}/other\n");
        let seen = Run::json(mode).args(["-j", "1"]).args(resolve).list(list).seen();
        assert_eq!(seen.classes_in_list_order(), ["ok", "ok"], "{seen:?}");
        assert!(!format!("{seen:?}").contains(SECRET), "{seen:?}");
        let requests = origin.seen();
        assert_eq!(requests.len(), 12, "each target has to log in");
        for request in &requests {
            let of_sso = cookie(request).contains("sso=");
            let of_shop = cookie(request).contains("session=");
            assert!(!of_sso || place(request).starts_with("login.sso.test/"), "{request:?}");
            assert!(!of_shop || place(request).contains(".shop.test/"), "{request:?}");
        }
    });
}

#[test]
fn a_jar_keeps_the_login_over_the_run_and_for_the_next_one() {
    in_every_mode(|mode| {
        let (origin, folder) = (shop(), TempDir::new().unwrap());
        let (base, resolve) = names_of(&origin);
        let jar = folder.path().join("jar");
        let run = || Run::json(mode).args(["-j", "2"]).args(&resolve).arg("--cookie-jar").arg(&jar);
        let mut live = run().live();
        live.write(&format!("{base}/report\n"));
        assert_eq!(class_of(&live.row()), "ok");
        assert_eq!(origin.take_seen().len(), 6);
        live.write(&format!("{base}/other\n"));
        assert_eq!(class_of(&live.row()), "ok");
        assert_eq!(origin.take_seen().len(), 2, "the second target is logged in");
        let seen = live.seen();
        assert!(seen.code == Some(0) && !format!("{seen:?}").contains(SECRET), "{seen:?}");
        let text = fs::read_to_string(&jar).unwrap();
        assert!(text.starts_with("# Netscape HTTP Cookie File\n"), "{text}");
        assert!(text.contains("\n#HttpOnly_.shop.test\tTRUE\t/\tFALSE\t0\tsession\thunter2\n"));
        assert!(text.contains("\n#HttpOnly_login.sso.test\tFALSE\t/\tFALSE\t"), "{text}");
        assert_eq!(fs::metadata(&jar).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        assert_eq!(run().list(format!("{base}/other\n")).seen().classes_in_list_order(), ["ok"]);
        assert_eq!(origin.take_seen().len(), 2, "the next run is logged in");
        // The same file as --cookie, with or without the jar.
        let list = format!("{base}/report\n{base}/other\n");
        let again = Run::json(mode).args(&resolve).arg("-b").arg(&jar).list(&list);
        assert_eq!(again.seen().classes_in_list_order(), ["ok", "ok"]);
        assert_eq!(origin.take_seen().len(), 4);
    });
}

#[test]
fn a_redirect_to_itself_that_sets_a_cookie_ends_and_a_retry_begins_without_it() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match (request.path.as_str(), cookie(request)) {
            ("/gate", "seen=1; b=2") if request.nth == 1 => Reply::of("503 Busy", "", ""),
            ("/gate", "seen=1; b=2") => Reply::ok("here"),
            ("/gate", "") => Reply::of(
                "302 Found",
                "Location: /gate\r\nSet-Cookie: seen=1\r\nSet-Cookie: b=2; Max-Age=60\r\n",
                "",
            ),
            _ => Reply::of("400 Bad", "", ""),
        });
        let args = ["-j", "1", "--retry-delay", "1ms"];
        let seen = Run::json(mode).args(args).arg(origin.url("/gate")).seen();
        assert_eq!((class_of(&seen.row()).as_str(), origin.requests()), ("ok", 4), "{seen:?}");
        let sent: Vec<_> = origin.seen().iter().map(|request| cookie(request).to_owned()).collect();
        assert_eq!(sent, ["", "seen=1; b=2", "", "seen=1; b=2"]);
    });
}

#[test]
fn segments_are_sent_what_the_redirects_before_them_have_set() {
    in_every_mode(|mode| {
        const LENGTH: usize = 300_000;
        let origin = Origin::new(|request| match (request.path.as_str(), cookie(request)) {
            ("/file", _) => redirect("/real", "ticket=7; Path=/"),
            ("/real", "ticket=7") => {
                let body = vec![b'x'; LENGTH];
                let fields = "ETag: \"1\"\r\nAccept-Ranges: bytes\r\n";
                let Some(range) = request.header("range") else {
                    return Reply::of("200 OK", fields, body);
                };
                let (first, last) = range["bytes=".len()..].split_once('-').unwrap();
                let first: usize = first.parse().unwrap();
                let last = last.parse().unwrap_or(LENGTH - 1).min(LENGTH - 1);
                let fields = format!("{fields}Content-Range: bytes {first}-{last}/{LENGTH}\r\n");
                Reply::of("206 Partial Content", &fields, &body[first..=last])
            }
            _ => Reply::of("403 Forbidden", "", ""),
        });
        let folder = TempDir::new().unwrap();
        let args = ["--split", "3", "--min-split-size", "64k", "--dir"];
        let run = Run::json(mode).args(args).arg(folder.path()).arg(origin.url("/file"));
        let row = run.seen().row();
        assert_eq!((class_of(&row).as_str(), &row["bytes"]), ("ok", &LENGTH.into()), "{row}");
        assert!(origin.requests() > 3, "it was split");
    });
}

#[test]
fn cookies_that_are_given_are_sent_where_they_may_go_as_one_field() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match place(request).as_str() {
            "www.a.test/away" => {
                let port = request.header("host").unwrap().split(':').nth(1).unwrap();
                redirect(&format!("http://b.test:{port}/"), "own=1; Path=/")
            }
            "www.a.test/near" => redirect("/home", "own=1; Path=/"),
            _ => Reply::ok("home"),
        });
        let (port, folder) = (origin.address().port(), TempDir::new().unwrap());
        let file = folder.path().join("cookies.txt");
        let lines = [
            "# Netscape HTTP Cookie File",
            ".a.test\tTRUE\t/\tFALSE\t0\tfile\t1",
            ".a.test\tTRUE\t/\tFALSE\t0\ta\tof the file",
            "b.test\tFALSE\t/\tFALSE\t4102444800\tb\t1",
        ];
        fs::write(&file, lines.join("\n")).unwrap();
        let list = format!("http://www.a.test:{port}/away\nhttp://www.a.test:{port}/near\n");
        let args = ["-j", "1", "-b", "a=hunter2; c=2", "--load-cookies", file.to_str().unwrap()];
        let run = || Run::json(mode).args(args).args(everywhere(port));
        assert_eq!(run().list(&list).seen().code, Some(0));
        let sent = |requests: Vec<Request>| -> Vec<_> {
            for request in &requests {
                let fields = request.headers.iter().filter(|(name, _)| name == "cookie");
                assert!(fields.count() <= 1, "{request:?}");
            }
            requests.iter().map(|request| (place(request), cookie(request).to_owned())).collect()
        };
        let at = |place: &str, cookies: &str| (place.to_owned(), cookies.to_owned());
        let expected = [
            at("www.a.test/away", "file=1; a=hunter2; c=2"),
            at("b.test/", "b=1"),
            at("www.a.test/near", "file=1; a=hunter2; c=2"),
            at("www.a.test/home", "file=1; own=1; a=hunter2; c=2"),
        ];
        let requests = origin.take_seen();
        let (mut requests, mut expected) = (sent(requests), expected.to_vec());
        requests.sort();
        expected.sort();
        assert_eq!(requests, expected);
        // Several of them, beside a header; that of the list takes their place.
        let args = ["-b", "d=4", "-H", "Cookie: e=5"];
        let list = format!("http://b.test:{port}/\nhttp://b.test:{port}/x\n  header=Cookie: x=y\n");
        assert_eq!(run().args(args).list(list).seen().code, Some(0));
        let mut requests = sent(origin.take_seen());
        requests.sort();
        let all = "b=1; e=5; a=hunter2; c=2; d=4";
        assert_eq!(requests, [at("b.test/", all), at("b.test/x", "b=1; x=y")]);
    });
}

#[test]
fn a_redirect_whose_cookie_is_refused_and_that_leads_round_says_why() {
    in_every_mode(|mode| {
        for (set, reason) in [
            ("a=1; Secure; Domain=b.test", "it is Secure and the URL is not https"),
            ("a=1; Domain=other.test", "it is for another domain"),
            ("a=1; Domain=test", "it is for a public suffix"),
        ] {
            let origin = Origin::new(move |_| redirect("/", set));
            let port = origin.address().port();
            let args = [format!("http://b.test:{port}/"), "--max-redirs=2".to_owned()];
            let run = Run::json(mode).args(["-j", "1"]).args(args);
            let row = run.args(everywhere(port)).seen().row();
            let message = row["error"]["message"].as_str().unwrap();
            let expected = format!(
                "too many redirects (limit 2); the last one sets a cookie that is not kept: {reason}"
            );
            assert_eq!(message, expected);
            assert!(origin.seen().iter().all(|request| cookie(request).is_empty()));
        }
    });
}

#[test]
fn robots_txt_is_asked_for_without_cookies_and_sets_none() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/robots.txt" => Reply::of("200 OK", "Set-Cookie: spy=1\r\n", "User-agent: *\n"),
            _ => Reply::ok("page"),
        });
        let folder = TempDir::new().unwrap();
        let jar = folder.path().join("jar");
        fs::write(&jar, "127.0.0.1\tFALSE\t/\tFALSE\t0\ta\t1\n").unwrap();
        let run = Run::json(mode).args(["-j", "1", "--robots", "--cookie-jar"]).arg(&jar);
        assert_eq!(run.arg(origin.url("/page")).seen().code, Some(0));
        let requests = origin.seen();
        let sent: Vec<_> = requests.iter().map(|seen| (&*seen.path, cookie(seen))).collect();
        assert_eq!(sent, [("/robots.txt", ""), ("/page", "a=1")]);
        assert!(!fs::read_to_string(&jar).unwrap().contains("spy"));
    });
}

#[test]
fn a_jar_is_written_by_a_run_that_was_interrupted() {
    in_every_mode(|mode| {
        let (arrived, open) = (Gate::of(2), Gate::of(2));
        let (arrive, pass) = (arrived.clone(), open.clone());
        let origin = Origin::new(move |request| {
            if request.path == "/held" {
                arrive.pass();
                pass.pass();
            }
            Reply::of("200 OK", &format!("Set-Cookie: c{}=1\r\n", &request.path[1..]), "")
        });
        let folder = TempDir::new().unwrap();
        let jar = folder.path().join("jar");
        let run = Run::json(mode).patient().args(["-j", "1", "--cookie-jar"]).arg(&jar);
        let mut live = run.live();
        live.write(&["/set", "/held", "/never"].map(|path| origin.url(path) + "\n").concat());
        assert_eq!(class_of(&live.row()), "ok");
        arrived.pass();
        live.signal(Signal::SIGINT);
        live.says(": finishing 1 transfer");
        assert!(!jar.exists(), "it is written at the end");
        open.pass();
        assert_eq!(live.seen().code, Some(130));
        let text = fs::read_to_string(&jar).unwrap();
        assert!(text.contains("cset\t1") && text.contains("cheld\t1"), "{text}");
    });
}

#[test]
fn no_cookie_is_shown_anywhere_nor_among_the_words_of_a_child() {
    let (origin, arrived, open) = holding(|request| request.path == "/held");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("cookies.txt");
    fs::write(&file, format!("127.0.0.1\tFALSE\t/\tFALSE\t0\tfile\t{SECRET}\nbad {SECRET}\n"))
        .unwrap();
    let output = |name: &str| folder.path().join(name).display().to_string();
    let reports = ["r.html", "r.har", "r.jsonl", "r.csv", "r.md"].map(output);
    let run = Run::json("processes").args(["-vv", "-j", "1", "-b", &format!("a={SECRET}"), "-b"]);
    let run = run.arg(&file).args(["--failed", &output("failed"), "--dir", &output("dir")]);
    let run = reports.iter().fold(run, |run, report| run.args(["--report", report]));
    let live = run.arg(origin.url("/held")).live();
    arrived.pass();
    let [child] = crate::support::processes::children_of(live.id())[..] else { panic!() };
    for part in ["cmdline", "environ"] {
        let shown = fs::read(format!("/proc/{child}/{part}")).unwrap();
        assert!(!String::from_utf8_lossy(&shown).contains(SECRET), "{part}");
    }
    open.pass();
    let seen = live.seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert_eq!(origin.seen()[0].header("cookie"), Some("file=hunter2; a=hunter2"));
    assert!(seen.stderr.contains("> cookie: ***"), "{seen:?}");
    assert!(seen.stderr.contains("cookies.txt:2: not a cookie: 7 fields"), "{seen:?}");
    assert!(!format!("{seen:?}").contains(SECRET), "{seen:?}");
    fs::remove_file(&file).unwrap();
    let found = Command::new("grep").args(["-r", SECRET]).arg(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    // Nor by a dry run, whichever way they are given.
    fs::write(&file, "127.0.0.1\tFALSE\t/\tFALSE\t0\tfile\thunter2\n").unwrap();
    let run = Run::new().args(["--dry-run", "-b", &format!("a={SECRET}"), "--cookie"]).arg(&file);
    let seen = run.env("FETCH_HEADER", "Cookie: x=hunter2").arg(origin.url("/")).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(seen.stdout.contains("  cookie = [\"***\",\""), "{seen:?}");
    assert!(seen.stdout.contains("  header = [\"cookie: ***\"]"), "{seen:?}");
    assert!(!format!("{seen:?}").contains(SECRET), "{seen:?}");
    let run = Run::new().env("FETCH_COOKIE", "a=hunter2\u{1}").arg(origin.url("/"));
    let seen = run.seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(!format!("{seen:?}").contains(SECRET), "{seen:?}");
}

#[test]
fn a_file_that_cannot_be_used_ends_the_run_before_its_first_request() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = "a.b\tTRUE\t/\tFALSE\t0\ta\t1\n";
    let missing = folder.path().join("missing").display().to_string();
    let directory = folder.path().display().to_string();
    let list = file("sites.txt", "https://www.example.org/\n");
    let json = file("cookies.json", "[{\"domain\": \"a.b\"}]");
    let mixed = file("mixed", &format!("# mine\n{good}nonsense\n"));
    for (args, message) in [
        (["-b", &missing], "no such file (a cookie itself is NAME=VALUE)"),
        (["--cookie", &directory], "it is a directory"),
        (
            ["-b", &list],
            "sites.txt:1: not a cookie: 7 fields separated by tabs are expected, not 1",
        ),
        (["-b", &json], "cookies.json:1: it is JSON; export cookies in the format of cookies.txt"),
        (["-b", "-"], "cannot read cookies from -: they are not read from stdin"),
        (["-b", "Cookie: a=hunter2"], "expected NAME=VALUE without the name of the header"),
        (["-b", "set-cookie:a=hunter2"], "expected NAME=VALUE without the name of the header"),
        (["--cookie-jar", &mixed], "mixed:3: not a cookie: 7 fields"),
        (["--cookie-jar", &list], "sites.txt:1: not a cookie"),
        (["-c", &missing], "use --cookie-jar FILE; to continue files (-c of wget and aria2)"),
        (["--cookie-jar", "-"], "--cookie-jar cannot write to stdout"),
        (["--cookie-jar", &directory], "it is a directory"),
    ] {
        for dry in [&[][..], &["--dry-run"]] {
            let seen = Run::new().args(args).args(dry).arg(origin.url("/")).seen();
            assert_eq!(seen.code, Some(2), "{args:?}: {seen:?}");
            assert!(seen.stderr.contains(message), "{args:?}: {seen:?}");
        }
    }
    let seen = Run::new().args(["--cookie-jar", &list, &list]).seen();
    assert!(seen.stderr.contains("--cookie-jar would overwrite the input list"), "{seen:?}");
    let both = ["--cookie-jar", &missing, "--failed", &missing];
    let seen = Run::new().args(both).arg(origin.url("/")).seen();
    assert!(seen.stderr.contains("two outputs would write"), "{seen:?}");
    let nowhere = folder.path().join("none/jar").display().to_string();
    let no_directory = format!(
        "error: --cookie-jar: cannot write {nowhere}: there is no directory {}",
        folder.path().join("none").display()
    );
    let seen = Run::new().args(["--cookie-jar", &nowhere]).arg(origin.url("/")).seen();
    assert!(seen.stderr.starts_with(&no_directory), "{seen:?}");
    assert_eq!(origin.requests(), 0);
    assert_eq!(fs::read_to_string(&mixed).unwrap(), format!("# mine\n{good}nonsense\n"));
    // A file with some bad lines is used; the jar itself may be missing, also as --cookie, and an empty name is none.
    for (text, warning) in [
        ("", ": no cookie in this file"),
        ("# none\n", ": no cookie in this file"),
        (".com\tTRUE\t/\tFALSE\t0\ta\t1\n", ":1: the cookie is only for the host of this name"),
    ] {
        let some = file("some", text);
        let seen = Run::new().args(["-b", &some, "-b", "/dev/null"]).arg(origin.url("/")).seen();
        assert_eq!(seen.stderr.matches("warning: ").count(), 1, "{seen:?}");
        assert!(seen.stderr.contains(&format!("warning: {some}{warning}")), "{seen:?}");
    }
    let seen = Run::new().args(["-b", &mixed, "-b", ""]).arg(origin.url("/")).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(
        seen.stderr.contains("warning: ") && seen.stderr.contains("mixed:3: not a"),
        "{seen:?}"
    );
    let jar = ["-b", &missing, "--save-cookies", &missing];
    let seen = Run::new().args(jar).arg(origin.url("/")).seen();
    assert_eq!((seen.code, Path::new(&missing).exists()), (Some(0), true), "{seen:?}");
}

#[test]
fn a_jar_that_cannot_be_replaced_is_as_it_was_and_two_runs_leave_one_of_theirs_whole() {
    let (origin, arrived, open) = holding(|request| request.path == "/held");
    let folder = TempDir::new().unwrap();
    let jar = folder.path().join("jar");
    let before = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\told\t1\n";
    fs::write(&jar, before).unwrap();
    fs::set_permissions(&jar, fs::Permissions::from_mode(0o644)).unwrap();
    let live = Run::json("async").arg("--cookie-jar").arg(&jar).arg(origin.url("/held")).live();
    arrived.pass();
    let setting = Origin::new(|_| Reply::of("200 OK", "Set-Cookie: new=1\r\n", ""));
    let run = Run::json("async").arg("--cookie-jar").arg(&jar).arg(setting.url("/"));
    assert_eq!(run.seen().code, Some(0));
    let text = fs::read_to_string(&jar).unwrap();
    assert!(text.contains("\told\t1") && text.contains("\tnew\t1"), "{text}");
    // The one that ends last has read the file before.
    open.pass();
    assert_eq!(live.seen().code, Some(0));
    let text = fs::read_to_string(&jar).unwrap();
    assert!(text.contains("\told\t1") && !text.contains("\tnew\t1"), "{text}");
    assert_eq!(fs::metadata(&jar).unwrap().permissions().mode() & 0o777, 0o600);
    // Killed, a run leaves the file as it was.
    let (origin, arrived, _open) = holding(|request| request.path == "/held");
    let live = Run::json("async").arg("--cookie-jar").arg(&jar).arg(origin.url("/held")).live();
    arrived.pass();
    live.kill();
    assert_eq!(fs::read_to_string(&jar).unwrap(), text);
}

#[test]
fn a_configuration_file_names_a_file_of_cookies_beside_it() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = TempDir::new().unwrap();
    let line = "127.0.0.1\tFALSE\t/\tFALSE\t0\tfile\t1\n";
    fs::write(folder.path().join("cookies.txt"), line).unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, "cookie = [\"cookies.txt\", \"a=1\"]\n").unwrap();
    let seen = Run::new().arg("--config").arg(&config).arg(origin.url("/")).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert_eq!(origin.take_seen()[0].header("cookie"), Some("file=1; a=1"));
    let seen = Run::new().env("FETCH_COOKIE", "b=2").arg(origin.url("/")).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert_eq!(origin.seen()[0].header("cookie"), Some("b=2"));
}

/// The cases that the rules are tested with, and what curl does of them.
fn cases() -> Vec<Value> {
    let lines = include_str!("../../src/cookies/cases.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The Cookie fields of the requests of a run, over http and https.
struct Watched {
    plain: Origin,
    secure: TlsOrigin,
    seen: Arc<Mutex<Vec<String>>>,
    /// What the first request is answered with.
    fields: Arc<Mutex<String>>,
}

impl Watched {
    fn new() -> Self {
        let (seen, fields) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<String>>::default());
        let (of_both, answers) = (Arc::clone(&seen), Arc::clone(&fields));
        let answer = move |cookie: Option<&str>| {
            of_both.lock().unwrap().push(cookie.unwrap_or_default().to_owned());
            std::mem::take(&mut *answers.lock().unwrap())
        };
        let over_tls = answer.clone();
        let identity = Authority::new().identity(&["www.example.com"]);
        let secure = TlsOrigin::new(&identity, move |asked| {
            let fields = over_tls(asked.head.field("cookie"));
            (format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"), Then::KeepAlive)
        });
        let plain =
            Origin::new(move |request| Reply::of("200 OK", &answer(request.header("cookie")), ""));
        Self { plain, secure, seen, fields }
    }

    /// A URL of a case, at the port of the server.
    fn url(&self, text: &str) -> String {
        let (scheme, rest) = text.split_once("://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        format!("{scheme}://{host}:{}/{path}", self.port(scheme))
    }

    fn port(&self, scheme: &str) -> u16 {
        if scheme == "https" { self.secure.port() } else { self.plain.address().port() }
    }

    /// The last Cookie field that a program sends in this case, and the lines of the jar that it writes.
    fn decided(
        &self,
        case: &Value,
        mut program: Command,
        jar_option: &str,
    ) -> (String, Vec<(String, i128)>) {
        let folder = TempDir::new().unwrap();
        let (file, jar) = (folder.path().join("cookies.txt"), folder.path().join("jar"));
        self.seen.lock().unwrap().clear();
        let lines = |name: &str| -> Vec<_> {
            case[name].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
        };
        program.env("HOME", folder.path()).args(["-k", jar_option]).arg(&jar);
        for scheme in ["http", "https"] {
            program.args(everywhere(self.port(scheme)));
        }
        let mut urls = vec![case["next"].as_str().unwrap()];
        if let Some(at) = case["at"].as_str() {
            let fields = lines("set");
            let fields: String =
                fields.iter().map(|field| format!("Set-Cookie: {field}\r\n")).collect();
            *self.fields.lock().unwrap() = fields;
            urls.insert(0, at);
            program.args(["-b", ""]);
        } else {
            fs::write(&file, lines("file").join("\n") + "\n").unwrap();
            program.arg("-b").arg(&file);
        }
        program.args(urls.iter().map(|url| self.url(url)));
        let output = program.output().unwrap();
        assert!(output.status.success(), "{program:?}: {output:?}");
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), urls.len(), "{program:?}");
        let mut kept: Vec<_> = fs::read_to_string(&jar)
            .unwrap_or_default()
            .lines()
            .filter(|line| {
                !line.is_empty() && (!line.starts_with('#') || line.starts_with("#HttpOnly_"))
            })
            .map(comparable)
            .collect();
        kept.sort();
        (seen.last().unwrap().clone(), kept)
    }
}

/// The line of a cookie, and the time at which it expires. Without the slash that curl writes behind the directory of a URL.
fn comparable(line: &str) -> (String, i128) {
    let mut fields: Vec<_> = line.split('\t').map(str::to_owned).collect();
    fields[2] = format!("{}/", fields[2].trim_end_matches('/'));
    let expires = fields.remove(4).parse().unwrap();
    (fields.join("\t"), expires)
}

/// Whether two jars have the same cookies. The programs that wrote them did not run at the same second.
fn are_same(one: &[(String, i128)], other: &[(String, i128)]) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len()
        && pairs.all(|(one, other)| one.0 == other.0 && (one.1 - other.1).abs() < 600)
}

#[test]
#[ignore = "needs curl; run with --run-ignored all"]
fn curl_decides_as_the_table_says() {
    let watched = Watched::new();
    let (mut differences, mut wrong) = (0, Vec::new());
    for case in cases() {
        let mut curl = Command::new("curl");
        curl.args(["-q", "-s", "-o", "/dev/null", "-o", "/dev/null"]);
        let (by_curl, jar_of_curl) = watched.decided(&case, curl, "-c");
        let mut fetch = program();
        fetch.args(["--no-config", "--mode", "sequential", "-x", "", "-qq"]);
        let (by_fetch, jar) = watched.decided(&case, fetch, "--cookie-jar");
        assert_eq!(by_fetch, case["sent"], "{}", case["what"]);
        let expected = case.get("curl").unwrap_or(&case["sent"]);
        let is_other = case["why"].is_string() || case["jar_why"].is_string();
        let is_seen = !are_same(&jar, &jar_of_curl) || by_curl != by_fetch;
        if by_curl != *expected || is_other != is_seen {
            wrong.push(format!("{}: {by_curl:?} {jar:?} {jar_of_curl:?}", case["what"]));
        }
        differences += usize::from(is_other);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(differences < cases().len() / 3, "{differences}");
}

#[test]
#[ignore = "needs curl; run with --run-ignored all"]
fn curl_reads_the_jar_that_is_written_and_the_other_way_round() {
    let (origin, folder) = (shop(), TempDir::new().unwrap());
    let (base, resolve) = names_of(&origin);
    let jar = folder.path().join("jar");
    let curl = |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-q", "-s", "-L", "-b"]).arg(&jar).args(more).args(&resolve);
        let output = curl.arg(format!("{base}/report")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "the report", "{output:?}");
    };
    let fetch = || {
        let run = Run::json("async").args(&resolve).arg("--cookie-jar").arg(&jar);
        assert_eq!(class_of(&run.arg(format!("{base}/report")).seen().row()), "ok");
    };
    fetch();
    assert_eq!(origin.take_seen().len(), 6);
    curl(&[]);
    assert_eq!(origin.take_seen().len(), 2, "curl is logged in");
    fs::remove_file(&jar).unwrap();
    curl(&["-c", jar.to_str().unwrap()]);
    assert_eq!(origin.take_seen().len(), 6);
    fetch();
    assert_eq!(origin.take_seen().len(), 2, "fetch is logged in");
    curl(&[]);
    assert_eq!(origin.take_seen().len(), 2, "and curl still is");
}
