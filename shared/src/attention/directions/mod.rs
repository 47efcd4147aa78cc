//! Random directions of feature maps: drawn on the host, held by a module, redrawn for a whole model.

mod draw;
mod origin;
mod projection;
mod redraw;

use serde::{Deserialize, Serialize};

pub use projection::{Pool, RandomProjection};
pub use redraw::{redraw, redraw_every, resample};

/// How directions are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Projection {
    /// Independent normal rows.
    Iid,
    /// Rows of a uniformly distributed orthogonal matrix, a new one for every d rows (R-ORF).
    #[default]
    Orthogonal,
    /// Rows of three products of a Hadamard matrix and random signs, for every power of two of rows (H-ORF).
    ///
    /// Vectors whose d is no power of two are filled up with zeros to the next one; directions are orthogonal there.
    Hadamard,
    /// Rows of d ⌈ln d⌉ random rotations of two coordinates, for every d rows (G-ORF).
    Givens,
    /// None: the coordinates themselves.
    None,
}

/// Lengths of the directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowScaling {
    /// Those of d-dimensional normal vectors.
    #[default]
    Chi,
    /// √d.
    SqrtDim,
}
