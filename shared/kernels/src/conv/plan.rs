use super::geometry::Geometry;

/// One position of the kernel, as a fixed move within the padded source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub phase: usize,
    pub row: usize,
    pub col: usize,
    /// Position in the kernel: `ky · kernel width + kx`.
    pub index: usize,
}

/// The outputs of one stride phase: those at `first + i · step`, which all see the same taps.
#[derive(Debug)]
pub(super) struct Part {
    pub first: [usize; 2],
    pub size: [usize; 2],
    pub taps: Vec<Tap>,
}

/// How the padded source is laid out: rows `i · stride + phase - begin` of the source, one block for each phase.
#[derive(Debug)]
pub(super) struct Source {
    pub size: [usize; 2],
    pub stride: [usize; 2],
    /// Rows and columns of zeros before the first one; negative where the source's first ones are never read.
    pub begin: [isize; 2],
    pub phases: Vec<[usize; 2]>,
}

/// A correlation of a padded source with taps: the forward pass, or the input gradient, for one group.
#[derive(Debug)]
pub(super) struct Plan {
    pub batch: usize,
    pub groups: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub source: Source,
    pub out: [usize; 2],
    pub step: [usize; 2],
    pub parts: Vec<Part>,
    /// The farthest row and column that a tap reaches from an output's own.
    pub reach: [usize; 2],
}

impl Plan {
    pub(super) fn forward(g: &Geometry) -> Self {
        let mut phases = Vec::new();
        let taps = taps(g, |[ky, kx], index| {
            let at = [ky * g.dilation[0], kx * g.dilation[1]];
            let phase = position(&mut phases, [at[0] % g.stride[0], at[1] % g.stride[1]]);
            Some(Tap { phase, row: at[0] / g.stride[0], col: at[1] / g.stride[1], index })
        });
        Self {
            batch: g.batch,
            groups: g.groups,
            in_channels: g.in_channels,
            out_channels: g.out_channels,
            source: Source { size: g.input, stride: g.stride, begin: g.padding.map(|zeros| zeros as isize), phases },
            out: g.output,
            step: [1, 1],
            parts: vec![Part { first: [0, 0], size: g.output, taps }],
            reach: [0, 0],
        }
        .measured()
    }

    /// The input gradient: input pixels of one stride phase take the output gradient from the same taps.
    pub(super) fn backward_input(g: &Geometry) -> Self {
        let last = [0, 1].map(|axis| (g.kernel[axis] - 1) * g.dilation[axis] / g.stride[axis]);
        let mut parts = Vec::new();
        for py in 0..g.stride[0] {
            for px in 0..g.stride[1] {
                let phase = [py, px];
                let first = [0, 1]
                    .map(|axis| (phase[axis] + g.stride[axis] - g.padding[axis] % g.stride[axis]) % g.stride[axis]);
                if first[0] >= g.input[0] || first[1] >= g.input[1] {
                    continue;
                }
                let at = [0, 1].map(|axis| (first[axis] + g.padding[axis]) / g.stride[axis] + last[axis]);
                let taps = taps(g, |[ky, kx], index| {
                    let moved = [ky * g.dilation[0], kx * g.dilation[1]];
                    let same = moved[0] % g.stride[0] == py && moved[1] % g.stride[1] == px;
                    let [row, col] = [0, 1].map(|axis| at[axis] - moved[axis] / g.stride[axis]);
                    same.then_some(Tap { phase: 0, row, col, index })
                });
                let size = [0, 1].map(|axis| (g.input[axis] - first[axis]).div_ceil(g.stride[axis]));
                parts.push(Part { first, size, taps });
            }
        }
        Self {
            batch: g.batch,
            groups: g.groups,
            in_channels: g.out_channels,
            out_channels: g.in_channels,
            source: Source {
                size: g.output,
                stride: [1, 1],
                begin: last.map(|zeros| zeros as isize),
                phases: vec![[0, 0]],
            },
            out: g.input,
            step: g.stride,
            parts,
            reach: [0, 0],
        }
        .measured()
    }

    /// Takes off the rows and columns that no tap reads.
    fn measured(mut self) -> Self {
        let taps = || self.parts.iter().flat_map(|part| &part.taps);
        let least = [taps().map(|tap| tap.row).min(), taps().map(|tap| tap.col).min()].map(Option::unwrap_or_default);
        for tap in self.parts.iter_mut().flat_map(|part| &mut part.taps) {
            tap.row -= least[0];
            tap.col -= least[1];
        }
        for axis in [0, 1] {
            // In the source's own phase each row stands for `stride` of them.
            self.source.begin[axis] -= (least[axis] * self.source.stride[axis]) as isize;
        }
        let taps = || self.parts.iter().flat_map(|part| &part.taps);
        self.reach = [taps().map(|tap| tap.row).max(), taps().map(|tap| tap.col).max()].map(Option::unwrap_or_default);
        self
    }

    /// The largest number of rows and columns of any part.
    pub(super) fn size(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.parts.iter().map(|part| part.size[axis]).max().unwrap_or(0))
    }
}

fn taps(g: &Geometry, mut tap: impl FnMut([usize; 2], usize) -> Option<Tap>) -> Vec<Tap> {
    let [height, width] = g.kernel;
    let places = (0..height).flat_map(|ky| (0..width).map(move |kx| ([ky, kx], ky * width + kx)));
    places.filter_map(|(place, index)| tap(place, index)).collect()
}

fn position(phases: &mut Vec<[usize; 2]>, phase: [usize; 2]) -> usize {
    phases.iter().position(|known| *known == phase).unwrap_or_else(|| {
        phases.push(phase);
        phases.len() - 1
    })
}
