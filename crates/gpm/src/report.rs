use serde::{Deserialize, Serialize};

/// What a task has added to a memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskReport {
    /// Number of the task, from 0.
    pub task: usize,
    /// Every layer of the memory, in the order of the model.
    pub layers: Vec<LayerReport>,
    /// Bytes that the memory holds now: 4 for each number of each direction.
    pub bytes: usize,
}

impl TaskReport {
    /// Paths of the layers that hold every direction and can't learn any more: a warning to pass on.
    pub fn full_layers(&self) -> Vec<&str> {
        self.layers.iter().filter(|layer| layer.free() == 0).map(|layer| layer.path.as_str()).collect()
    }

    /// Paths of the layers where a cap left directions out.
    pub fn capped_layers(&self) -> Vec<&str> {
        self.layers.iter().filter(|layer| layer.left_out > 0).map(|layer| layer.path.as_str()).collect()
    }
}

/// What a task has added to the memory of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LayerReport {
    /// Path of the layer.
    pub path: String,
    /// Directions there are: inputs of the layer, over all groups of a convolution.
    pub n_directions: usize,
    /// Directions held now.
    pub rank: usize,
    /// Directions that this task added.
    pub added: usize,
    /// Directions that the threshold asked for and a cap left out.
    pub left_out: usize,
    /// Share of the energy of this task's inputs that is held now, in [0, 1]; 1 for inputs of zeros.
    pub retained: f64,
}

impl LayerReport {
    /// Directions left to learn in.
    pub fn free(&self) -> usize {
        self.n_directions - self.rank
    }
}
