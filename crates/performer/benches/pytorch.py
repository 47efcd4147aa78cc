"""Causal attention in PyTorch, to stand beside `cargo xtask bench performer`: its fused softmax attention, and performer-pytorch.

usage: pytorch.py [cpu | cuda]          needs: torch, performer-pytorch

One head of 64 dimensions, batch 1, 128 features, f32, two threads on the CPU; milliseconds, the least of several runs after a first
one. performer-pytorch runs the causal form that it has without its CUDA extension.
"""
import sys
import time

import torch
from torch.nn import functional as F

D, FEATURES = 64, 128


def least(device, run):
    def once():
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - start)

    once()
    first = once()
    return min(once() for _ in range(int(min(30, max(2, 500 / first)))))


def fused(query, key, value):
    return F.scaled_dot_product_attention(query, key, value, is_causal=True)


def performer(device):
    from performer_pytorch import FastAttention

    attention = FastAttention(dim_heads=D, nb_features=FEATURES, causal=True, no_projection=False)
    return attention.to(device).eval()


def measure(device, attend, length, dtype=torch.float32):
    inputs = [torch.randn(1, 1, length, D, device=device, dtype=dtype) for _ in range(3)]

    def forward():
        with torch.no_grad():
            attend(*inputs)

    def both():
        tracked = [x.clone().requires_grad_() for x in inputs]
        attend(*tracked).sum().backward()

    return least(device, forward), least(device, both)


def main():
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    torch.set_num_threads(2)
    torch.backends.cuda.matmul.allow_tf32 = False
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"PyTorch {torch.__version__}, {device}, {name}")
    methods = {"fused": fused}
    try:
        methods["performer-pytorch"] = performer(device)
    except ImportError as error:
        print(f"without performer-pytorch: {error}")
    print("length" + "".join(f"{name:>20} forward{'both':>8}" for name in methods))
    for length in [256, 512, 1024, 2048, 4096, 8192, 16384]:
        times = [measure(device, attend, length) for attend in methods.values()]
        print(f"{length:>6}" + "".join(f"{forward:>28.3f}{both:>8.3f}" for forward, both in times), flush=True)


main()
