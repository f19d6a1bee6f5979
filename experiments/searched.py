"""What a search has suggested and how it went, as values: for its reports as for itself."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from experiments.files import MOST_TRIALS
from lit_transformer.config_io import Scalar

End = Literal["complete", "pruned", "fail"]
"""Optuna's states of a trial that is over."""


class Suggestion(NamedTuple):
    """One trial of a search, as far as it has come."""

    number: int
    """Optuna's, from 0."""
    values: Mapping[str, Scalar]
    digest: str | None
    """None: there is no such configuration."""
    reason: str
    """Why there is none."""
    points: tuple[float, ...]
    """Of the curve that the pruner follows, one a validation."""
    end: End | None
    """None: not yet told."""
    objectives: tuple[float, ...]
    """In the search's order; none where the trial has no result."""


class Searched(NamedTuple):
    """A search as far as it has come: what a report shows of it."""

    about: Mapping[str, Any]
    """As `about` has it."""
    row: str
    """The row that was tuned; empty: the search stands in place of rows."""
    seed: int
    """Of its trials."""
    budget: Mapping[str, float | None]
    """trials and seconds; None: no limit of that kind."""
    spent_s: float
    found: tuple[Suggestion, ...]
    """By number."""

    @property
    def objectives(self) -> list[str]:
        return list(self.about["objectives"])

    @property
    def is_done(self) -> bool:
        """Whether all was asked, and every end is told."""
        trials, seconds = self.budget["trials"], self.budget["seconds"]
        whole = len(self.found) >= (MOST_TRIALS if trials is None else trials)
        late = seconds is not None and self.spent_s >= seconds
        return (whole or late) and all(one.end is not None for one in self.found)

    def name(self, one: Suggestion) -> str:
        """The arm's id."""
        return f"{self.row}.t{one.number}" if self.row else f"t{one.number}"

    @property
    def best(self) -> Suggestion | None:
        """None before one has finished."""
        first = next(iter(best_first(self)), None)
        return first if first is not None and first.end == "complete" else None

    def as_object(self) -> dict[str, Any]:
        """As JSON has it."""
        found = [
            {**one._asdict(), "points": list(one.points), "objectives": list(one.objectives)}
            for one in self.found
        ]
        return {**self._asdict(), "found": found}


def parse(content: Mapping[str, Any]) -> Searched:
    """What `as_object` made; LookupError, TypeError or ValueError where it is something else."""
    found = [
        Suggestion(**{**one, "points": (*one["points"],), "objectives": (*one["objectives"],)})
        for one in content["found"]
    ]
    return Searched(**{**content, "found": tuple(found)})


def front(search: Searched) -> list[Suggestion]:
    """Finished ones that no other beats in all objectives, by the first objective."""
    gains = _gains(search)
    finished = [one for one in best_first(search) if one.number in gains]
    return [one for one in finished if not _is_beaten(gains[one.number], gains)]


def best_first(search: Searched) -> list[Suggestion]:
    """Its suggestions: finished ones by the first objective, those that no other beats in all of
    them before the rest; then pruned ones, those that were followed longest first; then the others.
    """
    gains = _gains(search)

    def rank(one: Suggestion) -> tuple[bool, list[float]]:
        return not _is_beaten(gains[one.number], gains), gains[one.number]

    finished = [one for one in search.found if one.end == "complete"]
    finished.sort(key=rank, reverse=True)
    pruned = [one for one in search.found if one.end == "pruned"]
    pruned.sort(key=lambda one: (len(one.points), one.points[-1:]), reverse=True)
    rest = [one for one in search.found if one.end not in ("complete", "pruned")]
    return [*finished, *pruned, *rest]


def _gains(search: Searched) -> dict[int, list[float]]:
    """Of the finished ones, by number: every objective so that more is better."""
    signs = [1 if name == "score" else -1 for name in search.objectives]
    return {
        one.number: [sign * value for sign, value in zip(signs, one.objectives, strict=True)]
        for one in search.found
        if one.end == "complete"
    }


def _is_beaten(own: Sequence[float], gains: Mapping[int, Sequence[float]]) -> bool:
    """Whether another is nowhere worse and somewhere better; more is better."""
    return any(
        list(other) != list(own) and all(a >= b for a, b in zip(other, own, strict=True))
        for other in gains.values()
    )
