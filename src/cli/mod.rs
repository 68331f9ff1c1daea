//! What can be typed, and its translation to a plan. Validates, does nothing: makes no request, and opens no file but
//! the configuration, of which there is need before there can be a plan. The only room that knows the argument parser.

mod args;
mod config_file;
mod config_layers;
mod help;
mod man;
mod network;
mod option_table;
mod proxy;
mod to_plan;
mod value_parsers;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use clap_complete::Shell;

use crate::plan::{Plan, ReportCommand, Strategy};
use crate::{compare, plan, serve};
use args::{Arguments, CompareArgs, ConfigArgs, FetchArgs, Subcommands};
use config_file::ConfigPath;
use config_layers::{ConfigLayer, SetByUser};
pub use help::HelpPage;
use option_table::OptionTable;
pub use option_table::{EffectiveOption, OptionValue};

/// What is asked for.
#[derive(Debug)]
pub enum Command {
    /// Fetch what is listed.
    Fetch(Box<Plan>),
    /// Print what a run would do, without sending a request.
    DryRun {
        /// The run.
        plan: Box<Plan>,
        /// All options with the values that the run would use.
        options: Vec<EffectiveOption>,
    },
    /// Tell what has become of what was saved.
    Verify(plan::VerifyOptions),
    /// Report a saved run or comparison again.
    Report(ReportCommand),
    /// Run the local origin.
    Serve(serve::Options),
    /// Compare modes.
    Compare(Box<compare::Options>),
    /// Print a completion script.
    Completions(Completions),
    /// Show a page of the manual.
    Help(HelpPage),
    /// Make transfers for another process.
    Child,
    /// Measure a shell command.
    Measure(OsString),
}

/// The completion script of one shell.
#[derive(Debug)]
pub struct Completions(Shell);

impl Completions {
    /// Writes the script.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        // The generator panics where it cannot write, so it writes to memory.
        let mut script = Vec::new();
        let mut command = help::with_names(Arguments::command());
        clap_complete::generate(self.0, &mut command, "fetch", &mut script);
        out.write_all(&script)
    }
}

/// A text to print instead of doing anything: help that was asked for, or what is wrong with the words typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageOutput {
    /// The text, its last newline included.
    pub text: String,
    /// Where it goes.
    pub to: UsageStream,
    /// The exit code: 0 for help, 2 for a mistake.
    pub code: u8,
}

/// One of the two streams that a program writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl UsageOutput {
    fn error(complaint: &str) -> Self {
        Self { text: format!("error: {complaint}\n"), to: UsageStream::Stderr, code: 2 }
    }
}

impl From<String> for UsageOutput {
    fn from(complaint: String) -> Self {
        Self::error(&complaint)
    }
}

impl From<clap::Error> for UsageOutput {
    fn from(error: clap::Error) -> Self {
        let text = without_dots(&error.render().to_string());
        if !error.use_stderr() {
            return Self { text, to: UsageStream::Stdout, code: 0 };
        }
        let text = match error.kind() {
            // How the command is typed is of no help to somebody who has typed it right.
            ErrorKind::ArgumentConflict | ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
                match text.split_once("\n\nUsage:") {
                    Some((complaint, _)) => format!("{complaint}\n"),
                    None => text,
                }
            }
            _ => text,
        };
        Self { text, to: UsageStream::Stderr, code: 2 }
    }
}

/// A message without the dots that the parser puts after the name of an option that may be repeated (`'--quiet...'`).
fn without_dots(message: &str) -> String {
    message.replace("...'", "'")
}

/// What a command line is read in.
pub struct Environment<'a> {
    /// What a variable of the environment holds, if it is set.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The person's own folder.
    pub home: Option<PathBuf>,
    /// Whether standard input is a terminal.
    pub stdin_is_terminal: bool,
}

/// Reads the words of a command line, the program's name first. What is typed wins over what the environment says
/// (`FETCH_JOBS=8`), and that over the configuration file.
///
/// # Errors
/// The text to print instead, help and version included.
pub fn parse(
    words: impl IntoIterator<Item = OsString>,
    around: &Environment,
) -> Result<Command, UsageOutput> {
    let words: Vec<_> = words.into_iter().collect();
    let matches = help::with_names(Arguments::command()).try_get_matches_from(&words)?;
    let typed = Arguments::from_arg_matches(&matches)?;
    let settled = SetByUser::by_words(&matches, &typed);
    match typed.subcommand {
        Some(Subcommands::Verify(verify)) => Ok(Command::Verify(to_plan::look(verify))),
        Some(Subcommands::Compare(typed)) => comparison(*typed, &matches, around),
        Some(Subcommands::Serve(serve)) => Ok(Command::Serve(to_plan::origin(serve))),
        Some(Subcommands::Report(report)) => Ok(Command::Report(to_plan::rereport(report)?)),
        Some(Subcommands::Completions { shell }) => Ok(Command::Completions(Completions(shell))),
        Some(Subcommands::Help(help)) => Ok(Command::Help(help::page(&help))),
        None => {
            ensure_saving_options_have_a_dir(&OptionTable::of_fetch(), &matches)?;
            fetch(&words, &settled, around)
        }
        Some(Subcommands::Child) => Ok(Command::Child),
        Some(Subcommands::Measure { command }) => Ok(Command::Measure(command)),
    }
}

/// A comparison. It consists of runs that have the other options that were typed, all of them checked here.
fn comparison(
    typed: CompareArgs,
    matches: &ArgMatches,
    around: &Environment,
) -> Result<Command, UsageOutput> {
    let table = OptionTable::of_compare();
    let matches = matches.subcommand_matches("compare").expect("it was typed");
    ensure_saving_options_have_a_dir(&table, matches)?;
    if typed.sources.is_empty() && typed.configuration.config.is_some() {
        let complaint = "--config has no effect on the built-in workload; name a list";
        return Err(UsageOutput::error(complaint));
    }
    let handed_on = table.words_for_runs(matches);
    let mut words = vec![OsString::from("fetch"), "--mode=sequential".into(), "--json".into()];
    // Runs of a comparison use no proxy of the environment.
    if matches.value_source("proxy") != Some(ValueSource::CommandLine) {
        words.push("--proxy=".into());
    }
    words.extend(handed_on.iter().cloned());
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
    let of_run = Arguments::command().try_get_matches_from(&words)?;
    let settled = SetByUser::by_words(&of_run, &Arguments::from_arg_matches(&of_run)?);
    let Command::Fetch(plan) = fetch(&words, &settled, around)? else {
        return Err(UsageOutput::error("--dry-run cannot be used with compare"));
    };
    let shown = config_layers::shown(&handed_on);
    Ok(Command::Compare(Box::new(to_plan::comparison(typed, handed_on, shown, plan)?)))
}

/// A configuration may say how to save whenever there is a folder; on the command line the folder was forgotten.
fn ensure_saving_options_have_a_dir(
    table: &OptionTable,
    matches: &ArgMatches,
) -> Result<(), String> {
    match table.lacking_dir(matches) {
        Some(name) => Err(format!("--{name} requires --dir")),
        None => Ok(()),
    }
}

/// The run that `words` and the layers below them describe.
fn fetch(
    words: &[OsString],
    settled: &SetByUser,
    around: &Environment,
) -> Result<Command, UsageOutput> {
    let table = OptionTable::of_fetch();
    let environment = config_layers::from_environment(&table, around.variable)?;
    let environment = environment.below(settled);
    let which = which(read_over(&environment, words)?.0.configuration, around);
    let file = config_file::load(&which, &table)?;
    let lower = environment.over(file.layer).below(settled);
    let (all, matches) = read_over(&lower, words)?;
    let dry_run = all.output.dry_run;
    let proxy = to_plan::proxy(&all.requests).map_err(|complaint| lower.trace(complaint))?;
    let plan = to_plan::plan(all, around.stdin_is_terminal);
    let mut plan = Box::new(plan.map_err(|complaint| lower.trace(complaint))?);
    plan.http.proxy = proxy::chosen(proxy, around.variable)?;
    plan.host_limits.hosts = file.hosts;
    plan.config = file.path;
    if !dry_run {
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
        ("user-agent", _) => {
            OptionValue::Text(String::from_utf8_lossy(plan.http.user_agent.as_bytes()).into_owned())
        }
        _ => return,
    };
}

/// Reads the words typed with those of a lower layer in front of them.
fn read_over(
    lower: &ConfigLayer,
    words: &[OsString],
) -> Result<(FetchArgs, ArgMatches), clap::Error> {
    let (program, typed) = words.split_at(words.len().min(1));
    let words = program.iter().cloned().chain(lower.words()).chain(typed.iter().cloned());
    let matches = Arguments::command().try_get_matches_from(words)?;
    Ok((Arguments::from_arg_matches(&matches)?.fetch, matches))
}

fn which(said: ConfigArgs, around: &Environment) -> ConfigPath {
    match said.config {
        Some(path) => ConfigPath::Named(path),
        None if said.no_config => ConfigPath::Nothing,
        None => config_file::usual((around.variable)("XDG_CONFIG_HOME"), around.home.clone()),
    }
}

#[cfg(test)]
mod tests;
