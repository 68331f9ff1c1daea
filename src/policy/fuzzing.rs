//! Fuzz targets for Retry-After, heads of replies to range requests, and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, UNIX_EPOCH};

use url::{Host, Url};

use super::resume::{ContentRange, RangeReply, RangeRequest, length_of_whole, range_reply};
use super::retry::asked_wait;
use super::robots::RobotsRules;
use super::special_addresses::{carried, why_not_public};
use super::target_rules::{ensure_address_allowed, is_forbidden};
use crate::model::{PartialBody, ResponseHead, Validator};
use crate::plan::{AddressBlock, AddressScope, HostRule, TargetRules};

/// A Retry-After, behind four bytes that say what time it is.
pub fn retry_after(data: &[u8]) {
    let Some((clock, text)) = data.split_first_chunk() else { return };
    let (seconds, text) = (u32::from_le_bytes(*clock), String::from_utf8_lossy(text));
    let now = UNIX_EPOCH + Duration::from_secs(seconds.into());
    let wait = asked_wait(&text, now);
    assert_eq!(asked_wait(&format!(" {text}\t"), now), wait);
    if let Ok(seconds) = text.parse::<u32>()
        && !text.starts_with('+')
    {
        assert_eq!(wait, Some(Duration::from_secs(seconds.into())));
        let date = httpdate::fmt_http_date(now + Duration::from_secs(seconds.into()));
        assert_eq!(asked_wait(&date, now), wait, "{date}");
        assert_eq!(asked_wait(&date, now + Duration::from_secs(1 << 34)), Some(Duration::ZERO));
    }
}

/// The head of a reply, one field a line, behind the status and what is there of the body: nothing is taken for the rest
/// of a body that is not.
pub fn content_range(data: &[u8]) {
    let Some(([status, there, length], text)) = data.split_first_chunk::<3>() else { return };
    let text = String::from_utf8_lossy(text);
    let mut lines = text.split('\n').map(|line| Some(line.to_owned()));
    let mut next = || lines.next().flatten().filter(|line| !line.is_empty());
    let head = ResponseHead {
        status: [206, 200, 416, 203, 304, 204][usize::from(*status) % 6],
        content_range: next(),
        content_length: next().and_then(|line| line.parse().ok()),
        etag: next(),
        last_modified: next(),
        date: next(),
        content_type: next(),
        content_encoding: next(),
        ..ResponseHead::default()
    };
    let validator = match head.last_modified.clone().filter(|_| length % 2 == 1) {
        Some(date) => Validator::LastModified(date),
        None => Validator::Etag(head.etag.clone().unwrap_or_else(|| "\"v\"".to_owned())),
    };
    let length = (*length > 1).then_some(u64::from(*length));
    let bytes = u64::from(*there).min(length.unwrap_or(u64::MAX));
    let from = "http://a.test/".to_owned();
    let part = PartialBody { bytes, spans: None, length, validator, mirror: 0, from };
    let _ = super::resume::validator(&head);
    check_range(&head);
    for request in [
        RangeRequest::Rest(&part),
        RangeRequest::Segment(&part, bytes + 7),
        RangeRequest::Whole,
        RangeRequest::Unconditional,
    ] {
        check_reply(request, &head);
    }
}

fn check_range(head: &ResponseHead) {
    let Some(range) = head.content_range.as_deref().and_then(ContentRange::read) else { return };
    let length = range.length.map_or("*".to_owned(), |length| length.to_string());
    let bytes = range.bytes.map_or("*".to_owned(), |(first, last)| format!("{first}-{last}"));
    assert_eq!(ContentRange::read(&format!("bytes {bytes}/{length}")), Some(range));
    if let (Some((first, last)), length) = (range.bytes, range.length) {
        assert!(first <= last && length.is_none_or(|length| last < length));
    }
}

fn check_reply(request: RangeRequest<'_>, head: &ResponseHead) {
    let part = match request {
        RangeRequest::Rest(part) | RangeRequest::Segment(part, _) => Some(part),
        _ => None,
    };
    match range_reply(request, head) {
        RangeReply::Rest(range) => {
            let part = part.expect("the rest was asked for");
            assert!(head.status == 206 && part.bytes < range.end && range.end <= range.length);
            assert!(part.length.is_none_or(|known| known == range.length));
            let rest = range.end - part.bytes;
            assert!(head.content_length.is_none_or(|sent| sent == rest));
            assert!(!matches!(request, RangeRequest::Segment(_, end) if end != range.end));
        }
        RangeReply::Complete => {
            let part = part.expect("the rest was asked for");
            assert!(head.status == 416 && part.length.is_none_or(|known| known == part.bytes));
        }
        RangeReply::Whole => {
            assert!(matches!(head.status, 200 | 203 | 204 | 206));
            assert!(head.status != 206 || length_of_whole(head).is_some());
        }
        RangeReply::Unchanged => panic!("no condition was sent"),
        RangeReply::Restart => assert!(part.is_some()),
        RangeReply::Other => {}
    }
}

/// An address as bytes, and as a host of a URL in any spelling: all forms of one address are judged as it is, and what is
/// denied is denied.
pub fn addresses(data: &[u8]) {
    if let Some((bytes, _)) = data.split_first_chunk::<16>() {
        check_address(Ipv6Addr::from(*bytes).into());
    }
    if let Some((bytes, _)) = data.split_first_chunk::<4>() {
        let address = Ipv4Addr::from(*bytes);
        check_address(address.into());
        forms(address).into_iter().for_each(|form| {
            assert!(carried(form).contains(&address), "{form}");
            assert!(
                why_not_public(address.into()).is_none() || why_not_public(form.into()).is_some(),
                "{form}"
            );
            check_address(form.into());
        });
    }
    let text = String::from_utf8_lossy(data);
    let Ok(url) = Url::parse(&format!("http://{text}/")) else { return };
    match url.host() {
        Some(Host::Ipv4(address)) => check_url(&url, address.into()),
        Some(Host::Ipv6(address)) => check_url(&url, address.into()),
        Some(Host::Domain(name)) => {
            assert!(name.parse::<IpAddr>().is_err(), "{name}");
            let is_local = name.trim_end_matches('.').rsplit('.').next() == Some("localhost");
            assert_eq!(is_forbidden(&public_only(), &url), is_local, "{url}");
        }
        None => {}
    }
}

fn public_only() -> TargetRules {
    TargetRules { addresses: AddressScope::Public, ..TargetRules::default() }
}

/// The IPv6 forms of an IPv4 address.
fn forms(address: Ipv4Addr) -> Vec<Ipv6Addr> {
    let bits = u128::from(address.to_bits());
    let at = |prefix: u128, skip: u32| Ipv6Addr::from_bits(prefix << 96 | bits << (96 - skip));
    let mut forms = vec![
        address.to_ipv6_mapped(),
        at(0x64_ff9b, 96),
        at(0x2002_0000, 16),
        Ipv6Addr::from_bits(0x2001_0000 << 96 | u128::from(!address.to_bits())),
        at(0x2001_0000, 32),
    ];
    if address.to_bits() > 1 {
        forms.push(address.to_ipv6_compatible());
    }
    forms
}

fn check_url(url: &Url, address: IpAddr) {
    check_address(address);
    assert_eq!(is_forbidden(&public_only(), url), why_not_public(address).is_some(), "{url}");
}

fn check_address(address: IpAddr) {
    let why = why_not_public(address);
    assert!(why.is_none_or(|why| why.to_string().is_ascii()));
    let allowed = |rules: &TargetRules| ensure_address_allowed(rules, "a.test", address).is_ok();
    assert_eq!(allowed(&public_only()), why.is_none(), "{address}");
    if let IpAddr::V6(address) = address {
        let is_bad = |inner: &Ipv4Addr| why_not_public((*inner).into()).is_some();
        assert!(!carried(address).iter().any(is_bad) || why.is_some(), "{address}");
    }
    let everything = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
        .map(|first| HostRule::Network(AddressBlock::new(first, 0).expect("a block")));
    let this = HostRule::Network(AddressBlock::single(address.to_canonical()));
    let mut rules = TargetRules { allowed: everything.to_vec(), ..public_only() };
    assert!(allowed(&rules), "{address}");
    rules.denied = vec![this];
    assert!(!allowed(&rules), "{address}");
}

/// A robots.txt, and after an empty line a path: what it says does not depend on the fragment, and robots.txt itself is
/// always allowed.
pub fn robots(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (path, body) = text.split_once('\n').unwrap_or(("", &text));
    let rules = RobotsRules::parse(body.as_bytes(), "fetch");
    let base = Url::parse("https://a.test/").expect("a URL");
    let Ok(mut url) = base.join(&format!("/{path}")) else { return };
    let allowed = rules.allows(&url);
    url.set_fragment(Some("x"));
    assert_eq!(rules.allows(&url), allowed, "{url}");
    for line_end in ["\r\n", "\r"] {
        let other = body.replace("\r\n", "\n").replace('\r', "\n").replace('\n', line_end);
        assert_eq!(RobotsRules::parse(other.as_bytes(), "fetch").allows(&url), allowed, "{url}");
    }
}
