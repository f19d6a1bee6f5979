"""Scores by length of sentence.

A score is of the sentences of a bucket alone, from the counts that the trial kept of each. All rows
have the same buckets: those of base's vocabulary, so that a row with another one is read on the
same sentences.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.columns import MISSING, NOTHING, Cell, Column, Symbol, groups, marked, score_cell
from analysis.counting import Measure
from analysis.notes import Note
from analysis.plots import Curve
from analysis.sections import Section
from analysis.sentence_counts import SCORERS, Counts, Runs, sentences
from analysis.sentences import Floats, Resampled, resampled, weights
from analysis.sources import Source
from analysis.tables import Table
from analysis.verdicts import digits
from experiments.study import Trial
from lit_transformer.scoring import Scored

SHARES = (25, 50, 75, 90)
"""Per cent of a part's sentences up to which its buckets reach."""
NAMES = {"bleu": "BLEU", "chrf": "chrF2", "f1": "F1"}


class Bucket(NamedTuple):
    """Sentences of a part, by a length of theirs in tokens."""

    over: int
    to: int | None
    """Longest; None: any."""
    sentences: npt.NDArray[np.int64]
    """Their numbers in the part, from 0."""
    mean: float
    """Length."""

    @property
    def name(self) -> str:
        if self.to is None:
            return f"over {self.over}"
        return f"to {self.to}" if not self.over else f"{self.over + 1} to {self.to}"


class Scores(NamedTuple):
    """An arm on a bucket."""

    measure: Measure
    """Over seeds."""
    resampled: Resampled
    """Over sentences of the bucket."""
    output: float
    """Tokens written for each of the reference's, over all seeds; 0: not known."""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the mean over seeds, by resampled sentences."""
        low, high = np.percentile(self.resampled.scores_RN.mean(0), [2.5, 97.5])
        return float(low), float(high)


def section(
    table: Table, trials: Sequence[Trial], source: Source, read: Mapping[Scored, Runs]
) -> Section | None:
    """By length of the source; `read`: of `sentence_counts.of_parts`. None where nothing is known
    of sentences or of their lengths."""
    both = sides(table, trials, source, read)
    if not both:
        return None
    first = ends(next(iter(both.values()))[:, 0])
    cut = {name: cuts(pairs[:, 0], first) for name, pairs in both.items()}
    return _by_source(table, {name: read[name] for name in cut}, cut)


def sides(
    table: Table, trials: Sequence[Trial], source: Source, read: Mapping[Scored, Runs]
) -> dict[Scored, npt.NDArray[np.int64]]:
    """Tokens of each sentence's source and target (sentences, 2), where runs are of so many."""
    base = next(trial for trial in trials if trial.arm == table.base.arm)
    found: dict[Scored, npt.NDArray[np.int64]] = {}
    for name, runs in read.items():
        pairs = source.lengths(base, name.partition(".")[0])
        counts = next((one for some in runs.values() for one in some.values()), None)
        if pairs and counts and len(pairs) == sentences(counts):
            found[name] = np.array(pairs, dtype=np.int64)
    return found


def ends(lengths: npt.NDArray[np.int64]) -> list[int]:
    """The longest of each bucket but the last: SHARES of the sentences are no longer."""
    return sorted({int(end) for end in np.percentile(lengths, SHARES, method="inverted_cdf")})


def cuts(lengths: npt.NDArray[np.int64], at: Sequence[int]) -> list[Bucket]:
    """Lengths to each of `at`, and beyond the last; without empty ones."""
    found = []
    for over, to in zip([0, *at], [*at, None], strict=True):
        (here,) = np.nonzero((lengths > over) & (lengths <= (lengths.max() if to is None else to)))
        if len(here):
            found.append(Bucket(over, to, here, float(lengths[here].mean())))
    return found


def scores(runs: Runs, buckets: Sequence[Bucket], scorer: str) -> dict[str, list[Scores]]:
    """Each arm on each bucket; arms without runs are left out."""
    drawn = [weights(len(bucket.sentences)) for bucket in buckets]
    return {
        arm: [_on(some, bucket, of, scorer) for bucket, of in zip(buckets, drawn, strict=True)]
        for arm, some in runs.items()
        if some
    }


def _on(runs: Mapping[int, Counts], bucket: Bucket, drawn: Floats, scorer: str) -> Scores:
    own = [counts[scorer][bucket.sentences] for counts in runs.values()]
    found = resampled(own, drawn, SCORERS[scorer])
    sums = np.sum([one.sum(0) for one in own], axis=0)
    return Scores(
        Measure((*runs,), tuple(map(float, found.scores_R)), ""),
        found,
        float(sums[0] / sums[1]) if scorer == "bleu" and sums[1] else 0.0,
    )


def _scorers(table: Table) -> list[str]:
    return ["bleu", "chrf"] if table.scorer == "bleu" else [table.scorer]


def arm_column(table: Table) -> Column:
    cells = tuple(Cell(row.arm, "", float(n), row.label) for n, row in enumerate(table.rows))
    return Column("arm", "arm", NOTHING, NOTHING, cells)


def column(
    table: Table, name: str, heads: tuple[Symbol, Symbol], cell: Callable[[str], Cell]
) -> Column:
    return Column("ours", name, *heads, tuple(cell(row.arm) for row in table.rows))


def score_columns(
    table: Table,
    name: str,
    scorer: str,
    buckets: Sequence[Bucket],
    found: Mapping[str, Sequence[Scores]],
) -> list[Column]:
    by_arm = {row.arm: row for row in table.rows}

    def cell(arm: str, place: int) -> Cell:
        if arm not in found:
            return Cell(MISSING, "", None, "no counts of its sentences")
        low, high = found[arm][place].interval
        measure = found[arm][place].measure
        made = marked(score_cell(measure, 1), by_arm[arm], measure)
        return made._replace(
            meaning=f"{made.meaning}; 95 % over resampled sentences {low:.1f} to {high:.1f}"
        )

    top = Symbol(f"{NAMES[scorer]}, {name}", "", f"{name}.{scorer} of the sentences of a length")
    return [
        column(
            table,
            f"{name}.{scorer}.{place}",
            (top, Symbol(bucket.name, "", f"{len(bucket.sentences)} sentences")),
            lambda arm, place=place: cell(arm, place),  # type: ignore[misc]
        )
        for place, bucket in enumerate(buckets)
    ]


def _by_source(
    table: Table, read: Mapping[Scored, Runs], buckets: Mapping[Scored, list[Bucket]]
) -> Section:
    found = {
        (name, scorer): scores(runs, buckets[name], scorer)
        for name, runs in read.items()
        for scorer in _scorers(table)
    }
    columns = [
        column
        for (name, scorer), own in found.items()
        for column in score_columns(table, name, scorer, buckets[name], own)
    ]
    text = (
        "Tokens of the source, end mark included, as base's vocabulary cuts it; buckets end where "
        f"{', '.join(map(str, SHARES[:-1]))} and {SHARES[-1]} % of the valid part's sentences are "
        "within them. Mean ± standard deviation over seeds. Longer sentences are other sentences: "
        "compare rows within a bucket."
    )
    return Section(
        name="lengths",
        title="By length of the source",
        leads=False,
        columns=(arm_column(table), *columns),
        blocks=blocks(table),
        notes=(Note("", text, ""), *sizes(buckets)),
        content={
            "buckets": {
                name: [bucket_object(one) for one in some] for name, some in buckets.items()
            },
            "rows": rows(table, found),
        },
        curves={
            f"{NAMES[scorer]} by length of the source in tokens, {name}": {
                arm: _curve(buckets[name], some) for arm, some in own.items()
            }
            for (name, scorer), own in found.items()
            if scorer == table.scorer
        },
    )


def _curve(buckets: Sequence[Bucket], own: Sequence[Scores]) -> Curve:
    values = [one.measure.values for one in own]
    return Curve(
        [bucket.mean for bucket in buckets],
        [float(np.mean(some)) for some in values],
        [min(some) for some in values],
        [max(some) for some in values],
    )


def rows(
    table: Table, found: Mapping[tuple[Scored, str], Mapping[str, Sequence[Scores]]]
) -> list[dict[str, object]]:
    return [
        {
            "arm": row.arm,
            **{
                f"{name}.{scorer}": [_content(one) for one in own[row.arm]]
                for (name, scorer), own in found.items()
                if row.arm in own
            },
        }
        for row in table.rows
    ]


def _content(one: Scores) -> dict[str, object]:
    """Six digits: a logarithm's last ones differ from processor to processor."""
    measure = one.measure
    return {
        "seeds": list(measure.seeds),
        "values": [digits(value) for value in measure.values],
        "mean": digits(measure.mean),
        "deviation": digits(measure.deviation),
        "interval": measure.interval and [digits(end) for end in measure.interval],
        "sentences": [digits(end) for end in one.interval],
        "output": digits(one.output),
    }


def bucket_object(bucket: Bucket) -> dict[str, object]:
    return {
        "over": bucket.over,
        "to": bucket.to,
        "sentences": len(bucket.sentences),
        "mean": digits(bucket.mean),
    }


def blocks(table: Table) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(numbers) for _, numbers in groups(table))


def sizes(buckets: Mapping[Scored, Sequence[Bucket]]) -> list[Note]:
    """How many sentences each bucket has."""
    return [
        Note(
            "",
            f"Sentences, {name}: {'; '.join(f'{b.name}: {len(b.sentences)}' for b in some)}.",
            "",
        )
        for name, some in buckets.items()
    ]
