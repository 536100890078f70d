"""The adapter on models of every kind, against loops over single samples."""
import threading
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pysagitta as sg  # noqa: E402
import pysagitta.torch as st  # noqa: E402
from conftest import erank  # noqa: E402
from models import mlp, small  # noqa: E402, F401

nn = torch.nn


def loop_gradients(losses, parameters):
    rows = []
    for loss in losses.reshape(-1):
        grads = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        rows.append(torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for g, p in zip(grads, parameters)]))
    return torch.stack(rows).double()


class Square(torch.autograd.Function):
    """A function of one's own, which has no rule."""

    @staticmethod
    def forward(ctx, w, x):
        ctx.save_for_backward(w, x)
        return x @ (w * w).t()

    @staticmethod
    def backward(ctx, g):
        w, x = ctx.saved_tensors
        return 2 * w * (g.t() @ x), g @ (w * w)


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.w, self.linear = nn.Parameter(torch.randn(5, 8) / 3), nn.Linear(8, 8)

    def forward(self, x):
        return Square.apply(self.w, torch.tanh(self.linear(x)))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 5)

    def forward(self, x):
        return self.head(self.rnn(x.view(len(x), 2, 4))[0][:, -1])


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = mlp()

    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(self.inner, x, use_reentrant=False)


MODELS = {
    "mlp": mlp,
    "cnn": lambda: nn.Sequential(nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 3, 2, padding=1), nn.ReLU(), nn.Flatten(),
                                 nn.LazyLinear(5)),
    "norms": lambda: nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6), nn.GELU(), nn.BatchNorm1d(6), nn.Linear(6, 5)).eval(),
    "own function": Own,
    "lstm": Recurrent,
    "checkpoint": Checkpointed,
    "script": lambda: torch.jit.script(mlp()),
}


@pytest.fixture(params=MODELS)
def case(request):
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MODELS[request.param]()
        x, y = torch.randn(9, 8), torch.randint(0, 5, (9,))
        model(x)
    return model, x, y, lambda: nn.functional.cross_entropy(model(x), y, reduction="none")


def test_gram_matrices_of_any_model(case):
    model, x, y, losses = case
    parameters = list(model.parameters())
    G = loop_gradients(losses(), parameters)
    result = st.empirical_fisher_gram(losses, model.named_parameters(), per_layer=True)
    scale = (G @ G.T).abs().max()
    assert (result.gram.double() - G @ G.T).abs().max() < 1e-5 * scale
    assert result.check_error < 1e-5 and result.parameter_count == G.shape[1]
    assert st.rank(result).rank == erank(np.linalg.svd(G.numpy(), compute_uv=False) ** 2)
    assert (sum(layer.gram for layer in result.layers.values()) - result.gram).abs().max() < 1e-5 * scale
    first = 0
    for name, p in model.named_parameters():  # every name finds its layer
        assert name in result.layers[name].parameters
        if result.layers[name].parameters == (name,):
            part = G[:, first:first + p.numel()]
            assert (result.layers[name].gram - part @ part.T).abs().max() < 1e-5 * scale
        first += p.numel()
    batched = st.empirical_fisher_gram(
        lambda i: nn.functional.cross_entropy(model(x[5 * i:5 * i + 5]), y[5 * i:5 * i + 5], reduction="none"), parameters,
        batches=2)
    assert (batched.gram - result.gram).abs().max() < 1e-4 * scale
    assert all(p.grad is None for p in parameters)


def test_gauss_newton_and_sampled_fisher(case):
    model, x, _, _ = case
    parameters = list(model.parameters())
    z = model(x)
    J, p = loop_gradients(z, parameters), z.detach().double().softmax(1)
    rows = []
    for m in range(len(x)):
        L = torch.from_numpy(sg.softmax_hessian_factor(p[m].numpy()).copy())
        rows.append(L.T @ J[5 * m:5 * m + 5])
    B = torch.cat(rows)
    gram = st.gauss_newton_gram(lambda: model(x), parameters).gram.double()
    assert (gram - B @ B.T).abs().max() < 1e-4 * (B @ B.T).abs().max()
    squared = st.gauss_newton_gram(lambda: model(x), parameters, loss="squared_error").gram.double()
    assert (squared - 2 * J @ J.T).abs().max() < 1e-4 * (J @ J.T).abs().max()
    one, again, other = (st.sampled_fisher_gram(lambda: model(x), parameters, seed=seed).gram for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    drawn = st.sampled_fisher_gram(lambda: model(x), parameters, generator=torch.Generator().manual_seed(1)).gram
    assert torch.equal(one, drawn)


def test_parameters_of_every_form(small):
    model, _, _, losses = small
    want = st.empirical_fisher_gram(losses, list(model.parameters())).gram
    for given in (model, model.parameters(), model.named_parameters(), dict(model.named_parameters()),
                  tuple(model.parameters()), list(model.parameters()) * 2):
        assert torch.equal(st.empirical_fisher_gram(losses, given).gram, want)
    model[0].weight.requires_grad_(False)
    assert st.empirical_fisher_gram(losses, model).parameter_count == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_errors_name_the_function_and_exceptions_come_through(small):
    model, x, y, losses = small
    parameters = list(model.parameters())

    class Mine(Exception):
        pass

    def broken(*_):
        raise Mine("here")

    class Breaks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            raise Mine("in backward")
    for call in (lambda: st.empirical_fisher_gram(broken, parameters), lambda: st.HessianOperator(broken, parameters),
                 lambda: st.measure(model, x, y, loss=broken), lambda: st.measure(model, x, y, forward=broken),
                 lambda: st.empirical_fisher_gram(lambda: Breaks.apply(losses()), parameters)):
        with pytest.raises(Mine):
            call()
    with pytest.raises(KeyboardInterrupt):
        st.empirical_fisher_gram(lambda: (_ for _ in ()).throw(KeyboardInterrupt), parameters)
    with torch.no_grad():
        bad = [p.clone() for p in parameters]
        bad[0][:] = float("nan")
    with_nan = lambda: torch.func.functional_call(model, dict(zip(dict(model.named_parameters()), bad)), x).sum(1)  # noqa: E731
    for call, kind, words in [
            (lambda: st.empirical_fisher_gram(lambda: losses().mean(), parameters), ValueError, "one loss a sample"),
            (lambda: st.empirical_fisher_gram(losses, []), ValueError, "parameters is empty"),
            (lambda: st.empirical_fisher_gram(with_nan, parameters), ValueError, "NaN"),
            (lambda: st.empirical_fisher_gram(lambda: losses().tolist(), parameters), TypeError, "returned list"),
            (lambda: st.empirical_fisher_gram(lambda: None, parameters), TypeError, "returned NoneType"),
            (lambda: st.empirical_fisher_gram(losses(), parameters), TypeError, "losses is of type Tensor"),
            (lambda: st.empirical_fisher_gram(losses, parameters[0]), TypeError, "one tensor"),
            (lambda: st.empirical_fisher_gram(losses, [1]), TypeError, "parameter 0 is of type int"),
            (lambda: st.empirical_fisher_gram(losses, 3), TypeError, "parameters is of type int"),
            (lambda: st.empirical_fisher_gram(losses, parameters, check_seed=-1), ValueError, "seed is -1"),
            (lambda: st.empirical_fisher_gram(losses, parameters, chunk_bytes=0), ValueError, "chunk_bytes"),
            (lambda: st.empirical_fisher_gram(losses, parameters, batches=2**70), ValueError, "batches"),
            (lambda: st.gauss_newton_gram(lambda: model(x), parameters, loss="hinge"), ValueError, "'hinge'"),
            (lambda: st.sampled_fisher_gram(lambda: model(x), parameters, generator=3), TypeError, "generator"),
            (lambda: st.rank(torch.ones(2, 3)), ValueError, "square"), (lambda: st.rank([1]), TypeError, "rank"),
            (lambda: st.measure(model, x, y[:3]), ValueError, "measure"), (lambda: st.measure(3, x, y), TypeError, "Module"),
            (lambda: st.measure(model, x, y, previous=[x]), ValueError, "previous")]:
        with pytest.raises(kind, match=words):
            call()
    with torch.no_grad(), pytest.raises(ValueError, match="no-grad"):
        st.empirical_fisher_gram(losses, parameters)
    norm = nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(5))
    with pytest.raises(ValueError, match="eval"):
        st.empirical_fisher_gram(lambda: norm(x).sum(1), norm.parameters())


def test_operators_speak_torch_and_scipy(small):
    linalg = pytest.importorskip("scipy.sparse.linalg")
    model, x, y, losses = small
    model.double()
    x = x.double()
    losses = lambda: nn.functional.cross_entropy(model(x), y, reduction="none")  # noqa: E731
    parameters, mean = list(model.parameters()), lambda: losses().mean()
    dense = st.exact_hessian(mean, parameters)
    G = loop_gradients(losses(), parameters)
    J, p = loop_gradients(model(x), parameters), model(x).detach().softmax(1)
    GN = sum(J[5 * m:5 * m + 5].T @ (torch.diag(p[m]) - torch.outer(p[m], p[m])) @ J[5 * m:5 * m + 5] for m in range(10)) / 10
    for H, want in ((st.HessianOperator(mean, parameters), dense), (st.EmpiricalFisherOperator(losses, parameters), G.T @ G / 10),
                    (st.GaussNewtonOperator(lambda: model(x), parameters), GN)):
        V = torch.randn(H.shape[0], 3, dtype=torch.float64)
        assert torch.allclose(H @ V, want @ V, atol=1e-10) and torch.allclose(H @ V[:, 0], want @ V[:, 0], atol=1e-10)
        assert (H @ V[:, :0]).shape == (H.shape[0], 0)
        values = np.linalg.eigvalsh(want.numpy())
        assert linalg.eigsh(H.scipy(), 2, which="LA")[0] == pytest.approx(values[-2:], rel=1e-8)
        found = sg.extreme_eigenpairs(H, 2, which="largest", seed=1)
        assert found.values == pytest.approx(values[::-1][:2], rel=1e-8) and found.converged
        assert str(H.shape[0]) in repr(H) and "float64" in repr(H)
    H = st.HessianOperator(mean, parameters)
    assert torch.allclose(H.gradient(), G.mean(0))
    g, overlap = H.gradient().numpy(), sg.gradient_hessian_overlap(H, H.gradient().numpy(), seed=1)
    assert overlap.value == pytest.approx(sg.gradient_hessian_overlap(dense.numpy(), g).value, rel=1e-6)
    with torch.no_grad():
        parameters[0].mul_(1.1)
    with pytest.raises(ValueError, match="changed"):
        H @ V[:, 0]
    for wrong in (V[:5, 0], V[:, 0].float(), V[:, 0].numpy(), None):
        with pytest.raises((ValueError, TypeError)):
            st.HessianOperator(mean, parameters) @ wrong


def test_float_operators_are_judged_by_float(small):
    model, x, y, losses = small
    H = st.HessianOperator(lambda: losses().mean(), model.named_parameters())
    assert H.dtype == np.float32
    pairs = sg.extreme_eigenpairs(H, 1, which="largest")
    assert pairs.converged
    assert pairs.values[0] == pytest.approx(np.linalg.eigvalsh(st.exact_hessian(lambda: losses().mean(), model).numpy())[-1], rel=1e-4)
    assert st.measure(model, x, y, sharpness=True).sharpness == pytest.approx(pairs.values[0], rel=1e-3)


def test_penalties(small):
    model, _, _, _ = small
    parameters = list(model.parameters())
    initial = [p.detach().clone() for p in parameters]
    penalties = [st.L2Penalty(), st.L2InitPenalty(parameters), st.WassersteinPenalty(model)]
    with torch.no_grad():
        for p in parameters:
            p.add_(0.1 * torch.randn_like(p))
    references = [lambda p, p0: sg.L2Penalty(), lambda p, p0: sg.L2InitPenalty(p0), lambda p, p0: sg.WassersteinPenalty(p0)]
    for penalty, reference in zip(penalties, references):
        model.zero_grad()
        parts = [reference(p, p0).value_and_gradient(p.detach().numpy()) for p, p0 in zip(parameters, initial)]
        term = penalty(parameters)
        term.backward()
        assert term.item() == pytest.approx(sum(value for value, _ in parts), rel=1e-5)
        for p, (_, gradient) in zip(parameters, parts):
            assert torch.allclose(p.grad, torch.from_numpy(gradient), atol=1e-6)
        model.zero_grad()
        assert penalty.add_gradient_(model, 0.5).item() == pytest.approx(term.item(), rel=1e-5)
        for p, (_, gradient) in zip(parameters, parts):
            assert torch.allclose(p.grad, torch.from_numpy(gradient) / 2, atol=1e-6)
    with pytest.raises(ValueError, match="WassersteinPenalty"):
        penalties[2](parameters[:1])
    F = torch.randn(9, 4, requires_grad=True)
    value = st.FeatureRankPenalty()(F)
    value.backward()
    want = sg.FeatureRankPenalty().value_and_gradient(F.detach().numpy())
    assert value.item() == pytest.approx(want[0], rel=1e-5) and np.allclose(F.grad.numpy(), want[1], atol=1e-4)


def test_threads_of_python_work_at_once():
    def one(seed):
        generator = torch.Generator().manual_seed(seed)
        model = mlp()
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))
        x, y = torch.randn(16, 8, generator=generator), torch.randint(0, 5, (16,), generator=generator)
        return [st.measure(model, x, y, sharpness=True).as_dict() for _ in range(3)]
    flash = torch.backends.cuda.flash_sdp_enabled()
    alone, together = [one(seed) for seed in range(4)], [None] * 4
    threads = [threading.Thread(target=lambda i=i: together.__setitem__(i, one(i))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone and torch.backends.cuda.flash_sdp_enabled() == flash


def test_the_gil_is_free(small):
    """Another thread of Python gets on while the adapter works: without that it would wait for the whole call."""
    model, _, _, _ = small
    x, y = torch.randn(600, 8), torch.randint(0, 5, (600,))
    losses = lambda: nn.functional.cross_entropy(model(x), y, reduction="none")  # noqa: E731
    result, done, ticks = st.empirical_fisher_gram(losses, model), threading.Event(), []

    def count():
        while not done.is_set():
            ticks.append(None)
            done.wait(1e-4)
    thread = threading.Thread(target=count)
    thread.start()
    before = len(ticks)
    for _ in range(10):
        st.rank(result)
    seen = len(ticks) - before
    done.set()
    thread.join()
    assert seen > 10


def test_reprs_tell(small):
    model, _, _, losses = small
    text = repr(st.empirical_fisher_gram(losses, model, per_layer=True))
    assert "10 x 10 float32 on cpu" in text and "check error" in text and "229 parameters" in text and "2 layers" in text
    assert "not checked" in repr(st.empirical_fisher_gram(losses, model, check=False))
    assert "0.weight and 0.bias" in repr(st.empirical_fisher_gram(losses, model, per_layer=True).layers)
    own, x = Own(), torch.randn(3, 8)
    result = st.empirical_fisher_gram(lambda: own(x).sum(1), own)
    assert result.fallback_parameters == ("w",) and "by single samples: w" in repr(result)
    for name in st.__all__:
        assert getattr(st, name).__doc__, name
