//! Builds the record of a target when it is settled.

use std::sync::Arc;
use std::time::Instant;

use crate::digest::Digest;
use crate::model::{
    Attempt, AttemptOutcome, Event, Failure, Outcome, PartialBody, QueuedJob, Record, RecordError,
    SavedVersion, StopCause, Target, Timings, redacted, shown_labels,
};
use crate::policy::failure_traits::is_transient;
use crate::redaction::redacted_url;
use crate::store::SkipReason;
use crate::units::{human_bytes, human_share};

/// The record of a target whose last attempt is this one.
pub(super) fn record_of_attempt(
    job: &QueuedJob,
    mut attempt: Box<Attempt>,
    failure: Option<Failure>,
) -> Record {
    let head = attempt.head.take();
    let timings = &attempt.timings;
    let (first_started, started_at) = job.first_started.unzip();
    let first_started = first_started.unwrap_or(job.last_started);
    let redirected = job.log.spent_before(job.last_started);
    let end = job.last_started + timings.total;
    let mut record = blank_record(job);
    if let Some(head) = head {
        record.http_status = Some(head.status);
        record.http_version = Some(head.version);
        record.remote_addr = head.remote_addr;
        record.content_type = head.content_type;
        record.etag = head.etag;
        record.last_modified = head.last_modified;
        record.certificate_expires = head.certificate_expires;
        record.length = head.content_length.filter(|_| attempt.head_by.is_some());
    }
    record.head = attempt.head_by;
    let is_saved = failure.is_none() && attempt.outcome != AttemptOutcome::Accepted;
    let destination = job.request.place.as_ref().filter(|_| is_saved);
    record.path = destination.map(|place| attempt.name.as_ref().unwrap_or(&place.name).to_string());
    record.bytes = attempt.bytes;
    record.digest = attempt.digests.first().map(Digest::to_string);
    record.outcome = match (&attempt.outcome, &failure) {
        (_, Some(_)) => Outcome::Failed,
        (AttemptOutcome::Unchanged, _) => Outcome::Unchanged,
        _ => Outcome::Ok,
    };
    if let (Outcome::Unchanged, Some(version)) =
        (record.outcome, destination.and_then(|place| place.saved.clone()))
    {
        set_saved_version(&mut record, version);
    }
    let served_by_mirror = failure.is_none() && job.request.target.urls.len() > 1;
    let final_url = match job.request.url == *job.request.target.url() {
        true => Arc::clone(&record.url),
        false => redacted_url(&job.request.url).into(),
    };
    Record {
        final_url: Some(final_url),
        wire_bytes: job.wire_bytes + attempt.wire_bytes,
        attempts: job.attempt,
        worker: Some(attempt.worker),
        served_by: served_by_mirror.then(|| redacted(&job.request.target.urls[job.request.mirror])),
        error: failure.as_ref().map(|failure| record_error(failure, kept_part(job, &attempt))),
        started_at,
        timings: Timings {
            queued: Some(first_started.duration_since(job.queued).as_secs_f64()),
            connect: timings.connect.map(|time| (redirected + time).as_secs_f64()),
            first_byte: timings.first_byte.map(|time| (redirected + time).as_secs_f64()),
            total: Some(end.duration_since(first_started).as_secs_f64()),
            retry_wait: Some(job.log.waited().as_secs_f64()),
        },
        attempts_detail: job.log.details(first_started, end, failure.as_ref().map(Failure::class)),
        updated: record.outcome == Outcome::Ok
            && destination.is_some_and(|place| place.saved.is_some()),
        ..record
    }
}

/// The record of a target for which no request is made.
pub(super) fn record_without_request(target: &Target, name: &str, reason: SkipReason) -> Record {
    let mut record = record_of_target(target);
    match reason {
        SkipReason::Skipped(version) => {
            record.outcome = Outcome::Skipped;
            record.path = Some(name.to_owned());
            set_saved_version(&mut record, version);
        }
        SkipReason::Duplicate(first) => {
            record.outcome = Outcome::Duplicate;
            record.duplicate_of = Some(first);
        }
        SkipReason::Failed(failure) => record.error = Some(RecordError::from(&failure)),
    }
    record
}

/// Fills in what the manifest knows of a saved body.
fn set_saved_version(record: &mut Record, version: SavedVersion) {
    record.bytes = version.bytes;
    record.etag = version.etag;
    record.last_modified = version.last_modified;
    record.digest = version.digest;
}

/// The record of a target that is given up before its next request.
pub(super) fn record_of_failure(job: &QueuedJob, failure: Failure) -> Record {
    let mut record = blank_record(job);
    if let Some((first_started, started_at)) = job.first_started {
        let now = Instant::now();
        record.started_at = Some(started_at);
        record.timings = Timings {
            queued: Some(first_started.duration_since(job.queued).as_secs_f64()),
            total: Some(now.duration_since(first_started).as_secs_f64()),
            retry_wait: Some(job.log.waited_until(now).as_secs_f64()),
            ..Timings::default()
        };
        let end = job.log.ended().unwrap_or(job.last_started);
        record.attempts_detail = job.log.details(first_started, end, Some(failure.class()));
    }
    Record {
        wire_bytes: job.wire_bytes,
        attempts: job.tries_before(),
        error: Some(record_error(&failure, job.request.part.as_ref())),
        ..record
    }
}

/// The part of the body that is kept after the last attempt. A segment's own part is only where it ended.
fn kept_part<'a>(job: &'a QueuedJob, attempt: &'a Attempt) -> Option<&'a PartialBody> {
    let own = job.request.part.as_ref().filter(|part| part.spans.is_some());
    own.or(attempt.part.as_ref())
}

/// The error of a record. If a later run can continue the body, the message says how much of it is kept.
fn record_error(failure: &Failure, part: Option<&PartialBody>) -> RecordError {
    let error = RecordError::from(failure);
    let can_continue = is_transient(failure) || matches!(failure, Failure::Cancelled(_));
    let Some(part) = part.filter(|part| can_continue && part.bytes > 0) else { return error };
    let reason = match failure {
        Failure::Truncated { .. } => "connection closed early",
        _ => &error.message,
    };
    let saved = match part.length {
        Some(length) => human_share(part.bytes, length),
        None => human_bytes(part.bytes),
    };
    let message = format!("{reason}; {saved} saved; run the same command to continue");
    RecordError { message, without_part: Some(error.message), ..error }
}

/// The event that settles a job's target.
pub(super) fn finished_event(job: &QueuedJob, record: Record) -> Event {
    let name = job.request.place.as_ref().map(|place| Arc::clone(&place.name));
    Event::Finished {
        record: Box::new(record),
        target: Some(Arc::clone(&job.request.target)),
        name,
    }
}

/// The record of a target that was not settled when the run was stopped.
pub(super) fn cancelled_record(job: &QueuedJob, cause: StopCause) -> Record {
    record_of_failure(job, Failure::Cancelled(cause))
}

fn blank_record(job: &QueuedJob) -> Record {
    record_of_target(&job.request.target)
}

fn record_of_target(target: &Target) -> Record {
    let url = redacted_url(target.url()).into();
    let mut record = Record::blank(target.index, target.source.clone(), target.line, url);
    let options = &target.options;
    (record.id, record.carried) = shown_labels(options.id.as_ref(), options.carried.as_ref());
    match &target.listed {
        Some(listed) => Record { listed: Arc::clone(listed), ..record },
        None => record,
    }
}
