"""The monitor as a callback of Lightning."""
import sys


def _lightning():
    """Lightning under the name by which the program has it."""
    names = ("lightning.pytorch", "pytorch_lightning")
    for name in sorted(names, key=lambda name: name not in sys.modules):
        try:
            return __import__(name, fromlist=["Callback"])
        except ImportError:
            continue
    raise ImportError("Monitor: lightning_callback needs Lightning: pip install lightning")


def callback(monitor):
    base = _lightning().Callback

    class MonitorCallback(base):
        """Measures after every so many optimizer steps."""

        state_key = "pysagitta.Monitor"

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if monitor.x is None and isinstance(batch, (tuple, list)) and len(batch) == 2:
                monitor.x, monitor.y = batch
            if trainer.global_step <= monitor.steps:  # gradients are still being accumulated
                return
            found = monitor.step()
            if found is not None and trainer.is_global_zero:
                values = {f"curvature/{name}": value for name, value in found.as_dict().items()}
                for logger in trainer.loggers:
                    logger.log_metrics(values, step=trainer.global_step)

        def state_dict(self):
            return monitor.state_dict()

        def load_state_dict(self, state):
            monitor.load_state_dict(state)

    return MonitorCallback()
