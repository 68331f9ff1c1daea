//! Fetches lists of URLs under one of four strategies: sequential, threads, async tasks or child processes.
//!
//! A [`Plan`] puts targets in a queue; workers take one job at a time, transfer it and settle it into a [`Record`];
//! reporters receive every [`Event`]; the [`Strategy`] only chooses how the workers run. This crate exists for the
//! program `fetch`: its API is what `main` uses, and is not stable.
//!
//! ```
//! use std::io::{self, Read, Write};
//! use std::net::TcpListener;
//! use std::thread;
//!
//! use fetch::{CancelToken, Outputs, Plan, Source, run};
//!
//! let server = TcpListener::bind("127.0.0.1:0")?;
//! let url = format!("http://{}/", server.local_addr()?);
//! thread::spawn(move || -> io::Result<()> {
//!     let (mut connection, _) = server.accept()?;
//!     let _ = connection.read(&mut [0; 4096])?;
//!     connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
//! });
//! let plan = Plan { sources: vec![Source::Argument(url)], ..Plan::default() };
//! let outcome = run(&plan, Outputs::of_process(|_| false), &CancelToken::default());
//! assert_eq!(outcome.expect("the run starts").summary.counts.ok, 1);
//! # Ok::<(), io::Error>(())
//! ```

#![warn(unreachable_pub)]

pub mod cli;
pub mod commands;
mod compare;
mod compression;
mod cookies;
mod credentials;
mod digest;
mod engine;
pub mod exit;
mod external_sort;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod list;
pub mod manual;
mod model;
mod naming;
mod object_access;
mod plan;
mod policy;
mod redaction;
mod report;
mod resource_usage;
mod scheduler;
mod serve;
mod signals;
mod store;
mod streams;
mod sync;
mod temporary_file;
mod text;
mod transfer;
mod units;

pub use commands::fetch::{RunError, RunOutcome, run};
pub use engine::CancelToken;
pub use model::{
    Entry, Event, Failure, FailureClass, HostStats, Outcome, Record, Summary, Target, Timings,
};
pub use plan::{Plan, Source, Strategy};
pub use report::{OutputStream, Outputs, Reporter};

/// What `benches/hot_paths` measures. Not part of the API.
#[doc(hidden)]
pub mod bench {
    pub mod list {
        pub use crate::list::{Numbering, Parser, ParserStatus, StreamKind};
    }
    pub mod model {
        pub use crate::model::{
            CarriedColumns, EntryOptions, HttpVersion, ProgressBoard, QueuedJob,
        };
    }
    pub mod naming {
        pub use crate::naming::{NameOwner, identity, of_url, unique_name};
    }
    pub mod plan {
        pub use crate::plan::{
            CarryChoice, ListFormat, ListOptions, NamingScheme, OutputFormat, OutputOptions,
            RobotsPolicy,
        };
    }
    pub mod report {
        pub use crate::report::{FailedListWriter, ReportFiles, reporter};
    }
    pub mod scheduler {
        pub use crate::scheduler::{
            HostFeedback, HostLimits, HostPolicies, JobOrder, LastHost, NextJob, QueueCapacity,
            Scheduler,
        };
    }
}
