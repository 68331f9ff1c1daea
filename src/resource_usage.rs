//! Resource usage of this process and its children, and its limit on open files.

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

/// Raises the soft limit on open file descriptors to `wanted`, but not beyond the hard limit. Returns the resulting limit.
pub(crate) fn raise_fd_limit(wanted: u64) -> u64 {
    let limits = getrlimit(Resource::Nofile);
    let current = limits.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    let raised = limits.maximum.map_or(wanted, |hard| hard.min(wanted));
    let limits = Rlimit { current: Some(raised), ..limits };
    // The system may refuse a value below its own hard limit (macOS); then nothing changes.
    setrlimit(Resource::Nofile, limits).map_or(current, |()| raised)
}

/// Bytes of address space that the process may still use; `None` if there is no limit, or its use is unknown.
pub(crate) fn address_space_left() -> Option<u64> {
    let limit = getrlimit(Resource::As).current?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(limit.saturating_sub(memory_field(&status, "VmSize:")?))
}

/// Resource usage so far; all `None` if the system does not report it.
pub(crate) fn usage() -> ResourceUsage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return ResourceUsage::default() };
    let Ok(children) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return ResourceUsage::default();
    };
    let switches = |of: fn(&_) -> i64| Some((of(&usage) + of(&children)) as u64);
    ResourceUsage {
        cpu_user: Some(duration(usage.user_time()) + duration(children.user_time())),
        cpu_system: Some(duration(usage.system_time()) + duration(children.system_time())),
        peak_memory: peak_of_this_program().or_else(|| Some(peak_memory(&usage))),
        voluntary_switches: switches(|usage| usage.voluntary_context_switches()),
        involuntary_switches: switches(|usage| usage.involuntary_context_switches()),
    }
}

/// How long the calling thread was ready to run but waited for a processor; `None` if the system does not report it.
/// `/proc/thread-self/schedstat` has the nanoseconds on a processor and in the run queue, and the number of time slices.
pub(crate) fn run_queue_delay() -> Option<Duration> {
    waited_in_run_queue(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
}

/// How long the current threads of another process have run, and how long they waited for a processor; `None` if the
/// system does not report it.
pub(crate) fn scheduling_of(process: u32) -> Option<(Duration, Duration)> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let schedstats = threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| Some((on_processor(&text)?, waited_in_run_queue(&text)?)));
    schedstats.reduce(|(ran, waited), (more, longer)| (ran + more, waited + longer))
}

fn on_processor(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn waited_in_run_queue(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

/// CPU time of all processes since the machine was booted, including time stolen by other virtual machines; `None` if the
/// system does not report it (`/proc/stat`).
pub(crate) fn machine_cpu_time() -> Option<Duration> {
    busy_time(&fs::read_to_string("/proc/stat").ok()?)
}

/// The sum of user, nice, system, irq, softirq and steal time in the first line of `/proc/stat`, which is in hundredths of
/// a second; also has idle (fourth) and iowait (fifth).
fn busy_time(stat: &str) -> Option<Duration> {
    let ticks: Option<Vec<u64>> = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace()
        .map(|tick| tick.parse().ok())
        .collect();
    let ticks = ticks.filter(|ticks| ticks.len() >= 8)?;
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().map(|place| ticks[*place]).sum();
    (ticks.iter().sum::<u64>() > 0).then(|| Duration::from_millis(10 * busy))
}

/// How long at least one task of the machine waited for a processor since it was booted (`some` in
/// `/proc/pressure/cpu`); `None` if the system does not report it.
pub(crate) fn cpu_pressure() -> Option<Duration> {
    pressure(&fs::read_to_string("/proc/pressure/cpu").ok()?)
}

fn pressure(text: &str) -> Option<Duration> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let total = some.split_whitespace().find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

/// Resource usage of the child processes that have ended; the memory is the peak of the largest one.
pub(crate) fn usage_of_children() -> ResourceUsage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return ResourceUsage::default() };
    ResourceUsage {
        cpu_user: Some(duration(usage.user_time())),
        cpu_system: Some(duration(usage.system_time())),
        peak_memory: Some(peak_memory(&usage)),
        voluntary_switches: Some(usage.voluntary_context_switches() as u64),
        involuntary_switches: Some(usage.involuntary_context_switches() as u64),
    }
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
}

/// Peak resident memory since this program was executed, in bytes; `None` if the system does not report it. The figure of
/// `getrusage` survives `exec`, and so may be that of the program that started this one.
fn peak_of_this_program() -> Option<u64> {
    memory_field(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// A field of a process status that is an amount of memory (proc_pid_status(5)), in bytes.
fn memory_field(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The peak resident memory of a `getrusage` result, in bytes.
fn peak_memory(usage: &Usage) -> u64 {
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    usage.max_rss() as u64 * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_in_bytes() {
        let status = "Name:\tfetch\nVmPeak:\t  9 kB\nVmHWM:\t    5232 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(memory_field(status, "VmHWM:"), Some(5232 * 1024));
        assert_eq!(memory_field("Name:\tfetch\n", "VmHWM:"), None);
    }

    #[test]
    fn the_wait_for_a_processor_is_the_second_figure() {
        assert_eq!(waited_in_run_queue("1055 3500 14\n"), Some(Duration::from_nanos(3500)));
        assert_eq!(waited_in_run_queue(""), None);
        assert_eq!(on_processor("1055 3500 14\n"), Some(Duration::from_nanos(1055)));
    }

    #[test]
    fn time_and_pressure_of_the_machine_are_read_from_its_files() {
        let stat = "cpu  100 1 50 9000 20 2 3 4 0 0\ncpu0 100 1 50 9000 20 2 3 4 0 0\n";
        assert_eq!(busy_time(stat), Some(Duration::from_millis(1600)));
        assert_eq!(busy_time("cpu  0 0 0 0 0 0 0 0 0 0\n"), None);
        assert_eq!(busy_time("intr 1\n"), None);
        let text = "some avg10=99.00 avg60=9.00 avg300=1.00 total=12345\nfull avg10=0.00 total=0\n";
        assert_eq!(pressure(text), Some(Duration::from_micros(12345)));
        assert_eq!(pressure(""), None);
    }
}
