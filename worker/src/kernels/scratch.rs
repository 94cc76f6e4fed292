//! Room that a thread computes in.

use super::lanes::STREAM_ALIGNMENT;

/// Numbers in cache lines of their own, as many as were ever asked for.
#[derive(Debug, Default)]
pub(super) struct Scratch(Vec<Line>);

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line {
    _bytes: [u8; STREAM_ALIGNMENT],
}

impl Scratch {
    /// Where to write `count` numbers: whatever was there may be gone. What was never written is zero.
    pub(super) fn room<N>(&mut self, count: usize) -> *mut N {
        const { assert!(align_of::<N>() <= align_of::<Line>(), "a line is aligned for it") };
        let lines = (count * size_of::<N>()).div_ceil(size_of::<Line>());
        if self.0.len() < lines {
            self.0.resize(lines, Line { _bytes: [0; STREAM_ALIGNMENT] });
        }
        self.0.as_mut_ptr().cast()
    }
}
