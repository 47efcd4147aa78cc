//! Hyper-parameters, chosen on the four extra corruptions: the fifteen of the benchmark cannot be passed here.

use burn::tensor::Device;
use rekindle_harness::worker::Failure;
use rekindle_shared::data::corruption::{ExtraCorruption, Severity};
use rekindle_shared::data::{LabeledImages, Normalization, Streams};
use rekindle_shared::model::Classifier;

use crate::method::{Adaptation, Chosen, Goal, Method};
use crate::stream::{Order, TestStream};

/// The authors advise rates from 2.5e-4 to 1e-2.
const RATES: [f64; 4] = [2.5e-4, 1e-3, 2.5e-3, 1e-2];

/// Every prediction, and those that are fairly sure.
const CONFIDENCES: [f64; 2] = [0.0, 0.9];

/// The numbers with the lowest mean error online over `corruptions`, the first of equals.
#[expect(clippy::too_many_arguments, reason = "what a stream and an evaluation take")]
pub(crate) fn tune<M: Classifier>(
    source: &M,
    goal: Goal,
    corruptions: &[ExtraCorruption],
    clean: &LabeledImages,
    severity: Severity,
    normalization: &Normalization,
    batch_size: usize,
    streams: Streams,
    device: &Device,
) -> Result<Chosen, Failure> {
    let held_out = corruptions
        .iter()
        .map(|&kind| {
            let stream = TestStream::corrupted(clean, kind.into(), severity, normalization, streams, device)?;
            Ok(stream.arranged(Order::Shuffled, batch_size))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let confidences = if goal == Goal::PseudoLabel { &CONFIDENCES[..] } else { &CONFIDENCES[..1] };
    let mut best: Option<(f64, Chosen)> = None;
    for &min_confidence in confidences {
        for learning_rate in RATES {
            let chosen = Chosen { learning_rate, min_confidence };
            let method = Method::Tent(Adaptation { objective: goal, ..Adaptation::TENT });
            let mut error = 0.0;
            for stream in &held_out {
                error += method.evaluate(source, Some(chosen), stream)?.error();
            }
            if best.as_ref().is_none_or(|(lowest, _)| error < *lowest) {
                best = Some((error, chosen));
            }
        }
    }
    best.map(|(_, chosen)| chosen).ok_or_else(|| Failure::usage("no learning rate to choose from"))
}
