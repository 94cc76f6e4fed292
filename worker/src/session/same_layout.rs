//! Whether the run's meta-parameters lie in their vector as this worker's do: numbers travel without their names.

use lyceum_common::layout::{Entry, Layout, Role};

/// The first entry that differs, and how; none where no name, shape, place or role does. How entries begin is the
/// coordinator's affair.
pub(super) fn difference(run: &Layout, own: &Layout) -> Option<String> {
    let entries = run.entries().len().max(own.entries().len());
    (0..entries).find_map(|place| {
        let [run, own] = [run, own].map(|layout| layout.entries().get(place));
        (run.map(visible) != own.map(visible)).then(|| {
            let (run, own) = (describe(run), describe(own));
            format!(
                "entry {place} of the run's meta-parameters is {run}, and of this worker's {own}"
            )
        })
    })
}

/// What of an entry matters to who computes with it.
fn visible(entry: &Entry) -> (&str, &[usize], usize, Role) {
    (&entry.name, &entry.shape, entry.offset, entry.role)
}

fn describe(entry: Option<&Entry>) -> String {
    let Some(Entry { name, shape, offset, role, initialisation: _ }) = entry else {
        return "absent".to_owned();
    };
    let role = match role {
        Role::Trained => "trained",
        Role::Buffer => "carried along",
    };
    format!("`{name}` {shape:?} at {offset}, {role}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lyceum_common::layout::Initialisation;

    fn layout(entries: &[(&str, &[usize], Role)], initial: f32) -> Layout {
        let mut layout = Layout::new();
        for (name, shape, role) in entries {
            layout.push(*name, shape, *role, Initialisation::Constant(initial));
        }
        layout
    }

    #[test]
    fn layouts_of_one_length_differ_by_name_shape_or_role() {
        let weight = ("weight", &[2, 3][..], Role::Trained);
        let mean = ("mean", &[3][..], Role::Buffer);
        let own = layout(&[weight, mean], 0.0);
        assert_eq!(difference(&layout(&[weight, mean], 1.0), &own), None);
        for (entries, expected) in [
            (
                &[("scale", weight.1, weight.2), mean][..],
                "entry 0 of the run's meta-parameters is `scale`",
            ),
            (
                &[(weight.0, &[3, 2], weight.2), mean],
                "`weight` [3, 2] at 0, trained, and of this worker's `weight` [2, 3]",
            ),
            (
                &[weight, ("mean", mean.1, Role::Trained)],
                "`mean` [3] at 6, trained, and of this worker's `mean` [3] at 6, carried",
            ),
            (&[mean, weight], "is `mean` [3] at 0"),
            (&[weight], "entry 1 of the run's meta-parameters is absent"),
            (&[weight, mean, weight], "of this worker's absent"),
        ] {
            let found = difference(&layout(entries, 0.0), &own).unwrap();
            assert!(found.contains(expected), "{found}");
        }
    }
}
