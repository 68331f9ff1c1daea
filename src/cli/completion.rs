//! Shell completion: the scripts for the shells, and the words that can follow those typed so far. The scripts of bash, zsh
//! and fish ask the program at every TAB, so that they all offer the same.

use std::io::{self, Write};

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use clap_complete::Shell;

use super::args::Arguments;
use super::help;

/// What `fetch completions` prints, and what its scripts ask for.
#[derive(Debug)]
pub enum Completions {
    /// The script for a shell.
    Script(Shell),
    /// Candidates for the last of these words, which follow the program's name.
    Words(Vec<String>),
}

impl Completions {
    /// Writes the script, or the candidates.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let text = match self {
            Self::Words(words) => CompletionCandidates::after(words).to_lines(),
            Self::Script(Shell::Bash) => include_str!("completion/fetch.bash").to_owned(),
            Self::Script(Shell::Zsh) => include_str!("completion/fetch.zsh").to_owned(),
            Self::Script(Shell::Fish) => include_str!("completion/fetch.fish").to_owned(),
            Self::Script(shell) => generated(*shell),
        };
        out.write_all(text.as_bytes())
    }
}

/// A script that does not ask the program.
fn generated(shell: Shell) -> String {
    // The generator panics if it cannot write, so it writes to memory.
    let mut script = Vec::new();
    let mut command = help::with_names(Arguments::command());
    clap_complete::generate(shell, &mut command, "fetch", &mut script);
    String::from_utf8(script).expect("it is text")
}

/// What can be typed in one place of a command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct CompletionCandidates {
    /// Words, each with its help.
    words: Vec<(String, String)>,
    /// File names, which the shell completes.
    paths: PathCandidates,
}

/// Which paths the shell offers in one place of a command line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum PathCandidates {
    #[default]
    None,
    Files,
    Directories,
}

impl CompletionCandidates {
    /// Candidates for the last word.
    fn after(words: &[String]) -> Self {
        let mut command = help::with_names(Arguments::command());
        command.build();
        let Some((current, before)) = words.split_last() else { return Self::default() };
        let mut line = TypedWords::new(&command);
        before.iter().for_each(|word| line.add(word));
        let mut candidates = line.candidates(current);
        candidates.words.retain(|(word, _)| word.starts_with(part_to_complete(current)));
        candidates
    }

    /// One line for each word, with a TAB before its help; the last line names the kind of files.
    fn to_lines(&self) -> String {
        let words = self.words.iter().map(|(word, help)| format!("{word}\t{help}\n"));
        let paths = match self.paths {
            PathCandidates::None => ":none\n",
            PathCandidates::Files => ":files\n",
            PathCandidates::Directories => ":directories\n",
        };
        words.chain([paths.to_owned()]).collect()
    }
}

/// The word, or what follows the `=` of `--name=value`.
fn part_to_complete(word: &str) -> &str {
    option_with_value(word).map_or(word, |(_, value)| value)
}

/// The name and the value of `--name=value`.
fn option_with_value(word: &str) -> Option<(&str, &str)> {
    word.strip_prefix("--")?.split_once('=')
}

/// The words before the one to complete.
struct TypedWords<'c> {
    /// The command that they belong to.
    command: &'c Command,
    /// The option whose value comes next.
    pending: Option<&'c Arg>,
    /// Whether a command can come next.
    may_name_a_command: bool,
    /// Whether `--` was typed.
    only_positionals: bool,
    positionals: usize,
}

impl<'c> TypedWords<'c> {
    fn new(command: &'c Command) -> Self {
        Self {
            command,
            pending: None,
            may_name_a_command: command.has_subcommands(),
            only_positionals: false,
            positionals: 0,
        }
    }

    fn add(&mut self, word: &str) {
        if self.pending.take().is_some() {
            return;
        }
        if self.may_name_a_command
            && let Some(command) = self.command.find_subcommand(word)
        {
            *self = Self::new(command);
            return;
        }
        self.may_name_a_command = false;
        match word.strip_prefix('-') {
            Some("-") if !self.only_positionals => self.only_positionals = true,
            Some(name) if !self.only_positionals && !name.is_empty() => {
                self.pending = self.option_without_its_value(name);
            }
            _ => self.positionals += 1,
        }
    }

    /// The option that a word names, without the first hyphen, if its value is the next word.
    fn option_without_its_value(&self, word: &str) -> Option<&'c Arg> {
        if let Some(long) = word.strip_prefix('-') {
            return self.long(long).filter(|argument| takes_a_value(argument));
        }
        let mut letters = word.chars();
        let with_value =
            letters.find_map(|letter| self.short(letter).filter(|arg| takes_a_value(arg)));
        with_value.filter(|_| letters.next().is_none())
    }

    fn candidates(&self, current: &str) -> CompletionCandidates {
        if let Some(argument) = self.pending {
            return values(argument, current);
        }
        if !self.only_positionals {
            if let Some((name, value)) = option_with_value(current) {
                return self
                    .long(name)
                    .map_or_else(CompletionCandidates::default, |arg| values(arg, value));
            }
            if current.starts_with('-') {
                return CompletionCandidates {
                    words: self.options(),
                    ..CompletionCandidates::default()
                };
            }
        }
        let positionals: Vec<_> = self.command.get_positionals().collect();
        let repeated =
            positionals.last().filter(|arg| matches!(arg.get_action(), ArgAction::Append));
        let next = positionals.get(self.positionals).or(repeated);
        let mut candidates =
            next.map_or_else(CompletionCandidates::default, |arg| values(arg, current));
        if self.may_name_a_command {
            let commands = self.command.get_subcommands().filter(|command| !command.is_hide_set());
            candidates.words.extend(commands.map(|command| {
                let about = command.get_about().map(ToString::to_string);
                (command.get_name().to_owned(), about.unwrap_or_default())
            }));
        }
        candidates
    }

    fn options(&self) -> Vec<(String, String)> {
        let options = self.command.get_arguments().filter(|argument| !argument.is_hide_set());
        let named = options.flat_map(|argument| {
            let long = argument.get_long().map(|long| format!("--{long}"));
            let short = argument.get_short().map(|short| format!("-{short}"));
            let help = first_line(argument.get_help().map(ToString::to_string));
            long.into_iter().chain(short).map(move |name| (name, help.clone()))
        });
        named.collect()
    }

    fn long(&self, name: &str) -> Option<&'c Arg> {
        self.command.get_arguments().find(|argument| argument.get_long() == Some(name))
    }

    fn short(&self, letter: char) -> Option<&'c Arg> {
        self.command.get_arguments().find(|argument| argument.get_short() == Some(letter))
    }
}

fn takes_a_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

/// The values of an option or a positional argument. Of a list, the last value is completed.
fn values(argument: &Arg, current: &str) -> CompletionCandidates {
    let values = argument.get_possible_values();
    let paths = match argument.get_value_hint() {
        _ if !values.is_empty() => PathCandidates::None,
        ValueHint::DirPath => PathCandidates::Directories,
        ValueHint::AnyPath | ValueHint::FilePath => PathCandidates::Files,
        _ => PathCandidates::None,
    };
    let delimiter = argument.get_value_delimiter();
    let last = delimiter.and_then(|delimiter| current.rfind(delimiter)).map_or(0, |at| at + 1);
    let given: Vec<_> = current[..last].split(|c| Some(c) == delimiter).collect();
    let values =
        values.iter().filter(|value| !value.is_hide_set() && !given.contains(&value.get_name()));
    let words =
        values.map(|value| (format!("{}{}", &current[..last], value.get_name()), about(value)));
    CompletionCandidates { words: words.collect(), paths }
}

fn about(value: &PossibleValue) -> String {
    first_line(value.get_help().map(ToString::to_string))
}

fn first_line(text: Option<String>) -> String {
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The candidates after `fetch`, and the kind of files.
    fn after(line: &str) -> (Vec<String>, PathCandidates) {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let CompletionCandidates { words, paths } = CompletionCandidates::after(&words);
        (words.into_iter().map(|(word, _)| word).collect(), paths)
    }

    #[test]
    fn every_place_of_a_command_line_has_its_candidates() {
        use PathCandidates::{Directories, Files, None};
        let modes: &[&str] = &["sequential", "threads", "async", "processes"];
        let table: &[(&str, &[&str], PathCandidates)] = &[
            ("com", &["compare", "completions"], Files),
            ("sites.txt com", &[], Files),
            ("-q com", &[], Files),
            ("-- com", &[], Files),
            ("-- --l", &[], Files),
            ("serve --l", &["--latency", "--limit-rate"], None),
            ("--mode ", modes, None),
            ("-m ", modes, None),
            ("-qm t", &["threads"], None),
            ("--mode=", modes, None),
            ("--mode=th", &["threads"], None),
            (
                "compare --modes threads,",
                &["threads,sequential", "threads,async", "threads,processes"],
                None,
            ),
            ("compare --modes threads,a", &["threads,async"], None),
            ("--digest sha", &["sha-1", "sha-256", "sha-512"], None),
            ("--digest md5,b", &["md5,blake3"], None),
            ("--failed x --failed-class dns,host", &["dns,host_down"], None),
            ("--jobs ", &[], None),
            ("-j 4 --mode t", &["threads"], None),
            ("-j4 --mode t", &["threads"], None),
            ("--dir ", &[], Directories),
            ("verify ", &[], Directories),
            ("--cacert ", &[], Files),
            ("report ", &[], Files),
            ("completions z", &["zsh"], None),
            ("help gl", &["glossary"], None),
            ("--format j", &["jsonl"], None),
            ("verify --format ", &["text", "jsonl"], None),
            ("--no-such=x", &[], None),
        ];
        for (line, words, paths) in table {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(after(line), (words, *paths), "{line}");
        }
        assert!(
            !after("").0.iter().any(|word| word.starts_with("__")),
            "what is hidden stays hidden"
        );
    }

    #[test]
    fn every_option_of_every_command_is_a_candidate_and_has_a_help() {
        let mut command = Arguments::command();
        command.build();
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let words = ["-", "--"].map(|current| {
                CompletionCandidates::after(&[sub.get_name().to_owned(), current.to_owned()]).words
            });
            for name in sub.get_arguments().filter_map(Arg::get_long) {
                let name = format!("--{name}");
                let found = words[1].iter().find(|(word, _)| *word == name);
                assert!(found.is_some_and(|(_, help)| !help.is_empty()), "{name}");
            }
            assert!(words[0].len() > words[1].len(), "short options, too");
        }
    }

    #[test]
    fn the_last_line_says_which_files_the_shell_is_to_complete() {
        let page =
            CompletionCandidates::after(&["verify".to_owned(), "--format=j".to_owned()]).to_lines();
        assert_eq!(page, "jsonl\tJSON Lines\n:none\n");
        assert_eq!(
            CompletionCandidates::after(&["verify".to_owned(), String::new()]).to_lines(),
            ":directories\n"
        );
    }
}
