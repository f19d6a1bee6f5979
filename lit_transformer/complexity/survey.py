"""The whole of Table 1, cell by cell: what is done stays done, what is too large is told."""

from collections.abc import Callable, Iterator, Sequence

import torch

from lit_transformer.complexity.cells import (
    PASSES,
    Asked,
    Cell,
    LayerType,
    memory,
    operations,
)
from lit_transformer.complexity.measuring import (
    TooLargeError,
    free_bytes,
    measure,
    quiet_profiler,
)
from lit_transformer.complexity.paths import trace
from lit_transformer.complexity.record import LeftOut, Results

SHARE = 0.7
"""Of the memory that is free, which a cell may take by its estimate."""


def carry_out(
    asked: Asked, results: Results, device: torch.device, say: Callable[[str], None]
) -> None:
    """Everything that `results` lacks; one line for each row of cells."""
    quiet_profiler()
    found = results.paths()
    for layer in asked.layers:
        for length in asked.path_lengths:
            if (layer, length) not in found:
                path = trace(layer, length, asked.terms)
                results.add(
                    "path",
                    {**path._asdict(), "sequential": path.sequential, "longest": path.longest},
                )
    for number, (layer, width) in enumerate(asked.rows, start=1):
        told = _row(asked, results, device, layer, width)
        say(f"{number:3}/{len(asked.rows)} {layer}, d = {width}: {told}")


def _row(asked: Asked, results: Results, device: torch.device, layer: LayerType, width: int) -> str:
    """Measures it -> what to tell of it."""
    done = results.measured()
    last: tuple[Cell, float] | None = None
    told: list[str] = []
    for length in asked.lengths:
        cell = Cell(layer, length, width)
        if cell not in done:
            why = too_large(asked, cell, device, last)
            if why is None:
                why = _measure(asked, results, device, cell)
            if why is not None:
                results.add(
                    "cell", {**cell._asdict(), "left_out": why.reason, "estimate": why.estimate}
                )
                told.append(f"n = {length:,} is left out: {why.words}")
                continue
            done = results.measured()
        last = cell, min(done[cell]["training_s"])
    if last is not None:
        told.insert(0, f"n = {last[0].length:,} takes {1000 * last[1]:,.3g} ms")
    return "; ".join(told)


def too_large(
    asked: Asked, cell: Cell, device: torch.device, before: tuple[Cell, float] | None
) -> LeftOut | None:
    """By the memory that it is estimated to take, and by the time of a shorter one."""
    needed = memory(cell, asked.terms, fused=device.type == "cuda")
    if needed > SHARE * free_bytes(device):
        return LeftOut("memory", needed)
    if before is not None:
        shorter, took_s = before
        growth = operations(cell, asked.terms) / operations(shorter, asked.terms)
        if took_s * growth > asked.most_s:
            return LeftOut("time", took_s * growth)
    return None


def _measure(asked: Asked, results: Results, device: torch.device, cell: Cell) -> LeftOut | None:
    try:
        found = measure(cell, asked.terms, device, asked.repeats, asked.most_s)
    except TooLargeError:
        return LeftOut("memory", memory(cell, asked.terms, fused=device.type == "cuda"))
    results.add("cell", {**cell._asdict(), **found._asdict()})
    return None


def plan(asked: Asked, results: Results, device: torch.device) -> Iterator[str]:
    """What is to be done, line by line."""
    done = results.measured()
    cells = [Cell(layer, n, d) for layer, d in asked.rows for n in asked.lengths]
    todo = [cell for cell in cells if cell not in done]
    yield (
        f"{len(cells)} cells: {len(asked.layers)} layer types, n = {_listed(asked.lengths)}, "
        f"d = {_listed(asked.widths)}; {len(cells) - len(todo)} are measured, {len(todo)} to run"
    )
    large = sum(
        memory(cell, asked.terms, device.type == "cuda") > SHARE * free_bytes(device)
        for cell in todo
    )
    counted = sum(PASSES * operations(cell, asked.terms) for cell in todo)
    yield (
        f"{large} of them need more memory than the {SHARE * free_bytes(device) / 2**30:.1f} GiB "
        f"they may take; one pass of each counts {counted:.2g} operations; a pass that would take "
        f"more than {asked.most_s:g} s is left out"
    )


def _listed(numbers: Sequence[int]) -> str:
    return (
        f"{numbers[0]:,} to {numbers[-1]:,}"
        if len(numbers) > 2
        else " and ".join(map(str, numbers))
    )
