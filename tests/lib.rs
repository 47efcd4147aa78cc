//! What every paper and the driver must pass: see `it/`.
