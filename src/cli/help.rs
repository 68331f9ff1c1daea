//! The page that `fetch help` shows: help of a command, a chapter of the manual, or the man page.

use std::fmt::Write;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Command, CommandFactory};

use super::args::{Arguments, HelpArgs};
use super::man;
use crate::manual::{self, CHAPTERS};

/// The name under which `fetch help` knows the program itself.
const PROGRAM: &str = "fetch";

/// What `fetch help` prints.
#[derive(Debug)]
pub enum HelpPage {
    /// For people, its last newline included.
    Text(String),
    /// For `man`, as roff.
    ManPage(String),
}

/// Adds the names that `fetch help` accepts to the parser, synonyms of topics included, so that it suggests similar ones and
/// completion scripts offer them.
pub(super) fn with_names(command: Command) -> Command {
    let mut names: Vec<_> = commands(&command).map(Command::get_name).map(str::to_owned).collect();
    // The name of a command may be a topic as well.
    let topics = CHAPTERS.iter().map(|chapter| chapter.topic.to_owned());
    names.extend(topics.filter(|topic| !names.contains(topic)).collect::<Vec<_>>());
    let synonyms = |name: &str| manual::chapter(name).map_or(&[][..], |chapter| chapter.synonyms);
    let values = names.into_iter().map(|name| {
        let synonyms = synonyms(&name);
        PossibleValue::new(name).aliases(synonyms)
    });
    let values: Vec<_> = values.collect();
    command.mut_subcommand("help", |help| {
        help.mut_arg("name", |name| {
            name.value_parser(PossibleValuesParser::new(values)).hide_possible_values(true)
        })
    })
}

/// The page for these arguments, whose name the parser has checked.
pub(super) fn page(help: &HelpArgs) -> HelpPage {
    let mut command = Arguments::command();
    command.build();
    match &help.name {
        _ if help.man => HelpPage::ManPage(man::page(&command)),
        None => HelpPage::Text(overview(&command)),
        Some(name) => HelpPage::Text(text(&command, name)),
    }
}

/// The help of a command, the chapter about a topic, or, for a name that is both, one after the other.
fn text(command: &Command, name: &str) -> String {
    let is_known = commands(command).any(|known| known.get_name() == name);
    let help = is_known.then(|| help_of(name)).flatten();
    let chapter = manual::chapter(name).map(|chapter| chapter.text.to_owned());
    help.into_iter().chain(chapter).collect::<Vec<_>>().join("\n")
}

/// What a command prints for `--help`.
fn help_of(name: &str) -> Option<String> {
    let command = Some(name).filter(|name| *name != PROGRAM);
    let words = [PROGRAM].into_iter().chain(command).chain(["--help"]);
    let help = Arguments::command().try_get_matches_from(words).err()?;
    Some(help.render().to_string())
}

fn overview(command: &Command) -> String {
    let mut text = String::from("Usage: fetch help [NAME]\n\nCommands:\n");
    for command in commands(command) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        push_line(&mut text, command.get_name(), &about);
    }
    text.push_str("\nTopics:\n");
    for chapter in &CHAPTERS {
        push_line(&mut text, chapter.topic, chapter.about);
    }
    text.push_str("\nfetch help --man writes a man page.\n");
    text
}

fn push_line(text: &mut String, name: &str, about: &str) {
    writeln!(text, "  {name:<13} {about}").expect("a string takes all");
}

/// The program itself, and its commands.
fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(command).chain(shown)
}
