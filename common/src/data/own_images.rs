//! Images of one's own, as those of a data set are read.

use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;
use super::picture::Picture;
use super::tree::{Classes, Tree, image_files, io};
use crate::config::DataConfig;

/// Reads PNG and JPEG files to images like a data set's: of its size, grey or in colour, and ink as bright as there.
#[derive(Clone, Copy, Debug)]
pub struct OwnImages(Picture);

impl OwnImages {
    /// Like those of `config`; none where it has no images. Drawings (glyphs, Omniglot) are read as dark ink on bright paper,
    /// an IDX file's images as bright on dark, a folder's as its configuration says.
    #[must_use]
    pub fn like(config: &DataConfig) -> Option<Self> {
        match config {
            DataConfig::Glyphs(glyphs) => Some(Self(glyphs.into())),
            DataConfig::Omniglot(omniglot) => Some(Self(omniglot.into())),
            DataConfig::Folder(folder) => Some(Self(folder.into())),
            DataConfig::Idx(idx) => Some(Self(idx.into())),
            DataConfig::Sinusoid(_) | DataConfig::Quadratics(_) => None,
        }
    }

    /// The same with dark and bright the other way round.
    #[must_use]
    pub fn inverted(self) -> Self {
        Self(Picture { invert: !self.0.invert, ..self.0 })
    }

    /// The classes of a folder of class folders: by the folders' names, the pixels of their images one behind the other, in the
    /// order of the files' names.
    ///
    /// # Errors
    /// Where there are no classes, one has no images, or a file is no image.
    pub fn classes(self, folder: &Path) -> Result<Classes, DataError> {
        Tree::Folder(folder.to_owned()).classes(1, self.0)
    }

    /// The pixels of an image file, or of those that lie in a folder, in the order of their names.
    ///
    /// # Errors
    /// Where there are none, or one is no image.
    pub fn images(self, path: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, DataError> {
        let files = if path.is_dir() { image_files(path)? } else { vec![path.to_owned()] };
        if files.is_empty() {
            return Err(DataError::NoImageFiles { path: path.to_owned() });
        }
        let read = |file: PathBuf| {
            let bytes = fs::read(&file).map_err(io(&file))?;
            let name = file.display().to_string();
            let pixels = self.0.decode(&bytes);
            Ok((file, pixels.map_err(|source| DataError::Image { file: name, source })?))
        };
        files.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;
    use crate::config::load;

    /// Like glyphs of so many rows and columns.
    fn like_glyphs(size: usize) -> OwnImages {
        let size = format!("data.glyphs.images.image_size={size}");
        OwnImages::like(&load("glyphs-maml", &[size]).unwrap().data).unwrap()
    }

    fn save(path: &Path, brightness: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(4, 4, Luma([brightness])).save(path).unwrap();
    }

    #[test]
    fn images_are_read_as_the_data_sets_are() {
        let folder = tempfile::tempdir().unwrap();
        for (name, brightness) in [("b/2.png", 10), ("b/1.png", 20), ("a/1.png", 30)] {
            save(&folder.path().join(name), brightness);
        }
        let drawn = like_glyphs(2);
        let classes = drawn.classes(folder.path()).unwrap();
        assert_eq!(classes["a"], [225; 4]);
        assert_eq!(classes["b"], [[235; 4], [245; 4]].concat(), "in the order of names");
        let images = drawn.inverted().images(&folder.path().join("b")).unwrap();
        let one = folder.path().join("b/1.png");
        assert_eq!(images[0], (one.clone(), vec![20; 4]));
        assert_eq!(drawn.inverted().images(&one).unwrap(), images[..1]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let drawn = like_glyphs(28);
        fs::write(path.join("notes.txt"), "none").unwrap();
        let error = drawn.images(path).unwrap_err();
        assert!(matches!(error, DataError::NoImageFiles { path: at } if at == path));
        fs::write(path.join("broken.png"), "none").unwrap();
        let error = drawn.images(path).unwrap_err().to_string();
        assert!(error.contains("broken.png"), "{error}");
        let error = drawn.images(&path.join("absent.png")).unwrap_err().to_string();
        assert!(error.contains("absent.png"), "{error}");
    }
}
