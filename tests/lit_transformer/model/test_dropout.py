import pytest
import torch
from torch.nn import functional

from lit_transformer.model.dropout import Dropout, dropout


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_so_many_are_zero_and_the_mean_stays(rate: float) -> None:
    torch.manual_seed(0)
    dropped = dropout(torch.ones(333, 301), rate)
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.005)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
    torch.testing.assert_close(
        dropped.unique(), torch.tensor([0.0, 1 / (1 - rate)]), rtol=1e-4, atol=0
    )


def test_elements_are_dropped_independently() -> None:
    """Four neighbours share one random word, but no bit of it."""
    torch.manual_seed(0)
    quadruples = (dropout(torch.ones(100_000, 4), 0.5) == 0).int()
    patterns = (quadruples * torch.tensor([1, 2, 4, 8])).sum(dim=1).bincount(minlength=16)
    torch.testing.assert_close(patterns / 100_000, torch.full((16,), 1 / 16), rtol=0, atol=0.005)


def test_the_gradient_goes_where_the_value_went() -> None:
    x = torch.randn(7, 5, requires_grad=True)
    out = dropout(x, 0.4)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient * x, out)


def test_one_seed_gives_one_pattern() -> None:
    patterns = []
    for _ in range(2):
        torch.manual_seed(3)
        patterns.append(dropout(torch.ones(50), 0.5))
    assert torch.equal(*patterns)


def test_it_works_in_training_alone() -> None:
    x = torch.randn(9)
    module = Dropout(0.5)
    assert module.train()(x) is not x
    assert module.eval()(x) is x
    assert Dropout(0.0).train()(x) is x


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_uses_torchs_own() -> None:
    x = torch.randn(1000, device="cuda")
    torch.manual_seed(0)
    mine = dropout(x, 0.3)
    torch.manual_seed(0)
    assert torch.equal(mine, functional.dropout(x, 0.3))
