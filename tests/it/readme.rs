//! What the README and the chapters of the manual state holds: their commands can be typed, their examples work, their
//! tables leave nothing out, and they can be read in a terminal of 80 columns.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use fetch::FailureClass;
use fetch::cli::{self, Command, Environment};
use fetch::exit::Exit;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{LocalOrigin, Origin, Reply, Run};

const README: &str = include_str!("../../README.md");

/// What the chapters call the local test server.
const SERVER: &str = "http://127.0.0.1:8080";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A chapter of the manual.
fn chapter(topic: &str) -> String {
    fs::read_to_string(root().join(format!("src/manual/{topic}.md"))).unwrap()
}

/// The chapters, by their files.
fn chapters() -> Vec<PathBuf> {
    let files = fs::read_dir(root().join("src/manual")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Every document of the repository, with its file.
fn documents() -> Vec<(PathBuf, String)> {
    let files =
        ["README.md", "benches/README.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md"];
    let files = files.iter().map(|file| root().join(file)).chain(chapters());
    files.map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

/// The blocks of code in this language, each without its fences.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let starts = text.split(fence.as_str()).skip(1);
    starts.map(|rest| rest.split_once("```").expect("a block ends").0).collect()
}

/// The words of every `fetch` that the shell blocks of a document start.
fn commands(text: &str) -> Vec<Vec<String>> {
    let inline = text.split('`').filter(|code| code.starts_with("cargo run"));
    let lines = blocks(text, "sh").into_iter().flat_map(str::lines).chain(inline);
    lines.flat_map(segments).filter_map(|segment| started(&words(&segment))).collect()
}

/// The words of a `fetch`, without variables that are set before it.
fn started(words: &[String]) -> Option<Vec<String>> {
    let is_variable = |word: &&String| word.starts_with("FETCH_") && word.contains('=');
    let words = &words[words.iter().take_while(is_variable).count()..];
    let run = ["cargo", "run", "--release", "--"];
    match words {
        [first, rest @ ..] if first == "fetch" => Some(rest.to_vec()),
        _ => words.strip_prefix(&run.map(str::to_owned)).map(<[String]>::to_vec),
    }
}

/// A shell line cut where a new command begins, output is redirected or a comment begins.
fn segments(line: &str) -> Vec<String> {
    let (mut segments, mut quote, mut last) = (vec![String::new()], None, ' ');
    for character in line.trim().trim_start_matches("do ").chars() {
        match (character, quote) {
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(open)) if character == open => quote = None,
            ('|' | ';' | '&' | '>', None) => {
                segments.push(String::new());
                continue;
            }
            ('#', None) if last == ' ' => break,
            _ => {}
        }
        last = character;
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
    let around = Environment {
        variable: &|_| None,
        names: vec![],
        warn: &|warning| panic!("a warning: {warning}"),
        home: None,
        stdin_is_terminal: true,
        stdin: &|| Ok(Vec::new()),
        ask: &|_| Ok("secret".to_owned()),
    };
    let (mut typed, mut served) = (0, 0);
    for (file, text) in documents() {
        for words in commands(&text) {
            let all = ["fetch".into()].into_iter().chain(words.iter().map(OsString::from));
            match cli::parse(all, &around) {
                Ok(Command::Serve(_)) => served += 1,
                Ok(_) => {}
                // The file of an example is not there.
                Err(usage)
                    if ["slow.toml", "token.txt"].iter().any(|name| usage.text.contains(name)) => {}
                Err(usage) => panic!("{}: {words:?}: {}", file.display(), usage.text),
            }
            typed += 1;
        }
    }
    assert!(typed >= 50 && served >= 4, "{typed} {served}");
}

#[test]
fn the_output_that_is_shown_is_that_of_the_program() {
    let origin = LocalOrigin::new(&[]);
    let url = format!("http://{}", origin.address());
    // The order of the first lines is that of completion, and the time is another one each time.
    let lines = |text: &str| -> BTreeSet<String> {
        text.lines().map(|line| line.split(" in ").next().unwrap().to_owned()).collect()
    };
    let demo = commands(README).into_iter().find(|words| words[0].starts_with(SERVER)).unwrap();
    let seen = Run::new().args(demo.iter().map(|word| word.replace(SERVER, &url))).seen();
    let shown = lines(&seen.stdout.replace(&url, SERVER));
    assert_eq!(shown.len(), 4);
    for text in [README, &chapter("reports")] {
        assert_eq!(lines(blocks(text, "text")[0]), shown);
    }
    assert!(chapter("recipes").contains(&demo.join(" ")));
}

#[test]
fn every_list_that_is_shown_is_one() {
    for text in [README, &chapter("lists")] {
        let mut lists = blocks(text, "text");
        lists.retain(|block| block.lines().any(|line| line.starts_with("https://")));
        assert_eq!(lists.len(), 1);
        let folder = tempdir().unwrap();
        let seen = Run::new().args(["--dry-run", "--dir"]).arg(folder.path()).arg("-");
        let seen = seen.list(lists[0]).seen();
        assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""), "{}", seen.stdout);
    }
}

#[test]
fn the_configuration_that_is_shown_is_one() {
    let text = chapter("configuration");
    let folder = tempdir().unwrap();
    for block in blocks(&text, "toml") {
        let file = folder.path().join("config.toml");
        fs::write(&file, block).unwrap();
        let seen = Run::new().arg("--config").arg(file).args(["--dry-run", SERVER]).seen();
        assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
        assert!(seen.stdout.contains("20%"), "{}", seen.stdout);
    }
}

#[test]
fn every_link_and_picture_is_there() {
    let mut pictures = 0;
    for (file, text) in documents() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if link.is_empty() || link.starts_with("http") {
                continue;
            }
            let path = file.parent().unwrap().join(link);
            let found = path.metadata().unwrap_or_else(|_| panic!("{}: {link}", file.display()));
            if link.ends_with(".svg") || link.ends_with(".png") {
                assert!(found.len() < 150_000, "{link}");
                pictures += 1;
            }
        }
    }
    assert!(pictures >= 2);
}

#[test]
fn the_readme_is_short_and_for_those_who_choose_a_tool() {
    assert!(README.lines().count() <= 200, "{}", README.lines().count());
    let prose = README.to_lowercase();
    let words: BTreeSet<&str> = prose.split(|letter: char| !letter.is_alphabetic()).collect();
    for word in ["target", "targets", "bound", "bounds", "dream"] {
        assert!(!words.contains(word), "{word}");
    }
    assert!(!prose.contains("not met"));
}

#[test]
fn the_readme_links_every_chapter_in_the_order_of_the_help() {
    let overview = Run::new().arg("help").seen().stdout;
    let (_, topics) = overview.split_once("Topics:\n").unwrap();
    let topics = topics.lines().take_while(|line| !line.is_empty());
    let topics: Vec<_> = topics.map(|line| line.split_whitespace().next().unwrap()).collect();
    let (_, table) = README.split_once("\n## Manual\n").unwrap();
    let links = table.split("\n## ").next().unwrap().split("](src/manual/").skip(1);
    let links: Vec<_> = links.map(|rest| rest.split(".md)").next().unwrap()).collect();
    assert_eq!(links, topics);
    assert_eq!(topics.len(), chapters().len());
}

#[test]
fn no_line_of_a_chapter_is_wider_than_a_terminal() {
    for file in chapters() {
        let text = fs::read_to_string(&file).unwrap();
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{}: {wide:#?}", file.display());
    }
}

/// Whether a table or a sentence names this as code.
fn names(text: &str, what: &str) -> bool {
    text.contains(&format!("`{what}`"))
}

/// Those of `all` that a chapter does not name as code.
fn not_named_in<'a>(topic: &str, all: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let text = chapter(topic);
    all.into_iter().filter(|name| !names(&text, name)).collect()
}

#[test]
fn every_class_of_failure_is_in_the_table() {
    let text = chapter("exit-codes");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let named: BTreeSet<_> = rows.collect();
    assert_eq!(named, FailureClass::ALL.iter().map(|class| class.name()).collect());
}

#[test]
fn every_exit_code_is_in_the_tables() {
    for (text, heading) in [(README, "## Exit codes"), (&chapter("exit-codes"), "# Exit codes")] {
        let section = text.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
        let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
        let named: BTreeSet<i32> =
            cells.flat_map(|cell| cell.split(", ")).filter_map(|code| code.parse().ok()).collect();
        assert_eq!(named, Exit::ALL.map(|exit| exit as i32).into());
    }
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
    let error = ["error", "timings", "class", "message", "start", "wait", "redirect_wait"]
        .map(str::to_owned)
        .into();
    let of_results: BTreeSet<_> = seen.rows().iter().fold(BTreeSet::new(), |mut found, row| {
        fields(row, &mut found);
        found
    });
    let flat = ["error_class", "error_message"].map(str::to_owned).into();
    assert_eq!(&columns - &flat, &(&of_results - &error) - &["type".to_owned()].into());
    let missing = not_named_in("reports", found.iter().map(String::as_str));
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
    let missing = not_named_in("compare", found.iter().map(String::as_str));
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_field_of_the_manifest_and_of_verify_is_named() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = tempdir().unwrap();
    let run = || Run::new().args(["--digest", "sha256", "--dir"]).arg(folder.path());
    assert_eq!(run().arg(origin.url("/a")).seen().code, Some(0));
    fs::remove_file(folder.path().join("a")).unwrap();
    let seen = Run::new().args(["verify", "--json"]).arg(folder.path()).seen();
    let mut found = BTreeSet::new();
    for line in seen.stdout.lines() {
        fields(&serde_json::from_str(line).unwrap(), &mut found);
    }
    let missing = not_named_in("integrity", found.iter().map(String::as_str));
    assert!(missing.is_empty(), "{missing:?}");

    let manifest = fs::read_to_string(folder.path().join(".fetch/manifest.jsonl")).unwrap();
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        fields(&serde_json::from_str(line).unwrap(), &mut found);
    }
    let missing = not_named_in("saving", found.iter().map(String::as_str));
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
    assert!(names(&chapter("politeness"), &format!("User-Agent: {agent}")));
}
/// The code spans of a text.
fn code(text: &str) -> impl Iterator<Item = &str> {
    // Blocks are between two fences.
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

#[test]
fn the_files_and_types_that_the_design_names_are_there() {
    let text = chapter("design");
    let source = root().join("src");
    let mut all = String::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "rs" => {
                    all.push_str(&fs::read_to_string(path).unwrap());
                }
                _ => {}
            }
        }
    }
    let mut missing = BTreeSet::new();
    let (mut files, mut types) = (0, 0);
    for span in code(&text) {
        let is_path = span.ends_with('/') && span.len() > 1 || span.ends_with(".rs");
        if is_path && !span.starts_with("tests/") {
            files += 1;
            if !source.join(span).exists() {
                missing.insert(span);
            }
        }
        let is_type = span.starts_with(|first: char| first.is_ascii_uppercase())
            && span.chars().any(|letter| letter.is_ascii_lowercase())
            && span.chars().all(|letter| letter.is_ascii_alphanumeric());
        if is_type && !["Notify", "Range"].contains(&span) {
            types += 1;
            let declared = ["struct", "enum", "trait", "type"];
            let is_declared = |kind: &&str| {
                all.match_indices(&format!("{kind} {span}")).any(|(at, found)| {
                    !all[at + found.len()..].starts_with(|next: char| next.is_alphanumeric())
                })
            };
            if !declared.iter().any(is_declared) {
                missing.insert(span);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(files >= 30 && types >= 4, "{files} {types}");
}
