//! Files that are there whole or not at all.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// A file in `folder` that is to be renamed to what it will be called, and goes where it is not. Whoever may read what others
/// write there may read it: a temporary file is its owner's alone otherwise.
///
/// # Errors
/// Where the file system refuses.
pub fn begin(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
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
    use std::fs::File;
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
        assert_eq!(std::fs::read(&path).unwrap(), b"newer");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
