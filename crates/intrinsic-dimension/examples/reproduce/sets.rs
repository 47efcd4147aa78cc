//! Official data sets and folders of images.

use rekindle_harness::worker::{Context, Failure};
use rekindle_shared::data::{ImageShape, LabeledImages, Split, load, read_image_folder, read_resized_image_folder};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DataSet {
    Mnist,
    FashionMnist,
    #[serde(rename = "cifar-10")]
    Cifar10,
    /// Its test images alone.
    KmnistTest,
    #[serde(rename = "cifar-100")]
    Cifar100,
    Svhn,
    Celeba,
    MsCoco,
    Imagenet,
    /// Of the user's own.
    Images,
}

const COLOR: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
/// What photographs of all sizes are made.
const PHOTOGRAPH: ImageShape = ImageShape { channels: 3, height: 64, width: 64 };

impl DataSet {
    /// In the registry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar-10",
            Self::KmnistTest => "kmnist-test",
            Self::Cifar100 => "cifar-100",
            Self::Svhn => "svhn",
            Self::Celeba => "celeba",
            Self::MsCoco => "ms-coco",
            Self::Imagenet => "imagenet",
            Self::Images => "images",
        }
    }

    /// In the tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Mnist => "MNIST",
            Self::FashionMnist => "Fashion-MNIST",
            Self::Cifar10 => "CIFAR-10",
            Self::KmnistTest => "KMNIST, test images",
            Self::Cifar100 => "CIFAR-100",
            Self::Svhn => "SVHN",
            Self::Celeba => "CelebA",
            Self::MsCoco => "MS-COCO",
            Self::Imagenet => "ImageNet",
            Self::Images => "images of your own",
        }
    }

    /// The training images, or the part there is.
    pub(crate) fn images(self, context: &Context) -> Result<LabeledImages, Failure> {
        self.split(context, if self == Self::KmnistTest { Split::Test } else { Split::Train })
    }

    pub(crate) fn split(self, context: &Context, split: Split) -> Result<LabeledImages, Failure> {
        let located = context.data.locate(self.name()).map_err(Failure::data)?;
        let folder = located.path(if split == Split::Train { "train" } else { "test" });
        let images = match self {
            Self::Svhn => read_image_folder(self.name(), &folder, COLOR).map(|read| read.images),
            Self::Celeba | Self::MsCoco | Self::Imagenet | Self::Images => {
                read_resized_image_folder(self.name(), &folder, PHOTOGRAPH).map(|read| read.images)
            }
            _ => load(&located, split),
        };
        images.map_err(Failure::data)
    }
}
