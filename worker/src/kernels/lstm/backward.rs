//! A cell's way back, element by element.

use crate::kernels::lanes::{LANES, Lanes};
use crate::kernels::real::Real;
use crate::kernels::transcendental::tanh;
use crate::kernels::{InstructionSet, Kernel};

/// What [`lstm_cell_backward`] reads of the forward pass: what the step kept, and the c of the step before it.
#[derive(Clone, Copy)]
pub(crate) struct CellValues<'a, T> {
    pub(crate) kept: &'a [T],
    /// Either c alone, or what the step before kept.
    pub(crate) c_before: &'a [T],
}

/// The cotangents of the gates' sums from those of the state, and the state's h once more. The cotangent of h comes in two
/// parts, from above and from the time after; `dc` goes in as that of c from the time after and comes out as that of
/// `c_before`.
pub(crate) fn lstm_cell_backward<T: Real>(
    instruction_set: InstructionSet,
    values: CellValues<'_, T>,
    dh: [&[T]; 2],
    dc: &mut [T],
    dz: &mut [T],
    h: &mut [T],
) {
    let len = dc.len();
    let CellValues { kept, c_before } = values;
    assert!(len.is_multiple_of(LANES), "whole rows");
    assert!(kept.len() == 5 * len && dz.len() == 4 * len, "four gates, and c");
    assert!(c_before.len() == len || c_before.len() == 5 * len, "c, or what was kept");
    assert!([dh[0].len(), dh[1].len(), h.len()] == [len; 3], "rows of one number");
    let (c_before, stride) =
        if c_before.len() == len { (c_before, 1) } else { (&c_before[4 * LANES..], 5) };
    T::dispatch(instruction_set, CellBackward { kept, c_before, stride, dh, dc, dz, h });
}

struct CellBackward<'a, T> {
    kept: &'a [T],
    c_before: &'a [T],
    stride: usize,
    dh: [&'a [T]; 2],
    dc: &'a mut [T],
    dz: &'a mut [T],
    h: &'a mut [T],
}

impl<T: Real> Kernel<T> for CellBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let len = self.dc.len();
        for at in (0..len).step_by(LANES) {
            // SAFETY: `lstm_cell_backward` has settled the lengths, and the caller has the instructions.
            unsafe {
                let one = L::splat(T::ONE);
                let zero = L::splat(T::ZERO);
                let kept = self.kept.as_ptr().add(5 * at);
                let [i, f, g, o, c] = [0, 1, 2, 3, 4].map(|which| L::load(kept.add(which * LANES)));
                let before = L::load(self.c_before.as_ptr().add(self.stride * at));
                let tanh_c = tanh(c);
                o.mul(tanh_c).store(self.h.as_mut_ptr().add(at));
                let [above, after] = self.dh.map(|dh| L::load(dh.as_ptr().add(at)));
                let dh = above.add(after);
                let slope = one.mul_add(zero.sub(tanh_c), tanh_c);
                let by_o = dh.mul(o);
                let dc = L::load(self.dc.as_ptr().add(at)).mul_add(by_o, slope);
                let (by_i, by_f) = (dc.mul(i), dc.mul(f));
                let dz = [
                    by_i.mul(g).mul(one.sub(i)),
                    by_f.mul(before).mul(one.sub(f)),
                    by_i.mul(one.mul_add(zero.sub(g), g)),
                    by_o.mul(tanh_c).mul(one.sub(o)),
                ];
                for (which, dz) in dz.into_iter().enumerate() {
                    dz.store(self.dz.as_mut_ptr().add(which * len + at));
                }
                by_f.store(self.dc.as_mut_ptr().add(at));
            }
        }
    }
}
