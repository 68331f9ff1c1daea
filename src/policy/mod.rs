//! Decisions, pure: replies, time and chance are arguments; nothing here waits, reads a clock or touches a file.

mod lane;
mod redirect;
mod retry;
pub mod robots;
mod schedule;
mod verdict;

pub use lane::{Limits, Lookup, Signal};
pub use redirect::{carries_secrets, hop};
pub use retry::{asked_wait, backoff, is_transient};
pub use schedule::{Hosts, LastHost, Next, Room, Schedule, Turns};
pub use verdict::{Rules, Verdict, verdict};
