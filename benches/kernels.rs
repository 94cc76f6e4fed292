//! Kernels on every instruction set of this machine, each beside its naive twin.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lyceum_worker::kernels::{InstructionSet, Sample};

fn kernels(criterion: &mut Criterion) {
    for sample in &mut Sample::all() {
        let mut group = criterion.benchmark_group(format!("kernels/{}", sample.name));
        group.throughput(Throughput::Elements(sample.work as u64));
        group.bench_function("naive", |bencher| {
            bencher.iter(|| black_box(sample.run_naive()).len());
        });
        let mut bits: Option<Vec<u32>> = None;
        for set in InstructionSet::available() {
            let found: Vec<u32> = sample.run(set).iter().map(|value| value.to_bits()).collect();
            assert_eq!(&found, bits.get_or_insert_with(|| found.clone()), "{set}");
            group.bench_function(set.name(), |bencher| {
                bencher.iter(|| black_box(sample.run(set)).len());
            });
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
