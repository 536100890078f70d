"""The monitor as a callback of Hugging Face's Trainer."""
import pathlib

import torch

_FILE = "pysagitta_monitor.pt"


def callback(monitor):
    try:
        from transformers import TrainerCallback
    except ImportError as error:
        raise ImportError("Monitor: trainer_callback needs transformers: pip install transformers") from error

    class MonitorCallback(TrainerCallback):
        """Measures after every so many optimizer steps."""

        def on_train_begin(self, args, state, control, **kwargs):
            if state.global_step == 0:
                return
            resumed = args.resume_from_checkpoint
            folders = [pathlib.Path(resumed)] if isinstance(resumed, str) else []
            folders.append(pathlib.Path(args.output_dir) / f"checkpoint-{state.global_step}")
            for folder in folders:
                if (folder / _FILE).exists():
                    monitor.load_state_dict(torch.load(folder / _FILE, map_location="cpu"))
                    return
            monitor.steps = state.global_step

        def on_step_end(self, args, state, control, **kwargs):
            found = monitor.step()
            if found is not None and state.is_world_process_zero:
                values = {f"curvature/{name}": value for name, value in found.as_dict().items()}
                state.log_history.append({**values, "step": state.global_step})

        def on_save(self, args, state, control, **kwargs):
            folder = pathlib.Path(args.output_dir) / f"checkpoint-{state.global_step}"
            if state.is_world_process_zero and folder.is_dir():
                torch.save(monitor.state_dict(), folder / _FILE)

    return MonitorCallback()
