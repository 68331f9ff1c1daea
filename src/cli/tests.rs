//! What a command line is parsed into, and the errors about it.

mod layered;

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;

use super::*;
use crate::digest::Algorithm;
use crate::model::FailureClass;
use crate::plan::{
    self, AddressFamily, BodyOptions, CertVerification, ColorChoice, Compression, Durability,
    ExistingPolicy, FailedList, ForeignFilePolicy, HostLimitOptions, HttpVersions, MaxFailures,
    MaxPerHost, NameSource, NamingScheme, OverrideTarget, ProgressChoice, Proxy, ProxyUrls,
    ReportCommand, ReportFile, ReportFormat, ReportOrder, ReportSubject, ResolveOverride,
    RobotsPolicy, SaveOptions, SecretDisplay, SegmentOptions, Source, Strategy, Verbosity,
};
use crate::units;

fn typed(words: &[&str], stdin_is_terminal: bool) -> Result<Command, UsageOutput> {
    parse(["fetch"].iter().chain(words).map(OsString::from), &empty_environment(stdin_is_terminal))
}

/// An environment without variables, home directory and input.
pub(super) fn empty_environment(stdin_is_terminal: bool) -> Environment<'static> {
    Environment {
        variable: &|_| None,
        names: vec![],
        warn: &fail_on_warning,
        home: None,
        stdin_is_terminal,
        stdin: &|| Ok(Vec::new()),
        ask: &|_| Err(io::ErrorKind::NotFound.into()),
    }
}

fn fail_on_warning(warning: &str) {
    panic!("a warning: {warning}");
}

/// The plan of a run over `sites.txt` with these words before it.
fn plan(words: &[&str]) -> Plan {
    match typed(&[words, &["sites.txt"]].concat(), true) {
        Ok(Command::Fetch(plan)) => *plan,
        other => panic!("{words:?}: {other:?}"),
    }
}

/// The usage error of these words before `sites.txt`.
fn complaint(words: &[&str]) -> String {
    usage_error(&[words, &["sites.txt"]].concat())
}

/// The usage error of these words alone.
fn usage_error(words: &[&str]) -> String {
    let usage = typed(words, true).expect_err(&words.join(" "));
    assert_eq!((usage.to, usage.code), (UsageStream::Stderr, 2));
    usage.text
}

fn assert_complaint(words: &[&str], complaint_part: &str) {
    let text = complaint(words);
    assert!(text.contains(complaint_part), "{words:?}: {text}");
}

fn sources(words: &[&str]) -> Vec<Source> {
    match typed(words, false) {
        Ok(Command::Fetch(plan)) => plan.sources,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn parse_serve(words: &[&str]) -> serve::Options {
    match typed(&[&["serve"], words].concat(), true) {
        Ok(Command::Serve(options)) => options,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn the_command_is_well_formed() {
    Arguments::command().debug_assert();
}

#[test]
fn without_options_a_plan_has_the_values_that_the_help_names() {
    let plan = plan(&[]);
    let default = Plan { sources: plan.sources.clone(), ..Plan::default() };
    assert_eq!(format!("{plan:?}"), format!("{default:?}"));
    assert_eq!(plan.strategy, Strategy::Tasks { jobs: count(16), loops: count(1) });
    assert_eq!(plan.http.user_agent, concat!("fetch/", env!("CARGO_PKG_VERSION")));
    assert_eq!(plan.http.headers, []);
    assert!(plan.http.cacert.is_empty());
    assert_eq!(plan.http.verification, CertVerification::Full);
    assert_eq!(plan.http.versions, HttpVersions::Negotiated);
    assert_eq!(plan.http.proxy, Proxy::Direct);
    assert_eq!(plan.http.pins, []);
    assert_eq!(plan.http.family, AddressFamily::Any);
    assert_eq!(plan.http.max_redirects, 10);
    assert_eq!((plan.timeouts.connect, plan.timeouts.stall), (seconds(10), seconds(30)));
    assert_eq!((plan.timeouts.attempt, plan.timeouts.deadline), (None, None));
    assert_eq!((plan.retry.times, plan.retry.base), (3, seconds(1)));
    assert_eq!(plan.retry.max_retry_after, seconds(600));
    assert_eq!(plan.host_limits, HostLimitOptions::default());
    assert_eq!((plan.failure_limits.most, plan.failed), (None, None));
    assert_eq!(plan.report.format, plan::OutputFormat::Text);
    assert_eq!(plan.report.order, ReportOrder::Completion);
    assert_eq!(plan.report.verbosity, Verbosity::Normal);
}

#[test]
fn a_source_is_a_url_a_file_or_standard_input() {
    let file = |name: &str| Source::File(name.into());
    let url = |text: &str| Source::Argument(text.to_owned());
    assert_eq!(
        sources(&["a.txt", "HTTPS://a.b/x", "-", "ftp://c.d", "./serve", "http:a"]),
        [
            file("a.txt"),
            url("HTTPS://a.b/x"),
            Source::Stdin,
            url("ftp://c.d"),
            file("./serve"),
            file("http:a")
        ]
    );
    assert_eq!(sources(&["--", "serve", "-q"]), [file("serve"), file("-q")]);
    assert_eq!(sources(&["./help"]), [file("./help")]);
}

#[cfg(unix)]
#[test]
fn a_file_may_have_a_name_that_is_no_text() {
    use std::os::unix::ffi::OsStringExt;
    let name = OsString::from_vec(b"\xff://".to_vec());
    match parse(["fetch".into(), name.clone()], &empty_environment(true)) {
        Ok(Command::Fetch(plan)) => assert_eq!(plan.sources, [Source::File(name.into())]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_source_a_pipe_is_read_and_a_terminal_is_told_what_to_type() {
    assert_eq!(sources(&[]), [Source::Stdin]);
    let usage = typed(&[], true).unwrap_err();
    assert_eq!((usage.to, usage.code), (UsageStream::Stderr, 2));
    assert!(usage.text.contains("no input"), "{}", usage.text);
    assert!(usage.text.contains("fetch sites.txt"), "{}", usage.text);
}

#[test]
fn a_source_that_cannot_be_read_is_refused() {
    assert_complaint(&["-", "-"], "stdin (-) can only be given once");
    assert_complaint(&[""], "empty SOURCE");
}

#[test]
fn each_mode_is_typed_by_its_name_or_its_alias() {
    let tasks = |jobs, loops| Strategy::Tasks { jobs: count(jobs), loops: count(loops) };
    assert_eq!(plan(&["--mode", "sequential"]).strategy, Strategy::Sequential);
    assert_eq!(plan(&["-m", "seq", "-j", "9"]).strategy, Strategy::Sequential);
    assert_eq!(plan(&["-m", "threads", "-j4"]).strategy, Strategy::Threads(count(4)));
    assert_eq!(plan(&["-m", "processes", "-j4"]).strategy, Strategy::Processes(count(4)));
    assert_eq!(plan(&["-m", "async", "--jobs", "10000"]).strategy, tasks(10_000, 1));
    assert_eq!(plan(&["-m", "tasks", "--loops", "2"]).strategy, tasks(16, 2));
    assert_eq!(plan(&["-j", "3", "--loops", "8"]).strategy, tasks(3, 3));
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(plan(&["-d", "pages"]).strategy, tasks(16, cores.min(4)));
    assert_eq!(plan(&["-d", "pages", "--loops", "1"]).strategy, tasks(16, 1));
}

#[test]
fn a_strategy_that_cannot_be_is_refused() {
    assert_complaint(&["-m", "fast"], "possible values: sequential, threads, async, processes");
    for jobs in ["0", "10001", "-1", "many"] {
        assert_complaint(&["-j", jobs], "'--jobs <N>': expected an integer between 1 and 10000");
        assert_complaint(
            &["--loops", jobs],
            "'--loops <N>': expected an integer between 1 and 10000",
        );
    }
    for mode in ["sequential", "threads"] {
        assert_complaint(&["-m", mode, "--loops", "2"], "--loops requires --mode async");
    }
}

#[test]
fn headers_keep_their_order() {
    let headers =
        plan(&["-H", "Accept: a", "--header", "X-Empty;", "-H", "Accept: b"]).http.headers;
    let seen: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(seen, [("accept", "a"), ("x-empty", ""), ("accept", "b")]);
}

#[test]
fn a_url_that_an_option_took_for_its_missing_value_is_refused() {
    let url = "HTTPS://me:hunter2@a.test/?token=hunter2";
    let table = OptionTable::of_fetch();
    let not_urls = ["proxy", "referer", "input", "input-file"];
    let named = Arguments::command();
    let valued = named.get_arguments().filter(|one| one.get_action().takes_values());
    let names: Vec<_> = valued.filter_map(|one| one.get_long()).collect();
    assert!(names.len() > 30 && names.iter().all(|name| table.exists(name)));
    for name in names.iter().filter(|name| !not_urls.contains(name)) {
        // Without a terminal, an empty list would be a success.
        let usage = typed(&[&format!("--{name}"), url], false).expect_err(name);
        assert_eq!(usage.code, 2, "{name}");
        let of_url = format!("error: the value of --{name} looks like a URL");
        let of_type = format!("for '--{name} <");
        let is_named = usage.text.starts_with(&of_url) || usage.text.contains(&of_type);
        assert!(is_named || usage.text.contains("--failed <FILE>"), "{name}: {}", usage.text);
    }
    for words in [["-u", url], ["-H", url], ["-d", url], ["-A", url], ["-b", url], ["-o", url]] {
        let usage = typed(&words, false).unwrap_err();
        assert!(usage.text.starts_with("error: the value of --"), "{words:?}: {}", usage.text);
        assert!(!usage.text.contains("hunter2"), "{words:?}: {}", usage.text);
    }
    let text = usage_error(&["compare", "--user", url]);
    let expected = "error: the value of --user looks like a URL; its own value is missing: \
                    --user <USER[:PASSWORD]> URL\n";
    assert_eq!(text, expected);
    for words in [["-x", "http://p.test"], ["-e", "http://a.test"], ["-u", "http:pass"]] {
        assert!(typed(&[&words[..], &["sites.txt"]].concat(), true).is_ok(), "{words:?}");
    }
}

#[test]
fn data_that_curl_would_send_is_no_directory_and_no_list() {
    for data in ["a=hunter2", "@hunter2", "{\"a\":\"hunter2/\"}", "[\"hunter2\"]", "<a>hunter2</a>"]
    {
        let text = complaint(&["-d", data]);
        let said = "error: -d is --dir DIR here: fetch sends only GET requests, without data";
        assert!(text.starts_with(said) && !text.contains("hunter2"), "{data}: {text}");
    }
    for dir in ["./@scope", "./a=b", "pages/a=b"] {
        assert_eq!(plan(&["-d", dir]).keep.unwrap().dir, PathBuf::from(dir));
    }
    for data in ["{\"a\":\"hunter2\"}", "{}", "[\"hunter2\"]"] {
        let text = complaint(&["--json", data]);
        let said = "error: JSON is no SOURCE: --json is for the output";
        assert!(text.starts_with(said) && !text.contains("hunter2"), "{data}: {text}");
    }
}

#[test]
fn statuses_are_typed_with_blanks_and_as_classes() {
    let accept = |words: &[&str]| {
        let accept = plan(words).http.accept.into_iter();
        accept.map(|range| (range.first, range.last)).collect::<Vec<_>>()
    };
    assert_eq!(accept(&["--accept", "200, 404 ,500 - 503"]), [(200, 200), (404, 404), (500, 503)]);
    assert_eq!(accept(&["--accept", "2xx,4XX"]), [(200, 299), (400, 499)]);
    assert_eq!(accept(&["--accept", "2xx-404"]), [(200, 404)]);
    for (text, said) in [
        ("200,,404", "'' for '--accept <STATUS,...>': a status is missing beside a comma"),
        ("200,", "a status is missing beside a comma; expected statuses from 200 to 599"),
        ("200-100", "the first status of a range must not exceed the last"),
        ("1xx", "expected statuses from 200 to 599, e.g. 200,404,500-503 or 2xx"),
        ("6xx", "expected statuses from 200 to 599"),
        ("100-200", "expected statuses from 200 to 599"),
        ("xx", "expected statuses from 200 to 599"),
        ("9999", "expected statuses from 200 to 599"),
        ("200-", "expected statuses from 200 to 599"),
    ] {
        assert_complaint(&["--accept", text], said);
    }
}

#[test]
fn help_is_asked_for_by_other_words_for_a_topic() {
    let page = |name: &str| match typed(&["help", name], true) {
        Ok(Command::Help(HelpPage::Text(text))) => text,
        other => panic!("{name}: {other:?}"),
    };
    for (word, topic) in [
        ("netrc", "credentials"),
        ("password", "credentials"),
        ("login", "credentials"),
        ("cookie", "cookies"),
        ("cert", "network"),
        ("tls", "network"),
        ("proxy", "network"),
        ("curl", "coming-from"),
        ("wget", "coming-from"),
        ("aria2", "coming-from"),
    ] {
        assert_eq!(page(word), page(topic), "{word}");
    }
    let mut words: Vec<_> = crate::manual::CHAPTERS.iter().map(|chapter| chapter.topic).collect();
    words.extend(crate::manual::CHAPTERS.iter().flat_map(|chapter| chapter.synonyms));
    let commands = Arguments::command();
    let commands = commands.get_subcommands().map(clap::Command::get_name);
    words.extend(commands.filter(|name| *name != "compare"));
    let count = words.len();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), count, "each word has one meaning");
}

#[test]
fn a_bad_header_is_refused_without_its_value() {
    assert_complaint(
        &["-H", "Accept"],
        "invalid value for --header: invalid header: missing colon",
    );
    assert_complaint(&["-H", "Host: a.b"], "use --connect-to");
    let text = complaint(&["-H", "Co okie: hunter2"]);
    assert!(text.contains("invalid header name \"Co …\"") && !text.contains("hunter2"), "{text}");
}

#[test]
fn the_user_agent_can_be_typed_either_way_but_not_both() {
    assert_eq!(plan(&["-A", "me/1"]).http.user_agent, "me/1");
    let http = plan(&["-H", "User-Agent: a", "-H", "user-agent: me/2"]).http;
    assert_eq!((http.user_agent, http.headers), ("me/2".parse().unwrap(), vec![]));
    assert_complaint(&["-A", "a", "-H", "User-Agent: b"], "User-Agent set by both");
    assert_complaint(&["-A", ""], "must be non-empty and printable");
    assert_complaint(&["--user-agent", "a\nb"], "must be non-empty and printable");
}

#[test]
fn a_proxy_is_one_or_none_whatever_the_environment_says() {
    let url = Some("http://proxy.example:3128".parse().unwrap());
    assert_eq!(
        plan(&["-x", "proxy.example:3128"]).http.proxy,
        Proxy::Use(ProxyUrls { http: url.clone(), https: url, exceptions: String::new() })
    );
    assert_eq!(plan(&["--proxy", ""]).http.proxy, Proxy::Direct);
    let text = complaint(&["-x", "http://u:hunter2@a.b:99999"]);
    assert!(text.contains("invalid value for --proxy: invalid port number"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn certificates_and_versions_are_chosen() {
    let http = plan(&["--cacert", "a.pem", "--cacert", "b.pem", "-k", "--http1"]).http;
    assert_eq!(http.cacert, [PathBuf::from("a.pem"), PathBuf::from("b.pem")]);
    assert_eq!(http.verification, CertVerification::Off);
    assert_eq!(http.versions, HttpVersions::Http1);
}

#[test]
fn an_address_family_is_one_of_two() {
    assert_eq!(plan(&["-4"]).http.family, AddressFamily::V4);
    assert_eq!(plan(&["--ipv6"]).http.family, AddressFamily::V6);
    assert_complaint(&["-4", "-6"], "cannot be used with");
}

#[test]
fn redirects_are_limited() {
    assert_eq!(plan(&["--max-redirs", "0"]).http.max_redirects, 0);
    assert_complaint(&["--max-redirs", "-1"], "expected an integer between 0 and 1000");
    assert_complaint(&["--max-redirs", "1001"], "expected an integer between 0 and 1000");
}

#[test]
fn pins_to_endpoints_come_before_pins_to_addresses() {
    let words =
        ["--resolve", "c.d:443:127.0.0.1", "--connect-to", "a.b::c.d:", "--resolve", "*:80:[::1]"];
    let to = |text: &str| OverrideTarget::Addresses(vec![text.parse::<IpAddr>().unwrap()]);
    let pin =
        |host: Option<&str>, port, to| ResolveOverride { host: host.map(str::to_owned), port, to };
    let endpoint = OverrideTarget::Endpoint { host: Some("c.d".to_owned()), port: None };
    assert_eq!(
        plan(&words).http.pins,
        [
            pin(Some("a.b"), None, endpoint),
            pin(Some("c.d"), Some(443), to("127.0.0.1")),
            pin(None, Some(80), to("::1"))
        ]
    );
}

#[test]
fn a_pin_that_cannot_be_kept_is_refused() {
    assert_complaint(&["--resolve", "-a.b:80"], "'-HOST:PORT' is not supported");
    assert_complaint(&["--resolve", "a.b:80"], "expected HOST:PORT:ADDR");
    assert_complaint(&["--connect-to", "a.b:8000:c.d:9000"], "always sent to port 8000");
    assert_complaint(
        &["--connect-to", "a.b::c.d:", "-x", "p:1"],
        "cannot be combined with --proxy",
    );
    assert_eq!(plan(&["--connect-to", "a.b::c.d:", "-x", ""]).http.pins.len(), 1);
}

#[test]
fn every_clock_is_set_by_its_option() {
    let timeouts = plan(&[
        "--connect-timeout",
        "500ms",
        "--stall-timeout",
        "1m",
        "--max-time",
        "2",
        "--deadline",
        "1h",
        "--min-speed",
        "10k",
    ])
    .timeouts;
    assert_eq!(timeouts.connect, Duration::from_millis(500));
    assert_eq!(timeouts.stall, seconds(60));
    assert_eq!(timeouts.attempt, Some(seconds(2)));
    assert_eq!(timeouts.deadline, Some(seconds(3600)));
    let speed = timeouts.min_speed.unwrap();
    assert_eq!((speed.rate.get(), speed.over), (10 * 1024, seconds(30)));
    assert_complaint(&["--min-speed", "0"], "must be greater than zero");
}

#[test]
fn a_clock_of_zero_is_refused() {
    let clocks = ["--connect-timeout", "--stall-timeout", "--max-time", "--deadline"];
    for clock in clocks.into_iter().chain(["--min-speed-time"]) {
        assert_complaint(&[clock, "0"], "must be greater than zero");
        assert_complaint(&[clock, "-1s"], "invalid duration (expected e.g. 500ms, 10s, 2m, 1h)");
        assert_complaint(&[clock, "9999999h"], "must be at most 8784h");
    }
}

#[test]
fn retries_are_set_by_their_options() {
    let retry = plan(&["--retry", "0", "--retry-delay", "60", "--max-retry-after", "0"]).retry;
    assert_eq!((retry.times, retry.base, retry.max_retry_after), (0, seconds(60), seconds(0)));
    assert_complaint(&["--retry", "1001"], "expected an integer between 0 and 1000");
    assert_complaint(&["--retry-delay", "61s"], "must be at most 60s");
    assert_complaint(&["--max-retry-after", "soon"], "invalid duration");
}

#[test]
fn manners_are_set_by_their_options() {
    let words = "--per-host 2 --host-delay 500ms --host-rate 5/15s --rate 20/s --limit-rate 100k --host-failures 5 \
                 --host-patience 0 --robots";
    assert_eq!(
        plan(&words.split_whitespace().collect::<Vec<_>>()).host_limits,
        HostLimitOptions {
            per_host: MaxPerHost::Most(count(2)),
            host_delay: Duration::from_millis(500),
            host_rate: units::rate("5/15s").ok(),
            rate: units::rate("20/s").ok(),
            limit_rate: NonZeroU64::new(100 * 1024),
            host_failures: NonZeroU32::new(5).unwrap(),
            host_patience: seconds(0),
            robots: RobotsPolicy::Obeyed,
            hosts: std::collections::BTreeMap::new(),
        }
    );
    assert_eq!(plan(&["--per-host", "0"]).host_limits.per_host, MaxPerHost::NoLimit);
}

#[test]
fn manners_that_cannot_be_are_refused() {
    for (option, value, part) in [
        ("--per-host", "-1", "'--per-host <N>': expected an integer between 0 and 10000"),
        ("--host-delay", "soon", "invalid duration (expected e.g. 500ms, 10s, 2m, 1h)"),
        ("--host-rate", "5", "invalid rate (expected e.g. 20/s, 5/15s, 100/m)"),
        ("--rate", "0/s", "invalid rate (expected e.g. 20/s, 5/15s, 100/m)"),
        ("--limit-rate", "0", "must be greater than zero"),
        ("--host-failures", "0", "expected an integer between 1 and 1000"),
        ("--host-patience", "-1", "invalid duration"),
    ] {
        assert_complaint(&[option, value], part);
    }
}

#[test]
fn a_number_or_a_share_of_failures_ends_a_run() {
    let most = |words| plan(words).failure_limits.most;
    assert_eq!(most(&["--max-failures", "10"]), Some(MaxFailures::Number(10)));
    let share = units::share("5%").unwrap();
    assert_eq!(most(&["--max-failures", "5%"]), Some(MaxFailures::Share(share)));
    assert_eq!(most(&["--fail-fast"]), Some(MaxFailures::Number(0)));
    assert_complaint(&["--fail-fast", "--max-failures", "0"], "cannot be used with");
    assert_complaint(&["--max-failures", "-1"], "expected a number or percentage, e.g. 10 or 5%");
    assert_complaint(&["--max-failures", "101%"], "between 0% and 100%");
}

#[test]
fn failures_are_written_to_a_file_of_their_own() {
    let failed = |words| plan(words).failed.unwrap();
    let all = FailedList { path: "failed.txt".into(), classes: vec![], keeps_names: true };
    assert_eq!(failed(&["--failed", "failed.txt"]), all);
    let words = ["--failed", "f", "--failed-class", "timeout,http_5xx", "--failed-class", "dns"];
    assert_eq!(
        failed(&words).classes,
        [FailureClass::Timeout, FailureClass::Http5xx, FailureClass::Dns]
    );
    assert_complaint(&["--failed-class", "dns"], "--failed <FILE>");
    assert_complaint(
        &["--failed", "f", "--failed-class", "http_500"],
        "unknown class (expected one of dns, ",
    );
    assert_complaint(&["--failed", "-"], "--failed cannot write to stdout");
}

#[test]
fn failures_never_overwrite_a_list() {
    for path in ["sites.txt", "./sites.txt", ".//sites.txt"] {
        assert_complaint(
            &["--failed", path],
            "--failed would overwrite the input list 'sites.txt'",
        );
    }
    assert!(plan(&["--failed", "../sites.txt"]).failed.is_some());
}

#[test]
fn the_name_of_a_further_report_says_what_it_is() {
    let kinds = |words| {
        let documents = plan(words).documents.into_iter();
        documents.map(|document| document.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&[]), []);
    let words = ["a.html", "a.har", "a.csv", "a.jsonl", "b/A.MD"];
    let words: Vec<_> = words.iter().flat_map(|name| ["--report", name]).collect();
    let of_runs = ReportFormat::ALL.into_iter();
    let of_runs = of_runs.filter(|kind| kind.unfit_for(ReportSubject::Run).is_none());
    assert_eq!(kinds(&words), of_runs.collect::<Vec<_>>());
    assert_complaint(&["--report", "a.json"], ".json is for comparisons; use .jsonl");
    for name in ["a.htm", "html", ".html", "-", "a."] {
        let known = "(expected .html, .har, .csv, .jsonl, .md)";
        assert_complaint(&["--report", name], known);
    }
    assert_complaint(&["--report", "a.md", "--report", "./a.md"], "./a.md given twice");
    assert_complaint(&["--report", "a.csv", "--failed", "./a.csv"], "would both write");
}

fn parse_compare(words: &[&str]) -> Box<compare::Options> {
    match typed(&[&["compare"], words].concat(), true) {
        Ok(Command::Compare(options)) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_report_of_a_comparison_is_of_its_own_kinds() {
    let words = ["a.html", "a.csv", "a.json", "a.jsonl", "a.md"];
    let words: Vec<_> = words.iter().flat_map(|name| ["--report", name]).collect();
    let kinds: Vec<_> = parse_compare(&words).documents.iter().map(|one| one.kind).collect();
    let fit = |kind: &ReportFormat| kind.unfit_for(ReportSubject::Comparison).is_none();
    assert_eq!(kinds, ReportFormat::ALL.into_iter().filter(fit).collect::<Vec<_>>());
    let complaint = |words: &[&str]| usage_error(&[&["compare"], words].concat());
    let no_archive = complaint(&["--report", "a.har"]);
    assert!(no_archive.contains(".har is not available for comparisons"), "{no_archive}");
    let unknown = complaint(&["--report", "a.txt"]);
    assert!(unknown.contains("(expected .html, .csv, .json, .jsonl, .md)"), "{unknown}");
    assert!(
        complaint(&["list.csv", "--report", "./list.csv"])
            .contains("would overwrite the input list")
    );
}

#[test]
fn what_a_comparison_tells_of_its_options_has_no_secret() {
    let words = ["-H", "Authorization: a=b", "-x", "http://me:secret@a.b", "--digest=md5"];
    let options = parse_compare(&words);
    assert_eq!(options.shown, ["--header=***", "--proxy=***", "--digest=md5"]);
    assert_eq!(options.words, ["--digest=md5"]);
    assert_eq!(
        options.secret_words,
        ["--header=Authorization: a=b", "--proxy=http://me:secret@a.b"]
    );
}

#[test]
fn a_comparison_saves_and_has_loops_where_it_is_told_to() {
    let options = parse_compare(&["--loops", "2", "-d", "there", "--fsync", "--fail-fast"]);
    assert_eq!(options.loops.map(NonZeroUsize::get), Some(2));
    assert_eq!(options.dir, Some("there".into()));
    // The directory and the loops differ from run to run.
    assert_eq!(options.words, ["--fsync", "--fail-fast"]);
    assert_eq!(options.shown, ["--fsync", "--fail-fast", "--loops=2", "--dir=there"]);
    assert!(usage_error(&["compare", "--fsync"]).contains("--dir"));
}

#[test]
fn a_further_report_never_overwrites_a_list() {
    let text = usage_error(&["list.csv", "--report", "./list.csv"]);
    assert!(text.contains("--report would overwrite the input list 'list.csv'"), "{text}");
    let text = usage_error(&["report", "--to", "./run.jsonl", "run.jsonl"]);
    assert!(text.contains("--to would overwrite the input list 'run.jsonl'"), "{text}");
}

#[test]
fn a_saved_run_is_reported_again_from_a_file_or_standard_input() {
    let asked = |words: &[&str]| match typed(&[&["report"], words].concat(), true) {
        Ok(Command::Report(asked)) => asked,
        other => panic!("{other:?}"),
    };
    let page = ReportFile { path: "a.html".into(), kind: ReportFormat::Html };
    assert_eq!(
        asked(&["--to", "a.html", "run.jsonl"]),
        ReportCommand {
            source: Source::File("run.jsonl".into()),
            documents: vec![page],
            secrets: SecretDisplay::Masked,
        }
    );
    let secrets = SecretDisplay::Shown;
    let documents = vec![];
    assert_eq!(
        asked(&["--no-redact", "-"]),
        ReportCommand { source: Source::Stdin, documents, secrets }
    );
    assert!(usage_error(&["report"]).contains("<FILE>"));
    assert!(usage_error(&["report", "--to", "a.txt", "-"]).contains(".jsonl, .md"));
}

#[test]
fn bodies_are_saved_where_a_folder_is_named() {
    let keep = |words: &[&str]| plan(&[&["-d", "pages"], words].concat()).keep.unwrap();
    let plain = SaveOptions {
        dir: "pages".into(),
        names: NamingScheme::Flat,
        named_by: NameSource::List,
        again: ExistingPolicy::Skip,
        foreign: ForeignFilePolicy::Stays,
        durability: Durability::Process,
        min_free: None,
        patience: Duration::from_secs(30),
    };
    assert_eq!(keep(&[]), plain);
    for (words, expected) in [
        (&["--names", "tree"][..], SaveOptions { names: NamingScheme::Tree, ..plain.clone() }),
        (&["--names", "hash"], SaveOptions { names: NamingScheme::Hash, ..plain.clone() }),
        (&["--names", "index"], SaveOptions { names: NamingScheme::Index, ..plain.clone() }),
        (&["-J"], SaveOptions { named_by: NameSource::Server, ..plain.clone() }),
        (&["--refresh"], SaveOptions { again: ExistingPolicy::Refresh, ..plain.clone() }),
        (&["--force"], SaveOptions { again: ExistingPolicy::Force, ..plain.clone() }),
        (&["--overwrite"], SaveOptions { foreign: ForeignFilePolicy::Replaced, ..plain.clone() }),
        (&["--fsync"], SaveOptions { durability: Durability::Power, ..plain.clone() }),
        (&["--min-free", "2k"], SaveOptions { min_free: Some(2048), ..plain.clone() }),
    ] {
        assert_eq!(keep(words), expected, "{words:?}");
    }
    for words in [
        &["--names", "tree"][..],
        &["-J"],
        &["--fsync"],
        &["--min-free", "1G"],
        &["--split", "4"],
        &["--min-split-size", "1M"],
    ] {
        assert_complaint(words, " requires --dir");
    }
    assert_complaint(&["-d", ""], "a value is required for '--dir <DIR>'");
    assert_complaint(&["--refresh"], "--refresh requires --dir");
    assert_complaint(&["--archive-size", "1M"], "--archive-size requires --warc or --tar");
    assert_complaint(&["-d", "pages", "--force", "--refresh"], "cannot be used with");
    assert_complaint(&["-d", "pages", "--min-free", "much"], "invalid size");
}

#[test]
fn large_files_are_divided_as_far_as_asked_for() {
    let split = |words: &[&str]| plan(&[&["-d", "pages"], words].concat()).bodies.split;
    assert_eq!(split(&[]), SegmentOptions::default());
    assert_eq!(
        (SegmentOptions::default().most.get(), SegmentOptions::default().least.get()),
        (1, 20 << 20)
    );
    let asked = split(&["--split", "16", "--min-split-size", "64k"]);
    assert_eq!((asked.most.get(), asked.least.get()), (16, 64 << 10));
    for words in [&["--split", "0"], &["--split", "17"], &["--split", "many"]] {
        assert_complaint(&[&["-d", "pages"][..], words].concat(), "between 1 and 16");
    }
    for size in ["0", "65535", "63k"] {
        let words = ["-d", "pages", "--min-split-size", size];
        assert_complaint(&words, "must be at least 64k");
    }
    assert_complaint(&["-d", "pages", "--min-split-size", "much"], "invalid size");
}

#[test]
fn bodies_are_limited_and_proved_by_their_options() {
    let bodies = |words: &[&str]| plan(words).bodies;
    assert_eq!(bodies(&[]), BodyOptions::default());
    let words = ["--max-filesize", "1M", "--quota", "2k", "--compressed"];
    let limited = BodyOptions {
        max_filesize: Some(1 << 20),
        quota: Some(2048),
        coding: Compression::Decode,
        ..BodyOptions::default()
    };
    assert_eq!(bodies(&words), limited);
    let digests = bodies(&["--digest", "SHA256,blake3", "--digest", "md5"]).digests;
    assert_eq!(digests, [Algorithm::Sha256, Algorithm::Blake3, Algorithm::Md5]);
    assert_eq!(bodies(&["--sha256sums", "SUMS"]).sums, Some("SUMS".into()));
    assert_complaint(&["--digest", "sha3"], "(expected one of md5, ");
    let words = ["-d", "pages", "-J", "--sha256sums", "SUMS"];
    assert_complaint(&words, "--sha256sums cannot be combined with --remote-header-name");
}

#[test]
fn a_checksum_is_for_one_url() {
    let sum = "crc32=00ff00ff";
    let Ok(Command::Fetch(plan)) = typed(&["--checksum", sum, "http://a.b/"], true) else {
        panic!();
    };
    assert_eq!(plan.bodies.checksum.unwrap().to_string(), sum);
    assert_complaint(&["--checksum", sum], "--checksum works with a single URL");
    assert_complaint(&["--checksum", sum, "http://a.b/"], "--checksum works with a single URL");
    assert_complaint(&["--checksum", "crc32=0"], "expected crc32=<8 hex digits>");
}

#[test]
fn a_dry_run_has_the_plan_of_a_run_and_is_told_in_text_or_json() {
    let Ok(Command::DryRun { plan, options }) = typed(&["--dry-run", "-j", "3", "sites.txt"], true)
    else {
        panic!();
    };
    assert_eq!(plan.strategy.jobs(), 3);
    let set: Vec<_> = options.iter().filter(|option| !option.is_default).collect();
    assert_eq!((set[0].name.as_str(), &set[0].value), ("jobs", &OptionValue::Number(3)));
    assert_eq!(set.len(), 1);
    assert!(matches!(typed(&["--dry-run", "--json", "a"], true), Ok(Command::DryRun { .. })));
    assert_complaint(&["--dry-run", "--format", "csv"], "only text and jsonl output");
}

#[test]
fn the_report_is_set_by_its_options() {
    use plan::OutputFormat;
    for (words, format) in [
        (&["--format", "text"][..], OutputFormat::Text),
        (&["--format", "jsonl"], OutputFormat::Jsonl),
        (&["--format", "csv"], OutputFormat::Csv),
        (&["--json"], OutputFormat::Jsonl),
    ] {
        assert_eq!(plan(words).report.format, format);
    }
    assert_eq!(plan(&["--ordered"]).report.order, ReportOrder::List);
    for (words, verbosity) in [
        (&["-qq"][..], Verbosity::Silent),
        (&["-q"], Verbosity::Quiet),
        (&["--verbose"], Verbosity::Verbose),
        (&["-v", "-v"], Verbosity::Trace),
    ] {
        assert_eq!(plan(words).report.verbosity, verbosity);
    }
    assert_eq!(plan(&["--no-progress"]).report.progress, ProgressChoice::Never);
    assert_eq!(plan(&["--color", "always"]).report.color, ColorChoice::Always);
    assert_complaint(&["--format", "xml"], "possible values: text, jsonl, csv");
    assert_complaint(&["--json", "--format", "csv"], "cannot be used with");
    assert_complaint(&["-q", "-v"], "cannot be used with");
}

#[test]
fn the_origin_is_set_by_its_options() {
    let plain = parse_serve(&[]);
    assert_eq!((plain.port, plain.bind), (8080, IpAddr::from([127, 0, 0, 1])));
    assert_eq!((plain.latency, plain.jitter, plain.seed), (seconds(0), seconds(0), 0));
    assert_eq!((plain.limit_rate, plain.rate, plain.max_connections), (None, None, None));
    assert_eq!(plain.error_rate, units::Share::NONE);
    let words = "--port 0 --bind ::1 --latency 50ms --jitter 5ms --limit-rate 100k --error-rate 2% --rate 20/s \
                 --max-connections 4 --seed 7 --until-eof";
    let set = parse_serve(&words.split_whitespace().collect::<Vec<_>>());
    assert_eq!(
        set,
        serve::Options {
            port: 0,
            bind: "::1".parse().unwrap(),
            latency: Duration::from_millis(50),
            jitter: Duration::from_millis(5),
            limit_rate: NonZeroU64::new(100 * 1024),
            error_rate: units::share("2%").unwrap(),
            rate: units::rate("20/s").ok(),
            max_connections: NonZeroUsize::new(4),
            until: serve::Until::EndOfInput,
            seed: 7,
        }
    );
}

#[test]
fn an_origin_that_cannot_be_is_refused() {
    for (option, value, part) in [
        ("--port", "65536", "expected an integer between 0 and 65535"),
        ("--bind", "example.org", "expected an IP address"),
        ("--latency", "x", "invalid duration"),
        ("--jitter", "-1", "invalid duration"),
        ("--limit-rate", "0", "must be greater than zero"),
        ("--error-rate", "101%", "between 0% and 100%"),
        ("--rate", "20", "invalid rate"),
        ("--max-connections", "0", "expected an integer between 1 and 100000"),
        ("--seed", "-1", "expected an integer between 0"),
    ] {
        let usage = typed(&["serve", option, value], true).unwrap_err();
        assert_eq!(usage.code, 2);
        assert!(usage.text.contains(part), "{option} {value}: {}", usage.text);
    }
}

fn parse_verify(words: &[&str]) -> plan::VerifyOptions {
    match typed(&[&["verify"], words].concat(), true) {
        Ok(Command::Verify(options)) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_look_at_what_was_saved_is_set_by_its_options() {
    let plain = plan::VerifyOptions {
        dir: "pages".into(),
        jobs: None,
        form: plan::OutputFormat::Text,
        verbosity: Verbosity::Normal,
        marking: plan::MarkMode::On,
    };
    assert_eq!(parse_verify(&["pages"]), plain);
    let set = plan::VerifyOptions {
        dir: "-".into(),
        jobs: NonZeroUsize::new(3),
        form: plan::OutputFormat::Jsonl,
        verbosity: Verbosity::Verbose,
        marking: plan::MarkMode::Off,
    };
    assert_eq!(parse_verify(&["--json", "-j3", "-v", "--no-mark", "-"]), set);
    assert_eq!(parse_verify(&["--format", "jsonl", "pages"]).form, plan::OutputFormat::Jsonl);
    assert_eq!(parse_verify(&["-q", "pages"]).verbosity, Verbosity::Quiet);
    for words in [
        &["verify"][..],
        &["verify", "a", "b"],
        &["verify", "-q", "-v", "a"],
        &["verify", "-j0", "a"],
    ] {
        assert_eq!(typed(words, true).unwrap_err().code, 2, "{words:?}");
    }
}

#[test]
fn help_and_version_are_printed_to_stdout_and_are_no_mistake() {
    for words in [&["-h"][..], &["--help"], &["-V"], &["--version"], &["serve", "--help"]] {
        let usage = typed(words, true).unwrap_err();
        assert_eq!((usage.to, usage.code), (UsageStream::Stdout, 0), "{words:?}");
    }
    let version = typed(&["-V"], true).unwrap_err().text;
    assert_eq!(version, concat!("fetch ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_completion_script_asks_the_program_or_knows_the_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let Ok(Command::Completions(completions)) = typed(&["completions", shell], true) else {
            panic!("{shell}");
        };
        let mut script = Vec::new();
        completions.write(&mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("__complete -- ") ^ script.contains("max-retry-after"), "{shell}");
    }
}

#[test]
fn a_completion_script_that_cannot_be_written_is_an_error() {
    let Ok(Command::Completions(completions)) = typed(&["completions", "zsh"], true) else {
        panic!();
    };
    assert!(completions.write(&mut &mut [0; 10][..]).is_err());
}

#[test]
fn the_short_help_is_one_screen_of_the_common_options() {
    let help = Arguments::command().term_width(80).render_help().to_string();
    assert!(help.lines().count() <= 60, "{}:\n{help}", help.lines().count());
    for common in ["-m, --mode", "-j, --jobs", "-d, --dir", "--json", "--retry", "--per-host"] {
        assert!(help.contains(common), "{common}:\n{help}");
    }
    assert!(!help.contains("--resolve"), "{help}");
}

#[test]
fn the_long_help_has_every_option() {
    let help = Arguments::command().term_width(100).render_long_help().to_string();
    for option in
        OptionTable::of_fetch().effective(&Arguments::command().get_matches_from(["fetch"]))
    {
        assert!(help.contains(&format!("--{}", option.name)), "{}", option.name);
    }
}

#[test]
fn the_long_help_tells_of_lists_units_and_exit_codes() {
    let help = Arguments::command().term_width(100).render_long_help().to_string();
    for heading in
        ["Concurrency:", "HTTP:", "Timeouts and retries:", "Rate limiting:", "Failure handling:"]
    {
        assert!(help.contains(&format!("\n{heading}\n")), "{heading}");
    }
    for heading in ["Output:", "Configuration:", "Examples:", "Lists:", "Units:", "Exit codes:"] {
        assert!(help.contains(&format!("\n{heading}\n")), "{heading}");
    }
    assert!(help.lines().all(|line| line.len() <= 100));
}

#[test]
fn the_manual_names_every_parameter_that_is_masked() {
    let chapter = crate::manual::chapter("lists").expect("a chapter").text;
    let secret = crate::redaction::SECRET.iter();
    let missing: Vec<_> = secret.filter(|name| !chapter.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
