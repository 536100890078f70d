"""Independent references: plain NumPy and loops of single samples."""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small models: threads would only wait for each other

import numpy as np  # noqa: E402
import pytest  # noqa: E402


def erank(values, threshold=0.99):
    """The effective rank of a spectrum, as the paper defines it."""
    values = np.sort(np.abs(values))[::-1]
    return int(np.argmax(np.cumsum(values) > threshold * values.sum())) + 1 if values.sum() > 0 else 0


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)
