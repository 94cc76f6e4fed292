//! Where in a document a key stands, and which key stands at a place.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::{ConfigError, presets};
use super::nearest;

/// A TOML text that remembers its keys' lines.
pub(super) struct Document<'t> {
    text: &'t str,
    root: Spanned<DeTable<'t>>,
    table: toml::Table,
}

impl<'t> Document<'t> {
    /// Parses `text`; an error is a line and what is wrong with it.
    pub(super) fn parse(text: &'t str) -> Result<Self, (usize, String)> {
        let explain = |error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            (line(text, at), error.message().to_owned())
        };
        let root = DeTable::parse(text).map_err(explain)?;
        let table = text.parse().map_err(explain)?;
        Ok(Self { text, root, table })
    }

    /// Keys and values without their places.
    pub(super) fn table(&self) -> &toml::Table {
        &self.table
    }

    /// The same, to be changed: only keys keep their places.
    pub(super) fn table_mut(&mut self) -> &mut toml::Table {
        &mut self.table
    }

    /// The line of `key`, or of the nearest table around it that the document has.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        let mut table = self.root.get_ref();
        let mut found = None;
        for part in key.split('.') {
            let Some((key, value)) = table.get_key_value(part) else { break };
            found = Some(line(self.text, key.span().start));
            let DeValue::Table(inner) = value.get_ref() else { break };
            table = inner;
        }
        found
    }

    /// Whether `key` stands in the document.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    fn value(&self, key: &str) -> Option<&toml::Value> {
        let mut parts = key.split('.');
        let first = parts.next().and_then(|part| self.table.get(part));
        parts.fold(first, |value, part| value?.as_table()?.get(part))
    }

    /// The keys right below `key`, where it is a table.
    fn below(&self, key: &str) -> Vec<&str> {
        let table = self.value(key).and_then(toml::Value::as_table);
        table.into_iter().flat_map(|table| table.keys().map(String::as_str)).collect()
    }

    /// The full name of the innermost key at `span`, which may cover the key, its value or both.
    fn key_at(&self, span: &Range<usize>) -> String {
        let mut path = Vec::new();
        // An empty span is the whole document's.
        if span.is_empty() {
            return String::new();
        }
        descend(self.root.get_ref(), span, &mut path);
        path.join(".")
    }
}

fn descend<'d>(table: &'d DeTable<'_>, span: &Range<usize>, path: &mut Vec<&'d str>) {
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    for (key, value) in table.iter() {
        let name: &Cow<'_, str> = key.get_ref();
        if covers(key.span()) && !matches!(value.get_ref(), DeValue::Table(_)) {
            path.push(name);
            return;
        }
        if let DeValue::Table(inner) = value.get_ref() {
            path.push(name);
            let depth = path.len();
            descend(inner, span, path);
            if path.len() > depth || covers(key.span()) || covers(value.span()) {
                return;
            }
            path.pop();
        } else if covers(value.span()) {
            path.push(name);
            return;
        }
    }
}

fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

/// What serde finds wrong.
struct Wrong {
    /// The full name of the key at which it does.
    key: String,
    message: String,
}

/// Reads a configuration, or says which key is wrong and why.
pub(super) fn deserialize<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let whole = |problem: String| ConfigError::new("configuration", problem);
    let document = Document::parse(text).map_err(|(_, problem)| whole(problem))?;
    let choices = |key: &str| choices::<T>(document.table().clone(), key);
    read(text, &document).map_err(|wrong| explain(&wrong, &document, choices))
}

fn read<T: DeserializeOwned>(text: &str, document: &Document<'_>) -> Result<T, Wrong> {
    let wrong = |error: toml::de::Error| {
        let key = error.span().map_or_else(String::new, |span| document.key_at(&span));
        Wrong { key, message: error.message().to_owned() }
    };
    T::deserialize(toml::Deserializer::parse(text).map_err(wrong)?).map_err(wrong)
}

/// A name that no choice has.
const NO_CHOICE: &str = "?";

/// The names of which one may stand at `key`; none where it is no choice. Serde alone knows them, and tells them where another
/// name stands.
fn choices<T: DeserializeOwned>(mut table: toml::Table, key: &str) -> Option<String> {
    put(&mut table, key, NO_CHOICE);
    let text = table.to_string();
    let document = Document::parse(&text).ok()?;
    let wrong = read::<T>(&text, &document).err().filter(|wrong| wrong.key == key)?;
    let is_name = wrong.message.starts_with("unknown variant");
    is_name.then(|| one_of(quoted(&wrong.message).skip(1)))
}

/// Puts a string at `key`, where the tables around it are there.
fn put(table: &mut toml::Table, key: &str, text: &str) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), text.into());
        }
        Some((around, below)) => {
            if let Some(toml::Value::Table(inner)) = table.get_mut(around) {
                put(inner, below, text);
            }
        }
    }
}

/// Serde's message in terms of keys: an unknown one with the nearest known, a missing one by its full name, and all names where
/// one of a few is to stand.
fn explain(
    Wrong { key, message }: &Wrong,
    document: &Document<'_>,
    choices: impl Fn(&str) -> Option<String>,
) -> ConfigError {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    let own = |name: &str| if last(key) == name { key.to_owned() } else { below(name) };
    if let Some((_, lists)) = message.split_once("unexpected keys in table: ")
        && let Some((unknown, known)) = lists.split_once(", available keys: ")
    {
        let name = unknown.split(", ").next().unwrap_or(unknown);
        return ConfigError::new(own(name), unknown_key(name, known.split(", ")));
    }
    if let Some((found, expected)) = mismatch(message) {
        return ConfigError::new(key, format!("expected {expected}, found {found}"));
    }
    match quoted(message).collect::<Vec<_>>().as_slice() {
        [name] if message.starts_with("missing field") => {
            let missing = below(name);
            let mut problem = with_choices("the key is missing", choices(&missing));
            // Another kind begins with none of its keys.
            let is_kind = key.starts_with("learner.") || key.starts_with("network.");
            if let Some(preset) = presets::with_table(key).filter(|_| is_kind) {
                problem += &format!("; preset {preset} has a whole {key}");
            }
            ConfigError::new(missing, problem)
        }
        [name, known @ ..] if message.starts_with("unknown field") => {
            ConfigError::new(own(name), unknown_key(name, known.iter().copied()))
        }
        [name, known @ ..] if message.starts_with("unknown variant") => {
            let names = one_of(known.iter().copied());
            ConfigError::new(key, format!("unknown name `{name}`; {names}"))
        }
        _ if message.starts_with("wanted string or table") => {
            ConfigError::new(key, with_choices("expected a name", choices(key)))
        }
        _ if message.starts_with("wanted exactly 1 element") => {
            let problem = "exactly one kind must be given here";
            if !message.contains("more than") {
                return ConfigError::new(key, with_choices(problem, choices(key)));
            }
            // The span is the first kind's, and not that of the table around them.
            let key = key.rsplit_once('.').map_or(key.as_str(), |(around, _)| around);
            let given = document.below(key).join(" and ");
            ConfigError::new(key, format!("{problem}, and there are {given}"))
        }
        _ => ConfigError::new(if key.is_empty() { "configuration" } else { key.as_str() }, message),
    }
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// What stands between backticks.
fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("one of {}", names.collect::<Vec<_>>().join(", "))
}

fn with_choices(problem: &str, choices: Option<String>) -> String {
    match choices {
        Some(names) => format!("{problem}; {names}"),
        None => problem.to_owned(),
    }
}

/// Whether one may have been typed for the other.
fn is_near(name: &str, other: &str) -> bool {
    2 * strsim::damerau_levenshtein(name, other) <= name.chars().count()
}

fn unknown_key<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    let near = nearest(name, known.iter().copied()).filter(|nearest| is_near(name, nearest));
    match near {
        Some(nearest) => format!("unknown key `{name}`; the nearest known one is `{nearest}`"),
        None => format!("unknown key `{name}`; known here: {}", known.join(", ")),
    }
}

/// Takes "invalid type: integer `3`, expected a string" apart: what was found, and what is expected, in a user's words.
fn mismatch(message: &str) -> Option<(&str, &str)> {
    let rest = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.split_once(", expected ")?;
    let expected = match expected {
        "u64" | "usize" => "a whole number, not negative",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    Some((found, expected))
}
