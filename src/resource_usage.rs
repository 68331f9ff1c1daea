//! What this process uses of the machine, and what it may use. `None` where the platform does not tell.

use std::time::Duration;

/// What has been used since the process started: CPU time also by children that have ended, memory by itself alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResourceUsage {
    /// CPU time in user mode.
    pub cpu_user: Option<Duration>,
    /// CPU time in the kernel.
    pub cpu_system: Option<Duration>,
    /// Peak resident memory, bytes.
    pub peak_memory: Option<u64>,
    /// How often it gave up the processor because it had nothing to do.
    pub voluntary_switches: Option<u64>,
    /// How often others took the processor from it.
    pub involuntary_switches: Option<u64>,
}

/// Raises the limit on open descriptors to `wanted`, as far as the hard limit allows; returns what it is then.
/// `None` if the platform has no such limit.
pub fn descriptors(wanted: u64) -> Option<u64> {
    #[cfg(unix)]
    {
        let (soft, _) = rlimit::Resource::NOFILE.get().ok()?;
        if soft >= wanted {
            return Some(soft);
        }
        Some(rlimit::increase_nofile_limit(wanted).unwrap_or(soft))
    }
    #[cfg(not(unix))]
    {
        let _ = wanted;
        None
    }
}

/// What this process, and those of its children that have ended, have used so far; of memory, this process alone.
#[cfg(unix)]
pub fn usage() -> ResourceUsage {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeVal;

    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return ResourceUsage::default() };
    let Ok(children) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return ResourceUsage::default();
    };
    let duration = |time: TimeVal| {
        Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
    };
    let switches = |of: fn(&_) -> i64| Some((of(&usage) + of(&children)) as u64);
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    ResourceUsage {
        cpu_user: Some(duration(usage.user_time()) + duration(children.user_time())),
        cpu_system: Some(duration(usage.system_time()) + duration(children.system_time())),
        peak_memory: Some(usage.max_rss() as u64 * unit),
        voluntary_switches: switches(|usage| usage.voluntary_context_switches()),
        involuntary_switches: switches(|usage| usage.involuntary_context_switches()),
    }
}

/// What this process has used so far.
#[cfg(not(unix))]
pub fn usage() -> ResourceUsage {
    ResourceUsage::default()
}
