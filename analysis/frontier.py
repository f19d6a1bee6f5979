"""Scores against the operations that they took, with the frontier: what no arm beats for less."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis import svg, views
from analysis.columns import plain, power
from analysis.costs import COUNTED
from analysis.notes import scored_words
from analysis.svg import FAINT, HAIR, INK, LINES, PAGE
from analysis.tables import Table

EDGE = 1.6
"""Room at both ends, as a factor of operations: its square is more than 5/2, the widest gap of
ticks, so that there is a tick even where all arms cost the same."""


class Point(NamedTuple):
    """What an arm had reached for a number of counted operations."""

    operations: float
    score: float
    arm: str


def pictures(table: Table, histories: pd.DataFrame) -> list[tuple[str, str]]:
    """(title, drawing): the table's scores, then the curves; each where there are two arms."""
    name = table.scorer.upper()
    drawn = {
        f"{name} of {scored_words(table)}": finals(table),
        f"{name} of greedy search on the first sentences of the valid part, along training": curves(
            table, histories
        ),
    }
    several = {title: some for title, some in drawn.items() if len({p.arm for p in some}) > 1}
    return [(title, _picture(title, some)) for title, some in several.items()]


def finals(table: Table) -> list[Point]:
    """Every arm once, as the table has it."""
    found = [(row.mean(COUNTED), row.mean(table.measure), row.arm) for row in table.rows]
    return [Point(cost, score, arm) for cost, score, arm in found if cost and score is not None]


def curves(table: Table, histories: pd.DataFrame) -> list[Point]:
    """Every arm at each validation that all its seeds had, means over seeds."""
    name, points = views.measures(table)[0], views.spent(table, histories)
    points = points.dropna(subset=[name, "operations"])
    means = views.by_arm(points)
    scores = points.groupby(["arm", "step"])[name].mean()
    lines = zip(means["arm"], means["step"], means["operations"], strict=True)
    return [Point(cost, float(scores[arm, step]), arm) for arm, step, cost in lines]


def frontier(points: Iterable[Point]) -> list[Point]:
    """The points that no other has beaten for as little, by rising operations."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.operations, -p.score)):
        if not best or point.score > best[-1].score:
            best.append(point)
    return best


def _picture(title: str, points: Sequence[Point]) -> str:
    arms: dict[str, list[Point]] = {}
    for point in points:
        arms.setdefault(point.arm, []).append(point)
    best = frontier(points)
    with svg.style(f"frontier {title}"):
        drawing = Figure(figsize=(4.6, 3.0))
        axes = drawing.add_axes((0.0, 0.0, 1.0, 1.0))
        _draw_arms(axes, arms, {point.arm for point in best})
        ends = [*best, best[-1]._replace(operations=max(p.operations for p in points) * EDGE)]
        axes.step(*_places(ends), where="post", color=LINES[0], lw=1.4, zorder=4)
        for point in _first_of_each(best):
            axes.annotate(
                plain(point.arm),
                (point.operations, point.score),
                xytext=(-3, 4),
                textcoords="offset points",
                ha="right",
                color=INK,
                parse_math=False,
                zorder=6,
            )
        _scales(axes, points)
        return svg.inline(drawing, f"{title}, against counted operations")


def _draw_arms(axes: Axes, arms: Mapping[str, Sequence[Point]], leading: Iterable[str]) -> None:
    """Each arm's dots, joined; those of arms that are on the frontier are filled."""
    for arm, some in arms.items():
        leads = arm in leading
        axes.plot(
            *_places(some),
            color=LINES[0] if leads else FAINT,
            lw=0.6,
            marker="o",
            ms=4.6 if len(some) == 1 else 2.6,
            mfc=LINES[0] if leads else PAGE,
            mew=0.8,
            zorder=5 if leads else 3,
        )


def _first_of_each(best: Sequence[Point]) -> list[Point]:
    """Where an arm takes the frontier over."""
    return [p for n, p in enumerate(best) if n == 0 or best[n - 1].arm != p.arm]


def _places(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.operations for point in points], [point.score for point in points]


def ticks(left: float, right: float) -> list[float]:
    """1, 2 and 5 of each power of ten; over more than two powers, the powers alone."""
    first, last = math.floor(math.log10(left)), math.ceil(math.log10(right))
    steps = (1, 2, 5) if right / left < 100 else (1,)
    found = [m * 10.0**power_of_ten for power_of_ten in range(first, last + 1) for m in steps]
    return [tick for tick in found if left <= tick <= right]


def _scales(axes: Axes, points: Sequence[Point]) -> None:
    low, high = min(p.operations for p in points), max(p.operations for p in points)
    axes.set_xscale("log")
    left, right = low / EDGE, high * EDGE
    axes.set_xlim(left, right)
    places = ticks(left, right)
    axes.set_xticks(places, [power(tick) for tick in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=HAIR, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.margins(y=0.08)
