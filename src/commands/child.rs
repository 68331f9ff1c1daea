//! The hidden command of `--mode processes`: transfers for a parent process.

use super::print_error;
use crate::engine;
use crate::exit::Exit;

pub(super) fn execute() -> Exit {
    match engine::run_child() {
        Ok(()) => Exit::Ok,
        Err(error) => {
            print_error(&error);
            Exit::Fatal
        }
    }
}
