import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from lit_transformer import objective
from lit_transformer.objective import learning_rate, smoothed_loss

# N target tokens, D d_model, V vocabulary
SMOOTHING = pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.2])


def inputs(tokens: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return (
        torch.randn(tokens, 8, dtype=dtype, requires_grad=True),
        torch.randn(50, 8, dtype=dtype, requires_grad=True),
        torch.randint(50, (tokens,)),
    )


@SMOOTHING
@pytest.mark.parametrize("tokens", [1, 511, 512, 1300])
def test_loss_and_gradients_are_torchs_own(tokens: int, label_smoothing: float) -> None:
    states, weight, targets = inputs(tokens)
    logits = states @ weight.T
    expected = functional.cross_entropy(
        logits, targets, label_smoothing=label_smoothing, reduction="sum"
    )
    loss, nll = smoothed_loss(states, weight, targets, label_smoothing)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    unsmoothed = functional.cross_entropy(logits, targets, reduction="sum").detach()
    torch.testing.assert_close(nll, unsmoothed, rtol=1e-6, atol=0)
    for mine, theirs in zip(
        torch.autograd.grad(loss / tokens, (states, weight)),
        torch.autograd.grad(expected / tokens, (states, weight)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)


def test_smoothing_by_hand() -> None:
    """Probabilities 0.5, 0.25, 0.25; smoothed target (0.8, 0.1, 0.1) at epsilon 0.3."""
    states = torch.tensor([[1.0]])
    weight = torch.tensor([[0.5], [0.25], [0.25]]).log()
    loss, nll = smoothed_loss(states, weight, torch.tensor([0]), 0.3)
    assert nll.item() == pytest.approx(math.log(2))
    assert loss.item() == pytest.approx(0.8 * math.log(2) + 0.2 * math.log(4))


@SMOOTHING
def test_gradients_in_double_precision(
    label_smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "CPU_CHUNK", 3)
    states, weight, targets = inputs(7, torch.float64)
    assert torch.autograd.gradcheck(
        lambda s, w: smoothed_loss(s, w, targets, label_smoothing)[0], (states, weight)
    )


def test_the_logits_never_exist_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            out = func(*args, **(kwargs or {}))
            if isinstance(out, Tensor):
                self.elements = max(self.elements, out.untyped_storage().nbytes() // 4)
            return out

    monkeypatch.setattr(objective, "CPU_CHUNK", 16)
    states, weight, targets = inputs(160)
    with Largest() as largest:
        smoothed_loss(states, weight, targets, 0.1)[0].backward()
    assert largest.elements < 2 * 16 * 50


def test_only_the_smoothed_loss_is_trained() -> None:
    loss, nll = smoothed_loss(*inputs(4), 0.1)
    assert loss.requires_grad
    assert not nll.requires_grad


def test_without_gradients_the_numbers_are_the_same() -> None:
    states, weight, targets = inputs(300)
    with torch.no_grad():
        quiet = smoothed_loss(states, weight, targets, 0.1)
    assert not quiet[0].requires_grad
    for a, b in zip(quiet, smoothed_loss(states, weight, targets, 0.1), strict=True):
        assert torch.equal(a, b.detach())


def test_no_token_is_no_loss() -> None:
    loss, nll = smoothed_loss(*inputs(0), 0.1)
    loss.backward()
    assert (loss.item(), nll.item()) == (0.0, 0.0)


def test_a_graph_that_is_kept_gives_the_same_gradient_again() -> None:
    states, weight, targets = inputs(5)
    loss, _ = smoothed_loss(states, weight, targets, 0.1)
    first = torch.autograd.grad(3 * loss, weight, retain_graph=True)
    assert torch.equal(first[0], torch.autograd.grad(3 * loss, weight)[0])


def test_autocast_keeps_loss_and_gradients_in_float32() -> None:
    states, weight, targets = inputs(40)
    exact, _ = smoothed_loss(states, weight, targets, 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, nll = smoothed_loss(states, weight, targets, 0.1)
    assert loss.dtype == nll.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.01, atol=0)
    for mine, theirs in zip(
        torch.autograd.grad(loss, (states, weight)),
        torch.autograd.grad(exact, (states, weight)),
        strict=True,
    ):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, theirs, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("step", [1, 399, 400, 401, 10_000])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_the_rate_is_that_of_section_5_3(step: int, factor: float) -> None:
    expected = factor * 512**-0.5 * min(step**-0.5, step * 400**-1.5)
    assert learning_rate(step, 512, 400, factor) == pytest.approx(expected)


def test_the_rate_is_highest_at_the_end_of_the_warm_up() -> None:
    rates = [learning_rate(step, 64, 20, 1.0) for step in range(1, 60)]
    assert max(rates) == rates[19] == pytest.approx((64 * 20) ** -0.5)
