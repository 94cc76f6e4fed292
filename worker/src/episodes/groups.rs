//! Classes that belong together: the characters of an alphabet.

use lyceum_common::pack::Class;

/// The groups of a split's classes, the largest first: a class's group is what its name has before the last `/`. Classes
/// without one are a group together.
#[derive(Debug)]
pub(super) struct Groups {
    /// The classes of each, by their places in the split.
    classes: Vec<Vec<u32>>,
}

impl Groups {
    /// Groups the classes of a split.
    pub(super) fn of(classes: &[Class]) -> Self {
        Self::of_names(classes.iter().map(Class::name))
    }

    fn of_names<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut named: Vec<(&str, Vec<u32>)> = Vec::new();
        for (name, place) in names.zip(0..) {
            let group = name.rsplit_once('/').map_or("", |(group, _)| group);
            match named.iter_mut().find(|(name, _)| *name == group) {
                Some((_, classes)) => classes.push(place),
                None => named.push((group, vec![place])),
            }
        }
        let mut classes: Vec<_> = named.into_iter().map(|(_, classes)| classes).collect();
        // Stable: groups of a size keep the order of their first classes.
        classes.sort_by_key(|classes| std::cmp::Reverse(classes.len()));
        Self { classes }
    }

    /// The groups of at least so many classes.
    pub(super) fn of_at_least(&self, count: usize) -> &[Vec<u32>] {
        let end = self.classes.partition_point(|classes| classes.len() >= count);
        &self.classes[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_group_classes_and_sizes_order_groups() {
        let names = ["b/1", "a/x/1", "a/x/2", "b/2", "one", "b/3", "a/y/1", "a/y/2"];
        let groups = Groups::of_names(names.into_iter());
        let of_at_least = |count| groups.of_at_least(count).to_vec();
        let [b, x, y, rest] = [vec![0, 3, 5], vec![1, 2], vec![6, 7], vec![4]];
        assert_eq!(of_at_least(1), [b.clone(), x.clone(), y.clone(), rest]);
        assert_eq!(of_at_least(2), [b.clone(), x, y]);
        assert_eq!(of_at_least(3), [b]);
        assert!(of_at_least(4).is_empty());
    }
}
