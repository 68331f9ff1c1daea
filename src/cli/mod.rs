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
        let text = mask_password(&error, &error.render().to_string());
        if !error.use_stderr() {
            return Self { text, to: UsageStream::Stdout, code: 0 };
        }
        let text = without_dots(&text);
        let text = match error.kind() {
            // The usage does not help: the command was typed correctly, only a value is wrong, or two options conflict.
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
                // Without the tip to pass the word as a value: no file has such a name.
                let is_other_line = |line: &&str| !line.starts_with("  tip: to pass '");
                let lines = text.split_inclusive('\n').filter(is_other_line);
                lines.collect::<String>().replacen("\n\n\n", "\n\n", 1)
            }
            _ => text,
        };
        Self { text, to: UsageStream::Stderr, code: 2 }
    }
}

/// Masks the password of the invalid value in a message. A value that is only a part of a URL is not masked elsewhere.
fn mask_password(error: &clap::Error, message: &str) -> String {
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let user = value.rsplit_once('@').and_then(|(before, _)| before.rsplit_once(':'));
    match user {
        Some((_, password)) if !password.is_empty() => {
            message.replace(&format!("{password}@"), &format!("{MASK}@"))
        }
        _ => message.to_owned(),
    }
}

/// Removes the dots that the parser puts after the name of an option that may be repeated (`'--quiet...'`).
fn without_dots(message: &str) -> String {
    message.replace("...'", "'")
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    }
}

/// The hint for a value that is valid in another program; `None` if there is none.
fn value_hint(error: &clap::Error) -> Option<&'static str> {
    let (option, value) =
        (context(error, ContextKind::InvalidArg)?, context(error, ContextKind::InvalidValue)?);
    hints::value_hint(option, value)
}

/// The error for an option that does not exist, with our hint or a similar option. `None` if there is neither, nor a
/// suggestion of the parser, which is replaced because it may be far off.
fn unknown_option(words: &[OsString], error: &clap::Error) -> Option<UsageOutput> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let option = context(error, ContextKind::InvalidArg)?;
    let texts: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
    let to_stdout = if option == "-O" { hints::stdout_hint(&texts) } else { None };
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

/// The argument that names a file: `./NAME` if the name alone would be a command, a URL, an option or standard input.
pub fn file_argument(name: &str) -> Cow<'_, str> {
    let names_a_command =
        |command: &clap::Command| command.get_name_and_visible_aliases().contains(&name);
    let is_ambiguous = name.starts_with('-')
        || list::begins_with_a_scheme(name)
        || option_table::parser().get_subcommands().any(names_a_command);
    if is_ambiguous { Cow::Owned(format!("./{name}")) } else { Cow::Borrowed(name) }
}

/// The command line that was probably meant by this word in the place of a command; `None` if no command is similar.
pub fn similar_command(word: &str) -> Option<String> {
    match word {
        "version" => return Some("fetch --version".to_owned()),
        "man" => return Some("fetch help --man".to_owned()),
        // A file or a host.
        _ if word.contains(['.', '/']) => return None,
        _ => {}
    }
    // clap suggests commands for a program that has nothing but commands, the most similar one last.
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

/// What the parser needs of the process.
pub struct Environment<'a> {
    /// Returns the value of an environment variable; `None` if it is not set.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The names of all environment variables.
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

/// Adds the words that a comparison writes to the standard input of a run to those of its command line.
fn add_words_of_stdin(
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
    let words = add_words_of_stdin(words, around)?;
    let mut options = words.iter().take_while(|word| *word != "--");
    if let Some((flag, hint)) = options.find_map(|word| hints::word_hint(word.to_str()?)) {
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

/// The error for an option that does not exist after a misspelt command (`fetch compar --runs 3`).
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

/// The command of a comparison. Also parses the options of its runs, so that they are checked before the first one.
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
    let run_words = table.words_for_runs(matches, &option_table::secrets().collect::<Vec<_>>());
    let mut words = vec![OsString::from("fetch"), "--mode=sequential".into(), "--json".into()];
    // Runs of a comparison use no proxy of the environment.
    if matches.value_source("proxy") != Some(ValueSource::CommandLine) {
        words.push("--proxy=".into());
    }
    words.extend(secret.iter().chain(&run_words).cloned());
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
    let run_matches = option_table::parser().clone().try_get_matches_from(&words)?;
    let set_by_user =
        SetByUser::by_words(&run_matches, &Arguments::from_arg_matches(&run_matches)?);
    // The built-in workload is the same everywhere.
    let empty = Environment { variable: &|_| None, names: Vec::new(), home: None, ..*around };
    let around = if typed.sources.is_empty() { &empty } else { around };
    // Otherwise each run would ask for the password.
    let ask = |_: &str| Err(io::Error::other("compare asks only if --user is typed"));
    let around = &Environment {
        ask: &ask,
        names: around.names.clone(),
        home: around.home.clone(),
        ..*around
    };
    let Command::Fetch(plan) = fetch(&words, &set_by_user, &HeaderFiles::new(around), around)?
    else {
        return Err(UsageOutput::error("--dry-run cannot be used with compare"));
    };
    let shown = config_layers::mask_words(&[&secret[..], &run_words].concat());
    let mut options = to_plan::comparison(typed, run_words, shown, plan)?;
    options.secret_words = secret;
    Ok(Command::Compare(Box::new(options)))
}

/// The words of options that may be secret, for each run of a comparison: files of headers are replaced by their lines, and a
/// missing password is asked for.
fn secret_words(
    typed: &mut CompareArgs,
    matches: &ArgMatches,
    around: &Environment,
) -> Result<Vec<OsString>, UsageOutput> {
    let requests = &mut typed.requests;
    credentials::ensure_stdin_is_read_once(&requests.headers, &typed.sources, false)?;
    HeaderFiles::new(around).expand(&mut requests.headers).map_err(invalid_header)?;
    let mut user = requests.credentials.user.clone();
    if let Some(name) = credentials::user_without_password(user.as_deref()) {
        user = Some(format!("{name}:{}", credentials::ask_password(name, None, around)?));
    }
    let headers = requests.headers.iter().map(|header| ("header", OsString::from(header)));
    let user = user.map(|user| ("user", OsString::from(user)));
    let words = headers.chain(user).map(|(name, value)| config_layers::word(name, &value));
    let others: Vec<_> =
        option_table::secrets().filter(|name| !["header", "user"].contains(name)).collect();
    Ok(words.chain(OptionTable::of_compare().words_of(matches, &others)).collect())
}

/// Ensures that no option that lacks its value took the URL after it as one.
fn ensure_no_value_is_the_url(
    table: &OptionTable,
    matches: &ArgMatches,
    words: &[OsString],
) -> Result<(), String> {
    match table.find_url_as_value(matches, words) {
        Some((name, value)) => Err(format!(
            "the value of --{name} looks like a URL; its own value is missing: --{name} <{value}> URL"
        )),
        None => Ok(()),
    }
}

/// Ensures that options for saving were typed with one that saves (`--dir`, ...). A configuration file may set them alone.
fn ensure_something_is_saved(table: &OptionTable, matches: &ArgMatches) -> Result<(), String> {
    match table.find_unmet_requirement(matches) {
        Some((name, ["dir", ..])) => Err(format!("--{name} requires --dir")),
        Some((name, others)) => Err(format!("--{name} requires --{}", others.join(" or --"))),
        None => Ok(()),
    }
}

/// The run that the command line and the layers below it describe.
fn fetch(
    words: &[OsString],
    set_by_user: &SetByUser,
    files: &HeaderFiles,
    around: &Environment,
) -> Result<Command, UsageOutput> {
    let table = OptionTable::of_fetch();
    let environment = config_layers::from_environment(&table, files, around)?;
    let environment = environment.below(set_by_user);
    let (typed, matches) = parse_over(&environment, words)?;
    let path = config_path(&typed.configuration, around);
    let file = config_file::load(&path, &table, files, around.warn)?;
    let level = |name: &str| match set_by_user.sets(name) {
        true => OptionLevel::CommandLine,
        false if environment.sets(name) => OptionLevel::Environment,
        false => OptionLevel::ConfigFile,
    };
    let (user_level, header_level) = (level("user"), level("header"));
    let lower = environment.clone().over(file.layer).below(set_by_user);
    let (mut all, matches) =
        if lower == environment { (typed, matches) } else { parse_over(&lower, words)? };
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
    let shard = shards::choose(all.shards.shard, all.shards.shard_by, around.variable);
    let shard = shard.map_err(|complaint| lower.trace(complaint))?;
    let plan = to_plan::plan(all, around.stdin_is_terminal);
    let mut plan = Box::new(plan.map_err(|complaint| lower.trace(complaint))?);
    plan.http.proxy = proxy::choose(proxy, around.variable)?;
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
    if !dry_run && let Some(user) = credentials::user_without_password(login.user.as_deref()) {
        let password = credentials::ask_password(user, lower.place_of("user"), around)?;
        credentials::set_password(&mut plan.http, user, &password);
    }
    if !dry_run {
        plan.options = table.set_options(&matches);
        return Ok(Command::Fetch(plan));
    }
    to_plan::ensure_format_of_dry_run(&plan).map_err(|complaint| lower.trace(complaint))?;
    let mut options = table.effective(&matches);
    options.iter_mut().for_each(|option| resolve_default(option, &plan));
    Ok(Command::DryRun { plan, options })
}

/// Replaces the value of an option whose default depends on others by the value in the plan.
fn resolve_default(option: &mut EffectiveOption, plan: &Plan) {
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
fn parse_over(
    lower: &ConfigLayer,
    words: &[OsString],
) -> Result<(FetchArgs, ArgMatches), clap::Error> {
    let (program, typed) = words.split_at(words.len().min(1));
    let words = program.iter().cloned().chain(lower.words()).chain(typed.iter().cloned());
    let matches = option_table::parser().clone().try_get_matches_from(words)?;
    Ok((Arguments::from_arg_matches(&matches)?.fetch, matches))
}

/// The configuration file to read.
fn config_path(typed: &ConfigArgs, around: &Environment) -> ConfigPath {
    match &typed.config {
        Some(path) => ConfigPath::Named(path.clone()),
        None if typed.no_config => ConfigPath::Nothing,
        None => {
            config_file::default_path((around.variable)("XDG_CONFIG_HOME"), around.home.clone())
        }
    }
}

#[cfg(test)]
mod tests;
