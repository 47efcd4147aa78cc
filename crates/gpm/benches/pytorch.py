"""Permuted MNIST with GPM in PyTorch, to stand beside ours: the same protocol, one seed, two threads.

usage: pytorch.py DATA [TASKS]

DATA holds the four MNIST files as `mnist/*.gz`. The projection is done as in sahagobinda/GPM: M Mᵀ is computed once a task, and
each step multiplies each gradient by it. The whole run is timed, data and tests included.
"""
import gzip
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

EPOCHS, BATCH, RATE, SAMPLES = 5, 10, 0.01, 300
THRESHOLDS = [0.95, 0.99, 0.99]


def idx(path, header):
    return np.frombuffer(gzip.open(path).read(), np.uint8, offset=header)


def load(folder, split):
    images = next(folder.glob(f"**/{split}-images-idx3-ubyte.gz"))
    labels = next(folder.glob(f"**/{split}-labels-idx1-ubyte.gz"))
    x = torch.tensor(idx(images, 16).reshape(-1, 784)).float() / 255
    return (x - 0.1307) / 0.3081, torch.tensor(idx(labels, 8)).long()


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        sizes = [784, 100, 100, 10]
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x, inputs=None):
        for at, layer in enumerate(self.layers):
            if inputs is not None:
                inputs.append(x)
            x = layer(x)
            if at < 2:
                x = F.relu(x)
        return x


def update(bases, inputs):
    """Eqs. 5, 8 and 9."""
    for at, (x, threshold) in enumerate(zip(inputs, THRESHOLDS)):
        r = x.T.double().numpy()
        total = (r**2).sum()
        basis = bases[at]
        rest = r if basis is None else r - basis @ (basis.T @ r)
        u, s, _ = np.linalg.svd(rest, full_matrices=False)
        held = total - (s**2).sum() + np.concatenate([[0], np.cumsum(s**2)])
        k = int(np.argmax(held >= threshold * total * (1 - 1e-9)))
        new = u[:, :k]
        bases[at] = new if basis is None else np.concatenate([basis, new], 1)
    return [torch.tensor(basis @ basis.T).float() for basis in bases]


def main():
    torch.set_num_threads(2)
    torch.manual_seed(0)
    folder = pathlib.Path(sys.argv[1])
    n_tasks = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    start = time.perf_counter()
    (x, y), (test_x, test_y) = load(folder / "mnist", "train"), load(folder / "mnist", "t10k")
    x, y = x[6000:], y[6000:]
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    orders, bases, projections, matrix = [], [None] * 3, None, np.zeros((n_tasks, n_tasks))
    for task in range(n_tasks):
        orders.append(torch.randperm(784))
        own = x[:, orders[task]]
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(own)).split(BATCH):
                optimizer.zero_grad()
                F.cross_entropy(model(own[batch]), y[batch]).backward()
                if projections is not None:
                    for layer, projection in zip(model.layers, projections):
                        layer.weight.grad -= layer.weight.grad @ projection
                optimizer.step()
        with torch.no_grad():
            inputs = []
            model(own[torch.randperm(len(own))[:SAMPLES]], inputs)
            projections = update(bases, inputs)
            for old in range(task + 1):
                right = model(test_x[:, orders[old]]).argmax(1) == test_y
                matrix[task, old] = right.float().mean()
        ranks = [basis.shape[1] for basis in bases]
        print(f"task {task}: {time.perf_counter() - start:.1f} s, ranks {ranks}", flush=True)
    acc = matrix[-1].mean()
    bwt = np.mean([matrix[-1, t] - matrix[t, t] for t in range(n_tasks - 1)])
    print(f"{n_tasks} tasks in {time.perf_counter() - start:.1f} s: ACC {100 * acc:.2f} %, BWT {100 * bwt:.2f} points")


if __name__ == "__main__":
    main()
