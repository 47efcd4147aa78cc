//! Agreement of the backends: see `main.rs`.
