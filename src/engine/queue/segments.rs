//! Segmented downloads: one target, several jobs, one record.
//!
//! The target's own job stays here while its segments are fetched as jobs of their own. Its way:
//!
//! ```text
//!            first reply                  last segment arrives
//!   own job ─────────────> Complete ───────────────────────────> Assemble job ──> record
//!                             │ a segment failed permanently, or does not fit the others;
//!                             │ jobs that wait are withdrawn, transfers are cancelled
//!                             v
//!                    Restart │ Failed
//!                             │ last segment is settled
//!                             v
//!             one stream     │ next mirror, or record
//! ```
//!
//! `outstanding` counts the segments in the scheduler or with a worker, and only at zero does the target go on: until
//! then a worker may still write to its partial file.

use std::collections::VecDeque;
use std::future::pending;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::{Queue, QueueState};
use crate::model::{
    Assembly, Attempt, AttemptTimings, ByteRanges, Event, ExpectedDigest, Failure, Job, JobKind,
    PartialBody, QueuedJob, ResponseHead, SharedRanges, StopCause,
};
use crate::policy::next_action::refuses_range;
use crate::policy::resume::begun_in_spans;
use crate::policy::segments::segments;
use crate::policy::{NextAction, segment_action_without_request};
use crate::scheduler::Scheduler;
use crate::sync::lock;

/// A target whose body is fetched in segments.
#[derive(Debug)]
pub(super) struct SegmentedDownload {
    /// The target's own job, which goes on once no segment is outstanding.
    job: QueuedJob,
    received: Arc<ReceivedRanges>,
    length: u64,
    /// The first reply that described the body.
    reply: Option<SegmentReply>,
    /// Segments that have not been requested.
    missing: VecDeque<Range<u64>>,
    /// Segments in the scheduler or with a worker.
    outstanding: usize,
    /// How long the segment that waited longest has waited between its attempts.
    longest_wait: Duration,
    outcome: SegmentedOutcome,
    /// Set to true to cancel the transfers of segments.
    cancelled: watch::Sender<bool>,
}

/// The byte ranges received by all segments of a target.
#[derive(Debug)]
struct ReceivedRanges(Mutex<ByteRanges>);

impl ReceivedRanges {
    fn snapshot(&self) -> ByteRanges {
        lock(&self.0).clone()
    }
}

impl SharedRanges for ReceivedRanges {
    fn add(
        &self,
        range: Range<u64>,
        record: &mut dyn FnMut(&ByteRanges) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut ranges = lock(&self.0);
        let mut with_this = ranges.clone();
        if with_this.add(range) {
            record(&with_this)?;
            *ranges = with_this;
        }
        Ok(())
    }
}

/// What a reply said of the body.
#[derive(Debug, Clone)]
struct SegmentReply {
    head: ResponseHead,
    claims: Vec<ExpectedDigest>,
    started: Instant,
    timings: AttemptTimings,
}

/// What becomes of a target once no segment is outstanding.
#[derive(Debug)]
enum SegmentedOutcome {
    /// Its segments are joined.
    Complete,
    /// It is fetched as one stream.
    Restart,
    /// A segment failed permanently: in this attempt, or without a request if there is none.
    Failed(Failure, Option<FailedAttempt>),
}

/// The attempt in which a segment failed permanently.
#[derive(Debug)]
struct FailedAttempt {
    started: Instant,
    attempt: Box<Attempt>,
}

/// What follows a settled segment: an event, and a job to be carried out at once.
pub(super) type SegmentOutcome = (Option<Event>, Option<Box<QueuedJob>>);

impl SegmentedDownload {
    /// The target of `job`, with the partial body `part`. If no byte is missing, the last one is requested again: the
    /// reply names the expected digests, and an earlier run may have been killed before it checked them.
    fn new(
        job: QueuedJob,
        part: &PartialBody,
        reply: Option<&Attempt>,
        state: &QueueState,
    ) -> Self {
        let length = part.length.unwrap_or(0);
        let received = part.spans.clone().unwrap_or_default();
        let missing = match received.missing(length) {
            none if none.is_empty() => Some(length.saturating_sub(1)..length).into_iter().collect(),
            missing => missing,
        };
        Self {
            received: Arc::new(ReceivedRanges(Mutex::new(received))),
            length,
            reply: reply.and_then(|attempt| SegmentReply::new(&job, attempt)),
            missing: segments(missing, state.split).into(),
            outstanding: 0,
            longest_wait: Duration::ZERO,
            outcome: SegmentedOutcome::Complete,
            cancelled: watch::Sender::new(false),
            job,
        }
    }

    /// The job of the next segment; `None` if all have been requested.
    fn next(&mut self) -> Option<QueuedJob> {
        let range = self.missing.pop_front()?;
        self.outstanding += 1;
        let mut request = self.job.request.clone();
        request.kind = JobKind::Segment { end: range.end };
        request.part =
            request.part.map(|part| PartialBody { bytes: range.start, spans: None, ..part });
        request.received = Some(Arc::clone(&self.received) as Arc<dyn SharedRanges>);
        Some(QueuedJob::with_no_history(request, self.job.queued))
    }

    /// Counts a segment's last attempt as the target's own.
    fn on_segment_done(&mut self, job: &QueuedJob, attempt: &Attempt) {
        self.outstanding -= 1;
        self.job.wire_bytes += job.wire_bytes + attempt.wire_bytes;
        self.job.attempt += job.attempt - 1;
        self.job.request.begun |= attempt.begun;
        self.set_first_started(job.first_started);
        self.add_to_log(job, 0);
        self.job.log.on_end(job.last_started + attempt.timings.total);
    }

    /// Counts a segment whose next attempt is not made.
    fn on_segment_skipped(&mut self, job: &QueuedJob) {
        self.outstanding -= 1;
        self.job.wire_bytes += job.wire_bytes;
        // A segment's first attempt is part of the target's current one; it counts from the second on.
        self.job.attempt += job.attempt.saturating_sub(2);
        self.set_first_started(job.first_started);
        self.add_to_log(job, 1);
    }

    fn add_to_log(&mut self, segment: &QueuedJob, without: usize) {
        self.job.log.add_segment(&segment.log, without);
        let longer = segment.log.waited().saturating_sub(self.longest_wait);
        self.longest_wait += longer;
        self.job.log.add_wait(longer);
    }

    fn set_first_started(&mut self, started: Option<(Instant, SystemTime)>) {
        self.job.first_started = self.job.first_started.into_iter().chain(started).min();
        if let Some((started, _)) = started {
            self.job.log.on_segment_start(started);
        }
    }

    /// The target's own job, with the bytes received by now as its partial body.
    fn into_job(self) -> QueuedJob {
        let mut job = self.job;
        let received = self.received.snapshot();
        job.request.part = job.request.part.map(|part| PartialBody {
            bytes: received.bytes(),
            spans: Some(received),
            ..part
        });
        job
    }

    /// The same, if the last segment to be settled made no request.
    fn into_unstarted_job(self) -> QueuedJob {
        let was_started = self.job.first_started.is_some();
        let mut job = self.into_job();
        // `QueuedJob::tries_before` takes the job's own try to be one that is still to be made.
        job.attempt += u32::from(was_started && job.hops == 0);
        job
    }

    /// The job that joins and verifies the segments; `None` if no reply described the body.
    fn assembly(&self) -> Option<Box<QueuedJob>> {
        let SegmentReply { head, claims, .. } = self.reply.clone()?;
        let mut job = self.job.clone();
        job.request.part = job.request.part.map(|part| PartialBody {
            bytes: self.length,
            spans: Some(self.received.snapshot()),
            ..part
        });
        job.request.kind = JobKind::Assemble(Arc::new(Assembly { head, claims }));
        Some(Box::new(job))
    }
}

impl SegmentReply {
    fn new(job: &QueuedJob, attempt: &Attempt) -> Option<Self> {
        let (head, claims) = (attempt.head.clone()?, attempt.claims.clone());
        Some(Self { head, claims, started: job.last_started, timings: attempt.timings })
    }
}

impl QueueState {
    /// Adds the first job of a target by `add`, or the jobs of its segments if its partial body is segmented.
    pub(super) fn push_job(
        &mut self,
        job: QueuedJob,
        now: Instant,
        add: fn(&mut Scheduler, QueuedJob, Instant),
    ) {
        if begun_in_spans(&job.request).is_none() {
            return add(&mut self.scheduler, job, now);
        }
        // `add` counts targets; the other segments are jobs of the same one.
        let mut segments = self.split(job, None).into_iter();
        segments.next().into_iter().for_each(|first| add(&mut self.scheduler, first, now));
        segments.for_each(|other| self.scheduler.admit(other, now));
    }

    /// Puts back a job that continues a target, in segments if its partial body is segmented.
    pub(super) fn resume(&mut self, job: QueuedJob, due: Instant, now: Instant) {
        match begun_in_spans(&job.request) {
            None => self.scheduler.resume(job, due, now),
            Some(_) => self.start_segments(job, None, due, now),
        }
    }

    /// Adds the first segments of a target; `reply` is the attempt that described its body, if one was made.
    pub(super) fn start_segments(
        &mut self,
        job: QueuedJob,
        reply: Option<&Attempt>,
        due: Instant,
        now: Instant,
    ) {
        // Jobs are put back at the front of their host's queue: the last one put back is taken first.
        for segment in self.split(job, reply).into_iter().rev() {
            self.scheduler.resume(segment, due, now);
        }
    }

    /// Registers a segmented download and returns the jobs of its first segments.
    fn split(&mut self, job: QueuedJob, reply: Option<&Attempt>) -> Vec<QueuedJob> {
        let index = job.request.target.index;
        let part = job.request.part.clone().expect("segments belong to a partial body");
        let mut download = SegmentedDownload::new(job, &part, reply, self);
        let most = self.split.most.get();
        let first = std::iter::from_fn(|| download.next()).take(most).collect();
        self.segmented.insert(index, download);
        first
    }

    /// The download that a segment belongs to.
    fn segmented_download(&mut self, job: &QueuedJob) -> &mut SegmentedDownload {
        let index = job.request.target.index;
        self.segmented.get_mut(&index).expect("it stays until no segment is outstanding")
    }

    /// Cancels the segments of a target: those that wait are withdrawn, transfers end by `segments_cancelled`. The first
    /// reason counts.
    fn cancel_segments(&mut self, job: &QueuedJob, outcome: SegmentedOutcome, now: Instant) {
        let Job { url, target, .. } = &job.request;
        let withdrawn = self.scheduler.withdraw(url, target.index, now);
        let download = self.segmented_download(job);
        withdrawn.iter().for_each(|job| download.on_segment_skipped(job));
        download.missing.clear();
        download.cancelled.send_replace(true);
        if let SegmentedOutcome::Complete = download.outcome {
            download.outcome = outcome;
        }
    }

    /// Turns the job that joined the segments back into the target's own, with the times of the whole download.
    pub(super) fn undo_assembly(&mut self, job: &mut QueuedJob, attempt: &mut Attempt) {
        job.request.kind = JobKind::Body;
        let download = self.segmented.remove(&job.request.target.index);
        let Some(reply) = download.and_then(|download| download.reply) else { return };
        let total = job.last_started.duration_since(reply.started) + attempt.timings.total;
        attempt.timings = AttemptTimings { total, ..reply.timings };
        job.last_started = reply.started;
    }

    /// The targets with outstanding segments when the run was stopped; `segments` are the jobs that no worker has.
    pub(super) fn merge(&mut self, segments: Vec<QueuedJob>) -> Vec<QueuedJob> {
        for job in &segments {
            self.segmented_download(job).on_segment_skipped(job);
        }
        self.segmented.drain().map(|(_, download)| download.into_unstarted_job()).collect()
    }
}

impl Queue {
    /// Resolves when the segment of this job is cancelled; never for a job of another kind.
    pub(crate) async fn segments_cancelled(&self, job: &QueuedJob) -> StopCause {
        let JobKind::Segment { .. } = job.request.kind else { return pending().await };
        let mut cancelled = self.lock().segmented_download(job).cancelled.subscribe();
        let is_cancelled = cancelled.wait_for(|cancelled| *cancelled).await.is_ok();
        if is_cancelled { StopCause::Sibling } else { pending().await }
    }

    /// Settles a segment. What follows is its next attempt, another segment or, after the last one, what becomes of
    /// the target.
    pub(super) fn settle_segment(
        &self,
        state: &mut QueueState,
        job: &QueuedJob,
        mut attempt: Box<Attempt>,
        action: NextAction,
        now: Instant,
    ) -> SegmentOutcome {
        let download = state.segmented_download(job);
        let is_wanted = matches!(download.outcome, SegmentedOutcome::Complete);
        if let (NextAction::Retry { .. }, true) = (&action, is_wanted) {
            return (self.apply_next_action(state, job, attempt, action, now), None);
        }
        download.on_segment_done(job, &attempt);
        match action {
            NextAction::Done => {
                download.reply = download.reply.take().or_else(|| SegmentReply::new(job, &attempt));
                if let Some(next) = download.next() {
                    state.scheduler.resume(next, now, now);
                }
            }
            // A server that fails on a segment may still serve the whole to one stream.
            NextAction::Failed(failure) if refuses_range(job, &attempt, &failure) => {
                state.cancel_segments(job, SegmentedOutcome::Restart, now);
            }
            NextAction::Failed(failure) | NextAction::Retry { failure, .. } => {
                // `on_segment_done` has counted them.
                attempt.wire_bytes = 0;
                let failed = FailedAttempt { started: job.last_started, attempt };
                let outcome = SegmentedOutcome::Failed(failure, Some(failed));
                state.cancel_segments(job, outcome, now);
            }
            NextAction::Restart(_) | NextAction::FollowRedirect { .. } | NextAction::Split(_) => {
                state.cancel_segments(job, SegmentedOutcome::Restart, now);
            }
        }
        self.join_segments(state, job, now)
    }

    /// Gives up a segment before its next attempt.
    pub(super) fn give_up_segment(
        &self,
        state: &mut QueueState,
        job: &QueuedJob,
        failure: Failure,
        now: Instant,
    ) -> Option<Event> {
        state.segmented_download(job).on_segment_skipped(job);
        state.cancel_segments(job, SegmentedOutcome::Failed(failure, None), now);
        self.join_segments(state, job, now).0
    }

    /// Goes on with a target if none of its segments is outstanding.
    fn join_segments(
        &self,
        state: &mut QueueState,
        job: &QueuedJob,
        now: Instant,
    ) -> SegmentOutcome {
        let download = state.segmented_download(job);
        if download.outstanding > 0 {
            return (None, None);
        }
        if let SegmentedOutcome::Complete = download.outcome {
            // It stays registered until the assembly is settled, which takes its times from here.
            return (None, download.assembly());
        }
        let index = job.request.target.index;
        let mut download = state.segmented.remove(&index).expect("it was just looked at");
        let outcome = std::mem::replace(&mut download.outcome, SegmentedOutcome::Complete);
        match outcome {
            SegmentedOutcome::Complete => (None, None),
            SegmentedOutcome::Restart => {
                let mut job = download.into_job();
                (job.request.part, job.request.in_one) = (None, true);
                state.resume(job, now, now);
                (None, None)
            }
            SegmentedOutcome::Failed(failure, Some(failed)) => {
                let FailedAttempt { started, mut attempt } = failed;
                let mut job = download.into_job();
                job.last_started = started;
                attempt.bytes = job.request.part.as_ref().map_or(0, |part| part.bytes);
                let action =
                    segment_action_without_request(&job, failure, &self.rules, fastrand::f64());
                (self.apply_next_action(state, &job, attempt, action, now), None)
            }
            SegmentedOutcome::Failed(failure, None) => {
                let action =
                    segment_action_without_request(&download.job, failure, &self.rules, 0.0);
                let job = download.into_unstarted_job();
                (self.apply_without_request(state, &job, action, now), None)
            }
        }
    }
}
