use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use super::BackendError;

/// A backend of Burn that reproductions run on. Whether it is compiled in depends on Cargo features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// CPU, the default.
    Flex,
    /// CPU, deprecated by Burn.
    NdArray,
    /// GPUs and software adapters through Vulkan, Metal or DirectX 12.
    Wgpu,
    /// NVIDIA GPUs.
    Cuda,
}

/// Opens a backend by name, as a plain device: `.autodiff()` makes it one to train on.
///
/// # Errors
///
/// [`BackendError::Unknown`] for a name that is none, [`BackendError::NotCompiled`] if its feature is off,
/// [`BackendError::NoAdapter`] if the machine has nothing to run it on. There is no silent fallback.
pub fn open(name: &str) -> Result<Device, BackendError> {
    name.parse::<Backend>()?.open()
}

/// Names of the backends that are compiled in.
pub fn compiled() -> Vec<&'static str> {
    Backend::ALL.into_iter().filter(|backend| backend.is_compiled()).map(Backend::name).collect()
}

impl Backend {
    /// Every backend, the default first.
    pub const ALL: [Self; 4] = [Self::Flex, Self::NdArray, Self::Wgpu, Self::Cuda];

    /// The name that a user gives.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }

    /// The Cargo feature that compiles it in, as a command line names it.
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Flex => "rekindle-shared/flex",
            Self::NdArray => "rekindle-shared/ndarray",
            Self::Wgpu => "rekindle-shared/wgpu",
            Self::Cuda => "rekindle-shared/cuda",
        }
    }

    /// Whether this program was built with it.
    pub const fn is_compiled(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::NdArray => cfg!(feature = "ndarray"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cuda => cfg!(feature = "cuda"),
        }
    }

    /// Opens its default device, without autodiff.
    ///
    /// For `wgpu`, `CUBECL_WGPU_DEFAULT_DEVICE` (`DiscreteGpu(1)`, `Cpu`, ...) chooses another adapter than the fastest.
    ///
    /// # Errors
    ///
    /// [`BackendError::NotCompiled`] if its feature is off, [`BackendError::NoAdapter`] if there is nothing to run it on.
    pub fn open(self) -> Result<Device, BackendError> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            #[allow(deprecated, reason = "kept while Burn 0.22 has it, for comparison")]
            Self::NdArray => Ok(Device::ndarray()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => open_wgpu(),
            #[cfg(feature = "cuda")]
            Self::Cuda => open_cuda(),
            #[allow(unreachable_patterns, reason = "with every backend compiled in, none is left")]
            other => Err(BackendError::NotCompiled { name: other.name(), feature: other.feature() }),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Backend {
    type Err = BackendError;

    fn from_str(name: &str) -> Result<Self, BackendError> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.name() == name)
            .ok_or_else(|| BackendError::Unknown { name: name.to_owned(), known: Self::ALL.map(Self::name).to_vec() })
    }
}

#[cfg(feature = "wgpu")]
fn open_wgpu() -> Result<Device, BackendError> {
    use burn::tensor::wgpu::WgpuInitError;

    // Acquiring the adapter here, rather than at the first tensor, gives an error where that would panic.
    match Device::wgpu_options().init() {
        Ok(device) => Ok(device),
        // Opened before in this process: there is one runtime for the default device.
        Err(WgpuInitError::Registration { .. }) => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        Err(error) => Err(BackendError::NoAdapter { name: Backend::Wgpu.name(), reason: error.to_string() }),
    }
}

#[cfg(feature = "cuda")]
fn open_cuda() -> Result<Device, BackendError> {
    // Listing devices is the one question that answers without a driver; opening one would panic.
    let mut devices = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().into_iter();
    devices.next().ok_or_else(|| BackendError::NoAdapter {
        name: Backend::Cuda.name(),
        reason: "no NVIDIA driver or no GPU".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_backends_are_one_to_one() {
        for backend in Backend::ALL {
            assert_eq!(backend.name().parse(), Ok(backend));
            assert_eq!(backend.to_string(), backend.name());
            assert!(backend.feature().ends_with(backend.name()));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = open("tpu").unwrap_err();
        assert_eq!(error.to_string(), "unknown backend `tpu`: use one of flex, ndarray, wgpu, cuda");
        assert!(open("").is_err() && open("Flex").is_err());
    }

    #[test]
    fn a_backend_opens_only_if_it_is_compiled_in() {
        for backend in Backend::ALL {
            assert_eq!(compiled().contains(&backend.name()), backend.is_compiled());
            if !backend.is_compiled() {
                let (name, feature) = (backend.name(), backend.feature());
                let error = backend.open().unwrap_err();
                assert_eq!(error, BackendError::NotCompiled { name, feature });
                assert!(error.to_string().contains(&format!("--features {feature}")));
            }
        }
        assert!(!open("flex").unwrap().is_autodiff());
    }

    #[test]
    fn a_missing_adapter_names_what_to_install() {
        let error = BackendError::NoAdapter { name: "wgpu", reason: "none".to_owned() };
        assert!(error.to_string().contains("mesa-vulkan-drivers"), "{error}");
        let error = BackendError::NoAdapter { name: "cuda", reason: "none".to_owned() };
        assert!(error.to_string().contains("nvidia-smi"), "{error}");
    }
}
