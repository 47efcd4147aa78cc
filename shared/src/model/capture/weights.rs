//! Which recorded tensors are the weights of a model, followed through views.

use std::collections::{HashMap, HashSet};

use burn::backend::ir::{BaseOperationIr, FloatOperationIr, ModuleOperationIr, OperationIr, TensorId, TensorIr};
use burn::module::ParamId;

use crate::model::Geometry;

/// An operation that multiplies its input by a weight.
pub(super) struct Call<'a> {
    pub(super) input: &'a TensorIr,
    pub(super) weight: &'a TensorIr,
    pub(super) form: Form,
}

/// How the weight is applied.
pub(super) enum Form {
    /// `[.., rows, in]` by a matrix `[in, out]`.
    Linear,
    /// The same, written as a product, of which either side might be the weight.
    Product,
    Conv1d(Geometry<1>),
    Conv2d(Geometry<2>),
}

impl<'a> Call<'a> {
    pub(super) fn of(operation: &'a OperationIr) -> Option<Self> {
        match operation {
            OperationIr::Float(_, FloatOperationIr::Matmul(product)) => {
                Some(Self { input: &product.lhs, weight: &product.rhs, form: Form::Product })
            }
            OperationIr::Module(ModuleOperationIr::Linear(linear)) => {
                Some(Self { input: &linear.x, weight: &linear.weight, form: Form::Linear })
            }
            OperationIr::Module(ModuleOperationIr::Conv1d(conv)) => {
                let options = &conv.options;
                let geometry = Geometry {
                    kernel: [conv.weight.shape[2]],
                    stride: options.stride,
                    padding: options.padding,
                    dilation: options.dilation,
                    groups: options.groups,
                };
                Some(Self { input: &conv.x, weight: &conv.weight, form: Form::Conv1d(geometry) })
            }
            OperationIr::Module(ModuleOperationIr::Conv2d(conv)) => {
                let options = &conv.options;
                let geometry = Geometry {
                    kernel: [conv.weight.shape[2], conv.weight.shape[3]],
                    stride: options.stride,
                    padding: options.padding,
                    dilation: options.dilation,
                    groups: options.groups,
                };
                Some(Self { input: &conv.x, weight: &conv.weight, form: Form::Conv2d(geometry) })
            }
            _ => None,
        }
    }

    /// Rank of the parameters that such an operation takes as its weight.
    fn rank(&self) -> usize {
        match self.form {
            Form::Linear | Form::Product => 2,
            Form::Conv1d(_) => 3,
            Form::Conv2d(_) => 4,
        }
    }
}

/// A weight as a recorded tensor holds it: its own dimensions come last, behind dimensions for broadcasting.
#[derive(Clone, Copy)]
struct View {
    weight: ParamId,
    rank: usize,
    /// Whether the dimensions of a matrix are swapped.
    transposed: bool,
}

/// By recorded tensor, the weights that nothing but calls of layers use, as they are up to leading dimensions.
///
/// A weight that is used in another way as well, transposed, scaled, cut or looked up, is left out altogether: what the
/// calls see would be a part of what multiplies it.
pub(super) fn followed(
    weights: impl IntoIterator<Item = (TensorId, ParamId, usize)>,
    operations: &[OperationIr],
) -> HashMap<TensorId, ParamId> {
    let views = weights.into_iter().map(|(id, weight, rank)| (id, View { weight, rank, transposed: false }));
    let mut views: HashMap<_, _> = views.collect();
    let mut used_otherwise = HashSet::new();
    for operation in operations {
        let layer = called(operation, &views);
        for input in operation.inputs() {
            let Some(view) = views.get(&input.id).copied() else { continue };
            if let Some((next, output)) = looked_at(view, operation) {
                views.insert(output.id, next);
            } else if layer != Some(input.id) {
                used_otherwise.insert(view.weight);
            }
        }
    }
    views.retain(|_, view| !view.transposed && !used_otherwise.contains(&view.weight));
    views.into_iter().map(|(id, view)| (id, view.weight)).collect()
}

/// The weight by which this operation multiplies its input, if it is one and stands where a layer's would.
fn called(operation: &OperationIr, views: &HashMap<TensorId, View>) -> Option<TensorId> {
    let call = Call::of(operation)?;
    let view = views.get(&call.weight.id)?;
    let of_two_weights = matches!(call.form, Form::Product) && views.contains_key(&call.input.id);
    let of_itself = call.input.id == call.weight.id;
    (view.rank == call.rank() && !view.transposed && !of_two_weights && !of_itself).then_some(call.weight.id)
}

/// What an operation that only looks at `view` in another shape makes of it.
fn looked_at(view: View, operation: &OperationIr) -> Option<(View, &TensorIr)> {
    let OperationIr::BaseFloat(operation) = operation else { return None };
    let core = |tensor: &TensorIr| tensor.shape.iter().rev().take(view.rank).copied().collect::<Vec<_>>();
    let copies = |tensor: &TensorIr| tensor.shape.iter().rev().skip(view.rank).product::<usize>();
    match operation {
        BaseOperationIr::Reshape(reshape) => {
            let (before, after) = (&reshape.input, &reshape.out);
            (core(before) == core(after) && copies(before) == copies(after)).then_some((view, after))
        }
        BaseOperationIr::Expand(expand) => (core(&expand.input) == core(&expand.out)).then_some((view, &expand.out)),
        BaseOperationIr::SwapDims(swap) => {
            let mut axes: Vec<_> = (0..swap.input.shape.num_dims()).collect();
            axes.swap(swap.dim1, swap.dim2);
            Some((permuted(view, &axes)?, &swap.out))
        }
        BaseOperationIr::Permute(permute) => Some((permuted(view, &permute.axes)?, &permute.out)),
        _ => None,
    }
}

/// `view` with its dimensions in another order, if that keeps its own last and swaps no more than those of a matrix.
fn permuted(view: View, axes: &[usize]) -> Option<View> {
    let own = axes.len() - view.rank;
    let swapped = match &axes[own..] {
        kept if kept.iter().copied().eq(own..axes.len()) => false,
        [last, before] if view.rank == 2 && [*before, *last] == [own, own + 1] => true,
        _ => return None,
    };
    Some(View { transposed: view.transposed != swapped, ..view })
}
