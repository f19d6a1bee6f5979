"""What a number of seeds can show, before it is paid for.

Welch's test as `significance.py` makes it, of two arms with as many seeds and the same standard
deviation. Its degrees of freedom depend on how unequal the two sample variances come out, which is
independent of the t-statistic; so power is an average over that, without simulation. The level is
the one that Holm's correction asks of a study's smallest p-value, LEVEL / comparisons: what is
decidable there is decidable wherever in the order it comes.
"""

import math
from bisect import bisect_left
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, nctdtr, stdtrit

from analysis.significance import LEVEL
from analysis.tables import Table

POWER = 0.8
"""Chance of finding what is there."""
MOST_SEEDS = 100
"""A row that needs more is called undecidable."""
_SHARES = (np.arange(60) + 0.5) / 120
"""Of the lower half; the upper is its mirror image."""


class Spread(NamedTuple):
    """Standard deviation over seeds."""

    deviation: float
    freedom: int
    """Degrees of freedom behind it; 0: it is assumed."""


class Prospect(NamedTuple):
    """What may be found out of an arm against base."""

    arm: str
    spread: Spread
    smallest: float | None
    """The smallest difference that the seeds show; None: one seed shows none."""
    expected: float | None
    """A difference that is looked for, or None."""
    seeds: int | None
    """Seeds that show it; None: more than MOST_SEEDS, or none is looked for."""


def power(effect: float, seeds: int, comparisons: int) -> float:
    """Chance that a difference of `effect` standard deviations is found with so many seeds."""
    if seeds < 2:
        return 0.0
    noncentrality = effect / math.sqrt(2 / seeds)
    below = nctdtr(2.0 * (seeds - 1), noncentrality, _critical(seeds, comparisons))
    return float(1 - np.mean(below))


def smallest_difference(deviation: float, seeds: int, comparisons: int) -> float | None:
    """What is found with POWER, in the deviation's unit; None: one seed shows none."""
    return None if seeds < 2 else deviation * _smallest_effect(seeds, comparisons)


def seeds_needed(difference: float, deviation: float, comparisons: int) -> int | None:
    """Seeds of each arm with which the difference is found with POWER; None: over MOST_SEEDS."""
    if not deviation or not difference:
        return 2 if difference else None
    effect = abs(difference) / deviation
    counts = range(2, MOST_SEEDS + 1)
    place = bisect_left(counts, POWER, key=lambda seeds: power(effect, seeds, comparisons))
    return counts[place] if place < len(counts) else None


def pilot(table: Table) -> dict[str, Spread]:
    """The spread of each row's finished seeds, together with base's; of all rows where it has one.

    The rows' variances are weighted by their degrees of freedom. No row with two seeds: nothing.
    """
    measures = {row.arm: row.measures.get(table.measure) for row in table.rows}
    known = {
        arm: Spread(measure.deviation, len(measure.values) - 1)
        for arm, measure in measures.items()
        if measure is not None and measure.deviation is not None
    }
    if not known:
        return {}
    base = [known[table.base.arm]] if table.base.arm in known else []
    whole = _pooled([*known.values()])
    return {
        arm: _pooled([known[arm], *base]) if arm in known else whole
        for arm in measures
        if arm != table.base.arm
    }


def prospects(
    table: Table, spreads: dict[str, Spread], seeds: int, difference: float | None
) -> list[Prospect]:
    """Row by row, what so many seeds show, and how many show what is looked for.

    `spreads`: from `pilot`, or assumed. `difference`: looked for in every row; None: the paper's.
    """
    others = [row for row in table.rows if row is not table.base]
    found = []
    for row in others:
        spread = spreads[row.arm]
        expected = table.paper_difference(row, "bleu") if difference is None else difference
        found.append(
            Prospect(
                row.arm,
                spread,
                smallest_difference(spread.deviation, seeds, len(others)),
                expected,
                None if expected is None else seeds_needed(expected, spread.deviation, len(others)),
            )
        )
    return found


def _pooled(spreads: list[Spread]) -> Spread:
    freedom = sum(spread.freedom for spread in spreads)
    squares = sum(spread.freedom * spread.deviation**2 for spread in spreads)
    return Spread(math.sqrt(squares / freedom), freedom)


@cache
def _critical(seeds: int, comparisons: int) -> npt.NDArray[np.float64]:
    """The t beyond which Welch's test decides, for equally likely shares of the first variance."""
    half = (seeds - 1) / 2
    share = betaincinv(half, half, _SHARES)
    squares = (share**2 + (1 - share) ** 2) / (seeds + 1)
    freedom = np.minimum(2.0 * (seeds - 1), 1 / squares - 2)
    return np.asarray(stdtrit(freedom, 1 - LEVEL / comparisons / 2), dtype=np.float64)


@cache
def _smallest_effect(seeds: int, comparisons: int) -> float:
    """In standard deviations, by halving."""
    low, high = 0.0, 1.0
    while power(high, seeds, comparisons) < POWER:
        low, high = high, 2 * high
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, seeds, comparisons) < POWER else (low, middle)
    return high
