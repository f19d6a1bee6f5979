"""The loss of section 5.4, and the learning rate of section 5.3."""

# N target tokens, D d_model, V vocabulary, C the tokens of one chunk

import math
from typing import Any, assert_never, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lit_transformer.config import OptimConfig

CPU_CHUNK, GPU_CHUNK = 512, 2048
"""Tokens whose logits exist at one time: enough for efficient matrix products, few enough that they
stay in a CPU's cache and never fill a GPU's memory."""


def learning_rate(step: int, d_model: int, optim: OptimConfig, steps: int) -> float:
    """Of update `step` of `steps`, counted from 1.

    Section 5.3: rate_factor * d_model^-0.5 * min(step^-0.5, step * warmup_steps^-1.5), which
    without warm-up is the first of the two. With peak_steps, and in other schedules, the warm-up
    ends at rate_factor * (d_model * peak_steps)^-0.5, the highest rate.
    """
    warmup, height = optim.warmup_steps, optim.rate_factor * d_model**-0.5
    peak = optim.peak_steps or warmup or 1
    held = max(warmup, peak)
    gone = max(0, step - warmup) / max(1, steps + 1 - warmup)
    match optim.schedule:
        case "inverse_sqrt" if optim.peak_steps is None:
            rising = step * warmup**-1.5 if warmup else math.inf
            return float(height * min(step**-0.5, rising))
        case "inverse_sqrt":
            left = (held / max(step, held)) ** 0.5
        case "constant":
            left = 1.0
        case "linear":
            left = 1 - gone
        case "cosine":
            left = (1 + math.cos(math.pi * gone)) / 2
        case _ as never:
            assert_never(never)
    grown = min(1.0, step / warmup) if warmup else 1.0
    return float(height * peak**-0.5 * grown * left)


def mass_spread(optim: OptimConfig, vocab_size: int) -> float:
    """The probability to spread over a whole vocabulary, the right word included, so that it is
    smoothed as the configuration says. A right word that gets a share of its own loses the less."""
    match optim.smoothed_over:
        case "vocabulary":
            return optim.label_smoothing
        case "others":
            return optim.label_smoothing * vocab_size / (vocab_size - 1)
        case _ as never:
            assert_never(never)


def smoothed_loss(
    states_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, label_smoothing: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of softmax(states weight^T), summed over tokens, in nats -> (loss, nll).

    `loss` gives `label_smoothing` of the probability to all V words evenly, the target included
    (torch's `label_smoothing`); `nll` gives none, and carries no gradient. Both are float32 at
    least. The logits exist for a chunk of tokens at a time: the gradients are computed in the
    forward pass, so that nothing of the size N x V is stored.
    """
    wanted = torch.is_grad_enabled() and (states_ND.requires_grad or weight_VD.requires_grad)
    loss, nll = _ProjectedLoss.apply(  # type: ignore[no-untyped-call]
        states_ND, weight_VD, targets_N, label_smoothing, wanted
    )
    return loss, nll


@final
class _ProjectedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states_ND: Tensor,
        weight_VD: Tensor,
        targets_N: Tensor,
        label_smoothing: float,
        wanted: bool,
    ) -> tuple[Tensor, Tensor]:
        ctx.dtype = states_ND.dtype
        states, weight = _for_products(states_ND), _for_products(weight_VD)
        sums = torch.zeros(
            2, dtype=torch.promote_types(states.dtype, torch.float32), device=states.device
        )
        if wanted:
            grad_states, grad_weight = torch.empty_like(states), torch.zeros_like(weight_VD)
        if states.device.type == "cpu":
            rows, losses_of, gradient_of = CPU_CHUNK, _losses, _logit_gradient
        else:
            rows, losses_of, gradient_of = GPU_CHUNK, _losses_on_a_gpu, _logit_gradient_on_a_gpu
        for start in range(0, len(states), rows):
            part = slice(start, start + rows)
            logits_CV = states[part] @ weight.T
            given = targets_N[part], label_smoothing
            losses, p_CV = losses_of(logits_CV, *given, sums.dtype)
            sums += losses
            if wanted:
                d_CV = gradient_of(p_CV, *given, weight.dtype)
                torch.mm(d_CV, weight, out=grad_states[part])
                _add_product(grad_weight, d_CV.T, states[part])
        if wanted:
            ctx.save_for_backward(grad_states, grad_weight)
        loss, nll = sums[0].clone(), sums[1].clone()
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grad_states, grad_weight = ctx.saved_tensors
        # Not in place: a graph that is kept may be walked again.
        return (grad_states * grad_loss).to(ctx.dtype), grad_weight * grad_loss, None, None, None


def _for_products(x: Tensor) -> Tensor:
    """In the type of autocast where that is on: inside a Function's forward nothing else asks."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


def _losses(
    logits_CV: Tensor, targets_C: Tensor, label_smoothing: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The smoothed and the unsmoothed loss, summed (2,), and the probabilities, both of `dtype`, in
    the memory of logits that have it; these are exponentiated once."""
    logits_CV = logits_CV.to(dtype)
    wanted_C1 = logits_CV.gather(1, targets_C[:, None])
    mean_C1 = logits_CV.mean(dim=1, keepdim=True) if label_smoothing else wanted_C1
    peak_C1 = logits_CV.amax(dim=1, keepdim=True)
    p_CV = logits_CV.sub_(peak_C1).exp_()
    sum_C1 = p_CV.sum(dim=1, keepdim=True)
    log_sum_C1 = peak_C1 + sum_C1.log()
    nll, even = (log_sum_C1 - wanted_C1).sum(), (log_sum_C1 - mean_C1).sum()
    return _smoothed(nll, even, label_smoothing), p_CV.div_(sum_C1)


def _losses_on_a_gpu(
    logits_CV: Tensor, targets_C: Tensor, label_smoothing: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The same in fewer passes over memory, which is what takes time there."""
    log_p_CV = functional.log_softmax(logits_CV, dim=1, dtype=dtype)
    nll = -log_p_CV.gather(1, targets_C[:, None]).sum()
    even = -log_p_CV.mean(dim=1).sum() if label_smoothing else nll
    return _smoothed(nll, even, label_smoothing), log_p_CV.exp_()


def _smoothed(nll: Tensor, even: Tensor, label_smoothing: float) -> Tensor:
    return torch.stack(((1 - label_smoothing) * nll + label_smoothing * even, nll))


def _logit_gradient(
    p_CV: Tensor, targets_C: Tensor, label_smoothing: float, dtype: torch.dtype
) -> Tensor:
    """p minus the smoothed target, of `dtype`, in the memory of `p_CV` where it has that."""
    if label_smoothing:
        p_CV.sub_(label_smoothing / p_CV.size(1))
    return _less_certain(p_CV, targets_C, label_smoothing).to(dtype)


def _logit_gradient_on_a_gpu(
    p_CV: Tensor, targets_C: Tensor, label_smoothing: float, dtype: torch.dtype
) -> Tensor:
    """The same, rounded last and in the pass that subtracts."""
    _less_certain(p_CV, targets_C, label_smoothing)
    out_CV = p_CV if dtype == p_CV.dtype else p_CV.new_empty(p_CV.shape, dtype=dtype)
    return torch.sub(p_CV, label_smoothing / p_CV.size(1), out=out_CV)


def _less_certain(p_CV: Tensor, targets_C: Tensor, label_smoothing: float) -> Tensor:
    certain = p_CV.new_full((1, 1), label_smoothing - 1).expand(len(p_CV), 1)
    return p_CV.scatter_add_(1, targets_C[:, None], certain)


def _add_product(sum_VD: Tensor, d_VC: Tensor, states_CD: Tensor) -> None:
    if sum_VD.dtype == d_VC.dtype:
        sum_VD.addmm_(d_VC, states_CD)
    else:
        sum_VD += d_VC @ states_CD
