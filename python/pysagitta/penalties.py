"""The regularisers that the paper compares (sections 3, 5 and 6.3), each for one array: sums of squares, without 1/2.

All have three methods:
    value(theta)                             the penalty
    value_and_gradient(theta)                the penalty, and its gradient as an array like theta
    add_gradient(theta, strength, gradient)  gradient += strength * d value, in place; returns the penalty
Arrays are of any shape, float32 or float64 (the gradient's type is theta's), and equal elements are matched in the
order of their indices. Another shape than the initialisation's, NaN and infinity are a ValueError. Safe from several
threads.
"""
import numpy as np
import numpy.typing as npt

from . import _core
from ._arrays import matrix, number, numbers


def _target(gradient, theta, name):
    """A gradient that is added to in place."""
    if not isinstance(gradient, np.ndarray) or gradient.dtype != theta.dtype or gradient.shape != theta.shape:
        got = f"{gradient.dtype} {gradient.shape}" if isinstance(gradient, np.ndarray) else type(gradient).__name__
        raise ValueError(f"{name}: gradient is {got}, expected an array of {theta.dtype} {theta.shape} like theta")
    if not gradient.flags.writeable:
        raise ValueError(f"{name}: gradient is read-only, expected an array to add to")
    return gradient


class _ArrayPenalty:
    """A penalty on one array; `_core` computes it on the array as a vector."""

    def __init__(self, theta0, make):
        self._name = type(self).__name__
        initial = numbers(theta0, self._name, "theta0")
        self._shape, self._dtype = initial.shape, initial.dtype
        self._of = make(initial.reshape(-1))

    def __repr__(self):
        return f"{self._name}(theta0 of shape {self._shape}, {self._dtype})"

    def _penalty(self, theta):
        if theta.shape != self._shape:
            raise ValueError(f"{self._name}: theta is of shape {theta.shape}, expected {self._shape} as theta0")
        if theta.dtype != self._dtype:
            raise ValueError(f"{self._name}: theta is {theta.dtype}, expected {self._dtype} as theta0")
        return self._of

    def value(self, theta: npt.ArrayLike) -> float:
        """The penalty at theta."""
        theta = numbers(theta, self._name, "theta")
        return self._penalty(theta).value(theta.reshape(-1))

    def value_and_gradient(self, theta: npt.ArrayLike) -> "tuple[float, np.ndarray]":
        """The penalty and its gradient, an array like theta."""
        theta = numbers(theta, self._name, "theta")
        gradient = np.empty(theta.size, theta.dtype)
        value = self._penalty(theta).value_and_gradient(theta.reshape(-1), gradient)
        return value, gradient.reshape(theta.shape)

    def add_gradient(self, theta: npt.ArrayLike, strength: float, gradient: np.ndarray) -> float:
        """Adds strength times the gradient to `gradient`, in place; returns the penalty."""
        theta = numbers(theta, self._name, "theta")
        target = _target(gradient, theta, self._name)
        strength = number(strength, self._name, "strength")
        contiguous = np.ascontiguousarray(target)
        value = self._penalty(theta).add_gradient(theta.reshape(-1), strength, contiguous.reshape(-1))
        if not np.shares_memory(contiguous, target):
            target[...] = contiguous
        return value


class L2Penalty(_ArrayPenalty):
    """Weight decay in the loss: sum theta_i^2, gradient 2 theta."""

    def __init__(self):
        self._name = "L2Penalty"
        self._of = {np.dtype(np.float32): _core.l2_penalty(True), np.dtype(np.float64): _core.l2_penalty(False)}

    def __repr__(self):
        return "L2Penalty()"

    def _penalty(self, theta):
        return self._of[theta.dtype]


class L2InitPenalty(_ArrayPenalty):
    """Regenerative regularisation (Kumar et al. 2023): sum (theta_i - theta0_i)^2. Keeps a copy of theta0."""

    def __init__(self, theta0: npt.ArrayLike):
        super().__init__(theta0, _core.l2_init_penalty)


class WassersteinPenalty(_ArrayPenalty):
    """The paper's regulariser (section 5): sum (theta_(i) - theta0_(i))^2 over order statistics.

    The squared 2-Wasserstein distance between the parameters' distributions now and at initialisation; the gradient is
    2 (theta_(i) - theta0_(i)) at the element that is i-th smallest. Equal elements are matched in the order of their
    indices. O(d) where the values have anything like a density.
    """

    def __init__(self, theta0: npt.ArrayLike):
        super().__init__(theta0, _core.wasserstein_penalty)


class FeatureRankPenalty:
    """s_1^2 - s_w^2 of the features [n, width] (Kumar et al. 2021; the paper, section 3), s_w = 0 where n < width.

    n w min(n, w) + 4/3 min(n, w)^3 operations.
    """

    def __repr__(self):
        return "FeatureRankPenalty()"

    def value(self, features: npt.ArrayLike) -> float:
        """The penalty."""
        return _core.feature_rank_penalty(matrix(features, "FeatureRankPenalty", "features"))

    def value_and_gradient(self, features: npt.ArrayLike) -> "tuple[float, np.ndarray]":
        """The penalty and its gradient by the features, [n, width]."""
        features = matrix(features, "FeatureRankPenalty", "features")
        gradient = np.empty(features.shape, features.dtype)
        return _core.feature_rank_penalty_gradient(features, None, gradient), gradient

    def add_gradient(self, features: npt.ArrayLike, strength: float, gradient: np.ndarray) -> float:
        """Adds strength times the gradient to `gradient`, in place; returns the penalty."""
        name = "FeatureRankPenalty"
        features = matrix(features, name, "features")
        target, strength = _target(gradient, features, name), number(strength, name, "strength")
        contiguous = np.ascontiguousarray(target)
        value = _core.feature_rank_penalty_gradient(features, strength, contiguous)
        if not np.shares_memory(contiguous, target):
            target[...] = contiguous
        return value
