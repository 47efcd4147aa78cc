use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use pulp::Arch;

use crate::duplicates::Copies;
use crate::engine::{Engine, Host, Products};
use crate::frame::{BLOCK, Frame, Side, Workspace};
use crate::nearest::{Nearest, Scan};
use crate::{Duplicates, IdError, KnnTable, Points, Scalar};

/// How far a search has come, in blocks of distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Blocks done.
    pub done: usize,
    /// Blocks in all.
    pub total: usize,
}

/// Exact search for the k nearest neighbors in Euclidean distance.
///
/// Candidates come from products of blocks in `f32`, and distances from direct differences in `f64`. A candidate is
/// dropped only if its `f32` distance exceeds that of the k-th neighbor by more than the rounding error can be, so the result is that of `f64`
/// alone: it depends neither on the block size nor on the number of threads. Memory beside the data is O(n k) for the
/// table and O(block² + block · 1024) for each thread. With the feature `burn`, `Knn::on` takes the products from a device.
///
/// ```
/// use rekindle_intrinsic_dimension::{Duplicates, Knn, Points};
///
/// let points = Points::new(&[0.0, 1.0, 3.0, 7.0, 1.0], 5, 1)?;
/// let table = Knn::new(2).with_duplicates(Duplicates::Remove).search(&points)?;
/// assert_eq!(table.distances(3), [4.0, 6.0]);
/// assert_eq!(table.neighbors(3).unwrap(), [2, 1]);
/// assert_eq!(table.n_duplicates(), 1);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Knn<'p> {
    k: usize,
    duplicates: Duplicates,
    block: usize,
    threads: Option<usize>,
    progress: Option<&'p (dyn Fn(Progress) + Sync)>,
}

impl fmt::Debug for Knn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Knn")
            .field("k", &self.k)
            .field("duplicates", &self.duplicates)
            .field("block", &self.block)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl<'p> Knn<'p> {
    /// A search for `k` neighbors, on rayon's threads, that refuses equal points.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, duplicates: Duplicates::Error, block: BLOCK, threads: None, progress: None }
    }

    /// What to do with equal points. Default [`Duplicates::Error`].
    #[must_use]
    pub fn with_duplicates(self, duplicates: Duplicates) -> Self {
        Self { duplicates, ..self }
    }

    /// Rows and columns of the blocks. Default 1024.
    #[must_use]
    pub fn with_block(self, block: usize) -> Self {
        Self { block, ..self }
    }

    /// Threads to start for this search. Default those of the rayon pool it is called from.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// Calls `progress` after each block, one call at a time.
    #[must_use]
    pub fn with_progress(self, progress: &'p (dyn Fn(Progress) + Sync)) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// The neighbors of every point among all the others.
    ///
    /// # Shapes
    ///
    /// - `points`: `[n, dim]`
    /// - returns `[n, k]`, without the rows of removed copies
    ///
    /// # Errors
    ///
    /// [`IdError::KTooSmall`] for k = 0, [`IdError::KTooLarge`] unless k is below the number of distinct points,
    /// [`IdError::TooFewPoints`], [`IdError::Constant`], [`IdError::Duplicates`] as the policy says, [`IdError::TooSmall`],
    /// [`IdError::InvalidSetting`] for a block or number of threads of 0.
    pub fn search<T: Scalar>(&self, points: &Points<'_, T>) -> Result<KnnTable, IdError> {
        self.search_by(&Host, points)
    }

    /// The neighbors of some points, `anchors`, among all points.
    ///
    /// Subsampling the anchors makes an estimate noisier. Subsampling the reference set would change its scale.
    /// Anchors that are removed as copies have no row; [`KnnTable::point`] says whose each row is.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search); [`IdError::IndexOutOfRange`] for an anchor that is no point, [`IdError::Empty`] for none.
    pub fn search_anchors<T: Scalar>(&self, points: &Points<'_, T>, anchors: &[usize]) -> Result<KnnTable, IdError> {
        self.search_anchors_by(&Host, points, anchors)
    }

    /// The neighbors of `queries`, which are not points of the reference set, in `points`.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search); [`IdError::Columns`] if the dimensions differ, [`IdError::ZeroDistance`] if a query
    /// equals a point and the policy is [`Duplicates::Error`]. `Remove` and `Skip` do not count an equal point.
    pub fn search_queries<T: Scalar>(
        &self,
        points: &Points<'_, T>,
        queries: &Points<'_, T>,
    ) -> Result<KnnTable, IdError> {
        self.search_queries_by(&Host, points, queries)
    }

    pub(crate) fn search_by<T: Scalar>(
        &self,
        engine: &impl Engine,
        points: &Points<'_, T>,
    ) -> Result<KnnTable, IdError> {
        self.in_pool(|| {
            let reference = self.reference(points)?;
            let rows = reference.numbers.clone();
            let own: Vec<u32> = (0..rows.len() as u32).collect();
            let shape = self.shape(&reference.points, &reference.points);
            let frame = engine.bound(Frame::new(&reference.points, None)?, shape)?;
            let side = frame.side(&reference.points);
            let scan = self.scan(&frame, &side, &side, Some(&own), reference.largest_group - 1);
            let products = engine.products(&frame, &reference.points, &reference.points, shape);
            let lists = self.all_pairs(&scan, &*products)?;
            drop(products);
            self.table(lists, reference, Some(rows))
        })
    }

    pub(crate) fn search_anchors_by<T: Scalar>(
        &self,
        engine: &impl Engine,
        points: &Points<'_, T>,
        anchors: &[usize],
    ) -> Result<KnnTable, IdError> {
        if let Some(&index) = anchors.iter().find(|&&anchor| anchor >= points.n()) {
            return Err(IdError::IndexOutOfRange { index, n: points.n() });
        }
        self.in_pool(|| {
            let reference = self.reference(points)?;
            let place = |anchor: &usize| Some((*anchor, reference.numbers.binary_search(anchor).ok()? as u32));
            let (rows, own): (Vec<usize>, Vec<u32>) = anchors.iter().filter_map(place).unzip();
            let queries = points.select(&rows)?;
            let shape = self.shape(&queries, &reference.points);
            let frame = engine.bound(Frame::new(&reference.points, None)?, shape)?;
            let (side, query_side) = (frame.side(&reference.points), frame.side(&queries));
            let scan = self.scan(&frame, &query_side, &side, Some(&own), reference.largest_group - 1);
            let products = engine.products(&frame, &queries, &reference.points, shape);
            let lists = self.rectangle(&scan, &*products)?;
            drop(products);
            self.table(lists, reference, Some(rows))
        })
    }

    pub(crate) fn search_queries_by<T: Scalar>(
        &self,
        engine: &impl Engine,
        points: &Points<'_, T>,
        queries: &Points<'_, T>,
    ) -> Result<KnnTable, IdError> {
        if points.dim() != queries.dim() {
            return Err(IdError::Columns { reference: points.dim(), queries: queries.dim() });
        }
        self.in_pool(|| {
            let reference = self.reference(points)?;
            let shape = self.shape(queries, &reference.points);
            let frame = engine.bound(Frame::new(&reference.points, Some(queries))?, shape)?;
            let (side, query_side) = (frame.side(&reference.points), frame.side(queries));
            let scan = self.scan(&frame, &query_side, &side, None, reference.largest_group);
            let products = engine.products(&frame, queries, &reference.points, shape);
            let lists = self.rectangle(&scan, &*products)?;
            drop(products);
            let table = self.table(lists, reference, None)?;
            if self.duplicates == Duplicates::Error {
                table.require_positive()?;
            }
            Ok(table)
        })
    }

    /// Rows and columns of the largest block.
    fn shape<T: Scalar>(&self, queries: &Points<'_, T>, reference: &Points<'_, T>) -> [usize; 2] {
        [self.block.min(queries.n()), self.block.min(reference.n())]
    }

    fn in_pool<R: Send>(&self, run: impl FnOnce() -> Result<R, IdError> + Send) -> Result<R, IdError> {
        for (name, value) in [("block", Some(self.block)), ("threads", self.threads)] {
            crate::error::setting(name, "at least 1", 0.0, value != Some(0))?;
        }
        if self.k == 0 {
            return Err(IdError::KTooSmall { k: 0, least: 1 });
        }
        let Some(threads) = self.threads else { return run() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map_err(|_| IdError::Threads(threads))?.install(run)
    }

    fn reference<'a, T: Scalar>(&self, points: &'a Points<'_, T>) -> Result<Reference<'a, T>, IdError> {
        if points.n() < 3 {
            return Err(IdError::TooFewPoints(points.n()));
        }
        let copies = Copies::find(points);
        copies.check(self.duplicates, points.n())?;
        if self.k >= copies.distinct.len() {
            return Err(IdError::KTooLarge { k: self.k, n: copies.distinct.len() });
        }
        let n_duplicates = points.n() - copies.distinct.len();
        let remove = self.duplicates == Duplicates::Remove && n_duplicates > 0;
        Ok(Reference {
            points: if remove { points.select(&copies.distinct)? } else { points.reborrow() },
            numbers: if remove { copies.distinct } else { (0..points.n()).collect() },
            largest_group: if remove { 1 } else { copies.largest_group },
            n_points: points.n(),
            n_duplicates,
        })
    }

    fn scan<'a, T: Scalar>(
        &self,
        frame: &'a Frame,
        queries: &'a Side<'a, T>,
        reference: &'a Side<'a, T>,
        own: Option<&'a [u32]>,
        equals: usize,
    ) -> Scan<'a, T> {
        let skip_equal = match self.duplicates {
            Duplicates::Skip => true,
            Duplicates::Remove => own.is_none(),
            Duplicates::Error | Duplicates::Keep => false,
        };
        let uncounted = if skip_equal { equals } else { 0 };
        Scan { arch: Arch::new(), frame, queries, reference, own, skip_equal, uncounted }
    }

    /// Each pair of blocks once, for the rows of both.
    fn all_pairs<T: Scalar>(
        &self,
        scan: &Scan<'_, T>,
        products: &dyn Products,
    ) -> Result<Vec<Mutex<Vec<Nearest>>>, IdError> {
        let blocks = blocks(scan.reference.points.n(), self.block);
        let lists = self.empty_lists(&blocks);
        let pairs = diagonals(blocks.len());
        self.run(pairs.len(), |task, work| {
            let (i, j) = pairs[task];
            let (rows, columns) = (blocks[i].clone(), blocks[j].clone());
            products.multiply(rows.clone(), columns.clone(), work)?;
            scan.update(&work.gram, rows.clone(), columns.clone(), &mut lists[i].lock().expect("no panic inside"));
            if i != j {
                work.turn(rows.len(), columns.len());
                scan.update(&work.turned, columns, rows, &mut lists[j].lock().expect("no panic inside"));
            }
            Ok(())
        })?;
        Ok(lists)
    }

    /// Every block of queries with every block of the reference set.
    fn rectangle<T: Scalar>(
        &self,
        scan: &Scan<'_, T>,
        products: &dyn Products,
    ) -> Result<Vec<Mutex<Vec<Nearest>>>, IdError> {
        let rows = blocks(scan.queries.points.n(), self.block);
        let columns = blocks(scan.reference.points.n(), self.block);
        let lists = self.empty_lists(&rows);
        self.run(rows.len() * columns.len(), |task, work| {
            let i = task % rows.len();
            let (rows, columns) = (rows[i].clone(), columns[task / rows.len()].clone());
            products.multiply(rows.clone(), columns.clone(), work)?;
            scan.update(&work.gram, rows, columns, &mut lists[i].lock().expect("no panic inside"));
            Ok(())
        })?;
        Ok(lists)
    }

    fn empty_lists(&self, blocks: &[Range<usize>]) -> Vec<Mutex<Vec<Nearest>>> {
        let lists = |block: &Range<usize>| Mutex::new(block.clone().map(|_| Nearest::new(self.k)).collect());
        blocks.iter().map(lists).collect()
    }

    /// All tasks, or those up to one that fails.
    fn run(
        &self,
        n_tasks: usize,
        task: impl Fn(usize, &mut Workspace) -> Result<(), IdError> + Sync,
    ) -> Result<(), IdError> {
        let (done, failure) = (Mutex::new(0), OnceLock::new());
        in_parallel(n_tasks, |at, work| {
            if failure.get().is_some() {
                return;
            }
            if let Err(error) = task(at, work) {
                // The first of several is as good as any.
                failure.set(error).ok();
            } else if let Some(progress) = self.progress {
                let mut done = done.lock().expect("no panic inside");
                *done += 1;
                progress(Progress { done: *done, total: n_tasks });
            }
        });
        failure.into_inner().map_or(Ok(()), Err)
    }

    fn table<T: Scalar>(
        &self,
        lists: Vec<Mutex<Vec<Nearest>>>,
        reference: Reference<'_, T>,
        rows: Option<Vec<usize>>,
    ) -> Result<KnnTable, IdError> {
        let n: usize = lists.iter().map(|lists| lists.lock().expect("no panic inside").len()).sum();
        let (mut dist, mut idx) = (Vec::with_capacity(n * self.k), Vec::with_capacity(n * self.k));
        for list in lists.into_iter().flat_map(|lists| lists.into_inner().expect("no panic inside")) {
            let found = list.found();
            if found.len() < self.k {
                return Err(IdError::KTooLarge { k: self.k, n: found.len() + 1 });
            }
            dist.extend(found.iter().map(|&(distance, _)| distance));
            idx.extend(found.iter().map(|&(_, index)| reference.numbers[index as usize] as u32));
        }
        let Reference { numbers, n_points, n_duplicates, .. } = reference;
        Ok(KnnTable { dist, idx, k: self.k, rows, reference: numbers, n_points, n_duplicates })
    }
}

/// The points that neighbors come from.
struct Reference<'a, T: Scalar> {
    points: Points<'a, T>,
    /// The number of each among the points given, ascending.
    numbers: Vec<usize>,
    /// Points in the largest group of equals.
    largest_group: usize,
    n_points: usize,
    n_duplicates: usize,
}

pub(crate) fn blocks(n: usize, block: usize) -> Vec<Range<usize>> {
    (0..n).step_by(block).map(|start| start..n.min(start + block)).collect()
}

/// The pairs i ≤ j, diagonal after diagonal: neighbors in the order share no row of blocks, so threads seldom wait.
pub(crate) fn diagonals(n: usize) -> Vec<(usize, usize)> {
    (0..n).flat_map(|apart| (0..n - apart).map(move |i| (i, i + apart))).collect()
}

/// Tasks 0, 1, … on all threads of the pool, each thread with memory of its own.
pub(crate) fn in_parallel(n_tasks: usize, task: impl Fn(usize, &mut Workspace) + Sync) {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut work = Workspace::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= n_tasks {
                break;
            }
            task(at, &mut work);
        }
    };
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads().min(n_tasks) {
            scope.spawn(|_| worker());
        }
    });
}
