use super::{DatasetError, LabeledImages};

/// Mean and standard deviation of each channel, of pixels scaled to `[0, 1]`: images become `(pixel / 255 - mean) / std`.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Normalization {
    /// Mean and standard deviation by channel.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Channels`] if the two have different lengths, [`DatasetError::Value`] for a value that is not
    /// finite or a standard deviation that is not positive.
    pub fn new(mean: Vec<f32>, std: Vec<f32>) -> Result<Self, DatasetError> {
        if mean.len() != std.len() {
            return Err(DatasetError::Channels { normalization: mean.len(), images: std.len() });
        }
        if let Some(index) = mean.iter().position(|value| !value.is_finite()) {
            return Err(DatasetError::Value { index, value: mean[index], rule: "a finite mean" });
        }
        if let Some(index) = std.iter().position(|value| !(*value > 0.0 && value.is_finite())) {
            return Err(DatasetError::Value { index, value: std[index], rule: "a positive standard deviation" });
        }
        Ok(Self { mean, std })
    }

    /// That of these images; a channel with one value everywhere gets the standard deviation 1.
    pub fn of(images: &LabeledImages) -> Self {
        let shape = images.shape();
        let plane = shape.height * shape.width;
        let mut histograms = vec![[0_u64; 256]; shape.channels];
        for (i, pixels) in images.pixels().chunks_exact(plane).enumerate() {
            let histogram = &mut histograms[i % shape.channels];
            pixels.iter().for_each(|&pixel| histogram[usize::from(pixel)] += 1);
        }
        let n = (images.len() * plane) as f64;
        let (mut mean, mut std) = (Vec::new(), Vec::new());
        for histogram in histograms {
            let moment = |power: i32| {
                let terms = histogram
                    .iter()
                    .enumerate()
                    .map(|(pixel, &count)| count as f64 * (pixel as f64 / 255.0).powi(power));
                terms.sum::<f64>() / n
            };
            let variance = moment(2) - moment(1) * moment(1);
            mean.push(moment(1) as f32);
            std.push(if variance > 1e-12 { variance.sqrt() as f32 } else { 1.0 });
        }
        Self { mean, std }
    }

    /// No normalization: pixels from 0 to 1.
    pub fn identity(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// Of the MNIST training images.
    pub fn mnist() -> Self {
        Self { mean: vec![0.1307], std: vec![0.3081] }
    }

    /// Of the Fashion-MNIST training images.
    pub fn fashion_mnist() -> Self {
        Self { mean: vec![0.2860], std: vec![0.3530] }
    }

    /// Of the CIFAR-10 training images.
    pub fn cifar_10() -> Self {
        Self { mean: vec![0.4914, 0.48216, 0.44653], std: vec![0.24703, 0.24349, 0.26159] }
    }

    /// Of the CIFAR-100 training images.
    pub fn cifar_100() -> Self {
        Self { mean: vec![0.50708, 0.48655, 0.44092], std: vec![0.26733, 0.25644, 0.27615] }
    }

    /// Means by channel.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Standard deviations by channel.
    pub fn std(&self) -> &[f32] {
        &self.std
    }

    /// What each pixel value of each channel becomes: one table for every path, so that all give the same bits.
    pub(super) fn table(&self, images: &LabeledImages) -> Result<Table, DatasetError> {
        let channels = images.shape().channels;
        if self.mean.len() != channels {
            return Err(DatasetError::Channels { normalization: self.mean.len(), images: channels });
        }
        let row = |(mean, std): (&f32, &f32)| std::array::from_fn(|pixel| (pixel as f32 / 255.0 - mean) / std);
        Ok(Table(self.mean.iter().zip(&self.std).map(row).collect()))
    }
}

/// `[channels, 256]`.
#[derive(Debug, Clone)]
pub(super) struct Table(Vec<[f32; 256]>);

impl Table {
    /// What the pixels of a channel become.
    pub(super) fn channel(&self, channel: usize) -> &[f32; 256] {
        &self.0[channel]
    }

    /// Appends an image, `[channels, height, width]`.
    pub(super) fn extend(&self, image: &[u8], values: &mut Vec<f32>) {
        for (row, plane) in self.0.iter().zip(image.chunks_exact(image.len() / self.0.len())) {
            values.extend(plane.iter().map(|&pixel| row[usize::from(pixel)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;

    fn images() -> LabeledImages {
        let shape = ImageShape { channels: 2, height: 1, width: 2 };
        LabeledImages::new("x", shape, vec![0, 255, 51, 51, 0, 255, 51, 51], vec![0, 0], 1).unwrap()
    }

    #[test]
    fn mean_and_standard_deviation_are_those_of_the_channels() {
        let computed = Normalization::of(&images());
        assert_eq!((computed.mean(), computed.std()), (&[0.5, 0.2][..], &[0.5, 1.0][..]));
        let mut values = Vec::new();
        computed.table(&images()).unwrap().extend(images().image(0), &mut values);
        assert_eq!(values, [-1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let error = Normalization::mnist().table(&images()).unwrap_err();
        assert_eq!(error, DatasetError::Channels { normalization: 1, images: 2 });
        assert!(matches!(Normalization::new(vec![0.0], vec![0.0]), Err(DatasetError::Value { value: 0.0, .. })));
        assert!(matches!(Normalization::new(vec![f32::NAN], vec![1.0]), Err(DatasetError::Value { index: 0, .. })));
        assert!(matches!(Normalization::new(vec![0.0], vec![]), Err(DatasetError::Channels { .. })));
    }
}
