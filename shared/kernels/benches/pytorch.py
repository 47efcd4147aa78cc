"""The rows of operations.rs and networks.rs in PyTorch: same shapes, parameters, optimizer and lines of output.

usage: pytorch.py [--threads N] [--runs N] [--filter TEXT] [--only operations|networks]
"""
import argparse
import math
import time

import torch
from torch import nn
from torch.nn import functional as F


def milliseconds(run, n_runs):
    """Minimum and median of the forward pass and of the whole; the first two runs aren't counted."""
    runs = [run() for _ in range(n_runs + 2)][2:]
    spread = lambda times: (1e3 * min(times), 1e3 * sorted(times)[len(times) // 2])
    return spread([forward for forward, _ in runs]) + spread([whole for _, whole in runs])


def print_row(name, run, options):
    forward_min, forward_median, whole_min, whole_median = milliseconds(run, options.runs)
    columns = f"{forward_min:>11.4f}  {forward_median:>14.4f}  {whole_min:>9.4f}  {whole_median:>12.4f}"
    print(f"{name:<44}  torch  {torch.get_num_threads():>7}  {columns}", flush=True)


def operation(name, shape, layer, options):
    name = f"{name} {list(shape)}"
    if options.filter not in name:
        return
    x = torch.randn(*shape, requires_grad=True)
    dy = torch.randn_like(layer(x))
    inputs = [x, *layer.parameters()] if isinstance(layer, nn.Module) else [x]

    def run():
        start = time.perf_counter()
        y = layer(x)
        forward = time.perf_counter() - start
        gradients = torch.autograd.grad(y, inputs, dy)
        del y, gradients
        return forward, time.perf_counter() - start

    print_row(name, run, options)


def operations(options):
    def conv(kernel, channels_in, channels_out, size, batch=64, stride=1, groups=1):
        layer = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups)
        suffix = (f" stride {stride}" if stride > 1 else "") + (" depthwise" if groups > 1 else "")
        name = f"conv {kernel}x{kernel} {channels_in}->{channels_out}{suffix}"
        operation(name, (batch, channels_in, size, size), layer, options)

    conv(3, 3, 32, 32)
    conv(3, 16, 16, 32)
    conv(3, 32, 32, 32)
    conv(3, 32, 64, 16)
    conv(3, 64, 64, 16)
    conv(3, 128, 128, 8)
    conv(3, 64, 64, 8)
    conv(3, 64, 64, 4)
    conv(3, 64, 64, 32, batch=1)
    conv(3, 512, 512, 7, batch=1)
    conv(3, 512, 512, 7, batch=32)
    conv(1, 256, 256, 14)
    conv(1, 64, 128, 16, stride=2)
    conv(5, 1, 6, 28)
    conv(3, 64, 64, 16, groups=64)
    for shape in ((64, 32, 32, 32), (64, 64, 16, 16)):
        operation("batch norm", shape, nn.BatchNorm2d(shape[1]), options)
        operation("max pool 2x2", shape, nn.MaxPool2d(2), options)
        operation("average pool 2x2", shape, nn.AvgPool2d(2), options)
    maps = (64, 32, 32, 32)
    operation("gelu", maps, F.gelu, options)
    operation("gelu_approximate", maps, lambda x: F.gelu(x, approximate="tanh"), options)
    operation("sigmoid", maps, torch.sigmoid, options)
    operation("silu", maps, F.silu, options)
    operation("tanh", maps, torch.tanh, options)
    operation("relu", maps, F.relu, options)
    operation("add", maps, lambda x: x + x, options)
    operation("softmax", (64, 4, 128, 128), lambda x: F.softmax(x, 3), options)
    operation("linear 4096->10", (64, 4096), nn.Linear(4096, 10), options)


class GlobalAverage(nn.Module):
    def forward(self, maps):
        return maps.mean((2, 3))


def conv_norm(channels_in, channels_out, kernel, stride=1, groups=1):
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out))


def small_cnn():
    layers, channels = [], [3, 32, 32, 64, 64]
    for i in range(4):
        layers += [nn.Conv2d(channels[i], channels[i + 1], 3, padding=1), nn.BatchNorm2d(channels[i + 1]), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if i % 2 == 1 else []
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 8 * 8, 10))


class BasicBlock(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = conv_norm(channels_in, channels, 3, stride)
        self.conv2 = conv_norm(channels, channels, 3)
        self.shortcut = conv_norm(channels_in, channels, 1, stride) if channels_in != channels else nn.Identity()

    def forward(self, x):
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


def resnet():
    blocks, channels_in = [], 16
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        blocks += [BasicBlock(channels_in, channels, stride), *(BasicBlock(channels, channels, 1) for _ in range(2))]
        channels_in = channels
    return nn.Sequential(conv_norm(3, 16, 3), nn.ReLU(), *blocks, GlobalAverage(), nn.Linear(64, 10))


def lenet():
    convs = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    linears = [nn.Linear(16 * 5 * 5, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return nn.Sequential(*convs, nn.Flatten(), *linears)


def mobilenet():
    layers = [conv_norm(3, 32, 3), nn.ReLU()]
    for channels_in, channels, stride in ((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)):
        layers += [conv_norm(channels_in, channels_in, 3, stride, groups=channels_in), nn.ReLU()]
        layers += [conv_norm(channels_in, channels, 1), nn.ReLU()]
    return nn.Sequential(*layers, GlobalAverage(), nn.Linear(256, 10))


class Transformer(nn.Module):
    WIDTH, N_HEADS = 256, 4

    def __init__(self):
        super().__init__()
        width = self.WIDTH
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.head = nn.Linear(width, 10)

    def attention(self, x):
        batch, length, width = x.shape
        split = lambda x: x.reshape(batch, length, self.N_HEADS, width // self.N_HEADS).transpose(1, 2)
        query, key, value = (split(layer(x)) for layer in (self.query, self.key, self.value))
        scores = query @ key.transpose(2, 3) / math.sqrt(width // self.N_HEADS)
        values = F.softmax(scores, 3) @ value
        return self.output(values.transpose(1, 2).reshape(batch, length, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        x = x + self.contract(F.gelu(self.expand(self.norm2(x))))
        return self.head(x.mean(1))


def network(name, new, shape, options):
    name = f"{name} {list(shape)}"
    if options.filter not in name:
        return
    model = new()
    print(f"{name}  parameters  {sum(p.numel() for p in model.parameters())}")
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    x, target = torch.randn(*shape), torch.arange(shape[0]) % 10

    def run():
        start = time.perf_counter()
        loss = F.cross_entropy(model(x), target)
        forward = time.perf_counter() - start
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        return forward, time.perf_counter() - start

    print_row(name, run, options)


def networks(options):
    network("small CNN", small_cnn, (64, 3, 32, 32), options)
    network("ResNet-20", resnet, (128, 3, 32, 32), options)
    network("LeNet-5", lenet, (64, 1, 28, 28), options)
    network("MobileNet", mobilenet, (64, 3, 32, 32), options)
    network("transformer block", Transformer, (16, 128, 256), options)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--filter", default="")
    parser.add_argument("--only", choices=["operations", "networks"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    if options.only != "networks":
        operations(options)
    if options.only != "operations":
        networks(options)


main()
