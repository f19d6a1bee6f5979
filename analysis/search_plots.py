"""Optuna's own plots of a search, drawn by its matplotlib functions and set in the page's style."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import optuna
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import Locator, LogLocator, MaxNLocator, NullLocator
from optuna.visualization import matplotlib as drawn

from analysis import svg
from analysis.columns import short
from analysis.svg import FAINT, INK, LINES
from experiments import frozen
from experiments.searched import Searched

FEWEST = 2
"""Finished trials of a search that has pictures."""
WIDE, NARROW, HIGH = 9.4, 4.6, 2.7
"""Inches of a drawing."""
LONGEST = 17
"""Letters of a key that Optuna's parallel coordinates show."""
COLORBAR = "<colorbar>"
"""The label that matplotlib gives a bar of colours."""


class Plot(NamedTuple):
    """A drawing of a search; a wide one takes the page's whole width."""

    title: str
    svg: str
    wide: bool


def pictures(search: Searched, names: Sequence[str]) -> list[Plot]:
    """Of two or three objectives the Pareto front; then of each the history, the
    keys' importance, parallel coordinates and slices. `names`: the objectives' metrics."""
    if not _is_drawn(search):
        return []
    study, words = frozen.study(search, "search"), _words(search, names)
    found = []
    if len(names) in (2, 3):
        title = f"Pareto front of {' and '.join(names)}"
        found.append(_picture(title, lambda: drawn.plot_pareto_front(study), words, wide=False))
    for number, name in enumerate(names):
        found += _of_objective(study, number if len(names) > 1 else None, name, words)
    return found


def slices(search: Searched, name: str) -> list[Plot]:
    """Those alone, of a row that was tuned for one objective."""
    if not _is_drawn(search):
        return []
    study, title = frozen.study(search, "search"), f"{search.row}: {name} when tuned"

    def plot() -> Any:
        return drawn.plot_slice(study, target_name=name)

    return [_picture(title, plot, _words(search, [name]), wide=len(search.about["space"]) > 2)]


def _is_drawn(search: Searched) -> bool:
    return sum(one.end == "complete" for one in search.found) >= FEWEST


def _of_objective(
    study: optuna.Study, number: int | None, name: str, words: Mapping[str, str]
) -> list[Plot]:
    def value(trial: optuna.trial.FrozenTrial) -> float:
        return float(trial.values[number or 0])

    wide = len(words) > 4
    about: dict[str, Any] = {"target": None if number is None else value, "target_name": name}
    plots: list[tuple[str, Callable[..., Any], bool]] = [
        (f"{name}, suggestion by suggestion", drawn.plot_optimization_history, False),
        (f"Importance for {name} (PED-ANOVA)", drawn.plot_param_importances, False),
        (f"{name} and all keys: the darker, the higher", drawn.plot_parallel_coordinate, wide),
        (f"{name} by each key: the darker, the later", drawn.plot_slice, wide),
    ]
    return [
        _picture(title, partial(plot, study, **about), words, is_wide)
        for title, plot, is_wide in plots
    ]


def _words(search: Searched, names: Sequence[str]) -> dict[str, str]:
    """What a page calls the keys and objectives that Optuna names."""
    keys = {dimension["key"]: short(dimension["key"]) for dimension in search.about["space"]}
    cut = {f"{key[:LONGEST]}...": word for key, word in keys.items() if len(key) > LONGEST}
    return keys | cut | dict(zip(search.objectives, names, strict=True))


def _picture(title: str, plot: Callable[[], Any], words: Mapping[str, str], wide: bool) -> Plot:
    """What Optuna draws, in the page's colours and letters."""
    with svg.style(f"search {title}"), _offscreen(), frozen.quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a layout that is set anew below
        plot()
        figure = plt.gcf()
        _restyle(figure, words, wide)
        text = svg.inline(figure, title)
        plt.close(figure)
    return Plot(title, text, wide)


@contextmanager
def _offscreen() -> Iterator[None]:
    """Optuna draws with pyplot, which would open windows where there is a screen."""
    backend = mpl.get_backend()
    plt.switch_backend("agg")
    try:
        yield
    finally:
        plt.switch_backend(backend)


def _restyle(figure: Figure, words: Mapping[str, str], wide: bool) -> None:
    for axes in figure.axes:
        if axes.get_label() == COLORBAR:
            axes.remove()
    figure.suptitle("")
    figure.set_layout_engine("tight")
    figure.set_size_inches(WIDE if wide else NARROW, HIGH)
    for axes in figure.axes:
        _restyle_lines(axes)
        _restyle_words(axes, words)


def _restyle_lines(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.grid(False)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8, width=0.6)
    for side, spine in axes.spines.items():
        spine.set(color=FAINT, linewidth=0.6)
        spine.set_visible(spine.get_visible() and side != "top")
    for line in axes.lines:
        is_named = not str(line.get_label()).startswith("_")
        line.set(color=LINES[1] if is_named else FAINT, alpha=1, linewidth=1.3)
    for bar in axes.patches:
        bar.set_facecolor(LINES[0])
    for some in axes.collections:
        values = some.get_array()
        if values is not None and values.size:
            some.set_cmap(_blues())
        if isinstance(some, PathCollection):
            some.set(edgecolor="none", sizes=[22])


def _restyle_words(axes: Axes, words: Mapping[str, str]) -> None:
    axes.set_title("")
    axes.set_title("", loc="left")
    for axis in (axes.xaxis, axes.yaxis):
        name = axis.label.get_text()
        axis.label.set(color=FAINT, fontsize=8.5, text=words.get(name, name))
        _restyle_ticks(axis, words)
    for text in axes.texts:
        text.set(color=INK, fontsize=8)
    if (legend := axes.get_legend()) is None:
        return
    if len(legend.get_texts()) < 2:
        legend.remove()
        return
    legend.set_bbox_to_anchor(None)
    legend.set_loc("best")
    legend.get_frame().set(facecolor="none", edgecolor="none")
    for handle in legend.legend_handles:
        if isinstance(handle, Line2D):
            handle.set(color=LINES[1], alpha=1)
    for text in legend.get_texts():
        text.set(color=INK, fontsize=8)


def _restyle_ticks(axis: Axis, words: Mapping[str, str]) -> None:
    labels = [text.get_text() for text in axis.get_ticklabels()]
    if any(one in words or one.startswith("'") for one in labels):  # keys, or Python's choices
        named = [words.get(one, one.strip("'")) for one in labels]
        axis.set_ticks(axis.get_majorticklocs(), named)
    elif axis.label.get_text() == "Trial":
        axis.set_major_locator(MaxNLocator(6, integer=True))
    elif axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        # Within less than this there may be one tick, for which LogLocator would take many others.
        wide = high >= 5 * low
        locator = LogLocator(subs=(1.0, 2.0, 5.0), numticks=99) if wide else MaxNLocator(3)
        ticks = _between(locator, low, high)
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_minor_locator(NullLocator())


def _between(locator: Locator, low: float, high: float) -> list[float]:
    return [float(tick) for tick in locator.tick_values(low, high) if low <= tick <= high]


def _blues() -> Colormap:
    """Optuna's, without the ends that would be lost on a light or a dark page."""
    return ListedColormap(mpl.colormaps["Blues"](np.linspace(0.3, 0.85, 256)))
