"""A table's pictures: differences from base, and learning curves."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from analysis import svg
from analysis.columns import groups, plain, value
from analysis.svg import FAINT, HAIR, INK, LINES, PAGE, VARIABLES
from analysis.tables import PERPLEXITY, Row, Table

CURVES = {
    "valid.perplexity": "Perplexity on the valid part",
    "valid.curve_bleu": "BLEU of greedy search, first sentences of the valid part",
    "valid.curve_f1": "F1 of greedy search, first sentences of the valid part",
}


FAR = 400
"""Per cent of a difference from which the axis has decades."""


class Panel(NamedTuple):
    """One picture, its heading and its key: (colour variable, dashed, arm)."""

    title: str
    svg: str
    key: tuple[tuple[str, bool, str], ...]


class Curve(NamedTuple):
    """One arm over its seeds: mean, lowest and highest at each step that every seed reached, or at
    each length."""

    steps: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


def differences(table: Table, metric: str, figure: str) -> str:
    """Every arm against its base, groups apart: ours filled with its spread, the paper's hollow.

    BLEU in points; perplexity in per cent of base's. Empty where base has no score. Of a search
    only what has finished.
    """
    base = table.base.mean(metric)
    rows = _compared(table)
    if base is None or not any(table.difference(row, metric) is not None for row in rows):
        return ""
    scale = 100 / base if metric == table.perplexity else 1.0
    places = _places(table)
    with svg.style(f"differences {metric}"):
        drawing = Figure(figsize=(4.6, 0.55 + 0.19 * (max(places.values()) + 1)))
        axes = drawing.add_axes((0.0, 0.0, 1.0, 1.0))
        _zero(axes, table, metric, scale)
        for row in rows:
            _arm(axes, table, row, places[row.arm], metric, figure, scale)
        axes.set_yticks(
            [places[row.arm] for row in rows],
            [plain(row.arm) for row in rows],
            color=INK,
            parse_math=False,
        )
        axes.set_ylim(max(places.values()) + 0.7, 0.3)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        if max(map(abs, axes.get_xlim())) > FAR:
            _far(axes)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(partial(_offset, zero=table.base_name)))
        return svg.inline(drawing, f"Difference from {table.base_name}, {metric}")


def curves(table: Table, histories: pd.DataFrame, metric: str) -> list[Panel]:
    """Learning curves by group, base in each; one vertical scale for all."""
    found = {row.arm: _curve(row, histories, metric) for row in table.rows}
    return panels(table, found, metric, CURVES.get(metric, metric))


def panels(table: Table, found: Mapping[str, Curve], metric: str, heading: str) -> list[Panel]:
    """Any curves by group, base in each; one vertical scale for all."""
    drawn = {arm: curve for arm, curve in found.items() if curve.steps}
    if not drawn:
        return []
    lost = {row.arm for row in table.rows if row.diverged}
    calm = [curve for arm, curve in drawn.items() if arm not in lost] or [*drawn.values()]
    limits = _limits(calm, metric == PERPLEXITY)
    if table.is_search:
        return [_search_panel(table, drawn, metric, heading, limits)]
    made = []
    for name, numbers in groups(table):
        rows = [table.rows[n] for n in numbers if table.rows[n].arm in drawn]
        rows = [row for row in rows if row is not table.base] or rows
        if rows and (rows != [table.base] or len(drawn) == 1):
            title = name if len(numbers) > 1 or name else rows[0].arm
            made.append(_panel(table, rows, drawn, title, metric, heading, limits))
    return made


def _compared(table: Table) -> list[Row]:
    """Rows that differ from something: not bases, and of a search nothing without a score."""
    rows = [row for row in table.rows if row is not table.base_of(row)]
    return [row for row in rows if row.runs] if table.is_search else rows


def _places(table: Table) -> dict[str, float]:
    """A line for each arm but base, and half a line between groups."""
    own = {row.arm for row in _compared(table)}
    places: dict[str, float] = {}
    line = 1.0
    for _, numbers in groups(table):
        rows = [table.rows[n] for n in numbers if table.rows[n].arm in own]
        for row in rows:
            places[row.arm] = line
            line += 1
        line += 0.6 if rows else 0
    return places


def _zero(axes: Axes, table: Table, metric: str, scale: float) -> None:
    deviation = table.base.measures[metric].deviation
    if deviation is not None:
        band = deviation * scale
        axes.axvspan(-band, band, color=HAIR, linewidth=0, alpha=0.6, zorder=0)
    axes.axvline(0, color=FAINT, linewidth=0.6, zorder=1)


def _far(axes: Axes) -> None:
    """Decades, but for ten per cent on either side of base: a row that has learned nothing leaves
    others their differences."""
    low, high = axes.dataLim.x0, axes.dataLim.x1
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlim(1.5 * min(low, -2.0), 1.5 * high)
    axes.xaxis.set_minor_locator(NullLocator())


def _offset(tick: float, _: int, zero: str) -> str:
    return f"{tick:+g}".replace("-", "−") if tick else zero  # noqa: RUF001


def _arm(
    axes: Axes,
    table: Table,
    row: Row,
    place: float,
    metric: str,
    figure: str,
    scale: float,
) -> None:
    axes.axhline(place, color=HAIR, linewidth=0.5, zorder=0)
    theirs = table.paper_difference(row, figure)
    if theirs is not None and table.base.paper is not None:
        of = 100 / getattr(table.base.paper, figure) if metric == table.perplexity else 1.0
        axes.plot(theirs * of, place, "o", ms=5.2, mfc=PAGE, mec=FAINT, mew=0.9, zorder=3)
    difference = table.difference(row, metric)
    if difference is None:
        return
    measure, at = row.measures[metric], difference * scale
    if measure.deviation is not None:
        half = measure.deviation * scale
        axes.plot([at - half, at + half], [place, place], color=LINES[0], lw=1.4, zorder=4)
    axes.plot(at, place, "o", ms=4.6, mfc=LINES[0], mec=LINES[0], mew=0.9, zorder=5)


def _curve(row: Row, histories: pd.DataFrame, metric: str) -> Curve:
    """Finished runs, or those that began where none finished."""
    runs = row.runs or tuple(slot.run for slot in row.slots if slot.run is not None)
    names = [run.run_id for run in runs]
    chosen = histories[histories["run_id"].isin(names) & (histories["metric"] == metric)]
    points = chosen.drop_duplicates(["run_id", "step"], keep="last")
    wide = points.pivot(index="step", columns="run_id", values="value")
    wide = wide.replace([math.inf, -math.inf], math.nan).dropna().sort_index()
    return Curve(
        [float(step) for step in wide.index],
        wide.mean(axis=1).tolist(),
        wide.min(axis=1).tolist(),
        wide.max(axis=1).tolist(),
    )


def _limits(drawn: Iterable[Curve], logarithmic: bool) -> tuple[float, float]:
    """Room for every end; a perplexity's first steps would leave none, and are cut off."""
    some = list(drawn)
    low, high = min(min(c.low) for c in some), max(max(c.high) for c in some)
    if logarithmic:
        return low * 0.92, min(high * 1.05, 2.2 * max(curve.high[-1] for curve in some))
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _panel(
    table: Table,
    rows: Sequence[Row],
    drawn: Mapping[str, Curve],
    title: str,
    metric: str,
    heading: str,
    limits: tuple[float, float],
) -> Panel:
    key: list[tuple[str, bool, str]] = []
    with svg.style(f"curve {metric} {title}"):
        drawing = Figure(figsize=(3.3, 2.1))
        axes = drawing.add_axes((0.0, 0.0, 1.0, 1.0))
        if table.base.arm in drawn and table.base not in rows:
            _draw(axes, drawn[table.base.arm], FAINT, False, 2.2)
            key.append(("--faint", False, table.base.arm))
        for number, row in enumerate(rows):
            colour, dashed = LINES[number % len(LINES)], number >= len(LINES)
            _draw(axes, drawn[row.arm], colour, dashed, 1.3)
            lost = "" if row.runs or not row.diverged else ", diverged"
            key.append((VARIABLES[colour], dashed, row.arm + lost))
        _scales(axes, metric == PERPLEXITY, limits)
        return Panel(title, svg.inline(drawing, f"{heading}, {title}"), tuple(key))


def _search_panel(
    table: Table,
    drawn: Mapping[str, Curve],
    metric: str,
    heading: str,
    limits: tuple[float, float],
) -> Panel:
    """Every suggestion: the best in colour, the rest that finished, and where others were cut."""
    rows = [row for row in table.rows if row.arm in drawn]
    best = [row.arm for row in rows if row.runs][: len(LINES)]
    key = [(VARIABLES[LINES[number]], False, arm) for number, arm in enumerate(best)]
    with svg.style(f"search curves {metric}"):
        drawing = Figure(figsize=(6.8, 3.2))
        axes = drawing.add_axes((0.0, 0.0, 1.0, 1.0))
        for row in reversed(rows):  # the best above the rest
            curve = drawn[row.arm]
            if row.arm in best:
                _draw(axes, curve, LINES[best.index(row.arm)], False, 1.4)
            elif row.runs:
                _draw(axes, curve, INK, False, 0.6)
            else:
                _draw(axes, curve, FAINT, True, 0.7)
                axes.plot(curve.steps[-1], curve.mean[-1], "x", color=FAINT, ms=4, mew=0.9)
        if any(row.runs and row.arm not in best for row in rows):
            key.append((VARIABLES[INK], False, "others that finished"))
        if any(not row.runs for row in rows):
            key.append((VARIABLES[FAINT], True, "pruned"))
        _scales(axes, metric == PERPLEXITY, limits)
        return Panel("every suggestion", svg.inline(drawing, heading), tuple(key))


def _draw(axes: Axes, curve: Curve, colour: str, dashed: bool, width: float) -> None:
    axes.fill_between(
        curve.steps, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0, zorder=2
    )
    axes.plot(
        curve.steps,
        curve.mean,
        color=colour,
        lw=width,
        ls="--" if dashed else "-",
        marker="o" if len(curve.steps) == 1 else "",
        ms=3,
        zorder=3,
    )


def _scales(axes: Axes, logarithmic: bool, limits: tuple[float, float]) -> None:
    if logarithmic:
        axes.set_yscale("log")
        steps = (1, 1.5, 2, 3, 4, 5, 7) if limits[1] < 30 * limits[0] else (1, 2, 5)
        ticks = [
            base * 10**power
            for power in range(7)
            for base in steps
            if limits[0] <= base * 10**power <= limits[1]
        ]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="y", which="minor", length=0)
    axes.set_ylim(*limits)
    axes.grid(axis="y", color=HAIR, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: value(round(x))))
