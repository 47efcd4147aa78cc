use super::edges::{EdgeScratch, canny};
use super::filter::Border;

/// Room for the sheen's steps.
#[derive(Debug, Clone, Default)]
pub(super) struct WaterScratch {
    edges: Vec<bool>,
    distances: Vec<u32>,
    floats: Vec<f32>,
    bytes: [Vec<u8>; 2],
    canny: EdgeScratch,
}

/// How water on glass shines: for each pixel of a layer of drops, `[height, width]`, a byte that depends on the distance
/// to the drops' edges, lit from one side. The steps are those of OpenCV's functions.
pub(super) fn sheen<'a>(drops: &[u8], width: usize, scratch: &'a mut WaterScratch) -> &'a [u8] {
    let height = drops.len() / width;
    let WaterScratch { edges, distances, floats, bytes: [a, b], canny: canny_scratch } = scratch;
    canny(drops, width, edges, canny_scratch);
    distance_to_edges(edges, width, distances);
    floats.clear();
    floats.extend(distances.iter().map(|&distance| (distance as f32 / UNIT as f32).min(20.0)));
    let around = |y: usize, x: usize, dy: isize, dx: isize| {
        let row = Border::Reflect101.index(y as isize + dy, height);
        row * width + Border::Reflect101.index(x as isize + dx, width)
    };
    let pixels = || (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let square = || (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx)));
    a.clear();
    a.extend(pixels().map(|(y, x)| (square().map(|(dy, dx)| floats[around(y, x, dy, dx)]).sum::<f32>() / 9.0) as u8));
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

/// One pixel in the fixed point of distances.
const UNIT: u32 = 1 << 16;
/// Lengths of the steps of a 5 x 5 chamfer distance: straight 1, diagonal 1.4, and two by one 2.1969.
const STRAIGHT: u32 = UNIT;
const DIAGONAL: u32 = 91750;
const KNIGHT: u32 = 143_976;
/// The steps that lead to a pixel from those before it in reading order.
const STEPS: [(isize, isize, u32); 8] = [
    (-2, -1, KNIGHT),
    (-2, 1, KNIGHT),
    (-1, -2, KNIGHT),
    (-1, -1, DIAGONAL),
    (-1, 0, STRAIGHT),
    (-1, 1, DIAGONAL),
    (-1, 2, KNIGHT),
    (0, -1, STRAIGHT),
];

/// Each pixel's distance to the nearest edge, along chamfer steps; far above the image's size where there is no edge.
fn distance_to_edges(edges: &[bool], width: usize, distances: &mut Vec<u32>) {
    let height = edges.len() / width;
    distances.clear();
    distances.extend(edges.iter().map(|&edge| if edge { 0 } else { u32::MAX / 2 }));
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
