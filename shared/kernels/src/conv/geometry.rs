use burn::tensor::ops::ConvOptions;

/// Sizes of one convolution; channels are counted per group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub batch: usize,
    pub groups: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Zeros above and to the left; those below and to the right are in the output's size.
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
}

impl Geometry {
    /// `None` where the shapes don't fit together or nothing would be computed.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels in, height, width]`
    /// - `weight`: `[channels out, channels in / groups, kernel height, kernel width]`
    pub(crate) fn new(x: [usize; 4], weight: [usize; 4], options: &ConvOptions<2>) -> Option<Self> {
        let ([batch, channels_in, height, width], [channels_out, in_channels, kh, kw]) = (x, weight);
        let groups = options.groups;
        let fits = groups > 0 && channels_in == in_channels * groups && channels_out.is_multiple_of(groups);
        let empty = [batch, channels_in, height, width, channels_out, kh, kw].contains(&0);
        if !fits || empty || options.stride.contains(&0) || options.dilation.contains(&0) {
            return None;
        }
        let size = |axis: usize, input: usize, kernel: usize| {
            let (begin, end) = options.padding[axis];
            let room = (input + begin + end).checked_sub(options.dilation[axis] * (kernel - 1) + 1)?;
            Some(room / options.stride[axis] + 1)
        };
        let mut geometry = Self {
            batch,
            groups,
            in_channels,
            out_channels: channels_out / groups,
            input: [height, width],
            output: [size(0, height, kh)?, size(1, width, kw)?],
            kernel: [kh, kw],
            stride: options.stride,
            padding: options.padding.map(|(begin, _)| begin),
            dilation: options.dilation,
        };
        if geometry.is_pointwise() {
            // One long row, which vectors fill best.
            geometry.input = [1, height * width];
            geometry.output = geometry.input;
        }
        // Offsets into buffers are kept in 32 bits.
        let largest = [geometry.input_len(), geometry.output_len(), geometry.weight_len()].into_iter().max()?;
        (largest < 1 << 31).then_some(geometry)
    }

    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.input == self.output && self.padding == [0, 0]
    }

    /// Positions of the kernel.
    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Pixels of one output channel.
    pub(crate) fn out_pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Pixels of one input channel.
    pub(crate) fn in_pixels(&self) -> usize {
        self.input[0] * self.input[1]
    }

    pub(crate) fn input_len(&self) -> usize {
        self.batch * self.groups * self.in_channels * self.in_pixels()
    }

    pub(crate) fn output_len(&self) -> usize {
        self.batch * self.groups * self.out_channels * self.out_pixels()
    }

    pub(crate) fn weight_len(&self) -> usize {
        self.groups * self.out_channels * self.in_channels * self.taps()
    }
}
