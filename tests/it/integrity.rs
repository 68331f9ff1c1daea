//! A body is saved only if it is the one that it should be: as the list, a person, a file of sums or the reply says.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::support::saved_files::{entry, names, saved_in};
use crate::support::{End, Origin, Reply, Request, Run, Seen, class_of, in_every_mode};

/// What `hello` hashes to.
const HELLO: [(&str, &str); 8] = [
    ("md5", "5d41402abc4b2a76b9719d911017c592"),
    ("sha-1", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
    ("sha-256", HELLO_SHA256),
    (
        "sha-512",
        "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7\
         2323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
    ),
    ("blake3", HELLO_BLAKE3),
    ("crc32", "3610a686"),
    ("crc32c", "9a71bb4c"),
    ("crc64nvme", "3377857006524257"),
];
const HELLO_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const HELLO_BLAKE3: &str = "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f";

/// Fields that claim something about a body that is `hello`, and are right.
const CLAIMS: [(&str, &str); 9] = [
    ("Repr-Digest", "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"),
    ("Content-Digest", "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"),
    ("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg=="),
    ("x-goog-hash", "crc32c=mnG7TA=="),
    ("x-goog-hash", "md5=XUFAKrxLKna5cZ2REBfFkg=="),
    ("x-amz-checksum-sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="),
    ("x-amz-checksum-crc32", "NhCmhg=="),
    ("x-amz-checksum-crc64nvme", "M3eFcAZSQlc="),
    ("x-ms-blob-content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
];

fn hello() -> Origin {
    Origin::new(|_| Reply::ok("hello"))
}

/// So many bytes that a body of them is on the disk before it is whole.
fn large() -> Vec<u8> {
    (0..200_000u32).map(|number| (number % 251) as u8).collect()
}

fn sha256(body: impl AsRef<[u8]>) -> String {
    Sha256::digest(body.as_ref()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// In the fields of RFC 9530.
fn repr(body: impl AsRef<[u8]>) -> String {
    let digest = Sha256::digest(body.as_ref());
    format!("sha-256=:{}:", data_encoding::BASE64.encode(&digest))
}

fn run(mode: &str) -> Run {
    Run::json(mode).args(["--retry-delay", "1ms"])
}

fn saving(mode: &str, folder: &Path) -> Run {
    run(mode).arg("-d").arg(folder)
}

/// The one target failed in class `checksum` after two requests, and nothing is left of it.
fn refused_twice(seen: &Seen, origin: &Origin, folder: &Path) {
    let row = seen.row();
    assert_eq!((seen.code, class_of(&row).as_str()), (Some(1), "checksum"), "{seen:?}");
    assert_eq!((&row["attempts"], origin.requests()), (&2.into(), 2), "{seen:?}");
    assert_eq!(row["path"], serde_json::Value::Null);
    assert_eq!(names(folder), [""; 0], "{seen:?}");
}

fn other(digits: &str) -> String {
    let first = if digits.starts_with('0') { '1' } else { '0' };
    format!("{first}{}", &digits[1..])
}

#[test]
fn a_body_is_held_against_the_checksum_that_the_list_gives_in_every_algorithm() {
    in_every_mode(|mode| {
        let (origin, folder) = (hello(), tempfile::tempdir().unwrap());
        let right = HELLO.iter().map(|(name, digits)| (name, (*digits).to_owned()));
        let wrong = HELLO.iter().map(|(name, digits)| (name, other(digits)));
        let list: String = (0..)
            .zip(right.chain(wrong))
            .map(|(number, (name, digits))| {
                format!("{}\n  checksum={name}={digits}\n", origin.url(&format!("/{number}")))
            })
            .collect();
        let seen = saving(mode, folder.path()).list(list).seen();
        assert_eq!(seen.code, Some(1));
        let rows = seen.rows_in_list_order();
        assert_eq!(rows.len(), 2 * HELLO.len());
        for (row, (name, digits)) in rows.iter().zip(HELLO.into_iter().chain(HELLO)) {
            let index = row["index"].as_u64().unwrap() as usize;
            if index <= HELLO.len() {
                assert_eq!((class_of(row).as_str(), &row["attempts"]), ("ok", &1.into()), "{row}");
                assert_eq!(row["digest"], format!("{name}={digits}"));
            } else {
                assert_eq!(class_of(row), "checksum", "{row}");
                assert_eq!((&row["attempts"], &row["digest"]), (&2.into(), &().into()), "{row}");
                let message = format!(
                    "checksum mismatch: the list expects {name} {}, got {digits}",
                    other(digits)
                );
                assert_eq!(row["error"]["message"], message);
            }
        }
        let saved: Vec<_> = (0..HELLO.len()).map(|number| number.to_string()).collect();
        assert_eq!(names(folder.path()), saved);
        assert_eq!(origin.requests(), 3 * HELLO.len());
    });
}

#[test]
fn a_large_body_that_is_not_the_right_one_leaves_no_trace() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new(|_| Reply::of("200 OK", "ETag: \"a\"\r\n", large()));
        let list = format!("{}\n  checksum=sha-256={HELLO_SHA256}\n", origin.url("/a"));
        let seen = saving(mode, folder.path()).list(list).seen();
        refused_twice(&seen, &origin, folder.path());
        assert!(origin.seen().iter().all(|request| request.header("range").is_none()));
    });
}

#[test]
fn a_body_that_is_right_at_the_second_time_is_saved() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new(|request| Reply::ok(["hullo", "hello"][request.nth]));
        let list = format!("{}\n  checksum=sha-256={HELLO_SHA256}\n", origin.url("/a"));
        let seen = saving(mode, folder.path()).list(list).seen();
        let row = seen.row();
        assert_eq!((seen.code, &row["attempts"]), (Some(0), &2.into()), "{seen:?}");
        assert_eq!((&row["bytes"], &row["wire_bytes"]), (&5.into(), &10.into()));
        assert_eq!(saved_in(folder.path()), [("a".to_owned(), b"hello".to_vec())].into());
    });
}

#[test]
fn a_mirror_that_has_the_right_body_is_used() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let (wrong, right) = (Origin::new(|_| Reply::ok("hullo")), hello());
        let urls = format!("{}\t{}", wrong.url("/a"), right.url("/a"));
        let list = format!("{urls}\n  checksum=sha-256={HELLO_SHA256}\n");
        let seen = saving(mode, folder.path()).list(list).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(seen.row()["served_by"], right.url("/a"));
        assert_eq!((wrong.requests(), right.requests()), (1, 1));
        assert_eq!(saved_in(folder.path())["a"], b"hello");
    });
}

#[test]
fn the_one_url_is_held_against_the_checksum_of_the_command_line() {
    in_every_mode(|mode| {
        let (origin, folder) = (hello(), tempfile::tempdir().unwrap());
        let checked = |digits: &str| {
            let sum = format!("SHA256={digits}");
            saving(mode, folder.path()).args(["--checksum", &sum, &origin.url("/a")]).seen()
        };
        let wrong = checked(&other(HELLO_SHA256));
        refused_twice(&wrong, &origin, folder.path());
        let message = wrong.row()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("--checksum expects sha-256 0cf24dba"), "{message}");
        let right = checked(&HELLO_SHA256.to_uppercase());
        assert_eq!(right.code, Some(0), "{right:?}");
        assert_eq!(names(folder.path()), ["a"]);
    });
}

#[test]
fn a_checksum_on_the_command_line_is_for_one_url_alone() {
    let origin = hello();
    let url = origin.url("/a");
    let sum = format!("sha-256={HELLO_SHA256}");
    for sources in [&[][..], &["-"], &["list.txt"], &[&url, &url], &[&url, "list.txt"]] {
        let seen = Run::new().args(["--checksum", &sum]).args(sources).seen();
        assert_eq!((seen.code, origin.requests()), (Some(2), 0), "{sources:?}");
        assert!(seen.stderr.contains("--checksum works with a single URL"), "{}", seen.stderr);
    }
    for nonsense in ["sha-256", "sha-256=12", "sha-3=12", "=", ""] {
        let seen = Run::new().args(["--checksum", nonsense, &url]).seen();
        assert_eq!((seen.code, origin.requests()), (Some(2), 0), "{nonsense}: {seen:?}");
    }
}

#[test]
fn bodies_are_held_against_a_file_of_sums_by_the_names_that_they_are_saved_under() {
    in_every_mode(|mode| {
        let (origin, folder) = (hello(), tempfile::tempdir().unwrap());
        let sums = folder.path().join("SHA256SUMS");
        let wrong = other(HELLO_SHA256);
        let text = format!("{HELLO_SHA256}  good\n{wrong} *bad\n{wrong}  sub/own\n");
        fs::write(&sums, text).unwrap();
        let list = format!(
            "{}\n{}\n{}\n  out=sub/own\n{}\n{}\n",
            origin.url("/x/good"),
            origin.url("/x/bad"),
            origin.url("/x/good2"),
            origin.url("/x/unlisted"),
            origin.url("/x/unlisted2"),
        );
        let files = folder.path().join("files");
        let seen = saving(mode, &files).arg("--sha256sums").arg(&sums).list(list).seen();
        let classes = ["ok", "checksum", "checksum", "ok", "ok"];
        assert_eq!(seen.classes_in_list_order(), classes, "{seen:?}");
        let message = &seen.rows_in_list_order()[1]["error"]["message"];
        assert!(message.as_str().unwrap().contains("--sha256sums expects"), "{message}");
        assert_eq!(names(&files), ["good", "unlisted", "unlisted2"]);
        let sums = sums.display();
        let notice = format!("warning: 2 files not listed in {sums} were not verified\n");
        assert!(seen.stderr.ends_with(&notice), "{}", seen.stderr);
    });
}

#[test]
fn a_file_of_sums_holds_where_nothing_is_saved_and_for_names_in_folders() {
    in_every_mode(|mode| {
        let (origin, folder) = (hello(), tempfile::tempdir().unwrap());
        let sums = folder.path().join("SHA256SUMS");
        fs::write(&sums, format!("{}  a\n", other(HELLO_SHA256))).unwrap();
        let seen = run(mode).arg("--sha256sums").arg(&sums).arg(origin.url("/x/a")).seen();
        assert_eq!(class_of(&seen.row()), "checksum", "{seen:?}");

        let files = folder.path().join("files");
        let args = ["--names", "tree", &origin.url("/x/a")];
        let seen = saving(mode, &files).arg("--sha256sums").arg(&sums).args(args).seen();
        assert_eq!(seen.code, Some(0), "the file's name has folders before it: {seen:?}");
        let saved = names(&files).remove(0);
        fs::write(&sums, format!("{}  ./{saved}\n", other(HELLO_SHA256))).unwrap();
        let again = ["--force", "--names", "tree", &origin.url("/x/a")];
        let seen = saving(mode, &files).arg("--sha256sums").arg(&sums).args(again).seen();
        assert_eq!(class_of(&seen.row()), "checksum", "{seen:?}");
        assert_eq!(names(&files), [saved], "what was there stays");
    });
}

#[test]
fn a_file_of_sums_that_is_none_is_refused_with_its_line_before_anything_is_fetched() {
    let (origin, folder) = (hello(), tempfile::tempdir().unwrap());
    let sums = folder.path().join("SUMS");
    let texts = [
        (format!("{HELLO_SHA256}  a\nnonsense\n"), "2"),
        (format!("{HELLO_SHA256}  a\n{}  ./a\n", other(HELLO_SHA256)), "2"),
        ("5d41402abc4b2a76b9719d911017c592  a\n".to_owned(), "1"),
    ];
    for (text, line) in texts {
        fs::write(&sums, text).unwrap();
        let seen = Run::new().arg("--sha256sums").arg(&sums).arg(origin.url("/a")).seen();
        assert_eq!((seen.code, origin.requests()), (Some(2), 0), "{seen:?}");
        assert!(seen.stderr.contains(&format!("SUMS:{line}: ")), "{}", seen.stderr);
    }
    let seen = Run::new().args(["--sha256sums", "no such file", &origin.url("/a")]).seen();
    assert_eq!((seen.code, origin.requests()), (Some(2), 0));
    assert!(seen.stderr.contains("no such file: "), "{}", seen.stderr);
}

#[test]
fn a_digest_is_told_in_the_row_and_in_the_manifest() {
    in_every_mode(|mode| {
        let (origin, folder) = (hello(), tempfile::tempdir().unwrap());
        for (name, digits) in HELLO {
            let seen = run(mode).args(["--digest", name, &origin.url("/a")]).seen();
            assert_eq!(seen.row()["digest"], format!("{name}={digits}"), "{seen:?}");
        }
        let args = ["--digest", "blake3,sha256", &origin.url("/a")];
        let seen = saving(mode, folder.path()).args(args).seen();
        assert_eq!(seen.row()["digest"], format!("blake3={HELLO_BLAKE3}"));
        let kept = entry(folder.path(), "a");
        assert_eq!((&kept["type"], &kept["sha256"]), (&"saved".into(), &HELLO_SHA256.into()));
        assert_eq!(kept["digest"], format!("blake3={HELLO_BLAKE3}"));
        // What was saved before is told with what is known of it.
        let again = saving(mode, folder.path()).arg(origin.url("/a")).seen().row();
        assert_eq!(again["outcome"], "skipped");
        assert_eq!(again["digest"], format!("sha-256={HELLO_SHA256}"));
    });
}

#[test]
fn without_a_wish_for_one_no_digest_is_told() {
    let (origin, folder) = (hello(), tempfile::tempdir().unwrap());
    let seen = saving("async", folder.path()).arg(origin.url("/a")).seen();
    assert_eq!(seen.row()["digest"], serde_json::Value::Null);
    assert_eq!(entry(folder.path(), "a")["sha256"], serde_json::Value::Null);
}

/// Where the first reply is cut.
const CUT: usize = 120_000;

/// Cuts its first reply, and answers the request for the rest with these fields too.
fn cutting(fields: impl Fn(&[u8]) -> String + Send + Sync + 'static) -> Origin {
    Origin::new(move |request: &Request| {
        let body = large();
        let Some(range) = request.header("range") else {
            let whole = Reply::of("200 OK", "ETag: \"a\"\r\n", &body);
            let is_first = request.nth == 0;
            return if is_first { whole.but(body.len() - CUT, End::Close) } else { whole };
        };
        let first: usize = range["bytes=".len()..].trim_end_matches('-').parse().unwrap();
        let fields = format!(
            "ETag: \"a\"\r\nContent-Range: bytes {first}-{}/{}\r\n{}",
            body.len() - 1,
            body.len(),
            fields(&body[first..])
        );
        Reply::of("206 Partial Content", &fields, &body[first..])
    })
}

#[test]
fn the_digest_of_a_continued_body_is_that_of_the_whole() {
    in_every_mode(|mode| {
        let (origin, folder) = (cutting(|_| String::new()), tempfile::tempdir().unwrap());
        let list = format!("{}\n  checksum=sha-256={}\n", origin.url("/a"), sha256(large()));
        let args = ["--digest", "sha-256"];
        let seen = saving(mode, folder.path()).args(args).list(list).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(origin.seen()[1].header("range"), Some(&*format!("bytes={CUT}-")));
        assert_eq!(seen.row()["digest"], format!("sha-256={}", sha256(large())));
        assert_eq!(entry(folder.path(), "a")["sha256"], sha256(large()));
        assert_eq!(saved_in(folder.path())["a"], large());
    });
}

#[test]
fn a_body_is_held_against_what_the_reply_says_of_it() {
    in_every_mode(|mode| {
        let (right, wrong) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let claiming = |body: &'static str| {
            Origin::new(move |request| {
                let (field, claim) = CLAIMS[request.path[1..].parse::<usize>().unwrap()];
                Reply::of("200 OK", &format!("{field}: {claim}\r\n"), body)
            })
        };
        let list = |origin: &Origin| -> String {
            let numbers = 0..CLAIMS.len();
            numbers.map(|number| origin.url(&format!("/{number}")) + "\n").collect()
        };
        let honest = claiming("hello");
        let seen = saving(mode, right.path()).list(list(&honest)).seen();
        assert_eq!((seen.code, honest.requests()), (Some(0), CLAIMS.len()), "{seen:?}");

        let damaged = claiming("hullo");
        let seen = saving(mode, wrong.path()).list(list(&damaged)).seen();
        assert_eq!(seen.classes_in_list_order(), ["checksum"; CLAIMS.len()], "{seen:?}");
        assert_eq!(damaged.requests(), 2 * CLAIMS.len());
        assert_eq!(names(wrong.path()), [""; 0]);
        for (row, (field, _)) in seen.rows_in_list_order().iter().zip(CLAIMS) {
            let message = row["error"]["message"].as_str().unwrap();
            assert!(message.contains(&format!("{field} expects ")), "{message}");
        }
    });
}

#[test]
fn in_a_part_content_digest_is_of_the_part_and_repr_digest_of_the_whole() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let origin = cutting(|rest| {
            format!("Content-Digest: {}\r\nRepr-Digest: {}\r\n", repr(rest), repr(large()))
        });
        let seen = saving(mode, folder.path()).arg(origin.url("/a")).seen();
        assert_eq!((seen.code, origin.requests()), (Some(0), 2), "{seen:?}");
        assert_eq!(saved_in(folder.path())["a"], large());
    });
}

#[test]
fn a_part_that_is_not_what_the_reply_says_is_given_up_with_what_was_there() {
    in_every_mode(|mode| {
        let swapped: [fn(&[u8]) -> String; 2] = [
            |_| format!("Content-Digest: {}\r\n", repr(large())),
            |rest| format!("Repr-Digest: {}\r\n", repr(rest)),
        ];
        for fields in swapped {
            let (origin, folder) = (cutting(fields), tempfile::tempdir().unwrap());
            let seen = saving(mode, folder.path()).arg(origin.url("/a")).seen();
            let row = seen.row();
            // Cut, continued and refused, asked for as a whole.
            assert_eq!((seen.code, &row["attempts"]), (Some(0), &3.into()), "{seen:?}");
            let asked = origin.seen();
            let ranges: Vec<_> = asked.iter().map(|asked| asked.header("range")).collect();
            assert_eq!(ranges, [None, Some(&*format!("bytes={CUT}-")), None]);
            assert_eq!(saved_in(folder.path())["a"], large());
        }
    });
}

#[test]
fn what_was_saved_is_fetched_again_for_a_list_that_wants_another_body() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new(|request| Reply::ok(["hullo", "hello"][request.nth]));
        let digesting = || saving(mode, folder.path()).args(["--digest", "sha-256"]);
        let seen = digesting().arg(origin.url("/a")).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let list = format!("{}\n  checksum=sha-256={HELLO_SHA256}\n", origin.url("/a"));
        for outcome in ["ok", "skipped"] {
            let seen = digesting().list(&list).seen();
            assert_eq!((seen.code, &seen.row()["outcome"]), (Some(0), &outcome.into()));
        }
        assert_eq!((origin.requests(), &*saved_in(folder.path())["a"]), (2, &b"hello"[..]));
    });
}

#[test]
fn what_was_saved_is_fetched_again_where_an_option_wants_another_body() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let (sums, files) = (folder.path().join("SUMS"), folder.path().join("files"));
        fs::write(&sums, format!("{HELLO_SHA256}  a\n")).unwrap();
        let by_sums = ["--sha256sums".to_owned(), sums.display().to_string()];
        let by_checksum = ["--checksum".to_owned(), format!("sha-256={HELLO_SHA256}")];
        let by_another = ["--checksum".to_owned(), format!("blake3={HELLO_BLAKE3}")];
        for wish in [by_sums, by_checksum, by_another] {
            let origin = Origin::new(|request| Reply::ok(["hullo", "hello"][request.nth]));
            let args = ["--force", "--digest", "blake3,sha-256", &origin.url("/a")];
            assert_eq!(saving(mode, &files).args(args).seen().code, Some(0));
            for outcome in ["ok", "skipped"] {
                let seen = saving(mode, &files).args(&wish).arg(origin.url("/a")).seen();
                assert_eq!((seen.code, &seen.row()["outcome"]), (Some(0), &outcome.into()));
                assert_eq!(seen.stderr, "");
            }
            assert_eq!(
                (origin.requests(), fs::read(files.join("a")).unwrap()),
                (2, b"hello".into())
            );
        }
    });
}

#[test]
fn what_was_saved_without_a_digest_and_is_skipped_is_told_not_to_be_checked() {
    in_every_mode(|mode| {
        let (origin, folder) = (hello(), tempfile::tempdir().unwrap());
        assert_eq!(saving(mode, folder.path()).arg(origin.url("/a")).seen().code, Some(0));
        let list = format!("{}\n  checksum=md5={}\n", origin.url("/a"), HELLO[0].1);
        let seen = saving(mode, folder.path()).list(&list).seen();
        assert_eq!((seen.code, &seen.row()["outcome"]), (Some(0), &"skipped".into()));
        let notice = "warning: 1 already saved file has no recorded digest to verify; use --force to download it again\n";
        assert_eq!(seen.stderr, notice);
        let seen = saving(mode, folder.path()).arg("-q").list(&list).seen();
        assert_eq!((seen.code, &*seen.stderr), (Some(0), ""));
        let seen = saving(mode, folder.path()).arg("--force").list(&list).seen();
        assert_eq!((seen.code, &*seen.stderr, &seen.row()["outcome"]), (Some(0), "", &"ok".into()));
        let seen = saving(mode, folder.path()).list(&list).seen();
        assert_eq!((seen.code, &*seen.stderr), (Some(0), ""), "now it is known");
    });
}
