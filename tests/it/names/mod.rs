//! The names of files: the same in every mode, nobody's twice, and never a way out of the folder.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::folder::{There, all_in, quick_folder, saved_in};
use support::{Origin, Reply, Run, Seen, class_of, in_every_mode};
use tempfile::{TempDir, tempdir};

/// An origin whose bodies are the paths that were asked for.
fn echo() -> Origin {
    Origin::new(|request| Reply::ok(&request.path))
}

/// The same, but the server proposes these names: for `/n` the nth of these Content-Disposition fields.
fn proposing(fields: &[Vec<u8>]) -> Origin {
    let fields = fields.to_vec();
    Origin::new(move |request| {
        let number = request.path.trim_matches(|letter: char| !letter.is_ascii_digit());
        let Some(field) = number.parse::<usize>().ok().and_then(|number| fields.get(number)) else {
            return Reply::ok(&request.path);
        };
        let length = request.path.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Disposition: ");
        let bytes = [head.as_bytes(), field, b"\r\n\r\n", request.path.as_bytes()].concat();
        Reply::raw(bytes, support::End::KeepAlive)
    })
}

fn list_of(origin: &Origin, paths: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    paths.into_iter().map(|path| origin.url(path.as_ref()) + "\n").collect()
}

/// A list of these names that are asked for, each for another URL.
fn list_with(origin: &Origin, outs: &[impl AsRef<str>]) -> String {
    let entry = |(number, out): (usize, &_)| {
        let out: &str = AsRef::as_ref(out);
        format!("{}\n out={out}\n", origin.url(&format!("/{number}")))
    };
    outs.iter().enumerate().map(entry).collect()
}

/// One try at each URL.
fn saving(mode: &str, folder: &Path) -> Run {
    Run::json(mode).args(["--retry", "0", "-d"]).arg(folder)
}

/// The names told, in the order of the list.
fn names(seen: &Seen) -> Vec<String> {
    let name = |row: &Value| row["path"].as_str().unwrap_or_else(|| panic!("{row}")).to_owned();
    seen.rows_in_list_order().iter().map(name).collect()
}

fn outcomes(seen: &Seen) -> BTreeSet<String> {
    let outcome = |row: &Value| row["outcome"].as_str().unwrap().to_owned();
    seen.rows().iter().map(outcome).collect()
}

/// The name with the mark of eight digits that keeps it from another one.
fn is_marked(name: &str, stem: &str, extension: &str) -> bool {
    let mark = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(extension));
    let digits = mark.and_then(|mark| mark.strip_prefix('.')).unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// A folder to save into, among others that are nobody's business.
struct Ground {
    ground: TempDir,
    before: BTreeMap<String, There>,
}

impl Ground {
    fn new() -> Self {
        let ground = tempdir().unwrap();
        fs::create_dir(ground.path().join("elsewhere")).unwrap();
        for name in ["beside.txt", "elsewhere/kept.txt"] {
            fs::write(ground.path().join(name), "kept").unwrap();
        }
        let before = all_in(ground.path());
        Self { ground, before }
    }

    /// The folder to save into.
    fn dir(&self) -> PathBuf {
        self.ground.path().join("dir")
    }

    fn ensure_nothing_was_touched_outside(&self) {
        let mut now = all_in(self.ground.path());
        now.retain(|name, _| name != "dir" && !name.starts_with("dir/"));
        assert_eq!(now, self.before);
    }

    /// What was saved is what the rows say, where they say it, under names that do no harm; nothing else is there, and
    /// the bookkeeping is sound.
    fn ensure_it_holds_what_the_rows_say(&self, seen: &Seen, origin: &Origin) {
        self.ensure_nothing_was_touched_outside();
        let mut told = BTreeMap::new();
        for row in seen.rows().iter().filter(|row| row["outcome"] == "ok") {
            let (path, url) = (row["path"].as_str().unwrap(), row["url"].as_str().unwrap());
            let asked = url.strip_prefix(&origin.url("")).unwrap().split('#').next().unwrap();
            assert!(path.split('/').all(is_tame), "{row}");
            let before = told.insert(path.to_owned(), asked.as_bytes().to_vec());
            assert_eq!(before, None, "{row}");
        }
        assert_eq!(saved_in(&self.dir()), told);
        self.ensure_the_bookkeeping_is_sound();
    }

    fn ensure_the_bookkeeping_is_sound(&self) {
        let kept = all_in(&self.dir().join(".fetch"));
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["lock", "manifest.jsonl"]);
        assert_eq!(kept["lock"], There::File(Vec::new()));
        let There::File(manifest) = &kept["manifest.jsonl"] else { panic!("{kept:?}") };
        for line in String::from_utf8_lossy(manifest).lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(["saved", "partial", "dropped"].contains(&entry["type"].as_str().unwrap()));
        }
    }
}

/// Whether a component of a name does no harm on any system, as far as these tests make harmful ones.
fn is_tame(component: &str) -> bool {
    let hidden = |letter: char| {
        letter.is_control() || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
    };
    let stem = component.split('.').next().unwrap().to_ascii_uppercase();
    !component.is_empty()
        && component.len() + ".part".len() <= 255
        && !component.starts_with('.')
        && !component.ends_with(['.', ' '])
        && !component.to_ascii_lowercase().ends_with(".part")
        && !component.contains(hidden)
        && !component.contains(['\\', ':', '"', '*', '?', '<', '>', '|'])
        && !["CON", "PRN", "AUX", "NUL", "COM1", "LPT9"].contains(&stem.as_str())
}

// The same names.

#[test]
fn twenty_urls_with_one_basename_give_twenty_files_with_the_same_names_each_time() {
    let origin = echo();
    let paths: Vec<_> = (0..20).map(|number| format!("/{number}/page.html")).collect();
    let mut all = BTreeSet::new();
    for mode in support::MODES {
        for jobs in ["16", "3"] {
            let ground = Ground::new();
            let run =
                || saving(mode, &ground.dir()).args(["-j", jobs]).list(list_of(&origin, &paths));
            let seen = run().seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
            let names = names(&seen);
            assert_eq!(names[0], "page.html");
            assert!(names[1..].iter().all(|name| is_marked(name, "page", ".html")), "{names:?}");
            assert_eq!(saved_in(&ground.dir()).len(), 20);
            all.insert(names.clone());

            let before = origin.requests();
            let again = run().seen();
            assert_eq!((again.code, outcomes(&again)), (Some(0), ["skipped".to_owned()].into()));
            assert_eq!((self::names(&again), origin.requests()), (names, before));
        }
    }
    assert_eq!(all.len(), 1);
}

/// Ten thousand targets, most of which want a name that another one has: the same, in another case, of another query,
/// or a folder's.
fn ten_thousand(origin: &Origin) -> String {
    let entry = |number: usize| {
        let (group, kind) = (number / 8 % 300, number % 8);
        match kind {
            0 => origin.url(&format!("/{number}/page{group}.html\n")),
            1 => origin.url(&format!("/{number}/Page{group}.HTML\n")),
            2 => origin.url(&format!("/{number}/page{group}.html?x={}\n", number % 3)),
            3 => origin.url(&format!("/{number}/\n")),
            4 => origin.url(&format!("/{number}\n out=both{group}\n")),
            5 => origin.url(&format!("/{number}\n out=Both{group}/file\n")),
            6 => origin.url(&format!("/{number}\n out=both{group}/file/deeper\n")),
            _ => origin.url(&format!("/{number}/%c3%9c{group}\n")),
        }
    };
    (0..10_000).map(entry).collect()
}

#[test]
fn the_names_of_ten_thousand_lines_are_the_same_in_every_mode_and_at_any_number_of_jobs() {
    let origin = echo();
    let list = ten_thousand(&origin);
    let mut all = Vec::new();
    for (mode, jobs) in [("sequential", "1"), ("threads", "5"), ("async", "64")] {
        let folder = quick_folder();
        let seen = saving(mode, folder.path()).args(["-j", jobs]).list(&list).seen();
        assert_eq!(seen.code, Some(0), "{}", seen.stderr);
        all.push(names(&seen));
    }
    assert_eq!(all[0].len(), 10_000);
    let folded: BTreeSet<_> = all[0].iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), 10_000, "no two are one file anywhere");
    assert!(all[1] == all[0] && all[2] == all[0], "the names differ");
}

#[test]
fn a_file_that_meets_a_folder_of_a_tree_moves_aside_the_same_way_in_every_mode() {
    let origin = echo();
    let paths = ["/a", "/a/b", "/A/b/c", "/d/e", "/d", "/d/", "/d/index.html", "/D/E"];
    let mut all = BTreeSet::new();
    for mode in support::MODES {
        let ground = Ground::new();
        let run = saving(mode, &ground.dir()).args(["--names", "tree", "-j", "8"]);
        let seen = run.list(list_of(&origin, paths)).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
        all.insert(names(&seen));
    }
    let [names] = &all.into_iter().collect::<Vec<_>>()[..] else { panic!("the names differ") };
    let host = origin.address().to_string().replace(':', "_");
    let names: Vec<_> = names.iter().map(|name| name.strip_prefix(&host).unwrap()).collect();
    assert_eq!((names[0], names[3], names[5]), ("/a", "/d/e", "/d/index.html"));
    let (folder, file) = names[1].rsplit_once('/').unwrap();
    assert!(is_marked(folder, "/a", "") && file == "b", "{names:?}");
    assert!(is_marked(names[4], "/d", ""), "{names:?}");
    assert!(is_marked(names[6], "/d/index", ".html"), "{names:?}");
    assert!(is_marked(names[7], "/D/E", ""), "{names:?}");
}

// The schemes.

#[test]
fn every_scheme_names_files_in_its_own_way() {
    let origin = echo();
    let list = list_of(&origin, ["/docs/page.html", "/docs/", "/docs/page.php?x=1", "/plain"]);
    let host = origin.address().to_string().replace(':', "_");
    let hashed = |path: &str, extension: &str| {
        let digits = HEXLOWER.encode(&Sha256::digest(origin.url(path)));
        format!("{}/{}/{digits}{extension}", &digits[..2], &digits[2..4])
    };
    let mark = &HEXLOWER.encode(&Sha256::digest("x=1"))[..8];
    let tree = ["page.html", "index.html", &format!("page.{mark}.php")]
        .map(|name| format!("{host}/docs/{name}"));
    let table = [
        (
            "flat",
            ["page.html".into(), "index.html".into(), format!("page.{mark}.php"), "plain".into()],
        ),
        ("tree", [tree[0].clone(), tree[1].clone(), tree[2].clone(), format!("{host}/plain")]),
        (
            "hash",
            [
                hashed("/docs/page.html", ".html"),
                hashed("/docs/", ".html"),
                hashed("/docs/page.php?x=1", ".php"),
                hashed("/plain", ""),
            ],
        ),
        (
            "index",
            ["000001.html".into(), "000002.html".into(), "000003.php".into(), "000004".into()],
        ),
    ];
    in_every_mode(|mode| {
        for (scheme, expected) in &table {
            let ground = Ground::new();
            let run = || saving(mode, &ground.dir()).args(["--names", scheme]).list(&list);
            let seen = run().seen();
            assert_eq!(names(&seen), *expected, "{scheme}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
            let again = run().seen();
            assert_eq!(outcomes(&again), ["skipped".to_owned()].into(), "{scheme}");
            assert_eq!(names(&again), *expected, "{scheme}");
        }
    });
}

#[test]
fn a_name_that_is_asked_for_wins_and_moves_aside_where_it_is_taken() {
    let origin = echo();
    let list = list_with(&origin, &["chosen.txt", "chosen.txt", "Chosen.TXT", "sub/chosen.txt"])
        + &list_of(&origin, ["/chosen.txt"]);
    in_every_mode(|mode| {
        for scheme in ["flat", "tree", "hash", "index"] {
            let ground = Ground::new();
            let run = saving(mode, &ground.dir()).args(["--names", scheme]).list(&list);
            let seen = run.seen();
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
            let names = names(&seen);
            assert_eq!(names[0], "chosen.txt", "{scheme}");
            assert!(is_marked(&names[1], "chosen", ".txt"), "{names:?}");
            assert!(is_marked(&names[2], "Chosen", ".TXT"), "{names:?}");
            assert_eq!(names[3], "sub/chosen.txt");
            assert_eq!(is_marked(&names[4], "chosen", ".txt"), scheme == "flat", "{names:?}");
        }
    });
}

// Hostile names.

/// Paths of URLs whose last parts, decoded, are no good as names.
fn hostile_paths() -> Vec<String> {
    let mut paths: Vec<_> = [
        "/../../x",
        "/..%2f..%2fx",
        "/%2e%2e/%2e%2e/x",
        "/a/%2e%2e%2f%2e%2e%2fx",
        "/..%5c..%5cx",
        "/%2e%2e%5cx",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/C:%5cWindows%5cx",
        "/C:x",
        "/nul%00.txt",
        "/new%0aline",
        "/%1b%5b2J%1b%5d0;x%07",
        "/%c2%9b2J",
        "/%e2%80%aegpj.exe",
        "/a%e2%80%8bb",
        "/CON",
        "/con.txt",
        "/aux%20.x",
        "/COM1.tar.gz",
        "/dot.",
        "/dot.%20.%20",
        "/x.part",
        "/x.PART",
        "/x",
        "/.part",
        "/.fetch",
        "/.FETCH",
        "/.fetch/manifest.jsonl",
        "/.Fetch/Manifest.jsonl",
        "/.fetch%2fmanifest.jsonl",
        "/.fetch%5cmanifest.jsonl",
        "/.fetch/lock",
        "/FETCH~1/manifest.jsonl",
        "/.bashrc",
        "/-rf",
        "/%20",
        "/%2e",
        "/%2e%2e",
        "/.../x",
        "/%ff%fe%fd",
        "/%ef%bc%8e%ef%bc%8e%ef%bc%8fx",
    ]
    .map(str::to_owned)
    .into();
    paths.push(format!("/{}.txt", "x".repeat(300)));
    paths.push(format!("/x{}.txt", "%c3%a9".repeat(150)));
    paths.push(format!("/{}", "%f0%9f%8e%88".repeat(100)));
    paths.push(format!("/{}x", "d/".repeat(300)));
    paths.push(format!("/{}/x", "e".repeat(2000)));
    paths
}

#[test]
fn no_url_names_a_file_that_does_harm() {
    let origin = echo();
    let list = list_of(&origin, hostile_paths());
    in_every_mode(|mode| {
        for scheme in ["flat", "tree", "hash", "index"] {
            let ground = Ground::new();
            let run = || saving(mode, &ground.dir()).args(["--names", scheme]).list(&list);
            let seen = run().seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
            let again = run().seen();
            assert!(!outcomes(&again).contains("ok"), "{again:?}");
        }
    });
}

/// Names that a list may ask for, each of which is made harmless.
fn hostile_outs() -> Vec<String> {
    let mut outs: Vec<_> = [
        "%2e%2e%2fx",
        ".fetch/manifest.jsonl",
        ".FETCH/Manifest.jsonl",
        ".fetch",
        ".fetch\\manifest.jsonl",
        "./.fetch/lock",
        "FETCH~1/lock",
        "x",
        "x.part",
        "x.PART",
        "x.part/y",
        "CON",
        "aux/PRN.txt",
        "dot.",
        "...",
        "a/... /b",
        "..a",
        "C:x",
        "a\\b",
        "a\tb",
        "a/./b//c",
        ".bashrc",
        "-rf",
        "~/x",
        "$HOME/x",
        "a/.ssh/authorized_keys",
        "\u{202e}gpj.exe",
        "a\u{200b}b",
        "\u{9b}2J",
        "\u{ff0e}\u{ff0e}/x",
    ]
    .map(str::to_owned)
    .into();
    outs.push("x".repeat(300) + ".txt");
    outs.push(format!("x{}.txt", "é".repeat(150)));
    outs.push("d/".repeat(300) + "x");
    outs
}

#[test]
fn no_name_that_is_asked_for_does_harm() {
    let origin = echo();
    let list = list_with(&origin, &hostile_outs());
    in_every_mode(|mode| {
        for scheme in ["flat", "hash"] {
            let ground = Ground::new();
            let run = saving(mode, &ground.dir()).args(["--names", scheme]).list(&list);
            let seen = run.seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
        }
    });
}

#[test]
fn a_name_that_leads_out_of_the_folder_is_an_error_of_its_entry() {
    let origin = echo();
    let outs = [
        "../x",
        "a/../../x",
        "..",
        "/etc/passwd",
        "..\\x",
        "a\\..\\x",
        "\\x",
        "C:\\x",
        "c:/x",
        "sub/",
        ".",
        "\u{1b}[2J",
        "",
    ];
    let list = list_with(&origin, &outs) + &list_with(&origin, &["fine"]);
    in_every_mode(|mode| {
        let ground = Ground::new();
        let seen = saving(mode, &ground.dir()).list(&list).seen();
        assert_eq!(seen.code, Some(1));
        ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
        let (last, bad) =
            seen.rows_in_list_order().split_last().map(|(l, b)| (l.clone(), b.to_vec())).unwrap();
        assert_eq!((class_of(&last), &last["path"]), ("ok".into(), &"fine".into()));
        assert_eq!(bad.len(), outs.len());
        for (number, row) in bad.iter().enumerate() {
            assert_eq!(
                (&row["outcome"], class_of(row).as_str()),
                (&"invalid".into(), "invalid_url")
            );
            let message = row["error"]["message"].as_str().unwrap();
            assert!(message.starts_with(&format!("line {}: ", 2 * number + 2)), "{row}");
        }
        assert!(seen.stdout.contains("as in docs/page.html"));
    });
}

#[test]
fn a_name_with_nul_is_an_error_of_its_entry() {
    let origin = echo();
    // In a list's beginning it tells a binary file.
    let beginning = "# nothing\n".repeat(1_000);
    let list = beginning + &list_with(&origin, &["a\0b", "\0/etc/passwd"]);
    in_every_mode(|mode| {
        let ground = Ground::new();
        let seen = saving(mode, &ground.dir()).list(&list).seen();
        assert_eq!(seen.classes_in_list_order(), ["invalid_url", "invalid_url"]);
        ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
    });
}

fn hostile_fields() -> Vec<Vec<u8>> {
    let mut fields: Vec<_> = [
        r#"attachment; filename="../../x""#,
        r#"attachment; filename="/etc/passwd""#,
        r#"attachment; filename="..\\..\\x""#,
        r#"attachment; filename="C:\\x""#,
        "attachment; filename*=UTF-8''..%2F..%2Fx",
        "attachment; filename*=UTF-8''%2e%2e",
        "attachment; filename*=UTF-8''nul%00.txt",
        "attachment; filename*=UTF-8''new%0aline",
        "attachment; filename*=UTF-8''%1b%5b2J",
        "attachment; filename*=UTF-8''%c2%9b2J",
        "attachment; filename*=UTF-8''%e2%80%aegpj.exe",
        "attachment; filename*=ISO-8859-1''%9b2J",
        "attachment; filename=\"tab\there\"",
        "attachment; filename=CON",
        "attachment; filename=lpt9.txt",
        r#"attachment; filename="dot. .""#,
        "attachment; filename=y.part",
        "attachment; filename=y.PART",
        "attachment; filename=y",
        "attachment; filename=.fetch",
        "attachment; filename=.FETCH",
        "attachment; filename=.fetch/manifest.jsonl",
        "attachment; filename=manifest.jsonl",
        "attachment; filename=FETCH~1",
        "attachment; filename=.bashrc",
        r#"attachment; filename="""#,
        "attachment; filename=..",
        "attachment; filename=30",
        "attachment; filename=31",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    fields.push(b"attachment; filename=\xff\xfe".to_vec());
    fields.push(format!("attachment; filename={}.txt", "x".repeat(300)).into_bytes());
    fields.push(format!("attachment; filename*=UTF-8''x{}.txt", "%c3%a9".repeat(150)).into_bytes());
    fields
}

#[test]
fn no_name_that_a_server_proposes_does_harm() {
    let fields = hostile_fields();
    let origin = proposing(&fields);
    let list = list_of(&origin, (0..fields.len()).map(|number| format!("/{number}")));
    in_every_mode(|mode| {
        for scheme in ["flat", "tree", "index"] {
            let ground = Ground::new();
            let run = || saving(mode, &ground.dir()).args(["-J", "--names", scheme]).list(&list);
            let seen = run().seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
            let before = origin.requests();
            let again = run().seen();
            assert_eq!(outcomes(&again), ["skipped".to_owned()].into(), "{again:?}");
            assert_eq!((names(&again), origin.requests()), (names(&seen), before));
        }
    });
}

/// What names are made of where they are made up: pieces that mean something somewhere, and any letter.
fn any_name() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just("/".to_owned()),
        Just("\\".to_owned()),
        Just(".part".to_owned()),
        Just(".fetch".to_owned()),
        Just("manifest.jsonl".to_owned()),
        Just("con".to_owned()),
        Just("\u{202e}".to_owned()),
        "[xXéÉ]{0,2}",
        "[ -~]",
        "\\PC",
        "(x|é|\u{1f388}){100,130}",
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

#[test]
fn no_made_up_name_does_harm() {
    let encoded = |name: &str| {
        name.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>().replace("%2f", "/")
    };
    in_every_mode(|mode| {
        let names = prop::collection::vec(any_name(), 150);
        let config = ProptestConfig { cases: 2, failure_persistence: None, ..Default::default() };
        let proved = TestRunner::new(config).run(&names, |names| {
            let fields = names.iter().map(|name| {
                let escaped = encoded(name).replace('/', "%2f");
                format!("attachment; filename*=UTF-8''{escaped}").into_bytes()
            });
            let origin = proposing(&fields.collect::<Vec<_>>());
            let plain = names.iter().map(|name| format!("/x/{}", encoded(name)));
            let numbered = (0..names.len()).map(|number| format!("/{number}"));
            let outs = names.iter().enumerate().map(|(number, name)| {
                format!("{}\n out={name}\n", origin.url(&format!("/out?{number}x")))
            });
            let list =
                list_of(&origin, plain) + &list_of(&origin, numbered) + &outs.collect::<String>();
            for words in [&["-J"][..], &["--names", "tree"]] {
                let ground = Ground::new();
                let seen = saving(mode, &ground.dir()).args(words).list(&list).seen();
                ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
                prop_assert!(!outcomes(&seen).contains("failed"), "{:?}", seen);

                // A list of what failed asks for the names that were given: they are given again.
                let rows = seen.rows_in_list_order();
                let given: Vec<_> = rows.iter().filter_map(|row| row["path"].as_str()).collect();
                let list = list_with(&origin, &given);
                let again = saving(mode, &Ground::new().dir()).arg("--dry-run").list(list).seen();
                let again = told(&again);
                prop_assert_eq!(again.iter().map(|row| &row["path"]).collect::<Vec<_>>(), given);
            }
            Ok(())
        });
        proved.unwrap();
    });
}

// What is in the way.

#[test]
fn nothing_that_stands_in_the_way_leads_outside_or_is_touched() {
    let origin = echo();
    let host = origin.address().to_string().replace(':', "_");
    let outs = [
        "linked/kept.txt",
        "linked/new.txt",
        "final",
        "dangling",
        "begun",
        "pipe",
        "piped",
        "begun-folder",
    ];
    let list = list_with(&origin, &outs) + &list_of(&origin, ["/kept.txt"]);
    in_every_mode(|mode| {
        for words in [&["--names", "tree"][..], &["--names", "tree", "--overwrite"]] {
            let ground = Ground::new();
            let dir = ground.dir();
            fs::create_dir(&dir).unwrap();
            for (name, target) in [
                ("linked", "../elsewhere"),
                (host.as_str(), "../elsewhere"),
                ("final", "../elsewhere/kept.txt"),
                ("dangling", "../elsewhere/new.txt"),
                ("begun.part", "../elsewhere/kept.txt"),
            ] {
                symlink(target, dir.join(name)).unwrap();
            }
            for name in ["pipe", "piped.part"] {
                mknodat(CWD, dir.join(name), FileType::Fifo, Mode::RWXU, 0).unwrap();
            }
            fs::create_dir(dir.join("begun-folder.part")).unwrap();
            let before = all_in(&dir);
            let seen = saving(mode, &dir).args(words).list(&list).seen();
            assert_eq!(seen.code, Some(1), "{seen:?}");
            assert!(seen.classes_in_list_order().iter().all(|class| class == "name"), "{seen:?}");
            ground.ensure_nothing_was_touched_outside();
            ground.ensure_the_bookkeeping_is_sound();
            let mut now = all_in(&dir);
            now.retain(|name, _| !name.starts_with(".fetch"));
            assert_eq!(now, before);
        }
    });
}

#[test]
fn a_link_within_the_folder_makes_no_second_name_of_a_file() {
    let origin = echo();
    let list = list_with(&origin, &["folder/page", "linked/page", "alias"]);
    in_every_mode(|mode| {
        let ground = Ground::new();
        fs::create_dir_all(ground.dir().join("folder")).unwrap();
        symlink("folder", ground.dir().join("linked")).unwrap();
        symlink("folder/page", ground.dir().join("alias")).unwrap();
        for _ in 0..2 {
            let seen = saving(mode, &ground.dir()).arg("--overwrite").list(&list).seen();
            let classes = seen.classes_in_list_order();
            assert_eq!(
                (seen.code, &classes[1..]),
                (Some(1), &["name".to_owned(), "name".to_owned()][..])
            );
            assert_eq!(saved_in(&ground.dir())["folder/page"], b"/0");
            assert_eq!(saved_in(&ground.dir()).len(), 1);
        }
    });
}

#[test]
fn a_folder_that_becomes_a_link_while_its_file_is_fetched_is_not_followed() {
    in_every_mode(|mode| {
        for target in ["../elsewhere", "other"] {
            let ground = Ground::new();
            let dir = ground.dir();
            let origin = Origin::new(move |request| {
                fs::create_dir_all(dir.join("other")).unwrap();
                symlink(target, dir.join("folder")).unwrap();
                Reply::ok(&request.path)
            });
            let list = list_with(&origin, &["folder/new.txt"]);
            let seen = saving(mode, &ground.dir()).arg("--overwrite").list(list).seen();
            assert_eq!(
                (seen.code, class_of(&seen.row())),
                (Some(1), "name".to_owned()),
                "{seen:?}"
            );
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
        }
    });
}

#[test]
fn a_manifest_that_was_tampered_with_leads_nowhere() {
    let origin = echo();
    let id = HEXLOWER.encode(&Sha256::digest(origin.url("/page")));
    let entry = |path: &str, part: &str| {
        format!(
            "{{\"type\":\"saved\",\"url\":\"\",\"id\":\"{id}\",\"path\":\"{path}\",\"part\":\"{part}\",\
             \"bytes\":4,\"replaces\":true,\"saved_at\":\"2026-01-01T00:00:00Z\"}}\n"
        )
    };
    let entries = [
        entry("../elsewhere/kept.txt", "x"),
        entry("/etc/passwd", "x"),
        entry(".fetch/lock", "x"),
        entry("page", "../elsewhere/kept.txt"),
        entry("../beside.txt", "../elsewhere/kept.txt"),
    ];
    in_every_mode(|mode| {
        for (entry, words) in entries.iter().flat_map(|entry| [(entry, None), (entry, Some("-J"))])
        {
            let ground = Ground::new();
            fs::create_dir_all(ground.dir().join(".fetch")).unwrap();
            fs::write(ground.dir().join(".fetch/manifest.jsonl"), entry).unwrap();
            let run = saving(mode, &ground.dir()).args(words).list(list_of(&origin, ["/page"]));
            let seen = run.seen();
            assert!(["ok", "name"].contains(&class_of(&seen.row()).as_str()), "{seen:?}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
        }
    });
}

#[test]
fn a_file_begun_under_a_name_that_is_another_files_too_leaves_that_as_it_is() {
    let origin = echo();
    in_every_mode(|mode| {
        let ground = Ground::new();
        fs::create_dir(ground.dir()).unwrap();
        let kept = ground.ground.path().join("elsewhere/kept.txt");
        fs::hard_link(kept, ground.dir().join("0.part")).unwrap();
        let seen = saving(mode, &ground.dir()).list(list_of(&origin, ["/0"])).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
    });
}

#[test]
fn bookkeeping_that_leads_elsewhere_ends_the_run_before_it_begins() {
    let origin = echo();
    in_every_mode(|mode| {
        for (name, target) in [
            (".fetch", "../elsewhere"),
            (".fetch/manifest.jsonl", "../../elsewhere/kept.txt"),
            (".fetch/lock", "../../elsewhere/new.txt"),
        ] {
            let ground = Ground::new();
            let link = ground.dir().join(name);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(target, link).unwrap();
            for words in [&[][..], &["--dry-run"]] {
                let seen =
                    saving(mode, &ground.dir()).args(words).list(list_of(&origin, ["/0"])).seen();
                let expected = if words.is_empty() || name != ".fetch/lock" { 3 } else { 0 };
                assert_eq!(seen.code, Some(expected), "{name}: {seen:?}");
                ground.ensure_nothing_was_touched_outside();
            }
        }
    });
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_file_that_is_not_ours_stays_and_its_target_fails_unless_it_may_be_overwritten() {
    let origin = echo();
    in_every_mode(|mode| {
        let ground = Ground::new();
        fs::create_dir_all(ground.dir().join("folder")).unwrap();
        for name in ["mine", "folder/mine"] {
            fs::write(ground.dir().join(name), "mine").unwrap();
        }
        let list = list_of(&origin, ["/mine", "/folder", "/free"]);
        let before = origin.requests();
        let seen = saving(mode, &ground.dir()).list(&list).seen();
        assert_eq!(seen.code, Some(1));
        assert_eq!(seen.classes_in_list_order(), ["name", "name", "ok"]);
        assert_eq!(origin.requests() - before, 1, "what has no place is not asked for");
        let rows = seen.rows_in_list_order();
        assert!(
            rows[0]["error"]["message"].as_str().unwrap().contains("--overwrite"),
            "{}",
            rows[0]
        );
        let saved = saved_in(&ground.dir());
        assert_eq!(saved.len(), 3);
        assert_eq!((&*saved["mine"], &*saved["folder/mine"]), (&b"mine"[..], &b"mine"[..]));

        let seen = saving(mode, &ground.dir()).arg("--overwrite").list(&list).seen();
        assert_eq!(seen.code, Some(1));
        assert_eq!(seen.classes_in_list_order(), ["ok", "name", "ok"]);
        let saved = saved_in(&ground.dir());
        assert_eq!((&*saved["mine"], &*saved["folder/mine"]), (&b"/mine"[..], &b"mine"[..]));

        let seen = saving(mode, &ground.dir()).list(list_of(&origin, ["/mine"])).seen();
        assert_eq!(outcomes(&seen), ["skipped".to_owned()].into(), "it is ours now");
    });
}

#[test]
fn a_file_that_comes_while_its_name_is_being_fetched_is_not_replaced() {
    in_every_mode(|mode| {
        let ground = Ground::new();
        let late = ground.dir().join("late");
        let origin = Origin::new(move |request| {
            fs::write(&late, "mine").unwrap();
            Reply::ok(&request.path)
        });
        let list = list_of(&origin, ["/late"]);
        for _ in 0..2 {
            let seen = saving(mode, &ground.dir()).list(&list).seen();
            assert_eq!(
                (seen.code, seen.classes_in_list_order()),
                (Some(1), vec!["name".to_owned()])
            );
            assert_eq!(saved_in(&ground.dir()).get("late"), Some(&b"mine".to_vec()));
            ground.ensure_the_bookkeeping_is_sound();
        }
        assert_eq!(origin.requests(), 1, "the second time it was there before");
    });
}

// From run to run.

#[test]
fn a_name_that_the_manifest_gives_to_another_url_is_taken() {
    let origin = echo();
    in_every_mode(|mode| {
        let ground = Ground::new();
        let run = |path: &str| saving(mode, &ground.dir()).list(list_of(&origin, [path])).seen();
        let first = run("/a/page.html");
        let second = run("/b/Page.html");
        assert_eq!(names(&first), ["page.html"]);
        assert!(is_marked(&names(&second)[0], "Page", ".html"), "{second:?}");
        let before = origin.requests();
        for (path, earlier) in [("/b/Page.html", &second), ("/a/page.html", &first)] {
            let again = run(path);
            assert_eq!(
                (outcomes(&again), names(&again)),
                (["skipped".to_owned()].into(), names(earlier))
            );
        }
        assert_eq!(origin.requests(), before);
        assert_eq!(saved_in(&ground.dir()).len(), 2);
    });
}

#[test]
fn what_failed_is_fetched_to_where_the_first_list_expects_it() {
    in_every_mode(|mode| {
        for words in [
            &["--names", "flat"],
            &["--names", "tree"],
            &["--names", "hash"],
            &["--names", "index"],
            &["-J", "--quiet"],
        ] {
            let origin = Origin::new(|request| match (request.path.as_str(), request.nth) {
                ("/b/page.html" | "/chosen?1", 0) => Reply::of("503 Busy", "", ""),
                _ => Reply::ok(&request.path),
            });
            let ground = Ground::new();
            let again = ground.ground.path().join("again.txt");
            let list = list_of(&origin, ["/a/page.html", "/b/page.html", "/c/page.html"])
                + &format!(
                    "{}\n out=my name\n{}\n out=My Name\n",
                    origin.url("/chosen?0"),
                    origin.url("/chosen?1")
                );
            let run = || saving(mode, &ground.dir()).args(words).arg("--failed").arg(&again);
            let seen = run().list(&list).seen();
            assert_eq!((seen.code, &seen.summary()["failed"]), (Some(1), &2.into()), "{seen:?}");
            let written = fs::read_to_string(&again).unwrap();
            assert_eq!(written.matches("\n  out=").count(), 2, "{written}");

            let rest = saving(mode, &ground.dir()).args(words).arg(&again).seen();
            assert_eq!((rest.code, &rest.summary()["ok"]), (Some(0), &2.into()), "{rest:?}");
            fs::remove_file(&again).unwrap();

            let before = origin.requests();
            let third = run().list(&list).seen();
            assert_eq!(third.summary()["skipped"], 5, "{third:?}");
            assert_eq!(origin.requests(), before);
            fs::remove_file(&again).unwrap();
            ground.ensure_nothing_was_touched_outside();
            assert_eq!(saved_in(&ground.dir()).len(), 5);
        }
    });
}

#[test]
fn what_was_left_undone_is_listed_with_its_name_too() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::of("404 No", "", ""));
        let ground = Ground::new();
        let again = ground.ground.path().join("again.txt");
        let paths = (0..8_000).map(|number| format!("/{number}/page.html"));
        let run = saving(mode, &ground.dir()).args(["--fail-fast", "--failed"]).arg(&again);
        let seen = run.list(list_of(&origin, paths)).seen();
        assert_eq!(seen.code, Some(4), "{}", seen.stderr);
        let written = fs::read_to_string(&again).unwrap();
        let lines: Vec<_> = written.lines().collect();
        assert_eq!(lines.len(), 3 * seen.rows().len());
        let mut names = BTreeSet::new();
        for entry in lines.chunks(3) {
            let name = entry[2].strip_prefix("  out=").unwrap_or_else(|| panic!("{entry:?}"));
            assert!(names.insert(name), "{entry:?}");
        }
    });
}

// The server's names.

fn proposed(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| format!("attachment; filename=\"{name}\"").into_bytes()).collect()
}

#[test]
fn a_name_that_the_server_proposes_is_taken_where_that_was_asked_for() {
    let origin = proposing(&proposed(&["report.pdf", "report.pdf", "Report.PDF", "listed"]));
    let list = list_of(&origin, ["/0", "/1", "/2", "/3", "/without"])
        + &format!("{}\n out=listed\n", origin.url("/x?0"));
    in_every_mode(|mode| {
        let ground = Ground::new();
        let seen = saving(mode, &ground.dir()).list(&list).seen();
        assert_eq!(names(&seen)[..5], ["0", "1", "2", "3", "without"], "nobody asked for it");

        for scheme in ["flat", "tree"] {
            let ground = Ground::new();
            let run = || saving(mode, &ground.dir()).args(["-J", "--names", scheme]).list(&list);
            let seen = run().seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
            let host = origin.address().to_string().replace(':', "_");
            let prefix = if scheme == "tree" { format!("{host}/") } else { String::new() };
            let names = names(&seen);
            let bare: Vec<_> =
                names[..5].iter().map(|name| name.strip_prefix(&prefix).unwrap()).collect();
            let as_proposed =
                bare[..3].iter().filter(|name| name.eq_ignore_ascii_case("report.pdf"));
            assert_eq!(as_proposed.count(), 1, "{names:?}");
            let aside =
                |name: &str| is_marked(name, "report", ".pdf") || is_marked(name, "Report", ".PDF");
            assert_eq!(bare[..3].iter().filter(|name| aside(name)).count(), 2, "{names:?}");
            assert_eq!((bare[4], names[5].as_str()), ("without", "listed"));
            if scheme == "flat" {
                assert!(is_marked(bare[3], "listed", ""), "the list named it first: {names:?}");
            }

            let before = origin.requests();
            let again = run().seen();
            assert_eq!(outcomes(&again), ["skipped".to_owned()].into(), "{again:?}");
            assert_eq!((self::names(&again), origin.requests()), (names, before));
        }
    });
}

#[test]
fn a_file_that_is_not_ours_keeps_the_name_that_a_server_proposes() {
    let origin = proposing(&proposed(&["mine.txt", "folder"]));
    let list = list_of(&origin, ["/0", "/1"]);
    in_every_mode(|mode| {
        for words in [&["-J"][..], &["-J", "--overwrite"]] {
            let ground = Ground::new();
            fs::create_dir_all(ground.dir().join("folder")).unwrap();
            fs::write(ground.dir().join("mine.txt"), "mine").unwrap();
            let run = || saving(mode, &ground.dir()).args(words).list(&list).seen();
            let seen = run();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            let names = names(&seen);
            assert!(is_marked(&names[0], "mine", ".txt"), "{names:?}");
            assert!(is_marked(&names[1], "folder", ""), "{names:?}");
            let saved = saved_in(&ground.dir());
            assert_eq!(&*saved["mine.txt"], b"mine");
            assert_eq!(&*saved[&names[0]], b"/0");
            ground.ensure_the_bookkeeping_is_sound();

            let before = origin.requests();
            let again = run();
            assert_eq!(outcomes(&again), ["skipped".to_owned()].into(), "{again:?}");
            assert_eq!((self::names(&again), origin.requests()), (names, before));
        }
    });
}

// The dry run.

/// What a dry run tells of each target.
fn told(seen: &Seen) -> Vec<Value> {
    let objects = seen.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects.filter(|object| object["type"] == "target").collect()
}

#[test]
fn a_dry_run_tells_the_names_of_the_run_and_makes_nothing() {
    let origin = echo();
    let mut paths = hostile_paths();
    paths.extend(["/a/x", "/b/X", "/c/x"].map(str::to_owned));
    let list = list_of(&origin, paths) + &list_with(&origin, &hostile_outs());
    for scheme in ["flat", "tree", "hash", "index"] {
        let ground = Ground::new();
        let run = || saving("async", &ground.dir()).args(["--names", scheme]).list(&list);
        let dry = run().arg("--dry-run").seen();
        assert_eq!((dry.code, dry.stderr.as_str()), (Some(0), ""));
        assert_eq!(all_in(ground.ground.path()), ground.before, "not even the folder is there");

        let seen = run().seen();
        for (told, row) in told(&dry).iter().zip(seen.rows_in_list_order()) {
            assert_eq!((&told["index"], &told["path"]), (&row["index"], &row["path"]));
            assert_eq!(told["duplicate_of"], row["duplicate_of"]);
        }
        let before = all_in(ground.ground.path());
        let dry = run().arg("--dry-run").seen();
        assert_eq!(all_in(ground.ground.path()), before);
        assert!(told(&dry).iter().all(|told| told["outcome"] != Value::Null), "{}", dry.stdout);
    }
}

#[test]
fn a_dry_run_tells_what_would_become_of_each_target() {
    let origin = echo();
    let ground = Ground::new();
    let run = |list: &str| saving("async", &ground.dir()).list(list);
    let first = run(&list_of(&origin, ["/a/page.html"])).seen();
    assert_eq!(first.code, Some(0));
    fs::write(ground.dir().join("mine"), "mine").unwrap();
    let manifest = ground.dir().join(".fetch/manifest.jsonl");
    let torn = fs::read_to_string(&manifest).unwrap() + "{\"type\":\"sav";
    fs::write(&manifest, &torn).unwrap();
    let lock = File::open(ground.dir().join(".fetch/lock")).unwrap();
    lock.lock().unwrap();
    let before = all_in(ground.ground.path());
    let requests = origin.requests();

    let paths = ["/a/page.html", "/b/page.html", "/b/page.html#again", "/mine"];
    let list = list_of(&origin, paths);
    assert_eq!(run(&list).seen().code, Some(2), "another run is at it");
    let dry = run(&list).arg("--dry-run").seen();
    assert_eq!(dry.code, Some(1), "{dry:?}");
    let told = told(&dry);
    assert_eq!((&told[0]["outcome"], &told[0]["path"]), (&"skipped".into(), &"page.html".into()));
    assert_eq!(told[1]["outcome"], Value::Null);
    let second = told[1]["path"].as_str().unwrap();
    assert!(is_marked(second, "page", ".html"), "{second}");
    assert_eq!((&told[2]["outcome"], &told[2]["duplicate_of"]), (&"duplicate".into(), &2.into()));
    assert_eq!((&told[3]["outcome"], class_of(&told[3])), (&"failed".into(), "name".into()));

    let words = Run::new().args(["--dry-run", "-d"]).arg(ground.dir()).list(&list).seen().stdout;
    let url = |path: &str| origin.url(path);
    let lines: Vec<_> = words.lines().collect();
    assert_eq!(lines[0], format!("1 {} as page.html (skipped: saved before)", url(paths[0])));
    assert_eq!(lines[1], format!("2 {} as {second}", url(paths[1])));
    assert_eq!(lines[2], format!("3 {} (duplicate: the same as target 2)", url(paths[2])));
    assert!(lines[3].starts_with(&format!("4 {} (failed: ", url(paths[3]))), "{words}");
    assert!(words.contains("\n  names = \"flat\"\n"), "{words}");
    let last =
        "Would fetch 1 site; 1 skipped; 1 duplicate; 1 failed (dry run: nothing was fetched)";
    assert_eq!(lines.last(), Some(&last));

    let quiet = run(&list).args(["--dry-run", "-q"]).seen();
    assert_eq!(self::told(&quiet), told[3..], "failures alone");
    assert_eq!(all_in(ground.ground.path()), before);
    assert_eq!(origin.requests(), requests);
}

#[test]
fn a_dry_run_foresees_a_rename_that_is_still_to_come_and_leaves_it_to_the_run() {
    let origin = echo();
    let ground = Ground::new();
    let run = || saving("sequential", &ground.dir()).list(list_of(&origin, ["/page"]));
    assert_eq!(run().env("FETCH_KILL_AT", "appended:1").seen().code, None);
    let before = all_in(ground.ground.path());
    assert!(before.contains_key("dir/page.part") && !before.contains_key("dir/page"));
    assert_eq!(told(&run().arg("--dry-run").seen())[0]["outcome"], "skipped");
    fs::write(ground.dir().join("page"), "mine").unwrap();
    assert_eq!(told(&run().arg("--dry-run").seen())[0]["outcome"], "failed");
    fs::remove_file(ground.dir().join("page")).unwrap();
    assert_eq!(all_in(ground.ground.path()), before);
    assert_eq!(outcomes(&run().seen()), ["skipped".to_owned()].into());
    assert_eq!(origin.requests(), 1);
}

#[test]
fn a_dry_run_into_what_is_no_folder_is_an_error() {
    let ground = Ground::new();
    let file = ground.ground.path().join("beside.txt");
    let seen = saving("async", &file).args(["--dry-run", "http://a.b/"]).seen();
    assert_eq!(seen.code, Some(3), "{seen:?}");
    assert!(seen.stderr.contains("beside.txt"), "{seen:?}");
    ground.ensure_nothing_was_touched_outside();
}
