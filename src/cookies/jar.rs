//! Cookie jars: the cookies of a run, and those that the redirects of one target have set.

use std::collections::HashMap;
use std::time::SystemTime;

use http::HeaderValue;
use url::Url;

use super::{
    Cookie, CookieOrigin, CookieRefusal, domain_matches, path_matches, seconds, set_cookie,
};

/// Maximum number of cookies per domain.
pub(crate) const MAX_PER_DOMAIN: usize = 50;

/// Maximum number of cookies in a jar.
pub(crate) const MAX_PER_JAR: usize = 3000;

/// Maximum number of `Set-Cookie` fields of one reply that are processed; further ones are ignored.
const MAX_FIELDS_PER_REPLY: usize = 50;

/// Maximum number of cookies of one target, and their maximum size in bytes.
const MAX_OF_TARGET: (usize, usize) = (50, 16 << 10);

/// Maximum number of cookies in one request.
const MAX_SENT: usize = 150;

/// Maximum length of a `Cookie` field in bytes, as in curl: servers refuse longer ones.
const MAX_SENT_BYTES: usize = 8190;

/// The cookies of a run: at most 3,000, and 50 per domain. If there are more, expired cookies are removed first, then those
/// that have not been set or sent for the longest time.
#[derive(Debug, Default)]
pub(crate) struct CookieJar {
    by_domain: HashMap<String, Vec<Cookie>>,
    count: usize,
    /// The last position in the order in which cookies are set and sent.
    last: u64,
}

/// The cookies that the redirects of one target have set. They hide the cookies of the run that they would replace, even
/// those that have expired.
#[derive(Debug, Clone, Default)]
pub(crate) struct TargetCookies(Vec<Cookie>);

impl CookieJar {
    /// Whether there are no cookies.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[cfg(test)]
    pub(super) fn by_domain_is_empty(&self) -> bool {
        self.by_domain.is_empty()
    }

    /// All cookies that have not expired, in a fixed order.
    pub(super) fn sorted(&self, now: SystemTime) -> Vec<&Cookie> {
        let now = seconds(now);
        let all = self.by_domain.values().flatten();
        let mut sorted: Vec<_> = all.filter(|cookie| !cookie.is_expired(now)).collect();
        sorted.sort_by_key(|cookie| (&cookie.domain, &cookie.path, cookie.created));
        sorted
    }

    /// Stores the cookies that these `Set-Cookie` fields of a reply from `url` set. Returns the reason for the last refusal,
    /// if any.
    pub(crate) fn receive(
        &mut self,
        fields: &[Vec<u8>],
        url: &Url,
        now: SystemTime,
    ) -> Option<CookieRefusal> {
        receive(fields, url, seconds(now), |cookie, origin| {
            self.ensure_may_replace(&cookie, origin)?;
            self.insert(cookie, seconds(now));
            Ok(())
        })
    }

    /// Stores a cookie; an expired one only removes the cookie that it replaces. Returns the number of unexpired cookies
    /// that were removed to stay within the limits.
    pub(super) fn insert(&mut self, mut cookie: Cookie, now: i64) -> usize {
        self.last += 1;
        (cookie.created, cookie.used) = (self.last, self.last);
        let domain = cookie.domain.clone();
        let of_domain = self.by_domain.entry(domain.clone()).or_default();
        match of_domain.iter_mut().find(|kept| kept.is_replaced_by(&cookie)) {
            Some(kept) => *kept = Cookie { created: kept.created, ..cookie },
            None => {
                of_domain.push(cookie);
                self.count += 1;
            }
        }
        let before = of_domain.len();
        of_domain.retain(|cookie| !cookie.is_expired(now));
        let is_full = of_domain.len() > MAX_PER_DOMAIN;
        if is_full && let Some(oldest) = oldest(of_domain) {
            of_domain.remove(oldest);
        }
        self.count -= before - of_domain.len();
        if of_domain.is_empty() {
            self.by_domain.remove(&domain);
        }
        usize::from(is_full) + usize::from(self.count > MAX_PER_JAR && !self.make_room(now))
    }

    /// Removes all expired cookies or, if there are still too many, the one that was not used for the longest time. Returns
    /// whether the former was enough.
    fn make_room(&mut self, now: i64) -> bool {
        self.by_domain.retain(|_, cookies| {
            cookies.retain(|cookie| !cookie.is_expired(now));
            !cookies.is_empty()
        });
        self.count = self.by_domain.values().map(Vec::len).sum();
        if self.count <= MAX_PER_JAR {
            return true;
        }
        let of_domains = self.by_domain.values_mut();
        let used = |cookies: &Vec<Cookie>| cookies.iter().map(|cookie| cookie.used).min();
        if let Some(cookies) = of_domains.min_by_key(|cookies| used(cookies).unwrap_or(u64::MAX))
            && let Some(oldest) = oldest(cookies)
        {
            cookies.remove(oldest);
            self.count -= 1;
        }
        false
    }

    /// Ensures that a cookie from an insecure origin does not replace or hide a `Secure` one.
    fn ensure_may_replace(
        &self,
        cookie: &Cookie,
        origin: &CookieOrigin<'_>,
    ) -> Result<(), CookieRefusal> {
        if origin.is_secure {
            return Ok(());
        }
        ensure_no_secure_is_hidden(cookie, self.by_domain.values().flatten())
    }

    /// Finds the cookies for a request, and marks them as used.
    fn matching(&mut self, request: &CookieOrigin<'_>, now: i64) -> Vec<&Cookie> {
        if self.is_empty() {
            return Vec::new();
        }
        self.last += 1;
        let last = self.last;
        let above = request.host.match_indices('.').map(|(dot, _)| &request.host[dot + 1..]);
        let domains: Vec<_> = std::iter::once(&*request.host).chain(above).collect();
        for domain in &domains {
            for cookie in self.by_domain.get_mut(*domain).into_iter().flatten() {
                if cookie.is_for(request, now) {
                    cookie.used = last;
                }
            }
        }
        let of_domains = domains.iter().filter_map(|domain| self.by_domain.get(*domain));
        of_domains.flatten().filter(|cookie| cookie.is_for(request, now)).collect()
    }
}

impl TargetCookies {
    /// Stores the cookies that these `Set-Cookie` fields of a redirect from `url` set. `jar` has the cookies of the run.
    /// Returns the reason for the last refusal, if any.
    pub(crate) fn receive(
        &mut self,
        fields: &[Vec<u8>],
        url: &Url,
        now: SystemTime,
        jar: Option<&CookieJar>,
    ) -> Option<CookieRefusal> {
        receive(fields, url, seconds(now), |cookie, origin| {
            if !origin.is_secure {
                ensure_no_secure_is_hidden(&cookie, &self.0)?;
            }
            jar.map_or(Ok(()), |jar| jar.ensure_may_replace(&cookie, origin))?;
            self.insert(cookie);
            Ok(())
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The size of its cookies in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(Cookie::size).sum()
    }

    fn insert(&mut self, mut cookie: Cookie) {
        let last = self.0.iter().map(|kept| kept.used).max().unwrap_or(0) + 1;
        (cookie.created, cookie.used) = (last, last);
        match self.0.iter_mut().find(|kept| kept.is_replaced_by(&cookie)) {
            Some(kept) => *kept = Cookie { created: kept.created, ..cookie },
            None => self.0.push(cookie),
        }
        let (max_cookies, max_bytes) = MAX_OF_TARGET;
        while self.0.len() > max_cookies || self.size() > max_bytes {
            let Some(oldest) = oldest(&self.0) else { return };
            self.0.remove(oldest);
        }
    }
}

/// Parses the `Set-Cookie` fields of a reply and passes each cookie to `keep`. Returns the last refusal of either.
fn receive(
    fields: &[Vec<u8>],
    url: &Url,
    now: i64,
    mut keep: impl FnMut(Cookie, &CookieOrigin<'_>) -> Result<(), CookieRefusal>,
) -> Option<CookieRefusal> {
    let origin = CookieOrigin::of(url)?;
    let mut refusal = None;
    for field in fields.iter().take(MAX_FIELDS_PER_REPLY) {
        let kept = set_cookie::parse(field, &origin, now).and_then(|cookie| keep(cookie, &origin));
        refusal = kept.err().or(refusal);
    }
    refusal
}

/// Ensures that no request would send the cookie together with, or instead of, a `Secure` one of the same name.
fn ensure_no_secure_is_hidden<'a>(
    cookie: &Cookie,
    kept: impl IntoIterator<Item = &'a Cookie>,
) -> Result<(), CookieRefusal> {
    let is_hidden = |kept: &Cookie| {
        let is_related = domain_matches(&kept.domain, &cookie.domain)
            || domain_matches(&cookie.domain, &kept.domain);
        kept.secure
            && kept.name == cookie.name
            && is_related
            && path_matches(&cookie.path, &kept.path)
    };
    if kept.into_iter().any(is_hidden) { Err(CookieRefusal::OverSecure) } else { Ok(()) }
}

/// The position of the cookie that was not used for the longest time.
fn oldest(cookies: &[Cookie]) -> Option<usize> {
    (0..cookies.len()).min_by_key(|at| cookies[*at].used)
}

/// The value of the `Cookie` field of a request for `url`: the cookies of the run and those of its target. `None` if there
/// are none for it.
///
/// Cookies with longer paths come first; among equally long ones, those that were set earlier. Cookies beyond the limits
/// are left out.
pub(crate) fn cookie_field(
    url: &Url,
    now: SystemTime,
    jar: Option<&mut CookieJar>,
    target: Option<&TargetCookies>,
) -> Option<HeaderValue> {
    let (request, now) = (CookieOrigin::of(url)?, seconds(now));
    let own = target.map_or(&[][..], |target| &target.0);
    let mut cookies = jar.map_or_else(Vec::new, |jar| jar.matching(&request, now));
    cookies.retain(|cookie| !own.iter().any(|own| cookie.is_replaced_by(own)));
    // Cookies of the target were set after those of the run.
    cookies.sort_by_key(|cookie| cookie.created);
    cookies.extend(own.iter().filter(|cookie| cookie.is_for(&request, now)));
    cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
    let mut field = Vec::new();
    for cookie in cookies.into_iter().take(MAX_SENT) {
        let separator = if field.is_empty() { &b""[..] } else { b"; " };
        let equals = if cookie.name.is_empty() { &b""[..] } else { b"=" };
        let parts = [separator, &cookie.name, equals, &cookie.value];
        if field.len() + parts.iter().map(|part| part.len()).sum::<usize>() <= MAX_SENT_BYTES {
            parts.iter().for_each(|part| field.extend_from_slice(part));
        }
    }
    let mut field = HeaderValue::from_bytes(&field).ok().filter(|field| !field.is_empty())?;
    field.set_sensitive(true);
    Some(field)
}
