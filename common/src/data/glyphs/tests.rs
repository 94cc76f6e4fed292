use super::*;
use crate::seed::Generator;

fn default_set() -> Pack {
    let cache = tempfile::tempdir().unwrap();
    import(&GlyphsConfig::default(), cache.path()).unwrap()
}

/// How often the nearest of five support images, by squared distance of pixels, is of the query's class.
fn nearest_neighbour_accuracy(pack: &Pack, episodes: usize, generator: &mut Generator) -> f64 {
    let classes = pack.classes(Split::Test);
    let mut right = 0;
    for _ in 0..episodes {
        let mut ways = [0; 5];
        generator.choose(classes.len() as u32, &mut ways);
        let images = ways.map(|way| {
            let class = &classes[way as usize];
            let mut images = [0; 2];
            generator.choose(class.images(), &mut images);
            images.map(|image| pack.image(class, image))
        });
        let distance = |a: &[u8], b: &[u8]| -> u64 {
            a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum()
        };
        for (way, [_, query]) in images.iter().enumerate() {
            let nearest = (0..5).min_by_key(|&other| distance(query, images[other][0]));
            right += usize::from(nearest == Some(way));
        }
    }
    right as f64 / (5 * episodes) as f64
}

#[test]
fn pixels_alone_do_not_tell_characters_apart() {
    let mut generator = Seed::of_run(1).initialisation();
    let accuracy = nearest_neighbour_accuracy(&default_set(), 1000, &mut generator);
    println!("nearest neighbour on pixels, 5-way 1-shot: {:.1} %", 100.0 * accuracy);
    assert!((0.5..0.75).contains(&accuracy), "{accuracy}");
}

/// The set is the same on every machine; a change here is another data set, and `IMPORTERS` must change with it.
#[test]
fn the_default_set_is_pinned() {
    let digest = "4e0001c6ffc9d22e7cff52e4099c18156c9045cd34456c7debbbda0ffd786c31";
    assert_eq!(default_set().digest().to_string(), digest);
}
