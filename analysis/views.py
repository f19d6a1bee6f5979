"""Arms at equal budgets: learning curves read off where every arm has had as much.

A table compares arms after their own last update. Here each is read at equal updates, tokens,
counted operations and seconds, at the largest budget that every run reached; a run is read at its
last validation within the budget, and never between two or beyond the last.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from analysis.columns import MISSING, NOTHING, Cell, Column, Symbol, groups, power, score_cell
from analysis.costs import COUNTED, TOKENS
from analysis.counting import Measure
from analysis.notes import Note
from analysis.rates import SECONDS
from analysis.sections import Section, measure_object
from analysis.tables import Row, Table

Budget = Literal["updates", "tokens", "operations", "seconds"]
"""What arms may have had the same amount of: optimizer updates, target tokens, counted operations,
seconds in training steps."""
PERPLEXITY = "valid.perplexity"
COSTS = (SECONDS, TOKENS)
"""Curves of what a trial had spent at each validation."""


class Reading(NamedTuple):
    """An arm at a budget: its curves over seeds, and the update at which each seed was read."""

    measures: Mapping[str, Measure]
    steps: tuple[int, ...]


def section(table: Table, histories: pd.DataFrame) -> Section | None:
    """None where fewer than two arms have curves."""
    points = spent(table, histories)
    if points["arm"].nunique() < 2:
        return None
    metrics = [name for name in measures(table) if points[name].notna().any()]
    limits = {budget: limit(points, budget) for budget in get_args(Budget)}
    read = {
        budget: {row.arm: reading(points, row.arm, budget, most, metrics) for row in table.rows}
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
    return wide.reindex(columns=names).dropna(subset=measures(table), how="all").reset_index()


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


def limit(points: pd.DataFrame, budget: Budget) -> float:
    """The largest budget that every run has reached."""
    return float(points.groupby("run_id")[budget].max().min())


def reading(
    points: pd.DataFrame, arm: str, budget: Budget, most: float, metrics: Sequence[str]
) -> Reading:
    """Each run of an arm at its last validation that spent at most `most`."""
    within = points[(points["arm"] == arm) & (points[budget] <= most)]
    last = within.sort_values([budget, "step"]).groupby("run_id").tail(1).sort_values("seed")
    read = {name: last.dropna(subset=[name]) for name in metrics}
    return Reading(
        {
            name: Measure(tuple(some["seed"].tolist()), tuple(some[name].tolist()), "")
            for name, some in read.items()
        },
        tuple(last["step"].tolist()),
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
        return Cell(MISSING, "", None, meaning)
    cell = score_cell(measure, 2)
    updates = ", ".join(map(str, dict.fromkeys(read.steps)))
    return cell._replace(meaning=f"after update {updates}; {cell.meaning}")


def _note(table: Table, metrics: Sequence[str]) -> str:
    text = (
        "Curves of the valid part at the largest budget that every arm reached, each arm at its "
        "last validation within it; nothing is read between validations or beyond the last. "
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
        "steps": list(read.steps),
        **{name: measure_object(measure) for name, measure in read.measures.items()},
    }
