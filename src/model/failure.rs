//! Why a URL failed: one variant per class, with what a reader can act on.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::serde_helpers::{self, StaticName};

/// Why an attempt, and in the end a target, failed. `Display` is the message of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// The host's name has no address.
    #[error("could not resolve host: {host} ({reason})")]
    Dns {
        /// The name that was looked up.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// The host could not be reached for as long as it was waited for; this URL was not tried, or not since.
    #[error("host unreachable: {0} (not attempted)")]
    HostDown(String),
    /// robots.txt asks not to fetch it (RFC 9309).
    #[error("robots.txt does not allow it")]
    Robots,
    /// No connection could be made; the message says to where.
    #[error("{0}")]
    Connect(String),
    /// `--connect-to` cannot be honored for this URL.
    #[error("{0}")]
    Pinned(String),
    /// The TLS handshake failed: a certificate that is not trusted, no common version.
    #[error("{0}")]
    Tls(String),
    /// The proxy refused, or could not be used.
    #[error("proxy: {0}")]
    Proxy(String),
    /// The proxy could not be reached, or broke off.
    #[error("cannot connect to the proxy: {0}")]
    ProxyLost(String),
    /// The attempt took longer than `--max-time`.
    #[error("timed out after {} (--max-time)", seconds(.0))]
    Timeout(Duration),
    /// No byte arrived for `--stall-timeout`.
    #[error("stalled: no data for {}", seconds(.0))]
    Stalled(Duration),
    /// The connection was closed or reset before the reply was complete; the message says how.
    #[error("{0}")]
    Reset(String),
    /// The body ended before its promised end.
    #[error("{}", truncated(*.received, *.promised))]
    Truncated {
        /// Body bytes that arrived.
        received: u64,
        /// The Content-Length, where one was sent.
        promised: Option<u64>,
    },
    /// The reply is not HTTP, or not HTTP that can be understood without guessing.
    #[error("invalid HTTP response: {0}")]
    Protocol(String),
    /// A final status of 400 to 599 but 429.
    #[error("HTTP {}", phrase(*.0))]
    Status(u16),
    /// The server asks for fewer requests (429, RFC 6585 section 4).
    #[error("HTTP {}{}", phrase(*.status), asked(.wait))]
    RateLimited {
        /// The status.
        status: u16,
        /// The wait asked for that is longer than `--max-retry-after` allows, where that ended it.
        wait: Option<Duration>,
    },
    /// A redirect that leads nowhere or around in circles.
    #[error("{0}")]
    Redirect(String),
    /// The body is larger than `--max-filesize`.
    #[error("larger than {limit} bytes (--max-filesize)")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// More bytes than `--quota` allows for the run.
    #[error("the quota of {limit} bytes is used up")]
    Quota {
        /// The limit.
        limit: u64,
    },
    /// The body is not the one that it should be.
    #[error("{algorithm} is {actual}, {claimed_by} says {expected}")]
    Checksum {
        /// The name of its algorithm.
        #[serde(deserialize_with = "serde_helpers::algorithm")]
        algorithm: StaticName,
        /// Who says what it should be: `the list`, a file of sums, a field of the reply.
        claimed_by: String,
        /// What it should be, in hex.
        expected: String,
        /// What the body hashes to, in hex.
        actual: String,
    },
    /// It cannot be saved under its name: something that is not ours stands there.
    #[error("cannot be saved: {0}")]
    Name(String),
    /// The folder cannot be written, or has no room.
    #[error("cannot be saved: {0}")]
    Disk(String),
    /// The process that worked on it ended.
    #[error("a worker process ended: {0}")]
    Worker(String),
    /// The run ended first.
    #[error("not done: {0}")]
    Cancelled(StopCause),
    /// The list's line is not a URL to fetch.
    #[error("{0}")]
    InvalidUrl(String),
}

/// What ended a run before its list was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StopCause {
    /// `--deadline` passed.
    #[error("the deadline passed")]
    Deadline,
    /// SIGINT.
    #[error("interrupted")]
    Interrupted,
    /// SIGTERM.
    #[error("terminated")]
    Terminated,
    /// `--max-failures` or `--fail-fast`.
    #[error("too many failures")]
    TooManyFailures,
    /// `--quota`.
    #[error("the quota is used up")]
    Quota,
    /// The folder to save into is full, or cannot be written.
    #[error("the folder is full, or cannot be written")]
    Disk,
    /// Nobody reads the report any more.
    #[error("the reader of the report has gone")]
    ReaderGone,
    /// The list could not be read to its end, or the report not be written.
    #[error("the run stopped on an error")]
    Fatal,
    /// No run: another segment of the same body failed for good, or was of another version.
    #[error("another segment failed")]
    Sibling,
}

/// The closed set of failure classes, as the reports name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each is the class of the failure of the same name
pub enum FailureClass {
    Dns,
    HostDown,
    Robots,
    Connect,
    Tls,
    Proxy,
    Timeout,
    Stalled,
    Reset,
    Truncated,
    Protocol,
    #[serde(rename = "http_4xx")]
    Http4xx,
    #[serde(rename = "http_5xx")]
    Http5xx,
    RateLimited,
    Redirect,
    TooLarge,
    Quota,
    Checksum,
    Name,
    Disk,
    Worker,
    Cancelled,
    InvalidUrl,
}

impl Failure {
    /// The class that the failure belongs to.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Dns { .. } => FailureClass::Dns,
            Self::HostDown(_) => FailureClass::HostDown,
            Self::Robots => FailureClass::Robots,
            Self::Connect(_) | Self::Pinned(_) => FailureClass::Connect,
            Self::Tls(_) => FailureClass::Tls,
            Self::Proxy(_) | Self::ProxyLost(_) => FailureClass::Proxy,
            Self::Timeout(_) => FailureClass::Timeout,
            Self::Stalled(_) => FailureClass::Stalled,
            Self::Reset(_) => FailureClass::Reset,
            Self::Truncated { .. } => FailureClass::Truncated,
            Self::Protocol(_) => FailureClass::Protocol,
            Self::Status(500..) => FailureClass::Http5xx,
            Self::Status(_) => FailureClass::Http4xx,
            Self::RateLimited { .. } => FailureClass::RateLimited,
            Self::Redirect(_) => FailureClass::Redirect,
            Self::TooLarge { .. } => FailureClass::TooLarge,
            Self::Quota { .. } => FailureClass::Quota,
            Self::Checksum { .. } => FailureClass::Checksum,
            Self::Name(_) => FailureClass::Name,
            Self::Disk(_) => FailureClass::Disk,
            Self::Worker(_) => FailureClass::Worker,
            Self::Cancelled(_) => FailureClass::Cancelled,
            Self::InvalidUrl(_) => FailureClass::InvalidUrl,
        }
    }
}

/// A name that is no class's. `Display` names those that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown class (expected one of {})", FailureClass::ALL.map(FailureClass::name).join(", "))]
pub struct UnknownClass;

impl FromStr for FailureClass {
    type Err = UnknownClass;

    fn from_str(name: &str) -> Result<Self, UnknownClass> {
        Self::ALL.into_iter().find(|class| class.name() == name).ok_or(UnknownClass)
    }
}

impl FailureClass {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Dns,
        Self::HostDown,
        Self::Robots,
        Self::Connect,
        Self::Tls,
        Self::Proxy,
        Self::Timeout,
        Self::Stalled,
        Self::Reset,
        Self::Truncated,
        Self::Protocol,
        Self::Http4xx,
        Self::Http5xx,
        Self::RateLimited,
        Self::Redirect,
        Self::TooLarge,
        Self::Quota,
        Self::Checksum,
        Self::Name,
        Self::Disk,
        Self::Worker,
        Self::Cancelled,
        Self::InvalidUrl,
    ];

    /// The class's name in every report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::HostDown => "host_down",
            Self::Robots => "robots",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Timeout => "timeout",
            Self::Stalled => "stalled",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::Protocol => "protocol",
            Self::Http4xx => "http_4xx",
            Self::Http5xx => "http_5xx",
            Self::RateLimited => "rate_limited",
            Self::Redirect => "redirect",
            Self::TooLarge => "too_large",
            Self::Quota => "quota",
            Self::Checksum => "checksum",
            Self::Name => "name",
            Self::Disk => "disk",
            Self::Worker => "worker",
            Self::Cancelled => "cancelled",
            Self::InvalidUrl => "invalid_url",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

fn seconds(duration: &Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

/// All promised bytes may have arrived, and the content that they encode be incomplete all the same.
fn truncated(received: u64, promised: Option<u64>) -> String {
    match promised {
        Some(promised) if received < promised => {
            format!("connection closed after {received} of {promised} bytes")
        }
        _ => format!("body ended early, after {received} bytes"),
    }
}

fn asked(wait: &Option<Duration>) -> String {
    wait.map_or(String::new(), |wait| {
        format!(", asks to wait {}, longer than --max-retry-after", seconds(&wait))
    })
}

fn phrase(code: u16) -> String {
    match http::StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("{code} {reason}"),
        None => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_classes_are_listed_and_go_by_one_name() {
        assert_eq!(
            FailureClass::ALL.len(),
            FailureClass::InvalidUrl as usize + 1,
            "it is the last"
        );
        for (place, class) in FailureClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, place);
            assert_eq!(class.name().parse(), Ok(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }

    #[test]
    fn a_wrong_checksum_names_who_claimed_another() {
        let wrong = |claimed_by: &str| Failure::Checksum {
            algorithm: "crc32",
            claimed_by: claimed_by.to_owned(),
            expected: "00000000".to_owned(),
            actual: "352441c2".to_owned(),
        };
        for claimed_by in ["the list", "Repr-Digest", "SHA256SUMS"] {
            let message = format!("crc32 is 352441c2, {claimed_by} says 00000000");
            assert_eq!(wrong(claimed_by).to_string(), message);
        }
    }

    #[test]
    fn an_unknown_class_is_told_which_ones_there_are() {
        let unknown = "http_500".parse::<FailureClass>().unwrap_err().to_string();
        assert!(
            unknown.starts_with("unknown class (expected one of dns, host_down, robots, connect,"),
            "{unknown}"
        );
        assert!(unknown.contains("http_5xx"), "{unknown}");
    }
}
