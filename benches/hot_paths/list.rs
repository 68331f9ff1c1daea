//! Lines a second.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use fetch::bench::list::{Numbering, Parser, ParserStatus};

use crate::urls;

const LINES: usize = 10_000;

/// What is read of a file at a time.
const CHUNK: usize = 64 * 1024;

pub fn parsing(criterion: &mut Criterion) {
    let plain: String = (0..LINES).map(|number| urls::nth(number, 1000) + "\n").collect();
    let named: String = (0..LINES / 2)
        .map(|number| format!("{}\n  out=films/{number}.html\n", urls::nth(number, 1000)))
        .collect();
    let mut group = criterion.benchmark_group("list");
    group.throughput(Throughput::Elements(LINES as u64));
    group.bench_function("lines", |bench| bench.iter(|| parse(plain.as_bytes())));
    group.bench_function("lines, every other one an option", |bench| {
        bench.iter(|| parse(named.as_bytes()));
    });
    group.finish();
}

fn parse(text: &[u8]) {
    let mut numbering = Numbering::default();
    let mut parser = Parser::new(Arc::from("sites.txt"));
    for chunk in text.chunks(CHUNK) {
        let appetite = parser.feed(chunk, &mut numbering, |entry| drop(black_box(entry)));
        assert_eq!(appetite, ParserStatus::More);
    }
    let _ = parser.finish(&mut numbering, |entry| drop(black_box(entry)));
}
