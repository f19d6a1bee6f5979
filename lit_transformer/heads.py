"""What each head of a trial's model does, and what the model loses without it: numbers and their
file, `attention/heads.json`. Free of torch, since reports read it.
"""

# H heads, L layers

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_transformer.attention_maps import PARTS, Part
from lit_transformer.record import DAMAGE, REMEDY, Record, RecordError

FORMAT = 1
"""Raised when a key of heads.json is renamed or removed."""
POINTS = 16
"""Of the curve of removal, beside the model with all heads."""
MEASURES = ("entropy", "distance", "importance")
"""Keys of a part, and fields of `Numbers`."""

Head = tuple[Part, int, int]
"""Its part, layer and number in the layer, from 0."""


class Numbers(NamedTuple):
    """Of the heads of one part."""

    entropy_LH: NDArray[np.float64]
    """Of a row of weights, in nats; mean over the tokens that look. 0: always one token alone."""
    distance_LH: NDArray[np.float64]
    """Tokens from a row's own place to where it looks; mean over its weights and over tokens."""
    importance_LH: NDArray[np.float64]
    """By how much the loss grows without the head, in nats per target token; negative where the
    model does better without."""


class Removal(NamedTuple):
    """The model without some of its heads."""

    heads: int
    """How many are removed."""
    loss: float
    """In nats per target token."""


class Heads(NamedTuple):
    """All heads of a model, measured on sentences whose targets it is given."""

    sentences: int
    """The first ones of the valid part."""
    source_tokens: int
    target_tokens: int
    parts: Mapping[Part, Numbers]
    """Those that have heads."""
    removed: Sequence[Removal]
    """Without none first, then without more and more, the least important ones first; the last
    has no head."""

    @property
    def loss(self) -> float:
        """Of the whole model."""
        return self.removed[0].loss

    @property
    def total(self) -> int:
        return self.removed[-1].heads

    def removable(self, growth: float) -> int:
        """How many heads, the least important ones, can be removed together while the loss grows by
        less than so many nats per token; the largest number on the curve up to which it does."""
        within = 0
        for point in self.removed:
            if point.loss - self.loss >= growth:
                break
            within = point.heads
        return within


def by_importance(parts: Mapping[Part, Numbers]) -> list[Head]:
    """Least important first; equal ones as they stand in the model."""
    found = [
        (float(value), (part, int(layer), int(head)))
        for part, numbers in parts.items()
        for (layer, head), value in np.ndenumerate(numbers.importance_LH)
    ]
    return [head for _, head in sorted(found, key=lambda one: one[0])]


def counts(heads: int) -> list[int]:
    """Of heads to remove together: at most POINTS numbers, evenly up to all."""
    return sorted({-(-heads * point // POINTS) for point in range(1, POINTS + 1)})


def passes(heads: int) -> int:
    """Over the sentences, until all of this is known: whole, without each, without more and
    more."""
    return 1 + heads + len(counts(heads))


def as_object(found: Heads) -> dict[str, Any]:
    """As the file has it."""
    return {
        "format": FORMAT,
        "sentences": found.sentences,
        "source_tokens": found.source_tokens,
        "target_tokens": found.target_tokens,
        "heads": {
            part: {
                name: values_LH.tolist() for name, values_LH in zip(MEASURES, numbers, strict=True)
            }
            for part, numbers in found.parts.items()
        },
        "removed": [point._asdict() for point in found.removed],
    }


def write(record: Record, found: Heads) -> None:
    record.write_json("attention/heads.json", as_object(found))


def read(record: Record) -> Heads | None:
    """None where the trial has not measured its heads. RecordError where the file is not as a
    trial writes it."""
    about = record.read_json("attention/heads.json")
    if about is None:
        return None
    try:
        return parse(about)
    except DAMAGE:
        raise RecordError(
            f"{record.heads}: does not describe heads of format {FORMAT}; {REMEDY}"
        ) from None


def parse(about: Mapping[str, Any]) -> Heads:
    """The reverse of `as_object`; ValueError and the like where it is none."""
    if about["format"] != FORMAT:
        raise ValueError("of another version")
    parts = {part: _numbers(about["heads"][part]) for part in PARTS if part in about["heads"]}
    removed = [Removal(int(one["heads"]), float(one["loss"])) for one in about["removed"]]
    counted = sum(numbers.importance_LH.size for numbers in parts.values())
    steps = [point.heads for point in removed]
    if {*about["heads"]} != {*parts} or steps != [0, *counts(counted)] or not counted:
        raise ValueError("not the heads that were removed")
    sizes = [about[name] for name in ("sentences", "source_tokens", "target_tokens")]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError("of no sentences")
    if not np.isfinite([point.loss for point in removed]).all():
        raise ValueError("a loss is no finite number")
    return Heads(sizes[0], sizes[1], sizes[2], parts, removed)


def _numbers(about: Mapping[str, Any]) -> Numbers:
    numbers = Numbers(*(np.array(about[name], np.float64) for name in MEASURES))
    shape = numbers.importance_LH.shape
    if len(shape) != 2 or any(values.shape != shape for values in numbers):
        raise ValueError("not one number a head")
    if not all(np.isfinite(values).all() for values in numbers):
        raise ValueError("no finite number")
    if (numbers.entropy_LH < 0).any() or (numbers.distance_LH < 0).any():
        raise ValueError("less than nothing")
    return numbers
