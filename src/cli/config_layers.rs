//! What was said where: the file, the environment and the words typed, each a layer over the one before. Lower
//! layers become words in front of those typed, so that one parser reads all three and says what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, Parser};
use http::header::USER_AGENT;

use super::args::Arguments;
use super::to_plan;
use crate::list;
use crate::plan::Plan;

/// Options of one run alone: they are typed, or not given.
const TYPED_ALONE: [&str; 10] = [
    "dir",
    "refresh",
    "force",
    "overwrite",
    "checksum",
    "sha256sums",
    "dry-run",
    "failed",
    "failed-class",
    "report",
];

/// Options that say which file there is, and so cannot be in it.
const OF_THE_FILE: [&str; 2] = ["config", "no-config"];

/// What an option settles beside itself: a layer that gives the first does away with the others below it.
const SETTLES: [(&str, &str); 11] = [
    ("mode", "loops"),
    ("ipv4", "ipv6"),
    ("ipv6", "ipv4"),
    ("max-failures", "fail-fast"),
    ("fail-fast", "max-failures"),
    ("format", "json"),
    ("json", "format"),
    ("quiet", "verbose"),
    ("verbose", "quiet"),
    ("config", "no-config"),
    ("no-config", "config"),
];

/// Options whose values may hold a password: no message quotes them.
const SECRET: [&str; 2] = ["header", "proxy"];

/// What one option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueCount {
    /// Nothing: it is given or not.
    Nothing,
    /// One value.
    One,
    /// Any number of values.
    Many,
}

/// The options that a lower layer may set, by their long names, as the parser knows them.
pub(super) struct OptionWords(Command);

impl OptionWords {
    /// Those of the command line.
    pub(super) fn known() -> Self {
        Self(Arguments::command())
    }

    /// What an option takes in a file; `None`: it does not exist, or is not for files.
    pub(super) fn in_file(&self, name: &str) -> Option<ValueCount> {
        if OF_THE_FILE.contains(&name) { None } else { self.outside(name) }
    }

    /// The options that may be set in the environment.
    pub(super) fn in_environment(&self) -> impl Iterator<Item = (&str, ValueCount)> {
        let names = self.0.get_arguments().filter_map(Arg::get_long);
        names.filter_map(|name| Some((name, self.outside(name)?)))
    }

    /// Whether it exists, if only on the command line.
    pub(super) fn exists(&self, name: &str) -> bool {
        self.argument(name).is_some()
    }

    /// The option that a name may have been meant for.
    pub(super) fn resembling(&self, name: &str) -> Option<String> {
        let error = Arguments::try_parse_from(["fetch".to_owned(), format!("--{name}")]).err()?;
        let ContextValue::String(similar) = error.get(ContextKind::SuggestedArg)? else {
            return None;
        };
        let similar = similar.trim_start_matches('-');
        self.in_file(similar).map(|_| similar.to_owned())
    }

    fn outside(&self, name: &str) -> Option<ValueCount> {
        if TYPED_ALONE.contains(&name) {
            return None;
        }
        Some(match self.argument(name)?.get_action() {
            ArgAction::SetTrue => ValueCount::Nothing,
            ArgAction::Append => ValueCount::Many,
            _ => ValueCount::One,
        })
    }

    fn argument(&self, name: &str) -> Option<&Arg> {
        self.0.get_arguments().find(|argument| argument.get_long() == Some(name))
    }
}

/// What a layer says of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LayerValue {
    /// Not given, whatever lower layers say.
    Off,
    /// Given; it takes nothing.
    On,
    /// Given with these values.
    Given(Vec<OsString>),
}

/// One option as a lower layer sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayerOption {
    /// What is said of it.
    pub value: LayerValue,
    /// Where: `config.toml:3`, `FETCH_JOBS`.
    pub place: String,
    /// Where and how, as far as it may be shown: `config.toml:3: jobs = 8`, `FETCH_JOBS=8`.
    pub shown: String,
}

impl LayerOption {
    fn words(&self, name: &str) -> Vec<OsString> {
        match &self.value {
            LayerValue::Off => Vec::new(),
            LayerValue::On => vec![format!("--{name}").into()],
            LayerValue::Given(values) => values.iter().map(|value| word(name, value)).collect(),
        }
    }
}

/// Words as they may be shown: options that may hold a password are named alone.
pub(super) fn shown(words: &[OsString]) -> Vec<String> {
    let shown = |word: &OsString| {
        let word = word.to_string_lossy();
        let name = word.split_once('=').map_or(&*word, |(name, _)| name);
        match name.strip_prefix("--") {
            Some(secret) if SECRET.contains(&secret) => format!("{name}=***"),
            _ => word.into_owned(),
        }
    };
    words.iter().map(shown).collect()
}

/// The words that were typed of all options but these, such that they can be typed again.
pub(super) fn typed_again(matches: &ArgMatches, command: &Command, but: &[&str]) -> Vec<OsString> {
    let typed = command.get_arguments().filter(|argument| {
        let id = argument.get_id().as_str();
        !but.contains(&id) && matches.value_source(id) == Some(ValueSource::CommandLine)
    });
    let words = typed.filter_map(|argument| Some((argument.get_long()?, argument)));
    let words = words.flat_map(|(name, argument)| match argument.get_action() {
        ArgAction::SetTrue => vec![format!("--{name}").into()],
        _ => {
            let values = matches.get_raw(argument.get_id().as_str()).into_iter().flatten();
            values.map(|value| word(name, value)).collect()
        }
    });
    words.collect()
}

/// An option with its value, in one word.
pub(super) fn word(name: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value);
    word
}

/// Whether a message may quote the words that set an option.
pub(super) fn quotable(name: &str, words: &str) -> bool {
    !SECRET.contains(&name) && !words.contains(char::is_control)
}

/// What a layer below the words typed says, option by option.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ConfigLayer(BTreeMap<String, LayerOption>);

impl ConfigLayer {
    /// Takes a setting if it makes sense by itself.
    ///
    /// # Errors
    /// A sentence that says where it stands and what is wrong with it.
    pub(super) fn set(&mut self, name: &str, setting: LayerOption) -> Result<(), String> {
        ensure_the_user_agent_has_its_own_option(name, &setting.value)
            .and_then(|()| decided(setting.words(name)).map(drop))
            .map_err(|complaint| format!("{}: {complaint}", setting.shown))?;
        self.0.insert(name.to_owned(), setting);
        Ok(())
    }

    /// What the settings come to by themselves.
    ///
    /// # Errors
    /// A sentence about those that do not go together.
    pub(super) fn plan(&self) -> Result<Plan, String> {
        decided(self.words())
    }

    /// Whether it says anything of an option.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The layer that results where `self` lies over `lower`.
    pub(super) fn over(self, lower: Self) -> Self {
        let given = self.0.iter().filter(|(_, setting)| setting.value != LayerValue::Off);
        let settled = SetByUser::by(given.map(|(name, _)| name.as_str()));
        let mut under = lower.below(&settled).0;
        under.extend(self.0);
        Self(under)
    }

    /// What is left of it below what is settled.
    pub(super) fn below(mut self, settled: &SetByUser) -> Self {
        self.0.retain(|name, _| !settled.0.contains(name));
        self
    }

    /// It as words of a command line.
    pub(super) fn words(&self) -> Vec<OsString> {
        self.0.iter().flat_map(|(name, setting)| setting.words(name)).collect()
    }

    /// Adds to a complaint where the options come from that it names and that were not typed.
    pub(super) fn trace(&self, complaint: String) -> String {
        let named = self.0.iter().filter(|(name, _)| names(&complaint, name));
        let places: Vec<_> =
            named.map(|(name, setting)| format!("--{name} from {}", setting.place)).collect();
        if places.is_empty() { complaint } else { format!("{complaint} ({})", places.join(", ")) }
    }
}

fn names(complaint: &str, option: &str) -> bool {
    let option = format!("--{option}");
    complaint.match_indices(&option).any(|(at, _)| {
        let next = complaint[at + option.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric() && next != '-')
    })
}

/// The options of which lower layers have nothing more to say.
pub(super) struct SetByUser(BTreeSet<String>);

impl SetByUser {
    /// Those that were typed.
    pub(super) fn by_words(matches: &ArgMatches, typed: &Arguments) -> Self {
        let command = Arguments::command();
        let names = command.get_arguments().filter(|argument| {
            matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
        });
        let names_agent = typed.fetch.requests.headers.iter().any(|text| is_user_agent(text));
        Self::by(names.filter_map(Arg::get_long).chain(names_agent.then_some("user-agent")))
    }

    fn by<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut settled = BTreeSet::new();
        for name in names {
            let others = SETTLES.iter().filter(|(given, _)| *given == name);
            settled.extend(others.map(|(_, other)| (*other).to_owned()));
            settled.insert(name.to_owned());
        }
        Self(settled)
    }
}

/// Two options for one thing are for one command line, where both are in sight.
fn ensure_the_user_agent_has_its_own_option(name: &str, value: &LayerValue) -> Result<(), String> {
    match value {
        LayerValue::Given(texts) if name == "header" => {
            let mut texts = texts.iter().filter_map(|text| text.to_str());
            if texts.any(is_user_agent) {
                return Err("User-Agent is set by user-agent here".to_owned());
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_user_agent(field: &str) -> bool {
    list::field(field).is_ok_and(|(name, _)| name == USER_AGENT)
}

/// The plan that words come to, standard input being the list.
fn decided(words: Vec<OsString>) -> Result<Plan, String> {
    let program = OsString::from("fetch");
    let typed = Arguments::try_parse_from(std::iter::once(program).chain(words));
    to_plan::plan(typed.map_err(|error| sentence(&error))?.fetch, false)
}

/// What the parser has to say, without the frame that it gives to words that were typed.
fn sentence(error: &clap::Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    if let (ErrorKind::InvalidValue, Some(ContextValue::Strings(values))) =
        (error.kind(), error.get(ContextKind::ValidValue))
        && !values.is_empty()
    {
        return format!("write one of {}", values.join(", "));
    }
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

/// Asks for the variable of every option.
///
/// # Errors
/// A sentence that names the variable.
pub(super) fn from_environment(
    options: &OptionWords,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<ConfigLayer, String> {
    let mut layer = ConfigLayer::default();
    for (option, takes) in options.in_environment() {
        let name = variable_name(option);
        let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
        let words = format!("{name}={}", text.display());
        let shown = if quotable(option, &words) { words } else { name.clone() };
        let value = variable_value(takes, &text).map_err(|complaint| format!("{shown}: {complaint}"))?;
        layer.set(option, LayerOption { value, place: name, shown })?;
    }
    layer.plan().map_err(|complaint| layer.trace(complaint))?;
    Ok(layer)
}

fn variable_name(option: &str) -> String {
    format!("FETCH_{}", option.to_uppercase().replace('-', "_"))
}

fn variable_value(takes: ValueCount, text: &OsStr) -> Result<LayerValue, String> {
    match (takes, text.to_str()) {
        (ValueCount::Nothing, Some("1" | "true")) => Ok(LayerValue::On),
        (ValueCount::Nothing, Some("0" | "false")) => Ok(LayerValue::Off),
        (ValueCount::Nothing, _) => Err("write 1 or 0".to_owned()),
        // No such value has a line break in it.
        (ValueCount::Many, Some(text)) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Ok(LayerValue::Given(lines.map(OsString::from).collect()))
        }
        _ => Ok(LayerValue::Given(vec![text.to_owned()])),
    }
}
