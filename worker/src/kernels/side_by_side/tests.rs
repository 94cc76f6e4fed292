use super::*;
use crate::kernels::test_support::{numbers, same_bits};
use proptest::prelude::*;

/// One lane, as the head of this file has it.
fn naive(
    sizes: &SideBySide,
    start: Option<&[f32]>,
    terms: &[(&[f32], &[f32])],
    outcome: Outcome<'_, f32>,
    lane: usize,
) -> Vec<f32> {
    let SideBySide { rows, columns, depth, a: of_a, b: of_b } = *sizes;
    let number = |x: &[f32], whole: usize, at: usize| {
        if x.len() == whole { x[at] } else { x[at * LANES + lane] }
    };
    let mut out = Vec::new();
    for m in 0..rows {
        for n in 0..columns {
            let mut sum = start.map_or(0.0, |start| number(start, columns, n));
            for (a, b) in terms {
                for k in 0..depth {
                    let a = a[(m * of_a.across + k * of_a.along) * LANES + lane];
                    let b = number(b, columns * depth, n * of_b.across + k * of_b.along);
                    sum = a.mul_add(b, sum);
                }
            }
            let place = m * columns + n;
            let passes = |passes: bool| if passes { sum } else { 0.0 };
            out.push(match outcome {
                Outcome::Through(Gate::Open) => sum,
                Outcome::Through(Gate::Sum) => passes(sum > 0.0),
                Outcome::Through(Gate::Number(gate)) => passes(gate[place * LANES + lane] > 0.0),
                Outcome::Step { from: Origin::Zero, scale } => scale * sum,
                Outcome::Step { from: Origin::At(from), scale } => {
                    scale.mul_add(sum, number(from, rows * columns, place))
                }
                Outcome::Step { from: Origin::There, .. } => {
                    unreachable!("what was there is given")
                }
            });
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_lane_of_every_instruction_set_does_what_the_naive_one_does(
        rows in 1usize..12, inputs in 1usize..12, outputs in 1usize..12, starts: bool, twice: bool, common in 0_usize..3, outcome in 0_usize..6, seed: u64,
    ) {
        for sizes in [SideBySide::forward, SideBySide::input_gradient, SideBySide::weight_gradient] {
            let sizes = sizes(rows, inputs, outputs);
            let (a, b) = (sizes.rows * sizes.depth * LANES, sizes.columns * sizes.depth * LANES);
            let data = numbers(seed, 2 * (a + b) + (sizes.rows + 1) * sizes.columns * LANES);
            let (start, rest) = data.split_at(sizes.columns * LANES);
            let start = if common > 0 { &start[..sizes.columns] } else { start };
            let start = starts.then_some(start);
            let (gates, rest) = rest.split_at(sizes.rows * sizes.columns * LANES);
            let step = |from| Outcome::Step { from, scale: -0.3 };
            let from = if common > 1 { &gates[..gates.len() / LANES] } else { gates };
            let expected = [
                Outcome::Through(Gate::Open),
                Outcome::Through(Gate::Sum),
                Outcome::Through(Gate::Number(gates)),
                step(Origin::Zero),
                step(Origin::At(from)),
                step(Origin::At(gates)),
            ][outcome];
            // The last one is the step from what is there.
            let asked = if outcome < 5 { expected } else { step(Origin::There) };
            let (first, second) = rest.split_at(a + b);
            // The second term, or both, have a number for all lanes.
            let of_b = |term: usize| if common > term { b / LANES } else { b };
            let terms = [
                (&first[..a], &first[a..][..of_b(1)]),
                (&second[..a], &second[a..][..of_b(0)]),
            ];
            let terms = if twice { &terms[..] } else { &terms[..1] };
            for set in InstructionSet::available() {
                let mut out = if outcome < 5 { vec![f32::NAN; gates.len()] } else { gates.to_vec() };
                side_by_side(set, &sizes, start, terms, asked, &mut out);
                for lane in 0..LANES {
                    let found: Vec<f32> = out.iter().skip(lane).step_by(LANES).copied().collect();
                    prop_assert!(same_bits(&found, &naive(&sizes, start, terms, expected, lane)), "{set}");
                }
            }
        }
    }
}
