//! Other programs that read or write files in tests.

use std::env;
use std::path::Path;
use std::process::Command;

/// Another program, from the folder that `.ci/run` installs such programs in, else from `PATH`.
pub fn tool(name: &str) -> Command {
    match env::var_os("ARCHIVE_TOOLS") {
        Some(folder) => Command::new(Path::new(&folder).join("bin").join(name)),
        None => Command::new(name),
    }
}

/// The standard output of a program, which has to succeed.
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
