//! The inner rates α: one for all, or one for each of a layer's tensors and each step (Antoniou et al. 2019, section 4,
//! "learning per-layer per-step learning rates").

use std::ops::Range;

use lyceum_common::config::{Definition, MamlConfig};
use lyceum_common::layout::Layout;

use crate::kernels::pointwise::{scale, scaled_sum};
use crate::kernels::{InstructionSet, Real, spread_over_lanes};
use crate::ops::inner_product;

/// What the inner loop changes, and how fast.
pub(super) struct InnerRates<T> {
    fixed: T,
    pieces: Vec<Piece>,
    abreast: usize,
}

/// A part of the numbers of the network's parameters that has a rate of its own.
struct Piece {
    parameters: Range<usize>,
    /// Its rates among the meta-parameters, one a step, where they are learned.
    rates: Option<Range<usize>>,
}

impl<T: Real> InnerRates<T> {
    /// Where `abreast` episodes are computed side by side, each parameter is as many numbers.
    pub(super) fn new(config: &MamlConfig, network: &Layout, abreast: usize) -> Self {
        let layout = config.layout(network);
        let mut pieces: Vec<Piece> = Vec::new();
        for entry in config.adapted(network) {
            let rates =
                layout.get(&format!("inner_rate.{}", entry.name)).map(|rates| rates.range());
            let Range { start, end } = entry.range();
            let (start, end) = (start * abreast, end * abreast);
            match pieces.last_mut() {
                Some(last) if rates.is_none() && last.parameters.end == start => {
                    last.parameters.end = end;
                }
                _ => pieces.push(Piece { parameters: start..end, rates }),
            }
        }
        Self { fixed: T::from_f64(f64::from(config.inner_rate)), pieces, abreast }
    }

    /// The rate of all `count` numbers, where it is one and the same in every step.
    pub(super) fn of_all(&self, count: usize) -> Option<T> {
        match &self.pieces[..] {
            [Piece { parameters, rates: None }] if *parameters == (0..count) => Some(self.fixed),
            _ => None,
        }
    }

    /// All parameters that may move in the inner loop.
    pub(super) fn adapted(&self) -> Range<usize> {
        let ends = (self.pieces.first(), self.pieces.last());
        let (Some(first), Some(last)) = ends else { return 0..0 };
        first.parameters.start / self.abreast..last.parameters.end / self.abreast
    }

    /// Whether they are meta-parameters.
    pub(super) fn are_learned(&self) -> bool {
        self.pieces.iter().any(|piece| piece.rates.is_some())
    }

    /// A piece's rate at step k; beyond the last step that one is learned for, the last.
    fn at(&self, piece: &Piece, k: usize, theta: &[T]) -> T {
        let rates = piece.rates.as_ref().map(|rates| &theta[rates.clone()]);
        rates.map_or(self.fixed, |rates| rates[k.min(rates.len() - 1)])
    }

    /// φₖ₊₁ = φₖ − αₖ ∘ g, given φₖ and where to write. Episodes side by side may have φₖ in common.
    pub(super) fn descend(
        &self,
        set: InstructionSet,
        (k, theta): (usize, &[T]),
        g: &[T],
        (phi, next): (&[T], &mut [T]),
    ) {
        let each = next.len() / phi.len();
        let before = |Range { start, end }: Range<usize>| &phi[start / each..end / each];
        let copy = |from: &[T], to: &mut [T]| match each {
            1 => to.copy_from_slice(from),
            _ => spread_over_lanes(set, from, to),
        };
        let mut end = 0;
        for piece in &self.pieces {
            let alpha = self.at(piece, k, theta);
            let at = piece.parameters.clone();
            copy(before(end..at.start), &mut next[end..at.start]);
            end = at.end;
            scaled_sum(set, -alpha, before(at.clone()), &g[at.clone()], &mut next[at]);
        }
        copy(before(end..next.len()), &mut next[end..]);
    }

    /// v = αₖ ∘ λ.
    pub(super) fn direct(
        &self,
        set: InstructionSet,
        (k, theta): (usize, &[T]),
        lambda: &[T],
        v: &mut [T],
    ) {
        for piece in &self.pieces {
            let alpha = self.at(piece, k, theta);
            let at = piece.parameters.clone();
            scale(set, alpha, &lambda[at.clone()], &mut v[at]);
        }
    }

    /// ∂/∂αₖ = −g(φₖ) · λₖ₊₁, for each piece.
    pub(super) fn differentiate(&self, k: usize, g: &[T], lambda: &[T], out: &mut [T]) {
        for piece in &self.pieces {
            if let Some(rates) = &piece.rates {
                let at = piece.parameters.clone();
                out[rates.start + k] = -inner_product(&g[at.clone()], &lambda[at]);
            }
        }
    }
}
