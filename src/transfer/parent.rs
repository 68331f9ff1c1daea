//! What belongs to the whole run where a transfer is made in a child process: asked of the process that carries the run.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::plan::{Bodies, Clocks, HostManners, Http};
use crate::record::line;

/// What a child asks of its parent.
pub trait Parent: Debug + Send + Sync {
    /// Waits until it is this reader's turn to read from the network; `left` is how much it may still get, where that
    /// is known. Tells how much was booked for it.
    fn turn(&self, left: Option<u64>) -> Pin<Box<dyn Future<Output = u64> + Send + '_>>;

    /// So many bytes were read, for which so many were booked.
    fn settle(&self, bytes: u64, booked: u64);

    /// So many more body bytes were read; tells whether the run may have them.
    fn may_have(&self, bytes: u64) -> bool;
}

/// All that the client of a child process is made from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outfit {
    pub(super) http: Http,
    pub(super) clocks: Clocks,
    pub(super) bodies: Bodies,
    pub(super) hosts: BTreeMap<String, Fields>,
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) idle: usize,
    pub(super) is_throttled: bool,
}

/// The header fields of one host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Fields(
    #[serde(with = "line::fields")] Vec<(http::HeaderName, http::HeaderValue)>,
);

impl Fields {
    /// Those of hosts that have any. Manners stay with the parent.
    pub(super) fn of(hosts: &BTreeMap<String, HostManners>) -> BTreeMap<String, Self> {
        let fields = |manners: &HostManners| Self(manners.headers.clone());
        hosts.iter().map(|(name, manners)| (name.clone(), fields(manners))).collect()
    }

    /// The same as manners that say nothing else.
    pub(super) fn manners(hosts: BTreeMap<String, Self>) -> BTreeMap<String, HostManners> {
        let manners = |Self(headers)| HostManners { headers, ..HostManners::default() };
        hosts.into_iter().map(|(name, fields)| (name, manners(fields))).collect()
    }
}
