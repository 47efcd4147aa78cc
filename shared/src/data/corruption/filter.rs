/// How a filter sees what lies beyond an image's edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Border {
    /// The edge goes on: a a a | a b c d | d d d.
    Nearest,
    /// Mirrored with the edge: c b a | a b c d | d c b.
    Reflect,
    /// Mirrored at the edge's center: d c b | a b c d | c b a.
    Reflect101,
}

impl Border {
    /// Which of `len` positions stands for position `i`.
    pub(super) fn index(self, i: isize, len: usize) -> usize {
        let n = len as isize;
        let mirrored = |period: isize, last: isize| {
            let i = i.rem_euclid(period);
            if i < n { i } else { last - i }
        };
        let i = match self {
            Self::Nearest => i.clamp(0, n - 1),
            Self::Reflect => mirrored(2 * n, 2 * n - 1),
            Self::Reflect101 => mirrored(2 * n - 2, 2 * n - 2),
        };
        i as usize
    }
}

/// A Gaussian filter as SciPy's: separable, cut off at radius ⌊`truncate` · sigma + ½⌋, rows filtered last.
#[derive(Debug, Clone)]
pub(super) struct Gaussian {
    /// The center's weight, then those at distance 1, 2, ...
    weights: Vec<f64>,
    border: Border,
}

/// Room for the filters of this module.
#[derive(Debug, Clone, Default)]
pub(super) struct FilterScratch {
    plane: Vec<f64>,
    row: Vec<f64>,
}

impl Gaussian {
    /// A filter of this standard deviation in pixels.
    pub(super) fn new(sigma: f64, truncate: f64, border: Border) -> Self {
        let radius = (truncate * sigma + 0.5) as usize;
        let mut weights: Vec<_> =
            (0..=radius).map(|i| if i == 0 { 1.0 } else { (-0.5 / (sigma * sigma) * (i * i) as f64).exp() }).collect();
        // From end to end, as NumPy sums: truncated to bytes, the last bit of a weight can show.
        let sum = weights[1..].iter().rev().chain(&weights).sum::<f64>();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Self { weights, border }
    }

    /// Filters a plane, `[height, width]`.
    pub(super) fn blur(&self, plane: &mut [f64], width: usize, scratch: &mut FilterScratch) {
        let radius = self.weights.len() - 1;
        if radius == 0 {
            return;
        }
        let height = plane.len() / width;
        let FilterScratch { plane: columns, row } = scratch;
        columns.clear();
        for y in 0..height {
            let line = |offset: isize| &plane[self.border.index(y as isize + offset, height) * width..][..width];
            let start = columns.len();
            columns.extend(line(0).iter().map(|value| value * self.weights[0]));
            // From the far to the near, the order in which SciPy sums.
            for i in (1..=radius).rev() {
                let (before, after) = (line(-(i as isize)), line(i as isize));
                for ((sum, before), after) in columns[start..].iter_mut().zip(before).zip(after) {
                    *sum += (before + after) * self.weights[i];
                }
            }
        }
        for (out, line) in plane.chunks_exact_mut(width).zip(columns.chunks_exact(width)) {
            let (r, n) = (radius as isize, width as isize);
            row.clear();
            row.extend((-r..0).map(|x| line[self.border.index(x, width)]));
            row.extend_from_slice(line);
            row.extend((n..n + r).map(|x| line[self.border.index(x, width)]));
            for (out, value) in out.iter_mut().zip(&row[radius..]) {
                *out = value * self.weights[0];
            }
            for i in (1..=radius).rev() {
                for ((sum, before), after) in out.iter_mut().zip(&row[radius - i..]).zip(&row[radius + i..]) {
                    *sum += (before + after) * self.weights[i];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_those_of_their_names() {
        let line = |border: Border| (-5..8).map(|i| border.index(i, 3)).collect::<Vec<_>>();
        assert_eq!(line(Border::Nearest), [0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2]);
        assert_eq!(line(Border::Reflect), [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
        assert_eq!(line(Border::Reflect101), [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
    }

    /// σ = ½ has radius 2 at 4 σ: weights 1, e⁻², e⁻⁸ over their sum, in both directions.
    #[test]
    fn a_point_spreads_by_the_products_of_the_weights() {
        let (near, far) = ((-2.0_f64).exp(), (-8.0_f64).exp());
        let sum = 1.0 + 2.0 * near + 2.0 * far;
        let mut plane = vec![0.0; 7 * 5];
        plane[3 * 5 + 2] = 1.0;
        Gaussian::new(0.5, 4.0, Border::Nearest).blur(&mut plane, 5, &mut FilterScratch::default());
        for (y, x, expected) in
            [(3, 2, 1.0), (3, 1, near), (2, 3, near * near), (1, 2, far), (5, 0, far * far), (0, 2, 0.0)]
        {
            let found = plane[y * 5 + x];
            assert!((found - expected / (sum * sum)).abs() < 1e-15, "{found} at {y}, {x}");
        }
    }

    #[test]
    fn beyond_the_border_lies_what_it_says() {
        let weights = [1.0, (-2.0_f64).exp(), (-8.0_f64).exp()];
        let sum = weights[0] + 2.0 * weights[1] + 2.0 * weights[2];
        // The first of 1, 2, 4, 8 sees, at distances -2 and -1: 1 and 1 (nearest), or 2 and 1 (reflect).
        for (border, before) in [(Border::Nearest, [1.0, 1.0]), (Border::Reflect, [2.0, 1.0])] {
            let mut row = vec![1.0, 2.0, 4.0, 8.0];
            Gaussian::new(0.5, 4.0, border).blur(&mut row, 4, &mut FilterScratch::default());
            // The other direction has one line, which every border repeats.
            let expected = (1.0 + weights[1] * (before[1] + 2.0) + weights[2] * (before[0] + 4.0)) / sum;
            assert!((row[0] - expected).abs() < 1e-15, "{border:?}");
        }
    }
}
