//! The samples of a comparison as comma-separated values: a row for each run, in the order in which they were taken. Pure.

use std::io;

use crate::compare::result::{Comparison, Sample, TimedSpan};
use crate::report::csv::{CsvRow, header};

/// A column: its name, and how it writes the cell of a sample.
type SampleColumn = (&'static str, fn(&Sample, &mut CsvRow) -> io::Result<()>);

/// The first column: the number of the sample, in the order in which they were taken.
const ORDER: &str = "order";

/// The last column: the compared time.
const COMPARED: &str = "compared";

/// The columns between: the fields of a sample, those of `first_byte` and `total` flattened and `failures` in one cell.
/// Columns are only ever added.
const COLUMNS: [SampleColumn; 40] = [
    ("block", |sample, row| row.value(Some(sample.block))),
    ("contestant", |sample, row| row.value(Some(sample.contestant))),
    ("mode", |sample, row| row.text(Some(&sample.mode))),
    ("jobs", |sample, row| row.value(Some(sample.jobs))),
    ("wall", |sample, row| row.seconds(Some(sample.wall))),
    ("setup", |sample, row| row.seconds(sample.setup)),
    ("targets", |sample, row| row.value(sample.targets)),
    ("ok", |sample, row| row.value(sample.ok)),
    ("bytes", |sample, row| row.value(sample.bytes)),
    ("wire_bytes", |sample, row| row.value(sample.wire_bytes)),
    ("first_byte_p50", |sample, row| row.seconds(sample.first_byte.p50)),
    ("first_byte_p90", |sample, row| row.seconds(sample.first_byte.p90)),
    ("first_byte_p99", |sample, row| row.seconds(sample.first_byte.p99)),
    ("total_p50", |sample, row| row.seconds(sample.total.p50)),
    ("total_p90", |sample, row| row.seconds(sample.total.p90)),
    ("total_p99", |sample, row| row.seconds(sample.total.p99)),
    ("waiting", |sample, row| row.seconds(sample.waiting)),
    ("transfer", |sample, row| row.seconds(sample.transfer)),
    ("retries", |sample, row| row.value(sample.retries)),
    ("cpu_user", |sample, row| row.seconds(sample.cpu_user)),
    ("cpu_system", |sample, row| row.seconds(sample.cpu_system)),
    ("peak_memory", |sample, row| row.value(sample.peak_memory)),
    ("worker_threads", |sample, row| row.value(sample.worker_threads)),
    ("voluntary_switches", |sample, row| row.value(sample.voluntary_switches)),
    ("involuntary_switches", |sample, row| row.value(sample.involuntary_switches)),
    ("requests", |sample, row| row.value(sample.requests)),
    ("connections", |sample, row| row.value(sample.connections)),
    ("handshakes", |sample, row| row.value(sample.handshakes)),
    ("lookups", |sample, row| row.value(sample.lookups)),
    ("process", |sample, row| row.seconds(sample.process)),
    ("failed", |sample, row| row.value(sample.failed)),
    ("failures", |sample, row| row.text(Some(&failures(sample)))),
    ("longest", |sample, row| row.seconds(sample.longest)),
    ("longest_url", |sample, row| row.text(sample.longest_url.as_deref())),
    ("retried", |sample, row| row.value(sample.retried)),
    ("retry_wait", |sample, row| row.seconds(sample.retry_wait)),
    ("run_queue_delay", |sample, row| row.seconds(sample.run_queue_delay)),
    ("cpu_pressure", |sample, row| row.seconds(sample.cpu_pressure)),
    ("other_load", |sample, row| row.seconds(sample.other_load)),
    ("server_wait", |sample, row| row.seconds(sample.server_wait)),
];

/// The failures by kind: `404=2 reset=1`.
fn failures(sample: &Sample) -> String {
    let kinds = sample.failures.iter().map(|(kind, count)| format!("{kind}={count}"));
    kinds.collect::<Vec<_>>().join(" ")
}

/// The names of all columns, in their order.
pub(super) fn columns() -> Vec<&'static str> {
    let of_sample = COLUMNS.iter().map(|(name, _)| *name);
    std::iter::once(ORDER).chain(of_sample).chain([COMPARED]).collect()
}

/// Writes the whole table.
pub(crate) fn page(comparison: &Comparison, out: &mut Vec<u8>) -> io::Result<()> {
    header(&columns(), out);
    let mut samples = comparison.samples.iter().zip(1..);
    samples.try_for_each(|(sample, order)| row(sample, order, comparison.timed, out))
}

fn row(sample: &Sample, order: usize, span: TimedSpan, out: &mut Vec<u8>) -> io::Result<()> {
    let mut row = CsvRow::on(out);
    row.value(Some(order))?;
    COLUMNS.iter().try_for_each(|(_, cell)| cell(sample, &mut row))?;
    row.seconds(Some(sample.timed(span)))?;
    row.end()
}
