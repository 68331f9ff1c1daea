//! A plan, option by option, in the words that it could have been typed with. Pure. What may be a secret is not shown.

use std::time::Duration;

use serde_json::{Value, json};

use crate::model::redacted;
use crate::plan::{
    AddressFamily, CertVerification, Compression, Durability, ExistingPolicy, ForeignFilePolicy,
    HttpVersions, MaxFailures, MaxPerHost, NameSource, NamingScheme, OverrideTarget, Plan, Proxy,
    ReportOrder, ResolveOverride, RobotsPolicy, SaveOptions, Strategy,
};

/// Every option by its long name; null where it is not set.
pub(super) fn settings(plan: &Plan) -> Vec<(&'static str, Value)> {
    let requests = [requests(plan), waits(plan), manners(plan)].concat();
    [strategy(plan), requests, saving(plan), bodies(plan), failures(plan)].concat()
}

type Settings = Vec<(&'static str, Value)>;

fn strategy(plan: &Plan) -> Settings {
    let loops = match plan.strategy {
        Strategy::Tasks { loops, .. } => Some(loops),
        Strategy::Sequential | Strategy::Threads(_) | Strategy::Processes(_) => None,
    };
    vec![
        ("mode", json!(plan.strategy.name())),
        ("jobs", json!(plan.strategy.jobs())),
        ("loops", json!(loops)),
    ]
}

fn requests(plan: &Plan) -> Settings {
    let http = &plan.http;
    let headers = http.headers.iter().map(|(name, _)| format!("{name}: ***"));
    let (to_endpoints, to_addresses): (Vec<_>, Vec<_>) =
        http.pins.iter().partition(|pin| matches!(pin.to, OverrideTarget::Endpoint { .. }));
    vec![
        ("user-agent", json!(String::from_utf8_lossy(http.user_agent.as_bytes()))),
        ("header", list(headers)),
        ("proxy", proxy(&http.proxy)),
        ("cacert", list(http.cacert.iter().map(|path| path.display().to_string()))),
        ("insecure", on(http.verification == CertVerification::Off)),
        ("http1", on(http.versions == HttpVersions::Http1)),
        ("max-redirs", json!(http.max_redirects)),
        ("ipv4", on(http.family == AddressFamily::V4)),
        ("ipv6", on(http.family == AddressFamily::V6)),
        ("resolve", list(to_addresses.into_iter().map(pin))),
        ("connect-to", list(to_endpoints.into_iter().map(pin))),
    ]
}

fn waits(plan: &Plan) -> Settings {
    let (timeouts, retry) = (&plan.timeouts, &plan.retry);
    vec![
        ("connect-timeout", time(timeouts.connect)),
        ("stall-timeout", time(timeouts.stall)),
        ("max-time", json!(timeouts.attempt.map(time))),
        ("deadline", json!(timeouts.deadline.map(time))),
        ("retry", json!(retry.times)),
        ("retry-delay", time(retry.base)),
        ("max-retry-after", time(retry.max_retry_after)),
    ]
}

fn manners(plan: &Plan) -> Settings {
    let host_limits = &plan.host_limits;
    let per_host = match host_limits.per_host {
        MaxPerHost::Default => Value::Null,
        MaxPerHost::Most(most) => json!(most),
        MaxPerHost::NoLimit => json!(0),
    };
    vec![
        ("per-host", per_host),
        ("host-delay", time(host_limits.host_delay)),
        ("host-rate", json!(host_limits.host_rate.map(|rate| rate.to_string()))),
        ("rate", json!(host_limits.rate.map(|rate| rate.to_string()))),
        ("limit-rate", json!(host_limits.limit_rate)),
        ("host-failures", json!(host_limits.host_failures)),
        ("host-patience", time(host_limits.host_patience)),
        ("robots", on(host_limits.robots == RobotsPolicy::Obeyed)),
    ]
}

fn saving(plan: &Plan) -> Settings {
    let keep = plan.keep.as_ref();
    let is = |given: fn(&SaveOptions) -> bool| on(keep.is_some_and(given));
    let names = keep.map(|keep| match keep.names {
        NamingScheme::Flat => "flat",
        NamingScheme::Tree => "tree",
        NamingScheme::Hash => "hash",
        NamingScheme::Index => "index",
    });
    vec![
        ("dir", json!(keep.map(|keep| keep.dir.display().to_string()))),
        ("names", json!(names)),
        ("remote-header-name", is(|keep| keep.named_by == NameSource::Server)),
        ("refresh", is(|keep| keep.again == ExistingPolicy::Refresh)),
        ("force", is(|keep| keep.again == ExistingPolicy::Force)),
        ("overwrite", is(|keep| keep.foreign == ForeignFilePolicy::Replaced)),
        ("split", json!(keep.map(|_| plan.bodies.split.most))),
        ("min-split-size", json!(keep.map(|_| plan.bodies.split.least))),
        ("fsync", is(|keep| keep.durability == Durability::Power)),
        ("min-free", json!(keep.and_then(|keep| keep.min_free))),
    ]
}

fn bodies(plan: &Plan) -> Settings {
    let bodies = &plan.bodies;
    vec![
        ("compressed", on(bodies.coding == Compression::Decode)),
        ("checksum", json!(bodies.checksum.as_ref().map(ToString::to_string))),
        ("sha256sums", json!(bodies.sums.as_ref().map(|path| path.display().to_string()))),
        ("digest", list(bodies.digests.iter().map(|algorithm| algorithm.name().to_owned()))),
        ("max-filesize", json!(bodies.max_filesize)),
        ("quota", json!(bodies.quota)),
    ]
}

fn failures(plan: &Plan) -> Settings {
    let most = plan.failure_limits.most.map(|most| match most {
        MaxFailures::Number(number) => json!(number),
        MaxFailures::Share(share) => json!(format!("{}%", rounded(share.as_f64() * 100.0))),
    });
    let failed = plan.failed.as_ref();
    let classes = failed.into_iter().flat_map(|failed| &failed.classes);
    vec![
        ("max-failures", json!(most)),
        ("failed", json!(failed.map(|failed| failed.path.display().to_string()))),
        ("failed-class", list(classes.map(|class| class.name().to_owned()))),
        ("ordered", on(plan.report.order == ReportOrder::List)),
        ("report", list(plan.documents.iter().map(|document| document.path.display().to_string()))),
    ]
}

/// A flag; it is not typed to say no.
fn on(given: bool) -> Value {
    if given { json!(true) } else { Value::Null }
}

fn time(duration: Duration) -> Value {
    json!(format!("{}s", duration.as_secs_f64()))
}

fn list(texts: impl Iterator<Item = String>) -> Value {
    let texts: Vec<_> = texts.collect();
    if texts.is_empty() { Value::Null } else { json!(texts) }
}

fn proxy(proxy: &Proxy) -> Value {
    match proxy {
        Proxy::Environment => Value::Null,
        Proxy::Direct => json!(""),
        Proxy::Use(url) => json!(redacted(url)),
    }
}

fn pin(pin: &ResolveOverride) -> String {
    let port = |port: Option<u16>| port.map_or(String::new(), |port| port.to_string());
    let from = port(pin.port);
    match &pin.to {
        OverrideTarget::Addresses(addresses) => {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            format!("{}:{from}:{}", pin.host.as_deref().unwrap_or("*"), addresses.join(","))
        }
        OverrideTarget::Endpoint { host, port: to } => {
            let name = |host: &Option<String>| host.clone().unwrap_or_default();
            format!("{}:{from}:{}:{}", name(&pin.host), name(host), port(*to))
        }
    }
}

/// Without the noise that counting in halves leaves behind.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
