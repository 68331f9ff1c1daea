//! The validated configuration of a run. Contains no clap types.

mod lists;
mod object_url;
mod shards;
mod targets;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::credentials::Credentials;
use crate::digest::{Algorithm, Digest};
pub(crate) use crate::model::Mode;
use crate::model::{FailureClass, RequestMethod, serde_helpers};
use crate::units::{Rate, Share};
pub use lists::{CarryChoice, ListFormat, ListOptions};
#[cfg(feature = "object-store")]
pub(crate) use object_url::ObjectService;
pub(crate) use object_url::ObjectUrl;
pub(crate) use shards::{Shard, ShardKey, shard_of};
pub(crate) use targets::{AddressBlock, AddressScope, HostRule, TargetRules, UrlSchemes};

/// The configuration of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the targets come from, in the order given; never empty.
    pub sources: Vec<Source>,
    /// How lists are read.
    pub lists: ListOptions,
    /// The part of the targets that the run takes; `None`: all.
    pub shard: Option<Shard>,
    /// The configuration file, if one was read.
    pub config: Option<PathBuf>,
    /// Files with credentials that were read: netrc files and files of header lines.
    pub credential_files: Vec<PathBuf>,
    /// The options that were set, for reports: `--jobs=8`; possible secrets are masked.
    pub options: Vec<String>,
    /// How workers are run, and how many.
    pub strategy: Strategy,
    /// How requests are made.
    pub http: HttpOptions,
    /// Where cookies are read from and kept.
    pub cookies: CookieOptions,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// What to do about transient failures.
    pub retry: RetryOptions,
    /// Limits per host and overall.
    pub host_limits: HostLimitOptions,
    /// When failures stop the run.
    pub failure_limits: FailureLimits,
    /// The exit code if URLs failed.
    pub failed_exit: FailedExit,
    /// Limits on response bodies and the digests to compute.
    pub bodies: BodyOptions,
    /// The directory that bodies are saved in, if any. Without it, `archive` and `output`, bodies are read and discarded.
    pub keep: Option<SaveOptions>,
    /// The archives that bodies are appended to instead, if any.
    pub archive: Option<ArchiveOptions>,
    /// Where the body of the only URL goes instead, if requested.
    pub output: Option<SingleOutput>,
    /// What is written to standard output and standard error.
    pub report: OutputOptions,
    /// The list file for the targets that failed permanently.
    pub failed: Option<FailedList>,
    /// Report files to write.
    pub documents: Vec<ReportFile>,
}

impl Default for Plan {
    /// What `fetch` does without options: a list from standard input, not saved.
    fn default() -> Self {
        Self {
            sources: vec![Source::Stdin],
            lists: ListOptions::default(),
            shard: None,
            config: None,
            credential_files: Vec::new(),
            options: Vec::new(),
            strategy: Strategy::Tasks {
                jobs: NonZeroUsize::new(16).expect("16 is not zero"),
                loops: NonZeroUsize::MIN,
            },
            http: HttpOptions::default(),
            cookies: CookieOptions::default(),
            timeouts: Timeouts::default(),
            retry: RetryOptions::default(),
            host_limits: HostLimitOptions::default(),
            failure_limits: FailureLimits { most: None },
            failed_exit: FailedExit::One,
            bodies: BodyOptions::default(),
            keep: None,
            archive: None,
            output: None,
            report: OutputOptions {
                format: OutputFormat::Text,
                order: ReportOrder::Completion,
                verbosity: Verbosity::Normal,
                progress: ProgressChoice::OnTerminal,
                color: ColorChoice::Auto,
                secrets: SecretDisplay::Masked,
                heartbeat: None,
            },
            failed: None,
            documents: Vec::new(),
        }
    }
}

impl Plan {
    /// All files and streams that the run reads; no output may replace any of them.
    pub fn inputs(&self) -> Vec<Source> {
        let cookies = self.cookies.files.iter().cloned().map(Source::File);
        self.inputs_but_cookies().into_iter().chain(cookies).collect()
    }

    /// As [`inputs`](Self::inputs), without cookie files: cookies may be written back to the file they come from.
    pub fn inputs_but_cookies(&self) -> Vec<Source> {
        let files = self.bodies.sums.iter().chain(&self.http.cacert).chain(&self.config);
        let files = files.chain(&self.credential_files);
        let files = files.chain(self.client_certificates().flat_map(ClientCertificate::files));
        self.sources.iter().cloned().chain(files.cloned().map(Source::File)).collect()
    }

    /// Where bodies are saved.
    pub fn saving(&self) -> Saving<'_> {
        match (&self.keep, &self.archive) {
            (Some(directory), _) => Saving::Directory(directory),
            (None, Some(archive)) => Saving::Archive(archive),
            (None, None) => Saving::Nothing,
        }
    }

    /// All client certificates: the one for listed origins and those of single hosts.
    pub fn client_certificates(&self) -> impl Iterator<Item = &ClientCertificate> {
        let of_hosts = self.host_limits.hosts.values();
        let of_hosts = of_hosts.filter_map(|host| host.client_certificate.as_ref());
        self.http.client_certificate.iter().chain(of_hosts)
    }

    /// The files that the run writes, without saved bodies and archives.
    pub fn outputs(&self) -> impl Iterator<Item = &Path> {
        let documents = self.documents.iter().map(|document| &*document.path);
        let output = self.output.as_ref().and_then(|output| output.path.as_deref());
        let files = self.failed.as_ref().map(|failed| &*failed.path).into_iter();
        documents.chain(files).chain(output).chain(self.cookies.jar.as_deref())
    }
}

/// The exit code of a run whose only problems are failed URLs and invalid lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedExit {
    /// 1.
    One,
    /// 0 (`--exit-zero`).
    Zero,
}

/// Where the body of the only URL goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleOutput {
    /// The file; `None` is standard output.
    pub path: Option<PathBuf>,
    /// Whether the file must survive a power loss.
    pub durability: Durability,
    /// Bytes that must stay free on the file system.
    pub min_free: Option<u64>,
}

/// Options of `fetch split`, which writes a list as one file per shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitCommand {
    /// The list: a file or standard input.
    pub source: Source,
    /// How it is read.
    pub lists: ListOptions,
    /// The number of files.
    pub shards: NonZeroU32,
    /// The part of a URL that determines its shard.
    pub by: ShardKey,
    /// Where the files are written.
    pub dir: PathBuf,
    /// What happens to existing files that `fetch split` has not written.
    pub foreign: ForeignFilePolicy,
}

/// Options of `fetch merge`, which combines the reports of shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeCommand {
    /// The reports or manifests to read.
    pub sources: Vec<Source>,
    /// Report files to write. If empty, the records go to standard output.
    pub documents: Vec<ReportFile>,
    /// Whether the secrets of URLs are shown.
    pub secrets: SecretDisplay,
}

/// Options of `fetch report`, which makes reports of a saved run or comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportCommand {
    /// The saved report: a file or standard input.
    pub source: Source,
    /// Report files to write. If empty, a text table goes to standard output.
    pub documents: Vec<ReportFile>,
    /// Whether the secrets of URLs are shown.
    pub secrets: SecretDisplay,
}

/// A report file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// The file; an existing one is replaced once the report is complete.
    pub path: PathBuf,
    /// Its format.
    pub kind: ReportFormat,
}

/// The format of a report file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// One web page with charts.
    Html,
    /// An HTTP archive (HAR 1.2), for the waterfall of a browser.
    Har,
    /// Comma-separated values, as [`OutputFormat::Csv`].
    Csv,
    /// One JSON document, laid out over lines.
    Json,
    /// JSON lines, as [`OutputFormat::Jsonl`].
    Jsonl,
    /// A Markdown table.
    Markdown,
}

/// The subject of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportSubject {
    /// A run: a row for each URL.
    Run,
    /// A comparison of runs: the figures of each run.
    Comparison,
}

impl ReportFormat {
    /// All formats.
    pub const ALL: [Self; 6] =
        [Self::Html, Self::Har, Self::Csv, Self::Json, Self::Jsonl, Self::Markdown];

    /// Why this format cannot report the subject, and what to use instead; `None` if it can.
    pub fn unfit_for(self, subject: ReportSubject) -> Option<&'static str> {
        match (self, subject) {
            (Self::Json, ReportSubject::Run) => Some(".json is for comparisons; use .jsonl"),
            (Self::Har, ReportSubject::Comparison) => Some(
                ".har is not available for comparisons; use fetch --mode MODE --report FILE.har",
            ),
            _ => None,
        }
    }

    /// The extension of the file name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Har => "har",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Markdown => "md",
        }
    }

    /// The format that the extension of a file name stands for, in either case; `None` if it stands for none.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        Self::ALL.into_iter().find(|kind| extension.eq_ignore_ascii_case(kind.extension()))
    }
}

/// Where to write the targets that failed permanently, as a list that can be fetched again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedList {
    /// The file; an existing one is replaced.
    pub path: PathBuf,
    /// The failure classes to include; empty: all.
    pub classes: Vec<FailureClass>,
    /// Whether each target is written with the name its file would have. Not with archives, where a name would make it
    /// another target.
    pub keeps_names: bool,
}

/// Where targets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A URL given on the command line, as typed.
    Argument(String),
    /// A list file.
    File(PathBuf),
    /// A list at a URL.
    RemoteList(Url),
    /// Standard input.
    Stdin,
}

/// How workers are run, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// One transfer at a time.
    Sequential,
    /// N OS threads, each with its own runtime and client.
    Threads(NonZeroUsize),
    /// N child processes, each with a client and an event loop of its own.
    Processes(NonZeroUsize),
    /// Tasks on event loops.
    Tasks {
        /// Number of tasks, over all loops.
        jobs: NonZeroUsize,
        /// Number of event loops, each a thread with its own client; at most one per task.
        loops: NonZeroUsize,
    },
}

impl Strategy {
    /// The mode, without the numbers.
    pub fn mode(self) -> Mode {
        match self {
            Self::Sequential => Mode::Sequential,
            Self::Threads(_) => Mode::Threads,
            Self::Processes(_) => Mode::Processes,
            Self::Tasks { .. } => Mode::Async,
        }
    }

    /// The number of workers.
    pub fn jobs(self) -> usize {
        match self {
            Self::Sequential => 1,
            Self::Threads(jobs) | Self::Processes(jobs) | Self::Tasks { jobs, .. } => jobs.get(),
        }
    }

    /// The number of threads or processes that run the workers, each with its own runtime and client.
    pub fn loops(self) -> usize {
        match self {
            Self::Sequential => 1,
            Self::Threads(jobs) | Self::Processes(jobs) => jobs.get(),
            Self::Tasks { loops, .. } => loops.get(),
        }
    }

    /// The same strategy with at most `most` workers.
    pub fn cut_to(self, most: NonZeroUsize) -> Self {
        match self {
            Self::Sequential => Self::Sequential,
            Self::Threads(jobs) => Self::Threads(jobs.min(most)),
            Self::Processes(jobs) => Self::Processes(jobs.min(most)),
            Self::Tasks { jobs, loops } => {
                Self::Tasks { jobs: jobs.min(most), loops: loops.min(most) }
            }
        }
    }
}

/// How requests are made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HttpOptions {
    /// User-Agent of every request.
    #[serde(with = "serde_helpers::value")]
    pub user_agent: http::HeaderValue,
    /// Additional header fields of every request, in the order given.
    #[serde(with = "serde_helpers::fields")]
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// The precedence of Authorization fields, and the content of a netrc file.
    pub credentials: Credentials,
    /// PEM files with certificates to trust in addition to the system's. Read once by the parent process.
    #[serde(skip)]
    pub cacert: Vec<PathBuf>,
    /// The certificate to present to listed origins that ask for one. Its files are read once by the
    /// parent process.
    #[serde(skip)]
    pub client_certificate: Option<ClientCertificate>,
    /// Whether certificates are checked.
    pub verification: CertVerification,
    /// The minimum number of days for which a server's certificate must still be valid.
    pub min_cert_days: Option<u32>,
    /// The network interface that connections are made from; `None`: the system chooses.
    pub interface: Option<NetworkInterface>,
    /// The request method; with `Head`, no body is read.
    pub method: RequestMethod,
    /// The final statuses that count as success; empty: the usual ones.
    pub accept: Vec<StatusRange>,
    /// Which versions of HTTP may be used.
    pub versions: HttpVersions,
    /// The proxy that requests go through.
    pub proxy: Proxy,
    /// Overrides of host and address (`--connect-to`, `--resolve`), endpoints before addresses. The first endpoint that
    /// matches gives the host and port to connect to; the first addresses that match these replace their DNS lookup.
    pub pins: Vec<ResolveOverride>,
    /// The address family to connect with.
    pub family: AddressFamily,
    /// Maximum number of redirects to follow.
    pub max_redirects: u32,
    /// Which URLs may be requested, and which addresses may be connected to.
    pub targets: TargetRules,
}

impl HttpOptions {
    /// The default User-Agent.
    pub const USER_AGENT: &str = concat!("fetch/", env!("CARGO_PKG_VERSION"));
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            user_agent: http::HeaderValue::from_static(Self::USER_AGENT),
            headers: Vec::new(),
            credentials: Credentials::default(),
            cacert: Vec::new(),
            client_certificate: None,
            verification: CertVerification::Full,
            min_cert_days: None,
            interface: None,
            method: RequestMethod::Get,
            accept: Vec::new(),
            versions: HttpVersions::Negotiated,
            proxy: Proxy::Direct,
            pins: Vec::new(),
            family: AddressFamily::Any,
            max_redirects: 10,
            targets: TargetRules::default(),
        }
    }
}

/// Where cookies are read from and kept. Cookies given as text are header fields of [`HttpOptions`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CookieOptions {
    /// Files with cookies to send.
    pub files: Vec<PathBuf>,
    /// The file with the cookies of the run: it is read at the start, if it exists, and written at the end. `None`:
    /// cookies that a redirect sets are only sent to the further redirects of its target.
    pub jar: Option<PathBuf>,
}

/// The files of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate with its chain (PEM); the file may contain the private key as well.
    pub cert: PathBuf,
    /// The private key (PEM), if it is in another file.
    pub key: Option<PathBuf>,
}

impl ClientCertificate {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert].into_iter().chain(&self.key)
    }
}

/// Where connections are made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkInterface {
    /// The interface of this name.
    Name(String),
    /// This address of this machine.
    Address(std::net::IpAddr),
}

impl std::fmt::Display for NetworkInterface {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => out.write_str(name),
            Self::Address(address) => address.fmt(out),
        }
    }
}

/// A range of status codes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    /// The first one.
    pub first: u16,
    /// The last one.
    pub last: u16,
}

impl StatusRange {
    /// Whether a status is in the range.
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

/// Whether certificates are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertVerification {
    /// As browsers do: chain, validity and host name.
    Full,
    /// Not at all.
    Off,
}

/// Which versions of HTTP may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HttpVersions {
    /// HTTP/2 where TLS negotiates it, else HTTP/1.1.
    Negotiated,
    /// HTTP/1.1 only.
    Http1,
}

/// The proxies that requests go through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proxy {
    /// No proxy.
    Direct,
    /// These, by the scheme of a URL.
    Use(ProxyUrls),
}

/// Proxies by the scheme of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyUrls {
    /// For `http`; `None` means no proxy.
    pub http: Option<Url>,
    /// For `https`; `None` means no proxy.
    pub https: Option<Url>,
    /// Hosts, addresses and networks to connect to without a proxy, separated by commas.
    pub exceptions: String,
}

/// The address family to connect with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressFamily {
    /// IPv4 and IPv6.
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// An override of where to connect for a host and port (`--resolve`, `--connect-to`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveOverride {
    /// The host that it applies to, lower case; `None`: every host.
    pub host: Option<String>,
    /// The port that it applies to; `None`: every port.
    pub port: Option<u16>,
    /// Where to connect instead.
    pub to: OverrideTarget,
}

/// Where to connect instead of the URL's own host and port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverrideTarget {
    /// To one of these addresses, same port (`--resolve`).
    Addresses(Vec<std::net::IpAddr>),
    /// To another host, port or both (`--connect-to`); `None` keeps the URL's own.
    Endpoint {
        /// Name or address.
        host: Option<String>,
        /// Port.
        port: Option<u16>,
    },
}

/// Timeouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Maximum time to establish a connection, TLS included; the host name is looked up before.
    pub connect: Duration,
    /// Maximum time without a byte received.
    pub stall: Duration,
    /// Maximum time of one attempt; `None`: unlimited.
    pub attempt: Option<Duration>,
    /// Maximum time of the run; `None`: unlimited.
    pub deadline: Option<Duration>,
    /// Minimum speed of a body; `None`: no minimum.
    pub min_speed: Option<MinSpeed>,
    /// Maximum time for transfers in progress to finish once the run drains.
    pub grace: Duration,
}

/// The minimum average speed of a body over a period of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinSpeed {
    /// Bytes per second.
    pub rate: NonZeroU64,
    /// The length of the period.
    pub over: Duration,
}

impl Timeouts {
    /// The default of [`grace`](Self::grace).
    pub(crate) const GRACE: Duration = Duration::from_secs(10);
}

impl Default for Timeouts {
    fn default() -> Self {
        let (connect, stall) = (Duration::from_secs(10), Duration::from_secs(30));
        let grace = Self::GRACE;
        Self { connect, stall, attempt: None, deadline: None, min_speed: None, grace }
    }
}

/// What to do about transient failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// Maximum number of retries.
    pub times: u32,
    /// Upper bound of the first back-off; it doubles with each further one, up to a minute.
    pub base: Duration,
    /// The longest Retry-After that is waited for.
    pub max_retry_after: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        let (base, max_retry_after) = (Duration::from_secs(1), Duration::from_secs(600));
        Self { times: 3, base, max_retry_after }
    }
}

/// Limits per host and overall. A host is a scheme, a name and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLimitOptions {
    /// Maximum number of concurrent requests to one host.
    pub per_host: MaxPerHost,
    /// Minimum time between the starts of two requests to one host.
    pub host_delay: Duration,
    /// Maximum rate of request starts at one host; they are spread evenly.
    pub host_rate: Option<Rate>,
    /// Maximum rate of request starts over all hosts; they are spread evenly.
    pub rate: Option<Rate>,
    /// Maximum body bytes per second over all transfers.
    pub limit_rate: Option<NonZeroU64>,
    /// Consecutive connection failures after which a host counts as unreachable and is only probed.
    pub host_failures: NonZeroU32,
    /// How long an unreachable host is probed before it is given up.
    pub host_patience: Duration,
    /// Whether robots.txt is requested and obeyed.
    pub robots: RobotsPolicy,
    /// Overrides for single hosts, by name (lower case), for any scheme and port.
    pub hosts: BTreeMap<String, HostOverrides>,
}

impl Default for HostLimitOptions {
    fn default() -> Self {
        Self {
            per_host: MaxPerHost::Default,
            host_delay: Duration::ZERO,
            host_rate: None,
            rate: None,
            limit_rate: None,
            host_failures: NonZeroU32::new(3).expect("three is not zero"),
            host_patience: Duration::from_secs(30),
            robots: RobotsPolicy::Ignored,
            hosts: BTreeMap::new(),
        }
    }
}

/// Maximum number of concurrent requests to one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxPerHost {
    /// Six, as in browsers; no limit for a host that is written `localhost`, `127.x.x.x` or `[::1]`.
    Default,
    /// This number.
    Most(NonZeroUsize),
    /// No limit.
    NoLimit,
}

/// Whether robots.txt is requested and obeyed (RFC 9309).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RobotsPolicy {
    /// No: the list was written by a person.
    Ignored,
    /// Yes.
    Obeyed,
}

/// Overrides for one host; `None`: as for all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostOverrides {
    /// Maximum number of concurrent requests.
    pub per_host: Option<MaxPerHost>,
    /// Minimum time between the starts of two requests.
    pub delay: Option<Duration>,
    /// Maximum rate of request starts.
    pub rate: Option<Rate>,
    /// Additional header fields of every request to this host.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// The certificate to present to this host if it asks for one.
    pub client_certificate: Option<ClientCertificate>,
}

/// When failures stop the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureLimits {
    /// The number of failures that the run tolerates; `None`: any number.
    pub most: Option<MaxFailures>,
}

/// How many failures are too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxFailures {
    /// More failures than this.
    Number(u64),
    /// More than this share of the records, once there are 100.
    Share(Share),
}

/// Limits on response bodies and the digests to compute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyOptions {
    /// Maximum size of a decoded body in bytes.
    pub max_filesize: Option<u64>,
    /// Maximum number of body bytes that the run may read.
    pub quota: Option<u64>,
    /// Whether to request compressed bodies, and decode them.
    pub coding: Compression,
    /// Digests to compute; records show the first one.
    pub digests: Vec<Algorithm>,
    /// The expected digest of the only body.
    pub checksum: Option<Digest>,
    /// A checksum file with the expected digests of bodies, by the names of their files. Read once by the
    /// parent process.
    #[serde(skip)]
    pub sums: Option<PathBuf>,
    /// How large files are split into segments.
    pub split: SegmentOptions,
}

/// How a large file is split into segments that are fetched in parallel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentOptions {
    /// Maximum number of segments; 1: files are not split.
    pub most: NonZeroUsize,
    /// Minimum size of a segment in bytes.
    pub least: NonZeroU64,
}

impl SegmentOptions {
    /// Default minimum size of a segment in bytes.
    pub const LEAST: NonZeroU64 = NonZeroU64::new(20 << 20).expect("it is not zero");
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self { most: NonZeroUsize::MIN, least: Self::LEAST }
    }
}

/// Whether to request compressed bodies, and decode them (RFC 9110 section 8.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// No; a body is taken as it is sent.
    #[default]
    Identity,
    /// Yes; Accept-Encoding lists the codings that can be decoded.
    Decode,
}

/// Where bodies are saved, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveOptions {
    /// The folder, or the URL of an object store's bucket and prefix.
    pub dir: PathBuf,
    /// How files are named.
    pub names: NamingScheme,
    /// Whether the server may name files.
    pub named_by: NameSource,
    /// What happens to targets that are already saved.
    pub again: ExistingPolicy,
    /// What happens to an existing file that fetch has not created.
    pub foreign: ForeignFilePolicy,
    /// Whether a saved file must outlast a power loss.
    pub durability: Durability,
    /// Bytes that must stay free in the folder's file system.
    pub min_free: Option<u64>,
    /// How long requests to an object store that does not answer are retried.
    pub patience: Duration,
}

/// Where bodies are saved.
#[derive(Debug, Clone, Copy)]
pub enum Saving<'a> {
    /// Nowhere.
    Nothing,
    /// In the files of a directory.
    Directory(&'a SaveOptions),
    /// In archives.
    Archive(&'a ArchiveOptions),
}

impl<'a> Saving<'a> {
    /// The option that selects this, and its value; `None` if bodies are not saved.
    pub fn option(self) -> Option<(&'static str, &'a Path)> {
        match self {
            Self::Nothing => None,
            Self::Directory(options) => Some(("--dir", &options.dir)),
            Self::Archive(options) => Some((options.format.option(), &options.prefix)),
        }
    }
}

/// How bodies are appended to archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// The path prefix of all archive files.
    pub prefix: PathBuf,
    /// Their format.
    pub format: ArchiveFormat,
    /// The size in bytes at which the next file is started.
    pub max_bytes: NonZeroU64,
    /// The number of bodies after which the next file is started.
    pub max_bodies: Option<NonZeroU64>,
    /// The carried column whose text a tar archive has as a file beside the body.
    pub text_column: Option<String>,
    /// What happens to targets that are already saved.
    pub again: ExistingPolicy,
    /// Whether a saved body must outlast a power loss.
    pub durability: Durability,
    /// Bytes that must stay free in the file system.
    pub min_free: Option<u64>,
    /// How long requests to an object store that does not answer are retried.
    pub patience: Duration,
}

/// The format of archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArchiveFormat {
    /// WARC 1.1 (ISO 28500), each record a gzip member.
    Warc,
    /// tar, with a body and its record as two files whose names begin with the same key.
    Tar,
}

impl ArchiveFormat {
    /// The option that selects the format.
    pub fn option(self) -> &'static str {
        match self {
            Self::Warc => "--warc",
            Self::Tar => "--tar",
        }
    }

    /// The extension of the file names, without the first dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Warc => "warc.gz",
            Self::Tar => "tar",
        }
    }
}

/// How files are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamingScheme {
    /// By the last component of the URL's path, all in one folder: `page.html`.
    Flat,
    /// By host and path, as the site is laid out: `example.org/docs/page.html`.
    Tree,
    /// By the SHA-256 of the URL, spread over folders: `ab/cd/abcd….html`.
    Hash,
    /// By position in the list: `000042.html`.
    Index,
}

/// Whether the server may name files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameSource {
    /// No.
    List,
    /// Yes, by Content-Disposition (RFC 6266), unless the list gives a name.
    Server,
}

/// What happens to targets that are already saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingPolicy {
    /// They are skipped.
    Skip,
    /// The server is asked whether they have changed (RFC 9110 section 13).
    Refresh,
    /// They are fetched again.
    Force,
}

/// What happens to an existing file that fetch has not created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignFilePolicy {
    /// It is kept, and the target fails.
    Stays,
    /// It is replaced.
    Replaced,
}

/// What a saved file survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durability {
    /// The end of this program, however it ends.
    Process,
    /// A power loss as well.
    Power,
}

/// What is written to standard output and standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputOptions {
    /// The output format.
    pub format: OutputFormat,
    /// The order of records.
    pub order: ReportOrder,
    /// How much is printed.
    pub verbosity: Verbosity,
    /// Whether the progress display may be shown.
    pub progress: ProgressChoice,
    /// When text is colored.
    pub color: ColorChoice,
    /// Whether the secrets of URLs are shown.
    pub secrets: SecretDisplay,
    /// The interval at which a line of progress is written to standard error; `None`: never.
    pub heartbeat: Option<Duration>,
}

/// Whether the secrets of URLs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretDisplay {
    /// They are shown as `***`.
    Masked,
    /// They are shown as they are.
    Shown,
}

/// Whether the progress display may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressChoice {
    /// On a terminal that can move its cursor.
    OnTerminal,
    /// Never.
    Never,
}

/// When text is colored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Human-readable text.
    Text,
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values (RFC 4180).
    Csv,
}

/// The order of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportOrder {
    /// As they complete.
    Completion,
    /// As listed.
    List,
}

/// How much is printed. Each level adds to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors of the run only (`-qq`).
    Silent,
    /// Failures and the total (`-q`).
    Quiet,
    /// Every record, and notes.
    Normal,
    /// Retries, redirects, resources and hosts (`-v`).
    Verbose,
    /// The header lines of requests and replies (`-vv`).
    Trace,
}

/// What `fetch verify` checks, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOptions {
    /// The folder.
    pub dir: PathBuf,
    /// The number of files read concurrently; `None`: the number of processors.
    pub jobs: Option<NonZeroUsize>,
    /// The output format: text or JSON Lines.
    pub form: OutputFormat,
    /// How much text is printed; data is always complete.
    pub verbosity: Verbosity,
    /// Whether missing and changed files are marked, so that they are fetched again.
    pub marking: MarkMode,
}

/// Whether missing and changed files are marked, so that they are fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkMode {
    /// They are marked in the manifest, and renames that a killed run did not finish are completed.
    On,
    /// Nothing is changed.
    Off,
}
