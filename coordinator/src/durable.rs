//! Files that are there whole or not at all, whenever the machine stops, and folders that stay.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lyceum_common::whole_file;

/// Puts `bytes` at `path`: written beside it, synced, renamed over it, and the folder synced. Where several write to `path` at
/// once, the last one's bytes stay.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut file = whole_file::begin(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_folder(folder)
}

/// Creates a folder, and those that it is in, where they are not there yet.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let around = folder.parent().unwrap_or(Path::new(""));
    create_folder(around)?;
    match fs::create_dir(folder) {
        // Another process came first.
        Err(_) if folder.is_dir() => {}
        created => created?,
    }
    sync_folder(around)
}

/// Makes what was created, renamed or removed in a folder last.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.into() };
    match File::open(folder)?.sync_all() {
        // Not every file system can sync a folder; those that cannot need no such thing.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_several_write_at_once_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let texts = [1u8, 2, 3, 4].map(|writer| vec![writer; 10_000]);
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| {
                    for _ in 0..20 {
                        write(&path, text).unwrap();
                        let read = fs::read(&path).unwrap();
                        assert!(texts.contains(&read), "{} bytes", read.len());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
