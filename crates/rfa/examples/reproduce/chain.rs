//! A Markov chain whose transition matrix changes at random times: what was long ago is of another matrix.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Every matrix is a permutation with noise: the same ones in all sequences, so that few tokens tell which one holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Chain {
    pub(crate) n_tokens: usize,
    pub(crate) n_matrices: usize,
    /// How likely the next token is any at all.
    pub(crate) noise: f64,
    /// How likely another matrix holds from the next token on.
    pub(crate) switch: f64,
}

/// The permutations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrices(Vec<Vec<usize>>);

impl Chain {
    pub(crate) fn matrices(&self, rng: &mut ChaCha8Rng) -> Matrices {
        let permutation = |_| {
            let mut tokens: Vec<usize> = (0..self.n_tokens).collect();
            tokens.shuffle(rng);
            tokens
        };
        Matrices((0..self.n_matrices).map(permutation).collect())
    }

    pub(crate) fn sequence(&self, length: usize, matrices: &Matrices, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let mut matrix = rng.random_range(0..self.n_matrices);
        let mut token = rng.random_range(0..self.n_tokens);
        let mut tokens = vec![token];
        while tokens.len() < length {
            if rng.random_bool(self.switch) {
                // Another one, each as likely.
                matrix = (matrix + rng.random_range(1..self.n_matrices)) % self.n_matrices;
            }
            token = match rng.random_bool(self.noise) {
                true => rng.random_range(0..self.n_tokens),
                false => matrices.0[matrix][token],
            };
            tokens.push(token);
        }
        tokens
    }

    /// Probabilities of every token after the first, by who knows the chain: Bayes' rule over the matrix that holds.
    pub(crate) fn best(&self, tokens: &[usize], matrices: &Matrices) -> Vec<Vec<f64>> {
        let n = self.n_matrices as f64;
        let mut belief = vec![1.0 / n; self.n_matrices];
        let likely = |matrix: usize, from: usize, to: usize| {
            let hit = f64::from(u8::from(matrices.0[matrix][from] == to));
            (1.0 - self.noise) * hit + self.noise / self.n_tokens as f64
        };
        let mut predictions = Vec::new();
        for pair in tokens.windows(2) {
            // Between the first two tokens the matrix may change, too, but all are as likely then.
            for belief in &mut belief {
                *belief = (1.0 - self.switch) * *belief + self.switch * (1.0 - *belief) / (n - 1.0);
            }
            let predicted = |to| belief.iter().enumerate().map(|(m, b)| b * likely(m, pair[0], to)).sum();
            predictions.push((0..self.n_tokens).map(predicted).collect());
            belief.iter_mut().enumerate().for_each(|(m, belief)| *belief *= likely(m, pair[0], pair[1]));
            let total: f64 = belief.iter().sum();
            belief.iter_mut().for_each(|belief| *belief /= total);
        }
        predictions
    }
}

#[cfg(test)]
mod tests {
    use rekindle_shared::data::{Stream, Streams};

    use super::*;

    const CHAIN: Chain = Chain { n_tokens: 8, n_matrices: 4, noise: 0.1, switch: 0.05 };

    #[test]
    fn most_steps_follow_one_matrix_that_changes_now_and_then() {
        let mut rng = Streams::new(1).stream(Stream::Data);
        let matrices = CHAIN.matrices(&mut rng);
        let tokens = CHAIN.sequence(5000, &matrices, &mut rng);
        let followed = |matrix: &Vec<usize>| tokens.windows(2).filter(|pair| matrix[pair[0]] == pair[1]).count();
        let any = tokens.windows(2).filter(|pair| matrices.0.iter().any(|matrix| matrix[pair[0]] == pair[1])).count();
        // Nine tenths, and of the rest those that are hit by chance; a single matrix holds a quarter of the time.
        assert!((4450..4900).contains(&any), "{any}");
        assert!(matrices.0.iter().all(|matrix| (900..2600).contains(&followed(matrix))));
    }

    #[test]
    fn the_best_predictions_are_calibrated_and_better_than_chance() {
        let mut rng = Streams::new(2).stream(Stream::Data);
        let matrices = CHAIN.matrices(&mut rng);
        let tokens = CHAIN.sequence(20_000, &matrices, &mut rng);
        let predictions = CHAIN.best(&tokens, &matrices);
        let (mut loss, mut entropy) = (0.0, 0.0);
        for (p, &token) in predictions.iter().zip(&tokens[1..]) {
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            loss -= p[token].ln();
            entropy -= p.iter().map(|p| p * p.ln()).sum::<f64>();
        }
        let n = predictions.len() as f64;
        // What it loses is what it expects to lose.
        assert!((loss / n - entropy / n).abs() < 0.03, "{} {}", loss / n, entropy / n);
        assert!(loss / n < 0.6 * (8_f64).ln(), "{}", loss / n);
    }
}
