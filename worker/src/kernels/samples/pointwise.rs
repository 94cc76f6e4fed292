//! Maps over vectors, and the softmax of rows.

use super::{Sample, numbers};
use crate::kernels::pointwise::{add_scaled, tanh_of};
use crate::kernels::softmax;

const LENGTH: usize = 10_000;

pub(super) fn sum_of_vectors() -> Sample {
    let x = numbers(LENGTH);
    let same = x.clone();
    Sample {
        name: "x + 0.3 x over 10000 numbers",
        work: LENGTH,
        output: vec![0.0; LENGTH],
        call: Box::new(move |set, out| {
            out.copy_from_slice(&same);
            add_scaled(set, 0.3, &same, out);
        }),
        naive: Box::new(move |out| {
            for (out, x) in out.iter_mut().zip(&x) {
                *out = 0.3f32.mul_add(*x, *x);
            }
        }),
    }
}

pub(super) fn hyperbolic_tangents() -> Sample {
    let x = numbers(LENGTH);
    let same = x.clone();
    Sample {
        name: "tanh of 10000 numbers",
        work: LENGTH,
        output: vec![0.0; LENGTH],
        call: Box::new(move |set, out| tanh_of(set, &same, out)),
        naive: Box::new(move |out| {
            for (out, x) in out.iter_mut().zip(&x) {
                *out = libm::tanhf(*x);
            }
        }),
    }
}

const WAYS: usize = 20;

pub(super) fn probabilities() -> Sample {
    let logits = numbers(LENGTH);
    let same = logits.clone();
    Sample {
        name: "softmax of 500 rows of 20",
        work: LENGTH,
        output: vec![0.0; LENGTH],
        call: Box::new(move |set, out| softmax(set, WAYS, &same, out)),
        naive: Box::new(move |out| {
            for (out, logits) in out.chunks_exact_mut(WAYS).zip(logits.chunks_exact(WAYS)) {
                let mut total = 0.0;
                for (out, logit) in out.iter_mut().zip(logits) {
                    *out = libm::expf(*logit);
                    total += *out;
                }
                out.iter_mut().for_each(|out| *out /= total);
            }
        }),
    }
}
