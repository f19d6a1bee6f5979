"""Rows at their best: a search for each, with one budget, before rows are compared.

A row is searched with a seed of its own. What scored best then is trained with the seeds that rows
are compared with, beside the row as it stands: its score is not the best of many noisy draws. What
a row names itself is what it is about, and is not searched in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from experiments import suggestions
from experiments.files import Arm
from experiments.searched import Searched
from experiments.space import TUNED, Dimension, Search
from experiments.study import Setting, Study, with_arms
from lit_transformer.config_io import ConfigError, Given, Scalar

BEST = ".best"
"""Behind the id of a row at its best."""
TRIALS = ".tuning"
"""Behind the study's name, of the trials that its rows are searched with."""


def studies(study: Study, setting: Setting, only: Sequence[str]) -> list[Study]:
    """A study that searches, for each row in which there is something to search.

    `only`: rows to keep; empty: all. ConfigError where the setting says of a row what its trials
    would not be told.
    """
    tune = study.tune
    assert tune is not None
    for reference in setting.rows:
        if reference.study == study.name:
            raise ConfigError(
                f"setting {setting.name}: rows: {study.name}/{reference.arm}: {study.name} tunes "
                "its rows, which a setting does not change; leave the entry out, or tune"
            )
    rows = [arm for arm in study.arms if not only or arm.id in only]
    found = [_of_row(arm, tune) for arm in rows]
    return [
        replace(study, name=f"{study.name}{TRIALS}", arms=(), search=one, tune=None)
        for one in found
        if one.space
    ]


def suggested(
    study: Study, setting: Setting, only: Sequence[str], overrides: Mapping[str, Given], root: Path
) -> list[Study]:
    """The `studies` that search, with what they have suggested so far."""
    rows = studies(study, setting, only)
    return [suggestions.asked(one, setting, seed(study), overrides, root) for one in rows]


def asked(
    study: Study, setting: Setting, only: Sequence[str], overrides: Mapping[str, Given], root: Path
) -> Study:
    """The study with its searches so far, and at their best the rows whose search is over."""
    rows = suggested(study, setting, only, overrides, root)
    return at_their_best(study, [found for one in rows for found in one.searched])


def at_their_best(study: Study, found: Sequence[Searched]) -> Study:
    """With a row more for each that was searched to the end."""
    rows = {arm.id: arm for arm in study.arms}
    best = [arm for one in found if (arm := _best(rows[one.row], one)) is not None]
    return replace(with_arms(study, [*study.arms, *best]), searched=tuple(found))


def seed(study: Study) -> int:
    """Of the trials that rows are searched with."""
    assert study.tune is not None
    assert study.tune.seed is not None
    return study.tune.seed


def check_seeds(study: Study, seeds: Sequence[int]) -> None:
    """ConfigError where rows would be compared with the seed that they were chosen by."""
    if seed(study) in seeds:
        raise ConfigError(
            f"--seeds: {study.name} tunes with seed {seed(study)}, and a row chosen by a seed is "
            "better with it than it is; name others, or give tune another seed"
        )


def _best(row: Arm, found: Searched) -> Arm | None:
    """The row at its best; None while it is not known."""
    if not found.is_done or found.best is None:
        return None
    chosen = {
        key: Given(value, f"{row.id} at its best") for key, value in found.best.values.items()
    }
    label = f"{row.label}, at its best" if row.label else None
    return Arm(f"{row.id}{BEST}", TUNED, label, None, {**row.given, **chosen})


def _of_row(arm: Arm, tune: Search) -> Search:
    """Over what the row leaves open; a condition on what it names holds or does not."""
    space: list[Dimension] = []
    for dimension in tune.space:
        when = dict(dimension.when)
        for key, values in dimension.when.items():
            if key in arm.given and _is_among(arm.given[key].value, values):
                del when[key]
        known = {one.key for one in space}
        if dimension.key not in arm.given and known >= when.keys():
            space.append(dimension._replace(when=when))
    return replace(tune, row=arm.id, shared=arm.given, space=tuple(space))


def _is_among(value: object, values: Sequence[Scalar]) -> bool:
    return any(value == one and type(value) is type(one) for one in values)
