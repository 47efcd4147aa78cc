use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::data::{DatasetError, ImageShape, LabeledImages, Stream, Streams};

/// Tasks that see the same images, each through a fixed permutation of the pixels (Goodfellow et al., 2013).
///
/// The channels of a pixel move together. The permutation of a task depends on the seed and the task's number alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermutedTasks {
    /// How many.
    pub n_tasks: usize,
    /// Root seed of the [`Streams`] from which the permutations are drawn: substreams of [`Stream::Tasks`].
    pub seed: u64,
    /// Whether the first task has the images as they are.
    pub identity_first: bool,
}

impl PermutedTasks {
    /// `n_tasks` tasks, the first one permuted too, as in the experiments of Gradient Projection Memory.
    pub fn new(n_tasks: usize, seed: u64) -> Self {
        Self { n_tasks, seed, identity_first: false }
    }

    /// The same tasks but the first, which has the images as they are.
    #[must_use]
    pub fn with_identity_first(self) -> Self {
        Self { identity_first: true, ..self }
    }

    /// Where the pixels of a task come from, `[height * width]`: pixel `i` of the task is pixel `permutation[i]` of the image.
    pub fn permutation(&self, task: usize, shape: ImageShape) -> Vec<usize> {
        let mut permutation: Vec<_> = (0..shape.height * shape.width).collect();
        if !(self.identity_first && task == 0) {
            permutation.shuffle(&mut Streams::new(self.seed).substream(Stream::Tasks, task as u64));
        }
        permutation
    }

    pub(super) fn name(&self, task: usize) -> String {
        if self.identity_first && task == 0 { "unpermuted".into() } else { format!("permutation {task}") }
    }

    pub(super) fn shown(&self, task: usize, images: LabeledImages) -> Result<LabeledImages, DatasetError> {
        let permutation = self.permutation(task, images.shape());
        let planes = images.pixels().chunks_exact(permutation.len());
        let pixels = planes.flat_map(|plane| permutation.iter().map(|&from| plane[from])).collect();
        images.with_pixels(pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 2, height: 2, width: 3 };

    fn images() -> LabeledImages {
        LabeledImages::new("x", SHAPE, (0..24).collect(), vec![1, 0], 2).unwrap()
    }

    #[test]
    fn channels_and_images_share_the_permutation_of_a_task() {
        let order = PermutedTasks::new(3, 7);
        let permutation = order.permutation(1, SHAPE);
        let shown = order.shown(1, images()).unwrap();
        assert_eq!(shown.labels(), [1, 0]);
        for (plane, start) in shown.pixels().chunks(6).zip([0, 6, 12, 18]) {
            let expected: Vec<_> = permutation.iter().map(|from| (start + from) as u8).collect();
            assert_eq!(plane, expected);
        }
    }

    #[test]
    fn tasks_and_seeds_have_permutations_of_their_own() {
        let shape = ImageShape { channels: 1, height: 28, width: 28 };
        let order = PermutedTasks::new(10, 1);
        let identity: Vec<_> = (0..784).collect();
        assert_ne!(order.permutation(0, shape), identity);
        assert_ne!(order.permutation(0, shape), order.permutation(1, shape));
        assert_ne!(order.permutation(0, shape), PermutedTasks::new(10, 2).permutation(0, shape));
        // Neither the number of tasks nor the identity changes the later ones.
        let other = PermutedTasks::new(2, 1).with_identity_first();
        assert_eq!(other.permutation(0, shape), identity);
        assert_eq!(other.permutation(1, shape), order.permutation(1, shape));
        assert_eq!((other.name(0), other.name(1)), ("unpermuted".into(), "permutation 1".into()));
    }

    #[test]
    fn permutations_do_not_change_between_versions() {
        let shape = ImageShape { channels: 1, height: 2, width: 3 };
        let order = PermutedTasks::new(2, 0);
        assert_eq!(order.permutation(0, shape), [0, 5, 3, 1, 2, 4]);
    }
}
