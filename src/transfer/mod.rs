//! One attempt at one URL: client, request, and the body chunk by chunk. All knowledge of the HTTP library is here; nothing
//! here decides what follows an attempt.

mod attempt;
mod body;
mod body_plan;
mod certificate;
mod checksum;
mod classify;
mod client;
mod connect_gate;
mod context;
mod decode;
mod happy_eyeballs;
mod proxy_status;
mod rate_limit;
mod reply;
mod request;
mod request_state;
mod resolver;
mod run_services;
mod tls;
mod trust;

pub(crate) use body_plan::name_of;
pub(crate) use client::Client;
pub(crate) use context::{ClientConfig, ContextError, TransferContext, TransferCounts};
pub(crate) use resolver::Resolver;
pub(crate) use run_services::RunServices;
