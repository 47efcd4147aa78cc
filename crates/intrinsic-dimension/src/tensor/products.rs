use std::ops::Range;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::points::read;
use crate::engine::Products;
use crate::frame::{Frame, Workspace};
use crate::{IdError, Points, Scalar};

/// How a device multiplies `[rows, dim]` with `[columns, dim]` transposed.
pub(super) type Multiply = fn(Tensor<2>, Tensor<2>) -> Tensor<2>;

/// Entries of each block that are compared with products of the host.
const CHECKED: usize = 4;

/// Products of points that lie on a device in blocks of one shape, filled up with zeros: a device chooses its kernel by
/// the shape, so that what a probe of that shape shows holds for all of them.
pub(super) struct OnDevice<'a, T: Scalar> {
    pub(super) frame: &'a Frame,
    pub(super) multiply: Multiply,
    pub(super) queries: Blocks<'a, T>,
    pub(super) reference: Blocks<'a, T>,
}

/// One set of points.
pub(super) struct Blocks<'a, T: Scalar> {
    points: &'a Points<'a, T>,
    /// Rows of each block on the device.
    rows: usize,
    device: &'a Device,
    /// None: each block goes there when it is asked for.
    resident: Option<Vec<Tensor<2>>>,
}

impl<'a, T: Scalar> Blocks<'a, T> {
    pub(super) fn new(points: &'a Points<'a, T>, rows: usize, device: &'a Device) -> Self {
        Self { points, rows, device, resident: None }
    }

    /// The same with all blocks on the device from now on.
    pub(super) fn resident(self, frame: &Frame) -> Self {
        let starts = (0..self.points.n()).step_by(self.rows);
        let blocks = starts.map(|start| self.place(frame, start..self.points.n().min(start + self.rows))).collect();
        Self { resident: Some(blocks), ..self }
    }

    /// A second handle of the same blocks.
    pub(super) fn share(&self) -> Self {
        Self { resident: self.resident.clone(), ..*self }
    }

    fn block(&self, frame: &Frame, rows: Range<usize>) -> Tensor<2> {
        match &self.resident {
            Some(blocks) => blocks[rows.start / self.rows].clone(),
            None => self.place(frame, rows),
        }
    }

    fn place(&self, frame: &Frame, rows: Range<usize>) -> Tensor<2> {
        let dim = self.points.dim();
        let mut values = Vec::with_capacity(self.rows * dim);
        frame.pack(self.points, rows, 0..dim, &mut values);
        values.resize(self.rows * dim, 0.0);
        upload(values, dim, self.device)
    }
}

impl<T: Scalar> Products for OnDevice<'_, T> {
    fn multiply(&self, rows: Range<usize>, columns: Range<usize>, work: &mut Workspace) -> Result<(), IdError> {
        let (a, b) = (self.queries.block(self.frame, rows.clone()), self.reference.block(self.frame, columns.clone()));
        work.gram = download((self.multiply)(a, b))?;
        let (filled, width) = (self.reference.rows, columns.len());
        if width < filled {
            for row in 1..rows.len() {
                work.gram.copy_within(row * filled..row * filled + width, row * width);
            }
        }
        work.gram.truncate(rows.len() * width);
        self.check(rows, columns, &work.gram)
    }
}

impl<T: Scalar> OnDevice<'_, T> {
    /// Compares some entries with the true products: the bound must hold here as it did for the probe.
    fn check(&self, rows: Range<usize>, columns: Range<usize>, gram: &[f32]) -> Result<(), IdError> {
        let width = columns.len();
        if gram.len() != rows.len() * width {
            return Err(IdError::Device(format!("{} products instead of {} x {width}", gram.len(), rows.len())));
        }
        for i in 0..CHECKED {
            // Spread over the block, other places for other blocks.
            let at = (i * gram.len() / CHECKED + 7919 * (rows.start + columns.start + i)) % gram.len();
            let (row, column) = (rows.start + at / width, columns.start + at % width);
            let (product, error) = self.frame.product(self.queries.points.row(row), self.reference.points.row(column));
            let found = f64::from(gram[at]);
            if found.is_nan() || (found - product).abs() > error {
                return Err(IdError::Products { at: "in a block of the data", expected: product, found });
            }
        }
        Ok(())
    }
}

pub(super) fn upload(values: Vec<f32>, dim: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / dim;
    Tensor::from_data(TensorData::new(values, [rows, dim]), (device, DType::F32))
}

pub(super) fn download(products: Tensor<2>) -> Result<Vec<f32>, IdError> {
    let dim = products.dims()[1];
    read(products, dim)
}
