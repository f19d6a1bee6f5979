"""A search's record as a study of Optuna's: for its plots and its dashboard. Nothing is suggested.

The record stays what is true; whatever is made of it here can be made again.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from experiments.searched import End, Searched, Suggestion

STATES: Mapping[End, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "fail": TrialState.FAIL,
}


def study(search: Searched, name: str, storage: BaseStorage | None = None) -> optuna.Study:
    """Its trials so far; in memory where no storage is given."""
    with quiet():
        made = optuna.create_study(
            storage=storage, study_name=name, directions=directions(search.objectives)
        )
        made.set_metric_names(search.objectives)
        made.add_trials([_trial(search, one) for one in search.found])
    return made


def write_database(searches: Sequence[tuple[str, Searched]], path: Path) -> None:
    """Every search under its name in an SQLite file of Optuna's; another file there is replaced.

    It stands there whole or not at all: a database that is killed while it is made is ruined.
    """
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    storage = RDBStorage(f"sqlite:///{partial}")
    for name, search in searches:
        study(search, name, storage)
    storage.remove_session()
    storage.engine.dispose()
    partial.replace(path)


def directions(objectives: Sequence[str]) -> list[StudyDirection]:
    """The most of a score, the least of a cost."""
    most, least = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    return [most if name == "score" else least for name in objectives]


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Optuna tells of each trial, and of what it calls experimental."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _trial(search: Searched, one: Suggestion) -> FrozenTrial:
    space = {dimension["key"]: dimension for dimension in search.about["space"]}
    # Optuna's value of a pruned trial is the last of its curve.
    last = one.points[-1:] if one.end == "pruned" and len(search.objectives) == 1 else ()
    return optuna.trial.create_trial(
        state=TrialState.RUNNING if one.end is None else STATES[one.end],
        values=[*one.objectives] or last or None,
        params=dict(one.values),
        distributions={key: _distribution(space[key]) for key in one.values},
        intermediate_values=dict(enumerate(one.points, start=1)),
        user_attrs={"row": search.name(one), "digest": one.digest or "", "reason": one.reason},
    )


def _distribution(dimension: Mapping[str, Any]) -> BaseDistribution:
    """Of a dimension as the record has it."""
    low, high, step, log = (dimension[name] for name in ("low", "high", "step", "log"))
    if dimension["choices"]:
        return CategoricalDistribution(dimension["choices"])
    if dimension["whole"]:
        return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
    return FloatDistribution(low, high, log=log, step=step)
