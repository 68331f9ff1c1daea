//! Reads the configuration file: a layer of options, and options of single hosts.
//!
//! A key is the long name of an option, its value is that of the option. The current directory is never searched for a
//! file: its content may come from anybody.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use http::header::USER_AGENT;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Host;

use super::config_layers::{ConfigLayer, LayerOption, LayerValue, is_quotable};
use super::credentials::{HeaderFiles, user_without_password};
use super::option_table::{self, OptionTable, ValueCount, is_secret};
use crate::plan::{HostOverrides, Plan};
use crate::text::io_message;

/// The maximum length of a configuration file, so that a list given by mistake is not read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The content of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ConfigFile {
    /// Options.
    pub layer: ConfigLayer,
    /// Options of hosts, by name.
    pub hosts: BTreeMap<String, HostOverrides>,
    /// The file that was read; `None` if there was none.
    pub path: Option<PathBuf>,
}

/// The file to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConfigPath {
    /// This one; it must exist.
    Named(PathBuf),
    /// This one, if it exists.
    Default(PathBuf),
    /// None.
    Nothing,
}

/// The configuration file of the user (XDG Base Directory Specification). A directory that is not absolute is ignored.
pub(super) fn default_path(xdg_config_home: Option<OsString>, home: Option<PathBuf>) -> ConfigPath {
    let set = xdg_config_home.map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder =
        set.or_else(|| home.filter(|home| home.is_absolute()).map(|home| home.join(".config")));
    folder
        .map_or(ConfigPath::Nothing, |folder| ConfigPath::Default(folder.join("fetch/config.toml")))
}

/// Reads the file, if there is one. A default file that the system cannot read is a warning.
///
/// # Errors
/// A message with the file and, if there is one, the line.
pub(super) fn load(
    config_path: &ConfigPath,
    options: &OptionTable,
    headers: &HeaderFiles,
    warn: &dyn Fn(&str),
) -> Result<ConfigFile, String> {
    let (path, is_default) = match config_path {
        ConfigPath::Named(path) => (path, false),
        ConfigPath::Default(path) => (path, true),
        ConfigPath::Nothing => return Ok(ConfigFile::default()),
    };
    match read(path) {
        Ok(text) => {
            let file = parse(&text, path, options, headers)?;
            Ok(ConfigFile { path: Some(path.clone()), ..file })
        }
        Err(error) if is_default && is_missing(&error) => Ok(ConfigFile::default()),
        Err(error) => {
            let complaint = format!("cannot read {}: {}", path.display(), io_message(&error));
            if !is_default || error.raw_os_error().is_none() {
                return Err(complaint);
            }
            warn(&format!("{complaint}; ignoring it (see --no-config)"));
            Ok(ConfigFile::default())
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(text)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Parses the text of a file. Messages name `path`, and file names in the text are relative to its directory.
///
/// # Errors
/// A message with the file and the line.
pub(super) fn parse(
    text: &str,
    path: &Path,
    options: &OptionTable,
    headers: &HeaderFiles,
) -> Result<ConfigFile, String> {
    let source = ConfigText { text, path, options, headers };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        format!("{}: {}", source.place(at), syntax_error(error.message()))
    })?;
    let mut config = ConfigFile::default();
    for (key, value) in in_order(table.get_ref()) {
        if key.get_ref() == "hosts" {
            config.hosts = source.hosts(value)?;
        } else {
            source.set(key, value, &mut config.layer)?;
        }
    }
    config
        .layer
        .plan()
        .map_err(|complaint| format!("{}: {}", path.display(), config.layer.trace(complaint)))?;
    Ok(config)
}

/// The message of the parser, or a plainer one where it is about the grammar rather than the file.
fn syntax_error(message: &str) -> &str {
    if message.starts_with("string values must be quoted") {
        "missing or unquoted value"
    } else {
        message
    }
}

type ConfigKey<'a> = Spanned<std::borrow::Cow<'a, str>>;

/// The keys and values in the order of the file, so that the first mistake is reported first.
fn in_order<'t, 'a>(table: &'t DeTable<'a>) -> Vec<(&'t ConfigKey<'a>, &'t Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.span().start);
    entries
}

/// The text of a file, with what messages about it need.
struct ConfigText<'a> {
    text: &'a str,
    path: &'a Path,
    options: &'a OptionTable,
    headers: &'a HeaderFiles<'a>,
}

impl ConfigText<'_> {
    /// Sets an option in `layer` to `value`.
    fn set(
        &self,
        key: &ConfigKey,
        value: &Spanned<DeValue>,
        layer: &mut ConfigLayer,
    ) -> Result<(), String> {
        let (name, place) = (key.get_ref().as_ref(), self.place(key.span().start));
        if value.get_ref().is_table() && !self.options.exists(name) {
            let name = name.escape_debug();
            return Err(format!("{place}: unknown section '{name}' (expected [hosts.\"NAME\"])"));
        }
        let takes = self.options.in_file(name);
        let takes =
            takes.ok_or_else(|| format!("{place}: {}", self.unknown_option_message(name)))?;
        let words = format!("{name} = {}", self.raw(value.span()));
        let words = if is_quotable(name, &words) { &words } else { name };
        let shown = format!("{place}: {words}");
        let value = layer_value(name, takes, value.get_ref())
            .and_then(|value| self.ensure_unit(name, value))
            .and_then(|value| match name {
                "header" => self.headers.expand_setting(value, self.path.parent()),
                _ => Ok(value),
            })
            .map_err(|complaint| format!("{shown}: {complaint}"))?;
        layer.set(name, LayerOption { value: self.resolve_paths(name, value), place, shown })
    }

    /// Ensures that a duration has a unit. On the command line a plain number is seconds, as in curl; in a file, which is read
    /// later and by others, it could as well be milliseconds.
    fn ensure_unit(&self, name: &str, value: LayerValue) -> Result<LayerValue, String> {
        if let LayerValue::Given(texts) = &value
            && self.options.takes_duration(name)
            && let Some(number) = texts.iter().find_map(|text| number_without_unit(text))
        {
            return Err(format!("expected a unit, e.g. \"{number}ms\" or \"{number}s\""));
        }
        Ok(value)
    }

    /// Joins relative paths to the directory of the file.
    fn resolve_paths(&self, name: &str, value: LayerValue) -> LayerValue {
        match (value, self.path.parent()) {
            (LayerValue::Given(values), Some(folder)) => {
                let resolve = |value: OsString| match self.options.is_file(name, &value) {
                    true => folder.join(value).into(),
                    false => value,
                };
                LayerValue::Given(values.into_iter().map(resolve).collect())
            }
            (value, _) => value,
        }
    }

    fn hosts(&self, value: &Spanned<DeValue>) -> Result<BTreeMap<String, HostOverrides>, String> {
        let mut hosts = BTreeMap::new();
        for (key, section) in in_order(self.table(value)?) {
            let place = self.place(key.span().start);
            let host = host(key.get_ref())
                .map_err(|complaint| format!("{place}: hosts.{:?}: {complaint}", key.get_ref()))?;
            let host_limits = self.host(self.table(section)?)?;
            if hosts.insert(host, host_limits).is_some() {
                return Err(format!(
                    "{place}: hosts.{:?}: duplicate section for this host",
                    key.get_ref()
                ));
            }
        }
        Ok(hosts)
    }

    fn table<'t, 'a>(&self, value: &'t Spanned<DeValue<'a>>) -> Result<&'t DeTable<'a>, String> {
        value.get_ref().as_table().ok_or_else(|| {
            let place = self.place(value.span().start);
            format!("{place}: expected a section, e.g. [hosts.\"example.org\"]")
        })
    }

    fn host(&self, section: &DeTable) -> Result<HostOverrides, String> {
        let mut layer = ConfigLayer::default();
        for (key, value) in in_order(section) {
            if !option_table::per_host().any(|name| name == key.get_ref().as_ref()) {
                let place = self.place(key.span().start);
                let allowed = option_table::per_host().collect::<Vec<_>>().join(", ");
                return Err(format!(
                    "{place}: '{}' cannot be set per host (allowed: {allowed})",
                    key.get_ref().escape_debug()
                ));
            }
            self.set(key, value, &mut layer)?;
            let user = value.get_ref().as_str().filter(|_| key.get_ref() == "user");
            if user_without_password(user).is_some() {
                let place = self.place(key.span().start);
                return Err(format!(
                    "{place}: user: missing password (expected \"USER:PASSWORD\")"
                ));
            }
        }
        if layer.sets("key") && !layer.sets("cert") {
            return Err(layer.trace("--key requires --cert".to_owned()));
        }
        Ok(host_overrides(&layer, layer.plan()?))
    }

    fn unknown_option_message(&self, name: &str) -> String {
        if self.options.exists(name) {
            return format!("'{name}' cannot be set in the configuration file");
        }
        let name = name.escape_debug();
        match self.options.similar(&name.to_string()) {
            Some(similar) => format!("unknown option '{name}'; did you mean '{similar}'?"),
            None => format!("unknown option '{name}' (expected the long name of an option)"),
        }
    }

    /// The file and the line of a byte: `config.toml:3`.
    fn place(&self, at: usize) -> String {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let number = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{number}", self.path.display())
    }

    fn raw(&self, span: Range<usize>) -> &str {
        self.text.get(span).unwrap_or_default()
    }
}

fn host_overrides(layer: &ConfigLayer, plan: Plan) -> HostOverrides {
    let (general, http) = (plan.host_limits, plan.http);
    let mut headers = http.headers;
    if layer.sets("user-agent") {
        headers.push((USER_AGENT, http.user_agent));
    }
    HostOverrides {
        per_host: layer.sets("per-host").then_some(general.per_host),
        delay: layer.sets("host-delay").then_some(general.host_delay),
        rate: general.host_rate,
        headers,
        client_certificate: http.client_certificate,
    }
}

/// Converts a TOML value to the setting of an option.
fn layer_value(name: &str, takes: ValueCount, value: &DeValue) -> Result<LayerValue, String> {
    match (takes, value) {
        (ValueCount::Nothing, DeValue::Boolean(true)) => Ok(LayerValue::On),
        (ValueCount::Nothing, DeValue::Boolean(false)) => Ok(LayerValue::Off),
        (ValueCount::Nothing, _) => Err("expected true or false".to_owned()),
        (ValueCount::Many, DeValue::Array(values)) => {
            let values = values.iter().map(|value| scalar(name, value.get_ref()));
            Ok(LayerValue::Given(values.collect::<Result<_, _>>()?))
        }
        (_, value) => Ok(LayerValue::Given(vec![scalar(name, value)?])),
    }
}

/// A value as it is typed on the command line.
fn scalar(name: &str, value: &DeValue) -> Result<OsString, String> {
    match value {
        DeValue::String(text) => Ok(text.as_ref().into()),
        // A number is a password or a user only by mistake, and its spelling in the file may be lost.
        DeValue::Integer(_) | DeValue::Float(_) if is_secret(name) => {
            Err(format!("expected a value in quotes (see --{name})"))
        }
        DeValue::Integer(number) => {
            let plain = i128::from_str_radix(number.as_str(), number.radix());
            Ok(plain.map_or_else(|_| number.to_string(), |plain| plain.to_string()).into())
        }
        DeValue::Float(number) => Ok(number.as_str().into()),
        _ => Err(format!("expected a single value, quoted unless it is a number (see --{name})")),
    }
}

/// A text that is a number without a unit, and not zero.
fn number_without_unit(text: &OsStr) -> Option<&str> {
    text.to_str().filter(|text| text.parse().is_ok_and(|number: f64| number != 0.0))
}

/// The name of a host as in a parsed URL: lower case, punycode.
fn host(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err("wildcards are not supported; name each host".to_owned());
    }
    let host = Host::parse(text)
        .map_err(|_| "expected a host name, e.g. example.org or [::1]".to_owned())?;
    Ok(host.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_configuration_or_a_complaint_that_names_the_file(
            text in "([a-z-]{1,8}|jobs|hosts|header|[ \n=\"'.\\[\\]{}#0-9]|\\PC){0,40}"
        ) {
            let stdin = || Ok(Vec::new());
            let headers = HeaderFiles::of(&stdin);
            match parse(&text, Path::new("config.toml"), &OptionTable::of_fetch(), &headers) {
                Ok(_) => {}
                Err(complaint) => prop_assert!(complaint.starts_with("config.toml:"), "{}", complaint),
            }
        }
    }
}
