use std::fs;

use lyceum_common::ids::MetaStep;
use lyceum_common::layout::Layout;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::report::{Estimate, ReportSums};
use tempfile::TempDir;

use super::{History, Metrics, Timing, tensorboard};
use crate::run::{Report, ReportKind, Snapshot};
use crate::run_folder::RunFolder;

fn report(kind: ReportKind, step: u64) -> Report {
    let loss = Estimate { mean: 0.5, interval: 0.125 };
    let accuracy = Some(Estimate { mean: 0.75, interval: 0.25 });
    Report { kind, step: MetaStep(step), episodes: 8, loss, accuracy, workers: 2 }
}

fn timing() -> Timing {
    Timing { seconds: 1.5, episodes_per_second: 64.0, wall_time: 1e9 }
}

fn snapshot(step: u64, validated: bool) -> Snapshot {
    let layout = std::sync::Arc::new(Layout::new());
    Snapshot {
        step: MetaStep(step),
        parameters: MetaParameters::new(layout, Vec::new()).unwrap(),
        optimizer: Default::default(),
        best: None,
        validated,
        unreported: ReportSums::default(),
    }
}

#[test]
fn a_line_has_what_the_report_has() {
    let runs = TempDir::new().unwrap();
    let folder = RunFolder::create(runs.path(), "run", "").unwrap();
    let mut metrics = Metrics::open(&folder, None, 1e9).unwrap();
    metrics.write(&report(ReportKind::Training, 10), timing()).unwrap();
    let line = fs::read_to_string(folder.metrics()).unwrap();
    assert_eq!(
        line,
        concat!(
            r#"{"step":10,"kind":"training","loss":0.5,"loss_interval":0.125,"accuracy":0.75,"#,
            r#""accuracy_interval":0.25,"episodes":8,"episodes_per_second":64.0,"workers":2,"#,
            "\"seconds\":1.5,\"session\":1}\n"
        )
    );
}

#[test]
fn a_history_adds_up_the_times_that_a_run_was_begun() {
    let runs = TempDir::new().unwrap();
    let folder = RunFolder::create(runs.path(), "run", "").unwrap();
    let mut metrics = Metrics::open(&folder, None, 1e9).unwrap();
    assert_eq!(History::read(&folder).unwrap(), History::default());
    use ReportKind::{Test, Training, Validation};
    for (kind, step, seconds) in
        [(Training, 10, 4.0), (Validation, 10, 5.0), (Training, 20, 3.0), (Test, 20, 9.0)]
    {
        metrics.write(&report(kind, step), Timing { seconds, ..timing() }).unwrap();
    }
    let history = History::read(&folder).unwrap();
    assert_eq!(history.seconds, 8.0, "five before it was stopped, three after, and no test");
    let test = history.test.unwrap();
    assert_eq!((test.episodes, test.accuracy.unwrap().mean), (8, 0.75));
}

#[test]
fn a_test_on_one_episode_and_one_that_diverged_are_read_again() {
    let runs = TempDir::new().unwrap();
    let folder = RunFolder::create(runs.path(), "run", "").unwrap();
    let mut metrics = Metrics::open(&folder, None, 1e9).unwrap();
    let unknown = |mean| Estimate { mean, interval: f64::NAN };
    for (loss, expected) in [(0.5, Some(0.5)), (f64::INFINITY, None)] {
        let test = Report {
            loss: unknown(loss),
            accuracy: Some(unknown(0.75)),
            ..report(ReportKind::Test, 10)
        };
        metrics.write(&test, timing()).unwrap();
        let test = History::read(&folder).unwrap().test.unwrap();
        let accuracy = test.accuracy.unwrap();
        assert_eq!(Some(test.loss.mean).filter(|mean| mean.is_finite()), expected);
        assert_eq!((accuracy.mean, accuracy.half_width()), (0.75, None));
        assert_eq!(test.loss.half_width(), None);
    }
}

#[test]
fn a_history_adds_up_times_though_the_clock_does_not_fall() {
    let runs = TempDir::new().unwrap();
    let folder = RunFolder::create(runs.path(), "run", "").unwrap();
    // As an older version wrote it, and then two processes of this one.
    let old =
        r#"{"step":1,"kind":"training","loss":0.5,"loss_interval":0.1,"episodes":8,"seconds":2.0}"#;
    fs::write(folder.metrics(), format!("{old}\n")).unwrap();
    for (step, seconds) in [(2, 3.0), (3, 4.0)] {
        let mut metrics = Metrics::open(&folder, Some(&snapshot(step - 1, true)), 1e9).unwrap();
        let timing = Timing { seconds, ..timing() };
        metrics.write(&report(ReportKind::Training, step), timing).unwrap();
        metrics.sync().unwrap();
    }
    assert_eq!(History::read(&folder).unwrap().seconds, 2.0 + 3.0 + 4.0);
}

#[test]
fn a_resumed_run_has_each_step_once() {
    let runs = TempDir::new().unwrap();
    let folder = RunFolder::create(runs.path(), "run", "").unwrap();
    let mut metrics = Metrics::open(&folder, None, 1e9).unwrap();
    use ReportKind::{Test, Training, Validation};
    for (kind, step) in [(Training, 10), (Validation, 10), (Training, 20), (Test, 20)] {
        metrics.write(&report(kind, step), timing()).unwrap();
    }
    let mut text = fs::read_to_string(folder.metrics()).unwrap();
    text.push_str("{\"step\":5,\"ki");
    fs::write(folder.metrics(), text).unwrap();
    let kept = |snapshot| {
        Metrics::open(&folder, Some(&snapshot), 1e9).unwrap();
        fs::read_to_string(folder.metrics()).unwrap().lines().count()
    };
    assert_eq!(kept(snapshot(20, true)), 3, "the test comes again, and half a line goes");
    assert_eq!(kept(snapshot(10, true)), 2);
    assert_eq!(kept(snapshot(10, false)), 1, "the validation comes again");
    assert_eq!(fs::read_dir(folder.tensorboard()).unwrap().count(), 4, "a file each start");
}

#[test]
fn a_test_that_diverged_is_read_again() {
    let runs = TempDir::new().unwrap();
    let folder = RunFolder::create(runs.path(), "run", "").unwrap();
    let mut metrics = Metrics::open(&folder, None, 1e9).unwrap();
    let loss = Estimate { mean: f64::INFINITY, interval: f64::NAN };
    metrics.write(&Report { loss, ..report(ReportKind::Test, 3) }, timing()).unwrap();
    let test = History::read(&folder).unwrap().test.unwrap();
    assert!(test.loss.mean.is_nan() && test.loss.interval.is_nan(), "{test:?}");
    assert_eq!(test.accuracy, report(ReportKind::Test, 3).accuracy);
}

#[test]
fn event_files_are_tensorflows_records() {
    // What TensorFlow's own writer begins every event file with, at the wall time 1e9.
    let mut event = vec![0x09];
    event.extend_from_slice(&1e9f64.to_le_bytes());
    event.extend_from_slice(b"\x1a\x0dbrain.Event:2");
    let runs = TempDir::new().unwrap();
    let folder = RunFolder::create(runs.path(), "run", "").unwrap();
    let mut metrics = Metrics::open(&folder, None, 1e9).unwrap();
    let path = folder.tensorboard().join("events.out.tfevents.1000000000.0");
    let header = fs::read(&path).unwrap();
    assert_eq!(header, tensorboard::record(&event));
    assert_eq!(header[..8], 24u64.to_le_bytes());
    // The masked CRC of the length 24, as it stands in TensorFlow's files with this first record.
    assert_eq!(header[8..12], [0xa3, 0x7f, 0x4b, 0x22]);
    metrics.write(&report(ReportKind::Test, 3), timing()).unwrap();
    let all = fs::read(&path).unwrap();
    let tag = b"test/accuracy\x15\x00\x00\x40\x3f";
    assert!(all.windows(tag.len()).any(|window| window == tag), "0.75 under its tag");
}

#[test]
fn a_new_run_takes_the_next_free_name() {
    let runs = TempDir::new().unwrap();
    let names = [(); 3].map(|()| {
        let folder = RunFolder::create(runs.path(), "run", "name = \"run\"\n").unwrap();
        let opened = RunFolder::open(folder.path()).unwrap();
        assert_eq!(opened.config(), "name = \"run\"\n");
        assert!(folder.checkpoints().is_dir() && folder.tensorboard().is_dir());
        folder.path().file_name().unwrap().to_owned()
    });
    assert_eq!(names, ["run", "run-2", "run-3"]);
    let missing = RunFolder::open(runs.path().join("none")).unwrap_err();
    assert!(missing.to_string().contains("none"), "{missing}");
}
