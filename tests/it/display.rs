//! What a run shows: rows and totals, notes beside them, the progress display, and how a signal shows.

use std::fs;

use nix::sys::signal::Signal;
use tempfile::tempdir;

use crate::support::{End, Gate, Origin, Reply, Run, Seen, Terminal, in_every_mode};

const NOTE: &str = "note: bodies were read and discarded; use --dir DIR to save them\n";

/// An origin with a page, and one that is not there.
fn origin() -> Origin {
    Origin::new(|request| match request.path.as_str() {
        "/gone" => Reply::of("404 Not Found", "", ""),
        _ => Reply::ok("hello"),
    })
}

fn words(seen: &Seen) -> Vec<&str> {
    seen.stderr.lines().collect()
}

#[test]
fn a_url_is_shown_as_people_write_it_and_reported_as_it_is_sent() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let (shown, hidden) = ("/日本/é", "/%E6%97%A5%E2%80%AE");
    let sent = "/%E6%97%A5%E6%9C%AC/%C3%A9";
    in_every_mode(|mode| {
        let list = format!("{}\n{}\n", origin.url(shown), origin.url(hidden));
        let seen = Run::new().args(["--ordered", "-m", mode]).list(&list).seen();
        let rows: Vec<_> = seen.stdout.lines().take(2).collect();
        let row = |path| format!("Read 5 from {}", origin.url(path));
        assert_eq!(rows, [row(shown), row(hidden)], "{seen:?}");
        let seen = Run::json(mode).arg("--ordered").list(&list).seen();
        assert_eq!(seen.rows()[0]["url"], origin.url(sent));
    });
}

#[test]
fn a_run_that_throws_bodies_away_says_so() {
    let (origin, folder) = (origin(), tempdir().unwrap());
    let dir = folder.path().join("d");
    in_every_mode(|mode| {
        let said = |args: &[&str], path| {
            let run = Run::new().args(["-m", mode]).args(args).arg(origin.url(path));
            let seen = run.seen();
            assert!(seen.stderr.contains(NOTE) == (seen.stderr.contains("note:")), "{seen:?}");
            seen.stderr.contains(NOTE)
        };
        assert!(said(&[], "/page"));
        assert!(said(&["-v"], "/page"));
        assert!(!said(&[], "/gone"), "no body was read");
        let dir = dir.to_str().unwrap();
        for args in [&["-q"][..], &["-qq"], &["--json"], &["--format=csv"], &["--dir", dir]] {
            assert!(!said(args, "/page"), "{args:?}");
        }
    });
}

#[test]
fn each_level_prints_what_the_one_before_does_and_more() {
    let origin = origin();
    let (page, gone) = (origin.url("/page"), origin.url("/gone"));
    let failed = format!("Failed {gone}: HTTP 404 Not Found (1 attempt)");
    in_every_mode(|mode| {
        let printed = |level: Option<&str>, streams: &str| {
            let run = Run::of("sh").args(["-c", &format!("\"$0\" \"$@\" {streams}")]);
            let run = run.arg(env!("CARGO_BIN_EXE_fetch")).args(["-m", mode, "--ordered"]);
            run.args(level).args([&page, &gone]).seen()
        };
        let seen = printed(Some("-qq"), "");
        assert_eq!((seen.code, seen.stdout.as_str(), seen.stderr.as_str()), (Some(1), "", ""));
        let seen = printed(Some("-q"), "");
        assert_eq!(words(&seen), [failed.as_str()]);
        let total: Vec<_> = seen.stdout.lines().collect();
        assert!(total[0].starts_with("Downloaded 1 of 2 sites, 5 B in "), "{seen:?}");
        assert_eq!(total[1..], ["1 failed: 1 http_4xx"]);
        let seen = printed(None, "");
        assert_eq!(words(&seen), [failed.as_str(), NOTE.trim_end()], "{seen:?}");
        assert_eq!(seen.stdout.lines().nth(1), Some(failed.as_str()));
        assert_eq!(seen.stdout.lines().count(), 4);
        let seen = printed(None, "2>&1");
        assert_eq!(seen.stdout.matches(&failed).count(), 1, "both are one pipe: {seen:?}");
        let seen = printed(Some("-v"), "");
        assert!(seen.stderr.contains("\nRequests: 2 ("), "{seen:?}");
    });
}

#[test]
fn heads_of_requests_and_replies_are_shown_without_secrets() {
    let origin = Origin::new(|request| match request.path.split('?').next() {
        Some("/moved") => Reply::of(
            "302 Found",
            "Location: /page?X-Amz-Signature=hunter2&a=1\r\nSet-Cookie: id=hunter2\r\n",
            "",
        ),
        _ => Reply::of("200 OK", "X-Odd: a\u{202e}b\r\n", "hello"),
    });
    let url = origin.url("/moved?sig=hunter2").replace("http://", "http://bob:hunter2@");
    in_every_mode(|mode| {
        let run = Run::new().args(["-m", mode, "-vv", "-H", "Cookie: a=hunter2", "-H", "X-A: 1"]);
        let seen = run.arg(&url).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let heads = words(&seen).into_iter().filter(|line| line.starts_with(['<', '>']));
        assert_eq!(heads.filter(|line| line.contains("hunter2")).count(), 0, "{seen:?}");
        for line in [
            "> GET /moved?sig=***",
            "> authorization: ***",
            "> cookie: ***",
            "> x-a: ***",
            "< HTTP/1.1 302 Found",
            "< set-cookie: ***",
            "< location: /page?X-Amz-Signature=***&a=1",
            "< HTTP/1.1 200 OK",
            r"< x-odd: a\u{202e}b",
        ] {
            assert!(words(&seen).contains(&line), "{line}: {seen:?}");
        }
        let seen = Run::new().args(["-m", mode, "-v", &url]).seen();
        assert!(!seen.stderr.contains("> GET"), "{seen:?}");
    });
}

#[test]
fn colours_are_as_the_user_wants_them() {
    let origin = origin();
    let red = "\u{1b}[31mFailed\u{1b}[0m";
    let seen = |args: &[&str], no_color: &str| {
        let run = Run::new().env("NO_COLOR", no_color).env("TERM", "xterm").args(args);
        run.arg(origin.url("/gone")).seen()
    };
    for (args, no_color, coloured) in [
        (&["--color", "always"][..], "", true),
        (&["--color=always"], "1", true),
        (&["--color", "auto"], "", false),
        (&["--color", "never"], "", false),
        (&[], "", false),
    ] {
        let seen = seen(args, no_color);
        for text in [&seen.stdout, &seen.stderr] {
            assert_eq!(text.contains(red), coloured, "{args:?}: {seen:?}");
        }
        assert_eq!(seen.stdout.contains("\u{1b}[31m1 failed\u{1b}[0m: "), coloured);
    }
    let seen = Run::new().args(["--color=always", "/nowhere/list.txt"]).seen();
    assert!(seen.stderr.starts_with("\u{1b}[1;31merror:\u{1b}[0m /nowhere/"), "{seen:?}");
}

#[test]
fn what_failed_and_how_to_retry_it_is_said_at_the_end() {
    let (origin, folder) = (origin(), tempdir().unwrap());
    in_every_mode(|mode| {
        let run = Run::new().inside(folder.path()).args(["-m", mode, "--force"]);
        let run = run.args(["--dir", "out dir", "--failed", "failed.txt"]);
        let seen = run.args(["/gone", "/page"].map(|path| origin.url(path))).seen();
        assert_eq!(seen.stdout.lines().last(), Some("1 failed: 1 http_4xx"), "{seen:?}");
        let note = "note: to retry 1 failed URL with the same options: \
                    fetch [OPTIONS] --dir 'out dir' failed.txt";
        assert_eq!(words(&seen)[1..], [note]);
        let run = Run::new().inside(folder.path()).args(["--dir", "out dir", "--failed", "f2"]);
        assert_eq!(words(&run.arg(origin.url("/page")).seen()), [""; 0], "nothing to retry");
    });
}

#[test]
fn the_advised_command_names_the_list_as_it_has_to_be_typed() {
    let (origin, folder) = (origin(), tempdir().unwrap());
    let gone = origin.url("/gone");
    fs::create_dir(folder.path().join("http:")).unwrap();
    for (failed, advice) in [
        ("f.txt", "to retry 1 failed URL: fetch f.txt"),
        ("verify", "to retry 1 failed URL: fetch ./verify"),
        ("help", "to retry 1 failed URL: fetch ./help"),
        ("-x y", "to retry 1 failed URL: fetch './-x y'"),
        ("http://f.txt", "to retry 1 failed URL: fetch ./http://f.txt"),
        ("new\nline", r"1 failed URL written to 'new\u{a}line'"),
        ("/dev/null", "1 failed URL written to '/dev/null'"),
    ] {
        let seen =
            Run::new().inside(folder.path()).arg(format!("--failed={failed}")).arg(&gone).seen();
        let note = format!("note: {advice}");
        assert_eq!(words(&seen).last(), Some(&note.as_str()), "{failed}: {seen:?}");
    }
}

#[test]
fn the_advised_command_counts_what_is_in_the_list_and_wants_the_options_of_the_run() {
    let (origin, folder) = (origin(), tempdir().unwrap());
    let list = format!("{}\nhtp://x\n{}\n", origin.url("/gone"), origin.url("/page"));
    in_every_mode(|mode| {
        for (options, advice) in [
            (&["--failed-class", "timeout"][..], None),
            (&["--failed-class", "http_4xx", "-v"], Some("to retry 1 failed URL: fetch f.txt")),
            (
                &["-m", mode, "-H", "Authorization: Bearer hunter2"],
                Some("to retry 1 failed URL with the same options: fetch [OPTIONS] f.txt"),
            ),
            (
                &["-m", mode, "--delimiter", ",", "--retry", "0"],
                Some(
                    "to retry 1 failed URL with the same options, but for those of the table: \
                     fetch [OPTIONS] f.txt",
                ),
            ),
        ] {
            let run = Run::new().inside(folder.path()).args(["--failed", "f.txt"]).args(options);
            let seen = run.list(&list).seen();
            let note =
                words(&seen).into_iter().find_map(|line| line.strip_prefix("note: to retry"));
            let note = note.map(|rest| format!("to retry{rest}"));
            assert_eq!(note.as_deref(), advice, "{seen:?}");
            assert!(!seen.stderr.contains("hunter2"), "{seen:?}");
            let listed = fs::read_to_string(folder.path().join("f.txt")).unwrap();
            assert_eq!(listed.matches("\nhttp").count(), usize::from(advice.is_some()), "{listed}");
        }
    });
}

#[test]
fn what_was_not_started_is_listed_and_counted_apart_from_what_failed() {
    let folder = tempdir().unwrap();
    in_every_mode(|mode| {
        if mode == "sequential" {
            return;
        }
        // The first and the last URL of the list fail once both are in flight: between them, all were read.
        let both = Gate::of(2);
        let origin = Origin::new(move |request| match request.path.as_str() {
            "/last" => Reply::of("302 Found", "Location: /gone\r\n", ""),
            _ => {
                both.pass();
                Reply::of("404 Not Found", "", "")
            }
        });
        let other = origin.url("/last").replace("127.0.0.1", "last.test");
        let port = other.rsplit(':').next().unwrap().trim_end_matches("/last");
        let run = Run::new().inside(folder.path()).args(["-m", mode, "-j", "4", "--per-host", "1"]);
        let run = run.args(["--resolve", &format!("last.test:{port}:127.0.0.1"), "--fail-fast"]);
        let run = run.args(["--failed", "f.txt", "--report", "r.html"]);
        let urls = ["/1", "/2", "/3"].map(|path| origin.url(path));
        let seen = run.args(urls).arg(other).seen();
        let note = "note: to retry 2 failed URLs and 2 URLs not started with the same options: \
                    fetch [OPTIONS] f.txt";
        assert_eq!((seen.code, words(&seen).last()), (Some(4), Some(&note)), "{seen:?}");
        let page = fs::read_to_string(folder.path().join("r.html")).unwrap();
        assert!(page.contains("2 failed URLs (without 2 that were not started)"), "{page}");
    });
}

#[test]
fn failures_reach_stderr_in_every_format_if_stdout_is_a_file() {
    let origin = origin();
    let (folder, gone) = (tempdir().unwrap(), origin.url("/gone"));
    let failed = format!("Failed {gone}: HTTP 404 Not Found (1 attempt)");
    for format in ["text", "jsonl", "csv"] {
        for (level, shown) in [("-q", true), ("-v", true), ("-qq", false)] {
            let run = Run::of("sh").inside(folder.path()).args(["-c", "\"$0\" \"$@\" > out"]);
            let run = run.arg(env!("CARGO_BIN_EXE_fetch")).args(["--format", format, level, &gone]);
            let seen = run.seen();
            assert_eq!(
                words(&seen).contains(&failed.as_str()),
                shown,
                "{format} {level}: {seen:?}"
            );
        }
    }
}

#[test]
fn a_retry_is_announced_only_if_one_follows() {
    let origin = origin();
    in_every_mode(|mode| {
        // The host is given up with the first failure.
        let run = Run::new().args(["-m", mode, "-v", "--host-patience", "0s", "--retry", "3"]);
        let seen = run.args(["http://127.0.0.1:1/", &origin.url("/page")]).seen();
        assert_eq!(seen.code, Some(1), "{seen:?}");
        assert!(!seen.stderr.contains("Retrying"), "{seen:?}");
    });
}

#[test]
fn workers_are_counted_as_what_they_are() {
    let origin = origin();
    in_every_mode(|mode| {
        let seen = Run::new().args(["-m", mode, "-v", "-j", "2", &origin.url("/page")]).seen();
        let workers = match mode {
            "processes" => "Workers: 2 processes (",
            "threads" => "Workers: 2 threads (",
            _ => "Workers: 1 thread (",
        };
        assert!(seen.stderr.contains(workers), "{seen:?}");
    });
}

#[test]
fn the_table_of_hosts_fits_a_narrow_terminal() {
    let (origin, listed) = (origin(), "http://127.0.0.1:");
    let words = ["-v", "--color=never", "--no-progress", &origin.url("/page")];
    let (shown, _) = Terminal::of_fetch(40, words).seen();
    let table: Vec<_> = shown.lines().skip_while(|line| !line.starts_with(listed)).collect();
    assert_eq!(table[1..3], ["  1 request, 5 B, max parallel 1,", "  no limit"], "{shown}");
}

#[test]
fn nothing_is_drawn_where_a_body_is_written() {
    let origin = origin();
    in_every_mode(|mode| {
        let words = ["--color=never", "-m", mode, "-o", "-", &origin.url("/page")];
        let (shown, code) = Terminal::of_fetch(80, words).seen();
        assert_eq!((code, shown.contains('\u{1b}')), (Some(0), false), "{shown:?}");
        assert!(shown.starts_with("hello\r\nRead 5 from "), "{shown:?}");
    });
}

#[test]
fn a_list_that_was_not_read_to_its_end_is_said_to_be_incomplete_with_the_line() {
    let folder = tempdir().unwrap();
    let list = folder.path().join("list.txt");
    let origin = Origin::new(|_| Reply::raw("", End::Stall));
    let urls: String =
        (1..=9000).map(|path| format!("{}\n", origin.url(&format!("/{path}")))).collect();
    fs::write(&list, format!("# a comment\n{}\n{urls}", "htp://bad")).unwrap();
    in_every_mode(|mode| {
        // The first failure ends it: the rest of the list is not read.
        let run = Run::new().inside(folder.path()).args(["-m", mode, "--fail-fast"]);
        let run = run.args(["--json", "--max-time", "100ms", "--retry=0"]);
        let seen = run.args(["--failed", "failed.txt", "--report=run.md", "list.txt"]).seen();
        assert_eq!(seen.code, Some(4), "{seen:?}");
        let summary = seen.summary();
        let rows = seen.rows().len();
        // The first line is a comment, and each of the others has a record.
        let sentence = format!(
            "list read up to line {} of list.txt; without --dir the same command starts over",
            rows + 1
        );
        assert_eq!(summary["read_up_to"]["line"], rows + 1);
        assert_eq!(summary["read_up_to"]["source"], "list.txt");
        let failed = fs::read_to_string(folder.path().join("failed.txt")).unwrap();
        assert_eq!(failed.lines().next(), Some(&*format!("# {sentence}")));
        assert_eq!(failed.lines().filter(|line| line.starts_with("http")).count(), rows - 1);
        let report = fs::read_to_string(folder.path().join("run.md")).unwrap();
        assert!(report.starts_with(&format!("Downloaded 0 of {rows}+ sites, 0 B in ")), "{report}");
        assert!(report.contains(&sentence), "{report}");
        assert!(!seen.stderr.contains("note: to retry"), "{seen:?}");
        let not_started = seen.rows().iter().filter(|row| row["attempts"] == 0).count() - 1;
        assert_eq!(summary["not_started"], not_started);
    });
}

/// The words that a run with these replies, two of which are held, is started with on a terminal: `/1` and `/2`, or `/1`
/// in mode sequential. Many more are read and not started.
struct Held {
    terminal: Terminal,
    transfers: usize,
    open: Gate,
    _origin: Origin,
}

impl Held {
    fn in_mode(mode: &str, folder: &std::path::Path) -> Self {
        let transfers = if mode == "sequential" { 1 } else { 2 };
        let (arrived, open) = (Gate::of(transfers), Gate::of(1));
        let (at_origin, held) = (arrived.clone(), open.clone());
        let origin = Origin::new(move |_| {
            at_origin.pass();
            held.wait();
            Reply::ok("hello")
        });
        let list = folder.join("list.txt");
        let urls = (1..=9000).map(|path| format!("{}\n", origin.url(&format!("/{path}"))));
        fs::write(&list, urls.collect::<String>()).unwrap();
        let list = list.to_str().unwrap();
        let terminal = Terminal::of_fetch(80, ["-m", mode, "-j", "2", "--grace=1h", list]);
        arrived.wait();
        Self { terminal, transfers, open, _origin: origin }
    }

    fn interrupt(&self) {
        self.terminal.signal(Signal::SIGINT);
        let finishing = match self.transfers {
            1 => "1 transfer".to_owned(),
            transfers => format!("{transfers} transfers"),
        };
        self.terminal.wait_for(&format!(
            "Interrupted: finishing {finishing} (up to 3600 s); press Ctrl-C again to stop now\r\n"
        ));
    }
}

/// The lines below the last frame of the progress display.
fn after_the_display(shown: &str) -> Vec<&str> {
    let (_, rest) = shown.split_once("stop now").unwrap();
    let lines: Vec<_> = rest.lines().filter(|line| !line.is_empty()).collect();
    let first = lines.iter().rposition(|line| line.contains('\u{1b}') && !line.contains("[0m"));
    lines[first.unwrap_or(0)..].to_vec()
}

#[test]
fn an_interrupt_says_at_once_what_is_waited_for_and_counts_what_was_not_started() {
    in_every_mode(|mode| {
        let folder = tempdir().unwrap();
        let held = Held::in_mode(mode, folder.path());
        held.interrupt();
        held.open.pass();
        let transfers = held.transfers;
        let (shown, code) = held.terminal.seen();
        assert_eq!(code, Some(130));
        assert_eq!(shown.matches("Read 5 from").count(), transfers, "{shown}");
        assert_eq!(shown.matches("cancelled").count(), 0, "no row for what was not started");
        let end = after_the_display(&shown);
        let number = |text: &str| text.split(' ').next().unwrap().parse::<u64>().unwrap();
        let total = end.iter().position(|line| line.contains("Downloaded ")).expect("a total");
        assert!(
            end[total].contains("+ sites, ")
                && end[total].ends_with("; stopped early: interrupted"),
            "{end:?}"
        );
        assert!(end[total + 1].ends_with(" not started") && number(end[total + 1]) > 0, "{end:?}");
        assert!(end[total + 2].starts_with("list read up to line "), "{end:?}");
    });
}

#[test]
fn a_second_interrupt_ends_with_the_total_on_a_clean_line() {
    in_every_mode(|mode| {
        let folder = tempdir().unwrap();
        let held = Held::in_mode(mode, folder.path());
        held.interrupt();
        held.terminal.signal(Signal::SIGINT);
        let transfers = held.transfers;
        let (shown, code) = held.terminal.seen();
        held.open.pass();
        assert_eq!(code, Some(130));
        let end = after_the_display(&shown);
        let total = end.iter().position(|line| line.contains("Downloaded 0 of ")).expect("a total");
        assert!(end[total + 1].contains(&format!("{transfers} failed")), "{end:?}");
        assert!(end[total + 1].contains(&format!(": {transfers} cancelled; ")), "{end:?}");
        assert!(shown.ends_with("; without --dir the same command starts over\r\n"), "{shown:?}");
    });
}

/// Stops a run that waits.
fn stop(terminal: Terminal) {
    terminal.signal(Signal::SIGINT);
    terminal.signal(Signal::SIGINT);
    assert_eq!(terminal.seen().1, Some(130));
}

#[test]
fn what_the_run_waits_for_is_shown_on_a_terminal() {
    let origin = Origin::new(|request| match request.path.as_str() {
        "/busy" => Reply::of("503 Busy", "", ""),
        _ => Reply::of("429 Slow Down", "Retry-After: 500\r\n", ""),
    });
    let host = origin.url("");
    let host = host.strip_prefix("http://").unwrap().trim_end_matches('/');
    let patience = ["--host-patience", "500s", "--retry", "9"];
    in_every_mode(|mode| {
        for (url, waits) in [
            (origin.url("/slow"), format!("1 waiting: {host} asked to wait 500 s (429)")),
            // Nobody listens there.
            ("http://127.0.0.1:1/".to_owned(), "127.0.0.1:1 unreachable, giving up in ".to_owned()),
            (origin.url("/busy"), "1 waiting: next retry in ".to_owned()),
        ] {
            let words = ["-m", mode, "--retry-delay", "60s", &url];
            let terminal = Terminal::of_fetch(80, words.into_iter().chain(patience));
            terminal.wait_for(&waits);
            stop(terminal);
        }
    });
}

#[test]
fn nothing_is_drawn_without_progress_and_at_the_level_of_errors() {
    let origin = origin();
    for (level, lines) in [("--no-progress", 4), ("-qq", 0)] {
        let words = ["--color=never", level, &origin.url("/page"), &origin.url("/gone")];
        let (shown, code) = Terminal::of_fetch(80, words).seen();
        assert_eq!((code, shown.contains('\u{1b}')), (Some(1), false), "{shown:?}");
        assert_eq!(
            shown.lines().filter(|line| !line.starts_with("note: ")).count(),
            lines,
            "{shown:?}"
        );
    }
    let words = ["-q", &origin.url("/page"), &origin.url("/gone")];
    let (shown, _) = Terminal::of_fetch(80, words).seen();
    assert!(shown.contains("\u{1b}[31mFailed\u{1b}[0m ") && !shown.contains("Read 5"), "{shown:?}");
    assert_eq!(shown.matches("Failed").count(), 1, "{shown:?}");
}
