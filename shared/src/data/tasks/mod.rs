//! One data set as a sequence of tasks, for continual learning.

mod order;
mod permuted;
mod rotated;
mod split;
mod stream;
mod validation;

pub use order::TaskOrder;
pub use permuted::PermutedTasks;
pub use rotated::RotatedTasks;
pub use split::{SplitTasks, TaskLabels};
pub use stream::{Task, TaskStream};
pub use validation::Validation;
