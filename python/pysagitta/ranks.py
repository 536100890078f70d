"""Effective ranks and spectra of matrices.

Matrices are arrays of float32 or float64 (others are converted), rows or columns contiguous, read-only or not: they
are read in place and computed in float64. NaN, infinity and wrong shapes are a ValueError that names the function.
`threads` is how many to use at most; any number gives the same bits.
"""
import numpy as np
import numpy.typing as npt

from . import _core
from ._arrays import matrix, number, seed as _seed, vector, whole
from ._results import EffectiveRank, RankInterval


def effective_rank(A: npt.ArrayLike, threshold: float = 0.99) -> EffectiveRank:
    """The effective rank of a matrix, of its singular values (the paper, section 4).

    A: [m, n], of any scale. threshold: from 0 to 1; 1 counts the values above rounding.
    m n^2 + 4/3 n^3 operations for m >= n, 2 m n^2 + 8/3 n^3 more where the rank is a close call.
    """
    name = "effective_rank"
    return EffectiveRank(*_core.effective_rank(matrix(A, name, "A"), number(threshold, name, "threshold")))


def symmetric_effective_rank(A: npt.ArrayLike, threshold: float = 0.99, input_error: float = 0.0,
                             threads: int = 1) -> EffectiveRank:
    """The effective rank of a symmetric matrix, of its |eigenvalues|: a Hessian, a Gram matrix, a Fisher.

    A: [n, n], of which the lower triangle is read. input_error: a bound on |A - B|_2 where A is a rounded version of
    the matrix B that is meant; the bracket includes it. In the units of A. 4/3 n^3 operations; about 150 n^2 where a
    positive semidefinite matrix has a rank of 20 or so.
    """
    name = "symmetric_effective_rank"
    return EffectiveRank(*_core.symmetric_effective_rank(
        matrix(A, name, "A"), number(threshold, name, "threshold"), number(input_error, name, "input_error"),
        whole(threads, name, "threads")))


def spectrum_effective_rank(values: npt.ArrayLike, threshold: float = 0.99) -> EffectiveRank:
    """The effective rank of a spectrum that is known: values >= 0 in any order, [n]. They count as exact."""
    name = "spectrum_effective_rank"
    return EffectiveRank(*_core.spectrum_effective_rank(
        vector(values, name, "values", np.float64), number(threshold, name, "threshold")))


def entropy_rank(A: npt.ArrayLike) -> float:
    """exp of the entropy of the normalised singular values (Roy and Vetterli 2007); 0 for a zero matrix. A: [m, n]."""
    return _core.entropy_rank(matrix(A, "entropy_rank", "A"))


def stable_rank(A: npt.ArrayLike) -> float:
    """|A|_F^2 / |A|_2^2 (Rudelson and Vershynin 2007); 0 for a zero matrix. A: [m, n]."""
    return _core.stable_rank(matrix(A, "stable_rank", "A"))


def symmetric_eigenvalues(A: npt.ArrayLike, threads: int = 1) -> npt.NDArray[np.float64]:
    """The eigenvalues of a symmetric matrix, descending, each within 8 sqrt(n) eps |A|_2. A: [n, n], lower triangle."""
    name = "symmetric_eigenvalues"
    return _core.symmetric_eigenvalues(matrix(A, name, "A"), whole(threads, name, "threads"))


def singular_values(A: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The min(m, n) singular values of a matrix, descending, each within 8 sqrt(n) eps sigma_1. A: [m, n]."""
    return _core.singular_values(matrix(A, "singular_values", "A"))


def rank_interval(K: npt.ArrayLike, threshold: float = 0.99, level: float = 0.95, *, seed: int = 0,
                  replicates: int = 60) -> RankInterval:
    """Where the effective rank of M fresh samples would lie, from the Gram matrix of M samples alone.

    K: [M, M], positive semidefinite, lower triangle. level: probability, in (0, 1). replicates: subsamples of each of
    three sizes. docs/curvature.md says how often such intervals held. 3 replicates ranks of at most 3 M / 4.
    """
    name = "rank_interval"
    return RankInterval(*_core.rank_interval(
        matrix(K, name, "K", np.float64), number(threshold, name, "threshold"), number(level, name, "level"),
        _seed(seed, name), whole(replicates, name, "replicates")))
