use crate::IdError;
use crate::graph::paths::Histogram;

/// Bins that a fit needs.
const LEAST: usize = 4;

/// The flank left of the mode of the distances, whose shape tells the dimension.
#[derive(Debug)]
pub(crate) struct Flank {
    pub(crate) r_max: f64,
    /// Log counts at the mode.
    peak: f64,
    /// Centers and counts.
    pub(crate) bins: Vec<(f64, u64)>,
}

/// c - (r - vertex)² / (2 width²) through log counts.
#[derive(Debug, Clone, Copy)]
struct Parabola {
    curvature: f64,
    vertex: f64,
    peak: f64,
}

impl Flank {
    /// The recipe of the authors' code: the mode from the histogram, moved twice to the vertex of a parabola through the
    /// log counts around it, unless that moves it too far.
    pub(crate) fn find(histogram: &Histogram) -> Result<Self, IdError> {
        let Histogram { width, mean, deviation, longest_edge, .. } = *histogram;
        let top = histogram.counts.iter().max().expect("there are bins");
        let mode = histogram.counts.iter().position(|count| count == top).expect("the top is one of them");
        let mode = histogram.centers[mode];
        if (mode - mean).abs() > deviation + 2.0 * width || mode <= longest_edge + width {
            return Err(IdError::NoMode { mode, mean, longest_edge });
        }
        let first = Parabola::through(&histogram.between(mode - deviation, mode + 0.5 * deviation))?;
        let (center, spread) = match first.width() {
            Some(spread) if (first.vertex - mode).abs() < 0.5 * deviation + width => (first.vertex, spread),
            _ => (mean, deviation),
        };
        let second = Parabola::through(&histogram.between(center - spread, center + 0.5 * spread + width))?;
        let (moved, narrowed) = second.width().map_or((center, spread), |spread| (second.vertex, spread));
        let r_min = (moved - 2.0 * narrowed - 0.5 * width).max(longest_edge);
        let too_far = (moved - center).abs() > 0.25 * spread + width;
        let (r_max, parabola) = if too_far { (center, first) } else { (moved, second) };
        let bins = histogram.between(r_min, (r_max + 0.25 * width).next_up());
        // A valley in place of a peak has no flank.
        if bins.len() < LEAST || parabola.width().is_none() {
            return Err(IdError::FlatDistances { bins: bins.len(), least: LEAST });
        }
        Ok(Self { r_max, peak: parabola.peak, bins })
    }

    /// m - 1 from least squares: log counts below the peak against log sin(π r / (2 r_max)), through the origin.
    pub(crate) fn slope(&self) -> f64 {
        let (mut xy, mut xx) = (0.0, 0.0);
        for &(center, count) in &self.bins {
            let x = (center / self.r_max * std::f64::consts::FRAC_PI_2).sin().ln();
            xy += x * ((count as f64).ln() - self.peak);
            xx += x * x;
        }
        xy / xx
    }
}

impl Histogram {
    /// The bins that are not empty with centers strictly between two distances.
    fn between(&self, low: f64, high: f64) -> Vec<(f64, u64)> {
        let bins = self.centers.iter().copied().zip(self.counts.iter().copied());
        bins.filter(|&(center, count)| center > low && center < high && count > 0).collect()
    }
}

impl Parabola {
    /// By least squares, in coordinates around the mean of the centers: otherwise the equations are near singular.
    fn through(bins: &[(f64, u64)]) -> Result<Self, IdError> {
        if bins.len() < LEAST {
            return Err(IdError::FlatDistances { bins: bins.len(), least: LEAST });
        }
        let n = bins.len() as f64;
        let origin = bins.iter().map(|(center, _)| center).sum::<f64>() / n;
        let unit = bins[bins.len() - 1].0 - bins[0].0;
        let points: Vec<(f64, f64)> =
            bins.iter().map(|&(center, count)| ((center - origin) / unit, (count as f64).ln())).collect();
        let mean = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|&(x, y)| of(x, y)).sum::<f64>() / n;
        let (x2, x3, x4) = (mean(&|x, _| x * x), mean(&|x, _| x.powi(3)), mean(&|x, _| x.powi(4)));
        let y0 = mean(&|_, y| y);
        let (xy, xxy) = (mean(&|x, y| x * (y - y0)), mean(&|x, y| (x * x - x2) * (y - y0)));
        // x has the mean 0, so slope and curvature have equations of their own.
        let determinant = x2 * (x4 - x2 * x2) - x3 * x3;
        let curvature = (xxy * x2 - xy * x3) / determinant;
        let slope = (xy * (x4 - x2 * x2) - xxy * x3) / determinant;
        Ok(Self {
            curvature: curvature / (unit * unit),
            vertex: origin - 0.5 * slope / curvature * unit,
            peak: y0 - curvature * x2 - 0.25 * slope * slope / curvature,
        })
    }

    /// The standard deviation of the Gaussian whose logarithm this is; none if it opens upward.
    fn width(&self) -> Option<f64> {
        (self.curvature < 0.0).then(|| (-0.5 / self.curvature).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parabola_of_a_gaussian_has_its_mode_and_width() {
        let bins: Vec<(f64, u64)> =
            (0..9).map(|i| 5.0 + f64::from(i)).map(|r| (r, (1e12 * (-(r - 8.5).powi(2) / 8.0).exp()) as u64)).collect();
        let parabola = Parabola::through(&bins).unwrap();
        assert!((parabola.vertex - 8.5).abs() < 1e-6 && (parabola.width().unwrap() - 2.0).abs() < 1e-6);
        assert!((parabola.peak - 1e12_f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn distances_on_a_sphere_give_its_dimension() {
        for m in [2, 3, 6] {
            let centers: Vec<f64> = (0..50).map(|i| (f64::from(i) + 0.5) * std::f64::consts::PI / 50.0).collect();
            let counts: Vec<u64> = centers.iter().map(|r| (1e9 * r.sin().powi(m - 1)) as u64).collect();
            let total: f64 = counts.iter().map(|count| *count as f64).sum();
            let moment = |of: &dyn Fn(f64) -> f64| {
                centers.iter().zip(&counts).map(|(r, count)| of(*r) * *count as f64).sum::<f64>() / total
            };
            let mean = moment(&|r| r);
            let deviation = moment(&|r| (r - mean).powi(2)).sqrt();
            let width = std::f64::consts::PI / 50.0;
            let histogram = Histogram { centers, counts, width, mean, deviation, longest_edge: 0.1 };
            let dimension = Flank::find(&histogram).unwrap().slope() + 1.0;
            assert!((dimension - f64::from(m)).abs() < 0.15, "{m}: {dimension}");
        }
    }
}
