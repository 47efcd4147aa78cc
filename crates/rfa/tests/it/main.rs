//! What the crate promises, against equations written out in double precision.

mod attention;
mod bad_input;
mod cross;
mod features;
mod gate;
mod gradients;
mod multi_head;
mod reference;
mod resample;
mod state;
