/// What the driver and the papers' reproductions exit with.
///
/// Where several apply, [`Exit::worst`] says which one is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Every cell ran, whatever the verdicts.
    Done = 0,
    /// A cell failed, or with `--strict` a claim is `not reproduced`.
    Failed = 1,
    /// An unknown name or a bad value on the command line.
    Usage = 2,
    /// Data is missing or corrupt.
    Data = 3,
    /// The backend is not compiled in or has no adapter.
    Backend = 4,
    /// A cell diverged that may not.
    Diverged = 5,
    /// Interrupted; the same command continues where it stopped.
    Interrupted = 130,
}

impl Exit {
    /// The code that a process of ours ended with; anything unknown is a failure.
    pub fn from_code(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Done,
            Some(2) => Self::Usage,
            Some(3) => Self::Data,
            Some(4) => Self::Backend,
            Some(5) => Self::Diverged,
            Some(130) => Self::Interrupted,
            _ => Self::Failed,
        }
    }

    /// The more important of the two: interrupted, usage, data, backend, failed, diverged, done.
    pub fn worst(self, other: Self) -> Self {
        if self.rank() >= other.rank() { self } else { other }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Diverged => 1,
            Self::Failed => 2,
            Self::Backend => 3,
            Self::Data => 4,
            Self::Usage => 5,
            Self::Interrupted => 6,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
