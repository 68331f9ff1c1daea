//! `--failed FILE`: what failed is written as a list, and that list fetches the same, whatever was listed.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::proxy::{HttpProxy, Manner};
use crate::support::{Origin, Reply, Run, Seen, class_of};

/// A run in which every target of a list fails, in list order: all go by a proxy that refuses them. Returns what is
/// seen of it, and the list of what failed without the reasons.
fn all_failed(list: impl AsRef<[u8]>) -> (Seen, String) {
    let folder = tempfile::tempdir().unwrap();
    let failed = folder.path().join("failed.txt");
    let proxy = HttpProxy::new(Manner::Refuses(404));
    let args = ["--ordered", "--retry", "0", "-x", &proxy.url(""), "--failed"];
    let seen = Run::json("sequential").args(args).arg(&failed).list(list).seen();
    let list = fs::read_to_string(&failed).unwrap();
    let entries = list.lines().filter(|line| !line.starts_with("# "));
    let entries = entries.map(|line| format!("{line}\n")).collect();
    (seen, entries)
}

/// What a list would have fetched, and to where, as far as a dry run tells.
fn foreseen(list: impl AsRef<[u8]>) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let dry = Run::json("async").args(["--dry-run", "-d"]).arg(folder.path()).list(list).seen();
    let objects = dry.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let targets = objects.filter(|object| object["type"] == "target");
    let told = |target: Value| ["url", "mirrors", "path", "outcome"].map(|key| target[key].clone());
    targets.map(|target| json!(told(target))).collect()
}

/// The rows of entries that name something to fetch.
fn targets(seen: &Seen) -> Vec<Value> {
    let mut rows = seen.rows_in_list_order();
    rows.retain(|row| class_of(row) != "invalid_url");
    rows
}

/// Once the targets of this list have failed and are read again, they are what they were, and fail as the same list.
/// Returns what is seen of the first run, and that list.
fn ensure_it_comes_back(text: &str) -> (Seen, String) {
    let (seen, failed) = all_failed(text);
    assert!(targets(&seen).iter().all(|row| row["outcome"] == "failed"), "{seen:?}");
    let (seen_again, failed_again) = all_failed(&failed);
    assert_eq!(failed_again, failed);
    let urls = |seen: &Seen| targets(seen).into_iter().map(|row| row["url"].clone());
    assert!(urls(&seen_again).eq(urls(&seen)), "{failed}");
    assert_eq!(targets(&seen_again).len(), seen_again.rows().len(), "{failed}");
    assert_eq!(foreseen(&failed), foreseen(text), "{failed}");
    (seen, failed)
}

#[test]
fn what_could_be_read_otherwise_is_not() {
    let digits = "0123456789abcdefABCDEF".repeat(3)[..64].to_owned();
    let (seen, failed) = ensure_it_comes_back(&format!(
        "https://user:p%40ss@a.b:8443/#/x\thttp://[::1]/two%20words?out=x#y%20z\n\
         \tout = #a\tb=c \n\
         \tchecksum=SHA-256 = {digits}\n\
         \theader=Referer: https://c.d/\n\
         \theader=X-Word:\u{fc}, \"q\" # no comment\t;\n\
         \theader=X-Nothing;\n\
         \theader=Authorization: Bearer hunter2==\n\
         \theader=x-word: twice\n\
         HTTP://B\u{dc}CHER.example/\u{fc}'|{{}}^`\\\\<>\"[]\n\
         https://a.b?#\n\
         https://a.b/%zz%00%0a\n"
    ));
    assert_eq!(targets(&seen).len(), 4);
    let digits = digits.to_lowercase();
    assert_eq!(
        failed.lines().collect::<Vec<_>>(),
        [
            "https://user:p%40ss@a.b:8443/#/x\thttp://[::1]/two%20words?out=x#y%20z",
            "  out=#a\tb=c",
            &format!("  checksum=sha-256={digits}"),
            "  header=referer: https://c.d/",
            "  header=x-word: \u{fc}, \"q\" # no comment\t;",
            "  header=x-nothing;",
            "  header=authorization: Bearer hunter2==",
            "  header=x-word: twice",
            "http://xn--bcher-kva.example/%C3%BC'|%7B%7D^%60//%3C%3E%22[]",
            "https://a.b/?#",
            "https://a.b/%zz%00%0a",
        ]
    );
}

#[test]
fn the_list_of_one_run_is_fetched_by_the_next_until_it_is_empty() {
    let origin = Origin::new(|request| match (request.path.as_str(), request.nth) {
        ("/later", 0) => Reply::of("503 Busy", "", ""),
        ("/later", _) if request.header("x-word") != Some("yes") => Reply::of("400 No", "", ""),
        _ => Reply::ok("here"),
    });
    let folder = tempfile::tempdir().unwrap();
    let [sites, again, last] =
        ["sites.txt", "again.txt", "last.txt"].map(|name| folder.path().join(name));
    let (now, later) = (origin.url("/now"), origin.url("/later"));
    fs::write(&sites, format!("{now}\n{later}\n\theader=X-Word: yes\nhtp://no\n")).unwrap();
    let fetched = |list: &Path, failed: &Path| {
        let run = Run::json("async").args(["--retry", "0", "--failed"]).arg(failed).arg(list);
        let summary = run.seen().summary();
        ["targets", "ok", "failed", "invalid"].map(|key| summary[key].as_u64().unwrap())
    };

    assert_eq!(fetched(&sites, &again), [3, 1, 1, 1]);
    let written =
        format!("# http_5xx: HTTP 503 Service Unavailable\n{later}\n  header=x-word: yes\n");
    assert_eq!(fs::read_to_string(&again).unwrap(), written);

    assert_eq!(fetched(&again, &last), [1, 1, 0, 0]);
    assert_eq!(fs::read(&last).unwrap(), b"");
}

#[test]
fn a_list_is_not_replaced_by_what_of_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let sites = folder.path().join("sites.txt");
    fs::write(&sites, "http://127.0.0.1:1/\n").unwrap();
    let seen = Run::json("async").arg("--failed").args([&sites, &sites]).seen();
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "it ran: {seen:?}");
    assert!(seen.stderr.contains("would overwrite the input list"), "{seen:?}");
    assert_eq!(fs::read_to_string(&sites).unwrap(), "http://127.0.0.1:1/\n");
}

#[test]
fn nothing_is_an_empty_list() {
    assert_eq!(all_failed("").1, "");
}

/// An entry with what is indented below it.
fn entry() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    // No host has letters that a proxy cannot be told, or its name would be looked up here.
    let url = "https?://([\\PC--`{}\"]{0,3}:[\\PC--`{}\"]{0,3}@)?[a-zü0-9.-]{1,9}(:[0-9]{1,4})?([/?#][\\PC\t\u{85}\u{2028}]{0,12})?";
    let option = prop_oneof![
        "[ \t]out[ ]?=[\\PC\t\u{85}\u{2028}]{1,9}",
        "\theader=[a-zA-Z~!-]{1,4}[:;][\\PC\t\u{a0}]{0,9}",
        " checksum=(sha-256|BLAKE3)=[0-9a-fA-F]{64}",
        " checksum=crc32c? = [0-9a-f]{8}",
    ];
    (prop::collection::vec(url, 1..4), prop::collection::vec(option, 0..4))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_listed_comes_back(entries in prop::collection::vec(entry(), 0..80)) {
        let (mut text, mut options_at) = (String::new(), Vec::new());
        for (urls, options) in &entries {
            options_at.push((text.lines().count() as u64 + 1, options));
            text += &format!("{}\n", urls.join("\t"));
            options.iter().for_each(|option| text += &format!("{option}\n"));
        }
        let (seen, failed) = ensure_it_comes_back(&text);
        // No option of an entry that is one is lost.
        let is_target = |line: u64| targets(&seen).iter().any(|row| row["line"] == line);
        let listed = options_at.iter().filter(|(line, _)| is_target(*line));
        let listed = listed.map(|(_, options)| options.len()).sum::<usize>();
        assert_eq!(failed.lines().filter(|line| line.starts_with("  ")).count(), listed, "{failed}");
    }

    #[test]
    fn so_do_bytes_that_only_begin_like_a_list(text in "([\t ]?(https://a[.]b/|out=|header=x:)?\\PC{0,9}\n){0,160}") {
        ensure_it_comes_back(&text);
    }
}
