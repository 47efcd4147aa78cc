//! What holds for every task stream.

use proptest::prelude::*;
use rekindle_shared::data::{
    ImageShape, LabeledImages, PermutedTasks, RotatedTasks, SplitTasks, TaskLabels, TaskStream, Validation,
};

fn images(n: usize, shape: ImageShape, n_classes: usize) -> LabeledImages {
    let pixels = (0..n * shape.len()).map(|i| (i * 37 % 251) as u8).collect();
    LabeledImages::new("x", shape, pixels, (0..n).map(|i| i % n_classes).collect(), n_classes).unwrap()
}

fn sorted(pixels: &[u8]) -> Vec<u8> {
    let mut pixels = pixels.to_vec();
    pixels.sort_unstable();
    pixels
}

proptest! {
    #[test]
    fn a_permuted_image_keeps_its_pixels_channel_by_channel(
        channels in 1_usize..4, height in 1_usize..6, width in 1_usize..6, seed in any::<u64>(), identity in any::<bool>(),
    ) {
        let set = images(4, ImageShape { channels, height, width }, 2);
        let order = PermutedTasks { n_tasks: 3, seed, identity_first: identity };
        let stream = TaskStream::new(order, Validation::None, &set, &set).unwrap();
        for task in stream.iter().map(Result::unwrap) {
            prop_assert_eq!(task.train.labels(), set.labels());
            prop_assert_eq!(&task.train, &task.test, "training and test images see the same permutation");
            let planes = |set: &LabeledImages| set.pixels().chunks(height * width).map(sorted).collect::<Vec<_>>();
            prop_assert_eq!(planes(&task.train), planes(&set));
        }
    }

    #[test]
    fn split_tasks_share_out_every_image(
        n_tasks in 1_usize..5, per_task in 1_usize..4, rounds in 2_usize..6, seed in any::<u64>(), kept in any::<bool>(),
        fraction in 0.0_f64..0.5,
    ) {
        let n_classes = n_tasks * per_task;
        let set = images(rounds * n_classes, ImageShape { channels: 1, height: 2, width: 2 }, n_classes);
        let labels = if kept { TaskLabels::Kept } else { TaskLabels::PerTask };
        let order = SplitTasks::shuffled(n_classes, n_tasks, seed).unwrap().with_labels(labels);
        let stream = TaskStream::new(order, Validation::Drawn { fraction, seed }, &set, &set).unwrap();
        let mut found = Vec::new();
        for task in stream.iter().map(Result::unwrap) {
            prop_assert_eq!(task.test.n_classes(), if kept { n_classes } else { per_task });
            prop_assert_eq!(task.classes.len(), task.test.n_classes());
            let validation = task.validation.iter();
            let parts: Vec<_> = validation.chain([&task.train]).collect();
            prop_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), rounds * per_task);
            for part in parts {
                for index in 0..part.len() {
                    found.push((part.image(index).to_vec(), task.classes[part.labels()[index]]));
                }
            }
        }
        let mut all: Vec<_> = (0..set.len()).map(|index| (set.image(index).to_vec(), set.labels()[index])).collect();
        found.sort_unstable();
        all.sort_unstable();
        prop_assert_eq!(found, all);
    }

    #[test]
    fn four_quarter_turns_are_none_and_turns_brighten_nothing(side in 1_usize..8, degrees in -720.0_f64..720.0) {
        let set = images(2, ImageShape { channels: 2, height: side, width: side }, 2);
        let order = RotatedTasks::new(vec![90.0, degrees]);
        let turned = |set: &LabeledImages, task| {
            TaskStream::new(order.clone(), Validation::None, set, set).unwrap().task(task).unwrap().train
        };
        let once = turned(&set, 0);
        prop_assert_eq!(&turned(&turned(&turned(&once, 0), 0), 0), &set);
        prop_assert!(turned(&set, 1).pixels().iter().max() <= set.pixels().iter().max());
    }
}
