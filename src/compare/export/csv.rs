//! The samples of a comparison as comma-separated values, a row for each run in the order in which they were made. Pure.

use std::io;

use crate::compare::result::{Comparison, LatencyQuantiles, Sample};
use crate::report::csv::{CsvRow, header};

/// The columns: the place in the order, then the fields of a sample, those of `first_byte` and `total` laid flat.
/// Columns are only ever added.
pub(crate) const COLUMNS: [&str; 30] = [
    "order",
    "block",
    "contestant",
    "mode",
    "jobs",
    "wall",
    "setup",
    "targets",
    "ok",
    "bytes",
    "wire_bytes",
    "first_byte_p50",
    "first_byte_p90",
    "first_byte_p99",
    "total_p50",
    "total_p90",
    "total_p99",
    "waiting",
    "transfer",
    "retries",
    "cpu_user",
    "cpu_system",
    "peak_memory",
    "worker_threads",
    "voluntary_switches",
    "involuntary_switches",
    "requests",
    "connections",
    "handshakes",
    "lookups",
];

/// The whole table.
pub(crate) fn page(comparison: &Comparison, page: &mut Vec<u8>) -> io::Result<()> {
    header(&COLUMNS, page);
    let mut samples = comparison.samples.iter().zip(1..);
    samples.try_for_each(|(sample, order)| row(sample, order, page))
}

fn row(sample: &Sample, order: usize, page: &mut Vec<u8>) -> io::Result<()> {
    let mut row = CsvRow::on(page);
    row.value(Some(order))?;
    row.value(Some(sample.block))?;
    row.value(Some(sample.contestant))?;
    row.text(Some(&sample.mode))?;
    row.value(Some(sample.jobs))?;
    row.seconds(Some(sample.wall))?;
    row.seconds(Some(sample.setup))?;
    row.value(Some(sample.targets))?;
    row.value(Some(sample.ok))?;
    row.value(Some(sample.bytes))?;
    row.value(Some(sample.wire_bytes))?;
    spread(sample.first_byte, &mut row)?;
    spread(sample.total, &mut row)?;
    row.seconds(Some(sample.waiting))?;
    row.seconds(Some(sample.transfer))?;
    row.value(Some(sample.retries))?;
    row.seconds(sample.cpu_user)?;
    row.seconds(sample.cpu_system)?;
    row.value(sample.peak_memory)?;
    row.value(Some(sample.worker_threads))?;
    row.value(sample.voluntary_switches)?;
    row.value(sample.involuntary_switches)?;
    row.value(Some(sample.requests))?;
    row.value(Some(sample.connections))?;
    row.value(Some(sample.handshakes))?;
    row.value(Some(sample.lookups))?;
    row.end()
}

fn spread(of: LatencyQuantiles, row: &mut CsvRow) -> io::Result<()> {
    [of.p50, of.p90, of.p99].into_iter().try_for_each(|time| row.seconds(time))
}
