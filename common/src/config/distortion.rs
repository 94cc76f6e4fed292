//! Distortions of training images.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::array;
use super::run::is_zero;
use super::validate::{range, within};

/// Affine distortions (Koch et al. 2015, section 3.2, whose ranges are the defaults). Each of the seven numbers that make
/// one up (an angle, two shears, two scales, two shifts) is drawn with the same probability, and left alone else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistortionConfig {
    /// The largest angle to either side, in degrees.
    pub rotation: f32,
    /// The largest shear in either direction, rows by columns and columns by rows.
    pub shear: f32,
    /// Rows and columns are each scaled by a factor in this range.
    #[serde(deserialize_with = "array::of_length")]
    pub scale: [f32; 2],
    /// The largest shift in either direction, as a share of the rows or columns.
    pub shift: f32,
    /// How likely each of the seven is drawn.
    pub probability: f32,
    /// How likely left and right are exchanged.
    #[serde(skip_serializing_if = "is_zero")]
    pub reflection: f32,
}

impl Default for DistortionConfig {
    fn default() -> Self {
        // Two of 105 pixels.
        let shift = 0.019;
        let (probability, reflection) = (0.5, 0.0);
        Self { rotation: 10.0, shear: 0.3, scale: [0.8, 1.2], shift, probability, reflection }
    }
}

impl DistortionConfig {
    /// Checks what stands under `key`.
    pub(super) fn validate(&self, key: &str) -> Result<(), ConfigError> {
        let key = |of: &str| format!("{key}.{of}");
        within(&key("rotation"), self.rotation, 0.0, 180.0)?;
        within(&key("shear"), self.shear, 0.0, 10.0)?;
        range(&key("scale"), self.scale)?;
        for factor in self.scale {
            within(&key("scale"), factor, 0.01, 100.0)?;
        }
        within(&key("shift"), self.shift, 0.0, 1.0)?;
        within(&key("probability"), self.probability, 0.0, 1.0)?;
        within(&key("reflection"), self.reflection, 0.0, 1.0)
    }
}
