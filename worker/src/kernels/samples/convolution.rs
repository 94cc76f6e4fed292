//! The convolution of conv4's second block, by Winograd's filtering, and its gradient by the filters.

use super::{Sample, in_panels, numbers, small_numbers};
use crate::kernels::{
    Filters, InstructionSet, Winograd, filter_gradient, panels, transform_filters,
    winograd_gradient, winograd_product,
};

const EXTENT: usize = 14;
const PLACES: usize = EXTENT * EXTENT;
const CHANNELS: usize = 64;
const TAPS: usize = 9;
const WEIGHTS: usize = TAPS * CHANNELS * CHANNELS;
const FILTERS: Filters = Filters { inputs: CHANNELS, outputs: CHANNELS, turned: false };

fn winograd() -> Winograd {
    Winograd::new([1, EXTENT, EXTENT], (CHANNELS, CHANNELS))
}

/// What a place of the output sees through a tap, unless that is beyond the border.
fn seen(place: usize, tap: usize) -> Option<usize> {
    let row = (place / EXTENT + tap / 3).checked_sub(1)?;
    let column = (place % EXTENT + tap % 3).checked_sub(1)?;
    (row < EXTENT && column < EXTENT).then_some(row * EXTENT + column)
}

/// `y[place, n] = Σ over taps, c of x[seen through the tap, c] w[tap, c, n]`.
pub(super) fn forward() -> Sample {
    let (x, w) = (small_numbers(PLACES * CHANNELS), numbers(WEIGHTS));
    let mut transformed = vec![0.0; FILTERS.transformed_len()];
    let in_panels = in_panels(&w, TAPS * CHANNELS, CHANNELS);
    transform_filters(InstructionSet::PORTABLE, FILTERS, &in_panels, &mut transformed);
    let (winograd, image) = (winograd(), x.clone());
    Sample {
        name: "convolution of 14x14x64 with 64 filters",
        work: PLACES * WEIGHTS,
        output: vec![0.0; PLACES * CHANNELS],
        call: Box::new(move |set, out| {
            winograd_product(set, &winograd, None, &[(&image, &transformed)], out);
        }),
        naive: Box::new(move |out| {
            for (at, out) in out.iter_mut().enumerate() {
                let (place, n) = (at / CHANNELS, at % CHANNELS);
                *out = 0.0;
                for tap in 0..TAPS {
                    let Some(from) = seen(place, tap) else { continue };
                    for c in 0..CHANNELS {
                        let w = w[(tap * CHANNELS + c) * CHANNELS + n];
                        *out = x[from * CHANNELS + c].mul_add(w, *out);
                    }
                }
            }
        }),
    }
}

/// `∂w[tap, c, n] = Σ over places of x[seen through the tap, c] ∂y[place, n]`.
pub(super) fn gradient() -> Sample {
    let (x, dy) = (small_numbers(PLACES * CHANNELS), numbers(PLACES * CHANNELS));
    let mut transformed = vec![0.0; FILTERS.transformed_len()];
    let (winograd, image, cotangent) = (winograd(), x.clone(), dy.clone());
    Sample {
        name: "gradient by 64 filters over 14x14x64",
        work: PLACES * WEIGHTS,
        output: vec![0.0; WEIGHTS],
        call: Box::new(move |set, out| {
            let terms = [(&image[..], &cotangent[..])];
            winograd_gradient(set, &winograd, &terms, (&mut transformed, true));
            filter_gradient(set, FILTERS, &transformed, out);
        }),
        naive: Box::new(move |out| {
            for (out, plain) in out.iter_mut().zip(panels(TAPS * CHANNELS, CHANNELS)) {
                let (row, n) = (plain / CHANNELS, plain % CHANNELS);
                let (tap, c) = (row / CHANNELS, row % CHANNELS);
                *out = 0.0;
                for place in 0..PLACES {
                    let Some(from) = seen(place, tap) else { continue };
                    *out = x[from * CHANNELS + c].mul_add(dy[place * CHANNELS + n], *out);
                }
            }
        }),
    }
}
