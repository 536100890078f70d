"""The compiled adapter, and how arguments reach it."""
import typing
from collections.abc import Iterable, Mapping

import torch

from .._arrays import number, seed, whole
from ._build import load

adapter = load()

Parameters = typing.Union[torch.nn.Module, Mapping[str, torch.Tensor], Iterable[torch.Tensor],
                          Iterable[tuple[str, torch.Tensor]]]


def named(parameters, function):
    """Tensors, and their names where there are any: what the adapter takes.

    parameters: a module (what it trains), a mapping from names, named_parameters(), or tensors.
    """
    if isinstance(parameters, torch.nn.Module):
        parameters = [(name, p) for name, p in parameters.named_parameters() if p.requires_grad]
    if isinstance(parameters, torch.Tensor):
        raise TypeError(f"{function}: parameters is one tensor, expected a list of them")
    try:
        listed = list(parameters.items()) if isinstance(parameters, Mapping) else list(parameters)
    except TypeError:
        raise TypeError(f"{function}: parameters is of type {type(parameters).__name__}, expected tensors, named tensors "
                        "or a module") from None
    pairs = [p for p in listed if isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str)]
    tensors, names = listed, []
    if pairs and len(pairs) == len(listed):
        names, tensors = [name for name, _ in pairs], [p for _, p in pairs]
        if len(set(names)) != len(names):
            raise ValueError(f"{function}: two parameters have the same name, expected names that differ")
    for i, p in enumerate(tensors):
        if not isinstance(p, torch.Tensor):
            raise TypeError(f"{function}: parameter {i} is of type {type(p).__name__}, expected a torch.Tensor")
    return tensors, names


def check_callable(what, function, argument):
    if not callable(what):
        raise TypeError(f"{function}: {argument} is of type {type(what).__name__}, expected a function that runs the "
                        "forward pass")
    return what


def gram_options(function, check, check_seed, chunk_bytes, accumulate_in_double, per_layer=False):
    return {"check": bool(check), "check_seed": seed(check_seed, function),
            "chunk_bytes": whole(chunk_bytes, function, "chunk_bytes"),
            "accumulate_in_double": bool(accumulate_in_double), "per_layer": bool(per_layer)}


__all__ = ["Parameters", "adapter", "check_callable", "gram_options", "named", "number", "seed", "whole"]
