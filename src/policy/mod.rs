//! Decisions, pure: replies, time and chance are arguments; nothing here waits, reads a clock or touches a file.

mod health;
mod lane;
mod limits;
pub mod naming;
mod redirect;
pub mod resume;
mod retry;
pub mod robots;
mod schedule;
pub mod segments;
mod signal;
mod trust;
mod verdict;

pub use lane::{Limits, Lookup, Signal};
pub use limits::{is_written_as_loopback, limits_of, spread};
pub use redirect::carries_secrets;
pub use schedule::{Hosts, LastHost, Next, Room, Schedule, Turns};
pub use signal::signal;
pub use verdict::{Rules, Verdict, given_up, segment_given_up, verdict};
