//! What the tests arrange: an origin with a temper, a run of the program, and what is seen of it.
#![allow(dead_code, unused_imports)] // each test file uses a part of it

pub mod children;
pub mod coded;
pub mod folder;
pub mod kept;
pub mod library;
pub mod nginx;
pub mod origin;
pub mod page;
pub mod proxy;
pub mod raw;
pub mod run;
pub mod small_disk;
pub mod tls;
pub mod versions;

pub use origin::{End, Gate, Origin, Reply, Request};
pub use run::{Live, MODES, Run, Seen, class_of, in_every_mode};
pub use versions::{Version, Versions};
