//! What can be typed, word by word. Help texts live here.

use std::ffi::OsString;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::{network, value_parsers};
use crate::digest::{Algorithm, Digest};
use crate::model::FailureClass;
use crate::plan::{MaxFailures, MaxPerHost, ResolveOverride};
use crate::units::{self, Rate, Share};

const EXAMPLES: &str = "\
Examples:
  fetch sites.txt
  fetch -j 64 --json sites.txt > report.jsonl
  grep pdf links.txt | fetch --mode threads -
  fetch --retry 5 https://example.org/a https://example.org/b";

const MORE: &str = "\
Examples:
  fetch sites.txt
  fetch -j 64 --json sites.txt > report.jsonl
  grep pdf links.txt | fetch --mode threads -
  fetch --retry 5 https://example.org/a https://example.org/b
  fetch --report run.html sites.txt
  fetch serve --port 8080 --latency 50ms
  fetch compare

Lists:
  One URL per line. Blank lines and lines that begin with # are skipped. TAB
  separates mirrors of one file. Indented lines below a URL are its options:
  out=NAME, checksum=sha-256=HEX, header=NAME: VALUE. A bad line is a result
  with its line number; the run goes on.

Units:
  Durations are 10, 500ms, 10s, 2m or 1h. Sizes are 512, 20k, 1.5M or 2G,
  1024-based. Rates are 20/s, 5/15s or 100/m.

Settings:
  Options can be kept in fetch/config.toml in the folder $XDG_CONFIG_HOME, or
  else ~/.config, by their long names, as in jobs = 8; a section
  [hosts.\"example.org\"] holds per-host, host-delay, host-rate, header and
  user-agent for one host. They can be set in the environment, as in
  FETCH_JOBS=8. What is typed wins over the environment, and that over the file.

Exit codes:
  0  every URL was fetched          3         a local fault, as a full disk
  1  a URL failed or was invalid    4         stopped early, with work left
  2  wrong usage, unreadable list   130, 143  interrupted";

/// Fetch every URL of a list, once and whole
#[derive(Debug, Parser)]
#[command(
    name = "fetch",
    version,
    after_help = EXAMPLES,
    after_long_help = MORE,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub subcommand: Option<Subcommands>,
    #[command(flatten)]
    pub fetch: FetchArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Subcommands {
    /// Tell what is missing, changed or extra of what was saved
    Verify(VerifyArgs),
    /// Run the same list in several modes, in turn and repeatedly
    Compare(Box<CompareArgs>),
    /// Run a local origin to fetch from: slow, failing or strict on request
    Serve(ServeArgs),
    /// Write reports of a run or comparison that was saved with --json
    Report(ReportArgs),
    /// Print the completion script for a shell
    Completions {
        /// The shell that is to know fetch's options
        shell: Shell,
    },
    /// Show a chapter of the manual, or the help of a command
    Help(HelpArgs),
    /// Make transfers for another fetch (--mode processes)
    #[command(name = "__seat", hide = true)]
    Child,
}

#[derive(Debug, Args)]
pub(super) struct HelpArgs {
    /// A command or a topic [default: list them]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Write a man page to standard output
    #[arg(long, conflicts_with = "name")]
    pub man: bool,
}

#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    /// List files, URLs, or - for standard input
    ///
    /// What begins with http:// or https:// is a URL, - is standard input, anything else is a list file. Without a
    /// SOURCE a list is read from standard input, if that is not a terminal.
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<OsString>,

    #[command(flatten)]
    pub strategy: StrategyArgs,

    #[command(flatten)]
    pub requests: HttpArgs,

    #[command(flatten)]
    pub timeouts: TimeoutArgs,

    #[command(flatten)]
    pub retries: RetryArgs,

    #[command(flatten)]
    pub host_limits: HostLimitArgs,

    #[command(flatten)]
    pub saving: SaveArgs,

    #[command(flatten)]
    pub bodies: BodyArgs,

    #[command(flatten)]
    pub failures: FailedListArgs,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub configuration: ConfigArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Strategy")]
pub(super) struct StrategyArgs {
    /// Who does the work
    #[arg(short, long, value_enum, default_value = "async")]
    pub mode: ModeArg,

    /// Transfers at a time (1 to 10000); one in mode sequential
    #[arg(
        short, long, value_name = "N", default_value = "16", value_parser = value_parsers::jobs,
        allow_hyphen_values = true
    )]
    pub jobs: NonZeroUsize,

    /// Event loops of mode async, each a thread; at most one per job [default: 1; with --dir one per core, up to 4]
    #[arg(long, value_name = "N", value_parser = value_parsers::jobs, allow_hyphen_values = true)]
    pub loops: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Requests")]
pub(super) struct HttpArgs {
    /// A header field for every request; repeatable
    ///
    /// Written 'Name: value', or 'Name;' to send it empty. Host and fields that frame a message cannot be set.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,

    /// What to call itself [default: fetch/VERSION]
    #[arg(short = 'A', long, value_name = "NAME")]
    pub user_agent: Option<String>,

    /// The proxy for all requests; '' for none
    ///
    /// http, https, socks5, socks5h or socks4; without a scheme http, without a port 1080. '' means none even where
    /// the environment (http_proxy, https_proxy, all_proxy) names one.
    #[arg(short = 'x', long, value_name = "URL")]
    pub proxy: Option<String>,

    /// A PEM file of certificates to trust beside the system's; repeatable
    #[arg(long, value_name = "FILE")]
    pub cacert: Vec<PathBuf>,

    /// Believe whoever answers: check no certificate
    #[arg(short = 'k', long)]
    pub insecure: bool,

    /// Speak HTTP/1.1 alone
    #[arg(long)]
    pub http1: bool,

    /// Redirects to follow for one URL (0 to 1000)
    #[arg(
        long, value_name = "N", default_value = "10", value_parser = value_parsers::redirects,
        allow_hyphen_values = true
    )]
    pub max_redirs: u32,

    /// Use IPv4 addresses alone
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,

    /// Use IPv6 addresses alone
    #[arg(short = '6', long)]
    pub ipv6: bool,

    /// Addresses for a host and port, in place of a lookup; repeatable
    ///
    /// HOST may be * for any host. IPv6 addresses may stand in brackets. The first that fits counts.
    #[arg(
        long, value_name = "HOST:PORT:ADDR[,ADDR]...", value_parser = network::resolve,
        allow_hyphen_values = true
    )]
    pub resolve: Vec<ResolveOverride>,

    /// Connect to HOST2:PORT2 where a URL says HOST1:PORT1; repeatable
    ///
    /// An empty HOST1 or PORT1 means any, an empty HOST2 or PORT2 the URL's own. The first that fits counts; --resolve
    /// then applies to the host that results. The port can be changed only for URLs that are written without one,
    /// and nothing for URLs whose host is an IP address.
    #[arg(
        long, value_name = "HOST1:PORT1:HOST2:PORT2", value_parser = network::connect_to,
        allow_hyphen_values = true
    )]
    pub connect_to: Vec<ResolveOverride>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Clocks")]
pub(super) struct TimeoutArgs {
    /// Longest wait for a connection, TLS included
    #[arg(
        long, value_name = "DURATION", default_value = "10s",
        value_parser = units::duration_above_zero, allow_hyphen_values = true
    )]
    pub connect_timeout: Duration,

    /// Longest wait for the next byte
    #[arg(
        long, value_name = "DURATION", default_value = "30s",
        value_parser = units::duration_above_zero, allow_hyphen_values = true
    )]
    pub stall_timeout: Duration,

    /// Longest time for one attempt [default: no limit]
    #[arg(
        long, value_name = "DURATION", value_parser = units::duration_above_zero,
        allow_hyphen_values = true
    )]
    pub max_time: Option<Duration>,

    /// Longest time for the whole run [default: no limit]
    #[arg(
        long, value_name = "DURATION", value_parser = units::duration_above_zero,
        allow_hyphen_values = true
    )]
    pub deadline: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Retries")]
pub(super) struct RetryArgs {
    /// Further tries after a failure that may pass (0 to 1000)
    #[arg(
        long, value_name = "N", default_value = "3", value_parser = value_parsers::retries,
        allow_hyphen_values = true
    )]
    pub retry: u32,

    /// Longest wait before the first further try (at most 60s)
    ///
    /// The wait is drawn at random up to this, which doubles from try to try up to 60s.
    #[arg(
        long, value_name = "DURATION", default_value = "1s", value_parser = value_parsers::retry_delay,
        allow_hyphen_values = true
    )]
    pub retry_delay: Duration,

    /// Longest wait that a server may ask for with Retry-After
    #[arg(
        long, value_name = "DURATION", default_value = "10m", value_parser = units::duration,
        allow_hyphen_values = true
    )]
    pub max_retry_after: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Manners")]
pub(super) struct HostLimitArgs {
    /// Transfers at a time from one host (0 to 10000); 0 for any number [default: 6]
    ///
    /// A host is a scheme, a name and a port. By default one that is written localhost, 127.x.x.x or ::1 has no
    /// limit.
    #[arg(long, value_name = "N", value_parser = value_parsers::per_host, allow_hyphen_values = true)]
    pub per_host: Option<MaxPerHost>,

    /// Shortest time between two requests to one host
    #[arg(
        long, value_name = "DURATION", default_value = "0s", value_parser = units::duration,
        allow_hyphen_values = true
    )]
    pub host_delay: Duration,

    /// Requests to one host, spread evenly, as in 5/15s [default: no limit]
    #[arg(long, value_name = "N/TIME", value_parser = units::rate, allow_hyphen_values = true)]
    pub host_rate: Option<Rate>,

    /// Requests in all, spread evenly, as in 20/s [default: no limit]
    #[arg(long, value_name = "N/TIME", value_parser = units::rate, allow_hyphen_values = true)]
    pub rate: Option<Rate>,

    /// Body bytes a second in all, as in 500k [default: no limit]
    #[arg(
        long, value_name = "SIZE", value_parser = value_parsers::bytes_a_second,
        allow_hyphen_values = true
    )]
    pub limit_rate: Option<NonZeroU64>,

    /// Failures in a row to reach a host before it is left alone (1 to 1000)
    #[arg(
        long, value_name = "N", default_value = "3", value_parser = value_parsers::host_failures,
        allow_hyphen_values = true
    )]
    pub host_failures: NonZeroU32,

    /// How long to wait for a host that cannot be reached; 0 to give up at once
    #[arg(
        long, value_name = "DURATION", default_value = "30s", value_parser = units::duration,
        allow_hyphen_values = true
    )]
    pub host_patience: Duration,

    /// Ask for robots.txt and obey it
    #[arg(long)]
    pub robots: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Saving")]
pub(super) struct SaveArgs {
    /// Save each body as a file in DIR, made if missing
    ///
    /// What is saved is written down in DIR/.fetch/manifest.jsonl; the same command again skips what is complete,
    /// continues what was begun and fetches what is missing.
    #[arg(short, long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// How files are named
    #[arg(long, value_enum, default_value = "flat")]
    pub names: NamesArg,

    /// Let the server name files (Content-Disposition)
    #[arg(short = 'J', long)]
    pub remote_header_name: bool,

    /// Ask for what was saved before whether it has changed
    #[arg(long, requires = "dir", conflicts_with = "force")]
    pub refresh: bool,

    /// Fetch again what was saved before
    #[arg(long, requires = "dir")]
    pub force: bool,

    /// Replace files in the way that were not saved by fetch
    #[arg(long, requires = "dir")]
    pub overwrite: bool,

    /// Segments of a large file to fetch at a time (1 to 16)
    ///
    /// A file is divided if it is at least twice as large as --min-split-size, the server serves ranges and tells
    /// versions apart (a strong ETag or Last-Modified), and it does not come --compressed; else it comes in one.
    /// --per-host and --jobs bound segments as they bound files.
    #[arg(
        long, value_name = "N", default_value = "1", value_parser = value_parsers::segments,
        allow_hyphen_values = true
    )]
    pub split: NonZeroUsize,

    /// Smallest segment that a file is divided into (at least 64k)
    #[arg(
        long, value_name = "SIZE", default_value = "20M", value_parser = value_parsers::segment,
        allow_hyphen_values = true
    )]
    pub min_split_size: NonZeroU64,

    /// Make each file last through a loss of power before it counts
    #[arg(long)]
    pub fsync: bool,

    /// Stop before less than this is free on DIR's file system
    #[arg(
        long, value_name = "SIZE", value_parser = units::size, allow_hyphen_values = true
    )]
    pub min_free: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Bodies")]
pub(super) struct BodyArgs {
    /// Ask for compressed bodies and decode them
    #[arg(long)]
    pub compressed: bool,

    /// What the body of the one URL must hash to, as in sha-256=HEX
    #[arg(long, value_name = "ALGO=HEX")]
    pub checksum: Option<Digest>,

    /// A file of SHA-256 sums by file name, as sha256sum writes it
    #[arg(long, value_name = "FILE")]
    pub sha256sums: Option<PathBuf>,

    /// Compute and report digests of bodies, as in sha256 or blake3
    ///
    /// md5, sha-1, sha-256, sha-512, blake3, crc32 or crc32c; of several, the first is told.
    #[arg(long, value_name = "ALGO,...", value_delimiter = ',')]
    pub digest: Vec<Algorithm>,

    /// Largest body, decoded; 0 for any [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = units::size, allow_hyphen_values = true)]
    pub max_filesize: Option<u64>,

    /// Body bytes to read in all, then stop; 0 for any number [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = units::size, allow_hyphen_values = true)]
    pub quota: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Failures")]
pub(super) struct FailureLimitArgs {
    /// Stop with more failures than N, or than P% of what is done [default: no limit]
    ///
    /// A share is looked at once 100 URLs are done.
    #[arg(
        long, value_name = "N|P%", value_parser = value_parsers::most_failures,
        allow_hyphen_values = true
    )]
    pub max_failures: Option<MaxFailures>,

    /// Stop with the first failure: --max-failures 0
    #[arg(long, conflicts_with = "max_failures")]
    pub fail_fast: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Failures")]
pub(super) struct FailedListArgs {
    #[command(flatten)]
    pub enough: FailureLimitArgs,

    /// Write what failed for good to FILE, as a list; replaces it
    #[arg(long, value_name = "FILE")]
    pub failed: Option<PathBuf>,

    /// Only failures of these classes, as in timeout,dns [default: all]
    #[arg(
        long, value_name = "CLASS,...", value_delimiter = ',', requires = "failed",
        value_parser = value_parsers::class
    )]
    pub failed_class: Vec<FailureClass>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    pub format: FormatArg,

    /// The same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Report in the order of the list, not of completion
    #[arg(long)]
    pub ordered: bool,

    /// Write a report to FILE as well; repeatable
    ///
    /// What it is follows from how its name ends: .html (a page with charts), .har (for the waterfall of a browser),
    /// .csv, .jsonl or .md (a table to paste). It replaces FILE when the run ends, interrupted or not.
    #[arg(long = "report", value_name = "FILE")]
    pub reports: Vec<PathBuf>,

    /// Tell of failures alone; no progress display
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Tell of retries and redirects too
    #[arg(short, long)]
    pub verbose: bool,

    /// Tell what would be done, and make no request
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct ConfigArgs {
    /// Take options from FILE [default: ~/.config/fetch/config.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Take no options from a file
    #[arg(long, conflicts_with = "config")]
    pub no_config: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ModeArg {
    /// One transfer at a time, on connections that are kept
    #[value(alias = "seq")]
    Sequential,
    /// A thread for each transfer, with its own sockets
    Threads,
    /// Tasks on event loops
    #[value(alias = "tasks")]
    Async,
    /// A process for each transfer, with its own sockets
    Processes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum NamesArg {
    /// By the last segment of the URL
    Flat,
    /// By host and path
    Tree,
    /// By the URL's SHA-256, in folders
    Hash,
    /// By the place in the list
    Index,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// Sentences for people
    Text,
    /// One JSON object per line
    Jsonl,
    /// Comma-separated values
    Csv,
}

const ABOUT_VERIFY: &str = "\
Files are compared by their digest where the manifest has one, else by their
length alone, which finds no change that keeps it: save with --digest sha256.

What is missing or changed is marked in the manifest, and the next run of the
fetch command that saved it fetches just that. A changed file is replaced then.

Exit codes:
  0  all is as it was saved
  1  a file is missing or changed
  2  wrong usage, nothing was saved there, or another run is at work there
  3  something cannot be read or written
  4  nobody reads the report any more";

#[derive(Debug, Args)]
#[command(after_help = ABOUT_VERIFY)]
pub(super) struct VerifyArgs {
    /// The folder that was given to --dir
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Files read at a time (1 to 10000) [default: one a processor]
    #[arg(
        short, long, value_name = "N", value_parser = value_parsers::jobs, allow_hyphen_values = true
    )]
    pub jobs: Option<NonZeroUsize>,

    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    pub format: PlainFormatArg,

    /// The same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Tell of what is missing or changed alone
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Tell of files that are as they were saved too
    #[arg(short, long)]
    pub verbose: bool,

    /// Only look: mark nothing, rename nothing
    #[arg(long)]
    pub no_mark: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PlainFormatArg {
    /// Sentences for people
    Text,
    /// One JSON object per line
    Jsonl,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// A run that was saved with --json, or a comparison, or - for standard input
    #[arg(value_name = "FILE")]
    pub run: PathBuf,

    /// Write a report to FILE: .html, .har, .csv, .jsonl or .md, of a comparison .json and no .har; repeatable
    /// [default: a table on standard output]
    #[arg(long, value_name = "FILE")]
    pub to: Vec<PathBuf>,
}

const COMPARE: &str = "\
Examples:
  fetch compare
  fetch compare --modes threads,async --jobs 5,20 sites.txt
  fetch compare --report modes.html --report modes.json sites.txt
  fetch compare --digest sha256 --i-run-this-server https://www.example.org/";

#[derive(Debug, Args)]
#[command(after_help = COMPARE)]
pub(super) struct CompareArgs {
    /// List files, URLs, or - for standard input; without one the lesson
    ///
    /// The lesson is 15 pages, 62,420 to 491,525 bytes, from a local origin that answers after 100 ms; it takes no
    /// settings from the environment or a file.
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<OsString>,

    #[command(flatten)]
    pub contest: BenchmarkArgs,

    #[command(flatten)]
    pub requests: HttpArgs,

    #[command(flatten)]
    pub timeouts: TimeoutArgs,

    #[command(flatten)]
    pub retries: RetryArgs,

    #[command(flatten)]
    pub host_limits: HostLimitArgs,

    #[command(flatten)]
    pub bodies: BodyArgs,

    #[command(flatten)]
    pub enough: FailureLimitArgs,

    #[command(flatten)]
    pub configuration: ConfigArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Comparison")]
pub(super) struct BenchmarkArgs {
    /// The modes to compare, by the first of them [default: all]
    #[arg(long, value_enum, value_name = "MODE,...", value_delimiter = ',')]
    pub modes: Vec<ModeArg>,

    /// Transfers at a time; several are compared too [default: as fetch, 5 in the lesson]
    #[arg(
        short, long, value_name = "N,...", value_delimiter = ',', value_parser = value_parsers::jobs,
        allow_hyphen_values = true
    )]
    pub jobs: Vec<NonZeroUsize>,

    /// Event loops of mode async, each a thread; at most one per job [default: as fetch]
    #[arg(long, value_name = "N", value_parser = value_parsers::jobs, allow_hyphen_values = true)]
    pub loops: Option<NonZeroUsize>,

    /// Runs of each that count (3 to 100)
    #[arg(
        short, long, value_name = "N", default_value = "10", value_parser = value_parsers::runs,
        allow_hyphen_values = true
    )]
    pub runs: usize,

    /// Runs of each before those, not counted (0 to 100)
    #[arg(
        long, value_name = "N", default_value = "1", value_parser = value_parsers::warmup,
        allow_hyphen_values = true
    )]
    pub warmup: usize,

    /// What the order of runs is drawn from
    #[arg(
        long, value_name = "N", default_value = "0", value_parser = value_parsers::seed,
        allow_hyphen_values = true
    )]
    pub seed: u64,

    /// Ask as often as it takes; without it a host gets at most 300 requests
    ///
    /// Hosts that are written localhost, 127.x.x.x or ::1 may be asked any number of times.
    #[arg(long)]
    pub i_run_this_server: bool,

    /// Save each body as well, in a folder in DIR that is new for each run and removed after it
    #[arg(short, long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Make each file last through a loss of power before it counts
    #[arg(long, requires = "dir")]
    pub fsync: bool,

    /// Tell everything as one JSON object, each run included
    #[arg(long)]
    pub json: bool,

    /// Write a report to FILE as well; repeatable
    ///
    /// What it is follows from how its name ends: .html (a page with charts), .json (everything, each run included),
    /// .jsonl (the same in one line, as --json), .csv (a row for each run) or .md (a table to paste).
    #[arg(long = "report", value_name = "FILE")]
    pub reports: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Port to listen on; 0 picks a free one
    #[arg(
        long, value_name = "N", default_value = "8080", value_parser = value_parsers::port,
        allow_hyphen_values = true
    )]
    pub port: u16,

    /// Address to listen on
    #[arg(
        long, value_name = "ADDRESS", default_value = "127.0.0.1",
        value_parser = value_parsers::address
    )]
    pub bind: IpAddr,

    /// Wait before each reply
    #[arg(
        long, value_name = "DURATION", default_value = "0s", value_parser = units::duration,
        allow_hyphen_values = true
    )]
    pub latency: Duration,

    /// A further wait before each reply, drawn up to this
    #[arg(
        long, value_name = "DURATION", default_value = "0s", value_parser = units::duration,
        allow_hyphen_values = true
    )]
    pub jitter: Duration,

    /// Body bytes per second and connection, as in 100k [default: no limit]
    #[arg(
        long, value_name = "SIZE", value_parser = value_parsers::bytes_a_second,
        allow_hyphen_values = true
    )]
    pub limit_rate: Option<NonZeroU64>,

    /// Share of requests answered by an error, as in 2%
    #[arg(
        long, value_name = "SHARE", default_value = "0%", value_parser = units::share,
        allow_hyphen_values = true
    )]
    pub error_rate: Share,

    /// Requests answered, as in 20/s; those beyond get 429 [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = units::rate, allow_hyphen_values = true)]
    pub rate: Option<Rate>,

    /// Connections served at a time (1 to 100000) [default: no limit]
    #[arg(long, value_name = "N", value_parser = value_parsers::connections, allow_hyphen_values = true)]
    pub max_connections: Option<NonZeroUsize>,

    /// What bodies and chance are drawn from; the same again with the same seed
    #[arg(
        long, value_name = "N", default_value = "0", value_parser = value_parsers::seed,
        allow_hyphen_values = true
    )]
    pub seed: u64,

    /// Stop when standard input ends
    #[arg(long)]
    pub until_eof: bool,
}
