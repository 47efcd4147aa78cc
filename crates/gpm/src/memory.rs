use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use rekindle_shared::model::{deep_copy, observe, with_source_statistics};

use crate::addition::{Addition, BYTES};
use crate::basis::Basis;
use crate::layer::{LayerMemory, Roles, divide};
use crate::{Collector, GpmConfig, GpmError, TaskReport};

/// A gradient projection memory: for each layer an orthonormal basis of what its inputs spanned in earlier tasks.
///
/// Train each task with [`step`](Self::step) in place of the optimizer's, then show the memory some of its inputs by
/// [`observe_task`](Self::observe_task). A layer whose change is orthogonal to earlier inputs gives the same outputs
/// for them.
#[derive(Debug, Clone)]
pub struct GpmMemory {
    pub(crate) config: GpmConfig,
    pub(crate) layers: Vec<LayerMemory>,
    pub(crate) roles: Roles,
    pub(crate) n_tasks: usize,
}

impl GpmMemory {
    pub(crate) fn new<M: Module>(config: GpmConfig, model: &M) -> Result<Self, GpmError> {
        let (layers, roles) = divide(&config, model)?;
        let widest = layers.iter().map(|layer| layer.dim * BYTES).max().unwrap_or(0);
        if let Some(value) = config.max_bytes
            && value < widest
        {
            return Err(GpmError::CapTooSmall { cap: "max_bytes", value, least: widest });
        }
        Ok(Self { config, layers, roles, n_tasks: 0 })
    }

    /// Closes a task: adds what its layers got to the memory (Eqs. 5, 8 and 9).
    ///
    /// `forward` is called for each of `batches` on a copy of the trained `model` in evaluation mode, on the same device
    /// and without gradients; what it returns is not used. Some hundred training samples of the task will do; the authors'
    /// code takes 24 to 300. The layers have to be called through [`Layer::run`](rekindle_shared::model::Layer::run).
    ///
    /// # Errors
    ///
    /// No batch, layers that were not seen in any of them, inputs that are not finite. The memory is then as before.
    pub fn observe_task<M: Module, B, R>(
        &mut self,
        model: &M,
        batches: impl IntoIterator<Item = B>,
        mut forward: impl FnMut(&M, B) -> R,
    ) -> Result<TaskReport, GpmError> {
        let model = with_source_statistics(deep_copy(model)).no_grad();
        let mut task = self.begin_task();
        for batch in batches {
            let (_, seen) = observe(|| forward(&model, batch));
            task.add(&seen)?;
        }
        self.end_task(task)
    }

    /// Begins to gather the inputs of a task by hand; see [`Collector`].
    pub fn begin_task(&self) -> Collector {
        Collector::new(&self.layers)
    }

    /// Closes a task with inputs that were gathered by hand.
    ///
    /// # Errors
    ///
    /// Nothing was gathered, or nothing of some layers. The memory is then as before.
    pub fn end_task(&mut self, task: Collector) -> Result<TaskReport, GpmError> {
        if task.n_batches() == 0 {
            return Err(GpmError::NoSamples);
        }
        let unseen: Vec<_> = task.layers().iter().filter(|layer| layer.groups.is_empty()).collect();
        if !unseen.is_empty() {
            return Err(GpmError::Unseen(unseen.into_iter().map(|layer| layer.path.clone()).collect()));
        }
        let mut additions = Vec::with_capacity(self.layers.len());
        for (layer, gathered) in self.layers.iter().zip(task.layers()) {
            additions.push(Addition::of(layer, gathered, &self.config, self.n_tasks)?);
        }
        if let Some(max_bytes) = self.config.max_bytes {
            Addition::cap(&mut additions, max_bytes);
        }
        let mut reports = Vec::with_capacity(self.layers.len());
        for (layer, addition) in self.layers.iter_mut().zip(additions) {
            reports.push(addition.apply(layer, self.config.scale));
        }
        let report = TaskReport { task: self.n_tasks, layers: reports, bytes: self.bytes() };
        self.n_tasks += 1;
        Ok(report)
    }

    /// Tasks that the memory has seen.
    pub fn n_tasks(&self) -> usize {
        self.n_tasks
    }

    /// Paths of the layers that it protects, in the order of the model.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| layer.path.as_str())
    }

    /// Bytes of all bases: 4 for each number of each direction.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.rank() * layer.dim * BYTES).sum()
    }

    /// Directions that the memory holds of a layer, over all groups of a convolution.
    ///
    /// # Errors
    ///
    /// [`GpmError::UnknownLayer`] if it protects no layer of this name.
    pub fn rank(&self, layer: &str) -> Result<usize, GpmError> {
        self.layer(layer).map(LayerMemory::rank)
    }

    /// Directions of a layer that later tasks can still learn in.
    ///
    /// # Errors
    ///
    /// [`GpmError::UnknownLayer`] if it protects no layer of this name.
    pub fn free(&self, layer: &str) -> Result<usize, GpmError> {
        self.layer(layer).map(|layer| layer.n_directions() - layer.rank())
    }

    /// Whether the memory holds every direction of a layer, which then does not move any more.
    ///
    /// # Errors
    ///
    /// [`GpmError::UnknownLayer`] if it protects no layer of this name.
    pub fn is_full(&self, layer: &str) -> Result<bool, GpmError> {
        self.layer(layer).map(|layer| layer.rank() == layer.n_directions())
    }

    /// The directions of a layer, `[inputs, rank]` for each group of a convolution; none before the first task.
    ///
    /// # Errors
    ///
    /// [`GpmError::UnknownLayer`] if it protects no layer of this name.
    pub fn basis(&self, layer: &str) -> Result<Vec<Tensor<2>>, GpmError> {
        let layer = self.layer(layer)?;
        let tensor = |basis: &Basis| {
            let data = TensorData::new(basis.vectors.clone(), [basis.rank(), basis.dim]);
            Tensor::<2>::from_data(data, &layer.device).transpose()
        };
        Ok(layer.bases.iter().map(tensor).collect())
    }

    fn layer(&self, path: &str) -> Result<&LayerMemory, GpmError> {
        self.layers.iter().find(|layer| layer.path == path).ok_or_else(|| GpmError::UnknownLayer {
            path: path.to_owned(),
            known: self.layers().map(str::to_owned).collect(),
        })
    }
}
