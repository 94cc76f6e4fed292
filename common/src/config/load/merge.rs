//! Configurations over one another, and overrides of their keys.

use std::fmt;

use toml::{Table, Value};

/// Keys of which exactly one stands below: the kind of data, of network, and so on.
const KINDS: [&str; 8] = [
    "data",
    "data.omniglot.split",
    "network",
    "learner",
    "learner.reptile.inner_optimizer",
    "learner.learned_optimizer.estimator",
    "meta_optimizer.rule",
    "meta_optimizer.schedule",
];

/// Keys that nothing need stand at, and that [`OFF`] leaves without a value.
const OPTIONS: [&str; 17] = [
    "initialisation",
    "initialisation.digest",
    "episode.evaluation_ways",
    "episode.evaluation_shots",
    "episode.evaluation_queries",
    "episode.transductive",
    "episode.distortion",
    "episode.class_distortion",
    "learner.maml.inner_clip",
    "learner.maml.multi_step_loss",
    "learner.matching.full_context",
    "learner.reptile.training_shots",
    "learner.reptile.inner_batch",
    "learner.reptile.evaluation_batch",
    "learner.learned_optimizer.initial_deviation",
    "meta_optimizer.clip_norm",
    "meta_optimizer.clip_value",
];

/// The value of an option that is off, whatever the layers below say.
const OFF: &str = "none";

/// Keys that a base keeps to itself: what is built on it is another run, and none that a paper's result is beside.
pub(super) const NOT_OF_BASES: [&str; 2] = ["name", "published"];

/// A key and the value that it is to have.
pub(super) struct Override {
    text: String,
    path: Vec<String>,
    value: Value,
}

impl Override {
    /// Reads `a.b.c=value`: the value as TOML, else as a string.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (key, value) = text.split_once('=')?;
        let path: Vec<String> = key.split('.').map(|part| part.trim().to_owned()).collect();
        if path.iter().any(String::is_empty) {
            return None;
        }
        let as_toml = || -> Option<Value> {
            let mut table: Table = format!("value = {value}").parse().ok()?;
            let value = table.remove("value")?;
            table.is_empty().then_some(value)
        };
        let value = as_toml().unwrap_or_else(|| Value::String(value.trim().to_owned()));
        Some(Self { text: text.to_owned(), path, value })
    }

    /// Whether no paper's result is beside what it makes: another learner or network, or one with other settings. Which data it
    /// is, rows say.
    fn makes_another_experiment(&self) -> bool {
        self.path.first().is_some_and(|part| ["learner", "network"].contains(&part.as_str()))
    }

    /// Whether this override set the key, something in it, or something around it.
    pub(super) fn touches(&self, key: &str) -> bool {
        let own = self.path.join(".");
        own == key || is_below(key, &own) || is_below(&own, key)
    }
}

/// The override that an error of `key` comes from: the last one that touched the key, or, where the key is missing, the
/// last one that made the table that it is missing in, which no file has.
pub(super) fn culprit<'o>(
    overrides: &'o [Override],
    key: &str,
    a_file_has: impl Fn(&str) -> bool,
) -> Option<&'o Override> {
    let last = |key: &str| overrides.iter().rev().find(|set| set.touches(key));
    last(key).or_else(|| {
        let (table, _) = key.rsplit_once('.')?;
        if a_file_has(table) { None } else { last(table) }
    })
}

fn is_below(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--set {}", self.text)
    }
}

/// `layers` over one another, the last one uppermost, and `overrides` over them, one after the other, as TOML text. A kind
/// that is given by its name alone (`rule = "adam"`) becomes a table of defaults.
pub(super) fn merged<'l>(
    layers: impl IntoIterator<Item = &'l Table>,
    overrides: &[Override],
) -> String {
    let mut table = Table::new();
    for (above, layer) in layers.into_iter().enumerate() {
        for key in NOT_OF_BASES {
            table.remove(key);
        }
        overlay(&mut table, "", layer);
        spell_out_kinds(&mut table, "");
        if above > 0 {
            // It is the layer below. Where there is none, nothing may be built on.
            table.remove("base");
        }
    }
    if overrides.iter().any(Override::makes_another_experiment) {
        table.remove("published");
    }
    for set in overrides {
        insert(&mut table, &mut String::new(), &set.path, &set.value);
    }
    spell_out_kinds(&mut table, "");
    leave_out_what_is_off(&mut table, "");
    table.to_string()
}

/// Lays `upper` over `table`: tables key by key, whatever else as a whole; and where kinds stand, only those of `upper`
/// stay.
fn overlay(table: &mut Table, prefix: &str, upper: &Table) {
    if KINDS.contains(&prefix) {
        table.retain(|kind, _| upper.contains_key(kind));
    }
    for (key, value) in upper {
        match (table.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(upper)) => {
                overlay(inner, &below(prefix, key), upper);
            }
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
}

fn below(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn spell_out_kinds(table: &mut Table, prefix: &str) {
    for (key, value) in table.iter_mut() {
        let path = below(prefix, key);
        if KINDS.contains(&path.as_str())
            && let Value::String(kind) = value
        {
            let named = (std::mem::take(kind), Value::Table(Table::new()));
            *value = Value::Table(Table::from_iter([named]));
        }
        if let Value::Table(inner) = value {
            spell_out_kinds(inner, &path);
        }
    }
}

fn leave_out_what_is_off(table: &mut Table, prefix: &str) {
    table.retain(|key, value| {
        let path = below(prefix, key);
        if let Value::Table(inner) = value {
            leave_out_what_is_off(inner, &path);
        }
        value.as_str() != Some(OFF) || !OPTIONS.contains(&path.as_str())
    });
}

fn insert(table: &mut Table, prefix: &mut String, path: &[String], value: &Value) {
    let Some((key, rest)) = path.split_first() else { return };
    if KINDS.contains(&prefix.as_str()) {
        table.retain(|kind, _| kind == key);
    }
    if rest.is_empty() {
        table.insert(key.clone(), value.clone());
        return;
    }
    if !prefix.is_empty() {
        prefix.push('.');
    }
    prefix.push_str(key);
    let inner = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
    if !inner.is_table() {
        *inner = Value::Table(Table::new());
    }
    if let Value::Table(inner) = inner {
        insert(inner, prefix, rest, value);
    }
}

#[cfg(test)]
mod tests;
