//! Lines a second.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use fetch::bench::list::{Numbering, Parser, ParserStatus, StreamKind};
use fetch::bench::plan::{CarryChoice, ListOptions};

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
    let carried = ListOptions {
        carry: CarryChoice::Columns(vec!["caption".to_owned()]),
        ..ListOptions::default()
    };
    for (name, options) in [("", ListOptions::default()), (", a column carried", carried)] {
        let options = Arc::new(options);
        for (format, source, table) in tables() {
            group.bench_function(format!("{format}{name}"), |bench| {
                bench.iter(|| {
                    let source = Arc::from(source);
                    read(Parser::of(source, &options, StreamKind::AtRest), table.as_bytes());
                });
            });
        }
    }
    group.finish();
}

/// The same rows in each format of tables: its name, and that of a file.
fn tables() -> [(&'static str, &'static str, String); 3] {
    let rows = |row: fn(usize, &str) -> String| -> String {
        (0..LINES).map(|number| row(number, &urls::nth(number, 1000))).collect()
    };
    [
        (
            "csv",
            "a.csv",
            "id,url,caption\n".to_owned()
                + &rows(|id, url| format!("{id},{url},\"A caption, {id}\"\n")),
        ),
        (
            "tsv",
            "a.tsv",
            "id\turl\tcaption\n".to_owned()
                + &rows(|id, url| format!("{id}\t{url}\tA caption, {id}\n")),
        ),
        (
            "jsonl",
            "a.jsonl",
            rows(|id, url| {
                format!("{{\"id\":{id},\"url\":\"{url}\",\"caption\":\"A caption, {id}\"}}\n")
            }),
        ),
    ]
}

fn parse(text: &[u8]) {
    read(Parser::new(Arc::from("sites.txt")), text);
}

fn read(mut parser: Parser, text: &[u8]) {
    let mut numbering = Numbering::default();
    for chunk in text.chunks(CHUNK) {
        let appetite = parser.feed(chunk, &mut numbering, |entry| drop(black_box(entry)));
        assert_eq!(appetite, ParserStatus::More);
    }
    let _ = parser.finish(&mut numbering, |entry| drop(black_box(entry)));
}
