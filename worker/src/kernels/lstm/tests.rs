use super::*;
use crate::kernels::streamed;
use crate::kernels::test_support::{numbers, same_bits};
use proptest::prelude::*;

/// The first `len` numbers that begin at a cache line.
fn aligned<T>(numbers: &mut [T], len: usize) -> &mut [T] {
    let start = numbers.as_ptr().align_offset(STREAM_ALIGNMENT);
    &mut numbers[start..start + len]
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The sums of a block's gates, `[4 · hidden]` rows.
fn naive_sums(matrix: &[f64], operands: &[f64]) -> Vec<f64> {
    let columns = matrix.len() / (1 + operands.len() / LANES);
    let sum = |at: usize| {
        let (row, lane) = (at / LANES, at % LANES);
        let products = operands.chunks(LANES).zip(matrix[columns..].chunks(columns));
        products.fold(matrix[row], |sum, (x, weights)| x[lane].mul_add(weights[row], sum))
    };
    (0..columns * LANES).map(sum).collect()
}

/// i, f, g, o, c and h of a unit and a lane.
fn naive(z: [f64; 4], before: f64) -> [f64; 6] {
    let [i, f, g, o] = [sigmoid(z[0]), sigmoid(z[1]), z[2].tanh(), sigmoid(z[3])];
    let c = f * before + i * g;
    [i, f, g, o, c, o * c.tanh()]
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().copied().map(f64::from).collect()
}

#[test]
fn a_cell_backward_is_the_derivative_of_the_cell() {
    const HIDDEN: usize = 2;
    let len = HIDDEN * LANES;
    let wide = |seed: u64, count: usize| wide(&numbers(seed, count));
    let (matrix, below) = (wide(1, 4 * 4 * HIDDEN), wide(2, LANES));
    let before = wide(3, 2 * len);
    let (c_before, h_before) = before.split_at(len);
    let z = naive_sums(&matrix, &[h_before, &below].concat());
    let (above, after, dc_after) = (wide(4, len), wide(5, len), wide(6, len));
    let (mut state, mut room) = (before.clone(), vec![f64::NAN; len]);
    let mut kept = vec![f64::NAN; 5 * len + LANES];
    let kept = aligned(&mut kept, 5 * len);
    let keep = Kept { rows: kept, past_caches: false };
    lstm_cell(InstructionSet::PORTABLE, &matrix, [&below], [&mut state], &mut room, keep);
    let (c, h) = state.split_at(len);
    for at in 0..len {
        let rows = naive([0, 1, 2, 3].map(|gate| z[gate * len + at]), c_before[at]);
        for (which, expected) in rows[..5].iter().enumerate() {
            let found = kept[(at / LANES * 5 + which) * LANES + at % LANES];
            assert!((found - expected).abs() < 1e-12);
        }
        assert!((c[at] - rows[4]).abs() < 1e-12 && (h[at] - rows[5]).abs() < 1e-12);
    }
    let [mut dc, mut dz, mut h_again] =
        [dc_after.clone(), vec![f64::NAN; 4 * len], vec![f64::NAN; len]];
    let values = CellValues { kept, c_before };
    let dh = [&above[..], &after];
    lstm_cell_backward(InstructionSet::PORTABLE, values, dh, &mut dc, &mut dz, &mut h_again);
    assert_eq!(h_again, h);
    for at in 0..len {
        let z_at = [0, 1, 2, 3].map(|gate| z[gate * len + at]);
        let of_state = |z: [f64; 4], before: f64| {
            let [.., c, h] = naive(z, before);
            (above[at] + after[at]) * h + dc_after[at] * c
        };
        let step = 1e-6;
        for gate in 0..4 {
            let moved = |by: f64| {
                let mut z = z_at;
                z[gate] += by;
                of_state(z, c_before[at])
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * step);
            assert!((dz[gate * len + at] - difference).abs() < 1e-8);
        }
        let moved = |by: f64| of_state(z_at, c_before[at] + by);
        assert!((dc[at] - (moved(step) - moved(-step)) / (2.0 * step)).abs() < 1e-8);
    }
}

/// What a step leaves of two blocks: the states, and what was kept.
fn step(
    set: InstructionSet,
    [matrix, below, before]: [&[f32]; 3],
    abreast: bool,
    past_caches: bool,
) -> [Vec<f32>; 2] {
    let (mut states, len) = (before.to_vec(), before.len() / 4);
    let mut kept = vec![f32::NAN; 10 * len + LANES];
    let kept = aligned(&mut kept, 10 * len);
    let mut room = vec![f32::NAN; 2 * len];
    let (first, second) = states.split_at_mut(2 * len);
    let (below, other_below) = below.split_at(below.len() / 2);
    if abreast {
        let keep = Kept { rows: kept, past_caches };
        lstm_cell(set, matrix, [below, other_below], [first, second], &mut room, keep);
    } else {
        let (rows, others) = kept.split_at_mut(5 * len);
        let keep = |rows| Kept { rows, past_caches };
        lstm_cell(set, matrix, [below], [first], &mut room[..len], keep(rows));
        lstm_cell(set, matrix, [other_below], [second], &mut room[..len], keep(others));
    }
    streamed();
    [states, kept.to_vec()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_instruction_set_gives_the_same_bits_and_so_do_blocks_abreast(
        hidden in 1usize..24, inputs in 1usize..24, seed: u64,
    ) {
        let len = hidden * LANES;
        let matrix = numbers(seed, (1 + hidden + inputs) * 4 * hidden);
        let rest = numbers(seed ^ 1, 2 * (inputs * LANES + 2 * len));
        let (below, before) = rest.split_at(2 * inputs * LANES);
        let all = [&matrix[..], below, before];
        let expected = step(InstructionSet::PORTABLE, all, false, false);
        let [states, kept] = &expected;
        for block in 0..2 {
            let (c, h) = before[2 * block * len..][..2 * len].split_at(len);
            let below = &below[block * inputs * LANES..][..inputs * LANES];
            let sums = naive_sums(&wide(&matrix), &wide(&[h, below].concat()));
            for at in 0..len {
                let z = [0, 1, 2, 3].map(|gate| sums[gate * len + at]);
                let h_after = naive(z, f64::from(c[at]))[5];
                let found = f64::from(states[(2 * block + 1) * len + at]);
                prop_assert!((found - h_after).abs() < 1e-5, "{found} {h_after}");
            }
        }
        for set in InstructionSet::available() {
            for (abreast, past_caches) in [(false, false), (false, true), (true, false), (true, true)] {
                let found = step(set, all, abreast, past_caches);
                for (found, expected) in found.iter().zip(&expected) {
                    prop_assert!(same_bits(found, expected), "{set}, abreast {abreast}");
                }
            }
            let (mut alone, mut room) = (before[..2 * len].to_vec(), vec![f32::NAN; len]);
            let below = [&below[..inputs * LANES]];
            let nothing = Kept { rows: &mut [], past_caches: true };
            lstm_cell(set, &matrix, below, [&mut alone], &mut room, nothing);
            prop_assert!(same_bits(&alone, &states[..2 * len]), "{set}");
        }
        let back = |set: InstructionSet, c_before: &[f32]| {
            let values = CellValues { kept: &kept[..5 * len], c_before };
            let (mut dc, mut dz, mut h) = (before[..len].to_vec(), vec![0.0; 4 * len], vec![0.0; len]);
            let dh = [&before[len..2 * len], &before[2 * len..3 * len]];
            lstm_cell_backward(set, values, dh, &mut dc, &mut dz, &mut h);
            [dc, dz, h].concat()
        };
        let kept_before = &kept[5 * len..];
        let c_before: Vec<f32> =
            kept_before.chunks(LANES).skip(4).step_by(5).flatten().copied().collect();
        let expected = back(InstructionSet::PORTABLE, &c_before);
        prop_assert!(same_bits(&expected[5 * len..], &states[len..2 * len]));
        for set in InstructionSet::available() {
            prop_assert!(same_bits(&back(set, &c_before), &expected), "{set}");
            prop_assert!(same_bits(&back(set, kept_before), &expected), "{set}");
        }
    }
}
