//! What the tests arrange: an origin with a temper, a run of the program, and what is seen of it.
#![allow(dead_code, unused_imports)] // each test file uses a part of it

pub mod origin;
pub mod run;

pub use origin::{End, Gate, Origin, Reply, Request};
pub use run::{MODES, Run, Seen, in_every_mode};
