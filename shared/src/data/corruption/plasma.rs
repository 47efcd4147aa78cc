use rand::{Rng, RngExt};

use crate::data::DatasetError;

/// A map of clouds, `[side, side]`, that spans 0 to 1: the diamond-square fractal on a torus.
///
/// Midpoints between known points get the mean of their four neighbors and a uniform number in ±w², where w starts at 100
/// and is divided by `decay` each time the distance halves: the higher the decay, the smoother the map.
///
/// # Errors
///
/// [`DatasetError::Config`] if `side` is not a power of two above 1.
pub fn plasma(side: usize, decay: f64, rng: &mut impl Rng) -> Result<Vec<f64>, DatasetError> {
    if side < 2 || !side.is_power_of_two() {
        return Err(DatasetError::Config { name: "side", rule: "a power of two above 1", value: side as f64 });
    }
    let mut map = Vec::new();
    fill(&mut map, side, decay, rng);
    Ok(map)
}

/// As [`plasma`], into `map`, for a side that is a power of two above 1.
pub(super) fn fill(map: &mut Vec<f64>, side: usize, decay: f64, rng: &mut impl Rng) {
    map.clear();
    map.resize(side * side, 0.0);
    let (mut step, mut wobble) = (side, 100.0);
    while step >= 2 {
        let half = step / 2;
        let at = |y: usize, x: usize| (y % side) * side + x % side;
        let mut point = |map: &mut [f64], y: usize, x: usize, neighbors: [usize; 4]| {
            let mean = neighbors.iter().map(|&i| map[i]).sum::<f64>() / 4.0;
            // The original multiplies by w twice.
            map[y * side + x] = mean + wobble * rng.random_range(-wobble..wobble);
        };
        for y in (half..side).step_by(step) {
            for x in (half..side).step_by(step) {
                let (up, down, left, right) = (y - half, y + half, x - half, x + half);
                point(map, y, x, [at(up, left), at(up, right), at(down, left), at(down, right)]);
            }
        }
        for (top, left) in [(0, half), (half, 0)] {
            for y in (top..side).step_by(step) {
                for x in (left..side).step_by(step) {
                    let around = [at(y + side - half, x), at(y + half, x), at(y, x + side - half), at(y, x + half)];
                    point(map, y, x, around);
                }
            }
        }
        step = half;
        wobble /= decay;
    }
    let least = map.iter().copied().fold(f64::INFINITY, f64::min);
    let most = map.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    map.iter_mut().for_each(|value| *value = (*value - least) / (most - least));
}
