"""Time and memory of a layer's passes, on the device at hand."""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

import psutil
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lit_transformer.complexity.cells import Cell, Terms
from lit_transformer.complexity.layers import Built, build

SHORTEST_S = 0.002
"""Quicker passes are repeated until they take so long together, and divided."""
SEED = 1


class Measured(NamedTuple):
    """Of one cell: a pass without gradients, and one with its backward pass."""

    forward_s: list[float]
    """Each repeat's seconds."""
    training_s: list[float]
    forward_bytes: int
    """Most that tensors had at once beside weights and input."""
    training_bytes: int
    """The same; gradients are part of it."""
    share: float
    """Of a processor, on a CPU: far below 1, other work was running beside it. On a GPU 1."""


class TooLargeError(MemoryError):
    """The device had no more memory."""


def measure(
    cell: Cell, terms: Terms, device: torch.device, repeats: int, most_s: float
) -> Measured:
    """At least one repeat each, and no more than fit into `most_s` seconds after it."""
    torch.manual_seed(SEED)
    try:
        built = build(cell.layer, cell.length, cell.width, terms, terms.sentences, device)
        tokens = terms.sentences * cell.length
        x_ND = torch.randn(tokens, cell.width, device=device)
        forward, training = _forward(built, x_ND), _training(built, x_ND)
        forward_bytes = peak_bytes(forward, device)
        forward_s = seconds(forward, device, repeats, most_s)
        training_bytes = peak_bytes(training, device)
        began_s, busy_s = time.perf_counter(), time.process_time()
        training_s = seconds(training, device, repeats, most_s)
        share = (time.process_time() - busy_s) / (time.perf_counter() - began_s)
        share = 1.0 if device.type == "cuda" else min(share, 1.0)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if "memory" not in str(error) and not isinstance(error, torch.OutOfMemoryError):
            raise
        raise TooLargeError(str(error)) from None
    return Measured(forward_s, training_s, forward_bytes, training_bytes, share)


def seconds(
    run: Callable[[], object], device: torch.device, repeats: int, most_s: float
) -> list[float]:
    """Of each repeat; one before them warms up."""
    first_s = _timed(run, 1, device)
    count = max(1, round(SHORTEST_S / max(first_s, 1e-6)))
    found = [_timed(run, count, device)]
    while len(found) < repeats and sum(found) * count < most_s:
        found.append(_timed(run, count, device))
    return found


def peak_bytes(run: Callable[[], object], device: torch.device) -> int:
    """Most that tensors take at once while it runs, beside those that are there before.

    Counted by torch's own allocator, on a GPU as on a CPU: exact, and the same in every run. What
    libraries take past it (work space of matrix products, cuDNN's plans) is not seen.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=False) as seen:
        run()
    events = seen.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def quiet_profiler() -> None:
    """Before the first use: else it writes of itself on standard error."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")


def _forward(built: Built, x_ND: Tensor) -> Callable[[], object]:
    @torch.no_grad()
    def run() -> Tensor:
        return built.apply(x_ND)

    return run


def _training(built: Built, x_ND: Tensor) -> Callable[[], object]:
    """All gradients, of weights and of the input, made anew each time."""
    x_ND = x_ND.clone().requires_grad_()
    wanted = [x_ND, *built.module.parameters()]
    grad_ND = torch.randn_like(x_ND)

    def run() -> object:
        return torch.autograd.grad(built.apply(x_ND), wanted, grad_ND)

    return run


def _timed(run: Callable[[], object], count: int, device: torch.device) -> float:
    """Seconds of one."""
    _wait(device)
    began_s = time.perf_counter()
    for _ in range(count):
        run()
    _wait(device)
    return (time.perf_counter() - began_s) / count


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
