//! Lists as people have them: what is around a URL is taken off or named, and no line goes without a record.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Gate, Origin, Reply, Run, in_every_mode, program, pseudoterminal, shown_on};

fn hello() -> Origin {
    Origin::new(|_| Reply::ok("hello"))
}

/// A file of its own.
fn file(bytes: impl AsRef<[u8]>) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn message(row: &Value) -> &str {
    row["error"]["message"].as_str().unwrap_or_else(|| panic!("no error: {row}"))
}

/// Waits until this counter stands still, so that nothing more is read before there is a reply.
fn wait_until_steady(counter: &AtomicUsize) {
    let mut last = usize::MAX;
    while last != counter.load(SeqCst) {
        last = counter.load(SeqCst);
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn long_urls_that_wait_take_memory_by_their_bytes() {
    let long = "x".repeat(60_000);
    for args in [&[][..], &["--ordered"]] {
        let written = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&written);
        let origin = Origin::new(move |request| {
            if request.path.starts_with("/0x") {
                wait_until_steady(&accepted);
            }
            Reply::ok("hello")
        });
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report.jsonl");
        let run = Run::new().args(["-qq", "-j", "1", "--report"]).arg(&report).args(args);
        let mut live = run.live();
        for number in 0..500 {
            live.write(&format!("{}\n", origin.url(&format!("/{number}{long}"))));
            written.fetch_add(1, SeqCst);
        }
        let seen = live.seen();
        assert_eq!(seen.code, Some(0), "{}", seen.stderr);
        let report = fs::read_to_string(report).unwrap();
        let summary: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
        assert_eq!(summary["ok"], 500);
        let peak = summary["resources"]["peak_memory"].as_u64().unwrap() >> 20;
        assert!(peak < 65, "{peak} MiB at the peak for {args:?}");
    }
}

#[test]
fn long_urls_in_progress_wait_for_each_other_by_their_bytes() {
    let long = "x".repeat(60_000);
    for mode in ["threads", "async", "processes"] {
        // 1 MiB, and 8 KiB for each of 30 jobs; each has its URL twice.
        let gate = Gate::of(10);
        let origin = Origin::new(move |_| {
            gate.pass();
            Reply::ok("hello")
        });
        let list: String =
            (0..60).map(|number| origin.url(&format!("/{number}{long}")) + "\n").collect();
        let seen = Run::json(mode).args(["-j", "30"]).list(list).seen();
        assert_eq!((seen.code, seen.rows().len()), (Some(0), 60), "{mode}: {}", seen.stderr);
        assert_eq!(origin.peak(), 10, "{mode}");
    }
}

#[test]
fn what_is_around_a_whole_line_without_doubt_is_taken_off() {
    in_every_mode(|mode| {
        let origin = hello();
        let forms = [
            "<URL>",
            "<url:URL>",
            "\"URL\"",
            "'URL'",
            "`URL`",
            "\u{201c}URL\u{201d}",
            "\u{ff02}URL\u{ff02}",
            "\u{ab}\u{a0}URL\u{a0}\u{bb}",
            "<\"URL\">",
            "  URL \t ",
            "\u{feff}URL",
            "\u{200b}URL\u{200b}",
            "\t\"URL\"\u{3000}",
            "\"URL\"\t\"URL\"",
        ];
        let line = |(number, form): (usize, &&str)| {
            form.replace("URL", &origin.url(&format!("/{number}")))
        };
        let list: Vec<_> = forms.iter().enumerate().map(line).collect();
        let seen = Run::json(mode).list(list.join("\n")).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let urls: Vec<_> = seen.rows_in_list_order().iter().map(|row| row["url"].clone()).collect();
        let expected: Vec<_> =
            (0..forms.len()).map(|number| origin.url(&format!("/{number}"))).collect();
        assert_eq!(urls, expected);
    });
}

#[test]
fn what_is_beside_a_url_is_a_record_with_the_right_advice_and_nothing_is_asked_for() {
    in_every_mode(|mode| {
        let origin = hello();
        let url = origin.url("/x");
        let only = |what: &str| format!("{what}; write only the URL: {url}");
        let lines = [
            (format!("url={url}"), only("text before the URL")),
            (format!("URL: {url}"), only("text before the URL")),
            (format!("wget {url}"), only("text before the URL")),
            (format!("[a name]({url})"), only("Markdown link")),
            (format!("- {url}"), only("list marker before the URL")),
            (format!("* {url}"), only("list marker before the URL")),
            (format!("3. {url}"), only("list marker before the URL")),
            (format!("\"{url}\","), only("quotes or brackets around the URL")),
            (format!("\"{url}"), only("quotes or brackets around the URL")),
            (format!("\"a\": \"{url}\","), only("text before the URL")),
            (format!("<a href=\"{url}\">a</a>"), only("HTML")),
            (format!("href='{url}'"), only("text before the URL")),
            (format!("{url},"), "',' after the URL; remove it, or write %2C".to_owned()),
            (format!("{url};"), "';' after the URL; remove it, or write %3B".to_owned()),
            (format!("{url}\""), "quote or bracket \" after the URL; remove it".to_owned()),
            (format!("{url}\u{201d}"), "quote or bracket \u{201d} after the URL".to_owned()),
            (format!("{url}>"), "quote or bracket > after the URL".to_owned()),
            (format!("{url} # note"), "comment after the URL; put it on a line".to_owned()),
            (format!("{url}\t# note"), "comment after the URL; put it on a line".to_owned()),
            (
                format!("{url} name.html"),
                "write it as %20, or name the file with out=NAME".to_owned(),
            ),
            (format!("{url}?a b"), "write it as %20".to_owned()),
            (format!("{url}\u{a0}b"), "write it as %20".to_owned()),
            (format!("{url}\u{feff}{url}"), "two URLs; put each on its own line".to_owned()),
            (format!("{url}\u{200b}y"), "invisible character U+200B; remove it".to_owned()),
            ("//a.test/x".to_owned(), "did you mean https://a.test/x?".to_owned()),
            ("http//a.test".to_owned(), "did you mean http://a.test?".to_owned()),
            ("www.a.test".to_owned(), "did you mean https://www.a.test?".to_owned()),
            ("mailto:a@b.test".to_owned(), "unsupported scheme 'mailto'".to_owned()),
            ("javascript:void(0)".to_owned(), "unsupported scheme 'javascript'".to_owned()),
            ("http://\"a.test\"/".to_owned(), "invalid host".to_owned()),
            ("/a.test".to_owned(), "missing scheme (expected https://HOST/PATH)".to_owned()),
            ("a@b.test".to_owned(), "missing scheme (expected https://HOST/PATH)".to_owned()),
        ];
        let list: Vec<_> = lines.iter().map(|(line, _)| line.as_str()).collect();
        // A list has a URL among its first lines.
        let list = format!("{}\n{}", origin.url("/"), list.join("\n"));
        let seen = Run::json(mode).list(list).seen();
        assert_eq!(seen.code, Some(1), "{}", seen.stderr);
        for (row, (line, advice)) in seen.rows_in_list_order()[1..].iter().zip(&lines) {
            assert_eq!(row["outcome"], "invalid", "{line}: {row}");
            assert!(message(row).contains(advice.as_str()), "{line}: {row}");
            assert!(!message(row).contains("https://\""), "{line}: {row}");
        }
        assert_eq!(seen.summary()["invalid"], lines.len());
        assert_eq!(origin.requests(), 1);
    });
}

#[test]
fn lines_end_with_cr_lf_or_both_also_mixed_and_in_pieces() {
    in_every_mode(|mode| {
        let origin = hello();
        let url = |path: &str| origin.url(path);
        let list = format!(
            "{}\r# note\r\n{}\r  header=X-A: 1\r\r\n{}\n{}\r",
            url("/1"),
            url("/2"),
            url("/3"),
            url("/4")
        );
        let lines = |seen: &crate::support::Seen| -> Vec<_> {
            seen.rows_in_list_order().iter().map(|row| row["line"].as_u64().unwrap()).collect()
        };
        let seen = Run::json(mode).list(&list).seen();
        assert_eq!((seen.code, lines(&seen)), (Some(0), vec![1, 3, 6, 7]), "{seen:?}");
        assert!(origin.seen().iter().any(|asked| asked.header("x-a") == Some("1")));

        // A CR ends the line although nobody knows yet whether an LF follows.
        let mut live = Run::json(mode).arg("-").live();
        live.write(&format!("{}\r", url("/1")));
        assert_eq!(live.row()["line"], 1);
        live.write(&format!("\n{}\r\n", url("/2")));
        assert_eq!(live.row()["line"], 2);
        assert_eq!(live.seen().code, Some(0));
    });
}

#[test]
fn a_list_that_turns_out_to_be_none_is_incomplete_and_what_was_read_is_fetched() {
    in_every_mode(|mode| {
        let origin = hello();
        let [a, b, c] = ["/a", "/b", "/c"].map(|path| origin.url(path));
        let utf16 =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let lists = [
            (
                format!("{a}\n{a}\0\n{}", format!("{b}\n").repeat(57)).into_bytes(),
                "NUL byte in line 2",
            ),
            (format!("{a}\n\0").into_bytes(), "NUL byte in line 2"),
            (utf16(&format!("{b}\n{b}\n")), "UTF-16"),
            (utf16(&format!("\u{feff}{b}\n{b}\n")), "UTF-16"),
            (b"\xfd7zXZ\0junk".to_vec(), "xz"),
        ];
        for (bytes, reason) in lists {
            let (_folder, path) = file(bytes);
            let seen = Run::json(mode).arg(&path).arg(&c).seen();
            assert_eq!(seen.code, Some(2), "{seen:?}");
            assert_eq!(seen.summary()["list_complete"], false, "{seen:?}");
            assert!(
                seen.stderr.contains("not a list of URLs") && seen.stderr.contains(reason),
                "{seen:?}"
            );
            let rows = seen.rows_in_list_order();
            let invalid: Vec<_> = rows.iter().filter(|row| row["outcome"] == "invalid").collect();
            assert_eq!(invalid.len(), 1, "{seen:?}");
            assert!(message(invalid[0]).contains(reason), "{seen:?}");
            let fetched = rows.iter().filter(|row| row["outcome"] == "ok").count();
            assert_eq!(fetched, rows.len() - 1, "{seen:?}");
            assert_eq!(rows.last().unwrap()["url"], c.as_str(), "the next source is read");
        }
        assert!(origin.seen().iter().all(|asked| asked.path != "/b"));
    });
}

/// Sources of other formats with the URLs `/1` and `/2`: the file's name, what it is called, its text. `{}` is the
/// server.
const OTHER_FORMATS: [(&str, &str, &str); 14] = [
    ("it's.md", "Markdown", "See [one]({}/1), [two]({}/2).\n"),
    ("commas.md", "Markdown", "See [one]({}/1_(b)), [two]({}/2): text.\n"),
    ("stop.md", "Markdown", "See [one](<{}/1>), and ({}/2).\n"),
    ("page.html", "HTML", "<!DOCTYPE html>\n<a href=\"{}/1\">one</a> <a href='{}/2'>two</a>\n"),
    ("bare.html", "HTML", "<p>\n<a href=\"{}/1?a=1&amp;b\">one</a>\n<a href={}/2>two</a>\n</p>"),
    (
        "sitemap.xml",
        "a sitemap",
        "<?xml version=\"1.0\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n\
         <url><loc>{}/1?a=1&amp;b=2</loc></url><url><loc>{}/2</loc></url></urlset>\n",
    ),
    (
        "feed",
        "an RSS feed",
        "<rss version=\"2.0\"><item><link>{}/1</link></item>\n<link>{}/2</link></rss>",
    ),
    ("some.xml", "XML", "<?xml version=\"1.0\"?>\n<a><file url=\"{}/1\"/><file>{}/2</file></a>\n"),
    ("one.json", "JSON", "{\"urls\": [\"{}/1\", \"{}/2\"], \"next\": null}\n"),
    ("array.json", "JSON", "[\n  \"{}/1\",\n  \"{}/2\"\n]\n"),
    ("nested", "JSON", "{\"a\": {\"url\": \"{}/1\"}}\n{\"a\": {\"url\": \"{}/2\"}}\n"),
    ("links.md", "Markdown", "Two links:\n\n- [one]({}/1)\n- <{}/2>, and text\n"),
    ("curl.cfg", "a curl configuration (-K)", "url = \"{}/1\"\noutput = \"one\"\n--url {}/2\n-O\n"),
    (
        "wget log",
        "a wget log",
        "--2026-01-31 12:00:00--  {}/1\nConnecting to a.test... connected.\n\
         --2026-01-31 12:00:01--  {}/2\nReusing existing connection.\n",
    ),
];

/// The command that the reason of a refused list ends with.
fn advised(reason: &str) -> &str {
    reason.split_once("; use: ").unwrap_or_else(|| panic!("no command: {reason}")).1
}

#[test]
fn another_format_is_one_record_that_names_it_and_the_command_that_it_advises_works() {
    let origin = hello();
    let server = origin.url("");
    let has = |program| std::process::Command::new(program).arg("--version").output().is_ok();
    let has_jq = has("jq");
    let folder = tempfile::tempdir().unwrap();
    for (name, format, text) in OTHER_FORMATS {
        fs::write(folder.path().join(name), text.replace("{}", &server)).unwrap();
        let seen = Run::json("async").arg(name).inside(folder.path()).seen();
        let case = format!("{name}: {seen:?}");
        let row = seen.row();
        assert_eq!((seen.code, &row["outcome"]), (Some(2), &"invalid".into()), "{case}");
        assert_eq!(seen.summary()["list_complete"], false, "{case}");
        let reason = message(&row);
        assert!(reason.starts_with(&format!("looks like {format}, not a list")), "{case}");
        assert!(seen.stderr.contains(reason), "{case}");
        assert_eq!(origin.requests(), 0, "{case}");

        if reason.contains("jq ") && !has_jq {
            eprintln!("SKIPPED, for there is no such program: {reason}");
            continue;
        }
        let seen = run_advice(advised(reason), folder.path());
        assert_eq!(seen.code, Some(0), "{case}: {seen:?}");
        let mut paths: Vec<_> = origin.take_seen().into_iter().map(|asked| asked.path).collect();
        paths.sort();
        let mut expected = vec!["/1".to_owned(), "/2".to_owned()];
        if text.contains("/1_(b)") {
            expected[0] = "/1_(b)".to_owned();
        } else if text.contains("&amp;b=2") {
            expected[0] = "/1?a=1&b=2".to_owned();
        } else if text.contains("&amp;") {
            expected[0] = "/1?a=1&b".to_owned();
        }
        assert_eq!(paths, expected, "{case}");
    }
}

/// Runs the advised command in a shell that finds the program.
fn run_advice(command: &str, folder: &std::path::Path) -> crate::support::Seen {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_fetch")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let run = Run::of("sh").args(["-c", command]).inside(folder);
    run.env("PATH", format!("{}:{path}", program.display())).seen()
}

#[test]
fn lines_that_are_alike_are_one_record_once_they_are_twenty() {
    let origin = hello();
    let server = origin.url("");
    let list = |line: &str, number: usize| -> String {
        let line = line.replace("{}", &server);
        (1..=number).map(|n| line.replace('N', &n.to_string()) + "\n").collect()
    };
    let table = [
        ("{}/N fileN.html", "URLs with file names"),
        ("{}/N # a comment", "URLs with comments"),
        ("- {}/N", "a bulleted list (Markdown or YAML)"),
        ("wget {}/N", "text with URLs in it"),
        ("hostN.test", "URLs without a scheme"),
    ];
    for (line, what) in table {
        // Fewer may be mistakes in a list: each has its own advice.
        let seen = Run::json("async").list(list(line, 19)).seen();
        assert_eq!((seen.code, seen.rows().len()), (Some(1), 19), "{line}: {seen:?}");
        let seen = Run::json("async").list(list(line, 21)).seen();
        assert_eq!(seen.code, Some(2), "{line}: {seen:?}");
        let reason = seen.row()["error"]["message"].as_str().unwrap().to_owned();
        assert!(reason.starts_with(&format!("looks like {what}, ")), "{reason}");
        // A URL among the first makes it a list.
        let seen =
            Run::json("async").list(list(line, 18) + &list("{}/N", 1) + &list(line, 9)).seen();
        assert_eq!((seen.code, seen.rows().len()), (Some(1), 28), "{line}: {seen:?}");
    }
    assert_eq!(origin.requests(), table.len());
    in_every_mode(|mode| {
        let seen = Run::json(mode).list("words and words\n".repeat(5_000)).seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(message(&seen.row()).starts_with("no URL in the first 20 lines"), "{seen:?}");
    });
}

#[test]
fn a_word_behind_a_comma_in_each_of_several_urls_is_a_table_and_in_one_is_a_part_of_the_url() {
    in_every_mode(|mode| {
        let origin = hello();
        let folder = tempfile::tempdir().unwrap();
        let list = |lines: &[&str]| {
            let lines: String = lines.iter().map(|line| origin.url(line) + "\n").collect();
            fs::write(folder.path().join("list"), lines).unwrap();
            Run::json(mode).arg("list").inside(folder.path()).seen()
        };
        let seen = list(&["/1,a", "/2,b", "/3,c"]);
        assert_eq!((seen.code, origin.requests()), (Some(2), 0), "{seen:?}");
        let row = seen.row();
        assert!(message(&row).ends_with("use: fetch --input-format csv list"), "{row}");
        assert_eq!(run_advice(advised(message(&row)), folder.path()).code, Some(0));
        let paths = || {
            let mut paths: Vec<_> =
                origin.take_seen().into_iter().map(|asked| asked.path).collect();
            paths.sort();
            paths
        };
        assert_eq!(paths(), ["/1", "/2", "/3"]);
        for lines in [
            &["/1,a", "/2,b"][..],
            &["/1,a", "/2,b", "/3"],
            &["/1,a", "/2,b", "/3,c,d"],
            &["/1,2", "/2,3", "/3,4"],
            &["/1,a=b", "/2,a=b", "/3,a=b"],
            &["/0", "/1,a", "/2,b", "/3,c"],
        ] {
            let seen = list(lines);
            assert_eq!(seen.code, Some(0), "{seen:?}");
            assert_eq!(paths(), lines);
        }
    });
}

#[test]
fn the_command_for_utf_16_reads_the_file_or_standard_input() {
    let origin = hello();
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}\n", origin.url("/1"));
    let units = |mark: &str| format!("{mark}{text}").encode_utf16().collect::<Vec<_>>();
    let le = |mark| units(mark).iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>();
    let be = |mark| units(mark).iter().flat_map(|unit| unit.to_be_bytes()).collect::<Vec<_>>();
    for bytes in [le("\u{feff}"), be("\u{feff}"), le(""), be("")] {
        fs::write(folder.path().join("a list"), &bytes).unwrap();
        let seen = Run::json("async").arg("a list").inside(folder.path()).seen();
        let row = seen.row();
        assert!(message(&row).contains(" 'a list' | fetch -"), "{row}");
        assert_eq!(run_advice(advised(message(&row)), folder.path()).code, Some(0), "{row}");
        assert_eq!(origin.take_seen().len(), 1, "{row}");
        let row = Run::json("async").arg("-").list(&bytes).seen().row();
        let command = format!(
            "{} < 'a list' | fetch -",
            advised(message(&row)).strip_suffix(" | fetch -").unwrap()
        );
        assert_eq!(run_advice(&command, folder.path()).code, Some(0), "{row}");
        assert_eq!(origin.take_seen().len(), 1, "{row}");
    }
}

#[test]
fn words_in_a_list_are_no_name_of_a_column() {
    let seen = Run::json("async").list("not a url\nImage URL\n").seen();
    let rows = seen.rows_in_list_order();
    assert!(message(&rows[0]).ends_with("missing scheme (expected https://HOST/PATH)"), "{seen:?}");
    assert!(message(&rows[1]).ends_with("name of a column; remove the line"), "{seen:?}");
}

#[test]
fn names_behind_urls_become_names_of_files() {
    let origin = hello();
    let folder = tempfile::tempdir().unwrap();
    let list: String =
        (1..30).map(|n| format!("{} file{n}\n", origin.url(&format!("/{n}")))).collect();
    fs::write(folder.path().join("list"), list).unwrap();
    let seen = Run::new().args(["--json", "list"]).inside(folder.path()).seen();
    let row = seen.row();
    let command = advised(message(&row));
    assert!(command.ends_with(" | fetch --dir DIR -"), "{command}");
    let seen = run_advice(command, folder.path());
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(folder.path().join("DIR/file29").exists());
}

#[test]
fn standard_input_that_is_json_lines_needs_an_option() {
    let origin = hello();
    let json = format!("{{\"url\": \"{}\"}}\n", origin.url("/1"));
    let seen = Run::json("async").list(&json).seen();
    assert_eq!(advised(message(&seen.row())), "fetch --input-format jsonl -");
}

#[test]
fn an_input_file_of_aria2_is_read_and_what_is_ignored_is_said_once() {
    in_every_mode(|mode| {
        let origin = hello();
        let folder = tempfile::tempdir().unwrap();
        let list = format!(
            "{}\n dir=/tmp/x\n referer=http://a.test/\n user-agent=me/1\n gid=0a\n split=4\n{}\n  dir=y\n  \
             out=z\n  split=5\n  checksum=md5=5d41402abc4b2a76b9719d911017c592\n",
            origin.url("/a%20b"),
            origin.url("/2")
        );
        fs::write(folder.path().join("list"), &list).unwrap();
        let run =
            || Run::new().inside(folder.path()).args(["--mode", mode, "--dir", "out", "list"]);
        for seen in [run().arg("--dry-run").seen(), run().seen()] {
            assert_eq!(seen.code, Some(0), "{seen:?}");
            let warnings: Vec<_> =
                seen.stderr.lines().filter(|line| line.contains("aria2")).collect();
            assert_eq!(warnings.len(), 2, "{seen:?}");
            assert!(warnings[0].ends_with("list:5: option 'gid' of aria2 is ignored"), "{seen:?}");
            let split = "list:6: option 'split' of aria2 is ignored; use --split";
            assert!(warnings[1].ends_with(split), "{seen:?}");
        }
        for name in ["tmp/x/a b", "y/z"] {
            assert_eq!(fs::read(folder.path().join("out").join(name)).unwrap(), b"hello");
        }
        let asked = origin.take_seen();
        let first = asked.iter().find(|asked| asked.path == "/a%20b").unwrap();
        assert_eq!(first.header("referer"), Some("http://a.test/"));
        assert_eq!(first.header("user-agent"), Some("me/1"));
    });
    let seen = Run::new().list("http://127.0.0.1:9/\n  dir=../x\n").seen();
    assert!(seen.stdout.contains("invalid dir=../x: expected a path inside --dir"), "{seen:?}");
}

#[test]
fn a_control_file_of_aria2_is_no_list() {
    let (_folder, path) = file(b"\0\x01\0\0\0\0\0\0\0\x14");
    let control = path.with_extension("aria2");
    fs::rename(&path, &control).unwrap();
    let seen = Run::new().arg(control).seen();
    assert_eq!(seen.code, Some(2));
    assert!(seen.stderr.contains("aria2 control file"), "{seen:?}");
}

#[test]
fn a_dry_run_of_a_list_that_is_none_fails_too() {
    let (_folder, path) = file("http://a.test/\n\0\n");
    let seen = Run::new().arg("--dry-run").arg(&path).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stdout.contains("http://a.test/") && seen.stderr.contains("NUL byte"), "{seen:?}");
}

#[test]
fn a_clear_signed_file_of_sums_is_refused_as_such() {
    in_every_mode(|mode| {
        let sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let (folder, path) = file(format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{sum}  a\n\
             -----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n"
        ));
        let seen = Run::json(mode)
            .arg("--dir")
            .arg(folder.path().join("out"))
            .arg("--sha256sums")
            .arg(&path)
            .arg("http://127.0.0.1:9/a")
            .seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert!(seen.stderr.contains("clear-signed (PGP)"), "{seen:?}");
        assert!(seen.stderr.contains("gpg --output"), "{seen:?}");
    });
}

#[test]
fn on_a_terminal_the_reason_why_a_source_is_no_list_is_printed_once() {
    let (_folder, path) = file("<!DOCTYPE html>\n<title>no list</title>\n");
    let (terminal, end) = pseudoterminal(80);
    let shown = shown_on(terminal);
    let mut command = program();
    command.arg("--no-config").arg(&path).stdin(std::process::Stdio::null());
    command.stdout(end.try_clone().unwrap()).stderr(end);
    let mut child = command.spawn().unwrap();
    // It has the other end of the terminal.
    drop(command);
    assert_eq!(child.wait().unwrap().code(), Some(2));
    let shown = shown.join().unwrap();
    assert_eq!(shown.matches("looks like HTML").count(), 1, "{shown}");
    assert!(shown.contains("/list: not a list of URLs\r\n"), "{shown}");

    // In two streams, each has it.
    let seen = Run::new().arg(&path).seen();
    assert!(seen.stdout.contains("looks like HTML"), "{seen:?}");
    assert!(seen.stderr.contains("looks like HTML"), "{seen:?}");
}
