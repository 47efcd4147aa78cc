//! Benches alone; see `Cargo.toml`.
