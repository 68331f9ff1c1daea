//! The `fetch` program: parses the command line, executes the command, and exits with its code.

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use fetch::cli::{self, Environment};
use fetch::commands;

/// jemalloc, because each URL causes many small allocations, which one thread makes and another frees.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let environment = Environment {
        variable: &|name| env::var_os(name),
        names: env::vars_os().map(|(name, _)| name).collect(),
        warn: &commands::print_warning,
        home: env::home_dir(),
        stdin_is_terminal: io::stdin().is_terminal(),
        stdin: &commands::read_stdin,
        ask: &commands::ask,
    };
    match cli::parse(env::args_os(), &environment) {
        Ok(command) => commands::execute(command).into(),
        Err(usage) => commands::print_usage(&usage),
    }
}
