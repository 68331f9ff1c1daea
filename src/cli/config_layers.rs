//! Layers of options: the configuration file, the environment and the command line, each over the one before. Lower layers
//! become arguments in front of those typed, so that one parser checks all three.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, FromArgMatches};
use http::header::USER_AGENT;

use super::Environment;
use super::args::Arguments;
use super::credentials::HeaderFiles;
use super::option_table::{self, OptionTable, ValueCount, is_secret};
use super::{to_plan, without_dots};
use crate::list;
use crate::plan::Plan;

/// The setting of an option in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LayerValue {
    /// Not set, even if a lower layer sets it.
    Off,
    /// A flag that is set.
    On,
    /// Set to these values.
    Given(Vec<OsString>),
}

/// An option that a lower layer sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayerOption {
    /// Its setting.
    pub value: LayerValue,
    /// Where: `config.toml:3`, `FETCH_JOBS`.
    pub place: String,
    /// Where and how, without secrets: `config.toml:3: jobs = 8`, `FETCH_JOBS=8`.
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

/// Masks the values of arguments that may hold a password.
pub(super) fn mask_words(words: &[OsString]) -> Vec<String> {
    let mask = |word: &OsString| {
        let word = word.to_string_lossy();
        let name = word.split_once('=').map_or(&*word, |(name, _)| name);
        match name.strip_prefix("--") {
            Some(option) if is_secret(option) => format!("{name}=***"),
            _ => word.into_owned(),
        }
    };
    words.iter().map(mask).collect()
}

/// An option with its value, as one argument.
pub(super) fn word(name: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value);
    word
}

/// Whether a message may quote the setting of an option.
pub(super) fn is_quotable(name: &str, words: &str) -> bool {
    !is_secret(name) && !words.contains(char::is_control)
}

/// A layer below the command line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ConfigLayer(BTreeMap<String, LayerOption>);

impl ConfigLayer {
    /// Adds a setting if it is valid by itself.
    ///
    /// # Errors
    /// A message with its place and the fault.
    pub(super) fn set(&mut self, name: &str, setting: LayerOption) -> Result<(), String> {
        ensure_the_user_agent_has_its_own_option(name, &setting.value)
            .and_then(|()| plan_of_words(setting.words(name)).map(drop))
            .map_err(|complaint| format!("{}: {complaint}", setting.shown))?;
        self.0.insert(name.to_owned(), setting);
        Ok(())
    }

    /// The plan of these settings alone.
    ///
    /// # Errors
    /// A message about settings that conflict.
    pub(super) fn plan(&self) -> Result<Plan, String> {
        plan_of_words(self.words())
    }

    /// Whether it sets an option.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Where an option is set; `None` if it is not.
    pub(super) fn place_of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|setting| setting.place.as_str())
    }

    /// This layer over a lower one, whose settings are kept where this one does not replace them.
    pub(super) fn over(self, lower: Self) -> Self {
        let given = self.0.iter().filter(|(_, setting)| setting.value != LayerValue::Off);
        let set = SetByUser::by(&OptionTable::of_fetch(), given.map(|(name, _)| name.as_str()));
        let mut under = lower.below(&set).0;
        under.extend(self.0);
        Self(under)
    }

    /// Removes the settings that an upper layer replaces.
    pub(super) fn below(mut self, upper: &SetByUser) -> Self {
        self.0.retain(|name, _| !upper.0.contains(name));
        self
    }

    /// The settings as arguments.
    pub(super) fn words(&self) -> Vec<OsString> {
        self.0.iter().flat_map(|(name, setting)| setting.words(name)).collect()
    }

    /// Adds to a message where the options in it were set, if not on the command line.
    pub(super) fn trace(&self, complaint: String) -> String {
        let named = self.0.iter().filter(|(name, _)| mentions(&complaint, name));
        let places: Vec<_> =
            named.map(|(name, setting)| format!("--{name} from {}", setting.place)).collect();
        if places.is_empty() { complaint } else { format!("{complaint} ({})", places.join(", ")) }
    }
}

fn mentions(complaint: &str, option: &str) -> bool {
    let option = format!("--{option}");
    complaint.match_indices(&option).any(|(at, _)| {
        let next = complaint[at + option.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric() && next != '-')
    })
}

/// The options that an upper layer has set, so that lower layers cannot.
pub(super) struct SetByUser(BTreeSet<String>);

impl SetByUser {
    /// The typed options, and those that they replace.
    pub(super) fn by_words(matches: &ArgMatches, typed: &Arguments) -> Self {
        let table = OptionTable::of_fetch();
        let names_agent = typed.fetch.requests.headers.iter().any(|text| is_user_agent(text));
        let names = table.set_in(matches).chain(names_agent.then_some("user-agent"));
        Self::by(&table, names)
    }

    /// Whether an option was typed, or one that replaces it.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    fn by<'a>(table: &OptionTable, names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.flat_map(|name| table.overridden_by(name)).map(str::to_owned).collect())
    }
}

/// Ensures that User-Agent is not set as a header: the layers could not be told apart, and the upper one take precedence.
fn ensure_the_user_agent_has_its_own_option(name: &str, value: &LayerValue) -> Result<(), String> {
    match value {
        LayerValue::Given(texts) if name == "header" => {
            let mut texts = texts.iter().filter_map(|text| text.to_str());
            if texts.any(is_user_agent) {
                return Err("use the option user-agent to set User-Agent".to_owned());
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_user_agent(field: &str) -> bool {
    list::field(field).is_ok_and(|(name, _)| name == USER_AGENT)
}

/// The plan of these arguments, with standard input as the list.
fn plan_of_words(words: Vec<OsString>) -> Result<Plan, String> {
    let program = OsString::from("fetch");
    let words = std::iter::once(program).chain(words);
    let matches = option_table::parser().clone().try_get_matches_from(words);
    let typed = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
    to_plan::plan(typed.map_err(|error| short_message(&error))?.fetch, false)
}

/// The message of the parser, without the parts about the command line.
fn short_message(error: &clap::Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    if let (ErrorKind::InvalidValue, Some(ContextValue::Strings(values))) =
        (error.kind(), error.get(ContextKind::ValidValue))
        && !values.is_empty()
    {
        return format!("expected one of {}", values.join(", "));
    }
    let text = without_dots(&error.render().to_string());
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

/// Variables of debug builds, which make the program fail in chosen places.
const FAILPOINTS: &[&str] =
    if cfg!(debug_assertions) { &["FETCH_FAIL_AT", "FETCH_KILL_AT"] } else { &[] };

/// Reads the options that are set by environment variables (`FETCH_JOBS=8`).
///
/// # Errors
/// A message with the name of the variable.
pub(super) fn from_environment(
    options: &OptionTable,
    headers: &HeaderFiles,
    around: &Environment,
) -> Result<ConfigLayer, String> {
    ensure_all_variables_are_known(options, around)?;
    let mut layer = ConfigLayer::default();
    for (option, takes) in options.in_environment() {
        let name = variable_name(option);
        let Some(text) = (around.variable)(&name).filter(|text| !text.is_empty()) else { continue };
        let words = format!("{name}={}", text.display());
        let shown = if is_quotable(option, &words) { words } else { name.clone() };
        let value = variable_value(takes, &text).and_then(|value| match option {
            "header" => headers.expand_setting(value, None),
            _ => Ok(value),
        });
        let value = value.map_err(|complaint| format!("{shown}: {complaint}"))?;
        layer.set(option, LayerOption { value, place: name, shown })?;
    }
    if layer != ConfigLayer::default() {
        layer.plan().map_err(|complaint| layer.trace(complaint))?;
    }
    Ok(layer)
}

/// Ensures that every variable named `FETCH_...` is that of an option, unless it is empty.
fn ensure_all_variables_are_known(
    options: &OptionTable,
    around: &Environment,
) -> Result<(), String> {
    let mut names: Vec<_> = around.names.iter().map(|name| name.to_string_lossy()).collect();
    names.sort_unstable();
    for name in names {
        let Some(option) = name.strip_prefix("FETCH_") else { continue };
        let option = option.to_lowercase().replace('_', "-");
        let same = options.in_environment().map(|(known, _)| known).find(|known| *known == option);
        let is_known = same.is_some_and(|known| variable_name(known) == *name);
        let is_empty = (around.variable)(&name).is_none_or(|text| text.is_empty());
        if is_known || is_empty || FAILPOINTS.contains(&&*name) {
            continue;
        }
        let name = name.escape_debug();
        let similar = same.or_else(|| options.similar(&option));
        return Err(if same.is_none() && options.exists(&option) {
            format!("{name}: --{option} can only be given on the command line")
        } else if let Some(similar) = similar {
            format!("{name}: unknown variable; did you mean {}?", variable_name(similar))
        } else {
            format!("{name}: unknown variable (expected FETCH_ and the long name of an option)")
        });
    }
    Ok(())
}

fn variable_name(option: &str) -> String {
    format!("FETCH_{}", option.to_uppercase().replace('-', "_"))
}

fn variable_value(takes: ValueCount, text: &OsStr) -> Result<LayerValue, String> {
    match (takes, text.to_str()) {
        (ValueCount::Nothing, Some("1" | "true")) => Ok(LayerValue::On),
        (ValueCount::Nothing, Some("0" | "false")) => Ok(LayerValue::Off),
        (ValueCount::Nothing, _) => Err("expected 1 or 0".to_owned()),
        // One value on each line: no value has a line break in it.
        (ValueCount::Many, Some(text)) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Ok(LayerValue::Given(lines.map(OsString::from).collect()))
        }
        _ => Ok(LayerValue::Given(vec![text.to_owned()])),
    }
}
