"""How many directions of curvature does a neural network have left?

Effective ranks, Fisher and Gauss-Newton matrices, features, overlaps and regularisers on NumPy arrays, computed by the
C++ headers of Sagitta after Lewandowski et al. (2023), *Directions of Curvature as an Explanation for Loss of
Plasticity*. `pysagitta.torch` measures any PyTorch model as it is. docs/python.md has the first steps.

    >>> import numpy as np, pysagitta as sg
    >>> sg.effective_rank(np.diag([99.0, 1.0, 0.001]))
    EffectiveRank(rank 2 of 3, certified)
"""
from ._core import __version__
from ._results import (EffectiveRank, Eigenpairs, EstimatedOverlap, EstimatedRank, EstimatedTrace, Overlap,
                       RankInterval, SpectralDensity)
from .features import (dormancy, dormant_fraction, feature_rank, gradient_gram_overlap, gradient_hessian_overlap,
                       l1_distance, l1_norm, l2_distance, l2_norm, per_sample_dormancy)
from .fisher import (LayerTrace, cross_entropy_backprops, fisher_rank, gauss_newton_backprops, gauss_newton_rank, gram,
                     sample_labels, softmax_hessian_factor)
from .operators import (SymmetricOperator, estimated_effective_rank, estimated_trace, extreme_eigenpairs,
                        partial_effective_rank, spectral_density)
from .penalties import FeatureRankPenalty, L2InitPenalty, L2Penalty, WassersteinPenalty
from .ranks import (effective_rank, entropy_rank, rank_interval, singular_values, spectrum_effective_rank, stable_rank,
                    symmetric_effective_rank, symmetric_eigenvalues)

__all__ = [
    "EffectiveRank", "Eigenpairs", "EstimatedOverlap", "EstimatedRank", "EstimatedTrace", "FeatureRankPenalty",
    "L2InitPenalty", "L2Penalty", "LayerTrace", "Overlap", "RankInterval", "SpectralDensity", "SymmetricOperator",
    "WassersteinPenalty", "__version__", "cross_entropy_backprops", "dormancy", "dormant_fraction",
    "effective_rank", "entropy_rank", "estimated_effective_rank", "estimated_trace", "extreme_eigenpairs",
    "feature_rank", "fisher_rank", "gauss_newton_backprops", "gauss_newton_rank", "gradient_gram_overlap",
    "gradient_hessian_overlap", "gram", "l1_distance", "l1_norm", "l2_distance", "l2_norm",
    "partial_effective_rank", "per_sample_dormancy", "rank_interval", "sample_labels", "singular_values",
    "softmax_hessian_factor", "spectral_density", "spectrum_effective_rank", "stable_rank",
    "symmetric_effective_rank", "symmetric_eigenvalues",
]
