"""The paper's sentences about its rows as tests of our runs, and the order of the rows beside its.

Each sentence is tested at the level by itself, on the seeds' scores. Where it is of several pairs,
what needs all of them needs each at the level, and what needs one of them is corrected for their
number.
"""

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Literal, NamedTuple, assert_never

import numpy as np
import pandas as pd

from analysis.columns import NOTHING, Cell, Column, Symbol
from analysis.notes import Note
from analysis.published import Claim, Published
from analysis.sections import Section
from analysis.significance import LEVEL, MARGIN, Welch, holm, welch
from analysis.tables import Table
from analysis.verdicts import digits, interval, probability

Scores = Mapping[str, Sequence[float]]
"""An arm's scores over seeds."""
Outcome = Literal["supported", "contradicted", "undecided"]


class Pair(NamedTuple):
    """Two arms of which a sentence speaks."""

    lower: str
    higher: str
    difference: float | None
    """Mean of the lower less mean of the higher; None: one of them has no score."""
    test: Welch | None
    """None: one of them has fewer than two seeds."""

    @property
    def rises(self) -> bool:
        return self.test is not None and self.test.difference < 0

    @property
    def falls(self) -> bool:
        return self.test is not None and self.test.difference > 0


class Finding(NamedTuple):
    """A sentence, held against these runs and against the paper's own figures."""

    name: str
    claim: Claim
    outcome: Outcome
    pairs: tuple[Pair, ...]
    printed: tuple[int, int]
    """Pairs for which the paper's own figures say so, of how many."""


class Ranks(NamedTuple):
    """Spearman's rank correlation of our rows' order with the paper's."""

    rows: int
    of_means: float
    of_seeds: tuple[float, ...]
    """The same for every seed that has all of these rows."""


def section(table: Table, published: Published) -> Section | None:
    """None where no two rows of a sentence have a score."""
    by_seed = {row.arm: row.by_seed(table.measure) for row in table.rows}
    scores = {arm: (*some.values(),) for arm, some in by_seed.items()}
    lost = {row.arm for row in table.rows if row.diverged}
    printed = {row.arm: row.paper.bleu for row in table.rows if row.paper}
    found = find(published.claims, scores, printed, MARGIN)
    shown = [one for one in found if any(pair.difference is not None for pair in one.pairs)]
    if not shown:
        return None
    order = ranks(by_seed, printed)
    told = [_how(table), *(f"{one.name}: {_told(one, lost)}." for one in shown)]
    told += [_ranked(order)] if order else []
    return Section(
        name="claims",
        title="What the paper says of its rows",
        leads=False,
        columns=tuple(_columns(shown, published)),
        blocks=(tuple(range(len(shown))),),
        notes=tuple(Note("", text, "") for text in told),
        content={
            "sentences": [_content(one) for one in found],
            "rank_correlation": order
            and {
                "rows": order.rows,
                "of_means": digits(order.of_means),
                "of_seeds": [digits(one) for one in order.of_seeds],
            },
        },
    )


def find(
    claims: Mapping[str, Claim], scores: Scores, printed: Mapping[str, float], margin: float
) -> tuple[Finding, ...]:
    """Every sentence, in the paper's order. `printed`: the paper's own scores."""
    return tuple(_finding(name, claim, scores, printed, margin) for name, claim in claims.items())


def ranks(scores: Mapping[str, Mapping[int, float]], printed: Mapping[str, float]) -> Ranks | None:
    """None with fewer than three rows, or where all are equal. `scores`: by arm and seed."""
    arms = [arm for arm, values in scores.items() if values and arm in printed]
    theirs = [printed[arm] for arm in arms]
    of_means = _spearman([fmean(scores[arm].values()) for arm in arms], theirs)
    if of_means is None:
        return None
    seeds = sorted(set.intersection(*({*scores[arm]} for arm in arms)))
    each = (_spearman([scores[arm][seed] for arm in arms], theirs) for seed in seeds)
    return Ranks(len(arms), of_means, tuple(one for one in each if one is not None))


def _finding(
    name: str, claim: Claim, scores: Scores, printed: Mapping[str, float], margin: float
) -> Finding:
    pairs = tuple(_pair(lower, higher, scores) for lower, higher in claim.pairs)
    known = [pair for pair in claim.pairs if {*pair} <= printed.keys()]
    apart = [round(printed[higher] - printed[lower], 6) for lower, higher in known]
    if claim.says == "the same":
        agree = sum(abs(step) <= margin for step in apart)
    else:
        agree = sum(step > 0 for step in apart)
    return Finding(name, claim, _outcome(claim, pairs, margin), pairs, (agree, len(apart)))


def _pair(lower: str, higher: str, scores: Scores) -> Pair:
    first, second = scores.get(lower, ()), scores.get(higher, ())
    difference = fmean(first) - fmean(second) if first and second else None
    return Pair(lower, higher, difference, welch(first, second))


def _outcome(claim: Claim, pairs: Sequence[Pair], margin: float) -> Outcome:
    each = {place: pair.test.p for place, pair in enumerate(pairs) if pair.test is not None}
    some = holm({str(place): p for place, p in each.items()})
    sure = {place for place, p in each.items() if p < LEVEL}
    surer = {int(place) for place, p in some.items() if p < LEVEL}
    everything = len(sure) == len(pairs)
    match claim.says:
        case "all below":
            holds = everything and all(pair.rises for pair in pairs)
            fails = any(pairs[place].falls for place in surer)
        case "some below":
            holds = any(pairs[place].rises for place in surer)
            fails = everything and all(pair.falls for pair in pairs)
        case "the same":
            tests = [pair.test for pair in pairs if pair.test is not None]
            whole = len(tests) == len(pairs)
            holds = whole and all(test.p_outside(margin) < LEVEL for test in tests)
            fails = any(_beyond(test, margin) for test in tests)
        case _ as never:
            assert_never(never)
    return "supported" if holds else "contradicted" if fails else "undecided"


def _beyond(test: Welch, margin: float) -> bool:
    """Whether the whole interval lies outside of the margin."""
    interval = test.interval
    return interval is not None and (interval[0] > margin or interval[1] < -margin)


def _spearman(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    if len(ours) < 3 or len({*ours}) == 1 or len({*theirs}) == 1:
        return None
    first, second = (pd.Series(values).rank().to_numpy() for values in (ours, theirs))
    return float(np.corrcoef(first, second)[0, 1])


def _columns(findings: Sequence[Finding], published: Published) -> list[Column]:
    def column(name: str, top: Symbol, head: str, texts: Sequence[str]) -> Column:
        cells = tuple(
            Cell(text, "", text, published.cite(finding.claim))
            for text, finding in zip(texts, findings, strict=True)
        )
        return Column("words", name, top, Symbol(head, "", ""), cells)

    top = Symbol("outcome", "", "")
    agree = [f"{one.printed[0]} of {one.printed[1]} pairs" for one in findings]
    return [
        column("claim", NOTHING, "claim", [one.name for one in findings]),
        column("sentence", NOTHING, "the paper says", [one.claim.sentence for one in findings]),
        column("outcome", top, "in these runs", [one.outcome for one in findings]),
        column("printed", top, "in its own figures", agree),
    ]


def _how(table: Table) -> str:
    return (
        f"Each claim is tested by itself, level {100 * LEVEL:g} %, by Welch's t-test over the "
        f"seeds' {table.scorer.upper()}; where one pair decides, Holm's correction over its pairs; "
        f"the same: within {MARGIN:g} points, by two one-sided tests."
    )


def _told(finding: Finding, lost: Collection[str]) -> str:
    same = finding.claim.says == "the same"
    told = (_pair_words(one, same, lost) for one in finding.pairs)
    return f"{finding.claim.place}; {'; '.join(told)}"


def _pair_words(pair: Pair, same: bool, lost: Collection[str]) -> str:
    name = f"{pair.lower} less {pair.higher}"
    if pair.difference is None:
        diverged = {pair.lower, pair.higher} & {*lost}
        return f"{name}: a seed diverged" if diverged else f"{name} not run"
    told = f"{name} {pair.difference:+.2f}"
    if pair.test is None:
        return f"{told}, one seed"
    return f"{told}, {probability(pair.test.p_outside(MARGIN) if same else pair.test.p)}"


def _ranked(found: Ranks) -> str:
    """How far our rows stand in the paper's order."""
    text = (
        f"Spearman's rank correlation with the paper's BLEU: {found.of_means:+.2f} "
        f"over {found.rows} rows"
    )
    if len(found.of_seeds) < 2:
        return f"{text}."
    return f"{text}; by single seeds {min(found.of_seeds):+.2f} to {max(found.of_seeds):+.2f}."


def _content(finding: Finding) -> dict[str, object]:
    claim, (agree, count) = finding.claim, finding.printed
    return {
        "name": finding.name,
        **claim.model_dump(include={"sentence", "says", "place", "editions"}, mode="json"),
        "outcome": finding.outcome,
        "pairs": [
            {
                "lower": pair.lower,
                "higher": pair.higher,
                "difference": digits(pair.difference),
                "interval": pair.test and interval(pair.test),
                "p_alone": pair.test and digits(pair.test.p),
            }
            for pair in finding.pairs
        ],
        "printed": {"agree": agree, "of": count},
    }
