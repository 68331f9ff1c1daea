//! Lists from tables: CSV, TSV and JSON lines, also compressed. Every row has a record, and what it carries comes back.

use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::coded::{gzip, zstd};
use crate::support::origin::line;
use crate::support::raw::Raw;
#[cfg(feature = "parquet")]
use crate::support::tools::tool;
use crate::support::{Origin, Reply, Run, Seen, holding, in_every_mode};

fn hello() -> Origin {
    Origin::new(|request| match request.path.as_str() {
        "/gone" => Reply::of("404 Not Found", "", ""),
        _ => Reply::ok("hello"),
    })
}

/// A folder with a file of this name. `{}` in its text is the server.
fn folder(origin: &Origin, name: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), name, text.replace("{}", &origin.url("")));
    folder
}

/// Writes a file, compressed if its name says so.
fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    let bytes = match name {
        _ if name.ends_with(".gz") => gzip(text),
        _ if name.ends_with(".zst") => zstd(text),
        _ => text.as_ref().to_vec(),
    };
    fs::write(folder.join(name), bytes).unwrap();
}

fn message(row: &Value) -> &str {
    row["error"]["message"].as_str().unwrap_or_else(|| panic!("no error: {row}"))
}

fn paths(origin: &Origin) -> Vec<String> {
    let mut paths: Vec<_> = origin.take_seen().into_iter().map(|asked| asked.path).collect();
    paths.sort();
    paths
}

/// The one record of a source that is no list.
fn refusal(seen: &Seen) -> String {
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert_eq!(seen.summary()["list_complete"], false, "{seen:?}");
    message(&seen.row()).to_owned()
}

/// The same rows: a URL, one that fails, one that is invalid.
const CSV: &str = "\u{feff}id,url,caption,note\r\n\
    7,{}/a,\"two\r\nlines, \"\"quoted\"\"\",=1+1\r\n\
    8,{}/gone,\u{fc},\r\n\
    \r\n\
    9,nowhere,x,\r\n";
const JSONL: &str = concat!(
    r#"{"note":"=1+1","id":7,"url":"{}/a","caption":"two\r\nlines, \"quoted\""}"#,
    "\n",
    r#"{"id":8,"url":"{}/gone","caption":"\u00fc","note":""}"#,
    "\n\n",
    r#"{"id":"9","caption":"x","note":"","url":"nowhere"}"#,
);

#[test]
fn every_row_has_a_record_with_what_it_carries_in_the_order_asked_for() {
    in_every_mode(|mode| {
        let origin = hello();
        let tsv = CSV.replace("\"two\r\nlines, \"\"quoted\"\"\"", "\"two\nlines, \"\"quoted\"\"\"");
        let tsv = tsv.replace(",\"", "\t\"").replace("\",", "\"\t");
        let tsv = tsv.replace("id,url,caption,note", "id\turl\tcaption\tnote");
        let tsv = tsv.replace("7,{}", "7\t{}").replace("8,{}/gone,\u{fc},", "8\t{}/gone\t\u{fc}\t");
        let tsv = tsv.replace("9,nowhere,x,", "9\tnowhere\tx\t").replace("\r\n", "\n");
        for (name, text, lines) in [
            ("a.csv", CSV, [2, 4, 6]),
            ("a.csv.gz", CSV, [2, 4, 6]),
            ("a.tsv.zst", &*tsv, [2, 4, 6]),
            ("a.jsonl", JSONL, [1, 2, 4]),
            ("list", JSONL, [1, 2, 4]),
            ("list.gz", CSV, [2, 4, 6]),
        ] {
            let folder = folder(&origin, name, text);
            let run = Run::json(mode).inside(folder.path()).args([name, "--id-column", "id"]);
            let seen = run.args(["--carry", "note,caption"]).seen();
            assert_eq!(seen.code, Some(1), "{name}: {seen:?}");
            let rows = seen.rows_in_list_order();
            let outcomes: Vec<_> = rows.iter().map(|row| row["outcome"].clone()).collect();
            assert_eq!(outcomes, ["ok", "failed", "invalid"], "{name}: {seen:?}");
            let ids: Vec<_> = rows.iter().map(|row| row["id"].clone()).collect();
            assert_eq!(ids, ["7", "8", "9"], "{name}");
            let at: Vec<_> = rows.iter().map(|row| row["line"].clone()).collect();
            assert_eq!(at, lines, "{name}");
            let broken = if name.starts_with("a.tsv") { "\n" } else { "\r\n" };
            let caption = format!("two{broken}lines, \"quoted\"");
            assert_eq!(rows[0]["carried"], json!({"note": "=1+1", "caption": caption}), "{name}");
            assert_eq!(rows[1]["carried"], json!({"note": "", "caption": "\u{fc}"}), "{name}");
            assert_eq!(rows[2]["carried"], json!({"note": "", "caption": "x"}), "{name}");
            assert!(seen.stdout.contains(r#""carried":{"note":"=1+1","caption":"two"#), "{name}");
            let reason = message(&rows[2]);
            assert!(reason.starts_with("row ") && reason.contains(", column 'url': "), "{reason}");
            assert_eq!(rows[2]["url"], "nowhere", "{name}");
        }
    });
}

#[test]
fn what_is_carried_is_in_the_list_of_failures_which_needs_no_options_to_fetch_it_again() {
    in_every_mode(|mode| {
        let origin = hello();
        let row = r#"{"url":"{}/gone","id":7,"n":1.50,"o":{"b":[1,"é\n"],"a":null},"del":"","out":"x/y"}"#;
        let folder = folder(&origin, "a.jsonl", row);
        let run = |args: &[&str]| {
            Run::json(mode).inside(folder.path()).args(args).args(["--failed", "again"]).seen()
        };
        let first = run(&["a.jsonl", "--carry", "all", "--id-column", "id", "--out-column", "out"]);
        assert_eq!(first.code, Some(1), "{first:?}");
        let list = fs::read_to_string(folder.path().join("again")).unwrap();
        assert!(list.contains("\n  id=7\n"), "{list}");
        fs::rename(folder.path().join("again"), folder.path().join("failed")).unwrap();
        let second = run(&["failed"]);
        assert_eq!(second.code, Some(1), "{second:?}");
        let (first, second) = (first.row(), second.row());
        assert_eq!(first["carried"]["o"], json!({"b": [1, "é\n"], "a": null}));
        assert_eq!((&first["id"], &first["carried"]), (&second["id"], &second["carried"]));
        assert_eq!(fs::read_to_string(folder.path().join("again")).unwrap(), list);
    });
}

#[test]
fn the_manifest_the_table_and_the_archive_have_what_is_carried_with_secrets_masked() {
    in_every_mode(|mode| {
        let origin = hello();
        let text = "url,caption,from\n{}/a?token=hunter2,an a,https://u:hunter2@b.test/\n";
        let folder = folder(&origin, "a.csv", text);
        let run = |args: &[&str]| {
            let run = Run::new().inside(folder.path()).args(["--mode", mode, "--dir", "out"]);
            run.args(["--carry", "all", "--report", "r.har", "a.csv"]).args(args).seen()
        };
        let seen = run(&["--format", "csv"]);
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let mut table = csv_rows(&seen.stdout);
        let row = table.remove(1);
        let column = table[0].iter().position(|name| name == "carried").unwrap();
        let carried = json!({"caption": "an a", "from": "https://u:***@b.test/"});
        assert_eq!(serde_json::from_str::<Value>(&row[column]).unwrap(), carried);
        let manifest = fs::read_to_string(folder.path().join("out/.fetch/manifest.jsonl")).unwrap();
        let saved: Value = serde_json::from_str(manifest.lines().last().unwrap()).unwrap();
        assert_eq!(saved["carried"], carried, "{manifest}");
        let archive: Value =
            serde_json::from_slice(&fs::read(folder.path().join("r.har")).unwrap()).unwrap();
        assert_eq!(archive["log"]["entries"][0]["_carried"], carried);
        let again = run(&["--json"]);
        assert_eq!(
            (&again.row()["outcome"], &again.row()["carried"]),
            (&"skipped".into(), &carried)
        );
        let shown = run(&["--json", "--no-redact", "--force"]);
        assert_eq!(shown.row()["carried"]["from"], "https://u:hunter2@b.test/");
        for text in [&seen.stdout, &again.stdout, &manifest] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        let manifest = fs::read_to_string(folder.path().join("out/.fetch/manifest.jsonl")).unwrap();
        assert!(!manifest.contains("hunter2"), "{manifest}");
    });
}

fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect());
    rows.collect()
}

#[test]
fn a_dry_run_shows_what_is_carried_and_the_names_of_the_columns() {
    let origin = hello();
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let text =
        format!("url;name;sha256;c\n{{}}/a;x/a.html;{digest};1\n{{}}/b;../b;;2\n{{}}/c;;0;3\n");
    let folder = folder(&origin, "a.csv", &text);
    let run = |args: &[&str]| {
        let run = Run::json("async").inside(folder.path()).args(["a.csv", "--carry", "c"]);
        let run = run.args(["--out-column", "name", "--checksum-column", "sha256"]);
        run.args(["--dir", "out"]).args(args).seen()
    };
    let seen = run(&["--dry-run"]);
    let lines: Vec<Value> =
        seen.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["type"], &lines[0]["path"]), (&"target".into(), &"x/a.html".into()));
    assert_eq!(lines[0]["carried"], json!({"c": "1"}));
    assert_eq!((&lines[1]["type"], &lines[1]["carried"]), (&"invalid".into(), &json!({"c": "2"})));
    assert_eq!(origin.requests(), 0);
    let seen = run(&[]);
    let rows = seen.rows_in_list_order();
    assert_eq!(fs::read(folder.path().join("out/x/a.html")).unwrap(), b"hello");
    assert_eq!(rows[0]["digest"], format!("sha-256={digest}"));
    assert!(message(&rows[1]).starts_with("row 3, column 'name': invalid out="), "{seen:?}");
    let expected = "row 4, column 'sha256': invalid checksum, expected 64 hex digits";
    assert_eq!(message(&rows[2]), expected);
}

/// Tables with the URLs `/1` and `/2`, and how many of their rows are invalid.
const TABLES: [(&str, &str, usize); 18] = [
    ("titles.csv", "url,title\n{}/1,\"a, b\"\n{}/2,c\n", 0),
    ("loose.csv", "url,title\n{}/1,a\n{}/2,c\n{}/3,a, b\n", 1),
    ("short.csv", "title,url,more\na,{}/1,x\na,{}/2\nb\n,,\n", 1),
    ("bare.csv", "{}/1,\"a, b\"\n{}/2,c\n", 0),
    ("lines.csv", "title,url\n\"two\nlines\",{}/1\nb,{}/2\n", 0),
    ("tabs.csv", "\"a\tb\";{}/1\nc;{}/2\n", 0),
    ("tabs.tsv", "\"a\tb\"\t{}/1\nc\t{}/2\n", 0),
    ("run.jsonl", "{\"i\": 1, \"url\": \"{}/1\"}\n{\"url\": \"{}/2\"}\n{\"url\": null}\n", 1),
    ("strings.ndjson", "\"{}/1\"\r\n\"{}\\/2\"\r\n17\r\n", 1),
    ("plain.csv", "id,name,url\n1,one,{}/1\n2,two,{}/2\n", 0),
    ("first.csv", "# export\nurl,name\n{}/1,one\n{}/2,two\n", 0),
    ("text.csv", "# a text list\n{}/1\n  out=x\n{}/2\n", 0),
    ("quoted.csv", "\"1\",\"{}/1\"\n\"2\",\"{}/2\"\n", 0),
    ("semicolons.csv", "name;link\none;{}/1\ntwo;{}/2", 0),
    ("a.tsv", "1\tone\t{}/1\n2\ttwo\t{}/2\n", 0),
    ("named.tsv", "{}/1\tone\n{}/2\ttwo\n", 0),
    ("spreadsheet.csv", "SEP=|\r\nurl|name, with a comma\r\n{}/1|a,b,c\r\n{}/2|\r\n", 0),
    ("bars", "name|url\none|{}/1\ntwo|{}/2\n", 0),
];

#[test]
fn a_table_is_read_by_its_name_or_its_first_line() {
    let origin = hello();
    for (name, text, invalid) in TABLES {
        let folder = folder(&origin, name, text);
        let seen = Run::json("async").inside(folder.path()).arg(name).seen();
        assert_eq!(seen.code, Some(i32::from(invalid > 0)), "{name}: {seen:?}");
        assert_eq!(seen.summary()["invalid"], invalid, "{name}: {seen:?}");
        assert_eq!(paths(&origin), ["/1", "/2"], "{name}");
    }
}

#[test]
fn a_row_begins_on_its_line_whatever_ends_lines() {
    let origin = hello();
    for end in ["\n", "\r\n", "\r"] {
        let text = format!("url,note{end}{end}{{}}/1,\"a{end}b\"{end}{end}nowhere,x{end}");
        let folder = folder(&origin, "a.csv", &text);
        let seen = Run::json("async").inside(folder.path()).arg("a.csv").seen();
        let lines: Vec<_> =
            seen.rows_in_list_order().iter().map(|row| row["line"].clone()).collect();
        assert_eq!(lines, [3, 6], "{end:?}: {seen:?}");
        let open = format!("url,note{end}{{}}/1,a{end}{end}{{}}/2,\"a{end}{{}}/3,{end}");
        write(folder.path(), "a.csv", open.replace("{}", &origin.url("")));
        let seen = Run::json("async").inside(folder.path()).arg("a.csv").seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        let last = seen.rows_in_list_order().pop().unwrap();
        assert_eq!(last["line"], 4, "{end:?}: {last}");
        assert!(message(&last).starts_with("row 3: a quote is not closed"), "{last}");
    }
}

#[test]
fn a_text_list_is_one_also_among_tables_and_a_notice_says_that_it_has_no_columns() {
    in_every_mode(|mode| {
        let origin = hello();
        let folder = folder(&origin, "list", "# note\n{}/1\n  carry={\"n\":1}\n");
        write(folder.path(), "a.csv", format!("url,n\n{},2\n", origin.url("/2")));
        let run = Run::json(mode).inside(folder.path()).args(["list", "a.csv", "--carry", "n"]);
        let seen = run.seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let rows = seen.rows_in_list_order();
        assert_eq!(
            (&rows[0]["carried"], &rows[1]["carried"]),
            (&json!({"n": 1}), &json!({"n": "2"}))
        );
        let notice = "list: a text list has no columns; options for columns do not apply to it";
        assert!(seen.stderr.contains(notice), "{seen:?}");
    });
}

#[test]
fn standard_input_is_text_unless_an_option_is_about_tables_and_the_advised_command_reads_it() {
    let origin = hello();
    for (name, text, format) in [
        ("a.csv", "id,url\n1,{}/1\n2,{}/2\n", "csv"),
        ("a.tsv", "1\tone\t{}/1\n2\ttwo\t{}/2\n", "tsv"),
        ("a.jsonl", "{\"i\": 1, \"url\": \"{}/1\"}\n{\"i\": 2, \"url\": \"{}/2\"}\n", "jsonl"),
    ] {
        let text = text.replace("{}", &origin.url(""));
        let reason = refusal(&Run::json("async").list(&text).seen());
        let advice = format!("use: fetch --input-format {format} -");
        assert!(reason.ends_with(&advice), "{name}: {reason}");
        for options in [&["--input-format", format, "-"][..], &["--carry", "all"]] {
            for list in [text.clone().into_bytes(), gzip(&text), zstd(&text)] {
                let seen = Run::json("async").args(options).list(list).seen();
                assert_eq!(seen.code, Some(0), "{name}: {seen:?}");
                assert_eq!(paths(&origin), ["/1", "/2"], "{name}");
            }
        }
    }
}

#[test]
fn a_table_without_the_column_is_one_record_that_lists_the_columns() {
    let origin = hello();
    let table = "page,image,n\n{}/1,{}/2,1\n";
    for (name, text, options, reason) in [
        (
            "a.csv",
            table,
            &[][..],
            "several columns have URLs; name one with --url-column; the columns are page, image, n",
        ),
        (
            "a.csv",
            table,
            &["--url-column", "url"],
            "--url-column: no column 'url'; the columns are page, image, n",
        ),
        (
            "a.csv",
            table,
            &["--url-column", "4"],
            "--url-column: no column '4'; the columns are page, image, n",
        ),
        (
            "a.csv",
            table,
            &["--url-column", "page", "--carry", "n,m"],
            "--carry: no column 'm'; the columns are page, image, n",
        ),
        (
            "a.csv",
            "a,b\n1,2\n",
            &[],
            "no column has URLs in the first row; name one with --url-column; the columns are a, b",
        ),
        (
            "a.jsonl",
            "{\"a\": {\"url\": \"{}/1\"}, \"b\": 1}\n",
            &[],
            "no column has URLs in the first row; name one with --url-column; the columns are a, b",
        ),
        (
            "a.jsonl",
            "[\"{}/1\",\n\"{}/2\"]\n",
            &[],
            "a JSON array, expected one JSON string or object per line; use: jq -c '.[]' a.jsonl | fetch --input-format jsonl -",
        ),
        (
            "a.jsonl",
            "{\n\"url\": \"{}/1\"\n}\n",
            &[],
            "JSON over several lines, expected one JSON string or object per line; use: jq -c '.' a.jsonl | fetch --input-format jsonl -",
        ),
        (
            "a.csv",
            "id,url\n1,\"{}/1\n2,{}/2\n",
            &[],
            "row 2: a quote is not closed; the rows after it are not read",
        ),
        (
            "a.csv",
            "url\u{0}\n",
            &[],
            "binary file (NUL byte in line 1), expected text with one URL per line",
        ),
    ] {
        let folder = folder(&origin, name, text);
        let seen = Run::json("async").inside(folder.path()).arg(name).args(options).seen();
        assert_eq!(refusal(&seen), reason, "{seen:?}");
        assert_eq!(origin.requests(), 0);
    }
    let folder = folder(&origin, "a.csv", table);
    for (column, path) in [("image", "/2"), ("1", "/1")] {
        let run = Run::json("async").inside(folder.path()).arg("a.csv");
        assert_eq!(run.args(["--url-column", column]).seen().code, Some(0));
        assert_eq!(paths(&origin), [path]);
    }
}

#[test]
fn a_compressed_list_is_read_as_its_text_and_one_that_is_cut_off_is_unreadable() {
    in_every_mode(|mode| {
        let origin = hello();
        let line = |path| format!("{}\n  header=X: 1\n", origin.url(path));
        let folder = tempfile::tempdir().unwrap();
        let both = |code: fn(String) -> Vec<u8>| [code(line("/1")), code(line("/2"))].concat();
        for list in [both(gzip), both(zstd)] {
            fs::write(folder.path().join("list"), &list).unwrap();
            let file = Run::json(mode).inside(folder.path()).arg("list").seen();
            let pipe = Run::json(mode).list(&list).seen();
            assert_eq!((file.code, pipe.code), (Some(0), Some(0)), "{file:?} {pipe:?}");
            assert_eq!(paths(&origin), ["/1", "/1", "/2", "/2"]);
            let cut = Run::json(mode).list(&list[..list.len() - 3]).seen();
            assert_eq!(cut.code, Some(2), "{cut:?}");
            assert_eq!(cut.summary()["list_complete"], false, "{cut:?}");
            assert!(cut.stderr.contains("data ends early"), "{cut:?}");
            assert_eq!(paths(&origin)[0], "/1");
            let followed = Run::json(mode).list([&list[..], b"what else there is"].concat()).seen();
            assert_eq!(followed.code, Some(2), "{followed:?}");
            assert!(followed.stderr.contains("other data follows the "), "{followed:?}");
            assert_eq!(paths(&origin), ["/1"], "more options of the last one may be missing");
        }
    });
}

#[test]
fn what_is_carried_comes_back_from_the_spill() {
    let origin = hello();
    let rows: String = (0..1_500)
        .map(|row| format!("{{\"url\":\"{}/{row}\",\"n\":{row}.50}}\n", origin.url("")))
        .collect();
    let folder = folder(&origin, "a.jsonl", &rows);
    let seen = Run::json("async").inside(folder.path()).args(["a.jsonl", "--carry", "n"]).seen();
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    for row in 0..1_500 {
        let expected = format!("\"carried\":{{\"n\":{row}.50}}");
        assert!(seen.stdout.contains(&expected), "{expected}");
    }
}

#[test]
fn a_row_without_end_is_one_record_and_takes_no_memory() {
    let origin = hello();
    let long = "x".repeat(3 << 20);
    for (name, text) in [
        ("a.csv", format!("url,c\n{{}}/1,a\n{{}}/0,\"{long}\"\n{{}}/2,b\n")),
        ("a.csv", format!("url\n{{}}/1\n{{}}/0{}\n{{}}/2\n", ",".repeat(100_000))),
        ("a.jsonl", format!("{{\"url\":\"{{}}/1\"}}\n{{\"c\":\"{long}\"}}\n\"{{}}/2\"\n")),
    ] {
        let folder = folder(&origin, name, &text);
        let seen = Run::json("async").inside(folder.path()).arg(name).seen();
        assert_eq!(seen.code, Some(1), "{}", seen.stderr);
        let rows = seen.rows_in_list_order();
        assert_eq!((rows.len(), &rows[1]["outcome"]), (3, &"invalid".into()), "{name}");
        assert!(message(&rows[1]).contains("exceeds 1 MiB"), "{}", rows[1]);
        assert_eq!(paths(&origin), ["/1", "/2"]);
    }
}

/// URLs in a list that is too long to come at once.
const LONG_LIST: usize = 40;

/// The rows of such a list, for this server.
fn long_list(server: &str, filler: &str) -> String {
    let rows = (0..LONG_LIST).map(|n| format!("{server}/{n},{n},{}\n", filler.repeat(20_000)));
    format!("url,n,filler\n{}", rows.collect::<String>())
}

#[test]
fn a_list_at_a_url_is_read_while_it_comes() {
    in_every_mode(|mode| {
        let (origin, arrived, open) = holding(|request| request.path == "/0");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/list.csv", listener.local_addr().unwrap());
        let list = long_list(&origin.url(""), "x");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = BufReader::new(stream.try_clone().unwrap());
            while line(&mut head).is_some_and(|line| !line.is_empty()) {}
            let (half, rest) = list.split_at(list.len() / 2);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", list.len());
            stream.write_all((head + half).as_bytes()).unwrap();
            // The rest comes only once a URL of the first half is requested.
            arrived.pass();
            open.pass();
            stream.write_all(rest.as_bytes()).unwrap();
        });
        let seen = Run::json(mode).args(["--input", &url, "--carry", "n"]).seen();
        server.join().unwrap();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let rows = seen.rows_in_list_order();
        assert_eq!(rows.len(), LONG_LIST);
        assert_eq!((&rows[7]["source"], &rows[7]["line"]), (&url.into(), &9.into()));
        assert_eq!(rows[7]["carried"], json!({"n": "7"}));
    });
}

#[test]
fn a_list_at_a_url_is_fetched_with_the_rules_of_the_run_and_compared_if_it_starts_over() {
    in_every_mode(|mode| {
        for (filler, code) in [("x", 0), ("y", 2)] {
            let (origin, arrived, open) = holding(|request| request.path == "/0");
            let before = long_list(&origin.url(""), "x");
            let after = long_list(&origin.url(""), filler);
            let server = Raw::new(move |mut stream, number| {
                let mut head = BufReader::new(stream.try_clone().unwrap());
                let mut fields = Vec::new();
                while let Some(field) = line(&mut head).filter(|field| !field.is_empty()) {
                    fields.push(field.to_ascii_lowercase());
                }
                let has = |name: &str| fields.iter().any(|field| field.starts_with(name));
                assert!(has("authorization: basic ") && has("x: 1"), "{fields:?}");
                let reply = |status: &str, list: &str| {
                    let length = list.len();
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{list}")
                };
                let mut text = match number {
                    0 => reply("503 Busy", ""),
                    1 => reply("200 OK", &before),
                    _ => reply("200 OK", &after),
                };
                if number == 1 {
                    text.truncate(text.len() / 2);
                }
                stream.write_all(text.as_bytes()).unwrap();
                // It breaks off once a URL of the first half is requested.
                if number == 1 {
                    arrived.pass();
                    open.pass();
                }
            });
            let list = format!("http://{}/list.csv", server.address());
            let run = Run::json(mode).args(["--input", &list, "-u", "me:hunter2", "-H", "X: 1"]);
            let seen = run.args(["--retry", "3", "--retry-delay", "1ms"]).seen();
            assert_eq!(seen.code, Some(code), "{seen:?}");
            assert_eq!(server.connections(), 3, "{seen:?}");
            if code == 0 {
                assert_eq!(origin.requests(), LONG_LIST, "each once: {seen:?}");
            } else {
                assert_eq!(seen.summary()["list_complete"], false, "{seen:?}");
                assert!(seen.stderr.contains("list has changed while it was read"), "{seen:?}");
            }
        }
    });
}

#[test]
fn a_list_at_a_url_that_cannot_be_had_is_unreadable_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let origin = Origin::new(|request| match request.path.as_str() {
        "/list.gz" => Reply::ok(gzip(format!("http://{}/1\n", request.header("host").unwrap()))),
        "/1" => Reply::ok("hello"),
        _ => Reply::of("404 Not Found", "", ""),
    });
    let run = |args: &[&str]| {
        let run = Run::json("async").args(args).env("TMPDIR", temporary.path());
        let seen = run.seen();
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
        seen
    };
    let (gone, good) = (origin.url("/gone?token=hunter2"), origin.url("/list.gz"));
    let seen = run(&["--input", &gone]);
    assert_eq!(seen.code, Some(2), "{seen:?}");
    let expected = format!("cannot read {}: HTTP 404 Not Found", origin.url("/gone?token=***"));
    assert!(seen.stderr.contains(&expected), "{seen:?}");
    let seen = run(&["--input", &good, "--https-only"]);
    assert_eq!((seen.code, seen.rows().len()), (Some(2), 0), "{seen:?}");
    origin.take_seen();
    let seen = run(&["--input", &good, "--dry-run"]);
    assert!(seen.stdout.contains(&origin.url("/1")), "{seen:?}");
    assert_eq!(paths(&origin), ["/list.gz"]);
    let seen = run(&["--input", &good]);
    assert_eq!((seen.code, seen.rows().len()), (Some(0), 1), "{seen:?}");
    let seen = run(&["--input", "ftp://a.test/"]);
    assert!(seen.stderr.contains("expected a file, or a URL with http or https"), "{seen:?}");
}

#[test]
fn parquet_that_cannot_be_read_is_one_record_with_the_command_that_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("it's.parquet"), b"PAR1\x15\x04\x15\x00PAR1").unwrap();
    let command = r#"duckdb -csv -c 'FROM '\''FILE'\''' | fetch --input-format csv -"#;
    let seen = Run::json("async").list(b"PAR1\x15\x04\x15\x00PAR1").seen();
    assert!(refusal(&seen).ends_with(&format!("use: {command}")), "{seen:?}");
    let seen = Run::json("async").inside(folder.path()).arg("it's.parquet").seen();
    if cfg!(feature = "parquet") {
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert!(seen.stderr.contains("cannot read it's.parquet: damaged Parquet"), "{seen:?}");
    } else {
        let reason = refusal(&seen);
        assert!(reason.starts_with("Parquet needs a fetch that was built with --features parquet"));
    }
}

/// Writes a file with three row groups, dictionaries, nulls and nested values.
#[cfg(feature = "parquet")]
const PYARROW: &str = r#"
import sys, pyarrow as pa, pyarrow.parquet as pq
server, path, compression, rows = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
captions = [None if i % 3 == 0 else f'c "{i}" \u00fc' for i in range(rows)]
table = pa.table({
    "id": pa.array(range(rows), pa.int64()),
    "URL": [f"{server}/{i}" for i in range(rows)],
    "caption": pa.array(captions).dictionary_encode(),
    "weight": pa.array([i * 0.5 for i in range(rows)]),
    "tags": [[f"t{i}", "x"] for i in range(rows)],
})
pq.write_table(table, path, compression=compression, row_group_size=rows // 3 + 1)
"#;

#[cfg(feature = "parquet")]
#[test]
#[ignore = "needs pyarrow"]
fn a_parquet_file_of_pyarrow_is_read_with_what_it_carries() {
    let origin = hello();
    let folder = tempfile::tempdir().unwrap();
    for compression in ["none", "snappy", "gzip", "zstd", "lz4"] {
        let path = folder.path().join(compression);
        let written = tool("python3")
            .args(["-c", PYARROW, &origin.url("")])
            .arg(&path)
            .args([compression, "50"])
            .status();
        assert!(written.is_ok_and(|status| status.success()), "python3 with pyarrow is needed");
        let run = |carry| {
            let run = Run::json("async").args(["--id-column", "id", "--carry", carry]);
            run.arg(&path).seen()
        };
        let seen = run("tags,weight,caption");
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let rows = seen.rows_in_list_order();
        assert_eq!(rows.len(), 50);
        for (number, row) in rows.iter().enumerate() {
            let caption = (number % 3 != 0).then(|| format!("c \"{number}\" \u{fc}"));
            let expected = json!({
                "tags": [format!("t{number}"), "x"],
                "weight": number as f64 * 0.5,
                "caption": caption,
            });
            assert_eq!((&row["carried"], &row["line"]), (&expected, &(number + 1).into()));
            assert_eq!(row["id"], number.to_string());
        }
        let all = run("all").rows_in_list_order();
        assert_eq!(all[7]["carried"].as_object().unwrap().len(), 4, "{}", all[7]);
        let missing = run("nothing");
        assert_eq!(missing.code, Some(2), "{missing:?}");
        let expected =
            "--carry: no column 'nothing'; the columns are id, URL, caption, weight, tags";
        assert!(missing.stderr.contains(expected), "{missing:?}");
    }
}
