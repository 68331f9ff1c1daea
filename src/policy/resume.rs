//! Resuming partial bodies, and revalidating saved ones: which range or condition to send, and whether the reply fits. Pure.

use crate::model::{
    Job, JobKind, OverwriteRule, PartialBody, ResponseHead, SavePlace, SavedVersion, Validator,
    resource,
};

/// How much later than its Last-Modified a reply must be dated for that to be a strong validator: two versions may have
/// been made within one second, and clocks differ (RFC 9110 section 8.8.2.2).
const STRONG_AFTER: std::time::Duration = std::time::Duration::from_secs(60);

/// The range or condition of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeRequest<'a> {
    /// The whole body, without a condition.
    Whole,
    /// The missing rest of this partial body, or all if the version is another one (If-Range, RFC 9110 section 13.1.5).
    Rest(&'a PartialBody),
    /// The same up to this byte: a segment.
    Segment(&'a PartialBody, u64),
    /// Whatever the header fields given by the user ask for.
    Unconditional,
    /// The body if it is no longer this version (RFC 9110 section 13.1).
    IfChanged(&'a SavedVersion),
}

/// How a reply answers a [`RangeRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeReply {
    /// With the whole body.
    Whole,
    /// With the missing rest of the partial body, or the beginning of it.
    Rest(ResumeRange),
    /// The partial body is complete.
    Complete,
    /// The saved version is the current one.
    Unchanged,
    /// The partial body cannot be continued: the body has to be requested as a whole.
    Restart,
    /// As to any other request: with an error or a redirect.
    Other,
}

/// The range of a reply that continues a partial body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResumeRange {
    /// The byte after its last one.
    pub end: u64,
    /// The length of the whole body.
    pub length: u64,
}

/// The range or condition that `job` sends.
pub(crate) fn range_request(job: &Job) -> RangeRequest<'_> {
    match (&job.kind, &job.part) {
        (JobKind::Body, _) => {}
        (JobKind::Segment { end }, Some(part)) => return RangeRequest::Segment(part, *end),
        _ => return RangeRequest::Whole,
    }
    match (&job.part, &job.place) {
        (Some(part), _) if part.spans.is_none() && is_here(part, job) => RangeRequest::Rest(part),
        // Once another version has been begun, the manifest no longer has the saved one.
        (None, Some(place)) if !job.begun => match &place.saved {
            Some(version) if version.etag.is_some() || version.last_modified.is_some() => {
                RangeRequest::IfChanged(version)
            }
            _ => RangeRequest::Whole,
        },
        _ => RangeRequest::Whole,
    }
}

/// Whether `job` requests the resource that its partial body came from.
fn is_here(part: &PartialBody, job: &Job) -> bool {
    part.mirror == job.mirror && part.from == resource(&job.url)
}

/// The segmented partial body that `job` continues; `None` if it has none, or requests another resource.
pub(crate) fn begun_in_spans(job: &Job) -> Option<&PartialBody> {
    let is_it =
        |part: &&PartialBody| part.spans.is_some() && part.length.is_some() && is_here(part, job);
    job.part.as_ref().filter(is_it).filter(|_| job.kind == JobKind::Body)
}

/// How a reply with this head answers a request. A partial body is continued only by a reply that is proven to be of the
/// same version: servers that honor Range may ignore If-Range.
pub(crate) fn range_reply(request: RangeRequest<'_>, head: &ResponseHead) -> RangeReply {
    match (request, head.status) {
        (RangeRequest::Rest(part), 206) => rest(part, head),
        (RangeRequest::Rest(part), 416) if is_all(part, head) => RangeReply::Complete,
        (RangeRequest::Rest(_), 304 | 416) => RangeReply::Restart,
        (RangeRequest::Segment(part, end), 206) => match rest(part, head) {
            RangeReply::Rest(span) if span.end == end => RangeReply::Rest(span),
            _ => RangeReply::Restart,
        },
        (RangeRequest::Rest(part), 200 | 203) if !shows_the_whole(part, head) => {
            RangeReply::Restart
        }
        (RangeRequest::Segment(..), 200..=399 | 416) => RangeReply::Restart,
        (RangeRequest::IfChanged(_), 304) => RangeReply::Unchanged,
        (_, 200 | 203) if !is_contradicted(head) => RangeReply::Whole,
        (_, 206) if is_the_whole_in_one_part(head) => RangeReply::Whole,
        (RangeRequest::Whole | RangeRequest::Unconditional, 204) => RangeReply::Whole,
        _ => RangeReply::Other,
    }
}

/// Whether a reply to a request for the rest, with a status that stands for the whole, must have the whole body. Some
/// servers send the requested range with that status. The length shows it, or that the version is another one; where
/// neither does, the whole has to be requested.
fn shows_the_whole(part: &PartialBody, head: &ResponseHead) -> bool {
    if head.content_range.is_some() {
        return false;
    }
    match (head.content_length, part.length) {
        (Some(length), Some(known)) if length == known => true,
        // As long as the missing rest: that is what it may be, whatever the validator says.
        (Some(length), Some(known)) if known.checked_sub(part.bytes) == Some(length) => false,
        _ => is_of_another_version(&part.validator, head),
    }
}

/// Whether a Content-Range contradicts a status that stands for the whole body.
fn is_contradicted(head: &ResponseHead) -> bool {
    head.content_range.is_some() && !covers_the_whole(head)
}

/// Whether a 206 that nobody asked for has the whole body nevertheless.
fn is_the_whole_in_one_part(head: &ResponseHead) -> bool {
    !is_of_several_parts(head) && covers_the_whole(head)
}

/// Whether the Content-Range is that of the whole body, and the length of the reply agrees.
fn covers_the_whole(head: &ResponseHead) -> bool {
    let range = head.content_range.as_deref().and_then(ContentRange::read);
    let Some(ContentRange { bytes: Some((0, last)), length: Some(length) }) = range else {
        return false;
    };
    last + 1 == length && head.content_length.is_none_or(|sent| sent == length)
}

/// The length that a reply with the whole body must have; `None` if it names none. Without a Content-Length, that is the
/// one of a Content-Range that covers the whole.
pub(crate) fn length_of_whole(head: &ResponseHead) -> Option<u64> {
    let range = || head.content_range.as_deref().and_then(ContentRange::read)?.length;
    head.content_length.or_else(range)
}

/// Whether something is saved, or begun, under the name that the body of `job` gets. Only a whole body with status 200
/// or 203 may replace it, or a range that is proven to continue it.
pub(crate) fn has_something_to_lose(job: &Job) -> bool {
    let saved = |place: &std::sync::Arc<SavePlace>| {
        place.saved.is_some() || place.part.is_some() || place.over == OverwriteRule::File
    };
    job.begun || job.part.is_some() || job.place.as_ref().is_some_and(saved)
}

/// A 206 without the length of the whole is refused: nothing would show whether the rest is all of it. So is one whose
/// Content-Length is not that of its range: its bytes may be others than the range names.
fn rest(part: &PartialBody, head: &ResponseHead) -> RangeReply {
    let range = head.content_range.as_deref().and_then(ContentRange::read);
    let Some(ContentRange { bytes: Some((first, last)), length: Some(length) }) = range else {
        return RangeReply::Restart;
    };
    let agrees = part.length.is_none_or(|known| length == known);
    let is_as_long = head.content_length.is_none_or(|sent| sent == last + 1 - first);
    let is_plain = !is_coded(head) && !is_of_several_parts(head);
    let is_sound = agrees && is_as_long && is_plain;
    if first == part.bytes && is_sound && is_of_version(&part.validator, head) {
        RangeReply::Rest(ResumeRange { end: last + 1, length })
    } else {
        RangeReply::Restart
    }
}

fn is_all(part: &PartialBody, head: &ResponseHead) -> bool {
    let range = head.content_range.as_deref().and_then(ContentRange::read);
    let length = range.and_then(|range| range.length);
    let is_known_to_be_all = match part.length {
        Some(known) => known == part.bytes && !is_of_another_version(&part.validator, head),
        None => is_of_version(&part.validator, head),
    };
    length == Some(part.bytes) && is_known_to_be_all
}

/// Whether the reply says that its version is another one; it may say nothing.
fn is_of_another_version(validator: &Validator, head: &ResponseHead) -> bool {
    match validator {
        Validator::Etag(tag) => head.etag.as_ref().is_some_and(|sent| sent != tag),
        Validator::LastModified(date) => {
            head.last_modified.as_ref().is_some_and(|sent| sent != date)
        }
    }
}

fn is_of_version(validator: &Validator, head: &ResponseHead) -> bool {
    match validator {
        Validator::Etag(tag) => head.etag.as_ref() == Some(tag),
        Validator::LastModified(date) => head.last_modified.as_ref() == Some(date),
    }
}

/// Whether the body has a content coding. Servers give one strong tag to coded and uncoded bodies, though they must not
/// (RFC 9110 section 8.8.3.3).
fn is_coded(head: &ResponseHead) -> bool {
    let mut names = head.content_encoding.as_deref().unwrap_or("").split(',').map(str::trim);
    names.any(|name| !is_no_coding(name))
}

/// Whether a name in Content-Encoding stands for no coding of the body: `identity` and the empty one (RFC 9110 section
/// 12.5.3), names that servers send for it, and `aws-chunked`, which S3 keeps from the upload.
pub(crate) fn is_no_coding(name: &str) -> bool {
    const NAMES: [&str; 6] = ["", "identity", "none", "utf-8", "utf8", "aws-chunked"];
    NAMES.iter().any(|known| name.trim().eq_ignore_ascii_case(known))
}

/// Whether the body is a multipart one, of several ranges (RFC 9110 section 14.6).
fn is_of_several_parts(head: &ResponseHead) -> bool {
    let kind = head.content_type.as_deref().and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("multipart/byteranges"))
}

/// The strong validator of a reply's body; `None` if it has none.
pub(crate) fn validator(head: &ResponseHead) -> Option<Validator> {
    if is_coded(head) {
        return None;
    }
    if let Some(tag) = &head.etag {
        let inner = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        // Other bytes are allowed, but neither keep their difference as text nor can be sent back.
        let is_told = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"';
        let is_strong = inner.is_some_and(|inner| inner.bytes().all(is_told));
        return is_strong.then(|| Validator::Etag(tag.clone()));
    }
    let modified = httpdate::parse_http_date(head.last_modified.as_deref()?).ok()?;
    let date = httpdate::parse_http_date(head.date.as_deref()?).ok()?;
    let is_strong = date.duration_since(modified).is_ok_and(|age| age >= STRONG_AFTER);
    is_strong.then(|| Validator::LastModified(head.last_modified.clone().unwrap_or_default()))
}

/// A Content-Range field (RFC 9110 section 14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// Its first byte and its last one; `None` if the range asked for is not there.
    pub bytes: Option<(u64, u64)>,
    /// Bytes of the whole; `None` if not known.
    pub length: Option<u64>,
}

impl ContentRange {
    /// Parses the value of the field; `None` if it is malformed.
    pub(super) fn read(field: &str) -> Option<Self> {
        let (unit, rest) = field.trim().split_once(' ')?;
        let (range, length) = rest.trim().split_once('/')?;
        let length = match length {
            "*" => None,
            digits => Some(number(digits)?),
        };
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        if range == "*" {
            return Some(Self { bytes: None, length });
        }
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let is_sound = first <= last && length.is_none_or(|length| last < length);
        is_sound.then_some(Self { bytes: Some((first, last)), length })
    }
}

fn number(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const A_MINUTE_LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";

    pub(crate) fn part() -> PartialBody {
        let validator = Validator::Etag("\"v1\"".to_owned());
        let from = "http://a.test/".to_owned();
        PartialBody { bytes: 40, spans: None, length: Some(100), validator, mirror: 0, from }
    }

    fn reply(status: u16, range: &str, etag: &str) -> ResponseHead {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        ResponseHead {
            status,
            content_range: some(range),
            etag: some(etag),
            ..ResponseHead::default()
        }
    }

    fn answered(part: &PartialBody, status: u16, range: &str, etag: &str) -> RangeReply {
        range_reply(RangeRequest::Rest(part), &reply(status, range, etag))
    }

    #[test]
    fn a_part_is_continued_with_what_is_proven_to_follow_it() {
        let go = |range, etag| answered(&part(), 206, range, etag);
        let until = |end| RangeReply::Rest(ResumeRange { end, length: 100 });
        assert_eq!(go("bytes 40-99/100", "\"v1\""), until(100));
        assert_eq!(go("bytes 40-59/100", "\"v1\""), until(60), "less is no fault");
        for (range, etag, why) in [
            ("bytes 40-99/100", "\"v2\"", "another version"),
            ("bytes 40-99/100", "W/\"v1\"", "a weak tag proves nothing"),
            ("bytes 40-99/100", "", "no proof"),
            ("bytes 41-99/100", "\"v1\"", "another start"),
            ("bytes 0-99/100", "\"v1\"", "from the beginning"),
            ("bytes 40-100/101", "\"v1\"", "another length"),
            ("bytes 40-99/*", "\"v1\"", "no length, where it was known"),
            ("bytes 99-40/100", "\"v1\"", "backwards"),
            ("bytes 40-100/100", "\"v1\"", "beyond its end"),
            ("lines 40-99/100", "\"v1\"", "not bytes"),
            ("bytes */100", "\"v1\"", "no range"),
            ("", "\"v1\"", "no field, as in several parts"),
            ("bytes +40-99/100", "\"v1\"", "no number"),
        ] {
            assert_eq!(go(range, etag), RangeReply::Restart, "{why}");
        }
        let unknown = PartialBody { length: None, ..part() };
        assert_eq!(answered(&unknown, 206, "bytes 40-99/100", "\"v1\""), until(100));
        let endless = answered(&unknown, 206, "bytes 40-99/*", "\"v1\"");
        assert_eq!(endless, RangeReply::Restart, "nothing would tell whether that is all");
    }

    #[test]
    fn a_range_continues_nothing_if_its_message_has_another_length() {
        let of_length = |length| {
            let head = reply(206, "bytes 40-99/100", "\"v1\"");
            let head = ResponseHead { content_length: length, ..head };
            range_reply(RangeRequest::Rest(&part()), &head)
        };
        let rest = RangeReply::Rest(ResumeRange { end: 100, length: 100 });
        assert_eq!([None, Some(60)].map(of_length), [rest; 2]);
        assert_eq!([Some(59), Some(61), Some(100)].map(of_length), [RangeReply::Restart; 3]);
    }

    #[test]
    fn what_is_coded_or_made_of_several_parts_continues_nothing() {
        let plain = reply(206, "bytes 40-99/100", "\"v1\"");
        let go = |head: ResponseHead| range_reply(RangeRequest::Rest(&part()), &head);
        let coded = |coding: &str| ResponseHead {
            content_encoding: Some(coding.to_owned()),
            ..plain.clone()
        };
        let of_type =
            |kind: &str| ResponseHead { content_type: Some(kind.to_owned()), ..plain.clone() };
        for head in [plain.clone(), coded("identity"), coded(""), of_type("text/html")] {
            assert_ne!(go(head), RangeReply::Restart);
        }
        for head in [coded("gzip"), coded("identity, br"), of_type("Multipart/ByteRanges; a=b")] {
            assert_eq!(go(head), RangeReply::Restart);
        }
        assert_eq!(validator(&coded("gzip")), None);
        assert_ne!(validator(&coded("identity")), None);
    }

    #[test]
    fn a_whole_reply_to_a_range_is_a_beginning_and_no_failure() {
        assert_eq!(answered(&part(), 200, "", "\"v2\""), RangeReply::Whole);
    }

    #[test]
    fn a_part_as_long_as_the_whole_is_complete() {
        let all = PartialBody { bytes: 100, ..part() };
        let go = |range, etag| answered(&all, 416, range, etag);
        assert_eq!(go("bytes */100", "\"v1\""), RangeReply::Complete);
        assert_eq!(go("bytes */100", ""), RangeReply::Complete);
        assert_eq!(go("bytes */100", "\"v2\""), RangeReply::Restart);
        assert_eq!(go("bytes */101", ""), RangeReply::Restart);
        assert_eq!(go("bytes */*", ""), RangeReply::Restart);
        assert_eq!(go("", ""), RangeReply::Restart);
        assert_eq!(
            answered(&part(), 416, "bytes */40", ""),
            RangeReply::Restart,
            "100 were promised"
        );
        let unknown = PartialBody { length: None, ..all };
        let go = |etag| answered(&unknown, 416, "bytes */100", etag);
        assert_eq!(go("\"v1\""), RangeReply::Complete);
        assert_eq!(
            go(""),
            RangeReply::Restart,
            "another version may be as long as the part is by chance"
        );
    }

    #[test]
    fn not_modified_is_an_answer_to_a_condition_alone() {
        let version = SavedVersion {
            bytes: 1,
            etag: Some("\"v1\"".to_owned()),
            last_modified: None,
            digest: None,
        };
        let head = reply(304, "", "\"v1\"");
        assert_eq!(range_reply(RangeRequest::IfChanged(&version), &head), RangeReply::Unchanged);
        assert_eq!(range_reply(RangeRequest::Rest(&part()), &head), RangeReply::Restart);
        assert_eq!(range_reply(RangeRequest::Whole, &head), RangeReply::Other);
        for (range, length, answer) in [
            ("bytes 0-9/10", None, RangeReply::Whole),
            ("bytes 0-9/10", Some(10), RangeReply::Whole),
            ("bytes 0-9/10", Some(9), RangeReply::Other),
            ("bytes 0-8/10", None, RangeReply::Other),
            ("bytes 0-9/*", None, RangeReply::Other),
        ] {
            let head = ResponseHead { content_length: length, ..reply(206, range, "") };
            assert_eq!(range_reply(RangeRequest::Whole, &head), answer, "{range} {length:?}");
        }
        assert_eq!(
            range_reply(RangeRequest::IfChanged(&version), &reply(200, "", "")),
            RangeReply::Whole
        );
        assert_eq!(
            range_reply(RangeRequest::Rest(&part()), &reply(503, "", "")),
            RangeReply::Other
        );
    }

    #[test]
    fn only_strong_validators_are_taken() {
        let dated = |modified: &str, date: &str| ResponseHead {
            last_modified: Some(modified.to_owned()),
            date: Some(date.to_owned()),
            ..ResponseHead::default()
        };
        let tagged =
            |tag: &str| ResponseHead { etag: Some(tag.to_owned()), ..dated(DATE, A_MINUTE_LATER) };
        assert_eq!(validator(&tagged("\"a\"")), Some(Validator::Etag("\"a\"".to_owned())));
        assert_eq!(validator(&tagged("W/\"a\"")), None, "where the tag is weak, so is the date");
        for tag in ["a", "\"", "\"a", "a\"", "\"a\"b\"", "\"\u{fffd}\"", "\"\t\""] {
            assert_eq!(validator(&tagged(tag)), None, "{tag}");
        }
        let date = Validator::LastModified(DATE.to_owned());
        assert_eq!(validator(&dated(DATE, A_MINUTE_LATER)), Some(date));
        assert_eq!(validator(&dated(DATE, DATE)), None);
        assert_eq!(validator(&dated("yesterday", A_MINUTE_LATER)), None);
        assert_eq!(validator(&ResponseHead::default()), None);
    }

    #[test]
    fn what_another_mirror_began_is_not_continued() {
        let mut job = crate::policy::next_action::tests::job("http://a.test/ http://b.test/");
        job.part = Some(part());
        assert_eq!(range_request(&job), RangeRequest::Rest(&part()));
        job.mirror = 1;
        assert_eq!(range_request(&job), RangeRequest::Whole);
    }

    #[test]
    fn what_a_redirect_led_to_is_continued_there_and_nowhere_else() {
        let mut job = crate::policy::next_action::tests::job("http://a.test/latest");
        let from = "https://b.test:8443/v1".to_owned();
        job.part = Some(PartialBody { from, ..part() });
        assert_eq!(
            range_request(&job),
            RangeRequest::Whole,
            "the listed URL leads there, or elsewhere"
        );
        for (url, is_it) in [
            ("https://user:secret@b.test:8443/v1?signature=2#x", true),
            ("https://b.test:8443/v2", false),
            ("https://b.test/v1", false),
            ("http://b.test:8443/v1", false),
        ] {
            job.url = url.parse().unwrap();
            assert_eq!(matches!(range_request(&job), RangeRequest::Rest(_)), is_it, "{url}");
        }
    }
}
