use burn::tensor::Device;

use super::probe::probe;
use super::products::{Blocks, Multiply, OnDevice, download, upload};
use crate::engine::{Engine, Products};
use crate::frame::Frame;
use crate::{IdError, Knn, KnnTable, Points, Scalar};

/// The search of [`Knn`] with its products on a device of Burn; made by [`Knn::on`].
///
/// The tables are those of [`Knn`] bit for bit: the device's products only choose candidates, whose distances the host
/// computes in `f64`. Many devices round what they multiply (to TF32, bf16 or f16 for tensor cores), so that each search
/// begins with products whose exact values are known, of the shape that it uses, and drops a candidate only if the rounding
/// seen there cannot explain its distance. A coarser device leaves more candidates, not other neighbors. Some entries of each
/// block are compared with the host's as well.
///
/// - *Memory.* On the device 4 bytes a coordinate and the products in flight; on the host O(n k), and 8 block² bytes for each thread.
///   [`with_resident(false)`](Self::with_resident) keeps only the blocks in use on the device.
/// - *Threads* scan products while the device computes others: each waits for one block, so two or more keep it busy.
/// - *Blocks.* Larger ones than the default 1024 ([`Knn::with_block`]) suit a fast device.
///
/// A device that runs out of memory panics, as everywhere in Burn.
#[derive(Debug, Clone)]
pub struct DeviceKnn<'p> {
    knn: Knn<'p>,
    device: Device,
    resident: bool,
    multiply: Multiply,
}

impl<'p> Knn<'p> {
    /// The same search with its products on `device`.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use rekindle_intrinsic_dimension::{Knn, data};
    ///
    /// let points = data::cube(500, 3, 0)?;
    /// let search = Knn::new(10);
    /// assert_eq!(search.on(&Device::flex()).search(&points)?, search.search(&points)?);
    /// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
    /// ```
    #[must_use]
    pub fn on(self, device: &Device) -> DeviceKnn<'p> {
        let device = device.clone().inner();
        DeviceKnn { knn: self, device, resident: true, multiply: |a, b| a.matmul(b.transpose()) }
    }
}

impl DeviceKnn<'_> {
    /// Whether all points stay on the device during a search, where each is then sent once. Default `true`; `false` sends
    /// the two blocks of each product, for points that do not fit.
    #[must_use]
    pub fn with_resident(self, resident: bool) -> Self {
        Self { resident, ..self }
    }

    /// As [`Knn::search`].
    ///
    /// # Errors
    ///
    /// As [`Knn::search`]; [`IdError::Products`] for a device that does not add in `f32`, [`IdError::Device`] if products
    /// cannot be read.
    pub fn search<T: Scalar>(&self, points: &Points<'_, T>) -> Result<KnnTable, IdError> {
        self.knn.search_by(self, points)
    }

    /// As [`Knn::search_anchors`].
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search) and [`Knn::search_anchors`].
    pub fn search_anchors<T: Scalar>(&self, points: &Points<'_, T>, anchors: &[usize]) -> Result<KnnTable, IdError> {
        self.knn.search_anchors_by(self, points, anchors)
    }

    /// As [`Knn::search_queries`].
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search) and [`Knn::search_queries`].
    pub fn search_queries<T: Scalar>(
        &self,
        points: &Points<'_, T>,
        queries: &Points<'_, T>,
    ) -> Result<KnnTable, IdError> {
        self.knn.search_queries_by(self, points, queries)
    }
}

impl Engine for DeviceKnn<'_> {
    fn bound(&self, frame: Frame, shape: [usize; 2]) -> Result<Frame, IdError> {
        let dim = frame.dim();
        let place = |values| upload(values, dim, &self.device);
        let arithmetic = probe(shape, dim, |a, b| download((self.multiply)(place(a), place(b))))?;
        let (relative, absolute) = arithmetic.bound(dim)?;
        Ok(frame.with_products(relative, absolute))
    }

    fn products<'a, T: Scalar>(
        &'a self,
        frame: &'a Frame,
        queries: &'a Points<'a, T>,
        reference: &'a Points<'a, T>,
        [rows, columns]: [usize; 2],
    ) -> Box<dyn Products + 'a> {
        let place = |points, rows| {
            let blocks = Blocks::new(points, rows, &self.device);
            if self.resident { blocks.resident(frame) } else { blocks }
        };
        let reference_blocks = place(reference, columns);
        let queries = if std::ptr::eq(queries, reference) { reference_blocks.share() } else { place(queries, rows) };
        Box::new(OnDevice { frame, multiply: self.multiply, queries, reference: reference_blocks })
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use burn::tensor::{DType, Tensor, TensorData};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::Duplicates;
    use crate::frame::Workspace;

    /// Products as of a unit that shortens its inputs to `BITS` after the first, to nearest.
    fn shortened<const BITS: u32>(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        changed(a, shorten::<BITS>).matmul(changed(b, shorten::<BITS>).transpose())
    }

    fn shorten<const BITS: u32>(x: f32) -> f32 {
        let half = 1_u32 << (22 - BITS);
        f32::from_bits((x.to_bits() + half) & !(2 * half - 1))
    }

    /// The same in f16, which has a small range as well.
    fn half(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        let round = |x| burn::tensor::f16::from_f32(x).to_f32();
        changed(a, round).matmul(changed(b, round).transpose())
    }

    /// Sums that keep ten bits.
    fn coarse(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        changed(a.matmul(b.transpose()), shorten::<10>)
    }

    /// Right for all products that a probe asks for, and wrong for the others.
    fn fickle(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        let product = a.clone().matmul(b.transpose());
        if a.min().into_scalar::<f32>() < 0.0 { product.mul_scalar(1.01) } else { product }
    }

    fn changed(tensor: Tensor<2>, change: impl Fn(f32) -> f32) -> Tensor<2> {
        let device = tensor.device();
        let dims = tensor.dims();
        let values = tensor.into_data().iter::<f32>().map(change).collect();
        Tensor::from_data(TensorData::new(values, dims), (&device, DType::F32))
    }

    fn on(knn: Knn<'_>, multiply: Multiply) -> DeviceKnn<'_> {
        DeviceKnn { multiply, ..knn.on(&Device::flex()) }
    }

    fn normal(n: usize, dim: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = || rng.random::<f32>() - 0.5;
        (0..n * dim).map(|_| uniform() + uniform() + uniform()).collect()
    }

    /// Clusters whose points differ by less than what the inputs keep: every candidate of a cluster has to be looked at.
    fn clustered(n: usize, dim: usize) -> Vec<f32> {
        let noise = normal(n, dim, 5);
        noise.iter().enumerate().map(|(at, x)| ((at / dim) % 3) as f32 + 1e-3 * x).collect()
    }

    #[test]
    fn neighbors_are_exact_whatever_the_inputs_are_rounded_to() {
        let units: [Multiply; 4] = [shortened::<10>, shortened::<7>, half, |a, b| a.matmul(b.transpose())];
        for (n, dim) in [(300, 1), (400, 8), (300, 70), (150, 1500)] {
            for values in [normal(n, dim, 1), clustered(n, dim)] {
                let points = Points::new(&values, n, dim).unwrap();
                let knn = Knn::new(7).with_block(128).with_duplicates(Duplicates::Keep);
                let expected = knn.search(&points).unwrap();
                for unit in units {
                    assert_eq!(on(knn, unit).search(&points).unwrap(), expected, "{n} {dim}");
                }
            }
        }
    }

    /// The bound of `f32` with products of shortened inputs.
    struct Narrow;

    struct Shortened<'a, T: Scalar>(&'a Frame, &'a Points<'a, T>);

    impl Engine for Narrow {
        fn bound(&self, frame: Frame, _shape: [usize; 2]) -> Result<Frame, IdError> {
            Ok(frame)
        }

        fn products<'a, T: Scalar>(
            &'a self,
            frame: &'a Frame,
            _queries: &'a Points<'a, T>,
            reference: &'a Points<'a, T>,
            _shape: [usize; 2],
        ) -> Box<dyn Products + 'a> {
            Box::new(Shortened(frame, reference))
        }
    }

    impl<T: Scalar> Products for Shortened<'_, T> {
        fn multiply(&self, rows: Range<usize>, columns: Range<usize>, work: &mut Workspace) -> Result<(), IdError> {
            let Self(frame, points) = self;
            let packed = |rows| {
                let mut values = Vec::new();
                frame.pack(points, rows, 0..frame.dim(), &mut values);
                values.into_iter().map(shorten::<7>).collect::<Vec<_>>()
            };
            let (a, b) = (packed(rows), packed(columns));
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let dot = &dot;
            work.gram = a.chunks(frame.dim()).flat_map(|a| b.chunks(frame.dim()).map(move |b| dot(a, b))).collect();
            Ok(())
        }
    }

    /// What the test above shows is not idle.
    #[test]
    fn the_bound_of_f32_loses_neighbors_where_inputs_are_shortened() {
        let values = clustered(400, 8);
        let points = Points::new(&values, 400, 8).unwrap();
        let knn = Knn::new(7);
        assert_ne!(knn.search_by(&Narrow, &points).unwrap(), knn.search(&points).unwrap());
    }

    #[test]
    fn a_device_that_cannot_be_relied_on_is_refused() {
        let values = normal(300, 8, 2);
        let points = Points::new(&values, 300, 8).unwrap();
        let error = on(Knn::new(3), coarse).search(&points).unwrap_err();
        assert!(matches!(error, IdError::Products { .. }), "{error}");
        assert!(error.to_string().contains("search on the CPU"), "{error}");
        let error = on(Knn::new(3), fickle).search(&points).unwrap_err();
        assert!(matches!(error, IdError::Products { at: "in a block of the data", .. }), "{error}");
        let error = on(Knn::new(3), |a, b| a.matmul(b.transpose()).mul_scalar(f32::NAN)).search(&points).unwrap_err();
        assert!(matches!(error, IdError::Products { .. }), "{error}");
    }
}
