//! The configuration file, the environment and the dry run, through the program.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{End, Origin, Reply, Run, Seen};

/// A person's configuration folder with this file in it.
fn folder(config: &str) -> TempDir {
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("fetch")).unwrap();
    fs::write(folder.path().join("fetch/config.toml"), config).unwrap();
    folder
}

fn run_in(folder: &TempDir) -> Run {
    Run::new().env("XDG_CONFIG_HOME", folder.path())
}

/// What a dry run tells of its settings.
fn settings(seen: &Seen) -> Value {
    objects(seen).into_iter().find(|object| object["type"] == "settings").unwrap()
}

fn objects(seen: &Seen) -> Vec<Value> {
    seen.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_type<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["type"] == kind).collect()
}

#[test]
fn what_is_typed_wins_over_the_environment_and_that_over_the_file() {
    let folder = folder("jobs = 2\nretry = 7\nformat = \"jsonl\"");
    let dry = || run_in(&folder).arg("--dry-run");
    assert_eq!(settings(&dry().seen())["jobs"], 2);
    assert_eq!(settings(&dry().env("FETCH_JOBS", "3").seen())["jobs"], 3);
    let typed = settings(&dry().env("FETCH_JOBS", "3").args(["-j", "4"]).seen());
    assert_eq!((&typed["jobs"], &typed["retry"]), (&json!(4), &json!(7)));
}

#[test]
fn a_file_speaks_for_a_run_and_its_hosts() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = folder("user-agent = \"me/1\"\nheader = \"X-Mine: yes\"\njson = true");
    let seen = run_in(&folder).arg(origin.url("/")).seen();
    assert_eq!((seen.code, &seen.row()["outcome"]), (Some(0), &json!("ok")), "{seen:?}");
    let requests = origin.seen();
    assert_eq!(requests[0].header("user-agent"), Some("me/1"));
    assert_eq!(requests[0].header("x-mine"), Some("yes"));
}

#[test]
fn a_bad_file_ends_the_program_before_a_request() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = folder("# mine\njobs = 0\n");
    let seen = run_in(&folder).arg(origin.url("/")).seen();
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
    let mistake = "fetch/config.toml:2: jobs = 0: expected an integer between 1 and 10000";
    assert!(seen.stderr.contains(mistake), "{}", seen.stderr);
    assert_eq!(origin.connections(), 0);
    let seen = run_in(&folder).arg("--no-config").arg(origin.url("/")).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let seen = Run::new().args(["--config", "nowhere.toml", "--dry-run", "http://a.b/"]).seen();
    assert_eq!(seen.code, Some(2));
    assert!(seen.stderr.contains("cannot read nowhere.toml"), "{}", seen.stderr);
}

#[test]
fn a_file_that_nobody_named_and_that_cannot_be_read_is_a_warning() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = tempdir().unwrap();
    let file = folder.path().join("fetch/config.toml");
    fs::create_dir_all(&file).unwrap();
    let seen = run_in(&folder).arg(origin.url("/")).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let warning = format!(
        "warning: cannot read {}: Is a directory; ignoring it (see --no-config)\n",
        file.display()
    );
    assert_eq!(seen.stderr.matches(&warning).count(), 1, "{seen:?}");
}

#[test]
fn a_variable_that_sets_nothing_ends_the_program_before_a_request() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    for (name, complaint) in [
        ("FETCH_DIR", "error: FETCH_DIR: --dir can only be given on the command line\n"),
        ("FETCH_NOPE", "error: FETCH_NOPE: unknown variable (expected "),
    ] {
        let seen = Run::new().arg(origin.url("/")).env(name, "x").seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert!(seen.stderr.starts_with(complaint), "{seen:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn the_folder_that_it_is_started_in_is_not_trusted() {
    let here = folder("jobs = 0");
    fs::copy(here.path().join("fetch/config.toml"), here.path().join("config.toml")).unwrap();
    let run = Run::new().args(["--dry-run", "http://a.b/"]).inside(here.path());
    assert_eq!(run.seen().code, Some(0));
    let run = Run::new().args(["--dry-run", "http://a.b/"]).inside(here.path());
    assert_eq!(run.env("XDG_CONFIG_HOME", ".").seen().code, Some(0));
}

#[test]
fn a_dry_run_makes_no_connection() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let list = format!("{}\n{}\n", origin.url("/a"), origin.url("/b"));
    let seen = Run::new().args(["--dry-run", "-", "--robots"]).list(list).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_dry_run_tells_targets_hosts_and_settings_in_sentences() {
    let folder =
        folder("[hosts.\"a.b\"]\nper-host = 1\nhost-rate = \"2/s\"\nheader = \"X-Key: hunter2\"");
    let list = "https://a.b/1\nhttp://localhost:8080/\thttp://c.d/\nhttps://a.b/2\nhtp://x\n";
    let words = [
        "--dry-run",
        "-H",
        "Authorization: hunter2",
        "-x",
        "http://u:hunter2@p:1",
        "-A",
        "me",
        "-",
    ];
    let seen = run_in(&folder).args(words).list(list).seen();
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(1), ""), "{seen:?}");
    assert!(!seen.stdout.contains("hunter2"), "{}", seen.stdout);
    insta::assert_snapshot!(seen.stdout, @r#"
    1 https://a.b/1
    2 http://localhost:8080/ (and 1 mirror)
    3 https://a.b/2
    Invalid -:4: invalid URL 'htp://x': unsupported scheme 'htp' (expected http or https)
    Host https://a.b: 2 URLs, 1 parallel, one request every 0.5 s, x-key: ***
    Host http://localhost:8080: 1 URL, unlimited parallel
    Options:
      header = ["authorization: ***"]
      user-agent = "me"
      proxy = "http://u:***@p:1/"
    Would fetch 3 URLs; 1 line invalid (dry run)
    "#);
}

#[test]
fn a_dry_run_tells_targets_hosts_and_settings_as_json() {
    let seen = Run::new().args(["--dry-run", "--json", "http://u:hunter2@a.b/", "--"]).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let objects = objects(&seen);
    assert_eq!(
        of_type(&objects, "target"),
        [&json!({
            "type": "target", "index": 1, "source": "argument", "line": null,
            "url": "http://u:***@a.b/", "mirrors": 0, "path": null, "outcome": null,
            "duplicate_of": null, "error": null, "id": null, "carried": null,
        })]
    );
    assert_eq!(
        of_type(&objects, "host"),
        [
            &json!({"type": "host", "host": "http://a.b", "targets": 1, "per_host": 6, "gap": 0.0, "headers": [], "withheld": []})
        ]
    );
    assert_eq!(settings(&seen)["host_patience"], "30s");
    let last = json!({
        "type": "preview", "targets": 1, "skipped": 0, "duplicate": 0, "failed": 0, "invalid": 0,
        "targets_of_further_hosts": 0,
    });
    assert_eq!(objects.last(), Some(&last));
}

#[test]
fn a_dry_run_tells_where_the_body_of_one_url_goes_and_what_is_there() {
    let origin = Origin::new(|request| match request.path.as_str() {
        "/cut" => Reply::raw(
            "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nAccept-Ranges: bytes\r\nContent-Length: 9\r\n\r\nhello",
            End::Close,
        ),
        _ => Reply::ok("hello"),
    });
    let (url, folder) = (origin.url("/cut"), tempdir().unwrap());
    let dry = |output: &str| {
        let run = Run::new().args(["--dry-run", "-o", output, &url]).inside(folder.path());
        run.seen().stdout.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(dry("big"), format!("1 {url} -> big"));
    assert_eq!(dry("-"), format!("1 {url} -> standard output"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let run = Run::new().args(["-o", "big", "--retry", "0", &url]).inside(folder.path());
    assert_eq!(run.seen().code, Some(1));
    let resumed = "big (will be resumed: 5 bytes already downloaded)";
    assert_eq!(dry("big"), format!("1 {url} -> {resumed}"));
}

#[test]
fn a_section_that_cannot_be_meant_is_an_error_with_its_place() {
    for (text, expected) in [
        ("[hosts.\"*.x\"]\n", ":1: hosts.\"*.x\": wildcards are not supported; name each host"),
        ("[hosts.\"a.test\"]\nuser = 5\n", ":2: user: expected a value in quotes"),
        ("user = 5\n", ":1: user: expected a value in quotes"),
        ("header = [7]\n", ":1: header: expected a value in quotes"),
        (
            "[hosts.\"a.test\"]\ncert = \"nofile\"\n",
            "nofile: No such file or directory ([hosts.\"a.test\"] of ",
        ),
    ] {
        let folder = folder(text);
        let seen = run_in(&folder).arg("http://127.0.0.1:1/").seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert!(seen.stderr.contains(expected), "{}", seen.stderr);
    }
}

#[test]
fn a_quiet_dry_run_tells_of_invalid_lines_alone_and_of_hosts() {
    let seen = Run::new().args(["--dry-run", "-q", "-"]).list("http://a.b/\nnonsense\n").seen();
    assert_eq!(seen.code, Some(1));
    assert!(seen.stdout.starts_with("Invalid -:2: "), "{}", seen.stdout);
    assert!(seen.stdout.contains("\nHost http://a.b: 1 URL, "), "{}", seen.stdout);
}

#[test]
fn a_dry_run_of_many_hosts_tells_the_first_thousand() {
    let list: String = (0..1_005).map(|number| format!("http://h{number}.example/\n")).collect();
    let seen = Run::new().args(["--dry-run", "-q", "-"]).list(list).seen();
    assert_eq!(seen.stdout.matches("\nHost ").count() + 1, 1_000);
    assert!(seen.stdout.contains("\nand 5 URLs on other hosts\n"), "{}", seen.stdout);
}

#[test]
fn a_dry_run_of_a_list_that_cannot_be_read_is_a_usage_error() {
    let seen = Run::new().args(["--dry-run", "nowhere.txt"]).seen();
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""));
    assert!(seen.stderr.contains("nowhere.txt: no such file"), "{}", seen.stderr);
    let seen = Run::new().arg("--dry-run").list("").seen();
    assert_eq!(seen.code, Some(0));
    assert!(seen.stderr.contains("no URLs in the input"), "{}", seen.stderr);
}

#[test]
fn a_dry_run_whose_reader_has_gone_ends_quietly() {
    let list = "http://a.b/\n".repeat(50_000);
    let program = format!("{} --dry-run - | head -n 1", env!("CARGO_BIN_EXE_fetch"));
    let seen = Run::of("sh").args(["-c", &program]).list(list).seen();
    assert_eq!((seen.stdout.as_str(), seen.stderr.as_str()), ("1 http://a.b/\n", ""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_dry_run_that_cannot_be_written_is_a_local_fault() {
    let program = format!("{} --dry-run http://a.b/ > /dev/full", env!("CARGO_BIN_EXE_fetch"));
    let seen = Run::of("sh").args(["-c", &program]).seen();
    assert_eq!(seen.code, Some(3), "{seen:?}");
    assert!(seen.stderr.contains("cannot write output"), "{}", seen.stderr);
}

#[cfg(unix)]
#[test]
fn the_file_for_failures_is_no_list_by_any_name() {
    let folder = tempdir().unwrap();
    let (list, other) = (folder.path().join("sites.txt"), folder.path().join("failed.txt"));
    fs::write(&list, "http://127.0.0.1:1/\n").unwrap();
    std::os::unix::fs::symlink(&list, &other).unwrap();
    let failing = |to: &Path| Run::new().arg("--failed").arg(to).arg(&list).seen();
    for to in [&list, &other] {
        let seen = failing(to);
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.contains("--failed would overwrite the input list"), "{}", seen.stderr);
    }
    assert_eq!(fs::read_to_string(&list).unwrap(), "http://127.0.0.1:1/\n");
}
