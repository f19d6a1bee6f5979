"""Verdicts, claims and ranks as words: what the tests of `significance.py` and `claims.py` say."""

from typing import NamedTuple

from analysis.claims import Finding, Pair
from analysis.sentences import MOST_ARMS, RESAMPLES
from analysis.significance import LEVEL, MARGIN, Sentences, Verdict, Welch
from analysis.tables import Table


class Line(NamedTuple):
    """A sentence of the paper in the section of claims."""

    sentence: str
    place: str
    outcome: str
    pairs: str
    """What these runs say, pair by pair."""
    printed: str
    """What the paper's own figures say."""


def word(verdict: Verdict) -> str:
    """As the table prints it: `the same ±0.5` where it is within the margin."""
    return f"the same ±{MARGIN:g}" if verdict.word == "the same" else verdict.word


def meaning(verdict: Verdict) -> str:
    """What the verdict rests on."""
    test, p, p_same = verdict.test, verdict.p, verdict.p_same
    if test is None or p is None or p_same is None:
        tested = "no score" if verdict.word == "no score" else "fewer than two seeds: no test"
    else:
        tested = (
            f"{_apart(test)}; after Holm's correction {probability(p)}, "
            f"of {MARGIN:g} or more {probability(p_same)}"
        )
    return "; ".join(filter(None, [tested, _resampled(verdict.sentences)]))


def probability(p: float) -> str:
    """p 0.031, p < 0.001."""
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def how(table: Table) -> list[str]:
    """How the verdicts were come by."""
    tested = [row.verdict for row in table.rows if row.verdict and row.verdict.test]
    if not tested:
        others = len(table.rows) - 1
        text = "Verdicts need two seeds of base and of the row: one seed has no interval."
        return [text] if others and table.finished else []
    rows = f"{len(tested)} row" + ("" if len(tested) == 1 else "s")
    found = [
        f"Verdicts: Welch's t-test over the seeds' {table.scorer.upper()} against base's, Holm's "
        f"correction over {rows}, level {100 * LEVEL:g} %; the same: two one-sided tests with a "
        f"margin of {MARGIN:g} points, corrected likewise. They speak of these sentences."
    ]
    if any(verdict.sentences for verdict in tested):
        found.append(
            f"Other sentences of the source: {RESAMPLES:,} resamples common to all rows, beside "
            "each verdict in the page and in JSON, not corrected."
        )
    elif len(table.rows) > MOST_ARMS:
        found.append(f"Sentences are not resampled in a table of more than {MOST_ARMS} rows.")
    return found


def claims(table: Table) -> list[Line]:
    """Each sentence of the paper of which two rows were run."""
    return [
        _line(finding)
        for finding in table.claims
        if any(pair.difference is not None for pair in finding.pairs)
    ]


def ranks(table: Table) -> str:
    """How far our rows stand in the paper's order; empty: nothing to say."""
    found = table.ranks
    if found is None:
        return ""
    text = (
        f"Spearman's rank correlation of the rows' {table.scorer.upper()} with the paper's: "
        f"{found.of_means:+.2f} over {found.rows} rows"
    )
    if len(found.of_seeds) < 2:
        return f"{text}."
    low, high = min(found.of_seeds), max(found.of_seeds)
    return f"{text}; by single seeds {low:+.2f} to {high:+.2f}."


def verdict_object(verdict: Verdict) -> dict[str, object]:
    """As JSON has it."""
    test, sentences = verdict.test, verdict.sentences
    return {
        "word": verdict.word,
        "interval": test and test.interval and list(test.interval),
        "error": test and test.error,
        "freedom": test and test.freedom,
        "p_alone": test and test.p,
        "p": verdict.p,
        "p_same": verdict.p_same,
        "sentences": sentences and sentences._asdict(),
    }


def finding_object(finding: Finding) -> dict[str, object]:
    """As JSON has it."""
    claim, (agree, count) = finding.claim, finding.printed
    return {
        "name": finding.name,
        "sentence": claim.sentence,
        "says": claim.says,
        "place": claim.place,
        "editions": list(claim.editions),
        "outcome": finding.outcome,
        "pairs": [
            {
                "lower": pair.lower,
                "higher": pair.higher,
                "difference": pair.difference,
                "interval": pair.test and pair.test.interval and list(pair.test.interval),
                "p_alone": pair.test and pair.test.p,
            }
            for pair in finding.pairs
        ],
        "paper": {"agree": agree, "of": count},
    }


def _line(finding: Finding) -> Line:
    agree, count = finding.printed
    claim = finding.claim
    same = claim.says == "the same"
    return Line(
        claim.sentence,
        f"{claim.place} ({', '.join(claim.editions)})",
        finding.outcome,
        "; ".join(_pair(pair, same) for pair in finding.pairs),
        f"{agree} of {count}",
    )


def _pair(pair: Pair, same: bool) -> str:
    name = f"{pair.lower} less {pair.higher}"
    if pair.difference is None:
        return f"{name} not run"
    told = f"{name} {pair.difference:+.2f}"
    if pair.test is None:
        return f"{told}, one seed"
    p = pair.test.p_outside(MARGIN) if same else pair.test.p
    return f"{told}, {probability(p)}"


def _apart(test: Welch) -> str:
    if test.interval is None:
        return "the seeds do not differ: no test"
    low, high = test.interval
    return f"difference {test.difference:+.2f}, 95 % interval {low:+.2f} to {high:+.2f}"


def _resampled(sentences: Sentences | None) -> str:
    if sentences is None:
        return ""
    text = f"on other sentences these models {probability(sentences.p)}"
    if sentences.p_both is not None:
        text += f", seeds and sentences {probability(sentences.p_both)}"
    return f"{text}, not corrected"
