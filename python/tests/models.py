"""What the tests of the adapter share."""
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


def mlp():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 5))


@pytest.fixture
def small():
    torch.manual_seed(2)
    model, x, y = mlp(), torch.randn(10, 8), torch.randint(0, 5, (10,))
    return model, x, y, lambda: nn.functional.cross_entropy(model(x), y, reduction="none")
