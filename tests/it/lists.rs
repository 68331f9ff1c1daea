//! Lists as people have them: what is around a URL is taken off or named, and no line goes without a record.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Origin, Reply, Run, in_every_mode};

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
        let seen = Run::json(mode).list(list.join("\n")).seen();
        assert_eq!(seen.code, Some(1), "{}", seen.stderr);
        for (row, (line, advice)) in seen.rows_in_list_order().iter().zip(&lines) {
            assert_eq!(row["outcome"], "invalid", "{line}: {row}");
            assert!(message(row).contains(advice.as_str()), "{line}: {row}");
            assert!(!message(row).contains("https://\""), "{line}: {row}");
        }
        assert_eq!(seen.summary()["invalid"], lines.len());
        assert!(origin.seen().is_empty());
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
            (b"\x1f\x8b\x08junk".to_vec(), "gzip"),
        ];
        for (bytes, reason) in lists {
            let (_folder, path) = file(bytes);
            let seen = Run::json(mode).arg(&path).arg(&c).seen();
            assert_eq!(seen.code, Some(2), "{seen:?}");
            assert_eq!(seen.summary()["list_complete"], false, "{seen:?}");
            assert!(
                seen.stderr.contains("cannot read") && seen.stderr.contains(reason),
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
