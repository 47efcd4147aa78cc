use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rayon::prelude::*;

use crate::{IdError, Points, Scalar};

/// What to do with rows that are equal in every coordinate: their distance is 0, and its logarithm is not finite.
///
/// Whatever the policy, [`KnnTable::n_duplicates`](crate::KnnTable::n_duplicates) says how many there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Duplicates {
    /// Refuse the data, before any distance is computed.
    #[default]
    Error,
    /// Keep the first of each group of equal rows; the table is that of the distinct points.
    Remove,
    /// Keep all rows; a row that equals the point is not counted as its neighbor. The paper's code skips leading zeros.
    Skip,
    /// Keep all rows and zero distances. Estimators that take logarithms refuse the table.
    Keep,
}

/// Which rows equal an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copies {
    /// The rows that equal no earlier row, ascending.
    pub(crate) distinct: Vec<usize>,
    /// Some row and its copy.
    pub(crate) example: Option<(usize, usize)>,
    /// Rows in the largest group of equals.
    pub(crate) largest_group: usize,
}

impl Copies {
    pub(crate) fn find<T: Scalar>(points: &Points<'_, T>) -> Self {
        let hashes: Vec<u64> = (0..points.n()).into_par_iter().map(|i| hash(points.row(i))).collect();
        let mut groups: HashMap<u64, Vec<(usize, usize)>> = HashMap::with_capacity(points.n());
        let mut found = Self { distinct: Vec::new(), example: None, largest_group: 1 };
        for (i, hash) in hashes.into_iter().enumerate() {
            let group = groups.entry(hash).or_default();
            match group.iter_mut().find(|(first, _)| equal(points.row(*first), points.row(i))) {
                Some((first, size)) => {
                    *size += 1;
                    found.largest_group = found.largest_group.max(*size);
                    found.example = found.example.or(Some((*first, i)));
                }
                None => {
                    group.push((i, 1));
                    found.distinct.push(i);
                }
            }
        }
        found
    }

    /// Refuses copies if `policy` does.
    pub(crate) fn check(&self, policy: Duplicates, n: usize) -> Result<(), IdError> {
        match self.example {
            _ if self.distinct.len() == 1 => Err(IdError::Constant(n)),
            Some((first, second)) if policy == Duplicates::Error => {
                Err(IdError::Duplicates { count: n - self.distinct.len(), n, first, second })
            }
            _ if self.distinct.len() < 3 => Err(IdError::TooFewPoints(self.distinct.len())),
            _ => Ok(()),
        }
    }
}

/// Adding 0 makes -0 and 0 the same bits.
fn hash<T: Scalar>(row: &[T]) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.iter().for_each(|value| (value.to_f64() + 0.0).to_bits().hash(&mut hasher));
    hasher.finish()
}

pub(crate) fn equal<T: Scalar>(a: &[T], b: &[T]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_f64() == b.to_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_found_with_the_first_of_each_group_kept() {
        let points = Points::new(&[0.0, 1.0, -0.0, 2.0, 1.0, 0.0], 6, 1).unwrap();
        let copies = Copies::find(&points);
        assert_eq!(copies, Copies { distinct: vec![0, 1, 3], example: Some((0, 2)), largest_group: 3 });
        assert_eq!(copies.check(Duplicates::Remove, 6), Ok(()));
        let refused = IdError::Duplicates { count: 3, n: 6, first: 0, second: 2 };
        assert_eq!(copies.check(Duplicates::Error, 6), Err(refused));
    }
}
