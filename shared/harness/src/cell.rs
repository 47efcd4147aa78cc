use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The smallest rerunnable unit of a reproduction: experiment x setting x method x seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The experiment's name in `paper.toml`.
    pub experiment: String,
    /// What the rows of one table share: data set, noise rate... One column of the table.
    pub setting: String,
    /// What is compared: one row of the table.
    pub method: String,
    /// The root seed, from which every stream of the cell is derived. Cells with the same seed are paired.
    pub seed: u64,
    /// The typed configuration, as the paper's code serialized it.
    pub config: serde_json::Value,
    /// Names of the data sets that the cell reads (`datasets.toml`).
    #[serde(default)]
    pub data: Vec<String>,
    /// The cell measures time or memory: it runs with no other worker and all cores.
    #[serde(default)]
    pub exclusive: bool,
    /// Divergence is a result of this cell, not an error.
    #[serde(default)]
    pub may_diverge: bool,
    /// Roughly how long it takes, in units common to the paper's cells (for the ETA alone).
    #[serde(default = "one")]
    pub cost: f64,
}

fn one() -> f64 {
    1.0
}

impl Cell {
    /// A cell that reads no data set, may not diverge and costs one unit.
    ///
    /// # Panics
    ///
    /// If `config` does not serialize to JSON (a map with keys that are no strings, say).
    pub fn new(experiment: &str, setting: &str, method: &str, seed: u64, config: &impl Serialize) -> Self {
        Self {
            experiment: experiment.into(),
            setting: setting.into(),
            method: method.into(),
            seed,
            config: serde_json::to_value(config).expect("a cell's configuration serializes to JSON"),
            data: Vec::new(),
            exclusive: false,
            may_diverge: false,
            cost: 1.0,
        }
    }

    /// The same cell, reading these data sets.
    #[must_use]
    pub fn reads(mut self, datasets: &[&str]) -> Self {
        self.data = datasets.iter().map(|&name| name.into()).collect();
        self
    }

    /// The same cell with another cost, in units common to the paper's cells.
    #[must_use]
    pub fn costs(mut self, cost: f64) -> Self {
        self.cost = cost;
        self
    }

    /// The same cell, run alone because it measures.
    #[must_use]
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// The same cell, for which divergence is a result.
    #[must_use]
    pub fn may_diverge(mut self) -> Self {
        self.may_diverge = true;
        self
    }

    /// `experiment/setting/method/seed`, each part made safe for a file name: what `--cell` takes and where the record lies.
    pub fn id(&self) -> String {
        format!("{}/{}/{}/{}", slug(&self.experiment), slug(&self.setting), slug(&self.method), self.seed)
    }

    /// The configuration as the type it was made from.
    ///
    /// # Errors
    ///
    /// If it is of another type.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(self.config.clone())
    }
}

/// Lower-case letters, digits, dots and dashes; everything else becomes one dash.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '.' {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_safe_relative_path() {
        let cell = Cell::new("label-noise", "Fashion-MNIST, 40 %", "SGD (2x)/../x", 3, &());
        assert_eq!(cell.id(), "label-noise/fashion-mnist-40/sgd-2x-..-x/3");
    }
}
