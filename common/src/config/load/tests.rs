//! Errors word for word, overrides, and that what is written reads back.

use proptest::prelude::*;

use super::*;
use crate::config::*;

fn overridden(overrides: &[&str]) -> Result<RunConfig, String> {
    let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
    load("glyphs-maml", &overrides).map_err(|error| error.to_string())
}

#[test]
fn every_preset_has_its_name_and_reads_back_what_it_writes() {
    for name in presets::names() {
        let config = load(name, &[]).unwrap();
        assert_eq!(config.name, name);
        let summary = presets::summary(name).unwrap();
        assert!(summary.ends_with('.') && !summary.contains('#'), "{name}: {summary}");
        assert_eq!(RunConfig::from_toml(&config.to_toml()).unwrap(), config, "{name}");
    }
}

#[test]
fn every_file_of_the_presets_folder_is_a_preset() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../presets");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.strip_suffix(".toml").map(str::to_owned))
        .collect();
    let mut known: Vec<_> = presets::names().collect();
    files.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, files);
}

/// A row's figure stands beside a run's own where it is for the same data, size, mode and steps: lyceum's `report/row.rs`.
#[test]
fn a_preset_with_published_figures_has_one_for_its_own_test() {
    for name in presets::names() {
        let config = load(name, &[]).unwrap();
        let RunConfig { published, episode, data, .. } = &config;
        let size = (episode.ways_in_evaluation(), episode.shots_in_evaluation());
        let steps = config.clone().learner.evaluation_steps_mut().copied();
        let is_for_its_own = |row: &Published| {
            [data.kind(), "lake_runs"].contains(&row.data.as_str())
                && (row.ways, row.shots) == size
                && row.transductive.is_none_or(|mode| mode == config.is_transductive(None))
                && (row.steps.is_empty() || steps.is_some_and(|steps| row.steps.contains(&steps)))
        };
        assert!(published.is_empty() || published.iter().any(is_for_its_own), "{name}");
    }
}

#[test]
fn an_override_that_is_wrong_is_named_with_the_key_and_the_nearest_known_one() {
    for (set, problem) in [
        (
            "learner.maml.inner_rat=1",
            "learner.maml.inner_rat: unknown key `inner_rat`; the nearest known one is `inner_rate`",
        ),
        (
            "learner.mamll.inner_rate=1",
            "learner.mamll: unknown name `mamll`; one of maml, imaml, meta_sgd, meta_curvature, reptile, prototypical, matching, siamese, relation, learned_optimizer",
        ),
        (
            "traning.meta_steps=3",
            "traning: unknown key `traning`; the nearest known one is `training`",
        ),
        (
            "training.meta_steps=-3",
            "training.meta_steps: expected a whole number, not negative, found integer `-3`",
        ),
        (
            "training.meta_steps=many",
            "training.meta_steps: expected a whole number, not negative, found string \"many\"",
        ),
        (
            "training.meta_steps=1.5",
            "training.meta_steps: expected a whole number, not negative, found floating point `1.5`",
        ),
        ("training.meta_steps=0", "training.meta_steps: must be from 1 to 1000000000000, and is 0"),
        ("name=3", "name: expected a string, found integer `3`"),
        (
            "network=mlp",
            "network.mlp.hidden: the key is missing; preset sinusoid-maml has a whole network.mlp",
        ),
        (
            "network.mlp.hidden=[64]",
            "network.mlp.activation: the key is missing; one of relu, tanh, sigmoid; preset sinusoid-maml has a whole network.mlp",
        ),
        ("network={}", "network: exactly one kind must be given here; one of conv4, mlp, linear"),
        (
            "network.conv4.downsample=pool",
            "network.conv4.downsample: unknown name `pool`; one of stride, max_pool, max_pool_twice",
        ),
        (
            "learner=reptile",
            "learner.reptile.inner_optimizer: the key is missing; one of sgd, adam; preset omniglot-reptile-5w1s has a whole learner.reptile",
        ),
        (
            "data.omniglot.path=there",
            "data.omniglot.split: the key is missing; one of lake, vinyals, random, small1, small2",
        ),
        (
            "meta_optimizer.schedule=none",
            "meta_optimizer.schedule.none: unknown name `none`; one of constant, linear, cosine, step",
        ),
        (
            "meta_optimizer.schedule.linear.two=1",
            "meta_optimizer.schedule.linear.two: unknown key `two`; the nearest known one is `to`",
        ),
        (
            "meta_optimizer.rule.sgd.momentm=1",
            "meta_optimizer.rule.sgd.momentm: unknown key `momentm`; the nearest known one is `momentum`",
        ),
        (
            "data.glyphs.classes=[400, 50]",
            "data.glyphs.classes: expected an array of 3 numbers, found one of 2",
        ),
        (
            "data.glyphs.classes=[400, 50, 100, 7]",
            "data.glyphs.classes: expected an array of 3 numbers, found one of 4",
        ),
        (
            "data.folder={path='x', held_out=[0.7, 0.1, 0.2]}",
            "data.folder.held_out: expected an array of 2 numbers, found one of 3",
        ),
        (
            "data.idx={images_path='x', labels_path='y', held_out=[]}",
            "data.idx.held_out: expected an array of 2 numbers, found one of 0",
        ),
        (
            "data.sinusoid.amplitude=[1, 2, 3]",
            "data.sinusoid.amplitude: expected an array of 2 numbers, found one of 3",
        ),
        (
            "data.sinusoid.phase=[1, 2, 3]",
            "data.sinusoid.phase: expected an array of 2 numbers, found one of 3",
        ),
        (
            "data.sinusoid.domain=[1, 2, 3]",
            "data.sinusoid.domain: expected an array of 2 numbers, found one of 3",
        ),
        (
            "episode.distortion.scale=[0.8, 1, 1.2]",
            "episode.distortion.scale: expected an array of 2 numbers, found one of 3",
        ),
        (
            "learner.meta_sgd={initial_rates=[0, 1, 2], inner_steps=1, evaluation_steps=1}",
            "learner.meta_sgd.initial_rates: expected an array of 2 numbers, found one of 3",
        ),
        ("meta_optimizer=3", "meta_optimizer: expected a table, found integer `3`"),
        ("learner.maml.order=1", "learner.maml.order: expected a name; one of first, second"),
        (
            "learner.maml.patience=3",
            "learner.maml.patience: unknown key `patience`; known here: order, adapt, inner_rate, inner_steps, evaluation_steps, first_order_meta_steps, inner_clip, initial_head, multi_step_loss, learned_rates, batch_norm_per_step",
        ),
        (
            "learner.maml.inner_rate=-0.1",
            "learner.maml.inner_rate: must be a finite number above 0, and is -0.1",
        ),
        ("seed", "an override is a key and a value, as in `learner.maml.inner_rate=0.1`"),
        ("=3", "an override is a key and a value, as in `learner.maml.inner_rate=0.1`"),
        ("a..b=3", "an override is a key and a value, as in `learner.maml.inner_rate=0.1`"),
    ] {
        assert_eq!(overridden(&[set]).unwrap_err(), format!("--set {set}: {problem}"));
    }
}

#[test]
fn a_file_that_is_wrong_is_named_with_the_line_and_the_key() {
    let text = "\
name = \"test\"
data = \"glyphs\"
[episode]
ways = 5
shots = 1
queries = 3
[network.conv4]
filters = 8
downsample = \"stride\"
[learner.maml]
inner_rate = 0.4
inner_steps = 1
evaluation_steps = 1
[meta_optimizer]
rule = \"adam\"
rate = 1e-3
[training]
meta_steps = 10
meta_batch = 4
";
    assert!(parse("run.toml", text, &[]).is_ok());
    for (from, to, error) in [
        (
            "ways = 5",
            "way = 5",
            "run.toml:4: episode.way: unknown key `way`; the nearest known one is `ways`",
        ),
        ("ways = 5\n", "", "run.toml:3: episode.ways: the key is missing"),
        ("ways = 5", "ways = 5\nways = 6", "run.toml:5: duplicate key"),
        ("ways = 5", "ways = 1", "run.toml:4: episode.ways: must be from 2 to 10000, and is 1"),
        (
            "ways = 5",
            "ways = '5'",
            "run.toml:4: episode.ways: expected a whole number, not negative, found string \"5\"",
        ),
        (
            "[episode]",
            "[episodes]",
            "run.toml:3: episodes: unknown key `episodes`; the nearest known one is `episode`",
        ),
        ("[episode]", "[episode", "run.toml:3: unclosed table, expected `]`"),
        (
            "glyphs",
            "glyph",
            "run.toml:2: data.glyph: unknown name `glyph`; one of glyphs, omniglot, folder, idx, sinusoid, quadratics",
        ),
        ("name = \"test\"\n", "", "run.toml: name: the key is missing"),
        (
            "rule = \"adam\"\n",
            "",
            "run.toml:14: meta_optimizer.rule: the key is missing; one of sgd, adam, adam_w",
        ),
        (
            "[learner.maml]\ninner_rate = 0.4\ninner_steps = 1\nevaluation_steps = 1\n",
            "",
            "run.toml: learner: the key is missing; one of maml, imaml, meta_sgd, meta_curvature, reptile, prototypical, matching, siamese, relation, learned_optimizer",
        ),
        (
            "[learner.maml]",
            "[learner.meta_sgd]\ninner_steps = 1\nevaluation_steps = 1\n[learner.maml]",
            "run.toml:10: learner: exactly one kind must be given here, and there are maml and meta_sgd",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let found = parse("run.toml", &text.replacen(from, to, 1), &[]).unwrap_err();
        assert_eq!(found.to_string(), error);
    }
}

#[test]
fn a_file_that_is_not_there_is_told_from_a_preset_that_is_not() {
    let error = load("glyphs-mml", &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "glyphs-mml: neither a file nor a preset; the nearest preset is `glyphs-maml`"
    );
    assert!(matches!(load("no/such/run.toml", &[]), Err(LoadError::Read { .. })));
}

#[test]
fn what_a_learned_optimizer_would_not_heed_is_refused() {
    for (set, problem) in [
        ("data.idx.images.rotations=true", "episodes are not made of classes of images"),
        ("episode.distortion={}", "episodes are not made of classes of images"),
        ("episode.within_groups=0.5", "episodes are not made of classes of images"),
        ("episode.transductive=true", "minibatches are normalised by themselves"),
    ] {
        let error = load("mnist-learned-optimizer", &[set.to_owned()]).unwrap_err().to_string();
        let (key, _) = set.split_once('=').unwrap();
        assert!(error.contains(&format!("{key}: ")) && error.contains(problem), "{error}");
    }
}

#[test]
fn omniglot_lists_lie_beside_the_images_unless_said_otherwise() {
    let lists = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
        match load("omniglot-maml-5w1s", &overrides).unwrap().data {
            DataConfig::Omniglot(OmniglotConfig {
                split: OmniglotSplit::Vinyals { lists },
                ..
            }) => lists,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(lists(&[]), Path::new(""));
    assert_eq!(lists(&["data.omniglot.path=there"]), Path::new("there/splits/vinyals"));
    let both = ["data.omniglot.path=there", "data.omniglot.split.vinyals.lists=here"];
    assert_eq!(lists(&both), Path::new("here"));
    let moved = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
        let mut config = load("omniglot-maml-5w1s", &overrides).unwrap();
        config.data.set_folder("moved".into()).unwrap();
        let DataConfig::Omniglot(OmniglotConfig {
            split: OmniglotSplit::Vinyals { lists }, ..
        }) = config.data
        else {
            unreachable!("the preset is one of Omniglot by Vinyals' split")
        };
        lists
    };
    assert_eq!(moved(&[]), Path::new("moved/splits/vinyals"));
    assert_eq!(moved(&["data.omniglot.path=there"]), Path::new("moved/splits/vinyals"));
    assert_eq!(moved(&both), Path::new("here"));
    assert_eq!(moved(&both[1..]), Path::new("here"));
    let own = ["data.omniglot.split.vinyals.lists=splits/vinyals"];
    assert_eq!(moved(&own), Path::new("splits/vinyals"), "in the current folder, as was said");
}

#[test]
fn lists_that_lie_in_a_folder_move_with_it() {
    let moved = |lists: &str| {
        let overrides = ["data.folder.path=there".to_owned(), format!("data.folder.lists={lists}")];
        let mut config = load("miniimagenet-maml-5w1s", &overrides).unwrap();
        config.data.set_folder("moved".into()).unwrap();
        let DataConfig::Folder(folder) = config.data else { unreachable!("a folder it was") };
        folder.lists
    };
    assert_eq!(moved(""), Path::new(""));
    assert_eq!(moved("there/splits"), Path::new("moved/splits"));
    assert_eq!(moved("here"), Path::new("here"));
}

fn learner() -> impl Strategy<Value = LearnerConfig> {
    let optimizer = prop_oneof![
        Just(InnerOptimizer::Sgd),
        (0.0f32..1.0)
            .prop_map(|beta1| InnerOptimizer::Adam(AdamConfig { beta1, ..AdamConfig::default() })),
    ];
    let order = prop_oneof![Just(Order::First), Just(Order::Second)];
    let adapt = prop_oneof![Just(Adapt::All), Just(Adapt::AllButNorms), Just(Adapt::Head)];
    let clip = proptest::option::of((1e-6f32..1e6).prop_map(|value| InnerClip { value }));
    let head = prop_oneof![Just(InitialHead::Learned), Just(InitialHead::Prototypes)];
    let multi_step =
        proptest::option::of((1u64..1_000_000).prop_map(|meta_steps| MultiStepLoss { meta_steps }));
    let switches = (head, multi_step, any::<[bool; 2]>());
    prop_oneof![
        (order, adapt, 1e-6f32..1e3, 1usize..9, 0usize..9, clip, switches).prop_map(
            |(order, adapt, inner_rate, inner_steps, evaluation_steps, inner_clip, switches)| {
                let (initial_head, multi_step_loss, [learned_rates, batch_norm_per_step]) =
                    switches;
                LearnerConfig::Maml(MamlConfig {
                    order,
                    adapt,
                    inner_rate,
                    inner_steps,
                    evaluation_steps,
                    first_order_meta_steps: if order == Order::First { 0 } else { 7 },
                    inner_clip,
                    initial_head,
                    multi_step_loss,
                    learned_rates,
                    batch_norm_per_step,
                })
            }
        ),
        (-1f32..0.0, 0f32..1.0, 1usize..9).prop_map(|(low, high, steps)| LearnerConfig::MetaSgd(
            MetaSgdConfig {
                initial_rates: [low, high],
                inner_steps: steps,
                evaluation_steps: steps
            }
        )),
        (optimizer, 1e-6f32..1e3, proptest::option::of(1usize..5)).prop_map(
            |(inner_optimizer, inner_rate, training_shots)| {
                LearnerConfig::Reptile(ReptileConfig {
                    carry_squares: matches!(inner_optimizer, InnerOptimizer::Adam(_)),
                    inner_optimizer,
                    inner_rate,
                    inner_steps: 5,
                    evaluation_steps: 50,
                    training_shots,
                    inner_batch: training_shots,
                    evaluation_batch: None,
                })
            }
        ),
    ]
}

fn meta_optimizer() -> impl Strategy<Value = MetaOptimizerConfig> {
    let adam =
        || (1e-12f32..1.0).prop_map(|epsilon| AdamConfig { epsilon, ..AdamConfig::default() });
    let rule = prop_oneof![
        (0.0f32..1.0).prop_map(|momentum| Rule::Sgd { momentum }),
        adam().prop_map(Rule::Adam),
        (adam(), 0.0f32..1.0).prop_map(|(adam, weight_decay)| Rule::AdamW { adam, weight_decay }),
    ];
    let schedule = prop_oneof![
        Just(Schedule::Constant),
        (0.0f32..1.0).prop_map(|to| Schedule::Linear { to }),
        (0.0f32..1.0).prop_map(|to| Schedule::Cosine { to }),
        (1u64..1000, 1e-3f32..1.0).prop_map(|(every, factor)| Schedule::Step { every, factor }),
    ];
    let bound = || proptest::option::of(1e-6f32..1e6);
    (rule, 1e-9f32..10.0, schedule, bound(), bound()).prop_map(
        |(rule, rate, schedule, clip_norm, clip_value)| MetaOptimizerConfig {
            rule,
            rate,
            schedule,
            clip_norm,
            clip_value,
        },
    )
}

fn data() -> impl Strategy<Value = DataConfig> {
    let images = (16usize..64, any::<bool>())
        .prop_map(|(image_size, rotations)| ImageOptions { image_size, rotations });
    let split = prop_oneof![
        (0usize..5).prop_map(|validation_alphabets| OmniglotSplit::Lake { validation_alphabets }),
        "[a-zA-Z /\"'\\\\=]{1,9}".prop_map(|lists| OmniglotSplit::Vinyals { lists: lists.into() }),
        (1usize..999, 0usize..999, 0..=i64::MAX as u64).prop_map(|(train, validation, seed)| {
            OmniglotSplit::Random { train, validation, seed }
        }),
    ];
    prop_oneof![
        images.clone().prop_map(|images| DataConfig::Glyphs(GlyphsConfig {
            images,
            ..GlyphsConfig::default()
        })),
        (split, images.clone(), "[a-zA-Z0-9 /\"'\\\\=#\n]{0,9}").prop_map(
            |(split, images, path)| {
                DataConfig::Omniglot(OmniglotConfig { path: path.into(), split, images })
            }
        ),
        (images, any::<[bool; 2]>()).prop_map(|(images, [colour, invert])| DataConfig::Folder(
            FolderConfig {
                path: "images".into(),
                lists: if invert { "lists".into() } else { Default::default() },
                colour,
                invert,
                held_out: [0.25, 0.5],
                split_seed: 3,
                images,
            }
        )),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        learner in learner(),
        meta_optimizer in meta_optimizer(),
        data in data(),
        seed in 0..=i64::MAX as u64,
    ) {
        let config = RunConfig { learner, meta_optimizer, data, seed, ..overridden(&[]).unwrap() };
        prop_assert_eq!(RunConfig::from_toml(&config.to_toml()).unwrap(), config);
    }

    #[test]
    fn no_text_and_no_override_panics(text in "[a-z\\[\\]\n=.\" 0-9]{0,60}", set in ".{0,40}") {
        if let Ok(config) = parse("text", &text, &[]) {
            prop_assert!(config.validate().is_ok());
        }
        if let Ok(config) = overridden(&[&set]) {
            prop_assert!(config.validate().is_ok());
        }
    }
}
