"""What is known of an arm against base: tests over seeds, corrected over the study, and a verdict.

The unit of replication is the seed: all arms score the same sentences, so what their seeds' means
differ by is a claim about two configurations on this part of the corpus. What resampled sentences
add is in `sentences.py`; why these methods and no others in docs/statistics.md.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, variance
from typing import Literal, NamedTuple

from scipy.special import stdtr, stdtrit

LEVEL = 0.05
"""Of every test, and of a study's verdicts together."""
MARGIN = 0.5
"""Points of BLEU or F1 within which two arms count as the same: five times the rounding of the
paper's table, and less than what is usually called an improvement."""

Word = Literal["better", "worse", "the same", "cannot tell", "one seed", "no score", "diverged"]


class Welch(NamedTuple):
    """Welch's t-test of two arms' scores over seeds."""

    difference: float
    """Mean of the first less mean of the second."""
    error: float
    """Standard error of the difference; 0: the seeds do not differ, and nothing can be tested."""
    freedom: float

    @property
    def p(self) -> float:
        """Two-sided, of no difference."""
        if not self.error:
            return 1.0
        return float(2 * stdtr(self.freedom, -abs(self.difference) / self.error))

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % for the difference."""
        if not self.error:
            return None
        half = float(stdtrit(self.freedom, 1 - LEVEL / 2)) * self.error
        return self.difference - half, self.difference + half

    def p_outside(self, margin: float) -> float:
        """Of a difference of `margin` or more, either way: the larger of two one-sided tests'."""
        if not self.error:
            return 1.0
        return float(stdtr(self.freedom, (abs(self.difference) - margin) / self.error))


class Sentences(NamedTuple):
    """The same difference over resampled sentences, common to all arms."""

    deviation: float
    """Of the difference of the seeds' means."""
    p: float
    """Of these very models, on other sentences of the source."""
    p_both: float | None
    """Of the configurations, on other sentences; None: an arm has one seed."""


class Verdict(NamedTuple):
    """What is known of an arm against another, base in general."""

    word: Word
    test: Welch | None
    """None: an arm has fewer than two seeds."""
    p: float | None
    """The test's, after Holm's correction over the study."""
    p_same: float | None
    """Of a difference beyond the margin, corrected in the same way."""
    sentences: Sentences | None
    """None: not resampled."""


def welch(first: Sequence[float], second: Sequence[float]) -> Welch | None:
    """None where one has fewer than two scores.

    Degrees of freedom by Welch (1947), whose estimate of them is less biased than Satterthwaite's,
    and at most those of two samples as small as the smaller.
    """
    if min(len(first), len(second)) < 2:
        return None
    parts = [(variance(values) / len(values), len(values)) for values in (first, second)]
    whole = sum(part for part, _ in parts)
    most = 2.0 * (min(len(first), len(second)) - 1)
    squares = sum(part**2 / (count + 1) for part, count in parts)
    freedom = min(most, whole**2 / squares - 2) if squares else most
    return Welch(fmean(first) - fmean(second), math.sqrt(whole), freedom)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction: p-values that may be held against the level together."""
    found, largest = {}, 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[name]))
        found[name] = largest
    return found


def verdicts(
    base: Sequence[float], arms: Mapping[str, Sequence[float]], margin: float
) -> dict[str, Verdict]:
    """Each arm's scores over seeds against base's; higher is better. No scores: not run."""
    return of_pairs({arm: (scores, base) for arm, scores in arms.items()}, margin)


def of_pairs(
    pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]], margin: float
) -> dict[str, Verdict]:
    """The first of each pair against the second, corrected over the pairs."""
    tests = {arm: welch(*scores) for arm, scores in pairs.items()}
    tested = {arm: test for arm, test in tests.items() if test is not None}
    different = holm({arm: test.p for arm, test in tested.items()})
    same = holm({arm: test.p_outside(margin) for arm, test in tested.items()})
    found = {}
    for arm, test in tests.items():
        p, p_same = different.get(arm), same.get(arm)
        if test is None or p is None or p_same is None:
            word: Word = "one seed" if all(pairs[arm]) else "no score"
        else:
            word = _word(test, p, p_same)
        found[arm] = Verdict(word, test, p, p_same, None)
    return found


def _word(test: Welch, p: float, p_same: float) -> Word:
    if p < LEVEL:
        return "better" if test.difference > 0 else "worse"
    return "the same" if p_same < LEVEL else "cannot tell"
