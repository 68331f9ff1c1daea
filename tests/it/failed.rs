//! The list of what failed, read again: it fetches the same, whatever was listed. Here, because the room that writes
//! it does not know the room that reads it.

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use fetch::cli::{self, Command, Environment};
use fetch::commands::fetch::{RunError, RunOutcome, run};
use fetch::engine::CancelToken;
use fetch::list::{Numbering, Parser};
use fetch::model::{
    Entry, EntryOptions, Event, Failure, Outcome, ProgressBoard, Record, RecordError, Target,
    redacted,
};
use fetch::plan::{FailedList, OutputFormat, OutputOptions, ReportOrder, Verbosity};
use fetch::report::{FailedListWriter, OutputStream, Outputs, ReportFiles, reporter};
use proptest::prelude::*;
use support::{Origin, Reply};
use url::Url;

/// The targets of a list, and how many of its lines are none.
fn read(text: &[u8]) -> (Vec<Target>, usize) {
    let (mut targets, mut invalid) = (Vec::new(), 0);
    let mut sort = |entry| match entry {
        Entry::Target(target) => targets.push(target),
        Entry::Invalid(_) => invalid += 1,
    };
    let mut numbering = Numbering::default();
    let mut parser = Parser::new(Arc::from("sites.txt"));
    let _ = parser.feed(text, &mut numbering, &mut sort);
    parser.finish(&mut numbering, &mut sort);
    (targets, invalid)
}

/// What a report writes to the list when all of these fail.
fn written(targets: &[Target], path: &Path) -> Vec<u8> {
    let list = FailedList { path: path.to_owned(), classes: Vec::new() };
    let failed = FailedListWriter::create(Some(&list), &[]).unwrap();
    let report = OutputOptions {
        format: OutputFormat::Text,
        order: ReportOrder::Completion,
        verbosity: Verbosity::Normal,
    };
    let mut reporter =
        reporter(report, nowhere(), failed, ReportFiles::none(), Arc::new(ProgressBoard::new(1)));
    for target in targets {
        let failure = Failure::Redirect("to\nhttps://else.where/\n".to_owned());
        let blank = Record::blank(
            target.index,
            Arc::clone(&target.source),
            target.line,
            redacted(target.url()),
        );
        let error = Some(RecordError::from(&failure));
        let record = Box::new(Record { outcome: Outcome::Failed, error, ..blank });
        let target = Some(Arc::new(target.clone()));
        reporter.event(&Event::Finished { record, target, name: None }).unwrap();
    }
    reporter.flush().unwrap();
    fs::read(path).unwrap()
}

fn nowhere() -> Outputs {
    let stream = || OutputStream { writer: Box::new(std::io::sink()), is_terminal: false };
    Outputs { stdout: stream(), stderr: stream(), colour: false }
}

/// Fetches a list, and writes what fails to another.
fn fetched(list: &Path, again: &Path) -> Result<RunOutcome, RunError> {
    let words = ["fetch".into(), "--retry".into(), "0".into(), list.into()];
    let around = Environment { variable: &|_| None, home: None, stdin_is_terminal: true };
    let parsed = cli::parse(words, &around);
    let Ok(Command::Fetch(mut plan)) = parsed else { panic!("a command line") };
    plan.failed = Some(FailedList { path: again.to_owned(), classes: Vec::new() });
    run(&plan, nowhere(), &CancelToken::default())
}

fn meant(targets: &[Target]) -> Vec<(&[Url], &EntryOptions)> {
    targets.iter().map(|target| (&target.urls[..], &target.options)).collect()
}

/// The targets of this list, once they have failed and are read again, are what they were.
fn ensure_it_comes_back(text: &str) -> Vec<Target> {
    let folder = tempfile::tempdir().unwrap();
    let (listed, _) = read(text.as_bytes());
    let again = written(&listed, &folder.path().join("again.txt"));
    let (read_again, invalid) = read(&again);
    assert_eq!(meant(&read_again), meant(&listed), "{}", String::from_utf8_lossy(&again));
    assert_eq!(invalid, 0, "{}", String::from_utf8_lossy(&again));
    listed
}

#[test]
fn what_could_be_read_otherwise_is_not() {
    let digits = "0123456789abcdefABCDEF".repeat(3)[..64].to_owned();
    let listed = ensure_it_comes_back(&format!(
        "https://user:p%40ss@a.b:8443/#/x\thttp://[::1]/two words?out=x#y z\n\
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
    assert_eq!(listed.len(), 4);
    assert_eq!(listed[0].urls.len(), 2);
    assert_eq!(listed[0].options.out.as_deref(), Some("#a\tb=c"));
    assert_eq!(listed[0].options.headers.len(), 5);
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

    let counts = fetched(&sites, &again).unwrap().summary.counts;
    assert_eq!((counts.ok, counts.failed, counts.invalid), (1, 1, 1));
    let written =
        format!("# http_5xx: HTTP 503 Service Unavailable\n{later}\n  header=x-word: yes\n");
    assert_eq!(fs::read_to_string(&again).unwrap(), written);

    let counts = fetched(&again, &last).unwrap().summary.counts;
    assert_eq!((counts.targets, counts.ok), (1, 1));
    assert_eq!(fs::read(&last).unwrap(), b"");
}

#[test]
fn a_list_is_not_replaced_by_what_of_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let sites = folder.path().join("sites.txt");
    fs::write(&sites, "http://127.0.0.1:1/\n").unwrap();
    let Err(RunError::Usage(error)) = fetched(&sites, &sites) else { panic!("it ran") };
    assert!(error.to_string().contains("another file"), "{error}");
    assert_eq!(fs::read_to_string(&sites).unwrap(), "http://127.0.0.1:1/\n");
}

#[test]
fn nothing_is_an_empty_list() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(written(&[], &folder.path().join("again.txt")), b"");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_was_listed_comes_back(
        entries in prop::collection::vec((
            prop::collection::vec(
                "https?://(\\PC{0,3}:\\PC{0,3}@)?[a-zü0-9.-]{1,9}(:[0-9]{1,4})?[/?#]?[\\PC\t\u{85}\u{2028}]{0,12}",
                1..4,
            ),
            prop::collection::vec(
                prop_oneof![
                    "[ \t]out[ ]?=[\\PC\t\u{85}\u{2028}]{1,9}",
                    "\theader=[a-zA-Z~!-]{1,4}[:;][\\PC\t\u{a0}]{0,9}",
                    " checksum=(sha-256|BLAKE3)=[0-9a-fA-F]{64}",
                    " checksum=crc32c? = [0-9a-f]{8}",
                ],
                0..4,
            ),
        ), 0..6),
    ) {
        let mut text = String::new();
        for (urls, options) in entries {
            text.push_str(&urls.join("\t"));
            text.push('\n');
            options.iter().for_each(|option| text.extend([option, "\n"]));
        }
        ensure_it_comes_back(&text);
    }

    #[test]
    fn so_do_bytes_that_only_begin_like_a_list(text in "([\t ]?(https://a.b/|out=|header=x:)?\\PC{0,9}\n){0,9}") {
        ensure_it_comes_back(&text);
    }
}
