use std::sync::Arc;

use lyceum_common::pack::{Pack, PackBuilder};
use lyceum_common::seed::Seed;
use proptest::prelude::*;

use super::super::{Episode, ListedSource};
use super::*;

/// Two test classes of four images and three of five; no pixel is like another.
fn pack() -> Arc<Pack> {
    let mut builder = PackBuilder::new(2, 2, 1);
    for class in 0..5_u8 {
        let images = if class < 2 { 4 } else { 5 };
        let pixels = (0..images * 4).map(|pixel| class * 40 + pixel);
        builder.class(Split::Test, format!("class{class}"), pixels.collect());
    }
    Arc::new(builder.in_memory().unwrap())
}

fn source(rotations: bool) -> FewShotSource {
    FewShotSource::new(pack(), rotations).unwrap()
}

const SIZE: EpisodeSize = EpisodeSize { ways: 3, shots: 1, queries: 2 };

fn drawn(run: u64, size: EpisodeSize, rotations: bool) -> EpisodeList {
    let seed = Seed::of_run(run).evaluation_on(Split::Test);
    EpisodeList::draw(&source(rotations), seed, Split::Test, size, 7).unwrap()
}

#[test]
fn a_file_bears_its_digest_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let list = drawn(0, SIZE, true);
    let path = list.write(&folder.path().join("lists")).unwrap();
    assert_eq!(path.file_stem().unwrap().to_str(), Some(&*list.digest().to_string()));
    assert_eq!(EpisodeList::read(&path).unwrap(), list);
    assert_eq!(Digest::of(&std::fs::read(&path).unwrap()), list.digest());

    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("class0", "klass0", 1)).unwrap();
    let error = EpisodeList::read(&path).unwrap_err().to_string();
    assert!(error.contains("bears the name of digest"), "{error}");
    let renamed = folder.path().join("mine.json");
    std::fs::rename(&path, &renamed).unwrap();
    assert_ne!(EpisodeList::read(&renamed).unwrap().digest(), list.digest());
}

#[test]
fn what_is_wrong_with_a_list_is_told_with_its_place() {
    let list = drawn(0, SIZE, false);
    let change = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json: serde_json::Value = serde_json::from_str(&list.to_json()).unwrap();
        change(&mut json);
        EpisodeList::parse(json.to_string().as_bytes()).unwrap_err().to_string()
    };
    let told = [
        (change(&|list| list["format"] = "lyceum-episodes-9".into()), "lyceum-episodes-9"),
        (change(&|list| list["pack"] = "ab".into()), "pack: `ab`"),
        (change(&|list| list["split"] = "exam".into()), "split: `exam`"),
        (change(&|list| list["ways"] = 1.into()), "ways: must be from 2"),
        (change(&|list| list["shots"] = u64::MAX.into()), "shots"),
        (change(&|list| list["way"] = 1.into()), "unknown field `way`"),
        (change(&|list| list["episodes"] = serde_json::json!([])), "no episode"),
        (change(&|list| list["episodes"][2] = serde_json::json!([])), "episode 2: has 0 ways"),
        (
            change(&|list| list["episodes"][1][2]["class"] = 5.into()),
            "episode 1: way 2 has class 5 of 5 classes",
        ),
        (change(&|list| list["episodes"][0][1]["quarters"] = 4.into()), "way 1 has 4 quarters"),
        (
            change(&|list| list["episodes"][0][0]["images"] = serde_json::json!([1, 2])),
            "way 0 has 2 images and not 3",
        ),
        (
            change(&|list| list["episodes"][0][0]["images"] = serde_json::json!([1, 2, 1])),
            "way 0 has an image twice",
        ),
        (
            change(&|list| list["episodes"][3][0] = list["episodes"][3][1].clone()),
            "episode 3: has a class twice",
        ),
    ];
    for (error, what) in told {
        assert!(error.contains(what), "`{what}` is not in: {error}");
    }
    assert!(matches!(EpisodeList::parse(b"{ \"format\""), Err(ListProblem::Json(_))));
}

#[test]
fn a_list_is_for_the_data_that_it_names() {
    let mut builder = PackBuilder::new(2, 2, 1);
    builder.class(Split::Test, "another", vec![0; 4]);
    let another = Arc::new(builder.in_memory().unwrap());
    let list = Arc::new(drawn(0, SIZE, false));
    let expected = ListProblem::OtherPack { list: pack().digest(), pack: another.digest() };
    let another = FewShotSource::new(another, false).unwrap();
    assert_eq!(ListedSource::new(another, Arc::clone(&list)).unwrap_err(), expected);

    let renamed = |from: &str, to: &str| {
        let text = list.to_json().replace(from, to);
        let other = Arc::new(EpisodeList::parse(text.as_bytes()).unwrap());
        ListedSource::new(source(false), other).unwrap_err().to_string()
    };
    let [first, second] = [0, 1].map(|at| pack().classes(Split::Test)[at].name().to_owned());
    let other = renamed(&format!("\"{second}\""), "\"other\"");
    assert_eq!(other, format!("classes: `other` at 1, and the test split has `{second}` at 1"));
    let more = renamed("\"classes\":[", "\"classes\":[\"more\",");
    assert_eq!(more, format!("classes: `more` at 0, and the test split has `{first}` at 0"));

    let mut episodes = list.episodes().to_vec();
    episodes[4][1] = ListedWay { class: 0, quarters: 3, images: vec![0, 1, 4] };
    let missing = EpisodeList::new(&source(false), Split::Test, SIZE, episodes);
    let error = ListedSource::new(source(false), Arc::new(missing)).unwrap_err().to_string();
    assert_eq!(error, "episode 4: way 1 has image 4 of the 4 of its class");

    let listed = ListedSource::new(source(false), list).unwrap();
    assert_eq!(listed.check(Split::Test, SIZE), Ok(()));
    assert!(listed.check(Split::Test, EpisodeSize { ways: 4, ..SIZE }).is_err());
    assert!(listed.check(Split::Train, SIZE).is_err());
}

proptest! {
    #[test]
    fn listed_episodes_are_those_that_were_drawn(
        run: u64, ways in 2_usize..5, shots in 1_usize..3, queries in 1_usize..3, rotations: bool
    ) {
        let size = EpisodeSize { ways, shots, queries };
        let list = drawn(run, size, rotations);
        let read = EpisodeList::parse(list.to_json().as_bytes()).unwrap();
        prop_assert_eq!(&read, &list);
        // Whether the data is set to be turned is not asked again: the list says it.
        let listed = ListedSource::new(source(false), Arc::new(read)).unwrap();
        for index in 0..7 {
            let seed = Seed::of_run(run).evaluation_on(Split::Test).episode(EpisodeIndex(index));
            let (mut expected, mut found) = (Episode::default(), Episode::default());
            source(rotations).sample(seed, Split::Test, size, &mut expected);
            listed.sample(seed, Split::Test, size, &mut found);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn no_text_is_a_panic(text in ".{0,200}", at in 0_usize..2000, byte: u8) {
        let _ = EpisodeList::parse(text.as_bytes());
        let mut bytes = drawn(1, SIZE, true).to_json().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = EpisodeList::parse(&bytes);
    }
}
