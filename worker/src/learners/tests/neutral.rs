//! What learners add to MAML, where it changes nothing: by whatever way they compute it, it is MAML.

use lyceum_common::layout::Entry;

use super::*;

const STEPS: usize = 3;

/// What the inner loop changes, and how it is gone back through.
const KINDS: [(Order, Adapt); 3] =
    [(Order::Second, Adapt::All), (Order::Second, Adapt::Head), (Order::First, Adapt::All)];

/// The losses of training and of evaluation, and the meta-gradient by the network's own parameters.
struct Outcome {
    losses: [f64; 2],
    gradient: Vec<f64>,
}

impl Outcome {
    /// How far its gradient is from another one, which is taken for one.
    fn apart(&self, other: &Self) -> f64 {
        let differences = self.gradient.iter().zip(&other.gradient).map(|(a, b)| a - b);
        let square = other.gradient.iter().map(|g| g * g).sum::<f64>();
        assert!(square > 1e-6, "there is something to compare");
        (differences.map(|difference| difference * difference).sum::<f64>() / square).sqrt()
    }

    fn assert_is(&self, expected: &Self, what: &str) {
        for (found, expected) in self.losses.iter().zip(expected.losses) {
            assert!((found - expected).abs() < 1e-10, "{found} is {expected}: {what}");
        }
        let apart = self.apart(expected);
        assert!(apart < 1e-8, "gradients are {apart} apart: {what}");
    }
}

fn networks() -> [Network; 2] {
    [
        conv4(Downsample::Stride, Features::Flatten, 9),
        conv4(Downsample::MaxPool, Features::SpatialMean, 17),
    ]
}

fn at_step(step: u64) -> Seed<OfEpisode> {
    Seed::of_run(0).step(MetaStep(step)).episode(EpisodeIndex(0))
}

/// The network's own entry that an entry of a later number of steps is a copy of.
fn original<'n>(entry: &Entry, network: &'n Network) -> Option<&'n Entry> {
    let (_, name) = entry.name.strip_prefix("step.")?.split_once('.')?;
    network.layout().get(name)
}

/// What comes of a learner whose own meta-parameters are as a run begins with them, but for what `change` does to an entry.
/// Copies of the network's parameters are equal to these, and count as one with them in the gradient.
fn changed(
    config: &LearnerConfig,
    network: &Network,
    seed: Seed<OfEpisode>,
    change: impl Fn(&Entry, &mut [f64]),
) -> Outcome {
    let own = network.layout();
    let layout = config.layout(own);
    let initial = layout.initialise(Seed::of_run(0).initialisation());
    let mut theta: Vec<f64> = initial.into_iter().map(f64::from).collect();
    theta[..own.len()].copy_from_slice(&parameters::<f64>(own.len()));
    let copies: Vec<_> = layout
        .entries()
        .iter()
        .filter_map(|entry| Some((original(entry, network)?.range(), entry.range())))
        .collect();
    for (original, copy) in &copies {
        theta.copy_within(original.clone(), copy.start);
    }
    for entry in &layout.entries()[own.entries().len()..] {
        change(entry, &mut theta[entry.range()]);
    }
    let setting = setting(network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
    let episode = episode(network);
    let mut learner = registered::<f64>(config, &setting);
    let mut gradient = vec![f64::NAN; theta.len()];
    let trained = learner.meta_gradient(&theta, &episode, seed, &mut gradient);
    let evaluated = learner.evaluate(&theta, &episode, seed);
    for (original, copy) in copies {
        for (to, from) in original.zip(copy) {
            gradient[to] += gradient[from];
        }
    }
    gradient.truncate(own.len());
    Outcome { losses: [trained, evaluated].map(|reports| reports.alone().loss), gradient }
}

/// The same, as a run begins.
fn outcome(config: &LearnerConfig, network: &Network, seed: Seed<OfEpisode>) -> Outcome {
    changed(config, network, seed, |_: &Entry, _: &mut [f64]| {})
}

#[test]
fn neutral_switches_leave_maml_as_it_is() {
    let multi_step_loss = Some(MultiStepLoss { meta_steps: 9 });
    let inner_clip = Some(InnerClip { value: 1e9 });
    // The last step's loss counts alone by then.
    let seed = at_step(9);
    for network in networks() {
        for (order, adapt) in KINDS {
            let plain = maml_config(order, adapt, STEPS);
            let learned_rates = MamlConfig { learned_rates: true, ..plain.clone() };
            let of =
                |config: &MamlConfig| outcome(&LearnerConfig::Maml(config.clone()), &network, seed);
            let expected = of(&plain);
            for config in [
                MamlConfig { multi_step_loss, ..plain.clone() },
                MamlConfig { inner_clip, ..plain.clone() },
                MamlConfig { multi_step_loss, inner_clip, ..learned_rates.clone() },
                learned_rates.clone(),
            ] {
                of(&config).assert_is(&expected, &format!("{config:?}"));
            }

            let with_rates = |change: &dyn Fn(&Entry, &mut [f64])| {
                changed(&LearnerConfig::Maml(learned_rates.clone()), &network, seed, change)
            };
            let shorter = of(&maml_config(order, adapt, STEPS - 1));
            assert!(shorter.apart(&expected) > 1e-3, "a step makes a difference");
            let what = format!("a last rate of zero, {order:?}, {adapt:?}");
            with_rates(&|_: &Entry, rates: &mut [f64]| rates[STEPS - 1] = 0.0)
                .assert_is(&shorter, &what);

            // Norms of each number of steps are not changed by any of them.
            let norms_stay = with_rates(&|entry: &Entry, rates: &mut [f64]| {
                if entry.name.contains(".norm.") {
                    rates.fill(0.0);
                }
            });
            let per_step = MamlConfig { batch_norm_per_step: true, ..plain.clone() };
            let all =
                MamlConfig { multi_step_loss, inner_clip, learned_rates: true, ..per_step.clone() };
            for config in [per_step, all] {
                of(&config).assert_is(&norms_stay, &format!("{config:?}"));
            }
        }
    }
}

#[test]
fn equal_rates_and_identity_matrices_leave_maml_as_it_is() {
    let plain = maml_config(Order::Second, Adapt::All, STEPS);
    let MamlConfig { inner_rate, inner_steps, evaluation_steps, .. } = plain;
    let learners = [
        LearnerConfig::MetaSgd(MetaSgdConfig {
            initial_rates: [inner_rate; 2],
            inner_steps,
            evaluation_steps,
        }),
        LearnerConfig::MetaCurvature(MetaCurvatureConfig {
            inner_rate,
            inner_steps,
            evaluation_steps,
        }),
    ];
    let plain = LearnerConfig::Maml(plain);
    for network in networks().into_iter().chain([mlp(Activation::Tanh)]) {
        let expected = outcome(&plain, &network, seed());
        for config in &learners {
            outcome(config, &network, seed()).assert_is(&expected, &format!("{config:?}"));
        }
    }
}

/// A mean of outcomes, each of which has its share.
fn mean(outcomes: &[Outcome], shares: [f64; STEPS]) -> Outcome {
    let of = |number: &dyn Fn(&Outcome) -> f64| {
        outcomes.iter().zip(shares).map(|(outcome, share)| share * number(outcome)).sum::<f64>()
    };
    let places = 0..outcomes[0].gradient.len();
    Outcome {
        losses: [0, 1].map(|at| of(&|outcome: &Outcome| outcome.losses[at])),
        gradient: places.map(|at| of(&|outcome: &Outcome| outcome.gradient[at])).collect(),
    }
}

#[test]
fn a_multi_step_loss_is_a_mean_of_losses_after_fewer_steps() {
    let multi_step_loss = Some(MultiStepLoss { meta_steps: 9 });
    for network in networks() {
        for (order, adapt) in KINDS {
            let of = |config: MamlConfig, step: u64| {
                outcome(&LearnerConfig::Maml(config), &network, at_step(step))
            };
            let after: Vec<Outcome> =
                (1..=STEPS).map(|steps| of(maml_config(order, adapt, steps), 0)).collect();
            for (step, earlier, last) in [(0, 1.0 / 3.0, 1.0 / 3.0), (3, 2.0 / 9.0, 5.0 / 9.0)] {
                let config = MamlConfig { multi_step_loss, ..maml_config(order, adapt, STEPS) };
                let expected = mean(&after, [earlier, earlier, last]);
                let what = format!("{order:?}, {adapt:?}, meta-step {step}");
                of(config, step).assert_is(&expected, &what);
            }
        }
    }
}
