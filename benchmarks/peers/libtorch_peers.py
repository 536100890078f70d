#!/usr/bin/env python3
"""The everyday route to the Gram matrix of per-sample gradients, for comparison with libtorch_timing.

    python3 benchmarks/peers/libtorch_peers.py [seconds for each row, default 5]

Needs torch alone (measured with 2.13.0). Prints, for the workloads of libtorch_timing.cpp and one thread, the
median milliseconds of processor time of a training step (forward, backward, Adam) and of
  vmap(grad)  per-sample gradients by torch.func and their product
  loop        one backward pass a sample, and the product (once)
each also in steps of the same run, the error of vmap(grad) against the loop in float64, and peak memory.
"""
import resource
import sys
import time

import torch
from torch import nn
from torch.func import functional_call, grad, vmap


def mlp():
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(),
                         nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))


def cnn():
    def layer(fan_in, fan_out):
        return nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1)
    return nn.Sequential(layer(3, 16), nn.ReLU(), layer(16, 32), nn.ReLU(), layer(32, 64), nn.ReLU(),
                         layer(64, 128), nn.ReLU(), nn.Flatten(), nn.Linear(512, 512), nn.ReLU(),
                         nn.Linear(512, 10))


def milliseconds(work):
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3


def median(values):
    return sorted(values)[len(values) // 2]


def loop_gram(model, x, y):
    parameters = list(model.parameters())
    losses = nn.functional.cross_entropy(model(x), y, reduction="none")
    rows = [torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, parameters, retain_graph=True)])
            for loss in losses]
    gradients = torch.stack(rows)
    return gradients @ gradients.T


def vmap_gram(model, x, y):
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(p, sample, label):
        logits = functional_call(model, p, (sample.unsqueeze(0),))
        return nn.functional.cross_entropy(logits, label.unsqueeze(0))
    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    gram = 0
    for g in gradients.values():
        g = g.reshape(g.shape[0], -1)
        gram = gram + g @ g.T
    return gram


def row(name, model, x, dtype, seconds):
    model.to(dtype)
    y = torch.randint(0, 10, (len(x),))
    inputs = x.to(dtype)
    adam = torch.optim.Adam(model.parameters(), lr=1e-6)

    def step():
        adam.zero_grad()
        nn.functional.cross_entropy(model(inputs), y).backward()
        adam.step()
    steps, vmaps = [], []
    for _ in range(3):
        step()
    vmap_gram(model, inputs, y)
    deadline = time.perf_counter() + seconds
    while len(vmaps) < 3 or time.perf_counter() < deadline:
        steps += [milliseconds(step) for _ in range(5)]
        vmaps.append(milliseconds(lambda: vmap_gram(model, inputs, y)))
    looped = milliseconds(lambda: loop_gram(model, inputs, y))
    got = vmap_gram(model, inputs, y).double()
    want = loop_gram(model.double(), x.double(), y)
    error = ((got - want).norm() / want.norm()).item()
    unit = median(steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{name:8} {len(x):5} {str(dtype)[6:]:8} | {unit:8.2f} | {median(vmaps):9.1f} {median(vmaps) / unit:7.1f}"
          f" | {looped:9.1f} {looped / unit:7.1f} | {error:.1e} | {peak:6}", flush=True)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    torch.manual_seed(1)
    print(f"torch {torch.__version__}; medians in ms, and in steps; peak memory of the process in MiB")
    print("workload     M type     |     step | vmap(grad)  steps |      loop   steps | error   |   peak")
    for dtype in (torch.float32, torch.float64):
        row("W1 MLP", mlp(), torch.randn(256, 784), dtype, seconds)
        row("W2 CNN", cnn(), torch.randn(256, 3, 32, 32), dtype, seconds)
        row("W1 MLP", mlp(), torch.randn(1024, 784), dtype, seconds)


if __name__ == "__main__":
    main()
