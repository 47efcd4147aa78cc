use pulp::{Simd, WithSimd};

/// A vector of outputs: where its first lane reads and where it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vector {
    /// In floats from the source.
    pub source: u32,
    /// In floats from the output.
    pub out: u32,
}

/// What the sums start from.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// Zero.
    Zero,
    /// One value for each output row.
    Bias(*const f32),
    /// What stands in the output.
    Output,
}

/// `out[m, v] = start + Σₖ weights[m, k] · source[offsets[k] + v]` for some rows `m` and vectors `v`.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub source: *const f32,
    pub offsets: &'a [u32],
    pub vectors: &'a [Vector],
    /// Those of row 0, one for each offset.
    pub weights: *const f32,
    /// Floats from one row of weights to the next.
    pub weight_row: usize,
    pub start: Start,
    pub out: *mut f32,
    /// Floats from one output row to the next.
    pub out_row: usize,
}

/// Splits `rows` evenly into blocks no higher than register tiles are for vectors of `lanes` floats:
/// `(first row, height)`.
pub(super) fn blocks(rows: usize, lanes: usize) -> Vec<(usize, usize)> {
    // With 16 registers of 8 floats, six rows by two vectors; with 32 of 16 floats, eight by three.
    let count = rows.div_ceil(if lanes == 16 { 8 } else { 6 });
    let first = |block: usize| block * (rows / count) + block.min(rows % count);
    (0..count).map(|block| (first(block), first(block + 1) - first(block))).collect()
}

/// Computes `product` for the rows of `blocks`.
///
/// # Safety
///
/// Every `source + vector.source + offset` is followed by a whole vector of readable floats, every
/// `out + vector.out + m · out_row` by one that may be written, the weights cover the blocks, and a bias its rows. Vectors of
/// the output don't overlap if `start` is [`Start::Output`].
#[allow(unsafe_code)]
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd>(simd: S, product: &Product<'_>, blocks: &[(usize, usize)]) {
    let mut rest = blocks;
    while let Some(&(_, height)) = rest.first() {
        let equal = rest.iter().take_while(|block| block.1 == height).count();
        let mut vectors = product.vectors;
        // A few vectors stay in the first-level cache while all blocks pass over them.
        while !vectors.is_empty() {
            let width = width(height, vectors.len(), S::F32_LANES);
            let (now, later) = vectors.split_at(width);
            for &(first, _) in &rest[..equal] {
                // SAFETY: the caller's promise.
                unsafe { tile(simd, product, now, first, height) };
            }
            vectors = later;
        }
        rest = &rest[equal..];
    }
}

/// How many of `left` vectors a tile of this height takes: what fits the registers and keeps enough sums in flight.
fn width(height: usize, left: usize, lanes: usize) -> usize {
    let widths: &[usize] = match (lanes, height) {
        (16, 5..) => &[3, 2, 1],
        (16, 3..) => &[6, 3, 2, 1],
        (_, 4..) => &[2, 1],
        (_, 3) => &[3, 2, 1],
        (_, 2) => &[6, 4, 2, 1],
        _ => &[8, 4, 3, 2, 1],
    };
    widths.iter().copied().find(|width| *width <= left).unwrap_or(1)
}

#[allow(unsafe_code)]
#[inline(always)]
unsafe fn tile<S: Simd>(simd: S, product: &Product<'_>, vectors: &[Vector], first: usize, height: usize) {
    macro_rules! choose {
        ($($height:literal: $($width:literal)+;)+) => {
            match (height, vectors.len()) {
                $($(($height, $width) => simd.vectorize(Tile::<$height, $width> { product, vectors, first }),)+)+
                _ => unreachable!("widths and heights are those of `blocks` and `width`"),
            }
        };
    }
    if S::F32_LANES == 16 {
        choose! {
            8: 3 2 1;
            7: 3 2 1;
            6: 3 2 1;
            5: 3 2 1;
            4: 6 3 2 1;
            3: 6 3 2 1;
            2: 6 4 2 1;
            1: 8 4 3 2 1;
        }
    } else {
        choose! {
            6: 2 1;
            5: 2 1;
            4: 2 1;
            3: 3 2 1;
            2: 6 4 2 1;
            1: 8 4 3 2 1;
        }
    }
}

struct Tile<'a, const M: usize, const V: usize> {
    product: &'a Product<'a>,
    vectors: &'a [Vector],
    first: usize,
}

impl<const M: usize, const V: usize> WithSimd for Tile<'_, M, V> {
    type Output = ();

    // Loops over array places, unrolled, and nothing else: closures may be compiled without the instructions.
    #[allow(unsafe_code, clippy::needless_range_loop)]
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Product { source, offsets, weights, weight_row, start, out, out_row, .. } = *self.product;
        // SAFETY: made by `multiply` alone, whose caller promises what is read and written here.
        unsafe {
            let mut rows = [weights; M];
            for m in 0..M {
                rows[m] = weights.add((self.first + m) * weight_row);
            }
            let mut sources = [source; V];
            let mut outs = [out; V];
            for v in 0..V {
                let vector = self.vectors.get_unchecked(v);
                sources[v] = source.add(vector.source as usize);
                outs[v] = out.add(vector.out as usize + self.first * out_row);
            }
            let mut sums = [[simd.splat_f32s(0.0); V]; M];
            for m in 0..M {
                for v in 0..V {
                    sums[m][v] = match start {
                        Start::Zero => simd.splat_f32s(0.0),
                        Start::Bias(bias) => simd.splat_f32s(*bias.add(self.first + m)),
                        Start::Output => load::<S>(outs[v].add(m * out_row)),
                    };
                }
            }
            // Two terms at once share their addresses.
            for pair in 0..offsets.len() / 2 {
                for i in 0..2 {
                    let k = 2 * pair + i;
                    let offset = *offsets.get_unchecked(k) as usize;
                    add_term(simd, &mut sums, rows.map(|row| row.add(k)), sources.map(|source| source.add(offset)));
                }
            }
            if !offsets.len().is_multiple_of(2) {
                let k = offsets.len() - 1;
                let offset = *offsets.get_unchecked(k) as usize;
                add_term(simd, &mut sums, rows.map(|row| row.add(k)), sources.map(|source| source.add(offset)));
            }
            for m in 0..M {
                for v in 0..V {
                    store::<S>(outs[v].add(m * out_row), sums[m][v]);
                }
            }
        }
    }
}

/// `sums[m][v] += weights[m] · sources[v]`.
///
/// # Safety
///
/// Every weight and a whole vector of every source can be read.
#[allow(unsafe_code, clippy::needless_range_loop)]
#[inline(always)]
unsafe fn add_term<S: Simd, const M: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::f32s; V]; M],
    weights: [*const f32; M],
    sources: [*const f32; V],
) {
    // SAFETY: the caller's promise.
    unsafe {
        // Whichever is fewer is held in registers, weights or source vectors.
        if V > M {
            let mut held = [simd.splat_f32s(0.0); M];
            for m in 0..M {
                held[m] = simd.splat_f32s(*weights[m]);
            }
            for v in 0..V {
                let x = load::<S>(sources[v]);
                for m in 0..M {
                    sums[m][v] = simd.mul_add_f32s(held[m], x, sums[m][v]);
                }
            }
        } else {
            let mut x = [simd.splat_f32s(0.0); V];
            for v in 0..V {
                x[v] = load::<S>(sources[v]);
            }
            for m in 0..M {
                let weight = simd.splat_f32s(*weights[m]);
                for v in 0..V {
                    sums[m][v] = simd.mul_add_f32s(weight, x[v], sums[m][v]);
                }
            }
        }
    }
}

/// # Safety
///
/// A whole vector of floats can be read at `from`.
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller's promise; the type is plain data.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// # Safety
///
/// A whole vector of floats can be written at `to`.
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn store<S: Simd>(to: *mut f32, value: S::f32s) {
    // SAFETY: the caller's promise.
    unsafe { to.cast::<S::f32s>().write_unaligned(value) }
}
