"""Curvature from products with vectors alone: eigenvalues, ranks, traces and densities of symmetric operators.

An operator has `shape` (n, n) and `matvec(x)`, which takes and gives an array of n numbers, as SciPy's LinearOperator
and the operators of pysagitta.torch do. Where it has a `dtype` of 32 bits or fewer, or a `product_error` (a bound on
|y - A x| / (|A| |x|) for its products y), tolerances and what counts as zero go by that. A symmetric array [n, n] will do too (its lower triangle is read). An exception in matvec comes through. All
randomness comes from `seed`. NaN or infinity in a product is a ValueError that names the function.
"""
import math
import typing

import numpy as np
import numpy.typing as npt

from . import _core
from ._arrays import matrix, number, seed as _seed, whole
from ._results import EffectiveRank, Eigenpairs, EstimatedRank, EstimatedTrace, SpectralDensity


class SymmetricOperator(typing.Protocol):
    """Anything that multiplies: `shape` is (n, n), and matvec(x) gives A x for x of shape (n,)."""

    shape: "tuple[int, int]"

    def matvec(self, x: np.ndarray) -> npt.ArrayLike: ...


def as_operator(op, function, argument="op"):
    """What the core takes: a matrix, or (n, product_error, multiply)."""
    if not hasattr(op, "matvec"):
        return matrix(op, function, argument, np.float64)
    shape = tuple(getattr(op, "shape", ()))
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"{function}: {argument} is of shape {shape}, expected a square operator (n, n)")
    n = whole(shape[0], function, f"the size of {argument}", 0)
    declared = getattr(op, "dtype", None)
    declared = np.dtype(np.float64 if declared is None else declared)
    if declared.kind not in "fiub":
        raise TypeError(f"{function}: {argument} is of dtype {declared}, expected real numbers")
    narrow = declared.kind == "f" and declared.itemsize <= 4
    error = getattr(op, "product_error", None)
    if error is None:
        error = 8 * math.sqrt(n) * np.finfo(declared if narrow else np.float64).eps

    def multiply(x):
        product = np.asarray(op.matvec(x.astype(declared) if narrow else x))
        if product.shape not in ((n,), (n, 1)) or product.dtype.kind not in "fiub":
            raise ValueError(f"{function}: {argument}.matvec gave {product.dtype} of shape {product.shape}, expected "
                             f"{n} real numbers")
        return np.ascontiguousarray(product.reshape(n), np.float64)

    return n, number(error, function, f"{argument}.product_error"), multiply


def extreme_eigenpairs(op: "SymmetricOperator | npt.ArrayLike", k: int, *, which: str = "modulus", seed: int = 0,
                       tolerance: "float | None" = None, max_products: int = 0) -> Eigenpairs:
    """The k most extreme eigenvalues with their vectors, by Lanczos with full reorthogonalisation and thick restarts.

    which: "modulus" (from both ends), "largest" (the sharpness of a loss is the largest of its Hessian) or "smallest".
    tolerance: of a residual, as a share of the largest |eigenvalue|; 1e-10, or what products in float32 allow.
    max_products: at least 3 k + 20 are spent; 0: 40 (2 k + 20). Repeated eigenvalues are found as often as they occur.
    2 k + 20 vectors of memory, up to 320 where convergence is slow.
    """
    name = "extreme_eigenpairs"
    kinds = ("modulus", "largest", "smallest")
    if which not in kinds:
        raise ValueError(f"{name}: which is {which!r}, expected one of {', '.join(kinds)}")
    what = as_operator(op, name)
    if tolerance is None:
        tolerance = max(1e-10, what[1]) if isinstance(what, tuple) else 1e-10
    return Eigenpairs(*_core.extreme_eigenpairs(what, whole(k, name, "k"), _seed(seed, name), kinds.index(which),
                                                number(tolerance, name, "tolerance"),
                                                whole(max_products, name, "max_products")))


def estimated_effective_rank(op: "SymmetricOperator | npt.ArrayLike", threshold: float = 0.99, *, seed: int = 0,
                             steps: int = 320) -> EstimatedRank:
    """An estimate of the effective rank of |op|, of a Hessian for example; exact from n products where n <= steps.

    320 steps on Hessians of 1,306 to 3,626 parameters were off by 1 % in the median and 5.4 % at most
    (docs/curvature.md). At most `steps` products, n steps numbers, 8 n steps^2 operations.
    """
    name = "estimated_effective_rank"
    return EstimatedRank(*_core.estimated_effective_rank(as_operator(op, name), number(threshold, name, "threshold"),
                                                         _seed(seed, name), whole(steps, name, "steps")))


def partial_effective_rank(op: "SymmetricOperator | npt.ArrayLike", trace: "float | None" = None,
                           frobenius: "float | None" = None, threshold: float = 0.99, *, seed: int = 0,
                           max_steps: int = 0) -> EffectiveRank:
    """The effective rank of a positive semidefinite operator whose trace and Frobenius norm are known: certified, or an
    honest bracket. An array needs neither, and always gets the rank that symmetric_effective_rank gives.

    max_steps: products to spend; 0 decides by a rigorous gate, and spends at most n / 5.
    """
    name = "partial_effective_rank"
    threshold, start = number(threshold, name, "threshold"), _seed(seed, name)
    if trace is None and frobenius is None and not hasattr(op, "matvec"):
        return EffectiveRank(*_core.partial_effective_rank_of_matrix(matrix(op, name, "op", np.float64), threshold,
                                                                     start))
    if trace is None or frobenius is None:
        raise TypeError(f"{name}: an operator needs both its trace and its Frobenius norm")
    return EffectiveRank(*_core.partial_effective_rank(
        as_operator(op, name), number(trace, name, "trace"), number(frobenius, name, "frobenius"), threshold, start,
        whole(max_steps, name, "max_steps")))


def estimated_trace(op: "SymmetricOperator | npt.ArrayLike", probes: int = 40, *, seed: int = 0) -> EstimatedTrace:
    """The trace from products with random vectors, by XTrace (Epperly, Tropp and Webber 2024); exact where n <= probes.

    probes: products to spend, at least 4.
    """
    name = "estimated_trace"
    return EstimatedTrace(*_core.estimated_trace(as_operator(op, name), whole(probes, name, "probes"),
                                                 _seed(seed, name)))


def spectral_density(op: "SymmetricOperator | npt.ArrayLike", *, steps: int = 320, probes: int = 1,
                     seed: int = 0) -> SpectralDensity:
    """The distribution of the eigenvalues, by stochastic Lanczos quadrature; exact from n products where n <= steps.

    More steps help more than more probes. At most steps probes products.
    """
    name = "spectral_density"
    return SpectralDensity(*_core.spectral_density(as_operator(op, name), whole(steps, name, "steps"),
                                                   whole(probes, name, "probes"), _seed(seed, name)))
