//! The architecture: which module may use which, which crate is used where, what the pure modules do without, and that
//! a type name means one thing. Reads the source as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every module from the top down, and the modules that it uses.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "fuzzing",
        &[
            "cli",
            "compare",
            "report",
            "engine",
            "transfer",
            "store",
            "policy",
            "naming",
            "list",
            "plan",
            "credentials",
            "model",
            "digest",
            "cookies",
            "redaction",
        ],
    ),
    (
        "commands",
        &[
            "signals",
            "exit",
            "cli",
            "compare",
            "serve",
            "report",
            "engine",
            "transfer",
            "store",
            "scheduler",
            "input",
            "compression",
            "plan",
            "model",
            "digest",
            "units",
            "redaction",
            "text",
            "streams",
            "resource_usage",
            "cookies",
        ],
    ),
    ("signals", &["exit", "engine", "model", "streams"]),
    ("exit", &[]),
    (
        "cli",
        &[
            "compare",
            "serve",
            "list",
            "plan",
            "credentials",
            "model",
            "digest",
            "units",
            "redaction",
            "text",
            "manual",
        ],
    ),
    (
        "compare",
        &[
            "report",
            "scheduler",
            "input",
            "plan",
            "model",
            "units",
            "redaction",
            "text",
            "temporary_file",
            "streams",
            "resource_usage",
        ],
    ),
    ("serve", &["units", "text", "sync"]),
    (
        "report",
        &[
            "object_access",
            "compression",
            "external_sort",
            "plan",
            "model",
            "units",
            "redaction",
            "text",
            "temporary_file",
            "streams",
        ],
    ),
    (
        "engine",
        &[
            "transfer",
            "store",
            "scheduler",
            "policy",
            "input",
            "plan",
            "model",
            "digest",
            "units",
            "redaction",
            "text",
            "sync",
            "resource_usage",
            "temporary_file",
            "cookies",
            "streams",
        ],
    ),
    (
        "transfer",
        &[
            "store",
            "scheduler",
            "policy",
            "naming",
            "plan",
            "model",
            "digest",
            "redaction",
            "text",
            "sync",
        ],
    ),
    (
        "store",
        &[
            "object_access",
            "naming",
            "plan",
            "model",
            "digest",
            "units",
            "redaction",
            "text",
            "sync",
            "temporary_file",
            "external_sort",
        ],
    ),
    ("object_access", &["plan", "text"]),
    ("scheduler", &["policy", "plan", "model", "units"]),
    ("policy", &["plan", "model", "redaction"]),
    ("naming", &["plan", "redaction", "text"]),
    ("input", &["list", "compression", "plan", "model", "digest", "redaction", "text", "streams"]),
    ("list", &["plan", "model", "digest", "redaction", "text"]),
    ("plan", &["credentials", "model", "digest", "units"]),
    ("credentials", &[]),
    ("model", &["digest", "cookies", "redaction"]),
    ("digest", &[]),
    ("cookies", &[]),
    ("units", &[]),
    ("compression", &[]),
    ("external_sort", &["temporary_file"]),
    ("temporary_file", &["text"]),
    ("redaction", &[]),
    ("text", &[]),
    ("sync", &[]),
    ("streams", &[]),
    ("resource_usage", &[]),
    ("manual", &[]),
];

/// Crates that only some modules use.
const CRATES: &[(&str, &[&str])] = &[
    ("anyhow", &["commands", "compare", "exit", "serve"]),
    ("blake3", &["digest"]),
    ("brotli_decompressor", &["transfer"]),
    ("cap_fs_ext", &["store"]),
    ("cap_std", &["store"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("strsim", &["cli"]),
    ("crc32c", &["digest"]),
    ("crc32fast", &["digest", "store"]),
    ("csv", &["compare", "report"]),
    ("csv_core", &["list"]),
    ("flate2", &["compression", "store", "transfer"]),
    ("icu_normalizer", &["naming"]),
    ("icu_properties", &["text"]),
    ("indicatif", &["report"]),
    ("log", &["transfer"]),
    ("md5", &["digest"]),
    ("futures_util", &["store"]),
    ("object_store", &["object_access", "store"]),
    ("parquet", &["input"]),
    ("postcard", &["engine"]),
    ("psl2", &["cookies"]),
    ("nix", &["resource_usage", "transfer"]),
    ("reqwest", &["object_access", "transfer"]),
    ("robotxt", &["policy"]),
    ("rustix", &["compare", "resource_usage", "signals", "store", "streams"]),
    ("rustls", &["object_access", "transfer"]),
    ("sfv", &["digest"]),
    ("sha1", &["digest"]),
    (
        "tokio",
        &["commands", "signals", "engine", "object_access", "store", "transfer", "serve", "sync"],
    ),
    ("tokio_rustls", &["transfer"]),
    ("toml", &["cli"]),
    ("webpki", &["transfer"]),
    ("zstd", &["compression", "transfer"]),
];

/// Modules that decide or describe, and neither wait nor look at anything but their arguments.
const PURE: &[&str] = &[
    "scheduler",
    "policy",
    "naming",
    "list",
    "plan",
    "credentials",
    "model",
    "digest",
    "cookies",
    "units",
    "text",
];

/// What a pure module does without: a clock, a lock, files, sockets, threads and tasks.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "Mutex",
    "RwLock",
    "std::fs",
    "File::open",
    "File::create",
    "std::net::Tcp",
    "thread::spawn",
    "tokio::",
];

/// The one file of a pure module that is shared between threads: counters that workers write and the display reads. No
/// decision depends on them.
const SHARED: &str = "model/progress.rs";

/// Type names that may be declared more than once, and are always written with their module.
const REPEATED: &[&str] = &["Error", "Options"];

#[test]
fn every_module_uses_only_what_the_table_allows() {
    let allowed: BTreeMap<_, BTreeSet<_>> =
        ARROWS.iter().map(|(module, below)| (*module, below.iter().copied().collect())).collect();
    for (module, text) in modules() {
        if module == "main" {
            continue;
        }
        let Some(below) = allowed.get(module.as_str()) else {
            panic!("src/{module} is not in the table of arrows");
        };
        for used in modules_used_in(&text) {
            let is_allowed = used == module || below.contains(used.as_str());
            assert!(is_allowed, "{module} must not use {used}");
        }
    }
}

#[test]
fn the_table_has_no_cycle_for_each_module_names_only_modules_after_it() {
    for (at, (module, below)) in ARROWS.iter().enumerate() {
        for used in *below {
            let is_later = ARROWS[at + 1..].iter().any(|(other, _)| other == used);
            assert!(is_later, "{module} -> {used} points up, or nowhere");
        }
    }
}

#[test]
fn the_table_names_no_module_and_no_arrow_that_does_not_exist() {
    let modules = modules();
    for (module, below) in ARROWS {
        let text = modules.get(*module).unwrap_or_else(|| panic!("there is no module {module}"));
        let used = modules_used_in(text);
        for arrow in *below {
            assert!(used.contains(*arrow), "{module} -> {arrow} is allowed and not used");
        }
    }
}

#[test]
fn a_crate_of_the_table_is_used_in_its_modules_and_nowhere_else() {
    let modules = modules();
    for (name, homes) in CRATES {
        let path = format!("{name}::");
        let is_used_in = |text: &str| code_of(text).any(|line| mentions(line, &path));
        let users: Vec<_> = modules
            .iter()
            .filter(|(_, text)| is_used_in(text))
            .map(|(module, _)| module.as_str())
            .collect();
        let mut homes = homes.to_vec();
        homes.sort_unstable();
        assert_eq!(users, homes, "{name}");
    }
}

#[test]
fn the_pure_modules_know_no_clock_no_lock_no_files_and_no_tasks() {
    let mut checked = BTreeSet::new();
    for (path, text) in files() {
        let module = module_of(&path);
        if !PURE.contains(&module.as_str()) || is_test_file(&path) || path == Path::new(SHARED) {
            continue;
        }
        checked.insert(module);
        let found = impurity(&text);
        assert!(found.is_none(), "{}: {}", path.display(), found.unwrap_or_default());
    }
    assert_eq!(checked.len(), PURE.len(), "every pure module has files");
}

#[test]
fn no_type_name_is_declared_twice() {
    let mut declared = BTreeMap::<String, PathBuf>::new();
    for (path, text) in files() {
        for name in types_declared_in(&text) {
            if REPEATED.contains(&name.as_str()) {
                continue;
            }
            if let Some(other) = declared.insert(name.clone(), path.clone()) {
                panic!("{name} is declared in {} and in {}", other.display(), path.display());
            }
        }
    }
    assert!(declared.contains_key("Scheduler") && declared.contains_key("Job"));
}

/// What the environment of the tests holds, `FETCH_` variables and proxies for instance, must not change what they see.
#[test]
fn tests_start_the_program_without_the_environment_of_their_own() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let bare = concat!("Command::new(env!(\"CARGO_BIN_", "EXE_fetch\"))");
    for file in rust_files(&tests) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains(bare), "{}: use support::program", file.display());
    }
}

#[test]
fn what_these_tests_look_for_is_found_where_it_is() {
    let text = "use crate::{model::Job, plan};\n// crate::list\nlet x = crate::units::rate();\n";
    assert_eq!(modules_used_in(text).into_iter().collect::<Vec<_>>(), ["model", "plan", "units"]);
    assert!(mentions("let now = std::time::Instant::now();", "Instant::now"));
    assert!(mentions("    state: Mutex<State>,", "Mutex") && !mentions("MyMutex", "Mutex"));
    assert!(!mentions("use a_tokio::x", "tokio::") && mentions("tokio::spawn(x)", "tokio::"));
    assert_eq!(impurity("fn f() {\n    Instant::now();\n}\n"), Some("Instant::now();"));
    assert_eq!(impurity("#[cfg(test)]\nmod tests {\n    Instant::now();\n}\n"), None);
    let declarations = "pub struct A;\n    pub(crate) enum B<T> {\nunsafe trait C {}\ntype D = u8;\n\
                        impl FromStr for A {\n    type Err = ();\n}\n// struct F\n";
    assert_eq!(types_declared_in(declarations).collect::<Vec<_>>(), ["A", "B", "C", "D"]);
}

/// The text of each module of the top level, its files joined.
fn modules() -> BTreeMap<String, String> {
    let mut modules = BTreeMap::<String, String>::new();
    for (path, text) in files() {
        modules.entry(module_of(&path)).or_default().push_str(&text);
    }
    modules.remove("lib");
    modules
}

/// The module of the top level that a file belongs to.
fn module_of(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn is_test_file(path: &Path) -> bool {
    ["tests.rs", "test_fixtures.rs"].iter().any(|name| path.ends_with(name))
}

/// The first line outside of unit tests that names what a pure module does without.
fn impurity(text: &str) -> Option<&str> {
    let end =
        text.find("#[cfg(test)]\nmod tests").or(text.find("#[cfg(test)]\npub(crate) mod tests"));
    code_of(&text[..end.unwrap_or(text.len())])
        .find(|line| IMPURE.iter().any(|name| mentions(line, name)))
}

/// The names of types and traits that a file declares, associated types aside.
fn types_declared_in(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().peekable();
        words.next_if(|word| word.starts_with("pub"));
        words.next_if_eq(&"unsafe");
        let is_declaration = match words.next()? {
            "struct" | "enum" | "union" | "trait" => true,
            // An associated type is indented and has no visibility.
            "type" => line.starts_with("type") || line.trim_start().starts_with("pub"),
            _ => false,
        };
        let name: String = words.next()?.chars().take_while(|c| c.is_alphanumeric()).collect();
        is_declaration.then_some(name)
    })
}

fn modules_used_in(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for line in code_of(text) {
        for (at, found) in line.match_indices("crate::") {
            used.extend(heads(&line[at + found.len()..]));
        }
    }
    used
}

/// The first names of a path or of a braced group of paths.
fn heads(path: &str) -> Vec<String> {
    let head = |text: &str| {
        text.trim()
            .chars()
            .take_while(|letter| letter.is_ascii_lowercase() || *letter == '_')
            .collect::<String>()
    };
    match path.strip_prefix('{') {
        Some(group) => group.split(',').map(head).filter(|head| !head.is_empty()).collect(),
        None => vec![head(path)],
    }
}

/// The lines of a text without comments and indentation.
fn code_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

/// Whether a line names something that is not the end of a longer name. The crate at the head of a path must not be a
/// module in the middle of another one.
fn mentions(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let is_inside = before.is_some_and(|before| before.is_alphanumeric() || before == '_');
        !(is_inside || name.ends_with("::") && before == Some(':'))
    })
}

/// All source files, relative to `src`, with their text.
fn files() -> Vec<(PathBuf, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<_> = rust_files(&source)
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            (file.strip_prefix(&source).unwrap().to_owned(), text)
        })
        .collect();
    files.sort();
    files
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
