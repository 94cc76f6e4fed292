use std::fs;
use std::sync::Arc;

use lyceum_common::ids::{Digest, MetaStep};
use lyceum_common::layout::{Initialisation, Layout, Role};
use lyceum_common::parameters::MetaParameters;
use lyceum_common::report::{EpisodeReport, ReportSums};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    Checkpoint, CheckpointError, at, kept, model_config, newest, read, read_model, write,
    write_model,
};
use crate::run::{Best, Snapshot};

fn layout(name: &str, length: usize) -> Arc<Layout> {
    let mut layout = Layout::new();
    layout.push("head.weight", &[2, 2], Role::Trained, Initialisation::Constant(0.0));
    layout.push(name, &[length], Role::Trained, Initialisation::Constant(0.0));
    Arc::new(layout)
}

fn snapshot(step: u64) -> Snapshot {
    let parameters = |scale: f32| {
        let values: Vec<f32> = (0..7).map(|i| scale / (i as f32 + 0.3)).collect();
        MetaParameters::new(layout("head.bias", 3), values).unwrap()
    };
    let sums = ReportSums::from(EpisodeReport { loss: 1.0 / 3.0, accuracy: 0.1 });
    Snapshot {
        step: MetaStep(step),
        parameters: parameters(1.0),
        optimizer: [("adam.first_moment".to_owned(), vec![0.1; 7])].into(),
        best: Some(Best { step: MetaStep(step - 1), parameters: parameters(-2.0), sums }),
        validated: true,
        unreported: sums.plus(sums),
    }
}

const CONFIG: &str = "name = \"x\"\n";

/// To the bit.
fn assert_is(found: Checkpoint, written: Snapshot) {
    assert_eq!(found.config, CONFIG);
    let (found, best) = (found.snapshot, written.best.unwrap());
    assert_eq!(found.step, written.step);
    assert_eq!(found.parameters.digest(), written.parameters.digest());
    assert_eq!(found.optimizer, written.optimizer);
    assert_eq!((found.validated, found.unreported), (written.validated, written.unreported));
    let found = found.best.unwrap();
    assert_eq!(found.parameters.digest(), best.parameters.digest());
    assert_eq!((found.step, found.sums), (best.step, best.sums));
}

#[test]
fn a_checkpoint_reads_back_to_the_bit() {
    let folder = TempDir::new().unwrap();
    let path = write(folder.path(), &snapshot(12), CONFIG, None).unwrap();
    assert_is(read(&path, &layout("head.bias", 3)).unwrap(), snapshot(12));
}

#[test]
fn a_checkpoint_says_which_data_pack_it_was_trained_on() {
    let folder = TempDir::new().unwrap();
    for pack in [Some(Digest::of(b"pack")), None] {
        let path = write(folder.path(), &snapshot(12), CONFIG, pack).unwrap();
        assert_eq!(read(&path, &layout("head.bias", 3)).unwrap().pack, pack);
    }
}

#[test]
fn only_the_newest_few_are_kept_and_a_torn_write_is_ignored() {
    let folder = TempDir::new().unwrap();
    for step in [10, 20, 30, 40, 1_000_000] {
        write(folder.path(), &snapshot(step), "", None).unwrap();
    }
    // A crash in the middle of the next.
    let torn = folder.path().join(".lyceum-partial-1");
    fs::write(&torn, b"\x99garbage").unwrap();
    let layout = layout("head.bias", 3);
    let newest = || newest(folder.path(), &layout).unwrap().unwrap();
    assert!(newest().path.ends_with("step-1000000.safetensors"), "{:?}", newest().path);
    assert_eq!(newest().checkpoint.snapshot.step.0, 1_000_000);
    for gone in [10, 20] {
        assert!(!folder.path().join(format!("step-{gone:06}.safetensors")).exists());
    }
    fs::remove_file(folder.path().join("latest")).unwrap();
    assert_eq!(
        newest().checkpoint.snapshot.step.0,
        1_000_000,
        "the highest step, without a pointer"
    );
    assert!(newest().passed_over.is_empty());
    write(folder.path(), &snapshot(1_000_010), "", None).unwrap();
    assert!(!torn.exists());
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_newest_whole_one() {
    let folder = TempDir::new().unwrap();
    let layout = layout("head.bias", 3);
    assert!(newest(folder.path(), &layout).unwrap().is_none(), "none was written yet");
    let paths =
        [10, 20, 30].map(|step| write(folder.path(), &snapshot(step), CONFIG, None).unwrap());
    let damage = |path, how: fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(path).unwrap();
        how(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    let passed_over = |step: u64| {
        let newest = newest(folder.path(), &layout).unwrap().unwrap();
        assert_is(newest.checkpoint, snapshot(step));
        newest.passed_over.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(passed_over(30).is_empty());

    damage(&paths[2], |bytes| bytes.truncate(bytes.len() - 1));
    let errors = passed_over(20);
    assert!(errors.len() == 1 && errors[0].contains("step-000030.safetensors"), "{errors:?}");

    // The last tensor by name is the meta-optimizer's, which the digests of parameters do not cover.
    damage(&paths[1], |bytes| *bytes.last_mut().unwrap() ^= 1);
    let errors = passed_over(10);
    assert!(errors.len() == 2 && errors[1].contains("step-000020.safetensors"), "{errors:?}");
    assert!(errors[1].contains("its checksum is"), "{errors:?}");

    damage(&paths[0], Vec::clear);
    let error = newest(folder.path(), &layout).unwrap_err().to_string();
    assert!(error.contains("step-000030.safetensors: not a whole checkpoint"), "{error}");
    assert!(error.contains("nor is an older one") && error.contains("a new run"), "{error}");
}

#[test]
fn another_layout_is_named_by_its_first_tensor() {
    let folder = TempDir::new().unwrap();
    let path = write(folder.path(), &snapshot(12), "", None).unwrap();
    let refused = |layout| match read(&path, &layout).unwrap_err() {
        error @ CheckpointError::OtherLayout { .. } => error.to_string(),
        error => panic!("{error}"),
    };
    let missing = refused(layout("head.gain", 3));
    assert!(missing.contains("it has no tensor `head.gain`"), "{missing}");
    assert!(missing.contains("step-000012.safetensors: a checkpoint of another layout"));
    let shape = refused(layout("head.bias", 4));
    assert!(shape.contains("`head.bias` is F32 [3], where the run has F32 [4]"), "{shape}");
    let mut smaller = Layout::new();
    smaller.push("head.weight", &[2, 2], Role::Trained, Initialisation::Constant(0.0));
    let surplus = refused(Arc::new(smaller));
    assert!(surplus.contains("the run has no tensor `head.bias`"), "{surplus}");
}

#[test]
fn parameters_alone_read_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    let parameters = snapshot(1).parameters;
    write_model(&path, &parameters, CONFIG).unwrap();
    let found = read_model(&path, &layout("head.bias", 3)).unwrap();
    assert_eq!(found.digest(), parameters.digest());
    assert_eq!(model_config(&path).unwrap().as_deref(), Some(CONFIG));
    let missing = read_model(&folder.path().join("none"), &layout("head.bias", 3)).unwrap_err();
    assert!(missing.to_string().contains("none"));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    for damaged in [&bytes[..], &bytes[..bytes.len() / 2], b"none"] {
        fs::write(&path, damaged).unwrap();
        let error = read_model(&path, &layout("head.bias", 3)).unwrap_err();
        assert!(matches!(error, CheckpointError::DamagedModel { .. }), "{error}");
        let remedy = format!("`lyceum train --resume {}` writes it anew", folder.path().display());
        assert!(error.to_string().contains(&remedy), "{error}");
    }
}

#[test]
fn a_checkpoint_is_found_by_its_meta_step_and_else_those_that_are_kept_are_told() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let missing = || at(folder, MetaStep(20)).unwrap_err().to_string();
    let begins = format!("{}: no checkpoint of meta-step 20 is kept: ", folder.display());
    assert_eq!(missing(), format!("{begins}there are none"));
    for step in [9, 1_000_000] {
        let path = write(folder, &snapshot(step), CONFIG, None).unwrap();
        assert_eq!(at(folder, MetaStep(step)).unwrap(), path);
    }
    assert_eq!(kept(folder).unwrap(), [MetaStep(9), MetaStep(1_000_000)]);
    assert_eq!(missing(), format!("{begins}there are 9, 1000000"));
}

proptest! {
    #[test]
    fn damage_is_an_error_and_never_a_panic(at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
        let folder = TempDir::new().unwrap();
        let path = write(folder.path(), &snapshot(12), CONFIG, None).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        fs::write(&path, bytes).unwrap();
        let result = read(&path, &layout("head.bias", 3));
        prop_assert!(!cut || result.is_err());
        if let Ok(found) = result {
            // Such as the case of a hexadecimal digit of the checksum.
            assert_is(found, snapshot(12));
        }
    }
}
