#!/usr/bin/env python3
"""The Gram matrix of per-sample gradients from Python: Sagitta beside torch.func, TorchJD, BackPACK and opacus.

    pip install torch==2.13.0 torchjd backpack-for-pytorch opacus    (torch named, so that it stays)
    python benchmarks/peers/python_peers.py [--seconds 5] [--samples 256]

Those that are installed take part. For the MLP 784-256-256-256-10 and the paper's CNN, float32 and one thread, prints a
table in Markdown: the median milliseconds of processor time of a training step (forward, backward, Adam) and of each route
to the M x M Gram matrix of the empirical Fisher, routes taking turns so that what else runs meets all alike; the same in
steps; and the largest error against a loop over single samples in float64, relative to the largest entry.
"""
import argparse
import copy
import importlib
import statistics
import time

import torch
from torch import nn

import pysagitta.torch as st

cross_entropy = nn.functional.cross_entropy


def mlp():
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(),
                         nn.Linear(256, 10)), (784,)


def cnn():
    def layer(fan_in, fan_out):
        return nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1)
    return nn.Sequential(layer(3, 16), nn.ReLU(), layer(16, 32), nn.ReLU(), layer(32, 64), nn.ReLU(), layer(64, 128), nn.ReLU(),
                         nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)), (3, 32, 32)


def loop(model, x, y):
    """One backward pass a sample, in float64."""
    model = copy.deepcopy(model).double()
    parameters = list(model.parameters())
    losses = cross_entropy(model(x.double()), y, reduction="none")
    G = torch.stack([torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, retain_graph=True)])
                     for loss in losses])
    return G @ G.T


def product(gradients):
    """sum of g g^T over parameters; gradients: [M, ...] each"""
    total = 0
    for g in gradients:
        rows = g.reshape(len(g), -1)
        total = total + rows @ rows.T
    return total


def torch_func(model, x, y):
    from torch.func import functional_call, grad, vmap
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(p, sample, label):
        return cross_entropy(functional_call(model, p, (sample.unsqueeze(0),)), label.unsqueeze(0))
    gradients = vmap(grad(loss), in_dims=(None, 0, 0))
    return lambda: product(gradients(parameters, x, y).values())


def torchjd(model, x, y):
    model = copy.deepcopy(model)  # its hooks wait for the backward pass of every forward pass
    engine = importlib.import_module("torchjd.autogram").Engine(model, batch_dim=0)
    return lambda: engine.compute_gramian(cross_entropy(model(x), y, reduction="none"))


def backpack(model, x, y):
    package, extension = importlib.import_module("backpack"), importlib.import_module("backpack.extensions").BatchGrad
    model = package.extend(copy.deepcopy(model))
    loss = package.extend(nn.CrossEntropyLoss(reduction="sum"))

    def call():
        with package.backpack(extension()):
            loss(model(x), y).backward()
        gram = product([p.grad_batch for p in model.parameters()])
        for p in model.parameters():
            p.grad, p.grad_batch = None, None
        return gram
    return call


def opacus(model, x, y):
    model = importlib.import_module("opacus.grad_sample").GradSampleModule(copy.deepcopy(model), loss_reduction="sum")

    def call():
        cross_entropy(model(x), y, reduction="sum").backward()
        gram = product([p.grad_sample for p in model.parameters()])
        for p in model.parameters():
            p.grad, p.grad_sample = None, None
        return gram
    return call


def sagitta(check):
    def route(model, x, y):
        def losses():
            return cross_entropy(model(x), y, reduction="none")
        return lambda: st.empirical_fisher_gram(losses, model, check=check).gram
    return route


ROUTES = {"Sagitta": sagitta(False), "Sagitta, checked": sagitta(True), "torch.func": torch_func, "TorchJD autogram": torchjd,
          "BackPACK BatchGrad": backpack, "opacus": opacus}


def step(model, x, y):
    model = copy.deepcopy(model)
    adam = torch.optim.Adam(model.parameters(), lr=1e-6)

    def call():
        adam.zero_grad()
        cross_entropy(model(x), y).backward()
        adam.step()
    return call


def milliseconds(work):
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="for all routes of a network")
    parser.add_argument("--samples", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | route | ms | training steps | error |\n|---|---|---|---|---|")
    for name, make in (("MLP", mlp), ("CNN", cnn)):
        torch.manual_seed(0)
        model, shape = make()
        x, y = torch.randn(arguments.samples, *shape), torch.randint(0, 10, (arguments.samples,))
        calls, errors = {"training step": step(model, x, y)}, {}
        truth = loop(model, x, y)
        for route, prepare in ROUTES.items():
            try:
                calls[route] = prepare(model, x, y)
                errors[route] = ((calls[route]().detach().double() - truth).abs().max() / truth.abs().max()).item()
            except ImportError as error:
                calls.pop(route, None)
                print(f"| {name} | {route} | not installed ({error.name}) | | |")
        calls["training step"]()
        times = {route: [] for route in calls}
        deadline = time.perf_counter() + arguments.seconds
        while min(map(len, times.values())) < 3 or time.perf_counter() < deadline:
            for route, call in calls.items():
                times[route].append(milliseconds(call))
        medians = {route: statistics.median(values) for route, values in times.items()}
        for route, median in medians.items():
            error = f"{errors[route]:.0e}" if route in errors else ""
            print(f"| {name} | {route} | {median:.1f} | {median / medians['training step']:.1f} | {error} |", flush=True)


if __name__ == "__main__":
    main()
