//! Evaluates conditional requests: whether the client gets the body, a range of it, or 304 (RFC 9110 section 13). Pure.

use std::time::SystemTime;

use http::Method;
use http::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};

use super::ranges::{self, AskedRange, ServedRange};

/// The validators of the current version.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServedValidators<'a> {
    /// The entity tag, in its quotes; always a strong one.
    pub etag: &'a str,
    /// When the body last changed, in whole seconds; long enough ago to be a strong validator (section 8.8.2.2).
    pub last_modified: SystemTime,
}

/// The response to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConditionalResponse {
    /// 200 with the whole body.
    Whole,
    /// 206 with this range.
    Part(ServedRange),
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    Unsatisfiable,
}

/// Evaluates the conditions in the order of section 13.2.2, for GET and HEAD on a body of this length.
pub(super) fn evaluate(
    method: &Method,
    fields: &HeaderMap,
    validators: ServedValidators<'_>,
    length: u64,
) -> ConditionalResponse {
    if !matches_expected(fields, validators) {
        return ConditionalResponse::Failed;
    }
    if is_not_modified(fields, validators) {
        return ConditionalResponse::NotModified;
    }
    // Section 14.2: ranges are defined for GET only.
    if method != Method::GET || !if_range_matches(fields, validators) {
        return ConditionalResponse::Whole;
    }
    match single_value(fields, RANGE).map(|field| ranges::parse(field, length)) {
        None | Some(AskedRange::Whole) => ConditionalResponse::Whole,
        Some(AskedRange::Part(range)) => ConditionalResponse::Part(range),
        Some(AskedRange::Unsatisfiable) => ConditionalResponse::Unsatisfiable,
    }
}

/// If-Match, or else If-Unmodified-Since.
fn matches_expected(fields: &HeaderMap, validators: ServedValidators<'_>) -> bool {
    if fields.contains_key(IF_MATCH) {
        return any_tag_matches(fields, IF_MATCH, |tag| !tag.weak && tag.opaque == validators.etag);
    }
    date(fields, IF_UNMODIFIED_SINCE).is_none_or(|date| validators.last_modified <= date)
}

/// If-None-Match, or else If-Modified-Since.
fn is_not_modified(fields: &HeaderMap, validators: ServedValidators<'_>) -> bool {
    if fields.contains_key(IF_NONE_MATCH) {
        return any_tag_matches(fields, IF_NONE_MATCH, |tag| tag.opaque == validators.etag);
    }
    date(fields, IF_MODIFIED_SINCE).is_some_and(|date| validators.last_modified <= date)
}

/// If-Range: by strong comparison, or by exactly the same date (section 13.1.5).
fn if_range_matches(fields: &HeaderMap, validators: ServedValidators<'_>) -> bool {
    if !fields.contains_key(IF_RANGE) {
        return true;
    }
    let Some(field) = single_value(fields, IF_RANGE) else { return false };
    if field.starts_with('"') || field.starts_with("W/") {
        return field == validators.etag;
    }
    httpdate::parse_http_date(field).is_ok_and(|date| date == validators.last_modified)
}

/// The value of a header that may occur once; `None` if it is missing or repeated.
fn single_value(fields: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = fields.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok().map(str::trim)
}

/// A valid date; an invalid one is to be ignored (sections 13.1.3 and 13.1.4).
fn date(fields: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(single_value(fields, name)?).ok()
}

/// Whether a header is `*` or lists a tag that matches.
fn any_tag_matches(
    fields: &HeaderMap,
    name: HeaderName,
    matches: impl Fn(EntityTag<'_>) -> bool,
) -> bool {
    let mut values = fields.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.trim() == "*" || tags(value).any(&matches))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EntityTag<'a> {
    weak: bool,
    /// With its quotes.
    opaque: &'a str,
}

/// The tags of a list up to the first malformed one. A tag may contain a comma.
fn tags(mut rest: &str) -> impl Iterator<Item = EntityTag<'_>> {
    std::iter::from_fn(move || {
        let text = rest.trim_start_matches([' ', '\t', ',']);
        let (weak, text) = text.strip_prefix("W/").map_or((false, text), |text| (true, text));
        let end = text.strip_prefix('"')?.find('"')? + 2;
        rest = &text[end..];
        Some(EntityTag { weak, opaque: &text[..end] })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const CHANGED: &str = "Wed, 01 Jan 2025 00:00:00 GMT";
    const BEFORE: &str = "Tue, 31 Dec 2024 23:59:59 GMT";
    const AFTER: &str = "Wed, 01 Jan 2025 00:00:01 GMT";

    /// What is sent for a body of 10 bytes, tag "a", changed at `CHANGED`.
    fn sent(method: Method, fields: &[(HeaderName, &str)]) -> ConditionalResponse {
        let fields =
            fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let last_modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_600);
        evaluate(&method, &fields, ServedValidators { etag: "\"a\"", last_modified }, 10)
    }

    fn got(fields: &[(HeaderName, &str)]) -> ConditionalResponse {
        sent(Method::GET, fields)
    }

    const PART: ConditionalResponse = ConditionalResponse::Part(ServedRange { first: 2, last: 9 });

    #[test]
    fn without_conditions_all_of_it_is_sent() {
        assert_eq!(got(&[]), ConditionalResponse::Whole);
    }

    #[test]
    fn a_known_tag_is_not_sent_again_however_it_is_listed() {
        for list in ["\"a\"", "W/\"a\"", "*", "\"b\", \"a\"", "\"x,y\" ,W/\"a\"", ",\"a\""] {
            assert_eq!(got(&[(IF_NONE_MATCH, list)]), ConditionalResponse::NotModified, "{list}");
            assert_eq!(
                sent(Method::HEAD, &[(IF_NONE_MATCH, list)]),
                ConditionalResponse::NotModified,
                "{list}"
            );
        }
        for list in ["\"b\"", "a", "", "\"a", "\"A\"", "\"b,\"a\"\""] {
            assert_eq!(got(&[(IF_NONE_MATCH, list)]), ConditionalResponse::Whole, "{list}");
        }
    }

    #[test]
    fn the_date_counts_only_where_no_tag_is_named() {
        assert_eq!(got(&[(IF_MODIFIED_SINCE, CHANGED)]), ConditionalResponse::NotModified);
        assert_eq!(got(&[(IF_MODIFIED_SINCE, AFTER)]), ConditionalResponse::NotModified);
        assert_eq!(got(&[(IF_MODIFIED_SINCE, BEFORE)]), ConditionalResponse::Whole);
        assert_eq!(got(&[(IF_MODIFIED_SINCE, "yesterday")]), ConditionalResponse::Whole);
        let both = [(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, AFTER)];
        assert_eq!(got(&both), ConditionalResponse::Whole);
    }

    #[test]
    fn an_expected_tag_must_match_strongly() {
        assert_eq!(got(&[(IF_MATCH, "\"a\"")]), ConditionalResponse::Whole);
        assert_eq!(got(&[(IF_MATCH, "*")]), ConditionalResponse::Whole);
        assert_eq!(got(&[(IF_MATCH, "W/\"a\"")]), ConditionalResponse::Failed);
        assert_eq!(got(&[(IF_MATCH, "\"b\"")]), ConditionalResponse::Failed);
        assert_eq!(got(&[(IF_UNMODIFIED_SINCE, CHANGED)]), ConditionalResponse::Whole);
        assert_eq!(got(&[(IF_UNMODIFIED_SINCE, BEFORE)]), ConditionalResponse::Failed);
        let both = [(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, BEFORE)];
        assert_eq!(got(&both), ConditionalResponse::Whole);
    }

    #[test]
    fn a_failed_expectation_goes_before_a_known_tag_and_a_known_tag_before_a_range() {
        let all = [(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\""), (RANGE, "bytes=2-")];
        assert_eq!(got(&all), ConditionalResponse::Failed);
        assert_eq!(got(&all[1..]), ConditionalResponse::NotModified);
        assert_eq!(got(&all[2..]), PART);
    }

    #[test]
    fn a_range_is_served_only_to_continue_the_same_version() {
        let with = |validator| got(&[(RANGE, "bytes=2-"), (IF_RANGE, validator)]);
        assert_eq!(with("\"a\""), PART);
        assert_eq!(with(CHANGED), PART);
        for other in ["\"b\"", "W/\"a\"", "*", AFTER, BEFORE, "a", ""] {
            assert_eq!(with(other), ConditionalResponse::Whole, "{other}");
        }
        let beyond = |validator| got(&[(RANGE, "bytes=10-"), (IF_RANGE, validator)]);
        assert_eq!(beyond("\"a\""), ConditionalResponse::Unsatisfiable);
        assert_eq!(beyond("\"b\""), ConditionalResponse::Whole);
    }

    #[test]
    fn head_knows_no_ranges() {
        assert_eq!(sent(Method::HEAD, &[(RANGE, "bytes=2-")]), ConditionalResponse::Whole);
        assert_eq!(sent(Method::HEAD, &[(RANGE, "bytes=10-")]), ConditionalResponse::Whole);
    }

    #[test]
    fn a_range_named_twice_is_none() {
        let mut fields = HeaderMap::new();
        fields.append(RANGE, "bytes=2-".parse().unwrap());
        fields.append(RANGE, "bytes=3-".parse().unwrap());
        assert_eq!(single_value(&fields, RANGE), None);
    }
}
