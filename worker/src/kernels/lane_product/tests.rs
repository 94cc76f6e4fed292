use super::*;
use crate::kernels::test_support::{numbers, same_bits};
use proptest::prelude::*;

fn naive_product(matrix: &[f32], columns: usize, operand: &[f32], out: &mut [f32]) {
    for (at, out) in out.iter_mut().enumerate() {
        let (row, lane) = (at / LANES, at % LANES);
        *out = operand
            .chunks(LANES)
            .zip(matrix[columns..].chunks(columns))
            .fold(matrix[row], |sum, (x, weights)| x[lane].mul_add(weights[row], sum));
    }
}

fn naive_gradient(times: usize, operand: &[f32], cotangent: &[f32], sums: &mut [f32]) {
    let (depth, rows) = (operand.len() / times, cotangent.len() / times);
    for (at, place) in sums.iter_mut().enumerate() {
        let (d, row, lane) = (at / rows, at % rows / LANES, at % LANES);
        let sum = (0..times).fold(0.0f32, |sum, t| {
            let x = operand[t * depth + d * LANES + lane];
            x.mul_add(cotangent[t * rows + row * LANES + lane], sum)
        });
        *place += sum;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_instruction_set_does_what_the_naive_one_does(
        depth in 1usize..24, quarter in 1usize..24, more in 0usize..3, times in 1usize..6, seed: u64,
    ) {
        let (rows, columns) = (4 * quarter, 4 * quarter + more);
        let matrix = numbers(seed, (1 + depth) * columns);
        let rest = numbers(seed, depth * rows * LANES + times * (depth + rows) * LANES);
        let (start, rest) = rest.split_at(depth * rows * LANES);
        let (operand, cotangent) = rest.split_at(times * depth * LANES);
        let once = &operand[..depth * LANES];
        let (first, second) = once.split_at(depth / 2 * LANES);
        let mut expected = vec![f32::NAN; rows * LANES];
        naive_product(&matrix, columns, once, &mut expected);
        let mut expected_sums = start.to_vec();
        let depths = depth / 2;
        let parts = operand.split_at(times * depths * LANES);
        let (sums_of_first, sums_of_second) = expected_sums.split_at_mut(depths * rows * LANES);
        naive_gradient(times, parts.0, cotangent, sums_of_first);
        naive_gradient(times, parts.1, cotangent, sums_of_second);
        let other: Vec<f32> = once.iter().map(|x| 0.5 - x).collect();
        let mut expected_of_other = expected.clone();
        naive_product(&matrix, columns, &other, &mut expected_of_other);
        let (first_of_other, second_of_other) = other.split_at(depth / 2 * LANES);
        for set in InstructionSet::available() {
            let mut out = vec![f32::NAN; rows * LANES];
            lane_product(set, &matrix, &[[first], [second]], [&mut out], &Ahead::none());
            prop_assert!(same_bits(&out, &expected), "{set}");
            let mut pair = [vec![f32::NAN; rows * LANES], vec![f32::NAN; rows * LANES]];
            let operands = [[first, first_of_other], [second, second_of_other]];
            let outs = pair.each_mut().map(|out| &mut out[..]);
            lane_product(set, &matrix, &operands, outs, &Ahead::none());
            prop_assert!(same_bits(&pair[0], &expected), "{set}, abreast");
            prop_assert!(same_bits(&pair[1], &expected_of_other), "{set}, abreast");
            let mut sums = start.to_vec();
            lane_weight_gradient(set, times, &[parts.0, parts.1], cotangent, &mut sums);
            prop_assert!(same_bits(&sums, &expected_sums), "{set}");
        }
    }
}
