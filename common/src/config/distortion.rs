//! Distortions of training images.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::validate::{range, within};

/// Affine distortions, drawn for each training image anew (Koch et al. 2015, section 3.2, whose ranges are the defaults).
/// Each of the seven numbers that make one up (an angle, two shears, two scales, two shifts) is drawn with the same
/// probability, and left alone else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistortionConfig {
    /// The largest angle to either side, in degrees.
    pub rotation: f32,
    /// The largest shear in either direction, rows by columns and columns by rows.
    pub shear: f32,
    /// Rows and columns are each scaled by a factor in this range.
    pub scale: [f32; 2],
    /// The largest shift in either direction, as a share of the rows or columns.
    pub shift: f32,
    /// How likely each of the seven is drawn.
    pub probability: f32,
}

impl Default for DistortionConfig {
    fn default() -> Self {
        // Two of 105 pixels.
        let shift = 0.019;
        Self { rotation: 10.0, shear: 0.3, scale: [0.8, 1.2], shift, probability: 0.5 }
    }
}

impl DistortionConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        within("episode.distortion.rotation", self.rotation, 0.0, 180.0)?;
        within("episode.distortion.shear", self.shear, 0.0, 10.0)?;
        range("episode.distortion.scale", self.scale)?;
        for factor in self.scale {
            within("episode.distortion.scale", factor, 0.01, 100.0)?;
        }
        within("episode.distortion.shift", self.shift, 0.0, 1.0)?;
        within("episode.distortion.probability", self.probability, 0.0, 1.0)
    }
}
