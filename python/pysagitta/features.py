"""What a hidden layer still represents, how the gradient lies in the curvature, and norms.

features: [n, width], a row a sample, a column a unit, after the activation. NaN, infinity and wrong shapes are a
ValueError that names the function.
"""
import numpy as np
import numpy.typing as npt

from . import _core
from ._arrays import flat, matrix, number, seed as _seed, vector, whole
from ._results import EffectiveRank, EstimatedOverlap, Overlap
from .operators import SymmetricOperator, as_operator


def feature_rank(features: npt.ArrayLike, threshold: float = 0.99) -> EffectiveRank:
    """The effective rank of the features, of their singular values (the paper, section 2.2). n width^2 operations."""
    name = "feature_rank"
    return EffectiveRank(*_core.feature_rank(matrix(features, name, "features"), number(threshold, name, "threshold")))


def dormancy(features: npt.ArrayLike) -> float:
    """sum_j p_j log p_j in nats, p_j ~ mean_i |phi_ij| (the paper, appendix A).

    From -log(width), all units equally active, to 0, one unit alone. NaN where all features are zero.
    """
    return _core.dormancy(matrix(features, "dormancy", "features"))


def per_sample_dormancy(features: npt.ArrayLike) -> float:
    """The same for each sample by itself, p_ij ~ |phi_ij|; the mean over samples that are not all zero, else NaN."""
    return _core.per_sample_dormancy(matrix(features, "per_sample_dormancy", "features"))


def dormant_fraction(features: npt.ArrayLike, tau: float = 0.025) -> float:
    """The share of units whose mean |phi_ij| is at most tau times its mean over units (Sokar et al. 2023).

    tau = 0 counts the dead ones. NaN where there is no feature.
    """
    name = "dormant_fraction"
    return _core.dormant_fraction(matrix(features, name, "features"), number(tau, name, "tau"))


def gradient_gram_overlap(K: npt.ArrayLike, threshold: float = 0.99, input_error: float = 0.0) -> Overlap:
    """The overlap of the mean gradient with the empirical Fisher, from the Gram matrix alone (the paper, section 6.2).

    K: [M, M], positive semidefinite, lower triangle. threshold: of the rank at which the Fisher is cut; 1 does not cut.
    input_error: a bound on the rounding of K in the 2-norm. 4/3 M^3 operations.
    """
    name = "gradient_gram_overlap"
    return Overlap(*_core.gradient_gram_overlap(matrix(K, name, "K"), number(threshold, name, "threshold"),
                                                number(input_error, name, "input_error")))


def gradient_hessian_overlap(H: "npt.ArrayLike | SymmetricOperator", g: npt.ArrayLike, threshold: float = 0.99, *,
                             seed: int = 0, steps: int = 320) -> Overlap:
    """g^T H_k g / (|g| |H_k g|), H_k the top of H (the paper, section 6.2 and Figure 5).

    H: [n, n], lower triangle, exact in 4/3 n^3 operations; or an operator, which is asked for at most 2 `steps`
    products from a random start and gives an EstimatedOverlap. g: [n].
    """
    name = "gradient_hessian_overlap"
    gradient, threshold = vector(g, name, "g", np.float64), number(threshold, name, "threshold")
    if not hasattr(H, "matvec"):
        return Overlap(*_core.gradient_hessian_overlap(matrix(H, name, "H"), gradient, threshold))
    return EstimatedOverlap(*_core.operator_overlap(as_operator(H, name, "H"), gradient, threshold,
                                                    _seed(seed, name), whole(steps, name, "steps")))


def l1_norm(x: npt.ArrayLike) -> float:
    """sum |x_i| over an array of any shape, summed in float64."""
    return _core.l1_norm(flat(x, "l1_norm", "x"))


def l2_norm(x: npt.ArrayLike) -> float:
    """sqrt(sum x_i^2) over an array of any shape and scale, summed in float64."""
    return _core.l2_norm(flat(x, "l2_norm", "x"))


def _pair(x, y, function):
    if np.shape(x) != np.shape(y):
        raise ValueError(f"{function}: x and y are of shapes {np.shape(x)} and {np.shape(y)}, expected the same")
    a, b = flat(x, function, "x"), flat(y, function, "y")
    return (a, b) if a.dtype == b.dtype else (a.astype(np.float64, copy=False), b.astype(np.float64, copy=False))


def l1_distance(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """sum |x_i - y_i|, of an update for example; arrays of the same shape."""
    return _core.l1_distance(*_pair(x, y, "l1_distance"))


def l2_distance(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """sqrt(sum (x_i - y_i)^2), from the initialisation for example; arrays of the same shape."""
    return _core.l2_distance(*_pair(x, y, "l2_distance"))
