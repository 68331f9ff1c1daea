//! The schedule on a made-up clock: single stories, and properties over random ones.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::model::{Failure, WaitReason, test_fixtures};
use crate::policy::next_action::tests::queued_job as job;

const SECOND: Duration = Duration::from_secs(1);

const LONGEST_REST: Duration = Duration::from_secs(600);

const CAPACITY: QueueCapacity =
    QueueCapacity { jobs: 1024, jobs_of_many_hosts: 4096, bytes: 1 << 20 };

fn limits(ceiling: Option<usize>) -> HostLimits {
    HostLimits { ceiling, gap: Duration::ZERO, failures: 3, patience: 30 * SECOND }
}

fn schedule_with(turns: JobOrder, limits: HostLimits, gap: Duration) -> Scheduler {
    let hosts = HostPolicies {
        limits: Box::new(move |_| limits),
        name: Box::new(|_| None),
        robots: RobotsPolicy::Ignored,
        longest_rest: LONGEST_REST,
    };
    Scheduler::new(hosts, turns, CAPACITY, gap)
}

fn by_host(limits: HostLimits) -> Scheduler {
    schedule_with(JobOrder::RoundRobinByHost, limits, Duration::ZERO)
}

fn listed(url: &str, index: u64) -> QueuedJob {
    let mut job = job(url);
    Arc::get_mut(&mut job.request.target).unwrap().index = index;
    job
}

fn refused() -> Failure {
    Failure::Connect("refused".to_owned())
}

/// A worker that never stays with a host takes the next job: its URL, or why there is none.
fn taken(schedule: &mut Scheduler, now: Instant) -> String {
    match schedule.next(&mut LastHost::default(), now) {
        NextJob::Job(job, _) => job.request.url.to_string(),
        NextJob::Failed(job, failure) => format!("{} {}", failure.class(), job.request.url),
        NextJob::Wait(moment) => format!("wait {}", (moment - now).as_millis()),
        NextJob::Nothing => "nothing".to_owned(),
    }
}

#[test]
fn a_job_may_start_no_sooner_than_its_host_and_not_at_all_on_one_that_is_given_up_before() {
    let (mut schedule, mut now) = (by_host(limits(None)), Instant::now());
    let [down, busy] = ["http://a.test/", "http://b.test/"].map(|url| url.parse().unwrap());
    let attempt = |schedule: &mut Scheduler, url: &Url, feedback, now| {
        schedule.admit(job(url.as_str()), now);
        assert_eq!(taken(schedule, now), url.as_str());
        schedule.on_feedback(url, feedback, now, now);
    };
    assert_eq!(schedule.earliest_start(&down, now + SECOND, now), Some(now + SECOND));
    for pause in [0, 0, 500, 1000, 2000] {
        attempt(&mut schedule, &down, HostFeedback::Unreachable(refused()), now);
        let start = schedule.earliest_start(&down, now, now);
        assert_eq!(start, Some(now + Duration::from_millis(pause)));
        now = start.unwrap();
    }
    assert_eq!(schedule.earliest_start(&down, now + 30 * SECOND, now), None, "patience ends");
    attempt(&mut schedule, &busy, HostFeedback::Refused(Some(2 * SECOND)), now);
    let start = |schedule: &mut Scheduler, due| schedule.earliest_start(&busy, due, now).unwrap();
    assert!(start(&mut schedule, now + SECOND) >= now + 2 * SECOND);
    assert_eq!(start(&mut schedule, now + 9 * SECOND), now + 9 * SECOND);
}

#[test]
fn a_host_is_never_asked_more_at_once_than_its_limit() {
    let now = Instant::now();
    let mut schedule = by_host(limits(Some(2)));
    for path in 0..5 {
        schedule.admit(job(&format!("http://a.test/{path}")), now);
    }
    assert_eq!(taken(&mut schedule, now), "http://a.test/0");
    assert_eq!(taken(&mut schedule, now), "http://a.test/1");
    assert_eq!(taken(&mut schedule, now), "nothing");
    schedule.on_feedback(&"http://a.test/0".parse().unwrap(), HostFeedback::Served(None), now, now);
    assert_eq!(taken(&mut schedule, now), "http://a.test/2");
    assert_eq!(taken(&mut schedule, now), "nothing");
}

#[test]
fn hosts_take_turns_and_a_slow_one_does_not_hold_up_a_fast_one() {
    let now = Instant::now();
    let mut schedule = by_host(limits(Some(2)));
    for path in 0..80 {
        schedule.admit(job(&format!("http://slow.test/{path}")), now);
    }
    for path in 0..3 {
        schedule.admit(job(&format!("http://fast.test/{path}")), now);
    }
    let taken: Vec<_> = (0..5).map(|_| taken(&mut schedule, now)).collect();
    assert_eq!(
        taken,
        [
            "http://slow.test/0",
            "http://fast.test/0",
            "http://slow.test/1",
            "http://fast.test/1",
            "nothing"
        ]
    );
}

#[test]
fn a_single_worker_follows_the_list_whatever_the_hosts() {
    let now = Instant::now();
    let mut schedule = schedule_with(JobOrder::ListOrder, limits(Some(6)), Duration::ZERO);
    let urls = ["http://a.test/1", "http://b.test/2", "http://a.test/3", "http://c.test/4"];
    for (index, url) in (1..).zip(urls) {
        schedule.admit(listed(url, index), now);
    }
    for url in urls {
        assert_eq!(taken(&mut schedule, now), url);
        schedule.on_feedback(&url.parse().unwrap(), HostFeedback::Served(None), now, now);
    }
}

#[test]
fn a_worker_stays_with_its_host_for_a_while_and_not_forever() {
    let now = Instant::now();
    let mut schedule = by_host(limits(None));
    for path in 0..20 {
        schedule.admit(job(&format!("http://a.test/{path}")), now);
        schedule.admit(job(&format!("http://b.test/{path}")), now);
    }
    let mut last = LastHost::default();
    let mut hosts = Vec::new();
    for _ in 0..20 {
        let NextJob::Job(job, _) = schedule.next(&mut last, now) else { panic!() };
        hosts.push(job.request.url.host_str().unwrap().to_owned());
    }
    assert!(hosts[..16].iter().all(|host| *host == hosts[0]), "{hosts:?}");
    assert!(hosts.iter().any(|host| *host != hosts[0]), "{hosts:?}");
}

#[test]
fn the_gap_between_two_starts_at_one_host_is_kept_whatever_became_of_the_first() {
    let now = Instant::now();
    let gap = HostLimits { gap: 2 * SECOND, ..limits(None) };
    let mut schedule = by_host(gap);
    schedule.admit(job("http://a.test/1"), now);
    schedule.admit(job("http://a.test/2"), now);
    assert_eq!(taken(&mut schedule, now), "http://a.test/1");
    let url = "http://a.test/1".parse().unwrap();
    schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), now, now + SECOND);
    assert_eq!(taken(&mut schedule, now + SECOND), "wait 1000");
    assert_eq!(taken(&mut schedule, now + 2 * SECOND), "http://a.test/2");
}

#[test]
fn starts_in_all_are_spread_evenly_and_do_not_drift() {
    let now = Instant::now();
    let mut schedule = schedule_with(JobOrder::RoundRobinByHost, limits(None), SECOND / 10);
    for path in 0..100 {
        schedule.admit(job(&format!("http://{}.test/", path % 7)), now);
    }
    // Somebody looks every 7 ms, which is never quite the moment.
    let mut starts = 0;
    for look in 0..=(5000 / 7) {
        let moment = now + Duration::from_millis(7 * look);
        while taken(&mut schedule, moment).starts_with("http") {
            starts += 1;
        }
    }
    assert_eq!(starts, 50);
}

#[test]
fn a_wait_that_was_asked_for_binds_the_whole_host_and_no_other() {
    let now = Instant::now();
    let mut schedule = by_host(limits(Some(6)));
    for url in ["http://a.test/1", "http://a.test/2", "http://b.test/1"] {
        schedule.admit(job(url), now);
    }
    assert_eq!(taken(&mut schedule, now), "http://a.test/1");
    let url = "http://a.test/1".parse().unwrap();
    schedule.on_feedback(&url, HostFeedback::Refused(Some(5 * SECOND)), now, now);
    assert_eq!(taken(&mut schedule, now), "http://b.test/1");
    assert_eq!(taken(&mut schedule, now + 4 * SECOND), "wait 1000");
    assert_eq!(taken(&mut schedule, now + 5 * SECOND), "http://a.test/2");
}

#[test]
fn without_a_wait_a_refusal_halves_what_is_in_progress_and_success_opens_it_again() {
    let mut now = Instant::now();
    let mut schedule = by_host(limits(Some(8)));
    let url: Url = "http://a.test/".parse().unwrap();
    let peak = |schedule: &mut Scheduler, now: &mut Instant, feedback: HostFeedback| {
        let mut taken = 0;
        for _ in 0..8 {
            schedule.admit(job("http://a.test/"), *now);
        }
        loop {
            match schedule.next(&mut LastHost::default(), *now) {
                NextJob::Job(..) => taken += 1,
                NextJob::Wait(moment) => *now = moment,
                _ => break,
            }
        }
        for _ in 0..taken {
            schedule.on_feedback(&url, feedback.clone(), *now, *now);
        }
        schedule.drain().len();
        taken
    };
    assert_eq!(peak(&mut schedule, &mut now, HostFeedback::Served(None)), 8);
    now += SECOND;
    assert_eq!(peak(&mut schedule, &mut now, HostFeedback::Refused(None)), 8);
    let after = peak(&mut schedule, &mut now, HostFeedback::Served(None));
    assert!(after <= 4, "{after} in progress after refusals");
    for _ in 0..100 {
        peak(&mut schedule, &mut now, HostFeedback::Served(None));
    }
    assert_eq!(peak(&mut schedule, &mut now, HostFeedback::Served(None)), 8);
}

#[test]
fn pages_that_never_work_do_not_slow_their_host_to_a_crawl() {
    let start = Instant::now();
    let mut now = start;
    let mut schedule = by_host(limits(Some(6)));
    for path in 0..100 {
        schedule.admit(job(&format!("http://a.test/{path}")), now);
    }
    let (mut gaps, mut before) = (Vec::new(), now);
    for _ in 0..100 {
        let job = loop {
            match schedule.next(&mut LastHost::default(), now) {
                NextJob::Job(job, _) => break job,
                NextJob::Wait(moment) => now = moment,
                other => panic!("{other:?}"),
            }
        };
        gaps.push(now - before);
        before = now;
        schedule.on_feedback(&job.request.url, HostFeedback::Strained, now, now);
    }
    assert_eq!(gaps[..3], [Duration::ZERO; 3], "it is asked half as much at once at first");
    assert_eq!(gaps.iter().max(), Some(&SECOND));
}

#[test]
fn a_host_that_allows_so_many_a_second_is_soon_asked_hardly_more() {
    // The origin admits 20 in each window of a second and asks for the rest of the window beyond that.
    let start = Instant::now();
    let mut schedule = by_host(limits(Some(6)));
    for path in 0..200 {
        schedule.admit(job(&format!("http://a.test/{path}")), start);
    }
    let (mut now, mut window, mut admitted) = (start, start, 0);
    let (mut served, mut refused, mut refused_in_the_first_window) = (0, 0, 0);
    let latency = Duration::from_millis(2);
    while served < 200 {
        let job = match schedule.next(&mut LastHost::default(), now) {
            NextJob::Job(job, _) => job,
            NextJob::Wait(moment) => {
                now = moment;
                continue;
            }
            other => panic!("{other:?}"),
        };
        let started = now;
        now += latency;
        if now - window >= SECOND {
            (window, admitted) = (now, 0);
        }
        if admitted < 20 {
            admitted += 1;
            served += 1;
            schedule.on_feedback(&job.request.url, HostFeedback::Served(None), started, now);
        } else {
            refused += 1;
            refused_in_the_first_window += u32::from(now - start < SECOND);
            schedule.on_feedback(
                &job.request.url,
                HostFeedback::Refused(Some(SECOND)),
                started,
                now,
            );
            schedule.resume(*job, now + SECOND, now);
        }
    }
    assert!(refused - refused_in_the_first_window < 10, "{refused} refused");
    assert!(now - start < 16 * SECOND, "it took {:?}", now - start);
}

#[test]
fn a_host_that_cannot_be_reached_is_tried_one_at_a_time_then_parked_then_given_up() {
    let start = Instant::now();
    let mut schedule = by_host(limits(Some(6)));
    for path in 0..100 {
        schedule.admit(job(&format!("http://dead.test/{path}")), start);
    }
    let url: Url = "http://dead.test/".parse().unwrap();
    let first = taken(&mut schedule, start);
    schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), start, start);
    schedule.resume(job(&first), start, start);
    let (mut now, mut tries) = (start, 1);
    loop {
        match schedule.next(&mut LastHost::default(), now) {
            NextJob::Job(job, _) => {
                tries += 1;
                assert_eq!(
                    taken(&mut schedule, now).split(' ').next(),
                    Some("wait"),
                    "one at a time"
                );
                schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), now, now);
                schedule.resume(*job, now, now);
            }
            NextJob::Wait(moment) => now = moment,
            NextJob::Failed(_, failure) => {
                assert_eq!(failure.class(), FailureClass::HostDown);
                break;
            }
            NextJob::Nothing => panic!("somebody must be waiting for the end of patience"),
        }
    }
    assert_eq!(now - start, 30 * SECOND, "its URLs wait as long as patience lasts");
    assert!(tries < 12, "{tries} tries");
    let rest = (0..99).filter(|_| taken(&mut schedule, now).starts_with("host_down")).count();
    assert_eq!(rest, 99);
}

#[test]
fn patience_ends_while_a_probe_hangs() {
    let start = Instant::now();
    let mut schedule = by_host(limits(Some(1)));
    schedule.admit(job("http://dead.test/1"), start);
    schedule.admit(job("http://dead.test/2"), start);
    let url: Url = "http://dead.test/".parse().unwrap();
    assert_eq!(taken(&mut schedule, start), "http://dead.test/1");
    let ten = start + 10 * SECOND;
    schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), start, ten);
    schedule.resume(job("http://dead.test/1"), ten, ten);
    assert_eq!(taken(&mut schedule, ten), "http://dead.test/1", "this one hangs");
    assert_eq!(taken(&mut schedule, ten), "wait 20000");
    assert_eq!(taken(&mut schedule, start + 30 * SECOND), "host_down http://dead.test/2");
}

#[test]
fn a_host_that_comes_back_is_asked_as_before() {
    let start = Instant::now();
    let mut schedule = by_host(limits(Some(2)));
    for path in 0..4 {
        schedule.admit(job(&format!("http://a.test/{path}")), start);
    }
    let url: Url = "http://a.test/".parse().unwrap();
    let first = taken(&mut schedule, start);
    schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), start, start);
    schedule.resume(job(&first), start, start);
    assert_eq!(taken(&mut schedule, start), "http://a.test/0");
    schedule.on_feedback(&url, HostFeedback::Served(None), start, start);
    assert_eq!(taken(&mut schedule, start), "http://a.test/1");
    assert_eq!(taken(&mut schedule, start), "http://a.test/2", "two at a time again");
}

#[test]
fn a_name_that_does_not_exist_fails_its_urls_at_once_and_a_silent_resolver_does_not() {
    let start = Instant::now();
    let hosts = HostPolicies {
        limits: Box::new(|_| limits(Some(6))),
        name: Box::new(|url| url.host_str().map(str::to_owned)),
        robots: RobotsPolicy::Ignored,
        longest_rest: LONGEST_REST,
    };
    let mut schedule = Scheduler::new(hosts, JobOrder::RoundRobinByHost, CAPACITY, Duration::ZERO);
    schedule.admit(job("http://gone.test/1"), start);
    schedule.admit(job("http://gone.test/2"), start);
    schedule.admit(job("http://slow.test/1"), start);
    let names: Vec<_> = schedule.take_lookups().map(|lookup| lookup.name).collect();
    assert_eq!(names, ["gone.test", "slow.test"], "each is asked for once");
    assert_eq!(taken(&mut schedule, start), "nothing");
    let no_such = Failure::Dns { host: "gone.test".into(), reason: "no such name".into() };
    schedule.set_addresses("http://gone.test", Err(ResolveError::NoSuchName(no_such)), start);
    assert_eq!(taken(&mut schedule, start), "dns http://gone.test/1");
    assert_eq!(taken(&mut schedule, start), "dns http://gone.test/2");
    let silent = Failure::Dns { host: "slow.test".into(), reason: "try again".into() };
    schedule.set_addresses("http://slow.test", Err(ResolveError::Unavailable(silent)), start);
    assert_eq!(schedule.take_lookups().count(), 1, "it is asked for again");
    schedule.set_addresses("http://slow.test", Ok(Arc::from([[127, 0, 0, 1].into()])), start);
    assert_eq!(taken(&mut schedule, start), "http://slow.test/1");
}

#[test]
fn the_table_tells_why_a_host_waited() {
    let start = Instant::now();
    let mut schedule = by_host(limits(Some(1)));
    schedule.admit(job("http://a.test/1"), start);
    schedule.admit(job("http://a.test/2"), start);
    let url = "http://a.test/1".parse().unwrap();
    taken(&mut schedule, start);
    schedule.on_feedback(&url, HostFeedback::Refused(Some(3 * SECOND)), start, start + SECOND);
    schedule.count(&url, 10, Some(FailureClass::RateLimited));
    taken(&mut schedule, start + 4 * SECOND);
    let row = schedule.host_stats(start + 4 * SECOND).remove(0);
    assert_eq!((row.host.as_ref(), row.requests, row.bytes, row.peak), ("http://a.test", 2, 10, 1));
    assert_eq!(row.waited[&WaitReason::Limit], SECOND);
    assert_eq!(row.waited[&WaitReason::RetryAfter], 3 * SECOND);
    assert_eq!(row.failures[&FailureClass::RateLimited], 1);
}

#[test]
fn a_host_that_has_its_share_leaves_room_for_others() {
    let now = Instant::now();
    let mut schedule = by_host(limits(Some(6)));
    let url: Url = "http://a.test/".parse().unwrap();
    let mut here = 0;
    while schedule.room(&url) == AdmitRoom::Queue {
        schedule.admit(job("http://a.test/"), now);
        here += 1;
    }
    assert_eq!(schedule.room(&url), AdmitRoom::Spill);
    assert_eq!(schedule.room(&"http://b.test/".parse().unwrap()), AdmitRoom::Queue);
    schedule.defer(&url, now);
    assert_eq!(schedule.host_to_refill(), None);
    for _ in 0..here / 2 {
        taken(&mut schedule, now);
        schedule.on_feedback(&url, HostFeedback::Served(None), now, now);
    }
    assert_eq!(schedule.host_to_refill().as_deref(), Some("http://a.test"));
    assert_eq!(schedule.room(&url), AdmitRoom::Spill, "what was put aside comes first");
    schedule.readmit(job("http://a.test/"), now);
    assert_eq!(schedule.host_to_refill(), None);
    assert_eq!(schedule.room(&url), AdmitRoom::Queue);
}

#[test]
fn where_there_are_many_hosts_there_is_room_for_some_jobs_of_each() {
    let now = Instant::now();
    let fill = |turns, hosts: usize| {
        let mut schedule = schedule_with(turns, limits(None), Duration::ZERO);
        let urls: Vec<Url> =
            (0..hosts).map(|host| format!("http://h{host}.test/").parse().unwrap()).collect();
        let next = |number: &usize| &urls[number % hosts];
        let admitted = (0..).take_while(|number| {
            let has_room = schedule.room(next(number)) == AdmitRoom::Queue;
            if has_room {
                schedule.admit(job(next(number).as_str()), now);
            }
            has_room
        });
        (admitted.count(), schedule)
    };
    assert_eq!(fill(JobOrder::RoundRobinByHost, 100).0, 1024);
    assert_eq!(fill(JobOrder::RoundRobinByHost, 200).0, 8 * 200);
    assert_eq!(fill(JobOrder::RoundRobinByHost, 1000).0, 4096);
    assert_eq!(fill(JobOrder::ListOrder, 1000).0, 1024);
    // So a worker may stay with a host, and its connection.
    let mut schedule = fill(JobOrder::RoundRobinByHost, 1024).1;
    let mut last = LastHost::default();
    let hosts: Vec<_> = (0..8)
        .map(|_| match schedule.next(&mut last, now) {
            NextJob::Job(job, _) => job.request.url.host_str().unwrap().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(hosts, [["h0.test"; 4], ["h1.test"; 4]].concat());
}

#[test]
fn hosts_without_jobs_are_forgotten_when_there_are_too_many_but_for_their_rows() {
    let now = Instant::now();
    let mut schedule = by_host(limits(Some(6)));
    for host in 0..3 * HOSTS_KEPT {
        let url = format!("http://{host}.test/");
        schedule.admit(job(&url), now);
        assert_eq!(taken(&mut schedule, now), url);
        schedule.on_feedback(&url.parse().unwrap(), HostFeedback::Served(None), now, now);
    }
    assert!(schedule.by_host.len() <= HOSTS_KEPT + 2);
    assert!(schedule.queues.len() <= HOSTS_KEPT + 2);
    assert_eq!(schedule.host_stats(now).len(), TABLE);
}

#[test]
fn a_host_with_a_failure_to_remember_is_kept_longer_and_not_forever() {
    let now = Instant::now();
    let mut schedule = by_host(limits(Some(6)));
    for host in 0..RESTING_KEPT + 100 {
        let url = format!("http://{host}.test/");
        schedule.admit(job(&url), now);
        assert_eq!(taken(&mut schedule, now), url);
        schedule.on_feedback(&url.parse().unwrap(), HostFeedback::Unreachable(refused()), now, now);
    }
    assert!((HOSTS_KEPT..=RESTING_KEPT + 2).contains(&schedule.by_host.len()));
}

#[test]
fn a_long_transfer_does_not_keep_its_host_from_being_probed() {
    let start = Instant::now();
    let mut schedule = by_host(limits(Some(6)));
    for path in 0..4 {
        schedule.admit(job(&format!("http://a.test/{path}")), start);
    }
    assert_eq!(taken(&mut schedule, start), "http://a.test/0", "this one takes very long");
    let later = start + SECOND;
    assert_eq!(taken(&mut schedule, later), "http://a.test/1");
    let url = "http://a.test/1".parse().unwrap();
    schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), later, later);
    assert_eq!(taken(&mut schedule, later), "http://a.test/2", "a probe");
    assert!(taken(&mut schedule, later).starts_with("wait"), "one at a time");
    schedule.on_feedback(
        &"http://a.test/2".parse().unwrap(),
        HostFeedback::Served(None),
        later,
        later,
    );
    assert_eq!(taken(&mut schedule, later), "http://a.test/3");
}

#[test]
fn a_host_that_has_just_replied_is_not_given_up_over_an_old_attempt() {
    let start = Instant::now();
    let mut schedule = by_host(HostLimits { patience: 5 * SECOND, ..limits(Some(6)) });
    for path in 0..3 {
        schedule.admit(job(&format!("http://a.test/{path}")), start);
    }
    assert_eq!(taken(&mut schedule, start), "http://a.test/0");
    assert_eq!(taken(&mut schedule, start), "http://a.test/1");
    let url = "http://a.test/0".parse().unwrap();
    schedule.on_feedback(&url, HostFeedback::Served(None), start, start + 9 * SECOND);
    let ten = start + 10 * SECOND;
    schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), start, ten);
    assert_eq!(taken(&mut schedule, ten), "http://a.test/2");
}

/// A schedule of hosts of which only a.test has to be looked up.
fn with_a_name() -> Scheduler {
    let hosts = HostPolicies {
        limits: Box::new(|_| limits(None)),
        name: Box::new(|url| (url.host_str() == Some("a.test")).then(|| "a.test".to_owned())),
        robots: RobotsPolicy::Ignored,
        longest_rest: LONGEST_REST,
    };
    Scheduler::new(hosts, JobOrder::RoundRobinByHost, CAPACITY, Duration::ZERO)
}

/// Addresses that end with these numbers.
fn addresses<const N: usize>(numbers: [u8; N]) -> Arc<[IpAddr]> {
    numbers.iter().map(|number| IpAddr::from([127, 0, 0, *number])).collect()
}

/// Where the next job of a.test is to go, at this moment; `None` if it waits.
fn destination(schedule: &mut Scheduler, now: Instant) -> Option<Arc<[IpAddr]>> {
    match schedule.next(&mut LastHost::default(), now) {
        NextJob::Job(job, _) => job.request.addresses.clone(),
        _ => None,
    }
}

fn no_answer() -> Result<Arc<[IpAddr]>, ResolveError> {
    let (host, reason) = ("a.test".to_owned(), "try again".to_owned());
    Err(ResolveError::Unavailable(Failure::Dns { host, reason }))
}

fn no_such_name() -> Result<Arc<[IpAddr]>, ResolveError> {
    let (host, reason) = ("a.test".to_owned(), "no such name".to_owned());
    Err(ResolveError::NoSuchName(Failure::Dns { host, reason }))
}

#[test]
fn a_name_is_looked_up_again_after_a_minute_and_stays_where_it_was_if_nobody_answers() {
    let start = Instant::now();
    let mut schedule = with_a_name();
    for number in 1..10 {
        schedule.admit(job(&format!("http://a.test/{number}")), start);
    }
    let looked_up = |schedule: &mut Scheduler| schedule.take_lookups().count();
    assert_eq!(looked_up(&mut schedule), 1);
    schedule.set_addresses("http://a.test", Ok(addresses([1])), start);
    let before = start + 59 * SECOND;
    assert_eq!(destination(&mut schedule, before), Some(addresses([1])));
    assert_eq!(looked_up(&mut schedule), 0);
    assert_eq!(schedule.next_alarm(), Some(start + 60 * SECOND));
    let mut now = start + 60 * SECOND;
    assert_eq!(destination(&mut schedule, now), None, "no answer is used for longer");
    assert_eq!(looked_up(&mut schedule), 1);
    schedule.set_addresses("http://a.test", Ok(addresses([2])), now);
    assert_eq!(destination(&mut schedule, now), Some(addresses([2])));
    for no_news in [no_answer(), no_such_name()] {
        now += 60 * SECOND;
        assert_eq!(destination(&mut schedule, now), None);
        assert_eq!(looked_up(&mut schedule), 1);
        schedule.set_addresses("http://a.test", no_news, now);
        assert_eq!(destination(&mut schedule, now), Some(addresses([2])));
    }
}

#[test]
fn a_host_that_cannot_be_reached_is_looked_up_again_and_one_that_has_moved_starts_afresh() {
    let start = Instant::now();
    let mut schedule = with_a_name();
    let url = "http://a.test/1".parse().unwrap();
    for number in 1..40 {
        schedule.admit(job(&format!("http://a.test/{number}")), start);
    }
    assert_eq!(schedule.take_lookups().count(), 1);
    schedule.set_addresses("http://a.test", Ok(addresses([1])), start);
    for _ in 0..20 {
        assert!(destination(&mut schedule, start).is_some());
    }
    let mut now = start + SECOND;
    schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), start, now);
    let lookup = schedule.take_lookups().next().unwrap();
    assert_eq!((lookup.name.as_str(), lookup.not_before), ("a.test", Some(now)));
    now += SECOND;
    schedule.set_addresses("http://a.test", Ok(addresses([1, 2])), now);
    for _ in 0..18 {
        schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), start, now);
        assert_eq!(schedule.take_lookups().count(), 0, "it was asked before the last lookup");
    }
    // Now it counts as one that cannot be reached, and is left alone for a while.
    assert_eq!(destination(&mut schedule, now), None);
    now += 8 * SECOND;
    assert_eq!(destination(&mut schedule, now), Some(addresses([1, 2])));
    schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), now, now);
    now += 8 * SECOND;
    assert_eq!(destination(&mut schedule, now), None);
    assert_eq!(schedule.take_lookups().count(), 1);
    schedule.set_addresses("http://a.test", Ok(addresses([3])), now);
    for _ in 0..3 {
        assert_eq!(destination(&mut schedule, now), Some(addresses([3])), "it has moved");
    }
}

#[test]
fn a_host_whose_addresses_were_found_again_is_not_looked_up_for_each_failure() {
    let start = Instant::now();
    let mut schedule = with_a_name();
    let url = "http://a.test/1".parse().unwrap();
    for number in 1..40 {
        schedule.admit(job(&format!("http://a.test/{number}")), start);
    }
    assert_eq!(schedule.take_lookups().count(), 1);
    schedule.set_addresses("http://a.test", Ok(addresses([1])), start);
    let fail = |schedule: &mut Scheduler, now: Instant| {
        assert!(destination(schedule, now).is_some());
        schedule.on_feedback(&url, HostFeedback::Unreachable(refused()), now, now);
        let lookups = schedule.take_lookups().count();
        schedule.set_addresses("http://a.test", Ok(addresses([1])), now);
        lookups
    };
    assert_eq!(fail(&mut schedule, start), 1);
    assert_eq!(fail(&mut schedule, start + SECOND), 0);
    assert_eq!(fail(&mut schedule, start + 6 * SECOND), 0, "it is left alone for a while");
    assert_eq!(destination(&mut schedule, start + 7 * SECOND), None);
    assert_eq!(schedule.take_lookups().count(), 1);
}

#[test]
fn what_one_host_s_name_came_to_is_not_carried_to_another() {
    let now = Instant::now();
    let mut schedule = with_a_name();
    schedule.admit(job("http://a.test/"), now);
    assert_eq!(schedule.take_lookups().count(), 1);
    schedule.set_addresses("http://a.test", Ok(Arc::from([[127, 0, 0, 1].into()])), now);
    let NextJob::Job(mut job, _) = schedule.next(&mut LastHost::default(), now) else { panic!() };
    assert!(job.request.addresses.is_some());
    job.request.url = "http://b.test/".parse().unwrap();
    schedule.resume(*job, now, now);
    let NextJob::Job(job, _) = schedule.next(&mut LastHost::default(), now) else { panic!() };
    assert_eq!(job.request.addresses, None);
}

#[test]
fn a_request_for_robots_txt_is_not_overtaken_by_what_waits_for_it() {
    let now = Instant::now();
    let hosts = HostPolicies {
        limits: Box::new(|_| HostLimits { gap: SECOND, ..limits(Some(1)) }),
        name: Box::new(|_| None),
        robots: RobotsPolicy::Obeyed,
        longest_rest: LONGEST_REST,
    };
    let mut schedule = Scheduler::new(hosts, JobOrder::RoundRobinByHost, CAPACITY, Duration::ZERO);
    schedule.admit(job("http://a.test/1"), now);
    let NextJob::Job(asking, _) = schedule.next(&mut LastHost::default(), now) else { panic!() };
    assert_eq!(asking.request.url.path(), "/robots.txt");
    schedule.on_feedback(&asking.request.url, HostFeedback::Served(None), now, now);
    schedule.resume(*asking, now, now);
    schedule.resume(job("http://a.test/hop"), now, now);
    assert_eq!(taken(&mut schedule, now), "wait 1000");
    assert_eq!(taken(&mut schedule, now + SECOND), "http://a.test/robots.txt");
    schedule.on_feedback(
        &"http://a.test/".parse().unwrap(),
        HostFeedback::Served(None),
        now,
        now + SECOND,
    );
    schedule.set_robots("http://a.test", robots::RobotsRules::everything(), 0, now + SECOND);
    assert_eq!(taken(&mut schedule, now + 2 * SECOND), "http://a.test/hop");
}

#[test]
fn what_hosts_allow_is_remembered_in_bounded_memory() {
    let now = Instant::now();
    let hosts = HostPolicies {
        limits: Box::new(|_| limits(None)),
        name: Box::new(|_| None),
        robots: RobotsPolicy::Obeyed,
        longest_rest: LONGEST_REST,
    };
    let mut schedule = Scheduler::new(hosts, JobOrder::RoundRobinByHost, CAPACITY, Duration::ZERO);
    for host in 0..100 {
        let url = format!("http://{host}.test/");
        schedule.admit(job(&url), now);
        assert_eq!(taken(&mut schedule, now), format!("{url}robots.txt"));
        let url = url.parse().unwrap();
        schedule.on_feedback(&url, HostFeedback::Served(None), now, now);
        let rules = robots::RobotsRules::parse(b"User-agent: *\nDisallow: /x\n", "fetch");
        schedule.set_robots(&host_of(&url), rules, robots::MAX_BYTES, now);
        assert!(schedule.rules_bytes <= RULES_KEPT);
        taken(&mut schedule, now);
        if host % 2 == 0 {
            schedule.on_feedback(&url, HostFeedback::Served(None), now, now);
        }
    }
}

#[test]
fn a_host_that_refuses_everything_is_taken_at_its_word_in_the_end() {
    let start = Instant::now();
    let mut schedule = by_host(limits(Some(6)));
    for path in 0..100 {
        schedule.admit(job(&format!("http://a.test/{path}")), start);
    }
    let (mut now, mut asked) = (start, 0);
    loop {
        match schedule.next(&mut LastHost::default(), now) {
            NextJob::Job(job, _) => {
                asked += 1;
                schedule.on_feedback(&job.request.url, HostFeedback::Refused(None), now, now);
                schedule.resume(*job, now, now);
            }
            NextJob::Wait(moment) => now = moment,
            NextJob::Failed(_, failure) => {
                assert_eq!(failure.class(), FailureClass::RateLimited);
                break;
            }
            NextJob::Nothing => panic!("there are jobs left"),
        }
    }
    assert!(
        now - start >= LONGEST_REST && now - start < LONGEST_REST + 60 * SECOND,
        "{:?}",
        now - start
    );
    assert!(asked < 40, "{asked} requests");
}

#[test]
fn rules_of_a_host_that_has_no_jobs_any_more_may_come_when_there_is_no_room_for_them() {
    let now = Instant::now();
    let hosts = HostPolicies {
        limits: Box::new(|_| limits(None)),
        name: Box::new(|_| None),
        robots: RobotsPolicy::Obeyed,
        longest_rest: LONGEST_REST,
    };
    let mut schedule = Scheduler::new(hosts, JobOrder::RoundRobinByHost, CAPACITY, Duration::ZERO);
    let rules = || robots::RobotsRules::parse(b"User-agent: *\nDisallow: /x\n", "fetch");
    for (host, is_busy) in [("http://busy.test", true), ("http://done.test", false)] {
        let url: Url = format!("{host}/").parse().unwrap();
        schedule.admit(job(url.as_str()), now);
        assert_eq!(taken(&mut schedule, now), format!("{host}/robots.txt"));
        if !is_busy {
            assert_eq!(schedule.drain().len(), 1);
        }
        schedule.on_feedback(&url, HostFeedback::Served(None), now, now);
        schedule.set_robots(host, rules(), RULES_KEPT / RULES_GROW, now);
        if is_busy {
            assert_eq!(taken(&mut schedule, now), url.as_str());
        }
    }
    assert!(schedule.rules_bytes <= RULES_KEPT);
}

/// What an origin made up by chance does with a request.
#[derive(Debug, Clone)]
enum HostFate {
    Serve,
    Refuse(Option<u64>),
    Break,
    Unreachable,
}

fn fate() -> impl Strategy<Value = HostFate> {
    prop_oneof![
        6 => Just(HostFate::Serve),
        1 => proptest::option::of(1u64..20).prop_map(HostFate::Refuse),
        1 => Just(HostFate::Break),
        1 => Just(HostFate::Unreachable),
    ]
}

/// A request that is under way in a story.
struct InProgress {
    job: QueuedJob,
    fate: HostFate,
    started: Instant,
    ends: Instant,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_limits_hold_waits_are_kept_and_each_target_settles_once(
        targets in proptest::collection::vec((0u8..5, fate(), 1u64..4000), 1..120),
        fates in proptest::collection::vec(fate(), 1..40),
        workers in 1usize..12,
        ceiling in proptest::option::of(1usize..5),
        gap in 0u64..300,
        order in proptest::bool::ANY,
    ) {
        let start = Instant::now();
        let limits = HostLimits {
            ceiling,
            gap: Duration::from_millis(gap),
            failures: 2,
            patience: 10 * SECOND,
        };
        let turns = if order { JobOrder::ListOrder } else { JobOrder::RoundRobinByHost };
        let mut schedule = schedule_with(turns, limits, Duration::ZERO);
        for (index, (host, _, _)) in targets.iter().enumerate() {
            schedule.admit(listed(&format!("http://{host}.test/{index}"), index as u64 + 1), start);
        }
        let mut now = start;
        let mut under_way: Vec<InProgress> = Vec::new();
        let mut settled = HashSet::new();
        let mut held: HashMap<String, Instant> = HashMap::new();
        let mut last_start: HashMap<String, Instant> = HashMap::new();
        let mut steps = 0;
        while settled.len() < targets.len() {
            steps += 1;
            prop_assert!(steps < 100_000, "no progress");
            let mut wake = None;
            while under_way.len() < workers {
                match schedule.next(&mut LastHost::default(), now) {
                    NextJob::Job(job, _) => {
                        let host = job.request.url.host_str().unwrap().to_owned();
                        let busy = under_way.iter().filter(|other| other.job.request.url.host_str() == Some(&host)).count();
                        prop_assert!(ceiling.is_none_or(|ceiling| busy < ceiling), "limit");
                        if let Some(until) = held.get(&host) {
                            prop_assert!(now >= *until, "a wait was cut short");
                        }
                        if let Some(last) = last_start.insert(host, now) {
                            prop_assert!(now - last >= limits.gap, "a gap was cut short");
                        }
                        let (_, first, takes) = &targets[job.request.target.index as usize - 1];
                        let later = fates[(job.request.target.index as usize + job.attempt as usize) % fates.len()].clone();
                        let fate = if job.attempt == 1 { first.clone() } else { later };
                        let ends = now + Duration::from_millis(*takes);
                        under_way.push(InProgress { job: *job, fate, started: now, ends });
                    }
                    NextJob::Failed(job, _) => prop_assert!(settled.insert(job.request.target.index), "settled twice"),
                    NextJob::Wait(moment) => {
                        prop_assert!(moment > now, "a wait for the past");
                        wake = Some(moment);
                        break;
                    }
                    NextJob::Nothing => break,
                }
            }
            let first = under_way.iter().map(|one| one.ends).min();
            let Some(moment) = [first, wake].into_iter().flatten().min() else {
                prop_assert!(settled.len() == targets.len(), "nobody will ever come for the rest");
                break;
            };
            now = moment;
            let (over, rest): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|one| one.ends <= now);
            under_way = rest;
            for InProgress { mut job, fate, started, .. } in over {
                let host = job.request.url.host_str().unwrap().to_owned();
                job.attempt += 1;
                let signal_of_last = fate.clone();
                let (feedback, due) = match fate {
                    HostFate::Serve => (HostFeedback::Served(None), None),
                    HostFate::Refuse(wait) => {
                        let wait = wait.map(Duration::from_secs);
                        if let Some(wait) = wait {
                            let until = held.entry(host).or_insert(now);
                            *until = (*until).max(now + wait);
                        }
                        (HostFeedback::Refused(wait), Some(now + wait.unwrap_or(SECOND)))
                    }
                    HostFate::Break => (HostFeedback::Strained, Some(now + SECOND)),
                    HostFate::Unreachable => (HostFeedback::Unreachable(refused()), Some(now)),
                };
                schedule.on_feedback(&job.request.url, feedback, started, now);
                match due.filter(|_| job.attempt < 10 || matches!(signal_of_last, HostFate::Unreachable)) {
                    None => prop_assert!(settled.insert(job.request.target.index), "settled twice"),
                    Some(due) => schedule.resume(job, due, now),
                }
            }
        }
        prop_assert!(matches!(schedule.next(&mut LastHost::default(), now), NextJob::Nothing | NextJob::Wait(_)));
        prop_assert_eq!(schedule.drain().len(), 0);
        prop_assert_eq!((schedule.job_count, schedule.text_bytes), (0, 0));
    }
}

#[test]
fn long_urls_fill_a_hosts_share_and_the_queue_by_their_bytes() {
    let now = Instant::now();
    let mut schedule = by_host(limits(None));
    let long = |host: &str, number: usize| format!("http://{host}/{number}{}", "x".repeat(60_000));
    let admit = |schedule: &mut Scheduler, host: &str| {
        let mut admitted = 0;
        while schedule.room(&long(host, 0).parse().unwrap()) == AdmitRoom::Queue {
            let job = QueuedJob::first(test_fixtures::target(&long(host, admitted)), None, now);
            schedule.admit(job, now);
            admitted += 1;
        }
        admitted
    };
    // Each has its URL twice.
    assert_eq!(admit(&mut schedule, "a.b"), 5);
    assert_eq!(schedule.room(&long("a.b", 0).parse().unwrap()), AdmitRoom::Spill);
    assert_eq!(admit(&mut schedule, "c.d"), 4, "the queue is full before that host has its share");
    assert_eq!(schedule.room(&"http://e.f/".parse().unwrap()), AdmitRoom::None);
    let mut last = LastHost::default();
    let taken = std::iter::from_fn(|| match schedule.next(&mut last, now) {
        NextJob::Job(job, _) => Some(job),
        _ => None,
    });
    assert_eq!(taken.count(), 9);
    assert_eq!((schedule.job_count, schedule.text_bytes), (0, 0));
}

#[test]
fn a_host_without_jobs_keeps_no_memory_for_them() {
    let now = Instant::now();
    let mut schedule = by_host(limits(None));
    schedule.admit(listed("http://a.b/", 1), now);
    let NextJob::Job(job, _) = schedule.next(&mut LastHost::default(), now) else {
        panic!("no job")
    };
    let slot = schedule.by_host["http://a.b"];
    assert!(schedule.queue(slot).ready.capacity() > 0, "it is in progress");
    schedule.on_feedback(&job.request.url, HostFeedback::Unreachable(refused()), now, now);
    assert_eq!(schedule.queue(slot).ready.capacity(), 0);
}
