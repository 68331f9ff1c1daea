//! A comparison for tests.

use super::result::{
    BeforeAndNow, Comparison, EarlierComparison, Interval, LatencyQuantiles, ModeStats,
    PairwiseResult, Sample, SpeedUp, TimedSpan, WallTime,
};

/// A comparison of two modes in three runs each. All untrusted text ends with `words`.
pub(crate) fn comparison(words: &str) -> Comparison {
    let modes = [format!("sequential{words}"), format!("async{words}")];
    let samples = (0..6).map(|order| sample(1 + order / 2, order % 2, &modes[order % 2]));
    let speed_up = SpeedUp {
        ratio: 4.9,
        interval: Some(Interval { low: 4.8, high: 5.0 }),
        p: 0.0001,
        p_adjusted: Some(0.0002),
    };
    Comparison {
        program: format!("fetch/0.1.0{words}"),
        started_at: format!("2026-01-01T00:00:00.000Z{words}"),
        cores: Some(2),
        sources: vec![format!("sites.txt{words}")],
        options: vec![format!("--digest=sha256{words}")],
        verdict: format!("Not comparable: it is an example{words}."),
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
        timed: TimedSpan::Run,
        contestants: vec![stats_of(&modes[0], 1, None), stats_of(&modes[1], 5, Some(speed_up))],
        pairs: vec![PairwiseResult { first: 0, second: 1, speed_up }],
        samples: samples.collect(),
        against: Some(earlier(words, speed_up)),
    }
}

fn earlier(words: &str, speed_up: SpeedUp) -> EarlierComparison {
    let one = BeforeAndNow {
        name: format!("async{words}"),
        runs_before: 5,
        runs_now: 5,
        before: 1.5,
        now: 1.4,
        speed_up,
    };
    EarlierComparison {
        file: format!("before.json{words}"),
        program: format!("fetch/0.1.0{words}"),
        started_at: format!("2025-01-01T00:00:00.000Z{words}"),
        reasons: Vec::new(),
        contestants: vec![one],
    }
}

fn stats_of(mode: &str, jobs: usize, speed_up: Option<SpeedUp>) -> ModeStats {
    ModeStats {
        mode: mode.to_owned(),
        jobs,
        name: String::new(),
        command: None,
        wall: WallTime { median: 1.5, interval: None, min: 1.4, max: 1.6 },
        speed_up,
        setup: Some(0.01),
        process: Some(1.52),
        bytes_per_second: Some(2_530_119.0),
        urls_per_second: Some(10.0),
        first_byte: LatencyQuantiles::default(),
        total: LatencyQuantiles { p50: Some(0.1), p90: Some(0.11), p99: Some(0.12) },
        waiting: Some(0.9),
        cpu_user: Some(0.02),
        cpu_system: None,
        cpu_share: None,
        cpu_wait: Some(0.01),
        peak_memory: Some(20_971_520.0),
        worker_threads: Some(1.0),
        voluntary_switches: Some(60.5),
        involuntary_switches: None,
        requests: Some(15.0),
        connections: Some(jobs as f64),
        handshakes: Some(0.0),
        lookups: Some(0.0),
        retries: Some(0.0),
        retry_wait: Some(0.0),
        failed: Some(1.0),
    }
}

/// A sample with distinct figures, so that mixed-up fields are noticed.
fn sample(block: usize, contestant: usize, mode: &str) -> Sample {
    let spread = |p50: f64| LatencyQuantiles { p50: Some(p50), p90: Some(2.0 * p50), p99: None };
    Sample {
        block,
        contestant,
        mode: mode.to_owned(),
        jobs: 5 + contestant,
        wall: 1.0 + 0.25 * block as f64,
        setup: Some(0.01),
        process: Some(1.3 + 0.25 * block as f64),
        targets: Some(15),
        ok: Some(14),
        failed: Some(1),
        failures: [("404".to_owned(), 1)].into(),
        bytes: Some(3_795_179),
        wire_bytes: Some(3_795_180),
        first_byte: spread(0.1),
        total: spread(0.15),
        longest: Some(0.17),
        longest_url: Some("http://a.b/".to_owned()),
        waiting: Some(1.1),
        transfer: Some(0.7),
        retries: Some(7),
        retried: Some(3),
        retry_wait: Some(0.04),
        cpu_user: Some(0.02),
        cpu_system: Some(0.03),
        run_queue_delay: Some(0.06),
        cpu_pressure: Some(0.07),
        other_load: Some(0.08),
        server_wait: Some(0.09),
        peak_memory: Some(20 << 20),
        worker_threads: Some(8),
        voluntary_switches: Some(60),
        involuntary_switches: None,
        requests: Some(17),
        connections: Some(9),
        handshakes: Some(10),
        lookups: Some(11),
    }
}
