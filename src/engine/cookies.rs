//! The cookies of a run: which a job is sent, and what becomes of those that its reply sets. They are kept in the parent, so
//! that all modes have the same; a child gets the Cookie field of its job, and returns the Set-Cookie fields of the reply.

use std::mem;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use crate::cookies::{CookieJar, TargetCookies, cookie_field};
use crate::model::{Attempt, JobKind, QueuedJob};
use crate::sync::lock;

/// The cookies of a run.
#[derive(Debug)]
pub(crate) struct RunCookies {
    /// `None` if there are none, and none are kept.
    jar: Option<Mutex<CookieJar>>,
    /// Whether those that replies set are for the whole run. If not, those of a redirect are for the further hops of its
    /// target.
    is_kept: bool,
}

impl RunCookies {
    /// Begins with these cookies; `is_kept` says whether those that replies set are added to them.
    pub(crate) fn new(jar: CookieJar, is_kept: bool) -> Self {
        let jar = (is_kept || !jar.is_empty()).then(|| Mutex::new(jar));
        Self { jar, is_kept }
    }

    /// The text of a file with all cookies that have not expired.
    pub(crate) fn to_file(&self, now: SystemTime) -> Vec<u8> {
        self.jar.as_ref().map_or_else(Vec::new, |jar| lock(jar).to_file(now))
    }

    /// Gives a job that is about to start the cookies for its URL. A robots.txt is asked for without any.
    pub(super) fn attach(&self, job: &mut QueuedJob, now: SystemTime) {
        if self.jar.is_none() && job.cookies.is_none() {
            job.request.cookie = None;
            return;
        }
        job.request.cookie = match job.request.kind {
            JobKind::Robots { .. } | JobKind::Assemble(_) => None,
            JobKind::Body | JobKind::Segment { .. } => {
                let mut jar = self.jar.as_ref().map(lock);
                cookie_field(&job.request.url, now, jar.as_deref_mut(), job.cookies.as_deref())
            }
        };
    }

    /// Takes the cookies that the reply has set: for the run if it keeps cookies, else for the further hops of the target.
    pub(super) fn receive(&self, job: &mut QueuedJob, attempt: &mut Attempt) {
        job.refused_cookie = None;
        if attempt.set_cookies.is_empty() {
            return;
        }
        let now = SystemTime::now();
        let (fields, url) = (mem::take(&mut attempt.set_cookies), &job.request.url);
        let mut jar = self.jar.as_ref().map(lock);
        job.refused_cookie = match &mut jar {
            Some(jar) if self.is_kept => jar.receive(&fields, url, now),
            jar => {
                let cookies = Arc::make_mut(job.cookies.get_or_insert_default());
                TargetCookies::receive(cookies, &fields, url, now, jar.as_deref())
            }
        };
    }
}
