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
    /// The configuration file that was read, if one was.
    pub config: Option<PathBuf>,
    /// Files with credentials that were read: netrc files and files of header lines.
    pub credential_files: Vec<PathBuf>,
    /// The options that were set, for reports: `--jobs=8`; what may be secret is masked.
    pub options: Vec<String>,
    /// Who the workers are.
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
    /// How the program ends if URLs failed.
    pub failed_exit: FailedExit,
    /// Limits on response bodies and the digests to compute.
    pub bodies: BodyOptions,
    /// Where bodies are saved; `None`: they are read and thrown away.
    pub keep: Option<SaveOptions>,
    /// The archives that bodies are appended to, instead.
    pub archive: Option<ArchiveOptions>,
    /// Where the body of the only URL goes, instead.
    pub output: Option<SingleOutput>,
    /// What is written to standard output, and how much.
    pub report: OutputOptions,
    /// Where to write the targets that failed permanently, as a list.
    pub failed: Option<FailedList>,
    /// Further reports of the run, each a file of its own.
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
    /// Everything that the run reads: no output may replace any of it.
    pub fn inputs(&self) -> Vec<Source> {
        let cookies = self.cookies.files.iter().cloned().map(Source::File);
        self.inputs_but_cookies().into_iter().chain(cookies).collect()
    }

    /// Everything that the run reads, except for cookies, which may be written back to the file that they come from.
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

    /// The client certificates of listed origins and of single hosts.
    pub fn client_certificates(&self) -> impl Iterator<Item = &ClientCertificate> {
        let of_hosts = self.host_limits.hosts.values();
        let of_hosts = of_hosts.filter_map(|host| host.client_certificate.as_ref());
        self.http.client_certificate.iter().chain(of_hosts)
    }

    /// The files that the run writes beside bodies.
    pub fn outputs(&self) -> impl Iterator<Item = &Path> {
        let documents = self.documents.iter().map(|document| &*document.path);
        let output = self.output.as_ref().and_then(|output| output.path.as_deref());
        let files = self.failed.as_ref().map(|failed| &*failed.path).into_iter();
        documents.chain(files).chain(output).chain(self.cookies.jar.as_deref())
    }
}

/// The exit code of a run in which nothing went wrong but URLs that failed and invalid lines.
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
    /// What the file survives.
    pub durability: Durability,
    /// Bytes that stay free on the file system.
    pub min_free: Option<u64>,
}

/// Options of `fetch split`: a list as files, one for each shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitCommand {
    /// The list: a file or standard input.
    pub source: Source,
    /// How it is read.
    pub lists: ListOptions,
    /// The number of files.
    pub shards: NonZeroU32,
    /// What decides about the shard of a URL.
    pub by: ShardKey,
    /// Where the files are written.
    pub dir: PathBuf,
    /// What becomes of files that it has not written.
    pub foreign: ForeignFilePolicy,
}

/// Options of `fetch merge`: the reports of shards as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeCommand {
    /// The reports, or the manifests.
    pub sources: Vec<Source>,
    /// Files to write. If empty, standard output has the records.
    pub documents: Vec<ReportFile>,
    /// Whether the secrets of URLs are shown.
    pub secrets: SecretDisplay,
}

/// Options of `fetch report`: reports of a saved run or comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportCommand {
    /// Where it is read from: a file or standard input.
    pub source: Source,
    /// Report files to write. If empty, a text table goes to standard output.
    pub documents: Vec<ReportFile>,
    /// Whether the secrets of URLs are shown.
    pub secrets: SecretDisplay,
}

/// A report that is a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// The file; what it held is replaced once the report is whole.
    pub path: PathBuf,
    /// What it is.
    pub kind: ReportFormat,
}

/// The format of a report file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// One page to look at, with charts.
    Html,
    /// An HTTP archive (HAR 1.2), for the waterfall of a browser.
    Har,
    /// Comma-separated values, as [`OutputFormat::Csv`].
    Csv,
    /// One JSON document, laid out over lines.
    Json,
    /// JSON lines, as [`OutputFormat::Jsonl`].
    Jsonl,
    /// A table to paste.
    Markdown,
}

/// The subject of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportSubject {
    /// A run: a row for each URL.
    Run,
    /// A comparison of runs: figures of each of them.
    Comparison,
}

impl ReportFormat {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Html, Self::Har, Self::Csv, Self::Json, Self::Jsonl, Self::Markdown];

    /// Why there is no such report of this, and what to do; `None` if there is one.
    pub fn unfit_for(self, reported: ReportSubject) -> Option<&'static str> {
        match (self, reported) {
            (Self::Json, ReportSubject::Run) => Some(".json is for comparisons; use .jsonl"),
            (Self::Har, ReportSubject::Comparison) => Some(
                ".har is not available for comparisons; use fetch --mode MODE --report FILE.har",
            ),
            _ => None,
        }
    }

    /// How the names of such files end, without the dot.
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

    /// What a file is to be by its name; upper case counts as lower case.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        Self::ALL.into_iter().find(|kind| extension.eq_ignore_ascii_case(kind.extension()))
    }
}

/// Where to write the targets that failed permanently, as a list that can be fetched again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedList {
    /// The file; what it held is replaced.
    pub path: PathBuf,
    /// Only failures of these classes; empty: of all.
    pub classes: Vec<FailureClass>,
    /// Whether targets keep the names that their files would have; in archives, a name would make another target of them.
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

/// Who the workers are.
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
        /// Tasks in all.
        jobs: NonZeroUsize,
        /// Event loops, each a thread with its own client; at most one a task.
        loops: NonZeroUsize,
    },
}

impl Strategy {
    /// Its kind.
    pub fn mode(self) -> Mode {
        match self {
            Self::Sequential => Mode::Sequential,
            Self::Threads(_) => Mode::Threads,
            Self::Processes(_) => Mode::Processes,
            Self::Tasks { .. } => Mode::Async,
        }
    }

    /// How many workers there are.
    pub fn jobs(self) -> usize {
        match self {
            Self::Sequential => 1,
            Self::Threads(jobs) | Self::Processes(jobs) | Self::Tasks { jobs, .. } => jobs.get(),
        }
    }

    /// How many threads, or processes, carry them, each with a runtime and a client of its own.
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
    /// Further fields of every request, in the order given.
    #[serde(with = "serde_helpers::fields")]
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// Which Authorization counts, and what a netrc file says.
    pub credentials: Credentials,
    /// PEM files whose certificates are trusted beside the system's. They are read once, and not written to a line.
    #[serde(skip)]
    pub cacert: Vec<PathBuf>,
    /// The certificate to show to listed origins that ask for one. Its files are read once, and not written to a line.
    #[serde(skip)]
    pub client_certificate: Option<ClientCertificate>,
    /// Whether certificates are checked.
    pub verification: CertVerification,
    /// The days for which the certificate of a server must still be valid.
    pub min_cert_days: Option<u32>,
    /// The network interface that connections are made from; `None` leaves it to the system.
    pub interface: Option<NetworkInterface>,
    /// How targets are asked for: `Head` reads no body.
    pub method: RequestMethod,
    /// The final statuses that are a success; empty: the usual ones.
    pub accept: Vec<StatusRange>,
    /// Which versions of HTTP may be spoken.
    pub versions: HttpVersions,
    /// The proxy that requests go through.
    pub proxy: Proxy,
    /// Addresses given by hand, endpoints before addresses. The first endpoint that fits says where to connect; the
    /// first addresses that fit the host and port so found say how to get there.
    pub pins: Vec<ResolveOverride>,
    /// The address family to connect with.
    pub family: AddressFamily,
    /// Redirects to follow at most.
    pub max_redirects: u32,
    /// Which URLs may be requested, and which addresses connected to.
    pub targets: TargetRules,
}

impl HttpOptions {
    /// The User-Agent unless another one is set.
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

/// Where cookies are read from and kept. Those given as text are header fields of [`HttpOptions`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CookieOptions {
    /// Files with cookies that requests are sent.
    pub files: Vec<PathBuf>,
    /// The file with the cookies of the run: it is read at the start, if it exists, and written at the end. `None`: what
    /// replies set is not kept.
    pub jar: Option<PathBuf>,
}

/// The files of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and those that vouch for it (PEM); it may have the private key as well.
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
    /// As the web does.
    Full,
    /// Certificates are not verified.
    Off,
}

/// Which versions of HTTP may be spoken.
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
    /// Hosts, addresses and networks that no proxy is used for, separated by commas.
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

/// An address given by hand for a host and port (`--resolve`, `--connect-to`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveOverride {
    /// The host it is for, lower case; `None` for every host.
    pub host: Option<String>,
    /// The port it is for; `None` for every port.
    pub port: Option<u16>,
    /// Where to connect instead.
    pub to: OverrideTarget,
}

/// Where a pinned host is to be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverrideTarget {
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

/// Timeouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// For a connection, TLS included; a name is looked up before.
    pub connect: Duration,
    /// For the next byte.
    pub stall: Duration,
    /// For one attempt; `None`: as long as it takes.
    pub attempt: Option<Duration>,
    /// For the run; `None`: as long as it takes.
    pub deadline: Option<Duration>,
    /// How slow a body may be; `None`: as slow as it is.
    pub min_speed: Option<MinSpeed>,
    /// For transfers in progress to finish once the run drains.
    pub grace: Duration,
}

/// The least average speed of a body, over stretches of a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinSpeed {
    /// Bytes per second.
    pub rate: NonZeroU64,
    /// The length of each stretch.
    pub over: Duration,
}

impl Timeouts {
    /// How long transfers in progress may take to finish once a run drains, if nothing else is said.
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
    /// Tries after the first, at most.
    pub times: u32,
    /// The first back-off's upper end; it doubles from try to try.
    pub base: Duration,
    /// The longest wait that a server may ask for.
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
    /// Requests in progress at one host, at most.
    pub per_host: MaxPerHost,
    /// Time between two starts at one host, at least.
    pub host_delay: Duration,
    /// Starts at one host, at most; they are spread evenly.
    pub host_rate: Option<Rate>,
    /// Starts in all, at most; they are spread evenly.
    pub rate: Option<Rate>,
    /// Body bytes a second in all, at most.
    pub limit_rate: Option<NonZeroU64>,
    /// Consecutive connection failures after which a host is paused.
    pub host_failures: NonZeroU32,
    /// How long an unreachable host is probed.
    pub host_patience: Duration,
    /// Whether robots.txt is asked for and obeyed.
    pub robots: RobotsPolicy,
    /// What is different for some hosts, by name (lower case), whatever the scheme and port.
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

/// Requests in progress at one host, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxPerHost {
    /// Six, as browsers do; any number at a host that is written `localhost`, `127.x.x.x` or `[::1]`.
    Default,
    /// This number.
    Most(NonZeroUsize),
    /// Any number.
    NoLimit,
}

/// Whether robots.txt is asked for and obeyed (RFC 9309).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RobotsPolicy {
    /// No: the list was written by a person.
    Ignored,
    /// Yes.
    Obeyed,
}

/// What is different for one host; `None` is as for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostOverrides {
    /// Requests in progress, at most.
    pub per_host: Option<MaxPerHost>,
    /// Time between two starts, at least.
    pub delay: Option<Duration>,
    /// Starts, at most.
    pub rate: Option<Rate>,
    /// Further fields of every request to this host.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// The certificate to show to this host if it asks for one.
    pub client_certificate: Option<ClientCertificate>,
}

/// When failures stop the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureLimits {
    /// The run stops with more failures than this.
    pub most: Option<MaxFailures>,
}

/// How many failures are too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxFailures {
    /// More failures than this.
    Number(u64),
    /// More than this share of what is settled, looked at from 100 settled on.
    Share(Share),
}

/// Limits on response bodies and the digests to compute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyOptions {
    /// Bytes that one body may have, decoded.
    pub max_filesize: Option<u64>,
    /// Body bytes that the run may read in all.
    pub quota: Option<u64>,
    /// Whether bodies may come compressed, to be decoded.
    pub coding: Compression,
    /// Digests to compute, the one to be told first.
    pub digests: Vec<Algorithm>,
    /// What the one body must hash to.
    pub checksum: Option<Digest>,
    /// A file that tells what bodies must hash to, by the names of their files. It is read once, and not written to a
    /// line.
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

/// Whether bodies may come compressed (RFC 9110 section 8.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// Bodies are taken as they come.
    #[default]
    Identity,
    /// The server is told which codings can be undone, and they are.
    Decode,
}

/// Where bodies are saved, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveOptions {
    /// The folder, or the URL of a place in an object store.
    pub dir: PathBuf,
    /// How files are named.
    pub names: NamingScheme,
    /// Whether the server may name them.
    pub named_by: NameSource,
    /// What happens to targets that are already saved.
    pub again: ExistingPolicy,
    /// What happens to an existing file that fetch has not created.
    pub foreign: ForeignFilePolicy,
    /// Whether a saved file must outlast a power loss.
    pub durability: Durability,
    /// Bytes that must stay free in the folder's file system.
    pub min_free: Option<u64>,
    /// How long an object store that does not answer is asked again.
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
    /// The option that says so, and its value; `None` if bodies are not saved.
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
    /// What the names of all files begin with.
    pub prefix: PathBuf,
    /// What they are.
    pub format: ArchiveFormat,
    /// The size in bytes at which the next file is begun.
    pub max_bytes: NonZeroU64,
    /// The number of bodies after which the next file is begun.
    pub max_bodies: Option<NonZeroU64>,
    /// The carried column whose text is a file of its own beside the body, in a tar archive.
    pub text_column: Option<String>,
    /// What happens to targets that are already saved.
    pub again: ExistingPolicy,
    /// Whether a saved body must outlast a power loss.
    pub durability: Durability,
    /// Bytes that must stay free in the file system.
    pub min_free: Option<u64>,
    /// How long an object store that does not answer is asked again.
    pub patience: Duration,
}

/// The format of archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArchiveFormat {
    /// WARC 1.1 (ISO 28500), each record a gzip member.
    Warc,
    /// tar, a body and its record as two files of one name.
    Tar,
}

impl ArchiveFormat {
    /// The option that asks for it.
    pub fn option(self) -> &'static str {
        match self {
            Self::Warc => "--warc",
            Self::Tar => "--tar",
        }
    }

    /// How the names of its files end.
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
    /// By the last part of the URL, all in one folder: `page.html`.
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
    /// Yes, by Content-Disposition (RFC 6266), where it is sent and the list names none.
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
    /// It stays, and the target fails.
    Stays,
    /// It is replaced.
    Replaced,
}

/// What a saved file survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durability {
    /// The end of this program, however it ends.
    Process,
    /// The loss of power too.
    Power,
}

/// What is written to standard output, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputOptions {
    /// The output format.
    pub format: OutputFormat,
    /// The order of rows.
    pub order: ReportOrder,
    /// How much is printed.
    pub verbosity: Verbosity,
    /// Whether the progress display may be shown.
    pub progress: ProgressChoice,
    /// When text is colored.
    pub color: ColorChoice,
    /// Whether the secrets of URLs are shown.
    pub secrets: SecretDisplay,
    /// How often the progress is written to standard error as a line; `None`: never.
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
    /// Nowhere.
    Never,
}

/// When text is colored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
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

/// The order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportOrder {
    /// As they complete.
    Completion,
    /// As listed.
    List,
}

/// How much is printed.
/// Each level prints what the level before it does, and more.
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
    /// The heads of requests and replies (`-vv`).
    Trace,
}

/// What `fetch verify` checks, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOptions {
    /// The folder.
    pub dir: PathBuf,
    /// Files that are read at a time; `None`: as many as there are processors.
    pub jobs: Option<NonZeroUsize>,
    /// The output format: text or JSON Lines.
    pub form: OutputFormat,
    /// How much is told in sentences; data is always told as a whole.
    pub verbosity: Verbosity,
    /// Whether what is missing or changed is to be fetched again.
    pub marking: MarkMode,
}

/// Whether what is missing or changed is to be fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkMode {
    /// It is marked in the manifest, and what a killed run left to rename is renamed.
    On,
    /// Everything stays as it is.
    Off,
}
