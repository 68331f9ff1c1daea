//! Resource usage of this process, and its limit on open files.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Resource usage since process start. CPU time includes child processes that have ended; memory does not. `None` if
/// the platform does not report a figure.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ResourceUsage {
    /// CPU time in user mode.
    pub cpu_user: Option<Duration>,
    /// CPU time in the kernel.
    pub cpu_system: Option<Duration>,
    /// Peak resident memory, bytes.
    pub peak_memory: Option<u64>,
    /// Voluntary context switches: the process waited for something.
    pub voluntary_switches: Option<u64>,
    /// Involuntary context switches: the process was preempted.
    pub involuntary_switches: Option<u64>,
}

/// Raises the soft limit on open file descriptors to `wanted`, at most to the hard limit, and returns the limit that
/// applies then.
pub(crate) fn raise_fd_limit(wanted: u64) -> u64 {
    let limits = getrlimit(Resource::Nofile);
    let current = limits.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    let raised = limits.maximum.map_or(wanted, |hard| hard.min(wanted));
    let limits = Rlimit { current: Some(raised), ..limits };
    // The system may have a bound below its own hard limit (macOS); then nothing changes.
    setrlimit(Resource::Nofile, limits).map_or(current, |()| raised)
}

/// Bytes of address space that the process may still take; `None` if there is no limit, or it is not known.
pub(crate) fn address_space_left() -> Option<u64> {
    let limit = getrlimit(Resource::As).current?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let taken = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let taken: u64 = taken.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(limit.saturating_sub(taken * 1024))
}

/// Resource usage so far; all `None` if the system does not report it.
pub(crate) fn usage() -> ResourceUsage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return ResourceUsage::default() };
    let Ok(children) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return ResourceUsage::default();
    };
    let duration = |time: TimeVal| {
        Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
    };
    let switches = |of: fn(&_) -> i64| Some((of(&usage) + of(&children)) as u64);
    ResourceUsage {
        cpu_user: Some(duration(usage.user_time()) + duration(children.user_time())),
        cpu_system: Some(duration(usage.system_time()) + duration(children.system_time())),
        peak_memory: peak_of_this_program().or_else(|| Some(peak_of_this_process(&usage))),
        voluntary_switches: switches(|usage| usage.voluntary_context_switches()),
        involuntary_switches: switches(|usage| usage.involuntary_context_switches()),
    }
}

/// Peak resident memory since this program was executed, in bytes; `None` where there is no such file. The figure of
/// `getrusage` is kept over `exec`, and so may be that of the program that started this one.
fn peak_of_this_program() -> Option<u64> {
    high_water_mark(&fs::read_to_string("/proc/self/status").ok()?)
}

/// The `VmHWM` of a process status (proc_pid_status(5)), in bytes.
fn high_water_mark(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn peak_of_this_process(usage: &Usage) -> u64 {
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    usage.max_rss() as u64 * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_in_bytes() {
        let status = "Name:\tfetch\nVmPeak:\t  9 kB\nVmHWM:\t    5232 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(high_water_mark(status), Some(5232 * 1024));
        assert_eq!(high_water_mark("Name:\tfetch\n"), None);
    }
}
