//! Parsers of option values: numbers with their bounds, sizes, names of algorithms and classes, and report files.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command};

use crate::compare::LEAST_RUNS;
use crate::digest::{Algorithm, ParseDigestError};
use crate::model::{FailureClass, UnknownClass};
use crate::plan::{MaxFailures, MaxPerHost, ReportFile, ReportFormat, ReportSubject};
use crate::units;

/// More workers than this would wait for each other.
const MAX_JOBS: usize = 10_000;
const MAX_REDIRECTS: u32 = 1_000;
const MAX_RETRIES: u32 = 1_000;
const MAX_CONNECTIONS: usize = 100_000;
const MAX_HOST_FAILURES: u32 = 1_000;
const MAX_RUNS: usize = 100;
const MAX_SEGMENTS: usize = 16;
const MAX_SHARD_FILES: u32 = 10_000;

/// The request for a smaller segment takes longer than its transfer.
const MIN_SEGMENT_BYTES: u64 = 64 * 1024;

/// The longest delay between retries, and so of the first one.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

/// A value of an enum with its name on the command line.
#[derive(Debug, Clone)]
pub(super) struct Choice<T> {
    value: T,
    name: &'static str,
    alias: Option<&'static str>,
    help: &'static str,
}

impl<T: Copy> Choice<T> {
    pub(super) const fn new(value: T, name: &'static str, help: &'static str) -> Self {
        Self { value, name, alias: None, help }
    }

    /// Adds a second name, which the help does not show.
    pub(super) const fn alias(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }
}

/// A parser for the values of an enum that does not depend on clap.
pub(super) fn one_of<T: Copy + Send + Sync + 'static>(
    choices: &'static [Choice<T>],
) -> impl TypedValueParser<Value = T> {
    let values = choices
        .iter()
        .map(|choice| PossibleValue::new(choice.name).help(choice.help).aliases(choice.alias));
    PossibleValuesParser::new(values).map(|text| {
        let mut choices = choices.iter();
        let choice = choices.find(|choice| choice.name == text || choice.alias == Some(&text));
        choice.expect("it is one of the possible values").value
    })
}

/// A parser for the names of a set. Completion offers all of them; an error lists what is expected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<T> {
    parse: fn(&str) -> Result<T, String>,
    names: fn() -> Vec<&'static str>,
}

impl Named<Algorithm> {
    pub(super) const ALGORITHMS: Self = Self {
        parse: |text| text.parse().map_err(|error: ParseDigestError| error.to_string()),
        names: || Algorithm::ALL.map(Algorithm::name).into(),
    };
}

impl Named<FailureClass> {
    pub(super) const CLASSES: Self = Self {
        parse: |text| text.trim().parse().map_err(|error: UnknownClass| error.to_string()),
        names: || FailureClass::ALL.map(FailureClass::name).into(),
    };
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Named<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        self.parse.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.names)().into_iter().map(PossibleValue::new)))
    }
}

pub(super) fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    within(text, 1, MAX_JOBS).map(above_zero)
}

/// Reads the number of files that a list is split into.
pub(super) fn files(text: &str) -> Result<NonZeroU32, String> {
    let files = within(text, 1, MAX_SHARD_FILES)?;
    Ok(NonZeroU32::new(files).expect("the range begins at 1"))
}

pub(super) fn segments(text: &str) -> Result<NonZeroUsize, String> {
    within(text, 1, MAX_SEGMENTS).map(above_zero)
}

pub(super) fn segment(text: &str) -> Result<NonZeroU64, String> {
    let bytes = units::size(text)?;
    NonZeroU64::new(bytes)
        .filter(|bytes| bytes.get() >= MIN_SEGMENT_BYTES)
        .ok_or_else(|| "must be at least 64k".to_owned())
}

/// Reads the limit of a host; 0 means no limit.
pub(super) fn per_host(text: &str) -> Result<MaxPerHost, String> {
    let limit = within(text, 0, MAX_JOBS)?;
    Ok(NonZeroUsize::new(limit).map_or(MaxPerHost::NoLimit, MaxPerHost::Most))
}

pub(super) fn host_failures(text: &str) -> Result<NonZeroU32, String> {
    let failures = within(text, 1, MAX_HOST_FAILURES)?;
    Ok(NonZeroU32::new(failures).expect("the range begins at 1"))
}

pub(super) fn most_failures(text: &str) -> Result<MaxFailures, String> {
    if text.contains('%') {
        return units::share(text).map(MaxFailures::Share);
    }
    text.parse()
        .map(MaxFailures::Number)
        .map_err(|_| "expected a number or percentage, e.g. 10 or 5%".to_owned())
}

/// Reads the delimiter of CSV.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n".contains(byte) => {
            Ok(*byte)
        }
        _ => Err("expected one ASCII character, no letter, digit or quote, or 'tab'".to_owned()),
    }
}

/// Reads the name or the number of a column.
pub(super) fn column(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("expected the name or the number of a column".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn redirects(text: &str) -> Result<u32, String> {
    within(text, 0, MAX_REDIRECTS)
}

pub(super) fn retries(text: &str) -> Result<u32, String> {
    within(text, 0, MAX_RETRIES)
}

/// Reads a number of attempts; the result is the number of retries.
pub(super) fn tries(text: &str) -> Result<u32, String> {
    within(text, 1, MAX_RETRIES + 1).map(|tries| tries - 1)
}

pub(super) fn retry_delay(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        delay if delay > MAX_RETRY_DELAY => Err("must be at most 60s".to_owned()),
        delay => Ok(delay),
    }
}

pub(super) fn days(text: &str) -> Result<u32, String> {
    within(text, 1, 36_500)
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    within(text, 0, u16::MAX)
}

pub(super) fn connections(text: &str) -> Result<NonZeroUsize, String> {
    within(text, 1, MAX_CONNECTIONS).map(above_zero)
}

pub(super) fn runs(text: &str) -> Result<usize, String> {
    within(text, LEAST_RUNS, MAX_RUNS)
}

pub(super) fn warmup(text: &str) -> Result<usize, String> {
    within(text, 0, MAX_RUNS)
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    within(text, 0, u64::MAX)
}

/// Reads the maximum number of bodies in an archive.
pub(super) fn bodies(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| "expected an integer of at least 1".to_owned())
}

pub(super) fn bytes_a_second(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(units::size(text)?).ok_or_else(|| "must be greater than zero".to_owned())
}

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        _ => text.parse().map_err(|_| "expected an IP address".to_owned()),
    }
}

fn within<N>(text: &str, least: N, most: N) -> Result<N, String>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match text.parse::<N>() {
        Ok(number) if least <= number && number <= most => Ok(number),
        _ => Err(format!("expected an integer between {least} and {most}")),
    }
}

fn above_zero(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("the range begins at 1")
}

/// Finds the format of each report file by its name. `option` is the option that names the files, `of` what they report, if
/// that is known.
///
/// # Errors
/// A message about the first file that is given twice, has an unknown format, or has one that cannot report `of`.
pub(super) fn documents(
    option: &str,
    typed: Vec<PathBuf>,
    of: Option<ReportSubject>,
) -> Result<Vec<ReportFile>, String> {
    let mut documents: Vec<ReportFile> = Vec::new();
    for path in typed {
        if documents.iter().any(|other| is_same_path(&other.path, &path)) {
            return Err(format!("{option} {} given twice", path.display()));
        }
        let kind = ReportFormat::of(&path).ok_or_else(|| unknown_format(option, &path, of))?;
        if let Some(why) = of.and_then(|of| kind.unfit_for(of)) {
            return Err(format!("{option} {}: {why}", path.display()));
        }
        documents.push(ReportFile { path, kind });
    }
    Ok(documents)
}

/// Whether two paths are the same but for `.` components.
pub(super) fn is_same_path(one: &Path, other: &Path) -> bool {
    let without_dots = |path: &Path| -> PathBuf {
        path.components().filter(|part| *part != Component::CurDir).collect()
    };
    without_dots(one) == without_dots(other)
}

fn unknown_format(option: &str, path: &Path, of: Option<ReportSubject>) -> String {
    let fits = |kind: &ReportFormat| of.is_none_or(|of| kind.unfit_for(of).is_none());
    let known = ReportFormat::ALL.into_iter().filter(fits);
    let known: Vec<_> = known.map(|kind| format!(".{}", kind.extension())).collect();
    format!(
        "{option}: unsupported report format '{}' (expected {})",
        path.display(),
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_or_are_a_share() {
        assert_eq!(most_failures("10"), Ok(MaxFailures::Number(10)));
        assert_eq!(most_failures("2.5%"), Ok(MaxFailures::Share(units::share("2.5%").unwrap())));
        for text in ["", "-1", "x", "1.5", "%", "101%", "5 %"] {
            let complaint = most_failures(text).unwrap_err();
            assert!(complaint.contains('%'), "{text}: {complaint}");
        }
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        assert_eq!(per_host("0"), Ok(MaxPerHost::NoLimit));
        assert_eq!(per_host("2"), Ok(MaxPerHost::Most(NonZeroUsize::new(2).unwrap())));
        assert_eq!(per_host("-1"), Err("expected an integer between 0 and 10000".to_owned()));
        assert!(host_failures("0").is_err() && host_failures("1001").is_err());
    }

    #[test]
    fn a_number_lies_within_its_bounds() {
        assert_eq!(jobs("1").map(NonZeroUsize::get), Ok(1));
        assert_eq!(jobs("10000").map(NonZeroUsize::get), Ok(10_000));
        for text in ["0", "10001", "-1", "", "x", "1.5", "99999999999999999999"] {
            assert_eq!(
                jobs(text),
                Err("expected an integer between 1 and 10000".to_owned()),
                "{text}"
            );
        }
        assert_eq!((redirects("0"), redirects("1000")), (Ok(0), Ok(1000)));
        assert!(redirects("1001").is_err());
        assert_eq!((port("0"), port("65535")), (Ok(0), Ok(65535)));
        assert!(port("65536").is_err());
    }
}
