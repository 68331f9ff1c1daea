//! Names a second.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use fetch::bench::naming::{self, NameOwner};
use fetch::bench::plan::NamingScheme;
use url::Url;

use crate::urls;

const URLS: usize = 1000;

pub fn naming(criterion: &mut Criterion) {
    let urls = parsed();
    let mut group = criterion.benchmark_group("naming");
    group.throughput(Throughput::Elements(URLS as u64));
    for scheme in [NamingScheme::Flat, NamingScheme::Tree, NamingScheme::Hash, NamingScheme::Index]
    {
        group.bench_function(format!("{scheme:?}").to_lowercase(), |bench| {
            bench.iter(|| {
                for (url, index) in urls.iter().zip(1..) {
                    black_box(naming::of_url(scheme, url, index));
                }
            });
        });
    }
    group.finish();
}

pub fn settling(criterion: &mut Criterion) {
    let wanted: Vec<_> = parsed()
        .iter()
        .map(|url| (naming::of_url(NamingScheme::Tree, url, 1), naming::identity(url)))
        .collect();
    let mut group = criterion.benchmark_group("settling");
    group.throughput(Throughput::Elements(URLS as u64));
    group.bench_function("tree", |bench| {
        bench.iter(|| {
            for (wanted, identity) in &wanted {
                black_box(naming::unique_name(wanted, identity, |_| NameOwner::Nobody));
            }
        });
    });
    group.finish();
}

fn parsed() -> Vec<Url> {
    (0..URLS).map(|number| urls::parsed(number, 10)).collect()
}
