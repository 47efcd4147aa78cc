use thiserror::Error;

/// Why a backend can't be used. The message says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BackendError {
    /// No backend has this name.
    #[error("unknown backend `{name}`: use one of {}", known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: Vec<&'static str>,
    },
    /// The backend exists, but this program was built without it.
    #[error(
        "backend `{name}` is not compiled into this program: build it with `--features {feature}`, \
         or run `cargo xtask reproduce PAPER --backend {name}`, which does"
    )]
    NotCompiled {
        /// The backend.
        name: &'static str,
        /// The Cargo feature that compiles it in.
        feature: &'static str,
    },
    /// The backend is compiled in, but the machine has nothing that it can run on.
    #[error("backend `{name}` found no adapter ({reason}): {}, or use `flex`, which needs none", way_out(name))]
    NoAdapter {
        /// The backend.
        name: &'static str,
        /// What the driver said.
        reason: String,
    },
}

fn way_out(name: &str) -> &'static str {
    match name {
        "cuda" => "check that `nvidia-smi` lists a GPU",
        _ => {
            "install the GPU's Vulkan driver, or a software adapter (Debian packages libvulkan1 and mesa-vulkan-drivers)"
        }
    }
}
