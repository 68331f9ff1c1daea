//! `fetch` gets whole lists of URLs, intact and politely, under the strategy of your choice.
//!
//! A plan puts targets in a queue; workers take one at a time, transfer it and settle it into a record; reporters
//! hear every event; a strategy only says who the workers are. The rooms, from the door down; each knows only those
//! below it:
//!
//! - [`exit`]: every way the program can end, and the signals that end it
//! - [`commands`]: one file per command
//! - [`cli`]: what can be typed, and its translation to a plan
//! - [`manual`]: the chapters of the manual
//! - [`serve`]: the built-in local origin
//! - [`compare`]: the same plan under several strategies, in turn and repeatedly
//! - [`run`]: opens the lists and the outputs, connects the engine to the reports
//! - [`preview`]: what a run would do, told without doing it
//! - [`verify`]: what has become of what was saved
//! - [`report`]: text, JSON lines, CSV and the progress display; pages and archives in files of their own
//! - [`engine`]: the worker loop, the event loops of each strategy, the queue and what feeds it
//! - [`transfer`]: one attempt at one URL
//! - [`store`]: where bodies and bookkeeping go
//! - [`policy`]: what follows an attempt, and which job comes next; pure
//! - [`source`]: where targets are read from: opens what a plan names
//! - [`list`]: list text to numbered entries; pure
//! - [`plan`]: what was decided
//! - [`record`]: the nouns
//! - [`units`]: bytes, rates and durations
//! - [`digest`]: digests of bodies, and what is claimed about them; pure
//! - [`process`]: what this process uses of the machine

pub mod cli;
pub mod commands;
pub mod compare;
pub mod digest;
pub mod engine;
pub mod exit;
pub mod input;
pub mod list;
pub mod manual;
pub mod model;
pub mod naming;
pub mod plan;
pub mod policy;
pub mod report;
pub mod resource_usage;
pub mod scheduler;
pub mod serve;
mod signals;
pub mod store;
pub mod transfer;
pub mod units;
