//! Units: parses and formats sizes, rates, shares and durations as people type and read them. Pure.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// The maximum duration that can be typed: a year. A longer one is likely a typing error.
pub(crate) const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Parses a duration: `10` and `10s` are seconds, `500ms`, `2m`, `1h`; decimals as in `0.5s`.
///
/// # Errors
/// A message for the user.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("invalid duration (expected e.g. 500ms, 10s, 2m, 1h)".to_owned()),
    };
    let seconds = decimal(number)
        .ok_or_else(|| "invalid duration (expected e.g. 500ms, 10s, 2m, 1h)".to_owned())?
        * scale;
    if seconds > LONGEST.as_secs_f64() {
        return Err("must be at most 8784h (one year)".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Parses a duration that must not be zero, for timeouts and other limits.
///
/// # Errors
/// A message for the user.
pub(crate) fn duration_above_zero(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be greater than zero".to_owned()),
        duration => Ok(duration),
    }
}

/// Parses a size in bytes: `512`, `20k`, `1.5M`, `2G`, `1T`; 1024-based, the unit in either case.
///
/// # Errors
/// A message for the user.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let complaint = || "invalid size (expected bytes or e.g. 20k, 1.5M, 2G)".to_owned();
    let (number, unit) = split_unit(text);
    let shift = match unit {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => return Err(complaint()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).ok_or_else(|| "must be at most 16777215T".to_owned());
    }
    let bytes = decimal(number).ok_or_else(complaint)? * (1u64 << shift) as f64;
    if bytes >= u64::MAX as f64 {
        return Err("must be at most 16777215T".to_owned());
    }
    Ok(bytes as u64)
}

/// A rate: a number of events per period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number of events per window.
    pub events: NonZeroU32,
    /// The length of a window.
    pub per: Duration,
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}s", self.events, self.per.as_secs_f64())
    }
}

/// Parses a rate in curl's syntax: `5/s`, `5/15s`, `100/m`.
///
/// # Errors
/// A message for the user.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    let complaint = || "invalid rate (expected e.g. 20/s, 5/15s, 100/m)".to_owned();
    let (events, per) =
        text.split_once('/').filter(|(_, per)| !per.is_empty()).ok_or_else(complaint)?;
    let events = events.parse().map_err(|_| complaint())?;
    let per = if per.starts_with(|first: char| first.is_ascii_digit()) {
        duration_above_zero(per)
    } else {
        duration_above_zero(&format!("1{per}"))
    };
    Ok(Rate { events, per: per.map_err(|_| complaint())? })
}

/// A share of a whole, between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// 0%.
    pub const NONE: Self = Self(0.0);

    /// The share as a number between 0 and 1.
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

/// Parses a share: `2%`, `0.5%`.
///
/// # Errors
/// A message for the user.
pub(crate) fn share(text: &str) -> Result<Share, String> {
    text.strip_suffix('%')
        .and_then(decimal)
        .filter(|percent| *percent <= 100.0)
        .map(|percent| Share(percent / 100.0))
        .ok_or_else(|| "expected a percentage between 0% and 100%".to_owned())
}

/// Formats a number of bytes for people, 1024-based: `512 B`, `3.4 MiB`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut name = "B";
    for unit in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        name = unit;
    }
    if name == "B" { format!("{bytes} B") } else { format!("{value:.1} {name}") }
}

/// Formats a number for people, with its digits in groups of three: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for group in digits.as_bytes()[first..].chunks(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.extend(group.iter().copied().map(char::from));
    }
    text
}

/// Formats a part of a whole, both in bytes, for people; a common unit is written once: `40.0 of 95.4 MiB`,
/// `512 B of 3.4 MiB`.
pub(crate) fn human_share(part: u64, whole: u64) -> String {
    let (part, whole) = (human_bytes(part), human_bytes(whole));
    match (part.split_once(' '), whole.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} of {whole}"),
        _ => format!("{part} of {whole}"),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

fn decimal(number: &str) -> Option<f64> {
    let plain = number.starts_with(|first: char| first.is_ascii_digit())
        && number.chars().all(|character| character.is_ascii_digit() || character == '.');
    if plain { number.parse().ok().filter(|value: &f64| value.is_finite()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
    }

    #[test]
    fn what_is_not_a_duration_is_refused_with_an_example() {
        for text in ["", "s", "-1", "1d", "1e9", "NaN", "inf", ".5", "1 s", "1.2.3", "99999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("x").unwrap_err().contains("500ms"));
        assert!(duration_above_zero("0").is_err());
    }

    #[test]
    fn sizes_are_1024_based() {
        assert_eq!(size("512"), Ok(512));
        assert_eq!(size("20k"), Ok(20 * 1024));
        assert_eq!(size("1.5M"), Ok(3 * 512 * 1024));
        assert_eq!(size("2G"), Ok(2 << 30));
        for text in ["", "k", "-1", "1kB", "99999999999999999999", "99999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_read_as_curl_reads_them() {
        let rate_of = |events, per| Rate { events: NonZeroU32::new(events).unwrap(), per };
        assert_eq!(rate("20/s"), Ok(rate_of(20, Duration::from_secs(1))));
        assert_eq!(rate("5/15s"), Ok(rate_of(5, Duration::from_secs(15))));
        assert_eq!(rate("100/m"), Ok(rate_of(100, Duration::from_secs(60))));
        for text in ["", "5", "0/s", "5/", "5/0s", "-1/s", "5/x"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_told_in_the_largest_unit_that_fits() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(3_565_158), "3.4 MiB");
        assert_eq!(human_bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn digits_are_in_groups_of_three() {
        let table = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ];
        for (number, text) in table {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn shares_stay_between_none_and_all() {
        assert_eq!(share("2%").map(Share::as_f64), Ok(0.02));
        for text in ["", "2", "101%", "-1%", "x%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
