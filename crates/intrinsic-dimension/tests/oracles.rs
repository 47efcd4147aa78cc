//! Values that were known before the code: laws, and estimates of data of known dimension by other programs.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rekindle_intrinsic_dimension::{Aggregate, GeoMle, IdError, Knn, KnnTable, Mle, Normalizer, Points, TwoNn, data};

/// Distances of uniform data of dimension m: T_j^m are the order statistics of uniform variables.
fn gamma_law(n: usize, k: usize, m: f64) -> KnnTable {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut dist = Vec::with_capacity(n * k);
    for _ in 0..n {
        let mut row: Vec<f64> = (0..k).map(|_| rng.random::<f64>().powf(1.0 / m)).collect();
        row.sort_unstable_by(f64::total_cmp);
        dist.extend(row);
    }
    KnnTable::from_distances(dist, k).unwrap()
}

/// The sum of k - 1 logarithms is Gamma(k - 1, m): k - 1 is right for inverses and k - 2 for estimates.
#[test]
fn each_normalizer_is_unbiased_for_its_mean() {
    for (k, m) in [(4, 3.0), (10, 8.0), (20, 25.0)] {
        let n = 40_000;
        let table = gamma_law(n, k, m);
        let fit = |normalizer, aggregate| {
            Mle::new().with_normalizer(normalizer).with_aggregate(aggregate).fit(&table).unwrap().dimension
        };
        // The mean of n sums varies by 1 / sqrt(n (k-1)), relative to itself; that of estimates by 1 / sqrt(n (k-3)).
        let error = 4.0 / ((n * (k - 3)) as f64).sqrt();
        assert!((fit(Normalizer::KMinus1, Aggregate::InverseMean) / m - 1.0).abs() < error);
        assert!((fit(Normalizer::KMinus2, Aggregate::Mean) / m - 1.0).abs() < error);
        let mixed = fit(Normalizer::KMinus2, Aggregate::InverseMean) / m;
        assert!((mixed * (k - 1) as f64 / (k - 2) as f64 - 1.0).abs() < error);
    }
}

/// One line of a published or recomputed table: the authors' preset at k = 3, 5, 10, 20, then TwoNN.
struct Line {
    points: fn(usize, usize, u64) -> Result<Points<'static, f64>, IdError>,
    d: usize,
    mle: [f64; 4],
    two_nn: Option<f64>,
    /// Four standard deviations of a run, for MLE and TwoNN.
    tolerance: (f64, f64),
}

fn assert_line(line: &Line) {
    let table = Knn::new(20).search(&(line.points)(1000, line.d, 11).unwrap()).unwrap();
    for (k, expected) in [3, 5, 10, 20].into_iter().zip(line.mle) {
        let dimension = Mle::pope_code().with_k(k).fit(&table).unwrap().dimension;
        assert!((dimension - expected).abs() < line.tolerance.0, "d = {}, k = {k}: {dimension} != {expected}", line.d);
    }
    if let Some(expected) = line.two_nn {
        let dimension = TwoNn::new().with_discard(0.0).fit(&table).unwrap().dimension;
        assert!((dimension - expected).abs() < line.tolerance.1, "d = {}: {dimension} != {expected}", line.d);
    }
}

#[test]
fn cubes_spheres_and_balls_give_the_tabled_values() {
    let (low, middle, high, highest) = ((0.16, 0.4), (0.36, 1.04), (0.6, 1.64), (1.0, 2.64));
    for line in [
        Line { points: data::cube, d: 1, mle: [0.50, 0.75, 0.89, 0.95], two_nn: Some(0.99), tolerance: low },
        Line { points: data::cube, d: 2, mle: [0.99, 1.48, 1.75, 1.84], two_nn: Some(1.96), tolerance: low },
        Line { points: data::cube, d: 5, mle: [2.35, 3.44, 3.98, 4.15], two_nn: Some(4.80), tolerance: middle },
        Line { points: data::cube, d: 10, mle: [4.17, 6.20, 7.20, 7.46], two_nn: Some(8.40), tolerance: high },
        Line { points: data::cube, d: 20, mle: [7.50, 10.96, 12.78, 13.19], two_nn: Some(15.25), tolerance: highest },
        Line { points: data::sphere, d: 2, mle: [0.99, 1.49, 1.78, 1.90], two_nn: Some(1.99), tolerance: low },
        Line { points: data::sphere, d: 5, mle: [2.49, 3.72, 4.35, 4.58], two_nn: Some(4.96), tolerance: middle },
        Line { points: data::sphere, d: 10, mle: [4.78, 6.90, 7.97, 8.31], two_nn: Some(9.57), tolerance: high },
        Line { points: data::sphere, d: 20, mle: [8.08, 11.93, 13.80, 14.19], two_nn: Some(16.34), tolerance: highest },
        Line { points: data::ball, d: 1, mle: [0.50, 0.75, 0.89, 0.94], two_nn: None, tolerance: low },
        Line { points: data::ball, d: 2, mle: [0.99, 1.49, 1.73, 1.84], two_nn: None, tolerance: low },
        Line { points: data::ball, d: 5, mle: [2.34, 3.49, 4.09, 4.27], two_nn: None, tolerance: middle },
    ] {
        assert_line(&line);
    }
}

/// Dimensions add up in a product: a square, 1.96; S³, 2.99; both, 4.58.
#[test]
fn a_product_has_about_the_sum_of_the_dimensions() {
    let (n, square, sphere) = (2000, data::cube(2000, 2, 3).unwrap(), data::sphere(2000, 3, 3).unwrap());
    let rows: Vec<Vec<f64>> = (0..n).map(|i| [square.row(i), sphere.row(i)].concat()).collect();
    let product = Points::from_rows(&rows).unwrap();
    let of = |points: &Points<'_, f64>| Mle::new().fit(&Knn::new(20).search(points).unwrap()).unwrap().dimension;
    for (points, expected) in [(&square, 1.96), (&sphere, 2.99), (&product, 4.58)] {
        assert!((of(points) - expected).abs() < 0.15, "{} != {expected}", of(points));
    }
}

/// A square in R⁵⁰ under noise of sd s: the estimate leaves 2 before T₂₀ = .058 reaches s sqrt(50).
#[test]
fn noise_raises_the_dimension_at_its_scale() {
    let plane = data::embed(&data::cube(2000, 2, 5).unwrap(), 50, 6).unwrap();
    let mut before = 0.0;
    for (spread, expected) in [(0.0, 1.96), (0.007, 2.19), (0.021, 3.33), (0.071, 10.5)] {
        let noisy = data::with_noise(&plane, spread / 50.0_f64.sqrt(), 8).unwrap();
        let dimension = Mle::new().fit(&Knn::new(20).search(&noisy).unwrap()).unwrap().dimension;
        assert!((dimension / expected - 1.0).abs() < 0.15 && dimension > before, "{spread}: {dimension} != {expected}");
        before = dimension;
    }
}

/// The ridge's penalty has a unit: the estimate of the recipe moves with the scale, that of relative radii does not.
#[test]
fn geo_mle_depends_on_the_unit_unless_told_otherwise() {
    let points = data::cube(400, 3, 1).unwrap();
    let fit = |scale: f64, relative| {
        let values: Vec<f64> = points.values().iter().map(|x| scale * x).collect();
        let geo_mle = GeoMle::new().with_relative_radii(relative);
        let table = Knn::new(geo_mle.required_k(400)).search(&Points::new(&values, 400, 3).unwrap()).unwrap();
        geo_mle.fit(&table).unwrap().dimension
    };
    assert!(fit(100.0, false) > 1.2 * fit(1.0, false));
    assert!((fit(100.0, true) / fit(1.0, true) - 1.0).abs() < 1e-6);
}
