//! Lists that strangers have written: `--public-only`, `--allow-host`, `--deny-host`, `--https-only`, in every mode.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use serde_json::Value;

use crate::several_addresses::{close, with_hosts};
use crate::support::proxy::{HttpProxy, Manner};
use crate::support::tls::{Authority, Then, TlsOrigin, whole};
use crate::support::{Origin, Reply, Request, Run, Seen, class_of, in_every_mode};

/// Two servers of the inner network, at one port of 127.0.0.1 and ::1, to which no connection may be made.
struct Inside([TcpListener; 2]);

impl Inside {
    fn new() -> Self {
        for _ in 0..100 {
            let ipv4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = ipv4.local_addr().unwrap().port();
            if let Ok(ipv6) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
                let both = [ipv4, ipv6];
                both.iter().for_each(|listener| listener.set_nonblocking(true).unwrap());
                return Self(both);
            }
        }
        panic!("no port is free at both addresses");
    }

    fn port(&self) -> u16 {
        self.0[0].local_addr().unwrap().port()
    }

    /// Panics if a connection has arrived.
    fn assert_untouched(&self) {
        for listener in &self.0 {
            let arrived = listener.accept().map(|(_, peer)| peer);
            let kind = arrived.as_ref().map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::WouldBlock), "{listener:?}");
        }
    }
}

/// The forbidden targets, as they may be spelt. PORT is that of [`Inside`].
const SPELLINGS: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "http://127.0.0.1:0PORT/",
    "HTTP://127.0.0.1:PORT/",
    "http://user:secret@127.0.0.1:PORT/",
    "http://example.org@127.0.0.1:PORT/",
    "http://example.org:80@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    "http://127.0.0.1/",
    "http://127.0.0.1.:PORT/",
    "http://127.1:PORT/",
    "http://127.1.:PORT/",
    "http://127.0.1:PORT/",
    "http://127.255.255.254:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0X7F.1:PORT/",
    "http://0x7f.0x0.0x0.0x1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.1:PORT/",
    "http://017700000001:PORT/",
    "http://0000177.0.0.0x1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://127%2e0%2E0%2e1:PORT/",
    "http://%30x7f.1:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://１２７.０.０.１:PORT/",
    "http://127。0。0。1:PORT/",
    "http://0:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0x0:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[0000:0000::0001]:PORT/",
    "http://[::0.0.0.1]:PORT/",
    "http://[::]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[::7f00:1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::FFFF:7F00:0001]:PORT/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2002:7f00:1::1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[64:ff9b:1::127.0.0.1]:PORT/",
    "http://[64:ff9b:1:7f00:0:100::]:PORT/",
    "http://[2001:0:808:808::80ff:fffe]:PORT/",
    "http://[2001:0:7f00:1::f7f7:f7f7]:PORT/",
    "http://[fe80::1]:PORT/",
    "http://[fec0::1]:PORT/",
    "http://[fc00::1]:PORT/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]:PORT/",
    "http://[2001:db8::1]:PORT/",
    "http://[100::1]:PORT/",
    "http://[4000::1]:PORT/",
    "http://localhost:PORT/",
    "http://localhost.:PORT/",
    "http://LocalHost:PORT/",
    "http://LOCALHOST.:PORT/",
    "http://%6cocalhost:PORT/",
    "http://ｌocalhost:PORT/",
    "http://any.localhost:PORT/",
    "http://10.0.0.5/",
    "http://012.0.0.5/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://[::ffff:169.254.169.254]/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://one.test:PORT/",
    "http://ONE.test.:PORT/",
    "http://six.test:PORT/",
    "http://both.test:PORT/",
    "http://mapped.test:PORT/",
    "http://carried.test:PORT/",
    "http://moved.test:PORT/",
    "http://moved-too.test:PORT/",
];

/// Spellings that are no URL at all.
const INVALID: &[&str] = &[
    "http://[fe80::1%25lo]:PORT/",
    "http://[fe80::1%lo]:PORT/",
    "http://[::1%25lo]:PORT/",
    "http://127.0.0.1.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT\\",
    "http://local\u{ad}host:PORT/",
    "gopher://127.0.0.1:PORT/",
    "http://0x7f.0.0.0.1:PORT/",
    "http://127.0.0.256:PORT/",
    "http://[::ffff:127.1]:PORT/",
    "http://127.0.0.1%00.example.org:PORT/",
];

/// Names that stand for forbidden addresses, by the command line.
fn names(port: u16) -> Vec<String> {
    let pins = [
        ("one.test", "127.0.0.1"),
        ("one.test.", "127.0.0.1"),
        ("six.test", "::1"),
        ("both.test", "127.0.0.1,::1,10.0.0.5"),
        ("mapped.test", "::ffff:127.0.0.1"),
        ("carried.test", "64:ff9b::7f00:1,2002:7f00:1::"),
    ];
    let resolve = pins.map(|(name, to)| ["--resolve".into(), format!("{name}:{port}:{to}")]);
    let connect = ["moved.test::127.0.0.1:", "moved-too.test::one.test:"]
        .map(|to| ["--connect-to".to_owned(), to.to_owned()]);
    resolve.into_iter().chain(connect).flatten().collect()
}

/// A run for which only one host of the machine is public: `out.test`, at an origin.
fn run_with(mode: &str, origin: &Origin, inside: &Inside) -> Run {
    let pin = format!("out.test:{}:127.0.0.1", origin.address().port());
    Run::json(mode)
        .args(["--public-only", "--retry", "2", "--retry-delay", "0s"])
        .args(["--resolve", &pin, "--allow-host", "out.test"])
        .args(names(inside.port()))
}

fn out(origin: &Origin, path: &str) -> String {
    format!("http://out.test:{}{path}", origin.address().port())
}

/// The rows are failures of class `blocked_address` without a request, but for `ok` others.
fn assert_blocked(seen: &Seen, ok: usize) {
    let rows = seen.rows();
    let others = rows.iter().filter(|row| class_of(row) != "blocked_address");
    let others: Vec<_> = others.filter(|row| row["outcome"] != "ok").collect();
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(rows.iter().filter(|row| row["outcome"] == "ok").count(), ok);
}

#[test]
fn no_spelling_of_a_forbidden_target_leads_to_a_connection() {
    assert!(SPELLINGS.len() >= 60);
    in_every_mode(|mode| {
        let (inside, origin) = (Inside::new(), Origin::new(|_| Reply::ok("hello")));
        let port = inside.port().to_string();
        let list = |spellings: &[&str]| {
            spellings
                .iter()
                .map(|spelling| spelling.replace("PORT", &port) + "\n")
                .collect::<String>()
        };
        let seen = run_with(mode, &origin, &inside).list(list(SPELLINGS)).seen();
        assert_blocked(&seen, 0);
        assert_eq!((seen.code, seen.rows().len()), (Some(1), SPELLINGS.len()), "{seen:?}");
        let summary = seen.summary();
        assert_eq!(summary["resources"]["connections"], 0, "{summary}");
        assert_eq!(summary["resources"]["lookups"], 0, "{summary}");
        for row in seen.rows() {
            assert_eq!(row["attempts"], 1, "it is permanent: {row}");
        }
        let seen = run_with(mode, &origin, &inside).list(list(INVALID)).seen();
        let classes = seen.classes_in_list_order();
        assert_eq!(classes, vec!["invalid_url"; INVALID.len()], "{seen:?}");
        inside.assert_untouched();
        assert_eq!(origin.connections(), 0);
    });
}

#[test]
fn no_redirect_mirror_robots_txt_or_cookie_leads_to_a_forbidden_target() {
    in_every_mode(|mode| {
        let inside = Inside::new();
        let port = inside.port();
        let targets = [
            format!("http://127.0.0.1:{port}/"),
            format!("//localhost:{port}/"),
            format!("http://0x7f.1:{port}/"),
            format!("http://[::ffff:127.0.0.1]:{port}/"),
            format!("http://six.test:{port}/"),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
        ];
        let to = targets.clone();
        let reply = move |request: &Request| {
            let mut parts = request.path.split('/').skip(1);
            match (parts.next(), parts.next(), parts.next()) {
                (Some("to"), Some(status), Some(number)) => {
                    let target = &to[number.parse::<usize>().unwrap()];
                    let fields = format!("Location: {target}\r\nSet-Cookie: a=b; Path=/\r\n");
                    Reply::of(&format!("{status} Moved"), &fields, "moved")
                }
                (Some("robots.txt"), ..) => Reply::redirect(302, &to[0]),
                _ => Reply::ok("hello"),
            }
        };
        let origin = Origin::new(reply);
        let mut list = String::new();
        for status in [301, 302, 303, 307, 308] {
            for number in 0..targets.len() {
                list.push_str(&out(&origin, &format!("/to/{status}/{number}\n")));
            }
        }
        let mirrors = [
            format!("{}\t{}\n", targets[0], out(&origin, "/mirror")),
            format!("{}\t{}\n", out(&origin, "/to/302/1"), out(&origin, "/mirror")),
        ];
        mirrors.iter().for_each(|line| list.push_str(line));
        let seen = run_with(mode, &origin, &inside).list(&list).seen();
        assert_blocked(&seen, mirrors.len());
        inside.assert_untouched();
        // The robots.txt of the first host leads inside, and that of the second one is there.
        let list = format!("{}\nhttp://127.0.0.1:{port}/x\n", out(&origin, "/page"));
        let jar = tempfile::tempdir().unwrap();
        let run = run_with(mode, &origin, &inside).args(["--robots", "--cookie-jar"]);
        let seen = run.arg(jar.path().join("jar")).list(list).seen();
        assert_eq!(seen.classes_in_list_order(), ["ok", "blocked_address"], "{seen:?}");
        inside.assert_untouched();
    });
}

#[test]
fn a_message_says_which_address_and_why_and_nothing_else() {
    in_every_mode(|mode| {
        let (inside, origin) = (Inside::new(), Origin::new(|_| Reply::ok("hello")));
        let port = inside.port();
        let expected = [
            ("http://10.0.0.5/", "10.0.0.5 is a private address (RFC 1918); see --public-only"),
            (
                &format!("http://both.test:{port}/"),
                "127.0.0.1 is a loopback address (RFC 1122); see --public-only",
            ),
            (
                &format!("http://carried.test:{port}/"),
                "64:ff9b::7f00:1 is a form of 127.0.0.1, a loopback address (RFC 1122); see --public-only",
            ),
            ("http://localhost/", "localhost is a loopback name (RFC 6761); see --public-only"),
            ("http://no.test/", "no.test is denied (--deny-host no.test)"),
        ];
        let list: String = expected.iter().map(|(url, _)| format!("{url}\n")).collect();
        let run = run_with(mode, &origin, &inside).args(["--deny-host", "no.test"]);
        for (row, (_, message)) in run.list(list).seen().rows_in_list_order().iter().zip(expected) {
            assert_eq!(row["error"]["message"], message);
        }
    });
}

#[test]
fn a_forbidden_target_waits_for_no_limit_of_its_host() {
    in_every_mode(|mode| {
        let (inside, origin) = (Inside::new(), Origin::new(|_| Reply::ok("hello")));
        let urls = ["http://10.0.0.5/", &format!("http://one.test:{}/", inside.port())];
        let of_url = |url: &&str| (0..20).map(|n| format!("{url}{n}\n")).collect::<String>();
        let list: String = urls.iter().map(of_url).collect();
        let slowly = ["--host-delay", "1h", "--per-host", "1", "--deadline", "10m"];
        let seen = run_with(mode, &origin, &inside).args(slowly).list(&list).seen();
        assert_blocked(&seen, 0);
        let run = Run::json(mode).args(slowly).arg("--https-only").list(&list).seen();
        assert_eq!(run.classes_in_list_order(), ["invalid_url"; 40]);
        inside.assert_untouched();
    });
}

#[test]
fn of_several_addresses_only_those_that_are_allowed_are_used() {
    in_every_mode(|mode| {
        let inside = Inside::new();
        let port = inside.port();
        let origin = Origin::at(SocketAddr::from(([127, 0, 0, 2], port)), |_| {
            Reply::of("200 OK", "Connection: close\r\n", "hello")
        });
        let pin = format!("site.test:{port}:::1,127.0.0.1,127.0.0.2");
        let list: String = (0..4).map(|n| format!("http://site.test:{port}/{n}\n")).collect();
        let run = || Run::json(mode).args(["--resolve", &pin, "--retry", "0"]);
        for rules in [
            &["--public-only", "--allow-host", "127.0.0.2"][..],
            &["--public-only", "--allow-host", "127.0.0.2/31", "--deny-host", "::1"],
            &["--deny-host", "127.0.0.1", "--deny-host", "::1"],
        ] {
            let seen = run().args(rules).list(&list).seen();
            assert_eq!((seen.code, seen.rows().len()), (Some(0), 4), "{seen:?}");
        }
        assert_eq!(origin.requests(), 12);
        inside.assert_untouched();
    });
}

#[test]
fn exceptions_are_for_names_addresses_and_networks_and_what_is_denied_is_no_exception() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let (at, port) = (origin.url("/"), origin.address().port());
        let named = format!("http://a.out.test:{port}/");
        let pin = format!("a.out.test:{port}:127.0.0.1");
        for (rules, classes) in [
            ("", ["blocked_address", "blocked_address"]),
            ("+127.0.0.0/8", ["ok", "ok"]),
            ("+A.Out.Test", ["blocked_address", "ok"]),
            ("+.test", ["blocked_address", "ok"]),
            ("+127.0.0.0/8 -127.0.0.1", ["blocked_address", "blocked_address"]),
            ("+127.0.0.0/8 -.out.test", ["ok", "blocked_address"]),
            ("+127.0.0.0/8 -a.out.test.", ["ok", "blocked_address"]),
        ] {
            let words = rules.split_whitespace().flat_map(|rule| match rule.split_at(1) {
                ("+", host) => ["--allow-host", host],
                (_, host) => ["--deny-host", host],
            });
            let run = Run::json(mode).args(["--public-only", "--resolve", &pin]).args(words);
            let seen = run.list(format!("{at}\n{named}\n")).seen();
            assert_eq!(seen.classes_in_list_order(), classes, "{rules}");
        }
    });
}

#[test]
fn a_denied_host_is_not_looked_up_and_needs_no_other_option() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let list =
            format!("http://denied.invalid/\nhttp://x.denied.invalid./\n{}\n", origin.url("/"));
        let seen = Run::json(mode).args(["--deny-host", ".denied.invalid"]).list(list).seen();
        assert_eq!(seen.classes_in_list_order(), ["blocked_address", "blocked_address", "ok"]);
        assert_eq!(seen.summary()["resources"]["lookups"], 0);
        let seen = Run::json(mode).args(["--deny-host", "127.0.0.0/8", &origin.url("/")]).seen();
        assert_eq!(class_of(&seen.row()), "blocked_address");
        assert_eq!(origin.connections(), 1);
    });
}

#[test]
fn a_failure_of_this_class_can_be_listed_and_set_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (config, failed) = (folder.path().join("c.toml"), folder.path().join("failed.txt"));
    let origin = Origin::new(|_| Reply::ok("hello"));
    let rules = "public-only = true\nallow-host = [\"127.0.0.1\"]\ndeny-host = [\".test\"]\n";
    fs::write(&config, rules).unwrap();
    let run = Run::json("async").arg("--config").arg(&config).arg("--failed").arg(&failed);
    let list = format!("http://10.0.0.5/\nhttp://a.test/\n{}\n", origin.url("/"));
    let seen = run.args(["--failed-class", "blocked_address"]).list(list).seen();
    assert_eq!(seen.summary()["failures"]["blocked_address"], 2, "{seen:?}");
    let failed = fs::read_to_string(failed).unwrap();
    assert!(failed.contains("http://10.0.0.5/\n") && failed.contains("http://a.test/\n"));
    assert_eq!(origin.requests(), 1);
}

#[test]
fn rules_that_mean_nothing_are_errors() {
    for (words, expected) in [
        (&["--allow-host", "10.0.0.0/8"][..], "--allow-host requires --public-only"),
        (&["--deny-host", "10.0.0.1/8"], "'10.0.0.1/8' is not a network"),
        (&["--public-only", "--proxy", "p:1"], "--public-only has no effect behind a proxy"),
        (&["--deny-host", "10.0.0.0/8", "--proxy", "p:1"], "has no effect behind a proxy"),
    ] {
        let seen = Run::new().args(words).arg("http://a.test/").seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.contains(expected), "{}", seen.stderr);
    }
    for variable in ["http_proxy", "https_proxy", "ALL_PROXY"] {
        let run = Run::new().env(variable, "http://127.0.0.1:9").arg("--public-only");
        let seen = run.arg("http://a.test/").seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.contains("--proxy-decides leaves it to the proxy"), "{}", seen.stderr);
    }
}

#[test]
fn a_proxy_decides_about_names_if_it_is_allowed_to_and_is_asked_for_no_forbidden_address() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let proxy = HttpProxy::new(Manner::Serves(origin.address()));
        let run = Run::json(mode).args(["--public-only", "--proxy-decides", "--proxy"]);
        let run = run.arg(proxy.url("")).args(["--deny-host", "denied.test"]);
        let list = "http://site.test/\nhttp://10.0.0.5/\nhttp://localhost/\nhttp://denied.test/\n";
        let seen = run.list(list).seen();
        let blocked = "blocked_address";
        assert_eq!(seen.classes_in_list_order(), ["ok", blocked, blocked, blocked], "{seen:?}");
        assert_eq!(proxy.seen().len(), 1);
        // A host that needs no proxy is judged as usual.
        let run = Run::json(mode).env("no_proxy", ".direct.test").args(["--public-only"]);
        let run = run.args(["--proxy-decides", "--proxy"]).arg(proxy.url(""));
        let run = run.args(["--resolve", "a.direct.test:80:127.0.0.1", "http://a.direct.test/"]);
        assert_eq!(class_of(&run.seen().row()), blocked);
        assert_eq!(proxy.seen().len(), 1);
    });
}

#[test]
fn http_is_requested_neither_for_the_list_nor_for_redirects_nor_for_robots_txt() {
    in_every_mode(|mode| {
        let plain = Origin::new(|_| Reply::ok("hello"));
        let to = plain.url("/moved");
        let authority = Authority::new();
        let secure = TlsOrigin::new(&authority.identity(&["site.test"]), move |asked| match asked
            .head
            .target
            .as_str()
        {
            "/away" | "/robots.txt" => (
                format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"),
                Then::KeepAlive,
            ),
            _ => whole("hello"),
        });
        let list = format!(
            "{0}\nhttps://site.test/\nhttps://site.test/away\n{0}\thttps://site.test/mirror\n",
            plain.url("/")
        );
        let run = || Run::json(mode).arg("--cacert").arg(authority.file()).arg("--https-only");
        let run = || run().args(secure.stands_for("site.test")).args(["--retry", "0"]);
        for robots in [false, true] {
            let seen = run().args(robots.then_some("--robots")).list(&list).seen();
            assert_eq!(seen.classes_in_list_order(), ["invalid_url", "ok", "redirect", "ok"]);
            let rows = seen.rows_in_list_order();
            let message = |row: &Value| row["error"]["message"].as_str().unwrap().to_owned();
            assert_eq!(message(&rows[0]), "http is not allowed (--https-only); use https");
            assert_eq!(message(&rows[2]), "redirect to http is not allowed (--https-only)");
        }
        assert_eq!(plain.connections(), 0);
    });
}

#[test]
fn a_name_whose_address_changes_to_a_forbidden_one_is_not_followed_there() {
    in_every_mode(|mode| {
        let inside = Inside::new();
        let port = inside.port();
        let origin = Origin::at(SocketAddr::from(([127, 0, 0, 2], port)), |_| {
            Reply::of("200 OK", "Connection: close\r\n", "hello")
        });
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        fs::write(&hosts, "127.0.0.2 moving.test\n").unwrap();
        let rules = ["--public-only", "--allow-host", "127.0.0.2", "--retry-delay", "0s"];
        let mut run = with_hosts(&hosts, mode).args(rules).live();
        run.write(&format!("http://moving.test:{port}/1\n"));
        assert_eq!(class_of(&run.row()), "ok");
        // In place, as what is mounted is the file and not its name.
        fs::write(&hosts, "127.0.0.1 moving.test\n::1 moving.test\n").unwrap();
        close(origin);
        run.write(&format!("http://moving.test:{port}/2\n"));
        let row = run.row();
        assert_eq!(class_of(&row), "blocked_address", "{row}");
        assert_eq!(run.seen().code, Some(1));
        inside.assert_untouched();
    });
}

/// Runs the command of the chapter, as it is, in a folder with this list. `around` are variables of the environment.
fn as_in_the_chapter(folder: &Path, list: &str, around: &[(&str, String)]) -> Seen {
    let chapter = fs::read_to_string("src/manual/strangers.md").unwrap();
    let (_, command) = chapter.split_once("```sh\n").unwrap();
    let (command, _) = command.split_once("```").unwrap();
    assert!(command.starts_with("head ") && command.contains("--public-only"), "{command}");
    fs::write(folder.join("list.txt"), list).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_fetch")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let run = Run::of("sh").args(["-c", command]).env("PATH", path).inside(folder);
    around.iter().fold(run, |run, (name, value)| run.env(name, value)).seen()
}

#[test]
fn the_command_of_the_manual_fetches_what_is_public_and_small_and_nothing_else() {
    let inside = Inside::new();
    let (authority, port) = (Authority::new(), inside.port());
    let away = format!("https://127.0.0.1:{port}/");
    let secure = TlsOrigin::new(&authority.identity(&["site.test"]), move |asked| {
        match asked.head.target.as_str() {
            "/away" => (
                format!("HTTP/1.1 302 Found\r\nLocation: {away}\r\nContent-Length: 0\r\n\r\n"),
                Then::KeepAlive,
            ),
            "/large" => {
                ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nmuch".to_owned(), Then::Cut)
            }
            "/robots.txt" => whole("User-agent: *\nDisallow: /private\n"),
            _ => whole("hello"),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let list = format!(
        "https://site.test/page\nhttps://site.test/away\nhttps://site.test/large\n\
         https://site.test/private\nhttp://site.test/plain\nhttps://localhost:{port}/\n\
         https://[::1]:{port}/\nhttps://169.254.169.254/\nfile:///etc/passwd\n"
    );
    let around = [
        ("FETCH_CACERT", authority.file().display().to_string()),
        ("FETCH_CONNECT_TO", secure.stands_for("site.test")[1].clone()),
        ("FETCH_ALLOW_HOST", "site.test".to_owned()),
    ];
    let seen = as_in_the_chapter(folder.path(), &list, &around);
    assert_eq!(seen.code, Some(1), "{seen:?}");
    let report = fs::read_to_string(folder.path().join("report.jsonl")).unwrap();
    let rows: Vec<Value> = report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut rows: Vec<_> = rows.iter().filter(|row| row["type"] == "result").collect();
    rows.sort_by_key(|row| row["index"].as_u64());
    let classes: Vec<_> = rows.iter().map(|row| class_of(row)).collect();
    let blocked = "blocked_address";
    assert_eq!(
        classes,
        [
            "ok",
            blocked,
            "too_large",
            "robots",
            "invalid_url",
            blocked,
            blocked,
            blocked,
            "invalid_url"
        ]
    );
    let saved = folder.path().join("files").join(rows[0]["path"].as_str().unwrap());
    assert_eq!(fs::read_to_string(saved).unwrap(), "hello");
    inside.assert_untouched();
}

/// Needs a network namespace of its own, which has a private address.
#[test]
#[ignore = "needs unshare and ip; run with --run-ignored all"]
fn a_private_address_of_the_network_is_not_connected_to() {
    let script = "ip link set lo up && ip address add 10.1.2.3/32 dev lo && \
                  mkfifo \"$1/in\" && { \"$0\" serve --bind 10.1.2.3 --port 8080 --until-eof < \"$1/in\" > \"$1/out\" & } && \
                  exec 3> \"$1/in\" && until grep -q 8080 \"$1/out\"; do sleep 0.1; done && shift && \"$0\" \"$@\"";
    in_every_mode(|mode| {
        let run = |rules: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            Run::of("unshare")
                .args(["--user", "--map-root-user", "--net", "sh", "-c", script])
                .args([env!("CARGO_BIN_EXE_fetch"), folder.path().to_str().unwrap()])
                .args(["--json", "--mode", mode, "--resolve", "a.test:8080:10.1.2.3"])
                .args(rules)
                .args([
                    "http://10.1.2.3:8080/",
                    "http://a.test:8080/",
                    "http://10.1.2.3:8080/stats",
                ])
                .seen()
        };
        let open = run(&["--jobs", "1"]);
        assert_eq!(open.classes_in_list_order(), ["ok", "ok", "ok"], "{open:?}");
        let closed = run(&["--public-only"]);
        assert_eq!(closed.classes_in_list_order(), vec!["blocked_address"; 3], "{closed:?}");
        assert_eq!(closed.summary()["resources"]["connections"], 0);
        let allowed = run(&["--public-only", "--allow-host", "10.1.0.0/16"]);
        assert_eq!(allowed.classes_in_list_order(), ["ok", "ok", "ok"], "{allowed:?}");
    });
}
