//! The hidden command that runs and measures a shell command for `fetch compare --command`.

use std::ffi::OsStr;
use std::io::Write;

use super::print_error;
use crate::compare::measure_command;
use crate::exit::Exit;
use crate::streams::stdout;

pub(super) fn execute(text: &OsStr) -> Exit {
    let measured = measure_command(text).and_then(|measured| {
        let text = serde_json::to_vec(&measured)?;
        stdout().write_all(&text)
    });
    match measured {
        Ok(()) => Exit::Ok,
        Err(error) => {
            print_error(&error);
            Exit::Fatal
        }
    }
}
