//! The built-in local origin.

use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use crate::units::{Rate, Share};

/// How the origin behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Port to listen on; 0 picks a free one.
    pub port: u16,
    /// Address to listen on.
    pub bind: IpAddr,
    /// Wait before each reply.
    pub latency: Duration,
    /// Further wait before each reply, at most.
    pub jitter: Duration,
    /// Body bytes a second of each reply; `None`: as fast as it goes.
    pub limit_rate: Option<NonZeroU64>,
    /// Share of requests that are answered by an error.
    pub error_rate: Share,
    /// Requests served in a window, 429 beyond it; `None`: any number.
    pub rate: Option<Rate>,
    /// Connections served at a time; `None`: any number.
    pub max_connections: Option<NonZeroUsize>,
    /// Where the dice for jitter and errors start.
    pub seed: u64,
}
