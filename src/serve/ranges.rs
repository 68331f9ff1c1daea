//! Range requests: parses the Range header (RFC 9110 section 14). Pure.

/// A range of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServedRange {
    /// Its first byte, from 0.
    pub first: u64,
    /// Its last byte, included.
    pub last: u64,
}

/// What a Range header requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedRange {
    /// The whole body: the header is not of a supported form, and RFC 9110 section 14.2 allows a server to ignore it.
    Whole,
    /// One range.
    Part(ServedRange),
    /// Only bytes that the body does not have.
    Unsatisfiable,
}

/// Parses a Range header for a body of this length. Other units, several ranges and malformed headers request the whole
/// body; a last byte beyond the end means the end (section 14.1.2).
pub(super) fn parse(field: &str, length: u64) -> AskedRange {
    match only_range(field) {
        None => AskedRange::Whole,
        Some(RangeSpec::Last(0)) => AskedRange::Unsatisfiable,
        // A suffix range of an empty body is satisfiable, but Content-Range cannot express it.
        Some(RangeSpec::Last(_)) if length == 0 => AskedRange::Whole,
        Some(RangeSpec::Last(count)) => {
            AskedRange::Part(ServedRange { first: length.saturating_sub(count), last: length - 1 })
        }
        Some(RangeSpec::From(first, _)) if first >= length => AskedRange::Unsatisfiable,
        Some(RangeSpec::From(first, last)) => {
            AskedRange::Part(ServedRange { first, last: last.unwrap_or(u64::MAX).min(length - 1) })
        }
    }
}

/// A range as it is written in the header.
enum RangeSpec {
    /// From this byte to another one, or to the end.
    From(u64, Option<u64>),
    /// The last bytes, this many.
    Last(u64),
}

/// The only range of a header in bytes; `None` if it has another unit, several ranges, or is malformed.
fn only_range(field: &str) -> Option<RangeSpec> {
    let (unit, set) = field.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges = set.split(',').map(str::trim).filter(|range| !range.is_empty());
    let range = ranges.next().filter(|_| ranges.next().is_none())?;
    match range.split_once('-')? {
        ("", count) => Some(RangeSpec::Last(position(count)?)),
        (first, "") => Some(RangeSpec::From(position(first)?, None)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(RangeSpec::From(first, Some(last)))
        }
    }
}

/// Parses digits; a number that exceeds 64 bits is read as their maximum.
fn position(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(first: u64, last: u64) -> AskedRange {
        AskedRange::Part(ServedRange { first, last })
    }

    #[test]
    fn a_single_range_is_served_in_its_three_forms() {
        assert_eq!(parse("bytes=2-5", 10), part(2, 5));
        assert_eq!(parse("bytes=0-0", 10), part(0, 0));
        assert_eq!(parse("bytes=7-", 10), part(7, 9));
        assert_eq!(parse("bytes=-3", 10), part(7, 9));
        assert_eq!(parse("BYTES= 2-5 ,", 10), part(2, 5));
    }

    #[test]
    fn what_reaches_beyond_the_end_is_cut_at_the_end() {
        assert_eq!(parse("bytes=7-99", 10), part(7, 9));
        assert_eq!(parse("bytes=-99", 10), part(0, 9));
        assert_eq!(parse("bytes=0-99999999999999999999999", 10), part(0, 9));
    }

    #[test]
    fn what_starts_beyond_the_end_cannot_be_satisfied() {
        for field in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(parse(field, 10), AskedRange::Unsatisfiable, "{field}");
        }
        assert_eq!(parse("bytes=0-", 0), AskedRange::Unsatisfiable);
    }

    #[test]
    fn several_ranges_other_units_and_nonsense_get_the_whole() {
        for field in [
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=1 -2",
            "",
            "=",
            "bytes=--1",
        ] {
            assert_eq!(parse(field, 10), AskedRange::Whole, "{field}");
        }
        assert_eq!(parse("bytes=-5", 0), AskedRange::Whole);
    }

    proptest::proptest! {
        #[test]
        fn a_part_lies_within_the_body_whatever_was_asked(field in "bytes=[0-9]{0,22}-[0-9]{0,22}", length: u64) {
            if let AskedRange::Part(range) = parse(&field, length) {
                assert!(range.first <= range.last && range.last < length);
            }
        }
    }
}
