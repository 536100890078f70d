"""The curvature of any PyTorch model as it is: no hooks, no wrappers, no change to the model.

    import pysagitta.torch as st

    print(st.measure(model, x, y))                                  # every diagnostic of the paper, as a table
    K = st.empirical_fisher_gram(losses, model.named_parameters())  # losses: () -> [M], from any forward pass
    st.rank(K)                                                      # directions of curvature, with their bracket
    monitor = st.Monitor(model, every=100, x=x, y=y, csv="curvature.csv")   # in a training loop:
    monitor.step()                                                          # after optimizer.step()

Importing this module compiles the C++ adapter for the torch that is there, once, into a cache (PYSAGITTA_CACHE, else
~/.cache/pysagitta), which takes about a minute; `python -m pysagitta.torch` does so ahead of time.
"""
try:
    import torch as _torch
except ImportError as error:
    if error.name not in (None, "torch"):
        raise
    raise ImportError("pysagitta.torch needs PyTorch 1.13 or later, which is not installed: pip install torch") from error

from .grams import (GramResult, LayerGram, LayerGrams, empirical_fisher_gram, gauss_newton_gram, rank,
                    sampled_fisher_gram)
from .measurement import Measurement, measure, snapshot
from .monitor import Monitor
from .operators import EmpiricalFisherOperator, GaussNewtonOperator, HessianOperator, exact_hessian
from .penalties import FeatureRankPenalty, L2InitPenalty, L2Penalty, WassersteinPenalty

__all__ = ["EmpiricalFisherOperator", "FeatureRankPenalty", "GaussNewtonOperator", "GramResult", "HessianOperator",
           "L2InitPenalty", "L2Penalty", "LayerGram", "LayerGrams", "Measurement", "Monitor", "WassersteinPenalty",
           "empirical_fisher_gram", "exact_hessian", "gauss_newton_gram", "measure", "rank", "sampled_fisher_gram",
           "snapshot"]
