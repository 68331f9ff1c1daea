//! Rows: what is told of a target when it is settled.

use std::time::Duration;

use crate::record::{
    Attempt, Cause, Failure, Job, Outcome, Record, RecordError, Timings, redacted,
};

/// The row of a target whose last attempt is this one.
pub fn settled(job: &Job, attempt: &Attempt, failure: Option<Failure>) -> Record {
    let phases = &attempt.phases;
    let (started, started_at) = job.started.unwrap_or((phases.started, phases.started_at));
    let since_first = |time: Duration| (phases.started - started + time).as_secs_f64();
    let mut record = blank(job);
    if let Some(head) = &attempt.head {
        record.http_status = Some(head.status);
        record.http_version = Some(head.version);
        record.remote_addr = head.remote_addr;
        record.content_type.clone_from(&head.content_type);
        record.etag.clone_from(&head.etag);
        record.last_modified.clone_from(&head.last_modified);
    }
    let served = failure.is_none() && job.target.urls.len() > 1;
    Record {
        final_url: Some(redacted(&job.url)),
        outcome: if failure.is_none() { Outcome::Ok } else { Outcome::Failed },
        bytes: attempt.bytes,
        wire_bytes: job.wire_bytes + attempt.wire_bytes,
        attempts: job.attempt,
        worker: Some(attempt.worker),
        served_by: served.then(|| redacted(&job.target.urls[job.mirror])),
        error: failure.as_ref().map(RecordError::from),
        started_at: Some(started_at),
        timings: Timings {
            queued: Some(started.duration_since(job.queued).as_secs_f64()),
            connect: phases.connect.map(since_first),
            first_byte: phases.first_byte.map(since_first),
            total: Some(since_first(phases.total)),
        },
        ..record
    }
}

/// The row of a target that is given up before its next request.
pub fn given_up(job: &Job, failure: Failure) -> Record {
    Record {
        wire_bytes: job.wire_bytes,
        attempts: job.tries_before(),
        error: Some(RecordError::from(&failure)),
        started_at: job.started.map(|(_, started_at)| started_at),
        ..blank(job)
    }
}

/// The row of a target that was not done when the run ended.
pub fn undone(job: &Job, cause: Cause) -> Record {
    given_up(job, Failure::Cancelled(cause))
}

fn blank(job: &Job) -> Record {
    let target = &job.target;
    Record::blank(target.index, target.source.clone(), target.line, redacted(target.url()))
}
