//! Runs a command and writes what it took, as one JSON object in a file: seconds, processor seconds, peak memory, context
//! switches.
//!
//! A program of its own, and small: the peak that the system reports of a process includes that of whoever started it.

use std::error::Error;
use std::fs;
use std::process::{Command, ExitStatus};
use std::time::Instant;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let told = arguments.next().ok_or("usage: stopwatch FILE COMMAND [ARGUMENT]...")?;
    let command = arguments.next().ok_or("there is no command")?;
    let mut command = Command::new(command);
    command.args(arguments);

    let start = Instant::now();
    let status = command.status()?;
    let wall = start.elapsed().as_secs_f64();

    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    fs::write(told, lap(status, wall, &usage).to_string())?;
    Ok(())
}

/// Times are in seconds. Of several processes `peak` is that of the largest, in bytes; `code` is null after a signal.
fn lap(status: ExitStatus, wall: f64, usage: &Usage) -> serde_json::Value {
    json!({
        "code": status.code(),
        "wall": wall,
        "cpu": seconds(usage.user_time()) + seconds(usage.system_time()),
        "peak": usage.max_rss() * 1024,
        "switches": usage.voluntary_context_switches() + usage.involuntary_context_switches(),
    })
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
