//! What holds of the source as a whole: the arrows between crates, where `unsafe` may be, how files begin and how long they
//! get, and that the README's commands are those that CI runs. ARCHITECTURE.md states these as invariants.

use std::fs;
use std::path::{Path, PathBuf};

/// Files above this length are listed; a listed file asks to be split.
const LONG: usize = 400;
/// Files above this length fail.
const TOO_LONG: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file of ours, by its path from the root, in order.
fn sources() -> Vec<(String, String)> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.map_while(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    for folder in ["common", "worker", "coordinator", "src", "tests", "benches"] {
        collect(&root().join(folder), &mut paths);
    }
    paths.sort();
    let sources: Vec<_> = paths
        .iter()
        .map(|path| (path.strip_prefix(root()).unwrap_or(path).display().to_string(), read(path)))
        .collect();
    assert!(sources.len() > 20, "the walk found {} files alone", sources.len());
    sources
}

/// A line's code: what stands before a comment.
fn code(line: &str) -> &str {
    line.find("//").map_or(line, |comment| &line[..comment])
}

/// What stands before a file's tests: a module that an attribute keeps for them, and that begins right there. Such an
/// attribute on `mod tests;`, or on a function, ends nothing.
fn product(text: &str) -> &str {
    let (mut here, mut attributes) = (0, None);
    for line in text.split_inclusive('\n') {
        let item = line.trim();
        if item.starts_with("#[cfg(") && has_word(item, "test") {
            attributes = attributes.or(Some(here));
        } else if !item.starts_with("#[")
            && !item.starts_with("//")
            && let Some(tests) = attributes.take()
            && item.ends_with("mod tests {")
        {
            return &text[..tests];
        }
        here += line.len();
    }
    text
}

/// `path:line` of each line of code of which `is_wrong`, in files that `concerns` picks, tests left out.
fn offenders_in_product(
    concerns: impl Fn(&str) -> bool,
    is_wrong: impl Fn(&str) -> bool,
) -> Vec<String> {
    find(
        |path| concerns(path) && !path.ends_with("tests.rs") && !path.contains("/tests/"),
        product,
        is_wrong,
    )
}

/// `path:line` of each line of code of which `is_wrong`, in files that `concerns` picks.
fn offenders(concerns: impl Fn(&str) -> bool, is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    find(concerns, |text| text, is_wrong)
}

fn find(
    concerns: impl Fn(&str) -> bool,
    part: impl Fn(&str) -> &str,
    is_wrong: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in
        sources().iter().filter(|(path, _)| concerns(path) && path != "tests/tidy.rs")
    {
        for (at, line) in part(text).lines().enumerate().filter(|(_, line)| is_wrong(code(line))) {
            found.push(format!("{path}:{}: {}", at + 1, line.trim()));
        }
    }
    found
}

/// Whether `line` has `word`, apart from longer words that hold it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        !line[..at].chars().next_back().is_some_and(is_part)
            && !line[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

fn nothing(of: &str, found: &[String]) {
    assert!(found.is_empty(), "{of}:\n{}", found.join("\n"));
}

#[test]
fn a_files_product_ends_where_a_module_of_tests_begins() {
    let behind = "fn behind() {}\n";
    for tests in [
        "#[cfg(test)]\nmod tests {\n",
        "#[cfg(all(test, unix))]\nmod tests {\n",
        "#[cfg(test)]\n// Another module's tests use them.\n#[expect(dead_code)]\npub(super) mod tests {\n",
    ] {
        assert_eq!(product(&format!("{behind}\n{tests}{behind}}}\n")), format!("{behind}\n"));
    }
    for item in [
        "#[cfg(test)]\nmod tests;\n",
        "#[cfg(test)]\npub(crate) mod test_support;\n",
        "    #[cfg(test)]\n    pub(crate) fn length() {}\n",
        "#[cfg(unix)]\nmod tests {\n",
        "#[cfg(test)]\nmod tests;\nmod tests {\n",
    ] {
        let text = format!("{item}{behind}");
        assert_eq!(product(&text), text);
    }
}

#[test]
fn arrows_between_crates_point_at_common_alone() {
    for (folder, may_know) in [
        ("common", [].as_slice()),
        ("worker", ["lyceum-common"].as_slice()),
        ("coordinator", ["lyceum-common"].as_slice()),
    ] {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        for line in manifest.lines().filter(|line| line.starts_with("lyceum-")) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            assert!(may_know.contains(&name), "{folder}/Cargo.toml may not know {name}: {line}");
        }
    }
}

#[test]
fn arrows_inside_the_worker_point_downward() {
    // Each stratum knows those after it. `episodes` stands beside.
    let strata = [
        "session",
        "pool",
        "work",
        "learners",
        "objective",
        "networks",
        "layers",
        "ops",
        "kernels",
    ];
    for (height, stratum) in strata.iter().enumerate() {
        let inside = |path: &str| {
            path == format!("worker/src/{stratum}.rs")
                || path.starts_with(&format!("worker/src/{stratum}/"))
        };
        for above in &strata[..height] {
            let found =
                offenders_in_product(inside, |line| line.contains(&format!("crate::{above}::")));
            nothing(&format!("{stratum} may not know {above}"), &found);
        }
    }
}

#[test]
fn unsafe_is_in_the_kernels_alone() {
    let found =
        offenders(|path| !path.starts_with("worker/src/kernels"), |line| has_word(line, "unsafe"));
    nothing("unsafe outside worker/src/kernels", &found);
}

#[test]
fn protobuf_messages_stay_at_the_edge() {
    let found = offenders(
        |path| !path.starts_with("common/src/wire"),
        |line| line.contains("include_proto!"),
    );
    nothing("generated code outside common/src/wire", &found);
    // The services' own types are what a session dials and a service implements; all else is converted in `wire`.
    let doors = ["common/src/wire", "coordinator/src/service", "worker/src/session", "tests"];
    let found = offenders(
        |path| doors.iter().all(|door| !path.starts_with(door)),
        |line| {
            ["wire::proto", "wire::pb", "wire::generated"].iter().any(|name| line.contains(name))
        },
    );
    nothing("generated names beyond the doors", &found);
}

#[test]
fn a_run_has_no_clock_and_does_no_input_or_output() {
    let banned =
        ["Instant::now", "SystemTime", "std::fs", "std::net", "tokio", "tonic", "std::thread"];
    let found = offenders_in_product(
        |path| path.starts_with("coordinator/src/run/"),
        |line| banned.iter().any(|name| line.contains(name)),
    );
    nothing("the run's state machine is handed what it needs", &found);
}

#[test]
fn sums_of_floats_have_one_order() {
    let found = offenders_in_product(
        |path| path.starts_with("worker/src") || path.starts_with("common/src/reduction"),
        |line| line.contains("sum::<f32>"),
    );
    nothing("a float sum whose order Iterator does not promise", &found);
}

#[test]
fn files_begin_with_what_they_are() {
    let found: Vec<_> = sources()
        .into_iter()
        // Tests beside their module are named by it.
        .filter(|(path, text)| !path.contains("/tests") && !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    nothing("files without a //! line at their head", &found);
}

#[test]
fn files_have_one_purpose_and_one_length() {
    let lengths = sources().into_iter().map(|(path, text)| (text.lines().count(), path));
    let mut long: Vec<_> = lengths.filter(|(length, _)| *length > LONG).collect();
    long.sort();
    for (length, path) in &long {
        println!("{path} has {length} lines, above {LONG}");
    }
    long.retain(|(length, _)| *length > TOO_LONG);
    assert!(long.is_empty(), "files of more than {TOO_LONG} lines: {long:?}");
}

#[test]
fn nothing_is_left_undone_or_silenced() {
    let banned = ["todo!", "unimplemented!", "#[allow(", "#![allow(", "dbg!("];
    let found = offenders(|_| true, |line| banned.iter().any(|name| line.contains(name)));
    nothing("unfinished or silenced code (an exception is #[expect(…, reason = …)])", &found);
    let found = offenders(
        |_| true,
        |line| {
            (line.contains("#[expect(") || line.contains("#![expect("))
                && line.ends_with(")]")
                && !line.contains("reason")
        },
    );
    nothing("an exception without a reason", &found);
}

#[test]
fn the_readmes_commands_are_those_that_ci_runs() {
    let readme = read(&root().join("README.md"));
    let ci = read(&root().join(".ci/run"));
    let tests: Vec<_> = readme
        .lines()
        .map(str::trim)
        .map(|line| line.split("  ").next().unwrap_or(line))
        .filter(|line| line.starts_with("cargo test"))
        .collect();
    assert!(!tests.is_empty(), "README.md names no test command");
    for command in tests {
        assert!(ci.lines().any(|line| line.trim() == command), ".ci/run does not run `{command}`");
    }
}
