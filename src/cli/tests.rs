//! The command line as it is typed, and what becomes of it.

mod layered;

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::digest::Algorithm;
use crate::model::FailureClass;
use crate::plan::{
    self, AddressFamily, BodyOptions, CertVerification, Compression, Durability, ExistingPolicy,
    FailedList, ForeignFilePolicy, HostLimitOptions, HttpVersions, MaxFailures, MaxPerHost,
    NameSource, NamingScheme, OverrideTarget, Proxy, ReportCommand, ReportFile, ReportFormat,
    ReportOrder, ReportSubject, ResolveOverride, RobotsPolicy, SaveOptions, SegmentOptions, Source,
    Strategy, Verbosity,
};
use crate::units;

fn typed(words: &[&str], stdin_is_terminal: bool) -> Result<Command, UsageOutput> {
    parse(["fetch"].iter().chain(words).map(OsString::from), &nowhere(stdin_is_terminal))
}

/// Surroundings that say nothing.
fn nowhere(stdin_is_terminal: bool) -> Environment<'static> {
    Environment { variable: &|_| None, home: None, stdin_is_terminal }
}

/// The plan of a run over `sites.txt` with these words before it.
fn plan(words: &[&str]) -> Plan {
    match typed(&[words, &["sites.txt"]].concat(), true) {
        Ok(Command::Fetch(plan)) => *plan,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn complaint(words: &[&str]) -> String {
    mistake(&[words, &["sites.txt"]].concat())
}

/// What is said of these words, and nothing after them.
fn mistake(words: &[&str]) -> String {
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

fn origin(words: &[&str]) -> serve::Options {
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
    assert_eq!(plan.strategy, Strategy::Tasks { jobs: count(16), loops: count(1) });
    assert_eq!(plan.http.user_agent, concat!("fetch/", env!("CARGO_PKG_VERSION")));
    assert_eq!(plan.http.headers, []);
    assert!(plan.http.cacert.is_empty());
    assert_eq!(plan.http.verification, CertVerification::Full);
    assert_eq!(plan.http.versions, HttpVersions::Negotiated);
    assert_eq!(plan.http.proxy, Proxy::Environment);
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
    match parse(["fetch".into(), name.clone()], &nowhere(true)) {
        Ok(Command::Fetch(plan)) => assert_eq!(plan.sources, [Source::File(name.into())]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_source_a_pipe_is_read_and_a_terminal_is_told_what_to_type() {
    assert_eq!(sources(&[]), [Source::Stdin]);
    let usage = typed(&[], true).unwrap_err();
    assert_eq!((usage.to, usage.code), (UsageStream::Stderr, 2));
    assert!(usage.text.contains("nothing to fetch"), "{}", usage.text);
    assert!(usage.text.contains("fetch sites.txt"), "{}", usage.text);
}

#[test]
fn a_source_that_cannot_be_read_is_refused() {
    assert_complaint(&["-", "-"], "- is given twice");
    assert_complaint(&[""], "a SOURCE is empty");
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
        assert_complaint(&["-j", jobs], "'--jobs <N>': write a whole number from 1 to 10000");
        assert_complaint(&["--loops", jobs], "'--loops <N>': write a whole number from 1 to 10000");
    }
    for mode in ["sequential", "threads"] {
        assert_complaint(&["-m", mode, "--loops", "2"], "--loops is for --mode async alone");
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
fn a_bad_header_is_refused_without_its_value() {
    assert_complaint(&["-H", "Accept"], "invalid value for --header: a header without a colon");
    assert_complaint(&["-H", "Host: a.b"], "use --connect-to");
    let text = complaint(&["-H", "Co okie: hunter2"]);
    assert!(
        text.contains("\"Co okie\" is not a header name") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn the_user_agent_can_be_typed_either_way_but_not_both() {
    assert_eq!(plan(&["-A", "me/1"]).http.user_agent, "me/1");
    let http = plan(&["-H", "User-Agent: a", "-H", "user-agent: me/2"]).http;
    assert_eq!((http.user_agent, http.headers), ("me/2".parse().unwrap(), vec![]));
    assert_complaint(&["-A", "a", "-H", "User-Agent: b"], "keep one");
    assert_complaint(&["-A", ""], "at least one character");
    assert_complaint(&["--user-agent", "a\nb"], "no control characters");
}

#[test]
fn a_proxy_is_one_or_none_whatever_the_environment_says() {
    assert_eq!(
        plan(&["-x", "proxy.example:3128"]).http.proxy,
        Proxy::Use("http://proxy.example:3128".parse().unwrap())
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
    assert_complaint(&["--max-redirs", "-1"], "write a whole number from 0 to 1000");
    assert_complaint(&["--max-redirs", "1001"], "write a whole number from 0 to 1000");
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
    assert_complaint(&["--resolve", "-a.b:80"], "nothing is cached");
    assert_complaint(&["--resolve", "a.b:80"], "write HOST:PORT:ADDRESS");
    assert_complaint(&["--connect-to", "a.b:8000:c.d:9000"], "always sent to port 8000");
    assert_complaint(&["--connect-to", "a.b::c.d:", "-x", "p:1"], "no effect behind --proxy");
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
    ])
    .timeouts;
    assert_eq!(timeouts.connect, Duration::from_millis(500));
    assert_eq!(timeouts.stall, seconds(60));
    assert_eq!(timeouts.attempt, Some(seconds(2)));
    assert_eq!(timeouts.deadline, Some(seconds(3600)));
}

#[test]
fn a_clock_of_zero_is_refused() {
    for clock in ["--connect-timeout", "--stall-timeout", "--max-time", "--deadline"] {
        assert_complaint(&[clock, "0"], "must be longer than zero");
        assert_complaint(&[clock, "-1s"], "is not a duration; write 10, 500ms, 10s, 2m or 1h");
        assert_complaint(&[clock, "9999999h"], "longer than a year");
    }
}

#[test]
fn retries_are_set_by_their_options() {
    let retry = plan(&["--retry", "0", "--retry-delay", "60", "--max-retry-after", "0"]).retry;
    assert_eq!((retry.times, retry.base, retry.max_retry_after), (0, seconds(60), seconds(0)));
    assert_complaint(&["--retry", "1001"], "write a whole number from 0 to 1000");
    assert_complaint(&["--retry-delay", "61s"], "60s at most");
    assert_complaint(&["--max-retry-after", "soon"], "is not a duration");
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
        ("--per-host", "-1", "'--per-host <N>': write a whole number from 0 to 10000"),
        ("--host-delay", "soon", "is not a duration; write 10, 500ms, 10s, 2m or 1h"),
        ("--host-rate", "5", "is not a rate; write 20/s, 5/15s or 100/m"),
        ("--rate", "0/s", "is not a rate; write 20/s, 5/15s or 100/m"),
        ("--limit-rate", "0", "must be more than zero"),
        ("--host-failures", "0", "write a whole number from 1 to 1000"),
        ("--host-patience", "-1", "is not a duration"),
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
    assert_complaint(&["--max-failures", "-1"], "write a whole number or a share, as in 10 or 5%");
    assert_complaint(&["--max-failures", "101%"], "from 0% to 100%");
}

#[test]
fn failures_are_written_to_a_file_of_their_own() {
    let failed = |words| plan(words).failed.unwrap();
    let all = FailedList { path: "failed.txt".into(), classes: vec![] };
    assert_eq!(failed(&["--failed", "failed.txt"]), all);
    let words = ["--failed", "f", "--failed-class", "timeout,http_5xx", "--failed-class", "dns"];
    assert_eq!(
        failed(&words).classes,
        [FailureClass::Timeout, FailureClass::Http5xx, FailureClass::Dns]
    );
    assert_complaint(&["--failed-class", "dns"], "--failed <FILE>");
    assert_complaint(&["--failed", "f", "--failed-class", "http_500"], "expected one of dns, ");
    assert_complaint(&["--failed", "-"], "name a file; standard output is for the report");
}

#[test]
fn failures_never_overwrite_a_list() {
    for path in ["sites.txt", "./sites.txt", ".//sites.txt"] {
        assert_complaint(
            &["--failed", path],
            "--failed would overwrite the list \"sites.txt\"; name another file",
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
    assert_complaint(&["--report", "a.json"], "not one document; let the name end in .jsonl");
    for name in ["a.htm", "html", ".html", "-", "a."] {
        let known = "let its name end in one of .html, .har, .csv, .jsonl, .md";
        assert_complaint(&["--report", name], known);
    }
    assert_complaint(&["--report", "a.md", "--report", "./a.md"], "twice; keep one");
    assert_complaint(&["--report", "a.csv", "--failed", "./a.csv"], "would both write");
}

fn compared(words: &[&str]) -> Box<compare::Options> {
    match typed(&[&["compare"], words].concat(), true) {
        Ok(Command::Compare(options)) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_report_of_a_comparison_is_of_its_own_kinds() {
    let words = ["a.html", "a.csv", "a.json", "a.jsonl", "a.md"];
    let words: Vec<_> = words.iter().flat_map(|name| ["--report", name]).collect();
    let kinds: Vec<_> = compared(&words).documents.iter().map(|one| one.kind).collect();
    let fit = |kind: &ReportFormat| kind.unfit_for(ReportSubject::Comparison).is_none();
    assert_eq!(kinds, ReportFormat::ALL.into_iter().filter(fit).collect::<Vec<_>>());
    let complaint = |words: &[&str]| mistake(&[&["compare"], words].concat());
    let no_archive = complaint(&["--report", "a.har"]);
    assert!(no_archive.contains("an archive has an entry for each URL"), "{no_archive}");
    let unknown = complaint(&["--report", "a.txt"]);
    assert!(unknown.contains("end in one of .html, .csv, .json, .jsonl, .md"), "{unknown}");
    assert!(
        complaint(&["list.csv", "--report", "./list.csv"]).contains("would overwrite the list")
    );
}

#[test]
fn what_a_comparison_tells_of_its_options_has_no_secret() {
    let words = ["-H", "Authorization: a=b", "-x", "http://me:secret@a.b", "--digest=md5"];
    let options = compared(&words);
    assert_eq!(options.shown, ["--header=***", "--proxy=***", "--digest=md5"]);
    assert!(options.words.iter().any(|word| word == "--header=Authorization: a=b"));
}

#[test]
fn a_comparison_saves_and_has_loops_where_it_is_told_to() {
    let options = compared(&["--loops", "2", "-d", "there", "--fsync", "--fail-fast"]);
    assert_eq!(options.loops.map(NonZeroUsize::get), Some(2));
    assert_eq!(options.dir, Some("there".into()));
    // Where to save and how many loops is another thing for each run.
    assert_eq!(options.words, ["--fsync", "--fail-fast"]);
    assert_eq!(options.shown, ["--fsync", "--fail-fast", "--loops=2", "--dir=there"]);
    assert!(mistake(&["compare", "--fsync"]).contains("--dir"));
}

#[test]
fn a_further_report_never_overwrites_a_list() {
    let text = mistake(&["list.csv", "--report", "./list.csv"]);
    assert!(
        text.contains("--report would overwrite the list \"list.csv\"; name another"),
        "{text}"
    );
    let text = mistake(&["report", "--to", "./run.jsonl", "run.jsonl"]);
    assert!(text.contains("--to would overwrite the list \"run.jsonl\"; name another"), "{text}");
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
        ReportCommand { source: Source::File("run.jsonl".into()), documents: vec![page] }
    );
    assert_eq!(asked(&["-"]), ReportCommand { source: Source::Stdin, documents: vec![] });
    assert!(mistake(&["report"]).contains("<FILE>"));
    assert!(mistake(&["report", "--to", "a.txt", "-"]).contains(".jsonl, .md"));
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
        assert_complaint(words, "name their folder with --dir");
    }
    assert_complaint(&["-d", ""], "a value is required for '--dir <DIR>'");
    assert_complaint(&["--refresh"], "--dir <DIR>");
    assert_complaint(&["-d", "pages", "--force", "--refresh"], "cannot be used with");
    assert_complaint(&["-d", "pages", "--min-free", "much"], "is not a size");
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
        assert_complaint(&[&["-d", "pages"][..], words].concat(), "1 to 16");
    }
    for size in ["0", "65535", "63k"] {
        let words = ["-d", "pages", "--min-split-size", size];
        assert_complaint(&words, "is too small for a segment; write 64k at least");
    }
    assert_complaint(&["-d", "pages", "--min-split-size", "much"], "is not a size");
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
    assert_complaint(&["--digest", "sha3"], "write one of md5=, ");
    let words = ["-d", "pages", "-J", "--sha256sums", "SUMS"];
    assert_complaint(&words, "--sha256sums goes by names, which --remote-header-name leaves");
}

#[test]
fn a_checksum_is_for_one_url() {
    let sum = "crc32=00ff00ff";
    let Ok(Command::Fetch(plan)) = typed(&["--checksum", sum, "http://a.b/"], true) else {
        panic!();
    };
    assert_eq!(plan.bodies.checksum.unwrap().to_string(), sum);
    assert_complaint(&["--checksum", sum], "--checksum is for one URL");
    assert_complaint(&["--checksum", sum, "http://a.b/"], "--checksum is for one URL");
    assert_complaint(&["--checksum", "crc32=0"], "write crc32= and 8 hexadecimal digits");
}

#[test]
fn a_dry_run_has_the_plan_of_a_run_and_is_told_in_text_or_json() {
    let Ok(Command::DryRun(plan)) = typed(&["--dry-run", "-j", "3", "sites.txt"], true) else {
        panic!();
    };
    assert_eq!(plan.strategy.jobs(), 3);
    assert!(matches!(typed(&["--dry-run", "--json", "a"], true), Ok(Command::DryRun(_))));
    assert_complaint(&["--dry-run", "--format", "csv"], "write --format text or jsonl");
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
    assert_eq!(plan(&["-q"]).report.verbosity, Verbosity::Quiet);
    assert_eq!(plan(&["--verbose"]).report.verbosity, Verbosity::Verbose);
    assert_complaint(&["--format", "xml"], "possible values: text, jsonl, csv");
    assert_complaint(&["--json", "--format", "csv"], "cannot be used with");
    assert_complaint(&["-q", "-v"], "cannot be used with");
}

#[test]
fn the_origin_is_set_by_its_options() {
    let plain = origin(&[]);
    assert_eq!((plain.port, plain.bind), (8080, IpAddr::from([127, 0, 0, 1])));
    assert_eq!((plain.latency, plain.jitter, plain.seed), (seconds(0), seconds(0), 0));
    assert_eq!((plain.limit_rate, plain.rate, plain.max_connections), (None, None, None));
    assert_eq!(plain.error_rate, units::Share::NONE);
    let words = "--port 0 --bind ::1 --latency 50ms --jitter 5ms --limit-rate 100k --error-rate 2% --rate 20/s \
                 --max-connections 4 --seed 7 --until-eof";
    let set = origin(&words.split_whitespace().collect::<Vec<_>>());
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
        ("--port", "65536", "write a whole number from 0 to 65535"),
        ("--bind", "localhost", "write an IP address"),
        ("--latency", "x", "is not a duration"),
        ("--jitter", "-1", "is not a duration"),
        ("--limit-rate", "0", "must be more than zero"),
        ("--error-rate", "101%", "from 0% to 100%"),
        ("--rate", "20", "is not a rate"),
        ("--max-connections", "0", "write a whole number from 1 to 100000"),
        ("--seed", "-1", "write a whole number from 0"),
    ] {
        let usage = typed(&["serve", option, value], true).unwrap_err();
        assert_eq!(usage.code, 2);
        assert!(usage.text.contains(part), "{option} {value}: {}", usage.text);
    }
}

fn look(words: &[&str]) -> plan::VerifyOptions {
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
        form: plan::VerifyFormat::Text,
        verbosity: Verbosity::Normal,
        marking: plan::MarkMode::On,
    };
    assert_eq!(look(&["pages"]), plain);
    let set = plan::VerifyOptions {
        dir: "-".into(),
        jobs: NonZeroUsize::new(3),
        form: plan::VerifyFormat::Jsonl,
        verbosity: Verbosity::Verbose,
        marking: plan::MarkMode::Off,
    };
    assert_eq!(look(&["--json", "-j3", "-v", "--no-mark", "-"]), set);
    assert_eq!(look(&["--format", "jsonl", "pages"]).form, plan::VerifyFormat::Jsonl);
    assert_eq!(look(&["-q", "pages"]).verbosity, Verbosity::Quiet);
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
fn a_completion_script_knows_the_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let Ok(Command::Completions(completions)) = typed(&["completions", shell], true) else {
            panic!("{shell}");
        };
        let mut script = Vec::new();
        completions.write(&mut script).unwrap();
        assert!(String::from_utf8(script).unwrap().contains("max-retry-after"), "{shell}");
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
fn the_short_help_reads_well() {
    let help = Arguments::command().term_width(100).render_help().to_string();
    insta::assert_snapshot!(help, @r"
    Fetch every URL of a list, once and whole

    Usage: fetch [OPTIONS] [SOURCE]...
           fetch <COMMAND>

    Commands:
      verify       Tell what is missing, changed or extra of what was saved
      compare      Run the same list in several modes, in turn and repeatedly
      serve        Run a local origin to fetch from: slow, failing or strict on request
      report       Write reports of a run or comparison that was saved with --json
      completions  Print the completion script for a shell
      help         Show a chapter of the manual, or the help of a command

    Arguments:
      [SOURCE]...  List files, URLs, or - for standard input

    Options:
      -h, --help     Print help (see more with '--help')
      -V, --version  Print version

    Strategy:
      -m, --mode <MODE>  Who does the work [default: async] [possible values: sequential, threads,
                         async, processes]
      -j, --jobs <N>     Transfers at a time (1 to 10000); one in mode sequential [default: 16]
          --loops <N>    Event loops of mode async, each a thread; at most one per job [default: 1; with
                         --dir one per core, up to 4]

    Requests:
      -H, --header <NAME: VALUE>
              A header field for every request; repeatable
      -A, --user-agent <NAME>
              What to call itself [default: fetch/VERSION]
      -x, --proxy <URL>
              The proxy for all requests; '' for none
          --cacert <FILE>
              A PEM file of certificates to trust beside the system's; repeatable
      -k, --insecure
              Believe whoever answers: check no certificate
          --http1
              Speak HTTP/1.1 alone
          --max-redirs <N>
              Redirects to follow for one URL (0 to 1000) [default: 10]
      -4, --ipv4
              Use IPv4 addresses alone
      -6, --ipv6
              Use IPv6 addresses alone
          --resolve <HOST:PORT:ADDR[,ADDR]...>
              Addresses for a host and port, in place of a lookup; repeatable
          --connect-to <HOST1:PORT1:HOST2:PORT2>
              Connect to HOST2:PORT2 where a URL says HOST1:PORT1; repeatable

    Clocks:
          --connect-timeout <DURATION>  Longest wait for a connection, TLS included [default: 10s]
          --stall-timeout <DURATION>    Longest wait for the next byte [default: 30s]
          --max-time <DURATION>         Longest time for one attempt [default: no limit]
          --deadline <DURATION>         Longest time for the whole run [default: no limit]

    Retries:
          --retry <N>                   Further tries after a failure that may pass (0 to 1000)
                                        [default: 3]
          --retry-delay <DURATION>      Longest wait before the first further try (at most 60s)
                                        [default: 1s]
          --max-retry-after <DURATION>  Longest wait that a server may ask for with Retry-After
                                        [default: 10m]

    Manners:
          --per-host <N>              Transfers at a time from one host (0 to 10000); 0 for any number
                                      [default: 6]
          --host-delay <DURATION>     Shortest time between two requests to one host [default: 0s]
          --host-rate <N/TIME>        Requests to one host, spread evenly, as in 5/15s [default: no
                                      limit]
          --rate <N/TIME>             Requests in all, spread evenly, as in 20/s [default: no limit]
          --limit-rate <SIZE>         Body bytes a second in all, as in 500k [default: no limit]
          --host-failures <N>         Failures in a row to reach a host before it is left alone (1 to
                                      1000) [default: 3]
          --host-patience <DURATION>  How long to wait for a host that cannot be reached; 0 to give up
                                      at once [default: 30s]
          --robots                    Ask for robots.txt and obey it

    Saving:
      -d, --dir <DIR>              Save each body as a file in DIR, made if missing
          --names <NAMES>          How files are named [default: flat] [possible values: flat, tree,
                                   hash, index]
      -J, --remote-header-name     Let the server name files (Content-Disposition)
          --refresh                Ask for what was saved before whether it has changed
          --force                  Fetch again what was saved before
          --overwrite              Replace files in the way that were not saved by fetch
          --split <N>              Segments of a large file to fetch at a time (1 to 16) [default: 1]
          --min-split-size <SIZE>  Smallest segment that a file is divided into (at least 64k) [default:
                                   20M]
          --fsync                  Make each file last through a loss of power before it counts
          --min-free <SIZE>        Stop before less than this is free on DIR's file system

    Bodies:
          --compressed           Ask for compressed bodies and decode them
          --checksum <ALGO=HEX>  What the body of the one URL must hash to, as in sha-256=HEX
          --sha256sums <FILE>    A file of SHA-256 sums by file name, as sha256sum writes it
          --digest <ALGO,...>    Compute and report digests of bodies, as in sha256 or blake3
          --max-filesize <SIZE>  Largest body, decoded; 0 for any [default: no limit]
          --quota <SIZE>         Body bytes to read in all, then stop; 0 for any number [default: no
                                 limit]

    Failures:
          --max-failures <N|P%>       Stop with more failures than N, or than P% of what is done
                                      [default: no limit]
          --fail-fast                 Stop with the first failure: --max-failures 0
          --failed <FILE>             Write what failed for good to FILE, as a list; replaces it
          --failed-class <CLASS,...>  Only failures of these classes, as in timeout,dns [default: all]

    Output:
          --format <FORMAT>  The form of the report [default: text] [possible values: text, jsonl, csv]
          --json             The same as --format jsonl
          --ordered          Report in the order of the list, not of completion
          --report <FILE>    Write a report to FILE as well; repeatable
      -q, --quiet            Tell of failures alone; no progress display
      -v, --verbose          Tell of retries and redirects too
          --dry-run          Tell what would be done, and make no request

    Configuration:
          --config <FILE>  Take options from FILE [default: ~/.config/fetch/config.toml]
          --no-config      Take no options from a file

    Examples:
      fetch sites.txt
      fetch -j 64 --json sites.txt > report.jsonl
      grep pdf links.txt | fetch --mode threads -
      fetch --retry 5 https://example.org/a https://example.org/b
    ");
}

#[test]
fn the_long_help_tells_of_lists_units_and_exit_codes() {
    let help = Arguments::command().term_width(100).render_long_help().to_string();
    for heading in ["Strategy:", "Requests:", "Clocks:", "Retries:", "Manners:", "Failures:"] {
        assert!(help.contains(&format!("\n{heading}\n")), "{heading}");
    }
    for heading in
        ["Output:", "Configuration:", "Examples:", "Lists:", "Units:", "Settings:", "Exit codes:"]
    {
        assert!(help.contains(&format!("\n{heading}\n")), "{heading}");
    }
    assert!(help.lines().all(|line| line.len() <= 100));
}
