use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, Shape};
use burn_store::burn_pack::Tensor as Stored;
use burn_store::{
    BurnToPyTorchAdapter, ChainAdapter, FloatCastAdapter, KeyRemapper, ModuleSnapshot, ModuleStore,
    PyTorchToBurnAdapter, PytorchStore, SafetensorsStore, map_indices_contiguous,
};
use thiserror::Error;

use crate::model::deep_copy;

/// Loads the weights of a `.pt`, `.pth` or `.safetensors` file as PyTorch writes them: [`WeightFile`] with its defaults.
///
/// # Errors
///
/// Those of [`WeightFile::load`].
pub fn load_weights<M: Module>(module: M, path: impl AsRef<Path>) -> Result<M, WeightsError> {
    WeightFile::new(path).load(module)
}

/// Writes the weights and running statistics of `module` to a `.safetensors` file in PyTorch's layout, which
/// [`load_weights`] and PyTorch's `safetensors.torch.load_file` read. A file that exists is replaced.
///
/// Burn's own `save_file` is the better choice where only Burn will read the file: it keeps parameter identifiers.
///
/// # Errors
///
/// [`WeightsError::Write`] if the file can't be written.
pub fn save_weights<M: Module>(module: &M, path: impl AsRef<Path>) -> Result<(), WeightsError> {
    let path = path.as_ref();
    let mut store = SafetensorsStore::from_file(path)
        .with_to_adapter(BurnToPyTorchAdapter)
        .skip_enum_variants(true)
        .overwrite(true);
    // `valid` carries out the update of running statistics that Burn keeps back.
    let written = module.valid().save_into(&mut store);
    written.map_err(|error| WeightsError::Write { path: path.to_owned(), reason: error.to_string() })
}

/// A file of weights in PyTorch's layout, and how its names become those of a Burn module.
///
/// Linear weights are transposed (`[out, in]` in PyTorch), norm layers' `weight` and `bias` become γ and β, half
/// precision becomes the device's float type, and `num_batches_tracked` is dropped. A name that is not the module's is
/// tried in the forms that it usually has: without a `module.`, `_orig_mod.`, `state_dict.`, `model.` or `net.` in
/// front, with the names that other implementations of these networks use (`linear` for `fc`, `shortcut.0` or
/// `downsample.0` for `downsample.conv`, `convShortcut` for `shortcut`, `block1.layer.0` for `block1.0`), and with the
/// gaps closed that activations leave in the numbering of a `Sequential`. For other names there is
/// [`rename`](Self::rename).
///
/// ```no_run
/// # use burn::tensor::Device;
/// use rekindle_shared::networks::{ResNetConfig, WeightFile};
///
/// let resnet = ResNetConfig::new().init(&Device::flex())?;
/// let resnet = WeightFile::new("resnet20.pth").top_level_key("state_dict").rename("^encoder\\.", "").load(resnet)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct WeightFile {
    path: PathBuf,
    top_level_key: Option<String>,
    renames: Vec<(String, String)>,
}

/// Why weights were not loaded or saved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The extension names no format that is read here.
    #[error("can't tell the format of {}: the name must end in .pt, .pth or .safetensors", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be opened, or isn't of its format.
    #[error("can't read weights from {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The file can't be written.
    #[error("can't write weights to {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the writer said.
        reason: String,
    },
    /// A pattern given to [`WeightFile::rename`] isn't a regular expression.
    #[error("`{pattern}` is not a regular expression: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        reason: String,
    },
    /// The file holds weights of another network.
    #[error(
        "{} does not fit the module: missing {}; unexpected {}; of another shape {}; \
         check depth, width and number of classes, or rename keys with `WeightFile::rename`",
        path.display(), listed(missing), listed(unexpected), listed(shapes)
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What the module needs and the file lacks, in PyTorch's names.
        missing: Vec<String>,
        /// What the file has and the module doesn't.
        unexpected: Vec<String>,
        /// Name, the module's shape and the file's, in PyTorch's layout.
        shapes: Vec<String>,
    },
}

impl WeightFile {
    /// A file whose extension tells the format: `.pt`, `.pth` or `.safetensors`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), top_level_key: None, renames: Vec::new() }
    }

    /// Reads the dictionary under this key of a PyTorch checkpoint, such as `state_dict`, and nothing beside it.
    #[must_use]
    pub fn top_level_key(mut self, key: impl Into<String>) -> Self {
        self.top_level_key = Some(key.into());
        self
    }

    /// Replaces what the regular expression `pattern` matches in a name of the file, with `$1` for its first group.
    ///
    /// The result should be the module's path in PyTorch's words, such as `layer1.0.bn1.weight`. Several renames act
    /// one after the other.
    #[must_use]
    pub fn rename(mut self, pattern: impl Into<String>, replacement: impl Into<String>) -> Self {
        self.renames.push((pattern.into(), replacement.into()));
        self
    }

    /// A copy of `module` with the file's weights and running statistics, and with running statistics of its own.
    ///
    /// Parameter identifiers, what is frozen, devices and autodiff are as in `module`.
    ///
    /// # Errors
    ///
    /// [`WeightsError`] if the file can't be read, or its tensors are not exactly those of the module.
    pub fn load<M: Module>(&self, module: M) -> Result<M, WeightsError> {
        let mut copy = deep_copy(&module);
        let expected: BTreeMap<String, Shape> = copy
            .collect(None, Some(Box::new(BurnToPyTorchAdapter)), true)
            .into_iter()
            .map(|tensor| (tensor.name, tensor.shape))
            .collect();
        let tensors = self.matched(self.tensors()?, &expected)?;

        let dtype = copy.devices().first().map_or(DType::F32, |device| device.settings().float_dtype.into());
        let adapter = ChainAdapter::new(PyTorchToBurnAdapter, FloatCastAdapter::to(dtype));
        let applied = copy.apply(tensors, None, Some(Box::new(adapter)), true);
        match applied.errors.first() {
            Some(error) => Err(self.unreadable(error)),
            None => Ok(copy),
        }
    }

    /// The file's tensors under its own names. Only their descriptions are read here.
    fn tensors(&self) -> Result<Vec<Stored>, WeightsError> {
        fn all<S: ModuleStore>(mut store: S) -> Result<Vec<Stored>, String> {
            let tensors = store.get_all_tensors().map_err(|error| error.to_string())?;
            Ok(tensors.values().cloned().collect())
        }
        let extension = self.path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let tensors = match extension.to_ascii_lowercase().as_str() {
            "safetensors" => all(SafetensorsStore::from_file(&self.path)),
            "pt" | "pth" => {
                let store = PytorchStore::from_file(&self.path).map_indices_contiguous(false);
                all(match &self.top_level_key {
                    Some(key) => store.with_top_level_key(key),
                    None => store,
                })
            }
            _ => return Err(WeightsError::UnknownFormat { path: self.path.clone() }),
        };
        tensors.map_err(|reason| self.unreadable(reason))
    }

    /// The tensors under the module's names, if they are exactly those that the module has.
    fn matched(&self, tensors: Vec<Stored>, expected: &BTreeMap<String, Shape>) -> Result<Vec<Stored>, WeightsError> {
        let mut tensors = self.renamed(tensors)?;
        tensors.retain(|tensor| !tensor.name.ends_with("num_batches_tracked"));
        self.fitted(tensors.clone(), expected)
            .or_else(|error| self.fitted(map_indices_contiguous(tensors).0, expected).map_err(|_| error))
    }

    /// The tensors under the names that the module's usually have elsewhere, compared with those of the module.
    fn fitted(
        &self,
        mut tensors: Vec<Stored>,
        expected: &BTreeMap<String, Shape>,
    ) -> Result<Vec<Stored>, WeightsError> {
        for tensor in &mut tensors {
            if let Some(name) = usual_name(&tensor.name, |name| expected.contains_key(name)) {
                tensor.name = name;
            }
        }
        let found: BTreeSet<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        let missing = expected.keys().filter(|name| !found.contains(name.as_str())).cloned().collect::<Vec<_>>();
        let (mut unexpected, mut shapes) = (Vec::new(), Vec::new());
        for tensor in &tensors {
            match expected.get(&tensor.name) {
                None => unexpected.push(tensor.name.clone()),
                Some(shape) if *shape != tensor.shape => {
                    let [module, file] = [shape, &tensor.shape].map(|shape| shape.to_vec());
                    shapes.push(format!("{} ({module:?} in the module, {file:?} in the file)", tensor.name));
                }
                Some(_) => {}
            }
        }
        if missing.is_empty() && unexpected.is_empty() && shapes.is_empty() {
            return Ok(tensors);
        }
        Err(WeightsError::Mismatch { path: self.path.clone(), missing, unexpected, shapes })
    }

    fn renamed(&self, tensors: Vec<Stored>) -> Result<Vec<Stored>, WeightsError> {
        let mut remapper = KeyRemapper::new();
        for (pattern, replacement) in &self.renames {
            remapper = remapper
                .add_pattern(pattern, replacement)
                .map_err(|error| WeightsError::Pattern { pattern: pattern.clone(), reason: error.to_string() })?;
        }
        Ok(remapper.remap(tensors).0)
    }

    fn unreadable(&self, reason: impl ToString) -> WeightsError {
        WeightsError::Read { path: self.path.clone(), reason: reason.to_string() }
    }
}

/// The form of `name` that `is_known` accepts, among those that other implementations use.
fn usual_name(name: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    const PREFIXES: [&str; 5] = ["module.", "_orig_mod.", "state_dict.", "model.", "net."];
    const PARTS: [(&str, &str); 6] = [
        (".layer.", "."),
        ("convShortcut.", "shortcut."),
        ("shortcut.0.", "downsample.conv."),
        ("shortcut.1.", "downsample.bn."),
        ("downsample.0.", "downsample.conv."),
        ("downsample.1.", "downsample.bn."),
    ];
    let mut name = name;
    loop {
        let replaced = PARTS.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to));
        let head = name.strip_prefix("linear.").map(|rest| format!("fc.{rest}"));
        let sequential = name.starts_with(|c: char| c.is_ascii_digit()).then(|| format!("layers.{name}"));
        let forms = [Some(name.to_owned()), Some(replaced), head, sequential];
        if let Some(known) = forms.into_iter().flatten().find(|form| is_known(form)) {
            return Some(known);
        }
        name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    }
}

/// The first of many names, for a message of readable length.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 6;
    match names.len() {
        0 => "none".to_owned(),
        n if n <= SHOWN => names.join(", "),
        n => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
    }
}
