//! Files that are there whole or not at all.

use std::io;
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
}
