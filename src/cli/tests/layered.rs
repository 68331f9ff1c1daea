//! Precedence of the command line, the environment and the configuration file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::plan::{HostOverrides, Plan};

/// A configuration folder and an environment of a user.
struct LayeredSetup {
    folder: tempfile::TempDir,
    variables: BTreeMap<String, OsString>,
    warnings: RefCell<Vec<String>>,
}

impl LayeredSetup {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let variables = [("XDG_CONFIG_HOME".to_owned(), folder.path().into())].into();
        Self { folder, variables, warnings: RefCell::default() }
    }

    /// A setup with this text as the default configuration file.
    fn with(config: &str) -> Self {
        let setup = Self::empty();
        fs::create_dir(setup.folder.path().join("fetch")).unwrap();
        fs::write(setup.config_path(), config).unwrap();
        setup
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    fn config_path(&self) -> PathBuf {
        self.folder.path().join("fetch/config.toml")
    }

    fn parse(&self, words: &[&str]) -> Result<Command, UsageOutput> {
        let around = Environment {
            variable: &|name| self.variables.get(name).cloned(),
            names: self.variables.keys().map(OsString::from).collect(),
            warn: &|warning| self.warnings.borrow_mut().push(self.without_folder(warning)),
            home: None,
            stdin_is_terminal: true,
            stdin: &|| Ok(Vec::new()),
            ask: &|_| Err(io::ErrorKind::NotFound.into()),
        };
        parse(["fetch"].iter().chain(words).map(OsString::from), &around)
    }

    fn plan(&self, words: &[&str]) -> Plan {
        match self.parse(&[words, &["sites.txt"]].concat()) {
            Ok(Command::Fetch(plan)) => *plan,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    fn complaint(&self, words: &[&str]) -> String {
        let usage = self.parse(&[words, &["sites.txt"]].concat()).expect_err(&words.join(" "));
        assert_eq!((usage.to, usage.code), (UsageStream::Stderr, 2));
        self.without_folder(&usage.text)
    }

    fn without_folder(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "~")
    }

    fn assert_complaint(&self, words: &[&str], complaint: &str) {
        let text = self.complaint(words);
        assert!(text.starts_with(&format!("error: {complaint}\n")), "{text}");
    }
}

#[test]
fn what_is_typed_wins_over_the_environment_and_that_over_the_file() {
    let file = LayeredSetup::with("jobs = 2");
    assert_eq!(file.plan(&[]).strategy.jobs(), 2);
    let both = file.variable("FETCH_JOBS", "3");
    assert_eq!(both.plan(&[]).strategy.jobs(), 3);
    assert_eq!(both.plan(&["-j", "4"]).strategy.jobs(), 4);
    assert_eq!(LayeredSetup::empty().plan(&[]).strategy.jobs(), 16);
}

#[test]
fn every_option_that_is_not_of_one_run_can_be_in_the_file() {
    let setup = LayeredSetup::with(
        r#"
            mode = "async"
            jobs = 8
            loops = 2
            header = ["Accept: a", "X-Empty;"]
            user-agent = "me/1"
            proxy = ""
            cacert = "/a.pem"
            insecure = true
            http1 = true
            max-redirs = 3
            ipv4 = true
            resolve = ["a.b:80:127.0.0.1"]
            connect-to = "a.b::c.d:"
            connect-timeout = "2.5s"
            stall-timeout = "1m"
            max-time = "7s"
            min-speed = "1k"
            min-speed-time = "10s"
            deadline = "1h"
            retry = 0
            retry-delay = "20s"
            max-retry-after = "1m"
            per-host = 0
            host-delay = "500ms"
            host-rate = "5/15s"
            rate = "20/s"
            limit-rate = "1.5M"
            host-failures = 5
            host-patience = 0
            robots = true
            max-failures = "5%"
            format = "jsonl"
            ordered = true
            quiet = true
        "#,
    );
    let typed = "--mode async --jobs 8 --loops 2 -H Accept:a -H X-Empty; -A me/1 -x= --cacert /a.pem --insecure \
                 --http1 --max-redirs 3 -4 --resolve a.b:80:127.0.0.1 --connect-to a.b::c.d: --connect-timeout 2.5 \
                 --stall-timeout 1m --max-time 7 --min-speed 1k --min-speed-time 10 --deadline 1h --retry 0 --retry-delay 20 --max-retry-after 1m \
                 --per-host 0 --host-delay 500ms --host-rate 5/15s --rate 20/s --limit-rate 1.5M --host-failures 5 \
                 --host-patience 0 --robots --max-failures 5% --format jsonl --ordered --quiet";
    let typed = plan(&typed.split_whitespace().collect::<Vec<_>>());
    let in_file = |plan: Plan| Plan { config: None, options: Vec::new(), ..plan };
    assert_eq!(format!("{:?}", in_file(setup.plan(&[]))), format!("{:?}", in_file(typed)));
    let others =
        LayeredSetup::with("json = true\nverbose = true\nipv6 = true\nfail-fast = true").plan(&[]);
    let typed = plan(&["--json", "--verbose", "-6", "--fail-fast"]);
    assert_eq!(format!("{:?}", in_file(others)), format!("{:?}", in_file(typed)));
}

#[test]
fn a_plan_names_the_options_that_were_set_wherever_and_no_secret() {
    let setup = LayeredSetup::with("retry = 1\nheader = \"Authorization: hunter2\"");
    let setup = setup.variable("FETCH_MAX_TIME", "7s");
    let plan = setup.plan(&["-vv", "-j4", "--retry=2", "--proxy", "u:hunter2@p:1"]);
    let mut options = plan.options;
    options.sort_unstable();
    assert_eq!(
        options,
        [
            "--header=authorization: ***",
            "--jobs=4",
            "--max-time=7s",
            "--proxy=http://u:***@p:1/",
            "--retry=2",
            "--verbose",
            "--verbose",
        ]
    );
}

#[test]
fn a_list_of_values_replaces_the_one_below_it() {
    let setup = LayeredSetup::with("header = [\"A: file\", \"B: file\"]");
    let names = |plan: Plan| -> Vec<String> {
        plan.http.headers.iter().map(|(name, _)| name.to_string()).collect()
    };
    assert_eq!(names(setup.plan(&[])), ["a", "b"]);
    assert_eq!(names(setup.plan(&["-H", "C: typed"])), ["c"]);
    let setup = setup.variable("FETCH_HEADER", "D: one\n  E: two\n");
    assert_eq!(names(setup.plan(&[])), ["d", "e"]);
}

#[test]
fn an_option_does_away_with_its_opposite_below() {
    let file = LayeredSetup::with(
        "quiet = true\nformat = \"csv\"\nmode = \"async\"\nloops = 2\nipv4 = true\nfail-fast = true",
    );
    let plan = file.plan(&["-v", "--json", "-m", "threads", "-6", "--max-failures", "9"]);
    assert_eq!(plan.report.verbosity, Verbosity::Verbose);
    assert_eq!(plan.report.format, plan::OutputFormat::Jsonl);
    assert_eq!(plan.strategy, Strategy::Threads(count(16)));
    assert_eq!(plan.http.family, AddressFamily::V6);
    assert_eq!(plan.failure_limits.most, Some(MaxFailures::Number(9)));
    let agent = LayeredSetup::with("user-agent = \"file\"");
    assert_eq!(agent.plan(&["-H", "User-Agent: typed"]).http.user_agent, "typed");
}

#[test]
fn a_flag_can_be_taken_back_by_the_environment() {
    let setup = LayeredSetup::with("quiet = true\nrobots = true").variable("FETCH_QUIET", "0");
    assert_eq!(setup.plan(&[]).report.verbosity, Verbosity::Normal);
    assert_eq!(setup.plan(&[]).host_limits.robots, RobotsPolicy::Obeyed);
    let setup =
        LayeredSetup::with("quiet = false\nverbose = true").variable("FETCH_QUIET", "false");
    assert_eq!(setup.plan(&[]).report.verbosity, Verbosity::Verbose);
}

#[test]
fn a_variable_that_is_empty_says_nothing() {
    let setup =
        LayeredSetup::with("jobs = 2").variable("FETCH_JOBS", "").variable("FETCH_QUIET", "");
    assert_eq!(setup.plan(&[]).strategy.jobs(), 2);
}

#[test]
fn a_bad_variable_is_named_with_what_to_write() {
    for (name, value, complaint) in [
        ("FETCH_JOBS", "0", "FETCH_JOBS=0: expected an integer between 1 and 10000"),
        (
            "FETCH_MODE",
            "fast",
            "FETCH_MODE=fast: expected one of sequential, threads, async, processes",
        ),
        ("FETCH_QUIET", "yes", "FETCH_QUIET=yes: expected 1 or 0"),
        (
            "FETCH_HEADER",
            "Secret",
            "FETCH_HEADER: invalid value for --header: invalid header: missing colon (expected 'Name: value')",
        ),
        (
            "FETCH_HEADER",
            "User-Agent: a",
            "FETCH_HEADER: use the option user-agent to set User-Agent",
        ),
        (
            "FETCH_PROXY",
            "ftp://u:p@a",
            "FETCH_PROXY: invalid value for --proxy: unsupported proxy scheme 'ftp' (expected http, https, socks5, socks5h, socks4, socks4a)",
        ),
    ] {
        LayeredSetup::empty().variable(name, value).assert_complaint(&[], complaint);
    }
}

#[test]
fn variables_that_do_not_go_together_are_named() {
    let setup = LayeredSetup::empty().variable("FETCH_QUIET", "1").variable("FETCH_VERBOSE", "1");
    let text = setup.complaint(&[]);
    assert!(text.contains("--quiet from FETCH_QUIET, --verbose from FETCH_VERBOSE"), "{text}");
}

#[test]
fn an_option_below_that_stands_in_the_way_is_named_with_its_place() {
    let setup = LayeredSetup::with("\nconnect-to = \"a.b::c.d:\"");
    let text = setup.complaint(&["-x", "proxy.example:1"]);
    assert!(text.contains("--proxy (--connect-to from ~/fetch/config.toml:2)"), "{text}");
}

#[test]
fn a_file_is_named_on_the_command_line_or_in_the_environment() {
    let setup = LayeredSetup::with("jobs = 2");
    let other = setup.folder.path().join("other.toml");
    fs::write(&other, "jobs = 5").unwrap();
    let other = other.to_str().unwrap();
    assert_eq!(setup.plan(&["--config", other]).strategy.jobs(), 5);
    assert_eq!(setup.plan(&["--no-config"]).strategy.jobs(), 16);
    let setup = setup.variable("FETCH_CONFIG", other);
    assert_eq!(setup.plan(&[]).strategy.jobs(), 5);
    assert_eq!(setup.plan(&["--no-config"]).strategy.jobs(), 16);
    assert_complaint(&["--config", other, "--no-config"], "cannot be used with");
    let none = LayeredSetup::with("jobs = 2").variable("FETCH_NO_CONFIG", "1");
    assert_eq!(none.plan(&[]).strategy.jobs(), 16);
    assert_eq!(none.plan(&["--config", other]).strategy.jobs(), 5);
}

#[test]
fn a_file_that_was_named_must_be_there_and_the_usual_one_need_not() {
    let setup = LayeredSetup::empty();
    assert_eq!(setup.plan(&[]).strategy.jobs(), 16);
    let text = setup.complaint(&["--config", "/nowhere/config.toml"]);
    assert!(text.contains("cannot read /nowhere/config.toml: No such file"), "{text}");
}

#[test]
fn a_usual_file_that_the_system_does_not_let_be_read_is_a_warning_and_a_named_one_an_error() {
    let setup = LayeredSetup::empty();
    fs::create_dir_all(setup.config_path()).unwrap();
    assert_eq!(setup.plan(&["--no-config"]).strategy.jobs(), 16);
    assert_eq!(*setup.warnings.borrow(), [""; 0]);
    assert_eq!(setup.plan(&[]).strategy.jobs(), 16);
    let warning = "cannot read ~/fetch/config.toml: Is a directory; ignoring it (see --no-config)";
    assert_eq!(*setup.warnings.borrow(), [warning]);
    let text = setup.complaint(&["--config", setup.config_path().to_str().unwrap()]);
    assert_eq!(text, "error: cannot read ~/fetch/config.toml: Is a directory\n");
    fs::remove_dir(setup.config_path()).unwrap();
    fs::write(setup.config_path(), b"jobs = 8 # \xff").unwrap();
    assert!(setup.complaint(&[]).contains("valid UTF-8"), "{}", setup.complaint(&[]));
    fs::write(setup.config_path(), "#".repeat(1024 * 1024 + 1)).unwrap();
    assert!(setup.complaint(&[]).contains("larger than 1 MiB"));
}

#[test]
fn the_usual_file_is_below_the_home_folder_where_nothing_else_is_said() {
    use crate::cli::config_file::{ConfigPath, default_path};
    let home = || Some(PathBuf::from("/home/me"));
    let at = |path: &str| ConfigPath::Default(path.into());
    assert_eq!(default_path(None, home()), at("/home/me/.config/fetch/config.toml"));
    assert_eq!(default_path(Some("/xdg".into()), home()), at("/xdg/fetch/config.toml"));
    assert_eq!(default_path(Some("xdg".into()), home()), at("/home/me/.config/fetch/config.toml"));
    assert_eq!(default_path(Some("".into()), None), ConfigPath::Nothing);
}

#[test]
fn a_host_has_manners_of_its_own() {
    let setup = LayeredSetup::with(
        r#"
            per-host = 2
            [hosts."Example.ORG"]
            per-host = 1
            host-delay = "1s"
            host-rate = "1/m"
            header = ["Authorization: Bearer hunter2"]
            user-agent = "me/2"
            [hosts."bücher.example"]
            per-host = 0
            [hosts."[::1]"]
        "#,
    );
    let host_limits = setup.plan(&["--per-host", "3"]).host_limits;
    assert_eq!(host_limits.per_host, MaxPerHost::Most(count(3)));
    let names: Vec<_> = host_limits.hosts.keys().map(String::as_str).collect();
    assert_eq!(names, ["[::1]", "example.org", "xn--bcher-kva.example"]);
    let own = &host_limits.hosts["example.org"];
    assert_eq!(own.per_host, Some(MaxPerHost::Most(count(1))));
    assert_eq!((own.delay, own.rate), (Some(seconds(1)), units::rate("1/m").ok()));
    let headers: Vec<_> = own.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(headers, ["authorization", "user-agent"]);
    assert_eq!(host_limits.hosts["xn--bcher-kva.example"].per_host, Some(MaxPerHost::NoLimit));
    assert_eq!(host_limits.hosts["[::1]"], HostOverrides::default());
}

#[test]
fn of_user_and_header_the_one_set_at_the_higher_level_counts() {
    use crate::credentials::GeneralAuthorization::{self, OverHosts, UnderHosts};
    let chosen = |plan: &Plan| -> (Vec<String>, GeneralAuthorization) {
        let values = plan.http.headers.iter().map(|(_, value)| value.to_str().unwrap().to_owned());
        (values.collect(), plan.http.credentials.precedence)
    };
    // The values are user f:f, e:e and t:t, of the file, the environment and the command line.
    let [file_user, user_e, user_t] = ["Basic Zjpm", "Basic ZTpl", "Basic dDp0"];
    let file = |text: &str| LayeredSetup::with(text);
    let both = "user = \"f:f\"\nheader = \"Authorization: f\"";
    for (setup, words, expected, precedence) in [
        (file("user = \"f:f\""), &[][..], file_user, UnderHosts),
        (file(both), &[], "f", UnderHosts),
        (file(both), &["-u", "t:t"], user_t, OverHosts),
        (file(both).variable("FETCH_USER", "e:e"), &[], user_e, OverHosts),
        (file(both).variable("FETCH_USER", "e:e"), &["-H", "Authorization: t"], "t", OverHosts),
        (file("user = \"f:f\"").variable("FETCH_HEADER", "Authorization: e"), &[], "e", OverHosts),
        (file(""), &["-u", "t:t", "-H", "Authorization: t"], "t", OverHosts),
    ] {
        let chosen = chosen(&setup.plan(words));
        assert_eq!(chosen, (vec![expected.to_owned()], precedence), "{words:?}");
    }
}

#[test]
fn headers_are_read_from_files_beside_the_configuration_or_where_fetch_is_started() {
    let setup = LayeredSetup::with("header = [\"@more/headers\", \"X-A: 1\"]");
    let folder = setup.config_path().parent().unwrap().join("more");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("headers");
    fs::write(&file, "\u{feff}X-B: 2\r\n\nX-C;\n").unwrap();
    let names = |plan: Plan| -> Vec<String> {
        plan.http
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect()
    };
    let plan = setup.plan(&[]);
    assert_eq!(plan.credential_files, std::slice::from_ref(&file));
    assert_eq!(names(plan), ["x-b=2", "x-c=", "x-a=1"]);
    let at = format!("@{}", file.display());
    assert_eq!(names(LayeredSetup::empty().plan(&["-H", &at])), ["x-b=2", "x-c="]);
    assert_eq!(
        names(LayeredSetup::empty().variable("FETCH_HEADER", &at).plan(&[])),
        ["x-b=2", "x-c="]
    );
    fs::write(&file, "X-B: 2\nhunter2\n").unwrap();
    let complaint = setup.complaint(&[]);
    let part = "1: header: ~/fetch/more/headers:2: invalid header: missing colon";
    assert!(complaint.contains(part) && !complaint.contains("hunter2"), "{complaint}");
    let at_stdin = LayeredSetup::with("header = \"@-\"");
    assert!(at_stdin.complaint(&[]).contains("@- can only be given on the command line"));
}

#[test]
fn every_mistake_in_a_file_is_told_with_its_line_and_what_to_write() {
    for (config, complaint) in [
        ("\njobs = 0", "2: jobs = 0: expected an integer between 1 and 10000"),
        ("jobs = 0x8000", "1: jobs = 0x8000: expected an integer between 1 and 10000"),
        (
            "mode = \"fast\"",
            "1: mode = \"fast\": expected one of sequential, threads, async, processes",
        ),
        (
            "retry = [1, 2]",
            "1: retry = [1, 2]: expected a single value, quoted unless it is a number (see --retry)",
        ),
        (
            "retry = true",
            "1: retry = true: expected a single value, quoted unless it is a number (see --retry)",
        ),
        ("quiet = \"yes\"", "1: quiet = \"yes\": expected true or false"),
        (
            "host-delay = 1979-05-27",
            "1: host-delay = 1979-05-27: expected a single value, quoted unless it is a number (see --host-delay)",
        ),
        ("jbos = 8", "1: unknown option 'jbos'; did you mean 'jobs'?"),
        ("[host.\"a.b\"]\nper-host = 1", "1: unknown section 'host' (expected [hosts.\"NAME\"])"),
        ("per_host = 8", "1: unknown option 'per_host'; did you mean 'per-host'?"),
        ("zzz = 8", "1: unknown option 'zzz' (expected the long name of an option)"),
        ("config = \"a\"", "1: 'config' cannot be set in the configuration file"),
        ("dry-run = true", "1: 'dry-run' cannot be set in the configuration file"),
        ("failed = \"a\"", "1: 'failed' cannot be set in the configuration file"),
        (
            "header = [\n\"hunter2\"]",
            "1: header: invalid value for --header: invalid header: missing colon (expected 'Name: value')",
        ),
        ("header = \"User-Agent: a\"", "1: header: use the option user-agent to set User-Agent"),
        (
            "proxy = \"ftp://u:hunter2@a\"",
            "1: proxy: invalid value for --proxy: unsupported proxy scheme 'ftp' (expected http",
        ),
        ("host-delay = 250", "1: host-delay = 250: expected a unit, e.g. \"250ms\" or \"250s\""),
        ("\nmax-time = 7.5", "2: max-time = 7.5: expected a unit, e.g. \"7.5ms\" or \"7.5s\""),
        ("deadline = \"90\"", "1: deadline = \"90\": expected a unit, e.g. \"90ms\" or \"90s\""),
        ("[hosts.\"a.b\"]\nhost-delay = 1", "2: host-delay = 1: expected a unit"),
        ("jobs = 1\njobs = 2", "2: duplicate key"),
        ("jobs 8", "1: "),
        ("jobs =", "1: missing or unquoted value"),
        ("hosts = 1", "1: expected a section, e.g. [hosts.\"example.org\"]"),
        ("[hosts]\n\"a.b\" = 1", "2: expected a section, e.g. [hosts.\"example.org\"]"),
        (
            "[hosts.\"https://a.b\"]",
            "1: hosts.\"https://a.b\": expected a host name, e.g. example.org or [::1]",
        ),
        ("[hosts.\"a.b:80\"]", "1: hosts.\"a.b:80\": expected a host name"),
        ("[hosts.\"::1\"]", "1: hosts.\"::1\": expected a host name"),
        ("[hosts.\"a.b\"]\n[hosts.\"A.B\"]", "2: hosts.\"A.B\": duplicate section for this host"),
        (
            "[hosts.\"a.b\"]\njobs = 8",
            "2: 'jobs' cannot be set per host (allowed: header, user, user-agent, cert, key, per-host, host-delay, host-rate)",
        ),
        (
            "[hosts.\"a.b\"]\nper-host = -1",
            "2: per-host = -1: expected an integer between 0 and 10000",
        ),
    ] {
        let text = LayeredSetup::with(config).complaint(&[]);
        let told =
            text.strip_prefix("error: ~/fetch/config.toml:").unwrap_or_else(|| panic!("{text}"));
        assert!(told.starts_with(complaint), "{config}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let both = LayeredSetup::with("quiet = true\nverbose = true").complaint(&[]);
    assert!(both.starts_with("error: ~/fetch/config.toml: the argument '--quiet'"), "{both}");
    assert!(both.contains("(--quiet from ~/fetch/config.toml:1, --verbose from"), "{both}");
}

#[test]
fn the_first_mistake_is_told_first() {
    let text = LayeredSetup::with("retry = -1\njobs = 0").complaint(&[]);
    assert!(text.contains("config.toml:1: retry = -1"), "{text}");
}

#[test]
fn a_file_may_begin_with_a_mark_and_have_lines_of_two_bytes() {
    let setup = LayeredSetup::with("\u{feff}# mine\r\njobs = 2\r\nretry = 1_0\r\n");
    assert_eq!((setup.plan(&[]).strategy.jobs(), setup.plan(&[]).retry.times), (2, 10));
}

#[test]
fn files_named_in_a_file_are_looked_for_beside_it() {
    let setup = LayeredSetup::with("cacert = [\"a.pem\", \"/b.pem\"]");
    let beside = setup.folder.path().join("fetch/a.pem");
    assert_eq!(setup.plan(&[]).http.cacert, [beside, "/b.pem".into()]);
}

#[test]
fn what_makes_no_run_reads_no_configuration() {
    let setup = LayeredSetup::with("nonsense").variable("FETCH_JOBS", "0");
    assert!(matches!(setup.parse(&["serve"]), Ok(Command::Serve(_))));
    assert!(matches!(setup.parse(&["completions", "zsh"]), Ok(Command::Completions(_))));
    assert_eq!(setup.parse(&["--help"]).unwrap_err().code, 0);
}

#[test]
fn words_after_two_dashes_are_no_options_here_either() {
    let setup = LayeredSetup::with("jobs = 2");
    match setup.parse(&["--", "--jobs"]) {
        Ok(Command::Fetch(plan)) => {
            assert_eq!(plan.sources, [Source::File("--jobs".into())]);
            assert_eq!(plan.strategy.jobs(), 2);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_duration_of_zero_needs_no_unit_nor_does_a_size() {
    let setup = LayeredSetup::with("host-patience = 0\nretry-delay = 0.0\nlimit-rate = 500000");
    let plan = setup.plan(&[]);
    assert_eq!((plan.host_limits.host_patience, plan.retry.base), (seconds(0), seconds(0)));
    assert_eq!(plan.host_limits.limit_rate, NonZeroU64::new(500_000));
    // What is typed is in seconds, as in curl.
    let setup = LayeredSetup::empty().variable("FETCH_MAX_TIME", "7");
    assert_eq!(setup.plan(&["--deadline", "9"]).timeouts.attempt, Some(seconds(7)));
}

#[test]
fn a_variable_that_is_no_option_of_the_environment_is_named() {
    for (name, complaint) in [
        ("FETCH_DIR", "FETCH_DIR: --dir can only be given on the command line"),
        ("FETCH_DRY_RUN", "FETCH_DRY_RUN: --dry-run can only be given on the command line"),
        ("FETCH_JOB", "FETCH_JOB: unknown variable; did you mean FETCH_JOBS?"),
        ("FETCH_jobs", "FETCH_jobs: unknown variable; did you mean FETCH_JOBS?"),
        (
            "FETCH_TOKEN",
            "FETCH_TOKEN: unknown variable (expected FETCH_ and the long name of an option)",
        ),
        (
            "FETCH_ZZZ",
            "FETCH_ZZZ: unknown variable (expected FETCH_ and the long name of an option)",
        ),
    ] {
        let setup = LayeredSetup::empty().variable(name, "x");
        setup.assert_complaint(&[], complaint);
        // The built-in workload takes nothing from the environment.
        assert!(setup.parse(&["compare"]).is_ok(), "{name}");
        assert!(setup.parse(&["compare", "http://127.0.0.1/"]).is_err(), "{name}");
        assert!(setup.parse(&["serve"]).is_ok(), "{name}");
        LayeredSetup::empty().variable(name, "").plan(&[]);
    }
    LayeredSetup::empty().variable("FETCHED", "x").variable("FETCH_KILL_AT", "x:1").plan(&[]);
}
