"""The page's lists of runs: a line for each expected trial, and a row's links to its seeds.

They have as many lines as there are trials, ten thousand in a large study, which the template
would take longer to fill in than all the rest of a report. Every text is escaped here.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup, escape

from analysis.columns import plain
from analysis.counting import Run, Slot
from analysis.tables import Row

TRAIN_SECONDS = "cost.train_seconds"


class Places(NamedTuple):
    """Where the page's links lead."""

    tracker: str
    """Address of MLflow's UI."""
    trials: Path
    """The folder that holds the trials' directories."""

    def seen_from(self, folder: Path) -> "Places":
        """The same with the trials' folder as seen from another."""
        return self._replace(trials=Path(os.path.relpath(self.trials, folder)))


def seeds(row: Row, places: Places) -> Markup:
    """Each of a row's seeds, with a link to its run."""
    return Markup("".join(_seed(slot, places) for slot in row.slots))


def lines(row: Row, number: int, is_first: bool, measure: str, places: Places) -> Markup:
    """A table row for each trial of the `number`-th row; `is_first` in its group.

    `measure`: the metric that the table is read for.
    """
    mark = f' id="runs-{number}"' + (' class="first"' if is_first else "")
    folder = quote(places.trials.as_posix())
    name = f'<th scope="row" data-name="arm" data-order="{number}">{_safe(row.arm)}</th>\n'
    found = [
        f"<tr{'' if place else mark}>\n{name}{_line(slot, measure, places, folder)}</tr>\n"
        for place, slot in enumerate(row.slots)
    ]
    return Markup("".join(found))


def _seed(slot: Slot, places: Places) -> str:
    state = _state(slot)
    title = f'title="seed {slot.seed}: {_safe(state)}"'
    if slot.run is None:
        return f'<span class="quiet" {title}>{slot.seed}</span> '
    kind = "" if slot.finished else ' class="state"'
    return f'<a href="{_address(places.tracker, slot.run)}" {title}{kind}>{slot.seed}</a> '


def _line(slot: Slot, measure: str, places: Places, folder: str) -> str:
    state, run = _safe(_state(slot)), slot.run
    scores = run.scores if run else {}
    perplexity = f"{measure.rpartition('.')[0]}.perplexity"  # of the same model and part
    cells = (
        f'<td data-name="seed" data-order="{slot.seed}">{slot.seed}</td>\n'
        f'<td class="left{"" if slot.finished else " state"}" data-name="state"'
        f' data-order="{state}">{state}</td>\n'
        + _number("ppl", scores.get(perplexity), 2)
        + _number("score", scores.get(measure), 2)
        + _number("seconds", scores.get(TRAIN_SECONDS), 0)
    )
    if run is None:
        empty = [("device", ""), ("commit", ""), ("digest", ""), ("run", "")]
        return cells + "".join(_words(name, order, "") for name, order in empty)
    dirty = ' <span class="state">changed</span>' if run.dirty else ""
    commit = f'<code title="{_safe(run.commit)}">{_safe(run.commit[:10])}</code>{dirty}'
    digest = (
        f'<a href="{folder}/{quote(slot.digest, safe="")}/"><code>{escape(run.digest)}</code></a>'
    )
    address = _address(places.tracker, run)
    link = f'<a href="{address}"><code>{escape(plain(run.run_id[:8]))}</code></a>'
    if run.trained_as:
        link += f' <span class="quiet">trained as {_safe(run.trained_as)}</span>'
    return (
        cells
        + _words("device", str(escape(run.device)), _safe(run.device))
        + _words("commit", str(escape(run.commit)), commit)
        + _words("digest", "", digest)
        + _words("run", "", link)
    )


def _number(name: str, number: float | None, places: int) -> str:
    if number is None:
        return f'<td data-name="{name}" data-order=""></td>\n'
    return f'<td data-name="{name}" data-order="{number}">{number:.{places}f}</td>\n'


def _words(name: str, order: str, markup: str) -> str:
    return f'<td class="left" data-name="{name}" data-order="{order}">{markup}</td>\n'


def _state(slot: Slot) -> str:
    return slot.state.replace("_", " ")


def _address(tracker: str, run: Run) -> str:
    experiment, name = quote(run.experiment_id, safe=""), quote(run.run_id, safe="")
    return f"{escape(tracker.rstrip('/'))}/#/experiments/{experiment}/runs/{name}"


@lru_cache(maxsize=4096)
def _safe(text: str) -> str:
    """Text of the user's as markup."""
    return str(escape(plain(text)))
