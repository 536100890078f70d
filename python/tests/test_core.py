"""Ranks, Gram matrices, features, overlaps and penalties against plain NumPy."""
import copy
import pathlib
import pickle
import re
import threading

import numpy as np
import pytest

import pysagitta as sg
from conftest import erank


def decaying(rng, rows, cols):
    return rng.normal(size=(rows, cols)) * 0.8 ** np.arange(cols)


LAYOUTS = {
    "rows": lambda A: np.ascontiguousarray(A),
    "columns": lambda A: np.asfortranarray(A),
    "every second row": lambda A: np.repeat(A, 2, 0)[::2],
    "every second column": lambda A: np.repeat(A, 2, 1)[:, ::2],
    "backwards": lambda A: A[::-1, ::-1][::-1, ::-1],
    "reversed in memory": lambda A: np.ascontiguousarray(A[::-1, ::-1])[::-1, ::-1],
    "other byte order": lambda A: A.astype(A.dtype.newbyteorder()),
    "part of a structure": lambda A: np.array([[(0, v) for v in row] for row in A.tolist()],
                                              [("a", "i1"), ("v", A.dtype)])["v"].reshape(A.shape),
    "list": lambda A: A.tolist(),
    "matrix": lambda A: np.matrix(A),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_layout_gives_the_same(rng, layout, dtype):
    A = decaying(rng, 31, 12).astype(dtype)
    K = (A.T @ A).astype(dtype)
    given, symmetric = LAYOUTS[layout](A), LAYOUTS[layout](K)
    assert sg.effective_rank(given) == sg.effective_rank(A)
    assert sg.symmetric_effective_rank(symmetric) == sg.symmetric_effective_rank(K)
    assert sg.dormancy(given) == pytest.approx(sg.dormancy(A), rel=1e-13)
    assert sg.dormant_fraction(given) == sg.dormant_fraction(A)
    np.testing.assert_allclose(sg.gram(np.asarray(given)), A.astype(float) @ A.astype(float).T, rtol=1e-12, atol=1e-14)
    assert sg.L2Penalty().value(given) == pytest.approx((A.astype(float) ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (1, 5), (5, 1), (7, 4), (4, 7), (130, 60)])
def test_ranks_of_any_shape(rng, shape):
    A = rng.normal(size=shape) * 0.7 ** np.arange(shape[1])
    rank = sg.effective_rank(A)
    assert rank.rank == (erank(np.linalg.svd(A, compute_uv=False)) if min(shape) else 0)
    assert rank.max_rank == min(shape) and rank.certified
    values = np.linalg.svd(A, compute_uv=False)
    bound = 16 * np.sqrt(max(shape)) * np.finfo(float).eps * values.max(initial=0)  # ours and NumPy's
    np.testing.assert_allclose(sg.singular_values(A), values, rtol=0, atol=bound)
    assert sg.gram(A).shape == (shape[0], shape[0])


def test_only_the_lower_triangle_is_read(rng):
    A = decaying(rng, 9, 9)
    K = A @ A.T
    for layout in (np.ascontiguousarray, np.asfortranarray):
        lower = layout(np.tril(K))
        assert sg.symmetric_effective_rank(lower).rank == erank(np.linalg.eigvalsh(K))
        np.testing.assert_allclose(sg.symmetric_eigenvalues(lower), np.linalg.eigvalsh(K)[::-1], atol=1e-13)
        assert sg.gradient_gram_overlap(lower).value == pytest.approx(sg.gradient_gram_overlap(K).value)
        np.testing.assert_allclose(sg.extreme_eigenpairs(lower, 2).values, np.linalg.eigvalsh(K)[::-1][:2])


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int64, np.uint8, np.bool_, np.longdouble])
def test_other_numbers_are_converted(rng, dtype):
    A = (10 * rng.normal(size=(9, 6))).astype(dtype)
    assert sg.effective_rank(A).rank == erank(np.linalg.svd(A.astype(float), compute_uv=False))


def test_nothing_is_copied_that_need_not_be(rng):
    from pysagitta._arrays import matrix
    A = rng.normal(size=(8, 6))
    A.setflags(write=False)
    for given in (A, A.T, A[::2], A[:, :3], A[2:5].T, A.astype(np.float32)):
        assert np.shares_memory(matrix(given, "f", "A"), given)


@pytest.mark.parametrize("bad, kind, words", [
    (np.full((3, 3), np.nan), ValueError, ["NaN"]),
    (np.full((3, 3), np.inf), ValueError, ["infinite"]),
    (np.full((3, 3), np.longdouble("1e400")), ValueError, ["infinite"]),
    (np.array([["a"]]), TypeError, ["<U1"]),
    (np.ones((2, 2), complex), TypeError, ["complex"]),
    ([[2**70, 1], [1, 2]], TypeError, ["object"]),
    ([[1, 2], [3]], ValueError, ["no array of numbers"]),
    (None, TypeError, ["object"]),
    (np.ones(3), ValueError, ["(3,)"]),
    (np.ones((2, 2, 2)), ValueError, ["(2, 2, 2)"]),
    (np.ma.masked_array(np.eye(2), [[True, False], [False, False]]), ValueError, ["masked"]),
])
def test_bad_arrays_are_errors_that_name_the_function(bad, kind, words):
    for function in (sg.effective_rank, sg.feature_rank, sg.dormancy, sg.dormant_fraction, sg.entropy_rank, sg.stable_rank,
                     sg.symmetric_effective_rank, sg.gradient_gram_overlap):
        with pytest.raises(kind, match=function.__name__) as error:
            function(bad)
        assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("threshold, kind", [(-0.1, ValueError), (1.1, ValueError), (np.nan, ValueError),
                                             ("0.9", TypeError), (None, TypeError), (10**400, ValueError)])
def test_bad_thresholds(threshold, kind):
    with pytest.raises(kind, match="effective_rank: threshold"):
        sg.effective_rank(np.eye(3), threshold)


def test_bad_sizes_and_seeds():
    K = np.eye(9)
    for call, words in [(lambda: sg.symmetric_effective_rank(np.ones((2, 3))), "square"),
                        (lambda: sg.extreme_eigenpairs(K, 10), "k is 10"),
                        (lambda: sg.extreme_eigenpairs(K, 2**70), "whole number from"),
                        (lambda: sg.extreme_eigenpairs(K, 1, seed=-1), "seed is -1"),
                        (lambda: sg.extreme_eigenpairs(K, 1, seed=2**64), "seed is"),
                        (lambda: sg.extreme_eigenpairs(K, 1, which="best"), "which is 'best'"),
                        (lambda: sg.symmetric_effective_rank(K, threads=0), "threads"),
                        (lambda: sg.gradient_hessian_overlap(K, np.ones(3)), "g has 3 elements"),
                        (lambda: sg.l2_distance([1, 2], [1]), "expected the same"),
                        (lambda: sg.partial_effective_rank(K, 1, 2), "frobenius")]:
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(TypeError, match="k is of type float"):
        sg.extreme_eigenpairs(K, 1.5)


def test_results_tell_and_travel(rng):
    rank = sg.effective_rank(np.diag([99.0, 1.0, 0.001]))
    assert repr(rank) == "EffectiveRank(rank 2 of 3, certified)" and int(rank) == 2
    assert copy.deepcopy(rank) == pickle.loads(pickle.dumps(rank)) == rank
    wide = sg.symmetric_effective_rank(np.eye(4), input_error=1)
    assert not wide.certified and f"between {wide.lower} and {wide.upper}" in repr(wide)
    assert sg.effective_rank(np.zeros((0, 3))).relative == 0
    assert "nan" not in repr(sg.gradient_gram_overlap(np.zeros((2, 2)))) and not sg.gradient_gram_overlap(np.zeros((2, 2))).defined
    with pytest.raises(AttributeError):
        rank.rank = 3


def test_gram_and_fisher_of_layers(rng):
    for M, positions in ((1, 1), (13, 1), (6, 4)):
        X, D = rng.normal(size=(M * positions, 5)), rng.normal(size=(M * positions, 3))
        G = np.einsum("mta,mtb->mab", D.reshape(M, positions, 3), X.reshape(M, positions, 5)).reshape(M, -1)
        both = np.concatenate([G, D.reshape(M, positions, 3).sum(1)], 1)
        assert sg.LayerTrace(X, D).has_bias
        np.testing.assert_allclose(sg.gram([sg.LayerTrace(X, D, positions)]), both @ both.T, rtol=1e-10, atol=1e-12)
        mixed = [(X.astype(np.float32), D, positions), sg.LayerTrace(X, D, positions, has_bias=False)]
        np.testing.assert_allclose(sg.gram(mixed), both @ both.T + G @ G.T, rtol=1e-5)
        assert sg.fisher_rank(mixed[1:]).rank == sg.fisher_rank(G).rank == erank(np.linalg.svd(G, compute_uv=False) ** 2)
        assert sg.fisher_rank(G).max_rank == min(G.shape)


def test_bad_layers(rng):
    X, D = rng.normal(size=(6, 5)), rng.normal(size=(6, 3))
    for layers, kind in [([], ValueError), ([(X, D[:5])], ValueError), ([(X, D), (X[:5], D[:5])], ValueError),
                         ([sg.LayerTrace(X, D, positions=4)], ValueError), ([sg.LayerTrace(X, D, positions=0)], ValueError),
                         (sg.LayerTrace(X, D), TypeError), (3, TypeError), ([3], TypeError), ([(X,)], TypeError),
                         ([(X * np.nan, D)], ValueError)]:
        with pytest.raises(kind, match="gram"):
            sg.gram(layers)


def test_labels_and_softmax(rng):
    p = rng.dirichlet(np.ones(4), size=2000)
    labels = sg.sample_labels(p, seed=3)
    assert np.array_equal(labels, sg.sample_labels(p, seed=3)) and not np.array_equal(labels, sg.sample_labels(p, seed=4))
    counts = np.bincount(labels, minlength=4)
    deviation = np.sqrt((p * (1 - p)).sum(0))
    assert np.all(np.abs(counts - p.sum(0)) < 5 * deviation)
    np.testing.assert_array_equal(sg.cross_entropy_backprops(p, labels), p - np.eye(4)[labels])
    rows = sg.gauss_newton_backprops(p[:3]).reshape(3, 3, 4)
    for m in range(3):
        np.testing.assert_allclose(rows[m].T @ rows[m], np.diag(p[m]) - np.outer(p[m], p[m]), atol=1e-15)
    for bad in ([4], [-1], [2**62]):
        with pytest.raises(ValueError):
            sg.cross_entropy_backprops(p[:1], bad)
    with pytest.raises(TypeError):
        sg.cross_entropy_backprops(p[:1], [0.5])
    with pytest.raises(ValueError, match="sums to"):
        sg.sample_labels(p * 1.1)


def test_overlaps(rng):
    A = decaying(rng, 30, 30)
    H = A + A.T
    g = rng.normal(size=30)
    values, Q = np.linalg.eigh(H)
    order = np.argsort(-np.abs(values))[:erank(values)]
    Hg = Q[:, order] @ (values[order] * (Q[:, order].T @ g))
    want = g @ Hg / (np.linalg.norm(g) * np.linalg.norm(Hg))
    dense, matrix_free = sg.gradient_hessian_overlap(H, g), sg.gradient_hessian_overlap(Symmetric(H), g, steps=320)
    assert dense.value == pytest.approx(want, rel=1e-10) and dense.truncation == len(order)
    assert matrix_free.value == pytest.approx(want, rel=1e-8) and matrix_free.error == 0 and matrix_free.products == 30
    G = rng.normal(size=(12, 40))
    mean, F = G.mean(0), G.T @ G
    values, Q = np.linalg.eigh(F)
    top = Q[:, ::-1][:, :erank(values)]
    Fg = top @ (values[::-1][:top.shape[1]] * (top.T @ mean))
    want = mean @ Fg / (np.linalg.norm(mean) * np.linalg.norm(Fg))
    assert sg.gradient_gram_overlap(sg.gram(G)).value == pytest.approx(want, rel=1e-10)


class Symmetric:
    """A matrix as an operator."""

    def __init__(self, A, work=None):
        self.A, self.shape, self.dtype, self.work = A, A.shape, A.dtype, work

    def matvec(self, x):
        if self.work:
            self.work(x)
        return self.A @ x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrix_free(rng, dtype):
    A = decaying(rng, 90, 90)
    K = (A @ A.T).astype(dtype)
    values = np.linalg.eigvalsh(K.astype(float))[::-1]
    op = Symmetric(K)
    pairs = sg.extreme_eigenpairs(op, 4, seed=5)
    assert pairs.converged and pairs.products > 4
    np.testing.assert_allclose(pairs.values, values[:4], rtol=1e-4 if dtype == np.float32 else 1e-10)
    np.testing.assert_allclose(K @ pairs.vectors, pairs.vectors * pairs.values, atol=2e-3 * values[0])
    smallest = sg.extreme_eigenpairs(-K.astype(float), 1, which="smallest").values[0]
    assert smallest == pytest.approx(-values[0], rel=1e-4)
    assert abs(sg.estimated_effective_rank(op, steps=60, seed=2).rank - erank(values)) <= 2
    assert sg.estimated_effective_rank(op, steps=90).rank == erank(values)
    trace = sg.estimated_trace(op, probes=30, seed=1)
    assert trace.value == pytest.approx(values.sum(), abs=8 * trace.standard_error + 1e-3 * values.sum())
    nodes, weights = sg.spectral_density(op, steps=40, seed=1)
    assert weights.sum() == pytest.approx(1) and np.all(np.diff(nodes) >= 0)
    certified = sg.partial_effective_rank(K.astype(float), seed=1)
    assert certified.certified and certified.rank == erank(values)


def test_operators_keep_what_they_get_and_may_raise(rng):
    A = decaying(rng, 20, 20)
    kept = []
    sg.extreme_eigenpairs(Symmetric(A @ A.T, kept.append), 1)
    assert all(np.linalg.norm(x) > 0.5 for x in kept) and len({x.ctypes.data for x in kept}) == len(kept)

    class Mine(Exception):
        pass

    def broken(x):
        raise Mine("here")

    def interrupted(x):
        raise KeyboardInterrupt
    with pytest.raises(Mine, match="here"):
        sg.extreme_eigenpairs(Symmetric(A, broken), 1)
    with pytest.raises(KeyboardInterrupt):
        sg.estimated_trace(Symmetric(A, interrupted))

    def bad(result):
        op = Symmetric(A @ A.T)
        op.matvec = lambda x: result
        return op
    for result in (np.ones(3), np.ones((20, 2)), "text", None, np.ones(20, complex)):
        with pytest.raises(ValueError, match="estimated_effective_rank: op.matvec gave"):
            sg.estimated_effective_rank(bad(result))
    with pytest.raises(ValueError, match="NaN"):
        sg.estimated_effective_rank(bad(np.full(20, np.nan)), steps=5)
    with pytest.raises(ValueError, match="square"):
        sg.estimated_trace(Symmetric(A[:3]))


def test_scipys_operators(rng):
    linalg = pytest.importorskip("scipy.sparse.linalg")
    A = decaying(rng, 40, 40)
    K = A @ A.T
    pairs = sg.extreme_eigenpairs(linalg.aslinearoperator(K), 2)
    np.testing.assert_allclose(pairs.values, np.linalg.eigvalsh(K)[::-1][:2])


def test_rank_interval(rng):
    K = sg.gram(decaying(rng, 40, 60))
    interval = sg.rank_interval(K, seed=1)
    assert interval.lower <= interval.rank <= interval.upper and interval.rank == sg.symmetric_effective_rank(K).rank
    assert sg.rank_interval(K, seed=1) == interval


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (3, 5), (4, 3, 2, 2)])
def test_penalties(rng, shape, dtype):
    theta0 = rng.normal(size=shape).astype(dtype)
    theta = (theta0 + 0.1 * rng.normal(size=shape)).astype(dtype)
    order, target = np.argsort(theta.ravel(), kind="stable"), np.empty(theta.size, dtype)
    target[order] = np.sort(theta0.ravel())
    for penalty, to in ((sg.L2Penalty(), 0 * theta), (sg.L2InitPenalty(theta0), theta0),
                        (sg.WassersteinPenalty(theta0), target.reshape(shape))):
        distance = theta.astype(float) - to
        value, gradient = penalty.value_and_gradient(theta)
        assert value == pytest.approx((distance**2).sum()) == pytest.approx(penalty.value(theta))
        assert gradient.dtype == dtype and gradient.shape == theta.shape
        np.testing.assert_allclose(gradient, 2 * distance, atol=1e-6)
        added = np.ones_like(theta)
        assert penalty.add_gradient(theta, 0.5, added) == pytest.approx(value)
        np.testing.assert_allclose(added, 1 + distance, atol=1e-6)
        if theta.ndim == 2:
            strided = np.ones((2 * shape[0], shape[1]), dtype)[::2]
            penalty.add_gradient(np.asfortranarray(theta), 0.5, strided)
            np.testing.assert_allclose(strided, added, atol=1e-7)


def test_bad_penalties(rng):
    theta = rng.normal(size=(3, 4))
    penalty = sg.WassersteinPenalty(theta)
    for call in (lambda: penalty.value(theta[:2]), lambda: penalty.value(theta * np.nan), lambda: sg.L2InitPenalty(theta * np.inf),
                 lambda: penalty.value(theta.astype(np.float32)), lambda: penalty.add_gradient(theta, 1.0, theta[0]),
                 lambda: penalty.add_gradient(theta, np.nan, theta.copy()), lambda: penalty.add_gradient(theta, 1.0, None)):
        with pytest.raises(ValueError, match="Penalty"):
            call()
    fixed = theta.copy()
    fixed.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        penalty.add_gradient(theta, 1.0, fixed)
    assert repr(penalty) == "WassersteinPenalty(theta0 of shape (3, 4), float64)"


def test_feature_rank_penalty(rng):
    for shape in ((9, 4), (4, 9)):
        F = rng.normal(size=shape)
        U, s, V = np.linalg.svd(F)
        last = s[-1] if shape[0] >= shape[1] else 0
        want = 2 * F @ np.outer(V[0], V[0]) - (2 * F @ np.outer(V[-1], V[-1]) if last else 0)
        value, gradient = sg.FeatureRankPenalty().value_and_gradient(F)
        assert value == pytest.approx(s[0] ** 2 - last**2) == pytest.approx(sg.FeatureRankPenalty().value(F))
        np.testing.assert_allclose(gradient, want, atol=1e-9)
        added = np.ones_like(F)
        sg.FeatureRankPenalty().add_gradient(F, 0.5, added)
        np.testing.assert_allclose(added, 1 + want / 2, atol=1e-9)


def test_norms(rng):
    x, y = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 4, 5)).astype(np.float32)
    assert sg.l1_norm(x) == pytest.approx(np.abs(x).sum()) and sg.l2_norm(y) == pytest.approx(np.linalg.norm(y), rel=1e-6)
    assert sg.l1_distance(x, y) == pytest.approx(np.abs(x - y).sum())
    assert sg.l2_distance(x, y) == pytest.approx(np.linalg.norm(x - y))


def test_threads_of_python_work_at_once(rng):
    A = [decaying(rng, 80, 80) for _ in range(6)]
    theta = [rng.normal(size=5000) for _ in range(6)]
    penalty = sg.WassersteinPenalty(theta[0])
    work = [lambda i=i: (sg.effective_rank(A[i]), sg.extreme_eigenpairs(Symmetric(A[i] @ A[i].T), 1, seed=1).values[0],
                         penalty.value_and_gradient(theta[i])[1].tobytes()) for i in range(6)]
    alone, together = [job() for job in work], [None] * 6
    threads = [threading.Thread(target=lambda i=i: together.__setitem__(i, work[i]())) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_help_helps():
    for name in sg.__all__:
        thing = getattr(sg, name)
        if callable(thing):
            assert thing.__doc__ and len(thing.__doc__) > 20, name


def test_what_the_page_shows():
    page = (pathlib.Path(__file__).parents[2] / "docs" / "python.md").read_text()
    listing, last, shown = re.search(r"```python\n(import numpy.*?)(sg\.effective_rank\(A\)) +# (.*?)\n```", page, re.S).groups()
    names = {}
    exec(listing, names)
    assert repr(eval(last, names)) == shown
    for table in re.findall(r"^\| [^|]+ \| (`.*`) \|$", page, re.M):
        for name in re.findall(r"`(\w+)`", table):
            assert hasattr(sg, name) or name in ("shape", "matvec"), name
