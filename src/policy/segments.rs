//! Segmented downloads: which bodies are fetched in segments, and in which ranges. Pure.

use std::ops::Range;

use super::resume::{self, RangeReply, RangeRequest};
use crate::model::{Job, JobKind, ResponseHead};
use crate::plan::{BodyOptions, Compression, SegmentOptions};

/// What decides whether the body of a reply is fetched in segments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyInfo<'a> {
    /// The range or condition of the request.
    pub asked: RangeRequest<'a>,
    /// How the reply answers it.
    pub answer: RangeReply,
    /// The head of the reply.
    pub head: &'a ResponseHead,
    /// The Content-Length, if it has one.
    pub length: Option<u64>,
    /// Whether the server says that it supports ranges (Accept-Ranges, RFC 9110 section 14.3).
    pub takes_ranges: bool,
}

/// Whether the body of `job` is to be fetched in segments rather than read from this reply.
///
/// That needs a strong validator, to prove that all segments are of one version; a file to write to; and a body without
/// a content coding.
pub(crate) fn should_split(job: &Job, offer: ReplyInfo<'_>, bodies: &BodyOptions) -> bool {
    let SegmentOptions { most, least } = bodies.split;
    if most.get() == 1 || job.in_one || job.place.is_none() || job.kind != JobKind::Body {
        return false;
    }
    let whole = match (offer.asked, offer.answer, offer.head.status) {
        (RangeRequest::Whole | RangeRequest::IfChanged(_), RangeReply::Whole, 200)
            if offer.takes_ranges && resume::validator(offer.head).is_some() =>
        {
            offer.length
        }
        (RangeRequest::Rest(_), RangeReply::Rest(span), _) => Some(span.length),
        _ => None,
    };
    let Some((whole, comes)) = whole.zip(offer.length) else { return false };
    comes / 2 >= least.get()
        && bodies.max_filesize.is_none_or(|most| whole <= most)
        && bodies.coding == Compression::Identity
}

/// Divides the missing ranges of a body into segments of about the same length: as many as may be in progress at a time,
/// fewer if they would get too small, more if there are more gaps.
pub(crate) fn segments(missing: Vec<Range<u64>>, split: SegmentOptions) -> Vec<Range<u64>> {
    let length = |gap: &Range<u64>| gap.end - gap.start;
    let mut cuts: Vec<(Range<u64>, u64)> = missing.into_iter().map(|gap| (gap, 1)).collect();
    for _ in cuts.len()..split.most.get() {
        let coarsest = cuts.iter_mut().max_by_key(|(gap, pieces)| length(gap) / *pieces);
        let Some((gap, pieces)) = coarsest else { break };
        if length(gap) / (*pieces + 1) < split.least.get() {
            break;
        }
        *pieces += 1;
    }
    cuts.into_iter().flat_map(|(gap, pieces)| cut_range(gap, pieces)).collect()
}

/// Divides a gap into `pieces` pieces.
fn cut_range(gap: Range<u64>, pieces: u64) -> impl Iterator<Item = Range<u64>> {
    let (each, rest) = ((gap.end - gap.start) / pieces, (gap.end - gap.start) % pieces);
    let at = move |piece: u64| gap.start + piece * each + piece.min(rest);
    (0..pieces).map(move |piece| at(piece)..at(piece + 1))
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU64, NonZeroUsize};
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{ByteRanges, OverwriteRule, SavePlace};
    use crate::policy::next_action::tests::job;

    fn split(most: usize, least: u64) -> SegmentOptions {
        let (most, least) = (NonZeroUsize::new(most).unwrap(), NonZeroU64::new(least).unwrap());
        SegmentOptions { most, least }
    }

    fn offer(head: &ResponseHead, length: Option<u64>, takes_ranges: bool) -> ReplyInfo<'_> {
        ReplyInfo {
            asked: RangeRequest::Whole,
            answer: RangeReply::Whole,
            head,
            length,
            takes_ranges,
        }
    }

    #[test]
    fn a_body_is_divided_where_its_segments_are_sure_to_be_of_one_version() {
        let some = |text: &str| Some(text.to_owned());
        let head = ResponseHead { status: 200, etag: some("\"v1\""), ..ResponseHead::default() };
        let bodies = BodyOptions { split: split(4, 50), ..BodyOptions::default() };
        let mut saved = job("http://a.test/");
        let name = "a".into();
        let place =
            SavePlace { name, over: OverwriteRule::Nothing, noted: false, saved: None, part: None };
        saved.place = Some(Arc::new(place));
        let go = |job: &Job, head: &ResponseHead, length, takes_ranges, bodies: &BodyOptions| {
            should_split(job, offer(head, length, takes_ranges), bodies)
        };
        assert!(go(&saved, &head, Some(100), true, &bodies));
        assert!(!go(&saved, &head, Some(99), true, &bodies), "too small");
        assert!(!go(&saved, &head, None, true, &bodies), "of unknown length");
        assert!(!go(&saved, &head, Some(100), false, &bodies), "no ranges");
        assert!(!go(&job("http://a.test/"), &head, Some(100), true, &bodies), "no file");
        let in_one = Job { in_one: true, ..saved.clone() };
        assert!(!go(&in_one, &head, Some(100), true, &bodies), "tried before");
        for (head, why) in [
            (ResponseHead { etag: some("W/\"v1\""), ..head.clone() }, "a weak tag"),
            (ResponseHead { etag: None, ..head.clone() }, "nothing that tells the version"),
            (ResponseHead { content_encoding: some("gzip"), ..head.clone() }, "coded"),
            (ResponseHead { status: 203, ..head.clone() }, "changed on its way"),
        ] {
            assert!(!go(&saved, &head, Some(100), true, &bodies), "{why}");
        }
        for (bodies, why) in [
            (BodyOptions { split: split(1, 50), ..bodies.clone() }, "nobody asked for it"),
            (BodyOptions { coding: Compression::Decode, ..bodies.clone() }, "it might come coded"),
            (BodyOptions { max_filesize: Some(99), ..bodies.clone() }, "too large"),
        ] {
            assert!(!go(&saved, &head, Some(100), true, &bodies), "{why}");
        }
        let given =
            ReplyInfo { asked: RangeRequest::Unconditional, ..offer(&head, Some(100), true) };
        assert!(
            !should_split(&saved, given, &bodies),
            "fields given by hand ask for something else"
        );
        let part = resume::tests::part();
        let rest = |left| ReplyInfo {
            asked: RangeRequest::Rest(&part),
            answer: RangeReply::Rest(resume::ResumeRange { end: 140, length: 140 }),
            ..offer(&head, Some(left), false)
        };
        assert!(should_split(&saved, rest(100), &bodies), "ranges are what it serves");
        assert!(!should_split(&saved, rest(99), &bodies), "little is left");
    }

    #[test]
    fn segments_are_as_many_as_asked_for_and_of_one_length() {
        let whole = |most, least| segments(ByteRanges::default().missing(100), split(most, least));
        assert_eq!(whole(4, 1), [0..25, 25..50, 50..75, 75..100]);
        assert_eq!(whole(3, 1), [0..34, 34..67, 67..100]);
        assert_eq!(whole(9, 30), [0..34, 34..67, 67..100]);
        assert_eq!(whole(1, 1), ByteRanges::default().missing(100));
        assert_eq!(segments(vec![0..10, 20..100], split(4, 5)), [0..10, 20..47, 47..74, 74..100]);
        assert_eq!(segments(vec![1..2, 3..4, 5..6], split(2, 5)), [1..2, 3..4, 5..6]);
        assert_eq!(segments(vec![], split(4, 5)), []);
    }

    proptest! {
        #[test]
        fn segments_make_up_what_is_missing(
            ends in prop::collection::btree_set(0u64..100_000, 0..8),
            most in 1usize..20,
            least in 1u64..50_000,
        ) {
            let ends: Vec<_> = ends.into_iter().collect();
            let gaps: Vec<_> = ends.chunks_exact(2).map(|gap| gap[0]..gap[1]).collect();
            let pieces = segments(gaps.clone(), split(most, least));
            prop_assert!(pieces.len() <= most.max(gaps.len()));
            let mut joined: Vec<Range<u64>> = Vec::new();
            for piece in pieces {
                prop_assert!(piece.start < piece.end);
                match joined.last_mut() {
                    Some(last) if last.end == piece.start => last.end = piece.end,
                    _ => joined.push(piece),
                }
            }
            prop_assert_eq!(joined, gaps);
        }
    }
}
