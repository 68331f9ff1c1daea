//! What is asked of a server: the method, the URL, and only those header fields that this origin may see.

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, HeaderMap, HeaderName, PRAGMA,
    USER_AGENT,
};

use super::client::Kit;
use crate::policy::{carries_secrets, is_written_as_loopback};
use crate::record::Job;

/// Fields that cannot be a secret; any other may be, whatever its name.
const HARMLESS: [HeaderName; 6] =
    [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, PRAGMA, USER_AGENT];

/// The fields given for all requests, for this host and for this target. Of several with one name, the later ones of
/// these replace the earlier; at another origin than the listed one, only harmless ones go along. What is meant for a
/// host is not told to whoever listens on the way to it: the list may name any scheme.
pub fn fields(kit: &Kit, job: &Job) -> HeaderMap {
    let everywhere = carries_secrets(job);
    let own = job.url.host_str().and_then(|host| kit.hosts.get(host));
    let own = own.map_or(&[][..], |own| &own.headers);
    let in_private = job.url.scheme() == "https" || is_written_as_loopback(&job.url);
    let groups = [
        (&kit.http.headers[..], everywhere),
        (own, everywhere && in_private),
        (&job.target.options.headers, everywhere),
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
    fields
}
