use super::{LANES, Lanes};
use crate::kernels::test_support::numbers;
use crate::kernels::{InstructionSet, Kernel, Real};

/// What one instruction set may do otherwise than another: signed zeros, subnormal numbers, infinities, no numbers.
const SPECIAL: [f32; LANES] = [
    0.0,
    -0.0,
    0.5,
    1.5,
    -2.5,
    0.499_999_97,
    8_388_609.0,
    f32::MIN_POSITIVE,
    1e-40,
    -1e-45,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    1.0,
];

/// The operations that take any number, on three vectors.
struct Arithmetic([[f32; LANES]; 3]);

impl Kernel<f32> for Arithmetic {
    type Output = Vec<f32>;

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = f32>>(self) -> Vec<f32> {
        let mut results = Vec::new();
        // SAFETY: the arrays have sixteen places.
        unsafe {
            let [a, b, c] = self.0.map(|lanes| L::load(lanes.as_ptr()));
            for result in [
                a.add(b),
                a.sub(b),
                a.mul(b),
                a.div(b),
                a.mul_add(b, c),
                a.sqrt(),
                a.max(b),
                a.min(b),
                a.if_greater(b, c, a),
                a.if_equal(b, c, a),
            ] {
                let mut lanes = [0.0; LANES];
                result.store(lanes.as_mut_ptr());
                results.extend(lanes);
            }
            results.push(a.sum());
        }
        results
    }
}

/// The operations on exponents, of integers and of positive normal numbers.
struct Exponents([f32; LANES], [f32; LANES]);

impl Kernel<f32> for Exponents {
    type Output = [[f32; LANES]; 3];

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = f32>>(self) -> [[f32; LANES]; 3] {
        // SAFETY: the arrays have sixteen places.
        unsafe {
            let shifted = L::load(self.0.as_ptr()).add(L::splat(f32::from_f64(f32::ROUND)));
            let power = L::splat(1.75).times_exp2(shifted);
            let (exponent, mantissa) = L::load(self.1.as_ptr()).exponent_and_mantissa();
            [power, exponent, mantissa].map(|result| {
                let mut lanes = [0.0; LANES];
                result.store(lanes.as_mut_ptr());
                lanes
            })
        }
    }
}

/// Loads and stores the first few lanes.
struct First(usize);

impl Kernel<f32> for First {
    type Output = [[f32; LANES]; 2];

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = f32>>(self) -> [[f32; LANES]; 2] {
        // Not a place more than may be read.
        let from = SPECIAL[LANES - self.0..].to_vec().into_boxed_slice();
        let (mut loaded, mut stored) = ([7.0; LANES], [7.0; LANES]);
        // SAFETY: `from` has that many places, the arrays sixteen.
        unsafe {
            L::load_first(from.as_ptr(), self.0).store(loaded.as_mut_ptr());
            L::splat(1.0).store_first(stored.as_mut_ptr(), self.0);
        }
        [loaded, stored]
    }
}

/// Equal to the bit, where it is a number: the bits of what is none are the machine's.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

fn rotated(lanes: [f32; LANES], by: usize) -> [f32; LANES] {
    std::array::from_fn(|i| lanes[(i + by) % LANES])
}

#[test]
fn every_instruction_set_agrees_on_zeros_infinities_and_no_numbers() {
    let random: [f32; LANES] = std::array::from_fn(|i| numbers(5, LANES)[i]);
    for (i, third) in (0..LANES).flat_map(|i| [(i, SPECIAL), (i, random)]) {
        let operands = || Arithmetic([SPECIAL, rotated(SPECIAL, i), rotated(third, 3 * i)]);
        let expected = f32::dispatch(InstructionSet::PORTABLE, operands());
        for set in InstructionSet::available() {
            for (place, (found, expected)) in
                f32::dispatch(set, operands()).into_iter().zip(&expected).enumerate()
            {
                assert!(same(found, *expected), "{set}, {i}, {place}: {found:?}, {expected:?}");
            }
        }
    }
}

#[test]
fn every_instruction_set_takes_exponents_apart_and_puts_them_together() {
    for k in (-126..=127).step_by(LANES) {
        let integers: [f32; LANES] = std::array::from_fn(|i| (k + i as i32).min(127) as f32);
        let normal = integers.map(|k| 1.75 * 2.0f32.powi(k as i32));
        for set in InstructionSet::available() {
            let [power, exponent, mantissa] = f32::dispatch(set, Exponents(integers, normal));
            assert_eq!(power, normal, "{set}");
            assert_eq!((exponent, mantissa), (integers, [1.75; LANES]), "{set}");
        }
    }
}

#[test]
fn every_instruction_set_touches_the_first_lanes_alone() {
    for count in 1..=LANES {
        for set in InstructionSet::available() {
            let [loaded, stored] = f32::dispatch(set, First(count));
            for i in 0..LANES {
                let expected = if i < count { SPECIAL[LANES - count + i] } else { 0.0 };
                assert!(same(loaded[i], expected), "{set}: {:?} at {i} of {count}", loaded[i]);
                assert_eq!(stored[i], if i < count { 1.0 } else { 7.0 }, "{set}: {i} of {count}");
            }
        }
    }
}

/// A square of numbers, transposed.
struct Transpose<'a>(&'a [f32]);

impl Kernel<f32> for Transpose<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = f32>>(self) -> Vec<f32> {
        assert_eq!(self.0.len(), LANES * LANES);
        let mut out = vec![0.0; LANES * LANES];
        // SAFETY: there are sixteen rows of sixteen.
        unsafe {
            let mut rows = [L::splat(0.0); LANES];
            for i in 0..LANES {
                rows[i] = L::load(self.0.as_ptr().add(i * LANES));
            }
            for (j, column) in L::transpose(rows).into_iter().enumerate() {
                column.store(out.as_mut_ptr().add(j * LANES));
            }
        }
        out
    }
}

#[test]
fn every_instruction_set_transposes() {
    let square: Vec<f32> = (0..LANES * LANES).map(|place| place as f32).collect();
    for set in InstructionSet::available() {
        let transposed = f32::dispatch(set, Transpose(&square));
        for (place, value) in transposed.iter().enumerate() {
            assert_eq!(*value, square[place % LANES * LANES + place / LANES], "{set}, {place}");
        }
    }
}
