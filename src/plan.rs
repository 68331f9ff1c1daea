//! What was decided: complete, checked, and free of the way it was typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// A run as decided.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the targets come from, in the order given; never empty.
    pub sources: Vec<Source>,
    /// Who the workers are.
    pub strategy: Strategy,
    /// How requests are made.
    pub http: Http,
    /// How long to wait for what.
    pub clocks: Clocks,
    /// What to do about transient failures.
    pub retry: Retry,
    /// What to tell, and how.
    pub report: Report,
}

/// Where targets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A URL given on the command line, as typed.
    Argument(String),
    /// A list file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// Who the workers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// One transfer at a time.
    Sequential,
    /// So many OS threads, each with its own runtime and client.
    Threads(NonZeroUsize),
    /// So many tasks, spread over so many event loops.
    Tasks {
        /// Tasks in all.
        jobs: NonZeroUsize,
        /// Event loops, each a thread with its own client; at most one a task.
        loops: NonZeroUsize,
    },
}

impl Strategy {
    /// The name that the mode is typed and reported by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Threads(_) => "threads",
            Self::Tasks { .. } => "async",
        }
    }

    /// How many workers there are.
    pub fn jobs(self) -> usize {
        match self {
            Self::Sequential => 1,
            Self::Threads(jobs) | Self::Tasks { jobs, .. } => jobs.get(),
        }
    }

    /// How many threads carry them, each with a runtime and a client of its own.
    pub fn loops(self) -> usize {
        match self {
            Self::Sequential => 1,
            Self::Threads(jobs) => jobs.get(),
            Self::Tasks { loops, .. } => loops.get(),
        }
    }

    /// The same strategy with at most so many workers.
    pub fn cut_to(self, most: NonZeroUsize) -> Self {
        match self {
            Self::Sequential => Self::Sequential,
            Self::Threads(jobs) => Self::Threads(jobs.min(most)),
            Self::Tasks { jobs, loops } => {
                Self::Tasks { jobs: jobs.min(most), loops: loops.min(most) }
            }
        }
    }
}

/// How requests are made.
#[derive(Debug, Clone)]
pub struct Http {
    /// User-Agent of every request.
    pub user_agent: http::HeaderValue,
    /// Further fields of every request, in the order given.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// PEM files whose certificates are trusted beside the system's.
    pub cacert: Vec<PathBuf>,
    /// Whether certificates are checked.
    pub verification: Verification,
    /// Which versions of HTTP may be spoken.
    pub versions: Versions,
    /// Whom to ask instead of the origin.
    pub proxy: Proxy,
    /// Addresses given by hand, endpoints before addresses. The first endpoint that fits says where to connect; the
    /// first addresses that fit the host and port so found say how to get there.
    pub pins: Vec<Pin>,
    /// Which addresses may be used.
    pub family: Family,
    /// Redirects to follow at most.
    pub max_redirects: u32,
}

/// Whether certificates are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// As the web does.
    Full,
    /// Not at all: whoever answers is believed.
    Off,
}

/// Which versions of HTTP may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/2 where TLS negotiates it, else HTTP/1.1.
    Negotiated,
    /// HTTP/1.1 alone.
    Http1,
}

/// Whom to ask instead of the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// What the environment says (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`).
    Environment,
    /// This one for all.
    Use(Url),
    /// Nobody.
    Direct,
}

/// Which addresses may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Both.
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// An address given by hand for a host and port (`--resolve`, `--connect-to`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The host it is for, lower case; `None` for every host.
    pub host: Option<String>,
    /// The port it is for; `None` for every port.
    pub port: Option<u16>,
    /// Where to connect instead.
    pub to: PinTo,
}

/// Where a pinned host is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinTo {
    /// At one of these addresses, same port (`--resolve`).
    Addresses(Vec<std::net::IpAddr>),
    /// At another host, port or both (`--connect-to`); `None` keeps the URL's own.
    Endpoint {
        /// Name or address.
        host: Option<String>,
        /// Port.
        port: Option<u16>,
    },
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// For a connection, name and TLS included.
    pub connect: Duration,
    /// For the next byte.
    pub stall: Duration,
    /// For one attempt; `None`: as long as it takes.
    pub attempt: Option<Duration>,
    /// For the run; `None`: as long as it takes.
    pub deadline: Option<Duration>,
}

/// What to do about transient failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first, at most.
    pub times: u32,
    /// The first back-off's upper end; it doubles from try to try.
    pub base: Duration,
    /// The longest wait that a server may ask for.
    pub max_retry_after: Duration,
}

/// What to tell, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The form of stdout.
    pub format: Format,
    /// The order of rows.
    pub order: Order,
    /// How much is said.
    pub verbosity: Verbosity,
}

/// The form of stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Sentences.
    Text,
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values (RFC 4180).
    Csv,
}

/// The order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they complete.
    Completion,
    /// As listed.
    List,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Failures, and nothing of what went well; no progress display.
    Quiet,
    /// Every row.
    Normal,
    /// Retries and redirects too.
    Verbose,
}
