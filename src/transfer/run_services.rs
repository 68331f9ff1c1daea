//! What belongs to the whole run where a transfer is made in a child process: asked of the process that carries the run.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::model::serde_helpers;
use crate::plan::{BodyOptions, HostOverrides, HttpOptions, Timeouts};

/// What a child asks of its parent.
pub trait RunServices: Debug + Send + Sync {
    /// Waits until it is this reader's turn to read from the network; `left` is how much it may still get, where that
    /// is known. Tells how much was booked for it.
    fn wait_for_rate(&self, left: Option<u64>) -> Pin<Box<dyn Future<Output = u64> + Send + '_>>;

    /// So many bytes were read, for which so many were booked.
    fn report_read(&self, bytes: u64, booked: u64);

    /// So many more body bytes were read; tells whether the run may have them.
    fn reserve(&self, bytes: u64) -> bool;
}

/// All that the client of a child process is made from.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClientConfig {
    pub(super) http: HttpOptions,
    pub(super) timeouts: Timeouts,
    pub(super) bodies: BodyOptions,
    pub(super) hosts: BTreeMap<String, HostHeaders>,
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) idle: usize,
    pub(super) is_throttled: bool,
}

/// The header fields of one host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HostHeaders(
    #[serde(with = "serde_helpers::fields")] Vec<(http::HeaderName, http::HeaderValue)>,
);

impl HostHeaders {
    /// Those of hosts that have any. Manners stay with the parent.
    pub(super) fn from_overrides(
        hosts: &BTreeMap<String, HostOverrides>,
    ) -> BTreeMap<String, Self> {
        let fields = |host_limits: &HostOverrides| Self(host_limits.headers.clone());
        hosts.iter().map(|(name, host_limits)| (name.clone(), fields(host_limits))).collect()
    }

    /// The same as manners that say nothing else.
    pub(super) fn into_overrides(hosts: BTreeMap<String, Self>) -> BTreeMap<String, HostOverrides> {
        let overrides = |Self(headers)| HostOverrides { headers, ..HostOverrides::default() };
        hosts.into_iter().map(|(name, fields)| (name, overrides(fields))).collect()
    }
}
