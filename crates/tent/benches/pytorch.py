"""Tent over 2,000 images in PyTorch, to stand beside ours: same network, batch size, optimizer and number of steps.

usage: pytorch.py [PASSES]

Two threads, random images in memory. ResNet-8 with 16, 32 and 64 channels and shortcuts without parameters (option A).
Batch norm without running statistics, and gradients of its weight and bias alone, as in DequanWang/tent.
"""
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

IMAGES, BATCH, RATE = 2000, 200, 1e-3


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.stride = 1 if inputs == outputs else 2
        self.extra = outputs - inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.extra:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return F.relu(y + x)


def network():
    blocks = [Block(16, 16), Block(16, 32), Block(32, 64)]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def affine_of(model):
    model.requires_grad_(False)
    found = []
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = None
            found += [module.weight.requires_grad_(True), module.bias.requires_grad_(True)]
    return found


def adapt(model, optimizer, x):
    logits = model(x)
    log = logits.log_softmax(1)
    entropy = -(log.exp() * log).sum(1).mean()
    entropy.backward()
    optimizer.step()
    optimizer.zero_grad()
    return logits.detach(), entropy.item()


def main():
    passes = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(2)
    torch.manual_seed(0)
    batches = torch.rand(IMAGES, 3, 32, 32).split(BATCH)
    start = network().state_dict()
    times = []
    for _ in range(passes):
        model = network()
        model.load_state_dict(start)
        optimizer = torch.optim.Adam(affine_of(model), RATE)
        begin = time.perf_counter()
        for batch in batches:
            adapt(model, optimizer, batch)
        times.append(time.perf_counter() - begin)
    times.sort()
    print(f"torch {torch.__version__}: {IMAGES} images, {passes} passes: min {times[0]:.3f} s, median {times[passes // 2]:.3f} s")


main()
