//! What Tent does to models of every kind, and what it refuses.

mod common;
mod failures;
mod options;
mod oracles;
mod state;
mod statistics;
