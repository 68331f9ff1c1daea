//! Parses the command line, the environment and the configuration file into a command. Sends no request, and opens only the
//! configuration file and those with credentials. The only module that knows the argument parser.

mod args;
mod completion;
mod config_file;
mod config_layers;
mod credentials;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod help;
mod hints;
mod host_rules;
mod man;
mod network;
mod option_table;
mod proxy;
mod shards;
mod similarity;
mod to_plan;
mod value_parsers;
mod version;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};

use crate::plan::{MergeCommand, Plan, ReportCommand, SecretDisplay, SplitCommand, Strategy};
use crate::redaction::MASK;
use crate::{compare, list, plan, serve};
use args::{Arguments, CompareArgs, ConfigArgs, FetchArgs, Subcommands};
pub use completion::Completions;
use config_file::ConfigPath;
use config_layers::{ConfigLayer, SetByUser};
use credentials::{HeaderFiles, OptionLevel};
pub use help::HelpPage;
use option_table::OptionTable;
pub use option_table::{EffectiveOption, OptionValue};
pub use version::VersionPage;

/// A command with its options.
#[derive(Debug)]
pub enum Command {
    /// Fetch the URLs of lists.
    Fetch(Box<Plan>),
    /// Print what a run would do, without sending a request.
    DryRun {
        /// The run.
        plan: Box<Plan>,
        /// All options with the values that the run would use.
        options: Vec<EffectiveOption>,
    },
    /// Verify saved files.
    Verify(plan::VerifyOptions),
    /// Convert a saved run or comparison.
    Report(ReportCommand),
    /// Split a list.
    Split(SplitCommand),
    /// Merge the reports of shards.
    Merge(MergeCommand),
    /// Run the local test server.
    Serve(serve::Options),
    /// Compare modes.
    Compare(Box<compare::Options>),
    /// Print a completion script, or what it offers.
    Completions(Completions),
    /// Print the version with the facts of the build.
    Version(VersionPage),
    /// Show a page of the manual.
    Help(HelpPage),
    /// Run as a child process of another fetch.
    Child,
    /// Measure a shell command.
    Measure(OsString),
}

impl Command {
    /// Whether the secrets of URLs are to be shown (`--no-redact`).
    pub(crate) fn shows_secrets(&self) -> bool {
        let secrets = match self {
            Self::Fetch(plan) | Self::DryRun { plan, .. } => plan.report.secrets,
            Self::Report(command) => command.secrets,
            Self::Merge(command) => command.secrets,
            _ => SecretDisplay::Masked,
        };
        secrets == SecretDisplay::Shown
    }
}

/// A text to print instead of running a command: help, the version, or a usage error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageOutput {
    /// The text, its last newline included.
    pub text: String,
    /// Where it goes.
    pub to: UsageStream,
    /// The exit code: 0 for help, 2 for an error.
    pub code: u8,
}

/// An output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl UsageOutput {
    fn error(complaint: &str) -> Self {
        Self::raw(format!("error: {complaint}\n"))
    }

    fn raw(text: String) -> Self {
        Self { text, to: UsageStream::Stderr, code: 2 }
    }
}

impl From<String> for UsageOutput {
    fn from(complaint: String) -> Self {
        Self::error(&complaint)
    }
}

impl From<clap::Error> for UsageOutput {
    fn from(error: clap::Error) -> Self {
        let text = without_password(&error, &error.render().to_string());
        if !error.use_stderr() {
            return Self { text, to: UsageStream::Stdout, code: 0 };
        }
        let text = without_dots(&text);
        let text = match error.kind() {
            // How the command is typed is of no help to somebody who has typed it right.
            ErrorKind::ArgumentConflict
            | ErrorKind::ValueValidation
            | ErrorKind::InvalidValue
            | ErrorKind::TooManyValues => {
                let usage = ["\n\nUsage:", "\n\nFor more information"];
                let end = usage.into_iter().filter_map(|start| text.find(start)).min();
                let tip = value_hint(&error).map(|tip| format!("\n  tip: {tip}\n"));
                let text = end.map_or_else(|| text.clone(), |end| format!("{}\n", &text[..end]));
                text + &tip.unwrap_or_default()
            }
            ErrorKind::UnknownArgument => {
                // No file has such a name.
                let is_no_file = |line: &&str| !line.starts_with("  tip: to pass '");
                let lines = text.split_inclusive('\n').filter(is_no_file);
                lines.collect::<String>().replacen("\n\n\n", "\n\n", 1)
            }
            _ => text,
        };
        Self { text, to: UsageStream::Stderr, code: 2 }
    }
}

/// A message that repeats no password of the value that it is about: a part of a URL is not recognized as one.
fn without_password(error: &clap::Error, message: &str) -> String {
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let user = value.rsplit_once('@').and_then(|(before, _)| before.rsplit_once(':'));
    match user {
        Some((_, password)) if !password.is_empty() => {
            message.replace(&format!("{password}@"), &format!("{MASK}@"))
        }
        _ => message.to_owned(),
    }
}

/// A message without the dots that the parser puts after the name of an option that may be repeated (`'--quiet...'`).
fn without_dots(message: &str) -> String {
    message.replace("...'", "'")
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    }
}

/// What is said of a value that another program takes, if there is a hint about it.
fn value_hint(error: &clap::Error) -> Option<&'static str> {
    let (option, value) =
        (context(error, ContextKind::InvalidArg)?, context(error, ContextKind::InvalidValue)?);
    hints::value_hint(option, value)
}

/// What is said of an option that does not exist, if there is a hint about it or another one is nearly the same. What the
/// parser would suggest may be far off.
fn unknown_option(words: &[OsString], error: &clap::Error) -> Option<UsageOutput> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let option = context(error, ContextKind::InvalidArg)?;
    let texts: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
    let to_stdout = if option == "-O" { hints::of_output_to_stdout(&texts) } else { None };
    let table = OptionTable::of_words(&texts);
    let similar = option.strip_prefix("--").and_then(|name| table.nearest(name));
    let hint = match (to_stdout.or_else(|| hints::hint(option)), similar) {
        (Some(hint), _) => hint.to_owned(),
        (None, Some(similar)) if hints::may_be_suggested(similar) => {
            format!("a similar argument exists: '--{similar}'")
        }
        _ if error.get(ContextKind::SuggestedArg).is_some() => "see --help".to_owned(),
        _ => return None,
    };
    Some(UsageOutput::raw(unexpected(option, &hint)))
}

fn unexpected(option: &str, hint: &str) -> String {
    format!(
        "error: unexpected argument '{option}' found\n\n  tip: {hint}\n\nFor more information, try '--help'.\n"
    )
}

/// A file's name as an argument that means the file: one that would be a command, a URL, an option or standard input is
/// written as `./NAME`.
pub fn file_argument(name: &str) -> Cow<'_, str> {
    let names_a_command =
        |command: &clap::Command| command.get_name_and_visible_aliases().contains(&name);
    let means_else = name.starts_with('-')
        || list::begins_with_a_scheme(name)
        || option_table::parser().get_subcommands().any(names_a_command);
    if means_else { Cow::Owned(format!("./{name}")) } else { Cow::Borrowed(name) }
}

/// The command line that somebody meant who typed this word in the place of a command; `None` if it is like none.
pub fn similar_command(word: &str) -> Option<String> {
    match word {
        "version" => return Some("fetch --version".to_owned()),
        "man" => return Some("fetch help --man".to_owned()),
        // It is meant as a file or a host.
        _ if word.contains(['.', '/']) => return None,
        _ => {}
    }
    // The parser of a program that has only commands suggests some, the most similar one last.
    let program = clap::Command::new("fetch").no_binary_name(true);
    let mut only_commands = program.disable_help_subcommand(true);
    for command in option_table::parser().get_subcommands().filter(|command| !command.is_hide_set())
    {
        only_commands = only_commands.subcommand(clap::Command::new(command.get_name().to_owned()));
    }
    let lower = word.to_ascii_lowercase();
    let Err(error) = only_commands.try_get_matches_from([&lower]) else {
        return (lower != word).then(|| format!("fetch {lower}"));
    };
    match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(command) => Some(format!("fetch {command}")),
        ContextValue::Strings(commands) => {
            commands.last().map(|command| format!("fetch {command}"))
        }
        _ => None,
    }
}

/// What the parser takes from the process.
pub struct Environment<'a> {
    /// What a variable of the environment holds, if it is set.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The names of all variables.
    pub names: Vec<OsString>,
    /// Prints a warning.
    pub warn: &'a dyn Fn(&str),
    /// The home directory.
    pub home: Option<PathBuf>,
    /// Whether standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// Reads standard input to its end.
    pub stdin: &'a dyn Fn() -> io::Result<Vec<u8>>,
    /// Asks a question on the terminal, and reads an answer that is not shown.
    pub ask: &'a dyn Fn(&str) -> io::Result<String>,
}

/// The words of a command line, those that a comparison writes to the standard input of a run included.
fn with_words_on_stdin(
    words: impl IntoIterator<Item = OsString>,
    around: &Environment,
) -> Result<Vec<OsString>, String> {
    let mut words: Vec<_> = words.into_iter().collect();
    if words.get(1).is_some_and(|word| word == compare::WORDS_ON_STDIN) {
        let further = (around.stdin)().map_err(|error| format!("cannot read stdin: {error}"))?;
        let further = further.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        words.remove(1);
        words.extend(further.map(|word| OsString::from_vec(word.to_vec())));
    }
    Ok(words)
}

/// Parses a command line, the name of the program first. It takes precedence over the environment (`FETCH_JOBS=8`), and that
/// over the configuration file.
///
/// # Errors
/// The text to print instead: help, the version, or an error.
pub fn parse(
    words: impl IntoIterator<Item = OsString>,
    around: &Environment,
) -> Result<Command, UsageOutput> {
    let words = with_words_on_stdin(words, around)?;
    let mut options = words.iter().take_while(|word| *word != "--");
    if let Some((flag, hint)) = options.find_map(|word| hints::of_word(word.to_str()?)) {
        return Err(UsageOutput::raw(unexpected(flag, hint)));
    }
    let matches = match help::with_names(option_table::parser().clone())
        .try_get_matches_from(&words)
    {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayVersion && version::is_verbose(&words) => {
            return Ok(Command::Version(version::page()));
        }
        Err(error) => {
            let usage = misspelt_command(&words, &error);
            let usage = usage.or_else(|| unknown_option(&words, &error));
            return Err(usage.unwrap_or_else(|| error.into()));
        }
    };
    let mut typed = Arguments::from_arg_matches(&matches)?;
    match typed.subcommand {
        Some(Subcommands::Verify(verify)) => Ok(Command::Verify(to_plan::verify_options(verify))),
        Some(Subcommands::Compare(typed)) => comparison(*typed, &matches, &words, around),
        Some(Subcommands::Serve(serve)) => Ok(Command::Serve(to_plan::serve_options(serve))),
        Some(Subcommands::Report(report)) => Ok(Command::Report(to_plan::report_command(report)?)),
        Some(Subcommands::Split(split)) => Ok(Command::Split(to_plan::split_command(split)?)),
        Some(Subcommands::Merge(merge)) => Ok(Command::Merge(to_plan::merge_command(merge)?)),
        Some(Subcommands::Completions { shell }) => {
            Ok(Command::Completions(Completions::Script(shell)))
        }
        Some(Subcommands::Complete { words }) => {
            let words = words.iter().map(|word| word.to_string_lossy().into_owned());
            Ok(Command::Completions(Completions::Words(words.collect())))
        }
        Some(Subcommands::Help(help)) => Ok(Command::Help(help::page(&help))),
        None => {
            let table = OptionTable::of_fetch();
            ensure_no_value_is_the_url(&table, &matches, &words)?;
            ensure_something_is_saved(&table, &matches)?;
            let (headers, files) = (&mut typed.fetch.requests.headers, HeaderFiles::new(around));
            credentials::ensure_stdin_is_read_once(headers, &typed.fetch.sources, true)?;
            files.expand(headers).map_err(invalid_header)?;
            fetch(&words, &SetByUser::by_words(&matches, &typed), &files, around)
        }
        Some(Subcommands::Child) => Ok(Command::Child),
        Some(Subcommands::Measure { command }) => Ok(Command::Measure(command)),
    }
}

/// What is said of an option that does not exist where the command before it is misspelt.
fn misspelt_command(words: &[OsString], error: &clap::Error) -> Option<UsageOutput> {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if error.kind() == ErrorKind::UnknownArgument => option,
        _ => return None,
    };
    let command = similar_command(words.get(1)?.to_str()?)?;
    let text = unexpected(option, &format!("did you mean '{command}'?"));
    (!command.ends_with(words.get(1)?.to_str()?)).then_some(UsageOutput {
        text,
        to: UsageStream::Stderr,
        code: 2,
    })
}

fn invalid_header(complaint: String) -> String {
    format!("invalid value for --header: {complaint}")
}

/// A comparison. Options that it does not have itself are those of its runs, and are checked here.
fn comparison(
    mut typed: CompareArgs,
    matches: &ArgMatches,
    words: &[OsString],
    around: &Environment,
) -> Result<Command, UsageOutput> {
    let table = OptionTable::of_compare();
    let matches = matches.subcommand_matches("compare").expect("it was typed");
    ensure_no_value_is_the_url(&table, matches, words)?;
    ensure_something_is_saved(&table, matches)?;
    if typed.sources.is_empty() && typed.configuration.config.is_some() {
        let complaint = "--config has no effect on the built-in workload; name a list";
        return Err(UsageOutput::error(complaint));
    }
    let secret = secret_words(&mut typed, matches, around)?;
    let handed_on = table.words_for_runs(matches, &option_table::secrets().collect::<Vec<_>>());
    let mut words = vec![OsString::from("fetch"), "--mode=sequential".into(), "--json".into()];
    // Runs of a comparison use no proxy of the environment.
    if matches.value_source("proxy") != Some(ValueSource::CommandLine) {
        words.push("--proxy=".into());
    }
    words.extend(secret.iter().chain(&handed_on).cloned());
    words.extend(
        typed.timeouts.deadline.map(|time| format!("--deadline={}s", time.as_secs_f64()).into()),
    );
    words.extend(typed.contest.dir.iter().map(|dir| config_layers::word("dir", dir.as_os_str())));
    if typed.sources.is_empty() {
        words.extend(["--no-config", "--", "http://127.0.0.1/"].map(OsString::from));
    } else {
        words.push("--".into());
        words.extend(typed.sources.iter().cloned());
    }
    let of_run = option_table::parser().clone().try_get_matches_from(&words)?;
    let settled = SetByUser::by_words(&of_run, &Arguments::from_arg_matches(&of_run)?);
    // The built-in workload is the same everywhere.
    let nothing = Environment { variable: &|_| None, names: Vec::new(), home: None, ..*around };
    let around = if typed.sources.is_empty() { &nothing } else { around };
    // It would be asked for before each run.
    let ask = |_: &str| Err(io::Error::other("compare asks only if --user is typed"));
    let around = &Environment {
        ask: &ask,
        names: around.names.clone(),
        home: around.home.clone(),
        ..*around
    };
    let Command::Fetch(plan) = fetch(&words, &settled, &HeaderFiles::new(around), around)? else {
        return Err(UsageOutput::error("--dry-run cannot be used with compare"));
    };
    let shown = config_layers::shown(&[&secret[..], &handed_on].concat());
    let mut options = to_plan::comparison(typed, handed_on, shown, plan)?;
    options.secret_words = secret;
    Ok(Command::Compare(Box::new(options)))
}

/// The words of options that may be secret for each run of a comparison: header lines as they are in their files, a user
/// with the password that was asked for.
fn secret_words(
    typed: &mut CompareArgs,
    matches: &ArgMatches,
    around: &Environment,
) -> Result<Vec<OsString>, UsageOutput> {
    let requests = &mut typed.requests;
    credentials::ensure_stdin_is_read_once(&requests.headers, &typed.sources, false)?;
    HeaderFiles::new(around).expand(&mut requests.headers).map_err(invalid_header)?;
    let mut user = requests.credentials.user.clone();
    if let Some(name) = credentials::lacks_password(user.as_deref()) {
        user = Some(format!("{name}:{}", credentials::ask_password(name, None, around)?));
    }
    let headers = requests.headers.iter().map(|header| ("header", OsString::from(header)));
    let user = user.map(|user| ("user", OsString::from(user)));
    let words = headers.chain(user).map(|(name, value)| config_layers::word(name, &value));
    let handled: Vec<_> =
        option_table::secrets().filter(|name| !["header", "user"].contains(name)).collect();
    Ok(words.chain(OptionTable::of_compare().words_of(matches, &handled)).collect())
}

/// Ensures that no option without its value took the URL behind it for one.
fn ensure_no_value_is_the_url(
    table: &OptionTable,
    matches: &ArgMatches,
    words: &[OsString],
) -> Result<(), String> {
    match table.with_url_as_value(matches, words) {
        Some((name, value)) => Err(format!(
            "the value of --{name} looks like a URL; its own value is missing: --{name} <{value}> URL"
        )),
        None => Ok(()),
    }
}

/// Ensures that options for saving were typed with one that saves. The configuration may have them without it.
fn ensure_something_is_saved(table: &OptionTable, matches: &ArgMatches) -> Result<(), String> {
    match table.lacking(matches) {
        Some((name, ["dir", ..])) => Err(format!("--{name} requires --dir")),
        Some((name, others)) => Err(format!("--{name} requires --{}", others.join(" or --"))),
        None => Ok(()),
    }
}

/// The run that the command line and the layers below it describe.
fn fetch(
    words: &[OsString],
    settled: &SetByUser,
    files: &HeaderFiles,
    around: &Environment,
) -> Result<Command, UsageOutput> {
    let table = OptionTable::of_fetch();
    let environment = config_layers::from_environment(&table, files, around)?;
    let environment = environment.below(settled);
    let (typed, matches) = read_over(&environment, words)?;
    let which = which(&typed.configuration, around);
    let file = config_file::load(&which, &table, files, around.warn)?;
    let level = |name: &str| match settled.sets(name) {
        true => OptionLevel::CommandLine,
        false if environment.sets(name) => OptionLevel::Environment,
        false => OptionLevel::ConfigFile,
    };
    let (user_level, header_level) = (level("user"), level("header"));
    let lower = environment.clone().over(file.layer).below(settled);
    let (mut all, matches) =
        if lower == environment { (typed, matches) } else { read_over(&lower, words)? };
    files.expand(&mut all.requests.headers).map_err(invalid_header)?;
    let precedence = credentials::choose_general(&mut all.requests, user_level, header_level);
    let (dry_run, login) = (all.output.dry_run, all.requests.credentials.clone());
    if all.requests.user_agent.as_deref().is_some_and(hints::is_a_list_of_extensions) {
        (around.warn)("-A is --user-agent here; fetch does not choose files by their extensions");
    }
    let proxy = to_plan::proxy(&all.requests).map_err(|complaint| lower.trace(complaint))?;
    to_plan::ensure_key_has_a_certificate(&all.requests).map_err(|error| lower.trace(error))?;
    to_plan::ensure_exceptions_have_a_rule(&all.requests.targets)
        .map_err(|error| lower.trace(error))?;
    let proxy_decides = all.requests.targets.proxy_decides;
    let shard = shards::chosen(all.shards.shard, all.shards.shard_by, around.variable);
    let shard = shard.map_err(|complaint| lower.trace(complaint))?;
    let plan = to_plan::plan(all, around.stdin_is_terminal);
    let mut plan = Box::new(plan.map_err(|complaint| lower.trace(complaint))?);
    plan.http.proxy = proxy::chosen(proxy, around.variable)?;
    plan.shard = shard;
    if !proxy_decides {
        to_plan::ensure_no_proxy_decides(&plan.http)?;
    }
    plan.host_limits.hosts = file.hosts;
    plan.config = file.path;
    plan.credential_files = files.paths();
    plan.http.credentials.precedence = precedence;
    if let Some((netrc, path)) =
        credentials::netrc(&login, around).map_err(|complaint| lower.trace(complaint))?
    {
        plan.http.credentials.netrc = Some(netrc);
        plan.credential_files.push(path);
    }
    if !dry_run && let Some(user) = credentials::lacks_password(login.user.as_deref()) {
        let password = credentials::ask_password(user, lower.place_of("user"), around)?;
        credentials::set_password(&mut plan.http, user, &password);
    }
    if !dry_run {
        plan.options = table.set_options(&matches);
        return Ok(Command::Fetch(plan));
    }
    to_plan::check_dry_run_format(&plan).map_err(|complaint| lower.trace(complaint))?;
    let mut options = table.effective(&matches);
    options.iter_mut().for_each(|option| resolve(option, &plan));
    Ok(Command::DryRun { plan, options })
}

/// Replaces the value of an option whose default depends on others by the one that the plan has.
fn resolve(option: &mut EffectiveOption, plan: &Plan) {
    option.value = match (option.name.as_str(), plan.strategy) {
        ("jobs", strategy) => OptionValue::Number(strategy.jobs() as u64),
        ("loops", Strategy::Tasks { loops, .. }) => OptionValue::Number(loops.get() as u64),
        ("shard", _) => match plan.shard {
            Some(shard) => OptionValue::Text(shard.to_string()),
            None => return,
        },
        ("user-agent", _) => {
            OptionValue::Text(String::from_utf8_lossy(plan.http.user_agent.as_bytes()).into_owned())
        }
        _ => return,
    };
}

/// Parses the command line with the arguments of a lower layer in front.
fn read_over(
    lower: &ConfigLayer,
    words: &[OsString],
) -> Result<(FetchArgs, ArgMatches), clap::Error> {
    let (program, typed) = words.split_at(words.len().min(1));
    let words = program.iter().cloned().chain(lower.words()).chain(typed.iter().cloned());
    let matches = option_table::parser().clone().try_get_matches_from(words)?;
    Ok((Arguments::from_arg_matches(&matches)?.fetch, matches))
}

fn which(said: &ConfigArgs, around: &Environment) -> ConfigPath {
    match &said.config {
        Some(path) => ConfigPath::Named(path.clone()),
        None if said.no_config => ConfigPath::Nothing,
        None => config_file::usual((around.variable)("XDG_CONFIG_HOME"), around.home.clone()),
    }
}

#[cfg(test)]
mod tests;
