"""Pictures of heads: one by one, and how the loss grows as they are removed."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import svg
from analysis.columns import plain
from analysis.heads import KEY, NAMES, Found, Measured
from analysis.plots import Panel
from analysis.svg import FAINT, HAIR, INK, LINES, VARIABLES
from analysis.tables import Table
from lit_transformer.attention_maps import PARTS

MOST_ARMS = len(LINES)
"""Drawn side by side."""
LINEAR = 0.01
"""Nats per token within which importance is drawn evenly; beyond, by powers of ten."""
TICKS = (-10.0, -1.0, -0.1, 0.0, 0.01, 0.1, 1.0, 10.0)
TALLEST = 3.0
"""Nats by which a loss grows at the top of the picture, at most."""

Drawn = list[tuple[str, Measured]]
"""Arms with one trial each, in the table's order."""


def pictures(table: Table, found: Found) -> list[Panel]:
    """Of the arms that have other numbers of heads than base, and of base; where
    there are none, of the first arms."""
    drawn = chosen(table, found)
    if not drawn:
        return []
    seed = ", ".join(sorted({str(one.seed) for _, one in drawn}))
    key = tuple((VARIABLES[LINES[n]], False, arm) for n, (arm, _) in enumerate(drawn))
    return [
        Panel(f"Entropy of every head, nats; seed {seed}", _entropy(drawn), ()),
        Panel(f"Loss without it less loss, nats per token; seed {seed}", _importance(drawn), ()),
        Panel(f"The same without many heads; seed {seed}", _removal(drawn), key),
    ]


def chosen(table: Table, found: Found) -> Drawn:
    base = table.base.settings[KEY]
    others = [row for row in table.rows if row.settings[KEY] != base]
    rows = [row for row in table.rows if row is table.base or row in others or not others]
    some = [(row.arm, found[row.arm][0]) for row in rows if found.get(row.arm)]
    return some[:MOST_ARMS]


def _entropy(drawn: Drawn) -> str:
    with svg.style("heads entropy"):
        drawing, panels, (_, highest) = _panels(drawn, "entropy_LH")
        for axes in panels:
            axes.set_xlim(0, 1.05 * highest or 1.0)
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        return svg.inline(drawing, "Entropy of every head")


def _importance(drawn: Drawn) -> str:
    with svg.style("heads importance"):
        drawing, panels, (lowest, highest) = _panels(drawn, "importance_LH")
        left, right = 1.6 * min(lowest, -LINEAR / 4), 1.6 * max(highest, LINEAR)
        for axes in panels:
            axes.set_xscale("symlog", linthresh=LINEAR)
            axes.set_xlim(left, right)
            axes.axvline(0, color=FAINT, linewidth=0.6, zorder=1)
            axes.set_xticks([tick for tick in TICKS if left <= tick <= right])
            axes.xaxis.set_major_formatter(FuncFormatter(_growth))
            axes.xaxis.minorticks_off()
        return svg.inline(drawing, "Growth of the loss without each head")


def _panels(drawn: Drawn, measure: str) -> tuple[Figure, list[Axes], tuple[float, float]]:
    """A panel a part, a line an arm, a dot a head; a short line at the arm's median -> and the
    least and the greatest of all heads."""
    parts = [part for part in PARTS if any(part in one.heads.parts for _, one in drawn)]
    drawing = Figure(figsize=(6.4, 0.5 + 0.34 * len(drawn)))
    found: list[Axes] = []
    every: list[float] = []
    for number, part in enumerate(parts):
        width = 1 / len(parts)
        axes = drawing.add_axes((number * width, 0.0, 0.88 * width, 1.0))
        axes.set_title(NAMES[part], fontsize=9, color=INK, loc="left")
        for line, (_, one) in enumerate(drawn):
            if part in one.heads.parts:
                values = getattr(one.heads.parts[part], measure).ravel()
                _dots(axes, values, line)
                every += values.tolist()
        names = [plain(arm) for arm, _ in drawn] if number == 0 else []
        axes.set_yticks(range(len(names)), names, color=INK, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(drawn) - 0.4, -0.6)
        found.append(axes)
    return drawing, found, (min(every), max(every))


def _dots(axes: Axes, values: np.ndarray, line: int) -> None:
    """Those that would lie upon each other are moved up and down in turn."""
    axes.axhline(line, color=HAIR, linewidth=0.5, zorder=0)
    order = np.argsort(values, kind="stable")
    offset = np.empty(len(values))
    offset[order] = np.resize([0.0, 0.16, -0.16], len(values))
    axes.plot(values, line + offset, "o", ms=3.2, mfc=LINES[0], mec="none", alpha=0.55, zorder=3)
    middle = float(np.median(values))
    axes.plot([middle, middle], [line - 0.36, line + 0.36], color=LINES[1], lw=1.6, zorder=4)


def _removal(drawn: Drawn) -> str:
    with svg.style("heads removal"):
        drawing = Figure(figsize=(4.6, 2.6))
        axes = drawing.add_axes((0.0, 0.0, 1.0, 1.0))
        ends = []
        for number, (_, one) in enumerate(drawn):
            share = [100 * point.heads / one.heads.total for point in one.heads.removed]
            growth = [point.loss - one.heads.loss for point in one.heads.removed]
            axes.plot(share, growth, color=LINES[number], lw=1.3, marker="o", ms=2.4)
            ends.append(max(growth))
        axes.axhline(0, color=FAINT, linewidth=0.6, zorder=1)
        axes.set_ylim(top=min(TALLEST, 1.05 * max(ends) or 1.0))
        axes.grid(axis="y", color=HAIR, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.set_xlim(0, 101)
        axes.set_xlabel("per cent of all heads removed")
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        return svg.inline(drawing, "Growth of the loss as heads are removed")


def _growth(tick: float, _: int) -> str:
    return f"{tick:+g}".replace("-", "−") if tick else "0"  # noqa: RUF001
