//! Converts parsed arguments to a `Plan`. An error is the message to print.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE, REFERER, USER_AGENT};
use url::Url;

use super::args::{
    self, CompareArgs, CookieArgs, CookieJarArgs, FailedListArgs, FailureLimitArgs, FetchArgs,
    HttpArgs, ListArgs, OutputArgs, RedactionArgs, RetryArgs, SaveArgs, ServeArgs, TargetArgs,
    VerifyArgs,
};
use super::value_parsers::{documents, is_same_path};
use super::{credentials, proxy};
use crate::compare::{self, ServerOwner};
use crate::credentials::Credentials;
use crate::list;
use crate::model::RequestMethod;
use crate::plan::{
    AddressFamily, AddressScope, ArchiveFormat, ArchiveOptions, BodyOptions, CarryChoice,
    CertVerification, ClientCertificate, Compression, CookieOptions, Durability, ExistingPolicy,
    FailedExit, FailedList, FailureLimits, ForeignFilePolicy, HostLimitOptions, HttpOptions,
    HttpVersions, ListFormat, ListOptions, MaxFailures, MaxPerHost, MergeCommand, MinSpeed, Mode,
    NameSource, NetworkInterface, ObjectUrl, OutputFormat, OutputOptions, Plan, ProgressChoice,
    Proxy, ReportCommand, ReportOrder, ReportSubject, RetryOptions, RobotsPolicy, SaveOptions,
    SecretDisplay, SegmentOptions, SingleOutput, Source, SplitCommand, Strategy, TargetRules,
    Timeouts, UrlSchemes, Verbosity,
};
use crate::{plan, serve};

/// Converts the arguments of `fetch` to the plan of a run.
pub(super) fn plan(mut typed: FetchArgs, stdin_is_terminal: bool) -> Result<Plan, String> {
    typed.sources.append(&mut typed.input.input_files);
    let (remote, local) = remote_lists(std::mem::take(&mut typed.input.input))?;
    typed.sources.extend(local);
    // A remote list is not a single URL to fetch.
    let targets = if remote.is_empty() { &typed.sources[..] } else { &[] };
    ensure_the_dir_is_no_data(&typed.saving)?;
    let is_archived = typed.saving.warc.is_some() || typed.saving.tar.is_some();
    let plan = Plan {
        lists: list_options(typed.lists, typed.saving.text_column.as_deref())?,
        // The environment is not read here.
        shard: None,
        strategy: strategy(&typed.strategy, saves(&typed.saving))?,
        http: http(typed.requests, &typed.cookies)?,
        cookies: cookie_options(typed.cookies, typed.jar)?,
        timeouts: Timeouts { grace: typed.stop.grace, ..timeouts(&typed.timeouts) },
        retry: retry(&typed.retries),
        report: output_options(&typed.output),
        documents: documents("--report", typed.output.reports, Some(ReportSubject::Run))?,
        host_limits: host_limit_options(&typed.host_limits),
        failure_limits: failure_limits(&typed.failures.enough),
        failed_exit: if typed.failures.exit_zero { FailedExit::Zero } else { FailedExit::One },
        bodies: body_options(typed.bodies, &typed.saving, targets)?,
        output: single_output(&typed.saving, targets)?,
        archive: archive_options(&typed.saving, typed.host_limits.host_patience),
        keep: save_options(typed.saving, typed.host_limits.host_patience)?,
        failed: failed_list(typed.failures, is_archived)?,
        config: None,
        credential_files: Vec::new(),
        options: Vec::new(),
        // Last: if an option lacks its value and took the SOURCE, the error about that option comes first.
        sources: sources(&typed.sources, remote, stdin_is_terminal)?,
    };
    ensure_no_list_is_overwritten(&plan)?;
    ensure_no_report_overwrites_the_failures(&plan)?;
    Ok(plan)
}

/// Ensures that the value of `-d` is not the data that curl would send.
fn ensure_the_dir_is_no_data(typed: &SaveArgs) -> Result<(), String> {
    let Some(dir) = typed.dir.as_deref().and_then(Path::to_str) else { return Ok(()) };
    // Data as curl takes it: a file (`@FILE`), JSON or XML, fields of a form.
    let is_data =
        dir.starts_with(['@', '{', '[', '<']) || dir.contains(['=', '&']) && !dir.contains('/');
    if !is_data || Path::new(dir).exists() {
        return Ok(());
    }
    // The data may be secret.
    Err("-d is --dir DIR here: fetch sends only GET requests, without data; for a directory of this name put ./ \
         before it"
        .to_owned())
}

/// Converts the arguments of `fetch report`.
pub(super) fn report_command(typed: args::ReportArgs) -> Result<ReportCommand, String> {
    let source = file_or_stdin(typed.run);
    let documents = documents("--to", typed.to, None)?;
    for document in &documents {
        ensure_it_is_not_a_list("--to", &document.path, std::slice::from_ref(&source))?;
    }
    Ok(ReportCommand { source, documents, secrets: secrets(typed.redaction) })
}

/// Converts the arguments of `fetch split`.
pub(super) fn split_command(typed: args::SplitArgs) -> Result<SplitCommand, String> {
    Ok(SplitCommand {
        source: file_or_stdin(typed.list),
        lists: list_options(typed.lists, None)?,
        shards: typed.shards,
        by: typed.shard_by.unwrap_or_default(),
        dir: typed.dir,
        foreign: foreign_policy(typed.overwrite),
    })
}

/// Converts the arguments of `fetch merge`.
pub(super) fn merge_command(typed: args::MergeArgs) -> Result<MergeCommand, String> {
    let sources: Vec<_> = typed.files.into_iter().map(file_or_stdin).collect();
    let documents = documents("--to", typed.to, Some(ReportSubject::Run))?;
    for document in &documents {
        ensure_it_is_not_a_list("--to", &document.path, &sources)?;
    }
    Ok(MergeCommand { sources, documents, secrets: secrets(typed.redaction) })
}

fn file_or_stdin(path: PathBuf) -> Source {
    if path == Path::new("-") { Source::Stdin } else { Source::File(path) }
}

fn foreign_policy(overwrite: bool) -> ForeignFilePolicy {
    if overwrite { ForeignFilePolicy::Replaced } else { ForeignFilePolicy::Stays }
}

/// Ensures that the format suits a dry run: the columns of CSV are those of a run's records.
pub(super) fn ensure_format_of_dry_run(plan: &Plan) -> Result<(), String> {
    match plan.report.format {
        OutputFormat::Csv => Err("--dry-run supports only text and jsonl output".to_owned()),
        OutputFormat::Text | OutputFormat::Jsonl => Ok(()),
    }
}

/// Converts the arguments of `fetch serve`.
pub(super) fn serve_options(typed: ServeArgs) -> serve::Options {
    serve::Options {
        port: typed.port,
        bind: typed.bind,
        latency: typed.latency,
        jitter: typed.jitter,
        limit_rate: typed.limit_rate,
        error_rate: typed.error_rate,
        rate: typed.rate,
        max_connections: typed.max_connections,
        seed: typed.seed,
        until: if typed.until_eof { serve::Until::EndOfInput } else { serve::Until::Forever },
    }
}

/// Converts the arguments of `fetch compare`. `words` are the options of its runs but for the secret ones, `shown` all of
/// them with secrets masked, `plan` is the plan of a run.
pub(super) fn comparison(
    typed: CompareArgs,
    words: Vec<OsString>,
    mut shown: Vec<String>,
    plan: Box<Plan>,
) -> Result<compare::Options, String> {
    let contest = typed.contest;
    let documents = documents("--report", contest.reports, Some(ReportSubject::Comparison))?;
    let modes = match &contest.modes[..] {
        [] => &Mode::ALL[..],
        modes => modes,
    };
    shown.extend(contest.loops.map(|loops| format!("--loops={loops}")));
    shown.extend(contest.dir.as_ref().map(|dir| format!("--dir={}", dir.display())));
    let options = compare::Options {
        modes: modes.to_vec(),
        jobs: contest.jobs,
        runs: contest.runs,
        warmup: contest.warmup,
        seed: contest.seed,
        servers: if contest.i_run_this_server { ServerOwner::Own } else { ServerOwner::OfOthers },
        subject: if typed.sources.is_empty() {
            compare::WorkloadKind::BuiltIn(plan)
        } else {
            compare::WorkloadKind::Listed(plan)
        },
        shown,
        words,
        secret_words: Vec::new(),
        loops: contest.loops,
        dir: contest.dir,
        format: if contest.json { plan::OutputFormat::Jsonl } else { plan::OutputFormat::Text },
        documents,
        commands: contest.commands,
        prepare: contest.prepare,
        against: contest.against,
    };
    for document in &options.documents {
        ensure_it_is_not_a_list("--report", &document.path, options.sources())?;
    }
    Ok(options)
}

/// Converts the arguments of `fetch verify`.
pub(super) fn verify_options(typed: VerifyArgs) -> plan::VerifyOptions {
    plan::VerifyOptions {
        dir: typed.dir,
        jobs: typed.jobs,
        form: if typed.json { OutputFormat::Jsonl } else { typed.format },
        verbosity: verbosity(typed.quiet.into(), typed.verbose.into()),
        marking: if typed.no_mark { plan::MarkMode::Off } else { plan::MarkMode::On },
    }
}

/// Decides how lists are read. `text_column` is the column whose text is saved beside each body.
fn list_options(mut typed: ListArgs, text_column: Option<&str>) -> Result<ListOptions, String> {
    let mut seen = HashSet::new();
    typed.carry.retain(|name| seen.insert(name.clone()));
    let is_all = typed.carry.iter().any(|name| name == "all");
    if is_all && typed.carry.len() > 1 {
        return Err("--carry takes either names of columns or 'all'".to_owned());
    }
    let options = ListOptions {
        format: typed.input_format,
        delimiter: typed.delimiter,
        url_column: typed.url_column,
        id_column: typed.id_column,
        out_column: typed.out_column,
        checksum_column: typed.checksum_column,
        carry: match typed.carry {
            _ if is_all => CarryChoice::All,
            names if names.is_empty() => CarryChoice::Nothing,
            names => CarryChoice::Columns(names),
        },
        text_column: text_column.map(str::to_owned),
    };
    let has_delimiter = matches!(options.format, ListFormat::Auto | ListFormat::Csv);
    if options.delimiter.is_some() && !has_delimiter {
        return Err("--delimiter requires --input-format csv".to_owned());
    }
    if options.format == ListFormat::Text && options.are_about_tables() {
        return Err("a text list has no columns; use --input-format csv, or auto".to_owned());
    }
    Ok(options)
}

/// Separates the values of `--input` into lists at URLs and local ones.
fn remote_lists(typed: Vec<OsString>) -> Result<(Vec<Source>, Vec<OsString>), String> {
    let is_remote = |value: &OsString| value.to_str().is_some_and(list::begins_with_a_scheme);
    let (remote, local): (Vec<_>, Vec<_>) = typed.into_iter().partition(is_remote);
    let remote = remote.iter().map(|text| {
        let url = text.to_str().and_then(|text| text.parse().ok());
        let url = url.filter(|url: &Url| matches!(url.scheme(), "http" | "https"));
        let reason = "invalid value for --input: expected a file, or a URL with http or https";
        url.map(Source::RemoteList).ok_or_else(|| reason.to_owned())
    });
    Ok((remote.collect::<Result<_, _>>()?, local))
}

fn sources(
    typed: &[OsString],
    remote: Vec<Source>,
    stdin_is_terminal: bool,
) -> Result<Vec<Source>, String> {
    if typed.is_empty() && !remote.is_empty() {
        return Ok(remote);
    }
    if typed.is_empty() && stdin_is_terminal {
        return Err("no input; usage: fetch sites.txt (see fetch --help)".to_owned());
    }
    if typed.is_empty() {
        return Ok(vec![Source::Stdin]);
    }
    if typed.iter().any(|source| source.is_empty()) {
        return Err("empty SOURCE; expected a file, URL or -".to_owned());
    }
    if typed.iter().any(|source| is_json(source)) {
        return Err("JSON is no SOURCE: --json is for the output, and fetch sends only GET requests, without data"
            .to_owned());
    }
    if typed.iter().filter(|source| *source == "-").count() > 1 {
        return Err("stdin (-) can only be given once".to_owned());
    }
    Ok(typed.iter().map(source).chain(remote).collect())
}

/// Whether a SOURCE is the data that curl's `--json` takes.
fn is_json(typed: &OsStr) -> bool {
    let Some(text) = typed.to_str() else { return false };
    let is_json = text.starts_with('{') || text.starts_with('[') && text.contains('"');
    is_json && !Path::new(typed).exists()
}

fn source(typed: &OsString) -> Source {
    match typed.to_str() {
        Some("-") => Source::Stdin,
        // A URL with another scheme is no file either: its record says what is wrong with it.
        Some(text) if list::begins_with_a_scheme(text) => Source::Argument(text.to_owned()),
        _ => Source::File(typed.into()),
    }
}

fn strategy(typed: &args::StrategyArgs, saves: bool) -> Result<Strategy, String> {
    if typed.loops.is_some() && typed.mode != Mode::Async {
        return Err("--loops requires --mode async".to_owned());
    }
    let jobs = typed.jobs;
    Ok(match typed.mode {
        Mode::Sequential => Strategy::Sequential,
        Mode::Threads => Strategy::Threads(jobs),
        Mode::Processes => Strategy::Processes(jobs),
        Mode::Async => {
            let loops = typed
                .loops
                .unwrap_or_else(|| if saves { loops_for_saving() } else { NonZeroUsize::MIN });
            Strategy::Tasks { jobs, loops: loops.min(jobs) }
        }
    })
}

/// The number of event loops of a run that saves bodies: one for each core, up to four. A loop that writes a file does not
/// read from the network meanwhile.
fn loops_for_saving() -> NonZeroUsize {
    let max = NonZeroUsize::new(4).expect("four is not zero");
    thread::available_parallelism().map_or(NonZeroUsize::MIN, |cores| cores.min(max))
}

fn http(typed: HttpArgs, cookies: &CookieArgs) -> Result<HttpOptions, String> {
    if matches!(proxy(&typed)?, Some(Some(_))) && !typed.connect_to.is_empty() {
        return Err("--connect-to cannot be combined with --proxy".to_owned());
    }
    let family = match (typed.ipv4, typed.ipv6) {
        (true, _) => AddressFamily::V4,
        (_, true) => AddressFamily::V6,
        _ => AddressFamily::Any,
    };
    ensure_family_fits(family, typed.identity.interface.as_ref())?;
    let mut headers = headers(&typed.headers)?;
    headers.extend(cookie_headers(cookies)?);
    if let Some(user) = &typed.credentials.user {
        let value = credentials::authorization_of(user)?;
        // As in curl, the header takes precedence.
        if !headers.iter().any(|(name, _)| *name == AUTHORIZATION) {
            headers.push((AUTHORIZATION, value));
        }
    }
    add_referer(typed.identity.referer, &mut headers)?;
    let key = typed.identity.key;
    Ok(HttpOptions {
        user_agent: user_agent(typed.user_agent.as_deref(), &mut headers)?,
        headers,
        // Filled in where the level of each option is known.
        credentials: Credentials::default(),
        cacert: typed.cacert,
        verification: if typed.insecure { CertVerification::Off } else { CertVerification::Full },
        versions: if typed.http1 { HttpVersions::Http1 } else { HttpVersions::Negotiated },
        // The environment is not read here.
        proxy: Proxy::Direct,
        pins: [typed.connect_to, typed.resolve].concat(),
        family,
        max_redirects: typed.max_redirs,
        client_certificate: typed.identity.cert.map(|cert| ClientCertificate { cert, key }),
        min_cert_days: typed.check.min_cert_days,
        interface: typed.identity.interface,
        method: if typed.check.head { RequestMethod::Head } else { RequestMethod::Get },
        accept: typed.check.accept,
        targets: target_rules(typed.targets),
    })
}

/// Which targets may be reached.
fn target_rules(typed: TargetArgs) -> TargetRules {
    TargetRules {
        addresses: if typed.public_only { AddressScope::Public } else { AddressScope::Any },
        schemes: if typed.https_only { UrlSchemes::HttpsOnly } else { UrlSchemes::HttpAndHttps },
        allowed: typed.allowed,
        denied: typed.denied,
    }
}

/// Ensures that rules about addresses are not left to a proxy, which connects by itself.
pub(super) fn ensure_no_proxy_decides(http: &HttpOptions) -> Result<(), String> {
    let option = match http.targets.addresses {
        _ if http.proxy == Proxy::Direct || !http.targets.judge_addresses() => return Ok(()),
        AddressScope::Public => "--public-only",
        AddressScope::Any => "--deny-host with an address",
    };
    Err(format!(
        "{option} has no effect behind a proxy, which looks names up and connects by itself; --proxy '' uses none (also \
         of the environment), --proxy-decides leaves it to the proxy"
    ))
}

/// Cookies that were typed as text, as values of the Cookie header.
fn cookie_headers(typed: &CookieArgs) -> Result<HeaderArguments, String> {
    let texts = typed.cookie.iter().filter(|value| is_cookie_text(value));
    texts
        .map(|text| {
            let text = text.as_encoded_bytes().trim_ascii();
            let names_field = |name: &str| {
                let start = text.get(..name.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
            };
            if names_field("cookie:") || names_field("set-cookie:") {
                let complaint = "invalid value for --cookie: expected NAME=VALUE without the name of the header";
                return Err(complaint.to_owned());
            }
            let value = HeaderValue::from_bytes(text);
            let mut value = value.map_err(|_| {
                "invalid value for --cookie: a cookie has no control characters".to_owned()
            })?;
            value.set_sensitive(true);
            Ok((COOKIE, value))
        })
        .collect()
}

/// Whether a value of `--cookie` is a text of cookies rather than the name of a file; the rule is curl's.
fn is_cookie_text(value: &OsStr) -> bool {
    value.as_encoded_bytes().contains(&b'=')
}

/// The files that cookies are read from and saved in. An empty name is no file: in curl it turns on the cookies that redirects
/// set, which are always on here.
fn cookie_options(typed: CookieArgs, jar: CookieJarArgs) -> Result<CookieOptions, String> {
    let is_file = |value: &OsString| !value.is_empty() && !is_cookie_text(value);
    let files = typed.cookie.into_iter().filter(is_file).map(PathBuf::from).collect();
    let jar = jar.cookie_jar;
    if jar.as_ref().is_some_and(|jar| jar.as_os_str().is_empty() || jar == Path::new("-")) {
        return Err("--cookie-jar cannot write to stdout".to_owned());
    }
    Ok(CookieOptions { files, jar })
}

/// Ensures that there is no key without a certificate in all layers together; each may set one of them.
pub(super) fn ensure_key_has_a_certificate(typed: &HttpArgs) -> Result<(), String> {
    match (&typed.identity.key, &typed.identity.cert) {
        (Some(_), None) => Err("--key requires --cert".to_owned()),
        _ => Ok(()),
    }
}

/// Ensures that exceptions to `--public-only` are not given without it in all layers together.
pub(super) fn ensure_exceptions_have_a_rule(typed: &TargetArgs) -> Result<(), String> {
    match typed.public_only || typed.allowed.is_empty() {
        true => Ok(()),
        false => {
            Err("--allow-host requires --public-only, to which it makes exceptions".to_owned())
        }
    }
}

/// Ensures that the address of `--interface`, if it is one, has the chosen family: it reaches no address of the other.
fn ensure_family_fits(
    family: AddressFamily,
    interface: Option<&NetworkInterface>,
) -> Result<(), String> {
    let Some(NetworkInterface::Address(own)) = interface else { return Ok(()) };
    match (family, own.is_ipv4()) {
        (AddressFamily::V4, false) | (AddressFamily::V6, true) => {
            let option = if own.is_ipv4() { "--ipv6" } else { "--ipv4" };
            Err(format!("{option} cannot be combined with --interface {own}"))
        }
        _ => Ok(()),
    }
}

fn add_referer(typed: Option<HeaderValue>, headers: &mut HeaderArguments) -> Result<(), String> {
    let Some(referer) = typed else { return Ok(()) };
    if headers.iter().any(|(name, _)| *name == REFERER) {
        return Err("Referer set by both --referer and --header".to_owned());
    }
    headers.push((REFERER, referer));
    Ok(())
}

/// The proxy that was typed: `None` if there was none, `Some(None)` if it was empty.
pub(super) fn proxy(typed: &HttpArgs) -> Result<Option<Option<Url>>, String> {
    let url = typed.proxy.as_deref().map(proxy::proxy).transpose();
    url.map_err(|complaint| format!("invalid value for --proxy: {complaint}"))
}

type HeaderArguments = Vec<(http::HeaderName, HeaderValue)>;

fn headers(typed: &[String]) -> Result<HeaderArguments, String> {
    let most = list::MAX_FIELDS;
    if typed.len() > most {
        return Err(format!("--header given {} times; at most {most} are possible", typed.len()));
    }
    typed
        .iter()
        .map(|text| list::field(text))
        .collect::<Result<_, _>>()
        .map_err(|complaint| format!("invalid value for --header: {complaint}"))
}

/// The User-Agent, from its own option or from `--header`; removed from the headers, so that it is not sent twice.
fn user_agent(typed: Option<&str>, headers: &mut HeaderArguments) -> Result<HeaderValue, String> {
    let in_headers = headers.extract_if(.., |(name, _)| *name == USER_AGENT).last();
    match (typed, in_headers) {
        (Some(_), Some(_)) => Err("User-Agent set by both --user-agent and --header".to_owned()),
        (Some(name), None) => HeaderValue::from_bytes(name.trim().as_bytes())
            .ok()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                "invalid value for --user-agent: user agent must be non-empty and printable"
                    .to_owned()
            }),
        (None, Some((_, name))) => Ok(name),
        (None, None) => Ok(HeaderValue::from_static(HttpOptions::USER_AGENT)),
    }
}

fn timeouts(typed: &args::TimeoutArgs) -> Timeouts {
    Timeouts {
        connect: typed.connect_timeout,
        stall: typed.stall_timeout,
        attempt: typed.max_time,
        deadline: typed.deadline,
        min_speed: typed.min_speed.map(|rate| MinSpeed { rate, over: typed.min_speed_time }),
        ..Timeouts::default()
    }
}

fn retry(typed: &RetryArgs) -> RetryOptions {
    RetryOptions {
        times: typed.tries.unwrap_or(typed.retry),
        base: typed.retry_delay,
        max_retry_after: typed.max_retry_after,
    }
}

fn host_limit_options(typed: &args::HostLimitArgs) -> HostLimitOptions {
    HostLimitOptions {
        per_host: typed.per_host.unwrap_or(MaxPerHost::Default),
        host_delay: typed.host_delay,
        host_rate: typed.host_rate,
        rate: typed.rate,
        limit_rate: typed.limit_rate,
        host_failures: typed.host_failures,
        host_patience: typed.host_patience,
        robots: if typed.robots { RobotsPolicy::Obeyed } else { RobotsPolicy::Ignored },
        hosts: BTreeMap::new(),
    }
}

/// Whether the bodies of a list are saved, in a directory or in archives.
fn saves(typed: &SaveArgs) -> bool {
    typed.dir.is_some() || typed.warc.is_some() || typed.tar.is_some()
}

fn archive_options(typed: &SaveArgs, patience: Duration) -> Option<ArchiveOptions> {
    let (format, prefix) = match (&typed.warc, &typed.tar) {
        (Some(prefix), _) => (ArchiveFormat::Warc, prefix),
        (None, Some(prefix)) => (ArchiveFormat::Tar, prefix),
        (None, None) => return None,
    };
    Some(ArchiveOptions {
        prefix: prefix.clone(),
        format,
        max_bytes: typed.archive_size,
        max_bodies: typed.archive_count,
        text_column: typed.text_column.clone(),
        again: existing_policy(typed),
        durability: durability(typed),
        min_free: typed.min_free,
        patience,
    })
}

fn existing_policy(typed: &SaveArgs) -> ExistingPolicy {
    match (typed.refresh, typed.force) {
        (true, _) => ExistingPolicy::Refresh,
        (_, true) => ExistingPolicy::Force,
        _ => ExistingPolicy::Skip,
    }
}

fn save_options(typed: SaveArgs, patience: Duration) -> Result<Option<SaveOptions>, String> {
    let (durability, again) = (durability(&typed), existing_policy(&typed));
    let Some(dir) = typed.dir else { return Ok(None) };
    if ObjectUrl::of(&dir).is_some() && typed.split > NonZeroUsize::MIN {
        return Err("--split requires a local --dir: an object is put as a whole".to_owned());
    }
    Ok(Some(SaveOptions {
        dir,
        names: typed.names,
        named_by: if typed.remote_header_name { NameSource::Server } else { NameSource::List },
        again,
        foreign: foreign_policy(typed.overwrite),
        durability,
        min_free: typed.min_free,
        patience,
    }))
}

/// Where the body of the only URL goes.
fn single_output(typed: &SaveArgs, sources: &[OsString]) -> Result<Option<SingleOutput>, String> {
    let Some(path) = &typed.output else { return Ok(None) };
    if !is_single_url(sources) {
        return Err("--output saves a single URL; for several use --dir DIR".to_owned());
    }
    let path = Some(path.clone()).filter(|path| path != Path::new("-"));
    let durability = durability(typed);
    Ok(Some(SingleOutput { path, durability, min_free: typed.min_free }))
}

fn is_single_url(sources: &[OsString]) -> bool {
    let is_url = |source: &OsString| source.to_str().is_some_and(list::begins_with_a_scheme);
    matches!(sources, [source] if is_url(source))
}

fn durability(typed: &SaveArgs) -> Durability {
    if typed.fsync { Durability::Power } else { Durability::Process }
}

fn body_options(
    typed: args::BodyArgs,
    saving: &SaveArgs,
    sources: &[OsString],
) -> Result<BodyOptions, String> {
    if typed.checksum.is_some() && !is_single_url(sources) {
        return Err(
            "--checksum works with a single URL; for lists use checksum= lines or --sha256sums"
                .to_owned(),
        );
    }
    if typed.sha256sums.is_some() && saving.remote_header_name {
        return Err("--sha256sums cannot be combined with --remote-header-name".to_owned());
    }
    Ok(BodyOptions {
        checksum: typed.checksum,
        sums: typed.sha256sums,
        digests: typed.digest,
        max_filesize: limit(typed.max_filesize),
        quota: limit(typed.quota),
        coding: if typed.compressed { Compression::Decode } else { Compression::Identity },
        split: SegmentOptions { most: saving.split, least: saving.min_split_size },
    })
}

/// Zero is no limit, as with curl and wget.
fn limit(typed: Option<u64>) -> Option<u64> {
    typed.filter(|limit| *limit > 0)
}

fn failure_limits(typed: &FailureLimitArgs) -> FailureLimits {
    let fail_fast = typed.fail_fast.then_some(MaxFailures::Number(0));
    FailureLimits { most: fail_fast.or(typed.max_failures) }
}

fn failed_list(typed: FailedListArgs, is_archived: bool) -> Result<Option<FailedList>, String> {
    let Some(path) = typed.failed else { return Ok(None) };
    if path.as_os_str().is_empty() || path == Path::new("-") {
        return Err("--failed cannot write to stdout".to_owned());
    }
    Ok(Some(FailedList { path, classes: typed.failed_class, keeps_names: !is_archived }))
}

fn ensure_no_list_is_overwritten(plan: &Plan) -> Result<(), String> {
    if let Some(jar) = &plan.cookies.jar {
        ensure_it_is_not_a_list("--cookie-jar", jar, &plan.sources)?;
    }
    if let Some(failed) = &plan.failed {
        ensure_it_is_not_a_list("--failed", &failed.path, &plan.sources)?;
    }
    let mut documents = plan.documents.iter();
    documents
        .try_for_each(|document| ensure_it_is_not_a_list("--report", &document.path, &plan.sources))
}

/// Ensures that an output file is not an input list, by their names. Different names of one file are detected when the files
/// are opened.
fn ensure_it_is_not_a_list(option: &str, path: &Path, sources: &[Source]) -> Result<(), String> {
    let is_same =
        |source: &&Source| matches!(source, Source::File(list) if is_same_path(list, path));
    match sources.iter().find(is_same) {
        Some(Source::File(list)) => {
            Err(format!("{option} would overwrite the input list '{}'", list.display()))
        }
        _ => Ok(()),
    }
}

fn ensure_no_report_overwrites_the_failures(plan: &Plan) -> Result<(), String> {
    let Some(failed) = &plan.failed else { return Ok(()) };
    match plan.documents.iter().find(|document| is_same_path(&document.path, &failed.path)) {
        Some(document) => {
            Err(format!("--report and --failed would both write '{}'", document.path.display()))
        }
        None => Ok(()),
    }
}

fn output_options(typed: &OutputArgs) -> OutputOptions {
    OutputOptions {
        format: if typed.json { OutputFormat::Jsonl } else { typed.format },
        order: if typed.ordered { ReportOrder::List } else { ReportOrder::Completion },
        verbosity: verbosity(typed.quiet, typed.verbose),
        progress: if typed.no_progress {
            ProgressChoice::Never
        } else {
            ProgressChoice::OnTerminal
        },
        color: typed.color,
        secrets: secrets(typed.redaction),
        heartbeat: typed.heartbeat,
    }
}

fn secrets(typed: RedactionArgs) -> SecretDisplay {
    if typed.no_redact { SecretDisplay::Shown } else { SecretDisplay::Masked }
}

/// The verbosity for this number of `--quiet` and `--verbose`.
fn verbosity(quiet: u8, verbose: u8) -> Verbosity {
    match (quiet, verbose) {
        (2.., _) => Verbosity::Silent,
        (1, _) => Verbosity::Quiet,
        (_, 2..) => Verbosity::Trace,
        (_, 1) => Verbosity::Verbose,
        (0, 0) => Verbosity::Normal,
    }
}
