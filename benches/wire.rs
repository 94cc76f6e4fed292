//! Vectors of meta-parameters: their digest, and how they come off the wire.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lyceum_common::config::Precision;
use lyceum_common::layout::{Initialisation, Layout, Role};
use lyceum_common::parameters::Digester;
use lyceum_common::spares::Spares;
use lyceum_common::wire::{Assembly, chunks, to_bytes};

fn payloads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    for count in [112_261, 10_000_000] {
        let vector: Vec<f32> = (0..count).map(|i| i as f32).collect();
        let bytes = to_bytes(&vector);
        let spares = Arc::new(Spares::default());
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut layout = Layout::new();
        layout.push("all", &[count], Role::Trained, Initialisation::Constant(0.0));
        group.bench_function(format!("digest, {count}"), |bencher| {
            bencher.iter(|| {
                let mut digester = Digester::new(&layout);
                digester.advance(&vector);
                black_box(digester)
            });
        });
        group.bench_function(format!("from chunks, {count}"), |bencher| {
            bencher.iter(|| {
                let size = bytes.len() as u64;
                let mut assembly = Assembly::new(
                    (1, count),
                    (Precision::Float32, size),
                    "size",
                    Arc::clone(&spares),
                )
                .expect("the size is right");
                for chunk in chunks(bytes.clone()) {
                    let seen = |numbers: &[f32]| {
                        black_box(numbers);
                    };
                    assembly.add(&chunk.data, seen).expect("chunks fit");
                }
                let mut vectors = assembly.finish().expect("all has come");
                assert_eq!(vectors[0].last(), vector.last());
                vectors.drain(..).for_each(|vector| spares.put(vector));
            });
        });
    }
}

criterion_group!(benches, payloads);
criterion_main!(benches);
