//! Bodies that come in segments: several jobs, and one row. While segments are out, the target's own job waits here.

use std::collections::VecDeque;
use std::future::pending;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;

use super::{Queue, State};
use crate::policy::resume::begun_in_spans;
use crate::policy::segments::segments;
use crate::policy::{Schedule, Verdict, segment_given_up};
use crate::record::{
    Attempt, Cause, Claimed, Event, Failure, Head, Held, Job, Part, Phases, Purpose, Seal,
};

/// A target whose body comes in segments.
#[derive(Debug)]
pub(super) struct Division {
    /// Its job, which goes on when no segment is out any more.
    job: Job,
    held: Arc<Held>,
    length: u64,
    told: Option<Told>,
    /// Segments that nobody was asked for so far.
    missing: VecDeque<Range<u64>>,
    /// Segments in the schedule or under way.
    out: usize,
    fate: Fate,
    /// Whether those under way are still wanted.
    wanted: watch::Sender<bool>,
}

/// What a reply told of the body.
#[derive(Debug, Clone)]
struct Told {
    head: Head,
    claims: Vec<Claimed>,
    phases: Phases,
}

/// What is to become of a target once no segment is out.
#[derive(Debug)]
enum Fate {
    /// Its segments are put together.
    Whole,
    /// It is asked for in one.
    Anew,
    /// A segment failed for good, be it in this attempt.
    Failed(Failure, Option<Box<Attempt>>),
}

/// What a settled job leads to.
pub(super) type Outcome = (Option<Event>, Option<Box<Job>>);

impl Division {
    /// The target of `job`, whose `part` was begun in several places. Where nothing is missing its last byte is asked for
    /// again: the reply says what it must hash to, and the run that had it may have been killed before it looked at that.
    fn new(job: Job, part: &Part, told: Option<&Attempt>, state: &State) -> Self {
        let length = part.length.unwrap_or(0);
        let spans = part.spans.clone().unwrap_or_default();
        let missing = match spans.missing(length) {
            none if none.is_empty() => Some(length.saturating_sub(1)..length).into_iter().collect(),
            missing => missing,
        };
        Self {
            held: Arc::new(Mutex::new(spans)),
            length,
            told: told.and_then(Told::of),
            missing: segments(missing, state.split).into(),
            out: 0,
            fate: Fate::Whole,
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
            purpose: Purpose::Segment { end: span.end },
            part: Some(Part { bytes: span.start, spans: None, ..part }),
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
    fn has_back(&mut self, job: &Job, attempt: &Attempt) {
        self.out -= 1;
        self.job.wire_bytes += job.wire_bytes + attempt.wire_bytes;
        self.job.attempt += job.attempt - 1;
        self.job.begun |= attempt.begun;
        let begun = job.started.unwrap_or((attempt.phases.started, attempt.phases.started_at));
        self.starts(begun);
    }

    /// The same of a segment whose next attempt was not begun.
    fn has_back_unasked(&mut self, job: &Job) {
        self.out -= 1;
        self.job.wire_bytes += job.wire_bytes;
        // Its first attempt is the target's own; it counts from the second on.
        self.job.attempt += job.attempt.saturating_sub(2);
        job.started.into_iter().for_each(|begun| self.starts(begun));
    }

    fn starts(&mut self, begun: (Instant, std::time::SystemTime)) {
        let first = self.job.started.get_or_insert(begun);
        *first = (*first).min(begun);
    }

    /// The target's job with what there is of the body by now.
    fn into_job(self) -> Job {
        let mut job = self.job;
        let spans = self.held.lock().expect("no holder panics").clone();
        job.part = job.part.map(|part| Part { bytes: spans.bytes(), spans: Some(spans), ..part });
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
    fn seal(&self) -> Option<Box<Job>> {
        let Told { head, claims, .. } = self.told.clone()?;
        let (mut job, length) = (self.job.clone(), self.length);
        let spans = self.held.lock().expect("no holder panics").clone();
        job.part = job.part.map(|part| Part { bytes: length, spans: Some(spans), ..part });
        job.purpose = Purpose::Seal(Arc::new(Seal { head, claims }));
        Some(Box::new(job))
    }
}

impl Told {
    fn of(attempt: &Attempt) -> Option<Self> {
        let head = attempt.head.clone()?;
        Some(Self { head, claims: attempt.claims.clone(), phases: attempt.phases })
    }
}

impl State {
    /// Brings the first job of a target, or those of its segments, if it was begun in several places.
    pub(super) fn bring(&mut self, job: Job, now: Instant, bring: fn(&mut Schedule, Job, Instant)) {
        if begun_in_spans(&job).is_none() {
            return bring(&mut self.schedule, job, now);
        }
        let mut segments = self.divided(job, None).into_iter();
        segments.next().into_iter().for_each(|first| bring(&mut self.schedule, first, now));
        segments.for_each(|other| self.schedule.admit(other, now));
    }

    /// Puts back a job that continues what was begun, in segments if that was in several places.
    pub(super) fn resume(&mut self, job: Job, due: Instant, now: Instant) {
        match begun_in_spans(&job) {
            None => self.schedule.resume(job, due, now),
            Some(_) => self.divide(job, None, due, now),
        }
    }

    /// Asks for the segments of a target; `told` is the attempt that told of it.
    pub(super) fn divide(&mut self, job: Job, told: Option<&Attempt>, due: Instant, now: Instant) {
        // The last one that is put back is the first that is taken.
        for segment in self.divided(job, told).into_iter().rev() {
            self.schedule.resume(segment, due, now);
        }
    }

    fn divided(&mut self, job: Job, told: Option<&Attempt>) -> Vec<Job> {
        let index = job.target.index;
        let part = job.part.clone().expect("it is what there is to be divided");
        let mut division = Division::new(job, &part, told, self);
        let most = self.split.most.get();
        let first = std::iter::from_fn(|| division.next()).take(most).collect();
        self.divisions.insert(index, division);
        first
    }

    /// The division that a segment belongs to.
    fn division(&mut self, job: &Job) -> &mut Division {
        self.divisions.get_mut(&job.target.index).expect("it stays until no segment is out")
    }

    /// Nobody waits for the segments of a target any more.
    fn call_off(&mut self, job: &Job, fate: Fate, now: Instant) {
        let gone = self.schedule.withdraw(&job.url, job.target.index, now);
        let division = self.division(job);
        gone.iter().for_each(|job| division.has_back_unasked(job));
        division.missing.clear();
        division.wanted.send_replace(false);
        if let Fate::Whole = division.fate {
            division.fate = fate;
        }
    }

    /// Makes a target's own job of one whose segments were put together, and its last attempt of the one that did.
    pub(super) fn unseal(&mut self, job: &mut Job, attempt: &mut Attempt) {
        job.purpose = Purpose::Body;
        let division = self.divisions.remove(&job.target.index);
        let Some(Told { phases, .. }) = division.and_then(|division| division.told) else { return };
        let total = attempt.phases.started.duration_since(phases.started) + attempt.phases.total;
        attempt.phases = Phases { total, ..phases };
    }

    /// The targets whose segments were not all in when the run was stopped; `segments` are those that nobody works on.
    pub(super) fn undivided(&mut self, segments: Vec<Job>) -> Vec<Job> {
        for job in &segments {
            self.division(job).has_back_unasked(job);
        }
        self.divisions.drain().map(|(_, division)| division.into_unasked_job()).collect()
    }
}

impl Queue {
    /// Waits until the segment that this job is for is not wanted any more, if it is for one.
    pub async fn called_off(&self, job: &Job) -> Cause {
        let Purpose::Segment { .. } = job.purpose else { return pending().await };
        let mut wanted = self.lock().division(job).wanted.subscribe();
        let is_called_off = wanted.wait_for(|wanted| !wanted).await.is_ok();
        if is_called_off { Cause::Sibling } else { pending().await }
    }

    /// Settles a segment: its next attempt, another segment or, with the last one, what becomes of the target.
    pub(super) fn settle_segment(
        &self,
        state: &mut State,
        job: &Job,
        mut attempt: Attempt,
        verdict: Verdict,
        now: Instant,
    ) -> Outcome {
        let is_wanted = matches!(state.division(job).fate, Fate::Whole);
        if let (Verdict::Again { .. }, true) = (&verdict, is_wanted) {
            return (self.follow(state, job, &attempt, verdict, now), None);
        }
        let division = state.division(job);
        division.has_back(job, &attempt);
        match verdict {
            Verdict::Whole => {
                division.told = division.told.take().or_else(|| Told::of(&attempt));
                if let Some(next) = division.next() {
                    state.schedule.resume(next, now, now);
                }
            }
            Verdict::Failed(failure) | Verdict::Again { failure, .. } => {
                attempt.wire_bytes = 0;
                let fate = Fate::Failed(failure, Some(Box::new(attempt)));
                state.call_off(job, fate, now);
            }
            Verdict::Anew(_) | Verdict::Hop { .. } | Verdict::Divided(_) => {
                state.call_off(job, Fate::Anew, now);
            }
        }
        self.gather(state, job, now)
    }

    /// Gives up a segment before its next attempt.
    pub(super) fn give_up_segment(
        &self,
        state: &mut State,
        job: &Job,
        failure: Failure,
        now: Instant,
    ) -> Option<Event> {
        state.division(job).has_back_unasked(job);
        state.call_off(job, Fate::Failed(failure, None), now);
        self.gather(state, job, now).0
    }

    /// Goes on with a target if none of its segments is out.
    fn gather(&self, state: &mut State, job: &Job, now: Instant) -> Outcome {
        let division = state.division(job);
        if division.out > 0 {
            return (None, None);
        }
        if let Fate::Whole = division.fate {
            return (None, division.seal());
        }
        let index = job.target.index;
        let mut division = state.divisions.remove(&index).expect("it was just looked at");
        let fate = std::mem::replace(&mut division.fate, Fate::Whole);
        match fate {
            Fate::Whole => (None, None),
            Fate::Anew => {
                let job = Job { part: None, in_one: true, ..division.into_job() };
                state.resume(job, now, now);
                (None, None)
            }
            Fate::Failed(failure, Some(mut attempt)) => {
                let job = division.into_job();
                attempt.bytes = job.part.as_ref().map_or(0, |part| part.bytes);
                let verdict = segment_given_up(&job, failure, &self.rules, fastrand::f64());
                (self.follow(state, &job, &attempt, verdict, now), None)
            }
            Fate::Failed(failure, None) => {
                let verdict = segment_given_up(&division.job, failure, &self.rules, 0.0);
                let job = division.into_unasked_job();
                (self.follow_unasked(state, &job, verdict, now), None)
            }
        }
    }
}
