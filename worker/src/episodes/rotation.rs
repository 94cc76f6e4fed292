//! Turning images by quarters.

use std::ops::Sub;

/// A multiple of 90°, counter-clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rotation {
    quarters: u32,
}

impl Rotation {
    /// How many there are.
    pub(super) const COUNT: u32 = 4;
    /// No turn.
    pub(super) const NONE: Self = Self { quarters: 0 };

    /// `quarters` × 90°; 0 to 3.
    pub(super) fn of(quarters: u32) -> Self {
        Self { quarters: quarters % Self::COUNT }
    }

    /// Where `(row, column)` of the turned image lies in the image itself, both square with a row `last`: a quarter brings
    /// the right edge to the top. No turn is for any shape.
    pub(super) fn source<T>(self, row: T, column: T, last: T) -> (T, T)
    where
        T: Copy + Sub<Output = T>,
    {
        match self.quarters {
            0 => (row, column),
            1 => (column, last - row),
            2 => (last - row, last - column),
            _ => (last - column, row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(image: &[[u8; 3]; 3], quarters: u32) -> [[u8; 3]; 3] {
        let mut turned = [[0; 3]; 3];
        for (row, pixels) in turned.iter_mut().enumerate() {
            for (column, pixel) in pixels.iter_mut().enumerate() {
                let (from_row, from_column) = Rotation::of(quarters).source(row, column, 2);
                *pixel = image[from_row][from_column];
            }
        }
        turned
    }

    #[test]
    fn a_quarter_turns_counter_clockwise_and_four_turn_back() {
        let image = [[1, 2, 3], [4, 5, 6], [7, 8, 9]];
        assert_eq!(turn(&image, 1), [[3, 6, 9], [2, 5, 8], [1, 4, 7]]);
        let mut turned = image;
        for quarters in 0..4 {
            assert_eq!(turn(&image, quarters), turned);
            turned = turn(&turned, 1);
        }
        assert_eq!(turned, image);
    }
}
