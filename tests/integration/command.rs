//! The command in a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a line may take to come before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

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

/// A process whose standard error is read line by line; killed when the test is over.
pub(crate) struct Process {
    pub(crate) child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = lyceum(folder, arguments).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The test may have seen enough.
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// The next line that contains `text`.
    pub(crate) fn line_with(&self, text: &str) -> String {
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no line with `{text}` came"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends it a signal of this name.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.child.id().to_string()];
        assert!(Command::new("kill").args(arguments).status().unwrap().success());
    }

    /// Waits for its end. What was read of standard error is left out.
    pub(crate) fn end(mut self) -> Output {
        let stdout = self.child.stdout.take().map(|mut stdout| {
            let mut text = Vec::new();
            stdout.read_to_end(&mut text).unwrap();
            text
        });
        let status = self.child.wait().unwrap();
        let stderr = self.lines.iter().collect::<Vec<_>>().join("\n").into_bytes();
        Output { status, stdout: stdout.unwrap_or_default(), stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
