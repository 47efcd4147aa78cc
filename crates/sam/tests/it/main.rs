//! SAM on small models whose numbers are known.

mod common;
mod failures;
mod options;
mod oracles;
mod probes;
mod state;
mod training;
