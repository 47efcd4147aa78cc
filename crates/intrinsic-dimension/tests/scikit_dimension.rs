//! Agreement with scikit-dimension 0.5.0 (PyPI) on the same points; `scikit_dimension.py` prints its values.

use rekindle_intrinsic_dimension::data::Manifold;
use rekindle_intrinsic_dimension::{
    Aggregate, CorrelationIntegral, Gride, Knn, KnnTable, LocalPca, Mle, Mom, Normalizer, Pca, Points, SpectrumRule,
    TwoNn, TwoNnMethod,
};

/// SplitMix64 from state 0, as numbers in [0, 1).
fn uniform() -> impl Iterator<Item = f64> {
    let mut state = 0_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 * (-53.0_f64).exp2()
    })
}

/// A manifold of four dimensions in R⁶, the same bits as in Python.
fn points() -> Points<'static, f64> {
    let mut uniform = uniform();
    let point = |_| {
        let u: [f64; 4] = std::array::from_fn(|_| uniform.next().expect("it has no end"));
        [u[0], u[1], u[2], u[3], u[0] * u[1], u[2] * u[3] - u[0] * u[2]]
    };
    Points::from_vec((0..600).flat_map(point).collect(), 600, 6).unwrap()
}

fn table(points: &Points<'_, f64>) -> KnnTable {
    Knn::new(20).search(points).unwrap()
}

#[track_caller]
fn assert_close(ours: f64, theirs: f64, what: &str) {
    assert!((ours / theirs - 1.0).abs() < 1e-9, "{what}: {ours} != {theirs}");
}

#[test]
fn mle_agrees_for_every_normalizer_and_aggregate() {
    use Aggregate::{InverseMean, Mean, Median};
    let table = table(&points());
    for (k, normalizer, expected) in [
        (5, Normalizer::KMinus1, [3.724721604928778, 4.929225287823858, 4.01866405829621]),
        (5, Normalizer::KMinus2, [2.7935412036965834, 3.6969189658678934, 3.013998043722157]),
        (10, Normalizer::KMinus1, [3.675088369531314, 4.1221485263587345, 3.767848794296653]),
        (10, Normalizer::KMinus2, [3.266745217361168, 3.664132023429987, 3.349198928263692]),
        (20, Normalizer::KMinus1, [3.624235496690982, 3.816565440193329, 3.7306047629848553]),
        (20, Normalizer::KMinus2, [3.433486260023036, 3.6156935749199963, 3.5342571438803896]),
    ] {
        for (aggregate, expected) in [InverseMean, Mean, Median].into_iter().zip(expected) {
            let mle = Mle::new().with_k(k).with_normalizer(normalizer).with_aggregate(aggregate);
            let what = format!("k = {k}, {normalizer:?}, {aggregate:?}");
            assert_close(mle.fit(&table).unwrap().dimension, expected, &what);
        }
    }
}

#[test]
fn two_nn_agrees_for_fit_and_likelihood() {
    let table = table(&points());
    for (discard, expected) in [(0.1, 3.707634589987395), (0.25, 3.6091820484380768)] {
        assert_close(TwoNn::new().with_discard(discard).fit(&table).unwrap().dimension, expected, "fit");
    }
    let likelihood = TwoNn::new().with_method(TwoNnMethod::Unbiased);
    assert_close(likelihood.fit(&table).unwrap().dimension, 3.704069037900036, "likelihood");
}

/// Their T̄ contains T_k; without it, as the definition has it, the estimate is lower by about (m+1)/(k-1).
#[test]
fn moments_agree_with_the_kth_neighbor_in_the_mean() {
    let table = table(&points());
    for (aggregate, expected) in [(Aggregate::Mean, 4.023187155449519), (Aggregate::Median, 3.9268933274491014)] {
        let mom = Mom::new().with_aggregate(aggregate);
        assert_close(mom.with_kth(true).fit(&table).unwrap().dimension, expected, "mom");
        let difference = expected - mom.fit(&table).unwrap().dimension;
        assert!((difference - 5.0 / 19.0).abs() < 0.05, "{difference}");
    }
}

/// They drop ratios above 20 times the width of their distribution; here are none.
#[test]
fn gride_agrees_with_their_unbiased_score() {
    let table = table(&points());
    for ((n1, n2), expected) in
        [((1, 2), 3.639371132606376), ((4, 8), 3.6263152524307403), ((2, 16), 3.6722405469693458)]
    {
        let gride = Gride::new(n1, n2).with_unbiased(true);
        assert_close(gride.fit(&table).unwrap().dimension, expected, "gride");
    }
}

#[test]
fn the_correlation_integral_agrees() {
    let points = points();
    let correlation = CorrelationIntegral::new().fit(&points, &table(&points)).unwrap();
    assert_close(correlation.dimension, 3.7072719860027195, "correlation integral");
}

#[test]
fn spectra_agree_whole_and_local() {
    let points = points();
    let table = table(&points);
    for (rule, whole, local) in [
        (SpectrumRule::FukunagaOlsen { alpha: 0.05 }, 5.0, 3.9983333333333335),
        (SpectrumRule::Variance { share: 0.95 }, 4.0, 3.986666666666667),
        (SpectrumRule::ParticipationRatio, 3.933307144287364, 3.2393551066019692),
        (SpectrumRule::Kaiser, 4.0, 2.725),
        (SpectrumRule::MaxGap, 4.0, 4.036666666666667),
    ] {
        assert_close(Pca::new(rule).fit(&points).unwrap().dimension, whole, &format!("{rule:?}"));
        assert_close(LocalPca::new(rule).fit(&points, &table).unwrap().dimension, local, &format!("{rule:?}, local"));
    }
    let stick = SpectrumRule::BrokenStick;
    assert_eq!(Pca::new(stick).fit(&points).unwrap().dimension, 0.0);
    assert_close(LocalPca::new(stick).fit(&points, &table).unwrap().dimension, 1.4, "broken stick");
}

/// Other points of the same laws: dimension, columns, variance and largest eigenvalue of the covariance of 200,000.
#[test]
fn the_benchmark_manifolds_have_the_moments_of_theirs() {
    #[rustfmt::skip]
    let theirs = [
        ("M1_Sphere", 10, 11, 1.0, 0.091975),
        ("M2_Affine_3to5", 3, 5, 8.3985, 4.9347),
        ("M3_Nonlinear_4to6", 4, 6, 1.6755, 0.8909),
        ("M4_Nonlinear", 4, 8, 1.333, 0.16854),
        ("M5a_Helix1d", 1, 3, 4.9927, 2.2505),
        ("M5b_Helix2d", 2, 3, 349.46, 164.83),
        ("M6_Nonlinear", 6, 36, 6.0032, 0.50734),
        ("M7_Roll", 2, 3, 128.94, 50.988),
        ("M8_Nonlinear", 12, 72, 11.995, 0.50986),
        ("M9_Affine", 20, 20, 41.671, 2.1245),
        ("M10a_Cubic", 10, 11, 1.0837, 0.099842),
        ("M10b_Cubic", 17, 18, 1.6664, 0.094124),
        ("M10c_Cubic", 24, 25, 2.2514, 0.091908),
        ("M10d_Cubic", 70, 71, 6.0821, 0.088719),
        ("M11_Moebius", 2, 3, 1.0826, 0.52114),
        ("M12_Norm", 20, 20, 19.997, 1.0174),
        ("M13a_Scurve", 2, 3, 2.7549, 1.9305),
        ("M13b_Spiral", 1, 13, 10082.0, 5008.5),
        ("Mbeta", 10, 40, 1.1908, 0.11652),
        ("Mn1_Nonlinear", 18, 72, 5.4377, 0.36508),
        ("Mn2_Nonlinear", 24, 96, 7.2529, 0.36566),
        ("Mp1_Paraboloid", 3, 12, 3.8291, 3.4084),
        ("Mp2_Paraboloid", 6, 21, 34.884, 33.861),
        ("Mp3_Paraboloid", 9, 30, 148.73, 146.95),
    ];
    assert_eq!(theirs.len(), Manifold::ALL.len());
    for (manifold, (name, d, columns, variance, largest)) in Manifold::ALL.into_iter().zip(theirs) {
        assert_eq!((manifold.name(), manifold.dimension(), manifold.columns()), (name, d, columns));
        let points = manifold.sample(20_000, 1).unwrap();
        let eigenvalues = Pca::new(SpectrumRule::Kaiser).fit(&points).unwrap().eigenvalues;
        let ours: f64 = eigenvalues.iter().sum();
        assert!((ours / variance - 1.0).abs() < 0.03, "{name}: {ours} != {variance}");
        // The largest of many equal eigenvalues is (1 + sqrt(columns / n))² of them.
        let spread = (1.0 + (columns as f64 / 20_000.0).sqrt()).powi(2) - 1.0;
        assert!((eigenvalues[0] / largest - 1.0).abs() < 0.03 + spread, "{name}: {} != {largest}", eigenvalues[0]);
    }
}
