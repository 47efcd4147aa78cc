//! Records and metrics that the tests of the report share.

use std::collections::BTreeMap;

use crate::{Better, Cell, Identity, Metric, Record, Results, Run, Tier};

/// A record of experiment `e` with one metric, `accuracy`.
pub(crate) fn record(setting: &str, method: &str, seed: u64, accuracy: f64) -> Record {
    Record {
        identity: Identity {
            paper: "sam".into(),
            cell: Cell::new("e", setting, method, seed, &()),
            tier: Tier::Smoke,
            backend: "flex".into(),
            files: BTreeMap::new(),
            source: "new".into(),
            burn: "0.22.1".into(),
            features: vec!["simd".into()],
        },
        results: Results { metrics: BTreeMap::from([("accuracy".into(), accuracy)]), ..Results::default() },
        measurements: BTreeMap::new(),
        run: Run::default(),
    }
}

/// The metric of [`record`], shown in percent.
pub(crate) fn metric() -> Metric {
    Metric {
        name: "accuracy".into(),
        title: "Accuracy".into(),
        unit: "%".into(),
        scale: 100.0,
        digits: 2,
        better: Some(Better::Higher),
        measured: false,
    }
}
