"""Table 1, measured: how time and memory grow with length and width, beside the paper's O(.)."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, get_args

import numpy as np
from scipy.special import stdtrit

from lit_transformer.complexity.cells import Cell, LayerType, Terms, operations
from lit_transformer.complexity.record import LeftOut, Results

UNDISTURBED = 0.9
"""Of a processor, from which on a cell's time is its own."""
FEWEST = 3
"""Points of a line that has an interval."""
PUBLISHED: dict[LayerType, str] = {
    "self-attention": "self-attention",
    "self-attention-restricted": "self-attention-restricted",
    "self-attention-unprojected": "self-attention",
    "self-attention-restricted-unprojected": "self-attention-restricted",
    "recurrent-lstm": "recurrent",
    "recurrent-gru": "recurrent",
    "convolutional": "convolutional",
}
"""The row of the paper's Table 1 that a layer type is; feed-forward layers have none."""


class Growth(NamedTuple):
    """An exponent, with the ends of its 95 % interval; it is of so many points."""

    exponent: float
    low: float
    high: float
    points: int


class Point(NamedTuple):
    """One cell: seconds (of the fastest repeat) and bytes, of a forward pass, and of one with its
    backward pass."""

    cell: Cell
    forward_s: float
    training_s: float
    forward_bytes: int
    training_bytes: int
    operations: int
    repeats: int
    share: float
    """Of a processor that its process had."""


RIVALS: tuple[LayerType, ...] = (
    "self-attention-restricted",
    "recurrent-lstm",
    "recurrent-gru",
    "convolutional",
)
"""What may stand in the place of self-attention."""
Measure = Callable[[Point], float]


class Crossing(NamedTuple):
    """From about this length on, self-attention of this width takes longer than `faster`."""

    width: int
    faster: LayerType
    length: float


class Survey(NamedTuple):
    """All that one folder has."""

    terms: Terms
    environment: Mapping[str, Any]
    runs: Sequence[Mapping[str, str]]
    """Commands that measured here, each with its commit."""
    points: dict[Cell, Point]
    left_out: dict[Cell, LeftOut]
    paths: dict[tuple[str, int], dict[str, Any]]

    @property
    def disturbed(self) -> int:
        """Cells beside which other work took the processor."""
        return sum(point.share < UNDISTURBED for point in self.points.values())

    @property
    def layers(self) -> list[LayerType]:
        found = {cell.layer for cell in (*self.points, *self.left_out)}
        return [layer for layer in get_args(LayerType) if layer in found]

    @property
    def lengths(self) -> list[int]:
        return sorted({cell.length for cell in (*self.points, *self.left_out)})

    @property
    def widths(self) -> list[int]:
        return sorted({cell.width for cell in (*self.points, *self.left_out)})

    def by_length(self, layer: LayerType, width: int) -> list[Point]:
        """What was measured, from short to long."""
        some = [p for c, p in self.points.items() if (c.layer, c.width) == (layer, width)]
        return sorted(some, key=lambda point: point.cell.length)

    def by_width(self, layer: LayerType, length: int) -> list[Point]:
        some = [p for c, p in self.points.items() if (c.layer, c.length) == (layer, length)]
        return sorted(some, key=lambda point: point.cell.width)


def read(results: Results) -> Survey:
    header = results.header()
    terms = Terms(**header["terms"])
    points = {
        cell: Point(
            cell,
            min(one["forward_s"]),
            min(one["training_s"]),
            one["forward_bytes"],
            one["training_bytes"],
            operations(cell, terms),
            len(one["training_s"]),
            one["share"],
        )
        for cell, one in results.measured().items()
    }
    about, told = header["environment"], [*results.lines("run")]
    return Survey(terms, about, told, points, results.left_out(), results.paths())


def growth(points: Sequence[Point], measure: Measure, over: Callable[[Cell], int]) -> Growth | None:
    """The slope of a line by least squares through logarithms of the larger half of the points,
    three at least: at small sizes the calls of kernels are what takes time. None: too few.
    """
    some = points[-max(FEWEST, math.ceil(len(points) / 2)) :]
    if len(some) < FEWEST:
        return None
    x = np.log([over(point.cell) for point in some])
    y = np.log([measure(point) for point in some])
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    rest = y - y.mean() - slope * (x - x.mean())
    free = len(some) - 2
    half = float(stdtrit(free, 0.975)) * math.sqrt(float((rest**2).sum()) / free / spread)
    return Growth(slope, slope - half, slope + half, len(some))


def in_length(survey: Survey, layer: LayerType, width: int, measure: Measure) -> Growth | None:
    return growth(survey.by_length(layer, width), measure, lambda cell: cell.length)


def in_width(survey: Survey, layer: LayerType, length: int, measure: Measure) -> Growth | None:
    return growth(survey.by_width(layer, length), measure, lambda cell: cell.width)


def longest_shared(survey: Survey, layer: LayerType) -> int | None:
    """The longest length that was measured at every width."""
    shared = [n for n in survey.lengths if len(survey.by_width(layer, n)) == len(survey.widths)]
    return max(shared, default=None)


def crossings(survey: Survey) -> list[Crossing]:
    """From where on self-attention takes longer than its rivals, with the backward pass; between
    two lengths by their logarithms, the last crossing of each pair."""
    found = []
    for width in survey.widths:
        own = {p.cell.length: p.training_s for p in survey.by_length("self-attention", width)}
        for layer in RIVALS:
            theirs = {p.cell.length: p.training_s for p in survey.by_length(layer, width)}
            lead = [(n, math.log(own[n] / theirs[n])) for n in own if n in theirs]
            changes = [(a, b) for a, b in pairwise(lead) if a[1] <= 0 < b[1]]
            if changes:
                (short, before), (long, after) = changes[-1]
                length = short * (long / short) ** (-before / (after - before))
                found.append(Crossing(width, layer, length))
    return found


def fastest(survey: Survey, width: int) -> list[tuple[LayerType, int, int]]:
    """Of self-attention and its rivals, those that were run: by spans of lengths, the first and the
    last of each."""
    found: list[tuple[LayerType, int, int]] = []
    for length in survey.lengths:
        cells = [Cell(layer, length, width) for layer in ("self-attention", *RIVALS)]
        run = [survey.points[cell] for cell in cells if cell in survey.points]
        if len(run) > 1:
            layer = min(run, key=lambda point: point.training_s).cell.layer
            first = found.pop()[1] if found and found[-1][0] == layer else length
            found.append((layer, first, length))
    return found
