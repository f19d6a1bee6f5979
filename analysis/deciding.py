"""Seeds until decided: answers a sweep whose trials are over with the trials that come next.

Rows, seeds and verdicts follow from the trials' scores alone, so that a sweep that was killed goes
on where it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, final

from analysis import decisions
from analysis.decisions import Decision, Decisions
from analysis.sequential import Design, Standing
from analysis.tables import BASE
from experiments.study import Trial
from experiments.sweep import Further, Planned
from lit_transformer.config_io import ConfigError
from lit_transformer.record import RecordError
from lit_transformer.scoring import MEASURES, Scored


class Scores(NamedTuple):
    """What the trials say, by arm and seed."""

    scores: Mapping[str, Mapping[int, float]]
    scoreless: Mapping[str, Mapping[int, str]]
    """Trials that are over without a score, and how; a mean of the others would flatter the arm."""


@final
class Deciding:
    """Compares rows with base, and asks for seeds where they can change a verdict."""

    def __init__(
        self,
        trials: Sequence[Trial],
        score: Scored,
        most_seeds: int,
        margin: float | None,
        root: Path,
    ) -> None:
        """`trials`: every arm with seeds 1 to `most_seeds`; `score`: what the study is read for.

        ConfigError where there is nothing to compare, or where these rows have been looked at in
        another design.
        """
        self._trials = {(trial.arm, trial.seed): trial for trial in trials}
        self._arms = list(dict.fromkeys(trial.arm for trial in trials))
        if len(self._arms) < 2:
            raise ConfigError(
                f"--until decided: rows are compared with base, and {self._arms[0]} is alone; "
                "choose base and other rows with --only, or leave it out"
            )
        self._base = BASE if BASE in self._arms else self._arms[0]
        self._measure = f"{score}.{MEASURES[trials[0].config.data.task]}"
        self.design = Design(len(self._arms) - 1, most_seeds, margin)
        self._root, self._begun = root, False
        self._told: dict[str, Decision] = {}
        self._coming: list[str] = []
        self._found = self._verdicts(self.first, {})
        decisions.refuse_another(root, self._found)

    @property
    def first(self) -> list[Trial]:
        """The trials of the first look."""
        return self._up_to(dict.fromkeys(self._arms, self.design.looks[0]))

    @property
    def all(self) -> list[Trial]:
        """Every trial that might be asked for."""
        return list(self._trials.values())

    @property
    def found(self) -> Decisions:
        """How the rows stood when this was last asked."""
        return self._found

    def begin(self) -> None:
        """Write the design down, and from now on what is found: before the first trial."""
        self._begun = True
        decisions.write(self._root, self._found)

    def plan(self) -> list[str]:
        """What is fixed before the first score, to be told."""
        design = self.design
        rows = "1 row" if design.comparisons == 1 else f"{design.comparisons} rows"
        margin = "" if design.margin is None else f", the same within {design.margin:g}"
        return [
            f"until decided: {self._measure} of {rows} against {self._base}{margin}",
            decisions.levels(design),
            f"at most {design.most_seeds} seeds a row and {len(self._trials):,} trials in all; "
            f"{self._base} has as many seeds as the row with the most",
        ]

    def as_object(self) -> dict[str, Any]:
        """`found` as one JSON object, with the trials that there may be at most."""
        return {**decisions.as_object(self._found), "most_trials": len(self._trials)}

    def __call__(self, planned: Sequence[Planned]) -> Further:
        """To be asked when the planned trials are over: what the open rows need, and the news."""
        scored = _scored(planned, self._measure)
        base = scored.scores.get(self._base, {})
        standings = {
            arm: self.design.stand(scored.scores.get(arm, {}), base)
            for arm in self._arms
            if arm != self._base
        }
        rows = {
            arm: _decision(self.design, arm, self._base, standing, scored)
            for arm, standing in standings.items()
        }
        needed = {arm: standings[arm].wanted for arm, row in rows.items() if row.verdict == "open"}
        needed |= {self._base: max(needed.values(), default=0)}
        given = {item.trial.digest for item in planned}
        further = [trial for trial in self._up_to(needed) if trial.digest not in given]
        self._found = self._verdicts([*(item.trial for item in planned), *further], rows)
        if self._begun:
            decisions.write(self._root, self._found)
        coming = [*self._next(further, planned, needed)]
        again, self._coming = coming == self._coming, coming
        return Further(further, [*self._news(rows, standings), *([] if again else coming)])

    def _up_to(self, seeds: Mapping[str, int]) -> list[Trial]:
        """Of each arm seeds 1, 2, ... up to its number; all arms of a seed, then of the next."""
        return [
            self._trials[arm, seed]
            for seed in range(1, max(seeds.values(), default=0) + 1)
            for arm in self._arms
            if seed <= seeds.get(arm, 0)
        ]

    def _verdicts(self, trials: Sequence[Trial], rows: Mapping[str, Decision]) -> Decisions:
        given: dict[str, tuple[str, ...]] = {arm: () for arm in self._arms}
        for trial in sorted(trials, key=lambda trial: trial.seed):
            given[trial.arm] += (trial.digest,)
        some = trials[0]
        return Decisions(
            study=some.study,
            version=some.version,
            setting=some.setting,
            measure=self._measure,
            base=self._base,
            design=self.design,
            given=given,
            rows=tuple(rows.values()),
        )

    def _news(
        self, rows: Mapping[str, Decision], standings: Mapping[str, Standing]
    ) -> Iterator[str]:
        """A line for each row that has been looked at since."""
        for arm, row in rows.items():
            if row == self._told.get(arm) or not (row.seeds or row.reason):
                continue
            self._told[arm] = row
            after = f"{decisions.interval(row)} after {row.seeds} seeds, " if row.seeds else ""
            words = decisions.outcome(row.verdict, self.design)
            if row.verdict == "open":
                chance = _percent(standings[arm].chance)
                words += f"; by {self.design.most_seeds} seeds the chance of a verdict is {chance}"
            yield f"{arm:9} {after}{words}{': ' * bool(row.reason)}{row.reason}"

    def _next(
        self, further: Sequence[Trial], planned: Sequence[Planned], needed: Mapping[str, int]
    ) -> Iterator[str]:
        """Where the next seeds go, or why there are none."""
        by_seeds: dict[tuple[int, ...], list[str]] = {}
        for arm in self._arms:
            seeds = tuple(trial.seed for trial in further if trial.arm == arm)
            by_seeds.setdefault(seeds, []).append(arm)
        for seeds, arms in by_seeds.items():
            if seeds:
                word = "seed" if len(seeds) == 1 else "seeds"
                yield f"next      {word} {decisions.listed(seeds)} of {decisions.listed(arms)}"
        waits = [
            f"{item.trial.arm} seed {item.trial.seed} ({item.state.kind})"
            for item in planned
            if item.trial.seed <= needed.get(item.trial.arm, 0) and not item.is_over
        ]
        if waits:
            yield f"waits     for {decisions.listed(waits)}; the same command tries again"
        elif not further:
            yield f"decided   as far as it can be: {len(planned):,} of {len(self._trials):,} trials"


def recomputed(stored: Decisions, planned: Sequence[Planned]) -> Decisions:
    """The same, with the verdicts that follow from these trials' scores.

    A row stays as it is stored where its trials or base's, up to its last look, are not all there.
    An open one is looked at where it was: trials of its next look may be over since, or lost.
    """
    scored = _scored(planned, stored.measure)
    there = {item.trial.digest for item in planned}
    base = scored.scores.get(stored.base, {})
    rows = []
    for row in stored.rows:
        needed = {d for arm in (row.arm, stored.base) for d in stored.given[arm][: row.seeds]}
        if needed <= there:
            most = row.seeds if row.verdict == "open" else stored.design.most_seeds
            scores = scored.scores.get(row.arm, {})
            seen = {seed: score for seed, score in scores.items() if seed <= most}
            standing = stored.design.stand(seen, base)
            found = _decision(stored.design, row.arm, stored.base, standing, scored)
            lost = row.verdict == "undecided" and found.verdict == "open"  # a seed without a score
            still = row.verdict == "open" and standing.verdict == "open"  # whatever was lost since
            kept = lost or still
            row = found._replace(verdict=row.verdict, reason=row.reason) if kept else found
        rows.append(row)
    return replace(stored, rows=tuple(rows))


def _decision(design: Design, arm: str, base: str, standing: Standing, scored: Scores) -> Decision:
    verdict, reason = standing.verdict, ""
    if verdict == "open" and (lost := _lost((arm, base), standing.wanted, scored)):
        verdict, reason = "undecided", lost
    elif verdict == "undecided" and standing.low is None:
        reason = "the seeds' scores are all the same"
    elif verdict == "undecided" and standing.seeds < design.most_seeds:
        reason = f"the chance of a verdict was {_percent(standing.chance)}"
    numbers = standing.difference, standing.low, standing.high
    return Decision(arm, verdict, standing.seeds, *numbers, reason)


def _lost(arms: Sequence[str], wanted: int, scored: Scores) -> str:
    """Which trial of the next look is over and has no score; empty: none."""
    for name in arms:
        for seed, how in sorted(scored.scoreless.get(name, {}).items()):
            if seed <= wanted:
                return f"{name} seed {seed} {how}"
    return ""


def _scored(planned: Sequence[Planned], measure: str) -> Scores:
    scores: dict[str, dict[int, float]] = {}
    scoreless: dict[str, dict[int, str]] = {}
    for item in planned:
        arm, seed, kind = item.trial.arm, item.trial.seed, item.state.kind
        if kind == "diverged":
            scoreless.setdefault(arm, {})[seed] = "diverged"
        elif kind == "finished":
            score = _score(item, measure)
            if score is None:
                scoreless.setdefault(arm, {})[seed] = f"has no {measure}"
            else:
                scores.setdefault(arm, {})[seed] = score
    return Scores(scores, scoreless)


def _score(item: Planned, measure: str) -> float | None:
    try:
        result = item.record.result() or {"scores": {}}
    except RecordError:
        return None
    score: float | None = result["scores"].get(measure)
    return score


def _percent(chance: float | None) -> str:
    return "unknown" if chance is None else f"{100 * chance:.0f} %"
