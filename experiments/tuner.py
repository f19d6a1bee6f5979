"""The searches of a study that tunes its rows, in one sweep; then the rows at their best."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, final

from experiments import tuning
from experiments.bounds import Bound
from experiments.search import Searching
from experiments.space import described
from experiments.study import Setting, Study, Trial, expand
from experiments.sweep import Further, Planned, Root, plan
from experiments.tuning import BEST
from lit_transformer.config_io import Given


@final
class Tuning:
    """Suggests trials of every row in turn, and proposes rows at their best when all are told."""

    def __init__(
        self,
        study: Study,
        setting: Setting,
        seeds: Sequence[int],
        only: Sequence[str],
        overrides: Mapping[str, Given],
        root: Path,
    ) -> None:
        """ConfigError where something of it cannot be."""
        tuning.check_seeds(study, seeds)
        self._study, self._setting, self._seeds, self._root = study, setting, seeds, Root(root)
        self._only, self._overrides = only, overrides
        self._as_they_stand = expand(study, setting, seeds, only, overrides)
        rows = tuning.studies(study, setting, only)
        seed = tuning.seed(study)
        self.searches = [Searching(one, setting, seed, overrides, root) for one in rows]

    @property
    def devices(self) -> int:
        """Of the trial that takes most: which row is next is only known when there is room."""
        return max((one.devices for one in self.searches), default=1)

    @property
    def is_done(self) -> bool:
        """Whether every row's best is known."""
        return all(one.is_done for one in self.searches)

    def expected(self) -> list[Trial]:
        """What its table has, as far as it is known: rows as they stand, and at their best."""
        known = tuning.at_their_best(self._study, [one.searched() for one in self.searches])
        names = [arm.id for arm in known.arms[len(self._study.arms) :]]
        if not names:
            return self._as_they_stand
        only = [*self._only, *names] if self._only else []
        return expand(known, self._setting, self._seeds, only, self._overrides)

    def outline(self) -> list[Trial]:
        """Trials that stand for all it may train."""
        return [*self._as_they_stand, *(one for row in self.searches for one in row.outline())]

    def ahead(self) -> tuple[list[Planned], list[Bound]]:
        """What is known to be left, for a forecast: rows as they stand, what is to be suggested
        for each, and each at its best, as costly as its space allows."""
        items = plan(self.expected(), self._root)
        found: list[Bound] = []
        for one in self.searches:
            some, bounds = one.ahead()
            items += some
            found += bounds
            if not one.is_done:
                best = one.costliest(f"{one.searched().row}{BEST}")
                items += [best] * len(self._seeds)
        return items, found

    def as_objects(self) -> list[dict[str, Any]]:
        """As JSON has them."""
        return [one for row in self.searches for one in row.as_objects()]

    def planned(self) -> list[Planned]:
        """Everything that is known to be trained."""
        suggested = [item for one in self.searches for item in one.planned()]
        return [*plan(self.expected(), self._root), *suggested]

    def plan(self) -> list[str]:
        """What is searched and how, to be told; in each row what it leaves open."""
        tune = self._study.tune
        assert tune is not None
        by = f", pruned by {tune.pruner.name}" if tune.pruner else ""
        head = f"tune: {tune.trials} trials a row with seed {tune.seed}, {tune.sampler.name}{by}"
        rows = [
            f"  {found.row}: {', '.join(one['key'] for one in found.about['space'])}; "
            f"{search.standing()}"
            for search in self.searches
            for found in [search.searched()]
        ]
        return [head, *described(tune), "rows:", *rows]

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Own every search. ConfigError where another process has one."""
        with ExitStack() as held:
            for one in self.searches:
                held.enter_context(one.begun())
            yield

    def suggest(self) -> Trial | None:
        """The next trial of the row that has had fewest; None: no row wants more."""
        for one in sorted(self.searches, key=lambda search: len(search.suggested)):
            if (trial := one.suggest()) is not None:
                return trial
        return None

    def look(self, running: Collection[str]) -> list[str]:
        """Follow the trials of every row that are not over -> the news."""
        return [line for one in self.searches for line in one.look(running)]

    def is_whole(self, planned: Sequence[Planned]) -> bool:
        """Whether of this plan all that its table has is over, and every search too."""
        wanted = {(one.arm, one.seed) for one in self.expected()}
        items = [item for item in planned if (item.trial.arm, item.trial.seed) in wanted]
        return self.is_done and all(item.state.is_over for item in items)

    def further(self, planned: Sequence[Planned]) -> Further:
        """The rows at their best, once every search is over."""
        if not self.is_done:
            return Further([], [])
        known = {(item.trial.arm, item.trial.seed) for item in planned}
        further = [one for one in self.expected() if (one.arm, one.seed) not in known]
        told = [f"tuned     {line}" for line in map(_chosen, self.searches)] if further else []
        return Further(further, told)


def _chosen(search: Searching) -> str:
    """`C1: optim.rate_factor=0.5, model.dropout=0.2 (seed 0: 31.20)`."""
    found = search.searched()
    best = found.best
    if best is None:
        return f"{found.row}: nothing, since none of its trials has finished"
    values = ", ".join(f"{key}={value}" for key, value in best.values.items())
    return f"{found.row}: {values} (seed {found.seed}: {best.objectives[0]:.2f})"
