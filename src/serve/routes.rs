//! Routes: maps a path and its query to an endpoint. Pure.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;

use crate::units;

/// The text of `/`, the list of endpoints.
pub(super) const INDEX: &str = "\
fetch test server. Endpoints as in httpbin, with these limits and parameters:

/bytes/N               N bytes (max 1 TiB), determined by seed, path and query only
    ?cut=N             close the connection after N bytes of each response
/range/N               same as /bytes/N
/stream-bytes/N        N bytes in chunks, without Content-Length
    ?chunk_size=N      chunk size in bytes (default 10240, max 1 MiB)
/etag/TAG              1 KiB with this entity tag
/drip                  body sent slowly
    ?numbytes=N        size of the body (default 10)
    ?duration=SECONDS  time to send the body (default 2)
    ?delay=SECONDS     delay before the response (default 0)
    ?code=CODE         status (default 200)
/delay/SECONDS         same as /get, after a delay (max 3600)
/status/CODE           empty response with this status, 200-599
    ?retry_after=TEXT  with this Retry-After
/redirect/N            N redirects ending at /get; the query is preserved
/absolute-redirect/N   same, with absolute URLs
/redirect-to?url=URL   one redirect to URL
    ?status_code=CODE  status (default 302)
/get                   the request as JSON
/headers               its headers as JSON
/stats                 statistics as JSON

Methods: GET and HEAD. /bytes, /range and /etag support ranges and conditional requests. Any other query
parameter makes a different URL of the same kind with a different body, e.g. /bytes/1024?n=17
";

/// The maximum length of a body in bytes.
const MAX_BODY_BYTES: u64 = 1 << 40;

/// The maximum delay or drip duration.
const MAX_DELAY: Duration = Duration::from_secs(3600);

/// The maximum chunk size in bytes.
const MAX_CHUNK_BYTES: u64 = 1 << 20;

/// An endpoint with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Route<'a> {
    /// The list of endpoints.
    Index,
    /// The statistics.
    Stats,
    /// The request as JSON.
    Get,
    /// Its headers only.
    Headers,
    /// A body with a length, with support for ranges.
    Bytes {
        length: u64,
        /// Close the connection after this many bytes; `None`: do not.
        cut: Option<u64>,
    },
    /// A body in chunks of this size, without Content-Length.
    StreamBytes { length: u64, chunk: usize },
    /// A body with this entity tag.
    Etag(&'a str),
    /// A body that is sent over this time, after a delay.
    Drip { length: u64, over: Duration, delay: Duration, status: StatusCode },
    /// The request as JSON, after a delay.
    Delay(Duration),
    /// An empty response.
    Status { status: StatusCode, retry_after: Option<Cow<'a, str>> },
    /// A redirect to this path, the query not included.
    Redirect { path: Cow<'static, str>, form: LocationForm },
    /// A redirect to anywhere.
    RedirectTo { url: Cow<'a, str>, status: StatusCode },
}

/// How a redirect writes its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LocationForm {
    /// By its path.
    Relative,
    /// By the whole URL.
    Absolute,
}

/// Why a request cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotFound {
    /// No such path.
    Unknown,
    /// A known path with an invalid number or parameter; the value is the error message.
    Malformed(&'static str),
}

/// Finds the endpoint of a path and its query.
pub(super) fn find<'a>(path: &'a str, query: &'a str) -> Result<Route<'a>, NotFound> {
    let path = path.strip_prefix('/').ok_or(NotFound::Unknown)?;
    let (name, argument) = match path.split_once('/') {
        Some((name, argument)) => (name, Some(argument)),
        None => (path, None),
    };
    match (name, argument) {
        ("", None) => Ok(Route::Index),
        ("stats", None) => Ok(Route::Stats),
        ("get", None) => Ok(Route::Get),
        ("headers", None) => Ok(Route::Headers),
        ("bytes" | "range", Some(length)) => {
            Ok(Route::Bytes { length: body_length(length)?, cut: number(query, "cut")? })
        }
        ("stream-bytes", Some(length)) => stream_bytes(length, query),
        ("etag", Some(tag)) => etag(tag),
        ("drip", None) => drip(query),
        ("delay", Some(seconds)) => Ok(Route::Delay(delay(seconds)?)),
        ("status", Some(code)) => Ok(Route::Status {
            status: status(code)?,
            retry_after: parameter(query, "retry_after"),
        }),
        ("redirect" | "relative-redirect", Some(hops)) => {
            redirect("redirect", hops, LocationForm::Relative)
        }
        ("absolute-redirect", Some(hops)) => {
            redirect("absolute-redirect", hops, LocationForm::Absolute)
        }
        ("redirect-to", None) => redirect_to(query),
        _ => Err(NotFound::Unknown),
    }
}

fn stream_bytes(length: &str, query: &str) -> Result<Route<'static>, NotFound> {
    let chunk: NonZeroU64 =
        number(query, "chunk_size")?.unwrap_or(const { NonZeroU64::new(10 * 1024).unwrap() });
    if chunk.get() > MAX_CHUNK_BYTES {
        return Err(NotFound::Malformed("chunk_size must be between 1 and 1048576 bytes"));
    }
    Ok(Route::StreamBytes { length: body_length(length)?, chunk: chunk.get() as usize })
}

fn etag(tag: &str) -> Result<Route<'_>, NotFound> {
    // RFC 9110 section 8.8.3: a tag contains no quotes. The other forbidden characters cannot occur in a path.
    if tag.is_empty() || tag.contains('"') {
        return Err(NotFound::Malformed("the entity tag must be non-empty and without quotes"));
    }
    Ok(Route::Etag(tag))
}

fn drip(query: &str) -> Result<Route<'_>, NotFound> {
    let time = |name| parameter(query, name).map(|seconds| delay(&seconds)).transpose();
    let length = parameter(query, "numbytes").map(|length| body_length(&length)).transpose()?;
    let code = parameter(query, "code").map(|code| status(&code)).transpose()?;
    Ok(Route::Drip {
        length: length.unwrap_or(10),
        over: time("duration")?.unwrap_or(Duration::from_secs(2)),
        delay: time("delay")?.unwrap_or(Duration::ZERO),
        status: code.unwrap_or(StatusCode::OK),
    })
}

fn redirect(name: &str, hops: &str, form: LocationForm) -> Result<Route<'static>, NotFound> {
    let path = match digits::<u32>(hops) {
        None | Some(0) => {
            return Err(NotFound::Malformed("the number of redirects must be at least 1"));
        }
        Some(1) => "/get".into(),
        Some(hops) => format!("/{name}/{}", hops - 1).into(),
    };
    Ok(Route::Redirect { path, form })
}

fn redirect_to(query: &str) -> Result<Route<'_>, NotFound> {
    let url = parameter(query, "url").ok_or(NotFound::Malformed("missing parameter url"))?;
    let status = match parameter(query, "status_code") {
        None => StatusCode::FOUND,
        Some(code) => status(&code)?,
    };
    if !status.is_redirection() {
        return Err(NotFound::Malformed("status_code must be between 300 and 399"));
    }
    Ok(Route::RedirectTo { url, status })
}

fn body_length(text: &str) -> Result<u64, NotFound> {
    digits(text)
        .filter(|length| *length <= MAX_BODY_BYTES)
        .ok_or(NotFound::Malformed("the body size must be a number of bytes up to 1 TiB"))
}

fn delay(text: &str) -> Result<Duration, NotFound> {
    // Plain seconds only, as in httpbin.
    let has_no_unit = text.ends_with(|last: char| last.is_ascii_digit());
    let duration = has_no_unit.then(|| units::duration(text).ok()).flatten();
    duration
        .filter(|duration| *duration <= MAX_DELAY)
        .ok_or(NotFound::Malformed("a time must be a number of seconds up to 3600"))
}

fn status(text: &str) -> Result<StatusCode, NotFound> {
    digits::<u16>(text)
        .filter(|code| (200..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(NotFound::Malformed("the status must be between 200 and 599"))
}

/// Parses a numeric parameter of the query; `None` if it is missing.
fn number<T: FromStr>(query: &str, name: &str) -> Result<Option<T>, NotFound> {
    parameter(query, name)
        .map(|text| digits(&text).ok_or(NotFound::Malformed("a numeric parameter is not a number")))
        .transpose()
}

/// A parameter of the query, decoded; `None` if it is missing.
fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value)
}

fn digits<T: FromStr>(text: &str) -> Option<T> {
    // `parse` alone would accept a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_malformed(target: &str) -> bool {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        matches!(find(path, query), Err(NotFound::Malformed(_)))
    }

    #[test]
    fn a_further_query_changes_nothing_but_the_url() {
        let route = Route::Bytes { length: 1024, cut: None };
        assert_eq!(find("/bytes/1024", ""), Ok(route.clone()));
        assert_eq!(find("/bytes/1024", "n=17&seed=3"), Ok(route));
    }

    #[test]
    fn options_are_read_decoded() {
        let route = Route::RedirectTo { url: "/get?a=b c".into(), status: StatusCode::SEE_OTHER };
        assert_eq!(find("/redirect-to", "status_code=303&url=%2Fget%3Fa%3Db+c"), Ok(route));
    }

    #[test]
    fn a_redirect_leads_to_the_next_and_the_last_to_get() {
        let path = |asked| match find(asked, "") {
            Ok(Route::Redirect { path, .. }) => path,
            other => panic!("{other:?}"),
        };
        assert_eq!(path("/redirect/3"), "/redirect/2");
        assert_eq!(path("/absolute-redirect/2"), "/absolute-redirect/1");
        assert_eq!(path("/redirect/1"), "/get");
    }

    #[test]
    fn times_are_seconds_with_decimals() {
        assert_eq!(find("/delay/0.25", ""), Ok(Route::Delay(Duration::from_millis(250))));
        assert_eq!(find("/delay/3600", ""), Ok(Route::Delay(MAX_DELAY)));
    }

    #[test]
    fn numbers_beyond_their_bounds_are_refused() {
        for target in [
            "/bytes/1099511627777",
            "/bytes/99999999999999999999999",
            "/bytes/",
            "/bytes/-1",
            "/bytes/+1",
            "/bytes/1/2",
            "/bytes/%31",
            "/bytes/1?cut=x",
            "/stream-bytes/1?chunk_size=0",
            "/stream-bytes/1?chunk_size=1048577",
            "/etag/",
            "/etag/\"",
            "/drip?numbytes=x",
            "/drip?duration=1m",
            "/drip?code=100",
            "/delay/3601",
            "/delay/inf",
            "/delay/NaN",
            "/delay/1s",
            "/status/101",
            "/status/600",
            "/status/x",
            "/redirect/0",
            "/redirect/x",
            "/redirect-to",
            "/redirect-to?url=/&status_code=200",
        ] {
            assert!(is_malformed(target), "{target}");
        }
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        for path in
            ["/nothing", "/bytes", "/drip/1", "//", "/../etc/passwd", "*", "", "/Bytes/1", "/get/"]
        {
            assert_eq!(find(path, ""), Err(NotFound::Unknown), "{path}");
        }
    }

    #[test]
    fn every_path_of_the_index_is_found() {
        for line in INDEX.lines().filter(|line| line.starts_with('/')) {
            let target = line.split_whitespace().next().unwrap();
            let target = ["CODE", "SECONDS", "TAG", "URL"]
                .iter()
                .fold(target.to_owned(), |target, word| target.replace(word, "200"));
            let target = target.replace('N', "200");
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            assert!(find(path, query).is_ok(), "{target}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_is_too_hostile_to_be_refused(path in "/?[a-z-]{0,12}/?.{0,40}", query in ".{0,40}") {
            let _ = find(&path, &query);
        }
    }
}
