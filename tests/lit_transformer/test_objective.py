import itertools
import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from lit_transformer import objective
from lit_transformer.config import OptimConfig, Schedule
from lit_transformer.objective import learning_rate, mass_spread, smoothed_loss

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


def rates(steps: int, d_model: int = 64, **optim: Any) -> list[float]:
    given = OptimConfig(**optim)
    return [learning_rate(step, d_model, given, steps) for step in range(1, steps + 1)]


@pytest.mark.parametrize("step", [1, 399, 400, 401, 10_000])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_the_rate_is_that_of_section_5_3(step: int, factor: float) -> None:
    expected = factor * 512**-0.5 * min(step**-0.5, step * 400**-1.5)
    optim = OptimConfig(warmup_steps=400, rate_factor=factor)
    assert learning_rate(step, 512, optim, 20_000) == expected  # to the last bit


def test_the_rate_is_highest_at_the_end_of_the_warm_up() -> None:
    found = rates(60, warmup_steps=20)
    assert max(found) == found[19] == pytest.approx((64 * 20) ** -0.5)


def test_the_formula_without_warm_up_is_its_first_half() -> None:
    assert rates(9, warmup_steps=0) == [64**-0.5 * step**-0.5 for step in range(1, 10)]


@pytest.mark.parametrize("warmup_steps", [0, 5, 20, 30])
@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_the_height_is_that_of_peak_steps_however_long_the_warm_up(
    schedule: Schedule, warmup_steps: int
) -> None:
    """Grown linearly until there, and never higher."""
    found = rates(60, schedule=schedule, warmup_steps=warmup_steps, peak_steps=20)
    height, top = (64 * 20) ** -0.5, max(warmup_steps, 1)
    assert max(found) == pytest.approx(height, rel=0.02)
    grown = [height * step / top for step in range(1, top)]
    assert found[: top - 1] == pytest.approx(grown)
    assert all(a >= b for a, b in itertools.pairwise(found[top - 1 :]))


def test_peak_steps_of_the_warm_up_s_length_is_the_paper_s_rate() -> None:
    given = rates(60, warmup_steps=20, peak_steps=20)
    assert given == pytest.approx(rates(60, warmup_steps=20))


def test_tensor2tensor_s_product_is_the_paper_s_formula() -> None:
    """constant * linear_warmup * rsqrt_decay * rsqrt_hidden_size, as transformer_base_v3 has it."""
    product = [
        2.0 * min(1.0, step / 20) * max(step, 20) ** -0.5 * 64**-0.5 for step in range(1, 61)
    ]
    assert rates(60, warmup_steps=20, rate_factor=2.0) == pytest.approx(product)


def test_how_each_schedule_falls_by_hand() -> None:
    """From update 2 on, of 5; the height is (4 * 4)^-0.5 = 1/4."""
    given: dict[str, Any] = {"d_model": 4, "warmup_steps": 2, "peak_steps": 4}
    assert rates(5, **given, schedule="constant") == [1 / 8, *[1 / 4] * 4]
    assert rates(5, **given, schedule="linear") == pytest.approx(
        [1 / 8, 1 / 4, 3 / 16, 1 / 8, 1 / 16]
    )
    cosine = [(1 + c) / 8 for c in (1, 2**-0.5, 0, -(2**-0.5))]
    assert rates(5, **given, schedule="cosine") == pytest.approx([1 / 8, *cosine])
    inverse = [1 / 4, 1 / 4, 1 / 4, (4 / 5) ** 0.5 / 4]
    assert rates(5, **given, schedule="inverse_sqrt") == pytest.approx([1 / 8, *inverse])


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_a_warm_up_longer_than_training_only_grows(schedule: Schedule) -> None:
    found = rates(6, schedule=schedule, warmup_steps=12, peak_steps=3)
    assert found == pytest.approx([(64 * 3) ** -0.5 * step / 12 for step in range(1, 7)])


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
def test_smoothing_over_the_others_leaves_the_right_word_its_share(label_smoothing: float) -> None:
    """tensor2tensor's: 1 - eps for the right word, eps / (V - 1) for each other."""
    states, weight, targets = inputs(30)
    optim = OptimConfig(label_smoothing=label_smoothing, smoothed_over="others")
    loss, _ = smoothed_loss(states, weight, targets, mass_spread(optim, 50))
    wanted = torch.full((30, 50), label_smoothing / 49)
    wanted[torch.arange(30), targets] = 1 - label_smoothing
    logits = states @ weight.T
    expected = functional.cross_entropy(logits, wanted, reduction="sum")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, states), torch.autograd.grad(expected, states)
    )
    plain = OptimConfig(label_smoothing=label_smoothing)
    assert mass_spread(plain, 50) == label_smoothing


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_gpu_s_passes_give_the_same(label_smoothing):
    """Here on a CPU."""
    torch.manual_seed(0)
    logits, targets = 3 * torch.randn(7, 31), torch.randint(31, (7,))
    given = targets, label_smoothing
    losses, p = objective._losses(logits, *given, torch.float64)
    mine, my_p = objective._losses_on_a_gpu(logits, *given, torch.float64)
    torch.testing.assert_close(mine, losses)
    torch.testing.assert_close(my_p, p)
    expected = objective._logit_gradient(p.clone(), *given, torch.float64)
    for kind in (torch.float64, torch.bfloat16):
        got = objective._logit_gradient_on_a_gpu(my_p.clone(), *given, kind)
        assert got.dtype == kind
        torch.testing.assert_close(got, expected.to(kind))
