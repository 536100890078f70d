"""The regularisers that the paper compares (sections 3, 5 and 6.3), on lists of parameters: the sum over tensors, without
1/2. Two ways to use one:

    (loss + strength * penalty(model.parameters())).backward()              a term of the loss
    loss.backward(); penalty.add_gradient_(model.parameters(), strength)    the same gradients, no graph

Both cost O(d). The term is a scalar tensor of the parameters' type; add_gradient_ returns the value in float64. Sums are
formed in float64. ValueError for another number of parameters or other shapes than at the initialisation. Frozen
parameters are to be left out.
"""
import torch

from ._adapter import Parameters, adapter, named, number


class _Penalty:
    def __init__(self, initial):
        self._name = type(self).__name__
        self._of = getattr(adapter, self._name)(*initial)
        self._count = len(initial[0])

    def __call__(self, parameters: Parameters) -> torch.Tensor:
        """The penalty as a term of the loss."""
        return self._of(*named(parameters, self._name))

    def add_gradient_(self, parameters: Parameters, strength: float) -> torch.Tensor:
        """Adds strength times the gradient to `p.grad` of every parameter; returns the penalty."""
        return self._of.add_gradient_(*named(parameters, self._name), number(strength, self._name, "strength"))

    def __repr__(self):
        return f"{self._name}({self._count} tensors at initialisation)" if self._count else f"{self._name}()"


class L2Penalty(_Penalty):
    """sum theta_i^2, whose gradient is 2 theta."""

    def __init__(self):
        super().__init__(([], []))


class L2InitPenalty(_Penalty):
    """Regenerative regularisation (Kumar et al. 2023): sum (theta_i - theta0_i)^2. Keeps a copy of theta0."""

    def __init__(self, initial: Parameters):
        super().__init__(named(initial, "L2InitPenalty"))


class WassersteinPenalty(_Penalty):
    """The paper's regulariser (section 5): sum (theta_(i) - theta0_(i))^2 over the order statistics of each tensor.

    Keeps the parameters near where they began in distribution, and so their curvature. Keeps theta0 sorted; O(d).
    """

    def __init__(self, initial: Parameters):
        super().__init__(named(initial, "WassersteinPenalty"))


class FeatureRankPenalty:
    """s_1^2 - s_w^2 of features [n, width] with a graph (Kumar et al. 2021; the paper, section 3), s_w = 0 where n < width.

    n w min(n, w) + 9 min(n, w)^3 operations. It has no second derivative.
    """

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """The penalty as a term of the loss."""
        return adapter.feature_rank_penalty(features)

    def add_gradient_(self, features: torch.Tensor, strength: float) -> torch.Tensor:
        """Adds strength times the gradient to those of the parameters behind the features, whose graph is kept."""
        return adapter.feature_rank_penalty_add_gradient_(features, number(strength, "FeatureRankPenalty", "strength"))

    def __repr__(self):
        return "FeatureRankPenalty()"
