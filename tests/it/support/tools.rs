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

/// What a program prints that ends well.
pub fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
