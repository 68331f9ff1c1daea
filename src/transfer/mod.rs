//! One attempt at one URL: a client, a request, and the body chunk by chunk. Everything that knows HTTP from the
//! inside is here; nothing here decides what follows an attempt.

mod attempt;
mod body;
mod call;
mod classify;
mod client;
mod coding;
mod doors;
mod parent;
mod proof;
mod quota;
mod reading;
mod request;
mod resolver;
mod route;
mod throttle;
mod trust;

pub use client::{Client, Kit, KitError, Tally};
pub use parent::{Outfit, Parent};
pub use reading::name_of;
pub use resolver::Resolver;
