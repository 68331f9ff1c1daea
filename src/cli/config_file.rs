//! The configuration file -> a layer, and what is different for some hosts. It is the one file that has to be read
//! before there is a plan; what it says is judged as text, apart from the reading.
//!
//! A key is an option's long name, its value what the option takes. The folder that the program is started in is
//! never looked at: what lies there may come from anybody.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use http::header::USER_AGENT;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Host;

use super::config_layers::{ConfigLayer, LayerOption, LayerValue, quotable};
use super::option_table::{self, OptionTable, ValueCount};
use crate::plan::{HostOverrides, Plan};

/// No file of options is longer than this; a list that was given in its place may be.
const LONGEST: u64 = 1024 * 1024;

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ConfigFile {
    /// Of options.
    pub layer: ConfigLayer,
    /// Of hosts, by name.
    pub hosts: BTreeMap<String, HostOverrides>,
    /// The file that was read; `None` if there was none.
    pub path: Option<PathBuf>,
}

/// Which file counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConfigPath {
    /// This one, and it must be there.
    Named(PathBuf),
    /// This one, if it is there.
    Usual(PathBuf),
    /// None.
    Nothing,
}

/// Where the person's own file is, by the XDG Base Directory Specification: a folder that is not absolute is none.
pub(super) fn usual(xdg_config_home: Option<OsString>, home: Option<PathBuf>) -> ConfigPath {
    let set = xdg_config_home.map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder =
        set.or_else(|| home.filter(|home| home.is_absolute()).map(|home| home.join(".config")));
    folder.map_or(ConfigPath::Nothing, |folder| ConfigPath::Usual(folder.join("fetch/config.toml")))
}

/// Reads the file that counts.
///
/// # Errors
/// A sentence that names the file and, where there is one, the line.
pub(super) fn load(which: &ConfigPath, options: &OptionTable) -> Result<ConfigFile, String> {
    let (path, may_be_missing) = match which {
        ConfigPath::Named(path) => (path, false),
        ConfigPath::Usual(path) => (path, true),
        ConfigPath::Nothing => return Ok(ConfigFile::default()),
    };
    match read(path) {
        Ok(text) => {
            let file = parse(&text, path, options)?;
            Ok(ConfigFile { path: Some(path.clone()), ..file })
        }
        Err(error) if may_be_missing && is_missing(&error) => Ok(ConfigFile::default()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(text)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Reads a file's text; `path` is for messages, and for the files that it names.
///
/// # Errors
/// A sentence that names file and line.
pub(super) fn parse(text: &str, path: &Path, options: &OptionTable) -> Result<ConfigFile, String> {
    let page = ConfigText { text, path, options };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        format!("{}: {}", page.line(at), syntax_error(error.message()))
    })?;
    let mut config = ConfigFile::default();
    for (key, value) in in_order(table.get_ref()) {
        if key.get_ref() == "hosts" {
            config.hosts = page.hosts(value)?;
        } else {
            page.set(key, value, &mut config.layer)?;
        }
    }
    config
        .layer
        .plan()
        .map_err(|complaint| format!("{}: {}", path.display(), config.layer.trace(complaint)))?;
    Ok(config)
}

/// The parser's words, but where they are about its grammar rather than the file.
fn syntax_error(message: &str) -> &str {
    if message.starts_with("string values must be quoted") {
        "missing or unquoted value"
    } else {
        message
    }
}

type ConfigKey<'a> = Spanned<std::borrow::Cow<'a, str>>;

/// Keys as they stand in the file, so that the first mistake is told first.
fn in_order<'t, 'a>(table: &'t DeTable<'a>) -> Vec<(&'t ConfigKey<'a>, &'t Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// A file's text, and what is needed to speak of it.
struct ConfigText<'a> {
    text: &'a str,
    path: &'a Path,
    options: &'a OptionTable,
}

impl ConfigText<'_> {
    /// Sets an option in `layer` to what `value` says.
    fn set(
        &self,
        key: &ConfigKey,
        value: &Spanned<DeValue>,
        layer: &mut ConfigLayer,
    ) -> Result<(), String> {
        let (name, place) = (key.get_ref().as_ref(), self.line(key.span().start));
        let takes = self.options.in_file(name);
        let takes = takes.ok_or_else(|| format!("{place}: {}", self.no_option(name)))?;
        let words = format!("{name} = {}", self.raw(value.span()));
        let words = if quotable(name, &words) { &words } else { name };
        let shown = format!("{place}: {words}");
        let value = meant(name, takes, value.get_ref())
            .map_err(|complaint| format!("{shown}: {complaint}"))?;
        layer.set(name, LayerOption { value: self.beside(name, value), place, shown })
    }

    /// Files that are named by a file are found from where it is.
    fn beside(&self, name: &str, value: LayerValue) -> LayerValue {
        match (value, self.path.parent()) {
            (LayerValue::Given(paths), Some(folder)) if self.options.takes_paths(name) => {
                LayerValue::Given(paths.iter().map(|path| folder.join(path).into()).collect())
            }
            (value, _) => value,
        }
    }

    fn hosts(&self, value: &Spanned<DeValue>) -> Result<BTreeMap<String, HostOverrides>, String> {
        let mut hosts = BTreeMap::new();
        for (key, section) in in_order(self.table(value)?) {
            let place = self.line(key.span().start);
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
            let place = self.line(value.span().start);
            format!("{place}: expected a section, e.g. [hosts.\"example.org\"]")
        })
    }

    fn host(&self, section: &DeTable) -> Result<HostOverrides, String> {
        let mut layer = ConfigLayer::default();
        for (key, value) in in_order(section) {
            if !option_table::per_host().any(|name| name == key.get_ref().as_ref()) {
                let place = self.line(key.span().start);
                let allowed = option_table::per_host().collect::<Vec<_>>().join(", ");
                return Err(format!(
                    "{place}: '{}' cannot be set per host (allowed: {allowed})",
                    key.get_ref().escape_debug()
                ));
            }
            self.set(key, value, &mut layer)?;
        }
        Ok(manners(&layer, layer.plan()?))
    }

    fn no_option(&self, name: &str) -> String {
        if self.options.exists(name) {
            return format!("'{name}' cannot be set in the configuration file");
        }
        let name = name.escape_debug();
        match self.options.similar(&name.to_string()) {
            Some(similar) => format!("unknown option '{name}'; did you mean '{similar}'?"),
            None => format!("unknown option '{name}' (expected the long name of an option)"),
        }
    }

    fn line(&self, at: usize) -> String {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let number = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{number}", self.path.display())
    }

    fn raw(&self, span: Range<usize>) -> &str {
        self.text.get(span).unwrap_or_default()
    }
}

fn manners(layer: &ConfigLayer, plan: Plan) -> HostOverrides {
    let (general, mut headers) = (plan.host_limits, plan.http.headers);
    if layer.sets("user-agent") {
        headers.push((USER_AGENT, plan.http.user_agent));
    }
    HostOverrides {
        per_host: layer.sets("per-host").then_some(general.per_host),
        delay: layer.sets("host-delay").then_some(general.host_delay),
        rate: general.host_rate,
        headers,
    }
}

fn meant(name: &str, takes: ValueCount, value: &DeValue) -> Result<LayerValue, String> {
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

/// A value as it would be typed.
fn scalar(name: &str, value: &DeValue) -> Result<OsString, String> {
    match value {
        DeValue::String(text) => Ok(text.as_ref().into()),
        DeValue::Integer(number) => {
            let plain = i128::from_str_radix(number.as_str(), number.radix());
            Ok(plain.map_or_else(|_| number.to_string(), |plain| plain.to_string()).into())
        }
        DeValue::Float(number) => Ok(number.as_str().into()),
        _ => Err(format!("expected a single value, quoted unless it is a number (see --{name})")),
    }
}

/// A host's name as it stands in a parsed URL: lower case, punycode.
fn host(text: &str) -> Result<String, String> {
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
            match parse(&text, Path::new("config.toml"), &OptionTable::of_fetch()) {
                Ok(_) => {}
                Err(complaint) => prop_assert!(complaint.starts_with("config.toml:"), "{}", complaint),
            }
        }
    }
}
