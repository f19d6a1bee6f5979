"""The mean of the last checkpoints' weights (section 6.1)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lit_transformer.checkpoints import load_weights


def steps_to_average(steps: int, every: int, last: int) -> list[int]:
    """The updates after which weights are kept: the last one, and back from it `every` by `every`.

    A run too short for `last` of them has fewer.
    """
    return [step for step in range(steps - (last - 1) * every, steps + 1, every) if step > 0]


def average(files: Sequence[Path]) -> dict[str, Tensor]:
    """Mean of the weights in `files`, added up in float64.

    ValueError where two files do not hold the same parameters.
    """
    total: dict[str, Tensor] = {}
    kinds: dict[str, torch.dtype] = {}
    for file in files:
        weights = load_weights(file)
        if total and weights.keys() != total.keys():
            raise ValueError(f"{file}: holds other parameters than {files[0]}")
        for name, value in weights.items():
            kinds[name] = value.dtype
            total[name] = total.get(name, torch.zeros_like(value, dtype=torch.float64)) + value
    return {name: (value / len(files)).to(kinds[name]) for name, value in total.items()}
