use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::DatasetError;

/// How strong a corruption is, from 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub struct Severity(u8);

impl Severity {
    /// All five, from the mildest.
    pub const ALL: [Self; 5] = [Self(1), Self(2), Self(3), Self(4), Self(5)];

    /// The severity with this number.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Severity`] for a number that is not 1 to 5.
    pub fn new(severity: u8) -> Result<Self, DatasetError> {
        if (1..=5).contains(&severity) { Ok(Self(severity)) } else { Err(DatasetError::Severity(severity)) }
    }

    /// Its number, from 1 to 5.
    pub fn get(self) -> u8 {
        self.0
    }

    /// Its place among the five, from 0.
    pub(in crate::data) fn index(self) -> usize {
        usize::from(self.0 - 1)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u8> for Severity {
    type Error = DatasetError;

    fn try_from(severity: u8) -> Result<Self, Self::Error> {
        Self::new(severity)
    }
}

impl From<Severity> for u8 {
    fn from(severity: Severity) -> Self {
        severity.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_1_to_5() {
        assert_eq!([1, 2, 3, 4, 5].map(|severity| Severity::new(severity).unwrap()), Severity::ALL);
        for severity in [0, 6, 255] {
            assert_eq!(Severity::new(severity), Err(DatasetError::Severity(severity)));
        }
        let error = Severity::new(6).unwrap_err().to_string();
        assert_eq!(error, "no severity 6: corruptions have severities 1, 2, 3, 4 and 5");
    }
}
