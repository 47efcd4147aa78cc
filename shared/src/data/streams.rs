use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for.
///
/// Separate streams keep runs comparable: a method that draws more numbers does not change the batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Procedural data and the choice of subsets.
    Data,
    /// Label noise.
    Labels,
    /// The order of the samples.
    Batches,
    /// Augmentation.
    Augmentation,
    /// Image corruptions.
    Corruption,
    /// Task streams: permutations of pixels, orders of classes.
    Tasks,
    /// The method's own noise.
    Method,
    /// Initialization of the weights.
    Init,
}

impl Stream {
    /// Every stream.
    pub const ALL: [Self; 8] = [
        Self::Data,
        Self::Labels,
        Self::Batches,
        Self::Augmentation,
        Self::Corruption,
        Self::Tasks,
        Self::Method,
        Self::Init,
    ];

    /// The name from which the stream is derived.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Labels => "labels",
            Self::Batches => "batches",
            Self::Augmentation => "augmentation",
            Self::Corruption => "corruption",
            Self::Tasks => "tasks",
            Self::Method => "method",
            Self::Init => "init",
        }
    }
}

/// The streams of one root seed, independent of each other.
///
/// A stream is ChaCha with 8 rounds. Its 32-byte key is the text `rekindle-streams`, the root seed and the 64-bit FNV-1a
/// hash of the stream's name, the numbers in little-endian order; its 64-bit nonce is the substream's number, 0 by
/// default. This derivation is fixed: the same seed gives the same numbers in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of this root seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The root seed.
    pub fn root_seed(self) -> u64 {
        self.seed
    }

    /// A stream, from its beginning.
    pub fn stream(self, stream: Stream) -> ChaCha8Rng {
        self.substream(stream, 0)
    }

    /// One of the 2⁶⁴ substreams of a stream, for numbers that depend on a place (an epoch, a sample) and not on what was
    /// drawn before it. Number 0 is the stream itself.
    pub fn substream(self, stream: Stream, number: u64) -> ChaCha8Rng {
        let mut key = *b"rekindle-streams----------------";
        key[16..24].copy_from_slice(&self.seed.to_le_bytes());
        key[24..].copy_from_slice(&fnv1a(stream.name()).to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(number);
        rng
    }

    /// A seed for a generator that takes one number, as `Device::seed` does: the stream's first.
    pub fn seed_of(self, stream: Stream) -> u64 {
        self.stream(stream).next_u64()
    }
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Worked out by an implementation of its own of the documented derivation.
    #[test]
    fn the_derivation_does_not_change() {
        let first = |seed, stream| Streams::new(seed).seed_of(stream);
        assert_eq!(first(0, Stream::Data), 0x4f93_8151_6951_92ad);
        assert_eq!(first(1, Stream::Labels), 0x1402_ad73_0876_5fbc);
        assert_eq!(first(2, Stream::Batches), 0x2629_dbe8_f1f5_ac68);
        assert_eq!(first(3, Stream::Augmentation), 0xbbad_c603_a163_d482);
        assert_eq!(first(4, Stream::Method), 0x367d_94d1_ac83_49ad);
        assert_eq!(first(5, Stream::Init), 0x951e_aa36_c0e1_b80e);
        assert_eq!(first(6, Stream::Corruption), 0x7929_8e5d_855d_0eca);
        assert_eq!(Streams::new(42).substream(Stream::Augmentation, 7).next_u64(), 0xa387_8319_6fac_b293);
    }

    #[test]
    fn the_name_hash_is_the_published_one() {
        // Test vectors of the hash's authors.
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn seeds_streams_and_substreams_differ() {
        let mut seen = HashSet::new();
        for seed in 0..50 {
            for stream in Stream::ALL {
                for number in 0..10 {
                    assert!(seen.insert(Streams::new(seed).substream(stream, number).next_u64()));
                }
            }
        }
    }

    #[test]
    fn streams_are_uncorrelated() {
        let uniform = |stream| {
            let mut rng = Streams::new(5).stream(stream);
            (0..10_000).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX) - 0.5).collect::<Vec<_>>()
        };
        let (a, b) = (uniform(Stream::Labels), uniform(Stream::Batches));
        let covariance = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>() / 10_000.0;
        // The variance of a uniform number is 1/12, so that the estimate's standard deviation is 1/1200.
        assert!(covariance.abs() < 5.0 / 1200.0, "{covariance}");
    }
}
