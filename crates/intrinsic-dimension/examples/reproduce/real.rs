//! Estimates on images of data sets.

use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Interval, Results};
use rekindle_intrinsic_dimension::data::{self, ImageSize};
use rekindle_intrinsic_dimension::{Bootstrap, Duplicates, Estimate, IdError, Knn, KnnTable, Mle, Points, Scalar};
use rekindle_shared::data::{LabeledImages, Stream, Streams};
use serde::{Deserialize, Serialize};

use crate::estimator::Estimator;
use crate::sets::DataSet;

/// Neighbors in every table, of which estimates use the first k.
const LARGEST_K: usize = 20;

/// Some images of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) set: DataSet,
    /// Those of one class; of all where none is given.
    pub(crate) class: Option<usize>,
    /// As many, drawn by the cell's seed; all where none is given.
    pub(crate) n: Option<usize>,
}

/// What is done to the images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Version {
    Plain,
    /// To `to` / `from` of height and width, by the nearest pixel.
    Resized {
        to: usize,
        from: usize,
    },
    /// Random pixels overwritten with noise, in as many copies of each image.
    Noise {
        pixels: usize,
        copies: usize,
    },
}

/// The maximum likelihood estimates of images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Images {
    pub(crate) part: Part,
    pub(crate) version: Version,
    pub(crate) k: usize,
    /// Images whose neighbors are looked for, among all; all where none is given.
    pub(crate) anchors: Option<usize>,
}

impl Part {
    pub(crate) fn whole(set: DataSet) -> Self {
        Self { set, class: None, n: None }
    }

    fn images(&self, context: &Context, seed: u64) -> Result<LabeledImages, Failure> {
        let mut images = self.set.images(context)?;
        if let Some(class) = self.class {
            let of_class = |&(_, &label): &(usize, &usize)| label == class;
            let rows: Vec<usize> = images.labels().iter().enumerate().filter(of_class).map(|(row, _)| row).collect();
            images = images.subset(rows)?;
        }
        match self.n {
            Some(n) if n < images.len() => Ok(images.sample(n, &mut Streams::new(seed).stream(Stream::Data))?),
            _ => Ok(images),
        }
    }

    /// Another estimator than maximum likelihood.
    pub(crate) fn estimate(&self, estimator: Estimator, context: &Context, seed: u64) -> Result<Outcome, Failure> {
        let images = self.images(context, seed)?;
        // GeoMLE's ridge depends on the unit; the authors' images lie in [0, 1].
        let fit = estimator.fit(&unit(&images)?, seed)?;
        let mut results = Results::default();
        results.metrics.insert("dimension".into(), fit.dimension);
        if let Some([lo, hi]) = fit.interval {
            results.intervals.insert("dimension".into(), Interval { lo, hi });
        }
        Ok(Outcome { results, ..Outcome::default() })
    }
}

impl Images {
    /// With the normalizer that is right and with that of the authors' code.
    pub(crate) fn estimate(&self, context: &Context, seed: u64) -> Result<Outcome, Failure> {
        // The table is the same for every k, and for every seed where nothing is drawn.
        let drawn = self.part.n.is_some() || self.anchors.is_some() || self.version != Version::Plain;
        let key = (self.part, self.version, self.anchors, drawn.then_some(seed));
        let bytes = context.artifact(&format!("neighbors {}", serde_json::to_string(&key)?), || {
            Ok(bytes(&self.neighbors(context, seed)?))
        })?;
        let (table, n_duplicates) = table(&bytes)?;
        let mut results = Results::default();
        for (name, mle) in [("dimension", Mle::new()), ("authors", Mle::pope_code())] {
            let estimate: Estimate = mle.with_k(self.k).fit(&table)?;
            let interval = estimate.interval(&Bootstrap::new().with_seed(seed))?;
            results.metrics.insert(name.into(), estimate.dimension);
            results.intervals.insert(name.into(), Interval { lo: interval.low, hi: interval.high });
        }
        results.counters.insert("copies".into(), n_duplicates);
        Ok(Outcome { results, ..Outcome::default() })
    }

    fn neighbors(&self, context: &Context, seed: u64) -> Result<KnnTable, Failure> {
        let images = self.part.images(context, seed)?;
        match self.version {
            Version::Plain => self.search(&points(&images)?, context, seed),
            Version::Resized { to, from } => {
                let shape = images.shape();
                let size = |to, from| ImageSize {
                    channels: shape.channels,
                    height: shape.height * to / from,
                    width: shape.width * to / from,
                };
                let resized = data::resize_nearest(&unit(&images)?, size(1, 1), size(to, from))?;
                self.search(&resized, context, seed)
            }
            Version::Noise { pixels, copies } => {
                let noisy = data::noise_pixels(&unit(&images)?, pixels, copies, seed)?;
                self.search(&noisy, context, seed)
            }
        }
    }

    fn search<T: Scalar>(&self, points: &Points<'_, T>, context: &Context, seed: u64) -> Result<KnnTable, Failure> {
        let report = |progress: rekindle_intrinsic_dimension::Progress| context.progress(progress.done, progress.total);
        let knn = Knn::new(LARGEST_K).with_duplicates(Duplicates::Remove).with_progress(&report);
        let Some(n) = self.anchors.filter(|&n| n < points.n()) else { return Ok(knn.search(points)?) };
        let mut rng = Streams::new(seed).stream(Stream::Method);
        let anchors = rand::seq::index::sample(&mut rng, points.n(), n).into_vec();
        Ok(knn.search_anchors(points, &anchors)?)
    }
}

/// Bytes as they are.
fn points(images: &LabeledImages) -> Result<Points<'_, u8>, IdError> {
    Points::new(images.pixels(), images.len(), images.shape().len())
}

/// In [0, 1].
fn unit(images: &LabeledImages) -> Result<Points<'static, f32>, IdError> {
    let values = images.pixels().iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
    Points::from_vec(values, images.len(), images.shape().len())
}

/// The number of copies left out, then the distances.
fn bytes(table: &KnnTable) -> Vec<u8> {
    let n_duplicates = (table.n_duplicates() as u64).to_le_bytes();
    let distances = table.all_distances().iter().flat_map(|distance| distance.to_le_bytes());
    n_duplicates.into_iter().chain(distances).collect()
}

fn table(bytes: &[u8]) -> Result<(KnnTable, u64), IdError> {
    let words = bytes.as_chunks().0;
    let distances = words[1..].iter().map(|&word| f64::from_le_bytes(word)).collect();
    Ok((KnnTable::from_distances(distances, LARGEST_K)?, u64::from_le_bytes(words[0])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_survives_its_bytes() {
        let points = Points::new(&[0.0, 0.0, 1.0, 3.0], 4, 1).unwrap();
        let found = Knn::new(2).with_duplicates(Duplicates::Remove).search(&points).unwrap();
        let bytes = bytes(&found);
        assert_eq!(bytes[..8], 1_u64.to_le_bytes());
        let read: Vec<f64> = bytes[8..].as_chunks().0.iter().map(|&word| f64::from_le_bytes(word)).collect();
        assert_eq!(read, found.all_distances());
    }
}
