//! What holds for every input.

use proptest::prelude::*;
use rekindle_intrinsic_dimension::{
    Aggregate, CorrelationIntegral, Duplicates, GeoMle, GraphDistances, Gride, IdError, Knn, KnnTable, LocalPca, Mle,
    Mom, Normalizer, Pca, Points, SpectrumRule, TwoNn, TwoNnMethod, data,
};

const K: usize = 12;

const RULES: [SpectrumRule; 6] = [
    SpectrumRule::FukunagaOlsen { alpha: 0.05 },
    SpectrumRule::Variance { share: 0.95 },
    SpectrumRule::ParticipationRatio,
    SpectrumRule::Kaiser,
    SpectrumRule::MaxGap,
    SpectrumRule::BrokenStick,
];

fn knn() -> Knn<'static> {
    Knn::new(K).with_duplicates(Duplicates::Remove)
}

/// Every estimate that reads distances or linear structure, by name.
///
/// GeoMLE is not among them: its ridge has a unit. Nor is the graph, whose histogram can put a distance at the edge of a
/// bin into the next one by rounding.
fn estimates(points: &Points<'_, f64>) -> Result<Vec<(&'static str, f64)>, IdError> {
    let table = knn().search(points)?;
    let spectrum = SpectrumRule::ParticipationRatio;
    Ok(vec![
        ("mle", Mle::new().fit(&table)?.dimension),
        ("mle, mean", Mle::new().with_aggregate(Aggregate::Mean).fit(&table)?.dimension),
        ("mle, median", Mle::new().with_aggregate(Aggregate::Median).fit(&table)?.dimension),
        ("two_nn", TwoNn::new().fit(&table)?.dimension),
        ("two_nn, mle", TwoNn::new().with_method(TwoNnMethod::Mle).fit(&table)?.dimension),
        ("gride", Gride::new(3, 9).fit(&table)?.dimension),
        ("mom", Mom::new().fit(&table)?.dimension),
        ("correlation", CorrelationIntegral::new().with_k(5, 12).fit(points, &table)?.dimension),
        ("local pca", LocalPca::new(spectrum).fit(points, &table)?.dimension),
        ("pca", Pca::new(spectrum).fit(points)?.dimension),
    ])
}

#[track_caller]
fn assert_same(points: &Points<'_, f64>, changed: &Points<'_, f64>) {
    for ((name, before), (_, after)) in estimates(points).unwrap().into_iter().zip(estimates(changed).unwrap()) {
        // The correlation integral counts pairs at the median distance itself, where rounding decides.
        let tolerance = if name == "correlation" { 5e-3 } else { 1e-6 };
        assert!((before / after - 1.0).abs() < tolerance, "{name}: {before} != {after}");
    }
}

fn mapped(points: &Points<'_, f64>, map: impl Fn(usize, f64) -> f64) -> Points<'static, f64> {
    let values = points.values().iter().enumerate().map(|(at, x)| map(at % points.dim(), *x)).collect();
    Points::from_vec(values, points.n(), points.dim()).unwrap()
}

fn cloud() -> impl Strategy<Value = Points<'static, f64>> {
    (30_usize..120, 2_usize..7, any::<u64>()).prop_map(|(n, d, seed)| data::gaussian(n, d, seed).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn translation_changes_nothing(points in cloud(), offset in -100.0..100.0) {
        assert_same(&points, &mapped(&points, |column, x| x + offset * (column + 1) as f64));
    }

    #[test]
    fn scaling_changes_nothing(points in cloud(), log_scale in -60.0..60.0) {
        assert_same(&points, &mapped(&points, |_, x| x * f64::exp2(log_scale)));
    }

    #[test]
    fn isometric_embeddings_and_rotations_change_nothing(points in cloud(), more in 0_usize..30, seed in any::<u64>()) {
        assert_same(&points, &data::embed(&points, points.dim() + more, seed).unwrap());
    }

    #[test]
    fn columns_of_zeros_change_nothing(points in cloud(), more in 1_usize..40) {
        let rows: Vec<Vec<f64>> = (0..points.n())
            .map(|i| points.row(i).iter().copied().chain(std::iter::repeat_n(0.0, more)).collect())
            .collect();
        assert_same(&points, &Points::from_rows(&rows).unwrap());
    }

    #[test]
    fn the_order_of_the_points_changes_nothing(points in cloud(), step in prop::sample::select(vec![1, 7, 11, 13])) {
        let n = points.n();
        prop_assume!(n % step != 0 || step == 1);
        let order: Vec<usize> = (0..n).map(|i| (n - 1 - i) * step % n).collect();
        assert_same(&points, &points.select(&order).unwrap());
    }

    /// A data set twice over is, without its copies, the data set: to the bit.
    #[test]
    fn repeated_points_change_nothing_once_removed(points in cloud()) {
        let twice: Vec<usize> = (0..2 * points.n()).map(|i| i % points.n()).collect();
        let twice = points.select(&twice).unwrap();
        let refused = matches!(Knn::new(K).search(&twice), Err(IdError::Duplicates { count, .. }) if count == points.n());
        prop_assert!(refused);
        let (once, removed) = (knn().search(&points).unwrap(), knn().search(&twice).unwrap());
        prop_assert_eq!(removed.n_duplicates(), points.n());
        prop_assert_eq!(once.all_distances(), removed.all_distances());
        prop_assert_eq!(Mle::new().fit(&once), Mle::new().fit(&removed));
        // Skipped zeros leave each other point twice.
        let skipped = knn().with_duplicates(Duplicates::Skip).search(&twice).unwrap();
        prop_assert_eq!(skipped.n(), 2 * points.n());
        prop_assert!(skipped.all_distances().iter().all(|distance| *distance > 0.0));
    }

    /// k - 2 in place of k - 1 under the inverse mean is the factor (k-2)/(k-1), on any data.
    #[test]
    fn the_authors_preset_is_low_by_its_factor(points in cloud(), k in 3_usize..K) {
        let table = knn().search(&points).unwrap();
        let ratio = Mle::pope_code().with_k(k).fit(&table).unwrap().dimension
            / Mle::new().with_k(k).fit(&table).unwrap().dimension;
        prop_assert!((ratio - (k - 2) as f64 / (k - 1) as f64).abs() < 1e-12);
    }

    #[test]
    fn threads_and_blocks_change_no_bit(points in cloud(), threads in 1_usize..5, block in 1_usize..50) {
        let all = |threads, block| {
            let table = knn().with_threads(threads).with_block(block).search(&points).unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let rest = pool.install(|| {
                (
                    GeoMle::new().with_k(3, 5).with_subsets(4).fit(&table),
                    GraphDistances::new().with_min_component(0.01).fit(&table, points.dim()),
                    LocalPca::new(SpectrumRule::ParticipationRatio).fit(&points, &table),
                    Pca::new(SpectrumRule::ParticipationRatio).fit(&points),
                )
            });
            (table, rest)
        };
        prop_assert_eq!(all(1, 1024), all(threads, block));
    }

    /// Squares of these eigenvalues leave the range of f64.
    #[test]
    fn the_unit_of_a_spectrum_changes_no_rule(
        spectrum in prop::collection::vec(1e-3..1e3, 1..8),
        exponent in prop::sample::select(vec![-1000, -600, 600, 1000]),
    ) {
        let mut spectrum = spectrum;
        spectrum.sort_by(|a: &f64, b| b.total_cmp(a));
        let scaled: Vec<f64> = spectrum.iter().map(|value| value * 2_f64.powi(exponent)).collect();
        for rule in RULES {
            prop_assert_eq!(rule.dimension(&scaled), rule.dimension(&spectrum), "{:?}", rule);
        }
    }

    /// Anything at all, as long as it is numbers: an answer that is a number, or an error.
    #[test]
    fn no_input_panics(
        values in prop::collection::vec(
            prop_oneof![
                80 => prop::sample::select(vec![0.0, 1.0, -0.0, 1e-300, 1e-160, 1e149, -1e150, f64::MIN_POSITIVE]),
                80 => -1e3..1e3,
                1 => prop::sample::select(vec![f64::NAN, f64::INFINITY]),
            ],
            0..80,
        ),
        dim in 0_usize..4,
        k in 0_usize..8,
        policy in prop::sample::select(vec![
            Duplicates::Error, Duplicates::Remove, Duplicates::Skip, Duplicates::Keep,
        ]),
    ) {
        let n = values.len().checked_div(dim).unwrap_or(0);
        let Ok(points) = Points::new(&values[..n * dim], n, dim) else { return Ok(()) };
        let Ok(table) = Knn::new(k).with_duplicates(policy).search(&points) else { return Ok(()) };
        let estimates = every_estimate(&points, &table);
        prop_assert!(estimates.iter().all(|estimate| estimate.as_ref().map_or(true, |d| d.is_finite())), "{estimates:?}");
    }
}

fn every_estimate(points: &Points<'_, f64>, table: &KnnTable) -> Vec<Result<f64, IdError>> {
    let mut all = vec![
        Gride::new(1, 2).fit(table).map(|estimate| estimate.dimension),
        Gride::new(1, 4).fit(table).map(|estimate| estimate.dimension),
        Mom::new().fit(table).map(|estimate| estimate.dimension),
        GeoMle::new().with_k(3, 5).fit(table).map(|estimate| estimate.dimension),
        GraphDistances::new().fit(table, points.dim()).map(|graph| graph.dimension),
        CorrelationIntegral::new().with_k(1, 2).fit(points, table).map(|correlation| correlation.dimension),
    ];
    for normalizer in [Normalizer::KMinus1, Normalizer::KMinus2] {
        for aggregate in [Aggregate::InverseMean, Aggregate::Mean, Aggregate::Median] {
            let mle = Mle::new().with_normalizer(normalizer).with_aggregate(aggregate);
            all.push(mle.fit(table).map(|estimate| estimate.dimension));
        }
    }
    for method in [TwoNnMethod::Fit, TwoNnMethod::Mle, TwoNnMethod::Unbiased] {
        for discard in [0.0, 0.1, 0.9] {
            let two_nn = TwoNn::new().with_method(method).with_discard(discard);
            all.push(two_nn.fit(table).map(|estimate| estimate.dimension));
        }
    }
    for rule in RULES {
        all.push(LocalPca::new(rule).fit(points, table).map(|estimate| estimate.dimension));
        all.push(Pca::new(rule).fit(points).map(|spectrum| spectrum.dimension));
    }
    all
}
