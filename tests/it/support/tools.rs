//! Programs of others that tests read files with, or have them written by.

use std::env;
use std::path::Path;
use std::process::Command;

/// A program of others, in the folder that `.ci/run` installs them in, else where commands are looked for.
pub fn tool(name: &str) -> Command {
    match env::var_os("ARCHIVE_TOOLS") {
        Some(folder) => Command::new(Path::new(&folder).join("bin").join(name)),
        None => Command::new(name),
    }
}
