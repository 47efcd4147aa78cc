//! The states between chunks.

use burn::tensor::Tensor;

use super::triangle;

/// So many links are summed by one product with a triangular matrix; more are summed group by group.
const GROUP: usize = 16;

/// The chain S₀ = `first` (0 if none is given), Sⱼ₊₁ = exp(dⱼ) Sⱼ + xⱼ: the states before each link, and the last.
///
/// # Shapes
///
/// - `links`: `[rows, n, width]`, x
/// - `log_decay`: `[rows, n]`, d; 0 if none is given
/// - `first`: `[rows, width]`
/// - output: `[rows, n, width]` and `[rows, width]`
pub(super) fn chain(
    links: Tensor<3>,
    log_decay: Option<Tensor<2>>,
    first: Option<Tensor<2>>,
) -> (Tensor<3>, Tensor<2>) {
    if links.dims()[1] > GROUP { grouped(links, log_decay, first) } else { small(links, log_decay, first) }
}

fn small(links: Tensor<3>, log_decay: Option<Tensor<2>>, first: Option<Tensor<2>>) -> (Tensor<3>, Tensor<2>) {
    let [rows, n, width] = links.dims();
    let (device, dtype) = (links.device(), links.dtype());
    let weights: Tensor<3> = match log_decay {
        None => triangle::ones(n + 1, &device, dtype).unsqueeze(),
        Some(log_decay) => {
            let start = Tensor::zeros([rows, 1], (&device, dtype));
            triangle::decay(Tensor::cat(vec![start, log_decay.cumsum(1)], 1))
        }
    };
    let states = match first {
        Some(first) => weights.matmul(Tensor::cat(vec![first.unsqueeze_dim(1), links], 1)),
        None => weights.narrow(2, 1, n).matmul(links),
    };
    (states.clone().narrow(1, 0, n), states.narrow(1, n, 1).reshape([rows, width]))
}

fn grouped(links: Tensor<3>, log_decay: Option<Tensor<2>>, first: Option<Tensor<2>>) -> (Tensor<3>, Tensor<2>) {
    let [rows, n, width] = links.dims();
    let (device, dtype) = (links.device(), links.dtype());
    let n_groups = n.div_ceil(GROUP);
    // What is filled up adds nothing and decays nothing.
    let fill = n_groups * GROUP - n;
    let mut links = links;
    let mut log_decay = log_decay;
    if fill > 0 {
        let zeros = Tensor::zeros([rows, fill, width], (&device, dtype));
        links = Tensor::cat(vec![links, zeros], 1);
        log_decay = log_decay.map(|d| Tensor::cat(vec![d, Tensor::zeros([rows, fill], (&device, dtype))], 1));
    }
    let in_groups = log_decay.map(|d| d.reshape([rows * n_groups, GROUP]));
    let (within, sums) = small(links.reshape([rows * n_groups, GROUP, width]), in_groups.clone(), None);

    let totals = in_groups.clone().map(|d| d.sum_dim(1).reshape([rows, n_groups]));
    let (before, last) = chain(sums.reshape([rows, n_groups, width]), totals, first);
    let mut carried = before.reshape([rows * n_groups, 1, width]);
    if let Some(d) = in_groups {
        // Up to each link without itself.
        let up_to = d.clone().cumsum(1) - d;
        carried = up_to.exp().unsqueeze_dim::<3>(2) * carried;
    }
    let states = (within + carried).reshape([rows, n_groups * GROUP, width]);
    (if fill > 0 { states.narrow(1, 0, n) } else { states }, last)
}
