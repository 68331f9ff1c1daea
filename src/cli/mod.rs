//! What can be typed, and its translation to a plan. Validates, does nothing: makes no request, and opens no file but
//! the configuration, of which there is need before there can be a plan. The only room that knows the argument parser.

mod args;
mod config_file;
mod config_layers;
mod help;
mod man;
mod network;
mod to_plan;
mod value_parsers;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use clap_complete::Shell;

use crate::plan::{Plan, ReportCommand};
use crate::{compare, plan, serve};
use args::{Arguments, CompareArgs, ConfigArgs, FetchArgs, Subcommands};
use config_file::ConfigPath;
use config_layers::{ConfigLayer, OptionWords, SetByUser};
pub use help::HelpPage;

/// What is asked for.
#[derive(Debug)]
pub enum Command {
    /// Fetch what is listed.
    Fetch(Box<Plan>),
    /// Tell what would be done for it.
    DryRun(Box<Plan>),
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

impl From<clap::Error> for UsageOutput {
    fn from(error: clap::Error) -> Self {
        let (to, code) =
            if error.use_stderr() { (UsageStream::Stderr, 2) } else { (UsageStream::Stdout, 0) };
        Self { text: error.render().to_string(), to, code }
    }
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
        Some(Subcommands::Compare(typed)) => Ok(comparison(*typed, &matches, around)?),
        Some(Subcommands::Serve(serve)) => Ok(Command::Serve(to_plan::origin(serve))),
        Some(Subcommands::Report(report)) => {
            Ok(Command::Report(to_plan::rereport(report).map_err(usage_error)?))
        }
        Some(Subcommands::Completions { shell }) => Ok(Command::Completions(Completions(shell))),
        Some(Subcommands::Help(help)) => Ok(Command::Help(help::page(&help))),
        None => {
            ensure_there_is_a_folder_to_save_to(&matches).map_err(usage_error)?;
            Ok(fetch(&words, &settled, around)?)
        }
        Some(Subcommands::Child) => Ok(Command::Child),
    }
}

/// Options that say how to save.
const OF_SAVING: [&str; 6] =
    ["names", "remote-header-name", "split", "min-split-size", "fsync", "min-free"];

/// Who types how to save has forgotten where; a configuration may say it for whenever there is a folder.
fn ensure_there_is_a_folder_to_save_to(matches: &ArgMatches) -> Result<(), String> {
    let is_typed = |option: &&str| {
        matches.value_source(&option.replace('-', "_")) == Some(ValueSource::CommandLine)
    };
    match OF_SAVING.iter().find(|name| is_typed(name)) {
        Some(name) if !is_typed(&"dir") => {
            Err(format!("--{name} is for files that are saved; name their folder with --dir"))
        }
        _ => Ok(()),
    }
}

/// Options of a comparison that are none of the runs that it is made of.
const OF_COMPARISONS: [&str; 12] = [
    "sources",
    "modes",
    "jobs",
    "loops",
    "runs",
    "warmup",
    "seed",
    "i_run_this_server",
    "dir",
    "json",
    "reports",
    "deadline",
];

/// What a comparison is made of: runs with the other words that were typed, all of them checked here.
fn comparison(
    typed: CompareArgs,
    matches: &ArgMatches,
    around: &Environment,
) -> Result<Command, clap::Error> {
    let known = Arguments::command();
    let known = known.find_subcommand("compare").expect("it was typed");
    let matches = matches.subcommand_matches("compare").expect("it was typed");
    let handed_on = config_layers::typed_again(matches, known, &OF_COMPARISONS);
    let mut words = vec![OsString::from("fetch"), "--mode=sequential".into(), "--json".into()];
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
        return Err(usage_error("a dry run compares nothing".to_owned()));
    };
    let compared = to_plan::comparison(typed, handed_on, plan).map_err(usage_error)?;
    Ok(Command::Compare(Box::new(compared)))
}

/// What `words` and the layers below them ask for.
fn fetch(
    words: &[OsString],
    settled: &SetByUser,
    around: &Environment,
) -> Result<Command, clap::Error> {
    let options = OptionWords::known();
    let environment = config_layers::from_environment(&options, around.variable).map_err(usage_error)?;
    let environment = environment.below(settled);
    let which = which(arguments(&environment, words)?.configuration, around);
    let file = config_file::load(&which, &options).map_err(usage_error)?;
    let lower = environment.over(file.layer).below(settled);
    let all = arguments(&lower, words)?;
    let dry_run = all.output.dry_run;
    let plan = to_plan::plan(all, around.stdin_is_terminal);
    let mut plan = plan.map_err(|complaint| usage_error(lower.trace(complaint)))?;
    plan.host_limits.hosts = file.hosts;
    if !dry_run {
        return Ok(Command::Fetch(Box::new(plan)));
    }
    to_plan::check_dry_run_format(&plan)
        .map_err(|complaint| usage_error(lower.trace(complaint)))?;
    Ok(Command::DryRun(Box::new(plan)))
}

/// The words typed with those of a lower layer in front of them.
fn arguments(lower: &ConfigLayer, words: &[OsString]) -> Result<FetchArgs, clap::Error> {
    let (program, typed) = words.split_at(words.len().min(1));
    let words = program.iter().cloned().chain(lower.words()).chain(typed.iter().cloned());
    Ok(Arguments::try_parse_from(words)?.fetch)
}

fn which(said: ConfigArgs, around: &Environment) -> ConfigPath {
    match said.config {
        Some(path) => ConfigPath::Named(path),
        None if said.no_config => ConfigPath::Nothing,
        None => config_file::usual((around.variable)("XDG_CONFIG_HOME"), around.home.clone()),
    }
}

fn usage_error(complaint: String) -> clap::Error {
    Arguments::command().error(ErrorKind::ValueValidation, complaint)
}

#[cfg(test)]
mod tests;
