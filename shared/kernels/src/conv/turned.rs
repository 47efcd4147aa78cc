use rayon::prelude::*;

use super::plan::{Part, Plan};

/// The weights of the correlation that gives the input's gradient, for one of its parts:
/// `[group][channel in][channel out, tap]`.
pub(super) fn turned(plan: &Plan, part: &Part, weights: &[f32]) -> Vec<f32> {
    // Of the plan, whose source is the output's gradient.
    let (outs, ins, taps) = (plan.in_channels, plan.out_channels, part.taps.len());
    let positions = weights.len() / (plan.groups * outs * ins);
    let mut turned = vec![0.0; plan.groups * ins * outs * taps];
    if turned.is_empty() {
        return turned;
    }
    let row = |(row, to): (usize, &mut [f32])| {
        let (group, channel) = (row / ins, row % ins);
        for (out, to) in to.chunks_exact_mut(taps).enumerate() {
            let from = &weights[((group * outs + out) * ins + channel) * positions..][..positions];
            for (tap, to) in part.taps.iter().zip(to) {
                *to = from[tap.index];
            }
        }
    };
    // Small weights are turned sooner than a thread wakes.
    if weights.len() < 1 << 16 {
        turned.chunks_exact_mut(outs * taps).enumerate().for_each(row);
    } else {
        turned.par_chunks_exact_mut(outs * taps).enumerate().for_each(row);
    }
    turned
}
