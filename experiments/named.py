"""A row by the name that reports and `ablate status` show: one that its study lists, or that a
search has found."""

from collections.abc import Mapping
from pathlib import Path

from experiments import suggestions, tuning
from experiments.study import Setting, Study, Trial, expand
from lit_transformer.config_io import ConfigError, Given


def trial(
    study: Study,
    setting: Setting,
    arm: str,
    seed: int | None,
    overrides: Mapping[str, Given],
    root: Path,
    command: str,
) -> Trial:
    """The row with one seed; None: the one that a tuned row's trials have, of other rows 1.

    A search's rows are those of the search with this seed and these overrides. `command` is the
    sweep that searches. ConfigError where there is no such row, or it is not found yet.
    """
    number = 1 if seed is None else seed
    found = study
    if study.search:
        found = suggestions.asked(study, setting, number, overrides, root)
    elif study.tune and not _has(study, arm):
        searches = tuning.suggested(study, setting, [], overrides, root)
        best = tuning.at_their_best(study, [own for one in searches for own in one.searched])
        found = next((one for one in searches if _has(one, arm)), best)
        if found is best:
            tuning.check_seeds(study, [number])
        elif seed is None:
            number = tuning.seed(study)
    row, _, _ = arm.rpartition(".")
    if not _has(found, arm) and any(one.row == row and not one.is_done for one in found.searched):
        raise ConfigError(
            f"{study.name}/{arm} in {setting.name}: its search has not come to it, as far as "
            f"{suggestions.folder(root)} tells; `{command}` searches"
        )
    return expand(found, setting, [number], [arm], overrides)[0]


def _has(study: Study, arm: str) -> bool:
    return arm in {one.id for one in study.arms}
