//! What every URL passes through, without sockets and files: how long the list, the schedule, a name and a row take.

mod list;
mod naming;
mod records;
mod schedule;
mod urls;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    hot_paths,
    list::parsing,
    schedule::passing,
    naming::naming,
    naming::settling,
    records::writing
);
criterion_main!(hot_paths);
