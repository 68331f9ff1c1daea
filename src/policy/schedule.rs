//! Which job comes next: those that are due, in order, and those that wait for a moment. Pure; time is an argument.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Instant;

use crate::record::Job;

/// The jobs that nobody works on.
#[derive(Debug, Default)]
pub struct Schedule {
    ready: VecDeque<Job>,
    moments: BinaryHeap<Reverse<(Instant, u64)>>,
    waiting: BTreeMap<u64, Job>,
    tickets: u64,
}

/// What a worker is to do.
#[derive(Debug)]
pub enum Next {
    /// This.
    Job(Box<Job>),
    /// Nothing before this moment.
    Wait(Instant),
    /// Nothing as things stand.
    Nothing,
}

impl Schedule {
    /// Adds a target's first job, behind all others.
    pub fn admit(&mut self, job: Job) {
        self.ready.push_back(job);
    }

    /// Puts back a job that continues what was begun: due at once, it goes ahead of what was not.
    pub fn resume(&mut self, job: Job, at: Instant, now: Instant) {
        if at <= now {
            return self.ready.push_front(job);
        }
        self.tickets += 1;
        self.moments.push(Reverse((at, self.tickets)));
        self.waiting.insert(self.tickets, job);
    }

    /// Takes the next job that is due; what has waited goes ahead of what has not begun.
    pub fn next(&mut self, now: Instant) -> Next {
        match self.moments.peek() {
            Some(Reverse((at, ticket))) if *at <= now => {
                let job = self.waiting.remove(ticket).expect("every moment has its job");
                self.moments.pop();
                Next::Job(Box::new(job))
            }
            later => match self.ready.pop_front() {
                Some(job) => Next::Job(Box::new(job)),
                None => later.map_or(Next::Nothing, |Reverse((at, _))| Next::Wait(*at)),
            },
        }
    }

    /// Takes all jobs out, in no order.
    pub fn drain(&mut self) -> impl Iterator<Item = Job> {
        self.moments.clear();
        std::mem::take(&mut self.ready)
            .into_iter()
            .chain(std::mem::take(&mut self.waiting).into_values())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::verdict::tests::job;

    fn taken(schedule: &mut Schedule, now: Instant) -> String {
        match schedule.next(now) {
            Next::Job(job) => job.url.path().to_owned(),
            Next::Wait(_) => "wait".to_owned(),
            Next::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn jobs_come_in_list_order_and_what_was_begun_goes_ahead() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.admit(job("http://a.test/1"));
        schedule.admit(job("http://a.test/2"));
        schedule.resume(job("http://a.test/hop"), now, now);
        assert_eq!(
            ["/hop", "/1", "/2", "nothing"].map(|_| taken(&mut schedule, now)),
            ["/hop", "/1", "/2", "nothing"]
        );
    }

    #[test]
    fn a_waiting_job_is_not_released_early_and_holds_up_nobody() {
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        let mut schedule = Schedule::default();
        schedule.resume(job("http://a.test/retry"), later, now);
        schedule.admit(job("http://a.test/1"));
        assert_eq!(taken(&mut schedule, now), "/1");
        assert!(matches!(schedule.next(now), Next::Wait(at) if at == later));
        assert_eq!(taken(&mut schedule, later), "/retry");
        assert_eq!(taken(&mut schedule, later), "nothing");
    }
}
