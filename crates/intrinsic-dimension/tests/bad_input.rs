//! Data and settings without an answer: the error names the value, the rule and the way out.

use rekindle_intrinsic_dimension::{
    CorrelationIntegral, Duplicates, GeoMle, GraphDistances, Gride, IdError, Knn, KnnTable, LocalPca, Mle, Mom, Pca,
    Points, SpectrumRule, TwoNn, data,
};

fn line(values: &[f64]) -> Points<'_, f64> {
    Points::new(values, values.len(), 1).unwrap()
}

#[track_caller]
fn assert_says<T: std::fmt::Debug>(result: Result<T, IdError>, parts: &[&str]) {
    let message = result.expect_err("this has no answer").to_string();
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
}

#[test]
fn more_neighbors_than_other_points() {
    let points = line(&[0.0, 1.0, 3.0, 7.0]);
    assert_says(Knn::new(4).search(&points), &["k = 4 with 4 points", "use k <= 3"]);
    assert_says(Knn::new(5).search(&points), &["k = 5 with 4 points", "use k <= 3"]);
    assert!(Knn::new(3).search(&points).is_ok());
}

#[test]
fn too_few_neighbors_for_the_estimator() {
    let points = line(&[0.0, 1.0, 3.0, 7.0]);
    assert_says(Knn::new(0).search(&points), &["at least 1", "got 0"]);
    let one = Knn::new(1).search(&points).unwrap();
    assert_says(Mle::new().fit(&one), &["at least 2", "got 1"]);
    assert_says(Mom::new().fit(&one), &["at least 2", "got 1"]);
    assert_says(TwoNn::new().fit(&one), &["at least 2", "got 1"]);
    assert_says(Gride::new(1, 2).fit(&one), &["reads 2 neighbors and the table has 1", "search with k >= 2"]);
    let two = Knn::new(2).search(&points).unwrap();
    assert_says(Mle::pope_code().fit(&two), &["at least 3", "got 2"]);
    assert_says(LocalPca::new(SpectrumRule::Kaiser).fit(&points, &two), &["at least 3", "got 2"]);
}

#[test]
fn fewer_than_three_points() {
    for values in [&[1.0][..], &[1.0, 2.0]] {
        let parts = ["at least 3 distinct points", &format!("got {}", values.len())];
        assert_says(Knn::new(1).search(&line(values)), &parts);
        assert_says(Pca::new(SpectrumRule::Kaiser).fit(&line(values)), &parts);
        assert_says(CorrelationIntegral::between(&line(values), 1.0, 2.0), &parts);
    }
    // Three points, two of them distinct.
    let removed = Knn::new(1).with_duplicates(Duplicates::Remove);
    assert_says(removed.search(&line(&[1.0, 2.0, 1.0])), &["at least 3 distinct points", "got 2"]);
    assert_says(Points::<f64>::new(&[], 0, 3), &["at least 1 row", "got 0 x 3"]);
}

#[test]
fn points_that_are_all_equal() {
    let points = line(&[4.0; 6]);
    for policy in [Duplicates::Error, Duplicates::Remove, Duplicates::Skip, Duplicates::Keep] {
        assert_says(Knn::new(2).with_duplicates(policy).search(&points), &["all 6 points are equal"]);
    }
    assert_says(Pca::new(SpectrumRule::Kaiser).fit(&points), &["all 6 points are equal"]);
    assert_says(CorrelationIntegral::between(&points, 1.0, 2.0), &["all 6 points are equal"]);
}

#[test]
fn copies_and_neighbors_at_distance_zero() {
    let points = line(&[0.0, 1.0, 3.0, 1.0, 7.0, 12.0]);
    assert_says(Knn::new(2).search(&points), &["1 of 6 points", "3 of 1", "Duplicates::Error"]);
    let kept = Knn::new(3).with_duplicates(Duplicates::Keep).search(&points).unwrap();
    assert_eq!(kept.n_duplicates(), 1);
    for refused in [
        Mle::new().fit(&kept),
        Mom::new().fit(&kept),
        TwoNn::new().fit(&kept),
        Gride::new(1, 3).fit(&kept),
        GeoMle::new().with_k(3, 5).fit(&kept),
    ] {
        let narrow = refused == Err(IdError::TableTooNarrow { wanted: 5, k: 3 });
        if !narrow {
            assert_says(refused, &["distance 0", ": 2;", "Duplicates::Remove"]);
        }
    }
    // The second neighbors are not copies.
    assert!(Gride::new(2, 3).fit(&kept).is_ok());
}

#[test]
fn numbers_that_are_none_and_rows_that_do_not_fit() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e151] {
        let parts = ["finite", &format!("got {value}"), "row 1, column 1"];
        assert_says(Points::new(&[0.0, 1.0, 2.0, value, 4.0, 5.0], 3, 2), &parts);
    }
    assert_says(Points::from_rows(&[vec![0.0, 1.0], vec![2.0]]), &["the 2 columns of the first", "row 1 has 1"]);
    assert_says(Points::new(&[0.0; 5], 3, 2), &["3 rows of 2 columns need 6 values, got 5"]);
    assert_says(KnnTable::from_distances(vec![1.0, f64::NAN], 2), &["row 0", "neither 0 nor between"]);
}

#[test]
fn a_graph_in_pieces() {
    let points = line(&[0.0, 1.0, 2.0, 3.0, 50.0, 51.0, 52.0]);
    let table = Knn::new(2).search(&points).unwrap();
    let parts = ["graph of 2 neighbors is disconnected", "4 of 7 points", "larger k", "min_component"];
    assert_says(GraphDistances::new().fit(&table, 1), &parts);
}

#[test]
fn points_on_a_grid_have_ties_and_no_finite_estimate() {
    let grid: Vec<f64> = (0..100).flat_map(|i| [f64::from(i % 10), f64::from(i / 10)]).collect();
    let points = Points::new(&grid, 100, 2).unwrap();
    // Every point has two neighbors at distance 1.
    let table = Knn::new(2).search(&points).unwrap();
    assert_says(Mle::new().fit(&table), &["at one distance", "100", "grid"]);
    assert_says(TwoNn::new().fit(&table), &["at one distance", "100", "grid"]);
}

/// More columns than points is no error: neighbors and spectra exist, and no linear dimension exceeds n - 1.
#[test]
fn more_columns_than_points() {
    let points = data::gaussian(12, 500, 0).unwrap();
    let table = Knn::new(11).search(&points).unwrap();
    for dimension in [
        Mle::new().fit(&table).unwrap().dimension,
        TwoNn::new().fit(&table).unwrap().dimension,
        Gride::new(2, 8).fit(&table).unwrap().dimension,
        Mom::new().fit(&table).unwrap().dimension,
    ] {
        assert!(dimension.is_finite() && dimension > 0.0);
    }
    let all = SpectrumRule::Variance { share: 1.0 };
    let spectrum = Pca::new(all).fit(&points).unwrap();
    assert_eq!((spectrum.dimension, spectrum.eigenvalues.len()), (11.0, 11));
    assert_eq!(LocalPca::new(all).fit(&points, &table).unwrap().dimension, 10.0);
}
