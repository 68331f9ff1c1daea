//! The man page fetch(1): the options as the parser knows them, and the first paragraph of each chapter of the manual.

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::manual::{self, CHAPTERS};

const USAGE: &str = "fetch [OPTIONS] [SOURCE]...\nfetch COMMAND [OPTIONS]...";

/// Columns of a line of the source.
const WIDTH: usize = 78;

const FILES: [(&str, &str); 3] = [
    (
        "$XDG_CONFIG_HOME/fetch/config.toml",
        "The configuration file; `~/.config/fetch/config.toml` if that variable is not set.",
    ),
    ("DIR/.fetch/manifest.jsonl", "The record of the files that were saved with `--dir DIR`."),
    ("DIR/NAME.part", "A file that is not complete."),
];

const ENVIRONMENT: [(&str, &str); 5] = [
    ("FETCH_OPTION", "Sets `--option`, e.g. `FETCH_JOBS=8`; see `fetch help configuration`."),
    ("http_proxy, https_proxy, all_proxy, no_proxy", "Proxies, unless `--proxy` is given."),
    ("XDG_CONFIG_HOME, HOME", "Where the configuration file is."),
    ("NO_COLOR", "If it is not empty, no colors are used."),
    ("PAGER", "The pager of `fetch help`; `less` if it is not set, none if it is empty."),
];

/// The man page of the program, as roff. The command must have been built.
pub(super) fn page(command: &Command) -> String {
    let version = command.get_version().unwrap_or_default();
    let mut title = Roff::new();
    // An empty date is quoted, or the version would take its place.
    title.control("TH", ["FETCH", "1", "\"\"", &format!("fetch {version}"), "User Commands"]);
    // The page has the long help; without this, options that the short help leaves out would have no text.
    let with_text = command.clone().mut_args(|arg| arg.hide_short_help(false));
    let main = Man::new(with_text.override_usage(USAGE));
    let commands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let mut page = title.render();
    page += &render(|out| main.render_name_section(out));
    page += &render(|out| main.render_synopsis_section(out));
    page += &render(|out| main.render_description_section(out));
    page += &options(&main);
    page += &section("COMMANDS", |_| {});
    page += &commands.map(|sub| command_section(command, sub)).collect::<String>();
    page += &section("TOPICS", |roff| {
        roff.text(inlines("`fetch help TOPIC` prints a chapter of the manual:"));
        for chapter in &CHAPTERS {
            definition(roff, chapter.topic, &chapter.first_paragraph());
        }
    });
    page += &section("EXIT STATUS", |roff| {
        for row in manual::chapter("exit-codes").into_iter().flat_map(|codes| codes.first_table()) {
            definition(roff, row[0], row[1]);
        }
    });
    page += &section("FILES", |roff| definitions(roff, &FILES));
    page += &section("ENVIRONMENT", |roff| definitions(roff, &ENVIRONMENT));
    page.lines().map(fold).collect()
}

/// The options of the program, with their headings as subsections.
fn options(main: &Man) -> String {
    let options = render(|out| main.render_options_section(out));
    options.replace(".SH ", ".SS ").replacen(".SS ", ".SH ", 1)
}

/// The section of a command. Options that it shares with the program are only named.
fn command_section(command: &Command, sub: &Command) -> String {
    let is_shared = |arg: &Arg| {
        let shared = command.get_arguments().find(|other| other.get_long() == arg.get_long());
        arg.get_long().is_some() && shared.is_some_and(|other| other.get_help() == arg.get_help())
    };
    let is_hidden = |arg: &Arg| is_shared(arg) || arg.get_id() == "help";
    let own = sub.clone().mut_args(|arg| match is_hidden(&arg) {
        true => arg.hide(true),
        false => arg,
    });
    let shared = sub.get_arguments().filter(|arg| is_shared(arg)).filter_map(Arg::get_long);
    let shared: Vec<_> =
        shared.filter(|name| *name != "help").map(|name| format!("`--{name}`")).collect();

    let mut roff = Roff::new();
    roff.control("SS", [format!("fetch {}", sub.get_name()).as_str()]);
    let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
    roff.text(inlines(&format!("{about}.")));
    let usage = sub.clone().render_usage().to_string();
    paragraph(&mut roff, &format!("`{}`", usage.trim_start_matches("Usage: ")));
    let options = render(|out| Man::new(own).render_options_section(out));
    let options =
        options.split_inclusive('\n').filter(|line| !line.starts_with(".SH ")).collect::<String>();
    let mut more = Roff::new();
    if !shared.is_empty() {
        paragraph(
            &mut more,
            &format!("It takes these options of fetch, too: {}.", shared.join(", ")),
        );
    }
    roff.to_roff() + &options + &more.to_roff()
}

fn section(title: &str, content: impl FnOnce(&mut Roff)) -> String {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    content(&mut roff);
    roff.to_roff()
}

fn definitions(roff: &mut Roff, all: &[(&str, &str)]) {
    for (name, meaning) in all {
        definition(roff, name, meaning);
    }
}

fn definition(roff: &mut Roff, name: &str, meaning: &str) {
    roff.control("TP", []);
    roff.text([bold(name)]);
    roff.text(inlines(meaning));
}

fn paragraph(roff: &mut Roff, text: &str) {
    roff.control("PP", []);
    roff.text(inlines(text));
}

/// A line of Markdown. Its code is bold; other markup does not occur in it.
fn inlines(text: &str) -> Vec<Inline> {
    let pieces = text.split('`').enumerate();
    pieces.map(|(number, text)| if number % 2 == 0 { roman(text) } else { bold(text) }).collect()
}

/// The output of a renderer, without its preamble, and with requests in place of blank lines.
fn render(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).expect("memory takes all");
    let text = String::from_utf8(bytes).expect("it is written as text");
    let preamble = Roff::new().render();
    let text = text.strip_prefix(&preamble).unwrap_or(&text);
    text.replace("\n\n", "\n.sp\n").replace("\n.br\n.sp\n.br\n", "\n.sp\n")
}

/// Folds a line of roff at [`WIDTH`] columns: longer lines are bad style.
fn fold(line: &str) -> String {
    if line.starts_with('.') || line.len() <= WIDTH {
        return format!("{line}\n");
    }
    let (mut text, mut column) = (String::new(), 0);
    for word in line.split(' ') {
        if column > 0 && column + 1 + word.len() > WIDTH {
            text.push('\n');
            column = 0;
            // A line that begins with a period would be a request.
            text.push_str(if word.starts_with('.') { "\\&" } else { "" });
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_folded_and_none_becomes_a_request() {
        let words = "word ".repeat(30) + &".html ".repeat(30);
        for line in fold(words.trim_end()).lines() {
            assert!(line.len() <= WIDTH + 2 && !line.starts_with('.'), "{line}");
        }
        assert_eq!(fold(&format!(".SH {words}")), format!(".SH {words}\n"));
    }
}
