use serde::{Deserialize, Serialize};

use crate::Identity;

/// A cell of the grid as a worker's `cells` lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// What `run --cell` takes.
    pub id: String,
    /// What its record would say; without the files where they are missing.
    pub identity: Identity,
    /// Why it cannot run: data that is missing or corrupt.
    pub blocked: Option<String>,
}

/// A line that a worker prints for the driver while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Message {
    /// A part of the cell is done, in `[0, 1]`.
    Progress {
        /// The part.
        fraction: f64,
    },
}
