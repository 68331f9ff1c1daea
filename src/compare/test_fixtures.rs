//! A comparison for tests.

use super::result::{
    Comparison, Interval, LatencyQuantiles, ModeStats, PairwiseResult, Sample, SpeedUp, WallTime,
};

/// A comparison of two modes in three runs each; all words that may come from elsewhere are these.
pub(crate) fn comparison(words: &str) -> Comparison {
    let modes = [format!("sequential{words}"), format!("async{words}")];
    let samples = (0..6).map(|order| sample(1 + order / 2, order % 2, &modes[order % 2]));
    let speed_up =
        SpeedUp { ratio: 4.9, interval: Some(Interval { low: 4.8, high: 5.0 }), p: 0.0001 };
    Comparison {
        program: format!("fetch/0.1.0{words}"),
        started_at: format!("2026-01-01T00:00:00.000Z{words}"),
        cores: Some(2),
        sources: vec![format!("sites.txt{words}")],
        options: vec![format!("--digest=sha256{words}")],
        comparable: false,
        reasons: vec![format!("it is an example{words}")],
        notes: vec![format!("it is short{words}")],
        explanation: vec![format!("async is ahead{words}.")],
        subject: format!("what is listed{words}"),
        targets: 15,
        bytes: 3_795_179,
        runs: 3,
        warmup: 1,
        seed: 7,
        contestants: vec![standing(&modes[0], 1, None), standing(&modes[1], 5, Some(speed_up))],
        pairs: vec![PairwiseResult { first: 0, second: 1, speed_up }],
        samples: samples.collect(),
    }
}

fn standing(mode: &str, jobs: usize, speed_up: Option<SpeedUp>) -> ModeStats {
    ModeStats {
        mode: mode.to_owned(),
        jobs,
        wall: WallTime { median: 1.5, interval: None, min: 1.4, max: 1.6 },
        speed_up,
        setup: 0.01,
        bytes_per_second: 2_530_119.0,
        urls_per_second: 10.0,
        first_byte: LatencyQuantiles::default(),
        total: LatencyQuantiles { p50: Some(0.1), p90: Some(0.11), p99: Some(0.12) },
        waiting: Some(0.9),
        cpu_user: Some(0.02),
        cpu_system: None,
        cpu_share: None,
        peak_memory: Some(20_971_520.0),
        worker_threads: 1.0,
        voluntary_switches: Some(60.5),
        involuntary_switches: None,
        requests: 15.0,
        connections: jobs as f64,
        handshakes: 0.0,
        lookups: 0.0,
        retries: 0.0,
    }
}

/// No two of its figures are the same.
fn sample(block: usize, contestant: usize, mode: &str) -> Sample {
    let spread = |p50: f64| LatencyQuantiles { p50: Some(p50), p90: Some(2.0 * p50), p99: None };
    Sample {
        block,
        contestant,
        mode: mode.to_owned(),
        jobs: 5 + contestant,
        wall: 1.0 + 0.25 * block as f64,
        setup: 0.01,
        targets: 15,
        ok: 14,
        bytes: 3_795_179,
        wire_bytes: 3_795_180,
        first_byte: spread(0.1),
        total: spread(0.15),
        waiting: 1.1,
        transfer: 0.7,
        retries: 7,
        cpu_user: Some(0.02),
        cpu_system: Some(0.03),
        peak_memory: Some(20 << 20),
        worker_threads: 8,
        voluntary_switches: Some(60),
        involuntary_switches: None,
        requests: 17,
        connections: 9,
        handshakes: 10,
        lookups: 11,
    }
}
