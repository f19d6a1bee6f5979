"""A table's pictures: differences from base, and learning curves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from rich.cells import cell_len

from analysis import svg
from analysis.columns import groups, plain, value
from analysis.curves import Curve, by_row
from analysis.svg import FAINT, HAIR, INK, LINES, PAGE, LogScale, Scale
from analysis.tables import PERPLEXITY, Table

CURVES = {
    "valid.perplexity": "Perplexity on the valid part",
    "valid.curve_bleu": "BLEU of greedy search, first sentences of the valid part",
}
ROW, BREAK = 15.5, 9.3
"""Height of an arm's line in the picture of differences, and of a break between groups."""
DIFFERENCES = 331.0
"""Width of that picture without its names."""
PANEL = (238.0, 151.0)
"""Width and height of a panel of curves without its numbers."""
TICK, GAP, EDGE = 3.0, 3.0, 4.0
"""Length of a tick, way from it to its number, room at a picture's edges."""
BELOW = TICK + GAP + svg.LETTERS + EDGE
"""Room for the numbers below."""


class Panel(NamedTuple):
    """One picture, its heading and its key: (colour variable, dashed, arm)."""

    title: str
    svg: str
    key: tuple[tuple[str, bool, str], ...]


class Mark(NamedTuple):
    """An arm's place in the picture of differences: ours, its deviation, and the paper's."""

    arm: str
    y: float
    ours: float | None
    half: float
    paper: float | None


def differences(table: Table, metric: str, figure: str) -> str:
    """Every arm against base, groups apart: ours filled with its spread, the paper's hollow.

    BLEU in points; perplexity in per cent of base's. Empty where base has no score.
    """
    base = table.base.mean(metric)
    if base is None:
        return ""
    marks = list(_marks(table, metric, figure, base))
    if all(mark.ours is None for mark in marks):
        return ""
    band = (table.base.measures[metric].deviation or 0.0) * _factor(metric, base)
    left = EDGE + svg.ADVANCE * max(cell_len(mark.arm) for mark in marks) + GAP
    bottom = max(mark.y for mark in marks) + ROW * 0.7
    low, high = _reach(marks, band)
    margin = 0.05 * (high - low) or 1.0
    scale = Scale(low - margin, high + margin, left, left + DIFFERENCES)
    parts = list(_ground(scale, band, bottom))
    for mark in marks:
        parts += _arm(mark, scale)
    return svg.inline(parts, scale.end + EDGE, bottom + BELOW, f"Difference from base, {metric}")


def curves(table: Table, histories: pd.DataFrame, metric: str) -> list[Panel]:
    """Learning curves by group, base in each; one vertical scale for all."""
    found = zip(table.rows, by_row(table.rows, histories, metric), strict=True)
    drawn = {row.arm: curve for row, curve in found if curve.steps}
    if not drawn:
        return []
    limits = _limits(drawn.values(), metric == PERPLEXITY)
    base = table.base.arm
    panels: list[Panel] = []
    for name, numbers in groups(table):
        arms = [table.rows[n].arm for n in numbers if table.rows[n].arm in drawn]
        arms = [arm for arm in arms if arm != base] or arms
        if arms and (arms != [base] or len(drawn) == 1):
            title = name if len(numbers) > 1 or name else arms[0]
            some = {arm: drawn[arm] for arm in dict.fromkeys([base, *arms]) if arm in drawn}
            place = f"clip-{metric}-{len(panels)}"
            panels.append(_panel(some, base, title, metric, limits, place))
    return panels


def _factor(metric: str, base: float) -> float:
    return 100 / base if metric == PERPLEXITY else 1.0


def _marks(table: Table, metric: str, figure: str, base: float) -> Iterator[Mark]:
    """A line for each arm but base, and half a line between groups."""
    y, factor = EDGE - ROW * 0.4, _factor(metric, base)
    paper = _factor(metric, getattr(table.base.paper, figure)) if table.base.paper else 1.0
    for _, numbers in groups(table):
        rows = [table.rows[n] for n in numbers if table.rows[n] is not table.base]
        for row in rows:
            y += ROW
            mean, theirs = row.mean(metric), table.paper_difference(row, figure)
            deviation = None if mean is None else row.measures[metric].deviation
            yield Mark(
                plain(row.arm),
                y,
                None if mean is None else (mean - base) * factor,
                (deviation or 0.0) * factor,
                None if theirs is None else theirs * paper,
            )
        y += BREAK if rows else 0.0


def _reach(marks: Iterable[Mark], band: float) -> tuple[float, float]:
    ends = [-band, band]
    for mark in marks:
        ends += [] if mark.paper is None else [mark.paper]
        ends += [] if mark.ours is None else [mark.ours - mark.half, mark.ours + mark.half]
    return min(ends), max(ends)


def _ground(scale: Scale, band: float, bottom: float) -> Iterator[str]:
    """Base's line with its spread, and the axis below."""
    if band:
        ends = [(scale.at(-band), EDGE), (scale.at(band), EDGE)]
        yield svg.area([*ends, *((x, bottom) for x, _ in reversed(ends))], HAIR, 0.6)
    yield svg.line([(scale.at(0), EDGE), (scale.at(0), bottom)], FAINT, 0.6, False)
    numbers = svg.ticks(scale.low, scale.high, 6)
    words = [f"{n:+g}".replace("-", "−") if n else "base" for n in numbers]  # noqa: RUF001
    yield from _axis_below(scale, bottom, numbers, words)


def _axis_below(
    scale: Scale, y: float, numbers: Sequence[float], words: Sequence[str]
) -> Iterator[str]:
    yield svg.line([(scale.start, y), (scale.end, y)], FAINT, 0.6, False)
    for number, word in zip(numbers, words, strict=True):
        x = scale.at(number)
        yield svg.line([(x, y), (x, y + TICK)], FAINT, 0.6, False)
        yield svg.text((x, y + TICK + GAP + svg.LETTERS * 0.75), word, "middle", FAINT)


def _arm(mark: Mark, scale: Scale) -> Iterator[str]:
    y = mark.y
    yield svg.line([(scale.start, y), (scale.end, y)], HAIR, 0.5, False)
    yield svg.text((scale.start - GAP, y + svg.LETTERS * 0.35), mark.arm, "end", INK)
    if mark.paper is not None:
        yield svg.dot((scale.at(mark.paper), y), 2.6, PAGE, FAINT)
    if mark.ours is None:
        return
    if mark.half:
        ends = (mark.ours - mark.half, mark.ours + mark.half)
        yield svg.line([(scale.at(end), y) for end in ends], LINES[0], 1.4, False)
    yield svg.dot((scale.at(mark.ours), y), 2.3, LINES[0], LINES[0])


def _limits(drawn: Iterable[Curve], logarithmic: bool) -> tuple[float, float]:
    """Room for every end; a perplexity's first steps would leave none, and are cut off."""
    some = list(drawn)
    low, high = min(min(c.low) for c in some), max(max(c.high) for c in some)
    if logarithmic:
        return low * 0.92, min(high * 1.05, 2.2 * max(curve.high[-1] for curve in some))
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _panel(
    drawn: Mapping[str, Curve],
    base: str,
    title: str,
    metric: str,
    limits: tuple[float, float],
    place: str,
) -> Panel:
    """The curves of some arms; `place` is a name that no other panel of the page has."""
    numbers = _round_numbers(*limits, metric == PERPLEXITY)
    words = [f"{number:g}" for number in numbers]
    left = EDGE + svg.ADVANCE * max(map(len, words), default=0) + GAP + TICK
    right, bottom = left + PANEL[0], EDGE + PANEL[1]
    last = max(1.0, *(curve.steps[-1] for curve in drawn.values()))
    across = Scale(0.0, 1.05 * last, left, right)
    up = (LogScale if metric == PERPLEXITY else Scale)(*limits, bottom, EDGE)
    key = tuple(_key(list(drawn), base))
    lines = [
        part
        for colour, dashed, arm in key
        for part in _draw(drawn[arm], across, up, colour, dashed, 2.2 if colour == FAINT else 1.3)
    ]
    parts = [*_axis_left(across, up, numbers, words), *_steps_below(across, bottom)]
    parts.append(svg.clipped(lines, (left, EDGE), (right, bottom), place))
    name = f"{CURVES.get(metric, metric)}, {title}"
    return Panel(title, svg.inline(parts, right + EDGE, bottom + BELOW, name), key)


def _key(arms: Sequence[str], base: str) -> Iterator[tuple[str, bool, str]]:
    """Colour, dashes and arm of each line: base's in grey behind others, if there are any."""
    if base in arms and len(arms) > 1:
        yield FAINT, False, base
        arms = [arm for arm in arms if arm != base]
    for number, arm in enumerate(arms):
        yield LINES[number % len(LINES)], number >= len(LINES), arm


def _draw(
    curve: Curve, across: Scale, up: Scale | LogScale, colour: str, dashed: bool, width: float
) -> Iterator[str]:
    """The band from the lowest seed to the highest, where there are several, and the mean."""
    xs = [across.at(step) for step in curve.steps]
    mean = [(x, up.at(number)) for x, number in zip(xs, curve.mean, strict=True)]
    if curve.low != curve.high:
        low = [(x, up.at(number)) for x, number in zip(xs, curve.low, strict=True)]
        high = [(x, up.at(number)) for x, number in zip(xs, curve.high, strict=True)]
        yield svg.area([*low, *reversed(high)], colour, 0.15)
    if len(mean) == 1:
        yield svg.dot(mean[0], 1.5, colour, colour)
    else:
        yield svg.line(mean, colour, width, dashed)


def _round_numbers(low: float, high: float, logarithmic: bool) -> list[float]:
    if not logarithmic:
        return svg.ticks(low, high, 8)
    steps = (base * 10.0**power for power in range(7) for base in (1, 1.5, 2, 3, 4, 5, 7))
    return [step for step in steps if low <= step <= high]


def _axis_left(
    across: Scale, up: Scale | LogScale, numbers: Sequence[float], words: Sequence[str]
) -> Iterator[str]:
    for number, word in zip(numbers, words, strict=True):
        y = up.at(number)
        yield svg.line([(across.start, y), (across.end, y)], HAIR, 0.5, False)
        yield svg.line([(across.start - TICK, y), (across.start, y)], FAINT, 0.6, False)
        at = (across.start - TICK - GAP, y + svg.LETTERS * 0.35)
        yield svg.text(at, word, "end", FAINT)
    yield svg.line([(across.start, up.start), (across.start, up.end)], FAINT, 0.6, False)


def _steps_below(across: Scale, y: float) -> Iterator[str]:
    numbers = [number for number in svg.ticks(0.0, across.high, 4) if number == round(number)]
    yield from _axis_below(across, y, numbers, [value(round(number)) for number in numbers])
