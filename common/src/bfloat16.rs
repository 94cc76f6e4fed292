//! bfloat16: the upper half of an f32, to which the sums of meta-gradients can be rounded (`training.sums`).

use bytes::Bytes;
use multiversion::multiversion;

/// The nearest bfloat16, of two that are as near the even one. What is not a number stays so.
#[must_use]
#[inline(always)]
pub fn round(number: f32) -> u16 {
    let bits = number.to_bits();
    // Only what is not a number wraps, and that is not taken.
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x40;
    (if number.is_nan() { quiet } else { nearest }) as u16
}

/// The number that it is.
#[must_use]
#[inline(always)]
pub(crate) fn widen(rounded: u16) -> f32 {
    f32::from_bits(u32::from(rounded) << 16)
}

/// Rounds numbers where they are, in as wide vectors as the machine has.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub(crate) fn round_all(numbers: &mut [f32]) {
    for number in numbers {
        *number = widen(round(*number));
    }
}

/// The little-endian bytes of numbers that were rounded: two each.
#[must_use]
pub fn to_bytes(rounded: &[f32]) -> Bytes {
    let mut bytes = vec![0; 2 * rounded.len()];
    for (bytes, number) in bytes.chunks_exact_mut(2).zip(rounded) {
        bytes.copy_from_slice(&round(*number).to_le_bytes());
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_a_number_stays_so_whatever_its_bits() {
        for bits in [0x7f80_0001, 0x7fff_ffff, 0xff80_0001, 0xffff_8001, 0xffff_ffff] {
            assert!(widen(round(f32::from_bits(bits))).is_nan(), "{bits:x}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_nearest_and_of_two_the_even_one(bits: u32) {
            let number = f32::from_bits(bits);
            let rounded = round(number);
            if number.is_nan() {
                prop_assert!(widen(rounded).is_nan());
                return Ok(());
            }
            // Its neighbours by size, in a width that holds every distance.
            let distance = |rounded: u16| {
                let far = if rounded & 0x7fff == 0x7f80 { 2f64.powi(128) } else { f64::from(widen(rounded).abs()) };
                (far - f64::from(number.abs()).min(2f64.powi(128))).abs()
            };
            let own = distance(rounded);
            for other in [rounded.wrapping_sub(1), rounded.wrapping_add(1)] {
                if (other ^ rounded) & 0x8000 == 0 && other & 0x7fff <= 0x7f80 {
                    let even = rounded & 1 == 0;
                    prop_assert!(own < distance(other) || (own == distance(other) && even), "{number}");
                }
            }
            prop_assert_eq!(widen(rounded).is_sign_negative(), number.is_sign_negative());
            prop_assert_eq!(round(widen(rounded)), rounded);
        }
    }
}
