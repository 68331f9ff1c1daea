//! `fetch completions SHELL`: prints the completion script.

use std::io;

use super::conclude;
use crate::cli::Completions;
use crate::exit::Exit;

pub(super) fn execute(completions: &Completions) -> Exit {
    conclude(&completions.write(&mut io::stdout()))
}
