//! Makes the header fields of a request, with only those of the user's fields that its origin may see.

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderMap,
    HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, PRAGMA, RANGE, USER_AGENT,
};
use url::Url;

use super::context::TransferContext;
use super::decode::accept_encoding;
use super::unauthorized::SentCredentials;
use crate::model::{Job, JobKind, Validator};
use crate::plan::{Compression, HttpOptions};
use crate::policy::carries_secrets;
use crate::policy::resume::{RangeRequest, range_request};
use crate::scheduler::is_written_as_loopback;

/// Header fields whose values are never secret; any other field may be, whatever its name.
pub(super) const HARMLESS: [HeaderName; 6] =
    [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, PRAGMA, USER_AGENT];

/// The header fields of the request for `job`, and what they ask for. The fields are those given for all requests, for this
/// host and for this target; a later group replaces fields of an earlier one with the same name. To an origin other than the
/// listed one, only [`HARMLESS`] fields are sent. Of the fields given for a host, the others are sent only over https or to a
/// loopback address, because the list may name any scheme and others may listen on the way. There is at most one
/// Authorization: that of one of these groups, of the URL or of the netrc file.
///
/// Adds the fields of a range request or a conditional request if the job needs them (RFC 9110 sections 13.1 and 14.2), unless
/// the user has given fields of that kind: then the reply is an answer to those.
pub(super) fn fields<'a>(context: &TransferContext, job: &'a Job) -> (HeaderMap, RangeRequest<'a>) {
    let mut fields = given_fields(context, job);
    if job.cookie.is_some() || fields.get_all(COOKIE).iter().nth(1).is_some() {
        combine_cookies(job.cookie.as_ref(), &mut fields);
    }
    let own = [RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE];
    if own.iter().any(|name| fields.contains_key(name)) {
        return (fields, RangeRequest::Unconditional);
    }
    let request = range_request(job);
    add_conditions(request, &mut fields);
    // A range counts the bytes as they are saved, so the body of its reply must not be coded.
    let may_be_coded =
        context.config.bodies.coding == Compression::Decode && job.kind == JobKind::Body;
    let is_part = matches!(request, RangeRequest::Rest(_) | RangeRequest::Segment(..));
    if may_be_coded && !is_part && !fields.contains_key(ACCEPT_ENCODING) {
        fields.insert(ACCEPT_ENCODING, accept_encoding());
    }
    (fields, request)
}

/// Whether a field of this name, given for a host, may be sent to `url`, a URL of that host. If others may listen on the way,
/// only a harmless field may.
pub(crate) fn is_sent_to(url: &Url, name: &HeaderName) -> bool {
    is_private(url) || HARMLESS.contains(name)
}

/// Whether nobody can listen on the way to this URL.
fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || is_written_as_loopback(url)
}

/// Whether a field that is given for the host of `job` is missing from `fields`, those of its request, because others may
/// listen on the way.
pub(super) fn is_withheld(context: &TransferContext, job: &Job, fields: &HeaderMap) -> bool {
    let is_replaced = |name: &HeaderName| {
        fields.contains_key(name) || *name == AUTHORIZATION && has_user(&job.url)
    };
    let mut given = given_for_host(context, job).iter();
    given.any(|(name, _)| !is_sent_to(&job.url, name) && !is_replaced(name)) && carries_secrets(job)
}

/// The kind of credentials that the request for `job` has, or why it has none.
pub(super) fn sent_credentials(context: &TransferContext, job: &Job) -> SentCredentials {
    let fields = given_fields(context, job);
    let is_for_https = |(name, _): &(HeaderName, HeaderValue)| {
        *name == AUTHORIZATION && !is_sent_to(&job.url, name)
    };
    match fields.get(AUTHORIZATION) {
        Some(field) => SentCredentials::of(field),
        None if has_user(&job.url) => SentCredentials::Basic,
        None if !carries_secrets(job) => SentCredentials::NotAfterRedirect,
        None if given_for_host(context, job).iter().any(is_for_https) => {
            SentCredentials::NotOverHttp
        }
        None => SentCredentials::None,
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// The fields given for the host of `job`.
fn given_for_host<'a>(context: &'a TransferContext, job: &Job) -> &'a [(HeaderName, HeaderValue)] {
    let own = job.url.host_str().and_then(|host| context.config.host_headers.get(host));
    own.map_or(&[], |own| &own.0)
}

/// The fields that the user has given for the request, as far as its origin may see them.
fn given_fields(context: &TransferContext, job: &Job) -> HeaderMap {
    let may_carry_secrets = carries_secrets(job);
    let own = given_for_host(context, job);
    let is_private = is_private(&job.url);
    let groups = [
        (&context.config.http.headers[..], may_carry_secrets),
        (own, may_carry_secrets && is_private),
        (&job.target.options.headers, may_carry_secrets),
    ];
    let mut fields = HeaderMap::new();
    for (group, secrets) in groups {
        for (name, _) in group {
            fields.remove(name);
        }
        for (name, value) in group.iter().filter(|(name, _)| secrets || HARMLESS.contains(name)) {
            fields.append(name, value.clone());
        }
    }
    fields.remove(AUTHORIZATION);
    if may_carry_secrets {
        let HttpOptions { headers: general, credentials, .. } = &context.config.http;
        let of_host = if is_private { own } else { &[] };
        let listed = &job.target.options.headers;
        if let Some(value) = credentials.authorization(&job.url, listed, general, of_host) {
            fields.insert(AUTHORIZATION, value);
        }
    }
    fields
}

/// Makes one Cookie field of the stored cookies and those that the user has given (RFC 6265 section 5.4). A given cookie
/// replaces stored ones of the same name.
fn combine_cookies(stored: Option<&HeaderValue>, fields: &mut HeaderMap) {
    let cookies = |field: &HeaderValue| -> Vec<Vec<u8>> {
        let cookies = field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        cookies.filter(|cookie| !cookie.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let name = |cookie: &[u8]| cookie.split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
    let given: Vec<_> = fields.get_all(COOKIE).iter().flat_map(cookies).collect();
    let mut all = stored.map_or_else(Vec::new, cookies);
    all.retain(|stored| !given.iter().any(|given| name(given) == name(stored)));
    all.extend(given);
    if let Ok(mut field) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        field.set_sensitive(true);
        fields.insert(COOKIE, field);
    }
}

/// Adds the fields of a range request or a conditional request.
fn add_conditions(request: RangeRequest<'_>, fields: &mut HeaderMap) {
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            fields.insert(name, value);
        }
    };
    match request {
        RangeRequest::Whole | RangeRequest::Unconditional => {}
        RangeRequest::Rest(part) => {
            set(RANGE, &format!("bytes={}-", part.bytes));
            set(IF_RANGE, validator_text(&part.validator));
        }
        RangeRequest::Segment(part, end) => {
            set(RANGE, &format!("bytes={}-{}", part.bytes, end - 1));
            set(IF_RANGE, validator_text(&part.validator));
        }
        RangeRequest::IfChanged(version) => match (&version.etag, &version.last_modified) {
            (Some(tag), _) => set(IF_NONE_MATCH, tag),
            (None, Some(date)) => set(IF_MODIFIED_SINCE, date),
            (None, None) => {}
        },
    }
}

fn validator_text(validator: &Validator) -> &str {
    match validator {
        Validator::Etag(tag) => tag,
        Validator::LastModified(date) => date,
    }
}
