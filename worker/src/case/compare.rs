//! How far a result is from what another framework found.

use super::read::{Case, CaseError, CaseResult, Expected};

/// How far single precision may be from double, in norms; see [`Comparison::agrees`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// ‖ĝ − g‖ ≤ this · ‖g‖ over all parameters together.
    pub gradient: f64,
    /// ‖ĝₜ − gₜ‖ ≤ this · ‖gₜ‖ + `whole` · ‖g‖ for each tensor.
    pub tensor: f64,
    /// The share of the whole gradient's norm, or of all changes': a bias ahead of a batch norm has a gradient of zero, and a
    /// constant channel's statistics stay where they are.
    pub whole: f64,
    /// The loss, relative.
    pub loss: f64,
    /// Each output, of the largest one's magnitude.
    pub output: f64,
    /// ‖ĉ − c‖ ≤ this · ‖c‖ + `whole` · ‖all c‖ for each of batch norm's running statistics, which change by c.
    pub change: f64,
}

impl Tolerance {
    /// What a single-precision implementation keeps.
    pub const SINGLE: Self =
        Self { gradient: 2e-5, tensor: 2e-4, whole: 2e-6, loss: 1e-5, output: 2e-5, change: 2e-5 };
}

/// The errors of a result against expectations.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// ‖ĝ − g‖ / ‖g‖.
    pub gradient_error: f64,
    /// The tensor that uses most of what its tolerance allows.
    pub worst_tensor: String,
    /// How much of it that tensor uses: 1 is all.
    pub worst_tensor_share: f64,
    /// |l̂ − l| / |l|.
    pub loss_error: f64,
    /// max |ô − o| / max |o|.
    pub output_error: f64,
    /// The largest error of a running statistic, relative to ‖c‖ with its part of all of them; none where none are expected.
    pub change_error: Option<f64>,
}

impl CaseResult {
    /// ‖ĝ‖.
    #[must_use]
    pub fn gradient_norm(&self) -> f64 {
        norm(self.meta_gradient.iter().map(|&value| f64::from(value)))
    }

    /// The errors against what `case` expects; none where it expects nothing.
    ///
    /// # Errors
    /// Where the expectations have other tensors than the result.
    pub fn compare(
        &self,
        case: &Case,
        tolerance: &Tolerance,
    ) -> Result<Option<Comparison>, CaseError> {
        let Some(expected) = &case.expected else { return Ok(None) };
        let is_unknown = |name: &&String| self.layout.get(name).is_none();
        if let Some(name) = expected.meta_gradient.keys().find(is_unknown) {
            let problem = "is no meta-parameter of this learner".to_owned();
            return Err(case.tensor_error(&format!("expect/meta_gradient/{name}"), problem));
        }
        let output_error = self.output_error(case, expected)?;
        let change_error = self.change_error(case, expected, tolerance)?;
        let whole =
            norm(expected.meta_gradient.values().flat_map(|tensor| tensor.values.iter().copied()));
        let mut squared = 0.0;
        let mut worst = (String::new(), -1.0);
        for entry in self.layout.entries() {
            let found = &self.meta_gradient[entry.range()];
            let name = format!("expect/meta_gradient/{}", entry.name);
            let tensor = expected
                .meta_gradient
                .get(&entry.name)
                .filter(|tensor| tensor.shape == entry.shape)
                .ok_or_else(|| {
                    case.tensor_error(&name, format!("the shape {:?} is needed", entry.shape))
                })?;
            let error = norm(
                found.iter().zip(&tensor.values).map(|(&found, &wanted)| f64::from(found) - wanted),
            );
            squared += error * error;
            let allowed =
                tolerance.tensor * norm(tensor.values.iter().copied()) + tolerance.whole * whole;
            let share = relative(error, allowed);
            if share > worst.1 || share.is_nan() {
                worst = (entry.name.clone(), share);
            }
        }
        Ok(Some(Comparison {
            gradient_error: relative(squared.sqrt(), whole),
            worst_tensor: worst.0,
            worst_tensor_share: worst.1,
            loss_error: relative((self.loss - expected.loss).abs(), expected.loss.abs()),
            output_error,
            change_error,
        }))
    }

    fn output_error(&self, case: &Case, expected: &Expected) -> Result<f64, CaseError> {
        let wanted = &expected.output.values;
        if wanted.len() != self.output.len() {
            let problem = format!("{} numbers are needed", self.output.len());
            return Err(case.tensor_error("expect/output", problem));
        }
        let largest = wanted.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let differences = self
            .output
            .iter()
            .zip(wanted)
            .map(|(&found, &wanted)| (f64::from(found) - wanted).abs());
        Ok(relative(differences.fold(0.0, larger), largest))
    }

    fn change_error(
        &self,
        case: &Case,
        expected: &Expected,
        tolerance: &Tolerance,
    ) -> Result<Option<f64>, CaseError> {
        let all = norm(expected.changes.values().flat_map(|tensor| tensor.values.iter().copied()));
        let floor = all * tolerance.whole / tolerance.change;
        let mut worst: Option<f64> = None;
        for (name, wanted) in &expected.changes {
            let wanted = &wanted.values;
            let found = self.changes.get(name).filter(|found| found.len() == wanted.len());
            let found = found.ok_or_else(|| {
                let problem = "is no running statistic of this learner, or of another length";
                case.tensor_error(&format!("expect/change/{name}"), problem.to_owned())
            })?;
            let differences = found.iter().zip(wanted).map(|(&f, &w)| f64::from(f) - w);
            let error = relative(norm(differences), norm(wanted.iter().copied()) + floor);
            worst = Some(worst.map_or(error, |worst| larger(worst, error)));
        }
        Ok(worst)
    }
}

impl Comparison {
    /// Whether every error is within `tolerance`, the one that the comparison was made with.
    #[must_use]
    pub fn agrees(&self, tolerance: &Tolerance) -> bool {
        self.gradient_error <= tolerance.gradient
            && self.worst_tensor_share <= 1.0
            && self.loss_error <= tolerance.loss
            && self.output_error <= tolerance.output
            && self.change_error.is_none_or(|error| error <= tolerance.change)
    }
}

/// An error of what is so large; none of what is nothing, where nothing was found.
fn relative(error: f64, whole: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / whole }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// The larger one; NaN, which must fail, where one is: `f64::max` drops it.
fn larger(a: f64, b: f64) -> f64 {
    if a >= b || a.is_nan() { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;

    fn case(name: &str) -> Case {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
        Case::read(&folder.join(name)).unwrap()
    }

    /// The expectations themselves, rounded to single precision.
    fn exact(case: &Case) -> CaseResult {
        let expected = case.expected.as_ref().unwrap();
        let layout = case.few_shot().unwrap().layout.trained();
        let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let meta_gradient = layout
            .entries()
            .iter()
            .flat_map(|entry| single(&expected.meta_gradient[&entry.name].values))
            .collect();
        let changes = expected
            .changes
            .iter()
            .map(|(name, tensor)| (name.clone(), single(&tensor.values)))
            .collect();
        CaseResult {
            loss: expected.loss,
            output: single(&expected.output.values),
            meta_gradient,
            layout,
            changes,
        }
    }

    #[test]
    fn the_expectations_agree_with_themselves_and_one_wrong_number_does_not() {
        let tolerance = Tolerance::SINGLE;
        for name in ["maml_stride_1step", "meta_sgd_stride_2step", "maml_sinusoid", "prototypical"]
        {
            let case = case(name);
            let mut result = exact(&case);
            assert!(
                result.compare(&case, &tolerance).unwrap().unwrap().agrees(&tolerance),
                "{name}"
            );

            let entry = result.layout.entries().last().unwrap().clone();
            result.meta_gradient[entry.offset] = f32::NAN;
            let comparison = result.compare(&case, &tolerance).unwrap().unwrap();
            assert_eq!(comparison.worst_tensor, entry.name);
            assert!(!comparison.agrees(&tolerance), "{name}");
        }
    }

    #[test]
    fn nothing_is_expected_where_nothing_is_found() {
        let mut case = case("maml_sinusoid");
        let mut result = exact(&case);
        let expected = case.expected.as_mut().unwrap();
        expected.loss = 0.0;
        let tensors = expected.meta_gradient.values_mut().chain([&mut expected.output]);
        tensors.for_each(|tensor| tensor.values.fill(0.0));
        result.loss = 0.0;
        result.output.fill(0.0);
        result.meta_gradient.fill(-0.0);
        let tolerance = Tolerance::SINGLE;
        let comparison = result.compare(&case, &tolerance).unwrap().unwrap();
        assert!(comparison.agrees(&tolerance), "{comparison:?}");
        result.output[1] = 1e-30;
        let comparison = result.compare(&case, &tolerance).unwrap().unwrap();
        assert!(!comparison.agrees(&tolerance), "{comparison:?}");
    }

    #[test]
    fn what_is_expected_of_no_meta_parameter_is_named() {
        let mut case = case("maml_sinusoid");
        let result = exact(&case);
        let expected = case.expected.as_mut().unwrap();
        let (name, tensor) = expected.meta_gradient.iter_mut().next().unwrap();
        let name = name.clone();
        tensor.shape.push(1);
        let extra = tensor.clone();
        let compared =
            |case: &Case| result.compare(case, &Tolerance::SINGLE).unwrap_err().to_string();
        let error = compared(&case);
        assert!(error.contains(&format!("`expect/meta_gradient/{name}`: the shape")), "{error}");
        case.expected.as_mut().unwrap().meta_gradient.insert("extra".to_owned(), extra);
        assert!(compared(&case).contains("`expect/meta_gradient/extra`: is no meta-parameter"));
    }

    #[test]
    fn one_output_that_is_no_number_does_not_agree() {
        let case = case("maml_sinusoid");
        let mut result = exact(&case);
        result.output[0] = f32::NAN;
        let comparison = result.compare(&case, &Tolerance::SINGLE).unwrap().unwrap();
        assert!(!comparison.agrees(&Tolerance::SINGLE), "{comparison:?}");
    }

    #[test]
    fn running_statistics_are_compared_where_they_are_expected_to_change() {
        let (case, tolerance) = (case("maml_plus_plus"), Tolerance::SINGLE);
        let mut result = exact(&case);
        let comparison = result.compare(&case, &tolerance).unwrap().unwrap();
        assert!(comparison.change_error.is_some() && comparison.agrees(&tolerance));

        let name = "step.1.encoder.2.norm.running_var";
        result.changes.get_mut(name).unwrap()[0] *= 1.01;
        let comparison = result.compare(&case, &tolerance).unwrap().unwrap();
        assert!(!comparison.agrees(&tolerance), "{comparison:?}");

        result.changes.remove(name);
        let error = result.compare(&case, &tolerance).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }

    #[test]
    fn every_kind_of_case_is_read() {
        let names = [
            "learned_optimizer_mlp",
            "learned_optimizer_quadratic",
            "learned_optimizer_pes",
            "learned_optimizer_memory",
        ];
        for name in names {
            let case = case(name);
            assert!(
                case.expected.as_ref().is_some_and(|expected| !expected.meta_gradient.is_empty()),
                "{name}"
            );
            let error = case.few_shot().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("no support and query sets"), "{error}");
        }
    }

    #[test]
    fn images_are_channels_last_and_labels_one_hot() {
        let case = case("maml_rgb_2step");
        let few_shot = case.few_shot().unwrap();
        let x = &case.episode["support.x"].values;
        let (pixels, pixel) = (33 * 33, 40);
        for channel in 0..3 {
            assert_eq!(
                f64::from(few_shot.episode.support.inputs[3 * pixel + channel]),
                x[channel * pixels + pixel]
            );
        }
        let targets = &few_shot.episode.support.targets;
        assert_eq!(targets[..10], [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(targets.iter().sum::<f32>(), 10.0);
    }
}
