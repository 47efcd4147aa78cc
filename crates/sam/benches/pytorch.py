"""One SAM run of the small tier in PyTorch, to stand beside ours: same network, images, noise rate, batches and steps.

usage: pytorch.py DATA [EPOCHS] [--profile]     (DATA holds fashion-mnist/*.gz)

Two threads, no data loader: the images lie in memory as a tensor, as ours do. The perturbation follows
davda54/sam: e = rho * g / ||g||, the second gradient at w + e, the step at w.
"""
import gzip
import math
import sys
import time

import numpy
import torch
from torch import nn
from torch.nn import functional as F

IMAGES, NOISE, BATCH, RHO, RATE = 2000, 0.4, 50, 0.1, 0.01


def read(path, offset, shape):
    with gzip.open(path) as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=offset).reshape(shape)


def load(folder, part):
    images = read(f"{folder}/fashion-mnist/{part}-images-idx3-ubyte.gz", 16, (-1, 1, 28, 28))
    labels = read(f"{folder}/fashion-mnist/{part}-labels-idx1-ubyte.gz", 8, -1)
    x = (torch.from_numpy(images.copy()).float() / 255 - 0.2860) / 0.3530
    return x, torch.from_numpy(labels.astype(numpy.int64))


def network():
    def block(inputs, outputs):
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]

    head = [nn.Flatten(), nn.Linear(32 * 7 * 7, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(*block(1, 16), *block(16, 32), *head)


def frozen_statistics(model, frozen):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0 if frozen else 0.1


def step(model, optimizer, x, y):
    F.cross_entropy(model(x), y).backward()
    with torch.no_grad():
        norm = torch.norm(torch.stack([p.grad.norm() for p in model.parameters()]))
        saved = [p.clone() for p in model.parameters()]
        for p in model.parameters():
            p.add_(p.grad, alpha=float(RHO / (norm + 1e-12)))
    optimizer.zero_grad()
    frozen_statistics(model, True)
    F.cross_entropy(model(x), y).backward()
    frozen_statistics(model, False)
    with torch.no_grad():
        for p, old in zip(model.parameters(), saved):
            p.copy_(old)
    optimizer.step()
    optimizer.zero_grad()


def main():
    folder = sys.argv[1]
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2].isdigit() else 26
    torch.set_num_threads(2)
    torch.manual_seed(0)
    x, y = load(folder, "train")
    chosen = torch.randperm(len(y))[:IMAGES]
    x, y = x[chosen], y[chosen].clone()
    flipped = torch.randperm(IMAGES)[: int(NOISE * IMAGES + 0.5)]
    y[flipped] = (y[flipped] + torch.randint(1, 10, (len(flipped),))) % 10
    test_x, test_y = load(folder, "t10k")

    model = network()
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, weight_decay=5e-4)
    steps, done = epochs * math.ceil(IMAGES / BATCH), 0
    profile = torch.profiler.profile() if "--profile" in sys.argv else None
    start = time.perf_counter()
    if profile:
        profile.__enter__()
    for _ in range(epochs):
        for batch in torch.randperm(IMAGES).split(BATCH):
            for group in optimizer.param_groups:
                group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * done / steps))
            step(model, optimizer, x[batch], y[batch])
            done += 1
    if profile:
        profile.__exit__(None, None, None)
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15))
    seconds = time.perf_counter() - start
    model.eval()
    with torch.no_grad():
        right = (model(test_x).argmax(1) == test_y).float().mean().item()
    print(f"torch {torch.__version__}: {steps} SAM steps in {seconds:.2f} s, {1e3 * seconds / steps:.2f} ms a step; test accuracy {right:.4f}")


main()
