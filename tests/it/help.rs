//! `fetch help`: commands, topics and the man page.

use std::collections::BTreeSet;
use std::fs;
use std::io::pipe;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::run::drain;
use crate::support::{Run, Seen, program, pseudoterminal, shown_on};

/// The chapters by their topics, as the repository has them.
fn chapters() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let chapters = files.filter(|file| file.extension().is_some_and(|extension| extension == "md"));
    let topic = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    chapters.map(|file| (topic(&file), fs::read_to_string(&file).unwrap())).collect()
}

fn help(words: &[&str]) -> Seen {
    Run::new().arg("help").args(words).seen()
}

/// What is printed, by a command that ends well.
fn printed(words: &[&str]) -> String {
    let seen = help(words);
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""), "{words:?}");
    seen.stdout
}

/// The names below a heading of the overview.
fn listed(heading: &str) -> BTreeSet<String> {
    let overview = printed(&[]);
    let (_, rest) = overview.split_once(&format!("{heading}:\n")).unwrap();
    let lines = rest.lines().take_while(|line| !line.is_empty());
    lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn every_chapter_is_a_topic_and_is_printed_as_it_is() {
    let chapters = chapters();
    let topics: BTreeSet<String> = chapters.iter().map(|(topic, _)| topic.clone()).collect();
    assert_eq!(listed("Topics"), topics);
    for (topic, text) in chapters {
        assert!(printed(&[&topic]).ends_with(&text), "{topic}");
    }
}

#[test]
fn the_help_of_every_command_is_what_the_command_prints() {
    let mut both = BTreeSet::new();
    for command in listed("Commands") {
        let words = if command == "fetch" { vec![] } else { vec![command.as_str()] };
        let own = Run::new().args(words).arg("--help").seen().stdout;
        let text = printed(&[&command]);
        // A name that is a topic, too, prints the chapter after it.
        let (first, more) = text.split_at(own.len());
        assert_eq!(first, own);
        if !more.is_empty() {
            both.insert(command);
        }
    }
    assert_eq!(both, ["compare".to_owned()].into());
}

#[test]
fn a_name_that_does_not_exist_is_a_usage_error_with_a_suggestion() {
    let seen = help(&["lisst"]);
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""));
    assert!(seen.stderr.contains("a similar value exists: 'lists'"), "{}", seen.stderr);
    for words in [&["lists", "saving"][..], &["lists", "--man"]] {
        assert_eq!(help(words).code, Some(2), "{words:?}");
    }
}

#[test]
fn topics_are_completed() {
    let offered = Run::new().args(["__complete", "--", "help", ""]).seen().stdout;
    for (topic, _) in chapters() {
        assert!(offered.lines().any(|line| line.trim_end() == topic), "{topic}");
    }
}

#[test]
fn the_version_is_printed_with_the_facts_of_the_build_if_more_is_asked_for() {
    let printed = |words: &[&str]| {
        let seen = Run::new().args(words).seen();
        assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""), "{words:?}");
        seen.stdout
    };
    let version = concat!("fetch ", env!("CARGO_PKG_VERSION"), "\n");
    for words in [["--version"].as_slice(), &["-V"], &["-qV"]] {
        assert_eq!(printed(words), version);
    }
    for words in
        [["--version", "--verbose"].as_slice(), &["-vV"], &["-Vv"], &["-V", "-v"], &["-v", "-V"]]
    {
        let text = printed(words);
        let names: Vec<_> =
            text.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
        let expected = ["Target", "Profile", "Digests", "Proxies", "HTTP", "TLS", "Codings"];
        assert_eq!(names, expected, "{words:?}");
        assert!(text.starts_with(version) && !text.contains(env!("CARGO_MANIFEST_DIR")));
        for fact in
            ["linux", "crc64nvme", "HTTP/2", "TLS 1.2, TLS 1.3 (rustls", "gzip, deflate, br, zstd"]
        {
            assert!(text.contains(fact), "{text}");
        }
    }
}

#[test]
fn the_man_page_has_every_option_command_topic_exit_code_file_and_variable() {
    let page = printed(&["--man"]).replace("\\-", "-");
    assert!(page.lines().any(|line| line.starts_with(".TH FETCH 1 ")));
    let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    let expected =
        "NAME,SYNOPSIS,DESCRIPTION,OPTIONS,COMMANDS,TOPICS,\"EXIT STATUS\",FILES,ENVIRONMENT";
    assert_eq!(sections, expected.split(',').collect::<Vec<_>>());

    let mut options = 0;
    for command in listed("Commands") {
        let shown = Run::new().args((command != "fetch").then_some(&command)).arg("--help").seen();
        let defined = shown.stdout.lines().filter(|line| line.trim_start().starts_with('-'));
        let names = defined.flat_map(|line| line.split([' ', ',']));
        for name in names.filter(|word| word.starts_with("--")) {
            // Dots follow the name of an option that may be given several times.
            let name = name.trim_end_matches("...");
            assert!(page.contains(name), "{command}: {name}");
            options += 1;
        }
        assert!(command == "fetch" || page.contains(&format!(".SS \"fetch {command}\"\n")));
    }
    assert!(options > 100, "{options}");

    let defined = |name: &str| page.contains(&format!(".TP\n\\fB{name}\\fR\n"));
    for (topic, _) in chapters() {
        assert!(defined(&topic), "{topic}");
    }
    for name in ["0", "1", "2", "3", "4", "129, 130, 143", "DIR/NAME.part", "FETCH_OPTION", "PAGER"]
    {
        assert!(defined(name), "{name}");
    }
    assert!(!page.contains("__"), "what is hidden stays hidden");
}

#[test]
#[ignore = "needs mandoc"]
fn mandoc_finds_no_fault_in_the_man_page() {
    let page = tempfile::NamedTempFile::new().unwrap();
    fs::write(page.path(), printed(&["--man"])).unwrap();
    let lint = Command::new("mandoc").args(["-T", "lint"]).arg(page.path()).output().unwrap();
    let complaints = String::from_utf8(lint.stdout).unwrap();
    // The page is the same for every build of a version, so it has no date.
    let faults: Vec<_> = complaints.lines().filter(|line| !line.contains("missing date")).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_option_of_the_man_page_has_a_text() {
    let page = printed(&["--man"]);
    for option in ["fail\\-fast", "ordered", "failed\\-class", "format"] {
        let after = page.split(&format!("\\fB\\-\\-{option}\\fR")).nth(1).unwrap();
        let text = after.lines().nth(1).unwrap();
        assert!(text.starts_with(char::is_alphabetic), "{option}: {text}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    for words in [&["design"][..], &["--man"], &[]] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let run = program().arg("help").args(words).stdout(writer).output();
        let run = run.unwrap();
        assert_eq!((run.status.code(), run.stderr.as_slice()), (Some(0), &b""[..]), "{words:?}");
    }
}

/// What `fetch help` shows on a terminal, with this pager; and its exit code.
fn on_a_terminal(words: &[&str], pager: &str) -> (String, Option<i32>) {
    let (terminal, stdout) = pseudoterminal(80);
    let shown = shown_on(terminal);
    let mut command = program();
    command.arg("help").args(words).env("PAGER", pager);
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    // It holds the other end of the terminal.
    drop(command);
    let complaints = drain(run.stderr.take().unwrap());
    let code = run.wait().unwrap().code();
    drop(complaints.join());
    (shown.join().unwrap().replace("\r\n", "\n"), code)
}

fn chapter(topic: &str) -> String {
    chapters().into_iter().find(|(other, _)| other == topic).unwrap().1
}

#[test]
fn on_a_terminal_a_text_is_shown_by_the_pager() {
    let (shown, code) = on_a_terminal(&["lists"], "sed 's/^/| /'");
    let expected: String = chapter("lists").lines().map(|line| format!("| {line}\n")).collect();
    assert_eq!((shown, code), (expected, Some(0)));
}

#[test]
fn without_a_pager_it_is_printed() {
    for pager in ["", "exec no-such-pager"] {
        let shown = on_a_terminal(&["lists"], pager);
        assert_eq!(shown, (chapter("lists"), Some(0)), "{pager:?}");
    }
}

#[test]
fn the_man_page_and_what_is_no_terminal_need_no_pager() {
    let (shown, code) = on_a_terminal(&["--man"], "echo paged");
    assert!(shown.contains(".TH FETCH 1") && code == Some(0), "{shown}");
    let seen = Run::new().args(["help", "lists"]).env("PAGER", "echo paged").seen();
    assert_eq!(seen.stdout, chapter("lists"));
}

#[test]
fn a_pager_that_does_not_read_to_the_end_is_no_error() {
    for pager in ["true", "head -n 1", "exec <&-"] {
        assert_eq!(on_a_terminal(&["design"], pager).1, Some(0), "{pager}");
    }
}

#[test]
fn an_interrupt_is_for_the_pager() {
    let (shown, code) = on_a_terminal(&["lists"], "kill -INT $PPID; head -n 1");
    assert_eq!((shown.as_str(), code), ("# Lists\n", Some(0)));
}
