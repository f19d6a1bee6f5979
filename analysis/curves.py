"""Learning curves of a table's rows: mean, lowest and highest over the seeds, step by step."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.tables import Row


class Curve(NamedTuple):
    """One arm over its seeds: mean, lowest and highest at each step that every seed reached."""

    steps: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


def by_row(rows: Sequence[Row], histories: pd.DataFrame, metric: str) -> list[Curve]:
    """Each row's curve, of its finished runs, or of those that began where none finished.

    `histories` are those of `runs.history`, whose order is kept: of two points of one run and
    step the later line counts. All rows are taken together, since a table may have hundreds.
    """
    row_of_run = {run_id: number for number, row in enumerate(rows) for run_id in _run_ids(row)}
    chosen = histories[histories["metric"] == metric]
    codes, ids = pd.factorize(chosen["run_id"])
    row_of_code = np.array([row_of_run.get(run_id, -1) for run_id in ids], dtype=np.int64)
    owners = row_of_code[codes] if len(ids) else np.empty(0, dtype=np.int64)
    points = pd.DataFrame(
        {
            "row": owners,
            "run": codes,
            "step": chosen["step"].to_numpy(),
            "value": chosen["value"].to_numpy(dtype=float),
        }
    )
    points = points[points["row"] >= 0].drop_duplicates(["run", "step"], keep="last")
    seeds = points.groupby("row")["run"].nunique()
    points = points[np.isfinite(points["value"])]
    steps = points.groupby(["row", "step"])["value"].agg(["mean", "min", "max", "count"])
    steps = steps.reset_index()
    steps = steps[steps["count"] == steps["row"].map(seeds)]
    found = {number: part for number, part in steps.groupby("row")}
    return [_curve(found.get(number)) for number in range(len(rows))]


def _run_ids(row: Row) -> list[str]:
    runs = row.runs or tuple(slot.run for slot in row.slots if slot.run is not None)
    return [run.run_id for run in runs]


def _curve(steps: pd.DataFrame | None) -> Curve:
    if steps is None:
        return Curve([], [], [], [])
    return Curve(
        steps["step"].astype(float).tolist(),
        steps["mean"].tolist(),
        steps["min"].tolist(),
        steps["max"].tolist(),
    )
