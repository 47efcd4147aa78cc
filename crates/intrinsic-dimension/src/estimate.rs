use crate::{IdError, two_nn};

/// How the estimates of points become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Aggregate {
    /// 1 / mean of 1/m (MacKay and Ghahramani), which the paper uses: a likelihood over all points.
    #[default]
    InverseMean,
    /// Mean of m (Levina and Bickel).
    Mean,
    /// Median of m.
    Median,
}

/// A dimension, and what each row of the table said about it.
///
/// Intervals resample the rows: [`interval`](Self::interval).
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The dimension of the data.
    pub dimension: f64,
    /// The dimension around each row of the table, in its order; infinite where all the neighbors used are equally far.
    pub pointwise: Vec<f64>,
    /// What is averaged: its mean, fit or likelihood is the dimension.
    pub(crate) terms: Vec<f64>,
    pub(crate) rule: Rule,
}

/// How terms make a dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    /// Terms are 1/m.
    Inverse(Aggregate),
    /// Terms are m.
    Direct(Aggregate),
    /// Terms are log (T₂/T₁).
    TwoNn(two_nn::TwoNn),
    /// Terms are log (T_n2/T_n1).
    Gride(crate::Gride),
}

impl Estimate {
    /// The estimate that `rule` makes of `terms`.
    pub(crate) fn new(pointwise: Vec<f64>, terms: Vec<f64>, rule: Rule) -> Result<Self, IdError> {
        let dimension = rule.combine(&mut terms.clone());
        if dimension.is_finite() {
            return Ok(Self { dimension, pointwise, terms, rule });
        }
        Err(IdError::Ties(pointwise.iter().filter(|m| m.is_infinite()).count()))
    }

    /// Of 1/m of each point.
    pub(crate) fn of_inverses(inverses: Vec<f64>, aggregate: Aggregate) -> Result<Self, IdError> {
        Self::new(inverses.iter().map(|inverse| 1.0 / inverse).collect(), inverses, Rule::Inverse(aggregate))
    }

    /// Of m of each point.
    pub(crate) fn of_dimensions(pointwise: Vec<f64>, aggregate: Aggregate) -> Result<Self, IdError> {
        Self::new(pointwise.clone(), pointwise, Rule::Direct(aggregate))
    }
}

impl Rule {
    /// The dimension that `terms` make; their order is lost. Not finite where they say nothing.
    pub(crate) fn combine(&self, terms: &mut [f64]) -> f64 {
        match self {
            Self::Inverse(Aggregate::InverseMean) => 1.0 / mean(terms),
            Self::Inverse(Aggregate::Mean) => {
                terms.iter().map(|inverse| 1.0 / inverse).sum::<f64>() / terms.len() as f64
            }
            Self::Inverse(Aggregate::Median) => {
                // Not 1 / the median: of an even number, the mean of the two in the middle is that of dimensions.
                terms.iter_mut().for_each(|term| *term = 1.0 / *term);
                median(terms)
            }
            Self::Direct(Aggregate::InverseMean) => {
                terms.len() as f64 / terms.iter().map(|dimension| 1.0 / dimension).sum::<f64>()
            }
            Self::Direct(Aggregate::Mean) => mean(terms),
            Self::Direct(Aggregate::Median) => median(terms),
            Self::TwoNn(two_nn) => two_nn.combine(terms),
            Self::Gride(gride) => gride.combine(terms),
        }
    }
}

fn mean(terms: &[f64]) -> f64 {
    terms.iter().sum::<f64>() / terms.len() as f64
}

pub(crate) fn median(terms: &mut [f64]) -> f64 {
    terms.sort_unstable_by(f64::total_cmp);
    let half = terms.len() / 2;
    if terms.len() % 2 == 1 { terms[half] } else { 0.5 * (terms[half - 1] + terms[half]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_aggregates_of_two_and_four() {
        let of = |aggregate| Estimate::of_inverses(vec![0.5, 0.25], aggregate).unwrap().dimension;
        assert_eq!(of(Aggregate::InverseMean), 1.0 / 0.375);
        assert_eq!(of(Aggregate::Mean), 3.0);
        assert_eq!(of(Aggregate::Median), 3.0);
        let of = |aggregate| Estimate::of_dimensions(vec![2.0, 4.0], aggregate).unwrap().dimension;
        assert_eq!([of(Aggregate::InverseMean), of(Aggregate::Mean), of(Aggregate::Median)], [2.0 / 0.75, 3.0, 3.0]);
    }

    #[test]
    fn an_infinite_mean_is_refused_with_the_number_of_ties() {
        assert_eq!(Estimate::of_inverses(vec![0.5, 0.0], Aggregate::Mean).err(), Some(IdError::Ties(1)));
        assert_eq!(Estimate::of_inverses(vec![0.5, 0.0], Aggregate::InverseMean).unwrap().dimension, 4.0);
    }
}
