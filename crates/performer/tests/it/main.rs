//! What the crate promises, against equations written out in double precision.

mod attention;
mod bad_input;
mod causality;
mod kernels;
mod multi_head;
mod redraw;
mod reference;
mod state;
