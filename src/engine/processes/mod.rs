//! Child processes, the executors of mode `processes`. Each carries out one job at a time for a worker of its parent, with a
//! client and connections of its own; the messages go over the child's standard streams. Whatever exists once per run stays
//! in the parent: the queue, host limits, name lookups, quota and byte rate, the manifest and the final renames.

mod child_main;
mod executor;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod parent_client;
mod pool;
mod protocol;

pub(crate) use child_main::run_child;
pub(super) use executor::{ChildExecutor, open_all};
pub(super) use pool::ChildPool;
