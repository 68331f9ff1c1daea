//! The date of a cookie's `Expires` attribute (RFC 6265bis section 5.1.1), which is parsed leniently.

/// Parses a date. Returns seconds since 1970, or `None` if a part of it is missing or out of range.
pub(super) fn parse(text: &[u8]) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|byte| is_delimiter(*byte)).filter(|token| !token.is_empty()) {
        if time.is_none()
            && let Some(found) = time_of(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = number(token, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = number(token, 2, 4)
        {
            year = Some(found);
        }
    }
    let ((hour, minute, second), day, month) = (time?, day?, month?);
    let year = match year? {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year => year,
    };
    let is_valid = year >= 1601 && hour <= 23 && minute <= 59 && second <= 59;
    let is_valid = is_valid && (1..=days_of_month(year, month)).contains(&day);
    let days = days_since_1970(year, month, day);
    is_valid.then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e)
}

/// The number that a token begins with, if it has `least` to `most` digits.
fn number(token: &[u8], least: usize, most: usize) -> Option<i64> {
    let digits = token.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_number = (least..=most).contains(&digits);
    is_number
        .then(|| token[..digits].iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// Hour, minute and second of a token.
fn time_of(token: &[u8]) -> Option<(i64, i64, i64)> {
    let mut parts = token.splitn(3, |byte| *byte == b':');
    let whole = |part: &[u8]| number(part, 1, 2).filter(|_| part.len() <= 2);
    let (hour, minute) = (whole(parts.next()?)?, whole(parts.next()?)?);
    Some((hour, minute, number(parts.next()?, 1, 2)?))
}

/// The month that a token begins with, from 1.
fn month_of(token: &[u8]) -> Option<i64> {
    const NAMES: [&[u8]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec",
    ];
    let name = token.get(..3)?.to_ascii_lowercase();
    NAMES.iter().position(|month| *month == name).map(|month| month as i64 + 1)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The days from 1970-01-01 to a date; negative before it.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = |year: i64| year * 365 + year / 4 - year / 100 + year / 400;
    let months: i64 = (1..month).map(|month| days_of_month(year, month)).sum();
    before(year - 1) - before(1969) + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_found_in_almost_any_text() {
        for (text, expected) in [
            ("Wed, 09 Jun 2021 10:18:14 GMT", Some(1_623_233_894)),
            ("Wednesday, 09-Jun-21 10:18:14 GMT", Some(1_623_233_894)),
            ("Wed Jun  9 10:18:14 2021", Some(1_623_233_894)),
            ("9 june 2021 10:18:14", Some(1_623_233_894)),
            ("10:18:14x 9th Juniper 2021AD", Some(1_623_233_894)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("1-Jan-70 0:0:1", Some(1)),
            ("29 Feb 2024 00:00:00", Some(1_709_164_800)),
            ("31 Dec 1969 23:59:59", Some(-1)),
            ("31 Dec 9999 23:59:59", Some(253_402_300_799)),
            ("1 Jan 1601 00:00:00", Some(-11_644_473_600)),
            ("29 Feb 2023 00:00:00", None),
            ("0 Jan 2023 00:00:00", None),
            ("1 Jan 1600 00:00:00", None),
            ("1 Jan 2023 24:00:00", None),
            ("1 Jan 2023 10:18", None),
            ("1 Jan 20233 10:18:14", None),
            ("1 Xyz 2023 10:18:14", None),
            ("", None),
            ("\u{ff}\u{ff}", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }
}
