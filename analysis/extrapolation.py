"""Within and beyond the lengths of training: what rows keep where no trained pair was as long."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from analysis.columns import EMPTY, MISSING, Cell, Column, Symbol, signed
from analysis.lengths import (
    Bucket,
    Scores,
    arm_column,
    blocks,
    bucket_object,
    column,
    cuts,
    rows,
    score_columns,
    scores,
    sides,
    sizes,
)
from analysis.notes import Note
from analysis.sections import Section
from analysis.sentence_counts import Runs
from analysis.sentences import FEWEST, are_enough, compare
from analysis.significance import Sentences, holm
from analysis.sources import Source
from analysis.tables import Row, Table
from analysis.verdicts import digits, probability
from experiments.study import Trial
from lit_transformer.scoring import Scored

LIMIT = "data.train_longest"


class Against(NamedTuple):
    """An arm on the longest pairs, against base."""

    difference: float
    sentences: Sentences
    p: float
    """Corrected over the rows: of the configurations, or with one seed of these models."""


def section(
    table: Table, trials: Sequence[Trial], source: Source, read: Mapping[Scored, Runs]
) -> Section | None:
    """None where no row is trained on short pairs alone, or nothing is known of sentences."""
    limits = sorted({limit for row in table.rows if (limit := _limit(row)) is not None})
    both = sides(table, trials, source, read) if limits else {}
    if not both:
        return None
    buckets = {name: cuts(pairs.max(1), limits) for name, pairs in both.items()}
    scorer = table.scorer
    found = {(name, scorer): scores(read[name], buckets[name], scorer) for name in both}
    tests = {
        name: _against_base(table, own) if _has_longest(buckets[name]) else {}
        for (name, _), own in found.items()
    }
    columns = [
        one
        for (name, _), own in found.items()
        for one in (
            *score_columns(table, name, scorer, buckets[name], own),
            *(_columns(table, name, own, tests[name]) if buckets[name][-1].to is None else ()),
        )
    ]
    return Section(
        name="extrapolation",
        title="Within and beyond the lengths of training",
        leads=False,
        columns=(arm_column(table), *columns),
        blocks=blocks(table),
        notes=(Note("", _note(table, limits, buckets), ""), *sizes(buckets)),
        content={
            "limits": limits,
            "buckets": {
                name: [bucket_object(one) for one in some] for name, some in buckets.items()
            },
            "rows": rows(table, found),
            "beyond": {
                name: {arm: _object(test) for arm, test in some.items()}
                for name, some in tests.items()
            },
        },
    )


def _has_longest(buckets: Sequence[Bucket]) -> bool:
    """Whether there are pairs beyond the last limit, and enough for a test."""
    return buckets[-1].to is None and are_enough(len(buckets[-1].sentences))


def _limit(row: Row) -> int | None:
    limit = row.settings.get(LIMIT)
    return limit if isinstance(limit, int) else None


def _note(table: Table, limits: Sequence[int], buckets: Mapping[Scored, Sequence[Bucket]]) -> str:
    text = (
        f"{LIMIT}: training has pairs of at most {', '.join(map(str, limits))} tokens on each "
        "side, end mark included; here too a pair counts by its longer side. Δ and p are of the "
        f"longest pairs against {table.base_name}: p over seeds and resampled sentences (of one "
        "seed: over sentences), Holm's correction over the rows."
    )
    if table.scorer == "bleu":
        text += " Output: tokens written for each one of the references."
    untested = [row.arm for row in table.rows if row.diverged or table.decided(row)]
    if untested:
        text += (
            " None of rows of which a seed diverged, or whose seeds were given until decided: "
            f"{', '.join(untested)}."
        )
    few = [name for name, some in buckets.items() if not are_enough(len(some[-1].sentences))]
    if few:
        text += f" None on fewer than {FEWEST} of the longest pairs: {', '.join(few)}."
    free = [row.arm for row in table.rows if _limit(row) is None]
    if free:
        text += (
            f" Trained on all lengths: {', '.join(free)}. What such a row loses from short to long "
            "pairs is their difficulty; what others lose beyond that is extrapolation."
        )
    return text


def _against_base(table: Table, found: Mapping[str, Sequence[Scores]]) -> dict[str, Against]:
    whole = {row.arm: row for row in table.rows if row.arm in found and not row.diverged}
    longest = {arm: found[arm][-1].resampled for arm in whole}
    bases = {arm: table.base_of(row).arm for arm, row in whole.items() if not table.decided(row)}
    pairs = {arm: base for arm, base in bases.items() if base != arm and base in longest}
    tests = {arm: compare(longest[arm], longest[base]) for arm, base in pairs.items()}
    corrected = holm({arm: t.p if t.p_both is None else t.p_both for arm, t in tests.items()})
    differences = {
        arm: float(longest[arm].scores_R.mean() - longest[base].scores_R.mean())
        for arm, base in pairs.items()
    }
    return {arm: Against(differences[arm], tests[arm], corrected[arm]) for arm in pairs}


def _object(test: Against) -> dict[str, object]:
    return {
        "difference": digits(test.difference),
        "p": digits(test.p),
        "sentences": {name: digits(number) for name, number in test.sentences._asdict().items()},
    }


def _columns(
    table: Table, name: str, found: Mapping[str, Sequence[Scores]], tests: Mapping[str, Against]
) -> list[Column]:
    def difference(arm: str) -> Cell:
        test = tests.get(arm)
        return EMPTY if test is None else Cell(signed(test.difference, 1), "", test.difference, "")

    def p(arm: str) -> Cell:
        test = tests.get(arm)
        return EMPTY if test is None else Cell(probability(test.p)[2:], "", test.p, "")

    def output(arm: str) -> Cell:
        if arm not in found:
            return Cell(MISSING, "", None, "")
        number = found[arm][-1].output
        return Cell(f"{number:.2f}", "", number, "")

    top = Symbol(f"longest pairs, {name}", "", "beyond the last limit")
    columns = [
        column(table, f"{name}.longest.{key}", (top, Symbol(head, "", meaning)), cell)
        for key, head, meaning, cell in (
            ("difference", "Δ", f"less {table.base_name}'s", difference),
            ("p", "p", f"of no difference to {table.base_name}, corrected", p),
            ("output", "output", "tokens written for each one of the references", output),
        )
    ]
    return columns if table.scorer == "bleu" else columns[:2]
