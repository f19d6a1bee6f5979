"""Arms at equal budgets: learning curves read off where every arm has had as much.

A table compares arms after their own last update. Here each is read at equal updates, tokens,
counted operations and seconds, at the largest budget that every arm reached; an arm is read at its
last validation within the budget, and never between two or beyond the last. What an arm has spent
at a validation is the mean over its seeds, so that all of them are read at one update.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from analysis.columns import (
    MISSING,
    NOTHING,
    Cell,
    Column,
    Symbol,
    groups,
    marked,
    power,
    score_cell,
)
from analysis.costs import COUNTED, TOKENS
from analysis.counting import Measure
from analysis.notes import Note
from analysis.rates import SECONDS
from analysis.sections import Section, measure_object
from analysis.tables import Row, Table

Budget = Literal["updates", "tokens", "operations", "seconds"]
"""What arms may have had the same amount of: optimizer updates, target tokens, counted operations,
seconds in training steps."""
SLACK = 1.01
"""Budgets that differ by less are equal: batches of other seeds hold a few tokens more or less."""
PERPLEXITY = "valid.perplexity"
COSTS = (SECONDS, TOKENS)
"""Curves of what a trial had spent at each validation."""


class Reading(NamedTuple):
    """An arm at a budget: its curves over seeds, and the update at which they were read."""

    measures: Mapping[str, Measure]
    step: int | None
    """None: no validation within the budget."""


def section(table: Table, histories: pd.DataFrame) -> Section | None:
    """None where fewer than two arms have curves."""
    points = spent(table, histories)
    if points["arm"].nunique() < 2:
        return None
    metrics = [name for name in measures(table) if points[name].notna().any()]
    means = by_arm(points)
    limits = {budget: limit(means, budget) for budget in get_args(Budget)}
    read = {
        budget: {
            row.arm: reading(points, last_step(means, row.arm, budget, most), row.arm, metrics)
            for row in table.rows
        }
        for budget, most in limits.items()
    }
    return Section(
        name="views",
        title="At equal budgets",
        leads=False,
        columns=tuple(_columns(table, limits, read, metrics)),
        blocks=tuple(tuple(numbers) for _, numbers in groups(table)),
        notes=(Note("", _note(table, metrics), ""), *_unread(table, points)),
        content={
            "limits": limits,
            "rows": [
                {"arm": row.arm, "readings": {b: _content(read[b][row.arm]) for b in limits}}
                for row in table.rows
            ],
        },
    )


def measures(table: Table) -> tuple[str, str]:
    """The curves that arms are compared by."""
    return f"valid.curve_{table.scorer}", PERPLEXITY


def spent(table: Table, histories: pd.DataFrame) -> pd.DataFrame:
    """A line for each validation of each finished run: arm, seed, every budget spent until then,
    and the curves' values (NaN: none)."""
    found: pd.DataFrame = _by_validation(table, histories).merge(_totals(table), on="run_id")
    share = found["step"] / found["last"]
    # Trials of an earlier version tell only their totals, of which every update has its share.
    found["updates"] = found["step"].astype(float)
    found["tokens"] = found[TOKENS].fillna(share * found[f"all.{TOKENS}"])
    found["operations"] = found[f"all.{COUNTED}"] * found["tokens"] / found[f"all.{TOKENS}"]
    found["seconds"] = found[SECONDS].fillna(share * found[f"all.{SECONDS}"])
    return found


def _by_validation(table: Table, histories: pd.DataFrame) -> pd.DataFrame:
    """The curves side by side, a line for each run and step that has one."""
    names = [*measures(table), *COSTS]
    chosen = histories[histories["metric"].isin(names) & np.isfinite(histories["value"])]
    points = chosen.drop_duplicates(["run_id", "metric", "step"], keep="last")
    wide = points.pivot(index=["run_id", "step"], columns="metric", values="value")
    some: pd.DataFrame = wide.reindex(columns=names).dropna(subset=measures(table), how="all")
    return some.reset_index()


def _totals(table: Table) -> pd.DataFrame:
    """What each finished run spent in all."""
    totals = (*COSTS, COUNTED)
    runs = [(row, run) for row in table.rows for run in row.runs]
    return pd.DataFrame(
        {
            "run_id": pd.Series([run.run_id for _, run in runs], dtype=str),
            "arm": pd.Series([row.arm for row, _ in runs], dtype=str),
            "seed": [run.seed for _, run in runs],
            "last": pd.Series([row.settings["train.steps"] for row, _ in runs], dtype=float),
            **{
                f"all.{name}": pd.Series([r.scores.get(name) for _, r in runs], dtype=float)
                for name in totals
            },
        }
    )


def by_arm(points: pd.DataFrame) -> pd.DataFrame:
    """A line for each arm and step that all its runs have: every budget, means over seeds."""
    members = points.groupby(["arm", "step"], as_index=False)
    means: pd.DataFrame = members[list(get_args(Budget))].mean()
    runs = points.groupby("arm")["run_id"].nunique()
    return means[members.size()["size"] == means["arm"].map(runs)]


def limit(means: pd.DataFrame, budget: Budget) -> float:
    """The largest budget that every arm has reached; `means` are those of `by_arm`."""
    return float(means.groupby("arm")[budget].max().min())


def last_step(means: pd.DataFrame, arm: str, budget: Budget, most: float) -> int | None:
    """The last update at which the arm was validated and had spent at most `most`."""
    within = means[(means["arm"] == arm) & (means[budget] <= most * SLACK)]
    return None if within.empty else int(within["step"].max())


def reading(points: pd.DataFrame, step: int | None, arm: str, metrics: Sequence[str]) -> Reading:
    """An arm's runs at one update."""
    here = points[(points["arm"] == arm) & (points["step"] == step)].sort_values("seed")
    read = {name: here.dropna(subset=[name]) for name in metrics}
    return Reading(
        {
            name: Measure(tuple(some["seed"].tolist()), tuple(some[name].tolist()), "")
            for name, some in read.items()
        },
        step,
    )


def _columns(
    table: Table,
    limits: Mapping[Budget, float],
    read: Mapping[Budget, Mapping[str, Reading]],
    metrics: Sequence[str],
) -> list[Column]:
    arms = tuple(Cell(row.arm, "", float(n), row.label) for n, row in enumerate(table.rows))
    columns = [Column("arm", "arm", NOTHING, NOTHING, arms)]
    for budget, most in limits.items():
        amount = power(most) if most >= 1e6 else f"{most:,.0f}"
        top = Symbol(f"{amount} {budget}", "", f"the largest budget that every arm reached: {most}")
        for name in metrics:
            head = "PPL" if name == PERPLEXITY else table.scorer.upper()
            cells = tuple(_cell(row, read[budget][row.arm], name) for row in table.rows)
            columns.append(Column("ours", f"{budget}.{name}", top, Symbol(head, "", name), cells))
    return columns


def _cell(row: Row, read: Reading, name: str) -> Cell:
    measure = read.measures[name]
    if not measure.values:
        meaning = "no validation within the budget" if row.runs else "no finished run"
        return marked(Cell(MISSING, "", None, meaning), row, measure)
    cell = marked(score_cell(measure, 2), row, measure)
    return cell._replace(meaning=f"after update {read.step}; {cell.meaning}")


def _note(table: Table, metrics: Sequence[str]) -> str:
    text = (
        "Curves of the valid part at the largest budget that every arm reached (to 1 %), each arm "
        "at its last validation within it; nothing is read between validations or beyond the last. "
    )
    if len(metrics) > 1:
        name = table.scorer.upper()
        text += (
            f"{name} is of greedy search on the first sentences of the part (the table's is of "
            "beam search on all). "
        )
    return text + "Updates, target tokens, counted operations, seconds in training steps."


def _unread(table: Table, points: pd.DataFrame) -> list[Note]:
    seen = {*points["arm"]}
    rest = [row.arm for row in table.rows if row.arm not in seen]
    return [Note("", f"Without curves of a finished run: {', '.join(rest)}.", "")] if rest else []


def _content(read: Reading) -> dict[str, object]:
    return {
        "step": read.step,
        **{name: measure_object(measure) for name, measure in read.measures.items()},
    }
