//! Failures: why a URL failed, one variant per cause, with a message that a reader can act on.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::serde_helpers::{self, StaticName};

/// Why an attempt, and in the end a target, failed. `Display` is the message of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// The host name could not be resolved.
    #[error("could not resolve host: {host} ({reason})")]
    Dns {
        /// The name that was looked up.
        host: String,
        /// The resolver's error.
        reason: String,
    },
    /// The host could not be reached within `--host-patience`, and this URL was not requested. The text says why the
    /// last attempt to reach the host failed.
    #[error("host unreachable: {0} (not attempted)")]
    HostDown(String),
    /// The host sent a Retry-After that is longer than the run waits, or has refused all requests for a long time; this
    /// URL was not requested. The message says since when and until when.
    #[error("not attempted: {0}")]
    HostRefused(String),
    /// robots.txt disallows the URL (RFC 9309).
    #[error("disallowed by robots.txt")]
    Robots,
    /// No connection could be made; the message names the address.
    #[error("{0}")]
    Connect(String),
    /// `--connect-to` cannot be honored for this URL.
    #[error("{0}")]
    Pinned(String),
    /// The host, or each of its addresses, is one that may not be connected to; the message says which and why.
    #[error("{0}")]
    BlockedAddress(String),
    /// TLS failed: a certificate that is not trusted or expires too soon, no common version.
    #[error("{0}")]
    Tls(String),
    /// The proxy refused the request, or could not be used.
    #[error("proxy: {0}")]
    Proxy(String),
    /// The proxy could not be reached, or closed the connection.
    #[error("cannot connect to the proxy: {0}")]
    ProxyLost(String),
    /// The proxy replied with this status in place of the origin; `None` if its status is not known.
    #[error("proxy: {}", proxy_status(*.0))]
    ProxyStatus(Option<u16>),
    /// The attempt took longer than `--max-time`.
    #[error("timed out after {} (--max-time)", seconds(.0))]
    Timeout(Duration),
    /// No byte arrived for `--stall-timeout`.
    #[error("stalled: no data for {}", seconds(.0))]
    Stalled(Duration),
    /// The average speed of the body over a period was below the minimum of a rule.
    #[error("slower than {rate} bytes/s for {} ({rule})", seconds(.over))]
    TooSlow {
        /// The minimum speed in bytes per second.
        rate: u64,
        /// The period.
        over: Duration,
        /// The rule.
        rule: SpeedRule,
    },
    /// The connection was closed or reset before the reply was complete; the message says how.
    #[error("{0}")]
    Reset(String),
    /// The body ended before its promised end.
    #[error("{}", truncated(*.received, *.promised))]
    Truncated {
        /// Body bytes that arrived.
        received: u64,
        /// The Content-Length, if one was sent.
        promised: Option<u64>,
    },
    /// The reply is not HTTP, or not HTTP that can be understood without guessing.
    #[error("invalid HTTP response: {0}")]
    Protocol(String),
    /// A final status without the resource: 400 to 599 except 429, and 2xx except 200, 203, 204 and a matching 206.
    #[error("HTTP {}", phrase(*.0))]
    Status(u16),
    /// A final status that `--accept` does not list, but that would be a success without the option.
    #[error("HTTP {} is not accepted (--accept)", phrase(*.0))]
    NotAccepted(u16),
    /// A status by which the server demands credentials or a client certificate.
    #[error("HTTP {}: {reason}", phrase(*.status))]
    ExplainedStatus {
        /// The status.
        status: u16,
        /// What the server demanded and what was sent, or how to provide it.
        reason: String,
    },
    /// The server demands fewer requests (429, RFC 6585 section 4).
    #[error("HTTP {}{}", phrase(*.status), refused_wait(.wait))]
    RateLimited {
        /// The status.
        status: u16,
        /// The Retry-After that exceeds `--max-retry-after`, if that is why it failed.
        wait: Option<Duration>,
    },
    /// A redirect without a usable destination, or too many redirects.
    #[error("{0}")]
    Redirect(String),
    /// The body is larger than `--max-filesize`.
    #[error("exceeds --max-filesize ({limit} bytes)")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The body decodes to more than `ratio` times as many bytes.
    #[error(
        "{received} compressed bytes decode to more than {ratio} times as many; to save them as sent, \
         leave out --compressed"
    )]
    TooDense {
        /// Bytes received.
        received: u64,
        /// The limit.
        ratio: u64,
    },
    /// More bytes than `--quota` allows for the run.
    #[error("quota of {limit} bytes exceeded (--quota)")]
    Quota {
        /// The limit.
        limit: u64,
    },
    /// The body does not match an expected digest.
    #[error("checksum mismatch: {claimed_by} expects {algorithm} {expected}, got {actual}")]
    Checksum {
        /// The name of the digest algorithm.
        #[serde(deserialize_with = "serde_helpers::algorithm")]
        algorithm: StaticName,
        /// The source of the expected digest: `the list`, a checksum file, a header field.
        claimed_by: String,
        /// The expected digest, in hex.
        expected: String,
        /// The digest of the body, in hex.
        actual: String,
    },
    /// It cannot be saved under its name: a file that was not saved by this program exists there.
    #[error("cannot save: {0}")]
    Name(String),
    /// The directory cannot be written, or is full.
    #[error("cannot save: {0}")]
    Disk(String),
    /// The child process that made the attempt exited.
    #[error("worker process exited: {0}")]
    Worker(String),
    /// The run was stopped first.
    #[error("cancelled: {0}")]
    Cancelled(StopCause),
    /// The list's line is not a URL to fetch.
    #[error("{0}")]
    InvalidUrl(String),
}

/// Why a run was stopped before its list was finished. `Display` is the value of `stopped` in the JSON summary.
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
    /// SIGHUP.
    #[error("hung up")]
    HungUp,
    /// `--max-failures` or `--fail-fast`.
    #[error("too many failures")]
    TooManyFailures,
    /// `--quota`.
    #[error("the quota is used up")]
    Quota,
    /// The directory to save into is full, or cannot be written.
    #[error("the folder is full, or cannot be written")]
    Disk,
    /// The reader of the report has closed it.
    #[error("the reader of the report has gone")]
    ReaderGone,
    /// The list could not be read to its end, or the report could not be written.
    #[error("the run stopped on an error")]
    Fatal,
    /// Not a run but a segment: another segment of the same body failed permanently, or was of another version.
    #[error("another segment failed")]
    Sibling,
}

impl StopCause {
    /// Whether the cause is a signal.
    pub(crate) fn is_signal(self) -> bool {
        matches!(self, Self::Interrupted | Self::Terminated | Self::HungUp)
    }
}

/// The rule that a slow body violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SpeedRule {
    /// The option.
    #[error("--min-speed")]
    Option,
    /// Other transfers wait for the memory of its decoder.
    #[error("others waited for the memory of its decoder")]
    Memory,
}

/// Declares the failure classes, each with its name.
macro_rules! failure_classes {
    ($($class:ident = $name:literal,)+) => {
        /// The closed set of failure classes, as the reports name them.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[allow(missing_docs)] // each is the class of the failure of the same name
        pub enum FailureClass {
            $(#[serde(rename = $name)] $class,)+
        }

        impl FailureClass {
            /// All classes, in the order of their declaration.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$class),+];

            /// The class's name in every report.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$class => $name,)+
                }
            }
        }
    };
}

failure_classes! {
    Dns = "dns",
    HostDown = "host_down",
    Robots = "robots",
    Connect = "connect",
    BlockedAddress = "blocked_address",
    Tls = "tls",
    Proxy = "proxy",
    Timeout = "timeout",
    Stalled = "stalled",
    Reset = "reset",
    Truncated = "truncated",
    Protocol = "protocol",
    Http2xx = "http_2xx",
    Http4xx = "http_4xx",
    Http5xx = "http_5xx",
    RateLimited = "rate_limited",
    Redirect = "redirect",
    TooLarge = "too_large",
    Quota = "quota",
    Checksum = "checksum",
    Name = "name",
    Disk = "disk",
    Worker = "worker",
    Cancelled = "cancelled",
    InvalidUrl = "invalid_url",
}

impl Failure {
    /// The class that the failure belongs to.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Dns { .. } => FailureClass::Dns,
            Self::HostDown(_) => FailureClass::HostDown,
            Self::Robots => FailureClass::Robots,
            Self::Connect(_) | Self::Pinned(_) => FailureClass::Connect,
            Self::BlockedAddress(_) => FailureClass::BlockedAddress,
            Self::Tls(_) => FailureClass::Tls,
            Self::Proxy(_) | Self::ProxyLost(_) | Self::ProxyStatus(_) => FailureClass::Proxy,
            Self::Timeout(_) => FailureClass::Timeout,
            Self::Stalled(_) | Self::TooSlow { .. } => FailureClass::Stalled,
            Self::Reset(_) => FailureClass::Reset,
            Self::Truncated { .. } => FailureClass::Truncated,
            Self::Protocol(_) => FailureClass::Protocol,
            Self::HostRefused(_) => FailureClass::RateLimited,
            Self::Status(..300) | Self::NotAccepted(_) => FailureClass::Http2xx,
            Self::Status(500..) => FailureClass::Http5xx,
            Self::Status(_) | Self::ExplainedStatus { .. } => FailureClass::Http4xx,
            Self::RateLimited { .. } => FailureClass::RateLimited,
            Self::Redirect(_) => FailureClass::Redirect,
            Self::TooLarge { .. } | Self::TooDense { .. } => FailureClass::TooLarge,
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

/// The error of parsing an unknown class name. `Display` lists the known names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown class (expected one of {})", FailureClass::ALL.map(FailureClass::name).join(", "))]
pub struct UnknownClass;

impl FromStr for FailureClass {
    type Err = UnknownClass;

    fn from_str(name: &str) -> Result<Self, UnknownClass> {
        Self::ALL.into_iter().find(|class| class.name() == name).ok_or(UnknownClass)
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

/// The message of a truncated body. If all promised bytes arrived, the content that they encode is incomplete.
fn truncated(received: u64, promised: Option<u64>) -> String {
    match promised {
        Some(promised) if received < promised => {
            format!("connection closed after {received} of {promised} bytes")
        }
        _ => format!("body ended early, after {received} bytes"),
    }
}

fn refused_wait(wait: &Option<Duration>) -> String {
    wait.map_or(String::new(), |wait| {
        format!(": Retry-After {} exceeds --max-retry-after", seconds(&wait))
    })
}

fn proxy_status(status: Option<u16>) -> String {
    match status {
        None => "refused to open a tunnel".to_owned(),
        // Which schemes the proxy offers is not known after a tunnel.
        Some(407) => format!(
            "HTTP {}: give a user and password in the URL of the proxy (only Basic is supported)",
            phrase(407)
        ),
        Some(code) => format!("HTTP {}", phrase(code)),
    }
}

/// The registered reason phrase of a status code; `None` if it is not registered.
pub(crate) fn reason_phrase(code: u16) -> Option<&'static str> {
    http::StatusCode::from_u16(code).ok()?.canonical_reason()
}

fn phrase(code: u16) -> String {
    match reason_phrase(code) {
        Some(reason) => format!("{code} {reason}"),
        None => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_goes_by_one_name_everywhere() {
        for class in FailureClass::ALL {
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
            let message =
                format!("checksum mismatch: {claimed_by} expects crc32 00000000, got 352441c2");
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
