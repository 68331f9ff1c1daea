//! Child processes as seats: each carries out one job at a time for a worker of its parent, with a client and
//! connections of its own. They speak in lines over the pipes of the child's standard streams. The parent keeps all
//! that belongs to the run: the queue, manners, names, the quota and the byte rate, the manifest and the renames.

mod child_main;
mod executor;
mod pool;
mod protocol;

pub use child_main::run_child;
pub use executor::{ChildExecutor, open_all};
pub use pool::ChildPool;
