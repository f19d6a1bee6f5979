"""A made-up sweep of Table 3: real trials, invented runs and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis.runs import Found
from analysis.tables import Heading, Table
from experiments.study import Trial, expand, load_setting, load_study
from lit_transformer.config_io import Given

SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"


def trials(
    setting: str, arms: Sequence[str], seeds: Sequence[int], steps: int | None = None
) -> list[Trial]:
    """Rows of Table 3, each with its seeds; no arms: all twenty; `steps`: not the setting's."""
    study = load_study("table3")
    given = {"train.steps": Given(steps, "the test")} if steps else {}
    found = expand(study, load_setting(setting), seeds, arms, given)
    order = [arm.id for arm in study.arms]
    return sorted(found, key=lambda trial: (order.index(trial.arm), trial.seed))


def heading(setting: str) -> Heading:
    return Heading(
        study="table3",
        version="1",
        setting=setting,
        description="Table 3 of the paper, one change at a time.",
        command=f"ablate sweep table3 --setting {setting} --seeds 3",
        versions={"python": "3.11.9", "torch": "2.13.0", "sacrebleu": "2.6.0"},
    )


def run(trial: Trial, bleu: float, perplexity: float) -> dict[str, object]:
    """A finished run of a trial, as a flat record."""
    return {
        "run_id": f"{trial.arm}{trial.seed}".ljust(32, "0"),
        "experiment_id": "7",
        "arm": trial.arm,
        "group": trial.group,
        "seed": trial.seed,
        "digest": trial.digest,
        "kind": "finished",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
        "device": "cpu",
        "rerun_of": None,
        "trained_as": None,
        "signature.bleu": SIGNATURE,
        "score.valid.bleu": bleu,
        "score.valid.perplexity": perplexity,
        "score.cost.parameters": 650_000.0,
        "score.cost.train_seconds": 120.0,
    }


def stored(records: Sequence[Mapping[str, object]]) -> list[Found]:
    """The same as `runs.rows` gives it."""
    return [_stored(dict(record)) for record in records]


def _stored(record: dict[str, object]) -> Found:
    row: dict[str, Any] = {"scores": {}, "signatures": {}, "parameters": {}}
    for name, value in record.items():
        group, _, rest = name.partition(".")
        if rest:
            row[f"{group}s"][rest] = value
        else:
            row[name] = value
    return Found(row.pop("run_id"), row.pop("experiment_id"), "FINISHED", row)


def diverged(table: Table, arm: str) -> Table:
    """The same, of whose row a seed more has diverged."""
    rows = []
    for row in table.rows:
        if row.arm == arm:
            lost = row.slots[0]._replace(seed=9, run=row.runs[0]._replace(kind="diverged"))
            row = replace(row, slots=(*row.slots, lost))
        rows.append(row)
    return replace(table, rows=tuple(rows))


def curve(run_id: str, metric: str, values: Sequence[float]) -> pd.DataFrame:
    """A history with a point every 100 steps, as `runs.history` gives it."""
    steps = range(100, 100 * len(values) + 1, 100)
    return pd.DataFrame(
        {"run_id": run_id, "metric": metric, "step": steps, "value": values, "time": 0.0}
    )
