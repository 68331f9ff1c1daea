//! What a run finds around it: proxy variables, a temporary folder, the program that started it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::support::proxy::{HttpProxy, Manner};
use crate::support::raw::refusing_port;
use crate::support::small_disk::SmallDisk;
use crate::support::{Origin, Reply, Run, in_every_mode, until};

fn hello() -> Origin {
    Origin::new(|_| Reply::ok("hello"))
}

fn proxy() -> HttpProxy {
    HttpProxy::new(Manner::Serves(SocketAddr::from(([127, 0, 0, 1], refusing_port()))))
}

#[test]
fn a_proxy_variable_that_cannot_be_used_ends_the_run_and_is_named() {
    in_every_mode(|mode| {
        let origin = hello();
        let values = [
            (" http://u:hunter2@p.test:1", "contains a blank"),
            ("http://u:hunter2@p.test:1 ", "contains a blank"),
            (" ", "contains a blank"),
            ("\"http://u:hunter2@p.test:1\"", "contains a quote"),
            ("'http://u:hunter2@p.test:1'", "contains a quote"),
            ("http://u:hunter2@\"p.test\":1", "contains a quote"),
            ("http://u:hunter2@p.test:1\r", "contains a line break"),
            ("http://u:hunter2@p.test:1\n", "contains a line break"),
            ("ftp://u:hunter2@p.test:1", "unsupported proxy scheme 'ftp'"),
            ("socks://u:hunter2@p.test:1", "unsupported proxy scheme 'socks'"),
            ("http://u:hunter2@p.test:99999", "invalid port number"),
            ("http://u:hunter2@p.test:0", "invalid port number"),
            ("u:hunter2@p.test:x", "invalid port number"),
            ("http://", "empty host"),
            ("16", "'16' is a number"),
        ];
        for variable in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            // Every value once, and every variable.
            let values = if variable == "http_proxy" { &values[..] } else { &values[3..4] };
            for (value, reason) in values {
                let seen = Run::json(mode).arg(origin.url("/")).env(variable, value).seen();
                let case = format!("{variable}={value:?}: {seen:?}");
                assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{case}");
                assert!(
                    seen.stderr.contains(&format!("environment variable {variable}: ")),
                    "{case}"
                );
                assert!(seen.stderr.contains(reason), "{case}");
                assert!(!seen.stderr.contains("hunter2"), "{case}");
            }
        }
        let run = Run::json(mode).arg(origin.url("/")).env("http_proxy", "p.test:1");
        let seen = run.env("no_proxy", "\"127.0.0.1\"").seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(
            seen.stderr.contains("environment variable no_proxy: contains a quote"),
            "{seen:?}"
        );
        assert!(origin.seen().is_empty());
        // What is typed needs none of them.
        let run = Run::json(mode).args(["-x", "", &origin.url("/")]).env("http_proxy", "\"");
        assert_eq!(run.seen().code, Some(0));
    });
}

#[test]
fn proxy_variables_are_read_by_name_and_case_as_in_curl() {
    in_every_mode(|mode| {
        let origin = hello();
        // The variables, of which `P` is the proxy, and whether the request goes through it.
        let table: [(&[(&str, &str)], bool); 14] = [
            (&[("http_proxy", "P")], true),
            (&[("HTTP_PROXY", "P")], false),
            (&[("HTTP_PROXY", ""), ("http_proxy", "P")], true),
            (&[("ALL_PROXY", ""), ("all_proxy", "P")], true),
            (&[("ALL_PROXY", "P"), ("all_proxy", "")], true),
            (&[("ALL_PROXY", "P"), ("http_proxy", "")], true),
            (&[("http_proxy", "P"), ("NO_PROXY", "*")], false),
            (&[("http_proxy", "P"), ("no_proxy", "*")], false),
            (&[("http_proxy", "P"), ("NO_PROXY", ""), ("no_proxy", "*")], false),
            (&[("http_proxy", "P"), ("no_proxy", "a.test *")], false),
            (&[("http_proxy", "P"), ("no_proxy", "a.test 127.0.0.1")], false),
            (&[("http_proxy", "P"), ("no_proxy", "10.0.0.0/8,127.0.0.0/8")], false),
            (&[("http_proxy", "P"), ("no_proxy", "127.0.0.2,::1")], true),
            (&[("http_proxy", "P"), ("REQUEST_METHOD", "GET")], true),
        ];
        for (variables, is_used) in table {
            let proxy = proxy();
            let mut run = Run::json(mode).arg(origin.url("/"));
            for (name, value) in variables {
                run = run.env(name, value.replace('P', &proxy.url("")));
            }
            let seen = run.seen();
            assert_eq!(seen.code, Some(0), "{variables:?}: {seen:?}");
            assert_eq!(proxy.seen().len(), usize::from(is_used), "{variables:?}");
        }
        // Also for a proxy that is typed.
        let proxy = proxy();
        let run = Run::json(mode).args(["-x", &proxy.url(""), &origin.url("/")]);
        assert_eq!(run.env("NO_PROXY", "*").seen().code, Some(0));
        assert!(proxy.seen().is_empty());
    });
}

#[test]
fn an_exception_of_everything_holds_for_addresses_with_and_without_a_port() {
    in_every_mode(|mode| {
        let proxy = proxy();
        for url in
            ["http://127.0.0.9/", "http://127.0.0.9:9/", "http://[::1]:9/", "http://a.invalid/"]
        {
            let args = ["--retry", "0", "--host-patience", "0", url];
            let run = Run::json(mode).args(args).env("http_proxy", proxy.url(""));
            let seen = run.env("NO_PROXY", "*").seen();
            assert_ne!(seen.row()["error"]["class"], "proxy", "{seen:?}");
        }
        assert!(proxy.seen().is_empty());
    });
}

#[test]
fn a_bare_number_is_no_proxy_and_the_message_says_what_it_may_be_meant_for() {
    in_every_mode(|mode| {
        for args in [&["-x", "16"][..], &["-x16"], &["--proxy", "http://16"], &["-x", "16:3128"]] {
            let seen = Run::json(mode).args(args).arg("http://127.0.0.1:9/").seen();
            assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
            for part in ["--proxy", "'16' is a number", "--jobs, --per-host or --split"] {
                assert!(seen.stderr.contains(part), "{seen:?}");
            }
        }
    });
}

/// A list of one host that has more idle workers than it may use is fetched whole although the temporary folder is of
/// no use, and there is one notice of that. No reply comes before it: the workers want the list to be read on until then.
fn reading_waits(mode: &str, folder: &Path, notice: &str) {
    let errors = tempfile::NamedTempFile::new().unwrap();
    let path = errors.path().to_owned();
    let is_alone = mode == "sequential";
    let is_noticed = move || fs::read_to_string(&path).unwrap().contains("(TMPDIR)");
    let origin = Origin::new(move |_| {
        if !is_alone {
            until("the notice", &is_noticed);
        }
        Reply::ok("hello")
    });
    let long = "x".repeat(1024);
    let list: String = (0..120).map(|number| origin.url(&format!("/{number}?{long}\n"))).collect();
    let jobs = if is_alone { "1" } else { "3" };
    let seen = Run::after(&format!("exec 2> {}", errors.path().display()))
        .args(["--json", "--mode", mode, "--per-host", "1", "--jobs", jobs])
        .env("TMPDIR", folder)
        .list(list)
        .seen();
    assert_eq!((seen.code, seen.rows().len()), (Some(0), 120), "{seen:?}");
    assert_eq!(seen.summary()["list_complete"], true);
    let stderr = fs::read_to_string(errors.path()).unwrap();
    assert_eq!(stderr.matches("(TMPDIR)").count(), usize::from(!is_alone), "{stderr}");
    assert!(is_alone || stderr.contains(notice), "{stderr}");
}

#[test]
fn without_a_temporary_folder_reading_waits_and_a_notice_names_it() {
    in_every_mode(|mode| {
        let notice = "cannot create a temporary file in /nonexistent/tmp (TMPDIR): No such file or directory; \
                      reading the list waits";
        reading_waits(mode, Path::new("/nonexistent/tmp"), notice);
    });
}

#[test]
fn with_a_full_temporary_folder_reading_waits_and_a_notice_names_it() {
    let disk = SmallDisk::of("8k");
    let folder = disk.path();
    in_every_mode(|mode| {
        let notice = format!(
            "cannot write a temporary file in {} (TMPDIR): No space left on device; reading the list waits",
            folder.display()
        );
        reading_waits(mode, &folder, &notice);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn peak_memory_is_that_of_the_program_and_not_of_the_one_that_started_it() {
    const LARGE: usize = 256 << 20;
    let memory = std::hint::black_box(vec![1_u8; LARGE]);
    in_every_mode(|mode| {
        let origin = hello();
        let run = Run::json(mode).arg(origin.url("/"));
        let run = if mode == "sequential" { run } else { run.args(["-j", "1"]) };
        let peak = run.seen().summary()["resources"]["peak_memory"].as_u64().unwrap();
        assert!(peak > 1 << 20 && peak < (LARGE / 2) as u64, "{mode}: {peak}");
    });
    drop(memory);
}
