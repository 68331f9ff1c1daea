//! Helpers of the integration tests: servers, runs of the program, and their results.

pub mod browser;
pub mod clock;
pub mod coded;
pub mod folder;
pub mod hpack;
pub mod html;
pub mod http2;
pub mod local_origin;
pub mod nginx;
pub mod origin;
pub mod processes;
pub mod proxy;
pub mod raw;
pub mod run;
pub mod saved_files;
#[cfg(feature = "object-store")]
pub mod seaweed;
pub mod small_disk;
pub mod terminal;
pub mod tls;
pub mod tools;
pub mod versioned_origin;
pub mod versions;

pub use clock::{comes_before, until, with_a_clock};
pub use local_origin::LocalOrigin;
pub use origin::{End, Gate, Origin, Reply, Request, holding};
pub use run::{Live, MODES, Run, Seen, class_of, in_all_modes_at_once, in_every_mode, program};
pub use terminal::{Terminal, pseudoterminal, shown_on};
pub use versions::{Version, Versions};
