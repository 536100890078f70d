"""Gram matrices of per-sample gradients of any unmodified model (the paper, sections 4.1 and C.2).

A function runs the forward pass and returns the losses [M] or logits [M, C]; it is called once, recorded from outside,
and followed by two backward passes that stop at the layers' outputs. No per-sample gradient is formed. Parameters of
operators without a rule (functions of your own) take a backward pass a sample, and the result names them. Every
result is verified by one more backward pass unless `check=False`. Gradients, the states of default generators and running
statistics stay as they are; the GIL is free but for your function.

parameters: `model.parameters()`, `model.named_parameters()` or a dict of them, where messages shall name them, or the
module (what it trains).

All raise ValueError, naming the function, for no parameters, parameters that do not require grad or differ in device or
type, no-grad mode, an output of another shape, NaN or infinity, a graph that was freed, batch norm in train mode, and
where the check fails even for single-sample gradients. What your function raises comes through.
"""
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

import torch

from .._results import EffectiveRank
from ._adapter import Parameters, adapter, check_callable, gram_options, named, number, seed as _seed, whole


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerGram:
    """The Gram matrix of one layer."""

    parameters: "tuple[str, ...]"
    """Their names: a weight and its bias, or one parameter."""
    gram: torch.Tensor
    """[N, N]."""

    def __repr__(self):
        return f"LayerGram({' and '.join(self.parameters)}, {len(self.gram)} x {len(self.gram)})"


class LayerGrams(Mapping):
    """The Gram matrices of layers by the names of their first parameters; any name of theirs finds them.

    The Gram matrices sum to the whole.
    """

    def __init__(self, layers):
        self._layers = {layer.parameters[0]: layer for layer in layers}
        self._by_name = {name: layer for layer in layers for name in layer.parameters}

    def __getitem__(self, name: str) -> LayerGram:
        return self._by_name[name]

    def __iter__(self) -> "Iterator[str]":
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self):
        return f"LayerGrams({', '.join(map(repr, self._layers.values()))})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GramResult:
    """A Gram matrix, how well it passed its check, and how it was come by."""

    gram: torch.Tensor
    """[N, N], symmetric, on the device of the parameters."""
    check_error: float
    """The largest over layers of |w^T K w - |sum w_n g_n|^2|, relative, for weights w that make samples count alike; NaN
    without the check."""
    fallback_parameters: "tuple[str, ...]"
    """Those that took single-sample backward passes."""
    parameter_count: int
    """d, the number of elements of the parameters."""
    cancellation: float
    """How far (2-norm) rounding may have moved the Gram where positions of a sample cancel; `rank` counts it in."""
    layers: LayerGrams
    """By parameter name, where `per_layer=True`."""

    def __repr__(self):
        n = len(self.gram)
        parts = [f"gram {n} x {n} {str(self.gram.dtype).removeprefix('torch.')} on {self.gram.device}",
                 "not checked" if math.isnan(self.check_error) else f"check error {self.check_error:.1e}",
                 f"{self.parameter_count:,} parameters"]
        if self.layers:
            parts.append(f"{len(self.layers)} layers")
        if self.fallback_parameters:
            parts.append(f"by single samples: {', '.join(self.fallback_parameters)}")
        return f"GramResult({', '.join(parts)})"


def _result(fields, names):
    """names: of all parameters, in whose order layers are told."""
    place = {name: i for i, name in enumerate(names)}
    layers = [LayerGram(tuple(sorted(of, key=lambda name: place.get(name, 0))), gram) for of, gram in fields.pop("layers")]
    layers = LayerGrams(sorted(layers, key=lambda layer: place.get(layer.parameters[0], 0)))
    return GramResult(**{**fields, "fallback_parameters": tuple(fields["fallback_parameters"])}, layers=layers)


def empirical_fisher_gram(losses: "Callable[..., torch.Tensor]", parameters: Parameters, *, batches: "int | None" = None,
                          check: bool = True, check_seed: int = 20240229, chunk_bytes: int = 2**28,
                          accumulate_in_double: bool = False, per_layer: bool = False) -> GramResult:
    """K of the empirical Fisher: K_mn = g_m . g_n for the gradients of the samples' own losses; [M, M].

    losses: () -> [M], the loss of every sample (`reduction="none"`). With `batches`, losses(i) gives those of micro-batch
    i, for more samples than one forward pass holds, and K is of all samples in that order.
    check: verify by one more backward pass, whose weights come from check_seed. chunk_bytes: bound on the temporaries of
    a layer. accumulate_in_double: products and sums in float64 for a float32 model too. per_layer: also the Gram matrix of
    each layer.
    About a forward and two backward passes, and M^2 (inputs + outputs) operations a linear layer.
    """
    name = "empirical_fisher_gram"
    options = gram_options(name, check, check_seed, chunk_bytes, accumulate_in_double, per_layer)
    count = None if batches is None else whole(batches, name, "batches")
    tensors, names = named(parameters, name)
    return _result(adapter.empirical_fisher_gram(check_callable(losses, name, "losses"), tensors, names, count, options),
                   names)


def sampled_fisher_gram(logits: "Callable[[], torch.Tensor]", parameters: Parameters, *, seed: int = 1,
                        generator: "torch.Generator | None" = None, check: bool = True, check_seed: int = 20240229,
                        chunk_bytes: int = 2**28, accumulate_in_double: bool = False,
                        per_layer: bool = False) -> GramResult:
    """K of the Fisher with one label a sample drawn from softmax(logits) in the place of the data's; [M, M].

    logits: () -> [M, C]. The labels come from `generator`, or from a new one with `seed`. Else as
    empirical_fisher_gram.
    """
    name = "sampled_fisher_gram"
    options = gram_options(name, check, check_seed, chunk_bytes, accumulate_in_double, per_layer)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"{name}: generator is of type {type(generator).__name__}, expected a torch.Generator")
    tensors, names = named(parameters, name)
    return _result(adapter.sampled_fisher_gram(check_callable(logits, name, "logits"), tensors, names, _seed(seed, name),
                                               generator, options), names)


def output_loss(loss, function):
    """Whether `loss` is the squared error."""
    if loss not in ("softmax_cross_entropy", "squared_error"):
        raise ValueError(f"{function}: loss is {loss!r}, expected 'softmax_cross_entropy' or 'squared_error'")
    return loss == "squared_error"


def gauss_newton_gram(logits: "Callable[[], torch.Tensor]", parameters: Parameters, *,
                      loss: str = "softmax_cross_entropy", check: bool = True, check_seed: int = 20240229,
                      chunk_bytes: int = 2**28, accumulate_in_double: bool = False,
                      per_layer: bool = False) -> GramResult:
    """B B^T, whose non-zero eigenvalues are those of the Gauss-Newton matrix sum_m J_m^T H_m J_m, H_m = L_m L_m^T,
    B = (L_1^T J_1; ...).

    logits: () -> [M, C]. loss: which follows the output; "softmax_cross_entropy" gives [M (C - 1)] rows, row
    m (C - 1) + k for column k of L_m, "squared_error" (|output - target|^2 a sample, H = 2 I) gives M C. C - 1 backward
    passes in the place of one. Else as empirical_fisher_gram.
    """
    name = "gauss_newton_gram"
    options = gram_options(name, check, check_seed, chunk_bytes, accumulate_in_double, per_layer)
    tensors, names = named(parameters, name)
    return _result(adapter.gauss_newton_gram(check_callable(logits, name, "logits"), tensors, names,
                                             output_loss(loss, name), options), names)


def rank(of: "GramResult | LayerGram | torch.Tensor", threshold: float = 0.99) -> EffectiveRank:
    """The effective rank of a Gram matrix, or of any symmetric tensor [n, n], of its |eigenvalues| (section 4).

    The tensor may lie on any device and goes to the host, where its eigenvalues are found in float64. The bracket holds
    the rounding of a Gram matrix that was formed in the tensor's type; of a GramResult also what positions that cancel
    add, and max_rank is min(N, parameters). 4/3 n^3 operations.
    """
    threshold = number(threshold, "rank", "threshold")
    if isinstance(of, GramResult):
        return EffectiveRank(*adapter.gram_rank(of.gram, of.cancellation, of.parameter_count, threshold))
    tensor = of.gram if isinstance(of, LayerGram) else of
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"rank: the argument is of type {type(of).__name__}, expected a GramResult or a torch.Tensor")
    return EffectiveRank(*adapter.rank(tensor, threshold))
