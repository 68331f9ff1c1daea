//! A plan, option by option, in the words that it could have been typed with. Pure. What may be a secret is not shown.

use std::time::Duration;

use serde_json::{Value, json};

use crate::plan::{
    Again, Coding, Durability, Family, Foreign, Keep, MostFailures, NamedBy, Names, Order, PerHost,
    Pin, PinTo, Plan, Proxy, Robots, Strategy, Verification, Versions,
};
use crate::record::redacted;

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
        http.pins.iter().partition(|pin| matches!(pin.to, PinTo::Endpoint { .. }));
    vec![
        ("user-agent", json!(String::from_utf8_lossy(http.user_agent.as_bytes()))),
        ("header", list(headers)),
        ("proxy", proxy(&http.proxy)),
        ("cacert", list(http.cacert.iter().map(|path| path.display().to_string()))),
        ("insecure", on(http.verification == Verification::Off)),
        ("http1", on(http.versions == Versions::Http1)),
        ("max-redirs", json!(http.max_redirects)),
        ("ipv4", on(http.family == Family::V4)),
        ("ipv6", on(http.family == Family::V6)),
        ("resolve", list(to_addresses.into_iter().map(pin))),
        ("connect-to", list(to_endpoints.into_iter().map(pin))),
    ]
}

fn waits(plan: &Plan) -> Settings {
    let (clocks, retry) = (&plan.clocks, &plan.retry);
    vec![
        ("connect-timeout", time(clocks.connect)),
        ("stall-timeout", time(clocks.stall)),
        ("max-time", json!(clocks.attempt.map(time))),
        ("deadline", json!(clocks.deadline.map(time))),
        ("retry", json!(retry.times)),
        ("retry-delay", time(retry.base)),
        ("max-retry-after", time(retry.max_retry_after)),
    ]
}

fn manners(plan: &Plan) -> Settings {
    let manners = &plan.manners;
    let per_host = match manners.per_host {
        PerHost::Default => Value::Null,
        PerHost::Most(most) => json!(most),
        PerHost::NoLimit => json!(0),
    };
    vec![
        ("per-host", per_host),
        ("host-delay", time(manners.host_delay)),
        ("host-rate", json!(manners.host_rate.map(|rate| rate.to_string()))),
        ("rate", json!(manners.rate.map(|rate| rate.to_string()))),
        ("limit-rate", json!(manners.limit_rate)),
        ("host-failures", json!(manners.host_failures)),
        ("host-patience", time(manners.host_patience)),
        ("robots", on(manners.robots == Robots::Obeyed)),
    ]
}

fn saving(plan: &Plan) -> Settings {
    let keep = plan.keep.as_ref();
    let is = |given: fn(&Keep) -> bool| on(keep.is_some_and(given));
    let names = keep.map(|keep| match keep.names {
        Names::Flat => "flat",
        Names::Tree => "tree",
        Names::Hash => "hash",
        Names::Index => "index",
    });
    vec![
        ("dir", json!(keep.map(|keep| keep.dir.display().to_string()))),
        ("names", json!(names)),
        ("remote-header-name", is(|keep| keep.named_by == NamedBy::Server)),
        ("refresh", is(|keep| keep.again == Again::Refresh)),
        ("force", is(|keep| keep.again == Again::Force)),
        ("overwrite", is(|keep| keep.foreign == Foreign::Replaced)),
        ("split", json!(keep.map(|_| plan.bodies.split.most))),
        ("min-split-size", json!(keep.map(|_| plan.bodies.split.least))),
        ("fsync", is(|keep| keep.durability == Durability::Power)),
        ("min-free", json!(keep.and_then(|keep| keep.min_free))),
    ]
}

fn bodies(plan: &Plan) -> Settings {
    let bodies = &plan.bodies;
    vec![
        ("compressed", on(bodies.coding == Coding::Undone)),
        ("checksum", json!(bodies.checksum.as_ref().map(ToString::to_string))),
        ("sha256sums", json!(bodies.sums.as_ref().map(|path| path.display().to_string()))),
        ("digest", list(bodies.digests.iter().map(|algorithm| algorithm.name().to_owned()))),
        ("max-filesize", json!(bodies.max_filesize)),
        ("quota", json!(bodies.quota)),
    ]
}

fn failures(plan: &Plan) -> Settings {
    let most = plan.damage.most.map(|most| match most {
        MostFailures::Number(number) => json!(number),
        MostFailures::Share(share) => json!(format!("{}%", rounded(share.as_f64() * 100.0))),
    });
    let failed = plan.failed.as_ref();
    let classes = failed.into_iter().flat_map(|failed| &failed.classes);
    vec![
        ("max-failures", json!(most)),
        ("failed", json!(failed.map(|failed| failed.path.display().to_string()))),
        ("failed-class", list(classes.map(|class| class.name().to_owned()))),
        ("ordered", on(plan.report.order == Order::List)),
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

fn pin(pin: &Pin) -> String {
    let port = |port: Option<u16>| port.map_or(String::new(), |port| port.to_string());
    let from = port(pin.port);
    match &pin.to {
        PinTo::Addresses(addresses) => {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            format!("{}:{from}:{}", pin.host.as_deref().unwrap_or("*"), addresses.join(","))
        }
        PinTo::Endpoint { host, port: to } => {
            let name = |host: &Option<String>| host.clone().unwrap_or_default();
            format!("{}:{from}:{}:{}", name(&pin.host), name(host), port(*to))
        }
    }
}

/// Without the noise that counting in halves leaves behind.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
