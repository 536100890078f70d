"""Where a monitor writes its rows: names and numbers, and the step they belong to."""
import csv
import os
import pathlib


class CsvWriter:
    """A line a row, flushed at once. Rows of an earlier part of the same run stay; those past `step` go."""

    def __init__(self, path):
        self._path, self._columns = pathlib.Path(path), None

    def _begin(self, columns, step):
        rows = []
        if self._path.exists() and self._path.stat().st_size > 0:
            with self._path.open(newline="") as file:
                reader = csv.DictReader(file)
                if reader.fieldnames != columns:
                    raise ValueError(f"Monitor: {self._path} has the columns {', '.join(reader.fieldnames or [])}, expected "
                                     f"{', '.join(columns)}; remove it or give another file")
                rows = [row for row in reader if None not in row.values() and float(row["step"]) < step]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._path.with_name(self._path.name + ".part")
        with whole.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(whole, self._path)
        self._columns = columns

    def __call__(self, values, step):
        row = {"step": step, **values}
        if self._columns is None:
            self._begin(list(row), step)
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)


class TensorBoardWriter:
    """To a torch.utils.tensorboard.SummaryWriter, or to a folder."""

    def __init__(self, writer, prefix):
        if isinstance(writer, (str, os.PathLike)):
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ImportError("Monitor: writing to TensorBoard needs it: pip install tensorboard") from error
            writer = SummaryWriter(os.fspath(writer))
        if not hasattr(writer, "add_scalar"):
            raise TypeError(f"Monitor: tensorboard is of type {type(writer).__name__}, expected a SummaryWriter or a folder")
        self._writer, self._prefix = writer, prefix

    def __call__(self, values, step):
        for name, value in values.items():
            self._writer.add_scalar(self._prefix + name, value, step)
        self._writer.flush()


class WandbWriter:
    """To a run of Weights & Biases, as a row of its own with its own step, so that the run's steps stay the user's."""

    def __init__(self, run, prefix):
        if not hasattr(run, "log"):
            raise TypeError(f"Monitor: wandb is of type {type(run).__name__}, expected a run (wandb.init()) or the module")
        self._run, self._prefix = run, prefix
        if hasattr(run, "define_metric"):
            run.define_metric(f"{prefix}step")
            run.define_metric(f"{prefix}*", step_metric=f"{prefix}step")

    def __call__(self, values, step):
        self._run.log({f"{self._prefix}{name}": value for name, value in {"step": step, **values}.items()})
