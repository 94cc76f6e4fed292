//! What the coordinator does between two meta-steps: the tree's last sums, and the meta-optimizer.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use lyceum_common::config::load;
use lyceum_common::ids::MetaStep;
use lyceum_common::layout::{Initialisation, Layout, Role};
use lyceum_common::reduction::{NodeId, Partial, Reduction};
use lyceum_common::report::{EpisodeReport, ReportSums};
use lyceum_coordinator::meta_optimizer::{MeanGradient, MetaOptimizer};

/// Parameters of conv4 with 64 filters, about.
const PARAMETERS: usize = 112_261;
const EPISODES: u64 = 32;

fn leaf(episode: u64) -> Partial {
    let reports: ReportSums = EpisodeReport { loss: 1.0, accuracy: 0.5 }.into();
    Partial { node: NodeId::leaf(episode), gradient: vec![episode as f32; PARAMETERS], reports }
}

fn reduction(criterion: &mut Criterion) {
    criterion.bench_function("aggregation/32 gradients of 112k", |bencher| {
        let leaves = || (0..EPISODES).map(leaf).collect::<Vec<_>>();
        bencher.iter_batched(
            leaves,
            |leaves| {
                let mut reduction = Reduction::whole(EPISODES);
                for leaf in leaves {
                    reduction.add(leaf);
                }
                let root = reduction.into_root().expect("all are there");
                assert_eq!(root.gradient[0], (0..EPISODES).sum::<u64>() as f32);
                root
            },
            BatchSize::LargeInput,
        );
    });
}

fn adam(criterion: &mut Criterion) {
    let config = load("omniglot-maml-5w1s", &[]).expect("the preset loads");
    let mut layout = Layout::new();
    layout.push("all", &[PARAMETERS], Role::Trained, Initialisation::Constant(0.0));
    let mut optimizer =
        MetaOptimizer::new(&config.meta_optimizer, config.training.meta_steps, &layout);
    let (theta, gradient) = (vec![0.1; PARAMETERS], vec![0.01; PARAMETERS]);
    let mut moved = Vec::new();
    criterion.bench_function("aggregation/Adam on 112k", |bencher| {
        bencher.iter(|| {
            let gradient = MeanGradient::of(&gradient);
            black_box(optimizer.apply(MetaStep(1), &theta, gradient, &mut moved))
        });
    });
}

criterion_group!(benches, reduction, adam);
criterion_main!(benches);
