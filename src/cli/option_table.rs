//! Facts about options that clap does not know: where an option may be set, whether its value is secret, what it depends
//! on. What clap knows (conflicts, paths, types of values) is taken from clap.

use std::any::TypeId;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::sync::LazyLock;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, ValueHint};

use super::args::Arguments;
use super::proxy::proxy;
use super::{hints, similarity};
use crate::list;
use crate::plan::{MaxFailures, MaxPerHost};
use crate::redaction::masked;

/// Facts about one option.
#[derive(Debug, Clone, Copy)]
pub(super) struct OptionFacts {
    /// Its long name.
    name: &'static str,
    /// Where it may be set.
    scope: OptionScope,
    /// Masks the secrets in a value; `None`: no value is secret.
    redact: Option<fn(&str) -> String>,
    /// Whether its value may be a URL.
    takes_url: bool,
    /// Whether a `[hosts."NAME"]` section of the configuration file may set it.
    per_host: bool,
    /// It has no effect unless one of these options is set; empty: it always has an effect.
    requires: &'static [&'static str],
    /// Whether it describes a comparison, and is not passed on to the runs that are compared.
    of_comparison: bool,
    /// Options of lower layers that it replaces, in addition to itself and to those that it conflicts with.
    overrides: &'static [&'static str],
}

/// Where an option may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OptionScope {
    Anywhere,
    /// On the command line and in the environment.
    NotInFile,
    /// On the command line only: it concerns one run.
    CommandLine,
}

/// The facts about an option that has no row in the table.
const PLAIN: OptionFacts = OptionFacts {
    name: "",
    scope: OptionScope::Anywhere,
    redact: None,
    takes_url: false,
    per_host: false,
    requires: &[],
    of_comparison: false,
    overrides: &[],
};

/// The options of `fetch` and `fetch compare` whose facts differ from [`PLAIN`].
const TABLE: &[OptionFacts] = &[
    OptionFacts { name: "mode", overrides: &["loops"], ..PLAIN },
    OptionFacts { name: "jobs", of_comparison: true, ..PLAIN },
    OptionFacts { name: "loops", of_comparison: true, ..PLAIN },
    OptionFacts { name: "header", redact: Some(redact_header), per_host: true, ..PLAIN },
    OptionFacts { name: "user", redact: Some(redact_user), per_host: true, ..PLAIN },
    OptionFacts { name: "netrc-file", overrides: &["netrc"], ..PLAIN },
    OptionFacts { name: "netrc", overrides: &["netrc-file"], ..PLAIN },
    OptionFacts { name: "user-agent", per_host: true, ..PLAIN },
    OptionFacts { name: "proxy", redact: Some(redact_proxy), takes_url: true, ..PLAIN },
    OptionFacts { name: "cookie", redact: Some(redact_cookies), ..PLAIN },
    OptionFacts { name: "cookie-jar", ..ONE_RUN },
    OptionFacts { name: "cert", per_host: true, overrides: &["key"], ..PLAIN },
    OptionFacts { name: "key", per_host: true, ..PLAIN },
    OptionFacts { name: "referer", redact: Some(redact_url), takes_url: true, ..PLAIN },
    OptionFacts { name: "head", ..ONE_RUN },
    OptionFacts { name: "deadline", of_comparison: true, ..PLAIN },
    OptionFacts { name: "per-host", per_host: true, ..PLAIN },
    OptionFacts { name: "host-delay", per_host: true, ..PLAIN },
    OptionFacts { name: "host-rate", per_host: true, ..PLAIN },
    OptionFacts { name: "dir", of_comparison: true, ..ONE_RUN },
    OptionFacts { name: "warc", ..ONE_RUN },
    OptionFacts { name: "tar", ..ONE_RUN },
    OptionFacts { name: "archive-size", requires: ARCHIVES, ..PLAIN },
    OptionFacts { name: "archive-count", requires: ARCHIVES, ..PLAIN },
    OptionFacts { name: "text-column", requires: &["tar"], ..ONE_RUN },
    OptionFacts { name: "names", ..SAVING },
    OptionFacts { name: "remote-header-name", ..SAVING },
    OptionFacts { name: "refresh", requires: BODIES, ..ONE_RUN },
    OptionFacts { name: "force", requires: BODIES, ..ONE_RUN },
    OptionFacts { name: "overwrite", requires: &["dir"], ..ONE_RUN },
    OptionFacts { name: "output", ..ONE_RUN },
    OptionFacts { name: "split", requires: &["dir", "output"], ..PLAIN },
    OptionFacts { name: "min-split-size", requires: &["dir", "output"], ..PLAIN },
    OptionFacts { name: "fsync", requires: &["dir", "output", "warc", "tar"], ..PLAIN },
    OptionFacts { name: "min-free", requires: &["dir", "output", "warc", "tar"], ..PLAIN },
    OptionFacts { name: "checksum", ..ONE_RUN },
    OptionFacts { name: "sha256sums", ..ONE_RUN },
    OptionFacts { name: "failed", ..ONE_RUN },
    OptionFacts { name: "failed-class", ..ONE_RUN },
    OptionFacts { name: "json", of_comparison: true, ..PLAIN },
    OptionFacts { name: "report", of_comparison: true, ..ONE_RUN },
    OptionFacts { name: "input-file", takes_url: true, ..ONE_RUN },
    OptionFacts { name: "input", takes_url: true, redact: Some(redact_url), ..ONE_RUN },
    OptionFacts { name: "input-format", ..ONE_RUN },
    OptionFacts { name: "delimiter", ..ONE_RUN },
    OptionFacts { name: "url-column", ..ONE_RUN },
    OptionFacts { name: "id-column", ..ONE_RUN },
    OptionFacts { name: "out-column", ..ONE_RUN },
    OptionFacts { name: "checksum-column", ..ONE_RUN },
    OptionFacts { name: "carry", ..ONE_RUN },
    OptionFacts { name: "shard", scope: OptionScope::NotInFile, ..PLAIN },
    OptionFacts { name: "shard-by", scope: OptionScope::NotInFile, ..PLAIN },
    OptionFacts { name: "tries", ..ONE_RUN },
    OptionFacts { name: "no-redact", ..ONE_RUN },
    OptionFacts { name: "dry-run", ..ONE_RUN },
    OptionFacts { name: "config", scope: OptionScope::NotInFile, ..PLAIN },
    OptionFacts { name: "no-config", scope: OptionScope::NotInFile, ..PLAIN },
    OptionFacts { name: "modes", of_comparison: true, ..PLAIN },
    OptionFacts { name: "runs", of_comparison: true, ..PLAIN },
    OptionFacts { name: "warmup", of_comparison: true, ..PLAIN },
    OptionFacts { name: "seed", of_comparison: true, ..PLAIN },
    OptionFacts { name: "i-run-this-server", of_comparison: true, ..PLAIN },
    OptionFacts { name: "command", of_comparison: true, ..ONE_RUN },
    OptionFacts { name: "prepare", of_comparison: true, ..ONE_RUN },
    OptionFacts { name: "against", of_comparison: true, ..ONE_RUN },
];

const ONE_RUN: OptionFacts = OptionFacts { scope: OptionScope::CommandLine, ..PLAIN };
const SAVING: OptionFacts = OptionFacts { requires: &["dir"], ..PLAIN };

/// The options that save the bodies of a list.
const BODIES: &[&str] = &["dir", "warc", "tar"];

/// The options that save the bodies of a list in archives.
const ARCHIVES: &[&str] = &["warc", "tar"];

fn facts(name: &str) -> &'static OptionFacts {
    TABLE.iter().find(|facts| facts.name == name).unwrap_or(&PLAIN)
}

/// A user, the password masked. A user without a password may be a token.
fn redact_user(text: &str) -> String {
    text.split_once(':').map_or_else(|| "***".to_owned(), |(user, _)| format!("{user}:***"))
}

/// The name of a header, its value masked; or the name of a file of headers.
fn redact_header(text: &str) -> String {
    if text.starts_with('@') {
        return text.to_owned();
    }
    list::field(text).map_or_else(|_| "***".to_owned(), |(name, _)| format!("{name}: ***"))
}

/// The name of a file with cookies; cookies themselves are masked.
fn redact_cookies(text: &str) -> String {
    if text.contains('=') { "***".to_owned() } else { text.to_owned() }
}

/// A URL, its user and password masked.
fn redact_url(text: &str) -> String {
    text.parse().map_or_else(|_| "***".to_owned(), |url| masked(&url))
}

/// The URL of a proxy, its user and password masked.
fn redact_proxy(text: &str) -> String {
    match proxy(text) {
        Ok(Some(url)) => masked(&url),
        Ok(None) => String::new(),
        Err(_) => "***".to_owned(),
    }
}

/// Whether values of the option may hold a password.
pub(super) fn is_secret(name: &str) -> bool {
    facts(name).redact.is_some()
}

/// The options whose values may hold a password.
pub(super) fn secrets() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|facts| facts.redact.is_some()).map(|facts| facts.name)
}

/// The options that a section for one host may set.
pub(super) fn per_host() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|facts| facts.per_host).map(|facts| facts.name)
}

/// How many values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueCount {
    /// No value: it is a flag.
    Nothing,
    /// One value.
    One,
    /// Any number of values.
    Many,
}

/// An option with the value that a run would use, as `--dry-run` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveOption {
    /// Its long name.
    pub name: String,
    /// Its value.
    pub value: OptionValue,
    /// Whether the value is the default: not set on the command line, in the environment or in the configuration file.
    pub is_default: bool,
}

/// The value of an option, as it is typed, secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// Not set, and without a default.
    Unset,
    /// A flag that is given once. One that is given more often is a number.
    On,
    /// A whole number.
    Number(u64),
    /// Any other single value.
    Text(String),
    /// The values of an option that can be repeated.
    List(Vec<String>),
}

/// The parser of all command lines. It is built once: it has some 150 options, and cloning it costs less.
pub(super) fn parser() -> &'static Command {
    static PARSER: LazyLock<Command> = LazyLock::new(Arguments::command);
    &PARSER
}

/// The options of one command, as clap knows them.
pub(super) struct OptionTable(Cow<'static, Command>);

impl OptionTable {
    /// The options of `fetch`.
    pub(super) fn of_fetch() -> Self {
        Self(Cow::Borrowed(parser()))
    }

    /// The options of `fetch compare`.
    pub(super) fn of_compare() -> Self {
        Self(Cow::Borrowed(parser().find_subcommand("compare").expect("it is a subcommand")))
    }

    /// The options of the command that these words begin with, the name of the program first; `--help` is one of them.
    pub(super) fn of_words(words: &[&str]) -> Self {
        let mut command = parser().clone();
        command.build();
        let named = words.get(1).and_then(|name| command.find_subcommand(name)).cloned();
        Self(Cow::Owned(named.unwrap_or(command)))
    }

    /// How many values an option takes in the configuration file; `None` if it does not exist or may not be set there.
    pub(super) fn in_file(&self, name: &str) -> Option<ValueCount> {
        let is_allowed = facts(name).scope == OptionScope::Anywhere;
        self.argument(name).filter(|_| is_allowed).map(value_count)
    }

    /// The options that may be set in the environment.
    pub(super) fn in_environment(&self) -> impl Iterator<Item = (&str, ValueCount)> {
        self.arguments()
            .filter(|(name, _)| facts(name).scope != OptionScope::CommandLine)
            .map(|(name, argument)| (name, value_count(argument)))
    }

    /// Whether there is an option of this name.
    pub(super) fn exists(&self, name: &str) -> bool {
        self.argument(name).is_some()
    }

    /// Whether the option takes the names of files.
    #[cfg(test)]
    pub(super) fn takes_paths(&self, name: &str) -> bool {
        self.argument(name).is_some_and(|argument| argument.get_value_hint() == ValueHint::AnyPath)
    }

    /// Whether a value of the option names a file. `--cookie` also takes cookies, which do not.
    pub(super) fn is_file(&self, name: &str, value: &OsStr) -> bool {
        let hint = self.argument(name).map(Arg::get_value_hint);
        let is_text = value.is_empty() || value.as_encoded_bytes().contains(&b'=');
        hint == Some(ValueHint::AnyPath) || hint == Some(ValueHint::FilePath) && !is_text
    }

    /// Whether the option takes durations.
    pub(super) fn takes_duration(&self, name: &str) -> bool {
        let duration = TypeId::of::<Duration>();
        self.argument(name).is_some_and(|arg| arg.get_value_parser().type_id() == duration)
    }

    /// An option with a similar name that the configuration file may set; `None` if there is none.
    pub(super) fn similar(&self, name: &str) -> Option<&str> {
        self.nearest(name).filter(|similar| self.in_file(similar).is_some())
    }

    /// The option that a misspelt name is closest to, by any of its names; `None` if none is close.
    pub(super) fn nearest(&self, typed: &str) -> Option<&str> {
        let names = self.arguments().flat_map(|(name, argument)| {
            let others = argument.get_all_aliases().unwrap_or_default();
            [name].into_iter().chain(others).map(move |other| (other, name))
        });
        similarity::nearest(typed, &names.collect::<Vec<_>>())
    }

    /// The first option that takes no URL but has one as its value, and the placeholder of its value (`FILE`). Only a value
    /// that is a word of its own in `words` counts: one joined to its option (`--failed=http://f.txt`) is intended.
    pub(super) fn find_url_as_value(
        &self,
        matches: &ArgMatches,
        words: &[OsString],
    ) -> Option<(&str, String)> {
        let has_url = |argument: &Arg| {
            let mut values = matches.get_raw(argument.get_id().as_str()).into_iter().flatten();
            values.any(|value| {
                value.to_str().is_some_and(is_http_url) && words.iter().any(|word| word == value)
            })
        };
        let candidates = self.arguments().filter(|(name, argument)| {
            !facts(name).takes_url && value_count(argument) != ValueCount::Nothing
        });
        let (name, argument) = candidates
            .into_iter()
            .find(|(_, argument)| is_set(matches, argument) && has_url(argument))?;
        let value = argument.get_value_names().unwrap_or_default().first();
        Some((name, value.map_or_else(|| "VALUE".to_owned(), ToString::to_string)))
    }

    /// The options of lower layers that have no effect once `name` is set.
    pub(super) fn overridden_by(&self, name: &str) -> Vec<&str> {
        let conflicts = |option: &Arg, other: &str| {
            let conflicting = self.0.get_arg_conflicts_with(option);
            conflicting.iter().any(|argument| argument.get_long() == Some(other))
        };
        let Some(given) = self.argument(name) else { return Vec::new() };
        let others = self.arguments().filter(|(other, argument)| {
            facts(name).overrides.contains(other)
                || conflicts(given, other)
                || conflicts(argument, name)
        });
        others.map(|(other, _)| other).chain([given.get_long().unwrap_or_default()]).collect()
    }

    /// The options that a parsed command line sets.
    pub(super) fn set_in<'t>(&'t self, matches: &'t ArgMatches) -> impl Iterator<Item = &'t str> {
        self.arguments().filter(|(_, argument)| is_set(matches, argument)).map(|(name, _)| name)
    }

    /// The first typed option that has no effect without one of some others, and these others.
    pub(super) fn find_unmet_requirement<'t>(
        &'t self,
        matches: &'t ArgMatches,
    ) -> Option<(&'t str, &'static [&'static str])> {
        let set: Vec<_> = self.set_in(matches).collect();
        let lacks = |required: &[&str]| {
            !required.is_empty() && !required.iter().any(|other| set.contains(other))
        };
        let mut required = set.iter().map(|name| (*name, facts(name).requires));
        required.find(|(_, required)| lacks(required))
    }

    /// The words of a command line that set the options of each run of a comparison, without the `excluded` ones.
    pub(super) fn words_for_runs(
        &self,
        matches: &ArgMatches,
        excluded: &[&str],
    ) -> Vec<std::ffi::OsString> {
        let set = self.arguments().filter(|(name, argument)| {
            !facts(name).of_comparison && !excluded.contains(name) && is_set(matches, argument)
        });
        set.flat_map(|(name, argument)| words_of(name, argument, matches)).collect()
    }

    /// The words of a command line that set these options.
    pub(super) fn words_of(&self, matches: &ArgMatches, names: &[&str]) -> Vec<std::ffi::OsString> {
        let set = self
            .arguments()
            .filter(|(name, argument)| names.contains(name) && is_set(matches, argument));
        set.flat_map(|(name, argument)| words_of(name, argument, matches)).collect()
    }

    /// All options with their values, secrets masked.
    pub(super) fn effective(&self, matches: &ArgMatches) -> Vec<EffectiveOption> {
        let options = self.arguments().filter(|(name, _)| *name != "dry-run");
        let effective = options.map(|(name, argument)| EffectiveOption {
            name: name.to_owned(),
            value: effective_value(name, argument, matches),
            is_default: !is_set(matches, argument),
        });
        effective.collect()
    }

    /// The options that were set, as words of a command line, secrets masked.
    pub(super) fn set_options(&self, matches: &ArgMatches) -> Vec<String> {
        let set = self.arguments().filter(|(_, argument)| is_set(matches, argument));
        let words = set.flat_map(|(name, argument)| match value_count(argument) {
            ValueCount::Nothing => {
                vec![format!("--{name}"); times_given(argument, matches).into()]
            }
            ValueCount::One | ValueCount::Many => {
                let values = masked_values(name, argument, matches);
                values.map(|value| format!("--{name}={value}")).collect()
            }
        });
        words.collect()
    }

    fn arguments(&self) -> impl Iterator<Item = (&str, &Arg)> {
        let named = self.0.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
        named.filter(|(name, _)| !hints::is_accepted(name))
    }

    fn argument(&self, name: &str) -> Option<&Arg> {
        self.arguments().find(|(long, _)| *long == name).map(|(_, argument)| argument)
    }
}

fn words_of(name: &str, argument: &Arg, matches: &ArgMatches) -> Vec<std::ffi::OsString> {
    match value_count(argument) {
        ValueCount::Nothing => vec![format!("--{name}").into()],
        ValueCount::One | ValueCount::Many => {
            let values = matches.get_raw(argument.get_id().as_str()).into_iter().flatten();
            values.map(|value| super::config_layers::word(name, value)).collect()
        }
    }
}

/// Whether a value is an http or https URL, and so not the name of a file.
fn is_http_url(value: &str) -> bool {
    let is_http = value.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http"));
    is_http && list::begins_with_a_scheme(value)
}

fn is_set(matches: &ArgMatches, argument: &Arg) -> bool {
    matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
}

fn value_count(argument: &Arg) -> ValueCount {
    match argument.get_action() {
        ArgAction::SetTrue | ArgAction::Count => ValueCount::Nothing,
        ArgAction::Append => ValueCount::Many,
        _ => ValueCount::One,
    }
}

fn effective_value(name: &str, argument: &Arg, matches: &ArgMatches) -> OptionValue {
    let mut values = masked_values(name, argument, matches);
    match value_count(argument) {
        ValueCount::Nothing => match times_given(argument, matches) {
            0 => OptionValue::Unset,
            1 => OptionValue::On,
            times => OptionValue::Number(times.into()),
        },
        ValueCount::One => match values.next() {
            None => OptionValue::Unset,
            Some(text) if takes_numbers(argument) => {
                text.parse().map_or(OptionValue::Text(text), OptionValue::Number)
            }
            Some(text) => OptionValue::Text(text),
        },
        ValueCount::Many => match values.collect::<Vec<_>>() {
            values if values.is_empty() => OptionValue::Unset,
            values => OptionValue::List(values),
        },
    }
}

/// The values of an option, secrets masked.
fn masked_values<'m>(
    name: &str,
    argument: &Arg,
    matches: &'m ArgMatches,
) -> impl Iterator<Item = String> + use<'m> {
    let redact = facts(name).redact.unwrap_or(str::to_owned);
    let values = matches.get_raw(argument.get_id().as_str()).into_iter().flatten();
    values.map(move |value| redact(&value.to_string_lossy()))
}

/// How often a flag is given.
fn times_given(argument: &Arg, matches: &ArgMatches) -> u8 {
    let id = argument.get_id().as_str();
    match argument.get_action() {
        ArgAction::Count => matches.get_count(id),
        _ => matches.get_flag(id).into(),
    }
}

fn takes_numbers(argument: &Arg) -> bool {
    let numbers = [
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<NonZeroU32>(),
        TypeId::of::<NonZeroU64>(),
        TypeId::of::<NonZeroUsize>(),
        TypeId::of::<MaxPerHost>(),
        TypeId::of::<MaxFailures>(),
    ];
    numbers.iter().any(|number| argument.get_value_parser().type_id() == *number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_is_an_option_and_there_is_one_row_for_each() {
        let (fetch, compare) = (OptionTable::of_fetch(), OptionTable::of_compare());
        let mut names = BTreeSet::new();
        for row in TABLE {
            assert!(names.insert(row.name), "{} has two rows", row.name);
            assert!(fetch.exists(row.name) || compare.exists(row.name), "no option {}", row.name);
            assert_eq!(row.of_comparison, row.of_comparison && compare.exists(row.name));
            let others = row.overrides.iter();
            assert!(others.into_iter().all(|other| fetch.exists(other)), "{}", row.name);
        }
    }

    #[test]
    fn what_fetch_and_compare_have_in_common_is_passed_on_unless_the_table_says_otherwise() {
        let (fetch, compare) = (OptionTable::of_fetch(), OptionTable::of_compare());
        for (name, _) in compare.arguments() {
            assert!(fetch.exists(name) || facts(name).of_comparison, "a run cannot take --{name}");
        }
    }

    #[test]
    fn options_that_save_are_those_under_the_heading() {
        let table = OptionTable::of_fetch();
        for (name, argument) in table.arguments() {
            let is_saving = argument.get_help_heading() == Some("Saving files");
            let is_saving = is_saving && !["dir", "output", "warc", "tar"].contains(&name);
            assert_eq!(!facts(name).requires.is_empty(), is_saving, "--{name}");
        }
    }

    #[test]
    fn options_that_take_the_name_of_an_output_are_for_one_run() {
        let table = OptionTable::of_fetch();
        for (name, _) in table.arguments().filter(|(name, _)| table.takes_paths(name)) {
            let is_input_of_all_runs =
                ["cacert", "cert", "key", "config", "netrc-file"].contains(&name);
            assert!(
                is_input_of_all_runs || facts(name).scope == OptionScope::CommandLine,
                "{name}"
            );
        }
    }

    #[test]
    fn an_option_overrides_what_it_conflicts_with() {
        let table = OptionTable::of_fetch();
        for (one, other) in [
            ("ipv4", "ipv6"),
            ("max-failures", "fail-fast"),
            ("format", "json"),
            ("quiet", "verbose"),
            ("config", "no-config"),
        ] {
            assert!(table.overridden_by(one).contains(&other), "{one}");
            assert!(table.overridden_by(other).contains(&one), "{other}");
        }
        assert_eq!(table.overridden_by("mode"), ["loops", "mode"]);
    }

    #[test]
    fn no_secret_is_shown() {
        assert_eq!(redact_header("Authorization: hunter2"), "authorization: ***");
        assert_eq!(redact_header("hunter2"), "***");
        assert_eq!(redact_cookies("a=hunter2"), "***");
        assert_eq!(redact_cookies("cookies.txt"), "cookies.txt");
        assert_eq!(redact_header("@headers.txt"), "@headers.txt");
        assert_eq!(redact_user("u:hunter2"), "u:***");
        assert_eq!(redact_user("hunter2"), "***");
        assert_eq!(redact_proxy("u:hunter2@p:1"), "http://u:***@p:1/");
        assert_eq!(redact_proxy("ftp://u:hunter2@p:1"), "***");
    }

    #[test]
    fn the_chapter_names_every_option_that_cannot_be_in_the_file() {
        let chapter = include_str!("../manual/configuration.md");
        let sentence = chapter.split_once("belong to a single run").unwrap().1;
        let sentence = sentence.split_once("\n- ").unwrap().0;
        let table = OptionTable::of_fetch();
        let options = table.arguments().filter(|(_, argument)| !argument.is_hide_set());
        let names: Vec<_> = options
            .map(|(name, _)| name)
            .filter(|name| table.in_file(name).is_none() && !["help", "version"].contains(name))
            .collect();
        assert!(names.len() > 10);
        for name in names {
            assert!(sentence.contains(&format!("`--{name}`")), "{name}");
        }
    }

    #[test]
    fn the_chapter_names_every_variable_of_an_option_that_cannot_be_in_the_file() {
        let chapter = include_str!("../manual/configuration.md");
        let sentence = chapter.split_once("have no\nvariable, except").unwrap().1;
        let sentence = sentence.split_once(';').unwrap().0;
        let table = OptionTable::of_fetch();
        let in_environment = table.in_environment().map(|(name, _)| name);
        let mut expected: Vec<_> = in_environment
            .filter(|name| table.in_file(name).is_none())
            .map(|name| format!("FETCH_{}", name.replace('-', "_").to_uppercase()))
            .collect();
        let mut named: Vec<_> =
            sentence.split('`').filter(|word| word.starts_with("FETCH_")).collect();
        expected.sort();
        named.sort_unstable();
        assert_eq!(named, expected);
    }
}
