//! Jobs a second through the schedule: each is admitted, taken and settled, while as many as usual wait.

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput};
use fetch::bench::model::QueuedJob;
use fetch::bench::plan::RobotsPolicy;
use fetch::bench::scheduler::{
    HostFeedback, HostLimits, HostPolicies, JobOrder, LastHost, NextJob, QueueCapacity, Scheduler,
};

use crate::urls;

const JOBS: usize = 10_000;

/// Jobs in memory, as a run of 16 jobs has them.
const ROOM: QueueCapacity = QueueCapacity { jobs: 2048, jobs_of_many_hosts: 2048, bytes: 16 << 20 };

pub fn passing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule");
    group.throughput(Throughput::Elements(JOBS as u64));
    for hosts in [1, 1000] {
        let jobs = || (0..JOBS).map(|number| job(number, hosts)).collect();
        group.bench_function(format!("jobs, hosts: {hosts}"), |bench| {
            bench.iter_batched(jobs, pass, BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn job(number: usize, hosts: usize) -> QueuedJob {
    QueuedJob::first(urls::target(number, hosts), None, Instant::now())
}

/// Every job goes in and comes out, and the one worker asks for the next when it has served one.
fn pass(jobs: Vec<QueuedJob>) {
    let now = Instant::now();
    let mut schedule = Scheduler::new(hosts(), JobOrder::RoundRobinByHost, ROOM, Duration::ZERO);
    let (mut last, mut served) = (LastHost::default(), 0);
    let mut jobs = jobs.into_iter();
    for job in jobs.by_ref().take(ROOM.jobs / 2) {
        schedule.admit(job, now);
    }
    while let NextJob::Job(job, _) = schedule.next(&mut last, now) {
        schedule.on_feedback(&job.request.url, HostFeedback::Served(None), now, now);
        schedule.count(&job.request.url, 10_240, None);
        served += 1;
        if let Some(job) = jobs.next() {
            schedule.admit(job, now);
        }
    }
    assert_eq!(served, JOBS);
}

fn hosts() -> HostPolicies {
    let limits =
        HostLimits { ceiling: Some(6), gap: Duration::ZERO, failures: 3, patience: Duration::ZERO };
    HostPolicies {
        limits: Box::new(move |_| limits),
        name: Box::new(|_| None),
        robots: RobotsPolicy::Ignored,
        longest_rest: Duration::from_secs(600),
    }
}
