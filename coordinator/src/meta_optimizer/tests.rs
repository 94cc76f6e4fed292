use lyceum_common::config::{AdamConfig, MetaOptimizerConfig, Rule, Schedule};
use lyceum_common::ids::MetaStep;
use lyceum_common::layout::{Initialisation, Layout, Role};

use super::adam::{self, Adam};
use super::schedule::Rate;
use super::{MANY, MeanGradient, MetaOptimizer, StateError, clip, power};

fn layout(trained: usize, buffers: usize) -> Layout {
    let mut layout = Layout::new();
    layout.push("a", &[trained], Role::Trained, Initialisation::Constant(0.0));
    if buffers > 0 {
        layout.push("mean", &[buffers], Role::Buffer, Initialisation::Constant(0.0));
        layout.push("b", &[1], Role::Trained, Initialisation::Constant(0.0));
    }
    layout
}

fn config(rule: Rule, rate: f32) -> MetaOptimizerConfig {
    MetaOptimizerConfig {
        rule,
        rate,
        schedule: Schedule::Constant,
        clip_norm: None,
        clip_value: None,
    }
}

/// The parameters after a meta-step.
fn apply(optimizer: &mut MetaOptimizer, step: u64, values: &[f32], gradient: &[f32]) -> Vec<f32> {
    let mut moved = Vec::new();
    assert!(optimizer.apply(MetaStep(step), values, MeanGradient::of(gradient), &mut moved));
    moved
}

/// The parameters after three steps of the gradients (1, −2), (0.5, 0.25), (−3, 0), from (0.5, −0.5).
fn three_steps(config: &MetaOptimizerConfig) -> Vec<f32> {
    let mut optimizer = MetaOptimizer::new(config, 3, &layout(2, 0));
    let gradients = [[1.0, -2.0], [0.5, 0.25], [-3.0, 0.0]];
    (0..).zip(gradients).fold(vec![0.5, -0.5], |values, (step, gradient)| {
        apply(&mut optimizer, step, &values, &gradient)
    })
}

fn assert_close(found: &[f32], expected: &[f32]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 2e-6, "{found} is not {expected}");
    }
}

#[test]
fn sgd_with_momentum_is_pytorchs() {
    // b = (1, −2), (1.4, −1.55), (−1.74, −1.395); θ loses 0.1 b each time.
    let values = three_steps(&config(Rule::Sgd { momentum: 0.9 }, 0.1));
    assert_close(&values, &[0.5 - 0.1 * 0.66, -0.5 + 0.1 * 4.945]);
}

/// The formulas of the papers in f64, one parameter at a time.
fn adam_by_hand(theta: f64, gradients: [f64; 3], rate: f64, decay: f64) -> f32 {
    let (mut theta, mut m, mut v) = (theta, 0.0, 0.0);
    for (t, g) in [1.0, 2.0, 3.0].into_iter().zip(gradients) {
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        let (m, v) = (m / (1.0 - libm::pow(0.9, t)), v / (1.0 - libm::pow(0.999, t)));
        theta -= rate * (m / (v.sqrt() + 1e-8) + decay * theta);
    }
    theta as f32
}

#[test]
fn adam_and_adamw_are_the_papers() {
    let adam = three_steps(&config(Rule::Adam(AdamConfig::default()), 0.01));
    let by_hand = |decay| {
        [
            adam_by_hand(0.5, [1.0, 0.5, -3.0], 0.01, decay),
            adam_by_hand(-0.5, [-2.0, 0.25, 0.0], 0.01, decay),
        ]
    };
    assert_close(&adam, &by_hand(0.0));
    let rule = Rule::AdamW { adam: AdamConfig::default(), weight_decay: 0.1 };
    assert_close(&three_steps(&config(rule, 0.01)), &by_hand(0.1));
    // The first step of Adam is the rate, whatever the gradient's size.
    let mut optimizer =
        MetaOptimizer::new(&config(Rule::Adam(AdamConfig::default()), 0.01), 1, &layout(2, 0));
    assert_close(&apply(&mut optimizer, 0, &[0.0, 0.0], &[1e3, -1e-3]), &[-0.01, 0.01]);
}

#[test]
fn clipping_keeps_within_norm_and_value() {
    let mut config = config(Rule::Sgd { momentum: 0.0 }, 1.0);
    config.clip_norm = Some(2.5);
    let mut optimizer = MetaOptimizer::new(&config, 1, &layout(2, 0));
    assert_close(&apply(&mut optimizer, 0, &[0.0; 2], &[3.0, -4.0]), &[-1.5, 2.0]);
    assert_close(&apply(&mut optimizer, 0, &[0.0; 2], &[0.3, -0.4]), &[-0.3, 0.4]);
    config.clip_norm = None;
    config.clip_value = Some(0.5);
    let mut optimizer = MetaOptimizer::new(&config, 1, &layout(2, 0));
    assert_close(&apply(&mut optimizer, 0, &[0.0; 2], &[3.0, -0.4]), &[-0.5, 0.4]);
}

#[test]
fn the_norm_counts_every_element_once() {
    for length in 0..40 {
        let expected = (length as f64).sqrt() * 3.0;
        assert!((clip::norm(&vec![3.0; length]) - expected).abs() < 1e-12);
    }
}

#[test]
fn schedules_begin_at_the_rate_and_end_where_they_say() {
    let rates = |schedule| {
        let schedule = Rate::new(0.1, schedule, 5);
        [0, 1, 2, 4, 9].map(|step| schedule.at(MetaStep(step)))
    };
    assert_eq!(rates(Schedule::Constant), [0.1; 5]);
    assert_close(&rates(Schedule::Linear { to: 0.02 }), &[0.1, 0.08, 0.06, 0.02, 0.02]);
    assert_close(&rates(Schedule::Cosine { to: 0.0 }), &[0.1, 0.085_355_34, 0.05, 0.0, 0.0]);
    let step = Schedule::Step { every: 2, factor: 0.5 };
    assert_close(&rates(step), &[0.1, 0.1, 0.05, 0.025, 0.1 / 16.0]);
}

#[test]
fn powers_by_squaring_are_powers() {
    assert_eq!([0, 1, 2, 5, 10].map(|n| power(2.0, n)), [1.0, 2.0, 4.0, 32.0, 1024.0]);
}

#[test]
fn buffers_take_their_mean_change_and_no_rate() {
    let config = config(Rule::Sgd { momentum: 0.0 }, 0.5);
    let mut optimizer = MetaOptimizer::new(&config, 1, &layout(1, 2));
    let values = apply(&mut optimizer, 0, &[1.0, 1.0, 1.0, 1.0], &[2.0, 0.25, -0.25, 4.0]);
    assert_eq!(values, [0.0, 1.25, 0.75, -1.0]);
}

#[test]
fn the_two_sides_of_a_sum_give_the_bits_of_the_sum_whatever_the_parts() {
    let length = MANY + 4321;
    let layout = layout(length - 4, 3);
    let number = |i: usize, scale: f32| ((i * 2_654_435_761) % 1000) as f32 * scale - 0.3;
    let of = |scale| (0..length).map(|i| number(i, scale)).collect::<Vec<f32>>();
    let (theta, left, right) = (of(1e-3), of(2e-3), of(7e-4));
    let mut config = config(Rule::AdamW { adam: AdamConfig::default(), weight_decay: 0.1 }, 0.01);
    config.clip_norm = Some(0.5);
    config.clip_value = Some(0.01);
    let share = 1.0 / 3.0;
    let mean: Vec<f32> =
        left.iter().zip(&right).map(|(left, right)| (left + right) * share).collect();
    let expected = {
        let mut optimizer = MetaOptimizer::new(&config, 1, &layout);
        (apply(&mut optimizer, 0, &theta, &mean), optimizer.state())
    };
    let mut optimizer = MetaOptimizer::new(&config, 1, &layout);
    let mut moved = vec![9.0; 5];
    let gradient = MeanGradient { left: &left, right: Some(&right), share };
    assert!(optimizer.apply(MetaStep(0), &theta, gradient, &mut moved));
    assert_eq!((moved, optimizer.state()), expected);
    // The mean's buffers are behind the trained entry, and a trained number behind them.
    let change = expected.0[length - 2] - theta[length - 2];
    assert!((change - mean[length - 2]).abs() < 1e-6, "{change}");
}

#[test]
fn an_update_has_the_bits_of_one_that_goes_number_by_number() {
    let length = 5_000;
    let theta: Vec<f32> = (0..length).map(|i| (i as f32 * 0.37).fract() - 0.5).collect();
    let gradient: Vec<f32> = theta.iter().map(|theta| theta * 0.7 + 0.1).collect();
    let (adam, decay) = (AdamConfig::default(), 0.1);
    let config = config(Rule::AdamW { adam, weight_decay: decay }, 0.01);
    let mut optimizer = MetaOptimizer::new(&config, 1, &layout(length, 0));
    let moved = apply(&mut optimizer, 0, &theta, &gradient);
    let adam = Adam::at(adam, MetaStep(0));
    for ((moved, theta), gradient) in moved.iter().zip(&theta).zip(&gradient) {
        let mut update = [*gradient];
        adam.update(&mut update, &mut [0.0], &mut [0.0]);
        adam::add_decayed_values(decay, &[*theta], &mut update);
        clip::scale(&mut update, -0.01);
        assert_eq!(moved.to_bits(), (theta + update[0]).to_bits());
    }
}

#[test]
fn a_number_that_is_not_finite_is_seen() {
    let config = config(Rule::Sgd { momentum: 0.0 }, 1.0);
    for length in [3, MANY] {
        let mut optimizer = MetaOptimizer::new(&config, 1, &layout(length, 0));
        let mut gradient = vec![0.0; length];
        gradient[length - 1] = f32::INFINITY;
        let (values, mut moved) = (vec![0.0; length], Vec::new());
        let is_finite =
            optimizer.apply(MetaStep(0), &values, MeanGradient::of(&gradient), &mut moved);
        assert!(!is_finite);
    }
}

#[test]
fn a_restored_optimizer_goes_on_to_the_same_bits() {
    for rule in [Rule::Adam(AdamConfig::default()), Rule::Sgd { momentum: 0.9 }] {
        let config = config(rule, 0.01);
        let gradient = [0.3, -0.7, 1e-5];
        let mut whole = MetaOptimizer::new(&config, 9, &layout(3, 0));
        let first = apply(&mut whole, 0, &[0.0; 3], &gradient);
        let mut restored = MetaOptimizer::new(&config, 9, &layout(3, 0));
        restored.restore(&whole.state()).unwrap();
        assert_eq!(
            apply(&mut restored, 1, &first, &gradient),
            apply(&mut whole, 1, &first, &gradient)
        );
    }
}

#[test]
fn a_state_of_another_rule_or_length_is_refused() {
    let adam = config(Rule::Adam(AdamConfig::default()), 0.01);
    let sgd = config(Rule::Sgd { momentum: 0.0 }, 0.01);
    let of = |config, length| MetaOptimizer::new(config, 9, &layout(length, 0));
    let missing = of(&adam, 3).restore(&of(&sgd, 3).state());
    assert_eq!(missing, Err(StateError::Missing("adam.first_moment")));
    let surplus = of(&sgd, 3).restore(&of(&adam, 3).state());
    assert_eq!(surplus, Err(StateError::Surplus("adam.first_moment".into())));
    let length = of(&adam, 3).restore(&of(&adam, 4).state());
    let expected = StateError::Length { name: "adam.first_moment", expected: 3, found: 4 };
    assert_eq!(length, Err(expected));
}
