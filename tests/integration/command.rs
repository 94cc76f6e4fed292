//! The command in a process of its own.

use std::path::Path;
use std::process::{Command, Stdio};

/// The command in `folder`, with a cache there.
pub(crate) fn lyceum(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lyceum"));
    command.args(arguments).current_dir(folder).env("LYCEUM_CACHE", folder.join("cache"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it prints on standard output, where it ends well.
pub(crate) fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = lyceum(folder, arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{errors}");
    text
}

/// The JSON object that it ends with.
pub(crate) fn object(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let text = printed(folder, &[arguments, &["--json"]].concat());
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap()
}

/// The arguments are refused with a message that contains every one of `culprits`.
pub(crate) fn refused(folder: &Path, arguments: &[&str], culprits: &[&str]) {
    let output = lyceum(folder, arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} went through");
    for culprit in culprits {
        assert!(errors.contains(culprit), "{arguments:?}: `{culprit}` is not in: {errors}");
    }
    assert!(!errors.contains("panicked"), "{errors}");
}
