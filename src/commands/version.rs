//! `fetch --version --verbose`: prints the version, and what the program was built with.

use std::io::Write;

use super::conclude;
use crate::cli::VersionPage;
use crate::exit::Exit;
use crate::streams::stdout;
use crate::transfer;

pub(super) fn execute(VersionPage(page): &VersionPage) -> Exit {
    let facts = transfer::build_facts().map(|(name, fact)| format!("{name}: {fact}\n")).concat();
    conclude(&stdout().write_all(format!("{page}{facts}").as_bytes()))
}
