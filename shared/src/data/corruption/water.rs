use super::edges::{EdgeScratch, canny};
use super::filter::Border;

/// Room for the sheen's steps.
#[derive(Debug, Clone, Default)]
pub(super) struct WaterScratch {
    edges: Vec<bool>,
    distances: Vec<f32>,
    bytes: [Vec<u8>; 2],
    canny: EdgeScratch,
}

/// How water on glass shines: for each pixel of a layer of drops, `[height, width]`, a byte that depends on the distance
/// to the drops' edges, lit from one side. The steps are those of OpenCV's functions.
pub(super) fn sheen<'a>(drops: &[u8], width: usize, scratch: &'a mut WaterScratch) -> &'a [u8] {
    let height = drops.len() / width;
    let WaterScratch { edges, distances, bytes: [a, b], canny: canny_scratch } = scratch;
    canny(drops, width, edges, canny_scratch);
    distance_to_edges(edges, width, distances);
    distances.iter_mut().for_each(|distance| *distance = distance.min(20.0));
    let around = |y: usize, x: usize, dy: isize, dx: isize| {
        let row = Border::Reflect101.index(y as isize + dy, height);
        row * width + Border::Reflect101.index(x as isize + dx, width)
    };
    let pixels = || (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let square = || (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx)));
    a.clear();
    a.extend(pixels().map(|(y, x)| {
        let sum: f64 = square().map(|(dy, dx)| f64::from(distances[around(y, x, dy, dx)])).sum();
        (sum * (1.0 / 9.0)) as f32 as u8
    }));
    equalize(a);
    b.clear();
    b.extend(pixels().map(|(y, x)| {
        let light = |(dy, dx)| LIGHT[(dy + 1) as usize][(dx + 1) as usize] * i32::from(a[around(y, x, dy, dx)]);
        square().map(light).sum::<i32>().clamp(0, 255) as u8
    }));
    a.clear();
    a.extend(pixels().map(|(y, x)| {
        let sum: u32 = square().map(|(dy, dx)| u32::from(b[around(y, x, dy, dx)])).sum();
        ((2 * sum + 9) / 18) as u8
    }));
    a
}

const LIGHT: [[i32; 3]; 3] = [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]];

/// Lengths of the steps of a 5 x 5 chamfer distance: straight, diagonal, and two by one.
const STRAIGHT: f32 = 1.0;
const DIAGONAL: f32 = 1.4;
const KNIGHT: f32 = 2.1969;
/// The steps that lead to a pixel from those before it in reading order.
const STEPS: [(isize, isize, f32); 8] = [
    (-2, -1, KNIGHT),
    (-2, 1, KNIGHT),
    (-1, -2, KNIGHT),
    (-1, -1, DIAGONAL),
    (-1, 0, STRAIGHT),
    (-1, 1, DIAGONAL),
    (-1, 2, KNIGHT),
    (0, -1, STRAIGHT),
];

/// Each pixel's distance to the nearest edge, along chamfer steps; infinite where there is no edge.
fn distance_to_edges(edges: &[bool], width: usize, distances: &mut Vec<f32>) {
    let height = edges.len() / width;
    distances.clear();
    distances.extend(edges.iter().map(|&edge| if edge { 0.0 } else { f32::INFINITY }));
    let mut relax = |i: usize, sign: isize| {
        let (y, x) = ((i / width) as isize, (i % width) as isize);
        for (dy, dx, length) in STEPS {
            let (from_y, from_x) = (y + sign * dy, x + sign * dx);
            if (0..height as isize).contains(&from_y) && (0..width as isize).contains(&from_x) {
                let through = distances[from_y as usize * width + from_x as usize] + length;
                distances[i] = distances[i].min(through);
            }
        }
    };
    (0..height * width).for_each(|i| relax(i, 1));
    (0..height * width).rev().for_each(|i| relax(i, -1));
}

/// Spreads the values so that each step of 255 is as common as the others.
fn equalize(bytes: &mut [u8]) {
    let mut counts = [0_usize; 256];
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let least = counts.iter().position(|&count| count > 0).unwrap_or(0);
    if counts[least] == bytes.len() {
        return;
    }
    let scale = 255.0 / (bytes.len() - counts[least]) as f32;
    let mut sum = 0;
    let table: [u8; 256] = std::array::from_fn(|value| {
        if value > least {
            sum += counts[value];
        }
        (sum as f32 * scale).round_ties_even() as u8
    });
    bytes.iter_mut().for_each(|byte| *byte = table[usize::from(*byte)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values by OpenCV (`reference.py` beside them).
    #[test]
    fn the_sheen_is_that_of_opencv() {
        let expected = include_bytes!("../../../tests/data/corruptions/sheen.bin");
        let centers = [(2_i32, 3_i32), (7, 10), (13, 5), (11, 14), (5, 0)];
        let drop = |i: i32| {
            let near = centers.map(|(y, x)| (i / 16 - y).pow(2) + (i % 16 - x).pow(2)).into_iter().min().unwrap();
            if near < 9 { (250 - 8 * near) as u8 } else { 0 }
        };
        let drops: Vec<_> = (0..256).map(drop).collect();
        assert_eq!(sheen(&drops, 16, &mut WaterScratch::default()), expected);
    }

    #[test]
    fn distances_go_along_chamfer_steps() {
        let mut edges = vec![false; 5 * 6];
        edges[0] = true;
        let mut distances = Vec::new();
        distance_to_edges(&edges, 6, &mut distances);
        let at = |y: usize, x: usize| distances[y * 6 + x];
        assert_eq!((at(0, 5), at(3, 3), at(1, 2), at(2, 1)), (5.0, 1.4 + 1.4 + 1.4, 2.1969, 2.1969));
        distance_to_edges(&[false; 4], 2, &mut distances);
        assert_eq!(distances, [f32::INFINITY; 4]);
    }

    #[test]
    fn a_dry_pane_is_as_far_from_an_edge_as_is_told_apart() {
        assert_eq!(sheen(&[0; 16 * 16], 16, &mut WaterScratch::default()), [20; 256]);
    }

    #[test]
    fn equalizing_keeps_the_order_and_reaches_both_ends() {
        let mut bytes = [7, 9, 9, 200];
        equalize(&mut bytes);
        assert_eq!(bytes, [0, 170, 170, 255]);
        let mut same = [9; 4];
        equalize(&mut same);
        assert_eq!(same, [9; 4]);
    }
}
