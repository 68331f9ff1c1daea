//! Users, passwords and header fields: which of them counts, where they are sent, and where they are not seen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::BASE64;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::processes::children_of;
use crate::support::tls::{Authority, Identity, Then, TlsOrigin};
use crate::support::{Gate, Origin, Reply, Request, Run, Seen, Version, in_every_mode};

mod ask;
mod netrc;
mod redirects;
mod refusals;

/// The value of an Authorization field for `user:password`.
fn basic(user: &str) -> String {
    format!("Basic {}", BASE64.encode(user.as_bytes()))
}

/// A temporary folder with files in it that only their owner can read.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A server that answers everything.
fn hello() -> Origin {
    Origin::new(|_| Reply::ok("hello"))
}

/// The Authorization of each request, in the order of their arrival.
fn sent(requests: &[Request]) -> Vec<Option<&str>> {
    requests.iter().map(|request| request.header("authorization")).collect()
}

#[test]
fn the_most_specific_authorization_counts_in_every_mode() {
    let files = Files::new()
        .with(".netrc", "default login n password n")
        .with("header", "Authorization: of file\n")
        .with("top.toml", "user = \"top:1\"\n[hosts.\"127.0.0.1\"]\nuser = \"host:1\"\n")
        .with(
            "host.toml",
            "netrc = true\n[hosts.\"127.0.0.1\"]\nheader = \"Authorization: of host\"\n",
        )
        .with("none.toml", "");
    let at_header = format!("@{}", files.path("header").display());
    in_every_mode(|mode| {
        let origin = hello();
        let plain = origin.url("/");
        let url = |user: &str| plain.replace("http://", &format!("http://{user}@"));
        let given = format!("{plain}\n  header=Authorization: of list\n");
        let both = format!("{}\n  header=Authorization: of list\n", url("url:1"));
        let all = ["-u", "user:1", "--netrc"];
        for (config, words, list, expected) in [
            ("host.toml", &all[..], &both, &basic("url:1")),
            ("host.toml", &all, &url("url"), &basic("url:")),
            ("host.toml", &[], &url("n"), &basic("n:n")),
            ("host.toml", &all, &given, &"of list".to_owned()),
            ("host.toml", &all, &plain, &basic("user:1")),
            ("host.toml", &["-u", "user:1", "-H", &at_header], &plain, &"of file".to_owned()),
            ("host.toml", &[], &plain, &"of host".to_owned()),
            ("top.toml", &["--netrc"], &plain, &basic("host:1")),
            ("top.toml", &["-u", "user:1"], &plain, &basic("user:1")),
            ("none.toml", &["--netrc"], &plain, &basic("n:n")),
        ] {
            let run = Run::json(mode).arg("--config").arg(files.path(config)).args(words);
            let seen = run.env("HOME", files.0.path()).list(list).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            let seen = origin.take_seen();
            assert_eq!(sent(&seen), [Some(expected.as_str())], "{config} {words:?} {list}");
        }
        let run = Run::json(mode).args(["--netrc", &plain]).env("HOME", files.0.path());
        assert_eq!(run.env("FETCH_USER", "env:1").seen().code, Some(0));
        assert_eq!(sent(&origin.take_seen()), [Some(basic("env:1").as_str())]);
    });
}

#[test]
fn each_request_for_a_target_carries_them_retries_segments_and_conditions_included() {
    let files = Files::new().with("netrc", "machine 127.0.0.1 login n password n");
    in_every_mode(|mode| {
        let version = Version::of(crate::support::versions::body(1, 300_000)).tagged("\"v1\"");
        let origin = Origin::new(move |request| match request.nth {
            0 if !request.path.ends_with(".txt") => Reply::of("503 Busy", "Retry-After: 0\r\n", ""),
            _ => version.answer(request).with("Accept-Ranges: bytes"),
        });
        let folder = tempfile::tempdir().unwrap();
        let list = origin.url("/large") + "\n";
        for words in [&["-u", "u:p"][..], &["--netrc-file", files.path("netrc").to_str().unwrap()]]
        {
            let run = |more: &[&str]| {
                let run = Run::json(mode).args(words).args(more).arg("--robots").arg("--dir");
                run.arg(folder.path()).list(&list).seen()
            };
            let split = ["--split", "4", "--min-split-size", "64k", "--retry-delay", "0s"];
            assert_eq!(run(&[&split[..], &["--force"]].concat()).code, Some(0));
            assert_eq!(run(&["--refresh"]).row()["outcome"], "unchanged");
            let requests = origin.take_seen();
            assert!(requests.iter().any(|request| request.header("if-none-match").is_some()));
            assert!(
                requests.iter().filter(|request| request.header("range").is_some()).count() > 1
            );
            assert!(requests.iter().any(|request| request.path == "/robots.txt"));
            let expected = if words[0] == "-u" { basic("u:p") } else { basic("n:n") };
            assert_eq!(sent(&requests), vec![Some(expected.as_str()); requests.len()]);
        }
    });
}

#[test]
fn header_lines_come_from_files_and_from_standard_input() {
    let files =
        Files::new().with("headers", "X-A: 1\r\n\n  X-B;\n").with("bad", "X-A: 1\nhunter2\n");
    let (good, bad) = (format!("@{}", files.path("headers").display()), files.path("bad"));
    in_every_mode(|mode| {
        let origin = hello();
        let url = origin.url("/");
        let run = Run::json(mode).args(["-H", &good, "-H", "X-C: 3", "-H", "@-", &url]);
        assert_eq!(run.list("X-D: 4\n").seen().code, Some(0));
        assert_eq!(Run::json(mode).env("FETCH_HEADER", &good).arg(&url).seen().code, Some(0));
        let seen = origin.seen();
        let values = |request: &Request| {
            ["x-a", "x-b", "x-c", "x-d"].map(|name| request.header(name).map(str::to_owned))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(values(&seen[0]), [some("1"), some(""), some("3"), some("4")]);
        assert_eq!(values(&seen[1]), [some("1"), some(""), None, None]);
    });
    let url = "http://127.0.0.1:1/";
    for (words, complaint) in [
        (
            vec!["-H".to_owned(), format!("@{}", bad.display()), url.into()],
            "bad:2: invalid header: missing colon",
        ),
        (vec!["-H".into(), "@/nowhere".into(), url.into()], "cannot read /nowhere: No such file"),
        (vec!["-H".into(), "@".into(), url.into()], "expected the name of a file after @"),
        (vec!["-H".into(), "@-".into()], "stdin cannot be both the list and the headers"),
        (
            vec!["-H".into(), "@-".into(), "-".into()],
            "stdin cannot be both the list and the headers",
        ),
    ] {
        let seen = Run::new().args(&words).seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert!(seen.stderr.contains(complaint), "{words:?}: {}", seen.stderr);
        assert!(!seen.stderr.contains("hunter2"), "{}", seen.stderr);
    }
}

#[test]
fn no_output_replaces_a_file_with_credentials() {
    let files =
        Files::new().with("headers", "X-A: 1\n").with("netrc", "default login u password p");
    let at = format!("@{}", files.path("headers").display());
    let netrc = files.path("netrc").display().to_string();
    for (words, file) in [(["-H", at.as_str()], "headers"), (["--netrc-file", &netrc], "netrc")] {
        for output in ["--failed", "--report"] {
            let before = fs::read(files.path(file)).unwrap();
            let target = files.path(file).with_extension("csv");
            fs::hard_link(files.path(file), &target).unwrap();
            let run = Run::new().args(words).arg(output).arg(&target).arg("http://127.0.0.1:1/");
            let seen = run.seen();
            assert_ne!(seen.code, Some(0), "{seen:?}");
            assert_eq!(fs::read(files.path(file)).unwrap(), before, "{words:?} {output}");
            fs::remove_file(target).unwrap();
        }
    }
}

/// What must be seen nowhere, in the forms in which it is given and sent.
fn secrets() -> Vec<String> {
    let users = ["user:hunter2", "host:hunter2", "netrc:hunter2", "url:hunter2"];
    users.map(basic).into_iter().chain(["hunter2".to_owned()]).collect()
}

fn assert_hides(what: &str, text: &str) {
    for secret in secrets() {
        let at = text.find(&secret).map(|at| text[..at].lines().count());
        assert_eq!(at, None, "{what} has {secret} in the line of this number");
    }
}

#[test]
fn they_are_in_no_output_report_file_argument_or_variable() {
    let files = Files::new()
        .with("netrc", "machine 127.0.0.1 login netrc password hunter2")
        .with("headers", "X-Key-File: hunter2\n")
        .with(
            "config.toml",
            "header = \"X-Key-Top: hunter2\"\n[hosts.\"127.0.0.1\"]\nuser = \"host:hunter2\"\nheader = \"X-Key-Host: hunter2\"\n",
        );
    let header = format!("@{}", files.path("headers").display());
    in_every_mode(|mode| {
        for kind in ["host", "netrc", "user"] {
            let folder = tempfile::tempdir().unwrap();
            let (arrived, open) = (Gate::of(2), Gate::of(2));
            let (arrive, pass) = (arrived.clone(), open.clone());
            let origin = Origin::new(move |request| match request.path.as_str() {
                "/held" => {
                    arrive.pass();
                    pass.pass();
                    Reply::ok("hello")
                }
                "/gone" => Reply::of("404 Gone", "", ""),
                "/busy" if request.nth == 0 => Reply::of("503 Busy", "Retry-After: 0\r\n", ""),
                _ => Reply::redirect(302, "/held2"),
            });
            let list: String =
                ["/held", "/gone", "/busy"].map(|path| origin.url(path) + "\n").concat();
            let base = || {
                let run = Run::new().args(["--mode", mode, "-j", "1", "-vv", "--max-redirs", "1"]);
                let run = match kind {
                    "host" => run.arg("--config").arg(files.path("config.toml")),
                    "netrc" => run.arg("--netrc-file").arg(files.path("netrc")),
                    _ => {
                        let run = run.args(["-H", &header]).env("FETCH_USER", "user:hunter2");
                        // Not used, but there.
                        run.env("https_proxy", "http://u:hunter2@127.0.0.1:1")
                    }
                };
                run.inside(folder.path()).args(["--retry-delay", "0s"])
            };
            let outputs =
                ["html", "csv", "jsonl", "har", "md"].map(|kind| format!("--report=run.{kind}"));
            let run = base().args(outputs).args(["--dir", "saved", "--failed", "failed.txt", "-"]);
            let live = run.list(&list).live();
            arrived.pass();
            for child in children_of(live.id()) {
                for file in ["cmdline", "environ"] {
                    let text = fs::read(format!("/proc/{child}/{file}")).unwrap();
                    assert_hides(file, &String::from_utf8_lossy(&text));
                }
            }
            assert_eq!(children_of(live.id()).len(), usize::from(mode == "processes"));
            open.pass();
            let seen = live.seen();
            assert_eq!(seen.code, Some(1), "{seen:?}");
            assert!(seen.stderr.contains("> authorization: ***"), "{seen:?}");
            let expected = basic(&format!("{kind}:hunter2"));
            let requests = origin.seen();
            assert!(sent(&requests).iter().all(|value| *value == Some(&*expected)), "{requests:?}");
            let dry = base().args(["--dry-run", "-"]).list(&list).seen();
            assert_eq!(dry.code, Some(0), "{dry:?}");
            for text in [&seen.stdout, &seen.stderr, &dry.stdout, &dry.stderr] {
                assert_hides("the output", text);
            }
            let all = crate::support::folder::all_in(folder.path());
            assert!(all.len() >= 9, "{:?}", all.keys());
            for (name, there) in all {
                if let crate::support::folder::There::File(bytes) = there {
                    assert_hides(&name, &String::from_utf8_lossy(&bytes));
                }
            }
        }
    });
}

#[test]
fn a_comparison_hands_them_to_its_runs_out_of_sight() {
    let files = Files::new().with("headers", "X-Key-File: hunter2\n");
    let (arrived, open) = (Gate::of(2), Gate::of(2));
    let (arrive, pass) = (arrived.clone(), open.clone());
    let origin = Origin::new(move |_| {
        arrive.pass_by();
        pass.pass();
        Reply::ok("hello")
    });
    let header = format!("@{}", files.path("headers").display());
    let words = ["compare", "--json", "--runs", "3", "--modes", "async", "--warmup", "0"];
    let run =
        Run::new().args(words).args(["-H", "X-Key-Typed: hunter2", "-H", &header, "-H", "@-"]);
    let live = run
        .args(["-u", "user:hunter2", "-b", "a=hunter2", &origin.url("/?token=hunter2")])
        .list("X-Key-Stdin: hunter2\n")
        .live();
    arrived.pass();
    let children = children_of(live.id());
    assert_eq!(children.len(), 1);
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{}/{file}", children[0])).unwrap();
        assert_hides(file, &String::from_utf8_lossy(&text));
    }
    open.pass();
    let seen = live.seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert_hides("the output", &(seen.stdout.clone() + &seen.stderr));
    let comparison: Value = serde_json::from_str(&seen.stdout).unwrap();
    let options = comparison["options"].as_array().unwrap();
    for option in ["--header=***", "--user=***", "--cookie=***"] {
        assert!(options.iter().any(|shown| shown == option), "{options:?}");
    }
    let expected = basic("user:hunter2");
    for request in origin.seen() {
        assert_eq!(request.path, "/?token=hunter2");
        assert_eq!(request.header("cookie"), Some("a=hunter2"));
        assert_eq!(request.header("authorization"), Some(&*expected));
        for name in ["x-key-typed", "x-key-file", "x-key-stdin"] {
            assert_eq!(request.header(name), Some("hunter2"), "{request:?}");
        }
    }
}
