"""Every diagnostic of the paper in one call (sections 2.2, 4 and 6; Figures 1, 5 and 16)."""
import contextlib
import dataclasses
import math
import random
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_map

from .._results import EffectiveRank, Overlap, short
from ._adapter import adapter, gram_options, number, seed as _seed, whole


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Measurement(Mapping):
    """What `measure` found. NaN where a definition leaves a value open or it could not be computed (`unavailable` says why);
    None for a rank that could not, and where a quantity was not asked for.

    Prints as a table. As a mapping, and by as_dict(), it is names and plain numbers for any logger.
    """

    samples: int
    """M: losses, without those of ignored labels."""
    parameters: int
    """d, of those that are trained."""
    loss: float
    """Mean over samples."""
    error: float
    """Share of samples whose largest logit is not the label's; NaN where y are no labels."""
    fisher_rank: "EffectiveRank | None"
    """Of the empirical Fisher."""
    overlap: Overlap
    """Of the mean gradient with the empirical Fisher."""
    feature_rank: "EffectiveRank | None"
    """Of the input of the last linear layer, [M, width]; None without one."""
    dormancy: float
    """Of the same, in nats."""
    dormant_fraction: float
    gradient_l1: float
    gradient_l2: float
    """Of the mean loss."""
    weight_l1: float
    weight_l2: float
    check_error: float
    """Of the Fisher's Gram matrix; NaN without the check."""
    update_l1: "float | None" = None
    update_l2: "float | None" = None
    """Since `previous`."""
    initial_distance_l2: "float | None" = None
    initial_distance_w2: "float | None" = None
    """From `initial`; the Wasserstein distance sums over tensors."""
    sampled_fisher_rank: "EffectiveRank | None" = None
    gauss_newton_rank: "EffectiveRank | None" = None
    sharpness: "float | None" = None
    """The largest eigenvalue of the Hessian; NaN where Lanczos did not converge."""
    fallback_parameters: "tuple[str, ...]" = ()
    """Those that took single-sample backward passes."""
    unavailable: "Mapping[str, str]" = dataclasses.field(default_factory=dict)
    """What could not be computed, and why: of a model that is NaN, without a second derivative, ..."""

    def as_dict(self) -> "dict[str, int | float]":
        """Names and plain numbers: a rank gives `name` and `name_relative`, quantities not asked for are left out."""
        numbers = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            missing = field.name in ("fisher_rank", "feature_rank") or field.name in self.unavailable
            if field.name in ("fallback_parameters", "unavailable") or (value is None and not missing):
                continue
            if field.name.endswith("_rank"):
                numbers[field.name] = value.rank if value else math.nan
                numbers[f"{field.name}_relative"] = value.relative if value else math.nan
            elif isinstance(value, Overlap):
                numbers[field.name], numbers[f"{field.name}_truncation"] = value.value, value.truncation
            else:
                numbers[field.name] = value
        return numbers

    def __getitem__(self, name: str) -> "int | float":
        return self.as_dict()[name]

    def __iter__(self) -> "Iterator[str]":
        return iter(self.as_dict())

    def __len__(self) -> int:
        return len(self.as_dict())

    def __repr__(self):
        rows = []
        for field in dataclasses.fields(self):
            value, text = getattr(self, field.name), None
            if isinstance(value, EffectiveRank):
                sure = "" if value.certified else f", between {value.lower} and {value.upper}"
                text = f"{value.rank} of {value.max_rank}{sure}"
            elif isinstance(value, Overlap):
                text = f"{short(value.value)}, truncated to {value.truncation}"
            elif field.name == "fallback_parameters":
                text = ", ".join(value) or None
            elif field.name == "unavailable":
                text = "; ".join(f"{name.replace('_', ' ')} ({why})" for name, why in value.items()) or None
            elif value is not None and not (isinstance(value, float) and math.isnan(value)):
                text = f"{value:,}" if isinstance(value, int) else short(value)
            if text is not None:
                rows.append((field.name.replace("_", " "), text))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def snapshot(model: torch.nn.Module) -> "list[torch.Tensor]":
    """Copies of all parameters of a model, for `previous` and `initial`."""
    return [p.detach().clone() for p in unwrapped(model).parameters()]


def unwrapped(model):
    """The module itself behind torch.compile and data parallelism, which share its parameters."""
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif isinstance(model, parallel):
            model = model.module
        else:
            return model


@contextlib.contextmanager
def untouched(model):
    """Eval mode and grad mode; afterwards modes, buffers and random numbers are as they were.

    (The values of buffers, gradients and torch's default generators the adapter leaves as they are.)
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(module._buffers, dict(module._buffers)) for module in model.modules()]
    python, numpy = random.getstate(), np.random.get_state()
    try:
        model.eval()
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for owner, before in buffers:
            owner.update(before)
        random.setstate(python)
        np.random.set_state(numpy)


def _call(model, x):
    """The output of a model for inputs of any form, as a tensor."""
    if isinstance(x, Mapping):
        output = model(**x)
    elif isinstance(x, (tuple, list)):
        output = model(*x)
    else:
        output = model(x)
    logits = getattr(output, "logits", None)  # as models of transformers return them
    return output if isinstance(output, torch.Tensor) or logits is None else logits


def _samples(batch, argument):
    """The number of samples in nested tensors, all of which have them first."""
    tensors = [leaf for leaf in tree_flatten(batch)[0] if isinstance(leaf, torch.Tensor)]
    if not tensors or any(t.dim() == 0 or len(t) != len(tensors[0]) for t in tensors):
        shapes = ", ".join(str(tuple(t.shape)) for t in tensors) or "no tensor"
        raise ValueError(f"measure: {argument} holds {shapes}, expected tensors with the same number of samples first")
    return len(tensors[0])


def _ready(batch, device):
    """Nested tensors on the model's device, fit for autograd."""
    def one(leaf):
        if isinstance(leaf, np.ndarray):
            leaf = torch.from_numpy(np.ascontiguousarray(leaf))
        if not isinstance(leaf, torch.Tensor):
            return leaf
        leaf = leaf.detach().to(device)
        return leaf.clone() if leaf.is_inference() else leaf
    return tree_map(one, batch)


class _Indexed:
    """Nested tensors behind a tensor of indices, which is what the adapter cuts into batches."""

    def __init__(self, batch, argument):
        self.plain = isinstance(batch, torch.Tensor)
        self._batch = batch
        self.handle = batch if self.plain else torch.arange(_samples(batch, argument))

    def part(self, handle):
        if self.plain:
            return handle
        first, count = int(handle[0]), len(handle)
        return tree_map(lambda leaf: leaf[first:first + count] if isinstance(leaf, torch.Tensor) else leaf, self._batch)


def _rank(fields):
    """None where there is no matrix."""
    return EffectiveRank(*fields) if fields and fields[3] > 0 else None


def measure(model: torch.nn.Module, x: typing.Any, y: typing.Any, *,
            loss: "Callable[[torch.Tensor, typing.Any], torch.Tensor] | None" = None,
            forward: "Callable[[torch.nn.Module, typing.Any], torch.Tensor] | None" = None,
            previous: "Sequence[torch.Tensor] | None" = None, initial: "Sequence[torch.Tensor] | None" = None,
            ignore_index: int = -100, threshold: float = 0.99, dormant_tau: float = 0.025, batch_size: int = 0, sampled_fisher: bool = False,
            gauss_newton: bool = False, sharpness: bool = False, seed: int = 1, check: bool = True,
            check_seed: int = 20240229, chunk_bytes: int = 2**28, accumulate_in_double: bool = False) -> Measurement:
    """Measures a model at a batch, in eval mode, and leaves all of its state as it was.

    x: [M, ...], or a tuple or dict of tensors with the samples first, for model(*x) or model(**x). y: [M], labels, or
    [M, ...], targets. They are moved to the model's device.
    loss: (output, y) -> [M], the loss of every sample (`reduction="none"`); without one, the cross-entropy of logits
    [M, C] (or log-probabilities) for whole numbers y, and a sample's summed squared error for others. Tokens are samples
    where there is a loss for each: logits [M, T, C] and labels [M, T]. ignore_index: a label that makes no sample (padding).
    forward: (model, x) -> output, for models that are called differently.
    previous, initial: snapshot(model) before the last update and at initialisation, for distances.
    threshold: of all ranks. dormant_tau: see dormant_fraction. batch_size: samples in one forward pass, 0 for all.
    sampled_fisher, gauss_newton: their ranks too. sharpness: the Hessian's largest eigenvalue, tens of products. seed: of
    sampled labels and of Lanczos. The rest: see empirical_fisher_gram.
    Models behind torch.compile or DistributedDataParallel are measured without it. What cannot be computed, of an output
    that is NaN for instance, is NaN or None with its reason in `unavailable`; ValueError for arguments that do not fit. Two
    forward and four backward passes, the products of the Gram matrix, and 4/3 M^3
    operations on the host.
    """
    name = "measure"
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"{name}: model is of type {type(model).__name__}, expected a torch.nn.Module")
    model = unwrapped(model)
    parameters = dict(model.named_parameters())
    device = next((p.device for p in parameters.values()), torch.device("cpu"))
    inputs, targets = _Indexed(_ready(x, device), "x"), _Indexed(_ready(y, device), "y")
    if not targets.plain and loss is None:
        raise ValueError(f"{name}: y is of type {type(y).__name__}, expected a tensor; or give `loss`")
    run = forward or _call
    losses = None if loss is None else lambda output, part: loss(output, targets.part(part))
    options = {"threshold": number(threshold, name, "threshold"), "dormant_tau": number(dormant_tau, name, "dormant_tau"),
               "ignore_index": whole(ignore_index, name, "ignore_index"), "batch_size": whole(batch_size, name, "batch_size", 0), "sampled_fisher": bool(sampled_fisher),
               "gauss_newton": bool(gauss_newton), "sharpness": bool(sharpness), "seed": _seed(seed, name),
               **gram_options(name, check, check_seed, chunk_bytes, accumulate_in_double)}
    with untouched(model):
        found = adapter.measure(lambda part: run(model, inputs.part(part)), list(parameters.values()), list(parameters),
                                list(model.buffers()), inputs.handle, targets.handle, losses, list(previous or ()), list(initial or ()), options)
    asked = {"update_l1": previous, "update_l2": previous, "initial_distance_l2": initial, "initial_distance_w2": initial,
             "sharpness": sharpness}
    found.update({field: None for field, given in asked.items() if not given})
    for field in ("fisher_rank", "sampled_fisher_rank", "gauss_newton_rank", "feature_rank"):
        found[field] = _rank(found[field])
    found["overlap"] = Overlap(*found["overlap"])
    found["fallback_parameters"] = tuple(found["fallback_parameters"])
    return Measurement(**found)
