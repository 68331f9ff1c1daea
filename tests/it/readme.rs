//! What the README says holds: its commands can be typed, its help is the program's, and its tables leave nothing out.

use std::collections::BTreeSet;
use std::ffi::OsString;

use fetch::cli::{self, Command, Environment};
use fetch::exit::Exit;
use fetch::model::FailureClass;
use serde_json::Value;

use crate::support::{Origin, Reply, Run};

const README: &str = include_str!("../../README.md");

/// The blocks of code in this language, each without its fences.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let starts = README.split(fence.as_str()).skip(1);
    starts.map(|rest| rest.split_once("```").expect("a block ends").0).collect()
}

/// The words of every `fetch` that the shell blocks start.
fn commands() -> Vec<Vec<String>> {
    let starts = |segment: &str| {
        let segment = segment.trim().trim_start_matches("do ");
        let typed = segment.strip_prefix("cargo run --release -- ");
        typed.or_else(|| segment.strip_prefix("fetch ")).map(words)
    };
    let inline = README.split('`').filter(|code| code.starts_with("cargo run"));
    let lines = blocks("sh").into_iter().flat_map(str::lines).chain(inline);
    lines.flat_map(segments).filter_map(|segment| starts(&segment)).collect()
}

/// A shell line cut where a new command begins or output is redirected.
fn segments(line: &str) -> Vec<String> {
    let (mut segments, mut quote) = (vec![String::new()], None);
    for character in line.chars() {
        match (character, quote) {
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(open)) if character == open => quote = None,
            ('|' | ';' | '&' | '>', None) => {
                segments.push(String::new());
                continue;
            }
            _ => {}
        }
        segments.last_mut().expect("never empty").push(character);
    }
    segments
}

/// The words of a command, unquoted; `$mode` stands for a mode.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in command.chars() {
        match (character, quote) {
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, Some(open)) if character == open => quote = None,
            (' ', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words.into_iter().map(|word| word.replace("$mode", "async")).collect()
}

#[test]
fn every_command_can_be_typed() {
    let commands = commands();
    assert!(commands.len() >= 8, "{commands:?}");
    let around = Environment { variable: &|_| None, home: None, stdin_is_terminal: true };
    let mut served = 0;
    for words in commands {
        let typed = ["fetch".into()].into_iter().chain(words.iter().map(OsString::from));
        match cli::parse(typed, &around) {
            Ok(Command::Serve(_)) => served += 1,
            Ok(_) => {}
            Err(usage) => panic!("{words:?}: {}", usage.text),
        }
    }
    assert!(served >= 2);
}

#[test]
fn the_help_is_the_program_s() {
    for command in [&[][..], &["verify"], &["compare"], &["serve"], &["report"]] {
        let words = [command, &["--help"]].concat();
        // Where no stream is a terminal, COLUMNS is the width.
        let seen = Run::new().args(words).env("COLUMNS", "80").seen();
        assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
        let help: String =
            seen.stdout.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        assert!(
            blocks("text").contains(&help.as_str()),
            "README.md does not have this as a block of text:\n{help}"
        );
    }
}

/// Whether a table or a sentence names this as code.
fn names(what: &str) -> bool {
    README.contains(&format!("`{what}`"))
}

#[test]
fn every_picture_is_there() {
    let pictures =
        README.split("![").skip(1).filter_map(|rest| rest.split_once("](")?.1.split(')').next());
    let pictures: Vec<_> = pictures.collect();
    assert!(!pictures.is_empty());
    for picture in pictures {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(picture);
        assert!(path.metadata().is_ok_and(|found| found.len() < 150_000), "{picture}");
    }
}

#[test]
fn every_class_of_failure_is_named() {
    let missing: Vec<_> = FailureClass::ALL.iter().filter(|class| !names(class.name())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_exit_code_is_named() {
    let section = README.split("## Exit codes").nth(1).unwrap().split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let named: BTreeSet<i32> =
        cells.flat_map(|cell| cell.split(", ")).filter_map(|code| code.parse().ok()).collect();
    assert_eq!(named, Exit::ALL.map(|exit| exit as i32).into());
}

/// The names of all fields of a value and of the objects in it.
fn fields(object: &Value, found: &mut BTreeSet<String>) {
    for one in object.as_array().into_iter().flatten() {
        fields(one, found);
    }
    for (name, value) in object.as_object().into_iter().flatten() {
        found.insert(name.clone());
        // Classes and reasons are fields there, and are named elsewhere.
        if name != "failures" && name != "waited" {
            fields(value, found);
        }
    }
}

#[test]
fn every_field_of_the_reports_is_named() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let seen = Run::json("async").args([&origin.url("/"), "ftp://a.b"]).seen();
    let mut found = BTreeSet::new();
    for object in [seen.rows(), vec![seen.summary()]].concat() {
        fields(&object, &mut found);
    }
    let csv = Run::new().args(["--format", "csv", &origin.url("/")]).seen();
    let columns: BTreeSet<_> =
        csv.stdout.lines().next().unwrap().split(',').map(str::to_owned).collect();
    let error = ["error", "timings", "class", "message"].map(str::to_owned).into();
    let of_results: BTreeSet<_> = seen.rows().iter().fold(BTreeSet::new(), |mut found, row| {
        fields(row, &mut found);
        found
    });
    let flat = ["error_class", "error_message"].map(str::to_owned).into();
    assert_eq!(&columns - &flat, &(&of_results - &error) - &["type".to_owned()].into());
    found.remove("type");
    let missing: Vec<_> = found.iter().filter(|name| !names(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_field_of_a_comparison_is_named() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let words = ["compare", "--json", "--runs", "3", "--warmup", "0", "--modes", "threads,async"];
    let seen = Run::new().args(words).arg(origin.url("/")).seen();
    let mut found = BTreeSet::new();
    fields(&serde_json::from_str(&seen.stdout).unwrap(), &mut found);
    found.remove("type");
    let missing: Vec<_> = found.iter().filter(|name| !names(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_request_holds_what_it_is_said_to_hold() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    assert_eq!(Run::json("async").arg(origin.url("/")).seen().code, Some(0));
    let request = &origin.seen()[0];
    let mut headers = request.headers.clone();
    headers.sort();
    let agent = concat!("fetch/", env!("CARGO_PKG_VERSION"));
    let host = origin.address().to_string();
    let expected = [("accept", "*/*"), ("host", &host), ("user-agent", agent)];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(names(&format!("User-Agent: {agent}")));
}
