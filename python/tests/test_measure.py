"""`measure`: what it tells, what it takes, and that it leaves everything as it was."""
import contextlib
import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pysagitta as sg  # noqa: E402
import pysagitta.torch as st  # noqa: E402
from models import mlp, small  # noqa: E402, F401

nn = torch.nn


def test_measure_is_a_table_and_a_mapping(small):
    model, x, y, losses = small
    initial = st.snapshot(model)
    with torch.no_grad():
        model[0].weight.add_(0.1)
    m = st.measure(model, x, y, previous=initial, initial=initial, sampled_fisher=True, gauss_newton=True, sharpness=True)
    values = m.as_dict()
    assert dict(m) == values and {**m} == values and all(isinstance(v, (int, float)) for v in values.values())
    assert values["loss"] == pytest.approx(losses().mean().item()) and values["error"] == (model(x).argmax(1) != y).double().mean().item()
    assert values["update_l2"] == values["initial_distance_l2"] == pytest.approx(0.1 * np.sqrt(128), rel=1e-5)
    assert values["initial_distance_w2"] <= values["initial_distance_l2"] * 1.001
    features = model[1](model[0](x)).detach().numpy()
    assert m.feature_rank == sg.feature_rank(features) and m.dormancy == pytest.approx(sg.dormancy(features))
    assert values["gauss_newton_rank"] == m.gauss_newton_rank.rank and 0 < values["sampled_fisher_rank_relative"] <= 1
    table = str(m)
    assert "fisher rank" in table and f"{m.fisher_rank.rank} of 10" in table and len(table.splitlines()) > 10
    plain = st.measure(model, x, y).as_dict()
    assert not {"update_l2", "sharpness", "gauss_newton_rank", "initial_distance_w2"} & set(plain)
    regression = st.measure(nn.Linear(8, 2), x, torch.randn(10, 2))
    assert np.isnan(regression["error"]) and regression["feature_rank"] > 0
    without = st.measure(Scale(), x, torch.randn(10, 8))
    assert without.feature_rank is None and np.isnan(without["feature_rank"]) and "feature rank" not in str(without)


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(8))

    def forward(self, x):
        return x * self.factor


class TwoInputs(nn.Module):
    """Called with keywords, answers like models of transformers."""

    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(12, 8), nn.Linear(8, 5)

    def forward(self, ids, mask=None):
        hidden = self.words(ids)
        if mask is not None:
            hidden = hidden * mask.unsqueeze(2)
        return type("Output", (), {"logits": self.head(hidden.mean(1))})()


def test_measure_takes_batches_of_every_form():
    torch.manual_seed(3)
    model, ids, y = TwoInputs(), torch.randint(0, 12, (7, 4)), torch.randint(0, 5, (7,))
    mask = torch.rand(7, 4)
    want = st.measure(model, ids, y, forward=lambda m, x: m(x, mask[:len(x)]).logits).as_dict()
    for x in ({"ids": ids, "mask": mask}, (ids, mask), [ids, mask]):
        for batch_size in (0, 3):
            assert st.measure(model, x, y, batch_size=batch_size).as_dict() == pytest.approx(want, rel=1e-4, abs=1e-6)
    targets = {"label": y}
    assert st.measure(model, ids, targets, batch_size=3, loss=lambda z, t: nn.functional.cross_entropy(
        z, t["label"], reduction="none"))["loss"] == pytest.approx(st.measure(model, ids, y)["loss"])
    for bad in ({"ids": ids, "mask": mask[:3]}, {}, {"ids": 3}):
        with pytest.raises(ValueError, match="measure: x"):
            st.measure(model, bad, y)
    assert st.measure(mlp(), np.zeros((4, 8), np.float32), np.zeros(4, np.int64)).samples == 4


class Noisy(nn.Module):
    """All that a forward pass may move: buffers, three generators of random numbers, modes of its parts."""

    def __init__(self):
        super().__init__()
        self.one, self.norm, self.drop, self.head = nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 5)
        self.register_buffer("calls", torch.zeros(()))
        self.norm.eval()

    def forward(self, x):
        self.calls += 1
        x = x * (1 + 0.01 * random.random() + 0.01 * np.random.rand() + 0.01 * torch.rand(()))
        return self.head(self.drop(torch.relu(self.norm(self.one(x)))))


def state_of(model):
    return ([t.clone() for t in model.state_dict().values()], [m.training for m in model.modules()], torch.get_rng_state(),
            random.getstate(), np.random.get_state()[1].tolist(), torch.is_grad_enabled(), torch.get_num_threads(),
            [None if p.grad is None else p.grad.clone() for p in model.parameters()],
            torch.backends.cuda.flash_sdp_enabled(), torch.backends.cudnn.allow_tf32)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("context", [contextlib.nullcontext, torch.no_grad, torch.inference_mode])
def test_measure_leaves_everything_as_it_was(context):
    torch.manual_seed(4)
    model, x, y = Noisy(), torch.randn(6, 8), torch.randint(0, 5, (6,))
    model(x).sum().backward()
    before = state_of(model)
    with context():
        first = st.measure(model, x, y, sharpness=True)
        st.measure(model, x, y)
        assert "NaN" in st.measure(model, x * np.nan, y).unavailable["fisher_rank"]
    assert same(state_of(model), before)
    assert first.samples == 6


class Pooled(nn.Module):
    """Its features are a mean, which torch computes in place in what it has just made."""

    def __init__(self):
        super().__init__()
        self.one, self.head = nn.Linear(6, 8), nn.Linear(8, 5)

    def features(self, x):
        return torch.tanh(self.one(x)).mean(1)

    def forward(self, x):
        return self.head(self.features(x))


@pytest.mark.parametrize("samples", [3, 17, 60, 199])
def test_features_are_those_of_the_forward_pass(samples):
    torch.manual_seed(samples)
    model, x, y = Pooled(), torch.randn(samples, 4, 6), torch.randint(0, 5, (samples,))
    want = model.features(x).detach().numpy()
    found = st.measure(model, x, y)
    assert found.feature_rank == sg.feature_rank(want) and found.dormancy == pytest.approx(sg.dormancy(want), rel=1e-6)
    assert found.dormant_fraction == sg.dormant_fraction(want)


def test_tokens_and_padding():
    torch.manual_seed(5)
    model, ids, y = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 9)), torch.randint(0, 9, (4, 5)), torch.randint(0, 9, (4, 5))
    y[:, 3:] = -1
    found = st.measure(model, ids, y, ignore_index=-1)
    logits, labels = model(ids)[:, :3].flatten(0, 1), y[:, :3].flatten()
    assert found.samples == 12 and found.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item())
    want = st.empirical_fisher_gram(lambda: nn.functional.cross_entropy(model(ids[:, :3]).flatten(0, 1), labels, reduction="none"), model)
    assert found.fisher_rank.rank == st.rank(want).rank


def test_compiled_and_parallel_models_are_measured_without(small):
    model, x, y, _ = small
    wrapped = nn.DataParallel(model)
    wrapped._orig_mod = wrapped.module  # as torch.compile's wrapper has it
    assert st.measure(wrapped, x, y).as_dict() == st.measure(model, x, y).as_dict()
