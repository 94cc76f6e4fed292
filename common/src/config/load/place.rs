//! Where in a document a key stands, and which key stands at a place.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::{ConfigError, RunConfig};
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

    /// The full name of the innermost key at `span`, which may cover the key, its value or both.
    fn key_at(&self, span: &Range<usize>) -> String {
        let mut path = Vec::new();
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

/// Reads a run's configuration, or says which key is wrong and why.
pub(super) fn deserialize(text: &str) -> Result<RunConfig, ConfigError> {
    let whole = |problem: String| ConfigError::new("configuration", problem);
    let document = Document::parse(text).map_err(|(_, problem)| whole(problem))?;
    RunConfig::deserialize(
        toml::Deserializer::parse(text).map_err(|error| whole(error.message().to_owned()))?,
    )
    .map_err(|error| {
        let key = error.span().map_or_else(String::new, |span| document.key_at(&span));
        explain(&key, error.message())
    })
}

/// Serde's message in terms of keys: an unknown one with the nearest known, a missing one by its full name.
fn explain(key: &str, message: &str) -> ConfigError {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match quoted.as_slice() {
        [name] if message.starts_with("missing field") => {
            ConfigError::new(below(name), "the key is missing")
        }
        [name, known @ ..] if message.starts_with("unknown ") => {
            let what = if message.starts_with("unknown field") { "key" } else { "name" };
            let problem = match nearest(name, known.iter().copied()) {
                Some(nearest) => {
                    format!("unknown {what} `{name}`; the nearest known one is `{nearest}`")
                }
                None => format!("unknown {what} `{name}`"),
            };
            let own = key == *name || key.ends_with(&format!(".{name}"));
            let key = if own || what == "name" { key.to_owned() } else { below(name) };
            ConfigError::new(key, problem)
        }
        _ => ConfigError::new(if key.is_empty() { "configuration" } else { key }, message),
    }
}
