//! The places of a batch: rows of channels, or images that are pooled.

/// The extents of `[rows, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) rows: usize,
    pub(crate) channels: usize,
}

impl Grid {
    /// How many numbers it has.
    pub(crate) fn len(self) -> usize {
        self.rows * self.channels
    }
}

/// The extents of images that are pooled, `[images, height, width, channels]`. An odd last row or column falls off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) images: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Pool {
    /// How many numbers go in.
    pub(crate) fn input_len(self) -> usize {
        self.images * self.height * self.width * self.channels
    }

    /// How many numbers come out.
    pub(crate) fn output_len(self) -> usize {
        self.images * (self.height / 2) * (self.width / 2) * self.channels
    }
}

/// What is swept over. An odd last row or column of an image is in no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    /// Every place.
    Rows(Grid),
    /// The windows of images that are pooled.
    Windows(Pool),
}

impl Places {
    /// Numbers of what is not pooled.
    pub(crate) fn full_len(self) -> usize {
        match self {
            Self::Rows(grid) => grid.len(),
            Self::Windows(pool) => pool.input_len(),
        }
    }

    /// Numbers of what is pooled.
    pub(crate) fn pooled_len(self) -> usize {
        match self {
            Self::Rows(grid) => grid.len(),
            Self::Windows(pool) => pool.output_len(),
        }
    }

    /// Numbers at a place.
    #[inline]
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::Rows(grid) => grid.channels,
            Self::Windows(pool) => pool.channels,
        }
    }

    /// Those of `some` images of all that there are.
    pub(crate) fn of_images(self, all: usize, some: usize) -> Self {
        match self {
            Self::Rows(grid) => Self::Rows(Grid { rows: grid.rows / all * some, ..grid }),
            Self::Windows(pool) => Self::Windows(Pool { images: some, ..pool }),
        }
    }

    /// All places, pooled or not.
    pub(crate) fn grid(self) -> Grid {
        Grid { rows: self.full_len() / self.channels(), channels: self.channels() }
    }
}
