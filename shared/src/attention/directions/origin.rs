//! What decides directions, as integers of a record.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::draw::draw;
use super::{Pool, Projection, RowScaling};

/// What decides the directions, besides their shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) seed: u64,
    pub(super) step: u64,
    pub(super) projection: Projection,
    pub(super) row_scaling: RowScaling,
    /// Of the heads that have directions of their own.
    pub(super) pool: Option<Pool>,
}

const PROJECTIONS: [Projection; 5] =
    [Projection::Iid, Projection::Orthogonal, Projection::Hadamard, Projection::Givens, Projection::None];
const SCALINGS: [RowScaling; 2] = [RowScaling::Chi, RowScaling::SqrtDim];

impl Origin {
    /// Four numbers of 16 bits for each of seed and step, since integers of some backends have 32; then two indices, and
    /// where there is a pool, its three numbers.
    pub(super) fn to_tensor(self, device: &Device) -> Tensor<1, Int> {
        let index = [
            PROJECTIONS.iter().position(|p| *p == self.projection),
            SCALINGS.iter().position(|s| *s == self.row_scaling),
        ];
        let indices = index.map(|index| index.unwrap_or_default() as i32);
        let mut numbers: Vec<i32> = parts(self.seed).chain(parts(self.step)).chain(indices).collect();
        if let Some(pool) = self.pool {
            numbers.extend([pool.size, pool.n_heads as u64, pool.interval].into_iter().flat_map(parts));
        }
        Tensor::from_data(TensorData::from(&numbers[..]), device)
    }

    /// None if the tensor is not an origin.
    pub(super) fn from_tensor<const D: usize>(tensor: &Tensor<D, Int>) -> Option<Self> {
        let numbers: Vec<u64> = tensor.to_data().iter::<i64>().map(|number| number as u64).collect();
        let number = |at: usize| Some(joined(numbers.get(at..at + 4)?));
        let pool = match numbers.len() {
            10 => None,
            _ => {
                let n_heads = usize::try_from(number(14)?).ok().filter(|&n| n > 0)?;
                Some(Pool { size: number(10)?, n_heads, interval: number(18)? })
            }
        };
        Some(Self {
            seed: number(0)?,
            step: number(4)?,
            projection: *PROJECTIONS.get(usize::try_from(*numbers.get(8)?).ok()?)?,
            row_scaling: *SCALINGS.get(usize::try_from(*numbers.get(9)?).ok()?)?,
            pool,
        })
    }

    /// The directions of its step.
    pub(super) fn draw(self, shape: [usize; 2], device: &Device, dtype: DType) -> Tensor<2> {
        let numbers = self.pool.map_or_else(|| vec![self.step], |pool| picked(self.seed, self.step, pool));
        self.rows(&numbers, shape, device, dtype)
    }

    /// The first ones of its pool, which no step changes.
    pub(super) fn fixed(self, shape: [usize; 2], device: &Device, dtype: DType) -> Tensor<2> {
        let n_heads = self.pool.map_or(1, |pool| pool.n_heads);
        self.rows(&(0..n_heads as u64).collect::<Vec<_>>(), shape, device, dtype)
    }

    /// Matrices of these numbers below each other.
    fn rows(self, numbers: &[u64], [m, d]: [usize; 2], device: &Device, dtype: DType) -> Tensor<2> {
        let each = [m / numbers.len(), d];
        let of = |&number: &u64| draw(each, self.projection, self.row_scaling, self.seed, number);
        let rows: Vec<f32> = numbers.iter().flat_map(of).collect();
        Tensor::from_data(TensorData::new(rows, [m, d]), (device, dtype))
    }
}

/// Different numbers below the size of the pool, one a head. What has other sizes than it says holds the first ones.
fn picked(seed: u64, step: u64, pool: Pool) -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Matrices have the streams of their numbers, from 0 on.
    rng.set_stream(u64::MAX - step);
    let mut numbers: Vec<u64> = Vec::with_capacity(pool.n_heads);
    let size = pool.size.max(pool.n_heads as u64);
    while numbers.len() < pool.n_heads {
        let number = rng.random_range(0..size);
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

fn parts(number: u64) -> impl Iterator<Item = i32> {
    (0..4).map(move |i| (number >> (16 * i)) as i32 & 0xffff)
}

fn joined(parts: &[u64]) -> u64 {
    parts.iter().rev().fold(0, |number, part| number << 16 | (part & 0xffff))
}
