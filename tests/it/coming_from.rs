//! Command lines of curl, wget and aria2, typed here.

use std::fs;

use crate::support::{Origin, Reply, Run};

#[test]
fn command_lines_that_are_known_from_elsewhere_do_here_what_they_do_there() {
    let origin = Origin::new(|request| match request.path.as_str() {
        "/moved" => Reply::redirect(302, "/a"),
        "/busy" => Reply::of("503 Busy", "Retry-After: 0\r\n", ""),
        _ => Reply::ok("hello"),
    });
    let folder = tempfile::tempdir().unwrap();
    let url = |path: &str| origin.url(path);
    fs::write(folder.path().join("list"), format!("{}\n", url("/a"))).unwrap();
    let run = |words: &[&str]| Run::new().inside(folder.path()).args(words).seen();

    let seen = run(&["-fsSL", "-o", "body", &url("/moved")]);
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""), "{seen:?}");
    assert_eq!(fs::read_to_string(folder.path().join("body")).unwrap(), "hello");
    for words in [&["-i", "list", "-P", "wget"][..], &["--input-file=list", "--output-dir=aria"]] {
        assert_eq!(run(words).code, Some(0), "{words:?}");
    }
    for name in ["wget/a", "aria/a"] {
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), "hello", "{name}");
    }
    let again = run(&["-i", "list", "-P", "wget", "--timestamping", "--json"]);
    assert_eq!((again.code, &again.row()["outcome"]), (Some(0), &"ok".into()), "asked again");
    let tried = run(&["--tries", "2", "--retry-delay=0", "--threads=1", "--json", &url("/busy")]);
    assert_eq!(tried.row()["attempts"], 2);
    let seen = run(&["-A", "jpg,png", "--json", &url("/a")]);
    assert!(seen.stderr.starts_with("warning: -A is --user-agent here"), "{seen:?}");
    assert_eq!(origin.seen().last().unwrap().header("user-agent"), Some("jpg,png"));
}

#[test]
fn command_lines_that_mean_another_thing_here_are_refused_with_what_to_use() {
    let folder = tempfile::tempdir().unwrap();
    for (words, said) in [
        (&["-d", "a=b"][..], "-d is --dir DIR here: fetch sends only GET requests"),
        (&["-x", "16"], "'16' is a number, not a proxy host"),
        (&["-m", "5"], "for curl's -m SECONDS use --max-time"),
        (&["-k", "1M"], "1M: no such file; the option before it takes no value"),
        (&["-K", "curlrc"], "curl's -K files are not read"),
        (&["-c"], "for cookies (-c of curl) use --cookie-jar FILE; to continue files"),
        (&["-U", "me:hunter2"], "use --proxy with a user in its URL"),
        (&["-u"], "error: the value of --user looks like a URL"),
        (&["-H"], "error: the value of --header looks like a URL"),
        (&["-d", "{\"a\":1}"], "-d is --dir DIR here"),
        (&["--json", "{\"a\":1}"], "JSON is no SOURCE: --json is for the output"),
        (&["-x16", "-s16"], "-s is --quiet here; for the parts of a file (-s N of aria2)"),
        (&["-O"], "-O is --dir DIR here: every body gets a file of its own name"),
    ] {
        let run = Run::new().inside(folder.path()).args(words).arg("http://127.0.0.1:9/");
        let seen = run.seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.contains(said) && !seen.stderr.contains("hunter2"), "{seen:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    fs::create_dir(folder.path().join("a=b")).unwrap();
    let run = Run::new().inside(folder.path()).args(["-d", "a=b", "--dry-run"]);
    assert_eq!(run.arg("http://127.0.0.1:9/").seen().code, Some(0));
}
