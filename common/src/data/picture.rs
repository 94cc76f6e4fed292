//! Images: from PNG, JPEG or raw bytes to the pixels of a pack.

use std::io::Cursor;

use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageError, ImageReader, Limits, Rgba, RgbaImage};

use crate::config::{FolderConfig, GlyphsConfig, IdxConfig, OmniglotConfig};
use crate::pack::PackBuilder;

/// What all images of a set are brought to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    /// Rows and columns.
    pub(super) size: usize,
    /// Three channels; else grey.
    pub(super) colour: bool,
    /// Whether dark is high.
    pub(super) invert: bool,
}

impl From<&GlyphsConfig> for Picture {
    fn from(config: &GlyphsConfig) -> Self {
        Self::ink_on_paper(config.images.image_size)
    }
}

impl From<&OmniglotConfig> for Picture {
    fn from(config: &OmniglotConfig) -> Self {
        Self::ink_on_paper(config.images.image_size)
    }
}

impl From<&FolderConfig> for Picture {
    fn from(config: &FolderConfig) -> Self {
        Self { size: config.images.image_size, colour: config.colour, invert: config.invert }
    }
}

/// Bright on dark, as MNIST has its digits.
impl From<&IdxConfig> for Picture {
    fn from(config: &IdxConfig) -> Self {
        Self { size: config.images.image_size, colour: false, invert: false }
    }
}

impl Picture {
    /// Drawings, dark on bright, whose ink is high.
    pub(super) fn ink_on_paper(size: usize) -> Self {
        Self { size, colour: false, invert: true }
    }

    /// A pack of such images, without any.
    pub(super) fn pack<Source>(self) -> PackBuilder<Source> {
        let size = self.size as u32;
        PackBuilder::new(size, size, if self.colour { 3 } else { 1 })
    }

    /// Decodes a PNG or JPEG file. Images that would take more than 256 MiB are refused.
    pub(super) fn decode(self, file: &[u8]) -> Result<Vec<u8>, ImageError> {
        let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
        let mut limits = Limits::default();
        limits.max_alloc = Some(256 << 20);
        limits.max_image_width = Some(1 << 15);
        limits.max_image_height = Some(1 << 15);
        reader.limits(limits);
        Ok(self.pixels(reader.decode()?))
    }

    /// Resizes by a triangle filter as wide as a pixel of the result: bilinear with anti-aliasing, PIL's `BILINEAR`.
    fn pixels(self, image: DynamicImage) -> Vec<u8> {
        let size = self.size as u32;
        let image = on_white(image);
        let mut pixels = if self.colour {
            let image = image.into_rgb8();
            if image.dimensions() == (size, size) {
                image.into_raw()
            } else {
                imageops::resize(&image, size, size, FilterType::Triangle).into_raw()
            }
        } else {
            self.grey(image.into_luma8())
        };
        if self.invert {
            pixels.iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
        }
        pixels
    }

    /// Resizes a grey image; not inverted.
    pub(super) fn grey(self, image: GrayImage) -> Vec<u8> {
        let size = self.size as u32;
        if image.dimensions() == (size, size) {
            return image.into_raw();
        }
        imageops::resize(&image, size, size, FilterType::Triangle).into_raw()
    }
}

/// Puts an image that is transparent in places on white, as it is seen on a page.
fn on_white(image: DynamicImage) -> DynamicImage {
    if !image.color().has_alpha() {
        return image;
    }
    let mut page = RgbaImage::from_pixel(image.width(), image.height(), Rgba([255; 4]));
    imageops::overlay(&mut page, &image.into_rgba8(), 0, 0);
    page.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Luma, Rgb, RgbImage};

    const GREY: Picture = Picture { size: 28, colour: false, invert: true };

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.into().write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    #[test]
    fn shrinking_keeps_the_amount_of_ink() {
        let mut image = GrayImage::from_pixel(105, 105, Luma([255]));
        for y in 20..80 {
            for x in 50..53 {
                image.put_pixel(x, y, Luma([0]));
            }
        }
        let small = GREY.decode(&png(image)).unwrap();
        let ink = small.iter().map(|&pixel| f64::from(pixel) / 255.0).sum::<f64>();
        let expected = 60.0 * 3.0 * (28.0 * 28.0) / (105.0 * 105.0);
        assert!((ink / expected - 1.0).abs() < 0.03, "{ink} {expected}");
    }

    #[test]
    fn colour_keeps_three_channels_last() {
        let picture = Picture { size: 2, colour: true, invert: false };
        let image = RgbImage::from_pixel(2, 2, Rgb([10, 20, 30]));
        assert_eq!(picture.decode(&png(image)).unwrap(), [10, 20, 30].repeat(4));
    }

    #[test]
    fn what_is_transparent_is_white() {
        // Black ink on nothing, which is black too.
        let drawing =
            RgbaImage::from_fn(2, 1, |x, _| Rgba([0, 0, 0, if x == 0 { 255 } else { 0 }]));
        let grey = Picture { size: 2, colour: false, invert: true };
        assert_eq!(grey.decode(&png(drawing.clone())).unwrap(), [255, 0, 255, 0]);
        let colour = Picture { colour: true, invert: false, ..grey };
        let row = [[0; 3], [255; 3]].concat();
        assert_eq!(colour.decode(&png(drawing)).unwrap(), row.repeat(2));
        let half = RgbaImage::from_pixel(2, 2, Rgba([100, 100, 100, 51]));
        let pixels = grey.decode(&png(half)).unwrap();
        assert!(pixels.iter().all(|&pixel| pixel.abs_diff(31) <= 1), "{pixels:?}");
    }

    #[test]
    fn what_is_no_image_is_an_error() {
        assert!(GREY.decode(b"no image").is_err());
        let whole = png(GrayImage::new(105, 105));
        assert!(GREY.decode(&whole[..whole.len() / 2]).is_err());
    }
}
