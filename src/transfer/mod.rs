//! Makes one attempt at one URL: sends the request and receives the body chunk by chunk. The HTTP library is used only here;
//! what follows an attempt is decided elsewhere.

mod attempt;
mod body;
mod body_plan;
mod captured_heads;
mod certificate;
mod checksum;
mod classify;
mod client;
mod client_certificate;
mod connect_gate;
mod context;
mod decode;
mod fair_turns;
mod happy_eyeballs;
mod heads;
mod outgoing;
mod proxy_status;
mod rate_limit;
mod reply;
mod request;
mod request_state;
mod resolver;
mod run_services;
mod tls;
mod trust;
mod unauthorized;

pub(crate) use body_plan::name_of;
pub(crate) use client::Client;
pub(crate) use context::{ClientConfig, ContextError, TransferContext, TransferCounts};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use decode::fuzzing;
pub(crate) use request::is_sent_to;
pub(crate) use resolver::Resolver;
pub(crate) use run_services::{DecoderNeed, MemoryPermit, RunServices};

/// The protocols and content codings that this build supports, by heading, for `--version`.
pub(crate) fn build_facts() -> [(&'static str, String); 3] {
    let name = |version| format!("{version:?}").replace("TLSv1_", "TLS 1.");
    let versions = rustls::DEFAULT_VERSIONS.iter().rev();
    let versions: Vec<_> = versions.map(|supported| name(supported.version)).collect();
    [
        ("HTTP", "HTTP/1.1, HTTP/2 (reqwest)".to_owned()),
        ("TLS", format!("{} (rustls, ring)", versions.join(", "))),
        ("Codings", decode::ContentCoding::ALL.map(|coding| coding.to_string()).join(", ")),
    ]
}
