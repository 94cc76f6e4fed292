//! What `lyceum evaluate` found, episode by episode: `evaluations/DIGEST-inductive.json` in a run's folder, or
//! `DIGEST-transductive-3-steps.json` after three inner steps, where DIGEST is that of the episodes' list; of a changed
//! configuration `DIGEST-inductive-set-CHANGES.json`, where CHANGES is the beginning of the changes' digest; of the checkpoint
//! after 200 meta-steps `DIGEST-inductive-after-200.json`; on another data set than in training `DIGEST-inductive-on-DATA.json`,
//! where DATA is the beginning of its name's digest.

use std::io;
use std::path::PathBuf;

use lyceum_common::ids::Digest;
use serde::{Deserialize, Deserializer, Serialize};

use crate::durable;
use crate::run_folder::{RunFolder, RunFolderError};

/// The result of an evaluation of a run's parameters on listed episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptEvaluation {
    /// The digest of the parameters.
    pub parameters: String,
    /// The meta-steps after which these were, where a checkpoint's were asked for in the place of what the run is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta_step: Option<u64>,
    /// Whether validation selected these; nothing in files of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validated: Option<bool>,
    /// The digest of the list of episodes; of episodes that no list names, as in regression, that of what they are drawn from.
    pub episode_list: String,
    /// What the episodes are.
    pub protocol: Protocol,
    /// The kind of data, as in a configuration; of another data set than in training, its name.
    pub data: String,
    /// The split that classes were drawn from.
    pub split: String,
    /// Classes an episode.
    pub ways: usize,
    /// Support examples a class.
    pub shots: usize,
    /// Query examples a class.
    pub queries: usize,
    /// Whether batch norm saw the query examples together.
    pub transductive: bool,
    /// Inner steps, of a learner that takes some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_steps: Option<usize>,
    /// What was changed in the run's configuration, each as `key=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
    /// The share of query examples labelled right, episode by episode; nothing in regression.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "finite_or_nan")]
    pub accuracy: Vec<f64>,
    /// The query loss, episode by episode.
    #[serde(deserialize_with = "finite_or_nan")]
    pub loss: Vec<f64>,
}

/// JSON has null for the numbers of an adaptation that diverged.
fn finite_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let numbers: Vec<Option<f64>> = Vec::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

/// What an evaluation's episodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Drawn from the run's own data set.
    Episodes,
    /// Drawn from another data set than the model was trained on.
    CrossDomain,
    /// Lake's 20 runs of 20-way one-shot classification within an alphabet.
    LakeRuns,
}

impl RunFolder {
    /// Keeps an evaluation, in the place of an earlier one on the same list that was done likewise, and returns its file.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn keep(&self, evaluation: &KeptEvaluation) -> Result<PathBuf, RunFolderError> {
        let folder = self.evaluations();
        let path = folder.join(file_name(evaluation));
        let write = || {
            durable::create_folder(&folder)?;
            durable::write(&path, (serde_json::to_string(evaluation)? + "\n").as_bytes())
        };
        match write() {
            Ok(()) => Ok(path),
            Err(source) => Err(RunFolderError { path, source }),
        }
    }

    /// The evaluations that are kept, or what is wrong with one's file, in the order of the files' names.
    ///
    /// # Errors
    /// Where their folder cannot be read.
    pub fn kept(&self) -> Result<Vec<Result<KeptEvaluation, RunFolderError>>, RunFolderError> {
        let folder = self.evaluations();
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let list = || -> io::Result<Vec<_>> {
            std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect()
        };
        let failed = |path, source| RunFolderError { path, source };
        let mut paths = list().map_err(|source| failed(folder.clone(), source))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let read = |path: PathBuf| {
            let text = std::fs::read(&path);
            let parsed = text.and_then(|text| Ok(serde_json::from_slice(&text)?));
            parsed.map_err(|source| failed(path, source))
        };
        Ok(paths.into_iter().map(read).collect())
    }
}

/// The name of an evaluation's file: what it was done on, and how.
fn file_name(evaluation: &KeptEvaluation) -> String {
    let KeptEvaluation { episode_list, transductive, inner_steps, meta_step, overrides, .. } =
        evaluation;
    // Two names for one data set have one list of episodes; Lake's runs have a list that nothing else has.
    let on = match evaluation.protocol {
        Protocol::CrossDomain => format!("-on-{}", beginning(&evaluation.data)),
        Protocol::Episodes | Protocol::LakeRuns => String::new(),
    };
    let how = if *transductive { "transductive" } else { "inductive" };
    let steps = inner_steps.map_or(String::new(), |steps| format!("-{steps}-steps"));
    let after = meta_step.map_or(String::new(), |step| format!("-after-{step}"));
    format!("{episode_list}-{how}{steps}{after}{}{on}.json", changes(overrides))
}

/// What a file's name says of changes to the configuration.
fn changes(overrides: &[String]) -> String {
    if overrides.is_empty() {
        return String::new();
    }
    format!("-set-{}", beginning(&overrides.join("\n")))
}

/// The beginning of a text's digest, which stands for the text in a file's name.
fn beginning(text: &str) -> String {
    format!("{:.8}", Digest::of(text.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(transductive: bool, accuracy: f64) -> KeptEvaluation {
        KeptEvaluation {
            parameters: "p".into(),
            meta_step: None,
            validated: Some(true),
            episode_list: "l".into(),
            protocol: Protocol::LakeRuns,
            data: "omniglot".into(),
            split: "test".into(),
            ways: 20,
            shots: 1,
            queries: 1,
            transductive,
            inner_steps: None,
            overrides: Vec::new(),
            accuracy: vec![accuracy, 0.1 + 0.2],
            loss: vec![1e-300, 2.5],
        }
    }

    /// What is kept in a folder whose files are whole.
    fn kept(folder: &RunFolder) -> Vec<KeptEvaluation> {
        folder.kept().unwrap().into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn an_evaluation_is_kept_once_a_list_and_a_mode() {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(runs.path(), "run", "").unwrap();
        assert_eq!(kept(&folder), []);
        for kept in [evaluation(true, 0.5), evaluation(false, 0.6), evaluation(true, 0.7)] {
            folder.keep(&kept).unwrap();
        }
        assert_eq!(kept(&folder), [evaluation(false, 0.6), evaluation(true, 0.7)]);
        let diverged = KeptEvaluation { loss: vec![f64::NAN, 2.5], ..evaluation(true, 0.7) };
        folder.keep(&diverged).unwrap();
        let loss = &kept(&folder)[1].loss;
        assert!(loss[0].is_nan() && loss[1] == 2.5, "{loss:?}");
        std::fs::write(folder.evaluations().join("cut.json"), "{ \"parameters\"").unwrap();
        let kept = folder.kept().unwrap();
        let damaged: Vec<_> = kept.iter().filter_map(|kept| kept.as_ref().err()).collect();
        assert!(kept.len() == 3 && damaged.len() == 1, "{kept:?}");
        assert!(damaged[0].to_string().contains("cut.json"), "{damaged:?}");
    }

    #[test]
    fn an_evaluation_without_classes_and_one_of_a_checkpoint_are_kept_beside_others() {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(runs.path(), "run", "").unwrap();
        let all = [
            KeptEvaluation { accuracy: Vec::new(), inner_steps: Some(1), ..evaluation(false, 0.5) },
            KeptEvaluation { meta_step: Some(200), ..evaluation(false, 0.5) },
            evaluation(false, 0.6),
        ];
        let files: Vec<_> = all.iter().map(|kept| folder.keep(kept).unwrap()).collect();
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert!(!text.contains("accuracy"), "{text}");
        let older: KeptEvaluation =
            serde_json::from_str(&text.replace("\"validated\":true,", "")).unwrap();
        assert_eq!(older, KeptEvaluation { validated: None, ..all[0].clone() });
        assert!(files[1].ends_with("l-inductive-after-200.json"), "{files:?}");
        assert_eq!(kept(&folder), all, "in the order of their names");
        let unknown = text.replace("\"loss\"", "\"accuracy\":[null,0.5],\"loss\"");
        std::fs::write(&files[0], unknown).unwrap();
        let accuracy = &kept(&folder)[0].accuracy;
        assert!(accuracy[0].is_nan() && accuracy[1] == 0.5, "{accuracy:?}");
    }

    #[test]
    fn the_runs_own_data_and_other_data_take_no_place_of_one_another() {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(runs.path(), "run", "").unwrap();
        let on = |protocol, data: &str| KeptEvaluation {
            protocol,
            data: data.to_owned(),
            ..evaluation(false, 0.5)
        };
        let all = [
            on(Protocol::Episodes, "folder"),
            on(Protocol::CrossDomain, "folder"),
            on(Protocol::CrossDomain, "pack 0123456789ab"),
        ];
        let files: Vec<_> = all.iter().map(|kept| folder.keep(kept).unwrap()).collect();
        assert!(files[0].ends_with("l-inductive.json"), "as in older versions: {files:?}");
        let kept = kept(&folder);
        assert!(kept.len() == 3 && all.iter().all(|one| kept.contains(one)), "{files:?}");
    }

    #[test]
    fn an_evaluation_of_a_changed_configuration_is_kept_beside_the_plain_one() {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(runs.path(), "run", "").unwrap();
        let changed = |overrides: &[&str], accuracy| KeptEvaluation {
            overrides: overrides.iter().map(|&set| set.to_owned()).collect(),
            ..evaluation(true, accuracy)
        };
        let all = [changed(&[], 0.5), changed(&["a=1"], 0.6), changed(&["a=1", "b=2"], 0.7)];
        for kept in &all {
            folder.keep(kept).unwrap();
        }
        folder.keep(&changed(&["a=1"], 0.6)).unwrap();
        let mut kept = kept(&folder);
        kept.sort_by(|a, b| a.accuracy[0].total_cmp(&b.accuracy[0]));
        assert_eq!(kept, all);
    }
}
