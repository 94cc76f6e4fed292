//! The run configurations that come with the program, most of them for a paper's row.

/// The preset of whoever names none: needs no data.
pub const DEFAULT: &str = "glyphs-maml";

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        const PRESETS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../presets/", $name, ".toml")))),*];
    };
}

presets!(
    "glyphs-maml",
    "sinusoid-maml",
    "omniglot-maml-5w1s",
    "omniglot-maml-5w5s",
    "omniglot-maml-20w1s",
    "omniglot-maml-20w5s",
    "omniglot-fomaml-5w1s",
    "omniglot-fomaml-5w5s",
    "omniglot-fomaml-20w1s",
    "omniglot-fomaml-20w5s",
    "omniglot-anil-5w1s",
    "omniglot-anil-20w1s",
    "omniglot-anil-20w5s",
    "omniglot-reptile-5w1s",
    "omniglot-reptile-5w5s",
    "omniglot-reptile-20w1s",
    "omniglot-reptile-20w5s",
    "omniglot-metasgd-5w1s",
    "omniglot-metasgd-5w5s",
    "omniglot-metasgd-20w1s",
    "omniglot-metasgd-20w5s",
    "omniglot-metacurvature-5w1s",
    "omniglot-mamlpp-5w1s",
    "omniglot-mamlpp-5w5s",
    "omniglot-mamlpp-20w1s",
    "omniglot-mamlpp-20w5s",
    "omniglot-protomaml-5w1s",
    "omniglot-imaml-5w1s",
    "omniglot-imaml-5w5s",
    "omniglot-imaml-20w1s",
    "omniglot-imaml-20w5s",
    "omniglot-prototypical-5w1s",
    "omniglot-prototypical-5w5s",
    "omniglot-prototypical-20w1s",
    "omniglot-prototypical-20w5s",
    "omniglot-matching-5w1s",
    "omniglot-matching-5w5s",
    "omniglot-matching-20w1s",
    "omniglot-matching-20w5s",
    "omniglot-relation-5w1s",
    "omniglot-relation-5w5s",
    "omniglot-relation-20w1s",
    "omniglot-relation-20w5s",
    "omniglot-siamese-5w1s",
    "omniglot-siamese-5w5s",
    "omniglot-siamese-20w1s",
    "omniglot-siamese-20w5s",
    "omniglot-lake-prototypical",
    "omniglot-lake-siamese",
    "miniimagenet-maml-5w1s",
    "miniimagenet-maml-5w5s",
    "miniimagenet-prototypical-5w1s",
    "miniimagenet-prototypical-5w5s",
    "quickdraw-prototypical-5w1s",
    "quadratics-learned-optimizer",
    "quadratics-learned-optimizer-memory",
    "mnist-learned-optimizer",
);

/// The presets' names.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The TOML text of the preset of this name.
#[must_use]
pub fn get(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The first preset with a table of this name.
pub(super) fn with_table(table: &str) -> Option<&'static str> {
    let head = format!("[{table}]");
    let has_it = |text: &str| text.lines().any(|line| line == head);
    PRESETS.iter().find(|(_, text)| has_it(text)).map(|(name, _)| *name)
}

/// What the preset of this name is: the first paragraph of its comment, in one line.
#[must_use]
pub fn summary(name: &str) -> Option<String> {
    let lines = get(name)?.lines().map_while(|line| line.strip_prefix("# "));
    Some(lines.collect::<Vec<_>>().join(" "))
}

/// What the preset of this name is, in a sentence: the first one of its comment.
#[must_use]
pub fn headline(name: &str) -> Option<String> {
    summary(name).map(|summary| first_sentence(&summary).to_owned())
}

/// All up to the first full stop that another sentence follows: "et al. 2017" goes on.
fn first_sentence(text: &str) -> &str {
    let begins = |character: char| character.is_uppercase() || character == '`';
    let ends = |at: &usize| text[at + 2..].starts_with(begins);
    let end = text.match_indices(". ").map(|(at, _)| at).find(ends);
    end.map_or(text, |at| &text[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headline_is_one_sentence() {
        let nothing = "The default: 5-way 1-shot over the embedded set of procedurally drawn characters; nothing to download.";
        assert_eq!(headline("glyphs-maml").as_deref(), Some(nothing));
        let published = "Omniglot 5-way 1-shot, MAML with convolutions: Finn et al. 2017, table 1 (98.7 ± 0.4 %).";
        assert_eq!(headline("omniglot-maml-5w1s").as_deref(), Some(published));
        assert_eq!(headline("none"), None);
        for name in names() {
            let headline = headline(name).unwrap();
            assert!(headline.ends_with('.') && !headline.contains('\n'), "{name}: {headline}");
        }
    }
}
