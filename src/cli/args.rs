//! The command line as clap reads it, with all help texts.

use std::ffi::OsString;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use http::HeaderValue;

use super::shards::{self, ShardChoice};
use super::value_parsers::{self, Choice, Named, one_of};
use super::{hints, host_rules, network};
use crate::compare::MEASURE;
use crate::digest::{Algorithm, Digest};
use crate::model::FailureClass;
use crate::plan::{
    ColorChoice, HostRule, ListFormat, MaxFailures, MaxPerHost, Mode, NamingScheme,
    NetworkInterface, OutputFormat, ResolveOverride, ShardKey, StatusRange,
};
use crate::units::{self, Rate, Share};

const EXAMPLES: &str = "\
Examples:
  fetch sites.txt
  fetch -j 64 --json sites.txt > report.jsonl";

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
  One URL per line. Blank lines and lines starting with # are ignored. Use TAB
  to separate mirrors of the same file. Indented lines set options for the URL
  above: out=NAME, checksum=sha-256=HEX, header=NAME: VALUE. Invalid lines are
  reported with their line number and do not stop the run.

Units:
  Durations: 500ms, 10s, 2m, 1h; a plain number is seconds. Sizes: 512, 20k,
  1.5M, 2G (k = 1024). Rates: 20/s, 5/15s, 100/m.

Configuration file and environment:
  Defaults are read from $XDG_CONFIG_HOME/fetch/config.toml (or
  ~/.config/fetch/config.toml), using long option names, e.g. jobs = 8;
  [hosts.\"example.org\"] sets per-host, host-delay, host-rate, header, user,
  user-agent, cert and key per host. Environment variables: FETCH_JOBS=8.
  Precedence: command line > environment > file.

Exit codes:
  0  all URLs succeeded                 3              local error, e.g. disk full
  1  some URLs failed or were invalid   4              stopped early
  2  usage error or unreadable list     129, 130, 143  ended by a signal";

/// Download every URL in a list, exactly once and verified complete
#[derive(Debug, Parser)]
#[command(
    name = "fetch",
    version,
    after_help = EXAMPLES,
    after_long_help = MORE,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    mut_args = hints::with_aliases,
    args = hints::accepted()
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub subcommand: Option<Subcommands>,
    #[command(flatten)]
    pub fetch: FetchArgs,
}

const MODES: [Choice<Mode>; 4] = [
    Choice::new(
        Mode::Sequential,
        Mode::Sequential.name(),
        "One transfer at a time over persistent connections",
    )
    .alias("seq"),
    Choice::new(
        Mode::Threads,
        Mode::Threads.name(),
        "One thread per job, each with its own connections",
    ),
    Choice::new(Mode::Async, Mode::Async.name(), "Async tasks sharing event loops and connections")
        .alias("tasks"),
    Choice::new(
        Mode::Processes,
        Mode::Processes.name(),
        "One child process per job, each with its own connections",
    ),
];

const LIST_FORMATS: [Choice<ListFormat>; 6] = [
    Choice::new(ListFormat::Auto, "auto", "By name and content"),
    Choice::new(ListFormat::Text, "text", "One URL per line"),
    Choice::new(ListFormat::Csv, "csv", "Comma-separated values, with or without a header"),
    Choice::new(ListFormat::Tsv, "tsv", "Tab-separated values, with or without a header"),
    Choice::new(ListFormat::Jsonl, "jsonl", "One JSON string or object per line"),
    Choice::new(ListFormat::Parquet, "parquet", "Apache Parquet files"),
];

const NAMING_SCHEMES: [Choice<NamingScheme>; 4] = [
    Choice::new(NamingScheme::Flat, "flat", "Last path segment of the URL"),
    Choice::new(NamingScheme::Tree, "tree", "Host and path as directories"),
    Choice::new(NamingScheme::Hash, "hash", "SHA-256 of the URL, in subdirectories"),
    Choice::new(NamingScheme::Index, "index", "Position in the list"),
];

const SHARD_KEYS: [Choice<ShardKey>; 2] = [
    Choice::new(ShardKey::Host, "host", "All URLs of a host in one shard"),
    Choice::new(
        ShardKey::Url,
        "url",
        "Each URL by itself; limits per host hold for one shard only",
    ),
];

const FORMATS: [Choice<OutputFormat>; 3] = [
    Choice::new(OutputFormat::Text, "text", "Human-readable text"),
    Choice::new(OutputFormat::Jsonl, "jsonl", "JSON Lines"),
    Choice::new(OutputFormat::Csv, "csv", "CSV"),
];

const COLORS: [Choice<ColorChoice>; 3] = [
    Choice::new(ColorChoice::Auto, "auto", "On a terminal"),
    Choice::new(ColorChoice::Always, "always", "Everywhere"),
    Choice::new(ColorChoice::Never, "never", "Nowhere"),
];

#[derive(Debug, Subcommand)]
pub(super) enum Subcommands {
    /// Check saved files for missing, changed or extra ones
    Verify(VerifyArgs),
    /// Benchmark modes on the same list with interleaved, repeated runs
    Compare(Box<CompareArgs>),
    /// Run a local test server that can be slow, fail or rate-limit
    Serve(ServeArgs),
    /// Convert saved --json output to HTML, HAR, CSV or Markdown
    Report(ReportArgs),
    /// Split a list into files, one for each shard
    Split(SplitArgs),
    /// Merge the reports or manifests of shards
    Merge(MergeArgs),
    /// Generate a shell completion script
    Completions {
        /// Shell to generate completions for
        shell: Shell,
    },
    /// Show a chapter of the manual, or the help of a command
    Help(HelpArgs),
    /// Run as a child process of another fetch (--mode processes)
    #[command(name = "__child", hide = true)]
    Child,
    /// Measure a shell command (compare --command)
    #[command(name = MEASURE, hide = true)]
    Measure {
        /// The shell command
        command: OsString,
    },
    /// Print what a completion script offers after these words
    #[command(name = "__complete", hide = true)]
    Complete {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
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
    /// URLs, files containing URLs, or - for stdin
    ///
    /// Arguments starting with http:// or https:// are URLs, - is stdin, anything else is a file with one URL per line.
    /// Without SOURCE, reads stdin unless it is a terminal.
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub sources: Vec<OsString>,

    #[command(flatten)]
    pub input: InputArgs,

    #[command(flatten)]
    pub lists: ListArgs,

    #[command(flatten)]
    pub shards: ShardArgs,

    #[command(flatten)]
    pub strategy: StrategyArgs,

    #[command(flatten)]
    pub requests: HttpArgs,

    #[command(flatten)]
    pub cookies: CookieArgs,

    #[command(flatten)]
    pub jar: CookieJarArgs,

    #[command(flatten)]
    pub timeouts: TimeoutArgs,

    #[command(flatten)]
    pub stop: StopArgs,

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
pub(super) struct InputArgs {
    /// Another SOURCE, as wget and aria2 name it (repeatable)
    #[arg(hide_short_help = true, short, long = "input-file", value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub input_files: Vec<OsString>,

    /// A list, by its file name or URL (repeatable)
    ///
    /// A list at a URL is fetched first, with the options of the run, and read while it comes.
    #[arg(hide_short_help = true, long, value_name = "LIST", value_hint = ValueHint::AnyPath)]
    pub input: Vec<OsString>,
}

/// How lists are read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lists")]
pub(super) struct ListArgs {
    /// Format of the lists
    ///
    /// auto goes by the name (.csv, .tsv, .jsonl, .ndjson, .parquet; also .gz and .zst) and the first line of a file; stdin
    /// is text unless an option names a column. See fetch help lists.
    #[arg(hide_short_help = true, long, value_name = "FORMAT", default_value = "auto", value_parser = one_of(&LIST_FORMATS))]
    pub input_format: ListFormat,

    /// Delimiter of CSV, one ASCII character, or 'tab' [default: by the first line]
    #[arg(hide_short_help = true, long, value_name = "CHAR", value_parser = value_parsers::delimiter)]
    pub delimiter: Option<u8>,

    /// Column of URLs, by name or number [default: url, link, href, address or uri, or the only one with URLs]
    #[arg(hide_short_help = true, long, value_name = "NAME|N", value_parser = value_parsers::column)]
    pub url_column: Option<String>,

    /// Column with an ID for each URL, for the reports
    #[arg(hide_short_help = true, long, value_name = "NAME|N", value_parser = value_parsers::column)]
    pub id_column: Option<String>,

    /// Column with file names below --dir, as out= in a text list
    #[arg(hide_short_help = true, long, value_name = "NAME|N", value_parser = value_parsers::column)]
    pub out_column: Option<String>,

    /// Column with checksums, ALGORITHM=HEX (or HEX, if its name is the algorithm)
    #[arg(hide_short_help = true, long, value_name = "NAME|N", value_parser = value_parsers::column)]
    pub checksum_column: Option<String>,

    /// Columns to return in reports and in the manifest ('all' = all but the URL)
    #[arg(
        hide_short_help = true, long, value_name = "NAME,...", value_delimiter = ',',
        value_parser = value_parsers::column
    )]
    pub carry: Vec<String>,
}

/// Which part of the lists is fetched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Shards")]
pub(super) struct ShardArgs {
    /// Fetch only shard I of N, I from 0; all URLs of a host are in one shard
    ///
    /// auto reads JOB_COMPLETION_INDEX with JOB_COMPLETIONS (Kubernetes), or SLURM_ARRAY_TASK_ID with _MIN, _COUNT and
    /// _STEP (Slurm). Records keep the index and line of the whole list. See fetch help shards.
    #[arg(hide_short_help = true, long, value_name = "I/N|auto", value_parser = shards::choice, allow_hyphen_values = true)]
    pub shard: Option<ShardChoice>,

    /// What decides about the shard of a URL [default: host]
    #[arg(hide_short_help = true, long, value_name = "KEY", value_parser = one_of(&SHARD_KEYS))]
    pub shard_by: Option<ShardKey>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Concurrency")]
pub(super) struct StrategyArgs {
    /// Concurrency model
    #[arg(short, long, default_value = "async", value_parser = one_of(&MODES))]
    pub mode: Mode,

    /// Maximum concurrent transfers, 1-10000 (1 in sequential mode)
    #[arg(
        short, long, value_name = "N", default_value = "16", value_parser = value_parsers::jobs,
        allow_hyphen_values = true
    )]
    pub jobs: NonZeroUsize,

    /// Event-loop threads in async mode, at most --jobs [default: 1; when saving, one per core up to 4]
    #[arg(hide_short_help = true, long, value_name = "N", value_parser = value_parsers::jobs, allow_hyphen_values = true)]
    pub loops: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub(super) struct HttpArgs {
    /// Add a header to every request (repeatable)
    ///
    /// Format: 'Name: value', or 'Name;' for an empty value. @FILE reads one per line from FILE, @- from stdin. Host and
    /// framing headers (Content-Length, Transfer-Encoding, ...) cannot be set.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,

    #[command(flatten)]
    pub credentials: CredentialArgs,

    /// Set the User-Agent [default: fetch/VERSION]
    #[arg(hide_short_help = true, short = 'A', long, value_name = "NAME")]
    pub user_agent: Option<String>,

    /// Proxy for all requests ('' = no proxy)
    ///
    /// Schemes: http (default), https, socks5, socks5h, socks4, socks4a. Default port: 1080. '' also overrides http_proxy,
    /// https_proxy and all_proxy.
    #[arg(short = 'x', long, value_name = "URL")]
    pub proxy: Option<String>,

    /// Trust the CA certificates in this PEM file, in addition to the system's (repeatable)
    #[arg(hide_short_help = true, long, value_name = "FILE")]
    pub cacert: Vec<PathBuf>,

    /// Do not verify TLS certificates (insecure)
    #[arg(short = 'k', long)]
    pub insecure: bool,

    /// Use HTTP/1.1 only
    #[arg(hide_short_help = true, long)]
    pub http1: bool,

    /// Maximum redirects per URL, 0-1000
    #[arg(
        hide_short_help = true, long, value_name = "N", default_value = "10", value_parser = value_parsers::redirects,
        allow_hyphen_values = true
    )]
    pub max_redirs: u32,

    /// Use IPv4 only
    #[arg(hide_short_help = true, short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,

    /// Use IPv6 only
    #[arg(hide_short_help = true, short = '6', long)]
    pub ipv6: bool,

    /// Connect to ADDR for HOST:PORT instead of using DNS (repeatable)
    ///
    /// HOST may be * for any host. IPv6 addresses may be in brackets. The first match wins.
    #[arg(
        hide_short_help = true, long, value_name = "HOST:PORT:ADDR[,ADDR]...", value_parser = network::resolve,
        allow_hyphen_values = true
    )]
    pub resolve: Vec<ResolveOverride>,

    /// Connect to HOST2:PORT2 for requests to HOST1:PORT1 (repeatable)
    ///
    /// An empty HOST1 or PORT1 matches any; an empty HOST2 or PORT2 keeps the URL's. The first match wins; --resolve
    /// then applies to HOST2. Not possible for a port written in the URL, nor for URLs with an IP address as host.
    #[arg(
        hide_short_help = true, long, value_name = "HOST1:PORT1:HOST2:PORT2", value_parser = network::connect_to,
        allow_hyphen_values = true
    )]
    pub connect_to: Vec<ResolveOverride>,

    #[command(flatten)]
    pub identity: IdentityArgs,

    #[command(flatten)]
    pub check: CheckArgs,

    #[command(flatten)]
    pub targets: TargetArgs,
}

/// Which hosts may be reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Allowed targets")]
pub(super) struct TargetArgs {
    /// Connect only to public addresses, for lists that others have written
    ///
    /// An address is judged after DNS, when it is connected to, also on redirects. Others fail as blocked_address; see fetch
    /// help strangers.
    #[arg(hide_short_help = true, long)]
    pub public_only: bool,

    /// With --public-only, also connect to these hosts (repeatable)
    ///
    /// .SUFFIX is that name and all names below it; 10.0.0.0/8 is a network.
    #[arg(
        hide_short_help = true, long = "allow-host", value_name = "NAME|.SUFFIX|ADDRESS|NETWORK",
        value_parser = host_rules::host_rule
    )]
    pub allowed: Vec<HostRule>,

    /// Do not connect to these hosts, even if they are allowed otherwise (repeatable)
    #[arg(
        hide_short_help = true, long = "deny-host", value_name = "NAME|.SUFFIX|ADDRESS|NETWORK",
        value_parser = host_rules::host_rule
    )]
    pub denied: Vec<HostRule>,

    /// Request only https URLs, also on redirects
    #[arg(hide_short_help = true, long)]
    pub https_only: bool,

    /// With --public-only, let a proxy decide which addresses it connects to
    #[arg(hide_short_help = true, long)]
    pub proxy_decides: bool,
}

/// Who asks, and from where.
#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub(super) struct IdentityArgs {
    /// Client certificate (PEM, with its chain) to show to listed origins that ask for one
    ///
    /// The file may have the private key too. A certificate is never shown to another origin that a redirect leads to, nor
    /// to a proxy.
    #[arg(hide_short_help = true, short = 'E', long, value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// Private key (PEM) of --cert, if it is in a file of its own
    #[arg(hide_short_help = true, long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Connect from this network interface or address of this machine
    #[arg(hide_short_help = true, long, value_name = "NAME|ADDRESS", value_parser = network::interface)]
    pub interface: Option<NetworkInterface>,

    /// Send this URL as Referer to listed origins
    #[arg(hide_short_help = true, short = 'e', long, value_name = "URL", value_parser = network::referer)]
    pub referer: Option<HeaderValue>,
}

/// What is asked for, and which reply is a success.
#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub(super) struct CheckArgs {
    /// Request only headers (HEAD) and read no bodies
    ///
    /// A server that refuses HEAD with 405 or 501 is asked by GET, and the body is not read.
    #[arg(hide_short_help = true, short = 'I', long)]
    pub head: bool,

    /// Final statuses that count as success, e.g. 200,404,500-503 [default: 200, 203, 204]
    ///
    /// Other statuses are failures. The body of an accepted status is read; with --dir it is saved only if the status is
    /// 200 or 203. An accepted redirect is not followed.
    #[arg(
        hide_short_help = true, long, value_name = "STATUS,...", value_delimiter = ',',
        value_parser = network::statuses, allow_hyphen_values = true
    )]
    pub accept: Vec<StatusRange>,

    /// Fail if the server's certificate expires within N days
    #[arg(
        hide_short_help = true, long, value_name = "N", value_parser = value_parsers::days,
        allow_hyphen_values = true
    )]
    pub min_cert_days: Option<u32>,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP")]
pub(super) struct CredentialArgs {
    /// User and password for all URLs
    ///
    /// Without a password, it is asked for on the terminal. Sent to the origins of listed URLs only, never across a redirect to another one. Other users of the machine can see
    /// arguments; set FETCH_USER, or leave out the password, to hide it.
    #[arg(hide_short_help = true, short, long, value_name = "USER[:PASSWORD]")]
    pub user: Option<String>,

    /// Read users and passwords from ~/.netrc, or the file in the variable NETRC
    #[arg(hide_short_help = true, short, long)]
    pub netrc: bool,

    /// Read users and passwords from this netrc file
    #[arg(hide_short_help = true, long, value_name = "FILE")]
    pub netrc_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Cookies")]
pub(super) struct CookieArgs {
    /// Send the cookies of a cookies.txt file, or 'NAME=VALUE; ...' to listed hosts (repeatable)
    ///
    /// Text with = is cookies; it is sent like a Cookie header, only to the origin that is listed. Anything else is a file
    /// as curl, wget and browser extensions write it: each of its cookies is sent where its line says. Cookies that a
    /// redirect sets are sent on the way to the same file without any option.
    #[arg(
        hide_short_help = true, short = 'b', long, value_name = "FILE|TEXT",
        value_hint = ValueHint::FilePath
    )]
    pub cookie: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Cookies")]
pub(super) struct CookieJarArgs {
    /// Keep cookies in FILE: read it at the start, share them over the run, write it at the end
    ///
    /// FILE has the format of cookies.txt, which curl and wget read. It is replaced when the run ends, even if
    /// interrupted, and only its owner may read it.
    #[arg(hide_short_help = true, long, value_name = "FILE")]
    pub cookie_jar: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Timeouts and retries")]
pub(super) struct TimeoutArgs {
    /// Maximum time to connect, including TLS
    #[arg(
        hide_short_help = true, long, value_name = "DURATION", default_value = "10s",
        value_parser = units::duration_above_zero, allow_hyphen_values = true
    )]
    pub connect_timeout: Duration,

    /// Abort an attempt if no data arrives for this long
    #[arg(
        hide_short_help = true, long, value_name = "DURATION", default_value = "30s",
        value_parser = units::duration_above_zero, allow_hyphen_values = true
    )]
    pub stall_timeout: Duration,

    /// Maximum time per attempt [default: no limit]
    ///
    /// Each retry starts over.
    #[arg(
        long, value_name = "DURATION", value_parser = units::duration_above_zero,
        allow_hyphen_values = true
    )]
    pub max_time: Option<Duration>,

    /// Abort an attempt whose body is slower than this, in bytes per second [default: no limit]
    ///
    /// An average over --min-speed-time. Waiting for --limit-rate does not count.
    #[arg(
        hide_short_help = true, long, value_name = "SIZE", value_parser = value_parsers::bytes_a_second,
        allow_hyphen_values = true
    )]
    pub min_speed: Option<NonZeroU64>,

    /// The time over which --min-speed is an average
    #[arg(
        hide_short_help = true, long, value_name = "DURATION", default_value = "30s",
        value_parser = units::duration_above_zero, allow_hyphen_values = true
    )]
    pub min_speed_time: Duration,

    /// Maximum time for the whole run [default: no limit]
    #[arg(
        hide_short_help = true, long, value_name = "DURATION", value_parser = units::duration_above_zero,
        allow_hyphen_values = true
    )]
    pub deadline: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Timeouts and retries")]
pub(super) struct StopArgs {
    /// Time for transfers in progress to finish after SIGINT, SIGTERM or SIGHUP
    #[arg(
        hide_short_help = true, long, value_name = "DURATION", default_value = "10s",
        value_parser = units::duration, allow_hyphen_values = true
    )]
    pub grace: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Timeouts and retries")]
pub(super) struct RetryArgs {
    /// Retries per URL after a transient failure, 0-1000
    #[arg(
        long, value_name = "N", default_value = "3", value_parser = value_parsers::retries,
        allow_hyphen_values = true
    )]
    pub retry: u32,

    /// Attempts per URL, 1-1001: one more than --retry
    #[arg(
        hide_short_help = true, short, long, value_name = "N", value_parser = value_parsers::tries,
        allow_hyphen_values = true, conflicts_with = "retry"
    )]
    pub tries: Option<u32>,

    /// Upper bound of the first retry delay (max 60s)
    ///
    /// Each delay is random up to a bound that doubles with every retry, up to 60s.
    #[arg(
        hide_short_help = true, long, value_name = "DURATION", default_value = "1s", value_parser = value_parsers::retry_delay,
        allow_hyphen_values = true
    )]
    pub retry_delay: Duration,

    /// Longest Retry-After to honor
    #[arg(
        hide_short_help = true, long, value_name = "DURATION", default_value = "10m", value_parser = units::duration,
        allow_hyphen_values = true
    )]
    pub max_retry_after: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Rate limiting")]
pub(super) struct HostLimitArgs {
    /// Maximum concurrent transfers per host, 0-10000 (0 = unlimited) [default: 6]
    ///
    /// A host is a scheme, name and port. localhost, 127.x.x.x and ::1 are unlimited by default.
    #[arg(long, value_name = "N", value_parser = value_parsers::per_host, allow_hyphen_values = true)]
    pub per_host: Option<MaxPerHost>,

    /// Minimum delay between requests to the same host
    #[arg(
        hide_short_help = true, long, value_name = "DURATION", default_value = "0s", value_parser = units::duration,
        allow_hyphen_values = true
    )]
    pub host_delay: Duration,

    /// Maximum requests per host, evenly spaced, e.g. 5/15s [default: no limit]
    #[arg(hide_short_help = true, long, value_name = "N/TIME", value_parser = units::rate, allow_hyphen_values = true)]
    pub host_rate: Option<Rate>,

    /// Maximum requests overall, evenly spaced, e.g. 20/s [default: no limit]
    #[arg(hide_short_help = true, long, value_name = "N/TIME", value_parser = units::rate, allow_hyphen_values = true)]
    pub rate: Option<Rate>,

    /// Maximum total bytes per second [default: no limit]
    ///
    /// Body bytes of all transfers together, e.g. 500k.
    #[arg(
        long, value_name = "SIZE", value_parser = value_parsers::bytes_a_second,
        allow_hyphen_values = true
    )]
    pub limit_rate: Option<NonZeroU64>,

    /// Consecutive connection failures before a host is marked down, 1-1000
    #[arg(
        hide_short_help = true, long, value_name = "N", default_value = "3", value_parser = value_parsers::host_failures,
        allow_hyphen_values = true
    )]
    pub host_failures: NonZeroU32,

    /// How long to keep probing an unreachable host (0 = give up immediately)
    #[arg(
        hide_short_help = true, long, value_name = "DURATION", default_value = "30s", value_parser = units::duration,
        allow_hyphen_values = true
    )]
    pub host_patience: Duration,

    /// Obey robots.txt
    #[arg(hide_short_help = true, long)]
    pub robots: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Saving files")]
pub(super) struct SaveArgs {
    /// Save each response to a file in DIR (created if missing)
    ///
    /// Saved files are recorded in DIR/.fetch/manifest.jsonl. Running the same command again skips complete files,
    /// resumes partial ones and downloads missing ones. DIR may be s3://BUCKET/PREFIX, gs:// or az://, see fetch help
    /// object-stores.
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "head")]
    pub dir: Option<PathBuf>,

    /// Append all requests and responses to WARC files, PREFIX-00000.warc.gz and so on
    ///
    /// PREFIX.cdxj is their index. What was saved is recorded in PREFIX.fetch; running the same command again skips it and
    /// appends the rest. Secrets of requests are left out.
    #[arg(
        hide_short_help = true, long, value_name = "PREFIX", value_hint = ValueHint::AnyPath,
        conflicts_with_all = ["dir", "output", "head", "names", "remote_header_name", "overwrite", "split"]
    )]
    pub warc: Option<PathBuf>,

    /// Append each response body and its record to tar files, PREFIX-00000.tar and so on
    ///
    /// Files in it are 000012.jpg and 000012.json, by the position in the list, as WebDataset reads them.
    #[arg(
        hide_short_help = true, long, value_name = "PREFIX", value_hint = ValueHint::AnyPath,
        conflicts_with_all = [
            "warc", "dir", "output", "head", "names", "remote_header_name", "overwrite", "split",
        ]
    )]
    pub tar: Option<PathBuf>,

    /// Begin the next archive when one would exceed SIZE (at least 64k)
    #[arg(
        hide_short_help = true, long, value_name = "SIZE", default_value = "1G", value_parser = value_parsers::segment,
        allow_hyphen_values = true
    )]
    pub archive_size: NonZeroU64,

    /// Begin the next archive after N bodies [default: no limit]
    #[arg(
        hide_short_help = true, long, value_name = "N", value_parser = value_parsers::bodies,
        allow_hyphen_values = true
    )]
    pub archive_count: Option<NonZeroU64>,

    /// Also write the text of this column, e.g. a caption, as 000012.txt to tar files
    ///
    /// The column is carried to records as with --carry.
    #[arg(hide_short_help = true, long, value_name = "NAME")]
    pub text_column: Option<String>,

    /// Save the body of a single URL as FILE; - is standard output
    ///
    /// FILE is replaced once the body is complete and verified; until then it is kept in .FILE.fetch, and the same command
    /// continues it. With -, the body is written when it is complete, and records go to standard error.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["dir", "head", "accept"])]
    pub output: Option<PathBuf>,

    /// File naming scheme
    #[arg(hide_short_help = true, long, default_value = "flat", value_parser = one_of(&NAMING_SCHEMES))]
    pub names: NamingScheme,

    /// Use the file name from Content-Disposition
    #[arg(hide_short_help = true, short = 'J', long)]
    pub remote_header_name: bool,

    /// Revalidate saved files and download those that changed
    #[arg(hide_short_help = true, long, conflicts_with = "force")]
    pub refresh: bool,

    /// Download again even if already saved
    #[arg(hide_short_help = true, long)]
    pub force: bool,

    /// Overwrite existing files not created by fetch
    #[arg(hide_short_help = true, long)]
    pub overwrite: bool,

    /// Parallel segments per large file, 1-16
    ///
    /// Requires a file of at least twice --min-split-size, a server with range support and a strong ETag or
    /// Last-Modified, and no --compressed; otherwise one stream is used. Segments count toward --jobs and --per-host.
    #[arg(
        hide_short_help = true, long, value_name = "N", default_value = "1", value_parser = value_parsers::segments,
        allow_hyphen_values = true, conflicts_with = "head"
    )]
    pub split: NonZeroUsize,

    /// Minimum segment size (at least 64k)
    #[arg(
        hide_short_help = true, long, value_name = "SIZE", default_value = "20M", value_parser = value_parsers::segment,
        allow_hyphen_values = true
    )]
    pub min_split_size: NonZeroU64,

    /// fsync each file before reporting it as saved
    #[arg(hide_short_help = true, long)]
    pub fsync: bool,

    /// Stop before free space on DIR's filesystem drops below SIZE
    #[arg(
        hide_short_help = true, long, value_name = "SIZE", value_parser = units::size, allow_hyphen_values = true
    )]
    pub min_free: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Content")]
pub(super) struct BodyArgs {
    /// Request compressed responses and decode them
    #[arg(hide_short_help = true, long)]
    pub compressed: bool,

    /// Expected checksum (single URL only), e.g. sha-256=HEX
    #[arg(hide_short_help = true, long, value_name = "ALGO=HEX", conflicts_with = "head")]
    pub checksum: Option<Digest>,

    /// Verify downloads against a sha256sum file
    #[arg(hide_short_help = true, long, value_name = "FILE", conflicts_with = "head")]
    pub sha256sums: Option<PathBuf>,

    /// Compute and report digests, e.g. sha256 or blake3
    ///
    /// With several, the first is reported.
    #[arg(
        hide_short_help = true, long, value_name = "ALGO,...", value_delimiter = ',',
        value_parser = Named::ALGORITHMS, conflicts_with = "head"
    )]
    pub digest: Vec<Algorithm>,

    /// Maximum body size after decoding (0 = unlimited) [default: no limit]
    #[arg(hide_short_help = true, long, value_name = "SIZE", value_parser = units::size, allow_hyphen_values = true)]
    pub max_filesize: Option<u64>,

    /// Stop after reading this many body bytes in total (0 = unlimited) [default: no limit]
    ///
    /// Bytes received, or those that they decode to with --compressed, whichever are more.
    #[arg(hide_short_help = true, long, value_name = "SIZE", value_parser = units::size, allow_hyphen_values = true)]
    pub quota: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Failure handling")]
pub(super) struct FailureLimitArgs {
    /// Stop after more than N failures, or P% of completed URLs [default: no limit]
    ///
    /// Percentages apply after 100 completed URLs.
    #[arg(
        hide_short_help = true, long, value_name = "N|P%", value_parser = value_parsers::most_failures,
        allow_hyphen_values = true
    )]
    pub max_failures: Option<MaxFailures>,

    /// Stop at the first failure (same as --max-failures 0)
    #[arg(hide_short_help = true, long, conflicts_with = "max_failures")]
    pub fail_fast: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Failure handling")]
pub(super) struct FailedListArgs {
    #[command(flatten)]
    pub enough: FailureLimitArgs,

    /// Write failed URLs to FILE as a list (overwrites it)
    #[arg(long, value_name = "FILE")]
    pub failed: Option<PathBuf>,

    /// Limit --failed to these error classes, e.g. timeout,dns [default: all]
    #[arg(
        hide_short_help = true, long, value_name = "CLASS,...", value_delimiter = ',', requires = "failed",
        value_parser = Named::CLASSES, hide_possible_values = true
    )]
    pub failed_class: Vec<FailureClass>,

    /// Exit with 0 even if URLs failed or lines were invalid
    ///
    /// For tasks of a cluster: each failure is in the report. Other errors keep their exit codes.
    #[arg(hide_short_help = true, long)]
    pub exit_zero: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Output format
    #[arg(hide_short_help = true, long, default_value = "text", value_parser = one_of(&FORMATS))]
    pub format: OutputFormat,

    /// Alias for --format jsonl
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Output results in list order instead of completion order
    #[arg(hide_short_help = true, long)]
    pub ordered: bool,

    /// Also write a report to FILE (repeatable)
    ///
    /// The extension selects the format: .html (page with charts), .har (HTTP archive, for the waterfall of a browser),
    /// .csv, .jsonl or .md (Markdown table). FILE is replaced when the run ends, even if interrupted.
    #[arg(long = "report", value_name = "FILE")]
    pub reports: Vec<PathBuf>,

    /// Print only failures and the total; -qq prints neither
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,

    /// Also print retries, redirects and hosts; -vv request and response headers
    ///
    /// Passwords, cookies and signatures are masked in headers and URLs.
    #[arg(hide_short_help = true, short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Show no progress display
    #[arg(hide_short_help = true, long)]
    pub no_progress: bool,

    /// Write a line with the progress to stderr this often, e.g. 30s [default: never]
    ///
    /// The URLs that are done, those of them that failed, and the rate since the last line; also with -qq.
    #[arg(
        hide_short_help = true, long, value_name = "DURATION", value_parser = units::duration_above_zero,
        allow_hyphen_values = true
    )]
    pub heartbeat: Option<Duration>,

    /// When to use color; auto: on a terminal, unless NO_COLOR is set
    #[arg(hide_short_help = true, long, value_name = "WHEN", default_value = "auto", value_parser = one_of(&COLORS))]
    pub color: ColorChoice,

    #[command(flatten)]
    pub redaction: RedactionArgs,

    /// Show what would be fetched without sending requests
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct RedactionArgs {
    /// Show passwords and signatures in URLs, instead of ***
    ///
    /// User names and passwords, and values of query parameters that sign a URL or stand for a password, are shown in
    /// all output and reports. Headers stay masked.
    #[arg(hide_short_help = true, long)]
    pub no_redact: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct ConfigArgs {
    /// Read options from FILE [default: ~/.config/fetch/config.toml]
    #[arg(hide_short_help = true, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Do not read a configuration file
    #[arg(hide_short_help = true, long, conflicts_with = "config")]
    pub no_config: bool,
}

const ABOUT_VERIFY: &str = "\
Files are compared by digest if the manifest has one, otherwise by size only,
which misses same-size changes; use --digest sha256 when saving.

Missing and changed files are marked in the manifest; the next run of the same
fetch command downloads them again and replaces changed files.

Exit codes:
  0  all files match
  1  some files are missing or changed
  2  usage error, no manifest, or directory in use
  3  I/O error
  4  output closed early (broken pipe)";

#[derive(Debug, Args)]
#[command(after_help = ABOUT_VERIFY)]
pub(super) struct VerifyArgs {
    /// Directory passed to --dir, or prefix passed to --warc or --tar
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,

    /// Files to read in parallel, 1-10000 [default: number of CPUs]
    #[arg(
        short, long, value_name = "N", value_parser = value_parsers::jobs, allow_hyphen_values = true
    )]
    pub jobs: Option<NonZeroUsize>,

    /// Output format
    #[arg(long, default_value = "text", value_parser = one_of(&FORMATS[..2]))]
    pub format: OutputFormat,

    /// Alias for --format jsonl
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Print only missing or changed files
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Also list files that are OK
    #[arg(short, long)]
    pub verbose: bool,

    /// Report only; do not modify the manifest or rename files
    #[arg(long)]
    pub no_mark: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Saved --json output of a run or comparison, or - for stdin
    #[arg(value_name = "FILE")]
    pub run: PathBuf,

    /// Write a report to FILE (repeatable): .html, .har (runs), .json (comparisons), .csv, .jsonl or .md
    /// [default: Markdown table to stdout]
    #[arg(long, value_name = "FILE")]
    pub to: Vec<PathBuf>,

    #[command(flatten)]
    pub redaction: RedactionArgs,
}

const SPLIT: &str = "\
Examples:
  fetch split sites.txt -n 64 -d shards
  zstdcat all.csv.zst | fetch split - -n 8 -d shards --input-format csv";

#[derive(Debug, Args)]
#[command(after_help = SPLIT)]
pub(super) struct SplitArgs {
    /// List to split, in any format, or - for stdin
    #[arg(value_name = "LIST", value_hint = ValueHint::AnyPath)]
    pub list: PathBuf,

    /// Number of files, 1-10000
    #[arg(short = 'n', long, value_name = "N", value_parser = value_parsers::files, allow_hyphen_values = true)]
    pub shards: NonZeroU32,

    /// Directory for the files, created if missing
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,

    /// What decides about the shard of a URL [default: host]
    #[arg(long, value_name = "KEY", value_parser = one_of(&SHARD_KEYS))]
    pub shard_by: Option<ShardKey>,

    /// Replace and delete files of another list, or that another program has written or changed
    #[arg(long)]
    pub overwrite: bool,

    #[command(flatten)]
    pub lists: ListArgs,
}

const MERGE: &str = "\
Examples:
  fetch merge shard-*.jsonl > all.jsonl
  fetch merge shard-*.jsonl --to all.html --to all.csv
  fetch merge shard-*/.fetch/manifest.jsonl > manifest.jsonl

Exit codes:
  0  everything was merged
  1  some lines were left out, or reports are of different lists
  2  usage error or unreadable file
  3  an output cannot be written";

#[derive(Debug, Args)]
#[command(after_help = MERGE)]
pub(super) struct MergeArgs {
    /// Saved --json or CSV reports, or manifests, of one kind
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,

    /// Write to FILE (repeatable): .jsonl, .csv, .html, .har or .md [default: stdout, in the format read]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub to: Vec<PathBuf>,

    #[command(flatten)]
    pub redaction: RedactionArgs,
}

const COMPARE: &str = "\
Examples:
  fetch compare
  fetch compare --modes threads,async --jobs 5,20 sites.txt
  fetch compare --command 'wget -q -O /dev/null -i \"$COMPARE_URLS\"' sites.txt
  fetch compare --report modes.html --report modes.json sites.txt
  fetch compare --digest sha256 --i-run-this-server https://www.example.org/";

#[derive(Debug, Args)]
#[command(after_help = COMPARE, mut_args = hints::with_aliases)]
pub(super) struct CompareArgs {
    /// URLs, files containing URLs, or - for stdin [default: built-in workload]
    ///
    /// The built-in workload is 15 pages (62,420-491,525 bytes) from a local server with 100 ms latency; it ignores
    /// FETCH_* and the configuration file.
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub sources: Vec<OsString>,

    #[command(flatten)]
    pub contest: BenchmarkArgs,

    #[command(flatten)]
    pub requests: HttpArgs,

    #[command(flatten)]
    pub cookies: CookieArgs,

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
#[command(next_help_heading = "Benchmark")]
pub(super) struct BenchmarkArgs {
    /// Modes to compare; the first is the baseline [default: all]
    #[arg(long, value_name = "MODE,...", value_delimiter = ',', value_parser = one_of(&MODES))]
    pub modes: Vec<Mode>,

    /// Concurrent transfers; several values are compared as well [default: 16; 5 for the built-in workload]
    #[arg(
        short, long, value_name = "N,...", value_delimiter = ',', value_parser = value_parsers::jobs,
        allow_hyphen_values = true
    )]
    pub jobs: Vec<NonZeroUsize>,

    /// Event-loop threads in async mode, at most --jobs [default: same as fetch]
    #[arg(long, value_name = "N", value_parser = value_parsers::jobs, allow_hyphen_values = true)]
    pub loops: Option<NonZeroUsize>,

    /// Measured runs per mode, 3-100 (4 or more for significance)
    #[arg(
        short, long, value_name = "N", default_value = "10", value_parser = value_parsers::runs,
        allow_hyphen_values = true
    )]
    pub runs: usize,

    /// Warm-up runs per mode, not measured, 0-100
    #[arg(
        long, value_name = "N", default_value = "1", value_parser = value_parsers::warmup,
        allow_hyphen_values = true
    )]
    pub warmup: usize,

    /// Random seed for the run order
    #[arg(
        long, value_name = "N", default_value = "0", value_parser = value_parsers::seed,
        allow_hyphen_values = true
    )]
    pub seed: u64,

    /// Lift the limit of 300 requests per host; only for servers you operate
    ///
    /// localhost, 127.x.x.x and ::1 are never limited.
    #[arg(long)]
    pub i_run_this_server: bool,

    /// Also save bodies, to a temporary directory in DIR that is removed after each run
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "head")]
    pub dir: Option<PathBuf>,

    /// fsync each file before reporting it as saved
    #[arg(long)]
    pub fsync: bool,

    /// Also run a shell command as a contestant, e.g. 'wget -i list' (repeatable)
    ///
    /// sh -c runs it; its time, CPU time and memory are measured. The variable COMPARE_URLS has the name of a file with
    /// the URLs, one per line, and COMPARE_DIR with --dir that of the directory.
    #[arg(long = "command", value_name = "CMD", value_hint = ValueHint::CommandString)]
    pub commands: Vec<String>,

    /// Run a shell command before each run, not measured
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandString)]
    pub prepare: Option<String>,

    /// Also compare with an earlier comparison (.json, .jsonl or --json output)
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,

    /// Output everything, including individual runs, as one JSON object
    #[arg(long)]
    pub json: bool,

    /// Also write a report to FILE (repeatable)
    ///
    /// The extension selects the format: .html (page with charts), .json (everything, including individual runs),
    /// .jsonl (the same on one line, like --json), .csv (one row per run) or .md (Markdown table).
    #[arg(long = "report", value_name = "FILE")]
    pub reports: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Port to listen on (0 = any free port)
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

    /// Delay before each response
    #[arg(
        long, value_name = "DURATION", default_value = "0s", value_parser = units::duration,
        allow_hyphen_values = true
    )]
    pub latency: Duration,

    /// Random extra delay before each response, up to this
    #[arg(
        long, value_name = "DURATION", default_value = "0s", value_parser = units::duration,
        allow_hyphen_values = true
    )]
    pub jitter: Duration,

    /// Maximum body bytes per second per connection, e.g. 100k [default: no limit]
    #[arg(
        long, value_name = "SIZE", value_parser = value_parsers::bytes_a_second,
        allow_hyphen_values = true
    )]
    pub limit_rate: Option<NonZeroU64>,

    /// Percentage of requests that fail with 503, e.g. 2%
    #[arg(
        long, value_name = "SHARE", default_value = "0%", value_parser = units::share,
        allow_hyphen_values = true
    )]
    pub error_rate: Share,

    /// Request rate limit, e.g. 20/s; excess requests get 429 [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = units::rate, allow_hyphen_values = true)]
    pub rate: Option<Rate>,

    /// Maximum concurrent connections, 1-100000 [default: no limit]
    #[arg(long, value_name = "N", value_parser = value_parsers::connections, allow_hyphen_values = true)]
    pub max_connections: Option<NonZeroUsize>,

    /// Random seed for bodies and errors (same seed, same output)
    #[arg(
        long, value_name = "N", default_value = "0", value_parser = value_parsers::seed,
        allow_hyphen_values = true
    )]
    pub seed: u64,

    /// Exit when stdin is closed
    #[arg(long)]
    pub until_eof: bool,
}
