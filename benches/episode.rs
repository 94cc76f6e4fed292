//! An episode's meta-gradient, as one compute thread runs it, on every instruction set of this machine: the portable
//! one is the plain twin, and each must give its bits.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lyceum_common::config::load;
use lyceum_common::ids::{EpisodeIndex, MetaStep};
use lyceum_common::seed::Seed;
use lyceum_worker::kernels::InstructionSet;
use lyceum_worker::work::{BuildOptions, build};

fn episodes(criterion: &mut Criterion) {
    for (preset, overrides) in [
        ("glyphs-maml", vec![]),
        ("glyphs-maml", vec!["learner.maml.inner_steps=5"]),
        ("glyphs-maml", vec!["learner.maml.order=\"first\""]),
        ("sinusoid-maml", vec![]),
    ] {
        let name = format!("episode/{preset} {}", overrides.join(" "));
        let overrides: Vec<String> = overrides.into_iter().map(str::to_owned).collect();
        let config = load(preset, &overrides).expect("the preset loads");
        let cache = tempfile::tempdir().expect("there is a temporary folder");
        let pack =
            lyceum_common::data::prepare(&config.data, cache.path()).expect("the data is prepared");
        let seed = Seed::of_run(0).step(MetaStep(0)).episode(EpisodeIndex(0));
        let mut expected: Option<Vec<u32>> = None;
        let mut group = criterion.benchmark_group(name);
        for instruction_set in InstructionSet::available() {
            let options = BuildOptions { instruction_set, transductive: None };
            let work = build(&config, pack.clone(), options).expect("the run can be worked on");
            let mut thread = work.thread();
            let mut gradient = vec![0.0; work.parameters()];
            thread.set_parameters(&vec![0.05; work.parameters()]);
            thread.meta_gradient(seed, &mut gradient);
            let bits: Vec<u32> = gradient.iter().map(|value| value.to_bits()).collect();
            assert_eq!(&bits, expected.get_or_insert_with(|| bits.clone()), "{instruction_set}");
            group.bench_function(instruction_set.name(), |bencher| {
                bencher.iter(|| black_box(thread.meta_gradient(seed, &mut gradient)));
            });
        }
    }
}

criterion_group!(benches, episodes);
criterion_main!(benches);
