//! Where the products of blocks are computed, from which a search takes its candidates.

use std::ops::Range;

use crate::frame::{Frame, Workspace};
use crate::{IdError, Points, Scalar};

/// What computes products, and how well.
pub(crate) trait Engine: Sync {
    /// `frame` with bounds that hold for products of up to `shape` rows and columns.
    fn bound(&self, frame: Frame, shape: [usize; 2]) -> Result<Frame, IdError>;

    /// The products of `queries` with `reference`, in blocks of up to `shape` rows and columns.
    fn products<'a, T: Scalar>(
        &'a self,
        frame: &'a Frame,
        queries: &'a Points<'a, T>,
        reference: &'a Points<'a, T>,
        shape: [usize; 2],
    ) -> Box<dyn Products + 'a>;
}

/// The products of two sets of points, for all threads to ask for.
pub(crate) trait Products: Sync {
    /// Fills `work.gram`, `[rows, columns]`, with the products of some queries with some points of the reference set.
    fn multiply(&self, rows: Range<usize>, columns: Range<usize>, work: &mut Workspace) -> Result<(), IdError>;
}

/// The CPU, by `faer`: each thread computes the products that it scans.
#[derive(Debug)]
pub(crate) struct Host;

impl Engine for Host {
    fn bound(&self, frame: Frame, _shape: [usize; 2]) -> Result<Frame, IdError> {
        Ok(frame)
    }

    fn products<'a, T: Scalar>(
        &'a self,
        frame: &'a Frame,
        queries: &'a Points<'a, T>,
        reference: &'a Points<'a, T>,
        _shape: [usize; 2],
    ) -> Box<dyn Products + 'a> {
        Box::new(OnHost { frame, queries, reference })
    }
}

struct OnHost<'a, T: Scalar> {
    frame: &'a Frame,
    queries: &'a Points<'a, T>,
    reference: &'a Points<'a, T>,
}

impl<T: Scalar> Products for OnHost<'_, T> {
    fn multiply(&self, rows: Range<usize>, columns: Range<usize>, work: &mut Workspace) -> Result<(), IdError> {
        self.frame.multiply((self.queries, rows), (self.reference, columns), work);
        Ok(())
    }
}
