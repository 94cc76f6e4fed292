use proptest::prelude::*;

use super::*;

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

fn small() -> PackBuilder {
    let mut builder = PackBuilder::new(2, 3, 1);
    builder.class(Split::Test, "omega", (0..12).collect());
    builder.class(Split::Train, "alpha", (20..26).collect());
    builder.class(Split::Train, "beta", (30..48).collect());
    builder
}

#[test]
fn classes_are_found_by_split_and_images_by_class() {
    let pack = small().in_memory().unwrap();
    assert_eq!(pack.shape(), Shape::Image { height: 2, width: 3, channels: 1 });
    let names = |split| pack.classes(split).iter().map(Class::name).collect::<Vec<_>>();
    assert_eq!(names(Split::Train), ["alpha", "beta"]);
    assert!(names(Split::Validation).is_empty());
    assert_eq!(names(Split::Test), ["omega"]);
    let beta = &pack.classes(Split::Train)[1];
    assert_eq!(beta.images(), 3);
    assert_eq!(pack.image(beta, 1), [36, 37, 38, 39, 40, 41]);
    assert_eq!(pack.images(beta)[[2, 1, 2, 0]], 47);
}

#[test]
fn a_written_pack_is_named_by_its_digest_and_maps_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let written = small().write(folder.path()).unwrap();
    let memory = small().in_memory().unwrap();
    assert_eq!(written.digest(), memory.digest());
    assert_eq!(written.digest(), Digest::of(written.bytes()));
    assert_eq!(written.bytes(), memory.bytes());
    let path = folder.path().join(format!("{}.pack", memory.digest()));
    assert_eq!(Pack::open(&path).unwrap().bytes(), memory.bytes());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
}

#[test]
fn a_damaged_file_is_told_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let pack = small().in_memory().unwrap();
    let path = path_in(folder.path(), pack.digest());
    let mut bytes = pack.bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = Pack::open(&path).unwrap_err();
    assert!(matches!(error, PackError::Corrupt { problem: PackProblem::Digest { .. }, .. }));
    assert!(error.to_string().contains(path.to_str().unwrap()));
}

#[test]
fn what_is_no_pack_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.pack");
    std::fs::write(&path, []).unwrap();
    let error = Pack::open(&path).unwrap_err();
    assert!(matches!(error, PackError::Corrupt { problem: PackProblem::Magic, .. }), "{error}");
    assert!(matches!(Pack::open(&folder.path().join("no")), Err(PackError::Io { .. })));

    let bytes = small().in_memory().unwrap().bytes().to_vec();
    let with = |at: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[at] = value;
        Pack::from_bytes(changed).unwrap_err()
    };
    assert_eq!(with(8, 2), PackProblem::Version { found: 2 });
    assert_eq!(with(12, 0), PackProblem::Shape { rows: 0, columns: 3, channels: 1 });
    assert!(matches!(with(15, 255), PackProblem::Truncated { .. }));
    assert!(matches!(with(24, 2), PackProblem::Directory { .. }));
    assert!(matches!(with(27, 255), PackProblem::Class { .. } | PackProblem::Truncated { .. }));
    assert!(matches!(with(28, 40), PackProblem::Class { .. }));
    assert!(matches!(with(32, 3), PackProblem::Class { index: 0, .. }));
    assert!(matches!(with(32, 2), PackProblem::Class { index: 1, .. }));
    assert!(matches!(with(33, 0), PackProblem::Class { index: 0, .. }));
    assert!(matches!(with(37, 1), PackProblem::Class { index: 0, .. }));

    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Pack::from_bytes(longer).unwrap_err(), PackProblem::Trailing { extra: 1 });
}

#[test]
fn what_cannot_be_a_class_is_not_written() {
    let refused = |name: String, images: Vec<u8>| {
        let mut builder = PackBuilder::new(1, 2, 1);
        builder.class(Split::Train, name, images);
        builder.in_memory().unwrap_err()
    };
    for (name, images) in
        [("odd".into(), vec![1; 3]), ("none".into(), vec![]), ("n".repeat(70_000), vec![1; 2])]
    {
        let error = refused(name, images);
        assert!(matches!(error, PackError::Unwritable(PackProblem::Class { .. })), "{error}");
    }
    let error = PackBuilder::new(0, 1, 1).in_memory().unwrap_err();
    assert!(matches!(error, PackError::Unwritable(PackProblem::Shape { .. })), "{error}");
}

#[test]
fn classes_that_are_read_as_they_are_written_make_the_same_pack() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = PackBuilder::new(2, 3, 1);
    builder.class_from(Split::Test, "omega", 2, 0..12);
    builder.class_from(Split::Train, "alpha", 1, 20..26);
    builder.class_from(Split::Train, "beta", 3, 30..48);
    let mut read = Vec::new();
    let pack = builder.write_from(folder.path(), |pixels: std::ops::Range<u8>| {
        read.push(pixels.start);
        Ok::<_, PackError>(pixels.collect())
    });
    assert_eq!(pack.unwrap().digest(), small().in_memory().unwrap().digest());
    assert_eq!(read, [20, 30, 0], "in the pack's order");
    let mut builder = PackBuilder::new(2, 3, 1);
    builder.class_from(Split::Train, "alpha", 2, ());
    let error = builder.write_from(folder.path(), |()| Ok::<_, PackError>(vec![0; 6])).unwrap_err();
    assert!(matches!(error, PackError::Unwritable(PackProblem::Class { index: 0, .. })), "{error}");
}

/// Its split, its name, how many images it has, and their first byte.
type Drawn = (usize, String, u8, u8);

fn packs() -> impl Strategy<Value = (u32, u32, u32, Vec<Drawn>)> {
    let class = (0_usize..3, ".{0,12}", 1_u8..5, any::<u8>());
    (1_u32..5, 1_u32..5, 1_u32..4, prop::collection::vec(class, 0..9))
}

fn build(rows: u32, columns: u32, channels: u32, classes: &[Drawn]) -> Pack {
    let mut builder = PackBuilder::new(rows, columns, channels);
    let image = (rows * columns * channels) as usize;
    for (split, name, images, first) in classes {
        let bytes = (0..usize::from(*images) * image).map(|i| first.wrapping_add(i as u8));
        builder.class(SPLITS[*split], name.clone(), bytes.collect());
    }
    builder.in_memory().unwrap()
}

proptest! {
    #[test]
    fn what_is_built_reads_back((rows, columns, channels, classes) in packs()) {
        let pack = build(rows, columns, channels, &classes);
        let image = (rows * columns * channels) as usize;
        for (place, split) in SPLITS.into_iter().enumerate() {
            let expected = classes.iter().filter(|class| class.0 == place).collect::<Vec<_>>();
            let found = pack.classes(split);
            prop_assert_eq!(found.len(), expected.len());
            for (found, (_, name, images, first)) in found.iter().zip(expected) {
                prop_assert_eq!(found.name(), name);
                prop_assert_eq!(found.split(), split);
                prop_assert_eq!(found.images(), u32::from(*images));
                for i in 0..found.images() {
                    prop_assert_eq!(pack.image(found, i)[0], first.wrapping_add((i as usize * image) as u8));
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic((rows, columns, channels, classes) in packs(), at: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let mut bytes = build(rows, columns, channels, &classes).bytes().to_vec();
        // With another byte it may be a pack of another length, which a part of it is; of this one, no part is whole.
        let part = bytes[..cut.index(bytes.len())].to_vec();
        prop_assert!(Pack::from_bytes(part).is_err());
        let place = at.index(bytes.len());
        bytes[place] = value;
        if let Ok(pack) = Pack::from_bytes(bytes.clone()) {
            // What is accepted can be read whole.
            for split in SPLITS {
                for class in pack.classes(split) {
                    prop_assert_eq!(pack.images(class).len() % class.images() as usize, 0);
                }
            }
        }
        bytes.truncate(cut.index(bytes.len()));
        let _ = Pack::from_bytes(bytes);
    }
}
