//! URLs, `out=` options and Content-Disposition fields that try to leave the folder or to do harm in it.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{Ground, echo, list_of, list_with, names, outcomes, proposing, saving, told};
use crate::support::{class_of, in_every_mode};

/// Paths of URLs whose last parts, decoded, are no good as names.
pub(super) fn hostile_paths() -> Vec<String> {
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
pub(super) fn hostile_outs() -> Vec<String> {
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
            assert_eq!(row["line"], 2 * number + 2, "{row}");
        }
        assert!(seen.stdout.contains("e.g. docs/page.html"));
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
