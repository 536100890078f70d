"""Curvature matrices as products with a vector, for eigenvalue methods.

The forward pass and the first backward pass happen once, at construction; each product takes one more backward pass or
three. Vectors are the parameters one after the other, [d]. An operator is a snapshot: where a parameter has been changed
since, a product raises ValueError.

    H = HessianOperator(lambda: losses().mean(), model.named_parameters())
    H @ v                                            torch: v [d] or [d, k] on the parameters' device
    scipy.sparse.linalg.eigsh(H.scipy(), k=3)        SciPy
    pysagitta.extreme_eigenpairs(H, 3, seed=1)       with its errors
"""
import typing
from collections.abc import Callable

import numpy as np
import torch

from ._adapter import Parameters, adapter, check_callable, named
from .grams import output_loss

if typing.TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


class CurvatureOperator:
    """A symmetric matrix [d, d] known by its products."""

    def __init__(self, operator, parameters: "list[torch.Tensor]"):
        self._operator, first = operator, parameters[0]
        n = operator.rows()
        self.shape: "tuple[int, int]" = (n, n)
        """(d, d)"""
        self.torch_dtype: torch.dtype = first.dtype
        """In which products are formed."""
        self.device: torch.device = first.device
        self.dtype = np.dtype(np.float64 if first.dtype == torch.float64 else np.float32)
        """Of the arrays that `matvec` takes and gives."""
        self.product_error: float = operator.product_error()
        """A bound on |y - A x| / (|A| |x|) for its products y, by which eigenvalue methods judge what is rounding."""

    def __matmul__(self, v: torch.Tensor) -> torch.Tensor:
        """A v for v [d], or A V column by column for V [d, k]; in the parameters' type and on their device."""
        if isinstance(v, torch.Tensor) and v.dim() == 2:
            columns = [self._operator.apply(column) for column in v.unbind(1)]
            return torch.stack(columns, 1) if columns else torch.empty_like(v)
        if not isinstance(v, torch.Tensor):
            raise TypeError(f"{type(self).__name__}: v is of type {type(v).__name__}, expected a torch.Tensor; for arrays "
                            "there is matvec")
        return self._operator.apply(v)

    def matvec(self, x: np.ndarray) -> np.ndarray:
        """A x for an array of d numbers; the product is formed in the parameters' type."""
        v = torch.from_numpy(np.ascontiguousarray(x, self.dtype).reshape(-1).copy())
        return (self @ v.to(self.device, self.torch_dtype)).to("cpu", torch.float64).numpy().astype(self.dtype, copy=False)

    def scipy(self) -> "LinearOperator":
        """The same as SciPy's LinearOperator, for scipy.sparse.linalg.eigsh for example."""
        from scipy.sparse.linalg import LinearOperator
        return LinearOperator(self.shape, matvec=self.matvec, rmatvec=self.matvec, dtype=self.dtype)

    def __repr__(self):
        n = self.shape[0]
        return f"{type(self).__name__}({n} x {n}, {str(self.torch_dtype).removeprefix('torch.')} on {self.device})"


class HessianOperator(CurvatureOperator):
    """The Hessian of a loss. loss: () -> one element, the mean over samples. A product takes one backward pass.

    Attention and recurrent layers run by the operators that they consist of: fused kernels have no second derivative.
    """

    def __init__(self, loss: "Callable[[], torch.Tensor]", parameters: Parameters):
        tensors, names = named(parameters, "HessianOperator")
        super().__init__(adapter.hessian_operator(check_callable(loss, "HessianOperator", "loss"), tensors, names), tensors)

    def gradient(self) -> torch.Tensor:
        """The gradient of the loss, [d]."""
        return self._operator.gradient()


class GaussNewtonOperator(CurvatureOperator):
    """The Gauss-Newton matrix of the mean loss, (1/M) sum_m J_m^T H_m J_m. logits: () -> [M, C].

    loss: "softmax_cross_entropy" or "squared_error". A product takes three backward passes.
    """

    def __init__(self, logits: "Callable[[], torch.Tensor]", parameters: Parameters, *,
                 loss: str = "softmax_cross_entropy"):
        name = "GaussNewtonOperator"
        tensors, names = named(parameters, name)
        squared = output_loss(loss, name)
        super().__init__(adapter.gauss_newton_operator(check_callable(logits, name, "logits"), tensors, names, squared), tensors)


class EmpiricalFisherOperator(CurvatureOperator):
    """The empirical Fisher of the mean loss, (1/M) sum_m g_m g_m^T. losses: () -> [M]. Three backward passes a product."""

    def __init__(self, losses: "Callable[[], torch.Tensor]", parameters: Parameters):
        name = "EmpiricalFisherOperator"
        tensors, names = named(parameters, name)
        super().__init__(adapter.empirical_fisher_operator(check_callable(losses, name, "losses"), tensors, names), tensors)


def exact_hessian(loss: "Callable[[], torch.Tensor]", parameters: Parameters) -> torch.Tensor:
    """The Hessian of a loss of few parameters, [d, d] in the parameters' type: d products. loss: () -> one element."""
    tensors, names = named(parameters, "exact_hessian")
    return adapter.exact_hessian(check_callable(loss, "exact_hessian", "loss"), tensors, names)
