"""Optuna by ask and tell: what suggests values, and gives up trials that promise little."""

from collections.abc import Mapping, Sequence
from typing import final

import optuna

from experiments.frozen import STATES, directions, quiet
from experiments.samplers import pruner, sampler
from experiments.searched import End
from experiments.space import Dimension, Search
from lit_transformer.config_io import Scalar

VERSION = optuna.__version__
DIGITS = 4
"""Of a suggested number: what a table can show, and more than a score can tell apart."""


@final
class Asking:
    """One search's study, from its beginning."""

    def __init__(self, search: Search, name: str, seed: int, reseeded: bool) -> None:
        """`reseeded`: with this seed even if the sampler has its own."""
        self._space, self._handles = search.space, list[optuna.Trial]()
        with quiet():
            self.study = optuna.create_study(
                study_name=name,  # hyperband shares trials out by it
                sampler=sampler(search, seed, reseeded),
                pruner=pruner(search),
                directions=directions(search.objectives),
            )

    def ask(self) -> tuple[int, dict[str, Scalar]]:
        """The next trial's number and values; keys whose condition does not hold are left out."""
        handle = self.study.ask()
        self._handles.append(handle)
        values: dict[str, Scalar] = {}
        for dimension in self._space:
            if dimension.holds(values):
                values[dimension.key] = _suggested(handle, dimension)
        return handle.number, values

    def enqueue(self, values: Mapping[str, Scalar]) -> None:
        """Suggest these before others."""
        self.study.enqueue_trial(dict(values))

    def gives_up(self, number: int, step: int, value: float) -> bool:
        """Report a point of a trial's curve -> whether the pruner ends the trial."""
        self._handles[number].report(value, step)
        return self._handles[number].should_prune()

    def tell(self, number: int, end: End, objectives: Sequence[float]) -> None:
        values = list(objectives) if end == "complete" else None
        self.study.tell(self._handles[number], values, STATES[end])

    def states(self) -> list[str]:
        """By number: COMPLETE, PRUNED, FAIL, RUNNING."""
        return [trial.state.name for trial in self.study.get_trials(deepcopy=False)]


def _suggested(handle: optuna.Trial, dimension: Dimension) -> Scalar:
    key, low, high = dimension.key, dimension.low, dimension.high
    if dimension.choices:
        found: Scalar = handle.suggest_categorical(key, dimension.choices)
        return found
    if dimension.whole:
        step = int(dimension.step or 1)
        return handle.suggest_int(key, int(low), int(high), step=step, log=dimension.log)
    number = handle.suggest_float(key, low, high, step=dimension.step, log=dimension.log)
    # Steps of a tenth do not add up to tenths; 12 digits make them so.
    digits = DIGITS if dimension.step is None else 12
    return min(max(float(f"{number:.{digits}g}"), low), high)
