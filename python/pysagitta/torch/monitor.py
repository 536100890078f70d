"""Measures a model while it is trained."""
import math
import time
import typing
import warnings
from collections.abc import Callable

import torch

from ._adapter import whole
from ._writers import CsvWriter, TensorBoardWriter, WandbWriter
from .measurement import Measurement, measure, snapshot, unwrapped


class Monitor:
    """Measures a model every so many steps of its training, on the same batch, and writes down what it finds.

        monitor = Monitor(model, every=100, x=x, y=y, csv="curvature.csv")
        for inputs, labels in loader:
            ...
            optimizer.step()
            monitor.step()

    Training goes as it would without: weights, gradients, buffers, modes and random numbers stay as they are, to the bit.

    model: any torch.nn.Module. every: steps from one measurement to the next; monitor.measure() makes one at any time.
    x, y: the batch, see `measure`; 256 samples tell much. They may be changed later (`monitor.x`, `monitor.y`), or given
    to `step`.
    csv: a file. Rows of an earlier run with the same columns stay in it. tensorboard: a SummaryWriter or a folder. wandb:
    a run or the module. log: (dict of numbers, step) for any other logger. prefix: of names, but in a CSV file.
    updates: measure the norm of the last update too, for which a copy of the weights is taken a step ahead.
    distances: measure distances from the weights that the model has now, of which a copy is kept.
    threads: of torch in a measurement, where not those of the training.
    strict: what a measurement cannot answer (of a run that diverged to NaN, say) is NaN in its row, and a warning says why,
    so that it ends no run; with strict it is a ValueError.
    Any other argument is one of `measure`: loss, forward, batch_size, sharpness, ...

    Of several processes (torch.distributed) the first one measures.
    """

    def __init__(self, model: torch.nn.Module, *, every: int = 100, x: typing.Any = None, y: typing.Any = None,
                 csv: typing.Any = None, tensorboard: typing.Any = None, wandb: typing.Any = None,
                 log: "Callable[[dict, int], object] | None" = None, prefix: str = "curvature/", updates: bool = True,
                 distances: bool = False, threads: "int | None" = None, strict: bool = False, **options):
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"Monitor: model is of type {type(model).__name__}, expected a torch.nn.Module")
        unknown = set(options) - set(measure.__kwdefaults__)
        if unknown:
            raise TypeError(f"Monitor: unknown argument {', '.join(sorted(unknown))}; those of measure are "
                            f"{', '.join(measure.__kwdefaults__)}")
        self.model, self.x, self.y = model, x, y
        self.every = whole(every, "Monitor", "every", 1)
        self.steps = 0
        """Calls of step() so far."""
        self.history: "list[dict[str, int | float]]" = []
        """All rows: step, seconds, and the numbers of Measurement.as_dict()."""
        self.last: "Measurement | None" = None
        """The last measurement."""
        self._threads = None if threads is None else whole(threads, "Monitor", "threads", 1)
        self._updates, self._strict, self._options = bool(updates), bool(strict), options
        self._initial = snapshot(model) if distances else None
        self._previous = None
        self._writers = [make(target, *rest) for make, target, rest in
                         ((CsvWriter, csv, ()), (TensorBoardWriter, tensorboard, (prefix,)), (WandbWriter, wandb, (prefix,)))
                         if target is not None]
        if log is not None:
            self._writers.append(lambda values, step: log({prefix + name: v for name, v in values.items()}, step))

    def step(self, x: typing.Any = None, y: typing.Any = None) -> "Measurement | None":
        """Counts a step of training, after optimizer.step(); the measurement, where it is time for one.

        x, y: to measure on instead of the monitor's.
        """
        self.steps += 1
        if self.steps % self.every == 0:
            return self.measure(x, y)
        self._look_ahead()
        return None

    def measure(self, x: typing.Any = None, y: typing.Any = None) -> "Measurement | None":
        """A measurement now, written down; None in processes that do not measure."""
        x, y = self.x if x is None else x, self.y if y is None else y
        if x is None or y is None:
            raise ValueError("Monitor: there is no batch to measure on, expected x and y, of the monitor or of this call")
        if not _is_first_process():
            return None
        start = time.perf_counter()
        found = self._measured(x, y)
        if found.unavailable:
            told = "; ".join(f"no {name}: {why}" for name, why in found.unavailable.items())
            if self._strict:
                raise ValueError(f"Monitor: at step {self.steps} {told}")
            warnings.warn(f"Monitor: at step {self.steps} {told}", stacklevel=2)
        self.last, values = found, found.as_dict()
        if self._updates:  # columns stay the same where the last update was not seen
            values = {**values, **{name: values.get(name, math.nan) for name in ("update_l1", "update_l2")}}
        values = {**values, "seconds": time.perf_counter() - start}
        self.history.append({"step": self.steps, **values})
        for write in self._writers:
            write(values, self.steps)
        self._previous = None
        self._look_ahead()
        return found

    def _look_ahead(self):
        """The weights before the update that is measured next."""
        if self._updates and (self.steps + 1) % self.every == 0 and _is_first_process():
            self._previous = snapshot(self.model)

    def _measured(self, x, y):
        threads = torch.get_num_threads()
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        try:
            options = {"previous": self._previous, "initial": self._initial, **self._options}
            found = measure(self.model, x, y, **options)
        finally:
            if self._threads is not None:
                torch.set_num_threads(threads)
        return found

    def state_dict(self) -> dict:
        """The monitor's place in training, for a checkpoint beside the model's."""
        return {"steps": self.steps, "history": [dict(row) for row in self.history], "initial": self._initial, "previous": self._previous}

    def load_state_dict(self, state: dict) -> None:
        """Goes on from state_dict()."""
        missing = {"steps", "history", "initial", "previous"} - set(state)
        if missing:
            raise ValueError(f"Monitor: the state has no {', '.join(sorted(missing))}, expected what state_dict() gave")
        self.steps = whole(state["steps"], "Monitor", "steps", 0)
        self.history = [dict(row) for row in state["history"]]
        device = next((p.device for p in unwrapped(self.model).parameters()), None)
        for name in ("initial", "previous"):
            kept = state[name]
            setattr(self, f"_{name}", None if kept is None else [p.to(device) for p in kept])

    def lightning_callback(self):
        """A callback for Lightning's Trainer: counts optimizer steps, writes to its loggers, goes into its checkpoints.

        Without x and y the first batch of training, where that is (x, y), is measured on.
        """
        from ._lightning import callback
        return callback(self)

    def trainer_callback(self):
        """A callback for Hugging Face's Trainer: counts optimizer steps, writes to its log history and checkpoints."""
        from ._transformers import callback
        return callback(self)

    def __repr__(self):
        what = type(unwrapped(self.model)).__name__
        return f"Monitor({what}, every {self.every} steps, at step {self.steps}, {len(self.history)} measurements)"


def _is_first_process():
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0
