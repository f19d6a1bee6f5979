"""Where metrics disagree on the order of rows, and whether more than noise does.

Two rows are ordered by the means over their seeds. A disagreement is beyond noise where both
metrics tell the two rows apart, each its own way: the larger of the two p-values is that of the
pair, corrected over all pairs of the table.

Seeds that were given until decided were chosen by scores: p is over sentences alone there.

Of a search one order alone matters: whether another metric would have had it choose otherwise. Its
best by BLEU stands against every other suggestion, and the largest of all these differences is what
has to be beyond noise, however many there are.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from analysis.columns import NOTHING, Cell, Column, Symbol, signed
from analysis.notes import Note
from analysis.sections import Section
from analysis.sentence_counts import SCORERS, Runs, sentences
from analysis.sentences import Floats, Resampled, are_enough, compare, resampled, weights
from analysis.significance import LEVEL, holm
from analysis.tables import Table
from analysis.verdicts import digits, probability
from lit_transformer.scoring import METRICS, Scored

MAIN, OTHERS = "bleu", ("chrf", "ter")
MOST_SHOWN = 30
"""Pairs that are listed; the rest is counted."""


Scores = Mapping[tuple[str, str], Resampled]
"""By arm and metric, turned so that higher is better."""


class Difference(NamedTuple):
    """Of a pair of rows by one metric, the first less the second; above 0: the first is better."""

    value: float
    low: float
    """95 %, over resampled sentences."""
    high: float
    p: float
    """Over seeds and sentences; over sentences with one seed, or where scores chose the seeds."""


class Pair(NamedTuple):
    """Two rows, the one that BLEU calls better first."""

    better: str
    worse: str
    by: Mapping[str, Difference]
    """Metric -> difference."""
    chosen: bool
    """Whether a search has chosen the first by BLEU, which says nothing of noise then."""

    def p(self, metric: str) -> float:
        """That both metrics tell the two apart; where BLEU has chosen, that the other one does."""
        other = self.by[metric].p
        return other if self.chosen else max(self.by[MAIN].p, other)

    def is_reversed(self, metric: str) -> bool:
        return self.by[MAIN].value > 0 > self.by[metric].value


def sections(table: Table, read: Mapping[Scored, Runs]) -> list[Section]:
    """How far metrics agree, and the pairs on which they do not; of translations alone, and of
    rows of which no seed diverged; none on too few sentences."""
    of_arms = read.get(table.scored, {})
    whole = [row.arm for row in table.rows if not row.diverged]  # what is left of others flatters
    runs = {arm: of_arms[arm] for arm in whole if of_arms.get(arm)}
    sizes = [sentences(one) for some in runs.values() for one in some.values()]
    if table.task != "translation" or len(runs) < 2 or not are_enough(min(sizes)):
        return []
    scored = resampled_scores(runs)
    if table.is_search:
        found = with_the_best(scored, runs)
        beyond = {metric: beyond_choice(found, scored, metric) for metric in OTHERS}
    else:
        found = pairs(scored, runs, over_seeds=not _looked_at(table))
        beyond = {metric: beyond_noise(found, metric) for metric in OTHERS}
    apart = [pair for pair in found if any(pair.is_reversed(metric) for metric in OTHERS)]
    apart.sort(key=lambda pair: -max(_strength(pair, metric) for metric in OTHERS))
    return [_summary(table, found, beyond), *([_listed(table, apart, beyond)] if apart else [])]


def resampled_scores(runs: Runs) -> Scores:
    """The resamples are common to all arms."""
    first = next(one for some in runs.values() for one in some.values())
    drawn = weights(sentences(first))
    return {
        (arm, metric): _turned(
            resampled([one[metric] for one in some.values()], drawn, SCORERS[metric]), metric
        )
        for arm, some in runs.items()
        for metric in (MAIN, *OTHERS)
    }


def pairs(scored: Scores, arms: Iterable[str], over_seeds: bool) -> list[Pair]:
    """Every two arms by every metric."""
    return [
        _pair(scored, one, other, over_seeds, chosen=False) for one, other in combinations(arms, 2)
    ]


def with_the_best(scored: Scores, arms: Iterable[str]) -> list[Pair]:
    """The arm that BLEU puts first, with every other."""
    best, *rest = sorted(arms, key=lambda arm: -scored[arm, MAIN].scores_R.mean())
    return [_pair(scored, best, arm, over_seeds=True, chosen=True) for arm in rest]


def _looked_at(table: Table) -> bool:
    return any(table.decided(row) for row in table.rows)


def _pair(scored: Scores, one: str, other: str, over_seeds: bool, chosen: bool) -> Pair:
    by = {m: _difference(scored[one, m], scored[other, m], over_seeds) for m in (MAIN, *OTHERS)}
    if by[MAIN].value >= 0:
        return Pair(one, other, by, chosen)
    return Pair(other, one, {m: _mirrored(some) for m, some in by.items()}, chosen)


def beyond_noise(found: Sequence[Pair], metric: str) -> dict[tuple[str, str], float]:
    """p of each reversed pair by this metric, after Holm's correction over all pairs."""
    keys = {f"{number}": pair for number, pair in enumerate(found)}
    p_values = {
        key: pair.p(metric) if pair.is_reversed(metric) else 1.0 for key, pair in keys.items()
    }
    corrected = holm(p_values)
    return {
        (pair.better, pair.worse): corrected[key]
        for key, pair in keys.items()
        if pair.is_reversed(metric)
    }


def beyond_choice(
    found: Sequence[Pair], scored: Scores, metric: str
) -> dict[tuple[str, str], float]:
    """p of each reversed pair with the best: how often the largest difference of all pairs would be
    as large, in deviations, if the best were as good as each (White 2000, a reality check)."""
    apart_PN = np.stack([_noise(scored[p.better, metric], scored[p.worse, metric]) for p in found])
    deviations_P = apart_PN.std(1)
    deviations_P[deviations_P == 0] = np.inf  # equal texts
    largest_N = np.abs(apart_PN / deviations_P[:, None]).max(0)
    beyond = {}
    for pair, deviation in zip(found, deviations_P, strict=True):
        if pair.is_reversed(metric):
            as_large = (largest_N >= -pair.by[metric].value / deviation).sum()
            beyond[pair.better, pair.worse] = float((as_large + 1) / (len(largest_N) + 1))
    return beyond


def _noise(one: Resampled, other: Resampled) -> Floats:
    """What resamples add to the difference of the means (N)."""
    apart_N = one.scores_RN.mean(0) - other.scores_RN.mean(0)
    noise_N: Floats = apart_N - apart_N.mean()
    return noise_N


def _turned(found: Resampled, metric: str) -> Resampled:
    """Higher is better."""
    if METRICS[f"valid.{metric}"].higher_is_better:
        return found
    return Resampled(-found.scores_R, -found.scores_RN)


def _difference(one: Resampled, other: Resampled, over_seeds: bool) -> Difference:
    test = compare(one, other)
    apart_N = one.scores_RN.mean(0) - other.scores_RN.mean(0)
    low, high = np.percentile(apart_N, [2.5, 97.5])
    value = float(one.scores_R.mean() - other.scores_R.mean())
    p = test.p_both if over_seeds and test.p_both is not None else test.p
    return Difference(value, float(low), float(high), p)


def _mirrored(one: Difference) -> Difference:
    return Difference(-one.value, -one.high, -one.low, one.p)


def _strength(pair: Pair, metric: str) -> float:
    return -pair.p(metric) if pair.is_reversed(metric) else -2.0


def _summary(
    table: Table, found: Sequence[Pair], beyond: Mapping[str, Mapping[tuple[str, str], float]]
) -> Section:
    counts = {
        metric: {
            "pairs": len(found),
            "reversed": len(beyond[metric]),
            "beyond_noise": sum(p < LEVEL for p in beyond[metric].values()),
        }
        for metric in OTHERS
    }
    heads = {
        "pairs": "pairs of rows",
        "reversed": "ordered otherwise",
        "beyond_noise": "beyond noise",
    }
    names = tuple(Cell(_name(metric), "", float(n), "") for n, metric in enumerate(OTHERS))
    columns = [
        Column(
            "ours",
            key,
            NOTHING,
            Symbol(head, "", key),
            tuple(_count(counts[m][key]) for m in OTHERS),
        )
        for key, head in heads.items()
    ]
    return Section(
        name="metrics",
        title="Where metrics disagree on the order of rows",
        leads=False,
        columns=(Column("arm", "metric", NOTHING, Symbol("against BLEU", "", ""), names), *columns),
        blocks=((0, 1),),
        notes=(Note("", _asked(table, found), ""),),
        content={"score": table.scored, "counts": counts},
    )


def _asked(table: Table, found: Sequence[Pair]) -> str:
    if table.is_search:
        best = found[0].better
        return (
            f"Would the search have chosen otherwise? {best}, which BLEU puts first on "
            f"{table.scored}, with each other row: how many the metric puts before it. Beyond "
            "noise: over resampled sentences, of these very models, more than the largest of so "
            f"many differences by chance, level {100 * LEVEL:g} %."
        )
    how = "over seeds and resampled sentences (with one seed: over sentences, of these very models)"
    if _looked_at(table):  # a test over seeds takes their number as fixed beforehand
        how = "over resampled sentences, of these very models, since scores chose the seeds"
    return (
        f"Every two rows, ordered by their means on {table.scored}: how often the metric orders "
        "them otherwise than BLEU. Beyond noise: both metrics tell the two apart, each its own "
        f"way, {how}, Holm's correction over all pairs, level {100 * LEVEL:g} %."
    )


def _count(number: int) -> Cell:
    return Cell(f"{number}", "", float(number), "")


def _listed(
    table: Table, apart: Sequence[Pair], beyond: Mapping[str, Mapping[tuple[str, str], float]]
) -> Section:
    shown = apart[:MOST_SHOWN]
    names = tuple(
        Cell(f"{pair.better} > {pair.worse}", "", float(n), "") for n, pair in enumerate(shown)
    )
    columns = [Column("arm", "pair", NOTHING, Symbol("BLEU says", "", ""), names)]
    for metric in (MAIN, *OTHERS):
        top = Symbol(f"Δ{_name(metric)}", "", "the first less the second")
        cells = tuple(_difference_cell(pair, metric) for pair in shown)
        columns.append(Column("ours", metric, top, Symbol("95 %", "", "over sentences"), cells))
        if metric != MAIN:
            told = tuple(_p_cell(beyond[metric].get((pair.better, pair.worse))) for pair in shown)
            head = Symbol("p otherwise", "", "of the other order, corrected for all pairs")
            columns.append(Column("ours", f"{metric}.p", top, head, told))
    text = (
        "Rows that BLEU orders one way and chrF2 or TER the other, the least doubtful first; Δ "
        "with its 95 % over resampled sentences; TER is better when lower. No p: ordered as by "
        "BLEU."
    )
    if len(apart) > len(shown):
        text += f" {len(apart) - len(shown)} more pairs are not listed."
    return Section(
        name="metric_pairs",
        title="Rows that metrics order differently",
        leads=False,
        columns=tuple(columns),
        blocks=(tuple(range(len(shown))),),
        notes=(Note("", text, ""),),
        content={
            "pairs": [
                {
                    "better": pair.better,
                    "worse": pair.worse,
                    "differences": {metric: _object(pair, metric) for metric in (MAIN, *OTHERS)},
                    "p": {
                        metric: digits(beyond[metric].get((pair.better, pair.worse)))
                        for metric in OTHERS
                    },
                }
                for pair in shown
            ]
        },
    )


def _stated(pair: Pair, metric: str) -> Difference:
    """In the metric's own direction: a TER that is lower has a difference below 0."""
    one = pair.by[metric]
    return one if METRICS[f"valid.{metric}"].higher_is_better else _mirrored(one)


def _difference_cell(pair: Pair, metric: str) -> Cell:
    one = _stated(pair, metric)
    spread = f"{signed(one.low, 1)} to {signed(one.high, 1)}"
    return Cell(signed(one.value, 2), spread, one.value, f"alone {probability(one.p)}")


def _p_cell(p: float | None) -> Cell:
    return Cell("", "", None, "") if p is None else Cell(probability(p)[2:], "", p, "")


def _object(pair: Pair, metric: str) -> dict[str, object]:
    return {name: digits(number) for name, number in _stated(pair, metric)._asdict().items()}


def _name(metric: str) -> str:
    return METRICS[f"valid.{metric}"].unit
