"""The monitor in training loops: what it writes, and that training does not notice it."""
import csv
import math
import warnings

import pytest

torch = pytest.importorskip("torch")

import pysagitta.torch as st  # noqa: E402

nn = torch.nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.norm, self.drop, self.head = nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Dropout(0.3), nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.drop(torch.relu(self.norm(self.one(x)))))


def setting(seed=0):
    torch.manual_seed(seed)
    model = Net()
    return model, torch.optim.Adam(model.parameters(), lr=0.01), torch.randn(16, 6), torch.randint(0, 3, (16,))


def train(model, optimizer, steps, monitor=None):
    for _ in range(steps):
        x, y = torch.randn(8, 6), torch.randint(0, 3, (8,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        if monitor:
            monitor.step()
    return [t.clone() for t in model.state_dict().values()] + [torch.get_rng_state()]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("options", [{}, {"threads": 2, "distances": True, "sharpness": True, "every": 1}, {"batch_size": 5}])
def test_training_does_not_notice(tmp_path, options):
    runs = []
    for watched in (False, True):
        model, optimizer, x, y = setting()
        monitor = st.Monitor(model, **{"every": 3, "x": x, "y": y, "csv": tmp_path / "c.csv", **options}) if watched else None
        runs.append(train(model, optimizer, 10, monitor))
    assert len(monitor.history) == 10 // monitor.every
    assert all(torch.equal(a, b) for a, b in zip(*runs))


def test_what_it_writes(tmp_path):
    model, optimizer, x, y = setting()
    logged, steps = [], []

    class Run:
        def log(self, values):
            steps.append(values)

    class Writer:
        def add_scalar(self, name, value, step):
            scalars.setdefault(step, {})[name] = value

        def flush(self):
            pass
    scalars, path = {}, tmp_path / "made" / "c.csv"
    monitor = st.Monitor(model, every=4, x=x, y=y, csv=path, tensorboard=Writer(), wandb=Run(),
                         log=lambda values, step: logged.append((step, values)), distances=True)
    assert monitor.measure().samples == 16  # before training
    before = [p.detach().clone() for p in model.parameters()]
    train(model, optimizer, 9, monitor)
    assert [row["step"] for row in monitor.history] == [0, 4, 8] == [step for step, _ in logged] == list(scalars)
    rows = rows_of(path)
    assert [row["step"] for row in rows] == ["0", "4", "8"]
    for row, (_, values), wandb, tensorboard in zip(rows, logged, steps, scalars.values()):
        assert set(values) == set(tensorboard) and set(wandb) == {*values, "curvature/step"}
        for name, value in values.items():
            assert tensorboard[name] == value or math.isnan(value)
            assert float(row[name.removeprefix("curvature/")]) == value or math.isnan(value)
    last = monitor.last
    assert last.update_l2 > 0 and last.initial_distance_l2 > last.update_l2
    assert monitor.history[0]["initial_distance_l2"] == 0 and "3 measurements" in repr(monitor)
    moved = sum(((p - q) ** 2).sum() for p, q in zip(st.snapshot(model), before)).sqrt()
    assert moved > 0


def test_updates_are_those_of_one_step():
    model, optimizer, x, y = setting()
    monitor = st.Monitor(model, every=2, x=x, y=y)
    train(model, optimizer, 3, monitor)
    before = st.snapshot(model)
    train(model, optimizer, 1, monitor)
    want = sum(((p - q).double() ** 2).sum() for p, q in zip(st.snapshot(model), before)).sqrt().item()
    assert monitor.last.update_l2 == pytest.approx(want, rel=1e-6)
    assert st.Monitor(model, every=1, x=x, y=y, updates=False).step().update_l2 is None


def test_it_goes_on_from_a_checkpoint(tmp_path):
    model, optimizer, x, y = setting()
    whole = st.Monitor(model, every=3, x=x, y=y, csv=tmp_path / "whole.csv", distances=True)
    train(model, optimizer, 12, whole)
    model, optimizer, x, y = setting()
    first = st.Monitor(model, every=3, x=x, y=y, csv=tmp_path / "parts.csv", distances=True)
    train(model, optimizer, 5, first)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "monitor": first.state_dict(),
                "random": torch.get_rng_state()}, tmp_path / "checkpoint")
    state = torch.load(tmp_path / "checkpoint", weights_only=True)
    # what was written after the checkpoint is written again
    train(model, optimizer, 3, first)
    model, optimizer, x, y = setting(9)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    _, _, x, y = setting()
    second = st.Monitor(model, every=3, x=x, y=y, csv=tmp_path / "parts.csv", distances=True)
    second.load_state_dict(state["monitor"])
    torch.set_rng_state(state["random"])
    train(model, optimizer, 7, second)
    strip = lambda rows: [{k: v for k, v in row.items() if k != "seconds"} for row in rows]  # noqa: E731
    assert strip(rows_of(tmp_path / "parts.csv")) == strip(rows_of(tmp_path / "whole.csv"))
    assert strip(second.history[1:]) == strip(whole.history[1:])
    with pytest.raises(ValueError, match="history"):
        second.load_state_dict({"steps": 3})


def test_a_diverged_run_goes_on(tmp_path):
    model, optimizer, x, y = setting()
    monitor, strict = (st.Monitor(model, every=1, x=x, y=y, strict=strict, csv=None if strict else tmp_path / "c.csv")
                       for strict in (False, True))
    train(model, optimizer, 1, monitor)
    with torch.no_grad():
        model.head.weight[:] = float("nan")
    with pytest.warns(UserWarning, match="at step 2 .*no fisher_rank: .*NaN"):
        found = monitor.step()
    assert found.fisher_rank is None and "NaN" in found.unavailable["loss"] and "unavailable" in str(found)
    assert math.isnan(monitor.history[-1]["fisher_rank"]) and rows_of(tmp_path / "c.csv")[-1]["loss"] == "nan"
    assert monitor.history[-1]["update_l2"] != 0 and list(monitor.history[0]) == list(monitor.history[1])
    with pytest.raises(ValueError, match="Monitor: at step 1 .*NaN"):
        strict.step()


def test_bad_arguments(tmp_path):
    model, _, x, y = setting()
    for call, kind, words in [(lambda: st.Monitor(3, x=x, y=y), TypeError, "Module"),
                              (lambda: st.Monitor(model, every=0), ValueError, "every is 0"),
                              (lambda: st.Monitor(model, treshold=0.9), TypeError, "treshold"),
                              (lambda: st.Monitor(model, threads=0), ValueError, "threads"),
                              (lambda: st.Monitor(model, wandb=3), TypeError, "wandb"),
                              (lambda: st.Monitor(model, tensorboard=3), TypeError, "SummaryWriter"),
                              (lambda: st.Monitor(model, every=1).step(), ValueError, "no batch")]:
        with pytest.raises(kind, match=words):
            call()
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="has the columns a, b"):
        st.Monitor(model, every=1, x=x, y=y, csv=tmp_path / "other.csv").step()
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2\n"


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    model, _, x, y = setting()
    monitor = st.Monitor(model, every=1, x=x, y=y, tensorboard=tmp_path)
    monitor.step()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Scalars("curvature/fisher_rank")[0].value == monitor.last.fisher_rank.rank


def lightning_run(tmp_path, lightning, monitor, model, epochs, checkpoint=None):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def training_step(self, batch, _):
            return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(1)
    data = torch.utils.data.TensorDataset(torch.randn(32, 6, generator=generator), torch.randint(0, 3, (32,), generator=generator))
    trainer = lightning.Trainer(max_epochs=epochs, logger=False, enable_progress_bar=False, enable_model_summary=False,
                                enable_checkpointing=False, accelerator="cpu", accumulate_grad_batches=2,
                                callbacks=[monitor.lightning_callback()] if monitor else [], default_root_dir=tmp_path)
    torch.manual_seed(5)
    trainer.fit(Module(), torch.utils.data.DataLoader(data, 8), ckpt_path=checkpoint)
    return trainer


def test_lightning(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain, *_ = setting()
        lightning_run(tmp_path, lightning, None, plain, 3)
        model, *_ = setting()
        monitor = st.Monitor(model, every=2)  # measures on the first batch
        trainer = lightning_run(tmp_path, lightning, monitor, model, 3)
        trainer.save_checkpoint(tmp_path / "checkpoint")
        assert [row["step"] for row in monitor.history] == [2, 4, 6]  # 4 batches an epoch, two of them a step
        assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), model.state_dict().values()))
        again = st.Monitor(model, every=2, x=monitor.x, y=monitor.y)
        lightning_run(tmp_path, lightning, again, model, 4, tmp_path / "checkpoint")
    assert [row["step"] for row in again.history] == [2, 4, 6, 8]


def test_hugging_faces_trainer(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Classifier(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x, labels):
            logits = self.net(x)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}
    data = [{"x": torch.randn(6), "labels": i % 3} for i in range(24)]

    def run(watched, steps, resume=None):
        model, _, x, y = setting()
        model.drop.p = 0.0
        arguments = transformers.TrainingArguments(str(tmp_path), max_steps=steps, save_steps=4, logging_steps=100, use_cpu=True,
                                                   per_device_train_batch_size=4, report_to=[], disable_tqdm=True)
        monitor = st.Monitor(model, every=2, x=x, y=y)
        trainer = transformers.Trainer(Classifier(model), arguments, train_dataset=data,
                                       callbacks=[monitor.trainer_callback()] if watched else [])
        trainer.train(resume_from_checkpoint=resume)
        return model, monitor, trainer
    plain, _, _ = run(False, 6)
    model, monitor, trainer = run(True, 6)
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), model.state_dict().values()))
    assert [row["step"] for row in monitor.history] == [2, 4, 6]
    assert [row["step"] for row in trainer.state.log_history if "curvature/fisher_rank" in row] == [2, 4, 6]
    _, resumed, _ = run(True, 8, str(tmp_path / "checkpoint-4"))
    assert [row["step"] for row in resumed.history] == [2, 4, 6, 8]
