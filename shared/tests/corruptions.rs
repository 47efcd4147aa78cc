//! Corruptions against values computed by other libraries and against what has to hold for every image, and the reader
//! of the published files.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rekindle_shared::data::corruption::{
    AnyCorruption, Corruption, ExtraCorruption, Severity, corrupt, corrupt_image, plasma,
};
use rekindle_shared::data::{
    DatasetError, ImageShape, LabeledImages, Stream, Streams, read_cifar_10_c, read_cifar_100_c,
};

fn shape(channels: usize, height: usize, width: usize) -> ImageShape {
    ImageShape { channels, height, width }
}

fn severity(number: u8) -> Severity {
    Severity::new(number).unwrap()
}

/// The image that `data/corruptions/reference.py` makes.
fn procedural(shape: ImageShape) -> Vec<u8> {
    let ImageShape { channels, height, width } = shape;
    let value = |c: usize, y: usize, x: usize| {
        3 * x * x + 5 * y * y + (2 * c + 1) * x * y + 40 * c + 60 * ((x / 4 + y / 5) % 2)
    };
    (0..channels).flat_map(|c| (0..height).flat_map(move |y| (0..width).map(move |x| value(c, y, x) as u8))).collect()
}

fn constant(value: u8, shape: ImageShape) -> Vec<u8> {
    vec![value; shape.len()]
}

/// `n` different images with labels 0, 1, 2, 0, ...
fn some(n: usize, shape: ImageShape) -> LabeledImages {
    let image = procedural(shape);
    let pixels = (0..n).flat_map(|i| image.iter().map(move |value| value.wrapping_add((29 * i) as u8))).collect();
    LabeledImages::new("some", shape, pixels, (0..n).map(|i| i % 3).collect(), 3).unwrap()
}

fn one(image: &[u8], shape: ImageShape, kind: impl Into<AnyCorruption>, severity: Severity, seed: u64) -> Vec<u8> {
    corrupt_image(image, shape, kind, severity, seed, 0).unwrap()
}

/// Mean and standard deviation of out - in.
fn moments(image: &[u8], out: &[u8]) -> (f64, f64) {
    let errors: Vec<_> = image.iter().zip(out).map(|(&a, &b)| f64::from(b) - f64::from(a)).collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let variance = errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / errors.len() as f64;
    (mean, variance.sqrt())
}

#[test]
fn what_has_no_random_part_is_what_other_libraries_compute() {
    use Corruption::*;
    use ExtraCorruption::*;
    let kinds: [AnyCorruption; 8] = [
        DefocusBlur.into(),
        ZoomBlur.into(),
        Brightness.into(),
        Contrast.into(),
        Pixelate.into(),
        Jpeg.into(),
        GaussianBlur.into(),
        Saturate.into(),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corruptions");
    for (file, channels) in [("color.bin", 3), ("gray.bin", 1)] {
        let shape = shape(channels, 19, 16);
        let picked: Vec<_> = (0..shape.len()).filter(|i| (i / 16 % 19 + i % 16).is_multiple_of(4)).collect();
        let expected = fs::read(folder.join(file)).unwrap();
        let mut expected = expected.chunks_exact(picked.len());
        for kind in kinds {
            assert_eq!(kind.deviation(), None);
            // What is computed in whole numbers is equal; elsewhere rounding decides between two neighbors.
            let tolerance = if matches!(kind.name(), "pixelate" | "jpeg_compression") { 0 } else { 1 };
            for severity in Severity::ALL {
                let out = one(&procedural(shape), shape, kind, severity, 1);
                for (&i, &expected) in picked.iter().zip(expected.next().unwrap()) {
                    let error = out[i].abs_diff(expected);
                    assert!(error <= tolerance, "{kind} {severity} at {i}: {} for {expected}", out[i]);
                }
            }
        }
        assert_eq!(expected.next(), None);
    }
}

#[test]
fn every_kind_and_severity_keeps_shape_and_labels() {
    let sides = [(16, 16), (28, 28), (32, 32), (33, 33), (64, 64), (16, 64), (61, 17)];
    for (channels, (height, width)) in [1, 3].into_iter().flat_map(|channels| sides.map(|sides| (channels, sides))) {
        let clean = some(2, shape(channels, height, width));
        for kind in AnyCorruption::all() {
            for severity in Severity::ALL {
                let out = corrupt(&clean, kind, severity, 3).unwrap();
                assert_eq!((out.shape(), out.labels(), out.n_classes()), (clean.shape(), clean.labels(), 3));
                assert_eq!(out.name(), format!("some, {kind} {severity}"));
                // Gray has no saturation, which is why nothing but rounding happens to it.
                let (_, sd) = moments(clean.pixels(), out.pixels());
                assert_eq!(sd > 0.8, !(kind.name() == "saturate" && channels == 1), "{kind} {severity}: {sd}");
            }
        }
    }
}

#[test]
fn threads_and_other_images_change_nothing() {
    let clean = some(40, shape(3, 17, 20));
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (single, double) = (pool(1), pool(2));
    for kind in AnyCorruption::all() {
        let out = single.install(|| corrupt(&clean, kind, severity(4), 7)).unwrap();
        assert_eq!(double.install(|| corrupt(&clean, kind, severity(4), 7)).unwrap(), out);
        let part = clean.take(3).unwrap();
        assert_eq!(corrupt(&part, kind, severity(4), 7).unwrap().pixels(), out.take(3).unwrap().pixels());
        let alone = corrupt_image(clean.image(39), clean.shape(), kind, severity(4), 7, 39).unwrap();
        assert_eq!(alone, out.image(39));
    }
}

#[test]
fn random_parts_depend_on_seed_index_and_severity() {
    let shape = shape(3, 32, 32);
    let image = procedural(shape);
    for kind in AnyCorruption::all() {
        let out = |seed, index| corrupt_image(&image, shape, kind, severity(5), seed, index).unwrap();
        let random = kind.deviation().is_some();
        assert_eq!(out(1, 0) != out(2, 0), random, "{kind}");
        assert_eq!(out(1, 0) != out(1, 1), random, "{kind}");
    }
    // The two kinds of noise, and two severities, do not use the same numbers.
    let noise = |kind: AnyCorruption, number| {
        let gray = constant(128, shape);
        let out = one(&gray, shape, kind, severity(number), 1);
        out.into_iter().map(|value| f64::from(value) - 127.5).collect::<Vec<_>>()
    };
    let gaussian = noise(Corruption::GaussianNoise.into(), 5);
    let others = [noise(Corruption::GaussianNoise.into(), 4), noise(ExtraCorruption::SpeckleNoise.into(), 5)];
    for other in others {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let correlation = dot(&gaussian, &other) / (dot(&gaussian, &gaussian) * dot(&other, &other)).sqrt();
        assert!(correlation.abs() < 5.0 / (shape.len() as f64).sqrt(), "{correlation}");
    }
}

#[test]
fn what_corruptions_are_not_defined_for_is_refused() {
    for refused in [shape(2, 32, 32), shape(4, 32, 32), shape(3, 15, 32), shape(1, 32, 65), shape(3, 0, 0)] {
        let image = procedural(refused);
        let error = corrupt_image(&image, refused, Corruption::Fog, severity(1), 0, 0).unwrap_err();
        assert_eq!(error, DatasetError::CorruptionShape(refused));
    }
    let error = corrupt(&some(1, shape(2, 8, 70)), Corruption::Snow, severity(1), 0).unwrap_err().to_string();
    assert_eq!(
        error,
        "corruptions take images of 16 to 64 pixels a side with 1 or 3 channels, got 8 x 70 pixels with 2 channels"
    );
    let expected = DatasetError::Size { name: "image 5".into(), what: "pixels", expected: 3072, found: 3071 };
    let error = corrupt_image(&[0; 3071], shape(3, 32, 32), Corruption::Jpeg, severity(1), 0, 5).unwrap_err();
    assert_eq!(error, expected);
}

#[test]
fn noise_has_the_stated_size() {
    let shape = shape(3, 64, 64);
    let (gray, n) = (constant(128, shape), shape.len() as f64);
    let x = 128.0_f64 / 255.0;
    let sizes: [(AnyCorruption, [f64; 5]); 3] = [
        (Corruption::GaussianNoise.into(), [0.04, 0.06, 0.08, 0.09, 0.10]),
        (Corruption::ShotNoise.into(), [500.0, 250.0, 100.0, 75.0, 50.0].map(|c| (x / c).sqrt())),
        (ExtraCorruption::SpeckleNoise.into(), [0.06, 0.1, 0.12, 0.16, 0.2].map(|c| x * c)),
    ];
    for (kind, sds) in sizes {
        for (severity, sd) in Severity::ALL.into_iter().zip(sds) {
            let (mean, found) = moments(&gray, &one(&gray, shape, kind, severity, 5));
            // Truncation lowers the mean by half a level and adds a variance of 1/12.
            let expected = ((255.0 * sd).powi(2) + 1.0 / 12.0).sqrt();
            assert!((mean + 0.5).abs() < 4.0 * expected / n.sqrt() + 0.05, "{kind} {severity}: mean {mean}");
            assert!(
                (found - expected).abs() < 4.0 * expected / (2.0 * n).sqrt() + 0.05,
                "{kind} {severity}: sd {found}"
            );
        }
    }
    for (severity, amount) in Severity::ALL.into_iter().zip([0.01, 0.02, 0.03, 0.05, 0.07]) {
        let out = one(&gray, shape, Corruption::ImpulseNoise, severity, 5);
        for extreme in [0, 255] {
            let share = out.iter().filter(|&&value| value == extreme).count() as f64 / n;
            let error = 4.0 * (amount / 2.0 / n).sqrt();
            assert!((share - amount / 2.0).abs() < error, "{severity}: {share} at {extreme}");
        }
        assert!(out.iter().all(|value| [0, 127, 128, 255].contains(value)));
    }
}

/// Over a constant image blurs do nothing but round: the same level or, truncated, the one below.
#[test]
fn a_constant_image_stays() {
    use Corruption::*;
    let shape = shape(3, 32, 32);
    for value in (0..=255).step_by(5) {
        let image = constant(value, shape);
        for severity in Severity::ALL {
            for kind in [DefocusBlur, GlassBlur, MotionBlur, ZoomBlur, Contrast, Elastic] {
                let out = one(&image, shape, kind, severity, 2);
                // Glass is cast to bytes twice.
                let least = value.saturating_sub(if kind == GlassBlur { 2 } else { 1 });
                assert!(out.iter().all(|out| (least..=value).contains(out)), "{kind} {severity} of {value}");
                let same = out.iter().all(|&other| other == out[0]);
                assert!(same || kind == Elastic, "{kind} {severity} of {value}");
            }
            assert_eq!(one(&image, shape, Pixelate, severity, 2), image);
            assert_eq!(one(&image, shape, MotionBlur, severity, 2), image);
        }
    }
}

#[test]
fn errors_grow_with_severity() {
    use Corruption::*;
    let clean = some(60, shape(3, 32, 32));
    for kind in [GaussianNoise, ShotNoise, ImpulseNoise, Brightness, Contrast, Fog] {
        let errors = Severity::ALL.map(|severity| {
            let out = corrupt(&clean, kind, severity, 1).unwrap();
            let square = |(&a, &b): (&u8, &u8)| f64::from(a.abs_diff(b)).powi(2);
            clean.pixels().iter().zip(out.pixels()).map(square).sum::<f64>()
        });
        assert!(errors.is_sorted_by(|a, b| a < b), "{kind}: {errors:?}");
    }
}

/// Root mean square errors on a ramp of colors, as NumPy's evaluation of the formulas has them over 300 draws (glass) or
/// 1,500: their mean and their standard deviation from draw to draw, for each severity.
#[test]
fn random_parts_change_an_image_as_much_as_the_formulas_say() {
    use Corruption::*;
    let expected: [(AnyCorruption, [(f64, f64); 5]); 6] = [
        (GlassBlur.into(), [(4.03, 0.07), (4.3, 0.07), (4.52, 0.07), (7.55, 0.12), (7.71, 0.12)]),
        (MotionBlur.into(), [(1.93, 0.6), (3.46, 1.17), (4.76, 1.58), (4.84, 1.58), (6.1, 2.1)]),
        (Snow.into(), [(13.54, 1.81), (27.27, 2.11), (31.09, 4.4), (42.99, 5.9), (57.85, 8.74)]),
        (Fog.into(), [(11.02, 1.09), (21.86, 2.16), (28.0, 3.01), (33.33, 3.89), (40.06, 4.82)]),
        (Elastic.into(), [(7.82, 2.89), (6.91, 2.56), (6.0, 2.15), (5.3, 1.71), (4.13, 0.89)]),
        (ExtraCorruption::Spatter.into(), [(8.37, 1.6), (13.61, 1.6), (19.44, 2.05), (16.51, 3.68), (21.08, 3.27)]),
    ];
    const N: u64 = 400;
    let shape = shape(3, 32, 32);
    let ramp: Vec<_> = (0..shape.len()).map(|i| (4 * (i % 32) + 3 * (i / 32 % 32) + 10 * (i / 1024)) as u8).collect();
    for (kind, expected) in expected {
        for (severity, (mean, sd)) in Severity::ALL.into_iter().zip(expected) {
            let error = |index| {
                let out = corrupt_image(&ramp, shape, kind, severity, 1, index).unwrap();
                let (mean, sd) = moments(&ramp, &out);
                mean.hypot(sd)
            };
            let found = (0..N).map(error).sum::<f64>() / N as f64;
            // Five standard errors of the difference of two means of 300 and 400 draws.
            assert!((found - mean).abs() < 0.4 * sd, "{kind} {severity}: {found} for {mean}");
        }
    }
}

#[test]
fn labels_and_pixels_of_the_published_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    write_published(folder.path(), "fog", 10);
    let images = read_cifar_10_c(folder.path(), Corruption::Fog, severity(2)).unwrap();
    assert_eq!((images.name(), images.n_classes()), ("cifar-10-c, fog 2", 10));
    assert_eq!((images.shape(), images.labels()), (shape(3, 32, 32), &[2, 3][..]));
    // Channels lie together in the file: value i of image n is 3 i + n there.
    for (n, image) in (2..4).zip([images.image(0), images.image(1)]) {
        let value = |channel: usize, place: usize| ((3 * place + channel) * 7 + n) as u8;
        assert!((0..3072).all(|i| image[i] == value(i / 1024, i % 1024)));
    }
    let last = read_cifar_100_c(folder.path(), Corruption::Fog, severity(5)).unwrap();
    assert_eq!((last.labels(), last.n_classes()), (&[8, 9][..], 100));
    // The published frost has photographs; what is generated here has not.
    write_published(folder.path(), "frost", 10);
    assert_eq!(
        read_cifar_10_c(folder.path(), Corruption::FrostLike, severity(1)).unwrap().name(),
        "cifar-10-c, frost 1"
    );
    let missing = read_cifar_10_c(folder.path(), ExtraCorruption::Spatter, severity(1)).unwrap_err();
    assert!(matches!(missing, DatasetError::Read { file, .. } if file.ends_with("spatter.npy")));
}

#[test]
fn published_files_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let refused = |file: &str| match read_cifar_10_c(folder.path(), Corruption::Fog, severity(5)).unwrap_err() {
        DatasetError::Malformed { file: found, offset, reason } if found == path(file) => (offset, reason),
        other => panic!("{other}"),
    };
    let image_bytes = 10 * 3072;
    for (shape, dtype, reason) in [
        ("(10, 32, 32)", "|u1", "the file has an array of shape (10, 32, 32) and type '|u1', expected shape"),
        ("(9, 32, 32, 3)", "|u1", "the file has an array of shape (9, 32, 32, 3)"),
        ("(10, 3, 32, 32)", "|u1", "the file has an array of shape (10, 3, 32, 32)"),
        ("(0, 32, 32, 3)", "|u1", "the file has an array of shape (0, 32, 32, 3)"),
        ("(10, 32, 8, 3)", "<i4", "the file has an array of shape (10, 32, 8, 3) and type '<i4'"),
        ("(10, 32, 32, 3)", "<f4", "values of type '<f4', read are"),
        ("(10, 32, 32, 3)", "<i8", "truncated"),
    ] {
        write_published(folder.path(), "fog", 10);
        let values: usize = shape[1..shape.len() - 1].split(", ").map(|axis| axis.parse::<usize>().unwrap()).product();
        let bytes = if dtype == "<i4" { image_bytes } else { values };
        fs::write(path("fog.npy"), npy(dtype, shape, &vec![0; bytes])).unwrap();
        let (offset, found) = refused("fog.npy");
        assert!(found.starts_with(reason), "{found}");
        assert!(reason == "truncated" || offset == 8 || offset == 10, "{offset}");
    }
    write_published(folder.path(), "fog", 10);
    let whole = fs::read(path("fog.npy")).unwrap();
    fs::write(path("fog.npy"), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(refused("fog.npy").0, whole.len() as u64 - 1);
    write_published(folder.path(), "fog", 10);
    fs::write(path("labels.npy"), npy("|u1", "(5,)", &[0; 5])).unwrap();
    let found = refused("labels.npy").1;
    assert_eq!(
        found,
        "the file has an array of shape (5,) and type '|u1', expected shape (10,), a label for each image of fog.npy"
    );
    let labels = npy("|u1", "(10,)", &[0, 0, 0, 0, 0, 0, 0, 0, 3, 10]);
    fs::write(path("labels.npy"), &labels).unwrap();
    assert_eq!(refused("labels.npy"), (labels.len() as u64 - 1, "label 10 is not 0 to 9".into()));
    let labels: Vec<_> = (0..10_i64).map(|i| if i == 8 { -1 } else { i }).flat_map(i64::to_le_bytes).collect();
    fs::write(path("labels.npy"), npy("<i8", "(10,)", &labels)).unwrap();
    assert_eq!(refused("labels.npy").1, "label -1 is not 0 to 9");
}

fn npy(dtype: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [&b"\x93NUMPY\x01\0"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), values].concat()
}

/// Files as they are published, with `n` images and labels.
fn write_published(folder: &Path, kind: &str, n: usize) {
    let pixels: Vec<_> = (0..n).flat_map(|n| (0..3072).map(move |i| (i * 7 + n) as u8)).collect();
    fs::write(folder.join(format!("{kind}.npy")), npy("|u1", &format!("({n}, 32, 32, 3)"), &pixels)).unwrap();
    let labels: Vec<_> = (0..n as u8).collect();
    fs::write(folder.join("labels.npy"), npy("|u1", &format!("({n},)"), &labels)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_image_can_be_corrupted(
        seed in any::<u64>(),
        index in any::<u64>(),
        kind in prop::sample::select(AnyCorruption::all().collect::<Vec<_>>()),
        severity in prop::sample::select(Severity::ALL.to_vec()),
        (channels, height, width) in (prop::sample::select(vec![1, 3]), 16_usize..=64, 16_usize..=64),
        pixels in prop::collection::vec(any::<u8>(), 3 * 64 * 64),
    ) {
        let shape = shape(channels, height, width);
        let image = &pixels[..shape.len()];
        let out = corrupt_image(image, shape, kind, severity, seed, index).unwrap();
        prop_assert_eq!(out.len(), shape.len());
        prop_assert_eq!(corrupt_image(image, shape, kind, severity, seed, index).unwrap(), out);
    }

    /// Brightness moves the largest of red, green and blue by c, and none by more.
    #[test]
    fn brightness_is_added_to_the_value(pixels in prop::collection::vec(0_u8..170, 3 * 256)) {
        let shape = shape(3, 16, 16);
        for (severity, c) in Severity::ALL.into_iter().zip([0.05, 0.1, 0.15, 0.2, 0.3]) {
            let out = one(&pixels, shape, Corruption::Brightness, severity, 0);
            for i in 0..256 {
                let value = |image: &[u8]| [image[i], image[256 + i], image[512 + i]].into_iter().max().unwrap();
                let loss = f64::from(value(&pixels)) + 255.0 * c - f64::from(value(&out));
                prop_assert!((-1e-9..1.0 + 1e-9).contains(&loss), "{} to {}", value(&pixels), value(&out));
            }
        }
    }

    #[test]
    fn clouds_span_0_to_1(seed in any::<u64>(), power in 1_u32..8, decay in 1.0_f64..4.0) {
        let map = plasma(1 << power, decay, &mut Streams::new(seed).stream(Stream::Corruption)).unwrap();
        prop_assert_eq!(map.len(), 1 << (2 * power));
        prop_assert_eq!(map.iter().copied().fold(f64::INFINITY, f64::min), 0.0);
        prop_assert_eq!(map.iter().copied().fold(f64::NEG_INFINITY, f64::max), 1.0);
    }

    #[test]
    fn clouds_have_a_side_that_is_a_power_of_two(side in 0_usize..300) {
        let result = plasma(side, 2.0, &mut Streams::new(1).stream(Stream::Corruption));
        prop_assert_eq!(result.is_ok(), side > 1 && side.is_power_of_two());
        if let Err(error) = result {
            prop_assert_eq!(error.to_string(), format!("side has to be a power of two above 1, got {side}"));
        }
    }
}
