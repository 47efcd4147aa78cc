//! What a memory promises, on small models of every kind.

mod adapters;
mod bad_input;
mod gradients;
mod interference;
mod models;
mod options;
mod projection;
mod state;
