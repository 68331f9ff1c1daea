//! `fetch completions SHELL`: prints the completion script.

use super::conclude;
use crate::cli::Completions;
use crate::exit::Exit;
use crate::streams::stdout;

pub(super) fn execute(completions: &Completions) -> Exit {
    conclude(&completions.write(&mut stdout()))
}
