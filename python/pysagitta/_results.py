"""What functions return: values with their uncertainty, and a `repr` that tells both."""
import dataclasses
import math

import numpy as np


def short(value):
    """A number as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return "undefined" if math.isnan(value) else f"{value:.4g}"


@dataclasses.dataclass(frozen=True)
class EffectiveRank:
    """How many directions a matrix has at a threshold (the paper, section 4), with what rounding cannot exclude.

    The smallest j for which the j largest values exceed `threshold` times their sum.
    """

    rank: int
    """The rank."""
    lower: int
    """No smaller rank is possible in exact arithmetic."""
    upper: int
    """No larger rank is possible in exact arithmetic."""
    max_rank: int
    """What the shape allows: min(rows, columns), or fewer where there are fewer parameters."""

    @property
    def certified(self) -> bool:
        """Whether rounding cannot have changed the rank: lower == upper."""
        return self.lower == self.upper

    @property
    def relative(self) -> float:
        """rank / max_rank, from 0 to 1; 0 where max_rank is 0."""
        return self.rank / self.max_rank if self.max_rank else 0.0

    def __int__(self) -> int:
        return self.rank

    def __repr__(self):
        sure = "certified" if self.certified else f"between {self.lower} and {self.upper}"
        return f"EffectiveRank(rank {self.rank} of {self.max_rank}, {sure})"


@dataclasses.dataclass(frozen=True)
class RankInterval:
    """Where the rank of M fresh samples lies at the level asked for."""

    rank: int
    """Of these samples."""
    lower: int
    upper: int

    def __repr__(self):
        return f"RankInterval(rank {self.rank}, fresh samples: {self.lower} to {self.upper})"


@dataclasses.dataclass(frozen=True)
class Overlap:
    """g^T H_k g / (|g| |H_k g|), how much of a gradient lies in the top k directions (the paper, section 6.2)."""

    value: float
    """From -1 to 1; NaN where g or H_k g is zero to rounding."""
    truncation: int
    """k, the effective rank at which the matrix was cut."""
    defined: bool = True
    """Whether the value is a number."""

    def __float__(self) -> float:
        return self.value

    def __repr__(self):
        return f"{type(self).__name__}({short(self.value)}, truncated to {self.truncation})"


@dataclasses.dataclass(frozen=True)
class EstimatedOverlap(Overlap):
    """An overlap from products alone."""

    error: float = 0.0
    """How far the value moves with the cut and the number of steps; no bound. 0 where it is exact."""
    products: int = 0

    def __repr__(self):
        return (f"EstimatedOverlap({short(self.value)} +- {short(self.error)}, truncated to {self.truncation}, "
                f"{self.products} products)")


@dataclasses.dataclass(frozen=True)
class EstimatedRank:
    """An effective rank from products alone, without a certificate."""

    rank: float
    drift: float
    """How far the estimate moved in the second half of the steps; 0 where it is exact."""
    products: int

    def __repr__(self):
        return f"EstimatedRank({short(self.rank)}, drift {short(self.drift)}, {self.products} products)"


@dataclasses.dataclass(frozen=True)
class EstimatedTrace:
    """A trace from products alone."""

    value: float
    standard_error: float
    """Estimated; 0 where the value is exact."""
    products: int

    def __repr__(self):
        return f"EstimatedTrace({short(self.value)} +- {short(self.standard_error)}, {self.products} products)"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Eigenpairs:
    """Outer eigenvalues, the most extreme first: `values, vectors, residuals = extreme_eigenpairs(...)`."""

    values: np.ndarray
    """[k]"""
    vectors: np.ndarray
    """[n, k], orthonormal columns."""
    residuals: np.ndarray
    """[k]: |A v - value v|; an eigenvalue of A lies within it of the value."""
    products: int
    converged: bool
    """Whether all residuals reached the tolerance; where not, they still hold."""

    def __iter__(self):
        return iter((self.values, self.vectors, self.residuals))

    def __repr__(self):
        values = ", ".join(f"{value:.6g} +- {error:.0e}" for value, error in zip(self.values, self.residuals))
        return f"Eigenpairs([{values}], {'converged' if self.converged else 'not converged'}, {self.products} products)"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SpectralDensity:
    """A distribution of eigenvalues: `nodes, weights = spectral_density(...)`."""

    nodes: np.ndarray
    """Ascending."""
    weights: np.ndarray
    """>= 0; they sum to 1."""
    products: int

    def __iter__(self):
        return iter((self.nodes, self.weights))

    def __repr__(self):
        n = len(self.nodes)
        span = f" from {self.nodes[0]:.4g} to {self.nodes[-1]:.4g}" if n else ""
        return f"SpectralDensity({n} nodes{span}, {self.products} products)"
