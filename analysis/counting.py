"""Which runs a table counts, and for which trial.

A run counts when its arm, seed and digest are those of a trial that the study lists now and it is
no rerun. A mean is taken over finished runs that were scored with one signature; otherwise there
is none, and the measure says why.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import fmean, stdev
from typing import Any, NamedTuple, Protocol

from scipy.special import stdtrit

from analysis.runs import Found, damaged
from lit_transformer.config import RunConfig

TrialKey = tuple[str, int, str]
"""Arm, seed and digest."""


class ExpectedTrial(Protocol):
    """What a table needs to know of one trial of the study as it is now."""

    @property
    def arm(self) -> str: ...
    @property
    def group(self) -> str | None: ...
    @property
    def label(self) -> str | None: ...
    @property
    def after(self) -> str | None:
        """The arm that this one goes on from."""

    @property
    def seed(self) -> int: ...
    @property
    def config(self) -> RunConfig: ...
    @property
    def checksums(self) -> Mapping[str, str]: ...
    @property
    def digest(self) -> str: ...


class Run(NamedTuple):
    """One run as the tracker holds it."""

    run_id: str
    experiment_id: str
    arm: str
    seed: int
    digest: str
    kind: str
    commit: str
    dirty: bool
    device: str
    device_name: str
    """The hardware's; empty where the run does not tell."""
    devices: int | None
    """How many trained it at once; None where the run does not tell."""
    trained_as: str
    scores: Mapping[str, float]
    signatures: Mapping[str, str]
    infinite: frozenset[str]
    """Metrics whose score is no finite number."""


class Slot(NamedTuple):
    """An expected trial and the run that answers it; None: not run."""

    seed: int
    digest: str
    run: Run | None

    @property
    def state(self) -> str:
        return "not run" if self.run is None else self.run.kind

    @property
    def finished(self) -> bool:
        return self.state == "finished"

    @property
    def diverged(self) -> bool:
        """A result as well, without a score."""
        return self.state == "diverged"


@dataclass(frozen=True)
class Measure:
    """One metric of one arm, over the seeds that finished."""

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    withheld: str
    """Why there is no mean although there are values; empty: nothing is withheld."""

    @cached_property
    def mean(self) -> float | None:
        return None if self.withheld or not self.values else fmean(self.values)

    @cached_property
    def deviation(self) -> float | None:
        """Sample standard deviation (n - 1) over seeds; one seed has none."""
        return None if self.withheld or len(self.values) < 2 else stdev(self.values)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """95 % t-interval of the mean over seeds; one seed has none."""
        mean, deviation, n = self.mean, self.deviation, len(self.values)
        if mean is None or deviation is None:
            return None
        half = _student(n - 1) * deviation / math.sqrt(n)
        return mean - half, mean + half


@cache
def _student(freedom: int) -> float:
    """Student's t that 97.5 % lie below."""
    return float(stdtrit(freedom, 0.975))


class Unused(NamedTuple):
    """A run that is not counted, and why."""

    run: Run
    reason: str


def read_runs(found: Iterable[Found]) -> list[Run]:
    """The store's runs without reruns; scores that are not finite are told apart."""
    return [run for run in map(_run, found) if run is not None]


def by_trial(runs: Iterable[Run]) -> dict[TrialKey, list[Run]]:
    """The runs of each (arm, seed, digest)."""
    answers: dict[TrialKey, list[Run]] = {}
    for run in runs:
        answers.setdefault((run.arm, run.seed, run.digest), []).append(run)
    return answers


def slots(
    trials: Sequence[ExpectedTrial], answers: Mapping[TrialKey, Sequence[Run]]
) -> tuple[Slot, ...]:
    """Each trial with the run that answers it."""
    found = []
    for trial in trials:
        runs = answers.get((trial.arm, trial.seed, trial.digest), ())
        # Of several runs the newest that finished speaks; they tell of one record.
        finished = [run for run in runs if run.kind == "finished"] or list(runs)
        found.append(Slot(trial.seed, trial.digest, finished[-1] if finished else None))
    return tuple(found)


def measures(runs: Sequence[Run], signatures: Mapping[str, str]) -> dict[str, Measure]:
    """Every metric of an arm's finished runs, withheld where signatures are not the column's, or
    where a seed's score is no finite number: a mean of the others would flatter the arm."""
    names = dict.fromkeys(name for run in runs for name in (*run.scores, *sorted(run.infinite)))
    infinite = frozenset[str]().union(*(run.infinite for run in runs))
    otherwise: dict[str, set[int]] = {}
    for number, run in enumerate(runs):
        for scorer in {*signatures, *run.signatures}:
            if run.signatures.get(scorer, "") != signatures.get(scorer, ""):
                otherwise.setdefault(scorer, set()).add(number)
    return {name: _measure(name, runs, otherwise, infinite) for name in names}


def _measure(
    name: str, runs: Sequence[Run], otherwise: Mapping[str, set[int]], infinite: frozenset[str]
) -> Measure:
    """`otherwise`: scorer -> the runs whose signature is not its column's."""
    scorer = name.rpartition(".")[2]
    held = [number for number, run in enumerate(runs) if name in run.scores]
    withheld = ""
    if not otherwise.get(scorer, set()).isdisjoint(held):
        withheld = f"scored with another {scorer} signature than the column's"
    elif name in infinite:
        withheld = "a seed's score is no finite number"
    seeds = tuple([runs[number].seed for number in held])
    return Measure(seeds, tuple([runs[number].scores[name] for number in held]), withheld)


def signatures(runs: Sequence[Run]) -> dict[str, str]:
    """Each scorer's most frequent signature; of equals the one that comes first in the table."""
    scorers = dict.fromkeys(scorer for run in runs for scorer in run.signatures)
    return {
        scorer: Counter(run.signatures.get(scorer, "") for run in runs).most_common(1)[0][0]
        for scorer in scorers
    }


def unused(runs: Sequence[Run], trials: Sequence[ExpectedTrial]) -> tuple[Unused, ...]:
    """Runs that no expected trial asks for."""
    wanted = {(trial.arm, trial.seed, trial.digest) for trial in trials}
    arms, seeds = {trial.arm for trial in trials}, {trial.seed for trial in trials}
    rest = []
    for run in sorted(runs, key=lambda run: (run.arm, run.seed, run.digest, run.run_id)):
        if (run.arm, run.seed, run.digest) in wanted:
            continue
        if run.arm not in arms:
            reason = "the table has no such row"
        elif run.seed not in seeds:
            reason = "the table has no such seed"
        else:
            reason = "stale: the row has another digest now"
        rest.append(Unused(run, reason))
    return tuple(rest)


def _run(found: Found) -> Run | None:
    """None: a rerun. StoreError where a run's row is none of ours."""
    row = found.row
    try:
        return None if row.get("rerun_of") else _as_run(found, row)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise damaged(found.run_id, "ablate.row") from None


def _as_run(found: Found, row: Mapping[str, Any]) -> Run:
    scores = {name: float(value) for name, value in sorted(row["scores"].items())}
    return Run(
        run_id=found.run_id,
        experiment_id=found.experiment_id,
        arm=row["arm"],
        seed=row["seed"],
        digest=row["digest"],
        kind=row["kind"],
        commit=row["commit"] or "",
        dirty=bool(row["dirty"]),
        device=row["device"] or "",
        device_name=str(row.get("device_name") or ""),
        devices=None if row.get("devices") is None else int(row["devices"]),
        trained_as=row["trained_as"] or "",
        scores={name: value for name, value in scores.items() if math.isfinite(value)},
        signatures={name: text for name, text in sorted(row["signatures"].items()) if text},
        infinite=frozenset(name for name, value in scores.items() if not math.isfinite(value)),
    )
