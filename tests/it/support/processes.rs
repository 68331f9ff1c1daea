//! The processes that a run has started.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The children of a process, in the order of their IDs.
pub fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let number: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        (parent_of(number)? == parent).then_some(number)
    });
    let mut children: Vec<_> = processes.collect();
    children.sort_unstable();
    children
}

/// Whether a process exists and has not ended.
pub fn is_there(process: u32) -> bool {
    !matches!(stat(process).as_deref().and_then(|rest| rest.chars().next()), None | Some('Z' | 'X'))
}

/// Whether every thread of a process is stopped.
pub fn is_stopped(process: u32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks
        .map(|task| fs::read_to_string(task.unwrap().path().join("stat")).unwrap())
        .all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

/// Sends a signal to a process that the tests have started. Fails if the signal is ignored here: programs inherit that, and a
/// test would wait forever.
pub fn send(process: u32, signal: Signal) {
    assert!(!is_ignored(signal), "{signal} is ignored here, as under `nohup` or `&` in a script");
    kill(Pid::from_raw(process as i32), signal).unwrap();
}

/// Whether this process ignores a signal.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() >> (signal as u32 - 1) & 1 == 1
}

fn parent_of(process: u32) -> Option<u32> {
    stat(process)?.split(' ').nth(1)?.parse().ok()
}

/// The fields of `/proc/PID/stat` after the name of the process: its state, its parent, and others.
fn stat(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}
