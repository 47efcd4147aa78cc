use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{ImageError, ImageReader};

use super::files::{entries, files_below};
use super::{DatasetError, ImageShape, LabeledImages};

/// What is read; other files are passed over.
const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Images of a folder, and what their classes are called.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFolder {
    /// By class, then by name of the file.
    pub images: LabeledImages,
    /// Name of the folder of each class, `[n_classes]`.
    pub classes: Vec<String>,
}

/// Reads `folder/<class>/<image>.png` (or `.jpg`, `.jpeg`), at any depth below the folder of a class.
///
/// Classes are numbered in the order of their names, as torchvision's `ImageFolder` does. An image of another number of
/// channels becomes gray (Rec. 601 luma) or RGB, with transparency dropped and 16 bits rounded to 8; its size has to be that of
/// `shape`.
///
/// # Errors
///
/// [`DatasetError::Read`] for a folder or file that can't be read, [`DatasetError::Malformed`] for one that is no image,
/// is damaged or has another size, [`DatasetError::Empty`] if there is no class or a class has no image.
pub fn read_image_folder(name: &str, folder: &Path, shape: ImageShape) -> Result<ImageFolder, DatasetError> {
    read_folder(name, folder, shape, Fit::Exact)
}

/// As [`read_image_folder`], for images of any size: each is scaled (bilinear, averaging where it shrinks) until it covers
/// `shape`, and what stands out on both sides is cut off.
///
/// # Errors
///
/// As [`read_image_folder`], but for the size.
pub fn read_resized_image_folder(name: &str, folder: &Path, shape: ImageShape) -> Result<ImageFolder, DatasetError> {
    read_folder(name, folder, shape, Fit::Cover)
}

/// What becomes of an image of another size.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fit {
    /// It is refused.
    Exact,
    /// It is scaled and cropped.
    Cover,
}

fn read_folder(name: &str, folder: &Path, shape: ImageShape, fit: Fit) -> Result<ImageFolder, DatasetError> {
    let mut classes: Vec<_> = entries(folder)?.into_iter().filter(|path| path.is_dir()).collect();
    classes.sort();
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (label, class) in classes.iter().enumerate() {
        let files = files_below(class, &EXTENSIONS)?;
        if files.is_empty() {
            return Err(DatasetError::Empty(format!("{name}: {}", class.display())));
        }
        for file in files {
            pixels.extend(read(&file, shape, fit)?);
            labels.push(label);
        }
    }
    let images = LabeledImages::new(name, shape, pixels, labels, classes.len())?;
    let class = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(ImageFolder { images, classes: classes.iter().map(class).collect() })
}

fn read(file: &Path, shape: ImageShape, fit: Fit) -> Result<Vec<u8>, DatasetError> {
    let malformed = |reason: String| DatasetError::malformed(file, 0, reason);
    let reader = ImageReader::open(file).and_then(ImageReader::with_guessed_format);
    let reader = reader.map_err(|error| DatasetError::read(file, &error))?;
    let image = reader.decode().map_err(|error| match error {
        ImageError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            DatasetError::read(file, &error)
        }
        error => malformed(error.to_string()),
    })?;
    let (height, width) = (image.height() as usize, image.width() as usize);
    let image = match fit {
        _ if (height, width) == (shape.height, shape.width) => image,
        Fit::Cover => image.resize_to_fill(shape.width as u32, shape.height as u32, FilterType::Triangle),
        Fit::Exact => {
            let asked = format!("{} x {}", shape.height, shape.width);
            return Err(malformed(format!("{height} x {width} pixels, where {asked} are asked for")));
        }
    };
    match shape.channels {
        1 => Ok(image.to_luma8().into_raw()),
        3 => {
            let interleaved = image.to_rgb8().into_raw();
            Ok((0..3).flat_map(|channel| interleaved.iter().skip(channel).step_by(3)).copied().collect())
        }
        value => Err(DatasetError::Config { name: "the number of channels", rule: "1 or 3", value: value as f64 }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 3, height: 2, width: 3 };

    fn folder() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for class in ["dogs/small", "cats"] {
            fs::create_dir_all(root.path().join(class)).unwrap();
        }
        let color = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 10 * (x + y) as u8]));
        color.save(root.path().join("dogs/small/b.png")).unwrap();
        GrayImage::from_pixel(3, 2, Luma([7])).save(root.path().join("cats/a.png")).unwrap();
        fs::write(root.path().join("cats/notes.txt"), "no image").unwrap();
        fs::write(root.path().join(".hidden"), "").unwrap();
        root
    }

    #[test]
    fn folders_are_classes_in_the_order_of_their_names() {
        let root = folder();
        let ImageFolder { images, classes } = read_image_folder("pets", root.path(), SHAPE).unwrap();
        assert_eq!(classes, ["cats", "dogs"]);
        assert_eq!(images.labels(), [0, 1]);
        assert_eq!(images.pixels()[..18], [7; 18]);
        assert_eq!(images.pixels()[18..], [0, 1, 2, 0, 1, 2, 0, 0, 0, 1, 1, 1, 0, 10, 20, 10, 20, 30]);
        let gray = read_image_folder("pets", root.path(), ImageShape { channels: 1, ..SHAPE }).unwrap();
        assert_eq!(gray.images.pixels()[..6], [7; 6]);
    }

    #[test]
    fn images_of_other_sizes_are_scaled_to_cover_and_cropped_in_the_middle() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("all")).unwrap();
        // Four columns of two pixels each: after halving, the middle two are left.
        GrayImage::from_fn(8, 4, |x, _| Luma([10 * (x / 2) as u8])).save(root.path().join("all/wide.png")).unwrap();
        GrayImage::from_pixel(1, 1, Luma([9])).save(root.path().join("all/small.png")).unwrap();
        GrayImage::from_fn(2, 2, |x, y| Luma([(x + 2 * y) as u8])).save(root.path().join("all/fits.png")).unwrap();
        let shape = ImageShape { channels: 1, height: 2, width: 2 };
        let images = read_resized_image_folder("x", root.path(), shape).unwrap().images;
        assert_eq!(images.image(0), [0, 1, 2, 3]);
        assert_eq!(images.image(1), [9; 4]);
        let wide: Vec<i32> = images.image(2).iter().map(|&pixel| pixel.into()).collect();
        assert!(wide.iter().zip([10, 20, 10, 20]).all(|(found, expected)| (found - expected).abs() <= 3), "{wide:?}");
    }

    #[test]
    fn what_is_no_image_of_the_shape_is_named() {
        let refusal = |root: &Path, shape| read_image_folder("pets", root, shape).unwrap_err().to_string();
        let root = folder();
        let error = refusal(root.path(), ImageShape { height: 4, ..SHAPE });
        assert!(error.contains("a.png") && error.contains("2 x 3 pixels, where 4 x 3"), "{error}");
        let whole = fs::read(root.path().join("dogs/small/b.png")).unwrap();
        for broken in [&whole[..whole.len() / 2], &whole[..4], b"", b"text"] {
            fs::write(root.path().join("dogs/small/b.png"), broken).unwrap();
            assert!(refusal(root.path(), SHAPE).contains("b.png"));
        }
        fs::create_dir(root.path().join("birds")).unwrap();
        assert!(refusal(root.path(), SHAPE).contains("birds"));
        assert!(refusal(&root.path().join("nowhere"), SHAPE).contains("nowhere"));
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(read_image_folder("pets", empty.path(), SHAPE), Err(DatasetError::Empty(_))));
    }
}
