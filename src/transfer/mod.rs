//! One attempt at one URL: a client, a request, and the body chunk by chunk. Everything that knows HTTP from the
//! inside is here; nothing here decides what follows an attempt.

mod attempt;
mod body;
mod request_state;
mod classify;
mod client;
mod decode;
mod connect_gate;
mod run_services;
mod checksum;
mod quota;
mod body_plan;
mod request;
mod resolver;
mod proxy_route;
mod rate_limit;
mod tls;

pub use client::{Client, TransferContext, ContextError, Counters};
pub use run_services::{ClientConfig, RunServices};
pub use body_plan::name_of;
pub use resolver::Resolver;
