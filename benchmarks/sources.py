"""What every contender translates, and the weights it does it with: numpy and json alone."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pairs
from numpy.typing import NDArray

EXTRA_LENGTH = 50
"""Output tokens allowed beyond the source's length."""
HYPOTHESES = 256
"""At once in every contender's search, as this project's is shipped: sentences times beam."""


class Sources:
    """The test part's source sentences, and the ids of the special tokens."""

    def __init__(self, workload: Path) -> None:
        self.meta = pairs.meta(workload)
        self.side = pairs.read(workload, "test").source

    def ids(self, first: int, count: int) -> list[list[int]]:
        """With their end marks."""
        return [self.side[index].tolist() for index in range(first, first + count)]

    def plain(self, ids: Sequence[int]) -> list[int]:
        """Without begin mark, padding, end mark and what follows that."""
        if self.meta["eos"] in ids:
            ids = ids[: list(ids).index(self.meta["eos"])]
        return [i for i in ids if i not in (self.meta["pad"], self.meta["bos"])]


def in_batches(
    sources: Sequence[list[int]],
    sentences: int,
    translate: Callable[[list[list[int]], int], Sequence[Sequence[int]]],
) -> list[Sequence[int]]:
    """`translate(sources, longest output)` of sentences of like length, put back in order."""
    order = sorted(range(len(sources)), key=lambda index: -len(sources[index]))
    found: dict[int, Sequence[int]] = {}
    for start in range(0, len(order), sentences):
        batch = order[start : start + sentences]
        longest = len(sources[batch[0]]) + EXTRA_LENGTH
        outputs = translate([sources[index] for index in batch], longest)
        found.update(zip(batch, outputs, strict=True))
    return [found[index] for index in range(len(sources))]


def sizes(weights: Path) -> dict[str, Any]:
    """layers, d_model, d_ff and heads of the model whose weights these are."""
    content: dict[str, Any] = json.loads(weights.with_suffix(".json").read_text())
    return content


def sinusoids(length: int, d_model: int) -> NDArray[np.float32]:
    """Section 3.5 of the paper, sine and cosine in turn."""
    angle = np.arange(length)[:, None] / 10_000 ** (np.arange(0, d_model, 2) / d_model)
    return np.stack((np.sin(angle), np.cos(angle)), axis=-1).reshape(length, -1).astype(np.float32)


def layer_names(side: str, layer: int) -> Iterator[tuple[str, str, int]]:
    """(attention, its own name in the weights, place of its residual)."""
    yield "self", f"{side}.{layer}.self_attention", 0
    if side == "decoder":
        yield "cross", f"{side}.{layer}.cross_attention", 1
