"""Seeds until decided: when an arm's scores differ from base's, told as seeds are added.

An arm and base are compared at a few numbers of seeds that are fixed beforehand, the looks. Each
look has an interval of its own for the difference of means, and the intervals alone give verdicts:
an interval that is all above 0 says better, all below worse, all within the margin the same. A
verdict is wrong only if its interval misses the true difference, so that one error rate covers all
kinds of verdict, wrong signs too.

The error rate is shared out twice, each time so that the parts sum to the whole, which holds
whatever depends on whatever: evenly over the comparisons (Bonferroni), and over a comparison's
looks by the spending function of Kim and DeMets (1987), error * fraction^2, which lies between
Pocock's and O'Brien and Fleming's. The interval is Student's t with n - 1 degrees of freedom: with
n seeds on each side it covers at least as often as it says, however unlike the two spreads are
(Mickey and Brown 1966). Welch's degrees of freedom do not, at levels as small as these.
docs/until-decided.md has the simulation. Spreads are taken as they are in each pair: rows of one
study may differ in them fifty-fold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "same", "undecided", "open"]
"""Of an arm against base; "open" until a look tells."""

FAMILY_ERROR = 0.05
"""Chance that any verdict of a sweep is wrong, at most."""
FIRST_LOOKS = (3, 5)
"""Seeds at the first two looks; each later one has as many as the two before it together. Two seeds
leave one degree of freedom, in which nothing is decided at the levels of several comparisons."""
MOST_SEEDS = 13
"""Seeds of the last look, where nobody says otherwise."""
FUTILE = 0.1
"""Chance of a verdict at the last look below which an arm gets no further seeds. Stopping without a
verdict cannot be wrong, so this costs power alone."""
PLACES = 10
"""Digits behind which a spread is rounding: equal scores have none."""


class Look(NamedTuple):
    """One look, at any number of comparisons at once."""

    difference: Floats
    """Mean of the arm less mean of base."""
    low: Floats
    high: Floats
    chance: Floats
    """Of a verdict at the last look, as things stand."""
    verdict: NDArray[np.str_]


class Standing(NamedTuple):
    """How an arm stands after its last look; a verdict is of the first look that gives one."""

    verdict: Verdict
    seeds: int
    """Of the last look; 0: there was none yet."""
    wanted: int
    """Of the next look: an open arm and base need scores of seeds 1, 2, ... up to here."""
    difference: float | None
    low: float | None
    high: float | None
    chance: float | None
    """Of a verdict at the last look of all, as things stand."""


@dataclass(frozen=True)
class Design:
    """What is fixed before the first score: together, they fix looks and levels."""

    comparisons: int
    most_seeds: int
    margin: float | None
    """Differences smaller than this count as none; None: no verdict "same"."""

    @cached_property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds, the last one `most_seeds`: 3, 5, 8, 13, ..."""
        before, after = FIRST_LOOKS
        found = []
        while before < self.most_seeds:
            found.append(before)
            before, after = after, before + after
        return (*found, self.most_seeds)

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """Error of one comparison at each look, both sides; their sum is FAMILY_ERROR less what
        the other comparisons have."""
        fractions = np.array([0, *self.looks]) / self.most_seeds
        spent = FAMILY_ERROR / self.comparisons * fractions**2
        return tuple(np.diff(spent).tolist())

    def look(self, number: int, arm: Floats, base: Floats) -> Look:
        """Look `number` (from 0) at scores of shape (..., seeds of that look)."""
        seeds = self.looks[number]
        variance = arm.var(-1, ddof=1) + base.var(-1, ddof=1)
        error = np.where(np.round(variance, PLACES) > 0, np.sqrt(variance / seeds), np.inf)
        difference = arm.mean(-1) - base.mean(-1)
        half = stdtrit(seeds - 1, 1 - self.levels[number] / 2) * error
        low, high = difference - half, difference + half
        chance = self._chance(seeds, difference, error)
        same = np.zeros_like(low, bool) if self.margin is None else _within(low, high, self.margin)
        last = seeds == self.most_seeds
        verdict = np.select(
            [low > 0, high < 0, same, last | (chance < FUTILE)],
            ["better", "worse", "same", "undecided"],
            "open",
        )
        return Look(difference, low, high, chance, verdict)

    def _chance(self, seeds: int, difference: Floats, error: Floats) -> Floats:
        """Predictive probability of a verdict at the last look, under a flat prior.

        The difference there is the one here and a share of what is to come: its variance is this
        look's squared error times (1 - fraction). The spread stays as it is.
        """
        if seeds == self.most_seeds:
            return np.zeros_like(difference)
        fraction = seeds / self.most_seeds
        last = stdtrit(self.most_seeds - 1, 1 - self.levels[-1] / 2) * np.sqrt(fraction)
        with np.errstate(invalid="ignore"):  # infinity over infinity: no spread, no chance
            place = difference / error / np.sqrt(1 - fraction)
            half = np.broadcast_to(last / np.sqrt(1 - fraction), place.shape)
            chance = stdtr(seeds - 1, place - half) + stdtr(seeds - 1, -place - half)
            if self.margin is not None:
                room = self.margin / error / np.sqrt(1 - fraction) - half
                inside = stdtr(seeds - 1, room - place) - stdtr(seeds - 1, -room - place)
                chance = chance + np.maximum(inside, 0)
        return np.where(np.isfinite(error), np.clip(chance, 0, 1), 0.0)

    def stand(self, arm: Mapping[int, float], base: Mapping[int, float]) -> Standing:
        """How an arm stands with these scores by seed, whatever scores lie beyond its verdict."""
        standing = Standing("open", 0, self.looks[0], None, None, None, None)
        for number, seeds in enumerate(self.looks):
            wanted = range(1, seeds + 1)
            if not all(seed in arm and seed in base for seed in wanted):
                return standing._replace(wanted=seeds)
            found = self.look(number, _scores(arm, wanted), _scores(base, wanted))
            numbers = (found.difference, found.low, found.high, found.chance)
            standing = Standing(_verdict(found), seeds, seeds, *map(_finite, numbers))
            if standing.verdict != "open":
                break
        return standing


def _within(low: Floats, high: Floats, margin: float) -> NDArray[np.bool_]:
    return (low > -margin) & (high < margin)


def _scores(by_seed: Mapping[int, float], seeds: range) -> Floats:
    return np.array([by_seed[seed] for seed in seeds], dtype=np.float64)


def _finite(number: Floats) -> float | None:
    """Rounded, so that processors that add in another order say the same."""
    return round(float(number), PLACES) if np.isfinite(number) else None


def _verdict(look: Look) -> Verdict:
    match str(look.verdict):
        case "better" | "worse" | "same" | "undecided" as verdict:
            return verdict
        case _:
            return "open"
