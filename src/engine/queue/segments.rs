//! Bodies that come in segments: several jobs, and one row. While segments are out, the target's own job waits here.

use std::collections::VecDeque;
use std::future::pending;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;

use super::{Queue, QueueState};
use crate::model::{
    Assembly, Attempt, AttemptTimings, Event, ExpectedDigest, Failure, Job, JobKind, PartialBody,
    ResponseHead, SharedRanges, StopCause,
};
use crate::policy::resume::begun_in_spans;
use crate::policy::segments::segments;
use crate::policy::{NextAction, segment_action_without_request};
use crate::scheduler::Scheduler;

/// A target whose body comes in segments.
#[derive(Debug)]
pub(super) struct SegmentedDownload {
    /// Its job, which goes on when no segment is out any more.
    job: Job,
    held: Arc<SharedRanges>,
    length: u64,
    told: Option<SegmentReply>,
    /// Segments that nobody was asked for so far.
    missing: VecDeque<Range<u64>>,
    /// Segments in the schedule or under way.
    out: usize,
    fate: SegmentedOutcome,
    /// Whether those under way are still wanted.
    wanted: watch::Sender<bool>,
}

/// What a reply told of the body.
#[derive(Debug, Clone)]
struct SegmentReply {
    head: ResponseHead,
    claims: Vec<ExpectedDigest>,
    phases: AttemptTimings,
}

/// What is to become of a target once no segment is out.
#[derive(Debug)]
enum SegmentedOutcome {
    /// Its segments are put together.
    Whole,
    /// It is asked for in one.
    Restart,
    /// A segment failed for good, be it in this attempt.
    Failed(Failure, Option<Box<Attempt>>),
}

/// What a settled job leads to.
pub(super) type SegmentOutcome = (Option<Event>, Option<Box<Job>>);

impl SegmentedDownload {
    /// The target of `job`, whose `part` was begun in several places. Where nothing is missing its last byte is asked for
    /// again: the reply says what it must hash to, and the run that had it may have been killed before it looked at that.
    fn new(job: Job, part: &PartialBody, told: Option<&Attempt>, state: &QueueState) -> Self {
        let length = part.length.unwrap_or(0);
        let spans = part.spans.clone().unwrap_or_default();
        let missing = match spans.missing(length) {
            none if none.is_empty() => Some(length.saturating_sub(1)..length).into_iter().collect(),
            missing => missing,
        };
        Self {
            held: Arc::new(Mutex::new(spans)),
            length,
            told: told.and_then(SegmentReply::from_attempt),
            missing: segments(missing, state.split).into(),
            out: 0,
            fate: SegmentedOutcome::Whole,
            wanted: watch::Sender::new(true),
            job,
        }
    }

    /// The job of the next segment, if it is time for one.
    fn next(&mut self) -> Option<Job> {
        let span = self.missing.pop_front()?;
        self.out += 1;
        let part = self.job.part.clone()?;
        Some(Job {
            kind: JobKind::Segment { end: span.end },
            part: Some(PartialBody { bytes: span.start, spans: None, ..part }),
            held: Some(Arc::clone(&self.held)),
            hops: 0,
            attempt: 1,
            round: 0,
            mismatches: 0,
            wire_bytes: 0,
            started: None,
            failed: None,
            dead_mirrors: Vec::new(),
            asked_wait: None,
            ..self.job.clone()
        })
    }

    /// A segment is not out any more: this is its last attempt.
    fn on_segment_done(&mut self, job: &Job, attempt: &Attempt) {
        self.out -= 1;
        self.job.wire_bytes += job.wire_bytes + attempt.wire_bytes;
        self.job.attempt += job.attempt - 1;
        self.job.begun |= attempt.begun;
        let begun = job.started.unwrap_or((attempt.timings.started, attempt.timings.started_at));
        self.set_started(begun);
    }

    /// The same of a segment whose next attempt was not begun.
    fn on_segment_skipped(&mut self, job: &Job) {
        self.out -= 1;
        self.job.wire_bytes += job.wire_bytes;
        // Its first attempt is the target's own; it counts from the second on.
        self.job.attempt += job.attempt.saturating_sub(2);
        job.started.into_iter().for_each(|begun| self.set_started(begun));
    }

    fn set_started(&mut self, begun: (Instant, std::time::SystemTime)) {
        let first = self.job.started.get_or_insert(begun);
        *first = (*first).min(begun);
    }

    /// The target's job with what there is of the body by now.
    fn into_job(self) -> Job {
        let mut job = self.job;
        let spans = self.held.lock().expect("no holder panics").clone();
        job.part =
            job.part.map(|part| PartialBody { bytes: spans.bytes(), spans: Some(spans), ..part });
        job
    }

    /// The same where no request for the target is under way, nor was one the last to be settled.
    fn into_unasked_job(self) -> Job {
        let was_asked_for = self.job.started.is_some();
        let mut job = self.into_job();
        // Whoever tells of it takes its next try to be still to come.
        job.attempt += u32::from(was_asked_for && job.hops == 0);
        job
    }

    /// The target's job where all segments are in.
    fn assembly(&self) -> Option<Box<Job>> {
        let SegmentReply { head, claims, .. } = self.told.clone()?;
        let (mut job, length) = (self.job.clone(), self.length);
        let spans = self.held.lock().expect("no holder panics").clone();
        job.part = job.part.map(|part| PartialBody { bytes: length, spans: Some(spans), ..part });
        job.kind = JobKind::Assemble(Arc::new(Assembly { head, claims }));
        Some(Box::new(job))
    }
}

impl SegmentReply {
    fn from_attempt(attempt: &Attempt) -> Option<Self> {
        let head = attempt.head.clone()?;
        Some(Self { head, claims: attempt.claims.clone(), phases: attempt.timings })
    }
}

impl QueueState {
    /// Brings the first job of a target, or those of its segments, if it was begun in several places.
    pub(super) fn push_job(
        &mut self,
        job: Job,
        now: Instant,
        bring: fn(&mut Scheduler, Job, Instant),
    ) {
        if begun_in_spans(&job).is_none() {
            return bring(&mut self.schedule, job, now);
        }
        let mut segments = self.split(job, None).into_iter();
        segments.next().into_iter().for_each(|first| bring(&mut self.schedule, first, now));
        segments.for_each(|other| self.schedule.admit(other, now));
    }

    /// Puts back a job that continues what was begun, in segments if that was in several places.
    pub(super) fn resume(&mut self, job: Job, due: Instant, now: Instant) {
        match begun_in_spans(&job) {
            None => self.schedule.resume(job, due, now),
            Some(_) => self.start_segments(job, None, due, now),
        }
    }

    /// Asks for the segments of a target; `told` is the attempt that told of it.
    pub(super) fn start_segments(
        &mut self,
        job: Job,
        told: Option<&Attempt>,
        due: Instant,
        now: Instant,
    ) {
        // The last one that is put back is the first that is taken.
        for segment in self.split(job, told).into_iter().rev() {
            self.schedule.resume(segment, due, now);
        }
    }

    fn split(&mut self, job: Job, told: Option<&Attempt>) -> Vec<Job> {
        let index = job.target.index;
        let part = job.part.clone().expect("it is what there is to be divided");
        let mut division = SegmentedDownload::new(job, &part, told, self);
        let most = self.split.most.get();
        let first = std::iter::from_fn(|| division.next()).take(most).collect();
        self.divisions.insert(index, division);
        first
    }

    /// The division that a segment belongs to.
    fn segmented_download(&mut self, job: &Job) -> &mut SegmentedDownload {
        self.divisions.get_mut(&job.target.index).expect("it stays until no segment is out")
    }

    /// Nobody waits for the segments of a target any more.
    fn cancel_segments(&mut self, job: &Job, fate: SegmentedOutcome, now: Instant) {
        let gone = self.schedule.withdraw(&job.url, job.target.index, now);
        let division = self.segmented_download(job);
        gone.iter().for_each(|job| division.on_segment_skipped(job));
        division.missing.clear();
        division.wanted.send_replace(false);
        if let SegmentedOutcome::Whole = division.fate {
            division.fate = fate;
        }
    }

    /// Makes a target's own job of one whose segments were put together, and its last attempt of the one that did.
    pub(super) fn undo_assembly(&mut self, job: &mut Job, attempt: &mut Attempt) {
        job.kind = JobKind::Body;
        let division = self.divisions.remove(&job.target.index);
        let Some(SegmentReply { phases, .. }) = division.and_then(|division| division.told) else {
            return;
        };
        let total = attempt.timings.started.duration_since(phases.started) + attempt.timings.total;
        attempt.timings = AttemptTimings { total, ..phases };
    }

    /// The targets whose segments were not all in when the run was stopped; `segments` are those that nobody works on.
    pub(super) fn merge(&mut self, segments: Vec<Job>) -> Vec<Job> {
        for job in &segments {
            self.segmented_download(job).on_segment_skipped(job);
        }
        self.divisions.drain().map(|(_, division)| division.into_unasked_job()).collect()
    }
}

impl Queue {
    /// Waits until the segment that this job is for is not wanted any more, if it is for one.
    pub async fn segments_cancelled(&self, job: &Job) -> StopCause {
        let JobKind::Segment { .. } = job.kind else { return pending().await };
        let mut wanted = self.lock().segmented_download(job).wanted.subscribe();
        let is_called_off = wanted.wait_for(|wanted| !wanted).await.is_ok();
        if is_called_off { StopCause::Sibling } else { pending().await }
    }

    /// Settles a segment: its next attempt, another segment or, with the last one, what becomes of the target.
    pub(super) fn settle_segment(
        &self,
        state: &mut QueueState,
        job: &Job,
        mut attempt: Attempt,
        action: NextAction,
        now: Instant,
    ) -> SegmentOutcome {
        let is_wanted = matches!(state.segmented_download(job).fate, SegmentedOutcome::Whole);
        if let (NextAction::Retry { .. }, true) = (&action, is_wanted) {
            return (self.apply_next_action(state, job, &attempt, action, now), None);
        }
        let division = state.segmented_download(job);
        division.on_segment_done(job, &attempt);
        match action {
            NextAction::Done => {
                division.told =
                    division.told.take().or_else(|| SegmentReply::from_attempt(&attempt));
                if let Some(next) = division.next() {
                    state.schedule.resume(next, now, now);
                }
            }
            NextAction::Failed(failure) | NextAction::Retry { failure, .. } => {
                attempt.wire_bytes = 0;
                let fate = SegmentedOutcome::Failed(failure, Some(Box::new(attempt)));
                state.cancel_segments(job, fate, now);
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
        job: &Job,
        failure: Failure,
        now: Instant,
    ) -> Option<Event> {
        state.segmented_download(job).on_segment_skipped(job);
        state.cancel_segments(job, SegmentedOutcome::Failed(failure, None), now);
        self.join_segments(state, job, now).0
    }

    /// Goes on with a target if none of its segments is out.
    fn join_segments(&self, state: &mut QueueState, job: &Job, now: Instant) -> SegmentOutcome {
        let division = state.segmented_download(job);
        if division.out > 0 {
            return (None, None);
        }
        if let SegmentedOutcome::Whole = division.fate {
            return (None, division.assembly());
        }
        let index = job.target.index;
        let mut division = state.divisions.remove(&index).expect("it was just looked at");
        let fate = std::mem::replace(&mut division.fate, SegmentedOutcome::Whole);
        match fate {
            SegmentedOutcome::Whole => (None, None),
            SegmentedOutcome::Restart => {
                let job = Job { part: None, in_one: true, ..division.into_job() };
                state.resume(job, now, now);
                (None, None)
            }
            SegmentedOutcome::Failed(failure, Some(mut attempt)) => {
                let job = division.into_job();
                attempt.bytes = job.part.as_ref().map_or(0, |part| part.bytes);
                let action =
                    segment_action_without_request(&job, failure, &self.rules, fastrand::f64());
                (self.apply_next_action(state, &job, &attempt, action, now), None)
            }
            SegmentedOutcome::Failed(failure, None) => {
                let action =
                    segment_action_without_request(&division.job, failure, &self.rules, 0.0);
                let job = division.into_unasked_job();
                (self.apply_without_request(state, &job, action, now), None)
            }
        }
    }
}
