//! The meta-parameters that a run begins with: drawn from its seed, or a model's.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use lyceum_common::config::{InitialisationConfig, RunConfig};
use lyceum_common::ids::Digest;
use lyceum_common::layout::Layout;
use lyceum_common::seed::Seed;
use safetensors::tensor::{Dtype, SafeTensors};

use crate::checkpoint::floats;
use crate::run_folder::{MODEL, RunFolder};

/// Why a run cannot begin with a model's parameters.
#[derive(Debug, thiserror::Error)]
pub enum InitialisationError {
    /// The file system refuses.
    #[error("initialisation.from: {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// It is no such file, or lacks what the run begins with.
    #[error("initialisation.from: {path}: {problem}")]
    Model {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Tensors are to be drawn that the run does not have, or all that it has.
    #[error("initialisation.drawn: {0}")]
    Drawn(String),
    /// It is not the file that the run began with.
    #[error("initialisation.digest: {path} is {found}, and the run begins with {expected}")]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: Digest,
        /// The digest that the configuration has.
        expected: Digest,
    },
}

/// The first parameters, and the digest of the file that they come from, if from one.
pub(crate) fn initial_parameters(
    config: &RunConfig,
    layout: &Layout,
) -> Result<(Vec<f32>, Option<Digest>), InitialisationError> {
    // Whatever is drawn has the numbers that it has where all is.
    let mut values = layout.initialise(Seed::of_run(config.seed).initialisation());
    let digest = match &config.initialisation {
        None => None,
        Some(initialisation) => Some(take_over(initialisation, layout, &mut values)?),
    };
    Ok((values, digest))
}

/// Notes down in a new run's configuration which file its parameters come from, if from one.
///
/// # Errors
/// Where they cannot be read, or are not such as the run has.
pub(crate) fn note_file(
    config: &mut RunConfig,
    layout: &Arc<Layout>,
) -> Result<(), InitialisationError> {
    let (_, digest) = initial_parameters(config, layout)?;
    if let Some(initialisation) = &mut config.initialisation {
        initialisation.digest = digest.map(|digest| digest.to_string());
    }
    Ok(())
}

/// Overwrites all that is not to be drawn, and returns the file's digest.
fn take_over(
    config: &InitialisationConfig,
    layout: &Layout,
    values: &mut [f32],
) -> Result<Digest, InitialisationError> {
    let (path, bytes) = read(config)?;
    let wrong = |problem| InitialisationError::Model { path: path.clone(), problem };
    let digest = Digest::of(&bytes);
    let expected = config.digest.as_ref().and_then(|digest| digest.parse().ok());
    if let Some(expected) = expected.filter(|&expected| expected != digest) {
        return Err(InitialisationError::OtherFile { path, found: digest, expected });
    }
    check_drawn(config, layout)?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|error| wrong(format!("not a safetensors file: {error}")))?;
    for entry in layout.entries().iter().filter(|entry| !config.draws(&entry.name)) {
        let name = &entry.name;
        let Ok(tensor) = tensors.tensor(name) else {
            return Err(wrong(format!("it has no tensor `{name}`, as the run has{REMEDY}")));
        };
        let (found, expected) = (tensor.shape(), &entry.shape[..]);
        if found != expected {
            return Err(wrong(format!(
                "`{name}` is {found:?}, where the run has {expected:?}{REMEDY}"
            )));
        }
        if tensor.dtype() != Dtype::F32 {
            let kind = tensor.dtype();
            return Err(wrong(format!("`{name}` is {kind:?}: convert the file's tensors to F32")));
        }
        for (value, of_file) in values[entry.range()].iter_mut().zip(floats(tensor.data())) {
            if !of_file.is_finite() {
                return Err(wrong(format!("`{name}` holds {of_file}")));
            }
            *value = of_file;
        }
    }
    Ok(digest)
}

/// What mends it where a tensor is not there, or is another.
const REMEDY: &str = ": initialisation.drawn has it drawn where it is named there";

fn read(config: &InitialisationConfig) -> Result<(PathBuf, Vec<u8>), InitialisationError> {
    let is_folder = config.from.is_dir();
    let path = if is_folder { config.from.join(MODEL) } else { config.from.clone() };
    // A folder may be no run's, and hold a model all the same.
    let is_over = || RunFolder::open(&config.from).map_or(path.exists(), |run| run.is_over());
    if is_folder && !is_over() {
        let problem = format!(
            "holds no {MODEL} of a run that is over; `lyceum export` writes a checkpoint's parameters"
        );
        return Err(InitialisationError::Model { path: config.from.clone(), problem });
    }
    match std::fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(source) => Err(InitialisationError::Io { path, source }),
    }
}

fn check_drawn(config: &InitialisationConfig, layout: &Layout) -> Result<(), InitialisationError> {
    let names: Vec<_> = layout.entries().iter().map(|entry| entry.name.as_str()).collect();
    let problem = if let Some(part) = config.surplus(&names) {
        let parts: BTreeSet<_> = names.iter().flat_map(|name| name.split('.')).collect();
        let parts = parts.into_iter().collect::<Vec<_>>().join(", ");
        format!(
            "`{part}` is no part of a tensor's name, which are what stands between dots: {parts}"
        )
    } else if names.iter().all(|name| config.draws(name)) {
        "all tensors would be drawn, and the file would not matter".to_owned()
    } else {
        return Ok(());
    };
    Err(InitialisationError::Drawn(problem))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lyceum_common::config::load;
    use lyceum_common::parameters::MetaParameters;

    use super::*;
    use crate::checkpoint::write_model;
    use crate::enterprise::layout_of;

    /// A configuration that begins with `from`.
    fn config(preset: &str, from: &Path, overrides: &[&str]) -> RunConfig {
        let mut overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
        overrides.push(format!("initialisation.from={}", from.display()));
        load(preset, &overrides).unwrap()
    }

    fn initial(config: &RunConfig) -> Result<(Vec<f32>, Option<Digest>), String> {
        let layout = layout_of(config).unwrap();
        initial_parameters(config, &layout).map_err(|error| error.to_string())
    }

    /// A model of prototypical networks, all of whose numbers are 0.5 more than they begin with.
    fn model(path: &Path) -> MetaParameters {
        let config = load("omniglot-prototypical-5w1s", &[]).unwrap();
        let layout = layout_of(&config).unwrap();
        let values = layout.initialise(Seed::of_run(7).initialisation());
        let values: Vec<f32> = values.iter().map(|value| value + 0.5).collect();
        let parameters = MetaParameters::new(layout, values).unwrap();
        write_model(path, &parameters, "").unwrap();
        parameters
    }

    #[test]
    fn tensors_are_taken_by_name_and_the_others_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(MODEL);
        let model = model(&file);
        let prototypical = config("omniglot-prototypical-5w1s", &file, &[]);
        assert_eq!(initial(&prototypical).unwrap().0, **model.values());

        // Of the folder, by a learner with a head beside the same encoder.
        let drawn = "initialisation.drawn=[\"head\"]";
        let encoder = ["network.conv4.downsample=max_pool", "network.conv4.features=flatten"];
        let maml =
            |from: &Path| config("omniglot-maml-5w1s", from, &[drawn, encoder[0], encoder[1]]);
        let (values, digest) = initial(&maml(folder.path())).unwrap();
        assert_eq!(digest, Some(Digest::of(&std::fs::read(&file).unwrap())));
        let layout = layout_of(&maml(&file)).unwrap();
        let seeds = layout.initialise(Seed::of_run(0).initialisation());
        for entry in layout.entries() {
            let of_model = model.layout().get(&entry.name).map(|of| &model.values()[of.range()]);
            let expected = of_model.unwrap_or(&seeds[entry.range()]);
            assert_eq!(&values[entry.range()], expected, "{}", entry.name);
            assert_eq!(of_model.is_none(), entry.name.starts_with("head."), "{}", entry.name);
        }
    }

    #[test]
    fn a_new_run_notes_down_the_file_and_refuses_another() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.safetensors");
        model(&file);
        let mut config = config("omniglot-prototypical-5w1s", &file, &[]);
        let layout = layout_of(&config).unwrap();
        note_file(&mut config, &layout).unwrap();
        assert!(initial(&config).is_ok());
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let error = initial(&config).unwrap_err();
        assert!(error.starts_with("initialisation.digest: "), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        let error = |preset: &str, from: &Path, overrides: &[&str]| {
            initial(&config(preset, from, overrides)).unwrap_err()
        };
        let preset = "omniglot-prototypical-5w1s";
        assert!(error(preset, &file, &[]).starts_with("initialisation.from: "));
        assert!(error(preset, folder.path(), &[]).contains("of a run that is over"));
        std::fs::write(&file, "a text").unwrap();
        assert!(error(preset, &file, &[]).contains("not a safetensors file"));
        model(&file);
        let pool = "network.conv4.downsample=max_pool";
        let missing = error("omniglot-maml-5w1s", &file, &[pool]);
        assert!(missing.contains("no tensor `head.weight`"), "{missing}");
        let smaller = error(preset, &file, &["network.conv4.filters=32"]);
        assert!(smaller.contains("[64, 1, 3, 3], where the run has [32, 1, 3, 3]"), "{smaller}");
        let unknown = error(preset, &file, &["initialisation.drawn=[\"hed\"]"]);
        assert!(unknown.contains("`hed` is no part of a tensor's name"), "{unknown}");
        let all = error(preset, &file, &["initialisation.drawn=[\"encoder\"]"]);
        assert!(all.contains("all tensors"), "{all}");
    }
}
