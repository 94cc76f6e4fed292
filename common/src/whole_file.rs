//! Files that are there whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// What the name of a file begins with that is not complete.
const PARTIAL: &str = ".lyceum-partial-";

/// A file in `folder` that is to be renamed to what it will be called, and goes where it is not. Whoever may read what others
/// write there may read it: a temporary file is its owner's alone otherwise. Those go too that a process left which was killed.
///
/// # Errors
/// Where the file system refuses.
pub fn begin(folder: &Path) -> io::Result<NamedTempFile> {
    // Where there is no such folder its own name is told, and not that of the partial file.
    if !folder.as_os_str().is_empty() {
        fs::metadata(folder)?;
    }
    remove_abandoned(folder);
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    loop {
        let file = builder.tempfile_in(folder)?;
        match file.as_file().try_lock() {
            // Before it was locked, another process took it for one that nobody writes.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if !file.path().exists() => {}
            // Not every file system has locks: where one has none, nothing is taken for abandoned.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// Removes the partial files in a folder that nobody writes: whoever does holds a lock, which goes however the process ends.
/// What cannot be removed stays, as it is in nobody's way.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map_while(Result::ok) {
        let is_partial = entry.file_name().to_string_lossy().starts_with(PARTIAL);
        if is_partial
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Puts `bytes` at `path`, in the place of what is there.
///
/// # Errors
/// Where the file system refuses: what is there stays then.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = begin(folder.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_may_be_read_by_those_who_may_read_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let other = File::create(folder.path().join("other")).unwrap();
        let mode = |file: &File| file.metadata().unwrap().permissions().mode();
        let file = begin(folder.path()).unwrap();
        assert_eq!(mode(file.as_file()), mode(&other));
    }

    #[test]
    fn whoever_reads_a_file_that_is_written_anew_reads_the_old_one_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"old").unwrap();
        let mut reader = File::open(&path).unwrap();
        write(&path, b"newer").unwrap();
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "old");
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [left, others] = [".lyceum-partial-x", "other"].map(|name| folder.path().join(name));
        fs::write(&left, "half of it").unwrap();
        fs::write(&others, "").unwrap();
        let first = begin(folder.path()).unwrap();
        assert!(!left.exists() && others.exists());
        let second = begin(folder.path()).unwrap();
        assert!(first.path().exists() && second.path().exists());
        first.persist(folder.path().join("whole")).unwrap();
        drop(begin(folder.path()).unwrap());
        assert!(folder.path().join("whole").exists() && second.path().exists());
    }
}
