//! The search finds what direct comparison of all pairs finds, to the bit.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rekindle_intrinsic_dimension::{Duplicates, IdError, Knn, KnnTable, Mle, Points, Progress, Scalar, data};

/// Distances by the definition, in the order of addition of plain code; neighbors by distance, then index.
fn brute_force<T: Scalar>(points: &Points<'_, T>, query: &[T], own: Option<usize>, k: usize) -> (Vec<f64>, Vec<u32>) {
    let distance = |i: usize| {
        let pairs = query.iter().zip(points.row(i));
        pairs.map(|(a, b)| (a.to_f64() - b.to_f64()).powi(2)).sum::<f64>().sqrt()
    };
    let mut all: Vec<(f64, u32)> =
        (0..points.n()).filter(|&i| Some(i) != own).map(|i| (distance(i), i as u32)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all.into_iter().take(k).unzip()
}

#[track_caller]
fn assert_exact<T: Scalar>(points: &Points<'_, T>, table: &KnnTable) {
    for row in 0..table.n() {
        let point = table.point(row).unwrap();
        let (dist, idx) = brute_force(points, points.row(point), Some(point), table.k());
        assert_eq!(table.neighbors(row).unwrap(), idx, "neighbors of {point}");
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * b;
        assert!(table.distances(row).iter().zip(&dist).all(near), "distances of {point}");
    }
}

fn uniform(n: usize, dim: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n * dim).map(|_| rng.random()).collect()
}

#[test]
fn blocks_that_do_not_fit_lose_no_neighbor() {
    let values = uniform(300, 30, 0);
    let points = Points::new(&values, 300, 30).unwrap();
    for block in [1, 7, 299, 300, 1000] {
        assert_exact(&points, &Knn::new(9).with_block(block).search(&points).unwrap());
    }
}

#[test]
fn neighbors_are_exact_a_million_widths_off_center() {
    let values: Vec<f64> = uniform(400, 20, 1).iter().map(|x| 1e6 + x).collect();
    let points = Points::new(&values, 400, 20).unwrap();
    assert_exact(&points, &Knn::new(10).with_block(64).search(&points).unwrap());
    let values: Vec<f32> = values.iter().map(|x| *x as f32).collect();
    let points = Points::new(&values, 400, 20).unwrap();
    let table = Knn::new(10).with_block(64).with_duplicates(Duplicates::Keep).search(&points).unwrap();
    assert_exact(&points, &table);
}

/// No center helps here: in `f32` the products cannot tell the points of a cluster apart at all.
#[test]
fn neighbors_are_exact_in_clusters_far_apart() {
    let noise = uniform(500, 12, 2);
    let values: Vec<f64> = noise.iter().enumerate().map(|(at, x)| 1e5 * ((at / 12) % 3) as f64 + 1e-3 * x).collect();
    let points = Points::new(&values, 500, 12).unwrap();
    assert_exact(&points, &Knn::new(8).with_block(100).search(&points).unwrap());
}

#[test]
fn ties_on_a_grid_of_integers_are_broken_by_index() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let values: Vec<u8> = (0..600 * 4).map(|_| rng.random_range(0..4)).collect();
    let points = Points::new(&values, 600, 4).unwrap();
    for block in [50, 1024] {
        let table = Knn::new(15).with_block(block).with_duplicates(Duplicates::Keep).search(&points).unwrap();
        assert_exact(&points, &table);
        // There are 4⁴ places.
        assert!(table.n_duplicates() >= 600 - 256);
    }
}

#[test]
fn long_rows_are_summed_in_pieces_without_loss() {
    let values: Vec<f32> = uniform(60, 5000, 4).iter().map(|x| *x as f32).collect();
    let points = Points::new(&values, 60, 5000).unwrap();
    assert_exact(&points, &Knn::new(5).search(&points).unwrap());
}

#[test]
fn bytes_give_the_table_of_the_same_numbers() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let bytes: Vec<u8> = (0..200 * 50).map(|_| rng.random()).collect();
    let floats: Vec<f32> = bytes.iter().map(|x| f32::from(*x)).collect();
    let of_bytes = Knn::new(6).search(&Points::new(&bytes, 200, 50).unwrap()).unwrap();
    assert_eq!(of_bytes, Knn::new(6).search(&Points::new(&floats, 200, 50).unwrap()).unwrap());
}

#[test]
fn the_point_itself_is_left_out_by_index_among_exact_copies() {
    let points = Points::new(&[5.0, 1.0, 5.0, 5.0, 2.0], 5, 1).unwrap();
    let table = Knn::new(2).with_duplicates(Duplicates::Keep).search(&points).unwrap();
    assert_eq!(table.neighbors(0).unwrap(), [2, 3]);
    assert_eq!(table.neighbors(2).unwrap(), [0, 3]);
    assert_eq!(table.distances(3), [0.0, 0.0]);
}

#[test]
fn the_policies_for_copies() {
    let points = Points::new(&[0.0, 1.0, 3.0, 1.0, 7.0, 0.0], 6, 1).unwrap();
    let search = |policy, k| Knn::new(k).with_duplicates(policy).search(&points);
    let refused = IdError::Duplicates { count: 2, n: 6, first: 1, second: 3 };
    assert_eq!(search(Duplicates::Error, 2).err(), Some(refused));
    let removed = search(Duplicates::Remove, 2).unwrap();
    assert_eq!((removed.n(), removed.n_duplicates(), removed.n_reference()), (4, 2, 4));
    assert_eq!((removed.point(3), removed.neighbors(3).unwrap()), (Some(4), [2, 1].as_slice()));
    assert_eq!(search(Duplicates::Remove, 4).err(), Some(IdError::KTooLarge { k: 4, n: 4 }));
    let skipped = search(Duplicates::Skip, 2).unwrap();
    assert_eq!((skipped.n(), skipped.n_duplicates()), (6, 2));
    assert_eq!((skipped.distances(0), skipped.neighbors(0).unwrap()), ([1.0, 1.0].as_slice(), [1, 3].as_slice()));
    assert_eq!(search(Duplicates::Skip, 5).err(), Some(IdError::KTooLarge { k: 5, n: 4 }));
}

#[test]
fn anchors_have_the_rows_of_the_whole_table() {
    let values = uniform(700, 8, 6);
    let points = Points::new(&values, 700, 8).unwrap();
    let all = Knn::new(5).search(&points).unwrap();
    let anchors = [699, 3, 250];
    let some = Knn::new(5).with_block(128).search_anchors(&points, &anchors).unwrap();
    for (row, anchor) in anchors.into_iter().enumerate() {
        assert_eq!(some.point(row), Some(anchor));
        assert_eq!(some.distances(row), all.distances(anchor));
        assert_eq!(some.neighbors(row), all.neighbors(anchor));
    }
    let outside = Knn::new(5).search_anchors(&points, &[700]);
    assert_eq!(outside.err(), Some(IdError::IndexOutOfRange { index: 700, n: 700 }));
    assert!(matches!(Knn::new(5).search_anchors(&points, &[]), Err(IdError::Empty { .. })));
}

#[test]
fn queries_from_elsewhere_have_the_nearest_points() {
    let values = uniform(300, 8, 7);
    let points = Points::new(&values, 300, 8).unwrap();
    let queries: Vec<f64> = uniform(20, 8, 8).iter().map(|x| 3.0 * x).collect();
    let queries = Points::new(&queries, 20, 8).unwrap();
    let table = Knn::new(4).with_block(64).search_queries(&points, &queries).unwrap();
    for row in 0..20 {
        let (_, idx) = brute_force(&points, queries.row(row), None, 4);
        assert_eq!(table.neighbors(row).unwrap(), idx);
        assert_eq!(table.point(row), None);
    }
    let equal = points.select(&[17]).unwrap();
    assert_eq!(Knn::new(4).search_queries(&points, &equal).err(), Some(IdError::ZeroDistance(1)));
    let skipped = Knn::new(4).with_duplicates(Duplicates::Skip).search_queries(&points, &equal).unwrap();
    assert_eq!(skipped.neighbors(0).unwrap(), brute_force(&points, points.row(17), Some(17), 4).1);
    let other = Points::new(&[0.0; 7], 1, 7).unwrap();
    let columns = IdError::Columns { reference: 8, queries: 7 };
    assert_eq!(Knn::new(4).search_queries(&points, &other).err(), Some(columns));
}

/// A difference of 1e-170 has no square, and yet the points are not copies of each other.
#[test]
fn points_that_differ_are_not_skipped_where_squares_underflow() {
    let points = Points::new(&[0.0, 1e-170, 1.0, 2.0], 4, 1).unwrap();
    let table = Knn::new(2).with_duplicates(Duplicates::Skip).search(&points).unwrap();
    assert_eq!((table.neighbors(0).unwrap(), table.distances(0)), ([1, 2].as_slice(), [0.0, 1.0].as_slice()));
    assert_eq!(Mle::new().fit(&table).err(), Some(IdError::ZeroDistance(2)));
}

#[test]
fn progress_counts_up_to_the_end() {
    let points = data::cube(100, 2, 0).unwrap();
    let seen = std::sync::Mutex::new(Vec::new());
    let report = |progress: Progress| seen.lock().unwrap().push(progress);
    Knn::new(3).with_block(25).with_progress(&report).search(&points).unwrap();
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen, (1..=10).map(|done| Progress { done, total: 10 }).collect::<Vec<_>>());
}

#[test]
fn data_without_an_answer_are_refused() {
    let refused = |values: &[f64], k| Knn::new(k).search(&Points::new(values, values.len(), 1).unwrap()).err();
    assert_eq!(refused(&[1.0, 2.0], 1), Some(IdError::TooFewPoints(2)));
    assert_eq!(refused(&[4.0; 6], 2), Some(IdError::Constant(6)));
    assert_eq!(refused(&[1.0, 2.0, 3.0], 3), Some(IdError::KTooLarge { k: 3, n: 3 }));
    assert_eq!(refused(&[1.0, 2.0, 3.0], 0), Some(IdError::KTooSmall { k: 0, least: 1 }));
    assert!(matches!(refused(&[1e-150, 2e-150, 4e-150], 1), Some(IdError::TooSmall(_))));
    let points = Points::new(&[1.0, 2.0, 3.0], 3, 1).unwrap();
    assert!(matches!(Knn::new(1).with_block(0).search(&points), Err(IdError::InvalidSetting { name: "block", .. })));
    assert!(matches!(
        Knn::new(1).with_threads(0).search(&points),
        Err(IdError::InvalidSetting { name: "threads", .. })
    ));
}

#[test]
fn tables_from_arrays_are_checked() {
    let table = |dist: &[f64], idx: &[u32], k| KnnTable::from_arrays(dist.to_vec(), idx.to_vec(), k);
    let good = table(&[1.0, 1.0, 2.0], &[1, 0, 1], 1).unwrap();
    assert_eq!(good, Knn::new(1).search(&Points::new(&[0.0, 1.0, 3.0], 3, 1).unwrap()).unwrap());
    let problem = |dist: &[f64], idx: &[u32], k| match table(dist, idx, k) {
        Err(IdError::InvalidTable { row, problem }) => (row, problem.split(' ').next().unwrap()),
        other => panic!("{other:?}"),
    };
    assert_eq!(problem(&[1.0, 1.0, f64::NAN], &[1, 0, 1], 1), (2, "has"));
    assert_eq!(problem(&[1.0, -1.0, 2.0], &[1, 0, 1], 1), (1, "has"));
    assert_eq!(problem(&[1e-151, 1.0, 2.0], &[1, 0, 1], 1), (0, "has"));
    assert_eq!(problem(&[1.0, 1.0, 1e151], &[1, 0, 1], 1), (2, "has"));
    assert_eq!(problem(&[2.0, 1.0, 1.0, 2.0, 2.0, 3.0], &[1, 2, 0, 2, 1, 0], 2), (0, "has"));
    assert_eq!(problem(&[1.0, 1.0, 2.0], &[1, 0, 3], 1), (2, "has"));
    assert_eq!(problem(&[1.0, 1.0, 2.0], &[1, 1, 1], 1), (1, "names"));
    assert_eq!(problem(&[1.0; 6], &[1, 1, 0, 2, 1, 0], 2), (0, "names"));
    assert!(matches!(table(&[1.0, 1.0], &[1], 1), Err(IdError::Length { .. })));
    assert!(matches!(table(&[1.0, 1.0], &[1, 0], 2), Err(IdError::KTooLarge { k: 2, n: 1 })));
    assert!(matches!(table(&[], &[], 0), Err(IdError::KTooSmall { .. })));
    assert!(matches!(table(&[], &[], 3), Err(IdError::Empty { .. })));
    let anchors = KnnTable::from_anchor_arrays(vec![2.0], vec![1], 1, vec![2], 3).unwrap();
    assert_eq!(anchors.point(0), Some(2));
    let outside = KnnTable::from_anchor_arrays(vec![2.0], vec![1], 1, vec![3], 3);
    assert_eq!(outside.err(), Some(IdError::IndexOutOfRange { index: 3, n: 3 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the data, blocks, threads and policy, the table is that of all pairs.
    #[test]
    fn the_table_is_that_of_all_pairs(
        grid in prop::collection::vec(-3_i8..3, 12..240),
        offset in prop::sample::select(vec![0.0, 1e3, 1e9]),
        unit in prop::sample::select(vec![1e-30, 1e-3, 1.0, 7.0]),
        dim in 1_usize..4,
        k in 1_usize..6,
        block in 1_usize..40,
        threads in 1_usize..4,
    ) {
        let n = grid.len() / dim;
        let values: Vec<f64> = grid[..n * dim].iter().map(|x| (f64::from(*x) + offset) * unit).collect();
        let points = Points::new(&values, n, dim).unwrap();
        let search = Knn::new(k).with_block(block).with_threads(threads);
        match search.with_duplicates(Duplicates::Keep).search(&points) {
            Ok(table) => {
                let whole = Knn::new(k).with_duplicates(Duplicates::Keep).search(&points).unwrap();
                prop_assert_eq!(&table, &whole);
                if unit > 1e-20 {
                    assert_exact(&points, &table);
                }
            }
            Err(error) => {
                let refused = matches!(
                    error,
                    IdError::Constant(_) | IdError::TooFewPoints(_) | IdError::KTooLarge { .. } | IdError::TooSmall(_)
                );
                prop_assert!(refused, "{}", error);
            }
        }
        // Skipping zeros leaves the nearest of the others.
        if let Ok(table) = search.with_duplicates(Duplicates::Skip).search(&points) {
            for row in 0..n {
                let (dist, idx) = brute_force(&points, points.row(row), Some(row), n);
                let first = dist.partition_point(|d| *d == 0.0);
                prop_assert_eq!(table.neighbors(row).unwrap(), &idx[first..first + k]);
            }
        }
    }
}
