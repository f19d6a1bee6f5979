"""The second source of variance: other sentences of the same source, by resampling.

The resamples are sacreBLEU's own, by its seed, and common to all runs; a run's score in each comes
from sums of its sentences' statistics. Three parts of what sentences add are told apart: what all
arms have in common cancels in a difference, what belongs to an arm does not shrink with seeds, and
what belongs to one seed of an arm is in the spread over seeds already.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from analysis.significance import Sentences

Floats = npt.NDArray[np.float64]
Scorer = Callable[[Floats], Floats]
"""Sums of statistics (..., K) -> scores (...)."""

RESAMPLES = 1000
SEED = 12345
"""sacreBLEU's."""
MOST_RUNS = 200
"""Of a table whose sentences are still resampled: reading the counts of more takes seconds."""


FEWEST = 20
"""Sentences that are resampled: tests on fewer call equal models different too often, at 20 in 7 of
100 cases, at 8 in 11, on a single one always (benchmarks/error_rates.py)."""


class Resampled(NamedTuple):
    """The runs of an arm. R runs, N resamples."""

    scores_R: Floats
    """On the sentences as they are."""
    scores_RN: Floats

    @property
    def of_one_seed(self) -> float:
        """Variance of the arm's mean that comes of what sentences do to single seeds; 0 for one."""
        count = len(self.scores_R)
        if count < 2:
            return 0.0
        apart_RN = self.scores_RN - self.scores_RN.mean(0)
        return float(apart_RN.var(1).sum() / (count - 1) / count)


def are_enough(sentences: int) -> bool:
    """For a test."""
    return sentences >= FEWEST


def weights(sentences: int) -> Floats:
    """How often each resample holds each sentence (N, sentences)."""
    drawn = np.random.default_rng(SEED).choice(sentences, size=(RESAMPLES, sentences), replace=True)
    return np.stack([np.bincount(row, minlength=sentences) for row in drawn]).astype(np.float64)


def resampled(statistics: Sequence[Floats], drawn: Floats, scorer: Scorer) -> Resampled:
    """`statistics`: for each run its sentences' (sentences, K); `drawn`: from `weights`."""
    return Resampled(
        np.array([float(scorer(one.sum(0))) for one in statistics]),
        np.stack([scorer(drawn @ one) for one in statistics]),
    )


def compare(arm: Resampled, base: Resampled) -> Sentences:
    """Tests of the difference of the means over seeds."""
    difference = float(arm.scores_R.mean() - base.scores_R.mean())
    differences_N = arm.scores_RN.mean(0) - base.scores_RN.mean(0)
    beyond = np.abs(differences_N - differences_N.mean()) >= abs(difference)
    spread = float(differences_N.var())
    return Sentences(
        deviation=spread**0.5,
        p=float((beyond.sum() + 1) / (len(beyond) + 1)),
        p_both=_both(difference, spread, arm, base),
    )


def _both(difference: float, spread: float, arm: Resampled, base: Resampled) -> float | None:
    """A t-test on the variance over seeds and what sentences add to it.

    Satterthwaite's degrees of freedom, estimated from few seeds, come out too large; they are taken
    less a share of one in as many as there are seeds, which benchmarks/error_rates.py found to hold
    the level.
    """
    counts = [len(one.scores_R) for one in (arm, base)]
    if min(counts) < 2:
        return None
    seeds = [float(one.scores_R.var(ddof=1)) / len(one.scores_R) for one in (arm, base)]
    squares = sum(part**2 * n / (n - 1) ** 2 for part, n in zip(seeds, counts, strict=True))
    if not squares:
        return None
    whole = sum(seeds) + max(0.0, spread - arm.of_one_seed - base.of_one_seed)
    freedom = max(min(counts) - 1.0, whole**2 / squares)
    return float(2 * stdtr(freedom, -abs(difference) / whole**0.5))


def against(
    base: str, statistics: Mapping[str, Sequence[Floats]], scorer: Scorer
) -> dict[str, Sentences]:
    """Each arm's runs against base's; all have the same sentences. None of base, or fewer
    sentences than FEWEST: nothing."""
    if not statistics.get(base) or not are_enough(len(statistics[base][0])):
        return {}
    drawn = weights(len(statistics[base][0]))
    theirs = resampled(statistics[base], drawn, scorer)
    return {
        arm: compare(resampled(runs, drawn, scorer), theirs)
        for arm, runs in statistics.items()
        if arm != base and runs
    }
