//! A configuration and those that it builds on: `base = "omniglot-maml-5w1s"` gives a file another one's keys.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::super::{ConfigError, places, presets};
use super::merge::{self, NOT_OF_BASES, Override};
use super::place::Document;
use super::{LoadError, nearest};

/// As many configurations may build on one another.
const MOST: usize = 8;

/// The text of a configuration.
pub(super) struct Source<'t> {
    /// What errors call it.
    name: String,
    text: Cow<'t, str>,
    /// Where its relative paths begin.
    folder: PathBuf,
}

impl<'t> Source<'t> {
    /// A text that is at hand.
    pub(super) fn at_hand(name: &str, text: &'t str) -> Self {
        Self { name: name.to_owned(), text: text.into(), folder: PathBuf::new() }
    }

    /// The preset of this name, else the file of this path, which begins at `folder` where it is relative.
    pub(super) fn find(name_or_path: &str, folder: &Path) -> Result<Self, LoadError> {
        if let Some(text) = presets::get(name_or_path) {
            let name = format!("preset {name_or_path}");
            return Ok(Self { name, text: text.into(), folder: PathBuf::new() });
        }
        let path = folder.join(name_or_path);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let folder = path.parent().map(Path::to_owned).unwrap_or_default();
                Ok(Self { name: path.display().to_string(), text: text.into(), folder })
            }
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound
                    && path.extension().is_none()
                    && Path::new(name_or_path).components().count() == 1 =>
            {
                let nearest = nearest(name_or_path, presets::names()).unwrap_or(presets::DEFAULT);
                Err(LoadError::NoSuchConfig { name: name_or_path.to_owned(), nearest })
            }
            Err(source) => Err(LoadError::Read { path, source }),
        }
    }

    /// The lines of comment that it begins with.
    pub(super) fn comment(&self) -> String {
        let lines = self.text.lines().take_while(|line| line.starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// This one and all that it builds on, each ahead of its base.
    pub(super) fn with_bases(self) -> Result<Vec<Self>, LoadError> {
        let mut sources = vec![self];
        while let Some(last) = sources.last()
            && let Some(base) = last.base()?
        {
            if sources.len() == MOST {
                let problem = format!("more than {MOST} build on one another: is there a circle?");
                return Err(last.wrong(&last.document()?, ConfigError::new("base", problem)));
            }
            sources.push(base);
        }
        Ok(sources)
    }

    fn document(&self) -> Result<Document<'_>, LoadError> {
        Document::parse(&self.text).map_err(|(line, problem)| LoadError::Syntax {
            place: format!("{}:{line}", self.name),
            problem,
        })
    }

    /// What this one builds on.
    fn base(&self) -> Result<Option<Self>, LoadError> {
        let document = self.document()?;
        let Some(value) = document.table().get("base") else { return Ok(None) };
        let Some(base) = value.as_str() else {
            let problem = format!("expected a string, found {} `{value}`", value.type_str());
            return Err(self.wrong(&document, ConfigError::new("base", problem)));
        };
        Source::find(base, &self.folder).map(Some).map_err(|error| {
            let problem = match error {
                LoadError::Read { path, source } => {
                    format!("{}: cannot read the file: {source}", path.display())
                }
                other => other.to_string(),
            };
            self.wrong(&document, ConfigError::new("base", problem))
        })
    }

    fn wrong(&self, document: &Document<'_>, error: ConfigError) -> LoadError {
        let line = document.line_of(&error.key).unwrap_or(1);
        LoadError::Key { place: format!("{}:{line}", self.name), error }
    }

    /// Its keys, with paths from where it lies.
    fn layer(&self) -> Result<(&str, Document<'_>), LoadError> {
        let mut document = self.document()?;
        places::begin_at(&self.folder, document.table_mut())
            .map_err(|error| self.wrong(&document, error))?;
        Ok((self.name.as_str(), document))
    }
}

/// Parsed sources, each ahead of its base.
pub(super) struct Layers<'s>(Vec<(&'s str, Document<'s>)>);

impl<'s> Layers<'s> {
    pub(super) fn parse(sources: &'s [Source<'_>]) -> Result<Self, LoadError> {
        Ok(Self(sources.iter().map(Source::layer).collect::<Result<_, LoadError>>()?))
    }

    /// The text of all of them in one, with `overrides` in place.
    pub(super) fn merged(&self, overrides: &[Override]) -> String {
        merge::merged(self.0.iter().rev().map(|(_, document)| document.table()), overrides)
    }

    /// Where an error comes from: the merged text's spans gave the key; the key gives the override or the line of the
    /// first file that has it.
    pub(super) fn blame(&self, overrides: &[Override], error: ConfigError) -> LoadError {
        let error = self.narrowed(overrides, error);
        let has = |key: &str| self.0.iter().any(|(_, document)| document.has(key));
        let place = match merge::culprit(overrides, &error.key, has) {
            Some(set) => set.to_string(),
            None => self.place_of(&error.key),
        };
        LoadError::Key { place, error }
    }

    /// The same error, of that one of its keys which was changed last: by an override, or else in the uppermost file that has
    /// one of them.
    fn narrowed(&self, overrides: &[Override], error: ConfigError) -> ConfigError {
        if error.others.is_empty() {
            return error;
        }
        let keys = || std::iter::once(error.key.as_str()).chain(error.others.iter().copied());
        let set = overrides.iter().rev().find_map(|set| keys().find(|key| set.touches(key)));
        let written = || self.0.iter().find_map(|(_, file)| keys().find(|key| file.has(key)));
        match set.or_else(written).map(str::to_owned) {
            Some(key) => ConfigError { key, ..error },
            None => error,
        }
    }

    fn place_of(&self, key: &str) -> String {
        let table = key.split('.').next().unwrap_or(key);
        let layers = if NOT_OF_BASES.contains(&table) { 1 } else { self.0.len() };
        let mut layers = self.0.iter().take(layers);
        let own = layers.clone().find(|(_, document)| document.has(key));
        let around = || layers.find(|(_, document)| document.line_of(key).is_some());
        let found = own.or_else(around);
        let line = found.and_then(|(name, document)| Some((name, document.line_of(key)?)));
        match (line, self.0.first()) {
            (Some((name, line)), _) => format!("{name}:{line}"),
            (None, Some((name, _))) => (*name).to_owned(),
            (None, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{load, load_data, parse};
    use crate::config::{LearnerConfig, Rule, RunConfig};

    /// What a file `run.toml` of this text comes to.
    fn built_with(text: &str, overrides: &[&str]) -> Result<RunConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
        load(&path.display().to_string(), &overrides).map_err(|error| {
            error.to_string().replace(&format!("{}/", folder.path().display()), "")
        })
    }

    fn built(text: &str) -> Result<RunConfig, String> {
        built_with(text, &[])
    }

    fn overridden(preset: &str, overrides: &[&str]) -> RunConfig {
        let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
        RunConfig { published: Vec::new(), ..load(preset, &overrides).unwrap() }
    }

    #[test]
    fn what_a_file_does_not_say_is_as_in_its_base() {
        let text = "
            name = \"mine\"
            base = \"omniglot-maml-5w1s\"
            [episode]
            ways = 20
            [learner.maml]
            inner_rate = 0.1
        ";
        let overrides = ["name=mine", "episode.ways=20", "learner.maml.inner_rate=0.1"];
        assert_eq!(built(text).unwrap(), overridden("omniglot-maml-5w1s", &overrides));
    }

    #[test]
    fn another_kind_takes_the_place_of_the_bases_and_the_same_one_is_changed() {
        let text = "
            name = \"mine\"
            base = \"omniglot-maml-5w1s\"
            meta_optimizer = { rule.sgd.momentum = 0.5, schedule = \"constant\" }
            learner.meta_sgd = { initial_rates = [0.0, 0.1], inner_steps = 1, evaluation_steps = 1 }
        ";
        let config = built(text).unwrap();
        assert!(matches!(config.learner, LearnerConfig::MetaSgd(_)));
        assert_eq!(config.meta_optimizer.rule, Rule::Sgd { momentum: 0.5 });
        assert_eq!(config.meta_optimizer.rate, 1e-3);
        let both = format!("{text}\nlearner.maml.inner_rate = 1.0\n");
        let error = "run.toml:5: learner: exactly one kind must be given here, and there are maml and meta_sgd";
        assert_eq!(built(&both).unwrap_err(), error);
    }

    #[test]
    fn a_base_may_have_one_itself_and_is_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let base = write("base.toml", "name = \"b\"\nbase = \"glyphs-maml\"\nseed = 7\n");
        let file = write(
            "runs/mine.toml",
            "name = \"mine\"\nbase = \"../base.toml\"\ntraining.meta_batch = 3\n",
        );
        let changed = ["name=mine", "seed=7", "training.meta_batch=3"];
        assert_eq!(load(&file, &[]).unwrap(), overridden("glyphs-maml", &changed));
        assert_eq!(load_data(&file).unwrap(), load("glyphs-maml", &[]).unwrap().data);
        // An error is the file's that said what is wrong.
        let error = |seed: &str| {
            let text = "name = \"b\"\nbase = \"glyphs-maml\"\nSEED\n".replace("SEED", seed);
            write("base.toml", &text);
            load(&file, &[]).unwrap_err().to_string()
        };
        let from_file = format!("{}/runs/../base.toml", folder.path().display());
        assert_eq!(
            error("episode.ways = 1"),
            format!("{from_file}:3: episode.ways: must be from 2 to 10000, and is 1")
        );
        assert_eq!(
            error("episode.way = 1"),
            format!(
                "{from_file}:3: episode.way: unknown key `way`; the nearest known one is `ways`"
            )
        );
        assert!(error("episode.ways").starts_with(&format!("{from_file}:3: ")));
        let circle = error("base = 3").replace(&from_file, "");
        assert!(circle.starts_with(":3: duplicate key"), "{circle}");
        write("base.toml", "base = \"base.toml\"");
        let circle = load(&base, &[]).unwrap_err().to_string();
        let problem = "base: more than 8 build on one another: is there a circle?";
        assert_eq!(circle, format!("{base}:1: {problem}"));
    }

    #[test]
    fn an_override_is_blamed_for_what_it_says_and_the_file_for_the_rest() {
        let text = "base = \"glyphs-maml\"\nname = \"mine\"\n[episode]\nways = 1\n";
        let error = |overrides: &[&str]| built_with(text, overrides).unwrap_err();
        assert_eq!(error(&[]), "run.toml:4: episode.ways: must be from 2 to 10000, and is 1");
        let set = "--set episode.ways=0: episode.ways: must be from 2 to 10000, and is 0";
        assert_eq!(error(&["episode.ways=0"]), set);
        assert_eq!(
            error(&["episode.ways=5", "episode.shots=0"]),
            "--set episode.shots=0: episode.shots: must be from 1 to 10000, and is 0"
        );
    }

    #[test]
    fn of_several_keys_the_one_that_was_changed_is_at_fault() {
        let text = "name = \"mine\"\nbase = \"glyphs-maml\"\n[episode]\nshots = 18\n";
        let problem = "18 shots (episode.shots) + 15 queries (episode.evaluation_queries) are 33 images a class, and a class has 20 (data.glyphs.images_per_class)";
        assert_eq!(built(text).unwrap_err(), format!("run.toml:4: episode.shots: {problem}"));
        let sets = ["seed=1", "episode.shots=18", "seed=2"].map(str::to_owned);
        let error = load("glyphs-maml", &sets).unwrap_err().to_string();
        assert_eq!(error, format!("--set episode.shots=18: episode.shots: {problem}"));
        let error = built_with(text, &["data.glyphs.images_per_class=30"]).unwrap_err();
        let set = "--set data.glyphs.images_per_class=30: data.glyphs.images_per_class: 18 shots";
        assert!(error.starts_with(set), "{error}");
    }

    #[test]
    fn a_base_that_is_none_is_named_with_its_line() {
        let error = |base: &str| built(&format!("name = \"mine\"\nbase = {base}\n")).unwrap_err();
        assert_eq!(error("3"), "run.toml:2: base: expected a string, found integer `3`");
        assert_eq!(
            error("\"glyphs-mml\""),
            "run.toml:2: base: glyphs-mml: neither a file nor a preset; the nearest preset is `glyphs-maml`"
        );
        let unread = error("\"no/such.toml\"");
        let problem = "run.toml:2: base: no/such.toml: cannot read the file: ";
        assert!(unread.starts_with(problem), "{unread}");
        let unnamed = built("base = \"glyphs-maml\"").unwrap_err();
        assert_eq!(unnamed, "run.toml: name: the key is missing");
        let set = ["base=glyphs-maml".to_owned()];
        let error = load("glyphs-maml", &set).unwrap_err().to_string();
        assert!(error.starts_with("--set base=glyphs-maml: base: unknown key `base`"), "{error}");
    }

    #[test]
    fn a_text_at_hand_reads_no_file() {
        for base in ["glyphs-maml", "/dev/null"] {
            let text = format!("name = \"theirs\"\nbase = \"{base}\"\n");
            let error = parse("run.toml", &text, &[]).unwrap_err().to_string();
            assert!(error.starts_with("run.toml:2: base: unknown key `base`"), "{error}");
        }
    }
}
