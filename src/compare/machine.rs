//! Measures the load of the machine during a run.

use std::time::{Duration, Instant};

use crate::resource_usage::{cpu_pressure, machine_cpu_time, scheduling_of, usage};

/// The counters of the machine at one moment. `None` where the system does not report one.
pub(super) struct MachineReadings {
    at: Instant,
    /// CPU time of all processes.
    busy: Option<Duration>,
    /// CPU time of this process and of the runs that have ended.
    own: Option<Duration>,
    /// Time in which some task waited for a processor.
    pressure: Option<Duration>,
    /// CPU time of the local server, and how long it has waited for a processor, if this process has started one.
    server: Option<(Duration, Duration)>,
}

/// The load of the machine during one run. All but `other_load` are shares of its time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MachineLoad {
    /// Share of the time in which some task of the machine waited for a processor.
    pub pressure: Option<f64>,
    /// Cores that processes other than the run and the local server kept busy.
    pub other_load: Option<f64>,
    /// Share of the time in which threads of the local server waited for a processor.
    pub server_wait: Option<f64>,
}

impl MachineReadings {
    /// Reads the counters. `server`: the process ID of the local server.
    pub(super) fn now(server: Option<u32>) -> Self {
        let used = usage();
        Self {
            at: Instant::now(),
            busy: machine_cpu_time(),
            own: used.cpu_user.zip(used.cpu_system).map(|(user, system)| user + system),
            pressure: cpu_pressure(),
            server: server.and_then(scheduling_of),
        }
    }

    /// The load between `earlier` and these readings.
    pub(super) fn since(&self, earlier: &Self) -> MachineLoad {
        let time = (self.at - earlier.at).as_secs_f64().max(1e-6);
        let share = |now: Option<Duration>, before: Option<Duration>| {
            Some(now?.saturating_sub(before?).as_secs_f64() / time)
        };
        let of_server = |figure: fn((Duration, Duration)) -> Duration| {
            share(self.server.map(figure), earlier.server.map(figure))
        };
        let served = of_server(|(ran, _)| ran).unwrap_or_default();
        let own = share(self.own, earlier.own);
        MachineLoad {
            pressure: share(self.pressure, earlier.pressure),
            other_load: share(self.busy, earlier.busy)
                .zip(own)
                .map(|(busy, own)| (busy - own - served).max(0.0)),
            server_wait: of_server(|(_, waited)| waited),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_of_others_is_what_neither_the_run_nor_its_server_has_used() {
        let at = Instant::now();
        let readings = |seconds: u64, busy, own, server| MachineReadings {
            at: at + Duration::from_secs(seconds),
            busy: Some(Duration::from_millis(busy)),
            own: Some(Duration::from_millis(own)),
            pressure: Some(Duration::from_millis(own)),
            server,
        };
        let served =
            |ran, waited| Some((Duration::from_millis(ran), Duration::from_millis(waited)));
        let before = readings(0, 10_000, 500, served(0, 0));
        let load = readings(2, 13_000, 1000, served(500, 1000)).since(&before);
        assert_eq!(
            [load.pressure, load.other_load, load.server_wait],
            [Some(0.25), Some(1.0), Some(0.5)]
        );
        let load = readings(2, 13_000, 1000, None).since(&before);
        assert_eq!((load.other_load, load.server_wait), (Some(1.25), None));
        let unknown = MachineReadings { busy: None, own: None, pressure: None, server: None, at };
        assert_eq!(unknown.since(&unknown).other_load, None);
    }
}
