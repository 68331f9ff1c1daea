//! What follows an attempt: the end, a redirect's hop, the next mirror, or another try. Pure.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use url::Url;

use super::failure_traits::{is_local, is_transient};
use super::redirect::hop;
use super::resume::{RangeRequest, range_request};
use super::retry::{asked_by, backoff, is_not_reached, too_long};
use crate::model::{Attempt, AttemptOutcome, Failure, JobKind, PartialBody, QueuedJob};
use crate::plan::RetryOptions;

/// Attempts that bring bytes and use up no retry, for one target or segment.
const MAX_CONTINUED: u32 = 1000;

/// The limits of retries and redirects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryRules {
    /// What to do about transient failures.
    pub retry: RetryOptions,
    /// The most redirects to follow for one URL.
    pub max_redirects: u32,
}

/// What follows an attempt.
#[derive(Debug)]
pub(crate) enum NextAction {
    /// The body is whole, or the saved one is unchanged.
    Done,
    /// The target is requested as a whole: its partial body cannot be continued.
    Restart(QueuedJob),
    /// The target is requested in segments.
    Split(QueuedJob),
    /// The target failed permanently.
    Failed(Failure),
    /// A redirect is followed, after a wait if the server asked for one.
    FollowRedirect {
        /// The request to make.
        job: QueuedJob,
        /// How long it waits before it starts.
        wait: Duration,
    },
    /// The target is tried again, at the same URL or another mirror.
    Retry {
        /// The request to make.
        job: QueuedJob,
        /// How long it waits before it starts.
        wait: Duration,
        /// Why the last attempt failed.
        failure: Failure,
    },
}

/// Decides what follows `attempt` of `job`. `now` is the wall clock, for dates; `chance` is uniform in 0..1.
///
/// Mirrors are tried in rounds: each failure leads to the next mirror at once, and a round in which all mirrors failed is
/// followed by a back-off and another round, without the mirrors whose failure waiting does not mend.
///
/// If there is only one URL, an attempt that brought bytes that are kept is continued after the shortest back-off and
/// uses up no round: [`MAX_CONTINUED`] times at most, and not at all where retries are off. Another mirror could not
/// continue them.
///
/// Where a range was refused, the whole is requested once before anything else is given up for it.
pub(crate) fn next_action(
    job: &QueuedJob,
    attempt: &Attempt,
    rules: &RetryRules,
    now: SystemTime,
    chance: f64,
) -> NextAction {
    let continues = matches!(range_request(&job.request), RangeRequest::Rest(_));
    match &attempt.outcome {
        AttemptOutcome::Failed(failure)
            if continues && !is_transient(failure) && refuses_range(job, attempt, failure) =>
        {
            return NextAction::Restart(restarted_job(job, attempt));
        }
        _ => {}
    }
    match decide(job, attempt, rules, now, chance) {
        NextAction::Failed(failure) if continues && refuses_range(job, attempt, &failure) => {
            NextAction::Restart(restarted_job(job, attempt))
        }
        action => action,
    }
}

/// Whether a request for a range may have failed because it was for a range: an error status, or an exchange that ended
/// before any byte of the body. A server that asks for fewer requests is not asked again at once.
pub(crate) fn refuses_range(job: &QueuedJob, attempt: &Attempt, failure: &Failure) -> bool {
    match failure {
        Failure::Status(_) | Failure::ExplainedStatus { .. } => true,
        Failure::Reset(_)
        | Failure::Stalled(_)
        | Failure::Timeout(_)
        | Failure::Truncated { .. }
        | Failure::Protocol(_) => !has_progress(job, attempt),
        _ => false,
    }
}

/// Whether the attempt brought bytes that are kept, so that the next one has less to fetch.
fn has_progress(job: &QueuedJob, attempt: &Attempt) -> bool {
    length(&attempt.part) > length(&job.request.part)
}

fn length(part: &Option<PartialBody>) -> u64 {
    part.as_ref().map_or(0, |part| part.bytes)
}

fn decide(
    job: &QueuedJob,
    attempt: &Attempt,
    rules: &RetryRules,
    now: SystemTime,
    chance: f64,
) -> NextAction {
    let asked = asked_by(attempt, now);
    let failure = match &attempt.outcome {
        AttemptOutcome::Whole
        | AttemptOutcome::Unchanged
        | AttemptOutcome::Accepted
        | AttemptOutcome::Head => return NextAction::Done,
        AttemptOutcome::Failed(_) if is_all_there(job, attempt) => return NextAction::Done,
        AttemptOutcome::Restart => return NextAction::Restart(restarted_job(job, attempt)),
        AttemptOutcome::HeadRefused => {
            let mut next = restarted_job(job, attempt);
            next.request.head_refused = true;
            return NextAction::Restart(next);
        }
        AttemptOutcome::Divided => {
            let mut next = job.clone();
            carry_over(&mut next, attempt);
            return NextAction::Split(next);
        }
        AttemptOutcome::Redirect { location } => {
            let status = attempt.head.as_ref().map_or(0, |head| head.status);
            match hop(job, status, location.as_deref(), rules.max_redirects) {
                Ok(url) => match too_long(status, asked, &rules.retry) {
                    None => {
                        let wait = asked.map_or(Duration::ZERO, |asked| with_jitter(asked, chance));
                        return NextAction::FollowRedirect {
                            job: redirected_job(job, attempt, url),
                            wait,
                        };
                    }
                    Some(failure) => failure,
                },
                Err(failure) => failure,
            }
        }
        AttemptOutcome::Failed(
            failure @ (Failure::Status(status) | Failure::RateLimited { status, .. }),
        ) if is_transient(failure) => {
            too_long(*status, asked, &rules.retry).unwrap_or_else(|| failure.clone())
        }
        AttemptOutcome::Failed(failure) => failure.clone(),
    };
    if is_local(&failure) {
        return NextAction::Failed(failure);
    }
    let mut next = job.clone();
    carry_over(&mut next, attempt);
    let has_one_url = mirrors(job).len() == 1;
    if has_one_url && is_not_reached(attempt) && is_transient(&failure) && rules.retry.times > 0 {
        // Nothing was sent. How long to wait, and how many times to try, is up to the host's circuit breaker: the job is put
        // back without a wait and without using up a retry.
        next.failed = Some(failure.clone());
        next.attempt += 1;
        next.log.on_failure(failure.class());
        return NextAction::Retry { job: next, wait: Duration::ZERO, failure };
    }
    // A server that refuses ranges and breaks off at the same byte each time brings the same bytes again and again.
    let is_farther = has_progress(job, attempt) && length(&attempt.part) > job.most_kept;
    let continues = has_one_url && is_farther && is_transient(&failure);
    if continues && rules.retry.times > 0 && job.continued < MAX_CONTINUED {
        next.continued += 1;
        start_over_at(&mut next, job.request.mirror, &failure);
        return NextAction::Retry {
            job: next,
            wait: backoff(rules.retry.base, 1, chance),
            failure,
        };
    }
    after_failure(job, next, failure, asked, rules, chance)
}

/// Whether a segment has all its bytes, whether or not the message that brought them ended properly.
fn is_all_there(job: &QueuedJob, attempt: &Attempt) -> bool {
    match (&job.request.kind, &attempt.part) {
        (JobKind::Segment { end }, Some(part)) => part.bytes == *end,
        _ => false,
    }
}

/// What follows when `job` is given up before its request: the next mirror, or the end. The target's own earlier failure
/// is reported in preference to that of the host.
pub(crate) fn action_without_request(
    job: &QueuedJob,
    failure: Failure,
    rules: &RetryRules,
    chance: f64,
) -> NextAction {
    let failure = job.failed.clone().unwrap_or(failure);
    let mut next = job.clone();
    next.dead_mirrors.push(job.request.mirror);
    // The try that this job counts is not made.
    next.attempt = job.tries_before();
    after_failure(job, next, failure, None, rules, chance)
}

/// What follows when a segment of the body of `job` has failed permanently: the next mirror, or the end.
pub(crate) fn segment_action_without_request(
    job: &QueuedJob,
    failure: Failure,
    rules: &RetryRules,
    chance: f64,
) -> NextAction {
    if is_local(&failure) {
        return NextAction::Failed(failure);
    }
    let mut next = job.clone();
    next.dead_mirrors.push(job.request.mirror);
    after_failure(job, next, failure, None, rules, chance)
}

fn after_failure(
    job: &QueuedJob,
    mut next: QueuedJob,
    failure: Failure,
    asked: Option<Duration>,
    rules: &RetryRules,
    chance: f64,
) -> NextAction {
    match failure {
        // It may have been damaged in transit: the same mirror is tried once more.
        Failure::Checksum { .. } if job.mismatches == 0 => next.mismatches += 1,
        // A mirror that is not tried again does not decide when the others are: its Retry-After is ignored.
        _ if !is_transient(&failure) => next.dead_mirrors.push(job.request.mirror),
        Failure::Status(_) | Failure::RateLimited { .. } => {
            next.asked_wait = next.asked_wait.max(asked);
        }
        _ => {}
    }
    let alive = |mirror: &usize| !next.dead_mirrors.contains(mirror);
    let mut mirrors = mirrors(job);
    if let Some(mirror) = (job.request.mirror + 1..mirrors.end).find(alive) {
        start_over_at(&mut next, mirror, &failure);
        return NextAction::Retry { job: next, wait: Duration::ZERO, failure };
    }
    let Some(mirror) = mirrors.find(alive).filter(|_| job.round < rules.retry.times) else {
        return NextAction::Failed(failure);
    };
    next.round += 1;
    let wait = match next.asked_wait.take() {
        Some(asked) => with_jitter(asked, chance),
        None => backoff(rules.retry.base, next.round, chance),
    };
    start_over_at(&mut next, mirror, &failure);
    NextAction::Retry { job: next, wait, failure }
}

/// The wait that a server asked for, with jitter that only adds: up to a tenth, at most a second.
fn with_jitter(asked: Duration, chance: f64) -> Duration {
    asked + (asked / 10).min(Duration::from_secs(1)).mul_f64(chance)
}

fn restarted_job(job: &QueuedJob, attempt: &Attempt) -> QueuedJob {
    let mut next = job.clone();
    carry_over(&mut next, attempt);
    next.request.part = None;
    next
}

fn redirected_job(job: &QueuedJob, attempt: &Attempt, url: Url) -> QueuedJob {
    let mut next = job.clone();
    next.request.url = url;
    next.request.head_refused = false;
    next.hops += 1;
    carry_over(&mut next, attempt);
    next
}

/// Makes `next` a new try at a mirror, after a failed one. A segment stays with the URL that the other segments come from.
fn start_over_at(next: &mut QueuedJob, mirror: usize, failure: &Failure) {
    next.log.on_failure(failure.class());
    next.attempt += 1;
    if let JobKind::Segment { .. } = next.request.kind {
        return;
    }
    next.request.url = next.request.target.urls[mirror].clone();
    next.request.mirror = mirror;
    next.request.head_refused = false;
    (next.hops, next.cookies) = (0, None);
}

/// The positions of the mirrors at which `job` may be tried.
fn mirrors(job: &QueuedJob) -> Range<usize> {
    match job.request.kind {
        JobKind::Segment { .. } => job.request.mirror..job.request.mirror + 1,
        _ => 0..job.request.target.urls.len(),
    }
}

fn carry_over(next: &mut QueuedJob, attempt: &Attempt) {
    next.failed = None;
    let kept = length(&next.request.part).max(length(&attempt.part));
    next.most_kept = next.most_kept.max(kept);
    next.request.part.clone_from(&attempt.part);
    next.request.begun |= attempt.begun;
    next.wire_bytes += attempt.wire_bytes;
    next.log.on_end(next.last_started + attempt.timings.total);
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Instant;

    use super::*;
    use crate::model::{
        AttemptTimings, EntryOptions, Job, ResponseHead, StopCause, Target, Validator,
    };

    pub(crate) fn job(urls: &str) -> Job {
        queued_job(urls).request
    }

    pub(crate) fn queued_job(urls: &str) -> QueuedJob {
        let urls = urls.split_whitespace().map(|url| url.parse().unwrap()).collect();
        let options = EntryOptions::default();
        QueuedJob::first(
            Target { index: 1, source: "list".into(), line: Some(1), listed: None, urls, options },
            None,
            Instant::now(),
        )
    }

    fn attempt(ending: AttemptOutcome, retry_after: Option<&str>) -> Attempt {
        let head =
            ResponseHead { retry_after: retry_after.map(str::to_owned), ..ResponseHead::default() };
        let phases = AttemptTimings { connect: None, first_byte: None, total: Duration::ZERO };
        Attempt {
            outcome: ending,
            head: Some(head),
            bytes: 0,
            wire_bytes: 7,
            text: None,
            begun: false,
            part: None,
            name: None,
            digests: Vec::new(),
            claims: Vec::new(),
            timings: phases,
            heads: Vec::new(),
            set_cookies: Vec::new(),
            exchange: None,
            head_by: None,
            worker: 1,
        }
    }

    fn failed(failure: Failure) -> Attempt {
        attempt(AttemptOutcome::Failed(failure), None)
    }

    fn rules(times: u32) -> RetryRules {
        let retry = RetryOptions {
            times,
            base: Duration::from_secs(1),
            max_retry_after: Duration::from_secs(600),
        };
        RetryRules { retry, max_redirects: 10 }
    }

    fn judge(job: &QueuedJob, attempt: &Attempt, times: u32) -> NextAction {
        next_action(job, attempt, &rules(times), SystemTime::UNIX_EPOCH, 0.5)
    }

    /// An attempt that is cut off with this much of the body on disk.
    fn cut_at(bytes: u64) -> Attempt {
        let part = PartialBody {
            bytes,
            spans: None,
            length: None,
            validator: Validator::Etag("\"v1\"".into()),
            mirror: 0,
            from: "http://a.test/".into(),
        };
        Attempt { part: Some(part), ..failed(reset()) }
    }

    #[test]
    fn attempts_that_bring_bytes_use_up_no_retry_but_are_bounded() {
        let mut current = queued_job("http://a.test/");
        let mut bytes = 0;
        let mut continued = 0;
        while let NextAction::Retry { job, wait, .. } = judge(&current, &cut_at(bytes + 1), 1) {
            if job.round > 0 {
                break;
            }
            assert_eq!((job.attempt, wait), (continued + 2, Duration::from_millis(500)));
            (current, bytes, continued) = (job, bytes + 1, continued + 1);
        }
        assert_eq!(continued, MAX_CONTINUED);
    }

    #[test]
    fn attempts_that_bring_nothing_use_up_retries_between_those_that_do() {
        let mut current = queued_job("http://a.test/");
        let mut rounds = Vec::new();
        for bytes in [10, 10, 20, 20, 20] {
            match judge(&current, &cut_at(bytes), 2) {
                NextAction::Retry { job, .. } => current = job,
                // The range may be what the server dislikes: the whole is asked for once.
                NextAction::Restart(_) => break,
                other => panic!("{other:?}"),
            }
            rounds.push(current.round);
        }
        assert_eq!(rounds, [0, 1, 1, 2]);
        let action = judge(&queued_job("http://a.test/"), &cut_at(10), 0);
        assert!(matches!(action, NextAction::Failed(_)), "--retry 0 is none at all: {action:?}");
    }

    #[test]
    fn bytes_that_were_given_up_and_come_again_are_no_progress() {
        let mut current = queued_job("http://a.test/");
        let mut restarts = 0;
        let action = (0..10).find_map(|_| match judge(&current, &cut_at(10), 2) {
            NextAction::Retry { job, .. } => {
                current = job;
                None
            }
            NextAction::Restart(job) => {
                restarts += 1;
                current = job;
                None
            }
            action => Some(action),
        });
        assert!(matches!(action, Some(NextAction::Failed(_))), "it goes on: {action:?}");
        assert_eq!((restarts, current.continued), (1, 1));
    }

    fn reset() -> Failure {
        Failure::Reset("x".into())
    }

    #[test]
    fn a_transient_failure_is_tried_again_as_often_as_allowed() {
        let mut current = queued_job("http://a.test/");
        for round in 1..=3 {
            match judge(&current, &failed(reset()), 3) {
                NextAction::Retry { job, .. } => current = job,
                other => panic!("round {round}: {other:?}"),
            }
        }
        assert_eq!((current.attempt, current.wire_bytes), (4, 21));
        assert!(matches!(judge(&current, &failed(reset()), 3), NextAction::Failed(_)));
    }

    #[test]
    fn a_lasting_failure_is_final_at_once() {
        let action = judge(&queued_job("http://a.test/"), &failed(Failure::Status(404)), 3);
        assert!(matches!(action, NextAction::Failed(Failure::Status(404))));
    }

    #[test]
    fn a_failed_mirror_leads_to_the_next_one_without_a_wait() {
        let first = queued_job("http://a.test/ http://b.test/");
        let NextAction::Retry { job: second, wait, .. } =
            judge(&first, &failed(Failure::Status(404)), 3)
        else {
            panic!()
        };
        assert_eq!((second.request.url.as_str(), wait), ("http://b.test/", Duration::ZERO));
        let NextAction::Retry { job: third, wait, .. } = judge(&second, &failed(reset()), 3) else {
            panic!()
        };
        assert_eq!(
            third.request.url.as_str(),
            "http://b.test/",
            "the mirror that answered 404 is left out"
        );
        assert_eq!(wait, Duration::from_millis(500));
    }

    #[test]
    fn a_target_whose_mirrors_all_failed_for_good_is_done() {
        let first = queued_job("http://a.test/ http://b.test/");
        let NextAction::Retry { job: second, .. } = judge(&first, &failed(Failure::Status(404)), 3)
        else {
            panic!()
        };
        assert!(matches!(
            judge(&second, &failed(Failure::Status(410)), 3),
            NextAction::Failed(Failure::Status(410))
        ));
    }

    #[test]
    fn retry_after_is_never_undercut_and_jitter_only_adds() {
        let busy = attempt(AttemptOutcome::Failed(Failure::Status(503)), Some("5"));
        let NextAction::Retry { wait, .. } = judge(&queued_job("http://a.test/"), &busy, 3) else {
            panic!()
        };
        assert_eq!(wait, Duration::from_millis(5250));
    }

    #[test]
    fn a_server_that_asks_for_too_long_a_wait_ends_the_target_as_rate_limited() {
        for ending in [
            AttemptOutcome::Failed(Failure::Status(503)),
            AttemptOutcome::Failed(Failure::RateLimited { status: 429, wait: None }),
            AttemptOutcome::Redirect { location: Some(b"/x".to_vec()) },
        ] {
            let action = judge(&queued_job("http://a.test/"), &attempt(ending, Some("601")), 3);
            assert!(
                matches!(action, NextAction::Failed(Failure::RateLimited { wait: Some(_), .. })),
                "{action:?}"
            );
        }
    }

    #[test]
    fn a_wait_that_is_too_long_is_kept_out_whatever_carries_it() {
        let day = Some("86400");
        for status in [408, 500, 502] {
            let busy = attempt(AttemptOutcome::Failed(Failure::Status(status)), day);
            let action = judge(&queued_job("http://a.test/"), &busy, 3);
            assert!(matches!(action, NextAction::Failed(Failure::RateLimited { .. })), "{status}");
        }
        let cut = attempt(AttemptOutcome::Failed(reset()), day);
        let NextAction::Retry { wait, .. } = judge(&queued_job("http://a.test/"), &cut, 3) else {
            panic!()
        };
        assert_eq!(wait, Duration::from_millis(500), "a reply that broke off asked for nothing");
    }

    #[test]
    fn a_mirror_that_is_given_up_has_no_say_in_when_the_others_are_tried_again() {
        let mirrors = queued_job("http://a.test/ http://b.test/");
        for status in [404, 503] {
            let given_up = attempt(AttemptOutcome::Failed(Failure::Status(status)), Some("86400"));
            let NextAction::Retry { job: second, .. } = judge(&mirrors, &given_up, 3) else {
                panic!()
            };
            let NextAction::Retry { job: third, wait, .. } = judge(&second, &failed(reset()), 3)
            else {
                panic!()
            };
            let (url, wait) = (third.request.url.as_str(), wait.as_millis());
            assert_eq!((url, wait), ("http://b.test/", 500), "{status}");
        }
    }

    #[test]
    fn a_redirect_is_a_job_of_its_own_within_the_same_try() {
        let redirect = attempt(AttemptOutcome::Redirect { location: Some(b"/x".to_vec()) }, None);
        let NextAction::FollowRedirect { job, wait } =
            judge(&queued_job("http://a.test/"), &redirect, 0)
        else {
            panic!()
        };
        assert_eq!((job.request.url.as_str(), job.hops, job.attempt), ("http://a.test/x", 1, 1));
        assert_eq!((wait, job.wire_bytes), (Duration::ZERO, 7));
    }

    #[test]
    fn a_retry_starts_again_at_the_listed_url() {
        let mut hopped = queued_job("http://a.test/");
        hopped.request.url = "http://b.test/".parse().unwrap();
        hopped.hops = 1;
        let NextAction::Retry { job, .. } = judge(&hopped, &failed(reset()), 3) else { panic!() };
        assert_eq!((job.request.url.as_str(), job.hops), ("http://a.test/", 0));
    }

    #[test]
    fn what_this_run_or_machine_refuses_is_tried_at_no_other_mirror() {
        for failure in [
            Failure::Cancelled(StopCause::Deadline),
            Failure::Quota { limit: 1 },
            Failure::Disk("full".into()),
            Failure::Name("taken".into()),
        ] {
            let action = judge(&queued_job("http://a.test/ http://b.test/"), &failed(failure), 3);
            assert!(matches!(action, NextAction::Failed(_)), "{action:?}");
        }
    }

    #[test]
    fn a_body_with_the_wrong_checksum_is_asked_for_once_more_and_then_no_more() {
        let wrong = || Failure::Checksum {
            algorithm: "md5",
            claimed_by: "the list".into(),
            expected: "0".into(),
            actual: "1".into(),
        };
        let NextAction::Retry { job: second, .. } =
            judge(&queued_job("http://a.test/"), &failed(wrong()), 3)
        else {
            panic!()
        };
        assert!(matches!(judge(&second, &failed(wrong()), 3), NextAction::Failed(_)));
    }
}
