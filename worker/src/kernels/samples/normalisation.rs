//! Batch norm, ReLU and max pool of conv4's first block, forward and backward.

use super::{Sample, numbers};
use crate::kernels::normalisation::{input, normalise, sums};
use crate::kernels::statistics::{EPSILON, statistics};
use crate::kernels::{InstructionSet, Places, Pool, SomeRows};

const EXTENT: usize = 28;
const PLACES: usize = EXTENT * EXTENT;
const WINDOWS: usize = PLACES / 4;
const CHANNELS: usize = 64;
const POOLED: Places =
    Places::Windows(Pool { images: 1, height: EXTENT, width: EXTENT, channels: CHANNELS });

fn all_rows() -> SomeRows {
    SomeRows { grid: POOLED.grid(), before: 0, all: PLACES }
}

/// The four places of a window.
fn places_of(window: usize) -> [usize; 4] {
    let (row, column) = (window / (EXTENT / 2), window % (EXTENT / 2));
    let first = 2 * row * EXTENT + 2 * column;
    [first, first + 1, first + EXTENT, first + EXTENT + 1]
}

/// x̂ = (x − μ) / √(σ² + ε);  y = max(0, γ x̂ + β), the largest of a window.
pub(super) fn forward() -> Sample {
    let (x, affine) = (numbers(PLACES * CHANNELS), numbers(2 * CHANNELS));
    let (image, scales, mut moments) = (x.clone(), affine.clone(), vec![0.0; 2 * CHANNELS]);
    Sample {
        name: "batch norm, ReLU and max pool of 28x28x64",
        work: PLACES * CHANNELS,
        output: vec![0.0; WINDOWS * CHANNELS],
        call: Box::new(move |set, out| {
            statistics(set, all_rows(), &image, &mut moments);
            normalise(set, POOLED, [&image, &moments, &scales], out);
        }),
        naive: Box::new(move |out| {
            for c in 0..CHANNELS {
                let (gamma, beta) = (affine[c], affine[CHANNELS + c]);
                let x = |place: usize| x[place * CHANNELS + c];
                let (mut mean, mut variance) = (0.0f32, 0.0f32);
                for place in 0..PLACES {
                    mean += x(place) / PLACES as f32;
                }
                for place in 0..PLACES {
                    variance += (x(place) - mean) * (x(place) - mean) / PLACES as f32;
                }
                let r = 1.0 / (variance + EPSILON as f32).sqrt();
                for window in 0..WINDOWS {
                    let y = places_of(window).map(|place| gamma * ((x(place) - mean) * r) + beta);
                    out[window * CHANNELS + c] = y.into_iter().fold(0.0, f32::max);
                }
            }
        }),
    }
}

/// z = ∂y at a window's largest where y > 0, else 0;  ∂γ = Σ z x̂,  ∂β = Σ z;  ∂x = γ r (z − (∂β + x̂ ∂γ) / M).
pub(super) fn backward() -> Sample {
    let (x, affine) = (numbers(PLACES * CHANNELS), numbers(2 * CHANNELS));
    let dy = numbers(WINDOWS * CHANNELS);
    let mut moments = vec![0.0; 2 * CHANNELS];
    statistics(InstructionSet::PORTABLE, all_rows(), &x, &mut moments);
    let (image, scales, cotangent) = (x.clone(), affine.clone(), dy.clone());
    let (given, mut totals) = (moments.clone(), vec![0.0; 2 * CHANNELS]);
    Sample {
        name: "gradient of batch norm, ReLU and max pool of 28x28x64",
        work: PLACES * CHANNELS,
        output: vec![0.0; PLACES * CHANNELS],
        call: Box::new(move |set, out| {
            sums(set, (POOLED, false), [&image, &given, &scales, &cotangent], &mut totals);
            input(set, (POOLED, PLACES), [&image, &given, &scales, &cotangent, &totals], out);
        }),
        naive: Box::new(move |out| {
            for c in 0..CHANNELS {
                let (mean, r) = (moments[c], moments[CHANNELS + c]);
                let (gamma, beta) = (affine[c], affine[CHANNELS + c]);
                let x_hat = |place: usize| (x[place * CHANNELS + c] - mean) * r;
                let y = |place: usize| gamma * x_hat(place) + beta;
                let (mut dgamma, mut dbeta) = (0.0f32, 0.0f32);
                for window in 0..WINDOWS {
                    let places = places_of(window);
                    let mut largest = places[0];
                    for place in places {
                        out[place * CHANNELS + c] = 0.0;
                        largest = if y(place) > y(largest) { place } else { largest };
                    }
                    if y(largest) > 0.0 {
                        let z = dy[window * CHANNELS + c];
                        out[largest * CHANNELS + c] = z;
                        dgamma += z * x_hat(largest);
                        dbeta += z;
                    }
                }
                for place in 0..PLACES {
                    let out = &mut out[place * CHANNELS + c];
                    *out = gamma * r * (*out - (dbeta + x_hat(place) * dgamma) / PLACES as f32);
                }
            }
        }),
    }
}
