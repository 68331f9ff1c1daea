//! `--output`: the body of one URL as a file, or on standard output.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::support::{End, Origin, Reply, Run, Seen, in_every_mode};

/// An origin with a page; `/cut`, of which every request gets half; and `/resumed`, of which a request for the rest gets
/// that.
fn origin() -> Origin {
    Origin::new(|request| match (request.path.as_str(), request.header("range")) {
        ("/resumed", Some("bytes=5-")) => Reply::of(
            "206 Partial Content",
            "Content-Range: bytes 5-9/10\r\nETag: \"a\"\r\n",
            "World",
        ),
        ("/cut", _) => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nHello", End::Close),
        ("/resumed", _) => Reply::raw(
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"a\"\r\n\r\nHello",
            End::Close,
        ),
        ("/gone", _) => Reply::of("404 Not Found", "", "no"),
        _ => Reply::ok("hello"),
    })
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn save(mode: &str, folder: &Path, output: &str, url: &str) -> Seen {
    let run = Run::new().inside(folder).args(["-m", mode, "--retry=0", "-o", output]);
    run.arg(url).seen()
}

#[test]
fn the_body_of_a_url_becomes_a_file_once_it_is_complete() {
    in_every_mode(|mode| {
        let (origin, folder) = (origin(), tempdir().unwrap());
        let (folder, file) = (folder.path(), folder.path().join("a b.txt"));
        let seen = save(mode, folder, "a b.txt", &origin.url("/page"));
        assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""), "{seen:?}");
        let row = format!("Read 5 from {} as a b.txt\n", origin.url("/page"));
        assert!(seen.stdout.starts_with(&row), "{seen:?}");
        assert_eq!(
            (fs::read(&file).unwrap(), names(folder)),
            (b"hello".into(), vec!["a b.txt".into()])
        );

        let seen = save(mode, folder, "a b.txt", &origin.url("/gone"));
        assert_eq!((seen.code, names(folder).len()), (Some(1), 1), "{seen:?}");
        assert_eq!(fs::read(&file).unwrap(), b"hello", "what failed replaces nothing");

        for path in ["/cut", "/resumed"] {
            let seen = save(mode, folder, "a b.txt", &origin.url(path));
            let left = (seen.code, fs::read(&file).unwrap());
            assert_eq!(left, (Some(1), b"hello".into()), "{seen:?}");
        }
        assert_eq!(names(folder), [".a b.txt.fetch", "a b.txt"]);
        let seen = save(mode, folder, "a b.txt", &origin.url("/resumed"));
        assert_eq!(
            (seen.code, fs::read(&file).unwrap()),
            (Some(0), b"HelloWorld".into()),
            "{seen:?}"
        );
        assert_eq!(names(folder), ["a b.txt"]);
        let last = origin.seen().pop().unwrap();
        assert_eq!(last.header("range"), Some("bytes=5-"), "the same command continues it");
    });
}

#[test]
fn the_body_of_a_url_goes_to_standard_output_alone_if_it_is_complete() {
    let (origin, folder) = (origin(), tempdir().unwrap());
    in_every_mode(|mode| {
        let seen = save(mode, folder.path(), "-", &origin.url("/page"));
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(0), "hello"), "{seen:?}");
        let rows: Vec<_> = seen.stderr.lines().collect();
        assert_eq!(rows[0], format!("Read 5 from {}", origin.url("/page")));
        assert!(
            rows[1].starts_with("Downloaded 1 of 1 site, 5 B in ") && rows.len() == 2,
            "{seen:?}"
        );

        for (path, reason) in [("/cut", "5 of 10 bytes"), ("/gone", "HTTP 404 Not Found")] {
            let seen = save(mode, folder.path(), "-", &origin.url(path));
            assert_eq!((seen.code, seen.stdout.as_str()), (Some(1), ""), "{seen:?}");
            assert_eq!(seen.stderr.matches(reason).count(), 1, "{seen:?}");
        }
        let run = Run::json(mode).args(["-o", "-", &origin.url("/page")]);
        let seen = run.seen();
        assert!(
            seen.stdout == "hello" && seen.stderr.starts_with("{\"type\":\"result\""),
            "{seen:?}"
        );
        let mut run = Run::new().args(["-m", mode, "-o", "-", &origin.url("/page")]).live();
        run.stop_reading();
        assert_eq!(run.seen().code, Some(4), "nobody reads");
        assert_eq!(names(folder.path()), [""; 0]);
    });
}

#[test]
fn a_body_that_is_cut_short_is_said_to_be_kept_only_where_it_is() {
    let (origin, folder) = (origin(), tempdir().unwrap());
    in_every_mode(|mode| {
        for (output, reason) in [
            ("-", "connection closed after 5 of 10 bytes"),
            ("/dev/null", "connection closed after 5 of 10 bytes"),
            ("file", "5 of 10 B saved; run the same command to continue"),
        ] {
            let seen = save(mode, folder.path(), output, &origin.url("/resumed"));
            assert_eq!(seen.code, Some(1), "{seen:?}");
            assert!(seen.stderr.contains(reason), "{output}: {seen:?}");
            assert_eq!(seen.stderr.contains("saved"), output == "file", "{seen:?}");
            fs::remove_dir_all(folder.path().join(".file.fetch")).ok();
        }
    });
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let origin = origin();
    let seen = save("async", Path::new("/"), "/dev/null", &origin.url("/page"));
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn what_cannot_be_one_file_is_a_usage_error() {
    let (origin, folder) = (origin(), tempdir().unwrap());
    let (url, inside) = (origin.url("/page"), folder.path());
    fs::write(inside.join("list.txt"), format!("{url}\n")).unwrap();
    fs::write(inside.join("sums"), format!("{}  x\n", "0".repeat(64))).unwrap();
    fs::create_dir(inside.join("dir")).unwrap();
    let several = "--output saves a single URL; for several use --dir DIR";
    for (words, complaint) in [
        (&["-o", "x", url.as_str(), url.as_str()][..], several),
        (&["-o", "x", "list.txt"], several),
        (&["-o", "x", "-"], several),
        (&["-o", "x", "-d", "y", &url], "'--output <FILE>' cannot be used with '--dir <DIR>'"),
        (&["-o", "", &url], "a value is required for '--output <FILE>'"),
        (&["-o", "dir", &url], "dir: it is a directory"),
        (&["-o", "sums", "--sha256sums", "sums", &url], "sums: it is an input of this command"),
        (&["-o", "x", "--refresh", &url], "--refresh requires --dir"),
        (&["-o", "x", "--report=x.md", "--failed=x", &url], "x; name another file"),
    ] {
        let seen = Run::new().inside(inside).args(words).seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{words:?}: {seen:?}");
        assert!(seen.stderr.contains(complaint), "{words:?}: {seen:?}");
    }
    assert_eq!(names(inside), ["dir", "list.txt", "sums"]);
    assert!(origin.seen().is_empty());
}
