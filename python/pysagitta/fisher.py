"""Gram matrices of per-sample gradients from layer traces, and the ranks of Fisher and Gauss-Newton matrices.

A layer z = W a + b leaves behind its inputs a and its backprops, the derivatives of the SUMMED loss by z, a row a
sample: every inner product of per-sample gradients follows from them, and no gradient is formed. A layer is a pair
`(inputs, backprops)` or a `LayerTrace`. In the place of layers an array [M, d] is taken for the gradients themselves,
a row a sample. NaN, infinity and row counts that do not fit are a ValueError that names the function.
"""
import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from . import _core
from ._arrays import matrix, number, seed as _seed, vector, whole
from ._results import EffectiveRank


@dataclasses.dataclass(frozen=True, eq=False)
class LayerTrace:
    """What a layer leaves behind when M samples pass forward and back."""

    inputs: npt.ArrayLike
    """[M T, fan_in], row m T + t: the input of sample m at position t."""
    backprops: npt.ArrayLike
    """[M T, fan_out]: the derivative of the summed loss by the layer's output there."""
    positions: int = 1
    """T: 1 for a fully connected layer, the output pixels of a convolution (whose input rows are patches), or the
    number of uses of a weight that is used several times."""
    has_bias: bool = True
    """Whether the bias is a parameter too."""

    def __repr__(self):
        shapes = f"inputs {np.shape(self.inputs)}, backprops {np.shape(self.backprops)}"
        return f"LayerTrace({shapes}, positions={self.positions}, has_bias={self.has_bias})"


def _layers(layers, function):
    """The layers as the core takes them, of one type, and whether that is float32."""
    if isinstance(layers, LayerTrace):
        raise TypeError(f"{function}: layers is one LayerTrace, expected a list of them")
    result = []
    try:
        given = list(layers)
    except TypeError:
        raise TypeError(f"{function}: layers is of type {type(layers).__name__}, expected a list of layers") from None
    for i, layer in enumerate(given):
        if not isinstance(layer, LayerTrace):
            try:
                layer = LayerTrace(*layer)
            except TypeError:
                raise TypeError(f"{function}: layer {i} is of type {type(layer).__name__}, expected a pair (inputs, "
                                "backprops) or a LayerTrace") from None
        result.append((matrix(layer.inputs, function, f"inputs of layer {i}"),
                       matrix(layer.backprops, function, f"backprops of layer {i}"),
                       whole(layer.positions, function, f"positions of layer {i}"), bool(layer.has_bias)))
    of_float = all(a.dtype == d.dtype == np.float32 for a, d, _, _ in result)
    if not of_float:
        result = [(a.astype(np.float64, copy=False), d.astype(np.float64, copy=False), T, bias)
                  for a, d, T, bias in result]
    return result, of_float


def gram(layers: "Iterable[LayerTrace | tuple] | np.ndarray", threads: int = 1) -> npt.NDArray[np.float64]:
    """K = G G^T, the inner products of per-sample gradients (the paper, section 4.1): [M, M], symmetric to the bit.

    layers: of the same M samples; or the gradients [M, d], a row a sample. K has the non-zero eigenvalues of the
    empirical Fisher, which is d x d. Products and sums are formed in float64. A layer takes the cheaper of
    M^2 T^2 (fan_in + fan_out) operations and M (M + T) fan_in fan_out.
    """
    threads = whole(threads, "gram", "threads")
    if isinstance(layers, np.ndarray):
        return _core.gradients_gram(matrix(layers, "gram", "layers (as an array of gradients)"), threads)
    return _core.gram(*_layers(layers, "gram"), threads)


def fisher_rank(layers: "Iterable[LayerTrace | tuple] | np.ndarray", threshold: float = 0.99,
                threads: int = 1) -> EffectiveRank:
    """The effective rank of the Fisher of M samples; max_rank is min(M, parameters).

    layers: as for gram. With backprops of the data's labels it is the empirical Fisher, with those of
    `sample_labels` an estimate of the true one. The rounding of the Gram matrix is in the bracket.
    """
    name = "fisher_rank"
    threshold, threads = number(threshold, name, "threshold"), whole(threads, name, "threads")
    if isinstance(layers, np.ndarray):
        gradients = matrix(layers, name, "layers (as an array of gradients)")
        return EffectiveRank(*_core.gradients_fisher_rank(gradients, threshold, threads))
    return EffectiveRank(*_core.fisher_rank(*_layers(layers, name), threshold, threads))


def sample_labels(probabilities: npt.ArrayLike, *, seed: int = 0) -> npt.NDArray[np.int64]:
    """A label for each row of probabilities [M, C], drawn from it; [M]. The same on every platform for a seed."""
    name = "sample_labels"
    return np.array(_core.sample_labels(matrix(probabilities, name, "probabilities", np.float64), _seed(seed, name)),
                    np.int64)


def cross_entropy_backprops(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """p - onehot(label), the derivatives of the summed cross-entropy by the logits.

    probabilities: [M, C]; labels: [M] whole numbers in [0, C). Returns [M, C].
    """
    name = "cross_entropy_backprops"
    whole_labels = np.asarray(labels)
    if whole_labels.ndim != 1 or (whole_labels.dtype.kind not in "iu" and whole_labels.size):
        raise TypeError(f"{name}: labels is of dtype {whole_labels.dtype} and shape {whole_labels.shape}, expected "
                        "whole numbers [M]")
    return _core.cross_entropy_backprops(matrix(probabilities, name, "probabilities", np.float64),
                                         [whole(label, name, "a label") for label in whole_labels.tolist()])


def softmax_hessian_factor(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """L with L L^T = diag(p) - p p^T, the Hessian of the cross-entropy by the logits.

    p: [C], a distribution; one-hot is fine. Returns [C, C - 1], right to a few eps. O(C^2).
    """
    return _core.softmax_hessian_factor(vector(p, "softmax_hessian_factor", "p", np.float64))


def gauss_newton_backprops(probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The backprops that turn gram(layers) into the Gram matrix of Gauss-Newton (the paper, section C.2).

    probabilities: [M, C]. Returns [M (C - 1), C]: back-propagate them as so many samples, each with the inputs of its
    own (row m (C - 1) + k starts at the logits of sample m).
    """
    name = "gauss_newton_backprops"
    return _core.gauss_newton_backprops(matrix(probabilities, name, "probabilities", np.float64))


def gauss_newton_rank(J: npt.ArrayLike, probabilities: npt.ArrayLike, threshold: float = 0.99,
                      threads: int = 1) -> EffectiveRank:
    """The effective rank of the Gauss-Newton matrix sum_m J_m^T (diag(p_m) - p_m p_m^T) J_m.

    J: [M C, P], the Jacobian of all logits, row m C + c; probabilities: [M, C]. max_rank is min(P, M (C - 1)).
    n^2 max(P, M (C - 1)) + 4/3 n^3 operations, n = min(P, M (C - 1)).
    """
    name = "gauss_newton_rank"
    return EffectiveRank(*_core.gauss_newton_rank(
        matrix(J, name, "J"), matrix(probabilities, name, "probabilities", np.float64),
        number(threshold, name, "threshold"), whole(threads, name, "threads")))
