//! What a flat vector of meta-parameters consists of: names, shapes, offsets, and how each part begins.

use crate::seed::Generator;

/// Whether an entry is trained by the meta-optimizer or carried along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Moved by the meta-gradient.
    Trained,
    /// A running value, such as batch norm's statistics: its "gradient" is the value's change.
    Buffer,
}

/// The distribution that an entry's initial values are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initialisation {
    /// All the same.
    Constant(f32),
    /// Uniform in `[low, high)`.
    Uniform(f32, f32),
    /// Normal with mean zero and this standard deviation.
    Normal(f32),
    /// The identity matrix of so many rows.
    Identity(usize),
}

impl Initialisation {
    fn fill(self, generator: &mut Generator, values: &mut [f32]) {
        for (place, value) in values.iter_mut().enumerate() {
            *value = match self {
                Self::Constant(constant) => constant,
                Self::Uniform(low, high) => generator.uniform(low, high),
                Self::Normal(deviation) => deviation * generator.normal(),
                Self::Identity(rows) => f32::from(place.is_multiple_of(rows + 1)),
            };
        }
    }
}

/// A named tensor within the flat vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// PyTorch's name for it, such as `encoder.0.conv.weight`.
    pub name: String,
    /// PyTorch's shape, such as `[out, in, 3, 3]`.
    pub shape: Vec<usize>,
    /// Where it starts in the flat vector.
    pub offset: usize,
    /// Trained or carried along.
    pub role: Role,
    /// How it begins.
    pub initialisation: Initialisation,
}

impl Entry {
    /// How many numbers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its place in the flat vector.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// The entries of a flat vector, one after the other without gaps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    entries: Vec<Entry>,
}

impl Layout {
    /// A layout of no entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry behind those that are there.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        role: Role,
        initialisation: Initialisation,
    ) {
        let offset = self.len();
        self.entries.push(Entry {
            name: name.into(),
            shape: shape.to_vec(),
            offset,
            role,
            initialisation,
        });
    }

    /// The entries, in the vector's order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The length of the flat vector.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.last().map_or(0, |last| last.offset + last.len())
    }

    /// The trained entries alone, in order.
    #[must_use]
    pub fn trained(&self) -> Self {
        let mut trained = Self::new();
        for entry in self.entries.iter().filter(|entry| entry.role == Role::Trained) {
            trained.push(&*entry.name, &entry.shape, entry.role, entry.initialisation);
        }
        trained
    }

    /// Whether the vector is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Draws initial values for every entry, in order, from one stream.
    #[must_use]
    pub fn initialise(&self, generator: Generator) -> Vec<f32> {
        let mut values = vec![0.0; self.len()];
        self.initialise_into(generator, &mut values);
        values
    }

    /// As [`Layout::initialise`], into `values`.
    ///
    /// # Panics
    /// Where `values` is shorter than the layout.
    pub fn initialise_into(&self, mut generator: Generator, values: &mut [f32]) {
        for entry in &self.entries {
            entry.initialisation.fill(&mut generator, &mut values[entry.range()]);
        }
    }

    /// The same entries, all normal with this deviation at first.
    #[must_use]
    pub fn with_normal(mut self, deviation: f32) -> Self {
        for entry in &mut self.entries {
            entry.initialisation = Initialisation::Normal(deviation);
        }
        self
    }

    /// Feeds names, shapes and roles to a hash, each behind its length, so that no two layouts feed the same bytes.
    pub(crate) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        let mut bytes = Vec::new();
        let number =
            |n: usize, bytes: &mut Vec<u8>| bytes.extend_from_slice(&(n as u64).to_le_bytes());
        number(self.entries.len(), &mut bytes);
        for entry in &self.entries {
            number(entry.name.len(), &mut bytes);
            bytes.extend_from_slice(entry.name.as_bytes());
            number(entry.shape.len(), &mut bytes);
            entry.shape.iter().for_each(|&extent| number(extent, &mut bytes));
            number(usize::from(entry.role == Role::Buffer), &mut bytes);
        }
        hasher.update(&bytes);
    }
}
